//! Errors as clients see them: RFC 9457, `application/problem+json`.
//!
//! A [`Problem`] travels in the extensions of its response. The request scope writes the document, since only the
//! scope knows the request's id.

mod code;
mod from_errors;

use std::{borrow::Cow, fmt::Write as _};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;
use utoipa::{
    ToSchema,
    openapi::{ObjectBuilder, Type},
};

pub(crate) use self::code::{BODY, CALLER, Code, HOST, IDEMPOTENCY, PARAMS, SERVER};
use super::rate_limit_fields::whole_seconds;
use crate::domain::{Budget, QuotaUse, Scope, Secret, Timestamp, Violation, format_timestamp};

/// `Retry-After` of every 503, and of a request that is under way, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
/// RFC 5789, section 3.1
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// One bad field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FieldError {
    /// The property, query parameter or path parameter
    #[schema(value_type = String)]
    pub(crate) field: Cow<'static, str>,
    /// What is wrong with it; continues a sentence that starts with the field's name
    #[schema(value_type = String)]
    pub(crate) message: Cow<'static, str>,
    /// The field's name in logs. `None`: sent by the client, so not logged.
    #[serde(skip)]
    logged_name: Option<Cow<'static, str>>,
}

impl FieldError {
    pub(crate) fn new(field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Self {
        let field = field.into();
        let logged_name = if let Cow::Borrowed(known) = field { Some(known.into()) } else { None };
        Self { field, message: message.into(), logged_name }
    }

    /// A part of a property that the API knows, such as `allowedAddresses[3]`.
    pub(crate) fn of_part(known: &'static str, part: String, message: impl Into<Cow<'static, str>>) -> Self {
        Self { field: part.into(), message: message.into(), logged_name: Some(known.into()) }
    }

    /// A header that the API knows.
    pub(crate) fn of_header(known: &HeaderName, message: impl Into<Cow<'static, str>>) -> Self {
        let name = known.as_str().to_owned();
        Self { field: name.clone().into(), message: message.into(), logged_name: Some(name.into()) }
    }
}

/// The status of a request that exceeds its key's limits, as a gateway asks for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LimitedStatus {
    /// 403, for gateways that support no other refusal than 401 and 403.
    #[default]
    Forbidden,
    /// 429, for those that pass any refusal on to their client.
    TooManyRequests,
}

/// An error response that is not written yet.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    /// The code's, unless the problem is for a gateway.
    status: StatusCode,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    required_scope: Option<Scope>,
    reset_at: Option<Timestamp>,
    /// Boxed, since it is rare.
    violation: Option<Box<Violation>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Why the service could not respond otherwise. For the log, not for the client.
    cause: Option<String>,
}

/// A problem document (RFC 9457).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// A URI for `code`, with no further information
    r#type: String,
    /// The kind of problem, for people
    title: &'a str,
    /// The response's status
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong and what to do about it, for people
    detail: &'a str,
    /// Stable: match on this
    #[schema(schema_with = code::schema)]
    code: &'a str,
    /// The request's id, as in `X-Request-Id`
    request_id: &'a str,
    /// Every bad field of the request
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
    /// The scope that the request needs
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = scope_schema, required = false)]
    required_scope: Option<&'a str>,
    /// When the next request may come. `Retry-After` is at most an hour
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required = false)]
    reset_at: Option<String>,
    /// Of a `policy_violation`: the property of the policy
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    rule: Option<&'a str>,
    /// Of a `policy_violation`: what the rule says
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    limit: Option<&'a Value>,
    /// Of a `policy_violation`: what the key would have
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value, required = false)]
    value: Option<&'a Value>,
}

/// The schema of one scope.
pub(crate) fn scope_schema() -> ObjectBuilder {
    let names = Scope::ALL.map(Scope::as_str);
    ObjectBuilder::new()
        .schema_type(Type::String)
        .title(Some("Scope"))
        .description(Some("The scope that the request needs"))
        .enum_values(Some(names))
        .examples(["admin"])
}

impl From<Code> for Problem {
    fn from(code: Code) -> Self {
        let status = code.status();
        let header = match status {
            StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
            StatusCode::CONFLICT if code == Code::IdempotencyKeyInUse => Some((header::RETRY_AFTER, RETRY_AFTER)),
            // The rest of the body is still to come, so the connection cannot be used again.
            StatusCode::REQUEST_TIMEOUT => Some((header::CONNECTION, HeaderValue::from_static("close"))),
            _ => None,
        };
        Self {
            code,
            status,
            detail: code.default_detail().into(),
            errors: Vec::new(),
            required_scope: None,
            reset_at: None,
            violation: None,
            headers: header.into_iter().collect(),
            cause: None,
        }
    }
}

impl From<Violation> for Problem {
    fn from(violation: Violation) -> Self {
        let detail = format!("{violation}. Change the request, or ask an admin of the tenant to change the policy.")
            .replacen("the", "The", 1);
        Self { violation: Some(Box::new(violation)), ..Self::with_detail(Code::PolicyViolation, detail) }
    }
}

impl Problem {
    pub(crate) fn with_detail(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { detail: detail.into(), ..Self::from(code) }
    }

