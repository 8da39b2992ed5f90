//! `thread/queue/*`: messages that wait until a thread is idle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::input::UserInput;
use super::turn::Turn;

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedSubmission {
    /// Its id.
    pub id: String,
    /// The client's own name for it.
    pub client_user_message_id: String,
    /// What it says.
    pub input: Vec<UserInput>,
    /// What is sent to the provider beside it.
    #[serde(default)]
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
}

/// Params of `thread/queue/add`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueAddParams {
    /// The thread.
    pub thread_id: String,
    /// The client's own name for the message.
    pub client_user_message_id: String,
    /// What it says.
    pub input: Vec<UserInput>,
    /// What is sent to the provider beside it.
    #[serde(default)]
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
}

/// The answer to `thread/queue/add` and `thread/queue/update`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueuedResponse {
    /// The message as it waits now.
    pub queued_submission: QueuedSubmission,
}

/// Params of `thread/queue/list`, and of `thread/backgroundTerminals/list`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadPageParams {
    /// The thread.
    pub thread_id: String,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<u32>,
}

/// The answer to `thread/queue/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueListResponse {
    /// The messages, the next one first.
    pub data: Vec<QueuedSubmission>,
    /// Where to go on; `null` at the end.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// Params of `thread/queue/update`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueUpdateParams {
    /// The thread.
    pub thread_id: String,
    /// The message.
    pub queued_submission_id: String,
    /// What it says instead.
    pub input: Vec<UserInput>,
    /// What is sent to the provider beside it.
    #[serde(default)]
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
}

/// Params of `thread/queue/delete`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueDeleteParams {
    /// The thread.
    pub thread_id: String,
    /// The message.
    pub queued_submission_id: String,
}

/// The answer to `thread/queue/delete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueDeleteResponse {
    /// It was there.
    pub deleted: bool,
}

/// Params of `thread/queue/reorder`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueReorderParams {
    /// The thread.
    pub thread_id: String,
    /// All its messages, in the new order.
    pub queued_submission_ids: Vec<String>,
}

/// Params of `thread/queue/start`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueStartParams {
    /// The thread.
    pub thread_id: String,
    /// The message that begins a turn; without it, the next one.
    #[serde(default)]
    pub queued_submission_id: Option<String>,
}

/// The answer to `thread/queue/start`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueueStartResponse {
    /// The turn that began.
    pub turn: Turn,
}
