//! The worker: writes usage, records uses of dead secrets, removes old hours. None of them waits for another.

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::{FutureExt as _, future::join};
use tokio::{sync::mpsc, time::Instant};

use super::{
    HasUsageCounter, Metrics,
    dead_secrets::{DeadSecretWorker, SecretAlert},
    flush::Flusher,
    quotas::Quotas,
    retention::Retention,
};
use crate::{domain::Clock, store::UsageStore};

/// Writes what the recorder counts.
pub struct UsageWorker {
    flusher: Flusher,
    dead_secrets: DeadSecretWorker,
    retention: Retention,
}

impl UsageWorker {
    pub(super) fn new(
        queue: mpsc::Receiver<Arc<dyn HasUsageCounter>>,
        dead_uses: mpsc::Receiver<SecretAlert>,
        store: UsageStore,
        clock: Clock,
        retention: TimeDelta,
        quotas: Arc<Quotas>,
        metrics: Metrics,
    ) -> Self {
        Self {
            flusher: Flusher::new(queue, store.clone(), quotas, metrics.clone()),
            dead_secrets: DeadSecretWorker::new(dead_uses, store.clone(), metrics),
            retention: Retention { store, clock, age: retention },
        }
    }

    /// Works until `stop` resolves to a deadline, and then writes what is left, until that.
    pub async fn run(self, stop: impl Future<Output = Instant> + Send) {
        let stop = stop.shared();
        let write = join(self.flusher.run(stop.clone()), self.dead_secrets.run(stop));
        // Boxed: they are large.
        tokio::select! {
            _ = write.boxed() => {}
            never = self.retention.run().boxed() => match never {},
        }
    }
}
