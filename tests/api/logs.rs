//! No secret in any log, at any level, wherever a client puts it.

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

/// What must not be found, by what it is called.
#[derive(Default)]
struct Hunt(Vec<(String, String)>);

impl Hunt {
    fn text(&mut self, what: &str, text: &str) {
        assert!(text.len() >= 12, "{what} could be found by chance");
        self.0.push((what.to_owned(), text.to_owned()));
    }

    /// Bytes, in the ways in which they get printed.
    fn bytes(&mut self, what: &str, bytes: &[u8]) {
        self.text(&format!("{what} in hex"), &hex(bytes));
        self.text(&format!("{what} in HEX"), &hex(bytes).to_uppercase());
        self.text(&format!("{what} in base64"), &BASE64_STANDARD_NO_PAD.encode(bytes));
        self.text(&format!("{what} in base64url"), &BASE64_URL_SAFE_NO_PAD.encode(bytes));
        let list = format!("{:?}", &bytes[..8]);
        self.text(&format!("{what} as a list"), list.trim_matches(['[', ']']));
        self.text(&format!("{what} as a list in hex"), format!("{:02x?}", &bytes[..8]).trim_matches(['[', ']']));
    }

    /// An API key's secret: whole, without its prefix, as bytes, and as `Debug` prints bytes.
    fn secret(&mut self, what: &str, secret: &str) {
        self.text(&format!("{what}'s digits"), &secret[8..]);
        // Half of it is too much as well.
        self.text(&format!("{what}'s first half"), &secret[8..24]);
        self.text(&format!("{what}'s last half"), &secret[24..]);
        let list = format!("{:?}", secret.as_bytes());
        self.text(&format!("{what} as a list"), &list[1..list.len() - 1]);
    }

    /// A JWT: whole, its claims, its signature.
    fn token(&mut self, what: &str, token: &str) {
        let parts: Vec<_> = token.split('.').collect();
        self.text(what, token);
        self.text(&format!("{what}'s claims"), parts[1]);
        self.text(&format!("{what}'s signature"), parts[2]);
    }

    /// The lines of a text that hold some of it.
    fn found_in(&self, place: &str, text: &str) -> Vec<String> {
        let found = |(what, wanted): &(String, String)| {
            let line = text.lines().find(|line| line.contains(wanted.as_str()))?;
            Some(format!("{place} holds {what}: {}", line.chars().take(600).collect::<String>()))
        };
        self.0.iter().filter_map(found).collect()
    }
}

/// Presents secrets rightly and wrongly, and collects what was presented.
struct Visitor {
    service: Service,
    admin: Client,
    /// What no log may hold.
    hunt: Hunt,
    /// What became data, since somebody put it where data belongs.
    became_data: Hunt,
    /// Answers, none of which may hold what was presented.
    answers: String,
    answered: usize,
}

impl Visitor {
    fn token(&mut self, what: &str, change: impl FnOnce(&mut Value)) -> String {
        let end = (Utc::now() + TimeDelta::hours(1)).timestamp();
        let nonce = hex(&random::<8>());
        let mut claims = json!({"sub": nonce, "tenant": "acme", "scope": "admin", "exp": end});
        change(&mut claims);
        let token = sign(&claims);
        self.hunt.token(what, &token);
        token
    }

    /// A secret that is nobody's.
    fn invented(&mut self, what: &str) -> String {
        let secret = format!("rk_live_{}", hex(&random::<16>()));
        self.hunt.secret(&format!("the secret in {what}"), &secret);
        secret
    }

    /// The same, where it is to be found in the database afterwards.
    fn invented_as_data(&mut self, what: &str) -> String {
        let secret = self.invented(what);
        let kept = self.hunt.0.split_off(self.hunt.0.len() - 4);
        self.became_data.0.extend(kept);
        secret
    }

