//! Entity tags of keys (RFC 9110, section 8.8.3). They change with each edit of a key, but not with its use, so that a
//! key in constant use can be edited with `If-Match`.

use axum::http::{HeaderMap, HeaderValue, header};

use crate::{
    domain::ApiKey,
    http::problem::{Code, Problem},
};

/// As in `"7"`.
pub(super) fn etag(key: &ApiKey) -> HeaderValue {
    // Digits in quotes are always a valid value.
    HeaderValue::try_from(format!("\"{}\"", key.version)).unwrap_or(HeaderValue::from_static("\"\""))
}

/// `If-Match` (RFC 9110, section 13.1.1): strong comparison, lists, `*`. Absent: no condition.
pub(super) fn check_if_match(headers: &HeaderMap, key: &ApiKey) -> Result<(), Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let current = etag(key);
    let matches = values
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .any(|tag| tag == b"*" || tag == current.as_bytes());
    if matches { Ok(()) } else { Err(Code::PreconditionFailed.into()) }
}
