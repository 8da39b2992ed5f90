//! Response items as our own models write them, in the field order of recorded responses.

use bytes::Bytes;
use sapwood_protocol::ItemId;
use serde_json::{Value, json};

use crate::port::{Delta, DeltaSink, ToolName};

/// An item of a response, with the deltas that announce it.
#[derive(Clone, Debug, PartialEq)]
pub struct Produced {
    /// Its id.
    pub id: ItemId,
    /// Its type.
    pub kind: String,
    /// The tool that it calls.
    pub tool: Option<ToolName>,
    /// Its JSON bytes.
    pub bytes: Bytes,
    /// What is heard of it while it comes in, after [`Delta::ItemStarted`].
    pub deltas: Vec<Delta>,
}

impl Produced {
    /// An assistant's message, heard in `pieces` deltas (at least one, at most one for each character).
    pub(crate) fn message(id: String, text: &str, phase: Option<&str>, pieces: usize) -> Self {
        let mut item = json!({
            "type": "message", "id": id, "role": "assistant",
            "content": [{"type": "output_text", "text": text}],
        });
        if let Some(phase) = phase {
            item["phase"] = json!(phase);
        }
        let id = ItemId::from(id);
        let deltas = split(text, pieces).map(|text| Delta::Text { item: id.clone(), text }).collect();
        Self::from_json(id, "message", &item, deltas)
    }

    /// A reasoning item with one summary.
    pub(crate) fn reasoning(id: String, text: &str) -> Self {
        let item = json!({
            "type": "reasoning", "id": id, "summary": [{"type": "summary_text", "text": text}], "content": null,
        });
        let id = ItemId::from(id);
        let deltas = vec![Delta::Reasoning { item: id.clone(), part: 0, text: text.to_owned() }];
        Self::from_json(id, "reasoning", &item, deltas)
    }

    /// A function call; its item id is `fc_` and the call id.
    pub(crate) fn call(call_id: &str, namespace: Option<&str>, name: &str, arguments: &str) -> Self {
        let id = format!("fc_{call_id}");
        let mut item = json!({"type": "function_call", "id": id, "name": name});
        if let Some(namespace) = namespace {
            item["namespace"] = json!(namespace);
        }
        item["arguments"] = json!(arguments);
        item["call_id"] = json!(call_id);
        Self::from_json(ItemId::from(id), "function_call", &item, Vec::new())
    }

    /// A custom tool call; its item id is `ctc_` and the call id.
    pub(crate) fn custom_call(call_id: &str, name: &str, input: &str) -> Self {
        let id = format!("ctc_{call_id}");
        let item = json!({
            "type": "custom_tool_call", "id": id, "status": "completed", "call_id": call_id, "name": name,
            "input": input,
        });
        Self::from_json(ItemId::from(id), "custom_tool_call", &item, Vec::new())
    }

    /// Any item; `id` stands in for one that it lacks.
    pub(crate) fn raw(id: String, item: &Value) -> Self {
        let text = |key: &str| item.get(key).and_then(Value::as_str);
        let id = text("id").map_or_else(|| ItemId::from(id), ItemId::from);
        Self::from_json(id, text("type").unwrap_or_default(), item, Vec::new())
    }

    fn from_json(id: ItemId, kind: &str, item: &Value, deltas: Vec<Delta>) -> Self {
        let text = |key: &str| item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let tool = kind.ends_with("_call").then(|| ToolName { namespace: text("namespace"), name: text("name") });
        Self { id, kind: kind.to_owned(), tool, bytes: Bytes::from(item.to_string()), deltas }
    }

    /// Tells `sink` that the item begins and what is heard of it.
    pub(crate) fn announce(&self, sink: &dyn DeltaSink) {
        sink.delta(Delta::ItemStarted { item: self.id.clone(), kind: self.kind.clone(), tool: self.tool.clone() });
        self.deltas.iter().for_each(|delta| sink.delta(delta.clone()));
        sink.delta(Delta::ItemDone { item: self.id.clone() });
    }
}

/// Splits a text into so many pieces of about the same number of characters; no piece is empty.
fn split(text: &str, pieces: usize) -> impl Iterator<Item = String> {
    let characters: Vec<char> = text.chars().collect();
    let size = characters.len().div_ceil(pieces.max(1)).max(1);
    let pieces: Vec<String> = characters.chunks(size).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_have_the_recorded_shape() {
        let text = |produced: Produced| String::from_utf8(produced.bytes.to_vec()).unwrap();
        assert_eq!(
            text(Produced::message("msg_1".to_owned(), "hi", Some("commentary"), 1)),
            r#"{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"hi"}],"phase":"commentary"}"#
        );
        assert_eq!(
            text(Produced::call("call_1", Some("collaboration"), "wait_agent", "{}")),
            r#"{"type":"function_call","id":"fc_call_1","name":"wait_agent","namespace":"collaboration","arguments":"{}","call_id":"call_1"}"#
        );
        assert_eq!(
            text(Produced::custom_call("call_2", "apply_patch", "P")),
            r#"{"type":"custom_tool_call","id":"ctc_call_2","status":"completed","call_id":"call_2","name":"apply_patch","input":"P"}"#
        );
    }

    #[test]
    fn pieces_of_a_text() {
        let pieces = |text, n| split(text, n).collect::<Vec<_>>();
        assert_eq!(pieces("äbc", 2), ["äb", "c"]);
        assert_eq!(pieces("abc", 9), ["a", "b", "c"]);
        assert_eq!(pieces("", 3), Vec::<String>::new());
        assert_eq!(pieces("abc", 0), ["abc"]);
    }
}
