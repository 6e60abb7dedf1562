//! The composition root: builds the service's parts from the settings and connects them ([`Service::start`]), then
//! runs and stops them in order ([`Service::run`]).

mod idle_keys;
mod leaks;
mod lost_revocations;
mod metrics;
#[cfg(target_os = "linux")]
mod process_metrics;
mod run;

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, thread::available_parallelism, time::Duration};

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

pub(crate) use self::lost_revocations::{Cause, Repeated, repeat_revocation};
use self::{idle_keys::IdleKeyJob, leaks::LeakWorkers, lost_revocations::LostRevocationJob, metrics::ConnectionGauges};
use crate::{
    auth::{
        api_key::{hasher::SecretHasher, verifier::KeyVerifier},
        authenticator::Authenticator,
        cache::{
            AuthCache, clock_offset::ClockOffset, feed_status::FeedStatus, invalidation::InvalidationListener,
            lease::Lease, receipts::Receipts,
        },
        gauges::AuthGauges,
        github_keys::GithubKeys,
        jwt::{
            jwks::{IssuerKeys, IssuerMetrics},
            verifier::TokenVerifier,
        },
        key_fetch::FetchError,
    },
    config::{self, Config, Jwt, Keys},
    domain::{Clock, random_bytes},
    http::{
        self, AppState,
        dispatch::Dispatcher,
        drain::Drain,
        prefer::MaxWait,
        request_metrics::RequestMetrics,
        request_traces::RequestTraces,
        response_buffers::ResponseBuffers,
        tls::{ReloadableAcceptor, TlsError, TlsReloader},
    },
    limits::RateLimiter,
    store::{ConnectError, Database, DatabaseUrl, PoolSettings, check_direct},
    telemetry::trace_export::{TraceExport, TracesError},
    usage::{self, UsageWorker},
};

/// The length of the queue for argon2, for each core. At some 20 ms a hash, a full queue takes about 1.3 s.
const QUEUED_HASHES_PER_CORE: usize = 64;
/// How long a request of the management API waits for a connection to the database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a check of a key waits for a connection: it delays the gateway's request.
const CHECK_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No key that verifies JWTs is configured.
    #[error(
        "no user could log in, since no key verifies JWTs: set JWT_ISSUER to your OpenID Connect issuer, or JWT_SECRET to 32 bytes or more (`openssl rand -base64 48`)"
    )]
    NoTokenKey,
    /// The HTTP client for public keys cannot be created.
    #[error("cannot fetch public keys: {0}")]
    Keys(#[from] FetchError),
    /// The export of traces cannot be started.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The files of the settings for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database is unreachable or does not fit this version.
    #[error(transparent)]
    Database(#[from] ConnectError),
    /// The address is in use or does not belong to this machine.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting that it comes from.
        setting: &'static str,
        /// The operating system's error.
        source: io::Error,
    },
}

/// A bound address and the routes that are served there.
struct Listener {
    socket: TcpListener,
    /// As bound: with the port that the system chose for port 0.
    address: SocketAddr,
    dispatcher: Dispatcher,
    /// How many connections are open.
    open: Gauge,
    /// `None`: plain HTTP.
    tls: Option<ReloadableAcceptor>,
}

impl Listener {
    async fn bind(
        address: SocketAddr,
        setting: &'static str,
        dispatcher: Dispatcher,
        open: Gauge,
        tls: Option<ReloadableAcceptor>,
    ) -> Result<Self, StartError> {
        let bind = async {
            let socket = TcpListener::bind(address).await?;
            Ok(Self { address: socket.local_addr()?, socket, dispatcher, open, tls })
        };
        bind.await.map_err(|source| StartError::Listen { address, setting, source })
    }
}

/// How the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Keeps serving for SHUTDOWN_DRAIN_SECONDS while `/readyz` fails, so that load balancers move on first.
    Drain,
    /// Accepts no more connections at once.
    AtOnce,
}

/// The service, connected to its database and bound to its addresses. It serves from [`run`](Self::run) on.
pub struct Service {
    public: Listener,
    admin: Option<Listener>,
    drain: Drain,
    tasks: TaskTracker,
    invalidation_listener: InvalidationListener,
    receipts: Receipts,
    issuers: Vec<Arc<IssuerKeys>>,
    limiter: RateLimiter,
    usage_worker: UsageWorker,
    jobs: Jobs,
    leak_workers: LeakWorkers,
    database: Database,
    trace_export: Option<TraceExport>,
    tls: Option<TlsReloader>,
    max_connections: usize,
    drain_time: Duration,
    /// From the signal until the end, at most.
    grace: Duration,
}

