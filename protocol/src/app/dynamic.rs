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
