//! One tenant's lists, changes and unread responses take neither the connections nor the memory of others.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, body::Bytes, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rally_api_keys::{
    domain::{Slug, TenantId},
    store::{DatabaseUrl, TenantAdmin},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, Interest, Ready},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    client::{Client, PATH, Reply},
    harness::{TestDatabase, TestServer, wait_until},
    proxy::{Mode, Proxy},
};

/// More than two pages of a list.
const MANY: usize = 2_500;
/// Calls that wait for a connection.
const WAITING: &str = "rally_database_turns_waiting{share=\"ordinary\"}";
const LOCK_WAITS: &str = "SELECT count(*) FROM pg_stat_activity
                          WHERE datname = current_database() AND wait_event_type = 'Lock'";

impl TestDatabase {
    /// Inserts keys with long names and without secrets.
    async fn insert_keys(&self, tenant: TenantId, count: usize) {
        self.execute(&format!(
            "INSERT INTO api_keys (tenant_id, id, name, folded_name, scopes, created_at, last4)
             SELECT '{tenant}', gen_random_uuid(), name, lower(name), 'read', now() - n * interval '1 ms', '0000'
             FROM generate_series(1, {count}) n, rpad('Key ' || n, 100, '.') name"
        ))
        .await;
    }
}

async fn metric(client: &Client, sample: &str) -> u64 {
    let reply = client.get("/metrics").await;
    let value = reply.body.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or_else(|| panic!("no {sample} in {}", reply.body))
}

/// A list's request on a connection of its own, whose response is read by hand.
struct RawList(TcpStream);

