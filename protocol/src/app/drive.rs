//! `turn/start`, `turn/steer`, `turn/interrupt`, `turn/settings/update`: what drives turns.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::SettingsUpdate;
use super::input::UserInput;
use super::settings::{MultiAgentMode, ReasoningSummary};
use super::start::TurnEnvironment;
use super::turn::Turn;
use super::wire::given;
use crate::approval::ApprovalsReviewer;

/// Params of `turn/start`. What it sets holds for the turns that follow, too.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnStartParams {
    /// The thread.
    pub thread_id: String,
    /// The client's own name for the message.
    #[serde(default)]
    pub client_user_message_id: Option<String>,
    /// What is said.
    pub input: Vec<UserInput>,
    /// What is sent to the provider beside it, instead of what was.
    #[serde(default)]
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
    /// What is sent to the provider beside what was.
    #[serde(default)]
    pub responsesapi_client_metadata_patch: Option<BTreeMap<String, String>>,
    /// What the client knows beside it, by its sources.
    #[serde(default)]
    pub additional_context: Option<BTreeMap<String, AdditionalContext>>,
    /// What is set.
    #[serde(flatten)]
    pub settings: SettingsUpdate,
    /// The roots of the workspace, absolute.
    #[serde(default)]
    pub runtime_workspace_roots: Option<Vec<String>>,
    /// When agents may be spawned.
    #[serde(default)]
    pub multi_agent_mode: Option<MultiAgentMode>,
    /// The service tier of this turn alone.
    #[serde(default)]
    pub service_tier_for_turn: Option<String>,
    /// The JSON schema of the final answer.
    #[serde(default)]
    pub output_schema: Option<Value>,
    /// The output of a tool that this turn begins with.
    #[serde(default)]
    pub tool_output: Option<Value>,
    /// What began it, for metrics.
    #[serde(default)]
    pub turn_trigger: Option<String>,
    /// The turn that caused it.
    #[serde(default)]
    pub parent_turn_id: Option<String>,
    /// The root turn that ultimately caused it.
    #[serde(default)]
    pub root_turn_id: Option<String>,
}

/// What a client knows beside what is said.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AdditionalContext {
    /// How far it is to be trusted.
    pub kind: AdditionalContextKind,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// What it is.
    pub value: String,
}

/// How far additional context is to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AdditionalContextKind {
    /// It may come from anywhere.
    Untrusted,
    /// It comes from the client itself.
    Application,
}

/// The answer to `turn/start`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnStartResponse {
    /// The turn: the new one, or the one that runs and takes the input.
    pub turn: Turn,
}

/// Params of `turn/steer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnSteerParams {
    /// The thread.
    pub thread_id: String,
    /// The client's own name for the message.
    #[serde(default)]
    pub client_user_message_id: Option<String>,
    /// What is said.
    pub input: Vec<UserInput>,
    /// What is sent to the provider beside it, instead of what was.
    #[serde(default)]
    pub responsesapi_client_metadata: Option<BTreeMap<String, String>>,
    /// What is sent to the provider beside what was.
    #[serde(default)]
    pub responsesapi_client_metadata_patch: Option<BTreeMap<String, String>>,
    /// What the client knows beside it, by its sources.
    #[serde(default)]
    pub additional_context: Option<BTreeMap<String, AdditionalContext>>,
    /// The turn that is meant.
    pub expected_turn_id: String,
}

/// The answer to `turn/steer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnSteerResponse {
    /// The turn that takes the input.
    pub turn_id: String,
}

/// Params of `turn/interrupt`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnInterruptParams {
    /// The thread.
    pub thread_id: String,
    /// The turn; empty while the thread starts, for whatever runs.
    pub turn_id: String,
}

/// Params of `turn/settings/update`: what changes in the turn that runs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnSettingsUpdateParams {
    /// The thread.
    pub thread_id: String,
    /// The turn.
    pub turn_id: String,
    /// The model.
    #[serde(default)]
    pub model: Option<String>,
    /// How much it thinks.
    #[serde(default)]
    pub effort: Option<String>,
    /// The form of a reasoning's summary.
    #[serde(default)]
    pub summary: Option<ReasoningSummary>,
    /// The service tier; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    pub service_tier: Option<Option<String>>,
    /// Who is asked.
    #[serde(default)]
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// Where it works.
    #[serde(default)]
    pub environments: Option<Vec<TurnEnvironment>>,
}

/// The answer to `turn/settings/update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnSettingsUpdateResponse {
    /// What became of it.
    pub status: TurnSettingsUpdateStatus,
}

/// What became of a change to a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TurnSettingsUpdateStatus {
    /// It holds.
    Applied,
    /// The turn is over.
    TargetUnavailable,
}
