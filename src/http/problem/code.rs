//! The problem codes: every kind of error that a client can get, in one table.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde::{Serialize, Serializer};
use utoipa::openapi::{ObjectBuilder, Type};

macro_rules! codes {
    ($($code:ident $name:literal $status:ident $title:literal $detail:literal)*) => {
        /// A kind of problem. Two variants may have one name if they differ in their status.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Code {
            $($code),*
        }

        impl Code {
            pub(crate) const ALL: &[Self] = &[$(Self::$code),*];

            /// Name, status, title, and the detail that is used unless there is a more precise one.
            const fn row(self) -> (&'static str, StatusCode, &'static str, &'static str) {
                match self {
                    $(Self::$code => ($name, StatusCode::$status, $title, $detail)),*
                }
            }
        }
    };
}

// Clients match on the names: a released name never changes.
codes! {
    InvalidRequest "invalid_request" BAD_REQUEST
        "The request is not valid"
        "Correct the fields in `errors` and send the request again."
    InvalidJson "invalid_json" BAD_REQUEST
        "The body is not valid JSON"
        "Send one JSON object, in UTF-8."
    AmbiguousCredentials "ambiguous_credentials" BAD_REQUEST
        "The request has more than one credential"
        "Send exactly one credential: either Authorization or X-Api-Key, and only once."
    AmbiguousTenant "ambiguous_tenant" BAD_REQUEST
        "The request names more than one tenant"
        "Name one tenant only, in the Host header."
    MissingHost "missing_host" BAD_REQUEST
        "The request names no host"
        "Send a Host header (RFC 9112, section 3.2) with your tenant's host."
    MissingCredentials "missing_credentials" UNAUTHORIZED
        "The request has no credential"
        "Send `Authorization: Bearer <token>` or `X-Api-Key: <your API key>`."
    InvalidKey "invalid_key" UNAUTHORIZED
        "The API key is not valid"
        "This tenant has no API key with this secret. Check that the secret is complete and that the host is your tenant's."
    KeyExpired "key_expired" UNAUTHORIZED
        "The API key is expired"
        "The key's expiresAt has passed. Ask an admin of the tenant to extend the key or to create a new one."
    KeyRevoked "key_revoked" UNAUTHORIZED
        "The API key is revoked"
        "The key was revoked and will not work again. Ask an admin of the tenant to create a new one."
    KeySuspended "key_suspended" UNAUTHORIZED
        "The API key is suspended"
        "The key works again when its suspension ends: at the end that it has, or when an admin of the tenant resumes the key."
    InvalidToken "invalid_token" UNAUTHORIZED
        "The token is not valid"
        "The Bearer token was refused. Get a new token and try again."
    TokenExpired "token_expired" UNAUTHORIZED
        "The token is expired"
        "Get a new token and try again."
    InsufficientScope "insufficient_scope" FORBIDDEN
        "The credential does not allow this"
        "Use a credential that has the scope in `requiredScope`."
    AddressNotAllowed "address_not_allowed" FORBIDDEN
        "The API key may not be used from this address"
        "The key's allowedAddresses do not contain the address that the request came from. Ask an admin of the tenant to add it."
    PlainHttp "plain_http" FORBIDDEN
        "The request came over plain HTTP"
        "Whoever is on the way could read it. Send it to the https:// URL, and replace a credential that was in it."
    WrongTenant "wrong_tenant" FORBIDDEN
        "The token belongs to another tenant"
        "The token's tenant claim does not name the tenant of the host. Use the host of the token's tenant."
    KeyRequired "key_required" FORBIDDEN
        "An API key is required"
        "`self` is the API key that sends the request. Send the request with an API key, or name a key by its id."
    SecretRetired "secret_retired" FORBIDDEN
        "The secret was replaced by a rotation"
        "Send this request with the key's current secret. A previous secret still works for reading, and for revoking its own key, until its end."
    InvalidSignature "invalid_signature" FORBIDDEN
        "The signature is not valid"
        "Send Github-Public-Key-Identifier and Github-Public-Key-Signature: a signature of the body by that key of GitHub."
    KeyNotFound "key_not_found" NOT_FOUND
        "No such API key"
        "This tenant has no API key with this id."
    ReceiptNotFound "receipt_not_found" NOT_FOUND
        "No such receipt"
        "This tenant has no change with this revision, which is the id of the change's event."
    TenantNotFound "tenant_not_found" NOT_FOUND
        "No such tenant"
        "The host names no tenant. Use your tenant's own host, as in https://your-tenant.rallycrm.io."
    NotFound "not_found" NOT_FOUND
        "No such path"
        "The API keys are under /api/v1/api-keys."
    MethodNotAllowed "method_not_allowed" METHOD_NOT_ALLOWED
        "The path does not support this method"
        "Use one of the methods in the Allow header."
    RequestTimeout "request_timeout" REQUEST_TIMEOUT
        "The request took too long"
        "The body did not arrive within 10 seconds. Send the request again."
    KeyRevokedConflict "key_revoked" CONFLICT
        "The API key is revoked"
        "A revoked API key cannot be changed. Create a new one."
    KeyExpiredConflict "key_expired" CONFLICT
        "The API key is expired"
        "An expired API key cannot be rotated. Set a later expiresAt first."
    IdempotencyKeyInUse "idempotency_key_in_use" CONFLICT
        "A request with this Idempotency-Key is under way"
        "Send the request again after the seconds in Retry-After: then it gets the response to the first one."
    IdempotencyKeyExpired "idempotency_key_expired" CONFLICT
        "The Idempotency-Key has expired"
        "A request with this Idempotency-Key was made, and its secret cannot be shown again: that is over after 24 hours, or once the API key is rotated. Use a new Idempotency-Key for a new request."
    PreconditionFailed "precondition_failed" PRECONDITION_FAILED
        "The API key has changed"
        "The key's ETag is not in If-Match. Read the key again, then decide whether to repeat the change."
    BodyTooLarge "body_too_large" PAYLOAD_TOO_LARGE
        "The body is too large"
        "Send a body of at most 16 KiB."
    UnsupportedMediaType "unsupported_media_type" UNSUPPORTED_MEDIA_TYPE
        "The body is not plain JSON"
        "Send the header `Content-Type: application/json`."
    IdempotencyKeyReused "idempotency_key_reused" UNPROCESSABLE_ENTITY
        "The Idempotency-Key belongs to another request"
        "Repeat the first request with the same path and body, or use a new Idempotency-Key for this one."
    PolicyViolation "policy_violation" UNPROCESSABLE_ENTITY
        "The tenant's policy forbids this"
        "Change what `rule` limits, or ask an admin of the tenant to change the policy."
    RateLimited "rate_limited" TOO_MANY_REQUESTS
        "The API key has exceeded its rate limit"
        "The key was used more often than its rateLimit allows. Try again after the seconds in Retry-After."
    QuotaExceeded "quota_exceeded" TOO_MANY_REQUESTS
        "The API key has exhausted its quota"
        "The key may not be used again before the period of its quota ends: at `resetAt`."
    TooManyRotations "too_many_rotations" TOO_MANY_REQUESTS
        "The API key was rotated too often"
        "A key gets at most 10 secrets in a minute. Use the newest one, and try again after the seconds in Retry-After."
    TooManyReports "too_many_reports" TOO_MANY_REQUESTS
        "Too many reports from this address"
        "At most 10 reports of leaked secrets a minute are accepted from an address. Send up to 1000 secrets in one report, and try again after the seconds in Retry-After."
    InternalError "internal_error" INTERNAL_SERVER_ERROR
        "Internal error"
        "The error was logged. Report it to the operator with the requestId."
    DatabaseUnavailable "database_unavailable" SERVICE_UNAVAILABLE
        "The database is unavailable"
        "Try again in a moment."
    IssuerUnavailable "issuer_unavailable" SERVICE_UNAVAILABLE
        "The token cannot be verified"
        "The token issuer's keys are unavailable. Try again in a moment. API keys still work."
    SigningKeysUnavailable "signing_keys_unavailable" SERVICE_UNAVAILABLE
        "The signature cannot be verified"
        "The keys by which GitHub signs its reports cannot be fetched. Send the report again in a moment."
    Busy "busy" SERVICE_UNAVAILABLE
        "The service is overloaded"
        "Too many requests of this kind are waiting for their turn. Try again in a moment."
    Timeout "timeout" SERVICE_UNAVAILABLE
        "The response took too long"
        "It is unknown whether the request took effect. Check before you repeat it."
    RevisionNotReached "revision_not_reached" SERVICE_UNAVAILABLE
        "The state does not contain the revision"
        "The check was to be decided by a state that contains the revision in X-Rally-Min-Revision, and there is none yet. Try again in a moment."
    Stopping "stopping" SERVICE_UNAVAILABLE
        "The service is stopping"
        "Send new requests to another instance. This one still responds."
}

