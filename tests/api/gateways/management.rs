//! The API and the pages of the service, at the host that clients know: through the gateway.

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::stand::{Program, Stand};
use crate::{
    client::{Credential, PATH, send},
    harness::{TestServer, wait_until},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_created_used_rotated_and_revoked_at_the_gateways_host() {
    for program in Program::all() {
        let stand = Stand::start(&program).await;
        keys_are_managed(&stand).await;
        a_leaked_secret_is_reported(&stand).await;
        the_pages_are_served(&stand).await;
        other_paths_are_the_crms(&stand).await;
        stand.stop().await;
    }
}

/// With each gateway's files as they are, on a listener without TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_http_is_refused_by_the_service_and_not_redirected() {
    for program in Program::all() {
        let settings = [("TRUSTED_PROXIES", "127.0.0.1"), ("PLAIN_HTTP", "refuse")];
        let stand =
            Stand::start_before(TestServer::with(&settings).await, &program, "-plain", |_, text| text.into(), 403)
                .await;
        let direct = stand.server.admin("acme");
        let key = direct.create("n", "read").await;
        for client in [stand.with_key(&key.secret), stand.client("acme", Credential::None)] {
            // What the client itself says about it does not count.
            let check = client.request(Method::GET, "/contacts").header("x-forwarded-proto", "https");
            stand.refuses(check, 403, "plain_http").await;
            client.get(PATH).await.refused(403, "plain_http");
        }
        let exposed = format!("{PATH}/events?type=exposed&keyId={}", key.id);
        wait_until(async || direct.get(&exposed).await.expect(200)[0]["type"] == "exposed").await;
        assert!(stand.reached().is_empty(), "{program:?}");
        stand.stop().await;
    }
}

/// The trusted proxy is 127.0.0.1, so the client needs another address.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_and_events_show_the_clients_address() {
    const CLIENT: &str = "127.0.0.2";
    for program in Program::all() {
        let mut stand = Stand::start(&program).await;
        let key = stand.key("read").await;
        let from = |credential| stand.client_from(CLIENT, "acme", credential);
        let checked = from(Credential::ApiKey(key.secret.clone())).request(Method::GET, "/contacts");
        let (seen, _) =
            stand.forwards(checked.header("x-forwarded-for", "6.6.6.6").header("forwarded", "for=6.6.6.6")).await;
        let forwarded = seen.headers["x-forwarded-for"].to_str().unwrap();
        assert_eq!(forwarded.rsplit(',').next().map(str::trim), Some(CLIENT), "{program:?}: the CRM's X-Forwarded-For");

        let admin = from(Credential::Bearer(stand.server.token("acme", "admin")));
        send(admin.request(Method::DELETE, &key.path()).header("x-forwarded-for", "6.6.6.6")).await.expect(204);
        let events = admin.get(&format!("{}/events", key.path())).await.expect(200);
        assert_eq!((&events[0]["type"], &events[0]["address"]), (&json!("revoked"), &json!(CLIENT)), "{program:?}");

        stand.server.stop().await; // writes the usage
        let addresses = stand.server.database.texts("SELECT host(address) FROM api_key_last_uses").await;
        assert_eq!(addresses, [CLIENT], "{program:?}");
        stand.stop().await;
    }
}

/// By their defaults, some gateways end such a call before the service responds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_for_a_receipt_gets_the_longest_wait_behind_every_gateway() {
    let stands = Program::all().into_iter().map(async |program| {
        // It does not know yet that no other instance has the key cached.
        let server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1"), ("LEASE_SECONDS", "300")]).await;
        let stand = Stand::start_before(server, &program, "-receipt", |_, text| text.to_owned(), 401).await;
        let key = stand.key("read").await;
        let admin = stand.client("acme", Credential::Bearer(stand.server.token("acme", "admin")));
        let reply = send(admin.request(Method::DELETE, &key.path()).header("prefer", "wait=60")).await;
        assert_eq!(reply.status, 202, "{program:?}: {reply:?}\n{}", stand.log());
        assert_eq!(reply.header("preference-applied"), "wait=55", "{program:?}");
        stand.refuses(stand.with_key(&key.secret).request(Method::GET, "/"), 401, "key_revoked").await;
        stand.stop().await;
    });
    futures_util::future::join_all(stands).await;
}

