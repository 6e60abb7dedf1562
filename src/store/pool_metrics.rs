//! What is measured about the pools of connections.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};
use sqlx::PgPool;

use super::{Store, secret_batcher::SecretBatcher};

impl Store {
    /// Names what is measured about its pools in the registry.
    pub fn register(&self, registry: &mut Registry) {
        let pools = [("management", self.pool.clone()), ("checks", self.checks.clone())];
        registry.register_collector(Box::new(Pools { pools, look_ups: self.look_ups.clone() }));
    }
}

struct Pools {
    pools: [(&'static str, PgPool); 2],
    look_ups: SecretBatcher,
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pools")
    }
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "Connections to the database, by pool and by whether they are lent";
        let mut connections = encoder.encode_descriptor("rally_database_connections", help, None, MetricType::Gauge)?;
        for (name, pool) in &self.pools {
            let idle = u64::try_from(pool.num_idle()).unwrap_or(u64::MAX);
            // Read one after the other: a connection may have come back in between.
            let in_use = u64::from(pool.size()).saturating_sub(idle);
            for (state, count) in [("in_use", in_use), ("idle", idle)] {
                let labels = [("pool", *name), ("state", state)];
                ConstGauge::new(count).encode(connections.encode_family(&labels)?)?;
            }
        }
        let help = "Connections that a pool may have at most";
        let mut limits = encoder.encode_descriptor("rally_database_connections_max", help, None, MetricType::Gauge)?;
        for (name, pool) in &self.pools {
            let limit = ConstGauge::new(u64::from(pool.options().get_max_connections()));
            limit.encode(limits.encode_family(&[("pool", *name)])?)?;
        }
        let (name, help) = ("rally_look_ups_waiting", "Presented secrets that wait to be looked up");
        let waiting = ConstGauge::new(u64::try_from(self.look_ups.waiting()).unwrap_or(u64::MAX));
        waiting.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        Ok(())
    }
}
