//! Behaviour common to all paths: methods, `HEAD`, request ids, caching, CORS, probes.

use reqwest::{Method, header::HeaderMap};
use serde_json::json;

use crate::{
    client::{Client, Credential, PATH, Reply, send},
    harness::TestServer,
};

const SELF: &str = "/api/v1/api-keys/self";
const UNKNOWN: &str = "/api/v1/api-keys/a1b2c3d4-e5f6-7890-abcd-ef1234567890";

/// The values of a comma-separated header, sorted, in lower case.
fn header_values(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap());
    let mut words: Vec<String> = values.flat_map(|value| value.split(',')).map(|w| w.trim().to_lowercase()).collect();
    words.sort();
    words
}

async fn get_with_request_id(client: &Client, path: &str, request_id: &str) -> Reply {
    send(client.request(Method::GET, path).header("x-request-id", request_id)).await
}

// ---- Methods

#[tokio::test]
async fn unsupported_methods_return_405_with_allow() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    for (path, allowed) in [
        (PATH, vec!["get", "head", "post"]),
        (SELF, vec!["delete", "get", "head"]),
        (&key.path(), vec!["delete", "get", "head", "patch"]),
        (UNKNOWN, vec!["delete", "get", "head", "patch"]),
        ("/healthz", vec!["get", "head"]),
        ("/readyz", vec!["get", "head"]),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "BREW"] {
            if allowed.contains(&method.to_lowercase().as_str()) {
                continue;
            }
            let reply = send(admin.request(method.parse().unwrap(), path)).await;
            assert_eq!(reply.status, 405, "{method} {path}: {reply:?}");
            reply.refused(405, "method_not_allowed");
            assert_eq!(header_values(&reply.headers, "allow"), allowed, "{method} {path}");
        }
    }
    assert_eq!(admin.get(&key.path()).await.expect(200)["status"], "active");
}

/// Only a preflight (with `Origin` and `Access-Control-Request-Method`) is an exception.
#[tokio::test]
async fn options_without_preflight_headers_returns_405() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for path in ["/healthz", PATH, SELF, UNKNOWN] {
        let reply = send(admin.request(Method::OPTIONS, path)).await;
        assert_eq!(reply.status, 405, "{path}: {reply:?}");
        reply.refused(405, "method_not_allowed");
        assert!(header_values(&reply.headers, "allow").contains(&"get".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn unknown_paths_return_404() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for path in [
        "/api",
        "/api/v1",
        "/api/v1/api-keys/",
        "/api/v1/API-KEYS",
        "/api/v2/api-keys",
        "//api/v1/api-keys",
        "/api/v1/api-keys/self/",
        "/api/v1/api-keys/self/x",
        "/api/v1/contacts",
        "/favicon.ico",
        "/.env",
    ] {
        for method in [Method::GET, Method::POST, Method::DELETE, "BREW".parse().unwrap()] {
            send(admin.request(method, path)).await.refused(404, "not_found");
        }
    }
    admin.with(Credential::None).get("/api/v1/contacts").await.refused(404, "not_found");
}

#[tokio::test]
async fn head_returns_the_headers_of_get_without_a_body() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    let send_raw = async |method: &str, path: &str| {
        let (host, secret) = ("acme.localhost", &key.secret);
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {secret}\r\nConnection: close\r\n\r\n");
        let response = server.raw(request).await;
        let (head, body) = response.split_once("\r\n\r\n").expect("a response head");
        let varies = |line: &&str| !line.starts_with("x-request-id:") && !line.starts_with("date:");
        let head: Vec<String> = head.lines().filter(varies).map(str::to_owned).collect();
        (head, body.to_owned())
    };
    for path in [PATH, &format!("{PATH}?limit=1"), SELF, &key.path(), "/healthz", "/readyz", UNKNOWN, "/nowhere"] {
        let (get, head) = (send_raw("GET", path).await, send_raw("HEAD", path).await);
        assert!(!get.1.is_empty(), "{path}");
        assert_eq!(head.1, "", "{path}");
        assert_eq!(head.0[0], get.0[0], "{path}: status line");
        let without_length = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| !line.starts_with("content-length:")).cloned().collect()
        };
        assert_eq!(without_length(&head.0), without_length(&get.0), "{path}");
    }
}

