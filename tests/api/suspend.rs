//! `POST /api/v1/api-keys/{id}/suspend` and `POST /api/v1/api-keys/{id}/resume`

use std::time::Duration;

use chrono::{SubsecRound as _, TimeDelta};
use rally_api_keys::domain::format_timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::task::JoinSet;

use crate::{
    binary::Home,
    cache_states::warm_and_cold,
    client::{Client, CreatedKey, PATH, Reply, send},
    harness::{TestServer, wait_until},
    proxy::{Mode, Proxy},
};

const CHECK: &str = "/forward-auth";
const UNKNOWN: &str = "/api/v1/api-keys/a1b2c3d4-e5f6-7890-abcd-ef1234567890";

fn suspend_path(key: &CreatedKey) -> String {
    format!("{}/suspend", key.path())
}

fn resume_path(key: &CreatedKey) -> String {
    format!("{}/resume", key.path())
}

async fn suspend(admin: &Client, key: &CreatedKey, body: &Value) -> Reply {
    admin.post(&suspend_path(key), body).await
}

async fn resume(admin: &Client, key: &CreatedKey) -> Reply {
    admin.post(&resume_path(key), &json!({})).await
}

async fn check(admin: &Client, key: &CreatedKey) -> Reply {
    admin.with_key(&key.secret).get(CHECK).await
}

fn in_minutes(server: &TestServer, minutes: i64) -> String {
    format_timestamp((server.clock.now() + TimeDelta::minutes(minutes)).trunc_subsecs(0))
}

async fn events(server: &TestServer, key: &CreatedKey) -> Vec<(String, Value)> {
    let query = format!(
        "SELECT kind, details FROM api_key_events WHERE key_id = '{}' AND kind <> 'created' ORDER BY seq",
        key.id
    );
    let rows = server.database.rows(&query).await;
    rows.into_iter().map(|row| (row["kind"].as_str().unwrap().to_owned(), row["details"].clone())).collect()
}

fn details(key: &CreatedKey, until: impl Into<Value>, reason: impl Into<Value>) -> Value {
    let (until, reason) = (until.into(), reason.into());
    json!({"name": "Zapier Sync", "keyHint": key.hint(), "until": until, "reason": reason, "actorSubject": "42"})
}

// ---- The rule

