//! The calls of a turn: started in order, answered in order.
//!
//! Shell commands and questions next to each other work side by side; a tool that acts on agents or files has the turn to
//! itself. Outputs enter history in call order, so one that is there early waits in the rollout, in a mark.

use std::sync::Arc;

use sapwood_protocol::asked::What;
use sapwood_protocol::item::{self, MailKind};
use sapwood_protocol::line::EarlyOutput;
use sapwood_protocol::own::{Fork, Own, ProcessGroup, Spawn, ToolStarted, Waiting};
use sapwood_protocol::{CallId, Millis};
use serde_json::Value;

use super::approval::Output;
use super::asking_people::Refusal;
use super::effect::{Ask, Effect, Timer, Want};
use super::event::{Event, Shown, Snapshot};
use super::input::{Answer, ToolEnd, ToolResult};
use super::lines;
use super::machine::Step;
use super::plan::{PLAN_UPDATED, PlanUpdate};
use super::prompt;
use super::tools::{self, ForkTurns, Tool, WaitEnd};
use super::turn::{Call, CallState, Turn};
use super::volatile::Closing;

/// Shell commands of one answer that run at the same time, at most: each has room for its answer reserved in a lane
/// of 64.
const SIDE_BY_SIDE: usize = 16;

/// The effect of a call that the tree answers at once: there is no other answer to take it for.
pub(super) const ASKED: u64 = 0;

/// A refusal that a model reads, at most, in bytes: it may quote what the model sent, which may be megabytes.
const REFUSAL_BYTES: usize = 4 * 1024;

/// The output of a call that an interrupt ended.
pub(super) const ABORTED_BY_USER: &str = "aborted by user";

