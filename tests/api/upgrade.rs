//! A database of an earlier version, with data in it.

use sqlx::{AssertSqlSafe, Executor as _};

use crate::harness::TestDatabase;

/// By an owner that policies bind: what was noted in an old form, of several tenants, is in the figures afterwards.
async fn old_notes_are_summed_up(version: i64, columns: &str, values: &str) {
    TestDatabase::create().await; // so that the cluster has the roles
    let database = TestDatabase::unmigrated().await;
    let owner = format!("owner_{}", database.name);
    let grants = format!(
        "CREATE ROLE {owner}; GRANT rally_app, rally_operator TO {owner}; GRANT CREATE ON SCHEMA public TO {owner}"
    );
    database.execute(&grants).await;
    let migrations = sqlx::migrate!();
    let mut connection = database.connect().await;
    connection.execute(AssertSqlSafe(format!("SET ROLE {owner}"))).await.unwrap();
    migrations.run_to(version, &mut connection).await.unwrap();
    for (slug, requests) in [("acme", 3), ("globex", 4)] {
        let plant = format!(
            "INSERT INTO tenants (id, slug, name, created_at) VALUES (md5('{slug}')::uuid, '{slug}', 'n', now());
             INSERT INTO api_keys (tenant_id, id, name, scopes, created_at)
             VALUES (md5('{slug}')::uuid, md5('key {slug}')::uuid, 'n', 'read', now());
             INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
             VALUES (md5('{slug}')::uuid, decode(md5('digest {slug}'), 'hex'), md5('key {slug}')::uuid,
                     '$argon2id$v=19$', '0000', now());
             INSERT INTO api_key_usage_notes (tenant_id, used_at, requests, denied_scope, addresses, agents, {columns})
             SELECT tenant_id, ARRAY[now()], ARRAY[{requests}], ARRAY[1], ARRAY['192.0.2.{requests}'::inet],
                    ARRAY['curl'], {values}
             FROM api_key_secrets, generate_series(1, 2)
             WHERE tenant_id = md5('{slug}')::uuid"
        );
        database.execute(&plant).await;
    }
    migrations.run(&mut connection).await.unwrap();
    let told = "SELECT format('%s %s %s %s', host(last_address), last_user_agent, requests, denied_scope)
                FROM api_key_secrets JOIN api_key_usage USING (tenant_id, key_id)
                ORDER BY 1";
    assert_eq!(database.texts(told).await, ["192.0.2.3 curl 6 2", "192.0.2.4 curl 8 2"]);
    drop(connection);
    database.execute(&format!("DROP OWNED BY {owner} CASCADE; DROP ROLE {owner}")).await;
}

#[tokio::test]
async fn notes_by_secret_are_summed_up() {
    let values = "ARRAY[lookup_digest], ARRAY[date_trunc('hour', now(), 'UTC')], ARRAY[0]";
    old_notes_are_summed_up(8, "digests, hours, denied_expired", values).await;
}

#[tokio::test]
async fn notes_in_arrays_are_summed_up() {
    let values = "ARRAY[encode(lookup_digest, 'hex')::uuid], date_trunc('hour', now(), 'UTC'), ARRAY[1]";
    old_notes_are_summed_up(10, "digests, hour, client_lengths", values).await;
}
