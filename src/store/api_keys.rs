//! API keys and their secrets, in and out of the tenant-scoped transaction.

use uuid::Uuid;

use super::{Error, Page, TenantTransaction};
use crate::domain::{ApiKey, ApiKeyId, KeyHint, KeyName, LookupDigest, PreviousSecret, ScopeSet, Status, Timestamp};

/// A key as its row tells it, with what its secrets tell.
struct ApiKeyRow {
    id: Uuid,
    name: String,
    scopes: String,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
    created_by: Option<String>,
    revoked_at: Option<Timestamp>,
    version: i64,
    last4: String,
    last_used_at: Option<Timestamp>,
    previous_last4: Option<String>,
    previous_expires_at: Option<Timestamp>,
    previous_last_used_at: Option<Timestamp>,
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = Error;

    fn try_from(row: ApiKeyRow) -> Result<Self, Error> {
        let bad = |column| Error::BadRow { table: "api_keys", column };
        Ok(Self {
            id: ApiKeyId(row.id),
            name: KeyName::parse(&row.name).map_err(|_| bad("name"))?,
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
            version: row.version,
        })
    }
}

/// What a new secret leaves in the database.
#[derive(Debug)]
pub struct NewSecret {
    /// How a check finds it.
    pub lookup_digest: LookupDigest,
    /// Argon2id in PHC form.
    pub phc: String,
    /// The HMAC under the pepper, with the pepper's id.
    pub stamp: Option<([u8; 32], String)>,
    /// What may be shown.
    pub hint: KeyHint,
}

impl NewSecret {
    fn stamp_columns(&self) -> (Option<&[u8]>, Option<&str>) {
        self.stamp.as_ref().map(|(stamp, id)| (&stamp[..], id.as_str())).unzip()
    }
}

/// Which keys a list shows.
#[derive(Clone, Debug)]
pub struct KeyFilter {
    /// Keys in one of these states.
    pub statuses: Vec<Status>,
    /// Keys whose name contains this, whatever the case: of ASCII letters always, of others as the
    /// database's locale has it.
    pub search: Option<String>,
    /// Keys that were there at that moment, and that nobody has used since.
    pub unused_since: Option<Timestamp>,
    /// The moment at which keys count as expired.
    pub now: Timestamp,
}

impl KeyFilter {
    /// The same filter at that moment.
    pub fn move_to(&mut self, now: Timestamp) {
        self.unused_since = self.unused_since.map(|since| since + (now - self.now));
        self.now = now;
    }

    /// `None`: all of them. PostgreSQL cannot estimate what the condition selects, and without it need not.
    fn status_names(&self) -> Option<Vec<String>> {
        let is_partial = self.statuses.len() < Status::ALL.len();
        is_partial.then(|| self.statuses.iter().map(|status| status.as_str().to_owned()).collect())
    }

    /// The search as a LIKE pattern in which nothing of it is a wildcard.
    fn pattern(&self) -> Option<String> {
        let search = self.search.as_deref()?;
        let mut pattern = String::from("%");
        for c in search.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        Some(pattern)
    }
}

impl TenantTransaction {
    /// Writes a new key and its first secret.
    pub async fn insert_key(&mut self, key: &ApiKey, secret: &NewSecret) -> Result<(), Error> {
        sqlx::query!(
            "INSERT INTO api_keys (tenant_id, id, name, scopes, expires_at, created_at, created_by, version, last4)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            self.tenant.0,
            key.id.0,
            key.name.as_str(),
            key.scopes.to_string(),
            key.expires_at,
            key.created_at,
            key.created_by,
            key.version,
            secret.hint.last4(),
        )
        .execute(&mut *self.transaction)
        .await?;
        let (stamp, pepper_id) = secret.stamp_columns();
        sqlx::query!(
            "INSERT INTO api_key_secrets
                 (tenant_id, lookup_digest, key_id, phc, stamp, pepper_id, last4, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            self.tenant.0,
            secret.lookup_digest.as_bytes(),
            key.id.0,
            secret.phc,
            stamp,
            pepper_id,
            secret.hint.last4(),
            key.created_at,
        )
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }

    /// Replaces a locked key's current secret by a new one; the current one then works until `previous_until`. One that
    /// was replaced before ends now: no more than two ever work.
    pub async fn rotate_key(
        &mut self,
        key: ApiKeyId,
        secret: &NewSecret,
        now: Timestamp,
        previous_until: Timestamp,
    ) -> Result<(), Error> {
        let (stamp, pepper_id) = secret.stamp_columns();
        sqlx::query!(
            // The new secret is selected from `retired`, so that it is inserted after the current one was retired: a
            // unique index allows one current secret.
            "WITH ended AS (
                 UPDATE api_key_secrets
                 SET expires_at = $3
                 WHERE tenant_id = $1 AND key_id = $2 AND retired_at IS NOT NULL AND expires_at > $3
             ), retired AS (
                 UPDATE api_key_secrets
                 SET retired_at = $3, expires_at = $4
                 WHERE tenant_id = $1 AND key_id = $2 AND retired_at IS NULL
                 RETURNING lookup_digest, last4
             ), inserted AS (
                 INSERT INTO api_key_secrets
                     (tenant_id, lookup_digest, key_id, phc, stamp, pepper_id, last4, created_at)
                 SELECT $1, $5, $2, $6, $7, $8, $9, $3 FROM retired
             )
             UPDATE api_keys k
             SET version = k.version + 1, last4 = $9, previous_digest = retired.lookup_digest,
                 previous_last4 = retired.last4, previous_expires_at = $4
             FROM retired
             WHERE k.tenant_id = $1 AND k.id = $2",
            self.tenant.0,
            key.0,
            now,
            previous_until,
            secret.lookup_digest.as_bytes(),
            secret.phc,
            stamp,
            pepper_id,
            secret.hint.last4(),
        )
        .execute(&mut *self.transaction)
        .await?;
        self.changed.push(key);
        Ok(())
    }

