//! `GET /api/v1/api-keys/{id}/usage` and `GET /api/v1/api-keys/usage`: requests with a key, or with all keys of the tenant, by
//! hour or day.

use std::time::Duration;

use axum::{extract::State, http::header, response::IntoResponse};

use super::{
    schema,
    usage_responses::{ApiKeyUsageResponse, TenantUsageResponse},
};
use crate::{
    domain::{ApiKeyId, Clock, Timestamp, UsageInterval, UsageWindow},
    http::{
        authorized::{AnyKey, Authorized, Read, ReadOrItself},
        input::{InputFields, KeyIdParam, QueryParams, parse_query_timestamp},
        problem::{CALLER, Code, PARAMS, Problem, SERVER},
        response_buffers::{ResponseBuffer, ResponseBuffers},
    },
};
use serde::Serialize;
use utoipa::IntoParams;

/// How long the response, which may be large, waits for a buffer.
const BUFFER_TIMEOUT: Duration = Duration::from_secs(3);

/// Counts the requests with a key by hour or day.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/{id}/usage",
    operation_id = "getApiKeyUsage",
    tag = "Usage and events",
    params(KeyIdParam, UsageParams),
    responses((status = 200, description = "Every bucket from `from` to `to`", body = ApiKeyUsageResponse)),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyNotFound]]))),
)]
pub(crate) async fn usage(
    caller: Authorized<ReadOrItself>,
    KeyIdParam(id): KeyIdParam,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    QueryParams(fields): QueryParams,
) -> Result<impl IntoResponse, Problem> {
    read(&caller, id, clock.now(), &buffers, fields).await
}

/// Counts the requests with the calling key by hour or day.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/self/usage",
    operation_id = "getOwnUsage",
    tag = "The calling key",
    params(UsageParams),
    responses((status = 200, description = "Every bucket from `from` to `to`", body = ApiKeyUsageResponse)),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyRequired]]))),
)]
pub(crate) async fn own_usage(
    caller: Authorized<AnyKey>,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    QueryParams(fields): QueryParams,
) -> Result<impl IntoResponse, Problem> {
    read(&caller, caller.key_id()?, clock.now(), &buffers, fields).await
}

/// Counts the requests with all keys of the tenant by hour or day.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/usage",
    operation_id = "getUsage",
    tag = "Usage and events",
    params(UsageParams),
    responses((status = 200, description = "Every bucket from `from` to `to`", body = TenantUsageResponse)),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS]))),
)]
pub(crate) async fn tenant_usage(
    caller: Authorized<Read>,
    State(clock): State<Clock>,
    State(buffers): State<ResponseBuffers>,
    QueryParams(fields): QueryParams,
) -> Result<impl IntoResponse, Problem> {
    let window = read_only_window(fields, clock.now())?;
    let buffer = buffers.take(caller.tenant.id, BUFFER_TIMEOUT).await?;
    let counted = caller.begin_read().await?.tenant_usage(&window).await?;
    respond(buffer, &TenantUsageResponse::new(&window, counted))
}

#[derive(IntoParams)]
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameters are read one by one")]
struct UsageParams {
    /// The first hour or day is the one that contains this time (default: 30 days ago)
    #[param(value_type = Option<DateTime<Utc>>, nullable = false, example = "2026-11-22T00:00:00Z")]
    from: Option<Timestamp>,
    /// The end, exclusive (default: now): the last hour or day is the one that contains the moment before it; at most 10,000
    /// buckets
    #[param(value_type = Option<DateTime<Utc>>, nullable = false, example = "2026-11-24T00:00:00Z")]
    to: Option<Timestamp>,
    /// `hour` or `day`, in UTC (default: `day`)
    #[param(schema_with = schema::usage_interval, required = false)]
    interval: Option<UsageInterval>,
}

fn read_window(fields: &mut InputFields, now: Timestamp) -> Option<UsageWindow> {
    let from = fields.parse("from", parse_query_timestamp);
    let to = fields.parse("to", parse_query_timestamp);
    let interval = fields.parse("interval", |text| UsageInterval::from_name(text).ok_or("must be hour or day"));
    if !["from", "to", "interval"].into_iter().all(|field| fields.is_good(field)) {
        return None;
    }
    UsageWindow::new(from, to, interval, now).map_err(|error| fields.refuse(error.field(), error.to_string())).ok()
}

/// The window, of a query that has nothing else.
fn read_only_window(mut fields: InputFields, now: Timestamp) -> Result<UsageWindow, Problem> {
    let window = read_window(&mut fields, now);
    fields.finish(&[])?;
    window.ok_or_else(|| Problem::invalid_request(vec![]))
}

async fn read<R>(
    caller: &Authorized<R>,
    id: ApiKeyId,
    now: Timestamp,
    buffers: &ResponseBuffers,
    fields: InputFields,
) -> Result<impl IntoResponse + use<R>, Problem> {
    let window = read_only_window(fields, now)?;
    let buffer = buffers.take(caller.tenant.id, BUFFER_TIMEOUT).await?;
    let mut transaction = caller.begin_read().await?;
    if !transaction.key_exists(id).await? {
        return Err(Code::KeyNotFound.into());
    }
    let counted = transaction.usage(id, &window).await?;
    let secrets = transaction.secret_uses(id).await?;
    respond(buffer, &ApiKeyUsageResponse::new(&window, counted, secrets))
}

fn respond<T: Serialize>(buffer: ResponseBuffer, usage: &T) -> Result<impl IntoResponse + use<T>, Problem> {
    let json = serde_json::to_vec(usage).map_err(|_| Problem::internal())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], buffer.fill(json)))
}
