//! The HTTP client of the tests.

use rally_api_keys::domain::Secret;
use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

/// The path of the key collection.
pub const PATH: &str = "/api/v1/api-keys";

/// A client's credential, and the header that carries it.
#[derive(Clone, Debug)]
pub enum Credential {
    /// `Authorization: Bearer <token or secret>`
    Bearer(String),
    /// `X-Api-Key: <secret>`
    ApiKey(String),
    /// No credential.
    None,
}

/// Sends requests to one server, with one `Host` and one credential.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    host: String,
    credential: Credential,
}

impl Client {
    /// A client of the server at `base` (`http://127.0.0.1:<port>`) that sends `Host: <host>`.
    pub fn new(http: reqwest::Client, base: String, host: impl Into<String>, credential: Credential) -> Self {
        Self { http, base, host: host.into(), credential }
    }

    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// A copy of this client with another credential.
    pub fn with(&self, credential: Credential) -> Self {
        Self { credential, ..self.clone() }
    }

    /// A copy of this client that sends a key's secret in `X-Api-Key`.
    pub fn with_key(&self, secret: &str) -> Self {
        self.with(Credential::ApiKey(secret.to_owned()))
    }

    /// A copy of this client with another host.
    pub fn on(&self, host: impl Into<String>) -> Self {
        Self { host: host.into(), ..self.clone() }
    }

    /// Builds a request with this client's host and credential. [`send`] sends it. Instead of a path, a URL of this host,
    /// as in `Location` and `Link`.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let path = path.strip_prefix(&format!("http://{}", self.host)).unwrap_or(path);
        let request = self.http.request(method, format!("{}{path}", self.base)).header("host", &self.host);
        match &self.credential {
            Credential::Bearer(token) => request.header("authorization", format!("Bearer {token}")),
            Credential::ApiKey(secret) => request.header("x-api-key", secret),
            Credential::None => request,
        }
    }

    /// `GET path`
    pub async fn get(&self, path: &str) -> Reply {
        send(self.request(Method::GET, path)).await
    }

    /// `DELETE path`
    pub async fn delete(&self, path: &str) -> Reply {
        send(self.request(Method::DELETE, path)).await
    }

    /// `POST path` with a JSON body
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// `PATCH path` with a JSON body
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        send(self.request(Method::PATCH, path).json(body)).await
    }

    /// Creates a key. Fails the test unless the status is 201.
    pub async fn create(&self, name: &str, scopes: &str) -> CreatedKey {
        self.create_with(&json!({"name": name, "scopes": scopes})).await
    }

    /// Creates a key with the given body. Fails the test unless the status is 201.
    pub async fn create_with(&self, body: &Value) -> CreatedKey {
        let reply = self.post(PATH, body).await;
        let body = reply.expect(201);
        CreatedKey {
            id: body["id"].as_str().expect("an id").to_owned(),
            secret: body["key"].as_str().expect("a secret").to_owned(),
        }
    }
}

/// A key that a test has created.
#[derive(Clone, Debug)]
pub struct CreatedKey {
    pub id: String,
    pub secret: String,
}

impl CreatedKey {
    /// `/api/v1/api-keys/{id}`
    pub fn path(&self) -> String {
        format!("{PATH}/{}", self.id)
    }

    /// The hint of its secret.
    pub fn hint(&self) -> String {
        format!("rk_live_…{}", &self.secret[36..])
    }

    /// The lookup digest of its secret, in hexadecimal digits.
    pub fn digest(&self) -> String {
        let digest = Secret::parse(self.secret.as_bytes()).expect("a secret").lookup_digest();
        digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A response with its whole body.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// Sends a request and reads its response.
pub async fn send(request: reqwest::RequestBuilder) -> Reply {
    let response = request.send().await.expect("a response");
    Reply {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.text().await.expect("a body"),
    }
}

impl Reply {
    /// Parses the bytes of a response whose body is not chunked, as [`crate::harness::TestServer::raw`] returns it.
    pub fn from_raw(raw: &str) -> Self {
        let (head, body) = raw.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no response: {raw:?}"));
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header");
            (name.parse::<HeaderName>().expect("a name"), value.trim().parse::<HeaderValue>().expect("a value"))
        };
        Self { status: status.parse().expect("a status"), headers: lines.map(header).collect(), body: body.to_owned() }
    }

    /// Status, headers and body as one text, without the request id and the headers of the connection. Two cases that a
    /// client must not be able to distinguish have equal texts.
    pub fn apart_from_request_id(&self) -> String {
        let id = self.header("x-request-id").to_owned();
        let mut headers: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| !["connection", "date", "x-request-id"].contains(&name.as_str()))
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.sort();
        format!("{}\n{}\n\n{}", self.status, headers.join("\n"), self.body.replace(&id, "<request id>"))
    }

    /// A header's value. Fails the test if the header is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name.parse::<HeaderName>().expect("a header's name"))
            .unwrap_or_else(|| panic!("no header {name} in {self:?}"))
            .to_str()
            .expect("a value of text")
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The body as JSON, or null if empty. Fails the test unless the response has that status and
    /// `Cache-Control: no-store`.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.headers.get("cache-control"), Some(&HeaderValue::from_static("no-store")), "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem document. Fails the test unless it is complete and has that status and code.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{self:?}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["requestId"], self.header("x-request-id"));
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member} in {self:?}");
        }
        if status == 401 {
            assert!(self.header("www-authenticate").starts_with("Bearer "), "{self:?}");
        }
        if status == 503 {
            self.header("retry-after");
        }
        problem
    }

    /// The invalid fields that a 400 response names, sorted.
    #[track_caller]
    pub fn bad_fields(&self) -> Vec<String> {
        let problem = self.refused(400, "invalid_request");
        let mut fields: Vec<String> = problem["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .map(|error| {
                assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
                error["field"].as_str().expect("a field").to_owned()
            })
            .collect();
        fields.sort();
        fields
    }
}
