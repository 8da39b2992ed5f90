//! Every prefix of a rollout is a legal history: wherever a process dies, what loading writes closes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use sapwood_model::{ModelError, Refusal};
use sapwood_protocol::Line;
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::{Accepted, Body, InputLane, Own, Said, ThreadSettings};
use serde_json::{Value, json};

use super::super::effect::{Ask, Effect, Timer};
use super::super::input::{Answer, Input, Interrupter};
use super::super::{Agent, Settings};
use super::bench::{Bench, collab, exec, function, line_in_words, text};

/// The tree answers what was asked last.
fn tree_answers(bench: &mut Bench, output: &str) {
    let call = bench.effects.iter().find_map(|effect| match effect {
        Effect::Ask { call, .. } => Some(call.clone()),
        _ => None,
    });
    let answer = Answer::Done { output: output.into(), agent: None };
    bench.does(Input::Answered { call: call.expect("the tree was asked"), answer });
}

/// Sets the model, before a text where there is one.
fn set(bench: &mut Bench, id: &str, text: Option<&str>) {
    let settings = ThreadSettings { model: Some(id.into()), ..ThreadSettings::default() };
    let (wake, body) = match text {
        Some(text) => (true, Body::User(Said { settings: Some(Box::new(settings)), ..Said::text(text) })),
        None => (false, Body::Settings { settings }),
    };
    bench.accept(Accepted {
        id: id.into(),
        place: 0,
        lane: InputLane::User,
        wake,
        from: None,
        body: Some(body),
        turn: None,
    });
}

/// A child's life with everything in it that it can write.
fn life() -> Bench {
    let mut bench = Bench::child();
    // A task, agents, commands that end out of order, mail, a wait.
    bench.mail(1, 3, MailKind::NewTask);
    bench.does(Input::Granted);
    let spawn = json!({"task_name": "b", "message": "work", "fork_turns": "none"});
    let send = json!({"target": "b", "message": "and this"});
    bench.answer(&[
        json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}),
        text("I begin."),
        collab("spawn", "spawn_agent", &spawn),
        exec("one"),
        exec("two"),
        exec("three"),
        collab("send", "send_message", &send),
        collab("wait", "wait_agent", &json!({"timeout_ms": 10_000})),
        exec("four"),
    ]);
    tree_answers(&mut bench, "{}");
    ["two", "one", "three"].iter().for_each(|call| drop(bench.held(call)));
    ["three", "two", "one"].iter().for_each(|call| drop(bench.ended(call)));
    tree_answers(&mut bench, "");
    bench.mail(3, 8, MailKind::Message);
    bench.does(Input::Granted);
    bench.held("four");
    bench.ended("four");
    // Words while it answers, nothing said, a tool that is not there, an end.
    bench.say("u1", "hurry");
    bench.answer(&[]);
    bench.answer(&[function("odd", "", "no_such_tool", "{")]);
    bench.answer(&[text("42")]);
    let n = bench.machine.agent().last_turn.as_ref().unwrap().n;
    bench.does(Input::Reported { n, accepted: true });
    // A turn that is interrupted with calls open, one that fails, one that is left open over a command.
    bench.say("u2", "more");
    bench.does(Input::Granted);
    bench.answer(&[exec("five"), exec("six")]);
    bench.held("five");
    bench.held("six");
    bench.ended("six");
    let turn = bench.turn_id();
    bench.does(Input::Interrupt { turn, by: Interrupter::User });
    let n = bench.machine.agent().last_turn.as_ref().unwrap().n;
    bench.does(Input::Reported { n, accepted: true });
    set(&mut bench, "s1", None);
    set(&mut bench, "u3", Some("again"));
    set(&mut bench, "s2", None);
    bench.does(Input::Granted);
    bench.sampled(Err(ModelError::UsageLimited { message: "used up".into(), until: None }));
    bench.does(Input::GoOn);
    bench.does(Input::Granted);
    bench.sampled(Err(ModelError::Cut { why: "gone".into() }));
    bench.does(Input::Due(Timer::Retry));
    bench.sampled(Err(ModelError::Refused { status: 400, reason: Refusal::BadRequest, message: "no".into() }));
    let n = bench.machine.agent().last_turn.as_ref().unwrap().n;
    bench.does(Input::Reported { n, accepted: true });
    bench.say("u4", "last");
    bench.mail(3, 9, MailKind::NewTask);
    bench.does(Input::Granted);
    bench.answer(&[exec("seven"), collab("wait2", "wait_agent", &json!({}))]);
    bench.held("seven");
    bench.say("u5", "unread");
    bench
}

