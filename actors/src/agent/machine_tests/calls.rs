//! Calls: started in order, answered in order, whatever the model sends.

use sapwood_protocol::item::MailKind;
use serde_json::json;

use super::super::effect::{Effect, Timer};
use super::super::input::{Answer, Input, Interrupter};
use super::bench::{Bench, collab, did, exec, function, text};

/// An argument as long as what a model may send at once.
const HUGE: usize = 10 * 1024 * 1024;

#[test]
fn commands_run_side_by_side_and_are_answered_in_order() {
    let mut bench = Bench::root();
    bench.turn();
    assert_eq!(
        bench.answer(&[text("three"), exec("a"), exec("b"), exec("c")]),
        did(&["shown:AgentMessage assistant call(a) call(b) call(c) usage"], &["hold(a)", "hold(b)", "hold(c)"])
    );
    // (what happens, to which call, the batches, the effects)
    let table: [(&str, &str, &[&str], &[&str]); 6] = [
        ("held", "b", &["tool_started(b)"], &["release(b)"]),
        ("held", "a", &["tool_started(a)"], &["release(a)"]),
        ("ended", "b", &["shown:CommandExecution!early(b)"], &[]),
        ("held", "c", &["tool_started(c)"], &["release(c)"]),
        ("ended", "a", &["shown:CommandExecution output(a)", "output(b)"], &[]),
        ("ended", "c", &["shown:CommandExecution output(c)", "token_count"], &["sample#1"]),
    ];
    for (what, call, batches, effects) in table {
        let is = if what == "held" { bench.held(call) } else { bench.ended(call) };
        assert_eq!(is, did(batches, effects), "{what} {call}");
    }
    let outputs = bench.outputs();
    let calls: Vec<_> = outputs.iter().map(|(call, _)| call.as_str()).collect();
    assert_eq!(calls, ["a", "b", "c"]);
    assert!(outputs.iter().all(|(call, output)| output.ends_with(&format!("Output:\n{call} ran\n"))), "{outputs:?}");
}

#[test]
fn a_tool_that_acts_on_agents_has_the_turn_to_itself() {
    let mut bench = Bench::root();
    bench.turn();
    let list = collab("l", "list_agents", &json!({}));
    let send = collab("s", "send_message", &json!({"target": "/root/x", "message": "hi"}));
    assert_eq!(bench.answer(&[exec("a"), list, send, exec("b")]).effects, ["hold(a)"]);
    bench.held("a");
    assert_eq!(bench.ended("a").effects, ["ask(l)"]);
    let done = |output: &str| Answer::Done { output: output.into(), agent: None };
    assert_eq!(bench.does(Input::Answered { call: "l".into(), answer: done("{}") }), did(&["output(l)"], &["ask(s)"]));
    let answered = bench.does(Input::Answered { call: "s".into(), answer: done("") });
    assert_eq!(answered, did(&["output(s)"], &["hold(b)"]));
    let again = Input::Answered { call: "s".into(), answer: done("twice") };
    assert_eq!(bench.does(again), did(&[], &[]), "a call is answered once");
}

#[test]
fn a_command_that_is_held_for_nobody_is_killed() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[exec("a")]);
    let effect = bench.machine.volatile().busy[&"a".into()];
    let group = sapwood_protocol::own::ProcessGroup { id: 7, start: 1 };
    let held = |effect| Input::Held { effect, call: "a".into(), group };
    assert_eq!(bench.does(held(effect ^ 1)), did(&[], &[]), "that of an incarnation before: its worker is gone");
    assert_eq!(bench.does(held(effect)), did(&["tool_started(a)"], &["release(a)"]));
    assert_eq!(bench.does(held(effect)), did(&[], &["kill(a)"]), "it runs already");
}

