//! Collects tallies, and notes in the database what they hold.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};
use tracing::{error, warn};
use uuid::Uuid;

use super::{
    CHANNEL, Counters,
    sums::Sums,
    tally::{Tallied, hour_number},
};
use crate::{
    domain::Clock,
    store::{self, Store, UsageNote},
};

/// Notes that may wait to be written, while the database is away say.
const MAX_WAITING: usize = 500_000;
/// Notes per statement.
const BATCH: usize = 5_000;
/// Of so many tenants at most: each is a statement of its own in PostgreSQL.
const BATCH_TENANTS: usize = 500;
/// Tallies that are read before others get their turn.
const AT_ONCE: usize = 500;
/// How long the channel is then left alone: to wake who collects for each note would cost more than the
/// note.
const COLLECT: Duration = Duration::from_millis(20);
/// How often what was used is noted, where that takes no time to speak of.
pub(super) const FLUSH: Duration = Duration::from_secs(1);
/// Within that, what was used is noted, where a flush takes as long as the one before. The rest of five seconds, which
/// `lastUsedAt` may be behind, is for those that take longer.
const FLUSHED_WITHIN: Duration = Duration::from_millis(3_500);
/// So many times as long as a flush took it is from its beginning to the next: the more keys are in use, the more uses
/// of each share a note.
const PAUSE_FACTOR: u32 = 50;
/// For so long it is tried to write what is left at the end.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// Collects and notes what keys were used for.
pub(super) struct Flusher {
    notes: mpsc::Receiver<Arc<dyn Tallied>>,
    /// They count on until their figures are taken.
    collected: Vec<Arc<dyn Tallied>>,
    /// Taken, and not sent yet.
    waiting: Vec<UsageNote>,
    /// Sent, and not known to be written. It goes again as it is, under the same number.
    unanswered: Option<Vec<UsageNote>>,
    /// Whether the database has refused it.
    was_refused: bool,
    /// In which hour figures were last taken: a tally tells two hours apart.
    taken_in: u32,
    pub(super) sums: Sums,
    id: Uuid,
    number: i64,
    store: Store,
    clock: Clock,
    counters: Counters,
}

impl Flusher {
    pub(super) fn new(notes: mpsc::Receiver<Arc<dyn Tallied>>, store: Store, clock: Clock, counters: Counters) -> Self {
        Self {
            notes,
            collected: Vec::new(),
            waiting: Vec::new(),
            unanswered: None,
            was_refused: false,
            taken_in: 0,
            sums: Sums::new(store.clone(), counters.clone()),
            id: Uuid::new_v4(),
            number: 0,
            store,
            clock,
            counters,
        }
    }

    /// Works until `stop` is done, and then writes what is left.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut next_flush = std::pin::pin!(sleep(FLUSH));
        let mut next_collection = Instant::now();
        loop {
            tokio::select! {
                () = &mut stop => break,
                count = async {
                    sleep_until(next_collection).await;
                    self.notes.recv_many(&mut self.collected, CHANNEL).await
                } => {
                    if count == 0 {
                        break;
                    }
                    next_collection = Instant::now() + COLLECT;
                }
                () = &mut next_flush => {
                    let begun = Instant::now();
                    self.flush().await;
                    let pause = if self.unanswered.is_some() { FLUSH } else { pause_after(begun.elapsed()) };
                    self.sums.begin_what_is_due().await;
                    next_flush.as_mut().reset(begun + pause);
                }
            }
        }
        while let Ok(secret) = self.notes.try_recv() {
            self.collected.push(secret);
        }
        let begun = Instant::now();
        loop {
            self.flush().await;
            if self.unanswered.is_none() || begun.elapsed() >= LAST_FLUSH {
                break;
            }
            sleep(FLUSH).await;
        }
    }

    /// Takes the figures out of the tallies.
    async fn take_figures(&mut self) {
        self.taken_in = hour_number(self.clock.now());
        let mut dropped = 0;
        for (number, secret) in std::mem::take(&mut self.collected).into_iter().enumerate() {
            // After a rush there are many, and a revocation waits for nobody's figures.
            if number % AT_ONCE == AT_ONCE - 1 {
                yield_now().await;
            }
            let waiting = &mut self.waiting;
            secret.tally().take(|note| if waiting.len() < MAX_WAITING { waiting.push(note) } else { dropped += 1 });
        }
        self.counters.dropped.inc_by(dropped);
        self.waiting.sort_unstable_by_key(|note| note.tenant.0);
        // A large tenant's batches have a range of its secrets each, since those are summed up together.
        for of_one in self.waiting.chunk_by_mut(|a, b| a.tenant == b.tenant) {
            if of_one.len() > BATCH {
                of_one.sort_unstable_by_key(|note| note.lookup_digest.to_bytes());
            }
        }
    }

    /// Writes what waits. What cannot be written waits on, in the tallies as far as they can hold it; the
    /// channel meanwhile takes notes up to its bound.
    async fn flush(&mut self) {
        if let Some(batch) = self.unanswered.take()
            && !self.send(batch).await
        {
            if self.taken_in < hour_number(self.clock.now()) || self.collected.len() > MAX_WAITING {
                self.take_figures().await;
            }
            return;
        }
        self.take_figures().await;
        while !self.waiting.is_empty() {
            self.number += 1;
            let mut batch = self.waiting.split_off(batch_start(&self.waiting));
            // Stable, for the sake of the range.
            batch.sort_by_key(UsageNote::order);
            if !self.send(batch).await {
                return;
            }
        }
        self.counters.waiting.set(0);
        // After a rush, its memory goes back.
        self.waiting.shrink_to(BATCH);
    }

    /// Tells whether the batch needs to be sent no more.
    async fn send(&mut self, batch: Vec<UsageNote>) -> bool {
        match self.store.note_usage(self.id, self.number, &batch).await {
            Ok(()) => {
                self.counters.flushes.inc();
                self.was_refused = false;
                self.sums.note(&batch);
                true
            }
            // It would be refused each time, and hold up all that comes after it. But the first time it may have been for
            // a migration that was under way.
            Err(error @ (store::Error::Internal(_) | store::Error::BadRow { .. })) if self.was_refused => {
                error!(%error, figures = batch.len(), "lost figures of usage");
                self.counters.dropped.inc_by(u64::try_from(batch.len()).unwrap_or(0));
                self.was_refused = false;
                true
            }
            Err(error) => {
                let waiting = self.collected.len() + self.waiting.len() + batch.len();
                self.counters.failed_flushes.inc();
                self.counters.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
                warn!(%error, waiting, "cannot write what API keys were used for; trying again");
                self.was_refused = matches!(error, store::Error::Internal(_) | store::Error::BadRow { .. });
                self.unanswered = Some(batch);
                false
            }
        }
    }
}

