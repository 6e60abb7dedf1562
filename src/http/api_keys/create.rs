//! `POST /api/v1/api-keys`

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};

use utoipa::ToSchema;

use super::{
    events::grant_details,
    grants::{refuse_more_addresses, refuse_more_than_own},
    limit_fields,
    policy::{refuse_breach, refuse_one_more},
    responses::ApiKeyCreatedResponse,
    schema,
};
use crate::{
    auth::api_key::hasher::SecretHasher,
    domain::{
        AllowedAddresses, ApiKey, ApiKeyId, Clock, Description, EventKind, KeyLimits, KeyName, Quota, RateLimit,
        ScopeSet, Secret, Timestamp, parse_timestamp,
    },
    http::{
        authorized::{Admin, Authorized, record_key},
        input::{InputFields, JsonBody, NoQuery},
        names::API_KEYS,
        problem::{BODY, CALLER, Code, Problem, SERVER},
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
];

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
        })
    }
}

/// Creates a key. Only this response contains its secret.
#[utoipa::path(
    post,
    path = "/api/v1/api-keys",
    operation_id = "createApiKey",
    tag = "API keys",
    request_body(content = CreateApiKeyRequest),
    responses((
        status = 201,
        description = "The key with its secret, which no later response contains",
        body = ApiKeyCreatedResponse,
        headers(("Location")),
    )),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, BODY, [Code::SecretRetired, Code::PolicyViolation]]))),
)]
pub(crate) async fn create(
    mut caller: Authorized<Admin>,
    _: NoQuery,
    State(hasher): State<SecretHasher>,
    State(clock): State<Clock>,
    JsonBody(fields): JsonBody,
) -> Result<impl IntoResponse, Problem> {
    // One time for the whole request, so that an expiry that passes during the hashing is no error.
    let now = clock.now();
    let request = CreateApiKeyRequest::read(fields, now)?;
    refuse_more_than_own(&caller.principal, request.scopes, request.expires_at)?;

    let secret = Secret::generate();
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
        version: 1,
    };
    let mut transaction = caller.begin_change(&clock).await?;
    // The caller may have been narrowed since the request began.
    refuse_more_than_own(&caller.principal, key.scopes, key.expires_at)?;
    refuse_more_addresses(caller.own_limits(), &key.limits.allowed_addresses)?;
    let policy = transaction.lock_policy().await?;
    key.limits.rate_limit = key.limits.rate_limit.or(policy.default_rate_limit);
    refuse_breach(policy.violations((&key).into(), now).into_iter().next())?;
    refuse_one_more(&mut transaction, &policy, now).await?;
    transaction.insert_key(&key, &sealed).await?;
    let details = grant_details(&key.name, key.hint, key.scopes, key.expires_at, &key.limits);
    transaction.commit_with(&caller.event(EventKind::Created, id, now).with_details(details)).await?;

    let location = caller.url(&format!("{API_KEYS}/{id}"));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(ApiKeyCreatedResponse::new(&key, &secret, now))))
}
