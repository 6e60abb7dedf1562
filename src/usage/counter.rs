//! The counter of one cached secret. A request changes a few numbers of it.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering},
    },
};

use chrono::DateTime;

use super::{Client, Denied, MAX_USER_AGENT_CHARS};
use crate::{
    domain::{ApiKeyId, LookupDigest, Secret, TenantId, Timestamp},
    store::{LastUse, SecretUsage},
};

const SECONDS_PER_HOUR: i64 = 60 * 60;

/// Contains a counter, so that a cache entry itself can be queued: one allocation holds both.
pub trait HasUsageCounter: fmt::Debug + Send + Sync + 'static {
    /// The counter.
    fn usage(&self) -> &UsageCounter;
}

impl HasUsageCounter for UsageCounter {
    fn usage(&self) -> &UsageCounter {
        self
    }
}

/// Counts the requests with one secret until they are written, and keeps its last use.
#[derive(Debug)]
pub struct UsageCounter {
    pub(super) tenant: TenantId,
    key: ApiKeyId,
    lookup_digest: LookupDigest,
    /// The newest hour with a request, since 1970.
    hour: AtomicU32,
    /// All requests of that hour and of the one before, at the hour's number modulo 2. Counters are written every few
    /// seconds, so two hours are enough; while the database is away for longer than an hour, counts of an earlier hour
    /// are added to a later one.
    requests: [AtomicU32; 2],
    /// The denied requests, in the same places. Most secrets are never denied anything.
    denied: OnceLock<Box<[DeniedCounts; 2]>>,
    last_used_micros: AtomicI64,
    /// The hash of `last_client`; 0: none. A client that comes again is recognised without the lock.
    last_client_hash: AtomicU32,
    last_client: Mutex<Option<Box<LastClient>>>,
    /// True while it is in the queue.
    queued: AtomicBool,
    /// The hour in which a use of the secret after its end was last reported, since 1970.
    dead_use_hour: AtomicU32,
}

#[derive(Debug, Default)]
struct DeniedCounts {
    expired: AtomicU32,
    scope: AtomicU32,
    revoked: AtomicU32,
    suspended: AtomicU32,
    address: AtomicU32,
    rate_limit: AtomicU32,
}

impl DeniedCounts {
    const fn of(&self, why: Denied) -> &AtomicU32 {
        match why {
            Denied::Expired => &self.expired,
            Denied::Scope => &self.scope,
            Denied::Revoked => &self.revoked,
            Denied::Suspended => &self.suspended,
            Denied::Address => &self.address,
            Denied::RateLimit => &self.rate_limit,
        }
    }
}

#[derive(Debug)]
struct LastClient {
    address: Option<IpAddr>,
    user_agent: Option<Box<str>>,
}

impl UsageCounter {
    /// The counter of a secret.
    #[must_use]
    pub fn new(tenant: TenantId, key: ApiKeyId, lookup_digest: LookupDigest) -> Self {
        Self {
            tenant,
            key,
            lookup_digest,
            hour: AtomicU32::new(0),
            requests: Default::default(),
            denied: OnceLock::new(),
            last_used_micros: AtomicI64::new(i64::MIN),
            last_client_hash: AtomicU32::new(0),
            last_client: Mutex::default(),
            queued: AtomicBool::new(false),
            dead_use_hour: AtomicU32::new(0),
        }
    }

    /// The key of the secret.
    #[must_use]
    pub const fn key(&self) -> ApiKeyId {
        self.key
    }

    /// The secret.
    #[must_use]
    pub const fn lookup_digest(&self) -> LookupDigest {
        self.lookup_digest
    }

    /// Counts a request that was let in. `client_hash` is not 0.
    pub(super) fn used(&self, at: Timestamp, client: Client<'_>, client_hash: u32) {
        self.requests[self.place_of(at)].fetch_add(1, Ordering::SeqCst);
        if self.last_client_hash.load(Ordering::Relaxed) != client_hash {
            self.set_last_client(client, client_hash);
        }
        // After the client, so that whoever takes the time finds its client.
        self.last_used_micros.fetch_max(at.timestamp_micros(), Ordering::SeqCst);
    }

    fn set_last_client(&self, client: Client<'_>, hash: u32) {
        let client = Box::new(LastClient { address: client.address, user_agent: client.shortened_user_agent() });
        let mut last = self.last_client.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some(client);
        self.last_client_hash.store(hash, Ordering::Relaxed);
    }

