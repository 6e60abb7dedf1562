//! The web origins whose pages may read responses (CORS, the Fetch standard).

use std::sync::LazyLock;

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};

use super::names::{
    DEPRECATION, PREFERENCE_APPLIED, RALLY_RECEIPT, RATE_LIMIT, RATE_LIMIT_POLICY, SUNSET, TRACERESPONSE,
    X_RALLY_ERROR, X_RALLY_KEY_EXPIRES, X_REQUEST_ID, X_TOTAL_COUNT,
};
use crate::domain::Slug;

/// `https://{tenant}.{base_domain}`, and those of the settings.
#[derive(Clone)]
pub(super) struct AllowedOrigins {
    suffix: String,
    listed: Vec<HeaderValue>,
}

impl AllowedOrigins {
    pub(super) fn new(base_domain: &str, listed: Vec<HeaderValue>) -> Self {
        Self { suffix: format!(".{base_domain}"), listed }
    }

    pub(super) fn contain(&self, origin: &HeaderValue) -> bool {
        let tenant = || origin.to_str().ok()?.strip_prefix("https://")?.strip_suffix(&self.suffix);
        self.listed.contains(origin) || tenant().is_some_and(|label| Slug::parse(label).is_ok())
    }

    /// The request's origin, if its pages may read the response.
    pub(super) fn of(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        headers.get(header::ORIGIN).filter(|origin| self.contain(origin)).cloned()
    }
}

/// Lets pages of that origin read a refusal of `/forward-auth`, which gateways pass on.
pub(super) fn reveal_refusal(origin: HeaderValue, response: &mut Response) {
    static EXPOSED: LazyLock<HeaderValue> = LazyLock::new(|| {
        let names = exposed_headers().into_iter().chain([X_RALLY_ERROR]);
        let names: Vec<String> = names.map(|name| name.to_string()).collect();
        HeaderValue::try_from(names.join(",")).unwrap_or(HeaderValue::from_static("*"))
    });
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.clone());
}

/// What a page may read besides the headers that the Fetch standard always exposes.
pub(super) fn exposed_headers() -> Vec<HeaderName> {
    let ours = [
        header::ACCEPT_ENCODING,
        header::ALLOW,
        header::ETAG,
        header::LINK,
        header::LOCATION,
        header::RETRY_AFTER,
        header::WWW_AUTHENTICATE,
        DEPRECATION,
        PREFERENCE_APPLIED,
        RALLY_RECEIPT,
        RATE_LIMIT,
        RATE_LIMIT_POLICY,
        SUNSET,
        TRACERESPONSE,
        X_RALLY_KEY_EXPIRES,
        X_REQUEST_ID,
        X_TOTAL_COUNT,
    ];
    ours.into()
}
