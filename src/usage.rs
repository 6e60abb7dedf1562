//! The recorder: notes what secrets are used for, without ever holding up a request.
//!
//! Each secret that is remembered has a [`Tally`]. A use is counted there; the first one since
//! the last flush also puts the tally into a bounded channel. So however often a key is used, it
//! costs one message a second. Where the channel is full, the next use tries again, and the
//! miss is counted. One task collects the tallies and writes them each second in one statement
//! (less often while that takes long, so that the database has time for others); at the end of
//! the process it writes what is left. Each batch has a number, under which it is written once.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{
        counter::Counter,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    domain::{ApiKeyId, Clock, KeyHint, LookupDigest, Secret, TenantId, Timestamp},
    store::{self, Count, SecretReuse, Store, UsageBatch, Use},
};

/// Tallies that may wait to be collected.
const CHANNEL: usize = 65_536;
/// Uses of dead secrets that may wait to be written.
const REUSE_CHANNEL: usize = 1_024;
/// Secrets (or keys and hours) whose use may wait to be written, while the database is away say.
const MAX_WAITING: usize = 500_000;
/// Secrets per statement.
const BATCH: usize = 5_000;
/// Tallies that are read before others get their turn.
const AT_ONCE: usize = 500;
/// How long the channel is then left alone: to wake who collects for each note would cost more than the
/// note.
const COLLECT: Duration = Duration::from_millis(20);
/// How often what was noted is written, where that takes no time to speak of.
const FLUSH: Duration = Duration::from_secs(1);
/// How often at least: `lastUsedAt` is never more than 5 s behind.
const FLUSH_AT_LEAST: Duration = Duration::from_secs(3);
const MAX_USER_AGENT_CHARS: usize = 200;
const SECONDS_PER_HOUR: i64 = 60 * 60;
/// How often old hours are looked for.
const REMOVAL: Duration = Duration::from_hours(1);

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

/// What a secret was used for since the last flush.
#[derive(Debug)]
pub struct Tally {
    tenant: TenantId,
    key: ApiKeyId,
    lookup_digest: LookupDigest,
    /// The newest hour in which it was used, since 1970.
    hour: AtomicU32,
    /// Of that hour and the one before, by whether their numbers are even or odd: a flush follows
    /// long before the next of a kind.
    counts: [HourTally; 2],
    last_used_micros: AtomicI64,
    /// A digest of the client in `last`; 0 = there is none. So that a client which comes again and
    /// again is not written down again and again.
    last_client: AtomicU32,
    last: Mutex<Option<Box<LastClient>>>,
    /// Whether it is in the channel, or was collected and not flushed yet.
    noted: AtomicBool,
    /// In which hour a use after its end was last told.
    reuse_told: AtomicU32,
}

#[derive(Debug, Default)]
struct HourTally {
    requests: AtomicU32,
    expired: AtomicU32,
    scope: AtomicU32,
}

#[derive(Debug)]
struct LastClient {
    address: Option<IpAddr>,
    user_agent: Option<Box<[u8]>>,
}

impl Tally {
    /// Of a secret that was not used yet.
    #[must_use]
    pub fn new(tenant: TenantId, key: ApiKeyId, lookup_digest: LookupDigest) -> Self {
        Self {
            tenant,
            key,
            lookup_digest,
            hour: AtomicU32::new(0),
            counts: Default::default(),
            last_used_micros: AtomicI64::new(i64::MIN),
            last_client: AtomicU32::new(0),
            last: Mutex::default(),
            noted: AtomicBool::new(false),
            reuse_told: AtomicU32::new(0),
        }
    }

    /// Whose key's secret it is.
    #[must_use]
    pub const fn key(&self) -> ApiKeyId {
        self.key
    }

    /// Which secret it is.
    #[must_use]
    pub const fn lookup_digest(&self) -> LookupDigest {
        self.lookup_digest
    }

    fn hour(&self, at: Timestamp) -> &HourTally {
        let hour = hour_number(at);
        if self.hour.load(Ordering::Relaxed) < hour {
            self.hour.fetch_max(hour, Ordering::Relaxed);
        }
        &self.counts[usize::from(hour % 2 == 1)]
    }

    /// Takes what was counted, with the hours that it belongs to.
    fn take_counts(&self) -> [(u32, Counted); 2] {
        [0, 1].map(|odd| {
            let newest = self.hour.load(Ordering::Acquire);
            let hour = if newest % 2 == odd { newest } else { newest.saturating_sub(1) };
            let HourTally { requests, expired, scope } = &self.counts[usize::from(odd == 1)];
            let take = |count: &AtomicU32| i64::from(count.swap(0, Ordering::AcqRel));
            (hour, Counted { requests: take(requests), expired: take(expired), scope: take(scope) })
        })
    }

