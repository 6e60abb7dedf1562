//! Bodies of requests: framing, media type, content coding, size.

use http_body_util::Full;
use hyper::body::Bytes;
use reqwest::Method;

use crate::{
    client::{PATH, Reply, send},
    harness::TestServer,
    http2::{self, streamed},
};

async fn events(server: &TestServer, kind: &str) -> i64 {
    server.database.count(&format!("SELECT count(*) FROM api_key_events WHERE kind = '{kind}'")).await
}

/// Sends a request over HTTP/1.1 with exactly this framing and body.
async fn send_framed(server: &TestServer, target: &str, framed: &str) -> Reply {
    let token = server.token("acme", "admin");
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: acme.localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{framed}"
    );
    Reply::from_raw(&server.raw(request).await)
}

#[tokio::test]
async fn an_empty_body_rotates_in_any_framing_and_with_any_media_type() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let rotate = async || format!("{}/rotate", admin.create("Zapier Sync", "read").await.path());
    let path = rotate().await;
    let mut rotations = 0;
    for media_type in ["", "Content-Type: application/json\r\n", "Content-Type: text/plain\r\n"] {
        for framed in ["\r\n", "Content-Length: 0\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"] {
            send_framed(&server, &path, &format!("{media_type}{framed}")).await.expect(200);
            rotations += 1;
        }
    }
    let path = rotate().await;
    let request = || {
        let token = format!("Bearer {}", server.token("acme", "admin"));
        hyper::Request::post(format!("http://acme.localhost{path}")).header("authorization", token)
    };
    http2::send(server.address, request().body(Full::<Bytes>::default()).unwrap()).await.expect(200);
    http2::send(server.address, request().body(streamed([])).unwrap()).await.expect(200);
    http2::send(server.address, request().body(streamed(["", ""])).unwrap()).await.expect(200);
    assert_eq!(events(&server, "rotated").await, rotations + 3);
}

#[tokio::test]
async fn a_body_of_white_space_is_not_empty() {
    let server = TestServer::start().await;
    let path = format!("{}/rotate", server.admin("acme").create("Zapier Sync", "read").await.path());
    for (framed, chunked) in [("Content-Length: 1\r\n\r\n\n", "Transfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n")]
    {
        for framed in [framed, chunked] {
            let json = format!("Content-Type: application/json\r\n{framed}");
            send_framed(&server, &path, &json).await.refused(400, "invalid_json");
            send_framed(&server, &path, framed).await.refused(415, "unsupported_media_type");
        }
    }
    assert_eq!(events(&server, "rotated").await, 0);
}

#[tokio::test]
async fn a_body_with_a_transfer_coding_besides_chunked_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let path = format!("{}/rotate", server.admin("acme").create("Zapier Sync", "read").await.path());
    for coding in ["gzip, chunked", "deflate,chunked", "chunked, chunked", "gzip\r\nTransfer-Encoding: chunked"] {
        let framed =
            format!("Content-Type: application/json\r\nTransfer-Encoding: {coding}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
        send_framed(&server, &path, &framed).await.refused(415, "unsupported_media_type");
    }
    for coding in ["chunked", "Chunked"] {
        let framed =
            format!("Content-Type: application/json\r\nTransfer-Encoding: {coding}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n");
        send_framed(&server, &path, &framed).await.expect(200);
    }
    assert_eq!(events(&server, "rotated").await, 2);
}

#[tokio::test]
async fn a_body_with_a_content_coding_is_refused_and_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let rotate = format!("{}/rotate", key.path());
    let calls = [
        (Method::POST, PATH, r#"{"name": "New"}"#),
        (Method::PATCH, &*key.path(), r#"{"name": "New"}"#),
        (Method::POST, &*rotate, "{}"),
    ];
    for (method, path, body) in calls {
        let request = |coding: &str| {
            let request = admin.request(method.clone(), path).header("content-type", "application/json");
            request.header("content-encoding", coding).body(body)
        };
        for coding in ["gzip", "br", "GZIP", "identity, gzip", "x-unknown"] {
            let reply = send(request(coding)).await;
            reply.refused(415, "unsupported_media_type");
            assert_eq!(reply.header("accept-encoding"), "identity", "{coding}");
            assert_eq!(reply.headers.get("accept"), None, "{coding}: the media type is right");
        }
        let twice = request("identity").header("content-encoding", "gzip");
        send(twice).await.refused(415, "unsupported_media_type");
    }
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_events").await, 1, "only the fixture's event");
    for coding in ["identity", "Identity", ""] {
        let request = admin.request(Method::PATCH, &key.path()).header("content-encoding", coding);
        send(request.json(&serde_json::json!({"name": "New"}))).await.expect(200);
    }
}

#[tokio::test]
async fn a_wrong_media_type_is_refused_with_the_right_ones() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier Sync", "read").await;
    let patches = "application/json, application/merge-patch+json";
    for (method, path, accept, accept_patch) in [
        (Method::POST, PATH, "application/json", None),
        (Method::POST, &*format!("{}/rotate", key.path()), "application/json", None),
        (Method::PATCH, &*key.path(), patches, Some(patches)),
    ] {
        let reply = send(admin.request(method, path).header("content-type", "text/plain").body("{}")).await;
        let problem = reply.refused(415, "unsupported_media_type");
        assert_eq!(reply.header("accept"), accept);
        assert_eq!(reply.headers.get("accept-patch").map(|value| value.to_str().unwrap()), accept_patch);
        assert_eq!(reply.headers.get("accept-encoding"), None, "{path}: there was no content coding");
        for media_type in accept.split(", ") {
            assert!(
                problem["detail"].as_str().unwrap().contains(&format!("`Content-Type: {media_type}`")),
                "{problem}"
            );
        }
    }
}
