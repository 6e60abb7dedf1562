//! HTTP: the accept loop, routes, middleware, and the management API.
//!
//! `server` (accept loop; `tls`) → `dispatch` (every request; `/forward-auth` ends here) → `middleware` → `routes` → a handler.

mod api_keys;
mod authorized;
pub mod console;
pub mod dispatch;
mod docs;
pub mod drain;
mod entity_tags;
mod forward_auth;
mod input;
mod key_lifecycle_headers;
mod landing;
mod leaks;
mod me;
mod metrics_text;
mod middleware;
mod minute_counts;
mod names;
mod openapi;
mod operator_endpoints;
mod origins;
pub mod prefer;
mod problem;
mod rate_limit_fields;
mod refusal_log;
mod request_body;
pub(crate) mod request_metrics;
mod request_scope;
pub(crate) mod request_traces;
pub mod response_buffers;
mod routes;
mod sender;
pub(crate) mod server;
mod socket;
mod static_files;
pub(crate) mod tls;
mod watched_body;

use std::sync::Arc;

use axum::extract::FromRef;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

pub(crate) use self::api_keys::{
    event_details::{ended_secret_details, idle_notice, idle_suspension, leak_details},
    events::{grant_details, receipt_details, suspension_details},
};
pub(crate) use self::leaks::LeakReport;
pub use self::leaks::LeakReports;
pub use self::routes::{operator_dispatcher, public_dispatcher};
use self::{
    drain::Drain, prefer::MaxWait, request_metrics::RequestMetrics, request_traces::RequestTraces,
    response_buffers::ResponseBuffers,
};
use crate::{
    auth::{
        api_key::hasher::SecretHasher,
        authenticator::Authenticator,
        cache::{feed_status::FeedStatus, receipts::Receipts},
    },
    domain::Clock,
    limits::RateLimiter,
};

/// What handlers can extract.
#[derive(Clone)]
#[allow(missing_docs, reason = "the types say it")]
pub struct AppState {
    pub authenticator: Arc<Authenticator>,
    pub hasher: SecretHasher,
    pub buffers: ResponseBuffers,
    pub clock: Clock,
    pub feed: FeedStatus,
    pub receipts: Receipts,
    pub max_wait: MaxWait,
    pub leaks: LeakReports,
    pub limiter: RateLimiter,
    pub metrics: Arc<Registry>,
    /// A metric that is set at each scrape.
    pub ready: Gauge,
    pub requests: Arc<RequestMetrics>,
    /// None: no traces are sent.
    pub traces: Option<RequestTraces>,
    pub drain: Drain,
}

impl FromRef<AppState> for Arc<Authenticator> {
    fn from_ref(state: &AppState) -> Self {
        state.authenticator.clone()
    }
}

impl FromRef<AppState> for Clock {
    fn from_ref(state: &AppState) -> Self {
        state.clock.clone()
    }
}

impl FromRef<AppState> for ResponseBuffers {
    fn from_ref(state: &AppState) -> Self {
        state.buffers.clone()
    }
}

impl FromRef<AppState> for Receipts {
    fn from_ref(state: &AppState) -> Self {
        state.receipts.clone()
    }
}

impl FromRef<AppState> for MaxWait {
    fn from_ref(state: &AppState) -> Self {
        state.max_wait
    }
}

impl FromRef<AppState> for SecretHasher {
    fn from_ref(state: &AppState) -> Self {
        state.hasher.clone()
    }
}
