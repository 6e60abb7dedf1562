//! Prints the results as Markdown.

use std::{fmt, time::Duration};

use crate::{
    FEW, FEW_KEYS, FEW_TENANTS, MANY,
    stand::{
        exact,
        pages::{self, Times},
        table::{machine, median, write_table},
    },
};

/// A table of the large database, in bytes.
pub struct TableSize {
    pub table: String,
    pub rows: u64,
    pub heap: u64,
    pub indexes: u64,
}

/// The calls of a job.
#[derive(Debug, Default)]
pub struct JobTime {
    calls: u32,
    total: Duration,
    longest: Duration,
    rows: u64,
}

impl JobTime {
    pub fn add(&mut self, time: Duration, rows: u64) {
        self.calls += 1;
        self.total += time;
        self.longest = self.longest.max(time);
        self.rows += rows;
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub per_second: f64,
    /// Microseconds for each request.
    pub server_cpu: f64,
    /// Microseconds for each request.
    pub postgres_cpu: f64,
}

pub struct Report {
    pub keys: u64,
    pub tenants: u64,
    pub large: u64,
    pub requests: u32,
    pub version: String,
    pub settings: Vec<(&'static str, &'static str)>,
    /// `None`: an earlier run has written it.
    pub seeded_in: Option<Duration>,
    pub sizes: Vec<TableSize>,
    pub jobs: Vec<Vec<(&'static str, JobTime)>>,
    pub starts: Vec<(&'static str, Duration)>,
    /// Of the keys of as many tenants as the compared database has.
    pub checks_of_some: Vec<(&'static str, Round)>,
    /// Of the keys of all tenants.
    pub checks: Vec<(&'static str, Round)>,
    pub revocations: Vec<(&'static str, Round)>,
    pub pages: Vec<(&'static str, Option<Times>)>,
    pub new_tenants: [Duration; 2],
}

fn of<T: Copy>(rounds: &[(&'static str, T)], name: &str) -> Vec<T> {
    rounds.iter().filter(|(of, _)| *of == name).map(|(_, round)| *round).collect()
}

fn middle<T: Copy>(rounds: &[(&'static str, T)], name: &str, figure: impl Fn(&T) -> f64) -> f64 {
    median(&of(rounds, name).iter().map(figure).collect::<Vec<_>>())
}

/// The median of the ratios of the rounds, with the smallest and the largest.
fn ratio<T: Copy>(rounds: &[(&'static str, T)], figure: impl Fn(&T) -> f64) -> (f64, f64, f64) {
    let pairs = of(rounds, FEW).into_iter().zip(of(rounds, MANY));
    let ratios: Vec<f64> = pairs.map(|(few, many)| figure(&many) / figure(&few)).collect();
    let (least, most) = ratios.iter().fold((f64::MAX, f64::MIN), |(low, high), it| (low.min(*it), high.max(*it)));
    (median(&ratios), least, most)
}

impl Report {
    fn write_loads(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["what", "unit", "10,000 keys", "these keys", "ratio", "min–max", "goal"];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        let mut row =
            |what: &str, unit: &str, rounds: &[(&'static str, Round)], figure: fn(&Round) -> f64, goal: f64| {
                let (ratio, least, most) = ratio(rounds, figure);
                let goal = match (goal > 0.0, ratio >= goal) {
                    (false, _) => String::new(),
                    (true, true) => format!("≥ {goal}"),
                    (true, false) => format!("≥ {goal}: missed"),
                };
                let number = |number: f64| if number < 100.0 { format!("{number:.1}") } else { format!("{number:.0}") };
                table.push(vec![
                    what.to_owned(),
                    unit.to_owned(),
                    number(middle(rounds, FEW, figure)),
                    number(middle(rounds, MANY, figure)),
                    format!("{ratio:.2}"),
                    format!("{least:.2}–{most:.2}"),
                    goal,
                ]);
            };
        for (what, rounds, goal) in [
            ("checks of the cold keys of 100 tenants", &self.checks_of_some, 0.9),
            ("checks of all cold keys", &self.checks, 0.9),
            ("revocations", &self.revocations, 0.0),
        ] {
            row(what, "requests/s", rounds, |round| round.per_second, goal);
            row("", "CPU of the service, µs", rounds, |round| round.server_cpu, 0.0);
            row("", "CPU of PostgreSQL, µs", rounds, |round| round.postgres_cpu, 0.0);
        }
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let start = |name| middle(&self.starts, name, |time| time.as_secs_f64() * 1e3);
        let goal = if start(MANY) <= 1_000.0 { "≤ 1000" } else { "≤ 1000: missed" };
        let [few, many] = self.new_tenants.map(ms);
        for (what, few, many, goal) in
            [("start → ready", start(FEW), start(MANY), goal), ("creation of a tenant", few, many, "")]
        {
            let mut cells = vec![what.to_owned(), "ms".to_owned(), format!("{few:.1}"), format!("{many:.1}")];
            cells.extend([String::new(), String::new(), goal.to_owned()]);
            table.push(cells);
        }
        write_table(f, &table)
    }

    fn write_jobs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["job", "keys", "calls", "rows", "total ms", "longest ms"];
        let mut table = vec![head.map(str::to_owned).to_vec()];
        for (keys, jobs) in [FEW_KEYS, self.keys].into_iter().zip(&self.jobs) {
            for (job, JobTime { calls, total, longest, rows }) in jobs {
                let ms = |time: &Duration| format!("{:.1}", time.as_secs_f64() * 1e3);
                let cells = [(*job).to_owned(), keys.to_string(), calls.to_string(), rows.to_string()];
                table.push([&cells[..], &[ms(total), ms(longest)]].concat());
            }
        }
        write_table(f, &table)
    }

    fn write_sizes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = vec![["table", "rows", "MiB", "indexes, MiB", "bytes a row"].map(str::to_owned).to_vec()];
        let mib = |bytes: u64| format!("{:.0}", exact(bytes) / f64::from(1 << 20));
        for TableSize { table: name, rows, heap, indexes } in &self.sizes {
            let per_row = exact(heap + indexes) / exact((*rows).max(1));
            table.push(vec![name.clone(), rows.to_string(), mib(*heap), mib(*indexes), format!("{per_row:.0}")]);
        }
        let sum = |of: fn(&TableSize) -> u64| self.sizes.iter().map(of).sum::<u64>();
        let (heap, indexes) = (sum(|it| it.heap), sum(|it| it.indexes));
        table.push(vec!["all".to_owned(), String::new(), mib(heap), mib(indexes), String::new()]);
        write_table(f, &table)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings =
            self.settings.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ");
        writeln!(f, "{}, PostgreSQL {} ({settings})", machine(), self.version)?;
        let (keys, tenants, large) = (self.keys, self.tenants, self.large);
        writeln!(f, "{keys} keys of {tenants} tenants, {large} of them of one; compared: {FEW_KEYS} of {FEW_TENANTS}")?;
        match self.seeded_in {
            Some(time) => writeln!(f, "seeded in {:.0} s\n", time.as_secs_f64())?,
            None => writeln!(f, "seeded by an earlier run\n")?,
        }
        self.write_sizes(f)?;
        self.write_loads(f)?;
        self.write_jobs(f)?;
        writeln!(
            f,
            "Pages of the large tenant, {} requests of each kind; the goal is a p99 of 50 ms:\n",
            self.requests
        )?;
        write_table(f, &pages::table(&self.pages))
    }
}
