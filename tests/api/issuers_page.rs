//! The settings in docs/issuers.md, each with a token and a key set of its issuer's documented form.

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, Header};
use rally_api_keys::{domain::Slug, store::TenantAdmin};
use serde_json::{Value, json};

use crate::{
    client::{Credential, PATH},
    harness::TestServer,
    issuer::{Issuer, SigningKey},
};

/// The settings of each block of the page, by the issuer's name.
fn blocks() -> Vec<(String, Vec<(String, String)>)> {
    let page = include_str!("../../docs/issuers.md");
    let blocks = page.split("```sh issuer=").skip(1).map(|rest| {
        let (block, _) = rest.split_once("```").expect("a block has an end");
        let (name, lines) = block.split_once('\n').expect("a block has lines");
        let setting = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        (name.to_owned(), lines.lines().map(|line| setting(line).expect("NAME=value")).collect())
    });
    blocks.collect()
}

/// What an issuer's documentation says of its tokens.
struct Documented {
    issuer: &'static str,
    algorithm: Algorithm,
    typ: Option<&'static str>,
    /// What it adds to its public keys, or (null) leaves out.
    key: Value,
    /// The claims of an admin of acme, besides times and `iss`.
    claims: Value,
    /// The issuer's id of acme, where the tenant is not named by its slug.
    external_id: Option<&'static str>,
    created_by: &'static str,
    /// A change that takes the scopes away.
    without_scopes: Value,
    /// A change by which the token is for another service.
    for_others: Value,
    /// What somebody can choose who is no user of acme, where the documentation has such a claim.
    chosen_by_users: Value,
}

/// What the issuers of .NET write into keys beside what a key needs.
fn dotnet_members() -> Value {
    json!({"key_ops": [], "x5c": [], "oth": null, "d": null, "k": null})
}

