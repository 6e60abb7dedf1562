//! Limits of connections, and HTTP/1 parsing with slow, unusual or hostile clients.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, interval, sleep_until, timeout};

use crate::{
    binary::Home,
    client::{PATH, send},
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer, sign},
    http2,
    raw::{RawConnection, RawReply},
};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// An `Authorization` header line of an admin of `acme`.
fn authorization(server: &TestServer) -> String {
    let end = (server.clock.now() + chrono::TimeDelta::hours(1)).timestamp();
    format!("Authorization: Bearer {}", sign(&json!({"sub": "42", "tenant": "acme", "scope": "admin", "exp": end})))
}

/// The head of a request that creates a key, without the empty line at its end.
fn create_head(server: &TestServer, length: usize) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: acme.localhost\r\n{}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n",
        authorization(server)
    )
}

/// A client that is slow in any phase is disconnected after 10 s. Only a connection that has
/// already completed a request may stay idle for longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_are_disconnected_after_ten_seconds() {
    let server = TestServer::start().await;
    let closed_after = async |first: &str, slow_bytes: &str| {
        let mut connection = RawConnection::open(server.address).await;
        let started = Instant::now();
        connection.send(first).await;
        let mut ticks = interval(Duration::from_millis(500));
        let mut slow_bytes = slow_bytes.bytes();
        let received = loop {
            ticks.tick().await;
            match slow_bytes.next() {
                Some(byte) if connection.try_send([byte]).await => {}
                _ => break connection.end().await,
            }
            if !connection.is_silent_for(Duration::from_millis(1)).await {
                break connection.end().await;
            }
        };
        (started.elapsed(), received)
    };
    let slow_header: String = std::iter::once("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        .chain(std::iter::repeat_n("x", 100))
        .collect();
    let slow_body = async {
        let mut connection = RawConnection::open(server.address).await;
        let started = Instant::now();
        connection.send(create_head(&server, 1000) + "\r\n").await;
        let mut ticks = interval(Duration::from_millis(500));
        while connection.is_silent_for(Duration::from_millis(1)).await {
            ticks.tick().await;
            let _ = connection.try_send(" ").await;
            assert!(started.elapsed() < Duration::from_secs(15), "no response to a slow body");
        }
        let reply = connection.reply().await;
        let elapsed = started.elapsed();
        (elapsed, reply, connection.end().await)
    };
    let idle = async {
        let mut connection = RawConnection::open(server.address).await;
        let started = Instant::now();
        connection.send(HEALTH).await;
        assert_eq!(connection.reply().await.status, 200);
        sleep_until(started + Duration::from_secs(12)).await;
        connection.send(HEALTH).await;
        connection.reply().await.status
    };
    let (silence, half_line, almost_http2, no_frames, slow_header, slow_body, idle) = tokio::join!(
        closed_after("", ""),
        closed_after("GET /healthz HT", ""),
        closed_after("PRI * HT", ""),
        closed_after("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        closed_after("", &slow_header),
        slow_body,
        idle,
    );
    let about_ten = Duration::from_secs(9)..Duration::from_secs(13);
    for (what, (elapsed, received)) in [
        ("silence", silence),
        ("half a request line", half_line),
        ("the beginning of HTTP/2's preface", almost_http2),
        ("HTTP/2's preface alone", no_frames),
        ("a slow header", slow_header),
    ] {
        assert!(about_ten.contains(&elapsed), "{what}: closed after {elapsed:?}");
        assert!(!received.contains(" 200 ") && !received.contains(" 50"), "{what}: {received}");
    }
    let (elapsed, reply, rest) = slow_body;
    assert!(about_ten.contains(&elapsed), "a slow body: response after {elapsed:?}");
    assert_eq!((reply.status, &reply.json()["code"]), (408, &json!("request_timeout")), "{reply:?}");
    assert_eq!(rest, "", "no further response follows a 408, since its request is incomplete");
    assert_eq!(idle, 200, "a connection that has completed a request may stay idle");
    server.admin("acme").get(PATH).await.expect(200);
}

/// After `P`, the server cannot know yet if the client speaks HTTP/1 or HTTP/2 (`PRI`).
#[cfg(target_os = "linux")]
#[tokio::test]
async fn silent_connections_use_no_cpu_time_and_are_closed() {
    let database = TestDatabase::create().await;
    let home = Home::new("silent");
    let service = home.serve_on(&database).await;
    let mut connections = Vec::new();
    let opened = Instant::now();
    for _ in 0..200 {
        let mut connection = RawConnection::open(service.address).await;
        connection.send("P").await;
        connections.push(connection);
    }
    sleep_until(Instant::now() + Duration::from_secs(1)).await;
    let before = service.cpu_time();
    sleep_until(Instant::now() + Duration::from_secs(3)).await;
    let used = service.cpu_time().saturating_sub(before);
    assert!(used <= Duration::from_millis(150), "200 silent connections took {used:?} of CPU time in 3 s");
    for connection in &mut connections {
        assert_eq!(connection.end().await, "");
    }
    let closed = opened.elapsed();
    assert!((9..15).contains(&closed.as_secs()), "closed after {closed:?}");
    service.kill().await;
}

/// At most 100 headers and 32 KiB in all.
#[tokio::test]
async fn too_many_or_too_long_headers_return_431() {
    let server = TestServer::start().await;
    let status_with = async |headers: &str| {
        let mut connection = RawConnection::open(server.address).await;
        connection
            .try_send(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"))
            .await;
        connection.reply_or_end().await.map_or(0, |reply| reply.status)
    };
    assert_eq!(status_with(&"X-Many: 1\r\n".repeat(98)).await, 200);
    assert_eq!(status_with(&"X-Many: 1\r\n".repeat(99)).await, 431);
    assert_eq!(status_with(&format!("X-Long: {}\r\n", "x".repeat(30 * 1024))).await, 200);
    assert_eq!(status_with(&format!("X-Long: {}\r\n", "x".repeat(33 * 1024))).await, 431);
    assert_eq!(status_with(&format!("X-Long: {}\r\n", "x".repeat(8 * 1024)).repeat(5)).await, 431);
    server.admin("acme").get(PATH).await.expect(200);
}

/// hyper's HTTP/2 counts 32 bytes for each header beside its name and value (RFC 9113, section 6.5.2).
#[tokio::test]
async fn too_long_headers_over_http2_return_431() {
    let server = TestServer::start().await;
    let status_with = async |count: usize, length: usize| {
        let mut request = hyper::Request::get("http://localhost/healthz");
        for number in 0..count {
            request = request.header(format!("x-many-{number}"), "x".repeat(length));
        }
        let body = http_body_util::Empty::<hyper::body::Bytes>::new();
        http2::send(server.address, request.body(body).unwrap()).await.status.as_u16()
    };
    assert_eq!(status_with(300, 10).await, 200);
    assert_eq!(status_with(1, 30 * 1024).await, 200);
    assert_eq!(status_with(1, 33 * 1024).await, 431);
    assert_eq!(status_with(1, 60 * 1024).await, 431);
    assert_eq!(status_with(5, 8 * 1024).await, 431);
    assert_eq!(status_with(2_000, 1).await, 431);
}

#[tokio::test]
async fn a_path_with_a_malformed_percent_encoding_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    for bad in ["%", "%2", "%zz", "%ff", "%C3", "%00", "%ed%a0%80", "%25ff", "a%2Fb", "%2e%2e"] {
        for path in ["/", "/docs/", "/api/v1/api-keys/", "/api/v1/api-keys/self/", "/forward-authx/"] {
            let reply = admin.get(&format!("{path}{bad}")).await;
            match reply.status.as_u16() {
                400 => assert_eq!(reply.bad_fields(), ["id"], "{path}{bad}"),
                // The client itself removes it: it requests `/`.
                200 => assert_eq!(bad, "%2e%2e"),
                _ => drop(reply.refused(404, "not_found")),
            }
        }
        for rest in ["events", "usage", "rotate", "previous-secret"] {
            let path = format!("{PATH}/{bad}/{rest}");
            for method in [Method::GET, Method::POST, Method::DELETE] {
                let reply = send(admin.request(method.clone(), &path).json(&json!({}))).await;
                assert!([400, 404, 405].contains(&reply.status.as_u16()), "{method} {path}: {reply:?}");
                assert_eq!(reply.header("content-type"), "application/problem+json", "{method} {path}: {reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_too_long_request_line_is_refused() {
    let server = TestServer::start().await;
    let mut connection = RawConnection::open(server.address).await;
    connection
        .try_send(format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "x".repeat(70_000)))
        .await;
    let status = connection.reply_or_end().await.expect("a response").status;
    assert!(matches!(status, 414 | 431), "{status}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = TestServer::start().await;
    let authorization = authorization(&server);
    let paths = [("/healthz", 200), (PATH, 200), ("/nowhere", 404), ("/readyz", 200), (PATH, 200)];
    let requests: String = paths
        .iter()
        .enumerate()
        .map(|(n, (path, _))| {
            format!("GET {path} HTTP/1.1\r\nHost: acme.localhost\r\nX-Request-Id: n{n}\r\n{authorization}\r\n\r\n")
        })
        .collect();
    let mut connection = RawConnection::open(server.address).await;
    connection.send(requests).await;
    for (n, (path, status)) in paths.into_iter().enumerate() {
        let reply = connection.reply().await;
        assert_eq!(reply.header("x-request-id"), Some(&*format!("n{n}")), "{path}: {reply:?}");
        assert_eq!(reply.status, status, "{path}: {reply:?}");
    }
}

/// RFC 9110, 10.1.1: curl sends `Expect` with large bodies, .NET's clients if configured.
#[tokio::test]
async fn expect_100_continue_is_answered_before_the_body() {
    let server = TestServer::start().await;
    let body = r#"{"name": "After a while"}"#;
    let head = create_head(&server, body.len()) + "Expect: 100-continue\r\n\r\n";
    let mut connection = RawConnection::open(server.address).await;
    connection.send(&head).await;
    assert_eq!(connection.reply().await.status, 100);
    connection.send(body).await;
    let reply = connection.reply().await;
    assert_eq!((reply.status, &reply.json()["name"]), (201, &json!("After a while")), "{reply:?}");

    // An unauthenticated client gets its 401 before it sends the body.
    let mut connection = RawConnection::open(server.address).await;
    connection.send(head.replace("Authorization: Bearer ", "Authorization: Bearer x")).await;
    assert_eq!(connection.reply().await.status, 401);
}

#[tokio::test]
async fn http_1_0_requests_are_answered() {
    let server = TestServer::start().await;
    let mut connection = RawConnection::open(server.address).await;
    connection.send("GET /healthz HTTP/1.0\r\n\r\n").await;
    assert_eq!(connection.reply().await.status, 200);
    assert_eq!(connection.end().await, "");

    let mut connection = RawConnection::open(server.address).await;
    let request = format!("GET {PATH} HTTP/1.0\r\nHost: acme.localhost\r\n{}\r\n\r\n", authorization(&server));
    connection.send(request).await;
    let reply = connection.reply().await;
    assert_eq!((reply.status, &*reply.body), (200, "[]"), "{reply:?}");
    assert_eq!(connection.end().await, "");
}

#[tokio::test]
async fn connection_close_is_honoured() {
    let server = TestServer::start().await;
    let mut connection = RawConnection::open(server.address).await;
    connection.send(HEALTH).await;
    assert_eq!(connection.reply().await.status, 200);
    connection.send(HEALTH.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")).await;
    let reply = connection.reply().await;
    assert_eq!((reply.status, reply.header("connection")), (200, Some("close")), "{reply:?}");
    assert_eq!(connection.end().await, "");
}

/// A connection beyond the limit waits until another one closes; it is not refused.
#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = TestServer::with(&[("HTTP_MAX_CONNECTIONS", "5")]).await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        let mut connection = RawConnection::open(server.address).await;
        connection.send(HEALTH).await;
        assert_eq!(connection.reply().await.status, 200);
        connections.push(connection);
    }
    let mut sixth = RawConnection::open(server.address).await;
    sixth.send(HEALTH).await;
    assert!(sixth.is_silent_for(Duration::from_millis(500)).await, "a sixth connection was served");
    for connection in &mut connections {
        connection.send(HEALTH).await;
        assert_eq!(connection.reply().await.status, 200);
    }
    drop(connections.pop());
    let reply = timeout(Duration::from_secs(2), sixth.reply())
        .await
        .expect("the sixth connection must be served once another one has closed");
    assert_eq!(reply.status, 200);
}

/// Sends a create with these framing headers and a second request after its body. Returns the
/// response to the create, and fails if there is a second response.
async fn create_framed(server: &TestServer, headers: &str, body: &str) -> Option<RawReply> {
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: acme.localhost\r\n{}\r\nContent-Type: application/json\r\n\
         {headers}\r\n\r\n{body}{HEALTH}",
        authorization(server)
    );
    let mut connection = RawConnection::open(server.address).await;
    connection.send(request).await;
    let reply = connection.reply_or_end().await;
    assert_eq!(connection.end().await, "", "{headers}: the bytes after the body were read as a request");
    reply
}

/// A body that creates a key: plain, and chunked.
fn bodies() -> (String, String) {
    let body = r#"{"name": "Smuggled"}"#;
    (body.to_owned(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
}

/// A request whose length can be read in two ways (RFC 9112, 6.3) is refused: a proxy
/// in front of the service may read it in the other way.
#[tokio::test]
async fn a_request_with_an_ambiguous_length_is_refused() {
    let server = TestServer::start().await;
    let (plain, chunked) = bodies();
    let length = plain.len();
    for (headers, body) in [
        (format!("Content-Length: {length}\r\nContent-Length: {}", length + 1), &plain),
        (format!("Content-Length: {length}, {}", length + 1), &plain),
        (format!("Content-Length: +{length}"), &plain),
        (format!("Content-Length: 0x{length:x}"), &plain),
        ("Transfer-Encoding: chunked, identity".into(), &chunked),
        ("Transfer-Encoding: xchunked".into(), &chunked),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".into(), &chunked),
        ("Transfer-Encoding : chunked".into(), &chunked),
        ("Transfer-Encoding:\r\n chunked".into(), &chunked),
    ] {
        let status = create_framed(&server, &headers, body).await.map(|reply| reply.status);
        assert!(matches!(status, None | Some(400 | 501)), "{headers}: {status:?}");
    }
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys").await, 0);
    // Without the ambiguity, the same requests succeed.
    for (headers, body) in
        [(format!("Content-Length: {length}"), &plain), ("Transfer-Encoding: chunked".into(), &chunked)]
    {
        let reply = create_framed(&server, &(headers + "\r\nConnection: close"), body).await.expect("a response");
        assert_eq!(reply.status, 201, "{reply:?}");
    }
}

/// RFC 9112, 6.3: the chunked body counts, and the bytes after it are not read as another request.
#[tokio::test]
async fn a_content_length_with_a_transfer_encoding_smuggles_no_request() {
    let server = TestServer::start().await;
    let (_, chunked) = bodies();
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: smuggled\r\n\r\n";
    let encoding = "Transfer-Encoding: chunked";
    for length in [3, chunked.len() + smuggled.len()] {
        for headers in
            [format!("Content-Length: {length}\r\n{encoding}"), format!("{encoding}\r\nContent-Length: {length}")]
        {
            let mut connection = RawConnection::open(server.address).await;
            let authorization = authorization(&server);
            let head = format!(
                "POST {PATH} HTTP/1.1\r\nHost: acme.localhost\r\n{authorization}\r\nContent-Type: application/json"
            );
            connection.send(format!("{head}\r\n{headers}\r\n\r\n{chunked}{smuggled}")).await;
            let reply = connection.reply().await;
            assert_eq!(reply.status, 201, "{headers}: {reply:?}");
            assert!(connection.reply_or_end().await.is_none(), "{headers}: the connection is closed");
        }
    }
}

/// RFC 9110, 9.3.1: the body of a GET has no meaning and must not be read as the next request.
#[tokio::test]
async fn a_get_body_is_not_read_as_a_request() {
    let server = TestServer::start().await;
    let smuggled = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: smuggled\r\n\r\n";
    for path in ["/healthz", PATH, "/nowhere"] {
        for size in [5, 500, 100_000] {
            let body = smuggled.repeat(size / smuggled.len() + 1);
            let body = &body[..size];
            let authorization = authorization(&server);
            let mut connection = RawConnection::open(server.address).await;
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: acme.localhost\r\n{authorization}\r\nContent-Length: {size}\r\n\r\n{body}"
            );
            connection.try_send(request).await;
            let reply = connection.reply_or_end().await;
            if size < 1000 {
                let expected = if path == "/nowhere" { 404 } else { 200 };
                assert_eq!(reply.expect("a response").status, expected, "{path} with {size} bytes");
            }
            let next = HEALTH.replace("\r\n\r\n", "\r\nX-Request-Id: next\r\nConnection: close\r\n\r\n");
            connection.try_send(next).await;
            let next = connection.reply_or_end().await;
            if size < 1000 {
                assert!(next.is_some(), "{path} with {size} bytes: the connection ended");
            }
            // With a large body, the server may close the connection instead.
            if let Some(next) = next {
                assert_eq!((next.status, next.header("x-request-id")), (200, Some("next")), "{path}, {size}");
            }
        }
    }
}

/// Each connection needs a file descriptor; the usual soft limit is 1,024.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_open_file_limit_is_raised_at_start() {
    let database = TestDatabase::create().await;
    let home = Home::new("files");
    let url = database.url_text(None).await;
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("JWT_SECRET", JWT_SECRET),
        ("KEY_PEPPER", PEPPER),
        ("HTTP_MAX_CONNECTIONS", "3000"),
    ];
    let service = home.launch_under("-Sn 256", &settings).listening().await;
    assert_eq!(service.file_limit(), 4_000);
    assert!(!service.log().contains("open files"), "{}", service.log());
    service.kill().await;
    // Not beyond the hard limit.
    let service = home.launch_under("-n 512", &settings).listening().await;
    assert_eq!(service.file_limit(), 512);
    assert!(
        service.log().contains("the hard limit of open files is too low for HTTP_MAX_CONNECTIONS"),
        "{}",
        service.log()
    );
    service.kill().await;
}
