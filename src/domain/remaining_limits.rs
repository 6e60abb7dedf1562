//! The remaining limits of a calling key.

use std::time::Duration;

use super::{Budget, Quota, Timestamp};

/// The remaining limits of a calling key.
#[derive(Clone, Debug, Default)]
pub struct RemainingLimits {
    /// `None`: it has no rate limit.
    pub budget: Option<Budget>,
    /// `None`: it has no quota. Boxed, since few keys have one.
    pub quota: Option<Box<QuotaUse>>,
}

/// What a key has used of its quota in the present period, as far as an instance knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    pub quota: Quota,
    pub used: i64,
    /// When that was so.
    pub at: Timestamp,
    /// When the next period starts.
    pub resets_at: Timestamp,
}

impl QuotaUse {
    /// How many requests may come until then.
    #[must_use]
    pub fn remaining(self) -> i64 {
        self.quota.requests().saturating_sub(self.used).max(0)
    }

    /// The time until then.
    #[must_use]
    pub fn resets_in(self) -> Duration {
        (self.resets_at - self.at).to_std().unwrap_or_default()
    }
}