/// What authentication and authorization can refuse.
pub(crate) const CALLER: &[Code] = &[
    Code::PlainHttp,
    Code::AmbiguousTenant,
    Code::MissingHost,
    Code::AmbiguousCredentials,
    Code::MissingCredentials,
    Code::InvalidKey,
    Code::KeyExpired,
    Code::KeyRevoked,
    Code::KeySuspended,
    Code::InvalidToken,
    Code::TokenExpired,
    Code::AddressNotAllowed,
    Code::WrongTenant,
    Code::InsufficientScope,
    Code::TenantNotFound,
    Code::RateLimited,
    Code::QuotaExceeded,
    Code::Busy,
    Code::DatabaseUnavailable,
    Code::IssuerUnavailable,
];

/// What can be wrong with the host of any request.
pub(crate) const HOST: &[Code] = &[Code::AmbiguousTenant, Code::MissingHost];

/// What can go wrong on our side in any request to the management API.
pub(crate) const SERVER: &[Code] = &[Code::Timeout, Code::InternalError];

/// Bad path or query parameters.
pub(crate) const PARAMS: &[Code] = &[Code::InvalidRequest];

/// What an `Idempotency-Key` can lead to.
pub(crate) const IDEMPOTENCY: &[Code] =
    &[Code::IdempotencyKeyInUse, Code::IdempotencyKeyExpired, Code::IdempotencyKeyReused];

