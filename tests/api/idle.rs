//! The job that gives notice of idle keys and suspends them: `idleSuspendDays` of a tenant's policy.

use chrono::TimeDelta;
use rally_api_keys::domain::format_timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};

use crate::{
    binary::Home,
    client::{CreatedKey, PATH, send},
    harness::{TestServer, wait_until},
};

const POLICY: &str = "/api/v1/api-keys/policy";
const CHECK: &str = "/forward-auth";

/// A server whose first run is over: the next one comes in an hour.
async fn start() -> TestServer {
    let server = TestServer::start().await;
    first_outcome(&server).await;
    server
}

/// How the first run of the job on that instance ended.
async fn first_outcome(server: &TestServer) -> String {
    let client = server.admin("acme");
    let mut ended = None;
    wait_until(async || {
        let metrics = client.get("/metrics").await.body;
        let mut runs = metrics.lines().filter_map(|line| line.strip_prefix("rally_idle_key_runs_total{outcome=\""));
        ended = runs.find_map(|line| Some(line.strip_suffix("\"} 1")?.to_owned()));
        ended.is_some()
    })
    .await;
    ended.unwrap()
}

/// Lets time pass, and then another instance run the job.
async fn run_after(server: &TestServer, time: TimeDelta) {
    server.clock.turn(time);
    let mut sibling = server.sibling(&[]).await;
    assert_eq!(first_outcome(&sibling).await, "completed");
    sibling.stop().await;
}

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

/// From the notice to the suspension, as the documentation says: 7 days, and up to an hour and a quarter.
fn notice_period() -> TimeDelta {
    days(7) + TimeDelta::minutes(15)
}

async fn set_rule(server: &TestServer, rule: impl Into<Value>) {
    let body = json!({"idleSuspendDays": rule.into()});
    send(server.admin("acme").request(Method::PUT, POLICY).json(&body)).await.expect(200);
}

/// Uses a key, and waits until that is written.
async fn use_key(server: &TestServer, key: &CreatedKey) {
    let admin = server.admin("acme");
    let last_used = async || admin.get(&key.path()).await.expect(200)["lastUsedAt"].clone();
    let before = last_used().await;
    assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
    wait_until(async || last_used().await != before).await;
}

/// The key's events, oldest first, apart from its creation.
async fn events(server: &TestServer, key: &CreatedKey) -> Vec<Value> {
    let path = format!("{}/events", key.path());
    let mut events = server.admin("acme").get(&path).await.expect(200).as_array().unwrap().clone();
    events.reverse();
    assert_eq!(events.remove(0)["type"], "created");
    events
}

