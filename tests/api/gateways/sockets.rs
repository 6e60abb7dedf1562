//! WebSocket (RFC 6455), and other upgrades.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    rally_headers,
    stand::{Program, Stand},
};

/// A masked text frame, `Hello` (RFC 6455, section 5.7).
const FRAME: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_passes_with_a_valid_key_and_no_other_upgrade_does() {
    for program in Program::all() {
        let stand = Stand::start(&program).await;
        a_websocket_outlives_the_revocation_of_its_key(&stand).await;
        a_websocket_without_a_key_is_refused(&stand).await;
        other_upgrades_do_not_reach_the_crm(&stand).await;
        stand.stop().await;
    }
}

/// Asks for an upgrade. Returns the head of the response, and the connection.
async fn handshake(stand: &Stand, method: &str, headers: &str) -> (String, TcpStream) {
    let request = format!(
        "{method} /live?page=2 HTTP/1.1\r\nHost: acme.localhost\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    );
    let mut stream = stand.connect().await;
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(Duration::from_secs(20), stream.read_u8()).await;
        let byte = byte.unwrap_or_else(|_| panic!("{:?} does not respond: {head:?}", stand.program));
        head.push(byte.unwrap_or_else(|error| panic!("{:?}: {error}", stand.program)));
    }
    (String::from_utf8(head).unwrap(), stream)
}

async fn is_echoed(stand: &Stand, stream: &mut TcpStream) {
    stream.write_all(FRAME).await.unwrap();
    let mut echo = [0; FRAME.len()];
    let read = timeout(Duration::from_secs(20), stream.read_exact(&mut echo)).await;
    read.unwrap_or_else(|_| panic!("{:?}: no frame", stand.program)).unwrap();
    assert_eq!(echo, FRAME, "{:?}", stand.program);
}

async fn a_websocket_outlives_the_revocation_of_its_key(stand: &Stand) {
    for (name, credential) in [("websocket", "X-Api-Key:"), ("WebSocket", "Authorization: Bearer")] {
        let key = stand.key("read").await;
        let headers = format!("Upgrade: {name}\r\n{credential} {}\r\nX-Rally-Scopes: admin\r\n", key.secret);
        let (head, mut socket) = handshake(stand, "GET", &headers).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{:?}: {head}\n{}", stand.program, stand.log());
        let seen = stand.reached().remove(0);
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("GET", "/live?page=2"), "{:?}", stand.program);
        assert_eq!(rally_headers(&seen)["x-rally-key-id"], [key.id.as_str()], "{:?}", stand.program);
        assert_eq!(rally_headers(&seen)["x-rally-scopes"], ["read"], "{:?}", stand.program);
        for name in ["x-api-key", "authorization"] {
            assert!(!seen.headers.contains_key(name), "{:?}: the CRM received the secret", stand.program);
        }
        is_echoed(stand, &mut socket).await;

        stand.server.admin("acme").delete(&key.path()).await.expect(204);
        is_echoed(stand, &mut socket).await;
        let (head, _) = handshake(stand, "GET", &headers).await;
        assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("key_revoked"), "{:?}: {head}", stand.program);
        assert!(stand.reached().is_empty(), "{:?}", stand.program);
    }
}

async fn a_websocket_without_a_key_is_refused(stand: &Stand) {
    let (head, _) = handshake(stand, "GET", "Upgrade: websocket\r\n").await;
    assert!(head.starts_with("HTTP/1.1 401 ") && head.contains("missing_credentials"), "{:?}: {head}", stand.program);
    // A preflight passes without a key, but not as an upgrade.
    let preflight = "Upgrade: websocket\r\nOrigin: https://example.com\r\nAccess-Control-Request-Method: GET\r\n";
    stand.reached();
    let (head, _) = handshake(stand, "OPTIONS", preflight).await;
    assert!(!head.starts_with("HTTP/1.1 101"), "{:?}: {head}", stand.program);
    assert!(stand.reached().iter().all(|seen| !seen.headers.contains_key("upgrade")), "{:?}", stand.program);
}

/// A client could send further requests on such a connection, which the gateway does not see.
async fn other_upgrades_do_not_reach_the_crm(stand: &Stand) {
    let key = stand.key("admin").await;
    for other in ["h2c", "HTTP/2.0", "websocket, h2c", "TLS/1.2", "websocket2", "h2c\r\nUpgrade: websocket"] {
        for method in ["GET", "POST"] {
            for credential in ["X-Api-Key:", "Authorization: Bearer"] {
                let headers = format!("Upgrade: {other}\r\n{credential} {}\r\nContent-Length: 0\r\n", key.secret);
                no_other_upgrade(stand, method, &headers).await;
            }
        }
    }
}

async fn no_other_upgrade(stand: &Stand, method: &str, headers: &str) {
    let (head, _) = handshake(stand, method, headers).await;
    assert!(!head.contains("h2c"), "{:?}, {headers}: {head}", stand.program);
    for seen in stand.reached() {
        let upgrades: Vec<_> = seen.headers.get_all("upgrade").iter().collect();
        assert!(upgrades.is_empty() || upgrades == ["websocket"], "{:?}, {headers}: {seen:?}", stand.program);
    }
}
