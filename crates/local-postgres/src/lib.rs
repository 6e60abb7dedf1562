//! A private PostgreSQL cluster: the database of a service that was given none.
//!
//! [`start`] finds the machine's own PostgreSQL (14 or newer), makes a cluster in the service's
//! data folder the first time, and starts its server, or joins the one that already runs there.
//!
//! ```text
//! <data_dir>/postgres/             the cluster, and server.log of its current run
//! <data_dir>/postgres.new-*/       a cluster being made; renamed into place once it is whole
//! <data_dir>/run/.s.PGSQL.5432     the server's only door: a socket in a folder of mode 0700
//! <data_dir>/rally.conf            the server settings, written anew before each start
//! <data_dir>/start.lock            held while the server is made, started or stopped
//! <data_dir>/users.lock            held, shared, as long as a process uses the server
//! ```
//!
//! The locks let any number of processes share the folder: the first starts the server, the last
//! to [`stop`](PrivatePostgres::stop) stops it. A process that dies, or just drops its
//! [`PrivatePostgres`], leaves the server running for the next one to join.
//!
//! It refuses to listen on TCP, to run a server as root (root runs it as `postgres` or `nobody`),
//! to use a folder of somebody else, and to upgrade a cluster from one major version to another.
//!
//! Why not a crate: those that exist download a server of their own, or make throw-away clusters
//! for tests; none keeps one cluster for several processes and runs as root.

mod account;
mod cluster;
mod error;
mod programs;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::time::{Instant, sleep};

pub use self::error::Error;
use self::{cluster::Cluster, error::io_error};

/// Older servers are refused.
const OLDEST_MAJOR: u32 = 14;
const SUPERUSER: &str = "rally_owner";
/// Only names the socket file; nothing listens on TCP, so it collides with nothing.
const PORT: u16 = 5432;
/// How long a server may take until it accepts connections, for instance in crash recovery.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long another process may make and start the cluster: `initdb`, then `START_PATIENCE`.
const LOCK_PATIENCE: Duration = Duration::from_mins(3);

/// A use of the private server, which runs at least as long as this lives.
///
/// Dropping it leaves the server running; the last user should [`stop`](Self::stop) it.
#[derive(Debug)]
pub struct PrivatePostgres {
    cluster: Cluster,
    users_lock: File,
}

impl PrivatePostgres {
    /// The folder of the server's Unix socket: what `host` is in a connection string.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.cluster.socket_dir
    }

    /// The number in the socket's file name: what `port` is in a connection string.
    #[must_use]
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The database superuser; it needs no password.
    #[must_use]
    pub fn user(&self) -> &str {
        SUPERUSER
    }

    /// Ends this use, and stops the server if nobody else uses it.
    ///
    /// # Errors
    ///
    /// When the server does not stop, or another process keeps the start lock.
    pub async fn stop(self) -> Result<(), Error> {
        let Self { cluster, users_lock } = self;
        let _starting = lock(&cluster.data_dir.join("start.lock")).await?;
        let path = cluster.data_dir.join("users.lock");
        users_lock.unlock().map_err(io_error("unlock", &path))?;
        match users_lock.try_lock() {
            Ok(()) => cluster.stop().await,
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
        }
    }
}

/// Starts the private server of a data folder, or joins it; makes folder and cluster at need.
///
/// `settings` are server settings in addition to this module's own, which win over them. They
/// apply when this call is the one that starts the server.
///
/// # Errors
///
/// When there is no usable PostgreSQL, folder or user, or the server does not come up.
pub async fn start(data_dir: &Path, settings: &[(&str, &str)]) -> Result<PrivatePostgres, Error> {
    let data_dir = make_data_dir(data_dir)?;
    let starting = lock(&data_dir.join("start.lock")).await?;
    let cluster = Cluster::locate(data_dir).await?;
    cluster.remove_half_made();
    if !cluster.dir.join("PG_VERSION").exists() {
        cluster.make(settings.contains(&("fsync", "off"))).await?;
    }
    cluster.make_private_dir(&cluster.socket_dir)?;
    cluster.bring_up(settings).await?;

    let path = cluster.data_dir.join("users.lock");
    let users_lock = open_lock(&path)?;
    // Taken exclusively only under the start lock, which we hold: this does not wait.
    users_lock.lock_shared().map_err(io_error("lock", &path))?;
    drop(starting);
    Ok(PrivatePostgres { cluster, users_lock })
}

/// The data folder, made at need, by its true name. It stays ours: no other user writes here.
fn make_data_dir(dir: &Path) -> Result<PathBuf, Error> {
    // As root, PostgreSQL's user has to pass through.
    let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
    DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(io_error("make the folder", dir))?;
    let found = fs::metadata(dir).map_err(io_error("look at", dir))?;
    let mode = found.mode() & 0o7777;
    if geteuid().is_root() && found.uid() == 0 && mode & 0o011 != 0o011 {
        fs::set_permissions(dir, Permissions::from_mode(mode | 0o011))
            .map_err(io_error("let PostgreSQL's user pass through", dir))?;
    }
    dir.canonicalize().map_err(io_error("look at", dir))
}

fn open_lock(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    opened.map_err(io_error("open", path))
}

/// Takes a lock, by asking again and again: a blocking wait could not be cancelled or limited.
async fn lock(path: &Path) -> Result<File, Error> {
    let file = open_lock(path)?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                sleep(Duration::from_millis(50)).await;
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { lock: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io_error("lock", path)(source)),
        }
    }
}
