//! The port: what a journal is to the rooms above it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sapwood_mailbox::Epoch;
use sapwood_protocol::{AgentPath, Line, Millis, SessionId, ThreadId};

use crate::seen::Seen;

/// Everything that keeps rollouts: files now; a database can implement it later.
pub trait Journal: Send + Sync + 'static {
    /// Makes a rollout that holds `lines` from its first moment, and opens it. Fails if the thread exists. The first line
    /// of a fork (`history_base`) names thread and ordinal; where the storage needs to know more, it adds that.
    fn create(&self, new: &NewThread, lines: &[Line]) -> Result<Arc<dyn Log>, OpenError>;
    /// Opens a rollout for writing: takes its writer lock and ends a broken tail.
    fn open(&self, thread: ThreadId) -> Result<Arc<dyn Log>, OpenError>;
    /// Reads a whole rollout. Takes no lock and loads nothing.
    fn read(&self, thread: ThreadId) -> Result<Rollout, OpenError>;
    /// What a rollout has behind what was seen of it; `None` if it does not begin so.
    fn news(&self, thread: ThreadId, seen: &Seen) -> Result<Option<Rollout>, OpenError> {
        Ok(seen.behind(&self.read(thread)?))
    }
    /// The last lines of a rollout, oldest first: as many whole lines as fit in `bytes`, at least one.
    fn tail(&self, thread: ThreadId, bytes: u64) -> Result<Rollout, OpenError>;
    /// The rollouts of this journal, newest first. A rollout that cannot be read is an entry with its error.
    fn list(&self, filter: &Filter) -> Result<Vec<Entry>, OpenError>;
    /// What people call threads; the same name may be given to several. A journal that keeps no names has none.
    fn names(&self) -> Result<BTreeMap<ThreadId, String>, OpenError> {
        Ok(BTreeMap::new())
    }
}

/// An open rollout: the lease of its thread.
pub trait Log: Send + Sync + 'static {
    /// The thread.
    fn thread(&self) -> ThreadId;
    /// A new epoch; from now on appends with an older one are refused.
    fn fence(&self) -> Epoch;
    /// Appends the lines of an incarnation in one write. `next_ordinal` is the ordinal of the first line with a
    /// Codex type in a paginated file, or what it would be; the log refuses a batch that does not continue it.
    fn append(&self, epoch: Epoch, next_ordinal: Option<u64>, lines: &[Line]) -> Result<Ticket, AppendError>;
    /// Appends lines of the seat: `sapwood.` lines only, without an ordinal, at any time, also with no incarnation.
    fn admit(&self, lines: &[Line]) -> Result<Ticket, AppendError>;
    /// Everything up to here survives what the journal's durability promises.
    fn durable(&self) -> Ticket;
    /// The ordinal of the next line with a Codex type; `None` in a legacy file.
    fn next_ordinal(&self) -> Option<u64>;
    /// The whole rollout as this log sees it.
    fn read(&self) -> Result<Rollout, OpenError>;
    /// What it has behind what was seen of it; `None` if it does not begin so.
    fn news(&self, seen: &Seen) -> Result<Option<Rollout>, OpenError> {
        Ok(seen.behind(&self.read()?))
    }
}

/// A place in a log: everything before it was appended earlier. Ordered within one log, meaningless between two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What a rollout is named by when it is made.
#[derive(Clone, Debug)]
pub struct NewThread {
    /// The thread.
    pub thread: ThreadId,
    /// When it was made; folder and file name hold it in local time.
    pub created: Millis,
}

/// The lines of a rollout, as bytes that are shared and never copied.
#[derive(Clone, Debug, Default)]
pub struct Rollout {
    bytes: Bytes,
}

impl Rollout {
    /// Takes the bytes of a rollout.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    /// The bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The lines in order, blank ones left out. A last line without its newline is a line.
    pub fn lines(&self) -> impl Iterator<Item = Line> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            while at < self.bytes.len() {
                let rest = &self.bytes[at..];
                let len = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                let line = self.bytes.slice(at..at + len);
                at += len;
                if !line.trim_ascii().is_empty() {
                    return Some(Line::from_bytes(line));
                }
            }
            None
        })
    }
}

