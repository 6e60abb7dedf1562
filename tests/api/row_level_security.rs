//! Isolation of tenants in the database: which statements PostgreSQL refuses for the service's role and for every role,
//! and with which logins the service refuses to start.

use rally_api_keys::{
    domain::Slug,
    store::{self, ConnectError, Database, DatabaseUrl, TenantAdmin},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use uuid::Uuid;

use crate::{
    client::{CreatedKey, PATH},
    harness::{TestDatabase, TestServer, open, wait_until},
};

const TENANT_TABLES: [&str; 3] = ["api_keys", "api_key_secrets", "api_key_events"];
const TABLES: [&str; 4] = ["tenants", "api_keys", "api_key_secrets", "api_key_events"];
const INSUFFICIENT_PRIVILEGE: &str = "42501";
const CHECK_VIOLATION: &str = "23514";

/// A server with two keys of acme, one of them revoked, and one key of globex. Returns acme's active key.
async fn start() -> (TestServer, CreatedKey) {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("Mine", "read").await;
    let revoked = server.admin("acme").create("Mine, revoked", "read").await;
    server.admin("acme").delete(&revoked.path()).await.expect(204);
    server.admin("globex").create("Theirs", "read").await;
    (server, key)
}

/// A connection with the service's role.
async fn app(database: &TestDatabase) -> PgConnection {
    let mut connection = database.connect().await;
    connection.execute("SET ROLE rally_app").await.unwrap();
    connection
}

/// As [`app`], with the tenant set for the whole session. The service sets it per transaction.
async fn app_of(database: &TestDatabase, tenant: impl std::fmt::Display) -> PgConnection {
    let mut connection = app(database).await;
    connection.execute(AssertSqlSafe(format!("SET rally.tenant_id = '{tenant}'"))).await.unwrap();
    connection
}

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {table}"))).fetch_one(connection).await.unwrap()
}

/// The SQLSTATE with which a statement is refused.
async fn refusal(connection: &mut PgConnection, sql: &str) -> String {
    match connection.execute(AssertSqlSafe(sql)).await {
        Ok(done) => panic!("{sql}: not refused, {done:?}"),
        Err(error) => error
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap_or_else(|| panic!("{sql}: {error}"))
            .into_owned(),
    }
}

