//! A tenant's policy, and the keys that break it.

use std::net::IpAddr;

use ipnet::IpNet;
use uuid::Uuid;

use super::{Error, ReadTx, WriteTx};
use crate::domain::{
    AddressBlock, AllowedAddresses, ApiKey, ApiKeyId, KeyHint, KeyName, OnLeak, Policy, RateLimit, ScopeSet, Timestamp,
    Violation,
};

const TABLE: &str = "api_key_policies";

struct PolicyRow {
    max_lifetime_days: Option<i32>,
    max_active_keys: Option<i32>,
    idle_suspend_days: Option<i32>,
    allowed_scopes: Option<String>,
    require_allowed_addresses: Option<bool>,
    on_leak: String,
    default_rate_limit_requests: Option<i32>,
    default_rate_limit_window_seconds: Option<i32>,
}

impl TryFrom<PolicyRow> for Policy {
    type Error = Error;

    fn try_from(row: PolicyRow) -> Result<Self, Error> {
        let bad = |column| Error::BadRow { table: TABLE, column };
        let scopes = row.allowed_scopes.map(|scopes| ScopeSet::parse(&scopes).map_err(|_| bad("allowed_scopes")));
        let rate_limit = row.default_rate_limit_requests.zip(row.default_rate_limit_window_seconds);
        let rate_limit = rate_limit.map(|(requests, seconds)| {
            RateLimit::new(requests.into(), seconds.into()).ok_or(bad("default_rate_limit_requests"))
        });
        Ok(Self {
            max_lifetime_days: row.max_lifetime_days,
            max_active_keys: row.max_active_keys,
            idle_suspend_days: row.idle_suspend_days,
            allowed_scopes: scopes.transpose()?,
            require_allowed_addresses: row.require_allowed_addresses,
            on_leak: OnLeak::from_name(&row.on_leak).ok_or(bad("on_leak"))?,
            default_rate_limit: rate_limit.transpose()?,
        })
    }
}

/// A key that breaks the policy, with its last use.
pub struct ViolatingKey {
    pub id: ApiKeyId,
    pub name: KeyName,
    pub hint: KeyHint,
    pub scopes: ScopeSet,
    pub expires_at: Option<Timestamp>,
    pub allowed_addresses: AllowedAddresses,
    /// The time since which the key is idle. `None`: it is suspended.
    pub idle_since: Option<Timestamp>,
    pub last_used_at: Option<Timestamp>,
    pub last_address: Option<IpAddr>,
    pub last_user_agent: Option<String>,
}

struct ViolatingKeyRow {
    id: Uuid,
    name: String,
    last4: String,
    scopes: String,
    expires_at: Option<Timestamp>,
    allowed_addresses: Vec<IpNet>,
    idle_since: Option<Timestamp>,
    used_at: Option<Timestamp>,
    address: Option<IpNet>,
    user_agent: Option<String>,
}

/// The keys that are neither revoked nor expired, by a policy.
pub struct CheckedKeys {
    pub active: i64,
    /// How many break a rule.
    pub breaking: i64,
    /// The newest of these.
    pub newest: Vec<ViolatingKey>,
}

impl TryFrom<ViolatingKeyRow> for ViolatingKey {
    type Error = Error;

    fn try_from(row: ViolatingKeyRow) -> Result<Self, Error> {
        let bad = |column| Error::BadRow { table: "api_keys", column };
        Ok(Self {
            id: ApiKeyId(row.id),
            name: KeyName::stored(row.name),
            hint: KeyHint::from_last4(&row.last4).ok_or(bad("last4"))?,
            scopes: ScopeSet::parse(&row.scopes).map_err(|_| bad("scopes"))?,
            expires_at: row.expires_at,
            allowed_addresses: AllowedAddresses::new(
                row.allowed_addresses.into_iter().map(AddressBlock::stored).collect(),
            ),
            idle_since: row.idle_since,
            last_used_at: row.used_at,
            last_address: row.address.map(|net| net.addr()),
            last_user_agent: row.user_agent,
        })
    }
}

