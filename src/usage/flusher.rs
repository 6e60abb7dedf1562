//! Collects tallies, and notes in the database what they hold.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    fmt::Display,
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep, sleep_until, timeout_at},
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
/// A tenant's secrets are in so many ranges, a power of two, by how their digests begin.
const RANGES: u8 = 16;
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
/// How often it is tried to write what is left at the end.
pub(super) const RETRY: Duration = Duration::from_millis(200);

/// Collects and notes what keys were used for.
pub(super) struct Flusher {
    notes: mpsc::Receiver<Arc<dyn Tallied>>,
    /// They count on until their figures are taken.
    collected: Vec<Arc<dyn Tallied>>,
    /// Taken, and not sent yet.
    waiting: Waiting,
    /// Sent, and not known to be written. It goes again as it is, under the same number.
    unanswered: Option<Batch>,
    /// Parts of a batch that was refused: each of one tenant, since not all of them are to blame.
    apart: Vec<Vec<UsageNote>>,
    /// In which hour figures were last taken: a tally tells two hours apart.
    taken_in: u32,
    pub(super) sums: Sums,
    id: Uuid,
    number: i64,
    store: Store,
    clock: Clock,
    counters: Counters,
}

struct Batch {
    notes: Vec<UsageNote>,
    /// For a migration that was under way, say.
    was_refused: bool,
}

impl Flusher {
    pub(super) fn new(notes: mpsc::Receiver<Arc<dyn Tallied>>, store: Store, clock: Clock, counters: Counters) -> Self {
        Self {
            notes,
            collected: Vec::new(),
            waiting: Waiting::default(),
            unanswered: None,
            apart: Vec::new(),
            taken_in: 0,
            sums: Sums::new(store.clone(), counters.clone()),
            id: Uuid::new_v4(),
            number: 0,
            store,
            clock,
            counters,
        }
    }

    /// Works until `stop` tells until when what is left may be written, and then writes that.
    pub(super) async fn run(mut self, stop: impl Future<Output = Instant>) -> Instant {
        let until = tokio::select! {
            biased;
            until = stop => until,
            never = self.work() => match never {},
        };
        while let Ok(secret) = self.notes.try_recv() {
            self.collected.push(secret);
        }
        let write_all = async {
            self.flush().await;
            while self.waiting_notes() > 0 {
                sleep(RETRY).await;
                self.flush().await;
            }
        };
        if timeout_at(until, write_all).await.is_err() {
            self.lose(self.waiting_notes(), "the process ends");
        }
        until
    }

    /// May be dropped at any time: what it has collected, taken and sent is then where it was.
    async fn work(&mut self) -> Infallible {
        let mut next_flush = std::pin::pin!(sleep(FLUSH));
        let mut next_collection = Instant::now();
        loop {
            tokio::select! {
                count = async {
                    sleep_until(next_collection).await;
                    self.notes.recv_many(&mut self.collected, CHANNEL).await
                }, if !self.notes.is_closed() || !self.notes.is_empty() => {
                    if count > 0 {
                        next_collection = Instant::now() + COLLECT;
                    }
                }
                () = &mut next_flush => {
                    let begun = Instant::now();
                    self.flush().await;
                    let pause = if self.unanswered.is_none() { pause_after(begun.elapsed()) } else { FLUSH };
                    self.sums.begin_what_is_due().await;
                    next_flush.as_mut().reset(begun + pause);
                }
            }
        }
    }

    fn waiting_notes(&self) -> usize {
        let sent = self.unanswered.iter().map(|batch| &batch.notes).chain(&self.apart).map(Vec::len);
        self.collected.len() + self.waiting.len + sent.sum::<usize>()
    }

    fn lose(&self, figures: usize, why: impl Display) {
        error!(%why, figures, "lost figures of usage");
        self.counters.dropped.inc_by(u64::try_from(figures).unwrap_or(0));
    }

