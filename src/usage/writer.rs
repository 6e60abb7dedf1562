//! Collects tallies and writes what they hold.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, field::display, info, warn};
use uuid::Uuid;

use super::{
    CHANNEL, Counters,
    tally::{Tallied, hour_number},
};
use crate::{
    domain::{Clock, TenantId},
    store::{self, SecretReuse, Store, UsageNote},
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
const FLUSH: Duration = Duration::from_secs(1);
/// Within that, what was used is noted, where a flush takes as long as the one before. The rest of five seconds, which
/// `lastUsedAt` may be behind, is for those that take longer.
const FLUSHED_WITHIN: Duration = Duration::from_millis(3_500);
/// So many times as long as a flush took it is from its beginning to the next: the more keys are in use, the more uses
/// of each share a note.
const PAUSE_FACTOR: u32 = 50;
/// How long notes of a tenant wait at the least to be summed up, and at the most.
const SUM_UP_AFTER: [Duration; 2] = [Duration::from_secs(40), Duration::from_secs(80)];
/// As many notes of a tenant do not wait.
const MANY_NOTES: usize = 300_000;
/// What is summed up in one statement: so many tenants, and of several together so many notes.
const TENANTS_AT_ONCE: usize = 50;
const NOTES_AT_ONCE: usize = 20_000;
/// Notes as old as that were left behind by somebody else.
const LEFT_BEHIND: TimeDelta = TimeDelta::minutes(10);
/// How often those and old hours are looked for.
const REMOVAL: Duration = Duration::from_hours(1);

/// Collects and writes what keys were used for.
pub struct Writer {
    notes: mpsc::Receiver<Arc<dyn Tallied>>,
    reuses: mpsc::Receiver<SecretReuse>,
    /// They count on until their figures are taken.
    collected: Vec<Arc<dyn Tallied>>,
    /// Taken, and not sent yet.
    waiting: Vec<UsageNote>,
    /// Sent, and not known to be written. It goes again as it is, under the same number.
    unanswered: Option<Vec<UsageNote>>,
    /// In which hour figures were last taken: a tally tells two hours apart.
    taken_in: u32,
    /// What this instance has noted of tenants, and nobody may have summed up yet.
    to_sum_up: HashMap<TenantId, Noted>,
    sum_up_after: [Duration; 2],
    /// Sums things up, and tells what it could not.
    summing: Option<AbortOnDropHandle<Vec<(TenantId, usize)>>>,
    /// What could not be told.
    untold: Option<SecretReuse>,
    id: Uuid,
    number: i64,
    store: Store,
    clock: Clock,
    retention: TimeDelta,
    counters: Counters,
}

struct Noted {
    notes: usize,
    due: Instant,
}

impl Writer {
    pub(super) fn new(
        notes: mpsc::Receiver<Arc<dyn Tallied>>,
        reuses: mpsc::Receiver<SecretReuse>,
        store: Store,
        clock: Clock,
        retention: TimeDelta,
        counters: Counters,
    ) -> Self {
        Self {
            notes,
            reuses,
            collected: Vec::new(),
            waiting: Vec::new(),
            unanswered: None,
            taken_in: 0,
            to_sum_up: HashMap::new(),
            sum_up_after: SUM_UP_AFTER,
            summing: None,
            untold: None,
            id: Uuid::new_v4(),
            number: 0,
            store,
            clock,
            retention,
            counters,
        }
    }

    /// The same with other bounds on how long notes wait to be summed up. For tests.
    #[must_use]
    pub fn summing_up_after(self, bounds: [Duration; 2]) -> Self {
        Self { sum_up_after: bounds, ..self }
    }

    /// Works until `stop` is done, and then writes what is left.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut next_flush = std::pin::pin!(sleep(FLUSH));
        let mut next_collection = Instant::now();
        let mut next_removal = Instant::now() + FLUSH;
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
                // While some cannot be told, the rest waits in its channel.
                reuse = self.reuses.recv(), if self.untold.is_none() && !self.reuses.is_closed() => {
                    self.untold = reuse;
                    self.tell_reuse().await;
                }
                () = &mut next_flush => {
                    self.tell_reuse().await;
                    let begun = Instant::now();
                    self.flush().await;
                    let pause = if self.unanswered.is_some() { FLUSH } else { pause_after(begun.elapsed()) };
                    self.sum_up().await;
                    next_flush.as_mut().reset(begun + pause);
                    if Instant::now() >= next_removal {
                        self.take_over_notes().await;
                        self.remove_old_hours().await;
                        next_removal = Instant::now() + REMOVAL;
                    }
                }
            }
        }
        while let Ok(secret) = self.notes.try_recv() {
            self.collected.push(secret);
        }
        self.flush().await;
        while self.untold.is_none() {
            let Ok(reuse) = self.reuses.try_recv() else { break };
            self.untold = Some(reuse);
            self.tell_reuse().await;
        }
    }

    /// Writes down that a dead secret was used; again at the next flush, if the database is away.
    async fn tell_reuse(&mut self) {
        let Some(reuse) = self.untold.take() else { return };
        match self.store.record_reuse(&reuse).await {
            Ok(()) => {}
            Err(error @ (store::Error::Unavailable(_) | store::Error::TooSlow)) => {
                warn!(%error, key_id = %reuse.key, "cannot write that a dead secret was used; trying again");
                self.untold = Some(reuse);
            }
            Err(error) => error!(%error, key_id = %reuse.key, "lost that a dead secret was used"),
        }
    }

    /// Notes of an instance that was killed, say, whose tenants nobody has used since.
    async fn take_over_notes(&mut self) {
        match self.store.tenants_with_notes_before(self.clock.now() - LEFT_BEHIND).await {
            Ok(tenants) => {
                let due = Instant::now();
                self.to_sum_up.extend(tenants.into_iter().map(|tenant| (tenant, Noted { notes: 0, due })));
            }
            Err(error) => {
                warn!(%error, "cannot look for notes of usage that were left behind; trying again in an hour");
            }
        }
    }

    async fn remove_old_hours(&self) {
        let Some(before) = self.clock.now().checked_sub_signed(self.retention) else { return };
        match self.store.remove_usage_before(before).await {
            Ok(None | Some(0)) => {}
            Ok(Some(rows)) => info!(rows, %before, "removed old figures of usage"),
            Err(error) => warn!(%error, "cannot remove old figures of usage; trying again in an hour"),
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
            batch.sort_unstable_by_key(UsageNote::order);
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
                self.note_for_sums(&batch);
                true
            }
            Err(error @ (store::Error::Internal(_) | store::Error::BadRow { .. })) => {
                // It would be refused each time, and hold up all that comes after it.
                error!(%error, figures = batch.len(), "lost figures of usage");
                self.counters.dropped.inc_by(u64::try_from(batch.len()).unwrap_or(0));
                true
            }
            Err(error) => {
                let waiting = self.collected.len() + self.waiting.len() + batch.len();
                self.counters.failed_flushes.inc();
                self.counters.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
                warn!(%error, waiting, "cannot write what API keys were used for; trying again");
                self.unanswered = Some(batch);
                false
            }
        }
    }

    fn note_for_sums(&mut self, batch: &[UsageNote]) {
        let ([least, most], now) = (self.sum_up_after, Instant::now());
        for of_one in batch.chunk_by(|a, b| a.tenant == b.tenant) {
            let tenant = of_one[0].tenant;
            // Not all at once: each tenant has a moment of its own.
            let share = u32::from(tenant.0.as_bytes()[15]);
            let due = || now + least + most.saturating_sub(least) * share / 256;
            self.to_sum_up.entry(tenant).or_insert_with(|| Noted { notes: 0, due: due() }).notes += of_one.len();
        }
    }

    /// Sums up what was noted a while ago, or is much; in a task of its own, as long as that may take, and
    /// one at a time. What could not be summed up is due again.
    async fn sum_up(&mut self) {
        if self.summing.as_ref().is_some_and(|summing| !summing.is_finished()) {
            return;
        }
        let now = Instant::now();
        if let Some(summing) = self.summing.take() {
            for (tenant, notes) in summing.await.unwrap_or_default() {
                let again = Noted { notes: 0, due: now + self.sum_up_after[1] };
                self.to_sum_up.entry(tenant).or_insert(again).notes += notes;
            }
        }
        let due: Vec<(TenantId, usize)> = self
            .to_sum_up
            .extract_if(|_, noted| noted.due <= now || noted.notes >= MANY_NOTES)
            .map(|(tenant, noted)| (tenant, noted.notes))
            .collect();
        if !due.is_empty() {
            let summing = Sums { store: self.store.clone(), counters: self.counters.clone() }.sum_up(due);
            self.summing = Some(AbortOnDropHandle::new(tokio::spawn(summing)));
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

/// Sums up what was noted.
struct Sums {
    store: Store,
    counters: Counters,
}

impl Sums {
    /// Tells of which tenants it could not. Several in one statement, as long as they have little: others
    /// wait for its locks.
    async fn sum_up(self, mut due: Vec<(TenantId, usize)>) -> Vec<(TenantId, usize)> {
        let mut failed = Vec::new();
        while !due.is_empty() {
            let mut notes = 0;
            let count = due.iter().take(TENANTS_AT_ONCE).take_while(|(_, more)| {
                let fits = notes == 0 || notes + more <= NOTES_AT_ONCE;
                notes += more;
                fits
            });
            let count = count.count();
            let part: Vec<_> = due.drain(..count).collect();
            let tenants: Vec<_> = part.iter().map(|(tenant, _)| *tenant).collect();
            match self.try_to(&tenants).await {
                Ok(()) => {}
                // One of them is to blame, and the others are not to suffer for it.
                Err(store::Error::Internal(_)) if part.len() > 1 => {
                    for (tenant, notes) in part {
                        if self.try_to(&[tenant]).await.is_err() {
                            failed.push((tenant, notes));
                        }
                    }
                }
                Err(_) => failed.extend(part),
            }
        }
        failed
    }

    async fn try_to(&self, tenants: &[TenantId]) -> Result<(), store::Error> {
        self.store.sum_up_usage(tenants).await.inspect_err(|error| {
            self.counters.failed_sums.inc();
            let tenant_id = (tenants.len() == 1).then(|| display(tenants[0]));
            warn!(%error, tenants = tenants.len(), tenant_id, "cannot sum up what API keys were used for; trying again");
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::LookupDigest;
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
