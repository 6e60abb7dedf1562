//! SIGTERM loses nothing.

use std::{future::ready, io::ErrorKind, time::Duration};

use chrono::TimeDelta;
use rally_api_keys::{
    app::Stop,
    domain::{ApiKeyId, KeyHint, Secret},
    store::DatabaseUrl,
    usage::{self, UsageCounter},
};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    binary::Home,
    client::{Credential, PATH},
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer, open, sign},
    proxy::{Mode, Proxy},
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

/// A client that says nothing, or does not take its answer, costs others no figure.
#[tokio::test]
async fn usage_is_written_whoever_lingers() {
    let database = TestDatabase::create().await;
    let home = Home::new("lingering");
    let url = database.url_text(None).await;
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("JWT_SECRET", JWT_SECRET),
        ("KEY_PEPPER", PEPPER),
        ("SHUTDOWN_GRACE_SECONDS", "3"),
    ];
    let service = home.serve(&settings).await;
    let end = chrono::Utc::now().timestamp() + 600;
    let token = sign(&json!({"sub": "42", "tenant": "acme", "scope": "admin", "exp": end}));
    let admin = service.client("acme", Credential::Bearer(token));
    let key = admin.create("Used", "read").await;
    let _silent = RawConnection::open(service.address).await;
    for _ in 0..7 {
        assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    }
    let (status, log) = service.terminate().await;
    assert!(status.success() && log.contains("stopped before every request had ended"), "{log}");
    assert_eq!(database.counted_requests().await, 7);
}

/// The database goes wrong in some way some time before the end, as where it moves to another server during a
/// deployment: what is left to be written waits for it, within the grace.
async fn usage_waits_for_a_database(mode: Mode, before_the_end: Duration) {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    // The change feed has a way of its own, so that what is remembered may be trusted.
    let (through, direct) = (database.url_through(proxy.address), database.url_text(None).await);
    let settings = [
        ("DATABASE_URL", through.as_str()),
        ("DATABASE_DIRECT_URL", direct.as_str()),
        ("SHUTDOWN_GRACE_SECONDS", "20"),
    ];
    let url = DatabaseUrl::parse(&through).unwrap();
    let mut server = TestServer::logged_in_by(&url, database, &settings).await;
    let admin = server.admin("acme");
    let key = admin.create("Used", "read").await;
    server.wait_for_feed().await;
    let check = async || assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    check().await;
    let written = async || server.database.counted_requests().await == 1;
    until(written, "the first batch").await;
    proxy.set(mode);
    check().await; // it is remembered
    sleep(before_the_end).await;
    let back = async {
        sleep(Duration::from_secs(6)).await;
        proxy.set(Mode::Pass);
    };
    tokio::join!(server.stop(), back);
    assert_eq!(server.database.counted_requests().await, 2);
}

#[tokio::test]
async fn usage_waits_for_a_database_that_goes_away_at_the_end() {
    usage_waits_for_a_database(Mode::Cut, Duration::ZERO).await;
}

#[tokio::test]
async fn usage_waits_for_a_database_that_is_away_at_the_end() {
    usage_waits_for_a_database(Mode::Cut, Duration::from_secs(4)).await;
}

#[tokio::test]
async fn usage_waits_for_a_database_that_does_not_answer_at_the_end() {
    usage_waits_for_a_database(Mode::Blackhole, Duration::from_secs(3)).await;
}

/// The same of uses of dead secrets.
async fn dead_uses_wait_for_a_database(mode: Mode) {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("Dead", "read").await;
    let proxy = Proxy::start(server.database.socket().await).await;
    let url = DatabaseUrl::parse(&server.database.url_through(proxy.address)).unwrap();
    let (recorder, worker) = usage::start(open(&url).await.unwrap().usage(), server.clock.clone(), TimeDelta::days(1));
    proxy.set(mode);
    let digest = Secret::parse(key.secret.as_bytes()).unwrap().lookup_digest();
    let counter = UsageCounter::new(server.database.acme, ApiKeyId::parse(&key.id).unwrap(), digest);
    recorder.dead_secret_used(&counter, KeyHint::from_last4("0000").unwrap(), server.clock.now(), None, "some-request");
    let back = async {
        sleep(Duration::from_secs(5)).await;
        proxy.set(Mode::Pass);
    };
    tokio::join!(worker.run(ready(Instant::now() + Duration::from_secs(15))), back);
    let told = "SELECT count(*) FROM api_key_events WHERE kind = 'secret_reused' AND request_id = 'some-request'";
    assert_eq!(server.database.count(told).await, 1);
}

