//! The batched statement that looks tenants up, and the name of one.

use super::{
    Error, ReadTx,
    batcher::{BatchedStatement, Found},
    feed_server::ServerIdentity,
    statements::Session,
};
use crate::domain::{ExternalId, Slug, Tenant, TenantId};

/// Finds tenants by slug; a suspended one is as good as none.
pub(super) struct FindTenants;

impl BatchedStatement for FindTenants {
    type Key = Slug;
    type Row = Option<Tenant>;

    async fn find(session: Session<'_>, slugs: &[Slug]) -> Result<Found<Option<Tenant>>, sqlx::Error> {
        let texts: Vec<_> = slugs.iter().map(Slug::as_str).collect();
        let rows = sqlx::query!(
            r#"SELECT place AS "place!", id AS "id!", suspended AS "suspended!", external_id,
                      (SELECT public.server_identity()) AS server
               FROM public.find_tenants($1)"#,
            &texts as &[&str],
        )
        .fetch_all(session)
        .await?;
        let server = ServerIdentity::parse(rows.first().and_then(|row| row.server.clone()));
        let rows = rows.into_iter().filter_map(|row| {
            let slug = *slugs.get(usize::try_from(row.place).ok()?.checked_sub(1)?)?;
            let external_id = row.external_id.as_deref().map(ExternalId::of);
            let tenant = Tenant { id: TenantId(row.id), slug, external_id };
            Some((row.place, Ok((!row.suspended).then_some(tenant))))
        });
        Ok(Found { server, rows: rows.collect() })
    }
}

impl ReadTx {
    /// The tenant's name. `None`: it has another slug by now.
    pub async fn tenant_name(&mut self, slug: &Slug) -> Result<Option<String>, Error> {
        // Row-level security shows a tenant by its slug.
        sqlx::query_scalar!("SELECT set_config('rally.tenant_slug', $1, true)", slug.as_str())
            .fetch_one(self.transaction.session())
            .await?;
        Ok(sqlx::query_scalar!(
            "SELECT name FROM public.tenants WHERE slug = $1 AND id = $2",
            slug.as_str(),
            self.tenant.0,
        )
        .fetch_optional(self.transaction.session())
        .await?)
    }
}
