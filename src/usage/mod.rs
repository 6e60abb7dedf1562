//! Usage of keys: counted per cached secret, and written in batches by a worker. A request never waits for it.
//!
//! Each cached secret has a [`UsageCounter`]. The first request since the counter was last written puts it into a queue;
//! the others only count. Once a second the [`UsageWorker`] takes counters from the front of the queue, so those that
//! have waited longest, and writes what they hold as one numbered batch ([`UsageStore::record_usage`]); at the end of the
//! process it writes what is left. Callers are written with the rest, but those of one secret every 30 seconds at most.

mod callers;
mod counter;
mod failure_log;
mod flush;
mod hourly_deduplicator;
mod quotas;
mod retention;
mod secret_alerts;
mod worker;

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::Arc,
};

use chrono::TimeDelta;
use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use tokio::sync::{Semaphore, mpsc};

pub(crate) use self::failure_log::FailureLog;
pub use self::{
    counter::{HasUsageCounter, UsageCounter},
    worker::UsageWorker,
};
use self::{hourly_deduplicator::HourlyDeduplicator, quotas::Quotas};
use crate::{
    domain::{
        ApiKeyId, Clock, KeyHint, LookupDigest, Quota, QuotaUse, TenantId, Timestamp, access::DenialReason,
        client_network,
    },
    store::{QuotaTotal, SecretAlert, SecretAlertKind, UsageStore},
};

/// Counters that can wait to be written: more than secrets are cached by default.
const QUEUE: usize = 262_144;
/// Alerts that can wait to be written, in each of two queues.
const ALERTS_QUEUE: usize = 1_024;
/// Pairs of decoy and client's network of a tenant that are recorded in an hour.
const DECOY_USES_PER_HOUR: usize = 256;
/// Secrets over plain HTTP from a client's network that are looked up in an hour.
const EXPOSURES_PER_HOUR: usize = 64;
/// Callers that can wait to be written, besides the latest of each secret. Further ones are counted together. Each takes some
/// 100 bytes, and up to 900 with the longest `User-Agent`.
const SPARE_CALLERS: usize = 65_536;
const MAX_USER_AGENT_CHARS: usize = 200;

/// Why a request was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The key had expired.
    Expired,
    /// The key's scopes did not suffice.
    Scope,
    /// The key was revoked, or the secret had ended.
    Revoked,
    /// The key was suspended.
    Suspended,
    /// The key may not be used from the client's address.
    Address,
    /// The key had exceeded its rate limit.
    RateLimit,
    /// The key had exhausted its quota.
    Quota,
}

/// The sender of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<'a> {
    /// Its address, as far as trusted proxies tell it.
    pub address: Option<IpAddr>,
    /// Its `User-Agent`.
    pub user_agent: Option<&'a [u8]>,
}

impl Client<'_> {
    /// The `User-Agent` for people: its first characters, without control characters, and without a secret that has strayed
    /// into it.
    pub(crate) fn shortened_user_agent(&self) -> Option<Box<str>> {
        self.user_agent().map(callers::shorten).filter(|agent| !agent.is_empty())
    }

    /// As many bytes as can be kept.
    fn user_agent(&self) -> Option<&[u8]> {
        self.user_agent.map(|agent| &agent[..agent.len().min(4 * MAX_USER_AGENT_CHARS)])
    }
}

/// Counts requests. Clones share the queue.
#[derive(Clone)]
pub struct UsageRecorder {
    queue: mpsc::Sender<Arc<dyn HasUsageCounter>>,
    alerts: mpsc::Sender<SecretAlert>,
    /// Apart, since anybody can send secrets over plain HTTP.
    exposures: mpsc::Sender<SecretAlert>,
    hasher: RandomState,
    spare_callers: Arc<Semaphore>,
    quotas: Arc<Quotas>,
    decoy_uses_seen: Arc<HourlyDeduplicator<TenantId, (ApiKeyId, Option<IpAddr>)>>,
    exposures_seen: Arc<HourlyDeduplicator<Option<IpAddr>, LookupDigest>>,
    metrics: Metrics,
}

#[derive(Clone, Default)]
struct Metrics {
    queued: Gauge,
    batches: Counter,
    failed_batches: Counter,
    lost: Counter,
    dead_uses: Counter,
    decoy_uses: Counter,
}

/// The recorder and its worker, which removes hours that are older than `retention`.
#[must_use]
pub fn start(store: UsageStore, clock: Clock, retention: TimeDelta) -> (UsageRecorder, UsageWorker) {
    let (queue, queued) = mpsc::channel(QUEUE);
    let (alerts, queued_alerts) = mpsc::channel(ALERTS_QUEUE);
    let (exposures, queued_exposures) = mpsc::channel(ALERTS_QUEUE);
    let metrics = Metrics::default();
    let quotas = Arc::<Quotas>::default();
    let alert_queues = [queued_alerts, queued_exposures];
    let worker = UsageWorker::new(queued, alert_queues, store, clock, retention, quotas.clone(), &metrics);
    let recorder = UsageRecorder {
        queue,
        alerts,
        exposures,
        hasher: RandomState::new(),
        spare_callers: Arc::new(Semaphore::new(SPARE_CALLERS)),
        quotas,
        decoy_uses_seen: Arc::new(HourlyDeduplicator::new(DECOY_USES_PER_HOUR)),
        exposures_seen: Arc::new(HourlyDeduplicator::new(EXPOSURES_PER_HOUR)),
        metrics,
    };
    (recorder, worker)
}

