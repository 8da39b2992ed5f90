//! A file journal that remembers what it wrote, so that the same bytes can be written without it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sapwood_mailbox::Epoch;
use sapwood_protocol::{Line, ThreadId};
use sapwood_rollout::{AppendError, Entry, FileJournal, Filter, Journal, Log, NewThread, OpenError, Rollout, Ticket};

use crate::measure::{cpu, each};

/// What one write holds, and of which thread.
type Batch = (ThreadId, Vec<u8>);
type Writes = Arc<Mutex<Vec<Batch>>>;

/// The journal.
pub struct Recording {
    files: FileJournal,
    writes: Writes,
}

struct RecordingLog {
    log: Arc<dyn Log>,
    writes: Writes,
}

fn bytes(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.bytes().iter().copied()).collect()
}

impl Recording {
    /// A journal under this folder.
    pub fn new(home: &Path) -> Arc<Self> {
        Arc::new(Self { files: FileJournal::new(home.to_owned()), writes: Writes::default() })
    }

    /// What was written since the last call.
    pub fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut self.writes.lock())
    }

    fn wrap(&self, log: Arc<dyn Log>) -> Arc<dyn Log> {
        Arc::new(RecordingLog { log, writes: Arc::clone(&self.writes) })
    }
}

impl Journal for Recording {
    fn create(&self, new: &NewThread, lines: &[Line]) -> Result<Arc<dyn Log>, OpenError> {
        self.writes.lock().push((new.thread, bytes(lines)));
        self.files.create(new, lines).map(|log| self.wrap(log))
    }

    fn open(&self, thread: ThreadId) -> Result<Arc<dyn Log>, OpenError> {
        self.files.open(thread).map(|log| self.wrap(log))
    }

    fn read(&self, thread: ThreadId) -> Result<Rollout, OpenError> {
        self.files.read(thread)
    }

    fn tail(&self, thread: ThreadId, bytes: u64) -> Result<Rollout, OpenError> {
        self.files.tail(thread, bytes)
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, OpenError> {
        self.files.list(filter)
    }
}

impl Log for RecordingLog {
    fn thread(&self) -> ThreadId {
        self.log.thread()
    }

    fn fence(&self) -> Epoch {
        self.log.fence()
    }

    fn append(&self, epoch: Epoch, next_ordinal: Option<u64>, lines: &[Line]) -> Result<Ticket, AppendError> {
        self.writes.lock().push((self.log.thread(), bytes(lines)));
        self.log.append(epoch, next_ordinal, lines)
    }

    fn admit(&self, lines: &[Line]) -> Result<Ticket, AppendError> {
        self.writes.lock().push((self.log.thread(), bytes(lines)));
        self.log.admit(lines)
    }

    fn durable(&self) -> Ticket {
        self.log.durable()
    }

    fn next_ordinal(&self) -> Option<u64> {
        self.log.next_ordinal()
    }

    fn read(&self) -> Result<Rollout, OpenError> {
        self.log.read()
    }
}

/// What a bare program spends on the same writes: into one file, or into a new file for each thread.
pub fn bare(writes: &[Batch], folder: &Path, new_files: bool, rounds: usize) -> Duration {
    let open = |name: String| -> File {
        let mut options = OpenOptions::new();
        options.append(true).create(true).open(folder.join(name)).expect("a file for bare writes")
    };
    let mut one = open("bare".to_owned());
    let start = cpu();
    for round in 0..rounds {
        let mut files: Vec<(ThreadId, File)> = Vec::new();
        for (thread, bytes) in writes {
            let mut file = match files.iter_mut().find(|(known, _)| known == thread) {
                Some((_, file)) => file,
                None if new_files => {
                    files.push((*thread, open(format!("bare-{round}-{thread}"))));
                    &mut files.last_mut().expect("just pushed").1
                }
                None => &mut one,
            };
            Write::write_all(&mut file, bytes).expect("a bare write");
        }
    }
    each(cpu() - start, rounds)
}
