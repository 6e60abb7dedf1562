//! Secrets of API keys.

use ipnet::IpNet;
use uuid::Uuid;

use super::{
    Error, Locked, ReadTx, WriteTx,
    batcher::{BatchedStatement, Found},
    feed_server::ServerIdentity,
    limits::LimitRow,
    statements::Session,
    transaction::TenantTransaction,
    usage::QuotaTotal,
};
use crate::domain::{
    ApiKey, ApiKeyId, KeyHint, KeyLimits, LookupDigest, ScopeSet, Suspension, TenantId, Timestamp, access::SecretState,
};

/// What is stored of a new secret.
#[derive(Debug)]
pub struct NewSecret {
    /// A lookup finds the row by it.
    pub lookup_digest: LookupDigest,
    /// Argon2id in PHC form.
    pub phc: String,
    /// The HMAC under the pepper, with the pepper's id.
    pub stamp: Option<([u8; 32], String)>,
    /// Shown to users.
    pub hint: KeyHint,
}

impl NewSecret {
    pub(super) fn stamp_columns(&self) -> (Option<&[u8]>, Option<&str>) {
        self.stamp.as_ref().map(|(stamp, id)| (&stamp[..], id.as_str())).unzip()
    }
}

/// The stored secret that a request presents, and its key.
pub(crate) struct SecretRow {
    pub(crate) key_id: ApiKeyId,
    /// The key's.
    pub(crate) scopes: ScopeSet,
    pub(crate) key_expires_at: Option<Timestamp>,
    /// The end of this secret, where it is before the key's.
    pub(crate) secret_expires_at: Option<Timestamp>,
    /// When a newer secret replaced this one.
    pub(crate) secret_retired_at: Option<Timestamp>,
    /// When this secret was ended for good.
    pub(crate) secret_ended_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    /// The key's.
    pub(crate) suspension: Option<Suspension>,
    /// The key's.
    pub(crate) limits: KeyLimits,
    /// What the key used of its quota, when that was last written.
    pub(crate) quota_total: Option<QuotaTotal>,
    /// Argon2id in PHC form.
    pub(crate) phc: String,
    /// The HMAC under the pepper, with the pepper's id.
    pub(crate) stamp: Option<(Vec<u8>, String)>,
    pub(crate) hint: KeyHint,
    /// The key is a decoy.
    pub(crate) is_decoy: bool,
}

/// A row as `find_api_key_secrets` returns it.
struct FoundSecret {
    place: i32,
    key_id: Uuid,
    scopes: String,
    key_expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    phc: String,
    stamp: Option<Vec<u8>>,
    pepper_id: Option<String>,
    secret_expires_at: Option<Timestamp>,
    secret_retired_at: Option<Timestamp>,
    secret_ended_at: Option<Timestamp>,
    last4: String,
    suspended_at: Option<Timestamp>,
    suspended_until: Option<Timestamp>,
    allowed_addresses: Vec<IpNet>,
    rate_limit_requests: Option<i32>,
    rate_limit_window_seconds: Option<i32>,
    quota_requests: Option<i64>,
    quota_period: Option<String>,
    quota_start: Option<Timestamp>,
    quota_used: Option<i64>,
    is_decoy: bool,
    server: Option<String>,
}

impl TryFrom<FoundSecret> for SecretRow {
    type Error = Error;

    fn try_from(row: FoundSecret) -> Result<Self, Error> {
        let bad = |column| Error::BadRow { table: "api_key_secrets", column };
        let limits: KeyLimits = LimitRow {
            allowed_addresses: row.allowed_addresses,
            rate_limit_requests: row.rate_limit_requests,
            rate_limit_window_seconds: row.rate_limit_window_seconds,
            quota_requests: row.quota_requests,
            quota_period: row.quota_period,
        }
        .try_into()?;
        let key = ApiKeyId(row.key_id);
        let quota_total = limits.quota.zip(row.quota_start).zip(row.quota_used);
        let quota_total =
            quota_total.map(|((quota, start), requests)| QuotaTotal { key, period: quota.per(), start, requests });
        Ok(Self {
            key_id: key,
            scopes: ScopeSet::parse(&row.scopes).map_err(|_| bad("scopes"))?,
            key_expires_at: row.key_expires_at,
            secret_expires_at: row.secret_expires_at,
            secret_retired_at: row.secret_retired_at,
            secret_ended_at: row.secret_ended_at,
            revoked_at: row.revoked_at,
            suspension: row.suspended_at.map(|since| Suspension { since, until: row.suspended_until }),
            limits,
            quota_total,
            phc: row.phc,
            stamp: row.stamp.zip(row.pepper_id),
            hint: KeyHint::from_last4(&row.last4).ok_or(bad("last4"))?,
            is_decoy: row.is_decoy,
        })
    }
}

