//! `GET` and `PUT /api/v1/api-keys/policy`, and the calls that the policy binds.

use chrono::{SubsecRound as _, TimeDelta};
use rally_api_keys::domain::format_timestamp;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    client::{Client, CreatedKey, PATH, Reply, send},
    harness::{TestServer, wait_until},
};

const POLICY: &str = "/api/v1/api-keys/policy";

fn no_rules() -> Value {
    json!({
        "maxLifetimeDays": null, "maxActiveKeys": null, "idleSuspendDays": null, "allowedScopes": null,
        "requireAllowedAddresses": null, "onLeak": "revoke", "defaultRateLimit": null,
    })
}

fn all_rules() -> Value {
    json!({
        "maxLifetimeDays": 90, "maxActiveKeys": 1000, "idleSuspendDays": 30, "allowedScopes": "read,write",
        "requireAllowedAddresses": true, "onLeak": "suspend", "defaultRateLimit": {"requests": 600, "windowSeconds": 60},
    })
}

async fn put(client: &Client, path: &str, body: &Value) -> Reply {
    send(client.request(Method::PUT, path).json(body)).await
}

async fn set(client: &Client, rules: &Value) -> Value {
    put(client, POLICY, rules).await.expect(200)
}

/// The rules of a response.
fn rules(response: &Value) -> Value {
    let members = response.as_object().unwrap().clone().into_iter();
    members.filter(|(name, _)| !["activeKeys", "violationCount", "violations"].contains(&name.as_str())).collect()
}

fn in_days(server: &TestServer, days: i64) -> String {
    format_timestamp((server.clock.now() + TimeDelta::days(days)).trunc_subsecs(0))
}

#[track_caller]
fn assert_violates(reply: &Reply, rule: &str, limit: impl Into<Value>, value: impl Into<Value>) {
    let problem = reply.refused(422, "policy_violation");
    assert_eq!((&problem["rule"], &problem["limit"], &problem["value"]), (&json!(rule), &limit.into(), &value.into()));
    assert!(problem["detail"].as_str().unwrap().contains(rule), "{problem}");
}

async fn policy_events(server: &TestServer) -> Vec<Value> {
    server
        .database
        .rows("SELECT key_id, actor, details FROM api_key_events WHERE kind = 'policy_changed' ORDER BY seq")
        .await
}

// ---- Reading and writing

#[tokio::test]
async fn a_policy_is_kept_shown_and_recorded() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let first = admin.get(POLICY).await.expect(200);
    assert_eq!(rules(&first), no_rules());
    let rest = (&first["activeKeys"], &first["violationCount"], &first["violations"]);
    assert_eq!(rest, (&json!(0), &json!(0), &json!([])));
    for _ in 0..2 {
        assert_eq!(rules(&set(&admin, &all_rules()).await), all_rules());
    }
    assert_eq!(rules(&admin.get(POLICY).await.expect(200)), all_rules());
    assert_eq!(rules(&set(&admin, &json!({"maxLifetimeDays": null, "onLeak": null})).await), no_rules());
    let event = |from: Value, to: Value| json!({"key_id": null, "actor": "admin@acme.com", "details": {"actorSubject": "42", "from": from, "to": to}});
    assert_eq!(
        policy_events(&server).await,
        [event(no_rules(), all_rules()), event(all_rules(), no_rules())],
        "a repetition is no change"
    );
    let listed = admin.get(&format!("{PATH}/events?type=policy_changed")).await.expect(200);
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["keyId"]), (2, &Value::Null));
}

