//! Statistics never delay or refuse a call that changes a key.

use std::time::{Duration, Instant};

use chrono::DateTime;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};
use tokio::time::{sleep, timeout};

use crate::{
    client::{Client, CreatedKey, Credential, PATH, Reply},
    harness::{TestDatabase, TestServer, wait_until},
};

const CHECK: &str = "/forward-auth";
/// How long the locks are held at least. Last uses are written every 5 s, so the service meets the locks within.
const HELD_FOR: Duration = Duration::from_secs(8);
const IN_TIME: Duration = Duration::from_secs(2);

/// A transaction that holds every row of the usage tables, and the advisory locks under which usage was written.
async fn lock_usage(database: &TestDatabase) -> PgConnection {
    let tables = database
        .texts(
            r"SELECT format('%I.%I', table_schema, table_name)
              FROM information_schema.tables
              WHERE table_type = 'BASE TABLE'
                AND (table_name ~ '^api_key_(usage|last_uses|callers)' OR table_name = 'usage_writers')",
        )
        .await;
    assert!(tables.len() >= 2, "{tables:?}");
    let mut holder = database.connect().await;
    let advisory = format!(
        "BEGIN;
         SELECT pg_advisory_xact_lock(hashtextextended('rally-api-keys usage {}', 0));
         SELECT pg_advisory_xact_lock({})",
        database.acme, 0x7261_6c6c_7975_7367_i64,
    );
    holder.execute(AssertSqlSafe(advisory)).await.unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let lock = format!("SELECT count(*) FROM (SELECT FROM {table} FOR UPDATE) locked");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(lock)).fetch_one(&mut holder).await.unwrap();
        rows.push((table, count));
    }
    let locked = rows.iter().filter(|(_, count)| *count > 0).count();
    assert!(locked >= 2, "too few tables have rows to lock: {rows:?}");
    holder
}

/// The body of a response, which has that status and comes in time.
async fn in_time(name: &str, status: u16, call: impl Future<Output = Reply>) -> Value {
    let begun = Instant::now();
    let Ok(reply) = timeout(IN_TIME, call).await else { panic!("{name} takes longer than {IN_TIME:?}") };
    assert_eq!(reply.status.as_u16(), status, "{name} after {:?}: {reply:?}", begun.elapsed());
    if reply.body.is_empty() { Value::Null } else { reply.json() }
}

async fn use_key(server: &TestServer, key: &CreatedKey) {
    let client = server.client("acme", Credential::ApiKey(key.secret.clone()));
    in_time("a check", 200, client.get(CHECK)).await;
}

/// Every call on a key that is in use, except its revocation.
async fn change(server: &TestServer, admin: &Client, key: &mut CreatedKey) {
    let path = key.path();
    use_key(server, key).await;
    in_time("update", 200, admin.patch(&path, &json!({"name": "Renamed", "scopes": "read"}))).await;
    in_time("update", 200, admin.patch(&path, &json!({"name": "In use", "scopes": "write"}))).await;
    let rotation = json!({"overlapSeconds": 3600});
    let rotated = in_time("rotate", 200, admin.post(&format!("{path}/rotate"), &rotation)).await;
    use_key(server, key).await;
    rotated["key"].as_str().unwrap().clone_into(&mut key.secret);
    use_key(server, key).await;
    in_time("previous-secret", 204, admin.delete(&format!("{path}/previous-secret"))).await;
    in_time("get", 200, admin.get(&path)).await;
    in_time("list", 200, admin.get(PATH)).await;
    in_time("list with limit", 200, admin.get(&format!("{PATH}?limit=2"))).await;
}

async fn revoke(admin: &Client, key: &CreatedKey) {
    in_time("revoke", 204, admin.delete(&key.path())).await;
    admin.with_key(&key.secret).get(CHECK).await.refused(401, "key_revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_locks_delay_no_change() {
    let mut before = TestServer::start().await;
    let server = before.sibling(&[]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    // Several, since the rotations of a key are limited.
    let mut in_use = Vec::new();
    for _ in 0..4 {
        in_use.push(admin.create("In use", "write").await);
    }
    let witness = admin.create("Witness", "read").await;
    // An instance that stops writes all usage, so there are rows to be locked.
    for key in in_use.iter().chain([&witness]) {
        use_key(&before, key).await;
    }
    before.stop().await;
    admin.get(&format!("{}/usage", in_use[0].path())).await.expect(200);

    let mut holder = lock_usage(&server.database).await;
    let locked = Instant::now();
    let locked_at = server.clock.now();
    for round in (0..).take_while(|_| locked.elapsed() < HELD_FOR) {
        use_key(&server, &witness).await;
        let mut new = in_time("create", 201, admin.post(PATH, &json!({"name": "New", "scopes": "write"}))).await;
        let text = |value: Value| value.as_str().unwrap().to_owned();
        let mut new = CreatedKey { id: text(new["id"].take()), secret: text(new["key"].take()) };
        change(&server, &admin, &mut new).await;
        revoke(&admin, &new).await;
        change(&server, &admin, &mut in_use[round % 4]).await;
        sleep(Duration::from_millis(200)).await;
    }
    for old in &in_use {
        revoke(&admin, old).await;
    }
    holder.execute("ROLLBACK").await.unwrap();

    // Usage is written late.
    let last_used_at = async || admin.get(&witness.path()).await.expect(200)["lastUsedAt"].clone();
    wait_until(async || {
        let text = last_used_at().await;
        text.as_str().is_some_and(|text| DateTime::parse_from_rfc3339(text).unwrap() > locked_at)
    })
    .await;
}
