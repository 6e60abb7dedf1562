//! The properties that describe and limit a key: `description`, `allowedAddresses`, `rateLimit`, `quota`.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::{
    client::{Client, CreatedKey, PATH, send},
    harness::TestServer,
};

/// A value of each property, and a second one.
fn values() -> [(&'static str, Value, Value); 4] {
    [
        ("description", json!("Nightly sync\nof deals"), json!("Weekly sync")),
        ("allowedAddresses", json!(["203.0.113.0/24", "2001:db8::7"]), json!(["10.0.0.0/8"])),
        ("rateLimit", json!({"requests": 600, "windowSeconds": 60}), json!({"requests": 1, "windowSeconds": 86400})),
        (
            "quota",
            json!({"requests": 100_000, "per": "day"}),
            json!({"requests": 1_000_000_000_000_i64, "per": "month"}),
        ),
    ]
}

/// What a key has without the property.
fn absent(property: &str) -> Value {
    if property == "allowedAddresses" { json!([]) } else { Value::Null }
}

fn limited(name: &str) -> Value {
    let mut body = json!({"name": name, "scopes": "read"});
    for (property, value, _) in values() {
        body[property] = value;
    }
    body
}

/// Bad values of each property, and the field that is named.
fn bad_values() -> Vec<(&'static str, Value, &'static str)> {
    let secret = "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c";
    let long = "x".repeat(501);
    let many: Vec<_> = (0..51).map(|n| format!("10.0.0.{n}")).collect();
    let mut bad = Vec::new();
    let mut add = |property, values: Vec<(Value, &'static str)>| {
        bad.extend(values.into_iter().map(|(value, field)| (property, value, field)));
    };
    let texts = [
        json!(long),
        json!("a\tb"),
        json!("a\u{202e}b"),
        json!(format!("it was {secret}")),
        json!(7),
        json!([]),
        json!({}),
    ];
    add("description", texts.into_iter().map(|value| (value, "description")).collect());
    let lists = [json!("10.0.0.0/8"), json!(many), json!({}), json!(7), json!(false)];
    add("allowedAddresses", lists.into_iter().map(|value| (value, "allowedAddresses")).collect());
    let elements =
        [json!("10.1.2.3/8"), json!("fe80::1%eth0"), json!("localhost"), json!(""), json!(null), json!(7), json!([])];
    let second = |element| (json!(["10.0.0.0/8", element]), "allowedAddresses[1]");
    add("allowedAddresses", elements.into_iter().map(second).collect());
    let seconds = [json!(0), json!(86_401), json!(1.5), json!("60"), json!(null), json!(-1)];
    let of_window = |seconds| (json!({"requests": 1, "windowSeconds": seconds}), "rateLimit.windowSeconds");
    add("rateLimit", seconds.into_iter().map(of_window).collect());
    let requests = [json!(0), json!(1_000_001), json!(true), json!(u64::MAX)];
    let of_requests = |requests| (json!({"requests": requests, "windowSeconds": 60}), "rateLimit.requests");
    add("rateLimit", requests.into_iter().map(of_requests).collect());
    add(
        "rateLimit",
        vec![
            (json!({"requests": 1}), "rateLimit.windowSeconds"),
            (json!({"windowSeconds": 1}), "rateLimit.requests"),
            (json!({"requests": 1, "windowSeconds": 1, "burst": 1}), "rateLimit.burst"),
            (json!(7), "rateLimit"),
            (json!([]), "rateLimit"),
            (json!("600/60"), "rateLimit"),
        ],
    );
    add(
        "quota",
        vec![
            (json!({"requests": 0, "per": "day"}), "quota.requests"),
            (json!({"requests": 1_000_000_000_001_i64, "per": "day"}), "quota.requests"),
            (json!({"requests": 1, "per": "week"}), "quota.per"),
            (json!({"requests": 1, "per": null}), "quota.per"),
            (json!({"requests": 1}), "quota.per"),
            (json!({"per": "day"}), "quota.requests"),
            (json!({"requests": 1, "per": "day", "rk_live_x": 1}), "quota.[redacted]"),
            (json!(1), "quota"),
        ],
    );
    bad
}

async fn events(server: &TestServer, key: &CreatedKey, kind: &str) -> Vec<Value> {
    let query =
        format!("SELECT details FROM api_key_events WHERE key_id = '{}' AND kind = '{kind}' ORDER BY seq", key.id);
    server.database.rows(&query).await.into_iter().map(|row| row["details"].clone()).collect()
}

async fn shown(admin: &Client, key: &CreatedKey) -> Value {
    admin.get(&key.path()).await.expect(200)
}

#[tokio::test]
async fn a_key_is_created_and_shown_with_its_limits_after_the_published_properties() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let created = admin.post(PATH, &limited("Zapier Sync")).await.expect(201);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let new = "description suspendedUntil allowedAddresses rateLimit quota";
    assert_eq!(names(&created), format!("id key keyPrefix name scopes expiresAt createdAt keyHint {new}"));
    let key =
        CreatedKey { id: created["id"].as_str().unwrap().into(), secret: created["key"].as_str().unwrap().into() };
    let key_shown = shown(&admin, &key).await;
    let published = "id keyPrefix name scopes expiresAt lastUsedAt isActive createdAt createdBy";
    assert_eq!(names(&key_shown), format!("{published} keyHint revokedAt status rotation {new}"));
    for (property, value, _) in values() {
        assert_eq!((&created[property], &key_shown[property]), (&value, &value), "{property}");
    }
    assert_eq!((&created["suspendedUntil"], &key_shown["suspendedUntil"]), (&Value::Null, &Value::Null));
    assert_eq!(admin.get(PATH).await.expect(200), json!([key_shown]));
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    for (property, value, _) in values() {
        assert_eq!(rotated[property], value, "{property}");
    }
}

