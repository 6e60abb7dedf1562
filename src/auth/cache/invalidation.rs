//! Invalidation by the change feed, the heartbeats that renew the lease, and the messages of other instances.

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
    lease::Lease,
    message::{AcknowledgingKeys, Message, MessageKeys, Nonce},
    receipts::Receipts,
};
use crate::{
    domain::{Clock, Moment, clock_offset},
    store::{Change, ChangeFeed, DatabaseUrl, MessageSender, Notification},
};

/// Between heartbeats; a fifth of the lease, if that is less.
const MAX_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// Without a heartbeat that comes back the feed is down: after the lease, if that is less.
const MAX_SILENCE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_DELAY: Duration = Duration::from_millis(500);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Applies the change feed of one database to the cache.
pub(crate) struct InvalidationListener {
    /// The server itself: LISTEN does not work through a pooler in transaction mode.
    pub(crate) url: DatabaseUrl,
    pub(crate) lease: Arc<Lease>,
    pub(crate) cache: Arc<AuthCache>,
    pub(crate) clock: Clock,
    /// The clock offset gauge.
    pub(crate) clock_offset: Arc<ClockOffset>,
    pub(crate) receipts: Receipts,
    pub(crate) acknowledging: AcknowledgingKeys,
}

impl InvalidationListener {
    /// Listens until `stopped` completes; connects again when the feed breaks. Then this instance gives its lease up, and
    /// tells the others, which do not wait for it any more.
    pub(crate) async fn run(self, stopped: impl Future<Output = ()>) {
        tokio::select! {
            () = self.listen_for_ever() => {}
            () = stopped => {}
        }
        self.invalidate_all();
        // If they do not hear it, they wait until the lease would be over.
        let _ = timeout(GOODBYE_TIMEOUT, self.say_goodbye()).await;
    }

    async fn listen_for_ever(&self) {
        let log = FeedLog::default();
        loop {
            let error = self.listen(&log).await;
            self.receipts.lose_feed();
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

    async fn connect_sender(&self) -> Result<(MessageSender, MessageKeys), FeedError> {
        let mut sender = MessageSender::connect(&self.url).await?;
        let secret = sender.shared_secret().await?;
        Ok((sender, MessageKeys::new(&secret, &self.acknowledging)))
    }

    async fn say_goodbye(&self) -> Result<(), FeedError> {
        let (mut sender, keys) = self.connect_sender().await?;
        sender.send(&[keys.seal(self.receipts.goodbye())]).await?;
        Ok(())
    }

    async fn listen(&self, log: &FeedLog) -> FeedError {
        let connect = async {
            // First, since it tells why there is no connection: a pool, as the feed has one, only that its time is over.
            let (sender, keys) = self.connect_sender().await?;
            let feed = ChangeFeed::listen(&self.url).await?;
            Ok::<_, FeedError>((feed, sender, keys))
        };
        let (feed, sender, keys) = match timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(connections)) => connections,
            Ok(Err(error)) => return error,
            Err(_) => return FeedError::ConnectTimeout,
        };
        // From here on no change is missed. Everything from before is dropped, and lookups in flight will not be
        // cached. Only then may heartbeats renew the lease, and questions be acknowledged.
        self.invalidate_all();
        self.receipts.listen();
        let heartbeats = Heartbeats::new(self.lease.length());
        // The first to end drops the other, and with it both connections.
        tokio::select! {
            error = self.receive(feed, &keys, &heartbeats, log) => error,
            error = self.send(sender, &keys, &heartbeats) => error,
        }
    }

