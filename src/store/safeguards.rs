//! What must hold in the database so that nobody else's code runs in the service's statements, and so that the triggers
//! that the promises depend on always run. Checked at the start and by `rally-api-keys doctor`.

use sqlx::{AssertSqlSafe, PgConnection};

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

/// The tables with rows of tenants.
pub(super) const TENANT_TABLES: [&str; 12] = [
    "tenants",
    "api_keys",
    "api_key_texts",
    "api_key_secrets",
    "api_key_policies",
    "api_key_idempotency_records",
    "api_key_events",
    "api_key_event_heads",
    "api_key_usage",
    "api_key_last_uses",
    "api_key_callers",
    "api_key_quota_usage",
];

/// The other tables.
const OTHER_TABLES: [&str; 3] = ["instance_secrets", "usage_writers", "_sqlx_migrations"];

/// Functions that the service calls. (Those of triggers belong to their tables.)
const FUNCTIONS: [&str; 10] = [
    "public.server_identity()",
    "public.find_tenants(text[])",
    "public.find_api_key_secrets(uuid[], bytea[])",
    "public.tenants_with_idle_rule()",
    "public.find_reported_secrets(bytea[])",
    "public.record_usage(uuid, bigint, uuid[], uuid[], bytea[], timestamptz[], bigint[], bigint[], bigint[], bigint[], \
     bigint[], bigint[], bigint[], bigint[], text[], timestamptz[], inet[], text[], uuid[], uuid[], bytea[], bytea[], \
     inet[], text[], timestamptz[], timestamptz[], bigint[])",
    "public.remove_old_usage(timestamptz, integer)",
    "public.remove_old_callers(timestamptz, integer, bigint)",
    "public.remove_ended_secrets(timestamptz, integer, integer)",
    "public.remove_old_idempotency_records(timestamptz, integer)",
];

/// Roles whose code everybody runs anyway, or who were told to migrate: superusers, the owners of schema and database, and
/// members of rally_operator. Not whoever owns tables of these names: anybody might have created them before.
const TRUSTED: &str = "
    SELECT r.oid
    FROM pg_roles r
    WHERE r.rolsuper OR r.rolname = 'pg_database_owner'
       OR r.oid = (SELECT nspowner FROM pg_namespace WHERE nspname = 'public')
       OR r.oid = (SELECT datdba FROM pg_database WHERE datname = current_database())
       OR EXISTS (SELECT FROM pg_roles o WHERE o.rolname = 'rally_operator' AND pg_has_role(r.oid, o.oid, 'MEMBER'))";

/// Refuses a schema in which a role that is not trusted may create objects.
pub(super) async fn check_creators(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let mut transaction = begin_inspection(connection).await?;
    let others: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!(
        "WITH trusted AS ({TRUSTED})
         SELECT coalesce(quote_ident(r.rolname), 'PUBLIC')
         FROM pg_namespace n
         CROSS JOIN aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) granted
         LEFT JOIN pg_roles r ON r.oid = granted.grantee
         WHERE n.nspname = 'public' AND granted.privilege_type = 'CREATE'
           AND NOT EXISTS (SELECT FROM trusted WHERE pg_has_role(r.oid, trusted.oid, 'MEMBER'))
         ORDER BY 1"
    )))
    .persistent(false)
    .fetch_all(&mut *transaction)
    .await?;
    if others.is_empty() { Ok(()) } else { Err(ConnectError::OthersMayCreate(others.join(", "))) }
}

/// Refuses tables and functions of our names that belong to a role that is not trusted. It may have created them before the
/// first migration: triggers, views and functions run its code with the rights of whoever uses them, and it may switch
/// row-level security off. To be called before any of them is used; `transaction` is one of [`begin_inspection`].
pub(super) async fn check_owners(transaction: &mut PgConnection) -> Result<(), ConnectError> {
    let foreign: Option<(String, String)> = sqlx::query_as(AssertSqlSafe(format!(
        "WITH trusted AS ({TRUSTED}),
         ours AS (
             SELECT relowner AS owner,
                    CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
                                 WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
                    oid::regclass::text AS name
             FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relname = ANY ($1) AND relkind NOT IN ('i', 'I', 'c')
           UNION ALL
             SELECT proowner, 'FUNCTION', oid::regprocedure::text
             FROM pg_proc
             WHERE oid IN (SELECT to_regprocedure(name) FROM unnest($2::text[]) name)
         )
         SELECT kind || ' ' || name, pg_get_userbyid(owner)::text
         FROM ours
         WHERE owner NOT IN (SELECT oid FROM trusted)
         ORDER BY 1
         LIMIT 1"
    )))
    .bind([&TENANT_TABLES[..], &OTHER_TABLES].concat())
    .bind(FUNCTIONS)
    .persistent(false)
    .fetch_optional(transaction)
    .await?;
    foreign.map_or(Ok(()), |(object, owner)| Err(ConnectError::ForeignObject { object, owner }))
}

/// Refuses a database in which a table's rows are not kept apart. (That the service's role is bound by it is another check.)
pub(super) async fn check_row_level_security(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let mut transaction = begin_inspection(connection).await?;
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM unnest($1::text[]) name LEFT JOIN pg_class c ON c.oid = to_regclass('public.' || name)
         WHERE NOT coalesce(c.relrowsecurity AND c.relforcerowsecurity, false)",
    )
    .bind(TENANT_TABLES)
    .persistent(false)
    .fetch_all(&mut *transaction)
    .await?;
    let remedy = |table| format!("ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
    if open.is_empty() {
        return Ok(());
    }
    Err(ConnectError::RowLevelSecurityOff(open.into_iter().map(remedy).collect::<Vec<_>>().join("; ")))
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
    // Those of foreign keys, and those that write rows beside a new one, run in ordinary sessions.
    let disabled: Vec<String> = sqlx::query_scalar(
        "SELECT format('ALTER TABLE public.%I ENABLE TRIGGER %I', c.relname, t.tgname)
         FROM pg_trigger t
         JOIN pg_class c ON c.oid = t.tgrelid
         WHERE c.relnamespace = 'public'::regnamespace AND t.tgenabled IN ('D', 'R')
           AND (t.tgisinternal OR t.tgname IN ('start_event_chain', 'start_policy', 'count_new_keys', 'write_text'))
         ORDER BY 1",
    )
    .persistent(false)
    .fetch_all(&mut *transaction)
    .await?;
    remedies.extend(disabled);
    if remedies.is_empty() { Ok(()) } else { Err(ConnectError::TriggersOff(remedies.join("; "))) }
}
