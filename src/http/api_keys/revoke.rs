//! `DELETE /api/v1/api-keys/{id}` and `DELETE /api/v1/api-keys/self`

use axum::{extract::State, http::StatusCode};

use crate::{
    domain::{ApiKeyId, Clock, EventKind},
    http::{
        authorized::{AdminOrItself, AnyKey, Authorized, Requirement},
        input::KeyIdParam,
        problem::Problem,
    },
    store::Revocation,
};

/// Takes a key away, for good. Again on the same key: 204 again.
#[utoipa::path(
    delete,
    path = "/api/v1/api-keys/{id}",
    operation_id = "revokeApiKey",
    tag = "API keys",
    params(KeyIdParam),
    responses((status = 204, description = "It is revoked, now or before")),
)]
pub async fn revoke(
    mut caller: Authorized<AdminOrItself>,
    KeyIdParam(id): KeyIdParam,
    State(clock): State<Clock>,
) -> Result<StatusCode, Problem> {
    end(&mut caller, id, &clock).await
}

/// The key that is calling takes itself away.
#[utoipa::path(
    delete,
    path = "/api/v1/api-keys/self",
    operation_id = "revokeOwnApiKey",
    tag = "The calling key",
    responses((status = 204, description = "It is revoked")),
)]
pub async fn revoke_self(mut caller: Authorized<AnyKey>, State(clock): State<Clock>) -> Result<StatusCode, Problem> {
    let id = caller.key_id()?;
    end(&mut caller, id, &clock).await
}

async fn end<R: Requirement>(caller: &mut Authorized<R>, id: ApiKeyId, clock: &Clock) -> Result<StatusCode, Problem> {
    let mut transaction = caller.begin_change(clock).await?;
    let now = clock.now();
    match transaction.revoke_key(id, now).await? {
        Revocation::Done => transaction.commit_with(&caller.event(EventKind::Revoked, id, now)).await?,
        Revocation::Repeated => {}
        Revocation::NotFound => return Err(Problem::key_not_found()),
    }
    Ok(StatusCode::NO_CONTENT)
}
