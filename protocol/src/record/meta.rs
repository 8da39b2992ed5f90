//! `session_meta`: what a thread is.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::ids::{SessionId, ThreadId};
use crate::path::AgentPath;

/// `session_meta`. Make one with [`SessionMeta::new`] and set the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionMeta {
    /// The thread belongs to an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_scoped: Option<bool>,
    /// The tree. Files of older versions do not say: see [`SessionMeta::session`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The thread.
    pub id: ThreadId,
    /// The thread that this one was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from_id: Option<ThreadId>,
    /// The first ordinal of the source that a fork did not inherit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from_ordinal_exclusive: Option<u64>,
    /// The thread that spawned this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_thread_id: Option<ThreadId>,
    /// When the thread was made, RFC 3339 in UTC with milliseconds.
    #[serde(default)]
    pub timestamp: String,
    /// Its working directory, absolute.
    #[serde(default)]
    pub cwd: String,
    /// The roots of its workspace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runtime_workspace_roots: Vec<String>,
    /// The client that made it, as it named itself.
    #[serde(default)]
    pub originator: String,
    /// The version of the program that made it.
    #[serde(default)]
    pub cli_version: String,
    /// Where it comes from.
    #[serde(default)]
    pub source: Source,
    /// `user`, `subagent`, or the name of a feature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_source: Option<String>,
    /// What a person calls the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_nickname: Option<String>,
    /// Its role.
    #[serde(default, alias = "agent_type", skip_serializing_if = "Option::is_none")]
    pub agent_role: Option<String>,
    /// Its place in the tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_path: Option<AgentPath>,
    /// The provider of its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_provider: Option<String>,
    /// The head of each request. Absent: those of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_instructions: Option<BaseInstructions>,
    /// Tools that its client runs, unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dynamic_tools: Option<Value>,
    /// `disabled` where nothing is to be remembered of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mode: Option<String>,
    /// How the file keeps history. Fixed for ever by the first meta of a file.
    #[serde(default)]
    pub history_mode: HistoryMode,
    /// The history that stands before this file, in another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_base: Option<HistoryBase>,
    /// The first ordinal that belongs to a forked child itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subagent_history_start_ordinal: Option<u64>,
    /// `v1` or `v2`; a root may have none until its first turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_agent_version: Option<String>,
    /// The first context window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window: Option<ContextWindow>,
    /// The repository of the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// Fields that Codex passes through: who made it, what is attached, which capabilities were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator_user_id: Option<Value>,
    /// See `creator_user_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creator_account_id: Option<Value>,
    /// See `creator_user_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached_thread: Option<Value>,
    /// See `creator_user_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selected_capability_roots: Option<Value>,
}

impl SessionMeta {
    /// The meta of a new thread in a tree: paginated, from the command line, everything else empty.
    pub fn new(id: ThreadId, session: SessionId) -> Self {
        Self {
            account_scoped: None,
            session_id: Some(session),
            id,
            forked_from_id: None,
            forked_from_ordinal_exclusive: None,
            parent_thread_id: None,
            timestamp: String::new(),
            cwd: String::new(),
            runtime_workspace_roots: Vec::new(),
            originator: String::new(),
            cli_version: String::new(),
            source: Source::Cli,
            thread_source: None,
            agent_nickname: None,
            agent_role: None,
            agent_path: None,
            model_provider: None,
            base_instructions: None,
            dynamic_tools: None,
            memory_mode: None,
            history_mode: HistoryMode::Paginated,
            history_base: None,
            subagent_history_start_ordinal: None,
            multi_agent_version: None,
            context_window: None,
            git: None,
            creator_user_id: None,
            creator_account_id: None,
            attached_thread: None,
            selected_capability_roots: None,
        }
    }

    /// The tree; that of the thread itself where the file does not say. A value found so is a guess, which must not
    /// replace what a parent knows.
    pub fn session(&self) -> SessionId {
        self.session_id.unwrap_or(self.id.into())
    }

    /// The spawner, also where only the source says so.
    pub fn parent(&self) -> Option<ThreadId> {
        self.parent_thread_id.or_else(|| self.source.parent())
    }
}

