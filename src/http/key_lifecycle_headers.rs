//! The response headers by which a calling key learns when it ends, and whether it used a rotated secret.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::names::{DEPRECATION, SUNSET, X_RALLY_KEY_EXPIRES};
use crate::domain::{Principal, format_timestamp};

/// Inserts `X-Rally-Key-Expires` for a key that has an end, and the headers of [`insert_rotation`].
pub(crate) fn insert(principal: &Principal, headers: &mut HeaderMap) {
    if let Some(end) = principal.key_expires_at() {
        set(headers, X_RALLY_KEY_EXPIRES, &format_timestamp(end));
    }
    insert_rotation(principal, headers);
}

/// Inserts `Deprecation` (when the newer secret was created) and `Sunset` (when this one stops to work), if the caller
/// used a previous secret.
pub(crate) fn insert_rotation(principal: &Principal, headers: &mut HeaderMap) {
    let Some(rotated_away) = principal.rotated_away() else { return };
    set(headers, DEPRECATION, &format!("@{}", rotated_away.since.timestamp()));
    // IMF-fixdate (RFC 9110, section 5.6.7)
    set(headers, SUNSET, &rotated_away.until.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Times are ASCII, so they are always a valid value.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
