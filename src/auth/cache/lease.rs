//! The right to trust what is cached.
//!
//! An instance has it while the newest heartbeat that came back to it through the database was
//! *sent* less than [`LEASE`] ago. It is asked for on each use, by the clock, and not kept by a
//! timer: a process that was frozen for a minute finds its lease over at its first request.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// How long after sending it a heartbeat vouches for the cache.
pub const LEASE: Duration = Duration::from_secs(5);

/// A moment on a clock that goes on while the machine sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        // `Instant` stops on Linux while the machine is suspended. On macOS it does not.
        #[cfg(target_os = "linux")]
        const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_BOOTTIME;
        #[cfg(not(target_os = "linux"))]
        const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_MONOTONIC;
        // It cannot fail for a clock that the kernel has; if it did, no lease would be good.
        let time = nix::time::clock_gettime(CLOCK).map_or(Duration::MAX, Duration::from);
        Self(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long it is after an earlier one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// How long a lease was to last, as it was known at some time.
#[derive(Clone, Copy, Debug)]
pub struct Term(u64);

/// The lease of one instance.
#[derive(Debug)]
pub struct Lease {
    /// In nanoseconds.
    length: u64,
    /// When it ends, in the nanoseconds of [`Moment`]; 0 = there is none.
    until: AtomicU64,
    /// When the newest thing was sent that has come back, whether or not the lease was ended
    /// since; 0 = nothing has.
    newest_sent: AtomicU64,
}

impl Default for Lease {
    fn default() -> Self {
        Self::of(LEASE)
    }
}

impl Lease {
    /// One that lasts so long after each renewal.
    #[must_use]
    pub fn of(length: Duration) -> Self {
        Self {
            length: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX),
            until: AtomicU64::new(0),
            newest_sent: AtomicU64::new(0),
        }
    }

    /// Whether cached verdicts may be used now.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.holds_at(Moment::now())
    }

    fn holds_at(&self, now: Moment) -> bool {
        now.0 < self.until.load(Ordering::Acquire)
    }

    /// To be taken before something is read that this lease is to vouch for.
    #[must_use]
    pub fn term(&self) -> Term {
        Term(self.until.load(Ordering::Acquire))
    }

    /// Whether the lease holds, and would even without what has come back since that was taken: so a lease that had
    /// lapsed meanwhile does not vouch for what was read before it was back.
    #[must_use]
    pub fn still_holds(&self, term: Term) -> bool {
        self.still_holds_at(Moment::now(), term)
    }

    fn still_holds_at(&self, now: Moment, Term(until): Term) -> bool {
        now.0 < until && self.holds_at(now)
    }

    /// What was asked for then (a heartbeat that was sent) has come back.
    pub fn renew(&self, sent: Moment) {
        self.newest_sent.fetch_max(sent.0, Ordering::Relaxed);
        self.until.fetch_max(sent.0.saturating_add(self.length), Ordering::Release);
    }

    /// How long ago the newest thing was sent that has come back; none = nothing ever has.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        let sent = self.newest_sent.load(Ordering::Relaxed);
        (sent > 0).then(|| Moment::now().since(Moment(sent)))
    }

    /// The feed is down, or might be.
    pub fn end(&self) {
        self.until.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_by_the_clock() {
        let lease = Lease::default();
        assert!(!lease.holds() && lease.lag().is_none(), "none before the first heartbeat");
        let sent = Moment::now();
        lease.renew(sent);
        assert!(lease.holds_at(sent));
        let nanos = u64::try_from(LEASE.as_nanos()).unwrap();
        assert!(lease.holds_at(Moment(sent.0 + nanos - 1)));
        assert!(!lease.holds_at(Moment(sent.0 + nanos)));
        lease.renew(Moment(sent.0 - 1));
        assert!(lease.holds_at(Moment(sent.0 + nanos - 1)), "an older heartbeat takes nothing away");
        let (term, last) = (lease.term(), Moment(sent.0 + nanos - 1));
        assert!(lease.still_holds_at(last, term));
        lease.end();
        assert!(!lease.holds_at(sent) && !lease.still_holds_at(sent, term));
        let later = Moment(sent.0 + nanos);
        lease.renew(later);
        assert!(lease.holds_at(later) && lease.still_holds_at(later, lease.term()));
        assert!(!lease.still_holds_at(later, term), "it had lapsed in between");
        lease.end();
        assert!(!lease.still_holds_at(later, lease.term()));
        assert!(lease.lag().is_some_and(|lag| lag < LEASE), "known on: {:?}", lease.lag());
    }
}
