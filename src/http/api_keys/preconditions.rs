//! Conditional requests (RFC 9110, section 13) for one key, and for a list.
//!
//! A key's entity tag is `"<version>-<digest>"`. The digest is of the JSON, so the tag changes with all that the JSON shows, the
//! last use included. `If-Match` on a change compares only the version, which counts the changes: a key in constant use
//! could not be changed otherwise, and its use is nothing that a change could overwrite.

use std::convert::Infallible;

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::responses::ApiKeyResponse;
use crate::{
    domain::{ApiKey, Timestamp},
    http::{
        entity_tags::{Condition, EntityTag},
        problem::{Code, Problem},
    },
};

const DIGEST_BYTES: usize = 12;
const DIGEST_CHARS: usize = DIGEST_BYTES / 3 * 4;

/// The parameters for the OpenAPI document.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "for the description; the headers are read by `Preconditions`")]
pub(super) struct PreconditionParams {
    /// Only if the key's `ETag` is one of these (`*`: any). On a change, a tag from before uses of the key counts, too
    #[param(rename = "If-Match", nullable = false, example = "*")]
    if_match: Option<String>,
    /// Only if the key's `ETag` is none of these
    #[param(rename = "If-None-Match", nullable = false, example = "\"1-mR9vXo2cQ4eTyU7b\"")]
    if_none_match: Option<String>,
}

/// As [`PreconditionParams`], for a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "for the description; the headers are read by `Preconditions`")]
pub(super) struct ListPreconditionParams {
    /// Only if the list's `ETag`, which is of all that the response shows, is none of these
    #[param(rename = "If-None-Match", nullable = false, example = "W/\"mR9vXo2cQ4eTyU7b\"")]
    if_none_match: Option<String>,
}

/// A key's JSON with its entity tag.
pub(super) type Shown = ([(HeaderName, HeaderValue); 1], Json<ApiKeyResponse>);

pub(super) fn show(key: ApiKey, now: Timestamp) -> Shown {
    let version = key.version;
    let shown = ApiKeyResponse::new(key, now);
    ([(header::ETAG, entity_tag(version, &shown))], Json(shown))
}

fn entity_tag(version: i64, shown: &ApiKeyResponse) -> HeaderValue {
    // Texts, numbers and booleans are always valid in JSON; digits and base64 in quotes always are in a header.
    let digest = digest([&serde_json::to_vec(shown).unwrap_or_default()[..]]);
    HeaderValue::try_from(format!("\"{version}-{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// The tag of what a list shows. Weak, since responses of one tag need not be equal to the byte.
pub(super) fn weak_tag<'a>(shown: impl IntoIterator<Item = &'a [u8]>) -> HeaderValue {
    HeaderValue::try_from(format!("W/\"{}\"", digest(shown))).unwrap_or(HeaderValue::from_static("W/\"\""))
}

fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    BASE64_URL_SAFE_NO_PAD.encode(&hash.finalize()[..DIGEST_BYTES])
}

/// `If-Match` and `If-None-Match` of a request. There is no `Last-Modified`, so conditions on dates are ignored.
#[derive(Debug)]
pub(crate) struct Preconditions {
    if_match: Option<Condition>,
    if_none_match: Option<Condition>,
}

impl<S: Send + Sync> FromRequestParts<S> for Preconditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            if_match: Condition::read(&parts.headers, header::IF_MATCH),
            if_none_match: Condition::read(&parts.headers, header::IF_NONE_MATCH),
        })
    }
}

impl Preconditions {
    pub(super) const fn is_empty(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none()
    }

    /// Before a change of the key, which is locked.
    pub(super) fn check_change(&self, key: &ApiKey, now: Timestamp) -> Result<(), Problem> {
        if let Some(condition) = &self.if_match
            && !condition.holds(|tag| is_of_version(tag, key.version))
        {
            return Err(Code::PreconditionFailed.into());
        }
        if let Some(condition) = &self.if_none_match {
            let ([(_, current)], _) = show(key.clone(), now);
            if condition.holds(|tag| tag.quoted == current.as_bytes()) {
                let detail = "The key exists, and its ETag is in If-None-Match. Nothing was changed.";
                return Err(Problem::with_detail(Code::PreconditionFailed, detail));
            }
        }
        Ok(())
    }

    /// The response to a `GET`.
    pub(super) fn respond(&self, key: ApiKey, now: Timestamp) -> Result<Response, Problem> {
        let (headers, body) = show(key, now);
        if self.judge(&headers[0].1)? {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        Ok((headers, body).into_response())
    }

    /// Whether the client of a `GET` has the response already, in the order of RFC 9110, section 13.2.2. `current`: its tag.
    pub(super) fn judge(&self, current: &HeaderValue) -> Result<bool, Problem> {
        let (is_weak, quoted) = match current.as_bytes().strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, current.as_bytes()),
        };
        if let Some(condition) = &self.if_match
            && !condition.holds(|tag| !is_weak && !tag.is_weak && tag.quoted == quoted)
        {
            return Err(Code::PreconditionFailed.into());
        }
        Ok(self.if_none_match.as_ref().is_some_and(|condition| condition.holds(|tag| tag.quoted == quoted)))
    }
}

/// True for each strong tag that the key has had since its last change.
fn is_of_version(tag: &EntityTag, version: i64) -> bool {
    let prefix = format!("\"{version}-");
    !tag.is_weak && tag.quoted.starts_with(prefix.as_bytes()) && tag.quoted.len() == prefix.len() + DIGEST_CHARS + 1
}
