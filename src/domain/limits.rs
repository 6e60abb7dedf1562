//! What bounds a key, beside its scopes and its end.

use std::num::NonZeroU32;

use chrono::{DateTime, Days, Months, NaiveDate, NaiveTime};
use serde::Serialize;

use super::{AllowedAddresses, Timestamp};

/// The limits of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyLimits {
    pub allowed_addresses: AllowedAddresses,
    pub rate_limit: Option<RateLimit>,
    pub quota: Option<Quota>,
}

impl KeyLimits {
    /// True if nothing is limited.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// The part of a PATCH that changes a key's limits. `Some(None)` removes one.
#[derive(Clone, Debug, Default)]
#[allow(clippy::option_option, reason = "absent, null and a limit are three different requests")]
pub struct LimitsPatch {
    pub allowed_addresses: Option<AllowedAddresses>,
    pub rate_limit: Option<Option<RateLimit>>,
    pub quota: Option<Option<Quota>>,
}

/// So many requests in any window of that length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    requests: NonZeroU32,
    window_seconds: NonZeroU32,
}

impl RateLimit {
    /// Of the requests.
    pub const MAX_REQUESTS: u32 = 1_000_000;
    /// Of the window.
    pub const MAX_WINDOW_SECONDS: u32 = 24 * 60 * 60;

    /// `None`: out of range. Neither is 0.
    #[must_use]
    pub fn new(requests: i64, window_seconds: i64) -> Option<Self> {
        let within =
            |number: i64, max| NonZeroU32::new(u32::try_from(number).ok()?).filter(|number| number.get() <= max);
        Some(Self {
            requests: within(requests, Self::MAX_REQUESTS)?,
            window_seconds: within(window_seconds, Self::MAX_WINDOW_SECONDS)?,
        })
    }

    /// True if it lets in no request that the other would not.
    #[must_use]
    pub const fn is_within(self, other: Self) -> bool {
        self.requests() <= other.requests() && self.window_seconds() >= other.window_seconds()
    }

    /// How many.
    #[must_use]
    pub const fn requests(self) -> u32 {
        self.requests.get()
    }

    /// In which time.
    #[must_use]
    pub const fn window_seconds(self) -> u32 {
        self.window_seconds.get()
    }
}

/// So many requests in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quota {
    requests: i64,
    per: QuotaPeriod,
}

impl Quota {
    pub const MAX_REQUESTS: i64 = 1_000_000_000_000;

    /// `None`: out of range. It is not 0.
    #[must_use]
    pub fn new(requests: i64, per: QuotaPeriod) -> Option<Self> {
        (1..=Self::MAX_REQUESTS).contains(&requests).then_some(Self { requests, per })
    }

    /// True if it lets in no request that the other would not.
    #[must_use]
    pub fn is_within(self, other: Self) -> bool {
        self.requests <= other.requests && self.per == other.per
    }

    #[must_use]
    pub const fn requests(self) -> i64 {
        self.requests
    }

    #[must_use]
    pub const fn per(self) -> QuotaPeriod {
        self.per
    }
}

/// A period of the calendar, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum QuotaPeriod {
    Day,
    Month,
}

impl QuotaPeriod {
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// The name in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|period| period.as_str() == name)
    }

    /// The start of the period that contains that time.
    #[must_use]
    pub fn start(self, at: Timestamp) -> Timestamp {
        midnight(self.first_day(at))
    }

    /// The end of that period, which is the start of the next one.
    #[must_use]
    pub fn end(self, at: Timestamp) -> Timestamp {
        let first = self.first_day(at);
        let next = match self {
            Self::Day => first.checked_add_days(Days::new(1)),
            Self::Month => first.checked_add_months(Months::new(1)),
        };
        next.map_or(DateTime::<chrono::Utc>::MAX_UTC, midnight)
    }

    fn first_day(self, at: Timestamp) -> NaiveDate {
        use chrono::Datelike as _;
        let day = at.date_naive();
        match self {
            Self::Day => day,
            Self::Month => day.with_day(1).unwrap_or(day), // each month has one
        }
    }
}

fn midnight(day: NaiveDate) -> Timestamp {
    day.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::parse_timestamp;

    #[test]
    fn periods_are_those_of_the_calendar_in_utc() {
        let at = |text| parse_timestamp(text).unwrap();
        for (time, day, month) in [
            (
                "2024-02-29T23:59:59.999999Z",
                ["2024-02-29T00:00:00Z", "2024-03-01T00:00:00Z"],
                ["2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"],
            ),
            (
                "2026-12-31T12:00:00Z",
                ["2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"],
                ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"],
            ),
            (
                "2026-03-01T01:30:00+02:00",
                ["2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z"],
                ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"],
            ),
        ] {
            for (period, bounds) in [(QuotaPeriod::Day, day), (QuotaPeriod::Month, month)] {
                assert_eq!([period.start(at(time)), period.end(at(time))], bounds.map(at), "{period:?} of {time}");
            }
        }
    }

    proptest! {
        #[test]
        fn each_time_is_in_one_period_and_the_next_one_follows(
            seconds in -62_135_596_800_i64..253_402_300_800,
            period in prop::sample::select(QuotaPeriod::ALL.to_vec()),
        ) {
            let at = DateTime::from_timestamp(seconds, 0).unwrap();
            let (start, end) = (period.start(at), period.end(at));
            prop_assert!(start <= at && at < end);
            prop_assert_eq!(period.start(start), start);
            prop_assert_eq!(period.end(start), end);
            prop_assert_eq!(period.start(end), end);
            let last = end - chrono::TimeDelta::nanoseconds(1);
            prop_assert_eq!((period.start(last), period.end(last)), (start, end));
            let days = (end - start).num_days();
            let is_whole = if period == QuotaPeriod::Day { days == 1 } else { (28..=31).contains(&days) };
            prop_assert!(is_whole);
            // Usage is counted by hours: no hour is in two periods.
            prop_assert_eq!(start.timestamp() % 3600, 0);
        }

        #[test]
        fn a_rate_limit_has_both_numbers_within_their_ranges(
            requests in prop_oneof![-2_i64..3, 999_999_i64..1_000_002, any::<i64>()],
            seconds in prop_oneof![-2_i64..3, 86_399_i64..86_402, any::<i64>()],
        ) {
            let limit = RateLimit::new(requests, seconds);
            prop_assert_eq!(limit.is_some(), (1..=1_000_000).contains(&requests) && (1..=86_400).contains(&seconds));
            if let Some(limit) = limit {
                prop_assert_eq!((i64::from(limit.requests()), i64::from(limit.window_seconds())), (requests, seconds));
            }
        }

        #[test]
        fn a_quota_has_its_number_within_its_range(
            requests in prop_oneof![-2_i64..3, 999_999_999_999_i64..1_000_000_000_002, any::<i64>()],
            per in prop::sample::select(QuotaPeriod::ALL.to_vec()),
        ) {
            let quota = Quota::new(requests, per);
            prop_assert_eq!(quota.is_some(), (1..=1_000_000_000_000).contains(&requests));
            if let Some(quota) = quota {
                prop_assert_eq!((quota.requests(), QuotaPeriod::from_name(quota.per().as_str())), (requests, Some(per)));
            }
        }
    }
}
