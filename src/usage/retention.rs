//! Removes old hours of usage, callers that were not seen for long, secrets that ended long ago, and old records of requests
//! with an `Idempotency-Key`.

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
/// Secrets that ended longer ago are removed: until then, a use of them is recorded in the audit trail.
const ENDED_SECRET_AGE: TimeDelta = TimeDelta::days(90);
/// Most secrets of a key that ended: no more are shown with its usage.
const ENDED_SECRETS_OF_A_KEY: i32 = 100;
/// Records of requests with an `Idempotency-Key` that are older are removed. They are valid for 24 hours; until their removal,
/// a repetition is refused and makes no second key.
const IDEMPOTENCY_RECORD_AGE: TimeDelta = TimeDelta::hours(48);

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
            next = match self.remove_all().await {
                Ok(()) => INTERVAL,
                Err(error) if error.is_outage() => RETRY, // the change feed reports it
                Err(error) => {
                    warn!(%error, "could not remove old hours of usage, callers, ended secrets or idempotency records; trying again in a minute");
                    RETRY
                }
            };
        }
    }

    async fn remove_all(&self) -> Result<(), store::Error> {
        self.remove_old_hours().await?;
        self.remove_old_callers().await?;
        self.remove_ended_secrets().await?;
        self.remove_idempotency_records().await
    }

    async fn remove_old_hours(&self) -> Result<(), store::Error> {
        let Some(before) = self.clock.now().checked_sub_signed(self.age) else { return Ok(()) };
        let rows = remove_in_parts(|| self.store.remove_usage_before(before)).await?;
        if rows > 0 {
            info!(rows, %before, "removed old hours of usage");
        }
        Ok(())
    }

    async fn remove_old_callers(&self) -> Result<(), store::Error> {
        let now = self.clock.now();
        let (mut callers, mut next_page) = (0, Some(0));
        while let Some(page) = next_page
            && let Some(part) = self.store.remove_old_callers(now, page).await?
        {
            callers += part.callers;
            next_page = part.next_page;
        }
        if callers > 0 {
            info!(callers, "removed old callers of API keys");
        }
        Ok(())
    }

    async fn remove_ended_secrets(&self) -> Result<(), store::Error> {
        let before = self.clock.now() - ENDED_SECRET_AGE;
        let secrets = remove_in_parts(|| self.store.remove_ended_secrets(before, ENDED_SECRETS_OF_A_KEY)).await?;
        if secrets > 0 {
            info!(secrets, %before, "removed secrets that ended long ago, or many of one key");
        }
        Ok(())
    }

    async fn remove_idempotency_records(&self) -> Result<(), store::Error> {
        let before = self.clock.now() - IDEMPOTENCY_RECORD_AGE;
        let records = remove_in_parts(|| self.store.remove_idempotency_records(before)).await?;
        if records > 0 {
            info!(records, %before, "removed old records of requests with an Idempotency-Key");
        }
        Ok(())
    }
}

/// Removes parts until none is left or another instance does it. Returns the number of rows.
async fn remove_in_parts<F>(remove: impl Fn() -> F) -> Result<i32, store::Error>
where
    F: Future<Output = Result<Option<i32>, store::Error>>,
{
    let mut rows = 0;
    while let Some(removed) = remove().await?.filter(|removed| *removed > 0) {
        rows += removed;
    }
    Ok(rows)
}
