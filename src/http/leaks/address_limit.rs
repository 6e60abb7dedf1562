//! How often an address may report.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Calls in a minute.
pub(super) const PER_MINUTE: u32 = 10;
/// Addresses are counted by their hash, so that memory has a bound: 512 KiB. Two of them may share a slot and its limit.
const SLOTS: usize = 65_536;
const SECONDS_PER_MINUTE: u64 = 60;

/// Counts the calls of each address, or of each block of 2⁶⁴ addresses of IPv6: a network of one user.
pub(super) struct AddressLimit {
    started: Instant,
    /// Seeded at random, so that nobody chooses whose limit is used up.
    hasher: RandomState,
    /// The number of a minute, and the calls in it.
    slots: Box<[AtomicU64]>,
}

impl Default for AddressLimit {
    fn default() -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self { started: Instant::now(), hasher: RandomState::new(), slots }
    }
}

impl AddressLimit {
    /// Counts a call. `Err`: the address has to wait for so many seconds.
    pub(super) fn take(&self, address: IpAddr) -> Result<(), u32> {
        self.take_at(address, self.started.elapsed().as_secs())
    }

    fn take_at(&self, address: IpAddr, second: u64) -> Result<(), u32> {
        let minute = second / SECONDS_PER_MINUTE;
        let slot = usize::try_from(self.hasher.hash_one(network(address))).unwrap_or(usize::MAX) % SLOTS;
        let count = |before: u64| {
            let (number, calls) = (before >> 32, before & u64::from(u32::MAX));
            let calls = if number == minute { calls.saturating_add(1).min(u64::from(u32::MAX)) } else { 1 };
            Some(minute << 32 | calls)
        };
        // Without an error, since `count` always returns a value.
        let before = self.slots[slot].fetch_update(Ordering::Relaxed, Ordering::Relaxed, count).unwrap_or_default();
        let (number, calls) = (before >> 32, before & u64::from(u32::MAX));
        if number == minute && calls >= u64::from(PER_MINUTE) {
            let left = SECONDS_PER_MINUTE - second % SECONDS_PER_MINUTE;
            return Err(u32::try_from(left).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_limited_for_the_rest_of_the_minute_and_others_are_not() {
        let limit = AddressLimit::default();
        let [one, same_network, other] =
            ["2001:db8::1", "2001:db8::ffff", "192.0.2.1"].map(|text| text.parse().unwrap());
        for _ in 0..PER_MINUTE / 2 {
            assert_eq!(limit.take_at(one, 65), Ok(()));
            assert_eq!(limit.take_at(same_network, 65), Ok(()));
        }
        assert_eq!(limit.take_at(one, 65), Err(55));
        assert_eq!(limit.take_at(same_network, 119), Err(1));
        assert_eq!(limit.take_at(one, 120), Ok(()));
        // Unless both share a slot, which is rare.
        assert!(limit.take_at(other, 65).is_ok() || limit.slots.len() < 2);
    }
}
