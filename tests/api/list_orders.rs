//! `GET /api/v1/api-keys?sort=`, page by page.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;
use rally_api_keys::domain::format_timestamp;
use serde_json::{Value, json};

use crate::{
    client::{Client, PATH},
    harness::{TestServer, wait_until},
    list::{follow_links, insert_keys, list_path, names, next_page_path, strings},
};

const SORTS: [&str; 8] =
    ["createdAt", "-createdAt", "name", "-name", "lastUsedAt", "-lastUsedAt", "expiresAt", "-expiresAt"];

/// Keys that differ in all that a list is ordered by, in the order of their creation: one never expires, one was never used.
async fn create_different_keys(server: &TestServer) -> Client {
    let admin = server.admin("acme");
    for (name, days) in
        [("delta", Some(5)), ("Bravo", None), ("ärger", Some(9)), ("charlie", Some(1)), ("alpha", Some(3))]
    {
        let end = days.map(|days| format_timestamp(server.clock.now() + TimeDelta::days(days)));
        let key = admin.create_with(&json!({"name": name, "expiresAt": end})).await;
        server.clock.turn(TimeDelta::seconds(1));
        let age = match name {
            "charlie" => continue, // never used
            "delta" => 1,
            "Bravo" => 4,
            "ärger" => 2,
            _ => 3,
        };
        // The earlier use is of a secret that was replaced.
        for (digest, age) in [("11", age), ("22", age + 10)] {
            let used = format!(
                "INSERT INTO api_key_last_uses (tenant_id, key_id, lookup_digest, used_at)
                 VALUES ('{}', '{}', decode(repeat('{digest}', 16), 'hex'), now() - {age} * interval '1 hour')",
                server.database.acme, key.id
            );
            server.database.execute(&used).await;
        }
    }
    admin
}

const ORDERS: [(&str, [&str; 5]); 8] = [
    ("createdAt", ["delta", "Bravo", "ärger", "charlie", "alpha"]),
    ("-createdAt", ["alpha", "charlie", "ärger", "Bravo", "delta"]),
    ("name", ["alpha", "Bravo", "charlie", "delta", "ärger"]),
    ("-name", ["ärger", "delta", "charlie", "Bravo", "alpha"]),
    ("lastUsedAt", ["charlie", "Bravo", "alpha", "ärger", "delta"]),
    ("-lastUsedAt", ["delta", "ärger", "alpha", "Bravo", "charlie"]),
    ("expiresAt", ["charlie", "alpha", "delta", "ärger", "Bravo"]),
    ("-expiresAt", ["Bravo", "ärger", "delta", "alpha", "charlie"]),
];

#[tokio::test]
async fn keys_are_listed_in_each_order() {
    let server = TestServer::start().await;
    let admin = create_different_keys(&server).await;
    server.admin("globex").create("theirs", "read").await;
    for (sort, expected) in ORDERS {
        assert_eq!(names(&admin, &[("sort", sort)]).await, expected, "{sort}");
        // With a filter, which all match, the order is made in another way.
        assert_eq!(names(&admin, &[("sort", sort), ("status", "active")]).await, expected, "{sort}");
        assert_eq!(names(&admin, &[("sort", sort), ("status", "active"), ("limit", "9")]).await, expected, "{sort}");
    }
    assert_eq!(names(&admin, &[]).await, ORDERS[1].1, "newest first, unless something else is asked for");
}

#[tokio::test]
async fn the_pages_of_each_order_are_the_whole_list() {
    let server = TestServer::start().await;
    let admin = create_different_keys(&server).await;
    insert_keys(&server, 4).await; // of one time and never expiring
    for sort in SORTS {
        for filter in ["", "&status=active,expired", "&scope=read", "&search=a"] {
            let all = strings(&admin.get(&format!("{PATH}?sort={sort}{filter}")).await.expect(200), "id");
            for limit in [1, 2, 4, 9] {
                let first = format!("{PATH}?sort={sort}&limit={limit}{filter}");
                let pages = follow_links(&admin, first, &all.len().to_string()).await;
                assert_eq!(pages.concat(), all, "{sort} {filter} {limit}");
                assert!(pages.iter().all(|page| page.len() <= limit));
            }
        }
    }
}

