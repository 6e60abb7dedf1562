//! Users' tokens, verified with the keys of an issuer's JWKS or with a public key from a file.

use std::{
    io::{BufRead as _, BufReader, Lines, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Value, json};

use crate::{
    client::{Credential, PATH, Reply},
    harness::{JWT_SECRET, TestServer, npm_project, scratch_dir, wait_until},
    issuer::{Issuer, SigningKey},
};

const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// A server with this issuer only, configured by discovery.
async fn server_trusting(issuer: &Issuer) -> TestServer {
    TestServer::with(&[("JWT_SECRET", ""), ("JWT_ISSUER", &issuer.name())]).await
}

fn claims(server: &TestServer, issuer: &str) -> Value {
    json!({
        "iss": issuer, "sub": "42", "email": "admin@acme.com", "tenant": "acme", "scope": "openid admin",
        "exp": (server.clock.now() + TimeDelta::hours(1)).timestamp(),
    })
}

async fn list_with_token(server: &TestServer, token: String) -> Reply {
    server.client("acme", Credential::Bearer(token)).get(PATH).await
}

#[track_caller]
fn assert_invalid_token(reply: &Reply, why: &str) {
    reply.refused(401, "invalid_token");
    let detail = reply.json()["detail"].to_string();
    assert!(detail.contains(why), "expected {why} in {detail}");
}

/// Signs with HS256 and any secret. `jsonwebtoken` would refuse an empty one.
fn hs256(header: &Header, claims: &Value, secret: &[u8]) -> String {
    let base64 = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", base64(&serde_json::to_vec(header).unwrap()), base64(claims.to_string().as_bytes()));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", base64(signature.as_ref()))
}

#[tokio::test]
async fn tokens_from_a_discovered_issuer_are_accepted() {
    let keys: Vec<_> =
        ALGORITHMS.iter().map(|algorithm| SigningKey::generate(&format!("{algorithm:?}"), *algorithm)).collect();
    let issuer = Issuer::start(&keys.iter().collect::<Vec<_>>()).await;
    let server = server_trusting(&issuer).await;
    for key in &keys {
        let token = key.sign(&claims(&server, &issuer.name()));
        assert_eq!(list_with_token(&server, token.clone()).await.status, 200, "{:?}", key.algorithm);
        let created = server.client("acme", Credential::Bearer(token)).create("By a user", "read").await;
        assert!(created.secret.starts_with("rk_live_"));
    }
    assert_eq!(issuer.behaviour().key_requests, 1, "the keys are fetched once");
    // No `kid`: the only key for the algorithm is used.
    let nameless = keys[0].sign_as(&Header::new(Algorithm::RS256), &claims(&server, &issuer.name()));
    assert_eq!(list_with_token(&server, nameless).await.status, 200, "a key is for RS256");
    assert_eq!(issuer.behaviour().key_requests, 1);
    // A different key that uses a known key's `kid`.
    let forged = SigningKey::generate("ES256", Algorithm::ES256).sign(&claims(&server, &issuer.name()));
    assert_invalid_token(&list_with_token(&server, forged).await, "signature");
    // A key accepts only the algorithm that is published for it.
    let (rs256, ps256) = (&keys[0], &keys[3]);
    for (key, algorithm) in [(rs256, Algorithm::RS512), (rs256, Algorithm::PS256), (ps256, Algorithm::PS384)] {
        let header = Header { kid: Some(key.id.clone()), ..Header::new(algorithm) };
        let token = key.sign_as(&header, &claims(&server, &issuer.name()));
        assert_invalid_token(&list_with_token(&server, token).await, "algorithm");
    }
    assert_eq!(issuer.behaviour().key_requests, 2, "a failure causes a fetch, at most once in 30 s");
}

