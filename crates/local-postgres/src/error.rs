//! Errors. Each message says what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::OLDEST_MAJOR;

/// Why the private PostgreSQL cannot be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// PostgreSQL is not installed.
    #[error(
        "no PostgreSQL found on this machine, and DATABASE_URL is not set. Do one of these:\n  \
         Debian, Ubuntu:  apt-get install postgresql\n  \
         Fedora, RHEL:    dnf install postgresql-server\n  \
         macOS:           brew install postgresql@17\n  \
         or set DATABASE_URL to an existing PostgreSQL database\n  \
         or run everything in containers: docker compose up"
    )]
    NotFound,
    /// All installed versions are older than the oldest supported one.
    #[error(
        "PostgreSQL {OLDEST_MAJOR} or newer is needed, but this machine has only {found}: \
         install a newer one, or set DATABASE_URL to a newer server"
    )]
    TooOld {
        /// The versions and their folders.
        found: String,
    },
    /// The cluster's major version is not installed.
    #[error(
        "the database in {} was created by PostgreSQL {created_by}, but this machine has only {found}: \
         install PostgreSQL {created_by}, or move that folder away to start with an empty database",
        cluster.display()
    )]
    OtherMajor {
        /// The cluster's folder.
        cluster: PathBuf,
        /// The major version that created it.
        created_by: String,
        /// The installed versions and their folders.
        found: String,
    },
    /// The process is root, and there is no unprivileged user to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root, and this machine has neither a user postgres nor nobody: \
         add one, or run the service as an unprivileged user"
    )]
    NoUser,
    /// PostgreSQL's user may not enter the data folder or one of its ancestors.
    #[error(
        "PostgreSQL runs as user {user}, who may not enter {}: set DATA_DIR to a folder that \
         every user can enter, for example /var/lib/rally-api-keys",
        folder.display()
    )]
    Unreachable {
        /// The folder that the user may not enter.
        folder: PathBuf,
        /// PostgreSQL's user.
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
        /// The user id of its owner.
        owner: u32,
        /// The user that must own it.
        user: String,
    },
    /// One of PostgreSQL's programs failed.
    #[error("{} failed; see its output, or its log file, for the reason:\n{output}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// The end of its output and of the server's log.
        output: String,
    },
    /// The server did not become ready in time.
    #[error(
        "the PostgreSQL server of {} (process {pid}) accepts no connections on {} within a minute: it may still be \
         recovering from a crash; see {}, and try again",
        cluster.display(), socket.display(), cluster.join("server.log").display()
    )]
    NotReady {
        /// The cluster's folder.
        cluster: PathBuf,
        /// Its socket.
        socket: PathBuf,
        /// The server's process id, or "unknown".
        pid: String,
    },
    /// Another process has held the start lock for too long.
    #[error("another process has locked {} for three minutes to start or stop PostgreSQL: end that process (`fuser` names it), \
         and try again", lock.display())]
    Locked {
        /// The lock's file.
        lock: PathBuf,
    },
    /// An error of the operating system.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// A verb, such as "create the folder".
        action: &'static str,
        /// The file or program.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
}

pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