async fn keys_are_managed(stand: &Stand) {
    let admin = stand.client("acme", Credential::Bearer(stand.server.token("acme", "admin")));
    let reply = admin.post(PATH, &json!({"name": "Through a gateway", "scopes": "write"})).await;
    let created = reply.expect(201);
    let path = format!("{PATH}/{}", created["id"].as_str().unwrap());
    assert!(reply.header("location").ends_with(&path), "{:?}: {reply:?}", stand.program);
    let secret = created["key"].as_str().unwrap();
    stand.forwards(stand.with_key(secret).request(Method::POST, "/contacts")).await;

    assert_eq!(admin.get("/api/v1/me").await.expect(200)["canCreate"], true, "{:?}", stand.program);
    let listed = admin.get(&format!("{PATH}?limit=1")).await;
    assert_eq!(listed.expect(200)[0]["id"], created["id"], "{:?}", stand.program);
    let etag = admin.get(&path).await.header("etag").to_owned();
    let renamed = admin.request(Method::PATCH, &path).json(&json!({"name": "Renamed"}));
    send(renamed.header("if-match", etag)).await.expect(200);

    let own = format!("{PATH}/self/rotate");
    let rotated = stand.with_key(secret).post(&own, &json!({"overlapSeconds": 0})).await.expect(200);
    stand.refuses(stand.with_key(secret).request(Method::GET, "/contacts"), 401, "invalid_key").await;
    let secret = rotated["key"].as_str().unwrap();
    stand.forwards(stand.with_key(secret).request(Method::GET, "/contacts")).await;

    admin.delete(&path).await.expect(204);
    stand.refuses(stand.with_key(secret).request(Method::GET, "/contacts"), 401, "key_revoked").await;
    stand.client("acme", Credential::None).get(PATH).await.refused(401, "missing_credentials");
    assert!(stand.reached().is_empty(), "{:?}: a request of the API reached the CRM", stand.program);
}

async fn a_leaked_secret_is_reported(stand: &Stand) {
    let key = stand.key("read").await;
    let anonymous = stand.client("acme", Credential::None);
    anonymous.post("/leaks", &json!({"secrets": [key.secret]})).await.expect(202);
    let holder = stand.with_key(&key.secret);
    wait_until(async || holder.get("/contacts").await.status == 401).await;
    // GitHub's reports are large.
    let report = anonymous.request(Method::POST, "/leaks/github").header("content-type", "application/json");
    let refused = send(report.body(" ".repeat(3 << 20))).await.refused(404, "not_found");
    assert!(refused["detail"].as_str().unwrap().contains("LEAKS_GITHUB_KEYS_URL"), "{:?}: {refused}", stand.program);
    stand.reached();
}

async fn the_pages_are_served(stand: &Stand) {
    let anonymous = stand.client("acme", Credential::None);
    for path in ["/docs", "/docs/swagger-ui.css", "/openapi.json"] {
        assert_eq!(anonymous.get(path).await.status, StatusCode::OK, "{:?}, {path}", stand.program);
    }
    for path in ["/console", "/console/", "/console/index.html"] {
        assert_ne!(anonymous.get(path).await.status, StatusCode::UNAUTHORIZED, "{:?}, {path}", stand.program);
    }
    assert!(stand.reached().is_empty(), "{:?}: a request for a page reached the CRM", stand.program);
}

/// Whole segments decide, so the CRM may have paths that begin alike.
async fn other_paths_are_the_crms(stand: &Stand) {
    let anonymous = stand.client("acme", Credential::None);
    let key = stand.key("read").await;
    for path in [
        "/api/v1/api-keys-of-the-crm",
        "/api/v1/contacts",
        "/api/v1/me/contacts",
        "/api/v1/members",
        "/documents",
        "/docs.html",
        "/consoles",
        "/openapi_json",
        "/metrics",
        "/readyz",
        "/forward-auth",
    ] {
        stand.refuses(anonymous.request(Method::GET, path), 401, "missing_credentials").await;
        stand.forwards(stand.with_key(&key.secret).request(Method::GET, path)).await;
    }
    // A path that leads out of the service's own is not checked by the gateway, so it must not lead to the CRM.
    for path in ["/docs/..%2fcontacts", "/docs/%2e%2e%2fcontacts", "/api/v1/api-keys/..%5ccontacts"] {
        let reply = anonymous.get(path).await;
        assert!(reply.status.is_client_error(), "{:?}, {path}: {reply:?}", stand.program);
        assert!(stand.reached().is_empty(), "{:?}: {path} reached the CRM without a check", stand.program);
    }
}
