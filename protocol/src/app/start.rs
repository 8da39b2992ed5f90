//! `thread/start`, `thread/resume`, `thread/fork`: threads that are made or loaded.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::dynamic::DynamicTool;
use super::list::{SortDirection, TurnsPage};
use super::settings::{
    ActivePermissionProfile, AskForApproval, CollaborationMode, MultiAgentMode, Personality, SandboxMode,
};
use super::thread::{HistoryMode, Thread};
use super::turn::TurnItemsView;
use super::wire::given;
use crate::approval::{ApprovalPolicy, ApprovalsReviewer, WireSandbox};

/// What the three have in common: what holds in the thread instead of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ThreadOverrides {
    /// The model.
    pub model: Option<String>,
    /// Its provider.
    pub model_provider: Option<String>,
    /// The service tier; `null` takes the configured one away.
    #[serde(deserialize_with = "given")]
    pub service_tier: Option<Option<String>>,
    /// The working directory.
    pub cwd: Option<String>,
    /// The roots of the workspace, absolute.
    pub runtime_workspace_roots: Option<Vec<String>>,
    /// When a person is asked.
    pub approval_policy: Option<AskForApproval>,
    /// Who is asked.
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// What commands may touch.
    pub sandbox: Option<SandboxMode>,
    /// A permission profile, by name; not together with `sandbox`.
    pub permissions: Option<String>,
    /// Keys of the configuration, dotted, with their values.
    pub config: Option<Map<String, Value>>,
    /// What the model is told first.
    pub base_instructions: Option<String>,
    /// What the developer tells the model.
    pub developer_instructions: Option<String>,
    /// The voice of the model; not known to `thread/fork`.
    pub personality: Option<Personality>,
}

/// Params of `thread/start`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ThreadStartParams {
    /// What holds instead of the configuration.
    #[serde(flatten)]
    pub overrides: ThreadOverrides,
    /// Another model may be taken if the provider does not have this one.
    pub allow_provider_model_fallback: bool,
    /// When agents may be spawned.
    pub multi_agent_mode: Option<MultiAgentMode>,
    /// Keep no rollout.
    pub ephemeral: Option<bool>,
    /// How the rollout keeps history.
    pub history_mode: Option<HistoryMode>,
    /// The name of the service that asks, for metrics.
    pub service_name: Option<String>,
    /// The project it belongs to.
    pub project_id: Option<String>,
    /// Why a new thread begins.
    pub session_start_source: Option<ThreadStartSource>,
    /// `user`, or the name of a feature.
    pub thread_source: Option<String>,
    /// Where it works.
    pub environments: Option<Vec<TurnEnvironment>>,
    /// Tools that the client runs.
    pub dynamic_tools: Option<Vec<DynamicTool>>,
}

/// Why a new thread begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ThreadStartSource {
    /// The client starts.
    Startup,
    /// The user cleared the conversation.
    Clear,
}

/// Where a thread or a turn is to work.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnEnvironment {
    /// `local`.
    pub environment_id: String,
    /// The working directory in it.
    pub cwd: String,
    /// The roots of the workspace in it.
    #[serde(default)]
    pub runtime_workspace_roots: Option<Vec<String>>,
}

/// Params of `thread/resume`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadResumeParams {
    /// The thread.
    pub thread_id: String,
    /// A history to begin from instead of the thread's.
    #[serde(default)]
    pub history: Option<Vec<Value>>,
    /// Its rollout, if it is not where rollouts are.
    #[serde(default)]
    pub path: Option<String>,
    /// What holds from now on.
    #[serde(flatten)]
    pub overrides: ThreadOverrides,
    /// Leave the turns out of the answer.
    #[serde(default)]
    pub exclude_turns: bool,
    /// Put a page of turns beside the thread.
    #[serde(default)]
    pub initial_turns_page: Option<InitialTurnsPage>,
}

/// The page of turns that comes with a resumed thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InitialTurnsPage {
    /// At most so many.
    pub limit: Option<u32>,
    /// Newest first, or oldest.
    pub sort_direction: Option<SortDirection>,
    /// With how many of their items.
    pub items_view: Option<TurnItemsView>,
}