fn documented() -> Vec<Documented> {
    let rs256 = Documented {
        issuer: "",
        algorithm: Algorithm::RS256,
        typ: Some("JWT"),
        key: json!({"alg": "RS256", "x5c": ["MIIC"], "x5t": "AAAA"}),
        claims: json!({}),
        external_id: None,
        created_by: "zoe@acme.com",
        without_scopes: json!({}),
        for_others: json!({"aud": "another-service"}),
        chosen_by_users: Value::Null,
    };
    vec![
        Documented {
            issuer: "keycloak",
            claims: json!({
                "jti": "onrtac:7c1f", "aud": ["rally-crm", "account"], "sub": "5c1f3b0e-8d8a-4a56-9d55-6a2d6c8e7f10", "typ": "Bearer",
                "azp": "rally-web", "sid": "2f5c", "acr": "1", "allowed-origins": ["https://app.rallycrm.io"],
                "realm_access": {"roles": ["offline_access", "crm-admin", "default-roles-crm"]},
                "resource_access": {"account": {"roles": ["manage-account"]}},
                "scope": "openid email profile organization", "email_verified": true,
                "organization": {"acme": {"id": "42c3e46f-2477-44d7-a85b-d3b43f6b31fa"}},
                "name": "Zoë", "preferred_username": "zoe", "email": "zoe@acme.com",
            }),
            external_id: Some("42c3e46f-2477-44d7-a85b-d3b43f6b31fa"),
            without_scopes: json!({"realm_access": {"roles": ["offline_access"]}}),
            chosen_by_users: json!({"organization": {"acme": {"id": "7e0f5a52-9c1d-4b64-8a3a-0f1e2d3c4b5a"}}}),
            ..rs256_like(&rs256)
        },
        Documented {
            issuer: "auth0",
            claims: json!({
                "sub": "auth0|63f0a1b2", "aud": ["https://api.rallycrm.io", "https://rally.eu.auth0.com/userinfo"],
                "azp": "my_client_id", "scope": "openid profile email", "org_id": "org_9ybsU1dN2dKfDkBi",
                "permissions": ["rally:admin", "rally:read"], "https://rallycrm.io/email": "zoe@acme.com",
            }),
            external_id: Some("org_9ybsU1dN2dKfDkBi"),
            without_scopes: json!({"permissions": []}),
            ..rs256_like(&rs256)
        },
        Documented {
            issuer: "okta",
            typ: None,
            claims: json!({
                "ver": 1, "jti": "AT.0mP4JKAZX1iACIT4vbEDF7LpvDVjxypPMf0D7uX39RE", "aud": "api://rally-crm", "cid": "0oabucvy",
                "uid": "00ujmkLgagxeRrAg20g3", "scp": ["openid", "email"], "auth_time": 1_700_000_000, "sub": "zoe@acme.com",
                "groups": ["Everyone", "CRM Admins"], "tenant": "acme",
            }),
            without_scopes: json!({"groups": ["Everyone"]}),
            ..rs256_like(&rs256)
        },
        Documented {
            issuer: "entra",
            key: json!({"alg": null, "x5c": ["MIIC"], "cloud_instance_name": "microsoftonline.com"}),
            claims: json!({
                "aud": "6f1d7c2a-3b4e-4d5f-8a9b-0c1d2e3f4a5b", "azp": "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d", "azpacr": "0",
                "name": "Zoë", "oid": "690222be-ff1a-4d56-abd1-7e4f7d38e474", "preferred_username": "zoe@acme.com",
                "rh": "I", "roles": ["Rally.Admin"], "scp": "access_as_user", "sub": "HKZpfaHyWadeOouYlitjrI-KffTm222X5rrV3xDqfKQ",
                "tid": "8f6a2b1e-5c3d-4e7f-9a0b-1c2d3e4f5a6b", "uti": "fqiBqXLPj0eQa82S-IYFAA", "ver": "2.0",
            }),
            external_id: Some("8f6a2b1e-5c3d-4e7f-9a0b-1c2d3e4f5a6b"),
            without_scopes: json!({"roles": null}),
            ..rs256_like(&rs256)
        },
        Documented {
            issuer: "cognito",
            typ: None,
            claims: json!({
                "sub": "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "cognito:groups": ["staff"], "version": 2,
                "client_id": "5k1a2b3c4d5e6f7g8h9i0j1k2l", "origin_jti": "aaaa", "event_id": "bbbb", "token_use": "access",
                "scope": "openid rally/admin", "auth_time": 1_700_000_000, "jti": "cccc", "username": "zoe@acme.com",
                "custom:tenant": "acme",
            }),
            without_scopes: json!({"scope": "openid"}),
            for_others: json!({"client_id": "another-client"}),
            ..rs256_like(&rs256)
        },
        Documented {
            issuer: "duende",
            typ: Some("at+jwt"),
            key: dotnet_members(),
            claims: json!({
                "aud": "rally-crm", "scope": ["openid", "profile"], "amr": ["pwd"], "client_id": "rally-web", "sub": "818727",
                "auth_time": 1_700_000_000, "idp": "local", "sid": "F6F3", "jti": "57D9", "email": "zoe@acme.com", "tenant": "acme",
                "http://schemas.microsoft.com/ws/2008/06/identity/claims/role": ["Staff", "CrmAdmin"],
            }),
            without_scopes: json!({"http://schemas.microsoft.com/ws/2008/06/identity/claims/role": "Staff"}),
            ..rs256_like(&rs256)
        },
        Documented {
            issuer: "clerk",
            key: json!({"alg": "RS256"}),
            claims: json!({
                "azp": "https://app.rallycrm.io", "fva": [0, -1], "jti": "a3c0", "sid": "sess_2abc", "sts": "active",
                "o": {"id": "org_2abc", "rol": "admin", "slg": "acme", "per": "manage", "fpm": "1"}, "pla": "o:free",
                "sub": "user_2abc", "v": 2, "fea": "",
            }),
            external_id: Some("org_2abc"),
            created_by: "user_2abc",
            without_scopes: json!({"o": {"id": "org_2abc", "rol": "guest", "slg": "acme"}}),
            for_others: json!({"azp": "https://another.example"}),
            chosen_by_users: json!({"o": {"id": "org_2xyz", "rol": "admin", "slg": "acme"}}),
            ..rs256_like(&rs256)
        },
        Documented {
            issuer: "supabase",
            algorithm: Algorithm::ES256,
            key: json!({"alg": "ES256", "ext": true, "key_ops": ["verify"]}),
            claims: json!({
                "aud": "authenticated", "sub": "7c1f3b0e-8d8a-4a56-9d55-6a2d6c8e7f10", "email": "zoe@acme.com", "phone": "",
                "app_metadata": {"provider": "email", "providers": ["email"], "tenant": "acme", "role": "crm-admin"},
                "user_metadata": {"tenant": "globex", "role": "crm-admin"}, "role": "authenticated", "aal": "aal1",
                "amr": [{"method": "password", "timestamp": 1_700_000_000}], "session_id": "2f5c", "is_anonymous": false,
            }),
            without_scopes: json!({"app_metadata": {"tenant": "acme"}}),
            chosen_by_users: json!({"app_metadata": {}, "user_metadata": {"tenant": "acme", "role": "crm-admin"}}),
            ..rs256_like(&rs256)
        },
        Documented {
            issuer: "oidc-provider",
            typ: Some("at+jwt"),
            claims: json!({
                "aud": "rally-crm", "jti": "EBv8", "sub": "crm", "client_id": "crm", "scope": "read admin", "tenant": "acme",
                "email": "zoe@acme.com",
            }),
            without_scopes: json!({"scope": "openid"}),
            ..rs256_like(&rs256)
        },
        Documented {
            issuer: "better-auth",
            algorithm: Algorithm::EdDSA,
            typ: None,
            key: json!({"alg": "EdDSA", "use": null}),
            claims: json!({
                "aud": "rally-crm", "sub": "r1YDyGzNkHtQ", "email": "zoe@acme.com", "email_verified": true, "tenant": "acme", "role": "owner",
            }),
            without_scopes: json!({"role": "user"}),
            ..rs256_like(&rs256)
        },
    ]
}

