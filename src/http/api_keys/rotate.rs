//! `POST /api/v1/api-keys/{id}/rotate` and `DELETE /api/v1/api-keys/{id}/previous-secret`; both for `self` too.

use super::{
    create::READ_ONLY,
    event_details::{self, EndedSecretDetails, RotationDetails},
    grants::{refuse_more_addresses, refuse_secret_of_later_end},
    idempotency::{IdempotencyKeyHeader, IdempotencyKeyParam, IdempotentRequest},
    policy::refuse_violation,
    preconditions::{PreconditionParams, Preconditions},
    receipt_response::ReceiptResponse,
    receipts::{PreferParams, ReceiptWanted},
    responses::ApiKeyCreatedResponse,
};
use crate::{
    auth::api_key::hasher::SecretHasher,
    domain::{ApiKey, ApiKeyId, Clock, EventKind, Principal, Timestamp},
    http::{
        authorized::{AdminOrItself, AnyKeyToChange, Authorized, Requirement},
        input::{InputFields, KeyIdParam, NoQuery, OptionalJsonBody},
        names::API_KEYS,
        problem::{BODY, CALLER, Code, IDEMPOTENCY, PARAMS, Problem, SERVER},
    },
    store::{Locked, WriteTx},
};
use std::num::NonZeroU32;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use chrono::TimeDelta;
use serde_json::Value;
use utoipa::ToSchema;

const DEFAULT_OVERLAP_SECONDS: i64 = 24 * 60 * 60;
const MAX_OVERLAP_SECONDS: i64 = 7 * 24 * 60 * 60;
/// Secrets that a key may get within [`LIMIT_WINDOW`], the first one included: each leaves a row.
const LIMIT: NonZeroU32 = NonZeroU32::new(10).unwrap();
const LIMIT_WINDOW: TimeDelta = TimeDelta::minutes(1);

#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "for the description; the members are read one by one")]
struct RotateApiKeyRequest {
    /// The time for which the previous secret still works, in seconds (default: 86400, a day); 0 ends it at once
    #[schema(value_type = Option<i64>, minimum = 0, maximum = 604_800, nullable = false, example = 3600)]
    overlap_seconds: i64,
}

/// Gives a key a new secret.
///
/// The previous secret still works for `overlapSeconds`. If a rotation is under way already, its previous secret ends
/// at once.
#[utoipa::path(
    post,
    path = "/api/v1/api-keys/{id}/rotate",
    operation_id = "rotateApiKey",
    tag = "Rotation",
    params(KeyIdParam, PreconditionParams, PreferParams, IdempotencyKeyParam),
    request_body(content = RotateApiKeyRequest, extensions(("x-optional" = json!(true)))),
    responses(
        (
            status = 200,
            description = "The key with its new secret, which no later response contains, but that to a repetition with the same `Idempotency-Key`",
            body = ApiKeyCreatedResponse,
            headers(("Preference-Applied"), ("Rally-Receipt")),
        ),
        (
            status = 202,
            description = "The key has a new secret, and the time of `Prefer: wait` is over: the body says what is outstanding",
            body = ApiKeyCreatedResponse,
            headers(("Location" = String, description = "The absolute URL of the receipt"), ("Preference-Applied")),
        ),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, BODY, IDEMPOTENCY, [Code::KeyNotFound, Code::SecretRetired, Code::PreconditionFailed], [Code::KeyRevokedConflict, Code::KeyExpiredConflict, Code::PolicyViolation, Code::TooManyRotations]]))),
)]
#[allow(clippy::too_many_arguments, reason = "one for each part of the request")]
pub(crate) async fn rotate(
    mut caller: Authorized<AdminOrItself>,
    KeyIdParam(id): KeyIdParam,
    _: NoQuery,
    conditions: Preconditions,
    wanted: ReceiptWanted,
    idempotency_key: IdempotencyKeyHeader,
    State(hasher): State<SecretHasher>,
    State(clock): State<Clock>,
    OptionalJsonBody(fields): OptionalJsonBody,
) -> Result<Response, Problem> {
    let request = RotationRequest { conditions, wanted, idempotency_key, fields };
    give_new_secret(&mut caller, id, &hasher, &clock, request).await
}