#[test]
fn a_wait_parks_and_goes_on_with_mail_a_word_or_its_time() {
    // (what ends it, the output)
    let table = [
        ("mail", r#"{"message":"Wait completed.","timed_out":false}"#),
        ("steer", r#"{"message":"Wait interrupted by new input.","timed_out":false}"#),
        ("time", r#"{"message":"Wait timed out.","timed_out":true}"#),
    ];
    for (end, output) in table {
        let mut bench = Bench::root();
        bench.turn();
        let wait = collab("w", "wait_agent", &json!({"timeout_ms": 20_000}));
        assert_eq!(
            bench.answer(&[wait]),
            did(&["call(w) usage", "waiting(w)"], &["giveBack", "timer(w 20000)"]),
            "{end}: it parks"
        );
        assert!(bench.machine.agent().parked());
        let wants = match end {
            "mail" => bench.mail(3, 4, MailKind::Message),
            "steer" => bench.say("u2", "hurry"),
            _ => {
                bench.now = bench.now.plus(20_000);
                bench.does(Input::Due(Timer::Wait("w".into())))
            }
        };
        assert_eq!(wants, did(&[], &["want(Resume)"]), "{end}: nothing is written before a slot is granted");
        let goes_on = bench.does(Input::Granted);
        assert_eq!(goes_on.batches[0], "shown:CollabAgentToolCall output(w)", "{end}");
        assert!(goes_on.batches[1].starts_with("token_count"), "{end}: {goes_on:?}");
        assert_eq!(goes_on.effects, ["sample#1"], "{end}");
        assert_eq!(bench.outputs(), [("w".to_owned(), output.to_owned())], "{end}");
    }
}

#[test]
fn an_interrupt_answers_what_began_and_nothing_else() {
    let mut bench = Bench::root();
    bench.turn();
    let send = collab("d", "send_message", &json!({"target": "/root/x", "message": "hi"}));
    bench.answer(&[exec("a"), exec("b"), exec("c"), send]);
    bench.held("a");
    bench.held("b");
    bench.ended("b");
    let turn = bench.turn_id();
    assert_eq!(
        bench.does(Input::Interrupt { turn, by: Interrupter::User }),
        did(
            &["output(a) output(b) output(c) developer turn_aborted!Requester"],
            &["kill(a)", "kill(c)", "giveBack", "ended(Cancelled)"]
        )
    );
    let outputs = bench.outputs();
    let ends: Vec<_> = outputs.iter().map(|(call, text)| (call.as_str(), text.lines().last().unwrap())).collect();
    assert_eq!(
        ends,
        [("d", "aborted"), ("a", "aborted by user"), ("b", "b ran"), ("c", "aborted by user")],
        "the last one never started: it is shown so, right after its call, and not written"
    );
    assert_eq!(bench.ended("a"), did(&[], &[]), "the answer of a killed command is dropped");
}

#[test]
fn an_interrupt_ends_a_wait() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[collab("w", "wait_agent", &json!({}))]);
    let turn = bench.turn_id();
    let ended = bench.does(Input::Interrupt { turn, by: Interrupter::User });
    assert_eq!(ended, did(&["output(w) developer turn_aborted!Requester"], &["ended(Cancelled)"]));
    assert_eq!(bench.does(Input::Due(Timer::Wait("w".into()))), did(&[], &[]));
}

/// Whatever is wrong with a call, the model is told in a few words and the turn goes on.
#[test]
fn calls_that_cannot_be_understood_are_answered_in_few_words() {
    let huge = "x".repeat(HUGE);
    let table = [
        ("unknown", function("a", "", "no_such_tool", "{}"), "unsupported call: no_such_tool"),
        (
            "of another namespace",
            function("a", "other", "exec_command", "{\"cmd\": \"ls\"}"),
            "unsupported call: other",
        ),
        (
            "custom, of a namespace",
            json!({"type": "custom_tool_call", "id": "ctc_a", "call_id": "a", "namespace": "other", "name": "patch",
                "input": ""}),
            "unsupported call: otherpatch",
        ),
        ("broken", function("a", "", "exec_command", "{\"cmd\": "), "failed to parse function arguments: EOF"),
        ("no object", function("a", "", "exec_command", "7"), "failed to parse function arguments: invalid type"),
        ("huge and broken", function("a", "", "exec_command", &huge), "failed to parse function arguments: expected"),
        ("huge name", function("a", "", &huge, "{}"), "unsupported call: xxx"),
        (
            "huge key",
            collab("a", "list_agents", &json!({huge.as_str(): 1})),
            "failed to parse function arguments: unknown field `xxx",
        ),
        (
            "huge value of a wrong type",
            collab("a", "wait_agent", &json!({"timeout_ms": huge})),
            "failed to parse function arguments: invalid type: string \"xxx",
        ),
        (
            "huge task name",
            collab("a", "spawn_agent", &json!({"task_name": huge, "message": "m", "fork_turns": "none"})),
            "",
        ),
        (
            "custom",
            json!({"type": "custom_tool_call", "id": "ctc_a", "call_id": "a", "name": "no_patch", "input": huge}),
            "unsupported call: no_patch",
        ),
        (
            "huge patch",
            json!({"type": "custom_tool_call", "id": "ctc_a", "call_id": "a", "name": "apply_patch", "input": huge}),
            "apply_patch verification failed: invalid patch: it has 10485760 bytes",
        ),
    ];
    for (what, call, start) in table {
        let mut bench = Bench::root();
        bench.turn();
        assert_eq!(bench.answer(&[call]), did(&["call(a) usage", "output(a)", "token_count"], &["sample#1"]), "{what}");
        let outputs = bench.outputs();
        assert!(outputs[0].1.starts_with(start), "{what}: {:.200}", outputs[0].1);
        assert!(outputs[0].1.len() < 8 * 1024, "{what}: the model is told {} bytes", outputs[0].1.len());
    }
}

#[test]
fn a_huge_command_runs() {
    let mut bench = Bench::root();
    bench.turn();
    let cmd = "x".repeat(HUGE);
    let call = function("a", "", "exec_command", &json!({"cmd": cmd}).to_string());
    assert_eq!(bench.answer(&[call]).effects, ["hold(a)"]);
    let held = bench.effects.iter().find_map(|effect| match effect {
        Effect::Hold { exec, .. } => Some(exec.cmd.len()),
        _ => None,
    });
    assert_eq!(held, Some(HUGE));
    bench.held("a");
    assert_eq!(bench.ended("a").effects, ["sample#1"]);
}

#[test]
fn a_refusal_of_the_tree_is_told_in_few_words() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[collab("a", "send_message", &json!({"target": "x".repeat(HUGE), "message": "m"}))]);
    let refused = format!("live agent path `/root/{}` not found", "x".repeat(HUGE));
    let did_now = bench.does(Input::Answered { call: "a".into(), answer: Answer::Refused(refused) });
    assert_eq!(did_now, did(&["output(a)", "token_count"], &["sample#1"]));
    let outputs = bench.outputs();
    assert!(outputs[0].1.starts_with("live agent path `/root/xxx") && outputs[0].1.ends_with("xxx` not found"));
    assert!(outputs[0].1.len() < 8 * 1024);
}
