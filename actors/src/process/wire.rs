//! What sapwood, the reaper and a held command say to each other.
//!
//! Three channels: the reaper's *request socket* (one byte and three descriptors a command), the command's *control socket* between
//! worker and reaper (reports one way as JSON lines, [`TERMINATE`] the other, closing ends the command), and its *order line* between
//! worker and `__exec` (length, [`Orders`], then [`RELEASE`]; back come [`Answer`]s until it closes, which is the command's start). With
//! the length come the descriptors that the orders speak of: a pipe for stdin, then one for stderr.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::SandboxMode;
use super::sandbox::Shortfall;

/// The byte on the order line that lets a held command go.
pub(super) const RELEASE: u8 = b'g';

/// The byte on the control socket that asks for SIGTERM to the group.
pub(super) const TERMINATE: u8 = b't';

/// The byte that carries the descriptors of a new command on the request socket.
pub(super) const SPAWN: u8 = b's';

/// Descriptors of a request: order line, output, control socket.
pub(super) const REQUEST_FDS: usize = 3;

/// Descriptors that come with orders, at most: stdin and stderr.
pub(super) const ORDER_FDS: usize = 2;

/// The environment variable by which the reaper tells whose orphan it has been given.
pub(super) const MARK: &str = "SAPWOOD_COMMAND";

/// Longest encoded [`Orders`]: six times the longest command text seen in the field.
pub(super) const MAX_ORDERS_BYTES: usize = 64 << 20;

/// A process group of ours, by its leader's id and the moment that id was given out.
///
/// Ids are used again by the kernel; an id and a start time are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GroupId {
    /// The leader's process id, which is the group's and the session's too.
    pub id: i32,
    /// Clock ticks between boot and the leader's start: field 22 of `/proc/<id>/stat`.
    pub start: u64,
}

/// Everything `__exec` needs to become the command.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// Empty: nothing is to run but the preparations.
    pub argv: Vec<String>,
    pub cwd: PathBuf,
    pub env: Vec<(String, String)>,
    pub unset: Vec<String>,
    pub sandbox: SandboxMode,
    pub stdin: StdinKind,
    pub own_stderr: bool,
}

/// What the command's stdin is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StdinKind {
    /// `/dev/null`.
    Null,
    /// A descriptor that comes with the orders.
    Passed,
    /// What stdout is: a terminal.
    Terminal,
}

/// What `__exec` says over the order line before it becomes the command, a JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// What the sandbox cannot do here.
    Shortfalls(Vec<Shortfall>),
    /// It does not start: why.
    Refused(String),
}

/// What the reaper tells the worker about its command.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Report {
    /// Spawned and held.
    Started(GroupId),
    /// Could not be spawned: the system's reason.
    NotStarted(String),
    /// The leader exited with this code.
    Exited(i32),
    /// The leader was ended by this signal.
    Signalled(i32),
}
