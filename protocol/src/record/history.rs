//! The lines around the model's history: settings of a turn, checkpoints, environment, cost.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{SessionId, ThreadId, TurnId};
use crate::usage::Usage;

/// `turn_context`: the settings of a turn, written once a turn and again after a compaction inside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TurnContext {
    /// The turn; absent in old files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn_id: Option<TurnId>,
    /// The root turn that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_turn_id: Option<TurnId>,
    /// Plugins that are switched off.
    #[serde(default)]
    pub disabled_plugin_ids: Vec<String>,
    /// The working directory.
    #[serde(default)]
    pub cwd: String,
    /// The roots of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_roots: Option<Vec<String>>,
    /// The date that the model was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_date: Option<String>,
    /// The time zone that the model was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// When a person is asked: a word, or an object in newer files.
    #[serde(default)]
    pub approval_policy: Value,
    /// Who answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals_reviewer: Option<String>,
    /// What the turn may do: tagged by `type`, without a tag in old files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_profile: Option<Value>,
    /// What it may reach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Value>,
    /// The model.
    #[serde(default)]
    pub model: String,
    /// Decides whether compacted content can be used again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_hash: Option<String>,
    /// The tone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<Value>,
    /// `{mode, settings}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collaboration_mode: Option<Value>,
    /// `v1` or `v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_agent_version: Option<String>,
    /// A live conversation is running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realtime_active: Option<bool>,
    /// How much the model is to think.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effort: Option<String>,
    /// Means nothing any more; older readers cannot do without it. We write `auto`.
    #[serde(default = "auto")]
    pub summary: Value,
    /// The permission profile as older readers know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_policy: Option<Value>,
}

fn auto() -> Value {
    Value::from("auto")
}

/// `compacted`: the history up to here, in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Compacted {
    /// The summary.
    #[serde(default)]
    pub message: String,
    /// The response items that replace the history; absent in very old files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement_history: Option<Vec<Value>>,
    /// Notes beside those items, one each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement_history_metadata: Option<Vec<Value>>,
    /// What was kept word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retained_context: Option<Value>,
    /// Counts compactions from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_number: Option<u64>,
    /// The first context window of the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_window_id: Option<String>,
    /// The window that this line ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_window_id: Option<String>,
    /// The window that this line opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_id: Option<String>,
    /// The response that gave the summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compaction_response_id: Option<String>,
    /// The last cost before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_token_usage_record: Option<TokenUsageRecord>,
    /// What a reader needs that starts here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume_metadata: Option<Value>,
}

/// `world_state`: what the model was told of its environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorldState {
    /// All sections, and not only those that changed.
    #[serde(default)]
    pub full: bool,
    /// Section to value; long values are digests.
    #[serde(default)]
    pub state: Map<String, Value>,
}

/// `token_usage_record`: what one response cost, written as soon as it completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsageRecord {
    /// The thread.
    pub thread_id: ThreadId,
    /// The turn.
    pub turn_id: TurnId,
    /// The tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The root turn that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_turn_id: Option<TurnId>,
    /// The provider's id of the response; absent where it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_id: Option<String>,
    /// The response.
    pub usage: Usage,
    /// The turn so far.
    #[serde(default)]
    pub turn_token_usage: Usage,
    /// The thread so far.
    #[serde(default)]
    pub thread_token_usage: Usage,
}
