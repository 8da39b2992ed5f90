//! What goes into the machine and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use sapwood_model::{ModelError, Request, Response, SafetyBuffering};
use sapwood_protocol::approval::SandboxPolicy;
use sapwood_protocol::asked::{Asked, Resolution};
use sapwood_protocol::ids::AskId;
use sapwood_protocol::own::{Outcome, ProcessGroup, Spawn, ThreadSettings, TurnOrigin};
use sapwood_protocol::{AgentPath, CallId, Ids, ItemId, Line, Millis, ThreadId, TurnId, Usage};
use serde_json::value::{RawValue, to_raw_value};

use super::approval::Confinement;
use super::approval::verdict::Wish;
use super::volatile::Volatile;
use crate::patch::Plan;
use crate::patch::words::Outcome as PatchOutcome;

/// Time and ids of one decision: the machine has no other source of either.
pub struct Ctx<'a> {
    /// Now.
    pub now: Millis,
    /// New ids, and all chance that there is (the jitter of a retry).
    pub ids: &'a mut Ids,
}

/// Something that happened to the agent.
#[derive(Clone, Debug)]
pub enum Input {
    /// Look at what is pending and do what can be done: after an acceptance, a grant, or the last decision.
    Go,
    /// The tree was loaded in a new process: close what process death left open, and run nothing.
    Loaded,
    /// An incarnation took over, and has read all answers to the one before. Names the accepted input that the old
    /// one died of.
    Recovered {
        /// The input that was being handled.
        culprit: Option<sapwood_protocol::ids::InputId>,
    },
    /// The slot it asked for.
    Granted,
    /// Somebody asks a paused turn to go on.
    GoOn,
    /// A timer is due.
    Due(Timer),
    /// A model call ended.
    Sampled {
        /// The id of the effect that started it.
        effect: u64,
        /// What came of it.
        result: Result<Response, ModelError>,
    },
    /// A command is ready to run, and does not run yet.
    Held {
        /// The id of the effect that started it.
        effect: u64,
        /// The call.
        call: CallId,
        /// Its process group.
        group: ProcessGroup,
    },
    /// A tool ended, or could not start, or goes on without its call.
    ToolEnded {
        /// The call.
        call: CallId,
        /// What came of it.
        result: ToolResult,
    },
    /// A command ended that went on without its call.
    CommandEnded(Arc<Late>),
    /// The tree has answered a tool that acts on other agents.
    Answered {
        /// The call.
        call: CallId,
        /// What it said.
        answer: Answer,
    },
    /// Somebody answered a question.
    AnsweredAsk {
        /// Which.
        id: AskId,
        /// What came of it.
        how: Resolution,
    },
    /// A patch was looked at; nothing is written yet.
    Planned {
        /// The id of the effect that started it.
        effect: u64,
        /// The call.
        call: CallId,
        /// What it would do, or what the model reads instead.
        result: Result<Arc<Planned>, String>,
    },
    /// A patch was applied, or was not.
    Patched {
        /// The call.
        call: CallId,
        /// What came of it.
        result: Patched,
    },
    /// What the requester of the last turn said to its report.
    Reported {
        /// The ordinal that numbers the report.
        n: u64,
        /// It is in the requester's rollout; else it is tried again.
        accepted: bool,
    },
    /// End this turn, and no other.
    Interrupt {
        /// The turn that is meant.
        turn: TurnId,
        /// Who wants it.
        by: Interrupter,
    },
}

/// Who interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupter {
    /// A person, through a client.
    User,
    /// Another agent.
    Agent(ThreadId),
}

/// What a patch would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Each change.
    pub plan: Plan,
    /// The files that it touches, absolute: as the patch names them where they really are within what may be written, else
    /// where they really are.
    pub paths: Vec<String>,
}

/// What a patch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patched {
    /// What was to be done.
    pub planned: Arc<Planned>,
    /// What was done.
    pub outcome: PatchOutcome,
    /// How long it took.
    pub took: Duration,
    /// All that the turn has changed so far, where this changed something.
    pub diff: Option<Arc<str>>,
}

