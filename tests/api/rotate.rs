//! Rotation: a key has two valid secrets during the overlap, and shows the last use of the previous one.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Client, CreatedKey, PATH, send},
    harness::{TestServer, wait_until},
};

async fn rotate(client: &Client, key: &CreatedKey, body: &Value) -> CreatedKey {
    let rotated = client.post(&format!("{}/rotate", key.path()), body).await.expect(200);
    assert_eq!(rotated["id"], key.id);
    CreatedKey { id: key.id.clone(), secret: rotated["key"].as_str().unwrap().to_owned() }
}

async fn status(client: &Client, key: &CreatedKey) -> u16 {
    client.with_key(&key.secret).get("/forward-auth").await.status.as_u16()
}

#[tokio::test]
async fn both_secrets_are_accepted_until_the_overlap_ends() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let old = admin.create("Zapier Sync", "read,write").await;
    let before = admin.get(&old.path()).await;
    let reply = admin.post(&format!("{}/rotate", old.path()), &json!({"overlapSeconds": 3600})).await;
    let rotated = reply.expect(200);
    let names = [
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
    ];
    assert_eq!(rotated.as_object().unwrap().len(), names.len());
    assert!(names.iter().all(|name| rotated.get(*name).is_some()), "{rotated}");
    assert_eq!(rotated["createdAt"], before.json()["createdAt"]);
    let new = CreatedKey { id: old.id.clone(), secret: rotated["key"].as_str().unwrap().to_owned() };
    assert_ne!(new.secret, old.secret);

    assert_eq!((status(&admin, &old).await, status(&admin, &new).await), (200, 200));
    let shown = admin.get(&old.path()).await;
    assert_ne!(shown.header("etag"), before.header("etag"));
    assert_eq!(shown.json()["keyHint"], format!("rk_live_…{}", &new.secret[36..]));
    let rotation = &shown.json()["rotation"];
    assert_eq!(rotation["previousKeyHint"], format!("rk_live_…{}", &old.secret[36..]));
    assert!(rotation["previousExpiresAt"].is_string());

    server.clock.turn(TimeDelta::seconds(3601));
    let admin = server.admin("acme");
    admin.with_key(&old.secret).get(PATH).await.refused(401, "invalid_key");
    assert_eq!(status(&admin, &new).await, 200);
    assert_eq!(admin.get(&old.path()).await.expect(200)["rotation"], Value::Null);
}

#[tokio::test]
async fn the_list_shows_the_last_use_of_the_previous_secret() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let old = admin.create("n", "read").await;
    let new = rotate(&admin, &old, &json!({})).await;
    let rotation = async || admin.get(PATH).await.expect(200)[0]["rotation"].clone();
    assert_eq!(rotation().await["previousLastUsedAt"], Value::Null);
    assert_eq!(status(&admin, &new).await, 200);
    assert_eq!(status(&admin, &old).await, 200);
    wait_until(async || rotation().await["previousLastUsedAt"].is_string()).await;
    let key = admin.get(&old.path()).await.expect(200);
    assert!(key["lastUsedAt"].as_str() >= key["rotation"]["previousLastUsedAt"].as_str(), "{key}");
}

#[tokio::test]
async fn responses_to_the_previous_secret_have_deprecation_and_sunset_headers() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let old = admin.create_with(&json!({"name": "n", "expiresAt": "2099-01-01T00:00:00Z"})).await;
    let now = server.clock.now().timestamp();
    let new = rotate(&admin, &old, &json!({"overlapSeconds": 60})).await;
    // Two accepted requests, and one that is refused since it needs the admin scope.
    for (path, status) in [(PATH, 200), ("/forward-auth", 200), ("/forward-auth?scope=admin", 403)] {
        let reply = admin.with_key(&old.secret).get(path).await;
        assert_eq!(reply.status, status);
        let since: i64 = reply.header("deprecation").strip_prefix('@').unwrap().parse().unwrap();
        assert!((now..=now + 5).contains(&since), "{reply:?}");
        let sunset = chrono::DateTime::parse_from_rfc2822(reply.header("sunset")).unwrap().timestamp();
        assert_eq!(sunset, since + 60, "{reply:?}");
        assert_eq!(reply.header("x-rally-key-expires"), "2099-01-01T00:00:00Z");
        let reply = admin.with_key(&new.secret).get(path).await;
        assert!(!reply.headers.contains_key("deprecation") && !reply.headers.contains_key("sunset"));
        assert_eq!(reply.header("x-rally-key-expires"), "2099-01-01T00:00:00Z");
    }
    assert!(!admin.get(PATH).await.headers.contains_key("x-rally-key-expires"));
}

