//! The cluster: made, started, looked at and stopped.

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
use crate::{PORT, START_PATIENCE, SUPERUSER};

/// `sockaddr_un` holds 104 bytes on macOS, 108 on Linux, the closing NUL included.
const LONGEST_SOCKET_PATH: usize = 103;

/// What is known of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Ready,
    /// Starting, recovering or stopping.
    Overloaded,
    Down,
}

/// What a process id in a lock file belongs to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Process {
    Gone,
    /// The cluster's server, or perhaps so.
    Server,
    /// Certainly something else, or a zombie.
    Stranger,
}

/// The cluster, and how to run its server.
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
            account.check_reach(&data_dir)?;
        }
        let programs = find_programs(&account, &dir).await?;
        let socket_dir = socket_dir(&data_dir);
        Ok(Self { data_dir, dir, socket_dir, programs, account })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket_dir.join(format!(".s.PGSQL.{PORT}"))
    }

    /// Removes what killed processes left of making a cluster; to be called under the start lock.
    pub(crate) fn remove_half_made(&self) {
        for entry in fs::read_dir(&self.data_dir).into_iter().flatten().flatten() {
            if entry.file_name().as_bytes().starts_with(b"postgres.new-") {
                // Fails if an orphaned initdb still writes to it; then the next start removes it.
                _ = fs::remove_dir_all(entry.path());
            }
        }
    }

    /// Makes the cluster elsewhere and renames it into place, whole.
    pub(crate) async fn make(&self, no_sync: bool) -> Result<(), Error> {
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
    pub(crate) fn make_private_dir(&self, dir: &Path) -> Result<(), Error> {
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
    pub(crate) async fn bring_up(&self, settings: &[(&str, &str)]) -> Result<(), Error> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            match self.server().await {
                Server::Ready => return Ok(()),
                _ if Instant::now() > deadline => return Err(self.not_ready()),
                Server::Overloaded => sleep(Duration::from_millis(100)).await,
                Server::Down => self.launch(settings).await?,
            }
        }
    }

    fn not_ready(&self) -> Error {
        let pid = self.pid_file().map_or_else(|| "unknown".to_owned(), |(pid, _)| pid.to_string());
        Error::NotReady { cluster: self.dir.clone(), socket: self.socket(), pid }
    }

    /// The process in the server's own lock file, and whether it says that it is ready.
    pub(crate) fn pid_file(&self) -> Option<(u32, bool)> {
        let text = fs::read_to_string(self.dir.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok()?;
        let ready = lines.nth(6).is_some_and(|status| status.trim() == "ready");
        Some((pid, ready))
    }

    pub(crate) async fn server(&self) -> Server {
        let answers = UnixStream::connect(self.socket()).is_ok();
        match self.pid_file() {
            Some((_, true)) if answers => Server::Ready,
            _ if answers => Server::Overloaded,
            Some((pid, _)) if self.process(pid).await == Process::Server => Server::Overloaded,
            _ => Server::Down,
        }
    }

    /// Whether a process id is the server's; when in doubt, it is.
    pub(crate) async fn process(&self, pid: u32) -> Process {
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
    pub(crate) async fn stop(&self) -> Result<(), Error> {
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
pub(crate) fn socket_dir(data_dir: &Path) -> PathBuf {
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
pub(crate) fn quoted(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
    format!("'{value}'")
}