    fn set_last(&self, at: Timestamp, client: Client<'_>, digest: u32) {
        self.last_used_micros.fetch_max(at.timestamp_micros(), Ordering::Relaxed);
        if self.last_client.load(Ordering::Relaxed) == digest {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let user_agent = client.user_agent().map(Box::from);
        *last = Some(Box::new(LastClient { address: client.address, user_agent }));
        self.last_client.store(digest, Ordering::Relaxed);
    }

    /// The last use since this was last asked; its client only where that was noted again.
    fn take_last(&self) -> Option<LastUse> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let client = last.take();
        self.last_client.store(0, Ordering::Relaxed);
        let micros = self.last_used_micros.swap(i64::MIN, Ordering::Relaxed);
        Some(LastUse { at: DateTime::from_timestamp_micros(micros)?, client })
    }
}

/// What waits to be written of a secret's last use.
struct LastUse {
    at: Timestamp,
    client: Option<Box<LastClient>>,
}

fn hour_number(at: Timestamp) -> u32 {
    u32::try_from(at.timestamp().div_euclid(SECONDS_PER_HOUR)).unwrap_or(0)
}

/// Takes notes. Clones share the channel.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::Sender<Arc<Tally>>,
    reuses: mpsc::Sender<SecretReuse>,
    hasher: RandomState,
    counters: Counters,
}

#[derive(Clone, Default)]
struct Counters {
    dropped: Counter,
    flushes: Counter,
    failed_flushes: Counter,
    reuses: Counter,
    waiting: Gauge,
}

/// Collects and writes notes.
pub struct Writer {
    notes: mpsc::Receiver<Arc<Tally>>,
    reuses: mpsc::Receiver<SecretReuse>,
    collected: Vec<Arc<Tally>>,
    uses: HashMap<(TenantId, LookupDigest), LastUse>,
    counts: HashMap<(TenantId, ApiKeyId, u32), Counted>,
    /// What could not be told.
    untold: Option<SecretReuse>,
    /// Sent, and not known to be written. It goes again as it is, under the same number.
    unanswered: Option<UsageBatch>,
    id: Uuid,
    number: i64,
    store: Store,
    clock: Clock,
    retention: TimeDelta,
    counters: Counters,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    requests: i64,
    expired: i64,
    scope: i64,
}

/// The two ends. The writer ends when the last recorder is gone. Hours that are older than
/// `retention` are removed.
#[must_use]
pub fn recorder(store: Store, clock: Clock, retention: TimeDelta) -> (Recorder, Writer) {
    let (sender, notes) = mpsc::channel(CHANNEL);
    let (reuse_sender, reuses) = mpsc::channel(REUSE_CHANNEL);
    let counters = Counters::default();
    let writer = Writer {
        notes,
        reuses,
        collected: Vec::new(),
        uses: HashMap::new(),
        counts: HashMap::new(),
        untold: None,
        unanswered: None,
        id: Uuid::new_v4(),
        number: 0,
        store,
        clock,
        retention,
        counters: counters.clone(),
    };
    (Recorder { notes: sender, reuses: reuse_sender, hasher: RandomState::new(), counters }, writer)
}

impl Recorder {
    /// Notes a request with a secret whose key works; never waits.
    pub fn used(&self, tally: &Arc<Tally>, at: Timestamp, client: Client<'_>) {
        tally.hour(at).requests.fetch_add(1, Ordering::Relaxed);
        tally.set_last(at, client, self.digest(client));
        self.note(tally);
    }

