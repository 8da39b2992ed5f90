//! The recordings: rollouts, and the requests that the model endpoint received. The tests of the whole program, which
//! ask over HTTP, read them with this file too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sapwood_protocol::{AgentPath, Line, Millis, ThreadId, Usage};
use sapwood_rollout::{MemoryJournal, Rollout};
use serde_json::Value;

/// One recording.
pub struct Fixture {
    /// Its name.
    pub name: String,
    /// Its rollouts.
    pub rollouts: BTreeMap<ThreadId, Rollout>,
    /// The `input` of each request, in the order of each thread.
    pub requests: BTreeMap<ThreadId, Vec<Vec<Value>>>,
}

/// An answer of the recorded model.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its id.
    pub id: String,
    /// Its items, as they came.
    pub items: Vec<Value>,
    /// What it cost.
    pub usage: Usage,
    /// When it began to come in, in milliseconds since 1970: it had been asked for.
    pub since: u64,
    /// When it was complete.
    pub at: u64,
}

/// The folder of all recordings.
pub fn home() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = |root: &Path| root.join("tests/fixtures/codex-rollouts");
    package.ancestors().map(folder).find(|folder| folder.is_dir()).expect("the recordings are in the workspace")
}

/// The names of all recordings.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(home()).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match entry.file_type().unwrap().is_dir() {
            true => files(&path, found),
            false => found.push(path),
        }
    }
}

impl Fixture {
    /// Reads a recording.
    pub fn read(name: &str) -> Self {
        let folder = home().join(name);
        let mut paths = Vec::new();
        files(&folder.join("sessions"), &mut paths);
        let rollouts = paths.iter().map(|path| {
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let thread: ThreadId = stem[stem.len() - 36..].parse().unwrap();
            (thread, Rollout::new(std::fs::read(path).unwrap().into()))
        });
        let input = |request: &Value| request["input"].as_array().unwrap().iter().map(without_passthrough).collect();
        let requests = received(name).iter().map(|(thread, all)| (*thread, all.iter().map(input).collect())).collect();
        Self { name: name.into(), rollouts: rollouts.collect(), requests }
    }

    /// A journal that holds the rollouts.
    pub fn journal(&self) -> MemoryJournal {
        let journal = MemoryJournal::new();
        for (thread, rollout) in &self.rollouts {
            journal.put(*thread, Millis(0), rollout.bytes().to_vec());
        }
        journal
    }

    /// The thread of the agent at `path`.
    pub fn thread(&self, path: &AgentPath) -> Option<ThreadId> {
        self.rollouts.keys().copied().find(|thread| self.path(*thread) == *path)
    }

    /// The path of a thread.
    pub fn path(&self, thread: ThreadId) -> AgentPath {
        let meta = lines(&self.rollouts[&thread]).next().unwrap();
        meta["payload"]["agent_path"].as_str().map_or_else(AgentPath::root, |path| path.parse().unwrap())
    }

    /// The answers that a thread got, in order.
    pub fn answers(&self, thread: ThreadId) -> Vec<Answer> {
        let (mut answers, mut items, mut since, mut before) = (Vec::new(), Vec::new(), 0, 0);
        for line in lines(&self.rollouts[&thread]) {
            let at = Millis::parse(line["timestamp"].as_str().unwrap()).unwrap().0;
            let payload = &line["payload"];
            if is_of_model(&line) {
                // The snapshot of an item is written just before it: the answer began to come in after something else.
                since = if items.is_empty() { before } else { since };
                items.push(without_passthrough(payload));
            } else if line["type"] == "token_usage_record" {
                let id = payload["response_id"].as_str().unwrap().into();
                let usage = serde_json::from_value(payload["usage"].clone()).unwrap();
                let items = std::mem::take(&mut items);
                answers.push(Answer { id, items, usage, since, at });
            } else if payload["type"] != "item_completed" {
                before = at;
            }
        }
        answers
    }

    /// What the user said to the root, turn by turn; nothing where a turn began without a word.
    pub fn said(&self, thread: ThreadId) -> Vec<Option<String>> {
        let mut turns: Vec<Option<String>> = Vec::new();
        for line in lines(&self.rollouts[&thread]) {
            let payload = &line["payload"];
            let said = match payload["type"].as_str() {
                Some("task_started") => {
                    turns.push(None);
                    continue;
                }
                Some("user_message") => &payload["message"],
                Some("item_completed") if payload["item"]["type"] == "UserMessage" => {
                    &payload["item"]["content"][0]["text"]
                }
                _ => continue,
            };
            *turns.last_mut().unwrap() = Some(said.as_str().unwrap().to_owned());
        }
        turns
    }

    /// The part of a rollout that was there when its last request was made: all before its last answer.
    pub fn before_last_answer(&self, thread: ThreadId) -> Rollout {
        let lines: Vec<Line> = self.rollouts[&thread].lines().collect();
        let views: Vec<Value> =
            lines.iter().map(|line| serde_json::from_slice(line.bytes()).unwrap_or_default()).collect();
        let last = views.iter().rposition(is_of_model).expect("the last request was answered");
        // Back to where the answer begins: something else was told to the model, or the answer before was closed.
        let ends = |view: &Value| match view["type"].as_str() {
            Some("response_item") => !is_of_model(view),
            Some("token_usage_record") => true,
            _ => false,
        };
        let cut = views[..last].iter().rposition(ends).map_or(0, |at| at + 1);
        let bytes: Vec<u8> = lines[..cut].iter().flat_map(|line| line.bytes().to_vec()).collect();
        Rollout::new(bytes.into())
    }
}

/// The requests of a recording, with all that was kept of them, in the order of each thread.
pub fn received(name: &str) -> BTreeMap<ThreadId, Vec<Value>> {
    let mut received: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in std::fs::read_to_string(home().join(name).join("model_requests.jsonl")).unwrap().lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let thread = request["headers"]["thread-id"].as_str().unwrap().parse().unwrap();
        received.entry(thread).or_default().push(request);
    }
    received
}

/// The lines of a rollout that are JSON.
pub fn lines(rollout: &Rollout) -> impl Iterator<Item = Value> + '_ {
    rollout.lines().filter_map(|line| serde_json::from_slice(line.bytes()).ok())
}

/// An item without Codex's notes for its own provider.
pub fn without_passthrough(item: &Value) -> Value {
    let mut item = item.clone();
    item.as_object_mut().unwrap().shift_remove("internal_chat_message_metadata_passthrough");
    item
}

/// True for the line of an item that the model made.
fn is_of_model(line: &Value) -> bool {
    let item = &line["payload"];
    line["type"] == "response_item"
        && match item["type"].as_str().unwrap() {
            "message" => item["role"] == "assistant",
            "reasoning" | "function_call" | "custom_tool_call" | "tool_search_call" | "local_shell_call" => true,
            _ => false,
        }
}
