//! Settings are inputs: in one queue with what is said, applied in order, and told when they are in force (T016, T031).

use sapwood_model::ModelError;
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::{Accepted, Body, InputLane, Manner, Said, ThreadSettings};
use serde_json::{Value, json};

use super::super::effect::{Ask, Effect};
use super::super::input::{Answer, Input, Interrupter};
use super::super::{Agent, Settings, prompt};
use super::bench::{Bench, Did, collab, did, text};

/// A root whose run leaves provider, model and effort to its rollout.
fn root() -> Bench {
    let settings = Settings {
        provider: "p".into(),
        model: "first".into(),
        effort: Some("low".into()),
        model_is_said: false,
        ..Settings::default()
    };
    Bench::root_with(settings)
}

fn model(model: &str, effort: Option<&str>) -> ThreadSettings {
    ThreadSettings {
        provider: None,
        model: Some(model.into()),
        effort: Some(effort.map(Into::into)),
        ..ThreadSettings::default()
    }
}

fn input(id: &str, body: Body, wake: bool) -> Accepted {
    Accepted { id: id.into(), place: 0, lane: InputLane::User, wake, from: None, body: Some(body), turn: None }
}

fn set(bench: &mut Bench, id: &str, settings: ThreadSettings) -> Did {
    bench.accept(input(id, Body::Settings { settings }, false))
}

/// Model and effort of every line that says them, with the kind of the line.
fn said(bench: &Bench) -> Vec<(String, String, Option<String>)> {
    let told = bench.lines.iter().filter_map(|line| {
        let view = line.view().unwrap();
        let payload: Value = serde_json::from_str(view.payload.get()).unwrap();
        let (kind, at, effort) = match (&*view.kind, payload["type"].as_str()) {
            ("turn_context", _) => ("turn", &payload, "effort"),
            ("event_msg", Some("thread_settings_applied")) => {
                ("thread", &payload["thread_settings"], "reasoning_effort")
            }
            _ => return None,
        };
        let text = |key: &str| at[key].as_str().map(str::to_owned);
        Some((kind.to_owned(), text("model").unwrap(), text(effort)))
    });
    told.collect()
}

fn request(bench: &Bench) -> (String, Option<String>, Value) {
    let request = bench.effects.iter().find_map(|effect| match effect {
        Effect::Sample { request, .. } => Some(request),
        _ => None,
    });
    let request = request.expect("the model is asked");
    let body: Value = serde_json::from_slice(&request.body.concat()).unwrap();
    let origin = &request.origin;
    assert_eq!(body["model"], json!(origin.model), "header and body say the same");
    (origin.model.to_string(), origin.effort.as_ref().map(ToString::to_string), body["reasoning"].clone())
}

/// What the child that is being spawned is told.
fn of_child(bench: &Bench) -> Option<ThreadSettings> {
    let settings = bench.effects.iter().find_map(|effect| match effect {
        Effect::Ask { ask: Ask::Spawn { settings, .. }, .. } => Some(settings.as_deref().cloned()),
        _ => None,
    });
    settings.expect("a spawn")
}

fn of(kind: &str, model: &str, effort: Option<&str>) -> (String, String, Option<String>) {
    (kind.into(), model.into(), effort.map(Into::into))
}

#[test]
fn settings_input_settings_are_applied_in_order() {
    let mut bench = root();
    // The slot is not there yet: all three wait.
    bench.say("u1", "begin");
    bench.does(Input::Granted);
    bench.answer(&[text("done")]);
    assert_eq!(said(&bench), [of("turn", "first", Some("low")), of("thread", "first", Some("low"))]);

    let before = bench.lines.len();
    assert_eq!(set(&mut bench, "s1", model("second", None)), did(&["thread_settings_applied!s1"], &[]));
    bench.say("u2", "and now");
    assert_eq!(
        set(&mut bench, "s2", model("third", Some("high"))),
        did(&[], &[]),
        "it waits for what was said before it"
    );
    let turn = bench.does(Input::Granted);
    assert_eq!(turn.batches, ["task_started turn_context user!u2 shown:UserMessage thread_settings_applied!s2"]);
    assert_eq!(request(&bench), ("second".into(), None, Value::Null));
    bench.answer(&[text("done")]);
    bench.say("u3", "once more");
    bench.does(Input::Granted);
    assert_eq!(request(&bench), ("third".into(), Some("high".into()), json!({"effort": "high"})));
    let lines = Bench::of(bench.lines[before..].to_vec(), bench.settings.clone()).lines.len();
    assert_eq!(lines, bench.lines.len() - before);
    let all = said(&bench);
    let expected = [
        of("thread", "second", None),
        of("turn", "second", None),
        of("thread", "third", Some("high")),
        of("turn", "third", Some("high")),
    ];
    assert_eq!(all[2..], expected);
}

