//! `GET` and `PUT /api/v1/api-keys/policy`: the tenant's rules for all of its keys.

use std::net::IpAddr;

use axum::{Json, extract::State, response::IntoResponse};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{event_details, limit_fields, policy_rules::PolicyRules, responses::optional_time, schema};
use crate::{
    domain::{Clock, EventKind, OnLeak, Policy, PolicyFacts, RateLimit, ScopeSet, Timestamp, Violation},
    http::{
        authorized::{Admin, Authorized, Read},
        input::{InputFields, JsonBody, NoQuery, QueryParams},
        problem::{BODY, CALLER, Code, PARAMS, Problem, SERVER},
    },
    store::{ReadTx, ViolatingKey},
};

/// Keys in a response that break the policy.
const MAX_KEYS: i32 = 100;
const MAX_DAYS: i64 = 3650;
const MAX_KEYS_OF_TENANT: i64 = 1_000_000;
/// The properties of responses that a request cannot set.
const READ_ONLY: &[&str] = &["activeKeys", "violationCount", "violations"];

/// The rules; an absent property, or null, is no rule
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "for the description; the members are read one by one")]
struct PolicyRequest {
    /// No key ends later than so many days from now, and none never
    #[schema(minimum = 1, maximum = 3650, example = 365)]
    max_lifetime_days: Option<i32>,
    /// Keys that are neither revoked nor expired
    #[schema(minimum = 1, maximum = 1_000_000, example = 200)]
    max_active_keys: Option<i32>,
    /// A key that is not used for so many days is suspended, 7 days after a notice
    #[schema(minimum = 1, maximum = 3650, example = 90)]
    idle_suspend_days: Option<i32>,
    #[schema(schema_with = schema::allowed_scopes, required = false)]
    allowed_scopes: Option<ScopeSet>,
    /// Whether each key must have `allowedAddresses`
    #[schema(example = true)]
    require_allowed_addresses: Option<bool>,
    #[schema(schema_with = schema::on_leak, required = false)]
    on_leak: OnLeak,
    /// What a key gets that is created without a `rateLimit`
    #[schema(value_type = Option<schema::RateLimit>)]
    default_rate_limit: Option<RateLimit>,
}

fn read(mut fields: InputFields) -> Result<Policy, Problem> {
    let small = |number: i64| i32::try_from(number).ok(); // at most a million
    let max_lifetime_days = fields.nullable_integer("maxLifetimeDays", 1..=MAX_DAYS).and_then(small);
    let max_active_keys = fields.nullable_integer("maxActiveKeys", 1..=MAX_KEYS_OF_TENANT).and_then(small);
    let idle_suspend_days = fields.nullable_integer("idleSuspendDays", 1..=MAX_DAYS).and_then(small);
    let allowed_scopes = fields.parse_nullable("allowedScopes", ScopeSet::parse).flatten();
    let require_allowed_addresses = fields.nullable_boolean("requireAllowedAddresses");
    let on_leak = fields.parse_nullable("onLeak", |name| {
        OnLeak::from_name(name).ok_or("must be \"revoke\", \"suspend\" or \"notify\"")
    });
    let default_rate_limit = fields.parse_object("defaultRateLimit", limit_fields::rate_limit).flatten();
    fields.finish(READ_ONLY)?;
    Ok(Policy {
        max_lifetime_days,
        max_active_keys,
        idle_suspend_days,
        allowed_scopes,
        require_allowed_addresses,
        on_leak: on_leak.flatten().unwrap_or_default(),
        default_rate_limit,
    })
}

/// The tenant's rules for its keys, and the keys that break them
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyResponse {
    #[serde(flatten)]
    #[schema(inline)]
    rules: PolicyRules,
    /// Keys that are neither revoked nor expired: what `maxActiveKeys` limits
    active_keys: i64,
    /// Keys that break a rule
    violation_count: i64,
    /// The newest 100 of them
    violations: Vec<PolicyViolation>,
}

/// A key that breaks rules, and its last use
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct PolicyViolation {
    /// The key's id
    key_id: Uuid,
    /// Human-readable key name
    name: String,
    /// The prefix and last four digits of the newest secret
    key_hint: String,
    /// The rules that it breaks
    rules: Vec<BrokenRule>,
    /// Timestamp of the last API call using this key
    #[serde(serialize_with = "optional_time")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    last_used_at: Option<Timestamp>,
    /// The address of that call
    #[schema(value_type = Option<String>)]
    last_address: Option<IpAddr>,
    /// The `User-Agent` of that call, cut to 200 characters
    last_user_agent: Option<String>,
}