    /// Takes the figures out of the tallies.
    async fn take_figures(&mut self) {
        self.taken_in = hour_number(self.clock.now());
        loop {
            // After a rush there are many, and a revocation waits for nobody's figures.
            if self.collected.len() % AT_ONCE == AT_ONCE - 1 {
                yield_now().await;
            }
            let Some(secret) = self.collected.pop() else { break };
            secret.tally().take(|note| {
                if self.waiting.len < MAX_WAITING {
                    self.waiting.push(note);
                } else {
                    self.counters.dropped.inc();
                }
            });
        }
    }

    /// Writes what waits. What cannot be written waits on, in the tallies as far as they can hold it; the
    /// channel meanwhile takes notes up to its bound.
    async fn flush(&mut self) {
        if !self.send().await {
            if self.taken_in < hour_number(self.clock.now()) || self.collected.len() > MAX_WAITING {
                self.take_figures().await;
            }
            return;
        }
        self.take_figures().await;
        loop {
            let (notes, was_refused) = match self.apart.pop() {
                Some(notes) => (notes, true),
                None => match self.waiting.next_batch() {
                    Some(notes) => (notes, false),
                    None => break,
                },
            };
            self.number += 1;
            self.unanswered = Some(Batch { notes, was_refused });
            if !self.send().await {
                return;
            }
        }
        self.counters.waiting.set(0);
    }

    /// Sends the batch that is not answered, if there is one. Tells whether others may follow.
    async fn send(&mut self) -> bool {
        // While it is under way it stays where it is.
        let Some(batch) = &mut self.unanswered else { return true };
        let problem = match self.store.note_usage(self.id, self.number, &batch.notes).await {
            Ok(_is_news) => {
                self.counters.flushes.inc();
                self.sums.note(&batch.notes);
                self.unanswered = None;
                return true;
            }
            Err(error) => error,
        };
        self.counters.failed_flushes.inc();
        let is_refusal = matches!(problem, store::Error::Internal(_) | store::Error::BadRow { .. });
        if is_refusal && batch.was_refused && self.take_apart(&problem).await {
            return true;
        }
        let Some(batch) = &mut self.unanswered else { return true };
        batch.was_refused |= is_refusal;
        let waiting = self.waiting_notes();
        self.counters.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        warn!(error = %problem, waiting, "cannot write what API keys were used for; trying again");
        false
    }

    /// The batch that is not answered would be refused each time, be it for one of its tenants: its number is used up,
    /// and its parts go on by themselves. Tells whether that could be done.
    async fn take_apart(&mut self, problem: &store::Error) -> bool {
        let Ok(is_news) = self.store.note_usage(self.id, self.number, &[]).await else { return false };
        let Some(batch) = self.unanswered.take().filter(|_| is_news) else {
            return true; // it was written, and only the answer to that was lost
        };
        let parts = batch.notes.chunk_by(|a, b| a.tenant == b.tenant).map(<[_]>::to_vec);
        let mut parts: Vec<_> = parts.collect();
        if parts.len() > 1 {
            self.apart.append(&mut parts);
        } else {
            self.lose(batch.notes.len(), problem);
        }
        true
    }
}

/// From the beginning of a flush that took so long to that of the next, which may have more to do.
fn pause_after(flush: Duration) -> Duration {
    let at_most = FLUSHED_WITHIN.saturating_sub(2 * flush).max(FLUSH);
    (PAUSE_FACTOR * flush).clamp(FLUSH, at_most)
}

/// Notes by tenant and range of secrets. A batch has as many whole ranges as fit, so that a large tenant's notes of
/// the same secrets lie together each time, and are summed up together.
#[derive(Default)]
struct Waiting {
    notes: BTreeMap<(Uuid, u8), Vec<UsageNote>>,
    len: usize,
    /// What went last. The next batch begins behind it, so that everybody has their turn.
    last: Option<(Uuid, u8)>,
}

