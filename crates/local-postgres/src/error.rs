//! What can go wrong, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::OLDEST_MAJOR;

/// Why there is no private database, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No PostgreSQL server program was found.
    #[error(
        "no PostgreSQL found on this machine, and DATABASE_URL is not set. Do one of these:\n  \
         Debian, Ubuntu:  apt-get install postgresql\n  \
         Fedora, RHEL:    dnf install postgresql-server\n  \
         macOS:           brew install postgresql@17\n  \
         or set DATABASE_URL to a PostgreSQL database you have\n  \
         or run everything in containers: docker compose up"
    )]
    NotFound,
    /// Only PostgreSQL versions that the service does not support were found.
    #[error(
        "PostgreSQL {OLDEST_MAJOR} or newer is needed, but this machine has only {found}: \
         install a newer one, or set DATABASE_URL"
    )]
    TooOld {
        /// The versions, and where they are.
        found: String,
    },
    /// The cluster was made by a major version that is not installed (any more).
    #[error(
        "the database in {} was made by PostgreSQL {made_by}, but this machine has only {found}: \
         install PostgreSQL {made_by}, or move that folder away to begin with an empty database",
        cluster.display()
    )]
    OtherMajor {
        /// The cluster's folder.
        cluster: PathBuf,
        /// The major version that made it.
        made_by: String,
        /// The versions that were found, and where they are.
        found: String,
    },
    /// Root has to run PostgreSQL as another user, and there is none.
    #[error(
        "PostgreSQL never runs as root, and this machine has neither a user postgres nor nobody: \
         add one, or run the service as an ordinary user"
    )]
    NoUser,
    /// The user that runs PostgreSQL may not enter a folder on the way to the data folder.
    #[error(
        "PostgreSQL runs as user {user} here, who may not enter {}: set DATA_DIR to a folder that \
         everybody can reach, for example /var/lib/rally-api-keys",
        folder.display()
    )]
    Unreachable {
        /// The folder that blocks the way.
        folder: PathBuf,
        /// The user that has to pass it.
        user: String,
    },
    /// A folder of the database belongs to another user.
    #[error(
        "{} belongs to user id {owner}, not to {user}: run the service as its owner, or set \
         DATA_DIR to another folder",
        folder.display()
    )]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
        /// Whom it belongs to.
        owner: u32,
        /// Whom it should belong to.
        user: String,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{} failed: {output}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// The end of what it printed, or of the server's log.
        output: String,
    },
    /// A server runs, or seems to run, on the cluster, but accepts no connections.
    #[error(
        "the PostgreSQL server of {} (process {pid}) does not accept connections on {}; see {}",
        cluster.display(), socket.display(), cluster.join("server.log").display()
    )]
    NotReady {
        /// The cluster's folder.
        cluster: PathBuf,
        /// The socket that was tried.
        socket: PathBuf,
        /// The server's process id, if it is known.
        pid: String,
    },
    /// Another process was making, starting or stopping the database for too long.
    #[error("another process holds {} for minutes already: see what it waits for", lock.display())]
    Locked {
        /// The lock's file.
        lock: PathBuf,
    },
    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file or program.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// Makes an [`Error::Io`] of what the operating system said.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
