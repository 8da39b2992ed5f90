//! Questions to people and clients, and patches: asked, answered, followed.

use std::sync::Arc;

use sapwood_protocol::approval::{ApprovalPolicy, SandboxPolicy};
use sapwood_protocol::asked::{Amendment, Asked, ContentItem, Decision, Resolution, What};
use sapwood_protocol::ids::AskId;
use serde_json::{Value, json};

use super::super::approval::Confinement;
use super::super::effect::Effect;
use super::super::event::{Event, Shown};
use super::super::input::{Input, Interrupter, Patched, Planned, ToolResult};
use super::super::{Agent, Settings};
use super::bench::{Bench, Did, did, exec, function, text};
use crate::patch::words::Outcome;
use crate::patch::{Applied, Files, Found, Kind, parse, plan};

fn settings(policy: ApprovalPolicy, sandbox: SandboxPolicy) -> Settings {
    Settings { approval_policy: policy, sandbox, asks_in_default_mode: true, ..Settings::default() }
}

/// A root that asks, in a turn that the model was asked in.
pub fn asking() -> Bench {
    let mut bench = Bench::root_with(settings(ApprovalPolicy::OnRequest, SandboxPolicy::READ_ONLY));
    bench.turn();
    bench
}

/// A command that wants to run without a sandbox.
pub fn escalated(call: &str) -> Value {
    let arguments =
        json!({"cmd": format!("run {call}"), "sandbox_permissions": "require_escalated", "justification": "why"});
    function(call, "", "exec_command", &arguments.to_string())
}

/// A patch that adds a file.
pub fn patch(call: &str, file: &str) -> Value {
    let input = format!("*** Begin Patch\n*** Add File: {file}\n+x\n*** End Patch\n");
    json!({"type": "custom_tool_call", "id": format!("ctc_{call}"), "call_id": call, "name": "apply_patch", "input": input})
}

fn decided(decision: Decision) -> Resolution {
    Resolution::Decided { decision }
}

fn asks(bench: &Bench) -> Vec<Arc<Asked>> {
    bench.machine.agent().asks.open().to_vec()
}

/// The one question that is open.
pub fn ask(bench: &Bench) -> Arc<Asked> {
    let [asked] = &asks(bench)[..] else { panic!("{:?}", asks(bench)) };
    Arc::clone(asked)
}

/// Somebody answers the question of a call.
pub fn answers(bench: &mut Bench, call: &str, how: Resolution) -> Did {
    let asked = bench.machine.agent().asks.of_call(&call.into()).expect("it is asked").id.clone();
    bench.does(Input::AnsweredAsk { id: asked, how })
}

struct Empty;

impl Files for Empty {
    fn look(&self, path: &std::path::Path) -> std::io::Result<Found> {
        Ok(Found { real: path.to_owned(), is_link: false, kind: Kind::Missing })
    }
}

/// What the patch that is to be looked at would do.
pub fn planned(bench: &Bench) -> (u64, Arc<Planned>) {
    let found = bench.effects.iter().find_map(|effect| match effect {
        Effect::Plan { effect, patch, place, .. } => {
            let plan = plan(&parse(patch).unwrap(), std::path::Path::new(&place.cwd), &Empty).unwrap();
            let paths = plan.changes.iter().map(|change| change.path.to_string_lossy().into_owned()).collect();
            Some((*effect, Arc::new(Planned { plan, paths })))
        }
        _ => None,
    });
    found.expect("a patch is to be looked at")
}

/// It was looked at.
pub fn looked_at(bench: &mut Bench, call: &str) -> Did {
    let (effect, planned) = planned(bench);
    bench.does(Input::Planned { effect, call: call.into(), result: Ok(planned) })
}

/// It was done.
pub fn patched(bench: &mut Bench, call: &str) -> Did {
    let planned = bench.machine.volatile().planned[&call.into()].clone();
    let outcome = Outcome::of(&planned.plan, &Ok(Applied { left: Vec::new() }));
    let result = Patched { planned, outcome, took: std::time::Duration::ZERO, diff: Some("diff".into()) };
    bench.does(Input::Patched { call: call.into(), result })
}

