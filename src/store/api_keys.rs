//! API keys: read in a [`ReadTx`], changed in a [`WriteTx`].
//!
//! Each statement that changes a key also locks the end of the tenant's audit trail, after the key's row, and returns it
//! for the event. The two are joined, and not nested: where the lock waits for a row that another transaction then
//! changes, PostgreSQL evaluates the query again, and it cannot evaluate a sub-select that changes rows twice.

use ipnet::IpNet;
use uuid::Uuid;

use super::{
    ChainHead, Error, Locked, NewSecret, ReadTx, WriteTx,
    limits::{LimitColumns, LimitRow},
    secrets::lookup_digest,
};
use crate::domain::{
    ApiKey, ApiKeyId, Description, Grant, KeyHint, KeyName, PreviousSecret, Reason, Revision, RevocationRecord, Scope,
    ScopeSet, Status, Suspension, Timestamp, fold_case,
};

pub(super) struct ApiKeyRow {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) scopes: String,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) created_at: Timestamp,
    pub(super) created_by: Option<String>,
    pub(super) revoked_at: Option<Timestamp>,
    pub(super) version: i64,
    pub(super) last4: String,
    pub(super) last_used_at: Option<Timestamp>,
    pub(super) previous_last4: Option<String>,
    pub(super) previous_expires_at: Option<Timestamp>,
    pub(super) previous_last_used_at: Option<Timestamp>,
    pub(super) description: Option<String>,
    pub(super) suspended_at: Option<Timestamp>,
    pub(super) suspended_until: Option<Timestamp>,
    pub(super) suspension_reason: Option<String>,
    pub(super) allowed_addresses: Vec<IpNet>,
    pub(super) rate_limit_requests: Option<i32>,
    pub(super) rate_limit_window_seconds: Option<i32>,
    pub(super) quota_requests: Option<i64>,
    pub(super) quota_period: Option<String>,
    pub(super) is_decoy: bool,
    /// In lists by name.
    pub(super) folded_name: Option<String>,
    /// Keys of all pages, where they were counted.
    pub(super) total: Option<i64>,
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = Error;

    fn try_from(row: ApiKeyRow) -> Result<Self, Error> {
        let bad = |column| Error::BadRow { table: "api_keys", column };
        Ok(Self {
            id: ApiKeyId(row.id),
            name: KeyName::stored(row.name),
            scopes: ScopeSet::parse(&row.scopes).map_err(|_| bad("scopes"))?,
            hint: KeyHint::from_last4(&row.last4).ok_or(bad("last4"))?,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            previous: match (row.previous_last4, row.previous_expires_at) {
                (Some(last4), Some(expires_at)) => Some(PreviousSecret {
                    hint: KeyHint::from_last4(&last4).ok_or(bad("last4"))?,
                    expires_at,
                    last_used_at: row.previous_last_used_at,
                }),
                _ => None,
            },
            created_at: row.created_at,
            created_by: row.created_by,
            revoked_at: row.revoked_at,
            suspension: row.suspended_at.map(|since| Suspension { since, until: row.suspended_until }),
            suspension_reason: row.suspension_reason.map(Reason::stored),
            description: row.description.map(Description::stored),
            limits: LimitRow {
                allowed_addresses: row.allowed_addresses,
                rate_limit_requests: row.rate_limit_requests,
                rate_limit_window_seconds: row.rate_limit_window_seconds,
                quota_requests: row.quota_requests,
                quota_period: row.quota_period,
            }
            .try_into()?,
            is_decoy: row.is_decoy,
            version: row.version,
        })
    }
}

/// The keys of a list: those that match all of it.
#[derive(Clone, Debug)]
pub struct KeyFilter {
    /// Keys with one of these states.
    pub statuses: Vec<Status>,
    /// Keys whose name or description contains this, in any case, or whose current secret ends in these 4 digits.
    pub search: Option<String>,
    /// Keys that have this scope, also if another one implies it.
    pub scope: Option<Scope>,
    /// Keys of exactly this creator.
    pub created_by: Option<String>,
    /// Keys that expire before that time, or have expired.
    pub expires_before: Option<Timestamp>,
    /// Keys that existed at that time and have not been used since.
    pub unused_since: Option<Timestamp>,
    /// The time at which expiry is evaluated.
    pub now: Timestamp,
}

