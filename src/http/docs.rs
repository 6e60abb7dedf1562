//! `/docs`: the API's description as a page on which a call can be tried; `/openapi.json`: the same
//! for programs. On any host, without a credential. The page loads nothing from elsewhere.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::{openapi, problem::Problem};

/// Content Security Policy Level 3: nothing but what this service itself answers.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct File {
    name: &'static str,
    content_type: &'static str,
    body: &'static [u8],
    /// RFC 9110, 8.8.3
    tag: HeaderValue,
}

impl File {
    fn new(name: &'static str, content_type: &'static str, body: &'static [u8]) -> Self {
        let tag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..12]));
        // base64 in quotes is always a valid value.
        Self { name, content_type, body, tag: HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            // Kept, and asked about each time: a new version shows at once.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::ETAG, self.tag.clone()),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin")),
        ];
        if asked.get(header::IF_NONE_MATCH) == Some(&self.tag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.body).into_response()
    }
}

const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const SCRIPT: &str = "text/javascript; charset=utf-8";

static FILES: LazyLock<[File; 5]> = LazyLock::new(|| {
    [
        File::new("", "text/html; charset=utf-8", include_bytes!("docs/index.html")),
        File::new("start.js", SCRIPT, include_bytes!("docs/start.js")),
        File::new("swagger-ui-bundle.js", SCRIPT, include_bytes!("docs/swagger-ui-bundle.js")),
        File::new("swagger-ui.css", "text/css; charset=utf-8", include_bytes!("docs/swagger-ui.css")),
        File::new("openapi.json", "application/json", openapi::document().as_bytes()),
    ]
});

fn answer(name: &str, asked: &HeaderMap) -> Result<Response, Problem> {
    FILES.iter().find(|file| file.name == name).map(|file| file.answer(asked)).ok_or_else(Problem::path_not_found)
}

/// This description, as a page on which a call can be tried.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "showDocs",
    tag = "Service",
    responses((status = 200, description = "The page", content_type = "text/html", body = String))
)]
pub async fn page(asked: HeaderMap) -> Result<Response, Problem> {
    answer("", &asked)
}

/// What the page is made of.
pub async fn file(Path(name): Path<String>, asked: HeaderMap) -> Result<Response, Problem> {
    match name.as_str() {
        "openapi.json" => Err(Problem::path_not_found()), // it has a place of its own
        name => answer(name, &asked),
    }
}

/// This description, for programs (OpenAPI 3.1).
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenApi",
    tag = "Service",
    responses((status = 200, description = "The document", content_type = "application/json", body = Object))
)]
pub async fn openapi_json(asked: HeaderMap) -> Result<Response, Problem> {
    answer("openapi.json", &asked)
}
