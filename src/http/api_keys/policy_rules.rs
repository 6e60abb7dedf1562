//! The rules of a policy, as responses and events show them.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema;
use crate::domain::{Policy, RateLimit};

/// The rules
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct PolicyRules {
    /// No key ends later than so many days from now (null: no rule)
    #[schema(example = 365)]
    max_lifetime_days: Option<i32>,
    /// Keys that are neither revoked nor expired (null: no rule)
    #[schema(example = 200)]
    max_active_keys: Option<i32>,
    /// A key that is not used for so many days is suspended, 7 days after a notice (null: no rule)
    #[schema(example = 90)]
    idle_suspend_days: Option<i32>,
    /// No key has a scope that these do not imply (null: no rule)
    #[schema(example = "read,write")]
    allowed_scopes: Option<String>,
    /// Whether each key must have `allowedAddresses` (null: no rule)
    require_allowed_addresses: Option<bool>,
    /// What happens to a key whose secret is reported as leaked
    #[schema(schema_with = schema::on_leak_of_response)]
    on_leak: &'static str,
    /// What a key gets that is created without a `rateLimit` (null: none)
    #[schema(value_type = Option<schema::RateLimit>)]
    default_rate_limit: Option<RateLimit>,
}

impl From<&Policy> for PolicyRules {
    fn from(policy: &Policy) -> Self {
        Self {
            max_lifetime_days: policy.max_lifetime_days,
            max_active_keys: policy.max_active_keys,
            idle_suspend_days: policy.idle_suspend_days,
            allowed_scopes: policy.allowed_scopes.map(|scopes| scopes.to_string()),
            require_allowed_addresses: policy.require_allowed_addresses,
            on_leak: policy.on_leak.as_str(),
            default_rate_limit: policy.default_rate_limit,
        }
    }
}
