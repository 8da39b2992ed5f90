//! The prompt that a fold of a recorded rollout gives is the one that was sent.

use sapwood_actors::fold;
use sapwood_protocol::ThreadId;
use sapwood_protocol::ids::synthetic_output_id;
use serde_json::Value;

use crate::fixture::{Fixture, names};

/// Threads whose last recorded request a fold does not give, and why. Everything else must.
const EXEMPT: [(&str, &str, &str); 2] = [
    ("05d-goal-usage-limited", "01a1fb6a-d6c4", "its last request was refused: no answer says where it was made"),
    ("11-steer-and-settings", "01a1fb6b-968a", "its last request asked for a compaction, by an item that is not kept"),
];

/// The prompt of a thread at its last request, as its rollout says.
fn folded(fixture: &Fixture, thread: ThreadId) -> Vec<String> {
    let rollout = fixture.before_last_answer(thread);
    let agent = fold::fold(&fixture.journal(), thread, &rollout).unwrap();
    assert_eq!(agent.identity().thread, thread);
    agent.history.prompt().iter().map(|json| String::from_utf8(json.to_vec()).unwrap()).collect()
}

/// The items of the last recorded request, without the message that carries the base instructions.
fn recorded(fixture: &Fixture, thread: ThreadId) -> Vec<String> {
    let input = fixture.requests[&thread].last().unwrap();
    assert_eq!(input[0]["role"], "developer", "{}: the base instructions lead", fixture.name);
    input[1..].iter().map(Value::to_string).collect()
}

fn compare(name: &str, threads: usize) {
    let fixture = Fixture::read(name);
    let with_rollout: Vec<_> = fixture.requests.keys().filter(|t| fixture.rollouts.contains_key(t)).collect();
    assert_eq!(with_rollout.len(), threads, "{name}");
    for thread in with_rollout {
        assert_eq!(folded(&fixture, *thread), recorded(&fixture, *thread), "{name} {thread}");
    }
}

#[test]
fn a_simple_turn() {
    compare("01-simple-turn-legacy", 1);
    compare("01-simple-turn-paginated", 1);
}

#[test]
fn tools() {
    compare("02-shell-tools-legacy", 1);
    compare("02-shell-tools-paginated", 1);
}

#[test]
fn interrupted_turns() {
    compare("03-interrupted-legacy", 1);
    compare("03-interrupted-paginated", 1);
}

#[test]
fn agents_of_both_versions() {
    compare("04-multi-agent-v1", 3);
    compare("04-multi-agent-v2", 3);
}

#[test]
fn compactions() {
    compare("06-manual-compaction-legacy", 1);
    compare("06-manual-compaction-paginated", 1);
    compare("06b-auto-compaction", 1);
}

#[test]
fn forks() {
    compare("07-fork-legacy", 3);
    compare("07-fork-paginated", 3);
    compare("19-fork-mid-turn-paginated", 2);
}

#[test]
fn a_damaged_tail() {
    compare("09-truncated-tail-legacy", 1);
    compare("09-truncated-tail-paginated", 1);
}

/// A killed process left a call without an output: the prompt shows one whose id follows from the call's.
#[test]
fn a_killed_process() {
    for name in ["08-sigkill-legacy", "08-sigkill-paginated"] {
        compare(name, 1);
        let fixture = Fixture::read(name);
        let thread = *fixture.rollouts.keys().next().unwrap();
        let prompt = &fixture.requests[&thread].last().unwrap();
        let call = prompt.iter().position(|item| item["call_id"] == "call_k").unwrap();
        let id = synthetic_output_id("fco", &prompt[call]["id"].as_str().unwrap().into());
        assert_eq!(id.as_str(), "fco_d917df01-4a76-51f9-8c6d-5f4d97c4c8f4");
        assert_eq!(prompt[call + 1]["id"], id.as_str());
        let text = String::from_utf8(fixture.rollouts[&thread].bytes().to_vec()).unwrap();
        assert!(!text.contains(id.as_str()), "{name}: it is shown and never written");
    }
}

/// The recordings of later goals hold too, so that they keep holding; each exception is real.
#[test]
fn every_other_recording() {
    let mut exempt = EXEMPT.to_vec();
    for name in names() {
        let fixture = Fixture::read(&name);
        for thread in fixture.requests.keys().filter(|thread| fixture.rollouts.contains_key(thread)) {
            let same = folded(&fixture, *thread) == recorded(&fixture, *thread);
            let found = exempt.iter().position(|(n, t, _)| *n == name && thread.to_string().starts_with(t));
            match found {
                Some(at) => assert!(!same, "{name} {thread} is no exception any more: {}", exempt.remove(at).2),
                None => assert!(same, "{name} {thread}"),
            }
            exempt.retain(|(n, t, _)| !(*n == name && thread.to_string().starts_with(t)));
        }
    }
    assert_eq!(exempt, [], "exceptions of recordings that are not there");
}
