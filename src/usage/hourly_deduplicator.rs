//! Recognises what has happened before in this hour, so that a flood of requests leaves few events. Memory is bounded, for each
//! group and in all.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use crate::domain::Timestamp;

/// Items of all groups in an hour. Further ones count as repeated.
const MAX: usize = 65_536;
const SECONDS_PER_HOUR: i64 = 3_600;

pub(super) struct HourlyDeduplicator<Group, Item> {
    /// Items of one group in an hour. Further ones count as repeated.
    max_per_group: usize,
    hour: Mutex<Hour<Group, Item>>,
}

struct Hour<Group, Item> {
    number: i64,
    groups: HashMap<Group, HashSet<Item>>,
    items: usize,
}

impl<Group: Hash + Eq, Item: Hash + Eq> HourlyDeduplicator<Group, Item> {
    pub(super) fn new(max_per_group: usize) -> Self {
        Self { max_per_group, hour: Mutex::new(Hour { number: 0, groups: HashMap::new(), items: 0 }) }
    }

    /// True for the first time in this hour.
    pub(super) fn insert(&self, group: Group, item: Item, at: Timestamp) -> bool {
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let number = at.timestamp().div_euclid(SECONDS_PER_HOUR);
        // Not for a clock that is set back.
        if number > hour.number {
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
    pub(super) fn remove(&self, group: &Group, item: &Item) {
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(items) = hour.groups.get_mut(group) else { return };
        let (was_there, is_empty) = (items.remove(item), items.is_empty());
        hour.items -= usize::from(was_there);
        if is_empty {
            hour.groups.remove(group);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    #[test]
    fn an_item_is_first_once_an_hour_and_a_flood_of_a_group_is_bounded() {
        let (seen, at) = (HourlyDeduplicator::new(100), DateTime::UNIX_EPOCH);
        assert!(seen.insert("acme", 1, at) && !seen.insert("acme", 1, at));
        assert_eq!((0..1_000).filter(|item| seen.insert("acme", *item, at)).count(), 99);
        assert!(seen.insert("globex", 1, at), "of another group");
        assert!(seen.insert("acme", 1, at + TimeDelta::hours(1)));
        seen.remove(&"acme", &1);
        assert!(seen.insert("acme", 1, at + TimeDelta::hours(1)));
        seen.remove(&"acme", &1);
        assert!(seen.hour.lock().unwrap().groups.is_empty());
    }

    #[test]
    fn a_flood_of_groups_is_bounded() {
        let (seen, at) = (HourlyDeduplicator::new(10), DateTime::UNIX_EPOCH);
        assert_eq!((0..2 * MAX).filter(|group| seen.insert(*group, (), at)).count(), MAX);
    }
}
