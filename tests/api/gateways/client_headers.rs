//! Headers by which a client tries to speak for the gateway.

use reqwest::Method;
use serde_json::json;

use super::{
    rally_headers,
    stand::{Program, Stand},
};
use crate::{
    client::{Credential, send},
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
