//! The lines of a batch: what an agent writes, in Codex's shapes and order.

use std::sync::Arc;

use sapwood_model::{ModelError, Response};
use sapwood_protocol::app::input::RolloutInput;
use sapwood_protocol::item::{Item, ItemView, Output, message_text};
use sapwood_protocol::line::{Cause, EarlyOutput, Mark};
use sapwood_protocol::own::{Accepted, Body, InputLane, Own, Said, Sender, ThreadSettings, TurnOrigin};
use sapwood_protocol::{AgentPath, CallId, Ids, Line, Millis, RateLimits, SessionId, ThreadId, TurnId, Usage};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::asked::Asked;
use super::event::Snapshot;
use super::fork::Inherited;
use super::input::{ToolEnd, ToolResult};
use super::legacy;
use super::manner::Works;
use super::settings::Settings;
use super::state::{Agent, Identity};
use super::turn::{Call, Turn};

/// Collects the lines of one batch and numbers them.
pub struct Batch {
    now: Millis,
    ordinal: Option<u64>,
    /// The number of the next line with a Codex type: its ordinal, where it has one.
    number: u64,
    lines: Vec<Line>,
}

impl Batch {
    /// A batch that continues the rollout of `agent`.
    pub fn after(agent: &Agent, now: Millis) -> Self {
        Self { now, ordinal: agent.next_ordinal, number: agent.next_number(), lines: Vec::new() }
    }

    /// A batch that begins a paginated rollout with this ordinal.
    pub(super) fn at(ordinal: u64, now: Millis) -> Self {
        Self { now, ordinal: Some(ordinal), number: ordinal, lines: Vec::new() }
    }

    /// The lines.
    pub fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    /// The number of the next line with a Codex type: its ordinal, or in a legacy rollout the count of such lines before it.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Adds a line with a Codex type.
    pub fn codex<P: Serialize + ?Sized>(&mut self, kind: &str, payload: &P, mark: Option<&Mark>) {
        self.lines.push(Line::encode(self.now, self.ordinal, kind, payload, mark));
        self.ordinal = self.ordinal.map(|ordinal| ordinal + 1);
        self.number += 1;
    }

    /// Adds a line of ours.
    pub fn own(&mut self, own: &Own) {
        self.lines.push(own.line(self.now));
    }

    /// Adds an item that we write.
    pub fn item(&mut self, item: &Item<'_>, mark: Option<&Mark>) {
        self.codex("response_item", item, mark);
    }

    /// Adds the snapshot of a completed item, as a client sees it; to a legacy rollout the event that stands for it there.
    pub fn completed(
        &mut self,
        thread: ThreadId,
        turn: &TurnId,
        item: &Value,
        started: Millis,
        mark: Option<&Mark>,
    ) -> Snapshot {
        let snapshot = Snapshot::completed(item, started, self.now);
        if self.ordinal.is_none() {
            for event in legacy::events(thread, turn, item, self.now) {
                self.codex("event_msg", &event, mark);
            }
            return snapshot;
        }
        let payload = ItemCompleted {
            kind: "item_completed",
            thread_id: thread,
            turn_id: turn,
            item: &snapshot.item,
            started_at_ms: started,
            completed_at_ms: self.now,
        };
        self.codex("event_msg", &payload, mark);
        snapshot
    }

    /// Adds what a call came to that has ended before an earlier one: its output waits for the ones before it.
    pub fn ended_early(
        &mut self,
        thread: ThreadId,
        turn: &TurnId,
        item: &Value,
        started: Millis,
        output: EarlyOutput,
    ) -> Snapshot {
        match self.ordinal {
            Some(_) => {
                let mark = Mark { output: Some(output), ..Mark::default() };
                self.completed(thread, turn, item, started, Some(&mark))
            }
            // No event of a legacy rollout stands for a command.
            None => {
                self.own(&Own::ToolEnded(output));
                Snapshot::completed(item, started, self.now)
            }
        }
    }