    async fn create(&mut self, name: &str, scopes: &str) -> CreatedKey {
        let key = self.admin.create(name, scopes).await;
        self.answered += 1;
        self.hunt.secret(name, &key.secret);
        key
    }

    fn note(&mut self, status: u16, reply: &Reply) {
        assert_eq!(reply.status.as_u16(), status, "{reply:?}");
        self.answered += 1;
        self.answers.push_str(&format!("{:?}\n{}\n", reply.headers, reply.body));
    }

    async fn expect(&mut self, status: u16, request: reqwest::RequestBuilder) {
        let reply = send(request).await;
        self.note(status, &reply);
    }

    /// Every endpoint, with success and with failure, by every kind of credential.
    async fn uses_credentials(&mut self, database: &TestDatabase) {
        let admin = self.admin.clone();
        let key = self.create("the created key", "admin").await;
        let in_bearer = admin.with(Credential::Bearer(key.secret.clone()));
        for client in [admin.clone(), admin.with_key(&key.secret), in_bearer] {
            let other = client.create("Other", "read").await;
            self.answered += 1;
            self.hunt.secret("another key", &other.secret);
            self.expect(200, client.request(Method::GET, PATH)).await;
            self.expect(200, client.request(Method::GET, &other.path())).await;
            let patch =
                client.request(Method::PATCH, &other.path()).json(&json!({"name": "Renamed", "scopes": "write"}));
            self.expect(200, patch).await;
            self.expect(200, client.with_key(&other.secret).request(Method::GET, &format!("{PATH}/self"))).await;
            self.expect(403, client.with_key(&other.secret).request(Method::DELETE, &key.path())).await;
            self.expect(204, client.request(Method::DELETE, &other.path())).await;
            self.expect(401, client.with_key(&other.secret).request(Method::GET, PATH)).await;
            let patch = client.request(Method::PATCH, &other.path()).json(&json!({"name": "Too late"}));
            self.expect(409, patch).await;
            self.expect(400, client.request(Method::POST, PATH).json(&json!({"name": 1, "scopes": "all"}))).await;
            self.expect(404, client.request(Method::GET, "/api/v1/api-keys/00000000-0000-0000-0000-000000000000"))
                .await;
            self.expect(405, client.request(Method::PUT, PATH)).await;
        }
        let leaving = self.create("the leaving key", "read").await;
        self.expect(204, admin.with_key(&leaving.secret).request(Method::DELETE, &format!("{PATH}/self"))).await;

        // Right elsewhere, not here; and wrong.
        self.expect(401, admin.with_key(&key.secret).on("globex.localhost").request(Method::GET, PATH)).await;
        let secret = self.invented("X-Api-Key");
        self.expect(401, admin.with_key(&secret).request(Method::GET, PATH)).await;
        let secret = self.invented("Bearer");
        self.expect(401, admin.with(Credential::Bearer(secret)).request(Method::GET, PATH)).await;
        let cut = self.invented("X-Api-Key, cut short");
        self.expect(401, admin.with_key(&cut[..39]).request(Method::GET, PATH)).await;
        let upper = self.invented("X-Api-Key, in capitals").to_uppercase();
        self.hunt.text("the secret in capitals", &upper);
        self.expect(401, admin.with_key(&upper).request(Method::GET, PATH)).await;
        let (one, two) = (self.invented("one of two headers"), self.invented("the other of two headers"));
        let both = admin.with_key(&one).request(Method::GET, PATH).header("authorization", format!("Bearer {two}"));
        self.expect(400, both).await;
        let basic = BASE64_STANDARD.encode(format!("api:{}", self.invented("Basic")));
        self.hunt.text("Basic credentials", &basic);
        let anonymous = admin.with(Credential::None);
        let request = anonymous.request(Method::GET, PATH).header("authorization", format!("Basic {basic}"));
        self.expect(401, request).await;
        let proxy = self.invented("Proxy-Authorization");
        let request = anonymous.request(Method::GET, PATH).header("proxy-authorization", format!("Bearer {proxy}"));
        self.expect(401, request).await;

        // Tokens, good and bad.
        for (what, status, token) in [
            ("a reader's token", 200, self.token("a reader's token", |claims| claims["scope"] = json!("read"))),
            ("an expired token", 401, self.token("an expired token", |claims| claims["exp"] = json!(1_000_000))),
            ("another tenant's", 403, self.token("another tenant's", |claims| claims["tenant"] = json!("globex"))),
            ("an odd token", 401, self.token("an odd token", |claims| claims["exp"] = json!("soon"))),
        ] {
            let reply = admin.with(Credential::Bearer(token)).get(PATH).await;
            self.note(status, &reply);
            assert!(!reply.body.contains("eyJ"), "{what}: {reply:?}");
        }
        let forged = self.token("a good token", |_| {});
        let (rest, signature) = forged.rsplit_once('.').unwrap();
        let forged = format!("{rest}.{}", signature.chars().rev().collect::<String>());
        self.hunt.token("a forged token", &forged);
        self.expect(401, admin.with(Credential::Bearer(forged)).request(Method::GET, PATH)).await;

        // Checked by argon2, and stamped again.
        let fallback = self.create("the key without a stamp", "read").await;
        let id = &fallback.id;
        let sql = format!("UPDATE api_key_secrets SET stamp = NULL, pepper_id = NULL WHERE key_id = '{id}'");
        database.execute(&sql).await;
        self.expect(200, admin.with_key(&fallback.secret).request(Method::GET, PATH)).await;
        assert!(self.service.log().contains("wrote the stamp"), "argon2 was not used");
        // And one whose row was forged.
        let forged = self.create("the key with a forged stamp", "read").await;
        let id = &forged.id;
        let sql = format!("UPDATE api_key_secrets SET stamp = sha256('forged') WHERE key_id = '{id}'");
        database.execute(&sql).await;
        self.expect(401, admin.with_key(&forged.secret).request(Method::GET, PATH)).await;
        assert!(self.service.log().contains("forged, copied or damaged"));
    }