#[tokio::test]
async fn a_key_that_is_replaced_under_its_kid_is_accepted_at_once() {
    let (old, new) = (SigningKey::generate("sig", Algorithm::RS256), SigningKey::generate("sig", Algorithm::RS256));
    let issuer = Issuer::start(&[&old]).await;
    let server = server_trusting(&issuer).await;
    let (by_old, by_new) = (old.sign(&claims(&server, &issuer.name())), new.sign(&claims(&server, &issuer.name())));
    assert_eq!(list_with_token(&server, by_old.clone()).await.status, 200);
    issuer.publish(&[&new]);
    assert_eq!(list_with_token(&server, by_new).await.status, 200);
    assert_invalid_token(&list_with_token(&server, by_old).await, "signature");
    assert_eq!(issuer.behaviour().key_requests, 2);
}

/// As some issuers write them: no `kid`, and members that are null or empty.
#[tokio::test]
async fn keys_without_kid_and_with_empty_members_are_used() {
    let keys =
        [Algorithm::RS256, Algorithm::RS256, Algorithm::ES256].map(|algorithm| SigningKey::generate("", algorithm));
    let issuer = Issuer::start(&[]).await;
    for key in &keys {
        let mut jwk = key.jwk();
        for (name, value) in
            [("kid", json!("")), ("key_ops", json!([])), ("x5c", json!([])), ("d", Value::Null), ("k", Value::Null)]
        {
            jwk[name] = value;
        }
        if let Some(modulus) = jwk["n"].as_str() {
            let bytes = [&[0][..], &BASE64_URL_SAFE_NO_PAD.decode(modulus).unwrap()].concat();
            jwk["n"] = json!(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        }
        issuer.behaviour().keys.push(jwk);
    }
    let server = server_trusting(&issuer).await;
    for key in &keys {
        for kid in [None, Some("unpublished".to_owned())] {
            let token = key.sign_as(&Header { kid, ..Header::new(key.algorithm) }, &claims(&server, &issuer.name()));
            assert_eq!(list_with_token(&server, token).await.status, 200, "{:?}", key.algorithm);
        }
    }
    assert_eq!(issuer.behaviour().key_requests, 1);
    let forged = SigningKey::generate("", Algorithm::RS256)
        .sign_as(&Header::new(Algorithm::RS256), &claims(&server, &issuer.name()));
    assert_invalid_token(&list_with_token(&server, forged).await, "signature");
}

/// RFC 9864, 2.2.
#[tokio::test]
async fn a_token_by_ed25519_under_its_own_name_is_accepted() {
    let key = SigningKey::generate("ed", Algorithm::EdDSA);
    let issuer = Issuer::start(&[]).await;
    let mut jwk = key.jwk();
    jwk["alg"] = json!("Ed25519");
    issuer.behaviour().keys.push(jwk);
    let server = server_trusting(&issuer).await;
    let claims = claims(&server, &issuer.name());
    for name in ["Ed25519", "EdDSA"] {
        let token = key.sign_under_name(name, &claims);
        assert_eq!(list_with_token(&server, token).await.status, 200, "{name}");
    }
    assert_invalid_token(
        &list_with_token(&server, key.sign_under_name("Ed448", &claims)).await,
        "algorithm \\\"Ed448\\\" is not supported",
    );
}

#[tokio::test]
async fn an_unsupported_algorithm_is_told_as_such_with_several_issuers() {
    let (one, other) = (SigningKey::generate("k", Algorithm::ES256), SigningKey::generate("k", Algorithm::RS256));
    let (a, b) = (Issuer::start(&[&one]).await, Issuer::start(&[&other]).await);
    let server = TestServer::with(&[("JWT_SECRET", ""), ("JWT_ISSUER", &format!("{},{}", a.name(), b.name()))]).await;
    let claims = claims(&server, &a.name());
    let header = Header { kid: Some("k".into()), ..Header::new(Algorithm::HS256) };
    assert_invalid_token(
        &list_with_token(&server, hs256(&header, &claims, b"secret")).await,
        "its algorithm HS256 is not",
    );
    assert_invalid_token(
        &list_with_token(&server, one.sign_under_name("ES512", &claims)).await,
        "algorithm \\\"ES512\\\" is not supported",
    );
    let by_the_others_algorithm = other.sign(&claims);
    assert_invalid_token(&list_with_token(&server, by_the_others_algorithm).await, "its algorithm RS256 is not");
}

#[tokio::test]
async fn the_service_is_degraded_while_an_issuer_publishes_no_usable_key() {
    let key = SigningKey::generate("key", Algorithm::ES256);
    let mut for_encryption = key.jwk();
    for_encryption["use"] = json!("enc");
    for keys in [vec![], vec![for_encryption]] {
        let issuer = Issuer::start(&[]).await;
        issuer.behaviour().keys = keys;
        let server = server_trusting(&issuer).await;
        let token = key.sign(&claims(&server, &issuer.name()));
        issuer.publish(&[]);
        assert_invalid_token(&list_with_token(&server, token).await, "publishes no usable key");
        let client = server.client("acme", Credential::None);
        wait_until(async || client.get("/readyz").await.json()["degraded"] == json!(["token_issuer"])).await;
    }
}

/// What is recorded tells users of different issuers apart, whatever their names.
#[tokio::test]
async fn users_of_two_issuers_with_one_email_are_told_apart_in_the_events() {
    let (one, other) = (SigningKey::generate("k", Algorithm::ES256), SigningKey::generate("k", Algorithm::ES256));
    let (a, b) = (Issuer::start(&[&one]).await, Issuer::start(&[&other]).await);
    let server = TestServer::with(&[("JWT_SECRET", ""), ("JWT_ISSUER", &format!("{},{}", a.name(), b.name()))]).await;
    for (key, issuer) in [(&one, &a), (&other, &b)] {
        let user = server.client("acme", Credential::Bearer(key.sign(&claims(&server, &issuer.name()))));
        let created = user.create("A key", "read").await;
        user.patch(&created.path(), &json!({"name": "Another name"})).await.expect(200);
        user.delete(&created.path()).await.expect(204);
        let events = user.get(&format!("{}/events", created.path())).await.expect(200);
        for event in events.as_array().unwrap() {
            assert_eq!(event["actor"], "admin@acme.com");
            let (issuer_of, subject) = (&event["details"]["actorIssuer"], &event["details"]["actorSubject"]);
            assert_eq!((issuer_of, subject), (&json!(issuer.name()), &json!("42")), "{event}");
        }
        assert_eq!(events.as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn an_issuer_that_nothing_checks_is_not_in_the_events() {
    let key = SigningKey::generate("k", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    for (checked, expected) in [(String::new(), json!(null)), (issuer.name(), json!(issuer.name()))] {
        let settings = [("JWT_SECRET", ""), ("JWT_JWKS_URL", &issuer.keys_url()), ("JWT_ISSUER", &checked)];
        let server = TestServer::with(&settings).await;
        let user = server.client("acme", Credential::Bearer(key.sign(&claims(&server, &issuer.name()))));
        let created = user.create("A key", "read").await;
        let events = user.get(&format!("{}/events", created.path())).await.expect(200);
        assert_eq!(events[0]["details"]["actorSubject"], "42", "{events}");
        assert_eq!(events[0]["details"]["actorIssuer"], expected, "{events}");
    }
}

#[tokio::test]
async fn an_issuer_speaks_only_for_its_tenants() {
    let (one, other) = (SigningKey::generate("k", Algorithm::ES256), SigningKey::generate("k", Algorithm::ES256));
    let (a, b) = (Issuer::start(&[&one]).await, Issuer::start(&[&other]).await);
    let (both, tenants) = (format!("{},{}", a.name(), b.name()), format!("{}=acme,{}=*", a.name(), b.name()));
    let settings = [("JWT_SECRET", ""), ("JWT_ISSUER", both.as_str()), ("JWT_ISSUER_TENANTS", tenants.as_str())];
    let server = TestServer::with(&settings).await;
    for (key, issuer, tenant, accepted) in [
        (&one, &a, "acme", true),
        (&one, &a, "globex", false),
        (&other, &b, "acme", true),
        (&other, &b, "globex", true),
    ] {
        let mut claims = claims(&server, &issuer.name());
        claims["tenant"] = json!([server.database.acme.to_string(), server.database.globex.to_string()]);
        let client = server.client(tenant, Credential::Bearer(key.sign(&claims)));
        // The second time, the token is cached where it was accepted.
        for reply in [client.get(PATH).await, client.get(PATH).await] {
            if accepted {
                reply.expect(200);
            } else {
                reply.refused(403, "wrong_tenant");
                assert!(reply.json()["detail"].to_string().contains("JWT_ISSUER_TENANTS"), "{reply:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_hs256_token_is_refused_when_an_issuer_is_configured() {
    let key = SigningKey::generate("rsa", Algorithm::RS256);
    let issuer = Issuer::start(&[&key]).await;
    let server = server_trusting(&issuer).await;
    for secret in [key.public_pem.as_bytes(), JWT_SECRET.as_bytes(), b""] {
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        let token = hs256(&header, &claims(&server, &issuer.name()), secret);
        assert_invalid_token(&list_with_token(&server, token).await, "algorithm");
    }
}

#[tokio::test]
async fn claims_are_validated_against_the_issuer_of_the_signing_key() {
    let (one, other) = (SigningKey::generate("k", Algorithm::ES256), SigningKey::generate("k", Algorithm::ES256));
    let (a, b) = (Issuer::start(&[&one]).await, Issuer::start(&[&other]).await);
    let both = format!("{},{}", a.name(), b.name());
    let server =
        TestServer::with(&[("JWT_SECRET", ""), ("JWT_ISSUER", &both), ("JWT_AUDIENCE", "rally-crm,rally-api")]).await;
    let with_audience = |issuer: &str, audience: Value| {
        let mut claims = claims(&server, issuer);
        claims["aud"] = audience;
        claims
    };
    let rally = json!("rally-api");
    // Both issuers publish the same `kid`: `iss` selects the key set.
    assert_eq!(list_with_token(&server, one.sign(&with_audience(&a.name(), rally.clone()))).await.status, 200);
    assert_eq!(
        list_with_token(&server, other.sign(&with_audience(&b.name(), json!(["x", "rally-crm"])))).await.status,
        200
    );
    // An issuer's key cannot sign for another issuer.
    assert_invalid_token(
        &list_with_token(&server, one.sign(&with_audience(&b.name(), rally.clone()))).await,
        "signature",
    );
    assert_invalid_token(
        &list_with_token(&server, one.sign(&with_audience("https://other.example", rally))).await,
        "`iss`",
    );
    assert_invalid_token(
        &list_with_token(&server, one.sign(&with_audience(&a.name(), json!("another")))).await,
        "`aud`",
    );
    assert_invalid_token(&list_with_token(&server, one.sign(&claims(&server, &a.name()))).await, "`aud`");
    let mut without_issuer = with_audience(&a.name(), json!("rally-crm"));
    without_issuer.as_object_mut().unwrap().remove("iss");
    assert_invalid_token(&list_with_token(&server, one.sign(&without_issuer)).await, "`iss`");
    let mut expired = with_audience(&a.name(), json!("rally-crm"));
    expired["exp"] = json!((server.clock.now() - TimeDelta::minutes(2)).timestamp());
    list_with_token(&server, one.sign(&expired)).await.refused(401, "token_expired");
    let mut globex = with_audience(&a.name(), json!("rally-crm"));
    globex["tenant"] = json!("globex");
    list_with_token(&server, one.sign(&globex)).await.refused(403, "wrong_tenant");
}

#[tokio::test]
async fn a_rotated_key_is_accepted_at_once_and_the_old_key_is_refused() {
    let (old, new) =
        (SigningKey::generate("2026-01", Algorithm::RS256), SigningKey::generate("2026-02", Algorithm::ES256));
    let issuer = Issuer::start(&[&old]).await;
    let server = server_trusting(&issuer).await;
    let (by_old, by_new) = (old.sign(&claims(&server, &issuer.name())), new.sign(&claims(&server, &issuer.name())));
    assert_eq!(list_with_token(&server, by_old.clone()).await.status, 200);
    assert_invalid_token(&list_with_token(&server, by_new.clone()).await, "no such key");
    assert_eq!(issuer.behaviour().key_requests, 2, "an unknown key id causes a refetch");
    issuer.publish(&[&new]);
    // A refetch happens at most once in 30 s.
    assert_invalid_token(&list_with_token(&server, by_new.clone()).await, "no such key");
    assert_eq!(issuer.behaviour().key_requests, 2);
    assert_eq!(list_with_token(&server, by_old.clone()).await.status, 200, "the cached keys have not been refetched");

    let sibling = server.sibling(&[("JWT_SECRET", ""), ("JWT_ISSUER", &issuer.name())]).await;
    issuer.publish(&[&old]);
    assert_eq!(list_with_token(&sibling, by_old.clone()).await.status, 200);
    issuer.publish(&[&new]);
    assert_eq!(list_with_token(&sibling, by_new).await.status, 200, "accepted without a restart or a delay");
    // Cached results for tokens signed with the old key are invalidated.
    assert_invalid_token(&list_with_token(&sibling, by_old).await, "no such key");
}

#[tokio::test]
async fn a_thousand_unknown_key_ids_cause_one_refetch() {
    let key = SigningKey::generate("known", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    let server = server_trusting(&issuer).await;
    assert_eq!(list_with_token(&server, key.sign(&claims(&server, &issuer.name()))).await.status, 200);
    let attempts = (0..1000).map(|n| {
        let header = Header { kid: Some(format!("unknown-{n}")), ..Header::new(Algorithm::ES256) };
        list_with_token(&server, key.sign_as(&header, &claims(&server, &issuer.name())))
    });
    for reply in join_all(attempts).await {
        assert_invalid_token(&reply, "no such key");
    }
    assert_eq!(issuer.behaviour().key_requests, 2);
}

#[tokio::test]
async fn the_service_starts_degraded_when_the_issuer_is_unavailable() {
    let key = SigningKey::generate("key", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    issuer.behaviour().down = true;
    let server = TestServer::with(&[("JWT_ISSUER", &issuer.name()), ("JWT_JWKS_URL", &issuer.keys_url())]).await;
    let mut ours = claims(&server, &issuer.name());
    let token = key.sign(&ours);
    let reply = list_with_token(&server, token.clone()).await;
    reply.refused(503, "issuer_unavailable");
    assert!(reply.headers.contains_key("retry-after"));
    let gateway = server.client("acme", Credential::Bearer(token.clone())).get("/forward-auth").await;
    assert_eq!(gateway.status, 503);
    let client = server.client("acme", Credential::None);
    wait_until(async || client.get("/readyz").await.json()["degraded"] == json!(["token_issuer"])).await;
    let ready = client.get("/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), &ready.json()["status"]),
        (200, &json!("degraded")),
        "API keys can still be verified"
    );
    // Tokens signed with JWT_SECRET do not depend on the issuer, but `iss` must still name it.
    ours["email"] = json!("somebody@acme.com");
    assert_eq!(list_with_token(&server, crate::harness::sign(&ours)).await.status, 200);
    let metrics = client.get("/metrics").await.body;
    let failed = format!("rally_jwks_fetches_total{{issuer=\"{}\",result=\"failed\"}}", issuer.name());
    assert!(metrics.contains(&failed) && !metrics.contains("rally_jwks_age_seconds{"), "{metrics}");
}

#[tokio::test]
async fn the_first_requests_wait_for_the_first_fetch_of_keys() {
    let key = SigningKey::generate("key", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    issuer.behaviour().delay = Duration::from_millis(300);
    let server = server_trusting(&issuer).await;
    let token = key.sign(&claims(&server, &issuer.name()));
    let replies = join_all((0..20).map(|_| list_with_token(&server, token.clone()))).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert_eq!(issuer.behaviour().key_requests, 1);
    let metrics = server.client("acme", Credential::None).get("/metrics").await.body;
    assert!(metrics.contains(&format!("rally_jwks_age_seconds{{issuer=\"{}\"}} ", issuer.name())), "{metrics}");
}

#[tokio::test]
async fn cached_keys_remain_valid_while_the_issuer_is_down() {
    let (key, new) = (SigningKey::generate("key", Algorithm::ES256), SigningKey::generate("new", Algorithm::ES256));
    let issuer = Issuer::start(&[&key]).await;
    let server = server_trusting(&issuer).await;
    let claims = claims(&server, &issuer.name());
    assert_eq!(list_with_token(&server, key.sign(&claims)).await.status, 200);
    issuer.behaviour().down = true;
    list_with_token(&server, new.sign(&claims)).await.refused(503, "issuer_unavailable");
    let mut others = claims.clone();
    others["sub"] = json!("another token of the known key");
    assert_eq!(list_with_token(&server, key.sign(&others)).await.status, 200);
}

#[tokio::test]
async fn invalid_or_slow_issuer_responses_cause_a_503() {
    let key = SigningKey::generate("key", Algorithm::ES256);
    let long = format!(r#"{{"keys": [], "padding": "{}"}}"#, "x".repeat(300 * 1024)).into_bytes();
    for (what, response) in
        [("a too long document", long), ("not JSON", b"<html>".to_vec()), ("not a JWKS", b"{}".to_vec())]
    {
        let issuer = Issuer::start(&[&key]).await;
        issuer.behaviour().response = Some(response);
        let server = server_trusting(&issuer).await;
        let reply = list_with_token(&server, key.sign(&claims(&server, &issuer.name()))).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (503, &json!("issuer_unavailable")), "{what}");
    }
    for configuration in [
        json!({"issuer": "https://another.example", "jwks_uri": "http://127.0.0.1:1/keys"}),
        json!({"issuer": "ITSELF", "jwks_uri": "http://10.0.0.1/keys"}),
        json!({"issuer": "ITSELF", "jwks_uri": "file:///etc/passwd"}),
        json!({"issuer": "ITSELF"}),
        json!([]),
    ] {
        let issuer = Issuer::start(&[&key]).await;
        let document = configuration.to_string().replace("ITSELF", &issuer.name());
        issuer.behaviour().configuration = Some(serde_json::from_str(&document).unwrap());
        let server = server_trusting(&issuer).await;
        let reply = list_with_token(&server, key.sign(&claims(&server, &issuer.name()))).await;
        assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (503, &json!("issuer_unavailable")), "{document}");
        assert_eq!(issuer.behaviour().key_requests, 0, "{document}");
    }
    let slow = Issuer::start(&[&key]).await;
    slow.behaviour().delay = Duration::from_mins(1);
    let server = server_trusting(&slow).await;
    let started = Instant::now();
    list_with_token(&server, key.sign(&claims(&server, &slow.name()))).await.refused(503, "issuer_unavailable");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_token_signed_with_the_configured_public_key_file_is_accepted() {
    let dir = scratch_dir("public-key");
    for algorithm in ALGORITHMS {
        let (key, other) = (SigningKey::generate("any", algorithm), SigningKey::generate("any", algorithm));
        let path = dir.join(format!("{algorithm:?}.pem"));
        std::fs::write(&path, &key.public_pem).unwrap();
        let server = TestServer::with(&[("JWT_SECRET", ""), ("JWT_PUBLIC_KEY_FILE", path.to_str().unwrap())]).await;
        let claims = claims(&server, "anybody");
        assert_eq!(list_with_token(&server, key.sign(&claims)).await.status, 200, "{algorithm:?}");
        assert_invalid_token(&list_with_token(&server, other.sign(&claims)).await, "signature");
        // RFC 8725, 2.1: the public key used as an HS256 secret.
        let confused = hs256(&Header::new(Algorithm::HS256), &claims, key.public_pem.as_bytes());
        assert_invalid_token(&list_with_token(&server, confused).await, "algorithm");
    }
}

/// Starts the issuer in the folder `tests/{package}`, which is called like its npm package. `None` if it is not installed.
fn start_node(package: &str) -> Option<Child> {
    let dir = npm_project(package, package)?;
    let mut command = Command::new("node");
    command.arg(dir.join("issuer.mjs")).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    Some(command.spawn().expect("node"))
}

/// npm's oidc-provider, certified by the OpenID Foundation, in a process of its own.
struct OidcProvider {
    issuer: String,
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
}

impl OidcProvider {
    /// `None` if it is not installed.
    fn start() -> Option<Self> {
        let mut process = start_node("oidc-provider")?;
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let issuer = output.next().expect("the issuer prints its address").unwrap();
        Some(Self { issuer, process, output })
    }

    /// Replaces all its keys.
    fn rotate(&mut self) {
        writeln!(self.process.stdin.as_mut().unwrap()).unwrap();
        assert_eq!(self.output.next().unwrap().unwrap(), "rotated");
    }

    /// An access token signed with this algorithm (RFC 6749, 4.4; RFC 8707; RFC 9068).
    async fn token(&self, algorithm: Algorithm) -> String {
        let response = reqwest::Client::new()
            .post(format!("{}/token", self.issuer))
            .basic_auth("crm", Some("a%20secret%20of%20the%20tests"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("grant_type=client_credentials&scope=admin&resource=urn:rally:{algorithm:?}"))
            .send()
            .await
            .unwrap();
        let response: Value = response.json().await.unwrap();
        response["access_token"].as_str().unwrap_or_else(|| panic!("{response}")).to_owned()
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_a_certified_issuer_follow_its_key_rotation() {
    let Some(mut provider) = OidcProvider::start() else { return };
    let settings = [("JWT_SECRET", ""), ("JWT_ISSUER", provider.issuer.as_str()), ("JWT_AUDIENCE", "rally-crm")];
    let server = TestServer::with(&settings).await;
    let algorithms = [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
    let mut old = Vec::new();
    for algorithm in algorithms {
        let token = provider.token(algorithm).await;
        let user = server.client("acme", Credential::Bearer(token.clone()));
        let key = user.create(&format!("By {algorithm:?}"), "read").await;
        assert_eq!(user.get(&key.path()).await.json()["createdBy"], "admin@acme.com");
        server.client("globex", Credential::Bearer(token.clone())).get(PATH).await.refused(403, "wrong_tenant");
        old.push(token);
    }
    provider.rotate();
    for algorithm in algorithms {
        assert_eq!(
            list_with_token(&server, provider.token(algorithm).await).await.status,
            200,
            "{algorithm:?} after the rotation"
        );
    }
    for token in old {
        assert_invalid_token(&list_with_token(&server, token).await, "no such key");
    }
}

/// npm's better-auth, whose jwt plugin is no OpenID Connect issuer by itself. The settings are those of docs/issuers.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_better_auth_is_accepted() {
    let Some(mut process) = start_node("better-auth") else { return };
    let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut line = || output.next().expect("better-auth prints its address and a token").unwrap();
    let (issuer, token) = (line(), line());
    let keys = format!("{issuer}/api/auth/jwks");
    let settings = [
        ("JWT_SECRET", ""),
        ("JWT_ISSUER", issuer.as_str()),
        ("JWT_JWKS_URL", keys.as_str()),
        ("JWT_AUDIENCE", "rally-crm"),
        ("JWT_SCOPE_CLAIM", "role"),
        ("JWT_SCOPE_MAP", "owner=admin,member=read"),
    ];
    let server = TestServer::with(&settings).await;
    let user = server.client("acme", Credential::Bearer(token.clone()));
    let key = user.create("A key", "read").await;
    let event = user.get(&format!("{}/events", key.path())).await.expect(200)[0].clone();
    // The address of a user who has only signed up is not verified.
    assert_eq!(event["actor"], event["details"]["actorSubject"]);
    assert_eq!(event["details"]["actorIssuer"], json!(issuer));
    server.client("globex", Credential::Bearer(token)).get(PATH).await.refused(403, "wrong_tenant");
    process.kill().unwrap();
    process.wait().unwrap();
}
