//! The recorder: notes what secrets are used for, without ever holding up a request.
//!
//! Each secret that is remembered has a [`Tally`]. A use is counted there; the first one since its
//! figures were last taken also puts the tally into a bounded channel. So however often a key is used, it
//! costs one message in a second or more. Where the channel is full, the next use tries again, and the
//! miss is counted. One task of the [`Writer`] collects the tallies and appends what they hold to the database,
//! each second where that is little, and within five where it is much, in batches of thousands of keys and
//! hundreds of tenants; at the end of the process it appends what is left. Each batch has a number, under which
//! it is noted once. What was noted is summed up, tenant by tenant, once a minute or so, and before anybody
//! reads a tenant's figures ([`Store::sum_up_usage`]).

mod flusher;
mod sums;
mod tally;
mod writer;

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::Arc,
};

use chrono::TimeDelta;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{
        counter::Counter,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};
use tokio::sync::mpsc;

pub use self::{
    tally::{Tallied, Tally},
    writer::Writer,
};
use crate::{
    domain::{Clock, KeyHint, Timestamp},
    store::{SecretReuse, Store},
};

/// Tallies that may wait to be collected.
const CHANNEL: usize = 65_536;
/// Uses of dead secrets that may wait to be written.
const REUSE_CHANNEL: usize = 1_024;
const MAX_USER_AGENT_CHARS: usize = 200;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The key had expired.
    Expired,
    /// Its scopes did not suffice. The request was counted when the key was accepted.
    Scope,
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<'a> {
    /// Its address, as far as trusted proxies tell it.
    pub address: Option<IpAddr>,
    /// Its program, as that says of itself.
    pub user_agent: Option<&'a [u8]>,
}

impl Client<'_> {
    /// No more of what it says than could ever be kept.
    fn user_agent(&self) -> Option<&[u8]> {
        self.user_agent.map(|agent| &agent[..agent.len().min(4 * MAX_USER_AGENT_CHARS)])
    }
}

/// Takes notes. Clones share the channel.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::Sender<Arc<dyn Tallied>>,
    reuses: mpsc::Sender<SecretReuse>,
    hasher: RandomState,
    counters: Counters,
}

#[derive(Clone, Default)]
struct Counters {
    dropped: Counter,
    flushes: Counter,
    failed_flushes: Counter,
    failed_sums: Counter,
    reuses: Counter,
    waiting: Gauge,
}

/// The two ends. Hours that are older than `retention` are removed.
#[must_use]
pub fn recorder(store: Store, clock: Clock, retention: TimeDelta) -> (Recorder, Writer) {
    let (notes, to_collect) = mpsc::channel(CHANNEL);
    let (reuses, to_tell) = mpsc::channel(REUSE_CHANNEL);
    let counters = Counters::default();
    let writer = Writer::new(to_collect, to_tell, store, clock, retention, counters.clone());
    (Recorder { notes, reuses, hasher: RandomState::new(), counters }, writer)
}

impl Recorder {
    /// Notes a request with a secret whose key works; never waits.
    pub fn used<T: Tallied>(&self, secret: &Arc<T>, at: Timestamp, client: Client<'_>) {
        secret.tally().used(at, client, self.hash(client));
        self.note(secret);
    }

    /// Notes that a request was refused.
    pub fn denied<T: Tallied>(&self, secret: &Arc<T>, at: Timestamp, why: Denied) {
        secret.tally().denied(at, why);
        self.note(secret);
    }

    #[allow(clippy::cast_possible_truncation, reason = "some bits of a hash")]
    fn hash(&self, client: Client<'_>) -> u32 {
        (self.hasher.hash_one((client.address, client.user_agent())) as u32).max(1)
    }

    fn note<T: Tallied>(&self, secret: &Arc<T>) {
        if secret.tally().is_to_be_noted() && self.notes.try_send(secret.clone()).is_err() {
            secret.tally().unnote();
            self.counters.dropped.inc();
        }
    }

    /// Notes that somebody still uses a secret that does not work any more: at most once an hour
    /// it becomes an event. Never waits.
    pub fn reused(&self, tally: &Tally, hint: KeyHint, at: Timestamp, address: Option<IpAddr>, request_id: &str) {
        self.counters.reuses.inc();
        // This instance may have told it in this hour; the database knows of the others.
        if !tally.tells_reuse(at) {
            return;
        }
        let reuse = SecretReuse {
            tenant: tally.tenant,
            key: tally.key(),
            lookup_digest: tally.lookup_digest(),
            hint,
            at,
            address,
            request_id: request_id.to_owned(),
        };
        if self.reuses.try_send(reuse).is_err() {
            tally.forget_reuse();
            self.counters.dropped.inc();
        }
    }

    /// Names what it counts in the registry.
    pub fn register(&self, registry: &mut Registry) {
        let counters = self.counters.clone();
        registry.register("rally_usage_notes_dropped", "Uses of API keys that were not noted", counters.dropped);
        registry.register("rally_usage_flushes", "Batches of usage that were written", counters.flushes);
        let help = "Batches of usage that could not be written, and were tried again";
        registry.register("rally_usage_flushes_failed", help, counters.failed_flushes);
        let help = "Times that noted usage could not be summed up; its next reader or the next minute tries again";
        registry.register("rally_usage_sums_failed", help, counters.failed_sums);
        registry.register("rally_usage_waiting", "Figures that wait to be written", counters.waiting);
        let help = "Requests with a secret that was rotated away or whose key was revoked";
        registry.register("rally_dead_secret_uses", help, counters.reuses);
        registry.register_collector(Box::new(Channel(self.notes.downgrade())));
    }
}

/// How full the channel is. Does not keep it open.
#[derive(Debug)]
struct Channel(mpsc::WeakSender<Arc<dyn Tallied>>);

impl Collector for Channel {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Some(notes) = self.0.upgrade() else { return Ok(()) };
        let queued = notes.max_capacity() - notes.capacity();
        for (name, help, value) in [
            ("rally_usage_notes_queued", "Secrets whose use waits to be collected", queued),
            ("rally_usage_notes_queue_capacity", "As many at most; further uses are not noted", notes.max_capacity()),
        ] {
            let gauge = ConstGauge::new(u64::try_from(value).unwrap_or(u64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}
