//! Legacy rollouts, recorded from Codex 0.169.0, are continued in their own mode.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::Outcome;
use sapwood_protocol::{Line, ThreadId};
use serde_json::{Value, json};

use super::super::effect::{Ask, Effect};
use super::super::input::{Answer, Input, Interrupter};
use super::super::{Agent, Settings};
use super::bench::{Bench, collab, exec, line_in_words, text, thread};

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => find(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}

/// The lines of the rollouts of a recording, in the order of their names.
fn recorded(name: &str) -> Vec<Vec<Line>> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/codex-rollouts");
    let mut found = Vec::new();
    find(&home.join(name).join("sessions"), &mut found);
    found.sort();
    let lines = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| Line::from_bytes(line.to_owned().into_bytes().into())).collect()
    };
    found.iter().map(lines).collect()
}

fn continued(name: &str) -> Bench {
    let lines = recorded(name).remove(0);
    let mut bench = Bench::of(lines, Arc::new(Settings::default()));
    bench.does(Input::Recovered { culprit: None });
    assert_eq!(bench.machine.agent().next_ordinal, None);
    bench
}

fn value(line: &Line) -> Value {
    serde_json::from_slice(line.bytes()).unwrap()
}

/// Kind and tag of each line, without what only the first turn of a thread has.
fn shapes(lines: &[Line]) -> Vec<String> {
    let shape = |line: &Line| {
        let line = value(line);
        let tag = line["payload"]["type"].as_str().unwrap_or_default();
        format!("{} {tag}", line["type"].as_str().unwrap())
    };
    let first = ["session_meta ", "world_state ", "event_msg thread_settings_applied"];
    lines.iter().map(shape).filter(|shape| !first.contains(&shape.as_str())).collect()
}

/// The new lines of a bench, ours left out.
fn new_lines(bench: &Bench, before: usize) -> Vec<Line> {
    let is_codex = |line: &&Line| !line.view().unwrap().kind.starts_with("sapwood.");
    bench.lines[before..].iter().filter(is_codex).cloned().collect()
}

fn check(bench: &Bench) {
    assert_eq!(Agent::fold(bench.lines.iter().cloned()), *bench.machine.agent(), "folded is lived");
    for line in &bench.lines {
        let line = value(line);
        assert!(line["ordinal"].is_null(), "no line has an ordinal: {line}");
        let item = &line["payload"]["item"];
        assert!(item.is_null() || item["kind"] == "completed", "an item has no snapshot: {line}");
    }
}

fn events(lines: &[Line], tag: &str) -> Vec<Value> {
    lines.iter().map(|line| value(line)["payload"].take()).filter(|payload| payload["type"] == tag).collect()
}

#[test]
fn a_turn_is_written_as_it_was_recorded() {
    let mut bench = continued("01-simple-turn-legacy");
    let recorded = bench.lines.clone();
    bench.say("u1", "Say hello");
    bench.does(Input::Granted);
    let reasoning = json!({"type": "reasoning", "id": "rs_9",
        "summary": [{"type": "summary_text", "text": "Thinking about the greeting"}], "encrypted_content": "x"});
    bench.answer(&[reasoning, text("Hello from the fake model.")]);
    let new = new_lines(&bench, recorded.len());
    // The recorded first turn, without the two messages that only it has.
    let mut expected = shapes(&recorded[..16]);
    expected.drain(1..3);
    assert_eq!(shapes(&new), expected);
    for tag in ["user_message", "agent_reasoning", "agent_message"] {
        assert_eq!(events(&new, tag), events(&recorded, tag)[..1], "{tag}");
    }
    check(&bench);
}

#[test]
fn commands_side_by_side_leave_their_outputs_alone() {
    let mut bench = continued("02-shell-tools-legacy");
    let recorded = bench.lines.clone();
    bench.say("u1", "Run commands");
    bench.does(Input::Granted);
    bench.answer(&[text("I will run two commands."), exec("one"), exec("two")]);
    bench.held("one");
    bench.held("two");
    let before = bench.lines.len();
    bench.ended("two");
    assert_eq!(bench.lines[before..].iter().map(line_in_words).collect::<Vec<_>>(), ["tool_ended(two)"]);
    // What waits survives a crash, without a line that Codex would not know.
    let mut next = Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
    next.does(Input::Recovered { culprit: None });
    check(&bench);
    bench.ended("one");
    bench.answer(&[text("Both ran.")]);
    let new = new_lines(&bench, recorded.len());
    // Up to the count behind the two outputs; then the final answer and the end.
    let mut expected = shapes(&recorded[..17]);
    expected.drain(1..3);
    expected.extend(shapes(&recorded[recorded.len() - 5..]));
    assert_eq!(shapes(&new), expected);
    check(&bench);
}

