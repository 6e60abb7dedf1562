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

/// The key's events, oldest first, without its creation and the uses of its dead secrets.
async fn events_after_creation(server: &TestServer, key: &CreatedKey) -> Vec<Value> {
    let query = format!(
        "SELECT kind, actor, host(address) AS address, details FROM api_key_events
         WHERE key_id = '{}' AND kind NOT IN ('created', 'secret_reused') ORDER BY occurred_at, id",
        key.id
    );
    server.database.rows(&query).await
}

/// What the revocation of a key of these tests took away.
fn revoked(key: &CreatedKey, scopes: &str) -> Value {
    json!({
        "name": "Zapier Sync",
        "keyHint": key.hint(),
        "scopes": scopes,
        "expiresAt": null,
        "allowedAddresses": [],
        "rateLimit": null,
        "quota": null,
    })
}

fn revocation_by_user(user: &str, mut details: Value) -> Value {
    details["actorSubject"] = json!("42");
    json!({"kind": "revoked", "actor": user, "address": "127.0.0.1", "details": details})
}

fn revocation_by_key(caller: &CreatedKey, mut details: Value) -> Value {
    details["actorKeyHint"] = json!(caller.hint());
    let actor = format!("api-key:{}", caller.id);
    json!({"kind": "revoked", "actor": actor, "address": "127.0.0.1", "details": details})
}

/// Asserts that every endpoint refuses the key's secret with that code, in both headers.
async fn assert_refused_everywhere(admin: &Client, key: &CreatedKey, code: &str) {
    let bearer = admin.with(crate::client::Credential::Bearer(key.secret.clone()));
    for client in [admin.with_key(&key.secret), bearer] {
        client.get(PATH).await.refused(401, code);
        client.get(&key.path()).await.refused(401, code);
        client.get(SELF).await.refused(401, code);
        client.post(PATH, &json!({"name": "Zapier Sync"})).await.refused(401, code);
        client.patch(&key.path(), &json!({"name": "Zapier Sync"})).await.refused(401, code);
        client.delete(&key.path()).await.refused(401, code);
        client.delete(SELF).await.refused(401, code);
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
        assert_refused_everywhere(&admin, &key, "key_revoked").await;
    }
}

#[tokio::test]
async fn the_reason_of_a_revocation_is_in_its_event() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (key, own, silent) =
        (admin.create("a", "read").await, admin.create("b", "read").await, admin.create("c", "read").await);
    admin.delete(&format!("{}?reason=Replaced+by+%22b%22", key.path())).await.expect(204);
    admin.with_key(&own.secret).delete(&format!("{PATH}/self?reason=No%20longer%20needed")).await.expect(204);
    admin.delete(&format!("{}?reason=+", silent.path())).await.expect(204);
    for (key, reason) in [(&key, json!("Replaced by \"b\"")), (&own, json!("No longer needed")), (&silent, Value::Null)]
    {
        let events = admin.get(&format!("{}/events?type=revoked", key.path())).await.expect(200);
        assert_eq!(events[0]["details"]["reason"], reason);
        assert_eq!(events[0]["details"]["scopes"], "read");
    }
}

#[tokio::test]
async fn a_bad_reason_is_refused_and_the_key_stays_valid() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let holder = admin.with_key(&key.secret);
    for bad in ["a".repeat(201), "a%0Ab".to_owned(), "%E2%80%AE".to_owned(), key.secret.clone()] {
        for (client, path) in [(&admin, key.path()), (&holder, format!("{PATH}/self"))] {
            let reply = client.delete(&format!("{path}?reason={bad}")).await;
            assert_eq!(reply.bad_fields(), ["reason"], "{bad}");
            assert!(!reply.body.contains(&key.secret));
        }
    }
    assert_eq!(admin.delete(&format!("{}?reason=a&why=b", key.path())).await.bad_fields(), ["why"]);
    holder.get(PATH).await.expect(200);
}

#[tokio::test]
async fn a_revoked_key_remains_listed_as_revoked() {
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
    assert_eq!(
        events_after_creation(&server, &key).await,
        [revocation_by_user("admin@acme.com", revoked(&key, "read"))]
    );
}

#[tokio::test]
async fn a_second_revocation_succeeds_and_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    admin.delete(&key.path()).await.expect(204);
    let first = admin.get(&key.path()).await;
    server.clock.turn(TimeDelta::minutes(5));
    admin.delete(&key.path()).await.expect(204);
    let second = admin.get(&key.path()).await;
    assert_eq!(first.expect(200), second.expect(200), "the second revocation changed the key");
    assert_eq!(first.header("etag"), second.header("etag"));
    assert_eq!(events_after_creation(&server, &key).await.len(), 1);
}

/// The other instance may have revoked the key while its notification has not arrived here yet.
#[tokio::test]
async fn a_revocation_of_a_key_revoked_by_another_instance_invalidates_the_cache() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let check = async || admin.with_key(&key.secret).get("/forward-auth").await;
    assert_eq!(check().await.status, 200);
    let revoke_silently = "ALTER TABLE api_keys DISABLE TRIGGER notify_update; UPDATE api_keys SET revoked_at = now();
                           ALTER TABLE api_keys ENABLE ALWAYS TRIGGER notify_update";
    server.database.execute(revoke_silently).await;
    assert_eq!(check().await.status, 200, "the key is not cached");
    admin.delete(&key.path()).await.expect(204);
    assert_eq!(check().await.status, 401);
}

