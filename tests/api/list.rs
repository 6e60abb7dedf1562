//! `GET /api/v1/api-keys`

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use rally_api_keys::{
    domain::{Slug, format_timestamp},
    store::{self, TenantAdmin},
};
use reqwest::Url;
use serde_json::{Value, json};

use crate::{
    client::{Client, CreatedKey, PATH, Reply},
    harness::{TestDatabase, TestServer},
};

/// The path of the list with this query, percent-encoded.
pub fn list_path(query: &[(&str, &str)]) -> String {
    let url = Url::parse_with_params("http://x", query).unwrap();
    format!("{PATH}?{}", url.query().unwrap())
}

pub fn strings(list: &Value, property: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|key| key[property].as_str().unwrap().to_owned()).collect()
}

pub async fn names(client: &Client, query: &[(&str, &str)]) -> Vec<String> {
    strings(&client.get(&list_path(query)).await.expect(200), "name")
}

/// The target of the `Link` header with `rel="next"`.
pub fn next_page_path(reply: &Reply) -> Option<String> {
    let link = reply.headers.get("link")?.to_str().expect("the Link header is ASCII");
    let target = link
        .strip_prefix('<')?
        .strip_suffix(r#">; rel="next""#)
        .expect("the Link header has one link, to the next page");
    let url = Url::parse(target).expect("an absolute URL");
    assert_eq!(url.origin().ascii_serialization(), "http://acme.localhost");
    assert_eq!(url.path(), PATH);
    Some(format!("{}?{}", url.path(), url.query().unwrap()))
}

/// Follows the next links from `first` to the last page and returns the ids of each page.
/// Asserts that each page has `total` as its `X-Total-Count`.
pub async fn follow_links(client: &Client, first: String, total: &str) -> Vec<Vec<String>> {
    let (mut path, mut pages) = (Some(first), Vec::new());
    while let Some(wanted) = path {
        let reply = client.get(&wanted).await;
        pages.push(strings(&reply.expect(200), "id"));
        assert_eq!(reply.header("x-total-count"), total, "{wanted}");
        assert!(pages.len() < 100, "the links do not end");
        path = next_page_path(&reply);
    }
    pages
}

/// Inserts used keys directly into the database, all with the same creation time.
pub async fn insert_keys(server: &TestServer, count: usize) {
    let tenant = server.database.acme;
    server
        .database
        .execute(&format!(
            "WITH made AS (
                 INSERT INTO api_keys (tenant_id, id, name, folded_name, scopes, created_at, last4)
                 SELECT '{tenant}', gen_random_uuid(), 'Key ' || n, 'key ' || n, 'read', '2026-01-01T00:00:00Z', '0000'
                 FROM generate_series(1, {count}) n
                 RETURNING id
             )
             INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
             SELECT '{tenant}', decode(md5(id::text), 'hex'), id, '$argon2id$v=19$m=8,t=1,p=1$x$x', '0000', now()
             FROM made;
             INSERT INTO api_key_last_uses (tenant_id, key_id, lookup_digest, used_at)
             SELECT tenant_id, key_id, lookup_digest, now() FROM api_key_secrets"
        ))
        .await;
}

/// Creates one key of each status, named after it. Newest first: revoked, expired, active.
async fn create_one_of_each_status(server: &TestServer) -> Client {
    let admin = server.admin("acme");
    admin.create("active", "read").await;
    let end = format_timestamp(server.clock.now() + TimeDelta::minutes(10));
    admin.create_with(&json!({"name": "expired", "expiresAt": end})).await;
    let revoked = admin.create_with(&json!({"name": "revoked", "expiresAt": end})).await;
    admin.delete(&revoked.path()).await.expect(204);
    server.clock.turn(TimeDelta::minutes(11));
    admin
}

// ---- Without a query

#[tokio::test]
async fn a_tenant_without_keys_gets_an_empty_list() {
    let server = TestServer::start().await;
    server.admin("globex").create("Zapier Sync", "read").await;
    let reply = server.admin("acme").get(PATH).await;
    reply.expect(200);
    assert_eq!(reply.body, "[]");
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn keys_are_listed_newest_first() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for name in ["first", "second", "third"] {
        admin.create(name, "read").await;
        server.clock.turn(TimeDelta::seconds(1));
    }
    assert_eq!(names(&admin, &[]).await, ["third", "second", "first"]);
    // The order is by creation time. Ids are ordered by time too, so change a time alone.
    server
        .database
        .execute("UPDATE api_keys SET created_at = created_at + interval '1 day' WHERE name = 'first'")
        .await;
    assert_eq!(names(&admin, &[]).await, ["first", "third", "second"]);
}

