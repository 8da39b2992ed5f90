//! What holds for the rollouts of every tree, however its run went.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::World;

/// Checks all rollouts: each line is JSON, each turn that began has one end, each call has one output, and no call
/// was started twice.
pub fn check(world: &World) {
    for path in world.rollouts() {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")));
        let mut counts: BTreeMap<(&'static str, String), usize> = BTreeMap::new();
        for line in lines {
            if let Some(key) = key(&line) {
                *counts.entry(key).or_default() += 1;
            }
        }
        let of = |kind, id: &str| counts.get(&(kind, id.to_owned())).copied().unwrap_or_default();
        for ((kind, id), count) in &counts {
            assert_eq!(*count, 1, "{kind} {id} in {}", path.display());
            let end = match *kind {
                "call" => "output",
                "turn" => "end",
                _ => continue,
            };
            assert_eq!(of(end, id), 1, "{kind} {id} has no {end} in {}", path.display());
        }
    }
}

/// What a line begins or ends.
fn key(line: &Value) -> Option<(&'static str, String)> {
    let payload = &line["payload"];
    let id = |key: &str| payload[key].as_str().unwrap_or_default().to_owned();
    match (line["type"].as_str()?, payload["type"].as_str().unwrap_or_default()) {
        ("response_item", "function_call") => Some(("call", id("call_id"))),
        ("response_item", "function_call_output") => Some(("output", id("call_id"))),
        ("event_msg", "task_started") => Some(("turn", id("turn_id"))),
        ("event_msg", "task_complete" | "turn_aborted") => Some(("end", id("turn_id"))),
        ("sapwood.tool_started", _) => Some(("started", id("call"))),
        _ => None,
    }
}
