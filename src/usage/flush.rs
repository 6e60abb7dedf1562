//! Writes counters to the database, batch by batch.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::{
    HasUsageCounter, Metrics,
    callers::{MAX_CALLERS, TakeCallers},
    failure_log::FailureLog,
    quotas::Quotas,
};
use crate::store::{self, SecretCaller, UsageBatch, UsageStore};

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
    /// Counters whose callers were not due when their figures were taken, and when they are.
    callers_due: VecDeque<(Instant, Arc<dyn HasUsageCounter>)>,
    /// Sent and not confirmed. It is sent again as it is, under the same number, since it may have been written.
    unconfirmed: Option<Batch>,
    /// Parts of a refused batch, to be sent as batches of their own before the queue goes on.
    parts: Vec<UsageBatch>,
    writer: Uuid,
    last_number: i64,
    is_stopping: bool,
    store: UsageStore,
    quotas: Arc<Quotas>,
    metrics: Metrics,
    failures: FailureLog,
}

struct Batch {
    rows: UsageBatch,
    refusals: u32,
}

impl Flusher {
    pub(super) fn new(
        queue: mpsc::Receiver<Arc<dyn HasUsageCounter>>,
        store: UsageStore,
        quotas: Arc<Quotas>,
        metrics: Metrics,
    ) -> Self {
        Self {
            queue,
            callers_due: VecDeque::new(),
            unconfirmed: None,
            parts: Vec::new(),
            writer: Uuid::new_v4(),
            last_number: 0,
            is_stopping: false,
            store,
            quotas,
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
            let rows: usize = unconfirmed.chain(&self.parts).map(UsageBatch::len).sum();
            let waiting = self.queue.len() + self.callers_due.len();
            self.lose(rows + waiting, "the process ends, and the database was not available in time");
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
        self.is_stopping = true;
        while self.unconfirmed.is_some()
            || !self.parts.is_empty()
            || !self.queue.is_empty()
            || !self.callers_due.is_empty()
        {
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
        let quotas = self.quotas.of_batch(&batch.rows.usage);
        let error = match self.store.record_usage(self.writer, self.last_number, &batch.rows, &quotas).await {
            Ok(recorded) => {
                self.quotas.written(&batch.rows.usage, &recorded.totals);
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
        batch.refusals += u32::from(error.is_defect());
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
        let nothing = UsageBatch::default();
        let Ok(recorded) = self.store.record_usage(self.writer, self.last_number, &nothing, &HashMap::new()).await
        else {
            return false;
        };
        let Some(Batch { mut rows, .. }) = self.unconfirmed.take().filter(|_| recorded.is_new) else {
            return true; // it was written, and only the response was lost
        };
        if rows.len() == 1 {
            self.lose(1, &format!("the database refuses them: {error}"));
        } else {
            self.parts.push(rows.split_off_half());
            self.parts.push(rows);
        }
        true
    }

    fn take_rows(&mut self) -> UsageBatch {
        let (now, mut batch, mut counters, mut cached) = (Instant::now(), UsageBatch::default(), 0, 0);
        while cached < MAX_CACHED
            && counters < MAX_COUNTERS
            && let Some((secret, callers_are_due)) = self.next_counter(now)
        {
            counters += 1;
            let is_cached = Arc::strong_count(&secret) > 1;
            cached += usize::from(is_cached);
            // A counter that is no longer cached receives no requests.
            let all = self.is_stopping || callers_are_due || !is_cached;
            let callers = if all { TakeCallers::All(now) } else { TakeCallers::Due(now) };
            if let Some(due) = secret.usage().take(&mut batch, callers) {
                self.callers_due.push_back((due, secret));
            }
        }
        merge_excess_callers(&mut batch);
        batch
    }

    /// The next counter to be written, and whether it is time for its callers.
    fn next_counter(&mut self, now: Instant) -> Option<(Arc<dyn HasUsageCounter>, bool)> {
        if self.callers_due.front().is_some_and(|(due, _)| *due <= now || self.is_stopping) {
            return self.callers_due.pop_front().map(|(_, secret)| (secret, true));
        }
        Some((self.queue.try_recv().ok()?, false))
    }

    fn lose(&self, figures: usize, why: &str) {
        error!(figures, why, "lost figures of API keys' usage");
        self.metrics.lost.inc_by(u64::try_from(figures).unwrap_or(0));
    }
}

/// Leaves each key [`MAX_CALLERS`] callers. A key may have several counters: of two secrets, or of one that was not cached.
fn merge_excess_callers(batch: &mut UsageBatch) {
    let mut callers_of = HashMap::<_, HashSet<_>>::new();
    for row in &mut batch.callers {
        let SecretCaller { address, user_agent, .. } = &mut row.caller;
        let known = callers_of.entry((row.tenant, row.key)).or_default();
        let caller = (*address, user_agent.clone());
        if !known.contains(&caller) && address.is_some() {
            if known.len() < MAX_CALLERS {
                known.insert(caller);
            } else {
                (*address, *user_agent) = (None, None);
            }
        }
    }
}