/// Gives the calling key a new secret.
#[utoipa::path(
    post,
    path = "/api/v1/api-keys/self/rotate",
    operation_id = "rotateOwnApiKey",
    tag = "The calling key",
    params(PreconditionParams, PreferParams, IdempotencyKeyParam),
    request_body(content = RotateApiKeyRequest, extensions(("x-optional" = json!(true)))),
    responses(
        (
            status = 200,
            description = "The key with its new secret, which no later response contains, but that to a repetition with the same `Idempotency-Key`",
            body = ApiKeyCreatedResponse,
            headers(("Preference-Applied"), ("Rally-Receipt")),
        ),
        (
            status = 202,
            description = "The key has a new secret, and the time of `Prefer: wait` is over: the body says what is outstanding",
            body = ApiKeyCreatedResponse,
            headers(("Location" = String, description = "The absolute URL of the receipt"), ("Preference-Applied")),
        ),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, BODY, IDEMPOTENCY, [Code::KeyRequired, Code::SecretRetired, Code::PreconditionFailed], [Code::KeyRevokedConflict, Code::KeyExpiredConflict, Code::PolicyViolation, Code::TooManyRotations]]))),
)]
#[allow(clippy::too_many_arguments, reason = "one for each part of the request")]
pub(crate) async fn rotate_self(
    mut caller: Authorized<AnyKeyToChange>,
    _: NoQuery,
    conditions: Preconditions,
    wanted: ReceiptWanted,
    idempotency_key: IdempotencyKeyHeader,
    State(hasher): State<SecretHasher>,
    State(clock): State<Clock>,
    OptionalJsonBody(fields): OptionalJsonBody,
) -> Result<Response, Problem> {
    let id = caller.key_id()?;
    let request = RotationRequest { conditions, wanted, idempotency_key, fields };
    give_new_secret(&mut caller, id, &hasher, &clock, request).await
}

/// The parts of a request for a rotation.
struct RotationRequest {
    conditions: Preconditions,
    wanted: ReceiptWanted,
    idempotency_key: IdempotencyKeyHeader,
    fields: InputFields,
}

async fn give_new_secret<R: Requirement>(
    caller: &mut Authorized<R>,
    id: ApiKeyId,
    hasher: &SecretHasher,
    clock: &Clock,
    request: RotationRequest,
) -> Result<Response, Problem> {
    let RotationRequest { conditions, wanted, idempotency_key, mut fields } = request;
    // By whichever path the key is named.
    let operation = format!("POST {API_KEYS}/{id}/rotate");
    let (secret, idempotent) = IdempotentRequest::read(idempotency_key, &mut fields, &operation, caller, hasher);
    let overlap = fields.integer("overlapSeconds", 0..=MAX_OVERLAP_SECONDS).unwrap_or(DEFAULT_OVERLAP_SECONDS);
    fields.finish(READ_ONLY)?;

    let mut reading = caller.begin_read().await?;
    if let Some(idempotent) = &idempotent
        && let Some(response) = idempotent.recorded_response(&mut reading, caller, hasher, clock).await?
    {
        return repeat(caller, id, clock, wanted, response).await;
    }
    // Before the transaction, as for a new key; but a key that does not exist or cannot be rotated costs no hashing.
    let key = reading.key(id).await?.ok_or(Code::KeyNotFound)?;
    drop(reading);
    check_rotation(&caller.principal, &key, &conditions, clock.now())?;
    let sealed = hasher.seal(caller.tenant.id, id, &secret).await?;

    let mut transaction = caller.begin_change(clock).await?;
    if let Some(idempotent) = &idempotent
        && !idempotent.claim(&mut transaction, clock.now()).await?
    {
        drop(transaction);
        let response = idempotent.response_of_concurrent(caller, hasher, clock).await?;
        return repeat(caller, id, clock, wanted, response).await;
    }
    let key = transaction.lock_key(id).await?.ok_or(Code::KeyNotFound)?;
    let now = clock.now();
    check_rotation(&caller.principal, &key, &conditions, now)?;
    refuse_more_addresses(caller.own_limits(), &key.limits.allowed_addresses)?;
    refuse_too_many(&mut transaction, &key, now).await?;
    let policy = transaction.lock_policy().await?;
    refuse_violation(policy.violations((&*key).into(), now).into_iter().next())?;
    // Not after the key's expiry as it is now: a later extension of the key does not extend the previous secret.
    let overlap_end = now + TimeDelta::seconds(overlap);
    let previous_until = (overlap > 0).then(|| key.expires_at.map_or(overlap_end, |end| end.min(overlap_end)));
    transaction.rotate_key(&key, &sealed, now, previous_until).await?;
    let details = RotationDetails {
        overlap_seconds: overlap,
        previous_key_hint: key.hint.to_string(),
        previous_expires_at: previous_until,
        ended_key_hint: key.previous.map(|ended| ended.hint.to_string()),
        key_hint: secret.hint().to_string(),
    };
    let key = ApiKey { hint: secret.hint(), ..key.clone() };
    let response = ApiKeyCreatedResponse::new(&key, &secret, now);
    if let Some(idempotent) = &idempotent {
        idempotent.record(&mut transaction, &response).await?;
    }
    let event = caller.event(EventKind::Rotated, id, now).with_details(event_details::json(&details));
    let revision = transaction.commit_with(&event).await?;
    Ok(wanted.respond(caller, id, Some(revision), clock, Json(response)).await)
}

/// The response to a rotation that was made before, of which a later revision is a proof too.
async fn repeat<R: Requirement>(
    caller: &Authorized<R>,
    id: ApiKeyId,
    clock: &Clock,
    wanted: ReceiptWanted,
    response: Value,
) -> Result<Response, Problem> {
    let revision = if wanted.is_wanted() { caller.begin_read().await?.newest_revision().await? } else { None };
    Ok(wanted.respond(caller, id, revision, clock, Json(response)).await)
}

