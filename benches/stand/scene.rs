//! The fixture of a benchmark: a database with a tenant and keys.

use rally_api_keys::{domain::Tenant, store::TenantAdmin};

use super::{
    Outcome,
    keys::{self, Key},
    postgres::Database,
};

/// A database with a tenant and its keys.
pub struct Scene {
    pub database: Database,
    pub tenant: Tenant,
    /// With stamps.
    pub keys: Vec<Key>,
}

impl Scene {
    pub async fn seed(database: Database, count: usize) -> Outcome<Self> {
        let mut admin = TenantAdmin::connect(&database.url()).await?;
        let tenant = keys::tenant(&mut admin, "faults").await?;
        let keys = keys::generate(std::slice::from_ref(&tenant), count);
        keys::copy_stamped(&mut database.connect().await?, &keys).await?;
        Ok(Self { database, tenant, keys })
    }

    /// Keys that nothing else uses.
    pub async fn fresh_keys(&self, count: usize) -> Outcome<Vec<Key>> {
        let keys = keys::generate(std::slice::from_ref(&self.tenant), count);
        keys::copy_stamped(&mut self.database.connect().await?, &keys).await?;
        Ok(keys)
    }
}
