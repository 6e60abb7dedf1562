//! Every route, and the two routers made of them.

use axum::{Extension, Router, http::HeaderValue, response::Redirect, routing::get};
use tokio_util::task::TaskTracker;
use utoipa::OpenApi as _;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    AppState,
    api_keys::{
        callers, create, events, get as get_key, list, policy, receipts, revoke, rotate, suspend, update, usage,
    },
    console::{self, Console, ConsoleSettings},
    dispatch::{Checks, Dispatcher},
    docs::{self, ApiDocument},
    forward_auth, landing, leaks, me,
    middleware::{self, Settings},
    names::{HEALTHZ, METRICS, READYZ},
    openapi, operator_endpoints,
    origins::AllowedOrigins,
};
use crate::auth::tenant_host::TenantResolver;

/// The management API.
fn management() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(get_key::get_self, revoke::revoke_self))
        .routes(routes!(rotate::rotate_self))
        .routes(routes!(rotate::end_own_previous_secret))
        .routes(routes!(usage::own_usage))
        .routes(routes!(callers::own_callers))
        .routes(routes!(usage::tenant_usage))
        .routes(routes!(events::own_events))
        .routes(routes!(events::tenant_events))
        .routes(routes!(policy::get, policy::put))
        .routes(routes!(receipts::get))
        .routes(routes!(events::key_events))
        .routes(routes!(usage::usage))
        .routes(routes!(callers::callers))
        .routes(routes!(rotate::rotate))
        .routes(routes!(suspend::suspend))
        .routes(routes!(suspend::resume))
        .routes(routes!(rotate::end_previous_secret))
        .routes(routes!(get_key::get, update::update, revoke::revoke))
        .routes(routes!(me::me))
}

/// What needs no credential and is in the description.
fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(docs::openapi_json))
        .routes(routes!(docs::page))
        .routes(routes!(console::page))
        .routes(routes!(leaks::report))
        .routes(routes!(leaks::github))
        .routes(routes!(operator_endpoints::readyz))
}

/// What the dispatcher handles before any router.
#[derive(utoipa::OpenApi)]
#[openapi(paths(forward_auth::begin, operator_endpoints::healthz))]
struct Dispatched;

/// The API's description, of all routes.
fn description(tenancy: &TenantResolver) -> String {
    let base = openapi::Description::openapi().merge_from(Dispatched::openapi());
    let collected = OpenApiRouter::with_openapi(base).merge(management()).merge(open()).into_openapi();
    openapi::complete(collected, &tenancy.configured_example_url()).to_string()
}

/// The public listener's requests. Those whose client disconnects run on in `tasks`.
pub fn public_dispatcher(
    state: AppState,
    cors_origins: Vec<HeaderValue>,
    console: &ConsoleSettings,
    tasks: TaskTracker,
    shows_metrics: bool,
) -> Dispatcher {
    let authenticator = state.authenticator.clone();
    let document = ApiDocument::new(description(&authenticator.tenancy));
    let mut open = Router::from(open())
        .route(HEALTHZ, get(operator_endpoints::healthz))
        .route("/docs/{file}", get(docs::file))
        .route("/docs/", get(async || Redirect::permanent("/docs")))
        .route("/console/", get(async || Redirect::permanent("/console")))
        .route("/console/{file}", get(console::file))
        .route("/", get(landing::page))
        .layer(Extension(document))
        .layer(Extension(Console::new(console)));
    if shows_metrics {
        open = open.route(METRICS, get(operator_endpoints::metrics));
    }
    let origins = AllowedOrigins::new(&authenticator.tenancy.base_domain, cors_origins);
    let settings = Settings { origins: origins.clone(), tasks, max_wait: state.max_wait };
    let checks = Checks { authenticator, origins, receipts: state.receipts.clone() };
    dispatcher(state, open, Some((management().into(), settings)), Some(checks))
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
    management: Option<(Router<AppState>, Settings)>,
    checks: Option<Checks>,
) -> Dispatcher {
    let (requests, traces) = (state.requests.clone(), state.traces.clone());
    Dispatcher::new(checks, middleware::assemble(open, management, state), requests, traces)
}

#[cfg(test)]
mod tests {
    use axum::http::uri::Scheme;
    use serde_json::Value;

    use super::*;
    use crate::{auth::client_address::TrustedProxies, domain::EventKind, http::problem::Code};

