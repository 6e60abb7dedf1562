//! The filters of `GET /api/v1/api-keys`, how many keys match them, and the indexes that they use.

use chrono::TimeDelta;
use rally_api_keys::domain::format_timestamp;
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::{
    client::PATH,
    harness::TestServer,
    list::{follow_links, insert_keys, list_path, names, next_page_path},
};

#[tokio::test]
async fn a_scope_filter_selects_the_keys_that_have_it_or_imply_it() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    server.admin("globex").create("theirs", "admin").await;
    for scopes in ["read", "write", "admin", "read,write", "read,admin", "write,admin", "read,write,admin"] {
        admin.create(scopes, scopes).await;
        server.clock.turn(TimeDelta::seconds(1));
    }
    let with_admin = ["read,write,admin", "write,admin", "read,admin", "admin"];
    let with_write = ["read,write,admin", "write,admin", "read,admin", "read,write", "admin", "write"];
    assert_eq!(names(&admin, &[("scope", "admin")]).await, with_admin);
    assert_eq!(names(&admin, &[("scope", "write")]).await, with_write);
    assert_eq!(names(&admin, &[("scope", "read")]).await.len(), 7);
    for bad in ["", "Admin", "read,write", "owner", "admin ", "'"] {
        assert_eq!(admin.get(&list_path(&[("scope", bad)])).await.bad_fields(), ["scope"], "{bad:?}");
    }
}

#[tokio::test]
async fn a_creator_filter_selects_the_keys_of_exactly_that_creator() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let parent = admin.create("parent", "admin").await;
    admin.with_key(&parent.secret).create("child", "read").await;
    server.admin("globex").create("theirs", "read").await;
    let user = admin.get(&parent.path()).await.expect(200)["createdBy"].as_str().unwrap().to_owned();
    assert_eq!(names(&admin, &[("createdBy", &user)]).await, ["parent"]);
    assert_eq!(names(&admin, &[("createdBy", &format!("api-key:{}", parent.id))]).await, ["child"]);
    for other in [&user[1..], &user.to_uppercase(), "%", "api-key:"] {
        assert_eq!(names(&admin, &[("createdBy", other)]).await, [""; 0], "{other}");
    }
    for bad in ["", "a\0", "a\nb", &"a".repeat(321), &parent.secret] {
        let reply = admin.get(&list_path(&[("createdBy", bad)])).await;
        assert_eq!(reply.bad_fields(), ["createdBy"], "{bad:?}");
        assert!(!reply.body.contains(&parent.secret));
    }
    names(&admin, &[("createdBy", &"🔑".repeat(320))]).await;
}

#[tokio::test]
async fn an_expiry_filter_selects_the_keys_that_end_before() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let at = |minutes| format_timestamp(server.clock.now() + TimeDelta::minutes(minutes));
    for (name, minutes) in [("soon", 10), ("later", 60)] {
        admin.create_with(&json!({"name": name, "expiresAt": at(minutes)})).await;
        server.clock.turn(TimeDelta::seconds(1));
    }
    let exact = format_timestamp(server.clock.now() + TimeDelta::minutes(30));
    admin.create_with(&json!({"name": "exact", "expiresAt": exact})).await;
    admin.create("never", "read").await;
    assert_eq!(names(&admin, &[("expiresBefore", &at(20))]).await, ["soon"]);
    assert_eq!(names(&admin, &[("expiresBefore", &exact)]).await, ["soon"], "the time itself is not before it");
    assert_eq!(names(&admin, &[("expiresBefore", &at(90))]).await, ["exact", "later", "soon"]);
    let with_offset = exact.replace('Z', "+00:00");
    assert_eq!(names(&admin, &[("expiresBefore", &with_offset)]).await, ["soon"]);
    server.clock.turn(TimeDelta::minutes(15));
    let soon = at(20);
    assert_eq!(names(&admin, &[("expiresBefore", &soon)]).await, ["exact", "soon"], "expired keys too");
    assert_eq!(names(&admin, &[("expiresBefore", &soon), ("status", "active")]).await, ["exact"]);
    for bad in ["", "tomorrow", "2026-01-01", "2026-01-01T00:00:00", "90"] {
        assert_eq!(admin.get(&list_path(&[("expiresBefore", bad)])).await.bad_fields(), ["expiresBefore"], "{bad:?}");
    }
}

