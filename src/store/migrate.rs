//! Migrations: at the start, if the login may migrate, or by the command line.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use sqlx::{
    Executor as _, PgConnection,
    migrate::{Migrate as _, MigrateError, Migrator},
};
use tokio::time::sleep;
use tracing::info;

use super::{
    ConnectError, DatabaseUrl,
    connect::{begin_inspection, connect_in_time},
    safeguards::{check_creators, check_owners},
    statements::Statements,
};

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!();
    migrator.set_locking(false); // see `migrate_on`
    migrator.dangerous_set_table_name(TABLE);
    migrator
});

/// With its schema, so that no other table of that name is chosen.
const TABLE: &str = "public._sqlx_migrations";
/// The key of the advisory lock: "rallykey" in ASCII.
const LOCK: i64 = 0x7261_6c6c_796b_6579;
const LOCK_POLL: Duration = Duration::from_millis(100);
const LOCK_POLLS: u32 = 600;

/// Applies the migrations that are missing, as the database's owner.
pub async fn migrate(url: &DatabaseUrl) -> Result<(), ConnectError> {
    let mut connection = connect_in_time(url).await.map_err(|source| ConnectError::unreachable(url, source))?;
    migrate_on(&mut connection, url).await
}

/// As [`migrate`], on an open connection. Any number of instances may call it at once.
///
/// The lock is polled. A session that waits for a lock holds a snapshot, and a `CREATE INDEX CONCURRENTLY` of the session
/// that has the lock would wait for that snapshot: a deadlock that PostgreSQL does not detect.
pub(super) async fn migrate_on(connection: &mut PgConnection, url: &DatabaseUrl) -> Result<(), ConnectError> {
    if applied(connection).await? == Some(own()) {
        return check_creators(connection).await;
    }
    if url.statements == Statements::Unnamed {
        return Err(ConnectError::MigrationThroughPooler(url.to_string()));
    }
    let mut polls = 0;
    while !try_lock(connection).await? {
        polls += 1;
        if polls == LOCK_POLLS {
            return Err(ConnectError::MigrationLocked);
        }
        sleep(LOCK_POLL).await;
    }
    // Objects of others are not chosen. A migration gives up if it cannot lock its table soon: requests queue behind a
    // waiting lock.
    connection.execute("SET search_path = ''; SET lock_timeout = '5s'").await?;
    connection.ensure_migrations_table(TABLE).await.map_err(|error| failed(error, url))?;
    check_owners(&mut *begin_inspection(connection).await?).await?; // now that nobody else can create that table
    let outcome = MIGRATIONS.run(&mut *connection).await;
    // A migration's own error says more than the one of a connection that it broke.
    outcome.map_err(|error| failed(error, url))?;
    connection.execute("RESET search_path; RESET lock_timeout").await?;
    sqlx::query("SELECT pg_catalog.pg_advisory_unlock($1)").bind(LOCK).execute(&mut *connection).await?;
    info!(database = %url, "applied all migrations");
    check_creators(connection).await
}

fn failed(error: MigrateError, url: &DatabaseUrl) -> ConnectError {
    match &error {
        MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => ConnectError::ForeignMigrations(error),
        // Insufficient privilege. PostgreSQL's own text has the position in the file, which helps nobody here.
        MigrateError::Execute(sqlx::Error::Database(cause))
        | MigrateError::ExecuteMigration(sqlx::Error::Database(cause), _)
            if cause.code().as_deref() == Some("42501") =>
        {
            ConnectError::MayNotMigrate { url: url.to_string(), cause: cause.message().to_owned() }
        }
        _ => ConnectError::Migration(error),
    }
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT pg_catalog.pg_try_advisory_lock($1)").bind(LOCK).fetch_one(connection).await
}

/// For a login that may not migrate: checks that all migrations were applied, and as this program has them.
pub(super) async fn check_migrated(connection: &mut PgConnection, role: &str) -> Result<(), ConnectError> {
    let missing = |missing| ConnectError::NotMigrated { missing, role: role.to_owned() };
    let applied = applied(connection).await?.unwrap_or_default();
    for migration in MIGRATIONS.iter() {
        match applied.get(&migration.version) {
            None => return Err(missing(migration.version)),
            Some(checksum) if **checksum != *migration.checksum => {
                return Err(ConnectError::ForeignMigrations(MigrateError::VersionMismatch(migration.version)));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Migrations by version, with their checksums.
type Versions = HashMap<i64, Vec<u8>>;

fn own() -> Versions {
    MIGRATIONS.iter().map(|migration| (migration.version, migration.checksum.to_vec())).collect()
}

/// The migrations that were applied. `None`: none ever was. Refuses tables and functions of somebody else.
async fn applied(connection: &mut PgConnection) -> Result<Option<Versions>, ConnectError> {
    let mut transaction = begin_inspection(connection).await?;
    let exists: bool = sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL")
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    if exists {
        // It cannot be replaced after the check.
        transaction.execute("LOCK TABLE public._sqlx_migrations IN ACCESS SHARE MODE").await?;
    }
    check_owners(&mut transaction).await?;
    if !exists {
        return Ok(None);
    }
    let rows = sqlx::query_as("SELECT version, checksum FROM public._sqlx_migrations WHERE success")
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    Ok(Some(rows.into_iter().collect()))
}
