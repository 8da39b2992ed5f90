//! What a server answers, and how it goes wrong.

use std::any::Any;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use crate::sse::Event;

/// An answer: a head, a body in steps, and the way it ends. Built by the test, sent by the [`Server`](crate::Server).
pub struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) framing: Framing,
    pub(crate) held: Option<Gate>,
    pub(crate) steps: Vec<Step>,
    pub(crate) fault: Option<Fault>,
    pub(crate) guards: Vec<Box<dyn Any + Send + Sync>>,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `transfer-encoding: chunked`, a chunk for each step.
    Chunked,
    /// `content-length` with the true number of bytes.
    Length,
    /// `content-length` with this number, and the connection is closed after the true body.
    Claimed(u64),
    /// Neither: the body ends where the connection does.
    Close,
}

/// A part of a body.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Bytes(Bytes),
    /// The same bytes again and again, until at least so many were sent.
    Repeat(Bytes, u64),
    Wait(Gate),
    Delay(Duration),
}

/// What goes wrong, after so many bytes of the body (chunk heads do not count).
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// No byte of the head; the connection is closed.
    NoHead,
    /// No byte of the head; the connection is reset.
    ResetAtOnce,
    /// No byte of the head until the client leaves.
    Silence,
    Cut(u64),
    Reset(u64),
    Stall(u64, Option<Gate>),
}

impl Answer {
    fn new(status: u16, framing: Framing, steps: Vec<Step>) -> Self {
        Self { status, headers: Vec::new(), framing, held: None, steps, fault: None, guards: Vec::new() }
    }

    /// A stream of events: `200`, `text/event-stream`, chunked.
    pub fn events(events: impl IntoIterator<Item = Event>) -> Self {
        Self::new(200, Framing::Chunked, Vec::new()).header("content-type", "text/event-stream").then(events)
    }

    /// A plain body with its length: `200` until [`status`](Self::status) says otherwise.
    pub fn body(body: impl Into<Bytes>) -> Self {
        Self::new(200, Framing::Length, vec![Step::Bytes(body.into())])
    }

    /// A JSON body.
    pub fn json(body: &serde_json::Value) -> Self {
        Self::body(body.to_string()).header("content-type", "application/json")
    }

    /// An error as the API words it: `{"error":{"message","type","param","code"}}` with this status.
    pub fn error(status: u16, kind: &str, message: &str) -> Self {
        let error = serde_json::json!({"message": message, "type": kind, "param": null, "code": kind});
        Self::json(&serde_json::json!({ "error": error })).status(status)
    }

    /// Reads the request, and says nothing until the client leaves.
    pub fn silence() -> Self {
        Self::body("").fault(Fault::Silence)
    }

    /// Reads the request, and closes the connection without a word.
    pub fn nothing() -> Self {
        Self::body("").fault(Fault::NoHead)
    }

    /// Reads the request, and resets the connection without a word.
    pub fn reset() -> Self {
        Self::body("").fault(Fault::ResetAtOnce)
    }

    /// With this status.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// With one header more, as it is spelt here.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With the end of the body told this way.
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = framing;
        self
    }

    /// Does not send its head before the gate opens.
    pub fn held(mut self, gate: &Gate) -> Self {
        self.held = Some(gate.clone());
        self
    }

    /// More events.
    pub fn then(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.steps.extend(events.into_iter().map(|event| Step::Bytes(event.into_bytes())));
        self
    }

    /// One event again and again, until at least so many bytes of it were sent. Nothing of it is kept in memory.
    pub fn repeat(mut self, event: Event, total_bytes: u64) -> Self {
        self.steps.push(Step::Repeat(event.into_bytes(), total_bytes));
        self
    }

    /// What follows waits for the gate.
    pub fn gate(mut self, gate: &Gate) -> Self {
        self.steps.push(Step::Wait(gate.clone()));
        self
    }

    /// What follows comes so much later. For what is about time; to wait for something, use a [`Gate`].
    pub fn delay(mut self, delay: Duration) -> Self {
        self.steps.push(Step::Delay(delay));
        self
    }

    /// Closes the connection after so many bytes of the body, wherever that is.
    pub fn cut_after(self, bytes: u64) -> Self {
        self.fault(Fault::Cut(bytes))
    }

    /// Resets the connection after so many bytes of the body.
    pub fn reset_after(self, bytes: u64) -> Self {
        self.fault(Fault::Reset(bytes))
    }

    /// Sends so many bytes of the body, and then nothing until the client leaves.
    pub fn stall_after(self, bytes: u64) -> Self {
        self.fault(Fault::Stall(bytes, None))
    }

    /// Sends so many bytes of the body, and the rest when the gate opens.
    pub fn stall_until(self, bytes: u64, gate: &Gate) -> Self {
        self.fault(Fault::Stall(bytes, Some(gate.clone())))
    }

    /// Keeps something until the answer is over, however it ends.
    pub fn keeping(mut self, guard: impl Any + Send + Sync) -> Self {
        self.guards.push(Box::new(guard));
        self
    }

    /// How many bytes its body has, without the heads of chunks.
    pub fn len(&self) -> u64 {
        let of = |step: &Step| match step {
            Step::Bytes(bytes) => bytes.len() as u64,
            Step::Repeat(bytes, total) => total.div_ceil(bytes.len() as u64) * bytes.len() as u64,
            Step::Wait(_) | Step::Delay(_) => 0,
        };
        self.steps.iter().map(of).sum()
    }

    /// True for an answer without a body.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn fault(mut self, fault: Fault) -> Self {
        assert!(self.fault.is_none(), "one fault an answer");
        self.fault = Some(fault);
        self
    }
}

/// Something that answers wait for. Opened once by the test, and open from then on.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Default for Gate {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everybody through.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open.
    pub async fn opened(&self) {
        // The sender is in `self`, so the channel is not closed.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}
