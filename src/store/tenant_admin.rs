//! Administration of tenants, for the command line and the demo.

use sqlx::{Connection as _, Executor as _, PgConnection, Postgres, Row as _, Transaction};
use uuid::Uuid;

use super::{ConnectError, DatabaseUrl, Error, statements::Session};
use crate::domain::{Slug, TenantId, Timestamp};

/// A connection whose transactions work under the role `rally_operator`, which manages tenants and sees no keys.
#[derive(Debug)]
pub struct TenantAdmin {
    connection: PgConnection,
}

/// A tenant as the command line lists it.
#[derive(Clone, Debug)]
pub struct TenantRow {
    /// The primary key.
    pub id: TenantId,
    /// The first label of the tenant's host.
    pub slug: String,
    /// Shown to users.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// Set while requests for it are refused.
    pub suspended_at: Option<Timestamp>,
}

impl TenantAdmin {
    /// Connects. The login must be a member of `rally_operator`, as the one that migrated is.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, ConnectError> {
        let connection =
            url.connect().await.map_err(|source| ConnectError::Unreachable { url: url.to_string(), source })?;
        let mut admin = Self { connection };
        let begun = admin.begin().await.map(drop);
        if let Err(error) = begun {
            let role = admin.connection.fetch_one("SELECT session_user::pg_catalog.text").await?.try_get(0)?;
            return Err(match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
                // Insufficient privilege; and no such role, before the first migration.
                Some("42501") => ConnectError::NotOperator(role),
                Some("22023") => ConnectError::NotMigrated { missing: 1, role },
                _ => error.into(),
            });
        }
        Ok(admin)
    }

    async fn begin(&mut self) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        self.connection.begin_with("SET LOCAL ROLE rally_operator; SET LOCAL search_path = ''; BEGIN").await
    }

    /// Creates a tenant. `None`: the slug is taken.
    pub async fn create_tenant(&mut self, slug: &Slug, name: &str, now: Timestamp) -> Result<Option<TenantId>, Error> {
        let mut transaction = self.begin().await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO public.tenants (id, slug, name, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (slug) DO NOTHING
             RETURNING id",
            Uuid::now_v7(),
            slug.as_str(),
            name,
            now,
        )
        .fetch_optional(Session::unnamed(&mut transaction))
        .await?;
        transaction.commit().await?;
        Ok(id.map(TenantId))
    }

    /// All tenants, by slug.
    pub async fn tenants(&mut self) -> Result<Vec<TenantRow>, Error> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query!("SELECT id, slug, name, created_at, suspended_at FROM public.tenants ORDER BY slug")
            .fetch_all(Session::unnamed(&mut transaction))
            .await?;
        transaction.commit().await?;
        Ok(rows
            .into_iter()
            .map(|row| TenantRow {
                id: TenantId(row.id),
                slug: row.slug,
                name: row.name,
                created_at: row.created_at,
                suspended_at: row.suspended_at,
            })
            .collect())
    }

    /// Suspends a tenant as of `at`, or (`None`) resumes it. False: there is no such tenant.
    pub async fn set_suspended(&mut self, slug: &Slug, at: Option<Timestamp>) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query!(
            // A suspended tenant keeps the time of its suspension.
            "UPDATE public.tenants
             SET suspended_at = CASE WHEN $2::timestamptz IS NULL THEN NULL ELSE coalesce(suspended_at, $2) END
             WHERE slug = $1",
            slug.as_str(),
            at,
        )
        .execute(Session::unnamed(&mut transaction))
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }
}
