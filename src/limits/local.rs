//! What keys have used of their limits, as this instance counts.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use hashbrown::HashTable;

use crate::domain::{ApiKeyId, Budget, Moment, RateDecision, RateLimit};

/// A power of two.
const SHARDS: usize = 64;
/// Keys with a state at most, which are 25 to 50 MiB.
const MAX_KEYS: usize = 900_000;

/// A key that has not its whole burst available. Others need no state.
#[derive(Clone, Copy)]
struct UsedKey {
    key: ApiKeyId,
    /// When the whole burst is available again.
    full_at: Moment,
}

/// Counts by key, and not by cached secret: neither a second secret nor an invalidation gives a key a fresh burst.
pub(super) struct LocalCounts {
    shards: Box<[Mutex<HashTable<UsedKey>>]>,
    max_keys_per_shard: usize,
    hasher: RandomState,
}

impl Default for LocalCounts {
    fn default() -> Self {
        Self::with_room_for(MAX_KEYS)
    }
}

impl LocalCounts {
    fn with_room_for(max_keys: usize) -> Self {
        let shards = std::iter::repeat_with(Mutex::default).take(SHARDS).collect();
        Self { shards, max_keys_per_shard: max_keys / SHARDS, hasher: RandomState::new() }
    }

    /// Takes one request out of the key's budget. The clock is read under the lock, so in the order of the requests:
    /// otherwise the last request of a burst could seem to come before the others, and be refused.
    pub(super) fn take(&self, key: ApiKeyId, limit: RateLimit, now: impl FnOnce() -> Moment) -> RateDecision {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let now = now();
        let Some(used) = shard.find_mut(hash, |used| used.key == key) else {
            let full = Budget::new(limit, 0);
            let Some(budget) = full.take() else { return RateDecision::refused(full) };
            self.insert(&mut shard, hash, UsedKey { key, full_at: full_at(budget, now) }, now);
            return RateDecision::allowed(budget);
        };
        let budget = used.budget(limit, now);
        let Some(budget) = budget.take() else { return RateDecision::refused(budget) };
        used.full_at = full_at(budget, now);
        RateDecision::allowed(budget)
    }

    /// The key's budget. The clock is read under the lock, as in [`Self::take`].
    pub(super) fn read(&self, key: ApiKeyId, limit: RateLimit, now: impl FnOnce() -> Moment) -> Budget {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let now = now();
        shard.find_mut(hash, |used| used.key == key).map_or(Budget::new(limit, 0), |used| used.budget(limit, now))
    }

    /// Replaces what the key has used.
    pub(super) fn set(&self, key: ApiKeyId, budget: Budget, now: Moment) {
        let hash = self.hash(key);
        let mut shard = self.shard(hash);
        let full_at = full_at(budget, now);
        match shard.find_mut(hash, |used| used.key == key) {
            Some(used) => used.full_at = full_at,
            None => self.insert(&mut shard, hash, UsedKey { key, full_at }, now),
        }
    }

    /// The number of keys with a state.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    fn hash(&self, key: ApiKeyId) -> u64 {
        self.hasher.hash_one(key)
    }

    #[allow(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
    fn shard(&self, hash: u64) -> MutexGuard<'_, HashTable<UsedKey>> {
        // The table uses the low bits and the seven highest ones.
        lock(&self.shards[(hash >> 40) as usize % SHARDS])
    }

    fn insert(&self, shard: &mut HashTable<UsedKey>, hash: u64, used: UsedKey, now: Moment) {
        if shard.len() >= self.max_keys_per_shard {
            evict(shard, hash);
        } else if shard.len() == shard.capacity() {
            self.make_room(shard, now);
        }
        shard.insert_unique(hash, used, |other| self.hash(other.key));
    }

    /// Removes keys that have their whole burst again. Unless that frees half of the table, it grows, so that the next
    /// time is far away.
    #[cold]
    fn make_room(&self, shard: &mut HashTable<UsedKey>, now: Moment) {
        shard.retain(|used| used.full_at > now);
        let (length, capacity) = (shard.len(), shard.capacity());
        if length > capacity / 2 {
            shard.reserve(capacity + 1 - length, |other| self.hash(other.key));
        } else {
            shard.shrink_to(2 * length, |other| self.hash(other.key));
        }
    }
}

/// Evicts the key that is nearest to its whole burst, of some in a row that start at a random place. It begins anew with
/// a whole burst.
#[cold]
fn evict(shard: &mut HashTable<UsedKey>, random: u64) {
    let buckets = shard.num_buckets();
    #[allow(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
    let places = (0..buckets).map(|step| (random as usize).wrapping_add(step) % buckets);
    let sample = places.filter(|place| shard.get_bucket(*place).is_some()).take(8);
    let victim = sample.min_by_key(|place| shard.get_bucket(*place).map(|used| used.full_at));
    if let Some(Ok(victim)) = victim.map(|place| shard.get_bucket_entry(place)) {
        victim.remove();
    }
}

impl UsedKey {
    /// Keeps that the whole burst is available after a window at the latest: otherwise a key whose window was shortened
    /// would wait for as long as the former one.
    fn budget(&mut self, limit: RateLimit, now: Moment) -> Budget {
        let budget = Budget::new(limit, self.full_at.0.saturating_sub(now.0));
        self.full_at = self.full_at.min(full_at(budget, now));
        budget
    }
}

fn full_at(budget: Budget, now: Moment) -> Moment {
    Moment(now.0.saturating_add(budget.used()))
}

