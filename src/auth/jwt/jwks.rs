//! The keys of an OpenID Connect issuer, kept up to date.
//!
//! They are fetched at start and every `REFRESH`. A token that none of them verifies triggers a fetch at once, but at most
//! one per `COOLDOWN`. While the issuer is down, the last keys are used for `MAX_AGE`.
//!
//! Refused is what `auth::key_fetch` refuses, and a discovery document of another issuer.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use reqwest::Url;
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::{shared_issuers::is_multi_tenant, verification_key::KeySet};
use crate::{
    auth::{
        cache::lease::Lease,
        key_fetch::{FetchError, KeyClient, TIMEOUT, safe_url},
    },
    domain::Moment,
};

/// The interval between successful fetches.
const REFRESH: Duration = Duration::from_mins(5);
/// The interval after a failed fetch, and between fetches that tokens trigger.
const COOLDOWN: Duration = Duration::from_secs(30);
/// How long fetched keys are used.
const MAX_AGE: Duration = Duration::from_hours(24);

/// Where an issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksLocation {
    /// At a known URL. Tokens must be of `issuer`, if it is set.
    Url {
        /// The JWK Set (RFC 7517, 5).
        url: Url,
        /// `iss` of the tokens.
        issuer: Option<String>,
    },
    /// At the URL in the issuer's configuration (OpenID Connect Discovery 1.0, 4).
    Discovery {
        /// `iss` of the tokens.
        issuer: String,
        /// The configuration's URL.
        configuration: Url,
    },
}

impl JwksLocation {
    /// A JWK Set at a known URL.
    pub fn at(url: &str, issuer: Option<String>) -> Result<Self, &'static str> {
        Ok(Self::Url { url: safe_url(url)?, issuer })
    }

    /// A JWK Set that is found by discovery.
    pub fn of(issuer: &str) -> Result<Self, &'static str> {
        if issuer.contains(['?', '#']) {
            return Err("must have no query and no fragment");
        }
        safe_url(issuer)?;
        let configuration = safe_url(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
        Ok(Self::Discovery { issuer: issuer.to_owned(), configuration })
    }

    /// The JWK Set's URL, if it is configured.
    pub(crate) fn url(&self) -> Option<&str> {
        match self {
            Self::Url { url, .. } => Some(url.as_str()),
            Self::Discovery { .. } => None,
        }
    }

    /// `iss` of the tokens, if it is fixed.
    pub(super) fn issuer(&self) -> Option<&str> {
        match self {
            Self::Url { issuer, .. } => issuer.as_deref(),
            Self::Discovery { issuer, .. } => Some(issuer),
        }
    }
}

impl fmt::Display for JwksLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Discovery { issuer, .. } | Self::Url { issuer: Some(issuer), .. } => f.write_str(issuer),
            // Without the query, which may contain a secret.
            Self::Url { url, issuer: None } => {
                write!(f, "{}{}", url.origin().ascii_serialization(), url.path())
            }
        }
    }
}

/// An issuer's keys at one moment.
pub(super) struct KeySnapshot {
    pub(super) keys: Arc<KeySet>,
    /// Incremented when the keys change.
    pub(super) generation: u64,
    /// The keys are not older than [`MAX_AGE`].
    pub(super) fresh: bool,
    /// The newest fetch failed.
    pub(super) failed: bool,
}

#[derive(Clone, Default)]
struct State {
    keys: Arc<KeySet>,
    /// The response that they were parsed from.
    source: Arc<[u8]>,
    /// Finished fetches.
    attempts: u64,
    fetching: bool,
    failed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabel {
    issuer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    issuer: String,
    result: &'static str,
}

/// The keys of one issuer.
pub struct IssuerKeys {
    location: JwksLocation,
    http: KeyClient,
    state: watch::Sender<State>,
    generation: AtomicU64,
    fetched_at: Mutex<Option<Moment>>,
    /// Lasts for [`MAX_AGE`] after each fetch.
    lease: Lease,
    /// When a token last triggered a fetch.
    last_triggered: Mutex<Option<Instant>>,
    trigger: Notify,
    fetched: AtomicU64,
    failed: AtomicU64,
}

impl fmt::Debug for IssuerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerKeys({})", self.location)
    }
}

impl IssuerKeys {
    /// Without keys, until `keep_fresh` runs.
    pub fn new(location: JwksLocation) -> Result<Arc<Self>, FetchError> {
        Ok(Arc::new(Self {
            location,
            http: KeyClient::new()?,
            // As if fetching: a token that comes before the first fetch waits for it.
            state: watch::Sender::new(State { fetching: true, ..State::default() }),
            generation: AtomicU64::new(0),
            fetched_at: Mutex::new(None),
            lease: Lease::lasting(MAX_AGE),
            last_triggered: Mutex::new(None),
            trigger: Notify::new(),
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }))
    }