#[tokio::test]
async fn a_policy_is_read_with_read_and_changed_with_admin() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for scopes in ["read", "write"] {
        let key = admin.with_key(&admin.create("n", scopes).await.secret);
        for client in [key, server.user("acme", scopes)] {
            client.get(POLICY).await.expect(200);
            put(&client, POLICY, &json!({})).await.refused(403, "insufficient_scope");
            put(&client, &format!("{POLICY}?dryRun=true"), &json!({})).await.refused(403, "insufficient_scope");
        }
    }
    let key = admin.create("n", "admin").await;
    set(&admin.with_key(&key.secret), &json!({"maxActiveKeys": 9})).await;
    admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    put(&admin.with_key(&key.secret), POLICY, &json!({})).await.refused(403, "secret_retired");
    for method in [Method::PATCH, Method::DELETE, Method::POST] {
        send(admin.request(method, POLICY).json(&json!({}))).await.refused(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn bad_rules_are_refused_by_name_and_change_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    set(&admin, &all_rules()).await;
    for (rule, value, field) in [
        ("maxLifetimeDays", json!(0), "maxLifetimeDays"),
        ("maxLifetimeDays", json!(3651), "maxLifetimeDays"),
        ("maxLifetimeDays", json!("90"), "maxLifetimeDays"),
        ("maxActiveKeys", json!(0), "maxActiveKeys"),
        ("maxActiveKeys", json!(1_000_001), "maxActiveKeys"),
        ("idleSuspendDays", json!(0.5), "idleSuspendDays"),
        ("idleSuspendDays", json!(3651), "idleSuspendDays"),
        ("allowedScopes", json!(""), "allowedScopes"),
        ("allowedScopes", json!(["read"]), "allowedScopes"),
        ("requireAllowedAddresses", json!("yes"), "requireAllowedAddresses"),
        ("onLeak", json!("delete"), "onLeak"),
        ("defaultRateLimit", json!({"requests": 0, "windowSeconds": 1}), "defaultRateLimit.requests"),
        ("defaultRateLimit", json!(600), "defaultRateLimit"),
        ("violations", json!([]), "violations"),
        ("maxKeys", json!(1), "maxKeys"),
    ] {
        let mut body = json!({"maxActiveKeys": 1});
        body[rule] = value;
        assert_eq!(put(&admin, POLICY, &body).await.bad_fields(), [field], "{body}");
    }
    for query in ["?dryRun=yes", "?dryRun=", "?dryrun=true", "?dryRun=true&dryRun=true"] {
        put(&admin, &format!("{POLICY}{query}"), &json!({})).await.refused(400, "invalid_request");
    }
    assert_eq!(rules(&admin.get(POLICY).await.expect(200)), all_rules());
    assert_eq!(policy_events(&server).await.len(), 1);
}

#[tokio::test]
async fn a_policy_binds_its_own_tenant_alone() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    globex.create("theirs", "admin").await;
    set(&acme, &json!({"allowedScopes": "read", "maxLifetimeDays": 1})).await;
    assert_eq!(rules(&globex.get(POLICY).await.expect(200)), no_rules());
    globex.create("theirs", "admin").await;
    let shown = acme.get(POLICY).await.expect(200);
    assert_eq!((&shown["activeKeys"], &shown["violationCount"]), (&json!(0), &json!(0)));
}

// ---- What it binds

#[tokio::test]
async fn each_rule_binds_creations_at_once_on_both_instances() {
    let one = TestServer::start().await;
    let other = one.sibling(&[]).await;
    let (admin, there) = (one.admin("acme"), other.admin("acme"));
    let create = async |body: Value| there.post(PATH, &body).await;

    set(&admin, &json!({"maxLifetimeDays": 30})).await;
    let late = in_days(&one, 31);
    assert_violates(&create(json!({"name": "n"})).await, "maxLifetimeDays", 30, Value::Null);
    assert_violates(&create(json!({"name": "n", "expiresAt": late})).await, "maxLifetimeDays", 30, late);
    create(json!({"name": "n", "expiresAt": in_days(&one, 29)})).await.expect(201);

    set(&admin, &json!({"allowedScopes": "write"})).await;
    assert_violates(
        &create(json!({"name": "n", "scopes": "read,admin"})).await,
        "allowedScopes",
        "write",
        "read,admin",
    );
    create(json!({"name": "n", "scopes": "read"})).await.expect(201);

    set(&admin, &json!({"requireAllowedAddresses": true})).await;
    assert_violates(&create(json!({"name": "n"})).await, "requireAllowedAddresses", true, json!([]));
    create(json!({"name": "n", "allowedAddresses": ["::1"]})).await.expect(201);
    set(&admin, &json!({"requireAllowedAddresses": false})).await;
    create(json!({"name": "n"})).await.expect(201);

    set(&admin, &json!({"maxActiveKeys": 4})).await;
    assert_violates(&create(json!({"name": "n"})).await, "maxActiveKeys", 4, 5);
    let keys = admin.get(PATH).await.expect(200);
    admin.delete(&format!("{PATH}/{}", keys[0]["id"].as_str().unwrap())).await.expect(204);
    create(json!({"name": "n"})).await.expect(201);
    assert_eq!(admin.get(POLICY).await.expect(200)["activeKeys"], 4);

    let limit = json!({"requests": 600, "windowSeconds": 60});
    set(&admin, &json!({"defaultRateLimit": limit})).await;
    for (body, expected) in [
        (json!({"name": "n"}), limit.clone()),
        (json!({"name": "n", "rateLimit": null}), limit),
        (
            json!({"name": "n", "rateLimit": {"requests": 7, "windowSeconds": 1}}),
            json!({"requests": 7, "windowSeconds": 1}),
        ),
    ] {
        assert_eq!(create(body).await.expect(201)["rateLimit"], expected);
    }
    set(&admin, &json!({})).await;
    assert_eq!(create(json!({"name": "n"})).await.expect(201)["rateLimit"], Value::Null);
}

