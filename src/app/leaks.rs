//! The workers that handle reports of leaked secrets, as each tenant's policy says (`onLeak`).
//!
//! Reports come from `http::leaks` through queues. Handling is idempotent, so a report whose outcome is unknown is retried.

use std::collections::HashSet;

use futures_util::{FutureExt as _, future::join_all};
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::{sync::mpsc, time::Instant};
use tracing::{error, info, warn};

use crate::{
    auth::github_keys::GithubKeys,
    domain::{ApiKey, Clock, EventKind, LeakAction, LookupDigest, NewEvent, Reason, Reporter},
    http::{LeakReport, LeakReports, ended_secret_details, grant_details, leak_details, suspension_details},
    queue_worker::{self, Handler},
    store::{self, LeakStore, Locked, LockedSecret, ReportedSecret, WriteTx},
    usage::FailureLog,
};

/// Secrets that are handled in one transaction: meanwhile other changes of the tenant's keys wait.
const CHANGED_AT_ONCE: usize = 250;
/// Why a key is revoked or suspended.
const REASON: &str = "its secret was reported as leaked";

#[derive(Clone)]
struct LeakMetrics {
    secrets: Family<[(&'static str, &'static str); 1], Counter>,
    reports: Family<[(&'static str, &'static str); 2], Counter>,
}

impl LeakMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self { secrets: Family::default(), reports: Family::default() };
        for action in LeakAction::ALL {
            drop(metrics.secrets.get_or_create(&[("action", action.as_str())]));
        }
        for reporter in Reporter::ALL {
            for outcome in ["handled", "failed"] {
                drop(metrics.reports.get_or_create(&[("reporter", reporter.as_str()), ("outcome", outcome)]));
            }
        }
        let help = "Secrets of keys that were reported to this instance as leaked, by what it did: revoked, suspended (the \
                    key), secret_ended (the previous secret), none (it did not work any more, or the policy says so). A \
                    report of the same secret within an hour is not counted";
        registry.register("rally_leaked_secrets", help, metrics.secrets.clone());
        let help = "Reports of leaked secrets, by reporter and outcome. failed: it could not be handled, see the log";
        registry.register("rally_leak_reports", help, metrics.reports.clone());
        metrics
    }
}

/// The queues of reports, and their workers.
pub(super) fn start(
    github_keys: Option<GithubKeys>,
    store: &LeakStore,
    clock: &Clock,
    registry: &mut Registry,
) -> (LeakReports, LeakWorkers) {
    let (reports, queues) = LeakReports::new(github_keys);
    let metrics = LeakMetrics::register(registry);
    let worker = |queue| {
        let (store, clock, metrics) = (store.clone(), clock.clone(), metrics.clone());
        (queue, LeakHandler { store, clock, metrics, failures: FailureLog::default() })
    };
    (reports, LeakWorkers([worker(queues.of_anyone), worker(queues.of_github)]))
}

/// A worker for each queue, so that reports of anybody do not delay those of GitHub.
pub(super) struct LeakWorkers([(mpsc::Receiver<LeakReport>, LeakHandler); 2]);

impl LeakWorkers {
    /// Handles reports until `stop` resolves, then the rest, until the deadline to which it resolves.
    pub(super) async fn run(self, stop: impl Future<Output = Instant>) {
        let stop = stop.shared();
        join_all(self.0.map(|(queue, handler)| queue_worker::run(queue, handler, stop.clone()))).await;
    }
}

struct LeakHandler {
    store: LeakStore,
    clock: Clock,
    metrics: LeakMetrics,
    failures: FailureLog,
}

impl Handler<LeakReport> for LeakHandler {
    /// A report is retried if the database is away and nobody waits for the outcome; of its secrets, those that were not handled.
    async fn handle(&mut self, mut report: LeakReport) -> Option<LeakReport> {
        let outcome = self.handle_once(&report).await;
        let reply = report.reply.take().filter(|reply| !reply.is_closed());
        let request_id = report.request_id.as_str();
        match &outcome {
            Ok(_) => {
                if self.failures.succeeded() {
                    info!("reports of leaked secrets are handled again");
                }
            }
            Err(Unhandled { error, .. }) if error.is_defect() => {
                error!(%error, request_id, "could not handle a report of leaked secrets, because of a defect in a query or in stored data");
            }
            Err(Unhandled { error, digests }) => {
                if self.failures.failed(error) {
                    warn!(%error, request_id, "could not handle a report of leaked secrets; its sender is told, or it is tried again");
                }
                if reply.is_none() {
                    report.places.retain(|digest, _| digests.contains(digest));
                    return Some(report);
                }
            }
        }
        let label = if outcome.is_ok() { "handled" } else { "failed" };
        self.metrics.reports.get_or_create(&[("reporter", report.reporter.as_str()), ("outcome", label)]).inc();
        if let Some(reply) = reply {
            // Whoever has gone in the meantime sends the report again.
            let _ = reply.send(outcome.map_err(|unhandled| unhandled.error));
        }
        None
    }

    fn lost(&mut self, items: usize) {
        error!(reports = items, "the process ends: lost reports of leaked secrets, which have to be sent again");
    }
}

/// Secrets of a report that could not be handled.
struct Unhandled {
    error: store::Error,
    digests: HashSet<LookupDigest>,
}

