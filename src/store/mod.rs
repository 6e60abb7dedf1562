//! PostgreSQL: the only room that names sqlx.
//!
//! [`Store`] holds the pool and gives out two things: look-ups that the way of every request
//! needs ([`Store::find_tenant`], [`Store::find_secret`]), and [`TenantStore`], the only value
//! on which a tenant's keys can be read or written. Whatever goes through them works under a
//! role that row-level security binds; [`TenantAdmin`] is the one way around it, for the command
//! line.
//!
//! # Cancellation
//! In sqlx 0.9 a `begin` that is dropped half-way leaves its connection with an open
//! transaction, tenant included, for the next borrower. So nothing in here may be dropped
//! half-way but single statements ([`Store::record_usage`], [`Store::remove_usage_before`]): requests run in
//! tasks of their own (`http`'s detach layer), and the test `cancelled_requests_leave_nothing_behind`
//! cancels thousands.

/// Awaits something that is safe to do twice, again when it failed for a connection that had
/// died in the pool. After a restart of the database every idle connection is such a one, and
/// each failed attempt removes one; testing each before use instead would cost a round trip
/// per request. (A macro, since an async closure's future is not known to be `Send` here.)
macro_rules! retrying {
    ($pool:expr, $attempt:expr) => {{
        let mut left = $pool.options().get_max_connections();
        loop {
            match $attempt.await {
                Err(error) if left > 0 && $crate::store::is_connection_loss(&error) => left -= 1,
                outcome => break outcome.map_err($crate::store::Error::from),
            }
        }
    }};
}

/// The same, and no longer than that, once there is a connection: whoever waits for the answer is better
/// told that it cannot be known. The connection is then closed, and not lent again with half an answer on
/// its way.
macro_rules! within {
    ($limit:expr, $pool:expr, |$connection:ident| $query:expr) => {{
        let mut left = $pool.options().get_max_connections();
        loop {
            let mut held = match $pool.acquire().await {
                Ok(held) => held,
                Err(error) => break Err($crate::store::Error::from(error)),
            };
            let outcome = {
                let $connection = &mut *held;
                tokio::time::timeout($limit, $query).await
            };
            match outcome {
                Ok(Err(error)) if left > 0 && $crate::store::is_connection_loss(&error) => left -= 1,
                Ok(outcome) => break outcome.map_err($crate::store::Error::from),
                Err(_) => {
                    held.close_on_drop();
                    break Err($crate::store::Error::TooSlow);
                }
            }
        }
    }};
}

mod api_keys;
mod audit_log;
mod connect;
mod diagnostics;
mod migrate;
mod notifications;
mod pool_metrics;
mod secret_batcher;
mod tenant_admin;
mod tenants;
mod usage;

use std::{sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, PgPool, Postgres, Transaction};
use uuid::Uuid;

use self::secret_batcher::SecretBatcher;
use crate::domain::{ApiKeyId, Tenant, TenantId, Timestamp};

pub use api_keys::{KeyFilter, NewSecret};
pub use audit_log::{ChainHead, EventFilter, Link, SecretReuse};
pub use connect::{ConnectError, DatabaseUrl, create_database};
pub use diagnostics::{Durability, Finding, inspect};
pub use migrate::migrate;
pub use notifications::{Beat, Change, ChangeFeed, Heart};
pub use secret_batcher::SecretRow;
pub use tenant_admin::{TenantAdmin, TenantRow};
pub use usage::{LastUse, SecretUsage, SecretUse};

/// How long a check waits for the database's answer, once it has a connection.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How the pools are used.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// At most as many connections for managing keys.
    pub max_connections: u32,
    /// At most as many for checking them.
    pub max_check_connections: u32,
    /// How long a request to manage keys waits for one before it is told that the database is
    /// unavailable.
    pub acquire_timeout: Duration,
    /// The same for a check.
    pub check_acquire_timeout: Duration,
}

/// What can go wrong with the database, as far as a caller can act on it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, is overloaded, or gave up on the statement: try again later. What
    /// was being written may or may not have been.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// It did not answer in time.
    #[error("the database did not answer in time")]
    TooSlow,
    /// It refused or answered what cannot be: a defect of ours or of the schema.
    #[error("the database refused: {0}")]
    Internal(#[source] sqlx::Error),
    /// A row holds what the domain does not know.
    #[error("a row of {table} holds a bad {column}")]
    BadRow {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: &'static str,
    },
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_transient(&error) { Self::Unavailable(error) } else { Self::Internal(error) }
    }
}

