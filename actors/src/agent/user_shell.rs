//! A user's own commands (`thread/shellCommand`): they run beside whatever the agent does, in its open turn or else in one that
//! asks no model, and the model reads what came of them when it is next asked.
//!
//! Such an input is pending until the line that tells the model of it. `sapwood.shell_started` says that it may have had effects:
//! from there on it is not begun again, and after a crash nobody knows what it did.

use std::time::Duration;

use sapwood_protocol::ids::InputId;
use sapwood_protocol::item::{Item, Role};
use sapwood_protocol::line::{EarlyOutput, Mark};
use sapwood_protocol::own::{Body, Own, ProcessGroup, ShellStarted, TurnOrigin};
use sapwood_protocol::{CallId, ItemId, Millis, TurnId};
use serde_json::{Value, json};

use super::approval::Confinement;
use super::approval::verdict::Wish;
use super::commands::{self, MAX_OUTPUT_BYTES};
use super::effect::{Effect, ExecCall};
use super::event::{Event, Shown, Snapshot};
use super::input::{ToolEnd, ToolResult};
use super::machine::Step;
use super::turn::Turn;
use super::volatile::Closing;
use super::{lines, prompt};

/// Commands of a user that run at the same time, at most; more wait for one to end.
const SIDE_BY_SIDE: usize = 8;

/// How long a command of a user may run, if nobody says otherwise, in milliseconds: as long as Codex lets it.
pub const TIMEOUT_MS: u64 = 60 * 60 * 1_000;

/// What a command came to that an interrupt ended, in Codex's words.
const ABORTED: &str = "command aborted by user";

/// A user's command that may have had effects, and that the model has not been told of.
#[derive(Clone, Debug, PartialEq)]
pub struct UserShell {
    /// The input that asks for it.
    pub input: InputId,
    /// The turn that it is shown in.
    pub turn: TurnId,
    /// Where it runs.
    pub cwd: String,
    /// What runs it; nothing if it could not begin.
    pub group: Option<ProcessGroup>,
    /// When it began.
    pub started: Millis,
    /// It has ended, and this is what the model will read.
    pub said: Option<String>,
}

/// A command that this incarnation has begun with.
#[derive(Clone, Debug, PartialEq)]
pub struct Busy {
    /// Comes back when it is held.
    effect: u64,
    /// The turn that it is shown in.
    turn: TurnId,
}

/// What a user wants to have run.
struct Wanted<'a> {
    command: &'a str,
    timeout_ms: Option<u64>,
}

impl Wanted<'_> {
    fn exec(&self) -> ExecCall {
        ExecCall {
            cmd: self.command.to_owned(),
            workdir: None,
            shell: None,
            login: true,
            tty: false,
            timeout: Some(Duration::from_millis(self.timeout_ms.unwrap_or(TIMEOUT_MS))),
            patience: None,
            max_output: MAX_OUTPUT_BYTES,
            wish: Wish::default(),
        }
    }
}

