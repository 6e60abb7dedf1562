//! Outages of the database: the service keeps running, and recovers without a restart.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Child,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chrono::{TimeDelta, Utc};
use local_postgres::PrivatePostgres;
use rally_api_keys::{
    app::{Service, Stop},
    auth::cache::lease::LEASE,
    domain::{Clock, Slug},
    store::{DatabaseUrl, TenantAdmin, create_database, migrate},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    binary::{Home, crash_postgres},
    client::{Client, CreatedKey, Credential, PATH, Reply},
    harness::{
        JWT_SECRET, PEPPER, TestDatabase, TestServer, clean_up_afterwards, config, scratch_dir, sign, wait_until,
    },
    proxy::{Mode, Proxy},
};

/// A PostgreSQL server for one test and a service on it.
struct Site {
    dir: PathBuf,
    postgres: Option<PrivatePostgres>,
    address: SocketAddr,
    http: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    cleaner: Child,
}

impl Site {
    async fn start(name: &str) -> Self {
        let dir = scratch_dir(name);
        let cleaner = clean_up_afterwards(&dir);
        let postgres = start_postgres(&dir).await;
        let url = DatabaseUrl::socket(postgres.socket_dir(), postgres.port(), postgres.user(), "postgres");
        create_database(&url, "crm").await.unwrap();
        let url = url.database("crm");
        migrate(&url).await.unwrap();
        let acme = Slug::parse("acme").unwrap();
        TenantAdmin::connect(&url).await.unwrap().create_tenant(&acme, "Acme", Utc::now()).await.unwrap();
        let config = config(&[("DATABASE_MAX_CONNECTIONS", "5"), ("DATABASE_CHECK_CONNECTIONS", "5")]);
        let service = Service::start(&config, &url, Clock::default()).await.unwrap_or_else(|error| panic!("{error}"));
        let (address, (stop, stopped)) = (service.address(), oneshot::channel());
        tokio::spawn(service.run(async {
            let _ = stopped.await;
            Stop::AtOnce
        }));
        let http = reqwest::Client::builder().timeout(Duration::from_secs(40)).build().unwrap();
        let site = Self { dir, postgres: Some(postgres), address, http, stop: Some(stop), cleaner };
        site.fill_the_pool().await;
        site
    }

    fn admin(&self) -> Client {
        let end = (Utc::now() + TimeDelta::hours(1)).timestamp();
        let token = sign(&json!({"sub": "42", "tenant": "acme", "scope": "admin", "exp": end}));
        let base = format!("http://{}", self.address);
        Client::new(self.http.clone(), base, "acme.localhost", Credential::Bearer(token))
    }

    /// Sends concurrent requests until the service's pools hold several connections.
    async fn fill_the_pool(&self) {
        let admin = self.admin();
        // Two pools of at most five connections, and two of the change feed. Fast responses need fewer.
        wait_until(async || {
            let mut lists: JoinSet<_> = (0..50)
                .map(|_| {
                    let admin = admin.clone();
                    async move { admin.get(PATH).await }
                })
                .collect();
            while let Some(reply) = lists.join_next().await {
                reply.unwrap().expect(200);
            }
            let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'rally-api-keys'";
            (4..=12).contains(&self.scalar(count).await)
        })
        .await;
    }

    async fn stop_postgres(&mut self) {
        self.postgres.take().unwrap().stop().await.unwrap();
    }

    /// Stops PostgreSQL at once, without a shutdown checkpoint, as in a crash.
    async fn crash_postgres(&mut self) {
        drop(self.postgres.take());
        crash_postgres(&self.dir).await;
    }

    async fn start_postgres(&mut self) {
        self.postgres = Some(start_postgres(&self.dir).await);
    }

    /// Runs a query for a single number as the superuser.
    async fn scalar(&self, sql: &str) -> i64 {
        let postgres = self.postgres.as_ref().unwrap();
        let options = PgConnectOptions::new_without_pgpass()
            .socket(postgres.socket_dir())
            .port(postgres.port())
            .username(postgres.user())
            .database("crm")
            .application_name("test");
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        let value = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        connection.execute("SELECT 1").await.unwrap();
        connection.close().await.unwrap();
        value
    }

    async fn probe(&self, path: &str) -> Reply {
        self.admin().with(Credential::None).get(path).await
    }

