//! From the inbox into history: what begins a turn, and what comes while one is open.
//!
//! Inputs are taken in the order of their acceptance, all mail before what users said; the line that takes one says so in
//! its mark.

use sapwood_protocol::AgentPath;
use sapwood_protocol::item::{Item, MailKind, Role};
use sapwood_protocol::line::Mark;
use sapwood_protocol::own::{Body, Outcome, TurnOrigin};
use serde_json::json;

use super::asked::Asked;
use super::effect::{Event, Shown};
use super::inbox::Pending;
use super::machine::Step;
use super::state::Asking;
use super::{lines, prompt};

impl Step<'_, '_> {
    /// Applies what was set up to this place, before which nothing was said. Returns what the thread asks then.
    pub(super) fn apply_settings(&mut self, through: u64) -> Asking {
        let mut asking = self.agent.asking.clone();
        for pending in self.agent.inbox.pending().into_iter().filter(|pending| pending.accepted.place <= through) {
            let (settings, mark) = match &pending.accepted.body {
                Some(Body::Settings { settings }) => (settings, Mark::consumes(pending.accepted.id.clone())),
                // What was said is consumed with its text.
                Some(Body::User { settings: Some(settings), .. }) if pending.accepted.place == through => {
                    (&**settings, Mark::default())
                }
                _ => continue,
            };
            asking.set(settings);
            let mark = Some(&mark).filter(|mark| !mark.consumes.is_empty());
            self.batch.settings_applied(self.agent.identity(), Asked::by(&asking, self.settings), self.settings, mark);
        }
        asking
    }

    /// Opens a turn, and takes what is pending into it.
    pub(super) fn start_turn(&mut self) {
        let identity = self.agent.identity();
        let pending = self.agent.inbox.pending();
        let first = pending.iter().find(|pending| pending.accepted.wake).map_or(0, |first| first.accepted.place);
        // First of all: a turn asks the provider that the settings before its context name.
        let before = self.batch.number();
        let asking = self.apply_settings(first);
        let is_said = self.batch.number() > before;
        let cause = cause_of(&pending);
        let turn = self.ctx.ids.turn(self.ctx.now);
        let root_turn = cause.map_or_else(|| turn.clone(), |(origin, _)| origin.root_turn.clone());
        let turn = TurnOrigin { turn, root_turn };
        let silent = pending.iter().filter(|p| p.accepted.body.is_none()).map(|p| p.accepted.id.clone()).collect();
        let mark = Mark { consumes: silent, ..Mark::default() };
        self.batch.task_started(&turn, cause, (!mark.consumes.is_empty()).then_some(&mark), self.settings);
        if !self.agent.context_written {
            self.first_context();
        }
        let asked = Asked::by(&asking, self.settings);
        self.batch.turn_context(&turn, identity, asked, self.settings);
        if !is_said && (!asked.is(&self.agent.asking) || !self.agent.context_written) {
            self.batch.settings_applied(identity, asked, self.settings, None);
        }
        self.notify(Event::TurnStarted { turn: turn.turn.clone() });
        self.take_inputs(&turn, true, Some((first, asking)));
    }

    /// What a model is told before the first input of its thread.
    fn first_context(&mut self) {
        let identity = self.agent.identity();
        let now = self.ctx.now;
        let hint = prompt::multi_agent_hint(&identity.path, self.settings);
        self.batch.item(&Item::text(self.ctx.ids.item("msg", now), Role::Developer, hint), None);
        if let Some(text) = &self.settings.agents_md {
            let text = prompt::agents_md(&identity.cwd, text);
            self.batch.item(&Item::text(self.ctx.ids.item("msg", now), Role::User, text), None);
        }
        let environment = prompt::environment(&identity.cwd, self.settings, &self.settings.date(now));
        self.batch.item(&Item::text(self.ctx.ids.item("msg", now), Role::User, environment), None);
    }