impl UsageRecorder {
    /// Counts a request that was let in, and its caller.
    pub fn used<T: HasUsageCounter>(&self, secret: &Arc<T>, at: Timestamp, client: Client<'_>) {
        secret.usage().used(at, client, self.hash(client), &self.spare_callers);
        self.enqueue(secret);
    }

    /// Sets the secret's last use by a request that authenticated and was denied; [`Self::denied`] counts it.
    pub fn set_last_use<T: HasUsageCounter>(&self, secret: &Arc<T>, at: Timestamp, client: Client<'_>) {
        secret.usage().set_last_use(at, client);
        self.enqueue(secret);
    }

    /// Counts a denied request.
    pub fn denied<T: HasUsageCounter>(&self, secret: &Arc<T>, at: Timestamp, why: Denied) {
        secret.usage().denied(at, why);
        self.enqueue(secret);
    }

    /// Takes one request out of the key's quota, if that allows it, without I/O. The use after it is returned too.
    pub(crate) fn take_quota(
        &self,
        key: ApiKeyId,
        quota: Quota,
        at: Timestamp,
    ) -> (Result<(), DenialReason>, QuotaUse) {
        self.quotas.take(key, quota, at)
    }

    /// What the key has used of its quota, as far as this instance knows.
    pub(crate) fn quota_use(&self, key: ApiKeyId, quota: Quota, at: Timestamp) -> QuotaUse {
        self.quotas.read(key, quota, at)
    }

    /// A total that was read together with a key.
    pub(crate) fn learn_quota_total(&self, total: &QuotaTotal, at: Timestamp) {
        self.quotas.learn(total, at);
    }

    #[allow(clippy::cast_possible_truncation, reason = "some bits of a hash")]
    fn hash(&self, client: Client<'_>) -> u32 {
        (self.hasher.hash_one((client.address, client.user_agent())) as u32).max(1)
    }

    fn enqueue<T: HasUsageCounter>(&self, secret: &Arc<T>) {
        if secret.usage().set_queued() && self.queue.try_send(secret.clone()).is_err() {
            secret.usage().clear_queued();
            self.metrics.lost.inc();
        }
    }

    /// Records that a secret was used after its end: an event in the audit trail, at most one an hour for each secret.
    pub fn dead_secret_used(
        &self,
        counter: &UsageCounter,
        hint: KeyHint,
        at: Timestamp,
        address: Option<IpAddr>,
        request_id: &str,
    ) {
        self.metrics.dead_uses.inc();
        // Other instances may have recorded one in this hour: the database knows.
        if !counter.set_dead_use(at) {
            return;
        }
        let alert = SecretAlert {
            kind: SecretAlertKind::Reused { tenant: counter.tenant, key: counter.key() },
            lookup_digest: counter.lookup_digest(),
            hint,
            at,
            address,
            request_id: request_id.to_owned(),
        };
        if !self.send(&self.alerts, alert) {
            counter.clear_dead_use();
        }
    }

    /// Records that a decoy was used, or that a secret came over plain HTTP: an event in the audit trail, at most one an hour
    /// for each decoy and client's network, or for each secret of a key.
    pub(crate) fn alert(&self, alert: SecretAlert) {
        let network = alert.address.map(client_network);
        match alert.kind {
            SecretAlertKind::DecoyUsed { tenant, key, .. } => {
                self.metrics.decoy_uses.inc();
                if self.decoy_uses_seen.insert(tenant, (key, network), alert.at) && !self.send(&self.alerts, alert) {
                    self.decoy_uses_seen.remove(&tenant, &(key, network));
                }
            }
            SecretAlertKind::Exposed { .. } => {
                let digest = alert.lookup_digest;
                if self.exposures_seen.insert(network, digest, alert.at) && !self.send(&self.exposures, alert) {
                    self.exposures_seen.remove(&network, &digest);
                }
            }
            // The secret's counter knows whether it is the first.
            SecretAlertKind::Reused { .. } => {
                self.send(&self.alerts, alert);
            }
        }
    }

    /// False: the queue is full.
    fn send(&self, queue: &mpsc::Sender<SecretAlert>, alert: SecretAlert) -> bool {
        let is_sent = queue.try_send(alert).is_ok();
        if !is_sent {
            self.metrics.lost.inc();
        }
        is_sent
    }

    /// Names the metrics in the registry.
    pub fn register(&self, registry: &mut Registry) {
        let Metrics { queued, batches, failed_batches, lost, dead_uses, decoy_uses } = self.metrics.clone();
        registry.register("rally_usage_queued", "Secrets whose usage waits to be written, at the last tick", queued);
        registry.register("rally_usage_batches", "Batches of usage that were written", batches);
        let help = "Attempts to write a batch of usage that failed; it is sent again";
        registry.register("rally_usage_batches_failed", help, failed_batches);
        let help = "Usage counts, and events secret_reused, decoy_used and exposed, that were lost, or not queued since the queue was \
                    full; a count that was not queued is written after the secret's next use";
        registry.register("rally_usage_lost", help, lost);
        let help = "Requests with a secret that was rotated away or whose key was revoked";
        registry.register("rally_dead_secret_uses", help, dead_uses);
        registry.register("rally_decoy_uses", "Requests with the secret of a decoy", decoy_uses);
    }
}
