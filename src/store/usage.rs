//! Usage of keys: written in batches, removed when it is old, and read by the hour or day.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use ipnet::IpNet;
use uuid::Uuid;

use super::{
    Error, ReadTx, TenantStores,
    callers::{CALLER_AGE, CALLERS_OF_A_KEY, CallerUsage},
    retry::retry_within,
};
use crate::domain::{ApiKeyId, KeyHint, LookupDigest, QuotaPeriod, TenantId, Timestamp, UsageBucket, UsageWindow};

/// How long a batch, or a removal, waits for the response once it has a connection.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Rows of old usage that are removed in one transaction.
const REMOVE_AT_ONCE: i32 = 10_000;

/// What a secret was used for in one hour, since that was last written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUsage {
    /// The tenant of the key.
    pub tenant: TenantId,
    /// The key of the secret.
    pub key: ApiKeyId,
    /// The secret.
    pub lookup_digest: LookupDigest,
    /// The start of the hour.
    pub hour: Timestamp,
    /// All requests.
    pub requests: i64,
    /// Those that were denied since the key had expired.
    pub denied_expired: i64,
    /// Those that were denied since the key's scopes did not suffice.
    pub denied_scope: i64,
    /// Those that were denied since the key was revoked, or the secret had ended.
    pub denied_revoked: i64,
    /// Those that were denied since the key was suspended.
    pub denied_suspended: i64,
    /// Those that were denied since the key may not be used from the client's address.
    pub denied_address: i64,
    /// Those that were denied since the key had exceeded its rate limit.
    pub denied_rate_limit: i64,
    /// Those that were denied since the key had exhausted its quota.
    pub denied_quota: i64,
    /// The last request that was not denied, or for its scope alone.
    pub last_use: Option<LastUse>,
}

impl SecretUsage {
    /// Requests that were let in.
    #[must_use]
    pub const fn allowed(&self) -> i64 {
        self.requests
            - self.denied_expired
            - self.denied_scope
            - self.denied_revoked
            - self.denied_suspended
            - self.denied_address
            - self.denied_rate_limit
            - self.denied_quota
    }
}

/// What a key used of its quota in a period, on all instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaTotal {
    /// The key.
    pub key: ApiKeyId,
    /// The length of the period.
    pub period: QuotaPeriod,
    /// Its start.
    pub start: Timestamp,
    /// Requests that were let in.
    pub requests: i64,
}

/// What [`UsageStore::record_usage`] returns.
#[derive(Debug)]
pub struct RecordedUsage {
    /// False: a batch of that number was added before, and this one was not.
    pub is_new: bool,
    /// Of the keys that have a quota.
    pub totals: Vec<QuotaTotal>,
}

struct RecordedUsageRow {
    is_new: bool,
    quota_keys: Vec<Uuid>,
    quota_periods: Vec<String>,
    quota_starts: Vec<Timestamp>,
    quota_requests: Vec<i64>,
}

impl TryFrom<RecordedUsageRow> for RecordedUsage {
    type Error = Error;

    fn try_from(row: RecordedUsageRow) -> Result<Self, Error> {
        let totals = row.quota_keys.into_iter().zip(row.quota_periods).zip(row.quota_starts).zip(row.quota_requests);
        let totals = totals.map(|(((key, period), start), requests)| {
            let period = QuotaPeriod::from_name(&period);
            let period = period.ok_or(Error::BadRow { table: "api_key_quota_usage", column: "period" })?;
            Ok(QuotaTotal { key: ApiKeyId(key), period, start, requests })
        });
        Ok(Self { is_new: row.is_new, totals: totals.collect::<Result<_, Error>>()? })
    }
}

/// What [`UsageStore::remove_old_callers`] did.
#[derive(Clone, Copy, Debug)]
pub struct RemovedCallers {
    /// The callers that were removed.
    pub callers: i32,
    /// Where the next part of the table begins. `None`: this was the last one.
    pub next_page: Option<i64>,
}

/// When and by whom a secret was last used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// The client's address, as far as trusted proxies tell it.
    pub address: Option<IpAddr>,
    /// The client's `User-Agent`, truncated and without control characters.
    pub user_agent: Option<Box<str>>,
}

