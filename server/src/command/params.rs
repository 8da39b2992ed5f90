//! What goes over the wire for commands of a client.

use std::collections::BTreeMap;

use sapwood_protocol::approval::WireSandbox;
use serde::{Deserialize, Serialize};

/// Parameters of `command/exec`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CommandExecParams {
    /// Program and arguments.
    pub command: Vec<String>,
    /// By what output and later requests name it.
    pub process_id: Option<String>,
    /// A terminal; implies both kinds of streaming.
    pub tty: bool,
    /// It can be written to.
    pub stream_stdin: bool,
    /// Its output comes as it is written, and not with the answer.
    pub stream_stdout_stderr: bool,
    /// So many bytes of each output, from the start.
    pub output_bytes_cap: Option<u64>,
    /// All of its output.
    pub disable_output_cap: bool,
    /// No time limit.
    pub disable_timeout: bool,
    /// Its time limit.
    pub timeout_ms: Option<i64>,
    /// Where to run; below the thread-less default if relative.
    pub cwd: Option<String>,
    /// Variables to set, or with `null` to take away.
    pub env: Option<BTreeMap<String, Option<String>>>,
    /// The terminal's size.
    pub size: Option<TerminalSize>,
    /// What it may touch.
    pub sandbox_policy: Option<WireSandbox>,
    /// The same, by a profile's name.
    pub permission_profile: Option<String>,
}

/// A terminal's size in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Its height.
    pub rows: u16,
    /// Its width.
    pub cols: u16,
}

/// The answer to `command/exec`, when the command is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandExecResponse {
    /// Its exit code; 124 if its time was up, 128 and the signal's number if one ended it.
    pub exit_code: i32,
    /// Its output, unless that was streamed.
    pub stdout: String,
    /// Its other output, unless that was streamed.
    pub stderr: String,
}

/// Parameters of `command/exec/write`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandExecWriteParams {
    /// Which command.
    pub process_id: String,
    /// What to write.
    #[serde(default)]
    pub delta_base64: Option<String>,
    /// Whether that was all.
    #[serde(default)]
    pub close_stdin: bool,
}

/// Parameters of `command/exec/resize`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandExecResizeParams {
    /// Which command.
    pub process_id: String,
    /// Its terminal's new size.
    pub size: TerminalSize,
}

/// Parameters of `command/exec/terminate`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandExecTerminateParams {
    /// Which command.
    pub process_id: String,
}

/// The answer to the three of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Done {}

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum OutputStream {
    /// stdout; everything a terminal shows.
    Stdout,
    /// stderr.
    Stderr,
}

/// `command/exec/outputDelta`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandExecOutputDelta {
    /// Which command.
    pub process_id: String,
    /// Which output.
    pub stream: OutputStream,
    /// What it wrote.
    pub delta_base64: String,
    /// Nothing more of this output comes: its cap is reached.
    pub cap_reached: bool,
}

impl CommandExecOutputDelta {
    /// The notification's method.
    pub const METHOD: &'static str = "command/exec/outputDelta";
}
