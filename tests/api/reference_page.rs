//! The published reference page, to the letter: its three requests and its JSON.

use serde_json::{Value, json};

use crate::{
    client::{PATH, send},
    harness::TestServer,
};

fn property_names(object: &Value, body: &str) -> Vec<String> {
    // serde_json's map sorts; the order is read off the text.
    let mut names: Vec<String> = object.as_object().unwrap().keys().cloned().collect();
    names.sort_by_key(|name| body.find(&format!("\"{name}\":")).unwrap());
    names
}

/// The page's create example, at a time when its `expiresAt` is in the future.
#[tokio::test]
async fn create_an_api_key() {
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
        ["id", "key", "keyPrefix", "name", "scopes", "expiresAt", "createdAt", "keyHint"]
    );
    assert_eq!(created["keyPrefix"], "rk_live_");
    assert_eq!(created["name"], "Zapier Sync");
    assert_eq!(created["scopes"], "read,write");
    assert_eq!(created["expiresAt"], "2099-01-01T00:00:00Z");
    let key = created["key"].as_str().unwrap();
    assert_eq!(key.len(), 40);
    assert!(key[8..].bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{key}");
    assert_eq!(created["keyHint"], format!("rk_live_…{}", &key[36..]));
    assert_eq!(reply.header("location"), format!("{PATH}/{}", created["id"].as_str().unwrap()));
    assert!(created["createdAt"].as_str().unwrap().ends_with('Z'));
}

/// The page's list example: with a key, and without the secret in the answer.
#[tokio::test]
async fn list_api_keys() {
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
            "rotation"
        ]
    );
    assert_eq!(list[0]["id"], created.id);
    assert_eq!(list[0]["isActive"], true);
    assert_eq!(list[0]["createdBy"], "admin@acme.com");
    assert_eq!(list[0]["expiresAt"], "2099-01-01T00:00:00Z");
    assert!(!reply.body.contains(&created.secret));
}

/// The page's revoke example: by a key, which needs the scope to revoke another.
#[tokio::test]
async fn revoke_an_api_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let caller = admin.create("Admin", "admin").await;
    let victim = admin.create("Zapier Sync", "read").await;
    let reply = admin.with_key(&caller.secret).delete(&victim.path()).await;
    assert_eq!(reply.expect(204), Value::Null);
    admin.with_key(&victim.secret).get(PATH).await.refused(401, "key_revoked");
    let key = admin.get(&victim.path()).await.expect(200);
    assert_eq!((&key["isActive"], &key["status"]), (&json!(false), &json!("revoked")));
}
