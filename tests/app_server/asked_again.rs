//! Ten children ask at once, three clients see it, and the server dies between the questions and the answers.

use std::collections::{BTreeMap, BTreeSet};

use sapwood_testkit::script::Tree;
use serde_json::{Value, json};

use crate::client::Connection;
use crate::program::{Running, World};

const CHILDREN: usize = 10;
/// Answered before the first death.
const EARLY: usize = 3;
const CLIENTS: [&str; 3] = ["first", "second", "third"];
/// Room for all of them and the root.
const ALL_AT_ONCE: &str = "[features.multi_agent_v2]\nenabled = true\nmax_concurrent_threads_per_session = 16\n";
const ASKED: &str = "item/commandExecution/requestApproval";

/// What is open, as one client sees it: the id of each question, by thread and item.
type Questions = BTreeMap<(String, String), Value>;

async fn connect(running: &Running) -> Vec<Connection> {
    let mut clients = Vec::new();
    for name in CLIENTS {
        let client = running.connect().await;
        client.initialize(name).await;
        clients.push(client);
    }
    clients
}

/// Waits until every client has so many questions, each once, and all have the same under the same ids.
async fn questions(clients: &[Connection], count: usize) -> Questions {
    let mut all = Vec::new();
    for client in clients {
        let of = |heard: &[Value]| -> Vec<((String, String), Value)> {
            let asked = heard.iter().filter(|message| message["method"] == ASKED);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let key = |params: &Value| (text(&params["threadId"]), text(&params["itemId"]));
            asked.map(|message| (key(&message["params"]), message["id"].clone())).collect()
        };
        let asked = client.until("questions", |heard| (of(heard).len() >= count).then(|| of(heard))).await;
        let questions: Questions = asked.iter().cloned().collect();
        assert_eq!((asked.len(), questions.len()), (count, count), "each is asked once: {asked:?}");
        all.push(questions);
    }
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "all clients are asked the same: {all:#?}");
    all.swap_remove(0)
}

async fn accept(client: &Connection, question: &Value) {
    client.say(&json!({"id": question, "result": {"decision": "accept"}})).await;
}

/// Waits for the end of a thread's turn.
async fn completed(client: &Connection, thread: &str) -> Value {
    let is = |m: &&Value| m["method"] == "turn/completed" && m["params"]["threadId"] == thread;
    client.until("the end of a turn", |heard| heard.iter().find(is).map(|m| m["params"]["turn"].clone())).await
}

/// How often each question was told to be resolved.
fn resolved(client: &Connection) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for message in client.heard().iter().filter(|message| message["method"] == "serverRequest/resolved") {
        *times.entry(message["params"]["requestId"].to_string()).or_default() += 1;
    }
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_asked_is_asked_again_and_runs_once() {
    let tree = Tree::of(CHILDREN).with_calls(1).asking("it writes").running(|name, _| format!("echo ran >> {name}"));
    let world = World::with(ALL_AT_ONCE, move |request| tree.answer(request)).await;
    let mut running = world.over_websocket(0).await;
    let mut clients = connect(&running).await;
    let params = json!({"cwd": world.project(), "approvalPolicy": "on-request", "sandbox": "workspace-write"});
    let thread = clients[0].ask(1, "thread/start", params).await.unwrap()["thread"]["id"].clone();
    let input = json!([{"type": "text", "text": "Have ten children write."}]);
    clients[0].ask(2, "turn/start", json!({"threadId": thread, "input": input})).await.unwrap();
    // Children are everybody's; the thread itself is resumed, which is possible when there is something of it.
    let asked = questions(&clients, CHILDREN).await;
    for client in &clients[1..] {
        client.ask(1, "thread/resume", json!({"threadId": thread})).await.unwrap();
    }
    let threads: BTreeSet<&String> = asked.keys().map(|(thread, _)| thread).collect();
    assert_eq!(threads.len(), CHILDREN, "one question a child");

    // Some are answered, each by another client, and all is told to everybody.
    for (n, ((thread, _), question)) in asked.iter().take(EARLY).enumerate() {
        accept(&clients[n % CLIENTS.len()], question).await;
        for client in &clients {
            assert_eq!(completed(client, thread).await["status"], "completed");
        }
    }
    let open: Questions = asked.iter().skip(EARLY).map(|(key, id)| (key.clone(), id.clone())).collect();

    // It dies with the rest open, comes back, is asked by nobody to go on, and dies again.
    for _ in 0..2 {
        let port = running.port();
        running.kill().await;
        running = world.over_websocket(port).await;
        clients = connect(&running).await;
        for client in &clients {
            client.ask(1, "thread/resume", json!({"threadId": thread})).await.unwrap();
        }
        assert_eq!(questions(&clients, open.len()).await, open, "asked again under the same ids");
    }

    // All three answer everything: the first answer counts.
    for question in open.values() {
        for client in &clients {
            accept(client, question).await;
        }
    }
    let once: BTreeMap<String, usize> = open.values().map(|id| (id.to_string(), 1)).collect();
    for client in &clients {
        assert_eq!(completed(client, thread.as_str().unwrap()).await["status"], "completed");
        assert_eq!(resolved(client), once, "each is resolved once");
        assert_eq!(questions(std::slice::from_ref(client), open.len()).await, open, "and nothing more was asked");
    }
    for child in (0..CHILDREN).map(Tree::child) {
        let runs = std::fs::read_to_string(world.project().join(&child)).unwrap_or_default();
        assert_eq!(runs, "ran\n", "the command of {child} runs once");
    }
}
