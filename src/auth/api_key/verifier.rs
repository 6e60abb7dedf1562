//! Verification of presented secrets, and the decision about the keys that they belong to.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tracing::{error, warn};

use super::{hasher::SecretHasher, pepper::StampCheck, verification_metrics::VerificationMetrics};
use crate::{
    auth::{
        cache::{
            AuthCache,
            cached_secret::{CachedSecret, Evidence, RareTimes},
            epoch_cache::Entry,
            key::{CacheKey, Miss},
            single_flight::Unvalidated,
        },
        error::{DecoyKey, Error},
        request::RequestId,
    },
    domain::{
        Budget, Clock, KeyHint, KeyLimits, LookupDigest, Principal, RateDecision, RateLimit, RemainingLimits, Secret,
        Tenant, Timestamp,
        access::{DenialReason, Facts, RequiredAccess, decide, decide_rate},
    },
    limits::RateLimiter,
    store::{Lookups, SecretAlert, SecretAlertKind, SecretRow},
    usage::{Client, Denied, UsageCounter, UsageRecorder},
};

/// What happens to a secret whose row has no stamp under a known pepper.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyFallback {
    /// It is verified by argon2. Where it has no stamp at all, one is written.
    #[default]
    Argon2,
    /// It is refused.
    Deny,
}

/// A secret that was verified, now or when it was cached.
pub(in crate::auth) struct Verified {
    secret: Arc<Entry<CachedSecret>>,
    evidence: Evidence,
}

impl Verified {
    #[inline]
    pub(in crate::auth) fn principal(&self) -> Principal {
        self.secret.principal()
    }
}

/// What is decided about the key, and what is recorded of its use.
pub(in crate::auth) struct KeyRequest<'a> {
    pub(in crate::auth) required: RequiredAccess,
    pub(in crate::auth) client: Client<'a>,
    pub(in crate::auth) request_id: &'a RequestId,
}

/// The decision about a key's request.
pub(in crate::auth) struct Decision {
    pub(in crate::auth) outcome: Result<(), DenialReason>,
    pub(in crate::auth) remaining_limits: RemainingLimits,
}

/// The outcome of [`KeyVerifier::authorize`].
pub(in crate::auth) enum Authorization {
    Decided(Decision),
    /// The key may, if it is within its rate limit, which Redis counts: call [`KeyVerifier::authorize_by_redis`].
    NeedsRedis(RateLimit),
}

impl Decision {
    fn new(outcome: Result<(), DenialReason>, budget: Option<Budget>) -> Self {
        Self { outcome, remaining_limits: RemainingLimits { budget, quota: None } }
    }

    fn of_rate(taken: RateDecision, now: Timestamp) -> Self {
        Self::new(decide_rate(&taken, now), Some(taken.budget))
    }
}

/// Verifies secrets, and decides about their keys.
pub struct KeyVerifier {
    cache: Arc<AuthCache>,
    lookup: Arc<SecretLookup>,
    recorder: UsageRecorder,
    limiter: RateLimiter,
    metrics: Arc<VerificationMetrics>,
    clock: Clock,
}

impl KeyVerifier {
    /// A verifier that looks secrets up and records their use with `recorder`.
    #[must_use]
    pub fn new(
        lookups: Lookups,
        hasher: SecretHasher,
        fallback: KeyFallback,
        cache: Arc<AuthCache>,
        recorder: UsageRecorder,
        limiter: RateLimiter,
        clock: Clock,
    ) -> Self {
        let metrics = Arc::<VerificationMetrics>::default();
        let lookup = Arc::new(SecretLookup {
            lookups,
            hasher,
            fallback,
            recorder: recorder.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        });
        Self { cache, lookup, recorder, limiter, metrics, clock }
    }

    pub(crate) fn metrics(&self) -> &VerificationMetrics {
        &self.metrics
    }

    /// Tenant and secret from the cache, validated together.
    pub(in crate::auth) fn verify_cached(
        &self,
        tenant: Unvalidated<Tenant>,
        secret: &Secret,
    ) -> Result<(Tenant, Verified), Miss> {
        let (group, key) = self.cache.secret_key(tenant.unvalidated().id, secret);
        let read = self.cache.secrets.read(&group, key, Arc::clone).map(|secret| tenant.and(secret));
        let (tenant, secret) = read.and_then(|read| self.cache.validate(read)).ok_or(Miss(key))?;
        self.cache.secrets.count_hit();
        Ok((tenant, Verified { secret, evidence: Evidence::Cache }))
    }

