//! The turn: between `task_started` and the line that ends it, a loop of asking the model and running its calls.

use std::sync::Arc;

use sapwood_protocol::own::{Body, Paused, ProcessGroup, Spawn, TurnOrigin};
use sapwood_protocol::{CallId, Millis, TurnId, Usage};

use super::inbox::Pending;
use super::state::Asking;

/// The open turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Its id.
    pub id: TurnId,
    /// The root turn that caused it; itself for a turn of the root.
    pub root: TurnId,
    /// The turn of another agent that caused it.
    pub parent: Option<TurnId>,
    /// When it began.
    pub started: Millis,
    /// How far the model's newest answer has come.
    pub response: Response,
    /// The calls of that answer, in order.
    pub calls: Vec<Call>,
    /// The text of the model's newest message in this turn.
    pub last_message: Option<String>,
    /// Tokens so far.
    pub usage: Usage,
    /// Answers without any item, one after the other.
    pub empty: u8,
    /// We began it, or went on with it: only then its requester is to be told how it ended.
    pub ours: bool,
    /// Whom it asks, from its context.
    pub asking: Option<Asking>,
    /// Before the model is asked again, the end of a usage limit is awaited.
    pub paused: Option<Paused>,
    /// It is for commands of the user: no model is asked.
    pub is_shell: bool,
    /// The JSON schema of its final answer, as its text.
    pub output_schema: Option<Arc<str>>,
}

/// How far the model's answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// The model is to be asked.
    Wanted,
    /// Items are there, and the usage record that ends the answer is not: the batch was torn.
    Torn,
    /// It is complete.
    Closed {
        /// Without any item.
        empty: bool,
    },
}

impl Response {
    /// True if the model's answer is complete and durable.
    pub fn is_closed(self) -> bool {
        matches!(self, Response::Closed { .. })
    }
}

/// A tool call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Pairs it with its output.
    pub id: CallId,
    /// It is a custom tool call, and wants a custom output.
    pub custom: bool,
    /// The namespace of the tool.
    pub namespace: Box<str>,
    /// The name of the tool.
    pub name: Box<str>,
    /// The arguments, or the input of a custom tool.
    pub input: Box<str>,
    /// The ordinal of its line: numbers what it sends.
    pub n: u64,
    /// How far it has come.
    pub state: CallState,
}

/// How far a call has come, by lines.
#[derive(Clone, Debug, PartialEq)]
pub enum CallState {
    /// No line but its own.
    Pending,
    /// It may have had effects.
    Started {
        /// Where it runs.
        group: Option<ProcessGroup>,
    },
    /// A child is being made.
    Spawning(Spawn),
    /// It waits for mail.
    Waiting {
        /// Until then.
        until: Millis,
    },
    /// It has ended, and an earlier call has not.
    Early {
        /// What the model will read.
        output: String,
    },
    /// Its output is in history.
    Done,
}

/// What an open turn needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The model is to be asked.
    Ask,
    /// A torn answer is to be closed.
    Close,
    /// Calls are open.
    Calls,
    /// The model has nothing more to do.
    Final,
    /// The model answered with nothing at all.
    Nothing,
    /// Commands of the user run, and no model is asked.
    Shell,
}

/// Empty answers in a row after which the turn ends.
pub const MAX_EMPTY: u8 = 2;

impl Turn {
    /// A turn that has just begun.
    pub fn new(id: TurnId, root: TurnId, parent: Option<TurnId>, started: Millis) -> Self {
        let (response, usage) = (Response::Wanted, Usage::default());
        Self {
            id,
            root,
            parent,
            started,
            response,
            calls: Vec::new(),
            last_message: None,
            usage,
            empty: 0,
            ours: false,
            asking: None,
            paused: None,
            is_shell: false,
            output_schema: None,
        }
    }

    /// An input enters its history.
    pub(super) fn consumes(&mut self, input: Option<&Pending>) {
        if let Some(Body::User(said)) = input.and_then(|input| input.accepted.body.as_ref()) {
            self.output_schema = said.output_schema.clone().or(self.output_schema.take());
        }
    }

    /// What it needs next.
    pub fn phase(&self) -> Phase {
        let open = self.calls.iter().any(|call| call.state != CallState::Done);
        match self.response {
            _ if self.is_shell => Phase::Shell,
            Response::Wanted => Phase::Ask,
            Response::Torn => Phase::Close,
            Response::Closed { .. } if open => Phase::Calls,
            Response::Closed { .. } if !self.calls.is_empty() => Phase::Ask,
            Response::Closed { empty: true } if self.empty < MAX_EMPTY => Phase::Nothing,
            Response::Closed { .. } => Phase::Final,
        }
    }