/// What of questions and items was told, in order.
fn told(bench: &Bench) -> Vec<String> {
    let of_item = |item: &Shown| item.id().map(|id| id.to_string()).unwrap_or_default();
    let word = |event: &Event| match event {
        Event::ItemStarted { item, .. } => Some(format!("started({})", of_item(item))),
        Event::ItemCompleted { item, .. } => Some(format!("completed({})", of_item(item))),
        Event::Asked { asked, .. } => Some(format!("asked({})", asked.call)),
        Event::Resolved { asked, .. } => Some(format!("resolved({})", asked.call)),
        Event::Plan { .. } => Some("plan".into()),
        Event::Diff { .. } => Some("diff".into()),
        Event::TurnEnded { .. } => Some("ended".into()),
        _ => None,
    };
    let events =
        bench.effects.iter().filter_map(|effect| if let Effect::Notify(event) = effect { word(event) } else { None });
    events.collect()
}

fn confinement(bench: &Bench) -> Option<Confinement> {
    bench.effects.iter().find_map(|effect| match effect {
        Effect::Hold { place, .. } | Effect::Apply { place, .. } => Some(place.confinement.clone()),
        _ => None,
    })
}

/// The statuses of the items of this kind in the rollout.
fn statuses(bench: &Bench, kind: &str) -> Vec<String> {
    let payload =
        |line: &sapwood_protocol::Line| serde_json::from_str::<Value>(line.view().unwrap().payload.get()).unwrap();
    let items = bench.lines.iter().map(payload).filter(|payload| payload["item"]["type"] == kind);
    items.map(|payload| payload["item"]["status"].as_str().unwrap_or_default().to_owned()).collect()
}

fn is_fold(bench: &Bench) {
    assert_eq!(*bench.machine.agent(), Agent::fold(bench.lines.iter().cloned()), "the fold is the state");
}

#[test]
fn a_question_parks_its_turn_and_a_yes_runs_the_command_once() {
    let words = Amendment { execpolicy_amendment: vec!["run".into()] };
    for yes in [Decision::Accept, Decision::AcceptForSession, Decision::AcceptWithExecpolicyAmendment(words)] {
        let mut bench = asking();
        let asked = bench.answer(&[escalated("a")]);
        let id = ask(&bench).id.clone();
        assert_eq!(asked, did(&["call(a) usage", &format!("asked(a{id})")], &["giveBack"]));
        assert_eq!(told(&bench), ["started(a)", "asked(a)"]);
        assert!(bench.machine.agent().parked() && bench.machine.only_asks() && !bench.machine.may_sleep());
        assert_eq!(bench.does(Input::Go), did(&[], &[]), "it waits");
        let yes = decided(yes);
        assert_eq!(answers(&mut bench, "a", yes.clone()), did(&[&format!("answered({id})")], &["want(Resume)"]));
        assert_eq!(told(&bench), ["resolved(a)"]);
        let again = bench.does(Input::AnsweredAsk { id: id.clone(), how: yes });
        assert_eq!(again, did(&[], &[]), "who answers twice is not heard");
        assert_eq!(bench.does(Input::Granted), did(&[], &["hold(a)"]));
        assert_eq!(confinement(&bench), Some(Confinement::None));
        assert_eq!(bench.held("a"), did(&["tool_started(a)"], &["release(a)"]));
        assert_eq!(bench.ended("a"), did(&["shown:CommandExecution output(a)", "token_count"], &["sample#1"]));
        assert_eq!(told(&bench), ["completed(a)"]);
        is_fold(&bench);
    }
}

