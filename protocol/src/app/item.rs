//! Items of turns, as clients see them.
//!
//! An item's JSON is written once ([`ThreadItem::new`]) and shared from then on: by a loaded thread's snapshot, by its
//! notifications and by every answer. [`Item`] is what can be written, field by field in the order of the real server.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

/// One item of a turn: its JSON, and what is asked of it most. Cheap to clone.
#[derive(Clone)]
pub struct ThreadItem {
    kind: ItemKind,
    id: Arc<str>,
    json: Arc<RawValue>,
}

/// What an item is: the `type` in its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ItemKind {
    /// What a user said.
    UserMessage,
    /// What a hook told the model.
    HookPrompt,
    /// What the model said.
    AgentMessage,
    /// The output of a call that no other kind stands for.
    FunctionCallOutput,
    /// A plan that the model proposes.
    Plan,
    /// What the model thought.
    Reasoning,
    /// A command.
    CommandExecution,
    /// A patch.
    FileChange,
    /// A call to an MCP server.
    McpToolCall,
    /// A call to a tool of the client.
    DynamicToolCall,
    /// A call that acts on other agents.
    CollabAgentToolCall,
    /// What was done to another agent.
    SubAgentActivity,
    /// A search of the web.
    WebSearch,
    /// The model looked at an image.
    ImageView,
    /// A pause.
    Sleep,
    /// The model made an image.
    ImageGeneration,
    /// A review began.
    EnteredReviewMode,
    /// A review ended.
    ExitedReviewMode,
    /// The history was compacted.
    ContextCompaction,
    /// One that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ThreadItem {
    /// Writes an item. The times are milliseconds since 1970; a legacy rollout has none.
    pub fn new(item: &Item<'_>, started_at_ms: Option<u64>, completed_at_ms: Option<u64>) -> Self {
        // Our items are maps with text keys: they serialise.
        let mut json = serde_json::to_string(item).expect("an item serialises");
        json.pop();
        let number = |at: Option<u64>| at.map_or_else(|| "null".to_owned(), |at| at.to_string());
        let (started, completed) = (number(started_at_ms), number(completed_at_ms));
        json.push_str(&format!(",\"startedAtMs\":{started},\"completedAtMs\":{completed}}}"));
        let json = RawValue::from_string(json).expect("an object with two more fields is one");
        Self { kind: item.kind(), id: item.id().into(), json: Arc::from(json) }
    }

    /// What it is.
    pub fn kind(&self) -> ItemKind {
        self.kind
    }

    /// Its id, unique within its turn.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its JSON.
    pub fn json(&self) -> &RawValue {
        &self.json
    }
}

impl fmt::Debug for ThreadItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.json.get())
    }
}

/// Two items are equal if their JSON is, byte for byte.
impl PartialEq for ThreadItem {
    fn eq(&self, other: &Self) -> bool {
        self.json.get() == other.json.get()
    }
}

impl Serialize for ThreadItem {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(s)
    }
}

impl<'de> Deserialize<'de> for ThreadItem {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Head<'a> {
            r#type: ItemKind,
            #[serde(borrow)]
            id: Cow<'a, str>,
        }
        let json = Box::<RawValue>::deserialize(d)?;
        let Head { r#type: kind, id } = serde_json::from_str(json.get()).map_err(de::Error::custom)?;
        Ok(Self { kind, id: id.into(), json: Arc::from(json) })
    }
}