/// What a shell command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// How it ended.
    pub end: ToolEnd,
    /// Its output, bounded by the worker.
    pub output: String,
    /// Bytes of output before they were bounded.
    pub total_bytes: u64,
    /// How long it ran.
    pub wall: Duration,
    /// It failed, and its sandbox seems to be why.
    pub is_denied: bool,
}

impl ToolResult {
    /// Nothing ran, and nobody knows how it ended.
    pub fn nothing() -> Self {
        Self { end: ToolEnd::Unknown, output: String::new(), total_bytes: 0, wall: Duration::ZERO, is_denied: false }
    }
}

/// How a shell command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolEnd {
    /// By itself, with this code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
    /// It ran longer than it may.
    TimedOut,
    /// It goes on in the background, under this name.
    Running(i32),
    /// It could not be started, and had no effect.
    Refused(String),
    /// The worker was lost: nobody knows what it did.
    Unknown,
}

/// The answer of the tree to a tool that acts on other agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; the text is the output that the model reads.
    Done {
        /// The output.
        output: String,
        /// The agent that was acted on.
        agent: Option<(ThreadId, AgentPath)>,
    },
    /// Refused; the text is the output that the model reads.
    Refused(String),
    /// A spawn of a dead process that never made its child.
    Never,
}

/// Something to be done outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Ask the model.
    Sample {
        /// Comes back with the answer.
        effect: u64,
        /// What to ask.
        request: Request,
    },
    /// Stop asking the model.
    CancelSample,
    /// Start a command and hold it before its first instruction.
    Hold {
        /// Comes back when it is held.
        effect: u64,
        /// The call.
        call: CallId,
        /// The turn that it is of.
        turn: TurnId,
        /// What to run.
        exec: ExecCall,
        /// Where, and with which rights.
        place: Place,
    },
    /// Let a held command run: the line that says so is durable.
    Release {
        /// The call.
        call: CallId,
    },
    /// Look what a patch would do.
    Plan {
        /// Comes back with the answer.
        effect: u64,
        /// The call.
        call: CallId,
        /// The patch, as the model wrote it.
        patch: Arc<str>,
        /// Where, and with which rights.
        place: Place,
    },
    /// Do what a patch would: the line that says so is durable.
    Apply {
        /// The call.
        call: CallId,
        /// What to do.
        planned: Arc<Planned>,
        /// Where, and with which rights.
        place: Place,
        /// The turn whose changes it adds to.
        turn: TurnId,
    },
    /// Type into a command that goes on in the background, or look at it. The line that says so is durable.
    Type {
        /// The call.
        call: CallId,
        /// The turn that it is of.
        turn: TurnId,
        /// What, and into which.
        typing: Typing,
    },
    /// End a command and all its processes.
    Kill {
        /// The call.
        call: CallId,
    },
    /// End a command of a dead process, if it still is the same one.
    KillLeftover(ProcessGroup),
    /// Ask the tree.
    Ask {
        /// The call.
        call: CallId,
        /// For what.
        ask: Ask,
    },
    /// Tell the requester of a turn what came of it.
    Report(Report),
    /// Ask for a slot.
    Want(Want),
    /// Give the slot back.
    GiveBack,
    /// Wake up at a time.
    Timer {
        /// Comes back.
        timer: Timer,
        /// When.
        at: Millis,
    },
    /// Tell whoever looks.
    Notify(Event),
}

impl Effect {
    /// Effects that take something away are done at once; all others wait until the lines that justify them are
    /// durable.
    pub fn takes_away(&self) -> bool {
        matches!(self, Effect::CancelSample | Effect::Kill { .. } | Effect::KillLeftover(_) | Effect::GiveBack)
    }
}

