//! CPU time of processes, from Linux's /proc.

use std::{fs, time::Duration};

/// The fields of `/proc/<pid>/stat` from the third on, as proc(5) numbers them. The second, the program's name, may
/// contain blanks and is in parentheses.
struct Stat(Vec<String>);

impl Stat {
    fn read(pid: &str) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect()))
    }

    fn parent(&self) -> &str {
        &self.0[1]
    }

    /// The sum of fields in clock ticks, which are hundredths of a second on Linux.
    fn time(&self, fields: &[usize]) -> Duration {
        let ticks = fields.iter().filter_map(|field| self.0.get(field - 3)?.parse::<u64>().ok());
        Duration::from_millis(10 * ticks.sum::<u64>())
    }
}

const UTIME_STIME: [usize; 2] = [14, 15];
const WITH_ENDED_CHILDREN: [usize; 4] = [14, 15, 16, 17];

pub fn of_process(pid: &str) -> Option<Duration> {
    Some(Stat::read(pid)?.time(&UTIME_STIME))
}

/// A process with its children, the ended ones included.
pub fn of_family(pid: &str) -> Option<Duration> {
    let own = Stat::read(pid)?.time(&WITH_ENDED_CHILDREN);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let stats = processes.filter_map(|entry| Stat::read(entry.file_name().to_str()?));
    Some(own + stats.filter(|stat| stat.parent() == pid).map(|stat| stat.time(&UTIME_STIME)).sum::<Duration>())
}
