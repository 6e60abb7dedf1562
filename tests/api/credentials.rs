//! Credentials of a request: none, one or several, and keys that are not valid.

use chrono::{SecondsFormat, TimeDelta};
use reqwest::{Method, header::HeaderValue};
use serde_json::json;

use crate::{
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::TestServer,
};

const UNKNOWN: &str = "rk_live_00000000000000000000000000000000";

/// Lists the keys of acme with these headers alone.
async fn list_with_headers(server: &TestServer, headers: &[(&str, &str)]) -> Reply {
    let client = server.client("acme", Credential::None);
    send(headers.iter().fold(client.request(Method::GET, PATH), |request, (name, value)| request.header(*name, *value)))
        .await
}

async fn list_with_header_bytes(server: &TestServer, name: &str, value: &[u8]) -> Reply {
    let value = HeaderValue::from_bytes(value).unwrap();
    send(server.client("acme", Credential::None).request(Method::GET, PATH).header(name, value)).await
}

fn token(server: &TestServer) -> String {
    let request = server.admin("acme").request(Method::GET, PATH).build().unwrap();
    request.headers()["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned()
}

/// The secret with its last digit changed.
fn with_last_digit_changed(secret: &str) -> String {
    let (rest, last) = secret.split_at(secret.len() - 1);
    format!("{rest}{}", if last == "0" { "1" } else { "0" })
}

/// Creates a key that expires in an hour.
async fn create_expiring(server: &TestServer, admin: &Client) -> CreatedKey {
    let end = (server.clock.now() + TimeDelta::hours(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    admin.create_with(&json!({"name": "Expiring", "expiresAt": end})).await
}

#[tokio::test]
async fn a_request_without_credentials_is_refused() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("Zapier", "admin").await;
    let reply = list_with_headers(&server, &[]).await;
    reply.refused(401, "missing_credentials");
    assert!(!reply.header("www-authenticate").contains("error="), "RFC 6750, 3.1: no error without a credential");
    // A secret in a cookie or in the query is ignored.
    list_with_headers(&server, &[("cookie", &format!("api_key={}; X-Api-Key={}", key.secret, key.secret))])
        .await
        .refused(401, "missing_credentials");
    for query in ["api_key", "access_token", "key", "X-Api-Key"] {
        let path = format!("{PATH}?{query}={}", key.secret);
        server.client("acme", Credential::None).get(&path).await.refused(401, "missing_credentials");
    }
    for (method, path) in [(Method::POST, PATH.to_owned()), (Method::PATCH, key.path()), (Method::DELETE, key.path())] {
        let request = server.client("acme", Credential::None).request(method, &path).json(&json!({"name": "x"}));
        send(request).await.refused(401, "missing_credentials");
    }
}

#[tokio::test]
async fn a_key_is_accepted_in_either_header() {
    let server = TestServer::start().await;
    let secret = server.admin("acme").create("Zapier", "read").await.secret;
    for (name, value) in [
        ("x-api-key", secret.clone()),
        ("authorization", format!("Bearer {secret}")),
        ("authorization", format!("bearer {secret}")),
        ("authorization", format!("BEARER {secret}")),
        ("authorization", format!("Bearer   {secret}")), // RFC 9110, 11.4: 1*SP
        ("authorization", format!("bearer {}", token(&server))),
    ] {
        let reply = list_with_headers(&server, &[(name, &value)]).await;
        assert_eq!(reply.status, 200, "{name}: {value}: {reply:?}");
    }
}

#[tokio::test]
async fn two_credentials_are_refused() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let secret = admin.create("One", "read").await.secret;
    let other = admin.create("Another", "read").await.secret;
    let (bearer, bearer_secret) = (format!("Bearer {}", token(&server)), format!("Bearer {secret}"));
    let (key, authorization) = ("x-api-key", "authorization");
    for pair in [
        [(key, &*secret), (authorization, &*bearer)],
        [(key, &other), (authorization, &bearer_secret)],
        [(key, &secret), (authorization, "Basic dXNlcjpwYXNz")],
        [(key, &secret), (authorization, &secret)],
        [(key, "garbage"), (authorization, "garbage")],
        // One header twice, equal or not: a proxy that reads the first and we would not agree on which counts.
        [(key, &secret), (key, &secret)],
        [(key, &secret), (key, &other)],
        [(key, &secret), (key, "")],
        [(authorization, &bearer), (authorization, &bearer)],
        [(authorization, &bearer), (authorization, &bearer_secret)],
        [(authorization, &bearer_secret), (authorization, &bearer_secret)],
        [(authorization, &bearer), (authorization, "")],
    ] {
        let reply = list_with_headers(&server, &pair).await;
        assert_eq!(reply.json()["code"], "ambiguous_credentials", "{pair:?}");
        reply.refused(400, "ambiguous_credentials");
    }
    let three = [(key, &*secret), (key, &*secret), (authorization, &*bearer)];
    list_with_headers(&server, &three).await.refused(400, "ambiguous_credentials");
    // One header twice, which a proxy has joined.
    for (name, value) in [
        (key, format!("{secret}, {other}")),
        (key, format!("{secret},{secret}")),
        (key, format!("{secret},")),
        (authorization, format!("{bearer}, {bearer}")),
        (authorization, format!("{bearer_secret},{bearer_secret}")),
    ] {
        list_with_headers(&server, &[(name, &value)]).await.refused(400, "ambiguous_credentials");
    }
    // A value that is not ASCII is not an empty one.
    let bytes = HeaderValue::from_bytes(b"\xff").unwrap();
    let request = server.client("acme", Credential::Bearer(secret)).request(Method::GET, PATH).header(key, bytes);
    send(request).await.refused(400, "ambiguous_credentials");
}

#[tokio::test]
async fn one_value_in_both_headers_or_beside_an_empty_one_is_one_credential() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("One", "read").await;
    let (secret, token) = (key.secret.as_str(), token(&server));
    let (bearer_secret, bearer_token) = (format!("Bearer {secret}"), format!("Bearer {token}"));
    let self_path = format!("{PATH}/self");
    let get = async |path: &str, api_key: &str, authorization: &str| {
        let request = server.client("acme", Credential::None).request(Method::GET, path);
        send(request.header("x-api-key", api_key).header("authorization", authorization)).await
    };
    for (api_key, authorization) in [
        (secret, &*bearer_secret),
        (secret, ""),
        (secret, "Bearer"),
        (secret, "bearer "),
        ("", &bearer_secret),
        (" ", &bearer_secret),
    ] {
        let reply = get(&self_path, api_key, authorization).await;
        assert_eq!(reply.expect(200)["id"], key.id, "{api_key:?}, {authorization:?}");
    }
    for api_key in [&*token, ""] {
        get(PATH, api_key, &bearer_token).await.expect(200);
        get(&self_path, api_key, &bearer_token).await.refused(403, "key_required");
    }
    for (api_key, authorization, code) in [
        (UNKNOWN, &*format!("Bearer {UNKNOWN}"), "invalid_key"),
        (UNKNOWN, "", "invalid_key"),
        ("", "Basic dXNlcjpwYXNz", "invalid_token"),
        ("", "", "invalid_token"),
    ] {
        get(PATH, api_key, authorization).await.refused(401, code);
    }
}

