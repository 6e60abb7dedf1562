//! Writes counters to the database, batch by batch.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{HasUsageCounter, Metrics, failure_log::FailureLog};
use crate::store::{self, SecretUsage, UsageStore};

/// How often a batch is written.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// Pause between attempts at the end of the process.
pub(super) const RETRY: Duration = Duration::from_millis(200);
/// Cached secrets per batch. With the tick, this bounds what usage costs PostgreSQL and how late a last use is written:
/// 4 s where 10,000 keys are in constant use, 40 s where 100,000 are.
const MAX_CACHED: usize = 2_500;
/// Counters per batch. Those of secrets that are not cached (any more) come on top of the cached ones: each holds a
/// request or a few, and the next request has another counter, so they would soon fill the queue.
const MAX_COUNTERS: usize = 25_000;
/// A batch that the database has refused so often is split. A migration under way explains the first times.
const MAX_REFUSALS: u32 = 5;

/// Takes counters from the queue and writes what they hold.
pub(super) struct Flusher {
    queue: mpsc::Receiver<Arc<dyn HasUsageCounter>>,
    /// Sent and not confirmed. It is sent again as it is, under the same number, since it may have been written.
    unconfirmed: Option<Batch>,
    /// Parts of a refused batch, to be sent as batches of their own before the queue goes on.
    parts: Vec<Vec<SecretUsage>>,
    writer: Uuid,
    last_number: i64,
    store: UsageStore,
    metrics: Metrics,
    failures: FailureLog,
}

struct Batch {
    rows: Vec<SecretUsage>,
    refusals: u32,
}

impl Flusher {
    pub(super) fn new(queue: mpsc::Receiver<Arc<dyn HasUsageCounter>>, store: UsageStore, metrics: Metrics) -> Self {
        Self {
            queue,
            unconfirmed: None,
            parts: Vec::new(),
            writer: Uuid::new_v4(),
            last_number: 0,
            store,
            metrics,
            failures: FailureLog::default(),
        }
    }

    /// Writes a batch each tick until `stop` resolves, then the rest, until the deadline to which it resolves.
    pub(super) async fn run(mut self, stop: impl Future<Output = Instant>) {
        let deadline = tokio::select! {
            biased;
            deadline = stop => deadline,
            never = self.write_each_tick() => match never {},
        };
        if timeout_at(deadline, self.write_rest()).await.is_err() {
            let unconfirmed = self.unconfirmed.iter().map(|batch| &batch.rows);
            let rows: usize = unconfirmed.chain(&self.parts).map(Vec::len).sum();
            self.lose(rows + self.queue.len(), "the process ends, and the database was not available in time");
        }
    }

    /// May be dropped at any time: a batch that is being sent stays in `unconfirmed`.
    async fn write_each_tick(&mut self) -> Infallible {
        loop {
            let next = Instant::now() + TICK;
            self.write_batch().await;
            self.metrics.queued.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
            sleep_until(next).await;
        }
    }

    async fn write_rest(&mut self) {
        while self.unconfirmed.is_some() || !self.parts.is_empty() || !self.queue.is_empty() {
            if !self.write_batch().await {
                sleep(RETRY).await;
            }
        }
    }

    /// Writes the unconfirmed batch, else the next one. False: it has to be sent again.
    async fn write_batch(&mut self) -> bool {
        if self.unconfirmed.is_none() {
            // A part has been refused already, as a part of its batch.
            let (rows, refusals) = match self.parts.pop() {
                Some(part) => (part, MAX_REFUSALS - 1),
                None => (self.take_rows(), 0),
            };
            if rows.is_empty() {
                return true;
            }
            self.last_number += 1;
            self.unconfirmed = Some(Batch { rows, refusals });
        }
        let Some(batch) = &mut self.unconfirmed else { return true };
        let error = match self.store.record_usage(self.writer, self.last_number, &batch.rows).await {
            Ok(_is_new) => {
                self.metrics.batches.inc();
                self.unconfirmed = None;
                if self.failures.succeeded() {
                    info!("API keys' usage is written again");
                }
                return true;
            }
            Err(error) => error,
        };
        self.metrics.failed_batches.inc();
        let is_refusal = matches!(error, store::Error::Internal(_) | store::Error::BadRow { .. });
        batch.refusals += u32::from(is_refusal);
        let rows = batch.rows.len();
        if batch.refusals >= MAX_REFUSALS && self.split_refused(&error).await {
            return true;
        }
        if self.failures.failed(&error) {
            warn!(%error, rows, "could not write a batch of API keys' usage; it is sent again each second");
        }
        false
    }

    /// Splits a batch that is refused each time, until the row at fault is alone and dropped. False: the database refuses
    /// batches whatever is in them, so this one is kept.
    async fn split_refused(&mut self, error: &store::Error) -> bool {
        // Uses the batch's number up, so that it cannot be written later.
        let Ok(is_new) = self.store.record_usage(self.writer, self.last_number, &[]).await else { return false };
        let Some(Batch { mut rows, .. }) = self.unconfirmed.take().filter(|_| is_new) else {
            return true; // it was written, and only the response was lost
        };
        if rows.len() == 1 {
            self.lose(1, &format!("the database refuses them: {error}"));
        } else {
            self.parts.push(rows.split_off(rows.len() / 2));
            self.parts.push(rows);
        }
        true
    }

    fn take_rows(&mut self) -> Vec<SecretUsage> {
        let (mut rows, mut counters, mut cached) = (Vec::new(), 0, 0);
        while cached < MAX_CACHED
            && counters < MAX_COUNTERS
            && let Ok(secret) = self.queue.try_recv()
        {
            counters += 1;
            cached += usize::from(Arc::strong_count(&secret) > 1);
            secret.usage().take(|row| rows.push(row));
        }
        rows
    }

    fn lose(&self, figures: usize, why: &str) {
        error!(figures, why, "lost figures of API keys' usage");
        self.metrics.lost.inc_by(u64::try_from(figures).unwrap_or(0));
    }
}
