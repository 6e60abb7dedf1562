//! The `details` of audit events, as they are written and described. The details of an update are
//! [`crate::domain::FieldChange`]s; those of a `secret_reused`, a `decoy_used` and an `exposed` are
//! written by the store.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    policy_rules::PolicyRules,
    responses::{optional_time, time},
    schema,
};
use crate::{
    domain::{
        AllowedAddresses, Grant, IdleRule, KeyHint, KeyLimits, KeyName, LeakAction, LeakUrl, PreviousSecret, Quota,
        RateLimit, Reason, Reporter, Timestamp, access::SecretState, format_timestamp,
    },
    store::IdleKey,
};

/// What the key grants, or granted
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct GrantDetails {
    /// Human-readable key name
    #[schema(example = "Zapier Sync")]
    name: String,
    /// The prefix and last four digits of the newest secret
    #[schema(example = "rk_live_…1b4c")]
    key_hint: String,
    /// Assigned permission scopes
    #[schema(example = "read,write")]
    scopes: String,
    /// Expiration date (null if the key never expires)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    expires_at: Option<Timestamp>,
    /// The allowed client addresses (empty: any)
    #[schema(value_type = Vec<String>)]
    allowed_addresses: AllowedAddresses,
    /// The rate limit (null: none)
    #[schema(value_type = Option<schema::RateLimit>)]
    rate_limit: Option<RateLimit>,
    /// The quota (null: none)
    #[schema(value_type = Option<schema::Quota>)]
    quota: Option<Quota>,
    /// Why the key was revoked (absent: not said, or not revoked)
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "Replaced by the key of the new ETL job")]
    reason: Option<String>,
}

impl GrantDetails {
    pub(super) fn new(grant: &Grant, reason: Option<&Reason>) -> Self {
        let Grant { name, hint, scopes, expires_at, limits } = grant;
        let KeyLimits { allowed_addresses, rate_limit, quota } = limits.clone();
        Self {
            name: name.to_string(),
            key_hint: hint.to_string(),
            scopes: scopes.to_string(),
            expires_at: *expires_at,
            allowed_addresses,
            rate_limit,
            quota,
            reason: reason.map(Reason::to_string),
        }
    }
}

/// What changed; an absent property did not
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct UpdateDetails {
    #[schema(required = false)]
    name: TextChange,
    #[schema(required = false)]
    scopes: TextChange,
    #[schema(required = false)]
    expires_at: TimeChange,
    #[schema(required = false)]
    description: DescriptionChange,
    #[schema(required = false)]
    allowed_addresses: AddressesChange,
    #[schema(required = false)]
    rate_limit: RateLimitChange,
    #[schema(required = false)]
    quota: QuotaChange,
}

/// A property's value before and after an update
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct TextChange {
    from: String,
    to: String,
}

/// A time before and after an update (null: never)
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct TimeChange {
    #[schema(value_type = Option<DateTime<Utc>>)]
    from: Option<Timestamp>,
    #[schema(value_type = Option<DateTime<Utc>>)]
    to: Option<Timestamp>,
}

/// The description before and after an update (null: none)
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct DescriptionChange {
    from: Option<String>,
    to: Option<String>,
}

/// The allowed addresses before and after an update (empty: any)
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct AddressesChange {
    from: Vec<String>,
    to: Vec<String>,
}

/// The rate limit before and after an update (null: none)
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct RateLimitChange {
    #[schema(value_type = Option<schema::RateLimit>)]
    from: Option<RateLimit>,
    #[schema(value_type = Option<schema::RateLimit>)]
    to: Option<RateLimit>,
}

/// The quota before and after an update (null: none)
#[derive(ToSchema)]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct QuotaChange {
    #[schema(value_type = Option<schema::Quota>)]
    from: Option<Quota>,
    #[schema(value_type = Option<schema::Quota>)]
    to: Option<Quota>,
}

/// Which key was suspended or resumed, and why
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct SuspensionDetails {
    /// Human-readable key name
    #[schema(example = "Zapier Sync")]
    name: String,
    /// The prefix and last four digits of the newest secret
    #[schema(example = "rk_live_…1b4c")]
    key_hint: String,
    /// When the suspension ends by itself (null: it does not, or the key was resumed)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    until: Option<Timestamp>,
    /// Why (null: not said)
    #[schema(example = "Too many writes; under investigation")]
    reason: Option<String>,
}

impl SuspensionDetails {
    pub(super) fn new(name: &KeyName, hint: KeyHint, until: Option<Timestamp>, reason: Option<&Reason>) -> Self {
        Self { name: name.to_string(), key_hint: hint.to_string(), until, reason: reason.map(Reason::to_string) }
    }
}

/// A key that will be suspended, unless it is used
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct IdleNoticeDetails {
    /// Human-readable key name
    #[schema(example = "Zapier Sync")]
    name: String,
    /// The prefix and last four digits of the newest secret
    #[schema(example = "rk_live_…1b4c")]
    key_hint: String,
    /// Timestamp of the last API call using this key (null: none yet)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    last_used_at: Option<Timestamp>,
    /// What the policy says
    #[schema(example = 90)]
    idle_suspend_days: i32,
    /// When the key is suspended, if it is not used before
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    suspend_at: Timestamp,
}

