//! What stands in a home beside good rollouts: locks, and what crashes left. Looked at, never changed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use sapwood_protocol::ThreadId;

use super::FileJournal;
use crate::port::Holder;
use crate::source::{self, Source};

/// What was found in a home.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Threads that are held, and by whom, as far as that can be told.
    pub held: Vec<(ThreadId, Holder)>,
    /// Threads whose lock file is there and held by nobody. They mean nothing: a process keeps some for
    /// its next threads, and one that was killed leaves its own.
    pub stale_locks: Vec<ThreadId>,
    /// What was left by processes that died, or by others.
    pub leftovers: Vec<Leftover>,
    /// Rollouts that were looked at.
    pub rollouts: usize,
}

/// Something that a crash leaves. It harms nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub what: What,
    /// Where it is, for a person to find it.
    pub place: String,
}

/// Kinds of leftovers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A rollout that never came to exist: its process died while it was made.
    Unborn,
    /// A temporary file.
    Temporary,
    /// A rollout with nothing in it.
    Empty,
    /// A rollout whose last line has no end. The next append ends it.
    BrokenTail,
}

impl FileJournal {
    /// Looks at the locks and at what crashes left. Takes no lock, opens each rollout only to read its last byte, and
    /// changes nothing. What goes away meanwhile is not reported.
    pub fn inspect(&self) -> io::Result<Inspection> {
        let mut found = Inspection::default();
        let (held, stale) = self.locks.look();
        (found.held, found.stale_locks) = (held, stale);
        let busy: BTreeSet<ThreadId> = found.held.iter().map(|(thread, _)| *thread).collect();
        for place in self.index.scan()? {
            found.rollouts += 1;
            // Who holds it may be in the middle of a line.
            if place.name.compressed || busy.contains(&place.name.thread) {
                continue;
            }
            found.leftovers.extend(end_of(&place.path).map(|what| leftover(what, &place.path)));
        }
        visit(&self.home.join("sessions"), 3, &mut found.leftovers)?;
        visit(&self.home, 0, &mut found.leftovers)?;
        found.leftovers.sort_by(|a, b| (a.what, &a.place).cmp(&(b.what, &b.place)));
        Ok(found)
    }
}

fn leftover(what: What, path: &Path) -> Leftover {
    Leftover { what, place: path.to_string_lossy().into_owned() }
}

fn end_of(path: &Path) -> Option<What> {
    let file = File::open(path).ok()?;
    match Source::len(&file).ok()? {
        0 => Some(What::Empty),
        len => source::is_torn(&file, len).ok()?.then_some(What::BrokenTail),
    }
}

/// Looks for temporary files in a folder, and in those `depth` levels below it.
fn visit(folder: &Path, depth: u32, found: &mut Vec<Leftover>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if depth > 0 {
                visit(&path, depth - 1, found)?;
            }
        } else if name.starts_with(".unborn-") {
            found.push(leftover(What::Unborn, &path));
        } else if name.ends_with(".tmp") {
            found.push(leftover(What::Temporary, &path));
        }
    }
    Ok(())
}
