//! A presented secret → the key that it belongs to, or why not.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tracing::{error, warn};

use super::{hasher::SecretHasher, pepper::StampCheck};
use crate::{
    auth::{
        cache::{
            AuthCache,
            cached_secret::{CachedSecret, Ended, Evidence},
            epoch_cache::Entry,
            single_flight::{Source, Unvalidated},
        },
        error::Error,
        metrics::VerifierMetrics,
        request::RequestId,
    },
    domain::{Clock, LookupDigest, Secret, Status, Tenant, Timestamp},
    store::{Lookups, SecretRow},
    usage::{Client, Denied, UsageCounter, UsageRecorder},
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

/// What is known of a secret that works, and at which moment it was found to.
pub type Checked = Result<(Arc<Entry<CachedSecret>>, Timestamp), Error>;

/// Checks secrets.
pub struct KeyVerifier {
    verdicts: Arc<AuthCache>,
    examiner: Arc<Examiner>,
    recorder: UsageRecorder,
    metrics: Arc<VerifierMetrics>,
    clock: Clock,
}

impl KeyVerifier {
    /// A verifier over these parts.
    #[must_use]
    pub fn new(
        lookups: Lookups,
        hasher: SecretHasher,
        fallback: KeyFallback,
        verdicts: Arc<AuthCache>,
        recorder: UsageRecorder,
        clock: Clock,
    ) -> Self {
        let metrics = Arc::<VerifierMetrics>::default();
        let examiner = Arc::new(Examiner { lookups, hasher, fallback, metrics: metrics.clone() });
        Self { verdicts, examiner, recorder, metrics, clock }
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &VerifierMetrics {
        &self.metrics
    }

    /// The tenant, and what is remembered of the secret. `None`: nothing is that may be trusted.
    #[must_use]
    pub fn recall(
        &self,
        tenant: Unvalidated<Tenant>,
        secret: &Secret,
        client: Client<'_>,
        request_id: &RequestId,
    ) -> Option<(Tenant, Checked)> {
        let (group, key) = self.verdicts.secret_key(tenant.untrusted().id, secret);
        let read = tenant.and(self.verdicts.secrets.read(&group, key, Arc::clone)?);
        let (tenant, known) = self.verdicts.vouch(read)?;
        self.verdicts.secrets.count_hit();
        Some((tenant, self.conclude(Ok((known, Source::Cache)), client, request_id)))
    }

    /// The same of what the database knows, where nothing is remembered.
    pub async fn verify(&self, tenant: &Tenant, secret: Secret, client: Client<'_>, request_id: &RequestId) -> Checked {
        let (group, key) = self.verdicts.secret_key(tenant.id, &secret);
        let ask = || {
            let (examiner, tenant) = (self.examiner.clone(), *tenant);
            async move { examiner.examine(&tenant, &secret).await }.boxed()
        };
        let looked_up = self.verdicts.secrets.get_or_ask(&group, key, ask).await;
        self.conclude(looked_up, client, request_id)
    }

    /// Whether a key is expired or revoked is told only to who holds its whole secret.
    fn conclude(
        &self,
        looked_up: Result<(Arc<Entry<CachedSecret>>, Source), Error>,
        client: Client<'_>,
        request_id: &RequestId,
    ) -> Checked {
        let grounds = match &looked_up {
            Ok((_, Source::Cache)) => Evidence::Cache,
            Ok((known, Source::Database)) => known.grounds,
            Err(_) => Evidence::None,
        };
        let outcome = looked_up.and_then(|(known, _)| {
            let at = self.judge(&known, client, request_id)?;
            Ok((known, at))
        });
        let result = match &outcome {
            Ok(_) => "accepted",
            Err(Error::InvalidKey) => "invalid",
            Err(Error::KeyExpired) => "expired",
            Err(Error::KeyRevoked) => "revoked",
            Err(_) => "error",
        };
        self.metrics.count(result, grounds);
        outcome
    }

    /// Notes that a request was refused which a key had made, since its scopes do not suffice.
    pub fn denied(&self, known: &Arc<Entry<CachedSecret>>, at: Timestamp) {
        self.recorder.denied(known, at, Denied::Scope);
    }

    /// Holds what is known of a secret against the clock, and notes its use.
    fn judge(
        &self,
        known: &Arc<Entry<CachedSecret>>,
        client: Client<'_>,
        request_id: &RequestId,
    ) -> Result<Timestamp, Error> {
        let now = self.clock.now();
        let reused =
            || self.recorder.dead_secret_used(&known.usage, known.hint, now, client.address, request_id.as_str());
        match known.key_status_at(now) {
            // Rotated away, and its time is over: it is no secret of the key any more.
            Status::Active | Status::Expired if known.secret_ended_at(now) => {
                reused();
                Err(Error::InvalidKey)
            }
            Status::Active => {
                self.recorder.used(known, now, client);
                Ok(now)
            }
            Status::Expired => {
                self.recorder.denied(known, now, Denied::Expired);
                Err(Error::KeyExpired)
            }
            Status::Revoked => {
                reused();
                Err(Error::KeyRevoked)
            }
        }
    }
}

/// Asks the database about a secret, and does not take its word for it.
struct Examiner {
    lookups: Lookups,
    hasher: SecretHasher,
    fallback: KeyFallback,
    metrics: Arc<VerifierMetrics>,
}

impl Examiner {
    async fn examine(&self, tenant: &Tenant, secret: &Secret) -> Result<CachedSecret, Error> {
        let lookup_digest = secret.lookup_digest();
        let row = self.lookups.find_secret(tenant.id, lookup_digest).await?.ok_or(Error::InvalidKey)?;
        let grounds = self.authenticate(tenant, secret, lookup_digest, &row).await?;
        Ok(CachedSecret {
            usage: UsageCounter::new(tenant.id, row.key_id, lookup_digest),
            scopes: row.scopes,
            key_expires_at: row.key_expires_at,
            endings: Ended {
                secret_expires_at: row.secret_expires_at,
                secret_retired_at: row.secret_retired_at,
                revoked_at: row.revoked_at,
            }
            .into(),
            hint: row.hint,
            grounds,
        })
    }

    /// On what grounds the row is believed to be the secret's, if it is: by the stamp, and by argon2
    /// only where there is none to go by. A stamp that mismatches rejects; it never falls through to
    /// argon2, whose hash whoever forged the row may have computed.
    async fn authenticate(
        &self,
        tenant: &Tenant,
        secret: &Secret,
        lookup_digest: LookupDigest,
        row: &SecretRow,
    ) -> Result<Evidence, Error> {
        let stamp = row.stamp.as_ref().map(|(stamp, id)| (&stamp[..], id.as_str()));
        match self.hasher.peppers().check(stamp, tenant.id, row.key_id, secret) {
            StampCheck::Match { current: true } => Ok(Evidence::Stamp),
            StampCheck::Match { current: false } => {
                self.renew_stamp(tenant, secret, lookup_digest, row).boxed().await;
                Ok(Evidence::Stamp)
            }
            StampCheck::Mismatch => {
                self.metrics.stamp_mismatches.inc();
                error!(key_id = %row.key_id, "an API key's row has a stamp that is not its own; the row was forged or copied");
                Err(Error::InvalidKey)
            }
            StampCheck::Unknown if self.fallback == KeyFallback::Deny => Err(Error::InvalidKey),
            StampCheck::Unknown => {
                if !self.hasher.verify_argon2(tenant.id, secret, &row.phc).await? {
                    return Err(Error::InvalidKey);
                }
                self.renew_stamp(tenant, secret, lookup_digest, row).boxed().await;
                Ok(Evidence::Argon2)
            }
        }
    }

    /// Stamps the row under the current pepper, if there is one. The check has succeeded by
    /// then, so a failure is told and nothing more; the next check tries again.
    async fn renew_stamp(&self, tenant: &Tenant, secret: &Secret, lookup_digest: LookupDigest, row: &SecretRow) {
        let Some((stamp, pepper_id)) = self.hasher.peppers().stamp(tenant.id, row.key_id, secret) else { return };
        let previous = row.stamp.as_ref().map(|(stamp, _)| &stamp[..]);
        match self.lookups.renew_stamp(tenant.id, lookup_digest, previous, &stamp, &pepper_id).await {
            // Worth a look when nobody introduced or rotated a pepper: a forged row comes in so.
            Ok(true) => {
                self.metrics.stamps_written.inc();
                warn!(
                    key_id = %row.key_id,
                    pepper_id,
                    previous_pepper_id = row.stamp.as_ref().map(|(_, id)| id.as_str()),
                    "wrote the stamp of an API key that had none under the current pepper"
                );
            }
            Ok(false) => {}
            Err(error) => warn!(key_id = %row.key_id, %error, "could not write an API key's stamp"),
        }
    }
}
