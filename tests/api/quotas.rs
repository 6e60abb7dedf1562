//! Quotas: how often a key may be used in a day or a month, on all instances.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    client::{Client, CreatedKey, PATH, Reply},
    harness::{TestDatabase, TestServer, wait_until},
    proxy::{Mode, Proxy},
};

const CHECK: &str = "/forward-auth";

async fn create(admin: &Client, requests: i64, per: &str) -> CreatedKey {
    admin.create_with(&json!({"name": "n", "scopes": "read", "quota": {"requests": requests, "per": per}})).await
}

/// When the quota is there again, by the refusal of a check.
#[track_caller]
fn refused(check: &Reply) -> DateTime<Utc> {
    assert_eq!((check.status.as_u16(), check.header("x-rally-error")), (403, "quota_exceeded"), "{check:?}");
    reset_at(check)
}

fn reset_at(reply: &Reply) -> DateTime<Utc> {
    let problem = reply.json();
    assert_eq!(problem["code"], "quota_exceeded", "{reply:?}");
    let seconds: i64 = reply.header("retry-after").parse().unwrap();
    let at = DateTime::parse_from_rfc3339(problem["resetAt"].as_str().unwrap()).unwrap().to_utc();
    assert!((1..=3_600).contains(&seconds), "{seconds}");
    assert!(problem["detail"].as_str().unwrap().contains(problem["resetAt"].as_str().unwrap()), "{problem}");
    at
}

async fn checks(client: &Client, count: usize) {
    for n in 0..count {
        let check = client.get(CHECK).await;
        assert_eq!(check.status, 200, "check {n} of {count}: {check:?}");
    }
}

