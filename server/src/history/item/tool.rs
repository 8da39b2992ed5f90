//! The parts of tool items: commands, paths, patches, results, states.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use percent_encoding::percent_decode_str;
use sapwood_protocol::app::item::{self as wire, AgentState, CommandAction, FileUpdate, UpdateKind};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

type Text<'a> = Cow<'a, str>;

/// A length of time as a rollout keeps it.
#[derive(Clone, Copy, Deserialize)]
pub(super) struct Duration {
    secs: u64,
    nanos: u32,
}

impl Duration {
    pub(super) fn millis(self) -> u64 {
        self.secs.saturating_mul(1000).saturating_add(u64::from(self.nanos / 1_000_000))
    }
}

/// A word of a rollout as clients read it: `in_progress` is `inProgress`.
pub(super) fn camel(word: Text<'_>) -> Text<'_> {
    if !word.contains('_') {
        return word;
    }
    let mut camel = String::with_capacity(word.len());
    for part in word.split('_') {
        let mut letters = part.chars();
        match letters.next() {
            Some(first) if !camel.is_empty() => camel.push(first.to_ascii_uppercase()),
            Some(first) => camel.push(first),
            None => {}
        }
        camel.push_str(letters.as_str());
    }
    camel.into()
}

/// A path, which newer rollouts keep as an address.
pub(super) fn path(path: Text<'_>) -> Text<'_> {
    match path.strip_prefix("file://") {
        Some(encoded) => percent_decode_str(encoded).decode_utf8_lossy().into_owned().into(),
        None => path,
    }
}

/// A command as one would type it.
pub(super) fn command_line(words: &[Text<'_>]) -> String {
    let words = || words.iter().map(|word| &**word);
    // A word with a zero byte cannot be typed.
    shlex::try_join(words()).unwrap_or_else(|_| words().collect::<Vec<_>>().join(" "))
}

/// A part of a command.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Parsed<'a> {
    Read {
        #[serde(borrow)]
        cmd: Text<'a>,
        #[serde(borrow, default)]
        name: Text<'a>,
        #[serde(borrow, default)]
        path: Text<'a>,
    },
    ListFiles {
        #[serde(borrow)]
        cmd: Text<'a>,
        #[serde(borrow, default)]
        path: Option<Text<'a>>,
    },
    Search {
        #[serde(borrow)]
        cmd: Text<'a>,
        #[serde(borrow, default)]
        query: Option<Text<'a>>,
        #[serde(borrow, default)]
        path: Option<Text<'a>>,
    },
    Unknown {
        #[serde(borrow)]
        cmd: Text<'a>,
    },
    #[serde(other)]
    Other,
}

impl<'a> Parsed<'a> {
    pub(super) fn shown(self, cwd: &str) -> CommandAction<'a> {
        match self {
            Parsed::Read { cmd, name, path: at } => {
                let at = Path::new(cwd).join(&*path(at)).to_string_lossy().into_owned();
                CommandAction::Read { command: cmd, name, path: at.into() }
            }
            Parsed::ListFiles { cmd, path } => CommandAction::ListFiles { command: cmd, path },
            Parsed::Search { cmd, query, path } => CommandAction::Search { command: cmd, query, path },
            Parsed::Unknown { cmd } => CommandAction::Unknown { command: cmd },
            Parsed::Other => CommandAction::Unknown { command: "".into() },
        }
    }
}

/// Path to change, ordered as clients get them.
pub(super) type Changes<'a> = BTreeMap<Text<'a>, Change<'a>>;

/// What a patch does to one file.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Change<'a> {
    Add {
        #[serde(borrow, default)]
        content: Text<'a>,
    },
    Delete {
        #[serde(borrow, default)]
        content: Text<'a>,
    },
    Update {
        #[serde(borrow, default)]
        unified_diff: Text<'a>,
        #[serde(borrow, default)]
        move_path: Option<Text<'a>>,
    },
}