#[test]
fn an_input_may_carry_settings_and_a_running_turn_keeps_its_own() {
    let mut bench = root();
    bench.turn();
    let settings = Some(Box::new(model("second", None)));
    bench.accept(input("u2", Body::User(Said { settings, ..Said::text("steer") }), true));
    let spawn = collab("s", "spawn_agent", &json!({"task_name": "a", "message": "go"}));
    let answered = bench.answer(&[spawn]);
    assert_eq!(answered.effects, ["ask(s)"]);
    assert_eq!(of_child(&bench), None, "the child asks what the run says");
    let done = Answer::Done { output: "{}".into(), agent: None };
    bench.does(Input::Answered { call: "s".into(), answer: done });
    assert_eq!(request(&bench), ("first".into(), Some("low".into()), json!({"effort": "low"})));
    bench.answer(&[text("done")]);
    bench.say("u3", "next");
    bench.does(Input::Granted);
    assert_eq!(request(&bench), ("second".into(), None, Value::Null));
    let spawn = collab("t", "spawn_agent", &json!({"task_name": "b", "message": "go"}));
    bench.answer(&[spawn]);
    let expected = ThreadSettings { provider: Some("p".into()), ..model("second", None) };
    assert_eq!(of_child(&bench), Some(expected), "a child asks what its parent asks");
}

#[test]
fn a_resumed_thread_keeps_what_it_asked_unless_the_run_says_otherwise() {
    let mut bench = root();
    bench.turn();
    bench.answer(&[text("done")]);
    // (what the run says, that it was said on purpose, what is asked then)
    let table = [(false, "first", Some("low")), (true, "other", None)];
    for (model_is_said, model, effort) in table {
        let run = Settings { provider: "q".into(), model: "other".into(), model_is_said, ..Settings::default() };
        let mut resumed = Bench::of(bench.lines.clone(), run.into());
        resumed.does(Input::Recovered { culprit: None });
        resumed.say("u2", "on");
        resumed.does(Input::Granted);
        let (asked, asked_effort, _) = request(&resumed);
        assert_eq!((asked.as_str(), asked_effort.as_deref()), (model, effort));
        resumed.answer(&[text("done")]);
        let told = said(&resumed);
        let mut expected = vec![of("turn", model, effort)];
        expected.extend(model_is_said.then(|| of("thread", model, effort)));
        assert_eq!(told[2..], expected);
    }
}

#[test]
fn mail_starts_a_turn_with_the_settings_before_it() {
    let mut bench = root();
    set(&mut bench, "s1", model("second", None));
    bench.mail(9, 1, MailKind::NewTask);
    bench.does(Input::Granted);
    assert_eq!(request(&bench).0, "second");
}

