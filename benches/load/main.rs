//! Load tests of the service as a process, with a private PostgreSQL:
//!
//! ```sh
//! cargo bench --bench load                       # everything, some fifteen minutes
//! cargo bench --bench load -- b d g              # these rows, and the rows that they are compared with
//! cargo bench --bench load -- compare OLD NEW    # two binaries of the service, side by side
//! BENCH_SECONDS=2 BENCH_ROUNDS=3                 # of each measurement (5), and for each median (5)
//! BENCH_RUST_LOG=warn                            # the log filter; by default, every request is logged
//! BENCH_KEYS=1000 BENCH_USAGE_SECONDS=5          # `compare` only (100,000 and 60)
//! ```
//!
//! Throughput is measured by `wrk` with 64 connections, each with one request in flight. A round measures every row, so
//! that a disturbance of the machine affects all of them. Before each measurement, the program waits until the usage of
//! the previous one is written. A closed loop hides stalls, since it sends less during a stall. So latency is measured by
//! `oha`, if it is installed, at a fixed rate: half of what the row reached.
//!
//! Load and service share this machine's cores, which compresses ratios: a part of every request is wrk's own work. It
//! grows with the length of requests and responses and with the number of different requests. So the row "a many" sends
//! the requests of the row of 100,000 keys to an empty route. The column of the server's CPU time does not contain wrk's.
//!
//! Everything listens on 127.0.0.1 or on a socket, and is stopped at the end, also after Ctrl-C.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "rules for the service, not for its benchmarks"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its results")]

mod baseline;
mod compare;
mod latency;
mod memory;
mod report;
mod revocation;
mod rows;
mod seed;
#[allow(dead_code, reason = "shared, and each program uses its part of it")]
#[path = "../stand/mod.rs"]
mod stand;
mod wrk;

use std::{env, process::ExitCode, time::Instant};

use self::{
    report::Report,
    rows::Stand,
    seed::Seed,
    stand::{Outcome, postgres::Database},
    wrk::Wrk,
};

const LETTERS: &str = "abcdefghijklmn";

/// The rows to measure.
pub(crate) struct Plan {
    rows: String,
    /// Of each measurement.
    pub(crate) seconds: u64,
    /// For each median.
    pub(crate) rounds: usize,
}

impl Plan {
    fn read(args: &[String]) -> Outcome<Self> {
        let mut rows = String::new();
        for arg in args {
            if arg.len() != 1 || !LETTERS.contains(arg.as_str()) {
                return Err(format!("{arg:?} is not a row; rows are the letters {LETTERS}").into());
            }
            rows.push_str(arg);
        }
        if rows.is_empty() {
            rows.push_str(LETTERS);
        }
        let rounds = usize::try_from(number_from_env("BENCH_ROUNDS", 5)?)?;
        Ok(Self { rows, seconds: number_from_env("BENCH_SECONDS", 5)?, rounds })
    }

    /// True for the selected rows and for the baselines of selected rows.
    pub(crate) fn has(&self, row: char) -> bool {
        self.rows.contains(row)
            || (row == 'e' && self.rows.contains('d'))
            || (row == 'b' && self.rows.contains('n'))
            || (row == 'a' && self.has_throughput())
    }

    fn has_throughput(&self) -> bool {
        self.rows.chars().any(|row| !"jk".contains(row))
    }
}

fn number_from_env(name: &str, default: u64) -> Outcome<u64> {
    match env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => Ok(text.parse().ok().filter(|n| *n > 0).ok_or(format!("{name} must be a number above 0"))?),
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    // The baselines are this program, started as a child process.
    if let Some(kind) = args.first().and_then(|arg| arg.strip_prefix(baseline::ARGUMENT)) {
        return finish(baseline::serve(kind));
    }
    if !args.iter().any(|arg| arg == "--bench") {
        println!("run the load tests with: cargo bench --bench load");
        return ExitCode::SUCCESS;
    }
    // One thread, which leaves the other cores to the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    finish(runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&args))))
}

fn finish(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[String]) -> Outcome<()> {
    let arguments: Vec<_> = args.iter().filter(|arg| *arg != "--bench").cloned().collect();
    if let [first, binaries @ ..] = &arguments[..]
        && first == compare::ARGUMENT
    {
        return compare::run(binaries).await;
    }
    let plan = Plan::read(&arguments)?;
    let program = wrk::find()?;
    let database = Database::start("load").await?;
    let outcome = bench(&plan, program, &database).await;
    database.stop().await?;
    let report = outcome?;
    println!("{report}");
    if report.failed() { Err("not every response was the expected one: see the rows above".into()) } else { Ok(()) }
}

async fn bench(plan: &Plan, program: std::path::PathBuf, database: &Database) -> Outcome<Report> {
    let started = Instant::now();
    let seed = Seed::write(database, plan).await?;
    eprintln!("seeded {} keys in {:.1} s", seed.count(), started.elapsed().as_secs_f64());
    let wrk = Wrk::new(program, database.dir())?;
    let mut report = Report::new(database.version().await?, plan);
    if plan.has_throughput() {
        let stand = Stand::set_up(plan, database, &seed).await?;
        stand.measure(plan, &wrk, database, &mut report).await?;
        latency::measure(plan, &stand, &mut report).await?;
        stand.take_down().await?;
    }
    if plan.has('j') {
        memory::measure(database, &seed, &mut report).await?;
    }
    if plan.has('k') {
        revocation::measure(&wrk, database, &seed, &mut report).await?;
    }
    Ok(report)
}