/// What an instance does by itself.
struct Jobs {
    idle_keys: IdleKeyJob,
    lost_revocations: LostRevocationJob,
}

impl Jobs {
    fn new(database: &Database, clock: &Clock, registry: &mut Registry) -> Self {
        Self {
            idle_keys: IdleKeyJob::new(database.idle_keys(), clock.clone(), registry),
            lost_revocations: LostRevocationJob::new(database, clock.clone(), registry),
        }
    }
}

fn lease_and_feed(config: &Config) -> (Arc<Lease>, FeedStatus) {
    let lease = Arc::new(Lease::lasting(config.revocation.lease).required(config.revocation.is_lease_required));
    let feed = FeedStatus::new(&lease);
    (lease, feed)
}

/// Hashes on all cores; beyond the queue, requests are refused.
fn secret_hasher(keys: &Keys) -> SecretHasher {
    let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    SecretHasher::new(keys.argon2, keys.peppers.clone(), cores, QUEUED_HASHES_PER_CORE * cores.get())
}

impl Service {
    /// Connects to the database, builds the parts and binds the addresses.
    pub async fn start(config: &Config, url: &DatabaseUrl, clock: Clock) -> Result<Self, StartError> {
        let (jwt, keys, (lease, feed)) = (&config.jwt, &config.keys, lease_and_feed(config));
        let issuers = issuer_keys(jwt)?;
        let clock_offset = Arc::<ClockOffset>::default();
        let receipts = Receipts::new(config.revocation.lease);
        let cache = Arc::new(AuthCache::new(keys.cache_entries, &lease, *random_bytes()));
        let database = open_database(config, url, &cache).await?;
        let (recorder, usage_worker) = usage::start(database.usage(), clock.clone(), config.usage_retention);
        let invalidation_listener = InvalidationListener {
            url: direct_url(config, url).await?,
            lease,
            status: feed.clone(),
            cache: cache.clone(),
            clock: clock.clone(),
            clock_offset: clock_offset.clone(),
            receipts: receipts.clone(),
            acknowledging: keys.peppers.acknowledging_keys(),
            feed_server: database.feed_server(),
        };

        warn_of_open_settings(config);
        let hasher = secret_hasher(keys);
        let limiter = RateLimiter::start(config.limits.redis.as_ref()).await;
        let mut metrics = metrics::registry();
        let requests = Arc::<RequestMetrics>::default();
        metrics.register_collector(Box::new(requests.clone()));
        recorder.register(&mut metrics);
        limiter.register(&mut metrics);
        receipts.register(&mut metrics);
        database.register(&mut metrics);
        let jobs = Jobs::new(&database, &clock, &mut metrics);
        let github_keys = config.leaks.github.as_ref().map(GithubKeys::new).transpose()?;
        let (leaks, leak_workers) = leaks::start(github_keys, &database.leaks(), &clock, &mut metrics);
        let gauges = AuthGauges { feed: feed.clone(), cache: cache.clone(), hasher: hasher.clone(), clock_offset };
        metrics.register_collector(Box::new(gauges));
        let authenticator = Arc::new(Authenticator::new(
            &database,
            config.tenancy.clone(),
            TokenVerifier::new(jwt.trusted_keys(issuers.clone()), &jwt.rules, clock.clone()),
            KeyVerifier::new(
                database.lookups(),
                hasher.clone(),
                keys.fallback,
                cache.clone(),
                recorder,
                limiter.clone(),
                clock.clone(),
            ),
            cache,
        ));
        authenticator.keys.metrics().register(&mut metrics);
        IssuerMetrics::register(&issuers, &mut metrics);
        let (tasks, drain) = (TaskTracker::new(), Drain::default());
        let buffers = ResponseBuffers::new(tasks.clone());
        metrics.register_collector(Box::new(buffers.clone()));
        authenticator.tokens.register(&mut metrics);
        let connections = ConnectionGauges::register(&mut metrics, config.http.max_connections);
        let ready = metrics::ready(&mut metrics);
        let tls =
            config.http.tls.clone().map(|files| TlsReloader::start(files, clock.clone(), &mut metrics)).transpose()?;
        let acceptor = tls.as_ref().map(TlsReloader::acceptor);
        let metrics = Arc::new(metrics);
        let trace_export = config.traces.as_ref().map(TraceExport::start).transpose()?;
        let traces = trace_export.as_ref().map(|export| RequestTraces::new(export.provider()));
        let state = AppState {
            authenticator,
            hasher,
            buffers,
            clock,
            feed,
            leaks,
            receipts: receipts.clone(),
            max_wait: MaxWait(config.revocation.max_wait),
            limiter: limiter.clone(),
            metrics,
            ready,
            requests,
            traces,
            drain: drain.clone(),
        };
        let (public, admin) = bind_listeners(config, state, tasks.clone(), connections, acceptor).await?;
        Ok(Self {
            public,
            admin,
            drain,
            tasks,
            invalidation_listener,
            receipts,
            issuers,
            limiter,
            usage_worker,
            jobs,
            leak_workers,
            database,
            trace_export,
            tls,
            max_connections: config.http.max_connections,
            drain_time: config.http.shutdown_drain,
            grace: config.http.shutdown_grace,
        })
    }

