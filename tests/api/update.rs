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

/// A moment that far from the server's now, in whole seconds.
fn moment(server: &TestServer, from_now: TimeDelta) -> String {
    format_timestamp((server.clock.now() + from_now).trunc_subsecs(0))
}

async fn patch_if_match(client: &Client, path: &str, if_match: &str, body: &Value) -> Reply {
    send(client.request(Method::PATCH, path).header("if-match", if_match).json(body)).await
}

async fn patch_text(client: &Client, path: &str, content_type: &str, body: impl Into<Body>) -> Reply {
    send(client.request(Method::PATCH, path).header("content-type", content_type).body(body)).await
}

/// A key's JSON and its tag: all that can be seen of it.
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

/// A server with a key: "Zapier Sync", read,write, until 2099.
async fn fixture() -> Fixture {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let body = json!({"name": "Zapier Sync", "scopes": "read,write", "expiresAt": "2099-01-01T00:00:00Z"});
    let key = admin.create_with(&body).await;
    Fixture { server, admin, key }
}

/// The patch changes that property to that value, and nothing else but the tag.
async fn changes_alone(property: &str, sent: Value, kept: Value) {
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

/// Each of these values of that property is refused by its name and changes nothing.
async fn are_refused(property: &str, values: &[Value]) {
    let Fixture { server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    for value in values {
        // Beside it something good, which must not come through either.
        let mut body = if property == "name" { json!({"scopes": "read"}) } else { json!({"name": "New"}) };
        body[property] = value.clone();
        assert_eq!(admin.patch(&key.path(), &body).await.bad_fields(), [property], "{value:?}");
    }
    assert_eq!(state(&admin, &key.path()).await, before);
    assert!(updates(&server, &key).await.is_empty());
}

// ---- What changes

#[tokio::test]
async fn a_name_changes_alone() {
    changes_alone("name", json!("  ETL Pipeline "), json!("ETL Pipeline")).await;
}

#[tokio::test]
async fn scopes_change_alone() {
    changes_alone("scopes", json!("write , admin,write"), json!("write,admin")).await;
}

#[tokio::test]
async fn an_end_changes_alone() {
    changes_alone("expiresAt", json!("2098-01-01T02:00:00+02:00"), json!("2098-01-01T00:00:00Z")).await;
}

#[tokio::test]
async fn an_end_of_null_is_never() {
    changes_alone("expiresAt", Value::Null, Value::Null).await;
}

#[tokio::test]
async fn all_change_together_and_the_trail_tells_from_what_to_what() {
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
                "name": {"from": "Zapier Sync", "to": "ETL"},
                "scopes": {"from": "read,write", "to": "read"},
                "expiresAt": {"from": "2099-01-01T00:00:00Z", "to": null},
            },
        })
    );
    assert_eq!(events[1]["details"], json!({"name": {"from": "ETL", "to": "ETL 2"}}), "only what changed");
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn what_is_as_asked_is_no_change() {
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
async fn an_upper_case_id_is_the_same_id() {
    let Fixture { server: _server, admin, key } = fixture().await;
    let path = format!("{PATH}/{}", key.id.to_uppercase());
    assert_eq!(admin.patch(&path, &json!({"name": "New"})).await.expect(200)["id"], key.id);
    assert_eq!(admin.get(&key.path()).await.expect(200)["name"], "New");
}

#[tokio::test]
async fn merge_patches_are_welcome_by_their_own_type() {
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
async fn narrowed_scopes_bind_the_next_request() {
    let Fixture { server: _server, admin, .. } = fixture().await;
    let key = admin.create("Admin", "admin").await;
    let narrowed = admin.with_key(&key.secret);
    narrowed.create("while it may", "read").await;
    for scopes in ["write", "read"] {
        admin.patch(&key.path(), &json!({"scopes": scopes})).await.expect(200);
        narrowed.post(PATH, &json!({"name": "Zapier Sync"})).await.refused(403, "insufficient_scope");
        narrowed.get(PATH).await.expect(200);
    }
    admin.patch(&key.path(), &json!({"scopes": "admin"})).await.expect(200);
    narrowed.create("again", "read").await;
}

#[tokio::test]
async fn an_extended_key_comes_back() {
    let Fixture { server, admin, .. } = fixture().await;
    let end = moment(&server, TimeDelta::minutes(10));
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    let itself = admin.with_key(&key.secret);
    for new_end in [json!(moment(&server, TimeDelta::minutes(30))), Value::Null] {
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
async fn an_expired_key_can_be_renamed_and_stays_expired() {
    let Fixture { server, admin, .. } = fixture().await;
    let end = moment(&server, TimeDelta::minutes(10));
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    server.clock.turn(TimeDelta::minutes(11));
    let changed = admin.patch(&key.path(), &json!({"name": "Old", "scopes": "read"})).await.expect(200);
    assert_eq!((&changed["name"], &changed["status"]), (&json!("Old"), &json!("expired")));
    admin.with_key(&key.secret).get(PATH).await.refused(401, "key_expired");
}

// ---- What is refused

#[tokio::test]
async fn bad_names_change_nothing() {
    let too_long = "🔑".repeat(101);
    let mut values: Vec<Value> = ["", "  ", too_long.as_str(), "a\0b", "a\nb", "a\u{85}b"].map(Value::from).into();
    values.extend([Value::Null, json!(7), json!({}), json!(["x"])]);
    are_refused("name", &values).await;
}

#[tokio::test]
async fn bad_scopes_change_nothing() {
    let mut values: Vec<Value> = ["", " ", "READ", "read,", "delete"].map(Value::from).into();
    values.extend([Value::Null, json!(["read"]), json!(7), json!({"add": "admin"})]);
    are_refused("scopes", &values).await;
}

#[tokio::test]
async fn bad_ends_change_nothing() {
    let texts = ["", "2020-01-01T00:00:00Z", "2099-01-01", "2099-01-01T00:00:00", "9999-12-31T23:59:59-01:00"];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend([json!(4_102_444_800_u64), json!(false), json!([])]);
    are_refused("expiresAt", &values).await;
}

#[tokio::test]
async fn other_properties_are_refused() {
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
        "colour",
        "version",
    ] {
        // Neither a new value, nor null, nor the very value that the key shows.
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
async fn all_bad_fields_are_named_at_once() {
    let Fixture { server: _server, admin, key } = fixture().await;
    let body = json!({"name": null, "scopes": "", "expiresAt": 1, "isActive": true, "colour": "red"});
    let fields = admin.patch(&key.path(), &body).await.bad_fields();
    assert_eq!(fields, ["colour", "expiresAt", "isActive", "name", "scopes"]);
}

#[tokio::test]
async fn bad_bodies_change_nothing() {
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
async fn unknown_and_anothers_keys_are_not_found() {
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
async fn a_revoked_key_does_not_change() {
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

/// As between two instances, one of which is ahead of the other.
#[tokio::test]
async fn an_end_before_the_keys_creation_is_no_defect() {
    let Fixture { server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    server.clock.turn(TimeDelta::minutes(-2));
    let end = moment(&server, TimeDelta::minutes(1));
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
async fn if_match_lets_the_right_state_through() {
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
async fn if_match_stops_every_other_state() {
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
async fn of_ten_at_once_on_the_same_state_one_wins() {
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
async fn patches_at_once_of_different_properties_all_count() {
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

// ---- Who may

#[tokio::test]
async fn it_needs_admin() {
    let Fixture { server, admin, key } = fixture().await;
    let before = state(&admin, &key.path()).await;
    let mut callers = vec![server.user("acme", "read"), server.user("acme", "write"), server.user("acme", "")];
    for scopes in ["read", "write"] {
        callers.push(admin.with_key(&admin.create("Caller", scopes).await.secret));
    }
    callers.push(admin.with_key(&key.secret)); // nor itself
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
async fn no_key_widens_itself() {
    let Fixture { server: _server, admin, .. } = fixture().await;
    for scopes in ["read", "write", "read,write"] {
        let key = admin.create("Zapier Sync", scopes).await;
        let reply = admin.with_key(&key.secret).patch(&key.path(), &json!({"scopes": "admin"})).await;
        reply.refused(403, "insufficient_scope");
        assert_eq!(admin.get(&key.path()).await.expect(200)["scopes"], scopes);
    }
}

#[tokio::test]
async fn a_key_may_narrow_itself_and_not_come_back() {
    let Fixture { server: _server, admin, .. } = fixture().await;
    let key = admin.create("Admin", "admin").await;
    let itself = admin.with_key(&key.secret);
    assert_eq!(itself.patch(&key.path(), &json!({"scopes": "read"})).await.expect(200)["scopes"], "read");
    itself.patch(&key.path(), &json!({"scopes": "admin"})).await.refused(403, "insufficient_scope");
}

#[tokio::test]
async fn no_key_extends_itself() {
    let Fixture { server, admin, .. } = fixture().await;
    let end = moment(&server, TimeDelta::days(10));
    let key = admin.create_with(&json!({"name": "Admin", "scopes": "admin", "expiresAt": end})).await;
    let itself = admin.with_key(&key.secret);
    let before = state(&admin, &key.path()).await;
    for later in [json!(moment(&server, TimeDelta::days(11))), Value::Null] {
        let reply = itself.patch(&key.path(), &json!({"name": "New", "expiresAt": later})).await;
        reply.refused(403, "insufficient_scope");
    }
    assert_eq!(state(&admin, &key.path()).await, before);
    for end in [end, moment(&server, TimeDelta::days(9))] {
        let changed = itself.patch(&key.path(), &json!({"expiresAt": end})).await.expect(200);
        assert_eq!(changed["expiresAt"], end, "the same or earlier is no extension");
    }
}

#[tokio::test]
async fn no_key_makes_another_outlive_it() {
    let Fixture { server, admin, .. } = fixture().await;
    let own_end = moment(&server, TimeDelta::days(10));
    let caller = admin.create_with(&json!({"name": "Admin", "scopes": "admin", "expiresAt": own_end})).await;
    let caller = admin.with_key(&caller.secret);
    let end = moment(&server, TimeDelta::days(5));
    let other = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    let before = state(&admin, &other.path()).await;
    for later in [json!(moment(&server, TimeDelta::days(11))), Value::Null] {
        let reply = caller.patch(&other.path(), &json!({"expiresAt": later})).await;
        reply.refused(403, "insufficient_scope");
    }
    assert_eq!(state(&admin, &other.path()).await, before);
    for end in [moment(&server, TimeDelta::days(9)), own_end] {
        let changed = caller.patch(&other.path(), &json!({"expiresAt": end})).await.expect(200);
        assert_eq!(changed["expiresAt"], end);
    }
}

#[tokio::test]
async fn a_key_with_an_end_may_edit_a_key_without_one() {
    let Fixture { server, admin, .. } = fixture().await;
    let end = moment(&server, TimeDelta::days(10));
    let caller = admin.create_with(&json!({"name": "Admin", "scopes": "admin", "expiresAt": end})).await;
    let endless = admin.create("Zapier Sync", "read").await;
    let changed = admin.with_key(&caller.secret).patch(&endless.path(), &json!({"name": "New"})).await.expect(200);
    assert_eq!((&changed["name"], &changed["expiresAt"]), (&json!("New"), &Value::Null));
    let events = updates(&server, &endless).await;
    assert_eq!(events[0]["actor"], format!("api-key:{}", caller.id));
}

/// The key's own end passes while the call waits for the key's row.
#[tokio::test]
async fn a_calling_key_that_expires_while_it_waits_changes_nothing() {
    let Fixture { server, admin, .. } = fixture().await;
    let key = admin.create("n", "read").await;
    let end = moment(&server, TimeDelta::minutes(10));
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
