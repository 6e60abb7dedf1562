//! `PATCH /api/v1/api-keys/{id}`

use axum::{extract::State, response::IntoResponse};

use super::{
    create::{PAST, READ_ONLY},
    grants::refuse_widening,
    limit_fields,
    policy::refuse_violation,
    preconditions::{PreconditionParams, Preconditions, show},
    receipts::{PreferParams, ReceiptWanted},
    responses::ApiKeyResponse,
    schema,
};
use crate::{
    domain::{
        AllowedAddresses, ApiKey, ApiKeyPatch, Clock, Description, EventKind, KeyName, LimitsPatch, PolicyFacts, Quota,
        RateLimit, ScopeSet, Timestamp, parse_timestamp,
    },
    http::{
        authorized::{Admin, Authorized},
        input::{InputFields, KeyIdParam, MergePatchBody, NoQuery},
        problem::{BODY, CALLER, Code, FieldError, PARAMS, Problem, SERVER},
    },
    store::WriteTx,
};
use utoipa::ToSchema;

/// An absent property stays as it is
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(dead_code, reason = "for the description; the members are read one by one")]
struct UpdateApiKeyRequest {
    #[schema(schema_with = schema::name, required = false)]
    name: Option<KeyName>,
    #[schema(schema_with = schema::scopes, required = false)]
    scopes: Option<ScopeSet>,
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

fn read(fields: &mut InputFields) -> ApiKeyPatch {
    let name = fields.parse("name", KeyName::parse);
    let scopes = fields.parse("scopes", ScopeSet::parse);
    let expires_at = fields.parse_nullable("expiresAt", parse_timestamp);
    let description = fields.parse_nullable("description", Description::parse).map(Option::flatten);
    ApiKeyPatch { name, scopes, expires_at, description, limits: limit_fields::read(fields) }
}

/// An expiry that has passed is accepted only if the key has it already.
fn ends_in_the_past(patch: &ApiKeyPatch, present: Option<Timestamp>, now: Timestamp) -> bool {
    patch.expires_at.flatten().is_some_and(|end| end <= now && Some(end) != present)
}

/// Changes what is sent of a key, by a JSON merge patch (RFC 7396).
#[utoipa::path(
    patch,
    path = "/api/v1/api-keys/{id}",
    operation_id = "updateApiKey",
    tag = "API keys",
    params(KeyIdParam, PreconditionParams, PreferParams),
    request_body(content(
        (UpdateApiKeyRequest = "application/json"),
        (UpdateApiKeyRequest = "application/merge-patch+json"),
    )),
    responses(
        (
            status = 200,
            description = "The changed key",
            body = ApiKeyResponse,
            headers(("ETag"), ("Preference-Applied"), ("Rally-Receipt")),
        ),
        (
            status = 202,
            description = "The key is changed, and the time of `Prefer: wait` is over: the body says what is outstanding",
            body = ApiKeyResponse,
            headers(("ETag"), ("Location" = String, description = "The absolute URL of the receipt"), ("Preference-Applied")),
        ),
    ),
    security(("apiKey" = []), ("bearer" = [])),
    extensions(("x-problems" = json!([CALLER, SERVER, PARAMS, BODY, [Code::KeyNotFound, Code::SecretRetired, Code::KeyRevokedConflict, Code::PreconditionFailed, Code::PolicyViolation]]))),
)]
pub(crate) async fn update(
    mut caller: Authorized<Admin>,
    KeyIdParam(id): KeyIdParam,
    _: NoQuery,
    State(clock): State<Clock>,
    conditions: Preconditions,
    wanted: ReceiptWanted,
    MergePatchBody(mut fields): MergePatchBody,
) -> Result<impl IntoResponse, Problem> {
    let now = clock.now();
    let patch = read(&mut fields);
    if ends_in_the_past(&patch, None, now) {
        // Before the transaction, so that the response names this field together with the others.
        let key = caller.begin_read().await?.key(id).await?;
        if ends_in_the_past(&patch, key.and_then(|key| key.expires_at), now) {
            fields.refuse("expiresAt", PAST);
        }
    }
    fields.finish(READ_ONLY)?;
    let may_narrow = may_narrow(&patch);
    let mut transaction =
        if may_narrow { caller.begin_revocation(&clock).await? } else { caller.begin_change(&clock).await? };
    let key = transaction.lock_key(id).await?.ok_or(Code::KeyNotFound)?;
    if key.revoked_at.is_some() {
        return Err(Code::KeyRevokedConflict.into());
    }
    if ends_in_the_past(&patch, key.expires_at, now) {
        return Err(Problem::invalid_request(vec![FieldError::new("expiresAt", PAST)]));
    }
    refuse_widening(&caller.principal, caller.own_limits(), &key, &patch)?;
    let mut patched = key.clone();
    let changes = patched.apply(patch);
    // A change that narrows does not wait for the policy's lock.
    if PolicyFacts::from(&*key).is_widened_by((&patched).into()) {
        check_policy(&mut transaction, &key, &patched, now).await?;
    }
    conditions.check_change(&key, now)?;
    // A repeated change that narrows is one, too: it may be from just before, and by another instance.
    let is_waited_for = wanted.is_wanted() && may_narrow && (changes.is_empty() || is_narrowed(&key, &patched));
    let revision = if changes.is_empty() {
        if is_waited_for { transaction.revision_of_unchanged(&key).await? } else { None }
    } else {
        transaction.update_key(&key, &mut patched).await?;
        let event = caller.event(EventKind::Updated, id, clock.now()).with_changes(&changes);
        Some(transaction.commit_with(&event).await?)
    };
    let shown = show(patched, clock.now());
    Ok(wanted.respond(&caller, id, revision.filter(|_| is_waited_for), &clock, shown).await)
}

