//! What surrounds the router's handlers. The dispatcher comes before it: request id, span, metrics, panics, problem
//! documents.

mod cors;
mod detach;

use axum::{
    Router,
    http::{HeaderValue, header},
    middleware::{from_fn, from_fn_with_state},
};
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{
    AppState, dispatch,
    problem::{Code, Problem},
};

/// Settings of the management API's layers.
pub(super) struct Settings<'a> {
    pub(super) base_domain: &'a str,
    pub(super) cors_origins: Vec<HeaderValue>,
    /// Where requests run on after their client has disconnected.
    pub(super) tasks: TaskTracker,
}

/// The whole stack, in the order in which a request passes it.
pub(super) fn assemble(
    open: Router<AppState>,
    management: Option<(Router<AppState>, Settings<'_>)>,
    state: AppState,
) -> Router {
    let method_not_allowed = async || Problem::from(Code::MethodNotAllowed);
    let mut router = open.method_not_allowed_fallback(method_not_allowed);
    if let Some((routes, settings)) = management {
        let stack = ServiceBuilder::new()
            .layer(from_fn(cors::only_preflights))
            .layer(cors::layer(settings.base_domain, settings.cors_origins))
            .layer(SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .layer(from_fn_with_state(settings.tasks, detach::detach));
        router = router.merge(routes.method_not_allowed_fallback(method_not_allowed).layer(stack));
    }
    router.fallback(async || Problem::from(Code::NotFound)).with_state(state).layer(from_fn(dispatch::note_route))
}
