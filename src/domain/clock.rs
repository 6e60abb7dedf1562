//! The clock, which tests can set, and the text form of timestamps.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use chrono::{DateTime, Datelike as _, SecondsFormat, TimeDelta, Timelike as _, Utc};

/// A time in UTC, in whole microseconds, as PostgreSQL stores it.
pub type Timestamp = DateTime<Utc>;

/// The wall clock. Clones share one offset, so a test that advances one advances all.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_micros: Arc<AtomicI64>,
}

impl Clock {
    /// Clamped to the times from 1970 to the end of chrono's range.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    pub fn now(&self) -> Timestamp {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = i64::try_from(since_1970.as_micros()).unwrap_or(i64::MAX);
        let micros = micros.saturating_add(self.offset_micros.load(Ordering::Relaxed));
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Advances the clock, or sets it back if `by` is negative. For tests.
    pub fn turn(&self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or(i64::MAX);
        self.offset_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// How far this clock is ahead of another that read `other` between the readings `before` and `after` of this one;
/// negative: behind. Exact to half the time between the two.
#[must_use]
pub fn clock_offset(before: Timestamp, other: Timestamp, after: Timestamp) -> TimeDelta {
    before + (after - before) / 2 - other
}

/// The text is not an RFC 3339 time with an offset, or outside the years 0 to 9999 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 time with an offset, as in 2030-01-31T09:00:00Z")]
pub struct InvalidTimestamp;

/// Parses an RFC 3339 time with any offset. The result is in UTC, truncated to microseconds.
pub fn parse_timestamp(text: &str) -> Result<Timestamp, InvalidTimestamp> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|_| InvalidTimestamp)?;
    // PostgreSQL has no leap seconds; `:60` becomes the next second, as in POSIX time.
    let time = DateTime::from_timestamp_micros(time.timestamp_micros()).ok_or(InvalidTimestamp)?;
    // In UTC, the last hours of 9999 at a negative offset are in the year 10000, which RFC 3339 cannot represent.
    (0..=9999).contains(&time.year()).then_some(time).ok_or(InvalidTimestamp)
}

/// RFC 3339 in UTC with `Z`, without a fraction if it is zero. Years beyond 9999 are in ISO 8601's extended form.
#[must_use]
pub fn format_timestamp(time: Timestamp) -> String {
    match TimestampText::new(time) {
        Some(text) => text.as_str().to_owned(),
        None => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
    }
}

/// The text of [`format_timestamp`] without an allocation. Every check of a key writes a time into a header, and
/// chrono's general formatter takes four times as long. (`format_timestamp_agrees_with_chrono` compares them.)
#[derive(Clone, Copy, Debug)]
pub struct TimestampText {
    text: [u8; Self::MAX_LEN],
    len: usize,
}

impl TimestampText {
    /// In bytes.
    pub const MAX_LEN: usize = "9999-12-31T23:59:59.999999Z".len();

    /// `None` for a time outside the years 0 to 9999, with a fraction below microseconds, or in a leap second.
    /// [`parse_timestamp`] returns none of those.
    #[must_use]
    pub fn new(time: Timestamp) -> Option<Self> {
        let (date, time) = (time.naive_utc().date(), time.naive_utc().time());
        let (year, nanos) = (u32::try_from(date.year()).ok().filter(|year| *year <= 9999)?, time.nanosecond());
        // chrono represents a leap second by a billion nanoseconds or more.
        if nanos >= 1_000_000_000 || nanos % 1_000 != 0 {
            return None;
        }
        let micros = nanos / 1_000;
        let mut text = *b"0000-00-00T00:00:00Z       ";
        for (place, number) in [
            (0, year / 100),
            (2, year),
            (5, date.month()),
            (8, date.day()),
            (11, time.hour()),
            (14, time.minute()),
            (17, time.second()),
        ] {
            text[place] = digit(number / 10);
            text[place + 1] = digit(number);
        }
        let mut len = "0000-00-00T00:00:00Z".len();
        if micros > 0 {
            text[len - 1] = b'.';
            for (place, unit) in [100_000, 10_000, 1_000, 100, 10, 1].into_iter().enumerate() {
                text[len + place] = digit(micros / unit);
            }
            len += if micros % 1_000 == 0 { ".000".len() } else { ".000000".len() };
            text[len - 1] = b'Z';
        }
        Some(Self { text, len })
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default() // ASCII
    }
}

