//! `/docs`, the API's description as a page on which one can try calls, and `/openapi.json`, the same for programs. On
//! any host, without a credential. The page loads nothing from other hosts.

use std::sync::{Arc, LazyLock};

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderValue},
    response::Response,
};

use super::{
    problem::{Code, HOST, Problem},
    static_files::{File, HTML, SCRIPT, STYLES},
};

/// Content Security Policy Level 3: only resources of this service.
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'",
);

fn embedded(name: &'static str, content_type: &'static str, body: &'static [u8]) -> File {
    File::new(name, content_type, Bytes::from_static(body)).with_policy(CONTENT_POLICY)
}

static PAGE: LazyLock<File> = LazyLock::new(|| embedded("", HTML, include_bytes!("docs/index.html")));

/// What the page loads from `/docs/`.
static FILES: LazyLock<[File; 4]> = LazyLock::new(|| {
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
        Self(Arc::new(File::new("openapi.json", "application/json", json).with_policy(CONTENT_POLICY)))
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