#[tokio::test]
async fn a_suspended_key_is_refused_everywhere_until_it_is_resumed() {
    for state in warm_and_cold(&[]).await {
        let server = &state.server;
        let admin = server.admin("acme");
        for scopes in ["read", "admin"] {
            let key = admin.create("Zapier Sync", scopes).await;
            let holder = admin.with_key(&key.secret);
            assert_eq!(state.send(holder.request(Method::GET, CHECK)).await.status, 200);
            suspend(&admin, &key, &json!({})).await.expect(200);
            let refused = state.send(holder.request(Method::GET, CHECK)).await;
            refused.refused(401, "key_suspended");
            assert_eq!(refused.header("x-rally-error"), "key_suspended");
            assert!(!refused.headers.contains_key("x-rally-key-expires"));
            for client in [&holder, &admin.with(crate::client::Credential::Bearer(key.secret.clone()))] {
                client.get(PATH).await.refused(401, "key_suspended");
                client.get(&format!("{PATH}/self")).await.refused(401, "key_suspended");
                client.delete(&format!("{PATH}/self")).await.refused(401, "key_suspended");
                client.post(PATH, &json!({"name": "n"})).await.refused(401, "key_suspended");
                client.post(&resume_path(&key), &json!({})).await.refused(401, "key_suspended");
            }
            resume(&admin, &key).await.expect(200);
            assert_eq!(state.send(holder.request(Method::GET, CHECK)).await.status, 200);
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_does_not_reveal_the_suspension() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    suspend(&admin, &key, &json!({})).await.expect(200);
    let other = format!("{}{}", &key.secret[..39], if key.secret.ends_with('0') { '1' } else { '0' });
    admin.with_key(&other).get(CHECK).await.refused(401, "invalid_key");
    admin.with_key(&key.secret).on("globex.localhost").get(CHECK).await.refused(401, "invalid_key");
}

#[tokio::test]
async fn a_suspension_shows_in_the_key_and_in_the_list() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (key, _other) = (admin.create("Zapier Sync", "read").await, admin.create("Other", "read").await);
    let before = admin.get(&key.path()).await;
    let until = in_minutes(&server, 60);
    for until in [json!(until), Value::Null] {
        let reply = suspend(&admin, &key, &json!({"until": until})).await;
        let mut expected = before.json();
        expected["isActive"] = json!(false);
        expected["status"] = json!("suspended");
        expected["suspendedUntil"] = until;
        assert_eq!(reply.expect(200), expected);
        let read = admin.get(&key.path()).await;
        assert_eq!((read.expect(200), read.header("etag")), (expected.clone(), reply.header("etag")));
        assert_eq!(admin.get(&format!("{PATH}?status=suspended")).await.expect(200), json!([expected]));
        let active = admin.get(&format!("{PATH}?status=active")).await.expect(200);
        assert_eq!((active.as_array().unwrap().len(), &active[0]["name"]), (1, &json!("Other")));
    }
    let resumed = resume(&admin, &key).await;
    assert_eq!(resumed.expect(200), before.json());
    assert_ne!(resumed.header("etag"), before.header("etag"));
}

#[tokio::test]
async fn a_suspension_ends_by_itself_on_a_warm_and_on_a_cold_instance() {
    let states = warm_and_cold(&[]).await;
    let clock = states[0].server.clock.clone();
    let key = states[0].server.admin("acme").create("Zapier Sync", "read").await;
    let until = clock.now() + TimeDelta::minutes(30);
    suspend(&states[0].server.admin("acme"), &key, &json!({"until": format_timestamp(until)})).await.expect(200);
    for state in &states {
        let holder = state.server.admin("acme").with_key(&key.secret);
        state.send(holder.request(Method::GET, CHECK)).await.refused(401, "key_suspended");
    }
    let written = events(&states[0].server, &key).await.len();
    clock.turn(until - clock.now());
    for state in &states {
        let admin = state.server.admin("acme");
        let accepted = state.send(admin.with_key(&key.secret).request(Method::GET, CHECK)).await;
        assert_eq!(accepted.status, 200, "{accepted:?}");
        let shown = admin.get(&key.path()).await.expect(200);
        assert_eq!(
            (&shown["status"], &shown["isActive"], &shown["suspendedUntil"]),
            (&json!("active"), &json!(true), &Value::Null)
        );
        assert_eq!(admin.get(&format!("{PATH}?status=suspended")).await.expect(200), json!([]));
    }
    // Nothing is left to resume, and a new suspension begins anew.
    let admin = states[0].server.admin("acme");
    resume(&admin, &key).await.expect(200);
    assert_eq!(events(&states[0].server, &key).await.len(), written);
    assert_eq!(suspend(&admin, &key, &json!({})).await.expect(200)["status"], "suspended");
}

#[tokio::test]
async fn a_suspended_key_that_expires_is_suspended_first_and_expired_after_its_resumption() {
    let server = TestServer::start().await;
    let end = in_minutes(&server, 30);
    let key = server.admin("acme").create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    suspend(&server.admin("acme"), &key, &json!({})).await.expect(200);
    server.clock.turn(TimeDelta::minutes(31));
    let admin = server.admin("acme");
    check(&admin, &key).await.refused(401, "key_suspended");
    assert_eq!(admin.get(&key.path()).await.expect(200)["status"], "suspended");
    admin.post(&format!("{}/rotate", key.path()), &json!({})).await.refused(409, "key_expired");
    assert_eq!(resume(&admin, &key).await.expect(200)["status"], "expired");
    check(&admin, &key).await.refused(401, "key_expired");
}

#[tokio::test]
async fn a_suspended_key_may_be_changed_rotated_and_revoked_and_stays_suspended_meanwhile() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let until = in_minutes(&server, 60);
    suspend(&admin, &key, &json!({"until": until})).await.expect(200);
    let patched = admin.patch(&key.path(), &json!({"name": "New", "scopes": "write"})).await.expect(200);
    assert_eq!((&patched["status"], &patched["suspendedUntil"]), (&json!("suspended"), &json!(until)));
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    assert_eq!(rotated["suspendedUntil"], json!(until));
    for secret in [&key.secret, rotated["key"].as_str().unwrap()] {
        admin.with_key(secret).get(CHECK).await.refused(401, "key_suspended");
    }
    admin.delete(&key.path()).await.expect(204);
    check(&admin, &key).await.refused(401, "key_revoked");
    let shown = admin.get(&key.path()).await.expect(200);
    assert_eq!((&shown["status"], &shown["suspendedUntil"]), (&json!("revoked"), &Value::Null));
}