/// Loads what is there, answering as a tree of dead processes does: nothing was made, mail arrives.
fn load(lines: &[Line], settings: &Arc<Settings>) -> Bench {
    let mut bench = Bench::of(lines.to_vec(), Arc::clone(settings));
    let mut inputs = VecDeque::from([Input::Loaded]);
    while let Some(input) = inputs.pop_front() {
        bench.does(input);
        for effect in std::mem::take(&mut bench.effects) {
            match effect {
                Effect::Ask { call, ask: Ask::Spawn { only_find: true, .. } } => {
                    inputs.push_back(Input::Answered { call, answer: Answer::Never });
                }
                Effect::Ask { call, ask: Ask::Mail { .. } } => {
                    let answer = Answer::Done { output: String::new(), agent: None };
                    inputs.push_back(Input::Answered { call, answer });
                }
                Effect::Report(report) => inputs.push_back(Input::Reported { n: report.n, accepted: true }),
                Effect::KillLeftover(_) | Effect::GiveBack | Effect::Notify(_) => {}
                other => panic!("loading runs nothing: {other:?}"),
            }
        }
    }
    bench
}

/// A root's life with everything in it that it can ask.
fn life_of_asks() -> Bench {
    use super::asks::{answers, asking, escalated, looked_at, patch, patched};
    use sapwood_protocol::asked::{Decision, Resolution};
    let decided = |decision| Resolution::Decided { decision };
    let mut bench = asking();
    bench.answer(&[escalated("a"), exec("b"), escalated("c"), patch("p", "x.txt"), patch("q", "y.txt")]);
    bench.held("b");
    bench.ended("b");
    answers(&mut bench, "c", decided(Decision::Decline));
    answers(&mut bench, "a", decided(Decision::AcceptForSession));
    bench.does(Input::Granted);
    bench.held("a");
    bench.ended("a");
    looked_at(&mut bench, "p");
    answers(&mut bench, "p", decided(Decision::Accept));
    bench.does(Input::Granted);
    patched(&mut bench, "p");
    looked_at(&mut bench, "q");
    answers(&mut bench, "q", decided(Decision::Cancel));
    bench.does(Input::Granted);
    assert!(bench.machine.agent().turn.is_none());
    bench.say("u2", "more");
    bench.does(Input::Granted);
    bench.answer(&[escalated("d"), exec("e")]);
    bench.held("e");
    let turn = bench.turn_id();
    bench.does(Input::Interrupt { turn, by: Interrupter::User });
    bench.say("u3", "more");
    bench.does(Input::Granted);
    bench.answer(&[escalated("f"), escalated("g")]);
    bench
}

#[test]
fn loading_closes_every_prefix() {
    closes_every_prefix(&life(), 90);
}

#[test]
fn loading_closes_every_prefix_of_what_was_asked() {
    closes_every_prefix(&life_of_asks(), 40);
}

fn closes_every_prefix(life: &Bench, least: usize) {
    assert!(life.lines.len() > least, "{} lines", life.lines.len());
    let mut parked = 0;
    for len in 1..=life.lines.len() {
        let prefix = &life.lines[..len];
        let at = format!("after {len} lines, the last {}", line_in_words(&prefix[len - 1]));
        let before = Agent::fold(prefix.iter().cloned());
        let loaded = load(prefix, &life.settings);
        let agent = loaded.machine.agent();
        assert_eq!(*agent, Agent::fold(loaded.lines.iter().cloned()), "{at}: the fold is the state");
        assert_eq!(agent.unreadable, 0, "{at}");
        match before.parked() {
            true => {
                parked += 1;
                assert_eq!(loaded.lines.len(), len, "{at}: a turn that only waits is kept");
            }
            false => assert!(agent.turn.is_none(), "{at}: {:?}", agent.turn),
        }
        assert_eq!(load(&loaded.lines, &life.settings).lines, loaded.lines, "{at}: it is closed once");
        check_turns(&loaded.lines, &at);
        check_outputs(&loaded.lines, agent, len, &at);
        check_inputs(&loaded.lines, agent, &at);
        check_asks(&loaded.lines, agent, &at);
    }
    assert!(parked > 0, "there is a wait to die in");
}

