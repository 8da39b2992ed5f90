//! Commands on their way: shown when they begin, left to the background when their call has waited long enough, typed into, and
//! shown again when they end, whatever turn it is by then.

use sapwood_protocol::ItemId;
use sapwood_protocol::own::{Own, ProcessGroup, ToolStarted};

use super::approval::Output;
use super::commands;
use super::effect::{Effect, ExecCall, Late, Typing};
use super::event::{Event, Shown, Snapshot};
use super::input::ToolResult;
use super::lines;
use super::machine::Step;
use super::turn::{Call, CallState, Turn};

impl Step<'_, '_> {
    /// A command begins: it is shown, unless it was when a person was asked.
    pub(super) fn command_begins(&mut self, turn: &Turn, call: &Call, exec: &ExecCall, session: Option<i32>) {
        if self.agent.asks.since(&call.id).is_some() {
            return;
        }
        let item = lines::shown_running(&call.id, &exec.argv(&self.settings.shell), &self.dir(exec), session);
        let started = *self.volatile.begun.entry(call.id.clone()).or_insert(self.ctx.now);
        let shown = Shown::Command { call: call.id.clone(), command: exec.cmd.clone(), result: None };
        self.begun(turn, shown, Some(Snapshot::begun(&item, started, false)));
    }

    /// A command has come to its end, or could not begin.
    pub(super) fn command_ends(&mut self, turn: &Turn, call: &Call, exec: ExecCall, result: ToolResult) {
        let session = match &call.state {
            CallState::Started { group } => group.map(|group: ProcessGroup| group.id),
            _ => {
                self.command_begins(turn, call, &exec, None);
                None
            }
        };
        let argv = exec.argv(&self.settings.shell);
        let shown = lines::shown_command(&call.id, &argv, &self.dir(&exec), session, &result);
        let output = commands::output("exec_command", &result, exec.max_output, self.ctx.ids.bits());
        let snapshot = self.finish(turn, call, Some(shown), Output::Text(output));
        let item = Shown::Command { call: call.id.clone(), command: exec.cmd, result: Some(result) };
        self.notify(Event::ItemCompleted { turn: turn.id.clone(), item, snapshot });
    }

    /// A command goes on in the background: its call is answered, and its item stays open.
    pub(super) fn command_goes_on(&mut self, turn: &Turn, call: &Call, exec: &ExecCall, result: &ToolResult) {
        self.notify(Event::Detached { turn: turn.id.clone(), item: ItemId::from(call.id.as_str()) });
        let output = commands::output("exec_command", result, exec.max_output, self.ctx.ids.bits());
        self.finish(turn, call, None, Output::Text(output));
    }

    /// A command that went on has ended. It is shown as of the turn that began it.
    pub(super) fn command_ended(&mut self, late: &Late) {
        let Late { call, turn, session, argv, cwd, started, result } = late;
        let shown = lines::shown_command(call, argv, cwd, Some(*session), result);
        let snapshot = self.batch.completed(self.agent.identity().thread, turn, &shown, *started, None);
        let item = Shown::Command { call: call.clone(), command: argv[2].clone(), result: Some(result.clone()) };
        self.notify(Event::ItemCompleted { turn: turn.clone(), item, snapshot: Some(snapshot) });
    }

    /// Types into a command in the background. What was typed is not typed again after a crash: a line says that it may have been.
    pub(super) fn type_into(&mut self, turn: &Turn, call: &Call, typing: Typing) {
        let id = call.id.clone();
        self.batch.own(&Own::ToolStarted(ToolStarted { call: id.clone(), group: None }));
        self.effects.push(Effect::Type { call: id.clone(), turn: turn.id.clone(), typing });
        self.volatile.busy.insert(id, super::calls::ASKED);
    }

    /// The output of a call that typed.
    pub(super) fn typed(&mut self, turn: &Turn, call: &Call, typing: &Typing, result: &ToolResult) {
        let output = commands::output("write_stdin", result, typing.max_output, self.ctx.ids.bits());
        self.finish(turn, call, None, Output::Text(output));
    }
}
