//! Connecting, and what is checked of a server and of the login.

use std::{io, time::Duration};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Postgres, Row as _, Transaction};
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::{DatabaseUrl, Error, is_transient, statements::Statements};

/// How long a start waits for a database that does not respond yet.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Limit of the question whether a pooler is in between.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit of each attempt to connect at the start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const START_RETRY: Duration = Duration::from_millis(500);

/// Why the database cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No connection, or no login.
    #[error("cannot connect to {url}: {source}")]
    Unreachable {
        /// Without the password.
        url: String,
        /// The cause.
        source: sqlx::Error,
    },
    /// No TLS, or not as `sslmode` requires.
    #[error(
        "no TLS with {url}: {source}; `sslmode` in the URL says what is required, and `sslrootcert` names a file with a \
         certificate authority besides the public ones"
    )]
    Tls {
        /// Without the password.
        url: String,
        /// The cause.
        source: sqlx::Error,
    },
    /// A pooler does not know a parameter of the URL.
    #[error(
        "the pooler at {url} refuses a parameter of the URL: {source}; remove it from the URL, or add it to \
         ignore_startup_parameters of PgBouncer"
    )]
    RefusedParameter {
        /// Without the password.
        url: String,
        /// The cause, with the parameter's name.
        source: sqlx::Error,
    },
    /// A pooler in transaction mode that does not know prepared statements.
    #[error(
        "the pooler at {0} loses prepared statements; add statement-cache-capacity=0 to the query of DATABASE_URL, or let \
         it keep them: max_prepared_statements of PgBouncer 1.21 or newer, pool_reserve_prepared_statement of Odyssey"
    )]
    LosesStatements(String),
    /// The change feed would go through a pooler in transaction mode.
    #[error(
        "{0} is a pooler in transaction mode, through which a LISTEN does not work: it would stay on a connection that other \
         clients use, and break their queries; set DATABASE_DIRECT_URL to the server itself"
    )]
    NotDirect(String),
    /// The login may migrate, but not through the pooler.
    #[error(
        "the database lacks a migration, and {0} is a pooler in transaction mode, through which none is applied; run \
         `rally-api-keys migrate` with DATABASE_MIGRATION_URL naming the server itself"
    )]
    MigrationThroughPooler(String),
    /// The server is older than what is supported.
    #[error("PostgreSQL 14 or newer is needed; this server is {0}")]
    TooOld(String),
    /// The server follows another one.
    #[error("{0} is a replica, which takes no writes; DATABASE_URL must name the primary")]
    Replica(String),
    /// The database cannot store every name.
    #[error("the database's encoding is {0}; create it with ENCODING 'UTF8'")]
    NotUtf8(String),
    /// Tables are missing or older than this program, and the login may not change them.
    #[error(
        "the database lacks migration {missing}, which is not applied here under role \"{role}\"; \
         run `rally-api-keys migrate` with DATABASE_MIGRATION_URL set to the database's owner"
    )]
    NotMigrated {
        /// The first migration that is missing.
        missing: i64,
        /// The login.
        role: String,
    },
    /// The schema is from before the first release, or newer than this program.
    #[error(
        "the database's schema is not this version's ({0}): it was made by a development version from before the first \
         release, or by a newer version. One from before the first release cannot be upgraded: create a new database \
         (with the private PostgreSQL: stop the service and remove DATA_DIR)"
    )]
    ForeignMigrations(#[source] sqlx::migrate::MigrateError),
    /// Another instance holds the lock of migrations.
    #[error("another instance has been migrating the database for over a minute; see pg_locks for its advisory lock")]
    MigrationLocked,
    /// The login is not the database's owner, or lacks what the owner needs.
    #[error(
        "{url} may not migrate the database: {cause}. Set DATABASE_MIGRATION_URL to the database's owner, and let a \
         superuser prepare a new database: CREATE ROLE rally_app NOLOGIN; CREATE ROLE rally_operator NOLOGIN; GRANT \
         rally_app, rally_operator TO the owner; GRANT CREATE ON SCHEMA public TO the owner"
    )]
    MayNotMigrate {
        /// With the login, without the password.
        url: String,
        /// PostgreSQL's message.
        cause: String,
    },
    /// A migration failed.
    #[error("a migration failed: {0}")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// Row-level security would not bind the service.
    #[error(
        "refusing to start: the service would work under role \"{role}\", which {why}, so that row-level security \
         would not keep tenants apart; grant rally_app to a plain login and name that in DATABASE_URL"
    )]
    Unbound {
        /// The role of the transactions, or the login that cannot take it.
        role: String,
        /// The rest of a sentence about it.
        why: &'static str,
    },
    /// Somebody else may put objects where the tables are.
    #[error(
        "other roles than the owner may create objects in the schema of the tables, which is how a login makes others \
         run its code; as the owner of the schema or a superuser, run: REVOKE CREATE ON SCHEMA public FROM {0}"
    )]
    OthersMayCreate(String),
    /// Somebody else created a table or function of ours.
    #[error(
        "the {object} belongs to role \"{owner}\", which neither owns the database nor is a member of rally_operator, so it \
         may be a trap from before the first migration. If that role is to own it: GRANT rally_operator TO \"{owner}\". \
         Else find out why, and as a superuser run: DROP {object}"
    )]
    ForeignObject {
        /// Its kind and name, as in a DROP.
        object: String,
        /// The role.
        owner: String,
    },
    /// Row-level security is switched off on a table.
    #[error(
        "row-level security is not enabled and forced on every table, so that it would not keep tenants apart; as the \
         owner of the tables, run: {0}"
    )]
    RowLevelSecurityOff(String),
    /// Triggers are missing or do not run in every session.
    #[error(
        "triggers that revocations and the audit trail depend on are missing or do not run in every session, as after a \
         restore of data with --disable-triggers; as the owner of the tables, create what is missing as the migrations \
         do, and run: {0}"
    )]
    TriggersOff(String),
    /// The login may not do what the command needs.
    #[error("role \"{0}\" may not manage tenants; set DATABASE_MIGRATION_URL to the database's owner for this command")]
    NotOperator(String),
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl ConnectError {
    pub(super) fn unreachable(url: &DatabaseUrl, source: sqlx::Error) -> Self {
        // sqlx's error of its own pool does not say what to look at.
        let source = if let sqlx::Error::PoolTimedOut = source { no_response() } else { source };
        Self::Unreachable { url: url.to_string(), source }
    }

    pub(super) fn unbound(login: String) -> Self {
        Self::Unbound { role: login, why: NO_MEMBER }
    }
}

