//! A private PostgreSQL server for development, demos and tests, run by the PostgreSQL (14 or newer) that is installed on
//! this machine.
//!
//! [`start`] creates a cluster in a data folder if there is none, and starts its server, or joins the one that is running.
//! [`start_existing`] never creates one.
//!
//! ```text
//! <data_dir>/postgres/             the cluster, with server.log of its current run
//! <data_dir>/postgres.new-*/       a cluster that is being created; renamed once it is complete
//! <data_dir>/run/.s.PGSQL.5432     the server's socket, in a folder of mode 0700; it does not listen on TCP
//! <data_dir>/rally.conf            the server's settings, rewritten before each start
//! <data_dir>/start.lock            locked while the cluster is created and its server started or stopped
//! <data_dir>/users.lock            locked, shared, by each process that uses the server
//! ```
//!
//! The locks allow any number of processes to share a data folder: the first one starts the server, and the last one that
//! calls [`stop`](PrivatePostgres::stop) stops it. A process that crashes, or drops its [`PrivatePostgres`], leaves the
//! server running for the next one to join.
//!
//! As root, it runs the server as `postgres` or `nobody`, since PostgreSQL refuses to run as root. It never uses a folder
//! of another user, and never upgrades a cluster to another major version.
//!
//! Existing crates download a server, or create temporary clusters for tests. None shares one cluster between processes
//! and works as root.

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
/// Only a part of the socket's file name: nothing listens on TCP.
const PORT: u16 = 5432;
/// Until the server accepts connections, which may take long in crash recovery.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// For the start lock. It covers another process's `initdb` and `START_TIMEOUT`.
const LOCK_TIMEOUT: Duration = Duration::from_mins(3);

/// A use of the private server: it is not stopped as long as this value exists.
///
/// Dropping it leaves the server running. Call [`stop`](Self::stop) to stop it after the last use.
#[derive(Debug)]
pub struct PrivatePostgres {
    cluster: Cluster,
    users_lock: File,
}

impl PrivatePostgres {
    /// The folder of the server's socket: `host` in a connection string.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.cluster.socket_dir
    }

    /// The number in the socket's file name: `port` in a connection string.
    #[must_use]
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The superuser, who needs no password.
    #[must_use]
    pub fn user(&self) -> &str {
        SUPERUSER
    }

    /// Ends this use, and stops the server if it was the last one.
    ///
    /// # Errors
    ///
    /// If the server does not stop, or another process holds the start lock for too long.
    pub async fn stop(self) -> Result<(), Error> {
        let Self { cluster, users_lock } = self;
        let _start_lock = lock(&cluster.data_dir.join("start.lock")).await?;
        let path = cluster.data_dir.join("users.lock");
        users_lock.unlock().map_err(io_error("unlock", &path))?;
        match users_lock.try_lock() {
            Ok(()) => cluster.stop().await,
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
        }
    }
}

/// Starts the private server of a data folder, or joins the running one. Creates the folder and the cluster if missing.
///
/// `settings` are additional server settings. They apply only if this call starts the server, and cannot override this
/// crate's own, such as the port.
///
/// # Errors
///
/// If there is no usable PostgreSQL, folder or user, or the server does not start.
pub async fn start(data_dir: &Path, settings: &[(&str, &str)]) -> Result<PrivatePostgres, Error> {
    let data_dir = create_data_dir(data_dir)?;
    let start_lock = lock(&data_dir.join("start.lock")).await?;
    let cluster = Cluster::locate(data_dir).await?;
    cluster.remove_unfinished();
    if !cluster.exists()? {
        cluster.create(settings.contains(&("fsync", "off"))).await?;
    }
    open(cluster, start_lock, settings).await
}

/// As [`start`], where the data folder holds a cluster. `None`: it does not, and nothing was created.
///
/// # Errors
///
/// As for [`start`].
pub async fn start_existing(data_dir: &Path, settings: &[(&str, &str)]) -> Result<Option<PrivatePostgres>, Error> {
    if !cluster::exists(&data_dir.join("postgres"))? {
        return Ok(None);
    }
    let data_dir = data_dir.canonicalize().map_err(io_error("find the canonical path of", data_dir))?;
    let start_lock = lock(&data_dir.join("start.lock")).await?;
    let cluster = Cluster::locate(data_dir).await?;
    if !cluster.exists()? {
        return Ok(None);
    }
    open(cluster, start_lock, settings).await.map(Some)
}

async fn open(cluster: Cluster, start_lock: File, settings: &[(&str, &str)]) -> Result<PrivatePostgres, Error> {
    cluster.create_private_dir(&cluster.socket_dir)?;
    cluster.ensure_running(settings).await?;

    let path = cluster.data_dir.join("users.lock");
    let users_lock = open_lock(&path)?;
    // It is locked exclusively only under the start lock, which is held here: this does not wait.
    users_lock.lock_shared().map_err(io_error("lock", &path))?;
    drop(start_lock);
    Ok(PrivatePostgres { cluster, users_lock })
}

/// Creates the data folder if missing and returns its canonical path. It belongs to the current user, not to PostgreSQL's.
fn create_data_dir(dir: &Path) -> Result<PathBuf, Error> {
    // For root: PostgreSQL's user must be able to enter it.
    let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
    DirBuilder::new().recursive(true).mode(mode).create(dir).map_err(io_error("create the folder", dir))?;
    let found = fs::metadata(dir).map_err(io_error("read the metadata of", dir))?;
    let mode = found.mode() & 0o7777;
    if geteuid().is_root() && found.uid() == 0 && mode & 0o011 != 0o011 {
        fs::set_permissions(dir, Permissions::from_mode(mode | 0o011))
            .map_err(io_error("let PostgreSQL's user enter", dir))?;
    }
    dir.canonicalize().map_err(io_error("find the canonical path of", dir))
}

fn open_lock(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    opened.map_err(io_error("open", path))
}

/// Acquires a lock by polling: a blocking wait could not be cancelled, and has no timeout.
async fn lock(path: &Path) -> Result<File, Error> {
    let file = open_lock(path)?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
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
