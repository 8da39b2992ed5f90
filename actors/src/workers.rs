//! Workers: what takes time, as tasks that an incarnation owns.
//!
//! A worker decides nothing and writes no line. It is ended by dropping it; it answers exactly once for each step,
//! in the agent's Continuation lane, through room that was reserved before it started.

mod commands;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use sapwood_mailbox::{Lane, Mailbox, Permit};
use sapwood_model::{Delta, DeltaSink, Model, ModelError, Request};
use sapwood_protocol::{CallId, ItemId, Millis, TurnId};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::agent::effect::{ExecCall, Timer, Typing};
use crate::agent::event::{Event, Part, Shown, Snapshot};
use crate::agent::input::{Input, Planned, ToolResult};
use crate::clock::Clock;
use crate::patcher::Patcher;
use crate::process::{Canceller, Processes, SandboxMode};
use crate::seat::{Message, Queued, Seat};
use crate::shell::Workers;
use crate::tree::Tree;

pub(crate) use commands::result_of;
use commands::{Home, Start};

/// Output of one command that is kept, at most, in bytes, head and tail: as much as a model may get.
pub const OUTPUT_BYTES: usize = 40_000;

/// What all workers of a process share.
#[derive(Clone)]
pub struct Means {
    /// Who answers requests.
    pub model: Arc<dyn Model>,
    /// Where commands run.
    pub processes: Processes,
    /// The shell that runs them.
    pub shell: PathBuf,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// Where a command runs and what it may touch, as the kernel is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Confined {
    /// The directory; absolute.
    pub cwd: PathBuf,
    /// What it may touch.
    pub sandbox: SandboxMode,
}

/// A task that ends with its owner.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The workers of one incarnation. Dropping them ends them all, and the processes that they run.
pub struct TokioWorkers {
    means: Means,
    seat: Arc<Seat>,
    tree: Weak<Tree>,
    runtime: Handle,
    sampling: Option<Owned>,
    tools: BTreeMap<CallId, Tool>,
    patches: Patcher,
    /// Killed, and within their grace: owned until they are gone, so that nothing outlives the incarnation.
    ending: Vec<Tool>,
    timers: BTreeMap<Timer, Owned>,
}

struct Tool {
    release: Option<oneshot::Sender<()>>,
    cancel: Canceller,
    task: Owned,
}

/// Answers once, also when its task is dropped.
pub(crate) struct Answer {
    room: Option<Permit<Message>>,
    lost: Option<Input>,
}

impl Answer {
    pub(crate) fn new(seat: &Seat, lost: Option<Input>) -> Option<Self> {
        let room = Mailbox::reserve(&seat.mailbox, Lane::Continuation, 0).ok()?;
        Some(Self { room: Some(room), lost })
    }

    /// What it answers if its task is dropped from here on.
    fn or(mut self, lost: Input) -> Self {
        self.lost = Some(lost);
        self
    }

    pub(crate) fn send(mut self, input: Input) {
        self.lost = None;
        if let Some(room) = self.room.take() {
            // A closed mailbox is that of a tree that is shutting down: nobody waits for the answer.
            let _ = room.send(Message::Input(input));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if let (Some(room), Some(lost)) = (self.room.take(), self.lost.take()) {
            let _ = room.send(Message::Input(lost));
        }
    }
}

/// What is shown of an answer while it comes: that it waits, and its text. All of it is provisional.
struct Deltas {
    seat: Arc<Seat>,
    clock: Arc<dyn Clock>,
    turn: TurnId,
    model: Arc<str>,
}

impl Deltas {
    fn publish(&self, event: Event) {
        self.seat.feed.publish(self.clock.now(), event);
    }

    fn text(&self, item: ItemId, part: Part, text: String) {
        self.publish(Event::Delta { turn: self.turn.clone(), item, part, text });
    }

