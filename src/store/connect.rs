//! Opening the database: who are we there, is it migrated, and do the policies bind us?

use std::{fmt, io, path::Path, str::FromStr as _, sync::Arc, time::Duration};

use futures_util::future::join_all;
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::{
    CHECK_TIMEOUT, ChangeObserver, Durability, Error, PoolSettings, Store, is_transient, migrate,
    secret_batcher::{self, SecretBatcher},
};

/// How long a start waits for a database that does not answer yet.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// Where the database is, and as whom to log in. `Debug` and `Display` show no password.
#[derive(Clone)]
pub struct DatabaseUrl(PgConnectOptions);

impl DatabaseUrl {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`.
    pub fn parse(url: &str) -> Result<Self, String> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err("must begin with postgres://".into());
        }
        // The error of a bad URL could repeat its password, so it is not passed on.
        PgConnectOptions::from_str(url).map(Self::with).map_err(|_| "is not a valid PostgreSQL URL".into())
    }

    /// A server behind a Unix socket in `socket_dir`, without a password.
    #[must_use]
    pub fn socket(socket_dir: &Path, port: u16, user: &str, database: &str) -> Self {
        Self::with(
            PgConnectOptions::new_without_pgpass().socket(socket_dir).port(port).username(user).database(database),
        )
    }

    /// Another database of the same server.
    #[must_use]
    pub fn database(&self, name: &str) -> Self {
        Self(self.0.clone().database(name))
    }

    fn with(options: PgConnectOptions) -> Self {
        Self(options.application_name("rally-api-keys").disable_statement_logging())
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        self.0.clone()
    }

    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.0).await
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.0;
        let host = options.get_socket().map_or_else(|| options.get_host().to_owned(), |dir| dir.display().to_string());
        write!(
            f,
            "postgres://{}@{host}:{}/{}",
            options.get_username(),
            options.get_port(),
            options.get_database().unwrap_or(options.get_username()),
        )
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

/// Why the database cannot be worked with. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// It does not answer, or does not let us in.
    #[error("cannot connect to {url}: {source}")]
    Unreachable {
        /// Which database, without its password.
        url: String,
        /// Why.
        source: sqlx::Error,
    },
    /// There is no TLS with it, or not as `sslmode` asks for.
    #[error(
        "no TLS with {url}: {source}; `sslmode` in its URL says what is asked for, and `sslrootcert` names a file \
         with an authority besides the public ones"
    )]
    Tls {
        /// Which database, without its password.
        url: String,
        /// Why.
        source: sqlx::Error,
    },
    /// The server is older than what is supported.
    #[error("PostgreSQL 14 or newer is needed; this server is {0}")]
    TooOld(String),
    /// The server follows another one.
    #[error("{0} is a replica, which takes no writes; DATABASE_URL must name the primary")]
    Replica(String),
    /// The database cannot hold every name.
    #[error("the database's encoding is {0}; create it with ENCODING 'UTF8'")]
    NotUtf8(String),
    /// The tables are missing or older than this program, and the login may not change them.
    #[error(
        "the database lacks migration {missing}, and role \"{role}\" may not migrate it; \
         run `rally-api-keys migrate` with DATABASE_MIGRATION_URL set to its owner"
    )]
    NotMigrated {
        /// The first migration that is missing.
        missing: i64,
        /// As whom we are logged in.
        role: String,
    },
    /// The schema is from before the first release, or newer than this program.
    #[error(
        "the database's schema is not this version's ({0}): it was made by a development version from before the first \
         release, or by a newer version. One from before the first release cannot be upgraded: create a new database \
         (with the private PostgreSQL: stop the service and remove DATA_DIR)"
    )]
    ForeignMigrations(#[source] sqlx::migrate::MigrateError),
    /// Somebody else migrates and does not come to an end.
    #[error("another instance has been migrating the database for over a minute; see pg_locks for its advisory lock")]
    MigrationLocked,
    /// A migration failed.
    #[error("a migration failed: {0}")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// Row-level security would not bind the service.
    #[error(
        "refusing to start: the service would work under role \"{role}\", which {why}, so that row-level security \
         would not keep tenants apart; grant rally_app to a plain login and name that in DATABASE_URL"
    )]
    Unbound {
        /// Under which role.
        role: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The login may not do what the command needs.
    #[error("role \"{0}\" may not manage tenants; set DATABASE_MIGRATION_URL to the database's owner for this command")]
    NotOperator(String),
    /// A statement failed on the way.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What the database says about the role that we work under.
#[allow(clippy::struct_excessive_bools, reason = "the answers of one query")]
pub(super) struct Role {
    pub(super) name: String,
    is_superuser: bool,
    pub(super) bypasses: bool,
    pub(super) owns: bool,
    app_exists: bool,
    is_app: bool,
    may_create: bool,
}

impl Role {
    pub(super) async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        // Checked at run time only: it must also work on a database without our tables and roles.
        let (name, is_superuser, bypasses, owns, app_exists, is_app, may_create) = sqlx::query_as(
            "SELECT current_user::text,
                    r.rolsuper,
                    r.rolsuper OR r.rolbypassrls,
                    coalesce((SELECT bool_or(pg_has_role(c.relowner, 'USAGE'))
                              FROM pg_class c
                              WHERE c.oid IN (to_regclass('tenants'), to_regclass('api_keys'),
                                              to_regclass('api_key_secrets'), to_regclass('api_key_events'))), false),
                    EXISTS (SELECT FROM pg_roles WHERE rolname = 'rally_app'),
                    coalesce((SELECT pg_has_role(a.oid, 'USAGE') FROM pg_roles a WHERE a.rolname = 'rally_app'), false),
                    to_regclass('api_keys') IS NULL AND has_schema_privilege('public', 'CREATE')
             FROM pg_roles r
             WHERE r.rolname = current_user",
        )
        .fetch_one(connection)
        .await?;
        Ok(Self { name, is_superuser, bypasses, owns, app_exists, is_app, may_create })
    }

    /// Why the policies would not bind this role, if so.
    pub(super) fn unbound(&self) -> Option<&'static str> {
        if self.bypasses {
            Some("is a superuser or has BYPASSRLS")
        } else if self.owns {
            Some("owns the tables")
        } else if !self.is_app {
            Some("is no member of rally_app")
        } else {
            None
        }
    }
}

impl Store {
    /// Connects, migrates where the login may, and goes on under a role that row-level
    /// security binds: the login itself where it is a plain member of `rally_app`, else
    /// `rally_app`, set as each connection of the pools opens. `observer` is told of the keys
    /// that this instance changes.
    pub async fn open(
        url: &DatabaseUrl,
        settings: PoolSettings,
        observer: ChangeObserver,
    ) -> Result<Self, ConnectError> {
        let mut connection = connect_patiently(url).await?;
        check_server(&mut connection).await?;
        check_durability(&mut connection, url).await?;
        let login = Role::of(&mut connection).await?;
        if login.is_superuser || login.owns || login.may_create {
            migrate::migrate_on(&mut connection).await?;
        } else if login.app_exists && !login.is_app {
            return Err(ConnectError::Unbound { role: login.name, why: "is no member of rally_app" });
        } else {
            migrate::check_migrated(&mut connection, &login.name).await?;
        }
        let set_role = login.bypasses || Role::of(&mut connection).await?.owns;
        connection.close().await?;

        let options = pool_options(set_role);
        let pool = options
            .clone()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .connect_with(url.options())
            .await?;
        let checks = options
            .max_connections(settings.max_check_connections)
            .acquire_timeout(settings.check_acquire_timeout)
            .connect_lazy_with(url.options());
        let mut connection = pool.acquire().await?;
        let role = Role::of(&mut connection).await?;
        if let Some(why) = role.unbound() {
            return Err(ConnectError::Unbound { role: role.name, why });
        }
        info!(database = %url, login = login.name, role = role.name, "connected to PostgreSQL");
        drop(connection);
        let look_ups = SecretBatcher::new(checks.clone());
        let store = Self { pool, checks, look_ups, observer };
        store.warm_up().await;
        Ok(store)
    }

    /// Opens all connections for checks, and has each prepare and plan the look-up, so that the first
    /// keys that are looked up do not wait for that, be it while everything else is busy.
    async fn warm_up(&self) {
        let wanted = self.checks.options().get_max_connections();
        // Held until all are there: one that was given back would be lent again.
        let held = join_all((0..wanted).map(|_| self.checks.acquire())).await;
        let warming = held.into_iter().map(|held| async move {
            let mut held = held?;
            let look_up = secret_batcher::prepare(&mut held);
            // It holds up no start: the table may be locked, or the network silent.
            if let Ok(answer) = timeout(CHECK_TIMEOUT, look_up).await {
                return answer.map_err(Error::from);
            }
            held.close_on_drop();
            Err(Error::TooSlow)
        });
        let (mut open, mut why) = (0, None);
        for warmed in join_all(warming).await {
            match warmed {
                Ok(()) => open += 1,
                Err(error) => why = Some(error),
            }
        }
        if let Some(error) = why {
            warn!(open, wanted, %error, "could not open all connections for checks of keys (DATABASE_CHECK_CONNECTIONS)");
        }
    }

    /// The same for the length of a command that reads: a connection, and no migration.
    pub async fn open_for_command(url: &DatabaseUrl) -> Result<Self, ConnectError> {
        let mut connection = connect_patiently(url).await?;
        check_server(&mut connection).await?;
        let login = Role::of(&mut connection).await?;
        migrate::check_migrated(&mut connection, &login.name).await?;
        connection.close().await?;
        let options = pool_options(login.bypasses || login.owns).max_connections(1);
        let pool = options.connect_with(url.options()).await?;
        let role = Role::of(&mut *pool.acquire().await?).await?;
        if let Some(why) = role.unbound() {
            return Err(ConnectError::Unbound { role: role.name, why });
        }
        Ok(Self {
            checks: pool.clone(),
            look_ups: SecretBatcher::new(pool.clone()),
            pool,
            observer: Arc::new(|_, _| {}),
        })
    }
}

/// Connections that work under `rally_app` where the login itself must not.
fn pool_options(set_role: bool) -> PgPoolOptions {
    PgPoolOptions::new()
        // One round trip less per use; `retrying!` makes up for it.
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if set_role {
                    connection.execute("SET ROLE rally_app").await?;
                }
                Ok(())
            })
        })
}

/// Connects, and waits for a server that is only just starting.
async fn connect_patiently(url: &DatabaseUrl) -> Result<PgConnection, ConnectError> {
    let deadline = Instant::now() + START_PATIENCE;
    let mut told = false;
    loop {
        match url.connect().await {
            Ok(connection) => return Ok(connection),
            Err(source) if is_of_tls(&source) => return Err(ConnectError::Tls { url: url.to_string(), source }),
            Err(error) if is_transient(&error) && Instant::now() < deadline => {
                if !told {
                    warn!(database = %url, %error, "PostgreSQL does not answer yet; waiting up to {START_PATIENCE:?}");
                    told = true;
                }
                sleep(Duration::from_millis(500)).await;
            }
            Err(source) => {
                return Err(ConnectError::Unreachable { url: url.to_string(), source });
            }
        }
    }
}

/// Whether it is about certificates and the like, which no waiting mends.
fn is_of_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // So rustls's own are passed on.
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// An acknowledged revocation must outlive a crash. Whoever runs a server that may forget it has
/// reasons of their own, perhaps, and is told.
async fn check_durability(connection: &mut PgConnection, url: &DatabaseUrl) -> Result<(), ConnectError> {
    let durability = Durability::of(connection).await?;
    if durability.is_replica {
        return Err(ConnectError::Replica(url.to_string()));
    }
    for setting in durability.weaknesses() {
        warn!(database = %url, setting, "a crash of PostgreSQL can lose what was acknowledged, revocations too");
    }
    Ok(())
}

/// Whether the server is one that we can work with.
pub(super) async fn check_server(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let (number, version, encoding): (i32, String, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'),
                current_setting('server_encoding')",
    )
    .fetch_one(connection)
    .await?;
    if number < 140_000 {
        return Err(ConnectError::TooOld(version));
    }
    if encoding != "UTF8" {
        return Err(ConnectError::NotUtf8(encoding));
    }
    Ok(())
}

impl From<Error> for ConnectError {
    fn from(error: Error) -> Self {
        match error {
            Error::Unavailable(error) | Error::Internal(error) => Self::Database(error),
            error @ (Error::TooSlow | Error::BadRow { .. }) => Self::Database(sqlx::Error::Protocol(error.to_string())),
        }
    }
}

/// Makes a database of that name on the server, unless it has one. For the private PostgreSQL.
pub async fn create_database(maintenance: &DatabaseUrl, name: &str) -> Result<(), ConnectError> {
    let mut connection = connect_patiently(maintenance).await?;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await?;
    if !exists {
        // Names here are ours: plain identifiers.
        let outcome = connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await;
        match outcome {
            Err(error)
                if error
                    .as_database_error()
                    .is_some_and(|e| e.code().is_some_and(|c| c == "42P04" || c == "23505")) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
    }
    Ok(())
}