// ---- Repetition, conditions and refusals

#[tokio::test]
async fn a_repeated_suspension_or_resumption_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let until = in_minutes(&server, 60);
    let offset = until.replace('Z', "+00:00");
    let bodies = [json!({"until": until, "reason": "why"}), json!({"until": offset, "reason": " why "})];
    let first = suspend(&admin, &key, &bodies[0]).await;
    server.clock.turn(TimeDelta::minutes(1));
    for body in &bodies {
        let again = suspend(&admin, &key, body).await;
        assert_eq!((again.expect(200), again.header("etag")), (first.json(), first.header("etag")), "{body}");
    }
    let until = json!(until);
    let expected = ("suspended".to_owned(), details(&key, until.clone(), "why"));
    assert_eq!(events(&server, &key).await, std::slice::from_ref(&expected));

    let first = admin.post(&resume_path(&key), &json!({"reason": "it was meant", "until": null})).await;
    let again = admin.post(&resume_path(&key), &json!({"reason": "again"})).await;
    assert_eq!((again.expect(200), again.header("etag")), (first.expect(200), first.header("etag")));
    let resumed = ("resumed".to_owned(), details(&key, Value::Null, "it was meant"));
    assert_eq!(events(&server, &key).await, [expected, resumed]);
}

#[tokio::test]
async fn another_end_or_reason_replaces_the_suspension() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let (soon, later) = (in_minutes(&server, 10), in_minutes(&server, 60));
    for body in [
        json!({"until": later, "reason": "why"}),
        json!({"until": soon, "reason": "why"}),
        json!({"reason": "why"}),
        json!({"reason": "since"}),
        json!({}),
    ] {
        let before = admin.get(&key.path()).await;
        let shown = suspend(&admin, &key, &body).await;
        assert_eq!(shown.expect(200)["suspendedUntil"], body["until"], "{body}");
        assert_ne!(shown.header("etag")[..3], before.header("etag")[..3], "{body}");
        let (_, last) = events(&server, &key).await.pop().unwrap();
        assert_eq!(last, details(&key, body["until"].clone(), body["reason"].clone()));
    }
    assert_eq!(events(&server, &key).await.len(), 5);
}

/// The other instance may have suspended or resumed the key while its notification has not arrived here yet.
#[tokio::test]
async fn a_repetition_of_what_another_instance_did_invalidates_the_cache() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let silently = async |assignment: &str| {
        let statement = format!(
            "ALTER TABLE api_keys DISABLE TRIGGER notify_update; UPDATE api_keys SET suspended_at = {assignment};
             ALTER TABLE api_keys ENABLE ALWAYS TRIGGER notify_update"
        );
        server.database.execute(&statement).await;
    };
    assert_eq!(check(&admin, &key).await.status, 200);
    silently("now()").await;
    assert_eq!(check(&admin, &key).await.status, 200, "the key is not cached");
    suspend(&admin, &key, &json!({})).await.expect(200);
    check(&admin, &key).await.refused(401, "key_suspended");
    silently("NULL").await;
    check(&admin, &key).await.refused(401, "key_suspended");
    resume(&admin, &key).await.expect(200);
    assert_eq!(check(&admin, &key).await.status, 200);
}