/// The details of an `idle_notice`.
pub(crate) fn idle_notice(key: &IdleKey, rule: IdleRule, suspend_at: Timestamp) -> serde_json::Value {
    json(&IdleNoticeDetails {
        name: key.name.to_string(),
        key_hint: key.hint.to_string(),
        last_used_at: key.facts.last_used_at,
        idle_suspend_days: rule.days,
        suspend_at,
    })
}

/// The details of the suspension of an idle key.
pub(crate) fn idle_suspension(key: &IdleKey, reason: &Reason) -> serde_json::Value {
    json(&SuspensionDetails::new(&key.name, key.hint, None, Some(reason)))
}

/// The new secret, and what became of those before it
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct RotationDetails {
    /// The overlap that was asked for, in seconds
    #[schema(example = 86_400)]
    pub(super) overlap_seconds: i64,
    /// The prefix and last four digits of the secret that was replaced
    #[schema(example = "rk_live_…1b4c")]
    pub(super) previous_key_hint: String,
    /// When that secret stops to work (null: it was ended at once)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) previous_expires_at: Option<Timestamp>,
    /// The prefix and last four digits of an older secret that the rotation ended
    pub(super) ended_key_hint: Option<String>,
    /// The prefix and last four digits of the new secret
    #[schema(example = "rk_live_…9f02")]
    pub(super) key_hint: String,
}

/// The secret that was ended
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct EndedSecretDetails {
    /// The prefix and last four digits of that secret
    #[schema(example = "rk_live_…1b4c")]
    previous_key_hint: String,
    /// When it would have stopped to work
    #[schema(value_type = DateTime<Utc>)]
    previous_expires_at: String,
}

impl EndedSecretDetails {
    pub(super) fn new(hint: KeyHint, expires_at: Timestamp) -> Self {
        Self { previous_key_hint: hint.to_string(), previous_expires_at: format_timestamp(expires_at) }
    }
}

/// The secret that is no longer accepted
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct ReusedSecretDetails {
    /// The prefix and last four digits of that secret
    #[schema(example = "rk_live_…1b4c")]
    key_hint: String,
}

/// The decoy whose secret was used, and by which program
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct DecoyUseDetails {
    /// The prefix and last four digits of that secret
    #[schema(example = "rk_live_…1b4c")]
    key_hint: String,
    /// The client's `User-Agent`, shortened (null: it sent none)
    #[schema(example = "curl/8.5.0")]
    user_agent: Option<String>,
}

/// The secret that came over plain HTTP, and from which program
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "for the description")]
pub(in crate::http) struct ExposureDetails {
    /// The prefix and last four digits of that secret
    #[schema(example = "rk_live_…1b4c")]
    key_hint: String,
    /// The client's `User-Agent`, shortened (null: it sent none)
    #[schema(example = "etl/2.1")]
    user_agent: Option<String>,
}

/// The secret that somebody reported as leaked, and what was done
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct LeakDetails {
    /// Human-readable key name
    #[schema(example = "Zapier Sync")]
    name: String,
    /// The prefix and last four digits of the secret that leaked
    #[schema(example = "rk_live_…1b4c")]
    key_hint: String,
    #[schema(schema_with = schema::leaked_secret)]
    secret: &'static str,
    #[schema(schema_with = schema::leak_action)]
    action: &'static str,
    /// Where it was found (null: not said)
    #[schema(example = "https://github.com/octocat/Hello-World/blob/main/.env")]
    url: Option<String>,
    /// Where else, by the same report; up to 9
    other_urls: Vec<String>,
    #[schema(schema_with = schema::reporter)]
    reported_by: &'static str,
}

/// The details of a `leaked`. `places`: where the secret was found.
pub(crate) fn leak_details(
    name: &KeyName,
    hint: KeyHint,
    secret: SecretState,
    action: LeakAction,
    places: &[LeakUrl],
    reporter: Reporter,
) -> serde_json::Value {
    let mut urls = places.iter().map(LeakUrl::to_string);
    json(&LeakDetails {
        name: name.to_string(),
        key_hint: hint.to_string(),
        secret: if secret.is_ended {
            "ended"
        } else if secret.is_retired {
            "previous"
        } else {
            "current"
        },
        action: action.as_str(),
        url: urls.next(),
        other_urls: urls.collect(),
        reported_by: reporter.as_str(),
    })
}

/// The details of a `previous_secret_ended`.
pub(crate) fn ended_secret_details(previous: PreviousSecret) -> serde_json::Value {
    json(&EndedSecretDetails::new(previous.hint, previous.expires_at))
}

/// Who did it, beside `actor`: [`crate::domain::Principal::audit_details`].
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "for the description")]
#[expect(clippy::struct_field_names, reason = "the names of the properties")]
pub(in crate::http) struct ActorDetails {
    /// `iss` of the acting user's token
    #[schema(example = "https://login.example.com")]
    actor_issuer: String,
    /// `sub` of the acting user's token
    #[schema(example = "8d1f0c52")]
    actor_subject: String,
    /// The prefix and last four digits of the acting key's secret
    #[schema(example = "rk_live_…1b4c")]
    actor_key_hint: String,
}

/// The policy before and after
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct PolicyChangeDetails<'a> {
    from: &'a PolicyRules,
    to: &'a PolicyRules,
}

pub(super) fn policy_change(from: &PolicyRules, to: &PolicyRules) -> serde_json::Value {
    json(&PolicyChangeDetails { from, to })
}

/// The details as JSON.
pub(super) fn json(details: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(details).unwrap_or_default() // texts and numbers
}
