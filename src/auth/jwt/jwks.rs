//! The keys of an OpenID Connect issuer, kept up to date.
//!
//! They are fetched at start and every [`REFRESH`]; a token that names a key which is not there has
//! them fetched at once, but no more often than once in [`COOLDOWN`], however many such tokens come.
//! While the issuer is down, what it last said is good for [`MAX_AGE`].
//!
//! Refuses: addresses without TLS (but for loopback), redirects, answers that are long or slow, and a
//! discovery document that speaks for another issuer.

use std::{
    fmt,
    net::IpAddr,
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
use reqwest::{StatusCode, Url, redirect::Policy};
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{info, warn};

use super::verification_key::{ClaimRules, KeySet};
use crate::auth::cache::lease::{Lease, Moment};

/// How often they are fetched while all is well.
pub const REFRESH: Duration = Duration::from_mins(5);
/// How often it is tried again, and how often a token may have them fetched.
pub const COOLDOWN: Duration = Duration::from_secs(30);
/// How long they are good without being fetched anew.
pub const MAX_AGE: Duration = Duration::from_hours(24);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// For each of the answers.
const TIMEOUT: Duration = Duration::from_secs(5);
/// In bytes, for each of them.
const MAX_ANSWER: usize = 256 * 1024;

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksLocation {
    /// At that address; tokens must be of that issuer, if one is named.
    Url {
        /// Of the JWK Set (RFC 7517, 5).
        url: Url,
        /// `iss` of its tokens.
        issuer: Option<String>,
    },
    /// Where the issuer's own configuration says (OpenID Connect Discovery 1.0, 4).
    Discovery {
        /// `iss` of its tokens.
        issuer: String,
        /// Where its configuration is.
        configuration: Url,
    },
}

impl JwksLocation {
    /// A JWK Set at an address.
    pub fn at(url: &str, issuer: Option<String>) -> Result<Self, &'static str> {
        Ok(Self::Url { url: safe_url(url)?, issuer })
    }

    /// By discovery.
    pub fn of(issuer: &str) -> Result<Self, &'static str> {
        if issuer.contains(['?', '#']) {
            return Err("must have no query and no fragment");
        }
        safe_url(issuer)?;
        let configuration = safe_url(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')))?;
        Ok(Self::Discovery { issuer: issuer.to_owned(), configuration })
    }

    /// Where the keys are, if that was told.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Url { url, .. } => Some(url.as_str()),
            Self::Discovery { .. } => None,
        }
    }

    /// Whose tokens these keys are for.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
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
            // Without what may be a secret in the query.
            Self::Url { url, issuer: None } => {
                write!(f, "{}{}", url.origin().ascii_serialization(), url.path())
            }
        }
    }
}

/// Over TLS, or within this machine: else whoever is in between could put keys of his own in.
fn safe_url(text: &str) -> Result<Url, &'static str> {
    const PROBLEM: &str = "must be an https:// address (or http:// on a loopback one)";
    let url = Url::parse(text).map_err(|_| PROBLEM)?;
    let host = url.host_str().ok_or(PROBLEM)?;
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    if !(url.scheme() == "https" || url.scheme() == "http" && loopback) {
        return Err(PROBLEM);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no user name and no password");
    }
    Ok(url)
}

/// Why an issuer's keys could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It did not answer, or not in time.
    #[error("{}", chain(.0))]
    Http(#[from] reqwest::Error),
    /// It answered something else.
    #[error("{0} answered with status {1}")]
    Status(Url, StatusCode),
    /// It answered too much.
    #[error("{0} answered with more than {MAX_ANSWER} bytes")]
    TooLong(Url),
    /// What it answered is of no use.
    #[error("{0}: {1}")]
    Answer(Url, &'static str),
}

/// reqwest tells the cause only in its sources.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// What is known of an issuer's keys.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) keys: Arc<KeySet>,
    /// Counts up whenever they change.
    pub(super) generation: u64,
    /// They were fetched lately enough.
    pub(super) fresh: bool,
    /// The newest attempt to fetch them failed.
    pub(super) failed: bool,
}

