//! The three examples of the published reference page: their requests, and the JSON of the responses.

use serde_json::{Value, json};

use crate::{
    client::{PATH, send},
    harness::TestServer,
};

fn property_names(object: &Value, body: &str) -> Vec<String> {
    // serde_json's map is sorted, so the order is taken from the text.
    let mut names: Vec<String> = object.as_object().unwrap().keys().cloned().collect();
    names.sort_by_key(|name| body.find(&format!("\"{name}\":")).unwrap());
    names
}

/// The create example, with an `expiresAt` in the future.
#[tokio::test]
async fn the_create_example_returns_the_documented_properties() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let request = admin.request(reqwest::Method::POST, PATH).header("content-type", "application/json").body(
        r#"{
    "name": "Zapier Sync",
    "scopes": "read,write",
    "expiresAt": "2099-01-01T00:00:00Z"
  }"#,
    );
    let reply = send(request).await;
    let created = reply.expect(201);
    assert_eq!(
        property_names(&created, &reply.body),
        [
            "id",
            "key",
            "keyPrefix",
            "name",
            "scopes",
            "expiresAt",
            "createdAt",
            "keyHint",
            "description",
            "suspendedUntil",
            "allowedAddresses",
            "rateLimit",
            "quota",
        ]
    );
    assert_eq!(created["keyPrefix"], "rk_live_");
    assert_eq!(created["name"], "Zapier Sync");
    assert_eq!(created["scopes"], "read,write");
    assert_eq!(created["expiresAt"], "2099-01-01T00:00:00Z");
    let key = created["key"].as_str().unwrap();
    assert_eq!(key.len(), 40);
    assert!(key[8..].bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{key}");
    assert_eq!(created["keyHint"], format!("rk_live_…{}", &key[36..]));
    let url = format!("http://acme.localhost{PATH}/{}", created["id"].as_str().unwrap());
    assert_eq!(reply.header("location"), url);
    assert!(created["createdAt"].as_str().unwrap().ends_with('Z'));
}

/// The list example: with a key as credential, and without the secret in the response.
#[tokio::test]
async fn the_list_example_returns_the_documented_properties() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let created = admin
        .create_with(&json!({"name": "Zapier Sync", "scopes": "read,write", "expiresAt": "2099-01-01T00:00:00Z"}))
        .await;
    let reply = admin.with_key(&created.secret).get(PATH).await;
    let list = reply.expect(200);
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(
        property_names(&list[0], &reply.body),
        [
            "id",
            "keyPrefix",
            "name",
            "scopes",
            "expiresAt",
            "lastUsedAt",
            "isActive",
            "createdAt",
            "createdBy",
            "keyHint",
            "revokedAt",
            "status",
            "rotation",
            "description",
            "suspendedUntil",
            "allowedAddresses",
            "rateLimit",
            "quota",
        ]
    );
    assert_eq!(list[0]["id"], created.id);
    assert_eq!(list[0]["isActive"], true);
    assert_eq!(list[0]["createdBy"], "admin@acme.com");
    assert_eq!(list[0]["expiresAt"], "2099-01-01T00:00:00Z");
    assert!(!reply.body.contains(&created.secret));
}

/// The revoke example: with another key as credential, which needs the admin scope.
#[tokio::test]
async fn the_revoke_example_revokes_the_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let caller = admin.create("Admin", "admin").await;
    let revoked = admin.create("Zapier Sync", "read").await;
    let reply = admin.with_key(&caller.secret).delete(&revoked.path()).await;
    assert_eq!(reply.expect(204), Value::Null);
    admin.with_key(&revoked.secret).get(PATH).await.refused(401, "key_revoked");
    let key = admin.get(&revoked.path()).await.expect(200);
    assert_eq!((&key["isActive"], &key["status"]), (&json!(false), &json!("revoked")));
}
