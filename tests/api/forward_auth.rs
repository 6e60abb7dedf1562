//! `/forward-auth`, as gateways ask it.

use reqwest::Method;
use serde_json::json;

use crate::{
    client::{Client, Credential, Reply, send},
    harness::TestServer,
};

const PATH: &str = "/forward-auth";
const HEADERS: [&str; 6] = [
    "x-rally-tenant",
    "x-rally-tenant-id",
    "x-rally-principal",
    "x-rally-scopes",
    "x-rally-key-id",
    "x-rally-key-expires",
];

async fn ask(client: &Client, method: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = client.request(method.parse().unwrap(), PATH);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request).await
}

#[track_caller]
fn allowed(reply: &Reply) -> [String; 6] {
    assert_eq!(reply.status.as_u16(), 200, "{reply:?}");
    assert_eq!((reply.body.as_str(), reply.header("cache-control")), ("", "no-store"));
    HEADERS.map(|name| reply.header(name).to_owned())
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str) {
    reply.refused(status, code);
    assert_eq!((reply.header("x-rally-error"), reply.header("cache-control")), (code, "no-store"));
}

#[tokio::test]
async fn a_key_is_introduced_by_all_the_headers() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let acme = server.database.acme.to_string();
    let key = admin.create_with(&json!({"name": "n", "scopes": "write", "expiresAt": "2099-01-01T00:00:00Z"})).await;
    let headers = allowed(&ask(&admin.with_key(&key.secret), "GET", &[]).await);
    let principal = format!("api-key:{}", key.id);
    assert_eq!(headers, ["acme", &acme, &principal, "write", &key.id, "2099-01-01T00:00:00Z"]);

    let endless = admin.create("n", "read,write").await;
    let headers = allowed(&ask(&admin.with(Credential::Bearer(endless.secret)), "POST", &[]).await);
    assert_eq!(headers[3..], ["read,write".to_owned(), endless.id, String::new()]);

    let headers = allowed(&ask(&admin, "DELETE", &[]).await);
    assert_eq!(headers, ["acme", &acme, "user:admin@acme.com", "admin", "", ""]);
}

#[tokio::test]
async fn the_strictest_method_counts() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let reader = admin.with_key(&admin.create("reader", "read").await.secret);
    let writer = admin.with_key(&admin.create("writer", "write").await.secret);
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(ask(&reader, method, &[]).await.status, 200, "{method}");
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "get", "PURGE"] {
        assert_eq!(ask(&reader, method, &[]).await.status, 403, "{method}");
        assert_eq!(ask(&writer, method, &[]).await.status, 200, "{method}");
        for header in ["X-Forwarded-Method", "X-Original-Method"] {
            refused(&ask(&reader, "GET", &[(header, method)]).await, 403, "insufficient_scope");
            refused(&ask(&reader, "GET", &[(header, "GET"), (header, method)]).await, 403, "insufficient_scope");
        }
    }
    let both = [("X-Forwarded-Method", "GET"), ("X-Original-Method", "DELETE")];
    refused(&ask(&reader, "GET", &both).await, 403, "insufficient_scope");
    assert_eq!(ask(&reader, "GET", &[("X-Forwarded-Method", "HEAD")]).await.status, 200);
}

#[tokio::test]
async fn the_gateway_may_ask_for_more_and_never_for_less() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let reader = admin.with_key(&admin.create("reader", "read").await.secret);
    let writer = admin.with_key(&admin.create("writer", "write").await.secret);
    let with = async |client: &Client, method: Method, path: &str| send(client.request(method, path)).await;
    refused(&with(&writer, Method::GET, "/forward-auth?scope=admin").await, 403, "insufficient_scope");
    assert_eq!(with(&admin, Method::GET, "/forward-auth?scope=admin").await.status, 200);
    refused(&with(&reader, Method::POST, "/forward-auth?scope=read").await, 403, "insufficient_scope");
    refused(&with(&reader, Method::GET, "/forward-auth?scope=read&scope=write").await, 403, "insufficient_scope");
    refused(&with(&admin, Method::GET, "/forward-auth?scope=everything").await, 401, "invalid_request");
    // Envoy appends the client's own path and query, which say nothing.
    assert_eq!(with(&reader, Method::GET, "/forward-auth/contacts/7?scope=admin").await.status, 200);
    refused(&with(&reader, Method::PUT, "/forward-auth/contacts/7?scope=read").await, 403, "insufficient_scope");
}

#[tokio::test]
async fn refusals_are_401_or_403_with_the_code() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let client = admin.with_key(&key.secret);
    refused(&ask(&admin.with(Credential::None), "GET", &[]).await, 401, "missing_credentials");
    refused(&ask(&client.on("nobody.localhost"), "GET", &[]).await, 401, "tenant_not_found");
    refused(&ask(&client.on("globex.localhost"), "GET", &[]).await, 401, "invalid_key");
    refused(&ask(&admin.on("globex.localhost"), "GET", &[]).await, 403, "wrong_tenant");
    refused(&ask(&client, "GET", &[("authorization", "Bearer x.y.z")]).await, 401, "ambiguous_credentials");
    refused(&ask(&client.with_key("rk_live_zzz"), "GET", &[]).await, 401, "invalid_key");
    admin.delete(&key.path()).await.expect(204);
    refused(&ask(&client, "GET", &[]).await, 401, "key_revoked");
}

#[tokio::test]
async fn it_refuses_when_it_cannot_know() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    server.database.execute("ALTER TABLE api_key_secrets RENAME TO gone").await;
    let reply = ask(&admin.with_key(&key.secret), "GET", &[]).await;
    refused(&reply, 503, "internal_error");
}
