//! How a model's shell command is run: held until the rollout says go, sandboxed, bounded, and never outliving its owner.
//!
//! **Never:** decides whether a command may run, writes a rollout line, or knows of agents, turns and models.
//!
//! # The processes
//!
//! ```text
//! sapwood ── sapwood __reap ──┬── sapwood __exec  (becomes the command)  ── its descendants
//!                             ├── sapwood __exec
//!                             └── whatever double-forked or called setsid: orphans come back to the nearest subreaper
//! ```
//!
//! An orphan is given to its nearest *ancestor* that is a subreaper, so the reaper has to be the parent of every command: it is the
//! one that spawns. The worker makes the command's pipe and sockets and passes their far ends over one Unix socket; from then on the
//! two talk over the command's own control socket, and its closing, for whatever reason, means "end this command". The alternatives
//! lose somebody: watching `/proc` from outside misses what forks between two looks, and a guard process for each command costs one
//! process a command and still needs a parent for the day the guard is killed.
//!
//! # The life of one command
//!
//! 1. [`Processes::hold`]: the worker starts the reaper if there is none, and sends it three ends: the *order line* (a socket, to be
//!    the command's stdin for now), the one pipe for stdout and stderr, and the *control socket*.
//! 2. The reaper spawns `__exec` with them and answers with process id and start time: the [`GroupId`], for the rollout's line.
//! 3. `__exec` calls `setsid`, reads its orders from the line, and blocks reading one more byte. End of file ends it here.
//! 4. The caller's line is durable: [`Held::run`] sends the byte.
//! 5. `__exec` swaps its stdin for what the command is to read, sets limits, directory and sandbox, and execs. A close-on-exec copy of the line tells
//!    the worker that it did, or why it could not: nothing a command prints can be mistaken for it.
//! 6. The worker, or with [`Held::start`] a task that the [`Running`] owns, reads the output within bounds, and writes what stdin gets. Timeout, cancellation and the dropping of the future all close the control socket.
//! 7. The leader exits. The reaper reports how and leaves it unreaped, so that its id stays taken. The worker drains the pipe for at
//!    most 50 ms and closes the control socket; the reaper kills what is left, reaps, and closes its end: all are gone.
//!
//! # Invariants
//!
//! - No command starts before its byte; without the byte it never does.
//! - When sapwood ends, in whatever way, the kernel closes its sockets, and the reaper kills every descendant it has, until none is
//!   left. Nothing has to be running in sapwood for that.
//! - When [`Held::run`] returns, the command's group and descendants are dead (or being killed, if the kernel needs more than a
//!   second). One exception: a process that left its session, lost its parents *and* emptied its environment can no longer be told
//!   from another command's; it dies when the reaper next has no command, or with sapwood.
//! - A group id is never signalled unless the process that gave it its number is known to be the same one.
//! - A sandbox that cannot be enforced is refused, never dropped. What runs inside cannot leave it, nor can its children.
//! - Memory for a command's output is bounded by [`Command::max_output`].

mod clock;
mod exec;
mod held;
mod input;
mod output;
mod proc;
mod processes;
mod pump;
mod reap;
mod running;
pub mod sandbox;
mod terminals;
mod wire;

pub use clock::{Cancel, Canceller, Pause, Pauser};
pub use exec::exec_main;
pub use held::{Exit, Held, Outcome};
pub use input::{InputError, MAX_INPUT_BYTES, Size};
pub use output::Output;
pub use processes::{ProcessError, Processes};
pub use pump::{Stream, Viewer};
pub use reap::reap_main;
pub use running::{Running, Yielded};
pub use sandbox::SandboxMode;
pub use terminals::{About, Full, Listed, MAX_TERMINALS, Room, SessionId, Terminal, Terminals};
pub use wire::GroupId;

use std::path::PathBuf;
use std::time::Duration;

/// True if the leader of a process group that a rollout names still runs: the same process, and not one that got its id.
pub fn is_running(group: &sapwood_protocol::own::ProcessGroup) -> bool {
    proc::stat(group.id).is_some_and(|stat| stat.start == group.start)
}

/// The hidden subcommand that waits for its byte and becomes the command: `main` passes it to [`exec_main`].
pub const EXEC_SUBCOMMAND: &str = "__exec";

/// The hidden subcommand that holds all commands of one sapwood process: `main` passes it to [`reap_main`].
pub const REAP_SUBCOMMAND: &str = "__reap";

/// One command, fully decided: nothing about it is looked up later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments. A script given to a shell with `-c` may have any length up to 64 MiB; any other argument is limited by
    /// the kernel to 128 KiB.
    pub argv: Vec<String>,
    /// The absolute directory to run in.
    pub cwd: PathBuf,
    /// Taken from sapwood's own environment.
    pub unset: Vec<String>,
    /// Set on top of what is left of it, in order.
    pub env: Vec<(String, String)>,
    /// What it reads.
    pub stdin: Stdin,
    /// Where its stderr goes.
    pub streams: Streams,
    /// What it may touch.
    pub sandbox: SandboxMode,
    /// Time from release to exit, not counting pauses; `None` for no limit.
    pub timeout: Option<Duration>,
    /// How many bytes of output are kept: half from the start, half from the end.
    pub max_output: usize,
}

impl Command {
    /// With everything at its narrowest: reads only, no stdin, stderr with stdout, no time limit, no output kept.
    pub fn new(argv: Vec<String>, cwd: PathBuf) -> Self {
        Self {
            argv,
            cwd,
            unset: Vec::new(),
            env: Vec::new(),
            stdin: Stdin::Null,
            streams: Streams::Joined,
            sandbox: SandboxMode::READ_ONLY,
            timeout: None,
            max_output: 0,
        }
    }
}

/// What a command reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    #[default]
    Null,
    /// A pipe, for [`Running::write`].
    Piped,
    /// A terminal of its own of this size, which is its stdout and its stderr as well.
    Terminal(Size),
}

/// Where a command's stderr goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Streams {
    /// Where its stdout goes, in the order of writing.
    #[default]
    Joined,
    /// Its own way: what is shown says which of the two it is.
    Apart,
}
