//! What is counted about checks of keys.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};

use super::{known::Source, lease::Lease, verdicts::Verdicts};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    result: &'static str,
    source: &'static str,
}

/// Counters of the verifier.
pub struct VerifierMetrics {
    verifications: Family<Labels, Counter>,
    /// By far the most frequent, so it is looked up once.
    accepted_from_cache: Counter,
    pub(super) stamps_written: Counter,
    pub(super) stamp_mismatches: Counter,
}

impl Default for VerifierMetrics {
    fn default() -> Self {
        let verifications = Family::<Labels, Counter>::default();
        let accepted = Labels { result: "accepted", source: "cache" };
        let accepted_from_cache = verifications.get_or_create(&accepted).clone();
        Self {
            verifications,
            accepted_from_cache,
            stamps_written: Counter::default(),
            stamp_mismatches: Counter::default(),
        }
    }
}

impl VerifierMetrics {
    /// Names them in the registry.
    pub fn register(&self, registry: &mut Registry) {
        let name = "rally_key_verifications";
        registry.register(
            name,
            "Checks of API keys, by result and by where the answer came from",
            self.verifications.clone(),
        );
        let name = "rally_key_stamps_written";
        registry.register(
            name,
            "Stamps that were missing or not under the current pepper",
            self.stamps_written.clone(),
        );
        let name = "rally_key_stamp_mismatches";
        registry.register(name, "Rows whose stamp was not their own: forged or copied", self.stamp_mismatches.clone());
    }

    pub(super) fn count(&self, result: &'static str, source: Source) {
        match (result, source) {
            ("accepted", Source::Cache) => self.accepted_from_cache.inc(),
            (result, source) => {
                let source = match source {
                    Source::Cache => "cache",
                    Source::Database => "database",
                };
                self.verifications.get_or_create(&Labels { result, source }).inc()
            }
        };
    }
}

/// What is measured when it is asked for.
pub struct Gauges {
    /// The lease of the change feed.
    pub lease: Arc<Lease>,
    /// What is remembered.
    pub verdicts: Arc<Verdicts>,
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: u64| {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let holds = u64::from(self.lease.holds());
        gauge("rally_change_feed_up", "1 while heartbeats come back and cached verdicts are used", holds)?;
        let entries = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        gauge("rally_cached_secrets", "Checked secrets that are remembered", entries(self.verdicts.secrets.len()))?;
        gauge("rally_cached_tenants", "Tenants that are remembered", entries(self.verdicts.tenants.len()))
    }
}
