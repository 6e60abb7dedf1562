//! The entry of every request: its id and span are made, credentials are hidden from `Debug`, a panic becomes a 500,
//! problem documents are written, and one line is logged.
//!
//! `/forward-auth` is decided here and not in the router, whose boxed layers cost more than the decision. If the caches are
//! enough, there is no future either.

use std::{
    future::{Ready, ready},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header},
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
    origins::{AllowedOrigins, reveal_refusal},
    problem::Problem,
    refusal_log::RefusalLog,
    request_metrics::RequestMetrics,
    request_scope::RequestScope,
    request_traces::RequestTraces,
    sender::Sender,
};
use crate::auth::{
    authenticator::Authenticator, cache::receipts::Receipts, credential::X_API_KEY, request::Peer,
    tenant_host::check_host,
};

/// Paths of probes. Their requests are logged at DEBUG, as those of `/forward-auth` are: a line for each would cost more
/// than the request.
const QUIET: [&str; 3] = [HEALTHZ, READYZ, METRICS];

/// Responds to requests. Clones share everything.
#[derive(Clone)]
pub struct Dispatcher(Arc<Inner>);

struct Inner {
    /// `None`: `/forward-auth` is not served.
    checks: Option<Checks>,
    router: Router,
    requests: Arc<RequestMetrics>,
    traces: Option<RequestTraces>,
    refusals: RefusalLog,
}

/// What `/forward-auth` needs.
pub(super) struct Checks {
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) origins: AllowedOrigins,
    pub(super) receipts: Receipts,
}

/// A response, if it needed no I/O, or its future.
pub type Responding = Either<Ready<Response>, BoxFuture<'static, Response>>;

/// Where the router leaves the route that it took.
#[derive(Clone, Default)]
struct RouteSlot(Arc<OnceLock<MatchedPath>>);

impl Dispatcher {
    /// Serves `router`, and `/forward-auth` if there is what it needs.
    pub(super) fn new(
        checks: Option<Checks>,
        router: Router,
        requests: Arc<RequestMetrics>,
        traces: Option<RequestTraces>,
    ) -> Self {
        Self(Arc::new(Inner { checks, router, requests, traces, refusals: RefusalLog::default() }))
    }

    /// Never fails, and never panics.
    pub fn respond<B>(&self, mut request: axum::http::Request<B>, peer: Peer) -> Responding
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let path = request.uri().path();
        if let Some(checks) = self.0.checks.as_ref().filter(|_| forward_auth::matches(path)) {
            return self.forward_auth(checks, &request, peer);
        }
        let scope = self.begin(&request, QUIET.contains(&path), None);
        if !scope.span.is_disabled() {
            let proxies = self.0.checks.as_ref().map(|checks| &checks.authenticator.tenancy.trusted_proxies);
            scope.record_sender(&Sender::new(request.uri(), request.headers(), proxies, peer.0));
        }
        hide_credentials(request.headers_mut());
        let dispatcher = self.clone();
        Either::Right(async move { dispatcher.route(request, peer, scope).await }.boxed())
    }

    fn begin<B>(&self, request: &axum::http::Request<B>, quiet: bool, route: Option<&'static str>) -> RequestScope {
        RequestScope::begin(request.method(), request.headers(), quiet, route, self.0.traces.as_ref())
    }

    fn forward_auth<B>(
        &self,
        Checks { authenticator, origins, receipts }: &Checks,
        request: &axum::http::Request<B>,
        peer: Peer,
    ) -> Responding {
        let origin = origins.of(request.headers());
        let scope = self.begin(request, true, Some(FORWARD_AUTH));
        let begin =
            || scope.span.in_scope(|| forward_auth::begin(authenticator, &self.0.refusals, request, peer, &scope));
        // As in `RequestScope::run`.
        let outcome = catch_unwind(AssertUnwindSafe(begin));
        match outcome.unwrap_or_else(|_panic| Ok(forward_auth::failed())) {
            Ok(response) => Either::Left(ready(self.finish_forward_auth(scope, origin, response))),
            Err(pending) => {
                let (dispatcher, authenticator, receipts) = (self.clone(), authenticator.clone(), receipts.clone());
                let response = async move {
                    let refusals = &dispatcher.0.refusals;
                    let response = forward_auth::resolve(&authenticator, &receipts, refusals, pending, &scope);
                    let response = scope.run(response, forward_auth::failed).await;
                    dispatcher.finish_forward_auth(scope, origin, response)
                };
                Either::Right(response.boxed())
            }
        }
    }

    fn finish_forward_auth(
        &self,
        scope: RequestScope,
        origin: Option<HeaderValue>,
        mut response: Response,
    ) -> Response {
        // The CRM sets these headers of a response that is its own.
        if let Some(origin) = origin.filter(|_| response.status() != StatusCode::OK) {
            reveal_refusal(origin, &mut response);
        }
        scope.finish(&self.0.requests.checks, Some(FORWARD_AUTH), response)
    }

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
        let response = async {
            match check_host(&request) {
                Ok(()) => router.clone().oneshot(request).await.into_response(),
                Err(error) => ([(header::CACHE_CONTROL, "no-store")], error).into_response(),
            }
        };
        let response = scope.run(response, failed).await;
        let route = slot.0.get().map(MatchedPath::as_str);
        scope.finish(&requests.route(route.unwrap_or(UNMATCHED)), route, response)
    }
}

/// The response after a panic.
fn failed() -> Response {
    Problem::internal().into_response()
}

/// Records the route in the request's span and for its metrics.
pub(super) async fn record_route(request: Request, next: Next) -> Response {
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
