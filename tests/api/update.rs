//! `PATCH /api/v1/api-keys/{id}`

use std::time::Duration;

use chrono::{SubsecRound as _, TimeDelta};
use rally_api_keys::domain::format_timestamp;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::task::JoinSet;

use crate::{
    client::{Client, CreatedKey, PATH, Reply, send},
    harness::TestServer,
};

/// The time at that offset from the server's clock, in whole seconds.
fn timestamp_from_now(server: &TestServer, from_now: TimeDelta) -> String {
    format_timestamp((server.clock.now() + from_now).trunc_subsecs(0))
}

async fn patch_if_match(client: &Client, path: &str, if_match: &str, body: &Value) -> Reply {
    send(client.request(Method::PATCH, path).header("if-match", if_match).json(body)).await
}

async fn patch_text(client: &Client, path: &str, content_type: &str, body: impl Into<Body>) -> Reply {
    send(client.request(Method::PATCH, path).header("content-type", content_type).body(body)).await
}

/// A key's JSON and its entity tag.
async fn state(client: &Client, path: &str) -> (Value, String) {
    let reply = client.get(path).await;
    (reply.expect(200), reply.header("etag").to_owned())
}

async fn etag(client: &Client, path: &str) -> String {
    state(client, path).await.1
}

/// The key's `updated` events, oldest first.
async fn updates(server: &TestServer, key: &CreatedKey) -> Vec<Value> {
    let query = format!(
        "SELECT actor, host(address) AS address, request_id, details FROM api_key_events
         WHERE key_id = '{}' AND kind = 'updated' ORDER BY occurred_at, id",
        key.id
    );
    server.database.rows(&query).await
}

struct Fixture {
    server: TestServer,
    admin: Client,
    key: CreatedKey,
}

/// A server with one key: "Zapier Sync", scopes read and write, expiry in 2099.
async fn fixture() -> Fixture {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let body = json!({"name": "Zapier Sync", "scopes": "read,write", "expiresAt": "2099-01-01T00:00:00Z"});
    let key = admin.create_with(&body).await;
    Fixture { server, admin, key }
}

/// Asserts that a patch of the property to `sent` stores `kept`, and changes nothing else but the entity tag.
async fn assert_only_change(property: &str, sent: Value, kept: Value) {
    let Fixture { server: _server, admin, key } = fixture().await;
    let (mut expected, tag) = state(&admin, &key.path()).await;
    expected[property] = kept;
    let mut body = json!({});
    body[property] = sent;
    let reply = admin.patch(&key.path(), &body).await;
    assert_eq!(reply.expect(200), expected);
    assert_ne!(reply.header("etag"), tag);
    assert_eq!(state(&admin, &key.path()).await, (expected, reply.header("etag").to_owned()));
}

