//! `/docs`, the API's description as a page on which one can try calls, and `/openapi.json`, the same for programs. On
//! any host, without a credential. The page loads nothing from other hosts.

use std::{
    io::Write as _,
    sync::{Arc, LazyLock, OnceLock},
};

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest as _, Sha256};

use super::{
    entity_tags::Condition,
    names::CROSS_ORIGIN_OPENER_POLICY,
    problem::{Code, HOST, Problem},
};

/// Content Security Policy Level 3: only resources of this service.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                              connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct File {
    name: &'static str,
    content_type: &'static str,
    plain: Representation,
    /// Made at the first request that accepts it.
    gzip: OnceLock<Representation>,
}

/// A file's bytes in one content coding.
struct Representation {
    body: Bytes,
    /// RFC 9110, section 8.8.3
    etag: HeaderValue,
}

impl Representation {
    fn new(body: Bytes) -> Self {
        let etag = format!("\"{}\"", BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(&body)[..12]));
        // base64 in quotes is always a valid value.
        Self { body, etag: HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("\"\"")) }
    }

    fn gzip(plain: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        // Writing to a Vec does not fail.
        let compressed = encoder.write_all(plain).and_then(|()| encoder.finish()).unwrap_or_default();
        Self::new(compressed.into())
    }
}

impl File {
    fn new(name: &'static str, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { name, content_type, plain: Representation::new(body.into()), gzip: OnceLock::new() }
    }

    fn respond(&self, request: &HeaderMap) -> Response {
        let is_compressed = accepts_gzip(request);
        let representation =
            if is_compressed { self.gzip.get_or_init(|| Representation::gzip(&self.plain.body)) } else { &self.plain };
        let coding = is_compressed.then_some([(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))]);
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            // Cached, but revalidated at each use, so that a new version shows at once.
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::ETAG, representation.etag.clone()),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_POLICY)),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin")),
        ];
        let known = Condition::read(request, header::IF_NONE_MATCH);
        if known.is_some_and(|known| known.holds(|tag| tag.quoted == representation.etag.as_bytes())) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, coding, representation.body.clone()).into_response()
    }
}

/// RFC 9110, section 12.5.3. `*` is not taken to mean gzip.
fn accepts_gzip(request: &HeaderMap) -> bool {
    let lines = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|member| {
        let (coding, weight) = member.split_once(';').unwrap_or((member, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        coding.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

fn embedded(name: &'static str, content_type: &'static str, body: &'static [u8]) -> File {
    File::new(name, content_type, Bytes::from_static(body))
}

static PAGE: LazyLock<File> =
    LazyLock::new(|| embedded("", "text/html; charset=utf-8", include_bytes!("docs/index.html")));

/// What the page loads from `/docs/`.
static FILES: LazyLock<[File; 4]> = LazyLock::new(|| {
    const STYLES: &str = "text/css; charset=utf-8";
    [
        embedded("page.css", STYLES, include_bytes!("docs/page.css")),
        embedded("start.js", SCRIPT, include_bytes!("docs/start.js")),
        embedded("swagger-ui-bundle.js", SCRIPT, include_bytes!("docs/swagger-ui-bundle.js")),
        embedded("swagger-ui.css", STYLES, include_bytes!("docs/swagger-ui.css")),
    ]
});

/// The file at `/openapi.json`.
#[derive(Clone)]
pub(super) struct ApiDocument(Arc<File>);

impl ApiDocument {
    pub(super) fn new(json: String) -> Self {
        Self(Arc::new(File::new("openapi.json", "application/json", json)))
    }
}

/// This description, as a page on which you can try calls.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "showDocs",
    tag = "Service",
    responses((status = 200, description = "The page", content_type = "text/html", body = String, example = json!("<!DOCTYPE html>"))),
    extensions(("x-problems" = json!([HOST]))),
)]
pub(super) async fn page(request: HeaderMap) -> Response {
    PAGE.respond(&request)
}

pub(super) async fn file(name: Result<Path<String>, PathRejection>, request: HeaderMap) -> Result<Response, Problem> {
    let Path(name) = name.map_err(|_not_utf8| Code::NotFound)?;
    let file = FILES.iter().find(|file| file.name == name).ok_or(Code::NotFound)?;
    Ok(file.respond(&request))
}

/// This description, for programs (OpenAPI 3.1).
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "getOpenApi",
    tag = "Service",
    responses((status = 200, description = "The document", content_type = "application/json", body = Object, example = json!({"openapi": "3.1.0"}))),
    extensions(("x-problems" = json!([HOST]))),
)]
pub(super) async fn openapi_json(Extension(document): Extension<ApiDocument>, request: HeaderMap) -> Response {
    document.0.respond(&request)
}
