//! Logging of the change feed's outages: one line at the start, with the cause, and one at the end.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use tracing::{info, warn};

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
         this goes on, the address leads to several servers"
    )]
    OtherBeats { feed: ServerIdentity, beats: ServerIdentity },
    #[error(
        "lookups reach another server than the change feed, as in the middle of a failover; if this goes on, DATABASE_URL \
         and DATABASE_DIRECT_URL lead to different servers"
    )]
    OtherLookups,
    #[error(
        "the server {0} is behind what this instance has seen of it: an old primary that was not fenced off, or a restore to \
         a time before. After a restore, restart the instances"
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
}

/// The feed's state as last logged.
#[derive(Default)]
pub(super) struct FeedLog(Mutex<State>);

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

impl FeedLog {
    /// The feed is down. False: it was up until now, so it is to be tried again at once.
    pub(super) fn down(&self, error: &FeedError) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match &*state {
            State::Up => {
                *state = State::Broken { cause: error.to_string(), since: Instant::now() };
                return false;
            }
            State::Down { .. } => return true,
            State::Starting => Instant::now(),
            State::Broken { since, .. } => *since,
        };
        let is_away = error.is_outage();
        *state = State::Down { is_away, since };
        if is_away {
            warn!(
                %error,
                "PostgreSQL is away: keys cannot be managed, and checks get 503 until it is back; it is tried again every \
                 half second"
            );
        } else {
            warn!(
                %error,
                "the change feed is down: the cache is not used, and each request with an API key queries the database, \
                 until the feed is back; it is tried again every half second"
            );
        }
        true
    }

    /// The feed is up.
    pub(super) fn up(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Up) {
            State::Up => {}
            State::Starting => info!("the change feed is up: the verification cache is used"),
            State::Broken { cause, .. } => {
                warn!(error = cause, "the change feed broke, and is up again at once: the cache was emptied");
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
