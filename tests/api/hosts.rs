//! The tenant of a request: by `Host`, `:authority`, and `X-Forwarded-Host` of a trusted gateway.
//!
//! Requests carry a token of acme's admin: the response is 200 if the tenant is acme, and 403 `wrong_tenant`
//! if it is another one.

use chrono::Utc;
use http_body_util::Empty;
use rally_api_keys::{domain::Slug, store::TenantAdmin};
use reqwest::Method;
use serde_json::json;

use crate::{
    client::{Client, Credential, PATH, Reply, send},
    harness::TestServer,
    http2,
};

const GATEWAY: &str = "gateway.internal";
const TRUSTED: &str = "10.0.0.0/8,127.0.0.0/8";
const UNTRUSTED: &str = "10.0.0.0/8";

async fn start(trusted_proxies: &str) -> TestServer {
    TestServer::with(&[("BASE_DOMAIN", "rallycrm.io"), ("TRUSTED_PROXIES", trusted_proxies)]).await
}

fn authorization(server: &TestServer, slug: &str) -> String {
    let request = server.admin(slug).request(Method::GET, PATH).build().unwrap();
    request.headers()["authorization"].to_str().unwrap().to_owned()
}

/// Lists the keys as acme's admin, with exactly these header lines.
async fn list_target(server: &TestServer, target: &str, headers: &[&str]) -> Reply {
    let authorization = authorization(server, "acme");
    let headers = headers.iter().map(|header| format!("{header}\r\n")).collect::<Vec<_>>().concat();
    let request =
        format!("GET {target} HTTP/1.1\r\n{headers}Authorization: {authorization}\r\nConnection: close\r\n\r\n");
    Reply::from_raw(&server.raw(request).await)
}

async fn list(server: &TestServer, headers: &[&str]) -> Reply {
    list_target(server, PATH, headers).await
}

/// Lists the keys over HTTP/2 without TLS. The authority of `uri` becomes `:authority`.
async fn list_http2(server: &TestServer, uri: &str, host: Option<&str>) -> Reply {
    let mut request = hyper::Request::get(uri).header("authorization", authorization(server, "acme"));
    if let Some(host) = host {
        request = request.header("host", host);
    }
    http2::send(server.address, request.body(Empty::new()).unwrap()).await
}

#[tokio::test]
async fn a_host_in_any_case_with_port_or_trailing_dot_selects_the_tenant() {
    let server = start(UNTRUSTED).await;
    for host in [
        "acme.rallycrm.io",
        "ACME.RallyCRM.IO",
        "acme.rallycrm.io:8080",
        "acme.rallycrm.io:",
        "acme.rallycrm.io.",
        "acme.rallycrm.io.:8443",
    ] {
        let reply = list(&server, &[&format!("Host: {host}")]).await;
        assert_eq!(reply.status, 200, "{host:?}: {reply:?}");
    }
    list(&server, &["Host: globex.rallycrm.io"]).await.refused(403, "wrong_tenant");
}

#[tokio::test]
async fn the_base_domain_is_normalized_and_defaults_to_localhost() {
    let server = TestServer::with(&[("BASE_DOMAIN", "RallyCRM.io.")]).await;
    list(&server, &["Host: acme.rallycrm.io"]).await.expect(200);
    let server = TestServer::start().await;
    list(&server, &["Host: acme.localhost:8080"]).await.expect(200);
    list(&server, &["Host: acme.rallycrm.io"]).await.refused(404, "tenant_not_found");
}

