//! The fields by which a calling key learns what is left of its limits: `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers-11), and `Retry-After`.
//!
//! Each policy has a name of ours, so that it does not mix with those of the CRM, whose fields of the same names a gateway
//! adds to these.

use std::{fmt::Write as _, time::Duration};

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue},
};

use super::names::{RATE_LIMIT, RATE_LIMIT_POLICY};
use crate::domain::Budget;

/// The policy of a key's `rateLimit`.
const KEY_POLICY: &str = "rally-key";
/// Longer times overflow in some clients, or park them for hours.
const MAX_SECONDS: u64 = 3_600;

/// Inserts both fields for a key that has a limit.
pub(crate) fn insert(budget: Option<Budget>, headers: &mut HeaderMap) {
    let Some(budget) = budget else { return };
    let limit = budget.limit();
    // Both values share one allocation. Writing to a String does not fail.
    let mut text = String::with_capacity(64);
    let _ = write!(text, r#""{KEY_POLICY}";q={};w={}"#, limit.requests(), limit.window_seconds());
    let policy = 0..text.len();
    let _ = write!(text, r#""{KEY_POLICY}";r={}"#, budget.remaining());
    if let Some(next) = budget.next_in() {
        let _ = write!(text, ";t={}", whole_seconds(next));
    }
    let left = policy.end..text.len();
    let text = Bytes::from(text);
    for (name, place) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, left)] {
        // Digits and a name of ours are always a valid value.
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(place)) {
            headers.insert(name, value);
        }
    }
}

/// The seconds of `t` and of `Retry-After`: rounded up, so that a client does not come too early, and at most
/// [`MAX_SECONDS`].
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    seconds.clamp(1, MAX_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RateLimit;

    const SECOND: u64 = 1_000_000_000;

    fn fields(requests: i64, window_seconds: i64, used: u64) -> [String; 2] {
        let limit = RateLimit::new(requests, window_seconds).unwrap();
        let mut headers = HeaderMap::new();
        insert(Some(Budget::new(limit, used)), &mut headers);
        ["ratelimit-policy", "ratelimit"].map(|name| headers[name].to_str().unwrap().to_owned())
    }

    #[test]
    fn the_fields_tell_the_limit_what_is_left_and_when_there_is_more() {
        for (requests, window, used, policy, left) in [
            (100, 60, 0, r#""rally-key";q=100;w=60"#, r#""rally-key";r=100"#),
            (100, 60, 1, r#""rally-key";q=100;w=60"#, r#""rally-key";r=99;t=1"#),
            (2, 60, 60 * SECOND, r#""rally-key";q=2;w=60"#, r#""rally-key";r=0;t=30"#),
            (2, 60, 59 * SECOND, r#""rally-key";q=2;w=60"#, r#""rally-key";r=0;t=29"#),
            (1, 86_400, 86_400 * SECOND, r#""rally-key";q=1;w=86400"#, r#""rally-key";r=0;t=3600"#),
            (1_000_000, 1, SECOND, r#""rally-key";q=1000000;w=1"#, r#""rally-key";r=0;t=1"#),
        ] {
            assert_eq!(fields(requests, window, used), [policy, left]);
        }
    }

    #[test]
    fn seconds_are_rounded_up_and_from_1_to_3600() {
        let seconds = |nanos| whole_seconds(Duration::from_nanos(nanos));
        let found = [0, 1, SECOND, SECOND + 1, 3_600 * SECOND, 3_600 * SECOND + 1, u64::MAX].map(seconds);
        assert_eq!(found, [1, 1, 1, 2, 3_600, 3_600, 3_600]);
    }
}
