//! `response_item`: the history that the model sees, item by item.
//!
//! For views and tests. What runs per item reads [`crate::item::ItemView`] instead, which copies nothing.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tagged;
use crate::ids::{CallId, ItemId};
use crate::item::Role;
use crate::path::AgentPath;

tagged! {
    /// An element of the history. Each payload writes its own `type`.
    ResponseItem {
        /// Words.
        Message(Message) = "message",
        /// Mail between agents.
        AgentMessage(AgentMessage) = "agent_message",
        /// Thoughts.
        Reasoning(Reasoning) = "reasoning",
        /// A call of the provider's own shell tool; a function call output answers it.
        LocalShellCall(LocalShellCall) = "local_shell_call",
        /// A tool call with JSON arguments.
        FunctionCall(FunctionCall) = "function_call",
        /// What came of one.
        FunctionCallOutput(FunctionCallOutput) = "function_call_output",
        /// A tool call with free text.
        CustomToolCall(CustomToolCall) = "custom_tool_call",
        /// What came of one.
        CustomToolCallOutput(CustomToolCallOutput) = "custom_tool_call_output",
        /// A search for tools.
        ToolSearchCall(ToolSearchCall) = "tool_search_call",
        /// What it found.
        ToolSearchOutput(ToolSearchOutput) = "tool_search_output",
        /// A search by the provider; kept as it came.
        WebSearchCall(Value) = "web_search_call",
        /// An image by the provider; kept as it came.
        ImageGenerationCall(Value) = "image_generation_call",
        /// A compaction by the provider.
        Compaction(Compaction) = "compaction",
        /// The same, by the name of its newer form.
        ContextCompaction(ContextCompaction) = "context_compaction",
        /// Tools that came later; kept as it came.
        AdditionalTools(Value) = "additional_tools",
    }
}

/// Words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "message")]
pub struct Message {
    /// Its id; items of old files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// Who speaks.
    pub role: Role,
    /// Texts and images.
    #[serde(default)]
    pub content: Vec<Value>,
    /// `commentary` or `final_answer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Codex's notes; not for other providers.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// Mail between agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "agent_message")]
pub struct AgentMessage {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// Who wrote it.
    pub author: AgentPath,
    /// Whom it is for.
    pub recipient: AgentPath,
    /// Header and payload.
    #[serde(default)]
    pub content: Vec<Value>,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// Thoughts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "reasoning")]
pub struct Reasoning {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// In short.
    #[serde(default)]
    pub summary: Vec<Value>,
    /// At length; `null` where the provider keeps them.
    #[serde(default)]
    pub content: Option<Vec<Value>>,
    /// For the provider alone.
    #[serde(default)]
    pub encrypted_content: Option<String>,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// A call of the provider's own shell tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "local_shell_call")]
pub struct LocalShellCall {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// The call.
    #[serde(default)]
    pub call_id: Option<CallId>,
    /// How far it is.
    #[serde(default)]
    pub status: Option<String>,
    /// What to run.
    #[serde(default)]
    pub action: Value,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// A tool call with JSON arguments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "function_call")]
pub struct FunctionCall {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// The tool.
    pub name: String,
    /// The tool's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A text that should hold JSON.
    #[serde(default)]
    pub arguments: String,
    /// The call.
    pub call_id: CallId,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// What came of a tool call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "function_call_output")]
pub struct FunctionCallOutput {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// The call; an output that delivers a goal's objective answers none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// What an output without a call is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A text, or a list of contents.
    #[serde(default)]
    pub output: Value,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// A tool call with free text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "custom_tool_call")]
pub struct CustomToolCall {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The call.
    pub call_id: CallId,
    /// The tool.
    pub name: String,
    /// The text.
    #[serde(default)]
    pub input: String,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// What came of a tool call with free text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "custom_tool_call_output")]
pub struct CustomToolCallOutput {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// The call.
    pub call_id: CallId,
    /// The tool, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A text, or a list of contents.
    #[serde(default)]
    pub output: Value,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// A search for tools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "tool_search_call")]
pub struct ToolSearchCall {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// The call; a search by the provider has none.
    #[serde(default)]
    pub call_id: Option<CallId>,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Who searches: `client` or `server`.
    #[serde(default)]
    pub execution: String,
    /// What for.
    #[serde(default)]
    pub arguments: Value,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// What a search for tools found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "tool_search_output")]
pub struct ToolSearchOutput {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// The call.
    #[serde(default)]
    pub call_id: Option<CallId>,
    /// How it ended.
    #[serde(default)]
    pub status: String,
    /// Who searched.
    #[serde(default)]
    pub execution: String,
    /// The tools.
    #[serde(default)]
    pub tools: Vec<Value>,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// A compaction by the provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "compaction")]
pub struct Compaction {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// For the provider alone.
    #[serde(default)]
    pub encrypted_content: String,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}

/// A compaction by the provider, by the name of its newer form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "context_compaction")]
pub struct ContextCompaction {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ItemId>,
    /// For the provider alone; absent where the compaction was ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_content: Option<String>,
    /// Codex's notes.
    #[serde(default, alias = "metadata", skip_serializing_if = "Option::is_none")]
    pub internal_chat_message_metadata_passthrough: Option<Value>,
}
