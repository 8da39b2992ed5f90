//! The TypeScript SDK's side of `exec`, without the SDK: the command lines that it was recorded with, its environment,
//! the prompt on stdin and its end, and the events in the shapes that its types have.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Ran, World, with_stdin};

/// What the SDK was recorded to pass, in the order of the recording; `DIR` and the like stand for what is a test's own.
const PLAIN: &[&str] = &["--experimental-json", "--cd", "DIR"];
const SANDBOXED: &[&str] = &[
    "--experimental-json",
    "--sandbox",
    "SANDBOX",
    "--cd",
    "DIR",
    "--skip-git-repo-check",
    "--config",
    "approval_policy=\"never\"",
];
const WITH_SCHEMA: &[&str] = &[
    "--experimental-json",
    "--sandbox",
    "SANDBOX",
    "--cd",
    "DIR",
    "--skip-git-repo-check",
    "--output-schema",
    "SCHEMA",
    "--config",
    "approval_policy=\"never\"",
];
const WITH_IMAGE: &[&str] = &[
    "--experimental-json",
    "--model",
    "fake-model-2",
    "--cd",
    "DIR",
    "--add-dir",
    "DIR",
    "--config",
    "model_reasoning_effort=\"low\"",
    "--config",
    "sandbox_workspace_write.network_access=true",
    "--config",
    "web_search=\"disabled\"",
];

/// What `PATCH` makes the model do.
const PATCH: &str = "*** Begin Patch\n*** Add File: patched.txt\n+patched\n*** End Patch";

/// A plan of two steps.
fn plan(first: &str, second: &str) -> Value {
    json!({"plan": [{"step": "look", "status": first}, {"step": "leap", "status": second}]})
}

/// The SDK's client, with a model that answers by a script.
struct Sdk {
    world: World,
}

