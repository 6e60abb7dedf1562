//! The rule of idle keys: those that are not used for so many days are suspended, 7 days after a notice.

use chrono::TimeDelta;

use super::{Reason, Status, Suspension, Timestamp};

/// From the notice to the suspension.
const NOTICE_PERIOD: TimeDelta = TimeDelta::days(7);
/// From the end of that to the suspension: uses are written up to a minute late, and clocks differ.
const DELAY: TimeDelta = TimeDelta::minutes(10);
/// A notice that no suspension has followed by then is void: the key was expired meanwhile, or nothing ran.
const NOTICE_IS_VOID_AFTER: TimeDelta = TimeDelta::days(8);
/// However few days the rule says: without it, keys that are in use would get a notice each hour.
const LEAST_IDLE_TIME: TimeDelta = TimeDelta::days(1);

/// A tenant's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleRule {
    pub days: i32,
    /// When it was last changed. Notices from before are void, so that no change suspends a key without 7 days' notice.
    pub set_at: Timestamp,
}

/// What the rule depends on, of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdleFacts {
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    /// When a request last ended a suspension.
    pub resumed_at: Option<Timestamp>,
    /// Also one that has ended by itself.
    pub suspension: Option<Suspension>,
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
    /// When the last notice was recorded.
    pub notice_at: Option<Timestamp>,
}

/// What is to be done with an idle key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleAction {
    GiveNotice,
    Suspend,
}

impl IdleFacts {
    /// The last use, or what counts as one: the creation, and the end of a suspension.
    fn idle_since(&self) -> Timestamp {
        let suspended_until = self.suspension.and_then(|suspension| suspension.until);
        let later = [self.last_used_at, self.resumed_at, suspended_until];
        later.into_iter().flatten().fold(self.created_at, Timestamp::max)
    }
}

impl IdleRule {
    /// `None`: nothing, since the key is used or does not work anyway, or its notice is not old enough.
    #[must_use]
    pub fn action(self, key: &IdleFacts, now: Timestamp) -> Option<IdleAction> {
        if Status::at(now, key.expires_at, key.suspension, key.revoked_at) != Status::Active {
            return None;
        }
        let idle_from = key.idle_since().checked_add_signed(self.idle_time_before_notice())?;
        if now < idle_from {
            return None;
        }
        // A use that was written late may show that the notice was given too early.
        let is_valid = |at: &Timestamp| *at >= idle_from.max(self.set_at) && now < *at + NOTICE_IS_VOID_AFTER;
        match key.notice_at.filter(is_valid) {
            None => Some(IdleAction::GiveNotice),
            Some(at) => (now >= Self::suspend_at(at) + DELAY).then_some(IdleAction::Suspend),
        }
    }

    /// When a key that gets its notice then is suspended. It is idle for the rule's days by then.
    #[must_use]
    pub fn suspend_at(notice_at: Timestamp) -> Timestamp {
        notice_at + NOTICE_PERIOD
    }

    /// Why a key is suspended.
    #[must_use]
    pub fn reason(self) -> Reason {
        Reason::stored(format!("not used for {} {}", self.days, if self.days == 1 { "day" } else { "days" }))
    }

