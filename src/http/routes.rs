//! Every route, and the two routers made of them.

use std::sync::{Arc, LazyLock};

use axum::{Extension, Router, http::HeaderValue, routing::get};
use tokio_util::task::TaskTracker;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    api_keys::{create, events, get as get_key, list, revoke, rotate, update, usage},
    dispatch::Dispatcher,
    docs::{self, ApiDocument},
    forward_auth, landing,
    middleware::{self, Settings},
    names::{HEALTHZ, METRICS, READYZ},
    openapi, operator_endpoints,
};
use crate::auth::authenticator::Authenticator;

/// The management API.
fn management() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get_key::get_self, revoke::revoke_self))
        .routes(routes!(rotate::rotate_self))
        .routes(routes!(rotate::end_own_previous_secret))
        .routes(routes!(usage::own_usage))
        .routes(routes!(events::own_events))
        .routes(routes!(events::tenant_events))
        .routes(routes!(events::key_events))
        .routes(routes!(usage::usage))
        .routes(routes!(rotate::rotate))
        .routes(routes!(rotate::end_previous_secret))
        .routes(routes!(get_key::get, update::update, revoke::revoke))
}

/// What needs no credential and is in the description.
fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(docs::openapi_json))
        .routes(routes!(docs::page))
        .routes(routes!(operator_endpoints::readyz))
}

/// What the dispatcher handles before any router.
#[derive(utoipa::OpenApi)]
#[openapi(paths(forward_auth::begin, operator_endpoints::healthz))]
struct Dispatched;

/// The API's description, of all routes.
fn description() -> String {
    let base = openapi::Description::openapi().merge_from(Dispatched::openapi());
    openapi::complete(OpenApiRouter::with_openapi(base).merge(management()).merge(open()).into_openapi()).to_string()
}

/// The public listener's requests. Those whose client disconnects run on in `tasks`.
pub fn public_dispatcher(
    state: AppState,
    cors_origins: Vec<HeaderValue>,
    tasks: TaskTracker,
    shows_metrics: bool,
) -> Dispatcher {
    static DOCUMENT: LazyLock<ApiDocument> = LazyLock::new(|| ApiDocument::new(description()));
    let mut open = Router::from(open())
        .route(HEALTHZ, get(operator_endpoints::healthz))
        .route("/docs/{file}", get(docs::file))
        .route("/", get(landing::page))
        .layer(Extension(DOCUMENT.clone()));
    if shows_metrics {
        open = open.route(METRICS, get(operator_endpoints::metrics));
    }
    let authenticator = state.authenticator.clone();
    let settings = Settings { base_domain: &authenticator.tenancy.base_domain, cors_origins, tasks };
    dispatcher(state, open, Some((management().into(), settings)), Some(authenticator.clone()))
}

/// The operators' listener's requests: probes and metrics.
pub fn operator_dispatcher(state: AppState) -> Dispatcher {
    let open = Router::new()
        .route(HEALTHZ, get(operator_endpoints::healthz))
        .route(READYZ, get(operator_endpoints::readyz))
        .route(METRICS, get(operator_endpoints::metrics));
    dispatcher(state, open, None, None)
}

fn dispatcher(
    state: AppState,
    open: Router<AppState>,
    management: Option<(Router<AppState>, Settings<'_>)>,
    authenticator: Option<Arc<Authenticator>>,
) -> Dispatcher {
    let (requests, traces) = (state.requests.clone(), state.traces.clone());
    Dispatcher::new(authenticator, middleware::assemble(open, management, state), requests, traces)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::http::problem::Code;

    fn document() -> Value {
        serde_json::from_str(&description()).unwrap()
    }

    #[test]
    fn every_code_has_an_example() {
        let examples = document()["components"]["examples"].clone();
        // A documented operation has a path and a method that exist.
        let of_others = [Code::NotFound, Code::MethodNotAllowed];
        for code in Code::ALL.iter().filter(|code| !of_others.contains(code)) {
            assert_eq!(examples[code.unique_name()]["value"]["code"], code.as_str(), "{code:?}");
        }
    }

    #[test]
    fn no_extension_is_left_over() {
        let document = document();
        assert!(!document.to_string().contains("\"x-"), "an extension that `openapi` does not know");
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let refuses = operation["responses"].as_object().unwrap().keys().any(|status| status == "401");
                assert_eq!(refuses, operation.get("security").is_some(), "{method} {path}");
            }
        }
    }
}
