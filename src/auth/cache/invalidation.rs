//! Invalidation by the change feed, the heartbeats that renew the lease, and the messages of other instances.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use super::{
    AuthCache,
    clock_offset::ClockOffset,
    feed_status::{FeedError, FeedStatus},
    lease::Lease,
    message::{AcknowledgingKeys, Message, MessageKeys, Nonce},
    receipts::Receipts,
    server_history::ServerHistory,
};
use crate::{
    domain::{Clock, Moment, clock_offset},
    store::{Change, ChangeFeed, DatabaseUrl, FeedServer, MessageSender, Notification, Sent, ServerIdentity},
};

/// Between heartbeats; a fifth of the lease, if that is less.
const MAX_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// The feed counts as down after this time without a heartbeat that comes back, or after the lease, if that is shorter.
const MAX_SILENCE: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The delay doubles up to this while PostgreSQL responds and the feed is unusable.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(1);

/// Applies the change feed of one database to the cache.
pub(crate) struct InvalidationListener {
    /// The server itself: LISTEN does not work through a pooler in transaction mode.
    pub(crate) url: DatabaseUrl,
    pub(crate) lease: Arc<Lease>,
    pub(crate) status: FeedStatus,
    pub(crate) cache: Arc<AuthCache>,
    pub(crate) clock: Clock,
    /// The clock offset gauge.
    pub(crate) clock_offset: Arc<ClockOffset>,
    pub(crate) receipts: Receipts,
    pub(crate) acknowledging: AcknowledgingKeys,
    pub(crate) feed_server: FeedServer,
}

impl InvalidationListener {
    /// Listens until `stopped` completes; connects again when the feed breaks. Then this instance gives its lease up, and
    /// tells the others, which do not wait for it any more.
    pub(crate) async fn run(self, stopped: impl Future<Output = ()>) {
        let other_server = self.observe_lookups();
        tokio::select! {
            () = self.listen_for_ever(&other_server) => {}
            () = stopped => {}
        }
        self.invalidate_all();
        // If they do not hear it, they wait until the lease would be over.
        let _ = timeout(GOODBYE_TIMEOUT, self.say_goodbye()).await;
    }

    /// Completes when another server than the feed's has responded to a lookup. The result is not cached: the epochs have
    /// changed by then.
    fn observe_lookups(&self) -> Arc<Notify> {
        let other_server = Arc::new(Notify::new());
        let (lease, cache, observed) = (self.lease.clone(), self.cache.clone(), other_server.clone());
        self.feed_server.observe(Box::new(move || {
            lease.expire();
            cache.clear();
            observed.notify_one();
        }));
        other_server
    }

