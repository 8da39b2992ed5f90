//! The scripted model: what a rule fits, what a reply comes to, and that both depend on the request alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use sapwood_model::scripted::{Act, Outcome};
use sapwood_model::{
    Body, Delta, DeltaSink, HistoryInitialization, Model, ModelError, NoDeltas, Origin, Refusal, Request, Response,
    Script, Scripted,
};
use sapwood_protocol::{AgentPath, Millis, ThreadId, TurnId, Usage};
use serde_json::{Value, json};

fn script(rules: Value) -> Script {
    Script::from_json(json!({"rules": rules}).to_string().as_bytes()).unwrap()
}

fn request(path: &str, attempt: u32, input: Value) -> Request {
    let thread: ThreadId = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef".parse().unwrap();
    let body = json!({"model": "m", "input": input, "tools": []}).to_string();
    let origin = Origin {
        session: thread.into(),
        thread,
        path: path.parse::<AgentPath>().unwrap(),
        parent: None,
        thread_source: None,
        turn: TurnId::from("turn-1"),
        root_turn: TurnId::from("turn-1"),
        parent_turn: None,
        turn_started: Millis(0),
        history: HistoryInitialization::New,
        window: 0,
        provider: "scripted".into(),
        model: "m".into(),
        effort: None,
        sandbox: "read-only",
        attempt,
    };
    Request { origin, body: Body::new(vec![Bytes::from(body)]) }
}

fn response(script: &Script, path: &str, input: &[Value]) -> Response {
    match script.reply(&request(path, 1, json!(input))).outcome() {
        Outcome::Response(response) => response,
        other => panic!("no response: {other:?}"),
    }
}

fn items(response: &Response) -> Vec<Value> {
    response.items.iter().map(|item| serde_json::from_slice(item).unwrap()).collect()
}

/// The text of the single message that a script answers.
fn says(script: &Script, path: &str, input: &[Value]) -> String {
    items(&response(script, path, input))[0]["content"][0]["text"].as_str().unwrap().to_owned()
}

fn user(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})
}

