//! Query parameters of every call of the management API.

use reqwest::Method;
use serde_json::json;

use crate::{
    client::{PATH, send},
    harness::TestServer,
};

#[tokio::test]
async fn every_call_names_unknown_and_repeated_parameters_and_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (caller, key) = (admin.create("Caller", "admin").await, admin.create("Zapier Sync", "read").await);
    let by_key = admin.with_key(&caller.secret);
    let document = admin.get("/openapi.json").await.json();
    let events = "SELECT count(*) FROM api_key_events";
    let before = server.database.count(events).await;
    let mut calls = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        if !path.starts_with(PATH) {
            continue;
        }
        for method in item.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let ask = async |query: &str| {
                let path = path.replace("{id}", &key.id).replace("{revision}", &key.id);
                let request = by_key.request(method.clone(), &format!("{path}?{query}"));
                let has_body = [Method::POST, Method::PATCH, Method::PUT].contains(&method);
                let reply = send(if has_body { request.json(&json!({"name": "New"})) } else { request }).await;
                assert_eq!(reply.status, 400, "{method} {path}: {reply:?}");
                reply
            };
            assert_eq!(ask("unknown=1").await.bad_fields(), ["unknown"], "{method} {path}");
            assert_eq!(ask("Limit=1&expand").await.bad_fields(), ["Limit", "expand"], "{method} {path}");
            assert_eq!(ask("x=1&x=2").await.bad_fields(), ["x", "x"], "{method} {path}");
            assert_eq!(ask("limit=1&limit=%31").await.bad_fields().last().unwrap(), "limit", "{method} {path}");
            assert_eq!(ask("caf%C3%A9=%ff").await.bad_fields(), ["café"], "{method} {path}");
            assert_eq!(ask("%ff=1").await.bad_fields(), ["query"], "{method} {path}");
            let secret = ask(&caller.secret).await;
            assert_eq!(secret.bad_fields(), ["[redacted]"], "{method} {path}");
            calls += 1;
        }
    }
    assert!(calls >= 16, "{calls}");
    assert_eq!(server.database.count(events).await, before);
}

#[tokio::test]
async fn a_value_that_is_not_utf8_is_refused_and_not_replaced() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    admin.create("Replaced \u{fffd}", "read").await;
    for (query, field) in [
        ("search=%ff", "search"),
        ("search=%C3", "search"),
        ("search=a%ed%a0%80", "search"),
        ("limit=1&cursor=%80", "cursor"),
        ("status=active%fe", "status"),
    ] {
        assert_eq!(admin.get(&format!("{PATH}?{query}")).await.bad_fields(), [field], "{query}");
    }
    let found = admin.get(&format!("{PATH}?search=%EF%BF%BD")).await.expect(200);
    assert_eq!(found.as_array().unwrap().len(), 1);
    // What is no percent-encoding stands for itself, as in browsers.
    admin.create("100% Zapier", "read").await;
    let found = admin.get(&format!("{PATH}?search=100%+Z")).await.expect(200);
    assert_eq!(found.as_array().unwrap().len(), 1);
    // Bytes that are not encoded at all.
    let raw = [
        format!("GET {PATH}?search=").as_bytes(),
        b"\xff HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n",
    ]
    .concat();
    let response = server.raw(raw).await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
}

#[tokio::test]
async fn an_offset_whose_plus_is_not_encoded_is_refused_with_a_hint() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let usage = format!("{}/usage", admin.create("Zapier Sync", "read").await.path());
    for field in ["from", "to"] {
        let ask = async |time: &str| admin.get(&format!("{usage}?{field}={time}")).await;
        let hint = |problem: serde_json::Value| problem["errors"][0]["message"].to_string().contains("%2B");
        let reply = ask("2026-11-01T00:00:00+05:30").await;
        assert_eq!(reply.bad_fields(), [field]);
        assert!(hint(reply.json()), "{reply:?}");
        let reply = ask("2026-11-01+00:00").await;
        assert_eq!(reply.bad_fields(), [field]);
        assert!(!hint(reply.json()), "{reply:?}");
    }
    admin.get(&format!("{usage}?from=2026-11-01T00:00:00%2B05:30&to=2026-11-02T00:00:00Z")).await.expect(200);
}

#[tokio::test]
async fn a_usage_window_outside_the_years_1970_to_9999_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let usage = format!("{}/usage", admin.create("Zapier Sync", "read").await.path());
    for (query, field) in [
        ("to=0000-01-15T00:00:00Z", "to"),
        ("to=1969-12-31T23:59:59Z", "to"),
        ("from=0000-01-01T00:00:00Z&to=0000-01-02T00:00:00Z", "to"),
        ("from=1969-12-31T23:59:59Z&to=1970-01-02T00:00:00Z", "from"),
        ("from=0000-01-01T00:00:00%2B01:00", "from"),
        ("to=9999-12-31T23:59:59Z", "to"),
        ("to=9999-12-31T23:59:59-01:00", "to"),
        ("from=10000-01-01T00:00:00Z", "from"),
    ] {
        assert_eq!(admin.get(&format!("{usage}?{query}")).await.bad_fields(), [field], "{query}");
    }
    let first = admin.get(&format!("{usage}?to=1970-01-15T00:00:00Z")).await.expect(200);
    assert_eq!((&first["from"], &first["to"]), (&json!("1970-01-01T00:00:00Z"), &json!("1970-01-15T00:00:00Z")));
}
