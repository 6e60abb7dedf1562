//! `DELETE /api/v1/api-keys/{id}` and `DELETE /api/v1/api-keys/self`

use chrono::TimeDelta;
use rally_api_keys::domain::format_timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    client::{Client, CreatedKey, PATH},
    harness::TestServer,
};

const SELF: &str = "/api/v1/api-keys/self";
const UNKNOWN: &str = "/api/v1/api-keys/a1b2c3d4-e5f6-7890-abcd-ef1234567890";

/// The key's events but the first, its creation.
async fn events_since(server: &TestServer, key: &CreatedKey) -> Vec<Value> {
    let query = format!(
        "SELECT kind, actor, host(address) AS address, details FROM api_key_events
         WHERE key_id = '{}' AND kind NOT IN ('created', 'secret_reused') ORDER BY occurred_at, id",
        key.id
    );
    server.database.rows(&query).await
}

fn revoked_by(actor: &str) -> Value {
    json!({"kind": "revoked", "actor": actor, "address": "127.0.0.1", "details": {}})
}

/// Whatever the key's secret asks for is refused with that code.
async fn is_dead(client: &Client, key: &CreatedKey, code: &str) {
    let bearer = client.with(crate::client::Credential::Bearer(key.secret.clone()));
    for dead in [client.with_key(&key.secret), bearer] {
        dead.get(PATH).await.refused(401, code);
        dead.get(&key.path()).await.refused(401, code);
        dead.get(SELF).await.refused(401, code);
        dead.post(PATH, &json!({"name": "Zapier Sync"})).await.refused(401, code);
        dead.patch(&key.path(), &json!({"name": "Zapier Sync"})).await.refused(401, code);
        dead.delete(&key.path()).await.refused(401, code);
        dead.delete(SELF).await.refused(401, code);
    }
}

// ---- Revoking

#[tokio::test]
async fn a_revoked_key_is_refused_at_the_next_request() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for scopes in ["read", "write", "admin"] {
        let key = admin.create("Zapier Sync", scopes).await;
        admin.with_key(&key.secret).get(PATH).await.expect(200);
        assert_eq!(admin.delete(&key.path()).await.expect(204), Value::Null);
        is_dead(&admin, &key, "key_revoked").await;
    }
}

#[tokio::test]
async fn its_row_stays() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let mut expected = admin.get(&key.path()).await.expect(200);
    admin.delete(&key.path()).await.expect(204);
    let shown = admin.get(&key.path()).await.expect(200);
    let revoked_at = shown["revokedAt"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    assert!((server.clock.now() - revoked_at).abs() < TimeDelta::minutes(1), "{revoked_at}");
    expected["isActive"] = json!(false);
    expected["status"] = json!("revoked");
    expected["revokedAt"] = shown["revokedAt"].clone();
    assert_eq!(shown, expected);
    assert_eq!(admin.get(PATH).await.expect(200), json!([shown]));
    assert_eq!(events_since(&server, &key).await, [revoked_by("admin@acme.com")]);
}

#[tokio::test]
async fn again_is_204_again_and_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    admin.delete(&key.path()).await.expect(204);
    let first = admin.get(&key.path()).await;
    server.clock.turn(TimeDelta::minutes(5));
    admin.delete(&key.path()).await.expect(204);
    let second = admin.get(&key.path()).await;
    assert_eq!(first.expect(200), second.expect(200), "revokedAt included");
    assert_eq!(first.header("etag"), second.header("etag"));
    assert_eq!(events_since(&server, &key).await.len(), 1);
}

/// Another instance may have revoked the key a moment ago, with the notification still on its way.
#[tokio::test]
async fn an_acknowledged_revocation_is_in_force_here_although_another_instance_made_it() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let check = async || admin.with_key(&key.secret).get("/forward-auth").await;
    assert_eq!(check().await.status, 200);
    let revoke_silently = "ALTER TABLE api_keys DISABLE TRIGGER notify_update; UPDATE api_keys SET revoked_at = now();
                           ALTER TABLE api_keys ENABLE ALWAYS TRIGGER notify_update";
    server.database.execute(revoke_silently).await;
    assert_eq!(check().await.status, 200, "cached");
    admin.delete(&key.path()).await.expect(204);
    assert_eq!(check().await.status, 401);
}

#[tokio::test]
async fn the_other_keys_live_on() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (one, other) = (admin.create("Zapier Sync", "read").await, admin.create("Zapier Sync", "read").await);
    admin.delete(&one.path()).await.expect(204);
    admin.with_key(&other.secret).get(PATH).await.expect(200);
}

#[tokio::test]
async fn what_a_revoked_key_made_lives_on() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let parent = admin.create("Admin", "admin").await;
    let child = admin.with_key(&parent.secret).create("Zapier Sync", "read").await;
    admin.delete(&parent.path()).await.expect(204);
    admin.with_key(&child.secret).get(PATH).await.expect(200);
}

#[tokio::test]
async fn an_expired_key_can_be_revoked() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = format_timestamp(server.clock.now() + TimeDelta::minutes(10));
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    server.clock.turn(TimeDelta::minutes(11));
    is_dead(&admin, &key, "key_expired").await;
    admin.delete(&key.path()).await.expect(204);
    is_dead(&admin, &key, "key_revoked").await;
    assert_eq!(admin.get(&key.path()).await.expect(200)["status"], "revoked");
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_past_its_end() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = format_timestamp(server.clock.now() + TimeDelta::minutes(10));
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    admin.delete(&key.path()).await.expect(204);
    server.clock.turn(TimeDelta::minutes(11));
    let shown = admin.get(&key.path()).await.expect(200);
    assert_eq!((&shown["status"], &shown["isActive"]), (&json!("revoked"), &json!(false)));
    is_dead(&admin, &key, "key_revoked").await;
}

