//! The program of a benchmark whose rows are letters.

use std::{env, process::ExitCode, time::Instant};

use super::{Outcome, postgres::Database, report::Report, scene::Scene};

/// Measures the rows that the command line names, or all of `letters`, in their order, and prints the report. Fails if a
/// promise is broken.
pub fn measure_rows(
    name: &str,
    letters: &str,
    keys: usize,
    row: impl AsyncFnMut(char, &mut Scene, &mut Report) -> Outcome<()>,
) -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        println!("run the benchmark with: cargo bench --bench {name}");
        return ExitCode::SUCCESS;
    }
    // One thread, which leaves the other cores to the servers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let run = run(&args, name, letters, keys, row);
    match runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(
    args: &[String],
    name: &str,
    letters: &str,
    keys: usize,
    mut row: impl AsyncFnMut(char, &mut Scene, &mut Report) -> Outcome<()>,
) -> Outcome<()> {
    let mut rows: String = args.iter().filter(|arg| *arg != "--bench").map(String::as_str).collect();
    if let Some(letter) = rows.chars().find(|letter| !letters.contains(*letter)) {
        return Err(format!("{letter:?} is not a row; rows are the letters {letters}").into());
    }
    if rows.is_empty() {
        rows.push_str(letters);
    }
    let mut scene = Scene::seed(Database::start(name).await?, keys).await?;
    let mut report = Report::new(scene.database.version().await?);
    let mut outcome = Outcome::Ok(());
    for letter in rows.chars() {
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
