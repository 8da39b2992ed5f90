//! A runtime for one root and its children, in one thread, that breaks where it is told to.

use std::collections::{BTreeMap, VecDeque};

use sapwood_model::Rehearsal;
use serde_json::{Value, json};

use crate::repo::Repo;

/// What goes wrong.
#[derive(Default)]
pub struct Faults {
    /// The outputs of the first commands, instead of what they say; `None` lets one run.
    pub exec: VecDeque<Option<Broken>>,
    /// The outputs of the first spawns of a child; true if it is spawned none the less.
    pub spawn: BTreeMap<&'static str, VecDeque<(&'static str, bool)>>,
    /// What a child's turns come to, instead of reports; an empty text means its report after all.
    pub reports: BTreeMap<&'static str, VecDeque<&'static str>>,
    /// What `followup_task` answers.
    pub follow_up: &'static str,
    /// Outputs of the first waits, instead of waiting.
    pub waits: VecDeque<&'static str>,
    /// What `list_agents` says of every child.
    pub status: &'static str,
    /// Tools of the namespace that are not offered; `*` for all.
    pub without: Vec<&'static str>,
}

/// How a command's output breaks.
#[derive(Clone, Copy, Debug)]
pub enum Broken {
    Text(&'static str),
    /// Head and tail of so many bytes are left, if it is longer.
    Cut(usize),
}

/// The runtime: a repository, a root's history, children.
pub struct Runtime<'a> {
    repo: &'a Repo,
    pub faults: Faults,
    pub root: Vec<Value>,
    children: Vec<Child>,
    /// Names of the tools called by the root, in order.
    pub calls: Vec<String>,
    /// Commands that ran.
    pub commands: usize,
}

struct Child {
    path: String,
    history: Vec<Value>,
    /// Turns it was asked for and has not done.
    due: usize,
}

const TOOLS: [&str; 6] =
    ["followup_task", "interrupt_agent", "list_agents", "send_message", "spawn_agent", "wait_agent"];
/// More than any run here needs: a run that asks more often never ends.
const MAX_REQUESTS: usize = 200;

pub fn message(role: &str, text: &str) -> Value {
    json!({"type": "message", "id": "msg_x", "role": role, "content": [{"type": "input_text", "text": text}]})
}

fn mail(kind: &str, author: &str, recipient: &str, payload: &str) -> Value {
    let header = format!("Message Type: {kind}\nTask name: {recipient}\nSender: {author}\nPayload:\n");
    let content = match kind {
        "FINAL_ANSWER" => json!([{"type": "input_text", "text": header + payload}]),
        _ => {
            json!([{"type": "input_text", "text": header}, {"type": "encrypted_content", "encrypted_content": payload}])
        }
    };
    json!({"type": "agent_message", "id": "amsg_x", "author": author, "recipient": recipient, "content": content})
}

fn output(call: &Value, text: &str) -> Value {
    json!({"type": "function_call_output", "id": "fco_x", "call_id": call["call_id"], "output": text})
}

impl<'a> Runtime<'a> {
    pub fn new(repo: &'a Repo, faults: Faults) -> Self {
        let root = vec![
            message("developer", "You are a coding agent."),
            message("user", "<environment_context>\n  <cwd>/w</cwd>\n</environment_context>"),
        ];
        Self { repo, faults, root, children: Vec::new(), calls: Vec::new(), commands: 0 }
    }

    /// A turn of the root, and the turns after it that reports start, as `exec` has them. The last answer.
    pub fn run(&mut self, prompt: Option<&str>) -> String {
        self.root.extend(prompt.map(|text| message("user", text)));
        let mut answer = self.turn();
        while self.next_report() {
            answer = self.turn();
        }
        answer
    }

    /// Lets a child end a turn, and delivers what comes of it; false if all are idle.
    fn next_report(&mut self) -> bool {
        let Some(at) = self.children.iter().position(|child| child.due > 0) else { return false };
        let child = &mut self.children[at];
        child.due -= 1;
        let path = child.path.clone();
        let name = path.rsplit('/').next().unwrap();
        let broken = self.faults.reports.get_mut(name).and_then(|broken| broken.pop_front());
        // What comes after a notice comes by itself: the child was restarted.
        if self.faults.reports.get(name).is_some_and(|left| left.front() == Some(&"")) {
            child.due += 1;
        }
        let text = match broken {
            Some(text) if !text.is_empty() => text.to_owned(),
            _ => self.child_turn(at),
        };
        self.root.push(mail("FINAL_ANSWER", &path, "/root", &text));
        true
    }

