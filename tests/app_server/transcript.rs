//! A recording: what a client and the server said, line by line.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

/// What is done on the wire, in the order it was recorded.
pub struct Record {
    /// The connection; a recording of one connection over stdio has no name for it.
    pub conn: String,
    pub what: What,
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

/// Turns of the recording that nobody begins here, with all that was said of them.
#[derive(Default)]
struct LeftOut {
    /// Requests, by connection and id.
    requests: HashSet<(String, String)>,
    turns: HashSet<String>,
}

impl LeftOut {
    /// Compactions, which are not here yet, and what a client said to a child: ours take their tasks from who spawned them.
    fn of(records: &[Record]) -> Self {
        let mut this = Self::default();
        let mut children: HashSet<&str> = HashSet::new();
        for Record { conn, what } in records {
            match what {
                What::Client(message) => {
                    let thread = message["params"]["threadId"].as_str().unwrap_or_default();
                    let is_left_out = match message["method"].as_str() {
                        Some("thread/compact/start") => true,
                        Some("turn/start") => children.contains(thread),
                        _ => false,
                    };
                    if is_left_out {
                        this.requests.insert((conn.clone(), message["id"].to_string()));
                    }
                }
                What::Server(message) => {
                    let item = &message["params"]["item"];
                    let spawned = item["receiverThreadIds"].as_array().into_iter().flatten();
                    children.extend(spawned.filter_map(Value::as_str));
                    let answers = message.get("method").is_none() && this.is_left_out(conn, message);
                    let turn = match item["type"] == "contextCompaction" {
                        true => &message["params"]["turnId"],
                        false => &message["result"]["turn"]["id"],
                    };
                    if answers || item["type"] == "contextCompaction" {
                        this.turns.extend(turn.as_str().map(str::to_owned));
                    }
                }
                What::ClientRaw(_) => {}
            }
        }
        this
    }

    fn is_left_out(&self, conn: &str, message: &Value) -> bool {
        self.requests.contains(&(conn.to_owned(), message["id"].to_string()))
    }

    fn without(&self, records: Vec<Record>) -> Vec<Record> {
        let mut kept: Vec<Record> = Vec::new();
        // Threads in which such a turn is open, and requests of the server that are of one, by connection.
        let (mut open, mut asked) = (HashSet::new(), HashSet::new());
        for record in records {
            let conn = record.conn.clone();
            let of = |thread: &Value| (conn.clone(), thread.to_string());
            match &record.what {
                What::Client(message) if self.is_left_out(&conn, message) => continue,
                What::Client(message) if message.get("method").is_none() && asked.contains(&of(&message["id"])) => {
                    continue;
                }
                What::Server(message) if message.get("method").is_none() && self.is_left_out(&conn, message) => {
                    continue;
                }
                What::Server(message) => {
                    let params = &message["params"];
                    let turn = params["turnId"].as_str().or(params["turn"]["id"].as_str());
                    let thread = of(&params["threadId"]);
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
    let left_out = LeftOut::of(&records);
    left_out.without(records)
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
    Some(Record { conn, what })
}
