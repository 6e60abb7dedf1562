//! Callers of a key: who used it in the last 30 days.

use std::{future::ready, sync::Arc, time::Duration};

use chrono::TimeDelta;
use rally_api_keys::{
    domain::{ApiKeyId, Secret},
    usage::{self, UsageCounter},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::time::{Instant, sleep};

use crate::{
    binary::Home,
    client::{Client, CreatedKey, Credential, PATH, send},
    harness::{TestDatabase, TestServer, open, wait_until},
    proxy::{Mode, Proxy},
};

const CHECK: &str = "/forward-auth";
const ALL: &str = "SELECT coalesce(sum(requests), 0)::bigint FROM api_key_callers";

fn callers(key: &CreatedKey) -> String {
    format!("{}/callers", key.path())
}

/// A check by a program behind the trusted proxy.
async fn check(client: &Client, address: &str, agent: &str) -> u16 {
    let request = client.request(Method::GET, CHECK).header("user-agent", agent).header("x-forwarded-for", address);
    send(request).await.status.as_u16()
}

/// Address, program, requests and secret of each caller.
fn shown(callers: &Value) -> Vec<(&str, &str, i64, &str)> {
    callers
        .as_array()
        .unwrap()
        .iter()
        .map(|caller| {
            (
                caller["address"].as_str().unwrap_or("-"),
                caller["userAgent"].as_str().unwrap_or("-"),
                caller["requests"].as_i64().unwrap(),
                caller["secret"].as_str().unwrap(),
            )
        })
        .collect()
}

/// A key's counter, as the cache has one.
fn counter(server: &TestServer, key: &CreatedKey) -> Arc<UsageCounter> {
    let digest = Secret::parse(key.secret.as_bytes()).unwrap().lookup_digest();
    Arc::new(UsageCounter::new(server.database.acme, ApiKeyId::parse(&key.id).unwrap(), digest))
}

#[tokio::test]
async fn each_caller_is_shown_with_its_requests_and_secret_the_latest_first() {
    let mut server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let begun = server.clock.now();
    let old = admin.with_key(&key.secret);
    assert_eq!(check(&old, "203.0.113.7", "curl/8.0").await, 200);
    assert_eq!(check(&old, "203.0.113.7", "curl/8.0").await, 200);
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    let new = admin.with_key(rotated["key"].as_str().unwrap());
    assert_eq!(check(&new, "203.0.113.7", "curl/8.0").await, 200);
    assert_eq!(check(&old, "2001:db8::1", &"x".repeat(5_000)).await, 200);
    assert_eq!(check(&new, "::ffff:203.0.113.8", "zapier \u{e9}").await, 200);
    assert_eq!(check(&new, "203.0.113.9", &format!("agent {}", key.secret)).await, 200);
    // A call of the management API, which sends no User-Agent.
    let request = new.request(Method::GET, PATH).header("x-forwarded-for", "203.0.113.10");
    send(request).await.expect(200);
    server.stop().await; // writes the callers

    let server = TestServer::on(server.database.clone(), &[]).await;
    let admin = server.admin("acme");
    let listed = admin.get(&callers(&key)).await.expect(200);
    let long = "x".repeat(200);
    assert_eq!(
        shown(&listed),
        [
            ("203.0.113.10", "-", 1, "current"),
            ("203.0.113.9", "[redacted]", 1, "current"),
            ("203.0.113.8", "zapier \u{e9}", 1, "current"),
            ("2001:db8::1", &long, 1, "previous"),
            ("203.0.113.7", "curl/8.0", 1, "current"),
            ("203.0.113.7", "curl/8.0", 2, "previous"),
        ]
    );
    for caller in listed.as_array().unwrap() {
        let names: Vec<_> = caller.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, ["address", "userAgent", "firstSeenAt", "lastSeenAt", "requests", "secret"]);
        let at = |name: &str| chrono::DateTime::parse_from_rfc3339(caller[name].as_str().unwrap()).unwrap();
        assert!(begun <= at("firstSeenAt") && at("firstSeenAt") <= at("lastSeenAt"), "{caller}");
        assert!(at("lastSeenAt") <= server.clock.now(), "{caller}");
    }
    // By the key itself, with either secret.
    for secret in [rotated["key"].as_str().unwrap(), &key.secret] {
        assert_eq!(admin.with_key(secret).get(&format!("{PATH}/self/callers")).await.expect(200), listed);
    }
    // The overlap ends, and the key: who used them is still shown.
    admin.delete(&format!("{}/previous-secret", key.path())).await.expect(204);
    admin.delete(&key.path()).await.expect(204);
    assert_eq!(admin.get(&callers(&key)).await.expect(200), listed);
}

