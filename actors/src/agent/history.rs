//! History: the items that a model sees, as shared bytes.
//!
//! An item is serialised once, when it enters the rollout; every later request shares those bytes. What a prompt
//! shows beyond the items is projected here and never written (`goals-and-rollouts.md` B.2): a call without an
//! output gets one, an output without its call is left out.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sapwood_protocol::ids::synthetic_output_id;
use sapwood_protocol::item::{Item, ItemView, message_text};
use sapwood_protocol::{CallId, ItemId, Line, View};

/// What a prompt shows as the output of a call that has none.
const ABORTED: &str = "aborted";

/// Items in one shared segment. A fork shares the segments of its source and copies what is behind the last one, so this
/// is also one more than what a fork copies at most.
const SEGMENT: usize = 64;

/// An item of so many bytes at most shares a buffer with the others of its segment.
const SHORT: usize = 4096;

/// How messages begin that have the role of a user and are not what a user said: what a model is told about where it works
/// and what became of others, by Codex and by us.
const CONTEXT: [&str; 14] = [
    "<environment_context>",
    "<agents_md>",
    "# AGENTS.md instructions",
    "<user_instructions>",
    "<INSTRUCTIONS>",
    "<turn_aborted>",
    "<subagent_notification>",
    "<user_shell_command>",
    "<goal_context>",
    "<goal>",
    "<skill>",
    "<skills_instructions>",
    "<hook_prompt",
    "<model_switch>",
];

/// How mail begins that starts a turn.
const TASK: &str = "Message Type: NEW_TASK\n";

/// One item.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The JSON, as the model gets it.
    pub json: Bytes,
    /// What it is to the projection.
    pub part: Part,
}

impl Entry {
    /// True for mail from another agent.
    pub fn is_mail(&self) -> bool {
        ItemView::parse(&self.json).is_some_and(|item| item.kind == "agent_message")
    }
}

/// What an item is to the projection.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Stands for itself.
    Plain,
    /// Stands for itself, and is where a turn was asked for: a user's message, or mail that starts a turn.
    Turn,
    /// Opens a call.
    Call {
        /// Pairs it with its output.
        call: CallId,
        /// Its item id, from which a missing output's id is derived.
        item: Option<ItemId>,
        /// What kind of output it wants.
        output: OutputKind,
    },
    /// Answers a call.
    Output {
        /// Which.
        call: CallId,
    },
}

/// The kinds of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// `function_call_output`, prefix `fco`.
    Function,
    /// `custom_tool_call_output`, prefix `ctco`.
    Custom,
    /// `tool_search_output`, prefix `tso`.
    Search,
}

/// The history of one agent: shared segments and an open tail, so that a copy, which is what a fork gets, costs a pointer
/// for `SEGMENT` items.
#[derive(Clone, Debug, Default)]
pub struct History {
    closed: Vec<Arc<[Entry]>>,
    tail: Vec<Entry>,
}

impl PartialEq for History {
    /// The same items, however they are cut into segments.
    fn eq(&self, other: &Self) -> bool {
        self.items().eq(other.items())
    }
}

impl History {
    /// Adds the item of a `response_item` line. Items that are no part of a prompt are left out.
    pub fn push(&mut self, line: &Line, view: &View<'_>, item: &ItemView<'_>) {
        self.push_json(line.share(view.payload.get()), item);
    }

    /// Adds an item that stands in no line of its own, as those of a checkpoint do.
    pub fn push_json(&mut self, json: Bytes, item: &ItemView<'_>) {
        let json = match item.internal_chat_message_metadata_passthrough {
            None => json,
            Some(_) => without_passthrough(json),
        };
        let call = |output| match &item.call_id {
            Some(call) => Part::Call { call: call.clone(), item: item.id.clone(), output },
            None => Part::Plain,
        };
        let part = match &*item.kind {
            "function_call" | "local_shell_call" => call(OutputKind::Function),
            "custom_tool_call" => call(OutputKind::Custom),
            "tool_search_call" => call(OutputKind::Search),
            "tool_search_output" if item.execution.as_deref() == Some("server") => Part::Plain,
            "function_call_output" | "custom_tool_call_output" | "tool_search_output" => match &item.call_id {
                Some(call) => Part::Output { call: call.clone() },
                None => Part::Plain,
            },
            "compaction_trigger" | "other" | "ghost_snapshot" => return,
            _ if opens_turn(&json, item) => Part::Turn,
            _ => Part::Plain,
        };
        self.add(Entry { json, part });
    }

