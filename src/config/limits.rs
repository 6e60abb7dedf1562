//! Settings of rate limits.

use super::reader::Reader;
use crate::limits::RedisUrl;

const EXAMPLE: &str = "rediss://rally:password@redis.internal:6379/0";

#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// The Redis server that all instances share. `None`: each instance counts alone.
    pub(crate) redis: Option<RedisUrl>,
}

impl Limits {
    pub(super) fn read(settings: &mut Reader) -> Self {
        Self { redis: settings.parse("REDIS_URL", EXAMPLE, RedisUrl::parse) }
    }

    pub(super) fn effective(&self) -> Vec<(&'static str, String)> {
        vec![("REDIS_URL", self.redis.as_ref().map(ToString::to_string).unwrap_or_default())]
    }
}
