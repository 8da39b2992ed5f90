//! The lines of a thread in order: those that a fork inherits, then its own.

use sapwood_protocol::record::{HistoryBase, SessionMeta};
use sapwood_protocol::{ThreadId, own};
use sapwood_rollout::{Journal, OpenError, Rollout, Seen};

use super::cursor::{self, Anchor};
use super::peek::Peek;
use super::turns::Turns;

/// Sources behind one another, at most: as many as an agent is folded from.
const MAX_SOURCES: usize = 64;

/// The turns of a thread. Takes no lock and loads nothing.
pub fn read(journal: &dyn Journal, thread: ThreadId) -> Result<Turns, OpenError> {
    read_rollout(journal, thread, &journal.read(thread)?)
}

/// Turns that were read before they are needed, and how far: what has come since is added when they are.
pub struct Ahead {
    turns: Turns,
    seen: Seen,
}

/// The turns of a thread, as far as its rollout goes now.
pub fn ahead(journal: &dyn Journal, thread: ThreadId) -> Result<Ahead, OpenError> {
    let rollout = journal.read(thread)?;
    Ok(Ahead { turns: read_rollout(journal, thread, &rollout)?, seen: Seen::all(&rollout) })
}

impl Ahead {
    /// The turns as they are now. A rollout that has not only grown is read again.
    pub fn now(mut self, journal: &dyn Journal, thread: ThreadId) -> Result<Turns, OpenError> {
        let Some(news) = journal.news(thread, &self.seen)? else { return read(journal, thread) };
        news.lines().for_each(|line| self.turns.apply(&line));
        Ok(self.turns)
    }
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

#[cfg(test)]
mod tests {
    use sapwood_protocol::app::turn::TurnItemsView;
    use sapwood_protocol::{Line, Millis};
    use sapwood_rollout::{MemoryJournal, NewThread};

    use super::*;

    const META: &str = r#"{"timestamp":"2026-11-21T00:00:00.000Z","ordinal":0,"type":"session_meta","payload":{"id":"01a1fb6a-a76e-71a2-bd2a-94a0af49bbef","cwd":"/","history_mode":"paginated"}}"#;

    fn line(text: &str) -> Line {
        Line::from_bytes(text.to_owned().into())
    }

    fn started(ordinal: u64) -> Line {
        let payload = format!(r#"{{"type":"task_started","turn_id":"t{ordinal}"}}"#);
        line(&format!(
            r#"{{"timestamp":"2026-11-21T00:00:00.000Z","ordinal":{ordinal},"type":"event_msg","payload":{payload}}}"#
        ))
    }

    #[test]
    fn what_was_read_ahead_is_brought_up_to_date() {
        let journal = MemoryJournal::new();
        let thread: ThreadId = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef".parse().unwrap();
        let log = journal.create(&NewThread { thread, created: Millis(1) }, &[line(META), started(1)]).unwrap();
        let shown = |turns: Turns| {
            let all = turns.all(TurnItemsView::Full, None);
            all.into_iter().map(|turn| turn.id.as_str().to_owned()).collect::<Vec<_>>()
        };
        let now = |ahead: Ahead| shown(ahead.now(&journal, thread).unwrap());
        let (early, late) = (ahead(&journal, thread).unwrap(), ahead(&journal, thread).unwrap());
        assert_eq!(now(early), ["t1"]);
        log.append(log.fence(), Some(2), &[started(2)]).unwrap();
        assert_eq!(now(late), ["t1", "t2"]);
        let other = Ahead { turns: Turns::default(), seen: Seen::all(&Rollout::new("other\n".into())) };
        assert_eq!(now(other), shown(read(&journal, thread).unwrap()), "it is read again");
    }
}