/// What the database knows of quotas.
async fn totals(server: &TestServer) -> Vec<i64> {
    let rows = server.database.rows("SELECT requests FROM api_key_quota_usage WHERE is_summed ORDER BY key_id").await;
    rows.iter().map(|row| row["requests"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_key_beyond_its_quota_is_refused_on_a_warm_and_on_a_cold_instance() {
    let mut server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = create(&admin, 4, "day").await;
    let client = admin.with_key(&key.secret);
    checks(&client, 2).await;
    // Refused for another reason, so nothing is used up.
    client.post(CHECK, &json!({})).await.refused(403, "insufficient_scope");
    client.post(PATH, &json!({"name": "n"})).await.refused(403, "insufficient_scope");
    client.get(PATH).await.expect(200);
    let last = client.get(CHECK).await;
    assert_eq!(last.status, 200);
    assert_eq!(last.header("ratelimit-policy"), r#""rally-quota";q=4;w=86400"#);
    assert!(last.header("ratelimit").starts_with(r#""rally-quota";r=0;t="#), "{last:?}");
    let now = server.clock.now();
    let midnight = refused(&client.get(CHECK).await);
    assert!(midnight > now && midnight - now <= TimeDelta::days(1), "{midnight}");
    assert_eq!(midnight.timestamp() % 86_400, 0);
    let reply = client.get(PATH).await;
    reply.refused(429, "quota_exceeded");
    assert_eq!(reset_at(&reply), midnight);
    assert!(reply.header("ratelimit").starts_with(r#""rally-quota";r=0;t="#), "{reply:?}");
    // A gateway that asks for it gets the real status.
    client.get("/forward-auth?limited=429").await.refused(429, "quota_exceeded");
    // A revoked key is told that, and not what is left of its quota.
    let revoked = create(&admin, 1, "day").await;
    let of_revoked = admin.with_key(&revoked.secret);
    checks(&of_revoked, 1).await;
    refused(&of_revoked.get(CHECK).await);
    admin.delete(&revoked.path()).await.expect(204);
    of_revoked.get(CHECK).await.refused(401, "key_revoked");

    server.stop().await;
    let cold = TestServer::on(server.database.clone(), &[]).await;
    cold.wait_for_feed().await;
    let admin = cold.admin("acme");
    assert_eq!(refused(&admin.with_key(&key.secret).get(CHECK).await), midnight, "with its first request");
    let usage = async || admin.get(&format!("{}/usage", key.path())).await.expect(200)["buckets"][29].clone();
    wait_until(async || usage().await["deniedByReason"]["quota"] == 4).await;
    assert_eq!(usage().await["requests"], 4 + 2 + 4);
}

#[tokio::test]
async fn the_secrets_of_a_key_share_its_quota() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = create(&admin, 4, "month").await;
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    let (old, new) = (admin.with_key(&key.secret), admin.with_key(rotated["key"].as_str().unwrap()));
    checks(&old, 2).await;
    checks(&new, 2).await;
    refused(&old.get(CHECK).await);
    refused(&new.get(CHECK).await);
}

/// What both let in before they know of one another is at most what comes within the delay of usage counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_together_exceed_a_quota_by_no_more_than_the_delay_lets_in() {
    const QUOTA: usize = 60;
    let one = TestServer::start().await;
    let other = one.sibling(&[]).await;
    one.wait_for_feed().await;
    other.wait_for_feed().await;
    let key = create(&one.admin("acme"), i64::try_from(QUOTA).unwrap(), "day").await;
    let mut allowed = Vec::new();
    let mut known_at = [None, None];
    let begun = Instant::now();
    while known_at.contains(&None) {
        assert!(begun.elapsed() < Duration::from_secs(30), "no end after {} requests", allowed.len());
        for (server, known_at) in [&one, &other].into_iter().zip(&mut known_at) {
            let check = server.admin("acme").with_key(&key.secret).get(CHECK).await;
            if check.status == 200 {
                assert!(known_at.is_none(), "allowed after a refusal");
                allowed.push(begun.elapsed());
            } else {
                refused(&check);
                known_at.get_or_insert(begun.elapsed());
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
    // Neither knows at once: each alone has used half of it.
    let exceeded_at = allowed[QUOTA - 1];
    let late = allowed.iter().filter(|at| **at > exceeded_at + Duration::from_secs(5)).count();
    assert_eq!(
        late,
        0,
        "{} allowed; the quota was used up after {exceeded_at:?}, last {:?}",
        allowed.len(),
        allowed.last()
    );
    assert!(allowed.len() >= QUOTA, "{}", allowed.len());
    // What was let in too much is known too.
    let all = i64::try_from(allowed.len()).unwrap();
    wait_until(async || totals(&one).await == [all]).await;
    let third = one.sibling(&[]).await;
    refused(&third.admin("acme").with_key(&key.secret).get(CHECK).await);
}

#[tokio::test]
async fn a_quota_is_there_again_when_its_period_ends() {
    for per in ["day", "month"] {
        let mut server = TestServer::start().await;
        server.wait_for_feed().await;
        let key = create(&server.admin("acme"), 2, per).await;
        let client = |server: &TestServer| server.admin("acme").with_key(&key.secret);
        checks(&client(&server), 2).await;
        let end = refused(&client(&server).get(CHECK).await);
        let second_before_end = end - server.clock.now() - TimeDelta::seconds(30);
        if second_before_end > TimeDelta::zero() {
            server.clock.turn(second_before_end);
            assert_eq!(refused(&client(&server).get(CHECK).await), end, "{per}");
        }
        wait_until(async || totals(&server).await == [2]).await;
        server.clock.turn(TimeDelta::seconds(31));
        checks(&client(&server), 2).await;
        let next_end = refused(&client(&server).get(CHECK).await);
        assert!(next_end > end, "{per}");
        // The next period is counted from nothing in the database too, and known to a cold instance.
        server.stop().await;
        assert_eq!(totals(&server).await, [2]);
        let cold = server.sibling(&[]).await;
        assert_eq!(refused(&client(&cold).get(CHECK).await), next_end, "{per}");
        cold.clock.turn(next_end - cold.clock.now() + TimeDelta::seconds(1));
        checks(&client(&cold), 1).await;
    }
}

#[tokio::test]
async fn a_lowered_quota_holds_on_the_other_instance_within_100_ms() {
    let one = TestServer::start().await;
    let other = one.sibling(&[]).await;
    one.wait_for_feed().await;
    other.wait_for_feed().await;
    let admin = one.admin("acme");
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let key = create(&admin, 1_000_000, "month").await;
        let on_other = other.admin("acme").with_key(&key.secret);
        checks(&on_other, 3).await; // more than the new quota, and not yet written
        admin.patch(&key.path(), &json!({"quota": {"requests": 2, "per": "month"}})).await.expect(200);
        let begun = Instant::now();
        while on_other.get(CHECK).await.status == 200 {
            assert!(begun.elapsed() < Duration::from_secs(10));
        }
        slowest = slowest.max(begun.elapsed());
        // A raised one, and none.
        admin.patch(&key.path(), &json!({"quota": {"requests": 1_000_000, "per": "month"}})).await.expect(200);
        wait_until(async || on_other.get(CHECK).await.status == 200).await;
        admin.patch(&key.path(), &json!({"quota": null})).await.expect(200);
        checks(&on_other, 1).await;
    }
    // 100 ms are documented. The rest is tolerance for a machine that is busy with other tests.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

/// Requests count from the start of the period, whenever the quota was set.
#[tokio::test]
async fn a_new_quota_counts_what_was_used_before_in_its_period() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let client = admin.with_key(&key.secret);
    checks(&client, 5).await;
    client.post(CHECK, &json!({})).await.refused(403, "insufficient_scope");
    wait_until(async || server.database.counted_requests().await == 6).await;
    // Hours of the period, and hours before it.
    let earlier = format!(
        "INSERT INTO api_key_usage (tenant_id, key_id, hour, requests, denied_expired, denied_scope, denied_revoked)
         SELECT '{}', '{}', hour, 10, 1, 1, 1
         FROM (SELECT generate_series(date_trunc('month', now(), 'UTC') - interval '3 hours', now(),
                                      interval '1 hour') AS hour) h
         WHERE hour < date_trunc('hour', now(), 'UTC')
         ON CONFLICT DO NOTHING",
        server.database.acme, key.id
    );
    server.database.execute(&earlier).await;
    admin.patch(&key.path(), &json!({"quota": {"requests": 1_000_000, "per": "month"}})).await.expect(200);
    checks(&client, 1).await;
    let in_month = format!(
        "SELECT sum(requests - denied_expired - denied_scope - denied_revoked)::bigint
         FROM api_key_usage WHERE key_id = '{}' AND hour >= date_trunc('month', now(), 'UTC')",
        key.id
    );
    wait_until(async || totals(&server).await.len() == 1).await;
    let used = server.database.count(&in_month).await;
    assert_eq!(totals(&server).await, [used]);
    // A day's, after a month's.
    admin.patch(&key.path(), &json!({"quota": {"requests": 1_000_000, "per": "day"}})).await.expect(200);
    checks(&client, 1).await;
    let in_day = in_month.replace("'month'", "'day'");
    wait_until(async || {
        let rows = server.database.rows("SELECT period FROM api_key_quota_usage").await;
        rows == [json!({"period": "day"})]
    })
    .await;
    assert_eq!(totals(&server).await, [server.database.count(&in_day).await]);
    // The total comes back to the instance with the flush.
    let lowered = totals(&server).await[0];
    admin.patch(&key.path(), &json!({"quota": {"requests": lowered, "per": "day"}})).await.expect(200);
    wait_until(async || client.get(CHECK).await.status == 403).await;
}

#[tokio::test]
async fn a_quota_holds_while_the_database_is_away() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let mut server = TestServer::through(proxy.address, database, &[]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = create(&admin, 6, "day").await;
    let client = admin.with_key(&key.secret);
    checks(&client, 3).await;
    wait_until(async || totals(&server).await == [3]).await;
    proxy.set(Mode::Cut);
    checks(&client, 3).await;
    refused(&client.get(CHECK).await);
    wait_until(async || !client.get("/metrics").await.body.contains("rally_usage_batches_failed_total 0\n")).await;
    refused(&client.get(CHECK).await);
    proxy.set(Mode::Pass);
    wait_until(async || totals(&server).await == [6]).await;
    refused(&client.get(CHECK).await);
    server.stop().await;
    assert_eq!(totals(&server).await, [6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_requests_of_an_instance_never_exceed_a_quota() {
    const QUOTA: usize = 100;
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = create(&admin, i64::try_from(QUOTA).unwrap(), "day").await;
    let client = admin.with_key(&key.secret);
    checks(&client, 1).await;
    let mut allowed = 1;
    let begun = Instant::now();
    // Over several flushes, in which known totals and what was let in since change places.
    while begun.elapsed() < Duration::from_secs(4) {
        let replies: Vec<Value> = futures_util::future::join_all((0..4).map(|_| client.get(CHECK)))
            .await
            .iter()
            .map(|reply| json!(reply.status.as_u16()))
            .collect();
        allowed += replies.iter().filter(|status| **status == 200).count();
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(allowed, QUOTA);
}
