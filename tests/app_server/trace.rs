//! Trace contexts: the turn that a request starts descends from the request's parent, and what follows from that turn is linked to
//! it. Read from the log, which is what of it is for people.

use std::collections::BTreeMap;

use sapwood_testkit::Gate;
use serde_json::{Value, json};

use crate::client::Connection;
use crate::program::World;
use crate::promised::{ONE_SLOT, model, text, until, until_child_works};

/// What a client sends beside a request, for the n-th of its traces.
fn context(n: u8) -> Value {
    json!({"traceparent": format!("00-{}-{}-01", trace(n), span(n)), "tracestate": format!("ours={n}")})
}

fn trace(n: u8) -> String {
    format!("{n:032x}")
}

fn span(n: u8) -> String {
    format!("{n:016x}")
}

/// The turn that a request starts; where nothing is said of a trace, it has none.
async fn start(client: &Connection, id: u64, thread: &Value, trace: Option<Value>) -> String {
    let mut request = json!({"id": id, "method": "turn/start", "params": {"threadId": thread, "input": text("go")}});
    if let Some(trace) = trace {
        request["trace"] = trace;
    }
    client.say(&request).await;
    let is = |m: &&Value| m["id"] == id;
    let answer = client.until("the answer", |heard| heard.iter().find(is).cloned()).await;
    answer["result"]["turn"]["id"].as_str().unwrap().to_owned()
}

async fn ended(client: &Connection, turn: &str) {
    let is = |m: &Value| m["method"] == "turn/completed" && m["params"]["turn"]["id"] == turn;
    client.until("the end of a turn", |heard| heard.iter().any(is).then_some(())).await;
}

/// Where the log says that turns stand: those that began, each once.
fn turns(log: &[Value]) -> BTreeMap<String, Value> {
    let mut turns = BTreeMap::new();
    for line in log.iter().filter(|line| line["fields"]["message"] == "a turn began") {
        let mut span = line["span"].clone();
        let fields = span.as_object_mut().unwrap();
        assert_eq!(fields.remove("name").unwrap(), "turn");
        let turn = fields.remove("turn").unwrap().as_str().unwrap().to_owned();
        ["thread", "agent", "root_turn"].iter().for_each(|field| assert!(fields.remove(*field).is_some(), "{line}"));
        assert_eq!(turns.insert(turn, span), None, "{line}");
    }
    turns
}

#[tokio::test]
async fn the_turn_of_a_request_descends_from_it_and_others_are_linked() {
    let gate = Gate::new();
    let world = World::with(ONE_SLOT, model(&gate, None)).await;
    let (running, client, log) = world.over_stdio_with_log();
    client.initialize("test").await;
    let params = json!({"cwd": world.project()});
    let thread = client.ask(1, "thread/start", params).await.unwrap()["thread"]["id"].clone();
    let first = start(&client, 2, &thread, Some(context(1))).await;
    until(&client, "turn/completed", &thread, 1).await;
    until_child_works(&client, &thread).await;
    // Promised; it begins when the child gives its slot back, and the first request that started it counts.
    let second = start(&client, 3, &thread, Some(context(2))).await;
    assert_eq!(start(&client, 4, &thread, Some(context(3))).await, second);
    gate.open();
    ended(&client, &second).await;
    let third = start(&client, 5, &thread, Some(json!({"traceparent": "nonsense"}))).await;
    ended(&client, &third).await;
    let command = json!({"threadId": thread, "command": "true"});
    client.say(&json!({"id": 6, "method": "thread/shellCommand", "params": command, "trace": context(4)})).await;
    let of_command = |m: &&Value| m["method"] == "item/completed" && m["params"]["item"]["source"] == "userShell";
    let shell =
        client.until("the command", |heard| heard.iter().find(of_command).map(|m| m["params"]["turnId"].clone()));
    let shell = shell.await.as_str().unwrap().to_owned();
    ended(&client, &shell).await;
    let of_child = |m: &&Value| m["method"] == "turn/started" && m["params"]["threadId"] != thread;
    let child = client.until("the child", |heard| heard.iter().find(of_child).cloned()).await;
    let child = child["params"]["turn"]["id"].as_str().unwrap();
    drop(client);
    running.ended().await;

    let log = log.await.unwrap();
    let turns = turns(&log);
    let descends = |n| json!({"trace_id": trace(n), "parent_span_id": span(n), "tracestate": format!("ours={n}")});
    let linked = |n| json!({"link_trace_id": trace(n), "link_span_id": span(n)});
    let expected = [
        (&*first, descends(1)),
        (child, linked(1)),
        (&*second, descends(2)),
        (&*third, linked(2)),
        (&*shell, descends(4)),
    ];
    for (turn, span) in expected {
        assert_eq!(turns.get(turn), Some(&span), "{turn}");
    }
    // What is said of the end of a turn stands in its span, too.
    let over = log.iter().filter(|line| line["fields"]["message"] == "a turn ended" && line["span"]["turn"] == *second);
    let over: Vec<&Value> = over.map(|line| &line["span"]["trace_id"]).collect();
    assert_eq!(over, [&json!(trace(2))]);
}
