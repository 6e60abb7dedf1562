//! A process that was frozen for longer than the lease trusts nothing when it wakes.

use std::time::Duration;

use rally_api_keys::{auth::cache::lease::LEASE, domain::ApiKeyId, store};
use sqlx::Executor as _;

use crate::{
    binary::Home,
    client::Credential,
    harness::{TestServer, open, wait_until},
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

/// A process that is frozen within a transaction keeps its locks for 5 s.
#[tokio::test]
async fn an_idle_transaction_ends_and_frees_its_locks() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("n", "read").await;
    let database = open(&server.database.url().await).await.unwrap();
    let tenant = database.tenant_stores().tenant(server.database.acme);
    // An export of the audit trail may take its time, and holds no locks.
    let mut export = tenant.begin_export().await.unwrap();
    export.chain(0, 1).await.unwrap();
    let mut frozen = tenant.begin_write().await.unwrap();
    let id = ApiKeyId::parse(&key.id).unwrap();
    frozen.lock_key(id).await.unwrap();
    let mut other = server.database.connect().await;
    let lock = "SELECT FROM api_keys FOR NO KEY UPDATE NOWAIT";
    assert!(other.execute(lock).await.is_err(), "locked");
    wait_until(async || other.execute(lock).await.is_ok()).await;
    let outcome = frozen.lock_key(id).await.map(|_| ());
    assert!(matches!(outcome, Err(store::Error::Unavailable(_))), "{outcome:?}");
    export.chain(0, 1).await.unwrap();
}
