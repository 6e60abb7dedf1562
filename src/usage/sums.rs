//! Sums up what was noted, a while later.

use std::{collections::HashMap, time::Duration};

use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use tracing::{field::display, warn};

use super::Counters;
use crate::{
    domain::TenantId,
    store::{self, Store, UsageNote},
};

/// How long notes of a tenant wait at the least to be summed up, and at the most.
const SUM_UP_AFTER: [Duration; 2] = [Duration::from_secs(40), Duration::from_secs(80)];
/// As many notes of a tenant do not wait.
const MANY_NOTES: usize = 300_000;
/// What is summed up in one statement: so many tenants, and of several together so many notes.
const TENANTS_AT_ONCE: usize = 50;
const NOTES_TOGETHER: usize = 20_000;
/// It is summed up in parts, for that share of the longest wait, and what is left then is due again. Between parts, those
/// who wait get their turn.
const WITHIN: u32 = 4;
const BETWEEN_PARTS: Duration = Duration::from_millis(50);

/// When to sum up what this instance has noted.
pub(super) struct Sums {
    /// Of tenants of which nobody may have summed it up yet.
    noted: HashMap<TenantId, Noted>,
    after: [Duration; 2],
    /// Sums things up, and tells what is left.
    running: Option<AbortOnDropHandle<Vec<(TenantId, usize)>>>,
    summer: Summer,
}

struct Noted {
    notes: usize,
    due: Instant,
}

impl Sums {
    pub(super) fn new(store: Store, counters: Counters) -> Self {
        Self { noted: HashMap::new(), after: SUM_UP_AFTER, running: None, summer: Summer::new(store, counters) }
    }

    pub(super) fn set_bounds(&mut self, bounds: [Duration; 2]) {
        self.after = bounds;
        self.summer.within = within(bounds);
    }

    /// Takes note of notes, which are in their order.
    pub(super) fn note(&mut self, batch: &[UsageNote]) {
        let ([least, most], now) = (self.after, Instant::now());
        for of_one in batch.chunk_by(|a, b| a.tenant == b.tenant) {
            let tenant = of_one[0].tenant;
            // Not all at once: each tenant has a moment of its own.
            let share = u32::from(tenant.0.as_bytes()[15]);
            let due = || now + least + most.saturating_sub(least) * share / 256;
            self.noted.entry(tenant).or_insert_with(|| Noted { notes: 0, due: due() }).notes += of_one.len();
        }
    }

    /// Sums up what was noted a while ago, or is much; in a task of its own, as long as that may take, and
    /// one at a time. What is left is due again.
    pub(super) async fn begin_what_is_due(&mut self) {
        if self.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        let now = Instant::now();
        if let Some(finished) = self.running.take() {
            for (tenant, notes) in finished.await.unwrap_or_default() {
                let again = Noted { notes: 0, due: now + self.after[1] };
                self.noted.entry(tenant).or_insert(again).notes += notes;
            }
        }
        let due: Vec<(TenantId, usize)> = self
            .noted
            .extract_if(|_, noted| noted.due <= now || noted.notes >= MANY_NOTES)
            .map(|(tenant, noted)| (tenant, noted.notes))
            .collect();
        if !due.is_empty() {
            self.running = Some(AbortOnDropHandle::new(tokio::spawn(self.summer.clone().sum_up(due))));
        }
    }
}

/// Sums up what was noted.
#[derive(Clone)]
pub(super) struct Summer {
    store: Store,
    counters: Counters,
    within: Duration,
}

fn within([_, most]: [Duration; 2]) -> Duration {
    (most / WITHIN).max(Duration::from_secs(1))
}

impl Summer {
    pub(super) fn new(store: Store, counters: Counters) -> Self {
        Self { store, counters, within: within(SUM_UP_AFTER) }
    }

    /// Tells of which tenants there is more. Each has so many notes; several in one statement, as long as they have
    /// little: others wait for its locks.
    pub(super) async fn sum_up(self, mut due: Vec<(TenantId, usize)>) -> Vec<(TenantId, usize)> {
        let mut left = Vec::new();
        while !due.is_empty() {
            let mut notes = 0;
            let count = due.iter().take(TENANTS_AT_ONCE).take_while(|(_, more)| {
                let fits = notes == 0 || notes + more <= NOTES_TOGETHER;
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
                            left.push((tenant, notes));
                        }
                    }
                }
                Err(_) => left.extend(part),
            }
        }
        left
    }

    async fn try_to(&self, tenants: &[TenantId]) -> Result<(), store::Error> {
        let sum_up = async {
            let begun = Instant::now();
            while begun.elapsed() < self.within {
                if self.store.sum_up_usage(tenants).await? {
                    return Ok(());
                }
                sleep(BETWEEN_PARTS).await;
            }
            Err(store::Error::SummingUp)
        };
        sum_up.await.inspect_err(|error: &store::Error| {
            self.counters.failed_sums.inc();
            let tenant_id = (tenants.len() == 1).then(|| display(tenants[0]));
            warn!(%error, tenants = tenants.len(), tenant_id, "cannot sum up what API keys were used for; trying again");
        })
    }
}