#[tokio::test]
async fn a_revocation_leaves_other_keys_valid() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (one, other) = (admin.create("Zapier Sync", "read").await, admin.create("Zapier Sync", "read").await);
    admin.delete(&one.path()).await.expect(204);
    admin.with_key(&other.secret).get(PATH).await.expect(200);
}

#[tokio::test]
async fn a_revocation_leaves_keys_created_by_the_revoked_key_valid() {
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
    assert_refused_everywhere(&admin, &key, "key_expired").await;
    admin.delete(&key.path()).await.expect(204);
    assert_refused_everywhere(&admin, &key, "key_revoked").await;
    assert_eq!(admin.get(&key.path()).await.expect(200)["status"], "revoked");
}

#[tokio::test]
async fn a_revoked_key_stays_revoked_after_its_expiry() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = format_timestamp(server.clock.now() + TimeDelta::minutes(10));
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": end})).await;
    admin.delete(&key.path()).await.expect(204);
    server.clock.turn(TimeDelta::minutes(11));
    let shown = admin.get(&key.path()).await.expect(200);
    assert_eq!((&shown["status"], &shown["isActive"]), (&json!("revoked"), &json!(false)));
    assert_refused_everywhere(&admin, &key, "key_revoked").await;
}

#[tokio::test]
async fn unknown_and_malformed_ids_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    admin.delete(UNKNOWN).await.refused(404, "key_not_found");
    assert_eq!(admin.delete(&format!("{PATH}/7")).await.bad_fields(), ["id"]);
}

#[tokio::test]
async fn a_key_of_another_tenant_is_not_found_and_stays_valid() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let key = acme.create("Zapier Sync", "read").await;
    globex.delete(&key.path()).await.refused(404, "key_not_found");
    let their_key = globex.with_key(&globex.create("Admin", "admin").await.secret);
    their_key.delete(&key.path()).await.refused(404, "key_not_found");
    assert_eq!(acme.get(&key.path()).await.expect(200)["status"], "active");
    acme.with_key(&key.secret).get(PATH).await.expect(200);
    assert!(events_after_creation(&server, &key).await.is_empty());
    // The same holds for a revoked key.
    acme.delete(&key.path()).await.expect(204);
    globex.delete(&key.path()).await.refused(404, "key_not_found");
}

// ---- Authorization

#[tokio::test]
async fn a_key_of_any_scope_may_revoke_itself() {
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
            assert_refused_everywhere(&admin, &key, "key_revoked").await;
            assert_eq!(events_after_creation(&server, &key).await, [revocation_by_key(&key, revoked(&key, scopes))]);
        }
    }
}

#[tokio::test]
async fn a_user_at_the_self_endpoint_is_refused() {
    let server = TestServer::start().await;
    server.admin("acme").delete(SELF).await.refused(403, "key_required");
}

#[tokio::test]
async fn a_revocation_of_another_key_without_the_admin_scope_is_refused() {
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
    assert!(events_after_creation(&server, &key).await.is_empty());

    let caller = admin.create("Admin", "admin").await;
    admin.with_key(&caller.secret).delete(&key.path()).await.expect(204);
    assert_eq!(events_after_creation(&server, &key).await, [revocation_by_key(&caller, revoked(&key, "read"))]);
}

// ---- Expiry

#[tokio::test]
async fn a_key_is_refused_from_its_expiry_time_on() {
    let server = TestServer::start().await;
    let end = server.clock.now() + TimeDelta::minutes(30);
    let admin = server.admin("acme");
    let key = admin.create_with(&json!({"name": "Zapier Sync", "expiresAt": format_timestamp(end)})).await;
    let itself = admin.with_key(&key.secret);
    server.clock.turn(end - server.clock.now() - TimeDelta::seconds(30)); // leaves time for a slow machine
    itself.get(PATH).await.expect(200);
    assert_eq!(admin.get(PATH).await.expect(200)[0]["isActive"], true);
    server.clock.turn(end - server.clock.now());
    assert_refused_everywhere(&admin, &key, "key_expired").await;
    let list = admin.get(PATH).await.expect(200);
    assert_eq!((&list[0]["status"], &list[0]["isActive"]), (&json!("expired"), &json!(false)));
    assert_eq!(list[0]["revokedAt"], Value::Null);
}

// ---- Concurrency

#[tokio::test(flavor = "multi_thread")]
async fn twenty_concurrent_revocations_are_recorded_once() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (admin, path) = (admin.clone(), key.path());
        tasks.spawn(async move { admin.delete(&path).await.expect(204) });
    }
    tasks.join_all().await;
    assert_eq!(
        events_after_creation(&server, &key).await,
        [revocation_by_user("admin@acme.com", revoked(&key, "read"))]
    );
    assert_refused_everywhere(&admin, &key, "key_revoked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_patch_does_not_undo_a_revocation() {
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
        let kinds: Vec<Value> =
            events_after_creation(&server, &key).await.iter().map(|event| event["kind"].clone()).collect();
        assert_eq!(kinds.len(), if was_first { 2 } else { 1 }, "round {round}: {kinds:?}");
        assert!(kinds.contains(&json!("revoked")), "round {round}: {kinds:?}");
        admin.with_key(&key.secret).get(PATH).await.refused(401, "key_revoked");
    }
}
