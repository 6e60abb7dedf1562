//! `POST /leaks/github`: GitHub's secret scanning partner program, with a key of the tests' own in GitHub's place.

use std::time::Instant;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rally_api_keys::domain::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::{TestServer, scratch_dir, wait_until},
    issuer::Issuer,
};

const FILE_URL: &str =
    "https://github.com/octocat/Hello-World/blob/12345600b9cbe38a219f39a9941c9319b600c002/foo/bar.txt";
const KIND: &str = "rally_crm_api_key";

struct GithubKey {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl GithubKey {
    fn generate(id: &'static str) -> Self {
        Self { id, pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap() }
    }

    fn published(&self) -> Value {
        let der: PublicKeyX509Der<'_> = self.pair.public_key().as_der().unwrap();
        let pem =
            format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(der.as_ref()));
        json!({"key_identifier": self.id, "key": pem, "is_current": true})
    }

    fn sign(&self, body: &str) -> String {
        BASE64_STANDARD.encode(self.pair.sign(&SystemRandom::new(), body.as_bytes()).unwrap())
    }
}

fn published(keys: &[&GithubKey]) -> String {
    json!({"public_keys": keys.iter().map(|key| key.published()).collect::<Vec<_>>()}).to_string()
}

/// A server that has the key from a file.
async fn start(name: &str, key: &GithubKey) -> TestServer {
    let file = scratch_dir(&format!("github-{name}")).join("keys.json");
    std::fs::write(&file, published(&[key])).unwrap();
    TestServer::with(&[("LEAKS_GITHUB_KEYS_FILE", file.to_str().unwrap())]).await
}

fn delivery(server: &TestServer, body: impl Into<reqwest::Body>) -> reqwest::RequestBuilder {
    let github = server.client("acme", Credential::None).on("keys.example");
    github.request(Method::POST, "/leaks/github").header("content-type", "application/json").body(body)
}

async fn deliver(server: &TestServer, key: &GithubKey, body: &str) -> Reply {
    let request = delivery(server, body.to_owned()).header("github-public-key-identifier", key.id);
    send(request.header("github-public-key-signature", key.sign(body))).await
}

fn found(token: &str, url: &str) -> Value {
    json!({"token": token, "type": KIND, "url": url, "source": "content"})
}

