//! `POST /api/v1/api-keys/{id}/suspend` and `POST /api/v1/api-keys/{id}/resume`

use axum::{extract::State, response::IntoResponse};
use utoipa::ToSchema;

use super::{
    create::{PAST, READ_ONLY},
    events::suspension_details,
    preconditions::{PreconditionParams, Preconditions, Shown, show},
    receipts::{PreferParams, ReceiptWanted},
    responses::ApiKeyResponse,
    schema,
};
use crate::{
    domain::{ApiKey, ApiKeyId, Clock, EventKind, Reason, Revision, Timestamp, parse_timestamp},
    http::{
        authorized::{Admin, Authorized},
        input::{KeyIdParam, NoQuery, OptionalJsonBody},
        problem::{BODY, CALLER, Code, PARAMS, Problem, SERVER},
    },
};

#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "for the description; the members are read one by one")]
struct SuspendApiKeyRequest {
    /// When the suspension ends by itself, in the future (null: not until the key is resumed)
    #[schema(value_type = Option<DateTime<Utc>>, example = "2030-11-24T18:00:00Z")]
    until: Option<Timestamp>,
    #[schema(schema_with = schema::reason, required = false)]
    reason: Option<Reason>,
}

#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "for the description; the members are read one by one")]
struct ResumeApiKeyRequest {
    #[schema(schema_with = schema::no_end, required = false)]
    until: (),
    #[schema(schema_with = schema::reason, required = false)]
    reason: Option<Reason>,
}

/// Suspends a key: it does not work until it is resumed, or until a time.
///
/// Another end or reason replaces that of a suspension in force. The same ones change nothing.
#[utoipa::path(
    post,
    path = "/api/v1/api-keys/{id}/suspend",
    operation_id = "suspendApiKey",
    tag = "API keys",
    params(KeyIdParam, PreconditionParams, PreferParams),
    request_body(content = SuspendApiKeyRequest, extensions(("x-optional" = json!(true)))),
    responses(
        (
            status = 200,
            description = "The suspended key",
            body = ApiKeyResponse,
            headers(("ETag"), ("Preference-Applied"), ("Rally-Receipt")),
        ),
        (
            status = 202,
            description = "The key is suspended, and the time of `Prefer: wait` is over: the body says what is outstanding",
            body = ApiKeyResponse,
            headers(("ETag"), ("Location" = String, description = "The absolute URL of the receipt"), ("Preference-Applied")),
        ),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, BODY, [Code::KeyNotFound, Code::SecretRetired, Code::KeyRevokedConflict, Code::PreconditionFailed]]))),
)]
pub(crate) async fn suspend(
    mut caller: Authorized<Admin>,
    KeyIdParam(id): KeyIdParam,
    _: NoQuery,
    conditions: Preconditions,
    wanted: ReceiptWanted,
    State(clock): State<Clock>,
    OptionalJsonBody(mut fields): OptionalJsonBody,
) -> Result<impl IntoResponse, Problem> {
    let until = fields.parse_nullable("until", parse_timestamp).flatten();
    if until.is_some_and(|until| until <= clock.now()) {
        fields.refuse("until", PAST);
    }
    let reason = fields.parse_nullable("reason", Reason::parse).flatten().flatten();
    fields.finish(READ_ONLY)?;

    let apply = |key: &ApiKey, now| key.suspend(now, until, reason.clone());
    let (revision, shown) = change(
        &mut caller,
        id,
        &conditions,
        &clock,
        (EventKind::Suspended, reason.as_ref()),
        wanted.is_wanted(),
        apply,
    )
    .await?;
    Ok(wanted.respond(&caller, id, revision, &clock, shown).await)
}

/// Ends a key's suspension. A key that is not suspended stays as it is.
#[utoipa::path(
    post,
    path = "/api/v1/api-keys/{id}/resume",
    operation_id = "resumeApiKey",
    tag = "API keys",
    params(KeyIdParam, PreconditionParams),
    request_body(content = ResumeApiKeyRequest, extensions(("x-optional" = json!(true)))),
    responses((status = 200, description = "The key, which is not suspended", body = ApiKeyResponse, headers(("ETag")))),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, BODY, [Code::KeyNotFound, Code::SecretRetired, Code::KeyRevokedConflict, Code::PreconditionFailed]]))),
)]
pub(crate) async fn resume(
    mut caller: Authorized<Admin>,
    KeyIdParam(id): KeyIdParam,
    _: NoQuery,
    conditions: Preconditions,
    State(clock): State<Clock>,
    OptionalJsonBody(mut fields): OptionalJsonBody,
) -> Result<impl IntoResponse, Problem> {
    let _: Option<Option<()>> =
        fields.parse_nullable("until", |_| Err("must be null: a resumed key has no suspension"));
    let reason = fields.parse_nullable("reason", Reason::parse).flatten().flatten();
    fields.finish(READ_ONLY)?;

    let (_, shown) =
        change(&mut caller, id, &conditions, &clock, (EventKind::Resumed, reason.as_ref()), false, ApiKey::resume)
            .await?;
    Ok(shown)
}

/// Applies a change that returns the changed key, or `None` where it is as wanted already. Returns a revision that contains
/// the change; of one that was made before, only if it is wanted.
async fn change(
    caller: &mut Authorized<Admin>,
    id: ApiKeyId,
    conditions: &Preconditions,
    clock: &Clock,
    (kind, reason): (EventKind, Option<&Reason>),
    wants_revision: bool,
    apply: impl FnOnce(&ApiKey, Timestamp) -> Option<ApiKey>,
) -> Result<(Option<Revision>, Shown), Problem> {
    let mut transaction = caller.begin_revocation(clock).await?;
    let key = transaction.lock_key(id).await?.ok_or(Code::KeyNotFound)?;
    if key.revoked_at.is_some() {
        return Err(Code::KeyRevokedConflict.into());
    }
    let now = clock.now();
    conditions.check_change(&key, now)?;
    let Some(mut changed) = apply(&key, now) else {
        let revision = if wants_revision {
            transaction.revision_of_unchanged(&key).await?
        } else {
            transaction.invalidate_unchanged(&key);
            None
        };
        return Ok((revision, show(key.clone(), now)));
    };
    transaction.update_suspension(&key, &mut changed, now).await?;
    let details = suspension_details(&changed, reason);
    let revision = transaction.commit_with(&caller.event(kind, id, now).with_details(details)).await?;
    Ok((Some(revision), show(changed, now)))
}
