//! The events of a legacy rollout, which stand where a paginated one has snapshots of items (`goals-and-rollouts.md` A.7).
//!
//! Only some items have an event there: commands and waits have none, and are gone when such a thread is shown again. So
//! Codex 0.169.0 keeps these files (measured), and a program of before knows no more of them.

use sapwood_protocol::{Millis, ThreadId, TurnId};
use serde_json::{Value, json};

/// The events that stand for an item that a snapshot would show so.
pub(super) fn events(thread: ThreadId, turn: &TurnId, item: &Value, now: Millis) -> Vec<Value> {
    match item["type"].as_str().unwrap_or_default() {
        "UserMessage" => vec![json!({
            "type": "user_message", "message": text(item), "images": [], "local_images": [], "audio": [],
            "local_audio": [], "text_elements": [],
        })],
        "AgentMessage" => {
            vec![
                json!({"type": "agent_message", "message": text(item), "phase": item["phase"], "memory_citation": null}),
            ]
        }
        "Reasoning" => {
            let parts = item["summary_text"].as_array().map(Vec::as_slice).unwrap_or_default();
            parts.iter().map(|part| json!({"type": "agent_reasoning", "text": part})).collect()
        }
        // A turn of a child that is completed has no event of its own; the others have one.
        "SubAgentActivity" if item["kind"] == "completed" => vec![json!({
            "type": "item_completed", "thread_id": thread, "turn_id": turn, "item": item,
            "started_at_ms": now, "completed_at_ms": now,
        })],
        "SubAgentActivity" => vec![json!({
            "type": "sub_agent_activity", "model": item["model"], "reasoning_effort": item["reasoning_effort"],
            "event_id": item["id"], "occurred_at_ms": now, "agent_thread_id": item["agent_thread_id"],
            "agent_path": item["agent_path"], "kind": item["kind"],
        })],
        _ => Vec::new(),
    }
}

fn text(item: &Value) -> String {
    let parts = item["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| part["text"].as_str()).collect()
}
