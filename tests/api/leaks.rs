//! `POST /leaks`: what anybody reports as leaked is dealt with as its tenant's policy says.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use rally_api_keys::{
    domain::{Secret, Slug},
    store::TenantAdmin,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::{TestDatabase, TestServer, wait_until},
    proxy::{Mode, Proxy},
};

const URL: &str = "https://github.com/octocat/Hello-World/blob/main/.env#L7";
const CHECK: &str = "/forward-auth";

/// A server that takes the client's address from `X-Forwarded-For`.
async fn start() -> TestServer {
    TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1")]).await
}

/// Sends a report without a credential, from that address, on a host that is no tenant's.
async fn report_from(server: &TestServer, address: &str, body: &Value) -> Reply {
    let finder = server.client("acme", Credential::None).on("keys.example");
    send(finder.request(Method::POST, "/leaks").header("x-forwarded-for", address).json(body)).await
}

async fn report(server: &TestServer, secrets: &[&str]) -> Reply {
    let reply = report_from(server, "198.51.100.7", &json!({"secrets": secrets, "url": URL})).await;
    assert_eq!(reply.status, 202, "{reply:?}");
    reply
}

async fn set_policy(admin: &Client, rules: &Value) {
    send(admin.request(Method::PUT, &format!("{PATH}/policy")).json(rules)).await.expect(200);
}

/// The key's events of that type, newest first.
async fn events(admin: &Client, key: &CreatedKey, kind: &str) -> Vec<Value> {
    let events = admin.get(&format!("{PATH}/events?type={kind}&keyId={}", key.id)).await.expect(200);
    events.as_array().unwrap().clone()
}

/// The details of the key's only event `leaked`, once there is one.
async fn leak(admin: &Client, key: &CreatedKey) -> Value {
    wait_until(async || !events(admin, key, "leaked").await.is_empty()).await;
    let found = events(admin, key, "leaked").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["actor"], Value::Null);
    assert_eq!(found[0]["address"], "198.51.100.7");
    found[0]["details"].clone()
}

