//! Usage of keys by hour and day, how it is written, and the list of unused keys.

use std::{future::ready, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use rally_api_keys::{
    domain::{ApiKeyId, Secret},
    usage::{self, UsageCounter},
};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor as _;
use tokio::time::Instant;

use crate::{
    binary::Home,
    client::{Client, CreatedKey, Credential, PATH, send},
    harness::{TestDatabase, TestServer, open, sign, wait_until},
};

pub const CHECK: &str = "/forward-auth";

pub fn usage(key: &CreatedKey) -> String {
    format!("{}/usage", key.path())
}

/// Requests, denied requests, and those denied as expired and for their scope, of the last bucket.
fn last_bucket(usage: &Value) -> (i64, i64, i64, i64) {
    let bucket = usage["buckets"].as_array().unwrap().last().unwrap();
    let number = |value: &Value| value.as_i64().unwrap();
    let reasons = &bucket["deniedByReason"];
    (number(&bucket["requests"]), number(&bucket["denied"]), number(&reasons["expired"]), number(&reasons["scope"]))
}

#[tokio::test]
async fn requests_and_refusals_are_counted() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = server.clock.now() + TimeDelta::minutes(10);
    let body = json!({"name": "counted", "scopes": "read", "expiresAt": end.to_rfc3339()});
    let key = admin.create_with(&body).await;
    let client = admin.with_key(&key.secret);
    for _ in 0..7 {
        assert_eq!(client.get(CHECK).await.status, 200);
    }
    client.get(PATH).await.expect(200);
    for _ in 0..3 {
        client.post(CHECK, &json!({})).await.refused(403, "insufficient_scope");
    }
    client.post(PATH, &json!({"name": "x"})).await.refused(403, "insufficient_scope");
    // Requests with another secret, or for another tenant, do not count.
    let wrong = format!("{}0", &key.secret[..key.secret.len() - 1]);
    if wrong != key.secret {
        admin.with_key(&wrong).get(CHECK).await.refused(401, "invalid_key");
    }
    client.on("globex.localhost").get(CHECK).await.refused(401, "invalid_key");

    let read = async || admin.get(&usage(&key)).await.expect(200);
    wait_until(async || last_bucket(&read().await) == (12, 4, 0, 4)).await;
    let before_end = server.clock.now();
    server.clock.turn(TimeDelta::minutes(11));
    for _ in 0..2 {
        client.get(CHECK).await.refused(401, "key_expired");
    }
    let totals = async || {
        let usage = read().await;
        (usage["requests"].as_i64().unwrap(), usage["denied"].as_i64().unwrap())
    };
    wait_until(async || totals().await == (14, 6)).await;
    let response = read().await;
    if before_end.date_naive() == server.clock.now().date_naive() {
        assert_eq!(last_bucket(&response), (14, 6, 2, 4));
    }
    assert_eq!(response["interval"], "day");
    assert_eq!(response["buckets"].as_array().unwrap().len(), 30);
    let (first, from) = (&response["buckets"][0], &response["from"]);
    let empty = json!({"start": from, "requests": 0, "denied": 0, "deniedByReason": {"expired": 0, "scope": 0, "revoked": 0, "suspended": 0, "address": 0, "rateLimit": 0, "quota": 0}});
    assert_eq!(first, &empty);
}

#[tokio::test]
async fn requests_with_a_revoked_key_or_an_ended_secret_are_counted_as_denied() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("counted", "read").await;
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": 0})).await.expect(200);
    for _ in 0..2 {
        admin.with_key(&key.secret).get(CHECK).await.refused(401, "invalid_key");
    }
    let client = admin.with_key(rotated["key"].as_str().unwrap());
    assert_eq!(client.get(CHECK).await.status, 200);
    admin.delete(&key.path()).await.expect(204);
    for _ in 0..3 {
        client.get(CHECK).await.refused(401, "key_revoked");
    }
    let read = async || admin.get(&usage(&key)).await.expect(200);
    wait_until(async || read().await["requests"] == 6).await;
    let usage = read().await;
    let sum: i64 = usage["buckets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bucket| bucket["deniedByReason"]["revoked"].as_i64().unwrap())
        .sum();
    assert_eq!((usage["denied"].as_i64(), sum), (Some(5), 5), "{usage}");
}