#[tokio::test]
async fn a_condition_that_fails_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let old = admin.get(&key.path()).await.header("etag").to_owned();
    let call = async |path: String, if_match: &str| {
        send(admin.request(Method::POST, &path).header("if-match", if_match).json(&json!({}))).await
    };
    let suspended = call(suspend_path(&key), &old).await;
    suspended.expect(200);
    for path in [suspend_path(&key), resume_path(&key)] {
        call(path, &old).await.refused(412, "precondition_failed");
    }
    check(&admin, &key).await.refused(401, "key_suspended");
    call(resume_path(&key), suspended.header("etag")).await.expect(200);
    assert_eq!(check(&admin, &key).await.status, 200);
}

#[tokio::test]
async fn a_revoked_unknown_or_foreign_key_is_neither_suspended_nor_resumed() {
    let server = TestServer::start().await;
    let (admin, globex) = (server.admin("acme"), server.admin("globex"));
    let (key, revoked) = (admin.create("Zapier Sync", "read").await, admin.create("Zapier Sync", "read").await);
    admin.delete(&revoked.path()).await.expect(204);
    for call in ["suspend", "resume"] {
        admin.post(&format!("{}/{call}", revoked.path()), &json!({})).await.refused(409, "key_revoked");
        admin.post(&format!("{UNKNOWN}/{call}"), &json!({})).await.refused(404, "key_not_found");
        globex.post(&format!("{}/{call}", key.path()), &json!({})).await.refused(404, "key_not_found");
        assert_eq!(admin.post(&format!("{PATH}/7/{call}"), &json!({})).await.bad_fields(), ["id"]);
    }
    assert!(events(&server, &key).await.is_empty());
    assert_eq!(check(&admin, &key).await.status, 200);
}

#[tokio::test]
async fn bad_ends_and_reasons_are_refused_by_name() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let now = format_timestamp(server.clock.now());
    for until in [json!(now), json!("2020-01-01T00:00:00Z"), json!("2099-01-01"), json!(7), json!(false), json!("")] {
        assert_eq!(suspend(&admin, &key, &json!({"until": until})).await.bad_fields(), ["until"], "{until}");
    }
    let secret = format!("leaked {}", key.secret);
    for reason in [json!("a\nb"), json!("x".repeat(201)), json!(secret), json!("\u{202e}a"), json!(7), json!([])] {
        for call in ["suspend", "resume"] {
            let reply = admin.post(&format!("{}/{call}", key.path()), &json!({"reason": reason})).await;
            assert_eq!(reply.bad_fields(), ["reason"], "{reason}");
            assert!(!reply.body.contains(&key.secret[8..]));
        }
    }
    let body = json!({"until": "never", "reason": 1, "status": "active", "for": "1h"});
    assert_eq!(suspend(&admin, &key, &body).await.bad_fields(), ["for", "reason", "status", "until"]);
    assert_eq!(admin.post(&resume_path(&key), &json!({"until": "2099-01-01T00:00:00Z"})).await.bad_fields(), ["until"]);
    assert_eq!(suspend(&admin, &key, &json!({"reason": " "})).await.expect(200)["status"], "suspended");
    let empty = send(admin.request(Method::POST, &resume_path(&key))).await;
    assert_eq!(empty.expect(200)["status"], "active");
}

#[tokio::test]
async fn only_admins_with_a_current_secret_suspend_and_resume() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let retired = admin.create("Admin", "admin").await;
    admin.post(&format!("{}/rotate", retired.path()), &json!({})).await.expect(200);
    for call in ["suspend", "resume"] {
        let path = format!("{}/{call}", key.path());
        for scopes in ["read", "write"] {
            let caller = admin.with_key(&admin.create("Caller", scopes).await.secret);
            caller.post(&path, &json!({})).await.refused(403, "insufficient_scope");
            server.user("acme", scopes).post(&path, &json!({})).await.refused(403, "insufficient_scope");
        }
        admin.with_key(&key.secret).post(&path, &json!({})).await.refused(403, "insufficient_scope");
        admin.with_key(&retired.secret).post(&path, &json!({})).await.refused(403, "secret_retired");
    }
    let caller = admin.create("Admin", "admin").await;
    let by_key = admin.with_key(&caller.secret);
    suspend(&by_key, &key, &json!({})).await.expect(200);
    resume(&by_key, &key).await.expect(200);
    suspend(&by_key, &caller, &json!({})).await.expect(200);
    check(&admin, &caller).await.refused(401, "key_suspended");
    resume(&admin, &caller).await.expect(200);
    let actors = format!(
        "SELECT actor FROM api_key_events WHERE key_id = '{}' AND kind IN ('suspended', 'resumed') ORDER BY seq",
        key.id
    );
    assert_eq!(
        server.database.texts(&actors).await,
        [format!("api-key:{}", caller.id), format!("api-key:{}", caller.id)]
    );
}