/// A rule that a key breaks
#[derive(Serialize, ToSchema)]
struct BrokenRule {
    /// Its property in the policy
    #[schema(example = "maxLifetimeDays")]
    rule: &'static str,
    /// What the rule says
    #[schema(value_type = Value)]
    limit: Value,
    /// What the key has
    #[schema(value_type = Value)]
    value: Value,
}

impl From<Violation> for BrokenRule {
    fn from(Violation { rule, limit, value }: Violation) -> Self {
        Self { rule, limit, value }
    }
}

impl PolicyViolation {
    fn new(key: ViolatingKey, policy: &Policy, now: Timestamp) -> Self {
        let state =
            PolicyFacts { scopes: key.scopes, expires_at: key.expires_at, allowed_addresses: &key.allowed_addresses };
        let idle = key.idle_since.and_then(|since| policy.check_idle(since, now));
        Self {
            rules: policy.violations(state, now).into_iter().chain(idle).map(BrokenRule::from).collect(),
            key_id: key.id.0,
            name: key.name.to_string(),
            key_hint: key.hint.to_string(),
            last_used_at: key.last_used_at,
            last_address: key.last_address,
            last_user_agent: key.last_user_agent,
        }
    }
}

async fn respond(transaction: &mut ReadTx, policy: &Policy, now: Timestamp) -> Result<Json<PolicyResponse>, Problem> {
    let keys = transaction.check_keys(policy, now, MAX_KEYS).await?;
    Ok(Json(PolicyResponse {
        rules: policy.into(),
        active_keys: keys.active,
        violation_count: keys.breaking,
        violations: keys.newest.into_iter().map(|key| PolicyViolation::new(key, policy, now)).collect(),
    }))
}

/// Refuses what breaks a rule.
pub(super) fn refuse_violation(violation: Option<Violation>) -> Result<(), Problem> {
    violation.map_or(Ok(()), |violation| Err(violation.into()))
}

/// Gets the tenant's policy, and the keys that break it.
#[utoipa::path(
    get,
    path = "/api/v1/api-keys/policy",
    operation_id = "getPolicy",
    tag = "Policy",
    responses((status = 200, description = "The policy", body = PolicyResponse)),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS]))),
)]
pub(crate) async fn get(
    caller: Authorized<Read>,
    _: NoQuery,
    State(clock): State<Clock>,
) -> Result<impl IntoResponse, Problem> {
    let mut transaction = caller.begin_read().await?;
    let policy = transaction.policy().await?;
    respond(&mut transaction, &policy, clock.now()).await
}

#[derive(IntoParams)]
#[into_params(rename_all = "camelCase", parameter_in = Query)]
#[allow(dead_code, reason = "for the description; the parameter is read by hand")]
struct PutParams {
    /// `true`: changes nothing, and responds with the keys that would break the rules
    #[param(value_type = Option<bool>, nullable = false, example = true)]
    dry_run: Option<bool>,
}

/// Replaces the tenant's policy. It binds creations, changes and rotations at once; keys that break it stay as they are.
#[utoipa::path(
    put,
    path = "/api/v1/api-keys/policy",
    operation_id = "putPolicy",
    tag = "Policy",
    params(PutParams),
    request_body(content = PolicyRequest),
    responses((status = 200, description = "The policy", body = PolicyResponse)),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, BODY, [Code::SecretRetired]]))),
)]
pub(crate) async fn put(
    mut caller: Authorized<Admin>,
    QueryParams(mut query): QueryParams,
    State(clock): State<Clock>,
    JsonBody(fields): JsonBody,
) -> Result<impl IntoResponse, Problem> {
    let dry_run = query.parse("dryRun", |text| text.parse::<bool>().map_err(|_| "must be true or false"));
    query.finish(&[])?;
    let policy = read(fields)?;
    if dry_run != Some(true) {
        let mut transaction = caller.begin_change(&clock).await?;
        let before = transaction.lock_policy().await?;
        if before != policy {
            let now = clock.now();
            transaction.set_policy(&policy, now).await?;
            let details = event_details::policy_change(&(&before).into(), &(&policy).into());
            let event = caller.event(EventKind::PolicyChanged, None, now).with_details(details);
            transaction.commit_with(&event).await?;
        }
    }
    respond(&mut caller.begin_read().await?, &policy, clock.now()).await
}
