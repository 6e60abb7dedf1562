//! A look-up that remembers: cache, lease and single flight in one.

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
    lease::{Lease, Term},
};
use crate::auth::error::Error;

/// What the database is asked. In a box, since it is handed on often, and has kilobytes of room for what
/// it waits for.
pub type Question<V> = BoxFuture<'static, Result<V, Error>>;

type InFlight<V> = Shared<BoxFuture<'static, Result<Arc<Entry<V>>, Error>>>;

/// Where an answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was remembered.
    Cache,
    /// The database was asked.
    Database,
}

/// What the database said about subjects, as long as it may be trusted.
///
/// While the lease holds, an answer is remembered, and requests that miss at once share one
/// question. Without it every request asks for itself, since only a question asked after a
/// request began is sure to see what was acknowledged before it.
pub struct CachedLookup<S, V> {
    cache: EpochCache<S, V>,
    lease: Arc<Lease>,
    flights: Mutex<HashMap<CacheKey, (EpochTicket, InFlight<V>)>>,
    /// Apart from the rest in memory: they change with each request, and the rest hardly ever.
    hits: Counter,
    misses: Counter,
}

impl<S, V> CachedLookup<S, V>
where
    S: Copy + Eq + Hash + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// Remembers at most so many answers, under that lease. `subject` tells what one is about.
    #[must_use]
    pub fn new(capacity: usize, subject: fn(CacheKey, &V) -> S, lease: Arc<Lease>) -> Self {
        let (hits, misses) = (Counter::default(), Counter::default());
        Self { cache: EpochCache::new(capacity, subject), lease, flights: Mutex::default(), hits, misses }
    }

    /// What is to be read of what is remembered. Whoever answers a question by it says so ([`CachedLookup::count_hit`]).
    pub fn read<R>(
        &self,
        group: &[u8; 16],
        key: CacheKey,
        read: impl FnOnce(&Arc<Entry<V>>) -> R,
    ) -> Option<Unvalidated<R>> {
        let term = self.lease.term();
        self.cache.get(group, key, read).map(|value| Unvalidated { value, term })
    }

    /// What is remembered, and may be trusted now.
    pub fn peek(&self, group: &[u8; 16], key: CacheKey) -> Option<Arc<Entry<V>>> {
        self.read(group, key, Arc::clone)?.vouched(&self.lease)
    }

    /// A question was answered by what is remembered.
    pub fn count_hit(&self) {
        self.hits.inc();
    }

    /// What is remembered; else what `ask` finds out, in a task of its own that ends whatever
    /// becomes of the caller. Errors are not remembered, a "no" included.
    pub async fn get_or_ask(
        self: &Arc<Self>,
        group: &[u8; 16],
        key: CacheKey,
        ask: impl FnOnce() -> Question<V>,
    ) -> Result<(Arc<Entry<V>>, Source), Error> {
        if let Some(value) = self.peek(group, key) {
            self.count_hit();
            return Ok((value, Source::Cache));
        }
        self.misses.inc();
        let ticket = self.cache.ticket(group, key);
        if !self.lease.holds() {
            let asking = ask().map(move |answer| answer.map(|value| Entry::new(key, value)));
            let flight = tokio::spawn(asking.in_current_span());
            return flight.await.unwrap_or(Err(Error::Panicked)).map(|value| (value, Source::Database));
        }
        self.join_or_start(key, ticket, ask).await.map(|value| (value, Source::Database))
    }

    async fn join_or_start(
        self: &Arc<Self>,
        key: CacheKey,
        ticket: EpochTicket,
        ask: impl FnOnce() -> Question<V>,
    ) -> Result<Arc<Entry<V>>, Error> {
        let flight = {
            let mut flights = self.flights();
            match flights.get(&key) {
                // A question that was asked before the last change is not joined: its answer may
                // be from before a revocation that was acknowledged before this request began.
                Some((asked, flight)) if *asked == ticket => flight.clone(),
                _ => {
                    let flight = self.start(key, ticket, ask());
                    flights.insert(key, (ticket, flight.clone()));
                    flight
                }
            }
        };
        flight.await
    }

    fn start(self: &Arc<Self>, key: CacheKey, ticket: EpochTicket, asking: Question<V>) -> InFlight<V> {
        let known = self.clone();
        let task = tokio::spawn(
            async move {
                // Also when `asking` panics, or else nobody could ask again.
                let _landing = Landing { known: &*known, key, ticket };
                let entry = Entry::new(key, asking.await?);
                known.cache.put(ticket, entry.clone());
                Ok(entry)
            }
            .in_current_span(),
        );
        async move { task.await.unwrap_or(Err(Error::Panicked)) }.boxed().shared()
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<CacheKey, (EpochTicket, InFlight<V>)>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something about the subject has changed.
    pub fn forget(&self, group: &[u8; 16], subject: S) {
        self.cache.forget(group, subject);
    }

    /// Anything may have changed.
    pub fn clear(&self) {
        self.cache.clear();
    }

    /// How many answers are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cache.len()
    }

    /// How many are remembered at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.cache.capacity()
    }

    /// How many questions were answered by what was remembered, and how many were not.
    #[must_use]
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cache.is_empty()
    }
}

/// What was read, and may be trusted only while the term of the lease lasts that was known before
/// ([`Lease::still_holds`]). Of several things that were read, one question vouches for all: it costs a look at
/// the clock.
#[derive(Clone, Copy)]
pub struct Unvalidated<V> {
    value: V,
    term: Term,
}

impl<V> Unvalidated<V> {
    /// What may be trusted now.
    pub fn vouched(self, lease: &Lease) -> Option<V> {
        lease.still_holds(self.term).then_some(self.value)
    }

    /// To go on reading by it.
    pub const fn untrusted(&self) -> &V {
        &self.value
    }

    /// Both, the other one having been read after this one.
    pub fn and<W>(self, other: Unvalidated<W>) -> Unvalidated<(V, W)> {
        Unvalidated { value: (self.value, other.value), term: self.term }
    }
}

/// Ends a flight, unless a newer one has taken its place.
struct Landing<'a, S, V> {
    known: &'a CachedLookup<S, V>,
    key: CacheKey,
    ticket: EpochTicket,
}

impl<S, V> Drop for Landing<'_, S, V> {
    fn drop(&mut self) {
        let mut flights = self.known.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(&self.key).is_some_and(|(ticket, _)| *ticket == self.ticket) {
            flights.remove(&self.key);
        }
    }
}
