//! Agents that sleep, as they were when they fell asleep.
//!
//! Derived: who wakes reads its rollout, and folds only what has come since. Where the rollout does not begin as it was
//! left, or nothing is kept, it is folded whole.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use sapwood_protocol::{Line, ThreadId};
use sapwood_rollout::{Journal, OpenError, Rollout};

use crate::agent::Agent;
use crate::fold;

/// Agents that are kept, at most: those that people talk to, and the leaders of teams. One that is not among them costs a
/// fold, and nothing else.
const AGENTS: usize = 256;

/// Bytes of rollouts that the kept agents were folded from, at most: their histories are about as long.
const BYTES: u64 = 64 * 1024 * 1024;

/// How far a rollout was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// In bytes.
    length: u64,
    /// The last line, with its newline.
    last: Bytes,
}

impl Read {
    /// All of a rollout.
    pub fn all(rollout: &Rollout) -> Self {
        let bytes = rollout.bytes();
        let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let start = memchr::memrchr(b'\n', whole).map_or(0, |end| end + 1);
        // A copy: it would keep the whole rollout in memory.
        Self { length: bytes.len() as u64, last: Bytes::copy_from_slice(&bytes[start..]) }
    }

    /// One more line.
    pub fn line(&mut self, line: &Line) {
        self.length += line.bytes().len() as u64;
        self.last = line.bytes().clone();
    }

    /// What stands behind it, if the rollout begins so.
    fn behind(&self, rollout: &Rollout) -> Option<Rollout> {
        let length = usize::try_from(self.length).ok()?;
        let bytes = rollout.bytes();
        let known = bytes.get(..length)?.strip_suffix(&*self.last)?;
        let is_whole = self.last.ends_with(b"\n") && (known.is_empty() || known.ends_with(b"\n"));
        is_whole.then(|| Rollout::new(bytes.slice(length..)))
    }
}

/// The agents that are kept, the one that has slept longest first.
#[derive(Debug, Default)]
pub(crate) struct Rested(Mutex<VecDeque<Rest>>);

#[derive(Debug)]
struct Rest {
    thread: ThreadId,
    read: Read,
    agent: Agent,
}

impl Rested {
    /// Keeps an agent that falls asleep.
    pub fn keep(&self, thread: ThreadId, read: Read, agent: Agent) {
        let mut kept = self.0.lock();
        kept.retain(|rest| rest.thread != thread);
        kept.push_back(Rest { thread, read, agent });
        let too_much = |kept: &VecDeque<Rest>| {
            kept.len() > AGENTS || kept.iter().map(|rest| rest.read.length).sum::<u64>() > BYTES
        };
        while too_much(&kept) {
            kept.pop_front();
        }
    }

    /// The agent of a thread, and how far its rollout was read. It is kept no longer.
    pub fn read(&self, journal: &dyn Journal, thread: ThreadId) -> Result<(Agent, Read), OpenError> {
        let rollout = journal.read(thread)?;
        let agent = match self.wake(thread, &rollout) {
            Some(agent) => agent,
            None => fold::fold(journal, thread, &rollout)?,
        };
        Ok((agent, Read::all(&rollout)))
    }

    /// The agent as its rollout says now, if it is kept and its rollout begins as it was left.
    pub fn wake(&self, thread: ThreadId, rollout: &Rollout) -> Option<Agent> {
        let mut kept = self.0.lock();
        let at = kept.iter().position(|rest| rest.thread == thread)?;
        let Rest { read, mut agent, .. } = kept.remove(at)?;
        drop(kept);
        let news = read.behind(rollout)?;
        news.lines().for_each(|line| agent.apply(&line));
        Some(agent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const META: &str = r#"{"timestamp":"2026-11-21T00:00:00.000Z","ordinal":0,"type":"session_meta","payload":{"id":"01a1fb6a-a76e-71a2-bd2a-94a0af49bbef","cwd":"/","history_mode":"paginated"}}"#;
    const ITEM: &str = r#"{"timestamp":"2026-11-21T00:00:00.000Z","ordinal":1,"type":"response_item","payload":{"type":"message","id":"m","role":"user","content":[]}}"#;

    fn rollout(lines: &[&str]) -> Rollout {
        Rollout::new(lines.iter().flat_map(|line| [line, "\n"]).collect::<String>().into())
    }

    fn fold(rollout: &Rollout) -> Agent {
        Agent::fold(rollout.lines())
    }

    #[test]
    fn who_wakes_is_as_its_rollout_says() {
        let (rested, thread) = (Rested::default(), "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef".parse().unwrap());
        let before = rollout(&[META]);
        let keep = || rested.keep(thread, Read::all(&before), fold(&before));
        let after = rollout(&[META, ITEM]);
        keep();
        assert_eq!(rested.wake(thread, &after), Some(fold(&after)));
        assert_eq!(rested.wake(thread, &after), None, "it is awake");
        let mut read = Read::all(&before);
        read.line(&Line::from_bytes(Bytes::from_static(ITEM.as_bytes())));
        assert_eq!(read, Read::all(&after), "what is appended counts as what is read");
        let torn = Rollout::new(format!("{META}\n{{\"torn").into());
        rested.keep(thread, Read::all(&torn), fold(&torn));
        assert_eq!(rested.wake(thread, &torn), None, "a broken line may be ended");

        let others = [rollout(&[]), rollout(&[ITEM]), rollout(&[&META.replace("paginated", "paginatex"), ITEM])];
        for other in others {
            keep();
            assert_eq!(rested.wake(thread, &other), None, "{other:?}");
        }
        // Shorter than it was: a torn tail.
        rested.keep(thread, Read::all(&after), fold(&after));
        assert_eq!(rested.wake(thread, &before), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let rested = Rested::default();
        let before = rollout(&[META]);
        let mut ids = sapwood_protocol::Ids::seeded(1);
        let threads: Vec<ThreadId> = (0..=AGENTS).map(|_| ids.thread(sapwood_protocol::Millis(1))).collect();
        for thread in &threads {
            rested.keep(*thread, Read::all(&before), fold(&before));
        }
        assert_eq!(rested.wake(threads[0], &before), None);
        let long = Read { length: BYTES, ..Read::all(&before) };
        rested.keep(threads[0], long, fold(&before));
        assert_eq!(rested.0.lock().len(), 1);
    }
}
