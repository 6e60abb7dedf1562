//! Cross-origin requests of the CRM's front end (CORS, the Fetch standard).

use std::time::Duration;

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    auth::credential::X_API_KEY,
    domain::Slug,
    http::names::{DEPRECATION, SUNSET, TRACERESPONSE, X_RALLY_KEY_EXPIRES, X_REQUEST_ID, X_TOTAL_COUNT},
};

/// Keeps an `OPTIONS` request that is no preflight (no `Access-Control-Request-Method`) from the CORS layer, which
/// would respond with 200: the request goes on with a method that no route supports, and gets 405.
pub(super) async fn only_preflights(mut request: Request, next: Next) -> Response {
    let preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !preflight {
        *request.method_mut() = Method::TRACE;
    }
    next.run(request).await
}

/// Allows `https://{tenant}.{base_domain}` and `origins`. Without credentials in the sense of the Fetch standard
/// (cookies), since tokens come in headers.
pub(super) fn layer(base_domain: &str, origins: Vec<HeaderValue>) -> CorsLayer {
    let suffix = format!(".{base_domain}");
    let allowed = move |origin: &HeaderValue, _: &Parts| {
        origins.contains(origin)
            || origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("https://")?.strip_suffix(suffix.as_str()))
                .is_some_and(|label| Slug::parse(label).is_ok())
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(allowed_headers())
        .expose_headers(exposed_headers())
        .max_age(Duration::from_mins(10))
}

/// What a browser may send: our own headers, and those that tracing libraries add to every request of a page.
fn allowed_headers() -> Vec<HeaderName> {
    let ours = [
        header::AUTHORIZATION,
        X_API_KEY,
        X_REQUEST_ID,
        header::CONTENT_TYPE,
        header::CACHE_CONTROL,
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("prefer"),
    ];
    let of_tracing = [
        "traceparent",
        "tracestate",
        "baggage",
        "sentry-trace",
        "b3",
        "newrelic",
        "x-datadog-origin",
        "x-datadog-parent-id",
        "x-datadog-sampling-priority",
        "x-datadog-trace-id",
        "x-requested-with",
    ];
    ours.into_iter().chain(of_tracing.map(HeaderName::from_static)).collect()
}

/// What a page may read besides the headers that the Fetch standard always exposes.
fn exposed_headers() -> Vec<HeaderName> {
    let ours = [
        header::ACCEPT_ENCODING,
        header::ALLOW,
        header::ETAG,
        header::LINK,
        header::LOCATION,
        header::RETRY_AFTER,
        header::WWW_AUTHENTICATE,
        DEPRECATION,
        SUNSET,
        TRACERESPONSE,
        X_RALLY_KEY_EXPIRES,
        X_REQUEST_ID,
        X_TOTAL_COUNT,
    ];
    ours.into_iter().chain(["ratelimit", "ratelimit-policy"].map(HeaderName::from_static)).collect()
}