pub(super) fn changes(changes: Changes<'_>) -> Vec<FileUpdate<'_>> {
    let update = |(path, change)| match change {
        Change::Add { content } => FileUpdate { path, kind: UpdateKind::Add, diff: content },
        Change::Delete { content } => FileUpdate { path, kind: UpdateKind::Delete, diff: content },
        Change::Update { unified_diff, move_path } => {
            let diff = match &move_path {
                Some(to) => format!("{unified_diff}\n\nMoved to: {to}").into(),
                None => unified_diff,
            };
            FileUpdate { path, kind: UpdateKind::Update { move_path }, diff }
        }
    };
    changes.into_iter().map(update).collect()
}

/// How another agent was: a word, or an object of one word around a text.
pub(super) fn agent_state(raw: &RawValue) -> AgentState<'_> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum State<'a> {
        Word(#[serde(borrow)] Text<'a>),
        Said(#[serde(borrow)] BTreeMap<Text<'a>, Option<Text<'a>>>),
    }
    let unknown = || AgentState { status: "notFound".into(), message: None };
    match serde_json::from_str(raw.get()) {
        Ok(State::Word(word)) => AgentState { status: camel(word), message: None },
        Ok(State::Said(said)) => {
            said.into_iter().next().map_or_else(unknown, |(word, message)| AgentState { status: camel(word), message })
        }
        Err(_) => unknown(),
    }
}

/// What an MCP call gave.
#[derive(Deserialize)]
pub(super) struct McpResult<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default, alias = "structuredContent")]
    structured_content: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

impl<'a> McpResult<'a> {
    pub(super) fn shown(self) -> wire::McpResult<'a> {
        let empty = || Cow::Owned(to_raw_value(&[(); 0]).expect("an empty list serialises"));
        wire::McpResult {
            content: self.content.map_or_else(empty, Cow::Borrowed),
            structured_content: self.structured_content,
            meta: self.meta,
        }
    }
}

/// Why an MCP call failed: a text, or an object around one.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum McpError<'a> {
    Text(#[serde(borrow)] Text<'a>),
    Object {
        #[serde(borrow)]
        message: Text<'a>,
    },
}

impl<'a> McpError<'a> {
    pub(super) fn shown(self) -> wire::McpError<'a> {
        match self {
            McpError::Text(message) | McpError::Object { message } => wire::McpError { message },
        }
    }
}

/// What a search of the web did.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WebAction<'a> {
    Search {
        #[serde(borrow, default)]
        query: Option<Text<'a>>,
        #[serde(borrow, default)]
        queries: Option<Vec<Text<'a>>>,
    },
    OpenPage {
        #[serde(borrow, default)]
        url: Option<Text<'a>>,
    },
    FindInPage {
        #[serde(borrow, default)]
        url: Option<Text<'a>>,
        #[serde(borrow, default)]
        pattern: Option<Text<'a>>,
    },
    #[serde(other)]
    Other,
}

impl<'a> WebAction<'a> {
    pub(super) fn shown(self) -> wire::WebAction<'a> {
        match self {
            WebAction::Search { query, queries } => wire::WebAction::Search { query, queries },
            WebAction::OpenPage { url } => wire::WebAction::OpenPage { url },
            WebAction::FindInPage { url, pattern } => wire::WebAction::FindInPage { url, pattern },
            WebAction::Other => wire::WebAction::Other,
        }
    }
}

/// What a tool of a client gave, whose tags newer rollouts keep in camel case and older ones with underscores.
pub(super) fn content_items(raw: &RawValue) -> Cow<'_, RawValue> {
    renamed(raw, |value| {
        if let Some(Value::String(tag)) = value.get_mut("type") {
            *tag = camel(std::mem::take(tag).into()).into_owned();
        }
        rename_keys(value);
    })
}

/// What the model remembered, with the names of its fields as clients read them.
pub(super) fn memory_citation(raw: &RawValue) -> Cow<'_, RawValue> {
    renamed(raw, rename_keys)
}

fn rename_keys(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let old = std::mem::take(map);
            for (key, mut value) in old {
                rename_keys(&mut value);
                map.insert(camel(key.into()).into_owned(), value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(rename_keys),
        _ => {}
    }
}

/// Rewrites a value, or each element of a list, where there is an underscore to be rewritten.
fn renamed(raw: &RawValue, rename: impl Fn(&mut Value)) -> Cow<'_, RawValue> {
    if !raw.get().contains('_') {
        return Cow::Borrowed(raw);
    }
    let Ok(mut value) = serde_json::from_str::<Value>(raw.get()) else { return Cow::Borrowed(raw) };
    match &mut value {
        Value::Array(values) => values.iter_mut().for_each(rename),
        value => rename(value),
    }
    to_raw_value(&value).map_or(Cow::Borrowed(raw), Cow::Owned)
}