    /// The secret from the cache, unless `miss` says that it is not there; else from the database.
    pub(in crate::auth) async fn verify(
        &self,
        tenant: &Tenant,
        secret: Secret,
        miss: Option<Miss>,
    ) -> Result<Verified, Error> {
        let key = if let Some(Miss(key)) = miss {
            key
        } else {
            let (group, key) = self.cache.secret_key(tenant.id, &secret);
            if let Some(secret) = self.cache.secrets.get(&group, key) {
                return Ok(Verified { secret, evidence: Evidence::Cache });
            }
            key
        };
        let fetched = self.fetch(*tenant, secret, key).await;
        if let Err(error) = &fetched {
            let is_invalid = matches!(error, Error::InvalidKey | Error::Decoy(_));
            self.metrics.count(if is_invalid { "invalid" } else { "error" }, Evidence::None);
        }
        fetched.map(|secret| Verified { evidence: secret.evidence, secret })
    }

    async fn fetch(&self, tenant: Tenant, secret: Secret, key: CacheKey) -> Result<Arc<Entry<CachedSecret>>, Error> {
        let lookup = || {
            let lookup = self.lookup.clone();
            async move { lookup.find(&tenant, &secret).await }.boxed()
        };
        self.cache.secrets.fetch(tenant.id.0.as_bytes(), key, lookup).await
    }

    /// Records that a secret came over plain HTTP, if it is one of a key.
    pub(in crate::auth) fn record_exposure(&self, secret: &Secret, client: Client<'_>, request_id: &RequestId) {
        let kind = SecretAlertKind::Exposed { user_agent: client.shortened_user_agent() };
        self.record_alert(kind, secret.lookup_digest(), secret.hint(), client, request_id);
    }

    /// Records that the secret of a decoy was used.
    pub(in crate::auth) fn record_decoy(
        &self,
        tenant: &Tenant,
        decoy: DecoyKey,
        client: Client<'_>,
        request_id: &RequestId,
    ) {
        let DecoyKey { key, lookup_digest, hint } = decoy;
        let kind = SecretAlertKind::DecoyUsed { tenant: tenant.id, key, user_agent: client.shortened_user_agent() };
        self.record_alert(kind, lookup_digest, hint, client, request_id);
    }

    fn record_alert(
        &self,
        kind: SecretAlertKind,
        lookup_digest: LookupDigest,
        hint: KeyHint,
        client: Client<'_>,
        request_id: &RequestId,
    ) {
        let (at, address, request_id) = (self.clock.now(), client.address, request_id.as_str().to_owned());
        self.recorder.alert(SecretAlert { kind, lookup_digest, hint, at, address, request_id });
    }

    /// Decides whether the key may do what the request requires, and records the use of its secret.
    pub(in crate::auth) fn authorize(&self, verified: &Verified, request: &KeyRequest<'_>) -> Authorization {
        let (secret, now) = (&verified.secret, self.clock.now());
        let key = secret.facts(now, request.client.address);
        let outcome = decide(&Facts { scopes: secret.scopes, key: Some(key), required: request.required });
        let mut decision = match secret.rate_limit {
            None => Decision::new(outcome, None),
            Some(limit) if outcome.is_ok() => match self.limiter.try_take_locally(secret.usage.key(), limit) {
                Some(taken) => Decision::of_rate(taken, now),
                None => return Authorization::NeedsRedis(limit),
            },
            Some(limit) => Decision::new(outcome, Some(self.limiter.read(secret.usage.key(), limit))),
        };
        self.decide_quota(&mut decision, secret, now);
        self.record(verified, decision.outcome, now, request);
        Authorization::Decided(decision)
    }

    /// Decides about the rate limit and the quota, after [`Self::authorize`] has decided about all else.
    pub(in crate::auth) async fn authorize_by_redis(
        &self,
        verified: &Verified,
        limit: RateLimit,
        request: &KeyRequest<'_>,
    ) -> Decision {
        let taken = self.limiter.take(verified.secret.usage.key(), limit).await;
        let now = self.clock.now();
        let mut decision = Decision::of_rate(taken, now);
        self.decide_quota(&mut decision, &verified.secret, now);
        self.record(verified, decision.outcome, now, request);
        decision
    }