#[tokio::test]
async fn usage_is_returned_by_hour_or_by_day() {
    let mut server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    // Set the clock to the start of an hour, so that the requests below fall into the expected hours.
    let now = server.clock.now();
    server.clock.turn(TimeDelta::hours(1) - TimeDelta::minutes(i64::from(now.minute())));
    let (begun, mut sent) = (server.clock.now(), 0);
    for (minutes, count) in [(0, 1), (60, 2), (0, 3), (120, 4)] {
        server.clock.turn(TimeDelta::minutes(minutes));
        for _ in 0..count {
            assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
        }
        // Wait until the requests are written, before the clock is turned again.
        sent += count;
        wait_until(async || server.database.counted_requests().await == sent).await;
    }
    let admin = server.admin("acme");
    let sibling = server.sibling(&[]).await;
    server.stop().await;
    let admin = sibling.client("acme", admin.credential().clone());
    let hour = begun.to_rfc3339();
    let hour = DateTime::parse_from_rfc3339(&hour).unwrap().with_timezone(&Utc);
    let start = hour - TimeDelta::minutes(i64::from(hour.minute())) - TimeDelta::seconds(i64::from(hour.second()));
    let text = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:00:00Z").to_string();
    let path = format!("{}?interval=hour&from={}&to={}", usage(&key), text(start), text(start + TimeDelta::hours(5)));
    let response = admin.get(&path).await.expect(200);
    let of = |response: &Value, name: &str| -> Vec<Value> {
        response["buckets"].as_array().unwrap().iter().map(|bucket| bucket[name].clone()).collect()
    };
    assert_eq!(of(&response, "requests"), [1, 5, 0, 4, 0]);
    let starts: Vec<String> = (0..5).map(|n| text(start + TimeDelta::hours(n))).collect();
    assert_eq!(of(&response, "start"), starts);
    assert_eq!((&response["from"], &response["to"]), (&json!(starts[0]), &json!(text(start + TimeDelta::hours(5)))));
    assert_eq!((&response["requests"], &response["denied"]), (&json!(10), &json!(0)));

    let path = format!("{}?from={}", usage(&key), text(start));
    let days = admin.get(&path).await.expect(200);
    assert_eq!(of(&days, "requests").iter().map(|n| n.as_i64().unwrap()).sum::<i64>(), 10);
    let path = format!("{}?to={}", usage(&key), text(start));
    assert_eq!(admin.get(&path).await.expect(200)["buckets"].as_array().unwrap().len(), 30);
}

#[tokio::test]
async fn usage_shows_each_secrets_last_address_and_user_agent() {
    let server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    let new = rotated["key"].as_str().unwrap();
    let long = "x".repeat(5_000);
    let agents = [
        (key.secret.as_str(), "203.0.113.7", "curl/8.0"),
        (key.secret.as_str(), "203.0.113.8", "zapier \u{e9}"),
        (new, "2001:db8::1", long.as_str()),
    ];
    for (secret, address, agent) in agents {
        let request = admin.with_key(secret).request(Method::GET, CHECK);
        let request = request.header("user-agent", agent).header("x-forwarded-for", address);
        assert_eq!(send(request).await.status, 200);
    }
    let secrets = async || admin.get(&usage(&key)).await.expect(200)["secrets"].clone();
    wait_until(async || !secrets().await[0]["lastUsedAt"].is_null() && !secrets().await[1]["lastUsedAt"].is_null())
        .await;
    let response = secrets().await;
    let new_hint = response[0]["keyHint"].as_str().unwrap();
    assert!(new.ends_with(&new_hint[new_hint.len() - 4..]), "the newest secret is not the first: {response}");
    assert_eq!(response[0]["lastAddress"], "2001:db8::1");
    assert_eq!(response[0]["lastUserAgent"], "x".repeat(200));
    assert_eq!(response[0]["retiredAt"], Value::Null);
    assert_eq!(
        (&response[1]["lastAddress"], &response[1]["lastUserAgent"]),
        (&json!("203.0.113.8"), &json!("zapier \u{e9}"))
    );
    assert!(response[1]["retiredAt"].is_string() && response[1]["expiresAt"].is_string());

    // A user agent that contains a secret is not stored.
    let request = admin.with_key(new).request(Method::GET, CHECK).header("user-agent", format!("agent {new}"));
    assert_eq!(send(request).await.status, 200);
    wait_until(async || secrets().await[0]["lastUserAgent"] == "[redacted]").await;
    assert_eq!(secrets().await[0]["lastAddress"], "127.0.0.1", "without X-Forwarded-For, the peer's address");
}

