//! The batched statement that looks tenants up.

use super::{
    batcher::{BatchedStatement, PlacedRow},
    statements::Session,
};
use crate::domain::{ExternalId, Slug, Tenant, TenantId};

/// Finds tenants by slug; a suspended one is as good as none.
pub(super) struct FindTenants;

impl BatchedStatement for FindTenants {
    type Key = Slug;
    type Row = Option<Tenant>;

    async fn find(session: Session<'_>, slugs: &[Slug]) -> Result<Vec<PlacedRow<Option<Tenant>>>, sqlx::Error> {
        let texts: Vec<_> = slugs.iter().map(Slug::as_str).collect();
        let rows = sqlx::query!(
            r#"SELECT place AS "place!", id AS "id!", suspended AS "suspended!", external_id
               FROM public.find_tenants($1)"#,
            &texts as &[&str],
        )
        .fetch_all(session)
        .await?;
        let found = rows.into_iter().filter_map(|row| {
            let slug = *slugs.get(usize::try_from(row.place).ok()?.checked_sub(1)?)?;
            let external_id = row.external_id.as_deref().map(ExternalId::of);
            let tenant = Tenant { id: TenantId(row.id), slug, external_id };
            Some((row.place, Ok((!row.suspended).then_some(tenant))))
        });
        Ok(found.collect())
    }
}
