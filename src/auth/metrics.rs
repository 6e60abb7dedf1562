//! What is counted and measured about checks of keys.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{
        MetricType,
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
    },
    registry::{Registry, Unit},
};

use super::{
    api_key::{argon2_pool::Load, hasher::SecretHasher},
    cache::{AuthCache, cached_secret::Evidence, lease::Lease},
};

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
        let accepted = Labels { result: "accepted", source: Evidence::Cache.label() };
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
        let help = "Checks of API keys, by result and by what the secret was believed on";
        registry.register(name, help, self.verifications.clone());
        let name = "rally_key_stamps_written";
        registry.register(
            name,
            "Stamps that were missing or not under the current pepper",
            self.stamps_written.clone(),
        );
        let name = "rally_key_stamp_mismatches";
        registry.register(name, "Rows whose stamp was not their own: forged or copied", self.stamp_mismatches.clone());
    }

    pub(super) fn count(&self, result: &'static str, grounds: Evidence) {
        match (result, grounds) {
            ("accepted", Evidence::Cache) => self.accepted_from_cache.inc(),
            _ => self.verifications.get_or_create(&Labels { result, source: grounds.label() }).inc(),
        };
    }
}

/// What is measured when it is asked for.
pub struct Gauges {
    /// The lease of the change feed.
    pub lease: Arc<Lease>,
    /// What is remembered.
    pub verdicts: Arc<AuthCache>,
    /// Where argon2 runs.
    pub hasher: SecretHasher,
}

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

fn whole(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Gauges {
    fn feed(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let up = ConstGauge::new(u64::from(self.lease.holds()));
        let help = "1 while heartbeats come back and cached verdicts are used";
        up.encode(encoder.encode_descriptor("rally_change_feed_up", help, None, up.metric_type())?)?;
        // Before the first heartbeat there is nothing to tell; `rally_change_feed_up` is 0 then.
        let Some(lag) = self.lease.lag() else { return Ok(()) };
        let lag = ConstGauge::new(lag.as_secs_f64());
        let help = "How long ago the newest heartbeat was sent that has come back";
        lag.encode(encoder.encode_descriptor("rally_change_feed_lag", help, Some(&Unit::Seconds), lag.metric_type())?)
    }

    fn argon2(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let Load { workers, running, queued, refused } = self.hasher.load();
        for (name, help, value) in [
            ("rally_argon2_workers", "argon2 hashes that run at once at most", workers),
            ("rally_argon2_running", "argon2 hashes that run", running),
            ("rally_argon2_waiting", "argon2 hashes that wait for a core", queued),
        ] {
            let gauge = ConstGauge::new(whole(value));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let refused = ConstCounter::new(refused);
        let help = "argon2 hashes that were refused, since too many waited";
        refused.encode(encoder.encode_descriptor("rally_argon2_refused", help, None, refused.metric_type())?)
    }

    fn caches(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let AuthCache { secrets, tenants, .. } = &*self.verdicts;
        let sizes = [("secrets", secrets.len(), secrets.capacity()), ("tenants", tenants.len(), tenants.capacity())];
        let help = "What is remembered of checked secrets and of tenants";
        let mut entries = encoder.encode_descriptor("rally_cache_entries", help, None, MetricType::Gauge)?;
        for (cache, length, _) in sizes {
            ConstGauge::new(whole(length)).encode(entries.encode_family(&[("cache", cache)])?)?;
        }
        let help = "As many entries at most";
        let mut capacities = encoder.encode_descriptor("rally_cache_capacity", help, None, MetricType::Gauge)?;
        for (cache, _, capacity) in sizes {
            ConstGauge::new(whole(capacity)).encode(capacities.encode_family(&[("cache", cache)])?)?;
        }
        let help = "Questions that were answered by what is remembered, or that the database was asked";
        let mut lookups = encoder.encode_descriptor("rally_cache_lookups", help, None, MetricType::Counter)?;
        for (cache, (hits, misses)) in [("secrets", secrets.hits_and_misses()), ("tenants", tenants.hits_and_misses())]
        {
            for (result, count) in [("hit", hits), ("miss", misses)] {
                let labels = [("cache", cache), ("result", result)];
                ConstCounter::new(count).encode(lookups.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        self.feed(&mut encoder)?;
        self.caches(&mut encoder)?;
        self.argon2(&mut encoder)
    }
}