/// What was asked is open, or was answered once, before its turn ended.
fn check_asks(lines: &[Line], agent: &Agent, at: &str) {
    let mut open = BTreeSet::new();
    for line in lines {
        let view = line.view().unwrap();
        match Own::parse(&view).unwrap() {
            Some(Own::Asked(asked)) => assert!(open.insert(asked.id), "{at}: asked twice"),
            Some(Own::Answered(answered)) => assert!(open.remove(&answered.id), "{at}: answered, and not open"),
            _ if matches!(&*view.tag(), "task_complete" | "turn_aborted") => {
                assert!(open.is_empty(), "{at}: a turn ended, and asks still");
            }
            _ => {}
        }
    }
    let shown: BTreeSet<_> = agent.asks.open().iter().map(|asked| asked.id.clone()).collect();
    assert_eq!(open, shown, "{at}: the open questions");
}

fn words(lines: &[Line]) -> Vec<(String, Value)> {
    let payload = |line: &Line| serde_json::from_str(line.view().unwrap().payload.get()).unwrap();
    lines.iter().map(|line| (line.view().unwrap().tag().into_owned(), payload(line))).collect()
}

/// Each turn that began has ended once, but for the one that is open; each answer of a turn that ended is closed.
fn check_turns(lines: &[Line], at: &str) {
    let (mut open, mut torn) = (None, false);
    for (line, (tag, payload)) in lines.iter().zip(words(lines)) {
        match tag.as_str() {
            _ if line.view().unwrap().kind == "token_usage_record" => torn = false,
            "reasoning" | "function_call" => torn = true,
            "message" => torn |= payload["role"] == "assistant",
            "task_complete" | "turn_aborted" if torn => panic!("{at}: a turn ended inside of an answer"),
            _ => {}
        }
        match tag.as_str() {
            "task_started" => assert_eq!(open.replace(payload["turn_id"].clone()), None, "{at}: two turns"),
            "task_complete" | "turn_aborted" => {
                assert_eq!(open.take().as_ref(), Some(&payload["turn_id"]), "{at}: the end of another turn");
            }
            _ => {}
        }
    }
}

/// What loading answers is a call that may have had effects, or one whose answer was known or could be asked for.
fn check_outputs(lines: &[Line], agent: &Agent, len: usize, at: &str) {
    let mut begun = BTreeSet::new();
    for line in &lines[..len] {
        let view = line.view().unwrap();
        match Own::parse(&view).unwrap() {
            Some(Own::ToolStarted(started)) => begun.extend([started.call.to_string()]),
            Some(Own::Waiting(waiting)) => begun.extend([waiting.call.to_string()]),
            _ => {}
        }
        begun.extend(view.mark().output.map(|early| early.call.to_string()));
    }
    let mut outputs = BTreeMap::new();
    for (n, (tag, payload)) in words(lines).into_iter().enumerate() {
        if tag.ends_with("_call_output") {
            let call = payload["call_id"].as_str().unwrap().to_owned();
            let known = n < len || begun.contains(&call) || call == "send";
            assert!(known, "{at}: {call} never began, and has an output");
            assert_eq!(outputs.insert(call.clone(), n), None, "{at}: two outputs of {call}");
        }
    }
    for call in begun {
        let open = !outputs.contains_key(&call);
        // A turn that only waits is kept, with what ended early.
        let kept = agent.turn.as_ref().filter(|_| agent.parked()).and_then(|turn| turn.call(&call.as_str().into()));
        let waits = matches!(call.as_str(), "wait" | "wait2") || kept.is_some();
        assert!(!open || waits, "{at}: {call} began, and has no output");
    }
}

/// What was accepted is pending, or consumed by one line.
fn check_inputs(lines: &[Line], agent: &Agent, at: &str) {
    let mut gone: BTreeMap<String, usize> = BTreeMap::new();
    let mut accepted = BTreeSet::new();
    for line in lines {
        let view = line.view().unwrap();
        view.mark().consumes.iter().for_each(|id| *gone.entry(id.to_string()).or_default() += 1);
        if let Some(Own::Accepted(input)) = Own::parse(&view).unwrap() {
            accepted.insert(input.id);
        }
    }
    for id in accepted {
        let pending = usize::from(agent.inbox.get(&id).is_some());
        let consumed = gone.get(&id.to_string()).copied().unwrap_or_default();
        assert_eq!(pending + consumed, 1, "{at}: {id} is pending {pending} times and consumed {consumed} times");
    }
}
