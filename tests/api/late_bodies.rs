//! A caller is known before its body is read, and the body may take its time. What the caller may do is
//! looked at again when the change is made.

use std::{fmt::Write as _, time::Duration};

use chrono::{TimeDelta, Utc};
use rally_api_keys::domain::format_timestamp;
use serde_json::json;

use crate::{
    client::PATH,
    harness::TestServer,
    raw::{RawConnection, RawReply},
};

/// A POST whose body waits.
struct Late {
    connection: RawConnection,
    body: &'static str,
}

impl Late {
    async fn begin(server: &TestServer, path: &str, secret: &str, body: &'static str) -> Self {
        let mut connection = RawConnection::open(server.address).await;
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: acme.localhost\r\nX-Api-Key: {secret}\r\n");
        write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
        connection.send(head).await;
        assert!(connection.is_silent_for(Duration::from_millis(300)).await, "an answer before the body");
        Self { connection, body }
    }

    async fn end(mut self) -> RawReply {
        self.connection.send(self.body).await;
        self.connection.reply().await
    }
}

#[tokio::test]
async fn a_secret_that_was_ended_makes_nothing_any_more() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let leaked = admin.create("Leaked", "admin").await;
    let by_itself = format!("{PATH}/self/rotate");
    let unhindered = Late::begin(&server, PATH, &leaked.secret, r#"{"name": "Before"}"#).await;
    assert_eq!(unhindered.end().await.status, 201);

    let rotation = Late::begin(&server, &by_itself, &leaked.secret, "{}").await;
    let creation = Late::begin(&server, PATH, &leaked.secret, r#"{"name": "After"}"#).await;
    let path = format!("{}/rotate", leaked.path());
    let rotated = admin.post(&path, &json!({"overlapSeconds": 0})).await.expect(200);
    for late in [rotation, creation] {
        let reply = late.end().await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (401, Some("invalid_key")), "{reply:?}");
    }
    admin.with_key(rotated["key"].as_str().unwrap()).get(PATH).await.expect(200);
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys WHERE name = 'After'").await, 0);
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_events WHERE kind = 'rotated'").await, 1);

    // The same where it was ended before its time.
    let rotation = Late::begin(&server, &by_itself, rotated["key"].as_str().unwrap(), "{}").await;
    admin.post(&path, &json!({"overlapSeconds": 3600})).await.expect(200);
    admin.delete(&format!("{}/previous-secret", leaked.path())).await.expect(204);
    assert_eq!(rotation.end().await.json()["code"], "invalid_key");
}

#[tokio::test]
async fn a_key_whose_end_was_drawn_in_makes_nothing_that_outlives_it() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let maker = admin.create("Maker", "admin").await;
    let late = Late::begin(&server, PATH, &maker.secret, r#"{"name": "For ever"}"#).await;
    let end = format_timestamp(Utc::now() + TimeDelta::minutes(5));
    admin.patch(&maker.path(), &json!({"expiresAt": end})).await.expect(200);
    let reply = late.end().await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (403, Some("insufficient_scope")), "{reply:?}");
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys").await, 1);
}
