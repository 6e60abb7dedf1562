//! The receipt of a change: that no instance uses a state from before it any more.

use std::{fmt, time::Duration};

use uuid::Uuid;

/// The name of a committed change: the id of its audit event. A state that contains it contains all changes before it, of
/// any tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision(pub Uuid);

impl Revision {
    /// Accepts the hyphenated form of a UUID, in either case, and no other form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 36).then(|| Uuid::try_parse(text).ok())?.map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Proves that every instance has invalidated what a change concerns, or has lost the lease that it could use a state from
/// before it under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Those that lived when the change was asked about, this one included.
    pub instances: usize,
    /// Those that have invalidated, or said that they stop.
    pub acknowledged: usize,
    /// Those that were silent until their lease was over.
    pub lapsed: usize,
    /// From the commit to the last acknowledgement.
    pub slowest: Duration,
}

/// As members of a dictionary of RFC 9651: integers, and a decimal.
impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instances, acknowledged, lapsed, .. } = self;
        let slowest_ms = self.slowest_ms();
        write!(f, "instances={instances}, acknowledged={acknowledged}, lapsed={lapsed}, slowest-ms={slowest_ms:.1}")
    }
}

impl Receipt {
    /// In tenths, which is as precise as it is of use.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "tenths of milliseconds of some minutes")]
    pub fn slowest_ms(&self) -> f64 {
        (self.slowest.as_micros() as f64 / 100.0).round() / 10.0
    }
}
