//! Waits for receipts, over [`super::protocol`].

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{gauge::ConstGauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

pub(crate) use super::protocol::Progress;
use super::{
    lease::LEASE,
    message::{InstanceId, Message, Nonce},
    protocol::Protocol,
};
use crate::domain::{Moment, Receipt, Revision, TenantId};

/// Waits that are found by their revision, so that nobody asks twice.
const MAX_RECENT: usize = 1_000;
/// Revisions that are known to be contained in this instance's state.
const MAX_CONTAINED: usize = 10_000;
/// In seconds. A healthy instance acknowledges in milliseconds, a silent one is waited for until its lease is over.
const BOUNDS: [f64; 14] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// Proves that no instance uses a state from before a change. Clones share everything.
#[derive(Clone)]
pub struct Receipts(Arc<Shared>);

struct Shared {
    id: InstanceId,
    protocol: Mutex<Protocol>,
    /// There is something to be sent.
    outgoing: Notify,
    is_stopping: watch::Sender<bool>,
    recent: Mutex<Recent>,
    contained: Mutex<HashMap<Revision, TenantId>>,
    seconds: Histogram,
}

#[derive(Default)]
struct Recent {
    waits: HashMap<Revision, Arc<Wait>>,
    /// Oldest first.
    order: VecDeque<Revision>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of an instance with the default lease.
impl Default for Receipts {
    fn default() -> Self {
        Self::new(LEASE)
    }
}

impl Receipts {
    /// `lease`: this instance's.
    pub(crate) fn new(lease: Duration) -> Self {
        let id = InstanceId::random();
        Self::over(id, Protocol::new(id, lease))
    }

    /// For a command, which serves nothing. `lease`: that of the instances.
    pub(crate) fn observing(lease: Duration) -> Self {
        let id = InstanceId::random();
        Self::over(id, Protocol::observing(id, lease))
    }

    fn over(id: InstanceId, protocol: Protocol) -> Self {
        Self(Arc::new(Shared {
            id,
            protocol: Mutex::new(protocol),
            outgoing: Notify::new(),
            is_stopping: watch::Sender::new(false),
            recent: Mutex::default(),
            contained: Mutex::default(),
            seconds: Histogram::new(BOUNDS),
        }))
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Time from a change to the proof that no instance uses a state from before it, of requests with \
                    `Prefer: wait`";
        registry.register_with_unit("rally_receipt", help, Unit::Seconds, self.0.seconds.clone());
        registry.register_collector(Box::new(self.clone()));
    }

    /// Waits for a receipt of all that was committed before. `since`: the commit.
    pub(crate) fn wait_for(&self, since: Moment) -> Wait {
        let (number, progress_changed) = lock(&self.0.protocol).begin();
        self.0.outgoing.notify_one();
        Wait { receipts: self.clone(), number, since, progress_changed, receipt: OnceLock::new() }
    }

    /// As [`Self::wait_for`], and can be found by the revision.
    pub(crate) fn wait_for_revision(&self, revision: Revision, since: Moment) -> Arc<Wait> {
        let wait = Arc::new(self.wait_for(since));
        let mut recent = lock(&self.0.recent);
        if recent.waits.insert(revision, wait.clone()).is_none() {
            recent.order.push_back(revision);
        }
        let oldest = if recent.order.len() > MAX_RECENT { recent.order.pop_front() } else { None };
        let removed = oldest.and_then(|oldest| recent.waits.remove(&oldest));
        drop(recent);
        drop(removed);
        wait
    }

    pub(crate) fn find(&self, revision: Revision) -> Option<Arc<Wait>> {
        lock(&self.0.recent).waits.get(&revision).cloned()
    }

    /// The tenant of a revision that this instance's state is known to contain.
    pub(crate) fn contains(&self, revision: Revision) -> Option<TenantId> {
        lock(&self.0.contained).get(&revision).copied()
    }

    /// This instance's state contains the tenant's revision: a question that was asked after its commit is back.
    pub(crate) fn set_contained(&self, revision: Revision, tenant: TenantId) {
        let mut contained = lock(&self.0.contained);
        if contained.len() >= MAX_CONTAINED {
            contained.clear();
        }
        contained.insert(revision, tenant);
    }

    /// Ends all waits.
    pub(crate) fn stop(&self) {
        self.0.is_stopping.send_replace(true);
    }

    /// No notification is missed from now on, and this instance's cache was emptied.
    pub(super) fn listen(&self) {
        lock(&self.0.protocol).listen(Moment::now());
        self.0.outgoing.notify_one();
    }

    pub(super) fn lose_feed(&self) {
        lock(&self.0.protocol).lose_feed();
        lock(&self.0.contained).clear();
    }

    pub(super) fn hear(&self, message: Message) {
        let mut protocol = lock(&self.0.protocol);
        protocol.hear(message, Moment::now());
        if protocol.has_outgoing() {
            self.0.outgoing.notify_one();
        }
    }

    /// Sends what is outstanding once more.
    pub(super) fn ask_again(&self) {
        lock(&self.0.protocol).ask_again();
    }

    /// Completes when there is something to be sent.
    pub(super) async fn has_outgoing(&self) {
        self.0.outgoing.notified().await;
    }

    /// What is to be sent now, with a heartbeat, if it is time for one.
    pub(super) fn outgoing(&self, beat: Option<Nonce>) -> Vec<Message> {
        let mut protocol = lock(&self.0.protocol);
        let beat = beat.map(|nonce| protocol.beat(nonce));
        beat.into_iter().chain(protocol.outgoing()).collect()
    }

    pub(super) fn goodbye(&self) -> Message {
        Message::Goodbye { from: self.0.id }
    }
}

/// A wait for a receipt.
pub struct Wait {
    receipts: Receipts,
    number: u64,
    since: Moment,
    progress_changed: watch::Receiver<()>,
    receipt: OnceLock<Receipt>,
}

impl Wait {
    pub(crate) fn progress(&self) -> Progress {
        if let Some(receipt) = self.receipt.get() {
            return Progress::complete(*receipt);
        }
        lock(&self.receipts.0.protocol).progress(self.number, self.since, Moment::now())
    }

    /// The receipt, as soon as it is complete. `None`: the instance stops.
    pub(crate) async fn receipt(&self) -> Option<Receipt> {
        let mut changes = self.progress_changed.clone();
        let mut is_stopping = self.receipts.0.is_stopping.subscribe();
        loop {
            changes.borrow_and_update();
            let progress = self.progress();
            if progress.is_complete {
                self.complete(progress.receipt);
                return Some(progress.receipt);
            }
            let until_complete = progress.complete_at.map(|at| at.since(Moment::now()) + Duration::from_millis(1));
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep(until_complete.unwrap_or(Duration::from_secs(1))) => {}
                _ = is_stopping.wait_for(|is_stopping| *is_stopping) => return None,
            }
        }
    }

    fn complete(&self, receipt: Receipt) {
        if self.receipt.set(receipt).is_ok() {
            self.receipts.0.seconds.observe(Moment::now().since(self.since).as_secs_f64());
            lock(&self.receipts.0.protocol).release(self.number);
        }
    }

    /// Whether this instance has received all that was committed before, within the limit.
    pub(crate) async fn is_received_within(&self, limit: Duration) -> bool {
        let mut changes = self.progress_changed.clone();
        let received = async {
            loop {
                changes.borrow_and_update();
                if self.receipt.get().is_some() || lock(&self.receipts.0.protocol).has_returned(self.number) {
                    return;
                }
                if changes.changed().await.is_err() {
                    return std::future::pending().await;
                }
            }
        };
        timeout(limit, received).await.is_ok()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if self.receipt.get().is_none() {
            lock(&self.receipts.0.protocol).release(self.number);
        }
    }
}

impl fmt::Debug for Receipts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receipts({})", self.0.id)
    }
}

impl Collector for Receipts {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let live = lock(&self.0.protocol).live_instances(Moment::now());
        let live = ConstGauge::new(u64::try_from(live).unwrap_or(u64::MAX));
        let help = "Instances whose heartbeats this one hears through the database, itself included. While its change feed is down, \
                    it counts the others until their leases end, and not itself";
        live.encode(encoder.encode_descriptor("rally_instances_live", help, None, live.metric_type())?)
    }
}