    /// Asserts the behaviour during an outage: 503 within the time limits, while the process stays healthy.
    async fn assert_database_unavailable(&self) {
        let begun = Instant::now();
        let admin = self.admin();
        let mut requests = JoinSet::new();
        for n in 0..20 {
            let admin = admin.clone();
            requests.spawn(async move {
                match n % 2 {
                    0 => admin.post(PATH, &json!({"name": "Not now"})).await,
                    _ => admin.get(PATH).await,
                }
            });
        }
        while let Some(reply) = requests.join_next().await {
            reply.unwrap().refused(503, "database_unavailable");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "a 503 response took {:?}", begun.elapsed());
        wait_until(async || self.probe("/readyz").await.status == 503).await; // the lease is over
        self.probe("/readyz").await.refused(503, "database_unavailable");
        assert_eq!(self.probe("/healthz").await.status, 200);
    }
}

async fn start_postgres(dir: &Path) -> PrivatePostgres {
    local_postgres::start(dir, &[("fsync", "off")]).await.unwrap_or_else(|error| panic!("{error}"))
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.cleaner.stdin.take()); // starts the cleaner's work, without waiting for its end
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_refused_during_an_outage_and_succeed_at_once_after_it() {
    let mut site = Site::start("outage").await;
    let admin = site.admin();
    let key = admin.create("Before", "read").await;
    assert_eq!(site.probe("/readyz").await.status, 200);

    site.stop_postgres().await;
    let begun = Instant::now();
    admin.get(PATH).await.refused(503, "database_unavailable");
    admin.with_key(&key.secret).get(PATH).await.refused(503, "database_unavailable");
    assert!(begun.elapsed() < Duration::from_secs(2 * 5), "{:?}", begun.elapsed());
    site.assert_database_unavailable().await;

    site.start_postgres().await;
    // The first request succeeds.
    admin.with_key(&key.secret).get(PATH).await.expect(200);
    assert_eq!(site.probe("/readyz").await.status, 200);
    let after = admin.create("After", "read").await;
    let listed = admin.get(PATH).await.expect(200);
    let ids: Vec<_> = listed.as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [after.id, key.id], "creates with status 201 took effect, those with 503 did not");
}

/// Whatever requests, probes and usage do meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_leaves_one_line_in_the_log_when_it_begins_and_one_when_it_ends() {
    let mut site = Site::start("outage-log").await;
    let home = Home::new("outage-log-home");
    let postgres = site.postgres.as_ref().unwrap();
    let socket = postgres.socket_dir().display().to_string().replace('/', "%2F");
    let url = format!("postgres://{}@{socket}:{}/crm", postgres.user(), postgres.port());
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let service = home.serve(&settings).await;
    let is_ready = async || service.client("acme", Credential::None).get("/readyz").await.json()["status"] == "ready";
    wait_until(is_ready).await;
    let admin = service.client("acme", site.admin().credential().clone());
    let key = admin.create("Before", "read").await;
    let client = admin.with_key(&key.secret);
    // Its usage waits to be written while the database is away.
    assert_eq!(client.get("/forward-auth").await.status, 200);
    for crash in [true, false] {
        let before = service.log().lines().count();
        if crash {
            site.crash_postgres().await;
        } else {
            site.stop_postgres().await;
        }
        let log = || service.log().lines().skip(before).collect::<Vec<_>>().join("\n");
        wait_until(async || log().contains("PostgreSQL is away")).await;
        let readiness = async || service.client("acme", Credential::None).get("/readyz").await.status;
        wait_until(async || readiness().await == 503).await; // the lease is over
        for _ in 0..5 {
            client.get("/forward-auth").await.refused(503, "database_unavailable");
            assert_eq!(readiness().await, 503);
            sleep(Duration::from_millis(500)).await; // so that usage is tried a few times
        }
        site.start_postgres().await;
        wait_until(async || log().contains("PostgreSQL is back")).await;
        wait_until(is_ready).await;

        let log = log();
        // Lines about refused requests have the cause.
        let is_of_request = |line: &&str| line.contains("request_id=");
        let (of_requests, others): (Vec<_>, Vec<_>) = log.lines().partition(is_of_request);
        assert!(!of_requests.is_empty() && of_requests.iter().all(|line| line.contains("cause=")), "{log}");
        assert_eq!(others.len(), 2, "{}", others.join("\n"));
        assert!(others[0].contains(" WARN ") && others[0].contains("error="), "{}", others[0]);
        assert!(others[1].contains(" INFO ") && others[1].contains("away_seconds="), "{}", others[1]);
    }
}

