//! Idle keys of all tenants, for the job that suspends them.
//!
//! The job goes through a tenant's keys page by page, by the primary key. Each page, with the changes of its keys, is one
//! short transaction, in which an advisory lock keeps other instances away.

use uuid::Uuid;

use super::{CHECK_TIMEOUT, Error, Locked, TenantStore, TenantStores, WriteTx, retry::retry_within};
use crate::domain::{ApiKeyId, IdleFacts, IdleRule, KeyHint, KeyName, Reason, Suspension, TenantId, Timestamp};

/// Any number that is always the same, and different from those of the migrations.
const JOB_LOCK: i64 = 0x7261_6c6c_7969_646c;

/// Gives out the stores of tenants that have the rule.
#[derive(Clone)]
pub struct IdleKeyStore {
    pub(super) tenant_stores: TenantStores,
}

impl IdleKeyStore {
    /// The tenants that have the rule, apart from suspended ones.
    pub async fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        let TenantStores { pool, statements, .. } = &self.tenant_stores;
        let ids = retry_within!(CHECK_TIMEOUT, pool, *statements, |session| {
            sqlx::query_scalar!(r#"SELECT public.tenants_with_idle_rule() AS "id!""#).fetch_all(session)
        })?;
        Ok(ids.into_iter().map(TenantId).collect())
    }

    pub(crate) fn tenant(&self, tenant: TenantId) -> TenantStore {
        self.tenant_stores.tenant(tenant)
    }
}

/// A key, idle or not.
pub struct IdleKey {
    pub id: ApiKeyId,
    pub name: KeyName,
    pub hint: KeyHint,
    pub facts: IdleFacts,
}

struct IdleKeyRow {
    id: Uuid,
    name: String,
    last4: String,
    created_at: Timestamp,
    used_at: Option<Timestamp>,
    resumed_at: Option<Timestamp>,
    suspended_at: Option<Timestamp>,
    suspended_until: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    idle_notice_at: Option<Timestamp>,
}

impl TryFrom<IdleKeyRow> for IdleKey {
    type Error = Error;

    fn try_from(row: IdleKeyRow) -> Result<Self, Error> {
        Ok(Self {
            id: ApiKeyId(row.id),
            name: KeyName::stored(row.name),
            hint: KeyHint::from_last4(&row.last4).ok_or(Error::BadRow { table: "api_keys", column: "last4" })?,
            facts: IdleFacts {
                created_at: row.created_at,
                last_used_at: row.used_at,
                resumed_at: row.resumed_at,
                suspension: row.suspended_at.map(|since| Suspension { since, until: row.suspended_until }),
                expires_at: row.expires_at,
                revoked_at: row.revoked_at,
                notice_at: row.idle_notice_at,
            },
        })
    }
}

/// Keys of a tenant; `$rest` goes on after the tenant's condition. A macro, since sqlx checks only literals.
///
/// OFFSET keeps PostgreSQL from looking for the latest use along the index of all uses of the tenant.
macro_rules! select_idle_keys {
    ($rest:literal, $tenant:expr, $($argument:expr),+) => {
        sqlx::query_as!(
            IdleKeyRow,
            "SELECT k.id, k.name, k.last4, k.created_at, k.resumed_at, k.suspended_at, k.suspended_until, k.expires_at,
                    k.revoked_at, k.idle_notice_at,
                    CASE WHEN k.revoked_at IS NULL THEN
                        (SELECT max(u.used_at)
                         FROM (SELECT used_at FROM public.api_key_last_uses
                               WHERE tenant_id = $1 AND key_id = k.id OFFSET 0) u)
                    END AS used_at
             FROM public.api_keys k
             WHERE k.tenant_id = $1 AND NOT k.is_decoy " + $rest,
            $tenant.0,
            $($argument),+
        )
    };
}

/// The rule of a tenant; `$lock` is the locking clause or empty.
macro_rules! select_rule {
    ($tenant:expr, $lock:literal) => {
        sqlx::query!(
            r#"SELECT idle_suspend_days AS "days!", idle_suspend_set_at AS "set_at!"
               FROM public.api_key_policies
               WHERE tenant_id = $1 AND idle_suspend_days IS NOT NULL"#
                + $lock,
            $tenant.0,
        )
    };
}

