//! A user's own commands: in a turn of their own, beside a turn, after it, interrupted and lost.

use std::sync::Arc;

use sapwood_protocol::own::{Accepted, Body, InputLane, ProcessGroup};
use sapwood_protocol::{CallId, Line};
use serde_json::Value;

use super::super::Agent;
use super::super::approval::Confinement;
use super::super::effect::Effect;
use super::super::event::Event;
use super::super::input::{Input, Interrupter, ToolEnd, ToolResult};
use super::bench::{Bench, Did, did, exec, text};

fn shell(bench: &mut Bench, id: &str) -> Did {
    let body = Some(Body::Shell { command: format!("run {id}"), timeout_ms: None });
    let turn = Some(format!("turn-{id}").as_str().into());
    bench.accept(Accepted { id: id.into(), place: 0, lane: InputLane::User, wake: false, from: None, body, turn })
}

/// The worker's name for what it is to hold, where that is asked for.
fn effect_of(bench: &Bench, id: &str) -> Option<u64> {
    bench.effects.iter().find_map(|effect| match effect {
        Effect::Hold { effect, call, place, exec, .. } if *call == CallId::from(id) => {
            assert_eq!((&place.confinement, exec.patience, exec.login), (&Confinement::None, None, true));
            Some(*effect)
        }
        _ => None,
    })
}

fn held(bench: &mut Bench, id: &str, effect: u64) -> Did {
    bench.does(Input::Held { effect, call: id.into(), group: ProcessGroup { id: 77, start: 1 } })
}

/// Accepted, and begun with.
fn runs(bench: &mut Bench, id: &str) -> Did {
    let accepted = shell(bench, id);
    let effect = effect_of(bench, id).expect("it is to be held");
    assert_eq!(held(bench, id, effect), did(&["sapwood.shell_started"], &[&format!("release({id})")]));
    accepted
}

fn ended(bench: &mut Bench, id: &str, end: ToolEnd) -> Did {
    let result = ToolResult { end, output: "hi\n".into(), total_bytes: 3, ..ToolResult::nothing() };
    bench.does(Input::ToolEnded { call: id.into(), result })
}

/// What the model reads of commands, in order.
fn told(bench: &Bench) -> Vec<String> {
    let items = bench.machine.agent().history.prompt();
    let text =
        |json: &[u8]| serde_json::from_slice::<Value>(json).unwrap()["content"][0]["text"].as_str().map(str::to_owned);
    items.iter().filter_map(|json| text(json)).filter(|text| text.starts_with("<user_shell_command>")).collect()
}

fn words(command: &str, code: i32, output: &str) -> String {
    format!(
        "<user_shell_command>\n<command>\n{command}\n</command>\n<result>\nExit code: {code}\nDuration: 0.0000 seconds\n\
         Output:\n{output}\n</result>\n</user_shell_command>"
    )
}

/// The items of commands of the user in the rollout: turn, status, exit code.
fn shown(lines: &[Line]) -> Vec<(String, String, i64)> {
    let payloads = lines.iter().map(|line| serde_json::from_str::<Value>(line.view().unwrap().payload.get()).unwrap());
    let items = payloads.filter(|payload| payload["item"]["source"] == "user_shell");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |payload: Value| {
        let item = &payload["item"];
        (text(&payload["turn_id"]), text(&item["status"]), item["exit_code"].as_i64().unwrap())
    };
    items.map(of).collect()
}

fn is_fold(bench: &Bench) {
    assert_eq!(*bench.machine.agent(), Agent::fold(bench.lines.iter().cloned()), "the fold is the state");
}

#[test]
fn without_a_turn_it_has_one_that_asks_no_model() {
    let mut bench = Bench::root();
    assert_eq!(runs(&mut bench, "s1"), did(&["task_started"], &["hold(s1)"]), "and no slot");
    assert_eq!(bench.turn_id().as_str(), "turn-s1");
    assert!(!bench.machine.may_sleep());
    assert_eq!(bench.say("u1", "hello"), did(&[], &[]), "what is said meanwhile waits for a turn that reads it");
    let end = ended(&mut bench, "s1", ToolEnd::Exited(3));
    let expected = ["shown:CommandExecution user!s1", "task_complete"];
    assert_eq!(end, did(&expected, &["ended(Completed)", "want(NewTurn)"]));
    assert_eq!(shown(&bench.lines), [("turn-s1".to_owned(), "failed".to_owned(), 3)]);
    assert_eq!(told(&bench), [words("run s1", 3, "hi\n")]);
    is_fold(&bench);
    bench.does(Input::Granted);
    bench.answer(&[text("done")]);
    assert!(bench.machine.may_sleep());
    // Two at once are one turn's; one that cannot begin is shown all the same.
    runs(&mut bench, "s2");
    shell(&mut bench, "s3");
    ended(&mut bench, "s2", ToolEnd::Exited(0));
    assert!(bench.machine.agent().turn.is_some());
    let refused = ended(&mut bench, "s3", ToolEnd::Refused("no room".into()));
    let lines = "sapwood.shell_started shown:CommandExecution user!s3";
    assert_eq!(refused, did(&[lines, "task_complete"], &["ended(Completed)"]));
    assert_eq!(told(&bench)[2], words("run s3", -1, "no room"));
    is_fold(&bench);
}

