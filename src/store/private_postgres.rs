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

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use nix::unistd::{Uid, User, geteuid};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

const SUPERUSER: &str = "rally_owner";
const OLDEST_MAJOR: u32 = 14;
/// Only names the socket file; nothing listens on TCP, so it collides with nothing.
const PORT: u16 = 5432;
/// `sockaddr_un` holds 104 bytes on macOS, 108 on Linux, the closing NUL included.
const LONGEST_SOCKET_PATH: usize = 103;
/// How long a server may take until it accepts connections, for instance in crash recovery.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long another process may make and start the cluster: `initdb`, then `START_PATIENCE`.
const LOCK_PATIENCE: Duration = Duration::from_mins(3);

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
fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

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

/// The operating system's user that PostgreSQL runs as.
#[derive(Debug)]
struct Account {
    uid: u32,
    gid: u32,
    name: String,
    /// We are root, and have to become this user.
    switch: bool,
}

impl Account {
    /// Ourselves; as root, the owner of the cluster, and of a new one `postgres` or `nobody`.
    fn choose(cluster: &Path) -> Result<Self, Error> {
        let me = geteuid();
        let owner = fs::metadata(cluster).ok().map(|found| (found.uid(), found.gid()));
        if !me.is_root() {
            let account = Self::named(me.as_raw(), nix::unistd::getegid().as_raw(), false);
            return match owner {
                Some((owner, _)) if owner != account.uid => Err(account.does_not_own(cluster, owner)),
                _ => Ok(account),
            };
        }
        if let Some((uid, gid)) = owner.filter(|owner| owner.0 != 0) {
            return Ok(Self::named(uid, gid, true));
        }
        let mut users = ["postgres", "nobody"].iter().filter_map(|name| User::from_name(name).ok());
        let user = users.find_map(|user| user.filter(|user| !user.uid.is_root()));
        let user = user.ok_or(Error::NoUser)?;
        Ok(Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), name: user.name, switch: true })
    }

    fn named(uid: u32, gid: u32, switch: bool) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let name = user.map_or_else(|| uid.to_string(), |user| user.name);
        Self { uid, gid, name, switch }
    }

    fn does_not_own(&self, folder: &Path, owner: u32) -> Error {
        Error::ForeignFolder { folder: folder.to_owned(), owner, user: self.name.clone() }
    }

    /// Refuses a folder that this user cannot get to, and names the one that blocks the way.
    fn check_reach(&self, folder: &Path) -> Result<(), Error> {
        let mut way: Vec<_> = folder.ancestors().collect();
        way.reverse();
        for folder in way {
            let found = fs::metadata(folder).map_err(io_error("look at", folder))?;
            let enter = match () {
                () if found.uid() == self.uid => 0o100,
                () if found.gid() == self.gid => 0o010,
                () => 0o001,
            };
            if found.mode() & enter == 0 {
                return Err(Error::Unreachable { folder: folder.to_owned(), user: self.name.clone() });
            }
        }
        Ok(())
    }

    /// A program to run as this user, who need not be able to enter our working directory, nor
    /// to know our secrets: the server outlives us, and so would our environment.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir("/").stdin(Stdio::null());
        command.envs(["PATH", "TZ", "LD_LIBRARY_PATH"].iter().filter_map(|name| {
            Some((name, std::env::var_os(name)?)) // and no PGDATA, PGPORT…
        }));
        // English logs; and without a valid locale a server on macOS refuses to start.
        command.env("LC_ALL", "C").env("HOME", "/");
        if self.switch {
            command.uid(self.uid).gid(self.gid); // drops the supplementary groups, too
        }
        command
    }
}

