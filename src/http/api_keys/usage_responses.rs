//! The JSON of usage: requests by hour or day, the secrets of a key, and its callers.

use std::net::IpAddr;

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    responses::{optional_time, time},
    schema,
};
use crate::{
    domain::{Timestamp, UsageBucket, UsageWindow},
    store::{KeyCaller, SecretUse},
};

/// Requests with a key by hour or day
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiKeyUsageResponse {
    /// `hour` or `day`, in UTC
    #[schema(schema_with = schema::usage_interval)]
    pub(super) interval: &'static str,
    /// Start of the first bucket
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub(super) from: Timestamp,
    /// End of the last bucket
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub(super) to: Timestamp,
    /// All requests from `from` to `to`, including refused ones
    pub(super) requests: i64,
    /// The refused ones of these requests
    pub(super) denied: i64,
    /// Every bucket, in order, including those without a request
    pub(super) buckets: Vec<UsageBucketResponse>,
    /// The key's latest 100 secrets, newest first
    pub(super) secrets: Vec<SecretUseResponse>,
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

/// Requests with all keys of the tenant by hour or day
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct TenantUsageResponse {
    /// `hour` or `day`, in UTC
    #[schema(schema_with = schema::usage_interval)]
    interval: &'static str,
    /// Start of the first bucket
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    from: Timestamp,
    /// End of the last bucket
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    to: Timestamp,
    /// All requests from `from` to `to`, including refused ones
    requests: i64,
    /// The refused ones of these requests
    denied: i64,
    /// Every bucket, in order, including those without a request
    buckets: Vec<UsageBucketResponse>,
}

impl TenantUsageResponse {
    pub(super) fn new(window: &UsageWindow, counted: Vec<UsageBucket>) -> Self {
        let ApiKeyUsageResponse { interval, from, to, requests, denied, buckets, secrets: _ } =
            ApiKeyUsageResponse::new(window, counted, Vec::new());
        Self { interval, from, to, requests, denied, buckets }
    }
}

/// Requests in an hour or a day
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct UsageBucketResponse {
    /// Start of the bucket
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub(super) start: Timestamp,
    /// All requests with a secret of the key, or of any of the tenant's keys, including refused ones
    pub(super) requests: i64,
    /// The refused ones of these requests
    pub(super) denied: i64,
    /// The refused ones by reason
    pub(super) denied_by_reason: DeniedByReason,
}

/// Refused requests by reason
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeniedByReason {
    /// The key was expired
    pub(super) expired: i64,
    /// The key's scopes, or a previous secret, were not sufficient
    pub(super) scope: i64,
    /// The key was revoked, or the secret had ended
    pub(super) revoked: i64,
    /// The key was suspended
    pub(super) suspended: i64,
    /// The key may not be used from the client's address
    pub(super) address: i64,
    /// The key had exceeded its rate limit
    pub(super) rate_limit: i64,
    /// The key had exhausted its quota
    pub(super) quota: i64,
}

impl From<UsageBucket> for UsageBucketResponse {
    fn from(bucket: UsageBucket) -> Self {
        Self {
            start: bucket.start,
            requests: bucket.requests,
            denied: bucket.denied(),
            denied_by_reason: DeniedByReason {
                expired: bucket.denied_expired,
                scope: bucket.denied_scope,
                revoked: bucket.denied_revoked,
                suspended: bucket.denied_suspended,
                address: bucket.denied_address,
                rate_limit: bucket.denied_rate_limit,
                quota: bucket.denied_quota,
            },
        }
    }
}

/// The last use of a secret
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SecretUseResponse {
    /// The prefix and last four digits of the secret
    pub(super) key_hint: String,
    /// When the secret was created
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub(super) created_at: Timestamp,
    /// When a newer secret replaced it (null: it is the current one)
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) retired_at: Option<Timestamp>,
    /// When the secret stops to work, if that is before the key expires
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) expires_at: Option<Timestamp>,
    /// When the secret was last used
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    pub(super) last_used_at: Option<Timestamp>,
    /// The address of that request
    #[schema(value_type = Option<String>)]
    pub(super) last_address: Option<IpAddr>,
    /// The `User-Agent` of that request, cut to 200 characters
    pub(super) last_user_agent: Option<String>,
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

/// A caller of a key: an address and a program that were let in
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiKeyCallerResponse {
    /// The client's address (null: several callers that were not told apart, since there were more than 8 within a short time)
    #[schema(value_type = Option<String>)]
    pub(super) address: Option<IpAddr>,
    /// The client's `User-Agent`, cut to 200 characters (null: it sent none, or `address` is null)
    pub(super) user_agent: Option<String>,
    /// When it was first seen
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub(super) first_seen_at: Timestamp,
    /// When it was last seen
    #[serde(serialize_with = "time")]
    #[schema(value_type = DateTime<Utc>)]
    pub(super) last_seen_at: Timestamp,
    /// Its requests since `firstSeenAt`, without refused ones
    pub(super) requests: i64,
    /// Which secret it used
    #[schema(schema_with = schema::caller_secret)]
    pub(super) secret: &'static str,
}

impl From<KeyCaller> for ApiKeyCallerResponse {
    fn from(KeyCaller { caller, uses_current_secret }: KeyCaller) -> Self {
        Self {
            address: caller.address,
            user_agent: caller.user_agent.map(Into::into),
            first_seen_at: caller.first_seen_at,
            last_seen_at: caller.last_seen_at,
            requests: caller.requests,
            secret: if uses_current_secret { "current" } else { "previous" },
        }
    }
}
