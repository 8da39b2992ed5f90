//! Reports, crashes and dead letters.

use std::sync::Arc;

use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::Outcome;
use serde_json::json;

use super::super::effect::{Effect, Timer};
use super::super::inbox::MAX_BEGUN;
use super::super::input::{Input, Interrupter};
use super::bench::{Bench, did, exec, text, thread};

fn working_child() -> Bench {
    let mut bench = Bench::child();
    bench.mail(1, 4, MailKind::NewTask);
    assert_eq!(bench.does(Input::Granted).effects, ["sample#1"]);
    bench
}

fn reported(bench: &Bench) -> (u64, Outcome, String) {
    let report = bench.effects.iter().find_map(|effect| match effect {
        Effect::Report(report) => Some(report),
        _ => None,
    });
    let report = report.expect("it reports");
    (report.n, report.outcome, report.text.clone())
}

#[test]
fn a_report_is_sent_until_it_is_accepted_with_one_number() {
    let mut bench = working_child();
    bench.answer(&[text("42")]);
    let (n, ..) = reported(&bench);
    let last = bench.lines.last().unwrap().view().unwrap().ordinal;
    assert_eq!((Some(n), reported(&bench)), (last, (n, Outcome::Completed, "42".to_owned())));
    assert!(!bench.machine.may_sleep(), "it is not accepted yet");

    // (what happens, what follows)
    let report = format!("report({n} Completed)");
    let again = [report.as_str()];
    let table: [(Input, &[&str]); 6] = [
        (Input::Go, &[]),
        (Input::Reported { n: n + 1, accepted: true }, &[]),
        (Input::Reported { n, accepted: false }, &["timer(Report 1000)"]),
        (Input::Due(Timer::Report), &again),
        (Input::Reported { n, accepted: true }, &[]),
        (Input::Go, &[]),
    ];
    for (input, effects) in table {
        let what = format!("{input:?}");
        assert_eq!(bench.does(input), did(&[], effects), "{what}");
    }
    assert!(bench.machine.may_sleep());

    // A new incarnation does not know whether it was accepted: the number says that it is the same one.
    let mut next = Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
    assert_eq!(next.does(Input::Recovered { culprit: None }), did(&[], &again));
    let mut loaded = Bench::of(bench.lines, bench.settings);
    assert_eq!(loaded.does(Input::Loaded), did(&[], &again), "another process neither");
}

#[test]
fn the_next_turn_waits_until_the_report_of_the_last_is_accepted() {
    let mut bench = working_child();
    bench.answer(&[text("42")]);
    let (n, ..) = reported(&bench);
    assert_eq!(bench.mail(1, 9, MailKind::NewTask), did(&[], &[]));
    assert_eq!(bench.does(Input::Reported { n, accepted: true }), did(&[], &["want(NewTurn)"]));
}

#[test]
fn what_is_reported_of_each_end() {
    let mut failed = working_child();
    let refused = sapwood_model::ModelError::Refused {
        status: 400,
        reason: sapwood_model::Refusal::BadRequest,
        message: "no".into(),
    };
    failed.sampled(Err(refused));
    let text = "Agent errored: no\nIt can be given another task.";
    assert_eq!((reported(&failed).1, reported(&failed).2.as_str()), (Outcome::Failed, text));

    let interrupted = |by| {
        let mut bench = working_child();
        let turn = bench.turn_id();
        bench.does(Input::Interrupt { turn, by })
    };
    let lines = |cause: &str| format!("developer turn_aborted!{cause}");
    let by_other = interrupted(Interrupter::Agent(thread(5)));
    assert_eq!(by_other.batches, [lines("Interrupted")]);
    assert!(by_other.effects.last().unwrap().ends_with(" Cancelled)"), "{by_other:?}");
    assert_eq!(
        interrupted(Interrupter::Agent(thread(1))),
        did(&[&lines("Requester")], &["cancel", "dropped", "giveBack", "ended(Cancelled)"]),
        "its requester is not told what it did itself"
    );

    let mut lost = working_child();
    lost.answer(&[exec("a")]);
    lost.held("a");
    let mut lost = Bench::of(lost.lines, lost.settings);
    let closed = lost.does(Input::Loaded);
    assert_eq!(closed.batches, ["output(a) turn_aborted!ProcessDeath"]);
    assert_eq!(closed.effects[..2], ["killLeftover(77)".to_owned(), "ended(Lost)".to_owned()]);
    assert_eq!(reported(&lost).1, Outcome::Lost);
}

