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
//! row has a control without a receipt, which may find such accepts.
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
mod listeners;
mod many;
mod receipts;
#[allow(dead_code, reason = "shared, and each program uses its part of it")]
#[path = "../stand/mod.rs"]
mod stand;

use std::process::ExitCode;

use self::{
    failover::{OldPrimary, Replication},
    faults::Fault,
    report::Report,
    stand::{Outcome, load, program::measure_rows, report, scene::Scene},
};

const LETTERS: &str = "abcdefghijklmnop";

fn main() -> ExitCode {
    measure_rows("revocation", LETTERS, 0, row)
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
        'o' => leaks::reported(scene, report).await,
        _ => listeners::of_other_programs(report).await,
    }
}