impl KeyFilter {
    /// Every key.
    #[must_use]
    pub fn all(now: Timestamp) -> Self {
        Self {
            statuses: Status::ALL.to_vec(),
            search: None,
            scope: None,
            created_by: None,
            expires_before: None,
            unused_since: None,
            now,
        }
    }

    /// Evaluates the filter at another time.
    pub fn move_to(&mut self, now: Timestamp) {
        self.unused_since = self.unused_since.map(|since| since + (now - self.now));
        self.now = now;
    }
}

/// The outcome of [`WriteTx::revoke_key`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The key was active or expired, and is revoked now.
    Done(Grant),
    /// The key was revoked before.
    Repeated,
    /// The tenant has no such key.
    NotFound,
}

/// One key of a tenant; `$lock` is the locking clause or empty. A macro, since sqlx checks only literals.
macro_rules! select_key {
    ($tenant:expr, $id:expr, $lock:literal) => {
        sqlx::query_as!(
            ApiKeyRow,
            r#"SELECT k.id, k.name, k.scopes, k.expires_at, k.created_at, k.created_by, k.revoked_at, k.version, k.last4,
                      k.previous_last4, k.previous_expires_at, k.description, k.suspended_at, k.suspended_until,
                      k.suspension_reason, k.allowed_addresses AS "allowed_addresses: Vec<IpNet>", k.rate_limit_requests,
                      k.rate_limit_window_seconds, k.quota_requests, k.quota_period, k.is_decoy,
                      (SELECT max(used_at) FROM public.api_key_last_uses WHERE tenant_id = $1 AND key_id = k.id) AS last_used_at,
                      CASE WHEN k.previous_digest IS NOT NULL THEN
                          (SELECT used_at FROM public.api_key_last_uses
                           WHERE tenant_id = $1 AND key_id = k.id AND lookup_digest = k.previous_digest)
                      END AS previous_last_used_at,
                      NULL::text AS folded_name, NULL::bigint AS total
               FROM public.api_keys k
               WHERE k.tenant_id = $1 AND k.id = $2"# + $lock,
            $tenant.0,
            $id.0,
        )
    };
}

impl ReadTx {
    /// The tenant's key of that id.
    pub async fn key(&mut self, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
        let row = select_key!(self.tenant, id, "").fetch_optional(self.transaction.session()).await?;
        row.map(ApiKey::try_from).transpose()
    }

    /// Whether the tenant has a key of that id, in whatever state.
    pub async fn key_exists(&mut self, id: ApiKeyId) -> Result<bool, Error> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM public.api_keys WHERE tenant_id = $1 AND id = $2) AS "exists!""#,
            self.tenant.0,
            id.0,
        )
        .fetch_one(self.transaction.session())
        .await?)
    }
}

fn folded_description(key: &ApiKey) -> Option<String> {
    key.description.as_ref().map(|text| fold_case(text.as_str()))
}

impl WriteTx {
    /// Locks the tenant's key of that id and reads it as it is under the lock.
    pub async fn lock_key(&mut self, id: ApiKeyId) -> Result<Option<Locked<ApiKey>>, Error> {
        let row =
            select_key!(self.tenant, id, " FOR NO KEY UPDATE OF k").fetch_optional(self.transaction.session()).await?;
        row.map(ApiKey::try_from).transpose().map(|key| key.map(Locked))
    }