#[tokio::test]
async fn reading_usage_requires_the_read_scope_of_the_keys_tenant() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "write").await;
    let itself = admin.with_key(&key.secret);
    itself.get(&usage(&key)).await.expect(200);
    assert_eq!(itself.get(&format!("{PATH}/self/usage")).await.expect(200)["interval"], "day");
    let other = admin.create("n", "read").await;
    admin.with_key(&other.secret).get(&usage(&key)).await.expect(200);
    server.user("acme", "").get(&usage(&key)).await.refused(403, "insufficient_scope");
    server.user("acme", "read").get(&usage(&key)).await.expect(200);
    admin.with(Credential::None).get(&usage(&key)).await.refused(401, "missing_credentials");
    admin.get(&format!("{PATH}/self/usage")).await.refused(403, "key_required");
    for path in [usage(&key), format!("{PATH}/0190a8f2-0000-7000-8000-000000000000/usage")] {
        server.admin("globex").get(&path).await.refused(404, "key_not_found");
    }
    assert_eq!(admin.get(&format!("{PATH}/x/usage")).await.bad_fields(), ["id"]);
    // The usage of a revoked key can still be read.
    admin.delete(&key.path()).await.expect(204);
    admin.get(&usage(&key)).await.expect(200);
}

#[tokio::test]
async fn invalid_windows_are_refused_with_the_fields_named() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    for (query, fields) in [
        ("interval=week", &["interval"][..]),
        ("interval=", &["interval"]),
        ("from=yesterday", &["from"]),
        ("from=2026-01-01", &["from"]),
        ("from=2026-01-01T00:00:00", &["from"]),
        ("to=x&from=y&interval=z", &["from", "interval", "to"]),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", &["from"]),
        ("from=2026-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", &["from"]),
        ("from=2020-01-01T00:00:00Z&interval=hour", &["from"]),
        ("from=0001-01-01T00:00:00Z", &["from"]),
        ("to=9999-12-31T23:59:59Z", &["to"]),
        ("limit=5", &["limit"]),
        ("from=2026-01-01T00:00:00Z&from=2026-01-01T00:00:00Z", &["from"]),
    ] {
        assert_eq!(admin.get(&format!("{}?{query}", usage(&key))).await.bad_fields(), fields, "{query}");
    }
    let ten_thousand = "from=2020-01-01T00:00:00Z&to=2021-02-20T16:00:00Z&interval=hour";
    let response = admin.get(&format!("{}?{ten_thousand}", usage(&key))).await.expect(200);
    assert_eq!(response["buckets"].as_array().unwrap().len(), 10_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_counted_once_when_two_instances_stop() {
    let mut one = TestServer::start().await;
    let mut other = one.sibling(&[]).await;
    let admin = one.admin("acme");
    let mut keys = Vec::new();
    for n in 0..5 {
        keys.push(admin.create(&format!("n{n}"), "read").await);
    }
    let mut sent = vec![0_i64; keys.len()];
    for round in 0..300 {
        let (key, server) = (round * 7 % keys.len(), if round % 3 == 0 { &one } else { &other });
        let client = server.client("acme", Credential::ApiKey(keys[key].secret.clone()));
        assert_eq!(client.get(CHECK).await.status, 200);
        sent[key] += 1;
    }
    one.stop().await;
    other.stop().await;
    for (key, sent) in keys.iter().zip(sent) {
        let sum = format!("SELECT sum(requests)::bigint FROM api_key_usage WHERE key_id = '{}'", key.id);
        assert_eq!(one.database.count(&sum).await, sent);
    }
}

/// All requests from more than five seconds before the kill are counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_at_most_five_seconds_of_usage() {
    let database = TestDatabase::create().await;
    let home = Home::new("usage-kill");
    let service = home.serve_on(&database).await;
    let end = (Utc::now() + TimeDelta::hours(1)).timestamp();
    let token = sign(&json!({"sub": "42", "tenant": "acme", "scope": "admin", "exp": end}));
    let admin = service.client("acme", Credential::Bearer(token));
    let key = admin.create("n", "read").await;
    let client: Client = admin.with_key(&key.secret);
    let begun = Instant::now();
    let mut sent_at = Vec::new();
    while begun.elapsed() < Duration::from_secs(7) {
        assert_eq!(client.get(CHECK).await.status, 200);
        sent_at.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let killed = begun.elapsed();
    service.kill().await;
    let counted = database.counted_requests().await;
    let old = sent_at.iter().filter(|at| **at + Duration::from_secs(5) < killed).count();
    let (old, all) = (i64::try_from(old).unwrap(), i64::try_from(sent_at.len()).unwrap());
    assert!(
        old > 50 && (old..=all).contains(&counted),
        "{counted} of {all} requests were counted, of which {old} are older than 5 s"
    );
}

#[tokio::test]
async fn hours_past_the_retention_are_removed() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("n", "read").await;
    let theirs = server.admin("globex").create("n", "read").await;
    for (tenant, key) in [(server.database.acme, &key), (server.database.globex, &theirs)] {
        let rows = format!(
            "INSERT INTO api_key_usage
             SELECT '{tenant}', '{}', date_trunc('hour', now(), 'UTC') - n * interval '1 day', 1, 0, 0, 0
             FROM generate_series(0, 500) n",
            key.id
        );
        server.database.execute(&rows).await;
    }
    // Another instance, since the first one has already removed old hours. Its retention is shorter than the default.
    let sibling = server.sibling(&[("USAGE_RETENTION_DAYS", "100")]).await;
    let old = "SELECT count(*) FROM api_key_usage WHERE hour < now() - interval '100 days'";
    wait_until(async || server.database.count(old).await == 0).await;
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_usage").await, 2 * 100);
    drop(sibling);
}

