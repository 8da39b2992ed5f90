//! The index: the rows of a home, kept so that 10,000 threads are listed without opening their rollouts.
//!
//! Derived: deleting it loses nothing, and the next list that may look at files makes it again. One row a line; the last one of
//! a thread counts; written anew when most of its lines are old.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use sapwood_protocol::ThreadId;
use sapwood_rollout::{FileJournal, Found, Journal, OpenError};
use serde::{Deserialize, Serialize};

use super::row::Row;

/// The version of a line; lines of another one are made again.
const VERSION: u32 = 3;

/// Lines that may be old before the file is written anew.
const SLACK_LINES: usize = 1_000;

/// How much before what is new is read again.
const OVERLAP_BYTES: u64 = 64 * 1024;

/// One line.
#[derive(Serialize, Deserialize)]
struct Entry<R> {
    v: u32,
    thread: ThreadId,
    /// Absent for a thread that is gone.
    row: Option<R>,
}

pub(super) struct Index {
    file: PathBuf,
    rows: BTreeMap<ThreadId, Row>,
    /// Lines of the file, old ones too; 0 before it was read.
    lines: usize,
    loaded: bool,
}

impl Index {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, rows: BTreeMap::new(), lines: 0, loaded: false }
    }

    /// The rows as they were last kept; none where the index is gone.
    pub(super) fn kept(&mut self) -> &BTreeMap<ThreadId, Row> {
        match self.file.exists() {
            true => self.load(),
            false => self.forget(),
        }
        &self.rows
    }

    /// The rows as the rollouts are now. Only those that changed are read.
    pub(super) fn repaired(&mut self, journal: &FileJournal) -> Result<&BTreeMap<ThreadId, Row>, OpenError> {
        if !self.file.exists() {
            self.forget();
        }
        self.load();
        let found = journal.survey()?;
        let there: BTreeSet<ThreadId> = found.iter().map(|found| found.thread).collect();
        let gone: Vec<ThreadId> = self.rows.keys().copied().filter(|thread| !there.contains(thread)).collect();
        let mut changed = Vec::new();
        for thread in gone {
            self.rows.remove(&thread);
            changed.push(thread);
        }
        for found in &found {
            if self.refresh(journal, found) {
                changed.push(found.thread);
            }
        }
        self.keep(&changed);
        Ok(&self.rows)
    }

    /// One row as its rollout is now. `None` for a thread that cannot be read.
    pub(super) fn row(&mut self, journal: &FileJournal, thread: ThreadId) -> Result<Option<&Row>, OpenError> {
        self.load();
        match journal.look(thread) {
            Ok(found) => {
                if self.refresh(journal, &found) {
                    self.keep(&[thread]);
                }
            }
            Err(error) => {
                if self.rows.remove(&thread).is_some() {
                    self.keep(&[thread]);
                }
                return Err(error);
            }
        }
        Ok(self.rows.get(&thread))
    }

    /// True if the row changed.
    fn refresh(&mut self, journal: &FileJournal, found: &Found) -> bool {
        let known = self.rows.get(&found.thread);
        if known.is_some_and(|row| row.stamp == found.stamp && row.place == found.place) {
            return false;
        }
        let row = match known.filter(|known| known.place == found.place && known.stamp.bytes <= found.stamp.bytes) {
            Some(known) => {
                let new = found.stamp.bytes - known.stamp.bytes;
                // Also the line before, which may have been half there.
                journal.tail(found.thread, new + OVERLAP_BYTES).ok().map(|tail| known.grown(found, &tail))
            }
            None => journal.read(found.thread).ok().and_then(|rollout| Row::read(found, &rollout)),
        };
        match row {
            Some(row) => {
                self.rows.insert(found.thread, row);
                true
            }
            None => self.rows.remove(&found.thread).is_some(),
        }
    }

    fn forget(&mut self) {
        (self.lines, self.loaded) = (0, false);
        self.rows.clear();
    }

    fn load(&mut self) {
        if std::mem::replace(&mut self.loaded, true) {
            return;
        }
        let bytes = fs::read(&self.file).unwrap_or_default();
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.lines += 1;
            match serde_json::from_slice::<Entry<Row>>(line) {
                Ok(Entry { v: VERSION, thread, row: Some(row) }) => drop(self.rows.insert(thread, row)),
                Ok(Entry { thread, .. }) => drop(self.rows.remove(&thread)),
                Err(_) => {}
            }
        }
    }

    /// Writes what changed. An index that cannot be written is made again by whoever needs it next.
    fn keep(&mut self, changed: &[ThreadId]) {
        let gone = !self.file.exists();
        if changed.is_empty() && !gone {
            return;
        }
        let anew = gone || self.lines + changed.len() > 2 * self.rows.len() + SLACK_LINES;
        let result = if anew { self.write_anew() } else { self.append(changed) };
        if let Err(error) = result {
            tracing::warn!(file = %self.file.display(), %error, "the index of threads cannot be written; lists are slower");
        }
    }

    fn append(&mut self, changed: &[ThreadId]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for thread in changed {
            write(&mut bytes, *thread, self.rows.get(thread))?;
        }
        self.lines += changed.len();
        OpenOptions::new().append(true).open(&self.file)?.write_all(&bytes)
    }

    fn write_anew(&mut self) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let mut bytes = Vec::new();
        for (thread, row) in &self.rows {
            write(&mut bytes, *thread, Some(row))?;
        }
        self.lines = self.rows.len();
        // Named by the process, so that two of them do not write into one file.
        let new = self.file.with_extension(format!("{}.tmp", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).open(&new)?.write_all(&bytes)?;
        fs::rename(&new, &self.file)
    }
}

fn write(bytes: &mut Vec<u8>, thread: ThreadId, row: Option<&Row>) -> io::Result<()> {
    serde_json::to_writer(&mut *bytes, &Entry { v: VERSION, thread, row })?;
    bytes.push(b'\n');
    Ok(())
}