/// Finds secrets by tenant and lookup digest. Sorted by tenant, since the function sets each tenant in turn.
pub(super) struct FindSecrets;

impl BatchedStatement for FindSecrets {
    type Key = (Uuid, LookupDigest);
    type Row = SecretRow;

    async fn find(session: Session<'_>, keys: &[Self::Key]) -> Result<Found<SecretRow>, sqlx::Error> {
        let tenants: Vec<_> = keys.iter().map(|(tenant, _)| *tenant).collect();
        let digests: Vec<_> = keys.iter().map(|(_, digest)| digest.as_bytes()).collect();
        let rows = sqlx::query_as!(
            FoundSecret,
            r#"SELECT place AS "place!", key_id AS "key_id!", scopes AS "scopes!", key_expires_at, revoked_at,
                      phc AS "phc!", stamp, pepper_id, secret_expires_at, secret_retired_at, secret_ended_at,
                      last4 AS "last4!", suspended_at, suspended_until,
                      allowed_addresses AS "allowed_addresses!: Vec<IpNet>", rate_limit_requests,
                      rate_limit_window_seconds, quota_requests, quota_period, quota_start, quota_used,
                      is_decoy AS "is_decoy!", (SELECT public.server_identity()) AS server
               FROM public.find_api_key_secrets($1, $2)"#,
            &tenants,
            &digests as &[&[u8]],
        )
        .fetch_all(session)
        .await?;
        let server = ServerIdentity::parse(rows.first().and_then(|row| row.server.clone()));
        Ok(Found { server, rows: rows.into_iter().map(|row| (row.place, row.try_into())).collect() })
    }
}

pub(super) fn lookup_digest(bytes: Vec<u8>) -> Result<LookupDigest, Error> {
    let bad = |_| Error::BadRow { table: "api_key_secrets", column: "lookup_digest" };
    Ok(LookupDigest::from_bytes(bytes.try_into().map_err(bad)?))
}

impl ReadTx {
    /// The state of a secret of the key. `None`: the key has no such secret.
    pub async fn secret_state(&mut self, key: ApiKeyId, digest: LookupDigest) -> Result<Option<SecretState>, Error> {
        secret_state(&mut self.transaction, self.tenant, key, digest).await
    }
}

impl WriteTx {
    /// When the `nth` newest of the key's secrets was created, counted from 1. `None`: it has fewer.
    pub async fn nth_secret_created_at(
        &mut self,
        key: &Locked<ApiKey>,
        nth: std::num::NonZeroU32,
    ) -> Result<Option<Timestamp>, Error> {
        Ok(sqlx::query_scalar!(
            "SELECT created_at
             FROM public.api_key_secrets
             WHERE tenant_id = $1 AND key_id = $2
             ORDER BY created_at DESC
             OFFSET $3 LIMIT 1",
            self.tenant.0,
            key.id.0,
            i64::from(nth.get() - 1),
        )
        .fetch_optional(self.transaction.session())
        .await?)
    }

    /// As [`ReadTx::secret_state`].
    pub async fn secret_state(
        &mut self,
        key: &Locked<ApiKey>,
        digest: LookupDigest,
    ) -> Result<Option<SecretState>, Error> {
        // A statement after the one that locked the key, so it sees a rotation for which that one has waited.
        secret_state(&mut self.transaction, self.tenant, key.id, digest).await
    }
}

async fn secret_state(
    transaction: &mut TenantTransaction,
    tenant: TenantId,
    key: ApiKeyId,
    digest: LookupDigest,
) -> Result<Option<SecretState>, Error> {
    Ok(sqlx::query_as!(
        SecretState,
        r#"SELECT expires_at, retired_at IS NOT NULL AS "is_retired!", ended_at IS NOT NULL AS "is_ended!"
           FROM public.api_key_secrets
           WHERE tenant_id = $1 AND lookup_digest = $2 AND key_id = $3"#,
        tenant.0,
        digest.as_bytes(),
        key.0,
    )
    .fetch_optional(transaction.session())
    .await?)
}
