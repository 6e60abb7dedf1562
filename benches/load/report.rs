//! The report: the machine, the table, the goals.

use std::fmt;

use crate::{
    Plan,
    stand::table::{machine, median, write_table},
};

/// A line of the table, with a value for each round.
pub struct Line {
    name: &'static str,
    what: String,
    unit: &'static str,
    rounds: Vec<f64>,
    /// The server's CPU time per request in each round, in microseconds.
    cpu: Vec<f64>,
    /// The number of unexpected responses.
    pub wrong: u64,
}

impl Line {
    pub fn new(name: &'static str, what: &str, unit: &'static str) -> Self {
        Self { name, what: what.to_owned(), unit, rounds: Vec::new(), cpu: Vec::new(), wrong: 0 }
    }

    pub fn add(&mut self, value: f64, cpu: Option<f64>) {
        self.rounds.push(value);
        self.cpu.extend(cpu);
    }

    fn median(&self) -> f64 {
        median(&self.rounds)
    }

    /// The median of the rounds' ratios: within a round, disturbances of the machine affect both rows.
    fn ratio_to(&self, other: &Self) -> f64 {
        let ratios: Vec<f64> = self.rounds.iter().zip(&other.rounds).map(|(value, other)| value / other).collect();
        median(&ratios)
    }

    fn number(&self, value: f64) -> String {
        match self.unit {
            "ms" => format!("{value:.2}"),
            "MiB" => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        }
    }
}

enum Goal {
    /// A row, the row that it is compared with, and the minimal ratio of their throughput.
    Ratio(&'static str, &'static str, f64),
    /// A row and its maximal value.
    AtMost(&'static str, f64),
}

const GOALS: &[Goal] = &[
    Goal::Ratio("b1", "a", 0.90),
    Goal::Ratio("b1", "a bare", 0.85),
    Goal::Ratio("b2", "a many", 0.90),
    Goal::Ratio("c", "a", 0.80),
    Goal::Ratio("d", "e", 0.70),
    Goal::Ratio("g1", "a", 0.80),
    Goal::Ratio("n1", "b2", 0.95),
    Goal::Ratio("n2", "b2", 0.40),
    Goal::Ratio("n3", "b1", 0.95),
    Goal::Ratio("n4", "b1", 0.95),
    Goal::AtMost("j1", 30.0),
    Goal::AtMost("j2", 150.0),
    Goal::AtMost("k p99", 100.0),
    Goal::AtMost("k stale", 0.0),
];

/// With autogroups, see sched(7), a process that wakes up now and then can wait for a second while another session uses
/// all cores. PostgreSQL's processes have a session each.
fn autogroup_note() -> Option<String> {
    let setting = std::fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").ok()?;
    (setting.trim() == "1").then(|| {
        "kernel.sched_autogroup_enabled is 1: under full load, Linux delays some of PostgreSQL's processes by up to a \
         second, which row k shows. To switch it off: sysctl kernel.sched_autogroup_enabled=0"
            .into()
    })
}

/// All results.
pub struct Report {
    postgres: String,
    how: String,
    pub lines: Vec<Line>,
    /// A table, with its heading first.
    pub latency: Vec<Vec<String>>,
    /// Printed below the tables.
    pub notes: Vec<String>,
}

impl Report {
    pub fn new(postgres: String, plan: &Plan) -> Self {
        let log = std::env::var("BENCH_RUST_LOG").unwrap_or_else(|_| "info".into());
        let (rounds, seconds) = (plan.rounds, plan.seconds);
        let how = format!("{rounds} interleaved rounds of {seconds} s each; 64 connections; RUST_LOG={log}");
        let notes = autogroup_note().into_iter().collect();
        Self { postgres, how, lines: Vec::new(), latency: Vec::new(), notes }
    }

    /// True if a response had an unexpected status or body.
    pub fn failed(&self) -> bool {
        self.lines.iter().any(|line| line.wrong > 0)
    }

    pub fn line(&self, name: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.name == name)
    }

    pub fn median_of(&self, name: &str) -> Option<f64> {
        self.line(name).map(Line::median)
    }

    fn table(&self) -> Vec<Vec<String>> {
        let heading = ["row", "what", "median", "unit", "ratio to a", "min–max", "server's CPU"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        let first = self.line("a");
        for line in &self.lines {
            let ratio = first.filter(|first| first.unit == line.unit);
            let bound = |pick: fn(f64, f64) -> f64| line.number(line.rounds.iter().copied().fold(f64::NAN, pick));
            let range = format!("{}–{}", bound(f64::min), bound(f64::max));
            let what = match line.wrong {
                0 => line.what.clone(),
                wrong => format!("{}; FAILED: {wrong} unexpected responses", line.what),
            };
            rows.push(vec![
                line.name.to_owned(),
                what,
                line.number(line.median()),
                line.unit.to_owned(),
                ratio.map(|first| format!("{:.2}", line.ratio_to(first))).unwrap_or_default(),
                if line.rounds.len() > 1 { range } else { String::new() },
                if line.cpu.is_empty() { String::new() } else { format!("{:.1} µs", median(&line.cpu)) },
            ]);
        }
        rows
    }

    fn goals(&self) -> Vec<Vec<String>> {
        let mut rows = vec![["goal", "found", "met"].map(str::to_owned).to_vec()];
        for goal in GOALS {
            let found = match goal {
                Goal::Ratio(name, base, least) => self.line(name).zip(self.line(base)).map(|(line, base_line)| {
                    let ratio = line.ratio_to(base_line);
                    let right = line.wrong + base_line.wrong == 0;
                    (format!("{name} ≥ {least:.2} of {base}"), format!("{ratio:.3}"), right && ratio >= *least)
                }),
                Goal::AtMost(name, most) => self.line(name).map(|line| {
                    let text = format!("{name} ≤ {most:.0} {}", line.unit);
                    (text, line.number(line.median()), line.median() <= *most)
                }),
            };
            if let Some((goal, found, met)) = found {
                rows.push(vec![goal, found, if met { "yes" } else { "NO" }.to_owned()]);
            }
        }
        rows
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}, PostgreSQL {}\n{}\n", machine(), self.postgres, self.how)?;
        for table in [self.table(), self.latency.clone(), self.goals()] {
            if table.len() > 1 {
                write_table(f, &table)?;
            }
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
