//! Transactions of one tenant: [`ReadTx`] for reading, [`WriteTx`] for a change.

use std::{ops::Deref, sync::Arc};

use sqlx::{AssertSqlSafe, Executor as _, PgPool, Row as _};

use super::{
    Error, KnownRevocations,
    connection_turns::ConnectionTurns,
    limited::LimitedConnection,
    notifications::read_only,
    retry::is_connection_loss,
    statements::{Session, Statements},
};
use crate::{
    domain::{ApiKeyId, NewEvent, Revision, RevocationRecord, TenantId},
    turns::Turn,
};

const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";
/// `READ WRITE` would override what an operator sets to fence a server off.
const WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SHOW transaction_read_only";
/// A process that was frozen keeps neither locks nor a snapshot for longer.
const END_WHEN_IDLE: &str = "SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// Called for each key that this instance changes, before the change is acknowledged.
pub type ChangeObserver = Arc<dyn Fn(TenantId, ApiKeyId) + Send + Sync>;

/// Gives out the stores of all tenants.
#[derive(Clone)]
pub struct TenantStores {
    pub(super) pool: PgPool,
    pub(super) turns: ConnectionTurns,
    pub(super) statements: Statements,
    pub(super) observer: ChangeObserver,
    pub(super) known_revocations: KnownRevocations,
}

impl TenantStores {
    /// The only way to a tenant's keys.
    #[must_use]
    pub fn tenant(&self, tenant: TenantId) -> TenantStore {
        TenantStore { stores: self.clone(), tenant }
    }
}

/// One tenant's part of the database.
#[derive(Clone)]
pub struct TenantStore {
    stores: TenantStores,
    tenant: TenantId,
}

impl TenantStore {
    /// Begins to read when it is the tenant's turn. One round trip.
    pub async fn begin_read(&self) -> Result<ReadTx, Error> {
        let turn = self.stores.turns.take(self.tenant).await?;
        let transaction = self.begin(&format!("{END_WHEN_IDLE}; {READ}"), Some(turn)).await?;
        Ok(ReadTx { transaction, tenant: self.tenant })
    }

    /// As [`Self::begin_read`], but without a turn, and it may be idle for as long as an export takes: for commands.
    pub async fn begin_export(&self) -> Result<ReadTx, Error> {
        Ok(ReadTx { transaction: self.begin(READ, None).await?, tenant: self.tenant })
    }

    /// Begins a change when it is the tenant's turn. One round trip.
    pub async fn begin_write(&self) -> Result<WriteTx, Error> {
        let turn = self.stores.turns.take(self.tenant).await?;
        self.write(turn).await
    }

    /// As [`Self::begin_write`], for a change that may revoke access: it does not wait for other calls.
    pub async fn begin_revocation(&self) -> Result<WriteTx, Error> {
        let turn = self.stores.turns.take_for_revocation(self.tenant).await?;
        self.write(turn).await
    }

    async fn write(&self, turn: Turn) -> Result<WriteTx, Error> {
        let transaction = self.begin(&format!("{END_WHEN_IDLE}; {WRITE}"), Some(turn)).await?;
        let invalidation =
            Invalidation { tenant: self.tenant, keys: Vec::new(), observer: self.stores.observer.clone() };
        let known_revocations = self.stores.known_revocations.clone();
        let (revocations, tenant) = (Vec::new(), self.tenant);
        Ok(WriteTx { transaction, tenant, chain_head: None, invalidation, revocations, known_revocations })
    }

    /// The role and the tenant are set for this transaction alone, which also holds behind a pooler that gives each
    /// transaction another connection.
    async fn begin(&self, begin: &str, turn: Option<Turn>) -> Result<TenantTransaction, Error> {
        // BEGIN comes last and includes the statements before it. If one of them fails, PostgreSQL ends the transaction;
        // after a BEGIN it would be left open, and sqlx does not end a transaction that it could not begin.
        //
        // The empty search_path: no object that another login created is chosen, whatever its name.
        //
        // Limits: no client waits for longer, and no lock is kept for a client that has left. Plans: filters are optional
        // and tenants of very different sizes, so no plan suits all values; to compile a plan (JIT) or to start parallel
        // workers takes longer than to run it; a tenant's rows are found by an index, and joined by hash or in
        // order, whatever the statistics say of their number, and whatever the disk is.
        let begin = format!(
            "SET LOCAL ROLE rally_app; SET LOCAL search_path = ''; SET LOCAL rally.tenant_id = '{}'; SET LOCAL statement_timeout = '5s'; \
             SET LOCAL lock_timeout = '3s'; SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; \
             SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL enable_seqscan = off; \
             SET LOCAL enable_nestloop = off; SET LOCAL random_page_cost = 1.1; {begin}",
            self.tenant // the text of a UUID has no quotes
        );
        TenantTransaction::begin(&self.stores, &begin, turn).await
    }

    /// A transaction without an event or an invalidation: for changes after which a key works as before.
    pub(super) async fn begin_maintenance(&self) -> Result<TenantTransaction, Error> {
        let turn = self.stores.turns.take(self.tenant).await?;
        self.begin(&format!("{END_WHEN_IDLE}; {WRITE}"), Some(turn)).await
    }
}

