//! `GET /api/v1/api-keys/{id}` and `GET /api/v1/api-keys/self`

use axum::{Json, extract::State, http::header, response::IntoResponse};

use super::{etag::etag, responses::ApiKeyResponse};
use crate::{
    domain::{ApiKeyId, Clock},
    http::{
        authorized::{AnyKey, Authorized, ReadOrItself},
        input::{KeyIdParam, NoQuery},
        problem::{CALLER, Code, PARAMS, Problem, SERVER},
    },
};

/// Gets a key.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/{id}",
    operation_id = "getApiKey",
    tag = "API keys",
    params(KeyIdParam),
    responses((status = 200, description = "The key", body = ApiKeyResponse, headers(("ETag")))),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyNotFound]]))),
)]
pub(crate) async fn get(
    caller: Authorized<ReadOrItself>,
    KeyIdParam(id): KeyIdParam,
    _: NoQuery,
    State(clock): State<Clock>,
) -> Result<impl IntoResponse, Problem> {
    read(&caller, id, &clock).await
}

/// Gets the calling key.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/self",
    operation_id = "getOwnApiKey",
    tag = "The calling key",
    responses((status = 200, description = "The key", body = ApiKeyResponse, headers(("ETag")))),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyRequired]]))),
)]
pub(crate) async fn get_self(
    caller: Authorized<AnyKey>,
    _: NoQuery,
    State(clock): State<Clock>,
) -> Result<impl IntoResponse, Problem> {
    read(&caller, caller.key_id()?, &clock).await
}

async fn read<R>(caller: &Authorized<R>, id: ApiKeyId, clock: &Clock) -> Result<impl IntoResponse + use<R>, Problem> {
    let key = caller.begin_read().await?.key(id).await?.ok_or(Code::KeyNotFound)?;
    Ok(([(header::ETAG, etag(&key))], Json(ApiKeyResponse::new(key, clock.now()))))
}
