//! Routes and layers.

pub mod api_keys;
pub mod extract;
mod forward_auth;
mod health;
mod layers;
mod metrics;
mod notices;
pub mod problem;
pub mod server;

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
use tower_http::{catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer};

use self::problem::Problem;
use crate::{
    auth::{Authenticator, SecretHasher, lease::Lease},
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

/// The whole router. Requests that outlive their client run on in `tasks`.
pub fn router(state: AppState, cors_origins: Vec<HeaderValue>, tasks: TaskTracker) -> Router {
    let no_store = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let cors = layers::cors(&state.authenticator.tenancy.base_domain, cors_origins);
    let api = api_keys::routes()
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(tasks, layers::detach))
        .layer(no_store)
        .layer(cors)
        .layer(from_fn(layers::only_preflights));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .merge(forward_auth::routes())
        .merge(api)
        .fallback(async || Problem::path_not_found())
        .with_state(state)
        .layer(CatchPanicLayer::custom(layers::panicked))
        .layer(from_fn(layers::observe))
}
