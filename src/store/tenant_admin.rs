//! The one way around the tenants' row-level security: for the command line, and for making
//! the demo tenant.

use sqlx::{Executor as _, PgConnection};
use uuid::Uuid;

use super::{ConnectError, DatabaseUrl, Error};
use crate::domain::{Slug, TenantId, Timestamp};

/// A connection under the role `rally_operator`, which manages tenants and sees no keys.
#[derive(Debug)]
pub struct TenantAdmin {
    connection: PgConnection,
}

/// A tenant as the command line lists it.
#[derive(Clone, Debug)]
pub struct TenantRow {
    /// Its key in the database.
    pub id: TenantId,
    /// Its name in the host.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it is not served.
    pub suspended_at: Option<Timestamp>,
}

impl TenantAdmin {
    /// Connects. The login must be able to work under `rally_operator`, as whoever migrated can.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, ConnectError> {
        let mut connection =
            url.connect().await.map_err(|source| ConnectError::Unreachable { url: url.to_string(), source })?;
        if let Err(error) = connection.execute("SET ROLE rally_operator").await {
            let role = sqlx::query_scalar("SELECT session_user::text").fetch_one(&mut connection).await?;
            return Err(match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
                // Insufficient privilege; and no such role, before the first migration.
                Some("42501") => ConnectError::NotOperator(role),
                Some("22023") => ConnectError::NotMigrated { missing: 1, role },
                _ => error.into(),
            });
        }
        Ok(Self { connection })
    }

    /// Makes a tenant. Tells its id, or none when the slug is taken.
    pub async fn create_tenant(&mut self, slug: &Slug, name: &str, now: Timestamp) -> Result<Option<TenantId>, Error> {
        let id = sqlx::query_scalar!(
            "INSERT INTO tenants (id, slug, name, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (slug) DO NOTHING
             RETURNING id",
            Uuid::now_v7(),
            slug.as_str(),
            name,
            now,
        )
        .fetch_optional(&mut self.connection)
        .await?;
        Ok(id.map(TenantId))
    }

    /// Every tenant, by slug.
    pub async fn tenants(&mut self) -> Result<Vec<TenantRow>, Error> {
        let rows = sqlx::query!("SELECT id, slug, name, created_at, suspended_at FROM tenants ORDER BY slug")
            .fetch_all(&mut self.connection)
            .await?;
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

    /// Takes a tenant out of service since `at`, or (none) back into it. Tells whether it exists.
    pub async fn set_suspended(&mut self, slug: &Slug, at: Option<Timestamp>) -> Result<bool, Error> {
        let done = sqlx::query!(
            // A tenant that is suspended already keeps the moment at which it was.
            "UPDATE tenants
             SET suspended_at = CASE WHEN $2::timestamptz IS NULL THEN NULL ELSE coalesce(suspended_at, $2) END
             WHERE slug = $1",
            slug.as_str(),
            at,
        )
        .execute(&mut self.connection)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
