//! JWT authentication: valid tokens, and the known attacks on JWTs (RFC 8725).

use std::{io::ErrorKind, net::TcpListener};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::{
    client::{Credential, PATH, Reply},
    harness::{JWT_SECRET, TestServer, sign},
};

const EMPTY: &[u8] = b"";

/// Claims of acme's admin with `changes` applied as a JSON merge patch: null removes a claim.
fn claims(server: &TestServer, changes: &Value) -> Value {
    let mut claims = json!({
        "sub": "42",
        "email": "admin@acme.com",
        "tenant": "acme",
        "scope": "admin",
        "exp": (server.clock.now() + TimeDelta::hours(1)).timestamp(),
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// The JWS signing input (RFC 7515, 5.1): the encoded header and payload.
fn signing_input(header: &[u8], payload: &[u8]) -> String {
    format!("{}.{}", BASE64URL.encode(header), BASE64URL.encode(payload))
}

macro_rules! hmac {
    ($hash:ty, $secret:expr, $input:expr) => {
        Hmac::<$hash>::new_from_slice($secret).unwrap().chain_update($input).finalize().into_bytes().to_vec()
    };
}

/// A JWS with this header, signed with HMAC-SHA-256 and the tests' secret.
fn signed(header: &Value, payload: &[u8]) -> String {
    let input = signing_input(header.to_string().as_bytes(), payload);
    let signature = hmac!(Sha256, JWT_SECRET.as_bytes(), input.as_bytes());
    format!("{input}.{}", BASE64URL.encode(signature))
}

async fn list_with_token(server: &TestServer, token: &str) -> Reply {
    server.client("acme", Credential::Bearer(token.to_owned())).get(PATH).await
}

async fn list_with_claims(server: &TestServer, changes: &Value) -> Reply {
    list_with_token(server, &sign(&claims(server, changes))).await
}

#[track_caller]
fn assert_accepted(reply: &Reply, case: &dyn std::fmt::Debug) {
    assert_eq!(reply.status, 200, "{case:?}: {reply:?}");
}

#[track_caller]
fn assert_invalid_token(reply: &Reply, case: &dyn std::fmt::Debug) {
    assert_eq!((reply.status.as_u16(), &reply.json()["code"]), (401, &json!("invalid_token")), "{case:?}");
    reply.refused(401, "invalid_token");
}

#[tokio::test]
async fn a_token_signed_with_the_configured_key_is_accepted() {
    let server = TestServer::start().await;
    let payload = claims(&server, &json!({})).to_string();
    for header in [
        json!({"alg": "HS256"}),
        json!({"alg": "HS256", "typ": "JWT"}),
        json!({"alg": "HS256", "typ": "at+jwt", "cty": "JWT", "unknown": {"a": [1, 2]}}),
        json!({"alg": "HS256", "typ": "application/AT+JWT"}),
        json!({"alg": "HS256", "typ": "Application/jwt", "kid": null}),
        json!({"alg": "HS256", "typ": null}),
    ] {
        assert_accepted(&list_with_token(&server, &signed(&header, payload.as_bytes())).await, &header);
    }
    // `iss` and `aud` are not checked when they are not configured.
    let reply = list_with_claims(&server, &json!({"iss": "https://anybody.example", "aud": ["anything"]})).await;
    assert_accepted(&reply, &"iss and aud");
}

/// RFC 8725, 3.11: an object that an issuer signs for another purpose is no token.
#[tokio::test]
async fn a_token_of_another_type_is_refused_with_the_type() {
    let server = TestServer::start().await;
    let payload = claims(&server, &json!({})).to_string();
    for typ in [json!("logout+jwt"), json!("secevent+jwt"), json!("dpop+jwt"), json!("JWS"), json!(""), json!(7)] {
        let reply = list_with_token(&server, &signed(&json!({"alg": "HS256", "typ": typ}), payload.as_bytes())).await;
        assert_invalid_token(&reply, &typ);
        let detail = reply.json()["detail"].to_string();
        assert!(
            detail.contains("its type (`typ`) is") && detail.contains(typ.as_str().unwrap_or("not a string")),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn the_reason_of_a_refused_token_is_the_actual_one() {
    let server = TestServer::start().await;
    let now = server.clock.now().timestamp();
    let payload = claims(&server, &json!({})).to_string();
    let header = json!({"alg": "HS256"});
    let with_claims = |changes: Value| sign(&claims(&server, &changes));
    for (token, reason) in [
        ("opaque".to_owned(), "it is not a JWT, which has three parts"),
        ("a.b.c.d.e".to_owned(), "it is encrypted (JWE)"),
        ("a.b.c".to_owned(), "its header is not a JSON object in base64url"),
        (signed(&header, b"[]"), "its payload is not a JSON object in base64url"),
        (signed(&json!({"typ": "JWT"}), payload.as_bytes()), "names no algorithm (`alg`)"),
        (signed(&json!({"alg": "ES512"}), payload.as_bytes()), "its algorithm \"ES512\" is not supported"),
        (signed(&json!({"alg": "none"}), payload.as_bytes()), "its algorithm \"none\" is not supported"),
        (signed(&json!({"alg": "ES256"}), payload.as_bytes()), "its algorithm ES256 is not the configured key's"),
        (signed(&json!({"alg": "HS256", "kid": 7}), payload.as_bytes()), "a `kid` that is not a string"),
        (with_claims(json!({"exp": null})), "it has no `exp`"),
        (with_claims(json!({"exp": (now + 3600).to_string()})), "its `exp` is a string and not a number"),
        (with_claims(json!({"exp": -1})), "its `exp` is before the year 1970"),
        (with_claims(json!({"nbf": "now"})), "its `nbf` is a string and not a number"),
        (with_claims(json!({"nbf": now + 3000})), "it is not valid yet (`nbf`)"),
        (
            with_claims(json!({"email": null, "sub": null})),
            "it does not name its user: `email` is missing, `sub` is missing",
        ),
    ] {
        let reply = list_with_token(&server, &token).await;
        assert_invalid_token(&reply, &reason);
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(reason), "{reason}: {detail}");
    }
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let server = TestServer::start().await;
    let payload = claims(&server, &json!({})).to_string();
    for alg in ["none", "None", "NONE", "nOnE", "none ", "", "\0", "plain"].map(Value::from).into_iter().chain([
        Value::Null,
        json!(0),
        json!(["HS256"]),
        json!({"alg": "HS256"}),
    ]) {
        let header = json!({"alg": alg, "typ": "JWT"});
        let input = signing_input(header.to_string().as_bytes(), payload.as_bytes());
        let right = signed(&header, payload.as_bytes());
        for token in [format!("{input}."), format!("{input}.AAAA"), input, right] {
            assert_invalid_token(&list_with_token(&server, &token).await, &token);
        }
    }
    let missing = signed(&json!({"typ": "JWT"}), payload.as_bytes());
    assert_invalid_token(&list_with_token(&server, &missing).await, &"no alg");
    // The header says HS256, but the signature is missing or zero.
    let input = signing_input(br#"{"alg":"HS256"}"#, payload.as_bytes());
    for token in [format!("{input}."), input.clone(), format!("{input}.{}", BASE64URL.encode([0; 32]))] {
        assert_invalid_token(&list_with_token(&server, &token).await, &token);
    }
}

/// The algorithm comes from the configured key: HS256 only, even if another one signs with the same secret.
#[tokio::test]
async fn a_token_with_another_algorithm_is_refused() {
    let server = TestServer::start().await;
    let (payload, secret) = (claims(&server, &json!({})).to_string(), JWT_SECRET.as_bytes());
    let algorithms =
        ["HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
    for alg in algorithms.into_iter().chain(["ES256K", "hs256", "Hs256", "HS256 ", "HS1", "dir", "A256KW"]) {
        let input = signing_input(json!({"alg": alg}).to_string().as_bytes(), payload.as_bytes());
        for signature in [
            hmac!(Sha256, secret, input.as_bytes()), // algorithm confusion: a public key used as an HMAC secret
            hmac!(Sha384, secret, input.as_bytes()),
            hmac!(Sha512, secret, input.as_bytes()),
        ] {
            let token = format!("{input}.{}", BASE64URL.encode(signature));
            assert_invalid_token(&list_with_token(&server, &token).await, &alg);
        }
    }
    // The header says HS256, but another hash made the signature.
    let input = signing_input(br#"{"alg":"HS256"}"#, payload.as_bytes());
    for signature in [hmac!(Sha384, secret, input.as_bytes()), hmac!(Sha512, secret, input.as_bytes())] {
        assert_invalid_token(
            &list_with_token(&server, &format!("{input}.{}", BASE64URL.encode(signature))).await,
            &"another hash",
        );
    }
}

/// With a single configured key, `kid` selects nothing. A key that the token embeds or refers to
/// is neither used nor fetched: only a signature with the configured key is accepted.
#[tokio::test]
async fn a_key_named_or_embedded_in_the_token_header_is_ignored() {
    let server = TestServer::start().await;
    let attacker = TcpListener::bind("127.0.0.1:0").unwrap();
    attacker.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", attacker.local_addr().unwrap());
    let payload = claims(&server, &json!({})).to_string();
    let secret = b"the attacker's own secret, of more than 32 bytes";
    for (name, value) in [
        ("kid", json!("unknown")),
        ("kid", json!("../../../../dev/null")),
        ("kid", json!("' UNION SELECT 'secret' --")),
        ("kid", json!(url)),
        ("kid", json!("")),
        ("jwk", json!({"kty": "oct", "k": BASE64URL.encode(secret), "alg": "HS256"})),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!([BASE64URL.encode(secret)])),
        ("x5t", json!("AAAA")),
    ] {
        let mut header = json!({"alg": "HS256", "typ": "JWT"});
        header[name] = value;
        let input = signing_input(header.to_string().as_bytes(), payload.as_bytes());
        for key in [&secret[..], url.as_bytes(), EMPTY] {
            let forged = format!("{input}.{}", BASE64URL.encode(hmac!(Sha256, key, input.as_bytes())));
            assert_invalid_token(&list_with_token(&server, &forged).await, &header);
        }
        assert_accepted(&list_with_token(&server, &signed(&header, payload.as_bytes())).await, &header);
    }
    let no_connection = attacker.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    assert!(no_connection, "the service fetched a key that a token named");
}

/// RFC 7515, 4.1.11: a critical extension that the verifier does not support makes the token invalid.
#[tokio::test]
async fn a_token_with_a_crit_header_is_refused() {
    let server = TestServer::start().await;
    let payload = claims(&server, &json!({})).to_string();
    for header in [
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"alg": "HS256", "crit": ["exp"], "exp": 4_102_444_800_u32}),
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        json!({"alg": "HS256", "crit": ["http://example.com/x"], "http://example.com/x": true}),
        json!({"alg": "HS256", "crit": []}),
        json!({"alg": "HS256", "crit": "exp"}),
        json!({"alg": "HS256", "crit": {}}),
    ] {
        assert_invalid_token(&list_with_token(&server, &signed(&header, payload.as_bytes())).await, &header);
    }
}

#[tokio::test]
async fn a_token_with_a_wrong_signature_is_refused() {
    let server = TestServer::start().await;
    let payload = claims(&server, &json!({})).to_string();
    let input = signing_input(br#"{"alg":"HS256"}"#, payload.as_bytes());
    let nearly = JWT_SECRET.to_uppercase();
    let zero_padded = format!("{JWT_SECRET}\0");
    for secret in [EMPTY, b"secret", nearly.as_bytes(), &JWT_SECRET.as_bytes()[..32], zero_padded.as_bytes()] {
        // RFC 2104 pads short keys with zeros up to 64 bytes, so a trailing zero is the same key.
        let same_key =
            secret.iter().rposition(|b| *b != 0).map_or(EMPTY, |last| &secret[..=last]) == JWT_SECRET.as_bytes();
        if !same_key {
            let token = format!("{input}.{}", BASE64URL.encode(hmac!(Sha256, secret, input.as_bytes())));
            assert_invalid_token(&list_with_token(&server, &token).await, &secret);
        }
    }
    // A changed payload or header with the original signature is refused, even if the original token is cached.
    let good = signed(&json!({"alg": "HS256"}), payload.as_bytes());
    assert_accepted(&list_with_token(&server, &good).await, &"the original token");
    let [header, _, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let swapped = BASE64URL.encode(claims(&server, &json!({"email": "ceo@acme.com"})).to_string());
    assert_invalid_token(
        &list_with_token(&server, &format!("{header}.{swapped}.{signature}")).await,
        &"another payload",
    );
    let header = BASE64URL.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    assert_invalid_token(
        &list_with_token(&server, &format!("{header}.{}.{signature}", BASE64URL.encode(&payload))).await,
        &"another header",
    );
    assert_accepted(&list_with_token(&server, &good).await, &"the original token, again");
}

#[tokio::test]
async fn a_truncated_or_malformed_jwt_is_refused() {
    let server = TestServer::start().await;
    let payload = claims(&server, &json!({})).to_string();
    let good = signed(&json!({"alg": "HS256"}), payload.as_bytes());
    for length in (1..good.len()).step_by(5).chain([good.len() - 1]) {
        assert_invalid_token(&list_with_token(&server, &good[..length]).await, &length);
    }
    let [h, p, s] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    for token in [
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{h}.{p}"),
        format!("{h}.{p}."),
        format!("{h}..{s}"),
        format!(".{p}.{s}"),
        format!("{p}.{s}"),
        format!("{h}.{p}.{s}."),
        format!(".{h}.{p}.{s}"),
        format!("{h}.{p}.{s}.{s}"),
        format!("{h}.{p}.{s}.{s}.{s}"), // five parts, as in a JWE
        format!("{h}.{p}.{s}="),
        format!("{h}.{p}=.{s}"),
        format!("{h}. {p}.{s}"),
        format!("{h}.{p}.{s} {s}"),
        format!("{h}.{p}.!!!!"),
        format!("{h}.%%%%.{s}"),
        format!("%%%%.{p}.{s}"),
    ] {
        assert_invalid_token(&list_with_token(&server, &token).await, &token);
    }
}

#[tokio::test]
async fn a_header_or_payload_that_is_not_a_valid_json_object_is_refused() {
    let server = TestServer::start().await;
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let good = claims(&server, &json!({})).to_string();
    let lone_surrogate = good.replace("admin@acme.com", "\\ud800");
    let cut = &good[..good.len() - 1];
    let twice = format!("{good}{good}");
    let raw_bytes = [good.replace("admin@acme.com", "").as_bytes(), b"\xff\xfe"].concat();
    for payload in [
        EMPTY,
        b"{}",
        b"[]",
        b"[{}]",
        b"null",
        b"true",
        b"1",
        b"\"x\"",
        b"{",
        b"\0",
        b"\xff\xfe",
        &raw_bytes,
        deep.as_bytes(),
        lone_surrogate.as_bytes(),
        cut.as_bytes(),
        twice.as_bytes(),
    ] {
        let token = signed(&json!({"alg": "HS256"}), payload);
        assert_invalid_token(
            &list_with_token(&server, &token).await,
            &String::from_utf8_lossy(&payload[..payload.len().min(80)]),
        );
    }
    let deep_key = format!(r#"{{"alg":"HS256","jwk":{}}}"#, "[".repeat(5_000));
    let deep_extra = format!(r#"{{"alg":"HS256","x":{}{}}}"#, r#"{"a":"#.repeat(3_000), "}".repeat(3_000));
    for header in [
        EMPTY,
        b"[]",
        b"null",
        b"\"HS256\"",
        b"{",
        b"\0",
        b"\xff\xfe",
        b"{\"alg\":\"HS256\",\"kid\":7}",
        deep.as_bytes(),
        deep_key.as_bytes(),
        deep_extra.as_bytes(),
    ] {
        let input = signing_input(header, good.as_bytes());
        let signature = hmac!(Sha256, JWT_SECRET.as_bytes(), input.as_bytes());
        let token = format!("{input}.{}", BASE64URL.encode(signature));
        assert_invalid_token(
            &list_with_token(&server, &token).await,
            &String::from_utf8_lossy(&header[..header.len().min(80)]),
        );
    }
    assert_accepted(
        &list_with_token(&server, &signed(&json!({"alg": "HS256"}), good.as_bytes())).await,
        &"the server still responds",
    );
}

#[tokio::test]
async fn an_expired_token_is_refused_after_the_leeway() {
    let server = TestServer::start().await;
    let exp = server.clock.now().timestamp() + 100;
    let whole = sign(&claims(&server, &json!({"exp": exp})));
    #[allow(clippy::cast_precision_loss, reason = "seconds of this century fit")]
    let fraction = sign(&claims(&server, &json!({"exp": exp as f64 + 0.5})));
    for token in [&whole, &fraction] {
        assert_accepted(&list_with_token(&server, token).await, &"before");
    }
    server.clock.turn(TimeDelta::seconds(140)); // 40 s after expiry; 20 s of the leeway remain for the test to run
    for token in [&whole, &fraction] {
        assert_accepted(&list_with_token(&server, token).await, &"within the leeway");
    }
    server.clock.turn(TimeDelta::seconds(21));
    for token in [&whole, &fraction] {
        list_with_token(&server, token).await.refused(401, "token_expired");
    }
    server.clock.turn(TimeDelta::days(365));
    list_with_token(&server, &whole).await.refused(401, "token_expired");
}

#[tokio::test]
async fn a_token_with_a_missing_or_invalid_exp_is_refused() {
    let server = TestServer::start().await;
    let now = server.clock.now().timestamp();
    for exp in [
        Value::Null, // removes the claim
        json!((now + 3600).to_string()),
        json!("never"),
        json!(true),
        json!([now + 3600]),
        json!({}),
        json!(-1),
        json!(-1.5),
        json!(i64::MIN),
        json!(1e300),
        json!(-1e300),
    ] {
        let reply = list_with_claims(&server, &json!({"exp": exp})).await;
        assert_eq!(reply.status, 401, "{exp}: {reply:?}");
        assert!(["invalid_token", "token_expired"].contains(&reply.json()["code"].as_str().unwrap()), "{exp}");
    }
    let payload = claims(&server, &json!({"exp": "EXP"})).to_string();
    for raw in ["1e999", "-1e999", "NaN", "Infinity", "null", "0x7fffffff", "99999999999999999999999999"] {
        let token = signed(&json!({"alg": "HS256"}), payload.replace("\"EXP\"", raw).as_bytes());
        let reply = list_with_token(&server, &token).await;
        assert_invalid_token(&reply, &raw);
    }
    for exp in [json!(0), json!(0.5), json!(1), json!(now - 61)] {
        list_with_claims(&server, &json!({"exp": exp})).await.refused(401, "token_expired");
    }
    for exp in [json!(now + 5), json!(253_402_300_799_u64), json!(i64::MAX), json!(u64::MAX)] {
        assert_accepted(&list_with_claims(&server, &json!({"exp": exp})).await, &exp);
    }
}

#[tokio::test]
async fn a_token_is_accepted_from_its_nbf_minus_the_leeway() {
    let server = TestServer::start().await;
    let now = server.clock.now().timestamp();
    for nbf in [json!(now - 3600), json!(now), json!(now + 30), json!(0), json!(-5)] {
        assert_accepted(&list_with_claims(&server, &json!({"nbf": nbf})).await, &nbf);
    }
    for nbf in [json!(now + 3000), json!(i64::MAX), json!(u64::MAX), json!(1e300)] {
        assert_invalid_token(&list_with_claims(&server, &json!({"nbf": nbf})).await, &nbf);
    }
    for nbf in [json!(now.to_string()), json!("now"), json!(true), json!([]), json!({})] {
        assert_invalid_token(&list_with_claims(&server, &json!({"nbf": nbf})).await, &nbf);
    }
    let later = sign(&claims(&server, &json!({"nbf": now + 3000, "exp": now + 7200})));
    assert_invalid_token(&list_with_token(&server, &later).await, &"not yet");
    server.clock.turn(TimeDelta::seconds(2941));
    assert_accepted(&list_with_token(&server, &later).await, &"59 s before nbf");
}

#[tokio::test]
async fn a_token_with_another_issuer_or_audience_is_refused() {
    let settings = [("JWT_ISSUER", "https://id.rallycrm.io"), ("JWT_AUDIENCE", "rally")];
    let server = TestServer::with(&settings).await;
    let with = |iss: &Value, aud: &Value| sign(&claims(&server, &json!({"iss": iss, "aud": aud})));
    let (iss, aud) = (json!("https://id.rallycrm.io"), json!("rally"));
    for aud in [json!("rally"), json!(["rally"]), json!(["crm", "rally"])] {
        assert_accepted(&list_with_token(&server, &with(&iss, &aud)).await, &aud);
    }
    for wrong in [
        Value::Null,
        json!(""),
        json!("https://id.rallycrm.io/"),
        json!("https://ID.rallycrm.io"),
        json!("https://id.rallycrm.io.evil.example"),
        json!("https://evil.example"),
        json!(7),
        json!([]),
        json!({}),
    ] {
        assert_invalid_token(&list_with_token(&server, &with(&wrong, &aud)).await, &("iss", &wrong));
    }
    for wrong in [
        Value::Null,
        json!(""),
        json!("Rally"),
        json!("rally "),
        json!("crm"),
        json!("crm rally"),
        json!("rally,crm"),
        json!([]),
        json!(["crm"]),
        json!(["crm rally"]),
        json!([["rally"]]),
        json!({"rally": true}),
        json!(7),
    ] {
        assert_invalid_token(&list_with_token(&server, &with(&iss, &wrong)).await, &("aud", &wrong));
    }
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_of_its_sender_is_no_bearer_token() {
    let server = TestServer::start().await;
    let with = |cnf: &Value| sign(&claims(&server, &json!({"cnf": cnf})));
    assert_accepted(&list_with_token(&server, &with(&Value::Null)).await, &"no cnf");
    for cnf in
        [json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}), json!({"x5t#S256": "x"}), json!({}), json!("")]
    {
        let reply = list_with_token(&server, &with(&cnf)).await;
        assert_invalid_token(&reply, &cnf);
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("bound to a key of its sender (`cnf`)"), "{detail}");
    }
}

#[tokio::test]
async fn a_token_for_another_tenant_is_refused() {
    let server = TestServer::start().await;
    let (acme, globex) = (server.database.acme.to_string(), server.database.globex.to_string());
    for tenant in [
        json!("acme"),
        json!(acme),
        json!(acme.to_uppercase()),
        json!(["globex", "acme"]),
        json!({"initech": {}, "acme": {}}),
        json!({"an-alias": {"id": acme}}),
    ] {
        assert_accepted(&list_with_claims(&server, &json!({"tenant": tenant})).await, &tenant);
    }
    for tenant in [
        json!("globex"),
        json!(globex),
        json!("nobody"),
        Value::Null, // removes the claim
        json!(""),
        json!(" acme"),
        json!("acme\u{0}"),
        json!("acme."),
        json!("acme.localhost"),
        json!("ACME"),
        json!("*"),
        json!(["globex"]),
        json!([["acme"]]),
        json!({"slug": "acme"}),
        json!({"globex": {"id": globex, "name": "acme"}}),
        json!(7),
        json!(true),
        json!(acme.replace('-', "")),
    ] {
        let reply = list_with_claims(&server, &json!({"tenant": tenant})).await;
        assert_eq!(reply.json()["code"], "wrong_tenant", "{tenant}");
        reply.refused(403, "wrong_tenant");
    }
    // Claims with other names do not select a tenant.
    list_with_claims(&server, &json!({"tenant": null, "org": "acme", "tenant_id": acme}))
        .await
        .refused(403, "wrong_tenant");
    // An invalid token gets 401, not 403: the response does not reveal its tenant.
    let expired = list_with_claims(&server, &json!({"tenant": "globex", "exp": 1})).await;
    expired.refused(401, "token_expired");
}

#[tokio::test]
async fn the_tenant_is_read_from_the_configured_claim() {
    let server = TestServer::with(&[("JWT_TENANT_CLAIM", "https://rallycrm.io/org")]).await;
    let claim = "https://rallycrm.io/org";
    assert_accepted(&list_with_claims(&server, &json!({"tenant": null, claim: "acme"})).await, &claim);
    assert_accepted(&list_with_claims(&server, &json!({"tenant": "globex", claim: "acme"})).await, &claim);
    list_with_claims(&server, &json!({"tenant": "acme"})).await.refused(403, "wrong_tenant");
    list_with_claims(&server, &json!({"tenant": "acme", claim: "globex"})).await.refused(403, "wrong_tenant");
}

#[tokio::test]
async fn long_tokens_are_accepted_up_to_the_header_limit() {
    let server = TestServer::start().await;
    let long = sign(&claims(&server, &json!({"groups": vec!["a group of the directory"; 240]})));
    assert!(long.len() > 8 * 1024, "{}", long.len());
    assert_accepted(&list_with_token(&server, &long).await, &long.len());

    for padding in [40, 80] {
        let token = sign(&claims(&server, &json!({"padding": "x".repeat(padding * 1024)})));
        let request = format!(
            "GET {PATH} HTTP/1.1\r\nHost: acme.localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        let response = server.raw(request).await;
        assert!(response.starts_with("HTTP/1.1 431 ") || response.starts_with("HTTP/1.1 400 "), "{response:?}");
    }
    assert_accepted(&list_with_token(&server, &long).await, &"the server still responds");
}

/// Creates a key with a token of these claims and returns its `createdBy`.
async fn created_by(server: &TestServer, changes: &Value) -> Value {
    let client = server.client("acme", Credential::Bearer(sign(&claims(server, changes))));
    let key = client.create("A key", "read").await;
    client.get(&key.path()).await.expect(200)["createdBy"].clone()
}

#[tokio::test]
async fn created_by_is_the_verified_email_or_the_subject() {
    let server = TestServer::start().await;
    assert_eq!(created_by(&server, &json!({})).await, "admin@acme.com");
    assert_eq!(created_by(&server, &json!({"sub": null})).await, "admin@acme.com");
    assert_eq!(created_by(&server, &json!({"email": null})).await, "42");
    let longest = format!("{}@acme.com", "é".repeat(311));
    assert_eq!(created_by(&server, &json!({"email": longest})).await, json!(longest));
    assert_eq!(created_by(&server, &json!({"email": "🚀 <a@b>, \"c\" & 'd'; --"})).await, "🚀 <a@b>, \"c\" & 'd'; --");
    for (email, verified) in
        [("ceo@acme.com", json!(false)), ("ceo@acme.com", json!("false")), ("ceo@\u{202e}acme.com", json!(true))]
    {
        assert_eq!(created_by(&server, &json!({"email": email, "email_verified": verified})).await, "42", "{verified}");
    }
}

#[tokio::test]
async fn a_subject_that_cannot_be_stored_is_refused() {
    let server = TestServer::start().await;
    let long = "a".repeat(400);
    for name in ["admin\0@acme.com", "admin\n@acme.com", "\r\nX-Evil: 1", "a\u{1b}[2J", "a\u{7f}", "a\u{85}", &long] {
        for changes in [json!({"sub": name}), json!({"email": null, "sub": name})] {
            assert_invalid_token(&list_with_claims(&server, &changes).await, &changes);
            let client = server.client("acme", Credential::Bearer(sign(&claims(&server, &changes))));
            client.post(PATH, &json!({"name": "A key"})).await.refused(401, "invalid_token");
        }
    }
    assert_eq!(server.database.count("SELECT count(*) FROM api_keys").await, 0);
}

/// A user cannot appear as a key in what is recorded and passed on.
#[tokio::test]
async fn a_user_with_the_name_of_a_key_is_known_by_another_claim_or_refused() {
    let server = TestServer::start().await;
    let key = server.admin("acme").create("A key", "read").await;
    let name = format!("api-key:{}", key.id);
    assert_eq!(created_by(&server, &json!({"email": name})).await, "42");
    let reply = list_with_claims(&server, &json!({"email": null, "sub": name.to_uppercase()})).await;
    assert_invalid_token(&reply, &name);
    let reply = server
        .client("acme", Credential::Bearer(sign(&claims(&server, &json!({"email": name})))))
        .get("/forward-auth")
        .await;
    assert_eq!(reply.header("x-rally-principal"), "user:42");
}

#[tokio::test]
async fn the_user_is_named_by_the_configured_claim() {
    let server = TestServer::with(&[("JWT_NAME_CLAIM", "preferred_username, profile.login")]).await;
    assert_eq!(created_by(&server, &json!({"preferred_username": "zoe", "profile": {"login": "z"}})).await, "zoe");
    assert_eq!(created_by(&server, &json!({"profile": {"login": "z"}})).await, "z");
    assert_eq!(created_by(&server, &json!({"preferred_username": " ", "profile": null})).await, "42");
}

#[tokio::test]
async fn a_403_says_which_claims_were_read_and_what_they_held() {
    let server = TestServer::start().await;
    let detail = async |changes: Value| {
        let client = server.client("acme", Credential::Bearer(sign(&claims(&server, &changes))));
        let first = client.post(PATH, &json!({"name": "A key"})).await;
        first.refused(403, "insufficient_scope");
        let cached = client.post(PATH, &json!({"name": "A key"})).await;
        assert_eq!(first.json()["detail"], cached.json()["detail"]);
        first.json()["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        detail(json!({"scope": "openid", "scp": ["rally:write"]})).await,
        "This request needs the scope `admin`. The token grants `write`, by its claim `scp`."
    );
    let none = detail(json!({"scope": "openid email", "roles": ["owner"]})).await;
    assert!(none.contains("`scope` holds \"openid email\", `roles` holds [\"owner\"], `scp` is missing"), "{none}");
    let wrong = list_with_claims(&server, &json!({"tenant": ["globex", "initech"]})).await.json()["detail"].to_string();
    assert!(wrong.contains("`tenant` holds \\\"globex\\\", \\\"initech\\\""), "{wrong}");
}

/// The first claim that holds a known word.
#[tokio::test]
async fn scopes_are_read_from_the_first_claim_with_a_known_word() {
    let server = TestServer::start().await;
    for (claims_of_scopes, may_list, may_create) in [
        (json!({"scope": "read"}), true, false),
        (json!({"scope": "write"}), true, false),
        (json!({"scope": "admin"}), true, true),
        (json!({"scope": "openid profile admin"}), true, true),
        (json!({"scope": "read write"}), true, false),
        (json!({"scopes": "read,write"}), true, false),
        (json!({"scopes": "read, admin"}), true, true),
        (json!({"scopes": ["read"]}), true, false),
        (json!({"scopes": ["openid", "admin"]}), true, true),
        (json!({"role": "admin"}), true, true),
        (json!({"role": "read"}), true, false),
        (json!({"roles": ["admin"]}), true, true),
        (json!({"roles": ["member", "write"]}), true, false),
        (json!({"scope": "read", "scopes": "admin", "role": "admin", "roles": ["admin"]}), true, false),
        (json!({"scopes": "read", "role": "admin", "roles": ["admin"]}), true, false),
        (json!({"role": "read", "roles": ["admin"]}), true, true),
        (json!({"scope": "", "role": "admin"}), true, true),
        (json!({"scope": "openid", "role": "admin"}), true, true),
        (json!({"scope": "openid", "permissions": ["read"], "role": "admin"}), true, false),
        (json!({"scopes": [], "role": "admin"}), true, true),
        (json!({"scope": ["openid", "rally/write"]}), true, false),
        (json!({}), false, false),
        (json!({"scope": "Admin ADMIN administrator admin-readonly"}), false, false),
        (json!({"scope": "openid,admin"}), true, true),
        (json!({"scope": true, "admin": true}), false, false),
        (json!({"role": {"admin": true}}), false, false),
        (json!({"roles": [["admin"], {"name": "admin"}, 7]}), false, false),
    ] {
        let mut changes = claims_of_scopes.clone();
        if changes.get("scope").is_none() {
            changes["scope"] = Value::Null;
        }
        let client = server.client("acme", Credential::Bearer(sign(&claims(&server, &changes))));
        let listed = client.get(PATH).await;
        assert_eq!(listed.status, if may_list { 200 } else { 403 }, "{claims_of_scopes}: {listed:?}");
        let created = client.post(PATH, &json!({"name": "A key"})).await;
        assert_eq!(created.status, if may_create { 201 } else { 403 }, "{claims_of_scopes}: {created:?}");
        for reply in [listed, created].iter().filter(|reply| reply.status == 403) {
            reply.refused(403, "insufficient_scope");
        }
    }
}

#[tokio::test]
async fn a_claim_with_a_secret_in_it_is_not_repeated() {
    let server = TestServer::with(&[("JWT_ISSUER", "https://a.example")]).await;
    let secret = "rk_live_00112233445566778899aabbccddeeff";
    let good = json!({"iss": "https://a.example"});
    let claims_with = |changes: Value| {
        let mut claims = claims(&server, &good);
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    };
    let payload = |changes| claims_with(changes).to_string().into_bytes();
    let header = |name: &str| json!({"alg": "HS256", name: secret});
    for token in [
        sign(&claims_with(json!({"iss": secret}))),
        sign(&claims_with(json!({"tenant": secret}))),
        sign(&claims_with(json!({"tenant": {secret: {"id": secret}}}))),
        sign(&claims_with(json!({"scope": format!("openid {secret}")}))),
        sign(&claims_with(json!({"scope": [secret]}))),
        sign(&claims_with(json!({"email": secret, "sub": secret}))),
        sign(&claims_with(json!({"exp": secret}))),
        signed(&header("typ"), &payload(json!({}))),
        signed(&json!({"alg": secret}), &payload(json!({}))),
        signed(&header("crit"), &payload(json!({}))),
    ] {
        let reply = list_with_token(&server, &token).await;
        assert!([401, 403].contains(&reply.status.as_u16()), "{reply:?}");
        assert!(!reply.body.contains("rk_live_") && !format!("{:?}", reply.headers).contains("rk_live_"), "{reply:?}");
    }
}