#[derive(Clone, Default)]
struct State {
    keys: Arc<KeySet>,
    /// The answer that they are from.
    source: Arc<[u8]>,
    attempts: u64,
    under_way: bool,
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

/// An issuer's keys.
pub struct IssuerKeys {
    location: JwksLocation,
    rules: ClaimRules,
    http: reqwest::Client,
    state: watch::Sender<State>,
    generation: AtomicU64,
    fetched_at: Mutex<Option<Moment>>,
    /// For [`MAX_AGE`] after each fetch.
    lease: Lease,
    /// When a token had them fetched last.
    last_asked: Mutex<Option<Instant>>,
    asked: Notify,
    fetched: AtomicU64,
    failed: AtomicU64,
}

impl fmt::Debug for IssuerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerKeys({})", self.location)
    }
}

impl IssuerKeys {
    /// Not yet fetched; [`Self::keep_fresh`] does that.
    pub fn new(location: JwksLocation, rules: &ClaimRules) -> Result<Arc<Self>, FetchError> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("rally-api-keys/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Arc::new(Self {
            rules: rules.for_issuer(location.issuer()),
            location,
            http,
            // As if under way: whoever asks before the first fetch has begun waits for it.
            state: watch::Sender::new(State { under_way: true, ..State::default() }),
            generation: AtomicU64::new(0),
            fetched_at: Mutex::new(None),
            lease: Lease::of(MAX_AGE),
            last_asked: Mutex::new(None),
            asked: Notify::new(),
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }))
    }

    /// Where they are.
    #[must_use]
    pub fn location(&self) -> &JwksLocation {
        &self.location
    }

    /// Whether the newest attempt to fetch them went well.
    #[must_use]
    pub fn are_up_to_date(&self) -> bool {
        let state = self.state.borrow();
        state.attempts > 0 && !state.failed
    }

    /// Whether a token that was checked by keys of that generation still holds.
    #[must_use]
    pub fn vouch_for(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation && self.lease.holds()
    }

    /// How long ago they were fetched; none = never yet.
    fn age(&self) -> Option<Duration> {
        let fetched_at = *self.fetched_at.lock().unwrap_or_else(PoisonError::into_inner);
        fetched_at.map(|at| Moment::now().since(at))
    }

    /// What is known now.
    pub(super) fn known(&self) -> Known {
        // Before the keys: a token checked by newer ones than it says is merely checked again.
        let generation = self.generation.load(Ordering::Acquire);
        let State { keys, failed, .. } = self.state.borrow().clone();
        Known { keys, generation, fresh: self.lease.holds(), failed }
    }

    /// Has them fetched, if that was not asked for within [`COOLDOWN`], and waits for it. Whether they
    /// may be others now.
    pub(super) async fn ask_again(&self) -> bool {
        let mut states = self.state.subscribe();
        let State { attempts, under_way, .. } = *states.borrow_and_update();
        if !under_way {
            let mut last = self.last_asked.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_some_and(|last| last.elapsed() < COOLDOWN) {
                return false;
            }
            *last = Some(Instant::now());
            self.asked.notify_one();
        }
        // As long as a fetch may take, with its discovery.
        matches!(timeout(3 * TIMEOUT, states.wait_for(|state| state.attempts > attempts)).await, Ok(Ok(_)))
    }

    /// Fetches them again and again, for as long as the service runs.
    pub async fn keep_fresh(self: Arc<Self>) {
        loop {
            self.state.send_modify(|state| state.under_way = true);
            let asked = Moment::now();
            let outcome = self.fetch().await;
            let succeeded = outcome.is_ok();
            match outcome {
                Ok((source, keys)) => self.replace(asked, source, keys),
                Err(error) => warn!(
                    issuer = %self.location, %error, age_seconds = self.age().map(|age| age.as_secs()),
                    "cannot fetch the issuer's keys; trying again in {COOLDOWN:?}"
                ),
            }
            if succeeded { &self.fetched } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
            self.state.send_modify(|state| {
                state.under_way = false;
                state.failed = !succeeded;
                state.attempts += 1;
            });
            tokio::select! {
                () = sleep(if succeeded { REFRESH } else { COOLDOWN }) => {}
                () = self.asked.notified() => {}
            }
        }
    }

    fn replace(&self, asked: Moment, source: Arc<[u8]>, keys: KeySet) {
        *self.fetched_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
        let changed = self.generation.load(Ordering::Acquire) == 0 || self.state.borrow().source != source;
        if !changed {
            self.lease.renew(asked);
            return;
        }
        if keys.len() == 0 {
            warn!(issuer = %self.location, left_out = ?keys.left_out, "the issuer publishes no key that is of use");
        } else {
            info!(issuer = %self.location, keys = keys.len(), left_out = ?keys.left_out, "the issuer's keys are new");
        }
        self.state.send_modify(|state| {
            state.keys = Arc::new(keys);
            state.source = source;
        });
        // After the keys: what was checked by the old ones is checked again.
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.lease.renew(asked);
    }

    async fn fetch(&self) -> Result<(Arc<[u8]>, KeySet), FetchError> {
        let url = match &self.location {
            JwksLocation::Url { url, .. } => url.clone(),
            JwksLocation::Discovery { issuer, configuration } => self.discover(issuer, configuration).await?,
        };
        let source = self.get(&url).await?;
        let keys = KeySet::parse(&source, &self.rules).map_err(|why| FetchError::Answer(url, why))?;
        Ok((source.into(), keys))
    }

    /// How many keys they are, fetched now.
    pub async fn count(&self) -> Result<usize, FetchError> {
        Ok(self.fetch().await?.1.len())
    }

    async fn discover(&self, issuer: &str, url: &Url) -> Result<Url, FetchError> {
        let answer = self.get(url).await?;
        let wrong = |why| FetchError::Answer(url.clone(), why);
        let document: Value = serde_json::from_slice(&answer).map_err(|_| wrong("the answer is not JSON"))?;
        let text = |name| document.get(name).and_then(Value::as_str);
        if text("issuer") != Some(issuer) {
            return Err(wrong(
                "its `issuer` is not the one that was asked (JWT_ISSUER must be the same to the letter)",
            ));
        }
        safe_url(text("jwks_uri").ok_or_else(|| wrong("it names no `jwks_uri`"))?)
            .map_err(|_| wrong("its `jwks_uri` is neither https:// nor on a loopback address"))
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        let mut response = self.http.get(url.clone()).header("accept", "application/json").send().await?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(url.clone(), response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(FetchError::TooLong(url.clone()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// What is counted and measured about issuers.
#[derive(Debug)]
pub struct IssuerMetrics(Vec<Arc<IssuerKeys>>);

impl IssuerMetrics {
    /// Names them in the registry. The label `issuer` has a value for each that is configured.
    pub fn register(issuers: &[Arc<IssuerKeys>], registry: &mut Registry) {
        if !issuers.is_empty() {
            registry.register_collector(Box::new(Self(issuers.to_vec())));
        }
    }
}

impl Collector for IssuerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let ages = Family::<IssuerLabel, Gauge>::default();
        let fetches = Family::<FetchLabels, Counter>::default();
        for issuer in &self.0 {
            let name = issuer.location.to_string();
            if let Some(age) = issuer.age() {
                let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
                ages.get_or_create(&IssuerLabel { issuer: name.clone() }).set(age);
            }
            for (result, count) in [("fetched", &issuer.fetched), ("failed", &issuer.failed)] {
                let labels = FetchLabels { issuer: name.clone(), result };
                fetches.get_or_create(&labels).inc_by(count.load(Ordering::Relaxed));
            }
        }
        let help = "How long ago an issuer's keys were fetched";
        ages.encode(encoder.encode_descriptor("rally_jwks_age", help, Some(&Unit::Seconds), ages.metric_type())?)?;
        let help = "Attempts to fetch an issuer's keys";
        fetches.encode(encoder.encode_descriptor("rally_jwks_fetches", help, None, fetches.metric_type())?)
    }
}
