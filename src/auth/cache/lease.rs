//! The lease: the right to use cached entries.
//!
//! An instance holds it while the newest heartbeat that came back through the database was *sent* less than LEASE_SECONDS
//! ago. Each use compares with the clock. There is no timer: a process that was frozen for a minute finds the lease
//! expired at its first request.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::domain::Moment;

/// The default of LEASE_SECONDS: how long the lease lasts after the sending of a heartbeat that came back.
pub const LEASE: Duration = Duration::from_secs(5);

/// When a lease was to expire, as known at some time. See [`Lease::valid_since`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseSnapshot(u64);

/// A lease that is renewed by heartbeats, or by fetches of an issuer's keys.
#[derive(Debug)]
pub struct Lease {
    /// Nanoseconds.
    length: u64,
    /// STRICT_LEASE: a check is refused while the lease is not held.
    is_required: bool,
    /// In the nanoseconds of [`Moment`]; 0 = the lease is not held.
    expires_at: AtomicU64,
    /// When the newest renewal was sent, even if the lease was expired since; 0 = there was none.
    newest_sent: AtomicU64,
}

impl Default for Lease {
    fn default() -> Self {
        Self::lasting(LEASE)
    }
}

impl Lease {
    /// A lease that lasts for `length` after the sending of each renewal.
    pub(crate) fn lasting(length: Duration) -> Self {
        Self {
            length: u64::try_from(length.as_nanos()).unwrap_or(u64::MAX),
            is_required: false,
            expires_at: AtomicU64::new(0),
            newest_sent: AtomicU64::new(0),
        }
    }

    /// Sets STRICT_LEASE.
    pub(crate) const fn required(self, is_required: bool) -> Self {
        Self { is_required, ..self }
    }

    /// True if a decision since `snapshot` must not be used, since the lease is required and was not held all the time.
    pub(crate) fn forbids(&self, snapshot: LeaseSnapshot) -> bool {
        self.is_required && !self.valid_since(snapshot)
    }

    pub(crate) const fn length(&self) -> Duration {
        Duration::from_nanos(self.length)
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.is_valid_at(Moment::now())
    }

    fn is_valid_at(&self, now: Moment) -> bool {
        now.0 < self.expires_at.load(Ordering::Acquire)
    }

    /// Taken before a read that [`Self::valid_since`] is to validate.
    pub(crate) fn snapshot(&self) -> LeaseSnapshot {
        LeaseSnapshot(self.expires_at.load(Ordering::Acquire))
    }

    /// True if the lease has been valid without a gap since `snapshot`. A lapsed and renewed lease does not validate reads
    /// made before the renewal.
    pub(crate) fn valid_since(&self, snapshot: LeaseSnapshot) -> bool {
        self.valid_since_at(Moment::now(), snapshot)
    }

    fn valid_since_at(&self, now: Moment, LeaseSnapshot(expires_at): LeaseSnapshot) -> bool {
        now.0 < expires_at && self.is_valid_at(now)
    }

    /// Renews the lease: what was sent at `sent` has come back.
    pub fn renew(&self, sent: Moment) {
        self.newest_sent.fetch_max(sent.0, Ordering::Relaxed);
        self.expires_at.fetch_max(sent.0.saturating_add(self.length), Ordering::Release);
    }

    /// The age of the newest renewal; `None` = there was none.
    pub(crate) fn lag(&self) -> Option<Duration> {
        let sent = self.newest_sent.load(Ordering::Relaxed);
        (sent > 0).then(|| Moment::now().since(Moment(sent)))
    }

    /// Ends the lease until the next renewal.
    pub(crate) fn expire(&self) {
        self.expires_at.store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_expires_by_the_clock_and_does_not_validate_reads_from_before_a_gap() {
        let lease = Lease::default();
        assert!(!lease.is_valid() && lease.lag().is_none(), "not held before the first heartbeat");
        let sent = Moment::now();
        lease.renew(sent);
        assert!(lease.is_valid_at(sent));
        let nanos = u64::try_from(LEASE.as_nanos()).unwrap();
        assert!(lease.is_valid_at(Moment(sent.0 + nanos - 1)));
        assert!(!lease.is_valid_at(Moment(sent.0 + nanos)));
        lease.renew(Moment(sent.0 - 1));
        assert!(lease.is_valid_at(Moment(sent.0 + nanos - 1)), "an older heartbeat does not shorten it");
        let (snapshot, last) = (lease.snapshot(), Moment(sent.0 + nanos - 1));
        assert!(lease.valid_since_at(last, snapshot));
        lease.expire();
        assert!(!lease.is_valid_at(sent) && !lease.valid_since_at(sent, snapshot));
        let later = Moment(sent.0 + nanos);
        lease.renew(later);
        assert!(lease.is_valid_at(later) && lease.valid_since_at(later, lease.snapshot()));
        assert!(!lease.valid_since_at(later, snapshot), "it had lapsed in between");
        lease.expire();
        assert!(!lease.valid_since_at(later, lease.snapshot()));
        assert!(lease.lag().is_some_and(|lag| lag < LEASE), "still known: {:?}", lease.lag());
    }
}