/// Which rollouts a list is to show. The default shows all that are not archived.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only the threads of this tree.
    pub session: Option<SessionId>,
    /// Only roots.
    pub roots: bool,
}

/// One rollout in a list, from its first line and its file alone.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The thread, from the name of the rollout.
    pub thread: ThreadId,
    /// When it was made.
    pub created: Millis,
    /// When it was last written.
    pub updated: Millis,
    /// The tree; absent where the first line could not be read.
    pub session: Option<SessionId>,
    /// The spawner.
    pub parent: Option<ThreadId>,
    /// Its path.
    pub path: Option<AgentPath>,
    /// Its nickname.
    pub nickname: Option<String>,
    /// Its working directory.
    pub cwd: Option<String>,
    /// The process that holds its writer lock, if one does.
    pub holder: Option<u32>,
    /// Why it cannot be read.
    pub error: Option<String>,
    /// Where it is, for a person to find it.
    pub place: String,
}

/// A process that holds a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The name of its program, and its command; nothing more of its command line.
    pub program: Option<String>,
    /// Since when, as far as a lock file and the start of the process tell.
    pub since: Option<Millis>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        let since = self.since.map(|since| format!("since {}", local(since)));
        let about: Vec<String> = self.program.clone().into_iter().chain(since).collect();
        if about.is_empty() { Ok(()) } else { write!(f, " ({})", about.join(", ")) }
    }
}

/// A moment as a person's clock shows it.
fn local(at: Millis) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Why a rollout could not be opened, made or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// No such thread.
    #[error("no rollout for thread {thread} under {home}; `sapwood ps` lists what is there")]
    NotFound {
        /// The thread.
        thread: ThreadId,
        /// Where it was looked for.
        home: String,
    },
    /// It exists already.
    #[error("thread {thread} already exists")]
    Exists {
        /// The thread.
        thread: ThreadId,
    },
    /// Another writer holds it.
    #[error("thread {thread} already has an active writer{}", holder.as_ref().map(|holder| format!(": {holder}; stop it, or wait until it ends")).unwrap_or_default())]
    Held {
        /// The thread.
        thread: ThreadId,
        /// The process that holds the lock, where it can be told.
        holder: Option<Holder>,
    },
    /// Its history mode is one that this version does not know.
    #[error("thread {thread} has the history mode `{mode}`, which this version cannot write; it was left untouched")]
    HistoryMode {
        /// The thread.
        thread: ThreadId,
        /// The mode.
        mode: String,
    },
    /// Its content is no rollout.
    #[error("the rollout of thread {thread} at {place} cannot be used: {why}")]
    Corrupt {
        /// The thread.
        thread: ThreadId,
        /// Where it is.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// The storage failed.
    #[error("cannot {action} {place}: {why}")]
    Storage {
        /// What was tried.
        action: &'static str,
        /// On what.
        place: String,
        /// What the system said.
        why: String,
        /// No room is left: freeing some helps, trying again does not.
        full: bool,
    },
}

/// Why lines were not appended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppendError {
    /// A newer incarnation has fenced this one off. Not an error of the newer one.
    #[error("a newer incarnation writes this rollout")]
    Stale,
    /// The rollout has grown without us, or the batch does not continue it.
    #[error("the rollout of thread {thread} continues at ordinal {expected:?}, and the batch at {given:?}")]
    Ordinal {
        /// The thread.
        thread: ThreadId,
        /// Where the rollout continues.
        expected: Option<u64>,
        /// Where the batch starts.
        given: Option<u64>,
    },
    /// The storage failed. A part of the batch may be written; the next append repairs the tail.
    #[error("cannot append to the rollout of thread {thread}: {why}")]
    Storage {
        /// The thread.
        thread: ThreadId,
        /// What the system said.
        why: String,
        /// No room is left.
        full: bool,
    },
}