/// Runs a program to its end; what it printed is the error if it fails.
async fn run(command: &mut Command) -> Result<Output, Error> {
    let program = PathBuf::from(command.as_std().get_program());
    let output = command.output().await.map_err(io_error("run", &program))?;
    if output.status.success() {
        return Ok(output);
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(Error::Program { program, output: last_lines(&printed) })
}

fn last_lines(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Folders that may hold PostgreSQL's programs, the preferred ones first.
async fn program_folders(account: &Account) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).filter(|it| it.is_absolute()).collect();
    if let Ok(output) = run(account.command(Path::new("pg_config")).arg("--bindir")).await {
        folders.push(OsStr::from_bytes(output.stdout.trim_ascii()).into());
    }
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),          // Debian, Ubuntu
        ("/usr", "pgsql-"),                   // Fedora, RHEL: the PostgreSQL project's packages
        ("/usr/lib", "postgresql"),           // SUSE
        ("/opt/homebrew/opt", "postgresql@"), // Homebrew on Apple silicon
        ("/usr/local/opt", "postgresql@"),    // Homebrew on Intel
        ("/Applications/Postgres.app/Contents/Versions", ""),
    ] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let mut versions: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| {
                let name = entry.file_name();
                let major = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
                Some((major, entry.path().join("bin")))
            })
            .collect();
        versions.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
        folders.extend(versions.into_iter().map(|(_, folder)| folder));
    }
    folders.extend(["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from));
    folders
}

/// The folder of the programs to use: of exactly the version that made the cluster, if it exists.
async fn find_programs(account: &Account, cluster: &Path) -> Result<PathBuf, Error> {
    let made_by = fs::read_to_string(cluster.join("PG_VERSION")).ok();
    let made_by = made_by.as_deref().map(str::trim);
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for folder in program_folders(account).await {
        // A link on the PATH and the folder it leads to are one and the same PostgreSQL.
        let Ok(program) = folder.join("postgres").canonicalize() else {
            continue;
        };
        let whole = folder.join("initdb").exists() && folder.join("pg_ctl").exists();
        if !whole || seen.contains(&program) {
            continue;
        }
        seen.push(program.clone());
        // Run as the account: programs that it cannot reach are of no use.
        let output = match run(account.command(&program).arg("--version")).await {
            Ok(output) => output,
            Err(error) => {
                found.push(format!("one that user {} cannot run ({error})", account.name));
                continue;
            }
        };
        let Some(major) = major_version(&String::from_utf8_lossy(&output.stdout)) else {
            continue;
        };
        if made_by.map_or(major >= OLDEST_MAJOR, |made_by| made_by == major.to_string()) {
            return Ok(folder);
        }
        found.push(format!("PostgreSQL {major} ({})", folder.display()));
    }
    let found = match found.join(", ") {
        none if none.is_empty() => return Err(Error::NotFound),
        found => found,
    };
    Err(match made_by {
        Some(made_by) => Error::OtherMajor { cluster: cluster.to_owned(), made_by: made_by.to_owned(), found },
        None => Error::TooOld { found },
    })
}

/// The 15 of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, the 19 of `… 19beta1`.
fn major_version(printed: &str) -> Option<u32> {
    let version = printed.strip_prefix("postgres (")?.split_once(") ")?.1;
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version[..end].parse().ok()
}

/// What is known of the server.
#[derive(Debug, PartialEq, Eq)]
enum Server {
    Ready,
    /// Starting, recovering or stopping.
    Busy,
    Down,
}

/// What a process id in a lock file belongs to.
#[derive(Debug, PartialEq, Eq)]
enum Process {
    Gone,
    /// The cluster's server, or perhaps so.
    Server,
    /// Certainly something else, or a zombie.
    Stranger,
}

/// The cluster, and how to run its server.
#[derive(Debug)]
struct Cluster {
    data_dir: PathBuf,
    dir: PathBuf,
    socket_dir: PathBuf,
    programs: PathBuf,
    account: Account,
}

impl Cluster {
    async fn locate(data_dir: PathBuf) -> Result<Self, Error> {
        let dir = data_dir.join("postgres");
        let account = Account::choose(&dir)?;
        if account.switch {
            account.check_reach(&data_dir)?;
        }
        let programs = find_programs(&account, &dir).await?;
        let socket_dir = socket_dir(&data_dir);
        Ok(Self { data_dir, dir, socket_dir, programs, account })
    }

    fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}"))
    }

    /// Removes what killed processes left of making a cluster; to be called under the start lock.
    fn remove_half_made(&self) {
        for entry in fs::read_dir(&self.data_dir).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(b"postgres.new-") {
                // Fails if an orphaned initdb still writes to it; then the next start removes it.
                _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Makes the cluster elsewhere and renames it into place, whole.
    async fn make(&self, no_sync: bool) -> Result<(), Error> {
        tracing::info!(cluster = %self.dir.display(), "making a private PostgreSQL cluster");
        // A fresh name each time: the initdb of a killed process may still write to its own.
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let new = self.data_dir.join(format!("postgres.new-{now}"));
        self.make_private_dir(&new)?;

        let mut initdb = self.account.command(&self.programs.join("initdb"));
        initdb.args(["-U", SUPERUSER, "-E", "UTF8", "--locale=C"]);
        initdb.args(["--auth-local=trust", "--auth-host=reject"]);
        initdb.args(no_sync.then_some("--no-sync"));
        run(initdb.arg("-D").arg(&new)).await?;

        let conf = new.join("postgresql.conf");
        let append = |conf: &Path| {
            let mut file = OpenOptions::new().append(true).open(conf)?;
            file.write_all(b"\n# Written anew before each start.\ninclude '../rally.conf'\n")?;
            file.sync_all()
        };
        append(&conf).map_err(io_error("write", &conf))?;
        fs::rename(&new, &self.dir)
            .and_then(|()| File::open(&self.data_dir)?.sync_all())
            .map_err(io_error("put the new cluster at", &self.dir))
    }

    /// Makes a folder only the account can enter, or checks that it is one.
    fn make_private_dir(&self, dir: &Path) -> Result<(), Error> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io_error("make the folder", dir)(error));
            }
            _ => {}
        }
        let found = fs::symlink_metadata(dir).map_err(io_error("look at", dir))?;
        // Ours, as root, if we just made it, or died between making it and giving it away.
        let ours = found.uid() == self.account.uid || found.uid() == geteuid().as_raw();
        if !ours || !found.is_dir() {
            return Err(self.account.does_not_own(dir, found.uid()));
        }
        if found.mode() & 0o077 != 0 {
            let open = io::Error::new(io::ErrorKind::PermissionDenied, "others can; chmod it 0700");
            return Err(io_error("keep others out of", dir)(open));
        }
        if found.uid() != self.account.uid {
            lchown(dir, Some(self.account.uid), Some(self.account.gid))
                .map_err(io_error("change the owner of", dir))?;
        }
        Ok(())
    }

    /// Starts the server, or waits for the one that is there; to be called under the start lock.
    async fn bring_up(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match self.server().await {
                Server::Ready => return Ok(()),
                _ if Instant::now() > deadline => return Err(self.not_ready()),
                Server::Busy => sleep(Duration::from_millis(100)).await,
                Server::Down => self.launch(settings).await?,
            }
        }
    }

    fn not_ready(&self) -> Error {
        let pid = self.pid_file().map_or_else(|| "unknown".to_owned(), |(pid, _)| pid.to_string());
        Error::NotReady { cluster: self.dir.clone(), socket: self.socket(), pid }
    }

    /// The process in the server's own lock file, and whether it says that it is ready.
    fn pid_file(&self) -> Option<(u32, bool)> {
        let text = fs::read_to_string(self.dir.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let ready = lines.nth(6).is_some_and(|status| status.trim() == "ready");
        Some((pid, ready))
    }

    async fn server(&self) -> Server {
        let answers = UnixStream::connect(self.socket()).is_ok();
        match self.pid_file() {
            Some((_, true)) if answers => Server::Ready,
            _ if answers => Server::Busy,
            Some((pid, _)) if self.process(pid).await == Process::Server => Server::Busy,
            _ => Server::Down,
        }
    }

    /// Whether a process id is the server's; when in doubt, it is.
    async fn process(&self, pid: u32) -> Process {
        let name = if cfg!(target_os = "linux") {
            // A server works in its cluster's folder, by whatever path it knows that folder.
            let cwd = fs::metadata(format!("/proc/{pid}/cwd"));
            if let (Ok(cwd), Ok(dir)) = (cwd, fs::metadata(&self.dir)) {
                let same = (cwd.dev(), cwd.ino()) == (dir.dev(), dir.ino());
                if same {
                    return Process::Server;
                }
                return Process::Stranger;
            }
            // Not ours to look into, not even as root in many containers, or a zombie, whose name
            // is empty. Names are public.
            let Ok(command) = fs::read(format!("/proc/{pid}/cmdline")) else {
                return Process::Gone;
            };
            let mut arguments = command.split(|byte| *byte == 0);
            arguments.next().unwrap_or_default().to_vec()
        } else {
            let mut ps = self.account.command(Path::new("ps"));
            ps.args(["-o", "comm=", "-p", &pid.to_string()]);
            match ps.output().await {
                Ok(output) if output.stdout.trim_ascii().is_empty() => return Process::Gone,
                Ok(output) => output.stdout,
                Err(_) => return Process::Server,
            }
        };
        let name = Path::new(OsStr::from_bytes(name.trim_ascii())).file_name();
        if name.is_some_and(|name| name == "postgres" || name == "postmaster") {
            Process::Server
        } else {
            Process::Stranger
        }
    }

    /// Starts the server, which is down. It may still turn out that somebody else just did.
    async fn launch(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        tracing::info!(cluster = %self.dir.display(), "starting the private PostgreSQL server");
        for file in [self.dir.join("postmaster.pid"), self.socket_dir.join(format!(".s.PGSQL.{PORT}.lock"))] {
            self.remove_if_stale(&file).await?;
        }
        self.write_settings(settings)?;
        // Each run has its own log: it cannot grow for ever, and tells why this start failed.
        let log = self.dir.join("server.log");
        _ = fs::rename(&log, self.dir.join("server.log.1"));
        // `pg_ctl` puts the server into a session of its own, safe from the terminal's Ctrl-C, and
        // all of its output into the log. It does so in a shell, without quoting: hence no path
        // on the command line, for those may contain quotes.
        let mut pg_ctl = self.account.command(&self.programs.join("pg_ctl"));
        pg_ctl.env("PGDATA", &self.dir).current_dir(&self.dir);
        pg_ctl.args(["start", "--silent", "-w", "-t", "60", "-l", "server.log"]);
        match run(&mut pg_ctl).await {
            Err(Error::Program { program, output }) if self.server().await == Server::Down => {
                let log = fs::read(&log).unwrap_or_default();
                let output = format!("{output}\n{}", last_lines(&log));
                Err(Error::Program { program, output })
            }
            Err(error @ Error::Io { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a lock file that would keep the server from starting although nobody holds it.
    ///
    /// A server overrides a lock file of a dead process, or of another user's, by itself, and
    /// more carefully than we can. But it cannot know a process of its own user that just got the
    /// same id, after a reboot or in a container; and nothing at all from an empty file.
    async fn remove_if_stale(&self, file: &Path) -> Result<(), Error> {
        let Ok(text) = fs::read_to_string(file) else {
            return Ok(());
        };
        let stale = match text.lines().next().and_then(|pid| pid.trim().parse().ok()) {
            Some(pid) => self.process(pid).await == Process::Stranger,
            // A starting server writes at once what it opened; a power failure may take it away.
            None => fs::metadata(file)
                .and_then(|found| found.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > Duration::from_secs(5))),
        };
        if stale {
            tracing::warn!(file = %file.display(), "removing a lock file that nobody holds");
            fs::remove_file(file).map_err(io_error("remove", file))?;
        }
        Ok(())
    }

    /// Written to the data folder, which is ours: root must not write where another user can put
    /// a link. The server's configuration includes it.
    fn write_settings(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let socket_dir = self.socket_dir.to_string_lossy().replace('"', "\"\"");
        let socket_dir = format!("\"{socket_dir}\""); // one entry of a comma-separated list
        let port = PORT.to_string();
        let own = [
            ("listen_addresses", ""),
            ("unix_socket_directories", &*socket_dir),
            ("unix_socket_permissions", "0700"),
            ("port", &*port),
            ("cluster_name", "rally-api-keys"), // seen in `ps`
        ];
        let mut text = String::from("# Written by rally-api-keys before each start.\n");
        for (name, value) in settings.iter().chain(&own) {
            _ = writeln!(text, "{name} = {}", quoted(value));
        }
        let path = self.data_dir.join("rally.conf");
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)))
            .map_err(io_error("write", &path))
    }

    /// Stops the server; to be called under both locks.
    async fn stop(&self) -> Result<(), Error> {
        // `pg_ctl` signals whatever process has the id in the file.
        match self.pid_file() {
            Some((pid, _)) if self.process(pid).await == Process::Server => {}
            _ => return Ok(()),
        }
        tracing::info!(cluster = %self.dir.display(), "stopping the private PostgreSQL server");
        let mut pg_ctl = self.account.command(&self.programs.join("pg_ctl"));
        pg_ctl.env("PGDATA", &self.dir);
        let stopped = run(pg_ctl.args(["stop", "--silent", "-m", "fast", "-w", "-t", "60"])).await;
        match stopped {
            Err(_) if self.server().await == Server::Down => Ok(()), // it died by itself
            stopped => stopped.map(drop),
        }
    }
}