/// After a restart of PostgreSQL, or the end of all sessions, all connections in the pool are dead. Neither a lookup nor
/// a write may fail because of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_succeed_when_all_pooled_connections_are_dead() {
    let mut site = Site::start("dead-connections").await;
    let admin = site.admin();
    let key = admin.create("Key", "read").await;
    let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE application_name = 'rally-api-keys'";
    for round in 0..8 {
        match round {
            0 | 1 => {
                site.stop_postgres().await;
                site.start_postgres().await;
            }
            2 => {
                site.crash_postgres().await;
                site.start_postgres().await;
            }
            _ => assert!(site.scalar(terminate).await >= 4),
        }
        match round % 4 {
            0 => drop(admin.post(PATH, &json!({"name": "First after it"})).await.expect(201)),
            1 => drop(admin.with_key(&key.secret).get(PATH).await.expect(200)),
            2 => assert_eq!(site.probe("/readyz").await.status, 200),
            _ => drop(admin.patch(&key.path(), &json!({"name": format!("Renamed {round}")})).await.expect(200)),
        }
        site.fill_the_pool().await;
    }
    // Many concurrent requests, each of which may get a dead connection.
    assert!(site.scalar(terminate).await >= 4);
    site.fill_the_pool().await;
}

/// Clients create keys continuously while PostgreSQL is stopped, started and crashes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_creates_survive_restarts_and_crashes_of_postgres() {
    let mut site = Site::start("acknowledged").await;
    let admin = site.admin();
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let (admin, done) = (admin.clone(), done.clone());
        writers.spawn(async move {
            let (mut acknowledged, mut refused, mut number) = (Vec::new(), 0, 0);
            while !done.load(Ordering::Relaxed) {
                number += 1;
                let begun = Instant::now();
                let reply = admin.post(PATH, &json!({"name": format!("Key {writer}-{number}")})).await;
                if reply.status.as_u16() == 201 {
                    acknowledged.push(reply.json()["id"].as_str().unwrap().to_owned());
                } else {
                    reply.refused(503, "database_unavailable");
                    refused += 1;
                }
                assert!(begun.elapsed() < Duration::from_secs(5), "a response took {:?}", begun.elapsed());
            }
            (acknowledged, refused)
        });
    }
    let keys = "SELECT count(*) FROM api_keys";
    let mut seen = 0;
    for crash in [false, true, true] {
        let deadline = Instant::now() + Duration::from_secs(10);
        while site.scalar(keys).await < seen + 20 {
            assert!(Instant::now() < deadline, "no more keys are created");
            sleep(Duration::from_millis(20)).await;
        }
        if crash {
            site.crash_postgres().await;
        } else {
            site.stop_postgres().await;
        }
        site.start_postgres().await;
        seen = site.scalar(keys).await;
    }
    done.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    while let Some(outcome) = writers.join_next().await {
        let (of_one, refused_one) = outcome.unwrap();
        acknowledged.extend(of_one);
        refused += refused_one;
    }
    assert!(acknowledged.len() >= 60 && refused > 0, "{} acknowledged, {refused} refused", acknowledged.len());
    let listed = admin.get(PATH).await.expect(200);
    let listed: Vec<_> = listed.as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap()).collect();
    for id in &acknowledged {
        assert!(listed.contains(&id.as_str()), "{id} was acknowledged but is lost");
    }
    // A refused create may have been committed, so at most that many further keys exist.
    assert!(listed.len() <= acknowledged.len() + refused, "{} keys", listed.len());
}

