//! What goes into the machine and what comes out of it.

use std::time::Duration;

use sapwood_model::{ModelError, Request, Response};
use sapwood_protocol::own::{Outcome, ProcessGroup, Spawn, ThreadSettings, TurnOrigin};
use sapwood_protocol::{AgentPath, CallId, Ids, Line, Millis, ThreadId, TurnId, Usage};

use super::volatile::Volatile;

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
    /// A tool ended, or could not start.
    ToolEnded {
        /// The call.
        call: CallId,
        /// What came of it.
        result: ToolResult,
    },
    /// The tree has answered a tool that acts on other agents.
    Answered {
        /// The call.
        call: CallId,
        /// What it said.
        answer: Answer,
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
}

impl ToolResult {
    /// Nothing ran, and nobody knows how it ended.
    pub fn nothing() -> Self {
        Self { end: ToolEnd::Unknown, output: String::new(), total_bytes: 0, wall: Duration::ZERO }
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
        /// What to run.
        exec: ExecCall,
    },
    /// Let a held command run: the line that says so is durable.
    Release {
        /// The call.
        call: CallId,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCall {
    /// What the shell runs.
    pub cmd: String,
    /// Where, if not in the agent's directory.
    pub workdir: Option<String>,
    /// How long it may run.
    pub timeout: Duration,
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
    },
    /// An item began.
    ItemStarted {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: Shown,
    },
    /// An item is complete and durable.
    ItemCompleted {
        /// The turn.
        turn: TurnId,
        /// The item.
        item: Shown,
    },
    /// Tokens were used.
    Usage {
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
    },
    /// Something a person should know.
    Warning(String),
}

/// An item as it is shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    /// A user's message.
    User {
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
