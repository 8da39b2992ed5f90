//! `thread/backgroundTerminals/*` and `thread/shellCommand`: commands beside the turns of a thread.

use serde::{Deserialize, Serialize};

/// A command that goes on after its call has returned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackgroundTerminal {
    /// The item of the call that began it.
    pub item_id: String,
    /// Its session, as the model knows it.
    pub process_id: String,
    /// What was run.
    pub command: String,
    /// Where.
    pub cwd: String,
    /// Its process.
    #[serde(default)]
    pub os_pid: Option<u32>,
    /// How busy it is, in percent of one processor.
    #[serde(default)]
    pub cpu_percent: Option<f64>,
    /// How much memory it holds, in KiB.
    #[serde(default)]
    pub rss_kb: Option<u64>,
}

/// The answer to `thread/backgroundTerminals/list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackgroundTerminalsResponse {
    /// The terminals.
    pub data: Vec<BackgroundTerminal>,
    /// Where to go on; `null` at the end, and written: a client loops without it.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// Params of `thread/backgroundTerminals/terminate`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackgroundTerminalTerminateParams {
    /// The thread.
    pub thread_id: String,
    /// The session.
    pub process_id: String,
}

/// The answer to `thread/backgroundTerminals/terminate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackgroundTerminalTerminateResponse {
    /// It was there.
    pub terminated: bool,
}

/// Params of `thread/shellCommand`: a command of the user, run by the thread's shell with all rights of its user.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadShellCommandParams {
    /// The thread.
    pub thread_id: String,
    /// The command line, as a shell reads it.
    pub command: String,
    /// How long it may run, in milliseconds: an hour if absent, and no time for zero.
    #[serde(default)]
    pub timeout_ms: Option<i64>,
}