    /// An item begins. Calls are shown when they are started.
    fn begins(&self, item: &ItemId, kind: &str) {
        let id = item.as_str().to_owned();
        let (shown, core) = match kind {
            "message" => {
                let core = json!({"type": "AgentMessage", "id": item, "content": [{"type": "Text", "text": ""}]});
                (Shown::Agent { id, text: String::new() }, core)
            }
            "reasoning" => {
                let core = json!({"type": "Reasoning", "id": item, "summary_text": [], "raw_content": []});
                (Shown::Reasoning { id, text: String::new() }, core)
            }
            _ => return,
        };
        let snapshot = Some(Snapshot::begun(&core, self.clock.now(), true));
        self.publish(Event::ItemStarted { turn: self.turn.clone(), item: shown, snapshot });
    }
}

impl DeltaSink for Deltas {
    fn delta(&self, delta: Delta) {
        match delta {
            Delta::Queued { why, until } => {
                self.seat.view.lock().queued = Some(Queued { why: why.clone(), until });
                self.publish(Event::Waiting { why, until });
            }
            Delta::Sent => {
                // Most requests never waited: nothing is said of them.
                let has_waited = self.seat.view.lock().queued.take().is_some();
                if has_waited {
                    self.publish(Event::Sent);
                }
            }
            Delta::ItemStarted { item, kind, .. } => self.begins(&item, &kind),
            Delta::Text { item, text } => self.text(item, Part::Text, text),
            // A part without text yet: clients that want to know of it see it begin.
            Delta::ReasoningPart { item, part } => self.text(item, Part::Summary(part), String::new()),
            Delta::Reasoning { item, part, text } => self.text(item, Part::Summary(part), text),
            Delta::RawReasoning { item, part, text } => self.text(item, Part::Raw(part), text),
            Delta::SafetyBuffering(what) => {
                self.publish(Event::SafetyBuffering { turn: self.turn.clone(), what: what.into() });
            }
            Delta::Rerouted { model } => {
                let (from, to) = (Arc::clone(&self.model), model.into());
                self.publish(Event::Rerouted { turn: self.turn.clone(), from, to });
            }
            // Arguments are shown with their call; moderation is the provider's own.
            Delta::Arguments { .. } | Delta::ItemDone { .. } | Delta::Moderation(_) => {}
        }
    }
}

impl TokioWorkers {
    /// Workers for one incarnation of a seat, on the current runtime.
    pub fn new(means: Means, seat: Arc<Seat>, tree: Weak<Tree>) -> Self {
        let runtime = Handle::current();
        let patches = Patcher::new(runtime.clone(), Arc::clone(&seat));
        Self {
            patches,
            means,
            seat,
            tree,
            runtime,
            sampling: None,
            tools: BTreeMap::new(),
            ending: Vec::new(),
            timers: BTreeMap::new(),
        }
    }

    fn home(&self) -> Home {
        Home { means: self.means.clone(), seat: Arc::clone(&self.seat), tree: Weak::clone(&self.tree) }
    }

    fn refuse(&self, call: &CallId, why: String) {
        self.tell(Input::ToolEnded { call: call.clone(), result: commands::refusal(why) });
    }

    fn tell(&self, input: Input) {
        let message = Message::Input(input);
        if let Err(refused) = self.seat.mailbox.try_send(Lane::Continuation, 0, message) {
            tracing::error!(agent = %self.seat.path, refused = %refused.refused, "an answer found no room");
        }
    }
}

impl Workers for TokioWorkers {
    fn sample(&mut self, effect: u64, request: Request) {
        let gone = ModelError::Cut { why: "the worker of the model call was lost".to_owned() };
        let lost = Input::Sampled { effect, result: Err(gone) };
        let Some(answer) = Answer::new(&self.seat, Some(lost.clone())) else {
            return self.tell(lost);
        };
        let deltas = Deltas {
            seat: Arc::clone(&self.seat),
            clock: Arc::clone(&self.means.clock),
            turn: request.origin.turn.clone(),
            model: Arc::clone(&request.origin.model),
        };
        let call = self.means.model.sample(request, Arc::new(deltas));
        let asked = async move {
            let result = call.await;
            answer.send(Input::Sampled { effect, result });
        };
        self.sampling = Some(Owned(self.runtime.spawn(asked.instrument(self.seat.traces.span()))));
    }

    fn cancel_sample(&mut self) {
        self.sampling = None;
    }