    fn turn(&mut self) -> String {
        for _ in 0..MAX_REQUESTS {
            let items = ask(&self.root, &self.faults.without);
            self.root.extend(items.iter().cloned());
            let calls: Vec<&Value> = items.iter().filter(|item| item["type"] == "function_call").collect();
            if calls.is_empty() {
                return items.last().unwrap()["content"][0]["text"].as_str().unwrap().to_owned();
            }
            let mut wait = false;
            for call in calls {
                self.calls.push(call["name"].as_str().unwrap().to_owned());
                let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
                let text = match call["name"].as_str().unwrap() {
                    "exec_command" => self.exec(&arguments),
                    "spawn_agent" => self.spawn(&arguments),
                    "wait_agent" => match self.faults.waits.pop_front() {
                        Some(text) => text.to_owned(),
                        None if self.children.iter().all(|child| child.due == 0) => {
                            r#"{"message":"Wait timed out.","timed_out":true}"#.to_owned()
                        }
                        None => {
                            wait = true;
                            r#"{"message":"Wait completed.","timed_out":false}"#.to_owned()
                        }
                    },
                    "list_agents" => {
                        let children = self.children.iter();
                        let agents =
                            children.map(|c| json!({"agent_name": c.path, "agent_status": self.faults.status}));
                        json!({"agents": agents.collect::<Vec<_>>()}).to_string()
                    }
                    "followup_task" => {
                        let target = arguments["target"].as_str().unwrap();
                        if self.faults.follow_up.is_empty() {
                            let child = self.children.iter_mut().find(|child| child.path == target).unwrap();
                            child.due += 1;
                            let task = arguments["message"].as_str().unwrap();
                            child.history.push(mail("NEW_TASK", "/root", target, task));
                        }
                        self.faults.follow_up.to_owned()
                    }
                    other => panic!("unexpected call of {other}"),
                };
                self.root.push(output(call, &text));
            }
            if wait {
                self.next_report();
            }
        }
        panic!("no answer after {MAX_REQUESTS} requests");
    }

    fn child_turn(&mut self, at: usize) -> String {
        for _ in 0..MAX_REQUESTS {
            let items = ask(&self.children[at].history, &["*"]);
            self.children[at].history.extend(items.iter().cloned());
            let calls: Vec<&Value> = items.iter().filter(|item| item["type"] == "function_call").collect();
            if calls.is_empty() {
                return items.last().unwrap()["content"][0]["text"].as_str().unwrap().to_owned();
            }
            for call in calls {
                assert_eq!(call["name"], "exec_command");
                let text = self.exec(&serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap());
                self.children[at].history.push(output(call, &text));
            }
        }
        panic!("a child does not end");
    }

    fn spawn(&mut self, arguments: &Value) -> String {
        let name = arguments["task_name"].as_str().unwrap();
        assert_eq!(arguments["fork_turns"], "none");
        let path = format!("/root/{name}");
        let fault = self.faults.spawn.get_mut(name).and_then(|faults| faults.pop_front());
        if self.children.iter().any(|child| child.path == path) {
            return format!("agent path `{path}` already exists");
        }
        if fault.is_none_or(|(_, spawned)| spawned) {
            let task = mail("NEW_TASK", "/root", &path, arguments["message"].as_str().unwrap());
            let history = vec![message("developer", "You are a coding agent."), task];
            self.children.push(Child { path: path.clone(), history, due: 1 });
        }
        fault.map_or_else(|| json!({"task_name": path}).to_string(), |(text, _)| text.to_owned())
    }

    fn exec(&mut self, arguments: &Value) -> String {
        let fault = self.faults.exec.pop_front().flatten();
        if let Some(Broken::Text(text)) = fault {
            return text.to_owned();
        }
        self.commands += 1;
        let script = format!("exec 2>&1\n{}", arguments["cmd"].as_str().unwrap());
        let done = self.repo.command("sh").args(["-c", &script]).output().unwrap();
        let mut text = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(text.len() < 32 << 10, "{} bytes of output", text.len());
        if let Some(Broken::Cut(kept)) = fault
            && text.len() > 2 * kept
        {
            let (head, tail) = (&text[..kept], &text[text.len() - kept..]);
            text = format!("{head}\n[... {} bytes omitted ...]\n{tail}", text.len() - 2 * kept);
        }
        let code = done.status.code().unwrap();
        format!(
            "Chunk ID: 0f7075\nWall time: 0.0100 seconds\nProcess exited with code {code}\nOriginal token count: 1\nOutput:\n{text}"
        )
    }
}

/// Asks the model, twice: the same request gives the same bytes.
fn ask(history: &[Value], without: &[&str]) -> Vec<Value> {
    let offered = TOOLS.iter().filter(|name| !without.contains(name) && !without.contains(&"*"));
    let members: Vec<Value> = offered.map(|name| json!({"type": "function", "name": name})).collect();
    let mut tools = vec![json!({"type": "function", "name": "exec_command"})];
    if !members.is_empty() {
        tools.push(json!({"type": "namespace", "name": "collaboration", "tools": members}));
    }
    let body = json!({"model": "rehearsal", "input": history, "tools": tools}).to_string();
    let response = Rehearsal.answer(body.as_bytes()).unwrap();
    assert_eq!(response, Rehearsal.answer(body.as_bytes()).unwrap());
    let items: Vec<Value> = response.items.iter().map(|item| serde_json::from_slice(item).unwrap()).collect();
    for item in &items {
        assert!(history.iter().all(|old| old["id"] != item["id"]), "an id repeats: {}", item["id"]);
    }
    items
}
