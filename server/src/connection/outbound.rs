//! What waits to be written to one client, and what is given up when it does not read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::notification::Notification;

/// Bytes of notifications that wait for one client. With the requests that wait (`ingress.rs`) and a batch that is being
/// written, a client that stopped reading costs less than 1 MB.
pub const LOOSE_BYTES: usize = 192 * 1024;
/// Notifications that wait for one client; each costs about 100 bytes beside its own.
pub const LOOSE_COUNT: usize = 1024;
/// Bytes of answers and requests of ours that wait, from which on the client's own requests are not read on.
pub const KEPT_BYTES: usize = 96 * 1024;
/// Answers and requests of ours that wait; more than the pause at [`KEPT_BYTES`] lets come together.
pub const KEPT_COUNT: usize = 1024;
/// Threads whose notifications are dropped until there is room again.
pub const LAGGING_THREADS: usize = 256;
/// Text that is joined into one notification. Clients draw it piece by piece.
pub const JOINED_BYTES: usize = 32 * 1024;
/// What is taken out to be written at once.
pub const BATCH_BYTES: usize = 64 * 1024;
/// The same, in messages.
pub const BATCH_COUNT: usize = 128;

/// Why a connection is closed from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// It does not read what is said to all, and there is nothing of a thread to give up for it.
    #[error("the client does not read: more than {LOOSE_COUNT} notifications or {LOOSE_BYTES} bytes wait for it")]
    NotReading,
    /// It lags behind in more threads than are remembered.
    #[error("the client does not keep up with more than {LAGGING_THREADS} threads")]
    TooManyLagging,
    /// It answers nothing and reads nothing.
    #[error("the client does not read: more than {KEPT_COUNT} answers and requests wait for it")]
    TooManyKept,
    /// Its socket took nothing for too long.
    #[error("the client has not read for too long")]
    Stalled,
    /// Nothing came back to pings.
    #[error("the client did not answer a ping")]
    Silent,
    /// The server ends.
    #[error("the server is shutting down")]
    Shutdown,
    /// The client sends nothing more, and may still read.
    #[error("the client has closed its end")]
    InputEnded,
    /// One message is longer than the transport can pass over.
    #[error("a message is longer than {} bytes", crate::rpc::FRAME_BYTES)]
    TooLong,
    /// What must be text is none.
    #[error("a text message is not UTF-8")]
    NotText,
    /// The client left, or its transport failed.
    #[error("the client has gone")]
    Gone,
}

impl CloseReason {
    /// Whether what waits is still written.
    pub fn lets_finish(self) -> bool {
        matches!(self, CloseReason::Shutdown | CloseReason::InputEnded)
    }
}

enum Entry {
    /// An answer or a request of ours: stays until it is written.
    Kept(Bytes),
    /// A notification.
    Loose { thread: Option<Arc<str>>, turn: Option<Arc<str>>, body: Body },
}

/// What was dropped of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lagging {
    /// How many notifications.
    pub dropped: u64,
    /// The first turn that any of them was about.
    pub since: Option<Arc<str>>,
}

impl Lagging {
    fn drop(&mut self, turn: Option<&Arc<str>>) {
        self.dropped += 1;
        self.since = self.since.take().or_else(|| turn.cloned());
    }
}

enum Body {
    Shared(Notification),
    /// More than one, of which all but the text is the same.
    Joined {
        before: Vec<u8>,
        after: Vec<u8>,
    },
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Body::Shared(notification) => notification.bytes().len(),
            Body::Joined { before, after } => before.len() + after.len(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Body::Shared(notification) => notification.bytes().clone(),
            Body::Joined { mut before, after } => {
                before.extend_from_slice(&after);
                before.into()
            }
        }
    }

    /// Joins the text of `next` to this one's, if it goes on where this one ends. Returns what it grew by.
    fn join(&mut self, next: &Notification) -> Option<usize> {
        let (before, text, after) = next.parts()?;
        match self {
            Body::Shared(first) => {
                let (first_before, first_text, first_after) = first.parts()?;
                if first_before != before || !ends_alike(first_after, after) {
                    return None;
                }
                let mut joined = Vec::with_capacity(before.len() + first_text.len() + text.len());
                joined.extend_from_slice(before);
                joined.extend_from_slice(first_text);
                joined.extend_from_slice(text);
                *self = Body::Joined { before: joined, after: first_after.to_vec() };
            }
            Body::Joined { before: joined, after: first_after } => {
                let is_full = joined.len() + text.len() > JOINED_BYTES;
                if is_full || !joined.starts_with(before) || !ends_alike(first_after, after) {
                    return None;
                }
                joined.extend_from_slice(text);
            }
        }
        Some(text.len())
    }
}

