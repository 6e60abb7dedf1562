//! The change feed, the heartbeats and the lookups are of one and the same server, which takes writes.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::PathBuf,
    process::Child,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use local_postgres::PrivatePostgres;
use rally_api_keys::{
    domain::{ApiKeyId, KeyHint, Secret, Slug, TenantId},
    store::{self, DatabaseUrl, SecretAlert, SecretAlertKind, TenantAdmin},
};
use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, postgres::PgConnectOptions,
};
use tokio::time::sleep;

use crate::{
    client::{Client, CreatedKey, Reply},
    harness::{TestDatabase, TestServer, clean_up_afterwards, not_tested, open, scratch_dir, wait_until},
    proxy::{Mode, Proxy},
    standby::follow,
};

async fn check(client: &Client, key: &CreatedKey) -> Reply {
    client.with_key(&key.secret).get("/forward-auth").await
}

/// The lease with `LEASE_SECONDS=2`.
const LEASE: Duration = Duration::from_secs(2);

async fn feed_is_up(server: &TestServer) -> bool {
    let metrics = server.admin("acme").get("/metrics").await.body;
    metrics.lines().any(|line| line == "rally_change_feed_up 1")
}

/// The two databases are servers of their own to the service: it compares the databases' ids, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_that_another_server_than_the_feeds_answers_is_not_cached() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::create().await);
    let direct = other.url_text(None).await;
    let own = database.url_text(None).await;
    let server = TestServer::on(database, &[("DATABASE_URL", &own), ("DATABASE_DIRECT_URL", &direct)]).await;
    let admin = server.admin("acme");
    for _ in 0..5 {
        let key = admin.create("n", "read").await;
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            assert_eq!(check(&admin, &key).await.status, 200);
        }
        // The feed does not hear of this.
        let sql = format!("UPDATE api_keys SET revoked_at = now() WHERE id = '{}'", key.id);
        server.database.execute(&sql).await;
        check(&admin, &key).await.refused(401, "key_revoked");
    }
}

/// A transaction that only notifies works in a read-only session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_server_renews_no_lease() {
    let database = TestDatabase::create().await;
    let server = TestServer::on(database, &[("STRICT_LEASE", "true"), ("LEASE_SECONDS", "2")]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    assert_eq!(check(&admin, &key).await.status, 200);
    let name = &server.database.name;
    // As an operator fences off an old primary.
    server.database.execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let end_sessions = format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    );
    server.database.execute(&end_sessions).await;
    wait_until(async || check(&admin, &key).await.status == 503).await;
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        check(&admin, &key).await.refused(503, "database_unavailable");
    }
    let reset = format!("SET TRANSACTION READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only");
    server.database.execute(&reset).await;
    server.database.execute(&end_sessions).await;
    server.wait_for_feed().await;
    assert_eq!(check(&admin, &key).await.status, 200);
}

/// As a pooled connection to an old primary that was fenced off, where the next one reaches the new primary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_tried_again_on_another_connection_if_one_takes_no_writes() {
    let mut server = TestServer::start().await;
    let key = server.admin("acme").create("n", "read").await;
    server.stop().await;
    let name = server.database.name.clone();
    let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    let reset = format!("SET TRANSACTION READ WRITE; ALTER DATABASE {name} RESET default_transaction_read_only");
    let url = DatabaseUrl::parse(&server.database.url_text(None).await).unwrap();
    server.database.execute(&set).await;
    let database = open(&url).await.unwrap();
    let keys = database.tenant_stores().tenant(server.database.acme);
    let refused = keys.begin_write().await.err().map(|error| error.to_string());
    assert!(refused.is_some_and(|error| error.contains("takes no writes")));
    drop(keys.begin_read().await.unwrap()); // opens one that is read-only
    server.database.execute(&reset).await;
    let id = ApiKeyId::parse(&key.id).unwrap();
    let mut change = keys.begin_write().await.unwrap();
    assert!(change.lock_key(id).await.unwrap().is_some());
}