/// The figures of a batch. The two lists are independent of one another.
#[derive(Debug, Default)]
pub struct UsageBatch {
    /// Counts and last uses.
    pub usage: Vec<SecretUsage>,
    /// Callers.
    pub callers: Vec<CallerUsage>,
}

impl UsageBatch {
    /// The number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.usage.len() + self.callers.len()
    }

    /// True if there are no rows.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Splits off about half of the rows.
    #[must_use]
    pub fn split_off_half(&mut self) -> Self {
        if self.usage.is_empty() {
            let callers = self.callers.split_off(self.callers.len() / 2);
            Self { callers, ..Self::default() }
        } else if self.callers.is_empty() {
            let usage = self.usage.split_off(self.usage.len() / 2);
            Self { usage, ..Self::default() }
        } else {
            Self { callers: std::mem::take(&mut self.callers), ..Self::default() }
        }
    }
}

/// One secret of a key and its last use.
#[derive(Clone, Debug)]
pub struct SecretUse {
    /// What may be shown of it.
    pub hint: KeyHint,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a newer secret replaced it.
    pub retired_at: Option<Timestamp>,
    /// When it ends, where that is before the key's end.
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// From which address.
    pub last_address: Option<IpAddr>,
    /// The `User-Agent` of that request.
    pub last_user_agent: Option<String>,
}

struct SecretUseRow {
    last4: String,
    created_at: Timestamp,
    retired_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    used_at: Option<Timestamp>,
    address: Option<IpNet>,
    user_agent: Option<String>,
}

impl TryFrom<SecretUseRow> for SecretUse {
    type Error = Error;

    fn try_from(row: SecretUseRow) -> Result<Self, Error> {
        let hint = KeyHint::from_last4(&row.last4);
        Ok(Self {
            hint: hint.ok_or(Error::BadRow { table: "api_key_secrets", column: "last4" })?,
            created_at: row.created_at,
            retired_at: row.retired_at,
            expires_at: row.expires_at,
            last_used_at: row.used_at,
            last_address: row.address.map(|net| net.addr()),
            last_user_agent: row.user_agent,
        })
    }
}

/// Usage of all tenants' keys.
#[derive(Clone)]
pub struct UsageStore {
    pub(super) tenant_stores: TenantStores,
}