/// Why a slot is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// For a new turn.
    NewTurn,
    /// For an open turn that can go on.
    Resume,
}

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The next try of a model call.
    Retry,
    /// The deadline of a wait.
    Wait(CallId),
    /// The next try of a report.
    Report,
    /// The end of a usage limit.
    Pause,
}

/// A shell command as the model asked for it.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecCall {
    /// What the shell runs.
    pub cmd: String,
    /// Where, if not in the agent's directory.
    pub workdir: Option<String>,
    /// The shell, if not the user's.
    pub shell: Option<String>,
    /// The shell is a login shell.
    pub login: bool,
    /// It gets a terminal, and can be typed to.
    pub tty: bool,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// How long its call waits before it goes on in the background; nothing: until it ends.
    pub patience: Option<Duration>,
    /// Bytes of its output that the model gets, at most.
    pub max_output: usize,
    /// What else the model asks for.
    pub wish: Wish,
}

impl ExecCall {
    /// Program and arguments, for a user of this shell.
    pub fn argv(&self, shell: &str) -> [String; 3] {
        let flag = if self.login { "-lc" } else { "-c" };
        [self.shell.as_deref().unwrap_or(shell).to_owned(), flag.to_owned(), self.cmd.clone()]
    }
}

/// What is typed into a command that goes on in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typing {
    /// Its name.
    pub session: i32,
    /// What is typed; nothing: it is only looked at.
    pub chars: String,
    /// How long its call waits for output.
    pub patience: Duration,
    /// Bytes of output that the model gets, at most.
    pub max_output: usize,
}

/// The end of a command that went on without its call.
#[derive(Clone, Debug, PartialEq)]
pub struct Late {
    /// The call that started it.
    pub call: CallId,
    /// The turn of that call.
    pub turn: TurnId,
    /// Its name.
    pub session: i32,
    /// Program and arguments.
    pub argv: [String; 3],
    /// Where it ran.
    pub cwd: String,
    /// When it began.
    pub started: Millis,
    /// What came of it.
    pub result: ToolResult,
}

/// Where a command runs, and what it may touch.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// The directory; absolute.
    pub cwd: String,
    /// What agents such as this one may touch.
    pub sandbox: SandboxPolicy,
    /// What a person allowed beside that.
    pub confinement: Confinement,
    /// The directories that count as the workspace; absolute.
    pub roots: Vec<String>,
}

/// What the tree is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// Make a child, or find the one that was made.
    Spawn {
        /// Which.
        spawn: Spawn,
        /// Its task.
        message: String,
        /// Numbers the task's mail.
        n: u64,
        /// The turn that asks.
        turn: TurnOrigin,
        /// Whom it is to ask, where that is not what the run says.
        settings: Option<Box<ThreadSettings>>,
        /// Only find it: a dead process wanted it.
        only_find: bool,
    },
    /// Deliver mail.
    Mail {
        /// To whom, in the sender's words.
        target: String,
        /// Task or message.
        kind: sapwood_protocol::item::MailKind,
        /// What it says.
        text: String,
        /// Numbers it.
        n: u64,
        /// The turn that sends it.
        turn: TurnOrigin,
    },
    /// Interrupt another agent.
    Interrupt {
        /// Whom, in the caller's words.
        target: String,
    },
    /// List the agents.
    List {
        /// Only at and below this path, in the caller's words.
        prefix: Option<String>,
    },
}

/// What came of a turn, for the one who asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Numbers it: the ordinal of the line that ended the turn.
    pub n: u64,
    /// How the turn ended.
    pub outcome: Outcome,
    /// What the requester reads.
    pub text: String,
    /// The turn.
    pub turn: TurnOrigin,
}

/// What the machine decides in one step.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Lines to append, in one write.
    pub lines: Vec<Line>,
    /// What to do, in order.
    pub effects: Vec<Effect>,
    /// The volatile state after this step.
    pub volatile: Volatile,
    /// Ask again with [`Input::Go`] when the lines are applied.
    pub again: bool,
}

