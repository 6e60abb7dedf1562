//! A verified secret, as it is cached.

use std::net::IpAddr;

use super::epoch_cache::Entry;
use crate::{
    domain::{
        KeyHint, KeyLimits, Principal, RateLimit, RotatedAway, ScopeSet, Suspension, Timestamp,
        access::{KeyFacts, SecretState},
    },
    usage::{HasUsageCounter, UsageCounter},
};

/// A verified secret with its key's grants and ends. Ends are compared with the clock at each use.
#[derive(Debug)]
pub struct CachedSecret {
    /// Counts the secret's use; has the key's id and the lookup digest.
    pub usage: UsageCounter,
    /// What the key grants.
    pub scopes: ScopeSet,
    /// When the key expires; `None` = never.
    pub key_expires_at: Option<Timestamp>,
    /// Boxed, since most secrets have none of them.
    pub rare_times: Option<Box<RareTimes>>,
    /// Apart from the other limits, so that a key with a rate limit alone has no box.
    pub rate_limit: Option<RateLimit>,
    /// Boxed, since most keys have none.
    pub other_limits: Option<Box<KeyLimits>>,
    /// The secret's hint.
    pub hint: KeyHint,
    /// What it was verified by.
    pub evidence: Evidence,
}

/// What a secret was verified by; the label `source` of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It had been verified before and was cached.
    Cache,
    /// The stamp under the pepper.
    Stamp,
    /// The argon2 hash, since there was no stamp under a known pepper.
    Argon2,
    /// It was not verified.
    None,
}

impl Evidence {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Stamp => "stamp",
            Self::Argon2 => "argon2",
            Self::None => "none",
        }
    }
}

/// Times that rotated secrets and suspended or revoked keys have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RareTimes {
    /// When the secret ends by itself, after a rotation.
    pub secret_expires_at: Option<Timestamp>,
    /// When a rotation replaced the secret.
    pub secret_retired_at: Option<Timestamp>,
    /// When the secret was ended for good.
    pub secret_ended_at: Option<Timestamp>,
    /// When the key was revoked.
    pub revoked_at: Option<Timestamp>,
    /// The key's suspension.
    pub suspension: Option<Suspension>,
}

impl RareTimes {
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (self != Self::default()).then(|| Box::new(self))
    }
}

impl HasUsageCounter for Entry<CachedSecret> {
    fn usage(&self) -> &UsageCounter {
        &self.usage
    }
}

impl CachedSecret {
    fn rare_times(&self) -> RareTimes {
        self.rare_times.as_deref().copied().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn principal(&self) -> Principal {
        Principal::ApiKey {
            secret: self.usage.lookup_digest(),
            id: self.usage.key(),
            scopes: self.scopes,
            expires_at: self.key_expires_at,
            hint: self.hint,
            rotated_away: self.rotated_away(),
        }
    }

    pub(crate) fn facts(&self, now: Timestamp, client_address: Option<IpAddr>) -> KeyFacts<'_> {
        let RareTimes { secret_expires_at, secret_retired_at, secret_ended_at, revoked_at, suspension } =
            self.rare_times();
        let secret = SecretState {
            expires_at: secret_expires_at,
            is_retired: secret_retired_at.is_some(),
            is_ended: secret_ended_at.is_some(),
        };
        KeyFacts {
            now,
            id: self.usage.key(),
            expires_at: self.key_expires_at,
            revoked_at,
            suspension,
            secret,
            allowed_addresses: self.other_limits.as_ref().map(|limits| &limits.allowed_addresses),
            client_address,
        }
    }

    fn rotated_away(&self) -> Option<RotatedAway> {
        let RareTimes { secret_expires_at, secret_retired_at, .. } = self.rare_times();
        let (since, end) = secret_retired_at.zip(secret_expires_at)?;
        let until = self.key_expires_at.map_or(end, |key_end| key_end.min(end));
        Some(RotatedAway { since, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cached_secret_fits_three_cache_lines() {
        // In an `Arc`, which adds two counters.
        let size = 2 * size_of::<usize>() + size_of::<Entry<CachedSecret>>();
        assert!(size <= 3 * 64, "{size}");
    }
}
