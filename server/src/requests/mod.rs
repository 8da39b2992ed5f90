//! Questions to clients that are open: server requests, from the moment they are asked until somebody answers.
//!
//! What it is for: which question waits in which thread, and who was asked. Pure: it sends nothing, it says what is to be sent.
//! What it never does: read an answer. What an answer means is for whoever asked.
//!
//! - A question is asked of the subscribers of its thread, and of each new one, in the order of ids.
//! - The first answer of somebody who was asked counts. Whatever comes later, or from others, is dropped with a line in the log.
//! - It stays open while nobody is there. Only an answer, or whoever asked, ends it; then those who follow its thread are told.
//!
//! `C` names a connection.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sapwood_protocol::ThreadId;
use serde_json::value::RawValue;
use tracing::info;

use crate::rpc::RequestId;

#[cfg(test)]
mod tests;

/// The open questions of a process.
#[derive(Debug)]
pub struct OpenRequests<C> {
    threads: HashMap<ThreadId, BTreeMap<RequestId, Open<C>>>,
    thread_of: HashMap<RequestId, ThreadId>,
}

#[derive(Debug)]
struct Open<C> {
    question: Question,
    /// Who has it on the screen now.
    asked: BTreeSet<C>,
    /// Somebody has answered, and whoever asked has not said yet that it is over.
    is_answered: bool,
}

/// What is asked. Cheap to clone: it was written once.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method of the server request.
    pub method: &'static str,
    /// Its params.
    pub params: Arc<RawValue>,
}

/// A question that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed<C> {
    /// The thread that asked.
    pub thread: ThreadId,
    /// The id of the request.
    pub id: RequestId,
    /// The method of the server request.
    pub method: &'static str,
    /// Those who had it to the end.
    pub asked: BTreeSet<C>,
}

impl<C> Default for OpenRequests<C> {
    fn default() -> Self {
        Self { threads: HashMap::new(), thread_of: HashMap::new() }
    }
}

impl<C: Copy + Ord + std::fmt::Display> OpenRequests<C> {
    /// Opens a question, and says who is to be asked: those of `subscribers` who do not have it yet. Asked again under the same
    /// id, as after a restart, it is still one question.
    pub fn open(
        &mut self,
        thread: ThreadId,
        id: RequestId,
        question: Question,
        subscribers: impl IntoIterator<Item = C>,
    ) -> Vec<C> {
        self.thread_of.insert(id.clone(), thread);
        let open = match self.threads.entry(thread).or_default().entry(id) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => place.insert(Open { question, asked: BTreeSet::new(), is_answered: false }),
        };
        subscribers.into_iter().filter(|connection| open.ask(*connection)).collect()
    }

    /// What a connection is asked when it subscribes to a thread, in the order of ids. A connection that says again that it
    /// subscribes is asked again: it may have lost what it had.
    pub fn subscribed(&mut self, thread: ThreadId, connection: C) -> Vec<(RequestId, Question)> {
        let open = self.threads.get_mut(&thread).into_iter().flatten();
        open.map(|(id, open)| {
            open.ask(connection);
            (id.clone(), open.question.clone())
        })
        .collect()
    }

    /// A connection no longer takes part in a thread: its answers no longer count, and it does not hear the end.
    pub fn unsubscribed(&mut self, thread: ThreadId, connection: C) {
        for open in self.threads.get_mut(&thread).into_iter().flat_map(BTreeMap::values_mut) {
            open.asked.remove(&connection);
        }
    }

    /// A connection is gone. Its questions wait for others.
    pub fn disconnected(&mut self, connection: C) {
        for open in self.threads.values_mut().flat_map(BTreeMap::values_mut) {
            open.asked.remove(&connection);
        }
    }

    /// Somebody answers: the thread that asked, for the first answer. `None`, with a line in the log, if the question is over,
    /// answered already, or was never theirs. It stays open until whoever asked has taken the answer ([`Self::close`]).
    pub fn answered(&mut self, connection: C, id: &RequestId) -> Option<ThreadId> {
        let thread = self.thread_of.get(id).copied();
        let open = thread.and_then(|thread| self.threads.get_mut(&thread)?.get_mut(id));
        match open {
            Some(open) if open.is_answered => {
                info!(%connection, request = %id, "a second answer is dropped");
                None
            }
            Some(open) if open.asked.contains(&connection) => {
                open.is_answered = true;
                thread
            }
            Some(_) => {
                info!(%connection, request = %id, "an answer to a question that this connection was not asked is dropped");
                None
            }
            None => {
                info!(%connection, request = %id, "an answer comes too late and is dropped");
                None
            }
        }
    }

    /// The answer could not be taken: the next one counts.
    pub fn not_taken(&mut self, id: &RequestId) {
        let thread = self.thread_of.get(id);
        if let Some(open) = thread.and_then(|thread| self.threads.get_mut(thread)?.get_mut(id)) {
            open.is_answered = false;
        }
    }

    /// It is over: whoever asked has taken an answer, or no longer wants to know: an interrupt, an end of the turn.
    pub fn close(&mut self, id: &RequestId) -> Option<Closed<C>> {
        let thread = self.thread_of.remove(id)?;
        let requests = self.threads.get_mut(&thread)?;
        let open = requests.remove(id)?;
        if requests.is_empty() {
            self.threads.remove(&thread);
        }
        Some(open.closed(thread, id.clone()))
    }

    /// A thread is no longer loaded: none of its questions is open here, in the order of ids.
    pub fn unloaded(&mut self, thread: ThreadId) -> Vec<Closed<C>> {
        let requests = self.threads.remove(&thread).unwrap_or_default();
        let closed = requests.into_iter().map(|(id, open)| {
            self.thread_of.remove(&id);
            open.closed(thread, id)
        });
        closed.collect()
    }

    /// The open questions of a thread, in the order of ids.
    pub fn of(&self, thread: ThreadId) -> impl Iterator<Item = (&RequestId, &Question)> {
        self.threads.get(&thread).into_iter().flatten().map(|(id, open)| (id, &open.question))
    }

    /// How many questions are open.
    pub fn len(&self) -> usize {
        self.thread_of.len()
    }

    /// True if none is open.
    pub fn is_empty(&self) -> bool {
        self.thread_of.is_empty()
    }
}

impl<C: Copy + Ord> Open<C> {
    /// True if the connection did not have it yet.
    fn ask(&mut self, connection: C) -> bool {
        self.asked.insert(connection)
    }

    fn closed(self, thread: ThreadId, id: RequestId) -> Closed<C> {
        Closed { thread, id, method: self.question.method, asked: self.asked }
    }
}
