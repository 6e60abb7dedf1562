//! What `revocations export` writes: the revoked and suspended keys and the ended secrets of a tenant.

use std::collections::HashSet;

use uuid::Uuid;

use super::{Error, ReadTx, secrets::lookup_digest};
use crate::domain::{ApiKeyId, RevocationRecord, Suspension, Timestamp};

impl ReadTx {
    /// The tenant's revocations and ends of secrets since that time, and all suspensions in force, since one may have been
    /// prolonged since then.
    pub async fn revocations_since(
        &mut self,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<RevocationRecord>, Error> {
        let keys = sqlx::query!(
            "SELECT id, revoked_at, suspended_at, suspended_until
             FROM public.api_keys
             WHERE tenant_id = $1
               AND (revoked_at >= $2
                    OR revoked_at IS NULL AND suspended_at IS NOT NULL AND (suspended_until IS NULL OR suspended_until > $3))
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
            if let Some(at) = row.revoked_at {
                return Some(RevocationRecord::KeyRevoked { key, at });
            }
            let suspension = Suspension { since: row.suspended_at?, until: row.suspended_until };
            Some(RevocationRecord::KeySuspended { key, suspension })
        });
        let secrets = secrets.into_iter().map(|row| {
            let (key, lookup_digest) = (ApiKeyId(row.key_id), lookup_digest(row.lookup_digest)?);
            Ok(RevocationRecord::SecretEnded { key, lookup_digest, at: row.at })
        });
        keys.map(Ok).chain(secrets).collect()
    }

    /// Those of these revocations and ends of secrets that the database does not have.
    pub async fn lost(&mut self, records: &[RevocationRecord]) -> Result<Vec<RevocationRecord>, Error> {
        let (mut keys, mut digests) = (Vec::new(), Vec::new());
        for record in records {
            match record {
                RevocationRecord::KeyRevoked { key, .. } => keys.push(key.0),
                RevocationRecord::SecretEnded { lookup_digest, .. } => digests.push(lookup_digest.as_bytes()),
                RevocationRecord::KeySuspended { .. } => {}
            }
        }
        let unrevoked = sqlx::query_scalar!(
            "SELECT id FROM public.api_keys WHERE tenant_id = $1 AND id = ANY ($2) AND revoked_at IS NULL",
            self.tenant.0,
            &keys,
        )
        .fetch_all(self.transaction.session())
        .await?;
        let not_ended = sqlx::query_scalar!(
            "SELECT lookup_digest FROM public.api_key_secrets
             WHERE tenant_id = $1 AND lookup_digest = ANY ($2) AND ended_at IS NULL",
            self.tenant.0,
            &digests as &[&[u8]],
        )
        .fetch_all(self.transaction.session())
        .await?;
        let unrevoked: HashSet<Uuid> = unrevoked.into_iter().collect();
        let not_ended: HashSet<_> = not_ended.into_iter().map(lookup_digest).collect::<Result<_, _>>()?;
        let is_lost = |record: &&RevocationRecord| match record {
            RevocationRecord::KeyRevoked { key, .. } => unrevoked.contains(&key.0),
            RevocationRecord::SecretEnded { lookup_digest, .. } => not_ended.contains(lookup_digest),
            RevocationRecord::KeySuspended { .. } => false,
        };
        Ok(records.iter().filter(is_lost).cloned().collect())
    }
}
