//! What authentication needs of the database, across tenants.

use futures_util::future::join_all;
use sqlx::{Executor as _, PgConnection, PgPool};
use tokio::time::timeout;
use tracing::warn;
use uuid::Uuid;

use super::{
    CHECK_TIMEOUT, Error, LookupResult, TenantStores,
    batcher::{BatchedStatement as _, Batcher},
    feed_server::FeedServer,
    retry::retry_within,
    secrets::{FindSecrets, SecretRow},
    statements::{SingleStatement, Statements},
    tenants::FindTenants,
};
use crate::domain::{LookupDigest, Slug, Tenant, TenantId};

/// Looks tenants and secrets up, with a connection pool of its own, apart from the one for changes of keys.
#[derive(Clone)]
pub struct Lookups {
    pool: PgPool,
    tenants: Batcher<FindTenants>,
    secrets: Batcher<FindSecrets>,
    tenant_stores: TenantStores,
}

impl Lookups {
    pub(super) fn new(
        pool: PgPool,
        statements: Statements,
        tenant_stores: TenantStores,
        feed_server: &FeedServer,
    ) -> Self {
        let tenants = Batcher::new(pool.clone(), statements, feed_server.clone());
        let secrets = Batcher::new(pool.clone(), statements, feed_server.clone());
        Self { pool, tenants, secrets, tenant_stores }
    }

    /// The tenant of that slug, if it exists and is not suspended. One round trip.
    pub(crate) async fn find_tenant(&self, slug: &Slug) -> LookupResult<Tenant> {
        Ok(self.tenants.find(*slug).await?.flatten())
    }

    /// The row of a presented secret, in whatever state. One round trip.
    pub(crate) async fn find_secret(&self, tenant: TenantId, digest: LookupDigest) -> LookupResult<SecretRow> {
        let mut row = self.secrets.find((tenant.0, digest)).await?;
        if let Some(row) = &mut row {
            let known = &self.tenant_stores.known_revocations;
            row.revoked_at = known.revoked_at(tenant, row.key_id, row.revoked_at);
            row.secret_ended_at = known.ended_at(tenant, row.key_id, digest, row.secret_ended_at);
        }
        Ok(row)
    }

    /// Replaces the stamp `previous`, or none, of a secret by one under the current pepper. False: the row has another
    /// stamp by now.
    pub(crate) async fn renew_stamp(
        &self,
        tenant: TenantId,
        digest: LookupDigest,
        previous: Option<&[u8]>,
        stamp: &[u8; 32],
        pepper_id: &str,
    ) -> Result<bool, Error> {
        let mut transaction = self.tenant_stores.tenant(tenant).begin_maintenance().await?;
        let done = sqlx::query!(
            "UPDATE public.api_key_secrets
             SET stamp = $3, pepper_id = $4
             WHERE tenant_id = $1 AND lookup_digest = $2 AND stamp IS NOT DISTINCT FROM $5",
            tenant.0,
            digest.as_bytes(),
            &stamp[..],
            pepper_id,
            previous,
        )
        .execute(transaction.session())
        .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether the database responds, on a connection for changes of keys.
    pub async fn ping(&self) -> Result<(), Error> {
        let pool = &self.tenant_stores.pool;
        // Behind a pooler, too: a statement without arguments is not prepared.
        retry_within!(CHECK_TIMEOUT, pool, Statements::Named, |session| session.execute("SELECT 1")).map(drop)
    }

    /// Lookups in the queues.
    pub(super) fn waiting(&self) -> usize {
        self.tenants.waiting() + self.secrets.waiting()
    }

    /// Opens all connections and has each prepare and plan the statements, so that the first lookups do not wait for
    /// that while everything else is busy. Failures do not delay the start: a table may be locked, the network silent.
    pub(super) async fn warm_up(&self) {
        let wanted = self.pool.options().get_max_connections();
        // Held until all are open: a connection that was given back would be lent again.
        let held = join_all((0..wanted).map(|_| self.pool.acquire())).await;
        let warming = held.into_iter().map(|connection| async move {
            let mut connection = connection?;
            if let Ok(outcome) = timeout(CHECK_TIMEOUT, prepare(&mut connection, self.tenant_stores.statements)).await {
                return outcome.map_err(Error::from);
            }
            connection.close_on_drop();
            Err(Error::TooSlow)
        });
        let outcomes = join_all(warming).await;
        let open = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        if let Some(error) = outcomes.into_iter().find_map(Result::err) {
            warn!(
                open,
                wanted,
                %error,
                "could not open all connections for checks of API keys (DATABASE_CHECK_CONNECTIONS); they are opened when \
                 they are needed. If PostgreSQL responds: do its max_connections, or the default_pool_size of a pooler, \
                 suffice for all instances?"
            );
        }
    }
}

async fn prepare(connection: &mut PgConnection, statements: Statements) -> Result<(), sqlx::Error> {
    let mut single = SingleStatement::begin(connection, statements).await?;
    if let Ok(slug) = Slug::parse("a") {
        FindTenants::find(single.session(), &[slug]).await?;
    }
    FindSecrets::find(single.session(), &[(Uuid::nil(), LookupDigest::NONE)]).await?;
    single.end().await
}