    /// Ends a locked key's previous secret now. Returns whether it worked until then.
    pub async fn end_previous_secret(&mut self, key: ApiKeyId, now: Timestamp) -> Result<bool, Error> {
        let ended = sqlx::query_scalar!(
            // The row of a revoked key does not change.
            r#"WITH ended AS (
                   UPDATE api_key_secrets
                   SET expires_at = $3
                   WHERE tenant_id = $1 AND key_id = $2 AND retired_at IS NOT NULL AND expires_at > $3
                   RETURNING lookup_digest
               ), shown AS (
                   UPDATE api_keys
                   SET previous_expires_at = $3
                   WHERE tenant_id = $1 AND id = $2 AND previous_expires_at > $3 AND revoked_at IS NULL
               )
               SELECT count(*) AS "count!" FROM ended"#,
            self.tenant.0,
            key.0,
            now,
        )
        .fetch_one(&mut *self.transaction)
        .await?;
        self.changed.push(key);
        Ok(ended > 0)
    }

    /// The tenant's keys, newest first. Last uses are sub-selects and not joined, so that each is one look-up also where
    /// PostgreSQL's statistics are missing or old.
    pub async fn keys(&mut self, filter: &KeyFilter, page: Page) -> Result<Vec<ApiKey>, Error> {
        sqlx::query_as!(
            ApiKeyRow,
            r#"SELECT k.id, k.name, k.scopes, k.expires_at, k.created_at, k.created_by, k.revoked_at, k.version, k.last4,
                      k.previous_last4, k.previous_expires_at,
                      (SELECT max(used_at) FROM api_key_last_uses WHERE tenant_id = $1 AND key_id = k.id) AS last_used_at,
                      CASE WHEN k.previous_digest IS NOT NULL THEN
                          (SELECT used_at FROM api_key_last_uses
                           WHERE tenant_id = $1 AND key_id = k.id AND lookup_digest = k.previous_digest)
                      END AS previous_last_used_at
               FROM api_keys k
               WHERE k.tenant_id = $1
                 AND ($2::text IS NULL OR k.name ILIKE $2)
                 AND ($4::text[] IS NULL OR
                      CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
                           WHEN k.expires_at <= $3 THEN 'expired'
                           ELSE 'active' END = ANY ($4))
                 AND ($5::timestamptz IS NULL OR (k.created_at, k.id) < ($5, $6))
                 AND ($8::timestamptz IS NULL OR (k.created_at <= $8 AND coalesce(
                     (SELECT max(used_at) FROM api_key_last_uses WHERE tenant_id = $1 AND key_id = k.id) <= $8,
                     true)))
               ORDER BY k.created_at DESC, k.id DESC
               LIMIT $7"#,
            self.tenant.0,
            filter.pattern(),
            filter.now,
            filter.status_names() as Option<Vec<String>>,
            page.after.map(|after| after.at),
            page.after.map(|after| after.id),
            page.limit,
            filter.unused_since,
        )
        .fetch_all(&mut *self.transaction)
        .await?
        .into_iter()
        .map(ApiKey::try_from)
        .collect()
    }

    /// How many keys the filter shows, over all pages.
    pub async fn count_keys(&mut self, filter: &KeyFilter) -> Result<i64, Error> {
        Ok(sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!"
               FROM api_keys k
               WHERE k.tenant_id = $1
                 AND ($2::text IS NULL OR k.name ILIKE $2)
                 AND ($4::text[] IS NULL OR
                      CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
                           WHEN k.expires_at <= $3 THEN 'expired'
                           ELSE 'active' END = ANY ($4))
                 AND ($5::timestamptz IS NULL OR (k.created_at <= $5 AND coalesce(
                     (SELECT max(used_at) FROM api_key_last_uses WHERE tenant_id = $1 AND key_id = k.id) <= $5,
                     true)))"#,
            self.tenant.0,
            filter.pattern(),
            filter.now,
            filter.status_names() as Option<Vec<String>>,
            filter.unused_since,
        )
        .fetch_one(&mut *self.transaction)
        .await?)
    }

    /// The tenant's key of that id.
    pub async fn key(&mut self, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
        sqlx::query_as!(
            ApiKeyRow,
            r#"SELECT k.id, k.name, k.scopes, k.expires_at, k.created_at, k.created_by, k.revoked_at, k.version, k.last4,
                      k.previous_last4, k.previous_expires_at,
                      (SELECT max(used_at) FROM api_key_last_uses WHERE tenant_id = $1 AND key_id = k.id) AS last_used_at,
                      CASE WHEN k.previous_digest IS NOT NULL THEN
                          (SELECT used_at FROM api_key_last_uses
                           WHERE tenant_id = $1 AND key_id = k.id AND lookup_digest = k.previous_digest)
                      END AS previous_last_used_at
               FROM api_keys k
               WHERE k.tenant_id = $1 AND k.id = $2"#,
            self.tenant.0,
            id.0,
        )
        .fetch_optional(&mut *self.transaction)
        .await?
        .map(ApiKey::try_from)
        .transpose()
    }

    /// The same, and nobody else changes it until this transaction ends.
    pub async fn key_for_update(&mut self, id: ApiKeyId) -> Result<Option<ApiKey>, Error> {
        sqlx::query_as!(
            ApiKeyRow,
            r#"SELECT k.id, k.name, k.scopes, k.expires_at, k.created_at, k.created_by, k.revoked_at, k.version, k.last4,
                      k.previous_last4, k.previous_expires_at,
                      (SELECT max(used_at) FROM api_key_last_uses WHERE tenant_id = $1 AND key_id = k.id) AS last_used_at,
                      CASE WHEN k.previous_digest IS NOT NULL THEN
                          (SELECT used_at FROM api_key_last_uses
                           WHERE tenant_id = $1 AND key_id = k.id AND lookup_digest = k.previous_digest)
                      END AS previous_last_used_at
               FROM api_keys k
               WHERE k.tenant_id = $1 AND k.id = $2
               FOR NO KEY UPDATE OF k"#,
            self.tenant.0,
            id.0,
        )
        .fetch_optional(&mut *self.transaction)
        .await?
        .map(ApiKey::try_from)
        .transpose()
    }

    /// Writes what a patch may change of a locked key, and counts its version up.
    pub async fn update_key(&mut self, key: &mut ApiKey) -> Result<(), Error> {
        key.version = sqlx::query_scalar!(
            "UPDATE api_keys
             SET name = $3, scopes = $4, expires_at = $5, version = version + 1
             WHERE tenant_id = $1 AND id = $2
             RETURNING version",
            self.tenant.0,
            key.id.0,
            key.name.as_str(),
            key.scopes.to_string(),
            key.expires_at,
        )
        .fetch_one(&mut *self.transaction)
        .await?;
        self.changed.push(key.id);
        Ok(())
    }

    /// Takes the key away. Tells whether this call did it; it did not where the key is revoked
    /// already or is not this tenant's.
    pub async fn revoke_key(&mut self, id: ApiKeyId, now: Timestamp) -> Result<bool, Error> {
        let done = sqlx::query!(
            "UPDATE api_keys
             SET revoked_at = $3, version = version + 1
             WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL",
            self.tenant.0,
            id.0,
            now,
        )
        .execute(&mut *self.transaction)
        .await?;
        self.changed.push(id);
        Ok(done.rows_affected() == 1)
    }

    /// Whether a locked key's secret still works, as far as it is the secret that decides.
    pub async fn secret_works(&mut self, key: ApiKeyId, digest: LookupDigest, now: Timestamp) -> Result<bool, Error> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (
                   SELECT FROM api_key_secrets
                   WHERE tenant_id = $1 AND lookup_digest = $2 AND key_id = $3
                     AND (expires_at IS NULL OR expires_at > $4)) AS "works!""#,
            self.tenant.0,
            digest.as_bytes(),
            key.0,
            now,
        )
        .fetch_one(&mut *self.transaction)
        .await?)
    }

    /// Whether the tenant has a key of that id, in whatever state.
    pub async fn key_exists(&mut self, id: ApiKeyId) -> Result<bool, Error> {
        Ok(sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM api_keys WHERE tenant_id = $1 AND id = $2) AS "exists!""#,
            self.tenant.0,
            id.0,
        )
        .fetch_one(&mut *self.transaction)
        .await?)
    }

    /// Gives a secret's row a stamp under the current pepper, where it still has the one (or
    /// none) that it was checked with.
    pub async fn renew_stamp(
        &mut self,
        digest: LookupDigest,
        previous: Option<&[u8]>,
        stamp: &[u8; 32],
        pepper_id: &str,
    ) -> Result<bool, Error> {
        let done = sqlx::query!(
            "UPDATE api_key_secrets
             SET stamp = $3, pepper_id = $4
             WHERE tenant_id = $1 AND lookup_digest = $2 AND stamp IS NOT DISTINCT FROM $5",
            self.tenant.0,
            digest.as_bytes(),
            &stamp[..],
            pepper_id,
            previous,
        )
        .execute(&mut *self.transaction)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
