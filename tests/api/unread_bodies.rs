//! Bodies that are not read: the client gets its response all the same, and may go on using its connection.

use std::{process::Stdio, time::Duration};

use tokio::{process::Command, time::timeout};

use crate::{
    client::{Credential, PATH},
    harness::{TestServer, not_tested, scratch_dir},
    raw::RawConnection,
};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// What sends a body of 5 MB and prints the status of the response, 10 times.
const PYTHON: &str = r#"
import http.client, sys
address, path, token = sys.argv[1:]
for _ in range(10):
    connection = http.client.HTTPConnection(address, timeout=30)
    headers = {"Host": "acme.localhost", "Authorization": token, "Content-Type": "application/json"}
    connection.request("POST", path, b" " * 5_000_000, headers)
    print(connection.getresponse().status)
"#;

const NODE_FETCH: &str = r#"
const [address, path, token] = process.argv.slice(1);
// fetch sends no Host of one's own.
const headers = { "X-Forwarded-Host": "acme.localhost", "Authorization": token, "Content-Type": "application/json" };
for (let i = 0; i < 10; i++) {
    const response = await fetch(`http://${address}${path}`, { method: "POST", headers, body: "x".repeat(5_000_000) });
    console.log(response.status);
    await response.text();
}
"#;

const NODE_HTTP2: &str = r#"
const [address, path, token] = process.argv.slice(1);
const http2 = await import("node:http2");
const session = http2.connect(`http://${address}`);
for (let i = 0; i < 10; i++) {
    await new Promise((resolve, reject) => {
        const stream = session.request({
            ":method": "POST", ":path": path, ":authority": "acme.localhost",
            "authorization": token, "content-type": "application/json",
        });
        stream.on("response", (headers) => console.log(headers[":status"]));
        stream.on("error", reject);
        stream.on("close", resolve);
        stream.resume();
        stream.end(Buffer.alloc(5_000_000, " "));
    });
}
session.close();
"#;

/// Runs a client and returns what it printed. `None`: it is not installed.
async fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(Duration::from_mins(2), command.output()).await.expect("an end in time") {
        Ok(output) => output,
        Err(error) => {
            not_tested(&format!("{program} is not installed ({error})"));
            return None;
        }
    };
    let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} failed: {errors}\nafter {printed}");
    Some(printed.into_owned())
}

/// Some clients send everything before they read, and lose the response if the connection is reset meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_clients_get_the_response_to_a_body_that_is_not_read() {
    let server = TestServer::with(&[("TRUSTED_PROXIES", "127.0.0.1/32")]).await;
    let token = format!("Bearer {}", server.token("acme", "admin"));
    let address = server.address.to_string();
    let body = scratch_dir("large-body").join("body");
    std::fs::write(&body, vec![b' '; 5_000_000]).unwrap();
    let (authorization, data) = (format!("Authorization: {token}"), format!("@{}", body.display()));
    let curl = ["-sS", "-o", "/dev/null", "-w", "%{http_code}\n", "-H", &authorization, "--data-binary", &data];
    let json = ["-H", "Content-Type: application/json", "-H", "Host: acme.localhost"];
    for (path, status) in [(PATH, "413"), ("/nowhere", "404"), ("/forward-auth", "200")] {
        let (url, arguments) = (format!("http://{address}{path}"), [&*address, path, &*token]);
        let by_curl = |more: &[&'static str]| [&curl[..], &json, more, &[&*url]].concat();
        for (client, program, arguments) in [
            ("Python", "python3", [&["-c", PYTHON], &arguments[..]].concat()),
            ("Node", "node", [&["--input-type=module", "-e", NODE_FETCH], &arguments[..]].concat()),
            ("Node over HTTP/2", "node", [&["--input-type=module", "-e", NODE_HTTP2], &arguments[..]].concat()),
            ("curl", "curl", by_curl(&[])),
            ("curl without Expect", "curl", by_curl(&["-H", "Expect:"])),
            ("curl over HTTP/2", "curl", by_curl(&["--http2-prior-knowledge"])),
        ] {
            let Some(printed) = run(program, &arguments).await else { continue };
            let mut statuses = printed.lines().peekable();
            assert!(statuses.peek().is_some(), "{client} {path}: no response");
            assert!(statuses.all(|printed| printed == status), "{client} {path}: {printed}");
        }
    }
    server.admin("acme").get(PATH).await.expect(200);
}