#[test]
fn a_no_goes_on_and_a_cancel_ends_the_turn() {
    // (the answer, what the model reads, the item's status, the turn ends)
    let table = [
        (decided(Decision::Decline), "exec_command failed: rejected by user", "declined", false),
        (Resolution::Failed, "exec_command failed: approval request failed", "failed", false),
        (Resolution::Withdrawn, "exec_command failed: approval request failed", "failed", false),
        (decided(Decision::Cancel), "exec_command failed: rejected by user", "declined", true),
    ];
    for (how, output, status, ends) in table {
        let mut bench = asking();
        bench.answer(&[exec("before"), escalated("a"), escalated("b")]);
        bench.held("before");
        bench.ended("before");
        answers(&mut bench, "a", how);
        let follows = bench.does(Input::Granted);
        assert_eq!(statuses(&bench, "CommandExecution")[1], status);
        match ends {
            true => {
                let events = ["resolved(b)", "completed(a)", "completed(b)", "ended"];
                assert_eq!(told(&bench), events);
                assert!(bench.machine.agent().turn.is_none() && asks(&bench).is_empty(), "{follows:?}");
            }
            false => {
                assert_eq!(follows, did(&["shown:CommandExecution output(a)"], &["giveBack"]), "b is asked still");
                assert_eq!(told(&bench), ["completed(a)"]);
                answers(&mut bench, "b", decided(Decision::Decline));
                bench.does(Input::Granted);
            }
        }
        let outputs = bench.outputs();
        assert!(outputs.iter().any(|(call, said)| call == "a" && said == output), "{outputs:?}");
        is_fold(&bench);
    }
}

#[test]
fn commands_beside_a_question_run_and_are_answered_in_order() {
    let mut bench = asking();
    let began = bench.answer(&[exec("a"), escalated("b"), exec("c")]);
    assert_eq!(began.effects, ["hold(a)", "hold(c)"]);
    bench.held("a");
    bench.held("c");
    assert_eq!(bench.ended("c"), did(&["shown:CommandExecution!early(c)"], &[]));
    assert_eq!(answers(&mut bench, "b", decided(Decision::Accept)).effects, ["hold(b)"], "a slot is held for a");
    assert_eq!(bench.ended("a"), did(&["shown:CommandExecution output(a)"], &[]));
    bench.held("b");
    let last = bench.ended("b");
    assert_eq!(last, did(&["shown:CommandExecution output(b)", "output(c)", "token_count"], &["sample#1"]));
    is_fold(&bench);
}

#[test]
fn a_cancel_behind_what_ended_early_writes_it_once() {
    let mut bench = asking();
    bench.answer(&[escalated("a"), exec("b"), escalated("c")]);
    bench.held("b");
    bench.ended("b");
    answers(&mut bench, "a", decided(Decision::Decline));
    answers(&mut bench, "c", decided(Decision::Cancel));
    let ends = bench.does(Input::Granted);
    let expected = [
        "shown:CommandExecution output(a)",
        "output(b)",
        "shown:CommandExecution output(c) developer turn_aborted!Requester",
    ];
    assert_eq!(ends.batches, expected);
    is_fold(&bench);
}

#[test]
fn an_interrupt_withdraws_questions_first() {
    let mut bench = asking();
    bench.answer(&[exec("a"), escalated("b")]);
    bench.held("a");
    let id = ask(&bench).id.clone();
    let turn = bench.turn_id();
    let lines = format!("answered({id}) output(a) shown:CommandExecution output(b) developer turn_aborted!Requester");
    assert_eq!(
        bench.does(Input::Interrupt { turn, by: Interrupter::User }),
        did(&[&lines], &["kill(a)", "giveBack", "ended(Cancelled)"])
    );
    assert_eq!(told(&bench), ["resolved(b)", "completed(b)", "ended"]);
    assert_eq!(bench.does(Input::AnsweredAsk { id, how: decided(Decision::Accept) }), did(&[], &[]), "late");
    is_fold(&bench);
}

