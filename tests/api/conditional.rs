//! Conditional requests for one key (RFC 9110, section 13).

use chrono::TimeDelta;
use rally_api_keys::domain::format_timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Client, CreatedKey, PATH, Reply, send},
    harness::{TestServer, wait_until},
};

const SELF: &str = "/api/v1/api-keys/self";
const OTHER_TAG: &str = r#""x""#;

async fn conditional(client: &Client, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let has_body = method == Method::PATCH;
    let mut request = client.request(method, path);
    if has_body {
        request = request.json(&json!({"name": "New"}));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request).await
}

async fn etag(client: &Client, path: &str) -> String {
    let reply = client.get(path).await;
    reply.expect(200);
    reply.header("etag").to_owned()
}

/// Each call that changes a key: method and path, for an admin and for the key itself.
fn changes(key: &CreatedKey) -> [(Method, String, String); 3] {
    let call = |method, end: &str| (method, format!("{}{end}", key.path()), format!("{SELF}{end}"));
    [call(Method::POST, "/rotate"), call(Method::DELETE, "/previous-secret"), call(Method::DELETE, "")]
}

// ---- GET

#[tokio::test]
async fn reading_an_unchanged_key_gives_304_and_reading_another_state_gives_412() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let path = key.path();
    let current = etag(&admin, &path).await;
    let weak = format!("W/{current}");
    let listed = format!(r#""a,b", {current}"#);
    // Headers, and the status.
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("if-none-match", &current)], 304),
        (&[("if-none-match", &weak)], 304),
        (&[("if-none-match", &listed)], 304),
        (&[("if-none-match", OTHER_TAG), ("if-none-match", &current)], 304),
        (&[("if-none-match", "*")], 304),
        (&[("if-none-match", OTHER_TAG)], 200),
        (&[("if-none-match", "")], 200),
        (&[("if-none-match", "not a tag")], 200),
        (&[("if-match", &current)], 200),
        (&[("if-match", "*")], 200),
        (&[("if-match", &listed)], 200),
        (&[("if-match", OTHER_TAG)], 412),
        (&[("if-match", &weak)], 412),
        (&[("if-match", "")], 412),
        // Section 13.2.2: If-Match comes first.
        (&[("if-match", OTHER_TAG), ("if-none-match", &current)], 412),
        (&[("if-match", &current), ("if-none-match", &current)], 304),
        (&[("if-match", &current), ("if-none-match", OTHER_TAG)], 200),
        // A key has no Last-Modified.
        (&[("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")], 200),
        (&[("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT")], 200),
    ];
    for (headers, status) in cases {
        let got = conditional(&admin, Method::GET, &path, headers).await;
        let head = conditional(&admin, Method::HEAD, &path, headers).await;
        assert_eq!((got.status.as_u16(), head.status.as_u16()), (*status, *status), "{headers:?}");
        assert!(head.body.is_empty());
        if *status == 412 {
            got.refused(412, "precondition_failed");
            continue;
        }
        assert_eq!((got.header("etag"), head.header("etag")), (current.as_str(), current.as_str()));
        assert_eq!(got.header("cache-control"), "no-store");
        assert_eq!(got.body.is_empty(), *status == 304, "{got:?}");
    }
    let unknown = format!("{PATH}/a1b2c3d4-e5f6-7890-abcd-ef1234567890");
    for header in ["if-match", "if-none-match"] {
        conditional(&admin, Method::GET, &unknown, &[(header, "*")]).await.refused(404, "key_not_found");
    }
}

#[tokio::test]
async fn a_key_reads_itself_under_conditions() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let itself = admin.with_key(&key.secret);
    let read = async |header: &str, tag: &str| conditional(&itself, Method::GET, SELF, &[(header, tag)]).await;
    assert_eq!(read("if-none-match", "*").await.status, 304);
    assert_eq!(read("if-match", "*").await.status, 200);
    read("if-match", OTHER_TAG).await.refused(412, "precondition_failed");
}

/// Use, changes, rotation, the end of the overlap and expiry.
#[tokio::test]
async fn the_etag_changes_with_all_that_the_body_shows() {
    let server = TestServer::start().await;
    let start = server.clock.now();
    let admin = server.admin("acme");
    let end = format_timestamp(start + TimeDelta::hours(2));
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    let path = key.path();
    let mut seen: Vec<(String, Value)> = Vec::new();
    let mut record = async |admin: &Client, step: &str| {
        let reply = admin.get(&path).await;
        let state = (reply.header("etag").to_owned(), reply.expect(200));
        assert!(seen.iter().all(|(tag, body)| *tag != state.0 && *body != state.1), "{step}: {state:?} in {seen:?}");
        let again = admin.get(&path).await;
        assert_eq!((again.header("etag"), again.json()), (state.0.as_str(), state.1.clone()), "{step}");
        seen.push(state);
    };
    record(&admin, "created").await;
    admin.with_key(&key.secret).get("/forward-auth").await;
    wait_until(async || admin.get(&key.path()).await.expect(200)["lastUsedAt"].is_string()).await;
    record(&admin, "used").await;
    admin.patch(&key.path(), &json!({"name": "Zapier"})).await.expect(200);
    record(&admin, "renamed").await;
    admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": 3600})).await.expect(200);
    record(&admin, "rotated").await;
    server.clock.turn(TimeDelta::minutes(70));
    record(&server.admin("acme"), "the overlap is over").await;
    server.clock.turn(TimeDelta::minutes(70));
    record(&server.admin("acme"), "expired").await;
    server.admin("acme").delete(&key.path()).await.expect(204);
    record(&server.admin("acme"), "revoked").await;
}

// ---- Changes