impl WriteTx {
    /// False: another instance is at work on idle keys, of whichever tenant.
    pub async fn try_lock_idle_key_job(&mut self) -> Result<bool, Error> {
        Ok(sqlx::query_scalar!(r#"SELECT pg_try_advisory_xact_lock($1) AS "is_locked!""#, JOB_LOCK)
            .fetch_one(self.transaction.session())
            .await?)
    }

    /// `None`: the tenant has no such rule, or does not exist.
    pub async fn idle_rule(&mut self) -> Result<Option<IdleRule>, Error> {
        let row = select_rule!(self.tenant, "").fetch_optional(self.transaction.session()).await?;
        Ok(row.map(|row| IdleRule { days: row.days, set_at: row.set_at }))
    }

    /// As [`Self::idle_rule`]. It does not change until this transaction ends. To be called after keys were locked, and before
    /// the first change.
    pub async fn lock_idle_rule(&mut self) -> Result<Option<IdleRule>, Error> {
        let row = select_rule!(self.tenant, " FOR SHARE").fetch_optional(self.transaction.session()).await?;
        Ok(row.map(|row| IdleRule { days: row.days, set_at: row.set_at }))
    }

    /// The next keys in the order of their ids, in whatever state.
    pub async fn keys_after(&mut self, after: Option<ApiKeyId>, at_most: usize) -> Result<Vec<IdleKey>, Error> {
        let after = after.map_or(Uuid::nil(), |key| key.0);
        let at_most = i64::try_from(at_most).unwrap_or(i64::MAX);
        let rows = select_idle_keys!("AND k.id > $2 ORDER BY k.id LIMIT $3", self.tenant, after, at_most)
            .fetch_all(self.transaction.session())
            .await?;
        rows.into_iter().map(IdleKey::try_from).collect()
    }

    /// Locks these keys and reads them as they are under the lock. Those that another transaction has locked are left out.
    pub async fn lock_idle_keys(&mut self, ids: &[ApiKeyId]) -> Result<Vec<Locked<IdleKey>>, Error> {
        let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
        let rows = select_idle_keys!("AND k.id = ANY ($2) FOR NO KEY UPDATE OF k SKIP LOCKED", self.tenant, &ids)
            .fetch_all(self.transaction.session())
            .await?;
        rows.into_iter().map(|row| row.try_into().map(Locked)).collect()
    }

    /// Records when the keys got their notice. What a client sees of them does not change.
    pub async fn record_idle_notices(&mut self, keys: &[&Locked<IdleKey>], now: Timestamp) -> Result<(), Error> {
        let ids: Vec<_> = keys.iter().map(|key| key.id.0).collect();
        sqlx::query!(
            "UPDATE public.api_keys SET idle_notice_at = $3 WHERE tenant_id = $1 AND id = ANY ($2)",
            self.tenant.0,
            &ids,
            now,
        )
        .execute(self.transaction.session())
        .await?;
        Ok(())
    }

    /// Suspends the keys without end, and increments their versions.
    pub async fn suspend_idle_keys(
        &mut self,
        keys: &[&Locked<IdleKey>],
        reason: &Reason,
        now: Timestamp,
    ) -> Result<(), Error> {
        for key in keys {
            self.invalidate(key.id);
        }
        let ids: Vec<_> = keys.iter().map(|key| key.id.0).collect();
        self.suspend_all(&ids, reason.as_str(), now).await
    }

    /// Suspends keys that are locked and invalidated without end, and increments their versions.
    pub(super) async fn suspend_all(&mut self, ids: &[Uuid], reason: &str, now: Timestamp) -> Result<(), Error> {
        sqlx::query!(
            "UPDATE public.api_keys
             SET suspended_at = $3, suspended_until = NULL, suspension_reason = $4, version = version + 1
             WHERE tenant_id = $1 AND id = ANY ($2)",
            self.tenant.0,
            ids,
            now,
            reason,
        )
        .execute(self.transaction.session())
        .await?;
        Ok(())
    }
}
