//! Fuzzing over TCP: random requests, well-formed and malformed. No response is a 5xx, each response to a
//! well-formed request has a request id, and the service still works afterwards.

use std::{net::SocketAddr, sync::Arc};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use tokio::task::JoinSet;

use crate::{harness::TestServer, raw::RawConnection};

const WELL_FORMED: usize = 1_500;
const GARBAGE: usize = 500;
const CONCURRENCY: usize = 8;

/// A request that HTTP's grammar allows. `{id}`, `{key}` and `{token}` are placeholders for valid ones.
fn requests() -> impl Strategy<Value = String> {
    let method = prop_oneof![
        8 => prop::sample::select(vec!["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"]).prop_map(str::to_owned),
        1 => "[A-Za-z!#$%&'*+.^_`|~-]{1,10}",
    ];
    let segment = prop_oneof![
        3 => prop::sample::select(vec!["{id}", "self", "events", "rotate", "usage", "callers", "previous-secret"]).prop_map(str::to_owned),
        1 => "(%[0-9a-fA-F]{2}|[-a-zA-Z0-9._~!$&'()*+,;=:@]){0,20}",
    ];
    let query = prop_oneof![
        3 => Just(String::new()),
        1 => "\\?((status|search|limit|cursor|unusedForDays|type|keyId|from|to|interval|scope|[a-z]{0,3})=[-a-zA-Z0-9%:.,+_/?]{0,24}&?){0,4}",
        1 => "\\?(%[0-9a-f]{2}|[-a-zA-Z0-9=&%+;]){0,30}",
    ];
    let start = prop_oneof![
        6 => Just("/api/v1/api-keys".to_owned()),
        2 => Just("/forward-auth".to_owned()),
        1 => prop::sample::select(vec!["/healthz", "/readyz", "/metrics", "", "/api", "//"]).prop_map(str::to_owned),
    ];
    let path = (start, prop::collection::vec(segment, 0..3), query)
        .prop_map(|(start, segments, query)| {
            let rest: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            format!("{start}{rest}{query}")
        })
        .prop_map(|path| if path.starts_with('/') { path } else { format!("/{path}") });
    // Half of the requests call an existing endpoint.
    let call = prop_oneof![
        prop::sample::select(vec![
            ("POST", "/api/v1/api-keys"),
            ("POST", "/api/v1/api-keys"),
            ("GET", "/api/v1/api-keys?limit=1"),
            ("PATCH", "/api/v1/api-keys/{id}"),
            ("PATCH", "/api/v1/api-keys/{id}"),
            ("POST", "/api/v1/api-keys/{id}/rotate"),
            ("GET", "/api/v1/api-keys/{id}/usage"),
        ])
        .prop_map(|(method, path)| (method.to_owned(), path.to_owned())),
        (method, path),
    ];
    let host = prop_oneof![
        8 => Just("acme.localhost".to_owned()),
        1 => "[-a-zA-Z0-9.:_]{0,20}",
        1 => prop::sample::select(vec!["globex.localhost", "localhost", "ACME.localhost.:80", "127.0.0.1"]).prop_map(str::to_owned),
    ];
    let credential = prop_oneof![
        6 => Just("Authorization: Bearer {token}\r\n".to_owned()),
        3 => Just("X-Api-Key: {key}\r\n".to_owned()),
        1 => "(Authorization: (Bearer|Basic) [!-~]{0,60}\r\n|X-Api-Key: [ -~]{0,60}\r\n){0,2}",
    ];
    let header = prop_oneof![
        "(X-Forwarded-(Host|For|Method|Proto)|X-Original-Method|Forwarded|X-Request-Id|If-Match|Origin|Accept|User-Agent|Access-Control-Request-Method|Range|TE|Cookie): [ -~\u{80}-\u{ff}]{0,40}\r\n",
        "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}: [ -~]{0,30}\r\n",
    ]
    .prop_filter("the test itself sets the headers that frame the message", |header| {
        let header = header.to_ascii_lowercase();
        !["content-length", "transfer-encoding", "connection", "expect", "upgrade", "host"]
            .iter()
            .any(|name| header.starts_with(name))
    });
    let value = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "0",
            "-1",
            "86400",
            "1e400",
            "{}",
            "[]",
            "\"read\"",
            "\"admin,write\"",
            "\"\\u0000\"",
            "\"\\ud800\"",
            "\"2099-01-01T00:00:00Z\"",
            "\"9999-12-31T23:59:59Z\"",
            "\"0000-01-01T00:00:00Z\"",
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
    ];
    let member =
        (prop::sample::select(vec!["name", "scopes", "expiresAt", "overlapSeconds", "id", "key", "x", "{key}"]), value)
            .prop_map(|(name, value)| format!("\"{name}\":{value}"));
    let body = prop_oneof![
        4 => any::<String>().prop_map(|name| format!("{{\"name\":{}}}", serde_json::Value::from(name))),
        4 => prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        1 => any::<String>(),
        1 => "[\\[{]{0,3000}",
        1 => Just(String::new()),
    ];
    let content_type = prop_oneof![
        5 => Just("Content-Type: application/json\r\n".to_owned()),
        1 => Just("Content-Type: application/merge-patch+json; charset=utf-8\r\n".to_owned()),
        1 => "(Content-Type: [ -~]{0,20}\r\n){0,2}",
    ];
    (call, host, credential, prop::collection::vec(header, 0..4), content_type, body).prop_map(
        |((method, path), host, credential, headers, content_type, body)| {
            let headers: String = headers.concat();
            let length = body.len();
            format!(
                "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{credential}{headers}{content_type}Content-Length: {length}\r\n\r\n{body}"
            )
        },
    )
}