#[tokio::test]
async fn unknown_and_malformed_ids() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    admin.delete(UNKNOWN).await.refused(404, "key_not_found");
    assert_eq!(admin.delete(&format!("{PATH}/7")).await.bad_fields(), ["id"]);
}

#[tokio::test]
async fn anothers_key_is_not_found_and_lives_on() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let key = acme.create("Zapier Sync", "read").await;
    globex.delete(&key.path()).await.refused(404, "key_not_found");
    let their_key = globex.with_key(&globex.create("Admin", "admin").await.secret);
    their_key.delete(&key.path()).await.refused(404, "key_not_found");
    assert_eq!(acme.get(&key.path()).await.expect(200)["status"], "active");
    acme.with_key(&key.secret).get(PATH).await.expect(200);
    assert!(events_since(&server, &key).await.is_empty());
    // Nor is a revoked one there for them.
    acme.delete(&key.path()).await.expect(204);
    globex.delete(&key.path()).await.refused(404, "key_not_found");
}

// ---- Who may

#[tokio::test]
async fn a_key_revokes_itself() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for scopes in ["read", "write", "admin"] {
        for by_id in [None, Some(false), Some(true)] {
            let key = admin.create("Zapier Sync", scopes).await;
            let path = match by_id {
                None => SELF.to_owned(),
                Some(false) => key.path(),
                Some(true) => format!("{PATH}/{}", key.id.to_uppercase()),
            };
            admin.with_key(&key.secret).delete(&path).await.expect(204);
            is_dead(&admin, &key, "key_revoked").await;
            assert_eq!(events_since(&server, &key).await, [revoked_by(&format!("api-key:{}", key.id))]);
        }
    }
}

#[tokio::test]
async fn a_user_has_no_self() {
    let server = TestServer::start().await;
    server.admin("acme").delete(SELF).await.refused(403, "key_required");
}

#[tokio::test]
async fn another_key_needs_admin() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let mut callers = vec![server.user("acme", "read write"), server.user("acme", "")];
    for scopes in ["read", "write"] {
        callers.push(admin.with_key(&admin.create("Caller", scopes).await.secret));
    }
    for caller in callers {
        for path in [key.path(), UNKNOWN.to_owned()] {
            let reply = caller.delete(&path).await;
            assert_eq!(reply.refused(403, "insufficient_scope")["requiredScope"], "admin");
            assert!(reply.header("www-authenticate").contains(r#"scope="admin""#), "{reply:?}");
        }
    }
    admin.with_key(&key.secret).get(PATH).await.expect(200);
    assert!(events_since(&server, &key).await.is_empty());

    let caller = admin.create("Admin", "admin").await;
    admin.with_key(&caller.secret).delete(&key.path()).await.expect(204);
    assert_eq!(events_since(&server, &key).await, [revoked_by(&format!("api-key:{}", caller.id))]);
}

// ---- Expiring

#[tokio::test]
async fn a_key_ends_at_the_very_moment() {
    let server = TestServer::start().await;
    let end = server.clock.now() + TimeDelta::minutes(30);
    let admin = server.admin("acme");
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": format_timestamp(end)})).await;
    let itself = admin.with_key(&key.secret);
    server.clock.turn(end - server.clock.now() - TimeDelta::seconds(30)); // time for slow machines
    itself.get(PATH).await.expect(200);
    assert_eq!(admin.get(PATH).await.expect(200)[0]["isActive"], true);
    server.clock.turn(end - server.clock.now());
    is_dead(&admin, &key, "key_expired").await;
    let list = admin.get(PATH).await.expect(200);
    assert_eq!((&list[0]["status"], &list[0]["isActive"]), (&json!("expired"), &json!(false)));
    assert_eq!(list[0]["revokedAt"], Value::Null);
}

// ---- At once

#[tokio::test(flavor = "multi_thread")]
async fn twenty_at_once_are_one_revocation() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (admin, path) = (admin.clone(), key.path());
        tasks.spawn(async move { admin.delete(&path).await.expect(204) });
    }
    tasks.join_all().await;
    assert_eq!(events_since(&server, &key).await, [revoked_by("admin@acme.com")]);
    is_dead(&admin, &key, "key_revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_patch_at_once_never_undoes_it() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for round in 0..20 {
        let key = admin.create("old", "read").await;
        let patch = {
            let (admin, path) = (admin.clone(), key.path());
            tokio::spawn(async move { admin.patch(&path, &json!({"name": "new", "expiresAt": null})).await })
        };
        let delete = {
            let (admin, path) = (admin.clone(), key.path());
            tokio::spawn(async move { admin.delete(&path).await })
        };
        let (patch, delete) = (patch.await.unwrap(), delete.await.unwrap());
        delete.expect(204);
        let was_first = patch.status == 200;
        if !was_first {
            patch.refused(409, "key_revoked");
        }
        let shown = admin.get(&key.path()).await.expect(200);
        assert_eq!(shown["status"], "revoked", "round {round}");
        assert_eq!(shown["name"], if was_first { "new" } else { "old" }, "round {round}");
        let kinds: Vec<Value> = events_since(&server, &key).await.iter().map(|event| event["kind"].clone()).collect();
        assert_eq!(kinds.len(), if was_first { 2 } else { 1 }, "round {round}: {kinds:?}");
        assert!(kinds.contains(&json!("revoked")), "round {round}: {kinds:?}");
        admin.with_key(&key.secret).get(PATH).await.refused(401, "key_revoked");
    }
}
