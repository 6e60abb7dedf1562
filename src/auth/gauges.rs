//! Metrics of the cache, the change feed and the argon2 pool, read at each scrape.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use super::{
    api_key::hasher::SecretHasher,
    cache::{AuthCache, clock_offset::ClockOffset, feed_status::FeedStatus},
};
use crate::turns::Load;

pub(crate) struct AuthGauges {
    pub(crate) feed: FeedStatus,
    pub(crate) cache: Arc<AuthCache>,
    pub(crate) hasher: SecretHasher,
    pub(crate) clock_offset: Arc<ClockOffset>,
}

impl fmt::Debug for AuthGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthGauges")
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl AuthGauges {
    fn change_feed(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let up = ConstGauge::new(u64::from(self.feed.is_up()));
        let help = "1 while heartbeats come back through the database; 0: once the lease is over, each request with an API key \
                    queries the database";
        up.encode(encoder.encode_descriptor("rally_change_feed_up", help, None, up.metric_type())?)?;
        // There is no lag before the first heartbeat; `rally_change_feed_up` is 0 then.
        let Some(lag) = self.feed.lag() else { return Ok(()) };
        let lag = ConstGauge::new(lag.as_secs_f64());
        let help = "Age of the newest heartbeat that has come back through the database";
        lag.encode(encoder.encode_descriptor("rally_change_feed_lag", help, Some(&Unit::Seconds), lag.metric_type())?)
    }

    fn clock_offset(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let Some(offset) = self.clock_offset.get() else { return Ok(()) };
        let offset = ConstGauge::new(offset.as_seconds_f64());
        let help =
            "How far the clock of this machine is ahead of the database's, by the newest heartbeat; negative: behind";
        let name = "rally_database_clock_offset";
        offset.encode(encoder.encode_descriptor(name, help, Some(&Unit::Seconds), offset.metric_type())?)
    }

    fn argon2(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let Load { at_once, running, queued, refused } = self.hasher.load();
        for (name, help, value) in [
            ("rally_argon2_workers", "The largest number of argon2 hashes that run at once", at_once),
            ("rally_argon2_running", "argon2 hashes that are running", running),
            ("rally_argon2_waiting", "argon2 hashes that are queued", queued),
        ] {
            let gauge = ConstGauge::new(count(value));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let refused = ConstCounter::new(refused);
        let help = "argon2 hashes that were refused with 503 because the queue was full";
        refused.encode(encoder.encode_descriptor("rally_argon2_refused", help, None, refused.metric_type())?)
    }

    fn caches(&self, encoder: &mut DescriptorEncoder) -> Result<(), fmt::Error> {
        let AuthCache { secrets, tenants, .. } = &*self.cache;
        let sizes = [("secrets", secrets.len(), secrets.capacity()), ("tenants", tenants.len(), tenants.capacity())];
        let help = "Entries in the cache of verified secrets and in the cache of tenants";
        let mut entries = encoder.encode_descriptor("rally_cache_entries", help, None, MetricType::Gauge)?;
        for (cache, length, _) in sizes {
            ConstGauge::new(count(length)).encode(entries.encode_family(&[("cache", cache)])?)?;
        }
        let help = "The largest number of entries of each cache";
        let mut capacities = encoder.encode_descriptor("rally_cache_capacity", help, None, MetricType::Gauge)?;
        for (cache, _, capacity) in sizes {
            ConstGauge::new(count(capacity)).encode(capacities.encode_family(&[("cache", cache)])?)?;
        }
        let help = "Lookups of secrets and of tenants: a hit is answered by the cache, a miss queries the database";
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

impl Collector for AuthGauges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        self.change_feed(&mut encoder)?;
        self.clock_offset(&mut encoder)?;
        self.caches(&mut encoder)?;
        self.argon2(&mut encoder)
    }
}
