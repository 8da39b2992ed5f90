//! How turns begin, go on and end.

use sapwood_model::{ModelError, Refusal, Response};
use sapwood_protocol::Usage;
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::{Accepted, InputLane};
use serde_json::Value;

use super::super::Agent;
use super::super::effect::{Effect, Timer};
use super::super::input::{Input, Interrupter};
use super::super::prompt::NOTHING_SAID;
use super::bench::{Bench, Did, did, exec, text};

#[test]
fn a_first_turn_tells_who_and_where_and_then_what() {
    let mut bench = Bench::root();
    assert_eq!(bench.say("u1", "do it"), did(&[], &["want(NewTurn)"]));
    assert_eq!(bench.say("u2", "and this"), did(&[], &[]), "one slot is asked for once");
    assert_eq!(
        bench.does(Input::Granted),
        did(
            &["task_started developer user turn_context thread_settings_applied \
               user!u1 shown:UserMessage user!u2 shown:UserMessage"],
            &["sample#1"]
        )
    );
    assert_eq!(bench.does(Input::Go), did(&[], &[]), "it waits for the model");
    assert_eq!(
        bench.answer(&[text("done")]),
        did(&["shown:AgentMessage assistant usage", "token_count task_complete"], &["giveBack", "ended(Completed)"])
    );
    assert!(bench.machine.may_sleep());

    bench.say("u3", "again");
    assert_eq!(
        bench.does(Input::Granted),
        did(&["task_started turn_context user!u3 shown:UserMessage"], &["sample#1"]),
        "the context is told once"
    );
}

/// Accepts what somebody was told a turn for.
fn promise(bench: &mut Bench, id: &str, turn: &str) -> Did {
    let body = Some(sapwood_protocol::own::Body::user("do it"));
    let turn = Some(turn.into());
    bench.accept(Accepted { id: id.into(), place: 0, lane: InputLane::User, wake: true, from: None, body, turn })
}

#[test]
fn a_turn_that_was_promised_is_over_as_soon_as_it_begins_if_it_was_interrupted() {
    let interrupt = |turn: &str| Input::Interrupt { turn: turn.into(), by: Interrupter::User };
    let over = "task_started developer user turn_context thread_settings_applied user!u1 shown:UserMessage user!u2 \
                shown:UserMessage developer turn_aborted!Requester";
    let mut bench = Bench::root();
    bench.mail(3, 4, MailKind::Message);
    assert_eq!(promise(&mut bench, "u1", "t1"), did(&[], &["want(NewTurn)"]));
    promise(&mut bench, "u2", "t1");
    assert_eq!(bench.does(interrupt("t1")), did(&[over], &["giveBack", "ended(Cancelled)"]));
    let agent = bench.machine.agent();
    assert_eq!(agent.last_turn.as_ref().map(|turn| turn.id.as_str()), Some("t1"));
    assert!(agent.inbox.has_mail() && bench.machine.may_sleep(), "mail waits for who reads it");
    assert_eq!(*agent, Agent::fold(bench.lines.iter().cloned()));

    // The interrupt is there first; it is meant for one turn only, and nobody is asked for a slot.
    let mut bench = Bench::root();
    assert_eq!(bench.does(interrupt("t1")), did(&[], &[]));
    let begun = promise(&mut bench, "u1", "t1");
    assert_eq!(begun, did(&[&over.replace("user!u2 shown:UserMessage ", "")], &["ended(Cancelled)"]));
    assert_eq!(bench.does(interrupt("t1")), did(&[], &[]), "it is over");
    assert_eq!(promise(&mut bench, "u2", "t2"), did(&[], &["want(NewTurn)"]));
    bench.does(Input::Granted);
    assert_eq!(bench.turn_id().as_str(), "t2");
    bench.does(interrupt("t1"));
    assert_eq!(bench.turn_id().as_str(), "t2");
}

#[test]
fn a_turn_has_the_id_that_was_promised_whatever_woke_it_and_no_id_twice() {
    let mut bench = Bench::root();
    bench.mail_that_wakes(3, 4, MailKind::FinalAnswer, true);
    promise(&mut bench, "u1", "t1");
    bench.does(Input::Granted);
    assert_eq!(bench.turn_id().as_str(), "t1");
    bench.answer(&[text("done")]);
    promise(&mut bench, "u2", "t1");
    bench.does(Input::Granted);
    assert_ne!(bench.turn_id().as_str(), "t1");
}

#[test]
fn mail_is_told_before_what_the_user_says() {
    let mut bench = Bench::root();
    assert_eq!(bench.mail(3, 4, MailKind::Message), did(&[], &[]), "a message starts nothing");
    bench.say("u1", "do it");
    let id = bench.machine.agent().inbox.pending()[0].accepted.id.clone();
    assert_eq!(
        bench.does(Input::Granted),
        did(
            &[&format!(
                "task_started developer user turn_context thread_settings_applied \
                 mailMetadata mail!{id} user!u1 shown:UserMessage"
            )],
            &["sample#1"]
        )
    );
}

