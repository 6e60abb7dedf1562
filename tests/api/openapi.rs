//! The OpenAPI document, and the docs page that renders it.

use std::{collections::BTreeSet, io::Read as _, path::Path, time::Duration};

use flate2::read::GzDecoder;
use reqwest::Method;
use serde_json::Value;
use tokio::process::Command;

use crate::{
    client::{Credential, send},
    harness::{TestServer, not_tested, npm_project},
};

/// The copy can be read without a running server, and is for tenants of rallycrm.io. UPDATE_OPENAPI=1 rewrites it.
#[tokio::test]
async fn the_committed_copy_equals_the_served_document() {
    let server = TestServer::with(&[("PUBLIC_SCHEME", "https")]).await;
    let served = server.client("nobody", Credential::None).get("/openapi.json").await;
    assert_eq!((served.status.as_u16(), served.header("content-type")), (200, "application/json"));
    let mut document = served.json();
    assert_eq!(document["servers"][0]["url"], "https://your-tenant.localhost");
    document["servers"][0]["url"] = "https://your-tenant.rallycrm.io".into();
    let pretty = serde_json::to_string_pretty(&document).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&path, &pretty).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == pretty,
        "docs/openapi.json is out of date. To update it: UPDATE_OPENAPI=1 cargo test --test api openapi"
    );
}

/// The document lists every path by construction: routes are made from their descriptions.
#[tokio::test]
async fn each_path_accepts_exactly_the_described_methods() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let document = admin.get("/openapi.json").await.json();
    let mut operations = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let target_path = path.replace("{id}", "a1b2c3d4-e5f6-7890-abcd-ef1234567890");
        let mut described: BTreeSet<String> =
            item.as_object().unwrap().keys().map(|name| name.to_uppercase()).collect();
        for operation in item.as_object().unwrap().values() {
            assert!(operations.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
            assert!(operation["summary"].is_string() || operation["description"].is_string(), "{operation}");
        }
        if path == "/forward-auth" {
            continue; // accepts any method
        }
        if described.contains("GET") {
            described.insert("HEAD".into());
        }
        let refused = send(admin.request(Method::from_bytes(b"PROPFIND").unwrap(), &target_path)).await;
        let allowed: BTreeSet<String> = refused.header("allow").split(',').map(|name| name.trim().to_owned()).collect();
        assert_eq!((refused.status.as_u16(), &allowed), (405, &described), "{path}");
    }
    assert!(operations.len() > 25, "{operations:?}");
}

#[tokio::test]
async fn every_reference_has_a_target() {
    fn check_references(value: &Value, document: &Value, found: &mut usize) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let target = document.pointer(reference.strip_prefix('#').unwrap());
                    assert!(target.is_some(), "{reference}");
                    *found += 1;
                }
                members.values().for_each(|member| check_references(member, document, found));
            }
            Value::Array(items) => items.iter().for_each(|item| check_references(item, document, found)),
            _ => {}
        }
    }
    let server = TestServer::start().await;
    let document = server.client("acme", Credential::None).get("/openapi.json").await.json();
    let mut found = 0;
    check_references(&document, &document, &mut found);
    assert!(found > 100, "{found}");
}

#[tokio::test]
async fn the_docs_page_loads_only_files_of_this_server() {
    let server = TestServer::start().await;
    let client = server.client("nobody", Credential::None);
    let page = client.get("/docs").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(!page.body.contains("http:") && !page.body.contains("https:") && !page.body.contains("<script>"));
    for (path, kind) in [
        ("/docs/start.js", "text/javascript; charset=utf-8"),
        ("/docs/swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
        ("/docs/swagger-ui.css", "text/css; charset=utf-8"),
        ("/docs/page.css", "text/css; charset=utf-8"),
    ] {
        assert!(page.body.contains(path), "{path}");
        let file = client.get(path).await;
        assert_eq!((file.status.as_u16(), file.header("content-type")), (200, kind), "{path}");
        assert_eq!(file.header("x-content-type-options"), "nosniff");
        assert!(!file.body.contains("sourceMappingURL"), "{path}");
        let again = send(client.request(Method::GET, path).header("if-none-match", file.header("etag"))).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
        for known in [format!("\"x\", W/{}", file.header("etag")), "*".into()] {
            let again = send(client.request(Method::GET, path).header("if-none-match", known)).await;
            assert_eq!(again.status.as_u16(), 304, "{path}");
        }
    }
    for unknown_path in ["/docs/index.html", "/docs/openapi.json", "/docs/..%2fstart.js", "/docs/start.js/x"] {
        client.get(unknown_path).await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn the_files_of_the_docs_page_are_compressed_for_who_accepts_gzip() {
    let server = TestServer::start().await;
    let client = server.client("acme", Credential::None);
    let get = async |path: &str, codings: &str, etag: &str| {
        let request =
            client.request(Method::GET, path).header("accept-encoding", codings).header("if-none-match", etag);
        request.send().await.unwrap()
    };
    for path in ["/docs", "/docs/swagger-ui-bundle.js", "/openapi.json"] {
        let plain = get(path, "identity", "").await;
        assert!(!plain.headers().contains_key("content-encoding"), "{path}");
        let (plain_tag, plain) = (plain.headers()["etag"].clone(), plain.bytes().await.unwrap());
        for codings in ["gzip", "br, GZIP;q=0.5", "gzip, deflate"] {
            let compressed = get(path, codings, "").await;
            assert_eq!(compressed.headers()["content-encoding"], "gzip", "{path}");
            assert_eq!(compressed.headers()["vary"], "accept-encoding", "{path}");
            let tag = compressed.headers()["etag"].clone();
            assert_ne!(tag, plain_tag);
            let bytes = compressed.bytes().await.unwrap();
            let mut text = Vec::new();
            GzDecoder::new(&*bytes).read_to_end(&mut text).unwrap();
            assert!(text == plain && (bytes.len() < plain.len() / 2 || plain.len() < 1500), "{path}");
            assert_eq!(get(path, codings, tag.to_str().unwrap()).await.status(), 304);
        }
        for codings in ["gzip;q=0", "gzip;q=0.000, *", "br", "", "gzip;q=x"] {
            assert!(!get(path, codings, "").await.headers().contains_key("content-encoding"), "{path} {codings}");
        }
    }
}

/// Also: calls work, and a revocation is asked for first. See the script.
#[tokio::test]
async fn the_docs_page_has_no_serious_finding_of_axe_in_chromium() {
    let Some(folder) = npm_project("docs-page", "playwright-core") else { return };
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .flat_map(|name| {
            std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(move |dir| dir.join(name)).collect::<Vec<_>>()
        })
        .find(|path| path.is_file());
    let Some(chromium) = found else { return not_tested("Chromium is not installed") };
    let server = TestServer::start().await;
    let mut script = Command::new("node");
    script
        .arg(folder.join("docs-page.mjs"))
        .env("SERVICE_PORT", server.address.port().to_string())
        .env("SERVICE_TOKEN", server.token("acme", "admin"))
        .env("CHROMIUM", chromium)
        .kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_mins(10), script.output()).await.expect("an end").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
