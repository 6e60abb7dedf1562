//! Sums of what was noted of keys' use: made before anybody reads a tenant's figures, and some while after they were
//! noted.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};
use tracing::warn;

use super::{Error, Store, TenantStore, TenantTransaction};
use crate::domain::TenantId;

/// So many notes are summed up in one transaction, while readers of the tenant's figures, and rotations, wait: up to a
/// second or two, where each is of another key.
const AT_MOST: i64 = 40_000;
/// Whoever reads figures waits so long for what was noted before; then older ones are shown.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// The same of whoever has changed a key.
const READ_SOON: Duration = Duration::from_secs(3);
/// Whoever is to change secrets tries for so long, and then waits for so long for one of a few places in the queue.
const TRY_FOR: Duration = Duration::from_millis(500);
const PLACE_WITHIN: Duration = Duration::from_secs(2);
const PLACES: usize = 2;
/// All look again so often, without a connection meanwhile, since others need one.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(PLACES))
}

impl Store {
    /// Sums up a part of what was noted of these tenants, so that whoever reads their figures finds it there; tells
    /// whether none is left. Waits for nobody who is at it.
    pub async fn sum_up_usage(&self, tenants: &[TenantId]) -> Result<bool, Error> {
        let tenants: Vec<_> = tenants.iter().map(|tenant| tenant.0).collect();
        Ok(retrying!(
            self.pool,
            sqlx::query_scalar!(r#"SELECT sum_up_usage($1, $2) AS "is_done!""#, &tenants, AT_MOST)
                .fetch_one(&self.pool)
        )?)
    }
}

impl TenantStore {
    /// Opens a transaction for reading keys, in which the figures have all that had been noted when it was asked for.
    /// A database that refuses to sum that up (its disk is full, say) keeps nobody from reading the rest: whoever has a
    /// key to revoke is shown older figures rather than none.
    pub async fn begin_reading(&self) -> Result<TenantTransaction, Error> {
        self.begin_with_sums(READ_WITHIN).await
    }

    /// The same for who has something else to tell than figures, and does not wait for them for long.
    pub async fn begin_reading_soon(&self) -> Result<TenantTransaction, Error> {
        self.begin_with_sums(READ_SOON).await
    }

    async fn begin_with_sums(&self, within: Duration) -> Result<TenantTransaction, Error> {
        let begun = Instant::now();
        let mut newest = None;
        loop {
            let mut transaction = self.begin().await?;
            // What is noted from now on, nobody here waits for: of keys in constant use that would never end.
            newest = transaction.newest_note(newest).await?;
            if newest.is_none() {
                return Ok(transaction);
            }
            let why = if begun.elapsed() < within {
                match transaction.try_to_sum_up_usage().await? {
                    Ok(is_done) => {
                        // Whoever goes on to read holds no locks.
                        transaction.commit().await?;
                        if !is_done {
                            sleep(PAUSE).await;
                        }
                        continue;
                    }
                    Err(why) => why,
                }
            } else {
                "it takes too long".to_owned()
            };
            warn!(why, tenant_id = %self.tenant, "cannot sum up what API keys were used for: older figures are shown");
            return Ok(transaction);
        }
    }

    /// Opens a transaction for changing secrets: whoever sums up usage locks them too, in an order of its own, so they
    /// do it one after the other.
    pub async fn begin_changing_secrets(&self) -> Result<TenantTransaction, Error> {
        let begun = Instant::now();
        while begun.elapsed() < TRY_FOR {
            let mut transaction = self.begin().await?;
            if transaction.try_to_keep_sums_away().await? {
                return Ok(transaction);
            }
            transaction.commit().await?;
            sleep(PAUSE).await;
        }
        // Among many who try now and then, it may be anybody's turn. The database keeps a queue, before which they have
        // to wait.
        let Ok(Ok(_place)) = timeout(PLACE_WITHIN, self.store.places.acquire()).await else {
            return Err(Error::SummingUp);
        };
        let mut transaction = self.begin().await?;
        transaction.keep_sums_away().await?;
        Ok(transaction)
    }
}

impl TenantTransaction {
    /// The newest note that is not summed up yet, or the newest but those after that one.
    async fn newest_note(&mut self, but_after: Option<i64>) -> Result<Option<i64>, Error> {
        Ok(sqlx::query_scalar!(
            "SELECT max(id) FROM api_key_usage_notes WHERE tenant_id = $1 AND id <= coalesce($2, id)",
            self.tenant.0,
            but_after,
        )
        .fetch_one(&mut *self.transaction)
        .await?)
    }

    /// Sums up a part of what was noted of the tenant's keys, and tells whether none is left; or why it cannot be.
    async fn try_to_sum_up_usage(&mut self) -> Result<Result<bool, String>, Error> {
        let sums = sqlx::query!(
            r#"SELECT is_done AS "is_done!", problem FROM try_to_sum_up_usage($1, $2)"#,
            self.tenant.0,
            AT_MOST,
        )
        .fetch_one(&mut *self.transaction)
        .await?;
        Ok(sums.problem.map_or(Ok(sums.is_done), Err))
    }

    /// Until the transaction ends, nobody sums up the tenant's usage. Tells whether nobody does now.
    async fn try_to_keep_sums_away(&mut self) -> Result<bool, Error> {
        Ok(sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_xact_lock(hashtextextended('rally-api-keys usage ' || $1::uuid, 0)) AS "is_ours!""#,
            self.tenant.0,
        )
        .fetch_one(&mut *self.transaction)
        .await?)
    }

    /// The same, as soon as whoever does so is done with a part.
    async fn keep_sums_away(&mut self) -> Result<(), Error> {
        sqlx::query!(
            "SELECT FROM pg_advisory_xact_lock(hashtextextended('rally-api-keys usage ' || $1::uuid, 0))",
            self.tenant.0,
        )
        .execute(&mut *self.transaction)
        .await?;
        Ok(())
    }
}
