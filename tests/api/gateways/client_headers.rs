//! Headers by which a client tries to speak for the gateway.

use std::collections::BTreeSet;

use reqwest::{
    Method, RequestBuilder,
    header::{HeaderName, HeaderValue},
};
use serde_json::json;

use super::{
    headers, letters, rally_headers,
    stand::{Gateway, Program, Stand},
};
use crate::{
    client::{CreatedKey, Credential, send},
    harness::sign,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_have_the_checks_headers_removed() {
    for program in Program::all() {
        let stand = Stand::start(&program).await;
        headers_listed_in_connection_reach_the_crm(&stand).await;
        headers_listed_in_connection_reach_the_check(&stand).await;
        a_users_name_is_no_template(&stand).await;
        stand.stop().await;
    }
}

/// What HTTP allows in a header's name besides letters and digits.
const PUNCTUATION: &str = "!#$%&'*+-.^_`|~";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_rally_headers_do_not_reach_the_crm_in_any_spelling() {
    let marks = PUNCTUATION.chars().map(String::from).chain(["--".to_owned(), "-_".to_owned(), String::new()]);
    let spellings = marks.flat_map(|mark| {
        let names = ["scopes", "TENANT", "Key-Id", "Key-Expires", "principal", "Made-Up", "Error", "Required-Scope"];
        let respelt = names.map(|name| format!("X{mark}Rally{mark}{}", name.replace('-', &mark)));
        respelt.into_iter().chain([format!("x-rally{mark}scopes"), format!("X{mark}RALLY-Scopes")])
    });
    let spellings: BTreeSet<String> = spellings.collect();
    for program in Program::all() {
        let stand = Stand::start(&program).await;
        for name in &spellings {
            let user = stand.client("acme", Credential::Bearer(stand.server.token("acme", "write")));
            // The scope that the gateway requires is only ever raised.
            let forged = user.request(Method::GET, "/contacts").header(name, "admin");
            rally_headers_are_the_checks(&stand, forged, name).await;
        }
        stand.stop().await;
    }
}

async fn rally_headers_are_the_checks(stand: &Stand, forged: RequestBuilder, name: &str) {
    let reply = send(forged).await;
    let reached = stand.reached();
    let acme = stand.server.database.acme.to_string();
    let expected = headers(&[
        ("x-rally-tenant", "acme"),
        ("x-rally-tenant-id", &acme),
        ("x-rally-principal", "user:admin@acme.com"),
        ("x-rally-scopes", "write"),
    ]);
    match reply.status.as_u16() {
        200 => assert_eq!(rally_headers(&reached[0]), expected, "{:?}, {name}", stand.program),
        // nginx can remove headers by their exact names only, so the check refuses all others. Traefik removes them
        // after the check, which refuses them too.
        403 if matches!(stand.gateway, Gateway::Nginx | Gateway::Traefik) => {
            assert!(["invalid_request", "insufficient_scope"].contains(&reply.header("x-rally-error")), "{reply:?}");
            assert!(reached.is_empty(), "{:?}, {name} reached the CRM", stand.program);
        }
        _ => panic!("{:?}, {name}: {reply:?}", stand.program),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_cannot_name_another_method_host_or_path_to_the_crm() {
    let names = [
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Forwarded-Method",
        "X-Original-Method",
        "Forwarded",
        "X-Forwarded-Host",
        "X-Forwarded-Prefix",
        "X-Original-URL",
        "X-Rewrite-URL",
    ];
    for program in Program::all() {
        let stand = Stand::start(&program).await;
        let [reader, admin] = [stand.key("read").await, stand.key("admin").await];
        for name in names.into_iter().flat_map(|name| ["-", "_", "."].map(|mark| name.replace('-', mark))) {
            let request = |key: &CreatedKey, method| {
                stand.with_key(&key.secret).request(method, "/contacts").header(&name, "DELETE")
            };
            for forged in [request(&admin, Method::GET), request(&reader, Method::GET)] {
                let reply = send(forged).await;
                // The check may refuse what needs a write by the header.
                assert!(matches!(reply.status.as_u16(), 200 | 403), "{program:?}, {name}: {reply:?}");
                let is_forged = |(received, value): (&HeaderName, &HeaderValue)| {
                    letters(received.as_str()) == letters(&name) && value == "DELETE"
                };
                let reached = stand.reached();
                assert!(
                    !reached.iter().any(|seen| seen.headers.iter().any(is_forged)),
                    "{program:?}: {name} reached the CRM"
                );
            }
            // Nor does a header lower what the method needs.
            let lowering = stand.with_key(&reader.secret).request(Method::POST, "/contacts").header(&name, "GET");
            stand.refuses(lowering, 403, "insufficient_scope").await;
        }
        // The client's query does not either.
        let lowering = stand.with_key(&reader.secret).request(Method::POST, "/contacts?scope=read");
        stand.refuses(lowering, 403, "insufficient_scope").await;
        stand.stop().await;
    }
}

/// A proxy removes what `Connection` lists, as fields of that connection (RFC 9110, section 7.6.1).
async fn headers_listed_in_connection_reach_the_crm(stand: &Stand) {
    let key = json!({"name": "Gateway", "scopes": "read", "expiresAt": "2099-01-01T00:00:00Z"});
    let key = stand.server.admin("acme").create_with(&key).await;
    let request = || stand.with_key(&key.secret).request(Method::GET, "/contacts");
    let (seen, _) = stand.forwards(request()).await;
    let expected = rally_headers(&seen);
    assert_eq!(expected.len(), 6, "{:?}", stand.program);
    let names: Vec<&str> = expected.keys().map(String::as_str).collect();
    let each = names.iter().map(|name| (*name).to_owned());
    for listed in each.chain([names.join(", "), format!("close,{}", names.join(",")).to_uppercase()]) {
        let (seen, _) = stand.forwards(request().header("connection", &listed)).await;
        assert_eq!(rally_headers(&seen), expected, "{:?}, Connection: {listed}", stand.program);
    }
}

async fn headers_listed_in_connection_reach_the_check(stand: &Stand) {
    let key = stand.key("read").await;
    let listed =
        "x-forwarded-method, x-original-method, x-forwarded-host, x-forwarded-for, x-rally-required-scope, host";
    let request = stand.with_key(&key.secret).request(Method::DELETE, "/contacts").header("connection", listed);
    let reply = send(request).await;
    // Envoy refuses the request by itself.
    assert!(matches!(reply.status.as_u16(), 400 | 403), "{:?}: {reply:?}", stand.program);
    assert!(stand.reached().is_empty(), "{:?}: the request reached the CRM", stand.program);
}

/// Some gateways replace `{…}`, `$…` and `%…%` in values that they set.
async fn a_users_name_is_no_template(stand: &Stand) {
    let name = "{env.HOME}{http.request.host}${HOME}$host%REQ(:path)%[src]@acme.com";
    let claims = json!({"sub": "1", "email": name, "tenant": "acme", "scope": "read", "exp": 4_000_000_000_u64});
    let user = stand.client("acme", Credential::Bearer(sign(&claims)));
    let (seen, _) = stand.forwards(user.request(Method::GET, "/")).await;
    let expected = format!("user:{}", name.replace('%', "%25"));
    assert_eq!(rally_headers(&seen)["x-rally-principal"], [expected], "{:?}", stand.program);
}
