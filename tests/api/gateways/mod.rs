//! The documented gateways (`docs/gateways/`): each real program with the documented files in front of a CRM. Which
//! requests reach the CRM, and with which headers.

mod browsers;
mod client_headers;
mod failures;
mod limits;
mod management;
mod sockets;
mod stand;
mod tls;

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder, header::HeaderValue};
use serde_json::json;

use self::stand::{Gateway, Program, Seen, Stand};
use crate::{
    client::{Client, CreatedKey, Credential, Reply, send},
    harness::sign,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_forwards_authorized_requests_only() {
    check_gateway(Gateway::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy_forwards_authorized_requests_only() {
    check_gateway(Gateway::Caddy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traefik_forwards_authorized_requests_only() {
    check_gateway(Gateway::Traefik).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_forwards_authorized_requests_only() {
    check_gateway(Gateway::Envoy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn haproxy_forwards_authorized_requests_only() {
    check_gateway(Gateway::HaProxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_requires_the_scope_that_its_file_is_changed_to() {
    for program in Program::all() {
        let stand = Stand::start_requiring_admin(&program).await;
        admin_is_required(&stand).await;
        stand.stop().await;
    }
}

/// What the README says for Envoy before 1.38, which cannot replace the path of the check.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_envoy_requires_a_scope_by_a_header() {
    for program in Gateway::Envoy.installed() {
        let stand = Stand::start_requiring_admin_by_header(&program).await;
        admin_is_required(&stand).await;
        stand.stop().await;
    }
}

async fn admin_is_required(stand: &Stand) {
    let [writer, admin] = [stand.key("write").await, stand.key("admin").await];
    for path in ["/", "/contacts", "/?scope=read", "/contacts?scope=read"] {
        let request = |key: &CreatedKey| stand.with_key(&key.secret).request(Method::GET, path);
        stand.refuses(request(&writer), 403, "insufficient_scope").await;
        let lowered = request(&writer).header("X-Rally-Required-Scope", "read");
        stand.refuses(lowered, 403, "insufficient_scope").await;
        stand.forwards(request(&admin)).await;
    }
}

async fn check_gateway(gateway: Gateway) {
    for program in gateway.installed() {
        check_program(&program).await;
    }
}

async fn check_program(program: &Program) {
    let stand = Stand::start(program).await;
    authorized_requests_are_forwarded(&stand).await;
    requests_without_a_valid_credential_are_refused(&stand).await;
    forged_host_headers_are_ignored(&stand).await;
    any_path_and_query_is_forwarded(&stand).await;
    if program.gateway != Gateway::Traefik {
        a_rotated_secret_is_reported_as_deprecated(&stand).await;
    }
    connections_to_the_service_are_reused(&stand).await;
    a_revoked_key_is_refused(&stand).await;
    stand.stop().await;
}

/// The letters and digits of a header's name: many programs read different punctuation as the same.
fn letters(name: &str) -> String {
    name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect()
}

/// The headers that the CRM received and may take for ours.
fn rally_headers(seen: &Seen) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &seen.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        // The CRM treats a header without a value as missing.
        if letters(name.as_str()).starts_with("xrally") && !value.is_empty() {
            found.entry(name.to_string()).or_default().push(value);
        }
    }
    found
}

fn headers(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect()
}

impl Stand {
    async fn key(&self, scopes: &str) -> CreatedKey {
        self.server.admin("acme").create("Gateway", scopes).await
    }

    fn with_key(&self, secret: &str) -> Client {
        self.client("acme", Credential::ApiKey(secret.to_owned()))
    }

    /// Sends a request that must reach the CRM, once.
    async fn forwards(&self, request: RequestBuilder) -> (Seen, Reply) {
        let reply = send(request).await;
        assert_eq!(reply.status.as_u16(), 200, "{:?}: {reply:?}\n{}", self.program, self.log());
        assert_eq!(reply.body, "the CRM's response");
        let mut reached = self.reached();
        assert_eq!(reached.len(), 1, "{reached:?}");
        (reached.remove(0), reply)
    }

    /// Sends a request that must be refused with that status and code, and must not reach the CRM.
    async fn refuses(&self, request: RequestBuilder, status: u16, code: &str) -> Reply {
        let reply = send(request).await;
        assert_eq!(reply.status.as_u16(), status, "{:?}: {reply:?}\n{}", self.program, self.log());
        assert_eq!(reply.header("x-rally-error"), code, "{:?}", self.program);
        assert_eq!(reply.header("cache-control"), "no-store", "{:?}", self.program);
        reply.refused(status, code);
        assert!(self.reached().is_empty(), "{:?}: the request reached the CRM", self.program);
        reply
    }
}

async fn authorized_requests_are_forwarded(stand: &Stand) {
    let acme = stand.server.database.acme.to_string();
    let admin = stand.server.admin("acme");
    let body = json!({"name": "Gateway", "scopes": "read,write", "expiresAt": "2099-01-01T00:00:00Z"});
    let key = admin.create_with(&body).await;
    let (principal, id) = (format!("api-key:{}", key.id), &key.id);
    let expected = headers(&[
        ("x-rally-tenant", "acme"),
        ("x-rally-tenant-id", &acme),
        ("x-rally-principal", &principal),
        ("x-rally-scopes", "read,write"),
        ("x-rally-key-id", id),
        ("x-rally-key-expires", "2099-01-01T00:00:00Z"),
    ]);
    let client = stand.with_key(&key.secret);
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let request = client.request(method.clone(), "/contacts?page=2").body("some body");
        let (seen, reply) = stand.forwards(request).await;
        assert_eq!((seen.method.as_str(), seen.path.as_str()), (method.as_str(), "/contacts?page=2"));
        assert_eq!(rally_headers(&seen), expected, "{:?}", stand.program);
        assert!(!seen.headers.contains_key("x-api-key"), "the CRM received the secret");
        assert_eq!(seen.headers["host"], "acme.localhost");
        if stand.gateway != Gateway::Traefik {
            assert_eq!(reply.header("x-rally-key-expires"), "2099-01-01T00:00:00Z");
        }
    }
    let bearer = stand.client("acme", Credential::Bearer(key.secret.clone()));
    for method in [Method::GET, Method::POST] {
        let (seen, _) = stand.forwards(bearer.request(method, "/")).await;
        assert_eq!(rally_headers(&seen), expected, "{:?}", stand.program);
        assert!(!seen.headers.contains_key("authorization"), "{:?}: the CRM received the secret", stand.program);
    }

    let claims =
        json!({"sub": "1", "email": "zoë@acme.com", "tenant": "acme", "scope": "read", "exp": 4_000_000_000_u64});
    let user = stand.client("acme", Credential::Bearer(sign(&claims)));
    let (seen, _) = stand.forwards(user.request(Method::GET, "/")).await;
    assert_eq!(rally_headers(&seen)["x-rally-principal"], ["user:zo%C3%AB@acme.com"], "{:?}", stand.program);
    assert_eq!(seen.headers["authorization"], format!("Bearer {}", sign(&claims)), "{:?}", stand.program);

    let reader = stand.key("read").await;
    let reader = stand.with_key(&reader.secret);
    stand.refuses(reader.request(Method::POST, "/contacts"), 403, "insufficient_scope").await;
    stand.refuses(reader.request(Method::from_bytes(b"PROPFIND").unwrap(), "/"), 403, "insufficient_scope").await;
}

async fn requests_without_a_valid_credential_are_refused(stand: &Stand) {
    let key = stand.key("admin").await;
    let anonymous = stand.client("acme", Credential::None);
    let reply = stand.refuses(anonymous.request(Method::GET, "/contacts"), 401, "missing_credentials").await;
    assert!(reply.header("www-authenticate").starts_with("Bearer"), "{:?}: {reply:?}", stand.program);
    assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 1, "{reply:?}");
    let unknown = stand.with_key("rk_live_00000000000000000000000000000000");
    stand.refuses(unknown.request(Method::GET, "/contacts"), 401, "invalid_key").await;
    let elsewhere = stand.client("nobody", Credential::ApiKey(key.secret.clone()));
    stand.refuses(elsewhere.request(Method::GET, "/contacts"), 401, "tenant_not_found").await;
    let globex = stand.client("globex", Credential::ApiKey(key.secret));
    stand.refuses(globex.request(Method::GET, "/contacts"), 401, "invalid_key").await;
}

async fn forged_host_headers_are_ignored(stand: &Stand) {
    let ours = stand.key("read").await;
    let theirs = stand.server.admin("globex").create("Gateway", "read").await;
    for name in ["X-Forwarded-Host", "X_Forwarded_Host", "X-Host", "X-Original-Host"] {
        let request = |key: &CreatedKey| {
            stand.with_key(&key.secret).request(Method::GET, "/contacts").header(name, "globex.localhost")
        };
        // The other tenant's key is refused for this host.
        let reply = send(request(&theirs)).await;
        assert_eq!(reply.status.as_u16(), 401, "{:?}, {name}: {reply:?}", stand.program);
        assert!(stand.reached().is_empty());
        // The tenant's own key is accepted as if the header were missing, or refused.
        let reply = send(request(&ours)).await;
        let reached = stand.reached();
        match reply.status.as_u16() {
            200 => assert_eq!(rally_headers(&reached[0])["x-rally-tenant"], ["acme"]),
            status => assert!(status == 401 && reached.is_empty(), "{:?}, {name}: {reply:?}", stand.program),
        }
    }
    // A forged client address does not prevent the request.
    let forged = stand.with_key(&ours.secret).request(Method::GET, "/contacts").header("X-Forwarded-For", "6.6.6.6");
    stand.forwards(forged).await;
}

async fn any_path_and_query_is_forwarded(stand: &Stand) {
    let key = stand.key("read").await;
    let reader = stand.with_key(&key.secret);
    let paths =
        ["/", "/?", "/a/b/c/", "//", "/%2e%2e/%2F", "/contacts?scope=bogus", "/forward-auth?scope=none", "/?a=%zz"];
    for path in paths {
        let (seen, _) = stand.forwards(reader.request(Method::GET, path)).await;
        assert_eq!(rally_headers(&seen)["x-rally-key-id"][0], key.id, "{:?}, {path}", stand.program);
    }
    // Not valid in a URL, and sent by some clients all the same. The check decides, whatever the CRM makes of it.
    for query in ["\"", "<a>", "q={}|", "^`"] {
        let request = format!("GET /?{query} HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n");
        let reply = stand.raw(&request).await;
        assert!(reply.starts_with("HTTP/1.1 401 "), "{:?}, {query}: {reply}", stand.program);
        assert!(reply.contains("missing_credentials"), "{:?}, {query}: {reply}", stand.program);
    }
}

async fn a_rotated_secret_is_reported_as_deprecated(stand: &Stand) {
    let key = stand.key("read").await;
    let body = json!({"overlapSeconds": 3600});
    let rotated = stand.server.admin("acme").post(&format!("{}/rotate", key.path()), &body).await.expect(200);
    let (_, reply) = stand.forwards(stand.with_key(&key.secret).request(Method::GET, "/contacts")).await;
    assert!(reply.header("deprecation").starts_with('@'), "{reply:?}");
    assert!(reply.header("sunset").ends_with("GMT"), "{reply:?}");
    let new = rotated["key"].as_str().unwrap();
    let (_, reply) = stand.forwards(stand.with_key(new).request(Method::GET, "/contacts")).await;
    assert!(!reply.headers.contains_key("deprecation") && !reply.headers.contains_key("sunset"), "{reply:?}");
    // Envoy forwards this header without a value.
    assert!(reply.headers.get("x-rally-key-expires").is_none_or(HeaderValue::is_empty), "{reply:?}");
}

/// The gateway reuses its connections to the service.
async fn connections_to_the_service_are_reused(stand: &Stand) {
    let key = stand.key("read").await;
    let client = stand.with_key(&key.secret);
    stand.forwards(client.request(Method::GET, "/")).await;
    let before = stand.connections();
    for _ in 0..100 {
        stand.forwards(client.request(Method::GET, "/")).await;
    }
    let made = stand.connections() - before;
    assert!(made <= 4, "{:?} made {made} connections for 100 requests", stand.program);
}

async fn a_revoked_key_is_refused(stand: &Stand) {
    let key = stand.key("read").await;
    let client = stand.with_key(&key.secret);
    stand.forwards(client.request(Method::GET, "/contacts")).await;
    stand.server.admin("acme").delete(&key.path()).await.expect(204);
    stand.refuses(client.request(Method::GET, "/contacts"), 401, "key_revoked").await;
}