#[test]
fn an_interrupted_turn_is_closed_as_it_was_recorded() {
    let mut bench = continued("03-interrupted-legacy");
    let before = bench.lines.len();
    bench.say("u1", "Run a long command");
    bench.does(Input::Granted);
    bench.answer(&[exec("long")]);
    bench.held("long");
    let turn = bench.turn_id();
    bench.does(Input::Interrupt { turn, by: Interrupter::User });
    let new = new_lines(&bench, before);
    let tail = shapes(&new);
    let end = ["response_item function_call_output", "response_item message", "event_msg turn_aborted"];
    assert_eq!(tail[tail.len() - 3..], end);
    check(&bench);
}

#[test]
fn calls_and_reports_are_numbered_by_lines_that_codex_counts_too() {
    let mut bench = continued("01-simple-turn-legacy");
    bench.say("u1", "go");
    bench.does(Input::Granted);
    let send = |call: &str| collab(call, "send_message", &json!({"target": "/root", "message": call}));
    bench.answer(&[send("m1"), send("m2")]);
    let mut numbers = Vec::new();
    for call in ["m1", "m2"] {
        let n = bench.effects.iter().find_map(|effect| match effect {
            Effect::Ask { ask: Ask::Mail { n, .. }, .. } => Some(*n),
            _ => None,
        });
        numbers.push(n.unwrap());
        let place = new_lines(&bench, 0).iter().position(|line| line_in_words(line) == format!("call({call})"));
        assert_eq!(n, place.map(|place| place as u64), "its line, lines of ours not counted");
        bench.does(Input::Answered { call: call.into(), answer: Answer::Done { output: String::new(), agent: None } });
    }
    assert!(numbers[0] < numbers[1], "two mails are two: {numbers:?}");
    assert_eq!(bench.machine.agent().next_number(), new_lines(&bench, 0).len() as u64);
    check(&bench);
}

#[test]
fn what_agents_do_to_each_other_is_written_as_measured() {
    let mut bench = continued("01-simple-turn-legacy");
    bench.say("u1", "go");
    bench.does(Input::Granted);
    bench.answer(&[collab("s", "spawn_agent", &json!({"task_name": "a", "message": "m"}))]);
    let path = sapwood_protocol::AgentPath::root().join("a").unwrap();
    let done = Answer::Done { output: "{}".into(), agent: Some((thread(2), path)) };
    bench.does(Input::Answered { call: "s".into(), answer: done });
    let activity = events(&bench.lines, "sub_agent_activity");
    let now = bench.now;
    let expected = json!({
        "type": "sub_agent_activity", "model": activity[0]["model"], "reasoning_effort": null, "event_id": "s",
        "occurred_at_ms": now, "agent_thread_id": thread(2), "agent_path": "/root/a", "kind": "started",
    });
    assert_eq!(activity, [expected]);
    let keys: Vec<_> = activity[0].as_object().unwrap().keys().map(String::as_str).collect();
    let measured =
        ["type", "model", "reasoning_effort", "event_id", "occurred_at_ms", "agent_thread_id", "agent_path", "kind"];
    assert_eq!(keys, measured);
    check(&bench);
}

/// A tree of the first generation: its children have no path, and its root goes on.
#[test]
fn a_tree_of_the_first_generation_goes_on() {
    let rollouts = recorded("04-multi-agent-v1");
    let mut paths = Vec::new();
    for lines in rollouts {
        let agent = Agent::fold(lines.iter().cloned());
        assert!(agent.turn.is_none() && agent.unreadable == 0);
        let root: ThreadId = agent.identity().session.into();
        let is_child = agent.identity().parent.is_some();
        paths.push(agent.identity().path.to_string());
        let mut bench = Bench::of(lines, Arc::new(Settings::default()));
        let before = bench.lines.len();
        bench.does(Input::Recovered { culprit: None });
        let done = if is_child {
            assert_eq!(agent.identity().parent, Some(root));
            bench.effects.clear();
            bench.mail(1, 4, MailKind::NewTask);
            bench.does(Input::Reported { n: agent.last_turn.as_ref().unwrap().n, accepted: true });
            bench.does(Input::Granted);
            bench.answer(&[text("done")])
        } else {
            bench.say("u1", "go on");
            bench.does(Input::Granted);
            bench.answer(&[text("done")])
        };
        assert_eq!(bench.machine.agent().last_turn.as_ref().unwrap().outcome, Outcome::Completed, "{done:?}");
        assert!(bench.lines.len() > before);
    }
    assert_eq!(paths, ["/root", "/root/volta", "/root/galileo"]);
}
