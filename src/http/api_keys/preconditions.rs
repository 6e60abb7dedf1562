//! Conditional requests for one key (RFC 9110, section 13).
//!
//! An entity tag is `"<version>-<digest>"`. The digest is of the JSON, so the tag changes with all that the JSON shows, the
//! last use included. `If-Match` on a change compares only the version, which counts the changes: a key in constant use
//! could not be changed otherwise, and its use is nothing that a change could overwrite.

use std::convert::Infallible;

use axum::{
    Json,
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::responses::ApiKeyResponse;
use crate::{
    domain::{ApiKey, Timestamp},
    http::problem::{Code, Problem},
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

/// A key's JSON with its entity tag.
pub(super) type Shown = ([(HeaderName, HeaderValue); 1], Json<ApiKeyResponse>);

pub(super) fn show(key: ApiKey, now: Timestamp) -> Shown {
    let version = key.version;
    let shown = ApiKeyResponse::new(key, now);
    ([(header::ETAG, entity_tag(version, &shown))], Json(shown))
}

fn entity_tag(version: i64, shown: &ApiKeyResponse) -> HeaderValue {
    // Texts, numbers and booleans are always valid in JSON; digits and base64 in quotes always are in a header.
    let digest = Sha256::digest(serde_json::to_vec(shown).unwrap_or_default());
    let digest = BASE64_URL_SAFE_NO_PAD.encode(&digest[..DIGEST_BYTES]);
    HeaderValue::try_from(format!("\"{version}-{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""))
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
            && !condition.holds(|tag| tag.is_of_version(key.version))
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

    /// The response to a `GET`, in the order of RFC 9110, section 13.2.2.
    pub(super) fn respond(&self, key: ApiKey, now: Timestamp) -> Result<Response, Problem> {
        let (headers, body) = show(key, now);
        let current = headers[0].1.as_bytes();
        if let Some(condition) = &self.if_match
            && !condition.holds(|tag| !tag.is_weak && tag.quoted == current)
        {
            return Err(Code::PreconditionFailed.into());
        }
        if let Some(condition) = &self.if_none_match
            && condition.holds(|tag| tag.quoted == current)
        {
            return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
        }
        Ok((headers, body).into_response())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Condition {
    /// `*`
    Exists,
    Tags(Vec<EntityTag>),
}

#[derive(Debug, PartialEq, Eq)]
struct EntityTag {
    is_weak: bool,
    /// Quotes included.
    quoted: Vec<u8>,
}

impl Condition {
    /// All lines of the header. Whatever is no entity tag matches nothing. `None`: the header is absent.
    fn read(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let lines: Vec<_> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        if lines.is_empty() {
            return None;
        }
        if lines.iter().any(|line| line.trim_ascii() == b"*") {
            return Some(Self::Exists);
        }
        Some(Self::Tags(lines.into_iter().flat_map(entity_tags).collect()))
    }

    fn holds(&self, matches: impl FnMut(&EntityTag) -> bool) -> bool {
        match self {
            Self::Exists => true,
            Self::Tags(tags) => tags.iter().any(matches),
        }
    }
}

impl EntityTag {
    /// True for each strong tag that the key has had since its last change.
    fn is_of_version(&self, version: i64) -> bool {
        let prefix = format!("\"{version}-");
        !self.is_weak
            && self.quoted.starts_with(prefix.as_bytes())
            && self.quoted.len() == prefix.len() + DIGEST_CHARS + 1
    }
}

/// The entity tags of a list. A tag may contain commas.
fn entity_tags(line: &[u8]) -> Vec<EntityTag> {
    let mut tags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let is_weak = rest.starts_with(b"W/\"");
        let start = if is_weak { &rest[2..] } else { rest };
        let closing = start.iter().skip(1).position(|byte| *byte == b'"').filter(|_| start.starts_with(b"\""));
        let after = match closing {
            Some(length) => {
                let (quoted, after) = start.split_at(length + 2);
                tags.push(EntityTag { is_weak, quoted: quoted.to_vec() });
                after
            }
            None => rest,
        };
        let Some(comma) = after.iter().position(|byte| *byte == b',') else { return tags };
        rest = &after[comma + 1..];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn condition(lines: &[&str]) -> Option<Condition> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::IF_MATCH, HeaderValue::from_str(line).unwrap());
        }
        Condition::read(&headers, header::IF_MATCH)
    }

    fn tags(tags: &[(bool, &str)]) -> Condition {
        let tag = |&(is_weak, quoted): &(bool, &str)| EntityTag { is_weak, quoted: quoted.into() };
        Condition::Tags(tags.iter().map(tag).collect())
    }

    #[test]
    fn conditions_are_read_from_all_lines_and_lists() {
        assert_eq!(condition(&[]), None);
        assert_eq!(condition(&[" * "]), Some(Condition::Exists));
        assert_eq!(condition(&[r#""a""#, "*"]), Some(Condition::Exists));
        assert_eq!(condition(&[""]), Some(tags(&[])));
        assert_eq!(
            condition(&[r#""a""#, r#""b",W/"c""#]),
            Some(tags(&[(false, r#""a""#), (false, r#""b""#), (true, r#""c""#)]))
        );
        assert_eq!(
            condition(&[r#", "a,b" ,, "" , "*""#]),
            Some(tags(&[(false, r#""a,b""#), (false, r#""""#), (false, r#""*""#)]))
        );
        assert_eq!(condition(&[r#"a, w/"b", W/ "c", "d"#]), Some(tags(&[])));
        assert_eq!(condition(&[r#"a, "b""#]), Some(tags(&[(false, r#""b""#)])));
    }

    proptest! {
        #[test]
        fn a_list_of_tags_is_read_to_the_byte(list in prop::collection::vec((any::<bool>(), "\"[!#-~]{0,8}\""), 0..5)) {
            let line: Vec<_> = list.iter().map(|(weak, tag)| format!("{}{tag}", if *weak { "W/" } else { "" })).collect();
            let expected: Vec<_> = list.iter().map(|(weak, tag)| (*weak, tag.as_str())).collect();
            prop_assert_eq!(condition(&[&line.join(" ,\t")]), Some(tags(&expected)));
        }
    }
}
