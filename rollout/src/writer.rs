//! The one way lines are added, for every journal: the checks, the repair of the tail, the accounts.

use std::io;

use sapwood_protocol::{Line, ThreadId, View, own};

use crate::head::Head;
use crate::port::{AppendError, OpenError, Ticket};
use crate::source::{self, CHUNK_BYTES, OrdinalError, Source};

/// What holds the bytes of one open rollout. Dropping it gives the writer lock back.
pub(crate) trait Storage: Source + Send {
    /// Reads beside the writer, without its lock.
    type Reader: Source + Send + Sync;
    /// A reader of the same bytes.
    fn reader(&self) -> Self::Reader;
    /// Adds bytes at the end, in one write where the system lets it. On failure: how many were written, and why.
    fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)>;
    /// Up to where the promise of durability holds, of the `len` bytes that were written.
    fn durable(&self, len: u64) -> u64;
}

/// True if trying again is of no use until somebody frees room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The writing end of a rollout.
pub(crate) struct Writer<S> {
    thread: ThreadId,
    storage: S,
    /// What we know to be there. More or less in the storage: another program was at it.
    len: u64,
    /// The last line has no newline.
    torn: bool,
    /// Of the next line with a Codex type; `None` in a legacy rollout.
    next_ordinal: Option<u64>,
    /// Lines of another program were found by an admission, which they do not concern; the incarnation must know.
    grown: bool,
}

/// What a line says of its place: all that an append looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stamp {
    Own,
    Codex(Option<u64>),
}

impl Stamp {
    /// Reads the front of a line that [`Line::encode`] wrote; the whole envelope only of lines from elsewhere.
    pub(crate) fn of(line: &Line) -> Self {
        Self::quick(line.bytes()).unwrap_or_else(|| {
            // Our mistake, and one that would be in the file for ever.
            let view = line.view().unwrap_or_else(|error| panic!("a batch of rollout lines holds {line:?}: {error}"));
            Self::from_view(&view)
        })
    }

    fn quick(line: &[u8]) -> Option<Self> {
        // A timestamp has 24 characters.
        let rest = line.strip_prefix(b"{\"timestamp\":\"")?.get(24..)?.strip_prefix(b"\",")?;
        let kind = |rest: &[u8]| Some(rest.strip_prefix(b"\"type\":\"")?.starts_with(own::PREFIX.as_bytes()));
        let Some(rest) = rest.strip_prefix(b"\"ordinal\":") else {
            return Some(if kind(rest)? { Stamp::Own } else { Stamp::Codex(None) });
        };
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let ordinal = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        (!kind(rest[digits..].strip_prefix(b",")?)?).then_some(Stamp::Codex(Some(ordinal)))
    }

    fn from_view(view: &View<'_>) -> Self {
        if view.kind.starts_with(own::PREFIX) && view.ordinal.is_none() {
            Stamp::Own
        } else {
            Stamp::Codex(view.ordinal)
        }
    }
}

/// The next ordinal after `lines`, or the first ordinal that is not the one expected. A legacy rollout expects none.
fn follow(mut expected: Option<u64>, lines: &[Line]) -> Result<Option<u64>, Option<u64>> {
    for line in lines {
        if let Stamp::Codex(given) = Stamp::of(line) {
            if given != expected {
                return Err(given);
            }
            expected = expected.map(|n| n + 1);
        }
    }
    Ok(expected)
}

/// The content of a rollout that is to be made, looked at before anything is touched.
pub(crate) struct Birth {
    pub(crate) bytes: Vec<u8>,
    pub(crate) next_ordinal: Option<u64>,
}

impl Birth {
    /// Checks that `lines` are a rollout of `thread`.
    pub(crate) fn of(thread: ThreadId, lines: &[Line]) -> Result<Self, OpenError> {
        let wrong = |why: String| OpenError::Corrupt { thread, place: "(not yet made)".to_owned(), why };
        let first = lines.first().ok_or_else(|| wrong("it would be empty".to_owned()))?;
        let head = Head::of(thread, first.bytes()).map_err(wrong)?;
        // A fork continues the ordinals of its source.
        let start = match (head.is_paginated()?, Stamp::of(first)) {
            (true, Stamp::Codex(ordinal @ Some(_))) => ordinal,
            (true, _) => return Err(wrong(OrdinalError::Missing.to_string())),
            (false, _) => None,
        };
        let next_ordinal = follow(start, lines)
            .map_err(|given| wrong(format!("its lines do not follow each other: one has the ordinal {given:?}")))?;
        let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.bytes().len()).sum());
        lines.iter().for_each(|line| bytes.extend_from_slice(line.bytes()));
        Ok(Self { bytes, next_ordinal })
    }
}

impl<S: Storage> Writer<S> {
    /// The writer of a rollout that was just made.
    pub(crate) fn born(thread: ThreadId, storage: S, birth: &Birth) -> Self {
        let len = birth.bytes.len() as u64;
        let next_ordinal = birth.next_ordinal;
        Self { thread, storage, len, torn: false, next_ordinal, grown: false }
    }

    /// The writer of a rollout that is there: finds out where it ends, and ends a broken tail.
    /// The error is for a person: `it ...`.
    pub(crate) fn open(thread: ThreadId, paginated: bool, storage: S) -> Result<Self, OrdinalError> {
        let next_ordinal = paginated.then_some(0);
        let mut writer = Self { thread, storage, len: 0, torn: false, next_ordinal, grown: false };
        writer.look()?;
        // Without room for a newline the rollout can still be opened: the next append starts with it.
        if writer.torn && writer.storage.write(b"\n").is_ok() {
            writer.torn = false;
            writer.len += 1;
        }
        Ok(writer)
    }