#[test]
fn a_turn_is_for_its_user_then_for_who_gives_a_task_then_for_who_reports() {
    let (task, report) = (MailKind::NewTask, MailKind::FinalAnswer);
    // (mail that is pending and wakes, whether the user says something too, from which agent the turn is)
    type Case<'a> = (&'a [(u64, MailKind)], bool, Option<&'a str>);
    let table: [Case<'_>; 5] = [
        (&[], true, None),
        (&[(2, report)], true, None),
        (&[(1, task)], true, None),
        (&[(2, report), (1, task)], false, Some("/root")),
        (&[(2, report), (3, report)], false, Some("/root/s2")),
    ];
    for (mails, says, from) in table {
        let mut bench = Bench::child();
        for (n, (sender, kind)) in (4..).zip(mails) {
            bench.mail_that_wakes(*sender, n, *kind, true);
        }
        if says {
            bench.say("u1", "do it");
        }
        bench.does(Input::Granted);
        let started = bench.lines.iter().map(|line| serde_json::from_slice::<Value>(line.bytes()).unwrap());
        let started = started.map(|line| line["payload"].clone()).find(|payload| payload["type"] == "task_started");
        let started = started.expect("a turn is open");
        let attribution = &started["turn_attribution"];
        let (id, root) = (&started["turn_id"], &attribution["root_turn_id"]);
        assert_eq!(attribution["initiating_agent_path"].as_str(), from, "{mails:?}");
        assert_eq!(attribution["parent_turn_id"].as_str(), from.map(|_| "their-turn"), "{mails:?}");
        assert_eq!(root == id, from.is_none(), "{mails:?}");
    }
}

#[test]
fn an_input_without_words_is_consumed_by_the_start_of_its_turn() {
    let mut bench = Bench::root();
    bench.accept(Accepted {
        id: "go".into(),
        place: 0,
        lane: InputLane::User,
        wake: true,
        from: None,
        body: None,
        turn: None,
    });
    assert_eq!(
        bench.does(Input::Granted),
        did(&["task_started!go developer user turn_context thread_settings_applied"], &["sample#1"])
    );
}

#[test]
fn what_is_said_while_the_model_answers_is_not_kept_waiting() {
    let mut bench = Bench::root();
    bench.turn();
    let effect = bench.machine.volatile().sampling.expect("a request is under way");
    let cut = did(&["user!u2 shown:UserMessage"], &["cancel", "dropped", "sample#1"]);
    assert_eq!(bench.say("u2", "wait, also this"), cut, "it is asked anew, with what was said");
    let late = Input::Sampled { effect, result: Ok(Response { items: Vec::new(), ..Response::default() }) };
    assert_eq!(bench.does(late), did(&[], &[]), "the answer that was cut comes too late");
    assert_eq!(bench.mail(3, 4, MailKind::FinalAnswer), did(&[], &[]), "mail cuts nothing");
    assert_eq!(
        bench.answer(&[text("done again")]).batches,
        ["shown:AgentMessage assistant usage", "token_count task_complete"],
        "mail after a final answer waits for the next turn"
    );
    assert_eq!(bench.machine.agent().inbox.len(), 1);
    assert_eq!(bench.say("u3", "later"), did(&[], &["want(NewTurn)"]), "said after the end: a new turn");
}

#[test]
fn what_is_said_makes_a_failing_request_another_one() {
    let mut bench = Bench::root();
    bench.turn();
    let failed = || Err(ModelError::Cut { why: "it broke off".into() });
    bench.sampled(failed());
    assert_eq!(bench.say("u2", "and this"), did(&[], &[]), "it is tried again when its pause is over");
    let again = bench.does(Input::Due(Timer::Retry));
    assert_eq!(again, did(&["user!u2 shown:UserMessage"], &["sample#1"]), "with all its tries");
    bench.sampled(failed());
    assert_eq!(bench.does(Input::Due(Timer::Retry)), did(&[], &["sample#2"]));
    let cut = did(&["user!u3 shown:UserMessage"], &["cancel", "dropped", "sample#1"]);
    assert_eq!(bench.say("u3", "and that"), cut);
}

#[test]
fn an_empty_answer_is_asked_about_once() {
    let mut bench = Bench::root();
    bench.turn();
    assert_eq!(bench.answer(&[]), did(&["usage", "developer"], &["sample#1"]));
    let told = bench.machine.agent().history.prompt();
    assert!(String::from_utf8(told.last().unwrap().to_vec()).unwrap().contains(&NOTHING_SAID[..40]));
    assert_eq!(bench.answer(&[]), did(&["usage", "token_count task_complete"], &["giveBack", "ended(Completed)"]));
}

#[test]
fn words_between_empty_answers_begin_the_count_again() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[]);
    bench.answer(&[exec("a")]);
    bench.held("a");
    assert_eq!(bench.ended("a").effects, ["sample#1"]);
    assert_eq!(bench.answer(&[]), did(&["usage", "developer"], &["sample#1"]));
}

