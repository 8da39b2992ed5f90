//! What goes into the machine, and what the world answers it with.

use std::sync::Arc;
use std::time::Duration;

use sapwood_model::{ModelError, Response};
use sapwood_protocol::asked::Resolution;
use sapwood_protocol::ids::AskId;
use sapwood_protocol::own::ProcessGroup;
use sapwood_protocol::{AgentPath, CallId, Ids, Millis, ThreadId, TurnId};

use super::effect::{Late, Timer};
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