const NO_MEMBER: &str = "is no member of rally_app";

/// Begins a transaction in which names without a schema are those of PostgreSQL itself. Statements in it are not
/// persistent, so that they also work behind a pooler that loses prepared statements.
pub(super) async fn begin_inspection(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    connection.begin_with("SET LOCAL search_path = ''; BEGIN READ ONLY").await
}

/// The current role and what it may do.
#[allow(clippy::struct_excessive_bools, reason = "the columns of one query")]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) is_superuser: bool,
    /// Superusers too.
    pub(super) bypasses_policies: bool,
    pub(super) owns: bool,
    pub(super) app_exists: bool,
    pub(super) is_app: bool,
    /// The tables are missing, and it may create them.
    pub(super) may_create: bool,
}

impl Role {
    /// The role of a transaction, which [`begin_inspection`] or one like it began.
    pub(super) async fn of(transaction: &mut PgConnection) -> Result<Self, sqlx::Error> {
        // Not checked at compile time: it must also work on a database without our tables and roles.
        let (name, is_superuser, bypasses_policies, owns, app_exists, is_app, may_create) = sqlx::query_as(
            "SELECT current_user::text,
                    r.rolsuper,
                    r.rolsuper OR r.rolbypassrls,
                    coalesce((SELECT bool_or(pg_has_role(c.relowner, 'USAGE'))
                              FROM pg_class c
                              WHERE c.oid IN (to_regclass('public.tenants'), to_regclass('public.api_keys'),
                                              to_regclass('public.api_key_secrets'),
                                              to_regclass('public.api_key_events'))), false),
                    EXISTS (SELECT FROM pg_roles WHERE rolname = 'rally_app'),
                    coalesce((SELECT pg_has_role(a.oid, 'USAGE') FROM pg_roles a WHERE a.rolname = 'rally_app'), false),
                    to_regclass('public.api_keys') IS NULL AND has_schema_privilege('public', 'CREATE')
             FROM pg_roles r
             WHERE r.rolname = current_user",
        )
        .persistent(false)
        .fetch_one(transaction)
        .await?;
        Ok(Self { name, is_superuser, bypasses_policies, owns, app_exists, is_app, may_create })
    }

