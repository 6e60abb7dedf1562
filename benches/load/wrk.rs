//! wrk: as many requests as it gets answered.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    thread::available_parallelism,
};

use tokio::process::Command;

use crate::Outcome;

/// Sends the requests of a file, one a line, in random order. All are made before the clock
/// starts. `|` stands for a line end within a request.
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

function done(summary)
    local errors = summary.errors
    io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
"#;

/// Where wrk is.
pub fn find() -> Outcome<PathBuf> {
    on_path("wrk").ok_or_else(|| "wrk is not installed: sudo apt-get install wrk, or brew install wrk".into())
}

/// A program on the PATH.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Writes requests in the script's form.
pub fn write_requests(path: &Path, requests: &[String]) -> Outcome<()> {
    let lines: Vec<String> = requests.iter().map(|request| request.replace("\r\n", "|")).collect();
    Ok(fs::write(path, lines.join("\n"))?)
}

/// What came of a measurement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    pub requests: u64,
    pub seconds: f64,
    /// Answers of 400 and above.
    pub refused: u64,
    /// Connections that failed, answers that did not come.
    pub broken: u64,
}

/// How wrk is run.
pub struct Wrk {
    program: PathBuf,
    script: PathBuf,
    threads: usize,
}

impl Wrk {
    pub fn new(program: PathBuf, dir: &Path) -> Outcome<Self> {
        let script = dir.join("requests.lua");
        fs::write(&script, SCRIPT)?;
        let threads = if available_parallelism()?.get() < 4 { 1 } else { 2 };
        Ok(Self { program, script, threads })
    }

    /// Sends these requests in random order, each connection as fast as it is answered.
    pub async fn run(&self, address: SocketAddr, requests: &Path, connections: usize, seconds: u64) -> Outcome<Load> {
        let mut wrk = Command::new(&self.program);
        wrk.arg(format!("-t{}", self.threads)).arg(format!("-c{connections}")).arg(format!("-d{seconds}s"));
        wrk.args(["--timeout", "10s", "-s"]).arg(&self.script);
        wrk.arg(format!("http://{address}/")).arg("--").arg(requests);
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