#[tokio::test]
async fn a_rotation_without_overlap_invalidates_the_old_secret_at_once() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let old = admin.create("n", "read").await;
    assert_eq!(status(&admin, &old).await, 200); // fills the cache
    let new = rotate(&admin, &old, &json!({"overlapSeconds": 0})).await;
    assert_eq!((status(&admin, &old).await, status(&admin, &new).await), (401, 200));
    assert_eq!(admin.get(&old.path()).await.expect(200)["rotation"], Value::Null);
}

#[tokio::test]
async fn at_most_two_secrets_of_a_key_are_accepted() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let first = admin.create("n", "read").await;
    let second = rotate(&admin, &first, &json!({})).await;
    let third = rotate(&admin, &first, &json!({})).await;
    let statuses = [status(&admin, &first).await, status(&admin, &second).await, status(&admin, &third).await];
    assert_eq!(statuses, [401, 200, 200]);

    // The same holds for concurrent rotations.
    let rotations: Vec<_> = (0..7)
        .map(|_| {
            let (admin, first) = (admin.clone(), first.clone());
            tokio::spawn(async move { rotate(&admin, &first, &json!({})).await })
        })
        .collect();
    let mut secrets = Vec::new();
    for rotation in rotations {
        secrets.push(rotation.await.unwrap());
    }
    let mut working = 0;
    for secret in &secrets {
        working += usize::from(status(&admin, secret).await == 200);
    }
    assert_eq!(working, 2);
    let live = "SELECT count(*) FROM api_key_secrets WHERE ended_at IS NULL";
    assert_eq!(server.database.count(live).await, 2);
}

#[tokio::test]
async fn the_previous_secret_expires_with_the_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = server.clock.now() + TimeDelta::seconds(100);
    let old = admin.create_with(&json!({"name": "n", "expiresAt": end.to_rfc3339()})).await;
    rotate(&admin, &old, &json!({"overlapSeconds": 604_800})).await;
    let key = admin.get(&old.path()).await.expect(200);
    assert_eq!(key["rotation"]["previousExpiresAt"], key["expiresAt"]);
    server.clock.turn(TimeDelta::seconds(101));
    let admin = server.admin("acme");
    admin.with_key(&old.secret).get(PATH).await.refused(401, "key_expired");
    admin.post(&format!("{}/rotate", old.path()), &json!({})).await.refused(409, "key_expired");
}

#[tokio::test]
async fn a_key_may_rotate_itself_and_no_other_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let by_id = rotate(&admin.with_key(&key.secret), &key, &json!({})).await;
    let caller = admin.with_key(&by_id.secret);
    // Without a body, as `curl -X POST` sends it.
    let reply = send(caller.request(Method::POST, &format!("{PATH}/self/rotate"))).await;
    let rotated = reply.expect(200);
    assert_eq!((&rotated["id"], &rotated["scopes"]), (&json!(key.id), &json!("read")));
    assert_eq!(status(&admin, &key).await, 401, "the secret from two rotations ago was accepted");
    assert_eq!(status(&admin, &by_id).await, 200);
    let other = admin.create("other", "read").await;
    caller.post(&format!("{}/rotate", other.path()), &json!({})).await.refused(403, "insufficient_scope");
    admin.post(&format!("{PATH}/self/rotate"), &json!({})).await.refused(403, "key_required");
}

#[tokio::test]
async fn a_previous_secret_ended_early_is_refused_at_the_next_request() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let old = admin.create("n", "read").await;
    let path = format!("{}/previous-secret", old.path());
    admin.delete(&path).await.expect(204);
    assert_eq!(status(&admin, &old).await, 200, "the current secret was ended");
    let new = rotate(&admin, &old, &json!({})).await;
    assert_eq!(status(&admin, &old).await, 200);
    let events = "SELECT count(*) FROM api_key_events WHERE kind = 'previous_secret_ended'";
    for _ in 0..2 {
        admin.delete(&path).await.expect(204);
        assert_eq!((status(&admin, &old).await, status(&admin, &new).await), (401, 200));
        assert_eq!(server.database.count(events).await, 1);
    }
    let newest = rotate(&admin, &old, &json!({})).await;
    admin.with_key(&newest.secret).delete(&format!("{PATH}/self/previous-secret")).await.expect(204);
    assert_eq!((status(&admin, &new).await, status(&admin, &newest).await), (401, 200));
    server.admin("globex").delete(&path).await.refused(404, "key_not_found");
}