#[test]
fn beside_a_turn_it_is_told_before_the_next_request() {
    let mut bench = Bench::root();
    bench.turn();
    assert_eq!(runs(&mut bench, "s1"), did(&[], &["hold(s1)"]));
    assert_eq!(ended(&mut bench, "s1", ToolEnd::Exited(0)), did(&["shown:CommandExecution!early(s1)"], &[]));
    is_fold(&bench);
    assert_eq!(told(&bench), [""; 0]);
    bench.answer(&[exec("a")]);
    bench.held("a");
    let follows = bench.ended("a");
    assert_eq!(
        follows,
        did(&["shown:CommandExecution output(a)", "token_count user!s1"], &["sample#1"]),
        "behind the output of the call"
    );
    assert_eq!(told(&bench), [words("run s1", 0, "hi\n")]);
    // It outlives its turn.
    runs(&mut bench, "s2");
    let turn = bench.turn_id();
    bench.answer(&[text("done")]);
    let detached =
        |effect: &Effect| matches!(effect, Effect::Notify(Event::Detached { item, .. }) if item.as_str() == "s2");
    assert!(bench.effects.iter().any(detached) && !bench.machine.may_sleep());
    let end = ended(&mut bench, "s2", ToolEnd::Signalled(9));
    assert_eq!(end, did(&["shown:CommandExecution user!s2"], &[]));
    assert_eq!(shown(&bench.lines)[1], (turn.as_str().to_owned(), "failed".to_owned(), 137));
    assert!(bench.machine.may_sleep());
    is_fold(&bench);
}

#[test]
fn an_interrupt_ends_the_commands_of_its_turn() {
    let interrupt = |bench: &mut Bench| {
        let turn = bench.turn_id();
        bench.does(Input::Interrupt { turn, by: Interrupter::User })
    };
    let over = "shown:CommandExecution user!s1 developer turn_aborted!Requester";
    let mut bench = Bench::root();
    runs(&mut bench, "s1");
    assert_eq!(interrupt(&mut bench), did(&[over], &["kill(s1)", "ended(Cancelled)"]));
    assert_eq!(told(&bench), [words("run s1", -1, "command aborted by user")]);
    assert_eq!(ended(&mut bench, "s1", ToolEnd::Signalled(15)), did(&[], &[]), "it was told");
    is_fold(&bench);

    // One before it was held, beside a turn.
    let mut bench = Bench::root();
    bench.turn();
    shell(&mut bench, "s1");
    let effect = effect_of(&bench, "s1").unwrap();
    let end = interrupt(&mut bench);
    let begun = format!("sapwood.shell_started {over}");
    assert_eq!(end, did(&[&begun], &["cancel", "dropped", "kill(s1)", "giveBack", "ended(Cancelled)"]));
    assert_eq!(held(&mut bench, "s1", effect), did(&[], &[]), "nothing is let run");
    assert!(bench.machine.may_sleep());
    is_fold(&bench);
}

#[test]
fn what_a_dead_process_ran_is_not_run_again_and_what_it_did_not_is() {
    let unknown = |bench: &Bench| told(bench).iter().all(|text| text.contains("Effect unknown"));
    // In a turn of its own.
    let mut bench = Bench::root();
    runs(&mut bench, "s1");
    let of = |bench: &Bench| Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
    let mut loaded = of(&bench);
    let expected = ["shown:CommandExecution user!s1", "task_complete"];
    let lost = ["shown:CommandExecution user!s1", "turn_aborted!ProcessDeath"];
    assert_eq!(loaded.does(Input::Loaded), did(&lost, &["killLeftover(77)", "ended(Lost)"]));
    assert!(unknown(&loaded));
    is_fold(&loaded);
    // The next incarnation of the same process hears of it before it gives it up.
    let mut next = of(&bench);
    assert_eq!(next.does(Input::Go), did(&[], &[]));
    assert_eq!(ended(&mut next, "s1", ToolEnd::Exited(0)).batches, expected);
    let mut next = of(&bench);
    assert_eq!(next.does(Input::Recovered { culprit: None }).batches, expected);
    assert!(unknown(&next));

    // Beside a turn that is lost with it: the model reads it in the next.
    let mut bench = Bench::root();
    bench.turn();
    runs(&mut bench, "s1");
    let mut loaded = of(&bench);
    let lost = loaded.does(Input::Loaded);
    assert_eq!(lost.batches, ["shown:CommandExecution!early(s1)", "turn_aborted!ProcessDeath"]);
    let mut next = of(&loaded);
    assert_eq!(next.does(Input::Recovered { culprit: None }).batches, ["user!s1"]);
    assert!(unknown(&next));
    is_fold(&next);

    // Accepted, and not begun.
    let mut bench = Bench::root();
    shell(&mut bench, "s1");
    let mut loaded = of(&bench);
    assert_eq!(loaded.does(Input::Loaded), did(&["turn_aborted!ProcessDeath"], &["ended(Lost)"]));
    let mut next = of(&loaded);
    let again = next.does(Input::Recovered { culprit: None });
    assert_eq!(again, did(&["task_started"], &["hold(s1)"]));
    assert_ne!(next.turn_id().as_str(), "turn-s1", "a turn has its id alone");
    is_fold(&next);
}

#[test]
fn only_so_many_run_side_by_side() {
    let mut bench = Bench::root();
    for n in 0..10 {
        shell(&mut bench, &format!("s{n}"));
    }
    assert_eq!(bench.machine.volatile().shells.len(), 8);
    let begun = ended(&mut bench, "s0", ToolEnd::Refused("no".into()));
    assert_eq!(begun.effects, ["hold(s8)"]);
}
