//! Dead secrets that somebody still uses: refused as ever, and told in the audit trail.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::{
    client::{Client, PATH},
    harness::{TestServer, wait_until},
};

const CHECK: &str = "/forward-auth";

async fn reuses(admin: &Client) -> Vec<Value> {
    let told = admin.get(&format!("{PATH}/events?type=secret_reused")).await.expect(200);
    told.as_array().unwrap().clone()
}

#[tokio::test]
async fn a_revoked_keys_use_is_told_once_an_hour() {
    let server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let sibling = server.sibling(&[]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    admin.delete(&key.path()).await.expect(204);
    assert_eq!(reuses(&admin).await, [] as [Value; 0]);

    let client = admin.with_key(&key.secret);
    let request = client.request(reqwest::Method::GET, CHECK).header("x-forwarded-for", "203.0.113.9");
    let first = crate::client::send(request).await;
    first.refused(401, "key_revoked");
    for _ in 0..5 {
        client.get(CHECK).await.refused(401, "key_revoked");
        let at_the_other = sibling.client("acme", crate::client::Credential::ApiKey(key.secret.clone()));
        at_the_other.get(PATH).await.refused(401, "key_revoked");
    }
    wait_until(async || !reuses(&admin).await.is_empty()).await;
    // The sibling's has been looked at by now, too.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let told = reuses(&admin).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["keyId"], key.id);
    assert_eq!(told[0]["actor"], Value::Null, "nobody knows who has it");
    assert!(["203.0.113.9", "127.0.0.1"].contains(&told[0]["address"].as_str().unwrap()));
    let hint = told[0]["details"]["keyHint"].as_str().unwrap();
    assert!(key.secret.ends_with(&hint[hint.len() - 4..]));
    assert!(!told[0].to_string().contains(&key.secret[8..]));

    server.clock.turn(TimeDelta::minutes(61));
    client.get(CHECK).await.refused(401, "key_revoked");
    let admin = server.admin("acme");
    wait_until(async || reuses(&admin).await.len() == 2).await;
    let metrics = admin.get("/metrics").await.body;
    assert!(metrics.contains("rally_dead_secret_uses_total 7"), "{metrics}");
}

#[tokio::test]
async fn a_rotated_away_secrets_use_is_told_after_its_end() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let client = admin.with_key(&key.secret);
    admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": 600})).await.expect(200);
    assert_eq!(client.get(CHECK).await.status, 200);
    server.clock.turn(TimeDelta::seconds(601));
    client.get(CHECK).await.refused(401, "invalid_key");
    wait_until(async || reuses(&admin).await.len() == 1).await;
    let told = &reuses(&admin).await[0];
    let hint = told["details"]["keyHint"].as_str().unwrap();
    assert!(key.secret.ends_with(&hint[hint.len() - 4..]), "the old one's");

    // Ended at once.
    let other = admin.create("n", "read").await;
    admin.post(&format!("{}/rotate", other.path()), &json!({"overlapSeconds": 0})).await.expect(200);
    admin.with_key(&other.secret).get(CHECK).await.refused(401, "invalid_key");
    wait_until(async || reuses(&admin).await.len() == 2).await;
}

#[tokio::test]
async fn what_was_never_a_secret_is_not_told() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = (server.clock.now() + TimeDelta::minutes(1)).to_rfc3339();
    let key = admin.create_with(&json!({"name": "n", "expiresAt": end})).await;
    admin.with_key("rk_live_00000000000000000000000000000000").get(CHECK).await.refused(401, "invalid_key");
    server.clock.turn(TimeDelta::minutes(2));
    // An expired key may be given a new end: its use is counted, and no alarm.
    admin.with_key(&key.secret).get(CHECK).await.refused(401, "key_expired");
    let dead = admin.create("n", "read").await;
    admin.delete(&dead.path()).await.expect(204);
    admin.with_key(&dead.secret).get(CHECK).await.refused(401, "key_revoked");
    wait_until(async || !reuses(&admin).await.is_empty()).await;
    assert_eq!(reuses(&admin).await.len(), 1);
}

#[tokio::test]
async fn stopping_loses_none() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    for n in 0..5 {
        let key = admin.create(&format!("n{n}"), "read").await;
        admin.delete(&key.path()).await.expect(204);
        admin.with_key(&key.secret).get(CHECK).await.refused(401, "key_revoked");
    }
    server.stop().await;
    let told = "SELECT count(*) FROM api_key_events WHERE kind = 'secret_reused'";
    assert_eq!(server.database.count(told).await, 5);
}