impl<'a> Step<'a, '_> {
    fn tool(&self, call: &Call) -> Tool {
        let identity = self.agent.identity();
        tools::parse(call, &identity.path, self.asked().model, &identity.client_tools, self.settings)
    }

    /// Takes the calls of the newest answer one step further.
    pub(super) fn calls(&mut self, turn: &Turn) {
        let (mut first, mut side_by_side) = (true, true);
        let open = || turn.calls.iter().filter(|call| call.state != CallState::Done);
        // What ended early, and has come to its turn, is in history before anything else is looked at.
        let early = open().map_while(|call| match &call.state {
            CallState::Early { output } => Some((call, output)),
            _ => None,
        });
        let before = self.batch.number();
        early.for_each(|(call, output)| self.batch.output(self.ctx.ids, call, &**output));
        if self.batch.number() > before {
            return;
        }
        for call in open() {
            let tool = self.tool(call);
            let asks = &self.agent.asks;
            let room = self.volatile.busy.len() + asks.open().len() < SIDE_BY_SIDE;
            let may_start = first || side_by_side && room && tool.stands_beside();
            let busy = self.volatile.busy.contains_key(&call.id);
            side_by_side &= tool.stands_beside();
            let is_open = matches!(call.state, CallState::Pending | CallState::Started { .. });
            if is_open && asks.of_call(&call.id).is_some() {
                first = false;
                continue;
            }
            if let Some((asked, how)) = asks.heard(&call.id).filter(|_| is_open) {
                // What a command does with an answer it does beside others; the output of anything else waits for its turn.
                let may_follow = !busy && (first || matches!(asked.what, What::Command(_)));
                if may_follow && (!self.slot(Want::Resume) || self.follow(turn, call, tool, asked, how)) {
                    return;
                }
                first = false;
                continue;
            }
            match &call.state {
                CallState::Pending if may_start && !busy => {
                    let stop = !self.slot(Want::Resume) || self.start(turn, call, tool.clone(), first);
                    if stop {
                        return;
                    }
                }
                CallState::Started { .. } if !busy && !self.volatile.recovering => {
                    let result = ToolResult { end: ToolEnd::Unknown, ..ToolResult::nothing() };
                    return self.tool_ended(call.id.clone(), result);
                }
                CallState::Spawning(spawn) if !busy => {
                    return self.ask_spawn(turn, call, spawn.clone(), false);
                }
                CallState::Waiting { until } => return self.wait(turn, call, *until),
                _ => {}
            }
            first = false;
        }
        // Whoever answers may take days.
        if self.volatile.busy.is_empty() && self.agent.awaits_answers() {
            self.give_back();
        }
    }

    /// Starts a call. True if it wrote lines that are to be applied before the next call is looked at.
    fn start(&mut self, turn: &Turn, call: &Call, tool: Tool, first: bool) -> bool {
        let id = call.id.clone();
        let origin = turn.origin();
        match tool {
            Tool::Invalid(text) => {
                assert!(first, "only what is understood starts beside others");
                self.batch.output(self.ctx.ids, call, &*brief(text));
                return true;
            }
            Tool::Exec(exec) => return self.command(turn, call, exec, first),
            Tool::Type(typing) => {
                self.type_into(turn, call, typing);
                return true;
            }
            Tool::Patch => return self.patch(call),
            Tool::Permissions => return self.request_permissions(turn, call),
            Tool::Question => return self.question(turn, call, first),
            Tool::Client(what) => {
                self.put(turn, call, what);
                return true;
            }
            Tool::Plan(update) => {
                self.plan(turn, call, update);
                return true;
            }
            Tool::Spawn { path, message, fork } => {
                self.begun(turn, collab(&id, "spawn_agent", Some(message)), None);
                let child = self.ctx.ids.thread(self.ctx.now);
                let end = self.batch.number();
                let fork = match fork {
                    ForkTurns::None => None,
                    ForkTurns::All => Some(Fork { end, turns: None }),
                    ForkTurns::Last(turns) => Some(Fork { end, turns: Some(turns) }),
                };
                let spawn = Spawn { child, call: id, path, fork };
                self.batch.own(&Own::Spawn(spawn.clone()));
                self.ask_spawn(turn, call, spawn, false);
                return true;
            }
            Tool::Mail { kind, target, message } => {
                let tool = if kind == MailKind::NewTask { "followup_task" } else { "send_message" };
                self.begun(turn, collab(&id, tool, Some(message.clone())), None);
                let ask = Ask::Mail { target, kind, text: message, n: call.n, turn: origin };
                self.effects.push(Effect::Ask { call: id.clone(), ask });
            }
            Tool::Interrupt { target } => {
                self.effects.push(Effect::Ask { call: id.clone(), ask: Ask::Interrupt { target } });
            }
            Tool::List { prefix } => {
                self.effects.push(Effect::Ask { call: id.clone(), ask: Ask::List { prefix } });
            }
            Tool::Wait { timeout } => {
                let item = lines::shown_wait(&id, self.agent.identity().thread, "in_progress");
                let snapshot = Snapshot::begun(&item, self.ctx.now, false);
                self.begun(turn, collab(&id, "wait", None), Some(snapshot));
                self.volatile.begun.insert(id.clone(), self.ctx.now);
                match self.wait_over(self.ctx.now.plus(timeout)) {
                    Some(end) => self.wait_ended(turn, call, end),
                    None => {
                        let until = self.ctx.now.plus(timeout);
                        self.batch.own(&Own::Waiting(Waiting { call: id, until }));
                    }
                }
                return true;
            }
        }
        self.volatile.busy.insert(id, ASKED);
        false
    }

    pub(super) fn begun(&mut self, turn: &Turn, item: Shown, snapshot: Option<Snapshot>) {
        self.notify(Event::ItemStarted { turn: turn.id.clone(), item, snapshot });
    }

    /// When a call began; now, if that was in another incarnation and no line says it.
    fn began(&mut self, call: &CallId) -> Millis {
        let begun = self.volatile.begun.remove(call);
        self.agent.asks.since(call).or(begun).unwrap_or(self.ctx.now)
    }

    /// Shows a plan: nobody acts on it.
    fn plan(&mut self, turn: &Turn, call: &Call, update: PlanUpdate) {
        // There the plan is what the turn is for, and the person reads it as a message.
        if self.machine.works().mode() == "plan" {
            return self.batch.output(self.ctx.ids, call, prompt::NO_CHECKLIST);
        }
        self.notify(Event::Plan { turn: turn.id.clone(), plan: Arc::new(update) });
        self.batch.output(self.ctx.ids, call, PLAN_UPDATED);
    }

    fn ask_spawn(&mut self, turn: &Turn, call: &Call, spawn: Spawn, only_find: bool) {
        let Tool::Spawn { message, .. } = self.tool(call) else {
            // The spawn line stands, and its call does not parse any more: the settings changed in between.
            let text = "the call could not be read again after a restart; nothing was started".to_owned();
            return self.answered(call.id.clone(), Answer::Refused(text));
        };
        self.volatile.busy.insert(call.id.clone(), ASKED);
        let settings = self.asked().for_a_child(self.machine.works(), self.settings);
        let ask = Ask::Spawn { spawn, message, n: call.n, turn: turn.origin(), settings, only_find };
        self.effects.push(Effect::Ask { call: call.id.clone(), ask });
    }

    /// A command is ready. From the line on, it may have had effects.
    pub(super) fn held(&mut self, effect: u64, id: CallId, group: ProcessGroup) {
        if self.volatile.busy.get(&id) != Some(&effect) {
            return;
        }
        let pending = self.open_call(&id).filter(|(_, call)| call.state == CallState::Pending);
        if let Some((turn, call)) = pending
            && let Tool::Exec(exec) = self.tool(call)
        {
            self.command_begins(turn, call, &exec, Some(group.id));
        }
        if pending.is_some() || self.volatile.again.remove(&id) {
            self.batch.own(&Own::ToolStarted(ToolStarted { call: id.clone(), group: Some(group) }));
            self.effects.push(Effect::Release { call: id });
        } else {
            self.effects.push(Effect::Kill { call: id });
        }
    }

    pub(super) fn tool_ended(&mut self, id: CallId, result: ToolResult) {
        let Some((turn, call)) = self.open_call(&id) else {
            return;
        };
        if !matches!(call.state, CallState::Pending | CallState::Started { .. }) {
            return;
        }
        // The question came after the end.
        if self.agent.asks.of_call(&id).is_some() {
            return;
        }
        let exec = match self.tool(call) {
            Tool::Exec(exec) => exec,
            Tool::Type(typing) => {
                self.volatile.busy.remove(&id);
                return self.typed(turn, call, &typing, &result);
            }
            Tool::Patch if call.state != CallState::Pending => return self.patch_lost(turn, call),
            _ => return,
        };
        self.volatile.busy.remove(&id);
        self.volatile.again.remove(&id);
        if result.is_denied && self.once_more(turn, call, &exec) {
            return;
        }
        match result.end {
            ToolEnd::Running(_) => self.command_goes_on(turn, call, &exec, &result),
            _ => self.command_ends(turn, call, exec, result),
        }
    }

    /// The tree has answered.
    pub(super) fn answered(&mut self, id: CallId, answer: Answer) {
        let Some((turn, call)) = self.open_call(&id) else {
            return;
        };
        if !matches!(call.state, CallState::Pending | CallState::Spawning(_)) {
            return;
        }
        self.volatile.busy.remove(&id);
        if self.volatile.closing != Closing::No {
            self.volatile.closing = Closing::Answered;
        }
        let tool = self.tool(call);
        let (ok, output, agent) = match answer {
            Answer::Done { output, agent } => (true, output, agent),
            Answer::Refused(text) => (false, brief(text), None),
            Answer::Never => return self.lose(turn),
        };
        let kind = match &tool {
            Tool::Spawn { .. } => Some(("started", Some(&**self.asked().model))),
            Tool::Mail { .. } => Some(("interacted", None)),
            Tool::Interrupt { .. } => Some(("interrupted", None)),
            _ => None,
        };
        let shown = match (kind, &agent) {
            (Some((kind, model)), Some((thread, path))) => {
                Some(lines::shown_activity(id.as_str(), kind, *thread, path, model))
            }
            _ => None,
        };
        let snapshot = self.finish(turn, call, shown, Output::Text(output));
        if let Some(name) = tool.collab() {
            let prompt = match tool {
                Tool::Spawn { message, .. } | Tool::Mail { message, .. } => Some(message),
                _ => None,
            };
            let item =
                Shown::Collab { call: id, tool: name, agents: agent.into_iter().collect(), prompt, ok: Some(ok) };
            self.notify(Event::ItemCompleted { turn: turn.id.clone(), item, snapshot });
        }
    }

    /// A call has its output: into history if it is its turn, else into a mark until it is.
    pub(super) fn finish(
        &mut self,
        turn: &Turn,
        call: &Call,
        shown: Option<Value>,
        output: Output,
    ) -> Option<Snapshot> {
        let thread = self.agent.identity().thread;
        let started = self.began(&call.id);
        if self.breaks_off || turn.first_open().is_some_and(|first| first.id == call.id) {
            let snapshot = shown.map(|shown| self.batch.completed(thread, &turn.id, &shown, started, None));
            match &output {
                Output::Text(text) => self.batch.output(self.ctx.ids, call, &**text),
                Output::Parts(parts) => self.batch.output(self.ctx.ids, call, item::Output::Parts(parts)),
            }
            return snapshot;
        }
        let Output::Text(text) = output else {
            unreachable!("only commands end before the calls before them, and with a text");
        };
        let early = EarlyOutput { call: call.id.clone(), text };
        let Some(shown) = shown else {
            // It goes on: its item is not complete.
            self.batch.own(&Own::ToolEnded(early));
            return None;
        };
        Some(self.batch.ended_early(thread, &turn.id, &shown, started, early))
    }

    pub(super) fn open_call(&self, id: &CallId) -> Option<(&'a Turn, &'a Call)> {
        let turn = self.agent.turn.as_ref()?;
        let call = turn.call(id).filter(|call| call.state != CallState::Done)?;
        Some((turn, call))
    }

    fn wait_over(&self, until: sapwood_protocol::Millis) -> Option<WaitEnd> {
        let inbox = &self.agent.inbox;
        if inbox.has_mail() {
            Some(WaitEnd::Mail)
        } else if inbox.has_user_text() {
            Some(WaitEnd::Steer)
        } else {
            (self.ctx.now >= until).then_some(WaitEnd::Deadline)
        }
    }

    /// A waiting turn holds no slot, and writes nothing before it has one again.
    fn wait(&mut self, turn: &Turn, call: &Call, until: sapwood_protocol::Millis) {
        if let Some(end) = self.wait_over(until) {
            if self.slot(Want::Resume) {
                self.wait_ended(turn, call, end);
            }
            return;
        }
        self.give_back();
        if self.volatile.timed.insert(call.id.clone()) {
            self.effects.push(Effect::Timer { timer: Timer::Wait(call.id.clone()), at: until });
        }
    }

    fn wait_ended(&mut self, turn: &Turn, call: &Call, end: WaitEnd) {
        let thread = self.agent.identity().thread;
        self.volatile.timed.remove(&call.id);
        let started = self.began(&call.id);
        let shown = lines::shown_wait(&call.id, thread, "completed");
        let snapshot = Some(self.batch.completed(thread, &turn.id, &shown, started, None));
        let output = tools::wait_output(call, end, &self.settings.wait);
        self.batch.output(self.ctx.ids, call, &*output);
        let item =
            Shown::Collab { call: call.id.clone(), tool: "wait", agents: Vec::new(), prompt: None, ok: Some(true) };
        self.notify(Event::ItemCompleted { turn: turn.id.clone(), item, snapshot });
    }

    /// Gives every open call of an interrupted turn its output, and ends what runs.
    /// One of them may end in words of its own.
    pub(super) fn abandon_calls(&mut self, turn: &Turn, mut refused: Option<(&Call, Refusal)>) {
        self.breaks_off = true;
        for call in turn.calls.iter().filter(|call| call.state != CallState::Done) {
            let busy = self.volatile.busy.contains_key(&call.id);
            let refusal = refused.take_if(|(refused, _)| refused.id == call.id).map(|(_, refusal)| refusal);
            if self.abandon_asked(turn, call, refusal) {
                continue;
            }
            match &call.state {
                CallState::Early { output } => self.batch.output(self.ctx.ids, call, &**output),
                CallState::Pending if !busy => {}
                CallState::Spawning(_) | CallState::Done => {}
                CallState::Pending | CallState::Started { .. } | CallState::Waiting { .. } => {
                    self.batch.output(self.ctx.ids, call, ABORTED_BY_USER);
                }
            }
            if busy {
                self.effects.push(Effect::Kill { call: call.id.clone() });
            }
        }
    }

    /// A dead process may have begun to act on other agents: find out before its turn is closed. True while the
    /// answer is not there.
    pub(super) fn close_asked(&mut self, turn: &Turn) -> bool {
        let Some(call) = turn.first_open() else {
            return false;
        };
        if self.volatile.busy.contains_key(&call.id) {
            return true;
        }
        match (&call.state, self.tool(call)) {
            (CallState::Spawning(spawn), Tool::Spawn { .. }) => self.ask_spawn(turn, call, spawn.clone(), true),
            (CallState::Pending, Tool::Mail { kind, target, message }) => {
                self.volatile.busy.insert(call.id.clone(), ASKED);
                let ask = Ask::Mail { target, kind, text: message, n: call.n, turn: turn.origin() };
                self.effects.push(Effect::Ask { call: call.id.clone(), ask });
            }
            _ => return false,
        }
        true
    }

    /// Writes what is known of the calls of a dead process: nothing of those that never started.
    pub(super) fn lose_calls(&mut self, turn: &Turn) {
        for call in turn.calls.iter().filter(|call| call.state != CallState::Done) {
            match &call.state {
                CallState::Early { output } => self.batch.output(self.ctx.ids, call, &**output),
                CallState::Started { group } => {
                    self.batch.output(self.ctx.ids, call, prompt::EFFECT_UNKNOWN);
                    self.effects.extend(group.map(Effect::KillLeftover));
                }
                CallState::Pending | CallState::Spawning(_) | CallState::Waiting { .. } | CallState::Done => {}
            }
        }
    }
}

/// A refusal without its middle, if it is too long: what went wrong stands at either end.
pub(super) fn brief(text: String) -> String {
    if text.len() <= REFUSAL_BYTES {
        return text;
    }
    let (head, tail) =
        (text.floor_char_boundary(REFUSAL_BYTES / 2), text.ceil_char_boundary(text.len() - REFUSAL_BYTES / 2));
    format!("{}[... {} bytes left out ...]{}", &text[..head], tail - head, &text[tail..])
}

fn collab(call: &CallId, tool: &'static str, prompt: Option<String>) -> Shown {
    Shown::Collab { call: call.clone(), tool, agents: Vec::new(), prompt, ok: None }
}
