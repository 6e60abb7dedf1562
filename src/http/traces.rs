//! A span for each request (OpenTelemetry's conventions for HTTP servers), as a child of the caller's
//! (W3C Trace Context).
//!
//! Of what a client sends, nothing gets into a span but its method, where that is a known one, and its
//! request id, where that is sane: somebody will put a secret into the path, the query or a header, so
//! `url.path` is left out, and the route is there. The service calls nobody on a request's behalf but
//! its database; who called is told the span's ids in `traceresponse` (a draft of the same group's).

use axum::{
    http::{HeaderMap, HeaderValue},
    response::Response,
};
use opentelemetry::{
    Array, KeyValue, StringValue, Value,
    propagation::TextMapPropagator as _,
    trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{SdkTracer, SdkTracerProvider, Span},
};

use super::{names::TRACERESPONSE, request_metrics::KnownMethod};
use crate::auth::request::RequestId;

/// Makes spans of requests.
#[derive(Clone, Debug)]
pub struct RequestTraces {
    tracer: SdkTracer,
}

impl RequestTraces {
    /// Makes them for that provider.
    #[must_use]
    pub fn new(provider: &SdkTracerProvider) -> Self {
        Self { tracer: provider.tracer("rally-api-keys") }
    }

    /// Begins one. None for a quiet request, unless its caller's trace is sampled: a span for each
    /// check of a key would cost more than the check, and say as little as one for each probe.
    pub(super) fn begin(&self, headers: &HeaderMap, method: KnownMethod, quiet: bool) -> Option<Box<RequestSpan>> {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        if quiet && !parent.span().span_context().is_sampled() {
            return None;
        }
        // Of an unknown method, that is all that the conventions would tell.
        let (name, method) = match method.name() {
            "other" => ("HTTP", "_OTHER"),
            known => (known, known),
        };
        let attributes = [KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", "http")];
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = self.tracer.build_with_context(builder, &parent);
        // Boxed: most requests have none, and carry its size around.
        Some(Box::new(RequestSpan { name, span }))
    }
}

/// A request's span; ends when it is dropped.
pub(super) struct RequestSpan {
    name: &'static str,
    span: Span,
}

impl RequestSpan {
    /// Its ids.
    pub(super) fn context(&self) -> &SpanContext {
        self.span.span_context()
    }

    /// The request was answered, by that route, if any took it.
    pub(super) fn end(mut self, id: &RequestId, route: Option<&str>, response: &mut Response) {
        let Self { name, span } = &mut self;
        let (status, context) = (response.status(), span.span_context());
        let (trace, parent, flags) = (context.trace_id(), context.span_id(), context.trace_flags());
        if let Ok(value) = HeaderValue::from_str(&format!("00-{trace}-{parent}-{flags:02x}")) {
            response.headers_mut().insert(TRACERESPONSE, value);
        }
        if let Some(route) = route {
            span.update_name(format!("{name} {route}"));
            span.set_attribute(KeyValue::new("http.route", route.to_owned()));
        }
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        let id = Value::Array(Array::String(vec![StringValue::from(id.as_str().to_owned())]));
        span.set_attribute(KeyValue::new("http.response.header.x-request-id", id));
        // What a client did wrong is no error of the server's span.
        if status.is_server_error() {
            span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}