fn assistant(text: &str) -> Value {
    json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

fn call(id: &str, name: &str) -> Value {
    json!({"type": "function_call", "call_id": id, "name": name, "arguments": "{}"})
}

fn output(id: &str, text: &str) -> Value {
    json!({"type": "function_call_output", "call_id": id, "output": text})
}

fn mail(author: &str, kind: &str, text: &str) -> Value {
    let text = format!("Message Type: {kind}\nTask name: /root\nSender: {author}\nPayload:\n{text}");
    json!({"type": "agent_message", "author": author, "content": [{"type": "input_text", "text": text}]})
}

#[test]
fn the_first_rule_that_fits_answers() {
    let rule = |agent: &str, on: Value, text: &str| json!({"agent": agent, "on": on, "reply": [{"text": text}]});
    let script = script(json!([
        rule("/root", json!({"user": true, "text_contains": "hello"}), "greeting"),
        rule("/root", json!({"call": "call_7"}), "by id"),
        rule("/root", json!({"call": "exec_command", "text_contains": "exit 1"}), "failed command"),
        rule("/root", json!({"call": "exec_command"}), "by name"),
        rule("/root", json!({"mail_from": "/root/a"}), "mail of a"),
        rule("/root", json!({"type": "agent_message"}), "mail"),
        {"agent": "/root", "turn_contains": "secret", "reply": [{"text": "secret turn"}]},
        rule("/root", json!({"user": false}), "no user"),
        rule("/root/w_*", json!({"any": true}), "worker"),
        {"reply": [{"text": "anything"}]},
    ]));
    let table = [
        ("/root", vec![user("hello you")], "greeting"),
        ("/root", vec![call("call_7", "x"), output("call_7", "")], "by id"),
        ("/root", vec![call("c", "exec_command"), output("c", "exit 1")], "failed command"),
        ("/root", vec![call("c", "exec_command"), output("c", "exit 0")], "by name"),
        ("/root", vec![mail("/root/a", "MESSAGE", "x")], "mail of a"),
        ("/root", vec![mail("/root/b", "MESSAGE", "x")], "mail"),
        ("/root", vec![user("a secret"), call("c", "x"), output("c", "")], "secret turn"),
        ("/root", vec![user("a secret"), assistant("x"), user("other")], "anything"),
        ("/root", vec![user("other"), assistant("x")], "no user"),
        ("/root/w_1", vec![user("other")], "worker"),
        ("/root/x", vec![], "anything"),
    ];
    for (path, input, expected) in table {
        assert_eq!(says(&script, path, &input), expected, "{path} {input:?}");
    }
}

#[test]
fn no_rule_is_an_error_that_says_for_what() {
    let script = script(json!([{"agent": "/root", "on": {"user": true}, "reply": []}]));
    let request = request("/root/a", 2, json!([user("x"), call("call_1", "f"), output("call_1", "boo")]));
    let message = "no rule of the script fits /root/a, attempt 2, last item function_call_output of call_1: \"boo\"; \
                   add a rule for it";
    let refused = ModelError::Refused { status: 400, reason: Refusal::BadRequest, message: message.to_owned() };
    assert_eq!(script.reply(&request).outcome(), Outcome::Error(refused));
}

#[test]
fn times_are_counted_in_the_input() {
    let script = script(json!([
        {"on": {"call": "f"}, "times": 2, "reply": [{"call": {"name": "f"}}]},
        {"on": {"call": "f"}, "reply": [{"text": "enough after {{n}}"}]},
        {"reply": [{"text": "so"}, {"call": {"name": "f"}}]},
    ]));
    let mut history = vec![user("go")];
    for expected in [2, 1, 1] {
        let produced = items(&response(&script, "/root", &history));
        assert_eq!(produced.len(), expected);
        let id = produced.last().unwrap()["call_id"].as_str().unwrap().to_owned();
        assert!(history.iter().all(|old| old["call_id"] != id.as_str()), "{id} repeats");
        history.extend(produced);
        history.push(output(&id, "ok"));
    }
    assert_eq!(says(&script, "/root", &history), "enough after 4");
}

#[test]
fn attempts_and_failures() {
    let script = script(json!([
        {"attempt_at_most": 1, "reply": [{"text": "x"}, {"fail": {"status": 503, "message": "busy", "retry_after_ms": 7}}]},
        {"attempt_at_most": 2, "reply": [{"text": "a"}, {"text": "b"}, {"cut": {"after_items": 1}}]},
        {"attempt_at_most": 3, "reply": [{"fail": {"status": 401, "message": "no"}}]},
        {"attempt_at_most": 4, "reply": ["hang"]},
        {"times": 1, "reply": [{"text": "{{n}}"}]},
    ]));
    let reply = |attempt| script.reply(&request("/root", attempt, json!([user("x")])));
    let busy = ModelError::Unavailable { status: 503, message: "busy".to_owned(), retry_after_ms: Some(7) };
    assert_eq!(reply(1).outcome(), Outcome::Error(busy));
    assert!(matches!(reply(2).outcome(), Outcome::Error(ModelError::Cut { .. })));
    assert!(matches!(&reply(2).acts[..], [Act::Item(item), Act::Fail(_)] if item.id.as_str() == "msg_1_0"));
    assert!(matches!(
        reply(3).outcome(),
        Outcome::Error(ModelError::Refused { status: 401, reason: Refusal::Unauthorized, .. })
    ));
    assert_eq!(reply(4).outcome(), Outcome::Hang);
    assert!(matches!(reply(5).outcome(), Outcome::Response(_)));
}

#[test]
fn every_step_and_every_word() {
    let script = script(json!([{"reply": [
        {"reasoning": "thinking of {{path}}"},
        {"text": {"text": "{{n}} {{items}} {{last_output}} {{unknown}} {{", "phase": "commentary", "deltas": 2}},
        {"call": {"name": "f", "namespace": "n", "arguments": {"b": ["{{path}}"], "a": 1}, "id": "call_{{n}}"}},
        {"call": {"name": "g", "arguments": "{broken {{pad:3}}"}},
        {"custom_call": {"name": "apply_patch", "input": "P"}},
        {"item": {"type": "web_search_call", "id": "ws_{{n}}"}},
        {"delay_ms": 5},
        {"usage": {"input_tokens": 3, "output_tokens": 4}},
    ]}]));
    let input = [user("x"), call("c", "f"), output("c", "{{path}}")];
    let response = response(&script, "/root/a", &input);
    assert_eq!(response.usage, Usage { input_tokens: 3, output_tokens: 4, total_tokens: 7, ..Usage::default() });
    let expected = [
        r#"{"type":"reasoning","id":"rs_3_0","summary":[{"type":"summary_text","text":"thinking of /root/a"}],"content":null}"#,
        r#"{"type":"message","id":"msg_3_1","role":"assistant","content":[{"type":"output_text","text":"2 3 {{path}} {{unknown}} {{"}],"phase":"commentary"}"#,
        r#"{"type":"function_call","id":"fc_call_2","name":"f","namespace":"n","arguments":"{\"b\":[\"/root/a\"],\"a\":1}","call_id":"call_2"}"#,
        r#"{"type":"function_call","id":"fc_call_3_3","name":"g","arguments":"{broken xxx","call_id":"call_3_3"}"#,
        r#"{"type":"custom_tool_call","id":"ctc_call_3_4","status":"completed","call_id":"call_3_4","name":"apply_patch","input":"P"}"#,
        r#"{"type":"web_search_call","id":"ws_2"}"#,
    ];
    let items: Vec<&str> = response.items.iter().map(|item| std::str::from_utf8(item).unwrap()).collect();
    assert_eq!(items, expected);
}

#[test]
fn a_script_that_is_not_understood() {
    let error = |json: &str| Script::from_json(json.as_bytes()).unwrap_err().to_string();
    assert!(error(r#"{"rules":[{"on":{"typo":1},"reply":[]}]}"#).contains("unknown field `typo`"));
    assert!(error(r#"{"rules":[{"reply":[{"shout":"x"}]}]}"#).contains("unknown variant `shout`"));
    let missing = Script::load(std::path::Path::new("/nonexistent/script.json")).unwrap_err().to_string();
    assert!(missing.starts_with("the script /nonexistent/script.json cannot be read: "), "{missing}");
}

#[test]
fn the_example_of_the_documentation_is_a_script() {
    let text = include_str!("../src/scripted/mod.rs");
    let example = text.split("```").nth(1).unwrap().trim_start_matches("json");
    let example: String = example.lines().map(|line| line.trim_start_matches("//!").to_owned() + "\n").collect();
    assert_eq!(Script::from_json(example.as_bytes()).unwrap().rules.len(), 5);
}

#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl DeltaSink for Heard {
    fn delta(&self, delta: Delta) {
        let text = match delta {
            Delta::ItemStarted { item, kind, .. } => format!("{item} {kind}"),
            Delta::Text { text, .. } | Delta::Reasoning { text, .. } => text,
            Delta::ItemDone { .. } => return,
            other => panic!("{other:?} is of no scripted response"),
        };
        self.0.lock().unwrap().push(text);
    }
}

#[tokio::test(start_paused = true)]
async fn time_passes_and_deltas_are_heard() {
    let script = script(json!([{"reply": [
        {"text": {"text": "abcd", "deltas": 2}}, {"delay_ms": 3000}, {"call": {"name": "f"}}]}]));
    let (heard, began) = (Arc::new(Heard::default()), tokio::time::Instant::now());
    let response = Scripted::new(script).sample(request("/root", 1, json!([user("x")])), heard.clone()).await.unwrap();
    assert_eq!((response.items.len(), began.elapsed()), (2, Duration::from_secs(3)));
    assert_eq!(*heard.0.lock().unwrap(), ["msg_1_0 message", "ab", "cd", "fc_call_1_2 function_call"]);
}

#[tokio::test(start_paused = true)]
async fn a_hang_lasts_and_is_in_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("requests.jsonl");
    let rules = script(json!([{"on": {"user": true}, "reply": ["hang"]}]));
    let model = Scripted::new(rules).log(&log).unwrap();
    let hang = model.sample(request("/root", 3, json!([user("x")])), Arc::new(NoDeltas));
    assert!(tokio::time::timeout(Duration::from_secs(86_400), hang).await.is_err());
    let refused = model.sample(request("/root/a", 1, json!([])), Arc::new(NoDeltas)).await;
    assert!(matches!(refused, Err(ModelError::Refused { .. })));
    let lines = std::fs::read_to_string(&log).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let thread = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef";
    let logged = |path: &str, attempt: u32, input: Value| {
        json!({"session": thread, "thread": thread, "path": path, "parent": null, "turn": "turn-1",
               "root_turn": "turn-1", "attempt": attempt, "input": input})
    };
    assert_eq!(lines, [logged("/root", 3, json!([user("x")])), logged("/root/a", 1, json!([]))]);
}
