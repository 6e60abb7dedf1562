//! The cluster: creates it, and starts, inspects and stops its server.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, lchown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use nix::unistd::geteuid;
use tokio::time::{Instant, sleep};

use crate::account::{Account, last_lines, run};
use crate::error::{Error, io_error};
use crate::programs::find_programs;
use crate::{PORT, START_TIMEOUT, SUPERUSER};

/// In bytes. `sockaddr_un` holds 104 on macOS and 108 on Linux, with the terminating NUL.
const MAX_SOCKET_PATH: usize = 103;

/// Options for the locale of a new cluster; the first that this PostgreSQL and this system have is used. All order text by
/// code points; the last one knows no letters beyond ASCII.
const LOCALES: [&[&str]; 3] = [
    &["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"], // PostgreSQL 17 and newer
    &["--locale=C.UTF-8"],
    &["--locale=C"],
];

/// The server's state.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Ready,
    /// Starting, recovering or stopping.
    NotReady,
    Down,
}

/// What the process with the id in a lock file is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Gone,
    /// The cluster's server, or possibly so.
    Server,
    /// Certainly another program, or a zombie.
    Other,
}

/// A cluster's paths, and the account and programs that run its server.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) data_dir: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) socket_dir: PathBuf,
    pub(crate) programs: PathBuf,
    pub(crate) account: Account,
}

impl Cluster {
    pub(crate) async fn locate(data_dir: PathBuf) -> Result<Self, Error> {
        let dir = data_dir.join("postgres");
        let account = Account::choose(&dir)?;
        if account.switch {
            account.check_access(&data_dir)?;
        }
        let programs = find_programs(&account, &dir).await?;
        let socket_dir = socket_dir(&data_dir);
        Ok(Self { data_dir, dir, socket_dir, programs, account })
    }

