//! The reason of a refusal is in the log at its default level, by the request's id.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    binary::{Home, Service},
    client::{Client, Credential, PATH, Reply, send},
    harness::{JWT_SECRET, PEPPER, TestDatabase, sign},
};

const CHECK: &str = "/forward-auth";

async fn serve(home: &Home, database: &TestDatabase) -> (Service, Client) {
    let url = database.url_text(None).await;
    let settings = [
        ("DATABASE_URL", url.as_str()),
        ("JWT_SECRET", JWT_SECRET),
        ("KEY_PEPPER", PEPPER),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("LOG_FORMAT", "json"),
    ];
    let service = home.serve(&settings).await;
    let claims = json!({"sub": "1", "tenant": "acme", "scope": "admin", "exp": 4_000_000_000_u32});
    let admin = service.client("acme", Credential::Bearer(sign(&claims)));
    (service, admin)
}

/// The lines of a request.
fn lines_of(service: &Service, reply: &Reply) -> Vec<Value> {
    let id = reply.header("x-request-id");
    let lines = service.log();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["request_id"] == *id || line["span"]["request_id"] == *id).collect()
}

fn only_line(service: &Service, reply: &Reply) -> Value {
    let lines = lines_of(service, reply);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.into_iter().next().unwrap()
}

async fn check(client: &Client) -> Reply {
    check_by(client, Method::GET).await
}

