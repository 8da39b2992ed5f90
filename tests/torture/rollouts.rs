//! Rollouts as anybody can read them: JSON lines, without a word of the program's own code.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One rollout.
#[derive(Clone, Debug)]
pub struct Rollout {
    pub path: String,
    pub thread: String,
    pub parent: Option<String>,
    /// The lines that are JSON.
    pub lines: Vec<Value>,
    /// How many are not: what was torn by a death.
    pub torn: usize,
    /// All of it.
    pub text: String,
}

/// An accepted input.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    pub id: String,
    pub wakes: bool,
    /// The thread that sent it, and the number of the sending.
    pub from: Option<(String, u64)>,
    pub text: Option<String>,
}

/// The files of rollouts in a folder.
pub fn files(sessions: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![sessions.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with("rollout-") {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Reads all rollouts in a folder, by path.
pub fn read(sessions: &Path) -> Vec<Rollout> {
    let mut found: Vec<Rollout> = files(sessions).iter().map(|file| Rollout::read(file)).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

impl Rollout {
    fn read(file: &Path) -> Self {
        let text = String::from_utf8(fs::read(file).unwrap()).unwrap();
        let parsed: Vec<Option<Value>> = text.lines().map(|line| serde_json::from_str(line).ok()).collect();
        let torn = parsed.iter().filter(|line| line.is_none()).count();
        let lines: Vec<Value> = parsed.into_iter().flatten().collect();
        let meta = &lines[0]["payload"];
        let text_of = |key: &str| meta[key].as_str().map(str::to_owned);
        let path = text_of("agent_path").unwrap_or_else(|| "/root".to_owned());
        Self { path, thread: text_of("id").unwrap(), parent: text_of("parent_thread_id"), lines, torn, text }
    }

    /// The payloads of the lines of a type.
    pub fn payloads<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["type"] == kind).map(|line| &line["payload"])
    }

    /// The items of history of a type.
    pub fn items<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.payloads("response_item").filter(move |item| item["type"] == kind)
    }

    /// The lines of events of a type.
    pub fn events<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.lines.iter().filter(move |line| line["type"] == "event_msg" && line["payload"]["type"] == kind)
    }

    /// What was accepted, in order.
    pub fn accepted(&self) -> Vec<Accepted> {
        let of = |payload: &Value| Accepted {
            id: payload["id"].as_str().unwrap().to_owned(),
            wakes: payload["wake"] == true,
            from: payload
                .get("from")
                .map(|from| (from["thread"].as_str().unwrap().to_owned(), from["n"].as_u64().unwrap())),
            text: payload["body"]["text"].as_str().map(str::to_owned),
        };
        self.payloads("sapwood.accepted").map(of).collect()
    }

    /// The ids of all inputs that were consumed or settled, as often as they were.
    pub fn gone(&self) -> Vec<String> {
        let consumed = self.lines.iter().filter_map(|line| line["sapwood"]["consumes"].as_array()).flatten();
        let settled = self.payloads("sapwood.settled").map(|settled| &settled["id"]);
        consumed.chain(settled).map(|id| id.as_str().unwrap().to_owned()).collect()
    }

    /// The output of a call, if history has one.
    pub fn output(&self, call: &str) -> Option<&str> {
        let mut outputs = self.items("function_call_output").filter(|output| output["call_id"] == call);
        let output = outputs.next().map(|output| output["output"].as_str().unwrap());
        assert!(outputs.next().is_none(), "{}: two outputs of {call}", self.path);
        output
    }

    /// How many mails in history say this.
    pub fn mail(&self, text: &str) -> usize {
        self.items("agent_message").filter(|item| item.to_string().contains(text)).count()
    }

    /// The texts of a role's messages in history.
    pub fn messages(&self, role: &str) -> Vec<String> {
        let messages = self.items("message").filter(|message| message["role"] == role);
        let text = |message: &Value| {
            let parts = message["content"].as_array().unwrap().iter();
            parts.map(|part| part["text"].as_str().unwrap_or_default()).collect()
        };
        messages.map(text).collect()
    }
}
