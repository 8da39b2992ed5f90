//! Commands that go on without their calls.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::super::effect::{Effect, Late};
use super::super::input::{Input, Interrupter, ToolEnd, ToolResult};
use super::bench::{Bench, Did, did, exec, function, text};

fn goes_on(bench: &mut Bench, call: &str) -> Did {
    let result =
        ToolResult { end: ToolEnd::Running(77), output: "so far\n".into(), total_bytes: 7, ..ToolResult::nothing() };
    bench.does(Input::ToolEnded { call: call.into(), result })
}

fn ends(bench: &mut Bench, call: &str, turn: &sapwood_protocol::TurnId) -> Did {
    let late = Late {
        call: call.into(),
        turn: turn.clone(),
        session: 77,
        argv: ["bash", "-c", "run"].map(str::to_owned),
        cwd: "/workspace".into(),
        started: bench.now,
        result: ToolResult { end: ToolEnd::Exited(0), ..ToolResult::nothing() },
    };
    bench.does(Input::CommandEnded(Arc::new(late)))
}

/// The item of the newest line.
fn newest_item(bench: &Bench) -> serde_json::Value {
    let line = bench.lines.last().unwrap();
    serde_json::from_str(line.view().unwrap().payload.get()).unwrap()
}

#[test]
fn a_call_is_answered_and_its_item_comes_when_the_command_ends() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[exec("a")]);
    bench.held("a");
    let turn = bench.turn_id();
    assert_eq!(goes_on(&mut bench, "a"), did(&["output(a)", "token_count"], &["sample#1"]));
    assert!(
        bench.outputs()[0]
            .1
            .ends_with("Process running with session ID 77\nOriginal token count: 2\nOutput:\nso far\n")
    );
    let ended = bench.answer(&[text("done")]);
    assert!(ended.effects.contains(&"ended(Completed)".to_owned()), "{ended:?}");
    assert_eq!(ends(&mut bench, "a", &turn), did(&["shown:CommandExecution"], &[]));
    let shown = newest_item(&bench);
    assert_eq!((&shown["turn_id"], &shown["item"]["process_id"]), (&json!(turn), &json!("77")));
}

#[test]
fn a_call_behind_an_open_one_is_answered_in_its_turn() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[exec("a"), exec("b")]);
    bench.held("a");
    bench.held("b");
    let turn = bench.turn_id();
    assert_eq!(goes_on(&mut bench, "b"), did(&["tool_ended(b)"], &[]));
    assert_eq!(ends(&mut bench, "b", &turn), did(&["shown:CommandExecution"], &[]));
    assert_eq!(bench.ended("a"), did(&["shown:CommandExecution output(a)", "output(b)", "token_count"], &["sample#1"]));
}

#[test]
fn an_interrupt_leaves_it_alone() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[exec("a"), exec("b")]);
    bench.held("a");
    bench.held("b");
    goes_on(&mut bench, "a");
    let turn = bench.turn_id();
    let interrupted = bench.does(Input::Interrupt { turn: turn.clone(), by: Interrupter::User });
    assert!(interrupted.effects.contains(&"kill(b)".to_owned()), "{interrupted:?}");
    assert!(!interrupted.effects.contains(&"kill(a)".to_owned()), "{interrupted:?}");
    assert_eq!(ends(&mut bench, "a", &turn), did(&["shown:CommandExecution"], &[]));
}

#[test]
fn what_is_typed_is_typed_once() {
    let mut bench = Bench::root();
    bench.turn();
    let typing = json!({"session_id": 77, "chars": "y\n"}).to_string();
    assert_eq!(
        bench.answer(&[function("t", "", "write_stdin", &typing)]),
        did(&["call(t) usage", "tool_started(t)"], &["type(t)"])
    );
    let typed = bench.effects.iter().find_map(|effect| match effect {
        Effect::Type { typing, .. } => Some((typing.session, typing.chars.clone(), typing.patience)),
        _ => None,
    });
    assert_eq!(typed, Some((77, "y\n".to_owned(), Duration::from_millis(250))));
    // Another incarnation does not know what came of it, and does not type again.
    let mut next = Bench::of(bench.lines.clone(), bench.settings.clone());
    let recovered = next.does(Input::Recovered { culprit: None });
    assert_eq!(recovered.effects, ["want(Resume)"], "{recovered:?}");
    let granted = next.does(Input::Granted);
    assert!(!granted.effects.contains(&"type(t)".to_owned()), "{granted:?}");
    assert!(next.outputs()[0].1.starts_with("Effect unknown:"), "{:?}", next.outputs());
    // This one has its answer.
    assert_eq!(bench.ended("t"), did(&["output(t)", "token_count"], &["sample#1"]));
}
