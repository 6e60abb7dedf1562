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
    origins::AllowedOrigins,
    prefer::MaxWait,
    problem::{Code, Problem},
};

/// Settings of the management API's layers.
pub(super) struct Settings {
    pub(super) origins: AllowedOrigins,
    /// Where requests run on after their client has disconnected.
    pub(super) tasks: TaskTracker,
    pub(super) max_wait: MaxWait,
}

/// The whole stack, in the order in which a request passes it.
pub(super) fn assemble(
    open: Router<AppState>,
    management: Option<(Router<AppState>, Settings)>,
    state: AppState,
) -> Router {
    let open = open.method_not_allowed_fallback(method_not_allowed);
    let router = match management {
        Some((routes, settings)) => around_management(routes, settings).merge(open),
        None => open.fallback(not_found),
    };
    router.with_state(state).layer(from_fn(dispatch::record_route))
}

/// The management API with its layers, and the response to unknown paths: a page of an allowed origin can read every
/// refusal.
fn around_management<S>(routes: Router<S>, settings: Settings) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let of_keys = ServiceBuilder::new()
        .layer(SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .layer(from_fn_with_state((settings.tasks, settings.max_wait), detach::detach));
    let of_origins = ServiceBuilder::new().layer(from_fn(cors::only_preflights)).layer(cors::layer(settings.origins));
    let routes = routes.method_not_allowed_fallback(method_not_allowed).layer(of_keys);
    routes.fallback(not_found).layer(of_origins)
}

async fn method_not_allowed() -> Problem {
    Code::MethodNotAllowed.into()
}

async fn not_found() -> Problem {
    Code::NotFound.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::Body,
        http::{Request, StatusCode},
        routing::get,
    };
    use std::time::Duration;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn the_response_after_a_panic_has_the_headers_of_every_layer() {
        let panicking = Router::new().route("/", get(async || -> StatusCode { panic!("on purpose") }));
        let origins = AllowedOrigins::new("localhost", Vec::new());
        let settings = Settings { origins, tasks: TaskTracker::new(), max_wait: MaxWait(Duration::ZERO) };
        let request = Request::get("/").header(header::ORIGIN, "https://acme.localhost").body(Body::empty()).unwrap();
        let response = around_management(panicking, settings).oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "https://acme.localhost");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(response.extensions().get::<Problem>().unwrap().code(), "internal_error");
    }
}
