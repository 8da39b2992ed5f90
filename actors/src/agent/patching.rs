//! `apply_patch`: looked at first, asked for where it has to be, then done.
//!
//! A worker finds the places of the patch in the files and writes nothing; from the line on that says the call has
//! started, another one does what was found. So what a person said yes to is what is written, or nothing is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sapwood_protocol::CallId;
use sapwood_protocol::asked::What;
use sapwood_protocol::own::{Own, ToolStarted};
use serde_json::Value;

use super::approval::follow::ItemEnd;
use super::approval::{Confinement, Output, Verdict};
use super::calls::{ASKED, brief};
use super::effect::Effect;
use super::event::{Event, Shown, Snapshot};
use super::input::{Patched, Planned};
use super::machine::Step;
use super::prompt;
use super::turn::{Call, CallState, Turn};
use crate::patch;
use crate::patch::words::{self, Outcome, Status};

impl Step<'_, '_> {
    /// Begins with a patch. True if it wrote its refusal.
    pub(super) fn patch(&mut self, call: &Call) -> bool {
        if let Err(error) = patch::parse(&call.input) {
            let text = brief(words::refusal(&error));
            self.batch.output(self.ctx.ids, call, &*text);
            return true;
        }
        self.look_at(call);
        false
    }

    /// Has a patch looked at.
    pub(super) fn look_at(&mut self, call: &Call) {
        let effect = self.ctx.ids.bits();
        let granted = self.rights(|rights| rights.granted());
        let place = self.place(self.machine.works().cwd().to_owned(), Confinement::Sandboxed(granted));
        self.effects.push(Effect::Plan { effect, call: call.id.clone(), patch: (*call.input).into(), place });
        self.volatile.busy.insert(call.id.clone(), effect);
    }

    /// A patch was looked at.
    pub(super) fn planned(&mut self, effect: u64, id: CallId, result: Result<Arc<Planned>, String>) {
        if self.volatile.busy.get(&id) != Some(&effect) {
            return;
        }
        self.volatile.busy.remove(&id);
        let Some((turn, call)) = self.open_call(&id).filter(|(_, call)| call.state == CallState::Pending) else {
            return;
        };
        let asked = self.agent.asks.heard(&id).map(|(asked, _)| asked);
        let planned = match (result, asked) {
            (Ok(planned), _) => planned,
            // A person said yes, and the files are others since: what was begun ends.
            (Err(text), Some(_)) => return self.not_patched(turn, call, ItemEnd::Failed, brief(text)),
            (Err(text), None) => return self.batch.output(self.ctx.ids, call, &*brief(text)),
        };
        let is_allowed = matches!(asked.map(|asked| &asked.what),
            Some(What::FileChange { paths, .. }) if planned.paths.iter().all(|path| paths.contains(path)));
        if is_allowed {
            return self.apply_patch(turn, call, planned, Confinement::None);
        }
        match self.rights(|rights| rights.change(planned.paths.clone())) {
            Verdict::Run(_) => {
                let granted = self.rights(|rights| match rights.grants.has_files(&planned.paths) {
                    true => Confinement::None,
                    false => Confinement::Sandboxed(rights.granted()),
                });
                self.apply_patch(turn, call, planned, granted);
            }
            Verdict::Ask(what) => {
                self.volatile.planned.insert(id, planned);
                self.put(turn, call, *what);
            }
            Verdict::Refused(text) => self.batch.output(self.ctx.ids, call, &*text),
        }
    }

    /// Does what was looked at. From the line on, it may have been done.
    pub(super) fn apply_patch(&mut self, turn: &Turn, call: &Call, planned: Arc<Planned>, confinement: Confinement) {
        let id = call.id.clone();
        if !self.agent.asks.was_answered(&id) {
            let item = words::item(id.as_str(), &planned.plan, &Outcome::without(Status::InProgress));
            let snapshot = Snapshot::begun(&item, self.ctx.now, false);
            let shown = shown(&id, &words::changes(&planned.plan), None);
            self.notify(Event::ItemStarted { turn: turn.id.clone(), item: shown, snapshot: Some(snapshot) });
            self.volatile.begun.insert(id.clone(), self.ctx.now);
        }
        let place = self.place(self.machine.works().cwd().to_owned(), confinement);
        self.batch.own(&Own::ToolStarted(ToolStarted { call: id.clone(), group: None }));
        self.effects.push(Effect::Apply {
            call: id.clone(),
            planned: Arc::clone(&planned),
            place,
            turn: turn.id.clone(),
        });
        self.volatile.busy.insert(id.clone(), ASKED);
        self.volatile.planned.insert(id, planned);
    }

    /// It was done, or it was not.
    pub(super) fn patched(&mut self, id: CallId, result: Patched) {
        let started = |call: &Call| matches!(call.state, CallState::Started { .. });
        let Some((turn, call)) = self.open_call(&id).filter(|(_, call)| started(call)) else {
            return;
        };
        let Patched { planned, outcome, took, diff } = result;
        let changes = words::changes(&planned.plan);
        self.patch_ended(turn, call, changes, &outcome, outcome.answer(took));
        if let Some(diff) = diff {
            self.notify(Event::Diff { turn: turn.id.clone(), diff });
        }
    }

    /// It was started, and nobody knows whether it was done.
    pub(super) fn patch_lost(&mut self, turn: &Turn, call: &Call) {
        let stderr = prompt::EFFECT_UNKNOWN.to_owned();
        let outcome = Outcome { stderr, ..Outcome::without(Status::Failed) };
        self.patch_ended(turn, call, self.changes(call), &outcome, prompt::EFFECT_UNKNOWN.to_owned());
    }

    /// It was asked for, and is not done.
    pub(super) fn not_patched(&mut self, turn: &Turn, call: &Call, end: ItemEnd, text: String) {
        let status = if end == ItemEnd::Declined { Status::Declined } else { Status::Failed };
        let outcome = Outcome { stderr: text.clone(), ..Outcome::without(status) };
        self.patch_ended(turn, call, self.changes(call), &outcome, text);
    }

    fn patch_ended(&mut self, turn: &Turn, call: &Call, changes: Value, outcome: &Outcome, output: String) {
        self.volatile.busy.remove(&call.id);
        self.volatile.planned.remove(&call.id);
        let ok = outcome.status == Status::Completed;
        let item = shown(&call.id, &changes, Some(ok));
        let core = words::item_of(call.id.as_str(), changes, outcome);
        let snapshot = self.finish(turn, call, Some(core), Output::Text(output));
        self.notify(Event::ItemCompleted { turn: turn.id.clone(), item, snapshot });
    }

    /// What a patch would change: as it was looked at, else as its text says.
    pub(super) fn changes(&self, call: &Call) -> Value {
        if let Some(planned) = self.volatile.planned.get(&call.id) {
            return words::changes(&planned.plan);
        }
        let cwd = self.machine.works().cwd();
        patch::parse(&call.input)
            .map_or_else(|_| Value::Object(Default::default()), |p| words::sketch(&p, Path::new(cwd)))
    }
}

/// A change of files in a line or two.
pub(super) fn shown(call: &CallId, changes: &Value, ok: Option<bool>) -> Shown {
    let files = changes.as_object().into_iter().flatten();
    let kind = |change: &Value| change["type"].as_str().unwrap_or_default().to_owned();
    Shown::Patch { call: call.clone(), files: files.map(|(path, change)| (path.clone(), kind(change))).collect(), ok }
}

/// How long something took that began at `since`.
pub(super) fn after(since: sapwood_protocol::Millis, now: sapwood_protocol::Millis) -> Duration {
    Duration::from_millis(now.since(since).0)
}