impl Sdk {
    fn new() -> Self {
        let world = World::new();
        let spawn = json!({"task_name": "alpha", "message": "compute", "fork_turns": "none"});
        let usage = json!({"usage": {"input_tokens": 100, "cached_input_tokens": 20, "output_tokens": 30,
                                     "reasoning_output_tokens": 5}});
        let rules = json!([
            {"agent": "/root/alpha", "reply": [{"text": "eleven"}, usage]},
            {"on": {"text_contains": "THINK"}, "reply": [{"reasoning": "**Considering**"}, {"text": "thought"}, usage]},
            {"on": {"text_contains": "PLAINSH"}, "reply": [
                {"call": {"name": "exec_command", "arguments": {"cmd": "echo plain-ok"}}}, usage]},
            {"on": {"text_contains": "SPAWN"}, "reply": [
                {"call": {"name": "spawn_agent", "namespace": "collaboration", "arguments": spawn}}, usage]},
            {"on": {"call": "spawn_agent"}, "reply": [
                {"call": {"name": "wait_agent", "namespace": "collaboration", "arguments": {}}}, usage]},
            {"on": {"text_contains": "PATCH"}, "reply": [
                {"custom_call": {"name": "apply_patch", "input": PATCH}}, usage]},
            {"on": {"text_contains": "TODO"}, "reply": [
                {"call": {"name": "update_plan", "arguments": plan("in_progress", "pending")}}, usage]},
            {"on": {"call": "update_plan"}, "times": 1, "reply": [
                {"call": {"name": "update_plan", "arguments": plan("completed", "in_progress")}}, usage]},
            {"on": {"call": "update_plan"}, "turn_contains": "THEN FAIL", "reply": [
                {"fail": {"status": 400, "message": "no more"}}]},
            {"on": {"text_contains": "HANG"}, "reply": ["hang"]},
            {"on": {"text_contains": "FAILME"}, "reply": [{"fail": {"status": 400, "message": "fake failure"}}]},
            {"on": {"text_contains": "schema"}, "reply": [{"text": "{\"answer\":\"yes\"}"}, usage]},
            {"reply": [{"text": "done"}, usage]},
        ]);
        let script = world.write("script.json", json!({ "rules": rules }).to_string());
        let config = format!("model_provider = \"scripted\"\n[sapwood]\nscript = \"{}\"\n", script.display());
        world.write("guest/config.toml", config);
        world.write("schema.json", r#"{"type":"object","properties":{"answer":{"type":"string"}}}"#);
        Self { world }
    }

    fn run(&self, recorded: &[&str], sandbox: &str, rest: &[&str], prompt: &str) -> Ran {
        with_stdin(self.command(recorded, sandbox, rest), prompt.as_bytes())
    }

    fn command(&self, recorded: &[&str], sandbox: &str, rest: &[&str]) -> Command {
        let text = |path: &str| self.world.path(path).to_str().unwrap().to_owned();
        let (dir, schema) = (text("work"), text("schema.json"));
        let own = recorded.iter().map(|word| match *word {
            "DIR" => &*dir,
            "SCHEMA" => &*schema,
            "SANDBOX" => sandbox,
            word => word,
        });
        let mut command = self.world.sapwood(["exec"].into_iter().chain(own).chain(rest.iter().copied()));
        command.env("CODEX_HOME", self.world.path("guest")).env("CODEX_API_KEY", "not a key");
        command.env("CODEX_INTERNAL_ORIGINATOR_OVERRIDE", "codex_sdk_ts");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// The events as the SDK yields them: each has to fit its types. Ours, which it does not know, comes last.
fn events(ran: &Ran) -> Vec<Value> {
    let mut events = ran.events();
    assert_eq!(events.pop().expect("there are events")["type"], "sapwood.ended");
    for event in &events {
        let is_text = |value: &Value| value.is_string();
        let fits = match event["type"].as_str().unwrap() {
            "thread.started" => is_text(&event["thread_id"]),
            "turn.started" => true,
            "turn.completed" => {
                let names = ["input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens"];
                names.iter().all(|name| event["usage"][name].is_u64())
            }
            "turn.failed" => is_text(&event["error"]["message"]),
            "error" => is_text(&event["message"]),
            "item.started" | "item.updated" | "item.completed" => is_text(&event["item"]["id"]) && item(&event["item"]),
            _ => false,
        };
        assert!(fits, "{event}");
    }
    events
}

fn item(item: &Value) -> bool {
    let text = |name: &str| item[name].is_string();
    let status = ["in_progress", "completed", "failed"].map(Value::from).contains(&item["status"]);
    match item["type"].as_str().unwrap() {
        "agent_message" | "reasoning" => text("text"),
        "error" => text("message"),
        "command_execution" => {
            let code = &item["exit_code"];
            text("command") && text("aggregated_output") && (code.is_null() || code.is_i64()) && status
        }
        "collab_tool_call" => text("tool") && item["receiver_thread_ids"].is_array() && status,
        "file_change" => {
            let kinds = ["add", "delete", "update"].map(Value::from);
            let fits = |change: &Value| change["path"].is_string() && kinds.contains(&change["kind"]);
            item["changes"].as_array().is_some_and(|changes| changes.iter().all(fits)) && status
        }
        "todo_list" => {
            let fits = |step: &Value| step["text"].is_string() && step["completed"].is_boolean();
            item["items"].as_array().is_some_and(|steps| steps.iter().all(fits))
        }
        _ => false,
    }
}

/// The kinds of events and items, in their order.
fn kinds(events: &[Value]) -> Vec<String> {
    let kind = |event: &Value| match event["item"]["type"].as_str() {
        Some(item) => format!("{} {item}", event["type"].as_str().unwrap()),
        None => event["type"].as_str().unwrap().to_owned(),
    };
    events.iter().map(kind).collect()
}

#[test]
fn turns_on_one_thread_are_as_they_were_recorded() {
    let sdk = Sdk::new();
    let first = sdk.run(SANDBOXED, "read-only", &[], "hello ts");
    assert_eq!(first.code, 0, "{}", first.err);
    let hello = events(&first);
    assert_eq!(kinds(&hello), ["thread.started", "turn.started", "item.completed agent_message", "turn.completed"]);
    let usage = json!({"input_tokens": 100, "cached_input_tokens": 20, "cache_write_input_tokens": 0,
                       "output_tokens": 30, "reasoning_output_tokens": 5});
    assert_eq!(hello[3]["usage"], usage);
    let thread = hello[0]["thread_id"].as_str().unwrap();

    let cases: [(&[&str], &str, &[&str]); 4] = [
        (SANDBOXED, "THINK ts two", &["item.completed reasoning"]),
        (SANDBOXED, "PLAINSH ts", &["item.started command_execution", "item.completed command_execution"]),
        (SANDBOXED, "SPAWN ts", &["item.started collab_tool_call", "item.completed collab_tool_call"].repeat(2)),
        (WITH_SCHEMA, "hello schema", &[]),
    ];
    for (recorded, prompt, between) in cases {
        let ran = sdk.run(recorded, "read-only", &["resume", thread], prompt);
        assert_eq!(ran.code, 0, "{prompt}: {}", ran.err);
        let events = events(&ran);
        let expected: Vec<&str> = ["thread.started", "turn.started"]
            .into_iter()
            .chain(between.iter().copied())
            .chain(["item.completed agent_message", "turn.completed"])
            .collect();
        assert_eq!(kinds(&events), expected, "{prompt}");
        assert_eq!(events[0]["thread_id"], thread);
    }
    let text = |ran: &Ran| events(ran).iter().rev().find_map(|event| event["item"]["text"].as_str().map(str::to_owned));
    let schema = sdk.run(WITH_SCHEMA, "read-only", &["resume", thread], "schema again");
    assert_eq!(text(&schema).as_deref(), Some("{\"answer\":\"yes\"}"));
}

#[test]
fn a_patch_is_one_item_with_a_beginning_and_an_end() {
    let sdk = Sdk::new();
    let ran = sdk.run(SANDBOXED, "workspace-write", &[], "PATCH ts");
    assert_eq!(ran.code, 0, "{}", ran.err);
    let path = sdk.world.path("work/patched.txt").canonicalize().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "patched\n");
    let change = |kind: &str, status: &str| {
        let changes = json!([{"path": path, "kind": "add"}]);
        json!({"type": kind, "item": {"id": "item_0", "type": "file_change", "changes": changes, "status": status}})
    };
    assert_eq!(events(&ran)[2..4], [change("item.started", "in_progress"), change("item.completed", "completed")]);
}

#[test]
fn a_plan_is_one_item_that_ends_last_in_its_turn() {
    let todo = |kind: &str, looked: bool| {
        let items = json!([{"text": "look", "completed": looked}, {"text": "leap", "completed": false}]);
        json!({"type": kind, "item": {"id": "item_0", "type": "todo_list", "items": items}})
    };
    // (prompt, exit code, what comes between the plan and its end)
    for (prompt, code, between) in [("TODO ts", 0, "item.completed agent_message"), ("TODO ts, THEN FAIL", 4, "error")]
    {
        let ran = Sdk::new().run(SANDBOXED, "read-only", &[], prompt);
        assert_eq!(ran.code, code, "{}", ran.err);
        let events = events(&ran);
        assert_eq!(events[2..4], [todo("item.started", false), todo("item.updated", true)], "{prompt}");
        assert_eq!((&*kinds(&events)[4], &events[5]), (between, &todo("item.completed", true)), "{prompt}");
        assert_eq!(events.len(), 7, "{prompt}: the turn ends behind it");
    }
}

#[test]
fn a_failed_turn_says_why_twice_as_codex_does() {
    let sdk = Sdk::new();
    let ran = sdk.run(PLAIN, "", &[], "FAILME ts");
    assert_eq!(ran.code, 4, "{}", ran.err);
    let events = events(&ran);
    assert_eq!(kinds(&events), ["thread.started", "turn.started", "error", "turn.failed"]);
    assert_eq!(events[2]["message"], events[3]["error"]["message"]);
    assert!(events[2]["message"].as_str().unwrap().contains("fake failure"), "{events:?}");
}

#[test]
fn what_cannot_be_had_ends_the_process_and_is_said_on_stderr() {
    let sdk = Sdk::new();
    let unknown = "0190aaaa-0000-7000-8000-000000000000";
    let image = sdk.world.path("work/none.png");
    let cases: [(&[&str], &str, &[&str], &str); 3] = [
        (SANDBOXED, "wide-open", &[], "-s wide-open: there is no such mode"),
        (&["--experimental-json"], "", &["resume", unknown], unknown),
        (WITH_IMAGE, "", &["--image", image.to_str().unwrap()], "images are not available in this version"),
    ];
    for (recorded, sandbox, rest, why) in cases {
        let ran = sdk.run(recorded, sandbox, rest, "hello");
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(why), "{why}: {}", ran.err);
        // The SDK reads stdout as events whatever happens.
        assert_eq!(kinds(&events(&ran)), ["error"]);
    }
    let ran = sdk.run(WITH_IMAGE, "", &[], "hello img");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("note: --add-dir has no effect"), "{}", ran.err);
}

