//! The JSON shapes: the reference page's properties in its order, then what was added since.

use std::net::IpAddr;

use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::schema;
use crate::{
    domain::{ApiKey, Event, PreviousSecret, Secret, Status, Timestamp, UsageBucket, UsageWindow, format_timestamp},
    store::SecretUse,
};

/// An API key as it is listed and read.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyResponse {
    /// Unique key identifier
    pub id: Uuid,
    /// First characters shown: `rk_live_`
    #[schema(example = "rk_live_")]
    pub key_prefix: &'static str,
    /// Human-readable key name
    #[schema(example = "Zapier Sync")]
    pub name: String,
    /// Assigned permission scopes
    #[schema(example = "read,write")]
    pub scopes: String,
    /// Expiration date (null if the key never expires)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub expires_at: Option<Timestamp>,
    /// Timestamp of the last API call using this key, at most 5 s behind
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub last_used_at: Option<Timestamp>,
    /// Whether the key is currently active
    pub is_active: bool,
    /// When the key was created
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub created_at: Timestamp,
    /// User who created the key, or `api-key:<id>`
    #[schema(example = "admin@acme.com")]
    pub created_by: Option<String>,
    /// The prefix and last four digits of the newest secret
    #[schema(example = "rk_live_…1b4c")]
    pub key_hint: String,
    /// When the key was revoked
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub revoked_at: Option<Timestamp>,
    /// `active`, `expired` or `revoked`
    #[schema(schema_with = schema::key_status)]
    pub status: &'static str,
    /// What is known of the previous secret, while it still works
    pub rotation: Option<Rotation>,
}

/// A rotation that is under way: who still uses the previous secret?
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names of the properties")]
pub struct Rotation {
    /// The prefix and last four digits of the previous secret
    pub previous_key_hint: String,
    /// Until when the previous secret works
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub previous_expires_at: Timestamp,
    /// Timestamp of the last API call using the previous secret
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub previous_last_used_at: Option<Timestamp>,
}

impl From<PreviousSecret> for Rotation {
    fn from(previous: PreviousSecret) -> Self {
        Self {
            previous_key_hint: previous.hint.to_string(),
            previous_expires_at: previous.expires_at,
            previous_last_used_at: previous.last_used_at,
        }
    }
}

impl ApiKeyResponse {
    /// The key as it is at that moment.
    #[must_use]
    pub fn new(key: ApiKey, now: Timestamp) -> Self {
        let status = key.status(now);
        let rotation = key.working_previous(now).map(Rotation::from);
        Self {
            id: key.id.0,
            key_prefix: Secret::PREFIX,
            name: key.name.to_string(),
            scopes: key.scopes.to_string(),
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            is_active: status == Status::Active,
            created_at: key.created_at,
            created_by: key.created_by,
            key_hint: key.hint.to_string(),
            revoked_at: key.revoked_at,
            status: status.as_str(),
            rotation,
        }
    }
}

/// The one response that shows a key's secret.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyCreatedResponse {
    /// Unique key identifier
    id: Uuid,
    /// Full API key (only shown once at creation!)
    #[schema(pattern = "^rk_live_[0-9a-f]{32}$", example = "rk_live_7f3a9b2c4d1e8f5a6b0c3d9e2f7a1b4c")]
    key: String,
    /// Prefix for identification: `rk_live_`
    #[schema(example = "rk_live_")]
    key_prefix: &'static str,
    /// Human-readable key name
    #[schema(example = "Zapier Sync")]
    name: String,
    /// Assigned permission scopes
    #[schema(example = "read,write")]
    scopes: String,
    /// Expiration date (null if the key never expires)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    expires_at: Option<Timestamp>,
    /// When the key was created
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    created_at: Timestamp,
    /// The prefix and last four digits of the secret
    #[schema(example = "rk_live_…1b4c")]
    key_hint: String,
}

impl ApiKeyCreatedResponse {
    /// The key with its secret, in the clear.
    #[must_use]
    pub fn new(key: &ApiKey, secret: &Secret) -> Self {
        Self {
            id: key.id.0,
            key: secret.reveal().to_owned(),
            key_prefix: Secret::PREFIX,
            name: key.name.to_string(),
            scopes: key.scopes.to_string(),
            expires_at: key.expires_at,
            created_at: key.created_at,
            key_hint: key.hint.to_string(),
        }
    }
}

