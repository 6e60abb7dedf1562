//! One log line for each refused check, so that an operator finds the reason of a 401 by the request's id.
//!
//! Limited for each tenant and code: beyond the limit, a refusal costs one atomic operation, whatever a client sends.
//! (A request that manages keys has a line of its own in any case.)

use tracing::{Level, enabled, info, warn};

use super::{
    minute_counts::{MinuteCounts, minute_of},
    problem::{Code, Problem},
    sender::Sender,
};
use crate::{
    auth::{error::RefusedCaller, request::RequestId},
    domain::{Principal, Slug},
};

/// Lines in a minute for each tenant and code.
const LINES_PER_MINUTE: u32 = 10;
/// Tenants and codes that are told apart, at most.
const SLOTS: usize = 4096;

/// Decides which refusals are logged, and logs them.
pub(super) struct RefusalLog(MinuteCounts);

impl Default for RefusalLog {
    fn default() -> Self {
        Self(MinuteCounts::new(SLOTS))
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
        let Some(not_logged) = self.admit(tenant, problem.kind(), self.0.now()) else { return };
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    request_id = request.as_str(),
                    tenant = tenant.map(Slug::as_str),
                    host = tenant.is_none().then(|| sender.host()).flatten(),
                    status = problem.status().as_u16(),
                    code = problem.code(),
                    fields = problem.bad_fields(),
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
    fn admit(&self, tenant: Option<&Slug>, code: Code, second: u64) -> Option<u32> {
        let before = self.0.count((tenant, code as usize), second);
        match before.in_minute(minute_of(second)) {
            Some(refusals) => (refusals < LINES_PER_MINUTE).then_some(0),
            None => Some(before.count.saturating_sub(LINES_PER_MINUTE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::minute_counts::SECONDS_PER_MINUTE, *};

    #[test]
    fn refusals_are_limited_for_each_tenant_and_code_and_the_next_line_counts_the_others() {
        let log = RefusalLog::default();
        let slugs = ["acme", "globex"].map(|slug| Slug::parse(slug).unwrap());
        let admitted = |tenant: Option<&Slug>, code, minute, times| {
            (0..times).filter_map(|_| log.admit(tenant, code, minute * SECONDS_PER_MINUTE)).collect::<Vec<_>>()
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
}
