//! Buffers for responses that may be large: lists, events, usage.
//!
//! A buffer is in use from before its contents are read from the database until the last byte of them is sent. Their
//! number is limited for each tenant and in all, and tenants take turns, so that clients that do not read their
//! responses use up neither memory nor the buffers of other tenants. A buffer holds up to about 1 MiB.

use std::{fmt, time::Duration};

use axum::body::Bytes;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::{
    domain::TenantId,
    turns::{Limits, Overloaded, Turn, Turns},
};

const LIMITS: Limits = Limits { at_once: 32, at_once_per_tenant: 8, queued: 1_000 };

/// Clones share the buffers.
#[derive(Clone)]
pub struct ResponseBuffers {
    turns: Turns,
    /// Where pages are read, so that a client that leaves cancels no statement.
    pub(super) tasks: TaskTracker,
}

/// An empty buffer.
pub(super) struct ResponseBuffer(Turn);

impl ResponseBuffers {
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self { turns: Turns::new(LIMITS), tasks }
    }

    /// Waits, up to `limit`, until there is a buffer and it is the tenant's turn.
    pub(super) async fn take(&self, tenant: TenantId, limit: Duration) -> Result<ResponseBuffer, Overloaded> {
        timeout(limit, self.turns.take(tenant)).await.unwrap_or(Err(Overloaded)).map(ResponseBuffer)
    }
}

impl Default for ResponseBuffers {
    fn default() -> Self {
        Self::new(TaskTracker::new())
    }
}

impl ResponseBuffer {
    /// The buffer is in use until these bytes, and every part of them, are dropped.
    pub(super) fn fill(self, bytes: Vec<u8>) -> Bytes {
        struct Filled {
            bytes: Vec<u8>,
            _turn: Turn,
        }
        impl AsRef<[u8]> for Filled {
            fn as_ref(&self) -> &[u8] {
                &self.bytes
            }
        }
        Bytes::from_owner(Filled { bytes, _turn: self.0 })
    }
}

impl fmt::Debug for ResponseBuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseBuffers")
    }
}

impl Collector for ResponseBuffers {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let load = self.turns.load();
        for (name, help, value) in [
            ("rally_response_buffers_max", "The largest number of buffers for large responses", load.at_once),
            ("rally_response_buffers", "Buffers whose response is being read or sent", load.running),
            ("rally_response_buffers_waiting", "Large responses that wait for a buffer", load.queued),
        ] {
            let gauge = ConstGauge::new(u64::try_from(value).unwrap_or(u64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let help = "Large responses that were refused with 503 because too many waited for a buffer";
        let refused = ConstCounter::new(load.refused);
        refused.encode(encoder.encode_descriptor("rally_response_buffers_refused", help, None, MetricType::Counter)?)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_buffer_is_free_when_every_part_of_its_contents_is_dropped() {
        let buffers = ResponseBuffers::default();
        let tenant = TenantId(Uuid::nil());
        let mut bytes = buffers.take(tenant, Duration::from_secs(5)).await.unwrap().fill(vec![1; 100]);
        let part = bytes.split_to(40);
        drop(bytes);
        assert_eq!(buffers.turns.load().running, 1);
        drop(part);
        assert_eq!(buffers.turns.load().running, 0);
    }

    #[tokio::test]
    async fn a_tenant_whose_buffers_are_unread_leaves_buffers_to_others() {
        let buffers = ResponseBuffers::default();
        let take = |n| buffers.take(TenantId(Uuid::from_u128(n)), Duration::from_secs(5)).now_or_never();
        let unread: Vec<_> = (0..LIMITS.at_once_per_tenant).map(|_| take(1).unwrap().unwrap().fill(vec![1])).collect();
        assert!(take(1).is_none(), "waits");
        assert!(take(2).is_some_and(|buffer| buffer.is_ok()));
        drop(unread);
        assert!(take(1).is_some());
    }
}