impl<'a> Step<'a, '_> {
    fn wanted_shell(&self, id: &InputId) -> Option<Wanted<'a>> {
        match self.agent.inbox.get(id)?.accepted.body.as_ref()? {
            Body::Shell { command, timeout_ms } => Some(Wanted { command, timeout_ms: *timeout_ms }),
            _ => None,
        }
    }

    fn started_shell(&self, id: &InputId) -> Option<&'a UserShell> {
        self.agent.shells.iter().find(|shell| shell.input == *id)
    }

    /// Begins with commands that were accepted, and opens a turn for them if none is open. True if it did that.
    pub(super) fn start_shells(&mut self) -> bool {
        let room = SIDE_BY_SIDE.saturating_sub(self.volatile.shells.len());
        let is_new = |id: &&InputId| self.started_shell(id).is_none() && !self.volatile.shells.contains_key(*id);
        let next: Vec<&InputId> = self.agent.inbox.shells().filter(is_new).take(room).collect();
        if next.is_empty() || self.volatile.closing != Closing::No {
            return false;
        }
        let open = self.agent.turn.as_ref().map(|turn| turn.id.clone());
        let is_opened = open.is_none();
        let turn = open.unwrap_or_else(|| {
            let promised = self.agent.inbox.get(next[0]).and_then(|first| first.accepted.turn.clone());
            let id = promised.filter(|id| self.is_new(id)).unwrap_or_else(|| self.ctx.ids.turn(self.ctx.now));
            let origin = TurnOrigin { turn: id.clone(), root_turn: id.clone() };
            let mark = Mark { shell: true, ..Mark::default() };
            self.batch.task_started(&origin, None, Some(&mark), self.settings);
            self.notify(Event::TurnStarted { turn: id.clone(), root: id.clone(), started: self.ctx.now });
            id
        });
        for id in next {
            let Some(wanted) = self.wanted_shell(id) else { continue };
            let exec = wanted.exec();
            let place = self.place(self.dir(&exec), Confinement::None);
            let effect = self.ctx.ids.bits();
            self.effects.push(Effect::Hold { effect, call: call_of(id), turn: turn.clone(), exec, place });
            self.volatile.shells.insert(id.clone(), Busy { effect, turn: turn.clone() });
        }
        is_opened
    }

    /// A command is ready: from the line on, it may have had effects. False if it is none of a user.
    pub(super) fn shell_held(&mut self, effect: u64, call: &CallId, group: ProcessGroup) -> bool {
        let id = InputId::from(call.as_str());
        let Some(busy) = self.volatile.shells.get(&id).cloned() else { return false };
        if busy.effect == effect {
            self.shell_begins(&id, busy.turn, Some(group));
            self.effects.push(Effect::Release { call: call.clone() });
        }
        true
    }

    fn shell_begins(&mut self, id: &InputId, turn: TurnId, group: Option<ProcessGroup>) {
        let Some(exec) = self.wanted_shell(id).map(|wanted| wanted.exec()) else { return };
        let cwd = self.dir(&exec);
        let shown = lines::shown_running(&call_of(id), &exec.argv(&self.settings.shell), &cwd, None);
        self.batch.own(&Own::ShellStarted(ShellStarted { input: id.clone(), turn: turn.clone(), cwd, group }));
        let item = Shown::Command { call: call_of(id), command: exec.cmd, result: None };
        let snapshot = Some(Snapshot::begun(&of_user(shown), self.ctx.now, false));
        self.notify(Event::ItemStarted { turn, item, snapshot });
    }

    /// A command has ended. False if it is none of a user.
    pub(super) fn shell_ended(&mut self, call: &CallId, result: &ToolResult) -> bool {
        let id = InputId::from(call.as_str());
        if self.wanted_shell(&id).is_none() {
            return false;
        }
        self.end_shell(&id, result, false);
        true
    }

    /// Shows what came of a command, and tells the model: at once, or before its next request if its turn is open.
    fn end_shell(&mut self, id: &InputId, result: &ToolResult, breaks_off: bool) {
        let (busy, started) = (self.volatile.shells.remove(id), self.started_shell(id));
        let (Some(wanted), false) = (self.wanted_shell(id), started.is_some_and(|shell| shell.said.is_some())) else {
            return;
        };
        let Some(turn) = started.map(|shell| shell.turn.clone()).or(busy.map(|busy| busy.turn)) else { return };
        if started.is_none() {
            self.shell_begins(id, turn.clone(), None);
        }
        let exec = wanted.exec();
        let cwd = started.map_or_else(|| self.dir(&exec), |shell| shell.cwd.clone());
        let since = started.map_or(self.ctx.now, |shell| shell.started);
        let shown = of_user(lines::shown_command(&call_of(id), &exec.argv(&self.settings.shell), &cwd, None, result));
        let text = told(&exec.cmd, result);
        let thread = self.agent.identity().thread;
        let waits = !breaks_off && self.agent.turn.as_ref().is_some_and(|turn| !turn.is_shell);
        let snapshot = if waits {
            self.batch.ended_early(thread, &turn, &shown, since, EarlyOutput { call: call_of(id), text })
        } else {
            let snapshot = self.batch.completed(thread, &turn, &shown, since, None);
            self.tell_shell(id, &text);
            snapshot
        };
        let item = Shown::Command { call: call_of(id), command: exec.cmd, result: Some(result.clone()) };
        self.notify(Event::ItemCompleted { turn, item, snapshot: Some(snapshot) });
    }

    fn tell_shell(&mut self, id: &InputId, text: &str) {
        let item = Item::text(self.ctx.ids.item("msg", self.ctx.now), Role::User, text);
        self.batch.item(&item, Some(&Mark::consumes(id.clone())));
    }

    /// Tells the model of commands that have ended since it was asked. True if there were any.
    pub(super) fn tell_shells(&mut self) -> bool {
        let said = self.agent.shells.iter().filter_map(|shell| Some((&shell.input, shell.said.as_deref()?)));
        let said: Vec<_> = said.collect();
        said.iter().for_each(|(id, text)| self.tell_shell(id, text));
        !said.is_empty()
    }

    /// Commands of an incarnation or a process that is gone: nobody knows what they did. True if there were any.
    pub(super) fn lose_shells(&mut self) -> bool {
        if self.volatile.recovering && self.volatile.closing == Closing::No {
            return false;
        }
        let is_lost = |shell: &&UserShell| shell.said.is_none() && !self.volatile.shells.contains_key(&shell.input);
        let lost: Vec<&UserShell> = self.agent.shells.iter().filter(is_lost).collect();
        for shell in &lost {
            self.effects.extend(shell.group.map(Effect::KillLeftover));
            self.end_shell(&shell.input, &ToolResult::nothing(), false);
        }
        !lost.is_empty()
    }

    /// The turn is interrupted: its commands end with it, and those that wait for room.
    pub(super) fn abort_shells(&mut self, turn: &Turn) {
        let pending: Vec<&InputId> = self.agent.inbox.shells().collect();
        for id in pending {
            match (self.started_shell(id), self.volatile.shells.get(id)) {
                (Some(shell), _) if shell.turn != turn.id => continue,
                (None, Some(busy)) if busy.turn != turn.id => continue,
                (None, None) => {
                    self.volatile.shells.insert(id.clone(), Busy { effect: 0, turn: turn.id.clone() });
                }
                _ => self.effects.push(Effect::Kill { call: call_of(id) }),
            }
            let aborted = ToolResult { end: ToolEnd::Refused(ABORTED.to_owned()), ..ToolResult::nothing() };
            self.end_shell(id, &aborted, true);
        }
    }

    /// A turn of commands ends with the last of them.
    pub(super) fn shell_turn(&mut self, turn: &Turn) {
        let runs = self.agent.shells.iter().any(|shell| shell.turn == turn.id && shell.said.is_none());
        if runs || self.volatile.shells.values().any(|busy| busy.turn == turn.id) {
            return self.give_back();
        }
        self.batch.task_complete(turn, None);
        self.end(turn, sapwood_protocol::own::Outcome::Completed, None);
    }

    /// Commands that outlive their turn: its end is not theirs.
    pub(super) fn detach_shells(&mut self) {
        let Some(turn) = &self.agent.turn else { return };
        let outlive = self.volatile.shells.iter().filter(|(_, busy)| busy.turn == turn.id).map(|(id, _)| id.clone());
        for id in outlive.collect::<Vec<_>>() {
            self.notify(Event::Detached { turn: turn.id.clone(), item: ItemId::from(id.to_string()) });
        }
    }
}

/// A command is a call of no model: it has the id of its input.
pub(super) fn call_of(id: &InputId) -> CallId {
    CallId::from(id.to_string())
}

/// The item of a command, as that of a command of the user.
fn of_user(mut shown: Value) -> Value {
    shown["source"] = json!("user_shell");
    if let Some(fields) = shown.as_object_mut() {
        fields.remove("process_id");
    }
    shown
}

/// What the model reads of a command, in the form that it knows.
fn told(command: &str, result: &ToolResult) -> String {
    let (code, seconds) = (lines::exit_code(&result.end), result.wall.as_secs_f64());
    let output = match &result.end {
        ToolEnd::Refused(why) => why.clone(),
        ToolEnd::Unknown => prompt::EFFECT_UNKNOWN.to_owned(),
        ToolEnd::TimedOut => commands::fitted(result, MAX_OUTPUT_BYTES) + "\nThe command timed out and was killed.",
        _ => commands::fitted(result, MAX_OUTPUT_BYTES),
    };
    format!(
        "<user_shell_command>\n<command>\n{command}\n</command>\n<result>\nExit code: {code}\n\
         Duration: {seconds:.4} seconds\nOutput:\n{output}\n</result>\n</user_shell_command>"
    )
}
