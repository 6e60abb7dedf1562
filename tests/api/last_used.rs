//! `lastUsedAt` is at most 5 s behind, and is written when the process stops.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use rally_api_keys::{
    domain::{ApiKeyId, Secret},
    usage::{self, UsageCounter},
};
use serde_json::{Value, json};

use crate::{
    client::PATH,
    harness::{TestServer, open, wait_until},
};

#[tokio::test]
async fn a_use_is_shown_within_five_seconds() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("used", "read").await;
    let unused = admin.create("unused", "read").await;
    let (before, used) = (server.clock.now(), Instant::now());
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
    let changed = admin.patch(&key.path(), &json!({"name": "still used"})).await.expect(200);
    assert_eq!(changed["lastUsedAt"], last_used().await);
}

/// Twice as many keys as fit in a batch.
#[tokio::test]
async fn uses_of_5000_keys_within_a_second_are_shown_within_five_seconds() {
    const KEYS: i64 = 5_000;
    let server = TestServer::start().await;
    let store = open(&server.database.url().await).await.unwrap();
    let (recorder, worker) = usage::start(store.usage(), server.clock.clone(), TimeDelta::days(1));
    let worker = tokio::spawn(worker.run(std::future::pending()));
    // The usage worker treats a counter as cached while another owner holds it, here this vector.
    let counters: Vec<_> = (0..KEYS)
        .map(|_| {
            let digest = Secret::generate().lookup_digest();
            Arc::new(UsageCounter::new(server.database.acme, ApiKeyId::generate(), digest))
        })
        .collect();
    let used = Instant::now();
    for counter in &counters {
        recorder.used(counter, server.clock.now(), usage::Client::default());
    }
    let shown = async || server.database.count("SELECT count(*) FROM api_key_last_uses").await;
    wait_until(async || shown().await == KEYS).await;
    // 2 s of tolerance for a busy machine.
    assert!(used.elapsed() < Duration::from_secs(5 + 2), "{:?}", used.elapsed());
    worker.abort();
}

#[tokio::test]
async fn a_refused_request_does_not_change_the_last_use() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create_with(&json!({"name": "n", "expiresAt": "2099-01-01T00:00:00Z"})).await;
    let sentinel = admin.create("sentinel", "read").await;
    admin.delete(&key.path()).await.expect(204);
    admin.with_key(&key.secret).get(PATH).await.refused(401, "key_revoked");
    admin.with_key(&sentinel.secret).get(PATH).await.expect(200);
    // The sentinel was used later. Once its use is shown, a use of the other key would be shown too.
    wait_until(async || admin.get(&sentinel.path()).await.expect(200)["lastUsedAt"] != Value::Null).await;
    assert_eq!(admin.get(&key.path()).await.expect(200)["lastUsedAt"], Value::Null);
}

#[tokio::test]
async fn each_secret_of_a_rotation_has_its_own_last_use() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    let state = async || admin.get(&key.path()).await.expect(200);
    let previous = async || state().await["rotation"]["previousLastUsedAt"].clone();
    assert_eq!(admin.with_key(rotated["key"].as_str().unwrap()).get("/forward-auth").await.status, 200);
    wait_until(async || state().await["lastUsedAt"] != Value::Null).await;
    assert_eq!(previous().await, Value::Null);
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    wait_until(async || previous().await != Value::Null).await;
    assert_eq!(state().await["lastUsedAt"], previous().await, "the later of the two uses");
    let listed = admin.get(PATH).await.expect(200)[0].clone();
    assert_eq!(listed["rotation"]["previousLastUsedAt"], previous().await);
}

#[tokio::test]
async fn unwritten_last_uses_are_written_when_the_server_stops() {
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
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_last_uses").await, 20);
}

/// An instance whose clock is behind writes such a use.
#[tokio::test]
async fn an_earlier_use_does_not_replace_a_later_one() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let later = format!(
        "INSERT INTO api_key_last_uses (tenant_id, key_id, lookup_digest, used_at)
         VALUES ('{}', '{}', '\\x{}', '2090-01-01T00:00:00Z')",
        server.database.acme,
        key.id,
        key.digest()
    );
    server.database.execute(&later).await;
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    server.stop().await;
    assert_eq!(server.database.counted_requests().await, 1);
    let kept = "SELECT count(*) FROM api_key_last_uses WHERE used_at = '2090-01-01T00:00:00Z' AND address IS NULL";
    assert_eq!(server.database.count(kept).await, 1);
}
