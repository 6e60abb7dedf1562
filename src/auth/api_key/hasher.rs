//! The hash and the stamp of a secret: argon2id on a bounded pool, and HMAC under the pepper.

use std::num::NonZeroUsize;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use zeroize::Zeroizing;

use super::{argon2_pool::Argon2Pool, pepper::Peppers};
use crate::{
    domain::{ApiKeyId, IdempotencyKey, Secret, TenantId, random_bytes},
    store::{Derivation, NewSecret},
    turns::{Load, Overloaded},
};

/// The cost of argon2id (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// KiB of memory.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Argon2Cost {
    /// The limit for settings and for rows: a forged row must not be able to exhaust memory or cores.
    pub const MAX: Self = Self { memory_kib: 256 * 1024, iterations: 16, parallelism: 8 };

    fn params(self) -> Option<Params> {
        let within = self.memory_kib <= Self::MAX.memory_kib
            && self.iterations <= Self::MAX.iterations
            && self.parallelism <= Self::MAX.parallelism;
        within.then(|| Params::new(self.memory_kib, self.iterations, self.parallelism, None).ok())?
    }

    /// True if argon2 accepts the parameters and they are within [`Argon2Cost::MAX`].
    pub(crate) fn is_valid(self) -> bool {
        self.params().is_some()
    }
}

/// OWASP's recommendation for argon2id.
impl Default for Argon2Cost {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

/// Makes and verifies what the database keeps of a secret.
#[derive(Clone)]
pub struct SecretHasher {
    pool: Argon2Pool,
    params: Params,
    peppers: Peppers,
}

impl SecretHasher {
    /// `cost` must be valid. At most `workers` hashes run at once, and at most `max_queued` wait.
    #[must_use]
    pub fn new(cost: Argon2Cost, peppers: Peppers, workers: NonZeroUsize, max_queued: usize) -> Self {
        Self { pool: Argon2Pool::new(workers, max_queued), params: cost.params().unwrap_or(Params::DEFAULT), peppers }
    }

    pub(crate) fn load(&self) -> Load {
        self.pool.load()
    }

    pub(super) fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// Derives a new secret. Refuses an `Idempotency-Key` from which it could be guessed. `principal` is
    /// [`Principal::identity`].
    ///
    /// [`Principal::identity`]: crate::domain::Principal::identity
    pub(crate) fn derive_new(
        &self,
        tenant: TenantId,
        principal: &str,
        key: &IdempotencyKey,
    ) -> Result<(Derivation, Secret), &'static str> {
        self.peppers.derive_new(tenant, principal, key)
    }

    /// Derives a secret again. `None`: its pepper is not configured.
    pub(crate) fn derive(
        &self,
        derivation: &Derivation,
        tenant: TenantId,
        principal: &str,
        key: &IdempotencyKey,
    ) -> Option<Secret> {
        self.peppers.derive(derivation, tenant, principal, key)
    }

    /// What the database keeps of a new secret.
    ///
    /// # Panics
    /// If there is no randomness, or no memory for argon2.
    pub async fn seal(&self, tenant: TenantId, key: ApiKeyId, secret: &Secret) -> Result<NewSecret, Overloaded> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let password = Zeroizing::new(secret.as_bytes().to_vec());
        let phc = self
            .pool
            .run(tenant, move || {
                let salt = random_bytes::<16>();
                argon2.hash_password_with_salt(&password, &*salt).map(|hash: PasswordHash| hash.to_string())
            })
            .await?;
        let phc = match phc {
            Ok(phc) => phc,
            // Out of memory.
            Err(error) => panic!("argon2 failed: {error}"),
        };
        Ok(NewSecret {
            lookup_digest: secret.lookup_digest(),
            phc,
            stamp: self.peppers.stamp(tenant, key, secret),
            hint: secret.hint(),
        })
    }

    /// True if `phc` is the secret's hash. False if it is not argon2id or costs more than [`Argon2Cost::MAX`].
    pub(super) async fn verify_argon2(&self, tenant: TenantId, secret: &Secret, phc: &str) -> Result<bool, Overloaded> {
        let Some(hash) = parse_affordable(phc) else {
            return Ok(false);
        };
        let password = Zeroizing::new(secret.as_bytes().to_vec());
        self.pool.run(tenant, move || Argon2::default().verify_password(&password, &hash).is_ok()).await
    }
}

fn parse_affordable(phc: &str) -> Option<PasswordHash> {
    let hash = PasswordHash::new(phc).ok()?;
    let params = Params::try_from(&hash).ok()?;
    let cost = Argon2Cost { memory_kib: params.m_cost(), iterations: params.t_cost(), parallelism: params.p_cost() };
    (hash.algorithm.as_str() == "argon2id" && cost.is_valid()).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const CHEAP: Argon2Cost = Argon2Cost { memory_kib: 8, iterations: 1, parallelism: 1 };

    #[tokio::test]
    async fn only_the_sealed_secret_verifies_against_its_hash() {
        let hasher = SecretHasher::new(CHEAP, Peppers::default(), NonZeroUsize::MIN, 1);
        let (tenant, secret) = (TenantId(Uuid::nil()), Secret::generate());
        let sealed = hasher.seal(tenant, ApiKeyId(Uuid::nil()), &secret).await.unwrap();
        assert!(sealed.phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", sealed.phc);
        assert_eq!(hasher.verify_argon2(tenant, &secret, &sealed.phc).await, Ok(true));
        assert_eq!(hasher.verify_argon2(tenant, &Secret::generate(), &sealed.phc).await, Ok(false));
    }

    #[test]
    fn a_phc_string_beyond_the_maximal_cost_is_refused() {
        let phc = |m, t, p| {
            format!("$argon2id$v=19$m={m},t={t},p={p}$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        };
        assert!(parse_affordable(&phc(19_456, 2, 1)).is_some());
        assert!(parse_affordable(&phc(4_000_000, 2, 1)).is_none());
        assert!(parse_affordable(&phc(19_456, 4_000_000, 1)).is_none());
        assert!(parse_affordable(&phc(19_456, 2, 64)).is_none());
        assert!(parse_affordable(&phc(19_456, 2, 1).replace("argon2id", "argon2i")).is_none());
        assert!(parse_affordable("").is_none());
    }
}
