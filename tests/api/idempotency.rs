//! `Idempotency-Key`: requests that make a secret and are sent again.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rally_api_keys::domain::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::{Connection as _, Executor as _};

use crate::{
    binary::Home,
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer, sign, wait_until},
};

/// As a client's library makes one.
const KEY: &str = "9f5c1e5e-6d3b-4d5c-8f0a-2f7b3c6d4e10";
const NO_PEPPER: (&str, &str) = ("KEY_PEPPER", "");
const OTHER_PEPPER: &str = "other:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const RECORDS: &str = "SELECT count(*) FROM api_key_idempotency_records";

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Reply {
    send(client.request(Method::POST, path).header("idempotency-key", key).json(body)).await
}

fn zapier() -> Value {
    json!({"name": "Zapier \"Sync\" é", "scopes": "read,write", "description": "a\nb", "quota": {"requests": 9, "per": "day"},
           "rateLimit": {"requests": 600, "windowSeconds": 60}, "allowedAddresses": ["127.0.0.0/8"]})
}

/// The key of a response with its secret.
fn key_of(reply: &Reply) -> CreatedKey {
    let body = reply.json();
    let text = |property: &str| body[property].as_str().expect("a text").to_owned();
    CreatedKey { id: text("id"), secret: text("key") }
}

/// Asserts that a response is that to the first request, to the byte.
#[track_caller]
fn assert_same(again: &Reply, first: &Reply) {
    assert_eq!(again.apart_from_request_id(), first.apart_from_request_id());
}

/// Numbers of keys, secrets, events and records.
async fn rows(server: &TestServer) -> [i64; 4] {
    let count = async |table| server.database.count(&format!("SELECT count(*) FROM {table}")).await;
    [
        count("api_keys").await,
        count("api_key_secrets").await,
        count("api_key_events").await,
        count("api_key_idempotency_records").await,
    ]
}

/// Waits until a number of transactions wait for a lock.
async fn wait_for_blocked(database: &TestDatabase, number: i64) {
    let blocked =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_until(async || database.count(blocked).await == number).await;
}

// ---- Repetitions

#[tokio::test]
async fn a_repeated_creation_gets_the_same_response_and_creates_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let first = post(&admin, PATH, KEY, &zapier()).await;
    first.expect(201);
    let key = key_of(&first);
    assert!(Secret::parse(key.secret.as_bytes()).is_some());
    assert_eq!(rows(&server).await, [1, 1, 1, 1]);
    // Quoted, it is the same; so is the body with other white space and another order of its members.
    let quoted = post(&admin, PATH, &format!("\"{KEY}\""), &zapier()).await;
    let mut members: Vec<_> = zapier().as_object().unwrap().clone().into_iter().collect();
    members.reverse();
    let members: Vec<_> = members.iter().map(|(name, value)| format!("\n {} : {value}", json!(name))).collect();
    let rewritten = format!("{{{}}}", members.join(",").replace("600", "6e2"));
    let request = admin.request(Method::POST, PATH).header("idempotency-key", KEY);
    let rewritten = send(request.header("content-type", "application/json").body(rewritten)).await;
    for again in [post(&admin, PATH, KEY, &zapier()).await, quoted, rewritten] {
        assert_same(&again, &first);
        assert_eq!(again.header("location"), first.header("location"));
    }
    assert_eq!(rows(&server).await, [1, 1, 1, 1]);
    admin.with_key(&key.secret).get(&format!("{PATH}/self")).await.expect(200);
    assert!(!first.body.contains("null,\"keyPrefix"), "{first:?}");
}

#[tokio::test]
async fn a_repeated_rotation_gets_the_same_response_and_makes_no_other_secret() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let (path, body) = (format!("{}/rotate", key.path()), json!({"overlapSeconds": 60}));
    let tag = admin.get(&key.path()).await.header("etag").to_owned();
    let rotate = async || {
        // The rotation changes the tag, and is not refused for that when it is repeated.
        let request = admin.request(Method::POST, &path).header("if-match", &tag);
        send(request.header("idempotency-key", KEY).json(&body)).await
    };
    let first = rotate().await;
    first.expect(200);
    assert_same(&rotate().await, &first);
    assert_eq!(rows(&server).await, [1, 2, 2, 1]);
    let new = key_of(&first);
    assert_ne!(new.secret, key.secret);
    for secret in [&new.secret, &key.secret] {
        admin.with_key(secret).get(&format!("{PATH}/self")).await.expect(200);
    }
    // Without the header, and with another value, it is another rotation.
    admin.post(&path, &body).await.expect(200);
    post(&admin, &path, "another", &body).await.expect(200);
    assert_eq!(rows(&server).await, [1, 4, 4, 2]);
}

