//! Batched lookups. Keys that arrive while others are looked up share one statement: most of what a lookup costs is
//! the round trip.
//!
//! A key that arrives alone is looked up at once. At most [`CONCURRENT_BATCHES`] statements are under way as long as they
//! are fast. A key that has waited for [`BATCH_DELAY`] starts another, up to all connections of the pool, so neither a
//! slow statement nor a dead connection delays the others.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::PgPool;
use tokio::{sync::oneshot, time::timeout};

use super::{
    CHECK_TIMEOUT, Error,
    feed_server::{FeedServer, ServerIdentity},
    retry::retry_within,
    statements::{Session, Statements},
};

/// Statements under way at once, while they are fast.
const CONCURRENT_BATCHES: u32 = 2;
/// How long a key waits before it starts a statement beyond them.
const BATCH_DELAY: Duration = Duration::from_millis(2);
/// Keys per statement: the first waits for the results of the last.
const BATCH_SIZE: usize = 64;

/// A statement that looks several keys up.
pub(super) trait BatchedStatement: 'static {
    /// What is looked up. Each batch is sorted.
    type Key: Copy + Ord + Send + Sync;
    type Row: Send;

    /// Each row with the place of its key, from 1, in ascending order. An unknown key has no row.
    fn find(
        session: Session<'_>,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<Found<Self::Row>, sqlx::Error>> + Send;
}

/// What a statement found.
pub(super) struct Found<Row> {
    /// That answered. `None`: a standby, or no row was found.
    pub(super) server: Option<ServerIdentity>,
    pub(super) rows: Vec<PlacedRow<Row>>,
}

/// An error is one of this row alone.
pub(super) type PlacedRow<Row> = (i32, Result<Row, Error>);

/// `None`: there is no such key. The keys of one statement share its error.
pub type LookupResult<Row> = Result<Option<Row>, Arc<Error>>;

struct Waiting<S: BatchedStatement> {
    key: S::Key,
    result: oneshot::Sender<LookupResult<S::Row>>,
}

/// Looks keys up. Clones share the queue.
pub(super) struct Batcher<S: BatchedStatement>(Arc<Inner<S>>);

impl<S: BatchedStatement> Clone for Batcher<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<S: BatchedStatement> {
    pool: PgPool,
    statements: Statements,
    feed_server: FeedServer,
    queue: Mutex<Queue<S>>,
}

struct Queue<S: BatchedStatement> {
    waiting: VecDeque<Waiting<S>>,
    /// Keys that left the queue since the start, into a statement or abandoned.
    taken: u64,
    workers: u32,
}

impl<S: BatchedStatement> Queue<S> {
    /// Removes abandoned keys from the front. All wait equally long, so that is where they are.
    fn remove_abandoned(&mut self) {
        while self.waiting.front().is_some_and(|waiting| waiting.result.is_closed()) {
            self.waiting.pop_front();
            self.taken += 1;
        }
    }

    fn take_batch(&mut self) -> Vec<Waiting<S>> {
        let mut batch = Vec::new();
        while batch.len() < BATCH_SIZE
            && let Some(waiting) = self.waiting.pop_front()
        {
            self.taken += 1;
            if !waiting.result.is_closed() {
                batch.push(waiting);
            }
        }
        batch
    }
}