/// A transaction under the role and the tenant that [`TenantStore::begin`] set. Dropped, also in the middle of a
/// statement, it is rolled back.
pub(super) struct TenantTransaction {
    /// `None`: it was dropped.
    connection: Option<LimitedConnection>,
    statements: Statements,
    is_open: bool,
    /// Kept until the connection is back in its pool.
    turn: Option<Turn>,
}

impl TenantTransaction {
    /// Idle connections that turn out to be dead are replaced. So is one to a server that takes no writes, once: after a failover
    /// the next may be to the new primary.
    async fn begin(stores: &TenantStores, begin: &str, turn: Option<Turn>) -> Result<Self, Error> {
        let (mut left, mut was_read_only) = (stores.pool.options().get_max_connections(), false);
        loop {
            let connection = Some(LimitedConnection::new(stores.pool.acquire().await?));
            let mut transaction = Self { connection, statements: stores.statements, is_open: true, turn: None };
            match transaction.session().fetch_optional(AssertSqlSafe(begin.to_owned())).await {
                Ok(Some(row)) if row.try_get::<&str, _>(0)? == "on" => {
                    transaction.close_afterwards();
                    if std::mem::replace(&mut was_read_only, true) {
                        return Err(read_only());
                    }
                }
                Ok(_) => {
                    transaction.turn = turn;
                    return Ok(transaction);
                }
                Err(error) if left > 0 && is_connection_loss(&error) => left -= 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The connection does not go back to its pool.
    fn close_afterwards(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.is_read_only = true;
        }
    }

    pub(super) fn session(&mut self) -> Session<'_, LimitedConnection> {
        let connection = self.connection.as_mut().unwrap_or_else(|| unreachable!("only a drop takes the connection"));
        Session { connection, statements: self.statements }
    }

    /// Without PostgreSQL's time limit: a commit that waits for a synchronous standby would succeed when that is over, without
    /// the standby. This side's limit says that the outcome is unknown.
    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        self.session().execute("SET LOCAL statement_timeout = 0; COMMIT").await?;
        self.is_open = false;
        Ok(())
    }

    async fn rollback(mut self) -> Result<(), sqlx::Error> {
        self.session().execute("ROLLBACK").await?;
        self.is_open = false;
        Ok(())
    }
}

impl Drop for TenantTransaction {
    fn drop(&mut self) {
        let (Some(connection), turn) = (self.connection.take(), self.turn.take()) else { return };
        let is_open = self.is_open;
        tokio::spawn(async move {
            connection.give_back(is_open).await;
            drop(turn);
        });
    }
}

/// A read-only transaction: everything as it was at one moment. It ends when it is dropped; no response waits for that.
pub struct ReadTx {
    pub(super) transaction: TenantTransaction,
    pub(super) tenant: TenantId,
}

/// The end of a tenant's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// The last event's number; 0: there is none.
    pub seq: i64,
    /// The last event's hash.
    pub hash: Vec<u8>,
}

/// A transaction that changes keys. Dropped without [`WriteTx::commit_with`], it changes nothing.
///
/// To avoid deadlocks, lock all keys before the first change, which locks the end of the audit trail.
pub struct WriteTx {
    pub(super) transaction: TenantTransaction,
    pub(super) tenant: TenantId,
    /// Once it is locked, and until the event is appended.
    pub(super) chain_head: Option<ChainHead>,
    invalidation: Invalidation,
    /// Made by this transaction.
    pub(super) revocations: Vec<RevocationRecord>,
    known_revocations: KnownRevocations,
}

impl WriteTx {
    /// Appends the event of the change to the audit trail and makes both durable. On [`Error::Unavailable`] it is unknown
    /// whether they are.
    pub async fn commit_with(self, event: &NewEvent) -> Result<Revision, Error> {
        let revision = self.commit_with_all(std::slice::from_ref(event)).await?;
        Ok(revision.unwrap_or_else(|| unreachable!("an event was appended")))
    }

    /// As [`Self::commit_with`], for changes of several keys. Returns the revision of the last event.
    pub async fn commit_with_all(mut self, events: &[NewEvent]) -> Result<Option<Revision>, Error> {
        let revision = self.append(events).await?;
        let Self { transaction, tenant, invalidation, revocations, known_revocations, .. } = self;
        let outcome = transaction.commit().await;
        drop(invalidation); // not before the commit: until then a lookup finds the key as it was
        outcome?;
        known_revocations.add(tenant, &revocations);
        Ok(revision)
    }

    /// Undoes everything. A transaction that is dropped is undone, too, but some time later.
    pub async fn rollback(self) -> Result<(), Error> {
        Ok(self.transaction.rollback().await?)
    }

    /// Records that the key has to be invalidated in this instance's cache when the transaction ends.
    pub(super) fn invalidate(&mut self, key: ApiKeyId) {
        self.invalidation.keys.push(key);
    }
}

/// Invalidates the recorded keys when it is dropped: after a commit, a rollback or an unknown outcome. A commit without a
/// response may have succeeded, and a key that needed no change may have been changed by another instance just before.
struct Invalidation {
    tenant: TenantId,
    keys: Vec<ApiKeyId>,
    observer: ChangeObserver,
}

impl Drop for Invalidation {
    fn drop(&mut self) {
        for key in &self.keys {
            (self.observer)(self.tenant, *key);
        }
    }
}

/// A value that was read under a row lock: no other transaction changes it until this one ends. Changes take one, except
/// [`WriteTx::revoke_key`], whose guarded UPDATE locks the row itself.
pub struct Locked<T>(pub(super) T);

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