/// Clients use keys continuously while PostgreSQL is stopped, started and crashes, and keys are revoked directly in the
/// database right after each start. A revoked key is refused as soon as the change feed is back, and at the latest when the
/// lease is over, although the instance may have missed its notification. The other keys are accepted again without a restart
/// of the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_revoked_right_after_an_outage_are_refused() {
    let mut site = Site::start("stale").await;
    let admin = site.admin();
    let mut keys = Vec::new();
    for n in 0..8 {
        keys.push(admin.create(&format!("n{n}"), "read").await);
    }
    while site.probe("/readyz").await.json()["status"] != "ready" {
        sleep(Duration::from_millis(20)).await;
    }
    let done = Arc::new(AtomicBool::new(false));
    let mut workers = JoinSet::new();
    for key in &keys {
        let (client, id, done) = (admin.with_key(&key.secret), key.id.clone(), done.clone());
        workers.spawn(async move {
            let (mut accepted, mut refused) = (Vec::new(), 0);
            while !done.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match client.get("/forward-auth").await.status.as_u16() {
                    200 => accepted.push(begun),
                    401 => refused += 1,
                    503 => {}
                    status => panic!("{status}"),
                }
                sleep(Duration::from_millis(2)).await;
            }
            (id, accepted, refused)
        });
    }
    let mut revoked = Vec::new();
    for (round, key) in keys.iter().take(4).enumerate() {
        sleep(Duration::from_millis(300)).await;
        if round % 2 == 0 {
            site.stop_postgres().await;
        } else {
            site.crash_postgres().await;
        }
        sleep(Duration::from_millis(300)).await;
        site.start_postgres().await;
        let revoke = format!("UPDATE api_keys SET revoked_at = now() WHERE id = '{}' RETURNING 1::bigint", key.id);
        assert_eq!(site.scalar(&revoke).await, 1);
        revoked.push((key.id.clone(), Instant::now()));
        sleep(Duration::from_millis(300)).await;
    }
    while site.probe("/readyz").await.json()["status"] != "ready" {
        sleep(Duration::from_millis(20)).await;
    }
    let recovered = Instant::now();
    sleep(Duration::from_millis(300)).await;
    done.store(true, Ordering::Relaxed);
    while let Some(outcome) = workers.join_next().await {
        let (id, accepted, refused) = outcome.unwrap();
        if let Some((_, at)) = revoked.iter().find(|(revoked, _)| *revoked == id) {
            let is_stale = |begun: &&Instant| **begun > recovered || **begun >= *at + LEASE;
            let stale = accepted.iter().filter(is_stale).count();
            assert_eq!(stale, 0, "of {} accepted requests", accepted.len());
            assert!(!accepted.is_empty() && refused > 0);
        } else {
            assert_eq!(refused, 0);
            assert!(accepted.iter().any(|begun| *begun > recovered), "the key was not accepted after the outage");
        }
    }
}

/// A proxy without a backend closes each connection at once.
#[tokio::test]
async fn connections_that_are_closed_at_once_are_reported_as_database_unavailable() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let url = DatabaseUrl::parse(&database.url_through(proxy.address)).unwrap();
    let server = TestServer::logged_in_by(&url, database, &[]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    proxy.set(Mode::Cut);
    wait_until(async || admin.get(PATH).await.status != 200).await;
    for _ in 0..5 {
        let (listed, created, checked) =
            tokio::join!(admin.get(PATH), async { admin.post(PATH, &json!({"name": "n"})).await }, async {
                admin.with_key(&key.secret).get("/forward-auth").await
            },);
        for reply in [listed, created, checked] {
            reply.refused(503, "database_unavailable");
        }
    }
    proxy.set(Mode::Pass);
    wait_until(async || admin.get(PATH).await.status == 200).await;
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
}