    /// Notes that a request was refused.
    pub fn denied(&self, tally: &Arc<Tally>, at: Timestamp, why: Denied) {
        let hour = tally.hour(at);
        match why {
            Denied::Expired => {
                hour.requests.fetch_add(1, Ordering::Relaxed);
                hour.expired.fetch_add(1, Ordering::Relaxed);
            }
            Denied::Scope => {
                hour.scope.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.note(tally);
    }

    #[allow(clippy::cast_possible_truncation, reason = "some bits of a hash")]
    fn digest(&self, client: Client<'_>) -> u32 {
        (self.hasher.hash_one((client.address, client.user_agent())) as u32).max(1)
    }

    fn note(&self, tally: &Arc<Tally>) {
        // Looked at first: most find it set, and need not write to what all cores share.
        if tally.noted.load(Ordering::Acquire) || tally.noted.swap(true, Ordering::AcqRel) {
            return;
        }
        if self.notes.try_send(tally.clone()).is_err() {
            tally.noted.store(false, Ordering::Release);
            self.counters.dropped.inc();
        }
    }

    /// Notes that somebody still uses a secret that does not work any more: at most once an hour
    /// it becomes an event. Never waits.
    pub fn reused(&self, tally: &Tally, hint: KeyHint, at: Timestamp, address: Option<IpAddr>, request_id: &str) {
        self.counters.reuses.inc();
        let hour = hour_number(at);
        // This instance has told it in this hour; the database knows of the others.
        if tally.reuse_told.swap(hour, Ordering::Relaxed) == hour {
            return;
        }
        let reuse = SecretReuse {
            tenant: tally.tenant,
            key: tally.key,
            lookup_digest: tally.lookup_digest,
            hint,
            at,
            address,
            request_id: request_id.to_owned(),
        };
        if self.reuses.try_send(reuse).is_err() {
            tally.reuse_told.store(0, Ordering::Relaxed);
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
        registry.register("rally_usage_waiting", "Figures that wait to be written", counters.waiting);
        let help = "Requests with a secret that was rotated away or whose key was revoked";
        registry.register("rally_dead_secret_uses", help, counters.reuses);
        registry.register_collector(Box::new(Channel(self.notes.downgrade())));
    }
}

/// How full the channel is. Does not keep it open.
#[derive(Debug)]
struct Channel(mpsc::WeakSender<Arc<Tally>>);

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

impl Writer {
    /// Works until `stop` is done, and then writes what is left.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut next_flush = std::pin::pin!(sleep(FLUSH));
        let mut next_collection = Instant::now();
        let mut next_removal = Instant::now() + FLUSH;
        loop {
            tokio::select! {
                () = &mut stop => break,
                count = async {
                    sleep_until(next_collection).await;
                    self.notes.recv_many(&mut self.collected, CHANNEL).await
                } => {
                    if count == 0 {
                        break;
                    }
                    next_collection = Instant::now() + COLLECT;
                }
                // While some cannot be told, the rest waits in its channel.
                reuse = self.reuses.recv(), if self.untold.is_none() && !self.reuses.is_closed() => {
                    self.untold = reuse;
                    self.tell_reuse().await;
                }
                () = &mut next_flush => {
                    let begun = Instant::now();
                    self.tell_reuse().await;
                    self.flush().await;
                    let pause = (3 * begun.elapsed()).clamp(FLUSH, FLUSH_AT_LEAST);
                    next_flush.as_mut().reset(Instant::now() + pause);
                    if Instant::now() >= next_removal {
                        self.remove_old_hours().await;
                        next_removal = Instant::now() + REMOVAL;
                    }
                }
            }
        }
        while let Ok(tally) = self.notes.try_recv() {
            self.collected.push(tally);
        }
        self.flush().await;
        while self.untold.is_none() {
            let Ok(reuse) = self.reuses.try_recv() else { break };
            self.untold = Some(reuse);
            self.tell_reuse().await;
        }
    }

    /// Writes down that a dead secret was used; again at the next flush, if the database is away.
    async fn tell_reuse(&mut self) {
        let Some(reuse) = self.untold.take() else { return };
        match self.store.record_reuse(&reuse).await {
            Ok(()) => {}
            Err(error @ (store::Error::Unavailable(_) | store::Error::TooSlow)) => {
                warn!(%error, key_id = %reuse.key, "cannot write that a dead secret was used; trying again");
                self.untold = Some(reuse);
            }
            Err(error) => error!(%error, key_id = %reuse.key, "lost that a dead secret was used"),
        }
    }

    async fn remove_old_hours(&self) {
        let Some(before) = self.clock.now().checked_sub_signed(self.retention) else { return };
        match self.store.remove_usage_before(before).await {
            Ok(None | Some(0)) => {}
            Ok(Some(rows)) => info!(rows, %before, "removed old figures of usage"),
            Err(error) => warn!(%error, "cannot remove old figures of usage; trying again in an hour"),
        }
    }

    /// Takes the figures out of the tallies.
    async fn take_figures(&mut self) {
        let mut dropped = 0;
        for (number, tally) in std::mem::take(&mut self.collected).into_iter().enumerate() {
            // After a rush there are many, and a revocation waits for nobody's figures.
            if number % AT_ONCE == AT_ONCE - 1 {
                yield_now().await;
            }
            // In this order: a use that comes in between is noted again.
            tally.noted.store(false, Ordering::Release);
            if let Some(last) = tally.take_last() {
                let waiting = self.uses.len();
                match self.uses.entry((tally.tenant, tally.lookup_digest)) {
                    Entry::Occupied(mut entry) => {
                        let known = entry.get_mut();
                        if last.at >= known.at {
                            let client = last.client.or_else(|| known.client.take());
                            *known = LastUse { at: last.at, client };
                        }
                    }
                    Entry::Vacant(entry) if waiting < MAX_WAITING => drop(entry.insert(last)),
                    Entry::Vacant(_) => dropped += 1,
                }
            }
            for (hour, taken) in tally.take_counts() {
                if taken == Counted::default() {
                    continue;
                }
                let waiting = self.counts.len();
                let counted = match self.counts.entry((tally.tenant, tally.key, hour)) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) if waiting < MAX_WAITING => entry.insert(Counted::default()),
                    Entry::Vacant(_) => {
                        dropped += 1;
                        continue;
                    }
                };
                counted.requests += taken.requests;
                counted.expired += taken.expired;
                counted.scope += taken.scope;
            }
        }
        self.counters.dropped.inc_by(dropped);
    }

