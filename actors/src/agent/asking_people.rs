//! Questions to people and to clients: asked in a line, answered in a line, and followed once a slot is there.
//!
//! A turn whose calls only wait for answers is parked: it holds no slot, and process death changes nothing about it. What
//! a call does with its answer begins with a line of its own, so it is done once.

use std::path::Path;
use std::sync::Arc;

use sapwood_protocol::Millis;
use sapwood_protocol::approval::ApprovalsReviewer;
use sapwood_protocol::asked::{Answered, Asked, Resolution, What};
use sapwood_protocol::ids::AskId;
use sapwood_protocol::own::Own;
use serde_json::Value;

use super::approval::follow::{self, ItemEnd, Next};
use super::approval::permissions::{self, Request};
use super::approval::questions::{self, Asker};
use super::approval::shown::{self, ToolStands};
use super::approval::verdict::{CommandCall, Retry};
use super::approval::{Confinement, NO_REVIEWER, Output, Rights, Verdict};
use super::calls::{ABORTED_BY_USER, brief};
use super::effect::{Effect, ExecCall, Place};
use super::event::{Event, Shown, Snapshot};
use super::input::{ToolEnd, ToolResult};
use super::machine::Step;
use super::patching::{self, after};
use super::tools::Tool;
use super::turn::{Call, CallState, Turn};
use super::volatile::{Closing, Slot};
use crate::patch::words::{self, Outcome, Status};

/// How a call ends that was asked for and is not done.
pub(super) struct Refusal {
    /// What the model reads.
    pub text: String,
    /// How its item ends.
    pub end: ItemEnd,
}

impl Refusal {
    /// Nobody answered before the turn ended.
    fn aborted() -> Self {
        Self { text: ABORTED_BY_USER.to_owned(), end: ItemEnd::Failed }
    }
}

/// How an item begins that waits for an answer. Changes of files are shown first, and then asked for.
fn begins(item: &Value, what: &What, at: Millis) -> Snapshot {
    Snapshot { asks: matches!(what, What::Command(_)), ..Snapshot::begun(item, at, false) }
}

