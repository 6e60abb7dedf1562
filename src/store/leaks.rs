//! Secrets that are reported as leaked, and the changes of their keys.
//!
//! A report names no tenant, so its secrets are looked up across tenants. What is then done to keys is done in transactions of
//! each tenant.

use std::collections::HashSet;

use ipnet::IpNet;
use uuid::Uuid;

use super::{
    CHECK_TIMEOUT, Error, Locked, TenantStore, TenantStores, WriteTx, api_keys::ApiKeyRow, retry::retry_within,
    secrets::lookup_digest,
};
use crate::domain::{
    ApiKey, ApiKeyId, KeyHint, LookupDigest, OnLeak, RevocationRecord, TenantId, Timestamp, access::SecretState,
};

/// Secrets that are looked up in one statement.
const FIND_AT_ONCE: usize = 1_000;

/// Finds reported secrets of all tenants, and gives out the stores of their tenants.
#[derive(Clone)]
pub struct LeakStore {
    pub(super) tenant_stores: TenantStores,
}

/// A reported secret that is one of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReportedSecret {
    pub(crate) tenant: TenantId,
    pub(crate) key: ApiKeyId,
    pub(crate) lookup_digest: LookupDigest,
}

impl LeakStore {
    /// The keys of those secrets that are one of a key, in whatever state.
    pub(crate) async fn find(&self, digests: &[LookupDigest]) -> Result<Vec<ReportedSecret>, Error> {
        let TenantStores { pool, statements, .. } = &self.tenant_stores;
        let mut found = Vec::new();
        for part in digests.chunks(FIND_AT_ONCE) {
            let bytes: Vec<_> = part.iter().map(LookupDigest::as_bytes).collect();
            let rows = retry_within!(CHECK_TIMEOUT, pool, *statements, |session| {
                sqlx::query!(
                    r#"SELECT place AS "place!", tenant_id AS "tenant_id!", key_id AS "key_id!"
                       FROM public.find_reported_secrets($1)"#,
                    &bytes as &[&[u8]],
                )
                .fetch_all(session)
            })?;
            for row in rows {
                let place = usize::try_from(row.place).ok().and_then(|place| part.get(place.checked_sub(1)?));
                let lookup_digest = *place.ok_or(Error::BadRow { table: "find_reported_secrets", column: "place" })?;
                found.push(ReportedSecret {
                    tenant: TenantId(row.tenant_id),
                    key: ApiKeyId(row.key_id),
                    lookup_digest,
                });
            }
        }
        Ok(found)
    }

    pub(crate) fn tenant(&self, tenant: TenantId) -> TenantStore {
        self.tenant_stores.tenant(tenant)
    }
}

/// A reported secret as it is while its key is locked.
pub(crate) struct LockedSecret {
    pub(crate) key: ApiKeyId,
    pub(crate) lookup_digest: LookupDigest,
    pub(crate) hint: KeyHint,
    pub(crate) state: SecretState,
}

impl WriteTx {
    /// Locks these keys, in the order of their ids, and reads them as they are under the lock, apart from their last use.
    pub(crate) async fn lock_leaked_keys(&mut self, ids: &[ApiKeyId]) -> Result<Vec<Locked<ApiKey>>, Error> {
        let rows = sqlx::query_as!(
            ApiKeyRow,
            r#"SELECT id, name, scopes, expires_at, created_at, created_by, revoked_at, version, last4, previous_last4,
                      previous_expires_at, description, suspended_at, suspended_until, suspension_reason,
                      allowed_addresses AS "allowed_addresses: Vec<IpNet>", rate_limit_requests,
                      rate_limit_window_seconds, quota_requests, quota_period, is_decoy, NULL::timestamptz AS last_used_at,
                      NULL::timestamptz AS previous_last_used_at, NULL::text AS folded_name, NULL::bigint AS total
               FROM public.api_keys
               WHERE tenant_id = $1 AND id = ANY ($2)
               ORDER BY id
               FOR NO KEY UPDATE"#,
            self.tenant.0,
            &uuids(ids),
        )
        .fetch_all(self.transaction.session())
        .await?;
        rows.into_iter().map(|row| ApiKey::try_from(row).map(Locked)).collect()
    }