const OF_ALL_KEYS: &str = "/api/v1/api-keys/usage";

#[tokio::test]
async fn the_tenants_usage_is_the_sum_of_its_keys() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let (admin, theirs) = (server.admin("acme"), server.admin("globex"));
    assert_eq!(admin.get(OF_ALL_KEYS).await.expect(200)["requests"], 0);
    let keys = [admin.create("one", "read").await, admin.create("other", "write").await];
    let foreign = theirs.create("theirs", "read").await;
    assert_eq!(theirs.with_key(&foreign.secret).get(CHECK).await.status, 200);
    for (n, key) in keys.iter().enumerate() {
        let client = admin.with_key(&key.secret);
        for _ in 0..=n {
            assert_eq!(client.get(CHECK).await.status, 200);
        }
        assert_eq!(send(client.request(Method::DELETE, CHECK)).await.status.as_u16(), if n == 0 { 403 } else { 200 });
        admin.delete(&key.path()).await.expect(204);
        client.get(CHECK).await.refused(401, "key_revoked");
    }
    wait_until(async || admin.get(OF_ALL_KEYS).await.expect(200)["requests"] == 7).await;
    let window = format!("interval=hour&from={}", (server.clock.now() - TimeDelta::hours(2)).format("%FT%TZ"));
    for query in ["", "interval=day", &window] {
        let all = admin.get(&format!("{OF_ALL_KEYS}?{query}")).await.expect(200);
        let one = admin.get(&format!("{}?{query}", usage(&keys[0]))).await.expect(200);
        let other = admin.get(&format!("{}?{query}", usage(&keys[1]))).await.expect(200);
        assert!(all.get("secrets").is_none(), "{all}");
        let number = |value: &Value| value.as_i64().unwrap();
        let parts = ["/requests", "/denied", "/deniedByReason/scope", "/deniedByReason/revoked"];
        for (index, bucket) in all["buckets"].as_array().unwrap().iter().enumerate() {
            let of = |usage: &Value, part| number(usage["buckets"][index].pointer(part).unwrap());
            assert_eq!(bucket["start"], one["buckets"][index]["start"]);
            for part in parts {
                assert_eq!(
                    number(bucket.pointer(part).unwrap()),
                    of(&one, part) + of(&other, part),
                    "{part} in {query}"
                );
            }
        }
        assert_eq!((number(&all["requests"]), number(&all["denied"])), (7, 3), "{all}");
        for name in ["interval", "from", "to"] {
            assert_eq!(all[name], one[name]);
        }
    }
    assert_eq!(theirs.get(OF_ALL_KEYS).await.expect(200)["requests"], 1);
}

