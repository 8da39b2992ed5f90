//! History: the items that a model sees, as shared bytes.
//!
//! An item is serialised once, when it enters the rollout; every later request shares those bytes. What a prompt
//! shows beyond the items is projected here and never written (`goals-and-rollouts.md` B.2): a call without an
//! output gets one, an output without its call is left out.

use std::collections::BTreeSet;

use bytes::Bytes;
use sapwood_protocol::ids::synthetic_output_id;
use sapwood_protocol::item::{Item, ItemView};
use sapwood_protocol::{CallId, ItemId, Line, View};

/// What a prompt shows as the output of a call that has none.
const ABORTED: &str = "aborted";

/// One item.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The JSON, as the model gets it.
    pub json: Bytes,
    /// What it is to the projection.
    pub part: Part,
}

/// What an item is to the projection.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Stands for itself.
    Plain,
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

/// The history of one agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    items: Vec<Entry>,
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
            _ => Part::Plain,
        };
        self.items.push(Entry { json, part });
    }

    /// Replaces everything, as a checkpoint does.
    pub fn clear(&mut self) {
        self.items.clear();
    }

    /// The items, as stored.
    pub fn items(&self) -> &[Entry] {
        &self.items
    }

    /// The items as the next request shows them.
    pub fn prompt(&self) -> Vec<Bytes> {
        let answered: BTreeSet<&CallId> = self
            .items
            .iter()
            .filter_map(|entry| if let Part::Output { call } = &entry.part { Some(call) } else { None })
            .collect();
        let mut called: BTreeSet<&CallId> = BTreeSet::new();
        let mut prompt = Vec::with_capacity(self.items.len());
        for entry in &self.items {
            match &entry.part {
                Part::Plain => prompt.push(entry.json.clone()),
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
}
