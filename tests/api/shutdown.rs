//! SIGTERM loses nothing.

use std::{io::ErrorKind, time::Duration};

use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    client::PATH,
    harness::{TestDatabase, TestServer},
    raw::RawConnection,
};

/// Holds every create up at its last statement, until the connection is closed.
async fn hold_creates(database: &TestDatabase) -> PgConnection {
    let mut connection = database.connect().await;
    connection.execute("BEGIN; LOCK TABLE api_key_events IN SHARE MODE").await.unwrap();
    connection
}

/// Waits until so many requests are held up.
async fn held(database: &TestDatabase, wanted: i64) {
    until(
        async || {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            database.count(waiting).await == wanted
        },
        "requests in flight",
    )
    .await;
}

async fn until(mut done: impl AsyncFnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done().await {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Sessions of the service on that database.
async fn sessions(database: &TestDatabase) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'rally-api-keys'";
    database.count(sql).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_are_answered() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut resting = RawConnection::open(server.address).await;
    resting.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(resting.reply().await.status, 200);

    let lock = hold_creates(&server.database).await;
    let creates: Vec<_> = (0..5)
        .map(|n| {
            let admin = admin.clone();
            tokio::spawn(async move { admin.post(PATH, &json!({"name": format!("Key {n}")})).await })
        })
        .collect();
    held(&server.database, 5).await;
    assert!(sessions(&server.database).await >= 5);

    let address = server.address;
    let release = async {
        let refused = async || {
            RawConnection::try_open(address)
                .await
                .err()
                .is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        };
        until(refused, "new connections to be refused").await;
        assert_eq!(timeout(Duration::from_secs(2), resting.end()).await.expect("an end of what rests"), "");
        assert!(creates.iter().all(|create| !create.is_finished()), "an answer before the commit");
        lock.close().await.unwrap();
        for create in creates {
            create.await.unwrap().expect(201);
        }
        Instant::now()
    };
    let (answered, stopped) = tokio::join!(release, async {
        server.stop().await;
        Instant::now()
    });
    assert!(stopped < answered + Duration::from_secs(2), "it went on for {:?}", stopped - answered);
    until(async || sessions(&server.database).await == 0, "the sessions' end").await;
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys").await, 5);
}

/// The request of a client that has left is one in flight, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_a_client_are_waited_for() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let lock = hold_creates(&server.database).await;
    let create = tokio::spawn(async move { admin.post(PATH, &json!({"name": "Orphan"})).await });
    held(&server.database, 1).await;
    create.abort();
    assert!(create.await.unwrap_err().is_cancelled());

    let released = async {
        // Long enough for a stop that does not wait.
        sleep(Duration::from_millis(500)).await;
        lock.close().await.unwrap();
        Instant::now()
    };
    let (released, stopped) = tokio::join!(released, async {
        server.stop().await;
        Instant::now()
    });
    assert!(stopped >= released, "it stopped {:?} before the request could end", released - stopped);
    until(async || sessions(&server.database).await == 0, "the sessions' end").await;
    let whole = "SELECT count(*) FROM api_keys k JOIN api_key_secrets s ON s.key_id = k.id
                 JOIN api_key_events e ON e.key_id = k.id AND e.kind = 'created' WHERE k.name = 'Orphan'";
    assert_eq!(server.database.count(whole).await, 1);
}

/// A request that does not end does not keep the service from ending.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_grace_has_an_end() {
    let mut server = TestServer::with(&[("SHUTDOWN_GRACE_SECONDS", "1")]).await;
    let admin = server.admin("acme");
    let lock = hold_creates(&server.database).await;
    let create = tokio::spawn(async move { admin.post(PATH, &json!({"name": "Stuck"})).await.status });
    held(&server.database, 1).await;
    let begun = Instant::now();
    server.stop().await;
    let took = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&took), "{took:?}");
    create.abort();
    lock.close().await.unwrap();
}
