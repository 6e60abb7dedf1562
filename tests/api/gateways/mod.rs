//! The documented gateways (`docs/gateways/`), each as the real program reading the documented
//! files, in front of a CRM: who gets through, and with which headers.

mod stand;

use std::collections::BTreeMap;

use reqwest::{Method, RequestBuilder, header::HeaderValue};
use serde_json::json;

use self::stand::{Gateway, Seen, Stand};
use crate::client::{Client, CreatedKey, Credential, Reply, send};

/// Headers that a client may try to slip in; what the CRM sees under these names, in any
/// spelling, must come from the service.
const FORGED: [(&str, &str); 14] = [
    ("X-Rally-Tenant", "globex"),
    ("X-Rally-Tenant-Id", "forged"),
    ("X-Rally-Principal", "user:forged"),
    ("X-Rally-Scopes", "admin"),
    ("X-Rally-Key-Id", "forged"),
    ("X-Rally-Key-Expires", "forged"),
    ("X-Rally-Made-Up", "forged"),
    ("X_Rally_Tenant", "globex"),
    ("X_Rally_Scopes", "admin"),
    ("x_rally_principal", "user:forged"),
    ("X-Rally_Scopes", "admin"),
    ("X_Rally-Scopes", "admin"),
    ("x-rally_key-id", "forged"),
    ("X_RALLY_KEY_ID", "forged"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx() {
    holds(Gateway::Nginx).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn caddy() {
    holds(Gateway::Caddy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traefik() {
    holds(Gateway::Traefik).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy() {
    holds(Gateway::Envoy).await;
}

async fn holds(gateway: Gateway) {
    let Some(mut stand) = Stand::start(gateway).await else { return };
    who_is_let_through(&stand).await;
    nobody_without_a_credential(&stand).await;
    no_header_of_the_clients_is_believed(&stand).await;
    no_method_of_the_clients_is_believed(&stand).await;
    no_host_of_the_clients_is_believed(&stand).await;
    any_path_and_query(&stand).await;
    if gateway != Gateway::Traefik {
        a_rotated_away_secret_is_told(&stand).await;
    }
    connections_are_kept(&stand).await;
    revoked_is_refused(&stand).await;
    nobody_while_the_service_is_away(&mut stand).await;
    stand.stop().await;
}

/// The `X-Rally-*` that the CRM saw, in whatever spelling.
fn rally_headers(seen: &Seen) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &seen.headers {
        let name = name.as_str().replace('_', "-");
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        // A header without a value and none at all are the same to the CRM.
        if name.starts_with("x-rally-") && !value.is_empty() {
            found.entry(name).or_default().push(value);
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

    /// The request gets through, and the CRM sees it once.
    async fn passes(&self, request: RequestBuilder) -> (Seen, Reply) {
        let reply = send(request).await;
        assert_eq!(reply.status.as_u16(), 200, "{:?}: {reply:?}\n{}", self.gateway, self.log());
        assert_eq!(reply.body, "the CRM's answer");
        let mut reached = self.reached();
        assert_eq!(reached.len(), 1, "{reached:?}");
        (reached.remove(0), reply)
    }

    /// It does not.
    async fn stops(&self, request: RequestBuilder, status: u16, code: &str) -> Reply {
        let reply = send(request).await;
        assert_eq!(reply.status.as_u16(), status, "{:?}: {reply:?}\n{}", self.gateway, self.log());
        assert_eq!(reply.header("x-rally-error"), code, "{:?}", self.gateway);
        assert_eq!(reply.json()["code"], code, "{:?}", self.gateway);
        assert!(self.reached().is_empty(), "{:?}: the CRM was asked", self.gateway);
        reply
    }
}

async fn who_is_let_through(stand: &Stand) {
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
        let (seen, reply) = stand.passes(request).await;
        assert_eq!((seen.method.as_str(), seen.path.as_str()), (method.as_str(), "/contacts?page=2"));
        assert_eq!(rally_headers(&seen), expected, "{:?}", stand.gateway);
        assert!(!seen.headers.contains_key("x-api-key"), "the CRM is told the secret");
        assert_eq!(seen.headers["host"], "acme.localhost");
        if stand.gateway != Gateway::Traefik {
            assert_eq!(reply.header("x-rally-key-expires"), "2099-01-01T00:00:00Z");
        }
    }
    let bearer = stand.client("acme", Credential::Bearer(key.secret.clone()));
    stand.passes(bearer.request(Method::GET, "/")).await;

    let reader = stand.key("read").await;
    let reader = stand.with_key(&reader.secret);
    stand.stops(reader.request(Method::POST, "/contacts"), 403, "insufficient_scope").await;
    stand.stops(reader.request(Method::from_bytes(b"PROPFIND").unwrap(), "/"), 403, "insufficient_scope").await;
}

async fn nobody_without_a_credential(stand: &Stand) {
    let key = stand.key("admin").await;
    let nobody = stand.client("acme", Credential::None);
    let reply = stand.stops(nobody.request(Method::GET, "/contacts"), 401, "missing_credentials").await;
    assert!(reply.header("www-authenticate").starts_with("Bearer"), "{:?}: {reply:?}", stand.gateway);
    assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 1, "{reply:?}");
    let unknown = stand.with_key("rk_live_00000000000000000000000000000000");
    stand.stops(unknown.request(Method::GET, "/contacts"), 401, "invalid_key").await;
    let elsewhere = stand.client("nobody", Credential::ApiKey(key.secret.clone()));
    stand.stops(elsewhere.request(Method::GET, "/contacts"), 401, "tenant_not_found").await;
    let globex = stand.client("globex", Credential::ApiKey(key.secret));
    stand.stops(globex.request(Method::GET, "/contacts"), 401, "invalid_key").await;
}

async fn no_header_of_the_clients_is_believed(stand: &Stand) {
    let acme = stand.server.database.acme.to_string();
    let forging = |mut request: RequestBuilder| {
        for (name, value) in FORGED {
            // nginx removes headers by their whole names alone, and nobody believes this one.
            if (stand.gateway, name) != (Gateway::Nginx, "X-Rally-Made-Up") {
                request = request.header(name, value);
            }
        }
        request
    };
    // A user has no key, and an endless key no end: those headers are empty, and the client's stay out.
    let token = stand.server.token("acme", "read");
    let user = stand.client("acme", Credential::Bearer(token));
    let (seen, _) = stand.passes(forging(user.request(Method::GET, "/contacts"))).await;
    let expected = [
        ("x-rally-tenant", "acme"),
        ("x-rally-tenant-id", &acme),
        ("x-rally-principal", "user:admin@acme.com"),
        ("x-rally-scopes", "read"),
    ];
    assert_eq!(rally_headers(&seen), headers(&expected), "{:?}", stand.gateway);

    let key = stand.key("read").await;
    let (seen, _) = stand.passes(forging(stand.with_key(&key.secret).request(Method::GET, "/contacts"))).await;
    let principal = format!("api-key:{}", key.id);
    let expected = [
        ("x-rally-tenant", "acme"),
        ("x-rally-tenant-id", &acme),
        ("x-rally-principal", &principal),
        ("x-rally-scopes", "read"),
        ("x-rally-key-id", &key.id),
    ];
    assert_eq!(rally_headers(&seen), headers(&expected), "{:?}", stand.gateway);
}

async fn no_method_of_the_clients_is_believed(stand: &Stand) {
    let key = stand.key("read").await;
    let reader = stand.with_key(&key.secret);
    for name in ["X-Forwarded-Method", "X-Original-Method", "X_Forwarded_Method", "X-HTTP-Method-Override"] {
        let request = reader.request(Method::POST, "/contacts").header(name, "GET");
        stand.stops(request, 403, "insufficient_scope").await;
    }
    // Nor can the query ask for less.
    stand.stops(reader.request(Method::POST, "/contacts?scope=read"), 403, "insufficient_scope").await;
}

async fn no_host_of_the_clients_is_believed(stand: &Stand) {
    let ours = stand.key("read").await;
    let theirs = stand.server.admin("globex").create("Gateway", "read").await;
    for name in ["X-Forwarded-Host", "X_Forwarded_Host", "X-Host", "X-Original-Host"] {
        let request = |key: &CreatedKey| {
            stand.with_key(&key.secret).request(Method::GET, "/contacts").header(name, "globex.localhost")
        };
        // The other tenant's key does not open this host.
        let reply = send(request(&theirs)).await;
        assert_eq!(reply.status.as_u16(), 401, "{:?}, {name}: {reply:?}", stand.gateway);
        assert!(stand.reached().is_empty());
        // This one's own key works as if nothing had been claimed, or not at all.
        let reply = send(request(&ours)).await;
        let reached = stand.reached();
        match reply.status.as_u16() {
            200 => assert_eq!(rally_headers(&reached[0])["x-rally-tenant"], ["acme"]),
            status => assert!(status == 401 && reached.is_empty(), "{:?}, {name}: {reply:?}", stand.gateway),
        }
    }
    // Nor is the client's word on where it comes from: the key's use is told with an address.
    let forged = stand.with_key(&ours.secret).request(Method::GET, "/contacts").header("X-Forwarded-For", "6.6.6.6");
    stand.passes(forged).await;
}

async fn any_path_and_query(stand: &Stand) {
    let key = stand.key("read").await;
    let reader = stand.with_key(&key.secret);
    let paths =
        ["/", "/?", "/a/b/c/", "//", "/%2e%2e/%2F", "/contacts?scope=bogus", "/forward-auth?scope=none", "/?a=%zz"];
    for path in paths {
        let (seen, _) = stand.passes(reader.request(Method::GET, path)).await;
        assert_eq!(rally_headers(&seen)["x-rally-key-id"][0], key.id, "{:?}, {path}", stand.gateway);
    }
}

async fn a_rotated_away_secret_is_told(stand: &Stand) {
    let key = stand.key("read").await;
    let body = json!({"overlapSeconds": 3600});
    let rotated = stand.server.admin("acme").post(&format!("{}/rotate", key.path()), &body).await.expect(200);
    let (_, reply) = stand.passes(stand.with_key(&key.secret).request(Method::GET, "/contacts")).await;
    assert!(reply.header("deprecation").starts_with('@'), "{reply:?}");
    assert!(reply.header("sunset").ends_with("GMT"), "{reply:?}");
    let new = rotated["key"].as_str().unwrap();
    let (_, reply) = stand.passes(stand.with_key(new).request(Method::GET, "/contacts")).await;
    assert!(!reply.headers.contains_key("deprecation") && !reply.headers.contains_key("sunset"), "{reply:?}");
    // Envoy passes it on without a value, too.
    assert!(reply.headers.get("x-rally-key-expires").is_none_or(HeaderValue::is_empty), "{reply:?}");
}

/// A check on a connection that is there already costs no handshake.
async fn connections_are_kept(stand: &Stand) {
    let key = stand.key("read").await;
    let client = stand.with_key(&key.secret);
    stand.passes(client.request(Method::GET, "/")).await;
    let before = stand.connections();
    for _ in 0..100 {
        stand.passes(client.request(Method::GET, "/")).await;
    }
    let made = stand.connections() - before;
    assert!(made <= 4, "{:?} made {made} connections for 100 requests", stand.gateway);
}

async fn revoked_is_refused(stand: &Stand) {
    let key = stand.key("read").await;
    let client = stand.with_key(&key.secret);
    stand.passes(client.request(Method::GET, "/contacts")).await;
    stand.server.admin("acme").delete(&key.path()).await.expect(204);
    stand.stops(client.request(Method::GET, "/contacts"), 401, "key_revoked").await;
}

async fn nobody_while_the_service_is_away(stand: &mut Stand) {
    let key = stand.key("admin").await;
    let client = stand.with_key(&key.secret);
    stand.passes(client.request(Method::GET, "/contacts")).await;
    stand.server.stop().await;
    for _ in 0..3 {
        let reply = send(client.request(Method::GET, "/contacts")).await;
        assert!(reply.status.is_server_error(), "{:?}: {reply:?}", stand.gateway);
        assert!(stand.reached().is_empty(), "{:?}: the CRM was asked", stand.gateway);
    }
}
