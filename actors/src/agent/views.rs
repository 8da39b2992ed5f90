//! The lines that change an agent, as far as it reads them: everything else in them is skipped.

use std::borrow::Cow;
use std::sync::Arc;

use sapwood_protocol::{AgentPath, SessionId, ThreadId, TurnId, Usage};
use serde::Deserialize;

use super::approval::DynamicTools;
use super::manner::Recorded;
use super::state::HistoryBase;

#[derive(Deserialize)]
pub(super) struct Meta<'a> {
    pub id: ThreadId,
    #[serde(default)]
    pub session_id: Option<SessionId>,
    #[serde(default)]
    pub parent_thread_id: Option<ThreadId>,
    #[serde(default)]
    pub agent_path: Option<AgentPath>,
    #[serde(default)]
    pub agent_nickname: Option<String>,
    #[serde(borrow, default)]
    pub cwd: Cow<'a, str>,
    #[serde(default)]
    pub model_provider: Option<Arc<str>>,
    #[serde(default)]
    pub thread_source: Option<Arc<str>>,
    #[serde(default)]
    pub base_instructions: Option<BaseInstructions>,
    #[serde(borrow, default)]
    pub history_mode: Option<Cow<'a, str>>,
    #[serde(default)]
    pub history_base: Option<HistoryBase>,
    #[serde(default, deserialize_with = "super::manner::known")]
    pub dynamic_tools: Option<DynamicTools>,
}

#[derive(Deserialize)]
pub(super) struct BaseInstructions {
    #[serde(default)]
    pub text: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(default)]
    pub turn_id: Option<TurnId>,
    #[serde(default)]
    pub root_turn_id: Option<TurnId>,
    #[serde(default)]
    pub turn_attribution: Option<Attribution>,
    #[serde(default)]
    pub last_agent_message: Option<String>,
    #[serde(default)]
    pub error: Option<EventError>,
    #[serde(default)]
    pub thread_settings: Option<Recorded>,
    #[serde(default)]
    pub num_turns: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct Attribution {
    #[serde(default)]
    pub parent_turn_id: Option<TurnId>,
}

#[derive(Deserialize)]
pub(super) struct EventError {
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub codex_error_info: Option<serde_json::Value>,
}

impl EventError {
    /// The kind of error: a word, or an object whose only key is that word.
    pub fn kind(&self) -> Option<Box<str>> {
        let info = self.codex_error_info.as_ref()?;
        let word = info.as_str().or_else(|| info.as_object()?.keys().next().map(String::as_str));
        word.map(Box::from)
    }
}

/// What says that a child was made: an item of its spawner, or in legacy rollouts the event itself.
#[derive(Deserialize)]
pub(super) struct Activity<'a> {
    #[serde(borrow, default)]
    pub kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub tool: Cow<'a, str>,
    #[serde(default)]
    pub agent_thread_id: Option<ThreadId>,
    #[serde(default)]
    pub receiver_thread_ids: Vec<ThreadId>,
}

/// The children that an event names: those that it says were started.
pub(super) fn named_children(payload: &str) -> Vec<ThreadId> {
    #[derive(Deserialize)]
    struct Item<'a> {
        #[serde(borrow)]
        item: Activity<'a>,
    }
    // The type of an item stands at its head; most items are long, and none of these.
    let head = &payload[..payload.floor_char_boundary(ACTIVITY_HEAD)];
    let activity = if head.contains("\"sub_agent_activity\"") {
        serde_json::from_str::<Activity<'_>>(payload).ok()
    } else if head.contains("\"SubAgentActivity\"") || head.contains("\"CollabAgentToolCall\"") {
        serde_json::from_str::<Item<'_>>(payload).ok().map(|item| item.item)
    } else {
        None
    };
    match activity {
        Some(activity) if activity.kind == "started" => activity.agent_thread_id.into_iter().collect(),
        Some(activity) if activity.tool == "spawn_agent" => activity.receiver_thread_ids,
        _ => Vec::new(),
    }
}

/// Where the type of an item stands, in bytes: behind the ids of its thread and turn.
const ACTIVITY_HEAD: usize = 400;

#[derive(Deserialize)]
pub(super) struct UsageRecord {
    #[serde(default)]
    pub usage: Usage,
}

#[derive(Deserialize)]
pub(super) struct Compacted<'a> {
    #[serde(borrow, default)]
    pub replacement_history: Option<Vec<&'a serde_json::value::RawValue>>,
    #[serde(default)]
    pub window_number: Option<u64>,
}

/// The path of a child that was made without one, by the first generation of these tools: below the root, by its
/// nickname.
pub(super) fn path_of_v1(parent: Option<ThreadId>, nickname: Option<&str>) -> AgentPath {
    let root = AgentPath::root();
    let Some(parent) = parent else { return root };
    let name: String = nickname.unwrap_or_default().to_ascii_lowercase();
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let by_parent = || root.join(&format!("child_of_{}", parent.to_string().replace('-', "_")));
    root.join(&name).or_else(|_| by_parent()).unwrap_or_else(|_| AgentPath::root())
}
