//! `GET /api/v1/me`

use chrono::TimeDelta;
use rally_api_keys::domain::format_timestamp;
use serde_json::json;

use crate::{
    client::{Credential, PATH},
    harness::TestServer,
};

const ME: &str = "/api/v1/me";

#[tokio::test]
async fn a_user_is_shown_its_name_tenant_and_scopes() {
    let server = TestServer::start().await;
    for (scopes, can_create) in [("read", false), ("write", false), ("admin", true), ("read admin", true)] {
        let me = server.user("acme", scopes).get(ME).await.expect(200);
        let created_by = server.admin("acme").create("Key", "read").await;
        let name = server.admin("acme").get(&created_by.path()).await.expect(200)["createdBy"].clone();
        assert_eq!(me["principal"]["kind"], "user");
        assert!(me["principal"]["name"].is_string() && name.is_string(), "{me}");
        assert_eq!(me["tenant"], json!({"slug": "acme", "name": "A tenant"}));
        assert_eq!((&me["scopes"], &me["canCreate"]), (&json!(scopes.replace(' ', ",")), &json!(can_create)));
    }
    let admin = server.admin("globex");
    let key = admin.create("Key", "read").await;
    let me = admin.get(ME).await.expect(200);
    assert_eq!(me["tenant"]["slug"], "globex");
    assert_eq!(me["principal"]["name"], admin.get(&key.path()).await.expect(200)["createdBy"]);
}

#[tokio::test]
async fn a_key_is_shown_itself_as_it_is_now() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for (scopes, can_create) in [("read", false), ("write", false), ("read,admin", true)] {
        let key = admin.create("Zapier Sync", scopes).await;
        let by_key = admin.with_key(&key.secret);
        let shown = |name: &str, scopes: &str, can_create: bool| {
            json!({
                "principal": {"kind": "api-key", "id": key.id, "name": name},
                "tenant": {"slug": "acme", "name": "A tenant"},
                "scopes": scopes,
                "canCreate": can_create,
            })
        };
        assert_eq!(by_key.get(ME).await.expect(200), shown("Zapier Sync", scopes, can_create));
        admin.patch(&key.path(), &json!({"name": "Renamed", "scopes": "read"})).await.expect(200);
        assert_eq!(by_key.get(ME).await.expect(200), shown("Renamed", "read", false));
    }
}

#[tokio::test]
async fn the_previous_secret_of_an_admin_key_may_not_create() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "admin").await;
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    for (secret, can_create) in [(&*key.secret, false), (rotated["key"].as_str().unwrap(), true)] {
        let by_key = admin.with_key(secret);
        let me = by_key.get(ME).await.expect(200);
        assert_eq!((&me["canCreate"], &me["scopes"]), (&json!(can_create), &json!("admin")));
        let status = by_key.post(PATH, &json!({"name": "New"})).await.status;
        assert_eq!(status == 201, can_create, "what it says is so");
    }
}

#[tokio::test]
async fn a_caller_that_is_not_valid_is_refused_as_on_every_call() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    server.client("acme", Credential::None).get(ME).await.refused(401, "missing_credentials");
    admin.with_key("rk_live_00000000000000000000000000000000").get(ME).await.refused(401, "invalid_key");
    let refused = server.user("acme", "").get(ME).await.refused(403, "insufficient_scope");
    assert_eq!(refused["requiredScope"], "read");
    let of_another = server.client("globex", Credential::Bearer(server.token("acme", "admin"))).get(ME).await;
    of_another.refused(403, "wrong_tenant");
    server.client("unknown", Credential::None).get(ME).await.refused(404, "tenant_not_found");
    let revoked = admin.create("Revoked", "admin").await;
    server.client("globex", Credential::ApiKey(revoked.secret.clone())).get(ME).await.refused(401, "invalid_key");
    admin.delete(&revoked.path()).await.expect(204);
    admin.with_key(&revoked.secret).get(ME).await.refused(401, "key_revoked");
    let end = format_timestamp(server.clock.now() + TimeDelta::minutes(10));
    let expired = admin.create_with(&json!({"name": "Expired", "expiresAt": end})).await;
    server.clock.turn(TimeDelta::minutes(11));
    admin.with_key(&expired.secret).get(ME).await.refused(401, "key_expired");
    assert_eq!(admin.get(&format!("{ME}?verbose=1")).await.bad_fields(), ["verbose"]);
    admin.delete(ME).await.refused(405, "method_not_allowed");
    admin.get(&format!("{ME}/keys")).await.refused(404, "not_found");
}