/// Who is asked stands in the settings of the thread, and not in the context of a turn: they are written first.
#[test]
fn a_provider_is_asked_from_the_turn_on_that_comes_after_it_was_set() {
    let provider = |name: &str| ThreadSettings { provider: Some(name.into()), ..ThreadSettings::default() };
    let asked = |bench: &Bench| {
        let request = bench.effects.iter().find_map(|effect| match effect {
            Effect::Sample { request, .. } => Some(request.origin.provider.to_string()),
            _ => None,
        });
        request.expect("the model is asked")
    };
    let mut bench = root();
    bench.turn();
    assert_eq!(asked(&bench), "p");
    bench.answer(&[text("done")]);
    let settings = Some(Box::new(provider("q")));
    bench.accept(input("u2", Body::User(Said { settings, ..Said::text("and now") }), true));
    let begun = bench.does(Input::Granted);
    assert_eq!(begun.batches, ["thread_settings_applied task_started turn_context user!u2 shown:UserMessage"]);
    assert_eq!(asked(&bench), "q");

    // Set while a turn runs, and that turn is ended before what was said next.
    set(&mut bench, "s1", provider("r"));
    bench.sampled(Err(ModelError::Cut { why: "it broke off".into() }));
    bench.say("u3", "rather this");
    let turn = bench.turn_id();
    bench.does(Input::Interrupt { turn, by: Interrupter::User });
    let begun = bench.does(Input::Granted);
    assert_eq!(begun.batches, ["thread_settings_applied!s1 task_started turn_context user!u3 shown:UserMessage"]);
    assert_eq!(asked(&bench), "r");
}

/// What a model says of models is compared with the one that its agent asks, whatever the run would ask.
#[test]
fn a_child_may_be_given_the_model_that_its_parent_asks_and_no_other() {
    let mut bench = root();
    set(&mut bench, "s1", model("second", None));
    bench.turn();
    let spawn = |call: &str, model: &str| {
        collab(call, "spawn_agent", &json!({"task_name": call, "message": "go", "model": model}))
    };
    assert_eq!(bench.answer(&[spawn("a", "second")]).effects, ["ask(a)"]);
    let path = sapwood_protocol::AgentPath::root().join("a").unwrap();
    let done = Answer::Done { output: "{}".into(), agent: Some((super::bench::thread(2), path)) };
    bench.does(Input::Answered { call: "a".into(), answer: done });
    let shown = bench.lines.iter().rev().find(|line| line.bytes().windows(16).any(|at| at == b"SubAgentActivity"));
    let view = shown.unwrap().view().unwrap();
    let shown: Value = serde_json::from_str(view.payload.get()).unwrap();
    assert_eq!(shown["item"]["model"], "second");
    bench.answer(&[spawn("b", "first")]);
    let refused = bench.outputs().into_iter().find(|(call, _)| call == "b").unwrap().1;
    assert_eq!(refused, "Unknown model `first` for spawn_agent. Available models: second");
}

/// What a model was told of its mode, in order.
fn modes(bench: &Bench) -> Vec<String> {
    let items = bench.machine.agent().history.prompt();
    let items = items.iter().map(|item| serde_json::from_slice::<Value>(item).unwrap());
    let texts = items.filter(|item| item["role"] == "developer").map(|item| item["content"][0]["text"].clone());
    texts
        .filter_map(|text| text.as_str().filter(|text| text.contains("collaboration_mode")).map(str::to_owned))
        .collect()
}

#[test]
fn a_model_is_told_of_its_mode_when_it_changes_and_once() {
    let mut bench = Bench::root_with(Settings { manner_is_said: false, ..Settings::default() });
    let mode = |said: Option<&str>| {
        let manner = Manner { mode_instructions: Some(said.map(Into::into)), ..Manner::default() };
        ThreadSettings { manner, ..ThreadSettings::default() }
    };
    let turn = |bench: &mut Bench, id: &str| {
        bench.say(id, "go on");
        bench.does(Input::Granted);
        bench.answer(&[text("done")]);
    };
    turn(&mut bench, "u1");
    assert_eq!(modes(&bench), [""; 0]);
    let told = |said: &str| prompt::mode(said);
    for (n, (said, expected)) in [
        (Some("plan"), vec![told("plan")]),
        (Some("plan"), vec![told("plan")]),
        (Some("work"), vec![told("plan"), told("work")]),
        (None, vec![told("plan"), told("work")]),
        (Some("plan"), vec![told("plan"), told("work"), told("plan")]),
    ]
    .into_iter()
    .enumerate()
    {
        set(&mut bench, &format!("s{n}"), mode(said));
        turn(&mut bench, &format!("v{n}"));
        assert_eq!(modes(&bench), expected, "{n}");
    }
    let folded = Agent::fold(bench.lines.iter().cloned());
    assert_eq!(folded.mode_told.as_deref(), Some("plan"));
}
