//! The composition root: config → parts → router; the order of starting and stopping.

use std::{io, net::SocketAddr, num::NonZeroUsize, sync::Arc, thread::available_parallelism, time::Duration};

use tokio::{net::TcpListener, time::timeout};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::{
    auth::{Authenticator, SecretHasher, bearer::TokenVerifier, verifier::KeyVerifier},
    config::Config,
    domain::Clock,
    http::{self, AppState, server},
    store::{ConnectError, DatabaseUrl, PoolSettings, Store},
};

/// How many hashes wait for each core: at 20 ms each, somewhat over a second's work.
const WAITING_PER_CORE: usize = 64;
/// How long a request waits for a connection to the database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody could log in.
    #[error(
        "JWT_SECRET must be set, to 32 bytes or more (`openssl rand -base64 48`): it is how users' tokens are checked"
    )]
    NoTokenKey,
    /// The database cannot be worked with.
    #[error(transparent)]
    Database(#[from] ConnectError),
    /// The address is taken or not ours.
    #[error("cannot listen on {0} (LISTEN_ADDR): {1}")]
    Listen(SocketAddr, #[source] io::Error),
}

/// The service: connected, listening, not yet answering.
pub struct Service {
    listener: TcpListener,
    address: SocketAddr,
    router: axum::Router,
    tasks: TaskTracker,
    store: Store,
    max_connections: usize,
    grace: Duration,
}

impl Service {
    /// Puts the parts together over that database.
    pub async fn start(config: &Config, database: &DatabaseUrl, clock: Clock) -> Result<Self, StartError> {
        let jwt_secret = config.jwt.secret.as_ref().ok_or(StartError::NoTokenKey)?;
        let pool = PoolSettings { max_connections: config.database.max_connections, acquire_timeout: ACQUIRE_TIMEOUT };
        let store = Store::open(database, pool).await?;

        let keys = &config.keys;
        if keys.peppers.current.is_none() {
            warn!(
                "KEY_PEPPER is not set: every check of an API key costs an argon2, and a forged row would be believed"
            );
        }
        let cores = available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let hasher = SecretHasher::new(keys.argon2, keys.peppers.clone(), cores, WAITING_PER_CORE * cores.get());
        let authenticator = Arc::new(Authenticator {
            store: store.clone(),
            tenancy: config.tenancy.clone(),
            tokens: TokenVerifier::hs256(jwt_secret, config.jwt.rules.clone(), clock.clone()),
            keys: KeyVerifier::new(store.clone(), hasher.clone(), keys.fallback, clock.clone()),
        });
        let tasks = TaskTracker::new();
        let state = AppState { authenticator, hasher, clock };
        let router = http::router(state, config.http.cors_origins.clone(), tasks.clone());

        let wanted = config.http.listen_addr;
        let listen = async {
            let listener = TcpListener::bind(wanted).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen.await.map_err(|error| StartError::Listen(wanted, error))?;
        info!(%address, base_domain = config.tenancy.base_domain, "listening");
        Ok(Self {
            listener,
            address,
            router,
            tasks,
            store,
            max_connections: config.http.max_connections,
            grace: config.http.shutdown_grace,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `shutdown` is done. Then, within the grace: no new connections, requests
    /// in flight end, the ones whose clients have left too, and the database's connections are
    /// closed.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let graceful = server::serve(self.listener, self.router, self.max_connections, shutdown).await;
        info!(grace = ?self.grace, "stopping");
        let stop = async {
            graceful.shutdown().await;
            self.tasks.close();
            self.tasks.wait().await;
            self.store.close().await;
        };
        if timeout(self.grace, stop).await.is_ok() {
            info!("stopped");
        } else {
            warn!("stopped before every request had ended");
        }
    }
}
