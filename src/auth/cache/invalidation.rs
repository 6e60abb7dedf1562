//! Invalidation by the change feed, and the heartbeats that renew the lease.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::{
    AuthCache,
    clock_offset::ClockOffset,
    feed_log::{FeedError, FeedLog},
    lease::{LEASE, Lease},
};
use crate::{
    domain::{Clock, Moment, clock_offset},
    store::{Change, ChangeFeed, DatabaseUrl, Heartbeat, HeartbeatSender},
};

const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Applies the change feed of one database to the cache.
pub(crate) struct InvalidationListener {
    /// The server itself: LISTEN does not work through a pooler in transaction mode.
    pub(crate) url: DatabaseUrl,
    pub(crate) lease: Arc<Lease>,
    pub(crate) cache: Arc<AuthCache>,
    pub(crate) clock: Clock,
    /// The clock offset gauge.
    pub(crate) clock_offset: Arc<ClockOffset>,
}

impl InvalidationListener {
    /// Listens for ever; connects again when the feed breaks.
    pub(crate) async fn run(self) {
        let log = FeedLog::default();
        loop {
            let error = self.listen(&log).await;
            self.invalidate_all();
            if log.down(&error) {
                sleep(RETRY_DELAY).await;
            }
        }
    }

    /// The lease first, so that reads under way are not validated.
    fn invalidate_all(&self) {
        self.lease.expire();
        self.cache.clear();
    }

    async fn listen(&self, log: &FeedLog) -> FeedError {
        let connect = async {
            // First, since it tells why there is no connection: a pool, as the feed has one, only that its time is over.
            let sender = HeartbeatSender::connect(&self.url).await?;
            let feed = ChangeFeed::listen(&self.url).await?;
            Ok::<_, FeedError>((feed, sender))
        };
        let (feed, sender) = match timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(connections)) => connections,
            Ok(Err(error)) => return error,
            Err(_) => return FeedError::ConnectTimeout,
        };
        // From here on no change is missed. Everything from before is dropped, and lookups in flight will not be
        // cached. Only then may heartbeats renew the lease.
        self.invalidate_all();
        let heartbeats = Heartbeats::default();
        // The first to end drops the other, and with it both connections.
        tokio::select! {
            error = self.receive(feed, &heartbeats, log) => error,
            error = self.send(sender, &heartbeats) => error,
        }
    }

    async fn receive(&self, mut feed: ChangeFeed, heartbeats: &Heartbeats, log: &FeedLog) -> FeedError {
        loop {
            match feed.next().await {
                Ok(Some(Change::Key(tenant, key))) => self.cache.invalidate_key(tenant, key),
                Ok(Some(Change::Tenant(tenant, slug))) => self.cache.invalidate_tenant(tenant, &slug),
                Ok(Some(Change::Anything)) => self.cache.clear(),
                Ok(Some(Change::Heartbeat(heartbeat))) => {
                    let Some(sent) = heartbeats.receive(heartbeat) else { continue };
                    self.lease.renew(sent);
                    log.up();
                }
                Ok(None) => return FeedError::Closed,
                Err(error) => return error.into(),
            }
        }
    }

    async fn send(&self, mut sender: HeartbeatSender, heartbeats: &Heartbeats) -> FeedError {
        let mut ticks = interval(HEARTBEAT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(error) = heartbeats.overdue() {
                return error;
            }
            let before = self.clock.now();
            match timeout(LEASE, sender.send(heartbeats.send())).await {
                Ok(Ok(time)) => self.clock_offset.set(clock_offset(before, time, self.clock.now())),
                Ok(Err(error)) => return error.into(),
                Err(_) => return FeedError::HeartbeatsLost,
            }
        }
    }
}

/// The heartbeats of one connection that have not come back yet.
#[derive(Default)]
struct Heartbeats(Mutex<PendingHeartbeats>);

#[derive(Default)]
struct PendingHeartbeats {
    /// With the times of sending, oldest first.
    sent: VecDeque<(Heartbeat, Moment)>,
    any_received: bool,
}

impl Heartbeats {
    fn pending(&self) -> MutexGuard<'_, PendingHeartbeats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next heartbeat, with its time taken before it is sent.
    fn send(&self) -> Heartbeat {
        let heartbeat = Heartbeat::random();
        self.pending().sent.push_back((heartbeat, Moment::now()));
        heartbeat
    }

    /// When a heartbeat that came back was sent; `None` if none of this connection is pending with that content. Drops the
    /// older ones.
    fn receive(&self, heartbeat: Heartbeat) -> Option<Moment> {
        let mut pending = self.pending();
        let place = pending.sent.iter().position(|(sent, _)| *sent == heartbeat)?;
        pending.any_received = true;
        pending.sent.drain(..=place).next_back().map(|(_, sent)| sent)
    }

    /// The error if as many heartbeats are pending as the lease has seconds: one is sent each second.
    fn overdue(&self) -> Option<FeedError> {
        let max_pending = usize::try_from(LEASE.as_secs()).unwrap_or(usize::MAX);
        let pending = self.pending();
        let overdue = pending.sent.len() >= max_pending;
        overdue.then_some(if pending.any_received { FeedError::HeartbeatsLost } else { FeedError::NeverHeard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_that_is_not_pending_counts_for_nothing() {
        let heartbeats = Heartbeats::default();
        let [first, second, third] = std::array::from_fn(|_| heartbeats.send());
        assert!(first != second && second != third);
        assert!(heartbeats.receive(Heartbeat::random()).is_none(), "of another instance, or forged");
        assert!(heartbeats.receive(second).is_some());
        assert!(heartbeats.receive(second).is_none(), "somebody who heard it sends it again");
        assert!(heartbeats.receive(first).is_none(), "it came back too late");
        assert!(heartbeats.receive(third).is_some());
    }
}