    fn add(&mut self, entry: Entry) {
        self.tail.push(entry);
        if self.tail.len() == SEGMENT {
            let mut segment = std::mem::take(&mut self.tail);
            together(&mut segment);
            self.closed.push(segment.into());
        }
    }

    /// Replaces everything, as a checkpoint does.
    pub fn clear(&mut self) {
        (self.closed, self.tail) = (Vec::new(), Vec::new());
    }

    /// The items, as stored.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = &Entry> + Clone {
        self.closed.iter().flat_map(|segment| segment.iter()).chain(&self.tail)
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.closed.iter().map(|segment| segment.len()).sum::<usize>() + self.tail.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items from the `turns`-th last place on where a turn was asked for; from the first such place if there are fewer,
    /// and nothing if there is none. What a model is told at the start of its thread is never in it.
    pub fn last_turns(&self, turns: u32) -> Vec<&Entry> {
        let starts = self.turn_starts();
        let turns = usize::try_from(turns).unwrap_or(usize::MAX);
        match starts.get(starts.len().saturating_sub(turns)) {
            Some(start) => self.items().skip(*start).collect(),
            None => Vec::new(),
        }
    }

    /// Takes the last `turns` turns back, with everything that came after they were asked for.
    pub fn roll_back(&mut self, turns: u32) {
        let starts = self.turn_starts();
        let turns = usize::try_from(turns).unwrap_or(usize::MAX);
        let Some(start) = starts.get(starts.len().saturating_sub(turns)).copied() else { return };
        let kept: Vec<Entry> = self.items().take(start).cloned().collect();
        self.clear();
        kept.into_iter().for_each(|entry| self.add(entry));
    }

    fn turn_starts(&self) -> Vec<usize> {
        self.items().enumerate().filter(|(_, entry)| entry.part == Part::Turn).map(|(at, _)| at).collect()
    }

    /// The items as the next request shows them.
    pub fn prompt(&self) -> Vec<Bytes> {
        let answered: BTreeSet<&CallId> = self
            .items()
            .filter_map(|entry| if let Part::Output { call } = &entry.part { Some(call) } else { None })
            .collect();
        let mut called: BTreeSet<&CallId> = BTreeSet::new();
        let mut prompt = Vec::with_capacity(self.len());
        for entry in self.items() {
            match &entry.part {
                Part::Plain | Part::Turn => prompt.push(entry.json.clone()),
                Part::Output { call } => {
                    if called.contains(call) {
                        prompt.push(entry.json.clone());
                    }
                }
                Part::Call { call, item, output } => {
                    called.insert(call);
                    prompt.push(entry.json.clone());
                    if !answered.contains(call) {
                        prompt.push(missing_output(call, item.as_ref(), *output));
                    }
                }
            }
        }
        prompt
    }
}

/// Puts short items into one buffer. Each in an allocation of its own, between those of turns that come and go, costs twice
/// what it holds.
fn together(segment: &mut [Entry]) {
    let items = segment.iter_mut().map(|entry| &mut entry.json);
    let short: Vec<&mut Bytes> = items.filter(|json| json.len() <= SHORT).collect();
    let mut buffer = BytesMut::with_capacity(short.iter().map(|json| json.len()).sum());
    for json in short {
        buffer.extend_from_slice(json);
        *json = buffer.split().freeze();
    }
}

