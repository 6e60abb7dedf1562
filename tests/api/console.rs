//! `/console`: the page, and what it loads. Its own tests, in a browser, are in `console/tests`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    binary::Home,
    client::{Client, Credential, Reply, send},
    harness::TestServer,
};

/// The paths of the page's files.
fn files_of(page: &Reply) -> Vec<String> {
    let parts = page.body.split("\"/console/").skip(1);
    parts.map(|part| format!("/console/{}", part.split('"').next().unwrap())).collect()
}

/// The settings in the page.
fn settings_of(page: &Reply) -> Value {
    let text = page.body.split("name=\"rally-console\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    serde_json::from_str(&text.replace("&quot;", "\"").replace("&amp;", "&")).unwrap()
}

async fn get(client: &Client, path: &str, codings: &str) -> reqwest::Response {
    client.request(Method::GET, path).header("accept-encoding", codings).send().await.unwrap()
}

#[tokio::test]
async fn the_console_loads_only_files_of_this_server_which_never_change() {
    let server = TestServer::start().await;
    let client = server.client("nobody", Credential::None);
    let page = client.get("/console").await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), "no-cache");
    let policy = page.header("content-security-policy");
    for part in ["default-src 'none';", "script-src 'self';", "style-src 'self';", "connect-src 'self';"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!page.body.contains("<script>") && !page.body.contains("style="), "{}", page.body);
    let files = files_of(&page);
    assert!(files.len() >= 3, "{files:?}");
    for path in files {
        let file = client.get(&path).await;
        let kind = if path.contains(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        assert_eq!((file.status.as_u16(), file.header("content-type")), (200, kind), "{path}");
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable", "{path}");
        assert_eq!(file.header("access-control-allow-origin"), "*", "pages of other origins may embed the element");
        let known = client.request(Method::GET, &path).header("if-none-match", file.header("etag"));
        assert_eq!(send(known).await.status, 304, "{path}");
        for (codings, coding, at_most) in [("gzip", "gzip", 2), ("gzip, deflate, br", "br", 3)] {
            let compressed = get(&client, &path, codings).await;
            assert_eq!(compressed.headers()["content-encoding"], coding, "{path}");
            let length = compressed.bytes().await.unwrap().len();
            assert!(length <= file.body.len() / at_most || file.body.len() < 1_000, "{path}: {length} by {coding}");
        }
    }
    for unknown in ["/console/index.html", "/console/manifest.json", "/console/..%2findex.html", "/console/x/y"] {
        client.get(unknown).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_slash_after_the_name_of_a_page_leads_to_the_page() {
    let server = TestServer::start().await;
    let client = server.client("nobody", Credential::None);
    for page in ["/console", "/docs"] {
        let response = client.request(Method::GET, &format!("{page}/")).send().await.unwrap();
        assert_eq!((response.status().as_u16(), response.url().path()), (200, page));
    }
}

#[tokio::test]
async fn the_elements_script_has_a_name_that_stays_the_same() {
    let server = TestServer::start().await;
    let script = server.client("acme", Credential::None).get("/console/rally-api-keys.js").await;
    assert_eq!((script.status.as_u16(), script.header("cache-control")), (200, "no-cache"));
    assert_eq!(script.header("access-control-allow-origin"), "*");
    assert!(script.body.contains("import"), "{}", script.body);
}

#[tokio::test]
async fn the_console_knows_its_client_and_may_call_its_issuer() {
    let server = TestServer::start().await;
    let page = server.client("acme", Credential::None).get("/console").await;
    let nobody = json!({"issuer": null, "clientId": null, "resource": null, "scopes": ["openid", "profile", "email"]});
    assert_eq!(settings_of(&page), nobody);

    let server = TestServer::with(&[
        ("JWT_ISSUER", "https://login.example.com/realms/crm,https://other.example"),
        ("JWT_JWKS_URL", "https://login.example.com/keys,https://other.example/keys"),
        ("CONSOLE_CLIENT_ID", "rally-\"<console>&"),
        ("CONSOLE_RESOURCE", "https://api.example.com"),
        ("CONSOLE_SCOPES", "openid  offline_access"),
        ("CONSOLE_CONNECT_ORIGINS", "https://tokens.example.com:443"),
    ])
    .await;
    let page = server.client("acme", Credential::None).get("/console").await;
    assert!(!page.body.contains("<console>"), "{}", page.body);
    let expected = "https://login.example.com/realms/crm";
    let settings = settings_of(&page);
    assert_eq!((&settings["issuer"], &settings["resource"]), (&json!(expected), &json!("https://api.example.com")));
    assert_eq!(settings["scopes"], json!(["openid", "offline_access"]));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("connect-src 'self' https://login.example.com https://tokens.example.com;"), "{policy}");
}

#[tokio::test]
async fn settings_of_the_console_that_cannot_work_stop_the_start() {
    let home = Home::new("console-settings");
    for (settings, named) in [
        (&[("CONSOLE_CLIENT_ID", "rally-console")][..], "JWT_ISSUER must be set where CONSOLE_CLIENT_ID is"),
        (&[("CONSOLE_CLIENT_ID", "rally console")], "CONSOLE_CLIENT_ID must be visible ASCII characters"),
        (&[("CONSOLE_SCOPES", "profile email")], "CONSOLE_SCOPES must contain openid"),
        (&[("CONSOLE_CONNECT_ORIGINS", "https://*.example.com")], "CONSOLE_CONNECT_ORIGINS must be web origins"),
    ] {
        let text = home.fail(&["config", "check"], settings).await;
        assert!(text.contains(named), "{settings:?}: {text}");
    }
}