    /// The public address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.public.address
    }

    /// The address of metrics and probes, if it is another one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|listener| listener.address)
    }
}

/// The URL of the change feed.
async fn direct_url(config: &Config, url: &DatabaseUrl) -> Result<DatabaseUrl, ConnectError> {
    let direct = config.database.direct_url.as_ref().unwrap_or(url);
    match check_direct(direct).await {
        Err(error @ ConnectError::NotDirect(_)) => Err(error),
        // Nothing else is refused: a server that is away may come back, and the listener tries again.
        _ => Ok(direct.clone()),
    }
}

/// Connects to the database. Changes of this instance's own reach the cache at once.
async fn open_database(config: &Config, url: &DatabaseUrl, cache: &Arc<AuthCache>) -> Result<Database, ConnectError> {
    let pools = PoolSettings {
        max_connections: config.database.max_connections,
        max_check_connections: config.database.check_connections,
        acquire_timeout: ACQUIRE_TIMEOUT,
        check_acquire_timeout: CHECK_ACQUIRE_TIMEOUT,
    };
    let cache = Arc::clone(cache);
    Database::open(url, pools, Arc::new(move |tenant, key| cache.invalidate_key(tenant, key))).await
}

/// The listener of the public address, and the one for operators, if it is another one.
async fn bind_listeners(
    config: &Config,
    state: AppState,
    tasks: TaskTracker,
    connections: ConnectionGauges,
    tls: Option<ReloadableAcceptor>,
) -> Result<(Listener, Option<Listener>), StartError> {
    let admin = match config.http.admin_listen_addr {
        None => None,
        Some(address) => {
            let dispatcher = http::operator_dispatcher(state.clone());
            Some(Listener::bind(address, "ADMIN_LISTEN_ADDR", dispatcher, connections.admin, None).await?)
        }
    };
    let dispatcher =
        http::public_dispatcher(state, config.http.cors_origins.clone(), &config.console, tasks, admin.is_none());
    let public = Listener::bind(config.http.listen_addr, "LISTEN_ADDR", dispatcher, connections.public, tls).await?;
    if let Some(admin) = &admin {
        info!(address = %admin.address, "listening for metrics and probes");
    }
    info!(address = %public.address, base_domain = config.tenancy.base_domain, "listening");
    Ok((public, admin))
}

/// Warns of settings that leave open what most deployments close.
fn warn_of_open_settings(config: &Config) {
    if config.jwt.accepts_any_audience() {
        warn!("{}", config::ANY_AUDIENCE);
    }
    if config.keys.peppers.current.is_none() {
        warn!(
            "KEY_PEPPER is not set: every first check of an API key costs an argon2, and a row that is forged in the \
             database would be accepted; set KEY_PEPPER"
        );
    }
}

/// Fails if nothing in the settings verifies users' tokens.
fn issuer_keys(jwt: &Jwt) -> Result<Vec<Arc<IssuerKeys>>, StartError> {
    if jwt.is_empty() {
        return Err(StartError::NoTokenKey);
    }
    Ok(jwt.issuers.iter().map(|location| IssuerKeys::new(location.clone())).collect::<Result<_, FetchError>>()?)
}