impl UsageStore {
    /// Adds a batch of usage, of any number of tenants, in one statement. `number` increases with each batch of `writer`; a
    /// number that is sent again is not added again. `quotas` are the periods of the keys that have a quota.
    pub async fn record_usage(
        &self,
        writer: Uuid,
        number: i64,
        batch: &UsageBatch,
        quotas: &HashMap<ApiKeyId, QuotaPeriod>,
    ) -> Result<RecordedUsage, Error> {
        let UsageBatch { usage, callers } = batch;
        let tenants: Vec<_> = usage.iter().map(|usage| usage.tenant.0).collect();
        let keys: Vec<_> = usage.iter().map(|usage| usage.key.0).collect();
        let digests: Vec<_> = usage.iter().map(|usage| usage.lookup_digest.as_bytes()).collect();
        let hours: Vec<_> = usage.iter().map(|usage| usage.hour).collect();
        let requests: Vec<_> = usage.iter().map(|usage| usage.requests).collect();
        let denied_expired: Vec<_> = usage.iter().map(|usage| usage.denied_expired).collect();
        let denied_scope: Vec<_> = usage.iter().map(|usage| usage.denied_scope).collect();
        let denied_revoked: Vec<_> = usage.iter().map(|usage| usage.denied_revoked).collect();
        let denied_suspended: Vec<_> = usage.iter().map(|usage| usage.denied_suspended).collect();
        let denied_address: Vec<_> = usage.iter().map(|usage| usage.denied_address).collect();
        let denied_rate_limit: Vec<_> = usage.iter().map(|usage| usage.denied_rate_limit).collect();
        let denied_quota: Vec<_> = usage.iter().map(|usage| usage.denied_quota).collect();
        let quota_periods: Vec<_> = usage.iter().map(|usage| Some(quotas.get(&usage.key)?.as_str())).collect();
        let used_at: Vec<_> = usage.iter().map(|usage| usage.last_use.as_ref().map(|last| last.at)).collect();
        let addresses: Vec<_> = usage.iter().map(|usage| usage.last_use.as_ref()?.address.map(IpNet::from)).collect();
        let agents: Vec<_> = usage.iter().map(|usage| usage.last_use.as_ref()?.user_agent.as_deref()).collect();
        let callers_tenants: Vec<_> = callers.iter().map(|row| row.tenant.0).collect();
        let callers_keys: Vec<_> = callers.iter().map(|row| row.key.0).collect();
        let callers_digests: Vec<_> = callers.iter().map(|row| row.lookup_digest.as_bytes()).collect();
        let callers: Vec<_> = callers.iter().map(|row| &row.caller).collect();
        let callers_ids: Vec<_> = callers.iter().map(|caller| caller.digest()).collect();
        let callers_ids: Vec<_> = callers_ids.iter().map(<[u8; 16]>::as_slice).collect();
        let callers_addresses: Vec<_> = callers.iter().map(|caller| caller.address.map(IpNet::from)).collect();
        let callers_agents: Vec<_> = callers.iter().map(|caller| caller.user_agent.as_deref()).collect();
        let callers_first: Vec<_> = callers.iter().map(|caller| caller.first_seen_at).collect();
        let callers_last: Vec<_> = callers.iter().map(|caller| caller.last_seen_at).collect();
        let callers_requests: Vec<_> = callers.iter().map(|caller| caller.requests).collect();
        let recorded =
            retry_within!(WRITE_TIMEOUT, self.tenant_stores.pool, self.tenant_stores.statements, |session| {
                sqlx::query_as!(
                RecordedUsageRow,
                r#"SELECT is_new AS "is_new!", quota_keys AS "quota_keys!", quota_totals_periods AS "quota_periods!",
                          quota_starts AS "quota_starts!", quota_requests AS "quota_requests!"
                   FROM public.record_usage($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
                                            $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)"#,
                writer,
                number,
                &tenants,
                &keys,
                &digests as &[&[u8]],
                &hours,
                &requests,
                &denied_expired,
                &denied_scope,
                &denied_revoked,
                &denied_suspended,
                &denied_address,
                &denied_rate_limit,
                &denied_quota,
                &quota_periods as &[Option<&str>],
                &used_at as &[Option<Timestamp>],
                &addresses as &[Option<IpNet>],
                &agents as &[Option<&str>],
                &callers_tenants,
                &callers_keys,
                &callers_digests as &[&[u8]],
                &callers_ids as &[&[u8]],
                &callers_addresses as &[Option<IpNet>],
                &callers_agents as &[Option<&str>],
                &callers_first,
                &callers_last,
                &callers_requests,
            )
            .fetch_one(session)
            })?;
        recorded.try_into()
    }

    /// Removes callers, of all tenants, that [`ReadTx::callers`] would not return, from a part of the table. `None` where
    /// another instance is removing them.
    pub async fn remove_old_callers(&self, now: Timestamp, from_page: i64) -> Result<Option<RemovedCallers>, Error> {
        let (before, keep) = (now - CALLER_AGE, CALLERS_OF_A_KEY);
        let row = retry_within!(WRITE_TIMEOUT, self.tenant_stores.pool, self.tenant_stores.statements, |session| {
            sqlx::query!(
                "SELECT removed, next_page FROM public.remove_old_callers($1, $2, $3)",
                before,
                keep,
                from_page
            )
            .fetch_one(session)
        })?;
        Ok(row.removed.map(|callers| RemovedCallers { callers, next_page: row.next_page }))
    }

    /// Removes some secrets, of all tenants, that ended before that time or are not among the latest `keep` of their key
    /// that ended. Returns how many, or `None` where another instance is removing them.
    pub async fn remove_ended_secrets(&self, before: Timestamp, keep: i32) -> Result<Option<i32>, Error> {
        retry_within!(WRITE_TIMEOUT, self.tenant_stores.pool, self.tenant_stores.statements, |session| {
            sqlx::query_scalar!("SELECT public.remove_ended_secrets($1, $2, $3)", before, keep, REMOVE_AT_ONCE)
                .fetch_one(session)
        })
    }

    /// Removes some records of requests with an `Idempotency-Key` from before that time, of all tenants. Returns how many, or
    /// `None` where another instance is removing them.
    pub async fn remove_idempotency_records(&self, before: Timestamp) -> Result<Option<i32>, Error> {
        retry_within!(WRITE_TIMEOUT, self.tenant_stores.pool, self.tenant_stores.statements, |session| {
            sqlx::query_scalar!("SELECT public.remove_old_idempotency_records($1, $2)", before, REMOVE_AT_ONCE)
                .fetch_one(session)
        })
    }

