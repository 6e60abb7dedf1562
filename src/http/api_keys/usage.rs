//! `GET /api/v1/api-keys/{id}/usage`: what a key was used for, by the hour or day.

use axum::{Json, extract::State, response::IntoResponse};

use super::{responses::ApiKeyUsageResponse, schema};
use crate::{
    domain::{ApiKeyId, Clock, InvalidTimestamp, Timestamp, UsageInterval, UsageWindow, parse_timestamp},
    http::{
        authorized::{AnyKey, Authorized, ReadOrItself},
        input::{InputFields, KeyIdParam, QueryParams},
        problem::Problem,
    },
    store::TenantStore,
};
use utoipa::IntoParams;

/// What a key was used for: by default in the last 30 days, by day.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/{id}/usage",
    operation_id = "getApiKeyUsage",
    tag = "Usage and events",
    params(KeyIdParam, UsageParams),
    responses((status = 200, description = "Every bucket from `from` to `to`", body = ApiKeyUsageResponse)),
)]
pub async fn usage(
    caller: Authorized<ReadOrItself>,
    KeyIdParam(id): KeyIdParam,
    State(clock): State<Clock>,
    QueryParams(fields): QueryParams,
) -> Result<impl IntoResponse, Problem> {
    read(&caller.keys, id, clock.now(), fields).await
}

/// What the key that is calling was used for.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/self/usage",
    operation_id = "getOwnUsage",
    tag = "The calling key",
    params(UsageParams),
    responses((status = 200, description = "Every bucket from `from` to `to`", body = ApiKeyUsageResponse)),
)]
pub async fn own_usage(
    caller: Authorized<AnyKey>,
    State(clock): State<Clock>,
    QueryParams(fields): QueryParams,
) -> Result<impl IntoResponse, Problem> {
    read(&caller.keys, caller.key_id()?, clock.now(), fields).await
}

/// Which hours or days.
#[derive(IntoParams)]
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "says what is read parameter by parameter")]
struct UsageParams {
    /// From the hour or day with this moment on (default: 30 days ago)
    #[param(value_type = Option<DateTime<Utc>>, nullable = false)]
    from: Option<Timestamp>,
    /// Up to and with the hour or day with this moment (default: now); at most 10,000 buckets
    #[param(value_type = Option<DateTime<Utc>>, nullable = false)]
    to: Option<Timestamp>,
    /// `hour` or `day`, in UTC (default: `day`)
    #[param(schema_with = schema::usage_interval, required = false)]
    interval: Option<UsageInterval>,
}

fn read_window(fields: &mut InputFields, now: Timestamp) -> Option<UsageWindow> {
    let parse = |text: &str| -> Result<Timestamp, InvalidTimestamp> { parse_timestamp(text) };
    let from = fields.parse("from", parse);
    let to = fields.parse("to", parse);
    let interval = fields.parse("interval", |text| UsageInterval::from_name(text).ok_or("must be hour or day"));
    if !["from", "to", "interval"].into_iter().all(|field| fields.is_good(field)) {
        return None;
    }
    UsageWindow::new(from, to, interval, now).map_err(|error| fields.refuse(error.field(), error.to_string())).ok()
}

async fn read(
    keys: &TenantStore,
    id: ApiKeyId,
    now: Timestamp,
    mut fields: InputFields,
) -> Result<Json<ApiKeyUsageResponse>, Problem> {
    let window = read_window(&mut fields, now);
    fields.finish(&[])?;
    let window = window.ok_or_else(|| Problem::invalid_request(vec![]))?;
    let mut transaction = keys.begin_read().await?;
    if !transaction.key_exists(id).await? {
        return Err(Problem::key_not_found());
    }
    let counted = transaction.usage(id, &window).await?;
    let secrets = transaction.secret_uses(id).await?;
    Ok(Json(ApiKeyUsageResponse::new(&window, counted, secrets)))
}
