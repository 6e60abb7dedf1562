//! The JSON of responses: the published properties in their published order, then later ones.

use std::net::IpAddr;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{receipt_response::ReceiptResponse, schema};
use crate::domain::{
    AllowedAddresses, ApiKey, Description, Event, PreviousSecret, Quota, RateLimit, Secret, Status, Timestamp,
    format_timestamp,
};

/// An API key
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiKeyResponse {
    /// Unique key identifier
    pub(super) id: Uuid,
    /// First characters shown: `rk_live_`
    #[schema(example = "rk_live_")]
    pub(super) key_prefix: &'static str,
    /// Human-readable key name
    #[schema(example = "Zapier Sync")]
    pub(super) name: String,
    /// Assigned permission scopes
    #[schema(example = "read,write")]
    pub(super) scopes: String,
    /// Expiration date (null if the key never expires)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) expires_at: Option<Timestamp>,
    /// Timestamp of the last API call using this key, at most 5 s behind
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) last_used_at: Option<Timestamp>,
    /// Whether the key is currently active
    pub(super) is_active: bool,
    /// When the key was created
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub(super) created_at: Timestamp,
    /// User who created the key, or `api-key:<id>`, or `operator:<name>` by the command line
    #[schema(example = "admin@acme.com")]
    pub(super) created_by: Option<String>,
    /// The prefix and last four digits of the newest secret
    #[schema(example = "rk_live_…1b4c")]
    pub(super) key_hint: String,
    /// When the key was revoked
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) revoked_at: Option<Timestamp>,
    /// Whether the key works, and why not
    #[schema(schema_with = schema::key_status)]
    pub(super) status: &'static str,
    /// The previous secret, while it still works (null: there is none)
    pub(super) rotation: Option<Rotation>,
    /// What the key is for
    #[schema(example = "Nightly sync of deals")]
    pub(super) description: Option<String>,
    /// When the suspension ends (null: not suspended, or suspended until the key is resumed; see `status`)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) suspended_until: Option<Timestamp>,
    /// The addresses and CIDR blocks that the key may be used from (empty: any)
    #[schema(value_type = Vec<String>)]
    pub(super) allowed_addresses: AllowedAddresses,
    /// The rate limit (null: none)
    #[schema(value_type = Option<schema::RateLimit>)]
    pub(super) rate_limit: Option<RateLimit>,
    /// The quota (null: none)
    #[schema(value_type = Option<schema::Quota>)]
    pub(super) quota: Option<Quota>,
    /// In a list with `include=usage`: the requests of each of the last 30 days in UTC, refused ones included, oldest first; the last
    /// one is today
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_items = 30, max_items = 30)]
    pub(super) usage: Option<Vec<i64>>,
    /// Only of a decoy, and then true: the key never works, and its use leaves events `decoy_used`, at most one an hour for
    /// each client's network and instance
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false, example = true)]
    pub(super) decoy: bool,
    /// Of a change that waited for a receipt in vain (202): what is outstanding
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) receipt: Option<ReceiptResponse>,
}

/// A previous secret that still works
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names of the properties")]
pub(super) struct Rotation {
    /// The prefix and last four digits of the previous secret
    pub(super) previous_key_hint: String,
    /// When the previous secret stops to work
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub(super) previous_expires_at: Timestamp,
    /// Timestamp of the last API call using the previous secret
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) previous_last_used_at: Option<Timestamp>,
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
    pub(super) fn new(key: ApiKey, now: Timestamp) -> Self {
        let status = key.status(now);
        let rotation = key.working_previous(now).map(Rotation::from);
        let suspended_until = key.suspended_until(now);
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
            description: key.description.as_ref().map(Description::to_string),
            suspended_until,
            allowed_addresses: key.limits.allowed_addresses,
            rate_limit: key.limits.rate_limit,
            quota: key.limits.quota,
            usage: None,
            decoy: key.is_decoy,
            receipt: None,
        }
    }
}