#[tokio::test]
async fn changes_are_bound_unless_they_keep_or_narrow_what_the_key_has() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let wide = admin.create_with(&json!({"name": "Wide", "scopes": "write,admin"})).await;
    let end = in_days(&server, 60);
    let body = json!({"name": "Narrow", "scopes": "read", "expiresAt": end, "allowedAddresses": ["::1", "10.0.0.0/8"]});
    let narrow = admin.create_with(&body).await;
    set(&admin, &json!({"maxLifetimeDays": 90, "allowedScopes": "read", "requireAllowedAddresses": true})).await;
    let patch = async |key: &CreatedKey, body: Value| admin.patch(&key.path(), &body).await;

    // A key that breaks every rule.
    for body in [
        json!({"name": "Still wide", "description": "x", "rateLimit": {"requests": 1, "windowSeconds": 1}}),
        json!({"scopes": "write,admin", "expiresAt": null, "allowedAddresses": []}),
        json!({"scopes": "write", "expiresAt": in_days(&server, 300)}),
        json!({"expiresAt": in_days(&server, 200)}),
    ] {
        patch(&wide, body).await.expect(200);
    }
    // What was given up does not come back.
    assert_violates(&patch(&wide, json!({"scopes": "admin"})).await, "allowedScopes", "read", "admin");
    assert_violates(&patch(&wide, json!({"expiresAt": null})).await, "maxLifetimeDays", 90, Value::Null);
    admin.delete(&wide.path()).await.expect(204);

    let before = admin.get(&narrow.path()).await.expect(200);
    let late = in_days(&server, 91);
    assert_violates(&patch(&narrow, json!({"expiresAt": late})).await, "maxLifetimeDays", 90, late);
    assert_violates(&patch(&narrow, json!({"scopes": "read,write"})).await, "allowedScopes", "read", "write");
    assert_violates(
        &patch(&narrow, json!({"allowedAddresses": null})).await,
        "requireAllowedAddresses",
        true,
        json!([]),
    );
    assert_eq!(admin.get(&narrow.path()).await.expect(200), before);
    patch(&narrow, json!({"expiresAt": in_days(&server, 89), "allowedAddresses": ["192.0.2.1"]})).await.expect(200);
}

#[tokio::test]
async fn an_extension_of_an_expired_key_counts_as_another_active_key() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create_with(&json!({"name": "n", "expiresAt": in_days(&server, 1)})).await;
    server.clock.turn(TimeDelta::days(2));
    let admin = server.admin("acme");
    let other = admin.create("Other", "read").await;
    set(&admin, &json!({"maxActiveKeys": 1})).await;
    let later = json!({"expiresAt": in_days(&server, 9)});
    assert_violates(&admin.patch(&key.path(), &later).await, "maxActiveKeys", 1, 2);
    admin.patch(&other.path(), &later).await.expect(200);
    admin.delete(&other.path()).await.expect(204);
    admin.patch(&key.path(), &later).await.expect(200);
}

