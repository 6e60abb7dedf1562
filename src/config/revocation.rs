//! Settings of the lease and of receipts.

use std::time::Duration;

use super::reader::Reader;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Revocation {
    /// How long cached results may be used after the last heartbeat that came back.
    pub(crate) lease: Duration,
    /// The longest wait for a receipt.
    pub(crate) max_wait: Duration,
}

impl Revocation {
    pub(super) fn read(settings: &mut Reader) -> Self {
        let mut seconds =
            |name, default, range, example| Duration::from_secs(settings.number::<u64>(name, default, range, example));
        Self {
            lease: seconds("LEASE_SECONDS", 5, (2, 300), "5"),
            max_wait: seconds("RECEIPT_MAX_WAIT_SECONDS", 55, (1, 3600), "55"),
        }
    }

    pub(super) fn effective(self) -> Vec<(&'static str, String)> {
        vec![
            ("LEASE_SECONDS", self.lease.as_secs().to_string()),
            ("RECEIPT_MAX_WAIT_SECONDS", self.max_wait.as_secs().to_string()),
        ]
    }
}
