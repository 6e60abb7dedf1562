//! `include=usage` and the `ETag` of `GET /api/v1/api-keys`.

use chrono::TimeDelta;
use rally_api_keys::domain::format_timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Client, PATH, Reply, send},
    harness::{TestServer, wait_until},
    list::{follow_links, insert_keys, list_path, next_page_path},
};

#[tokio::test]
async fn a_list_with_usage_shows_the_requests_of_each_of_the_last_30_days() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (used, unused) = (admin.create("used", "read").await, admin.create("unused", "read").await);
    let foreign = server.admin("globex").create("theirs", "read").await;
    for (tenant, key) in [(server.database.acme, &used), (server.database.globex, &foreign)] {
        for (days, hours, requests) in [(0, 0, 5), (1, 0, 7), (1, 1, 1), (29, 0, 3), (30, 0, 100)] {
            let rows = format!(
                "INSERT INTO api_key_usage (tenant_id, key_id, hour, requests, denied_expired, denied_scope, denied_revoked)
                 VALUES ('{tenant}', '{}', date_trunc('day', now(), 'UTC') - {days} * interval '1 day' + {hours} * interval '1 hour',
                         {requests}, 0, 1, 0)",
                key.id
            );
            server.database.execute(&rows).await;
        }
    }
    let list = admin.get(&list_path(&[("include", "usage"), ("limit", "100")])).await.expect(200);
    let usage = |id: &str| {
        let key = list.as_array().unwrap().iter().find(|key| key["id"] == id).unwrap();
        key["usage"].as_array().unwrap().iter().map(|count| count.as_i64().unwrap()).collect::<Vec<_>>()
    };
    let mut expected = vec![0; 30];
    (expected[29], expected[28], expected[0]) = (5, 8, 3);
    assert_eq!(usage(&used.id), expected);
    assert_eq!(usage(&unused.id), vec![0; 30]);
    let without = admin.get(&list_path(&[("limit", "100")])).await.expect(200);
    assert!(without.as_array().unwrap().iter().all(|key| key.get("usage").is_none()), "{without}");
    assert!(admin.get(&used.path()).await.expect(200).get("usage").is_none());
}

#[tokio::test]
async fn a_list_with_usage_needs_a_limit_of_at_most_100_and_keeps_it_on_the_next_page() {
    let server = TestServer::start().await;
    insert_keys(&server, 5).await;
    let admin = server.admin("acme");
    for query in [
        "include=usage",
        "include=usage&limit=101",
        "include=usage&limit=1000",
        "include=&limit=1",
        "include=events&limit=1",
    ] {
        assert_eq!(admin.get(&format!("{PATH}?{query}")).await.bad_fields(), ["include"], "{query}");
    }
    assert_eq!(admin.get(&format!("{PATH}?include=usage&limit=0")).await.bad_fields(), ["limit"]);
    let first = format!("{PATH}?include=usage&limit=2&sort=name");
    let next = next_page_path(&admin.get(&first).await).unwrap();
    assert_eq!(admin.get(&next).await.expect(200)[0]["usage"].as_array().unwrap().len(), 30);
    assert_eq!(follow_links(&admin, first, "5").await.concat().len(), 5);
}

async fn conditional(client: &Client, path: &str, known: &str) -> Reply {
    send(client.request(Method::GET, path).header("if-none-match", known)).await
}

#[tokio::test]
async fn a_list_that_is_as_it_was_is_not_sent_again() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let end = format_timestamp(server.clock.now() + TimeDelta::minutes(10));
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    admin.create("Other", "read").await;
    for path in
        [PATH.to_owned(), format!("{PATH}?limit=1"), format!("{PATH}?search=zap&sort=name&limit=5&include=usage")]
    {
        let first = admin.get(&path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
        for known in [tag.clone(), tag[2..].to_owned(), format!("\"x\", {tag}"), "*".into()] {
            let reply = conditional(&admin, &path, &known).await;
            reply.expect(304);
            assert!(reply.body.is_empty());
            assert_eq!(
                (reply.header("etag"), reply.headers.get("link")),
                (&*tag, first.headers.get("link")),
                "{known}"
            );
        }
        for known in ["\"x\"", "", "x", "W/\"\""] {
            assert_eq!(conditional(&admin, &path, known).await.expect(200), first.json(), "{known}");
        }
        // A weak tag never satisfies If-Match.
        send(admin.request(Method::GET, &path).header("if-match", &tag)).await.refused(412, "precondition_failed");
        send(admin.request(Method::GET, &path).header("if-match", "*")).await.expect(200);
    }
    // What the list shows: another page's key by the total, a use, a change, an expiry.
    let page = format!("{PATH}?sort=createdAt&limit=1");
    let mut tag = admin.get(&page).await.header("etag").to_owned();
    let changed = async |tag: &mut String, what: &str| {
        wait_until(async || conditional(&admin, &page, tag).await.status == 200).await;
        *tag = admin.get(&page).await.header("etag").to_owned();
        assert_eq!(conditional(&admin, &page, tag).await.status, 304, "{what}");
    };
    admin.create("On another page", "read").await;
    changed(&mut tag, "total").await;
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    changed(&mut tag, "lastUsedAt").await;
    admin.patch(&key.path(), &json!({"name": "Renamed"})).await.expect(200);
    changed(&mut tag, "name").await;
    server.clock.turn(TimeDelta::minutes(11));
    changed(&mut tag, "status").await;
    let list: Value = admin.get(&page).await.expect(200);
    assert_eq!(list[0]["status"], "expired");
    // Another tenant's list has another tag.
    assert_eq!(conditional(&server.admin("globex"), &page, &tag).await.status, 200);
}

/// It is sent while it is read.
#[tokio::test]
async fn a_list_that_is_too_long_for_one_buffer_has_no_tag() {
    let server = TestServer::start().await;
    insert_keys(&server, 1001).await;
    let reply = server.admin("acme").get(PATH).await;
    assert_eq!((reply.expect(200).as_array().unwrap().len(), reply.headers.get("etag")), (1001, None));
    let page = server.admin("acme").get(&format!("{PATH}?limit=1000")).await;
    assert!(page.headers.contains_key("etag"));
}
