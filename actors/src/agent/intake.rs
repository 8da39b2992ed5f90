//! From the inbox into history: what begins a turn, and what comes while one is open.
//!
//! Inputs are taken in the order of their acceptance, all mail before what users said; the line that takes one says so in
//! its mark.

use sapwood_protocol::ids::InputId;
use sapwood_protocol::item::{Item, MailKind, Role};
use sapwood_protocol::line::Mark;
use sapwood_protocol::own::{Body, Outcome, Said, TurnOrigin};
use sapwood_protocol::{AgentPath, TurnId};
use serde_json::{Value, json};

use super::asked::Asked;
use super::event::{Event, Shown};
use super::inbox::{Pending, says};
use super::input::Interrupter;
use super::machine::Step;
use super::manner::Works;
use super::state::Asking;
use super::turn::Turn;
use super::{lines, prompt};

impl Step<'_, '_> {
    /// Applies what was set up to this place, before which nothing was said. Returns what the thread asks then.
    pub(super) fn apply_settings(&mut self, through: u64) -> Asking {
        let mut asking = self.agent.asking.clone();
        for pending in self.agent.inbox.pending().into_iter().filter(|pending| pending.accepted.place <= through) {
            let (settings, mark) = match &pending.accepted.body {
                Some(Body::Settings { settings }) => (settings, Mark::consumes(pending.accepted.id.clone())),
                // What was said is consumed with its text.
                Some(Body::User(Said { settings: Some(settings), .. })) if pending.accepted.place == through => {
                    (&**settings, Mark::default())
                }
                _ => continue,
            };
            asking.set(settings);
            let mark = Some(&mark).filter(|mark| !mark.consumes.is_empty());
            self.settings_applied(&asking, mark);
        }
        asking
    }

    /// Says what is set from here on.
    fn settings_applied(&mut self, asking: &Asking, mark: Option<&Mark>) {
        let (asked, works) = (Asked::by(asking, self.settings), self.works(asking));
        self.batch.settings_applied(self.agent.identity(), asked, works, mark);
        self.notify(Event::SettingsApplied);
    }