    /// Adds the output of a call.
    pub fn output<'a>(&mut self, ids: &mut Ids, call: &'a Call, output: impl Into<Output<'a>>) {
        let (call_id, output) = (&call.id, output.into());
        let item = match call.custom {
            true => Item::CustomToolCallOutput { id: ids.item("ctco", self.now), call_id, output },
            false => Item::FunctionCallOutput { id: ids.item("fco", self.now), call_id, output },
        };
        self.item(&item, None);
    }

    /// Adds the line that opens a turn.
    pub fn task_started(
        &mut self,
        turn: &TurnOrigin,
        cause: Option<(&TurnOrigin, &AgentPath)>,
        mark: Option<&Mark>,
        settings: &Settings,
    ) {
        let TurnOrigin { turn: id, root_turn: root } = turn;
        let attribution = json!({
            "turn_id": id, "turn_trigger": null,
            "parent_turn_id": cause.map(|(origin, _)| &origin.turn),
            "initiating_agent_path": cause.map(|(_, path)| path),
            "root_turn_id": root,
        });
        let payload = json!({
            "type": "task_started", "turn_attribution": attribution, "turn_id": id, "root_turn_id": root,
            "started_at": self.now.secs(), "model_context_window": settings.context_window, "collaboration_mode_kind": "default",
        });
        self.codex("event_msg", &payload, mark);
    }

    /// Adds the settings of a turn.
    pub fn turn_context(&mut self, turn: &TurnOrigin, asked: Asked<'_>, works: Works<'_>) {
        let Asked { model, effort, .. } = asked;
        let mut payload = json!({
            "turn_id": turn.turn, "root_turn_id": turn.root_turn, "cwd": works.cwd(),
            "workspace_roots": works.workspace_roots(),
            "approval_policy": works.approval_policy(), "approvals_reviewer": works.approvals_reviewer(),
            "permission_profile": works.profile(), "model": model,
        });
        if let Some(personality) = works.personality() {
            payload["personality"] = json!(personality);
        }
        let rest = json!({
            "collaboration_mode": works.collaboration_mode(model, effort),
            "multi_agent_version": "v2", "realtime_active": false,
        });
        extend(&mut payload, rest);
        if let Some(effort) = effort {
            payload["effort"] = json!(effort);
        }
        payload["summary"] = json!(works.summary().unwrap_or("auto"));
        payload["sandbox_policy"] = json!(works.sandbox());
        self.codex("turn_context", &payload, None);
    }

    /// Adds the settings of the thread, as its first turn leaves them.
    pub fn settings_applied(&mut self, identity: &Identity, asked: Asked<'_>, works: Works<'_>, mark: Option<&Mark>) {
        let Asked { provider, model, effort } = asked;
        let mut applied = json!({"model": model, "model_provider_id": provider});
        if let Some(tier) = works.service_tier() {
            applied["service_tier"] = json!(tier);
        }
        let rest = json!({
            "approval_policy": works.approval_policy(), "approvals_reviewer": works.approvals_reviewer(),
            "permission_profile": works.profile(), "cwd": works.cwd(),
            "runtime_workspace_roots": works.workspace_roots(),
        });
        extend(&mut applied, rest);
        if let Some(effort) = effort {
            applied["reasoning_effort"] = json!(effort);
        }
        if let Some(summary) = works.summary() {
            applied["reasoning_summary"] = json!(summary);
        }
        if let Some(personality) = works.personality() {
            applied["personality"] = json!(personality);
        }
        applied["collaboration_mode"] = works.collaboration_mode(model, effort);
        let payload =
            json!({"type": "thread_settings_applied", "thread_id": identity.thread, "thread_settings": applied});
        self.codex("event_msg", &payload, mark);
    }

    /// Adds the model's answer: its items, then the record that closes it. Returns what clients see of each item.
    pub fn response(
        &mut self,
        identity: &Identity,
        turn: &Turn,
        agent: &Agent,
        response: &Response,
    ) -> Vec<Option<Snapshot>> {
        let snapshots = response.items.iter().map(|json| self.answered(identity.thread, turn, json)).collect();
        self.usage_record(identity, turn, agent, &response.id, response.usage);
        snapshots
    }

    fn answered(&mut self, thread: ThreadId, turn: &Turn, json: &[u8]) -> Option<Snapshot> {
        let (item, raw) = (ItemView::parse(json)?, serde_json::from_slice::<&RawValue>(json).ok()?);
        let id = item.id.as_ref().map_or("", |id| id.as_str());
        let shown = shown_item(&item, id, json);
        let snapshot = shown.map(|shown| self.completed(thread, &turn.id, &shown, self.now, None));
        self.codex("response_item", raw, None);
        snapshot
    }

    /// Adds the record that closes an answer.
    pub fn usage_record(&mut self, identity: &Identity, turn: &Turn, agent: &Agent, response: &str, usage: Usage) {
        let (mut of_turn, mut of_thread) = (turn.usage, agent.usage);
        of_turn += usage;
        of_thread += usage;
        let payload = json!({
            "thread_id": identity.thread, "turn_id": turn.id, "session_id": identity.session,
            "root_turn_id": turn.root, "response_id": response, "usage": usage,
            "turn_token_usage": of_turn, "thread_token_usage": of_thread,
        });
        self.codex("token_usage_record", &payload, None);
    }

    /// Adds the running total of tokens.
    pub fn token_count(&mut self, total: Usage, last: Usage, limits: Option<Arc<RateLimits>>, settings: &Settings) {
        let payload = json!({
            "type": "token_count",
            "info": {"total_token_usage": total, "last_token_usage": last, "last_usage_includes_reasoning": false,
                "model_context_window": settings.context_window},
            "rate_limits": limits,
        });
        self.codex("event_msg", &payload, None);
    }

    /// Adds the line that ends a turn by itself, well or with an error.
    pub fn task_complete(&mut self, turn: &Turn, error: Option<&ModelError>) {
        let mut payload = json!({
            "type": "task_complete", "root_turn_id": turn.root, "turn_id": turn.id,
            "last_agent_message": turn.last_message, "started_at": turn.started.secs(),
            "completed_at": self.now.secs(), "duration_ms": self.now.since(turn.started),
        });
        if let Some(error) = error {
            payload["last_agent_message"] = Value::Null;
            payload["error"] = json!({"message": error.to_string(), "codex_error_info": error.codex_error_info()});
        }
        self.codex("event_msg", &payload, None);
    }

    /// Adds the line that ends, for a fork alone, a turn that goes on in its source.
    pub(super) fn turn_left(&mut self, turn: &TurnOrigin, started: Millis) {
        let payload = json!({
            "type": "turn_aborted", "root_turn_id": turn.root_turn, "turn_id": turn.turn, "reason": "interrupted",
            "started_at": started.secs(),
        });
        self.codex("event_msg", &payload, None);
    }

    /// Adds the line that ends a turn from outside.
    pub fn turn_aborted(&mut self, turn: &Turn, cause: Cause) {
        let payload = json!({
            "type": "turn_aborted", "root_turn_id": turn.root, "turn_id": turn.id, "reason": "interrupted",
            "started_at": turn.started.secs(), "completed_at": self.now.secs(),
            "duration_ms": self.now.since(turn.started),
        });
        self.codex("event_msg", &payload, Some(&Mark::cause(cause)));
    }
}