async fn types(server: &TestServer, key: &CreatedKey) -> Vec<String> {
    events(server, key).await.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

async fn status(server: &TestServer, key: &CreatedKey) -> Value {
    server.admin("acme").get(&key.path()).await.expect(200)["status"].clone()
}

async fn verify_chain(server: &TestServer, name: &str) {
    let (home, url) = (Home::new(name), server.database.url_text(None).await);
    let verified = home.succeed(&["events", "verify", "--tenant", "acme"], &[("DATABASE_URL", &url)]).await;
    assert!(verified.contains("the chain is intact"), "{verified}");
}

#[tokio::test]
async fn an_idle_key_gets_a_notice_and_is_suspended_7_days_after_it() {
    let server = start().await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    set_rule(&server, 30).await;
    server.clock.turn(days(1));
    use_key(&server, &key).await;
    let used = server.admin("acme").get(&key.path()).await;
    run_after(&server, days(23) - TimeDelta::minutes(5)).await;
    assert_eq!(events(&server, &key).await, [] as [Value; 0]);

    run_after(&server, TimeDelta::minutes(10)).await;
    let shown = server.admin("acme").get(&key.path()).await;
    assert_eq!((shown.expect(200), shown.header("etag")), (used.expect(200), used.header("etag")));
    let recorded = events(&server, &key).await;
    let at: chrono::DateTime<chrono::Utc> = recorded[0]["occurredAt"].as_str().unwrap().parse().unwrap();
    let expected = json!([{
        "id": recorded[0]["id"],
        "type": "idle_notice",
        "keyId": key.id,
        "occurredAt": format_timestamp(at),
        "actor": null,
        "address": null,
        "requestId": "idle-keys",
        "details": {
            "name": "Zapier Sync",
            "keyHint": key.hint(),
            "lastUsedAt": used.json()["lastUsedAt"],
            "idleSuspendDays": 30,
            "suspendAt": format_timestamp(at + days(7)),
        },
    }]);
    assert_eq!(json!(recorded), expected);
    let listed = server.admin("acme").get(&format!("{PATH}/events?type=idle_notice")).await.expect(200);
    assert_eq!(listed, expected);

    run_after(&server, days(7)).await;
    assert_eq!(
        (types(&server, &key).await, status(&server, &key).await),
        (vec!["idle_notice".into()], json!("active"))
    );
    run_after(&server, TimeDelta::minutes(15)).await;
    let suspended = &events(&server, &key).await[1];
    let details =
        json!({"name": "Zapier Sync", "keyHint": key.hint(), "until": null, "reason": "not used for 30 days"});
    assert_eq!((&suspended["type"], &suspended["details"]), (&json!("suspended"), &details));
    assert_eq!((&suspended["actor"], &suspended["requestId"]), (&Value::Null, &json!("idle-keys")));
    let admin = server.admin("acme");
    let shown = admin.get(&key.path()).await;
    assert_eq!((&shown.expect(200)["status"], &shown.json()["suspendedUntil"]), (&json!("suspended"), &Value::Null));
    assert_ne!(shown.header("etag"), used.header("etag"));
    admin.with_key(&key.secret).get(CHECK).await.refused(401, "key_suspended");
    assert_eq!(admin.get(POLICY).await.expect(200)["violationCount"], 0, "the rule was applied");
    run_after(&server, days(30)).await;
    assert_eq!(types(&server, &key).await, ["idle_notice", "suspended"]);
    verify_chain(&server, "idle").await;
}

#[tokio::test]
async fn a_use_after_the_notice_cancels_it_and_a_later_idleness_gets_a_new_one() {
    let server = start().await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    set_rule(&server, 30).await;
    run_after(&server, days(23)).await;
    assert_eq!(types(&server, &key).await, ["idle_notice"]);
    server.clock.turn(days(6));
    use_key(&server, &key).await;
    run_after(&server, days(1) + TimeDelta::minutes(15)).await;
    assert_eq!(types(&server, &key).await, ["idle_notice"]);
    run_after(&server, days(22)).await;
    assert_eq!(types(&server, &key).await, ["idle_notice", "idle_notice"]);
    run_after(&server, notice_period()).await;
    assert_eq!(types(&server, &key).await, ["idle_notice", "idle_notice", "suspended"]);
}

#[tokio::test]
async fn a_rule_that_is_set_late_or_again_suspends_no_key_without_a_notice_of_7_days() {
    let server = start().await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    server.clock.turn(days(100));
    set_rule(&server, 30).await;
    run_after(&server, TimeDelta::hours(1)).await;
    assert_eq!(types(&server, &key).await, ["idle_notice"]);
    server.clock.turn(days(6));
    set_rule(&server, Value::Null).await;
    run_after(&server, TimeDelta::hours(1)).await;
    set_rule(&server, 30).await;
    run_after(&server, days(1)).await;
    assert_eq!(types(&server, &key).await, ["idle_notice", "idle_notice"]);
    // What keeps the rule does not void the notice.
    let body = json!({"idleSuspendDays": 30, "maxActiveKeys": 9});
    send(server.admin("acme").request(Method::PUT, POLICY).json(&body)).await.expect(200);
    run_after(&server, notice_period()).await;
    assert_eq!(types(&server, &key).await, ["idle_notice", "idle_notice", "suspended"]);
}

#[tokio::test]
async fn keys_that_do_not_work_and_those_of_tenants_without_the_rule_get_no_notice() {
    let server = start().await;
    let admin = server.admin("acme");
    let idle = admin.create("Idle", "read").await;
    let expired = json!({"name": "Expired", "expiresAt": format_timestamp(server.clock.now() + days(20))});
    let [revoked, suspended] = [admin.create("Revoked", "read").await, admin.create("Suspended", "read").await];
    let expired = admin.create_with(&expired).await;
    server.admin("globex").create("Theirs", "read").await;
    admin.delete(&revoked.path()).await.expect(204);
    admin.post(&format!("{}/suspend", suspended.path()), &json!({})).await.expect(200);
    set_rule(&server, 30).await;
    run_after(&server, days(23)).await;
    run_after(&server, notice_period()).await;
    assert_eq!(types(&server, &idle).await, ["idle_notice", "suspended"]);
    assert_eq!(types(&server, &revoked).await, ["revoked"]);
    assert_eq!(types(&server, &suspended).await, ["suspended"]);
    assert_eq!(types(&server, &expired).await, [""; 0]);
    let theirs = server.admin("globex").get(&format!("{PATH}/events")).await.expect(200);
    assert_eq!(theirs.as_array().unwrap().len(), 1, "{theirs}");
}

#[tokio::test]
async fn a_resumption_counts_as_a_use() {
    let server = start().await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    set_rule(&server, 30).await;
    run_after(&server, days(23)).await;
    run_after(&server, notice_period()).await;
    server.admin("acme").post(&format!("{}/resume", key.path()), &json!({})).await.expect(200);
    run_after(&server, days(22)).await;
    let mut expected = vec!["idle_notice", "suspended", "resumed"];
    assert_eq!(
        (types(&server, &key).await, status(&server, &key).await),
        (expected.iter().map(|kind| (*kind).to_owned()).collect(), json!("active"))
    );
    assert_eq!(server.admin("acme").get(POLICY).await.expect(200)["violationCount"], 0);
    run_after(&server, days(1)).await;
    run_after(&server, notice_period()).await;
    expected.extend(["idle_notice", "suspended"]);
    assert_eq!(types(&server, &key).await, expected);
}

/// More keys than one transaction changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_give_one_notice_and_suspend_each_key_once() {
    let server = start().await;
    set_rule(&server, 30).await;
    let keys = "INSERT INTO api_keys (tenant_id, id, name, folded_name, scopes, created_at, last4)
                SELECT id, gen_random_uuid(), 'n', 'n', 'read', now(), '0000' FROM tenants, generate_series(1, 250)
                WHERE slug = 'acme'";
    server.database.execute(keys).await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    for (time, kind) in [(days(23), "idle_notice"), (notice_period(), "suspended")] {
        server.clock.turn(time);
        let instances = [server.sibling(&[]).await, server.sibling(&[]).await];
        let outcomes = [first_outcome(&instances[0]).await, first_outcome(&instances[1]).await];
        assert!(outcomes.contains(&"completed".to_owned()), "{outcomes:?}");
        assert!(outcomes.iter().all(|outcome| ["completed", "elsewhere"].contains(&&**outcome)), "{outcomes:?}");
        let recorded = format!("SELECT count(*) FROM api_key_events WHERE kind = '{kind}'");
        assert_eq!(server.database.count(&recorded).await, 251);
        let of_keys = format!("SELECT count(DISTINCT key_id) FROM api_key_events WHERE kind = '{kind}'");
        assert_eq!(server.database.count(&of_keys).await, 251);
    }
    assert_eq!(types(&server, &key).await, ["idle_notice", "suspended"]);
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys WHERE version = 2").await, 251);
    verify_chain(&server, "idle-twice").await;
}

