//! What a calling key is told about itself in every answer.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Principal, format_timestamp};

/// When the calling key ends, where it has an end.
pub const X_RALLY_KEY_EXPIRES: HeaderName = HeaderName::from_static("x-rally-key-expires");
/// RFC 9745
pub const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// RFC 8594
pub const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// When the key ends, and what [`tell_rotation`] tells.
pub fn tell(principal: &Principal, headers: &mut HeaderMap) {
    if let Some(end) = principal.key_expires_at() {
        set(headers, X_RALLY_KEY_EXPIRES, &format_timestamp(end));
    }
    tell_rotation(principal, headers);
}

/// To who still uses the previous secret: since when there is a newer one, and until when this one
/// works.
pub fn tell_rotation(principal: &Principal, headers: &mut HeaderMap) {
    let Some(rotated_away) = principal.rotated_away() else { return };
    set(headers, DEPRECATION, &format!("@{}", rotated_away.since.timestamp()));
    // RFC 9110, 5.6.7: IMF-fixdate
    set(headers, SUNSET, &rotated_away.until.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Times are ASCII, so they are always a valid value.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