#[tokio::test]
async fn keys_with_the_same_creation_time_are_ordered_by_id() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    insert_keys(&server, 9).await;
    let listed = strings(&admin.get(PATH).await.expect(200), "id");
    let mut sorted = listed.clone();
    sorted.sort();
    sorted.reverse();
    assert_eq!((listed.len(), &listed), (9, &sorted));
    let walked = follow_links(&admin, format!("{PATH}?limit=2"), "9").await;
    assert_eq!(walked.concat(), listed);
}

#[tokio::test]
async fn revoked_and_expired_keys_are_listed() {
    let server = TestServer::start().await;
    let admin = create_one_of_each_status(&server).await;
    let list = admin.get(PATH).await.expect(200);
    assert_eq!(strings(&list, "name"), ["revoked", "expired", "active"]);
    assert_eq!(strings(&list, "status"), ["revoked", "expired", "active"]);
    let active: Vec<&Value> = list.as_array().unwrap().iter().map(|key| &key["isActive"]).collect();
    assert_eq!(active, [&json!(false), &json!(false), &json!(true)]);
}

#[tokio::test]
async fn a_request_without_a_limit_returns_all_keys() {
    let server = TestServer::start().await;
    insert_keys(&server, 1001).await;
    let reply = server.admin("acme").get(PATH).await;
    assert_eq!(reply.expect(200).as_array().unwrap().len(), 1001);
    assert_eq!((reply.headers.get("link"), reply.headers.get("x-total-count")), (None, None));
}

#[tokio::test]
async fn the_list_contains_no_secret() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut keys: Vec<CreatedKey> = Vec::new();
    for n in 0..3 {
        keys.push(admin.create(&format!("Key {n}"), "read").await);
    }
    let reply = admin.get(PATH).await;
    assert_eq!(reply.expect(200).as_array().unwrap().len(), 3);
    for key in keys {
        let (hint, hidden) = (&key.secret[36..], &key.secret[8..36]);
        assert!(reply.body.contains(&format!("rk_live_…{hint}")), "{}", reply.body);
        assert!(!reply.body.contains(hidden), "{}", reply.body);
    }
    assert!(!reply.body.contains("argon2"), "{}", reply.body);
}

#[tokio::test]
async fn a_list_request_without_the_read_scope_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for scopes in ["read", "write", "admin"] {
        server.user("acme", scopes).get(PATH).await.expect(200);
        let key = admin.create("Caller", scopes).await;
        admin.with_key(&key.secret).get(PATH).await.expect(200);
    }
    let reply = server.user("acme", "").get(PATH).await;
    assert_eq!(reply.refused(403, "insufficient_scope")["requiredScope"], "read");
}

// ---- Filters

#[tokio::test]
async fn a_status_filter_selects_the_keys_of_these_statuses() {
    let server = TestServer::start().await;
    let admin = create_one_of_each_status(&server).await;
    for (status, expected) in [
        ("active", vec!["active"]),
        ("expired", vec!["expired"]),
        ("revoked", vec!["revoked"]),
        ("active,expired", vec!["expired", "active"]),
        ("revoked,active", vec!["revoked", "active"]),
        ("active,active", vec!["active"]),
        ("active,expired,revoked", vec!["revoked", "expired", "active"]),
    ] {
        assert_eq!(names(&admin, &[("status", status)]).await, expected, "{status}");
    }
}

#[tokio::test]
async fn unknown_statuses_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for status in ["deleted", "Active", "active,deleted", "active,", "active;expired", "true", "'", "\0"] {
        assert_eq!(admin.get(&list_path(&[("status", status)])).await.bad_fields(), ["status"], "{status:?}");
    }
    assert_eq!(admin.get(&format!("{PATH}?status=%FF")).await.bad_fields(), ["status"]);
}

#[tokio::test]
async fn a_search_ignores_the_case_of_ascii_letters() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for name in ["Zapier Sync", "ETL Pipeline", "sync of orders"] {
        admin.create(name, "read").await;
    }
    for (search, expected) in [
        ("sync", vec!["sync of orders", "Zapier Sync"]),
        ("SYNC", vec!["sync of orders", "Zapier Sync"]),
        ("r s", vec!["Zapier Sync"]),
        ("Pipeline", vec!["ETL Pipeline"]),
        ("ETL Pipeline!", vec![]),
        ("", vec!["sync of orders", "ETL Pipeline", "Zapier Sync"]),
    ] {
        assert_eq!(names(&admin, &[("search", search)]).await, expected, "{search:?}");
    }
}