#[tokio::test]
async fn a_repetition_gets_the_first_response_whatever_became_of_the_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let first = post(&admin, PATH, KEY, &zapier()).await;
    let key = key_of(&first);
    let again = async || assert_same(&post(&admin, PATH, KEY, &zapier()).await, &first);
    admin.patch(&key.path(), &json!({"name": "Renamed", "scopes": "read", "quota": null})).await.expect(200);
    again().await;
    admin.post(&format!("{}/suspend", key.path()), &json!({})).await.expect(200);
    again().await;
    admin.delete(&key.path()).await.expect(204);
    again().await;
    admin.with_key(&key.secret).get(PATH).await.refused(401, "key_revoked");
}

#[tokio::test]
async fn a_repetition_after_another_rotation_is_refused_as_expired() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = key_of(&post(&admin, PATH, "create", &zapier()).await);
    let path = format!("{}/rotate", key.path());
    post(&admin, &path, "first", &json!({})).await.expect(200);
    post(&admin, PATH, "create", &zapier()).await.refused(409, "idempotency_key_expired");
    let second = post(&admin, &path, "second", &json!({})).await;
    post(&admin, &path, "first", &json!({})).await.refused(409, "idempotency_key_expired");
    assert_same(&post(&admin, &path, "second", &json!({})).await, &second);
    assert_eq!(rows(&server).await, [1, 3, 3, 3]);
}

#[tokio::test]
async fn another_request_under_the_same_value_is_refused_as_reused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = key_of(&post(&admin, PATH, KEY, &zapier()).await);
    let other = admin.create("other", "read").await;
    let rotate = format!("{}/rotate", key.path());
    post(&admin, &rotate, "rotation", &json!({"overlapSeconds": 60})).await.expect(200);
    let before = rows(&server).await;
    let mut renamed = zapier();
    renamed["name"] = json!("Zapier");
    let reused = async |path: &str, value: &str, body: &Value| {
        let problem = post(&admin, path, value, body).await.refused(422, "idempotency_key_reused");
        assert!(problem["detail"].as_str().unwrap().contains("new Idempotency-Key"), "{problem}");
    };
    reused(PATH, KEY, &renamed).await;
    reused(PATH, KEY, &json!({"name": "n"})).await;
    reused(&rotate, KEY, &json!({})).await;
    reused(PATH, "rotation", &zapier()).await;
    reused(&rotate, "rotation", &json!({"overlapSeconds": 61})).await;
    reused(&format!("{}/rotate", other.path()), "rotation", &json!({"overlapSeconds": 60})).await;
    assert_eq!(rows(&server).await, before);
}

#[tokio::test]
async fn a_repetition_after_24_hours_is_refused_as_expired_until_the_record_is_removed() {
    let server = TestServer::start().await;
    let post = async || post(&server.admin("acme"), PATH, KEY, &zapier()).await;
    let first = post().await;
    server.clock.turn(TimeDelta::hours(24) - TimeDelta::minutes(1));
    assert_same(&post().await, &first);
    server.clock.turn(TimeDelta::minutes(1));
    post().await.refused(409, "idempotency_key_expired");
    // The start of another instance removes what is old, soon.
    server.clock.turn(TimeDelta::hours(23));
    let _early = server.sibling(&[]).await;
    server.admin("acme").create("another", "read").await;
    post().await.refused(409, "idempotency_key_expired");
    server.clock.turn(TimeDelta::hours(1));
    let _late = server.sibling(&[]).await;
    wait_until(async || server.database.count(RECORDS).await == 0).await;
    let next = post().await;
    next.expect(201);
    assert_ne!(key_of(&next).secret, key_of(&first).secret);
}

// ---- Who repeats

