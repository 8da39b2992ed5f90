//! Workers: what takes time, as tasks that an incarnation owns.
//!
//! A worker decides nothing and writes no line. It is ended by dropping it; it answers exactly once for each step,
//! in the agent's Continuation lane, through room that was reserved before it started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapwood_mailbox::{Lane, Mailbox, Permit};
use sapwood_model::{Delta, DeltaSink, Model, ModelError, Request};
use sapwood_protocol::own::ProcessGroup;
use sapwood_protocol::{CallId, Millis};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::agent::effect::{Event, ExecCall, Input, Timer, ToolEnd, ToolResult};
use crate::clock::Clock;
use crate::process::{Cancel, Canceller, Command, Exit, Held, Outcome, Pause, Processes, SandboxMode};
use crate::seat::{Message, Queued, Seat};
use crate::shell::Workers;

/// Output of one command that a model gets, at most, in bytes: head and tail.
pub const OUTPUT_BYTES: usize = 32 * 1024;

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
    sandbox: SandboxMode,
    runtime: Handle,
    sampling: Option<Owned>,
    tools: BTreeMap<CallId, Tool>,
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
struct Answer {
    room: Option<Permit<Message>>,
    lost: Option<Input>,
}

impl Answer {
    fn new(seat: &Seat, lost: Option<Input>) -> Option<Self> {
        let room = Mailbox::reserve(&seat.mailbox, Lane::Continuation, 0).ok()?;
        Some(Self { room: Some(room), lost })
    }

    /// What it answers if its task is dropped from here on.
    fn or(mut self, lost: Input) -> Self {
        self.lost = Some(lost);
        self
    }

    fn send(mut self, input: Input) {
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

/// What is shown of a call that is under way: that it waits. Text is provisional, and shown by clients that ask for it;
/// nobody does yet.
struct Deltas {
    seat: Arc<Seat>,
    clock: Arc<dyn Clock>,
}

impl DeltaSink for Deltas {
    fn delta(&self, delta: Delta) {
        match delta {
            Delta::Queued { why, until } => {
                self.seat.view.lock().queued = Some(Queued { why: why.clone(), until });
                self.seat.feed.publish(self.clock.now(), Event::Waiting { why, until });
            }
            Delta::Sent => {
                // Most requests never waited: nothing is said of them.
                let has_waited = self.seat.view.lock().queued.take().is_some();
                if has_waited {
                    self.seat.feed.publish(self.clock.now(), Event::Sent);
                }
            }
            _ => {}
        }
    }
}

impl TokioWorkers {
    /// Workers for one incarnation of a seat, on the current runtime.
    pub fn new(means: Means, seat: Arc<Seat>, sandbox: SandboxMode) -> Self {
        let runtime = Handle::current();
        Self {
            means,
            seat,
            sandbox,
            runtime,
            sampling: None,
            tools: BTreeMap::new(),
            ending: Vec::new(),
            timers: BTreeMap::new(),
        }
    }

    fn refuse(&self, call: &CallId, why: String) {
        let result = ToolResult { end: ToolEnd::Refused(why), ..ToolResult::nothing() };
        self.tell(Input::ToolEnded { call: call.clone(), result });
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
        let deltas = Deltas { seat: Arc::clone(&self.seat), clock: Arc::clone(&self.means.clock) };
        let call = self.means.model.sample(request, Arc::new(deltas));
        self.sampling = Some(Owned(self.runtime.spawn(async move {
            let result = call.await;
            answer.send(Input::Sampled { effect, result });
        })));
    }

    fn cancel_sample(&mut self) {
        self.sampling = None;
    }

    fn hold(&mut self, effect: u64, call: CallId, exec: ExecCall) {
        let Some(answer) = Answer::new(&self.seat, None) else {
            return self.refuse(&call, "too many calls at once; try again with fewer".to_owned());
        };
        let cwd = Path::new(&self.seat.cwd).join(exec.workdir.as_deref().unwrap_or(""));
        let command = Command {
            argv: vec![self.means.shell.to_string_lossy().into_owned(), "-c".to_owned(), exec.cmd],
            cwd,
            env: Vec::new(),
            sandbox: self.sandbox.clone(),
            timeout: Some(exec.timeout),
            max_output: OUTPUT_BYTES,
        };
        let (release, released) = oneshot::channel();
        let cancel = Canceller::new();
        let start = Start { effect, call: call.clone(), command, released, cancelled: cancel.handle() };
        let task = run(self.means.processes.clone(), start, answer, Arc::clone(&self.seat));
        let task = Owned(self.runtime.spawn(task));
        self.tools.insert(call, Tool { release: Some(release), cancel, task });
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

/// What a command is started with.
struct Start {
    effect: u64,
    call: CallId,
    command: Command,
    released: oneshot::Receiver<()>,
    cancelled: Cancel,
}

/// The life of one command: held, released, ended.
async fn run(processes: Processes, start: Start, answer: Answer, seat: Arc<Seat>) {
    let Start { effect, call, command, released, cancelled } = start;
    let refused = |why: String| {
        let result = ToolResult { end: ToolEnd::Refused(why), ..ToolResult::nothing() };
        Input::ToolEnded { call: call.clone(), result }
    };
    let held: Held = match processes.hold(command).await {
        Ok(held) => held,
        Err(error) => return answer.send(refused(error.to_string())),
    };
    let group = held.group();
    let group = ProcessGroup { id: group.id, start: group.start };
    // From here on the end of this task means that nobody knows what the command did.
    let unknown = Input::ToolEnded { call: call.clone(), result: ToolResult::nothing() };
    let Some(ended) = Answer::new(&seat, None) else {
        return answer.send(refused("too many calls at once; try again with fewer".to_owned()));
    };
    answer.send(Input::Held { effect, call: call.clone(), group });
    if released.await.is_err() {
        return;
    }
    let ended = ended.or(unknown);
    let outcome = held.run(Pause::never(), cancelled).await;
    ended.send(Input::ToolEnded { call: call.clone(), result: result_of(outcome) });
}

fn result_of(outcome: Outcome) -> ToolResult {
    let end = match outcome.exit {
        Exit::Code(code) => ToolEnd::Exited(code),
        Exit::Signal(signal) => ToolEnd::Signalled(signal),
        Exit::TimedOut => ToolEnd::TimedOut,
        Exit::Cancelled => ToolEnd::Signalled(15),
        Exit::Failed(why) => ToolEnd::Refused(why),
    };
    let output = match outcome.output.omitted {
        0 => outcome.output.head,
        omitted => {
            let (head, tail) = (&outcome.output.head, &outcome.output.tail);
            format!("{head}\n[... {omitted} bytes omitted ...]\n{tail}")
        }
    };
    ToolResult { end, output, total_bytes: outcome.output.total, wall: outcome.wall }
}

/// Workers of a tree that is being loaded: nothing is run, so nothing may be asked for.
pub struct NoWorkers;

impl Workers for NoWorkers {
    fn sample(&mut self, _: u64, _: Request) {
        unreachable!("loading asks no model");
    }

    fn cancel_sample(&mut self) {}

    fn hold(&mut self, _: u64, _: CallId, _: ExecCall) {
        unreachable!("loading runs no command");
    }

    fn release(&mut self, _: &CallId) {
        unreachable!("loading runs no command");
    }

    fn kill(&mut self, _: &CallId) {}

    /// A report that was refused is sent again when the agent next runs.
    fn timer(&mut self, _: Timer, _: Millis) {}
}