// ---- Promises

#[tokio::test]
async fn a_suspension_and_a_resumption_take_effect_on_both_instances() {
    let one = TestServer::start().await;
    let other = one.sibling(&[]).await;
    one.wait_for_feed().await;
    other.wait_for_feed().await;
    let (admin, there) = (one.admin("acme"), other.admin("acme"));
    let key = admin.create("Zapier Sync", "read").await;
    for _ in 0..10 {
        assert_eq!(
            (check(&admin, &key).await.status, check(&there, &key).await.status.as_u16()),
            (reqwest::StatusCode::OK, 200)
        );
        suspend(&admin, &key, &json!({})).await.expect(200);
        check(&admin, &key).await.refused(401, "key_suspended");
        wait_until(async || check(&there, &key).await.status == 401).await;
        resume(&admin, &key).await.expect(200);
        assert_eq!(check(&admin, &key).await.status, 200);
        wait_until(async || check(&there, &key).await.status == 200).await;
    }
}

#[tokio::test]
async fn a_suspension_while_the_database_is_away_is_not_acknowledged_and_holds_once_it_is() {
    let database = TestServer::start().await.database.clone();
    let proxy = Proxy::start(database.socket().await).await;
    let server = TestServer::through(proxy.address, database, &[]).await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    assert_eq!(check(&admin, &key).await.status, 200);
    proxy.set(Mode::Cut);
    suspend(&admin, &key, &json!({})).await.refused(503, "database_unavailable");
    proxy.set(Mode::Pass);
    wait_until(async || suspend(&admin, &key, &json!({})).await.status == 200).await;
    check(&admin, &key).await.refused(401, "key_suspended");
    assert_eq!(events(&server, &key).await.len(), 1);
}

/// A suspension takes the connections that are kept for revocations.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_does_not_wait_for_other_calls() {
    let server = TestServer::with(&[("DATABASE_MAX_CONNECTIONS", "3")]).await;
    let admin = server.admin("acme");
    let (busy, key) = (admin.create("Busy", "read").await, admin.create("Zapier Sync", "read").await);
    let mut lock = server.database.connect().await;
    let statement = format!("BEGIN; SELECT FROM api_keys WHERE id = '{}' FOR UPDATE", busy.id);
    lock.execute(AssertSqlSafe(statement)).await.unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..20 {
        let (admin, path) = (admin.clone(), busy.path());
        waiting.spawn(async move { admin.patch(&path, &json!({"description": "x"})).await });
    }
    let is_blocked =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_until(async || server.database.count(is_blocked).await > 0).await;
    let suspended = tokio::time::timeout(Duration::from_secs(5), suspend(&admin, &key, &json!({}))).await;
    assert_eq!(suspended.expect("within 5 s").expect(200)["status"], "suspended");
    check(&admin, &key).await.refused(401, "key_suspended");
    lock.execute("ROLLBACK").await.unwrap();
    waiting.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_beside_a_revocation_or_a_patch_undoes_neither() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for round in 0..20 {
        let key = admin.create("old", "read").await;
        let revoked = admin.create("old", "read").await;
        let body = json!({});
        let (suspended, patched, suspended_late, deleted) = tokio::join!(
            suspend(&admin, &key, &body),
            async { admin.patch(&key.path(), &json!({"name": "new"})).await },
            suspend(&admin, &revoked, &body),
            async { admin.delete(&revoked.path()).await },
        );
        suspended.expect(200);
        patched.expect(200);
        deleted.expect(204);
        if suspended_late.status != 200 {
            suspended_late.refused(409, "key_revoked");
        }
        let shown = admin.get(&key.path()).await.expect(200);
        assert_eq!((&shown["status"], &shown["name"]), (&json!("suspended"), &json!("new")), "round {round}");
        check(&admin, &key).await.refused(401, "key_suspended");
        assert_eq!(admin.get(&revoked.path()).await.expect(200)["status"], "revoked", "round {round}");
        check(&admin, &revoked).await.refused(401, "key_revoked");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_concurrent_suspensions_are_recorded_once() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (admin, key) = (admin.clone(), key.clone());
        tasks.spawn(async move { suspend(&admin, &key, &json!({"reason": "why"})).await.expect(200) });
    }
    tasks.join_all().await;
    assert_eq!(events(&server, &key).await, [("suspended".to_owned(), details(&key, Value::Null, "why"))]);
}