#[test]
fn a_question_outlives_incarnations_and_processes_with_its_id() {
    let mut bench = asking();
    bench.answer(&[escalated("a"), patch("p", "x.txt"), exec("b")]);
    let id = ask(&bench).id.clone();
    let mut next = Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
    assert_eq!(next.does(Input::Recovered { culprit: None }), did(&[], &[]));
    assert_eq!(told(&next), ["started(a)", "asked(a)"]);
    assert_eq!(ask(&next).id, id);
    let mut loaded = Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
    assert_eq!(loaded.does(Input::Loaded), did(&[], &[]), "it is kept");
    answers(&mut loaded, "a", decided(Decision::Accept));
    assert_eq!(loaded.does(Input::Granted).effects, ["hold(a)"], "the answer goes on with the turn");
    loaded.held("a");
    // Between the answer and the start, nothing was done: it is done then.
    let mut answered = Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
    answers(&mut answered, "a", decided(Decision::Accept));
    let mut again = Bench::of(answered.lines.clone(), Arc::clone(&bench.settings));
    again.does(Input::Recovered { culprit: None });
    assert_eq!(again.does(Input::Granted).effects, ["hold(a)"]);
    // Also by the next process: what was answered is not lost with its turn.
    let mut loaded_then = Bench::of(answered.lines.clone(), Arc::clone(&bench.settings));
    assert_eq!(loaded_then.does(Input::Loaded), did(&[], &[]), "it is kept");
    let agent = loaded_then.machine.agent();
    assert_eq!((agent.parked(), agent.was_answered(), agent.asks.is_empty()), (true, true, true));
    let mut next = Bench::of(loaded_then.lines.clone(), Arc::clone(&bench.settings));
    assert_eq!(next.does(Input::Recovered { culprit: None }), did(&[], &["want(Resume)"]));
    assert_eq!(next.does(Input::Granted).effects, ["hold(a)"]);
    // From the start on, nobody knows.
    let mut started = Bench::of(loaded.lines.clone(), Arc::clone(&bench.settings));
    started.does(Input::Recovered { culprit: None });
    let outputs = started.outputs();
    assert!(outputs.iter().any(|(call, said)| call == "a" && said.starts_with("Effect unknown")), "{outputs:?}");
}

/// The sole question of each kind, answered by a process that died before its turn had a slot again.
#[test]
fn an_answer_that_was_accepted_is_followed_by_the_next_process() {
    let questions =
        r#"{"questions":[{"id":"q","header":"h","question":"?","options":[{"label":"A","description":"d"}]}]}"#;
    let given = || Resolution::Given { answers: Default::default() };
    // (the call, the answer, what follows from it)
    let table = [
        (escalated("a"), decided(Decision::Accept), did(&[], &["hold(a)"])),
        (escalated("a"), decided(Decision::Decline), did(&["shown:CommandExecution output(a)"], &["sample#1"])),
        (
            escalated("a"),
            decided(Decision::Cancel),
            did(
                &["shown:CommandExecution output(a) developer turn_aborted!Requester"],
                &["giveBack", "ended(Cancelled)"],
            ),
        ),
        (function("a", "", "request_user_input", questions), given(), did(&["output(a)"], &["sample#1"])),
    ];
    for (call, how, follows) in table {
        let mut bench = asking();
        bench.answer(&[call]);
        answers(&mut bench, "a", how);
        let turn = bench.turn_id();
        let mut loaded = Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
        assert_eq!(loaded.does(Input::Loaded), did(&[], &[]), "it is kept");
        let mut next = Bench::of(loaded.lines, Arc::clone(&bench.settings));
        assert_eq!(next.does(Input::Recovered { culprit: None }).batches, [""; 0]);
        assert_eq!(next.turn_id(), turn);
        let mut did = next.does(Input::Granted);
        did.batches.retain(|batch| batch != "token_count");
        assert_eq!(did, follows);
        is_fold(&next);
    }

    // What was withdrawn was answered by nobody: the turn was being ended.
    let mut bench = asking();
    bench.answer(&[escalated("a")]);
    let id = ask(&bench).id.clone();
    let mut lines = bench.lines.clone();
    let withdrawn = sapwood_protocol::asked::Answered { id, how: Resolution::Withdrawn };
    lines.push(sapwood_protocol::own::Own::Answered(withdrawn).line(bench.now));
    let mut loaded = Bench::of(lines, Arc::clone(&bench.settings));
    assert_eq!(loaded.does(Input::Loaded).effects, ["ended(Lost)"]);
}