    /// Where the keys are.
    #[must_use]
    pub fn location(&self) -> &JwksLocation {
        &self.location
    }

    /// True if the newest fetch succeeded, and the issuer publishes a usable key.
    pub(super) fn are_up_to_date(&self) -> bool {
        let state = self.state.borrow();
        state.attempts > 0 && !state.failed && state.keys.len() > 0
    }

    /// How many usable keys the issuer publishes; `None` = they were never fetched.
    fn usable_keys(&self) -> Option<usize> {
        self.age().map(|_| self.state.borrow().keys.len())
    }

    /// True if the keys have not changed since that generation, and are not too old.
    pub(super) fn are_still(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation && self.lease.is_valid()
    }

    /// The age of the keys; `None` = they were never fetched.
    fn age(&self) -> Option<Duration> {
        let fetched_at = *self.fetched_at.lock().unwrap_or_else(PoisonError::into_inner);
        fetched_at.map(|at| Moment::now().since(at))
    }

    pub(super) fn snapshot(&self) -> KeySnapshot {
        // Before the keys: if these are newer than the generation, the token is only verified again.
        let generation = self.generation.load(Ordering::Acquire);
        let State { keys, failed, .. } = self.state.borrow().clone();
        KeySnapshot { keys, generation, fresh: self.lease.is_valid(), failed }
    }

    /// Triggers a fetch, unless a token did within [`COOLDOWN`], or joins the one in flight. True if a fetch has finished.
    pub(super) async fn fetch_for_token(&self) -> bool {
        let mut states = self.state.subscribe();
        let State { attempts, fetching, .. } = *states.borrow_and_update();
        if !fetching {
            let mut last = self.last_triggered.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| last.elapsed() < COOLDOWN) {
                return false;
            }
            *last = Some(Instant::now());
            self.trigger.notify_one();
        }
        // The longest time of a fetch with discovery.
        matches!(timeout(3 * TIMEOUT, states.wait_for(|state| state.attempts > attempts)).await, Ok(Ok(_)))
    }

    /// Fetches the keys for ever.
    pub(crate) async fn keep_fresh(self: Arc<Self>) {
        loop {
            self.state.send_modify(|state| state.fetching = true);
            let sent = Moment::now();
            let outcome = self.fetch().await;
            let succeeded = outcome.is_ok();
            match outcome {
                Ok((source, keys)) => self.replace(sent, source, keys),
                Err(error) => warn!(
                    issuer = %self.location, %error, age_seconds = self.age().map(|age| age.as_secs()),
                    "cannot fetch the keys of an issuer of users' tokens; its last keys are used until they are a day old; \
                     it is retried in {COOLDOWN:?}"
                ),
            }
            if succeeded { &self.fetched } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
            self.state.send_modify(|state| {
                state.fetching = false;
                state.failed = !succeeded;
                state.attempts += 1;
            });
            tokio::select! {
                () = sleep(if succeeded { REFRESH } else { COOLDOWN }) => {}
                () = self.trigger.notified() => {}
            }
        }
    }

    fn replace(&self, sent: Moment, source: Arc<[u8]>, keys: KeySet) {
        *self.fetched_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(sent);
        let changed = self.generation.load(Ordering::Acquire) == 0 || self.state.borrow().source != source;
        if !changed {
            self.lease.renew(sent);
            return;
        }
        if keys.len() == 0 {
            warn!(
                issuer = %self.location, left_out = ?keys.left_out,
                "an issuer of users' tokens publishes no usable key: its tokens are refused"
            );
        } else {
            info!(
                issuer = %self.location, keys = keys.len(), left_out = ?keys.left_out,
                "the keys of an issuer of users' tokens changed"
            );
        }
        self.state.send_modify(|state| {
            state.keys = Arc::new(keys);
            state.source = source;
        });
        // After the keys: tokens that were verified with the old ones are verified again.
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.lease.renew(sent);
    }

    async fn fetch(&self) -> Result<(Arc<[u8]>, KeySet), FetchError> {
        let url = match &self.location {
            JwksLocation::Url { url, .. } => url.clone(),
            JwksLocation::Discovery { issuer, configuration } => self.discover(issuer, configuration).await?,
        };
        let source = self.http.get(&url).await?;
        let keys = KeySet::parse(&source).map_err(|why| FetchError::Content(url, why))?;
        Ok((source.into(), keys))
    }

    /// Fetches the keys and counts them.
    pub(crate) async fn count(&self) -> Result<usize, FetchError> {
        Ok(self.fetch().await?.1.len())
    }

    async fn discover(&self, issuer: &str, url: &Url) -> Result<Url, FetchError> {
        let document = self.configuration(issuer, url).await?;
        let wrong = |why| FetchError::Content(url.clone(), why);
        let keys = document.get("jwks_uri").and_then(Value::as_str).ok_or_else(|| wrong("it names no `jwks_uri`"))?;
        safe_url(keys).map_err(|_| wrong("its `jwks_uri` is neither https:// nor on a loopback address"))
    }

    /// The token endpoint of an issuer that signs users in by code and PKCE, as the console does.
    pub(crate) async fn token_endpoint(&self) -> Result<Url, FetchError> {
        let (issuer, url) = match &self.location {
            JwksLocation::Discovery { issuer, configuration } => (issuer, configuration),
            JwksLocation::Url { url, .. } => {
                return Err(FetchError::Content(url.clone(), "the issuer's configuration is not read"));
            }
        };
        let document = self.configuration(issuer, url).await?;
        let wrong = |why| FetchError::Content(url.clone(), why);
        let text = |name| document.get(name).and_then(Value::as_str);
        text("authorization_endpoint").ok_or_else(|| wrong("it names no `authorization_endpoint`"))?;
        let methods = document.get("code_challenge_methods_supported").and_then(Value::as_array);
        if methods.is_some_and(|methods| !methods.contains(&"S256".into())) {
            return Err(wrong("its `code_challenge_methods_supported` lack S256 (PKCE)"));
        }
        let endpoint = text("token_endpoint").ok_or_else(|| wrong("it names no `token_endpoint`"))?;
        safe_url(endpoint).map_err(|_| wrong("its `token_endpoint` is neither https:// nor on a loopback address"))
    }

    /// The issuer's configuration (OpenID Connect Discovery 1.0, 4).
    async fn configuration(&self, issuer: &str, url: &Url) -> Result<Value, FetchError> {
        let response = self.http.get(url).await?;
        let wrong = |why| FetchError::Content(url.clone(), why);
        let document: Value = serde_json::from_slice(&response).map_err(|_| wrong("the response is not JSON"))?;
        let text = |name| document.get(name).and_then(Value::as_str);
        if text("issuer").is_some_and(is_multi_tenant) {
            return Err(wrong(
                "it is of an issuer for many directories, whose tokens have another `iss` for each: JWT_ISSUER must be the \
                 issuer of one directory",
            ));
        }
        if text("issuer") != Some(issuer) {
            return Err(wrong("its `issuer` is not the configured one (JWT_ISSUER must be the same to the letter)"));
        }
        Ok(document)
    }
}

