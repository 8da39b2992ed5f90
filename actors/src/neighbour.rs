//! The program next door: what it keeps of a thread beside the rollout is taken over once, when we first write there.
//!
//! Everything taken over becomes lines of the rollout before anything is made of it: `sapwood.adopted`, and an
//! acceptance for each message that was queued. The neighbour's own notes stay as they are.

use std::sync::Arc;

use sapwood_protocol::ThreadId;
use sapwood_protocol::ids::InputId;
use sapwood_protocol::own::{Accepted, Adopted, Body, InputLane, Own};
use sapwood_rollout::{Log, OpenError};

use crate::agent::Agent;
use crate::fold;
use crate::tree::Tree;

/// Reads what another program keeps of threads, and changes nothing there.
pub trait Neighbour: Send + Sync + 'static {
    /// What it keeps of a thread; `None` where it keeps nothing of any thread.
    fn look(&self, thread: ThreadId) -> Option<Kept>;
}

/// What another program keeps of a thread.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// Goal and closed children.
    pub adopted: Adopted,
    /// Messages that wait for the thread, in order.
    pub queued: Vec<Queued>,
    /// What could not be read, for a person.
    pub warnings: Vec<String>,
}

/// A message that waits in another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Names it there.
    pub id: String,
    /// What it says.
    pub text: String,
}

impl Queued {
    /// The same message taken over twice is one input.
    fn input(self, place: u64) -> Accepted {
        let id = InputId::from(format!("codex-queue:{}", self.id));
        let body = Some(Body::user(self.text));
        Accepted { id, place, lane: InputLane::User, wake: true, from: None, body, turn: None }
    }
}