#[tokio::test]
async fn suspended_tenants_and_malformed_hosts_get_the_same_response_as_an_unknown_tenant() {
    let server = start(UNTRUSTED).await;
    let mut operator = TenantAdmin::connect(&server.database.url().await).await.unwrap();
    let suspended = Slug::parse("suspended").unwrap();
    operator.create_tenant(&suspended, "Suspended", Utc::now()).await.unwrap().unwrap();
    assert!(operator.set_suspended(&suspended, Some(Utc::now())).await.unwrap());

    let unknown = list(&server, &["Host: nobody.rallycrm.io"]).await;
    unknown.refused(404, "tenant_not_found");
    for host in [
        "suspended.rallycrm.io",
        "rallycrm.io",
        ".rallycrm.io",
        "",
        ".",
        "a.acme.rallycrm.io",
        "acme.eu.rallycrm.io",
        "acmerallycrm.io",
        "acme.rallycrm.io..",
        "acme.rallycrm.io.evil.example",
        "acme.localhost",
        "127.0.0.1:8080",
        "[::1]",
        "[::1]:8080",
        "-acme.rallycrm.io",
        "ac_me.rallycrm.io",
        "acme.rallycrm.io:80:80",
        "acme@rallycrm.io",
    ] {
        let reply = list(&server, &[&format!("Host: {host}")]).await;
        // The response contains the port.
        let port = [":8080", ":80"].into_iter().find(|port| host.ends_with(port)).unwrap_or_default();
        let unknown = list(&server, &[&format!("Host: nobody.rallycrm.io{port}")]).await;
        assert_eq!(reply.apart_from_request_id(), unknown.apart_from_request_id(), "{host:?}");
    }
    // A suspended tenant gives that response with any credential and without one.
    for credential in [Credential::None, Credential::ApiKey("rk_live_0".into()), Credential::Bearer("x".into())] {
        let reply = server.client("acme", credential).on("suspended.rallycrm.io").get(PATH).await;
        assert_eq!(reply.apart_from_request_id(), unknown.apart_from_request_id());
    }
}

/// RFC 9112, 3.2: an HTTP/1.1 request needs a Host header.
#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    let server = start(UNTRUSTED).await;
    list(&server, &[]).await.refused(400, "missing_host");
}

#[tokio::test]
async fn two_hosts_are_refused_even_if_they_are_equal() {
    let server = start(TRUSTED).await;
    for second in ["acme.rallycrm.io", "ACME.rallycrm.io:80", "globex.rallycrm.io", "nobody.example", ""] {
        let hosts = ["Host: acme.rallycrm.io".to_owned(), format!("Host: {second}")];
        list(&server, &[&hosts[0], &hosts[1]]).await.refused(400, "ambiguous_tenant");
        list(&server, &[&hosts[1], &hosts[0]]).await.refused(400, "ambiguous_tenant");
    }
}

/// RFC 9112, 3.2.2
#[tokio::test]
async fn an_absolute_target_that_differs_from_the_host_is_refused() {
    let server = start(UNTRUSTED).await;
    let target = format!("http://acme.rallycrm.io{PATH}");
    for host in ["acme.rallycrm.io", "ACME.rallycrm.io", "acme.rallycrm.io.:80"] {
        list_target(&server, &target, &[&format!("Host: {host}")]).await.expect(200);
    }
    for host in ["globex.rallycrm.io", "nobody.rallycrm.io", "rallycrm.io", "127.0.0.1", ""] {
        let reply = list_target(&server, &target, &[&format!("Host: {host}")]).await;
        reply.refused(400, "ambiguous_tenant");
    }
    let target = format!("http://nobody.rallycrm.io{PATH}");
    list_target(&server, &target, &["Host: acme.rallycrm.io"]).await.refused(400, "ambiguous_tenant");
    list_target(&server, &target, &["Host: nobody.rallycrm.io"]).await.refused(404, "tenant_not_found");
    let with_a_user = format!("http://globex@acme.rallycrm.io{PATH}");
    list_target(&server, &with_a_user, &["Host: acme.rallycrm.io"]).await.refused(400, "ambiguous_tenant");
}

