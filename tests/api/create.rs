//! `POST /api/v1/api-keys`

use std::{collections::HashSet, time::Duration};

use chrono::{SubsecRound as _, TimeDelta};
use rally_api_keys::domain::format_timestamp;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    client::{Client, PATH, Reply, send},
    harness::TestServer,
};

const LIMIT: usize = 16 * 1024;

/// Properties that responses contain and requests must not.
const READ_ONLY: [&str; 12] = [
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
];

async fn post_text(client: &Client, body: impl Into<Body>) -> Reply {
    send(client.request(Method::POST, PATH).header("content-type", "application/json").body(body)).await
}

async fn post_as(client: &Client, content_type: &str) -> Reply {
    send(client.request(Method::POST, PATH).header("content-type", content_type).body(r#"{"name": "Zapier Sync"}"#))
        .await
}

/// The time at that offset from the server's clock, in whole seconds.
fn timestamp_from_now(server: &TestServer, from_now: TimeDelta) -> String {
    format_timestamp((server.clock.now() + from_now).trunc_subsecs(0))
}

async fn row_counts(server: &TestServer) -> [i64; 3] {
    [
        server.database.count("SELECT count(*) FROM api_keys").await,
        server.database.count("SELECT count(*) FROM api_key_secrets").await,
        server.database.count("SELECT count(*) FROM api_key_events").await,
    ]
}

/// Asserts that each of these values is refused with the property's name, and that no row is inserted.
async fn assert_values_refused(property: &str, values: &[Value]) {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for value in values {
        let mut body = json!({"name": "Zapier Sync"});
        body[property] = value.clone();
        assert_eq!(admin.post(PATH, &body).await.bad_fields(), [property], "{value:?}");
    }
    assert_eq!(row_counts(&server).await, [0, 0, 0]);
}

/// Asserts that each of these bodies is refused as `invalid_json` with the position, and that no row is inserted.
async fn assert_invalid_json(bodies: Vec<Vec<u8>>) {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for body in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let reply = post_text(&admin, body).await;
        assert_eq!(reply.status, 400, "{shown}: {reply:?}");
        let problem = reply.refused(400, "invalid_json");
        let message = problem["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(" at line 1, column "), "{shown}: {message}");
    }
    assert_eq!(row_counts(&server).await, [0, 0, 0]);
}

// ---- Accepted requests

#[tokio::test]
async fn a_name_alone_creates_a_read_key_without_expiry() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let reply = admin.post(PATH, &json!({"name": "Zapier Sync"})).await;
    let created = reply.expect(201);
    assert_eq!(created["scopes"], "read");
    assert_eq!(created["expiresAt"], Value::Null);
    assert!(reply.body.contains(r#""expiresAt":null"#), "`expiresAt` is missing or not null");
}

#[tokio::test]
async fn a_null_expiry_creates_a_key_that_never_expires() {
    let server = TestServer::start().await;
    let created = server.admin("acme").post(PATH, &json!({"name": "Zapier Sync", "expiresAt": null})).await.expect(201);
    assert_eq!(created["expiresAt"], Value::Null);
}

#[tokio::test]
async fn the_location_header_points_to_the_created_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let reply = admin.post(PATH, &json!({"name": "Zapier Sync", "scopes": "read,write"})).await;
    let created = reply.expect(201);
    let key = admin.get(reply.header("location")).await.expect(200);
    for property in ["id", "keyPrefix", "keyHint", "name", "scopes", "expiresAt", "createdAt"] {
        assert_eq!(key[property], created[property], "{property}");
    }
}

#[tokio::test]
async fn a_created_secret_is_accepted_at_the_next_request() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    assert_eq!(admin.with_key(&key.secret).get(&format!("{PATH}/self")).await.expect(200)["id"], key.id);
}

#[tokio::test]
async fn scopes_are_returned_in_canonical_form() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for (sent, returned) in [
        ("write , read,write", "read,write"),
        ("admin,write,read", "read,write,admin"),
        (" admin ", "admin"),
        ("write", "write"),
    ] {
        let reply = admin.post(PATH, &json!({"name": "Zapier Sync", "scopes": sent})).await;
        assert_eq!(reply.expect(201)["scopes"], returned, "{sent:?}");
        assert_eq!(admin.get(reply.header("location")).await.expect(200)["scopes"], returned, "{sent:?}");
    }
}

