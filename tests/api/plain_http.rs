//! Requests that a trusted proxy reports as plain HTTP.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::{TestServer, wait_until},
};

const CHECK: &str = "/forward-auth";
const TRUSTED: (&str, &str) = ("TRUSTED_PROXIES", "127.0.0.1");
const DOMAIN: (&str, &str) = ("BASE_DOMAIN", "rallycrm.test");

async fn call(client: &Client, method: Method, path: &str, scheme: &str) -> Reply {
    let request = client.request(method, path).header("x-forwarded-proto", scheme);
    send(request.header("x-forwarded-for", "203.0.113.66").header("user-agent", "etl/2.1")).await
}

fn on_domain(client: &Client) -> Client {
    client.on("acme.rallycrm.test")
}

async fn exposures(admin: &Client, key: &CreatedKey) -> Vec<Value> {
    let events = admin.get(&format!("{PATH}/events?type=exposed&keyId={}", key.id)).await.expect(200);
    events.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_over_plain_http_is_refused_alike_for_every_credential_and_a_secret_in_it_leaves_an_event() {
    let server = TestServer::with(&[TRUSTED, DOMAIN]).await;
    let admin = on_domain(&server.admin("acme"));
    let key = admin.create("n", "admin").await;
    let revoked = admin.create("n", "read").await;
    admin.delete(&revoked.path()).await.expect(204);
    let unknown = format!("rk_live_{}", "0".repeat(32));
    let clients = [
        admin.clone(),
        admin.with_key(&key.secret),
        admin.with(Credential::Bearer(key.secret.clone())),
        admin.with_key(&revoked.secret),
        admin.with_key(&unknown),
        admin.with(Credential::Bearer("no.token.atall".into())),
        admin.with(Credential::None),
    ];
    for (method, path) in
        [(Method::GET, CHECK), (Method::POST, CHECK), (Method::GET, PATH), (Method::GET, "/api/v1/me")]
    {
        let mut replies = Vec::new();
        for client in &clients {
            let reply = call(client, method.clone(), path, "http").await;
            reply.refused(403, "plain_http");
            replies.push(reply.apart_from_request_id());
            // Also where there is no such tenant.
            let elsewhere = call(&client.on("nobody.rallycrm.test"), method.clone(), path, "HTTP, https").await;
            replies.push(elsewhere.apart_from_request_id());
        }
        replies.dedup();
        assert_eq!(replies.len(), 1, "{replies:?}");
    }
    for key in [&key, &revoked] {
        wait_until(async || !exposures(&admin, key).await.is_empty()).await;
        let found = exposures(&admin, key).await;
        let details = json!({"keyHint": key.hint(), "userAgent": "etl/2.1"});
        assert_eq!((found.len(), &found[0]["details"]), (1, &details), "{found:?}");
        assert_eq!((&found[0]["address"], &found[0]["actor"]), (&json!("203.0.113.66"), &Value::Null));
    }
    // The key itself goes on working, and nothing was created by the refused calls.
    assert_eq!(call(&admin.with_key(&key.secret), Method::GET, CHECK, "https").await.status, 200);
    assert_eq!(admin.with_key(&key.secret).get(CHECK).await.status, 200, "a proxy that reports no scheme");
    let create = admin.request(Method::POST, PATH).header("x-forwarded-proto", "http").json(&json!({"name": "n"}));
    send(create).await.refused(403, "plain_http");
    assert_eq!(admin.get(PATH).await.expect(200).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn plain_http_is_accepted_from_untrusted_peers_on_localhost_and_where_it_is_allowed() {
    for settings in [&[DOMAIN][..], &[TRUSTED], &[TRUSTED, DOMAIN, ("PLAIN_HTTP", "allow")]] {
        let server = TestServer::with(settings).await;
        let admin = if settings.contains(&DOMAIN) { on_domain(&server.admin("acme")) } else { server.admin("acme") };
        assert_eq!(call(&admin, Method::GET, CHECK, "http").await.status, 200, "{settings:?}");
        call(&admin, Method::GET, PATH, "http").await.expect(200);
    }
    let server = TestServer::with(&[TRUSTED, ("PLAIN_HTTP", "refuse")]).await;
    call(&server.admin("acme"), Method::GET, PATH, "http").await.refused(403, "plain_http");
}
