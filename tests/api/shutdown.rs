//! A stop loses no acknowledged request and no usage.

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
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};

use crate::{
    binary::Home,
    client::{Credential, PATH},
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer, open, sign},
    proxy::{Mode, Proxy},
    raw::RawConnection,
};

/// Blocks every create at its last statement until the returned connection is closed.
async fn block_creates(database: &TestDatabase) -> PgConnection {
    let mut connection = database.connect().await;
    connection.execute("BEGIN; LOCK TABLE api_key_events IN SHARE MODE").await.unwrap();
    connection
}

/// Waits until that number of requests is blocked.
async fn wait_for_blocked(database: &TestDatabase, wanted: i64) {
    until(
        async || {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            database.count(waiting).await == wanted
        },
        "blocked requests",
    )
    .await;
}

async fn until(mut done: impl AsyncFnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done().await {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The number of sessions of the service on that database.
async fn sessions(database: &TestDatabase) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND application_name = 'rally-api-keys'";
    database.count(sql).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_flight_are_completed_before_the_stop() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut idle = RawConnection::open(server.address).await;
    idle.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);

    let lock = block_creates(&server.database).await;
    let creates: Vec<_> = (0..4)
        .map(|n| {
            let admin = admin.clone();
            tokio::spawn(async move { admin.post(PATH, &json!({"name": format!("Key {n}")})).await })
        })
        .collect();
    wait_for_blocked(&server.database, 4).await;
    assert!(sessions(&server.database).await >= 4);

    let address = server.address;
    let release = async {
        let refused = async || {
            RawConnection::try_open(address)
                .await
                .err()
                .is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        };
        until(refused, "new connections to be refused").await;
        assert_eq!(timeout(Duration::from_secs(2), idle.end()).await.expect("the idle connection is closed"), "");
        assert!(creates.iter().all(|create| !create.is_finished()), "a response before the commit");
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
    assert!(
        stopped < answered + Duration::from_secs(2),
        "the server stopped {:?} after the last response",
        stopped - answered
    );
    until(async || sessions(&server.database).await == 0, "the end of the sessions").await;
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys").await, 4);
}

/// A request whose client has disconnected is still in flight.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_requests_whose_clients_have_disconnected() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let lock = block_creates(&server.database).await;
    let create = tokio::spawn(async move { admin.post(PATH, &json!({"name": "Orphan"})).await });
    wait_for_blocked(&server.database, 1).await;
    create.abort();
    assert!(create.await.unwrap_err().is_cancelled());

    let released = async {
        // A stop that does not wait would end within this time.
        sleep(Duration::from_millis(500)).await;
        lock.close().await.unwrap();
        Instant::now()
    };
    let (released, stopped) = tokio::join!(released, async {
        server.stop().await;
        Instant::now()
    });
    assert!(stopped >= released, "the server stopped {:?} before the request ended", released - stopped);
    until(async || sessions(&server.database).await == 0, "the end of the sessions").await;
    let whole = "SELECT count(*) FROM api_keys k JOIN api_key_secrets s ON s.key_id = k.id
                 JOIN api_key_events e ON e.key_id = k.id AND e.kind = 'created' WHERE k.name = 'Orphan'";
    assert_eq!(server.database.count(whole).await, 1);
}

/// A request whose body never ends is in flight for the whole grace.
#[tokio::test]
async fn usage_is_written_although_a_request_is_in_flight_past_the_grace() {
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
    let mut unfinished = RawConnection::open(service.address).await;
    let head = format!(
        "POST /api/v1/api-keys HTTP/1.1\r\nHost: acme.localhost\r\nX-Api-Key: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
        admin.create("Admin", "admin").await.secret
    );
    unfinished.send(head).await;
    for _ in 0..7 {
        assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    }
    let (status, log) = service.terminate().await;
    assert!(status.success() && log.contains("stopped before every request had ended"), "{log}");
    assert_eq!(database.counted_requests().await, 8);
}

#[tokio::test]
async fn a_silent_connection_does_not_delay_the_stop() {
    let mut server = TestServer::start().await;
    let mut silent = RawConnection::open(server.address).await;
    until(async || server.admin("acme").get("/healthz").await.status == 200, "a response").await;
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed()); // without a request, it may stay for 10 s
    assert_eq!(silent.end().await, "");
}

/// The database fails at some time before the stop, for example since it moves to another server during a deployment.
/// Unwritten usage waits for the database within the grace.
async fn check_usage_is_written_after_an_outage(mode: Mode, before_stop: Duration) {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let mut server = TestServer::through(proxy.address, database, &[("SHUTDOWN_GRACE_SECONDS", "20")]).await;
    let admin = server.admin("acme");
    let key = admin.create("Used", "read").await;
    server.wait_for_feed().await;
    let check = async || assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    check().await;
    let written = async || server.database.counted_requests().await == 1;
    until(written, "the first batch").await;
    proxy.set(mode);
    check().await; // a cache hit
    sleep(before_stop).await;
    let back = async {
        sleep(Duration::from_secs(6)).await;
        proxy.set(Mode::Pass);
    };
    tokio::join!(server.stop(), back);
    assert_eq!(server.database.counted_requests().await, 2);
}

