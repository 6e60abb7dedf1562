//! What was found out about credentials and tenants, for as long as it is known to be true.
//!
//! Three things keep a stale verdict out:
//!
//! 1. *Eviction.* Whoever learns of a change (this instance before it acknowledges one of its
//!    own, the change feed for others') calls [`EpochCache::forget`].
//! 2. *Epochs.* A look-up takes a [`EpochTicket`] before it asks the database, and what it found is
//!    kept only if the epoch of its shard is still the ticket's. `forget` counts the epoch up
//!    under the same lock. So a look-up that began before a change can never put its answer
//!    back after it; a model in `tests` shows that it could without the guard.
//! 3. *The lease.* Nothing that is read from it is believed unless [`super::lease`] held before, and still does.
//!
//! An entry belongs to a group (a tenant's, by hash), and a group is spread over shards, so that
//! one tenant's changes do not stop caching for all, and one tenant's hot keys do not all meet at
//! one lock. There are no negative entries: a key just made on another instance works at once.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use hashbrown::{HashTable, hash_table};

use super::key::{CacheKey, halves};

#[cfg(not(test))]
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

// In unit tests, locks are those of a scheduler that tries interleavings.
#[cfg(test)]
use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Powers of two.
const GROUPS: usize = 32;
const SPREAD: usize = 8;

/// What is remembered, and where.
#[derive(Debug)]
pub struct Entry<V> {
    key: CacheKey,
    /// Used since the hand came by last (the CLOCK algorithm).
    used: AtomicBool,
    value: V,
}

impl<V> Entry<V> {
    /// To be remembered there.
    #[must_use]
    pub fn new(key: CacheKey, value: V) -> Arc<Self> {
        Arc::new(Self { key, used: AtomicBool::new(false), value })
    }
}

impl<V> Deref for Entry<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

/// Among hundreds of thousands of entries, what a hit costs is to wait for memory, once for each place that it looks
/// into. These tables are so small that the processor's caches hold them; the entry itself is the one place beyond.
/// (Tables that have a hash's bits and the pointer in one line of the cache were no faster.)
struct Shard<V> {
    epoch: u64,
    entries: HashTable<Arc<Entry<V>>>,
    by_subject: HashTable<Arc<Entry<V>>>,
}

impl<V> Default for Shard<V> {
    fn default() -> Self {
        Self { epoch: 0, entries: HashTable::new(), by_subject: HashTable::new() }
    }
}

impl<V> Shard<V> {
    fn get(&self, key: CacheKey) -> Option<&Arc<Entry<V>>> {
        self.entries.find(key.hash(), |entry| entry.key == key)
    }

    fn remove(&mut self, key: CacheKey) -> Option<Arc<Entry<V>>> {
        let entry = self.entries.find_entry(key.hash(), |entry| entry.key == key).ok()?;
        Some(entry.remove().0)
    }

    fn unlink(&mut self, hash: u64, removed: &Arc<Entry<V>>) {
        if let Ok(link) = self.by_subject.find_entry(hash, |entry| Arc::ptr_eq(entry, removed)) {
            link.remove();
        }
    }

    /// An entry that was not used lately, of some that follow one another from anywhere.
    fn victim(&self, anywhere: usize) -> Option<CacheKey> {
        let buckets = self.entries.num_buckets();
        let places = (0..buckets).map(|step| anywhere.wrapping_add(step) % buckets);
        let mut some = places.filter_map(|place| self.entries.get_bucket(place)).take(4).peekable();
        let first = some.peek().map(|entry| entry.key)?;
        Some(some.find(|entry| !entry.used.swap(false, Ordering::Relaxed)).map_or(first, |entry| entry.key))
    }
}

/// The right to put an answer into the cache, if nothing has changed since it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochTicket {
    shard: usize,
    epoch: u64,
}

/// A bounded cache of values about subjects.
pub struct EpochCache<S, V> {
    shards: Box<[RwLock<Shard<V>>]>,
    length: AtomicUsize,
    capacity: usize,
    subject: fn(CacheKey, &V) -> S,
    hasher: RandomState,
}

impl<S: Copy + Eq + Hash, V> EpochCache<S, V> {
    /// A cache of at most so many entries. `subject` tells what one is about.
    #[must_use]
    pub fn new(capacity: usize, subject: fn(CacheKey, &V) -> S) -> Self {
        Self {
            shards: std::iter::repeat_with(RwLock::default).take(GROUPS * SPREAD).collect(),
            length: AtomicUsize::new(0),
            capacity,
            subject,
            hasher: RandomState::new(),
        }
    }