/// Without a lease the database decides, unless the lease is required.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_lease_a_check_is_refused_if_the_lease_is_required() {
    for (strict, status) in [("false", 200), ("true", 503)] {
        let database = TestDatabase::create().await;
        let feed = Proxy::start(database.socket().await).await;
        let direct = database.url_through(feed.address);
        let own = database.url_text(None).await;
        let urls = [("DATABASE_URL", own.as_str()), ("DATABASE_DIRECT_URL", direct.as_str())];
        let settings = [&urls[..], &[("STRICT_LEASE", strict), ("LEASE_SECONDS", "2")]].concat();
        let server = TestServer::on(database, &settings).await;
        server.wait_for_feed().await;
        let admin = server.admin("acme");
        let key = admin.create("n", "read").await;
        assert_eq!(check(&admin, &key).await.status, 200);
        feed.set(Mode::Cut);
        wait_until(async || !feed_is_up(&server).await).await;
        sleep(LEASE).await;
        assert_eq!(check(&admin, &key).await.status, status);
        // Keys can be managed all the same.
        admin.delete(&key.path()).await.expect(204);
        feed.set(Mode::Pass);
        server.wait_for_feed().await;
        check(&admin, &key).await.refused(401, "key_revoked");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_idle_sessions_does_not_end_the_feed() {
    let database = TestDatabase::create().await;
    database.execute(&format!("ALTER DATABASE {} SET idle_session_timeout = '1s'", database.name)).await;
    let server = TestServer::on(database, &[]).await;
    server.wait_for_feed().await;
    let old = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND query = 'SELECT public.server_identity()'
                 AND backend_start < now() - interval '4 s'";
    wait_until(async || server.database.count(old).await == 1).await;
}

/// A PostgreSQL server with tenants and their keys, and another that follows it.
pub struct Pair {
    pub primary: PrivatePostgres,
    pub standby: PrivatePostgres,
    /// The primary's.
    pub dir: PathBuf,
    _cleaners: [Child; 2],
}

impl Pair {
    /// `None`, and said so: pg_basebackup is missing.
    pub async fn start(name: &str) -> Option<Self> {
        let dir = scratch_dir(name);
        let (first, second) = (dir.join("primary"), dir.join("standby"));
        let settings = [("fsync", "off"), ("wal_level", "replica"), ("max_wal_senders", "4")];
        let cleaners = [&first, &second].map(|dir| {
            fs::DirBuilder::new().recursive(true).mode(0o711).create(dir).unwrap();
            clean_up_afterwards(dir)
        });
        let primary = local_postgres::start(&first, &settings).await.unwrap_or_else(|error| panic!("{error}"));
        if let Err(error) = follow(&primary, &first.join("postgres"), &second.join("postgres")) {
            not_tested(&format!("pg_basebackup does not run: {error}"));
            return None;
        }
        let standby = local_postgres::start(&second, &settings).await.unwrap_or_else(|error| panic!("{error}"));
        migrate(&url(&primary)).await;
        Some(Self { primary, standby, dir: first, _cleaners: cleaners })
    }

    /// Waits until the standby has what the primary has.
    async fn catch_up(&self) {
        let position = text(&self.primary, "SELECT pg_current_wal_insert_lsn()::text").await;
        let reached = format!("SELECT (pg_last_wal_replay_lsn() >= '{position}'::pg_lsn)::text");
        wait_until(async || text(&self.standby, &reached).await == "true").await;
    }
}

/// Creates the schema, and a tenant.
pub async fn migrate(url: &DatabaseUrl) {
    store::migrate(url).await.unwrap_or_else(|error| panic!("{error}"));
    let mut operator = TenantAdmin::connect(url).await.unwrap_or_else(|error| panic!("{error}"));
    let acme = Slug::parse("acme").unwrap();
    operator.create_tenant(&acme, "A tenant", chrono::Utc::now()).await.unwrap().expect("a new tenant");
}

fn options(server: &PrivatePostgres) -> PgConnectOptions {
    let options = PgConnectOptions::new_without_pgpass().socket(server.socket_dir()).port(server.port());
    options.username(server.user()).database("postgres").disable_statement_logging()
}

pub fn url(server: &PrivatePostgres) -> DatabaseUrl {
    DatabaseUrl::socket(server.socket_dir(), server.port(), server.user(), "postgres")
}

pub fn socket(server: &PrivatePostgres) -> PathBuf {
    server.socket_dir().join(format!(".s.PGSQL.{}", server.port()))
}

pub async fn execute(server: &PrivatePostgres, sql: &str) {
    let mut connection = PgConnection::connect_with(&options(server)).await.expect("a connection");
    connection.execute(AssertSqlSafe(sql)).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

pub async fn text(server: &PrivatePostgres, sql: &str) -> String {
    let mut connection = PgConnection::connect_with(&options(server)).await.expect("a connection");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&mut connection)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
}

pub async fn set_synchronous_standbys(server: &PrivatePostgres, names: Option<&str>) {
    let names = names.unwrap_or_default();
    execute(server, &format!("ALTER SYSTEM SET synchronous_standby_names = '{names}'")).await;
    execute(server, "SELECT pg_reload_conf()").await;
    wait_until(async || text(server, "SHOW synchronous_standby_names").await == names).await;
}

/// The address of the database moves to the standby, is cut off from it, and moves back to the old primary, which goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_neither_a_standby_nor_the_old_primary_renews_the_lease() {
    let Some(pair) = Pair::start("failover").await else { return };
    let proxy = Proxy::start(socket(&pair.primary)).await;
    let address = format!("postgres://{}@{}/postgres", pair.primary.user(), proxy.address);
    let placeholder = TestDatabase::create().await;
    let settings = [("STRICT_LEASE", "true"), ("LEASE_SECONDS", "2")];
    let server = TestServer::logged_in_by(&DatabaseUrl::parse(&address).unwrap(), placeholder, &settings).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let (key, revoked) = (admin.create("n", "read").await, admin.create("n", "read").await);
    for key in [&key, &revoked] {
        assert_eq!(check(&admin, key).await.status, 200);
    }
    pair.catch_up().await;
    let move_to = async |to: &PrivatePostgres| {
        proxy.set(Mode::Cut);
        wait_until(async || !feed_is_up(&server).await).await;
        sleep(LEASE).await;
        proxy.move_to(socket(to));
        proxy.set(Mode::Pass);
    };

    move_to(&pair.standby).await;
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        check(&admin, &key).await.refused(503, "database_unavailable");
    }
    execute(&pair.standby, "SELECT pg_promote()").await;
    server.wait_for_feed().await;
    assert_eq!(check(&admin, &key).await.status, 200);
    admin.delete(&revoked.path()).await.expect(204);
    check(&admin, &revoked).await.refused(401, "key_revoked");

    // It knows nothing of the revocation.
    move_to(&pair.primary).await;
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        for key in [&key, &revoked] {
            check(&admin, key).await.refused(503, "database_unavailable");
        }
    }
    move_to(&pair.standby).await;
    server.wait_for_feed().await;
    check(&admin, &revoked).await.refused(401, "key_revoked");
    assert_eq!(check(&admin, &key).await.status, 200);
}