    /// Everything known of the end, read again.
    fn look(&mut self) -> Result<(), OrdinalError> {
        let len = self.storage.len()?;
        let torn = source::is_torn(&self.storage, len)?;
        if self.next_ordinal.is_some() {
            self.next_ordinal = Some(source::next_ordinal(&self.storage, len, CHUNK_BYTES)?);
        }
        (self.len, self.torn) = (len, torn);
        Ok(())
    }

    pub(crate) fn next_ordinal(&self) -> Option<u64> {
        self.next_ordinal
    }

    pub(crate) fn end(&self) -> Ticket {
        Ticket(self.len)
    }

    pub(crate) fn durable(&self) -> Ticket {
        Ticket(self.storage.durable(self.len))
    }

    /// True if another program has been at the rollout since we last looked; then everything is known again.
    fn notice(&mut self) -> Result<bool, AppendError> {
        let len = self.storage.len().map_err(|error| self.failed(&error))?;
        if len == self.len {
            return Ok(false);
        }
        let thread = self.thread;
        self.look().map_err(|error| AppendError::Storage { thread, why: error.to_string(), full: false })?;
        Ok(true)
    }

    fn failed(&self, error: &io::Error) -> AppendError {
        AppendError::Storage { thread: self.thread, why: error.to_string(), full: is_full(error) }
    }

    /// Adds the lines of an incarnation.
    pub(crate) fn append(&mut self, given: Option<u64>, lines: &[Line]) -> Result<Ticket, AppendError> {
        let (thread, grown) = (self.thread, self.notice()? || self.grown);
        self.grown = false;
        let expected = self.next_ordinal;
        if grown || given != expected {
            return Err(AppendError::Ordinal { thread, expected, given });
        }
        let after = follow(expected, lines).map_err(|given| AppendError::Ordinal { thread, expected, given })?;
        self.write(lines)?;
        self.next_ordinal = after;
        Ok(self.end())
    }

    /// Adds lines of the seat. Lines of another program are no reason to refuse them: they commute.
    pub(crate) fn admit(&mut self, lines: &[Line]) -> Result<Ticket, AppendError> {
        self.grown |= self.notice()?;
        self.write(lines)?;
        Ok(self.end())
    }

    fn write(&mut self, lines: &[Line]) -> Result<(), AppendError> {
        let written = match lines {
            [] => return Ok(()),
            [line] if !self.torn => self.storage.write(line.bytes()).map(|()| line.bytes().len()),
            _ => {
                // Not kept: thousands of rollouts are open at once, and few of them write at the same moment.
                let repair: &[u8] = if self.torn { b"\n" } else { b"" };
                let slices = std::iter::once(repair).chain(lines.iter().map(|line| &**line.bytes()));
                let batch = slices.collect::<Vec<_>>().concat();
                self.storage.write(&batch).map(|()| batch.len())
            }
        };
        match written {
            Ok(bytes) => {
                self.len += bytes as u64;
                self.torn = false;
                Ok(())
            }
            Err((bytes, error)) => {
                let whole = usize::from(self.torn) + lines.iter().map(|line| line.bytes().len()).sum::<usize>();
                self.account(lines, bytes);
                // With all but the last newline written, every line can be read, now and after a crash: to call
                // that a failure would be to deny what the next append completes.
                if bytes + 1 == whole { Ok(()) } else { Err(self.failed(&error)) }
            }
        }
    }

    /// What became of a batch of which only the first `bytes` were written: whole lines count, and a line of which
    /// only the newline is missing is whole as soon as the next append has ended it.
    fn account(&mut self, lines: &[Line], bytes: usize) {
        self.len += bytes as u64;
        let mut left = bytes.saturating_sub(usize::from(self.torn));
        if bytes == 0 {
            return;
        }
        self.torn = false;
        for line in lines {
            let len = line.bytes().len();
            if left == 0 {
                return;
            }
            self.torn = left < len;
            if left >= len - 1
                && let Stamp::Codex(Some(ordinal)) = Stamp::of(line)
            {
                self.next_ordinal = Some(ordinal + 1);
            }
            left = left.saturating_sub(len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sapwood_protocol::Millis;
    use serde_json::json;

    #[test]
    fn a_stamp_is_read_from_the_front_or_from_the_envelope() {
        let stamp = |line: &Line| (Stamp::quick(line.bytes()), Stamp::of(line));
        let encode = |ordinal, kind| Line::encode(Millis(7), ordinal, kind, &json!({"type": "x"}), None);
        let both = |stamp| (Some(stamp), stamp);
        assert_eq!(stamp(&encode(Some(12), "event_msg")), both(Stamp::Codex(Some(12))));
        assert_eq!(stamp(&encode(None, "event_msg")), both(Stamp::Codex(None)));
        assert_eq!(stamp(&encode(None, "sapwood.begun")), both(Stamp::Own));
        let line = |text: &str| Line::from_bytes(text.as_bytes().to_vec().into());
        let odd = r#"{"type":"event_msg","payload":{},"ordinal":3}"#;
        assert_eq!(stamp(&line(odd)), (None, Stamp::Codex(Some(3))));
        // A line of ours with an ordinal is none of ours: it is held to the rule, and breaks it.
        let ours = r#"{"timestamp":"1970-01-01T00:00:00.000Z","ordinal":3,"type":"sapwood.begun","payload":{}}"#;
        assert_eq!(stamp(&line(ours)), (None, Stamp::Codex(Some(3))));
    }

    #[test]
    #[should_panic(expected = "a batch of rollout lines holds")]
    fn garbage_is_not_written() {
        Stamp::of(&Line::from_bytes(b"garbage".to_vec().into()));
    }
}