/// Each locale has another idea of case: C knows ASCII alone, and Turkish has two letters i.
#[tokio::test]
async fn a_search_ignores_case_in_every_script_under_every_locale() {
    let server = TestDatabase::create().await;
    let locales = [
        ("LOCALE 'C'", "SELECT 1::bigint"),
        ("LOCALE 'C.UTF-8'", "SELECT count(*) FROM pg_collation WHERE collname IN ('C.utf8', 'C.UTF-8')"),
        // Before PostgreSQL 15 a database has no ICU locale.
        (
            "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'",
            "SELECT count(*) FROM pg_collation
             WHERE collname = 'tr-x-icu' AND current_setting('server_version_num')::int >= 150000",
        ),
    ];
    for (locale, is_available) in locales {
        if server.count(is_available).await == 0 {
            println!("this PostgreSQL has no {locale}: skipped");
            continue;
        }
        let database = TestDatabase::unmigrated_with(&format!("ENCODING 'UTF8' {locale}")).await;
        store::migrate(&database.url().await).await.unwrap();
        let mut operator = TenantAdmin::connect(&database.url().await).await.unwrap();
        operator.create_tenant(&Slug::parse("acme").unwrap(), "Acme", Utc::now()).await.unwrap();
        let server = TestServer::on(database, &[]).await;
        let admin = server.admin("acme");
        let created = "Äpfel & ОВОЩИ 🔑 Straße";
        admin.create(created, "read").await;
        let renamed = admin.create("to be renamed", "read").await;
        admin.patch(&renamed.path(), &json!({"name": "Οδός TITLE ΟΔΟΣ"})).await.expect(200);
        for (search, expected) in [
            ("Äpfel", created),
            ("äPFEL", created),
            ("овощи", created),
            ("🔑", created),
            ("STRASSE", created),
            ("οδοσ", "Οδός TITLE ΟΔΟΣ"),
            ("title", "Οδός TITLE ΟΔΟΣ"),
        ] {
            assert_eq!(names(&admin, &[("search", search)]).await, [expected], "{search} under {locale}");
        }
        assert_eq!(names(&admin, &[("search", "renamed")]).await, [""; 0], "{locale}");
        assert_eq!(names(&admin, &[("search", "apfel")]).await, [""; 0], "{locale}");
    }
}

#[tokio::test]
async fn a_search_finds_the_last_4_digits_of_the_current_secret() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier", "read").await;
    admin.create("another", "read").await;
    let found = async |digits: &str| names(&admin, &[("search", digits)]).await.contains(&"Zapier".to_owned());
    let last4 = &key.secret[36..];
    assert!(found(last4).await && found(&last4.to_uppercase()).await);
    assert!(!found(&last4[1..]).await && !found(&key.secret[35..]).await, "all 4 digits, and no more");
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    assert!(found(&rotated["key"].as_str().unwrap()[36..]).await);
}

#[tokio::test]
async fn wildcard_characters_in_a_search_match_literally() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for name in ["100% done", "100 done", "a_b", "axb", r"back\slash", "back/slash", "it's"] {
        admin.create(name, "read").await;
    }
    for (search, expected) in [
        ("%", vec!["100% done"]),
        ("0% d", vec!["100% done"]),
        ("_", vec!["a_b"]),
        ("a_b", vec!["a_b"]),
        (r"\", vec![r"back\slash"]),
        (r"k\s", vec![r"back\slash"]),
        (r"\%", vec![]),
        ("'", vec!["it's"]),
        (".*", vec![]),
    ] {
        assert_eq!(names(&admin, &[("search", search)]).await, expected, "{search}");
        let counted = admin.get(&list_path(&[("search", search), ("limit", "10")])).await;
        assert_eq!(counted.header("x-total-count"), expected.len().to_string(), "{search}");
    }
}

#[tokio::test]
async fn control_characters_in_a_search_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for search in ["\0", "a\0b", "a\nb", "\u{7f}", "\u{9f}"] {
        assert_eq!(admin.get(&list_path(&[("search", search)])).await.bad_fields(), ["search"], "{search:?}");
    }
}

#[tokio::test]
async fn several_filters_select_the_keys_that_match_all() {
    let server = TestServer::start().await;
    let admin = create_one_of_each_status(&server).await;
    assert_eq!(names(&admin, &[("status", "expired,active"), ("search", "EXP")]).await, ["expired"]);
    assert!(names(&admin, &[("status", "active"), ("search", "exp")]).await.is_empty());
}

