//! What people and Codex know of a thread beside its rollout: names, goals, queued messages, and who holds it.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::{World, files};

fn answer(world: &World) -> [String; 6] {
    world.script("answer", json!([{"reply": [{"text": "done"}]}]))
}

fn name(world: &World, thread: &str, name: &str) {
    use std::io::Write;
    let path = world.home().join("session_index.jsonl");
    let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    writeln!(file, "{}", json!({"id": thread, "thread_name": name, "updated_at": "2026-11-21T05:30:57Z"})).unwrap();
}

fn shown(world: &World, args: &[&str]) -> Vec<Value> {
    let ran = world.run(["ps", "--json"].into_iter().chain(args.iter().copied()));
    serde_json::from_str::<Value>(&ran.out).unwrap()["agents"].as_array().unwrap().clone()
}

#[test]
fn a_tree_is_resumed_by_its_name_and_of_several_the_last_written_one() {
    let world = World::new();
    let (one, two) = (world.exec(&answer(&world), &["one"]).session(), world.exec(&answer(&world), &["two"]).session());
    name(&world, &one, "the tree");
    let resumed = world.exec(&answer(&world), &["resume", "the tree", "more"]);
    assert_eq!((resumed.code, resumed.session()), (0, one.clone()), "{}", resumed.err);
    name(&world, &two, "the tree");
    // Both are called so, and the first was written last.
    assert_eq!(world.exec(&answer(&world), &["resume", "the tree", "more"]).session(), one);
    name(&world, &one, "another");
    assert_eq!(world.exec(&answer(&world), &["resume", "the tree", "more"]).session(), two);
    let names: Vec<Value> = shown(&world, &[]).into_iter().map(|agent| agent["name"].clone()).collect();
    assert_eq!(names, [json!("the tree"), json!("another")]);
    let table = world.run(["ps"]).out;
    assert!(table.starts_with("TREE") && table.lines().next().unwrap().contains("  NAME "), "{table}");
    let unknown = world.exec(&answer(&world), &["resume", "The Tree", "more"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("`The Tree`"), "{}", unknown.err);
}

#[test]
fn an_id_is_an_id_before_it_is_a_name() {
    let world = World::new();
    let (one, two) = (world.exec(&answer(&world), &["one"]).session(), world.exec(&answer(&world), &["two"]).session());
    name(&world, &one, &two);
    assert_eq!(world.exec(&answer(&world), &["resume", &two, "more"]).session(), two);
    // A beginning that both ids have says too little, so the name counts.
    let both: String = one.chars().zip(two.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect();
    assert!(world.exec(&answer(&world), &["resume", &both, "more"]).err.contains("2 trees have an id"));
    name(&world, &two, &both);
    assert_eq!(world.exec(&answer(&world), &["resume", &both, "more"]).session(), two);
}

#[test]
fn who_holds_a_thread_is_told_by_process_program_and_time() {
    let world = World::new();
    let hang = world.script("hang", json!([{"reply": ["hang"]}]));
    let running = world.start(&hang, &["go"], "/root  started");
    let refused = world.exec(&answer(&world), &["resume", &running.session()]);
    let who = format!("already has an active writer: process {} (sapwood exec, since 20", running.child.id());
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains(&who) && refused.err.contains("stop it, or wait"), "{}", refused.err);
    running.signal(Signal::TERM);
}

const THREAD: &str = "01a1fb6a-b39b-7283-a318-3f0902a87cab";

/// A home with one thread that Codex made, its goal and a queued message, in databases as it leaves them.
fn foreign(world: &World) -> PathBuf {
    let meta = json!({"id": THREAD, "session_id": THREAD, "cwd": world.path("work"), "originator": "codex_exec",
        "cli_version": "0.169.0", "source": "exec", "history_mode": "paginated", "timestamp": "2026-11-21T00:03:53.341Z"});
    let line = json!({"timestamp": "2026-11-21T00:03:53.341Z", "ordinal": 0, "type": "session_meta", "payload": meta});
    let rollout = format!("codex/sessions/2026/11/21/rollout-2026-11-21T00-03-53-{THREAD}.jsonl");
    world.write(&rollout, format!("{line}\n"));
    let database = |name: &str, statements: &str| {
        let connection = Connection::open(world.path("codex").join(name)).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection.execute_batch(statements).unwrap();
    };
    database(
        "goals_1.sqlite",
        &format!(
            "CREATE TABLE thread_goals (thread_id TEXT PRIMARY KEY, goal_id TEXT, objective TEXT, status TEXT, token_budget \
             INTEGER, tokens_used INTEGER, time_used_seconds INTEGER, created_at_ms INTEGER, updated_at_ms INTEGER); \
             INSERT INTO thread_goals VALUES ('{THREAD}', 'g', 'Ship it', 'paused', 5000, 12, 7, 1000, 2000)"
        ),
    );
    database(
        "queue_1.sqlite",
        &format!(
            "CREATE TABLE queued_items (id TEXT PRIMARY KEY, thread_id TEXT, payload_json TEXT, queue_order INTEGER, \
             created_at_ms INTEGER, updated_at_ms INTEGER); INSERT INTO queued_items VALUES ('q1', '{THREAD}', \
             '{{\"UserInput\":{{\"content\":[{{\"type\":\"text\",\"text\":\"queued in Codex\"}}]}}}}', 0, 1, 1)"
        ),
    );
    world.path("codex")
}

fn databases(home: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files(home).into_iter().filter(|(path, _)| path.to_str().unwrap().contains("sqlite")).collect()
}

#[test]
fn goal_and_queue_of_a_thread_that_codex_made_are_taken_over_once_and_left_as_they_are() {
    let world = World::new();
    let home = foreign(&world);
    let before = databases(&home);
    let home_flag = home.to_str().unwrap();
    let first = world.exec(&answer(&world), &["--home", home_flag, "resume", THREAD, "said here"]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.err.contains("what was queued in Codex is taken over"), "{}", first.err);
    assert_eq!(databases(&home), before);
    let said = |request: &Value| request.to_string().matches("queued in Codex").count();
    assert_eq!(world.requests().iter().map(said).collect::<Vec<_>>(), [1]);
    let goal = json!({"objective": "Ship it", "status": "paused", "tokenBudget": 5000, "tokensUsed": 12,
        "timeUsedSeconds": 7, "createdAt": 1000, "updatedAt": 2000});
    assert_eq!(shown(&world, &["--home", home_flag])[0]["goal"], goal);

    // Codex still has it in its queue; to us it was said.
    let second = world.exec(&answer(&world), &["--home", home_flag, "resume", THREAD, "again"]);
    assert!(!second.err.contains("taken over"), "{}", second.err);
    assert_eq!(said(world.requests().last().unwrap()), 1);
}