    /// These secrets, of keys that are locked.
    pub(crate) async fn reported_secrets(&mut self, digests: &[LookupDigest]) -> Result<Vec<LockedSecret>, Error> {
        let bytes: Vec<_> = digests.iter().map(LookupDigest::as_bytes).collect();
        // A statement after the one that locked the keys, so it sees a rotation for which that one has waited.
        let rows = sqlx::query!(
            r#"SELECT key_id, lookup_digest, last4, expires_at, retired_at IS NOT NULL AS "is_retired!",
                      ended_at IS NOT NULL AS "is_ended!"
               FROM public.api_key_secrets
               WHERE tenant_id = $1 AND lookup_digest = ANY ($2)"#,
            self.tenant.0,
            &bytes as &[&[u8]],
        )
        .fetch_all(self.transaction.session())
        .await?;
        let bad = |column| Error::BadRow { table: "api_key_secrets", column };
        let secrets = rows.into_iter().map(|row| {
            Ok(LockedSecret {
                key: ApiKeyId(row.key_id),
                lookup_digest: lookup_digest(row.lookup_digest)?,
                hint: KeyHint::from_last4(&row.last4).ok_or(bad("last4"))?,
                state: SecretState { expires_at: row.expires_at, is_retired: row.is_retired, is_ended: row.is_ended },
            })
        });
        secrets.collect()
    }

    /// What the tenant's policy says about leaks.
    pub(crate) async fn on_leak(&mut self) -> Result<OnLeak, Error> {
        let name =
            sqlx::query_scalar!("SELECT on_leak FROM public.api_key_policies WHERE tenant_id = $1", self.tenant.0)
                .fetch_one(self.transaction.session())
                .await?;
        OnLeak::from_name(&name).ok_or(Error::BadRow { table: "api_key_policies", column: "on_leak" })
    }

    /// Records that these secrets, of keys that are locked, were reported, and returns those that were not within the last
    /// hour.
    pub(crate) async fn record_leaks(&mut self, digests: &[LookupDigest]) -> Result<HashSet<LookupDigest>, Error> {
        // Before the secrets, as elsewhere.
        self.lock_trail().await?;
        let bytes: Vec<_> = digests.iter().map(LookupDigest::as_bytes).collect();
        // By the database's clock: other instances, with clocks of their own, get reports of these secrets too.
        let first = sqlx::query_scalar!(
            "UPDATE public.api_key_secrets
             SET leak_recorded_at = now()
             WHERE tenant_id = $1 AND lookup_digest = ANY ($2)
               AND (leak_recorded_at IS NULL OR leak_recorded_at <= now() - interval '1 hour')
             RETURNING lookup_digest",
            self.tenant.0,
            &bytes as &[&[u8]],
        )
        .fetch_all(self.transaction.session())
        .await?;
        first.into_iter().map(lookup_digest).collect()
    }

    /// Revokes keys, none of which is revoked.
    pub(crate) async fn revoke_leaked_keys(&mut self, keys: &[&Locked<ApiKey>], now: Timestamp) -> Result<(), Error> {
        let ids = self.invalidate_all(keys);
        self.revocations.extend(keys.iter().map(|key| RevocationRecord::KeyRevoked { key: key.id, at: now }));
        sqlx::query!(
            "UPDATE public.api_keys SET revoked_at = $3, version = version + 1 WHERE tenant_id = $1 AND id = ANY ($2)",
            self.tenant.0,
            &ids,
            now,
        )
        .execute(self.transaction.session())
        .await?;
        Ok(())
    }

    /// Suspends keys without end.
    pub(crate) async fn suspend_leaked_keys(
        &mut self,
        keys: &[&Locked<ApiKey>],
        reason: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let ids = self.invalidate_all(keys);
        self.suspend_all(&ids, reason, now).await
    }

    /// Ends the previous secrets of keys.
    pub(crate) async fn end_leaked_secrets(&mut self, keys: &[&Locked<ApiKey>], now: Timestamp) -> Result<(), Error> {
        let ids = self.invalidate_all(keys);
        let ended = sqlx::query!(
            "WITH ended AS (
                 UPDATE public.api_key_secrets
                 SET ended_at = $3
                 WHERE tenant_id = $1 AND key_id = ANY ($2) AND retired_at IS NOT NULL AND ended_at IS NULL
                 RETURNING key_id, lookup_digest
             ), changed AS (
                 UPDATE public.api_keys
                 SET version = version + 1, previous_digest = NULL, previous_last4 = NULL, previous_expires_at = NULL
                 WHERE tenant_id = $1 AND id = ANY ($2)
             )
             SELECT key_id, lookup_digest FROM ended",
            self.tenant.0,
            &ids,
            now,
        )
        .fetch_all(self.transaction.session())
        .await?;
        for row in ended {
            let (key, digest) = (ApiKeyId(row.key_id), lookup_digest(row.lookup_digest)?);
            self.revocations.push(RevocationRecord::SecretEnded { key, lookup_digest: digest, at: now });
        }
        Ok(())
    }

    fn invalidate_all(&mut self, keys: &[&Locked<ApiKey>]) -> Vec<Uuid> {
        for key in keys {
            self.invalidate(key.id);
        }
        keys.iter().map(|key| key.id.0).collect()
    }
}

fn uuids(ids: &[ApiKeyId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}