/// RFC 9110, section 10.1.1
#[tokio::test]
async fn a_request_that_is_refused_anyway_gets_no_100() {
    let server = TestServer::start().await;
    let token = server.token("acme", "admin");
    let key = server.admin("acme").create("Zapier Sync", "read").await;
    let json = "application/json";
    for (status, method, path, token, media_type, length) in [
        (413, "POST", PATH, &*token, json, 16_385),
        (413, "PATCH", &*key.path(), &token, json, 5_000_000),
        (413, "POST", &*format!("{}/rotate", key.path()), &token, json, 5_000_000),
        (415, "POST", PATH, &token, "text/plain", 20),
        (415, "POST", &*format!("{}/rotate", key.path()), &token, "text/plain", 20),
        (401, "POST", PATH, "x", json, 20),
        (401, "GET", "/forward-auth", "x", json, 20),
        (404, "POST", "/nowhere", &token, json, 20),
        (405, "POST", "/healthz", &token, json, 20),
        (200, "POST", "/forward-auth", &token, json, 20),
    ] {
        let mut connection = RawConnection::open(server.address).await;
        connection
            .send(format!(
                "{method} {path} HTTP/1.1\r\nHost: acme.localhost\r\nAuthorization: Bearer {token}\r\n\
                 Content-Type: {media_type}\r\nContent-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
            ))
            .await;
        let reply = connection.reply().await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        // What the client sends next may be the body or another request.
        assert_eq!(reply.header("connection"), Some("close"), "{method} {path}: {reply:?}");
        connection.say_no_more().await;
        assert_eq!(connection.end().await, "", "{method} {path}");
    }
}

/// Gateways can be configured to send a check with the body of the client's request.
#[tokio::test]
async fn a_connection_goes_on_after_a_check_with_a_body() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("Zapier Sync", "read,write").await;
    let mut connection = RawConnection::open(server.address).await;
    for (secret, status) in [(&*key.secret, 200), ("rk_live_0", 401)] {
        for size in [1, 100_000, 2_000_000] {
            let (length, chunked) = (format!("Content-Length: {size}"), "Transfer-Encoding: chunked".to_owned());
            let body = "x".repeat(size);
            for (framing, body) in [(length, body.clone()), (chunked, format!("{size:x}\r\n{body}\r\n0\r\n\r\n"))] {
                let head = format!(
                    "POST /forward-auth HTTP/1.1\r\nHost: acme.localhost\r\nX-Api-Key: {secret}\r\n{framing}\r\n\r\n"
                );
                connection.send(head + &body).await;
                assert_eq!(connection.reply().await.status, status, "{framing}");
            }
        }
    }
    connection.send(HEALTH).await;
    assert_eq!(connection.reply().await.status, 200);
}

/// A client that never stops sending is disconnected, and one that stops in the middle is not waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_body_is_discarded_within_bounds() {
    let server = TestServer::start().await;
    let head = |length: usize| format!("POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
    let mut endless = RawConnection::open(server.address).await;
    endless.send(head(1 << 40)).await;
    let mut sent = 0;
    while endless.try_send(vec![b'x'; 1 << 20]).await {
        sent += 1;
        assert!(sent < 100, "{sent} MiB were taken");
    }
    assert!(sent >= 16, "only {sent} MiB were taken");

    let mut silent = RawConnection::open(server.address).await;
    silent.send(head(1000)).await;
    assert_eq!(silent.reply().await.status, 404);
    assert_eq!(silent.end().await, "", "the connection is closed");
    assert_eq!(server.client("acme", Credential::None).get("/healthz").await.status, 200);
}

const PYTHON_HEADERS: &str = r#"
import http.client, sys
for size in (33_000, 60_000, 100_000, 200_000):
    for _ in range(10):
        connection = http.client.HTTPConnection(sys.argv[1], timeout=30)
        connection.request("GET", "/healthz", headers={"Host": "localhost", "X-Long": "x" * size})
        print(connection.getresponse().status)
"#;

/// hyper refuses a head before it has read all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_client_gets_the_431_for_too_large_a_head() {
    let server = TestServer::start().await;
    let Some(printed) = run("python3", &["-c", PYTHON_HEADERS, &server.address.to_string()]).await else { return };
    assert!(printed.lines().count() == 40 && printed.lines().all(|status| status == "431"), "{printed}");
}