#[tokio::test]
async fn a_key_created_without_limits_or_with_null_has_none() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut nulls = json!({"name": "nulls", "scopes": "read"});
    for (property, ..) in values() {
        nulls[property] = Value::Null;
    }
    for body in
        [json!({"name": "bare"}), nulls, json!({"name": "empty", "description": " \n ", "allowedAddresses": []})]
    {
        let key = admin.create_with(&body).await;
        let shown = shown(&admin, &key).await;
        for (property, ..) in values() {
            assert_eq!(shown[property], absent(property), "{body}");
        }
    }
}

#[tokio::test]
async fn addresses_and_descriptions_are_returned_in_one_form() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin
        .create_with(&json!({
            "name": "Zapier Sync",
            "description": " one\r\ntwo ",
            "allowedAddresses": ["2001:DB8:0::/32", "::ffff:10.0.0.0/104", "203.0.113.7/32", "203.0.113.7", "::/0"],
        }))
        .await;
    let shown = shown(&admin, &key).await;
    assert_eq!(shown["description"], "one\ntwo");
    assert_eq!(shown["allowedAddresses"], json!(["2001:db8::/32", "10.0.0.0/8", "203.0.113.7", "::/0"]));
}

#[tokio::test]
async fn fifty_blocks_are_accepted() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let blocks: Vec<_> = (0..50).map(|n| format!("2001:db8:ffff:ffff:ffff:ffff:ffff:{n:04x}/128")).collect();
    let key = admin.create_with(&json!({"name": "Zapier Sync", "allowedAddresses": blocks})).await;
    assert_eq!(shown(&admin, &key).await["allowedAddresses"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn bad_limits_are_refused_by_name_on_create_and_change_nothing_on_update() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create_with(&limited("Zapier Sync")).await;
    let before = shown(&admin, &key).await;
    for (property, value, field) in bad_values() {
        let mut body = json!({"name": "New"});
        body[property] = value;
        let created = admin.post(PATH, &body).await;
        let patched = admin.patch(&key.path(), &body).await;
        for reply in [created, patched] {
            assert_eq!(reply.bad_fields(), [field], "{body}");
            assert!(!reply.body.contains("7f3a9b2c"), "{reply:?}");
        }
    }
    assert_eq!(shown(&admin, &key).await, before);
    assert_eq!(admin.get(PATH).await.expect(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn all_bad_limits_are_named_in_one_response() {
    let server = TestServer::start().await;
    let body = json!({
        "description": 1,
        "allowedAddresses": ["x", "10.0.0.1", "y"],
        "rateLimit": {"requests": 0},
        "quota": {"per": "year", "more": 1},
    });
    let mut expected = [
        "allowedAddresses[0]",
        "allowedAddresses[2]",
        "description",
        "name",
        "quota.more",
        "quota.per",
        "quota.requests",
        "rateLimit.requests",
        "rateLimit.windowSeconds",
    ];
    expected.sort_unstable();
    assert_eq!(server.admin("acme").post(PATH, &body).await.bad_fields(), expected);
}

#[tokio::test]
async fn a_member_that_appears_twice_in_a_limit_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let before = shown(&admin, &key).await;
    let limit = r#"{"requests": 1, "windowSeconds": 60, "requests": 1000000}"#;
    let quota = r#"{"per": "day", "requests": 1, "per": "day"}"#;
    let limits = format!(r#"{{"name": "n", "rateLimit": {limit}, "quota": {quota}}}"#);
    let policy = format!(r#"{{"defaultRateLimit": {limit}}}"#);
    for (method, path, body, expected) in [
        (Method::POST, PATH.to_owned(), &limits, vec!["quota.per", "rateLimit.requests"]),
        (Method::PATCH, key.path(), &limits, vec!["quota.per", "rateLimit.requests"]),
        (Method::PUT, format!("{PATH}/policy"), &policy, vec!["defaultRateLimit.requests"]),
    ] {
        let request = admin.request(method, &path).header("content-type", "application/json").body(body.clone());
        let reply = send(request).await;
        assert_eq!(reply.bad_fields(), expected, "{path}");
        assert!(reply.body.contains("must appear only once"), "{reply:?}");
    }
    assert_eq!(shown(&admin, &key).await, before);
    assert_eq!(admin.get(PATH).await.expect(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_patch_changes_removes_or_keeps_each_limit_and_is_recorded() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for (property, first, second) in values() {
        let key = admin.create_with(&limited("Zapier Sync")).await;
        let before = shown(&admin, &key).await;
        // Unchanged, whether absent or repeated.
        let mut repeated = json!({});
        repeated[property] = first.clone();
        for body in [json!({}), repeated] {
            assert_eq!(admin.patch(&key.path(), &body).await.expect(200), before, "{body}");
        }
        assert!(events(&server, &key, "updated").await.is_empty(), "{property}");
        let mut expected = before;
        let mut previous = first;
        for value in [second, absent(property)] {
            let mut body = json!({});
            body[property] = if value == json!([]) { Value::Null } else { value.clone() };
            expected[property] = value.clone();
            assert_eq!(admin.patch(&key.path(), &body).await.expect(200), expected, "{body}");
            assert_eq!(shown(&admin, &key).await, expected, "{body}");
            let mut details = json!({"actorSubject": "42"});
            details[property] = json!({"from": previous, "to": value});
            assert_eq!(events(&server, &key, "updated").await.last(), Some(&details));
            previous = value;
        }
    }
}

#[tokio::test]
async fn the_creation_and_the_revocation_of_a_key_record_its_limits() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create_with(&limited("Zapier Sync")).await;
    admin.delete(&key.path()).await.expect(204);
    for kind in ["created", "revoked"] {
        let [details] = &events(&server, &key, kind).await[..] else { panic!("one event") };
        for (property, value, _) in values().into_iter().filter(|(property, ..)| *property != "description") {
            assert_eq!(details[property], value, "{kind}");
        }
    }
}

/// Whoever writes to the table by other means.
#[tokio::test]
async fn the_table_refuses_limits_that_the_api_refuses() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    let mut connection = server.database.connect().await;
    for (assignment, is_accepted) in [
        ("description = 'one' || chr(10) || 'two'", true),
        ("description = ''", false),
        ("description = 'a' || chr(9)", false),
        ("description = repeat('x', 501)", false),
        ("allowed_addresses = '{10.0.0.0/8,::/0}'", true),
        ("allowed_addresses = '{NULL}'", false),
        ("allowed_addresses = '{{10.0.0.0/8},{::/0}}'", false),
        ("allowed_addresses = array_fill('10.0.0.0/8'::cidr, ARRAY[51])", false),
        ("rate_limit_requests = 1, rate_limit_window_seconds = 1", true),
        ("rate_limit_requests = 1, rate_limit_window_seconds = NULL", false),
        ("rate_limit_requests = 1000001, rate_limit_window_seconds = 1", false),
        ("rate_limit_requests = 1, rate_limit_window_seconds = 86401", false),
        ("quota_requests = 1, quota_period = 'day'", true),
        ("quota_requests = 1, quota_period = 'year'", false),
        ("quota_requests = 0, quota_period = 'day'", false),
        ("quota_requests = NULL, quota_period = 'day'", false),
        ("suspended_at = now(), suspended_until = now() + interval '1 hour', suspension_reason = 'why'", true),
        ("suspended_at = now(), suspended_until = now()", false),
        ("suspended_at = NULL, suspended_until = now(), suspension_reason = NULL", false),
        ("suspended_at = NULL, suspended_until = NULL, suspension_reason = 'why'", false),
        ("suspended_at = now(), suspended_until = NULL, suspension_reason = repeat('x', 201)", false),
    ] {
        let update = sqlx::AssertSqlSafe(format!("UPDATE api_keys SET {assignment} WHERE id = '{}'", key.id));
        let outcome = sqlx::query(update).execute(&mut connection).await;
        assert_eq!(outcome.is_ok(), is_accepted, "{assignment}: {outcome:?}");
    }
    connection.close().await.unwrap();
}