    fn document() -> Value {
        let tenancy = TenantResolver {
            example_port: None,
            base_domain: "rallycrm.io".into(),
            public_scheme: Scheme::HTTPS,
            trusted_proxies: TrustedProxies::default(),
            refuses_plain_http: true,
        };
        serde_json::from_str(&description(&tenancy)).unwrap()
    }

    #[test]
    fn every_code_has_an_example() {
        let examples = document()["components"]["examples"].clone();
        // A documented operation has a path and a method that exist.
        let of_others = [Code::NotFound, Code::MethodNotAllowed];
        for code in Code::ALL.iter().filter(|code| !of_others.contains(code)) {
            let name = code.unique_name();
            let is_of_gateways_alone = *code == Code::RevisionNotReached;
            let name = if is_of_gateways_alone { format!("gateway_{name}") } else { name.to_owned() };
            assert_eq!(examples[&name]["value"]["code"], code.as_str(), "{code:?}");
        }
    }

    /// Calls `check` with each operation and its name.
    fn each_operation(document: &Value, mut check: impl FnMut(&str, &Value)) {
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                check(&format!("{method} {path}"), operation);
            }
        }
    }

    #[test]
    fn every_parameter_body_and_header_has_an_example() {
        let document = document();
        let mut lacking = Vec::new();
        let mut found = 0;
        let mut check = |holder: &Value, name: String| {
            found += 1;
            if holder.get("example").is_none() && holder["examples"].as_object().is_none_or(serde_json::Map::is_empty) {
                lacking.push(name);
            }
        };
        each_operation(&document, |name, operation| {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                check(parameter, format!("{name}: {}", parameter["name"]));
            }
            let responses = operation["responses"].as_object().unwrap();
            for (status, holder) in responses
                .iter()
                .map(|(status, response)| (status.as_str(), response))
                .chain([("body", &operation["requestBody"])])
            {
                for content in holder["content"].as_object().into_iter().flat_map(serde_json::Map::values) {
                    check(content, format!("{name}: {status}"));
                }
            }
        });
        for (name, header) in document["components"]["headers"].as_object().unwrap() {
            check(header, name.clone());
        }
        assert_eq!((lacking, found > 200), (vec![], true), "{found}");
    }

    #[test]
    fn every_type_of_event_has_a_schema_and_an_example() {
        let document = document();
        let schemas = &document["components"]["schemas"];
        let list = &document["paths"]["/api/v1/api-keys/events"]["get"]["responses"]["200"]["content"];
        let examples = list["application/json"]["example"].as_array().unwrap();
        for kind in EventKind::ALL {
            let name = schemas["ApiKeyEventResponse"]["discriminator"]["mapping"][kind.as_str()].as_str().unwrap();
            let schema = document.pointer(name.strip_prefix('#').unwrap()).unwrap();
            assert_eq!(schema["properties"]["type"]["const"], kind.as_str());
            let details = schema["properties"]["details"]["$ref"].as_str().unwrap();
            let details = document.pointer(details.strip_prefix('#').unwrap()).unwrap();
            let example = examples.iter().find(|event| event["type"] == kind.as_str()).unwrap();
            for (schema, example) in [(schema, example), (details, &example["details"])] {
                for required in schema["required"].as_array().into_iter().flatten() {
                    assert!(example.get(required.as_str().unwrap()).is_some(), "{kind:?}: {required}");
                }
                for property in example.as_object().unwrap().keys() {
                    assert!(schema["properties"].get(property).is_some(), "{kind:?}: {property}");
                }
            }
        }
    }

    /// Generators of types require properties that have a default.
    #[test]
    fn no_property_of_a_request_has_a_default() {
        let document = document();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let requests: Vec<_> = schemas.iter().filter(|(name, _)| name.ends_with("Request")).collect();
        assert_eq!(requests.len(), 7);
        for (name, schema) in requests {
            for (property, schema) in schema["properties"].as_object().unwrap() {
                assert!(schema.get("default").is_none(), "{name}.{property}");
            }
        }
    }

    #[test]
    fn no_extension_is_left_over() {
        let document = document();
        assert!(!document.to_string().contains("\"x-"), "an extension that `openapi` does not know");
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let refuses = operation["responses"].as_object().unwrap().keys().any(|status| status == "401");
                assert_eq!(refuses, operation["security"] != serde_json::json!([]), "{method} {path}");
            }
        }
    }
}
