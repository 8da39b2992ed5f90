//! Tools that a client brings and runs itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A tool, or several under one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum DynamicTool {
    /// A tool.
    Function(DynamicFunction),
    /// Tools under one name.
    Namespace {
        /// The name.
        name: String,
        /// What they are for.
        description: String,
        /// The tools.
        tools: Vec<NamespaceTool>,
    },
}

/// A tool inside a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum NamespaceTool {
    /// A tool.
    Function(DynamicFunction),
}

/// What a model is told of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicFunction {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// The JSON schema of its arguments.
    pub input_schema: Value,
    /// It is told to the model only when it looks for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub defer_loading: bool,
}

/// Params of the server request `item/tool/call`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicToolCallParams {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The call.
    pub call_id: String,
    /// The namespace of the tool.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The tool.
    pub tool: String,
    /// What the model passes.
    pub arguments: Value,
}

/// A client's answer to `item/tool/call`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicToolCallResponse {
    /// What the model reads.
    pub content_items: Vec<ToolContent>,
    /// The tool did what it was asked.
    pub success: bool,
}

/// A part of what a model reads as the output of a tool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ToolContent {
    /// Text.
    InputText {
        /// The text.
        text: String,
    },
    /// An image.
    InputImage {
        /// Its URL.
        image_url: String,
    },
    /// Sound.
    InputAudio {
        /// Its URL.
        audio_url: String,
    },
}
