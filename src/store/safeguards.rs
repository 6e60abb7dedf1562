//! What must hold in the database so that nobody else's code runs in the service's statements, and so that the triggers
//! that the promises depend on always run. Checked at the start and by `rally-api-keys doctor`.

use sqlx::PgConnection;

use super::{ConnectError, connect::begin_inspection};

/// Tables and their triggers that must run in every session: ENABLE ALWAYS.
pub(super) const TRIGGERS: [(&str, &str); 12] = [
    ("tenants", "refuse_ambiguous_name"),
    ("tenants", "notify_update"),
    ("tenants", "notify_delete"),
    ("tenants", "notify_truncate"),
    ("api_keys", "revoked_is_final"),
    ("api_keys", "notify_update"),
    ("api_keys", "notify_delete"),
    ("api_keys", "notify_truncate"),
    ("api_key_secrets", "notify_update"),
    ("api_key_secrets", "notify_delete"),
    ("api_key_secrets", "notify_truncate"),
    ("api_key_events", "append_only"),
];

/// Refuses a schema in which another role than the owner of schema, database or tables may create objects.
pub(super) async fn check_creators(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let mut transaction = begin_inspection(connection).await?;
    // While there are no tables, the current role is the one that will own them.
    let others: Vec<String> = sqlx::query_scalar(
        "WITH owners AS (
             SELECT nspowner AS id FROM pg_namespace WHERE nspname = 'public'
             UNION SELECT datdba FROM pg_database WHERE datname = current_database()
             UNION SELECT coalesce((SELECT relowner FROM pg_class WHERE oid = to_regclass('public.api_keys')),
                                   current_user::regrole)
         )
         SELECT coalesce(quote_ident(r.rolname), 'PUBLIC')
         FROM pg_namespace n
         CROSS JOIN aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) granted
         LEFT JOIN pg_roles r ON r.oid = granted.grantee
         WHERE n.nspname = 'public' AND granted.privilege_type = 'CREATE'
           AND NOT coalesce(r.rolsuper OR r.rolname = 'pg_database_owner'
                            OR EXISTS (SELECT FROM owners WHERE pg_has_role(r.oid, owners.id, 'MEMBER')), false)
         ORDER BY 1",
    )
    .persistent(false)
    .fetch_all(&mut *transaction)
    .await?;
    if others.is_empty() { Ok(()) } else { Err(ConnectError::OthersMayCreate(others.join(", "))) }
}

/// Refuses a table of migrations that another role created before the first migration: its triggers would run with the
/// rights of whoever migrates.
pub(super) async fn check_migrations_table(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let mut transaction = begin_inspection(connection).await?;
    let owner: Option<String> = sqlx::query_scalar(
        "SELECT r.rolname::text
         FROM pg_class c
         JOIN pg_roles r ON r.oid = c.relowner
         WHERE c.oid = to_regclass('public._sqlx_migrations') AND NOT r.rolsuper AND r.rolname <> current_user
           AND c.relowner NOT IN (
               SELECT nspowner FROM pg_namespace WHERE nspname = 'public'
               UNION SELECT datdba FROM pg_database WHERE datname = current_database()
               UNION SELECT relowner FROM pg_class WHERE oid = to_regclass('public.api_keys'))",
    )
    .persistent(false)
    .fetch_optional(&mut *transaction)
    .await?;
    owner.map_or(Ok(()), |owner| Err(ConnectError::ForeignTable(owner)))
}

/// Refuses a database in which one of [`TRIGGERS`] does not run in every session.
pub(super) async fn check_triggers(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let mut transaction = begin_inspection(connection).await?;
    let always: Vec<(String, String)> = sqlx::query_as(
        "SELECT c.relname::text, t.tgname::text
         FROM pg_trigger t
         JOIN pg_class c ON c.oid = t.tgrelid
         WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal AND t.tgenabled = 'A'",
    )
    .persistent(false)
    .fetch_all(&mut *transaction)
    .await?;
    let is_always = |(table, trigger): &(&str, &str)| always.iter().any(|(t, name)| t == table && name == trigger);
    let mut remedies: Vec<_> = TRIGGERS
        .iter()
        .filter(|trigger| !is_always(trigger))
        .map(|(table, trigger)| format!("ALTER TABLE public.{table} ENABLE ALWAYS TRIGGER {trigger}"))
        .collect();
    // Those of foreign keys, and the one that starts the audit trail of a new tenant, run in ordinary sessions.
    let disabled: Vec<String> = sqlx::query_scalar(
        "SELECT format('ALTER TABLE public.%I ENABLE TRIGGER %I', c.relname, t.tgname)
         FROM pg_trigger t
         JOIN pg_class c ON c.oid = t.tgrelid
         WHERE c.relnamespace = 'public'::regnamespace AND t.tgenabled IN ('D', 'R')
           AND (t.tgisinternal OR t.tgname = 'start_event_chain')
         ORDER BY 1",
    )
    .persistent(false)
    .fetch_all(&mut *transaction)
    .await?;
    remedies.extend(disabled);
    if remedies.is_empty() { Ok(()) } else { Err(ConnectError::TriggersOff(remedies.join("; "))) }
}