fn extend(payload: &mut Value, more: Value) {
    if let (Value::Object(payload), Value::Object(more)) = (payload, more) {
        payload.extend(more);
    }
}

/// The payload of a line that shows a completed item.
#[derive(Serialize)]
struct ItemCompleted<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    thread_id: ThreadId,
    turn_id: &'a TurnId,
    item: &'a RawValue,
    started_at_ms: Millis,
    completed_at_ms: Millis,
}

/// An item of a model as a client sees it; calls are shown when they end.
fn shown_item(item: &ItemView<'_>, id: &str, json: &[u8]) -> Option<Value> {
    match &*item.kind {
        "message" if item.role.as_deref() == Some("assistant") => {
            let text = message_text(json)?;
            let mut shown = json!({"type": "AgentMessage", "id": id, "content": [{"type": "Text", "text": text}]});
            if let Some(phase) = &item.phase {
                shown["phase"] = json!(phase);
            }
            Some(shown)
        }
        "reasoning" => {
            let summary = reasoning_summary(json);
            Some(json!({"type": "Reasoning", "id": id, "summary_text": summary, "raw_content": []}))
        }
        _ => None,
    }
}

/// The parts of a reasoning item's summary.
pub fn reasoning_summary(json: &[u8]) -> Vec<String> {
    let parts = serde_json::from_slice::<Value>(json).ok();
    let parts = parts.as_ref().and_then(|item| item["summary"].as_array()).map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| part["text"].as_str().map(str::to_owned)).collect()
}

