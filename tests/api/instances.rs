//! Two instances on one database: what one does, the other one knows.

use std::time::{Duration, Instant};

use rally_api_keys::auth::cache::lease::LEASE;
use serde_json::json;
use sqlx::Executor as _;

use crate::{
    harness::{TestDatabase, TestServer, wait_until},
    proxy::{Mode, Proxy},
};

async fn two() -> (TestServer, TestServer) {
    let one = TestServer::start().await;
    let other = one.sibling(&[]).await;
    one.wait_for_feed().await;
    other.wait_for_feed().await;
    (one, other)
}

/// Asks until the answer is that status, and tells how long it took.
async fn time_until(server: &TestServer, secret: &str, status: u16) -> Duration {
    let client = server.admin("acme").with_key(secret);
    let started = Instant::now();
    loop {
        let reply = client.get("/forward-auth").await;
        if reply.status == status {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{reply:?}");
    }
}

#[tokio::test]
async fn revoked_on_one_refused_on_the_other() {
    let (one, other) = two().await;
    let admin = one.admin("acme");
    let mut slowest = Duration::ZERO;
    for _ in 0..30 {
        let key = admin.create("n", "read").await;
        time_until(&other, &key.secret, 200).await; // and cached
        time_until(&one, &key.secret, 200).await;
        admin.delete(&key.path()).await.expect(204);
        admin.with_key(&key.secret).get("/forward-auth").await.refused(401, "key_revoked");
        slowest = slowest.max(time_until(&other, &key.secret, 401).await);
    }
    // The promise is 100 ms; here, with room for a machine that is busy with other tests.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// What is prepared for checks at the start is no condition of it.
#[tokio::test]
async fn an_instance_starts_while_the_secrets_are_locked() {
    let one = TestServer::start().await;
    let key = one.admin("acme").create("n", "read").await;
    let mut locking = one.database.connect().await;
    locking.execute("BEGIN; LOCK TABLE api_key_secrets IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let starting = tokio::time::timeout(Duration::from_secs(20), one.sibling(&[]));
    let other = starting.await.expect("a start that does not wait for the lock");
    locking.execute("ROLLBACK").await.unwrap();
    time_until(&other, &key.secret, 200).await;
}

#[tokio::test]
async fn a_narrowing_takes_effect_on_both() {
    let (one, other) = two().await;
    let admin = one.admin("acme");
    let key = admin.create("n", "write").await;
    let elsewhere = other.admin("acme").with_key(&key.secret);
    assert_eq!(elsewhere.post("/forward-auth", &json!({})).await.status, 200);
    assert_eq!(admin.with_key(&key.secret).post("/forward-auth", &json!({})).await.status, 200);
    admin.patch(&key.path(), &json!({"scopes": "read"})).await.expect(200);
    assert_eq!(admin.with_key(&key.secret).post("/forward-auth", &json!({})).await.status, 403);
    wait_until(async || elsewhere.post("/forward-auth", &json!({})).await.status == 403).await;
    assert_eq!(elsewhere.get("/forward-auth").await.status, 200);
}

#[tokio::test]
async fn whoever_changes_the_rows_is_heard() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let is = async |secret: &str, status: u16| {
        let client = admin.with_key(secret);
        wait_until(async || client.get("/forward-auth").await.status == status).await;
    };
    let acme = server.database.acme;

    let key = admin.create("n", "read").await;
    is(&key.secret, 200).await;
    let statement = format!("UPDATE api_keys SET revoked_at = now() WHERE id = '{}'", key.id);
    server.database.execute(&statement).await;
    is(&key.secret, 401).await;

    let key = admin.create("n", "read").await;
    is(&key.secret, 200).await;
    let statement = format!("UPDATE api_key_secrets SET expires_at = now() WHERE key_id = '{}'", key.id);
    server.database.execute(&statement).await;
    is(&key.secret, 401).await;

    let key = admin.create("n", "read").await;
    is(&key.secret, 200).await;
    server.database.execute(&format!("UPDATE tenants SET suspended_at = now() WHERE id = '{acme}'")).await;
    is(&key.secret, 401).await;
    server.database.execute(&format!("UPDATE tenants SET suspended_at = NULL WHERE id = '{acme}'")).await;
    is(&key.secret, 200).await;
    server.database.execute(&format!("DELETE FROM api_key_secrets WHERE key_id = '{}'", key.id)).await;
    is(&key.secret, 401).await;
    let key = admin.create("n", "read").await;
    is(&key.secret, 200).await;
    server.database.execute("TRUNCATE api_key_secrets").await;
    is(&key.secret, 401).await;
}

/// A key that was just made on one instance works at once on another, which has refused it.
#[tokio::test]
async fn nothing_remembers_a_refusal() {
    let (one, other) = two().await;
    for _ in 0..10 {
        let key = one.admin("acme").create("n", "read").await;
        assert_eq!(other.admin("acme").with_key(&key.secret).get("/forward-auth").await.status, 200);
    }
}

/// The feed's connection goes wrong in some way; a revocation on the other instance is not
/// accepted past the promise, and with the feed back everything works again.
async fn a_feed_that_goes_wrong(mode: Mode) {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let url = database.url_text(None).await;
    let direct = database.url_through(proxy.address);
    let settings = [("DATABASE_URL", url.as_str()), ("DATABASE_DIRECT_URL", direct.as_str())];
    let behind = TestServer::on(database, &settings).await;
    let sound = behind.sibling(&[]).await;
    behind.wait_for_feed().await;
    sound.wait_for_feed().await;

    let admin = sound.admin("acme");
    let mut keys = Vec::new();
    for _ in 0..3 {
        let key = admin.create("n", "read").await;
        time_until(&behind, &key.secret, 200).await; // and cached
        keys.push(key);
    }
    proxy.set(mode);
    let revoked = Instant::now();
    admin.delete(&keys[0].path()).await.expect(204);
    let took = time_until(&behind, &keys[0].secret, 401).await;
    assert!(took < LEASE + Duration::from_millis(500), "{took:?} after the feed went wrong");
    // Past the lease at the latest, nothing that was cached is used: refused at the first request.
    tokio::time::sleep((LEASE + Duration::from_millis(100)).saturating_sub(revoked.elapsed())).await;
    admin.delete(&keys[1].path()).await.expect(204);
    behind.admin("acme").with_key(&keys[1].secret).get("/forward-auth").await.refused(401, "key_revoked");
    let readiness = behind.admin("acme").get("/readyz").await;
    assert_eq!((readiness.status.as_u16(), &readiness.json()["status"]), (200, &json!("degraded")));
    // What is right still works.
    assert_eq!(behind.admin("acme").with_key(&keys[2].secret).get("/forward-auth").await.status, 200);

    proxy.set(Mode::Pass);
    behind.wait_for_feed().await;
    for key in &keys[..2] {
        behind.admin("acme").with_key(&key.secret).get("/forward-auth").await.refused(401, "key_revoked");
    }
    assert_eq!(behind.admin("acme").with_key(&keys[2].secret).get("/forward-auth").await.status, 200);
    admin.delete(&keys[2].path()).await.expect(204);
    assert!(time_until(&behind, &keys[2].secret, 401).await < Duration::from_secs(1));
}

#[tokio::test]
async fn a_feed_whose_connection_is_closed() {
    a_feed_that_goes_wrong(Mode::Cut).await;
}

#[tokio::test]
async fn a_feed_that_is_blackholed() {
    a_feed_that_goes_wrong(Mode::Blackhole).await;
}
