//! The durable state of an agent: what folding its rollout gives.
//!
//! [`Agent::apply`] is the only function that changes it. The same one folds a file and follows live appends.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use sapwood_protocol::item::{ItemView, message_text};
use sapwood_protocol::line::Cause;
use sapwood_protocol::own::{Outcome, Own, Spawn, TurnOrigin};
use sapwood_protocol::{AgentPath, CallId, Line, Millis, SessionId, ThreadId, TurnId, Usage, View};
use serde::Deserialize;

use super::effect::Report;
use super::history::History;
use super::inbox::Inbox;
use super::turn::{Call, CallState, Response, Turn};

/// The durable state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agent {
    /// Who it is; absent until the first line.
    pub identity: Option<Identity>,
    /// The ordinal of the next line with a Codex type; `None` in a legacy rollout.
    pub next_ordinal: Option<u64>,
    /// What the model sees.
    pub history: History,
    /// What was accepted and not consumed.
    pub inbox: Inbox,
    /// The open turn.
    pub turn: Option<Turn>,
    /// The last turn that ended.
    pub last_turn: Option<EndedTurn>,
    /// Tokens of all turns.
    pub usage: Usage,
    /// Context windows before this one: checkpoints of the history.
    pub window: u64,
    /// The model's first context is written.
    pub context_written: bool,
    /// Children that were asked for, by thread; not all of them came to exist.
    pub spawned: BTreeMap<ThreadId, Spawn>,
    /// Why it was taken out of service.
    pub quarantined: Option<String>,
    /// Lines that could not be read: counted and skipped.
    pub unreadable: u64,
}

/// Who an agent is, from the first `session_meta` line.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The thread.
    pub thread: ThreadId,
    /// The tree.
    pub session: SessionId,
    /// The spawner.
    pub parent: Option<ThreadId>,
    /// Its path.
    pub path: AgentPath,
    /// Its nickname.
    pub nickname: Option<String>,
    /// Its working directory.
    pub cwd: String,
    /// What the thread is for.
    pub thread_source: Option<Arc<str>>,
    /// The provider of its model.
    pub provider: Option<Arc<str>>,
    /// Its base instructions.
    pub base_instructions: Option<Arc<str>>,
    /// What it is a fork of, and where its own history begins.
    pub base: Option<HistoryBase>,
    /// When it was made.
    pub created: Option<Millis>,
    /// Its model, from the newest turn context.
    pub model: Option<Arc<str>>,
    /// Its reasoning effort, from the newest turn context.
    pub effort: Option<Arc<str>>,
}

/// The part of another rollout that comes before a fork's own lines.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HistoryBase {
    /// The source.
    pub thread_id: ThreadId,
    /// The first ordinal of the source that is not inherited.
    pub end_ordinal_exclusive: u64,
}

/// A turn that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedTurn {
    /// Which.
    pub id: TurnId,
    /// The root turn above it.
    pub root: TurnId,
    /// The ordinal of the line that ended it.
    pub n: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What really ended it, where Codex's words do not say.
    pub cause: Option<Cause>,
    /// Its last message, or what went wrong.
    pub message: Option<String>,
    /// What kind of error ended it, in Codex's words (`codex_error_info`).
    pub error: Option<Box<str>>,
    /// When it ended.
    pub at: Millis,
}

impl EndedTurn {
    /// True if its requester is to be told of it.
    pub fn is_reported(&self) -> bool {
        self.cause != Some(Cause::Requester)
    }

    /// What its requester is to be told; nothing if it was the requester that ended it.
    pub fn report(&self) -> Option<Report> {
        if !self.is_reported() {
            return None;
        }
        let message = self.message.as_deref().unwrap_or_default();
        let text = match self.outcome {
            Outcome::Completed => message.to_owned(),
            Outcome::Failed => super::prompt::errored(message),
            Outcome::Lost => super::prompt::LOST.to_owned(),
            Outcome::Cancelled => super::prompt::CANCELLED.to_owned(),
            Outcome::Quarantined => super::prompt::quarantined(message),
        };
        let turn = TurnOrigin { turn: self.id.clone(), root_turn: self.root.clone() };
        Some(Report { n: self.n, outcome: self.outcome, text, turn })
    }
}

