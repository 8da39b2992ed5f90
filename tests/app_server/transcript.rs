//! A recording: what a client and the server said, line by line.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use crate::allowed::{self, CHILD};

/// What is done on the wire, in the order it was recorded.
pub struct Record {
    /// The connection; a recording of one connection over stdio has no name for it.
    pub conn: String,
    pub what: What,
    /// For a message of the client what the allow-list calls it.
    pub request: String,
}

/// One line of a recording.
pub enum What {
    /// A message of the client.
    Client(Value),
    /// A line of the client that is no message.
    ClientRaw(String),
    /// A message of the server.
    Server(Value),
}

/// What tells that a request set something.
const SET: &str = "thread/settings/updated";

/// The requests that are refused here by the allow-list, and the turns that follow from them in the recording.
#[derive(Default)]
struct Refused {
    turns: HashSet<String>,
}

impl Refused {
    fn of(records: &[Record]) -> Self {
        let mut this = Self::default();
        // Threads whose next turn follows from what is refused.
        let mut next: HashSet<&str> = HashSet::new();
        for record in records {
            match &record.what {
                What::Client(message) if allowed::is_refused(&record.request) => {
                    next.extend(message["params"]["threadId"].as_str());
                }
                What::Server(message) if message["method"] == "turn/started" => {
                    let [thread, turn] = ["/params/threadId", "/params/turn/id"]
                        .map(|at| message.pointer(at).and_then(Value::as_str).unwrap_or_default());
                    if next.remove(thread) {
                        this.turns.insert(turn.to_owned());
                    }
                }
                _ => {}
            }
        }
        this
    }

    /// The recording without those turns: what was told and asked in them, and the statuses that came of them.
    fn without(&self, records: Vec<Record>) -> Vec<Record> {
        let mut kept: Vec<Record> = Vec::new();
        // Threads in which such a turn is open, and requests of the server that are of one, by connection.
        let (mut open, mut asked) = (HashSet::new(), HashSet::new());
        // What was asked and not answered that is refused here: the connection with its id, and with its thread.
        let mut refused = Vec::new();
        for record in records {
            let conn = record.conn.clone();
            let of = |thread: &Value| (conn.clone(), thread.to_string());
            match &record.what {
                What::Client(message) if allowed::is_refused(&record.request) => {
                    refused.push((of(&message["id"]), of(&message["params"]["threadId"])));
                }
                What::Client(message) if message.get("method").is_none() && asked.contains(&of(&message["id"])) => {
                    continue;
                }
                What::Server(message) => {
                    let params = &message["params"];
                    let turn = params["turnId"].as_str().or(params["turn"]["id"].as_str());
                    let thread = of(&params["threadId"]);
                    if message.get("method").is_none() {
                        refused.retain(|(id, _)| *id != of(&message["id"]));
                    } else if message["method"] == SET && refused.iter().any(|(_, of)| *of == thread) {
                        // It set something on its way.
                        continue;
                    }
                    let is_status = |record: &Record| match &record.what {
                        What::Server(status) => {
                            let is = status["method"] == "thread/status/changed";
                            is && record.conn == conn && status["params"]["threadId"] == params["threadId"]
                        }
                        _ => false,
                    };
                    if turn.is_some_and(|turn| self.turns.contains(turn)) {
                        match message["method"].as_str() {
                            Some("turn/started") => {
                                // It became active for this turn.
                                kept.iter().rposition(is_status).map(|at| kept.remove(at));
                                open.insert(thread);
                            }
                            Some("turn/completed") => drop(open.remove(&thread)),
                            _ if message.get("id").is_some() => drop(asked.insert(of(&message["id"]))),
                            _ => {}
                        }
                        continue;
                    }
                    if asked.contains(&of(&params["requestId"])) || open.contains(&thread) && is_status(&record) {
                        continue;
                    }
                }
                _ => {}
            }
            kept.push(record);
        }
        kept
    }
}

/// The recordings that one server was driven with, one after the other.
pub fn read(names: &[&str]) -> Vec<Record> {
    let mut records: Vec<Record> = names.iter().flat_map(|name| read_one(name)).collect();
    // In the order they came.
    let mut conns: Vec<String> = Vec::new();
    for record in &mut records {
        let at = conns.iter().position(|conn| *conn == record.conn).unwrap_or_else(|| {
            conns.push(record.conn.clone());
            conns.len() - 1
        });
        record.conn = format!("{at:02} {}", record.conn);
    }
    name(&mut records);
    Refused::of(&records).without(records)
}

/// Says which requests are to children.
fn name(records: &mut [Record]) {
    let mut children: HashSet<String> = HashSet::new();
    for record in records {
        match &record.what {
            What::Client(message) => {
                if message["params"]["threadId"].as_str().is_some_and(|thread| children.contains(thread)) {
                    record.request += CHILD;
                }
            }
            What::Server(message) => children.extend(spawned(message)),
            What::ClientRaw(_) => {}
        }
    }
}

/// The children that a message names.
pub fn spawned(message: &Value) -> impl Iterator<Item = String> {
    let children = message["params"]["item"]["receiverThreadIds"].as_array().into_iter().flatten();
    children.filter_map(|id| id.as_str().map(str::to_owned))
}

fn read_one(name: &str) -> Vec<Record> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/app-server-transcripts/{name}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|line| record(name, &line))
        .collect()
}

fn record(name: &str, line: &Value) -> Option<Record> {
    let conn = format!("{name} {}", line["conn"]);
    let what = match (line["dir"].as_str()?, &line["msg"], line["raw"].as_str()) {
        ("client", _, Some(raw)) => What::ClientRaw(raw.to_owned()),
        ("client", msg, None) => What::Client(msg.clone()),
        ("server", msg, None) if !msg.is_null() => What::Server(msg.clone()),
        _ => return None,
    };
    let request = line["msg"]["method"].as_str().filter(|_| line["dir"] == "client").unwrap_or_default().to_owned();
    Some(Record { conn, what, request })
}

#[test]
fn a_turn_that_follows_from_what_is_refused_is_left_out_and_nothing_else() {
    use serde_json::json;

    let server = |message: Value| Record { conn: "c".into(), what: What::Server(message), request: String::new() };
    let told = |method: &str, params: Value| server(json!({"method": method, "params": params}));
    let turn = |turn: &str| {
        let status = |kind: &str| told("thread/status/changed", json!({"threadId": "t", "status": {"type": kind}}));
        let of = json!({"threadId": "t", "turn": {"id": turn}});
        vec![status("active"), told("turn/started", of.clone()), status("idle"), told("turn/completed", of)]
    };
    let request = |method: &str| {
        let message = json!({"id": 1, "method": method, "params": {"threadId": "t"}});
        Record { conn: "c".into(), what: What::Client(message), request: method.into() }
    };
    let recorded = |refused: bool| {
        let follows = if refused { turn("b") } else { Vec::new() };
        let begins = [request("turn/start")].into_iter().chain(turn("a"));
        let refused = [request("thread/compact/start"), server(json!({"id": 1, "result": {}}))].into_iter();
        begins.chain(refused).chain(follows).chain([request("turn/start")]).chain(turn("c")).collect::<Vec<_>>()
    };
    let text = |records: Vec<Record>| -> Vec<String> {
        let text = |record: Record| match record.what {
            What::Client(message) | What::Server(message) => message.to_string(),
            What::ClientRaw(text) => text,
        };
        records.into_iter().map(text).collect()
    };
    let records = recorded(true);
    assert_eq!(text(Refused::of(&records).without(records)), text(recorded(false)));
}
