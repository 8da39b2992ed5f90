//! `thread/shellCommand`: a user's own commands. What is expected was measured on the real server: `APP_SERVER_PROGRAM` names it.

use sapwood_testkit::sse::Reply;
use sapwood_testkit::{Answer, Gate, Received};
use serde_json::{Value, json};

use crate::client::Connection;
use crate::program::World;

/// A model that is done at once, but holds its answer to `HOLD` until the gate opens.
fn model(gate: &Gate) -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let gate = gate.clone();
    move |request| {
        if request.method != "POST" {
            return Answer::error(404, "not_found", "there is no catalogue here");
        }
        let reply = Reply::new(&format!("resp_{}", request.n)).message("done", 1);
        let held = said(&request.input()).last().is_some_and(|said| said == "HOLD");
        let answer = if held { Answer::events([]).gate(&gate) } else { Answer::events([]) };
        answer.then(reply.completed())
    }
}

/// All that a model reads in the role of a user.
fn said(input: &[Value]) -> Vec<String> {
    let of_user = input.iter().filter(|item| item["role"] == "user");
    of_user.map(|item| item["content"][0]["text"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn thread(client: &Connection, world: &World) -> Value {
    client.initialize("test").await;
    let params = json!({"cwd": world.project(), "approvalPolicy": "never", "sandbox": "read-only"});
    client.ask(1, "thread/start", params).await.unwrap()["thread"]["id"].clone()
}

async fn run(client: &Connection, id: u64, thread: &Value, command: &str) {
    let answer = client.ask(id, "thread/shellCommand", json!({"threadId": thread, "command": command})).await;
    assert_eq!(answer, Ok(json!({})));
}

/// Everything that was told, in words, and of commands.
fn story(heard: &[Value]) -> Vec<String> {
    let words = |m: &Value| {
        let params = &m["params"];
        let item = params["item"]["type"].as_str();
        let more = item.or(params["turn"]["status"].as_str()).or(params["status"]["type"].as_str());
        Some(format!("{} {}", m["method"].as_str()?, more.unwrap_or_default()))
    };
    let is_told = |words: &String| ["turn/", "item/", "thread/status"].iter().any(|start| words.starts_with(start));
    heard.iter().filter_map(words).filter(is_told).collect()
}

/// Waits for the end of a user's command, and returns its item and turn.
async fn completed(client: &Connection, command: &str) -> (Value, Value) {
    let is = |m: &&Value| m["method"] == "item/completed" && m["params"]["item"]["source"] == "userShell";
    let of = |m: &&Value| is(m) && m["params"]["item"]["command"].as_str().is_some_and(|shown| shown.contains(command));
    let params = client.until("the end of a command", |heard| heard.iter().find(of).map(|m| m["params"].clone())).await;
    (params["item"].clone(), params["turnId"].clone())
}

async fn turns_ended(client: &Connection, count: usize) -> Vec<Value> {
    let of = |heard: &[Value]| -> Vec<Value> {
        heard.iter().filter(|m| m["method"] == "turn/completed").map(|m| m["params"]["turn"].clone()).collect()
    };
    client.until("the end of a turn", |heard| Some(of(heard)).filter(|ended| ended.len() >= count)).await
}

/// What is shown of a command, without what differs from run to run.
fn shown(mut item: Value) -> Value {
    for field in ["id", "durationMs", "startedAtMs", "completedAtMs", "command"] {
        assert!(!item[field].is_null(), "{field}: {item}");
        item.as_object_mut().unwrap().remove(field);
    }
    item
}

#[tokio::test]
async fn a_command_of_the_user_has_a_turn_without_a_model_and_is_read_by_the_next() {
    let world = World::new(model(&Gate::new())).await;
    let (_running, client) = world.over_stdio();
    let thread = thread(&client, &world).await;
    let before = client.heard().len();
    run(&client, 2, &thread, "echo hi > file; cat file | tr h H; exit 3").await;
    let (item, _) = completed(&client, "exit 3").await;
    turns_ended(&client, 1).await;
    let expected = [
        "thread/status/changed active",
        "turn/started inProgress",
        "item/started commandExecution",
        "item/commandExecution/outputDelta ",
        "item/completed commandExecution",
        "thread/status/changed idle",
        "turn/completed completed",
    ];
    assert_eq!(story(&client.heard()[before..]), expected);
    let is = json!({
        "type": "commandExecution", "pluginId": null, "scriptPath": null, "cwd": world.project(), "processId": null,
        "source": "userShell", "status": "failed", "aggregatedOutput": "Hi\n", "exitCode": 3,
        "commandActions": [{"type": "unknown", "command": "echo hi > file; cat file | tr h H; exit 3"}],
    });
    assert_eq!(shown(item.clone()), is, "and it may write where the thread may not");
    assert!(world.model.received().iter().all(|request| request.method != "POST"), "no model is asked");

    let input = json!([{"type": "text", "text": "go on", "text_elements": []}]);
    client.ask(3, "turn/start", json!({"threadId": thread, "input": input})).await.unwrap();
    turns_ended(&client, 2).await;
    let asked = world.model.received().into_iter().find(|request| request.method == "POST").unwrap();
    let said = said(&asked.input());
    let told = said.iter().find(|said| said.starts_with("<user_shell_command>")).unwrap();
    let (head, tail) = told.split_once("\nDuration: ").unwrap();
    let command = "echo hi > file; cat file | tr h H; exit 3";
    assert_eq!(head, format!("<user_shell_command>\n<command>\n{command}\n</command>\n<result>\nExit code: 3"));
    assert_eq!(tail.split_once('\n').unwrap().1, "Output:\nHi\n\n</result>\n</user_shell_command>");

    let read = client.ask(4, "thread/read", json!({"threadId": thread, "includeTurns": true})).await.unwrap();
    assert_eq!(read["thread"]["turns"][0]["items"], json!([item]));
}

#[tokio::test]
async fn beside_a_turn_it_is_shown_in_it_and_ends_with_its_interrupt() {
    let gate = Gate::new();
    let world = World::new(model(&gate)).await;
    let (_running, client) = world.over_stdio();
    let thread = thread(&client, &world).await;
    let hold = json!([{"type": "text", "text": "HOLD", "text_elements": []}]);
    let begun = client.ask(2, "turn/start", json!({"threadId": thread, "input": hold})).await.unwrap();
    let turn = begun["turn"]["id"].clone();
    let is_begun = |heard: &[Value]| heard.iter().any(|m| m["method"] == "turn/started").then_some(());
    client.until("the begin of the turn", is_begun).await;
    run(&client, 3, &thread, "echo beside").await;
    let (item, of) = completed(&client, "beside").await;
    assert_eq!((&item["aggregatedOutput"], &of), (&json!("beside\n"), &turn));
    run(&client, 4, &thread, "echo long; sleep 1000").await;
    let is_running = |heard: &[Value]| heard.iter().any(|m| m["params"]["delta"] == "long\n").then_some(());
    client.until("its output", is_running).await;
    client.ask(5, "turn/interrupt", json!({"threadId": thread, "turnId": turn})).await.unwrap();
    let (item, of) = completed(&client, "long").await;
    let aborted = (&item["status"], &item["aggregatedOutput"], &item["exitCode"], &of);
    assert_eq!(aborted, (&json!("failed"), &json!("command aborted by user"), &json!(-1), &turn));
    assert_eq!(turns_ended(&client, 1).await[0]["status"], "interrupted");

    // One that outlives its turn, and one that may not take so long.
    gate.open();
    let hold = json!([{"type": "text", "text": "next", "text_elements": []}]);
    let slow = json!({"threadId": thread, "command": "echo slow; sleep 1000", "timeoutMs": 100});
    assert_eq!(client.ask(6, "thread/shellCommand", slow).await, Ok(json!({})));
    let (item, _) = completed(&client, "slow").await;
    assert_eq!((&item["status"], &item["exitCode"]), (&json!("failed"), &json!(-1)));
    turns_ended(&client, 2).await;
    client.ask(7, "turn/start", json!({"threadId": thread, "input": hold})).await.unwrap();
    turns_ended(&client, 3).await;
    let asked = world.model.received().into_iter().rfind(|request| request.method == "POST").unwrap();
    let commands = said(&asked.input()).into_iter().filter(|said| said.starts_with("<user_shell_command>"));
    // Codex forgets what ended before an interrupt and was not told yet.
    assert_eq!(commands.count(), 3);
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_and_a_closing_server_ends_what_runs() {
    let world = World::new(model(&Gate::new())).await;
    let (running, client) = world.over_stdio();
    let thread = thread(&client, &world).await;
    let bad = [
        (json!({"threadId": thread, "command": " "}), -32600, "command must not be empty"),
        (json!({"threadId": thread}), -32600, "Invalid request: missing field `command`"),
        (
            json!({"threadId": thread, "command": "true", "timeoutMs": -1}),
            -32602,
            "thread/shellCommand timeoutMs must be non-negative, got -1",
        ),
        (
            json!({"threadId": "01a1fb6b-968a-74b3-94af-f0fdfb2ed9ef", "command": "true"}),
            -32600,
            "thread not found: 01a1fb6b-968a-74b3-94af-f0fdfb2ed9ef",
        ),
    ];
    for (id, (params, code, message)) in (10..).zip(bad) {
        let error = client.ask(id, "thread/shellCommand", params).await.unwrap_err();
        assert_eq!((&error["code"], &error["message"]), (&json!(code), &json!(message)));
    }
    run(&client, 20, &thread, "echo begun; sleep 1000; echo ran > file").await;
    let is_running = |heard: &[Value]| heard.iter().any(|m| m["params"]["delta"] == "begun\n").then_some(());
    client.until("its output", is_running).await;
    drop(client);
    running.ended().await;

    let (_running, client) = world.over_stdio();
    client.initialize("test").await;
    let resumed = client.ask(1, "thread/resume", json!({"threadId": thread})).await.unwrap();
    let turn = &resumed["thread"]["turns"][0];
    assert_eq!((&turn["status"], &turn["items"][0]["status"]), (&json!("interrupted"), &json!("failed")));
    assert!(!world.project().join("file").exists());
}