    fn idle_time_before_notice(self) -> TimeDelta {
        (TimeDelta::days(self.days.into()) - NOTICE_PERIOD).max(LEAST_IDLE_TIME)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use IdleAction::{GiveNotice, Suspend};

    fn hours(hours: i64) -> Timestamp {
        DateTime::UNIX_EPOCH + TimeDelta::hours(hours)
    }

    fn days(days: i64) -> Timestamp {
        hours(24 * days)
    }

    /// Created on day 0.
    fn key() -> IdleFacts {
        IdleFacts {
            created_at: days(0),
            last_used_at: None,
            resumed_at: None,
            suspension: None,
            expires_at: None,
            revoked_at: None,
            notice_at: None,
        }
    }

    fn rule(days: i32) -> IdleRule {
        IdleRule { days, set_at: DateTime::UNIX_EPOCH }
    }

    #[test]
    fn a_key_gets_a_notice_7_days_before_it_is_idle_and_is_suspended_7_days_after_it() {
        for (rule_days, notice) in [(90, 83), (8, 1), (7, 1), (1, 1)] {
            let (rule, second) = (rule(rule_days), TimeDelta::seconds(1));
            assert_eq!(rule.action(&key(), days(notice) - second), None);
            assert_eq!(rule.action(&key(), days(notice)), Some(GiveNotice));
            let noticed = IdleFacts { notice_at: Some(days(notice)), ..key() };
            let end = IdleRule::suspend_at(days(notice));
            assert_eq!(end, days(notice + 7));
            assert_eq!(rule.action(&noticed, end), None);
            assert_eq!(rule.action(&noticed, end + DELAY - second), None);
            assert_eq!(rule.action(&noticed, end + DELAY), Some(Suspend));
            assert_eq!(rule.action(&noticed, days(notice + 8)), Some(GiveNotice), "the notice has lapsed");
        }
    }

    #[test]
    fn a_later_use_resumption_or_end_of_a_suspension_voids_the_notice() {
        let (rule, noticed) = (rule(90), IdleFacts { notice_at: Some(days(83)), ..key() });
        let ended = Some(Suspension { since: days(84), until: Some(days(85)) });
        for active in [
            IdleFacts { last_used_at: Some(days(85)), ..noticed },
            IdleFacts { resumed_at: Some(days(85)), ..noticed },
            IdleFacts { suspension: ended, ..noticed },
        ] {
            assert_eq!(rule.action(&active, days(90) + DELAY), None);
            assert_eq!(rule.action(&active, days(85 + 83)), Some(GiveNotice));
        }
        // A use from before the notice that was written after it.
        let late = IdleFacts { last_used_at: Some(days(83) - TimeDelta::seconds(30)), ..noticed };
        assert_eq!(rule.action(&late, days(90) + DELAY), None);
    }

    #[test]
    fn a_change_of_the_rule_voids_the_notice() {
        let noticed = IdleFacts { notice_at: Some(days(83)), ..key() };
        for days_of_rule in [30, 90] {
            let again = IdleRule { days: days_of_rule, set_at: days(84) };
            assert_eq!(again.action(&noticed, days(90) + DELAY), Some(GiveNotice));
        }
    }

    #[test]
    fn a_revoked_expired_or_suspended_key_is_left_alone() {
        let at = days(90) + DELAY;
        for notice_at in [None, Some(days(83))] {
            let idle = IdleFacts { notice_at, ..key() };
            assert!(rule(90).action(&idle, at).is_some());
            for left_alone in [
                IdleFacts { revoked_at: Some(days(1)), ..idle },
                IdleFacts { expires_at: Some(at), ..idle },
                IdleFacts { suspension: Some(Suspension { since: days(1), until: None }), ..idle },
                IdleFacts { suspension: Some(Suspension { since: days(1), until: Some(days(100)) }), ..idle },
            ] {
                assert_eq!(rule(90).action(&left_alone, at), None);
            }
        }
    }

    proptest! {
        /// The job runs each hour; the key is used, and the rule set, at any times.
        #[test]
        fn no_key_is_suspended_without_a_notice_of_7_days_and_the_rules_days_without_use(
            rule_days in 1..20_i32, uses in prop::collection::btree_set(1..1500_i64, 0..6), set in 0..1500_i64,
        ) {
            let rule = IdleRule { days: rule_days, set_at: hours(set) };
            let mut key = key();
            for hour in set..2500 {
                let now = hours(hour);
                key.last_used_at = uses.iter().filter(|at| **at <= hour).max().map(|at| hours(*at));
                match rule.action(&key, now) {
                    Some(GiveNotice) => key.notice_at = Some(now),
                    Some(Suspend) => {
                        let notice = key.notice_at.expect("a notice");
                        prop_assert!(notice >= hours(set) && now - notice >= TimeDelta::days(7));
                        prop_assert!(now - key.last_used_at.unwrap_or(key.created_at) >= TimeDelta::days(rule_days.into()));
                        prop_assert!(key.last_used_at.is_none_or(|used| used < notice));
                        return Ok(());
                    }
                    None => {}
                }
            }
            prop_assert!(false, "an idle key was never suspended");
        }
    }
}
