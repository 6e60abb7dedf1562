//! What writes what was recorded: three tasks that do not wait for one another.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{error, info, warn};

use super::{
    Counters,
    flusher::{FLUSH, Flusher, RETRY},
    sums::Summer,
    tally::Tallied,
};
use crate::{
    domain::Clock,
    store::{self, SecretReuse, Store},
};

/// How often old hours, and notes that were left behind, are looked for.
const UPKEEP: Duration = Duration::from_hours(1);
/// The same where that could not be done.
const AGAIN: Duration = Duration::from_mins(1);
/// Notes as old as that were left behind by somebody else.
const LEFT_BEHIND: TimeDelta = TimeDelta::minutes(10);

/// Collects and writes what keys were used for.
pub struct Writer {
    flusher: Flusher,
    teller: Teller,
    upkeep: Upkeep,
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
        let summer = Summer::new(store.clone(), counters.clone());
        Self {
            flusher: Flusher::new(notes, store.clone(), clock.clone(), counters.clone()),
            teller: Teller { reuses, reuse: None, store: store.clone(), counters },
            upkeep: Upkeep { store, clock, retention, summer },
        }
    }

    /// The same with other bounds on how long notes wait to be summed up. For tests.
    #[must_use]
    pub fn summing_up_after(mut self, bounds: [Duration; 2]) -> Self {
        self.flusher.sums.set_bounds(bounds);
        self
    }

    /// Works until `stop` tells until when what is left may be written, and then writes that.
    pub async fn run(self, stop: impl Future<Output = Instant>) {
        let (tell, told) = watch::channel(None);
        let teller = AbortOnDropHandle::new(tokio::spawn(self.teller.run(StopSignal(told.clone()))));
        let upkeep = AbortOnDropHandle::new(tokio::spawn(self.upkeep.run(StopSignal(told))));
        let stop = async {
            let until = stop.await;
            tell.send_replace(Some(until));
            until
        };
        let until = self.flusher.run(stop).await;
        let _ = teller.await;
        // What it is at then is undone, and somebody else's turn.
        let _ = timeout_at(until, upkeep).await;
    }
}

/// Tells when it is time to stop.
struct StopSignal(watch::Receiver<Option<Instant>>);

impl StopSignal {
    fn is_given(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits for it, and tells until when something may still be written.
    async fn given(&mut self) -> Instant {
        let until = self.0.wait_for(Option::is_some).await;
        until.ok().and_then(|until| *until).unwrap_or_else(Instant::now)
    }
}

/// Writes down that dead secrets were used.
struct Teller {
    reuses: mpsc::Receiver<SecretReuse>,
    /// What is written down now. While it cannot be, the rest waits in the channel.
    reuse: Option<SecretReuse>,
    store: Store,
    counters: Counters,
}

impl Teller {
    async fn run(mut self, mut stop: StopSignal) {
        while !stop.is_given() {
            if self.reuse.is_none() {
                self.reuse = tokio::select! {
                    biased;
                    _ = stop.given() => break,
                    reuse = self.reuses.recv(), if !self.reuses.is_closed() || !self.reuses.is_empty() => reuse,
                };
            }
            if !self.tell().await {
                tokio::select! { _ = stop.given() => {}, () = sleep(FLUSH) => {} }
            }
        }
        let until = stop.given().await;
        loop {
            if self.reuse.is_none() {
                self.reuse = self.reuses.try_recv().ok();
            }
            if self.reuse.is_none() {
                return;
            }
            match timeout_at(until, self.tell()).await {
                Ok(true) => {}
                Ok(false) => sleep(RETRY).await,
                Err(_) => break,
            }
        }
        let lost = self.reuses.len() + usize::from(self.reuse.is_some());
        error!(events = lost, "the process ends: lost that dead secrets were used");
        self.counters.dropped.inc_by(u64::try_from(lost).unwrap_or(0));
    }

    /// Tells whether that is done with.
    async fn tell(&mut self) -> bool {
        let Some(reuse) = &self.reuse else { return true };
        match self.store.record_reuse(reuse).await {
            Ok(()) => {}
            Err(error @ (store::Error::Internal(_) | store::Error::BadRow { .. })) => {
                error!(%error, key_id = %reuse.key, "lost that a dead secret was used");
                self.counters.dropped.inc();
            }
            Err(error) => {
                warn!(%error, key_id = %reuse.key, "cannot write that a dead secret was used; trying again");
                return false;
            }
        }
        self.reuse = None;
        true
    }
}

/// Sees to what others have left behind, and to what has grown old.
struct Upkeep {
    store: Store,
    clock: Clock,
    retention: TimeDelta,
    summer: Summer,
}

impl Upkeep {
    async fn run(self, mut stop: StopSignal) {
        let mut next = FLUSH;
        loop {
            tokio::select! { _ = stop.given() => return, () = sleep(next) => {} }
            let sums_are_made = self.sum_up_what_was_left_behind(&mut stop).await;
            let is_removed = self.remove_old_hours(&stop).await;
            next = if sums_are_made && is_removed { UPKEEP } else { AGAIN };
        }
    }

    /// Notes of an instance that was killed, say, whose tenants nobody has used since. Tells whether none is left.
    async fn sum_up_what_was_left_behind(&self, stop: &mut StopSignal) -> bool {
        match self.store.tenants_with_notes_before(self.clock.now() - LEFT_BEHIND).await {
            Ok(tenants) => {
                let due = tenants.into_iter().map(|tenant| (tenant, 0)).collect();
                tokio::select! {
                    _ = stop.given() => false,
                    left = self.summer.clone().sum_up(due) => left.is_empty(),
                }
            }
            Err(error) => {
                warn!(%error, "cannot look for notes of usage that were left behind; trying again");
                false
            }
        }
    }

    /// Tells whether none is left, or another instance is at it.
    async fn remove_old_hours(&self, stop: &StopSignal) -> bool {
        let Some(before) = self.clock.now().checked_sub_signed(self.retention) else { return true };
        let mut removed = 0;
        let outcome = loop {
            if stop.is_given() {
                break Ok(());
            }
            match self.store.remove_usage_before(before).await {
                Ok(None | Some(0)) => break Ok(()),
                Ok(Some(rows)) => removed += rows,
                Err(error) => break Err(error),
            }
        };
        if removed > 0 {
            info!(rows = removed, %before, "removed old figures of usage");
        }
        outcome.inspect_err(|error| warn!(%error, "cannot remove old figures of usage; trying again")).is_ok()
    }
}
