//! No log line contains a secret, at any level, wherever a client sends the secret.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD},
};
use chrono::{TimeDelta, Utc};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rand::{TryRng as _, rngs::SysRng};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::net::TcpStream;

use crate::{
    binary::{Home, Service},
    client::{Client, CreatedKey, Credential, PATH, Reply, send},
    harness::{JWT_SECRET, TestDatabase, sign},
    raw::RawConnection,
};

const DATABASE_PASSWORD: &str = "the-databases-own-password";

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).unwrap();
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Texts that must not appear, each with a description.
#[derive(Default)]
struct ForbiddenText(Vec<(String, String)>);

impl ForbiddenText {
    fn add_text(&mut self, what: &str, text: &str) {
        assert!(text.len() >= 12, "{what} is too short: it could match by chance");
        self.0.push((what.to_owned(), text.to_owned()));
    }

    /// Adds bytes in each form in which they could be printed.
    fn add_bytes(&mut self, what: &str, bytes: &[u8]) {
        self.add_text(&format!("{what} in hex"), &hex(bytes));
        self.add_text(&format!("{what} in HEX"), &hex(bytes).to_uppercase());
        self.add_text(&format!("{what} in base64"), &BASE64_STANDARD_NO_PAD.encode(bytes));
        self.add_text(&format!("{what} in base64url"), &BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let list = format!("{:?}", &bytes[..8]);
        self.add_text(&format!("{what} as a list"), list.trim_matches(['[', ']']));
        self.add_text(&format!("{what} as a list in hex"), format!("{:02x?}", &bytes[..8]).trim_matches(['[', ']']));
    }

    /// Adds an API key's secret: without its prefix, each half, and as `Debug` prints bytes.
    fn add_secret(&mut self, what: &str, secret: &str) {
        self.add_text(&format!("{what}'s digits"), &secret[8..]);
        // Half of a secret must not be logged either.
        self.add_text(&format!("{what}'s first half"), &secret[8..24]);
        self.add_text(&format!("{what}'s last half"), &secret[24..]);
        let list = format!("{:?}", secret.as_bytes());
        self.add_text(&format!("{what} as a list"), &list[1..list.len() - 1]);
    }

    /// Adds a JWT: the whole token, its claims and its signature.
    fn add_token(&mut self, what: &str, token: &str) {
        let parts: Vec<_> = token.split('.').collect();
        self.add_text(what, token);
        self.add_text(&format!("{what}'s claims"), parts[1]);
        self.add_text(&format!("{what}'s signature"), parts[2]);
    }

    /// The first line that contains each forbidden text.
    fn find_in(&self, place: &str, text: &str) -> Vec<String> {
        let found = |(what, forbidden): &(String, String)| {
            let line = text.lines().find(|line| line.contains(forbidden.as_str()))?;
            Some(format!("{place} contains {what}: {}", line.chars().take(600).collect::<String>()))
        };
        self.0.iter().filter_map(found).collect()
    }
}

/// Sends valid, invalid and misplaced secrets to the service, and records all of them.
struct Scenario {
    service: Service,
    admin: Client,
    /// Must not appear in any log.
    forbidden: ForbiddenText,
    /// Secrets that a client sent in a data field. Responses and the statements that PostgreSQL logs may
    /// contain them, the service's log may not.
    stored_as_data: ForbiddenText,
    /// Headers and bodies of the responses, which must not contain a secret either.
    responses: String,
    /// The number of requests that got a response.
    response_count: usize,
}

impl Scenario {
    fn token(&mut self, what: &str, change: impl FnOnce(&mut Value)) -> String {
        let exp = (Utc::now() + TimeDelta::hours(1)).timestamp();
        let nonce = hex(&random::<8>());
        let mut claims = json!({"sub": nonce, "tenant": "acme", "scope": "admin", "exp": exp});
        change(&mut claims);
        let token = sign(&claims);
        self.forbidden.add_token(what, &token);
        token
    }

    /// A secret that belongs to no key.
    fn random_secret(&mut self, what: &str) -> String {
        let secret = format!("rk_live_{}", hex(&random::<16>()));
        self.forbidden.add_secret(&format!("the secret in {what}"), &secret);
        secret
    }

