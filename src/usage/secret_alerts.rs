//! Records secret alerts in the audit trail: uses of ended secrets and of decoys, and secrets that came over plain HTTP.

use tracing::{error, info, warn};

use super::{Metrics, failure_log::FailureLog};
use crate::{
    queue_worker::Handler,
    store::{SecretAlert, UsageStore},
};

pub(super) struct SecretAlertRecorder {
    pub(super) store: UsageStore,
    pub(super) metrics: Metrics,
    pub(super) failures: FailureLog,
}

impl Handler<SecretAlert> for SecretAlertRecorder {
    async fn handle(&mut self, alert: SecretAlert) -> Option<SecretAlert> {
        match self.store.record_alert(&alert).await {
            Ok(()) => {
                if self.failures.succeeded() {
                    info!("events about secrets are recorded again");
                }
                None
            }
            Err(error) if error.is_defect() => {
                error!(%error, key_hint = %alert.hint, "lost the event of a secret that ended, was exposed or is a decoy's: the database refuses it");
                self.metrics.lost.inc();
                None
            }
            Err(error) => {
                if self.failures.failed(&error) {
                    warn!(%error, key_hint = %alert.hint, "could not record the event of a secret that ended, was exposed or is a decoy's; trying again");
                }
                Some(alert)
            }
        }
    }

    fn lost(&mut self, items: usize) {
        error!(events = items, "the process ends: lost events about secrets that ended, were exposed or are decoys'");
        self.metrics.lost.inc_by(u64::try_from(items).unwrap_or(0));
    }
}
