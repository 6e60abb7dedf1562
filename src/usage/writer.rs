//! What writes what was recorded: three tasks that do not wait for one another.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{error, info, warn};

use super::{
    Counters,
    flusher::{FLUSH, Flusher},
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
        let summer = Summer { store: store.clone(), counters: counters.clone() };
        Self {
            flusher: Flusher::new(notes, store.clone(), clock.clone(), counters),
            teller: Teller { reuses, store: store.clone() },
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
        let stopped = CancellationToken::new();
        let teller = AbortOnDropHandle::new(tokio::spawn(self.teller.tell_until(stopped.clone())));
        let upkeep = AbortOnDropHandle::new(tokio::spawn(self.upkeep.keep_up()));
        self.flusher.run(stop).await;
        stopped.cancel();
        drop(upkeep); // what it was at is undone, and somebody else's turn
        let _ = teller.await;
    }
}

/// Writes down that dead secrets were used.
struct Teller {
    reuses: mpsc::Receiver<SecretReuse>,
    store: Store,
}

impl Teller {
    /// Then what is left, as far as the database takes it. While one cannot be told, the rest waits in its channel.
    async fn tell_until(mut self, stopped: CancellationToken) {
        while let Some(Some(reuse)) = stopped.run_until_cancelled(self.reuses.recv()).await {
            while !self.tell(&reuse).await {
                if stopped.is_cancelled() {
                    return;
                }
                stopped.run_until_cancelled(sleep(FLUSH)).await;
            }
        }
        while let Ok(reuse) = self.reuses.try_recv() {
            if !self.tell(&reuse).await {
                return;
            }
        }
    }

    /// Tells whether that is done with.
    async fn tell(&self, reuse: &SecretReuse) -> bool {
        match self.store.record_reuse(reuse).await {
            Ok(()) => true,
            Err(error @ (store::Error::Unavailable(_) | store::Error::TooSlow | store::Error::SummingUp)) => {
                warn!(%error, key_id = %reuse.key, "cannot write that a dead secret was used; trying again");
                false
            }
            Err(error) => {
                error!(%error, key_id = %reuse.key, "lost that a dead secret was used");
                true
            }
        }
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
    async fn keep_up(self) {
        let mut next = FLUSH;
        loop {
            sleep(next).await;
            let is_done = self.sum_up_what_was_left_behind().await & self.remove_old_hours().await;
            next = if is_done { UPKEEP } else { AGAIN };
        }
    }

    /// Notes of an instance that was killed, say, whose tenants nobody has used since. Tells whether none is left.
    async fn sum_up_what_was_left_behind(&self) -> bool {
        match self.store.tenants_with_notes_before(self.clock.now() - LEFT_BEHIND).await {
            Ok(tenants) => {
                let due = tenants.into_iter().map(|tenant| (tenant, 0)).collect();
                self.summer.clone().sum_up(due).await.is_empty()
            }
            Err(error) => {
                warn!(%error, "cannot look for notes of usage that were left behind; trying again");
                false
            }
        }
    }

    /// Tells whether none is left, or another instance is at it.
    async fn remove_old_hours(&self) -> bool {
        let Some(before) = self.clock.now().checked_sub_signed(self.retention) else { return true };
        let mut removed = 0;
        let outcome = loop {
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
