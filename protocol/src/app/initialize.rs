//! The first request of a connection: who the client is, and what it can do.

use serde::{Deserialize, Serialize};

/// Params of `initialize`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeParams {
    /// Who the client is.
    pub client_info: ClientInfo,
    /// What it can do; without it, nothing special.
    #[serde(default)]
    pub capabilities: Option<Capabilities>,
}

/// Who a client is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ClientInfo {
    /// Its name, for programs.
    pub name: String,
    /// Its name, for people.
    #[serde(default)]
    pub title: Option<String>,
    /// Its version.
    pub version: String,
}

/// What a client can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Capabilities {
    /// It may use methods and fields that can change.
    pub experimental_api: bool,
    /// It answers `attestation/generate`.
    pub request_attestation: bool,
    /// It shows OpenAI's form of MCP elicitations.
    pub mcp_server_openai_form_elicitation: bool,
    /// Somebody sits there who has to approve.
    pub required_human_approval: bool,
    /// Methods of notifications that it does not want, exactly.
    pub opt_out_notification_methods: Option<Vec<String>>,
}

/// The answer to `initialize`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeResponse {
    /// `name/version …`: the Python SDK reads the version out of it.
    pub user_agent: String,
    /// The home, absolute.
    pub codex_home: String,
    /// `unix`.
    pub platform_family: String,
    /// `linux`, …
    pub platform_os: String,
}
