//! The arithmetic of rate limits: the generic cell rate algorithm (GCRA), which is a token bucket kept as one time.
//!
//! Each request uses up some nanoseconds, and each nanosecond that passes gives one back. What a key has used is
//! therefore the time from now until its whole burst is available again. All numbers are integers.

use std::time::Duration;

use super::RateLimit;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl RateLimit {
    /// Nanoseconds that a request uses up; rounded up, so that a window never has more than its requests.
    pub(crate) fn cost(self) -> u64 {
        let window = u64::from(self.window_seconds()) * NANOS_PER_SECOND;
        window.div_ceil(self.requests().into())
    }

    /// Nanoseconds that the whole burst uses up. At most 10^14.
    pub(crate) fn burst(self) -> u64 {
        self.cost() * u64::from(self.requests())
    }
}

/// The remaining budget of a rate limit at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    limit: RateLimit,
    /// Nanoseconds until the whole burst is available again.
    used: u64,
}

impl Budget {
    /// More than the burst counts as the burst: the limit may have been lowered, and clocks may be set back.
    #[must_use]
    pub fn new(limit: RateLimit, used: u64) -> Self {
        Self { limit, used: used.min(limit.burst()) }
    }

    /// The budget after one more request. `None`: the request is beyond the limit, and uses up nothing.
    #[must_use]
    pub fn take(self) -> Option<Self> {
        let used = self.used + self.limit.cost();
        (used <= self.limit.burst()).then_some(Self { used, ..self })
    }

    pub(crate) const fn limit(self) -> RateLimit {
        self.limit
    }

    /// Nanoseconds until the whole burst is available again.
    pub(crate) const fn used(self) -> u64 {
        self.used
    }

    /// How many requests may come now.
    #[must_use]
    pub fn remaining(self) -> u32 {
        let left = (self.limit.burst() - self.used) / self.limit.cost();
        u32::try_from(left).unwrap_or(self.limit.requests()) // at most `requests`
    }

    /// The time until one more request may come than now. `None`: the whole burst is available.
    #[must_use]
    pub fn next_in(self) -> Option<Duration> {
        let with_one_more = (u64::from(self.remaining()) + 1) * self.limit.cost();
        let until = (self.used + with_one_more).checked_sub(self.limit.burst())?;
        (self.used > 0).then(|| Duration::from_nanos(until))
    }
}

/// The decision about one request, by its rate limit.
#[derive(Clone, Copy, Debug)]
pub struct RateDecision {
    /// True: the request is within the limit.
    pub allowed: bool,
    /// The budget after the request.
    pub budget: Budget,
}

impl RateDecision {
    pub(crate) const fn allowed(budget: Budget) -> Self {
        Self { allowed: true, budget }
    }

