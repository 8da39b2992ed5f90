//! From rollouts to an agent: a rollout's own lines, after what it inherits.
//!
//! A fork names its source in its first line and copies nothing: its history is the source's lines below an ordinal,
//! then its own. The source may be a fork itself. Reading takes no lock and writes nothing.

use sapwood_protocol::ThreadId;
use sapwood_rollout::{Journal, OpenError, Rollout};

use crate::agent::Agent;

/// Sources behind one another, at most. Forks of forks are made by hand; a chain this long is a mistake, and each
/// link is a file that is read.
pub const MAX_SOURCES: usize = 64;

/// Reads the agent of a thread.
pub fn read(journal: &dyn Journal, thread: ThreadId) -> Result<Agent, OpenError> {
    fold(journal, thread, &journal.read(thread)?)
}

/// Folds a rollout that was already read; its sources are read from `journal`.
///
/// Fails as [`OpenError::Corrupt`] for `thread` if a rollout has no readable first line, if a source cannot be read, or
/// if the sources never come to a beginning. A rollout that inherits less than it says, because its source lost its
/// end, is folded with what there is.
pub fn fold(journal: &dyn Journal, thread: ThreadId, rollout: &Rollout) -> Result<Agent, OpenError> {
    of_fork(journal, thread, rollout, None)
}

/// The same, of a fork whose source may be in memory already: as far as it is inherited, and of no other fork.
pub fn of_fork(
    journal: &dyn Journal,
    thread: ThreadId,
    rollout: &Rollout,
    source: Option<&Agent>,
) -> Result<Agent, OpenError> {
    let chain = Chain { journal, threads: vec![thread], known: source };
    chain.run(rollout, None)
}

/// Reads the agent of a thread as it was before the line with the number `end`, without what is its alone: inputs, children,
/// processes.
pub fn below(journal: &dyn Journal, thread: ThreadId, end: u64) -> Result<Agent, OpenError> {
    let chain = Chain { journal, threads: vec![thread], known: None };
    chain.run(&journal.read(thread)?, Some(end))
}

/// The rollouts that are being folded, each the source of the one before.
struct Chain<'a> {
    journal: &'a dyn Journal,
    threads: Vec<ThreadId>,
    /// The source of the first one, if it is known.
    known: Option<&'a Agent>,
}

impl Chain<'_> {
    fn run(mut self, rollout: &Rollout, end: Option<u64>) -> Result<Agent, OpenError> {
        let thread = self.threads[0];
        self.fold(rollout, end).map_err(|why| OpenError::Corrupt { thread, place: thread.to_string(), why })
    }

    /// Folds a rollout; of a source, only what stands below the ordinal `end`.
    fn fold(&mut self, rollout: &Rollout, end: Option<u64>) -> Result<Agent, String> {
        let mut agent = Agent::default();
        let mut lines = rollout.lines();
        while agent.identity.is_none() {
            let line = lines.next().ok_or_else(|| self.about("it has no readable session_meta line"))?;
            agent.apply(&line);
        }
        if let Some(base) = agent.identity().base.clone() {
            // What is inherited further up ends where the nearer source was cut, too.
            let below = end.map_or(base.end_ordinal_exclusive, |end| end.min(base.end_ordinal_exclusive));
            let known = self.known.take().filter(|known| known.identity().thread == base.thread_id);
            agent.inherit(match known {
                Some(known) => known.to_inherit(),
                None => self.source(base.thread_id, below)?,
            });
        }
        match end {
            None => lines.for_each(|line| agent.apply(&line)),
            Some(end) => lines.for_each(|line| {
                if agent.is_below(&line, end) {
                    agent.apply(&line);
                }
            }),
        }
        Ok(agent)
    }

    fn source(&mut self, thread: ThreadId, end: u64) -> Result<Agent, String> {
        if self.threads.contains(&thread) {
            return Err(format!("its history_base leads back to thread {thread}, so its history has no beginning"));
        }
        if self.threads.len() > MAX_SOURCES {
            return Err(format!("its history_base leads through more than {MAX_SOURCES} rollouts"));
        }
        let rollout = self.journal.read(thread).map_err(|error| {
            format!("it goes on from thread {thread} before ordinal {end}, which cannot be read: {error}")
        })?;
        self.threads.push(thread);
        let agent = self.fold(&rollout, Some(end))?;
        self.threads.pop();
        let there = agent.next_ordinal.unwrap_or_default();
        if there < end {
            tracing::warn!(source = %thread, there, end, "a fork inherits less than it says: its source has lost its end");
        }
        Ok(agent)
    }

    /// Says which rollout is meant, where it is not the one that was asked for.
    fn about(&self, why: &str) -> String {
        match self.threads.as_slice() {
            [_, .., source] => format!("it goes on from thread {source}, which cannot be used: {why}"),
            _ => why.to_owned(),
        }
    }
}