    /// Inserts a key and its first secret.
    pub async fn insert_key(&mut self, key: &ApiKey, secret: &NewSecret) -> Result<(), Error> {
        let (stamp, pepper_id) = secret.stamp_columns();
        let limits = LimitColumns::from(&key.limits);
        let head = sqlx::query_as!(
            ChainHead,
            "WITH inserted AS (
                 INSERT INTO public.api_keys
                     (tenant_id, id, name, folded_name, scopes, expires_at, created_at, created_by, version, last4,
                      description, allowed_addresses, rate_limit_requests, rate_limit_window_seconds, quota_requests,
                      quota_period, folded_description, is_decoy)
                 VALUES ($1, $2, $3, $14, $4, $5, $6, $7, $8, $9, $15, $16::inet[]::cidr[], $17, $18, $19, $20, $21, $22)
                 RETURNING id
             ), secret AS (
                 INSERT INTO public.api_key_secrets
                     (tenant_id, key_id, created_at, last4, lookup_digest, phc, stamp, pepper_id)
                 VALUES ($1, $2, $6, $9, $10, $11, $12, $13)
                 RETURNING key_id
             )
             SELECT head.seq, head.hash
             FROM inserted CROSS JOIN secret CROSS JOIN public.api_key_event_heads head
             WHERE head.tenant_id = $1
             FOR NO KEY UPDATE OF head",
            self.tenant.0,
            key.id.0,
            key.name.as_str(),
            key.scopes.to_string(),
            key.expires_at,
            key.created_at,
            key.created_by,
            key.version,
            secret.hint.last4(),
            secret.lookup_digest.as_bytes(),
            secret.phc,
            stamp,
            pepper_id,
            fold_case(key.name.as_str()),
            key.description.as_ref().map(Description::as_str),
            &limits.allowed_addresses as &[IpNet],
            limits.rate_limit_requests,
            limits.rate_limit_window_seconds,
            limits.quota_requests,
            limits.quota_period,
            folded_description(key),
            key.is_decoy,
        )
        .fetch_one(self.transaction.session())
        .await?;
        self.chain_head = Some(head);
        Ok(())
    }

    /// Writes what a patch may change of the key, and increments its version.
    pub async fn update_key(&mut self, key: &Locked<ApiKey>, changed: &mut ApiKey) -> Result<(), Error> {
        self.invalidate(key.id);
        let limits = LimitColumns::from(&changed.limits);
        let row = sqlx::query!(
            "WITH changed AS (
                 UPDATE public.api_keys
                 SET name = $3, folded_name = $6, scopes = $4, expires_at = $5, description = $7,
                     allowed_addresses = $8::inet[]::cidr[], rate_limit_requests = $9, rate_limit_window_seconds = $10,
                     quota_requests = $11, quota_period = $12, folded_description = $13,
                     version = version + 1
                 WHERE tenant_id = $1 AND id = $2
                 RETURNING version
             )
             SELECT changed.version, head.seq, head.hash
             FROM changed CROSS JOIN public.api_key_event_heads head
             WHERE head.tenant_id = $1
             FOR NO KEY UPDATE OF head",
            self.tenant.0,
            key.id.0,
            changed.name.as_str(),
            changed.scopes.to_string(),
            changed.expires_at,
            fold_case(changed.name.as_str()),
            changed.description.as_ref().map(Description::as_str),
            &limits.allowed_addresses as &[IpNet],
            limits.rate_limit_requests,
            limits.rate_limit_window_seconds,
            limits.quota_requests,
            limits.quota_period,
            folded_description(changed),
        )
        .fetch_one(self.transaction.session())
        .await?;
        changed.version = row.version;
        self.chain_head = Some(ChainHead { seq: row.seq, hash: row.hash });
        Ok(())
    }

    /// Revokes a key in the statement that locks it. One that is revoked already is invalidated here all the same: the
    /// caller acknowledges the revocation, and another instance may have made it just before.
    pub async fn revoke_key(&mut self, id: ApiKeyId, now: Timestamp) -> Result<Revocation, Error> {
        let row = sqlx::query!(
            r#"WITH revoked AS (
                 UPDATE public.api_keys
                 SET revoked_at = $3, version = version + 1
                 WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL
                 RETURNING name, scopes, last4, expires_at, allowed_addresses, rate_limit_requests,
                           rate_limit_window_seconds, quota_requests, quota_period
             )
             SELECT revoked.name, revoked.scopes, revoked.last4, revoked.expires_at,
                    revoked.allowed_addresses AS "allowed_addresses: Vec<IpNet>", revoked.rate_limit_requests,
                    revoked.rate_limit_window_seconds, revoked.quota_requests, revoked.quota_period, head.seq, head.hash
             FROM revoked CROSS JOIN public.api_key_event_heads head
             WHERE head.tenant_id = $1
             FOR NO KEY UPDATE OF head"#,
            self.tenant.0,
            id.0,
            now,
        )
        .fetch_optional(self.transaction.session())
        .await?;
        let revocation = match row {
            Some(row) => {
                self.chain_head = Some(ChainHead { seq: row.seq, hash: row.hash });
                self.revocations.push(RevocationRecord::KeyRevoked { key: id, at: now });
                let bad = |column| Error::BadRow { table: "api_keys", column };
                Revocation::Done(Grant {
                    name: KeyName::stored(row.name),
                    scopes: ScopeSet::parse(&row.scopes).map_err(|_| bad("scopes"))?,
                    hint: KeyHint::from_last4(&row.last4).ok_or(bad("last4"))?,
                    expires_at: row.expires_at,
                    limits: LimitRow {
                        allowed_addresses: row.allowed_addresses,
                        rate_limit_requests: row.rate_limit_requests,
                        rate_limit_window_seconds: row.rate_limit_window_seconds,
                        quota_requests: row.quota_requests,
                        quota_period: row.quota_period,
                    }
                    .try_into()?,
                })
            }
            None if self.lock_key(id).await?.is_some() => Revocation::Repeated,
            None => return Ok(Revocation::NotFound),
        };
        self.invalidate(id);
        Ok(revocation)
    }

    /// Writes the suspension of the changed key, or that it was resumed now, and increments its version.
    pub async fn update_suspension(
        &mut self,
        key: &Locked<ApiKey>,
        changed: &mut ApiKey,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.invalidate(key.id);
        let row = sqlx::query!(
            "WITH changed AS (
                 UPDATE public.api_keys
                 SET suspended_at = $3, suspended_until = $4, suspension_reason = $5,
                     resumed_at = CASE WHEN $3::timestamptz IS NULL THEN $6 ELSE resumed_at END, version = version + 1
                 WHERE tenant_id = $1 AND id = $2
                 RETURNING version
             )
             SELECT changed.version, head.seq, head.hash
             FROM changed CROSS JOIN public.api_key_event_heads head
             WHERE head.tenant_id = $1
             FOR NO KEY UPDATE OF head",
            self.tenant.0,
            key.id.0,
            changed.suspension.map(|suspension| suspension.since),
            changed.suspension.and_then(|suspension| suspension.until),
            changed.suspension_reason.as_ref().map(Reason::as_str),
            now,
        )
        .fetch_one(self.transaction.session())
        .await?;
        changed.version = row.version;
        self.chain_head = Some(ChainHead { seq: row.seq, hash: row.hash });
        Ok(())
    }

    /// Invalidates a key that is as wanted already: the caller acknowledges it, and another instance may have changed it just
    /// before.
    pub fn invalidate_unchanged(mut self, key: &Locked<ApiKey>) {
        self.invalidate(key.id);
    }

    /// As [`Self::invalidate_unchanged`]. Returns a revision that contains the key as it is; `None`: the tenant has none.
    pub async fn revision_of_unchanged(mut self, key: &Locked<ApiKey>) -> Result<Option<Revision>, Error> {
        self.invalidate(key.id);
        self.newest_revision().await
    }

    /// Replaces the key's current secret by a new one; the current one then works until `previous_until`, or is ended if
    /// that is `None`. One that was replaced before is ended: no more than two ever work.
    pub async fn rotate_key(
        &mut self,
        key: &Locked<ApiKey>,
        secret: &NewSecret,
        now: Timestamp,
        previous_until: Option<Timestamp>,
    ) -> Result<(), Error> {
        self.invalidate(key.id);
        let (stamp, pepper_id) = secret.stamp_columns();
        let row = sqlx::query!(
            // The new secret is selected from `retired`, so that it is inserted after the current one was retired: a
            // unique index allows one current secret. Its time is not before the current one's, which may be of an
            // instance whose clock is ahead.
            r#"WITH ended AS (
                 UPDATE public.api_key_secrets
                 SET ended_at = $3
                 WHERE tenant_id = $1 AND key_id = $2 AND retired_at IS NOT NULL AND ended_at IS NULL
                 RETURNING lookup_digest
             ), retired AS (
                 UPDATE public.api_key_secrets
                 SET retired_at = greatest($3, created_at), expires_at = coalesce($4, $3),
                     ended_at = CASE WHEN $4 IS NULL THEN $3 END
                 WHERE tenant_id = $1 AND key_id = $2 AND retired_at IS NULL
                 RETURNING lookup_digest, last4, retired_at, ended_at
             ), inserted AS (
                 INSERT INTO public.api_key_secrets
                     (tenant_id, lookup_digest, key_id, phc, stamp, pepper_id, last4, created_at)
                 SELECT $1, $5, $2, $6, $7, $8, $9, retired_at FROM retired
             ), changed AS (
                 UPDATE public.api_keys k
                 SET version = k.version + 1, last4 = $9, previous_expires_at = $4,
                     previous_digest = CASE WHEN $4 IS NOT NULL THEN retired.lookup_digest END,
                     previous_last4 = CASE WHEN $4 IS NOT NULL THEN retired.last4 END
                 FROM retired
                 WHERE k.tenant_id = $1 AND k.id = $2
                 RETURNING k.id
             )
             SELECT head.seq, head.hash, ARRAY(SELECT lookup_digest FROM ended
                                               UNION ALL
                                               SELECT lookup_digest FROM retired WHERE ended_at IS NOT NULL) AS "ended!"
             FROM changed CROSS JOIN public.api_key_event_heads head
             WHERE head.tenant_id = $1
             FOR NO KEY UPDATE OF head"#,
            self.tenant.0,
            key.id.0,
            now,
            previous_until,
            secret.lookup_digest.as_bytes(),
            secret.phc,
            stamp,
            pepper_id,
            secret.hint.last4(),
        )
        .fetch_one(self.transaction.session())
        .await?;
        self.chain_head = Some(ChainHead { seq: row.seq, hash: row.hash });
        self.add_ended_secrets(key.id, row.ended, now)
    }

    /// Ends the key's previous secret for good, if there is one, and returns it: also one whose time has passed by this
    /// instance's clock, since by another's it may not have. Invalidates as [`Self::revoke_key`] does.
    pub async fn end_previous_secret(
        &mut self,
        key: &Locked<ApiKey>,
        now: Timestamp,
    ) -> Result<Option<PreviousSecret>, Error> {
        self.invalidate(key.id);
        // Also of an expired key, which may be extended; a revoked one does not change.
        let Some(previous) = key.previous.filter(|_| key.revoked_at.is_none()) else { return Ok(None) };
        let row = sqlx::query!(
            r#"WITH ended AS (
                 UPDATE public.api_key_secrets
                 SET ended_at = $3
                 WHERE tenant_id = $1 AND key_id = $2 AND retired_at IS NOT NULL AND ended_at IS NULL
                 RETURNING lookup_digest
             ), changed AS (
                 UPDATE public.api_keys
                 SET version = version + 1, previous_digest = NULL, previous_last4 = NULL, previous_expires_at = NULL
                 WHERE tenant_id = $1 AND id = $2
                 RETURNING id
             )
             SELECT head.seq, head.hash, ARRAY(SELECT lookup_digest FROM ended) AS "ended!"
             FROM changed CROSS JOIN public.api_key_event_heads head
             WHERE head.tenant_id = $1
             FOR NO KEY UPDATE OF head"#,
            self.tenant.0,
            key.id.0,
            now,
        )
        .fetch_one(self.transaction.session())
        .await?;
        self.chain_head = Some(ChainHead { seq: row.seq, hash: row.hash });
        self.add_ended_secrets(key.id, row.ended, now)?;
        Ok(Some(previous))
    }

    fn add_ended_secrets(&mut self, key: ApiKeyId, digests: Vec<Vec<u8>>, at: Timestamp) -> Result<(), Error> {
        for bytes in digests {
            let lookup_digest = lookup_digest(bytes)?;
            self.revocations.push(RevocationRecord::SecretEnded { key, lookup_digest, at });
        }
        Ok(())
    }
}
