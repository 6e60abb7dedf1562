//! Counters of requests, by method, route and status. No label contains a tenant, a key or a value from a client: a
//! route is a template of ours, and an unknown method is `other`.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::http::{Method, StatusCode};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter},
    registry::Unit,
};

use super::{names::FORWARD_AUTH, problem::Code};

/// The methods of RFC 9110 and RFC 5789, and a label for all others.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "other"];

/// A method out of a fixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KnownMethod(usize);

impl KnownMethod {
    pub(crate) fn name(self) -> &'static str {
        METHODS[self.0]
    }
}

impl From<&Method> for KnownMethod {
    fn from(method: &Method) -> Self {
        let known = METHODS.iter().position(|name| *name == method.as_str());
        Self(known.unwrap_or(METHODS.len() - 1))
    }
}

/// Upper bounds of the latency buckets, in microseconds. A check takes some 50, a create some 30,000; requests time
/// out at the last bound but one; those that wait for a receipt, later.
const BOUNDS: [u64; 18] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 30_000_000, 60_000_000,
];
const MIN_STATUS: u16 = 100;
const STATUSES: usize = 900;

/// The counters of one method on one route. Plain atomics, since prometheus-client's histogram takes a lock; each
/// request changes three.
struct MethodCounters {
    /// By status, from [`MIN_STATUS`] on.
    responses: Box<[AtomicU64]>,
    /// By latency bucket; the last one is for latencies above all bounds.
    latencies: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl MethodCounters {
    fn new() -> Self {
        let responses = std::iter::repeat_with(AtomicU64::default).take(STATUSES).collect();
        Self { responses, latencies: Default::default(), micros: AtomicU64::default() }
    }

    fn count(&self, status: StatusCode, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        // StatusCode is 100 to 999.
        if let Some(responses) = self.responses.get(usize::from(status.as_u16() - MIN_STATUS)) {
            responses.fetch_add(1, Ordering::Relaxed);
        }
        self.latencies[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Each status with a count above zero.
    fn responses(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.responses.iter().map(|count| count.load(Ordering::Relaxed));
        (MIN_STATUS..).zip(counts).filter(|(_, count)| *count > 0)
    }

    /// The sum in seconds, and for each bucket its upper bound in seconds and its count.
    #[allow(clippy::cast_precision_loss, reason = "a metric needs no more precision")]
    fn latencies(&self) -> (f64, Vec<(f64, u64)>) {
        let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
        let buckets = bounds.zip(self.latencies.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        (self.micros.load(Ordering::Relaxed) as f64 / 1e6, buckets)
    }
}

/// The counters of one route.
pub struct RouteCounters {
    methods: [OnceLock<MethodCounters>; METHODS.len()],
    /// By code.
    problems: [AtomicU64; Code::ALL.len()],
}

impl Default for RouteCounters {
    fn default() -> Self {
        Self { methods: Default::default(), problems: std::array::from_fn(|_| AtomicU64::default()) }
    }
}

impl RouteCounters {
    pub(crate) fn count(&self, method: KnownMethod, status: StatusCode, latency: Duration) {
        self.methods[method.0].get_or_init(MethodCounters::new).count(status, latency);
    }

    pub(crate) fn count_problem(&self, code: Code) {
        self.problems[code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Each code with a count above zero.
    fn problems(&self) -> impl Iterator<Item = (Code, u64)> {
        let counts = self.problems.iter().map(|count| count.load(Ordering::Relaxed));
        Code::ALL.iter().copied().zip(counts).filter(|(_, count)| *count > 0)
    }

    fn by_method(&self) -> impl Iterator<Item = (&'static str, &MethodCounters)> {
        METHODS.into_iter().zip(&self.methods).filter_map(|(method, counters)| Some((method, counters.get()?)))
    }

    /// Method, status and count.
    #[cfg(test)]
    pub(crate) fn responses(&self) -> Vec<(&'static str, u16, u64)> {
        let of = |(method, counters): (_, &MethodCounters)| {
            counters.responses().map(|(status, count)| (method, status, count)).collect::<Vec<_>>()
        };
        self.by_method().flat_map(of).collect()
    }
}

/// The counters of all requests.
pub struct RequestMetrics {
    /// `/forward-auth`, without the lookup of its route: it is most of the traffic.
    pub(crate) checks: Arc<RouteCounters>,
    routes: RwLock<HashMap<Box<str>, Arc<RouteCounters>>>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let checks = Arc::<RouteCounters>::default();
        let routes = HashMap::from([(FORWARD_AUTH.into(), checks.clone())]);
        Self { checks, routes: RwLock::new(routes) }
    }
}

impl RequestMetrics {
    /// The counters of a route. `template` must be one of the router's or [`super::names::UNMATCHED`], since each
    /// value takes memory.
    pub(crate) fn route(&self, template: &str) -> Arc<RouteCounters> {
        if let Some(route) = self.routes.read().unwrap_or_else(PoisonError::into_inner).get(template) {
            return route.clone();
        }
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.entry(template.into()).or_default().clone()
    }
}

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestMetrics")
    }
}

impl Collector for RequestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let mut routes: Vec<_> = routes.iter().collect();
        routes.sort_unstable_by_key(|(name, _)| *name);
        let help = "HTTP requests with a response, by method, route template and status";
        let mut requests = encoder.encode_descriptor("rally_http_requests", help, None, MetricType::Counter)?;
        for (name, route) in &routes {
            for (method, counters) in route.by_method() {
                for (status, count) in counters.responses() {
                    let status = status.to_string();
                    let labels = [("method", method), ("route", name), ("status", &status)];
                    ConstCounter::new(count).encode(requests.encode_family(&labels)?)?;
                }
            }
        }
        let help = "Responses that are a problem, by route template and code";
        let mut problems = encoder.encode_descriptor("rally_http_problems", help, None, MetricType::Counter)?;
        for (name, route) in &routes {
            for (code, count) in route.problems() {
                let labels = [("code", code.unique_name()), ("route", name)];
                ConstCounter::new(count).encode(problems.encode_family(&labels)?)?;
            }
        }
        let (name, help) = (
            "rally_http_request_duration",
            "Time from the request's header to its response, by method and route template",
        );
        let mut durations = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (name, route) in &routes {
            for (method, counters) in route.by_method() {
                let (sum, buckets) = counters.latencies();
                let count = buckets.iter().map(|(_, count)| count).sum();
                let labels = [("method", method), ("route", name)];
                durations.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}