/// What is shown of an agent's life. Provisional or a consequence of lines: dropped in a crash, never missed.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A turn began.
    TurnStarted {
        /// Which.
        turn: TurnId,
        /// The root turn that caused it.
        root: TurnId,
        /// When.
        started: Millis,
    },
    /// An item began.
    ItemStarted {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: Shown,
        /// It as clients see it; nothing for one that they see only when it is complete.
        snapshot: Option<Snapshot>,
    },
    /// More of an open item's text. Provisional: the whole comes when the item is complete.
    Delta {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: ItemId,
        /// Of which part.
        part: Part,
        /// What was added.
        text: String,
    },
    /// What of an answer was shown is dropped with it.
    Dropped {
        /// The turn.
        turn: TurnId,
    },
    /// An item is complete and durable.
    ItemCompleted {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: Shown,
        /// It as clients see it; nothing for one that they do not see.
        snapshot: Option<Snapshot>,
    },
    /// Tokens were used.
    Usage {
        /// By the last request.
        last: Usage,
        /// By this turn so far.
        turn: Usage,
        /// By the thread so far.
        thread: Usage,
    },
    /// Something went wrong and is tried again.
    Retrying {
        /// What.
        message: String,
        /// When.
        at: Millis,
    },
    /// A request waits for the provider's limits, and goes out then at the earliest.
    Waiting {
        /// What it waits for.
        why: String,
        /// Not before.
        until: Option<Millis>,
    },
    /// A request that waited is on its way.
    Sent,
    /// A turn pauses until a usage limit ends, or somebody asks.
    Paused {
        /// The turn.
        turn: TurnId,
        /// What the provider said.
        message: String,
        /// When the limit ends, where that is known.
        until: Option<Millis>,
        /// It goes on by itself then.
        by_itself: bool,
    },
    /// A turn ended.
    TurnEnded {
        /// Which.
        turn: TurnId,
        /// How.
        outcome: Outcome,
        /// The last message, or what went wrong.
        message: Option<String>,
        /// What it cost.
        usage: Usage,
        /// The root turn that caused it.
        root: TurnId,
        /// What kind of error ended it, in Codex's form.
        error: Option<Arc<serde_json::Value>>,
        /// When it began.
        started: Millis,
        /// When it ended.
        ended: Millis,
    },
    /// A person or a client is asked. The same question may come again, with its id: after a crash, and in a later process.
    Asked {
        /// The turn.
        turn: TurnId,
        /// What is asked.
        asked: Arc<Asked>,
    },
    /// A question is closed, whoever did it. What follows from it comes behind.
    Resolved {
        /// The turn.
        turn: TurnId,
        /// What was asked.
        asked: Arc<Asked>,
        /// Nobody answered: the turn ends next.
        is_withdrawn: bool,
    },
    /// The messages that wait until the agent is idle are others now.
    QueueChanged,
    /// A command goes on in the background, without its call: its item stays open when the turn ends.
    Detached {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: ItemId,
    },
    /// The model typed into a command that goes on in the background, or looked at it.
    Typed {
        /// The turn that did.
        turn: TurnId,
        /// The command's item.
        item: ItemId,
        /// The command's name.
        session: i32,
        /// What was typed.
        chars: String,
    },
    /// The settings of the thread have changed.
    SettingsApplied,
    /// The plan of the turn has changed.
    Plan {
        /// The turn.
        turn: TurnId,
        /// The plan.
        plan: Arc<super::plan::PlanUpdate>,
    },
    /// What the turn has changed in files so far, as one diff.
    Diff {
        /// The turn.
        turn: TurnId,
        /// The diff.
        diff: Arc<str>,
    },
    /// The provider holds output back while it looks at it.
    SafetyBuffering {
        /// The turn.
        turn: TurnId,
        /// What it says.
        what: Arc<SafetyBuffering>,
    },
    /// Another model than the one that was asked answers.
    Rerouted {
        /// The turn.
        turn: TurnId,
        /// The one that was asked.
        from: Arc<str>,
        /// The one that answers.
        to: Arc<str>,
    },
    /// What was told may have gaps, since an incarnation ended without a word: the rollout has the truth.
    Resync,
    /// Something a person should know.
    Warning(String),
}

