//! Counts of this minute, in bounded memory: items are hashed to slots, and two may share one.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

pub(super) const SECONDS_PER_MINUTE: u64 = 60;

pub(super) struct MinuteCounts {
    started: Instant,
    /// Seeded at random, so that nobody chooses whose slot is used up.
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
}

/// A slot's content: how often something was counted in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Minute {
    pub(super) number: u32,
    pub(super) count: u32,
}

impl Minute {
    fn unpack(slot: u64) -> Self {
        let [high, low] = [slot >> 32, slot & u64::from(u32::MAX)].map(|half| u32::try_from(half).unwrap_or(u32::MAX));
        Self { number: high, count: low }
    }

    fn pack(self) -> u64 {
        u64::from(self.number) << 32 | u64::from(self.count)
    }

    /// After one more in that minute. A minute that is over by now, as another thread knows, counts as the newer one.
    fn counted(self, number: u32) -> Self {
        if self.number >= number {
            Self { count: self.count.saturating_add(1), ..self }
        } else {
            Self { number, count: 1 }
        }
    }

    /// The count in that minute or a newer one.
    pub(super) fn in_minute(self, number: u32) -> Option<u32> {
        (self.number >= number).then_some(self.count)
    }
}

impl MinuteCounts {
    pub(super) fn new(slots: usize) -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(slots).collect();
        Self { started: Instant::now(), hasher: RandomState::new(), slots }
    }

    /// Seconds since the start.
    pub(super) fn now(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn slot(&self, what: impl Hash) -> &AtomicU64 {
        let index = usize::try_from(self.hasher.hash_one(what)).unwrap_or(usize::MAX) % self.slots.len();
        &self.slots[index]
    }

    /// Counts one more at that second, and returns what the slot contained before.
    pub(super) fn count(&self, what: impl Hash, second: u64) -> Minute {
        let number = minute_of(second);
        let count = |slot| Some(Minute::unpack(slot).counted(number).pack());
        // Without an error, since `count` always returns a value.
        let before = self.slot(what).fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        Minute::unpack(before.unwrap_or_default())
    }

    /// What the slot contains.
    pub(super) fn read(&self, what: impl Hash) -> Minute {
        Minute::unpack(self.slot(what).load(Ordering::Relaxed))
    }
}

pub(super) fn minute_of(second: u64) -> u32 {
    u32::try_from(second / SECONDS_PER_MINUTE).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_of_a_minute() {
        let counts = MinuteCounts::new(16);
        let before: Vec<_> = [60, 119, 120, 90, 121].map(|second| counts.count("a", second)).into();
        // The fourth comes from a thread that is late.
        let expected = [(0, 0), (1, 1), (1, 2), (2, 1), (2, 2)].map(|(number, count)| Minute { number, count });
        assert_eq!(before, expected);
        assert_eq!(counts.read("a"), Minute { number: 2, count: 3 });
    }

    #[test]
    fn a_flood_does_not_overflow_its_counter() {
        let full = Minute { number: 7, count: u32::MAX };
        assert_eq!(Minute::unpack(full.pack()), full);
        assert_eq!(full.counted(7), full);
        assert_eq!(full.counted(8), Minute { number: 8, count: 1 });
    }
}