#[tokio::test]
async fn dead_uses_wait_for_a_database_that_is_away_at_the_end() {
    dead_uses_wait_for_a_database(Mode::Cut).await;
}

#[tokio::test]
async fn dead_uses_wait_for_a_database_that_does_not_answer_at_the_end() {
    dead_uses_wait_for_a_database(Mode::Blackhole).await;
}

/// By a migration that is under way, say. What is left at the end has its second chance, too.
#[tokio::test]
async fn usage_that_is_refused_once_is_written_at_the_end() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Used", "read").await;
    server.database.refuse_usage_once().await;
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    server.stop().await;
    assert_eq!(server.database.usage_attempts().await, 2);
    assert_eq!(server.database.counted_requests().await, 1);
}

/// Whoever sends requests on after SIGTERM, as load balancers do for a moment, has them answered, and
/// is told to go elsewhere: by the probe, and by the end of each connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_comes_first() {
    const DRAIN: Duration = Duration::from_secs(1);
    let mut server = TestServer::with(&[("SHUTDOWN_DRAIN_SECONDS", "1")]).await;
    let (address, admin) = (server.address, server.admin("acme"));
    let key = admin.create("Drained", "read").await;
    let check = format!("GET /forward-auth HTTP/1.1\r\nHost: acme.localhost\r\nX-Api-Key: {}\r\n\r\n", key.secret);
    let probe = "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut connection = RawConnection::open(address).await;
        connection.send(&check).await;
        let reply = connection.reply().await;
        assert_eq!((reply.status, reply.header("connection")), (200, None));
        kept.push(connection);
    }
    let lock = hold_creates(&server.database).await;
    let create = tokio::spawn(async move { admin.post(PATH, &json!({"name": "In flight"})).await });
    held(&server.database, 1).await;

    let told = Instant::now();
    let asking = async {
        let begun = async || {
            let mut connection = RawConnection::open(address).await;
            connection.send(probe).await;
            connection.reply().await.status == 503
        };
        until(begun, "the drain").await;
        // On a connection that was there before, too.
        kept[0].send(probe).await;
        let reply = kept[0].reply().await;
        assert_eq!((reply.status, reply.header("connection")), (503, Some("close")));
        assert_eq!(reply.json()["code"], "stopping");
        assert_eq!(kept[0].end().await, "");
        kept[1].send(&check).await;
        let reply = kept[1].reply().await;
        assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
        assert_eq!(kept[1].end().await, "");
        // New connections are served too, until the end of the drain.
        let mut served = 0;
        while let Ok(mut connection) = RawConnection::try_open(address).await {
            if !connection.try_send(&check).await {
                break;
            }
            let Some(reply) = connection.reply_or_end().await else { break };
            assert_eq!((reply.status, reply.header("connection")), (200, Some("close")));
            served = served.max(told.elapsed().as_millis());
            sleep(Duration::from_millis(20)).await;
        }
        assert!(served >= DRAIN.as_millis() - 300, "served for {served} ms");
        // What rested all the while is closed; what is in flight goes on.
        assert_eq!(kept[2].end().await, "");
        assert!(!create.is_finished());
        lock.close().await.unwrap();
        create.await.unwrap().expect(201);
    };
    let ((), ()) = tokio::join!(asking, server.stop_by(Stop::Drain));
    // With room for a busy machine: within the grace.
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
}

/// The real program, by SIGTERM: it drains, and a second signal ends it at once.
#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let database = TestDatabase::create().await;
    let home = Home::new("second-signal");
    let url = database.url_text(None).await;
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("JWT_SECRET", JWT_SECRET),
        ("KEY_PEPPER", PEPPER),
        ("SHUTDOWN_DRAIN_SECONDS", "15"),
    ];
    let service = home.serve(&settings).await;
    let probe = service.client("acme", Credential::None);
    assert_eq!(probe.get("/readyz").await.status, 200);
    service.signal("TERM").await;
    until(async || probe.get("/readyz").await.status == 503, "the drain").await;
    let begun = Instant::now();
    let (status, log) = service.terminate().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(status.code(), Some(1), "{log}");
    // Whoever presses Ctrl-C waits for no drain.
    let service = home.serve(&settings).await;
    let begun = Instant::now();
    service.signal("INT").await;
    let (status, log) = service.ended().await;
    assert!(status.success() && log.contains("stopped"), "{log}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
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