#[tokio::test]
async fn every_response_forbids_content_sniffing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for path in [
        PATH,
        SELF,
        UNKNOWN,
        "/forward-auth",
        "/nowhere",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/docs",
        "/console",
    ] {
        for client in [&admin, &admin.with(Credential::None)] {
            for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::DELETE, Method::TRACE] {
                let reply = send(client.request(method, path)).await;
                assert_eq!(header_values(&reply.headers, "x-content-type-options"), ["nosniff"], "{path}: {reply:?}");
            }
        }
    }
    let unknown = admin.on("nobody.localhost".to_owned()).get(PATH).await;
    assert_eq!((unknown.status.as_u16(), unknown.header("x-content-type-options")), (404, "nosniff"));
}

// ---- X-Request-Id

#[tokio::test]
async fn a_valid_request_id_is_echoed() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let longest = "x".repeat(128);
    for id in ["7", "0190f5c2-7d3c-7b1e-8d5a-3f2b1c0d9e8f", "abc_DEF.1:2/3+4=5@6", "Root=1-67891233-abcdef", &longest] {
        for path in [PATH, UNKNOWN, "/nowhere", "/healthz"] {
            assert_eq!(get_with_request_id(&admin, path, id).await.header("x-request-id"), id, "{path}");
        }
    }
    let problem = get_with_request_id(&admin, UNKNOWN, "in-the-body-too").await.refused(404, "key_not_found");
    assert_eq!(problem["requestId"], "in-the-body-too");
}

#[tokio::test]
async fn an_invalid_request_id_is_replaced() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let secret = admin.create("Zapier Sync", "read").await.secret;
    let mut given = Vec::new();
    for id in [
        "",
        "two words",
        "a\tb",
        "ünlaut",
        r#"quote""#,
        "<b>",
        "a,b",
        "{x}",
        &"x".repeat(129),
        &"x".repeat(5000),
        &secret,
        &format!("request-{secret}-7"),
    ] {
        let reply = get_with_request_id(&admin, UNKNOWN, id).await;
        reply.refused(404, "key_not_found");
        let own = reply.header("x-request-id");
        assert_ne!(own, id);
        assert!(own.len() >= 16 && own.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{own}");
        assert!(!format!("{reply:?}").contains("rk_live_"), "{reply:?}");
        given.push(own.to_owned());
    }
    let all = given.len();
    given.sort();
    given.dedup();
    assert_eq!(given.len(), all, "generated request ids must be unique");
}

#[tokio::test]
async fn every_response_has_a_request_id() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let replies = [
        admin.get(PATH).await,
        admin.get(&key.path()).await,
        admin.delete(&key.path()).await,
        admin.with(Credential::None).get(PATH).await,
        admin.on("nobody.localhost").get(PATH).await,
        send(admin.request(Method::PUT, PATH)).await,
        admin.get("/nowhere").await,
        admin.get("/healthz").await,
        admin.get("/readyz").await,
    ];
    for reply in replies {
        assert!(!reply.header("x-request-id").is_empty());
    }
}

// ---- Caching

