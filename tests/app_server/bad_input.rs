//! What no client should do, and what comes of it: an answer or nothing, little memory, and no harm to anybody else.

use std::time::Duration;

use sapwood_testkit::script::Tree;
use serde_json::{Value, json};

use crate::client::Connection;
use crate::model::answer;
use crate::program::{Running, World};

const ASKED: &str = "item/commandExecution/requestApproval";
/// A message that no one means: six times what may be sent.
const LONG: usize = 100 * 1024 * 1024;
/// What a server may need for it, in kB: what may be sent once, twice while it grows, and what it is read in.
const LONG_COSTS_KB: u64 = 64 * 1024;
/// What cannot be shown to come is waited for so long.
const MOMENT: Duration = Duration::from_millis(300);

/// The most memory that a server has had, in kB.
fn peak(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A server that this is done to keeps nothing of what is too long.
async fn costs_little(running: &Running, done: impl Future<Output = ()>) {
    let before = peak(running);
    done.await;
    let cost = peak(running) - before;
    assert!(cost < LONG_COSTS_KB, "{cost} kB");
}

#[tokio::test]
async fn a_line_of_a_hundred_megabytes_is_answered_and_costs_little() {
    let world = World::new(answer).await;
    let (running, client) = world.over_stdio();
    client.initialize("long").await;
    costs_little(&running, async {
        let long = "x".repeat(LONG);
        let refused = client.ask(1, "account/read", json!({"refreshToken": long})).await.unwrap_err();
        let message = "Invalid request: the message is longer than 16777216 bytes";
        assert_eq!(refused, json!({"code": -32600, "message": message}));
        client.ask(2, "account/read", json!({})).await.unwrap();
    })
    .await;
    running.kill().await;
}

#[tokio::test]
async fn a_websocket_that_sends_too_much_is_closed_and_nobody_else() {
    let world = World::new(answer).await;
    let running = world.over_websocket(0).await;
    let (long, other) = (running.connect().await, running.connect().await);
    long.initialize("long").await;
    other.initialize("other").await;
    costs_little(&running, async {
        long.say_raw(&"x".repeat(LONG)).await;
        // It is told nothing more: its connection is over.
        long.say(&json!({"id": 1, "method": "account/read", "params": {}})).await;
        assert_eq!(long.try_until(MOMENT, |heard| heard.iter().find(|m| m["id"] == 1).cloned()).await, None);
        other.ask(1, "account/read", json!({})).await.unwrap();
    })
    .await;
    running.kill().await;
}

#[tokio::test]
async fn an_id_that_is_used_twice_is_answered_twice() {
    let world = World::new(answer).await;
    let (running, client) = world.over_stdio();
    client.initialize("twice").await;
    client.say(&json!({"id": "a", "method": "account/read", "params": {}})).await;
    client.say(&json!({"id": "a", "method": "nope", "params": {}})).await;
    let of = |heard: &[Value]| -> Vec<bool> {
        heard.iter().filter(|m| m["id"] == "a").map(|m| m.get("result").is_some()).collect()
    };
    let both = client.until("two answers", |heard| (of(heard).len() == 2).then(|| of(heard))).await;
    assert_eq!(both, [true, false], "in the order in which they were asked");
    running.kill().await;
}

/// A thread that waits for an approval, and the id of the question.
async fn asking(client: &Connection, world: &World) -> (Value, Value) {
    let params = json!({"cwd": world.project(), "approvalPolicy": "on-request", "sandbox": "workspace-write"});
    let thread = client.ask(1, "thread/start", params).await.unwrap()["thread"]["id"].clone();
    let input = json!([{"type": "text", "text": "Have it written."}]);
    client.ask(2, "turn/start", json!({"threadId": thread, "input": input})).await.unwrap();
    let id = question(client).await;
    (thread, id)
}

async fn question(client: &Connection) -> Value {
    client.until("a question", |heard| heard.iter().find(|m| m["method"] == ASKED).map(|m| m["id"].clone())).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_vanishes_before_it_answers_leaves_the_question_to_the_next() {
    let tree = Tree::of(1).with_calls(1).asking("it writes").running(|name, _| format!("echo ran >> {name}"));
    let world = World::new(move |request| tree.answer(request)).await;
    let running = world.over_websocket(0).await;
    let first = running.connect().await;
    first.initialize("first").await;
    let (thread, id) = asking(&first, &world).await;
    drop(first);
    let next = running.connect().await;
    next.initialize("next").await;
    next.ask(1, "thread/resume", json!({"threadId": thread})).await.unwrap();
    assert_eq!(question(&next).await, id, "it is asked again as it was");
    next.say(&json!({"id": id, "result": {"decision": "accept"}})).await;
    let is = |m: &&Value| m["method"] == "turn/completed" && m["params"]["threadId"] == thread;
    let turn = next.until("the end", |heard| heard.iter().find(is).map(|m| m["params"]["turn"].clone())).await;
    assert_eq!(turn["status"], "completed");
    let runs = std::fs::read_to_string(world.project().join(Tree::child(0))).unwrap();
    assert_eq!(runs, "ran\n", "the command runs once");
    running.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_server_on_a_home_reads_and_says_who_holds_what_it_would_write() {
    let world = World::new(answer).await;
    let (one, two) = (world.over_websocket(0).await, world.over_websocket(0).await);
    let (holder, second) = (one.connect().await, two.connect().await);
    holder.initialize("holder").await;
    second.initialize("second").await;
    let started = holder.ask(1, "thread/start", json!({"cwd": world.project()})).await.unwrap();
    let thread = started["thread"]["id"].clone();
    let input = json!([{"type": "text", "text": "hello"}]);
    holder.ask(2, "turn/start", json!({"threadId": thread, "input": input})).await.unwrap();
    let ended = |heard: &[Value]| heard.iter().any(|m| m["method"] == "turn/completed").then_some(());
    holder.until("the end of the turn", ended).await;

    let read = second.ask(1, "thread/read", json!({"threadId": thread, "includeTurns": true})).await.unwrap();
    assert_eq!(read["thread"]["turns"][0]["status"], "completed", "{read}");
    let listed = second.ask(2, "thread/list", json!({})).await.unwrap();
    let ids: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|thread| &thread["id"]).collect();
    assert_eq!(ids, [&thread]);
    let pid = one.pid().to_string();
    let writes = [
        (3, "thread/resume", json!({"threadId": thread})),
        (4, "thread/archive", json!({"threadId": thread})),
        (5, "thread/delete", json!({"threadId": thread})),
        (6, "thread/metadata/update", json!({"threadId": thread, "gitInfo": {"branch": "b"}})),
    ];
    for (id, method, params) in writes {
        let refused = second.ask(id, method, params).await.unwrap_err();
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains(&pid), "{method} says who holds it ({pid}): {message}");
    }
    // And the first one is none the wiser.
    let input = json!([{"type": "text", "text": "again"}]);
    holder.ask(3, "turn/start", json!({"threadId": thread, "input": input})).await.unwrap();
    two.kill().await;
    one.kill().await;
}
