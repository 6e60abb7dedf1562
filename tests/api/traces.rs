//! Request spans, as an OTLP collector receives them.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::HeaderMap, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    binary::Home,
    client::{PATH, send},
    harness::{JWT_SECRET, PEPPER, TestDatabase, TestServer, sign},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector that stores each OTLP/HTTP request.
struct Collector {
    address: SocketAddr,
    batches: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
}

impl Collector {
    async fn start() -> Self {
        let batches = Arc::<Mutex<Vec<_>>>::default();
        let received = batches.clone();
        let receive =
            move |headers: HeaderMap, body: Bytes| async move { received.lock().unwrap().push((headers, body)) };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/traces", post(receive));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, batches }
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    fn decoded_batches(&self) -> Vec<ExportTraceServiceRequest> {
        let batches = self.batches.lock().unwrap();
        batches.iter().map(|(_, body)| ExportTraceServiceRequest::decode(body.clone()).unwrap()).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.decoded_batches().into_iter().flat_map(|batch| batch.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn read_attributes(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    let value = |pair: &KeyValue| pair.value.as_ref().and_then(|value| value.value.as_ref()).map(text).unwrap();
    attributes.iter().map(|pair| (pair.key.as_str(), value(pair))).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_collector_receives_a_span_for_each_sampled_request() {
    let collector = Collector::start().await;
    let mut server = TestServer::with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20of-the-collector"),
        ("OTEL_SERVICE_NAME", "keys"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=test"),
    ])
    .await;
    let admin = server.admin("acme");
    let key = admin.create("Zapier", "read").await;
    let caller = admin.with_key(&key.secret);
    let traced = |flags: &str| format!("00-{TRACE}-{CALLER}-{flags}");
    let misplaced = "rk_live_0123456789abcdef0123456789abcdef";

    let request = admin.request(Method::GET, &format!("{}?key={misplaced}", key.path()));
    let request = request.header("traceparent", traced("01")).header("tracestate", "vendor=1");
    let refused = send(request.header("x-request-id", "the-first").header("baggage", format!("key={misplaced}"))).await;
    assert_eq!(refused.status, 400, "an unknown parameter");
    let traceresponse = refused.header("traceresponse").to_owned();
    assert!(traceresponse.starts_with(&format!("00-{TRACE}-")) && traceresponse.ends_with("-01"), "{traceresponse}");
    let request = caller.request(Method::GET, "/forward-auth").header("traceparent", traced("01"));
    assert_eq!(send(request).await.status, 200);
    let made_up = Method::from_bytes(b"MADEUP").unwrap();
    let request = admin.request(made_up, &format!("/{misplaced}")).header("traceparent", format!("00-{misplaced}"));
    assert_eq!(send(request).await.status, 404);
    // No span: the caller's trace is not sampled, or a check or probe comes without a trace.
    let untraced = send(admin.request(Method::GET, PATH).header("traceparent", traced("00"))).await;
    assert_eq!(untraced.status, 200);
    assert_eq!(caller.get("/forward-auth").await.status, 200);
    assert_eq!(admin.get("/healthz").await.status, 200);
    server.stop().await;

    let spans = collector.spans();
    let mut names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["GET /api/v1/api-keys/{id}", "GET /forward-auth", "HTTP", "POST /api/v1/api-keys"]);
    for span in &spans {
        assert_eq!(span.kind, 2, "SPAN_KIND_SERVER");
        let attributes = read_attributes(&span.attributes);
        let parent = (hex(&span.trace_id), hex(&span.parent_span_id));
        let of = |name: &str| attributes.get(name).map(String::as_str);
        match span.name.as_str() {
            "GET /api/v1/api-keys/{id}" => {
                assert_eq!(parent, (TRACE.to_owned(), CALLER.to_owned()));
                assert_eq!(span.trace_state, "vendor=1");
                assert!(traceresponse.contains(&hex(&span.span_id)), "{traceresponse}");
                assert_eq!(of("http.request.method"), Some("GET"));
                assert_eq!(of("http.route"), Some("/api/v1/api-keys/{id}"));
                assert_eq!(of("http.response.status_code"), Some("400"));
                assert!(of("http.response.header.x-request-id").unwrap().contains("the-first"));
            }
            "GET /forward-auth" => assert_eq!(parent, (TRACE.to_owned(), CALLER.to_owned())),
            "POST /api/v1/api-keys" => {
                assert!(parent.0 != TRACE && parent.1.is_empty(), "{parent:?}");
                assert_eq!(of("http.response.status_code"), Some("201"));
            }
            _ => {
                assert_eq!((of("http.request.method"), of("http.route")), (Some("_OTHER"), None));
                assert!(parent.1.is_empty(), "{parent:?}");
            }
        }
    }
    let resource = collector.decoded_batches()[0].resource_spans[0].resource.clone().unwrap().attributes;
    let resource = read_attributes(&resource);
    for (name, value) in [
        ("service.name", "keys"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(resource[name], value);
    }
    let token = server.token("acme", "admin");
    for (headers, body) in collector.batches.lock().unwrap().iter() {
        assert_eq!(headers["authorization"], "Bearer of-the-collector");
        let sent = String::from_utf8_lossy(body);
        for secret in
            ["rk_live", &misplaced[8..], &key.secret[8..], &token[..30], "MADEUP", JWT_SECRET, "of-the-collector"]
        {
            assert!(!sent.contains(secret), "{secret}: {sent}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unresponsive_collector_does_not_delay_requests() {
    // The kernel accepts connections into the listener's backlog; nothing ever responds.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("SHUTDOWN_GRACE_SECONDS", "12")];
    let mut server = TestServer::with(&settings).await;
    let admin = server.admin("acme");
    let started = Instant::now();
    // More spans than the export queue holds.
    for _ in 0..3_000 {
        let request = admin.request(Method::GET, "/healthz").header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
        assert_eq!(send(request).await.status, 200);
    }
    // If requests waited for the collector, each would take a second or more.
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
    let stopping = Instant::now();
    server.stop().await;
    // The final export may take three seconds.
    assert!(stopping.elapsed() < Duration::from_secs(8), "{:?}", stopping.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_contain_the_trace_and_span_ids() {
    let (collector, database) = (Collector::start().await, TestDatabase::create().await);
    let home = Home::new("traces");
    let url = database.url_text(None).await;
    let service = home
        .serve(&[
            ("DATABASE_URL", &url),
            ("JWT_SECRET", JWT_SECRET),
            ("KEY_PEPPER", PEPPER),
            ("LOG_FORMAT", "json"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
            // A setting of the OpenTelemetry SDK, read by the SDK itself.
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ])
        .await;
    let exp = chrono::Utc::now().timestamp() + 600;
    let token = sign(&json!({"sub": "42", "tenant": "acme", "scope": "admin", "exp": exp}));
    let admin = service.client("acme", crate::client::Credential::Bearer(token));
    let request = admin.request(Method::GET, PATH).header("x-request-id", "told");
    assert_eq!(send(request.header("traceparent", format!("00-{TRACE}-{CALLER}-01"))).await.status, 200);
    crate::harness::wait_until(async || collector.spans().len() == 1).await;
    let span = hex(&collector.spans()[0].span_id);
    let log = service.log();
    let line = log.lines().find(|line| line.contains("request finished")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let ids = ["trace_id", "span_id", "request_id"].map(|name| line["span"][name].as_str().unwrap().to_owned());
    assert_eq!(ids, [TRACE.to_owned(), span, "told".to_owned()]);
}