    fn read(&self, shard: usize) -> RwLockReadGuard<'_, Shard<V>> {
        self.shards[shard].read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self, shard: usize) -> RwLockWriteGuard<'_, Shard<V>> {
        self.shards[shard].write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Groups are ids or digests of ours, so whoever could choose one has better things to do. All of a product's
    /// low bits take part in its highest.
    fn group_start(group: &[u8; 16]) -> usize {
        let [one, other] = halves(*group);
        #[allow(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
        let group = ((one ^ other).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - GROUPS.ilog2())) as usize;
        group * SPREAD
    }

    fn shard(group: &[u8; 16], key: CacheKey) -> usize {
        Self::group_start(group) + key.random(0) % SPREAD
    }

    fn subject(&self, entry: &Entry<V>) -> S {
        (self.subject)(entry.key, &entry.value)
    }

    fn subject_hash(&self, entry: &Entry<V>) -> u64 {
        self.hasher.hash_one(self.subject(entry))
    }

    /// What is to be read of what is known. Only to be believed under a lease, where changes are made elsewhere too.
    pub fn get<R>(&self, group: &[u8; 16], key: CacheKey, read: impl FnOnce(&Arc<Entry<V>>) -> R) -> Option<R> {
        let shard = self.read(Self::shard(group, key));
        let entry = shard.get(key)?;
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(read(entry))
    }

    /// To be taken before the database is asked.
    pub fn ticket(&self, group: &[u8; 16], key: CacheKey) -> EpochTicket {
        let shard = Self::shard(group, key);
        EpochTicket { shard, epoch: self.read(shard).epoch }
    }

    /// How many entries there are at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Whether nothing has changed since the ticket was taken.
    pub fn is_current(&self, ticket: EpochTicket) -> bool {
        self.read(ticket.shard).epoch == ticket.epoch
    }

    /// Keeps what the database said, unless something has changed since the ticket was taken.
    pub fn put(&self, ticket: EpochTicket, entry: Arc<Entry<V>>) {
        if self.capacity == 0 {
            return;
        }
        // Each time: others may have put something beyond it meanwhile, or emptied what was to give room.
        while self.length.load(Ordering::Relaxed) >= self.capacity && self.make_room(ticket.shard, entry.key) {}
        let (key, hash) = (entry.key, self.subject_hash(&entry));
        let mut guard = self.write(ticket.shard);
        let shard = &mut *guard;
        if shard.epoch != ticket.epoch {
            return;
        }
        match shard.entries.entry(key.hash(), |other| other.key == key, |other| other.key.hash()) {
            hash_table::Entry::Vacant(place) => {
                place.insert(entry.clone());
                self.length.fetch_add(1, Ordering::Relaxed);
            }
            hash_table::Entry::Occupied(mut place) => {
                let old = std::mem::replace(place.get_mut(), entry.clone());
                shard.unlink(self.subject_hash(&old), &old);
            }
        }
        shard.by_subject.insert_unique(hash, entry, |other| self.subject_hash(other));
    }

    /// Removes an entry that was not used lately, of a shard that has many: some random ones are looked at, and the
    /// one that is to take the key, since all entries may be in few shards. Tells whether there was an entry.
    fn make_room(&self, own: usize, key: CacheKey) -> bool {
        let candidates = (1..=4).map(|n| key.random(n) % self.shards.len()).chain([own]);
        let fullest = candidates.max_by_key(|shard| self.read(*shard).entries.len()).unwrap_or_default();
        // All of them may be empty, in a cache of few entries.
        let victim =
            std::iter::once(fullest).chain(0..self.shards.len()).find(|shard| !self.read(*shard).entries.is_empty());
        let Some(victim) = victim else { return false };
        let mut shard = self.write(victim);
        // Somebody else may have emptied it meanwhile; then there is another.
        if let Some(unlucky) = shard.victim(key.random(5))
            && let Some(removed) = shard.remove(unlucky)
        {
            shard.unlink(self.subject_hash(&removed), &removed);
            self.length.fetch_sub(1, Ordering::Relaxed);
        }
        true
    }

    /// Forgets what is known about a subject, and what look-ups under way will find out.
    pub fn forget(&self, group: &[u8; 16], subject: S) {
        let hash = self.hasher.hash_one(subject);
        let start = Self::group_start(group);
        for shard in start..start + SPREAD {
            let mut guard = self.write(shard);
            let shard = &mut *guard;
            shard.epoch += 1;
            // A key has one secret, or two.
            while let Ok(link) = shard.by_subject.find_entry(hash, |entry| self.subject(entry) == subject) {
                let (forgotten, _) = link.remove();
                if shard.remove(forgotten.key).is_some() {
                    self.length.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The same about a whole group (and whatever shares its shards).
    pub fn forget_group(&self, group: &[u8; 16]) {
        let start = Self::group_start(group);
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
        self.length.fetch_sub(shard.entries.len(), Ordering::Relaxed);
        let emptied = Shard { epoch: shard.epoch + 1, ..Shard::default() };
        let old = std::mem::replace(&mut *shard, emptied);
        drop(shard);
        drop(old); // many allocations to free, which nobody has to wait for
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
mod tests;