/// Waits until the reports so far are handled: the queue is handled in its order, unless a report fails.
async fn wait_for_reports(server: &TestServer) {
    let admin = server.admin("acme");
    let last = admin.create("last", "read").await;
    report(server, &[&last.secret]).await;
    leak(&admin, &last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaked_key_is_dealt_with_as_its_tenants_policy_says() {
    let server = start().await;
    let admin = server.admin("acme");
    for (on_leak, action, status, code) in [
        (None, "revoked", "revoked", Some("key_revoked")),
        (Some("revoke"), "revoked", "revoked", Some("key_revoked")),
        (Some("suspend"), "suspended", "suspended", Some("key_suspended")),
        (Some("notify"), "none", "active", None),
    ] {
        if let Some(on_leak) = on_leak {
            set_policy(&admin, &json!({"onLeak": on_leak})).await;
        }
        let key = admin.create("Zapier Sync", "read").await;
        report(&server, &[&key.secret]).await;
        let expected = json!({
            "name": "Zapier Sync", "keyHint": key.hint(), "secret": "current", "action": action, "url": URL,
            "otherUrls": [], "reportedBy": "anyone",
        });
        assert_eq!(leak(&admin, &key).await, expected);
        let shown = admin.get(&key.path()).await.expect(200);
        assert_eq!((&shown["status"], &shown["suspendedUntil"]), (&json!(status), &Value::Null), "{shown}");
        let check = admin.with_key(&key.secret).get(CHECK).await;
        match code {
            Some(code) => drop(check.refused(401, code)),
            None => assert_eq!(check.status, 200),
        }
        // As if an admin had done it.
        let changes = [events(&admin, &key, "revoked").await.len(), events(&admin, &key, "suspended").await.len()];
        assert_eq!(changes, [usize::from(action == "revoked"), usize::from(action == "suspended")]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaked_key_is_refused_within_a_second_on_every_instance() {
    let one = start().await;
    let others = [one.sibling(&[]).await, one.sibling(&[]).await];
    for instance in [&one, &others[0], &others[1]] {
        instance.wait_for_feed().await;
    }
    let admin = one.admin("acme");
    let mut keys = Vec::new();
    for _ in 0..20 {
        let key = admin.create("n", "read").await;
        // Cached on two instances, and on the third not.
        for instance in [&one, &others[0]] {
            assert_eq!(instance.admin("acme").with_key(&key.secret).get(CHECK).await.status, 200);
        }
        keys.push(key);
    }
    let secrets: Vec<_> = keys.iter().map(|key| &*key.secret).collect();
    let started = Instant::now();
    report(&one, &secrets).await;
    for instance in [&one, &others[0], &others[1]] {
        for key in &keys {
            let client = instance.admin("acme").with_key(&key.secret);
            wait_until(async || client.get(CHECK).await.status == 401).await;
            client.get(CHECK).await.refused(401, "key_revoked");
        }
    }
    // A second is documented. The rest is tolerance for a machine that is busy with other tests.
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_response_to_a_report_is_the_same_whatever_the_secrets_are() {
    let server = start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let untouched = admin.create("n", "read").await;
    let unknown = Secret::generate().reveal().to_owned();
    let half = &untouched.secret[..39];
    let longer = format!("{}0", untouched.secret);
    let upper = untouched.secret.to_uppercase();
    let stripe = format!("sk_live_{}", &untouched.secret[8..]);
    let many: Vec<_> = std::iter::repeat_n(&*key.secret, 1000).collect();
    let mut bodies = Vec::new();
    for secrets in [
        &[&*unknown][..],
        &[&*key.secret],
        &[&*key.secret],
        &[half, &*longer, &*upper, &*stripe, "", "AKIAIOSFODNN7EXAMPLE", "é\u{0}"],
        &many,
    ] {
        bodies.push(report(&server, secrets).await.apart_from_request_id());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    wait_for_reports(&server).await;
    leak(&admin, &key).await; // one event, although it was reported a thousand times and more
    assert_eq!(admin.with_key(&untouched.secret).get(CHECK).await.status, 200);
    assert!(events(&admin, &untouched, "leaked").await.is_empty());
}

#[tokio::test]
async fn a_malformed_report_is_refused_with_what_is_wrong() {
    let server = start().await;
    let key = server.admin("acme").create("n", "read").await;
    let secret = &key.secret;
    let mut n = 0;
    let mut from_others = async |body: &Value| {
        n += 1;
        report_from(&server, &format!("192.0.2.{n}"), body).await
    };
    let over: Vec<_> = (0..1001).map(|_| secret).collect();
    for (body, fields) in [
        (json!({"secrets": over}), &["secrets"][..]),
        (json!({"secrets": []}), &["secrets"]),
        (json!({"secrets": null}), &["secrets"]),
        (json!({"secrets": secret}), &["secrets"]),
        (json!({"url": URL}), &["secrets"]),
        (json!({"secrets": [secret, 7]}), &["secrets[1]"]),
        (json!({"secrets": [secret], "url": 7, "note": "x"}), &["note", "url"]),
        (json!({"secrets": [secret], "url": "ftp://example.com/"}), &["url"]),
        (json!({"secrets": [secret], "url": "https://example.com/\u{7}"}), &["url"]),
        (json!({"secrets": [secret], "url": "https://user:pw@example.com/"}), &["url"]),
        (json!({"secrets": [secret], "url": format!("https://example.com/?key={secret}")}), &["url"]),
        (json!({"secrets": [secret], "url": format!("https://example.com/{}", "a".repeat(2000))}), &["url"]),
    ] {
        let reply = from_others(&body).await;
        assert_eq!(reply.bad_fields(), fields);
        assert!(!reply.body.contains(secret), "{reply:?}");
    }
    let large = from_others(&json!({"secrets": ["a".repeat(70_000)]})).await.refused(413, "body_too_large");
    assert_eq!(large["detail"], "Send a body of at most 64 KiB.");
    from_others(&json!([secret])).await.refused(400, "invalid_json");
    let finder = server.client("acme", Credential::None);
    let plain = finder.request(Method::POST, "/leaks").body(secret.clone());
    send(plain).await.refused(415, "unsupported_media_type");
    finder.get("/leaks").await.refused(405, "method_not_allowed");
    // Nothing of that has reached the key.
    wait_for_reports(&server).await;
    assert_eq!(server.admin("acme").with_key(secret).get(CHECK).await.status, 200);
}

#[tokio::test]
async fn an_address_may_report_ten_times_a_minute() {
    let server = start().await;
    let body = json!({"secrets": ["x"]});
    let mut refused = None;
    // Two minutes may meet within the calls.
    for _ in 0..21 {
        let reply = report_from(&server, "2001:db8::7", &body).await;
        if reply.status != 202 {
            refused = Some(reply);
            break;
        }
    }
    let refused = refused.expect("a refusal");
    refused.refused(429, "too_many_reports");
    let seconds: u32 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(report_from(&server, "2001:db8:0:1::7", &body).await.status, 202, "another network");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_previous_secret_that_leaks_is_ended_and_its_key_goes_on_with_the_current_one() {
    let server = start().await;
    let admin = server.admin("acme");
    for on_leak in ["revoke", "suspend"] {
        set_policy(&admin, &json!({"onLeak": on_leak})).await;
        let key = admin.create("n", "read").await;
        let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
        let current = rotated["key"].as_str().unwrap();
        assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200);
        report(&server, &[&key.secret]).await;
        let details = leak(&admin, &key).await;
        assert_eq!((&details["secret"], &details["action"]), (&json!("previous"), &json!("secret_ended")));
        assert_eq!(details["keyHint"], key.hint());
        admin.with_key(&key.secret).get(CHECK).await.refused(401, "invalid_key");
        assert_eq!(admin.with_key(current).get(CHECK).await.status, 200);
        let ended = events(&admin, &key, "previous_secret_ended").await;
        assert_eq!(ended[0]["details"]["previousKeyHint"], key.hint());
        assert_eq!(admin.get(&key.path()).await.expect(200)["rotation"], Value::Null);
    }
    // Both of a key in one report: the key is revoked.
    set_policy(&admin, &json!({})).await;
    let key = admin.create("n", "read").await;
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({})).await.expect(200);
    report(&server, &[&key.secret, rotated["key"].as_str().unwrap()]).await;
    wait_until(async || events(&admin, &key, "leaked").await.len() == 2).await;
    assert_eq!(events(&admin, &key, "revoked").await.len(), 1);
    assert_eq!(admin.get(&key.path()).await.expect(200)["status"], "revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaked_secret_that_had_ended_changes_nothing_and_leaves_an_event() {
    let server = start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": 0})).await.expect(200);
    report(&server, &[&key.secret]).await;
    let details = leak(&admin, &key).await;
    assert_eq!((&details["secret"], &details["action"]), (&json!("ended"), &json!("none")));
    assert_eq!(admin.with_key(rotated["key"].as_str().unwrap()).get(CHECK).await.status, 200);

    let revoked = admin.create("n", "read").await;
    admin.delete(&revoked.path()).await.expect(204);
    report(&server, &[&revoked.secret]).await;
    assert_eq!(leak(&admin, &revoked).await["action"], "none");
    assert_eq!(events(&admin, &revoked, "revoked").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leaked_key_that_is_expired_or_suspended_is_revoked_or_suspended_for_good() {
    let server = start().await;
    let admin = server.admin("acme");
    let expires_at = rally_api_keys::domain::format_timestamp(server.clock.now() + TimeDelta::hours(1));
    let expired = admin.create_with(&json!({"name": "n", "expiresAt": expires_at})).await;
    let suspended = admin.create("n", "read").await;
    admin.post(&format!("{}/suspend", suspended.path()), &json!({"until": expires_at})).await.expect(200);
    set_policy(&admin, &json!({"onLeak": "suspend"})).await;
    report(&server, &[&suspended.secret]).await;
    assert_eq!(leak(&admin, &suspended).await["action"], "suspended");
    let shown = admin.get(&suspended.path()).await.expect(200);
    assert_eq!((&shown["status"], &shown["suspendedUntil"]), (&json!("suspended"), &Value::Null));
    set_policy(&admin, &json!({})).await;
    server.clock.turn(TimeDelta::hours(2));
    let admin = server.admin("acme");
    report(&server, &[&expired.secret]).await;
    assert_eq!(leak(&admin, &expired).await["action"], "revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_report_reaches_keys_of_all_tenants_suspended_ones_included_and_none_of_a_deleted_one() {
    let server = start().await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let ours = acme.create("n", "read").await;
    let theirs = globex.create("n", "read").await;
    let mut operator = TenantAdmin::connect(&server.database.url().await).await.unwrap();
    let initech = Slug::parse("initech").unwrap();
    let id = operator.create_tenant(&initech, "Initech", server.clock.now()).await.unwrap().unwrap();
    let gone = server.admin("initech").create("n", "read").await;
    assert!(operator.delete_tenant(id).await.unwrap());
    let slug = Slug::parse("globex").unwrap();
    operator.set_suspended(&slug, Some(server.clock.now())).await.unwrap();
    report(&server, &[&gone.secret, &ours.secret, &theirs.secret]).await;
    assert_eq!(leak(&acme, &ours).await["action"], "revoked");
    operator.set_suspended(&slug, None).await.unwrap();
    wait_until(async || globex.get(&theirs.path()).await.status == 200).await;
    assert_eq!(leak(&globex, &theirs).await["action"], "revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_report_leaves_one_event_an_hour() {
    let server = start().await;
    let admin = server.admin("acme");
    set_policy(&admin, &json!({"onLeak": "notify"})).await;
    let key = admin.create("n", "read").await;
    for _ in 0..3 {
        report(&server, &[&key.secret]).await;
    }
    wait_for_reports(&server).await;
    leak(&admin, &key).await;
    server.database.execute("UPDATE api_key_secrets SET leak_recorded_at = now() - interval '61 minutes'").await;
    report(&server, &[&key.secret]).await;
    wait_until(async || events(&admin, &key, "leaked").await.len() == 2).await;
    // A policy that says more since then takes effect at once.
    set_policy(&admin, &json!({"onLeak": "revoke"})).await;
    report(&server, &[&key.secret]).await;
    wait_until(async || events(&admin, &key, "leaked").await.len() == 3).await;
    assert_eq!(admin.get(&key.path()).await.expect(200)["status"], "revoked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_dealt_with_before_the_process_ends() {
    let mut server = start().await;
    let admin = server.admin("acme");
    let mut keys = Vec::new();
    for _ in 0..60 {
        keys.push(admin.create("n", "read").await);
    }
    for part in keys.chunks(6) {
        let secrets: Vec<_> = part.iter().map(|key| &*key.secret).collect();
        report(&server, &secrets).await;
    }
    server.stop().await;
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL").await, 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_while_the_database_is_away_is_refused_and_one_accepted_before_is_dealt_with_later() {
    let database = TestDatabase::create().await;
    let proxy = Proxy::start(database.socket().await).await;
    let server = TestServer::through(proxy.address, database, &[("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    proxy.set(Mode::Cut);
    let body = json!({"secrets": [key.secret]});
    wait_until(async || report_from(&server, "203.0.113.9", &body).await.status != 202).await;
    proxy.set(Mode::Pass);
    wait_until(async || report_from(&server, "203.0.113.10", &body).await.status == 202).await;
    wait_until(async || admin.get(&key.path()).await.json()["status"] == "revoked").await;
}