/// Requests that are refused are no use, but fill the cache.
#[tokio::test]
async fn a_cached_key_is_refused_by_the_other_instances_once_it_is_suspended() {
    let server = start().await;
    server.wait_for_feed().await;
    let bound = json!({"name": "Zapier Sync", "allowedAddresses": ["192.0.2.1"]});
    let key = server.admin("acme").create_with(&bound).await;
    set_rule(&server, 30).await;
    run_after(&server, days(23)).await;
    let holder = server.admin("acme").with_key(&key.secret);
    let hits = async || {
        let metrics = holder.get("/metrics").await.body;
        let hits = metrics.lines().find(|line| {
            line.starts_with("rally_key_verifications_total{")
                && line.contains("cache\"")
                && line.contains("address_not_allowed")
        });
        hits.map(str::to_owned)
    };
    let before = hits().await;
    for _ in 0..2 {
        holder.get(CHECK).await.refused(403, "address_not_allowed");
    }
    assert_ne!(hits().await, before, "the key is not cached");
    run_after(&server, notice_period()).await;
    wait_until(async || holder.get(CHECK).await.status == 401).await;
    holder.get(CHECK).await.refused(401, "key_suspended");
}

/// The job waits for no other transaction, and gives the key its notice at its next run.
#[tokio::test]
async fn a_key_that_is_being_changed_is_left_out() {
    let server = start().await;
    let admin = server.admin("acme");
    let [busy, idle] = [admin.create("Busy", "read").await, admin.create("Idle", "read").await];
    set_rule(&server, 30).await;
    let mut lock = server.database.connect().await;
    let statement = format!("BEGIN; SELECT FROM api_keys WHERE id = '{}' FOR UPDATE", busy.id);
    lock.execute(AssertSqlSafe(statement)).await.unwrap();
    run_after(&server, days(23)).await;
    assert_eq!((types(&server, &busy).await, types(&server, &idle).await), (vec![], vec!["idle_notice".to_owned()]));
    lock.execute("ROLLBACK").await.unwrap();
    run_after(&server, TimeDelta::hours(1)).await;
    assert_eq!((types(&server, &busy).await.len(), types(&server, &idle).await.len()), (1, 1));
}