    pub(crate) fn because_of(code: Code, cause: &impl ToString) -> Self {
        Self { cause: Some(cause.to_string()), ..Self::from(code) }
    }

    pub(crate) fn invalid_request(errors: Vec<FieldError>) -> Self {
        let names: Vec<&str> = errors.iter().map(|error| &*error.field).take(5).collect();
        let more = errors.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let detail = format!("Correct these fields and send the request again: {}{more}.", names.join(", "));
        Self { errors, ..Self::with_detail(Code::InvalidRequest, detail) }
    }

    pub(crate) fn invalid_json(message: String) -> Self {
        Self { errors: vec![FieldError::new("body", message)], ..Self::from(Code::InvalidJson) }
    }

    /// RFC 9110, section 15.5.16.
    pub(crate) fn unsupported_media_type(accepted: &[&str], method: &Method) -> Self {
        let detail = format!("Send the header `Content-Type: {}`.", accepted.join("` or `Content-Type: "));
        let mut problem = Self::with_detail(Code::UnsupportedMediaType, detail);
        // The names of media types are always valid in a header.
        if let Ok(value) = HeaderValue::try_from(accepted.join(", ")) {
            if *method == Method::PATCH {
                problem.headers.push((ACCEPT_PATCH, value.clone()));
            }
            problem.headers.push((header::ACCEPT, value));
        }
        problem
    }

    /// Only this 415 has `Accept-Encoding`, so that a client can tell the two apart (RFC 9110, section 12.5.3).
    pub(crate) fn unsupported_coding() -> Self {
        let detail = "Send the body as plain JSON, without `Content-Encoding`.";
        let mut problem = Self::with_detail(Code::UnsupportedMediaType, detail);
        problem.headers.push((header::ACCEPT_ENCODING, HeaderValue::from_static("identity")));
        problem
    }

    pub(crate) fn insufficient_scope(scope: Scope, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { required_scope: Some(scope), ..Self::with_detail(Code::InsufficientScope, detail) }
    }

    pub(crate) fn body_too_large(max_bytes: usize) -> Self {
        Self::with_detail(Code::BodyTooLarge, format!("Send a body of at most {} KiB.", max_bytes / 1024))
    }

    pub(crate) fn too_many_reports(retry_after_seconds: u32, now: Timestamp) -> Self {
        let mut problem = Self::from(Code::TooManyReports);
        problem.headers.push((header::RETRY_AFTER, retry_after_seconds.into()));
        Self { reset_at: Some(now + TimeDelta::seconds(retry_after_seconds.into())), ..problem }
    }

    pub(crate) fn too_many_rotations(retry_after_seconds: u32, until: Timestamp) -> Self {
        let mut problem = Self::from(Code::TooManyRotations);
        problem.headers.push((header::RETRY_AFTER, retry_after_seconds.into()));
        Self { reset_at: Some(until), ..problem }
    }

    /// The key has exceeded its rate limit. `until`: when the next request may come.
    pub(crate) fn rate_limited(budget: Budget, until: Timestamp) -> Self {
        let limit = budget.limit();
        let (requests, seconds) = (limit.requests(), limit.window_seconds());
        let detail = format!(
            "The rate limit of the API key, {requests} requests in {seconds} seconds, is used up. Try again after the \
             seconds in Retry-After."
        );
        let mut problem = Self::with_detail(Code::RateLimited, detail);
        problem.headers.push((header::RETRY_AFTER, whole_seconds(budget.next_in().unwrap_or_default()).into()));
        Self { reset_at: Some(until), ..problem }
    }

    /// The key has exhausted its quota.
    pub(crate) fn quota_exceeded(quota: &QuotaUse) -> Self {
        let (requests, per) = (quota.quota.requests(), quota.quota.per().as_str());
        let detail = format!(
            "The API key may be used {requests} times in a {per} (UTC), and was. Try again from {} on, or ask an admin to \
             raise its quota.",
            format_timestamp(quota.resets_at)
        );
        let mut problem = Self::with_detail(Code::QuotaExceeded, detail);
        problem.headers.push((header::RETRY_AFTER, whole_seconds(quota.resets_in()).into()));
        Self { reset_at: Some(quota.resets_at), ..problem }
    }

    pub(crate) fn internal() -> Self {
        Code::InternalError.into()
    }