/// An entry of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyEventResponse {
    /// Unique event identifier
    pub id: Uuid,
    /// `created`, `updated`, `rotated`, `previous_secret_ended`, `revoked` or `secret_reused`
    #[schema(schema_with = schema::event_type)]
    pub r#type: &'static str,
    /// The key that it is about
    pub key_id: Uuid,
    /// When it happened
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub occurred_at: Timestamp,
    /// Who did it: a user, or `api-key:<id>`
    pub actor: Option<String>,
    /// The address that it came from
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The request that it came in
    pub request_id: String,
    /// What changed: of an update, each property's `from` and `to`; never a secret
    #[schema(value_type = Object)]
    pub details: Value,
}

impl From<Event> for ApiKeyEventResponse {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            r#type: event.kind.as_str(),
            key_id: event.key_id.0,
            occurred_at: event.occurred_at,
            actor: event.actor,
            address: event.address,
            request_id: event.request_id,
            details: event.details,
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_timestamp(*time))
}

#[allow(clippy::ref_option, reason = "serde's signature")]
fn optional_time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(format_timestamp).serialize(serializer)
}

/// What a key was used for.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyUsageResponse {
    /// `hour` or `day`, in UTC
    #[schema(schema_with = schema::usage_interval)]
    pub interval: &'static str,
    /// The first bucket's beginning
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub from: Timestamp,
    /// The last bucket's end
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub to: Timestamp,
    /// All requests from `from` to `to`, refused ones included
    pub requests: i64,
    /// Those of them that were refused
    pub denied: i64,
    /// Every bucket, in order, those without a request too
    pub buckets: Vec<UsageBucketResponse>,
    /// The key's secrets, the newest first
    pub secrets: Vec<SecretUseResponse>,
}

impl ApiKeyUsageResponse {
    pub(super) fn new(window: &UsageWindow, counted: Vec<UsageBucket>, secrets: Vec<SecretUse>) -> Self {
        let buckets: Vec<_> = window.fill(counted).into_iter().map(UsageBucketResponse::from).collect();
        Self {
            interval: window.interval().as_str(),
            from: window.from(),
            to: window.to(),
            requests: buckets.iter().map(|bucket| bucket.requests).sum(),
            denied: buckets.iter().map(|bucket| bucket.denied).sum(),
            buckets,
            secrets: secrets.into_iter().map(SecretUseResponse::from).collect(),
        }
    }
}

/// What a key was used for in an hour or a day.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsageBucketResponse {
    /// Its beginning
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub start: Timestamp,
    /// All requests with one of the key's secrets, refused ones included
    pub requests: i64,
    /// Those of them that were refused
    pub denied: i64,
    /// Why
    pub denied_by_reason: DeniedByReason,
}

/// Why requests were refused.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedByReason {
    /// The key had expired
    pub expired: i64,
    /// The key's scopes did not suffice
    pub scope: i64,
}

impl From<UsageBucket> for UsageBucketResponse {
    fn from(bucket: UsageBucket) -> Self {
        Self {
            start: bucket.start,
            requests: bucket.requests,
            denied: bucket.denied_expired + bucket.denied_scope,
            denied_by_reason: DeniedByReason { expired: bucket.denied_expired, scope: bucket.denied_scope },
        }
    }
}

/// When and from where a secret was last used.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretUseResponse {
    /// What may be shown of it: `rk_live_...` and its last four characters
    pub key_hint: String,
    /// When it was made
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub created_at: Timestamp,
    /// When a newer one took its place (null for the current one)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub retired_at: Option<Timestamp>,
    /// When it ends, where that is before the key's own end
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub expires_at: Option<Timestamp>,
    /// When it was last used
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub last_used_at: Option<Timestamp>,
    /// From which address
    #[schema(value_type = Option<String>)]
    pub last_address: Option<IpAddr>,
    /// The `User-Agent` of that request, cut to 200 characters
    pub last_user_agent: Option<String>,
}

impl From<SecretUse> for SecretUseResponse {
    fn from(secret: SecretUse) -> Self {
        Self {
            key_hint: secret.hint.to_string(),
            created_at: secret.created_at,
            retired_at: secret.retired_at,
            expires_at: secret.expires_at,
            last_used_at: secret.last_used_at,
            last_address: secret.last_address,
            last_user_agent: secret.last_user_agent,
        }
    }
}
