//! Probes: on any host, without a credential.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use serde_json::json;
use tokio::time::timeout;

use super::{AppState, problem::Problem};

const PATIENCE: Duration = Duration::from_secs(2);

/// Where [`healthz`] is.
pub const HEALTHZ: &str = "/healthz";

/// Where [`readyz`] is.
pub const READYZ: &str = "/readyz";

/// The process runs. Says nothing about the database: a restart would not help it.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "isAlive",
    tag = "Service",
    responses((status = 200, description = "It runs", body = Object, example = json!({"status": "ok"})))
)]
pub fn healthz() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
}

/// Requests can be served: the database answers, and the service is not about to stop.
///
/// `degraded` says what does not work: the change feed (each check of a key costs a query meanwhile), or an
/// issuer of users' tokens (new keys of its are not known).
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "isReady",
    tag = "Service",
    responses((
        status = 200,
        description = "Requests are served",
        body = Object,
        examples(
            ("ready" = (value = json!({"status": "ready"}))),
            ("degraded" = (value = json!({"status": "degraded", "degraded": ["change_feed", "token_issuer"]}))),
        )
    ))
)]
pub async fn readyz(State(state): State<AppState>) -> Response {
    if state.drain.has_begun() {
        return Problem::stopping().into_response();
    }
    let authenticator = &state.authenticator;
    // In a task of its own: a query is not to be dropped half-way.
    let pinging = Arc::clone(authenticator);
    let ping = tokio::spawn(async move { pinging.ping_database().await });
    match timeout(PATIENCE, ping).await {
        Ok(Ok(Ok(()))) => {
            let parts = [("change_feed", state.lease.holds()), ("token_issuer", authenticator.tokens.issuers_answer())];
            let degraded: Vec<&str> = parts.iter().filter(|(_, good)| !good).map(|(part, _)| *part).collect();
            if degraded.is_empty() {
                Json(json!({"status": "ready"})).into_response()
            } else {
                Json(json!({"status": "degraded", "degraded": degraded})).into_response()
            }
        }
        Ok(Ok(Err(error))) => Problem::from(error).into_response(),
        Ok(Err(_)) | Err(_) => Problem::database_unavailable().into_response(),
    }
}