#[tokio::test]
async fn the_tenants_usage_has_the_parameters_and_refusals_of_a_keys() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for (query, fields) in [
        ("interval=week", &["interval"][..]),
        ("to=x&from=y&interval=z", &["from", "interval", "to"]),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", &["from"]),
        ("from=2020-01-01T00:00:00Z&interval=hour", &["from"]),
        ("keyId=1", &["keyId"]),
    ] {
        assert_eq!(admin.get(&format!("{OF_ALL_KEYS}?{query}")).await.bad_fields(), fields, "{query}");
    }
    let refused = server.user("acme", "").get(OF_ALL_KEYS).await.refused(403, "insufficient_scope");
    assert_eq!(refused["requiredScope"], "read");
    let key = admin.create("Key", "read").await;
    admin.with_key(&key.secret).get(OF_ALL_KEYS).await.expect(200);
    // The row that holds the sum is no key.
    let no_key = format!("{PATH}/ffffffff-ffff-ffff-ffff-ffffffffffff/usage");
    admin.get(&no_key).await.refused(404, "key_not_found");
}

/// Both write the tenant's row of the same hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tenants_usage_counts_the_requests_of_all_instances() {
    let mut one = TestServer::start().await;
    let mut other = one.sibling(&[]).await;
    let reader = one.sibling(&[]).await;
    let admin = one.admin("acme");
    let mut keys = Vec::new();
    for n in 0..10 {
        keys.push(admin.create(&format!("n{n}"), "read").await);
    }
    for round in 0..400 {
        let server = if round % 3 == 0 { &one } else { &other };
        let client = server.client("acme", Credential::ApiKey(keys[round * 7 % keys.len()].secret.clone()));
        assert_eq!(client.get(CHECK).await.status, 200);
    }
    tokio::join!(one.stop(), other.stop());
    assert_eq!(reader.admin("acme").get(OF_ALL_KEYS).await.expect(200)["requests"], 400);
}