async fn affected(connection: &mut PgConnection, sql: &str) -> u64 {
    connection.execute(AssertSqlSafe(sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}")).rows_affected()
}

async fn all_rows(database: &TestDatabase, tenant: impl std::fmt::Display) -> Vec<String> {
    let mut rows = Vec::new();
    for table in TENANT_TABLES {
        let sql = format!("SELECT t::text FROM {table} t WHERE tenant_id = '{tenant}' ORDER BY 1");
        rows.extend(database.texts(&sql).await);
    }
    rows
}

/// A login role for one test. Roles belong to the whole cluster, so it is named after the test's database.
struct Login {
    name: String,
    database: TestDatabase,
}

impl Login {
    async fn create(database: &TestDatabase, attributes: &str, is_member: bool) -> Self {
        let name = format!("login_{}", database.name);
        database.execute(&format!("CREATE ROLE {name} {attributes}")).await;
        if is_member {
            database.execute(&format!("GRANT rally_app TO {name}")).await;
        }
        Self { name, database: database.clone() }
    }

    async fn url(&self) -> DatabaseUrl {
        DatabaseUrl::parse(&self.database.url_text(Some(&self.name)).await).unwrap()
    }

    async fn open(&self) -> Result<Database, ConnectError> {
        open(&self.url().await).await
    }

    async fn drop(self) {
        self.database.execute(&format!("DROP OWNED BY {0}; DROP ROLE {0}", self.name)).await;
    }
}

#[tokio::test]
async fn row_level_security_is_forced_on_each_table_with_rows_of_tenants() {
    let database = TestDatabase::create().await;
    let tables = |condition: &str| {
        format!(
            "SELECT c.relname::text FROM pg_class c
             WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
               AND (c.relname = 'tenants' OR EXISTS (
                   SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'))
               AND {condition}
             ORDER BY 1"
        )
    };
    let all = database.texts(&tables("true")).await;
    for table in TABLES {
        assert!(all.iter().any(|name| name == table), "{table} in {all:?}");
    }
    assert_eq!(database.texts(&tables("c.relrowsecurity AND c.relforcerowsecurity")).await, all);
    let owned = database.texts(&tables("pg_get_userbyid(c.relowner) IN ('rally_app', 'rally_operator')")).await;
    assert!(owned.is_empty(), "{owned:?}");
}

#[tokio::test]
async fn tables_appear_empty_while_no_tenant_is_set() {
    let (server, _) = start().await;
    let mut connection = app(&server.database).await;
    for table in TABLES {
        assert_ne!(server.database.count(&format!("SELECT count(*) FROM {table}")).await, 0, "{table}");
        assert_eq!(count(&mut connection, table).await, 0, "{table}");
    }
    for sql in ["UPDATE api_keys SET name = 'Taken over'", "UPDATE api_key_secrets SET expires_at = NULL"] {
        assert_eq!(affected(&mut connection, sql).await, 0, "{sql}");
    }
    // The same with an id that no tenant has.
    for unknown in [Uuid::nil(), Uuid::now_v7()] {
        let mut connection = app_of(&server.database, unknown).await;
        for table in TABLES {
            assert_eq!(count(&mut connection, table).await, 0, "{table}");
        }
    }
    for bad in ["*", "' OR true --", "null"] {
        let set = format!("SELECT set_config('rally.tenant_id', {}, false)", quoted(bad));
        connection.execute(AssertSqlSafe(set)).await.unwrap();
        assert_eq!(refusal(&mut connection, "SELECT count(*) FROM api_keys").await, "22P02", "{bad}");
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::test]
async fn a_query_without_a_tenant_condition_sees_and_changes_only_the_current_tenants_rows() {
    let (server, _) = start().await;
    let database = &server.database;
    let theirs = all_rows(database, database.globex).await;
    let mut connection = app_of(database, database.acme).await;
    assert_eq!(count(&mut connection, "api_keys").await, 2);
    assert_eq!(count(&mut connection, "api_key_secrets").await, 2);
    assert_eq!(count(&mut connection, "api_key_events").await, 3);
    assert_eq!(count(&mut connection, "tenants").await, 0, "a tenant can be found by its slug only");
    for table in TENANT_TABLES {
        let tenants: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT DISTINCT tenant_id FROM {table}")))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(tenants, [database.acme.0], "{table}");
    }
    assert_eq!(affected(&mut connection, "UPDATE api_keys SET name = 'Mine' WHERE revoked_at IS NULL").await, 1);
    assert_eq!(affected(&mut connection, "UPDATE api_key_secrets SET stamp = NULL, pepper_id = NULL").await, 2);
    let other = format!("tenant_id = '{}'", database.globex);
    assert_eq!(affected(&mut connection, &format!("UPDATE api_keys SET name = 'x' WHERE {other}")).await, 0);
    assert_eq!(all_rows(database, database.globex).await, theirs);
}

#[tokio::test]
async fn an_insert_or_update_for_another_tenant_is_refused() {
    let (server, _) = start().await;
    let database = &server.database;
    let (acme, globex) = (database.acme, database.globex);
    let key = database.texts(&format!("SELECT id::text FROM api_keys WHERE tenant_id = '{globex}'")).await.remove(0);
    let inserts = |tenant| {
        [
            format!(
                "INSERT INTO api_keys (tenant_id, id, name, folded_name, scopes, created_at, last4)
                 VALUES ('{tenant}', gen_random_uuid(), 'Forged', 'forged', 'admin', now(), '0000')"
            ),
            format!(
                "INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
                 VALUES ('{tenant}', '\\x00112233445566778899aabbccddeeff', '{key}', '$argon2id$v=19$', '0000', now())"
            ),
            format!(
                "INSERT INTO api_key_events (tenant_id, id, key_id, kind, occurred_at, request_id)
                 VALUES ('{tenant}', gen_random_uuid(), '{key}', 'created', now(), '')"
            ),
        ]
    };
    let before = all_rows(database, globex).await;
    let mut of_acme = app_of(database, acme).await;
    let mut without_tenant = app(database).await;
    for sql in inserts(globex) {
        assert_eq!(refusal(&mut of_acme, &sql).await, INSUFFICIENT_PRIVILEGE, "{sql}");
        assert_eq!(refusal(&mut without_tenant, &sql).await, INSUFFICIENT_PRIVILEGE, "{sql}");
    }
    // A row cannot be moved to another tenant, or attached to another tenant's key, either.
    for table in TENANT_TABLES {
        let sql = format!("UPDATE {table} SET tenant_id = '{globex}'");
        assert_eq!(refusal(&mut of_acme, &sql).await, INSUFFICIENT_PRIVILEGE, "{sql}");
    }
    assert_eq!(refusal(&mut of_acme, &inserts(acme)[1]).await, "23503", "the foreign key includes the tenant");
    assert_eq!(all_rows(database, globex).await, before);
    // Control: for the current tenant, the first statement succeeds.
    assert_eq!(affected(&mut of_acme, &inserts(acme)[0]).await, 1);
}

#[tokio::test]
async fn the_services_role_cannot_delete_rows_or_change_immutable_columns() {
    let (server, _) = start().await;
    let database = &server.database;
    let mut connection = app_of(database, database.acme).await;
    let mut refused = Vec::new();
    for table in TABLES {
        // Some secrets can be deleted: see below.
        if table != "api_key_secrets" {
            refused.push(format!("DELETE FROM {table}"));
        }
        refused.push(format!("TRUNCATE {table} CASCADE"));
        refused.push(format!("DROP TABLE {table} CASCADE"));
        refused.push(format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"));
        refused.push(format!("ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY"));
        refused.push(format!("CREATE POLICY mine ON {table} USING (true)"));
    }
    for change in [
        "UPDATE api_keys SET id = gen_random_uuid()",
        "UPDATE api_keys SET created_at = now()",
        "UPDATE api_keys SET created_by = 'somebody else'",
        "UPDATE api_key_secrets SET key_id = gen_random_uuid()",
        "UPDATE api_key_secrets SET lookup_digest = '\\x00112233445566778899aabbccddeeff'",
        "UPDATE api_key_secrets SET phc = '$argon2id$v=19$'",
        "UPDATE api_key_events SET actor = 'somebody else'",
        "UPDATE tenants SET suspended_at = NULL",
        "INSERT INTO tenants (id, slug, name, created_at) VALUES (gen_random_uuid(), 'mine', 'Mine', now())",
        "DROP TRIGGER append_only ON api_key_events",
        "DROP TRIGGER revoked_is_final ON api_keys",
        "SET session_replication_role = replica",
    ] {
        refused.push(change.to_owned());
    }
    for sql in refused {
        assert_eq!(refusal(&mut connection, &sql).await, INSUFFICIENT_PRIVILEGE, "{sql}");
    }
}

#[tokio::test]
async fn the_services_role_can_delete_no_secret_but_those_of_its_tenant_that_ended() {
    let (server, key) = start().await;
    let database = &server.database;
    let theirs = server.admin("globex").create("Theirs, rotated", "read").await;
    for (tenant, key) in [("acme", &key), ("globex", &theirs)] {
        let rotate = format!("{}/rotate", key.path());
        server.admin(tenant).post(&rotate, &json!({"overlapSeconds": 0})).await.expect(200);
        server.admin(tenant).post(&rotate, &json!({"overlapSeconds": 60})).await.expect(200);
    }
    let by_state = "SELECT t.slug || CASE WHEN s.ended_at IS NOT NULL THEN ' ended'
                                          WHEN s.retired_at IS NOT NULL THEN ' previous' ELSE ' current' END
                    FROM api_key_secrets s JOIN tenants t ON t.id = s.tenant_id ORDER BY 1";
    let count_of = async |state| database.texts(by_state).await.into_iter().filter(|text| text == state).count();
    let all = database.texts(by_state).await.len();
    assert_eq!((count_of("acme ended").await, count_of("globex ended").await), (1, 1));

    let mut connection = app(database).await;
    assert_eq!(affected(&mut connection, "DELETE FROM api_key_secrets").await, 0, "without a tenant");
    let mut of_acme = app_of(database, database.acme).await;
    assert_eq!(affected(&mut of_acme, "DELETE FROM api_key_secrets").await, 1);
    assert_eq!((count_of("acme ended").await, count_of("globex ended").await), (0, 1));
    // With the usage worker's setting, secrets of all tenants that ended, and no others.
    affected(&mut connection, "SET rally.usage_worker = 'on'").await;
    assert_eq!(affected(&mut connection, "DELETE FROM api_key_secrets").await, 1);
    assert_eq!(count_of("globex ended").await, 0);
    assert_eq!(database.texts(by_state).await.len(), all - 2);
}

/// Functions write the usage of all tenants in one statement. Only within them are the rows of all tenants visible.
#[tokio::test]
async fn usage_of_another_tenant_is_neither_visible_nor_writable() {
    let (server, key) = start().await;
    let database = &server.database;
    let (acme, globex) = (database.acme, database.globex);
    let mut connection = app_of(database, acme).await;
    for (number, tenant) in [(1, acme), (2, globex)] {
        let batch = format!(
            "SELECT record_usage('00000000-0000-4000-8000-00000000000a', {number}, ARRAY['{tenant}'::uuid],
                 ARRAY['{id}'::uuid], ARRAY['\\x{digest}'::bytea], ARRAY['2001-02-03T04:00:00Z'::timestamptz], ARRAY[7::bigint],
                 ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint],
             ARRAY['day'],
                 ARRAY[now()], ARRAY['192.0.2.1'::inet], ARRAY['curl'],
                 ARRAY['{tenant}'::uuid], ARRAY['{id}'::uuid], ARRAY['\\x{digest}'::bytea], ARRAY['\\x{digest}'::bytea],
                 ARRAY['192.0.2.1'::inet], ARRAY['curl'], ARRAY[now()], ARRAY[now()], ARRAY[7::bigint])",
            id = key.id,
            digest = key.digest()
        );
        assert_eq!(affected(&mut connection, &batch).await, 1);
    }
    for table in ["api_key_usage", "api_key_last_uses", "api_key_callers", "api_key_quota_usage"] {
        assert_eq!(database.count(&format!("SELECT count(DISTINCT tenant_id) FROM {table}")).await, 2);
        let tenants: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT DISTINCT tenant_id FROM {table}")))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        assert_eq!(tenants, [acme.0], "{table}");
    }
    let rows = "SELECT (u, l, c, q)::text FROM api_key_usage u JOIN api_key_last_uses l USING (tenant_id)
                JOIN api_key_callers c USING (tenant_id) JOIN api_key_quota_usage q USING (tenant_id) ORDER BY 1";
    let before = database.texts(rows).await;
    for sql in [
        "UPDATE api_key_usage SET requests = 0",
        "UPDATE api_key_last_uses SET used_at = now()",
        "UPDATE api_key_callers SET requests = 1",
        "UPDATE api_key_quota_usage SET requests = 1",
        "DELETE FROM api_key_usage",
        "DELETE FROM api_key_callers",
        "DELETE FROM usage_writers",
    ] {
        assert_eq!(affected(&mut connection, sql).await, 0, "{sql}");
    }
    for tenant in [acme, globex] {
        for sql in [
            format!(
                "INSERT INTO api_key_usage VALUES ('{tenant}', gen_random_uuid(), '2001-02-03T04:00:00Z', 1, 0, 0, 0)"
            ),
            format!("INSERT INTO api_key_last_uses VALUES ('{tenant}', gen_random_uuid(), sha224('')::bytea, now())"),
            format!(
                "INSERT INTO api_key_quota_usage VALUES ('{tenant}', gen_random_uuid(), 'day', '2001-02-03Z', 1, true)"
            ),
            format!(
                "INSERT INTO api_key_callers SELECT '{tenant}', key_id, lookup_digest, caller, address, user_agent, now(),
                 now(), 1 FROM api_key_callers"
            ),
        ] {
            assert_eq!(refusal(&mut connection, &sql).await, INSUFFICIENT_PRIVILEGE, "{sql}");
        }
    }
    assert_eq!(database.texts(rows).await, before);
    // The function that removes old hours does so for all tenants.
    affected(&mut connection, "SELECT remove_old_usage('2001-02-04Z', 10)").await;
    assert_eq!(database.count("SELECT count(*) FROM api_key_usage").await, 0);
    affected(&mut connection, "SELECT remove_old_callers(now() + interval '1 day', 50, 0)").await;
    assert_eq!(database.count("SELECT count(*) FROM api_key_callers").await, 0);
}

/// A function finds the tenants that have the rule of idle keys. Only within it are the rules of all tenants visible.
#[tokio::test]
async fn rules_of_another_tenant_are_neither_visible_nor_writable() {
    let (server, _) = start().await;
    let database = &server.database;
    let rule = "UPDATE api_key_policies SET idle_suspend_days = 30, idle_suspend_set_at = now()";
    let mut connection = app(database).await;
    assert_eq!(affected(&mut connection, rule).await, 0, "without a tenant");
    let mut of_acme = app_of(database, database.acme).await;
    assert_eq!(affected(&mut of_acme, rule).await, 1);
    database.execute(rule).await;
    database.execute(&format!("UPDATE tenants SET suspended_at = now() WHERE id = '{}'", database.globex)).await;
    for connection in [&mut connection, &mut of_acme] {
        let found: Vec<Uuid> =
            sqlx::query_scalar("SELECT tenants_with_idle_rule()").fetch_all(&mut *connection).await.unwrap();
        assert_eq!(found, [database.acme.0], "a suspended tenant has no use of its keys");
    }
    assert_eq!(count(&mut connection, "api_key_policies").await, 0);
    assert_eq!(count(&mut of_acme, "api_key_policies").await, 1);
    assert_eq!(count(&mut of_acme, "tenants").await, 0);
}

/// A look-up across tenants needs the digest, which only who knows the secret has.
#[tokio::test]
async fn a_secret_of_another_tenant_is_visible_only_by_its_digest_and_never_writable() {
    let (server, _) = start().await;
    let database = &server.database;
    let theirs = server.admin("globex").create("Theirs", "read").await;
    let mut connection = app_of(database, database.acme).await;
    let before = count(&mut connection, "api_key_secrets").await;
    let found =
        format!("SELECT tenant_id FROM find_reported_secrets(ARRAY['\\x00', '\\x{}']::bytea[])", theirs.digest());
    let tenants: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(found)).fetch_all(&mut connection).await.unwrap();
    assert_eq!(tenants, [database.globex.0]);
    assert_eq!(count(&mut connection, "api_key_secrets").await, before, "nothing stays visible afterwards");
    let set = format!("SET rally.reported_digest = '{}'", theirs.digest());
    sqlx::query(AssertSqlSafe(set)).execute(&mut connection).await.unwrap();
    assert_eq!(count(&mut connection, "api_key_secrets").await, before + 1);
    let of_theirs = format!("lookup_digest = '\\x{}'", theirs.digest());
    let update = format!("UPDATE api_key_secrets SET leak_recorded_at = now() WHERE {of_theirs}");
    assert_eq!(affected(&mut connection, &update).await, 0);
}

/// With a login that is no superuser, since a superuser can set any role.
#[tokio::test]
async fn a_plain_login_cannot_become_the_operator() {
    let (server, _) = start().await;
    let login = Login::create(&server.database, "LOGIN", true).await;
    let mut connection = PgConnection::connect(&server.database.url_text(Some(&login.name)).await).await.unwrap();
    assert_eq!(refusal(&mut connection, "SET ROLE rally_operator").await, INSUFFICIENT_PRIVILEGE);
    connection.execute("SET ROLE rally_app").await.unwrap();
    assert_eq!(count(&mut connection, "api_keys").await, 0);
    connection.close().await.unwrap();
    login.drop().await;
}

#[tokio::test]
async fn the_audit_trail_is_append_only_for_each_role() {
    let (server, _) = start().await;
    let before = server.database.texts("SELECT t::text FROM api_key_events t ORDER BY 1").await;
    assert_eq!(before.len(), 4);
    let changes = [
        "UPDATE api_key_events SET actor = 'somebody else'",
        "UPDATE api_key_events SET actor = actor WHERE false",
        "DELETE FROM api_key_events",
        "TRUNCATE api_key_events",
        "TRUNCATE api_keys CASCADE",
        "TRUNCATE tenants CASCADE",
    ];
    let mut app = app_of(&server.database, server.database.acme).await;
    let mut owner = server.database.connect().await;
    let mut replica = server.database.connect().await;
    replica.execute("SET session_replication_role = replica").await.unwrap();
    for sql in changes {
        for connection in [&mut app, &mut owner, &mut replica] {
            assert_eq!(refusal(connection, sql).await, INSUFFICIENT_PRIVILEGE, "{sql}");
        }
    }
    // A tenant with events cannot be deleted either.
    assert_eq!(refusal(&mut owner, "DELETE FROM tenants").await, "23503");
    assert_eq!(server.database.texts("SELECT t::text FROM api_key_events t ORDER BY 1").await, before);
}

#[tokio::test]
async fn a_revoked_key_cannot_be_changed_by_any_role() {
    let (server, _) = start().await;
    let mut app = app_of(&server.database, server.database.acme).await;
    let mut owner = server.database.connect().await;
    let mut replica = server.database.connect().await;
    replica.execute("SET session_replication_role = replica").await.unwrap();
    for sql in [
        "UPDATE api_keys SET revoked_at = NULL",
        "UPDATE api_keys SET revoked_at = now() + interval '1 year' WHERE revoked_at IS NOT NULL",
        "UPDATE api_keys SET scopes = 'admin' WHERE revoked_at IS NOT NULL",
    ] {
        for connection in [&mut app, &mut owner, &mut replica] {
            assert_eq!(refusal(connection, sql).await, CHECK_VIOLATION, "{sql}");
        }
    }
    let revoked = server.database.count("SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL").await;
    assert_eq!(revoked, 1);
}

#[tokio::test]
async fn the_tenant_setting_ends_with_its_transaction() {
    let (server, _) = start().await;
    let database = &server.database;
    let mut connection = app(database).await;
    let begin = format!("BEGIN; SET LOCAL rally.tenant_id = '{}'", database.acme);
    for end in ["COMMIT", "ROLLBACK"] {
        connection.execute(AssertSqlSafe(begin.as_str())).await.unwrap();
        assert_eq!(count(&mut connection, "api_keys").await, 2);
        connection.execute(end).await.unwrap();
        for table in TABLES {
            assert_eq!(count(&mut connection, table).await, 0, "{table} after {end}");
        }
    }
    // Lookup functions see other tenants' rows within their own statement only.
    let found = connection.fetch_all("SELECT id FROM find_tenants(ARRAY['acme', 'nobody'])").await.unwrap();
    assert_eq!(found.iter().map(|row| row.get(0)).collect::<Vec<Uuid>>(), [database.acme.0]);
    assert_eq!(count(&mut connection, "tenants").await, 0);
    let digest = sqlx::query_scalar::<_, Vec<u8>>("SELECT lookup_digest FROM api_key_secrets WHERE tenant_id = $1")
        .bind(database.acme.0)
        .fetch_all(&mut database.connect().await)
        .await
        .unwrap()
        .remove(0);
    let find = || sqlx::query("SELECT place FROM find_api_key_secrets($1, $2)");
    let [ours, theirs] = [database.acme.0, database.globex.0];
    // A lookup of the digest under another tenant, in the same statement, does not find it.
    let found = find()
        .bind([theirs, ours, ours, theirs])
        .bind([&digest, &vec![0; 16], &digest, &digest])
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(found.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [3]);
    assert_eq!(count(&mut connection, "api_keys").await, 0);
}

#[tokio::test]
async fn no_column_holds_a_secret() {
    let (server, key) = start().await;
    server.admin("acme").with_key(&key.secret).get(PATH).await.expect(200);
    let digits = &key.secret["rk_live_".len()..];
    let in_hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let tables = server
        .database
        .texts(
            "SELECT c.relname::text FROM pg_class c
             WHERE c.relkind IN ('r', 'p', 'm', 'v') AND c.relnamespace = 'public'::regnamespace",
        )
        .await;
    let mut rows = 0;
    for table in tables {
        for row in server.database.texts(&format!("SELECT t::text FROM {table} t")).await {
            rows += 1;
            for part in [&key.secret, digits, &in_hex(&key.secret), &in_hex(digits), &digits[..16], &digits[16..]] {
                assert!(!row.contains(part), "{table}: {row}");
            }
        }
    }
    assert!(rows > 8, "only {rows} rows were searched");
}

#[tokio::test]
async fn a_login_that_is_only_a_member_of_rally_app_is_sufficient() {
    let database = TestDatabase::create().await;
    let login = Login::create(&database, "LOGIN", true).await;
    let mut server = TestServer::logged_in_by(&login.url().await, database, &[]).await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier", "admin").await;
    admin.with_key(&key.secret).get(PATH).await.expect(200);
    admin.patch(&key.path(), &serde_json::json!({"name": "Zapier Sync"})).await.expect(200);
    admin.delete(&key.path()).await.expect(204);
    let sql = format!("SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = '{}'", login.name);
    assert_eq!(server.database.count(&sql).await, 0);
    server.stop().await;
    login.drop().await;
}

#[tokio::test]
async fn a_login_that_is_no_member_is_refused_and_the_error_names_the_role() {
    let database = TestDatabase::create().await;
    let login = Login::create(&database, "LOGIN", false).await;
    let error = login.open().await.err().expect("the login is refused").to_string();
    assert!(error.contains("rally_app"), "{error}");
    login.drop().await;
}

/// The role of a server's transactions, recorded by the default of a column.
async fn role_of_transactions(url: &DatabaseUrl, database: &TestDatabase) -> Vec<String> {
    database.execute("ALTER TABLE api_key_events ADD COLUMN executed_as text DEFAULT current_user").await;
    let mut server = TestServer::logged_in_by(url, database.clone(), &[]).await;
    server.admin("acme").create("Zapier", "read").await;
    server.stop().await;
    database.texts("SELECT executed_as FROM api_key_events").await
}

#[tokio::test]
async fn transactions_run_as_rally_app_with_each_login() {
    let database = TestDatabase::create().await;
    assert_eq!(role_of_transactions(&database.url().await, &database).await, ["rally_app"], "owner and superuser");

    let database = TestDatabase::create().await;
    let login = Login::create(&database, "LOGIN", true).await;
    assert_eq!(role_of_transactions(&login.url().await, &database).await, ["rally_app"], "member");
    login.drop().await;

    let database = TestDatabase::create().await;
    let login = Login::create(&database, "LOGIN BYPASSRLS", true).await;
    assert_eq!(role_of_transactions(&login.url().await, &database).await, ["rally_app"], "member with BYPASSRLS");
    login.drop().await;
}

#[tokio::test]
async fn a_table_whose_row_level_security_is_off_is_refused_with_what_to_run() {
    for change in ["api_keys DISABLE", "api_key_last_uses NO FORCE"] {
        let database = TestDatabase::create().await;
        database.execute(&format!("ALTER TABLE {change} ROW LEVEL SECURITY")).await;
        let error = open(&database.url().await).await.err().expect("a refusal");
        let table = change.split(' ').next().unwrap();
        let remedy = format!("run: ALTER TABLE public.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY");
        assert!(error.to_string().ends_with(&remedy), "{error}");
    }
}

/// With one connection, which must stay usable after a transaction failed to begin.
#[tokio::test]
async fn requests_succeed_again_once_a_revoked_role_is_granted_again() {
    let database = TestDatabase::create().await;
    let login = Login::create(&database, "LOGIN", true).await;
    let one_connection = [("DATABASE_MAX_CONNECTIONS", "1")];
    let mut server = TestServer::logged_in_by(&login.url().await, database, &one_connection).await;
    server.wait_for_feed().await; // then the tenant is cached, so the transaction fails and not the tenant's lookup
    let admin = server.admin("acme");
    admin.create("Zapier", "read").await;
    server.database.execute(&format!("REVOKE rally_app FROM {}", login.name)).await;
    admin.get(PATH).await.refused(500, "internal_error");
    server.database.execute(&format!("GRANT rally_app TO {}", login.name)).await;
    admin.get(PATH).await.expect(200);
    server.stop().await;
    login.drop().await;
}

/// Such a login may lack the privilege to migrate; then it is refused.
#[tokio::test]
async fn a_login_with_bypassrls_runs_as_rally_app_or_is_refused() {
    let database = TestDatabase::create().await;
    let login = Login::create(&database, "LOGIN BYPASSRLS", true).await;
    match login.open().await {
        Err(error) => assert!(matches!(error, ConnectError::Migration(_) | ConnectError::Unbound { .. }), "{error}"),
        Ok(store) => {
            store.close().await;
            assert_eq!(role_of_transactions(&login.url().await, &database).await, ["rally_app"]);
        }
    }
    login.drop().await;
    // A login that is not a member of rally_app is always refused.
    let database = TestDatabase::create().await;
    let login = Login::create(&database, "LOGIN BYPASSRLS", false).await;
    login.open().await.err().expect("the login is refused");
    database.execute(&format!("GRANT CREATE ON SCHEMA public TO {}", login.name)).await;
    database.execute(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}", login.name)).await;
    login.open().await.err().expect("the login is refused");
    login.drop().await;
}

#[tokio::test]
async fn a_login_that_may_not_migrate_is_refused_with_the_command_to_run() {
    TestDatabase::create().await; // its migrations create the role rally_app in the cluster
    let database = TestDatabase::unmigrated().await;
    database.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC").await; // the default since PostgreSQL 15
    let login = Login::create(&database, "LOGIN", true).await;
    let error = login.open().await.err().expect("the login is refused");
    assert!(matches!(error, ConnectError::NotMigrated { missing: 1, .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains("rally-api-keys migrate") && message.contains("DATABASE_MIGRATION_URL"), "{message}");
    assert_eq!(database.count("SELECT count(*) FROM pg_class WHERE relname = 'api_keys'").await, 0);
    login.drop().await;
}

#[tokio::test]
async fn ten_instances_that_start_on_a_new_database_all_start() {
    let database = TestDatabase::unmigrated().await;
    let url = database.url().await;
    let instances = tokio::task::LocalSet::new();
    let opens: Vec<_> = (0..10)
        .map(|_| {
            let url = url.clone();
            instances.spawn_local(async move { open(&url).await })
        })
        .collect();
    instances.await;
    for outcome in opens {
        let database = outcome.await.unwrap().unwrap_or_else(|error| panic!("{error}"));
        database.lookups().ping().await.unwrap();
        database.close().await;
    }
    let applied = database.count("SELECT count(*) FROM _sqlx_migrations WHERE success").await;
    assert_eq!(applied, i64::try_from(sqlx::migrate!().iter().count()).unwrap());
}

/// The two logins of docs/deployment.md: an owner that is no superuser, and a plain member of `rally_app`.
#[tokio::test]
async fn the_documented_logins_migrate_serve_and_write_usage() {
    TestDatabase::create().await; // creates the roles of the cluster
    let database = TestDatabase::unmigrated().await;
    let owner = format!("owner_{}", database.name);
    database
        .execute(&format!(
            "CREATE ROLE {owner} LOGIN; GRANT rally_app, rally_operator TO {owner};
             ALTER SCHEMA public OWNER TO {owner}; ALTER DATABASE {} OWNER TO {owner}",
            database.name
        ))
        .await;
    let owner_url = DatabaseUrl::parse(&database.url_text(Some(&owner)).await).unwrap();
    store::migrate(&owner_url).await.unwrap();
    let slug = Slug::parse("acme").unwrap();
    let mut admin = TenantAdmin::connect(&owner_url).await.unwrap();
    admin.create_tenant(&slug, "Acme", chrono::Utc::now()).await.unwrap().expect("a new tenant");
    drop(admin);

    let login = Login::create(&database, "LOGIN", true).await;
    let mut server = TestServer::logged_in_by(&login.url().await, database.clone(), &[]).await;
    let client = server.admin("acme");
    let key = client.create("n", "read").await;
    assert_eq!(client.with_key(&key.secret).get("/forward-auth").await.status, 200);
    wait_until(async || client.get(&key.path()).await.expect(200)["lastUsedAt"].is_string()).await;
    client.delete(&key.path()).await.expect(204);
    server.stop().await;
    login.drop().await;
    database
        .execute(&format!("REASSIGN OWNED BY {owner} TO rally_owner; DROP OWNED BY {owner}; DROP ROLE {owner}"))
        .await;
}
