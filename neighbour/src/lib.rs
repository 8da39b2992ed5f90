//! What Codex keeps of a thread beside its rollout: its goal, its queued messages, and which children were closed.
//!
//! What it is for: a thread that Codex made is taken over whole when we first write it.
//! What it never does: it writes, makes, renames or removes nothing in a Codex home, not even the files that SQLite makes
//! beside a database; it knows no agent and no rollout.
//!
//! Invariants:
//! - A database that cannot be read is a warning, and the others are read all the same.
//! - Only versions that are known are read: the version is in the name of the file.

mod database;
mod edges;
mod error;
mod goals;
mod queue;

use std::path::Path;

use sapwood_protocol::ThreadId;
use sapwood_protocol::own::Goal;

pub use error::Warning;

/// What was found of some threads.
#[derive(Debug, Default)]
pub struct Found {
    /// Goals, at most one a thread.
    pub goals: Vec<(ThreadId, Goal)>,
    /// Messages that wait for a thread, in the order in which they are to be said.
    pub queued: Vec<Queued>,
    /// Closed edges between threads, as parent and child.
    pub closed: Vec<(ThreadId, ThreadId)>,
    /// What could not be read.
    pub warnings: Vec<Warning>,
}

/// A message that waits until its thread has time for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// The thread.
    pub thread: ThreadId,
    /// Names the message in Codex's queue.
    pub id: String,
    /// What it says.
    pub text: String,
}

/// Messages that are taken over for one thread, at most: as many as the inbox of an agent holds.
const MAX_QUEUED: usize = 256;

/// Closed children that are taken over for one thread, at most. More than any model has spawned and closed.
const MAX_CLOSED: usize = 10_000;

/// True if Codex keeps databases in this home: where there are none, nothing is to be adopted.
pub fn is_there(home: &Path) -> bool {
    [goals::NAME, queue::NAME, edges::NAME].iter().any(|name| !database::versions(home, name).is_empty())
}

/// Reads what Codex keeps of these threads.
pub fn read(home: &Path, threads: &[ThreadId]) -> Found {
    let (mut goals, mut queued, mut closed, mut warnings) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let failed = [
        goals::read(home, threads, &mut goals, &mut warnings).err(),
        queue::read(home, threads, &mut queued, &mut warnings).err(),
        edges::read(home, threads, &mut closed, &mut warnings).err(),
    ];
    warnings.extend(failed.into_iter().flatten());
    Found { goals, queued, closed, warnings }
}