fn check_rotation(
    principal: &Principal,
    key: &ApiKey,
    conditions: &Preconditions,
    now: Timestamp,
) -> Result<(), Problem> {
    refuse_dead(key, now)?;
    refuse_secret_of_later_end(principal, key)?;
    conditions.check_change(key, now)
}

/// Exact across instances, since the key is locked.
async fn refuse_too_many(transaction: &mut WriteTx, key: &Locked<ApiKey>, now: Timestamp) -> Result<(), Problem> {
    let Some(oldest) = transaction.nth_secret_created_at(key, LIMIT).await? else { return Ok(()) };
    let until = oldest + LIMIT_WINDOW;
    let wait = until - now;
    if wait <= TimeDelta::zero() {
        return Ok(());
    }
    // Another instance's clock may be ahead.
    let seconds = (wait.num_seconds() + 1).min(LIMIT_WINDOW.num_seconds());
    Err(Problem::too_many_rotations(u32::try_from(seconds).unwrap_or(1), until))
}

/// A suspended key may be rotated: it stays suspended.
fn refuse_dead(key: &ApiKey, now: Timestamp) -> Result<(), Problem> {
    if key.revoked_at.is_some() {
        return Err(Code::KeyRevokedConflict.into());
    }
    if key.is_expired(now) { Err(Code::KeyExpiredConflict.into()) } else { Ok(()) }
}

/// Ends a key's previous secret at once.
///
/// Responds with 204 if there is none, too.
#[utoipa::path(
    delete,
    path = "/api/v1/api-keys/{id}/previous-secret",
    operation_id = "endPreviousSecret",
    tag = "Rotation",
    params(KeyIdParam, PreconditionParams, PreferParams),
    responses(
        (
            status = 204,
            description = "The key has no previous secret that works",
            headers(("Preference-Applied"), ("Rally-Receipt")),
        ),
        (
            status = 202,
            description = "The previous secret is ended, and the time of `Prefer: wait` is over: the body says what is outstanding",
            body = ReceiptResponse,
            headers(("Location" = String, description = "The absolute URL of the receipt"), ("Preference-Applied")),
        ),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyNotFound, Code::SecretRetired, Code::PreconditionFailed]]))),
)]
pub(crate) async fn end_previous_secret(
    mut caller: Authorized<AdminOrItself>,
    KeyIdParam(id): KeyIdParam,
    _: NoQuery,
    conditions: Preconditions,
    wanted: ReceiptWanted,
    State(clock): State<Clock>,
) -> Result<Response, Problem> {
    end(&mut caller, id, &clock, &conditions, wanted).await
}

/// Ends the calling key's previous secret at once.
#[utoipa::path(
    delete,
    path = "/api/v1/api-keys/self/previous-secret",
    operation_id = "endOwnPreviousSecret",
    tag = "The calling key",
    params(PreconditionParams, PreferParams),
    responses(
        (
            status = 204,
            description = "The key has no previous secret that works",
            headers(("Preference-Applied"), ("Rally-Receipt")),
        ),
        (
            status = 202,
            description = "The previous secret is ended, and the time of `Prefer: wait` is over: the body says what is outstanding",
            body = ReceiptResponse,
            headers(("Location" = String, description = "The absolute URL of the receipt"), ("Preference-Applied")),
        ),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, [Code::KeyRequired, Code::SecretRetired, Code::PreconditionFailed]]))),
)]
pub(crate) async fn end_own_previous_secret(
    mut caller: Authorized<AnyKeyToChange>,
    _: NoQuery,
    conditions: Preconditions,
    wanted: ReceiptWanted,
    State(clock): State<Clock>,
) -> Result<Response, Problem> {
    let id = caller.key_id()?;
    end(&mut caller, id, &clock, &conditions, wanted).await
}

async fn end<R: Requirement>(
    caller: &mut Authorized<R>,
    id: ApiKeyId,
    clock: &Clock,
    conditions: &Preconditions,
    wanted: ReceiptWanted,
) -> Result<Response, Problem> {
    let mut transaction = caller.begin_revocation(clock).await?;
    let key = transaction.lock_key(id).await?.ok_or(Code::KeyNotFound)?;
    let now = clock.now();
    conditions.check_change(&key, now)?;
    let revision = match transaction.end_previous_secret(&key, now).await? {
        Some(ended) => {
            let details = event_details::json(&EndedSecretDetails::new(ended.hint, ended.expires_at));
            let event = caller.event(EventKind::PreviousSecretEnded, id, now).with_details(details);
            Some(transaction.commit_with(&event).await?)
        }
        None if wanted.is_wanted() => transaction.newest_revision().await?,
        None => None,
    };
    Ok(wanted.respond(caller, id, revision, clock, StatusCode::NO_CONTENT).await)
}
