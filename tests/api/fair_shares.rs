//! One tenant's lists, changes and unread responses take neither the connections nor the memory of others.

use std::time::Duration;

use futures_util::future::join_all;
use rally_api_keys::{
    domain::Slug,
    store::{DatabaseUrl, TenantAdmin},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::time::{Instant, timeout};

use crate::{
    client::{Client, PATH, Reply},
    harness::{TestDatabase, TestServer, wait_until},
    proxy::{Mode, Proxy},
};

async fn metric(client: &Client, sample: &str) -> u64 {
    let reply = client.get("/metrics").await;
    let value = reply.body.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {sample} in {}", reply.body))
}

/// Two tenants' creates wait for locks on all connections that are not kept for revocations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_calls_of_one_tenant_leave_connections_to_others_and_to_revocations() {
    const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let server = TestServer::start().await;
    let initech = Slug::parse("initech").unwrap();
    let mut operator = TenantAdmin::connect(&server.database.url().await).await.unwrap();
    operator.create_tenant(&initech, "A third tenant", server.clock.now()).await.unwrap().expect("a new tenant");
    let (acme, globex, initech) = (server.admin("acme"), server.admin("globex"), server.admin("initech"));
    let [first, second] = [initech.create("n", "read").await, initech.create("n", "read").await];

    let mut locker = server.database.connect().await;
    let lock = |tenant| {
        AssertSqlSafe(format!("BEGIN; SELECT FROM api_key_event_heads WHERE tenant_id = '{tenant}' FOR UPDATE"))
    };
    locker.execute(lock(server.database.acme)).await.unwrap();
    let creates = |client: &Client| {
        let client = client.clone();
        tokio::spawn(async move {
            let body = json!({"name": "n"});
            join_all((0..40).map(|_| client.post(PATH, &body))).await
        })
    };
    let of_acme = creates(&acme);
    wait_until(async || metric(&acme, "rally_database_turns_waiting{share=\"ordinary\"}").await >= 36).await;
    wait_until(async || server.database.count(WAITING).await == 4).await; // half of the ordinary connections
    let begun = Instant::now();
    globex.get(PATH).await.expect(200);
    let key = globex.create("n", "read").await;
    globex.delete(&key.path()).await.expect(204);
    initech.delete(&first.path()).await.expect(204);

    let mut other_locker = server.database.connect().await;
    other_locker.execute(lock(server.database.globex)).await.unwrap();
    let of_globex = creates(&globex);
    wait_until(async || server.database.count(WAITING).await >= 8).await;
    let mut list = tokio::spawn({
        let initech = initech.clone();
        async move { initech.get(PATH).await }
    });
    wait_until(async || metric(&acme, "rally_database_turns_waiting{share=\"ordinary\"}").await >= 73).await;
    initech.delete(&second.path()).await.expect(204);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(timeout(Duration::ZERO, &mut list).await.is_err(), "the list still waits for its turn");

    for mut locker in [locker, other_locker] {
        locker.execute("ROLLBACK").await.unwrap();
    }
    list.await.unwrap().expect(200);
    for replies in [of_acme, of_globex] {
        for reply in replies.await.unwrap() {
            assert!(reply.status == 201 || reply.status == 503, "{reply:?}");
        }
    }
    wait_until(async || metric(&acme, "rally_database_connections{pool=\"management\",state=\"in_use\"}").await == 0)
        .await;
}

/// The server, or a pooler, does not answer and does not close the connection either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_without_a_response_ends_and_frees_its_connection() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let url = database.url_through(proxy.address);
    let server = TestServer::logged_in_by(&DatabaseUrl::parse(&url).unwrap(), database, &[]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    proxy.set(Mode::Blackhole);
    let begun = Instant::now();
    let path = key.path();
    let replies: [Reply; 3] = tokio::join!(admin.get(PATH), admin.get(&path), admin.delete(&path)).into();
    for reply in replies {
        reply.refused(503, "database_unavailable");
    }
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    wait_until(async || metric(&admin, "rally_database_connections{pool=\"management\",state=\"in_use\"}").await == 0)
        .await;
    proxy.set(Mode::Pass);
    admin.get(PATH).await.expect(200);
    admin.delete(&path).await.expect(204);
}
