//! How a run ends whose provider does not want to go on: a usage limit, and credentials that do not do.

mod support;

use serde_json::{Value, json};
use support::World;

/// 2100-01-01T00:00:00Z.
const END: u64 = 4_102_444_800_000;

fn limited(until: Option<u64>) -> Value {
    json!([{"fail": {"status": 429, "message": "all used up", "usage_limit_until_ms": until.unwrap_or(END)}}])
}

#[test]
fn a_usage_limit_pauses_the_run_says_until_when_and_it_goes_on() {
    let world = World::new();
    let script = world.script("limited", json!([{"reply": limited(Some(END))}]));
    let ran = world.exec(&script, &["go", "-o", "answer.txt"]);
    assert_eq!((ran.code, &*ran.out), (5, ""), "{}", ran.err);
    let said = ran.err.lines().find(|line| line.contains("paused by a usage limit (one agent)")).unwrap();
    assert!(said.contains("all used up") && said.ends_with("it ends at 2100-01-01 00:00:00 UTC"), "{said}");
    let session = ran.session();
    assert!(ran.err.contains(&format!("to go on: sapwood exec resume {session}")), "{}", ran.err);
    assert!(!world.path("work/answer.txt").exists());

    let again = world.exec(&script, &["--json", "resume", &session]);
    let events = again.events();
    let (ended, events) = events.split_last().unwrap();
    assert_eq!((again.code, &ended["outcome"], &ended["exit_code"]), (5, &json!("usageLimited"), &json!(5)));
    assert_eq!(ended["paused_until"], "2100-01-01T00:00:00.000Z");
    let failed = events.last().unwrap();
    assert_eq!(failed["type"], "turn.failed");
    assert!(failed["error"]["message"].as_str().unwrap().contains("it ends at 2100-01-01"), "{failed}");

    let answer = world.script("answer", json!([{"reply": [{"text": "at last"}]}]));
    let resumed = world.exec(&answer, &["resume", &session, "-o", "answer.txt"]);
    assert_eq!((resumed.code, &*resumed.out), (0, "at last\n"), "{}", resumed.err);
    assert_eq!(std::fs::read_to_string(world.path("work/answer.txt")).unwrap(), "at last");
}

#[test]
fn a_child_that_pauses_pauses_the_run() {
    let world = World::new();
    let spawn = json!({"task_name": "alpha", "message": "compute", "fork_turns": "none"});
    let rules = |child: Value| {
        json!([
            {"agent": "/root/alpha", "reply": child},
            {"on": {"user": true}, "reply": [
                {"call": {"name": "spawn_agent", "namespace": "collaboration", "arguments": spawn}}]},
            {"on": {"call": "spawn_agent"}, "reply": [
                {"call": {"name": "wait_agent", "namespace": "collaboration", "arguments": {}}}]},
            {"on": {"mail_from": "/root/alpha"}, "reply": [{"text": "the child is done"}]},
            {"reply": [{"text": "nobody came"}]},
        ])
    };
    let ran = world.exec(&world.script("limited", rules(limited(None))), &["go"]);
    assert_eq!((ran.code, &*ran.out), (5, ""), "{}", ran.err);
    assert!(ran.err.contains("paused by a usage limit (one agent)"), "{}", ran.err);
    let good = world.script("good", rules(json!([{"text": "eleven"}])));
    let resumed = world.exec(&good, &["resume", &ran.session()]);
    assert_eq!((resumed.code, &*resumed.out), (0, "the child is done\n"), "{}", resumed.err);
}

#[test]
fn refused_credentials_are_the_configurations_fault_and_other_refusals_the_providers() {
    let world = World::new();
    for (status, code) in [(401, 3), (400, 4)] {
        let script = world.script("s", json!([{"reply": [{"fail": {"status": status, "message": "no"}}]}]));
        let ran = world.exec(&script, &["go"]);
        assert_eq!((ran.code, &*ran.out), (code, ""), "{}", ran.err);
        assert!(ran.err.contains("to go on: sapwood exec resume"), "{}", ran.err);
    }
}
