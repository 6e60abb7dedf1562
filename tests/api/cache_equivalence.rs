//! Caches change no response: a matrix of requests to an instance with warm caches and to one with cold caches.

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL};
use chrono::{SecondsFormat, TimeDelta};
use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    cache_states::{Instance, Lookups, Metrics, warm_and_cold},
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::{TestServer, sign},
};

const CHECK: &str = "/forward-auth";
const HOST: &str = "acme.localhost";
const UNKNOWN_KEY: &str = "/api/v1/api-keys/a1b2c3d4-e5f6-7890-abcd-ef1234567890";
const UNKNOWN_SECRET: &str = "rk_live_00000000000000000000000000000000";
/// So that `X-Forwarded-Host` counts.
const SETTINGS: [(&str, &str); 1] = [("TRUSTED_PROXIES", "127.0.0.1")];
/// In minutes: how far the clock is turned after the warm caches were filled. Some keys, secrets and tokens end within,
/// so that the cache holds some that have ended.
const LATER: i64 = 10;

/// What a caller presents.
struct Presented {
    name: String,
    /// Header lines. The argument goes into the `jti` of JWTs: with a new one, a token has never been seen.
    headers: Box<dyn Fn(&str) -> HeaderLines>,
}

type HeaderLines = Vec<(&'static str, String)>;

impl Presented {
    fn new(name: impl Into<String>, headers: &[(&'static str, &str)]) -> Self {
        let headers: HeaderLines = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { name: name.into(), headers: Box::new(move |_| headers.clone()) }
    }

    fn secret(name: &str, secret: &str) -> [Self; 2] {
        [
            Self::new(format!("X-Api-Key: {name}"), &[("x-api-key", secret)]),
            Self::new(format!("Bearer {name}"), &[("authorization", &format!("Bearer {secret}"))]),
        ]
    }

    /// A JWT of acme's admin whose claims are changed (null removes one), and which is altered after it was signed.
    fn token(name: &str, server: &TestServer, changes: &Value, alter: fn(&str) -> String) -> Self {
        let mut claims = json!({
            "sub": "42",
            "email": "admin@acme.com",
            "tenant": "acme",
            "scope": "admin",
            "exp": (server.clock.now() + TimeDelta::hours(1)).timestamp(),
        });
        for (name, value) in changes.as_object().expect("an object") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("an object").retain(|_, value| !value.is_null());
        let headers = move |jti: &str| {
            let mut claims = claims.clone();
            claims["jti"] = jti.into();
            vec![("authorization", format!("Bearer {}", alter(&sign(&claims))))]
        };
        Self { name: format!("JWT: {name}"), headers: Box::new(headers) }
    }
}

/// The last byte of the signature, changed.
fn with_another_signature(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let mut signature = BASE64URL.decode(signature).expect("base64");
    *signature.last_mut().expect("a signature") ^= 1;
    format!("{signed}.{}", BASE64URL.encode(signature))
}

/// The claims, under the algorithm `none`.
fn without_signature(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("three parts");
    format!("{}.{claims}.", BASE64URL.encode(r#"{"alg":"none","typ":"JWT"}"#))
}

async fn rotate(admin: &Client, key: &CreatedKey, overlap_seconds: u64) -> String {
    let rotated = admin.post(&format!("{}/rotate", key.path()), &json!({"overlapSeconds": overlap_seconds})).await;
    rotated.expect(200)["key"].as_str().expect("a secret").to_owned()
}

/// Every kind of credential.
async fn credentials(server: &TestServer) -> Vec<Presented> {
    let admin = server.admin("acme");
    let in_minutes = |minutes| {
        let end = server.clock.now() + TimeDelta::minutes(minutes);
        json!(end.to_rfc3339_opts(SecondsFormat::Secs, true))
    };
    let mut all = Vec::new();
    let mut secret = |name: &str, secret: &str| all.extend(Presented::secret(name, secret));

    let reader = admin.create("Reader", "read").await;
    secret("read", &reader.secret);
    let writer = admin.create("Writer", "write").await;
    secret("write", &writer.secret);
    secret("admin", &admin.create("Admin", "admin").await.secret);
    secret("read,write", &admin.create("Both", "read,write").await.secret);
    for (name, minutes) in [("ends later", LATER + 60), ("has expired", LATER - 5)] {
        let body = json!({"name": name, "scopes": "write", "expiresAt": in_minutes(minutes)});
        secret(name, &admin.create_with(&body).await.secret);
    }
    for (name, end) in [("revoked", Value::Null), ("revoked and expired", in_minutes(LATER - 5))] {
        let key = admin.create_with(&json!({"name": name, "expiresAt": end})).await;
        admin.delete(&key.path()).await.expect(204);
        secret(name, &key.secret);
    }
    for (name, until) in [
        ("suspended", Value::Null),
        ("suspension has ended", in_minutes(LATER - 5)),
        ("suspended still", in_minutes(LATER + 60)),
    ] {
        let key = admin.create(name, "write").await;
        admin.post(&format!("{}/suspend", key.path()), &json!({"until": until})).await.expect(200);
        secret(name, &key.secret);
    }
    for (name, addresses) in [("from here", json!(["127.0.0.0/8", "::1"])), ("from elsewhere", json!(["192.0.2.0/24"]))]
    {
        let body = json!({"name": name, "scopes": "write", "allowedAddresses": addresses});
        secret(name, &admin.create_with(&body).await.secret);
    }
    for (name, overlap_seconds) in [("overlap goes on", 86_400), ("overlap has ended", 60), ("without overlap", 0)] {
        let key = admin.create(name, "write").await;
        let new = rotate(&admin, &key, overlap_seconds).await;
        secret(&format!("old, {name}"), &key.secret);
        secret(&format!("new, {name}"), &new);
    }
    let ended = admin.create("Overlap ended by hand", "write").await;
    rotate(&admin, &ended, 86_400).await;
    admin.delete(&format!("{}/previous-secret", ended.path())).await.expect(204);
    secret("old, overlap ended by hand", &ended.secret);
    secret("another tenant's", &server.admin("globex").create("Elsewhere", "admin").await.secret);
    secret("unknown", UNKNOWN_SECRET);
    secret("too short", &reader.secret[..39]);
    secret("too long", &format!("{}0", reader.secret));
    secret("in upper case", &reader.secret.to_uppercase());
    secret("in spaces", &format!(" {} ", reader.secret));
    secret("a prefix", "rk_live_");
    secret("of another kind", "sk_live_00000000000000000000000000000000");

    let (reading, writing) = (reader.secret.as_str(), writer.secret.as_str());
    let (bearer_reading, bearer_writing) = (format!("Bearer {reading}"), format!("Bearer {writing}"));
    let bearer_token = format!("Bearer {}", server.token("acme", "admin"));
    for (name, headers) in [
        ("none", &[][..]),
        ("empty X-Api-Key", &[("x-api-key", "")]),
        ("empty Authorization", &[("authorization", "")]),
        ("Bearer of nothing", &[("authorization", "Bearer")]),
        ("empty X-Api-Key beside a secret", &[("x-api-key", ""), ("authorization", &bearer_reading)]),
        ("empty Authorization beside a secret", &[("x-api-key", reading), ("authorization", "")]),
        ("one secret in both headers", &[("x-api-key", reading), ("authorization", &bearer_reading)]),
        ("two secrets", &[("x-api-key", reading), ("authorization", &bearer_writing)]),
        ("a secret and a JWT", &[("x-api-key", reading), ("authorization", &bearer_token)]),
        ("X-Api-Key twice", &[("x-api-key", reading), ("x-api-key", reading)]),
        ("two X-Api-Key in one line", &[("x-api-key", &format!("{reading}, {writing}"))]),
        ("an empty Bearer beside a secret", &[("x-api-key", reading), ("authorization", "Bearer")]),
        ("two X-Api-Key", &[("x-api-key", reading), ("x-api-key", writing)]),
        ("Authorization twice", &[("authorization", &bearer_token), ("authorization", &bearer_token)]),
        ("Basic", &[("authorization", "Basic cmVhZGVyOnNlY3JldA==")]),
        ("a secret without Bearer", &[("authorization", reading)]),
        ("a JWT as X-Api-Key", &[("x-api-key", &bearer_token["Bearer ".len()..])]),
        ("JWT: garbage", &[("authorization", "Bearer x.y.z")]),
    ] {
        all.push(Presented::new(name, headers));
    }
    all.push(Presented::new("bearer in lower case", &[("authorization", &format!("bearer {reading}"))]));

    let at = |minutes| (server.clock.now() + TimeDelta::minutes(minutes)).timestamp();
    for (name, changes) in [
        ("admin", json!({})),
        ("write", json!({"scope": "write"})),
        ("read", json!({"scope": "read"})),
        ("read write", json!({"scope": "read write"})),
        ("no scope", json!({"scope": null})),
        ("an unknown scope", json!({"scope": "everything"})),
        ("expired", json!({"exp": at(-5)})),
        ("has expired", json!({"exp": at(LATER - 5)})),
        ("not valid yet", json!({"nbf": at(LATER + 5)})),
        ("valid by now", json!({"nbf": at(LATER - 5)})),
        ("without end", json!({"exp": null})),
        ("tenant by id", json!({"tenant": server.database.acme.to_string()})),
        ("another tenant's", json!({"tenant": "globex"})),
        ("no tenant's", json!({"tenant": null})),
        ("without address", json!({"email": null})),
        ("a name beyond ASCII", json!({"email": "zoë@acme.com"})),
    ] {
        all.push(Presented::token(name, server, &changes, str::to_owned));
    }
    all.push(Presented::token("another signature", server, &json!({}), with_another_signature));
    all.push(Presented::token("alg none", server, &json!({}), without_signature));
    all
}

/// A request, but for its credential.
#[derive(Clone, Debug)]
struct Target {
    method: &'static str,
    path: String,
    host: &'static str,
    headers: Vec<(&'static str, &'static str)>,
}

fn target(method: &'static str, path: impl Into<String>) -> Target {
    Target { method, path: path.into(), host: HOST, headers: Vec::new() }
}

/// What each credential is presented for. `bystander` is the newest key, which nobody uses: `lastUsedAt` of the others
/// depends on when usage was written last, so the list is asked for that key alone.
fn targets(bystander: &CreatedKey) -> Vec<Target> {
    let mut targets = Vec::new();
    let methods = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PURGE"];
    targets.extend(methods.map(|method| target(method, CHECK)));
    for headers in [
        &[("x-forwarded-method", "POST")][..],
        &[("x-original-method", "DELETE")],
        &[("x-forwarded-method", "get")],
        &[("x-forwarded-method", "HEAD"), ("x-original-method", "OPTIONS")],
        &[("x-forwarded-method", "GET"), ("x-original-method", "PUT")],
        &[("x-forwarded-method", "GET"), ("x-forwarded-method", "PATCH")],
        &[("x-http-method-override", "DELETE")],
        &[("x_method_override", "PUT")],
        &[("x-forwarded-for", "192.0.2.7")],
        &[("x-forwarded-for", "::ffff:192.0.2.7")],
        &[("x-forwarded-for", "198.51.100.1, 127.0.0.1")],
        &[("x-rally-required-scope", "admin")],
        &[("x-rally-required-scope", "read, write")],
        &[("x-rally-required-scope", "Admin")],
    ] {
        targets.push(Target { headers: headers.to_vec(), ..target("GET", CHECK) });
    }
    targets.push(Target { headers: vec![("x-forwarded-method", "GET")], ..target("POST", CHECK) });
    let queries = [
        "?scope=read",
        "?scope=write",
        "?scope=admin",
        "?scope=bogus",
        "?scope=read&scope=admin",
        "?scopes=admin",
        "/?scope=admin",
    ];
    targets.extend(queries.map(|query| target("GET", format!("{CHECK}{query}"))));
    targets.extend(["?scope=read", "?scope=admin"].map(|query| target("POST", format!("{CHECK}{query}"))));
    targets.extend(["GET", "POST"].map(|method| target(method, format!("{CHECK}/contacts/7?scope=admin"))));
    for (host, forwarded) in [
        ("ACME.LocalHost", None),
        ("acme.localhost:8080", None),
        ("acme.localhost.", None),
        ("nobody.localhost", None),
        ("localhost", None),
        ("globex.localhost", None),
        ("gateway.internal", None),
        ("gateway.internal", Some(HOST)),
        ("gateway.internal", Some("globex.localhost")),
        ("gateway.internal", Some("nobody.localhost")),
        (HOST, Some(HOST)),
        (HOST, Some("globex.localhost")),
        ("gateway.internal", Some("acme.localhost, globex.localhost")),
    ] {
        let headers = forwarded.map(|forwarded| ("x-forwarded-host", forwarded)).into_iter().collect();
        targets.push(Target { host, headers, ..target("GET", CHECK) });
    }
    targets.push(target("GET", format!("{PATH}?limit=1")));
    targets.push(target("GET", format!("{PATH}?limit=0")));
    targets.push(target("GET", bystander.path()));
    targets.push(target("GET", UNKNOWN_KEY));
    targets
}

struct Case<'a> {
    number: usize,
    target: &'a Target,
    presented: &'a Presented,
}

impl Case<'_> {
    fn name(&self) -> String {
        let Target { method, path, host, headers } = self.target;
        format!("{method} {host}{path} {headers:?}, {}", self.presented.name)
    }
}

fn cases<'a>(targets: &'a [Target], credentials: &'a [Presented]) -> Vec<Case<'a>> {
    let product = targets.iter().flat_map(|target| credentials.iter().map(move |presented| (target, presented)));
    product.enumerate().map(|(number, (target, presented))| Case { number, target, presented }).collect()
}

/// The responses to all cases, in their order, some requests at a time.
async fn responses(server: &TestServer, cases: &[Case<'_>], jti: impl Fn(usize) -> String) -> Vec<Reply> {
    let requests = cases.iter().map(|Case { number, target, presented }| {
        let client = server.client("acme", Credential::None).on(target.host);
        let request = client.request(target.method.parse::<Method>().expect("a method"), &target.path);
        let request = target.headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let headers = (presented.headers)(&jti(*number));
        send(headers.into_iter().fold(request, |request, (name, value)| request.header(name, value)))
    });
    stream::iter(requests).buffered(8).collect().await
}

/// On a warm instance every use of a token is the same token.
async fn warm_responses(server: &TestServer, cases: &[Case<'_>]) -> Vec<Reply> {
    responses(server, cases, |_| "warm".to_owned()).await
}

/// On a cold instance no token is used twice.
async fn cold_responses(server: &TestServer, cases: &[Case<'_>]) -> Vec<Reply> {
    responses(server, cases, |number| format!("cold {number}")).await
}

/// The cases whose responses differ in status, headers or body.
fn differences(cases: &[Case<'_>], warm: &[Reply], cold: &[Reply]) -> Vec<String> {
    assert_eq!((warm.len(), cold.len()), (cases.len(), cases.len()));
    let compared = cases.iter().zip(warm).zip(cold);
    compared
        .map(|((case, warm), cold)| (case, warm.apart_from_request_id(), cold.apart_from_request_id()))
        .filter(|(_, warm, cold)| warm != cold)
        .map(|(case, warm, cold)| format!("{}\n--- warm: {warm}\n--- cold: {cold}\n", case.name()))
        .collect()
}

/// Lookups of secrets, and how many of them found none.
async fn secrets(Instance { server, .. }: &Instance) -> (Lookups, u64) {
    let metrics = Metrics::of(server).await;
    (metrics.lookups("secrets"), metrics.count(r#"rally_key_verifications_total{result="invalid",source="none"}"#))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_warm_and_with_cold_caches_has_one_response() {
    let [warm, cold] = warm_and_cold(&SETTINGS).await;
    let credentials = credentials(&warm.server).await;
    let bystander = warm.server.admin("acme").create("Bystander", "read").await;
    let targets = targets(&bystander);
    let cases = cases(&targets, &credentials);
    println!("{} cases: {} credentials, {} targets", cases.len(), credentials.len(), targets.len());
    assert!(cases.len() >= 250);

    warm_responses(&warm.server, &cases).await;
    warm.server.clock.turn(TimeDelta::minutes(LATER));
    let (before, none_before) = secrets(&warm).await;
    let of_warm = warm_responses(&warm.server, &cases).await;
    let (after, none_after) = secrets(&warm).await;
    let of_cold = cold_responses(&cold.server, &cases).await;

    let differing = differences(&cases, &of_warm, &of_cold);
    assert!(differing.is_empty(), "{} of {} cases differ:\n{}", differing.len(), cases.len(), differing.join("\n"));

    // Every lookup on the warm instance was a hit, but for secrets that do not exist; on the cold one each was a miss.
    let (hits, misses) = (after.hits - before.hits, after.misses - before.misses);
    assert_eq!(misses, none_after - none_before, "a secret that exists was not cached");
    let (of_cold_caches, _) = secrets(&cold).await;
    assert_eq!(of_cold_caches, Lookups { hits: 0, misses: hits + misses });
    assert_eq!(Metrics::of(&cold.server).await.lookups("tenants").hits, 0);
    assert!(hits > 250, "{hits}");

    let codes: BTreeSet<_> = of_warm.iter().filter_map(|reply| reply.headers.get("x-rally-error")).collect();
    for code in [
        "address_not_allowed",
        "ambiguous_credentials",
        "ambiguous_tenant",
        "insufficient_scope",
        "invalid_key",
        "invalid_request",
        "invalid_token",
        "key_expired",
        "key_revoked",
        "key_suspended",
        "missing_credentials",
        "tenant_not_found",
        "wrong_tenant",
    ] {
        assert!(codes.iter().any(|found| *found == code), "no case is refused by {code}: {codes:?}");
    }
    let statuses: BTreeSet<_> = of_warm.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses, BTreeSet::from([200, 400, 401, 403, 404]));
}

/// The negative control: a change that no notification tells of leaves the warm cache stale.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_cache_is_a_difference() {
    let [warm, cold] = warm_and_cold(&SETTINGS).await;
    let key = warm.server.admin("acme").create("Revoked in secret", "read").await;
    let credentials = Presented::secret("revoked in secret", &key.secret);
    let targets = [target("GET", CHECK), target("DELETE", CHECK)];
    let cases = cases(&targets, &credentials);
    let differing = async || {
        let of_warm = warm_responses(&warm.server, &cases).await;
        differences(&cases, &of_warm, &cold_responses(&cold.server, &cases).await)
    };
    assert_eq!(differing().await, [] as [String; 0]);
    let revoke = format!(
        "ALTER TABLE api_keys DISABLE TRIGGER USER; UPDATE api_keys SET revoked_at = now() WHERE id = '{}'",
        key.id
    );
    warm.server.database.execute(&revoke).await;
    let differing = differing().await;
    assert_eq!(differing.len(), cases.len(), "{differing:?}");
    assert!(differing[0].contains("--- warm: 200 OK") && differing[0].contains("key_revoked"), "{}", differing[0]);
}
