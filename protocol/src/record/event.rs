//! `event_msg`: the life of turns, and what clients show.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::legacy::{
    AgentMessageEvent, AgentReasoning, AgentReasoningRawContent, ContextCompacted, PatchApplyEnd, UserMessage,
};
use super::tagged;
use crate::ids::{ThreadId, TurnId};
use crate::path::AgentPath;
use crate::usage::Usage;

tagged! {
    /// An event that Codex keeps. Each payload writes its own `type`, so that it can be written alone.
    EventMsg {
        /// A turn was opened.
        TaskStarted(TaskStarted) = "task_started" | "turn_started",
        /// A turn came to its end, well or not.
        TaskComplete(TaskComplete) = "task_complete" | "turn_complete",
        /// A turn was ended from outside.
        TurnAborted(TurnAborted) = "turn_aborted",
        /// What the thread has cost so far.
        TokenCount(TokenCount) = "token_count",
        /// An item is complete. In paginated files this is all that clients get.
        ItemCompleted(ItemCompleted) = "item_completed",
        /// The goal of the thread changed.
        ThreadGoalUpdated(ThreadGoalUpdated) = "thread_goal_updated",
        /// Settings that stay with the thread.
        ThreadSettingsApplied(Box<ThreadSettingsApplied>) = "thread_settings_applied",
        /// The last turns were taken back.
        ThreadRolledBack(ThreadRolledBack) = "thread_rolled_back",
        /// A review began; kept as it came, because only its name is known.
        EnteredReviewMode(Value) = "entered_review_mode",
        /// A review ended; kept as it came.
        ExitedReviewMode(Value) = "exited_review_mode",
        /// What a user said (legacy files).
        UserMessage(UserMessage) = "user_message",
        /// What the model said (legacy files).
        AgentMessage(AgentMessageEvent) = "agent_message",
        /// What it thought, in short (legacy files).
        AgentReasoning(AgentReasoning) = "agent_reasoning",
        /// What it thought (legacy files).
        AgentReasoningRawContent(AgentReasoningRawContent) = "agent_reasoning_raw_content",
        /// A patch was applied, or not (legacy files).
        PatchApplyEnd(PatchApplyEnd) = "patch_apply_end",
        /// An MCP call ended (legacy files); kept as it came.
        McpToolCallEnd(Value) = "mcp_tool_call_end",
        /// A web search ended (legacy files); kept as it came.
        WebSearchEnd(Value) = "web_search_end",
        /// An image was made (legacy files); kept as it came.
        ImageGenerationEnd(Value) = "image_generation_end",
        /// The history was compacted (legacy files).
        ContextCompacted(ContextCompacted) = "context_compacted",
        /// A child did something (legacy files); kept as it came.
        SubAgentActivity(Value) = "sub_agent_activity",
    }
}

/// A turn was opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "task_started")]
pub struct TaskStarted {
    /// Who or what caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_attribution: Option<TurnAttribution>,
    /// The turn.
    pub turn_id: TurnId,
    /// The root turn that ultimately caused it; its own id for a root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_turn_id: Option<TurnId>,
    /// When, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// Tokens that fit into the model's window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_context_window: Option<u64>,
    /// `default` or `plan`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collaboration_mode_kind: Option<String>,
}

/// Who or what caused a turn. Codex writes what it does not know as `null`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnAttribution {
    /// The turn.
    pub turn_id: TurnId,
    /// `goal`, `exec`; nothing for a user's.
    #[serde(default)]
    pub turn_trigger: Option<String>,
    /// The turn of another agent that asked for it.
    #[serde(default)]
    pub parent_turn_id: Option<TurnId>,
    /// That agent.
    #[serde(default)]
    pub initiating_agent_path: Option<AgentPath>,
    /// The root turn that ultimately caused it.
    #[serde(default)]
    pub root_turn_id: Option<TurnId>,
}

/// A turn came to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "task_complete")]
pub struct TaskComplete {
    /// The root turn that ultimately caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_turn_id: Option<TurnId>,
    /// The turn.
    pub turn_id: TurnId,
    /// The last thing that the model said, if anything.
    #[serde(default)]
    pub last_agent_message: Option<String>,
    /// Why it failed, if it did: the only trace of a failed turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TurnError>,
    /// When it was opened, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When it ended, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How long until the model began to answer, in milliseconds; absent where it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_to_first_token_ms: Option<u64>,
}

