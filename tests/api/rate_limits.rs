//! Rate limits of keys, at `/forward-auth` and in the management API.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    cache_states::{Metrics, warm_and_cold},
    client::{Client, CreatedKey, PATH, Reply, send},
    harness::{TestServer, wait_until},
    redis_server::RedisServer,
};

/// A key with that limit, of which nothing comes back during a test unless the window is short.
async fn limited(admin: &Client, scopes: &str, requests: u32, window_seconds: u32) -> CreatedKey {
    let limit = json!({"requests": requests, "windowSeconds": window_seconds});
    admin.create_with(&json!({"name": "Limited", "scopes": scopes, "rateLimit": limit})).await
}

const DAY: u32 = 86_400;

fn parse(time: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(time).unwrap().to_utc()
}

/// The policy, what is left, and when there is more.
fn fields(reply: &Reply) -> (String, String) {
    (reply.header("ratelimit-policy").to_owned(), reply.header("ratelimit").to_owned())
}

fn of_day(requests: u32, left: u32, seconds: u32) -> (String, String) {
    (format!(r#""rally-key";q={requests};w=86400"#), format!(r#""rally-key";r={left};t={seconds}"#))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_refused_beyond_its_burst_by_a_warm_and_by_a_cold_instance() {
    for instance in warm_and_cold(&[]).await {
        let server = &instance.server;
        let key = limited(&server.admin("acme"), "read", 3, DAY).await;
        let caller = server.admin("acme").with_key(&key.secret);
        for left in [2, 1, 0] {
            let reply = caller.get("/forward-auth").await;
            assert_eq!(reply.status, 200, "{:?}: {reply:?}", instance.state);
            assert_eq!(fields(&reply), of_day(3, left, 3_600));
        }
        let mut resets = Vec::new();
        for (path, status) in [("/forward-auth", 403), ("/forward-auth?limited=429", 429), ("/forward-auth", 403)] {
            let reply = caller.get(path).await;
            let problem = reply.refused(status, "rate_limited");
            assert_eq!((reply.header("x-rally-error"), reply.header("retry-after")), ("rate_limited", "3600"));
            assert_eq!(reply.header("cache-control"), "no-store");
            assert_eq!(fields(&reply), of_day(3, 0, 3_600));
            assert!(problem["detail"].as_str().unwrap().contains("3 requests in 86400 seconds"), "{problem}");
            let resets_at = problem["resetAt"].as_str().unwrap();
            assert!(resets_at.len() <= "2026-11-24T09:00:00.123456Z".len(), "{resets_at}");
            resets.push(parse(resets_at));
        }
        let own = caller.get(&format!("{PATH}/self")).await;
        own.refused(429, "rate_limited");
        assert_eq!((own.header("retry-after"), fields(&own)), ("3600", of_day(3, 0, 3_600)));
        // The refusals used up nothing: a third of the day after the first request.
        let ahead = (resets[2] - server.clock.now()).num_seconds();
        assert!((28_700..=28_800).contains(&ahead), "{ahead}");
        assert!((resets[2] - resets[0]).abs() < TimeDelta::seconds(5), "{resets:?}");
        // Others have limits of their own, and a user has none.
        assert_eq!(server.admin("acme").get("/forward-auth").await.status, 200);
        let other = limited(&server.admin("acme"), "read", 1, DAY).await;
        assert_eq!(caller.with_key(&other.secret).get("/forward-auth").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_never_exceed_the_burst() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let key = limited(&server.admin("acme"), "read", 40, DAY).await;
    let caller = server.admin("acme").with_key(&key.secret);
    let replies = join_all((0..120).map(|_| caller.get("/forward-auth"))).await;
    let allowed = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(allowed, 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_manages_keys_counts_once() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = limited(&admin, "admin", 5, DAY).await;
    let caller = admin.with_key(&key.secret);
    let other = admin.create("Other", "read").await;
    let left = |reply: &Reply| reply.header("ratelimit").to_owned();
    let reply = caller.get(PATH).await;
    assert_eq!((reply.status.as_u16(), left(&reply)), (200, of_day(5, 4, 3_600).1));
    // Decided again under a lock.
    let reply = caller.patch(&other.path(), &json!({"name": "Renamed"})).await;
    assert_eq!((reply.status.as_u16(), left(&reply)), (200, of_day(5, 3, 3_600).1));
    // Let in, and then refused by the handler.
    let reply = caller.patch(&other.path(), &json!({"name": ""})).await;
    assert_eq!((reply.status.as_u16(), left(&reply)), (400, of_day(5, 2, 3_600).1));
    let reply = caller.post(PATH, &json!({"name": "New"})).await;
    assert_eq!((reply.status.as_u16(), left(&reply)), (201, of_day(5, 1, 3_600).1));
    let reply = caller.delete(&other.path()).await;
    assert_eq!((reply.status.as_u16(), left(&reply)), (204, of_day(5, 0, 3_600).1));
    for request in [caller.request(Method::DELETE, &other.path()), caller.request(Method::GET, PATH)] {
        let reply = send(request.header("origin", "https://acme.localhost")).await;
        reply.refused(429, "rate_limited");
        let exposed = reply.header("access-control-expose-headers").to_ascii_lowercase();
        for name in ["ratelimit", "ratelimit-policy", "retry-after"] {
            assert!(exposed.split(',').any(|exposed| exposed.trim() == name), "{name}: {exposed}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_refused_for_another_reason_uses_up_nothing() {
    let server = TestServer::start().await;
    let key = limited(&server.admin("acme"), "read", 2, DAY).await;
    let caller = server.admin("acme").with_key(&key.secret);
    for _ in 0..5 {
        let reply = caller.post("/forward-auth", &json!({})).await;
        reply.refused(403, "insufficient_scope");
        assert_eq!(reply.header("ratelimit"), r#""rally-key";r=2"#);
        caller.post(PATH, &json!({"name": "New"})).await.refused(403, "insufficient_scope");
        caller.get("/forward-auth?nonsense=1").await.refused(403, "invalid_request");
    }
    assert_eq!(fields(&caller.get("/forward-auth").await), of_day(2, 1, 3_600));
    // Nor does one that is beyond the limit and lacks the scope: the scope is named.
    assert_eq!(caller.get("/forward-auth").await.status, 200);
    caller.post("/forward-auth", &json!({})).await.refused(403, "insufficient_scope");
    caller.get("/forward-auth").await.refused(403, "rate_limited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_a_second_secret_nor_a_change_of_the_key_gives_a_fresh_burst() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = limited(&admin, "read", 4, DAY).await;
    let previous = admin.with_key(&key.secret);
    assert_eq!(fields(&previous.get("/forward-auth").await), of_day(4, 3, 3_600));
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    let current = admin.with_key(rotated["key"].as_str().unwrap());
    assert_eq!(fields(&current.get("/forward-auth").await), of_day(4, 2, 3_600));
    assert_eq!(fields(&previous.get("/forward-auth").await), of_day(4, 1, 3_600));
    admin.patch(&key.path(), &json!({"name": "Renamed"})).await.expect(200);
    assert_eq!(fields(&current.get("/forward-auth").await), of_day(4, 0, 3_600));
    for caller in [&current, &previous] {
        caller.get("/forward-auth").await.refused(403, "rate_limited");
    }
    // In the same window, the share that is used stays the same.
    let set = async |limit: Value| admin.patch(&key.path(), &json!({"rateLimit": limit})).await.expect(200);
    set(json!({"requests": 8, "windowSeconds": DAY})).await;
    current.get("/forward-auth").await.refused(403, "rate_limited");
    set(Value::Null).await;
    let unlimited = current.get("/forward-auth").await;
    assert!(unlimited.status == 200 && !unlimited.headers.contains_key("ratelimit"), "{unlimited:?}");
    set(json!({"requests": 8, "windowSeconds": 1})).await;
    wait_until(async || current.get("/forward-auth").await.status == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_set_elsewhere_holds_for_a_cached_key() {
    let server = TestServer::start().await;
    let other = server.sibling(&[]).await;
    for server in [&server, &other] {
        server.wait_for_feed().await;
    }
    let key = server.admin("acme").create("Cached", "read").await;
    let caller = other.admin("acme").with_key(&key.secret);
    for _ in 0..3 {
        let reply = caller.get("/forward-auth").await;
        assert!(reply.status == 200 && !reply.headers.contains_key("ratelimit-policy"), "{reply:?}");
    }
    let limit = json!({"rateLimit": {"requests": 1, "windowSeconds": DAY}});
    server.admin("acme").patch(&key.path(), &limit).await.expect(200);
    wait_until(async || caller.get("/forward-auth").await.headers.contains_key("ratelimit-policy")).await;
    caller.get("/forward-auth").await.refused(403, "rate_limited");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_refills_by_the_monotonic_clock() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let [slow, fast] = [limited(&admin, "read", 1, DAY).await, limited(&admin, "read", 1, 2).await];
    let [slow, fast] = [slow, fast].map(|key| admin.with_key(&key.secret));
    for caller in [&slow, &fast] {
        assert_eq!(caller.get("/forward-auth").await.status, 200);
    }
    for by in [TimeDelta::days(2), TimeDelta::days(-4)] {
        server.clock.turn(by);
        slow.get("/forward-auth").await.refused(403, "rate_limited");
        wait_until(async || fast.get("/forward-auth").await.status == 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_requests_count_as_denied() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = limited(&admin, "read", 1, DAY).await;
    let caller = admin.with_key(&key.secret);
    assert_eq!(caller.get("/forward-auth").await.status, 200);
    for _ in 0..3 {
        caller.get("/forward-auth").await.refused(403, "rate_limited");
    }
    caller.get(&format!("{PATH}/self")).await.refused(429, "rate_limited");
    wait_until(async || {
        let usage = admin.get(&format!("{}/usage", key.path())).await.expect(200);
        let today = usage["buckets"].as_array().unwrap().last().unwrap().clone();
        (today["requests"] == 5 && today["denied"] == 4)
            .then(|| assert_eq!(today["deniedByReason"]["rateLimit"], 4, "{today}"))
            .is_some()
    })
    .await;
    let refused = r#"rally_key_verifications_total{result="rate_limited",source="cache"}"#;
    assert!(Metrics::of(&server).await.count(refused) >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_with_a_redis_count_together_and_tell_when_it_is_away() {
    let Some(mut redis) = RedisServer::start("http").await else { return };
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str())];
    let server = TestServer::with(&settings).await;
    let other = server.sibling(&settings).await;
    for server in [&server, &other] {
        server.wait_for_feed().await;
    }
    let admin = server.admin("acme");
    let key = limited(&admin, "admin", 10, DAY).await;
    let callers = [&server, &other].map(|server| server.admin("acme").with_key(&key.secret));
    let [here, there] = &callers;
    for n in 0..4 {
        assert_eq!(fields(&here.get("/forward-auth").await), of_day(10, 9 - 2 * n, 3_600));
        assert_eq!(fields(&there.get(&format!("{PATH}/self")).await), of_day(10, 8 - 2 * n, 3_600));
    }
    // A change, which is decided again under a lock, counts once there too.
    let renamed = here.patch(&key.path(), &json!({"name": "Renamed"})).await;
    assert_eq!((renamed.status.as_u16(), fields(&renamed)), (200, of_day(10, 1, 3_600)));
    let replies = join_all((0..10).map(|n| callers[n % 2].get("/forward-auth"))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    here.get("/forward-auth?limited=429").await.refused(429, "rate_limited");
    there.post("/forward-auth", &json!({})).await.refused(403, "rate_limited");

    redis.kill();
    let readiness = async || admin.get("/readyz").await.json();
    wait_until(async || readiness().await == json!({"status": "degraded", "degraded": ["redis"]})).await;
    assert_eq!(admin.get("/readyz").await.status, 200);
    let alone = limited(&admin, "read", 2, DAY).await;
    for server in [&server, &other] {
        let caller = server.admin("acme").with_key(&alone.secret);
        wait_until(async || Metrics::of(server).await.count("rally_limits_redis_up") == 0).await;
        for _ in 0..2 {
            assert_eq!(caller.get("/forward-auth").await.status, 200, "once at each instance");
        }
        caller.get("/forward-auth").await.refused(403, "rate_limited");
        assert!(Metrics::of(server).await.count("rally_limits_local_fallbacks_total") >= 3);
    }
    redis.restart().await;
    wait_until(async || readiness().await == json!({"status": "ready"})).await;
    assert_eq!(Metrics::of(&server).await.count("rally_limits_redis_up"), 1);
}

/// An instance that serves requests while Redis is frozen waits once for 20 ms, and then not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_go_on_while_redis_is_frozen() {
    let Some(redis) = RedisServer::start("http-frozen").await else { return };
    let server = TestServer::with(&[("REDIS_URL", &redis.url())]).await;
    server.wait_for_feed().await;
    let key = limited(&server.admin("acme"), "read", 1_000, DAY).await;
    let caller = server.admin("acme").with_key(&key.secret);
    assert_eq!(caller.get("/forward-auth").await.status, 200);
    redis.signal("STOP");
    let started = std::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(caller.get("/forward-auth").await.status, 200);
    }
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    redis.signal("CONT");
    wait_until(async || Metrics::of(&server).await.count("rally_limits_redis_up") == 1).await;
    // The requests that this instance counted by itself are not known to Redis.
    assert_eq!(caller.get("/forward-auth").await.status, 200);
}
