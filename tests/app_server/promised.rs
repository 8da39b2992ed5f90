//! Turns that were promised and have yet to begin, and answers that were accepted and have yet to be followed: what waits for a
//! slot is neither out of reach nor lost. One slot, which a child holds.

use sapwood_testkit::sse::Reply;
use sapwood_testkit::{Answer, Gate, Received};
use serde_json::{Value, json};

use crate::client::Connection;
use crate::program::World;

pub const ONE_SLOT: &str = "[features.multi_agent_v2]\nenabled = true\nmax_concurrent_threads_per_session = 1\n";
const CHILD: &str = "/root/c0";

/// A root that spawns a child, asks for a command where that is said, and is done; the child holds its slot until the gate opens.
pub fn model(gate: &Gate, command: Option<&'static str>) -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let gate = gate.clone();
    move |request| {
        if request.method != "POST" {
            return Answer::error(404, "not_found", "there is no catalogue here");
        }
        let reply = Reply::new(&format!("resp_{}", request.n));
        if request.agent_name() == CHILD {
            return Answer::events([]).gate(&gate).then(reply.message("held", 1).completed());
        }
        Answer::events(match (request.outputs().len(), command) {
            (0, _) => {
                let task = json!({"task_name": "c0", "message": "Hold it.", "fork_turns": "none"});
                reply.function_call("spawn", "collaboration", "spawn_agent", &task).completed()
            }
            (1, Some(command)) => {
                let call = json!({"cmd": command, "sandbox_permissions": "require_escalated", "justification": "why"});
                reply.function_call("exec", "", "exec_command", &call).completed()
            }
            _ => reply.message("done", 1).completed(),
        })
    }
}

pub fn text(text: &str) -> Value {
    json!([{"type": "text", "text": text, "text_elements": []}])
}

/// Whether this was told, and of which thread.
fn is(message: &Value, method: &str, thread: &Value) -> bool {
    message["method"] == method && message["params"]["threadId"] == *thread
}

pub async fn until(client: &Connection, method: &str, thread: &Value, count: usize) {
    let of = |heard: &[Value]| heard.iter().filter(|message| is(message, method, thread)).count() >= count;
    client.until(method, |heard| of(heard).then_some(())).await;
}

/// A thread whose root has had a turn, and whose child holds the slot.
async fn held(client: &Connection, project: &str) -> Value {
    client.initialize("test").await;
    let thread = client.ask(1, "thread/start", json!({"cwd": project})).await.unwrap()["thread"]["id"].clone();
    client.ask(2, "turn/start", json!({"threadId": thread, "input": text("begin")})).await.unwrap();
    until(client, "turn/completed", &thread, 1).await;
    until_child_works(client, &thread).await;
    thread
}

pub async fn until_child_works(client: &Connection, root: &Value) {
    let of_child = |message: &Value| message["method"] == "turn/started" && message["params"]["threadId"] != *root;
    client.until("the child's turn", |heard| heard.iter().any(of_child).then_some(())).await;
}

/// What was told of a turn, with its items.
fn story(client: &Connection, thread: &Value, turn: &Value) -> Vec<String> {
    let of_turn = |m: &&Value| {
        let params = &m["params"];
        params["threadId"] == *thread && (params["turnId"] == *turn || params["turn"]["id"] == *turn)
    };
    let words = |m: &Value| {
        let params = &m["params"];
        let more = [&params["item"]["type"], &params["turn"]["status"]].into_iter().find_map(Value::as_str);
        format!("{} {}", m["method"].as_str().unwrap(), more.unwrap_or_default())
    };
    client.heard().iter().filter(of_turn).map(words).collect()
}

#[tokio::test]
async fn a_turn_that_waits_for_its_slot_is_interrupted() {
    let gate = Gate::new();
    let world = World::with(ONE_SLOT, model(&gate, None)).await;
    let (_running, client) = world.over_stdio();
    let thread = held(&client, world.project().to_str().unwrap()).await;
    let asked = || world.model.received().iter().filter(|asked| asked.agent_name() != CHILD).count();
    let before = asked();
    let begun = client.ask(3, "turn/start", json!({"threadId": thread, "input": text("second")})).await.unwrap();
    let turn = begun["turn"]["id"].clone();
    let other = client.ask(4, "turn/interrupt", json!({"threadId": thread, "turnId": "other"})).await.unwrap_err();
    assert_eq!(other["message"], "no active turn to interrupt");
    assert_eq!(story(&client, &thread, &turn), [""; 0], "it waits");
    let interrupt = json!({"threadId": thread, "turnId": turn});
    assert_eq!(client.ask(5, "turn/interrupt", interrupt.clone()).await.unwrap(), json!({}));
    until(&client, "turn/completed", &thread, 2).await;
    let expected = [
        "turn/started inProgress",
        "item/started userMessage",
        "item/completed userMessage",
        "turn/completed interrupted",
    ];
    assert_eq!(story(&client, &thread, &turn), expected);
    let again = client.ask(6, "turn/interrupt", interrupt).await.unwrap_err();
    assert_eq!(again["message"], "no active turn to interrupt");
    assert_eq!(asked(), before, "nobody was asked");
    let read = client.ask(7, "thread/read", json!({"threadId": thread, "includeTurns": true})).await.unwrap();
    let turns = read["thread"]["turns"].as_array().unwrap();
    let last = turns.last().unwrap();
    assert_eq!((&last["id"], &last["status"]), (&turn, &json!("interrupted")));
    assert_eq!(last["items"][0]["content"][0]["text"], "second");
    // Whatever runs or is about to.
    let begun = client.ask(8, "turn/start", json!({"threadId": thread, "input": text("third")})).await.unwrap();
    client.ask(9, "turn/interrupt", json!({"threadId": thread, "turnId": ""})).await.unwrap();
    until(&client, "turn/completed", &thread, 3).await;
    assert_eq!(story(&client, &thread, &begun["turn"]["id"]), expected);
}

