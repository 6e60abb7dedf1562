//! Servers as child processes: instances of the service, and the baselines.

use std::{
    fs::{self, File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    time::{Instant, sleep, timeout},
};

use super::{
    Outcome,
    client::Connection,
    cpu,
    keys::{JWT_SECRET, PEPPER},
    postgres::Database,
};

/// For a start, readiness, and a stop.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Starts a server and prints its process id. Sends SIGTERM when its stdin closes, which also happens when this process
/// is killed. As the server's parent, it cannot signal another process with the same id.
const KEEPER: &str = r#"
    trap : INT TERM HUP
    "$@" >/dev/null &
    echo $!
    read -r _
    kill -TERM $! 2>/dev/null
    wait $!
"#;

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pid: String,
    log: PathBuf,
    alive: ChildStdin,
    keeper: Child,
}

impl Server {
    /// An instance of the service that is ready. Settings have their defaults, except for these. `BENCH_RUST_LOG` sets
    /// the log filter; by default, every request is logged.
    pub async fn instance(database: &Database, name: &str, settings: &[(&str, &str)]) -> Outcome<Self> {
        let server = Self::launch(database, name, settings).await?;
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// An instance that listens but may not be ready.
    pub async fn launch(database: &Database, name: &str, settings: &[(&str, &str)]) -> Outcome<Self> {
        Self::launch_program(Path::new(env!("CARGO_BIN_EXE_rally-api-keys")), database, name, settings).await
    }

    /// Starts the given binary of the service, without waiting until it is ready.
    pub async fn launch_program(
        program: &Path,
        database: &Database,
        name: &str,
        settings: &[(&str, &str)],
    ) -> Outcome<Self> {
        let log = std::env::var("BENCH_RUST_LOG").unwrap_or_default(); // empty counts as unset
        let url = database.url_text();
        let defaults = [
            ("DATABASE_URL", url.as_str()),
            ("LISTEN_ADDR", "127.0.0.1:0"),
            ("JWT_SECRET", JWT_SECRET),
            ("KEY_PEPPER", PEPPER),
            ("SHUTDOWN_GRACE_SECONDS", "10"),
            ("SHUTDOWN_DRAIN_SECONDS", "0"),
            ("RUST_LOG", log.as_str()),
        ];
        let settings: Vec<_> = defaults.iter().chain(settings).copied().collect();
        Self::start(database.dir(), name, program, None, &settings).await
    }

    /// Any program that logs the address that it listens on.
    pub async fn start(
        dir: &Path,
        name: &str,
        program: &Path,
        argument: Option<&str>,
        settings: &[(&str, &str)],
    ) -> Outcome<Self> {
        let log = dir.join(format!("{name}.log"));
        // The address is read from the log, which may be left from an earlier run with the same name.
        File::create(&log)?;
        // Appended to, so that it can be truncated while the server runs.
        let stderr = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg("keeper").arg(program).args(argument);
        // Without the caller's environment and `.env`, which could change what is measured.
        keeper.env_clear().current_dir(dir).envs(settings.iter().copied());
        keeper.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn()?;
        let alive = keeper.stdin.take().ok_or("the keeper has no stdin")?;
        let mut pid = String::new();
        BufReader::new(keeper.stdout.take().ok_or("the keeper has no stdout")?).read_line(&mut pid).await?;
        let address = logged_address(&log).await?;
        Ok(Self { address, pid: pid.trim().to_owned(), log, alive, keeper })
    }

    /// Waits until `/readyz` says "ready", which includes the change feed.
    pub async fn wait_until_ready(&self) -> Outcome<()> {
        let deadline = Instant::now() + TIMEOUT;
        let mut connection = Connection::open(self.address).await?;
        loop {
            let reply = connection.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
            if reply.status == 200 && reply.body.windows(7).any(|part| part == b"\"ready\"") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the service does not become ready; {}", last_lines(&self.log)).into());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// A line is logged for each request, hundreds of MB in total.
    pub fn empty_log(&self) -> Outcome<()> {
        Ok(OpenOptions::new().write(true).open(&self.log)?.set_len(0)?)
    }

    /// User and system time since the start.
    pub fn cpu(&self) -> Option<Duration> {
        cpu::of_process(&self.pid)
    }

    /// A line of `/proc/<pid>/status`, in MiB: `VmRSS`, or its peak, `VmHWM`.
    pub fn memory(&self, name: &str) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))
            .map_err(|error| format!("memory is read from Linux's /proc: {error}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib: f64 = line.and_then(|line| line.split_whitespace().next()).ok_or("no such line")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Sends a signal, by its name without SIG. The keeper has not waited for the process, so its id is not reused.
    pub async fn signal(&self, name: &str) -> Outcome<()> {
        let status = Command::new("kill").args(["-s", name, &self.pid]).status().await?;
        if status.success() { Ok(()) } else { Err(format!("kill -s {name} failed").into()) }
    }

    /// Sends SIGKILL and waits.
    pub async fn kill(self) -> Outcome<()> {
        self.signal("KILL").await?;
        self.stop().await
    }

    /// Sends SIGTERM and waits.
    pub async fn stop(mut self) -> Outcome<()> {
        drop(self.alive);
        timeout(TIMEOUT, self.keeper.wait()).await.map_err(|_| "a server does not stop")??;
        Ok(())
    }
}

/// The address that a server logs when it listens.
async fn logged_address(log: &Path) -> Outcome<SocketAddr> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let text = fs::read_to_string(log)?;
        let address = text.split_once("listening address=").and_then(|(_, rest)| rest.split_once(char::is_whitespace));
        if let Some((address, _)) = address {
            return Ok(address.parse()?);
        }
        if Instant::now() > deadline {
            return Err(format!("a server does not start; {}", last_lines(log)).into());
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    format!("its log ends:\n{}", lines[lines.len().saturating_sub(10)..].join("\n"))
}