/// A user's message as a client sees it.
pub fn shown_user(id: &str, said: &Said) -> Value {
    let mut shown = json!({"type": "UserMessage", "id": id});
    if let Some(client) = &said.client_id {
        shown["client_id"] = json!(client);
    }
    shown["content"] = said.input.iter().map(|part| json!(RolloutInput::from(part.clone()))).collect();
    shown
}

/// A shell command that has ended, as a client sees it.
pub fn shown_command(call: &CallId, argv: &[String; 3], cwd: &str, session: Option<i32>, result: &ToolResult) -> Value {
    let code = exit_code(&result.end);
    let status = if code == 0 { "completed" } else { "failed" };
    let output = match &result.end {
        ToolEnd::Refused(why) => why,
        _ => &result.output,
    };
    json!({
        "type": "CommandExecution", "id": call, "process_id": session.map(|session| session.to_string()),
        "command": argv, "cwd": format!("file://{cwd}"),
        "parsed_cmd": [{"type": "unknown", "cmd": argv[2]}], "source": "unified_exec_startup", "status": status,
        "aggregated_output": output, "exit_code": code,
        "duration": {"secs": result.wall.as_secs(), "nanos": result.wall.subsec_nanos()},
    })
}

/// The code that a command ended with, as shells and Codex count.
pub(super) fn exit_code(end: &ToolEnd) -> i32 {
    match end {
        ToolEnd::Exited(code) => *code,
        ToolEnd::Signalled(signal) => 128 + signal,
        ToolEnd::Running(_) | ToolEnd::TimedOut | ToolEnd::Refused(_) | ToolEnd::Unknown => -1,
    }
}

/// A shell command that runs, as a client sees it.
pub fn shown_running(call: &CallId, argv: &[String; 3], cwd: &str, session: Option<i32>) -> Value {
    json!({
        "type": "CommandExecution", "id": call, "process_id": session.map(|session| session.to_string()),
        "command": argv, "cwd": format!("file://{cwd}"),
        "parsed_cmd": [{"type": "unknown", "cmd": argv[2]}], "source": "unified_exec_startup", "status": "in_progress",
    })
}

/// Something that an agent did to another one, as a client sees it.
pub fn shown_activity(id: &str, kind: &str, agent: ThreadId, path: &AgentPath, model: Option<&str>) -> Value {
    json!({
        "type": "SubAgentActivity", "model": model, "reasoning_effort": null, "id": id, "kind": kind,
        "agent_thread_id": agent, "agent_path": path,
    })
}

/// A wait, as a client sees it.
pub fn shown_wait(call: &CallId, sender: ThreadId, status: &str) -> Value {
    json!({
        "type": "CollabAgentToolCall", "id": call, "tool": "wait", "status": status,
        "sender_thread_id": sender, "receiver_thread_ids": [], "receiver_agents": [], "agents_states": {},
    })
}

/// Who is to be made.
pub struct NewAgent<'a> {
    /// Its thread.
    pub thread: ThreadId,
    /// Its tree.
    pub session: SessionId,
    /// Its path.
    pub path: &'a AgentPath,
    /// Its spawner.
    pub parent: Option<ThreadId>,
    /// Its nickname.
    pub nickname: Option<&'a str>,
    /// Its working directory.
    pub cwd: &'a str,
    /// What it inherits of its spawner's history.
    pub fork: Option<&'a Inherited>,
    /// Whom it asks, where that is not what the run says.
    pub settings: Option<&'a ThreadSettings>,
    /// Its first input.
    pub first: Option<&'a Accepted>,
}