    /// The last of all decisions, so that a request which is denied for another reason uses up nothing.
    fn decide_quota(&self, decision: &mut Decision, secret: &CachedSecret, now: Timestamp) {
        let Some(quota) = secret.other_limits.as_ref().and_then(|limits| limits.quota) else { return };
        let key = secret.usage.key();
        let quota = match decision.outcome {
            Ok(()) => {
                let (outcome, quota) = self.recorder.take_quota(key, quota, now);
                decision.outcome = outcome;
                quota
            }
            Err(_) => self.recorder.quota_use(key, quota, now),
        };
        decision.remaining_limits.quota = Some(Box::new(quota));
    }

    /// The only place where the use of a key is counted.
    fn record(
        &self,
        Verified { secret, evidence }: &Verified,
        decision: Result<(), DenialReason>,
        now: Timestamp,
        request: &KeyRequest<'_>,
    ) {
        let KeyRequest { client, request_id, .. } = request;
        let result = match decision {
            Ok(()) => {
                self.recorder.used(secret, now, *client);
                "accepted"
            }
            Err(DenialReason::InsufficientScope(_) | DenialReason::KeyRequired | DenialReason::SecretRetired) => {
                self.recorder.set_last_use(secret, now, *client);
                self.recorder.denied(secret, now, Denied::Scope);
                "accepted"
            }
            Err(DenialReason::KeyExpired) => {
                self.recorder.denied(secret, now, Denied::Expired);
                "expired"
            }
            Err(DenialReason::KeySuspended) => {
                self.recorder.denied(secret, now, Denied::Suspended);
                "suspended"
            }
            Err(DenialReason::AddressNotAllowed(_)) => {
                self.recorder.denied(secret, now, Denied::Address);
                "address_not_allowed"
            }
            Err(DenialReason::RateLimited { .. }) => {
                self.recorder.denied(secret, now, Denied::RateLimit);
                "rate_limited"
            }
            Err(DenialReason::QuotaExceeded(_)) => {
                self.recorder.denied(secret, now, Denied::Quota);
                "quota_exceeded"
            }
            Err(reason @ (DenialReason::SecretEnded | DenialReason::KeyRevoked)) => {
                self.recorder.denied(secret, now, Denied::Revoked);
                self.recorder.dead_secret_used(&secret.usage, secret.hint, now, client.address, request_id.as_str());
                if reason == DenialReason::KeyRevoked { "revoked" } else { "invalid" }
            }
        };
        self.metrics.count(result, *evidence);
    }
}

/// Looks secrets up in the database, and verifies that the row is theirs.
struct SecretLookup {
    lookups: Lookups,
    hasher: SecretHasher,
    fallback: KeyFallback,
    recorder: UsageRecorder,
    clock: Clock,
    metrics: Arc<VerificationMetrics>,
}

impl SecretLookup {
    async fn find(&self, tenant: &Tenant, secret: &Secret) -> Result<CachedSecret, Error> {
        let lookup_digest = secret.lookup_digest();
        let row = self.lookups.find_secret(tenant.id, lookup_digest).await?.ok_or(Error::InvalidKey)?;
        // Before the verification, so that a decoy takes no longer than an unknown secret.
        if row.is_decoy {
            return Err(Error::Decoy(DecoyKey { key: row.key_id, lookup_digest, hint: row.hint }));
        }
        let evidence = self.verify(tenant, secret, lookup_digest, &row).await?;
        if let Some(total) = &row.quota_total {
            self.recorder.learn_quota_total(total, self.clock.now());
        }
        let rare_times = RareTimes {
            secret_expires_at: row.secret_expires_at,
            secret_retired_at: row.secret_retired_at,
            secret_ended_at: row.secret_ended_at,
            revoked_at: row.revoked_at,
            suspension: row.suspension,
        };
        let rate_limit = row.limits.rate_limit;
        let other_limits = KeyLimits { rate_limit: None, ..row.limits };
        Ok(CachedSecret {
            usage: UsageCounter::new(tenant.id, row.key_id, lookup_digest),
            scopes: row.scopes,
            key_expires_at: row.key_expires_at,
            rare_times: rare_times.boxed(),
            rate_limit,
            other_limits: (!other_limits.is_unlimited()).then(|| Box::new(other_limits)),
            hint: row.hint,
            evidence,
        })
    }

