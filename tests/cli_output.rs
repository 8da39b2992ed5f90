//! What `exec` writes besides its answer: `-o`, `--quiet`, the schema, and what the client says of itself.

mod support;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use serde_json::{Value, json};
use support::{Ran, World};

fn script(world: &World) -> [String; 6] {
    world.script("answer", json!([{"reply": [{"text": "first line\nlast line"}]}]))
}

/// What is in the directory of the work, hidden files included.
fn work(world: &World) -> Vec<String> {
    let entries = fs::read_dir(world.path("work")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_last_message_goes_into_the_file_just_as_it_is() {
    let world = World::new();
    let old = world.write("work/old.txt", "what was there before, and is longer than what comes");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&old, world.path("work/link.txt")).unwrap();
    for (flag, name) in [("-o", "new.txt"), ("--output-last-message", "old.txt"), ("-o", "link.txt"), ("-o", "-")] {
        let before = fs::read_to_string(&old).unwrap();
        let ran = world.exec(&script(&world), &["go", flag, name]);
        assert_eq!((ran.code, &*ran.out), (0, "first line\nlast line\n"), "{name}: {}", ran.err);
        assert_eq!(fs::read_to_string(world.path("work").join(name)).unwrap(), "first line\nlast line", "{name}");
        assert_eq!(fs::read_to_string(&old).unwrap() != before, name == "old.txt", "{name}");
        if name == "old.txt" {
            fs::write(&old, "first line\nlast line").unwrap();
        }
    }
    assert_eq!(fs::metadata(&old).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(world.path("work/link.txt").is_symlink());
    assert_eq!(work(&world), ["-", "link.txt", "new.txt", "old.txt"]);
}

#[test]
fn a_device_is_written_to_and_stays_one() {
    let world = World::new();
    let script = script(&world);
    let ran = world.exec(&script, &["-q", "go", "-o", "/dev/stderr"]);
    assert_eq!((ran.code, &*ran.out, &*ran.err), (0, "first line\nlast line\n", "first line\nlast line"));
    // It may lead to a file, of which more is wanted than the message.
    let log = world.write("err", "what was there\n");
    let args = ["exec", "-q", "go", "-o", "/dev/stderr"];
    let mut command = world.sapwood(args.into_iter().chain(script.iter().map(String::as_str)));
    let stderr = OpenOptions::new().append(true).open(&log).unwrap();
    assert!(command.stderr(stderr).stdout(Stdio::null()).status().unwrap().success());
    assert_eq!(fs::read_to_string(log).unwrap(), "what was there\nfirst line\nlast line");
}

#[test]
fn a_file_that_cannot_be_written_is_refused_before_anything_starts() {
    let world = World::new();
    fs::create_dir(world.path("work/folder")).unwrap();
    world.write("work/plain", "");
    for (name, why) in [
        ("nowhere/x", "No such file or directory"),
        ("folder", "is a directory"),
        ("plain/x", "Not a directory"),
        ("missing/", "is a directory"),
        ("/proc/x", "in /proc"),
    ] {
        let ran = world.exec(&script(&world), &["go", "-o", name]);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{name}: {}", ran.err);
        assert!(ran.err.contains(&format!("-o {name} cannot be written")) && ran.err.contains(why), "{}", ran.err);
    }
    assert!(world.rollouts().is_empty());
    assert_eq!(work(&world), ["folder", "plain"]);
}

#[test]
fn a_failure_to_write_is_said_and_changes_nothing_else() {
    let world = World::new();
    let session = world.exec(&script(&world), &["go"]).session();
    // It takes its own folder away.
    fs::create_dir(world.path("work/gone")).unwrap();
    let removing = world.script(
        "removing",
        json!([
            {"on": {"user": true}, "reply": [{"call": {"name": "exec_command", "arguments": {"cmd": "rmdir gone"}}}]},
            {"reply": [{"text": "done"}]},
        ]),
    );
    let args = ["--json", "-s", "danger-full-access", "-o", "gone/x", "resume", &session, "more"];
    let ran = world.exec(&removing, &args);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("the last message could not be written to gone/x"), "{}", ran.err);
    let events = ran.events();
    let kinds: Vec<&str> = events.iter().rev().take(3).map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["sapwood.ended", "error", "turn.completed"]);
    assert_eq!(events.last().unwrap()["exit_code"], 1);
    assert_eq!(world.ps()[0].1, "completed");
}

