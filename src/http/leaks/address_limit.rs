//! How often an address may report.

use std::net::IpAddr;

use crate::{
    domain::client_network,
    http::minute_counts::{Minute, MinuteCounts, SECONDS_PER_MINUTE, minute_of},
};

/// Calls in a minute.
pub(super) const PER_MINUTE: u32 = 10;
/// Of 8 bytes. Networks that share a slot share the limit.
const SLOTS: usize = 65_536;

/// Counts calls of a client's network.
pub(super) struct AddressLimit(MinuteCounts);

impl Default for AddressLimit {
    fn default() -> Self {
        Self(MinuteCounts::new(SLOTS))
    }
}

impl AddressLimit {
    /// Counts a call. `Err`: the address has to wait for so many seconds.
    pub(super) fn take(&self, address: IpAddr) -> Result<(), u32> {
        self.take_at(address, self.0.now())
    }

    fn take_at(&self, address: IpAddr, second: u64) -> Result<(), u32> {
        within_limit(self.0.count(client_network(address), second), second)
    }

    /// As [`Self::take`], and counts nothing.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), u32> {
        let second = self.0.now();
        within_limit(self.0.read(client_network(address)), second)
    }
}

fn within_limit(calls: Minute, second: u64) -> Result<(), u32> {
    if calls.in_minute(minute_of(second)).is_none_or(|calls| calls < PER_MINUTE) {
        return Ok(());
    }
    Err(u32::try_from(SECONDS_PER_MINUTE - second % SECONDS_PER_MINUTE).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_limited_for_the_rest_of_the_minute_and_others_are_not() {
        let limit = AddressLimit::default();
        let [one, same_network] = ["2001:db8::1", "2001:db8::ffff"].map(|text| text.parse().unwrap());
        for _ in 0..PER_MINUTE / 2 {
            assert_eq!(limit.take_at(one, 65), Ok(()));
            assert_eq!(limit.take_at(same_network, 65), Ok(()));
        }
        assert_eq!(limit.take_at(one, 65), Err(55));
        assert_eq!(limit.take_at(same_network, 119), Err(1));
        // One of these may share the slot.
        let others = (0..5).filter(|n| limit.take_at(IpAddr::from([192, 0, 2, *n]), 65).is_ok()).count();
        assert!(others >= 4, "{others}");
        assert_eq!(limit.take_at(one, 120), Ok(()));
    }
}
