//! Many agents and one slot: whoever waits gives it back, so everybody comes to work, one at a time.

use serde_json::{Value, json};

use crate::world::World;

/// Longer than a run may take: no wait comes to its end by itself.
const FOR_EVER_MS: u64 = 600_000;

const ONE_SLOT: [&str; 4] =
    ["-s", "danger-full-access", "-c", "features.multi_agent_v2.max_concurrent_threads_per_session=1"];

fn spawn(name: &str) -> Value {
    json!({"call": {"name": "spawn_agent", "namespace": "collaboration",
        "arguments": {"task_name": name, "message": "go", "fork_turns": "none"}}})
}

fn wait() -> Value {
    json!({"call": {"name": "wait_agent", "namespace": "collaboration", "arguments": {"timeout_ms": FOR_EVER_MS}}})
}

/// A command that is in the ledger for as long as it runs.
fn work() -> Value {
    json!({"call": {"name": "exec_command",
        "arguments": {"cmd": "echo in {{path}} >> LEDGER; ls / > /dev/null; echo out {{path}} >> LEDGER"}}})
}

/// Runs a tree on one slot: all agents complete, each has worked as often as it should, and no two did at once.
fn runs(rules: Value, agents: usize, works: usize) {
    let world = World::new(&json!({"rules": rules}).to_string()).told(&ONE_SLOT);
    let run = world.exec("go", &[]);
    assert_eq!(run.code(), Some(0), "{run:?}");
    let states = world.ps();
    assert_eq!(states.len(), agents, "{states:?}");
    assert!(states.iter().all(|(_, state, _)| state == "completed"), "{states:?}");
    let ledger = world.ledger();
    assert_eq!(ledger.len(), 2 * works, "{ledger:?}");
    for pair in ledger.chunks(2) {
        let (who, also) = (pair[0].strip_prefix("in "), pair[1].strip_prefix("out "));
        assert!(who.is_some() && who == also, "two worked at once: {ledger:?}");
    }
}

#[test]
fn three_generations_wait_for_each_other_on_one_slot() {
    let parent = |path: &str, child: &str| {
        let rule = json!({"agent": path, "on": {"user": true}, "times": 1, "reply": [spawn(child), work(), wait()]});
        let mail = json!({"agent": path, "on": {"type": "agent_message"}, "times": 1,
            "reply": [spawn(child), work(), wait()]});
        if path == "/root" { rule } else { mail }
    };
    let leaf = json!({"agent": "/root/a/b/c", "on": {"type": "agent_message"}, "times": 1, "reply": [work()]});
    let rest = json!({"reply": [{"text": "{{path}} is done"}]});
    let rules = json!([parent("/root", "a"), parent("/root/a", "b"), parent("/root/a/b", "c"), leaf, rest]);
    runs(rules, 4, 4);
}

#[test]
fn eight_children_share_one_slot() {
    let names: Vec<String> = (0..8).map(|n| format!("child_{n}")).collect();
    let mut first: Vec<Value> = names.iter().map(|name| spawn(name)).collect();
    first.push(wait());
    let rules = json!([
        {"agent": "/root", "on": {"user": true}, "times": 1, "reply": first},
        {"agent": "/root/*", "on": {"type": "agent_message"}, "times": 1, "reply": [work(), work()]},
        {"reply": [{"text": "{{path}} is done"}]},
    ]);
    // The two commands of an answer run beside each other, in one slot.
    let world = World::new(&json!({"rules": rules}).to_string()).told(&ONE_SLOT);
    let run = world.exec("go", &[]);
    assert_eq!(run.code(), Some(0), "{run:?}");
    let ledger = world.ledger();
    assert_eq!(ledger.len(), 8 * 4, "{ledger:?}");
    for four in ledger.chunks(4) {
        let who = |line: &str| line.split_once(' ').unwrap().1.to_owned();
        assert!(four.iter().all(|line| who(line) == who(&four[0])), "two worked at once: {ledger:?}");
    }
}