#[derive(Debug)]
pub(crate) struct IssuerMetrics(Vec<Arc<IssuerKeys>>);

impl IssuerMetrics {
    /// The label `issuer` has one value per configured issuer.
    pub(crate) fn register(issuers: &[Arc<IssuerKeys>], registry: &mut Registry) {
        if !issuers.is_empty() {
            registry.register_collector(Box::new(Self(issuers.to_vec())));
        }
    }
}

impl Collector for IssuerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let ages = Family::<IssuerLabel, Gauge>::default();
        let keys = Family::<IssuerLabel, Gauge>::default();
        let fetches = Family::<FetchLabels, Counter>::default();
        for issuer in &self.0 {
            let name = issuer.location.to_string();
            if let Some(age) = issuer.age() {
                let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
                ages.get_or_create(&IssuerLabel { issuer: name.clone() }).set(age);
            }
            if let Some(usable) = issuer.usable_keys() {
                let usable = i64::try_from(usable).unwrap_or(i64::MAX);
                keys.get_or_create(&IssuerLabel { issuer: name.clone() }).set(usable);
            }
            for (result, count) in [("fetched", &issuer.fetched), ("failed", &issuer.failed)] {
                let labels = FetchLabels { issuer: name.clone(), result };
                fetches.get_or_create(&labels).inc_by(count.load(Ordering::Relaxed));
            }
        }
        let help = "Age of the keys of an issuer of users' tokens. After a day its tokens are refused with 503";
        ages.encode(encoder.encode_descriptor("rally_jwks_age", help, Some(&Unit::Seconds), ages.metric_type())?)?;
        let help = "Usable keys that an issuer of users' tokens publishes. 0: its tokens are refused";
        keys.encode(encoder.encode_descriptor("rally_jwks_keys", help, None, keys.metric_type())?)?;
        let help = "Attempts to fetch the keys of an issuer of users' tokens, by result: fetched, failed";
        fetches.encode(encoder.encode_descriptor("rally_jwks_fetches", help, None, fetches.metric_type())?)
    }
}