/// Each page is followed by a creation, and by a revocation of a key that was listed and of one that was not.
#[tokio::test]
async fn no_key_is_lost_or_repeated_while_keys_are_created_and_revoked_between_pages() {
    let server = TestServer::start().await;
    let admin = create_different_keys(&server).await;
    insert_keys(&server, 25).await;
    for sort in SORTS {
        let existing = strings(&admin.get(PATH).await.expect(200), "id");
        let mut times_seen: HashMap<String, usize> = HashMap::new();
        let mut next = Some(format!("{PATH}?sort={sort}&limit=4"));
        let mut pages = 0_usize;
        while let Some(path) = next {
            let reply = admin.get(&path).await;
            let page = reply.expect(200);
            for id in strings(&page, "id") {
                *times_seen.entry(id).or_default() += 1;
            }
            next = next_page_path(&reply);
            pages += 1;
            assert!(pages < 100, "the links do not end");
            let end = format_timestamp(server.clock.now() + TimeDelta::days([1, 2, 3, 4, 5, 6, 7][pages % 7]));
            let name = ["AAA", "created", "zzz"][pages % 3];
            admin
                .create_with(
                    &json!({"name": name, "expiresAt": if pages.is_multiple_of(2) { Some(end) } else { None }}),
                )
                .await;
            for id in [page[0]["id"].as_str().unwrap(), &existing[pages % existing.len()]] {
                admin.delete(&format!("{PATH}/{id}")).await.expect(204);
            }
        }
        let wrong: Vec<_> = existing.iter().filter(|id| times_seen.get(*id) != Some(&1)).collect();
        assert!(wrong.is_empty(), "{sort}: {wrong:?}");
        assert!(times_seen.values().all(|times| *times == 1), "{sort}: {times_seen:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_order_is_refused() {
    let server = TestServer::start().await;
    let admin = create_different_keys(&server).await;
    let mut cursors = Vec::new();
    for sort in SORTS {
        let path = next_page_path(&admin.get(&list_path(&[("sort", sort), ("limit", "2")])).await).unwrap();
        cursors.push((sort, path.split("cursor=").nth(1).unwrap().to_owned()));
    }
    for (of, cursor) in &cursors {
        for sort in SORTS {
            let reply = admin.get(&list_path(&[("sort", sort), ("limit", "2"), ("cursor", cursor)])).await;
            if *of == sort {
                reply.expect(200);
            } else {
                assert_eq!(reply.bad_fields(), ["cursor"], "{of} {sort}");
                assert!(reply.body.contains("another `sort`"), "{}", reply.body);
            }
        }
    }
    // The same list without its order is the list of another order.
    let without = admin.get(&list_path(&[("limit", "2"), ("cursor", &cursors[2].1)])).await;
    assert_eq!(without.bad_fields(), ["cursor"]);
}

#[tokio::test]
async fn unknown_orders_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for sort in ["", "id", "Name", "--name", "+name", "name,createdAt", "createdat", "name ", "\0"] {
        let reply = admin.get(&list_path(&[("sort", sort)])).await;
        assert_eq!(reply.bad_fields(), ["sort"], "{sort:?}");
        assert!(reply.body.contains("-lastUsedAt"), "{}", reply.body);
    }
    assert_eq!(admin.get(&format!("{PATH}?sort=name&sort=name")).await.bad_fields(), ["sort"]);
}

/// A folded name is in the cursor.
#[tokio::test]
async fn pages_by_name_have_a_place_for_every_name() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let longest = ["\u{390}".repeat(100), "🔑".repeat(100), "ß".repeat(100)];
    let others = ["%_\\", "'; --", "Ärger", "äRGER", "STRASSE", "Straße", "a b", "a", "🔑"];
    for name in longest.iter().map(String::as_str).chain(others) {
        admin.create(name, "read").await;
    }
    for sort in ["name", "-name"] {
        let all = strings(&admin.get(&format!("{PATH}?sort={sort}")).await.expect(200), "id");
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 12);
        assert_eq!(follow_links(&admin, format!("{PATH}?sort={sort}&limit=1"), "12").await.concat(), all);
    }
}

#[tokio::test]
async fn a_forged_name_or_time_in_a_cursor_is_refused() {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let server = TestServer::start().await;
    let admin = create_different_keys(&server).await;
    let id = [7; 16];
    let cursor = |order: u8, value: &[u8]| BASE64_URL_SAFE_NO_PAD.encode([&[order][..], value, &id].concat());
    for (sort, order) in [("name", 2), ("-name", 3)] {
        for value in [&b""[..], b"\0", b"a\nb", b"\xff\xfe", &[b'a'; 2001]] {
            let path = list_path(&[("sort", sort), ("limit", "2"), ("cursor", &cursor(order, value))]);
            assert_eq!(admin.get(&path).await.bad_fields(), ["cursor"], "{value:?}");
        }
        let path = list_path(&[("sort", sort), ("limit", "2"), ("cursor", &cursor(order, b"infinity'--%"))]);
        admin.get(&path).await.expect(200);
    }
    for (sort, order) in [("createdAt", 0), ("-createdAt", 1), ("-lastUsedAt", 5), ("expiresAt", 6)] {
        for value in [&[0x7f; 8][..], &[0x80; 8], &[1; 7], &[1; 9]] {
            let path = list_path(&[("sort", sort), ("limit", "2"), ("cursor", &cursor(order, value))]);
            assert_eq!(admin.get(&path).await.bad_fields(), ["cursor"], "{sort} {value:?}");
        }
    }
    let no_time = list_path(&[("limit", "2"), ("cursor", &cursor(1, b""))]);
    assert_eq!(admin.get(&no_time).await.bad_fields(), ["cursor"], "every key has a time of creation");
    for order in [8, 255] {
        let path = list_path(&[("limit", "2"), ("cursor", &cursor(order, &[0; 8]))]);
        assert_eq!(admin.get(&path).await.bad_fields(), ["cursor"]);
    }
}

#[tokio::test]
async fn the_latest_use_of_all_secrets_decides_the_order_by_last_use() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let (one, other) = (admin.create("one", "read").await, admin.create("other", "read").await);
    let use_key = async |secret: &str, id: &str| {
        let before = admin.get(&format!("{PATH}/{id}")).await.expect(200)["lastUsedAt"].clone();
        assert_eq!(admin.with_key(secret).get("/forward-auth").await.status, 200);
        wait_until(async || admin.get(&format!("{PATH}/{id}")).await.expect(200)["lastUsedAt"] != before).await;
    };
    use_key(&one.secret, &one.id).await;
    server.clock.turn(TimeDelta::minutes(1));
    use_key(&other.secret, &other.id).await;
    assert_eq!(names(&admin, &[("sort", "-lastUsedAt")]).await, ["other", "one"]);
    let rotated = admin.post(&format!("{}/rotate", one.path()), &json!({})).await.expect(200);
    server.clock.turn(TimeDelta::minutes(1));
    use_key(rotated["key"].as_str().unwrap(), &one.id).await;
    assert_eq!(names(&admin, &[("sort", "-lastUsedAt")]).await, ["one", "other"]);
    assert_eq!(names(&admin, &[("sort", "lastUsedAt"), ("limit", "9")]).await, ["other", "one"]);
    let _: Value = rotated;
}
