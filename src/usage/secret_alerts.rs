//! Records in the audit trail: uses of dead secrets (rotated away, or of a revoked key) and of decoys, and secrets that came
//! over plain HTTP.

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tracing::{error, warn};

use super::{Metrics, failure_log::FailureLog, flush::RETRY, retries::Retries};
use crate::store::{self, SecretAlert, UsageStore};

/// Writes the events one after the other. One that failed is tried again after the others, so that a tenant whose trail is
/// locked holds up nobody else's. While the database is away, the others wait in the queue.
pub(super) struct SecretAlertWorker {
    queue: mpsc::Receiver<SecretAlert>,
    store: UsageStore,
    metrics: Metrics,
    failures: FailureLog,
}

impl SecretAlertWorker {
    pub(super) fn new(queue: mpsc::Receiver<SecretAlert>, store: UsageStore, metrics: Metrics) -> Self {
        Self { queue, store, metrics, failures: FailureLog::default() }
    }

    /// Writes events until `stop` resolves, then the rest, until the deadline to which it resolves.
    pub(super) async fn run(mut self, stop: impl Future<Output = Instant>) {
        let mut stop = std::pin::pin!(stop);
        let mut failed = Retries::default();
        let deadline = loop {
            let has_room = failed.has_room();
            let alert = tokio::select! {
                biased;
                deadline = &mut stop => break deadline,
                alert = failed.next() => alert,
                Some(alert) = self.queue.recv(), if has_room => alert,
            };
            // A transaction is not dropped half-way: `stop` waits for it.
            failed.add(self.write(alert).await);
        };
        let mut left = failed.into_items();
        while let Ok(alert) = self.queue.try_recv() {
            left.push_back(alert);
        }
        while let Some(alert) = left.pop_front() {
            let Ok(again) = timeout_at(deadline, self.write(alert)).await else {
                let events = left.len() + 1;
                error!(events, "the process ends: lost events of dead, exposed or decoy secrets");
                self.metrics.lost.inc_by(u64::try_from(events).unwrap_or(0));
                return;
            };
            if let Some(alert) = again {
                left.push_back(alert);
                sleep(RETRY).await;
            }
        }
    }

    /// Returns the alert if it is to be tried again.
    async fn write(&mut self, alert: SecretAlert) -> Option<SecretAlert> {
        match self.store.record_alert(&alert).await {
            Ok(()) => {
                self.failures.succeeded();
            }
            Err(error @ (store::Error::Internal(_) | store::Error::BadRow { .. })) => {
                error!(%error, key_hint = %alert.hint, "lost the event of a dead, exposed or decoy secret: the database refuses it");
                self.metrics.lost.inc();
            }
            Err(error) => {
                if self.failures.failed(&error) {
                    warn!(%error, key_hint = %alert.hint, "could not record the event of a dead, exposed or decoy secret; trying again");
                }
                return Some(alert);
            }
        }
        None
    }
}
