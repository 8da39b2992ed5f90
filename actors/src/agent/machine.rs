//! The agent machine: data and transitions, nothing else.
//!
//! Read it top to bottom: [`Machine::decide`] routes an input, [`Step::go`] looks at the open turn and takes the one
//! next step. A step changes nothing; it says which lines to append, which effects follow, and what the volatile
//! state is then. The shell appends, applies, and asks again.

use std::sync::{Arc, OnceLock};

use sapwood_model::{HistoryInitialization, ModelError, Origin, Request, Response};
use sapwood_protocol::item::{Item, ItemView, MailKind, Role, message_text};
use sapwood_protocol::line::{Cause, Mark};
use sapwood_protocol::own::{Begun, Body, How, Outcome, Own, Paused, Settled, ThreadSettings, TurnOrigin};
use sapwood_protocol::{Line, Millis, RateLimits, Usage};
use serde_json::json;

use super::effect::{Ctx, Decision, Effect, Event, Input, Interrupter, Shown, Timer, Want};
use super::inbox::{MAX_BEGUN, Pending};
use super::lines::{self, Batch};
use super::prompt::{self, Frame, Frames};
use super::settings::{OnUsageLimit, Settings};
use super::state::{Agent, Asking};
use super::turn::{Phase, Response as Answer, Turn};
use super::volatile::{Closing, Failures, ReportState, Slot, Volatile};

/// The first pause before another try, and the longest, in milliseconds. Jitter of a fifth is added.
const RETRY_MS: (u64, u64) = (200, 10_000);

/// The pause before a report that was refused is sent again, in milliseconds. A report has a permit, so this is
/// for a requester that is out of service or whose storage fails.
const REPORT_RETRY_MS: u64 = 1_000;

/// An agent: what its rollout says, what its incarnation has, and what its tree shares.
#[derive(Debug)]
pub struct Machine {
    agent: Agent,
    volatile: Volatile,
    settings: Arc<Settings>,
    frames: Arc<Frames>,
    frame: OnceLock<Frame>,
    history: HistoryInitialization,
}

impl Machine {
    /// An agent as its rollout says, with an empty volatile state.
    pub fn new(agent: Agent, settings: Arc<Settings>) -> Self {
        Self::sharing(agent, settings, Arc::default())
    }

    /// The same, of a tree whose agents share `frames`.
    pub fn sharing(mut agent: Agent, settings: Arc<Settings>, frames: Arc<Frames>) -> Self {
        if let Some(base) = agent.identity.as_mut().and_then(|identity| identity.base_instructions.as_mut()) {
            *base = frames.share(Arc::clone(base), &settings);
        }
        let volatile = Volatile { recovering: true, ..Volatile::default() };
        Self { agent, volatile, settings, frames, frame: OnceLock::new(), history: HistoryInitialization::New }
    }

    /// The same, of a thread whose history this process has got so.
    pub fn with_history(self, history: HistoryInitialization) -> Self {
        Self { history, ..self }
    }