impl LeakHandler {
    /// Returns those of the report's secrets that are one of a key. A tenant for which it fails delays no other one.
    async fn handle_once(&self, report: &LeakReport) -> Result<HashSet<LookupDigest>, Unhandled> {
        let digests: Vec<_> = report.places.keys().copied().collect();
        let mut found = match self.store.find(&digests).await {
            Ok(found) => found,
            Err(error) => return Err(Unhandled { error, digests: digests.into_iter().collect() }),
        };
        found.sort_unstable_by_key(|secret| (secret.tenant.0, secret.key.0));
        let mut unhandled: Option<Unhandled> = None;
        for of_tenant in found.chunk_by(|one, other| one.tenant == other.tenant) {
            for part in of_tenant.chunks(CHANGED_AT_ONCE) {
                if let Err(error) = self.change(part, report).await {
                    let first = unhandled.get_or_insert_with(|| Unhandled { error, digests: HashSet::new() });
                    first.digests.extend(part.iter().map(|secret| secret.lookup_digest));
                }
            }
        }
        match unhandled {
            None => Ok(found.into_iter().map(|secret| secret.lookup_digest).collect()),
            Some(unhandled) => Err(unhandled),
        }
    }

    /// One transaction, about secrets of one tenant.
    async fn change(&self, reported: &[ReportedSecret], report: &LeakReport) -> Result<(), store::Error> {
        let Some(first) = reported.first() else { return Ok(()) };
        let mut ids: Vec<_> = reported.iter().map(|secret| secret.key).collect();
        ids.dedup();
        let digests: Vec<_> = reported.iter().map(|secret| secret.lookup_digest).collect();
        let mut transaction = self.store.tenant(first.tenant).begin_revocation().await?;
        let keys = transaction.lock_leaked_keys(&ids).await?;
        if keys.is_empty() {
            return transaction.rollback().await; // the tenant was deleted
        }
        let secrets = transaction.reported_secrets(&digests).await?;
        let on_leak = transaction.on_leak().await?;
        let leaks = keys.iter().flat_map(|key| {
            let of_key = secrets.iter().filter(|secret| secret.key == key.id);
            of_key.map(|secret| Leak { key, secret, action: LeakAction::of(on_leak, key, secret.state) })
        });
        let leaks: Vec<_> = leaks.collect();
        let first_reports = transaction.record_leaks(&digests).await?;
        let is_recorded =
            |leak: &&Leak<'_>| leak.action != LeakAction::None || first_reports.contains(&leak.secret.lookup_digest);
        let recorded: Vec<_> = leaks.iter().filter(is_recorded).copied().collect();
        if recorded.is_empty() {
            return transaction.rollback().await;
        }
        let events = self.apply(&mut transaction, &recorded, report).await?;
        transaction.commit_with_all(&events).await?;
        for leak in recorded {
            self.metrics.secrets.get_or_create(&[("action", leak.action.as_str())]).inc();
        }
        Ok(())
    }

    /// Changes the keys. Returns the events.
    async fn apply(
        &self,
        transaction: &mut WriteTx,
        leaks: &[Leak<'_>],
        report: &LeakReport,
    ) -> Result<Vec<NewEvent>, store::Error> {
        let now = self.clock.now();
        let event = |kind, key: &ApiKey, details| {
            NewEvent::anonymous(kind, key.id, now)
                .with_request(Some(report.address), &report.request_id)
                .with_details(details)
        };
        let mut events: Vec<_> = leaks
            .iter()
            .map(|Leak { key, secret, action }| {
                let places = report.places.get(&secret.lookup_digest).map(Vec::as_slice).unwrap_or_default();
                let details = leak_details(&key.name, secret.hint, secret.state, *action, places, report.reporter);
                event(EventKind::Leaked, key, details)
            })
            .collect();

        let revoked = keys_with(leaks, LeakAction::Revoke);
        if !revoked.is_empty() {
            transaction.revoke_leaked_keys(&revoked, now).await?;
        }
        let is_left = |key: &&Locked<ApiKey>| !revoked.iter().any(|revoked| revoked.id == key.id);
        let suspended: Vec<_> = keys_with(leaks, LeakAction::Suspend).into_iter().filter(is_left).collect();
        if !suspended.is_empty() {
            transaction.suspend_leaked_keys(&suspended, REASON, now).await?;
        }
        let ended: Vec<_> = keys_with(leaks, LeakAction::EndSecret).into_iter().filter(is_left).collect();
        if !ended.is_empty() {
            transaction.end_leaked_secrets(&ended, now).await?;
        }

        let reason = Reason::stored(REASON.to_owned());
        events.extend(revoked.iter().map(|key| {
            let details = grant_details(&key.grant(), Some(&reason));
            event(EventKind::Revoked, key, details)
        }));
        events.extend(suspended.iter().filter_map(|key| {
            let changed = key.suspend(now, None, Some(reason.clone()))?;
            Some(event(EventKind::Suspended, key, suspension_details(&changed, Some(&reason))))
        }));
        events.extend(ended.iter().filter_map(|key| {
            let previous = key.previous?;
            Some(event(EventKind::PreviousSecretEnded, key, ended_secret_details(previous)))
        }));
        Ok(events)
    }
}

/// A secret that leaked, and what is done about it.
#[derive(Clone, Copy)]
struct Leak<'a> {
    key: &'a Locked<ApiKey>,
    secret: &'a LockedSecret,
    action: LeakAction,
}

/// Each key once. A key's leaks are neighbours.
fn keys_with<'a>(leaks: &[Leak<'a>], action: LeakAction) -> Vec<&'a Locked<ApiKey>> {
    let mut keys: Vec<_> = leaks.iter().filter(|leak| leak.action == action).map(|leak| leak.key).collect();
    keys.dedup_by_key(|key| key.id);
    keys
}
