//! One log line for each refused check, so that an operator finds the reason of a 401 by the request's id.
//!
//! Limited for each tenant and code: beyond the limit, a refusal costs one atomic operation, whatever a client sends.
//! (A request that manages keys has a line of its own in any case.)

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

use tracing::{Level, enabled, info, warn};

use super::{
    problem::{Code, Problem},
    sender::Sender,
};
use crate::{
    auth::{error::RefusedCaller, request::RequestId},
    domain::{Principal, Slug},
};

/// Lines in a minute for each tenant and code.
const LINES_PER_MINUTE: u32 = 10;
/// Tenants and codes are counted by their hash, so that memory has a bound: two of them may share a slot and its limit.
const SLOTS: usize = 4096;
const SECONDS_PER_MINUTE: u64 = 60;

/// Decides which refusals are logged, and logs them.
pub(super) struct RefusalLog {
    started: Instant,
    /// Seeded at random, so that nobody chooses whose limit is used up.
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
}

impl Default for RefusalLog {
    fn default() -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self { started: Instant::now(), hasher: RandomState::new(), slots }
    }
}

/// A slot's content: how many refusals there were in the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Minute {
    number: u32,
    refusals: u32,
}

impl Minute {
    fn unpack(slot: u64) -> Self {
        let [high, low] = [slot >> 32, slot & u64::from(u32::MAX)].map(|half| u32::try_from(half).unwrap_or(u32::MAX));
        Self { number: high, refusals: low }
    }

    fn pack(self) -> u64 {
        u64::from(self.number) << 32 | u64::from(self.refusals)
    }

    /// After one more refusal, in that minute.
    fn count(self, number: u32) -> Self {
        let refusals = if self.number == number { self.refusals.saturating_add(1) } else { 1 };
        Self { number, refusals }
    }
}

impl RefusalLog {
    /// Logs a refused check, unless there were too many alike.
    #[cold]
    pub(super) fn log(&self, problem: &Problem, caller: Option<&RefusedCaller>, sender: &Sender, request: &RequestId) {
        if !enabled!(Level::WARN) {
            return;
        }
        let (tenant, principal) = (caller.map(|caller| &caller.tenant), caller.and_then(RefusedCaller::principal));
        let minute = self.started.elapsed().as_secs() / SECONDS_PER_MINUTE;
        let Some(not_logged) = self.admit(tenant, problem.kind(), u32::try_from(minute).unwrap_or(u32::MAX)) else {
            return;
        };
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    request_id = request.as_str(),
                    tenant = tenant.map(Slug::as_str),
                    host = tenant.is_none().then(|| sender.host()).flatten(),
                    status = problem.status().as_u16(),
                    code = problem.code(),
                    detail = problem.particulars(),
                    cause = problem.cause(),
                    key_id = principal.and_then(Principal::key_id).map(display),
                    principal = principal.filter(|principal| principal.key_id().is_none()).map(display),
                    address = %sender.address,
                    user_agent = sender.user_agent().as_deref(),
                    not_logged = (not_logged > 0).then_some(not_logged),
                    "refused a check"
                )
            };
        }
        if problem.status().is_server_error() { line!(warn) } else { line!(info) }
    }

    /// How many refusals of the tenant and code were not logged before this one; `None`: this one is not logged either.
    fn admit(&self, tenant: Option<&Slug>, code: Code, minute: u32) -> Option<u32> {
        let hash = self.hasher.hash_one((tenant, code as usize));
        let index = usize::try_from(hash % self.slots.len() as u64).ok()?;
        let count = |slot| Some(Minute::unpack(slot).count(minute).pack());
        // Without an error, since `count` always returns a value.
        let before = self.slots[index].fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).ok()?;
        let before = Minute::unpack(before);
        if before.number == minute {
            return (before.refusals < LINES_PER_MINUTE).then_some(0);
        }
        Some(before.refusals.saturating_sub(LINES_PER_MINUTE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_limited_for_each_tenant_and_code_and_the_next_line_counts_the_others() {
        let log = RefusalLog::default();
        let slugs = ["acme", "globex"].map(|slug| Slug::parse(slug).unwrap());
        let admitted = |tenant: Option<&Slug>, code, minute, times| {
            (0..times).filter_map(|_| log.admit(tenant, code, minute)).collect::<Vec<_>>()
        };
        let all: Vec<_> = vec![0; 10];
        assert_eq!(admitted(Some(&slugs[0]), Code::InvalidKey, 0, 25), all);
        // Unless two of them share a slot, which a test may not depend on: then there are fewer.
        let others =
            [(Some(&slugs[1]), Code::InvalidKey), (Some(&slugs[0]), Code::KeyRevoked), (None, Code::InvalidKey)];
        let lines: usize = others.into_iter().map(|(tenant, code)| admitted(tenant, code, 0, 25).len()).sum();
        assert!(lines >= 10, "{lines}");
        let next = admitted(Some(&slugs[0]), Code::InvalidKey, 1, 25);
        assert_eq!((next.len(), next[0] >= 15, &next[1..]), (10, true, &all[1..]));
    }

    #[test]
    fn a_flood_does_not_overflow_its_counter() {
        let full = Minute { number: 7, refusals: u32::MAX };
        assert_eq!(Minute::unpack(full.pack()), full);
        assert_eq!(full.count(7), full);
        assert_eq!(full.count(8), Minute { number: 8, refusals: 1 });
    }
}