#[test]
fn a_turn_that_was_aborted_does_not_fail_the_next_one() {
    let sdk = Sdk::new();
    let mut child = sdk.command(PLAIN, "", &[]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"HANG").unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let started: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert!(lines.next().unwrap().contains("turn.started"));
    child.kill().unwrap();
    child.wait().unwrap();
    let thread = started["thread_id"].as_str().unwrap();
    let next = sdk.run(PLAIN, "", &["resume", thread], "hello again");
    assert_eq!(next.code, 0, "{}", next.err);
    let expected = ["thread.started", "turn.started", "item.completed agent_message", "turn.completed"];
    assert_eq!(kinds(&events(&next)), expected);
}

#[test]
fn a_prompt_can_always_be_written_to_its_end() {
    let sdk = Sdk::new();
    // More than a pipe holds.
    let prompt = "x".repeat(1 << 20);
    for rest in [&["--image", "a.png"][..], &["--no-such-flag"], &["-c", "no_such_key=1"]] {
        let mut child = sdk.command(PLAIN, "", rest).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(prompt.as_bytes()).unwrap();
        drop(stdin);
        let ran = Ran::of(child.wait_with_output().unwrap());
        assert!([2, 3].contains(&ran.code), "{}", ran.err);
        assert_eq!(kinds(&events(&ran)), ["error"]);
    }
}