/// With asynchronous replication. The standby has the keys, and nothing of what was revoked after it had been cut off.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_failover_loses_of_revocations_is_refused_and_made_again() {
    let Some(pair) = Pair::start("lost").await else { return };
    let proxy = Proxy::start(socket(&pair.primary)).await;
    let address = format!("postgres://{}@{}/postgres", pair.primary.user(), proxy.address);
    let placeholder = TestDatabase::create().await;
    let settings = [("LEASE_SECONDS", "2")];
    let server = TestServer::logged_in_by(&DatabaseUrl::parse(&address).unwrap(), placeholder, &settings).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let create = || admin.create("n", "read");
    let [kept, revoked, ended, replaced] =
        <[_; 4]>::try_from(join_all([create(), create(), create(), create()]).await).unwrap();
    let rotate = async |key: &CreatedKey, overlap: u32| {
        admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": overlap})).await.expect(200);
    };
    rotate(&ended, 86_400).await;
    for key in [&kept, &revoked, &ended, &replaced] {
        assert_eq!(check(&admin, key).await.status, 200);
    }
    pair.catch_up().await;
    execute(&pair.standby, "ALTER SYSTEM SET primary_conninfo = ''").await;
    execute(&pair.standby, "SELECT pg_reload_conf()").await;
    let receivers = "SELECT count(*)::text FROM pg_stat_wal_receiver";
    wait_until(async || text(&pair.standby, receivers).await == "0").await;

    admin.delete(&revoked.path()).await.expect(204);
    admin.delete(&format!("{}/previous-secret", ended.path())).await.expect(204);
    rotate(&replaced, 0).await;
    proxy.set(Mode::Cut);
    execute(&pair.standby, "SELECT pg_promote()").await;
    let lost = "SELECT count(*)::text FROM api_keys WHERE revoked_at IS NOT NULL";
    assert_eq!(text(&pair.standby, lost).await, "0");
    proxy.move_to(socket(&pair.standby));
    proxy.set(Mode::Pass);
    let state = async |key: &CreatedKey| admin.get(&key.path()).await.json();
    wait_until(async || {
        for key in [&revoked, &ended, &replaced] {
            let refused = check(&admin, key).await;
            assert!([401, 503].contains(&refused.status.as_u16()), "{refused:?}");
        }
        state(&replaced).await["status"] == "suspended"
    })
    .await;
    server.wait_for_feed().await;
    assert_eq!(check(&admin, &kept).await.status, 200);
    assert_eq!(state(&revoked).await["status"], "revoked");
    assert_eq!(state(&ended).await["rotation"], Value::Null);
    let events = admin.get(&format!("{}/events", revoked.path())).await.expect(200);
    let reason = events[0]["details"]["reason"].as_str().unwrap_or_default();
    assert!(events[0]["type"] == "revoked" && reason.ends_with("and again since PostgreSQL had lost that"), "{events}");
    let metrics = admin.get("/metrics").await.body;
    assert!(metrics.contains("rally_revocations_repeated_total 3"), "{metrics}");
}

