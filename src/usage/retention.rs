//! Removes old hours of usage.

use std::{convert::Infallible, time::Duration};

use chrono::TimeDelta;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::{
    domain::Clock,
    store::{self, UsageStore},
};

const AFTER_START: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_hours(1);
/// Interval after a failure.
const RETRY: Duration = Duration::from_mins(1);

pub(super) struct Retention {
    pub(super) store: UsageStore,
    pub(super) clock: Clock,
    /// Hours older than that are removed.
    pub(super) age: TimeDelta,
}

impl Retention {
    /// May be dropped at any time.
    pub(super) async fn run(self) -> Infallible {
        let mut next = AFTER_START;
        loop {
            sleep(next).await;
            next = match self.remove_old_hours().await {
                Ok(()) => INTERVAL,
                Err(error) if error.is_outage() => RETRY, // the change feed reports it
                Err(error) => {
                    warn!(%error, "could not remove old hours of usage; trying again in a minute");
                    RETRY
                }
            };
        }
    }

    /// Removes them in parts, until none is left or another instance does it.
    async fn remove_old_hours(&self) -> Result<(), store::Error> {
        let Some(before) = self.clock.now().checked_sub_signed(self.age) else { return Ok(()) };
        let mut rows = 0;
        while let Some(removed) = self.store.remove_usage_before(before).await?.filter(|removed| *removed > 0) {
            rows += removed;
        }
        if rows > 0 {
            info!(rows, %before, "removed old hours of usage");
        }
        Ok(())
    }
}