#[tokio::test]
async fn denied_requests_make_no_caller() {
    let mut server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let client = admin.with_key(&key.secret);
    assert_eq!(check(&client, "203.0.113.7", "curl").await, 200);
    for agent in ["curl", "wget"] {
        let request = client.request(Method::POST, CHECK).header("user-agent", agent);
        send(request.header("x-forwarded-for", "203.0.113.7")).await.refused(403, "insufficient_scope");
    }
    admin.delete(&key.path()).await.expect(204);
    assert_eq!(check(&client, "203.0.113.8", "curl").await, 401);
    server.stop().await;
    let server = TestServer::on(server.database.clone(), &[]).await;
    let admin = server.admin("acme");
    assert_eq!(shown(&admin.get(&callers(&key)).await.expect(200)), [("203.0.113.7", "curl", 1, "current")]);
    let usage = admin.get(&format!("{}/usage", key.path())).await.expect(200);
    assert_eq!((&usage["requests"], &usage["denied"]), (&json!(4), &json!(3)));
    // A request that authenticated and was denied for its scope is a use of the secret.
    assert_eq!(usage["secrets"][0]["lastUserAgent"], "wget");
}

#[tokio::test]
async fn reading_callers_requires_the_read_scope_of_the_keys_tenant() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "write").await;
    assert_eq!(admin.get(&callers(&key)).await.expect(200), json!([]));
    admin.with_key(&key.secret).get(&callers(&key)).await.expect(200);
    let other = admin.create("n", "read").await;
    admin.with_key(&other.secret).get(&callers(&key)).await.expect(200);
    server.user("acme", "").get(&callers(&key)).await.refused(403, "insufficient_scope");
    server.user("acme", "read").get(&callers(&key)).await.expect(200);
    admin.with(Credential::None).get(&callers(&key)).await.refused(401, "missing_credentials");
    admin.get(&format!("{PATH}/self/callers")).await.refused(403, "key_required");
    let theirs = server.admin("globex").get(&callers(&key)).await;
    theirs.refused(404, "key_not_found");
    let unknown = server.admin("globex").get(&format!("{PATH}/0190a8f2-0000-7000-8000-000000000000/callers")).await;
    assert_eq!(theirs.apart_from_request_id(), unknown.apart_from_request_id());
    assert_eq!(admin.get(&format!("{PATH}/x/callers")).await.bad_fields(), ["id"]);
    assert_eq!(admin.get(&format!("{}?limit=5", callers(&key))).await.bad_fields(), ["limit"]);
    let post = admin.post(&callers(&key), &json!({})).await;
    post.refused(405, "method_not_allowed");
    assert_eq!(post.header("allow"), "GET,HEAD");
}

/// Those beyond eight are counted together, also where a key has several counters.
#[tokio::test]
async fn callers_beyond_eight_between_two_writes_are_counted_together() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let store = open(&server.database.url().await).await.unwrap();
    let (recorder, worker) = usage::start(store.usage(), server.clock.clone(), TimeDelta::days(1));
    let counters = [counter(&server, &key), counter(&server, &key)];
    let now = server.clock.now();
    for n in 0..20_u8 {
        for _ in 0..=n {
            let agent = format!("agent-{n}");
            let client = usage::Client { address: Some([192, 0, 2, n].into()), user_agent: Some(agent.as_bytes()) };
            recorder.used(&counters[usize::from(n % 2)], now + TimeDelta::seconds(n.into()), client);
        }
    }
    drop(recorder);
    worker.run(ready(Instant::now() + Duration::from_secs(5))).await;
    let listed = admin.get(&callers(&key)).await.expect(200);
    let shown = shown(&listed);
    let others: Vec<_> = shown.iter().filter(|(address, ..)| *address == "-").collect();
    let [("-", "-", requests, "current")] = others[..] else { panic!("{shown:?}") };
    assert_eq!(shown.len(), 8 + 1, "{shown:?}");
    assert_eq!(shown.iter().map(|(_, _, requests, _)| requests).sum::<i64>(), (1..=20).sum::<i64>());
    assert!(*requests > 0);
    // The last use is of the latest caller, whether it is among the eight or not.
    let usage = admin.get(&format!("{}/usage", key.path())).await.expect(200);
    assert_eq!(usage["secrets"][0]["lastUserAgent"], "agent-19");
}

