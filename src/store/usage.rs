//! When secrets were last used.

use super::{Error, Store};
use crate::domain::{LookupDigest, TenantId, Timestamp};

/// One use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Whose secret.
    pub tenant: TenantId,
    /// Which one.
    pub lookup_digest: LookupDigest,
    /// When.
    pub at: Timestamp,
}

impl Store {
    /// Notes a batch of uses, of any number of tenants: one statement. Each secret at most once.
    pub async fn record_use(&self, batch: &[Use]) -> Result<(), Error> {
        let tenants: Vec<_> = batch.iter().map(|used| used.tenant.0).collect();
        let digests: Vec<_> = batch.iter().map(|used| used.lookup_digest.as_bytes().to_vec()).collect();
        let times: Vec<_> = batch.iter().map(|used| used.at).collect();
        // Twice does no harm: an older time never replaces a newer one.
        retrying!(
            self.pool,
            sqlx::query!("SELECT record_use($1, $2, $3)", &tenants, &digests, &times).execute(&self.pool)
        )?;
        Ok(())
    }
}