#[test]
fn a_root_reports_to_nobody() {
    let mut bench = Bench::root();
    bench.turn();
    assert_eq!(bench.answer(&[text("done")]).effects, ["giveBack", "ended(Completed)"]);
}

/// An input is begun again after a crash, and then again; the third crash over it settles it.
#[test]
fn an_input_that_three_incarnations_died_of_is_set_aside() {
    let mut bench = Bench::root();
    bench.say("poison", "boom");
    let culprit = || Input::Recovered { culprit: Some("poison".into()) };
    for crash in 1..=MAX_BEGUN {
        bench = Bench::of(bench.lines, bench.settings);
        assert_eq!(bench.does(culprit()), did(&["begun(poison)"], &["want(NewTurn)"]), "crash {crash}");
        assert_eq!(bench.machine.agent().inbox.len(), 1);
    }
    bench = Bench::of(bench.lines, bench.settings);
    let warning = "warning(input poison was set aside: the agent crashed 3 times over it)";
    assert_eq!(bench.does(culprit()), did(&["settled(poison)"], &[warning]));
    assert!(bench.machine.agent().inbox.is_empty() && bench.machine.may_sleep());
    bench = Bench::of(bench.lines, bench.settings);
    assert_eq!(bench.does(culprit()), did(&[], &[]), "it is gone");
    bench.say("u2", "something else");
    assert_eq!(bench.does(Input::Granted).effects, ["sample#1"], "the agent goes on");
}

#[test]
fn an_input_that_was_consumed_is_nobodys_fault() {
    let mut bench = Bench::root();
    bench.turn();
    let mut next = Bench::of(bench.lines, bench.settings);
    assert_eq!(
        next.does(Input::Recovered { culprit: Some("u1".into()) }),
        did(&[], &["want(Resume)"]),
        "its turn goes on"
    );
    assert_eq!(next.does(Input::Granted), did(&[], &["sample#1"]), "the same request is made again");
}

#[test]
fn a_command_that_ran_when_its_incarnation_died_is_answered_after_its_own_answer_was_looked_for() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[exec("a"), exec("b")]);
    bench.held("a");
    let (lines, settings) = (bench.lines, bench.settings);

    let mut answered = Bench::of(lines.clone(), Arc::clone(&settings));
    assert_eq!(answered.ended("a").batches, ["shown:CommandExecution output(a)"], "the answer was in the mailbox");

    let mut unknown = Bench::of(lines, settings);
    assert_eq!(unknown.does(Input::Go), did(&[], &["want(Resume)"]), "it is not given up before");
    let recovered = unknown.does(Input::Recovered { culprit: None });
    assert_eq!(recovered, did(&["shown:CommandExecution output(a)"], &[]));
    let outputs = unknown.outputs();
    assert!(outputs.iter().any(|(call, output)| call == "a" && output.starts_with("Effect unknown")), "{outputs:?}");
    assert_eq!(unknown.does(Input::Granted), did(&[], &["hold(b)"]), "the one that had not started runs");
}

