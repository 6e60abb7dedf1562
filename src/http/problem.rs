//! The one place where an error becomes a response: RFC 9457, `application/problem+json`.
//!
//! A [`Problem`] travels in its response's extensions; the outermost layer writes it out, since
//! only there the request's id is known.

use std::borrow::Cow;

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    auth::{self, error::Overloaded},
    domain::Scope,
    store,
};

/// How long clients are asked to wait after a 503, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// One bad field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The property, query parameter or path parameter.
    #[schema(value_type = String)]
    pub field: Cow<'static, str>,
    /// What is wrong with it, to be read after its name.
    #[schema(value_type = String)]
    pub message: Cow<'static, str>,
}

impl FieldError {
    /// A bad field.
    pub fn new(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// An error as clients see it.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    required_scope: Option<Scope>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemDocument<'a> {
    /// Names the kind of problem; tells no more than `code`
    r#type: String,
    /// What kind of problem it is, for people
    title: &'a str,
    /// The response's status
    status: u16,
    /// What is wrong and what to do about it, for people
    detail: &'a str,
    /// Stable; what clients match on
    code: &'a str,
    /// The request's id, as in `X-Request-Id`
    request_id: &'a str,
    /// Every bad field of the request
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
    /// The scope that would have been enough
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    required_scope: Option<&'a str>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code, title, detail: detail.into(), errors: vec![], required_scope: None, headers: vec![] }
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// 401, with the challenge of RFC 6750, 3.
    fn unauthorized(code: &'static str, title: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let challenge = if code == "missing_credentials" {
            HeaderValue::from_static(r#"Bearer realm="rally-api-keys""#)
        } else {
            HeaderValue::from_static(r#"Bearer realm="rally-api-keys", error="invalid_token""#)
        };
        Self::new(StatusCode::UNAUTHORIZED, code, title, detail).with_header(header::WWW_AUTHENTICATE, challenge)
    }

    fn unavailable(code: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, title, detail).with_header(header::RETRY_AFTER, RETRY_AFTER)
    }

    /// The same for a gateway: what is not 401, 403 or 503 becomes 401, or 503 where it is ours.
    #[must_use]
    pub fn for_gateways(mut self) -> Self {
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE => self,
            status if status.is_server_error() => {
                self.status = StatusCode::SERVICE_UNAVAILABLE;
                self.with_header(header::RETRY_AFTER, RETRY_AFTER)
            }
            _ => {
                self.status = StatusCode::UNAUTHORIZED;
                self.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="rally-api-keys""#))
            }
        }
    }