#[tokio::test]
async fn an_authorization_header_without_a_bearer_token_is_refused() {
    let server = TestServer::start().await;
    let secret = server.admin("acme").create("Zapier", "read").await.secret;
    let token = token(&server);
    for value in [
        "Basic dXNlcjpwYXNz".to_owned(),
        format!("Basic {secret}"),
        format!("Token {secret}"),
        format!("ApiKey {secret}"),
        format!("Digest {token}"),
        format!("Bearer:{token}"),
        format!("Bearer{token}"),
        format!("Bearer\t{token}"),
        secret.clone(),
        token.clone(),
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer .".to_owned(),
    ] {
        let reply = list_with_headers(&server, &[("authorization", &value)]).await;
        assert_eq!(reply.json()["code"], "invalid_token", "{value}");
        reply.refused(401, "invalid_token");
    }
    for bytes in [&b"\xff\xfe\x80"[..], b"Bearer \xff\xfe\x80", "Bearer ключ".as_bytes()] {
        list_with_header_bytes(&server, "authorization", bytes).await.refused(401, "invalid_token");
    }
}

#[tokio::test]
async fn all_invalid_keys_get_the_same_response_as_an_unknown_key() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let secret = admin.create("Zapier", "admin").await.secret;
    let elsewhere = server.admin("globex").create("Zapier", "admin").await.secret;
    let digits = &secret["rk_live_".len()..];
    let unknown = admin.with_key(UNKNOWN).get(PATH).await;
    unknown.refused(401, "invalid_key");
    for wrong in [
        elsewhere.clone(),
        with_last_digit_changed(&secret),
        secret[..39].to_owned(),
        format!("{secret}0"),
        format!("{secret}{secret}"),
        format!("rk_live_{}", "ABCDEF01".repeat(4)),
        format!("RK_LIVE_{digits}"),
        format!("rk_test_{digits}"),
        format!("sk_live_{digits}"),
        format!("rk_live_{}g", &digits[..31]),
        format!("\"{secret}\""),
        format!("Bearer {secret}"),
        digits.to_owned(),
        "rk_live_".to_owned(),
        String::new(),
        token(&server),
    ] {
        let reply = list_with_headers(&server, &[("x-api-key", &wrong)]).await;
        assert_eq!(reply.apart_from_request_id(), unknown.apart_from_request_id(), "{wrong:?}");
    }
    for wrong in [
        UNKNOWN.to_owned(),
        elsewhere,
        with_last_digit_changed(&secret),
        "rk_live_zzz".to_owned(),
        "rk_live_".to_owned(),
        format!("{secret}0"),
        secret[..39].to_owned(),
        format!("{secret}.x.y"),
    ] {
        let reply = list_with_headers(&server, &[("authorization", &format!("Bearer {wrong}"))]).await;
        assert_eq!(reply.apart_from_request_id(), unknown.apart_from_request_id(), "{wrong:?}");
    }
    for bytes in [&b"\xff\xfe\x80"[..], "rk_live_é".as_bytes(), b"rk_live_\t0"] {
        let reply = list_with_header_bytes(&server, "x-api-key", bytes).await;
        assert_eq!(reply.apart_from_request_id(), unknown.apart_from_request_id(), "{bytes:?}");
    }
    // The failed attempts have not locked the key.
    admin.with_key(&secret).get(PATH).await.expect(200);
}

