//! Codex next door: the databases of the home in which rollouts are kept.

use std::path::PathBuf;

use sapwood_actors::neighbour::{Kept, Neighbour, Queued};
use sapwood_protocol::ThreadId;
use sapwood_protocol::own::Adopted;

/// The databases of a home.
pub struct Codex(pub PathBuf);

impl Neighbour for Codex {
    fn look(&self, thread: ThreadId) -> Option<Kept> {
        if !sapwood_neighbour::is_there(&self.0) {
            return None;
        }
        let found = sapwood_neighbour::read(&self.0, &[thread]);
        let goal = found.goals.into_iter().next().map(|(_, goal)| goal);
        let closed = found.closed.into_iter().map(|(_, child)| child).collect();
        let queued = found.queued.into_iter().map(|queued| Queued { id: queued.id, text: queued.text }).collect();
        let warnings = found.warnings.iter().map(ToString::to_string).collect();
        Some(Kept { adopted: Adopted { goal, closed }, queued, warnings })
    }
}
