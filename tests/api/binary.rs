//! Runs the real binary as a process with only the environment variables that a test sets.

use std::{
    fs::{self, File},
    net::SocketAddr,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child as StdChild, ExitStatus, Output, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    client::{Client, Credential},
    harness::{JWT_SECRET, PEPPER, TestDatabase, clean_up_afterwards, scratch_dir},
};

const PATIENCE: Duration = Duration::from_mins(1);

/// The binary's home and working folder. When this is dropped, a private PostgreSQL in its data folder is stopped and
/// the folder is removed.
pub struct Home {
    dir: PathBuf,
    data_dir: PathBuf,
    program: PathBuf,
    user: Option<u32>,
    cleaner: StdChild,
    runs: AtomicUsize,
}

impl Home {
    /// The binary runs as the user that runs the tests, with a `DATA_DIR` within the folder.
    pub fn new(name: &str) -> Self {
        let dir = scratch_dir(name);
        Self::at(dir.clone(), dir.join("data"), None)
    }

    /// The binary runs as another user, without `DATA_DIR`. Needs root.
    pub fn of_user(name: &str, user: u32) -> Self {
        let dir = scratch_dir(name);
        chown(&dir, Some(user), Some(user)).expect("changing the owner of a folder needs root");
        Self::at(dir.clone(), dir.join(".local/share/rally-api-keys"), Some(user))
    }

    fn at(dir: PathBuf, data_dir: PathBuf, user: Option<u32>) -> Self {
        // In the test's folder, which every user can read, unlike the target folder.
        let (built, program) = (env!("CARGO_BIN_EXE_rally-api-keys"), dir.join("rally-api-keys"));
        fs::hard_link(built, &program).or_else(|_| fs::copy(built, &program).map(drop)).expect("the program is copied");
        let cleaner = clean_up_afterwards(&data_dir);
        Self { dir, data_dir, program, user, cleaner, runs: AtomicUsize::new(0) }
    }

    /// The working folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder of the private PostgreSQL.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The process id of the private PostgreSQL server, if it runs.
    pub fn postgres(&self) -> Option<u32> {
        let text = fs::read_to_string(self.data_dir.join("postgres/postmaster.pid")).ok()?;
        let pid: u32 = text.lines().next()?.parse().ok()?;
        runs(pid).then_some(pid)
    }

    /// A command that runs the binary with these settings and no others.
    fn command(&self, args: &[&str], settings: &[(&str, &str)]) -> Command {
        self.command_by(&self.program, args, settings)
    }

