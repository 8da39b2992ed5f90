//! An agent panics, at each point and each passing of it, and its turn goes on as if it had not.

use std::sync::OnceLock;

use serde_json::Value;

use crate::cores::each;
use crate::ledgers;
use crate::rollouts::Rollout;
use crate::world::{Ran, World};

const SCRIPT: &str = include_str!("siblings.json");
const PROMPT: &str = "do it";
const POINTS: [&str; 5] = ["before-decide", "after-append", "after-apply", "between-effects", "tool-answer"];

/// The text of a panic on purpose.
const PANIC: &str = "fault on purpose";

fn world() -> World {
    World::new(SCRIPT).told(&["-s", "danger-full-access"])
}

fn run(fault: &str) -> (World, Ran) {
    let world = world();
    let run = world.exec(PROMPT, &[("SAPWOOD_FAULT", fault)]);
    (world, run)
}

fn of<'a>(rollouts: &'a [Rollout], path: &str) -> &'a Rollout {
    rollouts.iter().find(|rollout| rollout.path == path).unwrap_or_else(|| panic!("{path} has no rollout"))
}

/// The rollout of beta, who is nobody's concern, where nothing goes wrong.
fn undisturbed() -> &'static Vec<Value> {
    static BETA: OnceLock<Vec<Value>> = OnceLock::new();
    BETA.get_or_init(|| {
        let (world, run) = run("");
        ledgers::check(&world, PROMPT, &[run], 0);
        let beta = plain(&world, of(&world.rollouts(), "/root/beta"));
        assert!(beta.len() > 15, "{beta:#?}");
        beta
    })
}

/// The lines of a rollout without what is new in each run: times, ids, places, processes.
fn plain(world: &World, rollout: &Rollout) -> Vec<Value> {
    let mut ids = Vec::new();
    let folder = world.place("").to_str().unwrap().to_owned();
    rollout.lines.iter().map(|line| plain_value(line, &folder, &mut ids)).collect()
}

/// What differs from run to run.
const NEW: [&str; 12] = [
    "timestamp",
    "started_at",
    "completed_at",
    "started_at_ms",
    "completed_at_ms",
    "duration_ms",
    "duration",
    "group",
    "until",
    "agent_nickname",
    "place",
    "process_id",
];

fn plain_value(value: &Value, folder: &str, ids: &mut Vec<String>) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(key, _)| !NEW.contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), plain_value(value, folder, ids))).collect()
        }
        Value::Array(values) => values.iter().map(|value| plain_value(value, folder, ids)).collect(),
        Value::String(text) => {
            let lines = text.lines().filter(|line| !line.starts_with("Chunk ID: ") && !line.starts_with("Wall time: "));
            let text = lines.collect::<Vec<_>>().join("\n").replace(folder, "/");
            Value::String(without_ids(&text, ids))
        }
        other => other.clone(),
    }
}

