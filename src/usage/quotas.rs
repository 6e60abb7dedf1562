//! Quota usage by key: the totals that the database returned, and the requests that were allowed since.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    domain::{
        ApiKeyId, Quota, QuotaPeriod, QuotaUse, Timestamp,
        access::{DenialReason, decide_quota},
    },
    store::{QuotaTotal, SecretUsage},
};

const SHARDS: usize = 16;
/// Keys of a shard. In all, 262,144 keys are some 20 MiB.
const MAX_KEYS: usize = 16_384;

/// By key, and not by cached secret: neither a second secret nor an invalidation gives a key a fresh quota.
pub(super) struct Quotas {
    shards: [Mutex<HashMap<ApiKeyId, KeyUse>>; SHARDS],
    hasher: RandomState,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { shards: Default::default(), hasher: RandomState::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeyUse {
    period: QuotaPeriod,
    start: Timestamp,
    /// Of all instances, as the database last returned it.
    written: i64,
    /// What this instance let in that is not in `written`.
    unwritten: i64,
}

impl KeyUse {
    const fn new(period: QuotaPeriod, start: Timestamp, written: i64) -> Self {
        Self { period, start, written, unwritten: 0 }
    }

    fn is_of(&self, period: QuotaPeriod, start: Timestamp) -> bool {
        self.period == period && self.start == start
    }
}

impl Quotas {
    /// Takes one request out of the key's quota, if that allows it.
    pub(super) fn take(&self, key: ApiKeyId, quota: Quota, now: Timestamp) -> (Result<(), DenialReason>, QuotaUse) {
        let mut shard = self.shard(key);
        let used = Self::entry(&mut shard, key, quota.per(), now);
        let mut quota =
            QuotaUse { quota, used: used.written + used.unwritten, at: now, resets_at: quota.per().end(now) };
        let decision = decide_quota(&quota);
        if decision.is_ok() {
            used.unwritten += 1;
            quota.used += 1;
        }
        (decision, quota)
    }

    /// The key's usage of its quota.
    pub(super) fn read(&self, key: ApiKeyId, quota: Quota, now: Timestamp) -> QuotaUse {
        let start = quota.per().start(now);
        let used = self.shard(key).get(&key).filter(|used| used.is_of(quota.per(), start)).copied();
        let used = used.map_or(0, |used| used.written + used.unwritten);
        QuotaUse { quota, used, at: now, resets_at: quota.per().end(now) }
    }

    /// A total that was read together with the key, and so may have been written before one that is known.
    pub(super) fn learn(&self, total: &QuotaTotal, now: Timestamp) {
        if total.start != total.period.start(now) {
            return;
        }
        let mut shard = self.shard(total.key);
        let used = Self::entry(&mut shard, total.key, total.period, now);
        // What is being written may be in the total already.
        if used.unwritten == 0 {
            used.written = used.written.max(total.requests);
        }
    }

    /// The periods of the quotas of a batch's keys.
    pub(super) fn of_batch(&self, batch: &[SecretUsage]) -> HashMap<ApiKeyId, QuotaPeriod> {
        let period = |usage: &SecretUsage| Some((usage.key, self.shard(usage.key).get(&usage.key)?.period));
        batch.iter().filter_map(period).collect()
    }

    /// The totals that include a batch which has been written.
    pub(super) fn written(&self, batch: &[SecretUsage], totals: &[QuotaTotal]) {
        for usage in batch {
            if let Some(used) = self.shard(usage.key).get_mut(&usage.key)
                && used.period.start(usage.hour) == used.start
            {
                // After an outage, requests of an earlier period may be in the hours of this one.
                used.unwritten = (used.unwritten - usage.allowed()).max(0);
            }
        }
        for total in totals {
            if let Some(used) = self.shard(total.key).get_mut(&total.key)
                && used.is_of(total.period, total.start)
            {
                used.written = total.requests;
            }
        }
    }

    fn entry(shard: &mut HashMap<ApiKeyId, KeyUse>, key: ApiKeyId, period: QuotaPeriod, now: Timestamp) -> &mut KeyUse {
        if shard.len() >= MAX_KEYS && !shard.contains_key(&key) {
            make_room(shard, now);
        }
        let start = period.start(now);
        let used = shard.entry(key).or_insert(KeyUse::new(period, start, 0));
        // Not back: a request that came just before the end of a period may be decided after one of the next.
        if used.period != period || used.start < start {
            *used = KeyUse::new(period, start, 0);
        }
        used
    }

    #[allow(clippy::cast_possible_truncation, reason = "only some bits are wanted")]
    fn shard(&self, key: ApiKeyId) -> MutexGuard<'_, HashMap<ApiKeyId, KeyUse>> {
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Evicts entries of past periods; if that is not enough, entries without unwritten requests, which are read from the
/// database again; if that is not enough, all.
#[cold]
fn make_room(shard: &mut HashMap<ApiKeyId, KeyUse>, now: Timestamp) {
    shard.retain(|_, used| used.start >= used.period.start(now));
    if shard.len() >= MAX_KEYS {
        shard.retain(|_, used| used.unwritten > 0);
    }
    if shard.len() >= MAX_KEYS {
        shard.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{LookupDigest, TenantId, parse_timestamp};
    use uuid::Uuid;

    const KEY: ApiKeyId = ApiKeyId(Uuid::nil());

    fn at(text: &str) -> Timestamp {
        parse_timestamp(text).unwrap()
    }

    fn quota(requests: i64) -> Quota {
        Quota::new(requests, QuotaPeriod::Day).unwrap()
    }

    fn total(start: &str, requests: i64) -> QuotaTotal {
        QuotaTotal { key: KEY, period: QuotaPeriod::Day, start: at(start), requests }
    }

    fn batch(hour: &str, requests: i64) -> SecretUsage {
        SecretUsage {
            tenant: TenantId(Uuid::nil()),
            key: KEY,
            lookup_digest: LookupDigest::NONE,
            hour: at(hour),
            requests: requests + 7,
            denied_expired: 1,
            denied_scope: 1,
            denied_revoked: 1,
            denied_suspended: 1,
            denied_address: 1,
            denied_rate_limit: 1,
            denied_quota: 1,
            last_use: None,
        }
    }

    #[test]
    fn a_request_counts_from_its_decision_and_once() {
        let (quotas, now) = (Quotas::default(), at("2026-11-24T23:00:00Z"));
        let used = || quotas.read(KEY, quota(5), now).used;
        for n in 1..=3 {
            let (decision, quota) = quotas.take(KEY, quota(5), now);
            assert_eq!((decision, quota.used, quota.resets_at), (Ok(()), n, at("2026-11-25T00:00:00Z")));
        }
        // Two of them are in a batch, and another instance wrote one.
        assert_eq!(quotas.of_batch(&[batch("2026-11-24T23:00:00Z", 2)]), [(KEY, QuotaPeriod::Day)].into());
        quotas.written(&[batch("2026-11-24T23:00:00Z", 2)], &[total("2026-11-24T00:00:00Z", 3)]);
        assert_eq!(used(), 4);
        assert!(quotas.take(KEY, quota(5), now).0.is_ok());
        let (decision, full) = quotas.take(KEY, quota(5), now);
        assert_eq!((decision, full.remaining()), (Err(DenialReason::QuotaExceeded(full)), 0));
        assert_eq!(used(), 5, "a refused request does not count");
        // A total that came with a lookup may lack or have what is not confirmed.
        quotas.learn(&total("2026-11-24T00:00:00Z", 5), now);
        assert_eq!(used(), 5);
    }

    #[test]
    fn each_period_begins_with_nothing_used() {
        let quotas = Quotas::default();
        let [before, after] = ["2026-11-24T23:59:59Z", "2026-11-25T00:00:00Z"].map(at);
        assert!(quotas.take(KEY, quota(1), before).0.is_ok());
        assert!(quotas.take(KEY, quota(1), before).0.is_err());
        assert!(quotas.take(KEY, quota(1), after).0.is_ok());
        assert!(quotas.take(KEY, quota(1), after).0.is_err());
        // A request that was received before midnight, and decided after it.
        assert!(quotas.take(KEY, quota(1), before).0.is_err());
        // Totals and batches of the day before.
        quotas.written(&[batch("2026-11-24T23:00:00Z", 1)], &[total("2026-11-24T00:00:00Z", 1)]);
        quotas.learn(&total("2026-11-24T00:00:00Z", 7), after);
        assert_eq!(quotas.read(KEY, quota(9), after).used, 1);
    }

    #[test]
    fn a_total_that_came_with_a_lookup_is_known_at_once() {
        let (quotas, now) = (Quotas::default(), at("2026-11-24T12:00:00Z"));
        quotas.learn(&total("2026-11-24T00:00:00Z", 4), now);
        quotas.learn(&total("2026-11-24T00:00:00Z", 3), now);
        assert_eq!(quotas.read(KEY, quota(9), now).used, 4);
        quotas.learn(&total("2026-11-23T00:00:00Z", 8), now);
        assert_eq!(quotas.read(KEY, quota(9), now).used, 4);
    }

    #[test]
    fn a_full_shard_keeps_keys_whose_use_is_not_written() {
        let (mut shard, now) = (HashMap::new(), at("2026-11-24T00:00:00Z"));
        let id = |n: usize| ApiKeyId(Uuid::from_u128(u128::try_from(n).unwrap()));
        for n in 0..MAX_KEYS {
            let used = Quotas::entry(&mut shard, id(n), QuotaPeriod::Day, now);
            used.unwritten = i64::from(n == 7);
        }
        Quotas::entry(&mut shard, id(MAX_KEYS), QuotaPeriod::Day, now);
        assert_eq!(shard.len(), 2);
        assert_eq!(shard[&id(7)].unwritten, 1);
    }

    #[test]
    fn a_full_shard_evicts_past_periods_alone_if_that_is_enough() {
        let (mut shard, yesterday) = (HashMap::new(), at("2026-11-23T12:00:00Z"));
        let id = |n: usize| ApiKeyId(Uuid::from_u128(u128::try_from(n).unwrap()));
        for n in 0..MAX_KEYS {
            let period = if n == 7 { QuotaPeriod::Month } else { QuotaPeriod::Day };
            Quotas::entry(&mut shard, id(n), period, yesterday).written = 3;
        }
        Quotas::entry(&mut shard, id(MAX_KEYS), QuotaPeriod::Day, at("2026-11-24T00:00:00Z"));
        assert_eq!(shard.len(), 2);
        assert_eq!(shard[&id(7)].written, 3, "the month goes on");
    }
}
