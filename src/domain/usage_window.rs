//! Windows of usage counts, in buckets of an hour or a day in UTC.

use chrono::{DateTime, Datelike as _, TimeDelta};

use super::Timestamp;

/// More than that in one request is an error.
const MAX_BUCKETS: i64 = 10_000;
const DEFAULT_DAYS: i64 = 30;

/// The length of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsageInterval {
    Hour,
    Day,
}

impl UsageInterval {
    pub const ALL: [Self; 2] = [Self::Hour, Self::Day];

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.as_str() == name)
    }

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn length(self) -> TimeDelta {
        TimeDelta::hours(self.hours().into())
    }

    /// Its length. A day is one of UTC, so it always has 24.
    #[must_use]
    pub const fn hours(self) -> i32 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
        }
    }

    fn start_of(self, time: Timestamp) -> Option<Timestamp> {
        let length = self.length().num_seconds();
        DateTime::from_timestamp(time.timestamp().div_euclid(length) * length, 0)
    }
}

/// The counts of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageBucket {
    pub start: Timestamp,
    /// All requests, denied ones included.
    pub requests: i64,
    /// Denied because the key had expired.
    pub denied_expired: i64,
    /// Denied because the key's scopes were insufficient.
    pub denied_scope: i64,
    /// Denied because the key was revoked, or the secret had ended.
    pub denied_revoked: i64,
    /// Denied because the key was suspended.
    pub denied_suspended: i64,
    /// Denied because the key may not be used from the client's address.
    pub denied_address: i64,
    /// Denied because the key had exceeded its rate limit.
    pub denied_rate_limit: i64,
    /// Denied because the key had exhausted its quota.
    pub denied_quota: i64,
}

impl UsageBucket {
    #[must_use]
    pub const fn empty(start: Timestamp) -> Self {
        Self {
            start,
            requests: 0,
            denied_expired: 0,
            denied_scope: 0,
            denied_revoked: 0,
            denied_suspended: 0,
            denied_address: 0,
            denied_rate_limit: 0,
            denied_quota: 0,
        }
    }

    /// All denied requests.
    #[must_use]
    pub const fn denied(&self) -> i64 {
        self.denied_expired
            + self.denied_scope
            + self.denied_revoked
            + self.denied_suspended
            + self.denied_address
            + self.denied_rate_limit
            + self.denied_quota
    }
}

/// A range of whole buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageWindow {
    from: Timestamp,
    to: Timestamp,
    interval: UsageInterval,
}

/// Why a window is invalid. The messages follow the name of the parameter, [`InvalidWindow::field`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindow {
    /// `from` is not before `to`.
    #[error("must be before `to`")]
    Empty,
    /// It has more than 10,000 buckets.
    #[error("must leave at most {MAX_BUCKETS} buckets until `to`")]
    TooLong,
    /// That parameter is before 1970. Nothing is counted there.
    #[error("must be in 1970 or later")]
    TooEarly(&'static str),
    /// It ends after the year 9999.
    #[error("must be before 9999-12-31")]
    TooLate,
}

impl InvalidWindow {
    /// The query parameter that is wrong.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Empty | Self::TooLong => "from",
            Self::TooEarly(field) => field,
            Self::TooLate => "to",
        }
    }
}

impl UsageWindow {
    /// The buckets that overlap `from` (inclusive) to `to` (exclusive). Default: the last 30 days up to now, by day.
    pub fn new(
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        interval: Option<UsageInterval>,
        now: Timestamp,
    ) -> Result<Self, InvalidWindow> {
        let interval = interval.unwrap_or(UsageInterval::Day);
        // Includes the current bucket.
        let to = to.unwrap_or(now + TimeDelta::microseconds(1));
        if to <= Timestamp::UNIX_EPOCH {
            return Err(InvalidWindow::TooEarly("to"));
        }
        let from = match from {
            Some(from) if from < Timestamp::UNIX_EPOCH => return Err(InvalidWindow::TooEarly("from")),
            Some(from) => from,
            None => UsageInterval::Day
                .start_of(to - TimeDelta::microseconds(1))
                .and_then(|day| day.checked_sub_signed(TimeDelta::days(DEFAULT_DAYS - 1)))
                .ok_or(InvalidWindow::TooLong)?
                .max(Timestamp::UNIX_EPOCH),
        };
        if from >= to {
            return Err(InvalidWindow::Empty);
        }
        let start = interval.start_of(from).ok_or(InvalidWindow::TooLong)?;
        let last = interval.start_of(to - TimeDelta::microseconds(1)).ok_or(InvalidWindow::TooLong)?;
        let end = last.checked_add_signed(interval.length()).ok_or(InvalidWindow::TooLate)?;
        if end.year() > 9999 {
            return Err(InvalidWindow::TooLate);
        }
        if (end - start).num_seconds() / interval.length().num_seconds() > MAX_BUCKETS {
            return Err(InvalidWindow::TooLong);
        }
        Ok(Self { from: start, to: end, interval })
    }

