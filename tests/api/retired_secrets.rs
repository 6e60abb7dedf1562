//! What a secret that a rotation has replaced may still do, and what a key may do to keys that end later than itself.

use chrono::TimeDelta;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{
    cache_states::{Instance, warm_and_cold},
    client::{Client, CreatedKey, Credential, PATH, send},
    harness::TestServer,
};

/// Rotates a key with an overlap. Returns it with its new secret.
async fn rotate(admin: &Client, key: &CreatedKey) -> CreatedKey {
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": 3600})).await.expect(200);
    CreatedKey { id: key.id.clone(), secret: rotated["key"].as_str().unwrap().to_owned() }
}

/// Every call that needs the current secret, by this client.
fn changes(client: &Client, own: &CreatedKey, other: &CreatedKey) -> Vec<RequestBuilder> {
    let (own, other) = (own.path(), other.path());
    let renamed = json!({"name": "Renamed"});
    let request = |method: Method, path: &str| client.request(method, path);
    vec![
        request(Method::POST, PATH).json(&json!({"name": "New"})),
        request(Method::PATCH, &other).json(&renamed),
        request(Method::PATCH, &own).json(&renamed),
        request(Method::POST, &format!("{own}/rotate")),
        request(Method::POST, &format!("{other}/rotate")),
        request(Method::POST, &format!("{PATH}/self/rotate")),
        request(Method::DELETE, &format!("{own}/previous-secret")),
        request(Method::DELETE, &format!("{other}/previous-secret")),
        request(Method::DELETE, &format!("{PATH}/self/previous-secret")),
        request(Method::DELETE, &other),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_secret_may_read_but_not_change_keys_on_a_warm_and_a_cold_cache() {
    for instance in warm_and_cold(&[]).await {
        let Instance { server, .. } = &instance;
        let admin = server.admin("acme");
        let (old, other) = (admin.create("n", "admin").await, admin.create("other", "read").await);
        let new = rotate(&admin, &old).await;
        let retired = admin.with_key(&old.secret);
        let state = "SELECT md5(string_agg(k::text || s::text, '' ORDER BY s.lookup_digest)) FROM api_keys k
                     JOIN api_key_secrets s ON s.key_id = k.id";
        let before = server.database.texts(state).await;
        for request in changes(&retired, &old, &other) {
            let reply = instance.send(request).await;
            reply.refused(403, "secret_retired");
            reply.header("sunset");
        }
        assert_eq!(server.database.texts(state).await, before, "something was changed");
        for path in [PATH, &old.path(), &format!("{PATH}/self"), &format!("{}/usage", other.path()), "/forward-auth"] {
            assert_eq!(instance.send(retired.request(Method::GET, path)).await.status, 200, "{path}");
        }
        // The current secret may make the same calls. Rotations come last: they retire it.
        let current = admin.with_key(&new.secret);
        let (others, own): (Vec<_>, Vec<_>) = changes(&current, &old, &other).into_iter().partition(|request| {
            let request = request.try_clone().unwrap().build().unwrap();
            let path = request.url().path();
            !path.ends_with("self/rotate") && !path.ends_with(&format!("{}/rotate", old.id))
        });
        for request in others {
            let reply = send(request).await;
            assert!(reply.status.is_success(), "{reply:?}");
        }
        let reply = send(own.into_iter().next().unwrap()).await;
        assert!(reply.status.is_success(), "{reply:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retired_secret_may_revoke_its_own_key_on_a_warm_and_a_cold_cache() {
    for Instance { server, .. } in warm_and_cold(&[]).await {
        let admin = server.admin("acme");
        for path in ["self", "id"] {
            let old = admin.create("n", "read").await;
            let new = rotate(&admin, &old).await;
            let retired = admin.with_key(&old.secret);
            assert_eq!(retired.get("/forward-auth").await.status, 200);
            let path = if path == "self" { format!("{PATH}/self") } else { old.path() };
            retired.delete(&path).await.expect(204);
            admin.with_key(&new.secret).get(PATH).await.refused(401, "key_revoked");
        }
    }
}

/// The request is let in by the current secret, which another request retires before the lock is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_retired_during_its_request_changes_nothing() {
    let server = TestServer::start().await;
    server.wait_for_feed().await;
    let admin = server.admin("acme");
    let old = admin.create("n", "admin").await;
    let caller = admin.with_key(&old.secret);
    assert_eq!(caller.get("/forward-auth").await.status, 200);
    let mut holder = server.database.connect().await;
    let id = &old.id;
    let lock = sqlx::AssertSqlSafe(format!("BEGIN; SELECT FROM api_keys WHERE id = '{id}' FOR UPDATE"));
    sqlx::raw_sql(lock).execute(&mut holder).await.unwrap();
    let pending = tokio::spawn(async move { caller.post(PATH, &json!({"name": "Made by an old secret"})).await });
    crate::harness::wait_until(async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        server.database.count(waiting).await == 1
    })
    .await;
    let retire = sqlx::AssertSqlSafe(format!(
        "UPDATE api_key_secrets SET retired_at = now(), expires_at = now() + interval '1 day' WHERE key_id = '{id}';
         COMMIT"
    ));
    sqlx::raw_sql(retire).execute(&mut holder).await.unwrap();
    pending.await.unwrap().refused(403, "secret_retired");
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_gains_nothing_from_a_key_that_ends_later_on_a_warm_and_a_cold_cache() {
    for instance in warm_and_cold(&[]).await {
        let Instance { server, .. } = &instance;
        let admin = server.admin("acme");
        let at = |minutes| (server.clock.now() + TimeDelta::minutes(minutes)).to_rfc3339();
        let make = async |scopes: &str, end: Value| {
            admin.create_with(&json!({"name": "n", "scopes": scopes, "expiresAt": end})).await
        };
        let caller = make("admin", json!(at(60))).await;
        let [endless, later] = [make("read", Value::Null).await, make("read", json!(at(61))).await];
        let by_key = admin.with_key(&caller.secret);
        let refused = async |request: RequestBuilder| {
            let reply = instance.send(request).await;
            let problem = reply.refused(403, "insufficient_scope");
            assert!(problem["detail"].as_str().unwrap().contains("user with the scope `admin`"), "{problem}");
        };
        for target in [&endless, &later] {
            let patch = |body: Value| by_key.request(Method::PATCH, &target.path()).json(&body);
            refused(patch(json!({"scopes": "admin"}))).await;
            refused(patch(json!({"scopes": "read,write"}))).await;
            refused(patch(json!({"scopes": "write", "expiresAt": at(61)}))).await;
            refused(by_key.request(Method::POST, &format!("{}/rotate", target.path()))).await;
        }
        refused(by_key.request(Method::PATCH, &later.path()).json(&json!({"expiresAt": at(62)}))).await;
        refused(by_key.request(Method::PATCH, &caller.path()).json(&json!({"expiresAt": at(62)}))).await;
        refused(by_key.request(Method::POST, PATH).json(&json!({"name": "n"}))).await;
        refused(by_key.request(Method::POST, PATH).json(&json!({"name": "n", "expiresAt": at(61)}))).await;
        for target in [&endless, &later] {
            assert_eq!(admin.get(&target.path()).await.expect(200)["scopes"], "read", "the key has more scopes");
        }

        // Taking away, renaming, and a key that ends no later.
        by_key.patch(&endless.path(), &json!({"name": "Renamed"})).await.expect(200);
        by_key.patch(&endless.path(), &json!({"scopes": "write", "expiresAt": at(59)})).await.expect(200);
        by_key.post(&format!("{}/rotate", endless.path()), &json!({})).await.expect(200);
        by_key.patch(&later.path(), &json!({"expiresAt": at(60)})).await.expect(200);
        by_key.delete(&later.path()).await.expect(204);
        by_key.post(&format!("{PATH}/self/rotate"), &json!({})).await.expect(200);
        // A user does not end.
        let never = make("read", Value::Null).await;
        admin.patch(&never.path(), &json!({"scopes": "admin"})).await.expect(200);
        admin.post(&format!("{}/rotate", never.path()), &json!({})).await.expect(200);
    }
}

#[tokio::test]
async fn events_name_the_secret_of_a_calling_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let first = admin.create("n", "admin").await;
    let second = rotate(&admin.with_key(&first.secret), &first).await;
    let by_key = admin.with_key(&second.secret);
    let made = by_key.create("made", "read").await;
    by_key.patch(&made.path(), &json!({"name": "changed"})).await.expect(200);
    by_key.post(&format!("{}/rotate", made.path()), &json!({})).await.expect(200);
    by_key.delete(&format!("{}/previous-secret", made.path())).await.expect(204);
    by_key.delete(&made.path()).await.expect(204);
    let events = admin.get(&format!("{PATH}/events")).await.expect(200);
    let hint = |key: &CreatedKey| json!(format!("rk_live_…{}", &key.secret[36..]));
    let [of_made, of_first] = [&made, &first].map(|key| -> Vec<Value> {
        let events = events.as_array().unwrap().iter();
        events.filter(|event| event["keyId"] == key.id).map(|event| event["details"]["actorKeyHint"].clone()).collect()
    });
    assert_eq!(of_made, vec![hint(&second); 5], "{events}");
    assert_eq!(of_first, [hint(&first), Value::Null], "{events}");
    let by_user = server.client("acme", Credential::Bearer(server.token("acme", "admin")));
    assert!(
        !by_user.get(&format!("{}/events", first.path())).await.expect(200).to_string().contains(&first.secret[8..])
    );
}
