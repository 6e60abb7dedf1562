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

use std::process::ExitCode;

use self::{
    neighbours::{Greed, Neighbours},
    report::Report,
    stand::{Outcome, load, program::measure_rows, report, scene::Scene},
};

const LETTERS: &str = "abcdefghijklmnop";
const KEYS: usize = 2_000;

fn main() -> ExitCode {
    let mut neighbours = None;
    measure_rows("faults", LETTERS, KEYS, async |letter, scene: &mut Scene, report: &mut Report| {
        fault(letter, scene, &mut neighbours, report).await
    })
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
