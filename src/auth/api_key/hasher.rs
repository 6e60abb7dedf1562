//! What a secret leaves behind: argon2id on a bounded pool, and the stamp under the pepper.

use std::num::NonZeroUsize;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version, password_hash::phc::PasswordHash,
};
use zeroize::Zeroizing;

use super::{
    argon2_pool::{Argon2Pool, Load, Overloaded},
    pepper::Peppers,
};
use crate::{
    domain::{ApiKeyId, Secret, TenantId, random_bytes},
    store::NewSecret,
};

/// The cost of argon2id (RFC 9106).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl Argon2Cost {
    /// The most that is accepted, in the settings and from a row: a forged row must not be
    /// able to take the memory or the cores.
    pub const MAX: Self = Self { memory_kib: 256 * 1024, iterations: 16, parallelism: 8 };

    fn params(self) -> Option<Params> {
        let within = self.memory_kib <= Self::MAX.memory_kib
            && self.iterations <= Self::MAX.iterations
            && self.parallelism <= Self::MAX.parallelism;
        within.then(|| Params::new(self.memory_kib, self.iterations, self.parallelism, None).ok())?
    }

    /// Whether argon2 takes these parameters and they are within [`Argon2Cost::MAX`].
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.params().is_some()
    }
}

/// OWASP's recommendation for argon2id.
impl Default for Argon2Cost {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

/// Makes and checks what is stored of a secret.
#[derive(Clone)]
pub struct SecretHasher {
    pool: Argon2Pool,
    params: Params,
    peppers: Peppers,
}

impl SecretHasher {
    /// Hashes with `cost` (which must be valid), at most `workers` at once and `max_waiting`
    /// behind them.
    #[must_use]
    pub fn new(cost: Argon2Cost, peppers: Peppers, workers: NonZeroUsize, max_waiting: usize) -> Self {
        Self { pool: Argon2Pool::new(workers, max_waiting), params: cost.params().unwrap_or(Params::DEFAULT), peppers }
    }

    /// How much it has to do now.
    #[must_use]
    pub fn load(&self) -> Load {
        self.pool.load()
    }

    /// The peppers that it stamps with.
    #[must_use]
    pub fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// What the database keeps of a new secret.
    ///
    /// # Panics
    /// Where there is no randomness, or no memory for argon2.
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
            // A lack of memory leaves nothing sensible to go on with.
            Err(error) => panic!("argon2 failed: {error}"),
        };
        Ok(NewSecret {
            lookup_digest: secret.lookup_digest(),
            phc,
            stamp: self.peppers.stamp(tenant, key, secret),
            hint: secret.hint(),
        })
    }

    /// Whether the PHC string is the secret's. One that is not argon2id, or that costs more
    /// than [`Argon2Cost::MAX`], is nobody's.
    pub async fn verify_argon2(&self, tenant: TenantId, secret: &Secret, phc: &str) -> Result<bool, Overloaded> {
        let Some(hash) = acceptable(phc) else {
            return Ok(false);
        };
        let password = Zeroizing::new(secret.as_bytes().to_vec());
        self.pool.run(tenant, move || Argon2::default().verify_password(&password, &hash).is_ok()).await
    }
}

fn acceptable(phc: &str) -> Option<PasswordHash> {
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
    async fn a_sealed_secret_verifies_and_another_does_not() {
        let hasher = SecretHasher::new(CHEAP, Peppers::default(), NonZeroUsize::MIN, 1);
        let (tenant, secret) = (TenantId(Uuid::nil()), Secret::generate());
        let sealed = hasher.seal(tenant, ApiKeyId(Uuid::nil()), &secret).await.unwrap();
        assert!(sealed.phc.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{}", sealed.phc);
        assert_eq!(hasher.verify_argon2(tenant, &secret, &sealed.phc).await, Ok(true));
        assert_eq!(hasher.verify_argon2(tenant, &Secret::generate(), &sealed.phc).await, Ok(false));
    }

    #[test]
    fn forged_costs_are_refused_before_they_are_paid() {
        let phc = |m, t, p| {
            format!("$argon2id$v=19$m={m},t={t},p={p}$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
        };
        assert!(acceptable(&phc(19_456, 2, 1)).is_some());
        assert!(acceptable(&phc(4_000_000, 2, 1)).is_none());
        assert!(acceptable(&phc(19_456, 4_000_000, 1)).is_none());
        assert!(acceptable(&phc(19_456, 2, 64)).is_none());
        assert!(acceptable(&phc(19_456, 2, 1).replace("argon2id", "argon2i")).is_none());
        assert!(acceptable("").is_none());
    }
}
