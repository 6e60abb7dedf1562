//! The recorder: notes which secrets were used, without ever holding up a request.
//!
//! A request leaves a note in a bounded channel and goes on; where the channel is full, the note
//! is dropped and counted. One task folds the notes, the newest per secret, and writes them each
//! second in one statement. At the end of the process it writes what is left.

use std::{collections::HashMap, time::Duration};

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

/// Notes that may wait to be folded.
const CHANNEL: usize = 65_536;
/// Secrets whose use may wait to be written, while the database is away say.
const MAX_WAITING: usize = 500_000;
/// Secrets per statement.
const BATCH: usize = 5_000;
const FLUSH: Duration = Duration::from_secs(1);

/// Takes notes. Clones share the channel.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::Sender<Use>,
    dropped: Counter,
}

/// Folds and writes notes.
pub struct Writer {
    notes: mpsc::Receiver<Use>,
    waiting: HashMap<(TenantId, LookupDigest), Timestamp>,
    store: Store,
    dropped: Counter,
}

/// The two ends. The writer ends when the last recorder is gone.
#[must_use]
pub fn recorder(store: Store) -> (Recorder, Writer) {
    let (sender, receiver) = mpsc::channel(CHANNEL);
    let dropped = Counter::default();
    let writer = Writer { notes: receiver, waiting: HashMap::new(), store, dropped: dropped.clone() };
    (Recorder { notes: sender, dropped }, writer)
}

impl Recorder {
    /// Notes a use; never waits.
    pub fn used(&self, tenant: TenantId, lookup_digest: LookupDigest, at: Timestamp) {
        if self.notes.try_send(Use { tenant, lookup_digest, at }).is_err() {
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
                    Some(note) => self.fold(note),
                    None => break,
                },
                _ = ticks.tick() => self.flush().await,
            }
        }
        while let Ok(note) = self.notes.try_recv() {
            self.fold(note);
        }
        self.flush().await;
    }

    fn fold(&mut self, note: Use) {
        let secret = (note.tenant, note.lookup_digest);
        if self.waiting.len() >= MAX_WAITING && !self.waiting.contains_key(&secret) {
            self.dropped.inc();
            return;
        }
        let at = self.waiting.entry(secret).or_insert(note.at);
        *at = note.at.max(*at);
    }

    /// Writes what waits. What cannot be written waits on; the channel meanwhile takes notes up
    /// to its bound.
    async fn flush(&mut self) {
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