    /// Removes some rows of hours before that one, of all tenants. Returns how many, or `None` where another instance is
    /// removing them.
    pub async fn remove_usage_before(&self, before: Timestamp) -> Result<Option<i32>, Error> {
        retry_within!(WRITE_TIMEOUT, self.tenant_stores.pool, self.tenant_stores.statements, |session| {
            sqlx::query_scalar!("SELECT public.remove_old_usage($1, $2)", before, REMOVE_AT_ONCE).fetch_one(session)
        })
    }
}

/// The tenant as a whole, in the place of a key: `record_usage` writes the sum of all keys too.
const ALL_KEYS: ApiKeyId = ApiKeyId(Uuid::max());

impl ReadTx {
    /// As [`Self::usage`], of all keys together. Reads a row for each hour.
    pub async fn tenant_usage(&mut self, window: &UsageWindow) -> Result<Vec<UsageBucket>, Error> {
        self.usage(ALL_KEYS, window).await
    }

    /// The requests with each of the keys in the parts of the window in which there were any.
    pub async fn requests_of(
        &mut self,
        keys: &[ApiKeyId],
        window: &UsageWindow,
    ) -> Result<Vec<(ApiKeyId, Timestamp, i64)>, Error> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let rows = sqlx::query!(
            r#"SELECT key_id, date_bin(make_interval(hours => $5), hour, 'epoch') AS "start!", sum(requests)::bigint AS "requests!"
               FROM public.api_key_usage
               WHERE tenant_id = $1 AND key_id = ANY ($2) AND hour >= $3 AND hour < $4
               GROUP BY 1, 2"#,
            self.tenant.0,
            &ids,
            window.from(),
            window.to(),
            window.interval().hours(),
        )
        .fetch_all(self.transaction.session())
        .await?;
        Ok(rows.into_iter().map(|row| (ApiKeyId(row.key_id), row.start, row.requests)).collect())
    }

    /// The key's usage in each part of the window in which there was any.
    pub async fn usage(&mut self, key: ApiKeyId, window: &UsageWindow) -> Result<Vec<UsageBucket>, Error> {
        Ok(sqlx::query_as!(
            UsageBucket,
            r#"SELECT date_bin(make_interval(hours => $5), hour, 'epoch') AS "start!", sum(requests)::bigint AS "requests!",
                      sum(denied_expired)::bigint AS "denied_expired!", sum(denied_scope)::bigint AS "denied_scope!",
                      sum(denied_revoked)::bigint AS "denied_revoked!",
                      sum(denied_suspended)::bigint AS "denied_suspended!",
                      sum(denied_address)::bigint AS "denied_address!",
                      sum(denied_rate_limit)::bigint AS "denied_rate_limit!", sum(denied_quota)::bigint AS "denied_quota!"
               FROM public.api_key_usage
               WHERE tenant_id = $1 AND key_id = $2 AND hour >= $3 AND hour < $4
               GROUP BY 1
               ORDER BY 1"#,
            self.tenant.0,
            key.0,
            window.from(),
            window.to(),
            window.interval().hours(),
        )
        .fetch_all(self.transaction.session())
        .await?)
    }

    /// The key's secrets with their last uses, the newest first.
    pub async fn secret_uses(&mut self, key: ApiKeyId) -> Result<Vec<SecretUse>, Error> {
        let rows = sqlx::query_as!(
            SecretUseRow,
            r#"SELECT s.last4, s.created_at, s.retired_at,
                      least(s.expires_at, s.ended_at) AS expires_at, u.used_at AS "used_at?",
                      u.address AS "address?: IpNet", u.user_agent
               FROM public.api_key_secrets s
               LEFT JOIN public.api_key_last_uses u
                   ON u.tenant_id = s.tenant_id AND u.key_id = s.key_id AND u.lookup_digest = s.lookup_digest
               WHERE s.tenant_id = $1 AND s.key_id = $2
               ORDER BY s.created_at DESC, s.retired_at DESC NULLS FIRST
               LIMIT 100"#,
            self.tenant.0,
            key.0,
        )
        .fetch_all(self.transaction.session())
        .await?;
        rows.into_iter().map(SecretUse::try_from).collect()
    }
}