    /// The provider, model and effort of the agent's requests: those of the run where it said them, else the agent's own.
    fn asked(&self) -> Asked<'_> {
        let of_turn = self.agent.turn.as_ref().and_then(|turn| turn.asking.as_ref());
        Asked::by(of_turn.unwrap_or(&self.agent.asking), &self.settings)
    }

    /// The durable state.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The volatile state.
    pub fn volatile(&self) -> &Volatile {
        &self.volatile
    }

    /// True if nothing is open and nothing is to be done: the incarnation may go.
    pub fn may_sleep(&self) -> bool {
        let agent = &self.agent;
        let due = agent.due().last();
        if self.paused().is_some() {
            return self.volatile.slot == Slot::None && !self.volatile.resumed && !self.volatile.pause_timed;
        }
        agent.turn.is_none()
            && self.volatile.slot == Slot::None
            && !agent.inbox.wakes()
            && due.is_none_or(|turn| self.volatile.report == ReportState::Accepted(turn.n))
    }

    /// The pause of the open turn.
    pub fn paused(&self) -> Option<&Paused> {
        self.agent.turn.as_ref()?.paused.as_ref()
    }

    /// True if it does nothing but wait for mail.
    pub fn only_awaits_mail(&self) -> bool {
        self.volatile.slot == Slot::None
            && !self.agent.inbox.has_mail()
            && !self.agent.inbox.has_user_text()
            && self.agent.turn.as_ref().is_some_and(Turn::awaits_mail)
    }

    /// Starts with a slot in hand: the incarnation was started for a turn.
    pub fn granted_at_start(&mut self) {
        self.volatile.slot = Slot::Held;
    }

    /// Decides what follows from `input`. Changes nothing.
    pub fn decide(&self, ctx: &mut Ctx<'_>, input: Input) -> Decision {
        let mut step = Step {
            agent: &self.agent,
            settings: &self.settings,
            machine: self,
            batch: Batch::after(&self.agent, ctx.now),
            ctx,
            effects: Vec::new(),
            volatile: self.volatile.clone(),
            again: false,
        };
        step.route(input);
        let lines = step.batch.into_lines();
        let again = step.again || !lines.is_empty();
        Decision { lines, effects: step.effects, volatile: step.volatile, again }
    }

    /// Follows one appended line: the only way the durable state changes.
    pub fn apply(&mut self, line: &Line) {
        self.agent.apply(line);
    }

    /// Takes over the volatile state of a decision.
    pub fn settle(&mut self, volatile: Volatile) {
        self.volatile = volatile;
        if self.frame.get().is_some_and(|frame| !frame.asks(self.asked())) {
            self.frame.take();
        }
    }

    fn frame(&self) -> &Frame {
        self.frame.get_or_init(|| {
            let id = self.agent.identity();
            let base = id.base_instructions.as_deref().unwrap_or(&self.settings.base_instructions);
            Frame::new(&self.frames, id.instructions_of, id.session, &id.path, base, self.asked(), &self.settings)
        })
    }
}

/// Whom an agent asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The provider's id.
    pub provider: &'a Arc<str>,
    /// The model.
    pub model: &'a Arc<str>,
    /// The reasoning effort.
    pub effort: Option<&'a Arc<str>>,
}

impl<'a> Asked<'a> {
    /// What this run said, else what the agent has, else what the run has.
    fn by(own: &'a Asking, run: &'a Settings) -> Self {
        let said = Asked { provider: &run.provider, model: &run.model, effort: run.effort.as_ref() };
        if run.model_is_said {
            return said;
        }
        let provider = own.provider.as_ref().unwrap_or(said.provider);
        match &own.model {
            Some(model) => Asked { provider, model, effort: own.effort.as_ref() },
            None => Asked { provider, ..said },
        }
    }

    /// True if the rollout says the same.
    fn is(&self, own: &Asking) -> bool {
        own.provider.as_ref() == Some(self.provider)
            && own.model.as_ref() == Some(self.model)
            && own.effort.as_ref() == self.effort
    }

    /// What a child is told, so that it asks the same; nothing where the run says so anyway.
    pub(super) fn for_a_child(self, run: &Settings) -> Option<Box<ThreadSettings>> {
        let same = Asked { provider: &run.provider, model: &run.model, effort: run.effort.as_ref() };
        (self != same).then(|| {
            let (provider, model) = (Some(Arc::clone(self.provider)), Some(Arc::clone(self.model)));
            Box::new(ThreadSettings { provider, model, effort: Some(self.effort.cloned()) })
        })
    }
}

/// One decision in the making.
pub(super) struct Step<'a, 'c> {
    pub(super) agent: &'a Agent,
    pub(super) settings: &'a Settings,
    machine: &'a Machine,
    pub(super) batch: Batch,
    pub(super) ctx: &'a mut Ctx<'c>,
    pub(super) effects: Vec<Effect>,
    pub(super) volatile: Volatile,
    pub(super) again: bool,
}