/// What can be written as an item. Raw values are parts of the rollout that clients get as they are.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of the schema, by their names")]
pub enum Item<'a> {
    /// What a user said.
    UserMessage { id: Cow<'a, str>, client_id: Option<Cow<'a, str>>, content: Vec<Content<'a>> },
    /// What a hook told the model.
    HookPrompt { id: Cow<'a, str>, fragments: Vec<HookFragment<'a>> },
    /// What the model said.
    AgentMessage {
        moderation: Option<&'a RawValue>,
        id: Cow<'a, str>,
        text: Cow<'a, str>,
        phase: Option<Cow<'a, str>>,
        memory_citation: Option<Cow<'a, RawValue>>,
        delivery: Option<&'a RawValue>,
        questions: Option<&'a RawValue>,
    },
    /// The output of a call that no other kind stands for.
    FunctionCallOutput {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        namespace: Option<Cow<'a, str>>,
        output: Cow<'a, RawValue>,
    },
    /// A plan that the model proposes.
    Plan { id: Cow<'a, str>, text: Cow<'a, str> },
    /// What the model thought.
    Reasoning { id: Cow<'a, str>, summary: Vec<Cow<'a, str>>, content: Vec<Cow<'a, str>> },
    /// A command.
    CommandExecution {
        id: Cow<'a, str>,
        plugin_id: Option<Cow<'a, str>>,
        script_path: Option<Cow<'a, str>>,
        command: Cow<'a, str>,
        cwd: Cow<'a, str>,
        process_id: Option<Cow<'a, str>>,
        source: Cow<'a, str>,
        status: Cow<'a, str>,
        command_actions: Vec<CommandAction<'a>>,
        aggregated_output: Option<Cow<'a, str>>,
        exit_code: Option<i64>,
        duration_ms: Option<u64>,
    },
    /// A patch.
    FileChange { id: Cow<'a, str>, changes: Vec<FileUpdate<'a>>, status: Cow<'a, str> },
    /// A call to an MCP server.
    McpToolCall {
        id: Cow<'a, str>,
        server: Cow<'a, str>,
        tool: Cow<'a, str>,
        status: Cow<'a, str>,
        arguments: Cow<'a, RawValue>,
        app_context: Option<&'a RawValue>,
        mcp_app_resource_uri: Option<Cow<'a, str>>,
        mcp_app_ui: Option<&'a RawValue>,
        plugin_id: Option<Cow<'a, str>>,
        read_only_hint: Option<bool>,
        result: Option<McpResult<'a>>,
        error: Option<McpError<'a>>,
        duration_ms: Option<u64>,
    },
    /// A call to a tool of the client.
    DynamicToolCall {
        id: Cow<'a, str>,
        namespace: Option<Cow<'a, str>>,
        tool: Cow<'a, str>,
        arguments: Cow<'a, RawValue>,
        status: Cow<'a, str>,
        content_items: Option<Cow<'a, RawValue>>,
        success: Option<bool>,
        duration_ms: Option<u64>,
    },
    /// A call that acts on other agents.
    CollabAgentToolCall {
        id: Cow<'a, str>,
        tool: Cow<'a, str>,
        status: Cow<'a, str>,
        sender_thread_id: Cow<'a, str>,
        receiver_thread_ids: Vec<Cow<'a, str>>,
        prompt: Option<Cow<'a, str>>,
        model: Option<Cow<'a, str>>,
        reasoning_effort: Option<Cow<'a, str>>,
        agents_states: BTreeMap<Cow<'a, str>, AgentState<'a>>,
    },
    /// What was done to another agent.
    SubAgentActivity {
        model: Option<Cow<'a, str>>,
        reasoning_effort: Option<Cow<'a, str>>,
        id: Cow<'a, str>,
        kind: Cow<'a, str>,
        agent_thread_id: Cow<'a, str>,
        agent_path: Cow<'a, str>,
    },
    /// A search of the web.
    WebSearch { id: Cow<'a, str>, query: Cow<'a, str>, action: Option<WebAction<'a>>, results: Option<&'a RawValue> },
    /// The model looked at an image.
    ImageView { id: Cow<'a, str>, path: Cow<'a, str> },
    /// A pause.
    Sleep { id: Cow<'a, str>, duration_ms: u64 },
    /// The model made an image.
    ImageGeneration {
        id: Cow<'a, str>,
        status: Cow<'a, str>,
        revised_prompt: Option<Cow<'a, str>>,
        result: Cow<'a, str>,
        saved_path: Option<Cow<'a, str>>,
    },
    /// A review began.
    EnteredReviewMode { id: Cow<'a, str>, review: Cow<'a, str> },
    /// A review ended.
    ExitedReviewMode { id: Cow<'a, str>, review: Cow<'a, str> },
    /// The history was compacted.
    ContextCompaction { id: Cow<'a, str> },
}

macro_rules! each_kind {
    ($($kind:ident),+ $(,)?) => {
        impl Item<'_> {
            /// What it is.
            pub fn kind(&self) -> ItemKind {
                match self { $( Item::$kind { .. } => ItemKind::$kind, )+ }
            }

            /// Its id.
            pub fn id(&self) -> &str {
                match self { $( Item::$kind { id, .. } => id, )+ }
            }
        }
    };
}
each_kind!(
    UserMessage,
    HookPrompt,
    AgentMessage,
    FunctionCallOutput,
    Plan,
    Reasoning,
    CommandExecution,
    FileChange,
    McpToolCall,
    DynamicToolCall,
    CollabAgentToolCall,
    SubAgentActivity,
    WebSearch,
    ImageView,
    Sleep,
    ImageGeneration,
    EnteredReviewMode,
    ExitedReviewMode,
    ContextCompaction,
);

/// A piece of what a user said.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of the schema, by their names")]
pub enum Content<'a> {
    /// Text, and the places in it that mean more than text.
    Text { text: Cow<'a, str>, text_elements: Vec<TextElement<'a>> },
    /// An image by its address.
    Image {
        url: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<Cow<'a, str>>,
    },
    /// An image by its path.
    LocalImage {
        path: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<Cow<'a, str>>,
    },
    /// A recording by its address.
    Audio { url: Cow<'a, str> },
    /// A recording by its path.
    LocalAudio { path: Cow<'a, str> },
    /// A skill.
    Skill { name: Cow<'a, str>, path: Cow<'a, str> },
    /// A file or an app.
    Mention { name: Cow<'a, str>, path: Cow<'a, str> },
    /// A piece that this version does not know, as it came.
    #[serde(untagged)]
    Other(&'a RawValue),
}

/// A place in a text that means more than text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TextElement<'a> {
    /// Where.
    #[serde(alias = "byte_range")]
    pub byte_range: ByteRange,
    /// What stands there for a person.
    #[serde(borrow, default)]
    pub placeholder: Option<Cow<'a, str>>,
}

/// A part of a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange {
    /// The first byte.
    pub start: u64,
    /// The first byte behind it.
    pub end: u64,
}

/// What one hook run told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all(serialize = "camelCase"))]
pub struct HookFragment<'a> {
    /// The text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// The run.
    #[serde(borrow)]
    pub hook_run_id: Cow<'a, str>,
}

/// What a part of a command does.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of the schema, by their names")]
pub enum CommandAction<'a> {
    /// Reads a file.
    Read { command: Cow<'a, str>, name: Cow<'a, str>, path: Cow<'a, str> },
    /// Lists files.
    ListFiles { command: Cow<'a, str>, path: Option<Cow<'a, str>> },
    /// Searches.
    Search { command: Cow<'a, str>, query: Option<Cow<'a, str>>, path: Option<Cow<'a, str>> },
    /// Something else.
    Unknown { command: Cow<'a, str> },
}

/// What a patch does to one file.
#[derive(Clone, Debug, Serialize)]
pub struct FileUpdate<'a> {
    /// The file.
    pub path: Cow<'a, str>,
    /// What happens to it.
    pub kind: UpdateKind<'a>,
    /// The content of a file that comes or goes, the difference of one that changes.
    pub diff: Cow<'a, str>,
}

/// What happens to a file.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of the schema, by their names")]
pub enum UpdateKind<'a> {
    /// It comes.
    Add,
    /// It goes.
    Delete,
    /// It changes, and may move.
    Update { move_path: Option<Cow<'a, str>> },
}

/// What an MCP call gave.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct McpResult<'a> {
    /// Its content.
    pub content: Cow<'a, RawValue>,
    /// The same for programs.
    pub structured_content: Option<&'a RawValue>,
    /// Notes of the server.
    #[serde(rename = "_meta")]
    pub meta: Option<&'a RawValue>,
}

/// Why an MCP call failed.
#[derive(Clone, Debug, Serialize)]
pub struct McpError<'a> {
    /// For a person.
    pub message: Cow<'a, str>,
}

/// How another agent is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentState<'a> {
    /// A word.
    pub status: Cow<'a, str>,
    /// Its last words, or why it failed.
    pub message: Option<Cow<'a, str>>,
}