    pub(crate) fn exists(&self) -> Result<bool, Error> {
        exists(&self.dir)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}"))
    }

    /// Removes the unfinished clusters of killed processes. The caller holds the start lock.
    pub(crate) fn remove_unfinished(&self) {
        for entry in fs::read_dir(&self.data_dir).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(b"postgres.new-") {
                // Fails while an orphaned initdb still writes to it. Then a later start removes it.
                _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Creates the cluster under a temporary name and renames it once it is complete.
    pub(crate) async fn create(&self, no_sync: bool) -> Result<(), Error> {
        tracing::info!(cluster = %self.dir.display(), "creating a private PostgreSQL cluster");
        // A new name each time: the initdb of a killed process may still write to its folder.
        let now = UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let new = self.data_dir.join(format!("postgres.new-{now}"));
        self.create_private_dir(&new)?;

        let mut outcome = Ok(());
        for locale in LOCALES {
            let mut initdb = self.account.command(&self.programs.join("initdb"));
            initdb.args(["-U", SUPERUSER, "-E", "UTF8"]).args(locale);
            initdb.args(["--auth-local=trust", "--auth-host=reject"]);
            initdb.args(no_sync.then_some("--no-sync"));
            outcome = run(initdb.arg("-D").arg(&new)).await.map(drop);
            if outcome.is_ok() {
                break; // otherwise it has removed what it had written
            }
        }
        outcome?;

        let conf = new.join("postgresql.conf");
        let append = |conf: &Path| {
            let mut file = OpenOptions::new().append(true).open(conf)?;
            file.write_all(b"\n# Rewritten before each start.\ninclude '../rally.conf'\n")?;
            file.sync_all()
        };
        append(&conf).map_err(io_error("write", &conf))?;
        fs::rename(&new, &self.dir)
            .and_then(|()| File::open(&self.data_dir)?.sync_all())
            .map_err(io_error("move the new cluster to", &self.dir))
    }

    /// Creates a folder that only the account can enter, or checks that an existing one is.
    pub(crate) fn create_private_dir(&self, dir: &Path) -> Result<(), Error> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(io_error("create the folder", dir)(error));
            }
            _ => {}
        }
        let found = fs::symlink_metadata(dir).map_err(io_error("read the metadata of", dir))?;
        // It belongs to root if it was just created, or if an earlier process ended before the change of owner below.
        let owned = found.uid() == self.account.uid || found.uid() == geteuid().as_raw();
        if !owned || !found.is_dir() {
            return Err(self.account.does_not_own(dir, found.uid()));
        }
        if found.mode() & 0o077 != 0 {
            let open =
                io::Error::new(io::ErrorKind::PermissionDenied, "other users can enter it; run chmod 0700 on it");
            return Err(io_error("use the folder", dir)(open));
        }
        if found.uid() != self.account.uid {
            lchown(dir, Some(self.account.uid), Some(self.account.gid))
                .map_err(io_error("change the owner of", dir))?;
        }
        Ok(())
    }

    /// Starts the server, or waits until the running one is ready. The caller holds the start lock.
    pub(crate) async fn ensure_running(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match self.server().await {
                Server::Ready => return Ok(()),
                _ if Instant::now() > deadline => return Err(self.not_ready()),
                Server::NotReady => sleep(Duration::from_millis(100)).await,
                Server::Down => self.launch(settings).await?,
            }
        }
    }

    fn not_ready(&self) -> Error {
        let pid = self.pid_file().map_or_else(|| "unknown".to_owned(), |(pid, _)| pid.to_string());
        Error::NotReady { cluster: self.dir.clone(), socket: self.socket(), pid }
    }

    /// The process id in the server's lock file, and whether the file says that the server is ready.
    pub(crate) fn pid_file(&self) -> Option<(u32, bool)> {
        let text = fs::read_to_string(self.dir.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        // A standby accepts connections, too.
        let ready = lines.nth(6).is_some_and(|status| matches!(status.trim(), "ready" | "standby"));
        Some((pid, ready))
    }

    pub(crate) async fn server(&self) -> Server {
        let accepts = UnixStream::connect(self.socket()).is_ok();
        match self.pid_file() {
            Some((_, true)) if accepts => Server::Ready,
            _ if accepts => Server::NotReady,
            Some((pid, _)) if self.process(pid).await == Process::Server => Server::NotReady,
            _ => Server::Down,
        }
    }

    /// Identifies a process. If that is impossible, it counts as the server.
    pub(crate) async fn process(&self, pid: u32) -> Process {
        let name = if cfg!(target_os = "linux") {
            // A server's working directory is its cluster.
            let cwd = fs::metadata(format!("/proc/{pid}/cwd"));
            if let (Ok(cwd), Ok(dir)) = (cwd, fs::metadata(&self.dir)) {
                let same = (cwd.dev(), cwd.ino()) == (dir.dev(), dir.ino());
                if same {
                    return Process::Server;
                }
                return Process::Other;
            }
            // A process of another user, which even root may not inspect in many containers, or a zombie, whose command
            // line is empty. Command lines are public.
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
            Process::Other
        }
    }

    /// Starts the server, which is down. Not an error if another process has started it meanwhile.
    async fn launch(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        tracing::info!(cluster = %self.dir.display(), "starting the private PostgreSQL server");
        for file in [self.dir.join("postmaster.pid"), self.socket_dir.join(format!(".s.PGSQL.{PORT}.lock"))] {
            self.remove_if_stale(&file).await?;
        }
        self.write_settings(settings)?;
        // A log for each run, so that it stays small and its end says why this start failed.
        let log = self.dir.join("server.log");
        _ = fs::rename(&log, self.dir.join("server.log.1"));
        // `pg_ctl` starts the server in a session of its own, which the terminal's Ctrl-C does not reach, and redirects
        // its output to the log. It does so by a shell without quoting: paths, which may contain quotes, are passed in
        // the environment.
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

    /// Removes a stale lock file that would prevent the start.
    ///
    /// The server itself ignores a lock file of a dead process or of another user's process. It does not start if a
    /// process of its own user has got the same id since, as after a reboot or in a container, or if the file is empty.
    async fn remove_if_stale(&self, file: &Path) -> Result<(), Error> {
        let Ok(text) = fs::read_to_string(file) else {
            return Ok(());
        };
        let stale = match text.lines().next().and_then(|pid| pid.trim().parse().ok()) {
            Some(pid) => self.process(pid).await == Process::Other,
            // A server writes the file as soon as it has created it. A power failure can leave it empty.
            None => fs::metadata(file)
                .and_then(|found| found.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > Duration::from_secs(5))),
        };
        if stale {
            tracing::warn!(file = %file.display(), "removing a stale lock file: no PostgreSQL server holds it");
            fs::remove_file(file).map_err(io_error("remove", file))?;
        }
        Ok(())
    }

    /// Writes the settings that `postgresql.conf` includes. They are in the data folder and not in the cluster: root must
    /// not write where another user can place a link.
    fn write_settings(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let socket_dir = self.socket_dir.to_string_lossy().replace('"', "\"\"");
        let socket_dir = format!("\"{socket_dir}\""); // an item of a comma-separated list
        let port = PORT.to_string();
        let own = [
            ("listen_addresses", ""),
            ("unix_socket_directories", &*socket_dir),
            ("unix_socket_permissions", "0700"),
            ("port", &*port),
            ("cluster_name", "rally-api-keys"), // shown by `ps`
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

    /// Stops the server. The caller holds both locks.
    pub(crate) async fn stop(&self) -> Result<(), Error> {
        // `pg_ctl` signals any process that has the id in the file.
        match self.pid_file() {
            Some((pid, _)) if self.process(pid).await == Process::Server => {}
            _ => return Ok(()),
        }
        tracing::info!(cluster = %self.dir.display(), "stopping the private PostgreSQL server");
        let mut pg_ctl = self.account.command(&self.programs.join("pg_ctl"));
        pg_ctl.env("PGDATA", &self.dir);
        let stopped = run(pg_ctl.args(["stop", "--silent", "-m", "fast", "-w", "-t", "60"])).await;
        match stopped {
            Err(_) if self.server().await == Server::Down => Ok(()), // it has ended by itself
            stopped => stopped.map(drop),
        }
    }
}

/// True if `dir` is a data directory of PostgreSQL.
pub(crate) fn exists(dir: &Path) -> Result<bool, Error> {
    let version = dir.join("PG_VERSION");
    version.try_exists().map_err(io_error("look for", &version))
}

/// The socket's folder: in the data folder, or in `/tmp` if that path is unusable for a socket.
///
/// Not in `TMPDIR`, which may differ between two processes that share the server.
pub(crate) fn socket_dir(data_dir: &Path) -> PathBuf {
    let run = data_dir.join("run");
    let longest = run.join(format!(".s.PGSQL.{PORT}"));
    // In a connection string, a comma separates hosts.
    let fits = |path: &str| path.len() <= MAX_SOCKET_PATH && !path.contains(',');
    if longest.to_str().is_some_and(fits) {
        return run;
    }
    // FNV-1a: the standard library's hash may differ between versions of Rust.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in data_dir.as_os_str().as_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    PathBuf::from(format!("/tmp/rally-{hash:016x}"))
}

/// A value in the syntax of `postgresql.conf`.
pub(crate) fn quoted(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
    format!("'{value}'")
}