/// Another program began a turn in a thread whose own turn was open: that one has ended, and its requester hears of it.
#[test]
fn a_turn_that_another_program_replaced_is_reported() {
    let wait = |call: &str| super::bench::collab(call, "wait_agent", &json!({}));
    // (the answer that is open, how its turn ended)
    let table = [(wait("w"), Outcome::Cancelled), (exec("x"), Outcome::Lost)];
    for (open, outcome) in table {
        let mut bench = working_child();
        bench.answer(&[open]);
        let replaced = bench.turn_id();
        let first = bench.machine.agent().next_ordinal.unwrap();
        let mut ordinal = first;
        let mut event = |payload: serde_json::Value| {
            ordinal += 1;
            sapwood_protocol::Line::encode(bench.now, Some(ordinal - 1), "event_msg", &payload, None)
        };
        let mut lines = bench.lines.clone();
        lines.push(event(json!({"type": "task_started", "turn_id": "foreign", "root_turn_id": "foreign"})));
        lines.push(event(json!({"type": "task_complete", "turn_id": "foreign", "last_agent_message": "other"})));

        let mut loaded = Bench::of(lines, Arc::clone(&bench.settings));
        let report = format!("report({first} {outcome:?})");
        assert_eq!(loaded.does(Input::Loaded), did(&[], &[&report]));
        let Some(Effect::Report(sent)) = loaded.effects.first() else { panic!("a report") };
        assert_eq!(sent.turn.turn, replaced);
        assert!(!loaded.machine.may_sleep());
        assert_eq!(loaded.does(Input::Reported { n: first, accepted: true }), did(&[], &[]));
        assert!(loaded.machine.may_sleep(), "of its own turn the other program has told itself");
    }
}

/// A turn of ours ended, its process died before its requester was told, and another program went on with the thread: once,
/// twice, or with a turn that it left open.
#[test]
fn a_turn_that_turns_of_another_program_follow_is_reported() {
    let turn = |kind: &str, id: &str| json!({"type": kind, "turn_id": id, "root_turn_id": id});
    let (begun, done) = (|id: &str| turn("task_started", id), |id: &str| turn("task_complete", id));
    let waiting = || vec![super::bench::collab("w", "wait_agent", &json!({}))];
    let ended = || vec![text("42")];
    // (the answer to our turn, what the other program wrote, the turns of ours that are told)
    let table = [
        (ended(), vec![begun("x"), done("x")], vec![Outcome::Completed]),
        (ended(), vec![begun("x"), begun("y"), done("y")], vec![Outcome::Completed]),
        (ended(), vec![begun("x")], vec![Outcome::Completed, Outcome::Lost]),
        (waiting(), vec![begun("x"), begun("y"), done("y")], vec![Outcome::Cancelled]),
        (waiting(), vec![begun("x"), done("x"), begun("y"), done("y")], vec![Outcome::Cancelled]),
    ];
    for (answer, foreign, told) in table {
        let mut bench = working_child();
        bench.answer(&answer);
        let mut lines = bench.lines.clone();
        let first = bench.machine.agent().next_ordinal.unwrap();
        for (ordinal, payload) in (first..).zip(&foreign) {
            lines.push(sapwood_protocol::Line::encode(bench.now, Some(ordinal), "event_msg", payload, None));
        }
        let mut loaded = Bench::of(lines, Arc::clone(&bench.settings));
        loaded.does(Input::Loaded);
        let mut heard = Vec::new();
        while loaded.effects.iter().any(|effect| matches!(effect, Effect::Report(_))) {
            let (n, outcome, _) = reported(&loaded);
            heard.push(outcome);
            loaded.does(Input::Reported { n, accepted: true });
        }
        assert_eq!(heard, told, "{foreign:?}");
        assert!(loaded.machine.may_sleep());
    }
}

/// Events of other programs that say less than they should.
#[test]
fn an_event_that_does_not_say_what_it_is_about_ends_no_turn() {
    for kind in ["thread_rolled_back", "thread_settings_applied"] {
        let mut bench = working_child();
        let before = bench.machine.agent().clone();
        let ordinal = before.next_ordinal;
        let line = sapwood_protocol::Line::encode(bench.now, ordinal, "event_msg", &json!({"type": kind}), None);
        bench.machine.apply(&line);
        let agent = bench.machine.agent();
        assert_eq!((&agent.turn, &agent.history), (&before.turn, &before.history), "{kind}");
    }
}