/// RFC 9112, section 3.2. A proxy in front of the service may take another one of the hosts.
#[tokio::test]
async fn every_path_refuses_a_missing_or_second_host() {
    let server = TestServer::start().await;
    let send = async |target: &str, head: &str| {
        Reply::from_raw(&server.raw(format!("GET {target} {head}Connection: close\r\n\r\n")).await)
    };
    for path in
        ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/start.js", "/console", "/nowhere", PATH]
    {
        let absolute = format!("http://acme.localhost{path}");
        send(path, "HTTP/1.1\r\n").await.refused(400, "missing_host");
        send(&absolute, "HTTP/1.1\r\n").await.refused(400, "missing_host");
        for second in ["acme.localhost", "globex.localhost", ""] {
            let hosts = format!("Host: acme.localhost\r\nHost: {second}\r\n");
            for version in ["HTTP/1.1", "HTTP/1.0"] {
                send(path, &format!("{version}\r\n{hosts}")).await.refused(400, "ambiguous_tenant");
            }
        }
        send(&absolute, "HTTP/1.1\r\nHost: globex.localhost\r\n").await.refused(400, "ambiguous_tenant");
        for invalid in ["a b", "acme.localhost, globex.localhost", "acme localhost:80", "<acme>"] {
            let status = send(path, &format!("HTTP/1.1\r\nHost: {invalid}\r\n")).await.status;
            assert_eq!(status, 400, "{path}: {invalid}");
        }
        let expected = send(path, "HTTP/1.1\r\nHost: acme.localhost\r\n").await;
        assert_ne!(expected.status, 400, "{path}: {expected:?}");
        assert_eq!(send(&absolute, "HTTP/1.1\r\nHost: acme.localhost\r\n").await.status, expected.status, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(send(path, "HTTP/1.0\r\n").await.status, 200, "{path}: HTTP/1.0 has no Host");
    }
}

#[tokio::test]
async fn the_authority_of_an_http2_request_selects_the_tenant() {
    let server = start(UNTRUSTED).await;
    let at = |authority: &str| format!("http://{authority}{PATH}");
    list_http2(&server, &at("acme.rallycrm.io"), None).await.expect(200);
    list_http2(&server, &at("ACME.rallycrm.io:8080"), None).await.expect(200);
    list_http2(&server, &at("acme.rallycrm.io"), Some("acme.rallycrm.io")).await.expect(200);
    list_http2(&server, &at("globex.rallycrm.io"), None).await.refused(403, "wrong_tenant");
    list_http2(&server, &at("rallycrm.io"), None).await.refused(404, "tenant_not_found");
    let differing = list_http2(&server, &at("acme.rallycrm.io"), Some("globex.rallycrm.io")).await;
    differing.refused(400, "ambiguous_tenant");
}

#[tokio::test]
async fn a_forwarded_host_from_an_untrusted_peer_is_ignored() {
    let server = start(UNTRUSTED).await;
    let none = list(&server, &[&format!("Host: {GATEWAY}")]).await;
    for forwarded in [
        vec!["X-Forwarded-Host: globex.rallycrm.io"],
        vec!["X-Forwarded-Host: acme.rallycrm.io, globex.rallycrm.io"],
        vec!["X-Forwarded-Host: acme.rallycrm.io", "X-Forwarded-Host: globex.rallycrm.io"],
        vec!["X-Forwarded-Host: acme.rallycrm.io"],
    ] {
        let beside = |host| [vec![host], forwarded.clone()].concat();
        list(&server, &beside("Host: acme.rallycrm.io")).await.expect(200);
        let reply = list(&server, &beside("Host: gateway.internal")).await;
        reply.refused(404, "tenant_not_found");
        assert_eq!(reply.apart_from_request_id(), none.apart_from_request_id(), "{forwarded:?}");
    }
}

#[tokio::test]
async fn a_forwarded_host_from_a_trusted_gateway_selects_the_tenant() {
    let server = start(TRUSTED).await;
    for host in ["gateway.internal", "rallycrm.io", "127.0.0.1:8080", "[::1]:8080", ""] {
        let host = format!("Host: {host}");
        for forwarded in ["acme.rallycrm.io", "ACME.RallyCRM.io", "acme.rallycrm.io:443", "acme.rallycrm.io."] {
            list(&server, &[&host, &format!("X-Forwarded-Host: {forwarded}")]).await.expect(200);
        }
        let globex = list(&server, &[&host, "X-Forwarded-Host: globex.rallycrm.io"]).await;
        globex.refused(403, "wrong_tenant");
        for forwarded in ["nobody.rallycrm.io", "rallycrm.io", "gateway.internal", "acme.localhost", ""] {
            let reply = list(&server, &[&host, &format!("X-Forwarded-Host: {forwarded}")]).await;
            reply.refused(404, "tenant_not_found");
        }
    }
}

#[tokio::test]
async fn a_forwarded_host_of_another_tenant_than_the_host_is_refused() {
    let server = start(TRUSTED).await;
    for forwarded in ["acme.rallycrm.io", "ACME.rallycrm.io", "acme.rallycrm.io:443", "acme.rallycrm.io."] {
        list(&server, &["Host: acme.rallycrm.io", &format!("X-Forwarded-Host: {forwarded}")]).await.expect(200);
    }
    for forwarded in ["globex.rallycrm.io", "nobody.rallycrm.io", "rallycrm.io", "evil.example"] {
        let reply = list(&server, &["Host: acme.rallycrm.io", &format!("X-Forwarded-Host: {forwarded}")]).await;
        reply.refused(400, "ambiguous_tenant");
    }
}

#[tokio::test]
async fn two_different_forwarded_hosts_are_refused() {
    let server = start(TRUSTED).await;
    for host in ["Host: acme.rallycrm.io", "Host: gateway.internal"] {
        for second in ["globex.rallycrm.io", "gateway.internal", "nobody.rallycrm.io"] {
            let reply = list(&server, &[host, &format!("X-Forwarded-Host: acme.rallycrm.io, {second}")]).await;
            reply.refused(400, "ambiguous_tenant");
            let reply = list(&server, &[host, &format!("X-Forwarded-Host: {second},acme.rallycrm.io")]).await;
            reply.refused(400, "ambiguous_tenant");
            let second = format!("X-Forwarded-Host: {second}");
            let reply = list(&server, &[host, "X-Forwarded-Host: acme.rallycrm.io", &second]).await;
            reply.refused(400, "ambiguous_tenant");
        }
        list(&server, &[host, "X-Forwarded-Host: acme.rallycrm.io, acme.rallycrm.io:443"]).await.expect(200);
        let twice = [host, "X-Forwarded-Host: acme.rallycrm.io", "X-Forwarded-Host: acme.rallycrm.io"];
        list(&server, &twice).await.expect(200);
    }
}

/// Creates a key with these `X-Forwarded-For` headers and returns the address in the audit trail.
async fn recorded_address(server: &TestServer, client: &Client, forwarded_for: &[&str]) -> String {
    let mut request = client.request(Method::POST, PATH).json(&json!({"name": "A key"}));
    for value in forwarded_for {
        request = request.header("x-forwarded-for", *value);
    }
    let key = send(request).await.expect(201);
    let id = key["id"].as_str().unwrap();
    let sql = format!("SELECT host(address) FROM api_key_events WHERE key_id = '{id}'");
    server.database.texts(&sql).await.remove(0)
}

#[tokio::test]
async fn a_forwarded_address_is_recorded_only_from_a_trusted_peer() {
    let server = start(TRUSTED).await;
    let admin = server.admin("acme").on("acme.rallycrm.io");
    assert_eq!(recorded_address(&server, &admin, &[]).await, "127.0.0.1");
    assert_eq!(recorded_address(&server, &admin, &["203.0.113.7"]).await, "203.0.113.7");
    assert_eq!(recorded_address(&server, &admin, &["2001:db8::7"]).await, "2001:db8::7");
    // The addresses on the left are the client's own claim. Trusted proxies append on the right.
    assert_eq!(recorded_address(&server, &admin, &["198.51.100.1, 203.0.113.7, 10.1.2.3"]).await, "203.0.113.7");
    assert_eq!(recorded_address(&server, &admin, &["198.51.100.1", "203.0.113.7"]).await, "203.0.113.7");
    assert_eq!(recorded_address(&server, &admin, &["not an address"]).await, "127.0.0.1");

    let server = start(UNTRUSTED).await;
    let admin = server.admin("acme").on("acme.rallycrm.io");
    assert_eq!(recorded_address(&server, &admin, &["203.0.113.7"]).await, "127.0.0.1");
}

#[tokio::test]
async fn a_forwarded_address_is_recorded_in_every_form_that_proxies_write() {
    let server = start("::ffff:127.0.0.0/104,10.0.0.0/8").await;
    let admin = server.admin("acme").on("acme.rallycrm.io");
    for (forwarded_for, address) in [
        ("203.0.113.7:4711", "203.0.113.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("fe80::7%eth0", "fe80::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.7,", "203.0.113.7"),
        ("198.51.100.1,, 203.0.113.7:80, ,[::ffff:10.1.2.3]:80,", "203.0.113.7"),
        ("\u{e9}, 203.0.113.7", "203.0.113.7"),
    ] {
        assert_eq!(recorded_address(&server, &admin, &[forwarded_for]).await, address, "{forwarded_for}");
    }
    assert_eq!(recorded_address(&server, &admin, &["203.0.113.7", ""]).await, "203.0.113.7");
}

#[tokio::test]
async fn location_and_link_are_absolute_on_the_host_that_the_client_named() {
    let trusting = start(TRUSTED).await;
    let own_scheme = [("BASE_DOMAIN", "rallycrm.io"), ("TRUSTED_PROXIES", UNTRUSTED), ("PUBLIC_SCHEME", "http")];
    let own_scheme = trusting.sibling(&own_scheme).await;
    let untrusting = trusting.sibling(&[("BASE_DOMAIN", "rallycrm.io"), ("TRUSTED_PROXIES", UNTRUSTED)]).await;
    let plain = [("BASE_DOMAIN", "rallycrm.io"), ("TRUSTED_PROXIES", TRUSTED), ("PLAIN_HTTP", "allow")];
    let plain = trusting.sibling(&plain).await;
    let [acme, with_port] = ["acme.rallycrm.io", "Acme.RallyCRM.io:8443"];
    let forwarded = [("x-forwarded-host", with_port), ("x-forwarded-proto", "http")];
    for (server, host, headers, base) in [
        (&trusting, acme, &[][..], "https://acme.rallycrm.io"),
        (&trusting, with_port, &[], "https://acme.rallycrm.io:8443"),
        (&plain, acme, &[("x-forwarded-proto", "http")], "http://acme.rallycrm.io"),
        (&trusting, acme, &[("x-forwarded-proto", "ftp")], "https://acme.rallycrm.io"),
        (&plain, GATEWAY, &forwarded, "http://acme.rallycrm.io:8443"),
        (&untrusting, acme, &forwarded, "https://acme.rallycrm.io"),
        (&own_scheme, acme, &[], "http://acme.rallycrm.io"),
    ] {
        let admin = server.admin("acme").on(host);
        let call = async |method, path: &str| {
            let request = admin.request(method, path).json(&json!({"name": "A key"}));
            send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
        };
        let reply = call(Method::POST, PATH).await;
        let id = reply.expect(201)["id"].as_str().unwrap().to_owned();
        assert_eq!(reply.header("location"), format!("{base}{PATH}/{id}"));
        call(Method::POST, PATH).await.expect(201);
        for list in [PATH, &format!("{PATH}/events")] {
            let reply = call(Method::GET, &format!("{list}?limit=1")).await;
            reply.expect(200);
            let link = reply.header("link");
            assert!(link.starts_with(&format!("<{base}{list}?limit=1&cursor=")), "{link}");
        }
    }
}
