//! What surrounds every handler, from the outside in.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::{Instrument as _, debug, debug_span, field::Empty, info, info_span};
use uuid::Uuid;

use super::{notices, problem::Problem};
use crate::{
    auth::{CallerSlot, RequestId, credential::X_API_KEY},
    domain::{Secret, Slug},
};

const X_REQUEST_ID: &str = "x-request-id";
/// How long a client waits for an answer at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The outermost layer: gives the request its id and its span, hides credentials from every
/// `Debug`, writes problems out, and logs one line.
pub async fn observe(mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str);
    // Probes, and the check of every request to the CRM, are for metrics: a line for each would
    // cost more than the check.
    let quiet = !route.starts_with("/api/") && route != "none";
    // Neither the path nor a made-up method is logged: somebody will put a secret there.
    let method = known_method(request.method());
    let span = if quiet {
        debug_span!("request", request_id = %id.0, method, route, tenant = Empty, principal = Empty)
    } else {
        info_span!("request", request_id = %id.0, method, route, tenant = Empty, principal = Empty)
    };
    for (name, value) in request.headers_mut() {
        if matches!(name.as_str(), "authorization" | X_API_KEY | "proxy-authorization" | "cookie") {
            value.set_sensitive(true);
        }
    }
    request.extensions_mut().insert(id.clone());
    async move {
        let mut response = next.run(request).await;
        let problem = response.extensions_mut().remove::<Problem>();
        let code = problem.as_ref().map(Problem::code);
        if let Some(problem) = problem {
            problem.write_out(&id.0, &mut response);
        }
        if let Ok(value) = HeaderValue::from_str(&id.0) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        let latency_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let status = response.status().as_u16();
        if quiet {
            debug!(status, code, latency_us, "answered");
        } else {
            info!(status, code, latency_us, "answered");
        }
        response
    }
    .instrument(span)
    .await
}

/// The methods of RFC 9110 and 5789; any other token is a method too.
fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "CONNECT" => "CONNECT",
        _ => "other",
    }
}

/// The client's `X-Request-Id` where it is sane and no place for a secret, else a new one.
fn request_id(request: &Request) -> RequestId {
    let sane = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b))
            && !id.contains(Secret::PREFIX)
    };
    let given = request.headers().get(X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
    RequestId(given.map_or_else(|| Uuid::now_v7().to_string().into(), Arc::from))
}

/// Runs the rest in a task of its own, which goes on when the client goes away: a dropped
/// future would leave a pooled connection half-way through something (see `store`), or an
/// acknowledgement unwritten that the database has already given.
///
/// Around it: what a calling key should know about itself is told in the answer's headers.
pub async fn detach(State(tasks): State<TaskTracker>, mut request: Request, next: Next) -> Response {
    let slot = CallerSlot::default();
    request.extensions_mut().insert(slot.clone());
    let mut response = run_detached(&tasks, request, next).await;
    if let Some(principal) = slot.0.get() {
        notices::tell(principal, response.headers_mut());
    }
    response
}

async fn run_detached(tasks: &TaskTracker, request: Request, next: Next) -> Response {
    let task = tasks.spawn(next.run(request).in_current_span());
    match tokio::time::timeout(ANSWER_TIMEOUT, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic), // to the layer that makes it a 500
            Err(_cancelled) => Problem::internal().into_response(),
        },
        Err(_) => Problem::timeout().into_response(),
    }
}

/// A panic's answer. The panic itself was logged by the hook.
pub fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response {
    Problem::internal().into_response()
}

/// Only a preflight (Fetch standard: `OPTIONS` with `Access-Control-Request-Method`) is for the CORS
/// layer, which would answer every `OPTIONS`. Any other goes on under a method that no route
/// takes, and is told so.
pub async fn only_preflights(mut request: Request, next: Next) -> Response {
    let preflight = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() == Method::OPTIONS && !preflight {
        *request.method_mut() = Method::TRACE;
    }
    next.run(request).await
}

/// Lets the CRM's front end call: `https://{tenant}.{base}`, and configured origins. Without
/// credentials in the sense of the Fetch standard (cookies): tokens come in headers.
pub fn cors(base_domain: &str, origins: Vec<HeaderValue>) -> CorsLayer {
    let suffix = format!(".{base_domain}");
    let allowed = move |origin: &HeaderValue, _: &Parts| {
        origins.contains(origin)
            || origin
                .to_str()
                .ok()
                .and_then(|origin| origin.strip_prefix("https://")?.strip_suffix(suffix.as_str()))
                .is_some_and(|label| Slug::parse(label).is_ok())
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::IF_MATCH,
            X_API_KEY.parse().unwrap_or(header::AUTHORIZATION),
            X_REQUEST_ID.parse().unwrap_or(header::AUTHORIZATION),
        ])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            X_REQUEST_ID.parse().unwrap_or(header::LINK),
            "x-total-count".parse().unwrap_or(header::LINK),
        ])
        .max_age(Duration::from_mins(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        Router,
        body::Body,
        http::StatusCode,
        middleware::{from_fn, from_fn_with_state},
        routing::get,
    };
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;
    use tower_http::catch_panic::CatchPanicLayer;

    /// The layers as the router puts them.
    fn with_layers(routes: Router, tasks: &TaskTracker) -> Router {
        routes
            .layer(from_fn_with_state(tasks.clone(), detach))
            .layer(CatchPanicLayer::custom(panicked))
            .layer(from_fn(observe))
    }

    fn request(id: &str) -> Request {
        Request::get("/").header(X_REQUEST_ID, id).body(Body::empty()).unwrap()
    }

    async fn panics() -> &'static str {
        panic!("on purpose")
    }

    #[tokio::test]
    async fn a_panic_is_a_500_with_the_request_id() {
        let router = with_layers(Router::new().route("/", get(panics)), &TaskTracker::new());
        let response = router.oneshot(request("abc-123")).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[X_REQUEST_ID], "abc-123");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["code"], &problem["requestId"]), (&"internal_error".into(), &"abc-123".into()));
        assert!(!problem.to_string().contains("on purpose"));
    }

    #[tokio::test]
    async fn a_handler_survives_its_clients_going_away() {
        let (started, has_started) = tokio::sync::oneshot::channel::<()>();
        let (finish, may_finish) = tokio::sync::oneshot::channel::<()>();
        let once = Arc::new(std::sync::Mutex::new(Some((started, may_finish))));
        let handler = move || {
            let (started, may_finish) = once.lock().unwrap().take().unwrap();
            async move {
                started.send(()).unwrap();
                may_finish.await.unwrap();
            }
        };
        let tasks = TaskTracker::new();
        let router = with_layers(Router::new().route("/", get(handler)), &tasks);
        let answering = tokio::spawn(router.oneshot(request("1")));
        has_started.await.unwrap();
        answering.abort();
        assert!(answering.await.unwrap_err().is_cancelled());
        finish.send(()).expect("the handler still waits");
        tasks.close();
        tasks.wait().await;
    }

    #[test]
    fn request_ids_are_taken_where_they_are_sane() {
        let id = |given: &str| request_id(&request(given)).0.to_string();
        let long = "a".repeat(128);
        for sane in ["abc-123", "1-67891233-abcdef012345678912345678", "a/b+c=", &long] {
            assert_eq!(id(sane), sane);
        }
        let longer = "a".repeat(129);
        for not in ["", "a b", "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c", "a\"b", &longer] {
            assert_ne!(id(not), not);
            assert_eq!(id(not).len(), 36);
        }
    }
}