#[tokio::test]
async fn all_filters_together_select_the_keys_that_match_each() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let user = admin.create("probe", "read").await;
    let user = admin.get(&user.path()).await.expect(200)["createdBy"].as_str().unwrap().to_owned();
    let end = format_timestamp(server.clock.now() + TimeDelta::days(100));
    for (name, scopes, ends) in [
        ("Sync one", "admin", true),
        ("Sync two", "read", true),
        ("Sync three", "admin", false),
        ("Other", "admin", true),
    ] {
        admin.create_with(&json!({"name": name, "scopes": scopes, "expiresAt": ends.then_some(&end)})).await;
    }
    server.clock.turn(TimeDelta::days(40));
    let admin = server.admin("acme"); // the token has expired
    let until = format_timestamp(server.clock.now() + TimeDelta::days(90));
    let all = [
        ("search", "SYNC"),
        ("status", "active"),
        ("scope", "admin"),
        ("createdBy", &user),
        ("expiresBefore", &until),
        ("unusedForDays", "30"),
        ("sort", "name"),
    ];
    assert_eq!(names(&admin, &all).await, ["Sync one"]);
    let paged = admin.get(&list_path(&[&all[..], &[("limit", "1")]].concat())).await;
    assert_eq!((paged.header("x-total-count"), next_page_path(&paged)), ("1", None));
    for left_out in 0..6 {
        let mut others = all.to_vec();
        others.remove(left_out);
        let reply = admin.get(&list_path(&[&others[..], &[("limit", "1")]].concat())).await;
        let total: usize = reply.header("x-total-count").parse().unwrap();
        assert_eq!(names(&admin, &others).await.len(), total);
        assert_eq!(total, if [0, 2, 4].contains(&left_out) { 2 } else { 1 }, "without {:?}", all[left_out]);
        // The next page has all of them too.
        let pages =
            follow_links(&admin, list_path(&[&others[..], &[("limit", "1")]].concat()), &total.to_string()).await;
        assert_eq!(pages.len(), total);
    }
    let bad = "search=%00&status=x&scope=x&createdBy=&expiresBefore=x&unusedForDays=0&sort=x&limit=0&cursor=x&more=1";
    let fields = admin.get(&format!("{PATH}?{bad}")).await.bad_fields();
    let expected =
        ["createdBy", "cursor", "expiresBefore", "limit", "more", "scope", "search", "sort", "status", "unusedForDays"];
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn more_than_1000_matching_keys_are_not_counted() {
    let server = TestServer::start().await;
    insert_keys(&server, 1_000).await;
    let admin = server.admin("acme");
    let total = async |query: &str| {
        let reply = admin.get(&format!("{PATH}?limit=2&{query}")).await;
        assert_eq!(reply.expect(200).as_array().unwrap().len(), 2);
        assert!(next_page_path(&reply).is_some());
        reply.headers.get("x-total-count").map(|total| total.to_str().unwrap().to_owned())
    };
    let filters = ["search=key", "search=y", "scope=read", "status=active", "search=key&status=active,expired"];
    for filter in filters {
        assert_eq!(total(filter).await.as_deref(), Some("1000"), "{filter}");
    }
    admin.create("One key more", "read").await;
    for filter in filters {
        for sort in ["-createdAt", "name", "-lastUsedAt", "lastUsedAt", "expiresAt"] {
            assert_eq!(total(&format!("{filter}&sort={sort}")).await, None, "{filter} {sort}");
        }
    }
    assert_eq!(total("").await.as_deref(), Some("1001"), "without a filter, all are counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_are_created_at_once_are_all_counted() {
    let server = TestServer::start().await;
    let sibling = server.sibling(&[]).await;
    let (one, other) = (server.admin("acme"), sibling.admin("acme"));
    let create = async |admin: &crate::client::Client| {
        for n in 0..10 {
            admin.create(&format!("Key {n}"), "read").await;
        }
    };
    tokio::join!(create(&one), create(&one), create(&other), create(&other));
    // A creation that is refused is not counted.
    assert_eq!(one.post(PATH, &json!({"name": ""})).await.status, 400);
    let listed = one.get(&format!("{PATH}?limit=1")).await;
    assert_eq!(listed.header("x-total-count"), "40");
    let counted = "SELECT h.keys FROM api_key_event_heads h JOIN tenants t ON t.id = h.tenant_id WHERE t.slug = 'acme'";
    assert_eq!(server.database.count(counted).await, server.database.count("SELECT count(*) FROM api_keys").await);
}

/// Under row-level security, and chosen by PostgreSQL itself: a condition that is not leakproof is evaluated after the
/// policies, on each row, unless it is a part of them.
#[tokio::test]
async fn a_search_uses_its_index_under_row_level_security() {
    let server = TestServer::start().await;
    insert_keys(&server, 5_000).await;
    let mut connection = server.database.connect().await;
    connection.execute("ANALYZE api_key_texts; SET ROLE rally_app; SET enable_seqscan = off").await.unwrap();
    let tenant = server.database.acme;
    let mut plan = async |set: &str, condition: &str| {
        connection.execute(AssertSqlSafe(format!("SET rally.tenant_id = '{tenant}'; {set}"))).await.unwrap();
        let explain =
            format!("EXPLAIN SELECT key_id FROM public.api_key_texts WHERE tenant_id = '{tenant}' {condition}");
        sqlx::query_scalar::<_, String>(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap().join("\n")
    };
    let by_policy = plan("SET rally.search = '%4321%'", "").await;
    assert!(by_policy.contains("Bitmap Index Scan on api_key_texts_trigrams"), "{by_policy}");
    // The negative control.
    let by_statement = plan("RESET rally.search", "AND text LIKE '%4321%'").await;
    assert!(!by_statement.contains("api_key_texts_trigrams"), "{by_statement}");
}

/// The setting of a search ends with its transaction, and other tenants' keys are never found.
#[tokio::test]
async fn a_search_finds_only_the_tenants_own_keys() {
    let server = TestServer::start().await;
    let (ours, theirs) = (server.admin("acme"), server.admin("globex"));
    ours.create("Zapier ours", "read").await;
    let foreign = theirs.create("Zapier theirs", "read").await;
    assert_eq!(names(&ours, &[("search", "zapier")]).await, ["Zapier ours"]);
    assert_eq!(names(&ours, &[("search", "theirs"), ("limit", "5")]).await, [""; 0]);
    assert_eq!(names(&ours, &[("search", &foreign.secret[36..]), ("limit", "5")]).await, [""; 0]);
    let counted = ours.get(&list_path(&[("search", "zapier"), ("limit", "5")])).await;
    assert_eq!(counted.header("x-total-count"), "1");
    assert_eq!(names(&theirs, &[("limit", "5")]).await, ["Zapier theirs"]);
}

#[tokio::test]
async fn a_search_finds_texts_of_descriptions() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let described = json!({"name": "Zapier Sync", "description": "Nachtlauf:\nÄPFEL nach Köln"});
    let key = admin.create_with(&described).await;
    admin.create("Other", "read").await;
    for (search, found) in [
        ("äpfel NACH", true),
        ("köln", true),
        ("zapier", true),
        ("nachtlauf", true),
        ("sync nacht", false),
        ("apfel", false),
    ] {
        for limit in ["1", "100"] {
            let expected: &[&str] = if found { &["Zapier Sync"] } else { &[] };
            assert_eq!(names(&admin, &[("search", search), ("limit", limit)]).await, expected, "{search}");
        }
        assert_eq!(names(&admin, &[("search", search)]).await.len(), usize::from(found), "{search}");
    }
    admin.patch(&key.path(), &json!({"description": "Tageslauf"})).await.expect(200);
    assert_eq!(names(&admin, &[("search", "tages"), ("limit", "5")]).await, ["Zapier Sync"]);
    assert_eq!(names(&admin, &[("search", "äpfel"), ("limit", "5")]).await, [""; 0]);
    admin.patch(&key.path(), &json!({"description": null, "name": "Renamed"})).await.expect(200);
    assert_eq!(names(&admin, &[("search", "tages"), ("limit", "5")]).await, [""; 0]);
    assert_eq!(names(&admin, &[("search", "renamed"), ("limit", "5")]).await, ["Renamed"]);
}

#[tokio::test]
async fn a_status_filter_selects_suspended_keys_until_their_suspension_ends() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for name in ["working", "paused", "paused for good"] {
        admin.create(name, "read").await;
        server.clock.turn(TimeDelta::seconds(1));
    }
    let until = format_timestamp(server.clock.now() + TimeDelta::minutes(10));
    let suspend = format!(
        "UPDATE api_keys SET suspended_at = now(), suspended_until = '{until}' WHERE name = 'paused';
         UPDATE api_keys SET suspended_at = now() WHERE name = 'paused for good'"
    );
    server.database.execute(&suspend).await;
    let listed = async |status: &str| {
        let path = list_path(&[("status", status), ("limit", "1")]);
        let total = admin.get(&path).await.header("x-total-count").to_owned();
        let names = names(&admin, &[("status", status)]).await;
        assert_eq!(names.len().to_string(), total);
        names
    };
    assert_eq!(listed("suspended").await, ["paused for good", "paused"]);
    assert_eq!(listed("active").await, ["working"]);
    server.clock.turn(TimeDelta::minutes(11));
    assert_eq!(listed("suspended").await, ["paused for good"]);
    assert_eq!(listed("active").await, ["paused", "working"]);
}