    /// Counts a request that was denied.
    pub(super) fn denied(&self, at: Timestamp, why: Denied) {
        let place = self.place_of(at);
        // One that was denied for its scope was counted as a use.
        if why != Denied::Scope {
            self.requests[place].fetch_add(1, Ordering::SeqCst);
        }
        self.denied.get_or_init(Box::default)[place].of(why).fetch_add(1, Ordering::SeqCst);
    }

    fn place_of(&self, at: Timestamp) -> usize {
        let hour = hour_number(at);
        if self.hour.load(Ordering::Relaxed) < hour {
            self.hour.fetch_max(hour, Ordering::SeqCst);
        }
        place(hour)
    }

    /// True where the counter was not queued: the caller has to put it into the queue.
    pub(super) fn set_queued(&self) -> bool {
        // Read first: most requests find it set, and need not write to what all cores share.
        !self.queued.load(Ordering::SeqCst) && !self.queued.swap(true, Ordering::SeqCst)
    }

    /// The counter is not in the queue any more.
    pub(super) fn clear_queued(&self) {
        self.queued.store(false, Ordering::SeqCst);
    }

    /// True for the first use after the secret's end in the hour of that time.
    pub(super) fn set_dead_use(&self, at: Timestamp) -> bool {
        let hour = hour_number(at);
        self.dead_use_hour.swap(hour, Ordering::Relaxed) != hour
    }

    /// The use could not be reported; the next one is.
    pub(super) fn clear_dead_use(&self) {
        self.dead_use_hour.store(0, Ordering::Relaxed);
    }

    /// Takes the figures out, with a row for each hour. The last use is in the row of the newer hour.
    pub(super) fn take(&self, mut keep: impl FnMut(SecretUsage)) {
        // First: a request that comes in between queues the counter again. (All of it is SeqCst, so in one order for all:
        // a request that still found it queued is counted below.)
        self.clear_queued();
        let mut last_use = self.take_last_use();
        let newest = self.hour.load(Ordering::SeqCst);
        for mut hour in [newest, newest.saturating_sub(1)] {
            let take = |count: &AtomicU32| i64::from(count.swap(0, Ordering::SeqCst));
            let requests = take(&self.requests[place(hour)]);
            let denied = |why| self.denied.get().map_or(0, |denied| take(denied[place(hour)].of(why)));
            let denied = [
                Denied::Expired,
                Denied::Scope,
                Denied::Revoked,
                Denied::Suspended,
                Denied::Address,
                Denied::RateLimit,
            ]
            .map(denied);
            let [denied_expired, denied_scope, denied_revoked, denied_suspended, denied_address, denied_rate_limit] =
                denied;
            // An hour that has begun meanwhile shares the slot of the one before `newest`.
            if hour < newest && self.hour.load(Ordering::SeqCst) > newest {
                hour = newest + 1;
            }
            if last_use.is_none() && requests == 0 && denied.iter().all(|count| *count == 0) {
                continue;
            }
            let Some(hour) = DateTime::from_timestamp(i64::from(hour) * SECONDS_PER_HOUR, 0) else { continue };
            keep(SecretUsage {
                tenant: self.tenant,
                key: self.key,
                lookup_digest: self.lookup_digest,
                hour,
                requests,
                denied_expired,
                denied_scope,
                denied_revoked,
                denied_suspended,
                denied_address,
                denied_rate_limit,
                last_use: last_use.take(),
            });
        }
    }

    /// The last use since this was called before. Its client stays, since it is most likely the next one too.
    fn take_last_use(&self) -> Option<LastUse> {
        let micros = self.last_used_micros.swap(i64::MIN, Ordering::SeqCst);
        let at = DateTime::from_timestamp_micros(micros)?;
        let client = self.last_client.lock().unwrap_or_else(PoisonError::into_inner);
        let client = client.as_ref()?;
        Some(LastUse { at, address: client.address, user_agent: client.user_agent.clone() })
    }
}

/// Hours since 1970.
fn hour_number(at: Timestamp) -> u32 {
    u32::try_from(at.timestamp().div_euclid(SECONDS_PER_HOUR)).unwrap_or(0)
}

/// Where the counts of an hour are.
fn place(hour: u32) -> usize {
    usize::from(hour % 2 == 1)
}

