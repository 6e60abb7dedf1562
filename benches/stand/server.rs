//! Servers as child processes: instances of the service, and what they are compared with.

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
    keys::{JWT_SECRET, PEPPER},
    postgres::Database,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a server and tells its id; stops it by SIGTERM when stdin closes, which it does with
/// this process, however that ends. As the server's parent it cannot mistake another for it.
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
    /// An instance of the service with its default settings but for these; with a working change
    /// feed. It logs a line per request, as by default, unless `BENCH_RUST_LOG` says otherwise.
    pub async fn instance(database: &Database, name: &str, settings: &[(&str, &str)]) -> Outcome<Self> {
        let server = Self::launch(database, name, settings).await?;
        server.wait_until_ready().await?;
        Ok(server)
    }

    /// The same as soon as it listens.
    pub async fn launch(database: &Database, name: &str, settings: &[(&str, &str)]) -> Outcome<Self> {
        let log = std::env::var("BENCH_RUST_LOG").unwrap_or_default(); // empty counts as unset
        let url = database.url_text();
        let ours = [
            ("DATABASE_URL", url.as_str()),
            ("LISTEN_ADDR", "127.0.0.1:0"),
            ("JWT_SECRET", JWT_SECRET),
            ("KEY_PEPPER", PEPPER),
            ("SHUTDOWN_GRACE_SECONDS", "10"),
            ("SHUTDOWN_DRAIN_SECONDS", "0"),
            ("RUST_LOG", log.as_str()),
        ];
        let settings: Vec<_> = ours.iter().chain(settings).copied().collect();
        let program = Path::new(env!("CARGO_BIN_EXE_rally-api-keys"));
        Self::start(database.dir(), name, program, None, &settings).await
    }

    /// Any program that logs where it listens.
    pub async fn start(
        dir: &Path,
        name: &str,
        program: &Path,
        argument: Option<&str>,
        settings: &[(&str, &str)],
    ) -> Outcome<Self> {
        let log = dir.join(format!("{name}.log"));
        // It is looked into for the address, and may be that of an earlier run of the same name.
        File::create(&log)?;
        // Appended to, so that it can be emptied under way.
        let stderr = OpenOptions::new().create(true).append(true).open(&log)?;
        let mut keeper = Command::new("sh");
        keeper.arg("-c").arg(KEEPER).arg("keeper").arg(program).args(argument);
        // Nothing of the caller's environment, nor of a `.env`, changes what is measured.
        keeper.env_clear().current_dir(dir).envs(settings.iter().copied());
        keeper.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr).spawn()?;
        let alive = keeper.stdin.take().ok_or("the keeper has no stdin")?;
        let mut pid = String::new();
        BufReader::new(keeper.stdout.take().ok_or("the keeper has no stdout")?).read_line(&mut pid).await?;
        let address = listening(&log).await?;
        Ok(Self { address, pid: pid.trim().to_owned(), log, alive, keeper })
    }

    /// Until it serves, and hears of changes.
    pub async fn wait_until_ready(&self) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut connection = Connection::open(self.address).await?;
        loop {
            let reply = connection.send("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
            if reply.status == 200 && reply.body.windows(7).any(|part| part == b"\"ready\"") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("the service does not get ready; {}", last_lines(&self.log)).into());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// A line is logged per request, hundreds of MB in all.
    pub fn empty_log(&self) -> Outcome<()> {
        Ok(OpenOptions::new().write(true).open(&self.log)?.set_len(0)?)
    }

    /// How long it has used a core so far.
    pub fn cpu(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // The program's name, in parentheses, may hold blanks. Then utime and stime are fields 14
        // and 15 of proc(5), in clock ticks, which are hundredths of a second on Linux.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Duration::from_millis(10 * (ticks(14)? + ticks(15)?)))
    }

    /// A line of `/proc/<pid>/status`, in MiB: `VmRSS`, or `VmHWM`, the highest it ever was.
    pub fn memory(&self, name: &str) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))
            .map_err(|error| format!("memory is read from Linux's /proc: {error}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kib: f64 = line.and_then(|line| line.split_whitespace().next()).ok_or("no such line")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Sends a signal, by its name without SIG. Its parent is still there, so the id is no other's.
    pub async fn signal(&self, name: &str) -> Outcome<()> {
        let status = Command::new("kill").args(["-s", name, &self.pid]).status().await?;
        if status.success() { Ok(()) } else { Err(format!("kill -s {name} failed").into()) }
    }

    /// Ends it without a word, and waits.
    pub async fn kill(self) -> Outcome<()> {
        self.signal("KILL").await?;
        self.stop().await
    }

    /// Stops it by SIGTERM and waits.
    pub async fn stop(mut self) -> Outcome<()> {
        drop(self.alive);
        timeout(PATIENCE, self.keeper.wait()).await.map_err(|_| "a server does not stop")??;
        Ok(())
    }
}

/// The address that a server logs once it listens.
async fn listening(log: &Path) -> Outcome<SocketAddr> {
    let deadline = Instant::now() + PATIENCE;
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
