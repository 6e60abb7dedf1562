//! The registry of metrics, and those that belong to no other part.

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use super::run::MAX_ADMIN_CONNECTIONS;

/// A registry with the metrics that every program has.
pub(super) fn registry() -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("rally_build", "The version of this instance, in a label", build);
    #[cfg(target_os = "linux")]
    registry.register_collector(Box::new(super::process_metrics::ProcessMetrics));
    registry
}

/// The readiness gauge, set at each scrape.
pub(super) fn ready(registry: &mut Registry) -> Gauge {
    let ready = Gauge::default();
    let help = "1: requests can be served, as /readyz says; 0: they cannot";
    registry.register("rally_ready", help, ready.clone());
    ready
}

/// The open connections of each listener.
pub(super) struct ConnectionGauges {
    pub(super) public: Gauge,
    pub(super) admin: Gauge,
}

impl ConnectionGauges {
    pub(super) fn register(registry: &mut Registry, max_public: usize) -> Self {
        let [open, max] = [(); 2].map(|()| Family::<[(&str, &str); 1], Gauge>::default());
        let of = |family: &Family<_, Gauge>, listener| family.get_or_create(&[("listener", listener)]).clone();
        let gauges = Self { public: of(&open, "public"), admin: of(&open, "admin") };
        for (listener, limit) in [("public", max_public), ("admin", MAX_ADMIN_CONNECTIONS)] {
            of(&max, listener).set(i64::try_from(limit).unwrap_or(i64::MAX));
        }
        registry.register("rally_http_connections", "Open connections of clients, by listener", open);
        let help = "The largest number of open connections of each listener; further ones wait in the kernel's queue";
        registry.register("rally_http_connections_max", help, max);
        gauges
    }
}
