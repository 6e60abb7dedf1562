//! Medians, tables and the description of the machine.

use std::{fmt, fs, process::Command, thread::available_parallelism};

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// A Markdown table with aligned columns.
pub fn write_table(f: &mut fmt::Formatter<'_>, table: &[Vec<String>]) -> fmt::Result {
    let width = |column: usize| table.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..table[0].len()).map(width).collect();
    for (index, row) in table.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            write!(f, "| {cell:<width$} ")?;
        }
        writeln!(f, "|")?;
        if index == 0 {
            widths.iter().try_for_each(|width| write!(f, "|{}", "-".repeat(width + 2)))?;
            writeln!(f, "|")?;
        }
    }
    writeln!(f)
}

/// CPU, memory, kernel and compiler.
pub fn machine() -> String {
    let line = |path, name| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let memory = line("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0) / 1024;
    let rustc = Command::new("rustc").arg("--version").output().map(|it| it.stdout).unwrap_or_default();
    format!(
        "{}, {} cores, {memory} MiB, Linux {}, {}",
        line("/proc/cpuinfo", "model name"),
        available_parallelism().map_or(0, std::num::NonZero::get),
        fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim(),
        String::from_utf8_lossy(&rustc).trim(),
    )
}
