//! A caller is authenticated before its request body arrives, which may take a while. Its permissions
//! are checked again in the transaction that makes the change.

use std::{fmt::Write as _, time::Duration};

use chrono::{TimeDelta, Utc};
use rally_api_keys::domain::format_timestamp;
use serde_json::json;

use crate::{
    client::PATH,
    harness::TestServer,
    raw::{RawConnection, RawReply},
};

/// A POST whose body is sent later than its head.
struct DelayedBody {
    connection: RawConnection,
    body: &'static str,
}

impl DelayedBody {
    async fn send_head(server: &TestServer, path: &str, secret: &str, body: &'static str) -> Self {
        let mut connection = RawConnection::open(server.address).await;
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: acme.localhost\r\nX-Api-Key: {secret}\r\n");
        write!(head, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len()).unwrap();
        connection.send(head).await;
        assert!(connection.is_silent_for(Duration::from_millis(300)).await, "a response before the body");
        Self { connection, body }
    }

    async fn send_body(mut self) -> RawReply {
        self.connection.send(self.body).await;
        self.connection.reply().await
    }
}

#[tokio::test]
async fn a_secret_that_ends_before_the_body_arrives_changes_nothing() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let leaked = admin.create("Leaked", "admin").await;
    let by_itself = format!("{PATH}/self/rotate");
    let unhindered = DelayedBody::send_head(&server, PATH, &leaked.secret, r#"{"name": "Before"}"#).await;
    assert_eq!(unhindered.send_body().await.status, 201);

    let rotation = DelayedBody::send_head(&server, &by_itself, &leaked.secret, "{}").await;
    let creation = DelayedBody::send_head(&server, PATH, &leaked.secret, r#"{"name": "After"}"#).await;
    let path = format!("{}/rotate", leaked.path());
    let rotated = admin.post(&path, &json!({"overlapSeconds": 0})).await.expect(200);
    for delayed in [rotation, creation] {
        let reply = delayed.send_body().await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (401, Some("invalid_key")), "{reply:?}");
    }
    admin.with_key(rotated["key"].as_str().unwrap()).get(PATH).await.expect(200);
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys WHERE name = 'After'").await, 0);
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_events WHERE kind = 'rotated'").await, 1);

    // The same for a previous secret that is ended during its overlap.
    let rotation = DelayedBody::send_head(&server, &by_itself, rotated["key"].as_str().unwrap(), "{}").await;
    admin.post(&path, &json!({"overlapSeconds": 3600})).await.expect(200);
    admin.delete(&format!("{}/previous-secret", leaked.path())).await.expect(204);
    assert_eq!(rotation.send_body().await.json()["code"], "invalid_key");
}

#[tokio::test]
async fn a_key_whose_expiry_was_shortened_cannot_create_a_key_that_outlives_it() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let creator = admin.create("Creator", "admin").await;
    let delayed = DelayedBody::send_head(&server, PATH, &creator.secret, r#"{"name": "For ever"}"#).await;
    let end = format_timestamp(Utc::now() + TimeDelta::minutes(5));
    admin.patch(&creator.path(), &json!({"expiresAt": end})).await.expect(200);
    let reply = delayed.send_body().await;
    assert_eq!((reply.status, reply.json()["code"].as_str()), (403, Some("insufficient_scope")), "{reply:?}");
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys").await, 1);
}
