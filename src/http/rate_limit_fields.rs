//! The fields by which a calling key learns its remaining limits: `RateLimit-Policy` and `RateLimit`
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
use crate::domain::{Budget, RemainingLimits};

/// The policy of a key's `rateLimit`.
const KEY_POLICY: &str = "rally-key";
/// The policy of a key's `quota`.
const QUOTA_POLICY: &str = "rally-quota";
/// Longer times overflow in some clients, or park them for hours.
const MAX_SECONDS: u64 = 3_600;

/// Inserts both fields for a key that has a limit.
pub(crate) fn insert(remaining_limits: &RemainingLimits, headers: &mut HeaderMap) {
    let RemainingLimits { budget, quota } = remaining_limits;
    if budget.is_none() && quota.is_none() {
        return;
    }
    let separator = if budget.is_some() && quota.is_some() { ", " } else { "" };
    // Both values share one allocation. Writing to a String does not fail.
    let mut text = String::with_capacity(if quota.is_some() { 128 } else { 64 });
    if let Some(limit) = budget.map(Budget::limit) {
        let _ = write!(text, r#""{KEY_POLICY}";q={};w={}"#, limit.requests(), limit.window_seconds());
    }
    if let Some(quota) = quota {
        let window = quota.resets_at - quota.quota.per().start(quota.at);
        let _ = write!(text, r#"{separator}"{QUOTA_POLICY}";q={};w={}"#, quota.quota.requests(), window.num_seconds());
    }
    let policy = 0..text.len();
    if let Some(budget) = budget {
        let _ = write!(text, r#""{KEY_POLICY}";r={}"#, budget.remaining());
        if let Some(next) = budget.next_in() {
            let _ = write!(text, ";t={}", whole_seconds(next));
        }
    }
    if let Some(quota) = quota {
        let seconds = whole_seconds(quota.resets_in());
        let _ = write!(text, r#"{separator}"{QUOTA_POLICY}";r={};t={seconds}"#, quota.remaining());
    }
    let limit = policy.end..text.len();
    let text = Bytes::from(text);
    for (name, place) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, limit)] {
        // Digits and names of ours are always a valid value.
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
    use crate::domain::{Quota, QuotaPeriod, QuotaUse, RateLimit, parse_timestamp};

    const SECOND: u64 = 1_000_000_000;

    fn fields(requests: i64, window_seconds: i64, used: u64) -> [String; 2] {
        let limit = RateLimit::new(requests, window_seconds).unwrap();
        let mut headers = HeaderMap::new();
        insert(&RemainingLimits { budget: Some(Budget::new(limit, used)), quota: None }, &mut headers);
        ["ratelimit-policy", "ratelimit"].map(|name| headers[name].to_str().unwrap().to_owned())
    }

    #[test]
    fn the_fields_have_the_limit_the_remaining_requests_and_the_time_of_the_next() {
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
    fn a_quota_is_a_policy_of_its_own_beside_the_rate_limit() {
        let at = parse_timestamp("2026-02-28T23:50:00Z").unwrap();
        for (per, window) in [(QuotaPeriod::Day, 86_400), (QuotaPeriod::Month, 28 * 86_400)] {
            let quota = QuotaUse { quota: Quota::new(1_000, per).unwrap(), used: 990, at, resets_at: per.end(at) };
            let budget = RateLimit::new(2, 60).map(|limit| Budget::new(limit, 0));
            let mut headers = HeaderMap::new();
            insert(&RemainingLimits { budget, quota: Some(Box::new(quota)) }, &mut headers);
            let policy = format!(r#""rally-key";q=2;w=60, "rally-quota";q=1000;w={window}"#);
            assert_eq!(headers["ratelimit-policy"], policy);
            assert_eq!(headers["ratelimit"], r#""rally-key";r=2, "rally-quota";r=10;t=600"#);
            let mut headers = HeaderMap::new();
            let quota = QuotaUse { used: 1_001, ..quota };
            insert(&RemainingLimits { budget: None, quota: Some(Box::new(quota)) }, &mut headers);
            assert_eq!(headers["ratelimit"], r#""rally-quota";r=0;t=600"#);
        }
        let mut headers = HeaderMap::new();
        insert(&RemainingLimits::default(), &mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn seconds_are_rounded_up_and_from_1_to_3600() {
        let seconds = |nanos| whole_seconds(Duration::from_nanos(nanos));
        let found = [0, 1, SECOND, SECOND + 1, 3_600 * SECOND, 3_600 * SECOND + 1, u64::MAX].map(seconds);
        assert_eq!(found, [1, 1, 1, 2, 3_600, 3_600, 3_600]);
    }
}
