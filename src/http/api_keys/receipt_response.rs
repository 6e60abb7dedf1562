//! The JSON of a receipt, as a response and in the details of its event, and its header.

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    auth::cache::receipts::Progress,
    domain::{Moment, Receipt, Revision},
};

/// Proof that no instance uses a state from before a change any more
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct ReceiptDetails {
    /// The change: the id of its event
    pub(super) revision: Uuid,
    /// The instances that lived
    #[schema(example = 3)]
    pub(super) instances: usize,
    /// Those that have invalidated the key
    #[schema(example = 3)]
    pub(super) acknowledged: usize,
    /// Those that were silent until they had lost their lease on the cache
    #[schema(example = 0)]
    pub(super) lapsed: usize,
    /// From the change to the last acknowledgement, in milliseconds
    #[schema(example = 2.1)]
    pub(super) slowest_ms: f64,
}

impl ReceiptDetails {
    pub(super) fn new(revision: Revision, receipt: &Receipt) -> Self {
        let Receipt { instances, acknowledged, lapsed, .. } = *receipt;
        Self { revision: revision.0, instances, acknowledged, lapsed, slowest_ms: receipt.slowest_ms() }
    }
}

/// Whether an instance may still use a state from before a change
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReceiptResponse {
    /// The change: the id of its event
    revision: Uuid,
    /// No instance uses a state from before the change any more
    is_complete: bool,
    /// The instances that lived when they were asked about the change
    instances: usize,
    /// Those that have invalidated what they had cached
    acknowledged: usize,
    /// Those that were silent until they had lost their lease on the cache
    lapsed: usize,
    /// From the change to the last acknowledgement, in milliseconds
    slowest_ms: f64,
    /// The ids of the instances that have neither acknowledged nor lost their lease
    outstanding: Vec<String>,
    /// In how many seconds the receipt is complete at the latest (null: unknown, since this instance does not reach the
    /// others through the database now)
    complete_within_seconds: Option<u64>,
}

impl ReceiptResponse {
    pub(super) fn new(revision: Revision, progress: Progress) -> Self {
        let Progress { receipt, outstanding, complete_at, is_complete } = progress;
        let left = complete_at.map(|at| at.since(Moment::now()));
        Self {
            revision: revision.0,
            is_complete,
            instances: receipt.instances,
            acknowledged: receipt.acknowledged,
            lapsed: receipt.lapsed,
            slowest_ms: receipt.slowest_ms(),
            outstanding: outstanding.iter().map(ToString::to_string).collect(),
            complete_within_seconds: left.map(|left| if is_complete { 0 } else { left.as_secs() + 1 }),
        }
    }

    /// One that the audit trail keeps.
    pub(super) fn kept(
        ReceiptDetails { revision, instances, acknowledged, lapsed, slowest_ms }: ReceiptDetails,
    ) -> Self {
        Self {
            revision,
            is_complete: true,
            instances,
            acknowledged,
            lapsed,
            slowest_ms,
            outstanding: Vec::new(),
            complete_within_seconds: Some(0),
        }
    }

    /// `Rally-Receipt`. `None`: it is not complete.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let Self { revision, instances, acknowledged, lapsed, slowest_ms, .. } = self;
        // A dictionary of RFC 9651: a string, whose characters need no escaping, integers, and a decimal.
        let text = format!(
            "revision=\"{revision}\", instances={instances}, acknowledged={acknowledged}, lapsed={lapsed}, \
             slowest-ms={slowest_ms:.1}"
        );
        self.is_complete.then(|| HeaderValue::try_from(text).ok()).flatten()
    }
}

/// `Rally-Receipt` of a receipt.
pub(super) fn header(revision: Revision, receipt: &Receipt) -> Option<HeaderValue> {
    ReceiptResponse::kept(ReceiptDetails::new(revision, receipt)).header()
}
