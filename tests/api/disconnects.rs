//! Clients that disconnect at any point of a request.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::{
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::{TestDatabase, TestServer, sign},
    raw::RawConnection,
};

const REQUESTS: usize = 4_000;
const WORKERS: usize = 32;

/// The number of other sessions that are busy or in a transaction.
const BUSY: &str = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND backend_type = 'client backend'
                      AND pid <> pg_backend_pid() AND (state <> 'idle' OR xact_start IS NOT NULL)";

/// Waits until no session has been busy for a quarter of a second.
async fn quiet(database: &TestDatabase) {
    let mut connection = database.connect().await;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut quiet_for = 0;
    while quiet_for < 25 {
        let busy: i64 = sqlx::query_scalar(BUSY).fetch_one(&mut connection).await.unwrap();
        quiet_for = if busy == 0 { quiet_for + 1 } else { 0 };
        if Instant::now() > deadline {
            let sessions: Vec<(Option<String>, Option<String>)> =
                sqlx::query_as("SELECT state, query FROM pg_stat_activity WHERE datname = current_database()")
                    .fetch_all(&mut connection)
                    .await
                    .unwrap();
            panic!("a session stays busy: {sessions:?}");
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// SplitMix64. Each run has the same numbers; the scheduler still varies.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }

    /// A delay before the disconnect: in a third of the cases within 3 ms, otherwise up to the usual latency, so that each
    /// statement is interrupted in some request.
    fn moment(&mut self, counts: &Counts) -> Duration {
        let latency = counts.latency_us.load(Ordering::Relaxed);
        let end = if self.below(3) == 0 { 3_000 } else { latency.clamp(3_000, 200_000) };
        Duration::from_micros(self.below(end))
    }
}

/// A tenant with its two credentials and its acknowledged writes.
struct Tenant {
    slug: &'static str,
    by_token: Client,
    by_key: Client,
    token: String,
    secret: String,
    /// Keys that exist and that no request has tried to revoke.
    keys: Mutex<Vec<String>>,
    /// Request id, kind of event and key id of each acknowledged write.
    acknowledged: Mutex<Vec<(String, &'static str, String)>>,
}

impl Tenant {
    async fn new(server: &TestServer, slug: &'static str) -> Arc<Self> {
        let end = (server.clock.now() + chrono::TimeDelta::hours(1)).timestamp();
        let token = sign(&json!({"sub": "42", "tenant": slug, "scope": "admin", "exp": end}));
        let by_token = server.client(slug, Credential::Bearer(token.clone()));
        let CreatedKey { id, secret } = by_token.create(&format!("{slug} caller"), "admin").await;
        let by_key = by_token.with_key(&secret);
        let acknowledged = Mutex::new(Vec::new());
        let keys = Mutex::new(Vec::new());
        by_key.get(&format!("{PATH}/{id}")).await.expect(200);
        Arc::new(Self { slug, by_token, by_key, token, secret, keys, acknowledged })
    }

    fn some_key(&self, random: &mut Random) -> Option<String> {
        let keys = self.keys.lock().unwrap();
        let index = random.below(keys.len().max(1) as u64);
        keys.get(usize::try_from(index).unwrap()).cloned()
    }
}

struct Call {
    id: String,
    method: Method,
    path: String,
    body: Option<Value>,
    event: Option<&'static str>,
}

impl Call {
    fn new(tenant: &Tenant, number: usize, random: &mut Random) -> Self {
        let name = format!("{} {number}", tenant.slug);
        let call = |method, path, body, event| Self { id: format!("call-{number}"), method, path, body, event };
        let key = tenant.some_key(random).map(|id| format!("{PATH}/{id}"));
        match (random.below(10), key) {
            (4, _) => call(Method::GET, format!("{PATH}?limit=20"), None, None),
            (5 | 6, Some(path)) => call(Method::GET, path, None, None),
            (7 | 8, Some(path)) => call(Method::PATCH, path, Some(json!({"name": name})), Some("updated")),
            (9, Some(path)) => {
                let mut keys = tenant.keys.lock().unwrap();
                keys.retain(|id| !path.ends_with(id));
                call(Method::DELETE, path, None, Some("revoked"))
            }
            _ => {
                let body = json!({"name": name, "scopes": "read,write"});
                call(Method::POST, PATH.to_owned(), Some(body), Some("created"))
            }
        }
    }

    async fn send(&self, client: &Client) -> Reply {
        let request = client.request(self.method.clone(), &self.path).header("x-request-id", &self.id);
        send(match &self.body {
            Some(body) => request.json(body),
            None => request,
        })
        .await
    }

    fn bytes(&self, tenant: &Tenant, by_key: bool) -> Vec<u8> {
        let credential = if by_key {
            format!("X-Api-Key: {}", tenant.secret)
        } else {
            format!("Authorization: Bearer {}", tenant.token)
        };
        let body = self.body.as_ref().map_or_else(String::new, Value::to_string);
        format!(
            "{} {} HTTP/1.1\r\nHost: {}.localhost\r\nX-Request-Id: {}\r\n{credential}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.method,
            self.path,
            tenant.slug,
            self.id,
            body.len()
        )
        .into_bytes()
    }
}

/// Outcomes of requests.
#[derive(Debug, Default)]
struct Counts {
    answered: AtomicUsize,
    disconnected: AtomicUsize,
    /// Disconnected before the whole request was sent.
    cut: AtomicUsize,
    refused: AtomicUsize,
    /// Moving average of the latency of requests without a disconnect.
    latency_us: AtomicU64,
}

/// Sends one request, and in three of four cases may disconnect before the response.
async fn one(server: &TestServer, tenant: &Tenant, number: usize, random: &mut Random, counts: &Counts) {
    let count = |counter: &AtomicUsize| counter.fetch_add(1, Ordering::Relaxed);
    let call = Call::new(tenant, number, random);
    let by_key = random.below(2) == 0;
    let client = if by_key { &tenant.by_key } else { &tenant.by_token };
    let reply = match random.below(8) {
        // Clients that wait for the response also keep the backlog short.
        0 | 1 => {
            let begun = Instant::now();
            let reply = call.send(client).await;
            let (old, new) =
                (counts.latency_us.load(Ordering::Relaxed), u64::try_from(begun.elapsed().as_micros()).unwrap());
            counts.latency_us.store((7 * old + new) / 8, Ordering::Relaxed);
            Some(reply)
        }
        2..5 => timeout(random.moment(counts), call.send(client)).await.ok(),
        _ => {
            let bytes = call.bytes(tenant, by_key);
            let whole = random.below(2) == 0;
            let cut = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            let Ok(mut connection) = RawConnection::try_open(server.address).await else {
                panic!("the server refuses connections");
            };
            connection.try_send(if whole { &bytes[..] } else { &bytes[..cut] }).await;
            if !whole {
                count(&counts.cut);
            }
            sleep(random.moment(counts)).await;
            connection.leave(random.below(2) == 0);
            None
        }
    };
    let Some(reply) = reply else {
        count(&counts.disconnected);
        return;
    };
    count(&counts.answered);
    match (reply.status.as_u16(), &call.event) {
        (201, Some("created")) => {
            let id = reply.json()["id"].as_str().unwrap().to_owned();
            tenant.keys.lock().unwrap().push(id.clone());
            tenant.acknowledged.lock().unwrap().push((call.id, "created", id));
        }
        (200, Some(event @ "updated")) | (204, Some(event @ "revoked")) => {
            let id = call.path[PATH.len() + 1..].to_owned();
            tenant.acknowledged.lock().unwrap().push((call.id, event, id));
        }
        (200, None) => {
            for key in reply.json().as_array().into_iter().flatten() {
                assert!(
                    key["name"].as_str().unwrap().starts_with(tenant.slug),
                    "the response to {} contains {key}",
                    tenant.slug
                );
            }
        }
        // Another request has revoked the key.
        (409, Some("updated")) => {}
        (503, _) => {
            reply.refused(503, reply.json()["code"].as_str().unwrap());
            count(&counts.refused);
        }
        other => panic!("{other:?}: {reply:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_requests_leave_no_open_transactions_and_no_partial_writes() {
    let server = Arc::new(TestServer::with(&[("DATABASE_MAX_CONNECTIONS", "4")]).await);
    let tenants = [Tenant::new(&server, "acme").await, Tenant::new(&server, "globex").await];
    let (counts, next) = (Arc::new(Counts::default()), Arc::new(AtomicUsize::new(0)));
    let begun = Instant::now();
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (server, tenants) = (server.clone(), tenants.clone());
            let (counts, next) = (counts.clone(), next.clone());
            tokio::spawn(async move {
                let mut random = Random(worker as u64);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= REQUESTS {
                        break;
                    }
                    one(&server, &tenants[number % 2], number, &mut random, &counts).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    println!("{counts:?} in {:?}", begun.elapsed());
    let (answered, disconnected) =
        (counts.answered.load(Ordering::Relaxed), counts.disconnected.load(Ordering::Relaxed));
    assert_eq!(answered + disconnected, REQUESTS);
    assert!(answered > REQUESTS / 10 && disconnected > REQUESTS / 2, "{counts:?}");
    assert!(counts.refused.load(Ordering::Relaxed) < REQUESTS / 100, "the pool had no free connection: {counts:?}");

    let database = &server.database;
    quiet(database).await;
    // PostgreSQL warns about a BEGIN within a transaction: the pool handed out a connection with an open transaction. The
    // next commit ends that transaction, so only the log shows it.
    let mut left_open = database.own_log().await;
    left_open.retain(|line| line.contains("there is already a transaction in progress"));
    assert!(left_open.is_empty(), "requests ran in transactions that were left open: {left_open:#?}");
    let mut connection = database.connect().await;

    // Acknowledged writes exist.
    let events: Vec<(String, String, Uuid, String)> = sqlx::query_as(
        "SELECT e.request_id, e.kind, e.key_id, t.slug FROM api_key_events e JOIN tenants t ON t.id = e.tenant_id",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let events: HashSet<(String, String, String, String)> =
        events.into_iter().map(|(request, kind, key, slug)| (request, kind, key.to_string(), slug)).collect();
    let rows: Vec<(Uuid, String, String, bool)> = sqlx::query_as(
        "SELECT k.id, t.slug, k.name, k.revoked_at IS NOT NULL FROM api_keys k JOIN tenants t ON t.id = k.tenant_id",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let rows: HashMap<String, (String, String, bool)> =
        rows.into_iter().map(|(id, slug, name, revoked)| (id.to_string(), (slug, name, revoked))).collect();
    for tenant in &tenants {
        let acknowledged = tenant.acknowledged.lock().unwrap().clone();
        assert!(acknowledged.len() > REQUESTS / 50, "{} writes of {}", acknowledged.len(), tenant.slug);
        for (request, kind, key) in acknowledged {
            let row = rows.get(&key);
            let Some((slug, _, revoked)) = row else { panic!("{kind} {key} is lost ({request})") };
            assert_eq!(slug, tenant.slug, "{key}");
            assert!(*revoked || kind != "revoked", "the revocation of {key} is lost ({request})");
            let event = (request, kind.to_owned(), key, tenant.slug.to_owned());
            assert!(events.contains(&event), "no event {event:?}");
        }
    }

    // No write exists in part, acknowledged or not.
    let in_part = "SELECT count(*)
        FROM api_keys k
        LEFT JOIN (SELECT tenant_id, key_id, count(*) AS secrets FROM api_key_secrets GROUP BY 1, 2) s
            ON (s.tenant_id, s.key_id) = (k.tenant_id, k.id)
        LEFT JOIN (SELECT tenant_id, key_id, count(*) AS events,
                          count(*) FILTER (WHERE kind = 'created') AS created,
                          count(*) FILTER (WHERE kind = 'revoked') AS revoked
                   FROM api_key_events GROUP BY 1, 2) e
            ON (e.tenant_id, e.key_id) = (k.tenant_id, k.id)
        WHERE (s.secrets, e.created, e.revoked, e.events)
              IS DISTINCT FROM (1, 1, (k.revoked_at IS NOT NULL)::int, k.version)";
    assert_eq!(database.count(in_part).await, 0);

    // No connection kept its tenant for another tenant's request.
    for (slug, name, _) in rows.values() {
        assert!(name.starts_with(slug.as_str()), "{slug} has a key named {name}");
    }
    for tenant in &tenants {
        let listed = tenant.by_key.get(PATH).await.expect(200);
        let listed: HashSet<String> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|key| {
                assert!(
                    key["name"].as_str().unwrap().starts_with(tenant.slug),
                    "the list of {} contains {key}",
                    tenant.slug
                );
                key["id"].as_str().unwrap().to_owned()
            })
            .collect();
        let of_tenant = rows.iter().filter(|(_, (slug, ..))| slug == tenant.slug).map(|(id, _)| id.clone());
        assert_eq!(listed, of_tenant.collect(), "{}", tenant.slug);
    }

    // All calls still work.
    for n in 0..10 {
        for (tenant, other) in [(&tenants[0], &tenants[1]), (&tenants[1], &tenants[0])] {
            let client = if n % 2 == 0 { &tenant.by_key } else { &tenant.by_token };
            let key = client.create(&format!("{} afterwards {n}", tenant.slug), "read").await;
            assert_eq!(client.get(&key.path()).await.expect(200)["id"], key.id);
            other.by_key.get(&key.path()).await.refused(404, "key_not_found");
            assert_eq!(client.get(&format!("{PATH}?limit=1")).await.expect(200)[0]["id"], key.id);
            client.with_key(&key.secret).get(&format!("{PATH}/self")).await.expect(200);
            client.delete(&key.path()).await.expect(204);
            client.with_key(&key.secret).get(PATH).await.refused(401, "key_revoked");
        }
    }
    quiet(database).await;
}

/// A query that counts the keys of that name that have one secret and one event.
fn whole(name: &str) -> String {
    format!(
        "SELECT count(*) FROM api_keys k
         WHERE name = '{name}'
           AND (SELECT count(*) FROM api_key_secrets s WHERE (s.tenant_id, s.key_id) = (k.tenant_id, k.id)) = 1
           AND (SELECT count(*) FROM api_key_events e WHERE (e.tenant_id, e.key_id) = (k.tenant_id, k.id)) = 1"
    )
}

async fn until(mut done: impl AsyncFnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !done().await {
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

fn create(tenant: &Tenant, name: &str) -> Vec<u8> {
    let body = Some(json!({"name": name}));
    Call { id: "create".into(), method: Method::POST, path: PATH.into(), body, event: None }.bytes(tenant, false)
}

/// A lock blocks the create until the client has disconnected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_is_completed_after_its_client_has_disconnected() {
    let server = TestServer::with(&[("DATABASE_MAX_CONNECTIONS", "3")]).await;
    let (tenant, database) = (Tenant::new(&server, "acme").await, &server.database);
    for (n, reset) in [(0, false), (1, true)] {
        let name = format!("Disconnected {n}");
        let mut lock = database.connect().await;
        lock.execute("BEGIN; LOCK TABLE api_key_events IN SHARE MODE").await.unwrap();
        let mut connection = RawConnection::open(server.address).await;
        connection.send(create(&tenant, &name)).await;
        let held = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
        until(async || database.count(held).await == 1, "a blocked statement of the create").await;
        connection.leave(reset);
        // Time for the server to notice the disconnect and to react.
        sleep(Duration::from_millis(200)).await;
        assert_eq!(database.count(&whole(&name)).await, 0);
        lock.close().await.unwrap();
        until(async || database.count(&whole(&name)).await == 1, "the create").await;
    }
    quiet(database).await;
    tenant.by_key.get(PATH).await.expect(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_committed_create_stays_after_its_client_has_disconnected() {
    let server = TestServer::with(&[("DATABASE_MAX_CONNECTIONS", "3")]).await;
    let (tenant, database) = (Tenant::new(&server, "acme").await, &server.database);
    let mut watcher = database.connect().await;
    for n in 0..50 {
        let name = format!("Committed {n}");
        let mut connection = RawConnection::open(server.address).await;
        connection.send(create(&tenant, &name)).await;
        let whole = whole(&name);
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let there: i64 =
                sqlx::query_scalar(sqlx::AssertSqlSafe(whole.as_str())).fetch_one(&mut watcher).await.unwrap();
            if there == 1 {
                break;
            }
            assert!(Instant::now() < deadline, "{name} is missing");
        }
        connection.leave(n % 2 == 0);
    }
    quiet(database).await;
    for n in 0..50 {
        assert_eq!(database.count(&whole(&format!("Committed {n}"))).await, 1);
    }
    assert_eq!(tenant.by_token.get(PATH).await.expect(200).as_array().unwrap().len(), 51);
}