/// An item as clients see it: in the form of the rollout's `item_completed` lines.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The item.
    pub item: Arc<RawValue>,
    /// When it began.
    pub started: Millis,
    /// When it was complete.
    pub completed: Option<Millis>,
    /// A model is still saying it: it is dropped with the answer that it is of.
    pub is_streamed: bool,
    /// It begins with a question about it: its thread waits for the answer before clients see the item, as in Codex.
    pub asks: bool,
}

impl PartialEq for Snapshot {
    fn eq(&self, other: &Self) -> bool {
        self.item.get() == other.item.get() && (self.started, self.completed) == (other.started, other.completed)
    }
}

impl Snapshot {
    /// An item that begins.
    pub fn begun(item: &serde_json::Value, started: Millis, is_streamed: bool) -> Self {
        Self { item: raw(item), started, completed: None, is_streamed, asks: false }
    }

    /// An item that is complete.
    pub fn completed(item: &serde_json::Value, started: Millis, completed: Millis) -> Self {
        Self { item: raw(item), started, completed: Some(completed), is_streamed: false, asks: false }
    }
}

fn raw(item: &serde_json::Value) -> Arc<RawValue> {
    to_raw_value(item).expect("a value can be written").into()
}

/// The parts of an item whose text comes piece by piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The text of a message.
    Text,
    /// A part of a reasoning's summary.
    Summary(u64),
    /// A part of a reasoning's raw content.
    Raw(u64),
    /// What a command writes.
    Output,
}

/// An item as it is told in a line or two.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A user's message.
    User {
        /// Its id.
        id: String,
        /// Its text.
        text: String,
    },
    /// The model's message.
    Agent {
        /// Its id.
        id: String,
        /// Its text.
        text: String,
    },
    /// The model's reasoning, in summary.
    Reasoning {
        /// Its id.
        id: String,
        /// The summary.
        text: String,
    },
    /// A shell command.
    Command {
        /// The call.
        call: CallId,
        /// What runs.
        command: String,
        /// What came of it, once it ended.
        result: Option<ToolResult>,
    },
    /// A tool that acts on other agents.
    Collab {
        /// The call.
        call: CallId,
        /// Which tool.
        tool: &'static str,
        /// The agents it acted on.
        agents: Vec<(ThreadId, AgentPath)>,
        /// What was said to them.
        prompt: Option<String>,
        /// How it went, once it ended.
        ok: Option<bool>,
    },
    /// A change of files.
    Patch {
        /// The call.
        call: CallId,
        /// The files, and what happens to each: `add`, `update` or `delete`.
        files: Vec<(String, String)>,
        /// How it went, once it ended.
        ok: Option<bool>,
    },
    /// A call of a tool that a client has.
    Client {
        /// The call.
        call: CallId,
        /// Which tool.
        tool: String,
        /// How it went, once it ended.
        ok: Option<bool>,
    },
    /// Mail came in.
    Mail {
        /// From whom.
        from: AgentPath,
        /// Task, message or answer.
        kind: sapwood_protocol::item::MailKind,
        /// What it says.
        text: String,
    },
}

impl Shown {
    /// The id under which clients know it.
    pub fn id(&self) -> Option<ItemId> {
        match self {
            Shown::User { id, .. } | Shown::Agent { id, .. } | Shown::Reasoning { id, .. } => Some(ItemId::from(&**id)),
            Shown::Command { call, .. }
            | Shown::Collab { call, .. }
            | Shown::Patch { call, .. }
            | Shown::Client { call, .. } => Some(ItemId::from(call.as_str())),
            Shown::Mail { .. } => None,
        }
    }
}