#[tokio::test]
async fn a_turn_that_waits_for_its_slot_is_steered() {
    let gate = Gate::new();
    let world = World::with(ONE_SLOT, model(&gate, None)).await;
    let (_running, client) = world.over_stdio();
    let thread = held(&client, world.project().to_str().unwrap()).await;
    let begun = client.ask(3, "turn/start", json!({"threadId": thread, "input": text("second")})).await.unwrap();
    let turn = begun["turn"]["id"].clone();
    let steer = |expected: &Value| json!({"threadId": thread, "input": text("third"), "expectedTurnId": expected});
    let other = client.ask(4, "turn/steer", steer(&json!("other"))).await.unwrap_err();
    assert_eq!(other["message"], "no active turn to steer");
    assert_eq!(client.ask(5, "turn/steer", steer(&turn)).await.unwrap(), json!({"turnId": turn}));
    gate.open();
    let is_over = |m: &Value| m["method"] == "turn/completed" && m["params"]["turn"]["id"] == turn;
    client.until("the end of the turn", |heard| heard.iter().any(is_over).then_some(())).await;
    let heard = client.heard();
    let said = heard.iter().filter(|m| {
        m["method"] == "item/completed" && m["params"]["turnId"] == turn && m["params"]["item"]["type"] == "userMessage"
    });
    let said: Vec<&Value> = said.map(|m| &m["params"]["item"]["content"][0]["text"]).collect();
    assert_eq!(said, ["second", "third"]);
}

#[tokio::test]
async fn an_answer_is_followed_by_the_next_process() {
    let gate = Gate::new();
    let world = World::with(ONE_SLOT, model(&gate, Some("echo ran >> file"))).await;
    let (running, client) = world.over_stdio();
    client.initialize("test").await;
    let params = json!({"cwd": world.project(), "approvalPolicy": "on-request", "sandbox": "workspace-write"});
    let thread = client.ask(1, "thread/start", params).await.unwrap()["thread"]["id"].clone();
    let turn = client.ask(2, "turn/start", json!({"threadId": thread, "input": text("begin")})).await.unwrap();
    let turn = turn["turn"]["id"].clone();
    let asks = |m: &&Value| is(m, "item/commandExecution/requestApproval", &thread);
    let question = client.until("the question", |heard| heard.iter().find(asks).map(|m| m["id"].clone())).await;
    until_child_works(&client, &thread).await;
    client.say(&json!({"id": question, "result": {"decision": "accept"}})).await;
    until(&client, "serverRequest/resolved", &thread, 1).await;
    // It was accepted, and there is no slot for what follows.
    running.kill().await;
    gate.open();

    let (_running, client) = world.over_stdio();
    client.initialize("test").await;
    client.ask(1, "thread/resume", json!({"threadId": thread})).await.unwrap();
    let is_over = |m: &Value| m["method"] == "turn/completed" && m["params"]["turn"]["id"] == turn;
    let over = client.until("the end of the turn", |heard| heard.iter().find(|m| is_over(m)).cloned()).await;
    assert_eq!(over["params"]["turn"]["status"], "completed");
    assert!(!client.heard().iter().any(|m| asks(&m)), "nobody is asked again");
    assert_eq!(std::fs::read_to_string(world.project().join("file")).unwrap(), "ran\n");
}

/// Of two threads that nobody looks at, the one that asks stays, also after a restart, where nobody has looked at it yet.
#[tokio::test]
async fn a_tree_that_waits_for_an_answer_stays_in_memory() {
    let gate = Gate::new();
    gate.open();
    let world = World::new(model(&gate, Some("true"))).await;
    let soon = [("SAPWOOD_IDLE_UNLOAD_SECS", "1")];
    let running = world.over_websocket_told(0, &soon).await;
    let client = running.connect().await;
    client.initialize("first").await;
    let params = json!({"cwd": world.project(), "approvalPolicy": "on-request", "sandbox": "workspace-write"});
    let thread = client.ask(1, "thread/start", params).await.unwrap()["thread"]["id"].clone();
    client.ask(2, "turn/start", json!({"threadId": thread, "input": text("begin")})).await.unwrap();
    until(&client, "item/commandExecution/requestApproval", &thread, 1).await;
    let of_child = |m: &Value| m["method"] == "turn/completed" && m["params"]["threadId"] != thread;
    client.until("the end of the child", |heard| heard.iter().any(of_child).then_some(())).await;
    stays(&client, &world, &thread).await;
    running.kill().await;

    let running = world.over_websocket_told(0, &soon).await;
    let client = running.connect().await;
    client.initialize("second").await;
    client.ask(1, "thread/resume", json!({"threadId": thread})).await.unwrap();
    until(&client, "item/commandExecution/requestApproval", &thread, 1).await;
    stays(&client, &world, &thread).await;
}

/// Nobody looks at this thread any more, nor at a newer one, which leaves.
async fn stays(client: &Connection, world: &World, thread: &Value) {
    client.ask(10, "thread/unsubscribe", json!({"threadId": thread})).await.unwrap();
    let other = client.ask(11, "thread/start", json!({"cwd": world.project()})).await.unwrap()["thread"]["id"].clone();
    client.ask(12, "thread/unsubscribe", json!({"threadId": other})).await.unwrap();
    until(client, "thread/closed", &other, 1).await;
    let loaded = client.ask(13, "thread/loaded/list", json!({})).await.unwrap();
    assert!(loaded["data"].as_array().unwrap().contains(thread), "{loaded}");
}