#[tokio::test]
async fn responses_about_keys_are_not_cacheable() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let by_key = admin.with_key(&key.secret);
    for (status, reply) in [
        (201, admin.post(PATH, &json!({"name": "ETL Pipeline"})).await),
        (200, admin.get(PATH).await),
        (200, admin.get(&key.path()).await),
        (200, by_key.get(SELF).await),
        (200, admin.patch(&key.path(), &json!({"name": "New"})).await),
        (400, admin.post(PATH, &json!({})).await),
        (400, admin.get(&format!("{PATH}?limit=0")).await),
        (400, admin.get(&format!("{PATH}/7")).await),
        (401, admin.with(Credential::None).get(PATH).await),
        (403, by_key.post(PATH, &json!({"name": "Zapier Sync"})).await),
        (403, admin.get(SELF).await),
        (404, admin.get(UNKNOWN).await),
        (404, admin.on("nobody.localhost").get(PATH).await),
        (405, send(admin.request(Method::PUT, PATH)).await),
        (413, send(admin.request(Method::POST, PATH).json(&json!({"name": "x".repeat(20_000)}))).await),
        (415, send(admin.request(Method::POST, PATH).body("{}")).await),
        (412, send(admin.request(Method::PATCH, &key.path()).header("if-match", r#""x""#).json(&json!({}))).await),
        (204, admin.delete(&key.path()).await),
        (409, admin.patch(&key.path(), &json!({"name": "New"})).await),
        (401, by_key.get(PATH).await),
    ] {
        reply.expect(status);
    }
}

// ---- CORS

const CONFIGURED_ORIGIN: &str = "http://localhost:5173";

async fn server_with_cors_origin() -> TestServer {
    TestServer::with(&[("CORS_ALLOWED_ORIGINS", CONFIGURED_ORIGIN)]).await
}

/// What pages send, some of it by their tracing libraries.
const REQUEST_HEADERS: [&str; 13] = [
    "authorization",
    "baggage",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "prefer",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "x-api-key",
    "x-datadog-trace-id",
    "x-request-id",
];
/// What pages read.
const RESPONSE_HEADERS: [&str; 14] = [
    "allow",
    "deprecation",
    "etag",
    "link",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "sunset",
    "traceresponse",
    "www-authenticate",
    "x-rally-key-expires",
    "x-request-id",
    "x-total-count",
];

/// The preflight request of a browser.
async fn preflight(client: &Client, origin: &str, method: &str, headers: &str) -> Reply {
    let request = client
        .request(Method::OPTIONS, PATH)
        .header("origin", origin)
        .header("access-control-request-method", method)
        .header("access-control-request-headers", headers);
    send(request).await
}

#[tokio::test]
async fn a_preflight_from_an_allowed_origin_succeeds() {
    let server = server_with_cors_origin().await;
    let browser = server.client("acme", Credential::None); // a preflight carries no credential
    for origin in ["https://acme.localhost", CONFIGURED_ORIGIN] {
        let reply = preflight(&browser, origin, "PATCH", &REQUEST_HEADERS.join(",")).await;
        assert!(reply.status.is_success(), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), origin);
        let methods = header_values(&reply.headers, "access-control-allow-methods");
        for method in ["get", "post", "patch", "delete"] {
            assert!(methods.contains(&method.to_owned()), "{methods:?}");
        }
        let headers = header_values(&reply.headers, "access-control-allow-headers");
        for header in REQUEST_HEADERS {
            assert!(headers.contains(&header.to_owned()), "{header}: {headers:?}");
        }
        assert!(header_values(&reply.headers, "vary").contains(&"origin".to_owned()), "{reply:?}");
        assert_eq!(
            reply.headers.get("access-control-allow-credentials"),
            None,
            "credentials must not be allowed: no cookies"
        );
        assert!(!reply.header("x-request-id").is_empty());
    }
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_make_every_call_of_the_api() {
    let server = server_with_cors_origin().await;
    let browser = server.client("acme", Credential::None);
    let document = browser.get("/openapi.json").await.json();
    let reply = preflight(&browser, CONFIGURED_ORIGIN, "GET", "authorization").await;
    let allowed = header_values(&reply.headers, "access-control-allow-methods");
    for (path, item) in document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/api/")) {
        for method in item.as_object().unwrap().keys() {
            assert!(allowed.contains(method), "{method} {path}: {allowed:?}");
        }
    }
}

#[track_caller]
fn is_readable_from(origin: &str, reply: &Reply) {
    assert_eq!(reply.header("access-control-allow-origin"), origin, "{reply:?}");
    assert!(header_values(&reply.headers, "vary").contains(&"origin".to_owned()), "{reply:?}");
    let exposed = header_values(&reply.headers, "access-control-expose-headers");
    for header in RESPONSE_HEADERS {
        assert!(exposed.contains(&header.to_owned()), "{header}: {exposed:?}");
    }
}

#[tokio::test]
async fn allowed_origins_can_read_success_and_error_responses() {
    let server = server_with_cors_origin().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let too_large = json!({"name": "x".repeat(20_000)});
    for origin in ["https://acme.localhost", CONFIGURED_ORIGIN] {
        for (status, request) in [
            (200, admin.request(Method::GET, PATH)),
            (200, admin.request(Method::HEAD, PATH)),
            (400, admin.request(Method::POST, PATH).json(&json!({}))),
            (400, admin.with_key(&key.secret).request(Method::GET, PATH).header("authorization", "Bearer x.y.z")),
            (401, admin.with(Credential::None).request(Method::GET, PATH)),
            (403, server.user("acme", "").request(Method::GET, PATH)),
            (403, admin.on("globex.localhost").request(Method::GET, PATH)),
            (404, admin.request(Method::GET, UNKNOWN)),
            (404, admin.on("nobody.localhost").request(Method::GET, PATH)),
            (404, admin.request(Method::GET, "/nowhere")),
            (405, admin.request(Method::PUT, PATH)),
            (412, admin.request(Method::PATCH, &key.path()).header("if-match", r#""x""#).json(&json!({}))),
            (413, admin.request(Method::POST, PATH).json(&too_large)),
            (415, admin.request(Method::POST, PATH).body("{}")),
        ] {
            let reply = send(request.header("origin", origin)).await;
            assert_eq!(reply.status, status, "{reply:?}");
            is_readable_from(origin, &reply);
        }
    }
    server.database.execute("ALTER TABLE api_keys RENAME TO gone").await;
    let reply = send(admin.request(Method::GET, PATH).header("origin", CONFIGURED_ORIGIN)).await;
    assert_eq!(reply.status, 500);
    is_readable_from(CONFIGURED_ORIGIN, &reply);
}

#[tokio::test]
async fn other_origins_get_no_cors_headers() {
    let server = server_with_cors_origin().await;
    let admin = server.admin("acme");
    for origin in [
        "https://evil.example",
        "http://acme.localhost",
        "https://localhost",
        "https://a.b.localhost",
        "https://acme.localhost.evil.example",
        "https://acme.localhost:8443",
        "https://acme.localhost/",
        "https://acmelocalhost",
        "https://.localhost",
        "https://evil.example#.localhost",
        "http://localhost:51733",
        "https://localhost:5173",
        "null",
        "*",
        "",
    ] {
        let reply = preflight(&admin, origin, "GET", "authorization").await;
        assert_eq!(reply.headers.get("access-control-allow-origin"), None, "{origin}");
        let reply = send(admin.request(Method::GET, PATH).header("origin", origin)).await;
        assert_eq!(reply.headers.get("access-control-allow-origin"), None, "{origin}");
    }
}

// ---- Probes

#[tokio::test]
async fn probes_succeed_on_any_host_without_a_credential() {
    let server = TestServer::start().await;
    let anonymous = server.client("acme", Credential::None);
    for path in ["/healthz", "/readyz"] {
        for host in ["acme.localhost", "nobody.localhost", "localhost:8080", "10.0.0.7", "[::1]:8080", "evil.example"] {
            let reply = anonymous.on(host).get(path).await;
            assert_eq!(reply.status, 200, "{host}{path}: {reply:?}");
            assert!(reply.json()["status"].is_string(), "{reply:?}");
        }
        let response = server.raw(format!("GET {path} HTTP/1.0\r\n\r\n")).await;
        assert!(
            response.starts_with("HTTP/1.0 200 ") || response.starts_with("HTTP/1.1 200 "),
            "no Host header: {response}"
        );
        // An invalid credential does not fail a probe.
        assert_eq!(anonymous.with_key("rk_live_0").get(path).await.status, 200);
    }
}
