//! The composition root: config → parts → router; the order of starting and stopping.

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, thread::available_parallelism, time::Duration};

use futures_util::{TryFutureExt as _, future::OptionFuture};
use prometheus_client::{metrics::info::Info, registry::Registry};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::{
    auth::{
        api_key::{hasher::SecretHasher, verifier::KeyVerifier},
        authenticator::Authenticator,
        cache::{AuthCache, invalidation::InvalidationListener, lease::Lease},
        jwt::{
            jwks::{FetchError, IssuerKeys, IssuerMetrics},
            verifier::{TokenVerifier, TrustedKeys},
        },
        metrics::Gauges,
    },
    config::Config,
    domain::{Clock, random_bytes},
    http::{
        self, AppState, dispatch::Dispatcher, drain::Drain, request_metrics::RequestMetrics, server,
        traces::RequestTraces,
    },
    store::{ConnectError, Database, DatabaseUrl, PoolSettings},
    telemetry::traces::{TraceExport, TracesError},
    usage::{self, UsageWorker},
};

/// How many hashes wait for each core: at 20 ms each, somewhat over a second's work.
const WAITING_PER_CORE: usize = 64;
/// How much of the grace is kept for what is still to be written; a quarter of it, where that is less.
const LAST_WRITES: Duration = Duration::from_secs(3);
/// How much of it for what is done after that; an eighth, where that is less.
const CLOSING: Duration = Duration::from_millis(500);
/// At most as many connections of operators at once.
const MAX_ADMIN_CONNECTIONS: usize = 64;
/// How long a request to manage keys waits for a connection to the database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a check of a key does: gateways wait for it, and so does every request behind them.
const CHECK_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody could log in.
    #[error(
        "nobody could log in: set JWT_ISSUER to your OpenID Connect issuer, or JWT_SECRET to 32 bytes or more (`openssl rand -base64 48`)"
    )]
    NoTokenKey,
    /// There is no way to ask issuers.
    #[error("cannot ask issuers for their keys: {0}")]
    Issuers(#[from] FetchError),
    /// There is no way to send traces.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// The database cannot be worked with.
    #[error(transparent)]
    Database(#[from] ConnectError),
    /// The address is taken or not ours.
    #[error("cannot listen on {address} ({setting}): {source}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Where it was set.
        setting: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// An address that is listened on, and what is answered there.
struct Door {
    listener: TcpListener,
    address: SocketAddr,
    behind: Dispatcher,
}

impl Door {
    async fn open(wanted: SocketAddr, setting: &'static str, behind: Dispatcher) -> Result<Self, StartError> {
        let listen = async {
            let listener = TcpListener::bind(wanted).await?;
            let address = listener.local_addr()?;
            Ok(Self { listener, address, behind })
        };
        listen.await.map_err(|source| StartError::Listen { address: wanted, setting, source })
    }
}

/// How the service is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Others send it requests and have to find out first: by [`Drain`].
    Drain,
    /// Somebody waits for the end.
    AtOnce,
}

/// The service: connected, listening, not yet answering.
pub struct Service {
    public: Door,
    admin: Option<Door>,
    drain: Drain,
    tasks: TaskTracker,
    follower: InvalidationListener,
    issuers: Vec<Arc<IssuerKeys>>,
    usage_worker: UsageWorker,
    database: Database,
    trace_export: Option<TraceExport>,
    max_connections: usize,
    drain_time: Duration,
    grace: Duration,
}

impl Service {
    /// Puts the parts together over that database.
    pub async fn start(config: &Config, database: &DatabaseUrl, clock: Clock) -> Result<Self, StartError> {
        let jwt = &config.jwt;
        if jwt.trusts_nobody() {
            return Err(StartError::NoTokenKey);
        }
        let issuers: Vec<_> = jwt
            .issuers
            .iter()
            .map(|location| IssuerKeys::new(location.clone(), &jwt.rules))
            .collect::<Result<_, _>>()?;
        let trusted = TrustedKeys {
            secret: jwt.secret.as_deref().map(Vec::as_slice),
            public_key: jwt.public_key.as_ref().map(|(_, key)| key),
            issuers: issuers.clone(),
        };
        let keys = &config.keys;
        let lease = Arc::new(Lease::default());
        let verdicts = Arc::new(AuthCache::new(keys.cache_entries, &lease, *random_bytes()));
        let pools = PoolSettings {
            max_connections: config.database.max_connections,
            max_check_connections: config.database.check_connections,
            acquire_timeout: ACQUIRE_TIMEOUT,
            check_acquire_timeout: CHECK_ACQUIRE_TIMEOUT,
        };
        let observer = Arc::clone(&verdicts);
        let observer = Arc::new(move |tenant, key| observer.forget_key(tenant, key));
        let url = database;
        let database = Database::open(url, pools, observer).await?;
        let (recorder, usage_worker) = usage::start(database.usage(), clock.clone(), config.usage_retention);
        let follower = InvalidationListener {
            url: config.database.direct_url.clone().unwrap_or_else(|| url.clone()),
            lease: lease.clone(),
            verdicts: verdicts.clone(),
        };

        if keys.peppers.current.is_none() {
            warn!(
                "KEY_PEPPER is not set: every check of an API key costs an argon2, and a forged row would be believed"
            );
        }
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let hasher = SecretHasher::new(keys.argon2, keys.peppers.clone(), cores, WAITING_PER_CORE * cores.get());
        let mut metrics = Registry::default();
        metrics.register("rally_build", "Which program this is", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let requests = Arc::<RequestMetrics>::default();
        metrics.register_collector(Box::new(requests.clone()));
        recorder.register(&mut metrics);
        database.register(&mut metrics);
        let gauges = Gauges { lease: lease.clone(), verdicts: verdicts.clone(), hasher: hasher.clone() };
        metrics.register_collector(Box::new(gauges));
        let authenticator = Arc::new(Authenticator::new(
            &database,
            config.tenancy.clone(),
            TokenVerifier::new(trusted, &jwt.rules, clock.clone()),
            KeyVerifier::new(
                database.lookups(),
                hasher.clone(),
                keys.fallback,
                verdicts.clone(),
                recorder,
                clock.clone(),
            ),
            verdicts,
        ));
        authenticator.keys.metrics().register(&mut metrics);
        IssuerMetrics::register(&issuers, &mut metrics);
        let (tasks, drain) = (TaskTracker::new(), Drain::default());
        let metrics = Arc::new(metrics);
        let trace_export = config.traces.as_ref().map(TraceExport::start).transpose()?;
        let traces = trace_export.as_ref().map(|export| RequestTraces::new(export.provider()));
        let drain_too = drain.clone();
        let state = AppState { authenticator, hasher, clock, lease, metrics, requests, traces, drain: drain_too };
        let admin = match config.http.admin_listen_addr {
            None => None,
            Some(wanted) => {
                let dispatch = http::operator_dispatcher(state.clone());
                Some(Door::open(wanted, "ADMIN_LISTEN_ADDR", dispatch).await?)
            }
        };
        let dispatch = http::public_dispatcher(state, config.http.cors_origins.clone(), tasks.clone(), admin.is_none());
        let public = Door::open(config.http.listen_addr, "LISTEN_ADDR", dispatch).await?;
        if let Some(admin) = &admin {
            info!(address = %admin.address, "probes and metrics");
        }
        info!(address = %public.address, base_domain = config.tenancy.base_domain, "listening");
        Ok(Self {
            public,
            admin,
            drain,
            tasks,
            follower,
            issuers,
            usage_worker,
            database,
            trace_export,
            max_connections: config.http.max_connections,
            drain_time: config.http.shutdown_drain,
            grace: config.http.shutdown_grace,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.public.address
    }

    /// Where operators find metrics and probes, if that is somewhere else.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|door| door.address)
    }

    /// Answers until `shutdown` is done. Then, within the grace: the drain, if it is to be; no new
    /// connections, requests in flight end, the ones whose clients have left too, usage is
    /// written, and the database's connections are closed.
    pub async fn run(self, shutdown: impl Future<Output = Stop>) {
        let mut followers = JoinSet::new();
        followers.spawn(self.follower.follow());
        for issuer in self.issuers {
            followers.spawn(issuer.keep_fresh());
        }
        let (stop_usage_worker, stopped) = oneshot::channel::<Instant>();
        let usage_worker = tokio::spawn(self.usage_worker.run(stopped.unwrap_or_else(|_| Instant::now())));
        let drain = self.drain.clone();
        let mut end = Instant::now();
        let last_request = async {
            let how = shutdown.await;
            end = Instant::now() + self.grace;
            if how == Stop::Drain && !self.drain_time.is_zero() {
                info!(drain = ?self.drain_time, "draining");
                drain.begin();
                sleep(self.drain_time).await; // which is less than the grace
            }
        };
        let (stop_admin, stopped) = oneshot::channel::<()>();
        let admin = self.admin.map(|Door { listener, behind, .. }| {
            let drain = self.drain.clone();
            tokio::spawn(async move {
                let stopped = async {
                    let _ = stopped.await;
                };
                server::serve(listener, behind, MAX_ADMIN_CONNECTIONS, &drain, stopped).await
            })
        });
        let Door { listener, behind, .. } = self.public;
        let graceful = server::serve(listener, behind, self.max_connections, &self.drain, last_request).await;
        info!(grace = ?end.saturating_duration_since(Instant::now()), "stopping");
        let last_answers = async {
            graceful.shutdown().await;
            self.tasks.close();
            self.tasks.wait().await;
        };
        // A client that does not take its answer is not to cost what everybody's keys were used for.
        let left = end.saturating_duration_since(Instant::now());
        let answered = timeout_at(end - LAST_WRITES.min(left / 4), last_answers).await.is_ok();
        let stop = async {
            // No request counts any more.
            let _ = stop_usage_worker.send(end - CLOSING.min(left / 8));
            let _ = usage_worker.await;
            // Until here it can be watched.
            drop(stop_admin);
            if let Some(Ok(graceful)) = OptionFuture::from(admin).await {
                graceful.shutdown().await;
            }
            if let Some(export) = self.trace_export {
                export.stop().await;
            }
            followers.shutdown().await;
            self.database.close().await;
        };
        let stopped = timeout_at(end, stop).await.is_ok();
        match (answered, stopped) {
            (true, true) => info!("stopped"),
            (false, true) => warn!("stopped before every request had ended"),
            (_, false) => warn!("stopped before everything was written and closed"),
        }
    }
}
