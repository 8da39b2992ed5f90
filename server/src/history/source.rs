//! The lines of a thread in order: those that a fork inherits, then its own.

use sapwood_protocol::record::{HistoryBase, SessionMeta};
use sapwood_protocol::{ThreadId, own};
use sapwood_rollout::{Journal, OpenError, Rollout};

use super::cursor::{self, Anchor};
use super::peek::Peek;
use super::turns::Turns;

/// Sources behind one another, at most: as many as an agent is folded from.
const MAX_SOURCES: usize = 64;

/// The turns of a thread. Takes no lock and loads nothing.
pub fn read(journal: &dyn Journal, thread: ThreadId) -> Result<Turns, OpenError> {
    read_rollout(journal, thread, &journal.read(thread)?)
}

/// The same of a rollout that was already read; its sources are read from `journal`.
pub fn read_rollout(journal: &dyn Journal, thread: ThreadId, rollout: &Rollout) -> Result<Turns, OpenError> {
    let corrupt = |why: String| OpenError::Corrupt { thread, place: thread.to_string(), why };
    let sources = sources(journal, thread, rollout).map_err(corrupt)?;
    let mut lines = rollout.lines();
    let first = lines.by_ref().find(|line| Peek::of(line.bytes()).is_some_and(|peek| peek.kind == "session_meta"));
    let first = first.ok_or_else(|| corrupt("it has no readable session_meta line".to_owned()))?;
    let mut turns = Turns::of(&first);
    for Part { rollout, end } in sources.iter().rev() {
        if *end <= turns.own_start() {
            continue;
        }
        for line in rollout.lines() {
            let inherited = Peek::of(line.bytes()).is_some_and(|peek| {
                !peek.kind.starts_with(own::PREFIX) && peek.ordinal.is_some_and(|ordinal| ordinal < *end)
            });
            if inherited {
                turns.apply(&line);
            }
        }
    }
    lines.for_each(|line| turns.apply(&line));
    Ok(turns)
}

/// Cursors to the newest turn and the newest item, as [`Turns::ends`] gives them, without reading what stands before: only the
/// heads of lines, where they suffice.
pub fn ends(journal: &dyn Journal, thread: ThreadId) -> Result<(Option<String>, Option<String>), OpenError> {
    let rollout = journal.read(thread)?;
    let (mut turn, mut item) = (None, None);
    for line in rollout.lines() {
        let Some(peek) = Peek::of(line.bytes()) else { continue };
        match (peek.tag, peek.ordinal) {
            (Some("task_started" | "turn_started"), Some(ordinal)) => turn = Some(ordinal),
            (Some("item_completed"), Some(ordinal)) => item = Some(ordinal),
            // A legacy rollout numbers nothing, and takes turns back.
            (Some("task_started" | "turn_started" | "thread_rolled_back"), _) => (turn, item) = (None, None),
            _ => {}
        }
    }
    match (turn, item) {
        (Some(turn), Some(item)) => {
            let at = |place| Some(Anchor { place, rank: 0 });
            Ok(cursor::ends(thread, at(turn), at(item)))
        }
        _ => Ok(read_rollout(journal, thread, &rollout)?.ends(thread)),
    }
}

/// A rollout below an ordinal.
struct Part {
    rollout: Rollout,
    end: u64,
}

/// What the rollout of a thread goes on from, the nearest first.
fn sources(journal: &dyn Journal, thread: ThreadId, rollout: &Rollout) -> Result<Vec<Part>, String> {
    let mut seen = vec![thread];
    let mut parts: Vec<Part> = Vec::new();
    let mut next = base(rollout);
    while let Some(HistoryBase { thread_id, end_ordinal_exclusive: end, .. }) = next {
        if seen.contains(&thread_id) {
            return Err(format!("its history_base leads back to thread {thread_id}, so its history has no beginning"));
        }
        if parts.len() >= MAX_SOURCES {
            return Err(format!("its history_base leads through more than {MAX_SOURCES} rollouts"));
        }
        let rollout = journal.read(thread_id).map_err(|error| {
            format!("it goes on from thread {thread_id} before ordinal {end}, which cannot be read: {error}")
        })?;
        seen.push(thread_id);
        next = base(&rollout);
        // What is inherited further up ends where the nearer source was cut, too.
        let end = parts.last().map_or(end, |nearer| end.min(nearer.end));
        parts.push(Part { rollout, end });
    }
    Ok(parts)
}

fn base(rollout: &Rollout) -> Option<HistoryBase> {
    let meta = |line: sapwood_protocol::Line| line.view().ok()?.payload::<SessionMeta>().ok();
    let first = |line: &sapwood_protocol::Line| line.view().is_ok_and(|view| view.kind == "session_meta");
    rollout.lines().find(first).and_then(meta)?.history_base
}
