//! Everything that is remembered about keys and tenants, and how it is forgotten.

use std::sync::Arc;

use super::{
    cache::Remembered,
    cache_key::{CacheKey, CacheKeys, SlugKeys},
    known::{Known, Unvouched},
    lease::Lease,
    metrics::Grounds,
};
use crate::{
    domain::{ApiKeyId, KeyHint, Principal, RotatedAway, ScopeSet, Secret, Slug, Status, Tenant, TenantId, Timestamp},
    usage::{Tallied, Tally},
};

/// As many tenants are remembered at most.
const MAX_TENANTS: usize = 100_000;

/// What is known of a secret that was checked: whose it is, and what bounds it. Expiry is held
/// against the clock at each use.
#[derive(Debug)]
pub struct KnownSecret {
    /// Where its use is noted; also tells its key.
    pub tally: Tally,
    /// What the key allows.
    pub scopes: ScopeSet,
    /// When the key ends.
    pub key_expires_at: Option<Timestamp>,
    /// What else ends it.
    pub endings: Endings,
    /// What may be shown of the secret.
    pub hint: KeyHint,
    /// What it was believed on when it was checked.
    pub grounds: Grounds,
}

/// What most secrets have nothing of, so it lies apart.
#[derive(Debug, Default)]
pub struct Endings(Option<Box<Ended>>);

/// How a secret ends before its key does, and how its key did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// When the secret ends, where it is before the key.
    pub secret_expires_at: Option<Timestamp>,
    /// When a newer secret took its place.
    pub secret_retired_at: Option<Timestamp>,
    /// When the key was taken away.
    pub revoked_at: Option<Timestamp>,
}

impl From<Ended> for Endings {
    fn from(ended: Ended) -> Self {
        Self((ended != Ended::default()).then(|| Box::new(ended)))
    }
}

impl Endings {
    fn get(&self) -> Ended {
        self.0.as_deref().copied().unwrap_or_default()
    }
}

impl Tallied for Remembered<KnownSecret> {
    fn tally(&self) -> &Tally {
        &self.tally
    }
}

impl KnownSecret {
    /// The key as a caller.
    #[must_use]
    pub fn principal(&self) -> Principal {
        Principal::ApiKey {
            secret: self.tally.lookup_digest(),
            id: self.tally.key(),
            scopes: self.scopes,
            expires_at: self.key_expires_at,
            hint: self.hint,
            rotated_away: self.rotated_away(),
        }
    }

    /// What its key is then.
    #[must_use]
    pub fn key_status_at(&self, now: Timestamp) -> Status {
        Status::at(now, self.key_expires_at, self.endings.get().revoked_at)
    }

    /// Whether the secret had ended then, before its key did.
    #[must_use]
    pub fn secret_ended_at(&self, now: Timestamp) -> bool {
        let before_key = |end: Timestamp| self.key_expires_at.is_none_or(|key_end| end < key_end);
        self.endings.get().secret_expires_at.is_some_and(|end| now >= end && before_key(end))
    }

    /// Where it is the previous one: since when, and until when it works.
    #[must_use]
    pub fn rotated_away(&self) -> Option<RotatedAway> {
        let ended = self.endings.get();
        let (since, end) = ended.secret_retired_at.zip(ended.secret_expires_at)?;
        let until = self.key_expires_at.map_or(end, |key_end| key_end.min(end));
        Some(RotatedAway { since, until })
    }
}

/// The caches of one instance.
pub struct Verdicts {
    /// Secrets that were checked, by tenant.
    pub secrets: Arc<Known<ApiKeyId, KnownSecret>>,
    /// Tenants that are served, by slug.
    pub tenants: Arc<Known<TenantId, Tenant>>,
    lease: Arc<Lease>,
    keys: CacheKeys,
    slugs: SlugKeys,
}

impl Verdicts {
    /// Remembers at most so many secrets, under that lease.
    #[must_use]
    pub fn new(max_secrets: usize, lease: &Arc<Lease>, seed: [u8; 32]) -> Self {
        Self {
            secrets: Arc::new(Known::new(max_secrets, |_, known: &KnownSecret| known.tally.key(), lease.clone())),
            tenants: Arc::new(Known::new(MAX_TENANTS, |_, tenant: &Tenant| tenant.id, lease.clone())),
            lease: lease.clone(),
            keys: CacheKeys::new(seed),
            slugs: SlugKeys::default(),
        }
    }

    /// What of what was read may be trusted now.
    pub fn vouch<V>(&self, read: Unvouched<V>) -> Option<V> {
        read.vouched(&self.lease)
    }

    /// Where a secret is remembered.
    #[must_use]
    pub fn secret_key(&self, tenant: TenantId, secret: &Secret) -> ([u8; 16], CacheKey) {
        let group = *tenant.0.as_bytes();
        // Without what all secrets begin with, it is one block less to be hashed.
        (group, self.keys.key(&group, &[&secret.as_bytes()[Secret::PREFIX.len()..]]))
    }

    /// Where a tenant is remembered. Tenants are looked for before one is known, so they have a group
    /// each, by slug.
    #[must_use]
    pub fn tenant_key(&self, slug: &Slug) -> ([u8; 16], CacheKey) {
        let key = self.slugs.key(slug);
        (key.to_bytes(), key)
    }

    /// A key or one of its secrets has changed.
    pub fn forget_key(&self, tenant: TenantId, key: ApiKeyId) {
        self.secrets.forget(tenant.0.as_bytes(), key);
    }

    /// A tenant has changed.
    pub fn forget_tenant(&self, tenant: TenantId, slug: &Slug) {
        let (group, _) = self.tenant_key(slug);
        self.tenants.forget(&group, tenant);
    }

    /// Anything may have changed.
    pub fn clear(&self) {
        self.tenants.clear();
        self.secrets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_a_secret_fits_three_lines_of_the_processors_cache() {
        // In an `Arc`, which adds two counters.
        let size = 2 * size_of::<usize>() + size_of::<Remembered<KnownSecret>>();
        assert!(size <= 3 * 64, "{size}");
    }
}
