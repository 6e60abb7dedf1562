//! Reports of leaked secrets: on any host and without a credential, since who finds a secret knows neither its tenant nor
//! whether it is one.
//!
//! The handlers only queue reports ([`LeakReport`]); a worker of the app handles them, and has the only way to keys of whatever
//! tenant.

mod address_limit;
mod github;
mod report;

use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use tokio::sync::{Semaphore, mpsc, oneshot};

use self::address_limit::AddressLimit;
pub(super) use self::{
    github::{__path_github, github},
    report::{__path_report, report},
};
use super::problem::{Code, Problem};
use crate::{
    auth::github_keys::GithubKeys,
    domain::{LeakUrl, LookupDigest, Reporter, Secret},
    store,
};

/// Reports that can wait.
const QUEUE: usize = 64;
/// Large bodies that are read at once.
const LARGE_BODIES: usize = 16;
/// Places that are kept of one secret and report.
const PLACES: usize = 10;

/// Secrets that somebody reports as leaked.
pub(crate) struct LeakReport {
    /// Each secret, with where it was found.
    pub(crate) places: BTreeMap<LookupDigest, Vec<LeakUrl>>,
    pub(crate) reporter: Reporter,
    /// The reporter's.
    pub(crate) address: IpAddr,
    pub(crate) request_id: String,
    /// Gets those that are a secret of a key. `None`: nobody waits for that.
    pub(crate) reply: Option<oneshot::Sender<Result<HashSet<LookupDigest>, store::Error>>>,
}

/// The secrets of a report, from the texts that it consists of.
#[derive(Default)]
struct Findings(BTreeMap<LookupDigest, Vec<LeakUrl>>);

impl Findings {
    /// Whole secrets alone: anything else is no secret of a key. Returns the secret's digest.
    fn add(&mut self, text: &str, url: Option<&LeakUrl>) -> Option<LookupDigest> {
        let digest = Secret::parse(text.trim().as_bytes())?.lookup_digest();
        let places = self.0.entry(digest).or_default();
        if let Some(url) = url.filter(|url| places.len() < PLACES && !places.contains(url)) {
            places.push(url.clone());
        }
        Some(digest)
    }
}

/// The queues of reports, for handlers.
#[derive(Clone)]
pub struct LeakReports {
    of_anyone: mpsc::Sender<LeakReport>,
    of_github: mpsc::Sender<LeakReport>,
    /// Of reports by anyone.
    limit: Arc<AddressLimit>,
    /// Of reports to `/leaks/github` whose signature is invalid.
    forgeries: Arc<AddressLimit>,
    large_bodies: Arc<Semaphore>,
    /// `None`: reports of GitHub are not accepted.
    github_keys: Option<Arc<GithubKeys>>,
}

/// The queues, for workers.
pub(crate) struct LeakQueues {
    pub(crate) of_anyone: mpsc::Receiver<LeakReport>,
    pub(crate) of_github: mpsc::Receiver<LeakReport>,
}

/// Without workers: every report is refused.
impl Default for LeakReports {
    fn default() -> Self {
        Self::new(None).0
    }
}

impl LeakReports {
    /// The queues, with both ends.
    pub(crate) fn new(github_keys: Option<GithubKeys>) -> (Self, LeakQueues) {
        let [(of_anyone, of_anyone_queued), (of_github, of_github_queued)] = [(); 2].map(|()| mpsc::channel(QUEUE));
        let reports = Self {
            of_anyone,
            of_github,
            limit: Arc::default(),
            forgeries: Arc::default(),
            large_bodies: Arc::new(Semaphore::new(LARGE_BODIES)),
            github_keys: github_keys.map(Arc::new),
        };
        (reports, LeakQueues { of_anyone: of_anyone_queued, of_github: of_github_queued })
    }
}

/// Refuses what does not fit into the queue.
fn enqueue(queue: &mpsc::Sender<LeakReport>, report: LeakReport) -> Result<(), Problem> {
    queue.try_send(report).map_err(|_| Code::Busy.into())
}
