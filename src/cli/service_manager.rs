//! Tells systemd the state of the service (sd_notify(3)). Without NOTIFY_SOCKET, does nothing.

use sd_notify::NotifyState;
use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};
use tracing::warn;

/// The service accepts requests from now on.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// The service stops: it drains, or ends.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Reports twice within each WATCHDOG_USEC, if that is set, that the runtime still runs tasks.
pub(super) fn keep_watchdog_quiet() -> Option<WatchdogReports> {
    let limit = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())?;
    let mut ticks = interval(limit / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reports = tokio::spawn(async move {
        loop {
            ticks.tick().await;
            tell(NotifyState::Watchdog);
        }
    });
    Some(WatchdogReports(reports.abort_handle()))
}

/// The reports end when this is dropped.
pub(super) struct WatchdogReports(AbortHandle);

impl Drop for WatchdogReports {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "cannot reach the service manager at NOTIFY_SOCKET");
    }
}