impl Step<'_, '_> {
    /// Looks at what the agent may do now.
    pub(super) fn rights<T>(&self, look: impl FnOnce(&Rights<'_>) -> T) -> T {
        let works = self.machine.works();
        look(&Rights {
            policy: works.approval_policy(),
            sandbox: works.sandbox(),
            roots: &works.workspace_roots(),
            tmpdir: self.settings.tmpdir.as_deref(),
            grants: &self.agent.grants,
            turn: self.agent.asks.granted(),
        })
    }

    /// A place in the agent's rights, and those that are beside them.
    pub(super) fn place(&self, cwd: String, confinement: Confinement) -> Place {
        let works = self.machine.works();
        let (sandbox, roots) = (works.sandbox().clone(), works.workspace_roots().into_owned());
        Place { cwd, sandbox, confinement, roots }
    }

    fn wanted(&self, exec: &ExecCall) -> CommandCall {
        let command = exec.argv(&self.settings.shell).to_vec();
        CommandCall { command, cwd: self.dir(exec), tty: exec.tty, wish: exec.wish.clone() }
    }

    /// Begins with a command. True if it wrote lines.
    pub(super) fn command(&mut self, turn: &Turn, call: &Call, exec: ExecCall, first: bool) -> bool {
        let wanted = self.wanted(&exec);
        match self.rights(|rights| rights.command(&wanted)) {
            Verdict::Run(confinement) => {
                // It is shown when it is held: then it has its name.
                self.volatile.begun.insert(call.id.clone(), self.ctx.now);
                self.hold(turn, call, exec, confinement);
                false
            }
            Verdict::Ask(what) => {
                self.put(turn, call, *what);
                true
            }
            Verdict::Refused(text) if first => {
                self.batch.output(self.ctx.ids, call, &*brief(text));
                true
            }
            // Its output waits for the ones before it.
            Verdict::Refused(_) => false,
        }
    }

    /// Has a command held.
    fn hold(&mut self, turn: &Turn, call: &Call, exec: ExecCall, confinement: Confinement) {
        // Named, so that a command that the incarnation before held is not taken for this one.
        let effect = self.ctx.ids.bits();
        let place = self.place(self.dir(&exec), confinement);
        if call.state != CallState::Pending {
            self.volatile.again.insert(call.id.clone());
        }
        self.effects.push(Effect::Hold { effect, call: call.id.clone(), exec, place, turn: turn.id.clone() });
        self.volatile.busy.insert(call.id.clone(), effect);
    }

    /// A sandbox stopped a command: true if it is asked for once more, or runs again.
    pub(super) fn once_more(&mut self, turn: &Turn, call: &Call, exec: &ExecCall) -> bool {
        let was_answered = self.agent.asks.was_answered(&call.id);
        match self.rights(|rights| rights.after_denial(was_answered)) {
            Retry::Ask if self.agent.asks.has_room() && self.settings.is_attended => {
                let wanted = self.wanted(exec);
                let what = self.rights(|rights| rights.ask_again(&wanted));
                self.ask_of(turn, call, what);
                true
            }
            Retry::Unconfined if self.volatile.slot == Slot::Held => {
                self.hold(turn, call, exec.clone(), Confinement::None);
                true
            }
            Retry::Leave | Retry::Ask | Retry::Unconfined => false,
        }
    }

    /// Begins with a request for rights. True, since it wrote lines.
    pub(super) fn request_permissions(&mut self, turn: &Turn, call: &Call) -> bool {
        let cwd = self.machine.works().cwd();
        let request = self.rights(|rights| permissions::request(&call.input, cwd, rights));
        match request {
            Ok(Request::Ask(what)) => self.put(turn, call, what),
            Ok(Request::Output(text)) | Err(text) => self.batch.output(self.ctx.ids, call, &*brief(text)),
        }
        true
    }

    /// Begins with a question of the model. True if it wrote lines.
    pub(super) fn question(&mut self, turn: &Turn, call: &Call, first: bool) -> bool {
        let identity = self.agent.identity();
        let asker = Asker {
            is_root: identity.parent.is_none(),
            plans: self.machine.works().mode() == "plan",
            asks_in_default_mode: self.settings.asks_in_default_mode,
        };
        let text = match questions::question(&call.input, asker) {
            Ok(what) if self.settings.is_attended => {
                self.put(turn, call, what);
                return true;
            }
            // Nobody is there.
            Ok(_) => questions::answered(&Resolution::Failed),
            Err(text) => text,
        };
        if first {
            self.batch.output(self.ctx.ids, call, &*brief(text));
        }
        first
    }

    /// Asks, and shows what is asked for.
    pub(super) fn put(&mut self, turn: &Turn, call: &Call, what: What) {
        if let Some((item, core)) = self.waiting(call, &what) {
            self.begun(turn, item, Some(begins(&core, &what, self.ctx.now)));
        }
        self.ask_of(turn, call, what);
    }

    fn ask_of(&mut self, turn: &Turn, call: &Call, what: What) {
        let id = self.ctx.ids.ask(self.ctx.now);
        let asked = Asked { id, call: call.id.clone(), at: self.ctx.now, what };
        self.batch.own(&Own::Asked(asked.clone()));
        let reviewer = self.machine.works().approvals_reviewer();
        if asked.what.is_approval() && reviewer != ApprovalsReviewer::User && !self.volatile.told_no_reviewer {
            self.volatile.told_no_reviewer = true;
            self.notify(Event::Warning(NO_REVIEWER.to_owned()));
        }
        self.notify(Event::Asked { turn: turn.id.clone(), asked: Arc::new(asked) });
    }

    /// The item of a call that waits for an answer; a question for words has none.
    fn waiting(&self, call: &Call, what: &What) -> Option<(Shown, Value)> {
        Some(match what {
            What::Command(ask) => {
                let command = ask.command.last().cloned().unwrap_or_default();
                let item = Shown::Command { call: call.id.clone(), command, result: None };
                (item, shown::command(&call.id, ask, None))
            }
            What::FileChange { .. } => {
                let changes = self.changes(call);
                let item = patching::shown(&call.id, &changes, None);
                (item, words::item_of(call.id.as_str(), changes, &Outcome::without(Status::InProgress)))
            }
            What::DynamicTool { namespace, tool, arguments } => {
                let item = Shown::Client { call: call.id.clone(), tool: tool.clone(), ok: None };
                (item, shown::dynamic(&call.id, namespace.as_deref(), tool, arguments, &ToolStands::Waits))
            }
            What::Permissions { .. } | What::UserInput { .. } => return None,
        })
    }

    /// Tells again what is asked: whoever looks may have missed it, or be new.
    pub(super) fn ask_again(&mut self) {
        let Some(turn) = &self.agent.turn else { return };
        for asked in self.agent.asks.open() {
            let Some(call) = turn.call(&asked.call) else { continue };
            if let Some((item, core)) = self.waiting(call, &asked.what) {
                let since = self.agent.asks.since(&call.id).unwrap_or(asked.at);
                self.begun(turn, item, Some(begins(&core, &asked.what, since)));
            }
            self.notify(Event::Asked { turn: turn.id.clone(), asked: Arc::clone(asked) });
        }
    }

    /// Somebody answered. Who comes late, or answers twice, is not heard.
    pub(super) fn answered_ask(&mut self, id: &AskId, how: Resolution) {
        let (Some(turn), Some(asked)) = (&self.agent.turn, self.agent.asks.get(id)) else {
            return;
        };
        // Only the end of a turn withdraws a question.
        let how = if how == Resolution::Withdrawn { Resolution::Failed } else { how };
        self.volatile.closing = Closing::No;
        self.resolve(turn, asked, how);
    }

    fn resolve(&mut self, turn: &Turn, asked: &Arc<Asked>, how: Resolution) {
        let is_withdrawn = how == Resolution::Withdrawn;
        self.batch.own(&Own::Answered(Answered { id: asked.id.clone(), how }));
        self.notify(Event::Resolved { turn: turn.id.clone(), asked: Arc::clone(asked), is_withdrawn });
    }

    /// The turn ends: nobody is asked any more.
    pub(super) fn withdraw(&mut self, turn: &Turn) {
        for asked in self.agent.asks.open() {
            self.resolve(turn, asked, Resolution::Withdrawn);
        }
    }

    /// Does what follows from the answer to a call's question. True if it wrote lines.
    pub(super) fn follow(&mut self, turn: &Turn, call: &Call, tool: Tool, asked: &Asked, how: &Resolution) -> bool {
        let refusal = match (self.rights(|rights| follow::next(&asked.what, how, rights)), tool) {
            (Some(Next::Run(confinement)), Tool::Exec(exec)) => {
                self.hold(turn, call, exec, confinement);
                return false;
            }
            (Some(Next::Change), Tool::Patch) => {
                // What a person saw is what is done; after a restart it is looked for again.
                match self.volatile.planned.get(&call.id).cloned() {
                    Some(planned) => self.apply_patch(turn, call, planned, Confinement::None),
                    None => self.look_at(call),
                }
                return self.volatile.planned.contains_key(&call.id);
            }
            (Some(Next::Not { text, end, interrupts }), _) => {
                let refusal = Refusal { text, end };
                if interrupts {
                    self.break_off(turn, self.cause_of_user(), Some((call, refusal)));
                    return true;
                }
                refusal
            }
            (Some(Next::Output(output)), _) => {
                self.finish(turn, call, None, output);
                return true;
            }
            (Some(Next::Tool { items, success, output }), _) => {
                let after = after(asked.at, self.ctx.now);
                self.client_tool_ended(turn, call, asked, &ToolStands::Returned { items, success, after }, output);
                return true;
            }
            // Withdrawn by a decision of which not all lines were written: what it began is ended.
            (None, _) => Refusal::aborted(),
            // The settings changed in between, and the call is another.
            (Some(Next::Run(_) | Next::Change), _) => Refusal {
                text: "the call could not be read again after a restart; nothing was started".to_owned(),
                end: ItemEnd::Failed,
            },
        };
        self.refused(turn, call, asked, refusal);
        true
    }

    fn client_tool_ended(&mut self, turn: &Turn, call: &Call, asked: &Asked, stands: &ToolStands, output: Output) {
        let What::DynamicTool { namespace, tool, arguments } = &asked.what else { return };
        let ok = Some(matches!(stands, ToolStands::Returned { success: true, .. }));
        let core = shown::dynamic(&call.id, namespace.as_deref(), tool, arguments, stands);
        let snapshot = self.finish(turn, call, Some(core), output);
        let item = Shown::Client { call: call.id.clone(), tool: tool.clone(), ok };
        self.notify(Event::ItemCompleted { turn: turn.id.clone(), item, snapshot });
    }

    /// A call that was asked for is not done.
    fn refused(&mut self, turn: &Turn, call: &Call, asked: &Asked, refusal: Refusal) {
        let Refusal { text, end } = refusal;
        match &asked.what {
            What::Command(ask) => {
                let command = ask.command.last().cloned().unwrap_or_default();
                let core = shown::command(&call.id, ask, Some(end));
                let snapshot = self.finish(turn, call, Some(core), Output::Text(text.clone()));
                let result = Some(ToolResult { end: ToolEnd::Refused(text), ..ToolResult::nothing() });
                let item = Shown::Command { call: call.id.clone(), command, result };
                self.notify(Event::ItemCompleted { turn: turn.id.clone(), item, snapshot });
            }
            What::FileChange { .. } => self.not_patched(turn, call, end, text),
            What::DynamicTool { .. } => {
                let stands = ToolStands::Cancelled { after: after(asked.at, self.ctx.now) };
                self.client_tool_ended(turn, call, asked, &stands, Output::Text(text));
            }
            What::Permissions { .. } | What::UserInput { .. } => {
                self.finish(turn, call, None, Output::Text(text));
            }
        }
    }

    /// Ends a call of a turn that is broken off, if it was asked for and has not begun since. True if it was.
    pub(super) fn abandon_asked(&mut self, turn: &Turn, call: &Call, refused: Option<Refusal>) -> bool {
        let open = self.agent.asks.of_call(&call.id).map(|asked| &**asked);
        let heard = || self.agent.asks.heard(&call.id).map(|(asked, _)| asked);
        match open.or_else(heard).filter(|_| !self.volatile.busy.contains_key(&call.id)) {
            Some(asked) => self.refused(turn, call, asked, refused.unwrap_or_else(Refusal::aborted)),
            None => return false,
        }
        true
    }

    /// Where a command runs.
    pub(super) fn dir(&self, exec: &ExecCall) -> String {
        let cwd = Path::new(self.machine.works().cwd());
        // Joined with nothing, a path gets a slash.
        let dir = exec.workdir.as_deref().filter(|dir| !dir.is_empty()).map_or(cwd.into(), |dir| cwd.join(dir));
        dir.to_string_lossy().into_owned()
    }
}