#[tokio::test]
async fn secrets_that_ended_long_ago_are_removed_with_their_last_uses() {
    let server = TestServer::start().await;
    let mut kept = Vec::new();
    let mut number = 0;
    for (tenant, id) in [("acme", server.database.acme), ("globex", server.database.globex)] {
        let admin = server.admin(tenant);
        for (overlap, ended) in [(0, "91 days"), (60, "91 days"), (0, "89 days"), (60, "89 days")] {
            number += 1;
            let old = admin.create("n", "read").await;
            let rotate = format!("{}/rotate", old.path());
            let new = admin.post(&rotate, &json!({"overlapSeconds": overlap})).await.expect(200);
            let rows = format!(
                "UPDATE api_key_secrets
                 SET expires_at = now() - interval '{ended}',
                     ended_at = CASE WHEN ended_at IS NOT NULL THEN now() - interval '{ended}' END
                 WHERE lookup_digest = '\\x{}'",
                old.digest()
            );
            server.database.execute(&rows).await;
            server.database.execute(&batch(number, id, &old, 1)).await;
            kept.push((admin.with_key(new["key"].as_str().unwrap()), ended));
        }
    }
    let secrets = "SELECT count(*) FROM api_key_secrets";
    // Another instance, since the first one may have looked for them before they ended.
    let _sibling = server.sibling(&[]).await;
    wait_until(async || server.database.count(secrets).await <= 12).await;
    assert_eq!(server.database.count(secrets).await, 12);
    wait_until(async || server.database.count("SELECT count(*) FROM api_key_last_uses").await <= 4).await;
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_last_uses").await, 4);
    for (client, ended) in kept {
        client.get("/forward-auth").await.expect(200);
        let shown = client.get("/api/v1/api-keys/self/usage").await.expect(200)["secrets"].as_array().unwrap().len();
        assert_eq!(shown, if ended == "91 days" { 1 } else { 2 });
    }
}

/// No more than 100 are shown with the key's usage.
#[tokio::test]
async fn the_oldest_secrets_that_ended_of_a_key_that_has_many_are_removed() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for name in ["many", "few"] {
        let key = admin.create(name, "read").await;
        admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": 60})).await.expect(200);
        let ended = format!(
            "INSERT INTO api_key_secrets
                 (tenant_id, lookup_digest, key_id, phc, last4, created_at, retired_at, expires_at, ended_at)
             SELECT tenant_id, substr(sha224((key_id::text || n)::bytea), 1, 16), key_id, phc, 'abcd', at, at, at, at
             FROM api_key_secrets, generate_series(1, {}) n, LATERAL (SELECT created_at - n * interval '1 minute' AS at) t
             WHERE key_id = '{}' AND retired_at IS NULL",
            if name == "many" { 150 } else { 99 },
            key.id
        );
        server.database.execute(&ended).await;
    }
    let secrets = |state| {
        format!(
            "SELECT k.name || ' ' || count(*) || ' ' || (max(s.created_at) - min(s.created_at))
             FROM api_key_secrets s JOIN api_keys k ON k.id = s.key_id WHERE s.ended_at IS {state} GROUP BY k.name ORDER BY 1"
        )
    };
    let working = server.database.texts(&secrets("NULL")).await;
    // Another instance, since the first one may have looked for them before.
    let _sibling = server.sibling(&[]).await;
    let kept = ["few 99 01:38:00", "many 100 01:39:00"];
    wait_until(async || server.database.texts(&secrets("NOT NULL")).await == kept).await;
    assert_eq!(server.database.texts(&secrets("NULL")).await, working);
}

/// A call of `record_usage` with the batch of that number: `count` requests with the key's secret now.
fn batch(number: i64, tenant: impl std::fmt::Display, key: &CreatedKey, count: i64) -> String {
    format!(
        "SELECT record_usage('00000000-0000-4000-8000-00000000000a', {number}, ARRAY['{tenant}'::uuid],
             ARRAY['{}'::uuid], ARRAY['\\x{}'::bytea], ARRAY[date_trunc('hour', now(), 'UTC')], ARRAY[{count}::bigint],
             ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint], ARRAY[0::bigint],
             ARRAY[NULL]::text[],
             ARRAY[now()], ARRAY['192.0.2.1'::inet], ARRAY['curl'],
             '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}')",
        key.id,
        key.digest()
    )
}

#[tokio::test]
async fn a_batch_that_is_sent_again_counts_once() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("n", "read").await;
    for number in [1, 1, 2, 1, 2, 3] {
        let batch = batch(number, server.database.acme, &key, 5);
        server.database.execute(&format!("SET ROLE rally_app; {batch}")).await;
    }
    assert_eq!(server.database.counted_requests().await, 15);
}

