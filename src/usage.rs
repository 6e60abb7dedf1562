//! The recorder: notes which secrets were used, without ever holding up a request.
//!
//! Each secret that is remembered has a [`Tally`]. A use is written there; the first one since
//! the last flush also puts the tally into a bounded channel. So however often a key is used, it
//! costs one message a second. Where the channel is full, the next use tries again, and the
//! miss is counted. One task collects the tallies and writes them each second in one statement;
//! at the end of the process it writes what is left.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use chrono::DateTime;
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::warn;

use crate::{
    domain::{LookupDigest, TenantId, Timestamp},
    store::{Store, Use},
};

/// Tallies that may wait to be collected.
const CHANNEL: usize = 65_536;
/// Secrets whose use may wait to be written, while the database is away say.
const MAX_WAITING: usize = 500_000;
/// Secrets per statement.
const BATCH: usize = 5_000;
const FLUSH: Duration = Duration::from_secs(1);

/// What a secret was used for since the last flush.
#[derive(Debug)]
pub struct Tally {
    tenant: TenantId,
    lookup_digest: LookupDigest,
    last_used_micros: AtomicI64,
    /// Whether it is in the channel, or was collected and not flushed yet.
    noted: AtomicBool,
}

impl Tally {
    /// Of a secret that was not used yet.
    #[must_use]
    pub fn new(tenant: TenantId, lookup_digest: LookupDigest) -> Self {
        Self { tenant, lookup_digest, last_used_micros: AtomicI64::new(i64::MIN), noted: AtomicBool::new(false) }
    }
}

/// Takes notes. Clones share the channel.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::Sender<Arc<Tally>>,
    dropped: Counter,
}

/// Collects and writes notes.
pub struct Writer {
    notes: mpsc::Receiver<Arc<Tally>>,
    collected: Vec<Arc<Tally>>,
    waiting: HashMap<(TenantId, LookupDigest), Timestamp>,
    store: Store,
    dropped: Counter,
}

/// The two ends. The writer ends when the last recorder is gone.
#[must_use]
pub fn recorder(store: Store) -> (Recorder, Writer) {
    let (sender, receiver) = mpsc::channel(CHANNEL);
    let dropped = Counter::default();
    let writer =
        Writer { notes: receiver, collected: Vec::new(), waiting: HashMap::new(), store, dropped: dropped.clone() };
    (Recorder { notes: sender, dropped }, writer)
}

impl Recorder {
    /// Notes a use; never waits.
    pub fn used(&self, tally: &Arc<Tally>, at: Timestamp) {
        tally.last_used_micros.fetch_max(at.timestamp_micros(), Ordering::Relaxed);
        if !tally.noted.swap(true, Ordering::AcqRel) && self.notes.try_send(tally.clone()).is_err() {
            tally.noted.store(false, Ordering::Release);
            self.dropped.inc();
        }
    }

    /// Names what it counts in the registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("rally_usage_notes_dropped", "Uses of API keys that were not noted", self.dropped.clone());
    }
}

impl Writer {
    /// Works until `stop` is done, and then writes what is left.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut ticks = interval(FLUSH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => break,
                note = self.notes.recv() => match note {
                    Some(tally) => self.collected.push(tally),
                    None => break,
                },
                _ = ticks.tick() => self.flush().await,
            }
        }
        while let Ok(tally) = self.notes.try_recv() {
            self.collected.push(tally);
        }
        self.flush().await;
    }

    /// Takes the figures out of the tallies, the newest per secret.
    fn take_figures(&mut self) {
        for tally in self.collected.drain(..) {
            // In this order: a use that comes in between is noted again, at worst twice.
            tally.noted.store(false, Ordering::Release);
            let micros = tally.last_used_micros.load(Ordering::Acquire);
            let Some(at) = DateTime::from_timestamp_micros(micros) else { continue };
            let secret = (tally.tenant, tally.lookup_digest);
            if self.waiting.len() >= MAX_WAITING && !self.waiting.contains_key(&secret) {
                self.dropped.inc();
                continue;
            }
            let newest = self.waiting.entry(secret).or_insert(at);
            *newest = at.max(*newest);
        }
    }

    /// Writes what waits. What cannot be written waits on; the channel meanwhile takes notes up
    /// to its bound.
    async fn flush(&mut self) {
        self.take_figures();
        while !self.waiting.is_empty() {
            let batch: Vec<Use> = self
                .waiting
                .iter()
                .take(BATCH)
                .map(|((tenant, lookup_digest), at)| Use { tenant: *tenant, lookup_digest: *lookup_digest, at: *at })
                .collect();
            if let Err(error) = self.store.record_use(&batch).await {
                warn!(%error, waiting = self.waiting.len(), "cannot write when API keys were last used; trying again");
                return;
            }
            for used in &batch {
                self.waiting.remove(&(used.tenant, used.lookup_digest));
            }
        }
    }
}