/// Random bytes, and requests that are truncated or damaged.
fn garbage() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (
        requests(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(request, edits, end)| {
            let mut bytes = request.into_bytes();
            for (at, byte) in edits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(end.index(bytes.len()) + 1);
            bytes
        });
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..400),
        damaged,
        // HTTP/2's preface, followed by random bytes.
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|frames| [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            &frames[..]
        ]
        .concat()),
        // The start of a TLS handshake.
        prop::collection::vec(any::<u8>(), 0..200).prop_map(|rest| [&[0x16, 3, 1, 2, 0, 1][..], &rest].concat()),
    ]
}

/// Generates values with a fixed seed, so that a failure is reproducible.
fn generate<T>(strategy: &impl Strategy<Value = T>, count: usize) -> Vec<T> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).expect("a value").current()).collect()
}

/// Sends each request on a connection of its own, [`CONCURRENCY`] at a time. Returns each with its response.
/// If not `whole`, the write side is closed after the bytes.
async fn send_all(address: SocketAddr, all: Vec<Vec<u8>>, whole: bool) -> Vec<(Vec<u8>, String)> {
    let all = Arc::new(all);
    let mut senders = JoinSet::new();
    for sender in 0..CONCURRENCY {
        let all = all.clone();
        senders.spawn(async move {
            let mut responses = Vec::new();
            for bytes in all.iter().skip(sender).step_by(CONCURRENCY) {
                let mut connection = RawConnection::open(address).await;
                // The server may refuse a request before it has read all of it.
                let _ = connection.try_send(bytes).await;
                if !whole {
                    connection.say_no_more().await;
                }
                responses.push((bytes.clone(), connection.end().await));
            }
            responses
        });
    }
    senders.join_all().await.concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_never_cause_a_5xx_response() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let own = admin.create("Fuzzed", "read,write").await;
    let token = server.token("acme", "admin");
    let filled = |request: String| {
        let request = request.replace("{id}", &own.id).replace("{token}", &token).replace("{key}", &own.secret);
        // Filling in the placeholders changes the length of the body.
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        let (before, _) = head.rsplit_once("Content-Length: ").unwrap();
        format!("{before}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let mut all: Vec<_> = generate(&requests(), WELL_FORMED).into_iter().map(filled).collect();
    all.sort_by_key(|request| request.starts_with(b"DELETE")); // last, so that the key exists for the other requests
    let mut seen = std::collections::BTreeMap::<u16, usize>::new();
    for (request, response) in send_all(server.address, all, true).await {
        let request = String::from_utf8_lossy(&request);
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{response:?} to {request:?}"));
        let status: u16 = head[9..12].parse().unwrap();
        assert!(status < 500, "{response}\nto {request:?}");
        assert!(head.to_ascii_lowercase().contains("\r\nx-request-id: "), "{response}\nto {request:?}");
        if status >= 400 {
            assert!(!body.contains(&own.secret), "{response}\nto {request:?}");
        }
        *seen.entry(status).or_default() += 1;
    }
    println!("{seen:?}");
    for status in [200, 201, 400, 401, 404, 405] {
        assert!(
            seen.get(&status).is_some_and(|count| *count >= 5),
            "fewer than 5 responses with status {status}: {seen:?}"
        );
    }

    let mut silent = 0;
    for (bytes, response) in send_all(server.address, generate(&garbage(), GARBAGE), false).await {
        silent += usize::from(response.is_empty());
        assert!(!response.starts_with("HTTP/1.1 5"), "{response}\nto {:?}", String::from_utf8_lossy(&bytes));
    }
    assert!(silent < GARBAGE, "no malformed request got a response");

    // The service still works.
    let key = admin.create("Afterwards", "read").await;
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    let foreign = "SELECT count(*) FROM api_keys WHERE tenant_id <> (SELECT id FROM tenants WHERE slug = 'acme')";
    assert_eq!(server.database.count(foreign).await, 0, "a key was created in another tenant");
}
