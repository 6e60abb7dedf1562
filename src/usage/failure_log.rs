//! Which failures to write are logged: each is repeated until it succeeds, so a line for each would say the same.

use crate::store;

/// After so many failures, which take a minute or more, another line is logged.
const FAILURES_PER_LINE: u32 = 60;

/// The failures since the last success.
#[derive(Default)]
pub(crate) struct FailureLog {
    failures: u32,
    is_logged: bool,
}

impl FailureLog {
    /// True: the failure is to be logged. The first of an outage is not, since the change feed reports that.
    pub(crate) fn failed(&mut self, error: &store::Error) -> bool {
        let is_told = self.failures.is_multiple_of(FAILURES_PER_LINE) && !(self.failures == 0 && error.is_outage());
        self.failures = self.failures.saturating_add(1);
        self.is_logged |= is_told;
        is_told
    }

    /// True: failures were logged, so this is to be logged too.
    pub(crate) fn succeeded(&mut self) -> bool {
        std::mem::take(self).is_logged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_each_sixtieth_and_the_success_after_them_are_logged() {
        let mut log = FailureLog::default();
        assert!(!log.succeeded(), "nothing has failed");
        let logged: Vec<_> = (0..121).filter(|_| log.failed(&store::Error::TooSlow)).collect();
        assert_eq!(logged, [0, 60, 120]);
        assert!(log.succeeded() && !log.succeeded());
    }
}