    /// Secrets where they do not belong.
    async fn misplaces_secrets(&mut self) {
        let admin = self.admin.clone();
        let anonymous = admin.with(Credential::None);
        for client in [&admin, &anonymous] {
            let ok = if std::ptr::eq(client, &raw const admin) { 200 } else { 401 };
            let or_401 = |status: u16| if ok == 200 { status } else { 401 };
            let secret = self.invented("a query");
            self.expect(or_401(400), client.request(Method::GET, &format!("{PATH}?key={secret}"))).await;
            let secret = self.invented("a cursor");
            self.expect(or_401(400), client.request(Method::GET, &format!("{PATH}?limit=1&cursor={secret}"))).await;
            let secret = self.invented("a path");
            self.expect(or_401(400), client.request(Method::GET, &format!("{PATH}/{secret}"))).await;
            let secret = self.invented("a path of a DELETE");
            self.expect(or_401(400), client.request(Method::DELETE, &format!("{PATH}/{secret}"))).await;
            let secret = self.invented("an unknown path");
            self.expect(404, client.request(Method::GET, &format!("/keys/{secret}"))).await;
            let secret = self.invented("a probe's query");
            self.expect(200, client.request(Method::GET, &format!("/healthz?api_key={secret}"))).await;
            let secret = self.invented("X-Request-Id");
            self.expect(ok, client.request(Method::GET, PATH).header("x-request-id", secret)).await;
            let secret = self.invented("Cookie");
            self.expect(ok, client.request(Method::GET, PATH).header("cookie", format!("key={secret}"))).await;
            let secret = self.invented("If-Match");
            let request = client.request(Method::PATCH, &format!("{PATH}/00000000-0000-0000-0000-000000000000"));
            self.expect(or_401(404), request.json(&json!({})).header("if-match", format!("\"{secret}\""))).await;
            for name in
                ["x-apikey", "referer", "user-agent", "origin", "forwarded", "x-forwarded-for", "x-forwarded-host"]
            {
                let secret = self.invented(name);
                self.expect(ok, client.request(Method::GET, PATH).header(name, secret)).await;
            }
            let secret = self.invented("Content-Type");
            self.expect(or_401(415), client.request(Method::POST, PATH).header("content-type", secret).body("{}"))
                .await;
            for (what, body) in [
                ("broken JSON", "{\"name\": \"SECRET\""),
                ("broken JSON, bare", "{\"name\": SECRET}"),
                ("JSON that is a string", "\"SECRET\""),
                ("JSON that is a list", "[\"SECRET\"]"),
                ("no JSON", "key=SECRET"),
                ("scopes", "{\"name\": \"N\", \"scopes\": \"SECRET\"}"),
                ("expiresAt", "{\"name\": \"N\", \"expiresAt\": \"SECRET\"}"),
                ("a read-only property", "{\"name\": \"N\", \"key\": \"SECRET\"}"),
            ] {
                let secret = self.invented(what);
                let request = client.request(Method::POST, PATH).header("content-type", "application/json");
                self.expect(or_401(400), request.body(body.replace("SECRET", &secret))).await;
            }
        }
        let host = format!("{}.localhost", self.invented("Host"));
        self.expect(404, admin.on(host).request(Method::GET, PATH)).await;
        // This one could be a tenant, and is looked up.
        let host = format!("{}.localhost", self.invented_as_data("Host, as a slug").replace('_', "-"));
        self.expect(404, admin.on(host).request(Method::GET, PATH)).await;

        // The answer names the property, as answers do, and the list what is called so.
        let secret = self.invented_as_data("an unknown property");
        let body = json!({"name": "N", secret.as_str(): true});
        assert_eq!(send(admin.request(Method::POST, PATH).json(&body)).await.status, 400);
        let secret = self.invented_as_data("a search");
        assert_eq!(admin.get(&format!("{PATH}?search={secret}")).await.status, 200);
        let secret = self.invented_as_data("a name");
        self.create(&secret, "read").await;
        self.answered += 2;
    }

