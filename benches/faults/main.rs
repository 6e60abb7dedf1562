//! Injects the faults of production into the service as a process, and measures what clients see:
//!
//! ```sh
//! cargo bench --bench faults            # everything, some ten minutes
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
mod instances;
mod leaks;
mod lease;
mod load;
mod neighbours;
mod process;
mod receipts;
mod report;
mod rolling;
#[allow(dead_code, reason = "shared, and each program uses its part of it")]
#[path = "../stand/mod.rs"]
mod stand;
mod timing;

use std::{env, process::ExitCode, time::Instant};

use rally_api_keys::{domain::Tenant, store::TenantAdmin};

use self::{
    neighbours::{Greed, Neighbours},
    report::Report,
    stand::{
        Outcome,
        keys::{self, Key},
        postgres::Database,
    },
};

const LETTERS: &str = "abcdefghijklmnopqrst";
const KEYS: usize = 2_000;

/// A database with a tenant and its keys.
pub struct Scene {
    pub(crate) database: Database,
    pub(crate) tenant: Tenant,
    /// With stamps.
    pub keys: Vec<Key>,
    neighbours: Option<Neighbours>,
}

impl Scene {
    async fn seed(database: Database, count: usize) -> Outcome<Self> {
        let mut admin = TenantAdmin::connect(&database.url()).await?;
        let tenant = keys::tenant(&mut admin, "faults").await?;
        let keys = keys::generate(std::slice::from_ref(&tenant), count);
        keys::copy_stamped(&mut database.connect().await?, &keys).await?;
        Ok(Self { database, tenant, keys, neighbours: None })
    }

    /// Keys that no other fault uses.
    async fn fresh_keys(&self, count: usize) -> Outcome<Vec<Key>> {
        let keys = keys::generate(std::slice::from_ref(&self.tenant), count);
        keys::copy_stamped(&mut self.database.connect().await?, &keys).await?;
        Ok(keys)
    }
}

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
    let mut outcome = Outcome::Ok(());
    for letter in letters.chars() {
        let begun = Instant::now();
        outcome = fault(letter, &mut scene, &mut report).await.map_err(|error| format!("{letter}: {error}").into());
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

async fn fault(letter: char, scene: &mut Scene, report: &mut Report) -> Outcome<()> {
    match letter {
        'a' => database::outages(scene, report).await,
        'b' => database::killed_connections(scene, report).await,
        'c' => database::exhausted_pools(scene, report).await,
        'd' => disk::full(report).await,
        'e' => process::killed(scene, report).await,
        'f' => process::started_together(scene, report).await,
        'g' => rolling::replaced(scene, report).await,
        'h' => clients::slow(scene, report).await,
        'i' => clients::oversized_and_pipelined(scene, report).await,
        'j' => clock::jumps(scene, report).await,
        'k' => neighbours::beside(Greed::LargeLists, letter, scene, report).await,
        'l' => neighbours::beside(Greed::MediumLists, letter, scene, report).await,
        'm' => neighbours::beside(Greed::Unread, letter, scene, report).await,
        'n' => neighbours::beside(Greed::UnreadStreams, letter, scene, report).await,
        'o' => neighbours::beside(Greed::Changes, letter, scene, report).await,
        'p' => lease::outlasts_an_outage(scene, report).await,
        'q' => receipts::healthy(scene, report).await,
        'r' => lease::of_a_frozen_instance(scene, report).await,
        's' => leaks::reported(scene, report).await,
        _ => timing::of_reports(scene, report).await,
    }
}