#[test]
fn a_command_that_its_sandbox_stopped_is_asked_for_once_more() {
    let mut bench = Bench::root_with(settings(ApprovalPolicy::Untrusted, SandboxPolicy::READ_ONLY));
    bench.turn();
    bench.answer(&[exec("a")]);
    answers(&mut bench, "a", decided(Decision::Accept));
    bench.does(Input::Granted);
    assert!(matches!(confinement(&bench), Some(Confinement::Sandboxed(_))));
    bench.held("a");
    let stopped = |bench: &mut Bench| {
        let result =
            ToolResult { end: super::super::input::ToolEnd::Exited(1), is_denied: true, ..ToolResult::nothing() };
        bench.does(Input::ToolEnded { call: "a".into(), result })
    };
    assert_eq!(stopped(&mut bench), did(&[], &["hold(a)"]), "what was allowed runs again at once");
    assert_eq!(confinement(&bench), Some(Confinement::None));
    assert_eq!(bench.held("a"), did(&["tool_started(a)"], &["release(a)"]));
    assert_eq!(bench.ended("a").batches[0], "shown:CommandExecution output(a)");
    is_fold(&bench);

    let mut bench = Bench::root_with(settings(ApprovalPolicy::OnFailure, SandboxPolicy::READ_ONLY));
    bench.turn();
    bench.answer(&[exec("a")]);
    bench.held("a");
    assert_eq!(stopped(&mut bench).effects, ["giveBack"]);
    assert!(bench.machine.agent().parked(), "it has ended, and is asked for");
    answers(&mut bench, "a", decided(Decision::Accept));
    assert_eq!(bench.does(Input::Granted).effects, ["hold(a)"]);
    assert_eq!(bench.held("a"), did(&["tool_started(a)"], &["release(a)"]));
    assert_eq!(bench.ended("a").batches[0], "shown:CommandExecution output(a)");
    is_fold(&bench);
}

#[test]
fn a_patch_is_looked_at_asked_for_and_done() {
    let mut bench = asking();
    assert_eq!(bench.answer(&[patch("p", "x.txt"), exec("a")]), did(&["call(p) call(a) usage"], &["plan(p)"]));
    let asked = looked_at(&mut bench, "p");
    let id = ask(&bench).id.clone();
    assert_eq!(asked, did(&[&format!("asked(p{id})")], &["giveBack"]));
    assert_eq!(
        ask(&bench).what,
        What::FileChange { reason: None, grant_root: None, paths: vec!["/workspace/x.txt".into()] }
    );
    answers(&mut bench, "p", decided(Decision::Accept));
    assert_eq!(bench.does(Input::Granted), did(&["tool_started(p)"], &["apply(p)"]));
    assert_eq!(confinement(&bench), Some(Confinement::None));
    assert_eq!(patched(&mut bench, "p"), did(&["shown:FileChange output(p)"], &["hold(a)"]));
    assert_eq!(told(&bench), ["completed(p)", "diff"]);
    let outputs = bench.outputs();
    let output = outputs.iter().find(|(call, _)| call == "p").map(|(_, said)| said.as_str());
    let expected = "Exit code: 0\nWall time: 0 seconds\nOutput:\nSuccess. Updated the following files:\nA x.txt\n";
    assert_eq!(output, Some(expected));
    is_fold(&bench);
}

#[test]
fn a_patch_that_may_be_done_is_done_and_one_that_may_not_is_refused() {
    let mut bench = Bench::root_with(settings(ApprovalPolicy::Never, SandboxPolicy::workspace_write()));
    bench.turn();
    bench.answer(&[patch("p", "x.txt"), patch("q", "/etc/x")]);
    assert_eq!(looked_at(&mut bench, "p"), did(&["tool_started(p)"], &["apply(p)"]));
    assert!(matches!(confinement(&bench), Some(Confinement::Sandboxed(_))));
    assert_eq!(patched(&mut bench, "p"), did(&["shown:FileChange output(p)"], &["plan(q)"]));
    assert_eq!(looked_at(&mut bench, "q").batches[0], "output(q)");
    assert!(bench.outputs()[1].1.starts_with("patch rejected: writing outside of the project"));
    is_fold(&bench);

    // A process that died in the middle of one does not know.
    let mut bench = Bench::root_with(settings(ApprovalPolicy::Never, SandboxPolicy::workspace_write()));
    bench.turn();
    bench.answer(&[patch("p", "x.txt")]);
    looked_at(&mut bench, "p");
    let mut next = Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
    next.does(Input::Recovered { culprit: None });
    assert_eq!(statuses(&next, "FileChange"), ["failed"]);
    assert!(next.outputs()[0].1.starts_with("Effect unknown"));
}