/// A bad body.
pub(crate) const BODY: &[Code] =
    &[Code::InvalidRequest, Code::InvalidJson, Code::BodyTooLarge, Code::UnsupportedMediaType, Code::RequestTimeout];

impl Code {
    /// The name in a problem's `code`.
    pub(crate) const fn as_str(self) -> &'static str {
        self.row().0
    }

    pub(crate) const fn status(self) -> StatusCode {
        self.row().1
    }

    pub(crate) const fn title(self) -> &'static str {
        self.row().2
    }

    pub(super) const fn default_detail(self) -> &'static str {
        self.row().3
    }

    /// A name that is unique among all codes.
    pub(crate) const fn unique_name(self) -> &'static str {
        match self {
            Self::KeyRevokedConflict => "key_revoked_conflict",
            Self::KeyExpiredConflict => "key_expired_conflict",
            _ => self.as_str(),
        }
    }

    pub(crate) fn from_unique_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.unique_name() == name)
    }
}

/// Every name, for the API's description.
pub(super) fn schema() -> ObjectBuilder {
    let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    let description = "Stable: match on this. Later versions may add codes";
    ObjectBuilder::new()
        .schema_type(Type::String)
        .title(Some("ProblemCode"))
        .description(Some(description))
        .enum_values(Some(names))
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.unique_name())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// The text of all Markdown files that match, one after the other.
    fn markdown(files: &[&str]) -> String {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut text = String::new();
        for file in files {
            let path = root.join(file);
            if path.is_dir() {
                for entry in fs::read_dir(path).unwrap() {
                    let path = entry.unwrap().path();
                    if path.extension().is_some_and(|extension| extension == "md") {
                        text += &fs::read_to_string(path).unwrap();
                    }
                }
            } else {
                text += &fs::read_to_string(path).unwrap();
            }
        }
        text
    }

    fn undocumented<'a>(codes: impl IntoIterator<Item = &'a Code>, text: &str) -> Vec<&'static str> {
        let names = codes.into_iter().map(|code| code.as_str());
        names.filter(|name| !text.contains(&format!("`{name}`"))).collect()
    }

    #[test]
    fn every_code_is_in_the_docs() {
        assert_eq!(undocumented(Code::ALL, &markdown(&["README.md", "docs"])), [""; 0]);
    }

    #[test]
    fn every_code_of_a_check_is_in_the_gateways_docs() {
        let text = markdown(&["docs/gateways"]);
        assert_eq!(undocumented(CALLER.iter().chain(PARAMS).chain(&[Code::InternalError]), &text), [""; 0]);
        assert_eq!(undocumented(&[Code::BodyTooLarge], &text), ["body_too_large"], "the test sees what is missing");
    }

    /// nginx ignores the body of a check's response.
    #[test]
    fn nginx_has_a_text_for_every_code_of_a_check() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/gateways/nginx.conf");
        let text = fs::read_to_string(file).unwrap();
        let has_text = |code: &&Code| text.lines().any(|line| line.trim().starts_with(&format!("{} ", code.as_str())));
        let codes = CALLER.iter().chain(PARAMS).chain(&[Code::InternalError]);
        let missing: Vec<_> = codes.filter(|code| !has_text(code)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(!has_text(&&Code::BodyTooLarge), "the test sees what is missing");
    }

    #[test]
    fn unique_names_are_unique_and_lead_back() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|code| code.unique_name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::from_unique_name(code.unique_name()), Some(*code));
        }
    }

    #[test]
    fn details_are_sentences() {
        for code in Code::ALL {
            assert!(code.default_detail().ends_with('.') && !code.title().ends_with('.'), "{code:?}");
        }
    }
}
