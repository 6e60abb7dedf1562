//! Runs wrk, which sends requests as fast as the server responds.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    thread::available_parallelism,
};

use tokio::process::Command;

use crate::Outcome;

/// Sends the requests of a file, one per line, in random order. They are built before the measurement starts. `|` stands
/// for a line end within a request.
const SCRIPT: &str = r#"
local requests = {}
local random = math.random
local threads = 0

function setup(thread)
    threads = threads + 1
    thread:set("number", threads)
end

function init(args)
    math.randomseed(os.time() * 16 + number)
    for line in io.lines(args[1]) do
        requests[#requests + 1] = line:gsub("|", "\r\n")
    end
end

function request()
    return requests[random(#requests)]
end
"#;

/// Prints the result in a form that this program reads.
const RESULT_SCRIPT: &str = r#"
function done(summary)
    local errors = summary.errors
    io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
"#;

pub fn find() -> Outcome<PathBuf> {
    on_path("wrk").ok_or_else(|| "wrk is not installed: sudo apt-get install wrk, or brew install wrk".into())
}

pub fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Writes requests in the format that the script reads.
pub fn write_requests(path: &Path, requests: &[String]) -> Outcome<()> {
    let lines: Vec<String> = requests.iter().map(|request| request.replace("\r\n", "|")).collect();
    Ok(fs::write(path, lines.join("\n"))?)
}

/// The result of a measurement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub requests: u64,
    pub seconds: f64,
    /// Responses with a status of 400 or more.
    pub refused: u64,
    /// Failed connections and missing responses.
    pub broken: u64,
}

pub struct Wrk {
    program: PathBuf,
    script: PathBuf,
    result_script: PathBuf,
    threads: usize,
}

impl Wrk {
    pub fn new(program: PathBuf, dir: &Path) -> Outcome<Self> {
        let (script, result_script) = (dir.join("requests.lua"), dir.join("result.lua"));
        fs::write(&script, format!("{SCRIPT}{RESULT_SCRIPT}"))?;
        fs::write(&result_script, RESULT_SCRIPT)?;
        let threads = if available_parallelism()?.get() < 4 { 1 } else { 2 };
        Ok(Self { program, script, result_script, threads })
    }

    /// Sends these requests in random order.
    pub async fn run(&self, address: SocketAddr, requests: &Path, connections: usize, seconds: u64) -> Outcome<Load> {
        let mut wrk = self.command(connections, seconds);
        wrk.arg("-s").arg(&self.script).arg(format!("http://{address}/")).arg("--").arg(requests);
        Self::finish(wrk).await
    }

    /// Sends the same GET each time, which costs wrk the least.
    pub async fn run_one(&self, address: SocketAddr, request: &str, connections: usize, seconds: u64) -> Outcome<Load> {
        let mut lines = request.lines();
        let path = lines.next().and_then(|line| line.strip_prefix("GET ")?.split(' ').next()).ok_or("not a GET")?;
        let mut wrk = self.command(connections, seconds);
        for header in lines.take_while(|line| !line.is_empty()) {
            wrk.arg("-H").arg(header);
        }
        wrk.arg("-s").arg(&self.result_script).arg(format!("http://{address}{path}"));
        Self::finish(wrk).await
    }

    fn command(&self, connections: usize, seconds: u64) -> Command {
        let mut wrk = Command::new(&self.program);
        wrk.arg(format!("-t{}", self.threads)).arg(format!("-c{connections}")).arg(format!("-d{seconds}s"));
        wrk.args(["--timeout", "10s"]);
        wrk
    }

    async fn finish(mut wrk: Command) -> Outcome<Load> {
        let output = wrk.stdin(Stdio::null()).kill_on_drop(true).output().await?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let result = printed.lines().find_map(|line| line.strip_prefix("RESULT ")).map(|line| {
            let numbers: Vec<u64> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
            numbers
        });
        match result.as_deref() {
            #[allow(clippy::cast_precision_loss, reason = "some seconds")]
            Some(&[requests, micros, refused, broken]) => {
                Ok(Load { requests, seconds: micros as f64 / 1e6, refused, broken })
            }
            _ => Err(format!("wrk failed: {printed}{}", String::from_utf8_lossy(&output.stderr)).into()),
        }
    }
}
