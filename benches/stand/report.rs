//! The report: a line for each figure, and whether its promise was kept.

use std::fmt;

use super::table::{machine, write_table};

enum Promise {
    AtMost(f64),
    AtLeast(f64),
    /// The figure is informational.
    None,
}

struct Line {
    fault: char,
    what: String,
    figure: f64,
    unit: &'static str,
    promise: Promise,
}

impl Line {
    fn kept(&self) -> bool {
        match self.promise {
            Promise::AtMost(most) => self.figure <= most,
            Promise::AtLeast(least) => self.figure >= least,
            Promise::None => true,
        }
    }

    fn number(&self, value: f64) -> String {
        match self.unit {
            "s" => format!("{value:.2}"),
            "ms" | "MiB" => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        }
    }

    fn promised(&self) -> String {
        match self.promise {
            Promise::AtMost(most) if most <= 0.0 => "0".into(),
            Promise::AtMost(most) => format!("≤ {}", self.number(most)),
            Promise::AtLeast(least) => format!("≥ {}", self.number(least)),
            Promise::None => String::new(),
        }
    }
}

/// All results.
pub struct Report {
    postgres: String,
    lines: Vec<Line>,
    skipped: Vec<String>,
}

impl Report {
    pub fn new(postgres: String) -> Self {
        Self { postgres, lines: Vec::new(), skipped: Vec::new() }
    }

    fn add(&mut self, fault: char, what: impl Into<String>, figure: f64, unit: &'static str, promise: Promise) {
        let line = Line { fault, what: what.into(), figure, unit, promise };
        let broken = if line.kept() { "" } else { "  BROKEN" };
        eprintln!("{fault}: {}: {} {unit}{broken}", line.what, line.number(figure));
        self.lines.push(line);
    }

    /// A figure without a promise.
    pub fn info(&mut self, fault: char, what: impl Into<String>, figure: f64, unit: &'static str) {
        self.add(fault, what, figure, unit, Promise::None);
    }

    pub fn at_most(&mut self, fault: char, what: impl Into<String>, figure: f64, unit: &'static str, most: f64) {
        self.add(fault, what, figure, unit, Promise::AtMost(most));
    }

    pub fn at_least(&mut self, fault: char, what: impl Into<String>, figure: f64, unit: &'static str, least: f64) {
        self.add(fault, what, figure, unit, Promise::AtLeast(least));
    }

    /// An event that must not happen.
    pub fn never(&mut self, fault: char, what: impl Into<String>, count: usize, unit: &'static str) {
        self.at_most(fault, what, as_figure(count), unit, 0.0);
    }

    /// A fault that this machine cannot produce.
    pub fn skip(&mut self, fault: char, why: impl fmt::Display) {
        let note = format!("{fault}: SKIPPED: {why}");
        eprintln!("{note}");
        self.skipped.push(note);
    }

    /// True if a line misses its promised bound.
    pub fn broken(&self) -> bool {
        self.lines.iter().any(|line| !line.kept())
    }
}

#[allow(clippy::cast_precision_loss, reason = "some thousands")]
pub fn as_figure(count: usize) -> f64 {
    count as f64
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}, PostgreSQL {}\n", machine(), self.postgres)?;
        let mut table = vec![["row", "what", "found", "unit", "promise", "kept"].map(str::to_owned).to_vec()];
        for line in &self.lines {
            let kept = match line.promise {
                Promise::None => "",
                _ if line.kept() => "yes",
                _ => "NO",
            };
            let found = line.number(line.figure);
            table.push(vec![
                line.fault.to_string(),
                line.what.clone(),
                found,
                line.unit.to_owned(),
                line.promised(),
                kept.to_owned(),
            ]);
        }
        write_table(f, &table)?;
        self.skipped.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