    /// Verifies by the stamp, and by argon2 only if there is no stamp under a known pepper. A stamp that does not match is
    /// final: who forged the row may have computed its argon2 hash too.
    async fn verify(
        &self,
        tenant: &Tenant,
        secret: &Secret,
        lookup_digest: LookupDigest,
        row: &SecretRow,
    ) -> Result<Evidence, Error> {
        let stamp = row.stamp.as_ref().map(|(stamp, id)| (&stamp[..], id.as_str()));
        match self.hasher.peppers().check(stamp, tenant.id, row.key_id, secret) {
            StampCheck::Match { retired: false } => Ok(Evidence::Stamp),
            StampCheck::Match { retired: true } => {
                self.renew_stamp(tenant, secret, lookup_digest, row).boxed().await;
                Ok(Evidence::Stamp)
            }
            StampCheck::Mismatch => {
                self.metrics.stamp_mismatches.inc();
                error!(
                    key_id = %row.key_id,
                    "refused an API key whose stamp does not match its row: the row was forged, copied or damaged; \
                     find out who wrote to the database, and rotate the key"
                );
                Err(Error::InvalidKey)
            }
            StampCheck::Unstamped => {
                self.verify_argon2(tenant, secret, row).await?;
                self.renew_stamp(tenant, secret, lookup_digest, row).boxed().await;
                Ok(Evidence::Argon2)
            }
            // Not renewed: instances with different peppers would overwrite one another's stamps.
            StampCheck::UnknownPepper => {
                self.count_unknown_pepper(row);
                self.verify_argon2(tenant, secret, row).await?;
                Ok(Evidence::Argon2)
            }
        }
    }

    /// Unless KEY_FALLBACK forbids it.
    async fn verify_argon2(&self, tenant: &Tenant, secret: &Secret, row: &SecretRow) -> Result<(), Error> {
        let allowed = self.fallback == KeyFallback::Argon2;
        let verified = allowed && self.hasher.verify_argon2(tenant.id, secret, &row.phc).await?;
        if verified { Ok(()) } else { Err(Error::InvalidKey) }
    }

    /// Only the first one is logged: it would be a line for each lookup.
    fn count_unknown_pepper(&self, row: &SecretRow) {
        if self.metrics.unknown_peppers.inc() == 0 {
            warn!(
                key_id = %row.key_id,
                pepper_id = row.stamp.as_ref().map(|(_, id)| id.as_str()),
                "the stamp of an API key is of a pepper that is not configured, so KEY_FALLBACK decides: set the pepper in \
                 KEY_PEPPERS_RETIRED or KEY_PEPPER_NEXT; if it is lost, remove its stamps as docs/operations.md says. \
                 Further ones are only counted"
            );
        }
    }

    /// Stamps the row under the current pepper, if there is one. A failure is only logged: the secret is verified, and its
    /// next lookup tries again.
    async fn renew_stamp(&self, tenant: &Tenant, secret: &Secret, lookup_digest: LookupDigest, row: &SecretRow) {
        let Some((stamp, pepper_id)) = self.hasher.peppers().stamp(tenant.id, row.key_id, secret) else { return };
        let previous = row.stamp.as_ref().map(|(stamp, _)| &stamp[..]);
        match self.lookups.renew_stamp(tenant.id, lookup_digest, previous, &stamp, &pepper_id).await {
            Ok(true) => {
                self.metrics.stamps_written.inc();
                warn!(
                    key_id = %row.key_id,
                    pepper_id,
                    previous_pepper_id = row.stamp.as_ref().map(|(_, id)| id.as_str()),
                    "wrote the stamp of an API key that had none under the current pepper; unless a pepper was introduced \
                     or rotated, its row may be forged"
                );
            }
            Ok(false) => {}
            Err(error) => {
                warn!(key_id = %row.key_id, %error, "could not write an API key's stamp; its next lookup tries again");
            }
        }
    }
}