    /// An item of a new answer came.
    pub(super) fn answering(&mut self) {
        if self.response.is_closed() {
            self.calls.clear();
        }
        self.paused = None;
        if self.response != Response::Torn {
            self.response = Response::Torn;
            self.empty = 0;
        }
    }

    /// The answer is complete.
    pub(super) fn close_response(&mut self) {
        self.paused = None;
        let empty = self.response != Response::Torn;
        if empty {
            self.calls.clear();
            self.empty = self.empty.saturating_add(1);
        }
        self.response = Response::Closed { empty };
    }

    /// Something was said to the model after its answer: it is to be asked again.
    pub(super) fn told(&mut self) {
        if self.response.is_closed() {
            self.response = Response::Wanted;
            self.calls.clear();
        }
    }

    /// A call has come further.
    pub(super) fn set(&mut self, id: &CallId, state: CallState) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.id == *id && call.state != CallState::Done) {
            call.state = state;
        }
    }

    /// A call of the newest answer.
    pub fn call(&self, id: &CallId) -> Option<&Call> {
        self.calls.iter().find(|call| call.id == *id)
    }

    /// The first call without an output: the ones before it are done.
    pub fn first_open(&self) -> Option<&Call> {
        self.calls.iter().find(|call| call.state != CallState::Done)
    }

    /// True while the turn only waits, so that process death changes nothing: for mail, or for the end of a usage limit.
    pub fn parked(&self) -> bool {
        self.paused.is_some() || self.awaits_mail()
    }

    /// True while the first open call is a wait, so that nothing behind it has been started.
    pub fn awaits_mail(&self) -> bool {
        self.response.is_closed()
            && self.first_open().is_some_and(|call| matches!(call.state, CallState::Waiting { .. }))
    }

    /// Until when it waits for mail, if it does.
    pub fn awaits_mail_until(&self) -> Option<Millis> {
        match self.first_open()?.state {
            CallState::Waiting { until } if self.response.is_closed() => Some(until),
            _ => None,
        }
    }

    /// Names it to others.
    pub fn origin(&self) -> TurnOrigin {
        TurnOrigin { turn: self.id.clone(), root_turn: self.root.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn() -> Turn {
        Turn::new(TurnId::from("t"), TurnId::from("t"), None, Millis(0))
    }

    fn call(id: &str, state: CallState) -> Call {
        let (namespace, name, input) = ("".into(), "exec_command".into(), "{}".into());
        Call { id: CallId::from(id), custom: false, namespace, name, input, n: 0, state }
    }

    #[test]
    fn phases() {
        let mut turn = turn();
        assert_eq!(turn.phase(), Phase::Ask);
        turn.answering();
        turn.calls.push(call("a", CallState::Pending));
        assert_eq!(turn.phase(), Phase::Close, "no usage record: torn");
        turn.close_response();
        assert_eq!(turn.phase(), Phase::Calls);
        turn.set(&CallId::from("a"), CallState::Waiting { until: Millis(9) });
        assert!(turn.parked());
        turn.set(&CallId::from("a"), CallState::Done);
        assert!(!turn.parked());
        assert_eq!(turn.phase(), Phase::Ask, "calls are answered: ask again");
        turn.told();
        assert_eq!((turn.phase(), turn.calls.len()), (Phase::Ask, 0));
        turn.answering();
        turn.close_response();
        assert_eq!(turn.phase(), Phase::Final);
        turn.told();
        assert_eq!(turn.phase(), Phase::Ask, "something came after the final answer");
    }

    #[test]
    fn an_empty_answer_is_asked_again_and_then_ends_the_turn() {
        let mut turn = turn();
        turn.close_response();
        assert_eq!(turn.phase(), Phase::Nothing);
        turn.told();
        turn.close_response();
        assert_eq!(turn.phase(), Phase::Final);
    }

    #[test]
    fn a_second_answer_forgets_the_calls_of_the_first() {
        let mut turn = turn();
        turn.answering();
        turn.calls.push(call("a", CallState::Pending));
        turn.close_response();
        turn.set(&CallId::from("a"), CallState::Done);
        turn.answering();
        assert!(turn.calls.is_empty());
    }

    #[test]
    fn a_call_behind_a_wait_does_not_keep_the_turn_from_parking() {
        let mut turn = turn();
        turn.answering();
        turn.calls.push(call("w", CallState::Waiting { until: Millis(9) }));
        turn.calls.push(call("b", CallState::Pending));
        turn.close_response();
        assert!(turn.parked());
    }
}