/// The socket's folder: in the data folder, or in `/tmp` where that path does not do for a socket.
///
/// `/tmp` rather than `TMPDIR`, which may differ between two processes that have to meet here.
fn socket_dir(data_dir: &Path) -> PathBuf {
    let run = data_dir.join("run");
    let longest = run.join(format!(".s.PGSQL.{PORT}"));
    // A comma separates hosts in a connection string.
    let fits = |path: &str| path.len() <= LONGEST_SOCKET_PATH && !path.contains(',');
    if longest.to_str().is_some_and(fits) {
        return run;
    }
    // FNV-1a: the standard library's hash may change from one Rust to the next.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in data_dir.as_os_str().as_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    PathBuf::from(format!("/tmp/rally-{hash:016x}"))
}

/// A value as `postgresql.conf` wants it.
fn quoted(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
    format!("'{value}'")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    const FAST: &[(&str, &str)] = &[("fsync", "off"), ("shared_buffers", "1MB")];

    /// A data folder that root's `postgres`, too, can reach; removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("rally-test-{}-{name}", std::process::id());
            Self(Path::new("/tmp").canonicalize().unwrap().join(name))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // What a failed test left running; no process id comes from elsewhere than its folder.
            if let Ok(text) = fs::read_to_string(self.0.join("postgres/postmaster.pid")) {
                let pid = text.lines().next().unwrap_or_default();
                _ = std::process::Command::new("kill").args(["-9", pid]).status();
            }
            let run = socket_dir(&self.0);
            if !run.starts_with(&self.0) {
                _ = fs::remove_dir_all(run);
            }
            _ = fs::remove_dir_all(&self.0);
        }
    }

    impl PrivatePostgres {
        async fn query(&self, sql: &str) -> Result<String, Error> {
            let mut psql = self.cluster.account.command(Path::new("psql"));
            psql.arg("-h").arg(self.socket_dir()).args(["-p", &self.port().to_string()]);
            psql.args(["-U", self.user(), "-d", "postgres", "-AtXc", sql]);
            Ok(String::from_utf8(run(&mut psql).await?.stdout).unwrap().trim().to_owned())
        }

        fn pid(&self) -> u32 {
            self.cluster.pid_file().unwrap().0
        }
    }

    async fn kill_9(pid: u32) {
        run(Command::new("sh").args(["-c", &format!("kill -9 {pid}")])).await.unwrap();
        sleep(Duration::from_millis(300)).await;
    }

    #[test]
    fn versions() {
        for (printed, major) in [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n", Some(15)),
            ("postgres (PostgreSQL) 18.0\n", Some(18)),
            ("postgres (PostgreSQL) 19devel\n", Some(19)),
            ("postgres (PostgreSQL) 18beta1 (Homebrew)\n", Some(18)),
            ("postgres (PostgreSQL) 9.6.24\n", Some(9)),
            ("postgres (PostgreSQL) \n", None),
            ("something else 15.1\n", None),
        ] {
            assert_eq!(major_version(printed), major, "{printed}");
        }
    }

    #[test]
    fn quoting() {
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("it's C:\\x"), "'it''s C:\\\\x'");
        assert_eq!(quoted("a\nport = 1"), "'a\\nport = 1'");
    }

    #[test]
    fn a_long_folder_gets_a_short_socket() {
        assert_eq!(socket_dir(Path::new("/srv/rally")), Path::new("/srv/rally/run"));
        let long = PathBuf::from(format!("/srv/{}", "x".repeat(90)));
        assert_eq!(socket_dir(&long), Path::new("/tmp/rally-341b370382ff93ec"));
    }

    #[tokio::test]
    async fn starts_is_used_and_stops() {
        let folder = Folder::new("plain");
        fs::create_dir_all(folder.0.join("postgres.new-1/base")).unwrap(); // of a killed initdb
        let server = start(&folder.0, FAST).await.unwrap();
        assert_eq!(server.query("create table t (n int); select 41 + 1").await.unwrap(), "CREATE TABLE\n42");
        assert_eq!(server.query("show fsync").await.unwrap(), "off");
        assert_eq!(server.query("show listen_addresses").await.unwrap(), "");
        let left = fs::read_dir(&folder.0).unwrap().flatten().map(|entry| entry.file_name());
        assert!(!left.into_iter().any(|name| name.as_bytes().starts_with(b"postgres.new")));
        server.stop().await.unwrap();
        assert!(!folder.0.join("postgres/postmaster.pid").exists());

        let server = start(&folder.0, FAST).await.unwrap();
        assert_eq!(server.query("select count(*) from t").await.unwrap(), "0");
        server.stop().await.unwrap();
    }

    #[tokio::test]
    async fn the_last_of_several_users_stops_it() {
        let folder = Folder::new("shared");
        let (one, two) = tokio::join!(start(&folder.0, FAST), start(&folder.0, FAST));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.pid(), two.pid());
        one.stop().await.unwrap();
        assert_eq!(two.query("select 1").await.unwrap(), "1");
        drop(two); // as if it was killed
        let three = start(&folder.0, FAST).await.unwrap();
        assert_eq!(three.query("select 1").await.unwrap(), "1");
        three.stop().await.unwrap();
        assert!(!folder.0.join("postgres/postmaster.pid").exists());
    }

    #[tokio::test]
    async fn odd_folder_names() {
        for name in ["Application Support, it's \"$HOME\" `x` \\", &"long".repeat(40)] {
            let folder = Folder::new(name);
            let server = start(&folder.0, FAST).await.unwrap();
            assert_eq!(server.query("select 1").await.unwrap(), "1");
            server.stop().await.unwrap();
        }
    }

    #[tokio::test]
    async fn lock_files_of_the_dead() {
        let folder = Folder::new("stale");
        let server = start(&folder.0, FAST).await.unwrap();
        kill_9(server.pid()).await;
        let again = start(&folder.0, FAST).await.unwrap();
        assert_eq!(again.query("select 1").await.unwrap(), "1");
        drop(server);

        // The server dies, and its process id goes to another process of the same user.
        let pid_file = folder.0.join("postgres/postmaster.pid");
        let text = fs::read_to_string(&pid_file).unwrap();
        let old = again.pid();
        let mut stranger = again.cluster.account.command(Path::new("sleep")).arg("300").spawn().unwrap();
        let new = stranger.id().unwrap();
        kill_9(old).await;
        let socket_lock = again.socket_dir().join(".s.PGSQL.5432.lock");
        fs::write(&pid_file, text.replace(&old.to_string(), &new.to_string())).unwrap();
        fs::write(&socket_lock, format!("{new}\n")).unwrap();
        assert_eq!(again.cluster.server().await, Server::Down);
        let third = start(&folder.0, FAST).await.unwrap();
        assert_eq!(third.query("select 1").await.unwrap(), "1");
        assert_eq!(stranger.try_wait().unwrap(), None, "left alone");
        drop(again);
        third.stop().await.unwrap();
        _ = stranger.kill().await;

        // A crash left nothing but the file's name.
        File::create(&pid_file).unwrap().set_modified(UNIX_EPOCH).unwrap();
        let fourth = start(&folder.0, FAST).await.unwrap();
        fourth.stop().await.unwrap();
    }

    #[tokio::test]
    async fn failures_say_why() {
        let folder = Folder::new("failures");
        let error = start(&folder.0, &[("fsync", "off"), ("no_such_setting", "1")]).await.unwrap_err();
        assert!(error.to_string().contains("unrecognized configuration parameter"), "{error}");

        fs::write(folder.0.join("postgres/PG_VERSION"), "8\n").unwrap();
        let error = start(&folder.0, FAST).await.unwrap_err().to_string();
        assert!(error.contains("made by PostgreSQL 8") && error.contains("only PostgreSQL"), "{error}");

        if geteuid().is_root() {
            fs::create_dir(folder.0.join("closed")).unwrap();
            fs::set_permissions(folder.0.join("closed"), Permissions::from_mode(0o700)).unwrap();
            let error = start(&folder.0.join("closed/data"), FAST).await.unwrap_err();
            assert!(matches!(&error, Error::Unreachable { folder, .. } if folder.ends_with("closed")));
        }
    }
}