/// The first characters of a `User-Agent`, without control characters, and without a secret that has strayed into it.
pub(super) fn shorten(user_agent: &[u8]) -> Box<str> {
    let text: String = String::from_utf8_lossy(user_agent).chars().filter(|c| !c.is_control()).collect();
    if text.contains(Secret::PREFIX) {
        return "[redacted]".into();
    }
    text.chars().take(MAX_USER_AGENT_CHARS).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const CURL: Client<'_> = Client { address: None, user_agent: Some(b"curl") };

    fn counter() -> UsageCounter {
        UsageCounter::new(TenantId(Uuid::nil()), ApiKeyId(Uuid::nil()), LookupDigest::NONE)
    }

    fn at(hour: i64, minute: i64) -> Timestamp {
        DateTime::from_timestamp(hour * SECONDS_PER_HOUR + minute * 60, 0).unwrap()
    }

    fn take(counter: &UsageCounter) -> Vec<SecretUsage> {
        let mut taken = Vec::new();
        counter.take(|usage| taken.push(usage));
        taken
    }

    #[test]
    fn a_counter_is_small() {
        // Each cached secret has one.
        assert!(size_of::<UsageCounter>() <= 120, "{}", size_of::<UsageCounter>());
    }

    #[test]
    fn a_request_while_figures_are_taken_counts_in_its_own_hour() {
        let counter = counter();
        counter.used(at(41, 59), CURL, 1);
        let mut taken = Vec::new();
        counter.take(|usage| {
            if taken.is_empty() {
                counter.used(at(42, 0), CURL, 1);
            }
            taken.push(usage);
        });
        taken.extend(take(&counter));
        taken.retain(|usage| usage.requests > 0); // without the row that has the last use alone
        let figures: Vec<_> = taken.iter().map(|usage| (usage.hour, usage.requests)).collect();
        assert_eq!(figures, [(at(41, 0), 1), (at(42, 0), 1)]);
    }

    #[test]
    fn a_user_agent_is_shortened_and_holds_no_secret() {
        assert_eq!(&*shorten("é".repeat(300).as_bytes()), "é".repeat(200));
        assert_eq!(&*shorten(b"a\0b\x1bc\xff"), "abc\u{fffd}");
        assert_eq!(&*shorten(b"curl rk_live_0123"), "[redacted]");
        assert_eq!(&*shorten(b"rk_li\tve_0123"), "[redacted]");
    }

    #[test]
    fn each_hour_has_its_own_figures_and_each_is_taken_once() {
        let counter = counter();
        counter.used(at(41, 59), CURL, 1);
        counter.used(at(41, 59), CURL, 1);
        counter.denied(at(42, 0), Denied::Scope);
        counter.used(at(42, 1), CURL, 1);
        let taken = take(&counter);
        let figures: Vec<_> =
            taken.iter().map(|usage| (usage.hour, usage.requests, usage.denied_expired, usage.denied_scope)).collect();
        assert_eq!(figures, [(at(42, 0), 1, 0, 1), (at(41, 0), 2, 0, 0)]);
        let last_use = LastUse { at: at(42, 1), address: None, user_agent: Some("curl".into()) };
        assert_eq!(taken.iter().filter_map(|usage| usage.last_use.as_ref()).collect::<Vec<_>>(), [&last_use]);
        assert_eq!(take(&counter), []);
        // The same client again: its address and program are in each row, since another instance may have written others.
        counter.used(at(42, 2), CURL, 1);
        assert_eq!(take(&counter)[0].last_use, Some(LastUse { at: at(42, 2), ..last_use }));
        let wget = Client { address: Some([192, 0, 2, 1].into()), user_agent: Some(b"wget") };
        counter.used(at(42, 2), wget, 2);
        let last = take(&counter)[0].last_use.clone().unwrap();
        assert_eq!((last.address, last.user_agent.as_deref()), (wget.address, Some("wget")));
        counter.denied(at(42, 3), Denied::Expired);
        let [usage] = &take(&counter)[..] else { panic!("one row") };
        assert_eq!((usage.requests, usage.denied_expired, &usage.last_use), (1, 1, &None), "denied, so not used");
        counter.denied(at(42, 3), Denied::Revoked);
        let [usage] = &take(&counter)[..] else { panic!("one row") };
        assert_eq!((usage.requests, usage.denied_revoked, &usage.last_use), (1, 1, &None), "denied, so not used");
    }
}