/// Whether two endings are the same up to the time they were written.
fn ends_alike(one: &[u8], other: &[u8]) -> bool {
    let up_to_time = |end: &[u8]| end.iter().rposition(|byte| *byte == b':').unwrap_or(0);
    one[..up_to_time(one)] == other[..up_to_time(other)]
}

/// The queue of one connection. Only data: who wakes whom is `connection/mod.rs`.
#[derive(Default)]
pub struct Outbound {
    entries: VecDeque<Entry>,
    kept_bytes: usize,
    kept_count: usize,
    loose_bytes: usize,
    loose_count: usize,
    /// Threads of which notifications are dropped.
    lagging: BTreeMap<Arc<str>, Lagging>,
    /// How many entries were taken in all: the number of the first one here.
    taken: u64,
    /// The number of the newest answer or request of ours.
    newest_kept: Option<u64>,
    /// The number of the newest notification of each thread, while it may still be here.
    newest: HashMap<Arc<str>, u64>,
    closed: Option<CloseReason>,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound")
            .field("kept", &self.kept_count)
            .field("loose", &self.loose_count)
            .field("lagging", &self.lagging.len())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

impl Outbound {
    /// Queues an answer or a request of ours.
    pub fn keep(&mut self, bytes: Bytes) {
        if self.closed.is_some() {
            return;
        }
        if self.kept_count == KEPT_COUNT {
            self.close(CloseReason::TooManyKept);
            return;
        }
        self.kept_bytes += bytes.len();
        self.kept_count += 1;
        self.newest_kept = Some(self.taken + self.entries.len() as u64);
        self.entries.push_back(Entry::Kept(bytes));
    }

    /// Queues a notification, or joins it to the one before, or drops it where its thread lags.
    pub fn tell(&mut self, notification: &Notification) {
        if self.closed.is_some() {
            return;
        }
        if let Some(lagging) = notification.thread().and_then(|thread| self.lagging.get_mut(thread)) {
            return lagging.drop(notification.turn());
        }
        if let Some(more) = self.last_of(notification).and_then(|body| body.join(notification)) {
            self.loose_bytes += more;
            return;
        }
        // Measured before this one is added, so that a single large one always fits.
        while self.loose_bytes > LOOSE_BYTES || self.loose_count >= LOOSE_COUNT {
            if !self.give_up_a_thread() {
                return;
            }
        }
        // It may be the one that was given up.
        if let Some(lagging) = notification.thread().and_then(|thread| self.lagging.get_mut(thread)) {
            return lagging.drop(notification.turn());
        }
        self.loose_bytes += notification.bytes().len();
        self.loose_count += 1;
        let (thread, turn) = (notification.thread().cloned(), notification.turn().cloned());
        if let Some(thread) = &thread {
            self.newest.insert(Arc::clone(thread), self.taken + self.entries.len() as u64);
        }
        self.entries.push_back(Entry::Loose { thread, turn, body: Body::Shared(notification.clone()) });
    }

    /// What was queued last of the same thread, or last of all where it is of none: between it and this one nothing of the
    /// thread is said, and nothing is answered.
    fn last_of(&mut self, notification: &Notification) -> Option<&mut Body> {
        let at = match notification.thread() {
            Some(thread) => self.newest.get(thread)?.checked_sub(self.taken)?,
            None => (self.entries.len() as u64).checked_sub(1)?,
        };
        if self.newest_kept.is_some_and(|kept| kept > self.taken + at) {
            return None;
        }
        match self.entries.get_mut(usize::try_from(at).ok()?)? {
            Entry::Loose { body, .. } => Some(body),
            Entry::Kept(_) => None,
        }
    }