impl<S: BatchedStatement> Batcher<S> {
    pub(super) fn new(pool: PgPool, statements: Statements, feed_server: FeedServer) -> Self {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), taken: 0, workers: 0 });
        Self(Arc::new(Inner { pool, statements, feed_server, queue }))
    }

    /// Keys in the queue.
    pub(super) fn waiting(&self) -> usize {
        self.0.queue().waiting.len()
    }

    pub(super) async fn find(&self, key: S::Key) -> LookupResult<S::Row> {
        let (sender, mut result) = oneshot::channel();
        let number = self.0.enqueue(Waiting { key, result: sender });
        self.start_worker(CONCURRENT_BATCHES);
        if let Ok(result) = timeout(BATCH_DELAY, &mut result).await {
            return result.unwrap_or_else(|_| Err(lost()));
        }
        self.start_worker(u32::MAX);
        // As long as others wait for a connection.
        if let Ok(result) = timeout(self.0.pool.options().get_acquire_timeout(), &mut result).await {
            return result.unwrap_or_else(|_| Err(lost()));
        }
        if self.0.is_taken(number) {
            return result.await.unwrap_or_else(|_| Err(lost()));
        }
        drop(result);
        self.0.queue().remove_abandoned();
        Err(Arc::new(Error::Unavailable(sqlx::Error::PoolTimedOut)))
    }

    /// Starts a worker unless there are `limit` of them, or as many as connections.
    fn start_worker(&self, limit: u32) {
        let inner = &self.0;
        let is_needed = {
            let mut queue = inner.queue();
            let is_needed =
                !queue.waiting.is_empty() && queue.workers < limit.min(inner.pool.options().get_max_connections());
            queue.workers += u32::from(is_needed);
            is_needed
        };
        if is_needed {
            tokio::spawn(BatchWorker { inner: inner.clone(), has_left: false }.run());
        }
    }
}

/// The worker has panicked; the panic hook has logged it.
fn lost() -> Arc<Error> {
    Arc::new(Error::Unavailable(sqlx::Error::WorkerCrashed))
}

impl<S: BatchedStatement> Inner<S> {
    fn queue(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the key's number; it has left the queue once `taken >= number`.
    fn enqueue(&self, waiting: Waiting<S>) -> u64 {
        let mut queue = self.queue();
        queue.waiting.push_back(waiting);
        queue.taken + u64::try_from(queue.waiting.len()).unwrap_or(u64::MAX)
    }

    fn is_taken(&self, number: u64) -> bool {
        self.queue().taken >= number
    }
}

/// Looks batches up until the queue is empty.
struct BatchWorker<S: BatchedStatement> {
    inner: Arc<Inner<S>>,
    has_left: bool,
}

impl<S: BatchedStatement> BatchWorker<S> {
    async fn run(mut self) {
        while let Some(batch) = self.next_batch() {
            match self.find(&batch).await {
                // A row that cannot be decoded fails the statement. It must not fail the other keys.
                Err(Error::Internal(_)) if batch.len() > 1 => {
                    for waiting in batch {
                        let rows = self.find(std::slice::from_ref(&waiting)).await;
                        deliver(vec![waiting], rows);
                    }
                }
                rows => deliver(batch, rows),
            }
        }
    }

    /// `None`: the queue is empty, and this worker does not count any more.
    fn next_batch(&mut self) -> Option<Vec<Waiting<S>>> {
        let mut batch = {
            let mut queue = self.inner.queue();
            let batch = queue.take_batch();
            if batch.is_empty() {
                queue.workers -= 1;
                self.has_left = true;
                return None;
            }
            batch
        };
        batch.sort_unstable_by_key(|waiting| waiting.key);
        Some(batch)
    }

    async fn find(&self, batch: &[Waiting<S>]) -> Result<Vec<PlacedRow<S::Row>>, Error> {
        let keys: Vec<_> = batch.iter().map(|waiting| waiting.key).collect();
        let inner = &self.inner;
        let found = retry_within!(CHECK_TIMEOUT, inner.pool, inner.statements, |session| S::find(session, &keys))?;
        // Before the rows are delivered, so that none of another server is cached.
        if !found.rows.is_empty() {
            inner.feed_server.check(found.server.as_ref());
        }
        Ok(found.rows)
    }
}

impl<S: BatchedStatement> Drop for BatchWorker<S> {
    fn drop(&mut self) {
        if !self.has_left {
            self.inner.queue().workers -= 1;
        }
    }
}

fn deliver<S: BatchedStatement>(batch: Vec<Waiting<S>>, rows: Result<Vec<PlacedRow<S::Row>>, Error>) {
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => {
            let error = Arc::new(error);
            return batch.into_iter().for_each(|waiting| drop(waiting.result.send(Err(error.clone()))));
        }
    };
    let mut rows = rows.into_iter().peekable();
    for (place, waiting) in (1..).zip(batch) {
        let row = rows.next_if(|(row_place, _)| *row_place == place);
        let _ = waiting.result.send(row.map(|(_, row)| row).transpose().map_err(Arc::new));
    }
}
