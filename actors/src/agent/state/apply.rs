//! What each kind of line does to the state.

use std::sync::Arc;

use sapwood_protocol::item::{ItemView, message_text};
use sapwood_protocol::line::{Cause, EarlyOutput};
use sapwood_protocol::own::{Body, Manner, Outcome, Own, ShellStarted};
use sapwood_protocol::{CallId, Line, Millis, TurnId, Usage, View};

use super::super::ended::EndedTurn;
use super::super::manner::Recorded;
use super::super::turn::{Call, CallState, Turn};
use super::super::user_shell::{UserShell, call_of};
use super::super::views::{Compacted, Event, EventError, Meta, UsageRecord, named_children, path_of_v1};
use super::{Agent, Identity};

impl Agent {
    /// Follows one line. A line that cannot be read, or of a kind that is not known, changes nothing.
    pub fn apply(&mut self, line: &Line) {
        let Ok(view) = line.view() else {
            self.unreadable += 1;
            return;
        };
        let n = self.number(&view);
        if let (Some(next), Some(ordinal)) = (self.next_ordinal, view.ordinal) {
            self.next_ordinal = Some(next.max(ordinal.saturating_add(1)));
        }
        if !view.kind.starts_with(sapwood_protocol::own::PREFIX) {
            self.codex_lines += 1;
        }
        let mark = view.mark();
        let known = match &*view.kind {
            "session_meta" => self.apply_meta(&view),
            "response_item" => self.apply_item(line, &view, n),
            "event_msg" => self.apply_event(&view, n),
            "token_usage_record" => view.payload().map(|record: UsageRecord| self.apply_usage(record.usage)),
            "turn_context" => self.apply_context(&view),
            "compacted" => self.apply_compacted(line, &view),
            kind if kind.starts_with(sapwood_protocol::own::PREFIX) => self.apply_own(&view),
            _ => Ok(()),
        };
        if known.is_err() {
            self.unreadable += 1;
        }
        if let Some(turn) = &mut self.turn {
            // Each turn of ours consumes what started it.
            turn.ours |= !mark.consumes.is_empty();
        }
        if let Some(turn) = self.turn.as_mut().filter(|_| mark.shell) {
            turn.is_shell = true;
        }
        for id in &mark.consumes {
            self.shells.retain(|shell| shell.input != *id);
            if let Some(turn) = &mut self.turn {
                turn.consumes(self.inbox.get(id));
            }
            // What the line that applies it cannot say.
            if let Some(Body::Settings { settings }) = self.inbox.get(id).and_then(|own| own.accepted.body.as_ref())
                && let Some(text) = &settings.manner.developer_instructions
            {
                let told = Manner { developer_instructions: Some(Arc::clone(text)), ..Manner::default() };
                self.asking.works(&told);
            }
            self.inbox.consumed(id);
        }
        if let Some(early) = mark.output {
            self.ended_early(early);
        }
    }

    fn apply_meta(&mut self, view: &View<'_>) -> Result<(), sapwood_protocol::line::LineError> {
        // The first one defines the thread; later ones are notes of other programs.
        if self.identity.is_some() {
            return Ok(());
        }
        let meta: Meta<'_> = view.payload()?;
        let paginated = meta.history_mode.as_deref() == Some("paginated");
        self.next_ordinal = paginated.then(|| view.ordinal.map_or(0, |ordinal| ordinal.saturating_add(1)));
        self.identity = Some(Identity {
            thread: meta.id,
            session: meta.session_id.unwrap_or(meta.id.into()),
            parent: meta.parent_thread_id,
            path: meta.agent_path.unwrap_or_else(|| path_of_v1(meta.parent_thread_id, meta.agent_nickname.as_deref())),
            nickname: meta.agent_nickname,
            cwd: meta.cwd.into_owned(),
            thread_source: meta.thread_source,
            base_instructions: meta.base_instructions.and_then(|base| base.text).map(Arc::from),
            base: meta.history_base,
            instructions_of: meta.id,
            created: view.at(),
            client_tools: Arc::new(meta.dynamic_tools.unwrap_or_default()),
        });
        self.asking.provider = meta.model_provider;
        Ok(())
    }