#[test]
fn questions_of_the_model_and_tools_of_a_client_are_answered_in_their_turn() {
    let questions = json!({"questions": [{"id": "q", "header": "Pick", "question": "Which?",
        "options": [{"label": "A", "description": "first"}]}]});
    let mut bench = asking();
    bench.answer(&[escalated("a"), function("q", "", "request_user_input", &questions.to_string())]);
    assert_eq!(asks(&bench).len(), 2);
    let given = Resolution::Given { answers: Default::default() };
    let heard = answers(&mut bench, "q", given);
    assert_eq!(heard.effects, [""; 0], "its output waits for the call before it");
    answers(&mut bench, "a", decided(Decision::Decline));
    let goes_on = bench.does(Input::Granted);
    assert_eq!(goes_on.batches[..2], ["shown:CommandExecution output(a)", "output(q)"]);
    assert_eq!(bench.outputs()[1].1, r#"{"answers":{}}"#);
    is_fold(&bench);

    let tools = json!([{"name": "look", "description": "looks", "inputSchema": {"type": "object"}}]);
    let mut bench = asking();
    let mut lines: Vec<_> = bench.lines.clone();
    let meta = String::from_utf8(lines[0].bytes().to_vec()).unwrap();
    let meta = meta.replacen(r#""history_mode""#, &format!(r#""dynamic_tools":{tools},"history_mode""#), 1);
    lines[0] = sapwood_protocol::Line::from_bytes(meta.into_bytes().into());
    bench = Bench::of(lines, Arc::clone(&bench.settings));
    bench.does(Input::Recovered { culprit: None });
    bench.does(Input::Granted);
    bench.answer(&[function("t", "", "look", "{\"x\":1}"), function("n", "", "nothing", "{}")]);
    assert_eq!(told(&bench), ["started(t)", "asked(t)"]);
    let content_items = vec![ContentItem::InputText { text: "seen".into() }];
    answers(&mut bench, "t", Resolution::Returned { content_items, success: true });
    assert_eq!(bench.does(Input::Granted).batches[..2], ["shown:DynamicToolCall output(t)", "output(n)"]);
    let items = bench.machine.agent().history.prompt();
    let parts =
        items.iter().map(|item| serde_json::from_slice::<Value>(item).unwrap()).find(|item| item["output"].is_array());
    assert_eq!(parts.unwrap()["output"], json!([{"type": "input_text", "text": "seen"}]));
    is_fold(&bench);
}

#[test]
fn where_nobody_is_nobody_is_asked_for_words() {
    let questions =
        r#"{"questions":[{"id":"q","header":"h","question":"?","options":[{"label":"A","description":"d"}]}]}"#;
    let settings = Settings { is_attended: false, asks_in_default_mode: true, ..Settings::default() };
    let mut bench = Bench::root_with(settings);
    bench.turn();
    let done = bench.answer(&[function("q", "", "request_user_input", questions)]);
    assert_eq!(done.effects, ["sample#1"]);
    assert_eq!(bench.outputs(), [("q".to_owned(), r#"{"answers":{}}"#.to_owned())]);
}

#[test]
fn a_plan_is_shown() {
    let mut bench = asking();
    let arguments = json!({"plan": [{"step": "look", "status": "in_progress"}]}).to_string();
    bench.answer(&[function("p", "", "update_plan", &arguments), function("q", "", "update_plan", "{}")]);
    assert_eq!(told(&bench), ["plan"]);
    let outputs = bench.outputs();
    assert_eq!(outputs[0].1, "Plan updated");
    assert!(outputs[1].1.starts_with("failed to parse function arguments"), "{outputs:?}");
}

#[test]
fn an_answer_to_nothing_changes_nothing() {
    let mut bench = asking();
    let how = decided(Decision::Accept);
    assert_eq!(bench.does(Input::AnsweredAsk { id: AskId::from("x"), how }), did(&[], &[]));
    bench.answer(&[text("done")]);
    assert!(bench.machine.agent().turn.is_none());
}
