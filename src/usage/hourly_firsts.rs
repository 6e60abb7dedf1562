//! What has happened before in this hour, so that a flood of requests leaves few events. Bounded, and for each group: one tenant,
//! or one client, uses up nobody else's share.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use crate::domain::Timestamp;

/// Items of all groups in an hour.
const MAX: usize = 65_536;
const SECONDS_PER_HOUR: i64 = 3_600;

pub(super) struct HourlyFirsts<Group, Item> {
    /// Items of one group in an hour. Further ones are never first.
    max_per_group: usize,
    hour: Mutex<Hour<Group, Item>>,
}

struct Hour<Group, Item> {
    number: i64,
    groups: HashMap<Group, HashSet<Item>>,
    items: usize,
}

impl<Group: Hash + Eq, Item: Hash + Eq> HourlyFirsts<Group, Item> {
    pub(super) fn new(max_per_group: usize) -> Self {
        Self { max_per_group, hour: Mutex::new(Hour { number: 0, groups: HashMap::new(), items: 0 }) }
    }

    /// True for the first time in this hour.
    pub(super) fn is_first(&self, group: Group, item: Item, at: Timestamp) -> bool {
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let number = at.timestamp().div_euclid(SECONDS_PER_HOUR);
        if hour.number != number {
            *hour = Hour { number, groups: HashMap::new(), items: 0 };
        }
        if hour.items >= MAX {
            return false;
        }
        let items = hour.groups.entry(group).or_default();
        let is_first = items.len() < self.max_per_group && items.insert(item);
        hour.items += usize::from(is_first);
        is_first
    }

    /// The next time is the first one again.
    pub(super) fn clear(&self, group: &Group, item: &Item) {
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        if hour.groups.get_mut(group).is_some_and(|items| items.remove(item)) {
            hour.items -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn an_item_is_first_once_an_hour_and_a_flood_of_a_group_is_bounded() {
        let (firsts, at) = (HourlyFirsts::new(100), DateTime::UNIX_EPOCH);
        assert!(firsts.is_first("acme", 1, at) && !firsts.is_first("acme", 1, at));
        assert_eq!((0..1_000).filter(|item| firsts.is_first("acme", *item, at)).count(), 99);
        assert!(firsts.is_first("globex", 1, at), "of another group");
        assert!(firsts.is_first("acme", 1, at + TimeDelta::hours(1)));
        firsts.clear(&"acme", &1);
        assert!(firsts.is_first("acme", 1, at + TimeDelta::hours(1)));
    }

    #[test]
    fn a_flood_of_groups_is_bounded() {
        let (firsts, at) = (HourlyFirsts::new(10), DateTime::UNIX_EPOCH);
        assert_eq!((0..2 * MAX).filter(|group| firsts.is_first(*group, (), at)).count(), MAX);
    }
}
