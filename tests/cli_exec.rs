//! `exec` and `ps` from outside: whole conversations through real processes.

mod support;

use serde_json::{Value, json};
use support::World;

#[test]
fn the_rehearsal_maps_a_repository_with_a_tree_of_agents() {
    let world = World::new();
    let contents: &[(&str, &[u8])] = &[
        ("src/main.rs", b"fn main() {\n}\n"),
        ("src/with blank.rs", b"a\r\nb\r\nc"),
        ("docs/guide.md", b"one\ntwo\nthree\n"),
        ("data/raw.bin", b"\x00\x01\n\xff\xfe\n\n"),
        ("README.md", b"no newline"),
    ];
    contents.iter().for_each(|(name, bytes)| drop(world.write(&format!("work/{name}"), bytes)));
    world.git();
    let ran = world.run(["exec", "Map this repository"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("the rehearsal, a program and no language model"), "{}", ran.err);
    let lines: usize = contents.iter().map(|(_, bytes)| bytes.iter().filter(|byte| **byte == b'\n').count()).sum();
    let bytes: usize = contents.iter().map(|(_, bytes)| bytes.len()).sum();
    let total = format!("{} files, {lines} lines, {bytes} bytes.", contents.len());
    assert!(ran.out.contains(&total), "{total}: {}", ran.out);
    let shown = world.ps();
    assert!(shown.len() >= 3 && shown[0].0 == "/root", "{shown:?}");
    assert!(shown.iter().all(|(_, state)| state == "completed"), "{shown:?}");
    let table = world.run(["ps"]).out;
    assert_eq!(table.lines().count(), shown.len() + 1, "{table}");
    assert!(table.starts_with("TREE "), "{table}");
}

#[test]
fn the_rehearsal_of_a_codex_home_writes_into_ours() {
    let world = World::new();
    let codex = world.path("user/.codex");
    let home = codex.to_str().unwrap();
    let mut by_environment = world.sapwood(["exec", "Map this"]);
    by_environment.env("CODEX_HOME", &codex);
    let mut by_flag = world.sapwood(["exec", "--home", home, "Map this"]);
    for (command, trees) in [(&mut by_environment, 1), (&mut by_flag, 2)] {
        let ran = support::Ran::of(command.output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.err.contains("never writes into a Codex home"), "{}", ran.err);
        assert!(ran.err.contains("is in no git repository"), "{}", ran.err);
        assert_eq!(world.rollouts().len(), trees);
    }
    let shown: Value = serde_json::from_str(&world.run(["ps", "--json", "--home", home]).out).unwrap();
    assert_eq!(shown["homes"], json!([home, world.home().to_str().unwrap()]));
    assert_eq!(shown["agents"].as_array().unwrap().len(), 2);
}

#[test]
fn a_prompt_beyond_its_bound_is_refused_before_anything_starts() {
    let world = World::new();
    let script = world.script("s", json!([{"reply": [{"text": "ok"}]}]));
    let most = 10 * 1024 * 1024;
    for (bytes, code) in [(most, 0), (most + 1, 2)] {
        let command = world.sapwood(["exec", "-q", "-"].into_iter().chain(script.iter().map(String::as_str)));
        let ran = support::with_stdin(command, &vec![b'a'; bytes]);
        assert_eq!(ran.code, code, "{bytes}: {}", ran.err);
        assert_eq!(ran.err.contains("more than 10485760 bytes"), code == 2, "{}", ran.err);
        assert_eq!(world.rollouts().len(), 1, "only the first is a tree");
    }
}

#[test]
fn what_is_empty_is_no_choice() {
    let world = World::new();
    let script = world.script("s", json!([{"reply": [{"text": "ok"}]}]));
    assert_eq!(world.exec(&script, &["go"]).code, 0);
    for (args, why) in [
        (&["resume", "", "more"], "the ID of the tree to resume is empty"),
        (&["-m", " ", "go"], "-m needs the name of a model"),
    ] {
        let ran = world.exec(&script, args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(why), "{}", ran.err);
    }
    assert_eq!(world.rollouts().len(), 1);
}

#[test]
fn our_own_home_is_chosen_by_flag_then_environment_then_codexs_variable() {
    let world = World::new();
    let script = world.script("s", json!([{"reply": [{"text": "ok"}]}]));
    let (flag, ours, codex) = (world.path("flag"), world.path("ours"), world.path("guest"));
    let run = |args: &[&str], variables: &[(&str, &std::path::Path)]| {
        let args = ["exec", "go"].into_iter().chain(script.iter().map(String::as_str)).chain(args.iter().copied());
        let ran = support::Ran::of(world.sapwood(args).envs(variables.iter().copied()).output().unwrap());
        assert_eq!(ran.code, 0, "{}", ran.err);
    };
    let counts = || [&flag, &ours, &codex].map(|home| support::files(home).len());
    run(&[], &[("CODEX_HOME", &codex)]);
    assert_eq!(counts()[..2], [0, 0]);
    assert!(codex.join("sessions").is_dir(), "a model that is not the rehearsal works where it is told to");
    let guests = counts()[2];
    run(&[], &[("CODEX_HOME", &codex), ("SAPWOOD_HOME", &ours)]);
    assert!(ours.join("sessions").is_dir());
    run(&["--home", flag.to_str().unwrap()], &[("CODEX_HOME", &codex), ("SAPWOOD_HOME", &ours)]);
    assert!(flag.join("sessions").is_dir());
    assert_eq!(counts()[2], guests);
    assert!(world.rollouts().is_empty());
}

/// What Codex 0.169.0 wrote to stdout: a first turn with a command, and a resumed one.
const RECORDED: [&str; 2] = [
    r#"{"type":"thread.started","thread_id":"01a1fb6a-7d26-7361-a892-7fbc237b23a7"}
{"type":"turn.started"}
{"type":"item.started","item":{"id":"item_0","type":"command_execution","command":"/bin/bash -lc 'echo hi'","aggregated_output":"","exit_code":null,"status":"in_progress"}}
{"type":"item.completed","item":{"id":"item_0","type":"command_execution","command":"/bin/bash -lc 'echo hi'","aggregated_output":"hi\n","exit_code":0,"status":"completed"}}
{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"Exec answer 2."}}
{"type":"turn.completed","usage":{"input_tokens":2100,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":40,"reasoning_output_tokens":0}}
"#,
    r#"{"type":"thread.started","thread_id":"01a1fb6a-7d26-7361-a892-7fbc237b23a7"}
{"type":"turn.started"}
{"type":"item.completed","item":{"id":"item_0","type":"agent_message","text":"Exec answer 3."}}
{"type":"turn.completed","usage":{"input_tokens":3200,"cached_input_tokens":0,"cache_write_input_tokens":0,"output_tokens":60,"reasoning_output_tokens":0}}
"#,
];

/// The lines of a recording of Codex's own `exec --json`, or of ours, without what is never the same.
fn normalised(text: &str, thread: &str) -> Vec<String> {
    let command = |line: &str| {
        let shell = ["/bin/bash -lc ", "/usr/bin/bash -c ", "/bin/bash -c ", "/usr/local/bin/bash -c "];
        shell.iter().fold(line.replace(thread, "THREAD"), |line, shell| line.replace(shell, "SHELL "))
    };
    text.lines().map(command).collect()
}

#[test]
fn events_are_codexs_byte_for_byte() {
    let world = World::new();
    let script = world.script(
        "s",
        json!([
            {"on": {"text_contains": "again"}, "reply": [
                {"text": "Exec answer 3."}, {"usage": {"input_tokens": 1100, "output_tokens": 20}}]},
            {"on": {"user": true}, "reply": [
                {"call": {"name": "exec_command", "arguments": {"cmd": "echo hi"}}},
                {"usage": {"input_tokens": 1000, "output_tokens": 20}}]},
            {"on": {"call": "exec_command"}, "reply": [
                {"text": "Exec answer 2."}, {"usage": {"input_tokens": 1100, "output_tokens": 20}}]},
        ]),
    );
    let codex = "01a1fb6a-7d26-7361-a892-7fbc237b23a7";
    let first = world.exec(&script, &["--json", "go"]);
    let session = first.session();
    let second = world.exec(&script, &["--json", "resume", &session[..30], "again"]);
    for (ran, expected) in [(&first, RECORDED[0]), (&second, RECORDED[1])] {
        assert_eq!(ran.code, 0, "{}", ran.err);
        let (events, ended) = ran.out.trim_end().rsplit_once('\n').unwrap();
        assert_eq!(normalised(events, &session), normalised(expected, codex));
        let ended: Value = serde_json::from_str(ended).unwrap();
        assert_eq!((&ended["type"], &ended["outcome"]), (&json!("sapwood.ended"), &json!("completed")));
        assert_eq!((&ended["exit_code"], &ended["agents"]), (&json!(0), &json!(1)));
        assert_eq!(ended["thread_id"], *session);
    }
}

/// A root that spawns a child and waits for its report; what the child answers is up to the test.
fn one_child(child: Value) -> Value {
    json!([
        {"agent": "/root", "on": {"user": true}, "reply": [
            {"call": {"name": "spawn_agent", "namespace": "collaboration",
                      "arguments": {"task_name": "alpha", "message": "compute", "fork_turns": "none"}}}]},
        {"agent": "/root", "on": {"call": "spawn_agent"}, "reply": [
            {"call": {"name": "wait_agent", "namespace": "collaboration", "arguments": {}}}]},
        {"agent": "/root", "on": {"mail_from": "/root/alpha"}, "reply": [{"text": "the child is done"}]},
        {"agent": "/root/alpha", "reply": child},
    ])
}

#[test]
fn a_child_is_spawned_waited_for_and_shown() {
    let world = World::new();
    let ran = world.exec(&world.script("s", one_child(json!([{"text": "eleven"}]))), &["--json", "go"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let events = ran.events();
    let kinds: Vec<String> = events
        .iter()
        .map(|event| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let item = &event["item"];
            let parts = [&event["type"], &item["id"], &item["type"], &item["tool"], &item["status"]].map(text);
            parts.join(" ").trim_end().to_owned()
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "thread.started",
            "turn.started",
            "item.started item_0 collab_tool_call spawn_agent in_progress",
            "item.completed item_0 collab_tool_call spawn_agent completed",
            "item.started item_1 collab_tool_call wait in_progress",
            "item.completed item_1 collab_tool_call wait completed",
            "item.completed item_2 agent_message",
            "turn.completed",
            "sapwood.ended",
        ]
    );
    let spawned = &events[3]["item"];
    assert_eq!((&spawned["sender_thread_id"], &spawned["prompt"]), (&events[0]["thread_id"], &json!("compute")));
    let child = spawned["receiver_thread_ids"][0].as_str().unwrap();
    assert!(spawned["agents_states"][child]["status"].is_string(), "{spawned}");
    for line in ["/root  spawned /root/alpha: compute", "/root/alpha  says: eleven", "/root/alpha  finished"] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }
    let completed = |path: &str| (path.to_owned(), "completed".to_owned());
    assert_eq!(world.ps(), [completed("/root"), completed("/root/alpha")]);
}

#[test]
fn a_child_that_fails_makes_it_partial_and_a_root_that_fails_is_the_providers() {
    let world = World::new();
    let fails = json!([{"fail": {"status": 400, "message": "no such model"}}]);
    let ran = world.exec(&world.script("s", one_child(fails.clone())), &["go"]);
    assert_eq!((ran.code, &*ran.out), (7, "the child is done\n"), "{}", ran.err);
    assert!(ran.err.contains("sapwood: /root/alpha: "), "{}", ran.err);
    let ran = world.exec(&world.script("f", json!([{"reply": fails}])), &["--json", "go"]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    let events = ran.events();
    let [.., failed, ended] = &events[..] else { panic!("{events:?}") };
    assert_eq!(failed["type"], "turn.failed");
    assert!(failed["error"]["message"].as_str().unwrap().contains("no such model"), "{failed}");
    assert_eq!((&ended["outcome"], &ended["exit_code"]), (&json!("provider"), &json!(4)));
    assert!(ran.err.contains("to go on: sapwood exec resume "), "{}", ran.err);
}

#[test]
fn instructions_of_the_project_reach_the_model() {
    let world = World::new();
    world.write("work/AGENTS.md", "top rules");
    world.write("work/a/AGENTS.md", "not these");
    world.write("work/a/AGENTS.override.md", b"bad \xff byte");
    world.git();
    let script = world.script("s", json!([{"reply": [{"text": "ok"}]}]));
    let ran = world.exec(&script, &["-C", "a", "go"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("a/AGENTS.override.md: invalid UTF-8 was replaced"), "{}", ran.err);
    let input = world.requests()[0]["input"].to_string();
    assert!(input.contains("top rules\\n\\nbad \u{fffd} byte"), "{input}");
    assert!(!input.contains("not these"));
}

#[test]
fn a_command_does_not_see_the_keys_of_the_provider() {
    let world = World::new();
    let script = world.script(
        "s",
        json!([
            {"on": {"user": true}, "reply": [{"call": {"name": "exec_command", "arguments": {"cmd": "env"}}}]},
            {"reply": [{"text": "ok"}]},
        ]),
    );
    let mut command = world.sapwood(["exec"].into_iter().chain(script.iter().map(String::as_str)).chain(["go"]));
    command.env("OPENAI_API_KEY", "sk-secret-1").env("CODEX_API_KEY", "sk-secret-2").env("SEEN", "seen-too");
    let ran = support::Ran::of(command.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.err);
    let told = world.requests().last().unwrap()["input"].to_string();
    assert!(told.contains("SEEN=seen-too") && !told.contains("sk-secret"), "{told}");
}

#[test]
fn what_a_model_writes_cannot_drive_a_terminal() {
    let world = World::new();
    let script = world.script("s", json!([{"reply": [{"text": "a\u{1b}]0;owned\u{7}b"}]}]));
    let ran = world.exec(&script, &["go"]);
    assert!(ran.err.contains("says: a\\x1b]0;owned\\x07b"), "{}", ran.err);
    assert!(!ran.err.contains('\u{1b}'));
    assert_eq!(ran.out, "a\u{1b}]0;owned\u{7}b\n", "a file gets what was written");
}

#[test]
fn a_run_gets_no_more_than_the_machine_allows() {
    let world = World::new();
    world.write("etc/requirements.toml", "allowed_sandbox_modes = [\"read-only\"]\n");
    let call = json!({"name": "exec_command", "arguments": {"cmd": "touch written; echo done"}});
    let script = world.script(
        "s",
        json!([
            {"on": {"user": true}, "reply": [{"call": call}]},
            {"on": {"call": "exec_command"}, "reply": [{"text": "ok"}]},
        ]),
    );
    let run = |args: &[&str]| {
        let all = ["exec"].into_iter().chain(script.iter().map(String::as_str)).chain(args.iter().copied());
        let machine = world.path("etc/config.toml");
        support::Ran::of(world.sapwood(all).env("SAPWOOD_SYSTEM_CONFIG", machine).output().unwrap())
    };
    let why =
        "the sandbox `danger-full-access` is not allowed on this machine (allowed_sandbox_modes in requirements.toml)";
    let refused = run(&["-s", "danger-full-access", "write"]);
    assert_eq!((refused.code, refused.err.contains(why)), (3, true), "{}", refused.err);
    assert_eq!(world.rollouts().len(), 0, "nothing was started");
    let narrowed = run(&["-c", "sandbox_mode=danger-full-access", "write"]);
    let warned = narrowed.err.contains(&format!("warning: {why}; commands run read-only"));
    assert_eq!((narrowed.code, warned), (0, true), "{}", narrowed.err);
    assert!(!world.path("work/written").exists());
    // What a run was left with that could do more gives way as well.
    let wide = world.exec(&script, &["-s", "danger-full-access", "write"]);
    assert_eq!((wide.code, world.path("work/written").exists()), (0, true), "{}", wide.err);
    std::fs::remove_file(world.path("work/written")).unwrap();
    let resumed = run(&["resume", &wide.session(), "write"]);
    assert_eq!((resumed.code, world.path("work/written").exists()), (0, false), "{}", resumed.err);
}
