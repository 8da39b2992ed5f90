//! `thread/list`, `thread/loaded/list`, `thread/read`, `thread/turns/list`, `thread/items/list`: what is there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::item::ThreadItem;
use super::thread::{Thread, ThreadSourceKind};
use super::turn::{Turn, TurnItemsView};
use super::wire::given;
use crate::ids::{ThreadId, TurnId};

/// Which end of a list comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SortDirection {
    /// The oldest.
    Asc,
    /// The newest.
    Desc,
}

/// What threads are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreadSortKey {
    /// When they were made.
    CreatedAt,
    /// When they last changed.
    UpdatedAt,
    /// When their last turn began.
    RecencyAt,
    /// Their place in the section.
    SectionPosition,
}

/// Params of `thread/list`: every filter that is given has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ThreadListParams {
    /// Where to go on.
    pub cursor: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
    /// What they are sorted by.
    pub sort_key: Option<ThreadSortKey>,
    /// In which direction.
    pub sort_direction: Option<SortDirection>,
    /// Their providers; an empty list is no filter.
    pub model_providers: Option<Vec<String>>,
    /// Where they come from; an empty list stands for what people drive.
    pub source_kinds: Option<Vec<ThreadSourceKind>>,
    /// The clients that made them.
    pub originators: Option<Vec<String>>,
    /// The archived ones instead of the others.
    pub archived: Option<bool>,
    /// Their section.
    pub section_id: Option<String>,
    /// Their project; `null` for those without one.
    #[serde(deserialize_with = "given")]
    pub project_id: Option<Option<String>>,
    /// Their working directories.
    pub cwd: Option<CwdFilter>,
    /// Not these.
    pub excluded_thread_ids: Option<Vec<String>>,
    /// A part of the name or the preview.
    pub search_term: Option<String>,
    /// Their spawner.
    pub parent_thread_id: Option<String>,
    /// An agent above them, at any height.
    pub ancestor_thread_id: Option<String>,
    /// The thread that they are attached to.
    pub attached_to_thread_id: Option<String>,
    /// Also those that are attached to others.
    pub include_attached_threads: bool,
    /// Those of the account that is logged in.
    pub current_account_only: bool,
    /// Without looking into files.
    pub use_state_db_only: bool,
}

/// One working directory or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "data did not match any variant of untagged enum ThreadListCwdFilter")]
pub enum CwdFilter {
    /// One.
    One(String),
    /// Any of them.
    Any(Vec<String>),
}

impl CwdFilter {
    /// The directories.
    pub fn paths(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Any(paths) => paths,
        }
    }
}

/// The answer to `thread/list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadListResponse {
    /// The threads, without turns.
    pub data: Vec<Thread>,
    /// What was read of them, by their ids; `null` where that is not kept.
    #[serde(default)]
    pub read_states: Option<Map<String, Value>>,
    /// Where to go on; `null` at the end.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Where to go on in the other direction.
    #[serde(default)]
    pub backwards_cursor: Option<String>,
}

/// Params of `thread/loaded/list`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ThreadLoadedListParams {
    /// Where to go on.
    pub cursor: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// The answer to `thread/loaded/list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadLoadedListResponse {
    /// The ids of the loaded threads.
    pub data: Vec<ThreadId>,
    /// Where to go on; `null` at the end.
    #[serde(default)]
    pub next_cursor: Option<String>,
}

/// Params of `thread/read`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadParams {
    /// The thread.
    pub thread_id: String,
    /// With its turns.
    #[serde(default)]
    pub include_turns: bool,
}

/// The answer to `thread/read`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadReadResponse {
    /// The thread.
    pub thread: Thread,
    /// What was read of it; `null` where that is not kept.
    #[serde(default)]
    pub read_state: Option<Value>,
}

/// Params of `thread/turns/list`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadTurnsListParams {
    /// The thread.
    pub thread_id: String,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<String>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<u32>,
    /// In which direction.
    #[serde(default)]
    pub sort_direction: Option<SortDirection>,
    /// With how many of their items.
    #[serde(default)]
    pub items_view: Option<TurnItemsView>,
}

/// A page of turns: the answer to `thread/turns/list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnsPage {
    /// The turns.
    pub data: Vec<Turn>,
    /// Where to go on; `null` at the end.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Where to go on in the other direction.
    #[serde(default)]
    pub backwards_cursor: Option<String>,
}

/// Params of `thread/items/list`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemsListParams {
    /// The thread.
    pub thread_id: String,
    /// Only the items of this turn.
    #[serde(default)]
    pub turn_id: Option<String>,
    /// Where to go on.
    #[serde(default)]
    pub cursor: Option<ItemsCursor>,
    /// At most so many.
    #[serde(default)]
    pub limit: Option<u32>,
    /// In which direction.
    #[serde(default)]
    pub sort_direction: Option<SortDirection>,
    /// Outputs that may be left out.
    #[serde(default)]
    pub defer_output: Option<OutputDeferral>,
}

/// Where to go on in items: at a cursor of an answer, or beside an item.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "data did not match any variant of untagged enum ThreadItemsListCursor")]
pub enum ItemsCursor {
    /// From an answer.
    Page(String),
    /// After an item.
    Anchor(ItemsAnchor),
}

/// An item that a page begins at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ItemsAnchor {
    /// By its id.
    Item {
        /// The id.
        item_id: String,
    },
}

/// Outputs that may be left out of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OutputDeferral {
    /// Of commands.
    pub command_execution: bool,
    /// Of MCP tools.
    pub mcp_tool_call: bool,
}

/// The answer to `thread/items/list`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemsListResponse {
    /// The items.
    pub data: Vec<ThreadItemEntry>,
    /// Where to go on; `null` at the end.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// Where to go on in the other direction.
    #[serde(default)]
    pub backwards_cursor: Option<String>,
}

/// An item in a list of items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ThreadItemEntry {
    /// Its turn.
    pub turn_id: TurnId,
    /// The item.
    pub item: ThreadItem,
    /// When it began, in milliseconds since 1970.
    #[serde(default)]
    pub started_at_ms: Option<u64>,
    /// When it ended, in milliseconds since 1970.
    #[serde(default)]
    pub completed_at_ms: Option<u64>,
    /// Its output was left out, as asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub output_deferred: bool,
}
