//! What surrounds the handlers of the management API, from the inside out.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tracing::Instrument as _;

use super::{authorized::CallerSlot, key_lifecycle_headers, problem::Problem, request_scope::X_REQUEST_ID};
use crate::{auth::credential::X_API_KEY, domain::Slug};

/// How long a client waits for an answer at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

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
        key_lifecycle_headers::tell(principal, response.headers_mut());
    }
    response
}

async fn run_detached(tasks: &TaskTracker, request: Request, next: Next) -> Response {
    let task = tasks.spawn(next.run(request).in_current_span());
    match tokio::time::timeout(ANSWER_TIMEOUT, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic), // to where it is made a 500
            Err(_cancelled) => Problem::internal().into_response(),
        },
        Err(_) => Problem::timeout().into_response(),
    }
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
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, header::IF_MATCH, X_API_KEY, X_REQUEST_ID])
        .expose_headers([
            header::ETAG,
            header::LINK,
            header::LOCATION,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
            X_REQUEST_ID,
            HeaderName::from_static("x-total-count"),
            key_lifecycle_headers::X_RALLY_KEY_EXPIRES,
            key_lifecycle_headers::DEPRECATION,
            key_lifecycle_headers::SUNSET,
        ])
        .max_age(Duration::from_mins(10))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_handler_survives_its_clients_going_away() {
        let (started, has_started) = tokio::sync::oneshot::channel::<()>();
        let (finish, may_finish) = tokio::sync::oneshot::channel::<()>();
        let once = Arc::new(Mutex::new(Some((started, may_finish))));
        let handler = move || {
            let (started, may_finish) = once.lock().unwrap().take().unwrap();
            async move {
                started.send(()).unwrap();
                may_finish.await.unwrap();
            }
        };
        let tasks = TaskTracker::new();
        let layer = from_fn_with_state(tasks.clone(), detach);
        let router = Router::new().route("/", get(handler)).layer(layer);
        let answering = tokio::spawn(router.oneshot(Request::new(Body::empty())));
        has_started.await.unwrap();
        answering.abort();
        assert!(answering.await.unwrap_err().is_cancelled());
        finish.send(()).expect("the handler still waits");
        tasks.close();
        tasks.wait().await;
    }
}
