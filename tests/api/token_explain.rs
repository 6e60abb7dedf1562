//! `rally-api-keys token explain`

use chrono::{TimeDelta, Utc};
use jsonwebtoken::Algorithm;
use rally_api_keys::{domain::Slug, store::TenantAdmin};
use serde_json::{Value, json};

use crate::{
    binary::Home,
    client::{Credential, PATH},
    harness::{JWT_SECRET, TestServer, sign},
    issuer::{Issuer, SigningKey},
};

fn claims(issuer: &str, changes: &Value) -> Value {
    let exp = (Utc::now() + TimeDelta::hours(1)).timestamp();
    let mut claims =
        json!({"iss": issuer, "sub": "42", "email": "zoe@acme.com", "tenant": "acme", "scope": "openid", "exp": exp});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// A database that is set and not needed.
const NO_DATABASE: (&str, &str) = ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x");

#[tokio::test]
async fn explain_prints_what_is_read_from_an_accepted_token_and_no_signature() {
    let home = Home::new("explain");
    let key = SigningKey::generate("2026-01", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    let name = issuer.name();
    let settings =
        [NO_DATABASE, ("JWT_ISSUER", name.as_str()), ("JWT_AUDIENCE", "rally"), ("JWT_SCOPE_MAP", "crm-admins=admin")];
    let token = key.sign(&claims(&name, &json!({"azp": "rally", "roles": ["crm-admins"]})));
    let printed = home.succeed(&["token", "explain", &token, "--tenant", "acme"], &settings).await;
    for line in [
        format!("ok    signature: ES256, key \"2026-01\", verified by a key of {name}"),
        format!("ok    issuer: \"{name}\""),
        "ok    audience: `azp` holds \"rally\"".into(),
        "ok    name: \"zoe@acme.com\", from `email`".into(),
        "ok    tenant: \"acme\" from `tenant`".into(),
        "ok    scopes: admin, from `roles`".into(),
        "\naccepted\n".into(),
    ] {
        assert!(printed.contains(&line), "{line}: {printed}");
    }
    let signature = token.rsplit('.').next().unwrap();
    assert!(!printed.contains(&signature[..8]), "{printed}");
    let from_stdin = home.succeed_with_input(&["token", "explain", "-"], &settings, &format!("Bearer {token}\n")).await;
    assert!(from_stdin.ends_with("\naccepted\n"), "{from_stdin}");
}

#[tokio::test]
async fn explain_names_everything_that_is_wrong_and_the_setting_that_mends_it() {
    let home = Home::new("explain-refused");
    let settings =
        [NO_DATABASE, ("JWT_SECRET", JWT_SECRET), ("JWT_ISSUER", "https://a.example"), ("JWT_AUDIENCE", "rally")];
    let token = sign(&claims(
        "https://b.example",
        &json!({"tenant": null, "sub": 7, "email_verified": false, "exp": 1, "aud": "x"}),
    ));
    let output = home.run(&["token", "explain", &token], &settings).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in [
        "ok    signature: HS256, key no `kid`, verified by a configured key",
        "FAIL  issuer: its issuer (`iss`) \"https://b.example\" is not trusted; list its issuer in JWT_ISSUER",
        "FAIL  audience: `aud` holds \"x\": it is not meant for this service (`aud`); list its audience in JWT_AUDIENCE",
        "FAIL  times: until 1970-01-01T00:00:01Z (60 s more are allowed): expired token; get a new token",
        "FAIL  name: it does not name its user: `email` is not verified (`email_verified` is false), `sub` is not a string; JWT_NAME_CLAIM",
        "FAIL  tenant: it has no claim `tenant`; set JWT_TENANT_CLAIM",
        "FAIL  scopes: The token grants none: `scope` holds \"openid\", `scp` is missing",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert_eq!(output.status.code(), Some(1));
    for (token, line) in [("a.b", "FAIL  token: it is not a JWT"), ("a.b.c.d.e", "FAIL  token: it is encrypted (JWE)")]
    {
        let printed = String::from_utf8(home.run(&["token", "explain", token], &settings).await.stdout).unwrap();
        assert!(printed.contains(line), "{printed}");
    }
}

#[tokio::test]
async fn explain_says_that_the_issuer_cannot_be_reached() {
    let home = Home::new("explain-down");
    let key = SigningKey::generate("2026-01", Algorithm::ES256);
    let issuer = Issuer::start(&[&key]).await;
    issuer.behaviour().down = true;
    let token = key.sign(&claims(&issuer.name(), &json!({"scope": "admin"})));
    let output = home.run(&["token", "explain", &token], &[NO_DATABASE, ("JWT_ISSUER", &issuer.name())]).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("WARN  keys of ") && printed.contains("cannot be fetched: "), "{printed}");
    assert!(printed.contains("FAIL  signature: ES256, key \"2026-01\": the issuer's keys are not known"), "{printed}");
    assert_eq!(output.status.code(), Some(1));
}

/// The words of the settings that the command signs by are those that the service reads.
#[tokio::test]
async fn a_token_of_the_command_line_is_accepted_whatever_the_claims_are_named() {
    let home = Home::new("explain-signed");
    let settings = [
        NO_DATABASE,
        ("JWT_SECRET", JWT_SECRET),
        ("JWT_ISSUER", "https://a.example,https://b.example"),
        ("JWT_ISSUER_TENANTS", "https://a.example=globex,https://b.example=acme"),
        ("JWT_TENANT_CLAIM", "app_metadata.tenant"),
        ("JWT_SCOPE_CLAIM", "realm_access.roles"),
        ("JWT_NAME_CLAIM", "preferred_username"),
    ];
    let arguments = ["token", "--tenant", "acme", "--email", "zoe@acme.com", "--scopes", "admin"];
    let token = home.succeed(&arguments, &settings).await;
    let printed = home.succeed(&["token", "explain", token.trim(), "--tenant", "acme"], &settings).await;
    assert!(printed.contains("ok    scopes: admin, from `realm_access.roles`"), "{printed}");
    let usage = home.run(&["token"], &settings).await;
    assert!(
        String::from_utf8(usage.stderr).unwrap().contains("--tenant <TENANT>"),
        "the arguments for signing are required"
    );
}

/// Only the database knows the external ids, so that the command says what it cannot know, and refuses nothing that the
/// service accepts.
#[tokio::test]
async fn explain_never_refuses_a_tenant_that_the_service_accepts_by_its_external_id() {
    let home = Home::new("explain-tenants");
    let rule = ("JWT_ISSUER_TENANTS", "https://a.example=acme");
    let settings = [("JWT_SECRET", JWT_SECRET), ("JWT_ISSUER", "https://a.example"), rule];
    let server = TestServer::with(&settings).await;
    let mut operator = TenantAdmin::connect(&server.database.url().await).await.unwrap();
    assert!(operator.set_external_id(&Slug::parse("acme").unwrap(), Some("org-123")).await.unwrap().unwrap());
    let settings = [NO_DATABASE, settings[0], settings[1], settings[2]];
    let command_line = |tenant: Value| {
        let token = sign(&claims("https://a.example", &json!({"tenant": tenant, "scope": "admin"})));
        let (home, client) = (&home, server.client("acme", Credential::Bearer(token.clone())));
        async move {
            let status = client.get(PATH).await.status.as_u16();
            let outputs = [
                home.run(&["token", "explain", &token], &settings).await,
                home.run(&["token", "explain", &token, "--tenant", "acme"], &settings).await,
            ];
            (status, outputs.map(|output| (output.status.code(), String::from_utf8(output.stdout).unwrap())))
        }
    };
    for tenant in [
        json!("org-123"),
        json!(["globex", "acme"]),
        json!(["globex", "org-123"]),
        json!({"globex": {"id": "org-123"}}),
        json!({"acme": {"id": "org-123"}}),
        json!({"acme": {}}),
    ] {
        let (status, outputs) = command_line(tenant.clone()).await;
        assert_eq!(status, 200, "{tenant}");
        for (code, printed) in outputs {
            assert_eq!(code, Some(0), "{tenant}: {printed}");
            assert!(!printed.contains("FAIL"), "{tenant}: {printed}");
        }
    }
    for tenant in [json!("globex"), json!({"acme": {"id": "org-4"}})] {
        let (status, outputs) = command_line(tenant.clone()).await;
        assert_eq!(status, 403, "{tenant}");
        for (_, printed) in outputs {
            assert!(!printed.ends_with("\naccepted\n"), "{tenant}: {printed}");
        }
    }
    let token = sign(&claims("https://a.example", &json!({"tenant": "globex", "scope": "admin"})));
    server.client("globex", Credential::Bearer(token.clone())).get(PATH).await.refused(403, "wrong_tenant");
    let output = home.run(&["token", "explain", &token, "--tenant", "globex"], &settings).await;
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("FAIL  tenant: \"globex\"") && printed.contains("JWT_ISSUER_TENANTS"), "{printed}");
    assert_eq!(output.status.code(), Some(1));
}
