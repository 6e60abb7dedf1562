//! The page at `/`, and what a request to a host without a tenant is told.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{
    client::{Client, Credential, PATH},
    harness::TestServer,
};

/// The text of the page, which loads nothing and runs nothing.
async fn page(client: &Client, status: u16) -> String {
    let reply = client.get("/").await;
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    let style = reply.body.split_once("<style>").and_then(|(_, rest)| rest.split_once("</style>")).expect("a style").0;
    let hash = BASE64_STANDARD.encode(Sha256::digest(style));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    assert_eq!(reply.header("content-security-policy"), policy);
    for active in ["<script", " src=", " style=", "<link", " onclick=", " onload="] {
        assert!(!reply.body.contains(active), "{active}: {}", reply.body);
    }
    reply.body
}

#[tokio::test]
async fn the_page_of_a_tenants_host_says_what_to_do_and_links_to_docs() {
    let server = TestServer::start().await;
    let client = |host: &str| server.client("acme", Credential::None).on(host);
    let text = page(&client("acme.localhost:8080"), 200).await;
    for part in [
        "<a href=\"/docs\">",
        "<a href=\"/openapi.json\">",
        "curl -X POST http://acme.localhost:8080/api/v1/api-keys",
        "/etc/hosts",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(client("acme.localhost").get("/docs").await.status, 200);
    // Nobody learns which tenants exist.
    let unknown = page(&client("nobody.localhost:8080"), 200).await;
    assert_eq!(unknown.replace("nobody", "acme"), text);
    let head = server.raw("HEAD / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let refused = client("acme.localhost").post("/", &serde_json::json!({})).await;
    refused.refused(405, "method_not_allowed");
}

#[tokio::test]
async fn a_host_without_a_tenant_is_told_the_configured_domain_and_the_port() {
    let local = TestServer::with(&[("LISTEN_ADDR", "127.0.0.1:0")]).await;
    let public = TestServer::with(&[("BASE_DOMAIN", "crm.example"), ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    for (server, host, expected) in [
        (&local, "localhost:8080", "http://your-tenant.localhost:8080"),
        (&local, "127.0.0.1:9999", "http://your-tenant.localhost:9999"),
        (&local, "[::1]:8080", "http://your-tenant.localhost:8080"),
        (&local, "a.b.localhost", "http://your-tenant.localhost"),
        (&public, "10.1.2.3", "https://your-tenant.crm.example"),
        (&public, "crm.example:8443", "https://your-tenant.crm.example:8443"),
        (&public, "acme.localhost:70000", "https://your-tenant.crm.example"),
    ] {
        let client = server.admin("acme").on(host);
        let text = page(&client, 404).await;
        assert!(text.contains(&format!("<strong>{expected}</strong>")), "{host}: {text}");
        assert_eq!(text.contains("/etc/hosts"), expected.contains("localhost"), "{host}");
        let reply = client.get(PATH).await;
        reply.refused(404, "tenant_not_found");
        let detail = format!("The host names no tenant. Use your tenant's own host, as in {expected}.");
        assert_eq!(reply.json()["detail"], detail.as_str(), "{host}");
    }
    // The same for a tenant that does not exist, which only the database knows.
    let reply = public.admin("acme").on("nobody.crm.example:8443").get(PATH).await;
    reply.refused(404, "tenant_not_found");
    assert!(reply.json()["detail"].as_str().unwrap().ends_with(" https://your-tenant.crm.example:8443."), "{reply:?}");
}
