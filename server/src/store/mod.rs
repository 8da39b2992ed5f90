//! The threads of a home, loaded or not, from their rollouts alone.
//!
//! What it is for: lists, metadata of threads that are not loaded, names, archive, deletion.
//! What it never does: it loads no thread and knows none that is; whoever has some loaded puts their status over what stands
//! here. Codex's databases are neither read nor written.

mod error;
mod index;
mod list;
mod metadata;
mod row;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use sapwood_protocol::app::list::{ThreadListParams, ThreadListResponse};
use sapwood_protocol::app::thread::Thread;
use sapwood_protocol::record::HistoryMode;
use sapwood_protocol::{Millis, ThreadId};
use sapwood_rollout::{FileJournal, Journal};

pub use error::StoreError;
use index::Index;
pub use metadata::Patch;
use row::Row;

/// The file of the index, in the state folder of a home.
const INDEX_FILE: &str = "threads.jsonl";

/// The threads of one home. Calls read and write files: they are for a blocking task.
pub struct Store {
    journal: Arc<FileJournal>,
    index: Mutex<Index>,
}

type Rows = BTreeMap<ThreadId, Row>;

impl Store {
    /// The store of a journal's home. `state` is a folder of ours, and never one of Codex's.
    pub fn new(journal: Arc<FileJournal>, state: &Path) -> Self {
        Self { journal, index: Mutex::new(Index::new(state.join(INDEX_FILE))) }
    }

    /// The journal.
    pub fn journal(&self) -> &Arc<FileJournal> {
        &self.journal
    }

    /// A page of threads. `here` is the working directory, for filters that are relative to it.
    ///
    /// Without `useStateDbOnly` the index is brought up to date first; with it, what it holds is the answer, and an index that
    /// was deleted holds nothing.
    pub fn list(&self, params: &ThreadListParams, here: &Path) -> Result<ThreadListResponse, StoreError> {
        let ask = list::Ask::new(params, here)?;
        let names = self.journal.names()?;
        let mut index = self.index.lock();
        let rows = if params.use_state_db_only { index.kept() } else { index.repaired(&self.journal)? };
        Ok(ask.page(rows, &names))
    }

    /// A thread without its turns, as it is while it is not loaded.
    pub fn thread(&self, thread: ThreadId) -> Result<Thread, StoreError> {
        let shown = self.show(thread);
        shown.map_err(|error| match error {
            StoreError::NotFound(thread) => StoreError::NotLoaded(thread),
            error => error,
        })
    }

    /// Brings one thread of the index up to date: whoever wrote it says so, since fast lists look at no file.
    pub fn refresh(&self, thread: ThreadId) -> Result<(), StoreError> {
        self.index.lock().row(&self.journal, thread)?;
        Ok(())
    }

    /// Gives a thread a name; also one that another process writes.
    pub fn set_name(&self, thread: ThreadId, name: &str, now: Millis) -> Result<(), StoreError> {
        let name = name.trim();
        if name.is_empty() {
            return Err(StoreError::Invalid("thread name must not be empty".to_owned()));
        }
        self.writable(thread)?;
        Ok(self.journal.set_name(thread, name, now)?)
    }

    /// Gives a fork the name of its source, if that has one.
    pub fn name_after(&self, fork: ThreadId, source: ThreadId, now: Millis) -> Result<(), StoreError> {
        let names = self.journal.names()?;
        names.get(&source).map_or(Ok(()), |name| self.set_name(fork, name, now))
    }

    /// Changes metadata of a thread that nobody writes. One that is loaded writes [`Patch::line`] itself, and then calls
    /// [`Store::refresh`].
    pub fn update(&self, thread: ThreadId, patch: &Patch, now: Millis) -> Result<Thread, StoreError> {
        self.writable(thread)?;
        self.journal.open(thread)?.admit(&[patch.line(now)])?;
        self.show(thread)
    }

    /// Archives a thread and all agents below it; gives back those that were archived. The thread itself must not be written by
    /// anybody; an agent below that is stays where it is.
    pub fn archive(&self, thread: ThreadId) -> Result<Vec<ThreadId>, StoreError> {
        self.shelve(thread, false, |thread| self.journal.archive(thread))
    }

