//! Messages that wait until the agent is idle, and items that a client puts into the history.

use sapwood_protocol::own::{Accepted, Body, InputLane, Own, QueueChange, QueueLine, QueuedInput, Said};
use serde_json::{Value, json};

use super::super::Agent;
use super::super::input::Input;
use super::bench::{Bench, Did, did, exec, text};

fn input(id: &str, body: Body) -> Accepted {
    let lane = InputLane::User;
    Accepted { id: id.into(), place: 0, lane, wake: false, from: None, body: Some(body), turn: None }
}

fn queue(bench: &mut Bench, id: &str) -> Did {
    let queued = QueuedInput { said: Said::text(format!("later {id}")), metadata: None };
    bench.accept(input(id, Body::Queued(queued)))
}

/// A line about the queue, as the tree writes it.
fn change(bench: &mut Bench, change: QueueChange) -> Did {
    let place = bench.machine.agent().inbox.next_place();
    let line = Own::Queue(QueueLine { place, change }).line(bench.now);
    bench.machine.apply(&line);
    bench.lines.push(line);
    bench.does(Input::Go)
}

fn release(bench: &mut Bench, id: &str) -> Did {
    change(bench, QueueChange::Released { id: id.into(), turn: format!("turn-{id}").as_str().into() })
}

fn waiting(bench: &Bench) -> Vec<(String, String)> {
    let text = |queued: &QueuedInput| {
        serde_json::to_value(&queued.said.input).unwrap()[0]["text"].as_str().unwrap().to_owned()
    };
    bench.machine.agent().inbox.queue().map(|(id, queued)| (id.to_string(), text(queued))).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect()
}

fn folded(bench: &Bench) -> Agent {
    Agent::fold(bench.lines.iter().cloned())
}

#[test]
fn what_is_queued_wakes_nobody_and_steers_nothing() {
    let mut bench = Bench::root();
    assert_eq!(queue(&mut bench, "q1"), did(&[], &[]));
    bench.turn();
    assert_eq!(queue(&mut bench, "q2"), did(&[], &[]));
    let end = bench.answer(&[text("done")]);
    assert!(end.effects.iter().any(|effect| effect == "ended(Completed)"), "{end:?}");
    assert_eq!(waiting(&bench), pairs(&[("q1", "later q1"), ("q2", "later q2")]));
    assert!(bench.machine.may_sleep());
}

#[test]
fn a_released_message_begins_a_turn_of_its_own_and_what_a_user_says_comes_first() {
    let mut bench = Bench::root();
    queue(&mut bench, "q1");
    queue(&mut bench, "q2");
    assert_eq!(release(&mut bench, "q2"), did(&[], &["want(NewTurn)"]));
    bench.say("u1", "now");
    let begun = bench.does(Input::Granted);
    assert_eq!(begun.batches.len(), 1);
    assert!(begun.batches[0].contains("user!u1") && !begun.batches[0].contains("q2"), "{begun:?}");
    // It does not steer the turn that came before it.
    let end = bench.answer(&[text("done")]);
    assert!(end.batches.iter().all(|batch| !batch.contains("q2")), "{end:?}");
    let begun = bench.does(Input::Granted);
    assert!(begun.batches[0].ends_with("user!q2 shown:UserMessage"), "{begun:?}");
    assert_eq!(bench.turn_id(), "turn-q2".into());
    assert_eq!(waiting(&bench), pairs(&[("q1", "later q1")]));
    assert_eq!(folded(&bench), *bench.machine.agent());
}

#[test]
fn changes_apply_once_in_the_order_of_the_file() {
    let mut bench = Bench::root();
    ["q1", "q2", "q3"].iter().for_each(|id| drop(queue(&mut bench, id)));
    change(&mut bench, QueueChange::Ordered { ids: vec!["q3".into(), "q1".into(), "q2".into()] });
    for said in ["first", "second"] {
        let queued = QueuedInput { said: Said::text(said), metadata: None };
        change(&mut bench, QueueChange::Edited { id: "q1".into(), queued });
    }
    let expected = pairs(&[("q3", "later q3"), ("q1", "second"), ("q2", "later q2")]);
    assert_eq!(waiting(&bench), expected);
    // What was folded comes once more through the mailbox, oldest first: nothing of it counts, not even on the way.
    for line in bench.lines.clone() {
        if line.view().unwrap().kind.starts_with("sapwood.") {
            bench.machine.apply(&line);
            assert_eq!(waiting(&bench), expected);
        }
    }
    assert_eq!(folded(&bench), *bench.machine.agent());
}

fn items(id: &str, items: &[Value]) -> Accepted {
    input(id, Body::Items { items: items.to_vec() })
}

fn said(role: &str, text: &str) -> Value {
    json!({"type": "message", "id": "msg_i", "role": role, "content": [{"type": "input_text", "text": text}]})
}

#[test]
fn items_go_into_the_history_of_an_idle_agent_at_once_behind_what_it_is_told_first() {
    let mut bench = Bench::root();
    let call = json!({"type": "function_call", "id": "fc_i", "call_id": "c", "name": "x", "arguments": "{}"});
    let output = json!({"type": "function_call_output", "id": "fco_i", "call_id": "c", "output": "o"});
    let first = bench.accept(items("i1", &[said("user", "a"), call, output]));
    let expected = "developer user turn_context thread_settings_applied user call(c) output(c)!i1";
    assert_eq!(first, did(&[expected], &[]));
    assert_eq!(bench.accept(items("i2", &[said("developer", "b")])), did(&["developer!i2"], &[]));
    // The first context is not told twice, and no call among the items is run.
    let begun = bench.turn();
    assert_eq!(begun.batches, ["task_started turn_context user!u1 shown:UserMessage"]);
    assert_eq!(folded(&bench), *bench.machine.agent());
}

#[test]
fn items_that_only_say_something_come_into_an_open_turn_and_others_behind_it() {
    let mut bench = Bench::root();
    bench.turn();
    let call =
        json!({"type": "function_call", "id": "fc_i", "call_id": "c", "name": "exec_command", "arguments": "{}"});
    bench.accept(items("i1", &[call]));
    bench.accept(items("i2", &[said("user", "look here")]));
    let steered: Vec<String> = bench.lines.iter().map(super::bench::line_in_words).collect();
    let is_in = |lines: &[String], word: &str| lines.iter().any(|line| line == word);
    let told = is_in(&steered, "user!i2") || {
        let more = bench.answer(&[exec("e1")]);
        bench.held("e1");
        let ended = bench.ended("e1");
        more.batches.iter().chain(&ended.batches).any(|batch| batch.contains("user!i2"))
    };
    assert!(told, "{steered:?}");
    assert!(bench.machine.agent().inbox.get(&"i1".into()).is_some(), "a call of a client is not run");
    let end = bench.answer(&[text("done")]);
    assert!(end.batches.last().unwrap().ends_with("call(c)!i1"), "{end:?}");
    assert!(bench.machine.agent().turn.is_none());
    assert_eq!(folded(&bench), *bench.machine.agent());
}
