//! What changes a thread between turns: name, archive, settings, metadata, items, elicitation counters.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::settings::{AskForApproval, CollaborationMode, MultiAgentMode, Personality, ReasoningSummary};
use super::start::TurnEnvironment;
use super::thread::Thread;
use super::wire::given;
use crate::approval::{ApprovalsReviewer, WireSandbox};

/// The answer `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// Params that only name a thread: `thread/archive`, `unarchive`, `delete`, `unsubscribe`, `compact/start`,
/// `increment_elicitation`, `decrement_elicitation`, `backgroundTerminals/clean`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadParams {
    /// The thread.
    pub thread_id: String,
}

/// The answer to `thread/unarchive` and `thread/metadata/update`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadResponse {
    /// The thread.
    pub thread: Thread,
}

/// Params of `thread/name/set`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSetNameParams {
    /// The thread.
    pub thread_id: String,
    /// Its new name.
    pub name: String,
}

/// The answer to `thread/unsubscribe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadUnsubscribeResponse {
    /// How it was.
    pub status: UnsubscribeStatus,
}

/// How a subscription was when it was to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UnsubscribeStatus {
    /// The thread is not loaded.
    NotLoaded,
    /// There was none.
    NotSubscribed,
    /// It has ended.
    Unsubscribed,
}

/// The answer to `thread/increment_elicitation` and `thread/decrement_elicitation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElicitationResponse {
    /// How many questions are open outside.
    pub count: i64,
    /// The timers of commands stand still.
    pub paused: bool,
}

/// Params of `thread/settings/update`. What is absent stays as it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSettingsUpdateParams {
    /// The thread.
    pub thread_id: String,
    /// What is set.
    #[serde(flatten)]
    pub settings: SettingsUpdate,
    /// When agents may be spawned.
    #[serde(default)]
    pub multi_agent_mode: Option<MultiAgentMode>,
}

/// What `thread/settings/update` and `turn/start` can set for the turns that follow.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SettingsUpdate {
    /// The working directory.
    pub cwd: Option<String>,
    /// Where it works.
    pub environments: Option<Vec<TurnEnvironment>>,
    /// Plugins that are off.
    pub disabled_plugin_ids: Option<Vec<String>>,
    /// When a person is asked.
    pub approval_policy: Option<AskForApproval>,
    /// Who is asked.
    pub approvals_reviewer: Option<ApprovalsReviewer>,
    /// What commands may touch.
    pub sandbox_policy: Option<WireSandbox>,
    /// A permission profile, by name; not together with `sandbox_policy`.
    pub permissions: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The service tier; `null` takes it away.
    #[serde(deserialize_with = "given")]
    pub service_tier: Option<Option<String>>,
    /// How much the model thinks.
    pub effort: Option<String>,
    /// The form of a reasoning's summary.
    pub summary: Option<ReasoningSummary>,
    /// How person and model work together; its model and effort go before those above.
    pub collaboration_mode: Option<CollaborationMode>,
    /// The voice of the model.
    pub personality: Option<Personality>,
}

/// Params of `thread/metadata/update`: at least one field has to be given.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadMetadataUpdateParams {
    /// The thread.
    pub thread_id: String,
    /// The repository.
    #[serde(default)]
    pub git_info: Option<GitInfoUpdate>,
    /// The project.
    #[serde(default)]
    pub project_id: Option<String>,
    /// A switch that Sapwood does not have.
    #[serde(default)]
    pub daybreak_enabled: Option<bool>,
}

impl ThreadMetadataUpdateParams {
    /// Says with the words of the real server if there is nothing to do.
    pub fn check(&self) -> Result<(), &'static str> {
        let has_git = match &self.git_info {
            Some(git) if *git == GitInfoUpdate::default() => return Err("gitInfo must include at least one field"),
            git => git.is_some(),
        };
        if has_git || self.project_id.is_some() || self.daybreak_enabled.is_some() {
            Ok(())
        } else {
            Err("thread metadata update must include at least one field")
        }
    }
}

/// What is set of a thread's repository; `null` takes a value away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GitInfoUpdate {
    /// The commit.
    #[serde(deserialize_with = "given")]
    pub sha: Option<Option<String>>,
    /// The branch.
    #[serde(deserialize_with = "given")]
    pub branch: Option<Option<String>>,
    /// Where it was cloned from.
    #[serde(deserialize_with = "given")]
    pub origin_url: Option<Option<String>>,
}

/// Params of `thread/inject_items`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadInjectItemsParams {
    /// The thread.
    pub thread_id: String,
    /// Response items that go into the history as they are; at least one.
    pub items: Vec<Value>,
}
