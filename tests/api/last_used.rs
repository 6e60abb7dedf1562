//! `lastUsedAt`: at most 5 s behind, and written at the end.

use serde_json::{Value, json};

use crate::{
    client::PATH,
    harness::{TestServer, wait_until},
};

#[tokio::test]
async fn a_use_shows_within_five_seconds() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("used", "read").await;
    let unused = admin.create("unused", "read").await;
    let (before, used) = (server.clock.now(), std::time::Instant::now());
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    let last_used = async || admin.get(&key.path()).await.expect(200)["lastUsedAt"].clone();
    wait_until(async || last_used().await != Value::Null).await;
    assert!(used.elapsed().as_secs() < 5, "{:?}", used.elapsed());
    let at = chrono::DateTime::parse_from_rfc3339(last_used().await.as_str().unwrap()).unwrap();
    assert!(at >= before && at <= server.clock.now(), "{at}");
    assert_eq!(admin.get(&unused.path()).await.expect(200)["lastUsedAt"], Value::Null);
    let listed = admin.get(&format!("{PATH}?search=used&limit=10")).await.expect(200);
    let listed = listed.as_array().unwrap().iter().find(|listed| listed["id"] == key.id).unwrap();
    assert_eq!(listed["lastUsedAt"], last_used().await);
}

#[tokio::test]
async fn a_refused_key_was_not_used() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create_with(&json!({"name": "n", "expiresAt": "2099-01-01T00:00:00Z"})).await;
    let sentinel = admin.create("sentinel", "read").await;
    admin.delete(&key.path()).await.expect(204);
    admin.with_key(&key.secret).get(PATH).await.refused(401, "key_revoked");
    admin.with_key(&sentinel.secret).get(PATH).await.expect(200);
    // The sentinel's use was noted later; once it shows, the other's would too.
    wait_until(async || admin.get(&sentinel.path()).await.expect(200)["lastUsedAt"] != Value::Null).await;
    assert_eq!(admin.get(&key.path()).await.expect(200)["lastUsedAt"], Value::Null);
}

#[tokio::test]
async fn stopping_writes_what_is_left() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut keys = Vec::new();
    for n in 0..20 {
        keys.push(admin.create(&format!("n{n}"), "read").await);
    }
    for key in &keys {
        assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    }
    server.stop().await;
    server.database.sum_up_usage().await;
    let used = server.database.count("SELECT count(*) FROM api_key_secrets WHERE last_used_at IS NOT NULL").await;
    assert_eq!(used, 20);
}

#[tokio::test]
async fn time_never_goes_back() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    server.database.execute("UPDATE api_key_secrets SET last_used_at = '2090-01-01T00:00:00Z'").await;
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    server.stop().await;
    server.database.sum_up_usage().await;
    let kept = "SELECT count(*) FROM api_key_secrets WHERE last_used_at = '2090-01-01T00:00:00Z'";
    assert_eq!(server.database.count(kept).await, 1);
}