// ---- Pages

#[tokio::test]
async fn limits_outside_1_to_1000_are_refused() {
    let server = TestServer::start().await;
    insert_keys(&server, 1001).await;
    let admin = server.admin("acme");
    for (limit, expected) in [("1", 1), ("1000", 1000)] {
        let reply = admin.get(&list_path(&[("limit", limit)])).await;
        assert_eq!(reply.expect(200).as_array().unwrap().len(), expected);
        assert_eq!(reply.header("x-total-count"), "1001");
        assert!(next_page_path(&reply).is_some());
    }
    for limit in ["0", "1001", "-1", "abc", "", "1.0", "+1", " 1", "0x1", "99999999999999999999", "١"] {
        assert_eq!(admin.get(&list_path(&[("limit", limit)])).await.bad_fields(), ["limit"], "{limit:?}");
    }
}

#[tokio::test]
async fn next_links_return_each_key_once() {
    let server = TestServer::start().await;
    insert_keys(&server, 10).await;
    let admin = server.admin("acme");
    for n in 0..7 {
        admin.create(&format!("New {n}"), "read").await;
    }
    let all = strings(&admin.get(PATH).await.expect(200), "id");
    for (limit, expected) in
        [(1, vec![1; 17]), (5, vec![5, 5, 5, 2]), (16, vec![16, 1]), (17, vec![17]), (18, vec![17])]
    {
        let walked = follow_links(&admin, format!("{PATH}?limit={limit}"), "17").await;
        assert_eq!(walked.iter().map(Vec::len).collect::<Vec<_>>(), expected);
        assert_eq!(walked.concat(), all);
    }
}

#[tokio::test]
async fn an_empty_page_has_no_next_link() {
    let server = TestServer::start().await;
    let reply = server.admin("acme").get(&list_path(&[("limit", "5")])).await;
    assert_eq!(reply.expect(200), json!([]));
    assert_eq!((reply.header("x-total-count"), reply.headers.get("link")), ("0", None));
}

#[tokio::test]
async fn next_links_keep_the_filters() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let search = "Zapier & Söhne +1=100% #?\"<>;,日本";
    let mut wanted = Vec::new();
    for n in 0..5 {
        wanted.push(admin.create(&format!("{search} {n}"), "read").await.id);
        admin.create(&format!("other {n}"), "read").await;
        let revoked = admin.create(&format!("{search} revoked {n}"), "read").await;
        admin.delete(&revoked.path()).await.expect(204);
    }
    wanted.reverse();
    let first = list_path(&[("search", search), ("status", "active,expired"), ("limit", "2")]);
    let walked = follow_links(&admin, first, "5").await;
    assert_eq!(walked.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    assert_eq!(walked.concat(), wanted);
}

#[tokio::test]
async fn keys_created_and_revoked_between_pages_do_not_change_the_pages() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut made = Vec::new();
    for n in 0..6 {
        made.push(admin.create(&format!("Key {n}"), "read").await);
    }
    let first = admin.get(&list_path(&[("limit", "2")])).await;
    let mut seen = strings(&first.expect(200), "id");
    let mut next = next_page_path(&first);
    while let Some(path) = next {
        admin.create("created between pages", "read").await;
        // The key that the cursor was made from.
        admin.delete(&format!("{PATH}/{}", seen.last().unwrap())).await.expect(204);
        let reply = admin.get(&path).await;
        seen.extend(strings(&reply.expect(200), "id"));
        assert!(seen.len() <= made.len(), "{seen:?}");
        next = next_page_path(&reply);
    }
    let expected: Vec<String> = made.into_iter().rev().map(|key| key.id).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_cursor_without_a_limit_is_refused() {
    let server = TestServer::start().await;
    insert_keys(&server, 2).await;
    let admin = server.admin("acme");
    let link = next_page_path(&admin.get(&list_path(&[("limit", "1")])).await).unwrap();
    let cursor = link.split("cursor=").nth(1).unwrap();
    assert_eq!(admin.get(&format!("{PATH}?cursor={cursor}")).await.bad_fields(), ["cursor"]);
}