    /// While the feed is down, the cache is used until the lease is over. A change that is missed meanwhile takes effect then,
    /// as on an instance that is cut off. [`Self::listen`] empties the cache before the lease is renewed.
    async fn listen_for_ever(&self, other_server: &Notify) {
        let history = ServerHistory::default();
        let mut delay = RETRY_DELAY;
        loop {
            let started = Moment::now();
            let error = self.listen(&history, other_server).await;
            self.receipts.lose_feed();
            if error.is_server_mismatch() {
                self.invalidate_all();
            }
            self.feed_server.leave();
            let was_down = self.status.set_down(&error);
            if !error.is_persistent() || Moment::now().since(started) > MAX_RETRY_DELAY {
                delay = RETRY_DELAY;
            }
            if was_down || error.is_persistent() {
                sleep(delay).await;
                delay = (2 * delay).min(MAX_RETRY_DELAY);
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
        sender.send(&[keys.sign(self.receipts.goodbye())], false).await?;
        Ok(())
    }

    async fn listen(&self, history: &ServerHistory, other_server: &Notify) -> FeedError {
        let connect = async {
            // The sender first: its error names the cause, where the feed's pool only reports a timeout.
            let (sender, keys) = self.connect_sender().await?;
            let feed = ChangeFeed::listen(&self.url).await?;
            Ok::<_, FeedError>((feed, sender, keys))
        };
        let (feed, sender, keys) = match timeout(CONNECT_TIMEOUT, connect).await {
            Ok(Ok(connections)) => connections,
            Ok(Err(error)) => return error,
            Err(_) => return FeedError::ConnectTimeout,
        };
        self.feed_server.connect(feed.server());
        if !history.admit(feed.server(), None) {
            return FeedError::Behind(feed.server().clone());
        }
        let server = feed.server().clone();
        self.feed_server.enter(server.clone());
        other_server.notified().now_or_never(); // of the server before
        // From here on no change is missed. Everything from before is dropped, and lookups in flight will not be
        // cached. Only then may heartbeats renew the lease, and questions be acknowledged.
        self.invalidate_all();
        self.receipts.listen();
        let heartbeats = Heartbeats::new(self.lease.length());
        let check = |sent: &Sent| check_server(&server, history, sent);
        // The first to end drops the others, and with them both connections.
        tokio::select! {
            error = self.receive(feed, &keys, &heartbeats) => error,
            error = self.send(sender, &keys, &heartbeats, check) => error,
            () = other_server.notified() => FeedError::OtherLookups,
        }
    }

    /// Renews the lease by a heartbeat that has come back and whose commit has returned.
    fn renew(&self, sent: Moment) {
        self.lease.renew(sent);
        self.status.set_up();
    }

    async fn receive(&self, mut feed: ChangeFeed, keys: &MessageKeys, heartbeats: &Heartbeats) -> FeedError {
        loop {
            match feed.next().await {
                Ok(Some(Notification::Change(Change::Key(tenant, key)))) => self.cache.invalidate_key(tenant, key),
                Ok(Some(Notification::Change(Change::Tenant(tenant, slug)))) => {
                    self.cache.invalidate_tenant(tenant, &slug);
                }
                Ok(Some(Notification::Change(Change::Anything))) => self.cache.clear(),
                Ok(Some(Notification::Message(payload))) => {
                    let Some(message) = keys.verify(&payload) else { continue };
                    if let Message::Beat { nonce, .. } = message
                        && let Some(sent) = heartbeats.receive(nonce)
                    {
                        self.renew(sent);
                    }
                    self.receipts.hear(message);
                }
                Ok(None) => return FeedError::Closed,
                Err(error) => return error.into(),
            }
        }
    }

    async fn send(
        &self,
        mut sender: MessageSender,
        keys: &MessageKeys,
        heartbeats: &Heartbeats,
        check: impl Fn(&Sent) -> Result<(), FeedError>,
    ) -> FeedError {
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
            let beat = is_time.then(|| heartbeats.send());
            let messages = self.receipts.outgoing(beat);
            if messages.is_empty() {
                continue;
            }
            let is_proof = is_time || messages.iter().any(Message::is_question);
            let messages: Vec<_> = messages.into_iter().map(|message| keys.sign(message)).collect();
            let before = self.clock.now();
            let sent = match timeout(heartbeats.max_silence, sender.send(&messages, is_proof)).await {
                Ok(Ok(sent)) => sent,
                Ok(Err(error)) => return error.into(),
                Err(_) => return FeedError::HeartbeatsLost,
            };
            self.clock_offset.set(clock_offset(before, sent.time, self.clock.now()));
            if let Err(error) = check(&sent) {
                return error;
            }
            if let Some(sent) = beat.and_then(|nonce| heartbeats.confirm(nonce)) {
                self.renew(sent);
            }
        }
    }
}

/// Checks that a heartbeat was committed by the feed's server, and that the server is not behind its history.
fn check_server(feed: &ServerIdentity, history: &ServerHistory, sent: &Sent) -> Result<(), FeedError> {
    if sent.server != *feed {
        return Err(FeedError::OtherBeats { feed: feed.clone(), beats: sent.server.clone() });
    }
    if history.admit(&sent.server, sent.position) { Ok(()) } else { Err(FeedError::Behind(feed.clone())) }
}

/// The heartbeats of one connection that have not come back yet.
struct Heartbeats {
    interval: Duration,
    max_silence: Duration,
    pending: Mutex<PendingHeartbeats>,
}

#[derive(Default)]
struct PendingHeartbeats {
    /// Oldest first.
    sent: VecDeque<PendingHeartbeat>,
    any_received: bool,
}

struct PendingHeartbeat {
    nonce: Nonce,
    /// Before it was sent.
    sent: Moment,
    has_come_back: bool,
    /// Its commit has returned, of a server that may renew the lease.
    is_confirmed: bool,
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
        let nonce = Nonce::random();
        let pending = PendingHeartbeat { nonce, sent: Moment::now(), has_come_back: false, is_confirmed: false };
        self.pending().sent.push_back(pending);
        nonce
    }

    /// A heartbeat has come back. Returns when it was sent, if it is confirmed too; `None` if not, or if none of this
    /// connection is pending with that content. Drops the older ones.
    fn receive(&self, nonce: Nonce) -> Option<Moment> {
        self.complete(nonce, |pending| pending.has_come_back = true)
    }

    /// As [`Self::receive`], for a heartbeat whose commit has returned.
    fn confirm(&self, nonce: Nonce) -> Option<Moment> {
        self.complete(nonce, |pending| pending.is_confirmed = true)
    }

    fn complete(&self, nonce: Nonce, step: impl FnOnce(&mut PendingHeartbeat)) -> Option<Moment> {
        let mut pending = self.pending();
        let place = pending.sent.iter().position(|one| one.nonce == nonce)?;
        let one = &mut pending.sent[place];
        step(one);
        let (sent, has_come_back, is_complete) = (one.sent, one.has_come_back, one.has_come_back && one.is_confirmed);
        pending.any_received |= has_come_back;
        if !is_complete {
            return None;
        }
        pending.sent.drain(..=place);
        Some(sent)
    }

    /// The error if so many heartbeats are pending that none has come back for [`MAX_SILENCE`].
    fn overdue(&self) -> Option<FeedError> {
        let pending = self.pending();
        let silence = self.interval.saturating_mul(u32::try_from(pending.sent.len()).unwrap_or(u32::MAX));
        (silence >= self.max_silence).then_some(if pending.any_received {
            FeedError::HeartbeatsLost
        } else {
            FeedError::NeverHeard
        })
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
        for nonce in [first, second, third] {
            assert!(heartbeats.confirm(nonce).is_none(), "it has not come back");
        }
        assert!(heartbeats.receive(Nonce::random()).is_none(), "of another instance, or forged");
        assert!(heartbeats.receive(second).is_some());
        assert!(heartbeats.receive(second).is_none(), "somebody who heard it sends it again");
        assert!(heartbeats.receive(first).is_none(), "it came back too late");
        assert!(heartbeats.receive(third).is_some());
    }

    /// PostgreSQL may deliver it before the sender has the response.
    #[test]
    fn a_heartbeat_counts_once_it_has_come_back_and_its_commit_has_returned() {
        let heartbeats = Heartbeats::new(Duration::from_secs(5));
        let nonce = heartbeats.send();
        assert!(heartbeats.receive(nonce).is_none());
        assert!(heartbeats.confirm(nonce).is_some());
    }
}