    /// Why row-level security does not bind this role, if so.
    pub(super) fn unbound(&self) -> Option<&'static str> {
        if self.bypasses_policies {
            Some("is a superuser or has BYPASSRLS")
        } else if self.owns {
            Some("owns the tables")
        } else if !self.is_app {
            Some(NO_MEMBER)
        } else {
            None
        }
    }
}

/// Connects, and waits for a server that is starting.
pub(super) async fn connect_when_up(url: &DatabaseUrl) -> Result<PgConnection, ConnectError> {
    let deadline = Instant::now() + START_TIMEOUT;
    let mut is_logged = false;
    loop {
        match connect_in_time(url).await {
            Ok(connection) => return Ok(connection),
            Err(source) if source.to_string().contains("unsupported startup parameter") => {
                return Err(ConnectError::RefusedParameter { url: url.to_string(), source });
            }
            Err(source) if is_of_tls(&source) => return Err(ConnectError::Tls { url: url.to_string(), source }),
            Err(error) if is_transient(&error) && Instant::now() < deadline => {
                if !is_logged {
                    warn!(database = %url, %error, "PostgreSQL does not respond yet; waiting up to {START_TIMEOUT:?}");
                    is_logged = true;
                }
                sleep(START_RETRY).await;
            }
            Err(source) => return Err(ConnectError::unreachable(url, source)),
        }
    }
}

/// A connection that responds. A pooler may accept the login before it has a connection to the server.
pub(super) async fn connect_in_time(url: &DatabaseUrl) -> Result<PgConnection, sqlx::Error> {
    let connecting = async {
        let mut connection = url.connect().await?;
        connection.execute("SELECT 1").await?;
        Ok(connection)
    };
    timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(no_response()))
}

/// The error of an attempt to connect that has timed out.
fn no_response() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(
        io::ErrorKind::TimedOut,
        "no response; if that is a pooler, does its pool (default_pool_size of PgBouncer) suffice for all instances, and does \
         it reach PostgreSQL?",
    ))
}

/// Refuses a pooler that loses prepared statements where the URL does not say so. Two connections prepare the same
/// statement: the pooler gives the second one the server's connection that the first one has just used.
pub(super) async fn check_statements(connection: &mut PgConnection, url: &DatabaseUrl) -> Result<(), ConnectError> {
    if url.statements == Statements::Unnamed {
        return Ok(());
    }
    let mut other = connect_in_time(url).await.map_err(|source| ConnectError::unreachable(url, source))?;
    for _ in 0..2 {
        for session in [&mut *connection, &mut other] {
            match sqlx::query("SELECT 1").execute(session).await {
                Err(error) if is_lost_statement(&error) => return Err(ConnectError::LosesStatements(url.to_string())),
                outcome => outcome?,
            };
        }
    }
    Ok(other.close().await?)
}

