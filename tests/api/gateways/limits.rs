//! A key beyond its rate limit behind each gateway: a real 429, since no client repeats a request after a 403.

use reqwest::{Method, RequestBuilder, header::HeaderValue};
use serde_json::json;

use super::stand::{Gateway, Program, Stand};
use crate::client::{CreatedKey, send};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_beyond_its_rate_limit_gets_429_from_every_gateway() {
    for program in Program::all() {
        let stand = Stand::start(&program).await;
        remaining_limits_are_sent_to_the_client(&stand).await;
        requests_beyond_the_limit_get_429(&stand).await;
        the_connection_is_kept(&stand).await;
        stand.stop().await;
    }
}

async fn limited(stand: &Stand, requests: u32) -> CreatedKey {
    let limit = json!({"requests": requests, "windowSeconds": 86_400});
    let body = json!({"name": "Limited", "scopes": "write", "rateLimit": limit});
    stand.server.admin("acme").create_with(&body).await
}

/// The fields of an allowed check. Traefik passes them to the CRM only.
async fn remaining_limits_are_sent_to_the_client(stand: &Stand) {
    let key = limited(stand, 2).await;
    let (_, reply) = stand.forwards(stand.with_key(&key.secret).request(Method::GET, "/contacts")).await;
    let fields =
        ["ratelimit-policy", "ratelimit"].map(|name| reply.headers.get(name).map(|value| value.to_str().unwrap()));
    let told = [r#""rally-key";q=2;w=86400"#, r#""rally-key";r=1;t=3600"#].map(Some);
    assert_eq!(fields, if stand.gateway == Gateway::Traefik { [None; 2] } else { told }, "{:?}", stand.program);
    // A key without a limit has no such fields. Envoy may send them without a value.
    let unlimited = stand.key("read").await;
    let (_, reply) = stand.forwards(stand.with_key(&unlimited.secret).request(Method::GET, "/contacts")).await;
    assert!(reply.headers.get("ratelimit").is_none_or(HeaderValue::is_empty), "{:?}: {reply:?}", stand.program);
}

async fn requests_beyond_the_limit_get_429(stand: &Stand) {
    let key = limited(stand, 1).await;
    let client = stand.with_key(&key.secret);
    stand.forwards(client.request(Method::GET, "/contacts")).await;
    for (method, body) in [
        (Method::GET, String::new()),
        (Method::POST, "x".repeat(100 * 1024)),
        (Method::HEAD, String::new()),
        (Method::PUT, "small".to_owned()),
        (Method::GET, String::new()),
    ] {
        let request = client.request(method.clone(), "/contacts").body(body);
        is_limited(stand, &method, request).await;
    }
    // A lack of scope is still a 403.
    let reader = json!({"name": "Reader", "scopes": "read", "rateLimit": {"requests": 1, "windowSeconds": 60}});
    let reader = stand.server.admin("acme").create_with(&reader).await;
    stand.refuses(stand.with_key(&reader.secret).request(Method::POST, "/"), 403, "insufficient_scope").await;
}

async fn is_limited(stand: &Stand, method: &Method, request: RequestBuilder) {
    let reply = send(request).await;
    let told = format!("{:?}, {method}: {reply:?}\n{}", stand.program, stand.log());
    assert_eq!(reply.status.as_u16(), 429, "{told}");
    for (name, value) in [
        ("retry-after", "3600"),
        ("x-rally-error", "rate_limited"),
        ("cache-control", "no-store"),
        ("ratelimit-policy", r#""rally-key";q=1;w=86400"#),
        ("ratelimit", r#""rally-key";r=0;t=3600"#),
        ("content-type", "application/problem+json"),
    ] {
        if name == "content-type" && stand.gateway == Gateway::Envoy && *method == Method::HEAD {
            continue; // Envoy tells no type of a refusal without a body.
        }
        let values: Vec<_> = reply.headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}: {told}");
    }
    if *method == Method::HEAD {
        assert_eq!(reply.body, "", "{told}");
    } else {
        reply.refused(429, "rate_limited");
    }
    assert!(stand.reached().is_empty(), "the request reached the CRM: {told}");
}

/// Two refused requests, one with a body that nobody reads, and one that is let in, over one connection.
async fn the_connection_is_kept(stand: &Stand) {
    let [key, other] = [limited(stand, 1).await, limited(stand, 1).await];
    stand.forwards(stand.with_key(&key.secret).request(Method::GET, "/contacts")).await;
    let body = "x".repeat(1024);
    let request = |method: &str, key: &CreatedKey, body: &str, connection: &str| {
        format!(
            "{method} /contacts HTTP/1.1\r\nHost: acme.localhost\r\nX-Api-Key: {}\r\nContent-Length: {}\r\n\
             Connection: {connection}\r\n\r\n{body}",
            key.secret,
            body.len()
        )
    };
    let requests = [
        request("GET", &key, "", "keep-alive"),
        request("POST", &key, &body, "keep-alive"),
        request("GET", &other, "", "close"),
    ];
    let replies = stand.raw(&requests.concat()).await;
    let statuses: Vec<_> = replies.split("HTTP/1.1 ").skip(1).map(|reply| &reply[..3]).collect();
    assert_eq!(statuses, ["429", "429", "200"], "{:?}: {replies}", stand.program);
    stand.reached();
}