/// The defaults of the issuers above.
fn rs256_like(base: &Documented) -> Documented {
    let Documented { key, claims, without_scopes, for_others, chosen_by_users, .. } = base;
    let (key, claims, without_scopes) = (key.clone(), claims.clone(), without_scopes.clone());
    let (for_others, chosen_by_users) = (for_others.clone(), chosen_by_users.clone());
    Documented { key, claims, without_scopes, for_others, chosen_by_users, ..*base }
}

/// Applies changes, of which null removes a member.
fn changed(object: &Value, changes: &Value) -> Value {
    let mut object = object.clone();
    for (name, value) in changes.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

#[tokio::test]
async fn the_settings_of_each_issuer_accept_its_tokens_and_no_others() {
    let documented = documented();
    let blocks = blocks();
    let named: Vec<_> = blocks.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, documented.iter().map(|issuer| issuer.issuer).collect::<Vec<_>>(), "every block is tested");
    for (of, (_, settings)) in documented.iter().zip(blocks) {
        let key = SigningKey::generate("2026-01", of.algorithm);
        let issuer = Issuer::start(&[]).await;
        let documented_name = &settings.iter().find(|(name, _)| name == "JWT_ISSUER").expect("JWT_ISSUER").1;
        let path = documented_name.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        let name = format!("{}{path}", issuer.name());
        issuer.behaviour().keys = vec![changed(&key.jwk(), &of.key)];
        issuer.behaviour().configuration = Some(json!({"issuer": name, "jwks_uri": issuer.keys_url()}));
        let keys_url = issuer.keys_url();
        let mut pairs: Vec<(&str, &str)> = vec![("JWT_SECRET", "")];
        for (setting, value) in &settings {
            let value = match setting.as_str() {
                "JWT_ISSUER" => &name,
                "JWT_JWKS_URL" => &keys_url,
                _ => value,
            };
            pairs.push((setting, value));
        }
        let server = TestServer::with(&pairs).await;
        if of.external_id.is_some() {
            let mut admin = TenantAdmin::connect(&server.database.url().await).await.unwrap();
            assert!(admin.set_external_id(&Slug::parse("acme").unwrap(), of.external_id).await.unwrap().unwrap());
        }
        let now = server.clock.now();
        let times = json!({"iss": name, "iat": now.timestamp(), "exp": (now + TimeDelta::minutes(10)).timestamp()});
        let client = |tenant: &str, changes: &Value| {
            let claims = changed(&changed(&of.claims, &times), changes);
            let header =
                Header { typ: of.typ.map(str::to_owned), kid: Some(key.id.clone()), ..Header::new(of.algorithm) };
            server.client(tenant, Credential::Bearer(key.sign_as(&header, &claims)))
        };
        let user = client("acme", &json!({}));
        let created = user.post(PATH, &json!({"name": "A key"})).await;
        assert_eq!(created.status, 201, "{}: {created:?}", of.issuer);
        let path = format!("{PATH}/{}", created.json()["id"].as_str().unwrap());
        assert_eq!(user.get(&path).await.expect(200)["createdBy"], of.created_by, "{}", of.issuer);
        client("globex", &json!({})).get(PATH).await.refused(403, "wrong_tenant");
        client("acme", &of.without_scopes).get(PATH).await.refused(403, "insufficient_scope");
        client("acme", &of.for_others).get(PATH).await.refused(401, "invalid_token");
        if of.chosen_by_users != Value::Null {
            client("acme", &of.chosen_by_users).get(PATH).await.refused(403, "wrong_tenant");
        }
    }
}