#[test]
fn a_refused_request_fails_the_turn() {
    let mut bench = Bench::root();
    bench.turn();
    let refused = ModelError::Refused { status: 400, reason: Refusal::BadRequest, message: "no".into() };
    assert_eq!(bench.sampled(Err(refused)), did(&["task_complete!error"], &["dropped", "giveBack", "ended(Failed)"]));
    let last = bench.machine.agent().last_turn.clone().unwrap();
    assert_eq!(last.message.as_deref(), Some("no"));
    bench.say("u2", "again");
    assert_eq!(bench.does(Input::Granted).effects, ["sample#1"], "the next turn starts as if nothing had been");
}

/// The pauses double from 200 ms, have a fifth of jitter, and are never shorter than the provider asks.
#[test]
fn a_request_that_may_succeed_is_tried_again() {
    let mut bench = Bench::root();
    bench.turn();
    let cut = || Err(ModelError::Cut { why: "gone".into() });
    let asked = bench.machine.agent().history.prompt();
    for attempt in 1..=bench.settings.retries.stream {
        let did_now = bench.sampled(cut());
        assert_eq!(did_now.batches, [""; 0]);
        let [Effect::Timer { timer: Timer::Retry, at }, ..] = bench.effects.as_slice() else { panic!("{did_now:?}") };
        let (pause, least) = (at.since(bench.now).0, 100 << attempt);
        assert!((least..least + least / 5).contains(&pause), "try {attempt}: {pause} ms");
        bench.now = *at;
        // A request that is tried again is the same request: mail that came in between waits.
        bench.mail(3, u64::from(attempt), MailKind::Message);
        assert_eq!(bench.does(Input::Due(Timer::Retry)), did(&[], &[&format!("sample#{}", attempt + 1)]));
        assert_eq!(bench.machine.agent().history.prompt(), asked);
    }
    assert_eq!(bench.sampled(cut()).batches, ["task_complete!error"], "not for ever");

    let mut bench = Bench::root();
    bench.turn();
    let busy = ModelError::Unavailable { status: 429, message: "busy".into(), retry_after_ms: Some(7_000) };
    assert_eq!(bench.sampled(Err(busy)).effects, ["timer(Retry 7000)"]);
    bench.does(Input::Due(Timer::Retry));
    assert_eq!(bench.answer(&[text("a"), exec("a")]).effects, ["hold(a)"]);
    bench.held("a");
    assert_eq!(bench.ended("a").effects, ["sample#1"], "a success begins the count again");
}

#[test]
fn an_answer_to_a_request_that_is_not_under_way_is_dropped() {
    let mut bench = Bench::root();
    bench.turn();
    let effect = bench.machine.volatile().sampling.unwrap();
    let response = Response::new("late", vec![text("late").to_string().into()], Usage::default());
    let late = Input::Sampled { effect: effect ^ 1, result: Ok(response) };
    assert_eq!(bench.does(late), did(&[], &[]));
    assert_eq!(bench.machine.volatile().sampling, Some(effect));
}

#[test]
fn an_interrupt_ends_the_turn_that_it_names_and_no_other() {
    let mut bench = Bench::root();
    bench.turn();
    let turn = bench.turn_id();
    let other = Input::Interrupt { turn: "another".into(), by: Interrupter::User };
    assert_eq!(bench.does(other), did(&[], &[]));
    assert_eq!(bench.turn_id(), turn);
    bench.sampled(Err(ModelError::Cut { why: "it broke off".into() }));
    assert_eq!(bench.say("u2", "steered"), did(&[], &[]));
    let this = || Input::Interrupt { turn: turn.clone(), by: Interrupter::User };
    assert_eq!(
        bench.does(this()),
        did(&["developer turn_aborted!Requester"], &["giveBack", "ended(Cancelled)", "want(NewTurn)"]),
        "what was accepted is not lost with the turn"
    );
    assert_eq!(bench.does(this()), did(&[], &[]), "it has ended");
    assert_eq!(bench.does(Input::Granted).batches, ["task_started turn_context user!u2 shown:UserMessage"]);
}

#[test]
fn an_interrupt_that_was_meant_for_the_last_turn_spares_the_next() {
    let mut bench = Bench::root();
    bench.turn();
    let old = bench.turn_id();
    bench.answer(&[text("done")]);
    bench.say("u2", "next");
    bench.does(Input::Granted);
    assert_eq!(bench.does(Input::Interrupt { turn: old, by: Interrupter::User }), did(&[], &[]));
    assert!(bench.machine.volatile().sampling.is_some());
}

#[test]
fn one_request_takes_a_bounded_part_of_the_mail() {
    let mails = |did: &Did| did.batches.iter().map(|batch| batch.matches("mail!").count()).sum::<usize>();
    let mut bench = Bench::root();
    bench.turn();
    for n in 1..=100 {
        bench.mail(9, n, MailKind::Message);
    }
    bench.answer(&[exec("a")]);
    bench.held("a");
    let next = bench.ended("a");
    assert_eq!((mails(&next), next.effects.as_slice()), (64, ["sample#1".to_owned()].as_slice()));
    bench.answer(&[exec("b")]);
    bench.held("b");
    let last = bench.ended("b");
    assert_eq!((mails(&last), last.effects.as_slice()), (36, ["sample#1".to_owned()].as_slice()));
}