/// Otherwise the previous secret would be accepted again after an extension of the key.
#[tokio::test]
async fn the_previous_secret_of_an_expired_key_can_be_ended() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = server.clock.now() + TimeDelta::seconds(100);
    let old = admin.create_with(&json!({"name": "n", "expiresAt": end.to_rfc3339()})).await;
    let new = rotate(&admin, &old, &json!({"overlapSeconds": 604_800})).await;
    // The state after the key's expiry was moved to an earlier time, after the rotation.
    server.database.execute("UPDATE api_keys SET previous_expires_at = now() + interval '1 day'").await;
    server
        .database
        .execute("UPDATE api_key_secrets SET expires_at = now() + interval '1 day' WHERE retired_at IS NOT NULL")
        .await;
    server.clock.turn(TimeDelta::seconds(101));
    let admin = server.admin("acme");
    admin.delete(&format!("{}/previous-secret", old.path())).await.expect(204);
    let events = "SELECT count(*) FROM api_key_events WHERE kind = 'previous_secret_ended'";
    assert_eq!(server.database.count(events).await, 1);
    admin.patch(&old.path(), &json!({"expiresAt": null})).await.expect(200);
    assert_eq!((status(&admin, &old).await, status(&admin, &new).await), (401, 200));
}

#[tokio::test]
async fn invalid_requests_are_refused_and_change_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let path = format!("{}/rotate", key.path());
    for bad in [json!(-1), json!(604_801), json!("60"), json!(1.5), json!(null), json!(1e30)] {
        let reply = admin.post(&path, &json!({"overlapSeconds": bad})).await;
        assert_eq!(reply.bad_fields(), ["overlapSeconds"]);
    }
    let reply = admin.post(&path, &json!({"overlap": 5, "key": "rk_live_mine", "scopes": "admin"})).await;
    assert_eq!(reply.bad_fields(), ["key", "overlap", "scopes"]);
    send(admin.request(Method::POST, &path).body("overlapSeconds=5")).await.refused(415, "unsupported_media_type");
    admin
        .post(&format!("{PATH}/a1b2c3d4-e5f6-7890-abcd-ef1234567890/rotate"), &json!({}))
        .await
        .refused(404, "key_not_found");
    server.admin("globex").post(&path, &json!({})).await.refused(404, "key_not_found");
    server.user("acme", "write").post(&path, &json!({})).await.refused(403, "insufficient_scope");
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_secrets").await, 1);
    // A whole number with a decimal point is accepted.
    admin.post(&path, &json!({"overlapSeconds": 60.0})).await.expect(200);

    admin.delete(&key.path()).await.expect(204);
    admin.post(&path, &json!({})).await.refused(409, "key_revoked");
}

/// In either order, no secret of the revoked key is accepted.
#[tokio::test]
async fn a_concurrent_rotation_and_revocation_leave_no_valid_secret() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for _ in 0..20 {
        let key = admin.create("n", "read").await;
        let path = format!("{}/rotate", key.path());
        let (nothing, key_path) = (json!({}), key.path());
        let (rotated, revoked) = tokio::join!(admin.post(&path, &nothing), admin.delete(&key_path));
        revoked.expect(204);
        assert_eq!(status(&admin, &key).await, 401);
        if rotated.status == 200 {
            let secret = rotated.json()["key"].as_str().unwrap().to_owned();
            admin.with_key(&secret).get(PATH).await.refused(401, "key_revoked");
        } else {
            rotated.refused(409, "key_revoked");
        }
    }
}

#[tokio::test]
async fn no_request_fails_during_a_rotation() {
    let server = TestServer::start().await;
    let other = server.sibling(&[]).await;
    server.wait_for_feed().await;
    other.wait_for_feed().await;
    let admin = server.admin("acme");
    let old = admin.create("n", "read").await;
    let (client, elsewhere) = (admin.with_key(&old.secret), other.admin("acme").with_key(&old.secret));
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let uses = tokio::spawn(async move {
        let mut count = 0;
        while stopped.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            assert_eq!(client.get("/forward-auth").await.status, 200);
            assert_eq!(elsewhere.get("/forward-auth").await.status, 200);
            count += 2;
        }
        count
    });
    let new = rotate(&admin, &old, &json!({})).await;
    for server in [&server, &other] {
        assert_eq!(status(&server.admin("acme"), &new).await, 200);
    }
    stop.send(()).unwrap();
    assert!(uses.await.unwrap() > 0);
    admin.delete(&format!("{}/previous-secret", old.path())).await.expect(204);
    assert_eq!(status(&admin, &old).await, 401);
    wait_until(async || status(&other.admin("acme"), &old).await == 401).await;
    assert_eq!(status(&other.admin("acme"), &new).await, 200);
}