/// One batch with several tenants, hours and clients. Each secret has two counters, as after an eviction from the cache.
#[tokio::test]
async fn a_batch_keeps_secrets_hours_and_clients_apart() {
    let server = TestServer::start().await;
    let store = open(&server.database.url().await).await.unwrap();
    let (recorder, worker) = usage::start(store.usage(), server.clock.clone(), TimeDelta::days(1));
    let now = server.clock.now();
    let mut expected = Vec::new();
    for (name, tenant) in [("acme", server.database.acme), ("globex", server.database.globex)] {
        for n in 0..8_u8 {
            let key = server.admin(name).create(&format!("n{n}"), "read").await;
            let digest = Secret::parse(key.secret.as_bytes()).unwrap().lookup_digest();
            let counter = || Arc::new(UsageCounter::new(tenant, ApiKeyId::parse(&key.id).unwrap(), digest));
            let counters = [counter(), counter()];
            // Some keys share a client. Keys were used in this hour, in the previous one, or in both.
            let (address, agent) = (format!("192.0.2.{}", n / 6), format!("agent-{}", n / 3));
            let hours: &[i64] = [&[0][..], &[1], &[1, 0]][usize::from(n % 3)];
            for ago in hours {
                let client = usage::Client {
                    address: Some(address.parse().unwrap()),
                    user_agent: (n != 5).then_some(agent.as_bytes()),
                };
                for m in 0..=n {
                    recorder.used(&counters[usize::from(m % 2)], now - TimeDelta::hours(*ago), client);
                }
                if n == 4 {
                    recorder.denied(&counters[0], now - TimeDelta::hours(*ago), usage::Denied::Scope);
                }
            }
            let agent = if n == 5 { "none" } else { &agent };
            expected.push(format!(
                "{} {address} {agent} {} {} 0 {}",
                key.id,
                hours.len(),
                (i64::from(n) + 1 + i64::from(n == 4)) * i64::try_from(hours.len()).unwrap(),
                if n == 4 { hours.len() } else { 0 },
            ));
        }
    }
    drop(recorder);
    worker.run(ready(Instant::now() + Duration::from_secs(5))).await;
    let written = "SELECT format('%s %s %s %s %s %s %s', key_id, host(address), coalesce(user_agent, 'none'),
                                 count(hour), sum(requests), sum(denied_expired), sum(denied_scope))
                   FROM api_key_last_uses JOIN api_key_usage USING (tenant_id, key_id)
                   GROUP BY tenant_id, key_id, lookup_digest
                   ORDER BY 1";
    expected.sort();
    assert_eq!(server.database.texts(written).await, expected);
}

#[tokio::test]
async fn a_batch_that_is_refused_once_is_sent_again() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    server.database.refuse_usage_once().await;
    assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
    wait_until(async || admin.get(&usage(&key)).await.expect(200)["requests"] == 1).await;
    assert_eq!(server.database.usage_attempts().await, 2);
}

#[tokio::test]
async fn a_row_that_is_refused_each_time_is_lost_alone() {
    let server = TestServer::start().await;
    let (ours, theirs) = (server.admin("acme"), server.admin("globex"));
    let (key, refused) = (ours.create("n", "read").await, theirs.create("n", "read").await);
    let refuse = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE undefined_function; END';
         CREATE TRIGGER refuse BEFORE INSERT ON api_key_usage FOR EACH ROW
             WHEN (new.tenant_id = '{}') EXECUTE FUNCTION refuse()",
        server.database.globex
    );
    server.database.execute(&refuse).await;
    // Most likely in one batch.
    assert_eq!(ours.with_key(&key.secret).get(CHECK).await.status, 200);
    assert_eq!(theirs.with_key(&refused.secret).get(CHECK).await.status, 200);
    wait_until(async || ours.get("/metrics").await.body.contains("rally_usage_lost_total 1\n")).await;
    // Later batches are written.
    assert_eq!(ours.with_key(&key.secret).get(CHECK).await.status, 200);
    wait_until(async || ours.get(&usage(&key)).await.expect(200)["requests"] == 2).await;
    assert_eq!(theirs.get(&usage(&refused)).await.expect(200)["requests"], 0);
}