/// A heartbeat waits for the standby, as its commit is to prove that the primary is not isolated. Others wait for that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_without_a_synchronous_standby_renew_no_lease_and_leave_few_sessions() {
    let Some(pair) = Pair::start("synchronous").await else { return };
    let placeholder = TestDatabase::create().await;
    let settings = [("STRICT_LEASE", "true"), ("LEASE_SECONDS", "2")];
    let server = TestServer::logged_in_by(&url(&pair.primary), placeholder, &settings).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    assert_eq!(check(&admin, &key).await.status, 200);
    let sessions = async || {
        let count = "SELECT count(*)::text FROM pg_stat_activity WHERE application_name = 'rally-api-keys'";
        text(&pair.primary, count).await.parse::<u32>().unwrap()
    };
    let before = sessions().await;
    set_synchronous_standbys(&pair.primary, Some("no_such_standby")).await;
    wait_until(async || !feed_is_up(&server).await).await;
    // Attempts, each of which has begun a session of its own.
    let mut attempts = HashSet::new();
    let newest = "SELECT coalesce(max(backend_start)::text, '') FROM pg_stat_activity WHERE query LIKE '%pg_notify%'";
    wait_until(async || {
        attempts.insert(text(&pair.primary, newest).await);
        attempts.len() > 8
    })
    .await;
    check(&admin, &key).await.refused(503, "database_unavailable");
    // One waits for the standby; of the others, those that wait for it until their time limit of 5 s.
    let during = sessions().await;
    assert!(during <= before + 5, "{before} sessions, then {during}");
    set_synchronous_standbys(&pair.primary, None).await;
    server.wait_for_feed().await;
    assert_eq!(check(&admin, &key).await.status, 200);
}

