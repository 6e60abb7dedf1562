//! Header fields and paths of ours, each defined once. (`X-Api-Key` is in [`crate::auth::credential`].)

use axum::http::HeaderName;

/// Taken from the request if it is valid, otherwise generated; in every response.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The request's span: a draft of the W3C, in the form of `traceparent`.
pub(crate) const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

// What a calling key learns about itself.
pub(crate) const X_RALLY_KEY_EXPIRES: HeaderName = HeaderName::from_static("x-rally-key-expires");
/// RFC 9745
pub(crate) const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// RFC 8594
pub(crate) const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// draft-ietf-httpapi-ratelimit-headers
pub(crate) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(crate) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

// What a gateway passes on to the CRM.
pub(crate) const X_RALLY_TENANT: HeaderName = HeaderName::from_static("x-rally-tenant");
pub(crate) const X_RALLY_TENANT_ID: HeaderName = HeaderName::from_static("x-rally-tenant-id");
pub(crate) const X_RALLY_PRINCIPAL: HeaderName = HeaderName::from_static("x-rally-principal");
pub(crate) const X_RALLY_SCOPES: HeaderName = HeaderName::from_static("x-rally-scopes");
pub(crate) const X_RALLY_KEY_ID: HeaderName = HeaderName::from_static("x-rally-key-id");
pub(crate) const X_RALLY_ERROR: HeaderName = HeaderName::from_static("x-rally-error");

/// The scope that a gateway requires besides.
pub(crate) const X_RALLY_REQUIRED_SCOPE: HeaderName = HeaderName::from_static("x-rally-required-scope");
/// Where gateways put the method of the original request, and where clients name the method that the CRM should take the
/// request for.
pub(crate) const METHOD_HEADERS: [&str; 5] =
    ["x-forwarded-method", "x-original-method", "x-http-method-override", "x-http-method", "x-method-override"];

/// RFC 7240
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// That no instance uses a state from before the change: a dictionary of RFC 9651.
pub(crate) const RALLY_RECEIPT: HeaderName = HeaderName::from_static("rally-receipt");
/// The revision that the state must contain that a check is decided by.
pub(crate) const X_RALLY_MIN_REVISION: HeaderName = HeaderName::from_static("x-rally-min-revision");

/// The number of items on all pages.
pub(crate) const X_TOTAL_COUNT: HeaderName = HeaderName::from_static("x-total-count");

pub(crate) const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

pub(crate) const API_KEYS: &str = "/api/v1/api-keys";
pub(crate) const FORWARD_AUTH: &str = "/forward-auth";
pub(crate) const HEALTHZ: &str = "/healthz";
pub(crate) const READYZ: &str = "/readyz";
pub(crate) const METRICS: &str = "/metrics";

/// The route in metrics of a path that no route matches.
pub(crate) const UNMATCHED: &str = "unmatched";
