//! Uses of dead secrets, which a revocation or a rotation has ended: refused, and recorded in the audit trail.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    client::{Client, PATH},
    harness::{TestServer, wait_until},
};

const CHECK: &str = "/forward-auth";

async fn reuse_events(admin: &Client) -> Vec<Value> {
    let recorded = admin.get(&format!("{PATH}/events?type=secret_reused")).await.expect(200);
    recorded.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_use_of_a_revoked_key_is_recorded_once_an_hour() {
    let server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let sibling = server.sibling(&[]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    admin.delete(&key.path()).await.expect(204);
    assert_eq!(reuse_events(&admin).await, [] as [Value; 0]);

    let client = admin.with_key(&key.secret);
    let request = client.request(reqwest::Method::GET, CHECK).header("x-forwarded-for", "203.0.113.9");
    let first = crate::client::send(request).await;
    first.refused(401, "key_revoked");
    for _ in 0..5 {
        client.get(CHECK).await.refused(401, "key_revoked");
        let at_the_other = sibling.client("acme", crate::client::Credential::ApiKey(key.secret.clone()));
        at_the_other.get(PATH).await.refused(401, "key_revoked");
    }
    wait_until(async || !reuse_events(&admin).await.is_empty()).await;
    // Time for the sibling to process its uses as well.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let recorded = reuse_events(&admin).await;
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    assert_eq!(recorded[0]["keyId"], key.id);
    assert_eq!(recorded[0]["actor"], Value::Null, "an actor was recorded");
    assert!(["203.0.113.9", "127.0.0.1"].contains(&recorded[0]["address"].as_str().unwrap()));
    let hint = recorded[0]["details"]["keyHint"].as_str().unwrap();
    assert!(key.secret.ends_with(&hint[hint.len() - 4..]));
    assert!(!recorded[0].to_string().contains(&key.secret[8..]));

    server.clock.turn(TimeDelta::minutes(61));
    // By the database's clock, since that of each instance may differ.
    let an_hour_ago = "UPDATE api_key_secrets SET reuse_recorded_at = reuse_recorded_at - interval '1 hour'";
    server.database.execute(an_hour_ago).await;
    client.get(CHECK).await.refused(401, "key_revoked");
    let admin = server.admin("acme");
    wait_until(async || reuse_events(&admin).await.len() == 2).await;
    let metrics = admin.get("/metrics").await.body;
    assert!(metrics.contains("rally_dead_secret_uses_total 7"), "{metrics}");
}

#[tokio::test]
async fn a_use_of_a_previous_secret_is_recorded_after_its_end() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let client = admin.with_key(&key.secret);
    admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": 600})).await.expect(200);
    assert_eq!(client.get(CHECK).await.status, 200);
    server.clock.turn(TimeDelta::seconds(601));
    client.get(CHECK).await.refused(401, "invalid_key");
    wait_until(async || reuse_events(&admin).await.len() == 1).await;
    let recorded = &reuse_events(&admin).await[0];
    let hint = recorded["details"]["keyHint"].as_str().unwrap();
    assert!(key.secret.ends_with(&hint[hint.len() - 4..]), "the hint is not that of the old secret");

    // A rotation without overlap.
    let other = admin.create("n", "read").await;
    admin.post(&format!("{}/rotate", other.path()), &json!({"overlapSeconds": 0})).await.expect(200);
    admin.with_key(&other.secret).get(CHECK).await.refused(401, "invalid_key");
    wait_until(async || reuse_events(&admin).await.len() == 2).await;
}

#[tokio::test]
async fn uses_of_unknown_and_expired_keys_are_not_recorded() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = (server.clock.now() + TimeDelta::minutes(1)).to_rfc3339();
    let key = admin.create_with(&json!({"name": "n", "expiresAt": end})).await;
    admin.with_key("rk_live_00000000000000000000000000000000").get(CHECK).await.refused(401, "invalid_key");
    server.clock.turn(TimeDelta::minutes(2));
    // An expired key can be extended, so its use is counted, and not recorded as an event.
    admin.with_key(&key.secret).get(CHECK).await.refused(401, "key_expired");
    let dead = admin.create("n", "read").await;
    admin.delete(&dead.path()).await.expect(204);
    admin.with_key(&dead.secret).get(CHECK).await.refused(401, "key_revoked");
    wait_until(async || !reuse_events(&admin).await.is_empty()).await;
    assert_eq!(reuse_events(&admin).await.len(), 1);
}

#[tokio::test]
async fn all_uses_of_dead_secrets_are_recorded_before_the_server_stops() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    for n in 0..5 {
        let key = admin.create(&format!("n{n}"), "read").await;
        admin.delete(&key.path()).await.expect(204);
        admin.with_key(&key.secret).get(CHECK).await.refused(401, "key_revoked");
    }
    server.stop().await;
    let recorded = "SELECT count(*) FROM api_key_events WHERE kind = 'secret_reused'";
    assert_eq!(server.database.count(recorded).await, 5);
}
