//! `POST /api/v1/api-keys`

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;

use utoipa::ToSchema;

use super::{
    events::grant_details,
    grants::{refuse_more_addresses, refuse_more_than_own},
    idempotency::{IdempotencyKeyHeader, IdempotencyKeyParam, IdempotentRequest},
    limit_fields,
    policy::refuse_violation,
    responses::ApiKeyCreatedResponse,
    schema,
};
use crate::{
    auth::api_key::hasher::SecretHasher,
    domain::{
        AllowedAddresses, ApiKey, ApiKeyId, Clock, Description, EventKind, KeyLimits, KeyName, Quota, RateLimit,
        ScopeSet, Timestamp, parse_timestamp,
    },
    http::{
        authorized::{Admin, Authorized, record_key},
        input::{InputFields, JsonBody, NoQuery},
        names::API_KEYS,
        problem::{BODY, CALLER, Code, IDEMPOTENCY, Problem, SERVER},
    },
};

/// The properties of responses that a request cannot set.
pub(super) const READ_ONLY: &[&str] = &[
    "id",
    "key",
    "keyPrefix",
    "keyHint",
    "lastUsedAt",
    "isActive",
    "createdAt",
    "createdBy",
    "revokedAt",
    "status",
    "rotation",
    "suspendedUntil",
    "decoy",
];

/// As it is recorded of a request with an `Idempotency-Key`.
const OPERATION: &str = "POST /api/v1/api-keys";

/// What is wrong with an expiry that has passed.
pub(super) const PAST: &str = "must be in the future";

#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CreateApiKeyRequest {
    #[schema(schema_with = schema::name)]
    name: KeyName,
    #[schema(schema_with = schema::default_scopes, required = false)]
    scopes: ScopeSet,
    /// Expiration date, in the future (null: the key never expires)
    #[schema(value_type = Option<DateTime<Utc>>, example = "2030-01-01T00:00:00Z")]
    expires_at: Option<Timestamp>,
    #[schema(schema_with = schema::description, required = false)]
    description: Option<Description>,
    #[schema(schema_with = schema::allowed_addresses, required = false)]
    allowed_addresses: AllowedAddresses,
    /// At most so many requests in any window of that length (null: as many as are sent)
    #[schema(value_type = Option<schema::RateLimit>)]
    rate_limit: Option<RateLimit>,
    /// At most so many requests in each day or month, in UTC (null: as many as are sent)
    #[schema(value_type = Option<schema::Quota>)]
    quota: Option<Quota>,
    /// True: the key never works, and the use of its secret leaves events `decoy_used`
    #[schema(value_type = Option<bool>, example = false)]
    decoy: bool,
}

impl CreateApiKeyRequest {
    fn read(mut fields: InputFields, now: Timestamp) -> Result<Self, Problem> {
        let name = fields.required("name", KeyName::parse);
        let scopes = fields.parse("scopes", ScopeSet::parse).unwrap_or(ScopeSet::READ);
        let expires_at = fields.parse_nullable("expiresAt", parse_timestamp).flatten();
        if expires_at.is_some_and(|end| end <= now) {
            fields.refuse("expiresAt", PAST);
        }
        let description = fields.parse_nullable("description", Description::parse).flatten().flatten();
        let limits = limit_fields::read(&mut fields);
        let decoy = fields.nullable_boolean("decoy").unwrap_or_default();
        fields.finish(READ_ONLY)?;
        // A missing name was refused by `finish`.
        let name = name.ok_or_else(|| Problem::invalid_request(vec![]))?;
        Ok(Self {
            name,
            scopes,
            expires_at,
            description,
            allowed_addresses: limits.allowed_addresses.unwrap_or_default(),
            rate_limit: limits.rate_limit.flatten(),
            quota: limits.quota.flatten(),
            decoy,
        })
    }
}

/// Creates a key. Only this response contains its secret.
#[utoipa::path(
    post,
    path = "/api/v1/api-keys",
    operation_id = "createApiKey",
    tag = "API keys",
    params(IdempotencyKeyParam),
    request_body(content = CreateApiKeyRequest),
    responses((
        status = 201,
        description = "The key with its secret, which no later response contains, but that to a repetition with the same `Idempotency-Key`",
        body = ApiKeyCreatedResponse,
        headers(("Location")),
    )),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, BODY, IDEMPOTENCY, [Code::SecretRetired, Code::PolicyViolation]]))),
)]
pub(crate) async fn create(
    mut caller: Authorized<Admin>,
    _: NoQuery,
    idempotency_key: IdempotencyKeyHeader,
    State(hasher): State<SecretHasher>,
    State(clock): State<Clock>,
    JsonBody(mut fields): JsonBody,
) -> Result<Response, Problem> {
    // One time for the whole request, so that an expiry that passes during the hashing is no error.
    let now = clock.now();
    let (secret, idempotent) = IdempotentRequest::read(idempotency_key, &mut fields, OPERATION, &caller, &hasher);
    let request = CreateApiKeyRequest::read(fields, now)?;
    if let Some(idempotent) = &idempotent
        && let Some(response) =
            idempotent.recorded_response(&mut caller.begin_read().await?, &caller, &hasher, &clock).await?
    {
        return Ok(created_before(&caller, &response));
    }
    refuse_more_than_own(&caller.principal, request.scopes, request.expires_at)?;

    let id = ApiKeyId::generate();
    record_key(id);
    // Before the transaction, so that no connection waits for the hashing.
    let sealed = hasher.seal(caller.tenant.id, id, &secret).await?;

    let mut key = ApiKey {
        id,
        name: request.name,
        scopes: request.scopes,
        hint: secret.hint(),
        expires_at: request.expires_at,
        last_used_at: None,
        previous: None,
        created_at: now,
        created_by: Some(caller.principal.audit_name()),
        revoked_at: None,
        suspension: None,
        suspension_reason: None,
        description: request.description,
        limits: KeyLimits {
            allowed_addresses: request.allowed_addresses,
            rate_limit: request.rate_limit,
            quota: request.quota,
        },
        is_decoy: request.decoy,
        version: 1,
    };
    let mut transaction = caller.begin_change(&clock).await?;
    if let Some(idempotent) = &idempotent
        && !idempotent.claim(&mut transaction, now).await?
    {
        drop(transaction);
        let response = idempotent.response_of_concurrent(&caller, &hasher, &clock).await?;
        return Ok(created_before(&caller, &response));
    }
    // The caller may have been narrowed since the request began.
    refuse_more_than_own(&caller.principal, key.scopes, key.expires_at)?;
    refuse_more_addresses(caller.own_limits(), &key.limits.allowed_addresses)?;
    refuse_violation(transaction.apply_policy(&mut key, now).await?)?;
    transaction.insert_key(&key, &sealed).await?;
    let details = grant_details(&key.grant(), None);
    let response = ApiKeyCreatedResponse::new(&key, &secret, now);
    if let Some(idempotent) = &idempotent {
        idempotent.record(&mut transaction, &response).await?;
    }
    transaction.commit_with(&caller.event(EventKind::Created, id, now).with_details(details)).await?;
    Ok(created(&caller, &id.to_string(), &response))
}

/// The response to a repetition.
fn created_before<R>(caller: &Authorized<R>, response: &Value) -> Response {
    created(caller, response["id"].as_str().unwrap_or_default(), response)
}

fn created<R>(caller: &Authorized<R>, id: &str, response: &impl Serialize) -> Response {
    let location = caller.url(&format!("{API_KEYS}/{id}"));
    (StatusCode::CREATED, [(header::LOCATION, location)], Json(response)).into_response()
}
