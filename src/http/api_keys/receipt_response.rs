//! The JSON of a receipt, as a response and in the details of its event, and its header.

use std::time::Duration;

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
    /// Live instances: heard within their lease
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

    pub(super) fn receipt(&self) -> Receipt {
        let Self { instances, acknowledged, lapsed, slowest_ms, .. } = *self;
        let slowest = Duration::try_from_secs_f64(slowest_ms / 1_000.0).unwrap_or_default();
        Receipt { instances, acknowledged, lapsed, slowest }
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
    /// Live instances: heard within their lease
    instances: usize,
    /// Those that have invalidated what they had cached
    acknowledged: usize,
    /// Those that were silent until they had lost their lease on the cache
    lapsed: usize,
    /// From the change to the last acknowledgement, in milliseconds
    slowest_ms: f64,
    /// The ids of the instances that have neither acknowledged nor lost their lease
    outstanding: Vec<Uuid>,
    /// The receipt is complete within so many seconds (null: not known before the question of this instance has come back
    /// through the database)
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
            outstanding: outstanding.iter().map(|instance| instance.0).collect(),
            complete_within_seconds: left.map(|left| if is_complete { 0 } else { left.as_secs() + 1 }),
        }
    }
}

/// `Rally-Receipt`: a dictionary of RFC 9651. The string's characters need no escaping.
pub(super) fn header(revision: Revision, receipt: &Receipt) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("revision=\"{revision}\", {receipt}")).ok()
}