    /// Takes what is to be written next; it has room for `batch` afterwards.
    pub fn take(&mut self, batch: &mut Vec<Bytes>) {
        let mut bytes = 0;
        while batch.len() < BATCH_COUNT && bytes < BATCH_BYTES {
            let taken = self.entries.pop_front();
            self.taken += u64::from(taken.is_some());
            let taken = match taken {
                None => {
                    self.newest.clear();
                    return;
                }
                Some(Entry::Kept(taken)) => {
                    self.kept_bytes -= taken.len();
                    self.kept_count -= 1;
                    taken
                }
                Some(Entry::Loose { body, .. }) => {
                    self.loose_bytes -= body.len();
                    self.loose_count -= 1;
                    body.into_bytes()
                }
            };
            bytes += taken.len();
            batch.push(taken);
        }
    }

    /// True if a thread lags and can be brought up to date now.
    pub fn can_catch_up(&self) -> bool {
        !self.lagging.is_empty() && self.entries.is_empty()
    }

    /// A thread that lags, with what was dropped of it, once all else is written: what brings it up to date may be long.
    pub fn lagging(&self) -> Option<(Arc<str>, Lagging)> {
        let first = self.lagging.first_key_value().filter(|_| self.entries.is_empty());
        first.map(|(thread, lagging)| (Arc::clone(thread), lagging.clone()))
    }

    /// The notifications of a thread are queued again.
    pub fn catches_up(&mut self, thread: &str) {
        self.lagging.remove(thread);
    }

    #[cfg(test)]
    pub fn lagging_names(&self) -> Vec<Arc<str>> {
        self.lagging.keys().cloned().collect()
    }

    /// Whether the client's next requests may be read.
    pub fn has_room_for_answers(&self) -> bool {
        self.closed.is_some() || (self.kept_bytes < KEPT_BYTES && self.kept_count < KEPT_COUNT / 2)
    }

    /// Why nothing more is queued, if so.
    pub fn closed(&self) -> Option<CloseReason> {
        self.closed
    }

    /// Queues nothing more. The first reason stays. What waits can be taken only where the
    /// reason lets the client finish.
    pub fn close(&mut self, reason: CloseReason) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason);
        if !reason.lets_finish() {
            *self = Self { closed: self.closed, ..Self::default() };
        }
    }

    /// Drops what waits of the thread with the most of it. False if there is none, and the connection is closed.
    fn give_up_a_thread(&mut self) -> bool {
        let mut sums: HashMap<&Arc<str>, usize> = HashMap::new();
        for entry in &self.entries {
            if let Entry::Loose { thread: Some(thread), body, .. } = entry {
                *sums.entry(thread).or_default() += body.len();
            }
        }
        // By name where two are equal, so that it is the same each time.
        let most = sums.into_iter().max_by(|one, other| one.1.cmp(&other.1).then_with(|| other.0.cmp(one.0)));
        let Some(most) = most.map(|(thread, _)| Arc::clone(thread)) else {
            self.close(CloseReason::NotReading);
            return false;
        };
        if self.lagging.len() == LAGGING_THREADS {
            self.close(CloseReason::TooManyLagging);
            return false;
        }
        let (mut bytes, mut lagging) = (0, Lagging::default());
        self.entries.retain(|entry| match entry {
            Entry::Loose { thread: Some(thread), turn, body } if *thread == most => {
                bytes += body.len();
                lagging.drop(turn.as_ref());
                false
            }
            _ => true,
        });
        self.loose_bytes -= bytes;
        self.loose_count -= lagging.dropped as usize;
        // Places have moved: what is queued already is joined to no more.
        self.newest.clear();
        self.lagging.insert(most, lagging);
        true
    }
}