    /// A secret that belongs to no key and that the request looks up in the database or gets back.
    fn random_secret_stored_as_data(&mut self, what: &str) -> String {
        let secret = self.random_secret(what);
        let secret_texts = self.forbidden.0.split_off(self.forbidden.0.len() - 4);
        self.stored_as_data.0.extend(secret_texts);
        secret
    }

    async fn create(&mut self, name: &str, scopes: &str) -> CreatedKey {
        let key = self.admin.create(name, scopes).await;
        self.response_count += 1;
        self.forbidden.add_secret(name, &key.secret);
        key
    }

    fn record(&mut self, status: u16, reply: &Reply) {
        assert_eq!(reply.status.as_u16(), status, "{reply:?}");
        self.response_count += 1;
        self.responses.push_str(&format!("{:?}\n{}\n", reply.headers, reply.body));
    }

    async fn expect_status(&mut self, status: u16, request: reqwest::RequestBuilder) {
        let reply = send(request).await;
        self.record(status, &reply);
    }

    /// Calls every endpoint with each kind of credential, with success and with failure.
    async fn use_credentials(&mut self, database: &TestDatabase) {
        let admin = self.admin.clone();
        let key = self.create("the created key", "admin").await;
        let in_bearer = admin.with(Credential::Bearer(key.secret.clone()));
        for client in [admin.clone(), admin.with_key(&key.secret), in_bearer] {
            let other = client.create("Other", "read").await;
            self.response_count += 1;
            self.forbidden.add_secret("another key", &other.secret);
            self.expect_status(200, client.request(Method::GET, PATH)).await;
            self.expect_status(200, client.request(Method::GET, &other.path())).await;
            let patch =
                client.request(Method::PATCH, &other.path()).json(&json!({"name": "Renamed", "scopes": "write"}));
            self.expect_status(200, patch).await;
            self.expect_status(200, client.with_key(&other.secret).request(Method::GET, &format!("{PATH}/self"))).await;
            self.expect_status(403, client.with_key(&other.secret).request(Method::DELETE, &key.path())).await;
            self.expect_status(204, client.request(Method::DELETE, &other.path())).await;
            self.expect_status(401, client.with_key(&other.secret).request(Method::GET, PATH)).await;
            let patch = client.request(Method::PATCH, &other.path()).json(&json!({"name": "Too late"}));
            self.expect_status(409, patch).await;
            self.expect_status(400, client.request(Method::POST, PATH).json(&json!({"name": 1, "scopes": "all"})))
                .await;
            self.expect_status(
                404,
                client.request(Method::GET, "/api/v1/api-keys/00000000-0000-0000-0000-000000000000"),
            )
            .await;
            self.expect_status(405, client.request(Method::PUT, PATH)).await;
        }
        let leaving = self.create("the leaving key", "read").await;
        self.expect_status(204, admin.with_key(&leaving.secret).request(Method::DELETE, &format!("{PATH}/self"))).await;

        // Another tenant's host, and secrets that match no key.
        self.expect_status(401, admin.with_key(&key.secret).on("globex.localhost").request(Method::GET, PATH)).await;
        let secret = self.random_secret("X-Api-Key");
        self.expect_status(401, admin.with_key(&secret).request(Method::GET, PATH)).await;
        let secret = self.random_secret("Bearer");
        self.expect_status(401, admin.with(Credential::Bearer(secret)).request(Method::GET, PATH)).await;
        let cut = self.random_secret("X-Api-Key, cut short");
        self.expect_status(401, admin.with_key(&cut[..39]).request(Method::GET, PATH)).await;
        let upper = self.random_secret("X-Api-Key, in capitals").to_uppercase();
        self.forbidden.add_text("the secret in capitals", &upper);
        self.expect_status(401, admin.with_key(&upper).request(Method::GET, PATH)).await;
        let (one, two) = (self.random_secret("one of two headers"), self.random_secret("the other of two headers"));
        let both = admin.with_key(&one).request(Method::GET, PATH).header("authorization", format!("Bearer {two}"));
        self.expect_status(400, both).await;
        let basic = BASE64_STANDARD.encode(format!("api:{}", self.random_secret("Basic")));
        self.forbidden.add_text("Basic credentials", &basic);
        let anonymous = admin.with(Credential::None);
        let request = anonymous.request(Method::GET, PATH).header("authorization", format!("Basic {basic}"));
        self.expect_status(401, request).await;
        let proxy = self.random_secret("Proxy-Authorization");
        let request = anonymous.request(Method::GET, PATH).header("proxy-authorization", format!("Bearer {proxy}"));
        self.expect_status(401, request).await;

        // Valid and invalid tokens.
        for (what, status, token) in [
            ("a reader's token", 200, self.token("a reader's token", |claims| claims["scope"] = json!("read"))),
            ("an expired token", 401, self.token("an expired token", |claims| claims["exp"] = json!(1_000_000))),
            ("another tenant's", 403, self.token("another tenant's", |claims| claims["tenant"] = json!("globex"))),
            (
                "a token with an invalid exp",
                401,
                self.token("a token with an invalid exp", |claims| claims["exp"] = json!("soon")),
            ),
        ] {
            let reply = admin.with(Credential::Bearer(token)).get(PATH).await;
            self.record(status, &reply);
            assert!(!reply.body.contains("eyJ"), "{what}: {reply:?}");
        }
        let forged = self.token("a good token", |_| {});
        let (rest, signature) = forged.rsplit_once('.').unwrap();
        let forged = format!("{rest}.{}", signature.chars().rev().collect::<String>());
        self.forbidden.add_token("a forged token", &forged);
        self.expect_status(401, admin.with(Credential::Bearer(forged)).request(Method::GET, PATH)).await;

        // Verified by argon2, then stamped again.
        let fallback = self.create("the key without a stamp", "read").await;
        let id = &fallback.id;
        let sql = format!("UPDATE api_key_secrets SET stamp = NULL, pepper_id = NULL WHERE key_id = '{id}'");
        database.execute(&sql).await;
        self.expect_status(200, admin.with_key(&fallback.secret).request(Method::GET, PATH)).await;
        assert!(self.service.log().contains("wrote the stamp"), "argon2 was not used");
        // A key whose stamp was forged in the database.
        let forged = self.create("the key with a forged stamp", "read").await;
        let id = &forged.id;
        let sql = format!("UPDATE api_key_secrets SET stamp = sha256('forged') WHERE key_id = '{id}'");
        database.execute(&sql).await;
        self.expect_status(401, admin.with_key(&forged.secret).request(Method::GET, PATH)).await;
        assert!(self.service.log().contains("forged, copied or damaged"));
    }