    /// Secrets in what is hardly HTTP.
    async fn speaks_badly(&mut self) {
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
            ("HTTP/2 that is none", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nSECRETSECRETSECRET"),
        ] {
            let secret = self.invented(what);
            let mut connection = RawConnection::open(self.service.address).await;
            connection.send(bytes.replace("SECRET", &secret)).await;
            let said = connection.end().await;
            self.answers.push_str(&said);
        }
        // Half a request, and gone.
        let secret = self.invented("half a request");
        let mut connection = RawConnection::open(self.service.address).await;
        let head = "POST /api/v1/api-keys HTTP/1.1\r\nHost: acme.localhost\r\nContent-Type: application/json\r\n";
        connection.send(format!("{head}X-Api-Key: {secret}\r\nContent-Length: 100\r\n\r\n{{")).await;
        connection.leave(true);
    }

    /// The same service by HTTP/2, whose library logs each frame.
    async fn speaks_http2(&mut self) {
        let stream = TcpStream::connect(self.service.address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let key = self.create("the key used by HTTP/2", "admin").await;
        let token = self.token("a token by HTTP/2", |_| {});
        let wrong = self.invented("X-Api-Key by HTTP/2");
        let path = format!("{PATH}/{}", self.invented("a path by HTTP/2"));
        let query = format!("{PATH}?key={}", self.invented("a query by HTTP/2"));
        let broken = format!("{{\"name\": \"{}\"", self.invented("broken JSON by HTTP/2"));
        let cookie = self.invented("Cookie by HTTP/2");
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
            self.answers.push_str(&String::from_utf8_lossy(&body));
            self.answered += 1;
        }
    }
}

