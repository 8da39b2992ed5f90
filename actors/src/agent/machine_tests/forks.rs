//! Forked children: what they inherit, and that they ask with the bytes of their spawner.

use sapwood_model::Request;
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::{Body, Fork, Own, Sender, Spawn, TurnOrigin};
use sapwood_protocol::{AgentPath, Ids, Line};
use sapwood_rollout::{Journal, MemoryJournal, NewThread};
use serde_json::{Value, json};

use super::super::Agent;
use super::super::effect::{Ask, Effect};
use super::super::fork::Inherited;
use super::super::input::{Answer, Input};
use super::super::lines::{NewAgent, accepted_mail, birth};
use super::bench::{Bench, START, collab, exec, line_in_words, text, thread};
use crate::fold;

fn spawn_call(call: &str, fork: &str) -> Value {
    collab(call, "spawn_agent", &json!({"task_name": "a", "message": "do it", "fork_turns": fork}))
}

fn request(bench: &Bench) -> Request {
    let sample = |effect: &Effect| match effect {
        Effect::Sample { request, .. } => Some(request.clone()),
        _ => None,
    };
    bench.effects.iter().find_map(sample).expect("it asks the model")
}

/// The `input` of a request, up to its closing bracket.
fn input(request: &Request) -> String {
    let body = String::from_utf8(request.body.concat()).unwrap();
    let (start, end) = (body.find("\"input\":[").unwrap(), body.find("],\"tools\":").unwrap());
    body[start..end].to_owned()
}

fn spawned(bench: &Bench) -> Spawn {
    let ask = |effect: &Effect| match effect {
        Effect::Ask { ask: Ask::Spawn { spawn, .. }, .. } => Some(spawn.clone()),
        _ => None,
    };
    bench.effects.iter().find_map(ask).expect("it spawns")
}

/// The rollout that the child of a bench is born with.
fn born(bench: &Bench, inherited: &Inherited) -> Vec<Line> {
    let path = AgentPath::root().join("a").unwrap();
    let turn = TurnOrigin { turn: "t".into(), root_turn: "t".into() };
    let body = Body::Mail { kind: MailKind::NewTask, text: "do it".into(), turn, outcome: None };
    let task = accepted_mail(Sender { thread: thread(1), path: AgentPath::root(), n: 4 }, true, body);
    let new = NewAgent {
        thread: thread(2),
        session: thread(1).into(),
        path: &path,
        parent: Some(thread(1)),
        nickname: None,
        cwd: "/workspace",
        fork: Some(inherited),
        settings: None,
        first: Some(&task),
    };
    birth(&new, &bench.settings, &mut Ids::seeded(9), START)
}

/// The child at its first request, and the agent that its rollout and its spawner's give.
fn child(bench: &Bench, lines: Vec<Line>, source: Option<&Agent>) -> (Bench, Agent) {
    let journal = MemoryJournal::new();
    let bytes = |lines: &[Line]| lines.iter().flat_map(|line| line.bytes().to_vec()).collect();
    journal.put(thread(1), START, bytes(&bench.lines));
    drop(journal.create(&NewThread { thread: thread(2), created: START }, &lines).unwrap());
    let agent = fold::of_fork(&journal, thread(2), &journal.read(thread(2)).unwrap(), source).unwrap();
    let mut child = Bench::with(agent.clone(), lines, &bench.settings);
    child.does(Input::Recovered { culprit: None });
    child.does(Input::Granted);
    (child, agent)
}

fn words(lines: &[Line]) -> Vec<String> {
    lines.iter().map(line_in_words).collect()
}

fn meta(lines: &[Line]) -> Value {
    serde_json::from_str(lines[0].view().unwrap().payload.get()).unwrap()
}

