//! What was found out about credentials and tenants, for as long as it is known to be true.
//!
//! Three things keep a stale verdict out:
//!
//! 1. *Eviction.* Whoever learns of a change (this instance before it acknowledges one of its
//!    own, the change feed for others') calls [`Cache::forget`].
//! 2. *Epochs.* A look-up takes a [`Ticket`] before it asks the database, and what it found is
//!    kept only if the epoch of its shard is still the ticket's. `forget` counts the epoch up
//!    under the same lock. So a look-up that began before a change can never put its answer
//!    back after it; a model in `tests` shows that it could without the guard.
//! 3. *The lease.* Nothing is read from it while [`super::lease`] does not hold.
//!
//! An entry belongs to a group (a tenant's, by hash), and a group is spread over shards, so that
//! one tenant's changes do not stop caching for all, and one tenant's hot keys do not all meet at
//! one lock. There are no negative entries: a key just made on another instance works at once.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

use crate::domain::Slug;

#[cfg(not(test))]
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

// In unit tests, locks are those of a scheduler that tries interleavings.
#[cfg(test)]
use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Powers of two.
const GROUPS: usize = 32;
const SPREAD: usize = 8;

/// A key of the cache: a keyed digest, so that nobody outside can aim at a slot, and what is
/// cached holds nothing that would let somebody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheKey(u128);

impl CacheKey {
    /// The digest.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

/// Makes cache keys, under a key drawn at start.
pub struct CacheKeys {
    /// Has taken the seed in, as one block.
    seeded: Sha256,
}

impl CacheKeys {
    /// Under a seed that never leaves the process.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seeded: Sha256::new_with_prefix(seed).chain_update([0; 32]) }
    }

    /// The key of what was presented in that group. The parts must be told apart by their form:
    /// they are put behind one another.
    #[must_use]
    pub fn key(&self, group: &[u8; 16], presented: &[&[u8]]) -> CacheKey {
        let mut hash = self.seeded.clone().chain_update(group);
        for part in presented {
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        CacheKey(u128::from_le_bytes(bytes))
    }
}

/// Makes cache keys of slugs, which are no secrets: two hashes (SipHash), each under a key drawn at start,
/// cost half as much as a digest, and nobody can make two slugs meet.
#[derive(Default)]
pub struct SlugKeys(RandomState, RandomState);

impl SlugKeys {
    /// The key of a slug.
    #[must_use]
    pub fn key(&self, slug: &Slug) -> CacheKey {
        let [high, low] = [&self.0, &self.1].map(|hasher| u128::from(hasher.hash_one(slug.as_str())));
        CacheKey(high << 64 | low)
    }
}

/// Cache keys are digests already.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u128(&mut self, digest: u128) {
        // The low bits choose the shard; these are others.
        self.0 = (digest >> 64) as u64;
    }
}

struct Entry<S, V> {
    subject: S,
    value: V,
    /// Used since the hand came by last (the CLOCK algorithm).
    used: AtomicBool,
}

struct Shard<S, V> {
    epoch: u64,
    entries: IndexMap<CacheKey, Entry<S, V>, BuildHasherDefault<DigestHasher>>,
    /// Which entries are about which subject: a key has one secret, or two.
    by_subject: HashMap<S, SmallVec<[CacheKey; 2]>>,
}

impl<S: Copy + Eq + Hash, V> Shard<S, V> {
    fn remove(&mut self, key: CacheKey) {
        let Some(entry) = self.entries.swap_remove(&key) else { return };
        self.unlink(entry.subject, key);
    }

    fn unlink(&mut self, subject: S, key: CacheKey) {
        if let Some(keys) = self.by_subject.get_mut(&subject) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.by_subject.remove(&subject);
            }
        }
    }
}

/// The right to put an answer into the cache, if nothing has changed since it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    shard: usize,
    epoch: u64,
}

/// A bounded cache of values about subjects.
pub struct Cache<S, V> {
    shards: Box<[RwLock<Shard<S, V>>]>,
    length: AtomicUsize,
    capacity: usize,
    hasher: RandomState,
}