    /// The stable code that clients match on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// 400: what is wrong with which fields.
    #[must_use]
    pub fn invalid_request(errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors.iter().map(|error| &*error.field).take(5).collect();
        let detail = format!("Correct these and try again: {}.", names.join(", "));
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, "invalid_request", "The request is not valid", detail) }
    }

    /// 400: the body is no JSON object.
    #[must_use]
    pub fn invalid_json(message: String) -> Self {
        Self {
            errors: vec![FieldError::new("body", message)],
            ..Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_json",
                "The body is not valid JSON",
                "Send one JSON object, in UTF-8.",
            )
        }
    }

    /// 413: the body is over the limit.
    #[must_use]
    pub fn body_too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "The body is too large",
            "A body has at most 16 KiB.",
        )
    }

    /// 415: the body is not JSON.
    #[must_use]
    pub fn unsupported_media_type(expected: &'static str) -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body is not JSON",
            format!("Send the header `Content-Type: {expected}`."),
        )
    }

    /// 408: the body did not come in time.
    #[must_use]
    pub fn body_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            "The request took too long",
            "The body did not arrive in time.",
        )
        .with_header(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// 503: the answer did not come in time.
    #[must_use]
    pub fn timeout() -> Self {
        Self::unavailable(
            "timeout",
            "The answer took too long",
            "Whether the request took effect is unknown; look before you repeat it.",
        )
    }

    /// 404: the tenant has no such key. One wording for unknown ids and for other tenants'.
    #[must_use]
    pub fn key_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "key_not_found", "No such API key", "This tenant has no API key with this id.")
    }

    /// 404: no such path.
    #[must_use]
    pub fn path_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "No such path", "The API keys are under /api/v1/api-keys.")
    }

    /// 405; the router adds `Allow`.
    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "The path does not take this method",
            "The header Allow names the methods that it takes.",
        )
    }

    /// 409: a revoked key does not change.
    #[must_use]
    pub fn revoked_key() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "key_revoked",
            "The API key is revoked",
            "A revoked API key cannot be changed; create a new one.",
        )
    }

    /// 409: an expired key gets no new secret.
    #[must_use]
    pub fn expired_key() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "key_expired",
            "The API key is expired",
            "An expired API key gets no new secret; give it a later expiresAt first.",
        )
    }

    /// 412: the key is not in the state that `If-Match` names.
    #[must_use]
    pub fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "The API key has changed",
            "Its ETag is not the one in If-Match: read the key again and decide anew.",
        )
    }

    /// 403: the credential holds and does not allow this.
    #[must_use]
    pub fn insufficient_scope(scope: Scope, detail: impl Into<Cow<'static, str>>) -> Self {
        // RFC 6750, 3.1; the scopes are words of our own, so the value is always valid.
        let challenge = format!(r#"Bearer realm="rally-api-keys", error="insufficient_scope", scope="{scope}""#);
        let problem = Self {
            required_scope: Some(scope),
            ..Self::new(StatusCode::FORBIDDEN, "insufficient_scope", "The credential does not allow this", detail)
        };
        match HeaderValue::from_str(&challenge) {
            Ok(value) => problem.with_header(header::WWW_AUTHENTICATE, value),
            Err(_) => problem,
        }
    }

    /// 503: the database does not answer.
    #[must_use]
    pub fn database_unavailable() -> Self {
        Self::unavailable("database_unavailable", "The database is unavailable", "Try again in a moment.")
    }

    /// 503: the probe is told that the service is about to stop; requests are not.
    #[must_use]
    pub fn stopping() -> Self {
        Self::unavailable(
            "stopping",
            "The service is stopping",
            "Send requests elsewhere; this instance still answers.",
        )
    }

    /// 500: a defect of ours.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something went wrong here",
            "It has been logged; tell us the request id.",
        )
    }

    fn with_request_id<'a>(&'a self, request_id: &'a str) -> ProblemDocument<'a> {
        ProblemDocument {
            // RFC 4151: a name that is ours and stays, without promising that it resolves.
            r#type: format!("tag:rallycrm.io,2026:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: &self.errors,
            required_scope: self.required_scope.map(Scope::as_str),
        }
    }

    /// One of each kind, for the API's description.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        use auth::error::Error;
        let callers = [
            Error::TenantNotFound,
            Error::AmbiguousTenant("X-Forwarded-Host names another tenant than Host"),
            Error::MissingHost,
            Error::AmbiguousCredentials,
            Error::MissingCredentials,
            Error::InvalidKey,
            Error::KeyExpired,
            Error::KeyRevoked,
            Error::InvalidToken("its signature does not match"),
            Error::TokenExpired,
            Error::WrongTenant,
            Error::InsufficientScope(Scope::Admin),
            Error::KeyRequired,
            Error::IssuerUnavailable,
            Error::Overloaded(Overloaded),
        ];
        let name = FieldError::new("name", "must have 1 to 100 characters after trimming");
        let expires_at = FieldError::new("expiresAt", "must be in the future");
        let others = [
            Self::invalid_request(vec![name, expires_at]),
            Self::invalid_json("ends too early, at line 1, column 20".into()),
            Self::body_too_large(),
            Self::unsupported_media_type("application/json"),
            Self::body_timeout(),
            Self::timeout(),
            Self::stopping(),
            Self::key_not_found(),
            Self::revoked_key(),
            Self::expired_key(),
            Self::precondition_failed(),
            Self::database_unavailable(),
            Self::internal(),
        ];
        callers.into_iter().map(Self::from).chain(others).collect()
    }

    /// Its name among the examples; a code that is told with two statuses has two.
    #[must_use]
    pub fn example_name(&self) -> &'static str {
        match (self.status, self.code) {
            (StatusCode::CONFLICT, "key_revoked") => "key_revoked_conflict",
            (StatusCode::CONFLICT, "key_expired") => "key_expired_conflict",
            (_, code) => code,
        }
    }

    /// The document, as JSON.
    #[must_use]
    pub fn document(&self, request_id: &str) -> Value {
        serde_json::to_value(self.with_request_id(request_id)).unwrap_or_default()
    }

    /// The response's status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// What kind of problem it is.
    #[must_use]
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Writes the document into a response that carries a problem.
    pub fn write_out(self, request_id: &str, response: &mut Response) {
        let document = self.with_request_id(request_id);
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::from(body);
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let mut response = self.status.into_response();
        for (name, value) in self.headers.drain(..) {
            response.headers_mut().append(name, value);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<store::Error> for Problem {
    fn from(error: store::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&store::Error> for Problem {
    fn from(error: &store::Error) -> Self {
        match error {
            store::Error::Unavailable(_) | store::Error::TooSlow | store::Error::SummingUp => {
                tracing::warn!(%error, "answered 503");
                Self::database_unavailable()
            }
            store::Error::Internal(_) | store::Error::BadRow { .. } => {
                tracing::error!(%error, "answered 500");
                Self::internal()
            }
        }
    }
}

impl From<Overloaded> for Problem {
    fn from(_: Overloaded) -> Self {
        Self::unavailable(
            "busy",
            "The service is busy",
            "Too many API keys are being made or checked; try again in a moment.",
        )
    }
}

impl From<auth::error::Error> for Problem {
    fn from(error: auth::error::Error) -> Self {
        use auth::error::Error;
        let bad_request = |code, title, detail| Self::new(StatusCode::BAD_REQUEST, code, title, detail);
        match error {
            Error::TenantNotFound => Self::new(
                StatusCode::NOT_FOUND,
                "tenant_not_found",
                "No such tenant",
                "The host names no tenant. Call your tenant's own host, as in https://your-tenant.rallycrm.io.",
            ),
            Error::AmbiguousTenant(detail) => bad_request(
                "ambiguous_tenant",
                "The request names more than one tenant",
                format!("It is refused because {detail}."),
            ),
            Error::MissingHost => bad_request(
                "missing_host",
                "The request names no host",
                "Send a Host header (RFC 9112, 3.2).".to_owned(),
            ),
            Error::AmbiguousCredentials => bad_request(
                "ambiguous_credentials",
                "There is more than one credential",
                "Send either Authorization or X-Api-Key, and once.".to_owned(),
            ),
            Error::MissingCredentials => Self::unauthorized(
                "missing_credentials",
                "A credential is needed",
                "Send `Authorization: Bearer <token>` or `X-Api-Key: <your API key>`.",
            ),
            Error::InvalidKey => Self::unauthorized(
                "invalid_key",
                "The API key is not valid",
                "No API key of this tenant has this secret. Check that it is complete and that the host is your tenant's.",
            ),
            Error::KeyExpired => Self::unauthorized(
                "key_expired",
                "The API key is expired",
                "Its expiresAt has passed. An admin of the tenant can extend it or create a new one.",
            ),
            Error::KeyRevoked => Self::unauthorized(
                "key_revoked",
                "The API key is revoked",
                "It was taken away for good. An admin of the tenant can create a new one.",
            ),
            Error::InvalidToken(why) => Self::unauthorized(
                "invalid_token",
                "The token is not valid",
                format!("The Bearer token is refused: {why}."),
            ),
            Error::IssuerUnavailable => Self::unavailable(
                "issuer_unavailable",
                "The token cannot be checked",
                "The keys of the issuer of users' tokens cannot be had at present; try again in a moment. API keys work.",
            ),
            Error::TokenExpired => {
                Self::unauthorized("token_expired", "The token is expired", "Get a new token and try again.")
            }
            Error::WrongTenant => Self::new(
                StatusCode::FORBIDDEN,
                "wrong_tenant",
                "The token is another tenant's",
                "The token's tenant claim does not name the tenant of the host.",
            ),
            Error::InsufficientScope(scope) => {
                Self::insufficient_scope(scope, format!("This needs the scope `{scope}`."))
            }
            Error::KeyRequired => Self::new(
                StatusCode::FORBIDDEN,
                "key_required",
                "This is for API keys",
                "`self` is the API key that calls; call it with an API key, or name a key by its id.",
            ),
            Error::Overloaded(busy) => busy.into(),
            Error::Store(error) => Self::from(&*error),
            Error::Misrouted(_) | Error::Panicked => {
                tracing::error!(%error, "answered 500");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for auth::error::Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