async fn check_by(client: &Client, method: Method) -> Reply {
    let request = client.request(method, CHECK).header("x-forwarded-for", "198.51.100.7");
    send(request.header("user-agent", "zapier/1.0")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_line_of_a_bad_check_names_the_part_of_the_request_at_fault() {
    let (database, home) = (TestDatabase::create().await, Home::new("bad-check"));
    let (service, admin) = serve(&home, &database).await;
    let client = admin.with_key(&admin.create("Zapier", "read").await.secret);
    for (path, header, fields) in [
        (CHECK, ("x-rally-role", "their-value"), "(header)"),
        ("/forward-auth?their-name=1", ("accept", "*/*"), "(parameter)"),
        ("/forward-auth?scope=their-value", ("accept", "*/*"), "scope"),
        (CHECK, ("x-rally-min-revision", "their-value"), "x-rally-min-revision"),
        (CHECK, ("x-rally-required-scope", "their-value"), "x-rally-required-scope"),
    ] {
        let refused = send(client.request(Method::GET, path).header(header.0, header.1)).await;
        let line = only_line(&service, &refused);
        assert_eq!((&line["code"], &line["fields"]), (&json!("invalid_request"), &json!(fields)), "{line}");
        assert!(!line.to_string().contains("their-"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_check_leaves_a_line_with_what_is_known_of_its_caller() {
    let (database, home) = (TestDatabase::create().await, Home::new("refusal-log"));
    let (service, admin) = serve(&home, &database).await;
    let key = admin.create("Zapier", "read").await;
    let client = admin.with_key(&key.secret);
    assert_eq!(lines_of(&service, &check(&client).await), [Value::Null; 0], "an accepted check has no line");

    let refused = check_by(&client, Method::POST).await;
    refused.refused(403, "insufficient_scope");
    let line = only_line(&service, &refused);
    for (field, value) in [
        ("level", "INFO"),
        ("message", "refused a check"),
        ("tenant", "acme"),
        ("code", "insufficient_scope"),
        ("key_id", key.id.as_str()),
        ("address", "198.51.100.7"),
        ("user_agent", "zapier/1.0"),
    ] {
        assert_eq!(line[field], value, "{line}");
    }
    assert_eq!(line["status"], 403, "{line}");

    admin.delete(&key.path()).await.expect(204);
    // From the database, and then from the cache.
    for _ in 0..2 {
        let refused = check(&client).await;
        refused.refused(401, "key_revoked");
        let line = only_line(&service, &refused);
        assert_eq!((&line["code"], &line["key_id"]), (&json!("key_revoked"), &json!(key.id)), "{line}");
    }
    let unknown = check(&admin.with_key("rk_live_00000000000000000000000000000000")).await;
    unknown.refused(401, "invalid_key");
    let line = only_line(&service, &unknown);
    assert_eq!((&line["tenant"], line.get("key_id")), (&json!("acme"), None), "{line}");

    // The reason of a refused token is what its 401 says.
    let expected = json!({"sub": "1", "tenant": "acme", "scope": "admin"});
    let refused = check(&admin.with(Credential::Bearer(sign(&expected)))).await;
    let detail = refused.refused(401, "invalid_token")["detail"].clone();
    assert_eq!(only_line(&service, &refused)["detail"], detail);

    // Without a tenant, the host tells what the gateway sent.
    let refused = check(&admin.on("gateway.internal:8080")).await;
    let line = only_line(&service, &refused);
    assert_eq!((&line["host"], &line["code"]), (&json!("gateway.internal:8080"), &json!("tenant_not_found")), "{line}");
    let hidden = format!("{}.localhost", key.secret.replace('_', "-"));
    let line = only_line(&service, &check(&admin.on(hidden)).await);
    assert_eq!(line["host"], "[redacted]", "{line}");
    assert!(!service.log().contains(&key.secret[8..]), "no secret in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_refused_checks_leaves_few_lines_for_each_tenant_and_code() {
    let (database, home) = (TestDatabase::create().await, Home::new("refusal-flood"));
    let (service, admin) = serve(&home, &database).await;
    let attacker = admin.with_key("rk_live_00000000000000000000000000000000");
    for _ in 0..100 {
        assert_eq!(check(&attacker).await.status, 401);
    }
    let lines = service.log().lines().filter(|line| line.contains("refused a check")).count();
    // Each minute has ten, and the test may see the start of a second one.
    assert!((10..=20).contains(&lines), "{lines}");
    // Another tenant has a limit of its own. (Two codes: one of them may share its limit with the flood, by its hash.)
    let other = attacker.on("globex.localhost");
    let replies = [check(&other).await, check(&other.with(Credential::None)).await];
    let lines: Vec<_> = replies.iter().flat_map(|reply| lines_of(&service, reply)).collect();
    assert!(lines.iter().any(|line| line["tenant"] == "globex"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_a_management_call_has_its_key_address_host_and_bad_fields() {
    let (database, home) = (TestDatabase::create().await, Home::new("management-log"));
    let (service, admin) = serve(&home, &database).await;
    let from = |request: reqwest::RequestBuilder| request.header("x-forwarded-for", "198.51.100.7");
    let created = send(from(admin.request(Method::POST, PATH).json(&json!({"name": "Zapier"})))).await;
    let body = created.expect(201);
    let line = only_line(&service, &created);
    let span = &line["span"];
    assert_eq!(span["key_id"], body["id"], "{line}");
    assert_eq!((&span["address"], &span["host"]), (&json!("198.51.100.7"), &json!("acme.localhost")), "{line}");

    let path = format!("{PATH}/{}", body["id"].as_str().unwrap());
    let patch = json!({"name": "", "scopes": "all", "a name that the client chose": 1});
    let refused = admin.patch(&path, &patch).await;
    assert_eq!(refused.bad_fields().len(), 3);
    let line = only_line(&service, &refused);
    assert_eq!((&line["fields"], &line["span"]["key_id"]), (&json!("name,scopes,(unknown)"), &body["id"]), "{line}");

    admin.delete(&path).await.expect(204);
    let refused = admin.with_key(body["key"].as_str().unwrap()).get(PATH).await;
    refused.refused(401, "key_revoked");
    let line = only_line(&service, &refused);
    let principal = format!("api-key:{}", body["id"].as_str().unwrap());
    assert_eq!((&line["code"], &line["span"]["principal"]), (&json!("key_revoked"), &json!(principal)), "{line}");
}
