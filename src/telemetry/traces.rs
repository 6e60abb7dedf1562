//! Where spans of requests go: an OpenTelemetry collector, by OTLP over HTTP.
//!
//! Spans wait in a bounded queue and a thread of their own sends them in batches; where the queue is
//! full, spans are dropped. So a collector that is slow or gone holds nobody up.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::Bytes;
use opentelemetry::KeyValue;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use reqwest::redirect::Policy;
use tokio::{runtime::Handle, task::spawn_blocking};
use tracing::{info, warn};
use uuid::Uuid;

use crate::config::{TraceSampler, Traces};

const SERVICE: &str = "rally-api-keys";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For one batch. The default of OTEL_EXPORTER_OTLP_TIMEOUT.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the end of the process waits for the last spans.
const LAST_BATCH: Duration = Duration::from_secs(3);

/// Why spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// There is no way to send anything.
    #[error("cannot send traces: {0}")]
    Http(#[from] reqwest::Error),
    /// The settings do not go together.
    #[error("cannot send traces: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// Takes spans and sends them.
pub struct TraceExport {
    provider: SdkTracerProvider,
}

impl TraceExport {
    /// Starts sending. To be called within a runtime, which the sending then uses.
    pub fn start(traces: &Traces) -> Result<Self, TracesError> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("rally-api-keys/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let client = Client { http, runtime: Handle::current(), failing: Arc::default() };
        let headers: HashMap<String, String> = traces.headers.iter().cloned().collect();
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", traces.endpoint.trim_end_matches('/')))
            .with_headers(headers)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler(traces.sampler))
            .with_resource(resource(traces))
            .build();
        info!(endpoint = traces.endpoint, "traces are sent");
        Ok(Self { provider })
    }

    /// Where spans are handed in.
    #[must_use]
    pub fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// Sends what is left, and waits a few seconds for that.
    pub async fn stop(self) {
        // It blocks, and what it waits for needs the runtime.
        let stopped = spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_BATCH)).await;
        if let Ok(Err(error)) = stopped {
            warn!(%error, "the last spans may not have been sent");
        }
    }
}

fn sampler(TraceSampler { parent_based, ratio }: TraceSampler) -> Sampler {
    let root = match ratio {
        None => Sampler::AlwaysOn,
        Some(0.0) => Sampler::AlwaysOff,
        Some(ratio) => Sampler::TraceIdRatioBased(ratio),
    };
    if parent_based { Sampler::ParentBased(Box::new(root)) } else { root }
}

/// Whose spans they are. What is configured has the last word.
fn resource(traces: &Traces) -> Resource {
    let ours = [
        ("service.name", SERVICE.to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", Uuid::new_v4().to_string()),
    ];
    let mut attributes: HashMap<&str, String> = ours.into_iter().collect();
    attributes.extend(traces.resource.iter().map(|(name, value)| (name.as_str(), value.clone())));
    if let Some(name) = &traces.service_name {
        attributes.insert("service.name", name.clone());
    }
    let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name.to_owned(), value));
    Resource::builder().with_attributes(attributes).build()
}

/// Sends by the reqwest that is here anyway. The thread that asks for it is outside the runtime.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    /// So that an outage is told once.
    failing: Arc<AtomicBool>,
}

/// As the trait's macro, which needs a crate of its own, would write it.
type Sending<'a> = Pin<Box<dyn Future<Output = Result<axum::http::Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Client {
    fn send_bytes<'client, 'sending>(&'client self, request: axum::http::Request<Bytes>) -> Sending<'sending>
    where
        'client: 'sending,
        Self: 'sending,
    {
        let (http, failing) = (self.http.clone(), self.failing.clone());
        let sending = self.runtime.spawn(async move {
            let outcome = send(&http, request).await;
            let problem = match &outcome {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => Some(format!("it answered with status {}", response.status())),
                Err(error) => Some(error.to_string()),
            };
            match problem {
                None if failing.swap(false, Ordering::Relaxed) => info!("the collector takes traces again"),
                Some(problem) if !failing.swap(true, Ordering::Relaxed) => {
                    warn!(problem, "the collector takes no traces; spans are lost until it does");
                }
                _ => {}
            }
            outcome
        });
        Box::pin(async move { sending.await? })
    }
}

async fn send(
    http: &reqwest::Client,
    request: axum::http::Request<Bytes>,
) -> Result<axum::http::Response<Bytes>, HttpError> {
    let response = http.execute(request.try_into()?).await?;
    let mut answer = axum::http::Response::new(Bytes::new());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    // Its body would only say what a collector rejects; that is the collector's to log.
    Ok(answer)
}