/// Whether another attempt, later, may succeed.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        // Of a proxy say, that has nobody to pass a new connection on to, and closes it.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            matches!(&code[..2], "08" | "40" | "53" | "57" | "58") || matches!(&*code, "25006" | "25P03" | "55P03")
        }),
        _ => false,
    }
}

/// Whether the connection is gone (and not merely the statement), so that a fresh one may do.
fn is_connection_loss(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| code.starts_with("08") || code.starts_with("57P"))
        }
        _ => false,
    }
}

/// A place in a list that is ordered by a moment and an id, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The item's moment.
    pub at: Timestamp,
    /// Its id, which orders items of the same moment.
    pub id: Uuid,
}

/// Which part of such a list is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// At most as many items; none = all.
    pub limit: Option<i64>,
    /// Only items behind this place.
    pub after: Option<Position>,
}

/// Is told of every key that this instance has changed, before the change is acknowledged.
pub type ChangeObserver = Arc<dyn Fn(TenantId, ApiKeyId) + Send + Sync>;

/// The database, under a role that sees one tenant at a time.
#[derive(Clone)]
pub struct Store {
    /// For managing keys, and for writing their usage.
    pool: PgPool,
    /// For checking them, so that neither starves the other.
    checks: PgPool,
    look_ups: SecretBatcher,
    observer: ChangeObserver,
}

impl Store {
    /// The only way to a tenant's keys.
    #[must_use]
    pub fn tenant(&self, tenant: &Tenant) -> TenantStore {
        TenantStore { store: self.clone(), tenant: tenant.id }
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        retrying!(self.pool, sqlx::query("SELECT 1").execute(&self.pool)).map(drop)
    }

    /// Waits for the connections in use and closes all.
    pub async fn close(&self) {
        self.pool.close().await;
        self.checks.close().await;
    }
}

/// One tenant's part of the database.
#[derive(Clone)]
pub struct TenantStore {
    store: Store,
    tenant: TenantId,
}

impl TenantStore {
    /// Opens a transaction that sees this tenant and no other: one round trip.
    pub async fn begin(&self) -> Result<TenantTransaction, Error> {
        // Locks are not kept for a process that was frozen, either.
        self.begin_as("BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'").await
    }

    /// The same for reading alone, and everything as it is at one moment.
    pub async fn begin_snapshot(&self) -> Result<TenantTransaction, Error> {
        self.begin_as("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await
    }

    async fn begin_as(&self, begin: &str) -> Result<TenantTransaction, Error> {
        // A UUID's text form needs no quoting beyond the quotes. The limits: nobody waits for an
        // answer for longer, and a lock is never kept for who has left. The plans: filters are
        // optional and tenants of very different sizes, so that no plan suits all values; to
        // compile them (JIT), or to start workers for them, takes longer than they run. A tenant's
        // rows are always found by an index, whatever the statistics say of the table's size.
        let begin = format!(
            "{begin}; SET LOCAL rally.tenant_id = '{}'; SET LOCAL statement_timeout = '5s'; \
             SET LOCAL lock_timeout = '3s'; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; \
             SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL enable_seqscan = off",
            self.tenant
        );
        let pool = &self.store.pool;
        let transaction = retrying!(pool, pool.begin_with(AssertSqlSafe(begin.clone())))?;
        let observer = self.store.observer.clone();
        Ok(TenantTransaction { transaction, tenant: self.tenant, changed: Vec::new(), observer })
    }
}

/// A transaction in which the database shows and accepts one tenant's rows alone. Dropped
/// without [`TenantTransaction::commit`], it changes nothing.
pub struct TenantTransaction {
    transaction: Transaction<'static, Postgres>,
    tenant: TenantId,
    /// Keys about which a cache may now be wrong.
    changed: Vec<ApiKeyId>,
    observer: ChangeObserver,
}

impl TenantTransaction {
    /// Makes everything done in it durable. On [`Error::Unavailable`] it is unknown whether it
    /// was.
    ///
    /// Tells the observer of changed keys before it returns, so that nothing that this instance
    /// acknowledges is contradicted by its own cache; also when it is unknown whether the
    /// change was made.
    pub async fn commit(self) -> Result<(), Error> {
        let outcome = self.transaction.commit().await;
        for key in self.changed {
            (self.observer)(self.tenant, key);
        }
        Ok(outcome?)
    }
}
