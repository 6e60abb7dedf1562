//! Administration of tenants, for the command line and the demo.

use sqlx::{Connection as _, Executor as _, PgConnection, Postgres, Row as _, Transaction, postgres::PgQueryResult};
use uuid::Uuid;

use super::{ConnectError, DatabaseUrl, Error, connect::connect_in_time, statements::Session};
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
    /// How an issuer of tokens names it.
    pub external_id: Option<String>,
}

/// The slug or the external id is another tenant's name, or the tenant's slug is taken.
#[derive(Clone, Copy, Debug)]
pub struct NameTaken;

impl TenantAdmin {
    /// Connects. The login must be a member of `rally_operator`, as the one that migrated is.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, ConnectError> {
        let connection = connect_in_time(url).await.map_err(|source| ConnectError::unreachable(url, source))?;
        let mut admin = Self { connection };
        let begun = admin.begin().await.map(drop);
        let state = admin
            .connection
            .fetch_one("SELECT session_user::pg_catalog.text, pg_catalog.to_regclass('public.tenants') IS NULL")
            .await?;
        let (role, is_empty): (_, bool) = (state.try_get(0)?, state.try_get(1)?);
        if is_empty {
            return Err(ConnectError::NotMigrated { missing: 1, role });
        }
        match begun {
            Ok(()) => Ok(admin),
            Err(error) => Err(match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
                Some("42501") => ConnectError::NotOperator(role),
                _ => error.into(),
            }),
        }
    }

    async fn begin(&mut self) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        self.connection.begin_with("SET LOCAL ROLE rally_operator; SET LOCAL search_path = ''; BEGIN").await
    }

    /// Creates a tenant. `None`: the slug is taken.
    pub async fn create_tenant(&mut self, slug: &Slug, name: &str, now: Timestamp) -> Result<Option<TenantId>, Error> {
        Ok(self.create_tenant_known_as(slug, name, None, now).await?.ok())
    }

    /// Creates a tenant with an external id, which must be a valid one.
    pub async fn create_tenant_known_as(
        &mut self,
        slug: &Slug,
        name: &str,
        external_id: Option<&str>,
        now: Timestamp,
    ) -> Result<Result<TenantId, NameTaken>, Error> {
        let mut transaction = self.begin().await?;
        let id = sqlx::query_scalar!(
            "INSERT INTO public.tenants (id, slug, name, created_at, external_id) VALUES ($1, $2, $3, $4, $5) RETURNING id",
            Uuid::now_v7(),
            slug.as_str(),
            name,
            now,
            external_id,
        )
        .fetch_one(Session::unnamed(&mut transaction))
        .await;
        let id = match unless_taken(id)? {
            Ok(id) => id,
            Err(taken) => return Ok(Err(taken)),
        };
        transaction.commit().await?;
        Ok(Ok(TenantId(id)))
    }

    /// Sets a tenant's external id, which must be a valid one, or (`None`) removes it. False: there is no such tenant.
    pub async fn set_external_id(
        &mut self,
        slug: &Slug,
        external_id: Option<&str>,
    ) -> Result<Result<bool, NameTaken>, Error> {
        let mut transaction = self.begin().await?;
        let done =
            sqlx::query!("UPDATE public.tenants SET external_id = $2 WHERE slug = $1", slug.as_str(), external_id)
                .execute(Session::unnamed(&mut transaction))
                .await;
        commit_naming(transaction, done).await
    }

    /// Changes what is given of a tenant's slug and name. False: there is no such tenant.
    pub async fn rename_tenant(
        &mut self,
        slug: &Slug,
        new_slug: Option<&Slug>,
        new_name: Option<&str>,
    ) -> Result<Result<bool, NameTaken>, Error> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query!(
            "UPDATE public.tenants SET slug = coalesce($2, slug), name = coalesce($3, name) WHERE slug = $1",
            slug.as_str(),
            new_slug.map(Slug::as_str),
            new_name,
        )
        .execute(Session::unnamed(&mut transaction))
        .await;
        commit_naming(transaction, done).await
    }

    /// Deletes a tenant with all of its rows, in one transaction. False: there is no such tenant.
    pub async fn delete_tenant(&mut self, id: TenantId) -> Result<bool, Error> {
        let mut transaction = self.begin().await?;
        // The tenant first: the policies let the rest be deleted only once it is gone. Its lock keeps others from adding
        // to it.
        transaction.execute("SET CONSTRAINTS ALL DEFERRED").await?;
        let deleted = sqlx::query!("DELETE FROM public.tenants WHERE id = $1", id.0)
            .execute(Session::unnamed(&mut transaction))
            .await?;
        sqlx::query_scalar!("SELECT set_config('rally.deleted_tenant', $1, true)", id.to_string())
            .fetch_one(Session::unnamed(&mut transaction))
            .await?;
        // The policies select the tenant's rows. The lock waits for batches of usage that have seen the tenant; later ones wait
        // for this transaction.
        transaction
            .execute(
                "DELETE FROM public.api_key_idempotency_records;
                 DELETE FROM public.api_key_secrets; DELETE FROM public.api_key_events;
                 DELETE FROM public.api_key_event_heads; DELETE FROM public.api_key_texts;
                 DELETE FROM public.api_key_policies; DELETE FROM public.api_keys;
                 SELECT pg_advisory_xact_lock(x'72616c6c79757365'::bigint);
                 DELETE FROM public.api_key_usage; DELETE FROM public.api_key_last_uses;
                 DELETE FROM public.api_key_callers; DELETE FROM public.api_key_quota_usage",
            )
            .await?;
        transaction.commit().await?;
        Ok(deleted.rows_affected() == 1)
    }

    /// All tenants, by slug.
    pub async fn tenants(&mut self) -> Result<Vec<TenantRow>, Error> {
        let mut transaction = self.begin().await?;
        let rows = sqlx::query!(
            "SELECT id, slug, name, created_at, suspended_at, external_id FROM public.tenants ORDER BY slug"
        )
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
                external_id: row.external_id,
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

/// Commits a change of a tenant's slug, name or external id, unless a name is taken. False: there is no such tenant.
async fn commit_naming(
    transaction: Transaction<'_, Postgres>,
    outcome: Result<PgQueryResult, sqlx::Error>,
) -> Result<Result<bool, NameTaken>, Error> {
    match unless_taken(outcome)? {
        Ok(done) => {
            transaction.commit().await?;
            Ok(Ok(done.rows_affected() == 1))
        }
        Err(taken) => Ok(Err(taken)),
    }
}

fn unless_taken<T>(outcome: Result<T, sqlx::Error>) -> Result<Result<T, NameTaken>, Error> {
    match outcome {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(Err(NameTaken)),
        other => Ok(Ok(other?)),
    }
}
