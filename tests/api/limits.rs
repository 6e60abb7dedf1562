//! What a connection may cost, and how HTTP/1 is read when a client is slow, odd or hostile.

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, interval, sleep_until, timeout};

use crate::{
    binary::Home,
    client::PATH,
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer, sign},
    raw::{RawConnection, RawReply},
};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// `Authorization` of an admin of `acme`.
fn authorization(server: &TestServer) -> String {
    let end = (server.clock.now() + chrono::TimeDelta::hours(1)).timestamp();
    format!("Authorization: Bearer {}", sign(&json!({"sub": "42", "tenant": "acme", "scope": "admin", "exp": end})))
}

/// The lines of a create by that admin, without the empty one behind them.
fn create_head(server: &TestServer, length: usize) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: acme.localhost\r\n{}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n",
        authorization(server)
    )
}

/// Whatever a client dawdles with, its place is free again after 10 s; only a connection that
/// has brought a request may rest for longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dawdlers_are_sent_away() {
    let server = TestServer::start().await;
    let closed_after = async |first: &str, dribble: &str| {
        let mut connection = RawConnection::open(server.address).await;
        let begun = Instant::now();
        connection.send(first).await;
        let mut ticks = interval(Duration::from_millis(500));
        let mut dribble = dribble.bytes();
        let said = loop {
            ticks.tick().await;
            match dribble.next() {
                Some(byte) if connection.try_send([byte]).await => {}
                _ => break connection.end().await,
            }
            if !connection.is_silent_for(Duration::from_millis(1)).await {
                break connection.end().await;
            }
        };
        (begun.elapsed(), said)
    };
    let slow_header: String = std::iter::once("GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        .chain(std::iter::repeat_n("x", 100))
        .collect();
    let slow_body = async {
        let mut connection = RawConnection::open(server.address).await;
        let begun = Instant::now();
        connection.send(create_head(&server, 1000) + "\r\n").await;
        let mut ticks = interval(Duration::from_millis(500));
        while connection.is_silent_for(Duration::from_millis(1)).await {
            ticks.tick().await;
            let _ = connection.try_send(" ").await;
            assert!(begun.elapsed() < Duration::from_secs(15), "no answer to a dribbled body");
        }
        let reply = connection.reply().await;
        let elapsed = begun.elapsed();
        (elapsed, reply, connection.end().await)
    };
    let resting = async {
        let mut connection = RawConnection::open(server.address).await;
        let begun = Instant::now();
        connection.send(HEALTH).await;
        assert_eq!(connection.reply().await.status, 200);
        sleep_until(begun + Duration::from_secs(12)).await;
        connection.send(HEALTH).await;
        connection.reply().await.status
    };
    let (silence, half_line, almost_http2, no_frames, slow_header, slow_body, resting) = tokio::join!(
        closed_after("", ""),
        closed_after("GET /healthz HT", ""),
        closed_after("PRI * HT", ""),
        closed_after("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ""),
        closed_after("", &slow_header),
        slow_body,
        resting,
    );
    let about_ten = Duration::from_secs(9)..Duration::from_secs(13);
    for (what, (elapsed, said)) in [
        ("silence", silence),
        ("half a request line", half_line),
        ("the beginning of HTTP/2's preface", almost_http2),
        ("HTTP/2's preface alone", no_frames),
        ("a dribbled header", slow_header),
    ] {
        assert!(about_ten.contains(&elapsed), "{what}: closed after {elapsed:?}");
        assert!(!said.contains(" 200 ") && !said.contains(" 50"), "{what}: {said}");
    }
    let (elapsed, reply, rest) = slow_body;
    assert!(about_ten.contains(&elapsed), "a dribbled body: answered after {elapsed:?}");
    assert_eq!((reply.status, &reply.json()["code"]), (408, &json!("request_timeout")), "{reply:?}");
    assert_eq!(rest, "", "nothing follows a 408, whose request is not at its end");
    assert_eq!(resting, 200, "a connection that has brought a request may rest");
    server.admin("acme").get(PATH).await.expect(200);
}

/// The first byte of HTTP/2's preface leaves it open which version the client speaks.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn silent_connections_cost_no_cpu_time_and_are_closed() {
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

/// A hundred headers are taken; more, or longer ones than 32 KiB in all, are the client's fault.
#[tokio::test]
async fn headers_are_limited() {
    let server = TestServer::start().await;
    let ask = async |headers: &str| {
        let mut connection = RawConnection::open(server.address).await;
        connection
            .try_send(format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n"))
            .await;
        connection.reply_or_end().await.map_or(0, |reply| reply.status)
    };
    assert_eq!(ask(&"X-Many: 1\r\n".repeat(98)).await, 200);
    assert_eq!(ask(&"X-Many: 1\r\n".repeat(99)).await, 431);
    assert_eq!(ask(&format!("X-Long: {}\r\n", "x".repeat(30 * 1024))).await, 200);
    assert_eq!(ask(&format!("X-Long: {}\r\n", "x".repeat(33 * 1024))).await, 431);
    assert_eq!(ask(&format!("X-Long: {}\r\n", "x".repeat(8 * 1024)).repeat(5)).await, 431);
    server.admin("acme").get(PATH).await.expect(200);
}

/// A request line is no way around it.
#[tokio::test]
async fn request_lines_are_limited() {
    let server = TestServer::start().await;
    let mut connection = RawConnection::open(server.address).await;
    connection
        .try_send(format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "x".repeat(70_000)))
        .await;
    let status = connection.reply_or_end().await.expect("an answer").status;
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

/// RFC 9110, 10.1.1: curl sends it with larger bodies, .NET's clients if told so.
#[tokio::test]
async fn expect_100_continue() {
    let server = TestServer::start().await;
    let body = r#"{"name": "After a while"}"#;
    let head = create_head(&server, body.len()) + "Expect: 100-continue\r\n\r\n";
    let mut connection = RawConnection::open(server.address).await;
    connection.send(&head).await;
    assert_eq!(connection.reply().await.status, 100);
    connection.send(body).await;
    let reply = connection.reply().await;
    assert_eq!((reply.status, &reply.json()["name"]), (201, &json!("After a while")), "{reply:?}");

    // Whoever is not let in need not send a body.
    let mut connection = RawConnection::open(server.address).await;
    connection.send(head.replace("Authorization: Bearer ", "Authorization: Bearer x")).await;
    assert_eq!(connection.reply().await.status, 401);
}

#[tokio::test]
async fn http_1_0() {
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

/// Beyond the bound, a connection waits for another one's end; it is not turned away.
#[tokio::test]
async fn connections_are_limited() {
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
    let reply = timeout(Duration::from_secs(2), sixth.reply()).await.expect("the place of the one that ended");
    assert_eq!(reply.status, 200);
}

/// Sends a create whose length is framed like that, and a request behind it. Tells the answer,
/// once nothing follows it.
async fn create_framed(server: &TestServer, headers: &str, body: &str) -> Option<RawReply> {
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: acme.localhost\r\n{}\r\nContent-Type: application/json\r\n\
         {headers}\r\n\r\n{body}{HEALTH}",
        authorization(server)
    );
    let mut connection = RawConnection::open(server.address).await;
    connection.send(request).await;
    let reply = connection.reply_or_end().await;
    assert_eq!(connection.end().await, "", "{headers}: the bytes behind it were taken for a request");
    reply
}

/// A body that makes a key, plain and in a chunk.
fn bodies() -> (String, String) {
    let body = r#"{"name": "Smuggled"}"#;
    (body.to_owned(), format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()))
}

/// A request whose length can be read in two ways (RFC 9112, 6.3) is refused: whatever stands
/// in front of the service may read it in the other way.
#[tokio::test]
async fn ambiguous_lengths_are_refused() {
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
    // The same without the ambiguity, to show what the others are refused for.
    for (headers, body) in
        [(format!("Content-Length: {length}"), &plain), ("Transfer-Encoding: chunked".into(), &chunked)]
    {
        let reply = create_framed(&server, &(headers + "\r\nConnection: close"), body).await.expect("an answer");
        assert_eq!(reply.status, 201, "{reply:?}");
    }
}

/// RFC 9112, 6.3: the chunks alone count, and nothing behind them is read as another request.
#[tokio::test]
async fn a_content_length_beside_a_transfer_encoding_smuggles_nothing() {
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

/// RFC 9110, 9.3.1: a GET's body means nothing, and must not be read as the next request.
#[tokio::test]
async fn a_body_on_get_is_harmless() {
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
                assert_eq!(reply.expect("an answer").status, expected, "{path} with {size} bytes");
            }
            let next = HEALTH.replace("\r\n\r\n", "\r\nX-Request-Id: next\r\nConnection: close\r\n\r\n");
            connection.try_send(next).await;
            let next = connection.reply_or_end().await;
            if size < 1000 {
                assert!(next.is_some(), "{path} with {size} bytes: the connection ended");
            }
            // Where there is too much to read over, the connection may end instead.
            if let Some(next) = next {
                assert_eq!((next.status, next.header("x-request-id")), (200, Some("next")), "{path}, {size}");
            }
        }
    }
}

/// As many connections as are allowed need as many files; the usual limit is 1,024 of them.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_limit_of_open_files_is_raised() {
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
    // As far as it may.
    let service = home.launch_under("-n 512", &settings).listening().await;
    assert_eq!(service.file_limit(), 512);
    assert!(service.log().contains("HTTP_MAX_CONNECTIONS needs more open files"), "{}", service.log());
    service.kill().await;
}