    /// A part of what waits, taken out.
    fn next_batch(&mut self) -> UsageBatch {
        let uses: Vec<_> = self.uses.keys().take(BATCH).copied().collect();
        let uses = uses.into_iter().filter_map(|secret| {
            let LastUse { at, client } = self.uses.remove(&secret)?;
            let client = client.map(|client| *client);
            let address = client.as_ref().and_then(|client| client.address);
            // Without a User-Agent: an empty one.
            let user_agent = client.map(|client| shorten(client.user_agent.as_deref().unwrap_or_default()));
            Some(Use { tenant: secret.0, lookup_digest: secret.1, at, address, user_agent })
        });
        let uses = uses.collect();
        let counts: Vec<_> = self.counts.keys().take(BATCH).copied().collect();
        let counts = counts.into_iter().filter_map(|slot| {
            let Counted { requests, expired, scope } = self.counts.remove(&slot)?;
            let (tenant, key, hour) = slot;
            let hour = DateTime::from_timestamp(i64::from(hour) * SECONDS_PER_HOUR, 0)?;
            Some(Count { tenant, key, hour, requests, denied_expired: expired, denied_scope: scope })
        });
        UsageBatch { uses, counts: counts.collect() }
    }

    /// Writes what waits. What cannot be written waits on; the channel meanwhile takes notes up
    /// to its bound.
    async fn flush(&mut self) {
        self.take_figures().await;
        loop {
            let mut batch = match self.unanswered.take() {
                Some(batch) => batch,
                None if self.uses.is_empty() && self.counts.is_empty() => break,
                None => {
                    self.number += 1;
                    self.next_batch()
                }
            };
            let outcome = self.store.record_use(self.id, self.number, &mut batch).await;
            if let Err(error @ (store::Error::Internal(_) | store::Error::BadRow { .. })) = &outcome {
                // It would be refused each time, and hold up all that comes after it.
                error!(%error, figures = batch.uses.len() + batch.counts.len(), "lost figures of usage");
                self.counters.dropped.inc_by(u64::try_from(batch.uses.len() + batch.counts.len()).unwrap_or(0));
            } else if let Err(error) = outcome {
                let waiting = self.uses.len() + self.counts.len() + batch.uses.len() + batch.counts.len();
                self.counters.failed_flushes.inc();
                self.counters.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
                warn!(%error, waiting, "cannot write what API keys were used for; trying again");
                self.unanswered = Some(batch);
                return;
            }
            self.counters.flushes.inc();
        }
        self.counters.waiting.set(0);
        // After a rush, its memory goes back.
        self.uses.shrink_to(BATCH);
        self.counts.shrink_to(BATCH);
    }
}

/// So much of a client's own word as is kept, and no secret that has strayed into it.
fn shorten(user_agent: &[u8]) -> Box<str> {
    let text = String::from_utf8_lossy(user_agent);
    if text.contains(Secret::PREFIX) {
        return "[redacted]".into();
    }
    text.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT_CHARS).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_small() {
        // There is one for each remembered secret.
        assert!(size_of::<Tally>() <= 112, "{}", size_of::<Tally>());
    }

    #[test]
    fn agents_are_shortened_and_hold_no_secret() {
        assert_eq!(&*shorten("é".repeat(300).as_bytes()), "é".repeat(200));
        assert_eq!(&*shorten(b"a\0b\x1bc\xff"), "abc\u{fffd}");
        assert_eq!(&*shorten(b"curl rk_live_0123"), "[redacted]");
    }
}
