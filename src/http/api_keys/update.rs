//! `PATCH /api/v1/api-keys/{id}`

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::IntoResponse,
};

use super::{
    create::{READ_ONLY, refuse_later_end, refuse_past, refuse_wider_scopes},
    etag::{check_if_match, etag},
    schema,
    view::ApiKeyResponse,
};
use crate::{
    auth::{Admin, Authorized},
    domain::{ApiKey, ApiKeyPatch, Clock, EventKind, KeyName, Principal, Scope, ScopeSet, Timestamp, parse_timestamp},
    http::{
        extract::{Fields, KeyIdParam, MergePatchBody},
        problem::{FieldError, Problem},
    },
};
use utoipa::ToSchema;

/// What is absent stays as it is.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "says what `ApiKeyPatch` is read from")]
struct UpdateApiKeyRequest {
    #[schema(schema_with = schema::name, required = false)]
    name: Option<KeyName>,
    #[schema(schema_with = schema::scopes, required = false)]
    scopes: Option<ScopeSet>,
    /// Expiration date, in the future (null = never expires)
    #[schema(value_type = Option<DateTime<Utc>>, example = "2030-01-01T00:00:00Z")]
    expires_at: Option<Timestamp>,
}

fn read(mut fields: Fields, now: Timestamp) -> Result<ApiKeyPatch, Problem> {
    let name = fields.parse("name", KeyName::parse);
    let scopes = fields.parse("scopes", ScopeSet::parse);
    let expires_at = fields.parse_nullable("expiresAt", parse_timestamp);
    refuse_past(&mut fields, expires_at.flatten(), now);
    fields.finish(READ_ONLY)?;
    Ok(ApiKeyPatch { name, scopes, expires_at })
}

/// Changes what a JSON merge patch (RFC 7396) names of a key's name, scopes and end.
#[utoipa::path(
    patch,
    path = "/api/v1/api-keys/{id}",
    operation_id = "updateApiKey",
    tag = "API keys",
    params(
        KeyIdParam,
        ("If-Match" = Option<String>, Header, description = "Change the key only if its `ETag` is (one of) these"),
    ),
    request_body(content(
        (UpdateApiKeyRequest = "application/json"),
        (UpdateApiKeyRequest = "application/merge-patch+json"),
    )),
    responses((status = 200, description = "The key as it is now", body = ApiKeyResponse)),
)]
pub async fn update(
    caller: Authorized<Admin>,
    KeyIdParam(id): KeyIdParam,
    State(clock): State<Clock>,
    headers: HeaderMap,
    MergePatchBody(fields): MergePatchBody,
) -> Result<impl IntoResponse, Problem> {
    let now = clock.now();
    let patch = read(fields, now)?;
    let mut transaction = caller.begin_change(now).await?;
    let mut key = transaction.key_for_update(id).await?.ok_or_else(Problem::key_not_found)?;
    if key.revoked_at.is_some() {
        return Err(Problem::revoked_key());
    }
    check_if_match(&headers, &key)?;
    // Only where clocks differ between instances; the table holds it too.
    if patch.expires_at.flatten().is_some_and(|end| end <= key.created_at) {
        return Err(Problem::invalid_request(vec![FieldError::new("expiresAt", "must be after createdAt")]));
    }
    refuse_widening(&caller.principal, &key, &patch)?;
    let changes = key.apply(patch);
    if !changes.is_empty() {
        transaction.update_key(&mut key).await?;
        transaction.record(&caller.event(EventKind::Updated, id, now).with_changes(&changes)).await?;
    }
    transaction.commit().await?;
    Ok(([(header::ETAG, etag(&key))], Json(ApiKeyResponse::new(key, now))))
}

/// Nobody grants what it lacks; a key gives no key a later end than its own (else it could
/// create one within its own end and then extend that), and never widens itself.
fn refuse_widening(principal: &Principal, key: &ApiKey, patch: &ApiKeyPatch) -> Result<(), Problem> {
    if let Some(scopes) = patch.scopes {
        refuse_wider_scopes(principal, scopes)?;
    }
    let Some(end) = patch.expires_at.filter(|end| is_later(*end, key.expires_at)) else {
        return Ok(());
    };
    if principal.key_id() == Some(key.id) {
        return Err(Problem::insufficient_scope(
            Scope::Admin,
            "An API key cannot extend itself; ask a user with the scope `admin`.",
        ));
    }
    refuse_later_end(principal, end)
}

/// Whether one end is later than another; none is never.
fn is_later(end: Option<Timestamp>, than: Option<Timestamp>) -> bool {
    match (end, than) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(end), Some(than)) => end > than,
    }
}