#[derive(Deserialize)]
struct Meta<'a> {
    id: ThreadId,
    #[serde(default)]
    session_id: Option<SessionId>,
    #[serde(default)]
    parent_thread_id: Option<ThreadId>,
    #[serde(default)]
    agent_path: Option<AgentPath>,
    #[serde(default)]
    agent_nickname: Option<String>,
    #[serde(borrow, default)]
    cwd: Cow<'a, str>,
    #[serde(default)]
    model_provider: Option<Arc<str>>,
    #[serde(default)]
    thread_source: Option<Arc<str>>,
    #[serde(default)]
    base_instructions: Option<BaseInstructions>,
    #[serde(borrow, default)]
    history_mode: Option<Cow<'a, str>>,
    #[serde(default)]
    history_base: Option<HistoryBase>,
}

#[derive(Deserialize)]
struct BaseInstructions {
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    turn_id: Option<TurnId>,
    #[serde(default)]
    root_turn_id: Option<TurnId>,
    #[serde(default)]
    turn_attribution: Option<Attribution>,
    #[serde(default)]
    last_agent_message: Option<String>,
    #[serde(default)]
    error: Option<EventError>,
}

#[derive(Deserialize)]
struct Attribution {
    #[serde(default)]
    parent_turn_id: Option<TurnId>,
}

#[derive(Deserialize)]
struct EventError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    codex_error_info: Option<serde_json::Value>,
}

impl EventError {
    /// The kind of error: a word, or an object whose only key is that word.
    fn kind(&self) -> Option<Box<str>> {
        let info = self.codex_error_info.as_ref()?;
        let word = info.as_str().or_else(|| info.as_object()?.keys().next().map(String::as_str));
        word.map(Box::from)
    }
}

#[derive(Deserialize)]
struct UsageRecord {
    #[serde(default)]
    usage: Usage,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    model: Option<Arc<str>>,
    #[serde(default)]
    effort: Option<Arc<str>>,
}

#[derive(Deserialize)]
struct Compacted<'a> {
    #[serde(borrow, default)]
    replacement_history: Option<Vec<&'a serde_json::value::RawValue>>,
    #[serde(default)]
    window_number: Option<u64>,
}

impl Agent {
    /// Folds lines into a state.
    pub fn fold(lines: impl IntoIterator<Item = Line>) -> Self {
        let mut agent = Self::default();
        lines.into_iter().for_each(|line| agent.apply(&line));
        agent
    }

    /// Takes over what a fork has of its source: what the model saw, and what that cost. Inputs, turns and children stay
    /// the source's.
    pub fn inherit(&mut self, source: Agent) {
        self.history = source.history;
        self.context_written = source.context_written;
        self.usage = source.usage;
        self.window = source.window;
        if let (Some(own), Some(theirs)) = (&mut self.identity, source.identity) {
            if own.model.is_none() {
                (own.model, own.effort) = (theirs.model, theirs.effort);
            }
        }
    }

    /// Who it is. Asked only of an agent that was folded from a rollout, whose first line says so.
    pub fn identity(&self) -> &Identity {
        self.identity.as_ref().expect("a rollout is born with its session_meta")
    }

