//! Isolation of tenants in the API, and suspended tenants.

use chrono::{TimeDelta, Utc};
use rally_api_keys::{domain::Slug, store::TenantAdmin};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::{TestDatabase, TestServer, sign, wait_until},
};

/// All rows of a tenant, as text.
async fn everything_of(database: &TestDatabase, tenant: rally_api_keys::domain::TenantId) -> Vec<String> {
    let mut rows = Vec::new();
    for table in ["api_keys", "api_key_secrets", "api_key_events"] {
        let sql = format!("SELECT t::text FROM {table} t WHERE tenant_id = '{tenant}' ORDER BY 1");
        rows.extend(database.texts(&sql).await);
    }
    assert!(rows.len() >= 3, "{rows:?}");
    rows
}

/// Calls on one key, with valid and invalid bodies.
const CALLS: &[(&str, Option<&str>)] = &[
    ("GET", None),
    ("DELETE", None),
    ("PATCH", Some(r#"{"name": "Taken over"}"#)),
    ("PATCH", Some(r#"{"scopes": "read", "expiresAt": null}"#)),
    ("PATCH", Some("{}")),
    ("PATCH", Some(r#"{"name": ""}"#)),
    ("PATCH", Some("{")),
];

async fn call(client: &Client, (method, body): (&str, Option<&str>), id: &str) -> Reply {
    let mut request = client.request(method.parse::<Method>().unwrap(), &format!("{PATH}/{id}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_owned());
    }
    send(request).await
}

#[tokio::test]
async fn another_tenants_key_is_not_found_and_does_not_change() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let by_key = acme.with_key(&acme.create("Admin", "admin").await.secret);
    let theirs = globex.create("Theirs", "read").await;
    let revoked = globex.create("Theirs too", "read").await;
    globex.delete(&revoked.path()).await.expect(204);
    let before = everything_of(&server.database, server.database.globex).await;

    for client in [&acme, &by_key] {
        for what in CALLS {
            let unknown = call(client, *what, &Uuid::now_v7().to_string()).await;
            assert!(unknown.status.is_client_error(), "{what:?}: {unknown:?}");
            for id in [theirs.id.clone(), theirs.id.to_uppercase(), revoked.id.clone()] {
                let reply = call(client, *what, &id).await;
                assert_eq!(reply.apart_from_request_id(), unknown.apart_from_request_id(), "{what:?}");
            }
        }
        // With a valid body the response is 404.
        for what in &CALLS[..5] {
            call(client, *what, &theirs.id).await.refused(404, "key_not_found");
        }
        // Neither does If-Match reveal that the key exists.
        for tag in ["*", "\"1\"", "\"2\"", "\"0\""] {
            let patch = |id: &str| {
                let path = format!("{PATH}/{id}");
                send(client.request(Method::PATCH, &path).header("if-match", tag).json(&json!({"name": "x"})))
            };
            let unknown = patch(&Uuid::now_v7().to_string()).await;
            assert_eq!(patch(&theirs.id).await.apart_from_request_id(), unknown.apart_from_request_id(), "{tag}");
        }
    }
    assert_eq!(everything_of(&server.database, server.database.globex).await, before);
    globex.with_key(&theirs.secret).get(PATH).await.expect(200);
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_and_totals_contain_only_the_tenants_own_keys() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let mine = acme.create("Mine", "admin").await;
    for _ in 0..3 {
        globex.create("Theirs", "admin").await;
    }
    for client in [&acme, &acme.with_key(&mine.secret)] {
        assert_eq!(names(&client.get(PATH).await.expect(200)), ["Mine"]);
        assert_eq!(client.get(&format!("{PATH}?search=Theirs")).await.expect(200), json!([]));
        let page = client.get(&format!("{PATH}?limit=1")).await;
        assert_eq!(names(&page.expect(200)), ["Mine"]);
        assert_eq!(page.header("x-total-count"), "1");
        assert!(!page.headers.contains_key("link"), "{page:?}");
    }
    // A cursor from another tenant's list is a position in the caller's own list.
    let page = globex.get(&format!("{PATH}?limit=1")).await;
    assert_eq!(page.header("x-total-count"), "3");
    let link = page.header("link");
    let next = link.split_once("<http://globex.localhost").and_then(|(_, rest)| rest.split_once('>')).unwrap().0;
    assert_eq!(names(&acme.get(next).await.expect(200)), ["Mine"]);
    assert_eq!(names(&globex.get(next).await.expect(200)), ["Theirs"]);
}

#[tokio::test]
async fn a_secret_is_unknown_at_another_tenants_host() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let key = acme.create("Mine", "admin").await;
    let unknown = globex.with_key("rk_live_00000000000000000000000000000000");
    let there = globex.with_key(&key.secret);
    acme.with_key(&key.secret).get(PATH).await.expect(200);
    for path in [PATH.to_owned(), key.path(), format!("{PATH}/self")] {
        let reply = there.get(&path).await;
        reply.refused(401, "invalid_key");
        assert_eq!(reply.apart_from_request_id(), unknown.get(&path).await.apart_from_request_id());
    }
    there.delete(&format!("{PATH}/self")).await.refused(401, "invalid_key");
    acme.with_key(&key.secret).get(PATH).await.expect(200);
    // The other host does not reveal that the key is revoked.
    acme.delete(&key.path()).await.expect(204);
    there.get(PATH).await.refused(401, "invalid_key");
}

/// A database that was copied in part can contain such keys.
#[tokio::test]
async fn keys_with_the_same_id_in_two_tenants_are_independent() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let key = acme.create("Mine", "read").await;
    let CreatedKey { id, secret } = &key;
    let database = &server.database;
    database
        .execute(&format!(
            "INSERT INTO api_keys (tenant_id, id, name, folded_name, scopes, created_at, last4)
             VALUES ('{}', '{id}', 'Theirs', 'theirs', 'admin', now(), '0000');
             INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
             VALUES ('{0}', '\\x00112233445566778899aabbccddeeff', '{id}', '$argon2id$v=19$', '0000', now())",
            database.globex
        ))
        .await;
    globex.patch(&key.path(), &json!({"name": "Still theirs"})).await.expect(200);
    assert_eq!(acme.get(&key.path()).await.expect(200)["name"], "Mine");
    globex.delete(&key.path()).await.expect(204);
    assert_eq!(acme.get(&key.path()).await.expect(200)["status"], "active");
    assert_eq!(acme.with_key(secret).get(&format!("{PATH}/self")).await.expect(200)["scopes"], "read");
    assert_eq!(globex.get(&key.path()).await.expect(200)["status"], "revoked");
}

#[tokio::test]
async fn a_suspended_tenant_is_not_found_until_it_is_resumed() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let key = acme.create("Zapier", "admin").await;
    let by_key = acme.with_key(&key.secret);
    let elsewhere = globex.with_key(&globex.create("Zapier", "read").await.secret);
    let mut operator = TenantAdmin::connect(&server.database.url().await).await.unwrap();
    let slug = Slug::parse("acme").unwrap();
    for _ in 0..3 {
        for client in [&acme, &by_key] {
            client.get(PATH).await.expect(200);
        }
        assert!(operator.set_suspended(&slug, Some(Utc::now())).await.unwrap());
        for client in [&acme, &by_key] {
            wait_until(async || client.get(PATH).await.status == 404).await;
            client.get(PATH).await.refused(404, "tenant_not_found");
            client.post(PATH, &json!({"name": "New"})).await.refused(404, "tenant_not_found");
            client.delete(&key.path()).await.refused(404, "tenant_not_found");
        }
        for client in [&globex, &elsewhere] {
            client.get(PATH).await.expect(200);
        }
        assert!(operator.set_suspended(&slug, None).await.unwrap());
        wait_until(async || acme.get(PATH).await.status == 200).await;
    }
    let list = acme.get(PATH).await.expect(200);
    assert_eq!(names(&list), ["Zapier"]);
    by_key.get(PATH).await.expect(200);
}

/// A token's tenant claim is a slug or an id. If a slug could be another tenant's id, the tokens of one tenant would be
/// accepted for the other.
#[tokio::test]
async fn a_slug_in_the_form_of_an_id_is_refused() {
    let server = TestServer::start().await;
    let acme_id = server.database.acme.to_string();
    let mut operator = TenantAdmin::connect(&server.database.url().await).await.unwrap();
    if let Ok(slug) = Slug::parse(&acme_id) {
        let outcome = operator.create_tenant(&slug, "An impostor", Utc::now()).await;
        assert!(!matches!(outcome, Ok(Some(_))), "a tenant exists whose tokens are accepted for acme");
    }
}

#[tokio::test]
async fn a_token_names_its_tenant_by_the_external_id_until_that_changes() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let mut operator = TenantAdmin::connect(&server.database.url().await).await.unwrap();
    let acme = Slug::parse("acme").unwrap();
    let token = sign(&json!({
        "sub": "42", "tenant": "org_8fQ2", "scope": "admin", "exp": (server.clock.now() + TimeDelta::hours(1)).timestamp(),
    }));
    let client = |slug: &str| server.client(slug, Credential::Bearer(token.clone()));
    client("acme").get(PATH).await.refused(403, "wrong_tenant");
    assert!(operator.set_external_id(&acme, Some("org_8fQ2")).await.unwrap().unwrap());
    wait_until(async || client("acme").get(PATH).await.status == 200).await;
    client("globex").get(PATH).await.refused(403, "wrong_tenant");
    // The token is cached by now.
    assert!(operator.set_external_id(&acme, None).await.unwrap().unwrap());
    wait_until(async || client("acme").get(PATH).await.status == 403).await;
    client("acme").get(PATH).await.refused(403, "wrong_tenant");
}

/// A token's tenant claim is a slug, an id or an external id. One tenant's must not be another's of another kind.
#[tokio::test]
async fn an_external_id_that_names_another_tenant_is_refused() {
    let server = TestServer::start().await;
    let mut operator = TenantAdmin::connect(&server.database.url().await).await.unwrap();
    let (acme, globex) = (Slug::parse("acme").unwrap(), Slug::parse("globex").unwrap());
    assert!(operator.set_external_id(&globex, Some("initech")).await.unwrap().unwrap());
    let globex_id = server.database.globex.to_string();
    for taken in ["globex", &globex_id, &globex_id.to_uppercase(), "initech"] {
        assert!(operator.set_external_id(&acme, Some(taken)).await.unwrap().is_err(), "{taken}");
        let slug = Slug::parse("umbrella").unwrap();
        let created = operator.create_tenant_known_as(&slug, "Umbrella", Some(taken), Utc::now()).await.unwrap();
        assert!(created.is_err(), "{taken}");
    }
    let initech = Slug::parse("initech").unwrap();
    assert!(
        operator.create_tenant(&initech, "Initech", Utc::now()).await.unwrap().is_none(),
        "a slug is an external id"
    );
    let own = [server.database.acme.to_string(), "acme".to_owned(), "org_8fQ2".to_owned()];
    for free in &own {
        assert!(operator.set_external_id(&acme, Some(free)).await.unwrap().unwrap(), "{free}");
    }
    let ids = server.database.texts("SELECT external_id FROM tenants WHERE external_id IS NOT NULL ORDER BY 1").await;
    assert_eq!(ids, ["initech", "org_8fQ2"]);
}
