//! An item of a model as it is kept.
//!
//! What goes into a rollout is read by Codex too, and both are to make the same request of it (measured on 0.169.0): what
//! Codex would drop or add when it reads the item is dropped or added when it is written, once. All else stays as the
//! model sent it.

use bytes::Bytes;
use sapwood_protocol::item::ItemView;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

/// What Codex keeps of a reasoning, in its order.
const REASONING: [&str; 6] =
    ["type", "id", "summary", "content", "encrypted_content", "internal_chat_message_metadata_passthrough"];

/// The items of a response as they are kept.
pub(super) fn keep(items: &mut [Bytes]) {
    for json in items {
        let changed = ItemView::parse(json).and_then(|item| kept(&item.kind, json));
        if let Some(kept) = changed {
            *json = Bytes::from(String::from(Box::<str>::from(kept)));
        }
    }
}

/// The item as it is kept, where that differs from what the model sent.
fn kept(kind: &str, json: &[u8]) -> Option<Box<RawValue>> {
    let change = match kind {
        "reasoning" => reasoning,
        "message" => message,
        "function_call" | "custom_tool_call" => without_nulls,
        _ => return None,
    };
    let sent: Map<String, Value> = serde_json::from_slice(json).ok()?;
    let kept = change(sent.clone());
    if kept == sent { None } else { to_raw_value(&kept).ok() }
}

/// Content and encrypted content are always there, `null` for none.
fn reasoning(mut item: Map<String, Value>) -> Map<String, Value> {
    if item.get("content").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        item.insert("content".into(), Value::Null);
    }
    item.entry("encrypted_content").or_insert(Value::Null);
    REASONING.iter().filter_map(|key| item.remove_entry(*key)).collect()
}

/// Codex knows no refusals, and reads no message that has one: it is what the model said.
fn message(item: Map<String, Value>) -> Map<String, Value> {
    let mut item = without_nulls(item);
    for part in item.get_mut("content").and_then(Value::as_array_mut).into_iter().flatten() {
        if part["type"] == "refusal" {
            *part = json!({"type": "output_text", "text": part["refusal"].as_str().unwrap_or_default()});
        }
    }
    item
}

/// An optional value that is `null` is not there.
fn without_nulls(mut item: Map<String, Value>) -> Map<String, Value> {
    item.retain(|_, value| !value.is_null());
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_kept_as_codex_reads_them() {
        // (what the model sent, what is kept where that differs), as Codex 0.169.0 echoes it after a resume
        let table = [
            (
                json!({"type": "reasoning", "id": "r", "summary": []}),
                Some(r#"{"type":"reasoning","id":"r","summary":[],"content":null,"encrypted_content":null}"#),
            ),
            (
                json!({"id": "r", "type": "reasoning", "status": null, "content": [], "encrypted_content": "x", "summary": []}),
                Some(r#"{"type":"reasoning","id":"r","summary":[],"content":null,"encrypted_content":"x"}"#),
            ),
            (json!({"type": "reasoning", "id": "r", "summary": [], "content": null, "encrypted_content": "x"}), None),
            (
                json!({"type": "reasoning", "id": "r", "summary": [], "encrypted_content": null,
                    "content": [{"type": "reasoning_text", "text": "t"}]}),
                None,
            ),
            (
                json!({"type": "message", "id": "m", "role": "assistant", "phase": null,
                    "content": [{"type": "output_text", "text": "a"}, {"type": "refusal", "refusal": "no"}]}),
                Some(concat!(
                    r#"{"type":"message","id":"m","role":"assistant","content":"#,
                    r#"[{"type":"output_text","text":"a"},{"type":"output_text","text":"no"}]}"#
                )),
            ),
            (
                json!({"type": "function_call", "call_id": "c", "name": "n", "arguments": "null", "namespace": null}),
                Some(r#"{"type":"function_call","call_id":"c","name":"n","arguments":"null"}"#),
            ),
            (json!({"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}), None),
            (json!({"type": "web_search_call", "id": "w", "action": null}), None),
        ];
        for (sent, expected) in table {
            let json = sent.to_string();
            let kept = kept(sent["type"].as_str().unwrap(), json.as_bytes());
            assert_eq!(kept.as_deref().map(RawValue::get), expected, "{json}");
            if let Some(kept) = kept {
                assert!(
                    super::kept(sent["type"].as_str().unwrap(), kept.get().as_bytes()).is_none(),
                    "kept once: {json}"
                );
            }
        }
    }
}
