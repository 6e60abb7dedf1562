//! The worker: writes usage, records secret alerts, removes old hours. None of them waits for another.

use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::{
    FutureExt as _,
    future::{join, join_all},
};
use tokio::{sync::mpsc, time::Instant};

use super::{
    HasUsageCounter, Metrics, failure_log::FailureLog, flush::Flusher, quotas::Quotas, retention::Retention,
    secret_alerts::SecretAlertRecorder,
};
use crate::{
    domain::Clock,
    queue_worker,
    store::{SecretAlert, UsageStore},
};

/// Writes what the recorder counts.
pub struct UsageWorker {
    flusher: Flusher,
    secret_alerts: [(mpsc::Receiver<SecretAlert>, SecretAlertRecorder); 2],
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
            secret_alerts: alerts.map(|alerts| {
                let failures = FailureLog::default();
                (alerts, SecretAlertRecorder { store: store.clone(), metrics: metrics.clone(), failures })
            }),
            retention: Retention { store, clock, age: retention },
        }
    }

    /// Works until `stop` resolves to a deadline, and then writes what is left, until that.
    pub async fn run(self, stop: impl Future<Output = Instant> + Send) {
        let stop = stop.shared();
        let alerts =
            join_all(self.secret_alerts.map(|(queue, recorder)| queue_worker::run(queue, recorder, stop.clone())));
        let write = join(self.flusher.run(stop), alerts);
        // Boxed: they are large.
        tokio::select! {
            _ = write.boxed() => {}
            never = self.retention.run().boxed() => match never {},
        }
    }
}
