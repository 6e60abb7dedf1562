//! The counter of one cached secret. A request changes a few numbers of it.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU16, AtomicU32, AtomicU64, Ordering},
    },
};

use chrono::DateTime;
use once_cell::race::OnceBox;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    Client, Denied,
    callers::{Callers, TakeCallers},
};
use crate::{
    domain::{ApiKeyId, LookupDigest, TenantId, Timestamp},
    store::{CallerUsage, LastUse, SecretUsage, UsageBatch},
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
    denied: OnceBox<[DeniedCounts; 2]>,
    last_used_micros: AtomicI64,
    /// The hash of the latest caller, in the upper half (0: none), and its requests since `callers` was changed. So a caller
    /// that comes again is counted without the lock.
    latest_caller: AtomicU64,
    callers: Mutex<Option<Box<Callers>>>,
    /// True while it is in the queue.
    queued: AtomicBool,
    /// The hour in which a use of the secret after its end was last reported: see [`wrapped_hour`]; 0: none.
    dead_use_hour: AtomicU16,
}

#[derive(Debug, Default)]
struct DeniedCounts {
    expired: AtomicU32,
    scope: AtomicU32,
    revoked: AtomicU32,
    suspended: AtomicU32,
    address: AtomicU32,
    rate_limit: AtomicU32,
    quota: AtomicU32,
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
            Denied::Quota => &self.quota,
        }
    }
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
            denied: OnceBox::new(),
            last_used_micros: AtomicI64::new(i64::MIN),
            latest_caller: AtomicU64::new(0),
            callers: Mutex::default(),
            queued: AtomicBool::new(false),
            dead_use_hour: AtomicU16::new(0),
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

    /// Counts a request that was let in. `client_hash` is not 0. A permit of `spare` is needed for each further caller.
    pub(super) fn used(&self, at: Timestamp, client: Client<'_>, client_hash: u32, spare: &Arc<Semaphore>) {
        self.requests[self.place_of(at)].fetch_add(1, Ordering::SeqCst);
        if !self.used_by_latest_caller(at, client_hash) {
            self.change_caller(at, client, client_hash, spare);
        }
    }

    /// Counts the request if it is of the latest caller.
    #[inline]
    fn used_by_latest_caller(&self, at: Timestamp, client_hash: u32) -> bool {
        let mut latest = self.latest_caller.load(Ordering::SeqCst);
        if caller_hash(latest) != client_hash {
            return false;
        }
        // Before the count, so that whoever takes the count has the time, now or from when it was taken before.
        self.last_used_micros.fetch_max(at.timestamp_micros(), Ordering::SeqCst);
        while caller_hash(latest) == client_hash && caller_requests(latest) < u32::MAX {
            match self.latest_caller.compare_exchange_weak(latest, latest + 1, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return true,
                Err(changed) => latest = changed,
            }
        }
        false
    }

    #[cold]
    fn change_caller(&self, at: Timestamp, client: Client<'_>, client_hash: u32, spare: &Arc<Semaphore>) {
        let mut callers = self.callers();
        let latest = self.latest_caller.swap(u64::from(client_hash) << u32::BITS, Ordering::SeqCst);
        let callers = callers.get_or_insert_default();
        let used_at = DateTime::from_timestamp_micros(self.last_used_micros.load(Ordering::SeqCst));
        callers.count_latest(caller_requests(latest), used_at);
        callers.change_to(client, client_hash, at, spare);
        // After the client, so that whoever takes the time finds its client.
        self.last_used_micros.fetch_max(at.timestamp_micros(), Ordering::SeqCst);
    }

    /// Sets the last use by a request that authenticated and was denied.
    pub(super) fn set_last_use(&self, at: Timestamp, client: Client<'_>) {
        self.callers().get_or_insert_default().set_denied_use(at, client);
    }

    fn callers(&self) -> MutexGuard<'_, Option<Box<Callers>>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that was denied.
    pub(super) fn denied(&self, at: Timestamp, why: Denied) {
        let place = self.place_of(at);
        self.requests[place].fetch_add(1, Ordering::SeqCst);
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
        let hour = wrapped_hour(at);
        self.dead_use_hour.swap(hour, Ordering::Relaxed) != hour
    }

    /// The use could not be reported; the next one is.
    pub(super) fn clear_dead_use(&self) {
        self.dead_use_hour.store(0, Ordering::Relaxed);
    }

    /// Moves the figures into the batch, with a row for each hour. The last use is in the row of the newer hour. Callers that
    /// are not due stay here; the result is when they are, unless that was returned before.
    pub(super) fn take(&self, batch: &mut UsageBatch, callers: TakeCallers) -> Option<Instant> {
        // First: a request that comes in between queues the counter again. (All of it is SeqCst, so in one order for all:
        // a request that still found it queued is counted below.)
        self.clear_queued();
        let (last_use, due) = self.take_callers(batch, callers);
        self.take_counts(last_use, |row| batch.usage.push(row));
        due
    }

    fn take_counts(&self, mut last_use: Option<LastUse>, mut keep: impl FnMut(SecretUsage)) {
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
                Denied::Quota,
            ]
            .map(denied);
            let [
                denied_expired,
                denied_scope,
                denied_revoked,
                denied_suspended,
                denied_address,
                denied_rate_limit,
                denied_quota,
            ] = denied;
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
                denied_quota,
                last_use: last_use.take(),
            });
        }
    }

    /// Moves the callers into the batch, if they are due, and returns the last use since this was called before. The latest
    /// caller stays, since it is most likely the next one too.
    fn take_callers(&self, batch: &mut UsageBatch, take: TakeCallers) -> (Option<LastUse>, Option<Instant>) {
        let mut callers = self.callers();
        let Some(callers) = callers.as_mut() else { return (None, None) };
        let latest = self.latest_caller.fetch_and(!u64::from(u32::MAX), Ordering::SeqCst);
        let used_at = DateTime::from_timestamp_micros(self.last_used_micros.swap(i64::MIN, Ordering::SeqCst));
        callers.count_latest(caller_requests(latest), used_at);
        let last_use = callers.take_last_use(used_at);
        let due = callers.take(take, |caller| {
            let (tenant, key, lookup_digest) = (self.tenant, self.key, self.lookup_digest);
            batch.callers.push(CallerUsage { tenant, key, lookup_digest, caller });
        });
        (last_use, due)
    }
}

