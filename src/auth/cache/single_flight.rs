//! Lookups in the database through the cache: epochs, lease and single flight.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use prometheus_client::metrics::counter::Counter;
use tracing::Instrument as _;

use super::{
    epoch_cache::{Entry, EpochCache, EpochTicket},
    key::CacheKey,
    lease::{Lease, LeaseSnapshot},
};
use crate::auth::error::Error;

/// A lookup in the database. Boxed, since it is passed on several times and holds kilobytes of state.
pub type LookupFuture<V> = BoxFuture<'static, Result<V, Error>>;

type InFlight<V> = Shared<BoxFuture<'static, Result<Arc<Entry<V>>, Error>>>;

/// A cache in front of lookups in the database.
///
/// While the lease is valid, results are cached, and concurrent misses of one key share one lookup. Without the lease
/// every request looks up by itself: only a lookup that starts after the request began is sure to see every change
/// that was acknowledged before it.
pub struct CachedLookup<S, V> {
    cache: EpochCache<S, V>,
    lease: Arc<Lease>,
    in_flight: Mutex<HashMap<CacheKey, (EpochTicket, InFlight<V>)>>,
    // Last, and so away from the fields that hardly ever change: these change with each request.
    hits: Counter,
    misses: Counter,
}

impl<S, V> CachedLookup<S, V>
where
    S: Copy + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Caches at most `capacity` results. `subject` is the id that invalidations name an entry by.
    pub(super) fn new(capacity: usize, subject: fn(CacheKey, &V) -> S, lease: Arc<Lease>) -> Self {
        let (hits, misses) = (Counter::default(), Counter::default());
        Self { cache: EpochCache::new(capacity, subject), lease, in_flight: Mutex::default(), hits, misses }
    }

    /// Reads an entry. The result must be validated, and counts as a hit only by [`Self::count_hit`].
    pub(crate) fn read<R>(
        &self,
        group: &[u8; 16],
        key: CacheKey,
        read: impl FnOnce(&Arc<Entry<V>>) -> R,
    ) -> Option<Unvalidated<R>> {
        let snapshot = self.lease.snapshot();
        self.cache.get(group, key, read).map(|value| Unvalidated { value, snapshot })
    }

    pub(crate) fn count_hit(&self) {
        self.hits.inc();
    }

    /// The valid entry, if there is one; counts it as a hit.
    pub fn get(&self, group: &[u8; 16], key: CacheKey) -> Option<Arc<Entry<V>>> {
        let entry = self.read(group, key, Arc::clone)?.validate(&self.lease)?;
        self.count_hit();
        Some(entry)
    }

    /// Looks up what was a miss, in a task of its own that goes on if the caller is dropped. Errors are not cached, and
    /// "not found" is an error.
    pub async fn fetch(
        self: &Arc<Self>,
        group: &[u8; 16],
        key: CacheKey,
        lookup: impl FnOnce() -> LookupFuture<V>,
    ) -> Result<Arc<Entry<V>>, Error> {
        self.misses.inc();
        let ticket = self.cache.ticket(group, key);
        if !self.lease.is_valid() {
            let uncached = lookup().map(move |found| found.map(|value| Entry::new(key, value)));
            return tokio::spawn(uncached.in_current_span()).await.unwrap_or(Err(Error::Panicked));
        }
        self.join_or_start(key, ticket, lookup).await
    }

    async fn join_or_start(
        self: &Arc<Self>,
        key: CacheKey,
        ticket: EpochTicket,
        lookup: impl FnOnce() -> LookupFuture<V>,
    ) -> Result<Arc<Entry<V>>, Error> {
        let joined = {
            let mut in_flight = self.in_flight();
            match in_flight.get(&key) {
                // A lookup of an older epoch is not joined: its result may be from before a revocation that was
                // acknowledged before this request began.
                Some((started, other)) if *started == ticket => other.clone(),
                _ => {
                    let own = self.start(key, ticket, lookup());
                    in_flight.insert(key, (ticket, own.clone()));
                    own
                }
            }
        };
        joined.await
    }

    fn start(self: &Arc<Self>, key: CacheKey, ticket: EpochTicket, lookup: LookupFuture<V>) -> InFlight<V> {
        let table = self.clone();
        let task = tokio::spawn(
            async move {
                // Also if the lookup panics: otherwise nobody could look the key up again.
                let _guard = InFlightGuard { table: &*table, key, ticket };
                let entry = Entry::new(key, lookup.await?);
                table.cache.put(ticket, entry.clone());
                Ok(entry)
            }
            .in_current_span(),
        );
        async move { task.await.unwrap_or(Err(Error::Panicked)) }.boxed().shared()
    }

    pub(super) fn invalidate(&self, group: &[u8; 16], subject: S) {
        self.cache.invalidate(group, subject);
    }

    pub(super) fn clear(&self) {
        self.cache.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.cache.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.cache.capacity()
    }

    pub(crate) fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }
}

impl<S, V> CachedLookup<S, V> {
    fn in_flight(&self) -> MutexGuard<'_, HashMap<CacheKey, (EpochTicket, InFlight<V>)>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was read from the cache, not yet validated by the lease. One validation, which reads the clock once, is enough
/// for several values.
#[derive(Clone, Copy)]
pub struct Unvalidated<V> {
    value: V,
    /// Taken before the first read.
    snapshot: LeaseSnapshot,
}

impl<V> Unvalidated<V> {
    /// `None`: the value may be stale.
    pub(super) fn validate(self, lease: &Lease) -> Option<V> {
        lease.valid_since(self.snapshot).then_some(self.value)
    }

    /// The value before validation: good for the next read, and for nothing else.
    pub(crate) const fn unvalidated(&self) -> &V {
        &self.value
    }

    /// Both values; `other` was read after this one.
    pub(crate) fn and<W>(self, other: Unvalidated<W>) -> Unvalidated<(V, W)> {
        Unvalidated { value: (self.value, other.value), snapshot: self.snapshot }
    }
}

/// Removes a lookup from `in_flight` when it ends, unless a newer one has replaced it.
struct InFlightGuard<'a, S, V> {
    table: &'a CachedLookup<S, V>,
    key: CacheKey,
    ticket: EpochTicket,
}

impl<S, V> Drop for InFlightGuard<'_, S, V> {
    fn drop(&mut self) {
        let mut in_flight = self.table.in_flight();
        if in_flight.get(&self.key).is_some_and(|(ticket, _)| *ticket == self.ticket) {
            in_flight.remove(&self.key);
        }
    }
}