impl RawList {
    async fn begin(server: &TestServer, credential: &str) -> Self {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request =
            format!("GET {PATH} HTTP/1.1\r\nHost: acme.localhost\r\n{credential}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self(stream)
    }

    /// Waits for the response's first bytes, which come after its first page was read.
    async fn has_begun(&mut self) {
        let mut start = [0; 12];
        self.0.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
    }

    /// What is left of the response, until its end or the end of the connection, at that many bytes at once.
    async fn rest(&mut self, at_once: usize, pause: Duration) -> String {
        let (mut all, mut part) = (Vec::new(), vec![0; at_once]);
        while !all.ends_with(b"\r\n0\r\n\r\n") {
            match timeout(Duration::from_secs(20), self.0.read(&mut part)).await.expect("bytes or an end in time") {
                Ok(0) | Err(_) => break,
                Ok(length) => all.extend_from_slice(&part[..length]),
            }
            sleep(pause).await;
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}

fn is_complete(chunked: &str) -> bool {
    chunked.ends_with("]\r\n0\r\n\r\n")
}

fn bearer(server: &TestServer) -> String {
    format!("Authorization: Bearer {}", server.token("acme", "read"))
}

/// Two tenants' creates wait for locks on all connections that are not kept for revocations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_calls_of_one_tenant_leave_connections_to_others_and_to_revocations() {
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
    wait_until(async || metric(&acme, WAITING).await >= 36).await;
    wait_until(async || server.database.count(LOCK_WAITS).await == 4).await; // half of the ordinary connections
    let begun = Instant::now();
    globex.get(PATH).await.expect(200);
    let key = globex.create("n", "read").await;
    globex.delete(&key.path()).await.expect(204);
    initech.delete(&first.path()).await.expect(204);

    let mut other_locker = server.database.connect().await;
    other_locker.execute(lock(server.database.globex)).await.unwrap();
    let of_globex = creates(&globex);
    wait_until(async || server.database.count(LOCK_WAITS).await >= 8).await;
    let mut list = tokio::spawn({
        let initech = initech.clone();
        async move { initech.get(PATH).await }
    });
    wait_until(async || metric(&acme, WAITING).await >= 73).await;
    initech.patch(&second.path(), &json!({"expiresAt": "2099-01-01T00:00:00Z"})).await.expect(200);
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

/// One of two connections is kept for revocations, so all other calls use the same one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_take_turns_on_the_last_connection_and_a_revocation_waits_for_neither() {
    const GREEDY: usize = 40;
    let server = TestServer::with(&[("DATABASE_MAX_CONNECTIONS", "2")]).await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let key = globex.create("n", "read").await;
    let first = acme.create("n", "read").await;
    let mut locker = server.database.connect().await;
    let lock = format!("BEGIN; SELECT FROM api_keys WHERE id = '{}' FOR UPDATE", first.id);
    locker.execute(AssertSqlSafe(lock)).await.unwrap();
    let update = tokio::spawn({
        let (acme, path) = (acme.clone(), first.path());
        async move { acme.patch(&path, &json!({"name": "m"})).await }
    });
    wait_until(async || server.database.count(LOCK_WAITS).await == 1).await;

    let listed = Arc::new(AtomicUsize::new(0));
    let lists: Vec<_> = (0..GREEDY)
        .map(|_| {
            let (acme, listed) = (acme.clone(), listed.clone());
            tokio::spawn(async move {
                acme.get(PATH).await.expect(200);
                listed.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    wait_until(async || metric(&globex, "rally_response_buffers_waiting").await == GREEDY as u64 - 8).await;
    wait_until(async || metric(&globex, WAITING).await == 8).await;
    globex.delete(&key.path()).await.expect(204);
    let others = tokio::spawn({
        let globex = globex.clone();
        async move { globex.get(PATH).await }
    });
    wait_until(async || metric(&globex, WAITING).await == 9).await;
    locker.execute("ROLLBACK").await.unwrap();
    others.await.unwrap().expect(200);
    let before = listed.load(Ordering::SeqCst);
    assert!(before < GREEDY / 2, "{before} of {GREEDY} lists came first");

    update.await.unwrap().expect(200);
    for list in lists {
        list.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_several_pages_is_one_array_in_order() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    admin.create("newest", "read").await;
    let small = admin.get(PATH).await;
    assert_eq!(small.header("content-length"), small.body.len().to_string());
    server.database.insert_keys(server.database.acme, MANY - 1).await;

    let reply = admin.get(PATH).await;
    let listed = reply.expect(200);
    assert!(!reply.headers.contains_key("content-length"), "it is not known at the start");
    assert_eq!(reply.body, serde_json::to_string(&listed).unwrap(), "no spaces, and the order of the properties");
    let ids = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()).collect()
    };
    let expected = "SELECT id::text FROM api_keys ORDER BY created_at DESC, id DESC";
    assert_eq!(ids(&listed), server.database.texts(expected).await);
    let found = ids(&admin.get(&format!("{PATH}?search=key%201&status=active")).await.expect(200));
    assert_eq!(found.iter().collect::<HashSet<_>>().len(), 1_111, "1, 10-19, 100-199, 1000-1999");

    // The audit trail, too: every event of each page but the first has the same time.
    let copy = "INSERT INTO api_key_events (tenant_id, id, key_id, kind, occurred_at, request_id, details, seq, previous_hash, hash)
                SELECT tenant_id, gen_random_uuid(), key_id, kind, occurred_at - interval '1 s', 'r', '{}', n + 1, hash, hash
                FROM api_key_events, generate_series(1, 2400) n";
    server.database.execute(&format!("SET session_replication_role = replica; {copy}")).await;
    let events = admin.get(&format!("{PATH}/events")).await.expect(200);
    let expected = "SELECT id::text FROM api_key_events ORDER BY occurred_at DESC, id DESC";
    assert_eq!(ids(&events), server.database.texts(expected).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_next_page_cannot_be_read_is_cut_off() {
    let server = TestServer::start().await;
    server.database.insert_keys(server.database.acme, MANY).await;
    let mut whole = RawList::begin(&server, &bearer(&server)).await;
    assert!(is_complete(&whole.rest(100_000, Duration::ZERO).await));
    let mut list = RawList::begin(&server, &bearer(&server)).await;
    list.has_begun().await;
    server.database.execute("ALTER TABLE api_keys RENAME TO away").await;
    let rest = list.rest(100_000, Duration::ZERO).await;
    assert!(rest.len() > 100_000 && !is_complete(&rest), "{} bytes", rest.len());
    server.admin("acme").get(PATH).await.refused(500, "internal_error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_revoked_while_its_list_is_sent_gets_no_further_page() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    server.database.insert_keys(server.database.acme, MANY).await;
    let mut list = RawList::begin(&server, &format!("X-Api-Key: {}", key.secret)).await;
    list.has_begun().await;
    admin.delete(&key.path()).await.expect(204);
    let rest = list.rest(100_000, Duration::ZERO).await;
    assert!(rest.len() > 100_000 && !is_complete(&rest), "{} bytes", rest.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_in_the_middle_of_a_list_leaves_nothing_behind() {
    const IN_TRANSACTION: &str = "SELECT count(*) FROM pg_stat_activity
                                  WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
                                    AND backend_type = 'client backend'";
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    server.database.insert_keys(server.database.acme, MANY).await;
    for bytes in [0, 1, 100_000, 600_000, 700_000] {
        let mut list = RawList::begin(&server, &bearer(&server)).await;
        list.has_begun().await;
        let mut some = vec![0; bytes];
        list.0.read_exact(&mut some).await.unwrap();
        list.0.set_zero_linger().unwrap(); // it leaves by a reset
    }
    wait_until(async || metric(&admin, "rally_response_buffers").await == 0).await;
    wait_until(async || server.database.count(IN_TRANSACTION).await == 0).await;
    wait_until(async || metric(&admin, "rally_database_connections{pool=\"management\",state=\"in_use\"}").await == 0)
        .await;
    admin.get(PATH).await.expect(200);
}

/// Twenty unread responses hold the tenant's eight buffers, and for no longer than the limit. Whoever reads slowly keeps
/// the connection for longer than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_responses_are_bounded_and_end_while_a_slow_reader_goes_on() {
    let server = TestServer::start().await;
    let (admin, other) = (server.admin("acme"), server.admin("globex"));
    server.database.insert_keys(server.database.acme, MANY).await;
    let begun = Instant::now();
    let mut slow = RawList::begin(&server, &bearer(&server)).await;
    slow.has_begun().await;
    let slow = tokio::spawn(async move { slow.rest(32 * 1024, Duration::from_millis(350)).await });
    let mut unread = Vec::new();
    for _ in 0..20 {
        unread.push(RawList::begin(&server, &bearer(&server)).await);
    }
    wait_until(async || metric(&other, "rally_response_buffers").await == 8).await;
    other.get(PATH).await.expect(200); // it has buffers of its own
    admin.get(PATH).await.refused(503, "busy");
    assert_eq!(metric(&other, "rally_response_buffers").await, 8);

    let rest = slow.await.unwrap();
    assert!(is_complete(&rest) && begun.elapsed() > Duration::from_secs(11), "{:?}", begun.elapsed());
    wait_until(async || metric(&other, "rally_response_buffers").await == 0).await;
    assert!(begun.elapsed() > Duration::from_secs(10), "{:?}", begun.elapsed());
    let mut ended = 0;
    for mut list in unread {
        // What the peer did not take is not kept for it: the connection is reset, or was ended after a 503.
        let ready = timeout(Duration::from_secs(5), list.0.ready(Interest::ERROR)).await;
        let is_reset = ready.is_ok_and(|ready| ready.is_ok_and(Ready::is_error));
        let response = list.rest(100_000, Duration::ZERO).await;
        assert_eq!(is_reset, response.starts_with("HTTP/1.1 200"));
        ended += usize::from(is_reset);
        assert!(!is_complete(&response));
    }
    assert!(ended >= 7, "{ended}");
    admin.get(PATH).await.expect(200);
}

async fn http2(address: SocketAddr) -> (http2::SendRequest<Empty<Bytes>>, tokio::task::JoinHandle<bool>) {
    let stream = TcpStream::connect(address).await.unwrap();
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    (sender, tokio::spawn(async move { connection.await.is_ok() }))
}

/// Streams of one HTTP/2 connection whose windows stay closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_responses_that_are_not_read_are_bounded_and_end_their_connection() {
    let server = TestServer::start().await;
    let (admin, other) = (server.admin("acme"), server.admin("globex"));
    server.database.insert_keys(server.database.acme, MANY).await;
    let (sender, connection) = http2(server.address).await;
    let token = server.token("acme", "read");
    let lists = (0..20).map(|_| {
        let request = Request::get(format!("http://acme.localhost{PATH}"));
        let request = request.header("authorization", format!("Bearer {token}")).body(Empty::new()).unwrap();
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let begun = Instant::now();
    let responses = join_all(lists).await;
    let count = |status| responses.iter().flatten().filter(|response| response.status() == status).count();
    assert_eq!((count(200), count(503)), (8, 12));
    assert_eq!(metric(&other, "rally_response_buffers").await, 8);
    other.get(PATH).await.expect(200);
    wait_until(async || connection.is_finished()).await;
    assert!(begun.elapsed() > Duration::from_secs(9), "{:?}", begun.elapsed());
    wait_until(async || metric(&other, "rally_response_buffers").await == 0).await;
    for response in responses.into_iter().flatten().filter(|response| response.status() == 200) {
        assert!(response.into_body().collect().await.is_err(), "cut off");
    }
    admin.get(PATH).await.expect(200);
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
    // Usage, which is tried each second, may be using one.
    wait_until(async || metric(&admin, "rally_database_connections{pool=\"management\",state=\"in_use\"}").await <= 1)
        .await;
    proxy.set(Mode::Pass);
    admin.get(PATH).await.expect(200);
    admin.delete(&path).await.expect(204);
}
