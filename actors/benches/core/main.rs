//! What the core costs: machines, shells, log and an in-process scripted model, without a network and without a client;
//! and the same with a Responses server on loopback (see `http.rs`).
//!
//! Each number stands beside what we are after and beside a limit measured in the same process: a bare task, a bare
//! respawn, or a bare `write(2)` of the same bytes. CPU is the process's own, so that other load changes it little;
//! memory is anonymous. Every section runs in a process of its own, because a heap remembers what it was used for.
//!
//! `cargo bench -p sapwood-actors --bench core [-- [--quick] [SECTION...]]`; `--quick` only shows that it runs.

mod accept;
mod actors;
mod agents;
mod fan;
mod http;
mod measure;
mod recording;
mod seats;
mod team;
mod turns;

use std::path::Path;
use std::process::{Command, ExitCode};

use measure::Row;

/// How much is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// Enough for numbers.
    Full,
    /// Enough to see that it runs.
    Quick,
}

impl Scale {
    /// This many in a full run, and that many in a quick one.
    fn of(self, full: usize, quick: usize) -> usize {
        match self {
            Scale::Full => full,
            Scale::Quick => quick,
        }
    }
}

type Section = fn(Scale) -> Vec<Row>;

const SECTIONS: [(&str, Section); 13] = [
    ("mailbox", actors::mailbox),
    ("restart", actors::restart),
    ("turn", turns::turn),
    ("child", turns::child),
    ("accept", accept::accept),
    ("asleep", seats::asleep),
    ("awake", agents::awake),
    ("long", agents::long),
    ("open", agents::open),
    ("many", agents::many),
    ("http-turn", http::turn),
    ("http-child", http::child),
    ("http-many", http::many),
];

/// What a section's process puts before each row.
const ROW: &str = "row\t";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let scale = if args.iter().any(|arg| arg == "--quick") { Scale::Quick } else { Scale::Full };
    let wanted: Vec<&str> = args.iter().map(String::as_str).filter(|arg| !arg.starts_with("--")).collect();
    if let Some(unknown) = wanted.iter().find(|name| SECTIONS.iter().all(|(known, _)| known != *name)) {
        let known = SECTIONS.map(|(name, _)| name).join(", ");
        eprintln!("there is no section `{unknown}`; there are {known}");
        return ExitCode::FAILURE;
    }
    let sections = SECTIONS.iter().filter(|(name, _)| wanted.is_empty() || wanted.contains(name));
    if args.iter().any(|arg| arg == "--here") {
        let rows = sections.flat_map(|(_, section)| section(scale));
        rows.for_each(|row| println!("{ROW}{}", row.fields().join("\t")));
        return ExitCode::SUCCESS;
    }
    println!("load {}", measure::load());
    let homes = tempfile::tempdir().expect("a temporary folder");
    let mut rows = Vec::new();
    for (name, _) in sections {
        match in_its_own_process(name, scale, homes.path()) {
            Ok(more) => rows.extend(more),
            Err(why) => {
                eprintln!("{name}: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    measure::print(&rows);
    println!("load {}", measure::load());
    ExitCode::SUCCESS
}

fn in_its_own_process(name: &str, scale: Scale, homes: &Path) -> Result<Vec<Row>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.args(["--here", name]).env("TMPDIR", homes);
    if scale == Scale::Quick {
        command.arg("--quick");
    }
    let output = command.stderr(std::process::Stdio::inherit()).output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows: Vec<Row> = text.lines().filter_map(|line| line.strip_prefix(ROW)).filter_map(Row::from_fields).collect();
    if !output.status.success() || rows.is_empty() {
        return Err(format!("{}; {text}", output.status));
    }
    Ok(rows)
}
