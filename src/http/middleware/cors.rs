//! Cross-origin requests of the CRM's front end (CORS, the Fetch standard).

use std::time::Duration;

use axum::{
    extract::Request,
    http::{HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::Response,
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    auth::credential::X_API_KEY,
    domain::Slug,
    http::names::{DEPRECATION, SUNSET, X_RALLY_KEY_EXPIRES, X_REQUEST_ID, X_TOTAL_COUNT},
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
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, X_API_KEY, X_REQUEST_ID])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            X_REQUEST_ID,
            X_TOTAL_COUNT,
            X_RALLY_KEY_EXPIRES,
            DEPRECATION,
            SUNSET,
        ])
        .max_age(Duration::from_mins(10))
}
