//! `GET /api/v1/api-keys/{id}/callers`: who uses a key.

use axum::{Json, extract::State, response::IntoResponse};

use super::usage_responses::ApiKeyCallerResponse;
use crate::{
    domain::{ApiKeyId, Clock},
    http::{
        authorized::{AnyKey, Authorized, ReadOrItself},
        input::{KeyIdParam, NoQuery},
        problem::{CALLER, Code, PARAMS, Problem, SERVER},
    },
};

/// Lists who used a key in the last 30 days: what to look at before revoking it.
///
/// A caller is an address and a program (`User-Agent`) that used one of the key's secrets and was let in. The latest 50,
/// the latest first.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/{id}/callers",
    operation_id = "listApiKeyCallers",
    tag = "Usage and events",
    params(KeyIdParam),
    responses((status = 200, description = "The latest callers, at most 60 s behind", body = [ApiKeyCallerResponse])),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyNotFound]]))),
)]
pub(crate) async fn callers(
    caller: Authorized<ReadOrItself>,
    KeyIdParam(id): KeyIdParam,
    _: NoQuery,
    State(clock): State<Clock>,
) -> Result<impl IntoResponse, Problem> {
    read(&caller, id, &clock).await
}

/// Lists who used the calling key in the last 30 days.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/self/callers",
    operation_id = "listOwnCallers",
    tag = "The calling key",
    responses((status = 200, description = "The latest callers, at most 60 s behind", body = [ApiKeyCallerResponse])),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyRequired]]))),
)]
pub(crate) async fn own_callers(
    caller: Authorized<AnyKey>,
    _: NoQuery,
    State(clock): State<Clock>,
) -> Result<impl IntoResponse, Problem> {
    read(&caller, caller.key_id()?, &clock).await
}

async fn read<R>(
    caller: &Authorized<R>,
    id: ApiKeyId,
    clock: &Clock,
) -> Result<Json<Vec<ApiKeyCallerResponse>>, Problem> {
    let mut transaction = caller.begin_read().await?;
    if !transaction.key_exists(id).await? {
        return Err(Code::KeyNotFound.into());
    }
    let callers = transaction.callers(id, clock.now()).await?;
    Ok(Json(callers.into_iter().map(ApiKeyCallerResponse::from).collect()))
}
