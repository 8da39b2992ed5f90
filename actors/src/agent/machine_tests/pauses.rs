//! A usage limit pauses a turn: it stays open, costs nothing, and asks again when somebody asks or its time has come.

use std::sync::Arc;

use sapwood_model::ModelError;
use sapwood_protocol::Millis;
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::Paused;

use super::super::effect::Timer;
use super::super::input::{Input, Interrupter};
use super::super::sampling::SHORTEST_PAUSE_MS;
use super::super::settings::OnUsageLimit;
use super::super::{Agent, Settings};
use super::bench::{Bench, Did, START, did, exec, text};

/// An hour after everything begins.
const END: Millis = Millis(START.0 + 3_600_000);

fn limited(until: Option<Millis>) -> ModelError {
    ModelError::UsageLimited { message: "used up".into(), until }
}

/// A turn that has run a command, and pauses before it asks again.
fn paused(on_usage_limit: OnUsageLimit, until: Option<Millis>) -> (Bench, Did) {
    let mut bench = Bench::root_with(Settings { on_usage_limit, ..Settings::default() });
    bench.turn();
    bench.answer(&[exec("a")]);
    bench.held("a");
    bench.ended("a");
    let paused = bench.sampled(Err(limited(until)));
    (bench, paused)
}

#[test]
fn a_turn_pauses_with_its_work_and_goes_on_when_it_is_asked() {
    let (mut bench, how) = paused(OnUsageLimit::Pause, Some(END));
    assert_eq!(how, did(&["sapwood.paused"], &["dropped", "giveBack", "paused(byItself: false)"]));
    let (turn, prompt) = (bench.turn_id(), bench.machine.agent().history.prompt());
    let expected = Paused { until: Some(END), reason: "used up".into() };
    assert_eq!(bench.machine.paused(), Some(&expected));
    assert!(bench.machine.agent().parked() && bench.machine.may_sleep());
    assert_eq!(bench.mail(9, 1, MailKind::Message), did(&[], &[]), "mail does not end it");
    bench.now = END;
    assert_eq!(bench.does(Input::Go), did(&[], &[]), "nor does time, where nobody said so");
    assert_eq!(bench.does(Input::GoOn), did(&[], &["want(Resume)"]));
    assert!(!bench.machine.may_sleep());
    let mail = format!("mailMetadata mail!{}:1", super::bench::thread(9));
    assert_eq!(bench.does(Input::Granted), did(&[&mail], &["sample#1"]));
    assert_eq!(bench.turn_id(), turn);
    assert!(bench.machine.agent().history.prompt().starts_with(&prompt), "what was done is not done again");
    let answered = bench.answer(&[text("done")]);
    assert_eq!(answered.effects, ["giveBack", "ended(Completed)"]);
    assert_eq!(bench.machine.paused(), None);
}

#[test]
fn what_a_user_says_ends_a_pause_and_the_limit_may_strike_again() {
    let (mut bench, _) = paused(OnUsageLimit::Pause, None);
    assert_eq!(bench.say("u2", "try again"), did(&[], &["want(Resume)"]));
    let asked = bench.does(Input::Granted);
    assert_eq!(asked, did(&["user!u2 shown:UserMessage"], &["sample#1"]));
    let again = bench.sampled(Err(limited(Some(END))));
    assert_eq!(again, did(&["sapwood.paused"], &["dropped", "giveBack", "paused(byItself: false)"]));
    assert_eq!(bench.does(Input::Go), did(&[], &[]), "the question does not end the new pause");
    let turn = bench.turn_id();
    let interrupt = Input::Interrupt { turn, by: Interrupter::User };
    assert_eq!(bench.does(interrupt).batches, ["developer turn_aborted!Requester"], "it can be interrupted");
}

#[test]
fn where_it_was_said_a_turn_goes_on_by_itself_when_the_limit_ends() {
    let (mut bench, how) = paused(OnUsageLimit::Wait, Some(END));
    let wait = END.since(bench.now).0;
    let timer = format!("timer(Pause {wait})");
    assert_eq!(how.effects, ["dropped", "giveBack", "paused(byItself: true)", &timer]);
    assert!(!bench.machine.may_sleep(), "a timer runs");
    assert_eq!(bench.does(Input::Go), did(&[], &[]), "one timer is enough");
    bench.now = END;
    assert_eq!(bench.does(Input::Due(Timer::Pause)), did(&[], &["want(Resume)"]));
    assert_eq!(bench.does(Input::Granted), did(&[], &["sample#1"]));

    let (bench, how) = paused(OnUsageLimit::Wait, None);
    assert_eq!(how.effects, ["dropped", "giveBack", "paused(byItself: false)"], "nobody knows when");
    assert!(bench.machine.may_sleep());
}

#[test]
fn a_pause_outlives_incarnations_and_processes() {
    let (bench, _) = paused(OnUsageLimit::Pause, Some(END));
    assert_eq!(Agent::fold(bench.lines.iter().cloned()), *bench.machine.agent());
    let mut loaded = Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
    assert_eq!(loaded.does(Input::Loaded), did(&[], &[]), "process death does not end the turn");
    let mut next = Bench::of(bench.lines.clone(), Arc::clone(&bench.settings));
    assert_eq!(next.does(Input::GoOn), did(&[], &["want(Resume)"]), "asked before it has read what was left to it");
    assert_eq!(next.does(Input::Recovered { culprit: None }), did(&[], &[]));
    assert_eq!(next.does(Input::Granted), did(&[], &["sample#1"]));

    let settings = Settings { on_usage_limit: OnUsageLimit::Wait, ..Settings::default() };
    let mut late = Bench::of(bench.lines, Arc::new(settings));
    late.now = END;
    assert_eq!(late.does(Input::Go), did(&[], &["want(Resume)"]), "its time has come while nobody ran it");
}

/// A provider whose clock is not ours may say that its limit has ended already: asked again at once, it would refuse at
/// once, for ever.
#[test]
fn a_limit_that_ended_before_it_was_told_is_waited_for_all_the_same() {
    for ended in [Millis(1), START] {
        let (mut bench, how) = paused(OnUsageLimit::Wait, Some(ended));
        let timer = format!("timer(Pause {SHORTEST_PAUSE_MS})");
        assert_eq!(how.effects, ["dropped", "giveBack", "paused(byItself: true)", &timer]);
        assert_eq!(bench.does(Input::Go), did(&[], &[]));
        bench.now = bench.now.plus(SHORTEST_PAUSE_MS);
        assert_eq!(bench.does(Input::Due(Timer::Pause)), did(&[], &["want(Resume)"]));
    }
}

/// What is shown of a pause ends when somebody asks; the line that ends it comes with the answer.
#[test]
fn a_pause_that_somebody_has_ended_is_not_shown_any_more() {
    let (mut bench, _) = paused(OnUsageLimit::Pause, Some(END));
    assert!(bench.machine.rests().is_some());
    bench.does(Input::GoOn);
    assert!(bench.machine.rests().is_none() && bench.machine.paused().is_some());
    bench.does(Input::Granted);
    assert!(bench.machine.rests().is_none());
    bench.sampled(Err(limited(None)));
    assert!(bench.machine.rests().is_some(), "it is paused again");
}