    fn hold(&mut self, effect: u64, call: CallId, turn: TurnId, exec: ExecCall, place: Confined) {
        let Some(answer) = Answer::new(&self.seat, None) else {
            return self.refuse(&call, "too many calls at once; try again with fewer".to_owned());
        };
        let (release, released) = oneshot::channel();
        let cancel = Canceller::new();
        let start = Start { effect, call: call.clone(), turn, exec, place, released, cancelled: cancel.handle() };
        let run = commands::run(self.home(), start, answer).instrument(self.seat.traces.span());
        let task = Owned(self.runtime.spawn(run));
        self.tools.insert(call, Tool { release: Some(release), cancel, task });
    }

    fn type_into(&mut self, call: CallId, turn: TurnId, typing: Typing) {
        // Lost, it may have typed or not.
        let lost = Input::ToolEnded { call: call.clone(), result: ToolResult::nothing() };
        let Some(answer) = Answer::new(&self.seat, Some(lost)) else {
            return self.refuse(&call, "too many calls at once; try again with fewer".to_owned());
        };
        let cancel = Canceller::new();
        let typing = commands::type_into(self.home(), call.clone(), turn, typing, cancel.handle(), answer);
        let task = Owned(self.runtime.spawn(typing));
        self.tools.insert(call, Tool { release: None, cancel, task });
    }

    fn release(&mut self, call: &CallId) {
        if let Some(release) = self.tools.get_mut(call).and_then(|tool| tool.release.take()) {
            // The task is gone only if it has answered already.
            let _ = release.send(());
        }
    }

    fn kill(&mut self, call: &CallId) {
        self.ending.retain(|tool| !tool.task.0.is_finished());
        // One that was not let run yet ends when its release is dropped; one that runs gets its grace.
        if let Some(mut tool) = self.tools.remove(call) {
            tool.release = None;
            tool.cancel.cancel();
            self.ending.push(tool);
        }
        // It may have gone on in the background, and its agent has not heard of that.
        self.seat.background.end_of(call);
    }

    fn plan(&mut self, effect: u64, call: CallId, patch: Arc<str>, place: Confined) {
        if let Err(input) = self.patches.plan(effect, call, patch, place) {
            self.tell(input);
        }
    }

    fn apply(&mut self, call: CallId, planned: Arc<Planned>, place: Confined, turn: TurnId) {
        if let Err(input) = self.patches.apply(call, planned, place, turn) {
            self.tell(input);
        }
    }

    fn timer(&mut self, timer: Timer, at: Millis) {
        let wait = std::time::Duration::from_millis(at.since(self.means.clock.now()).0);
        let (due, seat) = (timer.clone(), Arc::clone(&self.seat));
        let task = self.runtime.spawn(async move {
            tokio::time::sleep(wait).await;
            let message = Message::Input(Input::Due(due));
            if let Err(refused) = seat.mailbox.try_send(Lane::Continuation, 0, message) {
                tracing::error!(agent = %seat.path, refused = %refused.refused, "a timer found no room");
            }
        });
        self.timers.insert(timer, Owned(task));
    }
}

/// Workers of a tree that is being loaded: nothing is run, so nothing may be asked for.
pub struct NoWorkers;

impl Workers for NoWorkers {
    fn sample(&mut self, _: u64, _: Request) {
        unreachable!("loading asks no model");
    }

    fn cancel_sample(&mut self) {}

    fn hold(&mut self, _: u64, _: CallId, _: TurnId, _: ExecCall, _: Confined) {
        unreachable!("loading runs no command");
    }

    fn type_into(&mut self, _: CallId, _: TurnId, _: Typing) {
        unreachable!("loading runs no command");
    }

    fn release(&mut self, _: &CallId) {
        unreachable!("loading runs no command");
    }

    fn kill(&mut self, _: &CallId) {}

    fn plan(&mut self, _: u64, _: CallId, _: Arc<str>, _: Confined) {
        unreachable!("loading looks at no patch");
    }

    fn apply(&mut self, _: CallId, _: Arc<Planned>, _: Confined, _: TurnId) {
        unreachable!("loading changes no file");
    }

    /// A report that was refused is sent again when the agent next runs.
    fn timer(&mut self, _: Timer, _: Millis) {}
}
