//! `/metrics`, in OpenMetrics' text form: on any host, without a credential. No label names a
//! tenant or a key, and none takes a value from a client: a route is a template of ours, and an
//! unknown method is `other`.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::State,
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet, text::encode},
    metrics::{MetricType, counter::ConstCounter},
    registry::Unit,
};

use super::{AppState, forward_auth};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where [`metrics`] is.
pub const METRICS: &str = "/metrics";

/// Everything that is counted and measured (OpenMetrics 1.0).
pub async fn metrics(State(state): State<AppState>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &state.metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(), // writing to a String does not fail
    }
}

/// What is told of a path that no route takes.
pub const UNMATCHED: &str = "unmatched";

/// The methods of RFC 9110 and 5789; any other token is a method too.
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "other"];

/// A method, out of a fixed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownMethod(usize);

impl KnownMethod {
    /// Its name; `other`, where nobody has heard of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        METHODS[self.0]
    }
}

impl From<&Method> for KnownMethod {
    fn from(method: &Method) -> Self {
        let known = METHODS.iter().position(|name| *name == method.as_str());
        Self(known.unwrap_or(METHODS.len() - 1))
    }
}

/// Upper bounds of the buckets of latency, in microseconds: a check takes tens of them, a key that is
/// made some 30,000, and nobody waits for longer than the last.
const BOUNDS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 30_000_000,
];
const MIN_STATUS: u16 = 100;
const STATUSES: usize = 900;

/// What is counted of one method on one route. Plain numbers: each request touches three, without a
/// lock. (prometheus-client's own histogram has one.)
struct Tally {
    /// By status, from [`MIN_STATUS`] on.
    answers: Box<[AtomicU64]>,
    /// By latency; the last one is for what is above all bounds.
    latencies: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Tally {
    fn new() -> Self {
        let answers = std::iter::repeat_with(AtomicU64::default).take(STATUSES).collect();
        Self { answers, latencies: Default::default(), micros: AtomicU64::default() }
    }

    fn count(&self, status: StatusCode, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        // StatusCode is 100 to 999.
        if let Some(answers) = self.answers.get(usize::from(status.as_u16() - MIN_STATUS)) {
            answers.fetch_add(1, Ordering::Relaxed);
        }
        self.latencies[bucket].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Each status that was answered, and how often.
    fn answers(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.answers.iter().map(|count| count.load(Ordering::Relaxed));
        (MIN_STATUS..).zip(counts).filter(|(_, count)| *count > 0)
    }

    /// Each bucket's upper bound in seconds, and how many are in it.
    #[allow(clippy::cast_precision_loss, reason = "figures of time")]
    fn latencies(&self) -> (f64, Vec<(f64, u64)>) {
        let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
        let buckets = bounds.zip(self.latencies.iter().map(|count| count.load(Ordering::Relaxed))).collect();
        (self.micros.load(Ordering::Relaxed) as f64 / 1e6, buckets)
    }
}

/// What is counted of one route, by method.
#[derive(Default)]
pub struct Route([OnceLock<Tally>; METHODS.len()]);

impl Route {
    /// A request was answered.
    pub fn count(&self, method: KnownMethod, status: StatusCode, latency: Duration) {
        self.0[method.0].get_or_init(Tally::new).count(status, latency);
    }

    fn tallies(&self) -> impl Iterator<Item = (&'static str, &Tally)> {
        METHODS.into_iter().zip(&self.0).filter_map(|(method, tally)| Some((method, tally.get()?)))
    }

    /// What was answered, and how often.
    #[cfg(test)]
    pub fn answers(&self) -> Vec<(&'static str, u16, u64)> {
        let of = |(method, tally): (_, &Tally)| tally.answers().map(|(s, n)| (method, s, n)).collect::<Vec<_>>();
        self.tallies().flat_map(of).collect()
    }
}

/// What is counted of requests, by route, method and status.
pub struct RequestMetrics {
    /// Gateways ask it before each request to the CRM, so it is at hand.
    pub checks: Arc<Route>,
    routes: RwLock<HashMap<Box<str>, Arc<Route>>>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let checks = Arc::<Route>::default();
        let routes = HashMap::from([(forward_auth::ROUTE.into(), checks.clone())]);
        Self { checks, routes: RwLock::new(routes) }
    }
}

impl RequestMetrics {
    /// A route, by its template; there are as many as the router has, and [`UNMATCHED`].
    pub fn route(&self, template: &str) -> Arc<Route> {
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
        let help = "Requests that were answered, by the template of their route";
        let mut requests = encoder.encode_descriptor("rally_http_requests", help, None, MetricType::Counter)?;
        for (name, route) in &routes {
            for (method, tally) in route.tallies() {
                for (status, count) in tally.answers() {
                    let status = status.to_string();
                    let labels = [("method", method), ("route", name), ("status", &status)];
                    ConstCounter::new(count).encode(requests.encode_family(&labels)?)?;
                }
            }
        }
        let (name, help) = ("rally_http_request_duration", "How long it took to answer");
        let mut durations = encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (name, route) in &routes {
            for (method, tally) in route.tallies() {
                let (sum, buckets) = tally.latencies();
                let count = buckets.iter().map(|(_, count)| count).sum();
                let labels = [("method", method), ("route", name)];
                durations.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }
}
