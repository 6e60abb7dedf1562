//! The worker: writes usage, records uses of secrets that must not be used, removes old hours. None of them waits for another.

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::{
    FutureExt as _,
    future::{join, join_all},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    HasUsageCounter, Metrics, flush::Flusher, quotas::Quotas, retention::Retention, secret_alerts::SecretAlertWorker,
};
use crate::{
    domain::Clock,
    store::{SecretAlert, UsageStore},
};

/// Writes what the recorder counts.
pub struct UsageWorker {
    flusher: Flusher,
    secret_alerts: [SecretAlertWorker; 2],
    retention: Retention,
}

impl UsageWorker {
    pub(super) fn new(
        queue: mpsc::Receiver<Arc<dyn HasUsageCounter>>,
        alerts: [mpsc::Receiver<SecretAlert>; 2],
        store: UsageStore,
        clock: Clock,
        retention: TimeDelta,
        quotas: Arc<Quotas>,
        metrics: &Metrics,
    ) -> Self {
        Self {
            flusher: Flusher::new(queue, store.clone(), quotas, metrics.clone()),
            secret_alerts: alerts.map(|alerts| SecretAlertWorker::new(alerts, store.clone(), metrics.clone())),
            retention: Retention { store, clock, age: retention },
        }
    }

    /// Works until `stop` resolves to a deadline, and then writes what is left, until that.
    pub async fn run(self, stop: impl Future<Output = Instant> + Send) {
        let stop = stop.shared();
        let alerts = join_all(self.secret_alerts.map(|worker| worker.run(stop.clone())));
        let write = join(self.flusher.run(stop), alerts);
        // Boxed: they are large.
        tokio::select! {
            _ = write.boxed() => {}
            never = self.retention.run().boxed() => match never {},
        }
    }
}
