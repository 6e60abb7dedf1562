//! The status of the change feed, and the log of its outages: a line at the start, with the cause, and one at the end.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{info, warn};

use super::lease::Lease;
use crate::store::{self, ServerIdentity};

/// Why the feed is down.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    #[error(transparent)]
    Database(#[from] store::Error),
    #[error("no connection within 5 s: is the pool of a pooler exhausted, or does the server not respond?")]
    ConnectTimeout,
    #[error("the connection was closed")]
    Closed,
    #[error("heartbeats no longer come back")]
    HeartbeatsLost,
    #[error(
        "no heartbeat ever came back: LISTEN does not work on this connection. Does DATABASE_URL go through a \
         pooler in transaction mode? Then set DATABASE_DIRECT_URL to the server itself"
    )]
    NeverHeard,
    #[error(
        "the heartbeats reach another server ({beats}) than the change feed ({feed}), as in the middle of a failover; if \
         this persists, DATABASE_DIRECT_URL (or DATABASE_URL) resolves to several servers: let it name the primary"
    )]
    OtherBeats { feed: ServerIdentity, beats: ServerIdentity },
    #[error(
        "lookups reach another server than the change feed, as in the middle of a failover; if this persists, \
         DATABASE_URL and DATABASE_DIRECT_URL lead to different servers: let both name the primary"
    )]
    OtherLookups,
    #[error(
        "the server {0} is behind what this instance has seen of it: an old primary, or a restore to a time before. \
         Fence an old primary off; after a restore, restart the instances"
    )]
    Behind(ServerIdentity),
}

impl FeedError {
    /// PostgreSQL cannot be reached. False: the feed is down for another reason.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Database(error) => error.is_outage(),
            Self::ConnectTimeout | Self::Closed => true,
            Self::HeartbeatsLost
            | Self::NeverHeard
            | Self::OtherBeats { .. }
            | Self::OtherLookups
            | Self::Behind(_) => false,
        }
    }

    /// The feed, the heartbeats and the lookups are on different servers, or the server is behind one that was seen: what is
    /// cached may be wrong.
    pub(super) fn is_server_mismatch(&self) -> bool {
        matches!(self, Self::OtherBeats { .. } | Self::OtherLookups | Self::Behind(_))
    }

    /// It may persist until somebody changes the settings or the network.
    pub(super) fn is_persistent(&self) -> bool {
        matches!(self, Self::NeverHeard) || self.is_server_mismatch()
    }
}

/// The change feed's state. Clones share it.
#[derive(Clone)]
pub struct FeedStatus {
    lease: Arc<Lease>,
    state: Arc<Mutex<State>>,
}

/// The status, and what was logged of it.
#[derive(Default)]
enum State {
    #[default]
    Starting,
    Up,
    /// It broke just now. The next attempt tells more than a closed connection does.
    Broken {
        cause: String,
        since: Instant,
    },
    /// That it is down was logged.
    Down {
        is_away: bool,
        since: Instant,
    },
}

impl FeedStatus {
    /// Of an instance that starts.
    #[must_use]
    pub fn new(lease: &Arc<Lease>) -> Self {
        Self { lease: lease.clone(), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Heartbeats come back. The lease tells a silent feed, or a process that was frozen, before the listener does.
    pub(crate) fn is_up(&self) -> bool {
        self.lease.is_valid() && matches!(*self.state(), State::Up)
    }

    /// Cached keys can be checked, also while the feed is down.
    pub(crate) fn is_lease_held(&self) -> bool {
        self.lease.is_valid()
    }

    /// The age of the newest heartbeat that came back; `None` = none has.
    pub(crate) fn lag(&self) -> Option<Duration> {
        self.lease.lag()
    }

    /// Returns whether it was down before. If not, it is to be tried again at once.
    pub(super) fn set_down(&self, error: &FeedError) -> bool {
        let mut state = self.state();
        let since = match &*state {
            State::Up => {
                *state = State::Broken { cause: error.to_string(), since: Instant::now() };
                return false;
            }
            State::Down { is_away, .. } if *is_away == error.is_outage() => return true,
            State::Starting => Instant::now(),
            // Of another kind, such as the old primary after an outage: logged, too.
            State::Broken { since, .. } | State::Down { since, .. } => *since,
        };
        let is_away = error.is_outage();
        *state = State::Down { is_away, since };
        if is_away {
            warn!(
                %error,
                "PostgreSQL is away: keys cannot be managed, and checks get 503 unless the key is cached and the lease \
                 (LEASE_SECONDS) lasts; it is tried again every half second"
            );
        } else {
            warn!(
                %error,
                "the change feed is down: once the lease (LEASE_SECONDS) is over, the cache is not used, and each request \
                 with an API key queries the database, until the feed is back; it is tried again"
            );
        }
        true
    }

    pub(super) fn set_up(&self) {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Up) {
            State::Up => {}
            State::Starting => info!("the change feed is up: the verification cache is used"),
            State::Broken { cause, since } => {
                let down_seconds = since.elapsed().as_secs();
                warn!(error = cause, down_seconds, "the change feed broke, and is up again: the cache was emptied");
            }
            State::Down { is_away, since } => {
                let away_seconds = since.elapsed().as_secs();
                if is_away {
                    info!(
                        away_seconds,
                        "PostgreSQL is back: the change feed is up, and the verification cache is used"
                    );
                } else {
                    info!(away_seconds, "the change feed is up again: the verification cache is used");
                }
            }
        }
    }
}
