//! The look-up of a request's tenant.

use super::{CHECK_TIMEOUT, Error, Store};
use crate::domain::{Slug, Tenant, TenantId};

impl Store {
    /// The tenant of that slug, if it exists and is not suspended. One round trip.
    pub async fn find_tenant(&self, slug: &Slug) -> Result<Option<Tenant>, Error> {
        let row = within!(CHECK_TIMEOUT, self.checks, |connection| sqlx::query!(
            r#"SELECT id AS "id!", suspended AS "suspended!" FROM find_tenants(ARRAY[$1::text])"#,
            slug.as_str()
        )
        .fetch_optional(connection))?;
        Ok(row.filter(|row| !row.suspended).map(|row| Tenant { id: TenantId(row.id), slug: *slug }))
    }
}
