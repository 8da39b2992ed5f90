//! Sessions that are held, stopped, broken or out of room, and what `exec resume` and `ps` make of them.

mod support;

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::{Value, json};
use support::{Ran, World};

const HANG: &str = r#"[{"reply": ["hang"]}]"#;

fn hang(world: &World) -> [String; 6] {
    world.script("hang", serde_json::from_str(HANG).unwrap())
}

fn answer(world: &World) -> [String; 6] {
    world.script("answer", json!([{"reply": [{"text": "back again"}]}]))
}

#[test]
fn a_held_session_is_refused_with_its_process_and_a_stopped_one_goes_on() {
    let world = World::new();
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let running = world.start(&hang(&world), &["go"], "/root  started");
        let session = running.session();
        let pid = running.child.id();
        let table = world.run(["ps"]).out;
        assert!(table.contains(&format!("working (pid {pid})")), "{table}");
        let second = world.exec(&answer(&world), &["resume", &session]);
        assert_eq!((second.code, &*second.out), (1, ""), "{}", second.err);
        assert!(second.err.contains(&format!("process {pid}")), "{}", second.err);

        let stopped = running.signal(signal);
        assert_eq!((stopped.code, &*stopped.out), (code, ""), "{}", stopped.err);
        assert!(stopped.err.contains(&format!("to go on: sapwood exec resume {session}")), "{}", stopped.err);
        assert_eq!(world.ps()[0], ("/root".into(), "lost".into()));

        let resumed = world.exec(&answer(&world), &["resume", "--last"]);
        assert_eq!((resumed.code, &*resumed.out), (0, "back again\n"), "{}", resumed.err);
        assert_eq!(resumed.session(), session);
        assert_eq!(world.ps()[0].1, "completed");
    }
}

#[test]
fn the_last_tree_is_that_of_the_directory_unless_all_are_meant() {
    let world = World::new();
    std::fs::create_dir(world.path("work/other")).unwrap();
    let here = world.exec(&answer(&world), &["one"]).session();
    let there = world.exec(&answer(&world), &["two", "-C", "other"]).session();
    for (flags, expected) in [(&["--last"][..], &here), (&["--last", "-C", "other"], &there)] {
        let resumed = world.exec(&answer(&world), &[&["resume", "more"], flags].concat());
        assert_eq!((resumed.code, &resumed.session()), (0, expected), "{flags:?}: {}", resumed.err);
    }
    // The newest is the one that was made last, whichever was written last.
    let resumed = world.exec(&answer(&world), &["resume", "--all", "--last", "more"]);
    assert_eq!((resumed.code, &resumed.session()), (0, &there), "{}", resumed.err);
}

#[test]
fn kill_9_leaves_it_resumable_and_its_end_is_told_in_json() {
    let world = World::new();
    let killed = world.start(&hang(&world), &["go"], "/root  started");
    let session = killed.session();
    killed.signal(Signal::KILL);
    assert_eq!(world.ps()[0].1, "lost");
    let resumed = world.exec(&answer(&world), &["resume", &session, "--json"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    let events = resumed.events();
    assert_eq!(events[0], json!({"type": "thread.started", "thread_id": session}));
    let ended = events.last().unwrap();
    assert_eq!((&ended["type"], &ended["exit_code"]), (&json!("sapwood.ended"), &json!(0)));
}

#[test]
fn a_stop_with_json_ends_what_it_began() {
    let world = World::new();
    let stopped = world.start(&hang(&world), &["--json", "go"], "/root  started").signal(Signal::TERM);
    let events = stopped.events();
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["thread.started", "turn.started", "turn.failed", "sapwood.ended"]);
    assert_eq!((&events[3]["outcome"], &events[3]["exit_code"]), (&json!("interrupted"), &json!(143)));
}

#[test]
fn one_corrupt_rollout_among_good_ones_is_named_and_harms_nobody() {
    let world = World::new();
    let (one, other) = (world.exec(&answer(&world), &["one"]), world.exec(&answer(&world), &["two"]));
    let broken = world.rollouts().into_iter().find(|path| path.to_str().unwrap().contains(&one.session())).unwrap();
    fs::write(&broken, "this is no rollout\n").unwrap();
    let states: Vec<String> = world.ps().into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["completed", "unreadable"]);
    let refused = world.exec(&answer(&world), &["resume", &one.session()]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains(broken.to_str().unwrap()), "{}", refused.err);
    assert_eq!(fs::read_to_string(&broken).unwrap(), "this is no rollout\n");
    let last = world.exec(&answer(&world), &["resume", "--last", "more"]);
    assert_eq!((last.code, last.session()), (0, other.session()), "{}", last.err);
}

