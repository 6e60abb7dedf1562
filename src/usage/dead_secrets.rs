//! Records uses of dead secrets (rotated away, or of a revoked key) and of decoys, and secrets that came over plain HTTP, in
//! the audit trail.

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tracing::{error, warn};

use super::{
    Metrics,
    failure_log::FailureLog,
    flush::{RETRY, TICK},
};
use crate::store::{self, ExposedSecret, SecretReuse, UsageStore};

/// What is recorded.
pub(super) enum SecretAlert {
    /// A secret that does not work was used.
    Used(SecretReuse),
    /// A secret came over plain HTTP.
    Exposed(ExposedSecret),
}

/// Writes the events one after the other. While the database is away, they wait in the queue.
pub(super) struct DeadSecretWorker {
    queue: mpsc::Receiver<SecretAlert>,
    /// RateDecision from the queue and not written yet.
    current: Option<SecretAlert>,
    store: UsageStore,
    metrics: Metrics,
    failures: FailureLog,
}

impl DeadSecretWorker {
    pub(super) fn new(queue: mpsc::Receiver<SecretAlert>, store: UsageStore, metrics: Metrics) -> Self {
        Self { queue, current: None, store, metrics, failures: FailureLog::default() }
    }

    /// Writes events until `stop` resolves, then the rest, until the deadline to which it resolves.
    pub(super) async fn run(mut self, stop: impl Future<Output = Instant>) {
        let mut stop = std::pin::pin!(stop);
        let deadline = loop {
            if self.current.is_none() {
                tokio::select! {
                    biased;
                    deadline = &mut stop => break deadline,
                    next = self.queue.recv(), if !self.queue.is_closed() || !self.queue.is_empty() => self.current = next,
                }
            }
            // A transaction is not dropped half-way: `stop` waits for it.
            if !self.write().await {
                tokio::select! { deadline = &mut stop => break deadline, () = sleep(TICK) => {} }
            }
        };
        loop {
            self.current = self.current.take().or_else(|| self.queue.try_recv().ok());
            if self.current.is_none() {
                return;
            }
            match timeout_at(deadline, self.write()).await {
                Ok(true) => {}
                Ok(false) => sleep(RETRY).await,
                Err(_) => break,
            }
        }
        let events = self.queue.len() + usize::from(self.current.is_some());
        error!(events, "the process ends: lost events of dead, exposed or decoy secrets");
        self.metrics.lost.inc_by(u64::try_from(events).unwrap_or(0));
    }

    /// False: it has to be tried again.
    async fn write(&mut self) -> bool {
        let Some(alert) = &self.current else { return true };
        let (outcome, hint) = match alert {
            SecretAlert::Used(reuse) => (self.store.record_reuse(reuse).await, reuse.hint),
            SecretAlert::Exposed(exposed) => (self.store.record_exposure(exposed).await, exposed.hint),
        };
        match outcome {
            Ok(()) => {
                self.failures.succeeded();
            }
            Err(error @ (store::Error::Internal(_) | store::Error::BadRow { .. })) => {
                error!(%error, key_hint = %hint, "lost the event of a dead, exposed or decoy secret: the database refuses it");
                self.metrics.lost.inc();
            }
            Err(error) => {
                if self.failures.failed(&error) {
                    warn!(%error, key_hint = %hint, "could not record the event of a dead, exposed or decoy secret; trying again");
                }
                return false;
            }
        }
        self.current = None;
        true
    }
}
