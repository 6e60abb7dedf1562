//! A process that was stopped (SIGSTOP) for longer than the lease uses no cached data when it continues.

use std::time::Duration;

use rally_api_keys::{auth::cache::lease::LEASE, domain::ApiKeyId, store};
use sqlx::Executor as _;

use crate::{
    binary::Home,
    client::Credential,
    harness::{TestServer, open, wait_until},
};

#[tokio::test]
async fn a_key_revoked_during_a_freeze_is_refused_at_the_first_request_after_it() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let home = Home::new("frozen");
    let frozen = home.serve_on(&server.database).await;
    let key = admin.create("n", "read").await;
    let client = frozen.client("acme", Credential::ApiKey(key.secret.clone()));
    wait_until(async || client.get("/readyz").await.json()["status"] == "ready").await;
    assert_eq!(client.get("/forward-auth").await.status, 200); // now it is cached

    frozen.signal("STOP").await;
    admin.delete(&key.path()).await.expect(204);
    tokio::time::sleep(LEASE + Duration::from_millis(200)).await;
    // The request waits in the socket while the process is stopped, so it is handled first.
    let request = tokio::spawn(async move { client.get("/forward-auth").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    frozen.signal("CONT").await;
    request.await.unwrap().refused(401, "key_revoked");
}

/// PostgreSQL ends the session of a process that is frozen within a transaction after 5 s.
#[tokio::test]
async fn an_idle_write_transaction_is_ended_and_releases_its_locks() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("n", "read").await;
    let database = open(&server.database.url().await).await.unwrap();
    let tenant = database.tenant_stores().tenant(server.database.acme);
    // The transaction of an export of the audit trail may be idle for longer: it holds no row locks.
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
