//! An open rollout: the writer behind the commit core.

use std::io;
use std::sync::Arc;

use sapwood_mailbox::{Commit, Epoch};
use sapwood_protocol::{Line, ThreadId};

use crate::port::{AppendError, Log, OpenError, Rollout, Ticket};
use crate::seen::Seen;
use crate::source;
use crate::writer::{Stamp, Storage, Writer};

/// The lease of a thread over one kind of storage.
pub(crate) struct OpenLog<S: Storage> {
    thread: ThreadId,
    place: String,
    reader: S::Reader,
    commit: Commit<Writer<S>>,
}

impl<S: Storage> OpenLog<S> {
    pub(crate) fn new(thread: ThreadId, place: String, reader: S::Reader, writer: Writer<S>) -> Arc<Self> {
        Arc::new(Self { thread, place, reader, commit: Commit::new(writer) })
    }

    /// Where it ends now. Reading up to here needs no lock: what was written does not change.
    fn end(&self) -> u64 {
        let Ticket(end) = self.commit.admit(|writer| writer.end());
        end
    }

    fn unread(&self, error: &io::Error) -> OpenError {
        OpenError::Storage { action: "read", place: self.place.clone(), why: error.to_string(), full: false }
    }
}

impl<S: Storage + 'static> Log for OpenLog<S> {
    fn thread(&self) -> ThreadId {
        self.thread
    }

    fn fence(&self) -> Epoch {
        self.commit.fence()
    }

    fn append(&self, epoch: Epoch, next_ordinal: Option<u64>, lines: &[Line]) -> Result<Ticket, AppendError> {
        self.commit.append(epoch, |writer| writer.append(next_ordinal, lines)).map_err(|_| AppendError::Stale)?
    }

    fn admit(&self, lines: &[Line]) -> Result<Ticket, AppendError> {
        for line in lines {
            let stamp = Stamp::of(line);
            assert_eq!(stamp, Stamp::Own, "the seat writes lines of ours only, and without an ordinal: {line:?}");
        }
        self.commit.admit(|writer| writer.admit(lines))
    }

    fn durable(&self) -> Ticket {
        self.commit.admit(|writer| writer.durable())
    }

    fn next_ordinal(&self) -> Option<u64> {
        self.commit.admit(|writer| writer.next_ordinal())
    }

    fn read(&self) -> Result<Rollout, OpenError> {
        let end = self.end();
        let bytes = source::range(&self.reader, 0, end).map_err(|error| self.unread(&error))?;
        Ok(Rollout::new(bytes))
    }

    fn news(&self, seen: &Seen) -> Result<Option<Rollout>, OpenError> {
        let news = seen.news(&self.reader, self.end()).map_err(|error| self.unread(&error))?;
        Ok(news.map(Rollout::new))
    }
}
