//! The verification cache: tenants and verified secrets, and what keeps them true.
//!
//! A result is invalidated when its key or tenant changes (`invalidation`), is not cached if that happens during the
//! lookup ([`epoch_cache`]), and is used only under the lease ([`lease`]). [`receipts`] prove that this holds on all
//! instances.

pub mod cached_secret;
pub(crate) mod clock_offset;
pub mod epoch_cache;
pub mod feed_status;
pub(crate) mod invalidation;
pub mod key;
pub mod lease;
pub(crate) mod message;
pub(crate) mod observer;
mod protocol;
pub mod receipts;
mod server_history;
pub mod single_flight;

use std::sync::Arc;

use self::{
    cached_secret::CachedSecret,
    key::{CacheKey, CacheKeys, SlugKeys},
    lease::Lease,
    single_flight::{CachedLookup, Unvalidated},
};
use crate::domain::{ApiKeyId, Secret, Slug, Tenant, TenantId};

/// Cached tenants, where fewer secrets are cached.
const MIN_TENANTS: usize = 100_000;

/// The caches of one instance.
pub struct AuthCache {
    /// Verified secrets, grouped by tenant.
    pub secrets: Arc<CachedLookup<ApiKeyId, CachedSecret>>,
    /// Served tenants, each in a group of its own: a lookup of a tenant knows no more than the slug.
    pub tenants: Arc<CachedLookup<TenantId, Tenant>>,
    lease: Arc<Lease>,
    keys: CacheKeys,
    slugs: SlugKeys,
}

impl AuthCache {
    /// Caches at most `max_secrets` secrets, and the tenant of each. `seed` is random and secret.
    #[must_use]
    pub fn new(max_secrets: usize, lease: &Arc<Lease>, seed: [u8; 32]) -> Self {
        let max_tenants = max_secrets.max(MIN_TENANTS);
        let key_id = |_, secret: &CachedSecret| secret.usage.key();
        Self {
            secrets: Arc::new(CachedLookup::new(max_secrets, key_id, lease.clone())),
            tenants: Arc::new(CachedLookup::new(max_tenants, |_, tenant: &Tenant| tenant.id, lease.clone())),
            lease: lease.clone(),
            keys: CacheKeys::new(seed),
            slugs: SlugKeys::default(),
        }
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// `None`: the value may be stale.
    pub(crate) fn validate<V>(&self, read: Unvalidated<V>) -> Option<V> {
        read.validate(&self.lease)
    }

    /// Group and key of a secret.
    #[must_use]
    pub fn secret_key(&self, tenant: TenantId, secret: &Secret) -> ([u8; 16], CacheKey) {
        let group = *tenant.0.as_bytes();
        // Without the prefix that all secrets have, SHA-256 has one block less to process.
        (group, self.keys.key(&group, &[&secret.as_bytes()[Secret::PREFIX.len()..]]))
    }

    /// Group and key of a tenant.
    #[must_use]
    pub fn tenant_key(&self, slug: &Slug) -> ([u8; 16], CacheKey) {
        let key = self.slugs.key(slug);
        (key.to_bytes(), key)
    }

    /// Invalidates all secrets of a key.
    pub(crate) fn invalidate_key(&self, tenant: TenantId, key: ApiKeyId) {
        self.secrets.invalidate(tenant.0.as_bytes(), key);
    }

    pub(crate) fn invalidate_tenant(&self, tenant: TenantId, slug: &Slug) {
        let (group, _) = self.tenant_key(slug);
        self.tenants.invalidate(&group, tenant);
    }

    /// Invalidates everything.
    pub(crate) fn clear(&self) {
        self.tenants.clear();
        self.secrets.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn there_is_room_for_the_tenant_of_each_cached_secret() {
        let lease = Arc::new(Lease::lasting(Duration::from_secs(5)));
        let tenants = |secrets| AuthCache::new(secrets, &lease, [0; 32]).tenants.capacity();
        assert_eq!([0, 100_000, 500_000].map(tenants), [100_000, 100_000, 500_000]);
    }
}
