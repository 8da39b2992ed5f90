//! Messages that wait, items of a client, and commands of a connection, through the whole program. What is expected was
//! measured on the real server: `APP_SERVER_PROGRAM` names it.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sapwood_testkit::sse::Reply;
use sapwood_testkit::{Answer, Gate, Received};
use serde_json::{Value, json};

use crate::client::Connection;
use crate::program::World;

/// What cannot be shown to happen is waited for so long.
const MOMENT: Duration = Duration::from_millis(300);

/// A model that echoes what was said last, but `HOLD`, which it begins to answer and ends when the gate opens.
fn echo(gate: &Gate) -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let gate = gate.clone();
    move |request| {
        if request.method != "POST" {
            return Answer::error(404, "not_found", "there is no catalogue here");
        }
        let said = last_said(&request.input());
        let reply = Reply::new(&format!("resp_{}", request.n)).message(&format!("echo {said}"), 1);
        let held = said.contains("HOLD");
        let answer = Answer::events([]);
        let answer = if held { answer.gate(&gate) } else { answer };
        answer.then(reply.completed())
    }
}

fn last_said(input: &[Value]) -> String {
    let said = input.iter().rev().find(|item| item["role"] == "user").cloned().unwrap_or_default();
    said["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

fn text(text: &str) -> Value {
    json!([{"type": "text", "text": text, "text_elements": []}])
}

async fn thread(client: &Connection, project: &str) -> String {
    let started = client.ask(1, "thread/start", json!({"cwd": project})).await.unwrap();
    started["thread"]["id"].as_str().unwrap().to_owned()
}

/// What was said in turns that have begun, in order.
fn begun(heard: &[Value]) -> Vec<String> {
    let items =
        heard.iter().filter(|m| m["method"] == "item/completed" && m["params"]["item"]["type"] == "userMessage");
    items.map(|m| m["params"]["item"]["content"][0]["text"].as_str().unwrap().to_owned()).collect()
}

fn ended(heard: &[Value]) -> usize {
    heard.iter().filter(|m| m["method"] == "turn/completed").count()
}

async fn until_ended(client: &Connection, count: usize) {
    client.until("the end of a turn", |heard| (ended(heard) == count).then_some(())).await;
}

async fn add(client: &Connection, id: u64, thread: &str, said: &str) -> String {
    let params = json!({"threadId": thread, "clientUserMessageId": format!("m{id}"), "input": text(said)});
    let added = client.ask(id, "thread/queue/add", params).await.unwrap();
    assert_eq!(added["queuedSubmission"]["clientUserMessageId"], format!("m{id}"));
    added["queuedSubmission"]["id"].as_str().unwrap().to_owned()
}

async fn waiting(client: &Connection, id: u64, thread: &str) -> Vec<String> {
    let listed = client.ask(id, "thread/queue/list", json!({"threadId": thread})).await.unwrap();
    let data = listed["data"].as_array().unwrap().iter();
    data.map(|queued| queued["input"][0]["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_waits_is_begun_one_by_one_as_it_is_then() {
    let gate = Gate::new();
    let world = World::new(echo(&gate)).await;
    let (_running, client) = world.over_stdio();
    client.initialize("test").await;
    let thread = thread(&client, world.project().to_str().unwrap()).await;
    client.ask(2, "turn/start", json!({"threadId": thread, "input": text("HOLD")})).await.unwrap();
    let mut ids = Vec::new();
    for (n, said) in ["one", "two", "three"].into_iter().enumerate() {
        ids.push(add(&client, 10 + n as u64, &thread, said).await);
    }
    let start = client.ask(20, "thread/queue/start", json!({"threadId": thread})).await.unwrap_err();
    assert_eq!(start["message"], "thread already has an active or pending turn");
    let update = json!({"threadId": thread, "queuedSubmissionId": ids[0], "input": text("new")});
    client.ask(21, "thread/queue/update", update).await.unwrap();
    let delete = json!({"threadId": thread, "queuedSubmissionId": ids[1]});
    assert_eq!(client.ask(22, "thread/queue/delete", delete.clone()).await.unwrap(), json!({"deleted": true}));
    assert_eq!(client.ask(23, "thread/queue/delete", delete).await.unwrap(), json!({"deleted": false}));
    let order = json!({"threadId": thread, "queuedSubmissionIds": [ids[2], ids[0]]});
    client.ask(24, "thread/queue/reorder", order).await.unwrap();
    assert_eq!(waiting(&client, 25, &thread).await, ["three", "new"]);
    gate.open();
    until_ended(&client, 3).await;
    assert_eq!(begun(&client.heard()), ["HOLD", "three", "new"]);
    assert_eq!(waiting(&client, 26, &thread).await, Vec::<String>::new());
}

#[tokio::test]
async fn after_an_interrupt_and_after_a_kill_it_waits_until_somebody_starts_it() {
    let gate = Gate::new();
    let world = World::new(echo(&gate)).await;
    let (running, client) = world.over_stdio();
    client.initialize("test").await;
    let thread = thread(&client, world.project().to_str().unwrap()).await;
    let turn = client.ask(2, "turn/start", json!({"threadId": thread, "input": text("HOLD")})).await.unwrap();
    add(&client, 10, &thread, "one").await;
    add(&client, 11, &thread, "two").await;
    let is_begun = |heard: &[Value]| heard.iter().any(|m| m["method"] == "turn/started").then_some(());
    client.until("the begin of a turn", is_begun).await;
    let interrupt = json!({"threadId": thread, "turnId": turn["turn"]["id"]});
    client.ask(12, "turn/interrupt", interrupt).await.unwrap();
    until_ended(&client, 1).await;
    let is_begun = client.try_until(MOMENT, |heard| (begun(heard).len() > 1).then_some(())).await;
    assert!(is_begun.is_none(), "an interrupt stops what comes after it, too");
    running.kill().await;
    let (_running, client) = world.over_stdio();
    client.initialize("test").await;
    // Not loaded: kept, and not begun.
    add(&client, 13, &thread, "three").await;
    let start = client.ask(14, "thread/queue/start", json!({"threadId": thread})).await.unwrap_err();
    assert_eq!(start["message"], "resume the thread before starting a queued message");
    client.ask(15, "thread/resume", json!({"threadId": thread})).await.unwrap();
    assert_eq!(waiting(&client, 16, &thread).await, ["one", "two", "three"]);
    client.ask(17, "thread/queue/start", json!({"threadId": thread})).await.unwrap();
    until_ended(&client, 3).await;
    assert_eq!(begun(&client.heard()), ["one", "two", "three"]);
}

#[tokio::test]
async fn items_of_a_client_are_what_the_model_reads() {
    let world = World::new(echo(&Gate::new())).await;
    let (_running, client) = world.over_stdio();
    client.initialize("test").await;
    let thread = thread(&client, world.project().to_str().unwrap()).await;
    let none = client.ask(2, "thread/inject_items", json!({"threadId": thread, "items": []})).await.unwrap_err();
    assert_eq!(none["message"], "items must not be empty");
    let broken = json!({"threadId": thread, "items": [{"type": "message", "role": "user"}]});
    let broken = client.ask(3, "thread/inject_items", broken).await.unwrap_err();
    assert_eq!(broken["message"], "items[0] is not a valid response item: missing field `content`");
    let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "known before"}]});
    client.ask(4, "thread/inject_items", json!({"threadId": thread, "items": [item]})).await.unwrap();
    client.ask(5, "turn/start", json!({"threadId": thread, "input": text("hello")})).await.unwrap();
    until_ended(&client, 1).await;
    let asked = world.model.received().into_iter().find(|request| request.method == "POST").unwrap();
    let said: Vec<String> =
        asked.input().iter().map(|item| item["content"][0]["text"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(said[said.len() - 2..], ["known before", "hello"]);
}

#[tokio::test]
async fn a_command_is_written_to_at_once_and_answered_behind_its_output() {
    let world = World::new(echo(&Gate::new())).await;
    let (_running, client) = world.over_stdio();
    client.initialize("test").await;
    let params = json!({
        "command": ["sh", "-c", "cat; echo end >&2"], "processId": "c", "streamStdin": true, "streamStdoutStderr": true,
    });
    // Nobody waits for it to begin.
    client.say(&json!({"id": 2, "method": "command/exec", "params": params})).await;
    let delta = BASE64_STANDARD.encode("hello\n");
    let write = json!({"processId": "c", "deltaBase64": delta, "closeStdin": true});
    client.ask(3, "command/exec/write", write).await.unwrap();
    let is = |m: &&Value| m["id"] == 2;
    let answer = client.until("the end of the command", |heard| heard.iter().find(is).cloned()).await;
    assert_eq!(answer["result"], json!({"exitCode": 0, "stdout": "", "stderr": ""}));
    let heard = client.heard();
    let at = heard.iter().position(|m| m["id"] == 2).unwrap();
    let wrote = |stream: &str| {
        let deltas = heard[..at].iter().filter(|m| m["method"] == "command/exec/outputDelta");
        let of_stream = deltas.filter(|m| m["params"]["stream"] == stream);
        let bytes = of_stream.map(|m| BASE64_STANDARD.decode(m["params"]["deltaBase64"].as_str().unwrap()).unwrap());
        String::from_utf8(bytes.collect::<Vec<_>>().concat()).unwrap()
    };
    assert_eq!((wrote("stdout"), wrote("stderr")), ("hello\n".to_owned(), "end\n".to_owned()));
    let late = client.ask(4, "command/exec/terminate", json!({"processId": "c"})).await.unwrap_err();
    assert_eq!(late["code"], -32600);
}
