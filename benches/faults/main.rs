//! Injects the faults of production into the service as a process, and measures what clients see:
//!
//! ```sh
//! cargo bench --bench faults            # everything, some eight minutes
//! cargo bench --bench faults -- a e     # these faults
//! ```
//!
//! Each fault has promises. The program fails if one is broken. Faults that this machine cannot produce (without root for
//! a small disk, libfaketime or nginx) are skipped and reported.
//!
//! Load and service share this machine's cores, so latencies are those of a busy machine. Everything listens on 127.0.0.1
//! or on a socket, and is stopped at the end, also after Ctrl-C.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "rules for the service, not for its benchmarks"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its results")]

mod clients;
mod clock;
mod database;
mod disk;
mod neighbours;
mod process;
mod rolling;
#[allow(dead_code, reason = "shared, and each program uses its part of it")]
#[path = "../stand/mod.rs"]
mod stand;
mod timing;

use std::{env, process::ExitCode, time::Instant};

use self::{
    neighbours::{Greed, Neighbours},
    report::Report,
    stand::{Outcome, load, postgres::Database, report, scene::Scene},
};

const LETTERS: &str = "abcdefghijklmnop";
const KEYS: usize = 2_000;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("run the fault tests with: cargo bench --bench faults");
        return ExitCode::SUCCESS;
    }
    // One thread, which leaves the other cores to the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&args))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("faults: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[String]) -> Outcome<()> {
    let mut letters: String = args.iter().filter(|arg| *arg != "--bench").map(String::as_str).collect();
    if let Some(letter) = letters.chars().find(|letter| !LETTERS.contains(*letter)) {
        return Err(format!("{letter:?} is not a fault; faults are the letters {LETTERS}").into());
    }
    if letters.is_empty() {
        letters.push_str(LETTERS);
    }
    let mut scene = Scene::seed(Database::start("faults").await?, KEYS).await?;
    let mut report = Report::new(scene.database.version().await?);
    let (mut neighbours, mut outcome) = (None, Outcome::Ok(()));
    for letter in letters.chars() {
        let begun = Instant::now();
        let measured = fault(letter, &mut scene, &mut neighbours, &mut report).await;
        outcome = measured.map_err(|error| format!("{letter}: {error}").into());
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

async fn fault(
    letter: char,
    scene: &mut Scene,
    neighbours: &mut Option<Neighbours>,
    report: &mut Report,
) -> Outcome<()> {
    let greed = match letter {
        'a' => return database::outages(scene, report).await,
        'b' => return database::killed_connections(scene, report).await,
        'c' => return database::exhausted_pools(scene, report).await,
        'd' => return disk::full(report).await,
        'e' => return process::killed(scene, report).await,
        'f' => return process::started_together(scene, report).await,
        'g' => return rolling::replaced(scene, report).await,
        'h' => return clients::slow(scene, report).await,
        'i' => return clients::oversized_and_pipelined(scene, report).await,
        'j' => return clock::jumps(scene, report).await,
        'k' => Greed::LargeLists,
        'l' => Greed::MediumLists,
        'm' => Greed::Unread,
        'n' => Greed::UnreadStreams,
        'o' => Greed::Changes,
        _ => return timing::of_reports(scene, report).await,
    };
    neighbours::beside(greed, letter, scene, neighbours, report).await
}