/// How a rollout keeps history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HistoryMode {
    /// Without ordinals: the form of old files, and what a file is that does not say.
    #[default]
    Legacy,
    /// With an ordinal on each line.
    Paginated,
    /// One that this version does not know. Never taken for another: such a file may be listed and read, not written.
    Unknown(String),
}

impl HistoryMode {
    /// The word in the file.
    pub fn as_str(&self) -> &str {
        match self {
            HistoryMode::Legacy => "legacy",
            HistoryMode::Paginated => "paginated",
            HistoryMode::Unknown(mode) => mode,
        }
    }
}

impl Serialize for HistoryMode {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for HistoryMode {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(match String::deserialize(d)? {
            mode if mode == "legacy" => HistoryMode::Legacy,
            mode if mode == "paginated" => HistoryMode::Paginated,
            mode => HistoryMode::Unknown(mode),
        })
    }
}

/// Where a thread comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A terminal.
    Cli,
    /// An editor, and what is meant where a file does not say.
    #[default]
    Vscode,
    /// A run without a person.
    Exec,
    /// An MCP client.
    Mcp,
    /// A word that this version does not know.
    Unknown,
    /// A client that names itself.
    Custom(String),
    /// The program itself, for a purpose of its own.
    Internal(String),
    /// Another agent.
    Subagent(Subagent),
}

/// Which agent, and what for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Subagent {
    /// A review.
    Review,
    /// A compaction.
    Compact,
    /// The upkeep of memories.
    MemoryConsolidation,
    /// A spawn by a model.
    ThreadSpawn(ThreadSpawn),
    /// Anything else.
    Other(String),
}

/// A spawn by a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadSpawn {
    /// The spawner.
    pub parent_thread_id: ThreadId,
    /// Generations below the root; a child of the root has 1.
    #[serde(default)]
    pub depth: u32,
    /// The place in the tree.
    #[serde(default)]
    pub agent_path: Option<AgentPath>,
    /// What a person calls the agent.
    #[serde(default)]
    pub agent_nickname: Option<String>,
    /// Its role.
    #[serde(default, alias = "agent_type")]
    pub agent_role: Option<String>,
}

impl Source {
    /// The spawner, where the source is a spawn.
    pub fn parent(&self) -> Option<ThreadId> {
        match self {
            Source::Subagent(Subagent::ThreadSpawn(spawn)) => Some(spawn.parent_thread_id),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case")]
        enum Known {
            Cli,
            Vscode,
            Exec,
            Mcp,
            Unknown,
            Custom(String),
            Internal(String),
            Subagent(Subagent),
        }
        // A new source, text or object, is no reason to refuse the thread.
        let value = Value::deserialize(d)?;
        Ok(match serde_json::from_value(value) {
            Ok(Known::Cli) => Source::Cli,
            Ok(Known::Vscode) => Source::Vscode,
            Ok(Known::Exec) => Source::Exec,
            Ok(Known::Mcp) => Source::Mcp,
            Ok(Known::Custom(name)) => Source::Custom(name),
            Ok(Known::Internal(purpose)) => Source::Internal(purpose),
            Ok(Known::Subagent(subagent)) => Source::Subagent(subagent),
            Ok(Known::Unknown) | Err(_) => Source::Unknown,
        })
    }
}

/// The head of each request of a thread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaseInstructions {
    /// The text.
    pub text: String,
    /// Whose text it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// Whose base instructions they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// `custom` or `model`.
    pub r#type: String,
    /// The model whose text it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// The prefix of another file that is the beginning of this one's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryBase {
    /// The thread it belongs to.
    pub thread_id: ThreadId,
    /// The first ordinal that is not part of it.
    pub end_ordinal_exclusive: u64,
    /// Where that ordinal's line starts, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_byte_offset: Option<u64>,
}

/// A context window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextWindow {
    /// Its id.
    pub window_id: String,
}

/// The repository of a working directory when the line was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Git {
    /// The commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_hash: Option<String>,
    /// The branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Where it was cloned from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_url: Option<String>,
}