#[tokio::test]
async fn other_tenants_and_other_principals_have_values_of_their_own() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let caller = admin.create("caller", "admin").await;
    let claims = |sub: Value, email: &str| {
        let exp = (server.clock.now() + TimeDelta::hours(1)).timestamp();
        sign(&json!({"sub": sub, "email": email, "tenant": "acme", "scope": "admin", "exp": exp}))
    };
    let user = |token| server.client("acme", Credential::Bearer(token));
    let clients = [
        server.admin("globex"),
        admin.clone(),
        user(claims(json!("43"), "admin@acme.com")),
        user(claims(Value::Null, "admin@acme.com")),
        user(claims(Value::Null, "42")),
        admin.with_key(&caller.secret),
        admin.with_key(&admin.create("another caller", "admin").await.secret),
    ];
    let mut replies = Vec::new();
    for client in &clients {
        replies.push(post(client, PATH, KEY, &zapier()).await);
    }
    let mut secrets: Vec<_> = replies.iter().map(|reply| key_of(reply).secret).collect();
    secrets.sort();
    secrets.dedup();
    assert_eq!(secrets.len(), clients.len());
    for (client, first) in clients.iter().zip(&replies) {
        assert_same(&post(client, PATH, KEY, &zapier()).await, first);
    }
    // A user whose address changed is the same; so is a key with another of its secrets, or at another address.
    assert_same(&post(&user(claims(json!("42"), "new@acme.com")), PATH, KEY, &zapier()).await, &replies[1]);
    let rotated = admin.post(&format!("{}/rotate", caller.path()), &json!({})).await.expect(200);
    let again = post(&admin.with_key(rotated["key"].as_str().unwrap()), PATH, KEY, &zapier()).await;
    assert_same(&again, &replies[5]);
}

/// Authentication and authorization come first, as for every call.
#[tokio::test]
async fn a_caller_that_may_no_longer_create_is_refused_a_repetition() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let caller = admin.create("caller", "admin").await;
    let by_key = admin.with_key(&caller.secret);
    post(&by_key, PATH, KEY, &zapier()).await.expect(201);
    post(&server.user("acme", "write"), PATH, KEY, &zapier()).await.refused(403, "insufficient_scope");
    post(&by_key.with(Credential::None), PATH, KEY, &zapier()).await.refused(401, "missing_credentials");
    admin.post(&format!("{}/rotate", caller.path()), &json!({})).await.expect(200);
    post(&by_key, PATH, KEY, &zapier()).await.refused(403, "secret_retired");
    admin.delete(&caller.path()).await.expect(204);
    post(&by_key, PATH, KEY, &zapier()).await.refused(401, "key_revoked");
}

/// A key that rotates itself has retired the secret that it would repeat the request with. Whoever finds a retired secret is
/// not shown the new one.
#[tokio::test]
async fn a_retired_secret_is_not_shown_the_rotation_that_retired_it() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "admin").await;
    let by_key = admin.with_key(&key.secret);
    let path = format!("{PATH}/self/rotate");
    let first = post(&by_key, &path, KEY, &json!({})).await;
    first.expect(200);
    post(&by_key, &path, KEY, &json!({})).await.refused(403, "secret_retired");
    // The new one is, also by the key's id.
    let by_new = admin.with_key(&key_of(&first).secret);
    for path in [&path, &format!("{}/rotate", key.path())] {
        let again = post(&by_new, path, KEY, &json!({})).await;
        assert_eq!((again.status, again.body), (first.status, first.body.clone()));
    }
}

#[tokio::test]
async fn policy_and_grants_do_not_refuse_a_repetition() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let end = (server.clock.now() + TimeDelta::hours(2)).to_rfc3339();
    let caller = admin.create_with(&json!({"name": "caller", "scopes": "admin", "expiresAt": end})).await;
    let by_key = admin.with_key(&caller.secret);
    let body = json!({"name": "n", "scopes": "write", "expiresAt": end});
    let first = post(&by_key, PATH, KEY, &body).await;
    first.expect(201);
    let rules = json!({"maxActiveKeys": 1, "allowedScopes": "read", "requireAllowedAddresses": true});
    send(admin.request(Method::PUT, &format!("{PATH}/policy")).json(&rules)).await.expect(200);
    let earlier = (server.clock.now() + TimeDelta::hours(1)).to_rfc3339();
    admin.patch(&caller.path(), &json!({"expiresAt": earlier})).await.expect(200);
    let again = post(&by_key, PATH, KEY, &body).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    // The negative control: another request is refused.
    post(&by_key, PATH, "another", &body).await.refused(403, "insufficient_scope");
}