    fn apply_item(&mut self, line: &Line, view: &View<'_>, n: u64) -> Result<(), sapwood_protocol::line::LineError> {
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
                    n,
                    state: CallState::Pending,
                });
            }
            ("function_call_output" | "custom_tool_call_output" | "tool_search_output", Some(call)) => {
                turn.set(call, CallState::Done);
                self.asks.closed(call);
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

    fn apply_event(&mut self, view: &View<'_>, n: u64) -> Result<(), sapwood_protocol::line::LineError> {
        // Most events are items as a client sees them, long and of no meaning here: look at the tag first.
        match &*view.tag() {
            "item_completed" | "sub_agent_activity" => {
                let named = named_children(view.payload.get());
                self.named.extend(named.into_iter().filter(|child| !self.spawned.contains_key(child)));
            }
            "thread_rolled_back" => {
                let event: Event<'_> = view.payload()?;
                self.history.roll_back(u32::try_from(event.num_turns.unwrap_or(0)).unwrap_or(u32::MAX));
            }
            "thread_settings_applied" => {
                let event: Event<'_> = view.payload()?;
                event.thread_settings.into_iter().for_each(|settings| self.asking.applied(settings));
            }
            "task_started" | "turn_started" => self.begin_turn(view.payload()?, n, view.at().unwrap_or_default()),
            "task_complete" | "turn_complete" | "turn_aborted" => self.end_turn(view, view.payload()?, n),
            _ => {}
        }
        Ok(())
    }

    fn begin_turn(&mut self, event: Event<'_>, n: u64, at: Millis) {
        let id = event.turn_id.unwrap_or_else(|| TurnId::from(""));
        let root = event.root_turn_id.unwrap_or_else(|| id.clone());
        let parent = event.turn_attribution.and_then(|attribution| attribution.parent_turn_id);
        self.asks.clear();
        if let Some(turn) = self.turn.replace(Turn::new(id, root, parent, at)) {
            self.keep(EndedTurn::replaced(turn, n, at));
        }
    }

    fn end_turn(&mut self, view: &View<'_>, event: Event<'_>, n: u64) {
        let Some(turn) = self.turn.take() else { return };
        self.asks.clear();
        let at = view.at().unwrap_or_default();
        let (id, root) = (event.turn_id.unwrap_or(turn.id), event.root_turn_id.unwrap_or(turn.root));
        let cause = view.mark().cause;
        let (is_foreign, ours) = (!turn.ours, turn.ours || cause.is_some());
        let error = event.error.as_ref().and_then(EventError::kind);
        let (outcome, message) = match (&*event.kind, event.error) {
            ("turn_aborted", _) if cause == Some(Cause::ProcessDeath) => (Outcome::Lost, None),
            ("turn_aborted", _) => (Outcome::Cancelled, None),
            (_, Some(error)) => (Outcome::Failed, Some(error.message)),
            (_, None) => (Outcome::Completed, event.last_agent_message),
        };
        let message = message.map(Arc::from);
        let before = self.last_turn.replace(EndedTurn { id, root, n, outcome, cause, message, error, ours, at });
        // A turn of ours begins only when the one before it is reported.
        before.filter(|_| is_foreign).into_iter().for_each(|before| self.keep(before));
    }

    /// Keeps a turn of ours behind which one of another program stands.
    fn keep(&mut self, ended: EndedTurn) {
        if ended.ours && self.followed.as_ref().is_none_or(|kept| kept.n < ended.n) {
            self.followed = Some(Box::new(ended));
        }
    }

    fn apply_usage(&mut self, usage: Usage) {
        self.usage += usage;
        if let Some(turn) = &mut self.turn {
            turn.usage += usage;
            turn.close_response();
        }
    }

    fn apply_context(&mut self, view: &View<'_>) -> Result<(), sapwood_protocol::line::LineError> {
        let mut recorded: Recorded = view.payload()?;
        self.context_written = true;
        if recorded.model.is_some() {
            (self.asking.model, self.asking.effort) = (recorded.model.take(), recorded.effort.take());
        }
        let manner = recorded.manner();
        self.mode_told = manner.mode_instructions.clone().flatten();
        self.asking.works(&manner);
        if let Some(turn) = &mut self.turn {
            turn.asking = Some(self.asking.clone());
        }
        Ok(())
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
        self.has_own_lines = true;
        let Some(own) = Own::parse(view)? else {
            return Ok(());
        };
        match own {
            Own::Accepted(accepted) => self.inbox.accepted(accepted),
            Own::Settled(settled) => self.inbox.settled(&settled),
            Own::Begun(begun) => self.inbox.begun(&begun),
            Own::ToolStarted(started) => {
                self.asks.begun(&started.call);
                self.set_call(&started.call, CallState::Started { group: started.group });
            }
            Own::Spawn(spawn) => {
                self.set_call(&spawn.call, CallState::Spawning(spawn.clone()));
                self.spawned.insert(spawn.child, spawn);
            }
            Own::ToolEnded(early) => self.ended_early(early),
            Own::ShellStarted(started) => {
                let ShellStarted { input, turn, cwd, group } = started;
                let started = view.at().unwrap_or_default();
                self.shells.push(UserShell { input, turn, cwd, group, started, said: None });
            }
            Own::Waiting(waiting) => self.set_call(&waiting.call, CallState::Waiting { until: waiting.until }),
            Own::Paused(paused) => {
                if let Some(turn) = &mut self.turn {
                    turn.paused = Some(paused);
                }
            }
            Own::Adopted(adopted) => self.adopted = Some(adopted),
            Own::Quarantined(quarantined) => self.quarantined = Some(quarantined.reason),
            Own::Asked(asked) => {
                if self.turn.as_ref().and_then(|turn| turn.call(&asked.call)).is_some() {
                    self.asks.asked(asked);
                }
            }
            Own::Queue(line) => self.inbox.queue_changed(line),
            Own::Answered(answered) => {
                if let Some(asked) = self.asks.answered(&answered) {
                    self.grants.apply(&asked.what, &answered.how);
                }
            }
        }
        Ok(())
    }

    /// What a call or a command of the user came to waits until it may enter history.
    fn ended_early(&mut self, early: EarlyOutput) {
        match self.shells.iter_mut().find(|shell| call_of(&shell.input) == early.call) {
            Some(shell) => shell.said = Some(early.text),
            None => self.set_call(&early.call, CallState::Early { output: early.text }),
        }
    }

    fn set_call(&mut self, call: &CallId, state: CallState) {
        if let Some(turn) = &mut self.turn {
            turn.set(call, state);
        }
    }
}