/// A table is locked for longer than requests wait. The sessions of requests that have timed out end too.
#[tokio::test]
async fn timed_out_lookups_leave_no_waiting_sessions_behind_a_locked_table() {
    let server = TestServer::with(&[("DATABASE_CHECK_CONNECTIONS", "3")]).await;
    let admin = server.admin("acme");
    let mut keys = Vec::new();
    for _ in 0..6 {
        keys.push(admin.create("n", "read").await);
    }
    let used = admin.create("n", "read").await;
    assert_eq!(admin.with_key(&used.secret).get("/forward-auth").await.status, 200);
    let mut lock = server.database.connect().await;
    lock.execute("BEGIN; LOCK TABLE api_key_secrets, api_key_usage").await.unwrap();
    let begun = Instant::now();
    let mut most = 0;
    let requests = async {
        while begun.elapsed() < Duration::from_secs(9) {
            let checks = keys.iter().map(async |key| admin.with_key(&key.secret).get("/forward-auth").await.status);
            assert!(futures_util::future::join_all(checks).await.iter().all(|status| *status == 503));
            assert_eq!(admin.with_key(&used.secret).get("/forward-auth").await.status, 200);
        }
    };
    let sessions = async {
        while begun.elapsed() < Duration::from_secs(9) {
            let waiting = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND wait_event_type = 'Lock'";
            most = server.database.count(waiting).await.max(most);
            sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::join!(requests, sessions);
    // The connections for checks, and the one that writes usage.
    assert!((2..=4).contains(&most), "{most}");
    lock.execute("COMMIT").await.unwrap();
    assert_eq!(admin.with_key(&keys[0].secret).get("/forward-auth").await.status, 200);
}

/// PostgreSQL refuses a commit that notifies while its queue of notifications is full, which takes 8 GB. The trigger raises
/// the same error at the same moment.
#[tokio::test]
async fn a_full_queue_of_notifications_is_503_and_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    server
        .database
        .execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS
                 'BEGIN RAISE program_limit_exceeded USING MESSAGE = ''too many notifications in the NOTIFY queue''; END';
             CREATE CONSTRAINT TRIGGER queue_is_full AFTER UPDATE ON public.api_keys
                 DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.refuse()",
        )
        .await;
    admin.delete(&key.path()).await.refused(503, "database_unavailable");
    admin.patch(&key.path(), &json!({"name": "m"})).await.refused(503, "database_unavailable");
    admin.post(&format!("{}/rotate", key.path()), &json!({})).await.refused(503, "database_unavailable");
    let unchanged = admin.get(&key.path()).await.expect(200);
    assert_eq!((&unchanged["name"], &unchanged["status"]), (&json!("n"), &json!("active")));
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    server.database.execute("DROP TRIGGER queue_is_full ON public.api_keys").await;
    admin.delete(&key.path()).await.expect(204);
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 401);
}

/// A server whose connections to the database all pass the proxy.
async fn start_behind(proxy: &Proxy, database: TestDatabase, lease_seconds: &str) -> TestServer {
    let url = DatabaseUrl::parse(&database.url_through(proxy.address)).unwrap();
    let server = TestServer::logged_in_by(&url, database, &[("LEASE_SECONDS", lease_seconds)]).await;
    server.wait_for_feed().await;
    server
}

/// While the lease lasts, keys that are cached work as if nothing had happened.
async fn check_cached_keys_work_through_an_outage(mode: Mode) {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let server = start_behind(&proxy, database, "20").await;
    let admin = server.admin("acme");
    let [cached, not_cached] = [admin.create("n", "read").await, admin.create("n", "read").await];
    let check = async |key: &CreatedKey| admin.with_key(&key.secret).get("/forward-auth").await;
    assert_eq!(check(&cached).await.status, 200);
    proxy.set(mode);
    let until = Instant::now() + Duration::from_secs(12);
    while Instant::now() < until {
        assert_eq!(check(&cached).await.status, 200);
        sleep(Duration::from_millis(100)).await;
    }
    let refused = check(&not_cached).await;
    refused.refused(503, "database_unavailable");
    assert!(refused.headers.contains_key("retry-after"), "{refused:?}");
    let changed = admin.delete(&cached.path()).await;
    assert!(changed.status == 503 && changed.headers.contains_key("retry-after"), "{changed:?}");
    let readiness = admin.get("/readyz").await;
    assert_eq!((readiness.status.as_u16(), &readiness.json()["degraded"]), (200, &json!(["database", "change_feed"])));
    let metrics = admin.get("/metrics").await.body;
    assert!(metrics.contains("\nrally_change_feed_up 0\n"), "{metrics}");
    proxy.set(Mode::Pass);
    server.wait_for_feed().await;
    for key in [&cached, &not_cached] {
        assert_eq!(check(key).await.status, 200);
        admin.delete(&key.path()).await.expect(204);
        check(key).await.refused(401, "key_revoked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached_keys_work_while_the_database_is_away_and_the_lease_lasts() {
    check_cached_keys_work_through_an_outage(Mode::Cut).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached_keys_work_while_the_database_is_silent_and_the_lease_lasts() {
    check_cached_keys_work_through_an_outage(Mode::Blackhole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cached_keys_are_refused_once_the_lease_is_over() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let server = start_behind(&proxy, database, "2").await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let holder = admin.with_key(&key.secret);
    assert_eq!(holder.get("/forward-auth").await.status, 200);
    proxy.set(Mode::Cut);
    sleep(Duration::from_secs(2)).await;
    for _ in 0..20 {
        holder.get("/forward-auth").await.refused(503, "database_unavailable");
    }
    admin.get("/readyz").await.refused(503, "database_unavailable");
}
