//! What is measured about the pools of connections.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};
use sqlx::PgPool;

use super::Store;

impl Store {
    /// Names what is measured about its pools in the registry.
    pub fn register(&self, registry: &mut Registry) {
        let pools = [("management", self.pool.clone()), ("checks", self.checks.clone())];
        registry.register_collector(Box::new(Pools(pools)));
    }
}

#[derive(Debug)]
struct Pools([(&'static str, PgPool); 2]);

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "Connections to the database, by pool and by whether they are lent";
        let mut connections = encoder.encode_descriptor("rally_database_connections", help, None, MetricType::Gauge)?;
        for (name, pool) in &self.0 {
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
        for (name, pool) in &self.0 {
            let limit = ConstGauge::new(u64::from(pool.options().get_max_connections()));
            limit.encode(limits.encode_family(&[("pool", *name)])?)?;
        }
        Ok(())
    }
}