    /// Puts pending inputs into history: mail first, then what users said.
    /// Settings take effect with the next turn; those up to the place that is given have taken effect with this one.
    pub(super) fn take_inputs(&mut self, turn: &TurnOrigin, mail: bool, applied: Option<(u64, Asking)>) {
        let identity = self.agent.identity();
        let thread = identity.thread;
        let now = self.ctx.now;
        let inbox = &self.agent.inbox;
        let (through, mut asking) =
            applied.map_or((None, self.agent.asking.clone()), |(place, asking)| (Some(place), asking));
        for pending in if mail { inbox.mail_for_request() } else { Vec::new() } {
            self.volatile.mail_taken = true;
            self.take_mail(turn, pending);
        }
        for pending in inbox.pending() {
            let is_applied = through.is_some_and(|through| pending.accepted.place <= through);
            let (text, settings) = match &pending.accepted.body {
                Some(Body::User { text, settings }) => (Some(text), settings.as_deref()),
                Some(Body::Settings { settings }) => (None, Some(settings)),
                _ => continue,
            };
            if let Some(settings) = settings.filter(|_| !is_applied) {
                asking.set(settings);
                let mark = text.is_none().then(|| Mark::consumes(pending.accepted.id.clone()));
                let asked = Asked::by(&asking, self.settings);
                self.batch.settings_applied(identity, asked, self.settings, mark.as_ref());
            }
            let Some(text) = text else { continue };
            let id = self.ctx.ids.item("msg", now);
            let shown = lines::shown_user(id.as_str(), text);
            self.batch
                .item(&Item::text(id, Role::User, text.as_str()), Some(&Mark::consumes(pending.accepted.id.clone())));
            self.batch.completed(thread, &turn.turn, shown, now, None);
            let item = Shown::User { text: text.clone() };
            self.notify(Event::ItemCompleted { turn: turn.turn.clone(), item });
        }
    }

    fn take_mail(&mut self, turn: &TurnOrigin, pending: &Pending) {
        let identity = self.agent.identity();
        let (Some(from), Some(Body::Mail { kind, text, turn: origin, outcome })) =
            (&pending.accepted.from, &pending.accepted.body)
        else {
            return;
        };
        let now = self.ctx.now;
        if *kind == MailKind::FinalAnswer && *outcome == Some(Outcome::Completed) {
            let id = format!("subagent-completed-{}", origin.turn);
            let shown = lines::shown_activity(&id, "completed", from.thread, &from.path, None);
            self.batch.completed(identity.thread, &turn.turn, shown, now, None);
        }
        let trigger = json!({"trigger_turn": kind.wakes()});
        self.batch.codex("inter_agent_communication_metadata", &trigger, None);
        let id = self.ctx.ids.item("amsg", now);
        let item = Item::mail(id, *kind, &from.path, &identity.path, text);
        self.batch.item(&item, Some(&Mark::consumes(pending.accepted.id.clone())));
        let item = Shown::Mail { from: from.path.clone(), kind: *kind, text: text.clone() };
        self.notify(Event::ItemCompleted { turn: turn.turn.clone(), item });
    }
}

/// For whom a turn is that takes these: for its user, if he says something; else for who gives a task, else for who woke
/// it first. Reports that waited only come along.
fn cause_of<'a>(pending: &[&'a Pending]) -> Option<(&'a TurnOrigin, &'a AgentPath)> {
    if pending.iter().any(|pending| matches!(pending.accepted.body, Some(Body::User { .. }))) {
        return None;
    }
    let is_task = |p: &&&Pending| matches!(p.accepted.body, Some(Body::Mail { kind: MailKind::NewTask, .. }));
    let task = pending.iter().find(is_task);
    task.or_else(|| pending.iter().find(|pending| pending.accepted.wake)).and_then(|first| origin_of(first))
}

/// The turn and the agent that an input comes from.
fn origin_of(pending: &Pending) -> Option<(&TurnOrigin, &AgentPath)> {
    match (&pending.accepted.body, &pending.accepted.from) {
        (Some(Body::Mail { turn, .. }), Some(from)) => Some((turn, &from.path)),
        _ => None,
    }
}