    /// Follows one line. A line that cannot be read, or of a kind that is not known, changes nothing.
    pub fn apply(&mut self, line: &Line) {
        let Ok(view) = line.view() else {
            self.unreadable += 1;
            return;
        };
        if let (Some(next), Some(ordinal)) = (self.next_ordinal, view.ordinal) {
            self.next_ordinal = Some(next.max(ordinal + 1));
        }
        let mark = view.mark();
        let known = match &*view.kind {
            "session_meta" => self.apply_meta(&view),
            "response_item" => self.apply_item(line, &view),
            "event_msg" => self.apply_event(&view),
            "token_usage_record" => view.payload().map(|record: UsageRecord| self.apply_usage(record.usage)),
            "turn_context" => view.payload().map(|context: Context| self.apply_context(context)),
            "compacted" => self.apply_compacted(line, &view),
            kind if kind.starts_with(sapwood_protocol::own::PREFIX) => self.apply_own(&view),
            _ => Ok(()),
        };
        if known.is_err() {
            self.unreadable += 1;
        }
        mark.consumes.iter().for_each(|id| self.inbox.consumed(id));
        if let (Some(early), Some(turn)) = (mark.output, &mut self.turn) {
            turn.set(&early.call, CallState::Early { output: early.text });
        }
    }

    fn apply_meta(&mut self, view: &View<'_>) -> Result<(), sapwood_protocol::line::LineError> {
        // The first one defines the thread; later ones are notes of other programs.
        if self.identity.is_some() {
            return Ok(());
        }
        let meta: Meta<'_> = view.payload()?;
        let paginated = meta.history_mode.as_deref() == Some("paginated");
        self.next_ordinal = paginated.then(|| view.ordinal.map_or(0, |ordinal| ordinal + 1));
        self.identity = Some(Identity {
            thread: meta.id,
            session: meta.session_id.unwrap_or(meta.id.into()),
            parent: meta.parent_thread_id,
            path: meta.agent_path.unwrap_or_else(AgentPath::root),
            nickname: meta.agent_nickname,
            cwd: meta.cwd.into_owned(),
            thread_source: meta.thread_source,
            provider: meta.model_provider,
            base_instructions: meta.base_instructions.and_then(|base| base.text).map(Arc::from),
            base: meta.history_base,
            created: view.at(),
            model: None,
            effort: None,
        });
        Ok(())
    }

    fn apply_item(&mut self, line: &Line, view: &View<'_>) -> Result<(), sapwood_protocol::line::LineError> {
        let item: ItemView<'_> = view.payload()?;
        self.history.push(line, view, &item);
        let Some(turn) = &mut self.turn else {
            return Ok(());
        };
        match (&*item.kind, &item.call_id) {
            ("function_call" | "custom_tool_call" | "local_shell_call" | "tool_search_call", Some(call)) => {
                turn.answering();
                let input = item.arguments.as_deref().or(item.input.as_deref()).unwrap_or_default();
                turn.calls.push(Call {
                    id: call.clone(),
                    custom: item.kind == "custom_tool_call",
                    namespace: item.namespace.as_deref().unwrap_or_default().into(),
                    name: item.name.as_deref().unwrap_or_default().into(),
                    input: input.into(),
                    n: view.ordinal.unwrap_or_default(),
                    state: CallState::Pending,
                });
            }
            ("function_call_output" | "custom_tool_call_output" | "tool_search_output", Some(call)) => {
                turn.set(call, CallState::Done);
            }
            ("message", _) if item.role.as_deref() == Some("assistant") => {
                turn.answering();
                turn.last_message = message_text(view.payload.get().as_bytes());
            }
            ("message" | "agent_message", _) => turn.told(),
            _ => turn.answering(),
        }
        Ok(())
    }