/// An API key with its secret, which no other response contains
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiKeyCreatedResponse {
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
    /// What the key is for
    #[schema(example = "Nightly sync of deals")]
    description: Option<String>,
    /// When the suspension ends (null: not suspended, or suspended until the key is resumed; see `status`)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    suspended_until: Option<Timestamp>,
    /// The addresses and CIDR blocks that the key may be used from (empty: any)
    #[schema(value_type = Vec<String>)]
    allowed_addresses: AllowedAddresses,
    /// The rate limit (null: none)
    #[schema(value_type = Option<schema::RateLimit>)]
    rate_limit: Option<RateLimit>,
    /// The quota (null: none)
    #[schema(value_type = Option<schema::Quota>)]
    quota: Option<Quota>,
    /// Only of a decoy, and then true: the key never works, and its use leaves events `decoy_used`, at most one an hour for
    /// each client's network and instance
    #[serde(skip_serializing_if = "is_false")]
    #[schema(required = false, example = true)]
    decoy: bool,
    /// Of a rotation that waited for a receipt in vain (202): what is outstanding
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) receipt: Option<ReceiptResponse>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl ApiKeyCreatedResponse {
    pub(super) fn new(key: &ApiKey, secret: &Secret, now: Timestamp) -> Self {
        Self {
            id: key.id.0,
            key: secret.reveal().to_owned(),
            key_prefix: Secret::PREFIX,
            name: key.name.to_string(),
            scopes: key.scopes.to_string(),
            expires_at: key.expires_at,
            created_at: key.created_at,
            key_hint: key.hint.to_string(),
            description: key.description.as_ref().map(Description::to_string),
            suspended_until: key.suspended_until(now),
            allowed_addresses: key.limits.allowed_addresses.clone(),
            rate_limit: key.limits.rate_limit,
            quota: key.limits.quota,
            decoy: key.is_decoy,
            receipt: None,
        }
    }

    /// The JSON, with null in place of the secret.
    pub(super) fn without_secret(&self) -> String {
        // Texts, numbers and booleans are always valid in JSON.
        let mut response = serde_json::to_value(self).unwrap_or_default();
        response["key"] = Value::Null;
        response.to_string()
    }

    /// The response of which [`Self::without_secret`] was made.
    pub(super) fn with_secret(json: &str, secret: &Secret) -> Result<Value, serde_json::Error> {
        let mut response: Map<String, Value> = serde_json::from_str(json)?;
        response.insert("key".into(), secret.reveal().into());
        Ok(response.into())
    }
}

/// An entry of the audit trail
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiKeyEventResponse {
    /// Unique event identifier
    pub(super) id: Uuid,
    /// What happened
    #[schema(schema_with = schema::event_type)]
    pub(super) r#type: &'static str,
    /// The key's id (null: an event of the tenant itself, `policy_changed`)
    pub(super) key_id: Option<Uuid>,
    /// When it happened
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub(super) occurred_at: Timestamp,
    /// The user who did it, or `api-key:<id>`, or `operator:<name>` by the command line (null: the service, or unknown)
    pub(super) actor: Option<String>,
    /// The client's address
    #[schema(value_type = Option<String>)]
    pub(super) address: Option<IpAddr>,
    /// The request's id
    pub(super) request_id: String,
    /// What changed. For an update: `from` and `to` of each property. Never contains a secret
    #[schema(value_type = Object)]
    pub(super) details: Value,
}

impl From<Event> for ApiKeyEventResponse {
    fn from(event: Event) -> Self {
        Self {
            id: event.id,
            r#type: event.kind.as_str(),
            key_id: event.key_id.map(|key| key.0),
            occurred_at: event.occurred_at,
            actor: event.actor,
            address: event.address,
            request_id: event.request_id,
            details: event.details,
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_timestamp(*time))
}

#[allow(clippy::ref_option, reason = "serde's signature")]
pub(super) fn optional_time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(format_timestamp).serialize(serializer)
}