    /// How an agent works that has this set.
    fn works<'b>(&self, asking: &'b Asking) -> Works<'b>
    where
        Self: 'b,
    {
        Works::by(asking.manner.as_deref(), &self.agent.identity().cwd, self.settings)
    }

    /// Opens a turn, and takes what is pending into it.
    pub(super) fn start_turn(&mut self) {
        self.open_turn(true);
    }

    /// Opens the turn that was promised and is over before it begins: what was said is in its history, and no slot is needed.
    /// Mail waits for a turn that reads it.
    pub(super) fn start_stopped(&mut self, by: Interrupter) {
        let TurnOrigin { turn, root_turn } = self.open_turn(false);
        let turn = Turn::new(turn, root_turn, None, self.ctx.now);
        self.break_off(&turn, self.cause_of(by), None);
    }

    fn open_turn(&mut self, mail: bool) -> TurnOrigin {
        let identity = self.agent.identity();
        let pending = self.agent.inbox.pending();
        let first = self.agent.inbox.first();
        let promised = self.agent.inbox.promised().filter(|id| self.is_new(id));
        let first = first.map_or(0, |first| first.accepted.place);
        // First of all: a turn asks the provider that the settings before its context name.
        let before = self.batch.number();
        let asking = self.apply_settings(first);
        let is_said = self.batch.number() > before;
        let cause = cause_of(&pending);
        let turn = promised.unwrap_or_else(|| self.ctx.ids.turn(self.ctx.now));
        let root_turn = cause.map_or_else(|| turn.clone(), |(origin, _)| origin.root_turn.clone());
        let turn = TurnOrigin { turn, root_turn };
        let says_nothing = |body: &Option<Body>| match body {
            None => true,
            Some(Body::User(said)) => said.input.is_empty(),
            Some(_) => false,
        };
        let silent = pending.iter().filter(|p| says_nothing(&p.accepted.body)).map(|p| p.accepted.id.clone()).collect();
        let mark = Mark { consumes: silent, ..Mark::default() };
        self.batch.task_started(&turn, cause, (!mark.consumes.is_empty()).then_some(&mark), self.settings);
        let (asked, works) = (Asked::by(&asking, self.settings), self.works(&asking));
        if !self.agent.context_written {
            self.first_context(works);
        }
        self.tell_mode(works);
        self.batch.turn_context(&turn, asked, works);
        let is_new = !asked.is(&self.agent.asking) || !works.is(self.agent.asking.manner.as_ref());
        if !is_said && (is_new || !self.agent.context_written) {
            self.batch.settings_applied(identity, asked, works, None);
        }
        let TurnOrigin { turn: id, root_turn: root } = turn.clone();
        self.notify(Event::TurnStarted { turn: id, root, started: self.ctx.now });
        self.take_inputs(&turn, mail, Some((first, asking)));
        turn
    }

    /// False of a turn that was promised while it was open, and is over since: a turn has its id alone.
    pub(super) fn is_new(&self, turn: &TurnId) -> bool {
        self.agent.last_turn.as_ref().is_none_or(|last| last.id != *turn)
    }

    /// What a model is told before the first input of its thread.
    fn first_context(&mut self, works: Works<'_>) {
        let identity = self.agent.identity();
        let now = self.ctx.now;
        if let Some(text) = works.developer_instructions() {
            self.batch.item(&Item::text(self.ctx.ids.item("msg", now), Role::Developer, text), None);
        }
        // Alone and for ever so, it is told nothing of a team.
        if self.settings.max_depth > 0 {
            let hint = prompt::multi_agent_hint(&identity.path, self.settings);
            self.batch.item(&Item::text(self.ctx.ids.item("msg", now), Role::Developer, hint), None);
        }
        if let Some(text) = &self.settings.agents_md {
            let text = prompt::agents_md(works.cwd(), text);
            self.batch.item(&Item::text(self.ctx.ids.item("msg", now), Role::User, text), None);
        }
        let environment = prompt::environment(works, self.settings, &self.settings.date(now));
        self.batch.item(&Item::text(self.ctx.ids.item("msg", now), Role::User, environment), None);
        if let Some(text) = &self.settings.managed_instructions {
            let text = prompt::managed(text);
            self.batch.item(&Item::text(self.ctx.ids.item("msg", now), Role::Developer, text), None);
        }
    }

    /// Tells a model what its mode of collaboration says, where it was told something else or nothing. The context that
    /// follows says that it was.
    fn tell_mode(&mut self, works: Works<'_>) {
        let is_new = |said: &&str| !said.is_empty() && self.agent.mode_told.as_deref() != Some(*said);
        if let Some(said) = works.mode_instructions().filter(is_new) {
            let text = prompt::mode(said);
            self.batch.item(&Item::text(self.ctx.ids.item("msg", self.ctx.now), Role::Developer, text), None);
        }
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
            let (said, settings) = match &pending.accepted.body {
                // One that comes into an open turn has nothing to begin: it waits for the next.
                Some(Body::User(said)) if said.input.is_empty() => continue,
                Some(Body::User(said)) => (Some(said), said.settings.as_deref()),
                // It begins a turn of its own, or waits for the end of this one.
                Some(Body::Queued(queued)) if pending.accepted.wake && through == Some(pending.accepted.place) => {
                    (Some(&queued.said), None)
                }
                Some(Body::Settings { settings }) => (None, Some(settings)),
                Some(Body::Items { items }) if says(items) => {
                    self.insert(&pending.accepted.id, items);
                    continue;
                }
                _ => continue,
            };
            if let Some(settings) = settings.filter(|_| !is_applied) {
                asking.set(settings);
                let mark = said.is_none().then(|| Mark::consumes(pending.accepted.id.clone()));
                self.settings_applied(&asking, mark.as_ref());
            }
            let Some(said) = said else { continue };
            let id = self.ctx.ids.item("msg", now);
            let shown = lines::shown_user(id.as_str(), said);
            let item = Item::Message { id: id.clone(), role: Role::User, content: prompt::content(&said.input) };
            self.batch.item(&item, Some(&Mark::consumes(pending.accepted.id.clone())));
            let snapshot = Some(self.batch.completed(thread, &turn.turn, &shown, now, None));
            let item = Shown::User { id: id.as_str().to_owned(), text: prompt::told(&said.input) };
            self.notify(Event::ItemCompleted { turn: turn.turn.clone(), item, snapshot });
        }
    }

    /// Puts items into history that came before what the next turn begins with. No turn is open: calls among them are not run.
    pub(super) fn insert_items(&mut self) {
        let inbox = &self.agent.inbox;
        let before = inbox.first().map_or(u64::MAX, |first| first.accepted.place);
        let pending = inbox.pending().into_iter().filter(|pending| pending.accepted.place < before);
        let items = pending.filter_map(|pending| match &pending.accepted.body {
            Some(Body::Items { items }) => Some((&pending.accepted.id, items)),
            _ => None,
        });
        let items: Vec<_> = items.collect();
        if items.is_empty() {
            return;
        }
        if !self.agent.context_written {
            // They come after what a model is told first, which no turn has told it yet.
            let asking = self.agent.asking.clone();
            self.first_context(self.works(&asking));
            self.tell_mode(self.works(&asking));
            let turn = self.ctx.ids.turn(self.ctx.now);
            let turn = TurnOrigin { root_turn: turn.clone(), turn };
            let (asked, works) = (Asked::by(&asking, self.settings), self.works(&asking));
            self.batch.turn_context(&turn, asked, works);
            self.batch.settings_applied(self.agent.identity(), asked, works, None);
        }
        items.into_iter().for_each(|(id, items)| self.insert(id, items));
    }

    /// Puts items of a client into history as they are. The last one consumes the input: a torn batch is repeated.
    fn insert(&mut self, id: &InputId, items: &[Value]) {
        let Some((last, others)) = items.split_last() else { return };
        others.iter().for_each(|item| self.batch.codex("response_item", item, None));
        self.batch.codex("response_item", last, Some(&Mark::consumes(id.clone())));
    }

    fn take_mail(&mut self, turn: &TurnOrigin, pending: &Pending) {
        let identity = self.agent.identity();
        let (Some(from), Some(Body::Mail { kind, text, turn: origin, outcome })) =
            (&pending.accepted.from, &pending.accepted.body)
        else {
            return;
        };
        let now = self.ctx.now;
        let mut snapshot = None;
        if *kind == MailKind::FinalAnswer && *outcome == Some(Outcome::Completed) {
            let id = format!("subagent-completed-{}", origin.turn);
            let shown = lines::shown_activity(&id, "completed", from.thread, &from.path, None);
            snapshot = Some(self.batch.completed(identity.thread, &turn.turn, &shown, now, None));
        }
        let trigger = json!({"trigger_turn": kind.wakes()});
        self.batch.codex("inter_agent_communication_metadata", &trigger, None);
        let id = self.ctx.ids.item("amsg", now);
        let item = Item::mail(id, *kind, &from.path, &identity.path, text);
        self.batch.item(&item, Some(&Mark::consumes(pending.accepted.id.clone())));
        let item = Shown::Mail { from: from.path.clone(), kind: *kind, text: text.clone() };
        self.notify(Event::ItemCompleted { turn: turn.turn.clone(), item, snapshot });
    }
}

/// For whom a turn is that takes these: for its user, if he says something; else for who gives a task, else for who woke
/// it first. Reports that waited only come along.
fn cause_of<'a>(pending: &[&'a Pending]) -> Option<(&'a TurnOrigin, &'a AgentPath)> {
    if pending.iter().any(|pending| matches!(pending.accepted.body, Some(Body::User(_)))) {
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
