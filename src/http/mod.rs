//! Routes and layers.

pub mod api_keys;
mod docs;
pub mod drain;
pub mod extract;
mod forward_auth;
pub mod front_door;
mod health;
mod layers;
mod metrics;
mod notices;
pub mod openapi;
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
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::{drain::Drain, front_door::FrontDoor, problem::Problem};
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

/// What is answered on any host, without a credential.
fn service_routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(health::readyz)).routes(routes!(docs::openapi_json)).routes(routes!(docs::page))
}

/// Every route that is described.
fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::with_openapi(openapi::Description::openapi()).merge(api_keys::routes()).merge(service_routes())
}

/// Everything that answers requests. The ones that outlive their client run on in `tasks`.
pub fn open(state: AppState, cors_origins: Vec<HeaderValue>, tasks: TaskTracker) -> FrontDoor {
    let no_store = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let cors = layers::cors(&state.authenticator.tenancy.base_domain, cors_origins);
    let authenticator = state.authenticator.clone();
    let api = Router::from(api_keys::routes())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(tasks, layers::detach))
        .layer(no_store)
        .layer(cors)
        .layer(from_fn(layers::only_preflights));
    let router = Router::from(service_routes())
        .route(health::HEALTHZ, get(async || health::healthz()))
        .route("/docs/{file}", get(docs::file))
        .route("/metrics", get(metrics::metrics))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .merge(api)
        .fallback(async || Problem::path_not_found())
        .with_state(state)
        .layer(from_fn(front_door::note_route));
    FrontDoor::new(authenticator, router)
}