/// Takes over what the neighbour keeps of the agent's thread, if nobody of us has written there yet. Returns the log that
/// it was written to, which holds the thread.
///
/// Fails where the rollout cannot be opened or written; then nothing was taken over, and the next load tries again.
pub(crate) fn adopt(tree: &Tree, agent: &mut Agent) -> Result<Option<Arc<dyn Log>>, OpenError> {
    let Some(neighbour) = tree.neighbour() else { return Ok(None) };
    if agent.has_own_lines {
        return Ok(None);
    }
    let thread = agent.identity().thread;
    let Some(kept) = neighbour.look(thread) else { return Ok(None) };
    let log = tree.journal.open(thread)?;
    // Only who holds the thread knows that nobody else of us was here in between.
    *agent = fold::fold(&*tree.journal, thread, &log.read()?)?;
    if agent.has_own_lines {
        return Ok(Some(log));
    }
    let now = tree.clock.now();
    let count = kept.queued.len();
    let queued = kept.queued.into_iter().zip(agent.inbox.next_place()..).map(|(queued, place)| queued.input(place));
    let lines: Vec<_> =
        queued.map(Own::Accepted).chain([Own::Adopted(kept.adopted)]).map(|own| own.line(now)).collect();
    log.admit(&lines).map_err(|error| OpenError::Storage {
        action: "write what was taken over to",
        place: thread.to_string(),
        why: error.to_string(),
        full: matches!(error, sapwood_rollout::AppendError::Storage { full: true, .. }),
    })?;
    lines.iter().for_each(|line| agent.apply(line));
    for warning in kept.warnings {
        tracing::warn!(%thread, "{warning}");
    }
    if count > 0 {
        tracing::warn!(%thread, count, "what was queued in Codex is taken over; Codex's queue still has it");
    }
    Ok(Some(log))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use sapwood_protocol::own::{Goal, GoalStatus, Spawn};
    use sapwood_protocol::{AgentPath, CallId, Ids, Line, Millis, SessionId};
    use sapwood_rollout::{Journal, MemoryJournal};
    use serde_json::json;

    use super::*;
    use crate::clock::SystemClock;
    use crate::service::load;

    const NOW: Millis = Millis(1_795_219_433_000);

    /// Keeps the same of every thread, and counts how often it is asked.
    struct Codex(Arc<AtomicUsize>, Kept);

    impl Neighbour for Codex {
        fn look(&self, _: ThreadId) -> Option<Kept> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Some(self.1.clone())
        }
    }

    fn meta(thread: ThreadId, root: ThreadId, path: Option<&str>) -> Line {
        let mut meta = json!({"id": thread, "session_id": root, "cwd": "/w", "history_mode": "paginated"});
        if let Some(path) = path {
            meta["agent_path"] = json!(path);
            meta["parent_thread_id"] = json!(root);
        }
        Line::encode(NOW, Some(0), "session_meta", &meta, None)
    }

    fn bytes(lines: &[Line]) -> Vec<u8> {
        lines.iter().flat_map(|line| line.bytes().to_vec()).collect()
    }

    fn tree(journal: &MemoryJournal, root: ThreadId, neighbour: Codex) -> Arc<Tree> {
        let journal = Arc::new(journal.clone());
        let tree = Tree::new(SessionId::from(root), Arc::default(), journal, Arc::new(SystemClock), Ids::seeded(9));
        tree.beside(Arc::new(neighbour));
        tree
    }

    fn kept(closed: Vec<ThreadId>) -> Kept {
        let goal = Goal {
            objective: "ship".into(),
            status: GoalStatus::Active,
            token_budget: None,
            tokens_used: 1,
            time_used_seconds: 2,
            created_at: NOW,
            updated_at: NOW,
        };
        let queued = ["one", "two"].map(|text| Queued { id: format!("q-{text}"), text: text.into() });
        Kept { adopted: Adopted { goal: Some(goal), closed }, queued: queued.into(), warnings: vec!["w".into()] }
    }

    #[test]
    fn a_foreign_thread_is_taken_over_once() {
        let root = Ids::seeded(1).thread(NOW);
        let journal = MemoryJournal::new();
        journal.put(root, NOW, bytes(&[meta(root, root, None)]));
        let asked = Arc::new(AtomicUsize::new(0));
        for round in 0..3 {
            let loaded = tree(&journal, root, Codex(asked.clone(), kept(Vec::new())));
            assert_eq!(load(&loaded).unwrap(), Vec::<String>::new());
            let agent = fold::read(&journal, root).unwrap();
            assert_eq!(agent.adopted, Some(kept(Vec::new()).adopted), "round {round}");
            let pending = agent.inbox.pending();
            let ids: Vec<String> = pending.iter().map(|pending| pending.accepted.id.to_string()).collect();
            assert_eq!(ids, ["codex-queue:q-one", "codex-queue:q-two"]);
            assert!(loaded.root().unwrap().view().wakes, "what was queued wants a turn");
            drop(loaded);
            // Codex goes on in between.
            let mut file = journal.read(root).unwrap().bytes().to_vec();
            file.extend(bytes(&[Line::encode(NOW, Some(1 + round), "event_msg", &json!({"type": "x"}), None)]));
            journal.put(root, NOW, file);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_closed_child_and_all_below_it_are_no_part_of_the_tree() {
        let mut ids = Ids::seeded(2);
        let [root, open, closed, below] = [(); 4].map(|()| ids.thread(NOW));
        let spawn = |child, path: &str| {
            let path: AgentPath = path.parse().unwrap();
            Own::Spawn(Spawn { child, call: CallId::from("c"), path, fork: None }).line(NOW)
        };
        let journal = MemoryJournal::new();
        let adopted = Own::Adopted(Adopted { goal: None, closed: vec![closed] }).line(NOW);
        let lines = [meta(root, root, None), spawn(open, "/root/a"), spawn(closed, "/root/b"), adopted];
        journal.put(root, NOW, bytes(&lines));
        journal.put(open, NOW, bytes(&[meta(open, root, Some("/root/a"))]));
        journal.put(closed, NOW, bytes(&[meta(closed, root, Some("/root/b")), spawn(below, "/root/b/c")]));
        journal.put(below, NOW, bytes(&[meta(below, root, Some("/root/b/c"))]));
        let asked = Arc::new(AtomicUsize::new(0));
        let loaded = tree(&journal, root, Codex(asked.clone(), Kept::default()));
        load(&loaded).unwrap();
        let threads: Vec<ThreadId> = loaded.seats().iter().map(|seat| seat.thread).collect();
        assert_eq!(threads, [root, open]);
        assert_eq!(asked.load(Ordering::SeqCst), 1, "the child had no line of ours, the root had");
        assert_eq!(fold::read(&journal, open).unwrap().adopted, Some(Adopted::default()));
        assert_eq!(fold::read(&journal, closed).unwrap().adopted, None, "what is closed is not touched");
    }
}
