//! A span for each request (OpenTelemetry's semantic conventions for HTTP servers), as a child of the client's span
//! (W3C Trace Context). The response has the span's ids in `traceresponse` (a draft of the W3C).
//!
//! A span contains nothing that a client sent, except a known method and a valid request id. A path, a query or a
//! header can contain a secret, so there is `http.route` but no `url.path`.

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

/// Creates the spans.
#[derive(Clone, Debug)]
pub struct RequestTraces {
    tracer: SdkTracer,
}

impl RequestTraces {
    pub(crate) fn new(provider: &SdkTracerProvider) -> Self {
        Self { tracer: provider.tracer("rally-api-keys") }
    }

    /// Starts a span. None for a quiet request, unless the client's trace is sampled: a span for each check of a key
    /// would cost more than the check.
    pub(super) fn begin(&self, headers: &HeaderMap, method: KnownMethod, quiet: bool) -> Option<Box<RequestSpan>> {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        if quiet && !parent.span().span_context().is_sampled() {
            return None;
        }
        // The names that the conventions define for unknown methods.
        let (name, method) = match method.name() {
            "other" => ("HTTP", "_OTHER"),
            known => (known, known),
        };
        let attributes = [KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", "http")];
        let builder = self.tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = self.tracer.build_with_context(builder, &parent);
        // Boxed, since most requests have no span.
        Some(Box::new(RequestSpan { name, span }))
    }
}

/// A request's span. Ends when it is dropped.
pub(super) struct RequestSpan {
    name: &'static str,
    span: Span,
}

impl RequestSpan {
    pub(super) fn context(&self) -> &SpanContext {
        self.span.span_context()
    }

    /// Ends the span with what is known after the response. `route`: the matched route's template.
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
        // The conventions: a client error (4xx) is no error of the server's span.
        if status.is_server_error() {
            span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}