/// Rows of callers, each of which was seen at one time, the latest of them `days` days ago.
async fn insert_callers(server: &TestServer, key: &CreatedKey, count: u32, days: f64) {
    let rows = format!(
        "INSERT INTO api_key_callers
         SELECT '{}', '{}', '\\x{}', substr(sha256(('{days} ' || n)::bytea), 1, 16), '192.0.2.1', n::text,
                at, at, 1
         FROM generate_series(1, {count}) n
         CROSS JOIN LATERAL (SELECT now() - {days} * interval '1 day' - n * interval '1 second' AS at) seen",
        server.database.acme,
        key.id,
        key.digest()
    );
    server.database.execute(&rows).await;
}

#[tokio::test]
async fn no_more_than_the_latest_fifty_of_thirty_days_are_shown_and_kept() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (many, few) = (admin.create("many", "read").await, admin.create("few", "read").await);
    insert_callers(&server, &many, 75, 0.5).await;
    insert_callers(&server, &many, 5, 30.1).await;
    insert_callers(&server, &few, 3, 29.9).await;
    insert_callers(&server, &few, 4, 30.1).await;
    let agents = async |admin: &Client, key: &CreatedKey| -> Vec<u32> {
        let listed = admin.get(&callers(key)).await.expect(200);
        shown(&listed).iter().map(|(_, agent, ..)| agent.parse().unwrap()).collect()
    };
    let latest: Vec<u32> = (1..=50).collect();
    assert_eq!(agents(&admin, &many).await, latest);
    assert_eq!(agents(&admin, &few).await, [1, 2, 3]);
    // Another instance, since the first one may have looked for them before.
    let sibling = server.sibling(&[]).await;
    wait_until(async || server.database.count(ALL).await == 53).await;
    let kept = "SELECT count(*) FROM api_key_callers WHERE last_seen_at > now() - interval '30 days'";
    assert_eq!(server.database.count(kept).await, 53);
    assert_eq!(agents(&admin, &many).await, latest);
    // An hour later than the last caller's 30th day, nobody is shown, and nobody is kept.
    sibling.clock.turn(TimeDelta::days(30));
    let admin = server.admin("acme"); // with a token that is valid then
    assert_eq!(agents(&admin, &many).await, [0; 0]);
    let _third = server.sibling(&[]).await;
    wait_until(async || server.database.count(ALL).await == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_of_each_caller_counts_once_when_two_instances_stop() {
    let settings = [("TRUSTED_PROXIES", "127.0.0.1")];
    let mut one = TestServer::with(&settings).await;
    let mut other = one.sibling(&settings).await;
    one.wait_for_feed().await;
    other.wait_for_feed().await;
    let key = one.admin("acme").create("n", "read").await;
    let begun = Instant::now();
    let mut sent = [0_i64; 3];
    let clients = [&one, &other].map(|server| server.client("acme", Credential::ApiKey(key.secret.clone())));
    // Longer than a second, so that callers are written before the others are due.
    while begun.elapsed() < Duration::from_secs(3) {
        let requests = (0..6).map(|n| {
            let client = &clients[n % 2];
            async move { check(client, "203.0.113.7", &format!("agent-{}", n % 3)).await }
        });
        assert_eq!(futures_util::future::join_all(requests).await, [200; 6]);
        sent = sent.map(|sent| sent + 2);
    }
    one.stop().await;
    other.stop().await;
    let counted = one
        .database
        .texts("SELECT format('%s %s', user_agent, sum(requests)) FROM api_key_callers GROUP BY user_agent ORDER BY 1")
        .await;
    let expected: Vec<_> = sent.iter().enumerate().map(|(n, sent)| format!("agent-{n} {sent}")).collect();
    assert_eq!(counted, expected);
    assert_eq!(one.database.counted_requests().await, sent.iter().sum::<i64>());
}

#[tokio::test]
async fn callers_of_an_outage_are_written_once_the_database_is_back() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let mut server = TestServer::through(proxy.address, database, &[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    server.wait_for_feed().await;
    let client = server.admin("acme");
    let client = client.with_key(&client.create("n", "read").await.secret);
    assert_eq!(check(&client, "203.0.113.1", "curl").await, 200);
    proxy.set(Mode::Cut);
    for n in 1..=5 {
        assert_eq!(check(&client, &format!("203.0.113.{n}"), "curl").await, 200);
    }
    // A batch fails meanwhile.
    wait_until(async || {
        let metrics = client.get("/metrics").await.body;
        !metrics.contains("rally_usage_batches_failed_total 0\n")
    })
    .await;
    proxy.set(Mode::Pass);
    server.stop().await;
    let counted =
        server.database.texts("SELECT format('%s %s', host(address), requests) FROM api_key_callers ORDER BY 1");
    assert_eq!(counted.await, ["203.0.113.1 2", "203.0.113.2 1", "203.0.113.3 1", "203.0.113.4 1", "203.0.113.5 1"]);
}

#[tokio::test]
async fn the_command_line_lists_callers() {
    let mut server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let key = server.admin("acme").create("n", "read").await;
    let client = server.client("acme", Credential::ApiKey(key.secret.clone()));
    assert_eq!(check(&client, "203.0.113.7", "etl/2.1 (nightly)").await, 200);
    server.stop().await;
    let (home, url) = (Home::new("keys-callers"), server.database.url_text(None).await);
    let settings = [("DATABASE_URL", url.as_str())];
    let printed = home.succeed(&["keys", "callers", "--tenant", "acme", &key.id], &settings).await;
    let [title, row] = printed.lines().collect::<Vec<_>>()[..] else { panic!("{printed}") };
    assert!(title.starts_with("ADDRESS ") && title.ends_with(" USER-AGENT"), "{printed}");
    assert!(row.starts_with("203.0.113.7 ") && row.ends_with(" 1 etl/2.1 (nightly)"), "{printed}");
    assert!(row.contains(" current "), "{printed}");
    let why = home.fail(&["keys", "callers", "--tenant", "globex", &key.id], &settings).await;
    assert!(why.contains(&format!("tenant globex has no API key {}; see `rally-api-keys keys list", key.id)), "{why}");
}

/// A call of `record_usage` with the batch of that number: three requests by curl now, with the last use.
fn batch(number: i64, tenant: impl std::fmt::Display, key: &CreatedKey) -> String {
    format!(
        "SELECT record_usage('00000000-0000-4000-8000-00000000000a', {number}, ARRAY['{tenant}'::uuid], ARRAY['{key}'::uuid],
             ARRAY['\\x{digest}'::bytea], ARRAY[date_trunc('hour', now(), 'UTC')], ARRAY[3::bigint], ARRAY[0::bigint],
             ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint],
             ARRAY[0::bigint], ARRAY['day'], ARRAY[now()],
             ARRAY['192.0.2.1'::inet], ARRAY['curl'],
             ARRAY['{tenant}'::uuid], ARRAY['{key}'::uuid], ARRAY['\\x{digest}'::bytea],
             ARRAY[substr(sha256('192.0.2.1 curl'), 1, 16)], ARRAY['192.0.2.1'::inet], ARRAY['curl'],
             ARRAY[now() - interval '1 second'], ARRAY[now()], ARRAY[3::bigint])",
        key = key.id,
        digest = key.digest()
    )
}

