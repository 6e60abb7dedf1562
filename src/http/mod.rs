//! Routes and layers.

pub mod api_keys;
pub mod authorized;
pub mod dispatch;
mod docs;
pub mod drain;
mod forward_auth;
mod health;
pub mod input;
mod key_lifecycle_headers;
mod layers;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod request_scope;
pub mod server;
mod socket;
pub mod traces;

use std::sync::Arc;

use axum::{
    Router,
    extract::FromRef,
    http::{HeaderValue, header},
    middleware::{from_fn, from_fn_with_state},
    routing::get,
};
use prometheus_client::registry::Registry;
use tokio_util::task::TaskTracker;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{dispatch::Dispatcher, drain::Drain, metrics::RequestMetrics, problem::Problem, traces::RequestTraces};
use crate::{
    auth::{api_key::hasher::SecretHasher, authenticator::Authenticator, cache::lease::Lease},
    domain::Clock,
};

/// What handlers work with.
#[derive(Clone)]
pub struct AppState {
    /// Lets callers in.
    pub authenticator: Arc<Authenticator>,
    /// Makes what is stored of secrets.
    pub hasher: SecretHasher,
    /// Tells the time.
    pub clock: Clock,
    /// Tells whether changes made elsewhere arrive.
    pub lease: Arc<Lease>,
    /// What is counted and measured.
    pub metrics: Arc<Registry>,
    /// What of it is counted of requests.
    pub requests: Arc<RequestMetrics>,
    /// Makes spans of requests, where they are wanted.
    pub traces: Option<RequestTraces>,
    /// Tells whether the end is near.
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

impl FromRef<AppState> for SecretHasher {
    fn from_ref(state: &AppState) -> Self {
        state.hasher.clone()
    }
}

/// What is described of the service itself: it answers on any host, without a credential.
fn service_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(docs::openapi_json)).routes(routes!(docs::page)).routes(routes!(health::readyz))
}

/// Every route that is described.
fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::Description::openapi()).merge(api_keys::routes()).merge(service_routes())
}

/// Everything that answers requests. The ones that outlive their client run on in `tasks`. Metrics
/// are shown only where `shows_metrics` is.
pub fn open(state: AppState, cors_origins: Vec<HeaderValue>, tasks: TaskTracker, shows_metrics: bool) -> Dispatcher {
    let no_store = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let cors = layers::cors(&state.authenticator.tenancy.base_domain, cors_origins);
    let api = Router::from(api_keys::routes())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(tasks, layers::detach))
        .layer(no_store)
        .layer(cors)
        .layer(from_fn(layers::only_preflights));
    let mut service = Router::from(service_routes())
        .route(health::HEALTHZ, get(health::healthz))
        .route("/docs/{file}", get(docs::file));
    if shows_metrics {
        service = service.route(metrics::METRICS, get(metrics::metrics));
    }
    let service = service.method_not_allowed_fallback(async || Problem::method_not_allowed());
    let authenticator = state.authenticator.clone();
    dispatcher(state, service.merge(api), Some(authenticator))
}

/// What is answered where only operators reach it: probes and metrics.
pub fn open_for_operators(state: AppState) -> Dispatcher {
    let routes = Router::new()
        .route(health::HEALTHZ, get(health::healthz))
        .route(health::READYZ, get(health::readyz))
        .route(metrics::METRICS, get(metrics::metrics))
        .method_not_allowed_fallback(async || Problem::method_not_allowed());
    dispatcher(state, routes, None)
}

fn dispatcher(state: AppState, router: Router<AppState>, authenticator: Option<Arc<Authenticator>>) -> Dispatcher {
    let (requests, traces) = (state.requests.clone(), state.traces.clone());
    let router =
        router.fallback(async || Problem::path_not_found()).with_state(state).layer(from_fn(dispatch::record_route));
    Dispatcher::new(authenticator, router, requests, traces)
}