/// True for what a user said and for mail that starts a turn. Told by its text: files of every age and of either program
/// have that.
fn opens_turn(json: &[u8], item: &ItemView<'_>) -> bool {
    match (&*item.kind, item.role.as_deref()) {
        ("message", Some("user")) => {
            let text = message_text(json).unwrap_or_default();
            let text = text.trim_start();
            !CONTEXT.iter().any(|context| text.starts_with(context))
        }
        ("agent_message", _) => mail_header(json).is_some_and(|header| header.starts_with(TASK)),
        _ => false,
    }
}

fn mail_header(json: &[u8]) -> Option<String> {
    let mail: serde_json::Value = serde_json::from_slice(json).ok()?;
    mail["content"][0]["text"].as_str().map(str::to_owned)
}

/// The output that a prompt shows for a call that has none.
fn missing_output(call: &CallId, item: Option<&ItemId>, kind: OutputKind) -> Bytes {
    let (kind, prefix) = match kind {
        OutputKind::Function => ("function_call_output", "fco"),
        OutputKind::Custom => ("custom_tool_call_output", "ctco"),
        OutputKind::Search => ("tool_search_output", "tso"),
    };
    let id = item.map(|item| synthetic_output_id(prefix, item));
    let mut out = serde_json::Map::new();
    out.insert("type".into(), kind.into());
    if let Some(id) = id {
        out.insert("id".into(), id.as_str().into());
    }
    out.insert("call_id".into(), call.as_str().into());
    if prefix == "tso" {
        out.insert("status".into(), "completed".into());
        out.insert("execution".into(), "client".into());
        out.insert("tools".into(), serde_json::json!([]));
    } else {
        out.insert("output".into(), ABORTED.into());
    }
    Bytes::from(serde_json::Value::Object(out).to_string())
}

/// A foreign item without Codex's notes, which are for its own provider only.
fn without_passthrough(json: Bytes) -> Bytes {
    match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&json) {
        Ok(mut item) => {
            item.shift_remove("internal_chat_message_metadata_passthrough");
            Bytes::from(serde_json::Value::Object(item).to_string())
        }
        Err(_) => json,
    }
}