#[test]
fn a_history_mode_of_the_future_is_left_alone() {
    let world = World::new();
    let made = world.exec(&answer(&world), &["one"]);
    let rollout = world.rollouts().remove(0);
    let text =
        fs::read_to_string(&rollout).unwrap().replace("\"history_mode\":\"paginated\"", "\"history_mode\":\"x\"");
    fs::write(&rollout, &text).unwrap();
    let refused = world.exec(&answer(&world), &["resume", &made.session()]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("history mode `x`"), "{}", refused.err);
    assert_eq!(fs::read_to_string(&rollout).unwrap(), text);
}

#[test]
fn a_child_is_resumed_through_its_root() {
    let world = World::new();
    let spawn = json!({"task_name": "alpha", "message": "compute", "fork_turns": "none"});
    let script = world.script(
        "spawn",
        json!([
            {"agent": "/root", "on": {"user": true}, "reply": [
                {"call": {"name": "spawn_agent", "namespace": "collaboration", "arguments": spawn}}]},
            {"reply": [{"text": "done"}]},
        ]),
    );
    let ran = world.exec(&script, &["go"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let shown: Value = serde_json::from_str(&world.run(["ps", "--json"]).out).unwrap();
    let child = shown["agents"][1]["thread_id"].as_str().unwrap();
    let refused = world.exec(&script, &["resume", child]);
    assert_eq!(refused.code, 2);
    let expected = format!("is the agent /root/alpha of the tree {}", ran.session());
    assert!(refused.err.contains(&expected), "{}", refused.err);

    // Without the child's rollout the rest of the tree goes on, and the result says that it is not whole.
    let broken = world.rollouts().into_iter().find(|path| path.to_str().unwrap().contains(child)).unwrap();
    fs::write(&broken, "{}\n").unwrap();
    let partial = world.exec(&answer(&world), &["resume", "--last", "more"]);
    assert_eq!((partial.code, &*partial.out), (7, "back again\n"), "{}", partial.err);
    assert!(partial.err.contains(&format!("warning: the rollout of thread {child}")), "{}", partial.err);
}

/// Runs the program with files limited to some bytes: a write beyond fails as on a full disk.
fn out_of_room(world: &World, script: &[String], args: &[&str]) -> Ran {
    let program = env!("CARGO_BIN_EXE_sapwood");
    let plain = world.sapwood([]);
    let mut shell = Command::new("bash");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" exec \"$@\"", program]).args(script).args(args);
    shell.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.current_dir(world.path("work")).stdin(Stdio::null());
    Ran::of(shell.output().unwrap())
}

#[test]
fn a_tree_whose_disk_is_full_is_left_for_later_and_goes_on() {
    let world = World::new();
    let long = world.script(
        "long",
        json!([
            {"on": {"user": true}, "reply": [
                {"reasoning": "{{pad:9000}}"}, {"call": {"name": "exec_command", "arguments": {"cmd": "true"}}}]},
            {"reply": [{"text": "done"}]},
        ]),
    );
    let stopped = out_of_room(&world, &long, &["go"]);
    assert_eq!(stopped.code, 1, "{}", stopped.err);
    assert!(stopped.err.contains("the tree stands still"), "{}", stopped.err);
    let resumed = world.exec(&answer(&world), &["resume", "--last"]);
    assert_eq!((resumed.code, &*resumed.out), (0, "back again\n"), "{}", resumed.err);
}

#[test]
fn a_reader_that_goes_away_stops_it_quietly() {
    let world = World::new();
    let script = world.script(
        "s",
        json!([
            {"on": {"user": true}, "reply": [{"call": {"name": "exec_command", "arguments": {"cmd": "true"}}}]},
            {"times": 500, "reply": [{"call": {"name": "exec_command", "arguments": {"cmd": "true"}}}]},
            {"reply": ["hang"]},
        ]),
    );
    let mut command =
        world.sapwood(["exec"].into_iter().chain(script.iter().map(String::as_str)).chain(["--json", "go"]));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap());
    assert_eq!(ran.code, 1);
    assert!(!ran.err.contains("panicked") && !ran.err.contains("Broken pipe"), "{}", ran.err);
    let resumed = world.exec(&answer(&world), &["resume", "--last"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
}
