//! The server that the change feed is on. A lookup that another server answered is not cached: no invalidation of that
//! server arrives here. The feed, the heartbeats and the pools connect by themselves, and after a failover some of them may
//! reach the old server, and some the new one.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

/// A server from its start to its end, with the database: the text of `public.server_identity()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity(String);

impl ServerIdentity {
    /// `None`: a standby, or not such a text.
    #[must_use]
    pub fn parse(text: Option<String>) -> Option<Self> {
        text.map(Self).filter(|identity| identity.timeline().is_some())
    }

    /// What a server has in common with its standbys and with what is restored from its base backups.
    #[must_use]
    pub fn system(&self) -> &str {
        self.0.split(':').next().unwrap_or_default()
    }

    /// It grows with each promotion, and with each restore to a point in time.
    #[must_use]
    pub fn timeline(&self) -> Option<u32> {
        u32::from_str_radix(self.0.split(':').nth(1)?, 16).ok()
    }
}

impl fmt::Display for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Called when a lookup was answered by another server than that of the feed, before its result is used.
pub type OtherServerObserver = Box<dyn Fn() + Send + Sync>;

/// The server that the change feed is on, as the pools know it. Clones share everything.
#[derive(Clone, Default)]
pub struct FeedServer(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Kept while the feed is down, since the cache is used until the lease is over. `None`: it was never up.
    server: RwLock<Option<ServerIdentity>>,
    is_up: AtomicBool,
    observer: OnceLock<OtherServerObserver>,
    /// Connections from before are not used any more.
    opened_after: Mutex<Option<Instant>>,
    /// To which the feed has connected last, also if it gets no lease.
    connected: watch::Sender<Option<ServerIdentity>>,
}

impl FeedServer {
    /// The observer is set once.
    pub fn observe(&self, observer: OtherServerObserver) {
        let _ = self.0.observer.set(observer);
    }

    /// The feed has connected to that server.
    pub fn connect(&self, server: &ServerIdentity) {
        self.0.connected.send_if_modified(|connected| {
            let is_other = connected.as_ref() != Some(server);
            if is_other {
                *connected = Some(server.clone());
            }
            is_other
        });
    }

    /// The servers to which the feed connects, one after the other.
    #[must_use]
    pub fn servers(&self) -> watch::Receiver<Option<ServerIdentity>> {
        self.0.connected.subscribe()
    }

    /// The feed is on that server from now on. Connections that were opened while it was down are closed, since they may be
    /// to another server.
    pub fn enter(&self, server: ServerIdentity) {
        if let Some(after) = self.opened_after().as_mut() {
            *after = Instant::now();
        }
        *self.0.server.write().unwrap_or_else(PoisonError::into_inner) = Some(server);
        self.0.is_up.store(true, Ordering::Relaxed);
    }

    /// The feed is down. Each connection that is open now is closed when it would be used next, since PostgreSQL may be on
    /// another server soon. Again only after the feed was up.
    pub fn leave(&self) {
        if self.0.is_up.swap(false, Ordering::Relaxed) {
            *self.opened_after() = Some(Instant::now());
        }
    }

    fn opened_after(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.opened_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `age`: since it was opened.
    pub(super) fn is_usable(&self, age: Duration) -> bool {
        self.opened_after().is_none_or(|after| age < after.elapsed())
    }

    /// Calls the observer if a lookup was answered by another server than that of the feed. `None`: a standby.
    pub(super) fn check(&self, answered: Option<&ServerIdentity>) {
        // Called under the lock: not after the feed is on another server.
        let server = self.0.server.read().unwrap_or_else(PoisonError::into_inner);
        let is_other = server.as_ref().is_some_and(|server| answered != Some(server));
        if is_other && let Some(observer) = self.0.observer.get() {
            observer();
        }
    }
}

impl fmt::Debug for FeedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FeedServer").field(&self.0.server).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn identity(text: &str) -> Option<ServerIdentity> {
        ServerIdentity::parse(Some(text.to_owned()))
    }

    #[test]
    fn an_identity_has_a_system_and_a_timeline() {
        let server = identity("7713691430169301821:0000001A:1795983748.321099:5").unwrap();
        assert_eq!((server.system(), server.timeline()), ("7713691430169301821", Some(26)));
        for text in ["", "7713691430169301821", "1:x:2:3"] {
            assert_eq!(identity(text), None, "{text}");
        }
        assert_eq!(ServerIdentity::parse(None), None);
    }

    #[test]
    fn an_answer_of_another_server_than_the_newest_of_the_feed_is_observed() {
        let (feed, others) = (FeedServer::default(), Arc::new(AtomicUsize::new(0)));
        let seen = others.clone();
        feed.observe(Box::new(move || {
            seen.fetch_add(1, Ordering::Relaxed);
        }));
        let [one, other] = ["1:00000001:2:3", "1:00000002:2:3"].map(identity);
        let others_after = |answered: Option<&ServerIdentity>| {
            feed.check(answered);
            others.load(Ordering::Relaxed)
        };
        assert_eq!(others_after(other.as_ref()), 0, "the feed was never up");
        feed.enter(one.clone().unwrap());
        assert_eq!(others_after(one.as_ref()), 0);
        assert_eq!((others_after(other.as_ref()), others_after(None)), (1, 2));
        feed.leave();
        assert_eq!(
            (others_after(one.as_ref()), others_after(other.as_ref())),
            (2, 3),
            "the cache is used until the lease is over"
        );
    }

    #[test]
    fn connections_from_before_are_not_used_any_more() {
        let feed = FeedServer::default();
        feed.leave();
        assert!(feed.is_usable(Duration::from_secs(1)), "it was not up");
        feed.enter(identity("1:00000001:2:3").unwrap());
        feed.leave();
        assert!(!feed.is_usable(Duration::from_secs(1)));
        let is_passed = || feed.opened_after().is_some_and(|after| !after.elapsed().is_zero());
        while !is_passed() {}
        assert!(feed.is_usable(Duration::ZERO));
        let before = *feed.opened_after();
        feed.leave();
        assert_eq!(*feed.opened_after(), before, "an attempt to connect failed");
    }
}
