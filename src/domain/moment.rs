//! A time for durations, which no change of the wall clock moves.

use std::time::Duration;

/// Nanoseconds on a clock that goes on while the machine is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub(crate) u64);

impl Moment {
    /// Reads the clock.
    #[must_use]
    pub fn now() -> Self {
        // `Instant` stops on Linux while the machine is suspended. On macOS it does not.
        #[cfg(target_os = "linux")]
        const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_BOOTTIME;
        #[cfg(not(target_os = "linux"))]
        const CLOCK: nix::time::ClockId = nix::time::ClockId::CLOCK_MONOTONIC;
        // Does not fail for a clock that the kernel has. If it did, no lease would be valid,
        // and no rate limit of this process would refuse a request.
        let time = nix::time::clock_gettime(CLOCK).map_or(Duration::MAX, Duration::from);
        Self(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
