//! An instance with warm caches and an instance that has nothing cached, on one database.

use reqwest::RequestBuilder;

use crate::{
    client::{Credential, Reply, send},
    harness::TestServer,
    proxy::{Mode, Proxy},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheState {
    /// The change feed is up, and [`Instance::send`] sends each request twice.
    Warm,
    /// `VERIFY_CACHE_ENTRIES=0` alone would leave tenants cached while the change feed is up, so the feed is cut too.
    /// JWTs are cached whatever the settings are: only the first use of a token is cold.
    Cold,
}

/// A server in one of the two states.
pub struct Instance {
    pub server: TestServer,
    pub state: CacheState,
}

/// A warm instance and a cold one, which share database and clock.
pub async fn warm_and_cold(settings: &[(&str, &str)]) -> [Instance; 2] {
    let warm = TestServer::with(settings).await;
    let no_feed = Proxy::start(warm.database.socket().await).await;
    no_feed.set(Mode::Cut);
    let no_feed = warm.database.url_through(no_feed.address);
    // DATABASE_DIRECT_URL needs a DATABASE_URL beside it, in place of which the harness has its own.
    let own =
        [("VERIFY_CACHE_ENTRIES", "0"), ("DATABASE_URL", no_feed.as_str()), ("DATABASE_DIRECT_URL", no_feed.as_str())];
    let cold = warm.sibling(&[settings, &own].concat()).await;
    warm.wait_for_feed().await;
    [Instance { server: warm, state: CacheState::Warm }, Instance { server: cold, state: CacheState::Cold }]
}

impl Instance {
    /// The response to a request. A warm instance has the request twice; the second response must equal the first, and
    /// must come from the cache where it accepts an API key.
    pub async fn send(&self, request: RequestBuilder) -> Reply {
        match self.state {
            CacheState::Warm => {
                let request = || request.try_clone().expect("a request without a stream");
                let hits = async || Metrics::of(&self.server).await.lookups("secrets").hits;
                let first = send(request()).await;
                // The notification of the key's last change may arrive, and remove the entry, in the middle of it.
                for _ in 0..5 {
                    let before = hits().await;
                    let again = send(request()).await;
                    assert_eq!(again.apart_from_request_id(), first.apart_from_request_id(), "a hit after a miss");
                    let is_of_key = again.headers.get("x-rally-key-id").is_some_and(|id| !id.is_empty());
                    if !is_of_key || hits().await == before + 1 {
                        return again;
                    }
                }
                panic!("not cached: {first:?}");
            }
            CacheState::Cold => {
                let reply = send(request).await;
                let metrics = Metrics::of(&self.server).await;
                for cache in ["secrets", "tenants"] {
                    assert_eq!(metrics.lookups(cache).hits, 0, "{cache}");
                }
                reply
            }
        }
    }
}

/// A response of `/metrics`.
pub struct Metrics(String);

/// Lookups in a cache, since the start of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookups {
    pub hits: u64,
    pub misses: u64,
}

impl Metrics {
    pub async fn of(server: &TestServer) -> Self {
        Self(server.client("acme", Credential::None).get("/metrics").await.body)
    }

    /// A whole number; 0 where the series is not there.
    pub fn count(&self, series: &str) -> u64 {
        let value = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap_or_else(|_| panic!("{series} {value}")))
    }

    /// In the cache of `secrets` or `tenants`.
    pub fn lookups(&self, cache: &str) -> Lookups {
        assert!(self.0.contains(&format!(r#"rally_cache_lookups_total{{cache="{cache}""#)), "{}", self.0);
        let count = |result| self.count(&format!(r#"rally_cache_lookups_total{{cache="{cache}",result="{result}"}}"#));
        Lookups { hits: count("hit"), misses: count("miss") }
    }
}