#[tokio::test]
async fn names_are_trimmed_and_otherwise_stored_unchanged() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let longest = "🔑".repeat(100);
    for (sent, kept) in [
        ("  Zapier Sync \t", "Zapier Sync"),
        (longest.as_str(), longest.as_str()),
        (&format!("   {longest}   "), longest.as_str()),
        ("x", "x"),
        ("'; DROP TABLE api_keys; --", "'; DROP TABLE api_keys; --"),
        (r#"<b>"\u0000"</b>"#, r#"<b>"\u0000"</b>"#),
        ("Größe 日本語 עברית", "Größe 日本語 עברית"),
    ] {
        let reply = admin.post(PATH, &json!({"name": sent})).await;
        assert_eq!(reply.expect(201)["name"], kept);
        assert_eq!(admin.get(reply.header("location")).await.expect(200)["name"], kept);
    }
}

#[tokio::test]
async fn two_keys_of_the_same_name_are_both_created() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (one, other) = (admin.create("Zapier Sync", "read").await, admin.create("Zapier Sync", "read").await);
    assert_ne!(one.id, other.id);
    assert_ne!(one.secret, other.secret);
}

#[tokio::test]
async fn expiry_times_are_returned_in_utc() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for (sent, returned) in [
        ("2099-01-01T02:00:00+02:00", "2099-01-01T00:00:00Z"),
        ("2098-12-31T18:30:00-05:30", "2099-01-01T00:00:00Z"),
        ("2099-01-01T00:00:00.250+00:00", "2099-01-01T00:00:00.250Z"),
        ("2099-01-01T00:00:00.000Z", "2099-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ] {
        let reply = admin.post(PATH, &json!({"name": "Zapier Sync", "expiresAt": sent})).await;
        assert_eq!(reply.expect(201)["expiresAt"], returned, "{sent}");
        assert_eq!(admin.get(reply.header("location")).await.expect(200)["expiresAt"], returned, "{sent}");
    }
}

