//! Runs each request in a task of its own.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::http::{
    authorized::CallerSlot,
    key_lifecycle_headers,
    prefer::{self, MaxWait},
    problem::{Code, Problem},
    rate_limit_fields,
};

/// The longest time from request to response, besides what the client prefers to wait for a receipt.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the handler in a task that goes on when the client disconnects: a cancelled handler would leave a pooled
/// connection in the middle of a transaction (see `store`), or drop the acknowledgement of a commit.
///
/// Also inserts the headers about a calling key, since only the handler's extractor knows the caller.
pub(super) async fn detach(
    State((tasks, max_wait)): State<(TaskTracker, MaxWait)>,
    mut request: Request,
    next: Next,
) -> Response {
    let slot = CallerSlot::default();
    request.extensions_mut().insert(slot.clone());
    let limit = RESPONSE_TIMEOUT + prefer::wait(request.headers(), max_wait).unwrap_or_default();
    let mut response = run_detached(&tasks, limit, request, next).await;
    if let Some((principal, remaining_limits)) = slot.0.get() {
        key_lifecycle_headers::insert(principal, response.headers_mut());
        rate_limit_fields::insert(remaining_limits, response.headers_mut());
    }
    response
}

async fn run_detached(tasks: &TaskTracker, limit: Duration, request: Request, next: Next) -> Response {
    let task = tasks.spawn(next.run(request).in_current_span());
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(response)) => response,
        // The hook has logged the panic. As a response it gets the headers of the layers around.
        Ok(Err(_panicked_or_cancelled)) => Problem::internal().into_response(),
        Err(_) => Problem::from(Code::Timeout).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn a_handler_runs_to_its_end_after_its_client_disconnects() {
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
        let layer = from_fn_with_state((tasks.clone(), MaxWait(Duration::ZERO)), detach);
        let router = Router::new().route("/", get(handler)).layer(layer);
        let response = tokio::spawn(router.oneshot(Request::new(Body::empty())));
        has_started.await.unwrap();
        response.abort();
        assert!(response.await.unwrap_err().is_cancelled());
        finish.send(()).expect("a handler that still waits");
        tasks.close();
        tasks.wait().await;
    }
}