fn label(token: &str, label: &str) -> Value {
    let hash: String = Sha256::digest(token.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    json!({"token_hash": hash, "token_type": KIND, "label": label})
}

async fn leaks_of(admin: &Client, key: &CreatedKey) -> Vec<Value> {
    let events = admin.get(&format!("{PATH}/events?type=leaked&keyId={}", key.id)).await.expect(200);
    events.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_match_is_labelled_and_its_key_is_dealt_with_before_the_response() {
    let github = GithubKey::generate("one");
    let server = start("labels", &github).await;
    let (acme, globex) = (server.admin("acme"), server.admin("globex"));
    let (ours, theirs) = (acme.create("Ours", "read").await, globex.create("Theirs", "read").await);
    let unknown = Secret::generate().reveal().to_owned();
    let other = "https://github.com/octocat/Hello-World/issues/7";
    let body = json!([
        found(&ours.secret, FILE_URL),
        found(&unknown, FILE_URL),
        found(&theirs.secret, ""),
        found(&ours.secret, other),
        found(&ours.secret, other),
        found(&ours.secret, "javascript:alert(1)"),
        {"token": "AKIAIOSFODNN7EXAMPLE", "type": KIND, "is_new": {"property": 1}},
        {"token": ours.secret[1..], "type": KIND, "url": null},
    ])
    .to_string();
    let expected = json!([
        label(&ours.secret, "true_positive"),
        label(&unknown, "false_positive"),
        label(&theirs.secret, "true_positive"),
        label(&ours.secret, "true_positive"),
        label(&ours.secret, "true_positive"),
        label(&ours.secret, "true_positive"),
        label("AKIAIOSFODNN7EXAMPLE", "false_positive"),
        label(&ours.secret[1..], "false_positive"),
    ]);
    // Also when it is delivered again.
    for _ in 0..2 {
        let reply = deliver(&server, &github, &body).await;
        assert_eq!((reply.status.as_u16(), reply.json()), (200, expected.clone()));
        assert!(!reply.body.contains("rk_live_"), "{reply:?}");
        acme.with_key(&ours.secret).get("/forward-auth").await.refused(401, "key_revoked");
        globex.with_key(&theirs.secret).get("/forward-auth").await.refused(401, "key_revoked");
    }
    let leaks = leaks_of(&acme, &ours).await;
    let details = json!({
        "name": "Ours", "keyHint": ours.hint(), "secret": "current", "action": "revoked", "url": FILE_URL,
        "otherUrls": [other], "reportedBy": "github",
    });
    assert_eq!((leaks.len(), &leaks[0]["details"]), (1, &details), "{leaks:?}");
    assert_eq!(leaks_of(&globex, &theirs).await[0]["details"]["url"], Value::Null);
}

#[tokio::test]
async fn a_delivery_without_a_signature_of_github_is_refused_and_changes_nothing() {
    let github = GithubKey::generate("one");
    let server = start("signatures", &github).await;
    let admin = server.admin("acme");
    let key = admin.create("n", "read").await;
    let body = json!([found(&key.secret, FILE_URL)]).to_string();
    let signature = github.sign(&body);
    let der = BASE64_STANDARD.decode(&signature).unwrap();
    let forger = GithubKey::generate("one");
    let fixed = BASE64_STANDARD.encode([7; 64]);
    let longer = BASE64_STANDARD.encode([&der[..], &[0]].concat());
    let shorter = BASE64_STANDARD.encode(&der[..der.len() - 1]);
    for (identifier, signature) in [
        (Some("one"), None),
        (None, Some(&*signature)),
        (Some(""), Some(&*signature)),
        (Some("two"), Some(&*signature)),
        (Some("one"), Some("")),
        (Some("one"), Some("no base64!")),
        (Some("one"), Some(&*forger.sign(&body))),
        (Some("one"), Some(&*github.sign(&format!("{body}\n")))),
        (Some("one"), Some(&*fixed)),
        (Some("one"), Some(&*longer)),
        (Some("one"), Some(&*shorter)),
        (Some("one"), Some(&*"A".repeat(400))),
    ] {
        let mut request = delivery(&server, body.clone());
        for (name, value) in [("identifier", identifier), ("signature", signature)] {
            if let Some(value) = value {
                request = request.header(format!("github-public-key-{name}"), value);
            }
        }
        send(request).await.refused(403, "invalid_signature");
    }
    let twice = delivery(&server, body.clone()).header("github-public-key-identifier", "one");
    let twice =
        twice.header("github-public-key-signature", &signature).header("github-public-key-signature", &signature);
    send(twice).await.refused(403, "invalid_signature");
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 200);
    // The negative control.
    assert_eq!(deliver(&server, &github, &body).await.status, 200);
    assert_eq!(admin.with_key(&key.secret).get("/forward-auth").await.status, 401);
}

#[tokio::test]
async fn a_signed_delivery_that_is_malformed_is_refused_with_what_is_wrong() {
    let github = GithubKey::generate("one");
    let server = start("bodies", &github).await;
    for body in ["", "{}", "[", "[7]", r#"[{"token":7,"type":"x"}]"#, r#"[{"type":"x","url":""}]"#, "null"] {
        let problem = deliver(&server, &github, body).await.refused(400, "invalid_json");
        assert_eq!(problem["errors"][0]["field"], "body", "{body}");
    }
    let many = Value::from(vec![found("x", ""); 10_001]).to_string();
    assert_eq!(deliver(&server, &github, &many).await.bad_fields(), ["body"]);
    assert_eq!(deliver(&server, &github, "[]").await.json(), json!([]));
    let large = json!([found(&"x".repeat(4 * 1024 * 1024), "")]).to_string();
    deliver(&server, &github, &large).await.refused(413, "body_too_large");
    let request =
        delivery(&server, "[]").header("github-public-key-identifier", "one").header("content-encoding", "gzip");
    send(request.header("github-public-key-signature", github.sign("[]"))).await.refused(415, "unsupported_media_type");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_matches_are_dealt_with_in_one_delivery() {
    const KEYS: usize = 10_000;
    let github = GithubKey::generate("one");
    let server = start("many", &github).await;
    let other = server.sibling(&[]).await;
    for instance in [&server, &other] {
        instance.wait_for_feed().await;
    }
    // Some that work, and are cached on both instances; the others are copies of their rows.
    let admin = server.admin("acme");
    let mut working = Vec::new();
    for n in 0..20 {
        let client = if n % 2 == 0 { server.admin("acme") } else { server.admin("globex") };
        let key = client.create("n", "read").await;
        let slug = if n % 2 == 0 { "acme" } else { "globex" };
        for instance in [&server, &other] {
            assert_eq!(instance.admin(slug).with_key(&key.secret).get("/forward-auth").await.status, 200);
        }
        working.push((slug, key));
    }
    let secrets: Vec<_> = (working.len()..KEYS).map(|_| Secret::generate()).collect();
    let digests: String = secrets
        .iter()
        .map(|secret| secret.lookup_digest().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        .collect::<Vec<_>>()
        .join(",");
    server
        .database
        .execute(&format!(
            "WITH template AS (SELECT DISTINCT ON (tenant_id) * FROM api_keys ORDER BY tenant_id, id),
             digests AS (
                 SELECT decode(digest, 'hex') AS digest, gen_random_uuid() AS id, number
                 FROM unnest(string_to_array('{digests}', ',')) WITH ORDINALITY AS d (digest, number)
             ), keys AS (
                 INSERT INTO api_keys (tenant_id, id, name, folded_name, scopes, created_at, last4)
                 SELECT t.tenant_id, d.id, t.name, t.folded_name, t.scopes, t.created_at, '0000'
                 FROM digests d
                 JOIN (SELECT *, row_number() OVER (ORDER BY id) - 1 AS turn FROM template) t ON t.turn = d.number % 2
                 RETURNING tenant_id, id
             )
             INSERT INTO api_key_secrets (tenant_id, lookup_digest, key_id, phc, last4, created_at)
             SELECT k.tenant_id, d.digest, k.id, '$argon2id$v=19$x', '0000', now() FROM keys k JOIN digests d USING (id)"
        ))
        .await;
    let tokens = working.iter().map(|(_, key)| &*key.secret).chain(secrets.iter().map(Secret::reveal));
    let body = Value::from(tokens.map(|token| found(token, FILE_URL)).collect::<Vec<_>>()).to_string();
    let started = Instant::now();
    let reply = deliver(&server, &github, &body).await;
    println!("{KEYS} matches in {:?}", started.elapsed());
    assert_eq!(reply.status, 200, "{reply:?}");
    let labels = reply.json();
    let labels = labels.as_array().unwrap();
    assert!(labels.len() == KEYS && labels.iter().all(|label| label["label"] == "true_positive"));
    let revoked = "SELECT count(*) FROM api_keys WHERE revoked_at IS NOT NULL";
    assert_eq!(server.database.count(revoked).await, 10_000);
    assert_eq!(server.database.count("SELECT count(*) FROM api_key_events WHERE kind = 'leaked'").await, 10_000);
    for (slug, key) in &working {
        server.admin(slug).with_key(&key.secret).get("/forward-auth").await.refused(401, "key_revoked");
        let elsewhere = other.admin(slug).with_key(&key.secret);
        wait_until(async || elsewhere.get("/forward-auth").await.status == 401).await;
    }
    drop(admin);
}

#[tokio::test]
async fn keys_are_fetched_when_a_delivery_needs_them_and_rarely() {
    let (one, two, unpublished) =
        (GithubKey::generate("one"), GithubKey::generate("two"), GithubKey::generate("three"));
    let publisher = Issuer::start(&[]).await;
    publisher.behaviour().response = Some(published(&[&one, &two]).into_bytes());
    let url = publisher.keys_url();
    let server = TestServer::with(&[("LEAKS_GITHUB_KEYS_URL", &url)]).await;
    assert_eq!(publisher.behaviour().key_requests, 0);
    for key in [&one, &two, &one] {
        assert_eq!(deliver(&server, key, "[]").await.status, 200);
    }
    for _ in 0..5 {
        deliver(&server, &unpublished, "[]").await.refused(403, "invalid_signature");
    }
    assert_eq!(publisher.behaviour().key_requests, 1);
    // While they cannot be fetched, those that are known are used.
    publisher.behaviour().down = true;
    assert_eq!(deliver(&server, &one, "[]").await.status, 200);
    let cold = TestServer::with(&[("LEAKS_GITHUB_KEYS_URL", &url)]).await;
    deliver(&cold, &one, "[]").await.refused(503, "signing_keys_unavailable");
}

#[tokio::test]
async fn without_a_setting_the_response_says_how_to_set_it() {
    let server = TestServer::start().await;
    let reply = deliver(&server, &GithubKey::generate("one"), "[]").await;
    let problem = reply.refused(404, "not_found");
    for name in ["LEAKS_GITHUB_KEYS_URL", "LEAKS_GITHUB_KEYS_FILE", "https://api.github.com/meta/public_keys"] {
        assert!(problem["detail"].as_str().unwrap().contains(name), "{problem}");
    }
}

#[tokio::test]
async fn ten_invalid_signatures_a_minute_are_refused_and_then_every_report_of_the_address() {
    let github = GithubKey::generate("limited");
    let server = start("limited", &github).await;
    // Signed, and malformed: no forgery.
    for _ in 0..12 {
        deliver(&server, &github, "{").await.refused(400, "invalid_json");
    }
    let forger = GithubKey::generate("limited");
    let mut refused = 0;
    // Two minutes may meet within the calls.
    while deliver(&server, &forger, "[]").await.status == 403 {
        refused += 1;
        assert!(refused <= 20);
    }
    assert!(refused >= 10, "{refused}");
    deliver(&server, &github, "[]").await.refused(429, "too_many_reports");
}