    /// The start of the first bucket.
    #[must_use]
    pub const fn from(&self) -> Timestamp {
        self.from
    }

    /// The end of the last bucket.
    #[must_use]
    pub const fn to(&self) -> Timestamp {
        self.to
    }

    #[must_use]
    pub const fn interval(&self) -> UsageInterval {
        self.interval
    }

    /// Every bucket of the window, in order. Buckets missing from `counted`, which is sorted, are empty.
    #[must_use]
    pub fn fill(&self, counted: Vec<UsageBucket>) -> Vec<UsageBucket> {
        let mut counted = counted.into_iter().peekable();
        let starts = std::iter::successors(Some(self.from), |start| start.checked_add_signed(self.interval.length()));
        starts
            .take_while(|start| *start < self.to)
            .map(|start| counted.next_if(|bucket| bucket.start == start).unwrap_or(UsageBucket::empty(start)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::parse_timestamp;

    fn at(text: &str) -> Timestamp {
        parse_timestamp(text).unwrap()
    }

    fn window(from: Option<&str>, to: Option<&str>, interval: UsageInterval) -> Result<UsageWindow, InvalidWindow> {
        UsageWindow::new(from.map(at), to.map(at), Some(interval), at("2026-03-10T12:34:56Z"))
    }

    #[test]
    fn the_default_window_is_thirty_days_including_today() {
        let window = UsageWindow::new(None, None, None, at("2026-03-10T12:34:56Z")).unwrap();
        assert_eq!(window.interval(), UsageInterval::Day);
        assert_eq!((window.from(), window.to()), (at("2026-02-09T00:00:00Z"), at("2026-03-11T00:00:00Z")));
        assert_eq!(window.fill(vec![]).len(), 30);
        let midnight = UsageWindow::new(None, None, None, at("2026-03-10T00:00:00Z")).unwrap();
        assert_eq!(midnight, window);
    }

    #[test]
    fn a_window_is_extended_to_whole_buckets() {
        let hours = window(Some("2026-03-10T10:59:59Z"), Some("2026-03-10T12:00:00Z"), UsageInterval::Hour).unwrap();
        assert_eq!((hours.from(), hours.to()), (at("2026-03-10T10:00:00Z"), at("2026-03-10T12:00:00Z")));
        let days = window(Some("2026-03-09T23:59:59+02:00"), None, UsageInterval::Day).unwrap();
        assert_eq!((days.from(), days.to()), (at("2026-03-09T00:00:00Z"), at("2026-03-11T00:00:00Z")));
    }

    #[test]
    fn a_missing_bucket_is_filled_with_zeros() {
        let window = window(Some("2026-03-10T00:00:00Z"), Some("2026-03-10T03:00:00Z"), UsageInterval::Hour).unwrap();
        let counted = UsageBucket { requests: 3, ..UsageBucket::empty(at("2026-03-10T01:00:00Z")) };
        let filled = window.fill(vec![counted]);
        let requests: Vec<i64> = filled.iter().map(|bucket| bucket.requests).collect();
        assert_eq!(requests, [0, 3, 0]);
        assert_eq!(filled[2].start, at("2026-03-10T02:00:00Z"));
    }

    #[test]
    fn a_window_that_is_empty_or_too_long_is_rejected() {
        let hours = |from| window(Some(from), Some("2026-03-10T00:00:00Z"), UsageInterval::Hour);
        assert_eq!(hours("2026-03-10T00:00:00Z"), Err(InvalidWindow::Empty));
        assert_eq!(hours("2026-03-11T00:00:00Z"), Err(InvalidWindow::Empty));
        assert_eq!(hours("2025-01-17T07:00:00Z"), Err(InvalidWindow::TooLong));
        assert!(hours("2025-01-17T08:00:00Z").is_ok(), "10,000 hours");
        assert_eq!(hours("1970-01-01T00:00:00Z"), Err(InvalidWindow::TooLong));
        assert_eq!(hours("1969-12-31T23:59:59Z"), Err(InvalidWindow::TooEarly("from")));
        let until = |to| window(None, Some(to), UsageInterval::Hour).map(|window| window.fill(vec![]).len());
        assert_eq!(until("9999-12-30T23:59:59Z"), Ok(720));
        assert_eq!(until("9999-12-31T23:59:59Z"), Err(InvalidWindow::TooLate), "it ends in the year 10000");
        assert_eq!(until("1970-01-01T00:00:00Z"), Err(InvalidWindow::TooEarly("to")));
        assert_eq!(until("0000-01-15T00:00:00Z"), Err(InvalidWindow::TooEarly("to")));
        assert_eq!(until("1970-01-01T01:00:00Z"), Ok(1), "the default start is not before 1970");
    }
}
