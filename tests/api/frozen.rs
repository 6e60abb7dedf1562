//! A process that was frozen for longer than the lease trusts nothing when it wakes.

use std::time::Duration;

use rally_api_keys::auth::cache::lease::LEASE;

use crate::{
    binary::Home,
    client::Credential,
    harness::{TestServer, wait_until},
};

#[tokio::test]
async fn the_first_request_after_the_freeze_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let home = Home::new("frozen");
    let frozen = home.serve_on(&server.database).await;
    let key = admin.create("n", "read").await;
    let client = frozen.client("acme", Credential::ApiKey(key.secret.clone()));
    wait_until(async || client.get("/readyz").await.json()["status"] == "ready").await;
    assert_eq!(client.get("/forward-auth").await.status, 200); // and cached

    frozen.signal("STOP").await;
    admin.delete(&key.path()).await.expect(204);
    tokio::time::sleep(LEASE + Duration::from_millis(200)).await;
    // It waits in the socket while the process sleeps, and is the first thing that it sees.
    let asked = tokio::spawn(async move { client.get("/forward-auth").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    frozen.signal("CONT").await;
    asked.await.unwrap().refused(401, "key_revoked");
}
