//! The job that gives notice of idle keys and suspends them. Every instance starts it; one at a time works.

use std::time::Duration;

use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    domain::{ApiKeyId, Clock, EventKind, IdleAction, IdleRule, NewEvent, TenantId, Timestamp},
    http::{idle_notice, idle_suspension},
    store::{self, IdleKey, IdleKeyStore, Locked, TenantStore, WriteTx},
};

const AFTER_START: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_hours(1);
/// Interval after a run that an outage of the database has ended.
const RETRY: Duration = Duration::from_mins(1);
/// Keys that are read in one transaction.
const PAGE: usize = 1_000;
/// Keys that are changed in one transaction: meanwhile other changes of the tenant's keys wait, for some 20 ms.
const CHANGED_AT_ONCE: usize = 100;
/// Between two transactions, for other changes.
const PAUSE: Duration = Duration::from_millis(50);
/// In the place of a request's id.
const REQUEST_ID: &str = "idle-keys";

pub(super) struct IdleKeyJob {
    store: IdleKeyStore,
    clock: Clock,
    metrics: Metrics,
}

#[derive(Clone, Default)]
struct Metrics {
    runs: Family<[(&'static str, &'static str); 1], Counter>,
    notices: Counter,
    suspensions: Counter,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Completed,
    /// Another instance is at work.
    Elsewhere,
    /// It failed for some tenants.
    Failed,
    /// The database is away.
    Outage,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Completed, Self::Elsewhere, Self::Failed, Self::Outage];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Elsewhere => "elsewhere",
            Self::Failed => "failed",
            Self::Outage => "outage",
        }
    }
}

/// The result of one transaction.
enum Step {
    /// Another instance is at work.
    Elsewhere,
    /// `next`: the keys after this one come next; `None`: these were the last.
    Done { notices: usize, suspensions: usize, next: Option<ApiKeyId> },
}

impl Step {
    const fn unchanged(next: Option<ApiKeyId>) -> Self {
        Self::Done { notices: 0, suspensions: 0, next }
    }
}

impl IdleKeyJob {
    pub(super) fn new(store: IdleKeyStore, clock: Clock, registry: &mut Registry) -> Self {
        let metrics = Metrics::default();
        let Metrics { runs, notices, suspensions } = metrics.clone();
        for outcome in Outcome::ALL {
            drop(runs.get_or_create(&[("outcome", outcome.as_str())]));
        }
        let help = "Runs of the job that suspends idle keys, by outcome; elsewhere: another instance was at work";
        registry.register("rally_idle_key_runs", help, runs);
        let help = "Notices that an idle key will be suspended, by this instance";
        registry.register("rally_idle_key_notices", help, notices);
        let help = "Idle keys that this instance has suspended, as their tenants' policies say";
        registry.register("rally_idle_key_suspensions", help, suspensions);
        Self { store, clock, metrics }
    }

    /// May be dropped at any time.
    pub(super) async fn run(self) {
        let mut next = AFTER_START;
        loop {
            sleep(next).await;
            let outcome = self.run_once().await;
            self.metrics.runs.get_or_create(&[("outcome", outcome.as_str())]).inc();
            next = if outcome == Outcome::Outage { RETRY } else { INTERVAL };
        }
    }

    async fn run_once(&self) -> Outcome {
        let tenants = match self.store.tenants().await {
            Ok(tenants) => tenants,
            Err(error) if error.is_outage() => return Outcome::Outage, // the change feed reports it
            Err(error) => {
                warn!(%error, "could not look for idle API keys; trying again in an hour");
                return Outcome::Failed;
            }
        };
        let mut failures = Vec::new();
        for tenant in tenants {
            match self.work_on(tenant).await {
                Ok(true) => {}
                Ok(false) => return Outcome::Elsewhere,
                Err(error) if error.is_outage() => return Outcome::Outage,
                Err(error) => failures.push((tenant, error)),
            }
        }
        let Some((tenant_id, error)) = failures.first() else { return Outcome::Completed };
        let tenants = failures.len();
        warn!(tenants, %tenant_id, %error, "could not suspend idle API keys of some tenants, of which one is named; trying again in an hour");
        Outcome::Failed
    }

