//! Which decoys were used lately, and from where, so that a flood of requests leaves few events.

use std::{
    collections::HashSet,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use crate::domain::{ApiKeyId, Timestamp};

/// Pairs of key and address in an hour. Further ones leave no event.
const MAX: usize = 4_096;
const SECONDS_PER_HOUR: i64 = 3_600;

#[derive(Default)]
pub(super) struct RecentDecoyUses(Mutex<Hour>);

#[derive(Default)]
struct Hour {
    number: i64,
    uses: HashSet<(ApiKeyId, Option<IpAddr>)>,
}

impl RecentDecoyUses {
    /// True for the first use of the key from that address in this hour.
    pub(super) fn is_first(&self, key: ApiKeyId, address: Option<IpAddr>, at: Timestamp) -> bool {
        let mut hour = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = at.timestamp().div_euclid(SECONDS_PER_HOUR);
        if hour.number != number {
            *hour = Hour { number, uses: HashSet::new() };
        }
        hour.uses.len() < MAX && hour.uses.insert((key, address))
    }

    /// The next use is the first one again.
    pub(super) fn forget(&self, key: ApiKeyId, address: Option<IpAddr>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).uses.remove(&(key, address));
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn a_key_and_an_address_are_first_once_an_hour_and_a_flood_is_bounded() {
        let (recent, at) = (RecentDecoyUses::default(), DateTime::UNIX_EPOCH);
        let (key, address) = (ApiKeyId::generate(), Some([192, 0, 2, 1].into()));
        assert!(recent.is_first(key, address, at) && !recent.is_first(key, address, at));
        assert!(recent.is_first(key, None, at) && recent.is_first(ApiKeyId::generate(), address, at));
        let firsts = (0..2 * MAX).filter(|_| recent.is_first(ApiKeyId::generate(), address, at)).count();
        assert_eq!(firsts, MAX - 3);
        assert!(recent.is_first(key, address, at + TimeDelta::hours(1)));
        recent.forget(key, address);
        assert!(recent.is_first(key, address, at + TimeDelta::hours(1)));
    }
}