/// The lines that a rollout is born with: who it is, and its first input.
pub fn birth(new: &NewAgent<'_>, settings: &Settings, ids: &mut Ids, now: Millis) -> Vec<Line> {
    let source = match new.parent {
        None => json!(settings.source),
        Some(parent) => json!({"subagent": {"thread_spawn": {
            "parent_thread_id": parent, "depth": new.path.depth(), "agent_path": new.path,
            "agent_nickname": new.nickname, "agent_role": null,
        }}}),
    };
    let (told_first, own) = new.fork.map(|fork| fork.lines(new.path, settings, ids, now)).unwrap_or_default();
    let mut meta = json!({"session_id": new.session, "id": new.thread});
    extend(&mut meta, new.fork.map_or_else(|| json!({}), Inherited::origin));
    if let Some(parent) = new.parent {
        meta["parent_thread_id"] = json!(parent);
    }
    extend(
        &mut meta,
        json!({
            "timestamp": now.timestamp(), "cwd": new.cwd, "runtime_workspace_roots": [new.cwd],
            "originator": settings.originator, "cli_version": settings.version, "source": source,
        }),
    );
    if let (None, Some(source)) = (new.parent, &settings.thread_source) {
        meta["thread_source"] = json!(source);
    }
    if let (Some(_), nickname) = (new.parent, new.nickname) {
        extend(&mut meta, json!({"thread_source": "subagent", "agent_nickname": nickname, "agent_path": new.path}));
    }
    // A fork asks with the bytes of its source, unless it was told otherwise.
    let source = new.fork.map(Inherited::source);
    let provider =
        new.settings.and_then(|own| own.provider.as_ref()).or(source.and_then(|s| s.asking.provider.as_ref()));
    let base = source.and_then(|source| source.identity().base_instructions.as_deref());
    extend(
        &mut meta,
        json!({
            "model_provider": provider.unwrap_or(&settings.provider),
            "base_instructions":
                {"text": base.unwrap_or(&settings.base_instructions), "provenance": {"type": "custom"}},
            "history_mode": "paginated",
        }),
    );
    extend(&mut meta, new.fork.map_or_else(|| json!({}), |fork| fork.history(own)));
    if let Some(git) = &settings.git {
        meta["git"] = json!(git);
    }
    if new.parent.is_none() && !settings.client_tools.is_empty() {
        meta["dynamic_tools"] = json!(settings.client_tools);
    }
    extend(&mut meta, json!({"multi_agent_version": "v2", "context_window": {"window_id": ids.uuid(now)}}));
    let start = new.fork.map_or(0, Inherited::start);
    let mut lines = vec![Line::encode(now, Some(start), "session_meta", &meta, None)];
    lines.extend(told_first);
    let told = new.settings.map(|settings| settings_of_birth(new.thread, settings));
    let first = new.first.map(|first| Accepted { place: u64::from(told.is_some()), ..first.clone() });
    lines.extend(told.into_iter().chain(first).map(|accepted| Own::Accepted(accepted).line(now)));
    lines
}

/// Settings that a thread is born with, as its first input.
fn settings_of_birth(thread: ThreadId, settings: &ThreadSettings) -> Accepted {
    let body = Some(Body::Settings { settings: settings.clone() });
    let id = format!("{thread}:settings").into();
    Accepted { id, place: 0, lane: InputLane::User, wake: false, from: None, body, turn: None }
}

/// The acceptance of mail from another agent.
pub fn accepted_mail(from: Sender, wake: bool, body: sapwood_protocol::own::Body) -> Accepted {
    let id = format!("{}:{}", from.thread, from.n).into();
    Accepted { id, place: 0, lane: InputLane::Mail, wake, from: Some(from), body: Some(body), turn: None }
}