/// Replaces each UUID by its number.
fn without_ids(text: &str, ids: &mut Vec<String>) -> String {
    const LEN: usize = 36;
    let is_id = |word: &str| {
        let parts: Vec<usize> = word.split('-').map(str::len).collect();
        parts == [8, 4, 4, 4, 12] && word.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
    };
    let (mut plain, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        match rest.get(..LEN).filter(|word| is_id(word)) {
            Some(id) => {
                let known = ids.iter().position(|known| known == id);
                let number = known.unwrap_or_else(|| {
                    ids.push(id.to_owned());
                    ids.len() - 1
                });
                plain.push_str(&format!("<{number}>"));
                rest = &rest[LEN..];
            }
            None => {
                plain.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    plain
}

/// One agent panics once. False if it never came there.
fn goes_on(path: &str, point: &str, n: u64, times: u64) -> bool {
    let fault = format!("{point}@{path}#{n}x{times}");
    let (world, run) = run(&fault);
    let panics = run.stderr.matches(PANIC).count();
    assert_eq!(run.code(), Some(0), "{fault}: {run:#?}");
    ledgers::check(&world, PROMPT, &[run], panics);
    let rollouts = world.rollouts();
    let agent = of(&rollouts, path);
    let started: Vec<&Value> = agent.events("task_started").map(|line| &line["payload"]["turn_id"]).collect();
    let completed: Vec<&Value> = agent.events("task_complete").map(|line| &line["payload"]["turn_id"]).collect();
    assert_eq!(started, completed, "{fault}: the same turns go on");
    assert_eq!(agent.events("turn_aborted").count(), 0, "{fault}");
    if path == "/root/alpha" {
        assert_eq!(started.len(), 1, "{fault}");
        assert_eq!(agent.accepted().len(), 2, "{fault}");
        assert_eq!(agent.gone().len(), 2, "{fault}: its queued message was not handled");
    }
    assert_eq!(&plain(&world, of(&rollouts, "/root/beta")), undisturbed(), "{fault}: beta was disturbed");
    panics > 0
}

fn each_passing(path: &'static str) {
    undisturbed();
    for point in POINTS {
        let panicked = each(|n| goes_on(path, point, n, 1));
        println!("{path} panicked at each of {panicked} passings of {point}");
        assert!(panicked >= 1, "{point}");
    }
}

#[test]
fn a_child_that_panics_goes_on_with_its_turn() {
    each_passing("/root/alpha");
}

#[test]
fn a_root_that_panics_goes_on_with_its_turn() {
    each_passing("/root");
}

#[test]
fn a_child_that_panics_twice_goes_on_with_its_turn() {
    for point in POINTS {
        for n in [1, 2, 5] {
            goes_on("/root/alpha", point, n, 2);
        }
    }
}

/// From this passing on the child panics for ever. False if it never came there.
fn is_quarantined(point: &str, n: u64) -> bool {
    let fault = format!("{point}@/root/alpha#{n}x100");
    let (world, run) = run(&fault);
    if !run.stderr.contains(PANIC) {
        return false;
    }
    assert_eq!(run.code(), Some(7), "{fault}: {run:#?}");
    let rollouts = world.rollouts();
    let (root, alpha) = (of(&rollouts, "/root"), of(&rollouts, "/root/alpha"));
    assert_eq!(alpha.payloads("sapwood.quarantined").count(), 1, "{fault}");
    let reports: Vec<_> = (root.accepted().into_iter())
        .filter(|input| input.from.as_ref().is_some_and(|(thread, _)| *thread == alpha.thread))
        .collect();
    let completed = alpha.events("task_complete").count();
    assert_eq!(reports.len(), completed + 1, "{fault}: a report of each turn, and one of the quarantine: {reports:#?}");
    let last = reports.last().unwrap().text.as_ref().unwrap();
    assert!(last.starts_with("Agent quarantined"), "{fault}: {last}");
    for report in &reports {
        assert_eq!(root.gone().iter().filter(|id| **id == report.id).count(), 1, "{fault}: {report:?}");
    }
    assert_eq!(root.mail("Agent quarantined"), 1, "{fault}");
    let states: Vec<(String, String)> = world.ps().into_iter().map(|(path, state, _)| (path, state)).collect();
    let expected = [("/root", "completed"), ("/root/alpha", "quarantined"), ("/root/beta", "completed")];
    assert_eq!(states, expected.map(|(path, state)| (path.to_owned(), state.to_owned())), "{fault}");
    assert_eq!(&plain(&world, of(&rollouts, "/root/beta")), undisturbed(), "{fault}: beta was disturbed");
    true
}

#[test]
fn a_child_that_always_panics_is_quarantined_and_its_parent_told_once() {
    undisturbed();
    for point in POINTS {
        for n in [1, 2, 7] {
            assert!(is_quarantined(point, n) || point == "tool-answer", "{point}, {n}");
        }
    }
    let panicked = each(|n| is_quarantined("after-append", n));
    println!("quarantined from each of {panicked} passings of after-append on");
}

/// The process dies while an agent is taken out of service. Whether it was or not, its requester hears of it once.
#[test]
fn a_death_during_a_quarantine_tells_the_parent_once() {
    let died = each(|k| {
        let fault = ("SAPWOOD_FAULT", "before-decide@/root/alpha#4x100");
        // What the root died before sending never comes.
        let script = SCRIPT.replace("600000", "50");
        let world = World::new(&script).told(&["-s", "danger-full-access"]);
        let kill = format!("after:{k}");
        let first = world.exec(PROMPT, &[fault, ("SAPWOOD_KILL", &kill)]);
        if first.code().is_some() {
            return false;
        }
        if !world.rollouts().is_empty() {
            let last = world.resume(&[]);
            let rollouts = world.rollouts();
            let alpha = rollouts.iter().find(|rollout| rollout.path == "/root/alpha");
            let out = alpha.map_or(0, |alpha| alpha.payloads("sapwood.quarantined").count());
            let told = of(&rollouts, "/root").mail("Agent quarantined");
            assert_eq!(told, out, "{kill}: reports, and quarantines; {last:#?}");
            assert_eq!(last.code(), Some(if out == 0 { 0 } else { 7 }), "{kill}: {last:#?}");
        }
        true
    });
    println!("died at each of {died} lines");
    assert!(died > 50, "{died}");
}

#[test]
fn a_root_that_always_panics_ends_the_run_and_says_why() {
    let (world, run) = run("before-decide@/root#1x100");
    assert_eq!(run.code(), Some(1), "{run:#?}");
    assert!(run.stderr.contains("quarantined"), "{run:#?}");
    assert_eq!(world.ps(), [("/root".to_owned(), "quarantined".to_owned(), None)]);
}