fn lock(shard: &Mutex<HashTable<UsedKey>>) -> MutexGuard<'_, HashTable<UsedKey>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::HashMap, thread};
    use uuid::Uuid;

    const START: Moment = Moment(1_000);

    fn limit(requests: u32, window_seconds: u32) -> RateLimit {
        RateLimit::new(requests.into(), window_seconds.into()).unwrap()
    }

    fn key(number: usize) -> ApiKeyId {
        ApiKeyId(Uuid::from_u128(number as u128))
    }

    fn after(nanos: u64) -> Moment {
        Moment(START.0 + nanos)
    }

    #[test]
    fn concurrent_requests_never_exceed_the_burst() {
        let (counts, limit) = (LocalCounts::default(), limit(10_000, 60));
        let allowed: usize = thread::scope(|scope| {
            let take = || (0..4_000).filter(|_| counts.take(key(1), limit, || START).allowed).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(allowed, 10_000);
    }

    #[test]
    fn requests_at_the_same_time_are_in_the_order_of_the_clock() {
        for _ in 0..200 {
            let (counts, limit) = (LocalCounts::default(), limit(8, 86_400));
            let allowed = thread::scope(|scope| {
                let threads: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| counts.take(key(1), limit, Moment::now).allowed)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).filter(|allowed| *allowed).count()
            });
            assert_eq!(allowed, 8);
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_and_takes_no_more_than_the_window() {
        let (counts, limit) = (LocalCounts::default(), limit(2, 10));
        assert!(counts.take(key(1), limit, || after(100)).allowed);
        assert_eq!(counts.read(key(1), limit, || after(50)).remaining(), 0, "not even one, for these 50 ns");
        let long_before = counts.read(key(1), limit, || Moment(0)).next_in().unwrap();
        assert!(long_before.as_secs() <= 5, "{long_before:?}");
        assert!(counts.take(key(1), limit, || after(100)).allowed && !counts.take(key(1), limit, || START).allowed);
    }

    #[test]
    fn after_a_change_to_a_shorter_window_the_key_waits_for_that_one() {
        let second = 1_000_000_000;
        for refused in [true, false] {
            let counts = LocalCounts::default();
            assert!(counts.take(key(1), limit(1, 86_400), || START).allowed);
            // By a refused request, or by a look.
            if refused {
                assert!(!counts.take(key(1), limit(4, 4), || START).allowed);
            } else {
                assert_eq!(counts.read(key(1), limit(4, 4), || START).remaining(), 0);
            }
            assert!(!counts.take(key(1), limit(4, 4), || after(second - 1)).allowed);
            assert!(counts.take(key(1), limit(4, 4), || after(second)).allowed);
        }
    }

    /// (key, nanoseconds since the call before)
    fn calls() -> impl Strategy<Value = Vec<(usize, u64)>> {
        proptest::collection::vec((0_usize..40, prop_oneof![Just(0), 0_u64..3_000_000_000]), 1..500)
    }

    proptest! {
        /// The reference keeps every key for ever.
        #[test]
        fn keys_without_state_are_those_with_their_whole_burst(calls in calls(), requests in 1_u32..5, window in 1_u32..30) {
            let (counts, limit) = (LocalCounts::default(), limit(requests, window));
            let mut reference: HashMap<usize, u64> = HashMap::new();
            let mut now = START;
            for (number, wait) in calls {
                now = Moment(now.0 + wait);
                let full_at = reference.entry(number).or_insert(0);
                let expected = Budget::new(limit, full_at.saturating_sub(now.0));
                prop_assert_eq!(counts.read(key(number), limit, || now), expected);
                let taken = counts.take(key(number), limit, || now);
                prop_assert_eq!(taken.allowed, expected.take().is_some());
                prop_assert_eq!(taken.budget, expected.take().unwrap_or(expected));
                if taken.allowed {
                    *full_at = now.0 + taken.budget.used();
                }
            }
        }
    }

    #[test]
    fn a_hundred_thousand_limited_keys_take_at_most_64_bytes_each() {
        let (counts, limit) = (LocalCounts::default(), limit(100, 60));
        for number in 0..100_000 {
            assert!(counts.take(key(number), limit, || START).allowed);
        }
        let allocated: usize = counts.shards.iter().map(|shard| lock(shard).allocation_size()).sum();
        // The limit itself, in the cached secret: two numbers of 32 bits.
        let each = allocated.div_ceil(100_000) + 8;
        assert!(each <= 64, "{each}");
    }

    #[test]
    fn the_table_shrinks_when_keys_have_their_whole_burst_again() {
        let (counts, limit) = (LocalCounts::default(), limit(1, 1));
        let second = |second: usize| after(second as u64 * 1_000_000_000);
        for number in 0..1_000_000 {
            assert!(counts.take(key(number), limit, || second(number / 20_000)).allowed);
        }
        let allocated: usize = counts.shards.iter().map(|shard| lock(shard).allocation_size()).sum();
        assert!(counts.len() < 100_000 && allocated < 4 << 20, "{} keys, {allocated} bytes", counts.len());
    }

    #[test]
    fn beyond_the_bound_keys_that_are_near_to_their_whole_burst_make_room() {
        let counts = LocalCounts::with_room_for(SHARDS * 100);
        let (short, long) = (limit(1, 1), limit(1, 86_400));
        for number in 0..SHARDS * 50 {
            counts.take(key(number), long, || START);
        }
        for number in SHARDS * 50..SHARDS * 500 {
            counts.take(key(number), short, || START);
        }
        assert!(counts.len() <= SHARDS * 100, "{}", counts.len());
        let kept = (0..SHARDS * 50).filter(|number| !counts.take(key(*number), long, || after(1)).allowed).count();
        assert!(kept > SHARDS * 45, "{kept} of {}", SHARDS * 50);
    }
}
