//! `GET /api/v1/api-keys/{id}` and `GET /api/v1/api-keys/self`

use axum::{extract::State, response::Response};

use super::{
    preconditions::{PreconditionParams, Preconditions},
    responses::ApiKeyResponse,
};
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
    params(KeyIdParam, PreconditionParams),
    responses(
        (status = 200, description = "The key", body = ApiKeyResponse, headers(("ETag"))),
        (status = 304, description = "The key is as `If-None-Match` names it", headers(("ETag"))),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyNotFound, Code::PreconditionFailed]]))),
)]
pub(crate) async fn get(
    caller: Authorized<ReadOrItself>,
    KeyIdParam(id): KeyIdParam,
    _: NoQuery,
    conditions: Preconditions,
    State(clock): State<Clock>,
) -> Result<Response, Problem> {
    read(&caller, id, &clock, &conditions).await
}

/// Gets the calling key.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/self",
    operation_id = "getOwnApiKey",
    tag = "The calling key",
    params(PreconditionParams),
    responses(
        (status = 200, description = "The key", body = ApiKeyResponse, headers(("ETag"))),
        (status = 304, description = "The key is as `If-None-Match` names it", headers(("ETag"))),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyRequired, Code::PreconditionFailed]]))),
)]
pub(crate) async fn get_self(
    caller: Authorized<AnyKey>,
    _: NoQuery,
    conditions: Preconditions,
    State(clock): State<Clock>,
) -> Result<Response, Problem> {
    read(&caller, caller.key_id()?, &clock, &conditions).await
}

async fn read<R>(
    caller: &Authorized<R>,
    id: ApiKeyId,
    clock: &Clock,
    conditions: &Preconditions,
) -> Result<Response, Problem> {
    let key = caller.begin_read().await?.key(id).await?.ok_or(Code::KeyNotFound)?;
    conditions.respond(key, clock.now())
}