/// The last decimal digit, in ASCII.
#[allow(clippy::cast_possible_truncation, reason = "a digit")]
const fn digit(number: u32) -> u8 {
    b'0' + (number % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalised(text: &str) -> Result<String, InvalidTimestamp> {
        parse_timestamp(text).map(format_timestamp)
    }

    #[test]
    fn a_time_with_any_offset_is_normalised_to_utc() {
        assert_eq!(normalised("2026-01-01T00:00:00Z").as_deref(), Ok("2026-01-01T00:00:00Z"));
        assert_eq!(normalised("2026-01-01T02:00:00+02:00").as_deref(), Ok("2026-01-01T00:00:00Z"));
        assert_eq!(normalised("2026-01-01t00:00:00.5z").as_deref(), Ok("2026-01-01T00:00:00.500Z"));
        assert_eq!(normalised("2026-01-01T00:00:00.1234569Z").as_deref(), Ok("2026-01-01T00:00:00.123456Z"));
        assert_eq!(normalised("2026-06-30T23:59:60Z").as_deref(), Ok("2026-07-01T00:00:00Z"));
        assert_eq!(normalised("0001-01-01T00:00:00Z").as_deref(), Ok("0001-01-01T00:00:00Z"));
        assert_eq!(normalised("9999-12-31T23:59:59Z").as_deref(), Ok("9999-12-31T23:59:59Z"));
    }

    #[test]
    fn the_offset_of_a_clock_is_measured_from_the_middle_of_the_round_trip() {
        let at = |millis| DateTime::from_timestamp_millis(millis).unwrap();
        assert_eq!(clock_offset(at(1000), at(1100), at(1200)), TimeDelta::zero());
        assert_eq!(clock_offset(at(4000), at(1100), at(4200)), TimeDelta::seconds(3));
        assert_eq!(clock_offset(at(1000), at(4100), at(1200)), TimeDelta::seconds(-3));
    }

    #[test]
    fn a_malformed_time_is_rejected() {
        for bad in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "9999-12-31T23:59:59-01:00",
            "10000-01-01T00:00:00Z",
            "+10000-01-01T00:00:00Z",
            "-0001-01-01T00:00:00Z",
            "1767225600",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00 Z",
            "tomorrow",
        ] {
            assert_eq!(parse_timestamp(bad), Err(InvalidTimestamp), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_parsed_time_round_trips(text in "[-+0-9TtZz:. ]{0,40}") {
            if let Ok(time) = parse_timestamp(&text) {
                prop_assert_eq!(parse_timestamp(&format_timestamp(time)), Ok(time));
            }
        }

        #[test]
        fn every_storable_time_round_trips(micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            let time = DateTime::from_timestamp_micros(micros).unwrap();
            let text = format_timestamp(time);
            prop_assert!(text.ends_with('Z') && text.len() <= 27, "{}", text);
            prop_assert_eq!(parse_timestamp(&text), Ok(time));
        }

        #[test]
        fn format_timestamp_agrees_with_chrono(
            seconds in prop_oneof![-62_167_219_200_i64..253_402_300_800, -8_000_000_000_000_i64..8_000_000_000_000],
            micros in prop_oneof![Just(0), (0..1000_u32).prop_map(|millis| millis * 1000), 0..1_000_000_u32],
            nanos in prop_oneof![9 => Just(0), 1 => 0..1_000_000_000_u32],
        ) {
            // More than a billion is a leap second.
            let nanos = micros * 1000 + nanos;
            let time = DateTime::from_timestamp(seconds, nanos).or(DateTime::from_timestamp(seconds, nanos / 2)).unwrap();
            prop_assert_eq!(format_timestamp(time), time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        }

        #[test]
        fn a_time_with_an_offset_parses_to_the_same_instant(seconds in 0_i64..250_000_000_000, minutes in -1439..=1439_i32) {
            let time = DateTime::from_timestamp(seconds, 0).unwrap();
            let there = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
            prop_assert_eq!(parse_timestamp(&time.with_timezone(&there).to_rfc3339()), Ok(time));
        }

        #[test]
        fn a_text_that_resembles_a_time_never_panics(text in "[-+]?[0-9]{1,6}-[0-9]{1,3}-[0-9]{1,3}[Tt ][0-9]{1,3}:[0-9]{1,3}:[0-9]{1,3}(\\.[0-9]{0,12})?([Zz]|[-+][0-9]{1,3}:[0-9]{1,3})?") {
            if let Ok(time) = parse_timestamp(&text) {
                prop_assert!((0..=9999).contains(&time.year()));
                prop_assert_eq!(parse_timestamp(&format_timestamp(time)), Ok(time));
            }
        }
    }
}