/// The columns of a policy; `$lock` is the locking clause or empty. A macro, since sqlx checks only literals.
macro_rules! select_policy {
    ($tenant:expr, $lock:literal) => {
        sqlx::query_as!(
            PolicyRow,
            "SELECT max_lifetime_days, max_active_keys, idle_suspend_days, allowed_scopes, require_allowed_addresses, on_leak,
                    default_rate_limit_requests, default_rate_limit_window_seconds
             FROM public.api_key_policies
             WHERE tenant_id = $1" + $lock,
            $tenant.0,
        )
    };
}

impl ReadTx {
    /// The tenant's policy.
    pub async fn policy(&mut self) -> Result<Policy, Error> {
        select_policy!(self.tenant, "").fetch_one(self.transaction.session()).await?.try_into()
    }

    /// The keys that are neither revoked nor expired, suspended ones included: how many there are, how many of them break a
    /// rule of the policy, and the newest `at_most` of those.
    pub async fn check_keys(&mut self, policy: &Policy, now: Timestamp, at_most: i32) -> Result<CheckedKeys, Error> {
        let refused_scopes = policy.allowed_scopes.map(|allowed| {
            ScopeSet::all_texts()
                .filter(|text| ScopeSet::parse(text).is_ok_and(|set| allowed.first_lacking(set).is_some()))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
        let checked = sqlx::query!(
            // The aggregates receive the rows in the order of the subquery, which an index provides: nothing is sorted.
            r#"SELECT count(*) AS "active!", count(*) FILTER (WHERE breaks) AS "breaking!",
                      coalesce((array_agg(id) FILTER (WHERE breaks))[1:$7], '{}') AS "newest!"
               FROM (
                   SELECT k.id,
                          ($3::timestamptz IS NOT NULL AND coalesce(k.expires_at > $3, true))
                          OR k.scopes = ANY ($4::text[])
                          OR ($5::bool AND cardinality(k.allowed_addresses) = 0)
                          OR ($6::timestamptz IS NOT NULL AND NOT k.is_decoy AND k.created_at <= $6
                              AND (k.suspended_at IS NULL OR k.suspended_until <= $2)
                              AND coalesce(greatest(k.resumed_at, k.suspended_until) <= $6, true)
                              AND NOT EXISTS (SELECT FROM public.api_key_last_uses
                                              WHERE tenant_id = $1 AND key_id = k.id AND used_at > $6)) AS breaks
                   FROM public.api_keys k
                   WHERE k.tenant_id = $1 AND k.revoked_at IS NULL AND coalesce(k.expires_at > $2, true)
                   ORDER BY k.created_at DESC, k.id DESC
               ) checked"#,
            self.tenant.0,
            now,
            policy.latest_end(now),
            refused_scopes.as_deref(),
            policy.require_allowed_addresses == Some(true),
            policy.idle_cutoff(now),
            at_most,
        )
        .fetch_one(self.transaction.session())
        .await?;
        let newest = sqlx::query_as!(
            ViolatingKeyRow,
            // Materialized, so that the keys are found by their ids: in one statement with the latest use, PostgreSQL reads all
            // keys of the tenant along the index of the order.
            r#"WITH newest AS MATERIALIZED (
                   SELECT * FROM public.api_keys WHERE tenant_id = $1 AND id = ANY ($3)
               )
               SELECT k.id AS "id!", k.name AS "name!", k.last4 AS "last4!", k.scopes AS "scopes!", k.expires_at,
                      k.allowed_addresses AS "allowed_addresses!: Vec<IpNet>",
                      CASE WHEN k.suspended_at IS NULL OR k.suspended_until <= $2
                           THEN greatest(k.created_at, k.resumed_at, k.suspended_until, u.used_at) END AS idle_since,
                      u.used_at AS "used_at?", u.address AS "address?: IpNet", u.user_agent AS "user_agent?"
               FROM newest k
               LEFT JOIN LATERAL (
                   SELECT l.used_at, l.address, l.user_agent
                   FROM public.api_key_last_uses l
                   WHERE l.tenant_id = $1 AND l.key_id = k.id
                   ORDER BY l.used_at DESC
                   LIMIT 1
               ) u ON true
               ORDER BY k.created_at DESC, k.id DESC"#,
            self.tenant.0,
            now,
            &checked.newest,
        )
        .fetch_all(self.transaction.session())
        .await?;
        Ok(CheckedKeys {
            active: checked.active,
            breaking: checked.breaking,
            newest: newest.into_iter().map(ViolatingKey::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl WriteTx {
    /// The tenant's policy, locked: no other change that it binds goes on until this transaction ends, and the policy does not
    /// change until then. To be called after keys were locked, and before the first change.
    pub async fn lock_policy(&mut self) -> Result<Policy, Error> {
        select_policy!(self.tenant, " FOR NO KEY UPDATE").fetch_one(self.transaction.session()).await?.try_into()
    }

    /// The number of keys that are neither revoked nor expired, suspended ones included. Exact until this transaction ends, if
    /// the policy is locked.
    async fn active_keys(&mut self, now: Timestamp) -> Result<i64, Error> {
        Ok(sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM public.api_keys
               WHERE tenant_id = $1 AND revoked_at IS NULL AND coalesce(expires_at > $2, true)"#,
            self.tenant.0,
            now,
        )
        .fetch_one(self.transaction.session())
        .await?)
    }

    /// Gives a new key what the policy has for keys without a limit of their own, and returns the first rule that the key
    /// would break. Exact across instances, since the policy is locked: call it before the key is inserted.
    pub async fn apply_policy(&mut self, key: &mut ApiKey, now: Timestamp) -> Result<Option<Violation>, Error> {
        let policy = self.lock_policy().await?;
        key.limits.rate_limit = key.limits.rate_limit.or(policy.default_rate_limit);
        match policy.violations((&*key).into(), now).into_iter().next() {
            Some(violation) => Ok(Some(violation)),
            None => self.violation_of_one_more_key(&policy, now).await,
        }
    }

    /// The violation of `maxActiveKeys` by one more key. Exact, since the policy is locked.
    pub async fn violation_of_one_more_key(
        &mut self,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<Option<Violation>, Error> {
        if policy.max_active_keys.is_none() {
            return Ok(None);
        }
        Ok(policy.check_active_keys(self.active_keys(now).await? + 1))
    }

    /// Replaces the policy, which is locked.
    pub async fn set_policy(&mut self, policy: &Policy, now: Timestamp) -> Result<(), Error> {
        let small = |number: u32| i32::try_from(number).unwrap_or(i32::MAX); // at most a million
        sqlx::query!(
            "UPDATE public.api_key_policies
             SET max_lifetime_days = $2, max_active_keys = $3, idle_suspend_days = $4, allowed_scopes = $5,
                 require_allowed_addresses = $6, on_leak = $7, default_rate_limit_requests = $8,
                 default_rate_limit_window_seconds = $9,
                 idle_suspend_set_at = CASE WHEN $4::integer IS NULL THEN NULL
                                            WHEN $4 IS DISTINCT FROM idle_suspend_days THEN $10
                                            ELSE idle_suspend_set_at END
             WHERE tenant_id = $1",
            self.tenant.0,
            policy.max_lifetime_days,
            policy.max_active_keys,
            policy.idle_suspend_days,
            policy.allowed_scopes.map(|scopes| scopes.to_string()),
            policy.require_allowed_addresses,
            policy.on_leak.as_str(),
            policy.default_rate_limit.map(|limit| small(limit.requests())),
            policy.default_rate_limit.map(|limit| small(limit.window_seconds())),
            now,
        )
        .execute(self.transaction.session())
        .await?;
        Ok(())
    }
}