/// An admin reads a key, and the key is used before the admin's change arrives.
#[tokio::test]
async fn a_tag_from_before_a_use_of_the_key_allows_a_change() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for n in 0..4 {
        let key = admin.create("Zapier Sync", "read").await;
        let read = etag(&admin, &key.path()).await;
        assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
        wait_until(async || etag(&admin, &key.path()).await != read).await;
        let (method, path, _) = match n {
            0 => (Method::PATCH, key.path(), String::new()),
            n => changes(&key)[n - 1].clone(),
        };
        let reply = conditional(&admin, method.clone(), &path, &[("if-match", &read)]).await;
        assert!(reply.status.is_success(), "{method} {path}: {reply:?}");
        // For a reader, it is another state.
        let reply = conditional(&admin, Method::GET, &key.path(), &[("if-match", &read)]).await;
        reply.refused(412, "precondition_failed");
    }
}

#[tokio::test]
async fn a_failed_condition_refuses_each_change() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let stale = etag(&admin, &key.path()).await;
    let overlapping = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    let itself = admin.with_key(overlapping["key"].as_str().unwrap());
    let reply = admin.get(&key.path()).await;
    let (before, current) = (reply.expect(200), reply.header("etag").to_owned());
    let (version, digest) = current.trim_matches('"').split_once('-').unwrap();

    let mut calls = vec![(&admin, Method::PATCH, key.path())];
    for (method, path, own_path) in changes(&key) {
        calls.extend([
            (&admin, method.clone(), path.clone()),
            (&itself, method.clone(), path),
            (&itself, method, own_path),
        ]);
    }
    for (client, method, path) in &calls {
        for (header, tag) in [
            ("if-match", stale.clone()),
            ("if-match", OTHER_TAG.to_owned()),
            ("if-match", format!("W/{current}")),
            ("if-match", format!("\"{version}\"")),
            ("if-match", format!("\"{version}-\"")),
            ("if-match", format!("\"-{digest}\"")),
            ("if-match", format!("\"{version}0-{digest}\"")),
            ("if-match", String::new()),
            ("if-none-match", "*".to_owned()),
        ] {
            let reply = conditional(client, method.clone(), path, &[(header, &tag)]).await;
            assert_eq!(reply.status, 412, "{method} {path} {header}: {tag}");
            reply.refused(412, "precondition_failed");
        }
    }
    let mut after = admin.get(&key.path()).await.expect(200);
    after["lastUsedAt"] = Value::Null;
    assert_eq!(after, before, "a refused request changed the key");
    let events = admin.get(&format!("{}/events", key.path())).await.expect(200);
    assert_eq!(events.as_array().unwrap().len(), 2, "{events}");
}

#[tokio::test]
async fn a_change_is_refused_if_the_present_tag_is_in_if_none_match() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let current = etag(&admin, &key.path()).await;
    let mut calls = vec![(Method::PATCH, key.path())];
    calls.extend(changes(&key).map(|(method, path, _)| (method, path)));
    for (method, path) in calls {
        for tag in [current.clone(), format!("W/{current}"), format!("{OTHER_TAG}, {current}")] {
            let reply = conditional(&admin, method.clone(), &path, &[("if-none-match", &tag)]).await;
            reply.refused(412, "precondition_failed");
        }
    }
    assert_eq!(etag(&admin, &key.path()).await, current, "a refused request changed the key");
}

#[tokio::test]
async fn a_condition_that_holds_allows_each_change() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for header in ["if-match", "if-match: *", "if-none-match"] {
        let key = admin.create("Zapier Sync", "read").await;
        let mut calls = vec![(Method::PATCH, key.path())];
        calls.extend(changes(&key).map(|(method, path, _)| (method, path)));
        for (method, path) in calls {
            let current = etag(&admin, &key.path()).await;
            let (name, value) = match header {
                "if-match" => ("if-match", current.as_str()),
                "if-match: *" => ("if-match", "*"),
                _ => ("if-none-match", OTHER_TAG),
            };
            let reply = conditional(&admin, method.clone(), &path, &[(name, value)]).await;
            assert!(reply.status.is_success(), "{method} {path} {name}: {value}: {reply:?}");
        }
    }
}

/// Section 13.2.1: conditions do not matter where the response would not be a success anyway.
#[tokio::test]
async fn other_refusals_come_before_conditions() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let reader = server.user("acme", "read");
    for (method, path, _) in changes(&key) {
        let stale = [("if-match", OTHER_TAG)];
        conditional(&reader, method.clone(), &path, &stale).await.refused(403, "insufficient_scope");
        let unknown = path.replace(&key.id, "a1b2c3d4-e5f6-7890-abcd-ef1234567890");
        for condition in [("if-match", "*"), ("if-match", OTHER_TAG), ("if-none-match", "*")] {
            conditional(&admin, method.clone(), &unknown, &[condition]).await.refused(404, "key_not_found");
        }
    }
    admin.delete(&key.path()).await.expect(204);
    let rotate = format!("{}/rotate", key.path());
    conditional(&admin, Method::POST, &rotate, &[("if-match", OTHER_TAG)]).await.refused(409, "key_revoked");
    let again = conditional(&admin, Method::DELETE, &key.path(), &[("if-match", OTHER_TAG)]).await;
    again.refused(412, "precondition_failed");
    admin.delete(&key.path()).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_ten_concurrent_rotations_with_the_same_tag_succeeds() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let tag = etag(&admin, &key.path()).await;
    let rotate = format!("{}/rotate", key.path());
    let condition = [("if-match", tag.as_str())];
    let rotations = (0..10).map(|_| conditional(&admin, Method::POST, &rotate, &condition));
    let replies = futures_util::future::join_all(rotations).await;
    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412, 412, 412, 412, 412, 412, 412, 412, 412]);
}
