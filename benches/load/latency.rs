//! Latency at a fixed rate, by oha, at half of the maximum throughput. It is counted from when each request was due, not
//! from when it could be sent.

use std::{collections::BTreeMap, process::Stdio};

use serde::Deserialize;
use tokio::process::Command;

use crate::{
    Outcome, Plan,
    report::Report,
    rows::{Row, Stand},
    stand::table::median,
    wrk::on_path,
};

/// oha sends the same request each time. In row d, some of these share a lookup in flight.
const ROWS: [&str; 3] = ["a", "b1", "d"];
const PERCENTILES: [&str; 4] = ["p50", "p90", "p99", "p99.9"];

#[derive(Deserialize)]
struct Result {
    summary: Summary,
    #[serde(rename = "latencyPercentiles")]
    percentiles: BTreeMap<String, Option<f64>>,
    #[serde(rename = "statusCodeDistribution")]
    statuses: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Summary {
    slowest: f64,
}

pub async fn measure(plan: &Plan, stand: &Stand, report: &mut Report) -> Outcome<()> {
    if on_path("oha").is_none() {
        report.notes.push(
            "Latency at a fixed rate was not measured: oha is not installed (cargo install --locked oha).".into(),
        );
        return Ok(());
    }
    let heading = ["row", "at requests/s", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms"];
    report.latency.push(heading.map(str::to_owned).to_vec());
    let rows: Vec<&Row> = stand.rows.iter().filter(|row| ROWS.contains(&row.name)).collect();
    let mut found: Vec<Vec<Vec<f64>>> = vec![Vec::new(); rows.len()];
    let half = |row: &&Row| (report.median_of(row.name).unwrap_or_default() / 2.0).round().max(1.0);
    let rates: Vec<f64> = rows.iter().map(half).collect();
    for round in 1..=plan.rounds {
        for ((row, rate), found) in rows.iter().zip(&rates).zip(&mut found) {
            stand.server(row.target)?.empty_log()?;
            let result = oha(plan, stand, row, *rate).await?;
            let percentile = |name: &&str| result.percentiles.get(*name).copied().flatten().unwrap_or(f64::NAN);
            let mut values: Vec<f64> = PERCENTILES.iter().map(percentile).collect();
            values.push(result.summary.slowest);
            eprintln!("latency, round {round}: {:<6} p99 {:.2} ms", row.name, values[2] * 1e3);
            found.push(values);
        }
    }
    for ((row, rate), rounds) in rows.iter().zip(&rates).zip(found) {
        let mut line = vec![row.name.to_owned(), format!("{rate:.0}")];
        for column in 0..=PERCENTILES.len() {
            let values: Vec<f64> = rounds.iter().map(|values| values[column] * 1e3).collect();
            line.push(format!("{:.2}", median(&values)));
        }
        report.latency.push(line);
    }
    Ok(())
}

async fn oha(plan: &Plan, stand: &Stand, row: &Row, rate: f64) -> Outcome<Result> {
    let request = row.requests.first().ok_or("a row without requests")?;
    let mut lines = request.lines().take_while(|line| !line.is_empty());
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).ok_or("a request without a path")?;
    let mut oha = Command::new("oha");
    oha.args(["--no-tui", "--output-format", "json", "--latency-correction", "-c", "64"]);
    oha.arg("-q").arg(rate.to_string()).arg("-z").arg(format!("{}s", plan.seconds));
    for header in lines {
        oha.arg("-H").arg(header);
    }
    oha.arg(format!("http://{}{path}", stand.server(row.target)?.address));
    let output = oha.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    if !output.status.success() {
        return Err(format!("oha failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let result: Result = serde_json::from_slice(&output.stdout)?;
    if result.statuses.keys().any(|status| status != "200") {
        return Err(format!("oha received the statuses {:?} in row {}", result.statuses, row.name).into());
    }
    Ok(result)
}
