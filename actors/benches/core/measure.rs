//! CPU, memory, and the table.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// How often memory is looked at for its peak.
const PEAK_EVERY: Duration = Duration::from_millis(20);

/// An empty folder. It stays until the run ends: file systems make files more slowly soon after many were removed.
pub fn home() -> PathBuf {
    tempfile::tempdir().expect("a temporary folder").keep()
}

/// The CPU time of this process so far.
pub fn cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// The CPU time of this thread so far.
pub fn thread_cpu() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Anonymous memory of this process in bytes, exact.
pub fn anonymous() -> u64 {
    field("/proc/self/smaps_rollup", "Anonymous:")
}

fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).expect("a Linux with /proc");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a field of that name");
    let kb: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number of kB");
    kb * 1024
}

/// The load of the machine over the last minute, five, fifteen.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_ascii_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// Watches the peak of anonymous memory until it is asked.
pub struct Peak {
    done: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Peak {
    /// Begins to watch.
    pub fn watch() -> Self {
        let (done, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (end, peak) = (Arc::clone(&done), Arc::clone(&most));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                peak.fetch_max(field("/proc/self/status", "RssAnon:"), Ordering::Relaxed);
                std::thread::park_timeout(PEAK_EVERY);
            }
        });
        Self { done, most, thread }
    }

    /// The peak, in bytes.
    pub fn end(self) -> u64 {
        self.done.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        self.thread.join().expect("looking at memory does not fail");
        self.most.load(Ordering::Relaxed).max(anonymous())
    }
}

/// One line of the table.
pub struct Row {
    what: String,
    target: String,
    reached: String,
    limit: String,
}

impl Row {
    /// What, what we are after, what was reached, and what that is of the limit of this machine.
    pub fn new(what: impl Into<String>, target: impl Into<String>, reached: String, limit: String) -> Self {
        Self { what: what.into(), target: target.into(), reached, limit }
    }

    /// As a section hands it to the table.
    pub fn fields(&self) -> [&str; 4] {
        [&self.what, &self.target, &self.reached, &self.limit]
    }

    /// What [`Row::fields`] gave, joined by tabs.
    pub fn from_fields(line: &str) -> Option<Self> {
        let mut fields = line.split('\t').map(str::to_owned);
        Some(Self { what: fields.next()?, target: fields.next()?, reached: fields.next()?, limit: fields.next()? })
    }
}

/// Prints the table.
pub fn print(rows: &[Row]) {
    let head = Row::new("core", "target", "reached".to_owned(), "against the limit, same run".to_owned());
    let width = |column: usize| {
        let all = rows.iter().chain([&head]).map(|row| row.fields()[column].chars().count());
        all.max().unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let line = |fields: [&str; 4]| {
        let cells = fields.iter().zip(widths).map(|(field, width)| format!("{field:<width$}"));
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    };
    line(head.fields());
    println!("|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"));
    rows.iter().for_each(|row| line(row.fields()));
}

/// A time divided by how often it was spent.
pub fn each(time: Duration, count: usize) -> Duration {
    Duration::from_secs_f64(time.as_secs_f64() / count as f64)
}

/// A short time, in the unit that fits it.
pub fn time(time: Duration) -> String {
    let us = time.as_secs_f64() * 1e6;
    match us {
        _ if us < 1.0 => format!("{:.0} ns", us * 1e3),
        _ if us < 1e3 => format!("{us:.1} us"),
        _ if us < 1e6 => format!("{:.2} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

/// An amount of memory, in the unit that fits it.
pub fn bytes(bytes: f64) -> String {
    match bytes {
        _ if bytes < 10_000.0 => format!("{bytes:.0} B"),
        _ if bytes < 1e6 => format!("{:.1} KB", bytes / 1e3),
        _ => format!("{:.1} MB", bytes / 1e6),
    }
}

/// How many times `limit` something is.
pub fn times(what: Duration, limit: Duration) -> String {
    format!("{:.2}x", what.as_secs_f64() / limit.as_secs_f64().max(1e-12))
}
