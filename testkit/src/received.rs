//! A request, and what a test asks about it.

use std::fmt;
use std::time::Instant;

use bytes::Bytes;
use serde_json::Value;

use crate::wire;

/// A request that a server received.
#[derive(Clone)]
pub struct Received {
    /// Its number, from 0, in the order the server read them.
    pub n: usize,
    /// The connection it came over, from 0.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What stands behind the `?`; empty for nothing.
    pub query: String,
    /// The headers, in order, with their names as they were spelt.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// When its last byte was read.
    pub when: Instant,
}

impl Received {
    /// The first header of this name, however it is spelt.
    pub fn header(&self, name: &str) -> Option<&str> {
        wire::find(&self.headers, name)
    }

    /// The body. Panics where it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("request {} is no JSON: {error}", self.n))
    }

    /// The header `thread-id`; empty where there is none.
    pub fn thread(&self) -> &str {
        self.header("thread-id").unwrap_or_default()
    }

    /// The header `session-id`; empty where there is none.
    pub fn session(&self) -> &str {
        self.header("session-id").unwrap_or_default()
    }

    /// What `x-codex-turn-metadata` says; `null` where it says nothing.
    pub fn metadata(&self) -> Value {
        self.header("x-codex-turn-metadata").map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_default())
    }

    /// The path of the agent that asks, from its metadata; empty where it is not said.
    pub fn agent_name(&self) -> String {
        self.metadata()["agent_name"].as_str().unwrap_or_default().to_owned()
    }

    /// The items of the input; none where the body has no input.
    pub fn input(&self) -> Vec<Value> {
        let Ok(mut body) = serde_json::from_slice::<Value>(&self.body) else { return Vec::new() };
        match body["input"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        }
    }

    /// The newest thing somebody said to the agent: a user's message, or mail.
    pub fn newest_text(&self) -> Option<String> {
        self.input().iter().rev().find(|item| item["role"] == "user" || is_mail(item)).map(text)
    }

    /// The reports of other agents, in order: who wrote it, and what it says.
    pub fn reports(&self) -> Vec<(String, String)> {
        let input = self.input();
        let mail = input.iter().filter(|item| is_mail(item)).map(|item| (&item["author"], text(item)));
        let reports = mail.filter(|(_, text)| text.contains("Message Type: FINAL_ANSWER"));
        reports.map(|(author, text)| (author.as_str().unwrap_or_default().to_owned(), text)).collect()
    }

    /// The output of a call, as text. `None` where the call was not made or has no output yet.
    pub fn output_of(&self, call_id: &str) -> Option<String> {
        let is = |item: &&Value| is_output(item) && item["call_id"] == call_id;
        self.input().iter().rev().find(is).map(|item| said(&item["output"]))
    }

    /// All outputs with the ids of their calls, in order.
    pub fn outputs(&self) -> Vec<(String, String)> {
        let input = self.input();
        let outputs = input.iter().filter(|item| is_output(item));
        outputs.filter_map(|item| Some((item["call_id"].as_str()?.to_owned(), said(&item["output"])))).collect()
    }

    /// The ids of all calls that have an output, in order.
    pub fn answered_calls(&self) -> Vec<String> {
        let ids = self.input().into_iter().filter(is_output).map(|item| item["call_id"].clone());
        ids.filter_map(|id| id.as_str().map(str::to_owned)).collect()
    }

    /// The tools that are offered, `namespace.name` or `name`.
    pub fn tools(&self) -> Vec<String> {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let mut names = Vec::new();
        for tool in body["tools"].as_array().into_iter().flatten() {
            let name = tool["name"].as_str().or_else(|| tool["type"].as_str()).unwrap_or_default();
            match tool["tools"].as_array() {
                Some(inner) => {
                    names.extend(
                        inner.iter().map(|inner| format!("{name}.{}", inner["name"].as_str().unwrap_or_default())),
                    );
                }
                None => names.push(name.to_owned()),
            }
        }
        names
    }
}

fn is_mail(item: &Value) -> bool {
    item["type"] == "agent_message"
}

fn is_output(item: &Value) -> bool {
    item["type"].as_str().is_some_and(|kind| kind.ends_with("_call_output"))
}

fn text(item: &Value) -> String {
    said(&item["content"])
}

/// The text of a content or an output: itself, or its parts, joined.
fn said(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let parts = content.as_array().into_iter().flatten();
    parts.filter_map(|part| part["text"].as_str().or_else(|| part["encrypted_content"].as_str())).collect()
}

impl fmt::Debug for Received {
    /// Without the body, which may be long, and without headers, which may hold a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { n, connection, method, path, .. } = self;
        write!(f, "request {n} on connection {connection}: {method} {path}, {} bytes", self.body.len())
    }
}
