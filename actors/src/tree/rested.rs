//! Agents that sleep, as they were when they fell asleep.
//!
//! Derived: who wakes reads its rollout, and folds only what has come since. Where the rollout does not begin as it was
//! left, or nothing is kept, it is folded whole.

use std::collections::VecDeque;

use parking_lot::Mutex;
use sapwood_protocol::ThreadId;
use sapwood_rollout::{Journal, OpenError, Rollout, Seen};

use crate::agent::Agent;
use crate::fold;

/// Agents that are kept, at most: those that people talk to, and the leaders of teams. One that is not among them costs a
/// fold, and nothing else.
const AGENTS: usize = 256;

/// Bytes of rollouts that the kept agents were folded from, at most: their histories are about as long.
const BYTES: u64 = 64 * 1024 * 1024;

/// The agents that are kept, the one that has slept longest first.
#[derive(Debug, Default)]
pub(crate) struct Rested(Mutex<VecDeque<Rest>>);

#[derive(Debug)]
struct Rest {
    thread: ThreadId,
    seen: Seen,
    agent: Agent,
}

impl Rested {
    /// Keeps an agent that falls asleep.
    pub fn keep(&self, thread: ThreadId, seen: Seen, agent: Agent) {
        let mut kept = self.0.lock();
        kept.retain(|rest| rest.thread != thread);
        kept.push_back(Rest { thread, seen, agent });
        let too_much = |kept: &VecDeque<Rest>| {
            kept.len() > AGENTS || kept.iter().map(|rest| rest.seen.length()).sum::<u64>() > BYTES
        };
        while too_much(&kept) {
            kept.pop_front();
        }
    }

    /// The agent of a thread, and how far its rollout was read. It is kept no longer.
    pub fn read(&self, journal: &dyn Journal, thread: ThreadId) -> Result<(Agent, Seen), OpenError> {
        if let Some(known) = self.wake(thread, |seen| journal.news(thread, seen))? {
            return Ok(known);
        }
        let rollout = journal.read(thread)?;
        Ok((fold::fold(journal, thread, &rollout)?, Seen::all(&rollout)))
    }

    /// The agent as its rollout says now, if it is kept and its rollout begins as it was left. `news` gives what stands behind
    /// what was seen.
    pub fn wake(
        &self,
        thread: ThreadId,
        news: impl FnOnce(&Seen) -> Result<Option<Rollout>, OpenError>,
    ) -> Result<Option<(Agent, Seen)>, OpenError> {
        let rest = {
            let mut kept = self.0.lock();
            kept.iter().position(|rest| rest.thread == thread).and_then(|at| kept.remove(at))
        };
        let Some(Rest { mut seen, mut agent, .. }) = rest else { return Ok(None) };
        let Some(news) = news(&seen)? else { return Ok(None) };
        news.lines().for_each(|line| agent.apply(&line));
        seen.more(&news);
        Ok(Some((agent, seen)))
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
        let keep = || rested.keep(thread, Seen::all(&before), fold(&before));
        let wake = |rollout: &Rollout| rested.wake(thread, |seen| Ok(seen.behind(rollout))).unwrap();
        let after = rollout(&[META, ITEM]);
        keep();
        assert_eq!(wake(&after), Some((fold(&after), Seen::all(&after))));
        assert_eq!(wake(&after), None, "it is awake");
        let torn = Rollout::new(format!("{META}\n{{\"torn").into());
        rested.keep(thread, Seen::all(&torn), fold(&torn));
        assert_eq!(wake(&torn), None, "a broken line may be ended");

        let others = [rollout(&[]), rollout(&[ITEM]), rollout(&[&META.replace("paginated", "paginatex"), ITEM])];
        for other in others {
            keep();
            assert_eq!(wake(&other), None, "{other:?}");
        }
        // Shorter than it was: a torn tail.
        rested.keep(thread, Seen::all(&after), fold(&after));
        assert_eq!(wake(&before), None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let rested = Rested::default();
        let before = rollout(&[META]);
        let mut ids = sapwood_protocol::Ids::seeded(1);
        let threads: Vec<ThreadId> = (0..=AGENTS).map(|_| ids.thread(sapwood_protocol::Millis(1))).collect();
        for thread in &threads {
            rested.keep(*thread, Seen::all(&before), fold(&before));
        }
        assert_eq!(rested.wake(threads[0], |seen| Ok(seen.behind(&before))).unwrap(), None);
        let long = Rollout::new(vec![b'\n'; usize::try_from(BYTES).unwrap()].into());
        rested.keep(threads[0], Seen::all(&long), fold(&before));
        assert_eq!(rested.0.lock().len(), 1);
    }
}
