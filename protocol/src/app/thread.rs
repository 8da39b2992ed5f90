//! Threads, as clients see them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::turn::Turn;
use crate::ids::{SessionId, ThreadId};
use crate::record;

/// A thread. Fields in the order of the real server; those that Sapwood does not keep are `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Thread {
    /// The thread.
    pub id: ThreadId,
    /// Where it works; `null` for one that is not loaded.
    #[serde(default)]
    pub environments: Option<Vec<Environment>>,
    /// Nothing.
    #[serde(default)]
    pub extra: Option<Value>,
    /// The tree that it belongs to when it is loaded: its own id for one that is not.
    pub session_id: SessionId,
    /// The thread that it was forked from.
    #[serde(default)]
    pub forked_from_id: Option<ThreadId>,
    /// Nothing: Sapwood attaches no threads.
    #[serde(default)]
    pub attached_to_thread_id: Option<ThreadId>,
    /// Its spawner.
    #[serde(default)]
    pub parent_thread_id: Option<ThreadId>,
    /// What its user said first.
    pub preview: String,
    /// It has no rollout.
    pub ephemeral: bool,
    /// The section that it was put into.
    #[serde(default)]
    pub section: Option<Value>,
    /// When, in seconds since 1970.
    #[serde(default)]
    pub section_entered_at: Option<u64>,
    /// The project that it belongs to.
    #[serde(default)]
    pub project_id: Option<String>,
    /// How its rollout keeps history.
    #[serde(default)]
    pub history_mode: HistoryMode,
    /// The provider of its model.
    pub model_provider: String,
    /// Its model; the last one of a thread that is not loaded.
    #[serde(default)]
    pub model: Option<String>,
    /// How much the model is to think.
    #[serde(default)]
    pub reasoning_effort: Option<String>,
    /// When it was made, in seconds since 1970.
    pub created_at: u64,
    /// When it last changed, in seconds since 1970.
    pub updated_at: u64,
    /// When its last turn began, in seconds since 1970.
    #[serde(default)]
    pub recency_at: Option<u64>,
    /// How it is now.
    pub status: ThreadStatus,
    /// Its rollout; `null` for an ephemeral thread.
    #[serde(default)]
    pub path: Option<String>,
    /// Its working directory.
    pub cwd: String,
    /// The version of the program that made it.
    pub cli_version: String,
    /// The client that made it.
    #[serde(default)]
    pub originator: Option<String>,
    /// Where it comes from.
    pub source: SessionSource,
    /// Whether `turn/start` is for it; `null` for one that is not loaded.
    #[serde(default)]
    pub can_accept_direct_input: Option<bool>,
    /// `user`, `subagent`, or the name of a feature.
    #[serde(default)]
    pub thread_source: Option<String>,
    /// What a person calls the agent.
    #[serde(default)]
    pub agent_nickname: Option<String>,
    /// Its role.
    #[serde(default)]
    pub agent_role: Option<String>,
    /// The repository of its working directory.
    #[serde(default)]
    pub git_info: Option<GitInfo>,
    /// What a person calls the thread.
    #[serde(default)]
    pub name: Option<String>,
    /// Nothing.
    #[serde(default)]
    pub daybreak_enabled: Option<bool>,
    /// Its turns, where they were asked for.
    pub turns: Vec<Turn>,
}

/// Where a thread works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Environment {
    /// `local`.
    pub environment_id: String,
    /// The working directory in it.
    pub cwd: String,
    /// The roots of the workspace in it.
    pub runtime_workspace_roots: Vec<String>,
}

impl Environment {
    /// This machine.
    pub fn local(cwd: &str, roots: &[String]) -> Self {
        let roots = if roots.is_empty() { vec![cwd.to_owned()] } else { roots.to_vec() };
        Self { environment_id: "local".to_owned(), cwd: cwd.to_owned(), runtime_workspace_roots: roots }
    }
}

/// How a rollout keeps history, in the two words that clients read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HistoryMode {
    /// Without ordinals.
    #[default]
    Legacy,
    /// With an ordinal on each line.
    Paginated,
}

