//! The events that only legacy files keep; paginated ones have `item_completed` instead.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::{CallId, TurnId};

/// What a user said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "user_message")]
pub struct UserMessage {
    /// The id that its client gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The text.
    pub message: String,
    /// Addresses of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<Value>>,
    /// Paths of images.
    #[serde(default)]
    pub local_images: Vec<Value>,
    /// Addresses of recordings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Vec<Value>>,
    /// Paths of recordings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_audio: Option<Vec<Value>>,
    /// Places in the text that mean more than text.
    #[serde(default)]
    pub text_elements: Vec<Value>,
}

/// What the model said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "agent_message")]
pub struct AgentMessageEvent {
    /// The text.
    pub message: String,
    /// `commentary` or `final_answer`.
    #[serde(default)]
    pub phase: Option<String>,
    /// What it remembered.
    #[serde(default)]
    pub memory_citation: Option<Value>,
}

/// What the model thought, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "agent_reasoning")]
pub struct AgentReasoning {
    /// The text.
    pub text: String,
}

/// What the model thought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "agent_reasoning_raw_content")]
pub struct AgentReasoningRawContent {
    /// The text.
    pub text: String,
}

/// A patch was applied, or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "patch_apply_end")]
pub struct PatchApplyEnd {
    /// The call.
    pub call_id: CallId,
    /// The turn.
    #[serde(default)]
    pub turn_id: Option<TurnId>,
    /// What it printed.
    #[serde(default)]
    pub stdout: String,
    /// What it complained about.
    #[serde(default)]
    pub stderr: String,
    /// It was applied.
    pub success: bool,
    /// Path to change.
    #[serde(default)]
    pub changes: Value,
    /// How it ended.
    #[serde(default)]
    pub status: Option<String>,
}

/// The history was compacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "context_compacted")]
pub struct ContextCompacted {}