/// Asserts that each of these values is refused with the property's name, and that the key stays unchanged.
async fn assert_values_refused(property: &str, values: &[Value]) {
    let Fixture { server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    for value in values {
        // The body also has a valid property, which must not be applied either.
        let mut body = if property == "name" { json!({"scopes": "read"}) } else { json!({"name": "New"}) };
        body[property] = value.clone();
        assert_eq!(admin.patch(&key.path(), &body).await.bad_fields(), [property], "{value:?}");
    }
    assert_eq!(state(&admin, &key.path()).await, before);
    assert!(updates(&server, &key).await.is_empty());
}

// ---- Accepted requests

#[tokio::test]
async fn a_new_name_changes_only_the_name() {
    assert_only_change("name", json!("  ETL Pipeline "), json!("ETL Pipeline")).await;
}

#[tokio::test]
async fn new_scopes_change_only_the_scopes() {
    assert_only_change("scopes", json!("write , admin,write"), json!("write,admin")).await;
}

#[tokio::test]
async fn a_new_expiry_changes_only_the_expiry() {
    assert_only_change("expiresAt", json!("2098-01-01T02:00:00+02:00"), json!("2098-01-01T00:00:00Z")).await;
}

#[tokio::test]
async fn a_null_expiry_removes_the_expiry() {
    assert_only_change("expiresAt", Value::Null, Value::Null).await;
}

#[tokio::test]
async fn a_patch_of_all_properties_is_recorded_with_old_and_new_values() {
    let Fixture { server, admin, key } = fixture().await;
    let body = json!({"name": "ETL", "scopes": "read", "expiresAt": null});
    let request = admin.request(Method::PATCH, &key.path()).header("x-request-id", "update-7").json(&body);
    let changed = send(request).await.expect(200);
    assert_eq!(
        (&changed["name"], &changed["scopes"], &changed["expiresAt"]),
        (&json!("ETL"), &json!("read"), &Value::Null)
    );
    admin.patch(&key.path(), &json!({"name": "ETL 2", "scopes": "read"})).await.expect(200);
    let events = updates(&server, &key).await;
    assert_eq!(
        events[0],
        json!({
            "actor": "admin@acme.com",
            "address": "127.0.0.1",
            "request_id": "update-7",
            "details": {
                "actorSubject": "42",
                "name": {"from": "Zapier Sync", "to": "ETL"},
                "scopes": {"from": "read,write", "to": "read"},
                "expiresAt": {"from": "2099-01-01T00:00:00Z", "to": null},
            },
        })
    );
    assert_eq!(
        events[1]["details"],
        json!({"actorSubject": "42", "name": {"from": "ETL", "to": "ETL 2"}}),
        "the event lists more than the changed properties"
    );
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn a_patch_to_the_current_values_changes_nothing() {
    let Fixture { server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    for body in [
        json!({}),
        json!({"name": "Zapier Sync"}),
        json!({"name": "  Zapier Sync ", "scopes": "write, read", "expiresAt": "2099-01-01T01:00:00+01:00"}),
    ] {
        let reply = admin.patch(&key.path(), &body).await;
        assert_eq!((reply.expect(200), reply.header("etag").to_owned()), before, "{body}");
    }
    assert_eq!(state(&admin, &key.path()).await, before);
    assert!(updates(&server, &key).await.is_empty());
}

#[tokio::test]
async fn the_past_expiry_of_an_expired_key_is_accepted_and_no_other() {
    let server = TestServer::start().await;
    let end = timestamp_from_now(&server, TimeDelta::minutes(10));
    let body = json!({"name": "Zapier Sync", "expiresAt": end});
    let (key, other) = (server.admin("acme").create_with(&body).await, server.admin("acme").create("n", "read").await);
    server.clock.turn(TimeDelta::minutes(11));
    let admin = server.admin("acme");
    let before = state(&admin, &key.path()).await;
    assert_eq!(before.0["status"], "expired");
    let reply = admin.patch(&key.path(), &json!({"expiresAt": end})).await;
    assert_eq!((reply.expect(200), reply.header("etag").to_owned()), before);
    assert!(updates(&server, &key).await.is_empty());

    let shown = admin.patch(&key.path(), &json!({"name": "ETL", "scopes": "read", "expiresAt": end})).await.expect(200);
    assert_eq!((&shown["name"], &shown["expiresAt"]), (&json!("ETL"), &json!(end)));
    let changes = json!({"actorSubject": "42", "name": {"from": "Zapier Sync", "to": "ETL"}});
    assert_eq!(updates(&server, &key).await[0]["details"], changes);

    let another = timestamp_from_now(&server, TimeDelta::minutes(-2));
    let body = json!({"scopes": "x", "expiresAt": another});
    assert_eq!(admin.patch(&key.path(), &body).await.bad_fields(), ["expiresAt", "scopes"]);
    assert_eq!(admin.patch(&other.path(), &json!({"expiresAt": end})).await.bad_fields(), ["expiresAt"]);
}

#[tokio::test]
async fn an_upper_case_id_finds_the_key() {
    let Fixture { server: _server, admin, key } = fixture().await;
    let path = format!("{PATH}/{}", key.id.to_uppercase());
    assert_eq!(admin.patch(&path, &json!({"name": "New"})).await.expect(200)["id"], key.id);
    assert_eq!(admin.get(&key.path()).await.expect(200)["name"], "New");
}

#[tokio::test]
async fn both_merge_patch_and_json_content_types_are_accepted() {
    let Fixture { server: _server, admin, key } = fixture().await;
    for (n, content_type) in
        ["application/merge-patch+json", "Application/Merge-Patch+JSON; charset=utf-8", "application/json"]
            .into_iter()
            .enumerate()
    {
        let name = format!("Name {n}");
        let reply = patch_text(&admin, &key.path(), content_type, json!({"name": name}).to_string()).await;
        assert_eq!(reply.expect(200)["name"], name);
    }
}

#[tokio::test]
async fn narrowed_scopes_apply_to_the_next_request() {
    let Fixture { server: _server, admin, .. } = fixture().await;
    let key = admin.create("Admin", "admin").await;
    let narrowed = admin.with_key(&key.secret);
    narrowed.create("before the change", "read").await;
    for scopes in ["write", "read"] {
        admin.patch(&key.path(), &json!({"scopes": scopes})).await.expect(200);
        narrowed.post(PATH, &json!({"name": "Zapier Sync"})).await.refused(403, "insufficient_scope");
        narrowed.get(PATH).await.expect(200);
    }
    admin.patch(&key.path(), &json!({"scopes": "admin"})).await.expect(200);
    narrowed.create("again", "read").await;
}

#[tokio::test]
async fn an_expired_key_with_a_later_expiry_is_accepted_again() {
    let Fixture { server, admin, .. } = fixture().await;
    let end = timestamp_from_now(&server, TimeDelta::minutes(10));
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    let itself = admin.with_key(&key.secret);
    for new_end in [json!(timestamp_from_now(&server, TimeDelta::minutes(30))), Value::Null] {
        itself.get(PATH).await.expect(200);
        server.clock.turn(TimeDelta::minutes(20));
        itself.get(PATH).await.refused(401, "key_expired");
        let changed = admin.patch(&key.path(), &json!({"expiresAt": new_end})).await.expect(200);
        assert_eq!((&changed["isActive"], &changed["status"]), (&json!(true), &json!("active")));
        itself.get(PATH).await.expect(200);
    }
    server.clock.turn(TimeDelta::days(1000));
    itself.get(PATH).await.expect(200);
}

#[tokio::test]
async fn a_renamed_expired_key_stays_expired() {
    let Fixture { server, admin, .. } = fixture().await;
    let end = timestamp_from_now(&server, TimeDelta::minutes(10));
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    server.clock.turn(TimeDelta::minutes(11));
    let changed = admin.patch(&key.path(), &json!({"name": "Old", "scopes": "read"})).await.expect(200);
    assert_eq!((&changed["name"], &changed["status"]), (&json!("Old"), &json!("expired")));
    admin.with_key(&key.secret).get(PATH).await.refused(401, "key_expired");
}

// ---- Refused requests

#[tokio::test]
async fn invalid_names_are_refused_and_change_nothing() {
    let too_long = "🔑".repeat(101);
    let mut values: Vec<Value> = ["", "  ", too_long.as_str(), "a\0b", "a\nb", "a\u{85}b"].map(Value::from).into();
    values.extend([Value::Null, json!(7), json!({}), json!(["x"])]);
    assert_values_refused("name", &values).await;
}

#[tokio::test]
async fn invalid_scopes_are_refused_and_change_nothing() {
    let mut values: Vec<Value> = ["", " ", "READ", "read,", "delete"].map(Value::from).into();
    values.extend([Value::Null, json!(["read"]), json!(7), json!({"add": "admin"})]);
    assert_values_refused("scopes", &values).await;
}

#[tokio::test]
async fn invalid_expiry_times_are_refused_and_change_nothing() {
    let texts = ["", "2020-01-01T00:00:00Z", "2099-01-01", "2099-01-01T00:00:00", "9999-12-31T23:59:59-01:00"];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend([json!(4_102_444_800_u64), json!(false), json!([])]);
    assert_values_refused("expiresAt", &values).await;
}

#[tokio::test]
async fn read_only_and_unknown_properties_are_refused() {
    let Fixture { server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    for property in [
        "id",
        "key",
        "keyPrefix",
        "keyHint",
        "lastUsedAt",
        "isActive",
        "createdAt",
        "createdBy",
        "revokedAt",
        "status",
        "rotation",
        "suspendedUntil",
        "colour",
        "version",
    ] {
        // A new value, null, and the current value of the key.
        for value in [json!("x"), Value::Null, before.0.get(property).cloned().unwrap_or_default()] {
            let mut body = json!({"name": "New"});
            body[property] = value;
            assert_eq!(admin.patch(&key.path(), &body).await.bad_fields(), [property]);
        }
    }
    assert_eq!(state(&admin, &key.path()).await, before);
    assert!(updates(&server, &key).await.is_empty());
}

#[tokio::test]
async fn all_invalid_fields_are_named_in_one_response() {
    let Fixture { server: _server, admin, key } = fixture().await;
    let body = json!({"name": null, "scopes": "", "expiresAt": 1, "isActive": true, "colour": "red"});
    let fields = admin.patch(&key.path(), &body).await.bad_fields();
    assert_eq!(fields, ["colour", "expiresAt", "isActive", "name", "scopes"]);
}

#[tokio::test]
async fn invalid_bodies_are_refused_and_change_nothing() {
    let Fixture { server: _server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    let path = key.path();
    for body in ["", "[]", "null", r#"{"name": "New""#, r#"[{"op": "replace", "path": "/name", "value": "New"}]"#] {
        patch_text(&admin, &path, "application/merge-patch+json", body).await.refused(400, "invalid_json");
    }
    let twice = patch_text(&admin, &path, "application/json", r#"{"name": "New", "name": "New"}"#).await;
    assert_eq!(twice.bad_fields(), ["name"]);
    for content_type in ["application/json-patch+json", "text/plain", "application/x-www-form-urlencoded"] {
        let reply = patch_text(&admin, &path, content_type, r#"{"name": "New"}"#).await;
        reply.refused(415, "unsupported_media_type");
    }
    let large = format!("{:<16385}", r#"{"name": "New"}"#);
    patch_text(&admin, &path, "application/json", large).await.refused(413, "body_too_large");
    assert_eq!(state(&admin, &path).await, before);
}

#[tokio::test]
async fn unknown_keys_and_keys_of_another_tenant_are_not_found() {
    let Fixture { server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    let globex = server.admin("globex");
    let patch = json!({"name": "New"});
    let unknown = format!("{PATH}/a1b2c3d4-e5f6-7890-abcd-ef1234567890");
    for (client, path) in [(&admin, &unknown), (&globex, &key.path())] {
        client.patch(path, &patch).await.refused(404, "key_not_found");
        client.patch(path, &json!({})).await.refused(404, "key_not_found");
        patch_if_match(client, path, "*", &patch).await.refused(404, "key_not_found");
    }
    assert_eq!(admin.patch(&format!("{PATH}/7"), &patch).await.bad_fields(), ["id"]);
    assert_eq!(state(&admin, &key.path()).await, before);
}

#[tokio::test]
async fn a_patch_of_a_revoked_key_is_refused() {
    let Fixture { server: _server, admin, key } = fixture().await;
    admin.delete(&key.path()).await.expect(204);
    let before = state(&admin, &key.path()).await;
    for body in [json!({"name": "New"}), json!({"scopes": "admin"}), json!({"expiresAt": null}), json!({})] {
        admin.patch(&key.path(), &body).await.refused(409, "key_revoked");
    }
    let reply = patch_if_match(&admin, &key.path(), &before.1, &json!({"name": "New"})).await;
    reply.refused(409, "key_revoked");
    assert_eq!(state(&admin, &key.path()).await, before);
}

/// Another instance, whose clock is ahead, may have created the key.
#[tokio::test]
async fn an_expiry_before_the_creation_of_the_key_causes_no_server_error() {
    let Fixture { server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    server.clock.turn(TimeDelta::minutes(-2));
    let end = timestamp_from_now(&server, TimeDelta::minutes(1));
    let reply = server.admin("acme").patch(&key.path(), &json!({"expiresAt": end})).await;
    if reply.status == 200 {
        assert_eq!(reply.expect(200)["expiresAt"], end);
    } else {
        assert_eq!(reply.bad_fields(), ["expiresAt"]);
        assert_eq!(state(&admin, &key.path()).await, before);
    }
}

// ---- If-Match

#[tokio::test]
async fn a_matching_if_match_is_accepted() {
    let Fixture { server: _server, admin, key } = fixture().await;
    let path = key.path();
    let right = |tag: String| [tag.clone(), "*".to_owned(), format!(r#""x", {tag} ,"y""#), format!("{tag},{tag}")];
    for n in 0..4 {
        let name = format!("Name {n}");
        let if_match = right(etag(&admin, &path).await)[n].clone();
        let reply = patch_if_match(&admin, &path, &if_match, &json!({"name": name})).await;
        assert_eq!(reply.expect(200)["name"], name, "{if_match}");
    }
    let two_lines = admin
        .request(Method::PATCH, &path)
        .header("if-match", r#""x""#)
        .header("if-match", etag(&admin, &path).await)
        .json(&json!({"name": "Two lines"}));
    assert_eq!(send(two_lines).await.expect(200)["name"], "Two lines");
}

#[tokio::test]
async fn a_stale_or_weak_or_malformed_if_match_is_refused() {
    let Fixture { server, admin, key } = fixture().await;
    let path = key.path();
    let stale = etag(&admin, &path).await;
    admin.patch(&path, &json!({"name": "Meanwhile"})).await.expect(200);
    let (seen, current) = state(&admin, &path).await;
    for if_match in [
        stale.clone(),
        format!("W/{current}"),
        current.trim_matches('"').to_owned(),
        r#""x", "y""#.to_owned(),
        r#""""#.to_owned(),
        r#""*""#.to_owned(),
        String::new(),
        format!("{stale}, W/{current}"),
    ] {
        for body in [json!({"name": "New"}), json!({})] {
            patch_if_match(&admin, &path, &if_match, &body).await.refused(412, "precondition_failed");
        }
    }
    assert_eq!(state(&admin, &path).await, (seen, current));
    assert_eq!(updates(&server, &key).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_ten_concurrent_patches_with_the_same_if_match_succeeds() {
    let Fixture { server, admin, key } = fixture().await;
    let tag = etag(&admin, &key.path()).await;
    let mut tasks = JoinSet::new();
    for n in 0..10 {
        let (admin, path, tag) = (admin.clone(), key.path(), tag.clone());
        tasks.spawn(async move { patch_if_match(&admin, &path, &tag, &json!({"name": format!("Name {n}")})).await });
    }
    let (winners, losers): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(|reply| reply.status.is_success());
    assert_eq!((winners.len(), losers.len()), (1, 9), "{winners:?}");
    for loser in losers {
        loser.refused(412, "precondition_failed");
    }
    let won = winners[0].expect(200);
    assert_eq!(state(&admin, &key.path()).await, (won, winners[0].header("etag").to_owned()));
    assert_eq!(updates(&server, &key).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_patches_of_different_properties_all_apply() {
    let Fixture { server, admin, key } = fixture().await;
    let patches = [json!({"name": "New"}), json!({"scopes": "admin"}), json!({"expiresAt": null})];
    let mut tasks = JoinSet::new();
    for body in patches {
        let (admin, path) = (admin.clone(), key.path());
        tasks.spawn(async move { admin.patch(&path, &body).await.expect(200) });
    }
    tasks.join_all().await;
    let (seen, _) = state(&admin, &key.path()).await;
    assert_eq!((&seen["name"], &seen["scopes"], &seen["expiresAt"]), (&json!("New"), &json!("admin"), &Value::Null));
    assert_eq!(updates(&server, &key).await.len(), 3);
}

// ---- Authorization

#[tokio::test]
async fn a_patch_without_the_admin_scope_is_refused() {
    let Fixture { server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    let mut callers = vec![server.user("acme", "read"), server.user("acme", "write"), server.user("acme", "")];
    for scopes in ["read", "write"] {
        callers.push(admin.with_key(&admin.create("Caller", scopes).await.secret));
    }
    callers.push(admin.with_key(&key.secret)); // the key itself
    for caller in callers {
        for path in [key.path(), format!("{PATH}/a1b2c3d4-e5f6-7890-abcd-ef1234567890")] {
            let reply = caller.patch(&path, &json!({"name": "New"})).await;
            assert_eq!(reply.refused(403, "insufficient_scope")["requiredScope"], "admin");
            assert!(reply.header("www-authenticate").contains(r#"scope="admin""#), "{reply:?}");
        }
    }
    assert_eq!(state(&admin, &key.path()).await, before);
}

#[tokio::test]
async fn a_key_cannot_widen_its_own_scopes() {
    let Fixture { server: _server, admin, .. } = fixture().await;
    for scopes in ["read", "write", "read,write"] {
        let key = admin.create("Zapier Sync", scopes).await;
        let reply = admin.with_key(&key.secret).patch(&key.path(), &json!({"scopes": "admin"})).await;
        reply.refused(403, "insufficient_scope");
        assert_eq!(admin.get(&key.path()).await.expect(200)["scopes"], scopes);
    }
}

#[tokio::test]
async fn a_key_that_narrowed_its_own_scopes_cannot_widen_them_again() {
    let Fixture { server: _server, admin, .. } = fixture().await;
    let key = admin.create("Admin", "admin").await;
    let itself = admin.with_key(&key.secret);
    assert_eq!(itself.patch(&key.path(), &json!({"scopes": "read"})).await.expect(200)["scopes"], "read");
    itself.patch(&key.path(), &json!({"scopes": "admin"})).await.refused(403, "insufficient_scope");
}

#[tokio::test]
async fn a_key_cannot_extend_its_own_expiry() {
    let Fixture { server, admin, .. } = fixture().await;
    let end = timestamp_from_now(&server, TimeDelta::days(10));
    let key = admin.create_with(&json!({"name": "Admin", "scopes": "admin", "expiresAt": end})).await;
    let itself = admin.with_key(&key.secret);
    let before = state(&admin, &key.path()).await;
    for later in [json!(timestamp_from_now(&server, TimeDelta::days(11))), Value::Null] {
        let reply = itself.patch(&key.path(), &json!({"name": "New", "expiresAt": later})).await;
        reply.refused(403, "insufficient_scope");
    }
    assert_eq!(state(&admin, &key.path()).await, before);
    for end in [end, timestamp_from_now(&server, TimeDelta::days(9))] {
        let changed = itself.patch(&key.path(), &json!({"expiresAt": end})).await.expect(200);
        assert_eq!(changed["expiresAt"], end, "the same or an earlier expiry was not stored");
    }
}

#[tokio::test]
async fn a_key_cannot_extend_another_key_beyond_its_own_expiry() {
    let Fixture { server, admin, .. } = fixture().await;
    let own_end = timestamp_from_now(&server, TimeDelta::days(10));
    let caller = admin.create_with(&json!({"name": "Admin", "scopes": "admin", "expiresAt": own_end})).await;
    let caller = admin.with_key(&caller.secret);
    let end = timestamp_from_now(&server, TimeDelta::days(5));
    let other = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    let before = state(&admin, &other.path()).await;
    for later in [json!(timestamp_from_now(&server, TimeDelta::days(11))), Value::Null] {
        let reply = caller.patch(&other.path(), &json!({"expiresAt": later})).await;
        reply.refused(403, "insufficient_scope");
    }
    assert_eq!(state(&admin, &other.path()).await, before);
    for end in [timestamp_from_now(&server, TimeDelta::days(9)), own_end] {
        let changed = caller.patch(&other.path(), &json!({"expiresAt": end})).await.expect(200);
        assert_eq!(changed["expiresAt"], end);
    }
}

#[tokio::test]
async fn a_key_with_an_expiry_may_rename_a_key_without_one() {
    let Fixture { server, admin, .. } = fixture().await;
    let end = timestamp_from_now(&server, TimeDelta::days(10));
    let caller = admin.create_with(&json!({"name": "Admin", "scopes": "admin", "expiresAt": end})).await;
    let endless = admin.create("Zapier Sync", "read").await;
    let changed = admin.with_key(&caller.secret).patch(&endless.path(), &json!({"name": "New"})).await.expect(200);
    assert_eq!((&changed["name"], &changed["expiresAt"]), (&json!("New"), &Value::Null));
    let events = updates(&server, &endless).await;
    assert_eq!(events[0]["actor"], format!("api-key:{}", caller.id));
}

/// The calling key expires while the request waits for the lock on that key's row.
#[tokio::test]
async fn a_patch_is_refused_if_the_calling_key_expires_while_it_waits_for_a_lock() {
    let Fixture { server, admin, .. } = fixture().await;
    let key = admin.create("n", "read").await;
    let end = timestamp_from_now(&server, TimeDelta::minutes(10));
    let caller = admin.create_with(&json!({"name": "Admin", "scopes": "admin", "expiresAt": end})).await;
    let mut other = server.database.connect().await;
    let lock = format!("BEGIN; SELECT FROM api_keys WHERE id = '{}' FOR UPDATE", caller.id);
    other.execute(AssertSqlSafe(lock)).await.unwrap();
    let caller = admin.with_key(&caller.secret);
    let (path, rename) = (key.path(), json!({"name": "renamed"}));
    let meanwhile = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        server.clock.turn(TimeDelta::minutes(11));
        other.execute("COMMIT").await.unwrap();
    };
    let (renamed, ()) = tokio::join!(caller.patch(&path, &rename), meanwhile);
    renamed.refused(401, "key_expired");
    assert_eq!(admin.get(&path).await.expect(200)["name"], "n");
}