#[tokio::test]
async fn a_key_that_breaks_a_rule_gets_no_new_secret() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "write").await;
    let rotate = async |client: &Client, path: String| client.post(&format!("{path}/rotate"), &json!({})).await;
    for (rule, limit, value) in [
        ("maxLifetimeDays", json!(9), Value::Null),
        ("allowedScopes", json!("read"), json!("write")),
        ("requireAllowedAddresses", json!(true), json!([])),
    ] {
        let mut policy = json!({});
        policy[rule] = limit.clone();
        set(&admin, &policy).await;
        assert_violates(&rotate(&admin, key.path()).await, rule, limit.clone(), value.clone());
        let itself = admin.with_key(&key.secret);
        assert_violates(&rotate(&itself, format!("{PATH}/self")).await, rule, limit, value);
    }
    set(&admin, &json!({"maxActiveKeys": 1, "allowedScopes": "write"})).await;
    rotate(&admin, key.path()).await.expect(200);
}

/// Neither creations beside one another nor creations beside the change of the policy get past it.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_creations_on_two_instances_do_not_exceed_the_number_of_keys() {
    let one = TestServer::start().await;
    let other = one.sibling(&[]).await;
    let (admin, there) = (one.admin("acme"), other.admin("acme"));
    set(&admin, &json!({"maxActiveKeys": 5})).await;
    let mut tasks = JoinSet::new();
    for n in 0..20 {
        let client = if n % 2 == 0 { admin.clone() } else { there.clone() };
        tasks.spawn(async move { client.post(PATH, &json!({"name": "n"})).await.status.as_u16() });
    }
    let mut statuses = tasks.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses, [[201; 5].as_slice(), &[422; 15]].concat());

    set(&admin, &json!({})).await;
    let creating = tokio::spawn({
        let there = there.clone();
        async move {
            let mut refused = 0;
            while refused == 0 {
                let status = there.post(PATH, &json!({"name": "late"})).await.status.as_u16();
                refused += usize::from(status == 422);
            }
        }
    });
    let late = "SELECT count(*) FROM api_keys WHERE name = 'late'";
    wait_until(async || one.database.count(late).await > 2).await;
    set(&admin, &json!({"allowedScopes": "write", "maxLifetimeDays": 1})).await;
    let then = one.database.count(late).await;
    creating.await.unwrap();
    assert_eq!(one.database.count(late).await, then, "a key was created after the policy was acknowledged");
}

// ---- Violations

#[tokio::test]
async fn a_dry_run_names_the_keys_that_would_break_the_rules_and_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = in_days(&server, 10);
    let good = json!({"name": "Good", "scopes": "read", "expiresAt": end, "allowedAddresses": ["127.0.0.1"]});
    admin.create_with(&good).await;
    let revoked = admin.create("Revoked", "admin").await;
    admin.delete(&revoked.path()).await.expect(204);
    let bad = admin.create("Bad", "read,write").await;
    let used = admin.with_key(&bad.secret).request(Method::GET, "/forward-auth").header("user-agent", "etl/2.1");
    assert_eq!(send(used).await.status, 200);
    wait_until(async || admin.get(&bad.path()).await.expect(200)["lastUsedAt"].is_string()).await;
    let last_used = admin.get(&bad.path()).await.expect(200)["lastUsedAt"].clone();
    let wanted = json!({"maxLifetimeDays": 30, "allowedScopes": "read", "requireAllowedAddresses": true});
    let tried = put(&admin, &format!("{POLICY}?dryRun=true"), &wanted).await.expect(200);
    let expected = json!([{
        "keyId": bad.id,
        "name": "Bad",
        "keyHint": bad.hint(),
        "rules": [
            {"rule": "maxLifetimeDays", "limit": 30, "value": null},
            {"rule": "allowedScopes", "limit": "read", "value": "read,write"},
            {"rule": "requireAllowedAddresses", "limit": true, "value": []},
        ],
        "lastUsedAt": last_used,
        "lastAddress": "127.0.0.1",
        "lastUserAgent": "etl/2.1",
    }]);
    assert_eq!(
        (&tried["violations"], &tried["violationCount"], &tried["activeKeys"]),
        (&expected, &json!(1), &json!(2))
    );
    assert_eq!(rules(&admin.get(POLICY).await.expect(200)), no_rules());
    assert!(policy_events(&server).await.is_empty());
    assert_eq!(set(&admin, &wanted).await, tried);
    assert_eq!(admin.get(POLICY).await.expect(200), tried);
    assert_eq!(admin.get(&bad.path()).await.expect(200)["status"], "active", "a key that breaks a rule stays as it is");
}