    /// Sends secrets in places where they do not belong.
    async fn send_misplaced_secrets(&mut self) {
        let admin = self.admin.clone();
        let anonymous = admin.with(Credential::None);
        for client in [&admin, &anonymous] {
            let ok = if std::ptr::eq(client, &raw const admin) { 200 } else { 401 };
            let or_401 = |status: u16| if ok == 200 { status } else { 401 };
            let secret = self.random_secret("a query");
            self.expect_status(or_401(400), client.request(Method::GET, &format!("{PATH}?key={secret}"))).await;
            let secret = self.random_secret("a cursor");
            self.expect_status(or_401(400), client.request(Method::GET, &format!("{PATH}?limit=1&cursor={secret}")))
                .await;
            let secret = self.random_secret("a search");
            self.expect_status(or_401(400), client.request(Method::GET, &format!("{PATH}?search={secret}"))).await;
            let secret = self.random_secret("a name");
            let body = json!({"name": format!("Zapier {secret}")});
            self.expect_status(or_401(400), client.request(Method::POST, PATH).json(&body)).await;
            let secret = self.random_secret("a path");
            self.expect_status(or_401(400), client.request(Method::GET, &format!("{PATH}/{secret}"))).await;
            let secret = self.random_secret("a path of a DELETE");
            self.expect_status(or_401(400), client.request(Method::DELETE, &format!("{PATH}/{secret}"))).await;
            let secret = self.random_secret("an unknown path");
            self.expect_status(404, client.request(Method::GET, &format!("/keys/{secret}"))).await;
            let secret = self.random_secret("a probe's query");
            self.expect_status(200, client.request(Method::GET, &format!("/healthz?api_key={secret}"))).await;
            let secret = self.random_secret("X-Request-Id");
            self.expect_status(ok, client.request(Method::GET, PATH).header("x-request-id", secret)).await;
            let secret = self.random_secret("Cookie");
            self.expect_status(ok, client.request(Method::GET, PATH).header("cookie", format!("key={secret}"))).await;
            let secret = self.random_secret("If-Match");
            let request = client.request(Method::PATCH, &format!("{PATH}/00000000-0000-0000-0000-000000000000"));
            self.expect_status(or_401(404), request.json(&json!({})).header("if-match", format!("\"{secret}\""))).await;
            for name in
                ["x-apikey", "referer", "user-agent", "origin", "forwarded", "x-forwarded-for", "x-forwarded-host"]
            {
                let secret = self.random_secret(name);
                self.expect_status(ok, client.request(Method::GET, PATH).header(name, secret)).await;
            }
            let secret = self.random_secret("Content-Type");
            self.expect_status(
                or_401(415),
                client.request(Method::POST, PATH).header("content-type", secret).body("{}"),
            )
            .await;
            for (what, body) in [
                ("broken JSON", "{\"name\": \"SECRET\""),
                ("broken JSON, bare", "{\"name\": SECRET}"),
                ("JSON that is a string", "\"SECRET\""),
                ("JSON that is a list", "[\"SECRET\"]"),
                ("a form instead of JSON", "key=SECRET"),
                ("scopes", "{\"name\": \"N\", \"scopes\": \"SECRET\"}"),
                ("expiresAt", "{\"name\": \"N\", \"expiresAt\": \"SECRET\"}"),
                ("a read-only property", "{\"name\": \"N\", \"key\": \"SECRET\"}"),
            ] {
                let secret = self.random_secret(what);
                let request = client.request(Method::POST, PATH).header("content-type", "application/json");
                self.expect_status(or_401(400), request.body(body.replace("SECRET", &secret))).await;
            }
        }
        let host = format!("{}.localhost", self.random_secret("Host"));
        self.expect_status(404, admin.on(host).request(Method::GET, PATH)).await;
        // A valid slug: the service looks the tenant up.
        let host = format!("{}.localhost", self.random_secret_stored_as_data("Host, as a slug").replace('_', "-"));
        self.expect_status(404, admin.on(host).request(Method::GET, PATH)).await;

        // This response may contain the secret: the error names the property.
        let secret = self.random_secret_stored_as_data("an unknown property");
        let body = json!({"name": "N", secret.as_str(): true});
        assert_eq!(send(admin.request(Method::POST, PATH).json(&body)).await.status, 400);
        self.response_count += 1;
    }

