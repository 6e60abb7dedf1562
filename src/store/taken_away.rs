//! What was taken away since a time, to be taken away again after a restore.

use super::{Error, ReadTx};
use crate::domain::{ApiKeyId, LookupDigest, Suspension, Timestamp};

/// A key or a secret that does not work any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are what their types say")]
pub enum TakenAway {
    /// The key is revoked.
    Key { key: ApiKeyId, at: Timestamp },
    /// The key is suspended.
    Suspended { key: ApiKeyId, suspension: Suspension },
    /// A secret of the key has ended: it was replaced, and its overlap is over.
    Secret { key: ApiKeyId, lookup_digest: LookupDigest, at: Timestamp },
}

impl ReadTx {
    /// Of the tenant, what does not work now and did until `since`, or until later.
    pub async fn taken_away(&mut self, since: Timestamp, now: Timestamp) -> Result<Vec<TakenAway>, Error> {
        let keys = sqlx::query!(
            "SELECT id, revoked_at, suspended_at, suspended_until
             FROM public.api_keys
             WHERE tenant_id = $1
               AND (revoked_at >= $2
                    OR revoked_at IS NULL AND suspended_at >= $2 AND (suspended_until IS NULL OR suspended_until > $3))
             ORDER BY id",
            self.tenant.0,
            since,
            now,
        )
        .fetch_all(self.transaction.session())
        .await?;
        let secrets = sqlx::query!(
            r#"SELECT key_id, lookup_digest, least(expires_at, ended_at) AS "at!"
               FROM public.api_key_secrets
               WHERE tenant_id = $1 AND retired_at IS NOT NULL AND least(expires_at, ended_at) BETWEEN $2 AND $3
               ORDER BY key_id, lookup_digest"#,
            self.tenant.0,
            since,
            now,
        )
        .fetch_all(self.transaction.session())
        .await?;
        let keys = keys.into_iter().filter_map(|row| {
            let key = ApiKeyId(row.id);
            Some(match (row.revoked_at, row.suspended_at) {
                (Some(at), _) => TakenAway::Key { key, at },
                (None, since) => {
                    TakenAway::Suspended { key, suspension: Suspension { since: since?, until: row.suspended_until } }
                }
            })
        });
        let secrets = secrets.into_iter().map(|row| {
            let bad = Error::BadRow { table: "api_key_secrets", column: "lookup_digest" };
            let lookup_digest = LookupDigest::from_bytes(row.lookup_digest.try_into().map_err(|_| bad)?);
            Ok(TakenAway::Secret { key: ApiKeyId(row.key_id), lookup_digest, at: row.at })
        });
        keys.map(Ok).chain(secrets).collect()
    }
}