/// Whether the change takes anything away.
fn is_narrowed(before: &ApiKey, after: &ApiKey) -> bool {
    // What would give something back takes something away.
    let (before_limits, after_limits) = (&before.limits, &after.limits);
    PolicyFacts::from(after).is_widened_by(before.into())
        || before_limits.allowed_addresses != after_limits.allowed_addresses && !after_limits.allowed_addresses.is_any()
        || before_limits.rate_limit != after_limits.rate_limit && after_limits.rate_limit.is_some()
        || before_limits.quota != after_limits.quota && after_limits.quota.is_some()
}

/// Refuses what the policy forbids, unless the key has it already.
async fn check_policy(
    transaction: &mut WriteTx,
    before: &ApiKey,
    after: &ApiKey,
    now: Timestamp,
) -> Result<(), Problem> {
    let policy = transaction.lock_policy().await?;
    refuse_violation(policy.violation_of_change(before.into(), after.into(), now))?;
    if !before.is_expired(now) || after.is_expired(now) {
        return Ok(());
    }
    refuse_violation(transaction.violation_of_one_more_key(&policy, now).await?)
}

/// True if the change may revoke access: fewer scopes, an earlier expiry, or a tighter limit.
const fn may_narrow(patch: &ApiKeyPatch) -> bool {
    let LimitsPatch { allowed_addresses, rate_limit, quota } = &patch.limits;
    patch.scopes.is_some()
        || matches!(patch.expires_at, Some(Some(_)))
        || allowed_addresses.is_some()
        || matches!(rate_limit, Some(Some(_)))
        || matches!(quota, Some(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::Body,
        extract::{FromRequest as _, Request},
        http::header,
    };
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    const NAMES: &[&str] = &["name", "scopes", "expiresAt"];
    const OTHERS: &[&str] = &["id", "isActive", "revokedAt", "Name", "name ", "expires_at", "scope", "tenantId", ""];

    fn patch(body: &Value) -> Result<ApiKeyPatch, Problem> {
        let content_type = (header::CONTENT_TYPE, "application/merge-patch+json");
        let request = Request::builder().header(content_type.0, content_type.1).body(Body::from(body.to_string()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let MergePatchBody(mut fields) = runtime.block_on(MergePatchBody::from_request(request.unwrap(), &()))?;
        let patch = read(&mut fields);
        fields.finish(READ_ONLY)?;
        Ok(patch)
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[0-9]{4}-0[1-9]-1[0-9]T0[0-9]:00:00(Z|[-+]0[0-9]:00|)".prop_map(Value::from),
            prop::sample::select(vec!["read", "write, admin", "a name", "2099-01-01T00:00:00Z"]).prop_map(Value::from),
            Just(json!({})),
            Just(json!(["read"])),
        ]
    }

    proptest! {
        #[test]
        fn a_patch_with_an_unknown_member_is_refused(
            known in prop::collection::hash_map(prop::sample::select(NAMES), values(), 0..3),
            other in prop_oneof![prop::sample::select(OTHERS).prop_map(str::to_owned), any::<String>()],
            value in values(),
        ) {
            prop_assume!(!NAMES.contains(&&*other));
            let mut body: Map<_, _> = known.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            body.insert(other, value);
            prop_assert!(patch(&Value::Object(body)).is_err());
        }

        #[test]
        fn an_accepted_patch_has_exactly_the_members_that_were_sent(members in prop::collection::hash_map(prop::sample::select(NAMES), values(), 0..4)) {
            let body = Value::Object(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect());
            let Ok(patch) = patch(&body) else { return Ok(()) };
            let sent = |name| members.get(name);
            prop_assert_eq!(
                patch.name.as_ref().map(KeyName::as_str),
                sent("name").and_then(Value::as_str).map(str::trim)
            );
            prop_assert_eq!(patch.scopes.is_some(), sent("scopes").is_some());
            match (patch.expires_at, sent("expiresAt")) {
                (None, None) | (Some(None), Some(Value::Null)) => {}
                (Some(Some(end)), Some(Value::String(text))) => {
                    prop_assert_eq!(Ok(end), parse_timestamp(text));
                }
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            }
        }
    }
}
