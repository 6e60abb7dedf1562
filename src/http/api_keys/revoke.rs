//! `DELETE /api/v1/api-keys/{id}` and `DELETE /api/v1/api-keys/self`

use axum::{extract::State, http::StatusCode, response::Response};
use utoipa::IntoParams;

use super::{
    events::grant_details,
    preconditions::{PreconditionParams, Preconditions},
    receipt_response::ReceiptResponse,
    receipts::{PreferParams, ReceiptWanted},
    schema,
};
use crate::{
    domain::{ApiKeyId, Clock, EventKind, Reason},
    http::{
        authorized::{AdminOrItselfToRevoke, AnyKey, Authorized, Requirement},
        input::{InputFields, KeyIdParam, QueryParams},
        problem::{CALLER, Code, PARAMS, Problem, SERVER},
    },
    store::Revocation,
};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameter is read by its name")]
struct RevocationParams {
    /// Why, for the audit trail
    #[param(schema_with = schema::query_reason, required = false)]
    reason: Option<String>,
}

/// Revokes a key for good.
///
/// Responds with 204 if it was revoked before, too.
#[utoipa::path(
    delete,
    path = "/api/v1/api-keys/{id}",
    operation_id = "revokeApiKey",
    tag = "API keys",
    params(KeyIdParam, RevocationParams, PreconditionParams, PreferParams),
    responses(
        (status = 204, description = "The key is revoked", headers(("Preference-Applied"), ("Rally-Receipt"))),
        (
            status = 202,
            description = "The key is revoked, and the time of `Prefer: wait` is over: the body says what is outstanding",
            body = ReceiptResponse,
            headers(("Location" = String, description = "The absolute URL of the receipt"), ("Preference-Applied")),
        ),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyNotFound, Code::SecretRetired, Code::PreconditionFailed]]))),
)]
pub(crate) async fn revoke(
    mut caller: Authorized<AdminOrItselfToRevoke>,
    KeyIdParam(id): KeyIdParam,
    QueryParams(fields): QueryParams,
    conditions: Preconditions,
    wanted: ReceiptWanted,
    State(clock): State<Clock>,
) -> Result<Response, Problem> {
    end(&mut caller, id, fields, &clock, &conditions, wanted).await
}

/// Revokes the calling key.
#[utoipa::path(
    delete,
    path = "/api/v1/api-keys/self",
    operation_id = "revokeOwnApiKey",
    tag = "The calling key",
    params(RevocationParams, PreconditionParams, PreferParams),
    responses(
        (status = 204, description = "The key is revoked", headers(("Preference-Applied"), ("Rally-Receipt"))),
        (
            status = 202,
            description = "The key is revoked, and the time of `Prefer: wait` is over: the body says what is outstanding",
            body = ReceiptResponse,
            headers(("Location" = String, description = "The absolute URL of the receipt"), ("Preference-Applied")),
        ),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyRequired, Code::PreconditionFailed]]))),
)]
pub(crate) async fn revoke_self(
    mut caller: Authorized<AnyKey>,
    QueryParams(fields): QueryParams,
    conditions: Preconditions,
    wanted: ReceiptWanted,
    State(clock): State<Clock>,
) -> Result<Response, Problem> {
    let id = caller.key_id()?;
    end(&mut caller, id, fields, &clock, &conditions, wanted).await
}

async fn end<R: Requirement>(
    caller: &mut Authorized<R>,
    id: ApiKeyId,
    mut fields: InputFields,
    clock: &Clock,
    conditions: &Preconditions,
    wanted: ReceiptWanted,
) -> Result<Response, Problem> {
    let reason = fields.parse("reason", Reason::parse).flatten();
    fields.finish(&[])?;
    let mut transaction = caller.begin_revocation(clock).await?;
    // Without a condition, the statement that revokes the key locks it.
    if !conditions.is_empty() {
        let key = transaction.lock_key(id).await?.ok_or(Code::KeyNotFound)?;
        conditions.check_change(&key, clock.now())?;
    }
    let now = clock.now();
    let revision = match transaction.revoke_key(id, now).await? {
        Revocation::Done(key) => {
            let details = grant_details(&key, reason.as_ref());
            let event = caller.event(EventKind::Revoked, id, now).with_details(details);
            Some(transaction.commit_with(&event).await?)
        }
        Revocation::Repeated if wanted.is_wanted() => transaction.newest_revision().await?,
        Revocation::Repeated => None,
        Revocation::NotFound => return Err(Code::KeyNotFound.into()),
    };
    Ok(wanted.respond(caller, id, revision, clock, StatusCode::NO_CONTENT).await)
}
