//! The size of the local counts, read at each scrape.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
};

use super::local::LocalCounts;

pub(super) struct KeysWithState(pub(super) Arc<LocalCounts>);

impl fmt::Debug for KeysWithState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeysWithState")
    }
}

impl Collector for KeysWithState {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let keys = ConstGauge::new(u64::try_from(self.0.len()).unwrap_or(u64::MAX));
        let help = "Rate-limit entries in this process; a key whose whole burst is available has none";
        keys.encode(encoder.encode_descriptor("rally_limits_keys", help, None, keys.metric_type())?)
    }
}
