//! Revokes keys on three instances of the service, with receipts and without, while all is well and through faults, and
//! counts the checks that are accepted afterwards:
//!
//! ```sh
//! cargo bench --bench revocation                            # everything
//! BENCH_REVOCATIONS=2000 cargo bench --bench revocation     # with fewer revocations in row b
//! cargo bench --bench revocation -- c d                     # these rows
//! ```
//!
//! After a receipt none may be accepted by any instance: the program fails if one is, or if another promise is broken. Each
//! row has its counter-check, without a receipt: what the receipt rules out is seen there, if there is any.
//!
//! Load and service share this machine's cores, so durations are those of a busy machine. Everything listens on 127.0.0.1
//! or on a socket, and is stopped at the end, also after Ctrl-C.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "rules for the service, not for its benchmarks"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its results")]

mod failover;
mod faults;
mod instances;
mod leaks;
mod lease;
mod many;
mod receipts;
#[allow(dead_code, reason = "shared, and each program uses its part of it")]
#[path = "../stand/mod.rs"]
mod stand;

use std::{env, process::ExitCode, time::Instant};

use self::{
    failover::{OldPrimary, Replication},
    faults::Fault,
    report::Report,
    stand::{Outcome, load, postgres::Database, report, scene::Scene},
};

const LETTERS: &str = "abcdefghijklmno";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("run the benchmark with: cargo bench --bench revocation");
        return ExitCode::SUCCESS;
    }
    // One thread, which leaves the other cores to the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("revocation: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[String]) -> Outcome<()> {
    let mut letters: String = args.iter().filter(|arg| *arg != "--bench").map(String::as_str).collect();
    if let Some(letter) = letters.chars().find(|letter| !LETTERS.contains(*letter)) {
        return Err(format!("{letter:?} is not a row; rows are the letters {LETTERS}").into());
    }
    if letters.is_empty() {
        letters.push_str(LETTERS);
    }
    let mut scene = Scene::seed(Database::start("revocation").await?, 0).await?;
    let mut report = Report::new(scene.database.version().await?);
    let mut outcome = Outcome::Ok(());
    for letter in letters.chars() {
        let begun = Instant::now();
        outcome = row(letter, &mut scene, &mut report).await.map_err(|error| format!("{letter}: {error}").into());
        eprintln!("{letter}: {:.0} s", begun.elapsed().as_secs_f64());
        if outcome.is_err() {
            break;
        }
    }
    scene.database.stop().await?;
    println!("{report}");
    outcome?;
    if report.broken() { Err("a promise was broken: see above".into()) } else { Ok(()) }
}

async fn row(letter: char, scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    use self::{OldPrimary as Old, Replication as By};
    match letter {
        'a' => receipts::healthy(scene, report).await,
        'b' => many::revoked(scene, report).await,
        'c' => lease::of_a_frozen_instance(scene, report).await,
        'd' => faults::during(Fault::FeedCut, letter, scene, report).await,
        'e' => faults::during(Fault::ProcessKilled, letter, scene, report).await,
        'f' => faults::during(Fault::DatabaseKilled, letter, scene, report).await,
        'g' => faults::during(Fault::NetworkSilent, letter, scene, report).await,
        'h' => lease::outlasts_an_outage(scene, report).await,
        'i' => failover::to_a_standby(By::Synchronous, Old::Dead, letter, report).await,
        'j' => failover::to_a_standby(By::Synchronous, Old::ReadOnly, letter, report).await,
        'k' => failover::to_a_standby(By::Synchronous, Old::Isolated, letter, report).await,
        'l' => failover::to_a_standby(By::Asynchronous, Old::Dead, letter, report).await,
        'm' => failover::to_a_standby(By::Asynchronous, Old::ReadOnly, letter, report).await,
        'n' => failover::to_a_standby(By::Asynchronous, Old::Isolated, letter, report).await,
        _ => leaks::reported(scene, report).await,
    }
}