/// Two keys that patch each other lock each other's rows, and so do a rotation and the flush of the uses of
/// both its secrets. Locks in different orders would be a deadlock, which PostgreSQL ends with an error.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_changes_and_rotations_do_not_deadlock() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let (one, other) = (admin.create("one", "admin").await, admin.create("other", "admin").await);
    let (by_one, by_other) = (admin.with_key(&one.secret), admin.with_key(&other.secret));
    let rename = async |client: &Client, key: &CreatedKey, n: usize| {
        client.patch(&key.path(), &json!({"name": format!("name {n}")})).await.expect(200);
    };
    for n in 0..100 {
        tokio::join!(rename(&by_one, &other, n), rename(&by_other, &one, n), rename(&by_one, &one, n));
    }
    let mut busy = vec![one];
    for n in 0..30 {
        // As if it were a minute later, for the limit on rotations.
        server.database.execute("UPDATE api_key_secrets SET created_at = created_at - interval '1 minute'").await;
        let new = rotate(&admin, &busy[busy.len() - 1], &json!({"overlapSeconds": 60})).await;
        busy.push(new);
        for key in &busy[n..] {
            status(&admin, key).await;
        }
    }
    let mut deadlocks = server.database.own_log().await;
    deadlocks.retain(|line| line.contains("deadlock detected"));
    assert!(deadlocks.is_empty(), "{deadlocks:#?}");
}

#[tokio::test]
async fn the_last_use_is_kept_across_rotations() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    assert_eq!(status(&admin, &key).await, 200);
    let last_use = async || admin.get(&key.path()).await.expect(200)["lastUsedAt"].clone();
    wait_until(async || last_use().await.is_string()).await;
    let used = last_use().await;
    for overlap in [60, 60, 0] {
        rotate(&admin, &key, &json!({"overlapSeconds": overlap})).await;
        assert_eq!(last_use().await, used);
        assert_eq!(admin.get(PATH).await.expect(200)[0]["lastUsedAt"], used);
    }
}

#[tokio::test]
async fn an_extension_of_the_key_does_not_extend_the_previous_secret() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = |hours| rally_api_keys::domain::format_timestamp(server.clock.now() + TimeDelta::hours(hours));
    let body = json!({"name": "n", "expiresAt": end(1)});
    let created = admin.post(PATH, &body).await.expect(201);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let old = CreatedKey { id: text(&created["id"]), secret: text(&created["key"]) };
    let new = rotate(&admin, &old, &json!({"overlapSeconds": 86_400})).await;
    assert_eq!((status(&admin, &old).await, status(&admin, &new).await), (200, 200));
    // The expiry of the key is moved to a later time than the end of the overlap.
    admin.patch(&old.path(), &json!({"expiresAt": end(240)})).await.expect(200);
    server.clock.turn(TimeDelta::hours(2));
    let admin = server.admin("acme");
    assert_eq!((status(&admin, &old).await, status(&admin, &new).await), (401, 200));
}

// ---- The limit

#[tokio::test]
async fn a_key_that_is_rotated_too_often_is_refused_on_each_instance_until_a_minute_has_passed() {
    let server = TestServer::start().await;
    let other = server.sibling(&[]).await;
    let (admin, key) = (server.admin("acme"), server.admin("acme").create("n", "admin").await);
    let path = format!("{}/rotate", key.path());
    let mut secret = key.secret.clone();
    for n in 0..9 {
        let client = if n % 2 == 0 { &admin } else { &other.admin("acme") };
        secret = client.post(&path, &json!({})).await.expect(200)["key"].as_str().unwrap().to_owned();
    }
    let itself = admin.with_key(&secret);
    for reply in [
        admin.post(&path, &json!({})).await,
        other.admin("acme").post(&path, &json!({"overlapSeconds": 0})).await,
        itself.post(&format!("{PATH}/self/rotate"), &json!({})).await,
    ] {
        reply.refused(429, "too_many_rotations");
        let retry_after: i64 = reply.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&retry_after), "{retry_after}");
        assert!(reply.json()["resetAt"].is_string(), "{reply:?}");
    }
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_secrets").await, 10);
    itself.get(PATH).await.expect(200);
    // Other keys, and other changes of this key, are not limited.
    rotate(&admin, &admin.create("other", "read").await, &json!({})).await;
    admin.patch(&key.path(), &json!({"name": "New"})).await.expect(200);

    server.clock.turn(TimeDelta::seconds(61));
    admin.post(&path, &json!({})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_rotations_do_not_pass_the_limit() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let path = format!("{}/rotate", key.path());
    let nothing = json!({});
    let replies = futures_util::future::join_all((0..20).map(|_| admin.post(&path, &nothing))).await;
    let accepted = replies.iter().filter(|reply| reply.status == 200).count();
    let limited = replies.iter().filter(|reply| reply.status == 429).count();
    assert_eq!((accepted, limited), (9, 11));
}
