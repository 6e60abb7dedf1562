//! Rate limits: the usage of each key's limit, counted in this process or, for all instances, in a Redis or Valkey.
//!
//! In Redis one script counts a request. After each call the outcome is kept here too. So a key that is known to have
//! exceeded its limit is refused without a call, and while Redis is unavailable this instance continues from that state.

mod local;
mod metrics;
mod redis_url;
mod shared;

use std::sync::Arc;

use prometheus_client::registry::Registry;
use tracing::info;

pub use self::redis_url::RedisUrl;
use self::{
    local::LocalCounts,
    metrics::KeysWithState,
    shared::{Failure, SharedCounts},
};
use crate::domain::{ApiKeyId, Budget, Moment, RateDecision, RateLimit};

/// Counts requests of keys that have a rate limit. Clones count together.
#[derive(Clone, Default)]
pub struct RateLimiter {
    local: Arc<LocalCounts>,
    shared: Option<Arc<SharedCounts>>,
}

impl RateLimiter {
    /// Counts in that Redis, if there is one. It may still be unavailable.
    pub async fn start(redis: Option<&RedisUrl>) -> Self {
        let shared = redis.map(|url| Arc::new(SharedCounts::new(url.clone())));
        if let (Some(shared), Some(url)) = (&shared, redis) {
            match shared.connect().await {
                Ok(()) => info!(redis = %url, "Redis counts rate limits, for all instances together"),
                Err(error) => shared.log_unavailable(&error),
            }
        }
        Self { local: Arc::default(), shared }
    }

    /// Reconnects to Redis after each loss of the connection. Ends at once without a Redis.
    pub async fn keep_connected(self) {
        if let Some(shared) = &self.shared {
            shared.keep_connected().await;
        }
    }

    /// Takes one request out of the key's budget, without I/O. `None`: Redis must decide; call [`Self::take`].
    pub fn try_take_locally(&self, key: ApiKeyId, limit: RateLimit) -> Option<RateDecision> {
        match &self.shared {
            Some(shared) if shared.is_up() => {
                let known = self.read(key, limit);
                known.take().is_none().then(|| RateDecision::refused(known))
            }
            Some(shared) => {
                shared.count_fallback();
                Some(self.local.take(key, limit, Moment::now))
            }
            None => Some(self.local.take(key, limit, Moment::now)),
        }
    }

    /// Takes one request out of the key's budget. Waits for Redis for 20 ms at most.
    pub async fn take(&self, key: ApiKeyId, limit: RateLimit) -> RateDecision {
        let Some(shared) = &self.shared else { return self.local.take(key, limit, Moment::now) };
        let sent = Moment::now();
        if let Ok(taken) = shared.take(key, limit).await {
            // As of before the call: the key is not refused for longer than Redis would.
            self.local.set(key, taken.budget, sent);
            return taken;
        }
        shared.count_fallback();
        self.local.take(key, limit, Moment::now)
    }

    /// The key's remaining budget, as far as this instance knows.
    #[must_use]
    pub fn read(&self, key: ApiKeyId, limit: RateLimit) -> Budget {
        self.local.read(key, limit, Moment::now)
    }

    /// False while Redis should count and is unavailable.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| shared.is_up())
    }

    /// Names the metrics in the registry.
    pub fn register(&self, registry: &mut Registry) {
        if let Some(shared) = &self.shared {
            shared.register(registry);
        }
        registry.register_collector(Box::new(KeysWithState(self.local.clone())));
    }
}

/// Counts once in the Redis at that URL, as a check of a key does. One that is slow is asked again, as by the service.
pub(crate) async fn try_redis(url: &RedisUrl) -> Result<(), String> {
    let counts = SharedCounts::new(url.clone());
    let mut outcome = counts.connect().await;
    for _ in 0..4 {
        if !matches!(outcome, Err(Failure::TimedOut(_))) {
            break;
        }
        outcome = counts.connect().await;
    }
    outcome.map_err(|error| error.to_string())
}
