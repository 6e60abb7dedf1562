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
    http::{
        names::{PREFER, X_REQUEST_ID},
        origins::{AllowedOrigins, exposed_headers},
    },
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

/// Allows the origins. Without credentials in the sense of the Fetch standard (cookies), since tokens come in headers.
pub(super) fn layer(origins: AllowedOrigins) -> CorsLayer {
    let allowed = move |origin: &HeaderValue, _: &Parts| origins.contain(origin);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
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
        PREFER,
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
