//! What goes wrong in production, done to the real service on purpose, with a figure for each:
//!
//! ```sh
//! cargo bench --bench faults            # everything, some four minutes
//! cargo bench --bench faults -- a e     # these
//! ```
//!
//! Each fault has a promise; the program fails when one is broken. What a machine cannot do (mount
//! a small disk, turn a clock, run nginx) is skipped, and said.
//!
//! Load and service share this machine's cores, so that latencies are those of a busy machine.
//! Everything listens on 127.0.0.1 or a socket, and is gone at the end, also after Ctrl-C.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints what it finds")]

mod clients;
mod clock;
mod database;
mod disk;
mod load;
mod process;
mod report;
mod rolling;
#[allow(dead_code, reason = "shared, and each program uses its part of it")]
#[path = "../stand/mod.rs"]
mod stand;

use std::{env, process::ExitCode, time::Instant};

use rally_api_keys::{domain::Tenant, store::TenantAdmin};

use self::{
    report::Report,
    stand::{
        Outcome,
        keys::{self, Key},
        postgres::Database,
    },
};

const LETTERS: &str = "abcdefghij";
const KEYS: usize = 2_000;

/// What all faults happen to: a database with a tenant and its keys.
pub struct Scene {
    /// With everything in it.
    pub database: Database,
    /// Whose keys they are.
    pub tenant: Tenant,
    /// All of them stamped.
    pub keys: Vec<Key>,
}

impl Scene {
    async fn set(database: Database, count: usize) -> Outcome<Self> {
        let mut operator = TenantAdmin::connect(&database.url()).await?;
        let tenant = keys::tenant(&mut operator, "faults").await?;
        let keys = keys::generate(std::slice::from_ref(&tenant), count);
        keys::copy_stamped(&mut database.connect().await?, &keys).await?;
        Ok(Self { database, tenant, keys })
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("to see the service through faults: cargo bench --bench faults");
        return ExitCode::SUCCESS;
    }
    // One thread: what the load leaves of the cores is the servers'.
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
        return Err(format!("{letter:?} is no fault; faults are the letters {LETTERS}").into());
    }
    if letters.is_empty() {
        letters.push_str(LETTERS);
    }
    let mut scene = Scene::set(Database::start("faults").await?, KEYS).await?;
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
        'i' => clients::bombs_and_pipelines(scene, report).await,
        _ => clock::jumps(scene, report).await,
    }
}