/// What a search of the web did.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are those of the schema, by their names")]
pub enum WebAction<'a> {
    /// Searched.
    Search { query: Option<Cow<'a, str>>, queries: Option<Vec<Cow<'a, str>>> },
    /// Opened a page.
    OpenPage { url: Option<Cow<'a, str>> },
    /// Looked for something in a page.
    FindInPage { url: Option<Cow<'a, str>>, pattern: Option<Cow<'a, str>> },
    /// Something else.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_its_json_and_comes_back() {
        let item = Item::AgentMessage {
            moderation: None,
            id: "msg_1".into(),
            text: "Hello".into(),
            phase: None,
            memory_citation: None,
            delivery: None,
            questions: None,
        };
        let item = ThreadItem::new(&item, Some(1), None);
        let json = r#"{"type":"agentMessage","moderation":null,"id":"msg_1","text":"Hello","phase":null,"memoryCitation":null,"delivery":null,"questions":null,"startedAtMs":1,"completedAtMs":null}"#;
        assert_eq!(serde_json::to_string(&item).unwrap(), json);
        let back: ThreadItem = serde_json::from_str(json).unwrap();
        assert_eq!((back.kind(), back.id(), &back), (ItemKind::AgentMessage, "msg_1", &item));
        let odd: ThreadItem = serde_json::from_str(r#"{"type":"newKind","id":"x","more":1}"#).unwrap();
        assert_eq!((odd.kind(), odd.json().get()), (ItemKind::Unknown, r#"{"type":"newKind","id":"x","more":1}"#));
    }
}