    /// Takes a thread and all agents below it out of the archive; gives back those that were in it.
    pub fn unarchive(&self, thread: ThreadId) -> Result<Vec<ThreadId>, StoreError> {
        self.shelve(thread, true, |thread| self.journal.unarchive(thread))
    }

    /// Deletes a thread, and nothing else. Refused while another rollout goes on from it.
    pub fn delete(&self, thread: ThreadId) -> Result<(), StoreError> {
        self.writable(thread)?;
        let mut index = self.index.lock();
        if index.repaired(&self.journal)?.values().any(|row| row.base == Some(thread)) {
            return Err(StoreError::Referenced(thread));
        }
        self.journal.delete(thread)?;
        index.repaired(&self.journal)?;
        Ok(())
    }

    /// The agents below a thread, at any height, nearer ones first; and their spawners.
    pub fn descendants(&self, thread: ThreadId) -> Result<Vec<ThreadId>, StoreError> {
        Ok(below(self.index.lock().repaired(&self.journal)?, thread))
    }

    fn show(&self, thread: ThreadId) -> Result<Thread, StoreError> {
        let names = self.journal.names()?;
        let mut index = self.index.lock();
        let row = index.row(&self.journal, thread)?.ok_or(StoreError::NotFound(thread))?;
        let mut shown = row.thread(names.get(&thread), row.preview().to_owned());
        // A fork goes on from what was said in its source.
        let mut source = row.base;
        for _ in 0..list::MAX_SOURCES {
            let Some(next) = source else { break };
            let Ok(Some(row)) = index.row(&self.journal, next) else { break };
            (shown.preview, source) = (row.preview().to_owned(), row.base);
        }
        Ok(shown)
    }

    /// Fails for a thread that is not there, and for one in a mode that nobody here may change.
    fn writable(&self, thread: ThreadId) -> Result<(), StoreError> {
        let mut index = self.index.lock();
        let row = index.row(&self.journal, thread)?.ok_or(StoreError::NotFound(thread))?;
        match &row.mode {
            HistoryMode::Unknown(mode) => Err(StoreError::HistoryMode { thread, mode: mode.clone() }),
            _ => Ok(()),
        }
    }

    fn shelve(
        &self,
        thread: ThreadId,
        archived: bool,
        run: impl Fn(ThreadId) -> Result<(), sapwood_rollout::OpenError>,
    ) -> Result<Vec<ThreadId>, StoreError> {
        self.writable(thread)?;
        let mut index = self.index.lock();
        let rows = index.repaired(&self.journal)?;
        let here = |thread: &ThreadId| rows.get(thread).is_some_and(|row| row.archived == archived);
        if !here(&thread) {
            return Err(StoreError::NotFound(thread));
        }
        let below: Vec<ThreadId> = below(rows, thread).into_iter().filter(here).collect();
        run(thread)?;
        let mut done = vec![thread];
        for agent in below {
            match run(agent) {
                Ok(()) => done.push(agent),
                Err(error) => tracing::warn!(%agent, %error, "an agent stays where it is"),
            }
        }
        index.repaired(&self.journal)?;
        Ok(done)
    }
}

/// The agents below a thread, nearer ones first, then by id.
fn below(rows: &Rows, thread: ThreadId) -> Vec<ThreadId> {
    let mut children: BTreeMap<ThreadId, Vec<ThreadId>> = BTreeMap::new();
    for row in rows.values() {
        if let Some(parent) = row.parent {
            children.entry(parent).or_default().push(row.thread);
        }
    }
    let mut seen = BTreeSet::from([thread]);
    let mut found = Vec::new();
    let mut level = vec![thread];
    while !level.is_empty() {
        let next = level.iter().flat_map(|thread| children.get(thread).into_iter().flatten().copied());
        let next: BTreeSet<ThreadId> = next.filter(|thread| seen.insert(*thread)).collect();
        found.extend(&next);
        level = next.into_iter().collect();
    }
    found
}

#[cfg(test)]
mod tests;
