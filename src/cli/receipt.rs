//! `--wait`: a command waits for the receipt of its change.

use std::time::Duration;

use tokio::{task::JoinHandle, time::timeout};

use super::Error;
use crate::{
    auth::cache::{observer::observe, receipts::Receipts},
    config::Config,
    domain::{Moment, Receipt, Revision},
    store::DatabaseUrl,
};

/// How much longer than its lease a command waits for a receipt.
const EXTRA_WAIT: Duration = Duration::from_secs(30);

/// Listens to the instances, from before a change on.
pub(super) struct ReceiptWaiter {
    receipts: Receipts,
    lease: Duration,
    observer: JoinHandle<String>,
}

impl ReceiptWaiter {
    /// `url`: the command's own, if DATABASE_DIRECT_URL is not set.
    pub(super) fn start(config: &Config, url: &DatabaseUrl) -> Self {
        let lease = config.revocation.lease;
        let receipts = Receipts::observing(lease);
        let url = config.database.direct_url.clone().unwrap_or_else(|| url.clone());
        let (shared, keys) = (receipts.clone(), config.keys.peppers.acknowledging_keys());
        let observer = tokio::spawn(async move { observe(&url, &keys, &shared).await });
        Self { receipts, lease, observer }
    }

    /// The receipt of all that was committed before.
    pub(super) async fn receipt(self) -> Result<Receipt, Error> {
        let wait = self.receipts.wait_for(Moment::now());
        // A lease of another instance may be longer.
        let limit = self.lease + EXTRA_WAIT;
        let why = tokio::select! {
            receipt = timeout(limit, wait.receipt()) => match receipt {
                Ok(Some(receipt)) => return Ok(receipt),
                _ => format!("it is not complete after {} s", limit.as_secs()),
            },
            error = self.observer => error.unwrap_or_else(|error| error.to_string()),
        };
        Err(Error::Refused(format!(
            "the change is made, and there is no receipt: {why}. Repeat the command to try again"
        )))
    }
}

/// A line about a receipt.
pub(super) fn describe(revision: Option<Revision>, receipt: &Receipt) -> String {
    let revision = revision.map(|revision| format!("revision={revision}, ")).unwrap_or_default();
    format!("receipt: {revision}{receipt}")
}