#[test]
fn nothing_is_written_when_the_run_failed() {
    let world = World::new();
    let old = world.write("work/old.txt", "old");
    let failing = world.script("failing", json!([{"reply": [{"fail": {"status": 400, "message": "no more"}}]}]));
    let ran = world.exec(&failing, &["go", "-o", "old.txt"]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert_eq!(fs::read_to_string(old).unwrap(), "old");
    assert_eq!(work(&world), ["old.txt"]);
}

#[test]
fn a_stdout_that_cannot_be_written_is_a_failure_and_said() {
    let world = World::new();
    let script = script(&world);
    let full = |args: &[&str]| {
        let stdout = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let script = if args[0] == "exec" { &script[..] } else { &[] };
        let mut command = world.sapwood(args.iter().copied().chain(script.iter().map(String::as_str)));
        Ran::of(command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap())
    };
    let verbs: [&[&str]; 9] = [
        &["exec", "-q", "go"],
        &["exec", "-q", "--json", "go"],
        &["ps", "--json"],
        &["config", "get"],
        &["models"],
        &["doctor", "--json"],
        &["completion", "bash"],
        &["--help"],
        &["version"],
    ];
    for args in verbs {
        let ran = full(args);
        assert_eq!(ran.code, 1, "{args:?}: {}", ran.err);
        assert_eq!(
            ran.err.matches("sapwood: stdout cannot be written: No space left").count(),
            1,
            "{args:?}: {}",
            ran.err
        );
    }
    // Whatever else went wrong comes first.
    let ran = full(&["config", "check", "-c", "sandbox_mode=none"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
}

#[test]
fn quiet_leaves_warnings_and_errors() {
    let world = World::new();
    let ran = world.exec(&script(&world), &["-q", "go"]);
    assert_eq!((ran.code, &*ran.out, &*ran.err), (0, "first line\nlast line\n", ""));
    world.write("user/.config/sapwood/config.toml", "modle = 'x'\n");
    let ran = world.exec(&script(&world), &["--quiet", "go", "--trust"]);
    assert_eq!((ran.code, ran.err.lines().count()), (0, 1), "{}", ran.err);
    assert!(ran.err.starts_with("warning: ") && ran.err.contains("`modle`"), "{}", ran.err);
    let failing = world.script("failing", json!([{"reply": [{"fail": {"status": 400, "message": "no more"}}]}]));
    let ran = world.exec(&failing, &["--quiet", "go"]);
    assert!(ran.code == 4 && ran.err.contains("sapwood: /root: "), "{}", ran.err);
    let ran = world.exec(&script(&world), &["--quiet", "--json", "again"]);
    assert_eq!(ran.events().last().unwrap()["outcome"], "completed");
}

#[test]
fn a_schema_that_does_not_do_is_named_with_its_place() {
    let world = World::new();
    let large = format!("{{\"description\": \"{}\"}}", "x".repeat(300_000));
    for (text, why) in [
        ("{\n  \"type\": object\n}", ":2:11: it is no JSON: expected value"),
        ("", ":1:0: it is no JSON: EOF"),
        ("[1, 2]", ":1:1: a JSON schema must be an object, and this is `[1,2]`"),
        (&large, ": it is larger than 256 KB"),
    ] {
        let schema = world.write("schema.json", text);
        let named = format!("--output-schema {}{why}", schema.display());
        let ran = world.exec(&script(&world), &["go", "--output-schema", schema.to_str().unwrap()]);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{}", ran.err);
        assert!(ran.err.contains(&named), "{named}: {}", ran.err);
    }
    let ran = world.exec(&script(&world), &["go", "--output-schema", "/no/schema"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("/no/schema: it cannot be read: No such file"), "{}", ran.err);
    assert!(world.rollouts().is_empty());
}

/// The first line of the only rollout.
fn meta(world: &World) -> Value {
    let rollout = fs::read_to_string(&world.rollouts()[0]).unwrap();
    serde_json::from_str::<Value>(rollout.lines().next().unwrap()).unwrap()["payload"].clone()
}

#[test]
fn the_rollout_says_who_started_it_and_what_for() {
    let world = World::new();
    let args = ["exec", "go", "--thread-source", "review_bot"];
    let script = script(&world);
    let run = |name: &str| {
        let mut command = world.sapwood(args.into_iter().chain(script.iter().map(String::as_str)));
        Ran::of(command.env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", name).output().unwrap())
    };
    let ran = run("codex_sdk_ts");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let meta = meta(&world);
    assert_eq!((&meta["originator"], &meta["thread_source"]), (&json!("codex_sdk_ts"), &json!("review_bot")));
    let ran = run("a\nb");
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("warning: CODEX_INTERNAL_ORIGINATOR_OVERRIDE is ignored"), "{}", ran.err);
}