#[tokio::test]
async fn a_refused_request_of_a_suspended_key_is_counted_and_is_no_use() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    suspend(&admin, &key, &json!({})).await.expect(200);
    for _ in 0..3 {
        check(&admin, &key).await.refused(401, "key_suspended");
    }
    let usage = async || admin.get(&format!("{}/usage", key.path())).await.expect(200);
    wait_until(async || usage().await["denied"] == 3).await;
    let usage = usage().await;
    let last = usage["buckets"].as_array().unwrap().last().unwrap();
    let reasons = json!({
        "expired": 0, "scope": 0, "revoked": 0, "suspended": 3, "address": 0, "rateLimit": 0, "quota": 0
    });
    assert_eq!((&last["requests"], &last["deniedByReason"]), (&json!(3), &reasons));
    assert_eq!(admin.get(&key.path()).await.expect(200)["lastUsedAt"], Value::Null);
    let metrics = admin.get("/metrics").await.body;
    assert!(metrics.contains(r#"rally_key_verifications_total{result="suspended""#), "{metrics}");
}

// ---- The command line

#[tokio::test]
async fn an_operator_suspends_and_resumes_by_the_command_line() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    assert_eq!(check(&admin, &key).await.status, 200);
    let (home, url) = (Home::new("suspend"), server.database.url_text(None).await);
    let settings = [("DATABASE_URL", url.as_str())];
    let run = async |command: &str, more: &[&str]| {
        let of = ["keys", command, &key.id, "--tenant", "acme", "--as", "zoe"];
        home.succeed(&[&of, more].concat(), &settings).await
    };
    let until = in_minutes(&server, 60);
    let said = run("suspend", &["--until", &until, "--reason", "why"]).await;
    assert_eq!(said, format!("suspended API key {} until {until}\n", key.id));
    wait_until(async || check(&admin, &key).await.status == 401).await;
    check(&admin, &key).await.refused(401, "key_suspended");
    let said = run("suspend", &["--until", &until, "--reason", "why"]).await;
    assert!(said.contains("was suspended") && said.contains("before"), "{said}");
    let listed = home.succeed(&["keys", "list", "--tenant", "acme"], &settings).await;
    assert!(listed.contains(" suspended "), "{listed}");
    assert_eq!(run("resume", &[]).await, format!("resumed API key {}\n", key.id));
    wait_until(async || check(&admin, &key).await.status == 200).await;
    assert_eq!(run("resume", &[]).await, format!("API key {} is not suspended\n", key.id));
    let found = events(&server, &key).await;
    let expected = json!({"name": "Zapier Sync", "keyHint": key.hint(), "until": until, "reason": "why"});
    assert_eq!((found.len(), &found[0]), (2, &("suspended".to_owned(), expected)));
    let of = ["--tenant", "acme"];
    let refused = home
        .fail(&[&["keys", "suspend", &key.id, "--until", "2020-01-01T00:00:00Z"], &of[..]].concat(), &settings)
        .await;
    assert!(refused.contains("--until must be in the future"), "{refused}");
    home.succeed(&[&["keys", "revoke", &key.id], &of[..]].concat(), &settings).await;
    let refused = home.fail(&[&["keys", "suspend", &key.id], &of[..]].concat(), &settings).await;
    assert!(refused.contains("is revoked"), "{refused}");
}
