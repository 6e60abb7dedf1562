//! The workers that deal with secrets that are reported as leaked: each tenant's policy says how (`onLeak`).
//!
//! Reports come from `http::leaks` through queues. Whatever is done twice is done once: so a report whose outcome is unknown is
//! simply dealt with again.

use std::{collections::HashSet, time::Duration};

use futures_util::{FutureExt as _, future::join_all};
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout_at},
};
use tracing::{error, warn};

use crate::{
    auth::github_keys::GithubKeys,
    domain::{ApiKey, Clock, EventKind, LeakAction, LookupDigest, NewEvent, Reporter},
    http::{LeakReport, LeakReports, ended_secret_details, grant_details, leak_details, suspension_details},
    store::{self, LeakStore, Locked, LockedSecret, ReportedSecret, WriteTx},
};

/// Secrets that are dealt with in one transaction: meanwhile other changes of the tenant's keys wait.
const CHANGED_AT_ONCE: usize = 250;
/// Interval between attempts while the database is away.
const RETRY: Duration = Duration::from_secs(1);
/// Why a key is suspended.
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
        let help =
            "Reports of leaked secrets, by reporter and outcome. failed: it could not be dealt with, see the log";
        registry.register("rally_leak_reports", help, metrics.reports.clone());
        metrics
    }
}

/// Where reports go, and the workers that deal with them.
pub(super) fn start(
    github_keys: Option<GithubKeys>,
    store: &LeakStore,
    clock: &Clock,
    registry: &mut Registry,
) -> (LeakReports, LeakWorkers) {
    let (reports, queues) = LeakReports::new(github_keys);
    let metrics = LeakMetrics::register(registry);
    let worker = |queue| LeakWorker { queue, store: store.clone(), clock: clock.clone(), metrics: metrics.clone() };
    (reports, LeakWorkers([worker(queues.of_anyone), worker(queues.of_github)]))
}

/// A worker for each queue, so that reports of anybody do not delay those of GitHub.
pub(super) struct LeakWorkers([LeakWorker; 2]);

impl LeakWorkers {
    /// Deals with reports until `stop` resolves, then with the rest, until the deadline to which it resolves.
    pub(super) async fn run(self, stop: impl Future<Output = Instant>) {
        let stop = stop.shared();
        join_all(self.0.map(|worker| worker.run(stop.clone()))).await;
    }
}

/// Deals with the reports of one queue, one after the other.
struct LeakWorker {
    queue: mpsc::Receiver<LeakReport>,
    store: LeakStore,
    clock: Clock,
    metrics: LeakMetrics,
}

impl LeakWorker {
    /// Deals with reports until `stop` resolves, then with the rest, until the deadline to which it resolves.
    async fn run(mut self, stop: impl Future<Output = Instant>) {
        let mut stop = std::pin::pin!(stop);
        let deadline = loop {
            let report = tokio::select! {
                biased;
                deadline = &mut stop => break deadline,
                Some(report) = self.queue.recv() => report,
            };
            let mut handling = std::pin::pin!(self.handle(report));
            tokio::select! {
                () = &mut handling => {}
                // A transaction is not dropped half-way.
                deadline = &mut stop => {
                    if timeout_at(deadline, &mut handling).await.is_err() {
                        error!("the process ends: lost a report of leaked secrets, which has to be sent again");
                    }
                    break deadline;
                }
            }
        };
        self.queue.close();
        while let Some(report) = self.queue.recv().await {
            if timeout_at(deadline, self.handle(report)).await.is_err() {
                let reports = self.queue.len() + 1;
                error!(reports, "the process ends: lost reports of leaked secrets, which have to be sent again");
                return;
            }
        }
    }

    /// Deals with a report. If nobody waits for the outcome, it is tried until the database responds.
    async fn handle(&self, mut report: LeakReport) {
        let reply = report.reply.take();
        let outcome = loop {
            let outcome = self.deal_with(&report).await;
            match &outcome {
                Err(store::Error::Internal(_) | store::Error::BadRow { .. }) | Ok(_) => break outcome,
                Err(_) if reply.is_some() => break outcome,
                Err(error) => {
                    warn!(%error, request_id = report.request_id, "could not deal with a report of leaked secrets; trying again");
                    sleep(RETRY).await;
                }
            }
        };
        let label = if outcome.is_ok() { "handled" } else { "failed" };
        self.metrics.reports.get_or_create(&[("reporter", report.reporter.as_str()), ("outcome", label)]).inc();
        match (reply, outcome) {
            (Some(reply), outcome) => drop(reply.send(outcome)),
            (None, Err(error)) => {
                error!(%error, request_id = report.request_id, "could not deal with a report of leaked secrets, because of a defect in a query or in stored data");
            }
            (None, Ok(_)) => {}
        }
    }

    /// Returns those of the report's secrets that are one of a key. A tenant for which it fails keeps no other one waiting.
    async fn deal_with(&self, report: &LeakReport) -> Result<HashSet<LookupDigest>, store::Error> {
        let digests: Vec<_> = report.places.keys().copied().collect();
        let mut found = self.store.find(&digests).await?;
        found.sort_unstable_by_key(|secret| (secret.tenant.0, secret.key.0));
        let mut outcome = Ok(());
        for of_tenant in found.chunk_by(|one, other| one.tenant == other.tenant) {
            for part in of_tenant.chunks(CHANGED_AT_ONCE) {
                outcome = outcome.and(self.change(part, report).await);
            }
        }
        outcome.map(|()| found.into_iter().map(|secret| secret.lookup_digest).collect())
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
        let unknown_until_now = transaction.note_leaks(&digests).await?;
        let noted = |leak: &&Leak<'_>| {
            leak.action != LeakAction::None || unknown_until_now.contains(&leak.secret.lookup_digest)
        };
        let noted: Vec<_> = leaks.iter().filter(noted).copied().collect();
        if noted.is_empty() {
            return transaction.rollback().await;
        }
        let events = self.apply(&mut transaction, &noted, report).await?;
        transaction.commit_with_all(&events).await?;
        for leak in noted {
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

        events.extend(revoked.iter().map(|key| {
            let details = grant_details(&key.name, key.hint, key.scopes, key.expires_at, &key.limits);
            event(EventKind::Revoked, key, details)
        }));
        events.extend(suspended.iter().filter_map(|key| {
            let reason = crate::domain::Reason::stored(REASON.to_owned());
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