    /// A command like that of [`Self::command`] for another program, which starts the binary.
    fn command_by(&self, program: &Path, args: &[&str], settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().current_dir(&self.dir).stdin(Stdio::null()).kill_on_drop(true);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &self.dir);
        match self.user {
            Some(user) => {
                command.uid(user).gid(user);
            }
            None => {
                command.env("DATA_DIR", &self.data_dir);
            }
        }
        command.envs(settings.iter().copied());
        command
    }

    /// Runs a command and waits for its end.
    pub async fn run(&self, args: &[&str], settings: &[(&str, &str)]) -> Output {
        timeout(PATIENCE, self.command(args, settings).output())
            .await
            .expect("the command ends in time")
            .expect("the process starts")
    }

    /// Runs a command that must succeed, and returns its standard output.
    pub async fn succeed(&self, args: &[&str], settings: &[(&str, &str)]) -> String {
        let output = self.run(args, settings).await;
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Like [`Self::succeed`], with that text on the standard input.
    pub async fn succeed_with_input(&self, args: &[&str], settings: &[(&str, &str)], input: &str) -> String {
        let mut command = self.command(args, settings);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the process starts");
        process.stdin.take().expect("a pipe").write_all(input.as_bytes()).await.expect("the input is read");
        let output = timeout(PATIENCE, process.wait_with_output()).await.expect("the command ends in time");
        let output = output.expect("output");
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs a command that must fail with status 1, and returns the message after `rally-api-keys: `.
    pub async fn fail(&self, args: &[&str], settings: &[(&str, &str)]) -> String {
        let output = self.run(args, settings).await;
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
        let text = String::from_utf8(output.stderr).expect("text");
        let (_, message) = text.split_once("rally-api-keys: ").unwrap_or_else(|| panic!("{args:?}: {text}"));
        message.to_owned()
    }

    /// Starts the service on a free port without waiting until it listens.
    pub fn launch(&self, settings: &[(&str, &str)]) -> Starting {
        self.launch_by(&[], settings)
    }

    /// Like [`Self::launch`], with arguments.
    pub fn launch_by(&self, args: &[&str], settings: &[(&str, &str)]) -> Starting {
        self.start(self.command(args, &[]), settings)
    }

    /// Like [`Self::launch`], with a resource limit given as arguments of the shell's `ulimit`.
    pub fn launch_under(&self, limit: &str, settings: &[(&str, &str)]) -> Starting {
        let script = format!("ulimit {limit} && exec {}", self.program.display());
        self.start(self.command_by(Path::new("sh"), &["-c", &script], &[]), settings)
    }

    fn start(&self, mut command: Command, settings: &[(&str, &str)]) -> Starting {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str| self.dir.join(format!("{run}.{name}"));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        let child = command
            // No drain, since no other instance takes over. The test of the drain overrides this.
            .envs([("LISTEN_ADDR", "127.0.0.1:0"), ("SHUTDOWN_DRAIN_SECONDS", "0")])
            .envs(settings.iter().copied())
            .stdout(File::create(&stdout).expect("a file"))
            .stderr(File::create(&stderr).expect("a file"))
            .spawn()
            .expect("a process");
        Starting { child, stdout, stderr }
    }

    /// Starts the service on a test's database, and waits until it listens.
    pub async fn serve_on(&self, database: &TestDatabase) -> Service {
        let url = database.url_text(None).await;
        let settings = [("DATABASE_URL", url.as_str()), ("JWT_SECRET", JWT_SECRET), ("KEY_PEPPER", PEPPER)];
        self.serve(&settings).await
    }

    /// Starts the service with a standard error to which every write fails.
    pub fn serve_without_log(&self, address: SocketAddr, settings: &[(&str, &str)]) -> Child {
        let address = address.to_string();
        let settings = [&[("LISTEN_ADDR", address.as_str())], settings].concat();
        let full = File::options().write(true).open("/dev/full").expect("/dev/full needs Linux");
        self.command(&[], &settings).stdout(Stdio::null()).stderr(full).spawn().expect("the process starts")
    }

    /// Starts the service on a free port, and waits until it listens.
    pub async fn serve(&self, settings: &[(&str, &str)]) -> Service {
        self.launch(settings).listening().await
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.cleaner.stdin.take());
        let _ = self.cleaner.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A service process that may not listen yet.
pub struct Starting {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Starting {
    /// Sends a signal, and waits for the end. Returns the exit status and the log.
    pub async fn end_by(mut self, name: &str) -> (ExitStatus, String) {
        signal(self.child.id().expect("a process whose end was not awaited"), name).await;
        let status = timeout(PATIENCE, self.child.wait()).await.expect("the process ends in time");
        (status.expect("an exit status"), fs::read_to_string(&self.stderr).expect("a log"))
    }

    /// Waits until the service listens.
    pub async fn listening(mut self) -> Service {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = read(&self.stderr);
            if let Some(address) = address(&log) {
                return Service { address, child: self.child, stdout: self.stdout, stderr: self.stderr };
            }
            let ended = self.child.try_wait().expect("a status");
            assert!(ended.is_none() && Instant::now() < deadline, "the service does not listen ({ended:?}): {log}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The address in the log line about listening, in text or JSON format.
fn address(log: &str) -> Option<SocketAddr> {
    // The last line may be incomplete.
    let (lines, _) = log.rsplit_once('\n')?;
    let line = lines.lines().find(|line| line.contains("listening") && line.contains("base_domain"))?;
    let at = line.find("127.0.0.1:")?;
    let text = &line[at..];
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ':').unwrap_or(text.len());
    text[..end].parse().ok()
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned()
}

/// A service process that listens.
pub struct Service {
    pub address: SocketAddr,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Service {
    /// Its log so far.
    pub fn log(&self) -> String {
        read(&self.stderr)
    }

    /// Waits until its standard output contains `end`, and returns the whole output.
    pub async fn printed(&self, end: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = read(&self.stdout);
            if text.contains(end) {
                return text;
            }
            assert!(Instant::now() < deadline, "{text}\n{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// A client of tenant `slug`.
    pub fn client(&self, slug: &str, credential: Credential) -> Client {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(40)).build().expect("a client");
        Client::new(http, format!("http://{}", self.address), format!("{slug}.localhost"), credential)
    }

    /// The id of the user that it runs as.
    pub fn user(&self) -> u32 {
        // The owner of the files in /proc/<pid> is root, since the process allows no core dumps.
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a user");
        line.split_whitespace().next().and_then(|uid| uid.parse().ok()).expect("a number")
    }

    /// The soft limit of its open files.
    pub fn file_limit(&self) -> u64 {
        let limits = fs::read_to_string(format!("/proc/{}/limits", self.pid())).expect("Linux");
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a limit of open files");
        line.split_whitespace().next().and_then(|soft| soft.parse().ok()).expect("a number")
    }

    /// The CPU time of all its threads so far.
    #[cfg(target_os = "linux")]
    pub fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("Linux");
        // utime and stime (proc(5)), in ticks of 10 ms; the command before them may contain spaces.
        let fields = stat.rsplit(')').next().expect("fields").split_whitespace().skip(11).take(2);
        Duration::from_millis(fields.map(|ticks| 10 * ticks.parse::<u64>().expect("ticks")).sum())
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("a process whose end was not awaited")
    }

    /// Sends a signal. `name` is without `SIG`.
    pub async fn signal(&self, name: &str) {
        signal(self.pid(), name).await;
    }

    /// Sends SIGTERM and waits for the end. Returns the exit status and the whole log.
    pub async fn terminate(self) -> (ExitStatus, String) {
        signal(self.pid(), "TERM").await;
        self.ended().await
    }

    /// Sends SIGKILL and waits for the end.
    pub async fn kill(self) {
        signal(self.pid(), "KILL").await;
        self.ended().await;
    }

    /// Waits for the end. Returns the exit status and the whole log.
    pub async fn ended(mut self) -> (ExitStatus, String) {
        let status =
            timeout(PATIENCE, self.child.wait()).await.expect("the process ends in time").expect("an exit status");
        (status, self.log())
    }
}

/// True if a process runs. A zombie does not: its command line is empty.
pub fn runs(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty())
}

/// Sends a signal to a process that the test has started. `name` is without `SIG`.
pub async fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().await.expect("sh");
    assert!(status.success(), "kill -{name} {pid}");
}

/// Stops the private PostgreSQL in the folder at once, without a shutdown checkpoint, as in a crash.
pub async fn crash_postgres(data_dir: &Path) {
    let pid = fs::read_to_string(data_dir.join("postgres/postmaster.pid")).expect("PostgreSQL runs");
    let pid: u32 = pid.lines().next().and_then(|pid| pid.trim().parse().ok()).expect("a process id");
    signal(pid, "QUIT").await;
    let deadline = Instant::now() + PATIENCE;
    while runs(pid) {
        assert!(Instant::now() < deadline, "PostgreSQL does not stop");
        sleep(Duration::from_millis(20)).await;
    }
}
