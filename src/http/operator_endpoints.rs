//! Probes and metrics: on any host, without a credential.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use prometheus_client::encoding::text::encode;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{
    AppState,
    problem::{Code, HOST, Problem},
};

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
    /// What does not work: `change_feed`, `token_issuer`. Absent if all works
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, example = json!(["change_feed"]))]
    degraded: Vec<&'static str>,
}

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

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

/// The service can serve requests: the database responds, and no stop has begun.
///
/// `degraded` names what does not work: `change_feed` (every check of a key queries the database) or
/// `token_issuer` (tokens under new keys of the issuer are refused, or it publishes no usable key).
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
    if state.drain.has_begun() {
        return Problem::from(Code::Stopping).into_response();
    }
    let authenticator = &state.authenticator;
    let pinging = Arc::clone(authenticator);
    // A task of its own, since a query must not be cancelled half-way.
    let ping = tokio::spawn(async move { pinging.ping_database().await });
    match timeout(PING_TIMEOUT, ping).await {
        Ok(Ok(Ok(()))) => {
            let parts = [
                ("change_feed", state.lease.is_valid()),
                ("token_issuer", authenticator.tokens.issuers_are_up_to_date()),
            ];
            let degraded: Vec<&str> = parts.iter().filter(|(_, works)| !works).map(|(part, _)| *part).collect();
            let status = if degraded.is_empty() { "ready" } else { "degraded" };
            Json(Readiness { status, degraded }).into_response()
        }
        Ok(Ok(Err(error))) => Problem::from(error).into_response(),
        Ok(Err(_)) | Err(_) => Problem::from(Code::DatabaseUnavailable).into_response(),
    }
}

/// All metrics, in the text form of OpenMetrics 1.0.
pub(crate) async fn metrics(State(state): State<AppState>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &state.metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(), // writing to a String does not fail
    }
}