    /// False: another instance is at work.
    async fn work_on(&self, tenant_id: TenantId) -> Result<bool, store::Error> {
        let keys = self.store.tenant(tenant_id);
        let (mut all_notices, mut all_suspensions, mut after) = (0, 0, None);
        let outcome = loop {
            match self.step(&keys, after).await {
                Ok(Step::Elsewhere) => break Ok(false),
                Ok(Step::Done { notices, suspensions, next }) => {
                    all_notices += notices;
                    all_suspensions += suspensions;
                    if next.is_none() {
                        break Ok(true);
                    }
                    after = next;
                }
                Err(error) => break Err(error),
            }
            sleep(PAUSE).await;
        };
        if all_notices + all_suspensions > 0 {
            info!(%tenant_id, notices = all_notices, suspended = all_suspensions, "gave notice of idle API keys, or suspended them");
        }
        outcome
    }

    /// One transaction: reads a page of keys, and changes the first of those that are idle.
    async fn step(&self, keys: &TenantStore, after: Option<ApiKeyId>) -> Result<Step, store::Error> {
        let mut transaction = keys.begin_write().await?;
        let (step, events) = match self.change(&mut transaction, after).await {
            Ok((step, events)) if !events.is_empty() => (step, events),
            // Waited for, since it also releases the lock that the next transaction asks for.
            unchanged => {
                let rolled_back = transaction.rollback().await;
                let (step, _) = unchanged?;
                return rolled_back.map(|()| step);
            }
        };
        transaction.commit_with_all(&events).await?;
        if let Step::Done { notices, suspensions, .. } = step {
            self.metrics.notices.inc_by(notices as u64);
            self.metrics.suspensions.inc_by(suspensions as u64);
        }
        Ok(step)
    }

    async fn change(
        &self,
        transaction: &mut WriteTx,
        after: Option<ApiKeyId>,
    ) -> Result<(Step, Vec<NewEvent>), store::Error> {
        let unchanged = |next| Ok((Step::unchanged(next), Vec::new()));
        if !transaction.try_lock_idle_key_job().await? {
            return Ok((Step::Elsewhere, Vec::new()));
        }
        let Some(rule) = transaction.idle_rule().await? else { return unchanged(None) };
        let now = self.clock.now();
        let page = transaction.keys_after(after, PAGE).await?;
        let idle = page.iter().filter(|key| rule.action(&key.facts, now).is_some());
        let idle: Vec<_> = idle.map(|key| key.id).take(CHANGED_AT_ONCE).collect();
        let next = if idle.len() == CHANGED_AT_ONCE {
            idle.last().copied()
        } else {
            page.last().filter(|_| page.len() == PAGE).map(|key| key.id)
        };
        if idle.is_empty() {
            return unchanged(next);
        }

        let locked = transaction.lock_idle_keys(&idle).await?;
        if transaction.lock_idle_rule().await? != Some(rule) {
            return unchanged(after); // again, by the rule that holds now
        }
        let of = |action| locked.iter().filter(move |key| rule.action(&key.facts, now) == Some(action));
        let notices: Vec<_> = of(IdleAction::GiveNotice).collect();
        let suspensions: Vec<_> = of(IdleAction::Suspend).collect();
        if !notices.is_empty() {
            transaction.record_idle_notices(&notices, now).await?;
        }
        if !suspensions.is_empty() {
            transaction.suspend_idle_keys(&suspensions, &rule.reason(), now).await?;
        }
        let events = events(&notices, &suspensions, rule, now);
        Ok((Step::Done { notices: notices.len(), suspensions: suspensions.len(), next }, events))
    }
}

fn events(
    notices: &[&Locked<IdleKey>],
    suspensions: &[&Locked<IdleKey>],
    rule: IdleRule,
    now: Timestamp,
) -> Vec<NewEvent> {
    let event = |kind, key: &IdleKey, details| {
        NewEvent::anonymous(kind, key.id, now).with_request(None, REQUEST_ID).with_details(details)
    };
    let suspend_at = IdleRule::suspend_at(now);
    let notices = notices.iter().map(|key| event(EventKind::IdleNotice, key, idle_notice(key, rule, suspend_at)));
    let reason = rule.reason();
    let suspensions = suspensions.iter().map(|key| event(EventKind::Suspended, key, idle_suspension(key, &reason)));
    notices.chain(suspensions).collect()
}
