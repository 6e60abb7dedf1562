//! Everything that is remembered about keys and tenants, and how it is forgotten.

pub mod cached_secret;
pub mod epoch_cache;
pub mod invalidation;
pub mod key;
pub mod lease;
pub mod single_flight;

use std::sync::Arc;

use self::{
    cached_secret::CachedSecret,
    key::{CacheKey, CacheKeys, SlugKeys},
    lease::Lease,
    single_flight::{CachedLookup, Unvalidated},
};
use crate::domain::{ApiKeyId, Secret, Slug, Tenant, TenantId};

/// As many tenants are remembered at most.
const MAX_TENANTS: usize = 100_000;

/// The caches of one instance.
pub struct AuthCache {
    /// Secrets that were checked, by tenant.
    pub secrets: Arc<CachedLookup<ApiKeyId, CachedSecret>>,
    /// Tenants that are served, by slug.
    pub tenants: Arc<CachedLookup<TenantId, Tenant>>,
    lease: Arc<Lease>,
    keys: CacheKeys,
    slugs: SlugKeys,
}

impl AuthCache {
    /// Remembers at most so many secrets, under that lease.
    #[must_use]
    pub fn new(max_secrets: usize, lease: &Arc<Lease>, seed: [u8; 32]) -> Self {
        Self {
            secrets: Arc::new(CachedLookup::new(
                max_secrets,
                |_, known: &CachedSecret| known.usage.key(),
                lease.clone(),
            )),
            tenants: Arc::new(CachedLookup::new(MAX_TENANTS, |_, tenant: &Tenant| tenant.id, lease.clone())),
            lease: lease.clone(),
            keys: CacheKeys::new(seed),
            slugs: SlugKeys::default(),
        }
    }

    /// What of what was read may be trusted now.
    pub fn vouch<V>(&self, read: Unvalidated<V>) -> Option<V> {
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
