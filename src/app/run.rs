//! Serves requests, and stops in order.

use std::time::Duration;

use futures_util::{TryFutureExt as _, future::OptionFuture};
use tokio::{
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};
use tracing::{info, warn};

use super::{Listener, Service, Stop};
use crate::http::server;

/// On the address for metrics and probes.
pub(super) const MAX_ADMIN_CONNECTIONS: usize = 64;
/// The part of the grace time that is kept for writing usage; a quarter of what is left, if that is less.
const USAGE_TIME: Duration = Duration::from_secs(3);
/// The part that is kept for closing connections after that; an eighth of what is left, if that is less.
const CLOSING_TIME: Duration = Duration::from_millis(500);

impl Service {
    /// Serves until `shutdown` completes. Then, within the grace time: drains, if `shutdown` says so; accepts no more
    /// connections; completes the requests in flight, those of disconnected clients included; writes usage; closes the
    /// connections to the database.
    pub async fn run(self, shutdown: impl Future<Output = Stop>) {
        let mut background = JoinSet::new();
        let (stop_listener, stopped) = oneshot::channel::<()>();
        let listener = tokio::spawn(self.invalidation_listener.run(async {
            let _ = stopped.await;
        }));
        background.spawn(self.limiter.keep_connected());
        background.spawn(self.jobs.idle_keys.run());
        background.spawn(self.jobs.lost_revocations.run());
        for issuer in self.issuers {
            background.spawn(issuer.keep_fresh());
        }
        if let Some(tls) = self.tls {
            background.spawn(tls.run());
        }
        let (stop_usage_worker, stopped) = oneshot::channel::<Instant>();
        let usage_worker = tokio::spawn(self.usage_worker.run(stopped.unwrap_or_else(|_| Instant::now())));
        let (stop_leak_workers, stopped) = oneshot::channel::<Instant>();
        let leak_workers = tokio::spawn(self.leak_workers.run(stopped.unwrap_or_else(|_| Instant::now())));
        let drain = self.drain.clone();
        let mut deadline = Instant::now();
        let drained = async {
            let stop = shutdown.await;
            deadline = Instant::now() + self.grace;
            if stop == Stop::Drain && !self.drain_time.is_zero() {
                info!(drain = ?self.drain_time, "draining: /readyz fails, requests are still served");
                drain.begin();
                sleep(self.drain_time).await; // less than the grace time
            }
        };
        let (stop_admin, stopped) = oneshot::channel::<()>();
        let admin = self.admin.map(|Listener { socket, dispatcher, open, .. }| {
            let drain = self.drain.clone();
            tokio::spawn(async move {
                let stopped = async {
                    let _ = stopped.await;
                };
                server::serve(socket, None, dispatcher, MAX_ADMIN_CONNECTIONS, &open, &drain, stopped).await
            })
        });
        let Listener { socket, dispatcher, open, tls, .. } = self.public;
        let connections =
            server::serve(socket, tls, dispatcher, self.max_connections, &open, &self.drain, drained).await;
        info!(grace = ?deadline.saturating_duration_since(Instant::now()), "stopping: no new connections");
        self.receipts.stop();
        let requests = async {
            connections.shutdown().await;
            self.tasks.close();
            self.tasks.wait().await;
        };
        // A client that does not read its response must not cost the usage that is not written yet.
        let left = deadline.saturating_duration_since(Instant::now());
        let completed = timeout_at(deadline - USAGE_TIME.min(left / 4), requests).await.is_ok();
        let close = async {
            let until = deadline - CLOSING_TIME.min(left / 8);
            let _ = stop_leak_workers.send(until);
            let _ = stop_usage_worker.send(until);
            // No request uses the cache any more: other instances need not wait for this one.
            let _ = stop_listener.send(());
            let _ = tokio::join!(leak_workers, usage_worker, listener);
            // Metrics are served until usage is written.
            drop(stop_admin);
            if let Some(Ok(connections)) = OptionFuture::from(admin).await {
                connections.shutdown().await;
            }
            if let Some(export) = self.trace_export {
                export.stop().await;
            }
            background.shutdown().await;
            self.database.close().await;
        };
        let closed = timeout_at(deadline, close).await.is_ok();
        match (completed, closed) {
            (true, true) => info!("stopped"),
            (false, true) => {
                warn!("stopped before every request had ended: raise SHUTDOWN_GRACE_SECONDS, or look for slow clients");
            }
            (_, false) => {
                warn!("stopped before usage was written and connections were closed: raise SHUTDOWN_GRACE_SECONDS");
            }
        }
    }
}
