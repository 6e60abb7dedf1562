//! The audit trail: the actor, the time, the address and the changes of each event.

use chrono::TimeDelta;
use rally_api_keys::domain::format_timestamp;
use serde_json::{Value, json};

use crate::{
    client::{Client, PATH},
    harness::TestServer,
};

fn types(events: &Value) -> Vec<&str> {
    events.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

async fn events(client: &Client, path: &str) -> Value {
    client.get(path).await.expect(200)
}

#[tokio::test]
async fn the_events_of_a_key_are_listed_newest_first() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier", "admin").await;
    admin.patch(&key.path(), &json!({"name": "Zapier Sync", "expiresAt": "2099-01-01T00:00:00Z"})).await.expect(200);
    let rotated = admin.with_key(&key.secret).post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    admin.delete(&format!("{}/previous-secret", key.path())).await.expect(204);
    let reply = admin.delete(&key.path()).await;
    reply.expect(204);

    let path = format!("{}/events", key.path());
    let events_reply = admin.get(&path).await;
    let listed = events_reply.expect(200);
    assert_eq!(types(&listed), ["revoked", "previous_secret_ended", "rotated", "updated", "created"]);
    let revoked = listed[0].as_object().unwrap();
    assert_eq!(revoked["keyId"], key.id);
    assert_eq!(revoked["actor"], "admin@acme.com");
    assert_eq!(revoked["address"], "127.0.0.1");
    assert_eq!(revoked["requestId"], reply.header("x-request-id"));
    let expected = json!({
        "actorSubject": "42",
        "name": "Zapier Sync",
        "keyHint": rotated["keyHint"],
        "scopes": "admin",
        "expiresAt": "2099-01-01T00:00:00Z",
        "allowedAddresses": [],
        "rateLimit": null,
        "quota": null,
    });
    assert_eq!(revoked["details"], expected);
    assert!(revoked["occurredAt"].as_str().unwrap().ends_with('Z'));
    assert_eq!(revoked.len(), 8, "the event has other properties than these six, id and type");
    assert_eq!(listed[2]["actor"], format!("api-key:{}", key.id));
    let until = &listed[2]["details"]["previousExpiresAt"];
    assert!(until.is_string(), "{listed}");
    let expected = json!({"actorSubject": "42", "previousKeyHint": key.hint(), "previousExpiresAt": until});
    assert_eq!(listed[1]["details"], expected);
    let expected = json!({
        "actorKeyHint": key.hint(),
        "overlapSeconds": 86400,
        "previousKeyHint": key.hint(),
        "previousExpiresAt": until,
        "endedKeyHint": null,
        "keyHint": rotated["keyHint"],
    });
    assert_eq!(listed[2]["details"], expected);
    let changes = json!({
        "actorSubject": "42",
        "name": {"from": "Zapier", "to": "Zapier Sync"},
        "expiresAt": {"from": null, "to": "2099-01-01T00:00:00Z"},
    });
    assert_eq!(listed[3]["details"], changes);
    for secret in [key.secret.as_str(), rotated["key"].as_str().unwrap()] {
        assert!(!events_reply.body.contains(&secret[8..]));
    }
}

#[tokio::test]
async fn a_rotation_without_overlap_tells_which_secrets_it_ended() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier", "read").await;
    let rotate = format!("{}/rotate", key.path());
    let second = admin.post(&rotate, &json!({})).await.expect(200);
    let third = admin.post(&rotate, &json!({"overlapSeconds": 0})).await.expect(200);
    let expected = json!({
        "actorSubject": "42",
        "overlapSeconds": 0,
        "previousKeyHint": second["keyHint"],
        "previousExpiresAt": null,
        "endedKeyHint": key.hint(),
        "keyHint": third["keyHint"],
    });
    assert_eq!(events(&admin, &format!("{}/events", key.path())).await[0]["details"], expected);
}

#[tokio::test]
async fn the_events_of_a_tenant_are_filtered_by_type_and_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (one, other) = (admin.create("one", "read").await, admin.create("other", "read").await);
    admin.delete(&one.path()).await.expect(204);
    server.admin("globex").create("theirs", "read").await;

    let all = format!("{PATH}/events");
    assert_eq!(types(&events(&admin, &all).await), ["revoked", "created", "created"]);
    assert_eq!(types(&events(&admin, &format!("{all}?type=created")).await), ["created", "created"]);
    assert_eq!(types(&events(&admin, &format!("{all}?keyId={}", other.id)).await), ["created"]);
    assert_eq!(types(&events(&admin, &format!("{all}?keyId={}&type=revoked", one.id)).await), ["revoked"]);
    assert_eq!(types(&events(&admin, &format!("{all}?type=updated")).await), Vec::<&str>::new());
}

