//! What is told without being asked.

use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing::error;

/// A notification, written once for however many connections get it.
#[derive(Clone, Debug)]
pub struct Notification {
    method: &'static str,
    bytes: Bytes,
    thread: Option<Arc<str>>,
    turn: Option<Arc<str>>,
    /// Where the text stands that another of the same item may be joined to, without its quotes.
    text: Option<Range<usize>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a, P> {
    method: &'a str,
    params: &'a P,
    emitted_at_ms: u64,
}

impl Notification {
    /// Writes it down, with the time of now.
    pub fn new(method: &'static str, params: &impl Serialize) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let emitted_at_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let bytes = serde_json::to_vec(&Wire { method, params, emitted_at_ms }).unwrap_or_else(|error| {
            // A type of the wire that has no JSON is a mistake of ours; clients pass over a notification without fields.
            error!(method, %error, "a notification cannot be written");
            serde_json::to_vec(&Wire { method, params: &(), emitted_at_ms }).unwrap_or_default()
        });
        // It may wait, and then without what it had room for.
        Self { method, bytes: bytes.into_boxed_slice().into(), thread: None, turn: None, text: None }
    }

    /// It is about this thread: a connection that does not keep up gets a resync of the thread instead.
    #[must_use]
    pub fn of_thread(mut self, thread: impl Into<Arc<str>>) -> Self {
        self.thread = Some(thread.into());
        self
    }

    /// It is about this turn of its thread: a resync begins with the first turn of which something was not told.
    #[must_use]
    pub fn of_turn(mut self, turn: impl Into<Arc<str>>) -> Self {
        self.turn = Some(turn.into());
        self
    }

    /// Its parameter `delta` goes on where that of the one before ended, if all other parameters are the same.
    #[must_use]
    pub fn joining(mut self) -> Self {
        self.text = text_of_delta(&self.bytes);
        self
    }

    /// What it is called.
    pub fn method(&self) -> &'static str {
        self.method
    }

    /// The thread it is about.
    pub fn thread(&self) -> Option<&Arc<str>> {
        self.thread.as_ref()
    }

    /// The turn of it.
    pub(crate) fn turn(&self) -> Option<&Arc<str>> {
        self.turn.as_ref()
    }

    /// As it is on the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What stands before the text that can be joined, the text, and what comes behind it.
    pub(crate) fn parts(&self) -> Option<(&[u8], &[u8], &[u8])> {
        let text = self.text.clone()?;
        Some((&self.bytes[..text.start], &self.bytes[text.clone()], &self.bytes[text.end..]))
    }
}

fn text_of_delta(bytes: &[u8]) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow)]
        params: Inner<'a>,
    }
    #[derive(Deserialize)]
    struct Inner<'a> {
        #[serde(borrow)]
        delta: &'a RawValue,
    }
    let outer: Outer<'_> = serde_json::from_slice(bytes).ok()?;
    let delta = outer.params.delta.get();
    let start = delta.as_ptr().addr().checked_sub(bytes.as_ptr().addr())?;
    let is_text = delta.len() >= 2 && delta.starts_with('"');
    is_text.then(|| start + 1..start + delta.len() - 1)
}