impl<'a> Step<'a, '_> {
    fn route(&mut self, input: Input) {
        match input {
            Input::Go => {}
            Input::Loaded => self.volatile.closing = Closing::Loading,
            Input::Recovered { culprit } => self.recover(culprit),
            Input::Granted => self.volatile.slot = Slot::Held,
            Input::GoOn | Input::Due(Timer::Pause) => self.volatile.resumed = true,
            Input::Due(Timer::Retry) => self.volatile.retry_at = None,
            Input::Due(Timer::Report) => self.volatile.report = ReportState::Unsent,
            Input::Due(Timer::Wait(call)) => {
                self.volatile.timed.remove(&call);
            }
            Input::Sampled { effect, result } => {
                if self.volatile.sampling != Some(effect) {
                    return;
                }
                self.volatile.sampling = None;
                return self.sampled(result);
            }
            Input::Held { effect, call, group } => return self.held(effect, call, group),
            Input::ToolEnded { call, result } => return self.tool_ended(call, result),
            Input::Answered { call, answer } => return self.answered(call, answer),
            Input::Reported { n, accepted } => self.reported(n, accepted),
            Input::Interrupt { turn, by } => return self.interrupt(&turn, by),
        }
        // What a recovery wrote is to be applied before anything else is decided.
        if self.again {
            return;
        }
        self.go();
    }

    /// The one next step.
    fn go(&mut self) {
        if self.agent.quarantined.is_some() {
            return;
        }
        self.report();
        let Some(turn) = &self.agent.turn else {
            return self.idle();
        };
        if self.volatile.closing != Closing::No {
            return self.close_dead(turn);
        }
        if let Some(paused) = &turn.paused
            && !self.goes_on(paused)
        {
            return;
        }
        match turn.phase() {
            Phase::Ask => self.ask(turn),
            Phase::Close => {
                self.batch.usage_record(self.agent.identity(), turn, self.agent, "", Usage::default());
            }
            Phase::Nothing => {
                let id = self.ctx.ids.item("msg", self.ctx.now);
                self.batch.item(&Item::text(id, Role::Developer, prompt::NOTHING_SAID), None);
            }
            Phase::Calls => self.calls(turn),
            Phase::Final if self.agent.inbox.has_user_text() => {
                if self.slot(Want::Resume) {
                    self.take_inputs(&turn.origin(), false, None);
                }
            }
            Phase::Final => self.complete(turn),
        }
    }

    /// Asks for a slot unless one is held. True if it is held.
    pub(super) fn slot(&mut self, want: Want) -> bool {
        if self.volatile.slot == Slot::None {
            self.volatile.slot = Slot::Wanted;
            self.effects.push(Effect::Want(want));
        }
        self.volatile.slot == Slot::Held
    }

    /// Gives the slot back, or takes the wish for one back.
    pub(super) fn give_back(&mut self) {
        if self.volatile.slot != Slot::None {
            self.volatile.slot = Slot::None;
            self.effects.push(Effect::GiveBack);
        }
    }

    pub(super) fn notify(&mut self, event: Event) {
        self.effects.push(Effect::Notify(event));
    }

    /// Whom the open turn asks.
    pub(super) fn asked(&self) -> Asked<'a> {
        self.machine.asked()
    }

    /// Without an open turn: begin one if something wants it.
    fn idle(&mut self) {
        if self.volatile.closing != Closing::No {
            return;
        }
        if !self.agent.inbox.wakes() {
            self.give_back();
            return self.apply_settings();
        }
        // Reports go in order: the next turn's waits until this one is accepted.
        if matches!(self.volatile.report, ReportState::Sent(_) | ReportState::Later(_)) {
            return self.give_back();
        }
        if self.slot(Want::NewTurn) {
            self.start_turn();
        }
    }

    /// Applies settings that nothing was said after.
    fn apply_settings(&mut self) {
        let mut asking = self.agent.asking.clone();
        for (id, settings) in self.agent.inbox.leading_settings() {
            asking.set(settings);
            let mark = Mark::consumes(id.clone());
            let asked = Asked::by(&asking, self.settings);
            self.batch.settings_applied(self.agent.identity(), asked, self.settings, Some(&mark));
        }
    }

    fn start_turn(&mut self) {
        let identity = self.agent.identity();
        let pending = self.agent.inbox.pending();
        let first = pending.iter().find(|pending| pending.accepted.wake).map_or(0, |first| first.accepted.place);
        let mut asking = self.agent.asking.clone();
        let mut applied = Mark::default();
        for before in pending.iter().filter(|pending| pending.accepted.place <= first) {
            match &before.accepted.body {
                Some(Body::Settings { settings }) => {
                    asking.set(settings);
                    applied.consumes.push(before.accepted.id.clone());
                }
                Some(Body::User { settings: Some(settings), .. }) => asking.set(settings),
                _ => {}
            }
        }
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
        let is_new = !asked.is(&self.agent.asking) || !self.agent.context_written;
        let mark = Some(&applied).filter(|mark| !mark.consumes.is_empty());
        if is_new || mark.is_some() {
            self.batch.settings_applied(identity, asked, self.settings, mark);
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
    fn take_inputs(&mut self, turn: &TurnOrigin, mail: bool, applied: Option<(u64, Asking)>) {
        let identity = self.agent.identity();
        let thread = identity.thread;
        let now = self.ctx.now;
        let inbox = &self.agent.inbox;
        let (through, mut asking) = applied.map_or((None, self.agent.asking.clone()), |(place, asking)| (Some(place), asking));
        for pending in if mail { inbox.mail_for_request() } else { Vec::new() } {
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

    /// True if a pause is over: somebody asked, or said something, or its time came. Else it costs nothing.
    fn goes_on(&mut self, paused: &Paused) -> bool {
        let until = paused.until.filter(|_| self.settings.on_usage_limit == OnUsageLimit::Wait);
        self.volatile.resumed |= self.agent.inbox.has_user_text() || until.is_some_and(|until| until <= self.ctx.now);
        if self.volatile.resumed {
            return true;
        }
        self.give_back();
        if let Some(at) = until.filter(|_| !self.volatile.pause_timed) {
            self.volatile.pause_timed = true;
            self.effects.push(Effect::Timer { timer: Timer::Pause, at });
        }
        false
    }

    /// The account has used up what it may use: the turn stays open, and asks again when the limit has ended.
    fn pause_turn(&mut self, turn: &Turn, reason: String, until: Option<Millis>) {
        (self.volatile.resumed, self.volatile.pause_timed) = (false, false);
        self.volatile.failures = Failures::default();
        self.give_back();
        self.batch.own(&Own::Paused(Paused { until, reason: reason.clone() }));
        let by_itself = until.is_some() && self.settings.on_usage_limit == OnUsageLimit::Wait;
        self.notify(Event::Paused { turn: turn.id.clone(), message: reason, until, by_itself });
    }

    /// Asks the model, after it was told what is pending.
    fn ask(&mut self, turn: &Turn) {
        if self.volatile.sampling.is_some() || self.volatile.retry_at.is_some() || !self.slot(Want::Resume) {
            return;
        }
        // A request that is tried again, and one after a pause, is the same request.
        let again = self.volatile.failures.all() > 0 || turn.paused.is_some();
        if turn.response.is_closed() && !again {
            self.batch.token_count(self.agent.usage, turn.usage, self.limits(), self.settings);
        }
        if self.volatile.failures.all() == 0 && (self.agent.inbox.has_mail() || self.agent.inbox.has_user_text()) {
            return self.take_inputs(&turn.origin(), true, None);
        }
        let identity = self.agent.identity();
        let effect = self.ctx.ids.bits();
        let asked = self.machine.asked();
        self.volatile.sampling = Some(effect);
        let origin = Origin {
            session: identity.session,
            thread: identity.thread,
            path: identity.path.clone(),
            parent: identity.parent,
            thread_source: identity.thread_source.clone(),
            turn: turn.id.clone(),
            root_turn: turn.root.clone(),
            parent_turn: turn.parent.clone(),
            turn_started: turn.started,
            history: self.machine.history,
            window: self.agent.window,
            provider: Arc::clone(asked.provider),
            model: Arc::clone(asked.model),
            effort: asked.effort.cloned(),
            sandbox: self.settings.sandbox.name(),
            attempt: self.volatile.failures.all() + 1,
        };
        let body = self.machine.frame().body(&self.agent.history);
        self.effects.push(Effect::Sample { effect, request: Request { origin, body } });
    }

    fn sampled(&mut self, result: Result<Response, ModelError>) {
        let Some(turn) = &self.agent.turn else { return };
        match result {
            Ok(response) => {
                self.volatile.failures = Failures::default();
                self.volatile.resumed = false;
                if let Some(limits) = &response.limits {
                    self.volatile.limits = Some(Arc::new((**limits).clone()));
                }
                self.batch.response(self.agent.identity(), turn, self.agent, &response);
                for json in &response.items {
                    if let Some(item) = shown(json) {
                        self.notify(Event::ItemCompleted { turn: turn.id.clone(), item });
                    }
                }
                let (mut of_turn, mut of_thread) = (turn.usage, self.agent.usage);
                of_turn += response.usage;
                of_thread += response.usage;
                self.notify(Event::Usage { turn: of_turn, thread: of_thread });
            }
            Err(error) if error.is_transient() && self.may_try_again(&error) => {
                let at = self.ctx.now.plus(self.pause(&error));
                self.volatile.retry_at = Some(at);
                self.effects.push(Effect::Timer { timer: Timer::Retry, at });
                self.notify(Event::Retrying { message: error.to_string(), at });
            }
            Err(ModelError::UsageLimited { message, until }) => self.pause_turn(turn, message, until),
            Err(error) => {
                let message = error.to_string();
                self.batch.task_complete(turn, Some(&error));
                self.end(turn, Outcome::Failed, Some(message));
            }
        }
    }

    /// Counts a failed try. True if another one is allowed.
    fn may_try_again(&mut self, error: &ModelError) -> bool {
        let (failures, retries) = (&mut self.volatile.failures, self.settings.retries);
        let (count, most) = match error {
            ModelError::Cut { .. } => (&mut failures.stream, retries.stream),
            _ => (&mut failures.request, retries.request),
        };
        *count += 1;
        *count <= most
    }

    /// The pause before the next try: doubled each time, with jitter, and never shorter than the provider asks.
    fn pause(&mut self, error: &ModelError) -> u64 {
        let doubled = RETRY_MS.0 << (self.volatile.failures.all() - 1).min(16);
        let pause = doubled.min(RETRY_MS.1);
        let jitter = self.ctx.ids.bits() % (pause / 5).max(1);
        let asked = match error {
            ModelError::Unavailable { retry_after_ms: Some(ms), .. } => *ms,
            _ => 0,
        };
        (pause + jitter).max(asked)
    }

    fn limits(&self) -> Option<Arc<RateLimits>> {
        self.volatile.limits.clone()
    }

    fn complete(&mut self, turn: &Turn) {
        self.batch.token_count(self.agent.usage, turn.usage, self.limits(), self.settings);
        self.batch.task_complete(turn, None);
        self.end(turn, Outcome::Completed, turn.last_message.clone());
    }

    /// The turn is over: what only it needed goes back.
    pub(super) fn end(&mut self, turn: &Turn, outcome: Outcome, message: Option<String>) {
        self.give_back();
        self.volatile = Volatile { slot: self.volatile.slot, closing: self.volatile.closing, ..Volatile::default() };
        self.notify(Event::TurnEnded { turn: turn.id.clone(), outcome, message, usage: turn.usage });
    }

    /// Sends the report of the last turn, once an incarnation; its number makes it one report for the requester.
    fn report(&mut self) {
        let accepted = match self.volatile.report {
            ReportState::Unsent => None,
            ReportState::Accepted(n) => Some(n),
            ReportState::Sent(_) | ReportState::Later(_) => return,
        };
        // An open turn's predecessor was reported before it began.
        if self.agent.turn.is_some() {
            return;
        }
        let next = self.agent.due().find(|turn| accepted.is_none_or(|accepted| turn.n > accepted));
        if let Some(report) = next.and_then(|turn| turn.report()) {
            self.volatile.report = ReportState::Sent(report.n);
            self.effects.push(Effect::Report(report));
        }
    }

    fn reported(&mut self, n: u64, accepted: bool) {
        if self.volatile.report != ReportState::Sent(n) {
            return;
        }
        if accepted {
            self.volatile.report = ReportState::Accepted(n);
        } else {
            self.volatile.report = ReportState::Later(n);
            let at = self.ctx.now.plus(REPORT_RETRY_MS);
            self.effects.push(Effect::Timer { timer: Timer::Report, at });
        }
    }

    fn interrupt(&mut self, turn_id: &sapwood_protocol::TurnId, by: Interrupter) {
        let Some(turn) = self.agent.turn.as_ref().filter(|turn| turn.id == *turn_id) else {
            return;
        };
        let cause = match by {
            Interrupter::Agent(thread) if self.agent.identity().parent == Some(thread) => Cause::Requester,
            Interrupter::User if self.agent.identity().parent.is_none() => Cause::Requester,
            _ => Cause::Interrupted,
        };
        if self.volatile.sampling.is_some() {
            self.effects.push(Effect::CancelSample);
        }
        self.abandon_calls(turn);
        if self.settings.interrupt_message {
            let id = self.ctx.ids.item("msg", self.ctx.now);
            self.batch.item(&Item::text(id, Role::Developer, prompt::INTERRUPTED), None);
        }
        self.batch.turn_aborted(turn, cause);
        self.end(turn, Outcome::Cancelled, None);
    }

    /// The old incarnation died of an input: it is begun again, but not for ever.
    fn recover(&mut self, culprit: Option<sapwood_protocol::ids::InputId>) {
        self.volatile.recovering = false;
        let Some(pending) = culprit.and_then(|id| self.agent.inbox.get(&id)) else {
            return;
        };
        let id = pending.accepted.id.clone();
        self.again = true;
        if pending.begun >= MAX_BEGUN {
            self.batch.own(&Own::Settled(Settled { id: id.clone(), how: How::DeadLetter }));
            let text = format!("input {id} was set aside: the agent crashed {} times over it", MAX_BEGUN + 1);
            self.notify(Event::Warning(text));
        } else {
            self.batch.own(&Own::Begun(Begun { id }));
        }
    }

    /// Closes, once, a turn that process death left open. Nothing is run.
    fn close_dead(&mut self, turn: &Turn) {
        if turn.parked() {
            return;
        }
        match turn.phase() {
            Phase::Final => return self.complete(turn),
            Phase::Calls if self.volatile.closing == Closing::Loading && self.close_asked(turn) => {
                return;
            }
            _ => {}
        }
        self.lose(turn);
    }

    /// Writes that the turn is lost, with what is known of its calls.
    pub(super) fn lose(&mut self, turn: &Turn) {
        if turn.response == Answer::Torn {
            self.batch.usage_record(self.agent.identity(), turn, self.agent, "", Usage::default());
        }
        self.lose_calls(turn);
        self.batch.turn_aborted(turn, Cause::ProcessDeath);
        self.end(turn, Outcome::Lost, None);
    }
}

/// For whom a turn is that takes these: for its user, if he says something; else for who gives a task, else for who woke
/// it first. Reports that waited only come along.
fn cause_of<'a>(pending: &[&'a Pending]) -> Option<(&'a TurnOrigin, &'a sapwood_protocol::AgentPath)> {
    if pending.iter().any(|pending| matches!(pending.accepted.body, Some(Body::User { .. }))) {
        return None;
    }
    let is_task = |p: &&&Pending| matches!(p.accepted.body, Some(Body::Mail { kind: MailKind::NewTask, .. }));
    let task = pending.iter().find(is_task);
    task.or_else(|| pending.iter().find(|pending| pending.accepted.wake)).and_then(|first| origin_of(first))
}

/// The turn and the agent that an input comes from.
fn origin_of(pending: &Pending) -> Option<(&TurnOrigin, &sapwood_protocol::AgentPath)> {
    match (&pending.accepted.body, &pending.accepted.from) {
        (Some(Body::Mail { turn, .. }), Some(from)) => Some((turn, &from.path)),
        _ => None,
    }
}

/// An item of the model as it is shown; calls are shown when they begin and end.
fn shown(json: &[u8]) -> Option<Shown> {
    let item = ItemView::parse(json)?;
    let id = item.id.as_ref().map(|id| id.to_string()).unwrap_or_default();
    match &*item.kind {
        "message" => Some(Shown::Agent { id, text: message_text(json)? }),
        "reasoning" => Some(Shown::Reasoning { id, text: lines::reasoning_summary(json).join("\n") }),
        _ => None,
    }
}
