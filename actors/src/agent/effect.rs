//! What comes out of the machine.

use std::sync::Arc;
use std::time::Duration;

use sapwood_model::Request;
use sapwood_protocol::approval::SandboxPolicy;
use sapwood_protocol::own::{Outcome, ProcessGroup, Spawn, ThreadSettings, TurnOrigin};
use sapwood_protocol::{CallId, Line, Millis, TurnId};

use super::approval::Confinement;
use super::approval::verdict::Wish;
use super::event::Event;
use super::input::{Planned, ToolResult};
use super::volatile::Volatile;

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
    /// Ask again with [`Input::Go`](super::input::Input::Go) when the lines are applied.
    pub again: bool,
}
