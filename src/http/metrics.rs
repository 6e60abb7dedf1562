//! `/metrics`, in OpenMetrics' text form: on any host, without a credential. No label names a
//! tenant or a key.

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use prometheus_client::encoding::text::encode;

use super::AppState;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is counted and measured (OpenMetrics 1.0).
pub async fn metrics(State(state): State<AppState>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &state.metrics) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(), // writing to a String does not fail
    }
}
