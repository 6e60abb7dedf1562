//! Follows the change feed: forgets what changed, and keeps the lease while it hears itself.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{info, warn};

use super::{
    AuthCache,
    lease::{LEASE, Lease, Moment},
};
use crate::{
    domain::random_bytes,
    store::{self, Beat, Change, ChangeFeed, DatabaseUrl, Heart},
};

const BEAT: Duration = Duration::from_secs(1);
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(500);

/// Why following ended.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Database(#[from] store::Error),
    #[error("it cannot connect in time")]
    Connect,
    #[error("the connection was closed")]
    Closed,
    #[error("heartbeats do not come back")]
    Silent,
    #[error(
        "no heartbeat ever came back: LISTEN does not work on this connection. Does DATABASE_URL go through a \
         pooler in transaction mode? Then set DATABASE_DIRECT_URL to the server itself"
    )]
    Deaf,
}

/// Follows the feed of one database.
pub struct InvalidationListener {
    /// Where changes come from.
    pub url: DatabaseUrl,
    /// What is kept while it does.
    pub lease: Arc<Lease>,
    /// What changes make forget.
    pub verdicts: Arc<AuthCache>,
}

impl InvalidationListener {
    /// Follows for ever; connects again when the feed breaks.
    pub async fn follow(self) {
        let mut told = false;
        loop {
            let was_up = AtomicBool::new(false);
            let broken = self.follow_once(&was_up).await;
            self.distrust();
            // Once per outage: an unreachable database fails here every half second.
            if was_up.into_inner() || !told {
                warn!(reason = %broken, "the change feed is down: every check asks the database until it is back");
                told = true;
            }
            sleep(RETRY).await;
        }
    }

    /// The lease first: what is still being read then counts for nothing.
    fn distrust(&self) {
        self.lease.end();
        self.verdicts.clear();
    }

    async fn follow_once(&self, is_up: &AtomicBool) -> Broken {
        let connect = async {
            let feed = ChangeFeed::listen(&self.url).await?;
            let heart = Heart::connect(&self.url).await?;
            Ok::<_, Broken>((feed, heart))
        };
        let (feed, heart) = match timeout(CONNECT_PATIENCE, connect).await {
            Ok(Ok(connections)) => connections,
            Ok(Err(broken)) => return broken,
            Err(_) => return Broken::Connect,
        };
        // From here on no change is missed. Whatever was found out before is dropped, and look-ups
        // under way will not put theirs in; then heartbeats may give the lease.
        self.distrust();
        let beats = Heartbeats::new();
        // Whichever ends first ends both, and drops their connections with them.
        tokio::select! {
            broken = self.receive(feed, &beats, is_up) => broken,
            broken = self.send(heart, &beats) => broken,
        }
    }

    async fn receive(&self, mut feed: ChangeFeed, beats: &Heartbeats, is_up: &AtomicBool) -> Broken {
        loop {
            match feed.next().await {
                Ok(Some(Change::Key(tenant, key))) => self.verdicts.forget_key(tenant, key),
                Ok(Some(Change::Tenant(tenant, slug))) => self.verdicts.forget_tenant(tenant, &slug),
                Ok(Some(Change::Anything)) => self.verdicts.clear(),
                Ok(Some(Change::Beat(beat))) => {
                    let Some(sent) = beats.returned(beat) else { continue };
                    self.lease.renew(sent);
                    if !is_up.swap(true, Ordering::Relaxed) {
                        info!("the change feed is up: verdicts are cached");
                    }
                }
                Ok(None) => return Broken::Closed,
                Err(error) => return error.into(),
            }
        }
    }

    async fn send(&self, mut heart: Heart, beats: &Heartbeats) -> Broken {
        let mut ticks = interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(silence) = beats.silence() {
                return silence;
            }
            match timeout(LEASE, heart.beat(beats.next())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.into(),
                Err(_) => return Broken::Silent,
            }
        }
    }
}

/// The heartbeats of one connection that are on their way.
struct Heartbeats {
    nonce: u128,
    on_their_way: Mutex<OnTheirWay>,
}

struct OnTheirWay {
    sent: VecDeque<(u64, Moment)>,
    next: u64,
    any_returned: bool,
}

impl Heartbeats {
    fn new() -> Self {
        let on_their_way = OnTheirWay { sent: VecDeque::new(), next: 0, any_returned: false };
        Self { nonce: u128::from_le_bytes(*random_bytes()), on_their_way: Mutex::new(on_their_way) }
    }

    fn with<T>(&self, work: impl FnOnce(&mut OnTheirWay) -> T) -> T {
        work(&mut self.on_their_way.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next one to send; its time is noted before it goes.
    fn next(&self) -> Beat {
        self.with(|beats| {
            let number = beats.next;
            beats.next += 1;
            beats.sent.push_back((number, Moment::now()));
            Beat { nonce: self.nonce, number }
        })
    }

    /// When that one was sent, if it is ours; older ones are no longer waited for.
    fn returned(&self, beat: Beat) -> Option<Moment> {
        if beat.nonce != self.nonce {
            return None;
        }
        self.with(|beats| {
            while let Some((number, sent)) = beats.sent.pop_front() {
                if number == beat.number {
                    beats.any_returned = true;
                    return Some(sent);
                }
            }
            None
        })
    }

    /// What it means if the oldest one has been on its way for too long.
    fn silence(&self) -> Option<Broken> {
        let patience = usize::try_from(LEASE.as_secs()).unwrap_or(usize::MAX);
        self.with(|beats| {
            let silent = beats.sent.len() >= patience;
            silent.then_some(if beats.any_returned { Broken::Silent } else { Broken::Deaf })
        })
    }
}