/// Params of `thread/fork`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadForkParams {
    /// The source.
    pub thread_id: String,
    /// The last turn that is taken over. Older clients call it `turnId`.
    #[serde(default, alias = "turnId")]
    pub last_turn_id: Option<String>,
    /// The first turn that is not taken over.
    #[serde(default)]
    pub before_turn_id: Option<String>,
    /// The source's rollout, if it is not where rollouts are.
    #[serde(default)]
    pub path: Option<String>,
    /// What holds in the copy.
    #[serde(flatten)]
    pub overrides: ThreadOverrides,
    /// Keep no rollout of the copy.
    #[serde(default)]
    pub ephemeral: bool,
    /// Show the copy beside its source.
    #[serde(default)]
    pub attach_to_source: bool,
    /// Do not go on with a goal of the source by itself.
    #[serde(default)]
    pub defer_goal_continuation: bool,
    /// `user`, or the name of a feature.
    #[serde(default)]
    pub thread_source: Option<String>,
    /// Leave the turns out of the answer.
    #[serde(default)]
    pub exclude_turns: bool,
}

/// The answer to `thread/start` and `thread/fork`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadStartResponse {
    /// The thread.
    pub thread: Thread,
    /// Its model.
    pub model: String,
    /// The provider.
    pub model_provider: String,
    /// The service tier.
    #[serde(default)]
    pub service_tier: Option<String>,
    /// Plugins that are off.
    #[serde(default)]
    pub disabled_plugin_ids: Vec<String>,
    /// The working directory, absolute.
    pub cwd: String,
    /// The roots of the workspace.
    #[serde(default)]
    pub runtime_workspace_roots: Vec<String>,
    /// The files that instructions were taken from.
    #[serde(default)]
    pub instruction_sources: Vec<String>,
    /// When a person is asked.
    pub approval_policy: ApprovalPolicy,
    /// Who is asked.
    pub approvals_reviewer: ApprovalsReviewer,
    /// What commands may touch.
    pub sandbox: WireSandbox,
    /// The profile that this came from.
    #[serde(default)]
    pub active_permission_profile: Option<ActivePermissionProfile>,
    /// How much the model thinks.
    #[serde(default)]
    pub reasoning_effort: Option<String>,
    /// When agents may be spawned.
    #[serde(default)]
    pub multi_agent_mode: MultiAgentMode,
}

/// The answer to `thread/resume`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadResumeResponse {
    /// The thread.
    pub thread: Thread,
    /// Its model.
    pub model: String,
    /// The provider.
    pub model_provider: String,
    /// The service tier.
    #[serde(default)]
    pub service_tier: Option<String>,
    /// Plugins that are off.
    #[serde(default)]
    pub disabled_plugin_ids: Vec<String>,
    /// The working directory, absolute.
    pub cwd: String,
    /// The roots of the workspace.
    #[serde(default)]
    pub runtime_workspace_roots: Vec<String>,
    /// The files that instructions were taken from.
    #[serde(default)]
    pub instruction_sources: Vec<String>,
    /// When a person is asked.
    pub approval_policy: ApprovalPolicy,
    /// Who is asked.
    pub approvals_reviewer: ApprovalsReviewer,
    /// What commands may touch.
    pub sandbox: WireSandbox,
    /// The profile that this came from.
    #[serde(default)]
    pub active_permission_profile: Option<ActivePermissionProfile>,
    /// How much the model thinks.
    #[serde(default)]
    pub reasoning_effort: Option<String>,
    /// How person and model work together.
    #[serde(default)]
    pub collaboration_mode: Option<CollaborationMode>,
    /// When agents may be spawned.
    #[serde(default)]
    pub multi_agent_mode: MultiAgentMode,
    /// The page of turns that was asked for.
    #[serde(default)]
    pub initial_turns_page: Option<TurnsPage>,
    /// Where to go on reading turns backwards from here; a client that gets one does page.
    #[serde(default)]
    pub turns_backwards_cursor: Option<String>,
    /// The same for items.
    #[serde(default)]
    pub items_backwards_cursor: Option<String>,
}
