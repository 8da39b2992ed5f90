//! A recording: what a client and the server said, line by line.

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
    records
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