impl<S: Copy + Eq + Hash, V: Clone> Cache<S, V> {
    /// A cache of at most so many entries.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let shard = || RwLock::new(Shard { epoch: 0, entries: IndexMap::default(), by_subject: HashMap::new() });
        Self {
            shards: std::iter::repeat_with(shard).take(GROUPS * SPREAD).collect(),
            length: AtomicUsize::new(0),
            capacity,
            hasher: RandomState::new(),
        }
    }

    fn read(&self, shard: usize) -> RwLockReadGuard<'_, Shard<S, V>> {
        self.shards[shard].read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Shard<S, V>> {
        self.shards[shard].write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn group_start(&self, group: &[u8; 16]) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
        let hash = self.hasher.hash_one(group) as usize;
        (hash % GROUPS) * SPREAD
    }

    fn shard(&self, group: &[u8; 16], key: CacheKey) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
        let spread = key.0 as usize;
        self.group_start(group) + spread % SPREAD
    }

    /// What is known. To be asked under the lease only.
    pub fn get(&self, group: &[u8; 16], key: CacheKey) -> Option<V> {
        let shard = self.read(self.shard(group, key));
        let entry = shard.entries.get(&key)?;
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(entry.value.clone())
    }

    /// To be taken before the database is asked.
    pub fn ticket(&self, group: &[u8; 16], key: CacheKey) -> Ticket {
        let shard = self.shard(group, key);
        Ticket { shard, epoch: self.read(shard).epoch }
    }

    /// How many entries there are at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether nothing has changed since the ticket was taken.
    pub fn is_current(&self, ticket: Ticket) -> bool {
        self.read(ticket.shard).epoch == ticket.epoch
    }

    /// Keeps what the database said, unless something has changed since the ticket was taken.
    pub fn put(&self, ticket: Ticket, key: CacheKey, subject: S, value: V) {
        if self.capacity == 0 {
            return;
        }
        if self.length.load(Ordering::Relaxed) >= self.capacity {
            self.make_room(key);
        }
        let mut guard = self.write(ticket.shard);
        let shard = &mut *guard;
        if shard.epoch != ticket.epoch {
            return;
        }
        let entry = Entry { subject, value, used: AtomicBool::new(false) };
        match shard.entries.insert(key, entry) {
            None => {
                self.length.fetch_add(1, Ordering::Relaxed);
                shard.by_subject.entry(subject).or_default().push(key);
            }
            Some(old) if old.subject == subject => {}
            Some(old) => {
                shard.unlink(old.subject, key);
                shard.by_subject.entry(subject).or_default().push(key);
            }
        }
    }

    /// Removes an entry that was not used lately, of a shard that has many.
    fn make_room(&self, key: CacheKey) {
        // The new key's own bits serve as random numbers: it is a digest under a secret key.
        #[allow(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
        let random = |n: u32| (key.0 >> (16 * n)) as usize;
        let candidates = (1..=4).map(|n| random(n) % self.shards.len());
        let fullest = candidates.max_by_key(|shard| self.read(*shard).entries.len()).unwrap_or_default();
        // The few random picks may all have been empty, in a cache of few entries.
        let victim =
            std::iter::once(fullest).chain(0..self.shards.len()).find(|shard| !self.read(*shard).entries.is_empty());
        let Some(victim) = victim else { return };
        let mut shard = self.write(victim);
        let length = shard.entries.len();
        if length == 0 {
            return;
        }
        let start = random(5);
        let index = (0..4)
            .map(|step| start.wrapping_add(step) % length)
            .find(|index| shard.entries.get_index(*index).is_some_and(|(_, e)| !e.used.swap(false, Ordering::Relaxed)))
            .unwrap_or(start % length);
        if let Some(unlucky) = shard.entries.get_index(index).map(|(key, _)| *key) {
            shard.remove(unlucky);
            self.length.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Forgets what is known about a subject, and what look-ups under way will find out.
    pub fn forget(&self, group: &[u8; 16], subject: S) {
        let start = self.group_start(group);
        for shard in start..start + SPREAD {
            let mut shard = self.write(shard);
            shard.epoch += 1;
            for key in shard.by_subject.remove(&subject).unwrap_or_default() {
                if shard.entries.swap_remove(&key).is_some() {
                    self.length.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The same about a whole group (and whatever shares its shards).
    pub fn forget_group(&self, group: &[u8; 16]) {
        let start = self.group_start(group);
        for shard in start..start + SPREAD {
            self.clear_shard(shard);
        }
    }

    /// The same about everything.
    pub fn clear(&self) {
        for shard in 0..self.shards.len() {
            self.clear_shard(shard);
        }
    }

    fn clear_shard(&self, shard: usize) {
        let mut shard = self.write(shard);
        shard.epoch += 1;
        self.length.fetch_sub(shard.entries.len(), Ordering::Relaxed);
        shard.entries = IndexMap::default();
        shard.by_subject = HashMap::new();
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shuttle::{
        sync::{Arc, Mutex},
        thread,
    };

    const GROUP: [u8; 16] = [7; 16];

    fn key(n: u128) -> CacheKey {
        CacheKey(n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
    }

    fn filled(capacity: usize, count: u128) -> Cache<u128, u128> {
        let cache = Cache::new(capacity);
        for n in 0..count {
            let ticket = cache.ticket(&GROUP, key(n));
            cache.put(ticket, key(n), n / 2, n);
        }
        cache
    }

    #[test]
    fn what_is_put_is_got_until_it_is_forgotten() {
        shuttle::check_random(
            || {
                let cache = filled(100, 10);
                assert_eq!(cache.get(&GROUP, key(4)), Some(4));
                cache.forget(&GROUP, 2);
                assert_eq!((cache.get(&GROUP, key(4)), cache.get(&GROUP, key(5))), (None, None), "both secrets");
                assert_eq!((cache.get(&GROUP, key(6)), cache.len()), (Some(6), 8), "no other key's");
                cache.forget_group(&GROUP);
                assert_eq!((cache.get(&GROUP, key(6)), cache.len()), (None, 0));
            },
            1,
        );
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        shuttle::check_random(
            || {
                let cache = filled(50, 300);
                assert_eq!(cache.len(), 50);
                let held: usize = (0..300).filter(|n| cache.get(&GROUP, key(*n)).is_some()).count();
                assert_eq!(held, 50, "the count is true");
                cache.clear();
                assert!(cache.is_empty());
            },
            1,
        );
    }

    #[test]
    fn a_key_that_changes_hands_is_forgotten_with_its_last_owner() {
        shuttle::check_random(
            || {
                let cache = filled(10, 1);
                cache.put(cache.ticket(&GROUP, key(0)), key(0), 99, 1);
                cache.forget(&GROUP, 0);
                assert_eq!(cache.get(&GROUP, key(0)), Some(1));
                cache.forget(&GROUP, 99);
                assert_eq!((cache.get(&GROUP, key(0)), cache.len()), (None, 0));
            },
            1,
        );
    }

    /// A look-up and a revocation race; afterwards, does the cache still let the key in?
    /// `guarded: false` is the negative control: a ticket taken after the database answered,
    /// which is no guard at all.
    fn race(guarded: bool) {
        let cache: Arc<Cache<u128, bool>> = Arc::new(Cache::new(10));
        let database_says_active = Arc::new(Mutex::new(true));

        let (looker_cache, looker_database) = (cache.clone(), database_says_active.clone());
        let look_up = thread::spawn(move || {
            let early = looker_cache.ticket(&GROUP, key(1));
            let active = *looker_database.lock().unwrap();
            thread::yield_now(); // the answer travels
            let ticket = if guarded { early } else { looker_cache.ticket(&GROUP, key(1)) };
            looker_cache.put(ticket, key(1), 1, active);
        });
        let revoke = thread::spawn({
            let cache = cache.clone();
            move || {
                *database_says_active.lock().unwrap() = false; // commit
                cache.forget(&GROUP, 1);
                // 204: from here on, nobody may be let in by the cache.
                assert_ne!(cache.get(&GROUP, key(1)), Some(true), "revoked, and let in: after the acknowledgement");
            }
        });
        look_up.join().unwrap();
        revoke.join().unwrap();
        assert_ne!(cache.get(&GROUP, key(1)), Some(true), "revoked, and let in: put back");
    }

    #[test]
    fn a_look_up_never_puts_a_revoked_key_back() {
        shuttle::check_random(|| race(true), 2_000);
        // Few switches at bad places find this kind of fault, as the control below shows.
        shuttle::check_pct(|| race(true), 2_000, 2);
        shuttle::check_pct(|| race(true), 2_000, 3);
    }

    #[test]
    #[should_panic(expected = "revoked, and let in")]
    fn without_the_guard_it_would() {
        shuttle::check_pct(|| race(false), 2_000, 2);
    }
}
