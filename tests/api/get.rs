//! `GET /api/v1/api-keys/{id}` and `GET /api/v1/api-keys/self`

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Client, PATH, Reply, send},
    harness::TestServer,
};

const SELF: &str = "/api/v1/api-keys/self";
const UNKNOWN: &str = "/api/v1/api-keys/a1b2c3d4-e5f6-7890-abcd-ef1234567890";

async fn get_in_request(client: &Client, path: &str, request_id: &str) -> Reply {
    send(client.request(Method::GET, path).header("x-request-id", request_id)).await
}

#[tokio::test]
async fn a_key_is_returned_without_its_secret() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let body = json!({"name": "Zapier Sync", "scopes": "read,write", "expiresAt": "2099-01-01T00:00:00Z"});
    let key = admin.create_with(&body).await;
    let reply = admin.get(&key.path()).await;
    let mut shown = reply.expect(200);
    let created_at = shown["createdAt"].take();
    let created_at = chrono::DateTime::parse_from_rfc3339(created_at.as_str().unwrap()).unwrap();
    let age = server.clock.now().signed_duration_since(created_at);
    assert!(age >= chrono::TimeDelta::zero() && age < chrono::TimeDelta::minutes(1), "{age}");
    assert_eq!(
        shown,
        json!({
            "id": key.id,
            "keyPrefix": "rk_live_",
            "name": "Zapier Sync",
            "scopes": "read,write",
            "expiresAt": "2099-01-01T00:00:00Z",
            "lastUsedAt": null,
            "isActive": true,
            "createdAt": null,
            "createdBy": "admin@acme.com",
            "keyHint": format!("rk_live_…{}", &key.secret[36..]),
            "revokedAt": null,
            "status": "active",
            "rotation": null,
            "description": null,
            "suspendedUntil": null,
            "allowedAddresses": [],
            "rateLimit": null,
            "quota": null,
        })
    );
    assert!(!reply.body.contains(&key.secret[8..]), "{reply:?}");
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn the_list_contains_the_same_representation() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    assert_eq!(admin.get(PATH).await.expect(200), json!([admin.get(&key.path()).await.expect(200)]));
}

#[tokio::test]
async fn an_unknown_id_is_not_found() {
    let server = TestServer::start().await;
    server.admin("acme").get(UNKNOWN).await.refused(404, "key_not_found");
}

#[tokio::test]
async fn an_id_of_another_tenant_gets_the_same_response_as_an_unknown_id() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    let other = server.admin("globex");
    let theirs = get_in_request(&other, &key.path(), "the-same").await;
    let unknown = get_in_request(&other, UNKNOWN, "the-same").await;
    theirs.refused(404, "key_not_found");
    assert_eq!(theirs.body, unknown.body);
    let names = |reply: &Reply| -> Vec<String> { reply.headers.keys().map(ToString::to_string).collect() };
    assert_eq!(names(&theirs), names(&unknown));
}

#[tokio::test]
async fn a_malformed_id_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    for id in [
        "7",
        "selfie",
        "SELF",
        "null",
        &key.id.replace('-', ""),
        &format!("{{{}}}", key.id),
        &format!("urn:uuid:{}", key.id),
        &format!("{}x", key.id),
        &format!("%20{}", key.id),
        &key.id[1..],
        &key.id.replace('-', "_"),
        "a1b2c3d4-e5f6-7890-abcd-ef123456789g",
        "%00",
        "%ff",
        &"a".repeat(2000),
    ] {
        assert_eq!(admin.get(&format!("{PATH}/{id}")).await.bad_fields(), ["id"], "{id}");
    }
}

#[tokio::test]
async fn a_secret_in_the_path_is_not_repeated_in_the_error() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let reply = admin.get(&format!("{PATH}/{}", key.secret)).await;
    assert_eq!(reply.bad_fields(), ["id"]);
    assert!(!reply.body.contains(&key.secret), "{reply:?}");
}

#[tokio::test]
async fn an_upper_case_id_finds_the_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let shown = admin.get(&format!("{PATH}/{}", key.id.to_uppercase())).await.expect(200);
    assert_eq!(shown["id"], key.id, "the id is not in lower case");
}

#[tokio::test]
async fn a_key_of_any_scope_may_read_itself() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for scopes in ["read", "write", "admin"] {
        let key = admin.create("Zapier Sync", scopes).await;
        let itself = admin.with_key(&key.secret);
        for path in [SELF.to_owned(), key.path(), format!("{PATH}/{}", key.id.to_uppercase())] {
            let reply = itself.get(&path).await;
            assert_eq!(reply.expect(200)["id"], key.id, "{path}");
            reply.header("etag");
        }
    }
}

#[tokio::test]
async fn a_user_at_the_self_endpoint_is_refused() {
    let server = TestServer::start().await;
    for scopes in ["admin", "read", ""] {
        server.user("acme", scopes).get(SELF).await.refused(403, "key_required");
    }
}

#[tokio::test]
async fn a_key_of_any_scope_may_read_other_keys() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let other = admin.create("Zapier Sync", "admin").await;
    for scopes in ["read", "write", "admin"] {
        let caller = admin.with_key(&admin.create("Reader", scopes).await.secret);
        assert_eq!(caller.get(&other.path()).await.expect(200)["id"], other.id, "{scopes}");
    }
}

#[tokio::test]
async fn a_user_without_scopes_is_refused() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    let user = server.user("acme", "");
    for path in [key.path(), UNKNOWN.to_owned(), PATH.to_owned()] {
        let reply = user.get(&path).await;
        assert_eq!(reply.refused(403, "insufficient_scope")["requiredScope"], "read", "{path}");
        assert!(reply.header("www-authenticate").contains(r#"scope="read""#), "{reply:?}");
    }
}

#[tokio::test]
async fn revoked_and_expired_keys_are_returned_with_their_status() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = rally_api_keys::domain::format_timestamp(server.clock.now() + chrono::TimeDelta::minutes(30));
    let (revoked, expired) = (
        admin.create("Zapier Sync", "read").await,
        admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await,
    );
    admin.delete(&revoked.path()).await.expect(204);
    server.clock.turn(chrono::TimeDelta::minutes(31));
    let shown = admin.get(&revoked.path()).await.expect(200);
    assert_eq!((&shown["status"], &shown["isActive"]), (&json!("revoked"), &json!(false)));
    assert!(shown["revokedAt"].as_str().unwrap().ends_with('Z'));
    let shown = admin.get(&expired.path()).await.expect(200);
    assert_eq!((&shown["status"], &shown["isActive"]), (&json!("expired"), &json!(false)));
    assert_eq!(shown["revokedAt"], Value::Null);
}
