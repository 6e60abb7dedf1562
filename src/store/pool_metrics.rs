//! Metrics of the connection pools and of the lookups' queues.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use sqlx::PgPool;

use super::{Database, Lookups, connection_turns::ConnectionTurns};

impl Database {
    /// Adds the metrics to the registry.
    pub fn register(&self, registry: &mut Registry) {
        let pools = [("management", self.tenant_stores.pool.clone()), ("checks", self.check_pool.clone())];
        let turns = self.tenant_stores.turns.clone();
        registry.register_collector(Box::new(ConnectionMetrics { pools, turns, lookups: self.lookups.clone() }));
    }
}

struct ConnectionMetrics {
    pools: [(&'static str, PgPool); 2],
    turns: ConnectionTurns,
    lookups: Lookups,
}

impl fmt::Debug for ConnectionMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionMetrics")
    }
}

impl Collector for ConnectionMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let help = "Connections to the database, by pool (management of keys, checks of keys) and state";
        let mut connections = encoder.encode_descriptor("rally_database_connections", help, None, MetricType::Gauge)?;
        for (name, pool) in &self.pools {
            let idle = u64::try_from(pool.num_idle()).unwrap_or(u64::MAX);
            // Read one after the other: a connection may have been released in between.
            let in_use = u64::from(pool.size()).saturating_sub(idle);
            for (state, count) in [("in_use", in_use), ("idle", idle)] {
                let labels = [("pool", *name), ("state", state)];
                ConstGauge::new(count).encode(connections.encode_family(&labels)?)?;
            }
        }
        let help = "Most connections that a pool opens, by pool";
        let mut limits = encoder.encode_descriptor("rally_database_connections_max", help, None, MetricType::Gauge)?;
        for (name, pool) in &self.pools {
            let limit = ConstGauge::new(u64::from(pool.options().get_max_connections()));
            limit.encode(limits.encode_family(&[("pool", *name)])?)?;
        }
        let help = "Calls of the management API that wait for their tenant's turn to use a connection, by share";
        let mut waiting = encoder.encode_descriptor("rally_database_turns_waiting", help, None, MetricType::Gauge)?;
        for (share, load) in self.turns.loads() {
            let count = ConstGauge::new(u64::try_from(load.queued).unwrap_or(u64::MAX));
            count.encode(waiting.encode_family(&[("share", share)])?)?;
        }
        let help = "Calls of the management API that were refused with 503 because too many waited for a connection";
        let mut refused = encoder.encode_descriptor("rally_database_turns_refused", help, None, MetricType::Counter)?;
        for (share, load) in self.turns.loads() {
            ConstCounter::new(load.refused).encode(refused.encode_family(&[("share", share)])?)?;
        }
        let (name, help) = ("rally_lookups_waiting", "Tenants and presented secrets that wait for a batched lookup");
        let waiting = ConstGauge::new(u64::try_from(self.lookups.waiting()).unwrap_or(u64::MAX));
        waiting.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        Ok(())
    }
}