    /// Sends secrets in malformed HTTP.
    async fn send_malformed_http(&mut self) {
        for (what, bytes) in [
            ("garbage", "\x01\x02SECRET\r\n\r\n"),
            ("a request line", "SECRET\r\n\r\n"),
            ("a method", "SECRET / HTTP/1.1\r\nHost: acme.localhost\r\nConnection: close\r\n\r\n"),
            ("a version", "GET / SECRET\r\nHost: acme.localhost\r\n\r\n"),
            (
                "a header's name",
                "GET /healthz HTTP/1.1\r\nHost: acme.localhost\r\nSECRET: 1\r\nConnection: close\r\n\r\n",
            ),
            ("a bad header", "GET / HTTP/1.1\r\nHost: acme.localhost\r\nX-Api-Key SECRET\r\n\r\n"),
            ("a length", "POST / HTTP/1.1\r\nHost: acme.localhost\r\nContent-Length: SECRET\r\n\r\n"),
            ("an encoding", "POST / HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: SECRET\r\n\r\n"),
            (
                "a chunk",
                "POST /api/v1/api-keys HTTP/1.1\r\nHost: acme.localhost\r\nTransfer-Encoding: chunked\r\n\
                         Content-Type: application/json\r\nConnection: close\r\n\r\nSECRET\r\nSECRET",
            ),
            (
                "an absolute target",
                "GET http://SECRET@acme.localhost/api HTTP/1.1\r\nHost: acme.localhost\r\n\
                                    Connection: close\r\n\r\n",
            ),
            ("an HTTP/2 preface with invalid frames", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nSECRETSECRETSECRET"),
        ] {
            let secret = self.random_secret(what);
            let mut connection = RawConnection::open(self.service.address).await;
            connection.send(bytes.replace("SECRET", &secret)).await;
            let received = connection.end().await;
            self.responses.push_str(&received);
        }
        // A request that breaks off, and a closed connection.
        let secret = self.random_secret("half a request");
        let mut connection = RawConnection::open(self.service.address).await;
        let head = "POST /api/v1/api-keys HTTP/1.1\r\nHost: acme.localhost\r\nContent-Type: application/json\r\n";
        connection.send(format!("{head}X-Api-Key: {secret}\r\nContent-Length: 100\r\n\r\n{{")).await;
        connection.leave(true);
    }

    /// Sends secrets over HTTP/2, where the `h2` crate logs each frame.
    async fn send_http2(&mut self) {
        let stream = TcpStream::connect(self.service.address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let key = self.create("the key used over HTTP/2", "admin").await;
        let token = self.token("a token over HTTP/2", |_| {});
        let wrong = self.random_secret("X-Api-Key over HTTP/2");
        let path = format!("{PATH}/{}", self.random_secret("a path over HTTP/2"));
        let query = format!("{PATH}?key={}", self.random_secret("a query over HTTP/2"));
        let broken = format!("{{\"name\": \"{}\"", self.random_secret("broken JSON over HTTP/2"));
        let cookie = self.random_secret("Cookie over HTTP/2");
        let bearer = format!("Bearer {token}");
        for (status, method, path, name, value, body) in [
            (200, "GET", PATH, "x-api-key", &key.secret, ""),
            (200, "GET", PATH, "authorization", &bearer, ""),
            (401, "GET", PATH, "x-api-key", &wrong, ""),
            (400, "GET", &path, "authorization", &bearer, ""),
            (400, "GET", &query, "authorization", &bearer, ""),
            (400, "POST", PATH, "authorization", &bearer, &broken),
            (401, "GET", PATH, "cookie", &cookie, ""),
        ] {
            let request = hyper::Request::builder()
                .method(method)
                .uri(format!("http://acme.localhost{path}"))
                .header(name, value)
                .header("content-type", "application/json")
                .body(Full::new(Bytes::from(body.to_owned())))
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{method} {path} by {name}");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            self.responses.push_str(&String::from_utf8_lossy(&body));
            self.response_count += 1;
        }
    }
}

/// Runs the whole scenario with this log format.
async fn run_scenario(format: &str, database: &TestDatabase) -> (Scenario, String, Home) {
    let home = Home::new(&format!("logs-{format}"));
    let pepper = random::<32>();
    let pepper_text = format!("secret-one:{}", BASE64_STANDARD.encode(pepper));
    let retired = random::<32>();
    let retired_text = format!("secret-two:{}", BASE64_STANDARD.encode(retired));
    let url = database.url_text(None).await.replacen('@', &format!(":{DATABASE_PASSWORD}@"), 1);
    let service = home
        .serve(&[
            ("RUST_LOG", "trace"),
            ("LOG_FORMAT", format),
            ("DATABASE_URL", &url),
            ("JWT_SECRET", JWT_SECRET),
            ("KEY_PEPPER", &pepper_text),
            ("KEY_PEPPERS_RETIRED", &retired_text),
            ("ARGON2_MEMORY_KIB", "8"),
            ("ARGON2_ITERATIONS", "1"),
        ])
        .await;
    let admin = service.client("acme", Credential::None);
    let mut scenario = Scenario {
        service,
        admin,
        forbidden: ForbiddenText::default(),
        stored_as_data: ForbiddenText::default(),
        responses: String::new(),
        response_count: 0,
    };
    let token = scenario.token("the admin's token", |_| {});
    scenario.admin = scenario.admin.with(Credential::Bearer(token));
    let forbidden = &mut scenario.forbidden;
    forbidden.add_text("the database's password", DATABASE_PASSWORD);
    forbidden.add_text("the JWT secret", JWT_SECRET);
    forbidden.add_bytes("the JWT secret", JWT_SECRET.as_bytes());
    forbidden.add_bytes("the pepper", &pepper);
    forbidden.add_bytes("the retired pepper", &retired);

    scenario.use_credentials(database).await;
    scenario.send_misplaced_secrets().await;
    scenario.send_malformed_http().await;
    scenario.send_http2().await;
    // Read the log after the last response.
    let log = scenario.service.log();
    (scenario, log, home)
}

/// Hashes and stamps in the database, which must not appear in a log either.
async fn stored_hashes(database: &TestDatabase) -> ForbiddenText {
    let mut connection = database.connect().await;
    let rows: Vec<(String, Option<Vec<u8>>)> =
        sqlx::query_as("SELECT phc, stamp FROM api_key_secrets").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut forbidden = ForbiddenText::default();
    assert!(rows.len() >= 8);
    for (phc, stamp) in rows {
        let (_, hash) = phc.rsplit_once('$').unwrap();
        forbidden.add_text("a hash", hash);
        if let Some(stamp) = stamp {
            forbidden.add_bytes("a stamp", &stamp);
        }
    }
    forbidden.add_text("any hash", "$argon2id$v=19");
    forbidden
}

/// Runs the scenario and checks the service's log and its responses. Returns the log, and each
/// secret that was found in it or in a response.
async fn check_log_and_responses(format: &str, database: &TestDatabase) -> (Scenario, String, Vec<String>) {
    let (scenario, log, home) = run_scenario(format, database).await;
    drop(home);
    // The log is complete: it has every level and each request.
    for level in ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"] {
        assert!(log.contains(level), "no {level} in the log");
    }
    assert!(log.contains("h2::"), "the log must include the lines of libraries");
    let logged = log.lines().filter(|line| line.contains("request finished") && line.contains("latency_us")).count();
    assert!(
        logged >= scenario.response_count,
        "{logged} requests in the log, expected at least {}",
        scenario.response_count
    );
    let hashes = stored_hashes(database).await;
    let mut found = Vec::new();
    for forbidden in [&scenario.forbidden, &scenario.stored_as_data, &hashes] {
        found.extend(forbidden.find_in("the log", &log));
    }
    for forbidden in [&scenario.forbidden, &hashes] {
        found.extend(forbidden.find_in("a response", &scenario.responses));
    }
    (scenario, log, found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_log_contains_no_secret() {
    let database = TestDatabase::create().await;
    let (scenario, _, mut found) = check_log_and_responses("text", &database).await;
    let mut hashes = stored_hashes(&database).await;
    // The JSON test, on the same server, logs statements that contain hashes.
    hashes.0.retain(|(what, _)| what != "any hash");
    let log = TestDatabase::server_log().await;
    for forbidden in [&scenario.forbidden, &scenario.stored_as_data, &hashes] {
        found.extend(forbidden.find_in("PostgreSQL's log", &log));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// PostgreSQL logs each statement with its parameters here: no statement contains a secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_json_log_contains_no_secret() {
    let database = TestDatabase::create().await;
    database.execute(&format!("ALTER DATABASE {} SET log_statement = 'all'", database.name)).await;
    let (scenario, log, mut found) = check_log_and_responses("json", &database).await;
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["level"].is_string() && event["target"].is_string(), "{line}");
    }
    let log = TestDatabase::server_log().await;
    assert!(
        log.contains("INSERT INTO public.api_key_secrets") && log.contains("$argon2id$"),
        "PostgreSQL must log the statements"
    );
    found.extend(scenario.forbidden.find_in("PostgreSQL's log", &log));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_name_cannot_forge_a_field_of_the_text_log() {
    let (database, home) = (TestDatabase::create().await, Home::new("logs-forged"));
    let service = home.serve_on(&database).await;
    let exp = (Utc::now() + TimeDelta::hours(1)).timestamp();
    let claims = json!({"sub": "a tenant=globex status=200", "tenant": "acme", "scope": "read", "exp": exp});
    let user = service.client("acme", Credential::Bearer(sign(&claims)));
    let request_id = send(user.request(Method::DELETE, &format!("{PATH}/00000000-0000-0000-0000-000000000000")))
        .await
        .refused(403, "insufficient_scope")["requestId"]
        .clone();
    let log = service.log();
    let line = log.lines().find(|line| line.contains(request_id.as_str().unwrap())).expect("the request's line");
    assert!(line.contains(r#" principal="user:a tenant=globex status=200"}"#), "{line}");
    // What is left without quoted values has each field once, and the true ones.
    let unquoted: Vec<&str> = line.split('"').step_by(2).collect();
    let fields = unquoted.join("");
    assert!(fields.contains(" status=403") && fields.contains(" tenant="), "{line}");
    for field in [" status=", " tenant=", " principal="] {
        assert_eq!(fields.matches(field).count(), 1, "{field}: {line}");
    }
}
