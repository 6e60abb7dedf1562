//! The way that every request takes first: it gets its id and its span, its credentials are hidden
//! from every `Debug` before it is handed on, a panic becomes a 500, problems are written out, and one
//! line is logged.
//!
//! What is asked about every request to the CRM is answered right here, and not by way of the
//! router, whose boxed layers cost more than the check itself; and at once where nothing has to be
//! waited for, since a future that could wait costs as much again.

use std::{
    future::{Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Either},
};
use tower::ServiceExt as _;
use tracing::Span;

use super::{
    forward_auth,
    names::{FORWARD_AUTH, HEALTHZ, METRICS, READYZ, UNMATCHED},
    operator_endpoints::healthz,
    problem::Problem,
    request_metrics::RequestMetrics,
    request_scope::RequestScope,
    traces::RequestTraces,
};
use crate::auth::{
    authenticator::Authenticator,
    credential::X_API_KEY,
    request::{Asking, Peer},
};

/// Probes, and the check of every request to the CRM, are for metrics: a line for each would cost
/// more than the check.
const QUIET: [&str; 3] = [HEALTHZ, READYZ, METRICS];

/// Answers requests. Clones share everything.
#[derive(Clone)]
pub struct Dispatcher(Arc<Inner>);

struct Inner {
    /// None: checks are not answered here.
    authenticator: Option<Arc<Authenticator>>,
    router: Router,
    requests: Arc<RequestMetrics>,
    traces: Option<RequestTraces>,
}

/// What becomes of a request: its answer, where that needed no waiting, or the way to it.
pub type Answering = Either<Ready<Response>, BoxFuture<'static, Response>>;

/// Where the router leaves which route it took.
#[derive(Clone, Default)]
struct RouteSlot(Arc<OnceLock<MatchedPath>>);

impl Dispatcher {
    /// Before that router. Checks are answered by the authenticator, if there is one.
    pub(super) fn new(
        authenticator: Option<Arc<Authenticator>>,
        router: Router,
        requests: Arc<RequestMetrics>,
        traces: Option<RequestTraces>,
    ) -> Self {
        Self(Arc::new(Inner { authenticator, router, requests, traces }))
    }

    /// The answer to a request of that peer's. Never fails, and never panics.
    pub fn answer<B>(&self, mut request: axum::http::Request<B>, peer: Peer) -> Answering
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let Inner { authenticator, requests, .. } = &*self.0;
        let path = request.uri().path();
        let checks = authenticator.as_ref().filter(|_| forward_auth::is_asked(path));
        let is_probe = path == HEALTHZ && matches!(*request.method(), Method::GET | Method::HEAD);
        let scope = match checks {
            Some(_) => self.begin(&request, true, Some(FORWARD_AUTH)),
            None if is_probe => self.begin(&request, true, Some(HEALTHZ)),
            None => self.begin(&request, QUIET.contains(&path), None),
        };
        if let Some(authenticator) = checks {
            let (method, uri, headers) = (request.method(), request.uri(), request.headers());
            let asking = Asking { uri, headers, peer, request_id: &scope.id };
            let at_once = || forward_auth::answer_at_once(authenticator, method, asking);
            // As in `RequestScope::run`.
            let answer = catch_unwind(AssertUnwindSafe(|| scope.span.in_scope(at_once)));
            if let Some(response) = answer.unwrap_or_else(|_panic| Some(forward_auth::failed())) {
                return Either::Left(ready(scope.finish(&requests.checks, Some(FORWARD_AUTH), response)));
            }
        } else if is_probe {
            return Either::Left(ready(scope.finish(&requests.probes, Some(HEALTHZ), healthz())));
        }
        hide_credentials(request.headers_mut());
        let dispatch = self.clone();
        Either::Right(match checks {
            Some(authenticator) => {
                let (authenticator, (parts, _)) = (authenticator.clone(), request.into_parts());
                async move { dispatch.find_out(&authenticator, &parts, peer, scope).await }.boxed()
            }
            None => async move { dispatch.route(request, peer, scope).await }.boxed(),
        })
    }

    fn begin<B>(&self, request: &axum::http::Request<B>, quiet: bool, route: Option<&'static str>) -> RequestScope {
        RequestScope::begin(request.method(), request.headers(), quiet, route, self.0.traces.as_ref())
    }

    /// The answer to a check of what is not remembered.
    async fn find_out(
        &self,
        authenticator: &Authenticator,
        parts: &Parts,
        peer: Peer,
        scope: RequestScope,
    ) -> Response {
        let asking = Asking { uri: &parts.uri, headers: &parts.headers, peer, request_id: &scope.id };
        let answering = forward_auth::answer(authenticator, &parts.method, asking);
        let response = scope.run(answering, forward_auth::failed).await;
        scope.finish(&self.0.requests.checks, Some(FORWARD_AUTH), response)
    }

    /// The router's answer.
    async fn route<B>(&self, request: axum::http::Request<B>, peer: Peer, scope: RequestScope) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let Inner { router, requests, .. } = &*self.0;
        let slot = RouteSlot::default();
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(scope.id.clone());
        request.extensions_mut().insert(slot.clone());
        let answering = async { router.clone().oneshot(request).await.into_response() };
        let response = scope.run(answering, failed).await;
        let route = slot.0.get().map(MatchedPath::as_str);
        scope.finish(&requests.route(route.unwrap_or(UNMATCHED)), route, response)
    }
}

/// The answer where a defect of ours kept us from another.
fn failed() -> Response {
    Problem::internal().into_response()
}

/// Tells the request's span, and who counts it, which route it took.
pub async fn note_route(request: Request, next: Next) -> Response {
    if let Some(route) = request.extensions().get::<MatchedPath>() {
        Span::current().record("route", route.as_str());
        if let Some(RouteSlot(slot)) = request.extensions().get() {
            let _ = slot.set(route.clone());
        }
    }
    next.run(request).await
}

fn hide_credentials(headers: &mut HeaderMap) {
    let secret = [header::AUTHORIZATION, X_API_KEY, header::PROXY_AUTHORIZATION, header::COOKIE];
    for (name, value) in headers {
        if secret.contains(name) {
            value.set_sensitive(true);
        }
    }
}
