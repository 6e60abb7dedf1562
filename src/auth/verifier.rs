//! A presented secret → the key that it belongs to, or why not.

use tracing::{error, warn};

use super::{Error, SecretHasher, pepper::StampCheck};
use crate::{
    domain::{Clock, Principal, Secret, Status, Tenant},
    store::{SecretRow, Store},
};

/// What happens to a secret whose row has no stamp under a known pepper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFallback {
    /// It is checked by argon2, and the stamp is written.
    #[default]
    Argon2,
    /// It is refused.
    Deny,
}

/// Checks secrets.
pub struct KeyVerifier {
    store: Store,
    hasher: SecretHasher,
    fallback: KeyFallback,
    clock: Clock,
}

impl KeyVerifier {
    /// A verifier over these parts.
    #[must_use]
    pub fn new(store: Store, hasher: SecretHasher, fallback: KeyFallback, clock: Clock) -> Self {
        Self { store, hasher, fallback, clock }
    }

    /// The key that the secret belongs to, if it works now. Whether a key is expired or revoked
    /// is told only to who holds its whole secret.
    pub async fn verify(&self, tenant: &Tenant, secret: &Secret) -> Result<Principal, Error> {
        let row = self.store.find_secret(tenant.id, secret.lookup_digest()).await?.ok_or(Error::InvalidKey)?;
        self.authenticate(tenant, secret, &row).await?;
        let expires_at = [row.key_expires_at, row.secret_expires_at].into_iter().flatten().min();
        match Status::at(self.clock.now(), expires_at, row.revoked_at) {
            Status::Active => Ok(Principal::ApiKey {
                id: row.key_id,
                scopes: row.scopes,
                expires_at: row.key_expires_at,
                hint: row.hint,
            }),
            Status::Expired => Err(Error::KeyExpired),
            Status::Revoked => Err(Error::KeyRevoked),
        }
    }

    /// Whether the row really is the secret's: by the stamp, and by argon2 only where there is
    /// none to go by. A stamp that mismatches rejects; it never falls through to argon2, whose
    /// hash whoever forged the row may have computed.
    async fn authenticate(&self, tenant: &Tenant, secret: &Secret, row: &SecretRow) -> Result<(), Error> {
        let stamp = row.stamp.as_ref().map(|(stamp, id)| (&stamp[..], id.as_str()));
        match self.hasher.peppers().check(stamp, tenant.id, row.key_id, secret) {
            StampCheck::Match { current: true } => Ok(()),
            StampCheck::Match { current: false } => {
                self.renew_stamp(tenant, secret, row).await;
                Ok(())
            }
            StampCheck::Mismatch => {
                error!(key_id = %row.key_id, "an API key's row has a stamp that is not its own; the row was forged or copied");
                Err(Error::InvalidKey)
            }
            StampCheck::Unknown if self.fallback == KeyFallback::Deny => Err(Error::InvalidKey),
            StampCheck::Unknown => {
                if !self.hasher.verify_argon2(tenant.id, secret, &row.phc).await? {
                    return Err(Error::InvalidKey);
                }
                self.renew_stamp(tenant, secret, row).await;
                Ok(())
            }
        }
    }

    /// Stamps the row under the current pepper, if there is one. The check has succeeded by
    /// then, so a failure is told and nothing more; the next check tries again.
    async fn renew_stamp(&self, tenant: &Tenant, secret: &Secret, row: &SecretRow) {
        let Some((stamp, pepper_id)) = self.hasher.peppers().stamp(tenant.id, row.key_id, secret) else {
            return;
        };
        let previous = row.stamp.as_ref().map(|(stamp, _)| &stamp[..]);
        let outcome = async {
            let mut transaction = self.store.tenant(tenant).begin().await?;
            let written = transaction.renew_stamp(secret.lookup_digest(), previous, &stamp, &pepper_id).await?;
            transaction.commit().await?;
            Ok::<_, crate::store::Error>(written)
        };
        match outcome.await {
            // Worth a look when nobody introduced or rotated a pepper: a forged row comes in so.
            Ok(true) => warn!(
                key_id = %row.key_id,
                pepper_id,
                previous_pepper_id = row.stamp.as_ref().map(|(_, id)| id.as_str()),
                "wrote the stamp of an API key that had none under the current pepper"
            ),
            Ok(false) => {}
            Err(error) => warn!(key_id = %row.key_id, %error, "could not write an API key's stamp"),
        }
    }
}