#[tokio::test]
async fn a_batch_that_is_sent_again_counts_its_callers_once() {
    let mut server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let key = server.admin("acme").create("n", "read").await;
    for number in [1, 1, 2, 1] {
        let batch = batch(number, server.database.acme, &key);
        server.database.execute(&format!("SET ROLE rally_app; {batch}")).await;
    }
    assert_eq!(server.database.count(ALL).await, 6);
    // The service counts the same caller in the same row.
    let client = server.client("acme", Credential::ApiKey(key.secret.clone()));
    assert_eq!(check(&client, "192.0.2.1", "curl").await, 200);
    server.stop().await;
    let row = "SELECT format('%s %s', count(*), sum(requests)) FROM api_key_callers";
    assert_eq!(server.database.texts(row).await, ["1 7"]);
}

const OF_USAGE: [&str; 4] = ["api_key_usage", "api_key_last_uses", "api_key_callers", "api_key_quota_usage"];

async fn rows_of_usage(database: &TestDatabase) -> [i64; 4] {
    let mut rows = [0; 4];
    for (rows, table) in rows.iter_mut().zip(OF_USAGE) {
        *rows = database.count(&format!("SELECT count(*) FROM {table} WHERE tenant_id = '{}'", database.acme)).await;
    }
    rows
}