    /// The problem with a status that gateways support: 401, 403 or 503, and 429 if they ask for it. An invalid
    /// check and an exceeded limit become 403, since another credential would not help; other client errors become 401, other
    /// server errors 503.
    #[must_use]
    pub(crate) fn for_gateways(mut self, limited: LimitedStatus) -> Self {
        match self.status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::SERVICE_UNAVAILABLE => {}
            StatusCode::TOO_MANY_REQUESTS if limited == LimitedStatus::TooManyRequests => {}
            StatusCode::TOO_MANY_REQUESTS => self.status = StatusCode::FORBIDDEN,
            _ if self.code == Code::InvalidRequest => self.status = StatusCode::FORBIDDEN,
            status if status.is_server_error() => {
                self.status = StatusCode::SERVICE_UNAVAILABLE;
                self.headers.push((header::RETRY_AFTER, RETRY_AFTER));
            }
            _ => self.status = StatusCode::UNAUTHORIZED,
        }
        self
    }

    pub(crate) const fn kind(&self) -> Code {
        self.code
    }

    pub(crate) const fn code(&self) -> &'static str {
        self.code.as_str()
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// What the detail says beyond the code about a refused caller, for the log. Not of other codes, since their details
    /// repeat what the client sent.
    pub(crate) fn particulars(&self) -> Option<&str> {
        let is_of_caller = matches!(
            self.code,
            Code::InvalidToken | Code::WrongTenant | Code::InsufficientScope | Code::AmbiguousTenant
        );
        let is_particular = is_of_caller && self.detail != self.code.default_detail();
        (is_particular && !self.detail.contains(Secret::PREFIX)).then_some(&*self.detail)
    }

    /// The names of the bad fields, comma-separated and each once, for the log: of fields that the API knows.
    pub(crate) fn bad_fields(&self) -> Option<String> {
        let mut names = Vec::new();
        for error in &self.errors {
            let name = error.logged_name.as_deref().unwrap_or("(unknown)");
            if !names.contains(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| names.join(","))
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        let challenge = self.challenge().is_some().then_some(header::WWW_AUTHENTICATE);
        self.headers.iter().map(|(header, _)| header).chain(&challenge).any(|header| header == name)
    }

    /// `WWW-Authenticate` where another credential could help (RFC 6750, section 3). Bearer is the only scheme: it takes
    /// API keys too, and there is none for `X-Api-Key`.
    fn challenge(&self) -> Option<HeaderValue> {
        let error = match self.code {
            Code::AmbiguousCredentials => Some("invalid_request"),
            Code::InsufficientScope => Some("insufficient_scope"),
            // No error's meaning in RFC 6750 fits.
            Code::MissingCredentials | Code::WrongTenant | Code::KeyRequired => None,
            code if code.status() == StatusCode::UNAUTHORIZED => Some("invalid_token"),
            _ if self.status == StatusCode::UNAUTHORIZED => None, // for a gateway
            _ => return None,
        };
        let mut challenge = r#"Bearer realm="rally-api-keys""#.to_owned();
        // Writing to a String does not fail.
        if let Some(error) = error {
            let description = self.detail.chars().map(error_description_char).collect::<String>();
            let _ = write!(challenge, r#", error="{error}", error_description="{description}""#);
        }
        if let Some(scope) = self.required_scope {
            let _ = write!(challenge, r#", scope="{scope}""#);
        }
        HeaderValue::try_from(challenge).ok()
    }

    fn with_request_id<'a>(&'a self, request_id: &'a str) -> ProblemDocument<'a> {
        ProblemDocument {
            // A tag URI (RFC 4151): it is unique and does not promise to resolve.
            r#type: format!("tag:rallycrm.io,2026:problem:{}", self.code.as_str()),
            title: self.code.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            request_id,
            errors: &self.errors,
            required_scope: self.required_scope.map(Scope::as_str),
            reset_at: self.reset_at.map(format_timestamp),
            rule: self.violation.as_ref().map(|violation| violation.rule),
            limit: self.violation.as_ref().map(|violation| &violation.limit),
            value: self.violation.as_ref().map(|violation| &violation.value),
        }
    }

    /// The document as JSON, for examples.
    pub(crate) fn document(&self, request_id: &str) -> Value {
        serde_json::to_value(self.with_request_id(request_id)).unwrap_or_default()
    }

    /// Writes the document into the response that the problem was taken from.
    pub(crate) fn write_out(&self, request_id: &str, response: &mut Response) {
        let document = self.with_request_id(request_id);
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        *response.body_mut() = Body::from(body);
    }
}

/// RFC 6750, section 3, allows visible ASCII and spaces without `"` and `\`.
fn error_description_char(c: char) -> char {
    match c {
        '"' | '\\' => '\'',
        ' '..='~' => c,
        _ => '?',
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let mut response = self.status.into_response();
        if let Some(challenge) = self.challenge() {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        for (name, value) in self.headers.drain(..) {
            response.headers_mut().append(name, value);
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The grammar of RFC 6750, section 3, whatever the detail is.
        #[test]
        fn a_challenge_is_well_formed(detail in any::<String>(), code in prop::sample::select(Code::ALL.to_vec()), gateway in any::<bool>()) {
            let problem = Problem::with_detail(code, detail);
            let problem = if gateway { problem.for_gateways(LimitedStatus::default()) } else { problem };
            let needs_one = problem.status == StatusCode::UNAUTHORIZED;
            let Some(challenge) = problem.challenge() else {
                prop_assert!(!needs_one);
                return Ok(());
            };
            let text = challenge.to_str().unwrap();
            let parameters = text.strip_prefix("Bearer realm=\"rally-api-keys\"").unwrap();
            let form = regex::Regex::new(r#"^(, error="[a-z_]+", error_description="[ !#-\[\]-~]*")?$"#).unwrap();
            prop_assert!(form.is_match(parameters), "{}", text);
        }
    }
}
