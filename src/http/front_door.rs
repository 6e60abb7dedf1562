//! The way that every request takes first: it gets its id and its span, its credentials are hidden
//! from every `Debug`, a panic becomes a 500, problems are written out, and one line is logged.
//!
//! What is asked about every request to the CRM is answered right here, and not by way of the
//! router, whose boxed layers cost more than the check itself.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody},
    extract::{MatchedPath, Request},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use tokio::time::Instant;
use tower::ServiceExt as _;
use tracing::{
    Instrument as _, Span, debug, debug_span,
    field::{Empty, display},
    info, info_span,
};
use uuid::Uuid;

use super::{
    forward_auth, health,
    metrics::{KnownMethod, METRICS, RequestMetrics, Route, UNMATCHED},
    problem::Problem,
    traces::RequestTraces,
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

/// Where a request is answered.
#[derive(Clone, Copy)]
enum Way<'a> {
    Check(&'a Authenticator),
    Probe,
    Router(&'a Router),
}

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
    pub async fn answer<B>(&self, mut request: axum::http::Request<B>, peer: Peer) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let id = request_id(request.headers());
        hide_credentials(request.headers_mut());
        let Inner { requests, traces, .. } = &*self.0;
        let way = self.way(&request);
        let quiet = !matches!(way, Way::Router(_)) || QUIET.contains(&request.uri().path());
        let method = KnownMethod::from(request.method());
        let span = span(&id, method, quiet);
        let traced = traces.as_ref().and_then(|traces| traces.begin(request.headers(), method, quiet));
        if let Some(traced) = &traced {
            span.record("trace_id", display(traced.context().trace_id()));
            span.record("span_id", display(traced.context().span_id()));
        }
        let done = |counted: &Route, route: Option<&str>, response: &mut Response, latency| {
            counted.count(method, response.status(), latency);
            if let Some(traced) = traced {
                traced.end(&id, route, response);
            }
        };
        match way {
            Way::Check(authenticator) => {
                span.record("route", forward_auth::ROUTE);
                let (parts, _) = request.into_parts();
                let asking = Asking { parts: &parts, peer, request_id: &id };
                let answering = forward_auth::answer(authenticator, asking);
                let done = |response: &mut Response, latency| {
                    done(&requests.checks, Some(forward_auth::ROUTE), response, latency);
                };
                observe(&id, quiet, answering, forward_auth::failed, done).instrument(span).await
            }
            Way::Probe => {
                span.record("route", health::HEALTHZ);
                let answering = async { health::healthz() };
                let done = |response: &mut Response, latency| {
                    done(&requests.probes, Some(health::HEALTHZ), response, latency);
                };
                observe(&id, quiet, answering, failed, done).instrument(span).await
            }
            Way::Router(router) => {
                let slot = RouteSlot::default();
                let mut request: Request = request.map(Body::new);
                request.extensions_mut().insert(peer);
                request.extensions_mut().insert(id.clone());
                request.extensions_mut().insert(slot.clone());
                let answering = async { router.clone().oneshot(request).await.into_response() };
                let done = |response: &mut Response, latency| {
                    let route = slot.0.get().map(MatchedPath::as_str);
                    done(&requests.route(route.unwrap_or(UNMATCHED)), route, response, latency);
                };
                observe(&id, quiet, answering, failed, done).instrument(span).await
            }
        }
    }

    fn way<B>(&self, request: &axum::http::Request<B>) -> Way<'_> {
        let Inner { authenticator, router, .. } = &*self.0;
        let path = request.uri().path();
        match authenticator {
            Some(authenticator) if forward_auth::is_asked(path) => Way::Check(authenticator),
            _ if path == health::HEALTHZ && matches!(*request.method(), Method::GET | Method::HEAD) => Way::Probe,
            _ => Way::Router(router),
        }
    }
}

/// Neither the path nor a made-up method is logged: somebody will put a secret there.
fn span(id: &RequestId, method: KnownMethod, quiet: bool) -> Span {
    let method = method.name();
    macro_rules! request_span {
        ($span:ident) => {
            $span!(
                "request",
                request_id = %id.0,
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

/// Whatever becomes of the request, there is an answer with its id in it, and a line in the log, and
/// `done` is told.
async fn observe(
    id: &RequestId,
    quiet: bool,
    answering: impl Future<Output = Response>,
    failed: fn() -> Response,
    done: impl FnOnce(&mut Response, Duration),
) -> Response {
    let started = Instant::now();
    // The panic itself was logged by the hook.
    let answer = AssertUnwindSafe(answering).catch_unwind().await;
    let mut response = answer.unwrap_or_else(|_panic| failed());
    let problem = response.extensions_mut().remove::<Problem>();
    let code = problem.as_ref().map(Problem::code);
    if let Some(problem) = problem {
        problem.write_out(&id.0, &mut response);
    }
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    let latency = started.elapsed();
    done(&mut response, latency);
    let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
    let status = response.status().as_u16();
    if quiet {
        debug!(status, code, latency_us, "answered");
    } else {
        info!(status, code, latency_us, "answered");
    }
    response
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
    RequestId(
        given.map_or_else(
            || Arc::from(&*Uuid::new_v4().hyphenated().encode_lower(&mut Uuid::encode_buffer())),
            Arc::from,
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_panic_is_a_500_with_the_request_id() {
        let id = RequestId("abc-123".into());
        let mut counted = None;
        let response = observe(&id, false, async { panic!("on purpose") }, failed, |response, _| {
            counted = Some(response.status());
        })
        .await;
        assert_eq!(counted, Some(StatusCode::INTERNAL_SERVER_ERROR));
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
            request_id(&headers).0.to_string()
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
            let id = request_id(&value.into_iter().map(|value| (X_REQUEST_ID, value)).collect()).0;
            proptest::prop_assert!((1..=128).contains(&id.len()) && id.is_ascii() && !id.contains("rk_live_"));
            proptest::prop_assert!(id.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\'), "{}", id);
        }
    }
}
