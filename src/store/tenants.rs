//! The batched statement that looks tenants up.

use super::{
    batcher::{BatchedStatement, PlacedRow},
    statements::Session,
};
use crate::domain::{Slug, TenantId};

/// Finds tenants by slug; a suspended one is as good as none.
pub(super) struct FindTenants;

impl BatchedStatement for FindTenants {
    type Key = Slug;
    type Row = Option<TenantId>;

    async fn find(session: Session<'_>, slugs: &[Slug]) -> Result<Vec<PlacedRow<Option<TenantId>>>, sqlx::Error> {
        let slugs: Vec<_> = slugs.iter().map(Slug::as_str).collect();
        let rows = sqlx::query!(
            r#"SELECT place AS "place!", id AS "id!", suspended AS "suspended!" FROM public.find_tenants($1)"#,
            &slugs as &[&str],
        )
        .fetch_all(session)
        .await?;
        Ok(rows.into_iter().map(|row| (row.place, Ok((!row.suspended).then_some(TenantId(row.id))))).collect())
    }
}