/// The JSON of an item that we write.
pub fn item_json(item: &Item<'_>) -> Bytes {
    // Items are structs with text keys: serialising them cannot fail.
    Bytes::from(serde_json::to_vec(item).expect("an item serialises"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(items: &[&'static str]) -> History {
        let mut history = History::default();
        for json in items {
            let view = ItemView::parse(json.as_bytes()).unwrap();
            history.push_json(Bytes::from_static(json.as_bytes()), &view);
        }
        history
    }

    fn prompt(history: &History) -> Vec<String> {
        history.prompt().iter().map(|b| String::from_utf8(b.to_vec()).unwrap()).collect()
    }

    #[test]
    fn a_call_without_output_gets_one_right_after_it() {
        let call = r#"{"type":"function_call","id":"fc_call_k","name":"x","arguments":"{}","call_id":"k"}"#;
        let text = r#"{"type":"message","id":"m","role":"user","content":[]}"#;
        let output = r#"{"type":"function_call_output","id":"fco_d917df01-4a76-51f9-8c6d-5f4d97c4c8f4","call_id":"k","output":"aborted"}"#;
        assert_eq!(prompt(&history(&[call, text])), [call, output, text]);
        let late = r#"{"type":"function_call_output","id":"o","call_id":"k","output":"ok"}"#;
        assert_eq!(prompt(&history(&[call, text, late])), [call, text, late]);
    }

    #[test]
    fn an_output_without_its_call_is_left_out() {
        let orphan = r#"{"type":"function_call_output","id":"o","call_id":"k","output":"ok"}"#;
        let callless = r#"{"type":"function_call_output","name":"goal_objective","output":"ok"}"#;
        let server = r#"{"type":"tool_search_output","call_id":"s","execution":"server","tools":[]}"#;
        assert_eq!(prompt(&history(&[orphan, callless, server])), [callless, server]);
    }

    #[test]
    fn a_call_without_item_id_gets_an_output_without_one() {
        let call = r#"{"type":"custom_tool_call","name":"x","input":"","call_id":"k"}"#;
        let output = r#"{"type":"custom_tool_call_output","call_id":"k","output":"aborted"}"#;
        assert_eq!(prompt(&history(&[call])), [call, output]);
    }

    fn user(text: &str) -> String {
        item_text("user", text)
    }

    fn item_text(role: &str, text: &str) -> String {
        serde_json::json!({"type": "message", "id": text, "role": role, "content": [{"type": "input_text", "text": text}]})
            .to_string()
    }

    fn of(items: &[String]) -> History {
        let mut history = History::default();
        for json in items {
            let view = ItemView::parse(json.as_bytes()).unwrap();
            history.push_json(Bytes::from(json.clone()), &view);
        }
        history
    }

    fn mail(kind: &str) -> String {
        let header = format!("Message Type: {kind}\nTask name: /root/a\nSender: /root\nPayload:\n");
        serde_json::json!({"type": "agent_message", "id": kind, "author": "/root", "recipient": "/root/a",
            "content": [{"type": "input_text", "text": header}]})
        .to_string()
    }

    #[test]
    fn turns_begin_where_one_was_asked_for() {
        let context = user("<environment_context>\n</environment_context>");
        let (hint, one, two) = (item_text("developer", "hint"), user("one"), user("two"));
        let (answer, task, note) = (item_text("assistant", "answer"), mail("NEW_TASK"), mail("MESSAGE"));
        let aborted = user("<turn_aborted>\n</turn_aborted>");
        let all = [hint, context, one, answer.clone(), two, note, aborted, task, answer];
        let history = of(&all);
        let kept = |turns| {
            history.last_turns(turns).iter().map(|e| String::from_utf8(e.json.to_vec()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(kept(1), all[7..]);
        assert_eq!(kept(2), all[4..]);
        assert_eq!(kept(3), all[2..]);
        assert_eq!(kept(u32::MAX), all[2..], "fewer turns: from the first, without what stood before it");
        assert!(of(&all[..2]).last_turns(5).is_empty());

        for (turns, left) in [(1, 7), (2, 4), (3, 2), (9, 2)] {
            let mut history = history.clone();
            history.roll_back(turns);
            assert_eq!(prompt(&history), all[..left]);
        }
        let mut none = of(&all[..2]);
        none.roll_back(1);
        assert_eq!(none.len(), 2);
    }

    #[test]
    fn a_copy_shares_its_segments() {
        let items: Vec<String> = (0..2 * SEGMENT + 3).map(|n| user(&n.to_string())).collect();
        let history = of(&items);
        let mut fork = history.clone();
        assert_eq!((history.closed.len(), history.tail.len()), (2, 3));
        assert!(history.closed.iter().zip(&fork.closed).all(|(a, b)| Arc::ptr_eq(a, b)));
        let more = user("more");
        fork.push_json(Bytes::from(more.clone()), &ItemView::parse(more.as_bytes()).unwrap());
        assert_eq!((history.len(), fork.len()), (items.len(), items.len() + 1));
        assert_eq!(prompt(&history), items);
        // Equal are the same items, also where one history was cut and filled again.
        let mut cut = fork.clone();
        cut.roll_back(1);
        assert_eq!(cut, history);
    }

    #[test]
    fn short_items_of_a_segment_lie_side_by_side() {
        let mut items: Vec<String> = (0..SEGMENT).map(|n| user(&n.to_string())).collect();
        items[7] = user(&"x".repeat(SHORT));
        let history = of(&items);
        assert_eq!((prompt(&history), history.tail.capacity()), (items, 0));
        let short: Vec<_> = history.items().filter(|entry| entry.json.len() <= SHORT).collect();
        assert_eq!(short.len(), SEGMENT - 1);
        let ranges = short.iter().map(|entry| entry.json.as_ptr_range());
        assert!(ranges.clone().zip(ranges.skip(1)).all(|(one, next)| one.end == next.start));
    }
}
