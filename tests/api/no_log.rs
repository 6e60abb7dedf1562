//! Requests while the log cannot be written, for example because its disk is full.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::{
    binary::Home,
    client::{Client, Credential, PATH, send},
    harness::{JWT_SECRET, PEPPER, TestDatabase, free_address, sign, wait_until},
};

#[tokio::test]
async fn requests_succeed_when_the_log_cannot_be_written() {
    let database = TestDatabase::create().await;
    let home = Home::new("no-log");
    let url = database.url_text(None).await;
    let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
    let address = free_address();
    let _service = home.serve_without_log(address, &settings);

    let exp = (Utc::now() + TimeDelta::hours(1)).timestamp();
    let token = sign(&json!({"sub": "42", "tenant": "acme", "scope": "admin", "exp": exp}));
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    let client = Client::new(http, format!("http://{address}"), "acme.localhost", Credential::Bearer(token));
    let probe = async || {
        let request = client.request(reqwest::Method::GET, "/readyz");
        request.send().await.is_ok_and(|response| response.status() == 200)
    };
    wait_until(probe).await;
    let key = client.create("Unlogged", "read").await;
    client.get(PATH).await.expect(200);
    client.with_key(&key.secret).get("/forward-auth?scope=nonsense").await.refused(403, "invalid_request");
    let reply = send(client.request(reqwest::Method::POST, PATH).body("{")).await;
    reply.refused(415, "unsupported_media_type");
    client.delete(&key.path()).await.expect(204);
}