// ---- What failed

#[tokio::test]
async fn a_refused_request_leaves_no_record_and_may_be_repeated() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let policy = async |rules: Value| {
        send(admin.request(Method::PUT, &format!("{PATH}/policy")).json(&rules)).await.expect(200);
    };
    policy(json!({"allowedScopes": "read"})).await;
    post(&admin, PATH, KEY, &zapier()).await.refused(422, "policy_violation");
    assert_eq!(post(&admin, PATH, KEY, &json!({"name": ""})).await.bad_fields(), ["name"]);
    let unknown = format!("{PATH}/{}/rotate", uuid::Uuid::now_v7());
    post(&admin, &unknown, KEY, &json!({})).await.refused(404, "key_not_found");
    assert_eq!(server.database.count(RECORDS).await, 0);
    policy(json!({})).await;
    let first = post(&admin, PATH, KEY, &zapier()).await;
    first.expect(201);
    assert_same(&post(&admin, PATH, KEY, &zapier()).await, &first);
}

#[tokio::test]
async fn a_request_that_the_database_fails_leaves_no_record_and_may_be_repeated() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    // At the commit: everything has been written by then.
    server
        .database
        .execute(
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN RAISE EXCEPTION USING ERRCODE = ''40001'', MESSAGE = ''on purpose''; END';
             CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON api_keys DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION fail()",
        )
        .await;
    post(&admin, PATH, KEY, &zapier()).await.refused(503, "database_unavailable");
    assert_eq!(rows(&server).await, [0; 4]);
    server.database.execute("DROP TRIGGER fail ON api_keys").await;
    let first = post(&admin, PATH, KEY, &zapier()).await;
    first.expect(201);
    assert_same(&post(&admin, PATH, KEY, &zapier()).await, &first);
    assert_eq!(rows(&server).await, [1; 4]);
}

/// The client goes away while its request waits for a lock. Its repetition gets the key that was created.
#[tokio::test]
async fn a_client_that_lost_the_response_gets_it_by_repeating_the_request() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let mut holder = server.database.connect().await;
    holder.execute("BEGIN; SELECT FROM api_key_policies FOR UPDATE").await.unwrap();
    let lost = tokio::spawn(send(admin.request(Method::POST, PATH).header("idempotency-key", KEY).json(&zapier())));
    wait_for_blocked(&server.database, 1).await;
    lost.abort();
    holder.execute("COMMIT").await.unwrap();
    wait_until(async || server.database.count("SELECT count(*) FROM api_keys").await == 1).await;
    let again = post(&admin, PATH, KEY, &zapier()).await;
    again.expect(201);
    admin.with_key(&key_of(&again).secret).get(&format!("{PATH}/self")).await.expect(200);
    assert_eq!(rows(&server).await, [1; 4]);
}

// ---- At the same time