/// Why a turn failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnError {
    /// For a person.
    #[serde(default)]
    pub message: String,
    /// For a program: a word (`usage_limit_exceeded`, `session_budget_exceeded` ...), or an object around one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codex_error_info: Option<Value>,
}

/// A turn was ended from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "turn_aborted")]
pub struct TurnAborted {
    /// The root turn that ultimately caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_turn_id: Option<TurnId>,
    /// The turn; `null` in old files, where it is the open one.
    #[serde(default)]
    pub turn_id: Option<TurnId>,
    /// Why.
    pub reason: AbortReason,
    /// When it was opened, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<u64>,
    /// When it ended, in seconds since 1970; absent in a fork that ended the turn of its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Why a turn was ended from outside: the four words that Codex knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AbortReason {
    /// Somebody interrupted it.
    Interrupted,
    /// Another turn took its place.
    Replaced,
    /// The review that it belonged to ended.
    ReviewEnded,
    /// Its budget was used up.
    BudgetLimited,
    /// A word of a later version. It cannot be written: a word that Codex does not know makes the line vanish.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// What the thread has cost so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "token_count")]
pub struct TokenCount {
    /// Tokens; `null` before the first response.
    #[serde(default)]
    pub info: Option<TokenInfo>,
    /// The provider's limits as it last told them.
    #[serde(default)]
    pub rate_limits: Option<Value>,
}

/// Tokens of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenInfo {
    /// All responses together.
    pub total_token_usage: Usage,
    /// The last response.
    pub last_token_usage: Usage,
    /// The last response's reasoning is still in the context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_usage_includes_reasoning: Option<bool>,
    /// Tokens that fit into the model's window.
    #[serde(default)]
    pub model_context_window: Option<u64>,
}

/// An item is complete. `I` is what the item is: anything that serialises to an object with a `type` in PascalCase.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "item_completed")]
pub struct ItemCompleted<I = Value> {
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn.
    pub turn_id: TurnId,
    /// The whole item as it is at its end.
    pub item: I,
    /// When it started, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// When it ended, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at_ms: Option<u64>,
}

/// The goal of the thread changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "thread_goal_updated", rename_all = "camelCase")]
pub struct ThreadGoalUpdated {
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn that changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    /// The goal as it is now.
    pub goal: Goal,
}

/// A goal, in the form that clients get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Goal {
    /// The thread.
    pub thread_id: ThreadId,
    /// What is to be reached.
    pub objective: String,
    /// `active`, `paused`, `blocked`, `usageLimited`, `budgetLimited` or `complete`.
    pub status: String,
    /// Tokens that it may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_budget: Option<u64>,
    /// Tokens that it has cost.
    #[serde(default)]
    pub tokens_used: u64,
    /// Seconds that were spent on it.
    #[serde(default)]
    pub time_used_seconds: u64,
    /// When it was set, in seconds since 1970.
    #[serde(default)]
    pub created_at: u64,
    /// When it last changed, in seconds since 1970.
    #[serde(default)]
    pub updated_at: u64,
}

/// Settings that stay with the thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "thread_settings_applied")]
pub struct ThreadSettingsApplied {
    /// The thread.
    pub thread_id: ThreadId,
    /// All of them.
    pub thread_settings: ThreadSettings,
}

/// The settings of a thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreadSettings {
    /// The model.
    #[serde(default)]
    pub model: String,
    /// Its provider.
    #[serde(default)]
    pub model_provider_id: String,
    /// How fast, and for how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<Value>,
    /// When a person is asked.
    #[serde(default)]
    pub approval_policy: Value,
    /// Who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals_reviewer: Option<String>,
    /// Who was asked to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_approvals_reviewer: Option<String>,
    /// What a turn may do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_profile: Option<Value>,
    /// The working directory.
    #[serde(default)]
    pub cwd: String,
    /// The roots of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_workspace_roots: Option<Vec<String>>,
    /// How much the model is to think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_effort: Option<String>,
    /// How it is to tell what it thought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_summary: Option<String>,
    /// The tone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<Value>,
    /// `{mode, settings}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collaboration_mode: Option<Value>,
    /// Plugins that are switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_plugin_ids: Option<Vec<String>>,
}

/// The last turns were taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "thread_rolled_back")]
pub struct ThreadRolledBack {
    /// How many.
    pub num_turns: u64,
}