    async fn receive(
        &self,
        mut feed: ChangeFeed,
        keys: &MessageKeys,
        heartbeats: &Heartbeats,
        log: &FeedLog,
    ) -> FeedError {
        loop {
            match feed.next().await {
                Ok(Some(Notification::Change(Change::Key(tenant, key)))) => self.cache.invalidate_key(tenant, key),
                Ok(Some(Notification::Change(Change::Tenant(tenant, slug)))) => {
                    self.cache.invalidate_tenant(tenant, &slug);
                }
                Ok(Some(Notification::Change(Change::Anything))) => self.cache.clear(),
                Ok(Some(Notification::Message(payload))) => {
                    let Some(message) = keys.open(&payload) else { continue };
                    if let Message::Beat { nonce, .. } = message
                        && let Some(sent) = heartbeats.receive(nonce)
                    {
                        self.lease.renew(sent);
                        log.up();
                    }
                    self.receipts.hear(message);
                }
                Ok(None) => return FeedError::Closed,
                Err(error) => return error.into(),
            }
        }
    }

    async fn send(&self, mut sender: MessageSender, keys: &MessageKeys, heartbeats: &Heartbeats) -> FeedError {
        let mut ticks = interval(heartbeats.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_time = tokio::select! {
                _ = ticks.tick() => true,
                () = self.receipts.has_outgoing() => false,
            };
            if let Some(error) = heartbeats.overdue() {
                return error;
            }
            let messages = self.receipts.outgoing(is_time.then(|| heartbeats.send()));
            if messages.is_empty() {
                continue;
            }
            let messages: Vec<_> = messages.into_iter().map(|message| keys.seal(message)).collect();
            let before = self.clock.now();
            match timeout(heartbeats.max_silence, sender.send(&messages)).await {
                Ok(Ok(time)) => self.clock_offset.set(clock_offset(before, time, self.clock.now())),
                Ok(Err(error)) => return error.into(),
                Err(_) => return FeedError::HeartbeatsLost,
            }
        }
    }
}

/// The heartbeats of one connection that have not come back yet.
struct Heartbeats {
    interval: Duration,
    max_silence: Duration,
    pending: Mutex<PendingHeartbeats>,
}

#[derive(Default)]
struct PendingHeartbeats {
    /// With the times of sending, oldest first.
    sent: VecDeque<(Nonce, Moment)>,
    any_received: bool,
}

impl Heartbeats {
    fn new(lease: Duration) -> Self {
        let interval = (lease / 5).min(MAX_HEARTBEAT_INTERVAL);
        Self { interval, max_silence: lease.min(MAX_SILENCE), pending: Mutex::default() }
    }

    fn pending(&self) -> MutexGuard<'_, PendingHeartbeats> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next heartbeat, with its time taken before it is sent.
    fn send(&self) -> Nonce {
        let heartbeat = Nonce::random();
        self.pending().sent.push_back((heartbeat, Moment::now()));
        heartbeat
    }

    /// When a heartbeat that came back was sent; `None` if none of this connection is pending with that content. Drops the
    /// older ones.
    fn receive(&self, heartbeat: Nonce) -> Option<Moment> {
        let mut pending = self.pending();
        let place = pending.sent.iter().position(|(sent, _)| *sent == heartbeat)?;
        pending.any_received = true;
        pending.sent.drain(..=place).next_back().map(|(_, sent)| sent)
    }

    /// The error if so many heartbeats are pending that none has come back for [`MAX_SILENCE`].
    fn overdue(&self) -> Option<FeedError> {
        let max_pending = self.max_silence.div_duration_f32(self.interval);
        let pending = self.pending();
        #[allow(clippy::cast_precision_loss, reason = "a handful")]
        let overdue = pending.sent.len() as f32 >= max_pending;
        overdue.then_some(if pending.any_received { FeedError::HeartbeatsLost } else { FeedError::NeverHeard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_that_is_not_pending_counts_for_nothing() {
        let heartbeats = Heartbeats::new(Duration::from_secs(5));
        let [first, second, third] = std::array::from_fn(|_| heartbeats.send());
        assert!(first != second && second != third);
        assert!(heartbeats.receive(Nonce::random()).is_none(), "of another instance, or forged");
        assert!(heartbeats.receive(second).is_some());
        assert!(heartbeats.receive(second).is_none(), "somebody who heard it sends it again");
        assert!(heartbeats.receive(first).is_none(), "it came back too late");
        assert!(heartbeats.receive(third).is_some());
    }
}
