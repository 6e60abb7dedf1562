//! Requests of pages on another origin (CORS, the Fetch standard).

use reqwest::{Method, RequestBuilder};

use super::{
    rally_headers,
    stand::{Program, Stand},
};
use crate::client::{Credential, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflights_and_nothing_else_reach_the_crm_without_a_credential() {
    for program in Program::all() {
        let stand = Stand::start(&program).await;
        preflights_reach_the_crm(&stand).await;
        requests_that_are_no_preflights_are_checked(&stand).await;
        forged_headers_are_removed_from_preflights(&stand).await;
        a_page_of_an_allowed_origin_reads_the_refusal(&stand).await;
        stand.stop().await;
    }
}

fn with(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

const PREFLIGHT: [(&str, &str); 3] = [
    ("Origin", "https://app.example.com"),
    ("Access-Control-Request-Method", "DELETE"),
    ("Access-Control-Request-Headers", "x-api-key"),
];

async fn preflights_reach_the_crm(stand: &Stand) {
    let page = stand.client("acme", Credential::None);
    for path in ["/", "/contacts?page=2", "/a%2Fb/%7Bc%7D"] {
        let (seen, _) = stand.forwards(with(page.request(Method::OPTIONS, path), &PREFLIGHT)).await;
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("OPTIONS", path), "{:?}", stand.program);
        for (name, value) in PREFLIGHT {
            assert_eq!(seen.headers[name], value, "{:?}", stand.program);
        }
        assert_eq!(seen.headers["host"], "acme.localhost", "{:?}", stand.program);
        assert!(rally_headers(&seen).is_empty(), "{:?}: {seen:?}", stand.program);
    }
}

async fn requests_that_are_no_preflights_are_checked(stand: &Stand) {
    let page = stand.client("acme", Credential::None);
    for method in [Method::GET, Method::POST, Method::HEAD, Method::from_bytes(b"options").unwrap()] {
        let reply = send(with(page.request(method.clone(), "/contacts"), &PREFLIGHT)).await;
        assert!(matches!(reply.status.as_u16(), 400 | 401), "{:?}, {method}: {reply:?}", stand.program);
    }
    for headers in [
        &PREFLIGHT[..1],
        &PREFLIGHT[1..],
        &PREFLIGHT[2..],
        &[],
        &[("Origin", ""), ("Access-Control-Request-Method", "DELETE")],
        &[("Origin", "https://app.example.com"), ("Access-Control-Request-Method", "")],
        &[("Origin", ""), ("Access-Control-Request-Method", "a b")],
        &[("X-HTTP-Method-Override", "OPTIONS"), PREFLIGHT[0], PREFLIGHT[1]],
    ] {
        let method = if headers.len() == 3 { Method::GET } else { Method::OPTIONS };
        stand.refuses(with(page.request(method, "/contacts"), headers), 401, "missing_credentials").await;
    }
    assert!(stand.reached().is_empty(), "{:?}", stand.program);
    // With a credential, OPTIONS is checked as GET is.
    let key = stand.key("read").await;
    let (seen, _) = stand.forwards(stand.with_key(&key.secret).request(Method::OPTIONS, "/contacts")).await;
    assert_eq!(rally_headers(&seen)["x-rally-scopes"], ["read"], "{:?}", stand.program);
}

async fn forged_headers_are_removed_from_preflights(stand: &Stand) {
    let key = stand.key("admin").await;
    let forged = [
        ("X-Rally-Tenant", "acme"),
        ("X-Rally-Scopes", "admin"),
        ("X_Rally.Principal", "forged"),
        ("X-Rally-Made-Up", "forged"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("X-Original-URL", "/admin"),
        ("X-Forwarded-Host", "forged"),
        ("Connection", "close"),
        ("Upgrade", "websocket"),
    ];
    let request = stand.with_key(&key.secret).request(Method::OPTIONS, "/contacts");
    let (seen, _) = stand.forwards(with(with(request, &PREFLIGHT), &forged)).await;
    assert!(rally_headers(&seen).is_empty(), "{:?}: {seen:?}", stand.program);
    for name in ["x-http-method-override", "x-original-url", "x-api-key"] {
        assert!(!seen.headers.contains_key(name), "{:?}: {seen:?}", stand.program);
    }
    assert!(!seen.headers.values().any(|value| value == "forged"), "{:?}: {seen:?}", stand.program);
}

async fn a_page_of_an_allowed_origin_reads_the_refusal(stand: &Stand) {
    let refusal = async |origin: &str| {
        let request = stand.client("acme", Credential::None).request(Method::GET, "/contacts");
        stand.refuses(request.header("origin", origin), 401, "missing_credentials").await
    };
    let reply = refusal("https://acme.localhost").await;
    assert_eq!(reply.header("access-control-allow-origin"), "https://acme.localhost", "{:?}", stand.program);
    let exposed = reply.header("access-control-expose-headers");
    assert!(exposed.contains("x-rally-error") && exposed.contains("x-request-id"), "{:?}: {exposed}", stand.program);
    for other in ["https://example.com", "http://acme.localhost", "null"] {
        let reply = refusal(other).await;
        assert!(!reply.headers.contains_key("access-control-allow-origin"), "{:?}: {reply:?}", stand.program);
    }
    // The CRM decides about its own responses.
    let key = stand.key("read").await;
    let request = stand.with_key(&key.secret).request(Method::GET, "/contacts");
    let (_, reply) = stand.forwards(request.header("origin", "https://acme.localhost")).await;
    assert!(!reply.headers.contains_key("access-control-allow-origin"), "{:?}: {reply:?}", stand.program);
}