#[tokio::test]
async fn a_repetition_while_the_first_is_under_way_is_refused_on_every_instance() {
    let server = TestServer::start().await;
    let sibling = server.sibling(&[]).await;
    let admin = server.admin("acme");
    let mut holder = server.database.connect().await;
    let lock = format!("BEGIN; SELECT FROM api_key_policies WHERE tenant_id = '{}' FOR UPDATE", server.database.acme);
    holder.execute(sqlx::AssertSqlSafe(lock)).await.unwrap();
    let first = tokio::spawn(send(admin.request(Method::POST, PATH).header("idempotency-key", KEY).json(&zapier())));
    wait_for_blocked(&server.database, 1).await;
    for instance in [&server, &sibling] {
        let reply = post(&instance.admin("acme"), PATH, KEY, &zapier()).await;
        reply.refused(409, "idempotency_key_in_use");
        assert_eq!(reply.header("retry-after"), "1");
    }
    // Other values and other tenants do not wait for it.
    post(&sibling.admin("globex"), PATH, KEY, &zapier()).await.expect(201);
    holder.execute("COMMIT").await.unwrap();
    let first = first.await.unwrap();
    first.expect(201);
    let again = post(&sibling.admin("acme"), PATH, KEY, &zapier()).await;
    assert_eq!((again.status, again.body), (first.status, first.body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_requests_at_once_over_two_instances_create_one_key() {
    const AT_ONCE: usize = 6;
    let server = TestServer::start().await;
    let sibling = server.sibling(&[]).await;
    let caller = server.admin("acme").create("caller", "admin").await;
    // A limit that a second key would break: a repetition must not be refused for it.
    let rules = json!({"maxActiveKeys": 21});
    send(server.admin("acme").request(Method::PUT, &format!("{PATH}/policy")).json(&rules)).await.expect(200);
    let mut made = Vec::new();
    for round in 0..20 {
        let value = format!("round-{round}");
        let requests = (0..AT_ONCE).map(|n| {
            let admin = [&server, &sibling][n % 2].admin("acme");
            let client = if round % 2 == 0 { admin } else { admin.with_key(&caller.secret) };
            let request = client.request(Method::POST, PATH).header("idempotency-key", &value);
            tokio::spawn(send(request.json(&json!({"name": format!("Round {round}")}))))
        });
        let requests: Vec<_> = requests.collect();
        let mut bodies = Vec::new();
        for request in requests {
            let reply = request.await.unwrap();
            if reply.status == 201 {
                bodies.push(reply.body);
            } else {
                reply.refused(409, "idempotency_key_in_use");
            }
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        made.append(&mut bodies);
    }
    made.sort();
    made.dedup();
    assert_eq!(made.len(), 20);
    assert_eq!(rows(&server).await, [21, 21, 22, 20]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_rotations_at_once_over_two_instances_make_one_secret() {
    let server = TestServer::start().await;
    let sibling = server.sibling(&[]).await;
    for round in 0..20 {
        let key = server.admin("acme").create("n", "read").await;
        let requests: Vec<_> = [&server, &sibling, &server, &sibling]
            .map(|instance| {
                let request = instance.admin("acme").request(Method::POST, &format!("{}/rotate", key.path()));
                tokio::spawn(send(request.header("idempotency-key", KEY.to_owned() + &round.to_string())))
            })
            .into();
        let mut bodies = Vec::new();
        for request in requests {
            let reply = request.await.unwrap();
            if reply.status == 200 {
                bodies.push(reply.body);
            } else {
                reply.refused(409, "idempotency_key_in_use");
            }
        }
        bodies.dedup();
        assert_eq!(bodies.len(), 1, "{bodies:?}");
        let secrets = format!("SELECT count(*) FROM api_key_secrets WHERE key_id = '{}'", key.id);
        assert_eq!(server.database.count(&secrets).await, 2);
    }
}

// ---- The header

#[tokio::test]
async fn bad_values_are_refused_together_with_bad_fields() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let rotate = format!("{}/rotate", key.path());
    let too_long = "x".repeat(256);
    let bad = ["", "\"\"", "\"", "\"a", "a\"", "\"a\"b\"", r#""a\b""#, "a b", "a\tb", "\"a\";b=1", &too_long];
    for value in bad {
        let request = |path: &str| admin.request(Method::POST, path).header("idempotency-key", value);
        assert_eq!(send(request(PATH).json(&json!({"name": ""}))).await.bad_fields(), ["Idempotency-Key", "name"]);
        assert_eq!(send(request(PATH).json(&zapier())).await.bad_fields(), ["Idempotency-Key"], "{value}");
        assert_eq!(send(request(&rotate)).await.bad_fields(), ["Idempotency-Key"], "{value}");
    }
    let not_ascii = reqwest::header::HeaderValue::from_bytes("é".as_bytes()).unwrap();
    let request = admin.request(Method::POST, PATH).header("idempotency-key", not_ascii).json(&zapier());
    assert_eq!(send(request).await.bad_fields(), ["Idempotency-Key"]);
    for second in ["a", "b"] {
        let request = admin.request(Method::POST, PATH).header("idempotency-key", "a");
        let reply = send(request.header("idempotency-key", second).json(&zapier())).await;
        assert_eq!(reply.bad_fields(), ["Idempotency-Key"]);
        assert!(reply.body.contains("must appear only once"), "{reply:?}");
    }
    assert_eq!(rows(&server).await, [1, 1, 1, 0]);
    let longest = "x".repeat(255);
    for good in [longest.as_str(), "a", "!", r#""a\"\\b""#, "a,b;c=d"] {
        post(&admin, PATH, good, &zapier()).await.expect(201);
    }
    assert_eq!(server.database.count(RECORDS).await, 5);
}

#[tokio::test]
async fn without_a_pepper_a_value_needs_32_characters() {
    let server = TestServer::with(&[NO_PEPPER]).await;
    let admin = server.admin("acme");
    let reply = post(&admin, PATH, &"x".repeat(31), &zapier()).await;
    assert_eq!(reply.bad_fields(), ["Idempotency-Key"]);
    assert!(reply.body.contains("at least 32 characters") && reply.body.contains("KEY_PEPPER"), "{reply:?}");
    let first = post(&admin, PATH, &"x".repeat(32), &zapier()).await;
    first.expect(201);
    assert_same(&post(&admin, PATH, &"x".repeat(32), &zapier()).await, &first);
    admin.with_key(&key_of(&first).secret).get(&format!("{PATH}/self")).await.expect(200);
    // Also once there is a pepper.
    let peppered = TestServer::on(server.database.clone(), &[]).await;
    let again = post(&peppered.admin("acme"), PATH, &"x".repeat(32), &zapier()).await;
    assert_eq!(again.body, first.body);
}

// ---- The pepper

#[tokio::test]
async fn a_repetition_gets_the_same_secret_after_a_rotation_of_the_pepper_and_is_refused_after_its_removal() {
    let old = TestServer::start().await;
    let first = post(&old.admin("acme"), PATH, KEY, &zapier()).await;
    first.expect(201);
    let with = async |settings: &[(&str, &str)]| {
        let server = TestServer::on(old.database.clone(), settings).await;
        post(&server.admin("acme"), PATH, KEY, &zapier()).await
    };
    let retired = ("KEY_PEPPERS_RETIRED", PEPPER);
    assert_eq!(with(&[("KEY_PEPPER", OTHER_PEPPER), retired]).await.body, first.body);
    assert_eq!(with(&[("KEY_PEPPER", OTHER_PEPPER), ("KEY_PEPPER_NEXT", PEPPER)]).await.body, first.body);
    let same_id = OTHER_PEPPER.replace("other:", "test:");
    for settings in [("KEY_PEPPER", OTHER_PEPPER), ("KEY_PEPPER", same_id.as_str()), NO_PEPPER] {
        with(&[settings]).await.refused(409, "idempotency_key_expired");
    }
    assert_eq!(rows(&old).await, [1; 4]);
}

/// Every table as text, of which none leaves anything out.
async fn dump(database: &TestDatabase) -> String {
    let tables = database
        .texts(
            "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'",
        )
        .await;
    assert!(tables.iter().any(|table| table == "api_key_idempotency_records"), "{tables:?}");
    let mut dump = String::new();
    for table in tables {
        dump += &database.texts(&format!("SELECT t::text FROM public.{table} t")).await.join("\n");
    }
    dump
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// What anybody can compute who has the database, the header, the caller's identity, and a pepper.
fn recompute(database: &TestDatabase, salt: &str, value: &str, pepper: &str) -> String {
    let (_, pepper) = pepper.split_once(':').unwrap();
    let pepper = BASE64_STANDARD.decode(pepper).unwrap();
    let salt: Vec<_> = (0..64).step_by(2).map(|at| u8::from_str_radix(&salt[at..at + 2], 16).unwrap()).collect();
    let material = [&hmac(b"rally-api-keys derivation key v1", &pepper)[..], value.as_bytes()].concat();
    let info =
        [&b"rally-api-keys derived secret v1\0"[..], database.acme.0.as_bytes(), br#"["user",null,"42"]"#].concat();
    let mut bits = [0; 16];
    Hkdf::<Sha256>::new(Some(&salt), &material).expand(&info, &mut bits).unwrap();
    bits.iter().fold("rk_live_".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[tokio::test]
async fn a_dump_of_the_database_reveals_no_secret_without_the_pepper() {
    const VALUE: &str = "a-value-that-is-in-no-table";
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let created = key_of(&post(&admin, PATH, VALUE, &zapier()).await);
    let rotate = format!("{}/rotate", created.path());
    let value = format!("{VALUE}-2");
    let rotated = key_of(&post(&admin, &rotate, &value, &json!({})).await);
    let dump = dump(&server.database).await;
    assert!(dump.contains(&created.id) && dump.contains(&created.digest()), "the dump is complete");
    for secret in [&created.secret, &rotated.secret] {
        assert!(!dump.contains(&secret[8..24]) && !dump.contains(&secret[24..]), "a secret is in the database");
    }
    assert!(!dump.contains(VALUE), "the value of the header is in the database");

    let salts = "SELECT encode(salt, 'hex') FROM api_key_idempotency_records ORDER BY created_at";
    let salts = server.database.texts(salts).await;
    for (salt, value, key) in [(&salts[0], VALUE, &created), (&salts[1], value.as_str(), &rotated)] {
        assert_eq!(recompute(&server.database, salt, value, PEPPER), key.secret, "with the pepper it can be computed");
        assert_ne!(recompute(&server.database, salt, value, OTHER_PEPPER), key.secret);
        assert_ne!(recompute(&server.database, salt, VALUE.trim_end_matches('e'), PEPPER), key.secret);
    }
    assert_ne!(recompute(&server.database, &salts[1], VALUE, PEPPER), created.secret);
}

#[tokio::test]
async fn the_log_has_neither_the_value_nor_the_secret() {
    const VALUE: &str = "a-value-that-no-log-may-have-0123456789";
    let home = Home::new("idempotency-log");
    let database = TestDatabase::create().await;
    let url = database.url_text(None).await;
    let log =
        [("RUST_LOG", "trace"), ("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let service = home.serve(&log).await;
    let exp = (chrono::Utc::now() + TimeDelta::hours(1)).timestamp();
    let token = sign(&json!({"sub": "42", "tenant": "acme", "scope": "admin", "exp": exp}));
    let admin = service.client("acme", Credential::Bearer(token));
    let first = post(&admin, PATH, VALUE, &zapier()).await;
    first.expect(201);
    assert_same(&post(&admin, PATH, VALUE, &zapier()).await, &first);
    post(&admin, PATH, VALUE, &json!({"name": "n"})).await.refused(422, "idempotency_key_reused");
    post(&admin, PATH, &format!("{VALUE} "), &json!({"name": 7})).await.refused(400, "invalid_request");
    let (_, log) = service.terminate().await;
    assert!(log.contains("idempotency_key_reused"), "the log is complete");
    let digits = &key_of(&first).secret[8..];
    assert!(!log.contains(VALUE) && !log.contains(&digits[..16]) && !log.contains(&digits[16..]));
}

// ---- Isolation in the database

#[tokio::test]
async fn a_record_can_be_removed_by_nobody_but_the_retention_and_the_deletion_of_its_tenant() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.database.acme, server.database.globex);
    for tenant in ["acme", "globex"] {
        post(&server.admin(tenant), PATH, KEY, &zapier()).await.expect(201);
    }
    let mut app = server.database.connect().await;
    app.execute("SET ROLE rally_app").await.unwrap();
    let seen = "SELECT count(*) FROM api_key_idempotency_records";
    let count: i64 = sqlx::query_scalar(seen).fetch_one(&mut app).await.unwrap();
    assert_eq!(count, 0, "without a tenant");
    app.execute(sqlx::AssertSqlSafe(format!("SET rally.tenant_id = '{acme}'"))).await.unwrap();
    let count: i64 = sqlx::query_scalar(seen).fetch_one(&mut app).await.unwrap();
    assert_eq!(count, 1);
    let deleted = app.execute("DELETE FROM api_key_idempotency_records").await.unwrap();
    assert_eq!(deleted.rows_affected(), 0);
    let moved = format!("UPDATE api_key_idempotency_records SET tenant_id = '{globex}'");
    for refused in [&moved[..], "UPDATE api_key_idempotency_records SET salt = salt"] {
        assert!(app.execute(sqlx::AssertSqlSafe(refused)).await.is_err(), "{refused}");
    }
    app.close().await.unwrap();

    let url = server.database.url().await;
    let mut operator = rally_api_keys::store::TenantAdmin::connect(&url).await.unwrap();
    assert!(operator.delete_tenant(acme).await.unwrap());
    let left = "SELECT tenant_id::text FROM api_key_idempotency_records";
    assert_eq!(server.database.texts(left).await, [globex.to_string()]);
}
