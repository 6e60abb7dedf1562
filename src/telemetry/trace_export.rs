//! Exports the spans of requests to an OpenTelemetry collector, by OTLP over HTTP.
//!
//! A thread of the SDK sends spans in batches from a bounded queue. If the queue is full, spans are dropped, so a slow
//! or unreachable collector never delays a request.

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
/// For one batch: the default of OTEL_EXPORTER_OTLP_TIMEOUT.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stop waits for the last batch.
const LAST_BATCH: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The HTTP client cannot be created.
    #[error("cannot send traces: {0}")]
    Http(#[from] reqwest::Error),
    /// The exporter rejects its settings.
    #[error("cannot send traces: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// The running export.
pub(crate) struct TraceExport {
    provider: SdkTracerProvider,
}

impl TraceExport {
    /// Starts the export. It sends on the tokio runtime that this is called in.
    pub(crate) fn start(traces: &Traces) -> Result<Self, TracesError> {
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
        info!(endpoint = traces.endpoint, "exporting traces to the OpenTelemetry collector");
        Ok(Self { provider })
    }

    pub(crate) fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// Sends the queued spans, for at most three seconds.
    #[allow(clippy::disallowed_methods, reason = "called once")]
    pub(crate) async fn stop(self) {
        // It blocks, while the export that it waits for needs the runtime.
        let stopped = spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_BATCH)).await;
        if let Ok(Err(error)) = stopped {
            warn!(%error, "the last spans may be lost: the OpenTelemetry collector did not accept them before the stop");
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

/// Configured attributes override the defaults.
fn resource(traces: &Traces) -> Resource {
    let defaults = [
        ("service.name", SERVICE.to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
        ("service.instance.id", Uuid::new_v4().to_string()),
    ];
    let mut attributes: HashMap<&str, String> = defaults.into_iter().collect();
    attributes.extend(traces.resource.iter().map(|(name, value)| (name.as_str(), value.clone())));
    if let Some(name) = &traces.service_name {
        attributes.insert("service.name", name.clone());
    }
    let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name.to_owned(), value));
    Resource::builder().with_attributes(attributes).build()
}

/// Sends by reqwest, on the runtime: the SDK's thread that calls it has none.
#[derive(Debug)]
struct Client {
    http: reqwest::Client,
    runtime: Handle,
    /// The last export failed. An outage is logged once, not for each batch.
    failing: Arc<AtomicBool>,
}

/// The return type of `HttpClient::send_bytes`, which is declared by the macro async_trait.
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
                Ok(response) => Some(format!("the response has status {}", response.status())),
                Err(error) => Some(error.to_string()),
            };
            match problem {
                None if failing.swap(false, Ordering::Relaxed) => info!("the OpenTelemetry collector accepts traces again"),
                Some(problem) if !failing.swap(true, Ordering::Relaxed) => {
                    warn!(problem, "cannot export traces: spans are lost until the OpenTelemetry collector accepts them; check OTEL_EXPORTER_OTLP_ENDPOINT and the collector");
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
    let mut reply = axum::http::Response::new(Bytes::new());
    *reply.status_mut() = response.status();
    *reply.headers_mut() = response.headers().clone();
    // Without the body: it only lists rejected spans, which the collector logs.
    Ok(reply)
}