impl From<&record::HistoryMode> for HistoryMode {
    /// A mode that this version does not know is not legacy; a client that met a third word would drop the whole list.
    fn from(mode: &record::HistoryMode) -> Self {
        match mode {
            record::HistoryMode::Legacy => HistoryMode::Legacy,
            record::HistoryMode::Paginated | record::HistoryMode::Unknown(_) => HistoryMode::Paginated,
        }
    }
}

/// How a thread is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ThreadStatus {
    /// Only its rollout is there.
    NotLoaded,
    /// It waits for input.
    Idle,
    /// Its last turn failed.
    SystemError,
    /// A turn is open.
    Active {
        /// What it waits for.
        active_flags: Vec<ActiveFlag>,
    },
}

/// What an open turn waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ActiveFlag {
    /// A person is to allow something.
    WaitingOnApproval,
    /// A person is to answer something.
    WaitingOnUserInput,
}

/// The repository of a working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitInfo {
    /// The commit.
    #[serde(default)]
    pub sha: Option<String>,
    /// The branch.
    #[serde(default)]
    pub branch: Option<String>,
    /// Where it was cloned from.
    #[serde(default)]
    pub origin_url: Option<String>,
}

/// Where a thread comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SessionSource {
    /// A terminal.
    Cli,
    /// An editor.
    Vscode,
    /// A run without a person.
    Exec,
    /// A client of the app server.
    AppServer,
    /// Something that this version does not know.
    Unknown,
    /// A client that names itself.
    Custom(String),
    /// Another agent.
    SubAgent(record::Subagent),
}

impl From<&record::Source> for SessionSource {
    fn from(source: &record::Source) -> Self {
        match source {
            record::Source::Cli => SessionSource::Cli,
            record::Source::Vscode => SessionSource::Vscode,
            record::Source::Exec => SessionSource::Exec,
            record::Source::Mcp => SessionSource::AppServer,
            record::Source::Unknown | record::Source::Internal(_) => SessionSource::Unknown,
            record::Source::Custom(name) => SessionSource::Custom(name.clone()),
            record::Source::Subagent(subagent) => SessionSource::SubAgent(subagent.clone()),
        }
    }
}

/// The kinds of sources that a list can be narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ThreadSourceKind {
    /// A terminal.
    Cli,
    /// An editor.
    Vscode,
    /// A run without a person.
    Exec,
    /// A client of the app server.
    AppServer,
    /// Any agent.
    SubAgent,
    /// A review.
    SubAgentReview,
    /// A compaction.
    SubAgentCompact,
    /// A spawn by a model.
    SubAgentThreadSpawn,
    /// Any other agent.
    SubAgentOther,
    /// Something that this version does not know.
    Unknown,
}

impl ThreadSourceKind {
    /// True if a thread of this source is of this kind.
    pub fn holds(self, source: &SessionSource) -> bool {
        use record::Subagent;
        match self {
            ThreadSourceKind::Cli => matches!(source, SessionSource::Cli),
            ThreadSourceKind::Vscode => matches!(source, SessionSource::Vscode),
            ThreadSourceKind::Exec => matches!(source, SessionSource::Exec),
            ThreadSourceKind::AppServer => matches!(source, SessionSource::AppServer),
            ThreadSourceKind::SubAgent => matches!(source, SessionSource::SubAgent(_)),
            ThreadSourceKind::SubAgentReview => matches!(source, SessionSource::SubAgent(Subagent::Review)),
            ThreadSourceKind::SubAgentCompact => matches!(source, SessionSource::SubAgent(Subagent::Compact)),
            ThreadSourceKind::SubAgentThreadSpawn => {
                matches!(source, SessionSource::SubAgent(Subagent::ThreadSpawn(_)))
            }
            ThreadSourceKind::SubAgentOther => {
                matches!(source, SessionSource::SubAgent(Subagent::Other(_) | Subagent::MemoryConsolidation))
            }
            ThreadSourceKind::Unknown => matches!(source, SessionSource::Unknown),
        }
    }
}
