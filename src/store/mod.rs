//! PostgreSQL: the only room that names sqlx.
//!
//! The app opens a [`Database`] and gives its parts to the rooms: [`TenantStores`] and [`Lookups`] to `auth`,
//! [`UsageStore`] to `usage`, [`IdleKeyStore`] and [`LeakStore`] to the jobs of the app. A handler gets one tenant's [`TenantStore`], from `http::authorized`, and no other part.
//! All of them work under the role `rally_app`, which row-level security binds. [`TenantAdmin`], for the command line,
//! connects by itself.
//!
//! # Cancellation
//! In sqlx 0.9.0 a `begin` that is dropped half-way leaves its connection with an open transaction, tenant included, for
//! the next borrower. So transactions are of our own ([`transaction`]): a connection whose statement was dropped is
//! closed. Single statements on a pool may be dropped. The test
//! `cancelled_requests_leave_no_open_transactions_and_no_partial_writes` cancels thousands.

mod api_keys;
mod audit_log;
mod batcher;
mod callers;
mod connect;
mod connection_turns;
mod database;
mod database_url;
mod diagnostics;
mod feed_server;
mod idempotency;
mod idle_keys;
mod key_list;
mod known_revocations;
mod leaks;
mod limited;
mod limits;
mod lookups;
mod migrate;
mod notifications;
mod policies;
mod pool_metrics;
mod retry;
mod revocation_export;
mod safeguards;
mod secrets;
mod statements;
mod tenant_admin;
mod tenants;
mod transaction;
mod usage;

use std::{io, time::Duration};

use uuid::Uuid;

use crate::{domain::Timestamp, turns::Overloaded};

pub use api_keys::{KeyFilter, Revocation};
pub use audit_log::{EventFilter, Link, SecretAlert, SecretAlertKind};
pub use batcher::LookupResult;
pub use callers::{CallerUsage, KeyCaller, SecretCaller};
pub use connect::{ConnectError, Durability, check_direct, create_database};
pub use database::{Database, PoolSettings};
pub use database_url::DatabaseUrl;
pub use diagnostics::{Finding, Inspected, Level, inspect};
pub use feed_server::{FeedServer, ServerIdentity};
pub use idempotency::{Claim, Derivation, IdempotencyRecord, RecordedResponse};
pub(crate) use idle_keys::IdleKey;
pub use idle_keys::IdleKeyStore;
pub use key_list::{KeyOrder, MAX_COUNTED, SortBy};
pub use known_revocations::KnownRevocations;
pub use leaks::LeakStore;
pub(crate) use leaks::{LockedSecret, ReportedSecret};
pub use lookups::Lookups;
pub use migrate::migrate;
pub use notifications::{Change, ChangeFeed, MessageSender, Notification, Sent};
pub(crate) use policies::ViolatingKey;
pub use secrets::NewSecret;
pub(crate) use secrets::SecretRow;
pub use tenant_admin::{NameTaken, TenantAdmin, TenantRow};
pub use transaction::{ChainHead, ChangeObserver, Locked, ReadTx, TenantStore, TenantStores, WriteTx};
pub use usage::{LastUse, QuotaTotal, RecordedUsage, RemovedCallers, SecretUsage, SecretUse, UsageBatch, UsageStore};

/// Limit of a lookup, once it has a connection.
pub const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// What a caller can distinguish.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, is overloaded, or gave up on the statement. A later attempt may succeed; it is
    /// unknown whether what was being written is durable.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// As [`Self::Unavailable`]: no response within the limit.
    #[error("the database did not respond in time")]
    TooSlow,
    /// Too many calls wait for a connection, or the tenant's turn did not come in time.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// A defect of the program or of the schema.
    #[error("the database refused the statement, or its response was not as expected: {0}")]
    Internal(#[source] sqlx::Error),
    /// A value that the domain does not allow.
    #[error("a row of {table} has an invalid {column}")]
    BadRow {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
    },
}

impl Error {
    /// The database cannot be reached, which the change feed reports for all.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        let timed_out = |error: &sqlx::Error| matches!(error, sqlx::Error::PoolTimedOut);
        matches!(self, Self::Unavailable(error) if retry::is_connection_loss(error) || timed_out(error))
    }

    /// A query or stored data are at fault: another attempt fails, too.
    #[must_use]
    pub const fn is_defect(&self) -> bool {
        matches!(self, Self::Internal(_) | Self::BadRow { .. })
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::TooSlow,
            error if is_transient(&error) => Self::Unavailable(error),
            error => Self::Internal(error),
        }
    }
}

/// Whether a later attempt may succeed.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        // For example of a proxy that closes the connection, since no server is behind it.
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            matches!(&code[..2], "08" | "40" | "53" | "57" | "58")
                // 54000: the queue of notifications is full, at a commit that notifies.
                || matches!(&*code, "25006" | "25P03" | "54000" | "55P03")
        }),
        _ => false,
    }
}

/// What a list is ordered by, of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortValue {
    /// A time.
    Time(Timestamp),
    /// A text.
    Text(String),
    /// The item has no such time.
    Absent,
}

/// A position in an ordered list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// What the list is ordered by.
    pub value: SortValue,
    /// The item's id, which orders items of the same value.
    pub id: Uuid,
}

impl Position {
    /// In a list that is ordered by a time that every item has.
    #[must_use]
    pub const fn at(time: Timestamp, id: Uuid) -> Self {
        Self { value: SortValue::Time(time), id }
    }

    fn time(&self) -> Option<Timestamp> {
        if let SortValue::Time(time) = &self.value { Some(*time) } else { None }
    }
}

/// A part of such a list.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// At most as many items; `None`: all.
    pub limit: Option<i64>,
    /// The items of all pages are counted.
    pub counted: bool,
    /// Only items after this position.
    pub after: Option<Position>,
}

/// The items of a page.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// The items of this page.
    pub items: Vec<T>,
    /// The number of items on all pages; unspecified unless [`Page::counted`]. `None`: more than [`MAX_COUNTED`].
    pub total: Option<i64>,
}