/// An instance writes what it counted up to a minute before.
#[tokio::test]
async fn usage_of_a_deleted_tenant_is_not_written() {
    let server = TestServer::start().await;
    let database = &server.database;
    let admin = server.admin("acme");
    let (key, theirs) = (admin.create("n", "read").await, server.admin("globex").create("n", "read").await);
    let (home, url) = (Home::new("deleted-usage"), database.url_text(None).await);

    // A batch that has begun before the deletion, and ends after the deletion waits for it.
    let mut writer = database.connect().await;
    let begun = format!("BEGIN; SET LOCAL ROLE rally_app; {}; RESET ROLE", batch(1, database.acme, &key));
    writer.execute(AssertSqlSafe(begun)).await.unwrap();
    let settings = [("DATABASE_URL", url.as_str())];
    let deletion = home.succeed(&["tenant", "delete", "acme", "--yes"], &settings);
    let commit = async {
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'";
        wait_until(async || database.count(waits).await == 1).await;
        let written: i64 =
            sqlx::query_scalar("SELECT count(*) FROM api_key_callers").fetch_one(&mut writer).await.unwrap();
        assert_eq!(written, 1);
        writer.execute("COMMIT").await.unwrap();
    };
    tokio::join!(deletion, commit);
    assert_eq!(rows_of_usage(database).await, [0; 4]);

    // A batch that comes after it, with rows of another tenant, which are written.
    for (number, tenant, key) in [(2, database.acme, &key), (3, database.globex, &theirs)] {
        database.execute(&format!("SET ROLE rally_app; {}", batch(number, tenant, key))).await;
    }
    assert_eq!(rows_of_usage(database).await, [0; 4]);
    for table in OF_USAGE {
        assert_eq!(database.count(&format!("SELECT count(DISTINCT tenant_id) FROM {table}")).await, 1, "{table}");
    }
}

/// Callers cost no round trip of their own, and are not written with each use.
#[tokio::test]
async fn callers_are_written_with_the_usage_and_not_with_each_use() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let server = TestServer::through(proxy.address, database, &[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let client = admin.with_key(&admin.create("n", "read").await.secret);
    assert_eq!(check(&client, "203.0.113.1", "curl").await, 200); // fills the cache
    wait_until(async || server.database.count(ALL).await == 1).await;
    // The statement is prepared, which is a round trip of its own, once per connection.
    let mut least = usize::MAX;
    for n in 2..10 {
        let silence = async || {
            let mut seen = proxy.round_trips();
            wait_until(async || {
                sleep(Duration::from_millis(50)).await;
                std::mem::replace(&mut seen, proxy.round_trips()) == proxy.round_trips()
            })
            .await;
        };
        silence().await;
        let before = proxy.round_trips();
        assert_eq!(check(&client, "203.0.113.1", &format!("agent-{n}")).await, 200);
        wait_until(async || server.database.counted_requests().await == n).await;
        silence().await;
        least = least.min(proxy.round_trips() - before);
    }
    assert_eq!(least, 1, "round trips of a flush");
    assert_eq!(server.database.count(ALL).await, 1, "the others are due 30 s after the first");
}

/// Twice as many keys as fit in a batch, each with a caller of its own.
#[tokio::test]
async fn callers_of_5000_keys_within_a_second_are_written_within_five_seconds() {
    const KEYS: i64 = 5_000;
    let server = TestServer::start().await;
    let store = open(&server.database.url().await).await.unwrap();
    let (recorder, worker) = usage::start(store.usage(), server.clock.clone(), TimeDelta::days(1));
    let worker = tokio::spawn(worker.run(std::future::pending()));
    let counters: Vec<_> = (0..KEYS)
        .map(|_| {
            let digest = Secret::generate().lookup_digest();
            Arc::new(UsageCounter::new(server.database.acme, ApiKeyId::generate(), digest))
        })
        .collect();
    let used = Instant::now();
    for (n, counter) in counters.iter().enumerate() {
        let agent = format!("agent-{n}");
        let client = usage::Client { address: Some([192, 0, 2, 1].into()), user_agent: Some(agent.as_bytes()) };
        recorder.used(counter, server.clock.now(), client);
    }
    wait_until(async || server.database.count(ALL).await == KEYS).await;
    // 2 s of tolerance for a busy machine.
    assert!(used.elapsed() < Duration::from_secs(5 + 2), "{:?}", used.elapsed());
    worker.abort();
}