#[tokio::test]
async fn a_creation_is_recorded_in_the_audit_trail() {
    let server = TestServer::start().await;
    let request = server.admin("acme").request(Method::POST, PATH).header("x-request-id", "create-7");
    let body = json!({"name": "Zapier Sync", "scopes": "write,read", "expiresAt": "2099-01-01T00:00:00Z"});
    let created = send(request.json(&body)).await.expect(201);
    let events = server
        .database
        .rows(
            "SELECT kind, key_id, tenant_id, actor, host(address) AS address, request_id, details FROM api_key_events",
        )
        .await;
    assert_eq!(
        events,
        [json!({
            "kind": "created",
            "key_id": created["id"],
            "tenant_id": server.database.acme.to_string(),
            "actor": "admin@acme.com",
            "address": "127.0.0.1",
            "request_id": "create-7",
            "details": {
                "actorSubject": "42",
                "name": "Zapier Sync",
                "keyHint": created["keyHint"],
                "scopes": "read,write",
                "expiresAt": "2099-01-01T00:00:00Z",
                "allowedAddresses": [],
                "rateLimit": null,
                "quota": null,
            },
        })]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_concurrent_creations_make_two_hundred_distinct_keys() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut tasks = JoinSet::new();
    for n in 0..200 {
        let admin = admin.clone();
        tasks.spawn(async move {
            loop {
                let reply = admin.post(PATH, &json!({"name": format!("Key {n}")})).await;
                // On a slow machine, more requests than the argon2 queue holds.
                if reply.status != 503 {
                    return reply;
                }
                reply.refused(503, "busy");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    let (mut ids, mut secrets) = (HashSet::new(), HashSet::new());
    for reply in tasks.join_all().await {
        let created = reply.expect(201);
        ids.insert(created["id"].as_str().unwrap().to_owned());
        secrets.insert(created["key"].as_str().unwrap().to_owned());
    }
    assert_eq!((ids.len(), secrets.len()), (200, 200));
    assert_eq!(row_counts(&server).await, [200, 200, 200]);
    let sample = secrets.iter().next().unwrap();
    admin.with_key(sample).get(PATH).await.expect(200);
}

// ---- Invalid fields

#[tokio::test]
async fn a_missing_name_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    assert_eq!(admin.post(PATH, &json!({})).await.bad_fields(), ["name"]);
    assert_eq!(admin.post(PATH, &json!({"scopes": "read"})).await.bad_fields(), ["name"]);
    assert_eq!(row_counts(&server).await, [0, 0, 0]);
}

#[tokio::test]
async fn invalid_names_are_refused() {
    let too_long = "🔑".repeat(101);
    let texts = ["", "   ", "\t\n", too_long.as_str(), "a\0b", "\0", "a\nb", "a\u{1b}[31mb", "a\u{7f}b", "a\u{9f}b"];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend([json!(7), json!(true), Value::Null, json!(["Zapier Sync"]), json!({"name": "Zapier Sync"})]);
    assert_values_refused("name", &values).await;
}

#[tokio::test]
async fn every_control_character_inside_a_name_is_refused() {
    let controls = (0..=0x1f_u8).chain(0x7f..=0x9f).map(char::from);
    assert_values_refused("name", &controls.map(|c| json!(format!("a{c}b"))).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn invalid_scopes_are_refused() {
    let texts =
        ["", "  ", ",", "read,", ",read", "read,,write", "READ", "Read", "delete", "read,delete", "read write", "*"];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend([Value::Null, json!(["read"]), json!(7), json!(true), json!({"read": true}), json!("read\0")]);
    assert_values_refused("scopes", &values).await;
}

#[tokio::test]
async fn invalid_expiry_times_are_refused() {
    let texts = [
        "",
        "never",
        "tomorrow",
        "2020-01-01T00:00:00Z",
        "2099-01-01T00:00:00",
        "2099-01-01",
        "2099-02-30T00:00:00Z",
        "2099-01-01T24:00:00Z",
        "2099-01-01T00:00:00 Z",
        "0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "+10000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "4102444800",
    ];
    let mut values: Vec<Value> = texts.map(Value::from).into();
    values.extend([json!(4_102_444_800_u64), json!(true), json!(["2099-01-01T00:00:00Z"]), json!({})]);
    assert_values_refused("expiresAt", &values).await;
}

#[tokio::test]
async fn an_expiry_at_the_current_time_is_refused() {
    let server = TestServer::start().await;
    let body = json!({"name": "Zapier Sync", "expiresAt": format_timestamp(server.clock.now())});
    assert_eq!(server.admin("acme").post(PATH, &body).await.bad_fields(), ["expiresAt"]);
    assert_eq!(row_counts(&server).await, [0, 0, 0]);
}

/// The key may expire while its secret is hashed. The slow argon2 parameters make that likely.
#[tokio::test]
async fn an_expiry_that_passes_during_the_request_causes_no_server_error() {
    let server = TestServer::with(&[("ARGON2_MEMORY_KIB", "131072"), ("ARGON2_ITERATIONS", "4")]).await;
    let admin = server.admin("acme");
    admin.create("opens the connections", "read").await;
    for milliseconds in [30, 60, 120] {
        let end = format_timestamp(server.clock.now() + TimeDelta::milliseconds(milliseconds));
        let reply = admin.post(PATH, &json!({"name": "Zapier Sync", "expiresAt": end})).await;
        match reply.status.as_u16() {
            201 => assert_eq!(reply.expect(201)["expiresAt"], end),
            _ => assert_eq!(reply.bad_fields(), ["expiresAt"]),
        }
    }
}

#[tokio::test]
async fn unknown_properties_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for property in ["colour", "expires_at", "scope", "Scopes", "tenantId", "", "__proto__"] {
        let mut body = json!({"name": "Zapier Sync"});
        body[property] = json!("x");
        assert_eq!(admin.post(PATH, &body).await.bad_fields(), [property]);
    }
    assert_eq!(admin.post(PATH, &json!({"Name": "Zapier Sync"})).await.bad_fields(), ["Name", "name"]);
    assert_eq!(row_counts(&server).await, [0, 0, 0]);
}

#[tokio::test]
async fn read_only_properties_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for property in READ_ONLY {
        for value in [json!("x"), Value::Null] {
            let mut body = json!({"name": "Zapier Sync"});
            body[property] = value;
            assert_eq!(admin.post(PATH, &body).await.bad_fields(), [property]);
        }
    }
    assert_eq!(row_counts(&server).await, [0, 0, 0]);
}

#[tokio::test]
async fn all_invalid_fields_are_named_in_one_response() {
    let server = TestServer::start().await;
    let body = json!({"name": "", "scopes": "root", "expiresAt": "2020-01-01T00:00:00Z", "id": 1, "colour": "red"});
    let fields = server.admin("acme").post(PATH, &body).await.bad_fields();
    assert_eq!(fields, ["colour", "expiresAt", "id", "name", "scopes"]);
}

#[tokio::test]
async fn duplicate_members_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for (body, field) in [
        (r#"{"name": "a", "name": "b"}"#, "name"),
        (r#"{"name": "a", "name": "a"}"#, "name"),
        (r#"{"name": "a", "n\u0061me": "b"}"#, "name"),
        (r#"{"name": "a", "scopes": "read", "scopes": "admin"}"#, "scopes"),
        (r#"{"name": "a", "expiresAt": "2099-01-01T00:00:00Z", "expiresAt": null}"#, "expiresAt"),
    ] {
        let mut fields = post_text(&admin, body).await.bad_fields();
        fields.dedup();
        assert_eq!(fields, [field], "{body}");
    }
    assert_eq!(row_counts(&server).await, [0, 0, 0]);
}

// ---- Invalid bodies

#[tokio::test]
async fn malformed_json_is_refused() {
    let texts: [&[u8]; 14] = [
        b"",
        b"   ",
        br#"{"name": "Zapier Sync""#,
        br#"{"name": "Zapier Sy"#,
        br#"{"name": "Zapier Sync"} x"#,
        br#"{"name": "Zapier Sync"}{"name": "Zapier Sync"}"#,
        br#"{"name": "Zapier Sync",}"#,
        br"{'name': 'Zapier Sync'}",
        br#"{"name": "Zapier Sync"} // a comment"#,
        b"\xef\xbb\xbf{\"name\": \"Zapier Sync\"}",
        b"{\"name\": \"Zapier \xff Sync\"}",
        br#"{"name": "Zapier \ud800 Sync"}"#,
        b"{\"name\": \"Zapier \n Sync\"}",
        b"name=Zapier+Sync",
    ];
    assert_invalid_json(texts.map(<[u8]>::to_vec).into()).await;
}

#[tokio::test]
async fn json_other_than_an_object_is_refused() {
    let texts = [r#"[{"name": "Zapier Sync"}]"#, r#""Zapier Sync""#, "7", "true", "null", "[]"];
    assert_invalid_json(texts.map(|text| text.as_bytes().to_vec()).into()).await;
}

#[tokio::test]
async fn deeply_nested_json_is_refused() {
    let nested = |open: &str, depth: usize, close: &str| {
        format!(r#"{{"name": {}{}}}"#, open.repeat(depth), close.repeat(depth)).into_bytes()
    };
    assert_invalid_json(vec![
        nested("[", 10_000, ""),
        "[".repeat(10_000).into_bytes(),
        nested("[", 8_000, "]"),
        nested(r#"{"a":"#, 2_500, ""),
    ])
    .await;
}

#[tokio::test]
async fn a_body_over_sixteen_kibibytes_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let body = |length: usize| format!("{:<length$}", r#"{"name": "Zapier Sync"}"#);
    assert_eq!(post_text(&admin, body(LIMIT)).await.expect(201)["name"], "Zapier Sync");
    post_text(&admin, body(LIMIT + 1)).await.refused(413, "body_too_large");
    let huge = body(LIMIT) + &" ".repeat(1 << 20);
    post_text(&admin, huge).await.refused(413, "body_too_large");
    assert_eq!(row_counts(&server).await, [1, 1, 1]);
}

#[tokio::test]
async fn a_chunked_body_over_sixteen_kibibytes_is_refused() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("Admin", "admin").await;
    let chunked = |length: usize| {
        let body = format!("{:<length$}", r#"{"name": "Zapier Sync"}"#);
        let (first, rest) = body.split_at(1000);
        format!(
            "POST {PATH} HTTP/1.1\r\nHost: acme.localhost\r\nX-Api-Key: {}\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n",
            key.secret,
            first.len(),
            rest.len(),
        )
    };
    let response = server.raw(chunked(LIMIT)).await;
    assert!(response.starts_with("HTTP/1.1 201 "), "{response}");
    let response = server.raw(chunked(LIMIT + 1)).await;
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    assert!(response.contains(r#""code":"body_too_large""#), "{response}");
    assert_eq!(row_counts(&server).await, [2, 2, 2]);
}

#[tokio::test]
async fn a_body_without_a_json_content_type_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let without_content_type = admin.request(Method::POST, PATH).body(r#"{"name": "Zapier Sync"}"#);
    send(without_content_type).await.refused(415, "unsupported_media_type");
    send(admin.request(Method::POST, PATH)).await.refused(415, "unsupported_media_type");
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonp",
        "application/merge-patch+json",
        "text/plain; application/json",
    ] {
        post_as(&admin, content_type).await.refused(415, "unsupported_media_type");
    }
    assert_eq!(row_counts(&server).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_json_content_type_is_accepted_in_any_case_and_with_parameters() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for content_type in [
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        "application/json ;v=1",
    ] {
        post_as(&admin, content_type).await.expect(201);
    }
}

/// Clients display and log error responses, so that these must not contain a secret.
#[tokio::test]
async fn a_secret_in_the_body_is_not_repeated_in_the_error() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let secret = admin.create("Zapier Sync", "read").await.secret;
    for body in [
        format!(r#""{secret}""#),
        format!(r#"{{"name": "x", "{secret}": 1}}"#),
        format!(r#"{{"name": "x", "scopes": "{secret}"}}"#),
        format!(r#"{{"name": "x", "expiresAt": "{secret}"}}"#),
        format!(r#"{{"name": "x", "key": "{secret}"}}"#),
        secret.clone(),
    ] {
        let reply = post_text(&admin, body.clone()).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(!reply.body.contains(&secret), "{body}: {}", reply.body);
    }
}

// ---- Authorization

#[tokio::test]
async fn a_creation_without_the_admin_scope_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut callers = vec![server.user("acme", "read"), server.user("acme", "read write"), server.user("acme", "")];
    for scopes in ["read", "write", "read,write"] {
        callers.push(admin.with_key(&admin.create("Caller", scopes).await.secret));
    }
    let before = row_counts(&server).await;
    for caller in callers {
        // The scope is checked before the body is validated, so that an invalid body gives the same response.
        for body in [json!({"name": "Zapier Sync"}), json!({"name": ""})] {
            let reply = caller.post(PATH, &body).await;
            assert_eq!(reply.refused(403, "insufficient_scope")["requiredScope"], "admin");
            assert!(reply.header("www-authenticate").contains(r#"scope="admin""#), "{reply:?}");
            assert!(reply.header("www-authenticate").contains(r#"error="insufficient_scope""#), "{reply:?}");
        }
    }
    assert_eq!(row_counts(&server).await, before);
}

#[tokio::test]
async fn a_key_with_only_the_admin_scope_may_grant_every_scope() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let caller = admin.with_key(&admin.create("Admin", "admin").await.secret);
    let created = caller.post(PATH, &json!({"name": "Zapier Sync", "scopes": "read,write,admin"})).await.expect(201);
    assert_eq!(created["scopes"], "read,write,admin");
}

#[tokio::test]
async fn a_key_created_by_another_key_names_it_as_its_creator() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let parent = admin.create("Admin", "admin").await;
    let child = admin.with_key(&parent.secret).create("Zapier Sync", "read").await;
    let creator = format!("api-key:{}", parent.id);
    assert_eq!(admin.get(&child.path()).await.expect(200)["createdBy"], creator);
    let query = format!("SELECT kind, actor FROM api_key_events WHERE key_id = '{}'", child.id);
    assert_eq!(server.database.rows(&query).await, [json!({"kind": "created", "actor": creator})]);
}

#[tokio::test]
async fn a_key_cannot_create_a_key_that_outlives_it() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let own_end = timestamp_from_now(&server, TimeDelta::days(10));
    let parent = admin.create_with(&json!({"name": "Admin", "scopes": "admin", "expiresAt": own_end})).await;
    let parent = admin.with_key(&parent.secret);
    let before = row_counts(&server).await;

    let thirty_seconds_later = timestamp_from_now(&server, TimeDelta::days(10) + TimeDelta::seconds(30));
    for later in [json!({"expiresAt": thirty_seconds_later}), json!({"expiresAt": null}), json!({})] {
        let mut body = json!({"name": "Zapier Sync"});
        body.as_object_mut().unwrap().extend(later.as_object().unwrap().clone());
        let reply = parent.post(PATH, &body).await;
        assert!(reply.refused(403, "insufficient_scope")["requiredScope"].is_string(), "{reply:?}");
    }
    assert_eq!(row_counts(&server).await, before);

    for end in [own_end, timestamp_from_now(&server, TimeDelta::days(9))] {
        let created = parent.post(PATH, &json!({"name": "Zapier Sync", "expiresAt": end})).await.expect(201);
        assert_eq!(created["expiresAt"], end);
    }
}

#[tokio::test]
async fn a_key_without_expiry_may_create_keys_without_expiry() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let parent = admin.with_key(&admin.create("Admin", "admin").await.secret);
    let created = parent.post(PATH, &json!({"name": "Zapier Sync", "expiresAt": null})).await.expect(201);
    assert_eq!(created["expiresAt"], Value::Null);
}