/// Refuses a pooler that gives each transaction another connection of the server: two clients have the same one, or one
/// client has different ones.
pub async fn check_direct(url: &DatabaseUrl) -> Result<(), ConnectError> {
    let gives_others = async {
        let (mut one, mut other) = (url.connect().await?, url.connect().await?);
        let (own, others) = (server_process(&mut one).await?, server_process(&mut other).await?);
        Ok::<_, sqlx::Error>(own == others || server_process(&mut one).await? != own)
    };
    let gives_others = timeout(DIRECT_TIMEOUT, gives_others).await.map_err(io::Error::from).map_err(sqlx::Error::Io)?;
    if gives_others? || url.statements == Statements::Unnamed {
        return Err(ConnectError::NotDirect(url.to_string()));
    }
    Ok(())
}

async fn server_process(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    connection.fetch_one("SELECT pg_catalog.pg_backend_pid()").await?.try_get(0)
}

/// A name is taken by another client of the pooler, or unknown to the server's connection that the pooler chose.
fn is_lost_statement(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("42P05" | "26000" | "08P01"))
}

/// Errors of TLS, of certificates for example, which do not go away by waiting.
fn is_of_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // How rustls's errors arrive.
        sqlx::Error::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// Whether a crash of the server can lose acknowledged changes.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Durability {
    fsync: bool,
    full_page_writes: bool,
    synchronous_commit: String,
    /// It follows another server, and takes no writes.
    pub is_replica: bool,
}

impl Durability {
    /// Reads the server's settings.
    pub async fn of(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let mut transaction = begin_inspection(connection).await?;
        sqlx::query_as(
            "SELECT current_setting('fsync')::bool AS fsync, current_setting('full_page_writes')::bool AS full_page_writes,
                    current_setting('synchronous_commit') AS synchronous_commit, pg_is_in_recovery() AS is_replica",
        )
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await
    }

    /// The settings with which a crash can lose acknowledged changes.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<&'static str> {
        let all = [
            (!self.fsync, "fsync = off"),
            (!self.full_page_writes, "full_page_writes = off"),
            (self.synchronous_commit == "off", "synchronous_commit = off"),
        ];
        all.into_iter().filter_map(|(weak, name)| weak.then_some(name)).collect()
    }
}

/// Refuses a replica, and warns of settings with which a crash loses acknowledged changes.
pub(super) async fn check_durability(connection: &mut PgConnection, url: &DatabaseUrl) -> Result<(), ConnectError> {
    let durability = Durability::of(connection).await?;
    if durability.is_replica {
        return Err(ConnectError::Replica(url.to_string()));
    }
    for setting in durability.weaknesses() {
        warn!(
            database = %url,
            setting,
            "a crash of PostgreSQL can lose acknowledged changes, revocations too; change the setting in postgresql.conf"
        );
    }
    Ok(())
}

/// Refuses servers that are not supported.
pub(super) async fn check_server(connection: &mut PgConnection) -> Result<(), ConnectError> {
    let mut transaction = begin_inspection(connection).await?;
    let (number, version, encoding): (i32, String, String) = sqlx::query_as(
        "SELECT current_setting('server_version_num')::int, current_setting('server_version'),
                current_setting('server_encoding')",
    )
    .persistent(false)
    .fetch_one(&mut *transaction)
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
            error @ (Error::TooSlow | Error::Overloaded(_) | Error::BadRow { .. }) => {
                Self::Database(sqlx::Error::Protocol(error.to_string()))
            }
        }
    }
}

/// Creates a database unless it exists. `name` is a plain identifier.
pub async fn create_database(maintenance: &DatabaseUrl, name: &str) -> Result<(), ConnectError> {
    let mut connection = connect_when_up(maintenance).await?;
    let exists: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await?;
    if exists {
        return Ok(());
    }
    match connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await {
        // Another process has created it meanwhile.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P04" | "23505")) => Ok(()),
        outcome => Ok(outcome.map(drop)?),
    }
}