const fn caller_hash(latest: u64) -> u32 {
    (latest >> u32::BITS) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "the lower half")]
const fn caller_requests(latest: u64) -> u32 {
    latest as u32
}

/// Hours since 1970.
fn hour_number(at: Timestamp) -> u32 {
    u32::try_from(at.timestamp().div_euclid(SECONDS_PER_HOUR)).unwrap_or(0)
}

/// Hours since 1970 modulo 65,535, plus 1: 0 means none, and a number repeats after 7.5 years. In two bytes, since each
/// cached secret has one.
fn wrapped_hour(at: Timestamp) -> u16 {
    u16::try_from(hour_number(at) % u32::from(u16::MAX)).unwrap_or(0) + 1
}

/// Where the counts of an hour are.
fn place(hour: u32) -> usize {
    usize::from(hour % 2 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashMap, thread, time::Duration};
    use uuid::Uuid;

    const CURL: Client<'_> = Client { address: None, user_agent: Some(b"curl") };

    fn counter() -> UsageCounter {
        UsageCounter::new(TenantId(Uuid::nil()), ApiKeyId(Uuid::nil()), LookupDigest::NONE)
    }

    fn at(hour: i64, minute: i64) -> Timestamp {
        DateTime::from_timestamp(hour * SECONDS_PER_HOUR + minute * 60, 0).unwrap()
    }

    fn used(counter: &UsageCounter, at: Timestamp, client: Client<'_>, hash: u32) {
        counter.used(at, client, hash, &Arc::new(Semaphore::new(100)));
    }

    fn take_all(counter: &UsageCounter) -> UsageBatch {
        let mut batch = UsageBatch::default();
        counter.take(&mut batch, TakeCallers::All(Instant::now()));
        batch
    }

    fn take(counter: &UsageCounter) -> Vec<SecretUsage> {
        take_all(counter).usage
    }

    #[test]
    fn a_counter_is_small() {
        // Each cached secret has one.
        assert!(size_of::<UsageCounter>() <= 120, "{}", size_of::<UsageCounter>());
    }

    #[test]
    fn a_request_while_figures_are_taken_counts_in_its_own_hour() {
        let counter = counter();
        used(&counter, at(41, 59), CURL, 1);
        let mut taken = Vec::new();
        counter.take_counts(None, |usage| {
            if taken.is_empty() {
                used(&counter, at(42, 0), CURL, 1);
            }
            taken.push(usage);
        });
        taken.extend(take(&counter));
        taken.retain(|usage| usage.requests > 0); // without the row that has the last use alone
        let figures: Vec<_> = taken.iter().map(|usage| (usage.hour, usage.requests)).collect();
        assert_eq!(figures, [(at(41, 0), 1), (at(42, 0), 1)]);
    }

    #[test]
    fn each_hour_has_its_own_figures_and_each_is_taken_once() {
        let counter = counter();
        used(&counter, at(41, 59), CURL, 1);
        used(&counter, at(41, 59), CURL, 1);
        counter.denied(at(42, 0), Denied::Scope);
        used(&counter, at(42, 1), CURL, 1);
        let taken = take(&counter);
        let figures: Vec<_> =
            taken.iter().map(|usage| (usage.hour, usage.requests, usage.denied_expired, usage.denied_scope)).collect();
        assert_eq!(figures, [(at(42, 0), 2, 0, 1), (at(41, 0), 2, 0, 0)]);
        let last_use = LastUse { at: at(42, 1), address: None, user_agent: Some("curl".into()) };
        assert_eq!(taken.iter().filter_map(|usage| usage.last_use.as_ref()).collect::<Vec<_>>(), [&last_use]);
        assert_eq!(take(&counter), []);
        // The same client again: its address and program are in each row, since another instance may have written others.
        used(&counter, at(42, 2), CURL, 1);
        assert_eq!(take(&counter)[0].last_use, Some(LastUse { at: at(42, 2), ..last_use }));
        let wget = Client { address: Some([192, 0, 2, 1].into()), user_agent: Some(b"wget") };
        used(&counter, at(42, 2), wget, 2);
        let last = take(&counter)[0].last_use.clone().unwrap();
        assert_eq!((last.address, last.user_agent.as_deref()), (wget.address, Some("wget")));
        counter.denied(at(42, 3), Denied::Expired);
        let [usage] = &take(&counter)[..] else { panic!("one row") };
        assert_eq!((usage.requests, usage.denied_expired, &usage.last_use), (1, 1, &None), "denied, so not used");
        counter.denied(at(42, 3), Denied::Revoked);
        let [usage] = &take(&counter)[..] else { panic!("one row") };
        assert_eq!((usage.requests, usage.denied_revoked, &usage.last_use), (1, 1, &None), "denied, so not used");
    }

    #[test]
    fn each_request_of_each_caller_is_taken_once_while_callers_alternate() {
        const THREADS: u32 = 4;
        const REQUESTS: u32 = 20_000;
        let counter = counter();
        let spare = Arc::new(Semaphore::new(100));
        let mut counts = HashMap::<String, i64>::new();
        let mut add = |batch: UsageBatch| {
            for CallerUsage { caller, .. } in batch.callers {
                *counts.entry(caller.user_agent.unwrap().into()).or_default() += caller.requests;
            }
        };
        thread::scope(|scope| {
            let counting: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (counter, spare) = (&counter, &spare);
                    scope.spawn(move || {
                        for n in 0..REQUESTS {
                            // Long runs of one caller, and quick changes.
                            let caller = if n % 1_000 < 900 { 1 } else { 1 + (n + thread) % 3 };
                            let agent = caller.to_string();
                            let client = Client { address: None, user_agent: Some(agent.as_bytes()) };
                            counter.used(at(41, 0), client, caller, spare);
                        }
                    })
                })
                .collect();
            while counting.iter().any(|thread| !thread.is_finished()) {
                add(take_all(&counter));
            }
        });
        add(take_all(&counter));
        let quick = THREADS * REQUESTS / 10;
        let sum: i64 = counts.values().sum();
        assert_eq!(sum, i64::from(THREADS * REQUESTS), "{counts:?}");
        assert!((counts["2"] + counts["3"]).abs_diff(i64::from(quick * 2 / 3)) < 10, "{counts:?}");
    }

    #[test]
    fn callers_of_a_secret_are_taken_again_when_they_are_due() {
        let counter = counter();
        let begun = Instant::now();
        let callers = |take: TakeCallers| {
            let mut batch = UsageBatch::default();
            let due = counter.take(&mut batch, take);
            (batch.callers.iter().map(|row| row.caller.requests).collect::<Vec<_>>(), due)
        };
        used(&counter, at(41, 0), CURL, 1);
        assert_eq!(callers(TakeCallers::Due(begun)), (vec![1], None));
        let soon = TakeCallers::Due(begun + Duration::from_secs(29));
        assert_eq!(callers(soon), (vec![], None), "nothing waits");
        used(&counter, at(41, 0), CURL, 1);
        let due = begun + Duration::from_secs(30);
        assert_eq!(callers(soon), (vec![], Some(due)));
        used(&counter, at(41, 0), CURL, 1);
        assert_eq!(callers(soon), (vec![], None), "its time is scheduled");
        assert_eq!(callers(TakeCallers::All(due)), (vec![2], None));
        used(&counter, at(41, 0), CURL, 1);
        assert_eq!(callers(TakeCallers::Due(due)), (vec![], Some(due + Duration::from_secs(30))));
        assert_eq!(callers(TakeCallers::Due(due + Duration::from_secs(30))), (vec![1], None));
    }

    #[test]
    fn callers_without_a_permit_are_counted_together() {
        let counter = counter();
        let spare = Arc::new(Semaphore::new(2));
        for (minute, n) in (0..).zip([1, 2, 3, 4, 5, 2, 1]) {
            let agent = n.to_string();
            let client = Client { address: Some([192, 0, 2, 1].into()), user_agent: Some(agent.as_bytes()) };
            counter.used(at(41, minute), client, n, &spare);
        }
        assert_eq!(spare.available_permits(), 0);
        let mut taken: Vec<_> = take_all(&counter)
            .callers
            .into_iter()
            .map(|CallerUsage { caller, .. }| {
                (caller.user_agent.map(String::from), caller.requests, caller.last_seen_at)
            })
            .collect();
        taken.sort();
        let caller = |agent: &str, requests, minute| (Some(agent.to_owned()), requests, at(41, minute));
        let expected = [(None, 2, at(41, 3)), caller("1", 2, 6), caller("2", 2, 5), caller("5", 1, 4)];
        assert_eq!(taken, expected, "3 and 4 found no place; the second change to 2 left one to 5");
        assert_eq!(spare.available_permits(), 2);
    }
}