/// PostgreSQL ends the wait at its `statement_timeout`, and says that the commit has succeeded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_no_synchronous_standby_has_is_not_acknowledged() {
    let Some(pair) = Pair::start("acknowledged").await else { return };
    let placeholder = TestDatabase::create().await;
    let mut server = TestServer::logged_in_by(&url(&pair.primary), placeholder, &[]).await;
    let key = server.admin("acme").create("n", "read").await;
    server.stop().await; // its heartbeats would wait, too
    let tenant = text(&pair.primary, "SELECT id::text FROM tenants WHERE slug = 'acme'").await;
    let alert = SecretAlert {
        kind: SecretAlertKind::Reused {
            tenant: TenantId(tenant.parse().unwrap()),
            key: ApiKeyId::parse(&key.id).unwrap(),
        },
        lookup_digest: Secret::parse(key.secret.as_bytes()).unwrap().lookup_digest(),
        hint: KeyHint::from_last4("0000").unwrap(),
        at: chrono::Utc::now(),
        address: None,
        request_id: "alone".into(),
    };
    let usage = open(&url(&pair.primary)).await.unwrap().usage();
    set_synchronous_standbys(&pair.primary, Some("no_such_standby")).await;
    let began = Instant::now();
    let outcome = usage.record_alert(&alert).await;
    assert!(outcome.is_err() && began.elapsed() > Duration::from_secs(5), "{outcome:?} after {:?}", began.elapsed());
    set_synchronous_standbys(&pair.primary, None).await;
    let recorded = "SELECT count(*)::text FROM api_key_events WHERE request_id = 'alone'";
    wait_until(async || text(&pair.primary, recorded).await == "1").await;
}

/// While the feed is down and the lease is held, lookups are compared with the feed's last server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lookup_of_another_server_while_the_feed_is_down_ends_the_lease() {
    let Some(pair) = Pair::start("lookups").await else { return };
    let [lookups, feed] = [Proxy::start(socket(&pair.primary)).await, Proxy::start(socket(&pair.primary)).await];
    let [own, direct] =
        [&lookups, &feed].map(|proxy| format!("postgres://{}@{}/postgres", pair.primary.user(), proxy.address));
    let placeholder = TestDatabase::create().await;
    let settings = [("DATABASE_URL", own.as_str()), ("DATABASE_DIRECT_URL", direct.as_str()), ("LEASE_SECONDS", "60")];
    let server = TestServer::logged_in_by(&DatabaseUrl::parse(&own).unwrap(), placeholder, &settings).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let [cached, not_cached] = [admin.create("n", "read").await, admin.create("n", "read").await];
    assert_eq!(check(&admin, &cached).await.status, 200);
    pair.catch_up().await;
    feed.set(Mode::Cut);
    wait_until(async || !feed_is_up(&server).await).await;
    execute(&pair.standby, "SELECT pg_promote()").await;
    let revoke = format!("UPDATE api_keys SET revoked_at = now() WHERE id = '{}'", cached.id);
    execute(&pair.standby, &revoke).await;
    assert_eq!(check(&admin, &cached).await.status, 200, "the lease is held");
    lookups.set(Mode::Cut);
    lookups.move_to(socket(&pair.standby));
    lookups.set(Mode::Pass);
    wait_until(async || check(&admin, &not_cached).await.status == 200).await;
    check(&admin, &cached).await.refused(401, "key_revoked");
}
