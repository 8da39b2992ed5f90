//! The settings of threads and turns, as clients write and read them.

use serde::{Deserialize, Serialize};

use super::thread::Environment;
use crate::approval::{ApprovalPolicy, ApprovalsReviewer, Granular, WireSandbox};
use crate::ids::ThreadId;

/// When a person is asked, as clients may choose it: without what is only read from old files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AskForApproval {
    /// For each command that is not known to only read.
    Untrusted,
    /// When the model asks to leave the sandbox.
    OnRequest,
    /// Kind by kind.
    Granular(Granular),
    /// Never.
    Never,
}

impl From<AskForApproval> for ApprovalPolicy {
    fn from(policy: AskForApproval) -> Self {
        match policy {
            AskForApproval::Untrusted => Self::Untrusted,
            AskForApproval::OnRequest => Self::OnRequest,
            AskForApproval::Granular(granular) => Self::Granular(granular),
            AskForApproval::Never => Self::Never,
        }
    }
}

/// A sandbox by name, as `thread/start` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxMode {
    /// Write nothing.
    ReadOnly,
    /// Write in the workspace.
    WorkspaceWrite,
    /// Write anywhere.
    DangerFullAccess,
}

/// The voice of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Personality {
    /// Its own.
    None,
    /// Friendly.
    Friendly,
    /// Pragmatic.
    Pragmatic,
}

/// The form of a reasoning's summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ReasoningSummary {
    /// As the model sees fit.
    Auto,
    /// Short.
    Concise,
    /// Long.
    Detailed,
    /// None at all.
    None,
}

/// When agents may be spawned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MultiAgentMode {
    /// Old name, no longer in the schema, still read.
    None,
    /// As a text says.
    Custom(String),
    /// When the user asks for it.
    #[default]
    ExplicitRequestOnly,
    /// When it helps.
    Proactive,
}

/// How person and model work together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollaborationMode {
    /// Which mode.
    pub mode: ModeKind,
    /// What holds in it. These fields have underscores on the wire.
    pub settings: ModeSettings,
}

/// The modes of collaboration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ModeKind {
    /// Plan first, change nothing.
    Plan,
    /// Work. The other names are those of older clients.
    #[serde(alias = "code", alias = "pair_programming", alias = "execute", alias = "custom")]
    Default,
}

/// What holds in a mode of collaboration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeSettings {
    /// The model.
    pub model: String,
    /// How much it thinks.
    #[serde(default)]
    pub reasoning_effort: Option<String>,
    /// What it is told.
    #[serde(default)]
    pub developer_instructions: Option<String>,
}

/// A permission profile by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivePermissionProfile {
    /// Its name; those that start with a colon are built in.
    pub id: String,
    /// The one it builds on.
    #[serde(default)]
    pub extends: Option<String>,
}

/// The settings of a thread: what `thread/settings/updated` shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSettings {
    /// Plugins that are off.
    #[serde(default)]
    pub disabled_plugin_ids: Vec<String>,
    /// The working directory.
    pub cwd: String,
    /// Where it works.
    #[serde(default)]
    pub environments: Option<Vec<Environment>>,
    /// When a person is asked.
    pub approval_policy: ApprovalPolicy,
    /// Who is asked.
    pub approvals_reviewer: ApprovalsReviewer,
    /// What commands may touch.
    pub sandbox_policy: WireSandbox,
    /// The profile that this came from.
    #[serde(default)]
    pub active_permission_profile: Option<ActivePermissionProfile>,
    /// The model.
    pub model: String,
    /// Its provider.
    pub model_provider: String,
    /// The service tier.
    #[serde(default)]
    pub service_tier: Option<String>,
    /// How much the model thinks.
    #[serde(default)]
    pub effort: Option<String>,
    /// The form of a reasoning's summary.
    #[serde(default)]
    pub summary: Option<ReasoningSummary>,
    /// How person and model work together.
    pub collaboration_mode: CollaborationMode,
    /// When agents may be spawned.
    #[serde(default)]
    pub multi_agent_mode: MultiAgentMode,
    /// The voice of the model.
    #[serde(default)]
    pub personality: Option<Personality>,
}

/// `thread/settings/updated`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadSettingsUpdated {
    /// The thread.
    pub thread_id: ThreadId,
    /// What holds now.
    pub thread_settings: ThreadSettings,
}