impl Waiting {
    fn push(&mut self, note: UsageNote) {
        let [first, ..] = note.lookup_digest.to_bytes();
        self.notes.entry((note.tenant.0, first / (u8::MAX / RANGES + 1))).or_default().push(note);
        self.len += 1;
    }

    fn next_range(&mut self) -> Option<(&(Uuid, u8), &mut Vec<UsageNote>)> {
        let behind = (self.last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let next = self.notes.range(behind).next().or_else(|| self.notes.first_key_value()).map(|(range, _)| *range)?;
        self.notes.range_mut(next..).next()
    }

    /// In the order of notes.
    fn next_batch(&mut self) -> Option<Vec<UsageNote>> {
        let mut batch = Vec::new();
        let mut tenants = HashSet::new();
        while let Some((&range, notes)) = self.next_range() {
            tenants.insert(range.0);
            if tenants.len() > BATCH_TENANTS || (!batch.is_empty() && batch.len() + notes.len() > BATCH) {
                break;
            }
            batch.append(&mut notes.split_off(notes.len().saturating_sub(BATCH)));
            if notes.is_empty() {
                self.notes.remove(&range);
            }
            // If all went, they go in the same order next time: so the same ranges lie together.
            self.last = Some(range).filter(|_| !self.notes.is_empty());
        }
        self.len -= batch.len();
        // Stable, so that ranges stay apart.
        batch.sort_by_key(UsageNote::order);
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Secret, TenantId};
    use chrono::DateTime;
    use std::collections::BTreeSet;

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

    /// The batches, where tenants have so many notes.
    fn batches(tenants: impl IntoIterator<Item = usize>) -> Vec<Vec<UsageNote>> {
        let mut waiting = Waiting::default();
        let mut sent = Vec::new();
        for (tenant, notes) in tenants.into_iter().enumerate() {
            for n in 0..notes {
                let lookup_digest = Secret::generate().lookup_digest();
                waiting.push(UsageNote {
                    tenant: TenantId(Uuid::from_u128(tenant as u128)),
                    lookup_digest,
                    last_use: None,
                    // Some from before the turn of the hour.
                    hour: DateTime::from_timestamp(if n % 3 == 0 { 3_600 } else { 7_200 }, 0).unwrap(),
                    requests: 1,
                    denied_expired: 0,
                    denied_scope: 0,
                });
                sent.push(lookup_digest.to_bytes());
            }
        }
        assert_eq!(waiting.len, sent.len());
        let batches: Vec<_> = std::iter::from_fn(|| waiting.next_batch()).collect();
        assert_eq!((waiting.len, waiting.notes.len()), (0, 0));
        for batch in &batches {
            assert!((1..=BATCH).contains(&batch.len()) && batch.is_sorted_by_key(UsageNote::order));
        }
        let mut received: Vec<_> = batches.iter().flatten().map(|note| note.lookup_digest.to_bytes()).collect();
        sent.sort_unstable();
        received.sort_unstable();
        assert!(sent == received, "each once");
        batches
    }

    #[test]
    fn a_batch_is_bounded_in_notes_and_in_tenants() {
        let lengths = |batches: Vec<Vec<UsageNote>>| batches.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(batches([])), [] as [usize; 0]);
        assert_eq!(lengths(batches([3, BATCH - 3])), [BATCH]);
        assert_eq!(lengths(batches(std::iter::repeat_n(2, 600))), [1_000, 200], "500 tenants");
        // No range fits.
        assert_eq!(lengths(batches([17 * BATCH]))[0], BATCH);
    }

    #[test]
    fn of_a_large_tenant_a_batch_has_whole_ranges_of_secrets() {
        let batches = batches([3 * BATCH]);
        let ranges = batches.iter().map(|batch| {
            let ranges: BTreeSet<_> = batch.iter().map(|note| note.lookup_digest.to_bytes()[0] >> 4).collect();
            ranges.into_iter().collect::<Vec<_>>()
        });
        assert_eq!(ranges.collect::<Vec<_>>().concat(), (0..16).collect::<Vec<u8>>(), "each in one batch");
    }
}