#[tokio::test]
async fn usage_is_written_when_the_database_fails_during_the_stop() {
    check_usage_is_written_after_an_outage(Mode::Cut, Duration::ZERO).await;
}

#[tokio::test]
async fn usage_is_written_when_the_database_is_away_at_the_stop() {
    check_usage_is_written_after_an_outage(Mode::Cut, Duration::from_secs(4)).await;
}

#[tokio::test]
async fn usage_is_written_when_the_database_does_not_respond_at_the_stop() {
    check_usage_is_written_after_an_outage(Mode::Blackhole, Duration::from_secs(3)).await;
}

/// The database fails before the stop while events about uses of dead secrets are unwritten.
async fn check_uses_of_dead_secrets_are_recorded_after_an_outage(mode: Mode) {
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
    let recorded = "SELECT count(*) FROM api_key_events WHERE kind = 'secret_reused' AND request_id = 'some-request'";
    assert_eq!(server.database.count(recorded).await, 1);
}

#[tokio::test]
async fn uses_of_dead_secrets_are_recorded_when_the_database_is_away_at_the_stop() {
    check_uses_of_dead_secrets_are_recorded_after_an_outage(Mode::Cut).await;
}

#[tokio::test]
async fn uses_of_dead_secrets_are_recorded_when_the_database_does_not_respond_at_the_stop() {
    check_uses_of_dead_secrets_are_recorded_after_an_outage(Mode::Blackhole).await;
}

/// A migration in progress can refuse a batch. The last batch is retried, too.
#[tokio::test]
async fn usage_that_is_refused_once_is_written_at_the_stop() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Used", "read").await;
    server.database.refuse_usage_once().await;
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    server.stop().await;
    assert_eq!(server.database.usage_attempts().await, 2);
    assert_eq!(server.database.counted_requests().await, 1);
}

/// Load balancers send requests for a moment after SIGTERM. They are served, while the readiness probe fails and each
/// response closes its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_during_the_drain_are_served_while_readiness_fails() {
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
    let lock = block_creates(&server.database).await;
    let create = tokio::spawn(async move { admin.post(PATH, &json!({"name": "In flight"})).await });
    wait_for_blocked(&server.database, 1).await;

    let begun = Instant::now();
    let requests = async {
        let draining = async || {
            let mut connection = RawConnection::open(address).await;
            connection.send(probe).await;
            connection.reply().await.status == 503
        };
        until(draining, "the drain").await;
        // The same on a connection from before the drain.
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
            served = served.max(begun.elapsed().as_millis());
            sleep(Duration::from_millis(20)).await;
        }
        assert!(served >= DRAIN.as_millis() - 300, "requests were served for {served} ms only");
        // The idle connection is closed; the request in flight continues.
        assert_eq!(kept[2].end().await, "");
        assert!(!create.is_finished());
        lock.close().await.unwrap();
        create.await.unwrap().expect(201);
    };
    let ((), ()) = tokio::join!(requests, server.stop_by(Stop::Drain));
    // The whole grace, as tolerance for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// The real program: the first SIGTERM starts the drain.
#[tokio::test]
async fn a_second_signal_during_the_drain_ends_the_process_at_once() {
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
    // SIGINT (Ctrl-C) stops without a drain.
    let service = home.serve(&settings).await;
    let begun = Instant::now();
    service.signal("INT").await;
    let (status, log) = service.ended().await;
    assert!(status.success() && log.contains("stopped"), "{log}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_signal_ends_a_start_that_waits_for_the_database() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let home = Home::new("signal-at-start");
    let url = format!("postgres://rally_api@{}/rally", silent.local_addr().unwrap());
    for signal in ["TERM", "INT"] {
        let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
        let starting = home.launch(&settings);
        let _connection = silent.accept().await.unwrap();
        let begun = Instant::now();
        let (status, log) = starting.end_by(signal).await;
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert!(status.success() && log.contains("before the start was complete"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_request_does_not_delay_the_stop_past_the_grace() {
    let mut server = TestServer::with(&[("SHUTDOWN_GRACE_SECONDS", "1")]).await;
    let admin = server.admin("acme");
    let lock = block_creates(&server.database).await;
    let create = tokio::spawn(async move { admin.post(PATH, &json!({"name": "Stuck"})).await.status });
    wait_for_blocked(&server.database, 1).await;
    let begun = Instant::now();
    server.stop().await;
    let took = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&took), "{took:?}");
    create.abort();
    lock.close().await.unwrap();
}