    pub(crate) const fn refused(budget: Budget) -> Self {
        Self { allowed: false, budget }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(requests: u32, window_seconds: u32) -> RateLimit {
        RateLimit::new(requests.into(), window_seconds.into()).unwrap()
    }

    /// A token bucket in plain fractions of whole numbers: tokens are counted in units of 1/window, in nanoseconds.
    struct TokenBucket {
        requests: u128,
        window: u128,
        level: u128,
    }

    impl TokenBucket {
        fn full(requests: u32, window_seconds: u32) -> Self {
            let (requests, window) = (u128::from(requests), u128::from(window_seconds) * u128::from(NANOS_PER_SECOND));
            Self { requests, window, level: requests * window }
        }

        fn wait(&mut self, nanos: u64) {
            self.level = (self.level + u128::from(nanos) * self.requests).min(self.requests * self.window);
        }

        fn take(&mut self) -> bool {
            let enough = self.level >= self.window;
            self.level -= if enough { self.window } else { 0 };
            enough
        }

        fn whole_tokens(&self) -> u128 {
            self.level / self.window
        }
    }

    /// Waiting times around what matters: nothing, one request's time, the window.
    fn waits(limit: RateLimit) -> impl Strategy<Value = Vec<u64>> {
        let cost = limit.cost();
        let wait = prop_oneof![
            5 => Just(0),
            3 => 0..=cost,
            2 => (0_u64..4).prop_map(move |n| (cost + n).saturating_sub(2)),
            1 => 0..=2 * limit.burst(),
        ];
        proptest::collection::vec(wait, 1..300)
    }

    fn limits() -> impl Strategy<Value = (u32, u32)> {
        let requests = prop_oneof![1_u32..=20, 1_u32..=1_000_000];
        (requests, prop_oneof![Just(1_u32), Just(60), 1_u32..=86_400])
    }

    /// Limits whose window divides into whole nanoseconds.
    fn exact_limits() -> impl Strategy<Value = (u32, u32)> {
        let powers = (0_u32..=6, 0_u32..=6).prop_map(|(two, five)| 2_u32.pow(two) * 5_u32.pow(five));
        (powers, 1_u32..=86_400)
    }

    fn with_waits(limits: impl Strategy<Value = (u32, u32)>) -> impl Strategy<Value = ((u32, u32), Vec<u64>)> {
        limits.prop_flat_map(|(requests, window)| (Just((requests, window)), waits(limit(requests, window))))
    }

    proptest! {
        #[test]
        fn a_limit_decides_as_a_token_bucket_does(((requests, window), waits) in with_waits(exact_limits())) {
            let mut bucket = TokenBucket::full(requests, window);
            let mut budget = Budget::new(limit(requests, window), 0);
            for wait in waits {
                bucket.wait(wait);
                budget = Budget { used: budget.used.saturating_sub(wait), ..budget };
                prop_assert_eq!(u128::from(budget.remaining()), bucket.whole_tokens());
                let taken = budget.take();
                prop_assert_eq!(taken.is_some(), bucket.take());
                budget = taken.unwrap_or(budget);
            }
        }

        #[test]
        fn a_rounded_limit_never_lets_more_in_than_a_token_bucket(((requests, window), waits) in with_waits(limits())) {
            let mut bucket = TokenBucket::full(requests, window);
            let mut budget = Budget::new(limit(requests, window), 0);
            for wait in waits {
                bucket.wait(wait);
                budget = Budget { used: budget.used.saturating_sub(wait), ..budget };
                if let Some(taken) = budget.take() {
                    prop_assert!(bucket.take());
                    budget = taken;
                }
            }
        }

        #[test]
        fn next_in_is_exactly_when_one_more_request_is_allowed((requests, window) in limits(), used in any::<u64>()) {
            let limit = limit(requests, window);
            let budget = Budget::new(limit, used % (limit.burst() + 1));
            let Some(wait) = budget.next_in() else {
                prop_assert_eq!(budget.remaining(), requests);
                return Ok(());
            };
            let after = |wait: u64| Budget::new(limit, budget.used.saturating_sub(wait)).remaining();
            let wait = u64::try_from(wait.as_nanos()).unwrap();
            prop_assert_eq!(after(wait), budget.remaining() + 1);
            prop_assert_eq!(after(wait - 1), budget.remaining());
        }
    }

    #[test]
    fn the_whole_burst_may_come_at_once_and_no_request_more() {
        for (requests, window) in
            [(1, 1), (3, 1), (7, 60), (1_000_000, 1), (999_999, 1), (1_000_000, 86_400), (1, 86_400)]
        {
            let mut budget = Budget::new(limit(requests, window), 0);
            for left in (0..requests).rev() {
                budget = budget.take().unwrap_or_else(|| panic!("{requests} in {window} s: {left} left"));
                assert_eq!(budget.remaining(), left);
            }
            assert_eq!(budget.take(), None, "{requests} in {window} s");
        }
    }

    #[test]
    fn after_a_change_of_the_limit_as_much_time_is_used_and_at_most_the_new_burst() {
        let half = Budget::new(limit(100, 60), 30 * NANOS_PER_SECOND);
        assert_eq!(half.remaining(), 50);
        let with = |requests, window| Budget::new(limit(requests, window), half.used()).remaining();
        assert_eq!(with(10, 60), 5, "in the same window: the same proportion");
        assert_eq!(with(1000, 60), 500);
        assert_eq!(with(100, 20), 0, "a shorter window: it is available again after the new window at the latest");
        assert_eq!(with(100, 3_000), 99);
    }
}