/// Neither calls that change a key nor calls that read wait for the statistics' locks.
#[tokio::test]
async fn locked_usage_tables_delay_no_management_call() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
    wait_until(async || server.database.counted_requests().await == 1).await;
    let mut lock = server.database.connect().await;
    lock.execute(
        "BEGIN; LOCK TABLE api_key_usage, api_key_last_uses, api_key_callers, usage_writers IN EXCLUSIVE MODE",
    )
    .await
    .unwrap();
    let begun = Instant::now();
    // A further use, so that the worker writes and waits for the lock.
    assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
    let waits = "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%record_usage%'";
    wait_until(async || server.database.count(waits).await == 1).await;
    let calls = Instant::now();
    let other = admin.create("other", "read").await;
    admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    admin.delete(&format!("{}/previous-secret", key.path())).await.expect(204);
    admin.patch(&key.path(), &json!({"name": "renamed"})).await.expect(200);
    admin.get(PATH).await.expect(200);
    admin.get(&key.path()).await.expect(200);
    admin.get(&usage(&key)).await.expect(200);
    admin.get(&format!("{}/callers", key.path())).await.expect(200);
    admin.delete(&other.path()).await.expect(204);
    let took = calls.elapsed();
    assert_eq!(
        server.database.counted_requests().await,
        1,
        "usage was written despite the lock, after {:?}",
        begun.elapsed()
    );
    assert!(took < Duration::from_secs(3), "{took:?}");
    lock.execute("COMMIT").await.unwrap();
    wait_until(async || server.database.counted_requests().await == 2).await;
}

#[tokio::test]
async fn a_list_by_unused_for_days_shows_keys_without_a_later_use() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let never = admin.create("never", "read").await;
    let long_ago = admin.create("long ago", "read").await;
    let by_its_old_secret = admin.create("by its old secret", "read").await;
    let old = by_its_old_secret.secret.clone();
    admin.post(&format!("{}/rotate", by_its_old_secret.path()), &json!({})).await.expect(200);
    server.database.execute("UPDATE api_keys SET created_at = created_at - interval '200 days'").await;
    let aged = format!(
        "INSERT INTO api_key_last_uses (tenant_id, key_id, lookup_digest, used_at)
         VALUES ('{}', '{}', '\\x{}', now() - interval '91 days')",
        server.database.acme,
        long_ago.id,
        long_ago.digest()
    );
    server.database.execute(&aged).await;
    let young = admin.create("young", "read").await;
    assert_eq!(admin.with_key(&old).get(CHECK).await.status, 200);
    let used = async || admin.get(&by_its_old_secret.path()).await.expect(200)["lastUsedAt"].is_string();
    wait_until(used).await;

    let names = async |query: &str| -> Vec<String> {
        let listed = admin.get(&format!("{PATH}?{query}")).await.expect(200);
        listed.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("unusedForDays=90").await, ["long ago", "never"]);
    assert_eq!(names("unusedForDays=92").await, ["never"]);
    assert_eq!(names("unusedForDays=3650").await, [""; 0]);
    assert_eq!(names("unusedForDays=90&search=lon").await, ["long ago"]);
    admin.delete(&never.path()).await.expect(204);
    assert_eq!(names("unusedForDays=90&status=active").await, ["long ago"]);
    drop(young);

    let reply = admin.get(&format!("{PATH}?unusedForDays=90&limit=1")).await;
    assert_eq!(reply.header("x-total-count"), "2");
    assert!(reply.header("link").contains("unusedForDays=90"), "{reply:?}");
    for bad in ["0", "-1", "3651", "ninety", "", "1.5"] {
        let reply = admin.get(&format!("{PATH}?unusedForDays={bad}")).await;
        assert_eq!(reply.bad_fields(), ["unusedForDays"], "{bad}");
    }
}
