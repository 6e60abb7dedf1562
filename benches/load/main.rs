//! The service under load, on a PostgreSQL and in processes of its own:
//!
//! ```sh
//! cargo bench --bench load              # everything, some fifteen minutes
//! cargo bench --bench load -- b d g     # these rows, and what they compare with
//! BENCH_SECONDS=2 BENCH_ROUNDS=3        # of each measurement (5), of how many the median is taken (5)
//! BENCH_RUST_LOG=warn                   # instead of the service's own default: no line per request
//! ```
//!
//! Throughput is measured by `wrk` (64 connections, each with one request under way), in rounds
//! that go through all rows, so that what disturbs the machine for a while disturbs all of them. What one has
//! left to be written and summed up is done before the next begins.
//! A closed loop hides stalls: it waits them out and sends less. So latency is measured by `oha`
//! at a fixed rate, half of what each row reached, where it is installed.
//!
//! Load and service share this machine's cores, so ratios are compressed: part of every request
//! is wrk's own work, which grows with the requests' and answers' length and with how many
//! different requests it has to pick from. So the row "a many" is an empty route that is sent what
//! the row of 100,000 keys is sent (and ignores it). The column of the server's CPU time per
//! request has none of wrk's part in it.
//!
//! Everything listens on 127.0.0.1 or a socket, and is gone at the end, also after Ctrl-C.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints what it finds")]

mod baseline;
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

const LETTERS: &str = "abcdefghijklm";

/// What is to be run.
pub(crate) struct Plan {
    rows: String,
    /// The length of each measurement.
    pub(crate) seconds: u64,
    /// Of which the median is taken.
    pub(crate) rounds: usize,
}

impl Plan {
    fn read(args: &[String]) -> Outcome<Self> {
        let mut rows = String::new();
        for arg in args.iter().filter(|arg| *arg != "--bench") {
            if arg.len() != 1 || !LETTERS.contains(arg.as_str()) {
                return Err(format!("{arg:?} is no row; rows are the letters {LETTERS}").into());
            }
            rows.push_str(arg);
        }
        if rows.is_empty() {
            rows.push_str(LETTERS);
        }
        let number = |name, default| match env::var(name) {
            Err(_) => Ok(default),
            Ok(text) => text.parse().ok().filter(|n| *n > 0).ok_or(format!("{name} must be a number above 0")),
        };
        let rounds = usize::try_from(number("BENCH_ROUNDS", 5)?)?;
        Ok(Self { rows, seconds: number("BENCH_SECONDS", 5)?, rounds })
    }

    /// Whether a row is to be run, be it only because others compare with it.
    pub(crate) fn has(&self, row: char) -> bool {
        self.rows.contains(row) || (row == 'e' && self.rows.contains('d')) || (row == 'a' && self.has_throughput())
    }

    fn has_throughput(&self) -> bool {
        self.rows.chars().any(|row| !"jk".contains(row))
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    // The baselines are this very program, started by itself.
    if let Some(kind) = args.first().and_then(|arg| arg.strip_prefix(baseline::ARGUMENT)) {
        return finish(baseline::serve(kind));
    }
    if !args.iter().any(|arg| arg == "--bench") {
        println!("to put the service under load: cargo bench --bench load");
        return ExitCode::SUCCESS;
    }
    // One thread: what the load leaves of the cores is the servers'.
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
    let plan = Plan::read(args)?;
    let program = wrk::find()?;
    let database = Database::start("load").await?;
    let outcome = bench(&plan, program, &database).await;
    database.stop().await?;
    let report = outcome?;
    println!("{report}");
    if report.failed() { Err("not every answer was the expected one: see the rows above".into()) } else { Ok(()) }
}

async fn bench(plan: &Plan, program: std::path::PathBuf, database: &Database) -> Outcome<Report> {
    let started = Instant::now();
    let seed = Seed::plant(database, plan).await?;
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