#[test]
fn a_whole_fork_asks_with_the_bytes_of_its_spawner() {
    let mut bench = Bench::root();
    bench.turn();
    let asked = input(&request(&bench));
    bench.answer(&[exec("x"), spawn_call("s", "all"), exec("y")]);
    bench.held("x");
    // The command before it has ended: its output is inherited. The one behind it has not begun.
    bench.ended("x");
    let spawn = spawned(&bench);
    let at = bench
        .lines
        .iter()
        .position(|line| Own::parse(&line.view().unwrap()).unwrap() == Some(Own::Spawn(spawn.clone())));
    let before = bench.lines[..at.unwrap()].iter().rev().find_map(|line| line.view().unwrap().ordinal).unwrap();
    let fork = spawn.fork.unwrap();
    assert_eq!(fork, Fork { end: before + 1, turns: None });

    let inherited = Inherited::of(bench.machine.agent(), fork);
    let lines = born(&bench, &inherited);
    let accepted = format!("accepted({}:4)", thread(1));
    assert_eq!(words(&lines)[1..], ["turn_aborted", "developer", "developer", &accepted]);
    let ordinals: Vec<_> = lines.iter().filter_map(|line| line.view().unwrap().ordinal).collect();
    assert_eq!(ordinals, (fork.end..fork.end + 4).collect::<Vec<_>>(), "it goes on where its part ends");
    let meta = meta(&lines);
    let base = json!({"thread_id": thread(1), "end_ordinal_exclusive": fork.end});
    assert_eq!((&meta["history_base"], &meta["forked_from_id"]), (&base, &json!(thread(1))));
    assert_eq!(meta["forked_from_ordinal_exclusive"], fork.end);
    assert_eq!(meta["subagent_history_start_ordinal"], fork.end + 4);

    // What its spawner goes on with is not the child's.
    bench.does(Input::Answered { call: "s".into(), answer: Answer::Done { output: "{}".into(), agent: None } });
    let (made, known) = child(&bench, lines.clone(), Some(inherited.source()));
    let (read, again) = child(&bench, lines, None);
    assert_eq!(known, again, "from memory and from the files it is the same");
    let body = input(&request(&made));
    assert_eq!(body, input(&request(&read)));
    assert!(body.starts_with(&asked), "{asked}\n{body}");
    let items: Vec<Value> = serde_json::from_str(&format!("{}]", &body["\"input\":".len()..])).unwrap();
    let told: Vec<_> =
        items[items.len() - 9..].iter().map(|item| (&item["type"], &item["call_id"], &item["output"])).collect();
    let aborted = json!("aborted");
    assert_eq!(told[0].1, "x");
    assert_eq!((told[1].1, told[2].1, told[2].2), (&json!("s"), &json!("s"), &aborted));
    assert_eq!((told[3].1, told[4].1, told[4].2), (&json!("y"), &json!("y"), &aborted));
    assert!(told[5].1 == "x" && told[5].2.as_str().unwrap().contains("x ran"));
    assert_eq!(told[8].0, "agent_message", "its own task is the last thing");
    assert!(
        known.usage.total_tokens == 0 && bench.machine.agent().usage.total_tokens > 0,
        "what it cost is counted once"
    );
}

#[test]
fn the_last_turns_are_copied_and_the_context_is_its_own() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[text("first answer")]);
    for (id, said) in [("u2", "second"), ("u3", "third")] {
        bench.say(id, said);
        bench.does(Input::Granted);
        if id == "u2" {
            bench.answer(&[text("second answer")]);
        }
    }
    bench.answer(&[spawn_call("s", "2")]);
    let fork = spawned(&bench).fork.unwrap();
    assert_eq!(fork.turns, Some(2));
    let lines = born(&bench, &Inherited::of(bench.machine.agent(), fork));
    assert_eq!(words(&lines)[1..6], ["user", "assistant", "user", "call(s)", "developer"]);
    let meta = meta(&lines);
    assert_eq!((&meta["history_base"], &meta["forked_from_id"]), (&Value::Null, &json!(thread(1))));
    assert_eq!(meta["subagent_history_start_ordinal"], 6);
    let (child, agent) = child(&bench, lines, None);
    assert!(!agent.context_written && agent.usage.total_tokens == 0);
    let body = input(&request(&child));
    let places = [
        "\"second\"",
        "\"third\"",
        "\"output\":\"aborted\"",
        "<forked_agent>",
        "You are `/root/a`",
        "<environment_context>",
        "Message Type: NEW_TASK",
    ];
    let places: Vec<_> = places.iter().map(|text| body.find(text).unwrap_or_else(|| panic!("{text}"))).collect();
    assert!(places.is_sorted(), "{places:?}");
    assert!(!body.contains("first answer"));
}

#[test]
fn a_fork_of_a_rollout_without_ordinals_is_a_copy() {
    let mut bench = Bench::root();
    bench.turn();
    bench.answer(&[text("answer")]);
    let mut agent = bench.machine.agent().clone();
    agent.next_ordinal = None;
    let lines = born(&bench, &Inherited::of(&agent, Fork { end: 12, turns: None }));
    let meta = meta(&lines);
    assert_eq!((&meta["history_mode"], &meta["history_base"]), (&json!("paginated"), &Value::Null));
    assert_eq!(words(&lines)[1..6], ["developer", "user", "user", "assistant", "developer"]);
    let ordinals: Vec<_> = lines.iter().filter_map(|line| line.view().unwrap().ordinal).collect();
    assert_eq!(ordinals, (0..6).collect::<Vec<_>>());
}