    fn apply_event(&mut self, view: &View<'_>) -> Result<(), sapwood_protocol::line::LineError> {
        // Most events are items as a client sees them, long and of no meaning here: look at the tag first.
        let tag = view.tag();
        if !matches!(&*tag, "task_started" | "turn_started" | "task_complete" | "turn_complete" | "turn_aborted") {
            return Ok(());
        }
        let event: Event<'_> = view.payload()?;
        let at = view.at().unwrap_or_default();
        if let "task_started" | "turn_started" = &*event.kind {
            let id = event.turn_id.unwrap_or_else(|| TurnId::from(""));
            let root = event.root_turn_id.unwrap_or_else(|| id.clone());
            let parent = event.turn_attribution.and_then(|attribution| attribution.parent_turn_id);
            self.turn = Some(Turn::new(id, root, parent, at));
            return Ok(());
        }
        let Some(turn) = self.turn.take() else {
            return Ok(());
        };
        let (id, root) = (event.turn_id.unwrap_or(turn.id), event.root_turn_id.unwrap_or(turn.root));
        let cause = view.mark().cause;
        let error = event.error.as_ref().and_then(EventError::kind);
        let (outcome, message) = match (&*event.kind, event.error) {
            ("turn_aborted", _) if cause == Some(Cause::ProcessDeath) => (Outcome::Lost, None),
            ("turn_aborted", _) => (Outcome::Cancelled, None),
            (_, Some(error)) => (Outcome::Failed, Some(error.message)),
            (_, None) => (Outcome::Completed, event.last_agent_message),
        };
        let n = view.ordinal.unwrap_or_default();
        self.last_turn = Some(EndedTurn { id, root, n, outcome, cause, message, error, at });
        Ok(())
    }

    fn apply_usage(&mut self, usage: Usage) {
        self.usage += usage;
        if let Some(turn) = &mut self.turn {
            turn.usage += usage;
            turn.close_response();
        }
    }

    fn apply_context(&mut self, context: Context) {
        self.context_written = true;
        if let (Some(identity), Some(model)) = (&mut self.identity, context.model) {
            identity.model = Some(model);
            identity.effort = context.effort;
        }
    }

    fn apply_compacted(&mut self, line: &Line, view: &View<'_>) -> Result<(), sapwood_protocol::line::LineError> {
        let compacted: Compacted<'_> = view.payload()?;
        self.window = compacted.window_number.unwrap_or(self.window + 1);
        if let Some(items) = compacted.replacement_history {
            self.history.clear();
            for item in items {
                if let Some(parsed) = ItemView::parse(item.get().as_bytes()) {
                    self.history.push_json(line.share(item.get()), &parsed);
                }
            }
        }
        Ok(())
    }

    fn apply_own(&mut self, view: &View<'_>) -> Result<(), sapwood_protocol::line::LineError> {
        let Some(own) = Own::parse(view)? else {
            return Ok(());
        };
        match own {
            Own::Accepted(accepted) => self.inbox.accepted(accepted),
            Own::Settled(settled) => self.inbox.settled(&settled),
            Own::Begun(begun) => self.inbox.begun(&begun),
            Own::ToolStarted(started) => self.set_call(&started.call, CallState::Started { group: started.group }),
            Own::Spawn(spawn) => {
                self.set_call(&spawn.call, CallState::Spawning(spawn.clone()));
                self.spawned.insert(spawn.child, spawn);
            }
            Own::Waiting(waiting) => self.set_call(&waiting.call, CallState::Waiting { until: waiting.until }),
            Own::Paused(paused) => {
                if let Some(turn) = &mut self.turn {
                    turn.paused = Some(paused);
                }
            }
            Own::Quarantined(quarantined) => self.quarantined = Some(quarantined.reason),
        }
        Ok(())
    }

    fn set_call(&mut self, call: &CallId, state: CallState) {
        if let Some(turn) = &mut self.turn {
            turn.set(call, state);
        }
    }

    /// True if its last turn was closed because its process died under it: asked to go on, it gets another.
    pub fn died(&self) -> bool {
        self.turn.is_none() && self.last_turn.as_ref().is_some_and(|turn| turn.outcome == Outcome::Lost)
    }

    /// True while the open turn only waits: nothing runs, no slot is held, and process death changes nothing.
    pub fn parked(&self) -> bool {
        self.turn.as_ref().is_some_and(Turn::parked)
    }
}

impl Response {
    /// True if the model's answer is complete and durable.
    pub fn is_closed(self) -> bool {
        matches!(self, Response::Closed { .. })
    }
}
