//! Settings of the lease and of receipts.

use std::time::Duration;

use super::reader::Reader;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Revocation {
    /// The longest time for which cached results may be used after the last heartbeat that came back.
    pub(crate) lease: Duration,
    /// STRICT_LEASE: a check is refused while the lease is not held.
    pub(crate) is_lease_required: bool,
    /// The longest wait for a receipt.
    pub(crate) max_wait: Duration,
}

impl Revocation {
    pub(super) fn read(settings: &mut Reader) -> Self {
        let is_lease_required = settings.parse("STRICT_LEASE", "true", |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("must be true or false"),
        });
        let is_lease_required = is_lease_required.unwrap_or_default();
        let mut seconds =
            |name, default, range, example| Duration::from_secs(settings.number::<u64>(name, default, range, example));
        Self {
            is_lease_required,
            lease: seconds("LEASE_SECONDS", 5, (2, 300), "5"),
            max_wait: seconds("RECEIPT_MAX_WAIT_SECONDS", 55, (1, 3600), "55"),
        }
    }

    pub(super) fn effective(self) -> Vec<(&'static str, String)> {
        vec![
            ("LEASE_SECONDS", self.lease.as_secs().to_string()),
            ("STRICT_LEASE", self.is_lease_required.to_string()),
            ("RECEIPT_MAX_WAIT_SECONDS", self.max_wait.as_secs().to_string()),
        ]
    }
}