#[tokio::test]
async fn events_are_filtered_by_types_actor_and_time_for_a_tenant_and_for_a_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("one", "admin").await;
    let own = admin.with_key(&key.secret);
    own.create("other", "read").await;
    server.clock.turn(TimeDelta::hours(1));
    let later = format_timestamp(server.clock.now());
    own.post(&format!("{PATH}/self/rotate"), &json!({})).await.expect(200);
    admin.delete(&key.path()).await.expect(204);

    let actor = format!("api-key:{}", key.id);
    for (path, query, expected) in [
        ("events", "type=created,revoked".to_owned(), vec!["revoked", "created", "created"]),
        ("events", "type=created%2C%20rotated".to_owned(), vec!["rotated", "created", "created"]),
        ("events", format!("actor={actor}"), vec!["rotated", "created"]),
        ("events", "actor=ADMIN%40acme.com".to_owned(), vec![]),
        ("events", "actor=admin%40acme.com".to_owned(), vec!["revoked", "created"]),
        ("events", format!("since={later}"), vec!["revoked", "rotated"]),
        ("events", format!("until={later}"), vec!["created", "created"]),
        ("events", format!("since={later}&actor={actor}&type=rotated,created"), vec!["rotated"]),
        (&format!("{}/events", key.id), format!("until={later}"), vec!["created"]),
        (&format!("{}/events", key.id), format!("actor={actor}"), vec!["rotated"]),
        (&format!("{}/events", key.id), "type=revoked,created".to_owned(), vec!["revoked", "created"]),
    ] {
        assert_eq!(types(&events(&admin, &format!("{PATH}/{path}?{query}")).await), expected, "{path}?{query}");
    }
}

#[tokio::test]
async fn a_key_filters_its_own_events() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("one", "read").await;
    let own = server.admin("acme").with_key(&key.secret);
    own.post(&format!("{PATH}/self/rotate"), &json!({})).await.expect(200);
    assert_eq!(types(&events(&own, &format!("{PATH}/self/events?type=rotated")).await), ["rotated"]);
    assert_eq!(types(&events(&own, &format!("{PATH}/self/events?actor=admin%40acme.com")).await), ["created"]);
}

#[tokio::test]
async fn next_links_keep_every_filter_of_events() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for name in ["one", "two"] {
        admin.create(name, "read").await;
    }
    let filters =
        "type=created%2Crevoked&actor=admin%40acme.com&since=2020-01-01T00%3A00%3A00Z&until=2100-01-01T00%3A00%3A00Z";
    let reply = admin.get(&format!("{PATH}/events?{filters}&limit=1")).await;
    assert!(reply.header("link").contains(filters), "{}", reply.header("link"));
}

#[tokio::test]
async fn next_links_return_each_event_once() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for n in 0..7 {
        admin.create(&format!("n{n}"), "read").await;
    }
    let mut path = format!("{PATH}/events?limit=3&type=created");
    let (mut seen, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let reply = admin.get(&path).await;
        let page = reply.expect(200);
        assert_eq!(reply.header("x-total-count"), "7");
        sizes.push(page.as_array().unwrap().len());
        seen.extend(page.as_array().unwrap().iter().map(|event| event["id"].to_string()));
        let Some(link) = reply.headers.get("link") else { break };
        path = link.to_str().unwrap().strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        assert!(path.contains("type=created"), "{path}");
    }
    assert_eq!(sizes, [3, 3, 1]);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 7);
}

#[tokio::test]
async fn invalid_and_unauthorized_requests_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (key, other) = (admin.create("n", "read").await, admin.create("other", "read").await);
    let all = format!("{PATH}/events");
    assert_eq!(
        admin.get(&format!("{all}?type=deleted&keyId=1&limit=0&page=2")).await.bad_fields(),
        ["keyId", "limit", "page", "type"]
    );
    let bad = "type=created,&actor=&since=yesterday&until=2026-01-01T00:00:00";
    for path in [&all, &format!("{}/events", key.path())] {
        assert_eq!(admin.get(&format!("{path}?{bad}")).await.bad_fields(), ["actor", "since", "type", "until"]);
        let reversed = "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z";
        assert_eq!(admin.get(&format!("{path}?{reversed}")).await.bad_fields(), ["until"]);
    }
    assert_eq!(admin.get(&format!("{}/events?keyId={}", key.path(), key.id)).await.bad_fields(), ["keyId"]);
    admin.get(&format!("{PATH}/x/events")).await.refused(400, "invalid_request");
    let unknown = "a1b2c3d4-e5f6-7890-abcd-ef1234567890";
    admin.get(&format!("{PATH}/{unknown}/events")).await.refused(404, "key_not_found");
    admin.get(&format!("{all}?keyId={unknown}")).await.refused(404, "key_not_found");
    server.admin("globex").get(&format!("{}/events", key.path())).await.refused(404, "key_not_found");
    server.user("acme", "").get(&all).await.refused(403, "insufficient_scope");
    let reader = admin.with_key(&key.secret);
    assert_eq!(types(&events(&reader, &format!("{}/events", other.path())).await), ["created"]);
}

#[tokio::test]
async fn a_key_lists_its_own_events_whatever_its_scopes() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (key, other) = (admin.create("one", "read").await, admin.create("other", "read").await);
    admin.patch(&key.path(), &json!({"name": "New"})).await.expect(200);
    let (by_key, own) = (admin.with_key(&key.secret), format!("{PATH}/self/events"));
    assert_eq!(events(&by_key, &own).await, events(&admin, &format!("{}/events", key.path())).await);
    assert_eq!(types(&events(&admin.with_key(&other.secret), &own).await), ["created"]);

    let reply = by_key.get(&format!("{own}?limit=1")).await;
    assert_eq!(types(&reply.expect(200)), ["updated"]);
    let next = reply.header("link").split(['<', '>']).nth(1).unwrap().to_owned();
    assert!(next.contains("/self/events?"), "{next}");
    let next = &next[next.find("/api/").unwrap()..];
    assert_eq!(types(&events(&by_key, next).await), ["created"]);

    assert_eq!(by_key.get(&format!("{own}?keyId={}", key.id)).await.bad_fields(), ["keyId"]);
    admin.get(&own).await.refused(403, "key_required");
    admin.with_key("rk_live_0").get(&own).await.refused(401, "invalid_key");
}