#[tokio::test]
async fn a_key_is_reported_as_expired_or_revoked_only_for_its_complete_secret() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let expired = create_expiring(&server, &admin).await;
    let revoked = admin.create("Revoked", "read").await;
    let both = create_expiring(&server, &admin).await;
    let elsewhere = create_expiring(&server, &server.admin("globex")).await;
    admin.with_key(&expired.secret).get(PATH).await.expect(200);
    for key in [&revoked, &both] {
        admin.delete(&key.path()).await.expect(204);
    }
    admin.with_key(&both.secret).get(PATH).await.refused(401, "key_revoked");
    server.clock.turn(TimeDelta::hours(1));

    let assert_refused_with = async |secret: &str, code| {
        admin.with_key(secret).get(PATH).await.refused(401, code);
        admin.with(Credential::Bearer(secret.to_owned())).get(PATH).await.refused(401, code);
    };
    assert_refused_with(&expired.secret, "key_expired").await;
    assert_refused_with(&revoked.secret, "key_revoked").await;
    assert_refused_with(&both.secret, "key_revoked").await;
    let unknown = admin.with_key(UNKNOWN).get(PATH).await;
    for near in
        [with_last_digit_changed(&expired.secret), with_last_digit_changed(&revoked.secret), elsewhere.secret.clone()]
    {
        let reply = admin.with_key(&near).get(PATH).await;
        reply.refused(401, "invalid_key");
        assert_eq!(reply.apart_from_request_id(), unknown.apart_from_request_id());
    }
    // Other endpoints refuse these keys too, including those on the calling key itself.
    for key in [&expired, &revoked] {
        let client = admin.with_key(&key.secret);
        assert_eq!(client.get(&format!("{PATH}/self")).await.status, 401);
        assert_eq!(client.delete(&format!("{PATH}/self")).await.status, 401);
        assert_eq!(client.post(PATH, &json!({"name": "x"})).await.status, 401);
    }
}

/// RFC 6750, section 3.1, and RFC 9110, section 11.6.1.
#[tokio::test]
async fn a_refusal_that_another_credential_could_change_says_so_in_www_authenticate() {
    let server = TestServer::start().await;
    let admin = server.admin("acme");
    let reader = admin.with_key(&admin.create("Reader", "read").await.secret);
    let revoked = admin.create("Revoked", "read").await;
    admin.delete(&revoked.path()).await.expect(204);
    let anonymous = admin.with(Credential::None);
    let ambiguous = reader.request(Method::GET, PATH).header("authorization", "Bearer x.y.z");
    let create = reader.request(Method::POST, PATH).json(&json!({"name": "n"}));
    let get = |client: &Client, path: &str| client.request(Method::GET, path);
    for (status, request, error) in [
        (401, get(&anonymous, PATH), None),
        (401, get(&admin.with_key(UNKNOWN), PATH), Some("invalid_token")),
        (401, get(&admin.with(Credential::Bearer(UNKNOWN.to_owned())), PATH), Some("invalid_token")),
        (401, get(&admin.with_key(&revoked.secret), PATH), Some("invalid_token")),
        (401, get(&admin.with(Credential::Bearer("x.y.z".to_owned())), PATH), Some("invalid_token")),
        (400, ambiguous, Some("invalid_request")),
        (403, create, Some("insufficient_scope")),
        (403, get(&admin.on("globex.localhost"), PATH), None),
        (403, get(&admin, &format!("{PATH}/self")), None),
        (401, get(&reader.on("nobody.localhost"), "/forward-auth"), None),
        (403, get(&reader, "/forward-auth?scope=admin"), Some("insufficient_scope")),
    ] {
        let reply = send(request).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 1, "{reply:?}");
        let challenge = reply.header("www-authenticate");
        let detail = reply.json()["detail"].as_str().unwrap().replace('"', "'");
        let expected = error.map_or(String::new(), |error| {
            let scope = if error == "insufficient_scope" { ", scope=\"admin\"" } else { "" };
            format!(", error=\"{error}\", error_description=\"{detail}\"{scope}")
        });
        assert_eq!(challenge, format!("Bearer realm=\"rally-api-keys\"{expected}"));
    }
    for (status, path) in
        [(404, format!("{PATH}/00000000-0000-0000-0000-000000000000")), (400, format!("{PATH}?limit=0"))]
    {
        let reply = admin.get(&path).await;
        assert_eq!((reply.status.as_u16(), reply.headers.get("www-authenticate")), (status, None));
    }
}
