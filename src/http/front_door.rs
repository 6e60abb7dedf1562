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
    http::{HeaderMap, HeaderName, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Either},
};
use tokio::time::Instant;
use tower::ServiceExt as _;
use tracing::{
    Instrument as _, Span, debug, debug_span,
    field::{Empty, display},
    info, info_span,
};

use super::{
    forward_auth, health,
    metrics::{KnownMethod, METRICS, RequestMetrics, Route, UNMATCHED},
    problem::Problem,
    traces::{RequestSpan, RequestTraces},
};
use crate::{
    auth::{Asking, Authenticator, Peer, RequestId, credential::X_API_KEY},
    domain::Secret,
};

/// Taken from requests, told in answers.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Probes, and the check of every request to the CRM, are for metrics: a line for each would cost
/// more than the check.
const QUIET: [&str; 3] = [health::HEALTHZ, health::READYZ, METRICS];

/// Answers requests. Clones share everything.
#[derive(Clone)]
pub struct FrontDoor(Arc<Inner>);

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

impl FrontDoor {
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
        let is_probe = path == health::HEALTHZ && matches!(*request.method(), Method::GET | Method::HEAD);
        let begun = match checks {
            Some(_) => self.begin(request.method(), request.headers(), true, Some(forward_auth::ROUTE)),
            None if is_probe => self.begin(request.method(), request.headers(), true, Some(health::HEALTHZ)),
            None => self.begin(request.method(), request.headers(), QUIET.contains(&path), None),
        };
        if let Some(authenticator) = checks {
            let (method, uri, headers) = (request.method(), request.uri(), request.headers());
            let asking = Asking { uri, headers, peer, request_id: &begun.id };
            let at_once = || forward_auth::answer_at_once(authenticator, method, asking);
            // As in `watch`.
            let answer = catch_unwind(AssertUnwindSafe(|| begun.span.in_scope(at_once)));
            if let Some(response) = answer.unwrap_or_else(|_panic| Some(forward_auth::failed())) {
                return Either::Left(ready(begun.end(&requests.checks, Some(forward_auth::ROUTE), response)));
            }
        } else if is_probe {
            return Either::Left(ready(begun.end(&requests.probes, Some(health::HEALTHZ), health::healthz())));
        }
        hide_credentials(request.headers_mut());
        let front_door = self.clone();
        Either::Right(match checks {
            Some(authenticator) => {
                let (authenticator, (parts, _)) = (authenticator.clone(), request.into_parts());
                async move { front_door.find_out(&authenticator, &parts, peer, begun).await }.boxed()
            }
            None => async move { front_door.route(request, peer, begun).await }.boxed(),
        })
    }

    /// The answer to a check of what is not remembered.
    async fn find_out(&self, authenticator: &Authenticator, parts: &Parts, peer: Peer, begun: Begun) -> Response {
        let asking = Asking { uri: &parts.uri, headers: &parts.headers, peer, request_id: &begun.id };
        let answering = forward_auth::answer(authenticator, &parts.method, asking);
        let response = begun.watch(answering, forward_auth::failed).await;
        begun.end(&self.0.requests.checks, Some(forward_auth::ROUTE), response)
    }

    /// The router's answer.
    async fn route<B>(&self, request: axum::http::Request<B>, peer: Peer, begun: Begun) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let Inner { router, requests, .. } = &*self.0;
        let slot = RouteSlot::default();
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(begun.id.clone());
        request.extensions_mut().insert(slot.clone());
        let answering = async { router.clone().oneshot(request).await.into_response() };
        let response = begun.watch(answering, failed).await;
        let route = slot.0.get().map(MatchedPath::as_str);
        begun.end(&requests.route(route.unwrap_or(UNMATCHED)), route, response)
    }

    fn begin(&self, method: &Method, headers: &HeaderMap, quiet: bool, route: Option<&'static str>) -> Begun {
        let (id, method) = (request_id(headers), KnownMethod::from(method));
        let span = span(&id, method, quiet);
        if let Some(route) = route {
            span.record("route", route);
        }
        let traced = self.0.traces.as_ref().and_then(|traces| traces.begin(headers, method, quiet));
        if let Some(traced) = &traced {
            span.record("trace_id", display(traced.context().trace_id()));
            span.record("span_id", display(traced.context().span_id()));
        }
        Begun { id, method, quiet, span, traced, at: Instant::now() }
    }
}