#[tokio::test]
async fn idle_keys_break_the_rule_of_idle_keys_by_their_last_use_or_their_creation() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (unused, used) = (admin.create("Unused", "read").await, admin.create("Used", "read").await);
    let created_at = admin.get(&unused.path()).await.expect(200)["createdAt"].clone();
    server.clock.turn(TimeDelta::days(20));
    let admin = server.admin("acme");
    assert_eq!(admin.with_key(&used.secret).get("/forward-auth").await.status, 200);
    wait_until(async || admin.get(&used.path()).await.expect(200)["lastUsedAt"].is_string()).await;
    server.clock.turn(TimeDelta::days(11));
    let admin = server.admin("acme");
    let shown = set(&admin, &json!({"idleSuspendDays": 30})).await;
    assert_eq!(shown["violationCount"], 1, "{shown}");
    assert_eq!(shown["violations"][0]["name"], "Unused");
    let rule = json!([{"rule": "idleSuspendDays", "limit": 30, "value": created_at}]);
    assert_eq!(shown["violations"][0]["rules"], rule);
}

/// The newest last use, resumption or end of a suspension counts; a decoy and a key that is suspended are never idle.
#[tokio::test]
async fn what_has_happened_to_a_key_decides_whether_it_is_idle() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut keys = Vec::new();
    for name in [
        "Unused",
        "Used long ago",
        "Used lately",
        "Used by both secrets",
        "Suspended",
        "Suspended then",
        "Suspended until lately",
        "Resumed",
    ] {
        keys.push(admin.create(name, "read").await);
    }
    let [_, long_ago, lately, both, suspended, then, until_lately, resumed] = keys.try_into().unwrap();
    admin.create_with(&json!({"name": "Decoy", "scopes": "read", "decoy": true})).await;
    for (key, until) in [(&suspended, None), (&then, Some(5)), (&until_lately, Some(15)), (&resumed, None)] {
        let until = until.map(|days| in_days(&server, days));
        admin.post(&format!("{}/suspend", key.path()), &json!({"until": until})).await.expect(200);
    }
    server.clock.turn(TimeDelta::days(20));
    server.admin("acme").post(&format!("{}/resume", resumed.path()), &json!({})).await.expect(200);
    server.clock.turn(TimeDelta::days(20));
    for (key, digest, days) in [(&long_ago, '1', -31), (&lately, '1', -2), (&both, '1', -31), (&both, '2', -2)] {
        let (digest, used_at) = (digest.to_string().repeat(32), in_days(&server, days));
        let sql = format!(
            "INSERT INTO api_key_last_uses (tenant_id, key_id, lookup_digest, used_at)
             SELECT tenant_id, id, '\\x{digest}', '{used_at}' FROM api_keys WHERE id = '{}'",
            key.id
        );
        server.database.execute(&sql).await;
    }

    let shown = set(&server.admin("acme"), &json!({"idleSuspendDays": 30})).await;
    let names: Vec<_> =
        shown["violations"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Suspended then", "Used long ago", "Unused"], "the newest first");
    assert_eq!((&shown["violationCount"], &shown["activeKeys"]), (&json!(3), &json!(9)));
}

#[tokio::test]
async fn at_most_a_hundred_keys_are_listed_and_all_are_counted() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    // Not all at once, which a busy machine refuses.
    for _ in 0..7 {
        let mut tasks = JoinSet::new();
        for _ in 0..15 {
            let admin = admin.clone();
            tasks.spawn(async move { admin.create("n", "write").await });
        }
        tasks.join_all().await;
    }
    let shown = set(&admin, &json!({"allowedScopes": "read"})).await;
    let newest = admin.get(&format!("{PATH}?limit=100")).await.expect(200);
    let ids = |keys: &Value, id| keys.as_array().unwrap().iter().map(|key| key[id].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&shown["violations"], "keyId"), ids(&newest, "id"));
    assert_eq!((ids(&newest, "id").len(), &shown["violationCount"]), (100, &json!(105)));
}
