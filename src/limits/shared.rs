//! What keys have used of their limits, as a Redis or Valkey counts for all instances.

use std::{
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};
use redis::{AsyncConnectionConfig, RedisError, Script, aio::MultiplexedConnection};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};
use uuid::Uuid;

use super::RedisUrl;
use crate::domain::{ApiKeyId, Budget, RateDecision, RateLimit};

/// How long a check waits for Redis: it delays the gateway's request.
const CHECK_TIMEOUT: Duration = Duration::from_millis(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Between attempts to reconnect.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// Between calls that find out whether Redis still counts, if there are no checks.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// In front of a key's id. An instance may write to no other name.
const NAME_PREFIX: &str = "rally:limit:";
/// No key has this id.
const PROBE: ApiKeyId = ApiKeyId(Uuid::nil());

/// Why Redis did not count.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("there is no connection")]
    NotConnected,
    #[error("no response within {0:?}")]
    TimedOut(Duration),
    #[error("{0}")]
    Refused(#[from] RedisError),
}

/// A connection that works, or worked until lately.
#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    /// Distinguishes it from earlier and later ones.
    number: u64,
}

/// The counts in a Redis. A call that fails ends the connection; from then on no check waits, until
/// [`Self::keep_connected`] has counted over a new one.
pub(super) struct SharedCounts {
    url: RedisUrl,
    script: Script,
    connected: RwLock<Option<Connected>>,
    connections: AtomicU64,
    lost: Notify,
    metrics: Metrics,
}

struct Metrics {
    up: Gauge,
    latency: Histogram,
    failures: Counter,
    local_fallbacks: Counter,
}

impl SharedCounts {
    pub(super) fn new(url: RedisUrl) -> Self {
        let bounds = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.02];
        Self {
            url,
            script: Script::new(include_str!("take.lua")),
            connected: RwLock::default(),
            connections: AtomicU64::default(),
            lost: Notify::new(),
            metrics: Metrics {
                up: Gauge::default(),
                latency: Histogram::new(bounds),
                failures: Counter::default(),
                local_fallbacks: Counter::default(),
            },
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        let Metrics { up, latency, failures, local_fallbacks } = &self.metrics;
        let help = "1 while Redis counts rate limits for all instances; 0: this instance counts by itself";
        registry.register("rally_limits_redis_up", help, up.clone());
        let help = "How long checks of keys with a rate limit waited for Redis";
        registry.register_with_unit("rally_limits_redis", help, Unit::Seconds, latency.clone());
        let help = "Calls of Redis that failed or got no response within 20 ms, attempts to reconnect included";
        registry.register("rally_limits_redis_failures", help, failures.clone());
        let help = "Checks of keys with a rate limit that this instance counted by itself, since Redis was unavailable";
        registry.register("rally_limits_local_fallbacks", help, local_fallbacks.clone());
    }

    pub(super) fn is_up(&self) -> bool {
        self.connected().is_some()
    }

    pub(super) fn count_fallback(&self) {
        self.metrics.local_fallbacks.inc();
    }

    /// Takes one request out of the key's budget.
    pub(super) async fn take(&self, key: ApiKeyId, limit: RateLimit) -> Result<RateDecision, Failure> {
        let mut connected = self.connected().ok_or(Failure::NotConnected)?;
        let started = Instant::now();
        let taken = self.call(&mut connected.connection, key, limit.cost(), limit.burst()).await;
        self.metrics.latency.observe(started.elapsed().as_secs_f64());
        if let Err(failure) = &taken {
            self.disconnect(&connected, failure);
        }
        taken.map(|(allowed, used)| RateDecision { allowed, budget: Budget::new(limit, used) })
    }

    /// Whether the request is within the limit, and what is used then. In nanoseconds, as [`RateLimit`] counts.
    async fn call(
        &self,
        connection: &mut MultiplexedConnection,
        key: ApiKeyId,
        cost: u64,
        burst: u64,
    ) -> Result<(bool, u64), Failure> {
        let mut call = self.script.key(format!("{NAME_PREFIX}{key}"));
        call.arg(cost).arg(burst);
        let response = timeout(CHECK_TIMEOUT, call.invoke_async(connection)).await;
        Ok(response.map_err(|_| Failure::TimedOut(CHECK_TIMEOUT))??)
    }

    /// Writes, as a check does: a server that is out of memory, or a replica, answers to a PING too.
    async fn probe(&self, connection: &mut MultiplexedConnection) -> Result<(), Failure> {
        self.call(connection, PROBE, 1_000, 1_000_000_000).await.map(drop)
    }

    /// Opens a connection, and counts one request over it to verify that the server accepts writes.
    pub(super) async fn connect(&self) -> Result<(), Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CONNECT_TIMEOUT));
        let connecting = self.url.client().get_multiplexed_async_connection_with_config(&config);
        let mut connection =
            timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| Failure::TimedOut(CONNECT_TIMEOUT))??;
        self.probe(&mut connection).await?;
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        *self.connected.write().unwrap_or_else(PoisonError::into_inner) = Some(Connected { connection, number });
        self.metrics.up.set(1);
        Ok(())
    }

    /// Reconnects after each loss of the connection.
    pub(super) async fn keep_connected(&self) {
        loop {
            let Some(mut connected) = self.connected() else {
                self.reconnect().await;
                continue;
            };
            if timeout(PROBE_INTERVAL, self.lost.notified()).await.is_err()
                && let Err(failure) = self.probe(&mut connected.connection).await
            {
                self.disconnect(&connected, &failure);
            }
        }
    }

    async fn reconnect(&self) {
        if self.connect().await.is_ok() {
            info!(redis = %self.url, "Redis counts rate limits again, for all instances together");
        } else {
            self.metrics.failures.inc();
            sleep(RETRY_DELAY).await;
        }
    }

    /// Until there is a new connection, checks do not wait.
    fn disconnect(&self, lost: &Connected, why: &Failure) {
        self.metrics.failures.inc();
        let mut connected = self.connected.write().unwrap_or_else(PoisonError::into_inner);
        // Other calls over the same connection fail too.
        if connected.as_ref().is_some_and(|connected| connected.number == lost.number) {
            *connected = None;
            drop(connected);
            self.log_unavailable(why);
            self.metrics.up.set(0);
            self.lost.notify_one();
        }
    }

    pub(super) fn log_unavailable(&self, why: &Failure) {
        warn!(
            redis = %self.url,
            error = %why,
            "Redis does not count rate limits, so each instance counts by itself and a key may use its limit once at each: \
             check that it runs and takes writes"
        );
    }

    fn connected(&self) -> Option<Connected> {
        self.connected.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