/// Neither the path nor a made-up method is logged: somebody will put a secret there.
fn span(id: &RequestId, method: KnownMethod, quiet: bool) -> Span {
    let method = method.name();
    macro_rules! request_span {
        ($span:ident) => {
            $span!(
                "request",
                request_id = %id.as_str(),
                trace_id = Empty,
                span_id = Empty,
                method,
                route = Empty,
                tenant = Empty,
                principal = Empty
            )
        };
    }
    if quiet { request_span!(debug_span) } else { request_span!(info_span) }
}

/// A request that has come and is not answered yet.
struct Begun {
    id: RequestId,
    method: KnownMethod,
    quiet: bool,
    span: Span,
    traced: Option<Box<RequestSpan>>,
    at: Instant,
}

impl Begun {
    /// Waits for the answer; `failed` gives one where a defect of ours kept us from it.
    async fn watch(&self, answering: impl Future<Output = Response>, failed: fn() -> Response) -> Response {
        // The panic itself was logged by the hook.
        let answer = AssertUnwindSafe(answering).catch_unwind().instrument(self.span.clone()).await;
        answer.unwrap_or_else(|_panic| failed())
    }

    /// Whatever became of the request, its id is in the answer, and it is counted, told in the log and
    /// in its caller's trace.
    fn end(self, counted: &Route, route: Option<&str>, mut response: Response) -> Response {
        let Self { id, method, quiet, span, traced, at } = self;
        let problem = response.extensions_mut().remove::<Problem>();
        let code = problem.as_ref().map(Problem::code);
        if let Some(problem) = problem {
            problem.write_out(id.as_str(), &mut response);
        }
        let latency = at.elapsed();
        counted.count(method, response.status(), latency);
        if let Some(traced) = traced {
            traced.end(&id, route, &mut response);
        }
        response.headers_mut().insert(X_REQUEST_ID, id.into_header_value());
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let status = response.status().as_u16();
        span.in_scope(|| {
            if quiet {
                debug!(status, code, latency_us, "answered");
            } else {
                info!(status, code, latency_us, "answered");
            }
        });
        response
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

/// The client's `X-Request-Id` where it is sane and no place for a secret, else a new one.
fn request_id(headers: &HeaderMap) -> RequestId {
    let sane = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b))
            && !id.contains(Secret::PREFIX)
    };
    let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(sane);
    given.map(str::to_owned).and_then(RequestId::new).unwrap_or_else(RequestId::random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderValue, StatusCode};
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_panic_is_a_500_with_the_request_id() {
        let (id, method) = (RequestId::new("abc-123".to_owned()).unwrap(), KnownMethod::from(&Method::GET));
        let begun = Begun { id, method, quiet: false, span: Span::none(), traced: None, at: Instant::now() };
        let counted = Route::default();
        let response = begun.watch(async { panic!("on purpose") }, failed).await;
        let response = begun.end(&counted, None, response);
        assert_eq!(counted.answers(), [("GET", 500, 1)]);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[X_REQUEST_ID], "abc-123");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["code"], &problem["requestId"]), (&"internal_error".into(), &"abc-123".into()));
        assert!(!problem.to_string().contains("on purpose"));
    }

    #[test]
    fn request_ids_are_taken_where_they_are_sane() {
        let id = |given: &str| {
            let headers = [(X_REQUEST_ID, given.parse().unwrap())].into_iter().collect();
            request_id(&headers).as_str().to_owned()
        };
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

    proptest::proptest! {
        /// Whatever a client sends, what is logged and told back is short, plain, and no secret.
        #[test]
        fn every_request_id_is_sane(given in proptest::collection::vec(0x20_u8..=0xff, 0..200), secret in proptest::prelude::any::<bool>()) {
            let given = if secret { [b"rk_live_", &given[..]].concat() } else { given };
            let value = HeaderValue::from_bytes(&given);
            let id = request_id(&value.into_iter().map(|value| (X_REQUEST_ID, value)).collect());
            let id = id.as_str();
            proptest::prop_assert!((1..=128).contains(&id.len()) && id.is_ascii() && !id.contains("rk_live_"));
            proptest::prop_assert!(id.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\'), "{}", id);
        }
    }
}
