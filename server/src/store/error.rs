//! Why a thread could not be listed, read or changed, in the words that clients know.

use sapwood_protocol::ThreadId;
use sapwood_rollout::{AppendError, Holder, OpenError};

use crate::rpc::RpcError;

/// An error of the store.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// No such thread, to one who reads.
    #[error("thread not loaded: {0}")]
    NotLoaded(ThreadId),
    /// No such thread, to one who changes.
    #[error("no rollout found for thread id {0}")]
    NotFound(ThreadId),
    /// A process writes it.
    #[error("thread {thread} already has an active writer{}", who(.holder.as_ref()))]
    Held {
        /// The thread.
        thread: ThreadId,
        /// The process, as far as can be told.
        holder: Option<Holder>,
    },
    /// Nobody here knows how its rollout is to be written.
    #[error("thread {thread} has the history mode `{mode}`, which this version cannot write; it was left untouched")]
    HistoryMode {
        /// The thread.
        thread: ThreadId,
        /// The mode.
        mode: String,
    },
    /// Other rollouts go on from it.
    #[error("cannot delete thread {0}: forked history still references it")]
    Referenced(ThreadId),
    /// A cursor that was not made here, or for something else.
    #[error("invalid cursor: {0}")]
    Cursor(String),
    /// The request contradicts itself, or what can be done.
    #[error("{0}")]
    Invalid(String),
    /// The rollout cannot be used, or the storage failed.
    #[error(transparent)]
    Rollout(OpenError),
    /// The storage failed.
    #[error(transparent)]
    Append(#[from] AppendError),
}

fn who(holder: Option<&Holder>) -> String {
    let Some(holder) = holder else { return String::new() };
    let program = holder.program.as_ref().map(|program| format!(", {program}")).unwrap_or_default();
    format!(" (pid {}{program}); stop it, or wait until it ends", holder.pid)
}

impl From<OpenError> for StoreError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NotFound { thread, .. } => StoreError::NotFound(thread),
            OpenError::Held { thread, holder } => StoreError::Held { thread, holder },
            OpenError::HistoryMode { thread, mode } => StoreError::HistoryMode { thread, mode },
            error => StoreError::Rollout(error),
        }
    }
}

impl From<StoreError> for RpcError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Rollout(_) | StoreError::Append(_) => RpcError::internal(error.to_string()),
            error => RpcError::invalid(error.to_string()),
        }
    }
}
