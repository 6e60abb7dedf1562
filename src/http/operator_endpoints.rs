//! Probes and metrics: on any host, without a credential.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use prometheus_client::encoding::text::encode;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{
    AppState,
    metrics_text::{CLASSIC, OPENMETRICS, prefers_openmetrics, to_classic},
    problem::{Code, HOST, Problem},
};
use crate::auth::authenticator::Authenticator;

const PING_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(ToSchema)]
#[allow(dead_code, reason = "for the description")]
struct Alive {
    /// Always `ok`
    #[schema(example = "ok")]
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Readiness {
    /// `ready` or `degraded`
    #[schema(example = "degraded")]
    status: &'static str,
    /// What does not work: `change_feed`, `token_issuer`, `redis`. Absent if all works
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["change_feed"]))]
    degraded: Vec<&'static str>,
}

/// The process runs.
///
/// Does not depend on the database: a restart of this process would not repair that.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "isAlive",
    tag = "Service",
    responses((status = 200, description = "The process runs", body = Alive, example = json!({"status": "ok"}))),
    extensions(("x-problems" = json!([HOST]))),
)]
pub(crate) async fn healthz() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
}

/// The service can serve requests: the database responds, or cached keys can be checked without it, and no stop has begun.
///
/// `degraded` names what does not work: `database` (only checks of cached keys work, until the lease is over), `change_feed` (changes by other instances do not arrive),
/// `token_issuer` (tokens under new keys of the issuer are refused, or it publishes no usable key), or
/// `redis` (each instance counts rate limits by itself).
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "isReady",
    tag = "Service",
    responses((
        status = 200,
        description = "The service can serve requests",
        body = Readiness,
        examples(
            ("ready" = (value = json!({"status": "ready"}))),
            ("degraded" = (value = json!({"status": "degraded", "degraded": ["change_feed", "token_issuer"]}))),
        )
    )),
    extensions(("x-problems" = json!([HOST, [Code::DatabaseUnavailable, Code::Stopping]]))),
)]
pub(crate) async fn readyz(State(state): State<AppState>) -> Response {
    match readiness(&state).await {
        Ok(degraded) => {
            let status = if degraded.is_empty() { "ready" } else { "degraded" };
            Json(Readiness { status, degraded }).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

/// What does not work although requests can be served; or why they cannot.
async fn readiness(state: &AppState) -> Result<Vec<&'static str>, Problem> {
    if state.drain.has_begun() {
        return Err(Code::Stopping.into());
    }
    let authenticator = &state.authenticator;
    let database = ping_database(authenticator).await;
    // While the feed's connection responds, PostgreSQL is not away: the pools' connections, or a pooler, have failed here.
    let feed_responds = state.feed.is_up() && state.feed.lag().is_some_and(|lag| lag < PING_TIMEOUT);
    if feed_responds || !state.feed.is_lease_held() {
        database.clone()?;
    }
    let parts = [
        ("database", database.is_ok()),
        ("change_feed", state.feed.is_up()),
        ("token_issuer", authenticator.tokens.issuers_are_up_to_date()),
        ("redis", state.limiter.is_up()),
    ];
    Ok(parts.iter().filter(|(_, works)| !works).map(|(part, _)| *part).collect())
}

/// Fails if the database does not respond in time.
pub(super) async fn ping_database(authenticator: &Arc<Authenticator>) -> Result<(), Problem> {
    let pinging = Arc::clone(authenticator);
    // A task of its own, since a query must not be cancelled half-way.
    let ping = tokio::spawn(async move { pinging.ping_database().await });
    match timeout(PING_TIMEOUT, ping).await {
        Ok(Ok(pinged)) => Ok(pinged?),
        Ok(Err(_)) | Err(_) => Err(Code::DatabaseUnavailable.into()),
    }
}

/// All metrics, as OpenMetrics or in the older text format of Prometheus.
pub(crate) async fn metrics(State(state): State<AppState>, headers: HeaderMap) -> Response {
    state.ready.set(i64::from(readiness(&state).await.is_ok()));
    let mut text = String::new();
    if encode(&mut text, &state.metrics).is_err() {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response(); // writing to a String does not fail
    }
    let (content_type, text) =
        if prefers_openmetrics(&headers) { (OPENMETRICS, text) } else { (CLASSIC, to_classic(&text)) };
    ([(header::CONTENT_TYPE, content_type), (header::VARY, "Accept")], text).into_response()
}