#[tokio::test]
async fn forged_cursors_are_refused() {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let server = TestServer::start().await;
    insert_keys(&server, 2).await;
    let admin = server.admin("acme");
    let link = next_page_path(&admin.get(&list_path(&[("limit", "1")])).await).unwrap();
    let cursor = link.split("cursor=").nth(1).unwrap();
    let endless = |first: u8| BASE64_URL_SAFE_NO_PAD.encode([first; 24]); // timestamps out of range
    for forged in [
        "",
        "x",
        "0",
        "2026-01-01T00:00:00Z",
        "a1b2c3d4-e5f6-7890-abcd-ef1234567890",
        &cursor[1..],
        &format!("{cursor}A"),
        &format!("{cursor}="),
        &cursor.repeat(2),
        &endless(0x7f),
        &endless(0x80),
        "%00",
        "'",
    ] {
        let path = list_path(&[("limit", "1"), ("cursor", forged)]);
        assert_eq!(admin.get(&path).await.bad_fields(), ["cursor"], "{forged:?}");
    }
}

#[tokio::test]
async fn a_cursor_of_another_tenant_returns_only_the_callers_keys() {
    let server = TestServer::start().await;
    insert_keys(&server, 3).await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let own = globex.create("Zapier Sync", "read").await;
    server.database.execute("UPDATE api_keys SET created_at = '2025-01-01' WHERE name = 'Zapier Sync'").await;
    let link = next_page_path(&acme.get(&list_path(&[("limit", "1")])).await).unwrap();
    let reply = globex.get(&link).await;
    assert_eq!(strings(&reply.expect(200), "id"), [own.id]);
    assert_eq!(reply.header("x-total-count"), "1");
}

// ---- Invalid queries

#[tokio::test]
async fn repeated_parameters_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for (query, field) in [
        ("limit=1&limit=1", "limit"),
        ("limit=1&limit=2", "limit"),
        ("status=active&status=expired", "status"),
        ("search=a&search=a", "search"),
        ("search=a&se%61rch=b", "search"),
    ] {
        assert_eq!(admin.get(&format!("{PATH}?{query}")).await.bad_fields(), [field], "{query}");
    }
}

#[tokio::test]
async fn unknown_parameters_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for (query, field) in [
        ("page=2", "page"),
        ("Limit=1", "Limit"),
        ("statuses=active", "statuses"),
        ("offset", "offset"),
        ("tenant=globex", "tenant"),
        ("status[]=active", "status[]"),
    ] {
        assert_eq!(admin.get(&format!("{PATH}?{query}")).await.bad_fields(), [field], "{query}");
    }
}

#[tokio::test]
async fn all_invalid_parameters_are_named_in_one_response() {
    let server = TestServer::start().await;
    let reply = server.admin("acme").get(&format!("{PATH}?limit=0&status=x&search=%00&cursor=x&page=2")).await;
    assert_eq!(reply.bad_fields(), ["cursor", "limit", "page", "search", "status"]);
}

#[tokio::test]
async fn an_empty_query_returns_all_keys() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    admin.create("Zapier Sync", "read").await;
    assert_eq!(admin.get(&format!("{PATH}?")).await.expect(200).as_array().unwrap().len(), 1);
}

/// Clients display and log error responses, so that these must not contain a secret.
#[tokio::test]
async fn a_secret_in_the_query_is_not_repeated_in_the_error() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let secret = admin.create("Zapier Sync", "read").await.secret;
    for query in [
        secret.clone(),
        format!("api_key={secret}"),
        format!("status={secret}"),
        format!("limit={secret}"),
        format!("limit=1&cursor={secret}"),
        format!("limit=1&search={secret}"),
    ] {
        let reply = admin.get(&format!("{PATH}?{query}")).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(!reply.body.contains(&secret), "{query}: {}", reply.body);
    }
}

/// The rows that PostgreSQL reads grow with the page and not with the table. This holds without statistics
/// of the tables, and with a plan from when they were empty.
#[tokio::test]
async fn a_page_reads_one_last_use_per_listed_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for _ in 0..10 {
        admin.get(&format!("{PATH}?limit=100")).await.expect(200);
    }
    insert_keys(&server, 5000).await;
    let mut connection = server.database.connect().await;
    let mut read = async || {
        let sum = "SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_user_tables
                   WHERE relname = 'api_key_last_uses'";
        sqlx::query_scalar::<_, i64>(sum).fetch_one(&mut connection).await.unwrap()
    };
    let before = read().await;
    // A session reports its statistics up to a second after a statement.
    let (mut reads, mut pages) = (0, 0);
    for _ in 0..3 {
        pages += 1;
        admin.get(&format!("{PATH}?limit=100")).await.expect(200);
        tokio::time::sleep(Duration::from_millis(1100)).await;
        reads = read().await - before;
        if reads > 0 {
            break;
        }
    }
    assert!((100..=pages * 105).contains(&reads), "{reads} last uses were read for {pages} pages of 100 keys");
}