/// The whole visit, under a log format.
async fn visit(format: &str, database: &TestDatabase) -> (Visitor, String, Home) {
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
    let mut visitor = Visitor {
        service,
        admin,
        hunt: Hunt::default(),
        became_data: Hunt::default(),
        answers: String::new(),
        answered: 0,
    };
    let token = visitor.token("the admin's token", |_| {});
    visitor.admin = visitor.admin.with(Credential::Bearer(token));
    let hunt = &mut visitor.hunt;
    hunt.text("the database's password", DATABASE_PASSWORD);
    hunt.text("the JWT secret", JWT_SECRET);
    hunt.bytes("the JWT secret", JWT_SECRET.as_bytes());
    hunt.bytes("the pepper", &pepper);
    hunt.bytes("the retired pepper", &retired);

    visitor.uses_credentials(database).await;
    visitor.misplaces_secrets().await;
    visitor.speaks_badly().await;
    visitor.speaks_http2().await;
    // Answers come before their log lines are read.
    let log = visitor.service.log();
    (visitor, log, home)
}

/// What the database keeps of secrets, which the logs are not to hold either.
async fn kept(database: &TestDatabase) -> Hunt {
    let mut connection = database.connect().await;
    let rows: Vec<(String, Option<Vec<u8>>)> =
        sqlx::query_as("SELECT phc, stamp FROM api_key_secrets").fetch_all(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let mut hunt = Hunt::default();
    assert!(rows.len() >= 8);
    for (phc, stamp) in rows {
        let (_, hash) = phc.rsplit_once('$').unwrap();
        hunt.text("a hash", hash);
        if let Some(stamp) = stamp {
            hunt.bytes("a stamp", &stamp);
        }
    }
    hunt.text("any hash", "$argon2id$v=19");
    hunt
}

/// What both runs demand of the service's own log and of its answers. Tells the log, and what
/// was found where it must not be.
async fn check(format: &str, database: &TestDatabase) -> (Visitor, String, Vec<String>) {
    let (visitor, log, home) = visit(format, database).await;
    drop(home);
    // It is the log of all that, at every level.
    for level in ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"] {
        assert!(log.contains(level), "no {level} in the log");
    }
    assert!(log.contains("h2::"), "the libraries log, too");
    let answered = log.lines().filter(|line| line.contains("request finished") && line.contains("latency_us")).count();
    assert!(answered >= visitor.answered, "{answered} answers in the log, of {}", visitor.answered);
    let kept = kept(database).await;
    let mut found = Vec::new();
    for hunt in [&visitor.hunt, &visitor.became_data, &kept] {
        found.extend(hunt.found_in("the log", &log));
    }
    for hunt in [&visitor.hunt, &kept] {
        found.extend(hunt.found_in("an answer", &visitor.answers));
    }
    (visitor, log, found)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_in_text_holds_a_secret() {
    let database = TestDatabase::create().await;
    let (visitor, _, mut found) = check("text", &database).await;
    let mut kept = kept(&database).await;
    // The other run has its own statements logged.
    kept.0.retain(|(what, _)| what != "any hash");
    let log = TestDatabase::server_log().await;
    for hunt in [&visitor.hunt, &visitor.became_data, &kept] {
        found.extend(hunt.found_in("PostgreSQL's log", &log));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Here PostgreSQL logs each statement, with its parameters: no secret even gets there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_in_json_holds_a_secret() {
    let database = TestDatabase::create().await;
    database.execute(&format!("ALTER DATABASE {} SET log_statement = 'all'", database.name)).await;
    let (visitor, log, mut found) = check("json", &database).await;
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(event["level"].is_string() && event["target"].is_string(), "{line}");
    }
    let log = TestDatabase::server_log().await;
    assert!(log.contains("INSERT INTO api_key_secrets") && log.contains("$argon2id$"), "statements are logged");
    found.extend(visitor.hunt.found_in("PostgreSQL's log", &log));
    assert!(found.is_empty(), "{}", found.join("\n"));
}
