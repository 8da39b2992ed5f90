//! The events of `exec --json`, in Codex's form: the items of the root, one object a line.
//!
//! Every item that starts also completes, whatever becomes of its turn.

use std::collections::BTreeMap;

use sapwood_actors::agent::Event;
use sapwood_actors::agent::event::Shown;
use sapwood_actors::agent::input::{ToolEnd, ToolResult};
use sapwood_actors::agent::plan::{PlanUpdate, Step, StepStatus};
use sapwood_actors::seat::AgentStatus;
use sapwood_actors::tree::Tree;
use sapwood_protocol::own::Outcome;
use sapwood_protocol::{AgentPath, CallId, ThreadId, Usage};
use serde_json::{Value, json};

use crate::watch::What;

/// Makes the events of one root.
pub struct Events {
    thread: ThreadId,
    /// How commands are run, for what is shown of them.
    shell: String,
    items: u64,
    open: BTreeMap<CallId, (u64, Value)>,
    /// The plan of the open turn, if it has one.
    plan: Option<Value>,
    turn_open: bool,
    /// Of the thread, as in Codex.
    usage: Usage,
}

impl Events {
    pub fn new(thread: ThreadId, shell: String) -> Self {
        let (open, plan, usage) = (BTreeMap::new(), None, Usage::default());
        Self { thread, shell, items: 0, open, plan, turn_open: false, usage }
    }

    /// The first event.
    pub fn started(&self) -> Value {
        json!({"type": "thread.started", "thread_id": self.thread.to_string()})
    }

    /// The events for what happened to the root.
    pub fn of(&mut self, what: &What, tree: &Tree) -> Vec<Value> {
        let mut out = Vec::new();
        match what {
            What::Found(view) => {
                self.usage = view.usage;
                // A turn that waited or paused when its process ended goes on without another start.
                if view.turn.is_some() && view.parked {
                    self.turn_started(&mut out);
                }
            }
            What::Missed => {
                self.turn_started(&mut out);
                self.error(&mut out, "stdout is read too slowly: some events of the root were left out");
            }
            What::Happened { event, .. } => self.event(event, tree, &mut out),
        }
        out
    }

    fn event(&mut self, event: &Event, tree: &Tree, out: &mut Vec<Value>) {
        match event {
            Event::TurnStarted { .. } => self.turn_started(out),
            // What a model says is told when it is whole.
            Event::ItemStarted { item: Shown::Agent { .. } | Shown::Reasoning { .. }, .. } => {}
            Event::ItemStarted { item, .. } => self.item(item, tree, out),
            Event::ItemCompleted { item, .. } => self.item(item, tree, out),
            Event::Usage { thread, .. } => self.usage = *thread,
            Event::TurnEnded { outcome, message, .. } => self.turn_ended(*outcome, message.as_deref(), out),
            Event::Warning(text) => self.error(out, text),
            Event::Retrying { message, .. } => self.error(out, message),
            Event::Paused { message, .. } => self.error(out, message),
            Event::Plan { plan, .. } => self.planned(plan, out),
            Event::Waiting { .. }
            | Event::Sent
            | Event::Delta { .. }
            | Event::Dropped { .. }
            | Event::Detached { .. }
            | Event::Typed { .. }
            | Event::SettingsApplied
            | Event::Asked { .. }
            | Event::Resolved { .. }
            | Event::Diff { .. }
            | Event::SafetyBuffering { .. }
            | Event::Rerouted { .. }
            | Event::QueueChanged
            | Event::Resync => {}
        }
    }

    fn turn_started(&mut self, out: &mut Vec<Value>) {
        if !std::mem::replace(&mut self.turn_open, true) {
            out.push(json!({"type": "turn.started"}));
        }
    }

    fn turn_ended(&mut self, outcome: Outcome, message: Option<&str>, out: &mut Vec<Value>) {
        // A turn of an earlier process, which is closed when its tree is loaded: what this run does comes after it.
        if outcome == Outcome::Lost && !self.turn_open {
            return;
        }
        self.turn_started(out);
        self.close(out);
        self.turn_open = false;
        let text = match outcome {
            Outcome::Completed => {
                self.close_plan(out);
                out.push(json!({"type": "turn.completed", "usage": usage(&self.usage)}));
                return;
            }
            Outcome::Cancelled => "the turn was interrupted",
            Outcome::Lost => "the process died under the turn; `sapwood exec resume` goes on",
            Outcome::Failed => message.unwrap_or("the turn failed"),
            Outcome::Quarantined => message.unwrap_or("the agent crashed too often and was taken out of service"),
        };
        if matches!(outcome, Outcome::Failed | Outcome::Quarantined) {
            out.push(json!({"type": "error", "message": text}));
        }
        self.close_plan(out);
        out.push(json!({"type": "turn.failed", "error": {"message": text}}));
    }

    /// Ends what is open: nothing that started stays without an end.
    pub fn close(&mut self, out: &mut Vec<Value>) {
        let mut open: Vec<(u64, Value)> = std::mem::take(&mut self.open).into_values().collect();
        open.sort_by_key(|(id, _)| *id);
        for (_, mut item) in open {
            item["status"] = "failed".into();
            out.push(json!({"type": "item.completed", "item": item}));
        }
    }

    /// The tree stops with the turn open: it goes on when it is resumed.
    pub fn stopped(&mut self, why: &str) -> Vec<Value> {
        let mut out = Vec::new();
        self.close(&mut out);
        self.close_plan(&mut out);
        if std::mem::take(&mut self.turn_open) {
            out.push(json!({"type": "turn.failed", "error": {"message": why}}));
        }
        out
    }