#[tokio::test]
async fn a_failure_of_one_tenant_leaves_the_others_alone_and_the_next_run_tries_again() {
    let server = start().await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    server.admin("globex").create("Theirs", "read").await;
    set_rule(&server, 30).await;
    let rule = json!({"idleSuspendDays": 30});
    send(server.admin("globex").request(Method::PUT, POLICY).json(&rule)).await.expect(200);
    let refuse = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE undefined_function; END';
         CREATE TRIGGER refuse BEFORE UPDATE ON api_keys FOR EACH ROW
             WHEN (new.tenant_id = '{}') EXECUTE FUNCTION refuse()",
        server.database.acme
    );
    server.database.execute(&refuse).await;
    server.clock.turn(days(23));
    assert_eq!(first_outcome(&server.sibling(&[]).await).await, "failed");
    let notices = "SELECT count(*) FROM api_key_events WHERE kind = 'idle_notice'";
    assert_eq!((types(&server, &key).await.len(), server.database.count(notices).await), (0, 1));
    server.database.execute("DROP TRIGGER refuse ON api_keys").await;
    run_after(&server, TimeDelta::hours(1)).await;
    assert_eq!((types(&server, &key).await.len(), server.database.count(notices).await), (1, 2));
}

/// Changes go on beside the job, and each gets its place in the chain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_beside_the_job_leave_an_unbroken_chain() {
    let server = start().await;
    set_rule(&server, 30).await;
    let mut keys = Vec::new();
    for _ in 0..20 {
        keys.push(server.admin("acme").create("n", "read").await);
    }
    server.clock.turn(days(23));
    let sibling = server.sibling(&[]).await;
    let admin = server.admin("acme");
    let changes = tokio::spawn(async move {
        for n in 0..60 {
            admin.patch(&keys[n % 20].path(), &json!({"name": format!("n{n}")})).await.expect(200);
        }
    });
    assert_eq!(first_outcome(&sibling).await, "completed");
    changes.await.unwrap();
    run_after(&server, TimeDelta::hours(1)).await;
    let notices = "SELECT count(*) FROM api_key_events WHERE kind = 'idle_notice'";
    assert_eq!(server.database.count(notices).await, 20);
    verify_chain(&server, "idle-beside").await;
}