/// From the beginning of a flush that took so long to that of the next, which may have more to do.
fn pause_after(flush: Duration) -> Duration {
    let at_most = FLUSHED_WITHIN.saturating_sub(2 * flush).max(FLUSH);
    (PAUSE_FACTOR * flush).clamp(FLUSH, at_most)
}

/// Where the last batch of what waits begins.
fn batch_start(waiting: &[UsageNote]) -> usize {
    let rest = waiting.len().saturating_sub(BATCH);
    let tenants = waiting[rest..].chunk_by(|a, b| a.tenant == b.tenant).rev().take(BATCH_TENANTS);
    waiting.len() - tenants.map(<[_]>::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{LookupDigest, TenantId};
    use chrono::DateTime;

    fn waiting(tenants: &[(u128, usize)]) -> Vec<UsageNote> {
        let note = |tenant: u128| UsageNote {
            tenant: TenantId(Uuid::from_u128(tenant)),
            lookup_digest: LookupDigest::NONE,
            last_use: None,
            hour: DateTime::UNIX_EPOCH,
            requests: 1,
            denied_expired: 0,
            denied_scope: 0,
        };
        tenants.iter().flat_map(|(tenant, count)| std::iter::repeat_n(note(*tenant), *count)).collect()
    }

    #[test]
    fn pauses_keep_last_use_no_more_than_five_seconds_behind() {
        for (flush, pause) in [(0, 1_000), (10, 1_000), (50, 2_500), (80, 3_340), (200, 3_100), (1_000, 1_500)] {
            assert_eq!(pause_after(Duration::from_millis(flush)), Duration::from_millis(pause), "{flush}");
        }
        // In the longer pause there may be as many times more to write.
        for flush in (1..2_000).map(Duration::from_millis) {
            let pause = pause_after(flush);
            let next = flush.mul_f64(pause.as_secs_f64().max(1.0));
            assert!(COLLECT + pause + next < Duration::from_secs(5), "{flush:?}");
        }
        // The database is slow.
        assert_eq!(pause_after(Duration::from_secs(30)), FLUSH);
    }

    #[test]
    fn a_batch_is_bounded_in_notes_and_in_tenants() {
        assert_eq!(batch_start(&[]), 0);
        assert_eq!(batch_start(&waiting(&[(1, 3), (2, BATCH - 3)])), 0);
        assert_eq!(batch_start(&waiting(&[(1, 3), (2, BATCH - 2)])), 1, "a tenant may be cut");
        assert_eq!(batch_start(&waiting(&[(1, 2 * BATCH)])), BATCH);
        let many: Vec<_> = (0..600).map(|tenant| (tenant, 2)).collect();
        assert_eq!(batch_start(&waiting(&many)), 200, "500 tenants of two notes");
    }
}
