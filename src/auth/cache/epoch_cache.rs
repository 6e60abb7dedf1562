//! A bounded cache that a concurrent lookup can never fill with a stale value.
//!
//! Three things keep stale values out:
//!
//! 1. *Invalidation.* Each change of a subject calls `EpochCache::invalidate`: this instance's own changes before they
//!    are acknowledged, those of other instances when the change feed delivers them.
//! 2. *Epochs.* A lookup takes an `EpochTicket` before it queries the database, and `EpochCache::put` drops the value
//!    if the epoch of its shard has changed since. `invalidate` increments the epoch under the same lock. So a lookup
//!    that began before a change cannot put its value back afterwards. The model in `tests` fails without the ticket.
//! 3. *The lease.* A value is used only if [`super::lease`] has been valid since before it was read.
//!
//! An entry belongs to a group (its tenant). A group is spread over `SPREAD` of the shards, so that changes of one
//! tenant do not stop caching for the others, and hot keys of one tenant do not share one lock. There are no negative
//! entries: a key that was just created on another instance works at once.

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

// In unit tests the locks are shuttle's, which tries interleavings. They work only inside `shuttle::check_*`.
#[cfg(test)]
use shuttle::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Groups of shards; a power of two.
const GROUPS: usize = 32;
/// Shards of a group; a power of two.
const SPREAD: usize = 8;

/// A cached value with its key.
#[derive(Debug)]
pub struct Entry<V> {
    key: CacheKey,
    /// Read since eviction last looked at it (the CLOCK algorithm).
    used: AtomicBool,
    value: V,
}

impl<V> Entry<V> {
    pub(crate) fn new(key: CacheKey, value: V) -> Arc<Self> {
        Arc::new(Self { key, used: AtomicBool::new(false), value })
    }
}

impl<V> Deref for Entry<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

/// The tables hold pointers only, so that the processor's caches hold the tables. Among hundreds of thousands of entries
/// a hit then waits for memory once, for the entry. (Tables with the hash's bits and the pointer in one cache line were
/// not faster.)
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

    /// An entry to evict: of four in a row, starting at a random place, the first that was not read lately.
    fn eviction_candidate(&self, start: usize) -> Option<CacheKey> {
        let buckets = self.entries.num_buckets();
        let places = (0..buckets).map(|step| start.wrapping_add(step) % buckets);
        let mut sample = places.filter_map(|place| self.entries.get_bucket(place)).take(4).peekable();
        let first = sample.peek().map(|entry| entry.key)?;
        Some(sample.find(|entry| !entry.used.swap(false, Ordering::Relaxed)).map_or(first, |entry| entry.key))
    }
}

/// The epoch of a shard before a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochTicket {
    shard: usize,
    epoch: u64,
}

/// A bounded cache. Each value is about a subject, by which it is invalidated.
pub(crate) struct EpochCache<S, V> {
    shards: Box<[RwLock<Shard<V>>]>,
    length: AtomicUsize,
    capacity: usize,
    subject: fn(CacheKey, &V) -> S,
    hasher: RandomState,
}

impl<S: Copy + Eq + Hash, V> EpochCache<S, V> {
    pub(crate) fn new(capacity: usize, subject: fn(CacheKey, &V) -> S) -> Self {
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

    /// Groups are our own ids and digests, so a plain multiplicative hash is enough: a client cannot choose them.
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

    /// Reads an entry. If changes are made elsewhere too, the caller must validate the result by a lease.
    pub(crate) fn get<R>(&self, group: &[u8; 16], key: CacheKey, read: impl FnOnce(&Arc<Entry<V>>) -> R) -> Option<R> {
        let shard = self.read(Self::shard(group, key));
        let entry = shard.get(key)?;
        if !entry.used.load(Ordering::Relaxed) {
            entry.used.store(true, Ordering::Relaxed);
        }
        Some(read(entry))
    }

    /// Must be taken before the lookup whose value [`Self::put`] gets.
    pub(crate) fn ticket(&self, group: &[u8; 16], key: CacheKey) -> EpochTicket {
        let shard = Self::shard(group, key);
        EpochTicket { shard, epoch: self.read(shard).epoch }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Caches an entry, unless something in its shard was invalidated since the ticket was taken.
    pub(crate) fn put(&self, ticket: EpochTicket, entry: Arc<Entry<V>>) {
        if self.capacity == 0 {
            return;
        }
        // A loop: other threads put entries meanwhile, or empty the shard that was chosen.
        while self.length.load(Ordering::Relaxed) >= self.capacity && self.evict_one(ticket.shard, entry.key) {}
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

    /// Evicts an entry that was not read lately from the fullest of four random shards and `own`, the shard of the new
    /// `key`: all entries may be in a few shards. `false`: the cache is empty.
    fn evict_one(&self, own: usize, key: CacheKey) -> bool {
        let candidates = (1..=4).map(|n| key.random(n) % self.shards.len()).chain([own]);
        let fullest = candidates.max_by_key(|shard| self.read(*shard).entries.len()).unwrap_or_default();
        // In a cache of few entries all of these may be empty.
        let victim =
            std::iter::once(fullest).chain(0..self.shards.len()).find(|shard| !self.read(*shard).entries.is_empty());
        let Some(victim) = victim else { return false };
        let mut shard = self.write(victim);
        if let Some(candidate) = shard.eviction_candidate(key.random(5))
            && let Some(removed) = shard.remove(candidate)
        {
            shard.unlink(self.subject_hash(&removed), &removed);
            self.length.fetch_sub(1, Ordering::Relaxed);
        }
        true
    }

    /// Removes the entries of a subject, and keeps lookups in flight from putting theirs.
    pub(crate) fn invalidate(&self, group: &[u8; 16], subject: S) {
        let hash = self.hasher.hash_one(subject);
        let start = Self::group_start(group);
        for shard in start..start + SPREAD {
            let mut guard = self.write(shard);
            let shard = &mut *guard;
            shard.epoch += 1;
            while let Ok(link) = shard.by_subject.find_entry(hash, |entry| self.subject(entry) == subject) {
                let (removed, _) = link.remove();
                if shard.remove(removed.key).is_some() {
                    self.length.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Removes all entries, and keeps lookups in flight from putting theirs.
    pub(crate) fn clear(&self) {
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
        drop(old); // frees many allocations, outside the lock
    }

    pub(crate) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
