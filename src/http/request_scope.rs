//! The parts of a request that every response needs: id, span, trace, latency, metrics, problem document, log line.

use std::panic::AssertUnwindSafe;

use axum::{
    http::{HeaderMap, HeaderValue, Method, header},
    response::Response,
};
use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::{
    Instrument as _, Span, debug, debug_span,
    field::{Empty, display},
    info, info_span, warn,
};

use super::{
    names::X_REQUEST_ID,
    problem::Problem,
    request_metrics::{KnownMethod, RouteCounters},
    request_traces::{RequestSpan, RequestTraces},
    sender::Sender,
};
use crate::{auth::request::RequestId, domain::Secret};

/// Without the path, and without an unknown method: some client will put a secret there.
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
                principal = Empty,
                key_id = Empty,
                address = Empty,
                host = Empty
            )
        };
    }
    if quiet { request_span!(debug_span) } else { request_span!(info_span) }
}

/// A request without a response yet.
pub(super) struct RequestScope {
    pub(super) id: RequestId,
    method: KnownMethod,
    quiet: bool,
    pub(super) span: Span,
    trace: Option<Box<RequestSpan>>,
    started: Instant,
}

impl RequestScope {
    /// A `quiet` request is logged at DEBUG, others at INFO.
    pub(super) fn begin(
        method: &Method,
        headers: &HeaderMap,
        quiet: bool,
        route: Option<&'static str>,
        traces: Option<&RequestTraces>,
    ) -> Self {
        let (id, method) = (request_id(headers), KnownMethod::from(method));
        let span = span(&id, method, quiet);
        if let Some(route) = route {
            span.record("route", route);
        }
        let trace = traces.and_then(|traces| traces.begin(headers, method, quiet));
        if let Some(trace) = &trace {
            span.record("trace_id", display(trace.context().trace_id()));
            span.record("span_id", display(trace.context().span_id()));
        }
        Self { id, method, quiet, span, trace, started: Instant::now() }
    }

    /// Records who sent the request, and to which host.
    pub(super) fn record_sender(&self, sender: &Sender) {
        self.span.record("address", display(sender.address));
        if let Some(host) = sender.host() {
            self.span.record("host", host);
        }
    }

    /// Runs `response` in the request's span. After a panic, which the hook has logged, the response is `failed`.
    pub(super) async fn run(&self, response: impl Future<Output = Response>, failed: fn() -> Response) -> Response {
        let outcome = AssertUnwindSafe(response).catch_unwind().instrument(self.span.clone()).await;
        outcome.unwrap_or_else(|_panic| failed())
    }

    /// Writes the request's id and its problem document into the response, counts and logs it, and ends its trace.
    pub(super) fn finish(self, counted: &RouteCounters, route: Option<&str>, mut response: Response) -> Response {
        let Self { id, method, quiet, span, trace, started } = self;
        let problem = response.extensions_mut().remove::<Problem>();
        let code = problem.as_ref().map(Problem::code);
        if let Some(problem) = &problem {
            counted.count_problem(problem.kind());
            problem.write_out(id.as_str(), &mut response);
        }
        let latency = started.elapsed();
        counted.count(method, response.status(), latency);
        if let Some(trace) = trace {
            trace.end(&id, route, &mut response);
        }
        response.headers_mut().insert(X_REQUEST_ID, id.into_header_value());
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let latency_us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let status = response.status().as_u16();
        let problem = problem.as_ref();
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    status,
                    code,
                    fields = problem.and_then(Problem::bad_fields),
                    detail = problem.and_then(Problem::particulars),
                    cause = problem.and_then(Problem::cause),
                    latency_us,
                    "request finished"
                )
            };
        }
        span.in_scope(|| match (quiet, problem.and_then(Problem::cause)) {
            (true, _) => line!(debug),
            (false, Some(_)) => line!(warn),
            (false, None) => line!(info),
        });
        response
    }
}

/// The client's `X-Request-Id` if it is short, plain and not a secret, else a new id.
fn request_id(headers: &HeaderMap) -> RequestId {
    let acceptable = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b))
            && !id.contains(Secret::PREFIX)
    };
    let given = headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok()).filter(acceptable);
    given.map(str::to_owned).and_then(RequestId::new).unwrap_or_else(RequestId::random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{http::StatusCode, response::IntoResponse as _};
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_panic_becomes_a_500_with_the_request_id() {
        let (id, method) = (RequestId::new("abc-123".to_owned()).unwrap(), KnownMethod::from(&Method::GET));
        let scope = RequestScope { id, method, quiet: false, span: Span::none(), trace: None, started: Instant::now() };
        let counted = RouteCounters::default();
        let response = scope.run(async { panic!("on purpose") }, || Problem::internal().into_response()).await;
        let response = scope.finish(&counted, None, response);
        assert_eq!(counted.responses(), [("GET", 500, 1)]);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()[X_REQUEST_ID], "abc-123");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&problem["code"], &problem["requestId"]), (&"internal_error".into(), &"abc-123".into()));
        assert!(!problem.to_string().contains("on purpose"));
    }

    #[test]
    fn a_request_id_is_kept_if_it_is_short_plain_and_no_secret() {
        let id = |given: &str| {
            let headers = [(X_REQUEST_ID, given.parse().unwrap())].into_iter().collect();
            request_id(&headers).as_str().to_owned()
        };
        let long = "a".repeat(128);
        for kept in ["abc-123", "1-67891233-abcdef012345678912345678", "a/b+c=", &long] {
            assert_eq!(id(kept), kept);
        }
        let longer = "a".repeat(129);
        for replaced in ["", "a b", "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c", "a\"b", &longer] {
            assert_ne!(id(replaced), replaced);
            assert_eq!(id(replaced).len(), 36);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_request_id_is_short_plain_and_no_secret(given in proptest::collection::vec(0x20_u8..=0xff, 0..200), secret in proptest::prelude::any::<bool>()) {
            let given = if secret { [b"rk_live_", &given[..]].concat() } else { given };
            let value = HeaderValue::from_bytes(&given);
            let id = request_id(&value.into_iter().map(|value| (X_REQUEST_ID, value)).collect());
            let id = id.as_str();
            proptest::prop_assert!((1..=128).contains(&id.len()) && id.is_ascii() && !id.contains("rk_live_"));
            proptest::prop_assert!(id.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\'), "{}", id);
        }
    }
}
