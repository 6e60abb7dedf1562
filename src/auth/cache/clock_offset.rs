//! The difference between this machine's clock and the database's.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::TimeDelta;

const UNKNOWN: i64 = i64::MIN;

/// As each heartbeat measures it. Each instance compares the ends of keys and secrets with its own clock, so instances
/// whose clocks differ end them at different moments.
#[derive(Debug)]
pub(crate) struct ClockOffset {
    micros: AtomicI64,
}

impl Default for ClockOffset {
    fn default() -> Self {
        Self { micros: AtomicI64::new(UNKNOWN) }
    }
}

impl ClockOffset {
    pub(super) fn set(&self, offset: TimeDelta) {
        self.micros.store(offset.num_microseconds().unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// How far this machine's clock is ahead; negative: behind. `None`: not measured yet.
    pub(crate) fn get(&self) -> Option<TimeDelta> {
        let micros = self.micros.load(Ordering::Relaxed);
        (micros != UNKNOWN).then(|| TimeDelta::microseconds(micros))
    }
}