    /// The plan is one item of its turn, however often it changes.
    fn planned(&mut self, update: &PlanUpdate, out: &mut Vec<Value>) {
        let step = |step: &Step| json!({"text": step.step, "completed": step.status == StepStatus::Completed});
        let steps: Vec<Value> = update.plan.iter().map(step).collect();
        let (kind, item) = match self.plan.take() {
            Some(mut item) => {
                item["items"] = steps.into();
                ("item.updated", item)
            }
            None => ("item.started", with_id(self.next_item(), json!({"type": "todo_list", "items": steps}))),
        };
        out.push(json!({"type": kind, "item": item}));
        self.plan = Some(item);
    }

    /// As in Codex, the plan is the last thing to end in a turn, done or not.
    fn close_plan(&mut self, out: &mut Vec<Value>) {
        out.extend(self.plan.take().map(|item| json!({"type": "item.completed", "item": item})));
    }

    fn error(&mut self, out: &mut Vec<Value>, message: &str) {
        self.whole(out, json!({"type": "error", "message": message}));
    }

    /// An item that has no beginning.
    fn whole(&mut self, out: &mut Vec<Value>, details: Value) {
        let item = with_id(self.next_item(), details);
        out.push(json!({"type": "item.completed", "item": item}));
    }

    fn next_item(&mut self) -> u64 {
        self.items += 1;
        self.items - 1
    }

    fn item(&mut self, item: &Shown, tree: &Tree, out: &mut Vec<Value>) {
        match item {
            Shown::Agent { text, .. } => self.whole(out, json!({"type": "agent_message", "text": text})),
            Shown::Reasoning { text, .. } => self.whole(out, json!({"type": "reasoning", "text": text})),
            Shown::Command { call, command, result } => {
                let details = command_execution(&self.shell, command, result.as_ref());
                self.part(call, result.is_some(), details, out);
            }
            Shown::Collab { call, tool, agents, prompt, ok } => {
                let details = collab(self.thread, tool, agents, prompt.as_deref(), *ok, tree);
                self.part(call, ok.is_some(), details, out);
            }
            Shown::Patch { call, files, ok } => {
                let changes: Vec<Value> =
                    files.iter().map(|(path, kind)| json!({"path": path, "kind": kind})).collect();
                let status = match ok {
                    None => "in_progress",
                    Some(true) => "completed",
                    Some(false) => "failed",
                };
                let details = json!({"type": "file_change", "changes": changes, "status": status});
                self.part(call, ok.is_some(), details, out);
            }
            Shown::Client { .. } | Shown::User { .. } | Shown::Mail { .. } => {}
        }
    }

    /// The beginning or the end of an item that has both.
    fn part(&mut self, call: &CallId, ended: bool, details: Value, out: &mut Vec<Value>) {
        let id = match self.open.remove(call) {
            Some((id, _)) => id,
            None => self.next_item(),
        };
        let item = with_id(id, details);
        let kind = if ended { "item.completed" } else { "item.started" };
        if !ended {
            self.open.insert(call.clone(), (id, item.clone()));
        }
        out.push(json!({"type": kind, "item": item}));
    }
}

fn with_id(id: u64, details: Value) -> Value {
    let mut item = json!({"id": format!("item_{id}")});
    if let (Value::Object(item), Value::Object(details)) = (&mut item, details) {
        item.extend(details);
    }
    item
}

fn command_execution(shell: &str, command: &str, result: Option<&ToolResult>) -> Value {
    let (output, code, status) = match result {
        None => ("", None, "in_progress"),
        Some(result) => {
            let code = match &result.end {
                ToolEnd::Exited(code) => Some(*code),
                // As a shell says it.
                ToolEnd::Signalled(signal) => Some(128 + signal),
                ToolEnd::TimedOut => Some(124),
                ToolEnd::Running(_) | ToolEnd::Refused(_) | ToolEnd::Unknown => None,
            };
            let output = match &result.end {
                ToolEnd::Refused(why) => why.as_str(),
                _ => result.output.as_str(),
            };
            let status = match result.end {
                ToolEnd::Exited(0) => "completed",
                // The call is done, and what it started goes on.
                ToolEnd::Running(_) => "in_progress",
                _ => "failed",
            };
            (output, code, status)
        }
    };
    let command = format!("{shell} -c {}", quoted(command));
    json!({
        "type": "command_execution", "command": command, "aggregated_output": output, "exit_code": code,
        "status": status,
    })
}

/// One word for a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn collab(
    sender: ThreadId,
    tool: &str,
    agents: &[(ThreadId, AgentPath)],
    prompt: Option<&str>,
    ok: Option<bool>,
    tree: &Tree,
) -> Value {
    let receivers: Vec<String> = agents.iter().map(|(thread, _)| thread.to_string()).collect();
    let states: serde_json::Map<String, Value> =
        agents.iter().filter_map(|(thread, _)| Some((thread.to_string(), state(tree, *thread)?))).collect();
    let status = match ok {
        None => "in_progress",
        Some(true) => "completed",
        Some(false) => "failed",
    };
    json!({
        "type": "collab_tool_call", "tool": tool, "sender_thread_id": sender.to_string(),
        "receiver_thread_ids": receivers, "prompt": prompt, "agents_states": states, "status": status,
    })
}

fn state(tree: &Tree, thread: ThreadId) -> Option<Value> {
    let (status, message) = match tree.seat(thread)?.view().status {
        AgentStatus::PendingInit => ("pending_init", None),
        AgentStatus::Running => ("running", None),
        AgentStatus::Interrupted => ("interrupted", None),
        AgentStatus::Completed(message) => ("completed", message),
        AgentStatus::Errored(why) => ("errored", Some(why)),
    };
    Some(json!({"status": status, "message": message}))
}

/// Token usage in Codex's words.
pub fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_input_tokens": usage.cache_write_input_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_output_tokens": usage.reasoning_output_tokens,
    })
}
