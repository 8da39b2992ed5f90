//! The agent machine: data and transitions, nothing else.
//!
//! Read it top to bottom: [`Machine::decide`] routes an input, [`Step::go`] looks at the open turn and takes the one
//! next step. A step changes nothing; it says which lines to append, which effects follow, and what the volatile
//! state is then. The shell appends, applies, and asks again.

use std::sync::{Arc, OnceLock};

use sapwood_model::{HistoryInitialization, ModelError};
use sapwood_protocol::item::{Item, Role};
use sapwood_protocol::line::Cause;
use sapwood_protocol::own::{Begun, How, Outcome, Own, Paused, Settled};
use sapwood_protocol::{Line, TurnId, Usage};
use serde_json::Value;

use super::asked::Asked;
use super::asking_people::Refusal;
use super::effect::{Decision, Effect, Timer, Want};
use super::event::Event;
use super::frame::{Frame, Frames};
use super::inbox::MAX_BEGUN;
use super::input::{Ctx, Input, Interrupter};
use super::lines::Batch;
use super::manner::Works;
use super::prompt;
use super::settings::Settings;
use super::state::Agent;
use super::turn::{Call, Phase, Response as Answer, Turn};
use super::volatile::{Closing, ReportState, Slot, Volatile};

/// The pause before a report that was refused is sent again, in milliseconds. A report has a permit, so this is
/// for a requester whose storage fails.
const REPORT_RETRY_MS: u64 = 1_000;

/// An agent: what its rollout says, what its incarnation has, and what its tree shares.
#[derive(Debug)]
pub struct Machine {
    agent: Agent,
    volatile: Volatile,
    settings: Arc<Settings>,
    frames: Arc<Frames>,
    frame: OnceLock<Frame>,
    pub(super) history: HistoryInitialization,
}

impl Machine {
    /// An agent as its rollout says, with an empty volatile state.
    pub fn new(agent: Agent, settings: Arc<Settings>) -> Self {
        Self::sharing(agent, settings, Arc::default())
    }

    /// The same, of a tree whose agents share `frames`.
    pub fn sharing(mut agent: Agent, settings: Arc<Settings>, frames: Arc<Frames>) -> Self {
        // Most have those of their tree: then no copy of their own.
        let own = agent.identity.as_mut().and_then(|identity| identity.base_instructions.as_mut());
        if let Some(own) = own.filter(|own| **own == settings.base_instructions) {
            *own = Arc::clone(&settings.base_instructions);
        }
        let volatile = Volatile { recovering: true, ..Volatile::default() };
        Self { agent, volatile, settings, frames, frame: OnceLock::new(), history: HistoryInitialization::New }
    }

    /// The same, of a thread whose history this process has got so.
    pub fn with_history(self, history: HistoryInitialization) -> Self {
        Self { history, ..self }
    }

    /// The provider, model and effort of the agent's requests: those of the run where it said them, else the agent's own.
    pub(super) fn asked(&self) -> Asked<'_> {
        let of_turn = self.agent.turn.as_ref().and_then(|turn| turn.asking.as_ref());
        Asked::by(of_turn.unwrap_or(&self.agent.asking), &self.settings)
    }

    /// How the agent works: the run's way where the run said it, else that of its turn, else its own.
    pub(super) fn works(&self) -> Works<'_> {
        let asking = self.agent.turn.as_ref().and_then(|turn| turn.asking.as_ref()).unwrap_or(&self.agent.asking);
        Works::by(asking.manner.as_deref(), &self.agent.identity().cwd, &self.settings)
    }

    /// The durable state.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The durable state alone: the incarnation is over.
    pub fn into_agent(self) -> Agent {
        self.agent
    }

    /// The volatile state.
    pub fn volatile(&self) -> &Volatile {
        &self.volatile
    }

    /// True if nothing is open and nothing is to be done: the incarnation may go.
    pub fn may_sleep(&self) -> bool {
        let agent = &self.agent;
        if agent.has_open_shells() {
            return false;
        }
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

    /// The same while it lasts: once somebody has asked, or its time has come, the turn works again, and the line that
    /// ends the pause comes with the answer.
    pub fn rests(&self) -> Option<&Paused> {
        self.paused().filter(|_| !self.volatile.resumed)
    }

    /// True if it does nothing but wait for mail.
    pub fn only_awaits_mail(&self) -> bool {
        self.volatile.slot == Slot::None
            && !self.agent.inbox.has_mail()
            && !self.agent.inbox.has_user_text()
            && self.agent.turn.as_ref().is_some_and(Turn::awaits_mail)
    }

    /// True if it does nothing but wait for answers of people and clients.
    pub fn only_asks(&self) -> bool {
        self.volatile.slot == Slot::None && self.agent.awaits_answers()
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
            breaks_off: false,
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
        if self.frame.get().is_some_and(|frame| !frame.asks(&self.agent, self.asked())) {
            self.frame.take();
        }
    }

    pub(super) fn frame(&self) -> &Frame {
        self.frame.get_or_init(|| {
            let id = self.agent.identity();
            let base = id.base_instructions.as_deref().unwrap_or(&self.settings.base_instructions);
            Frame::new(&self.frames, &self.agent, base, self.asked(), self.works(), &self.settings)
        })
    }
}

/// One decision in the making.
pub(super) struct Step<'a, 'c> {
    pub(super) agent: &'a Agent,
    pub(super) settings: &'a Settings,
    pub(super) machine: &'a Machine,
    pub(super) batch: Batch,
    pub(super) ctx: &'a mut Ctx<'c>,
    pub(super) effects: Vec<Effect>,
    pub(super) volatile: Volatile,
    pub(super) again: bool,
    /// The turn ends: what its calls came to is written in their order, whatever is open before them.
    pub(super) breaks_off: bool,
}

impl<'a> Step<'a, '_> {
    fn route(&mut self, input: Input) {
        match input {
            Input::Go => {}
            Input::Loaded => {
                self.volatile.closing = Closing::Loading;
                self.ask_again();
            }
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
            Input::Held { effect, call, group } if self.shell_held(effect, &call, group) => return,
            Input::ToolEnded { call, result } if self.shell_ended(&call, &result) => return,
            Input::Held { effect, call, group } => return self.held(effect, call, group),
            Input::ToolEnded { call, result } => return self.tool_ended(call, result),
            Input::CommandEnded(late) => return self.command_ended(&late),
            Input::Answered { call, answer } => return self.answered(call, answer),
            Input::AnsweredAsk { id, how } => return self.answered_ask(&id, how),
            Input::Planned { effect, call, result } => {
                self.planned(effect, call, result);
                // What was found may be nothing to be told, and there is a slot to give back.
                self.again = true;
                return;
            }
            Input::Patched { call, result } => return self.patched(call, result),
            Input::Reported { n, accepted } => self.reported(n, accepted),
            Input::Interrupt { turn, by } => return self.interrupt(turn, by),
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
        if self.lose_shells() || self.start_shells() {
            return;
        }
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
            Phase::Shell => self.shell_turn(turn),
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
        if self.volatile.closing != Closing::No || self.tell_shells() {
            return;
        }
        if !self.agent.inbox.wakes() {
            self.give_back();
            let before = self.batch.number();
            self.apply_settings(u64::MAX);
            if self.batch.number() == before {
                self.insert_items();
            }
            return;
        }
        let before = self.batch.number();
        self.insert_items();
        if self.batch.number() > before {
            return;
        }
        // Reports go in order: the next turn's waits until this one is accepted.
        if matches!(self.volatile.report, ReportState::Sent(_) | ReportState::Later(_)) {
            return self.give_back();
        }
        if let Some((_, by)) =
            self.volatile.stopped.take_if(|(turn, _)| self.agent.inbox.promised().as_ref() == Some(turn))
        {
            return self.start_stopped(by);
        }
        if self.slot(Want::NewTurn) {
            self.start_turn();
        }
    }

    fn complete(&mut self, turn: &Turn) {
        self.batch.token_count(self.agent.usage, turn.usage, self.limits(), self.settings);
        self.batch.task_complete(turn, None);
        self.end(turn, Outcome::Completed, turn.last_message.clone());
    }

    /// The turn is over: what only it needed goes back.
    pub(super) fn end(&mut self, turn: &Turn, outcome: Outcome, message: Option<String>) {
        self.let_go();
        self.tell_end(turn, outcome, message, None);
    }

    /// The same, of a turn that failed.
    pub(super) fn fail(&mut self, turn: &Turn, error: &ModelError) {
        self.batch.task_complete(turn, Some(error));
        self.let_go();
        self.tell_end(turn, Outcome::Failed, Some(error.to_string()), Some(Arc::new(error.codex_error_info())));
    }

    fn tell_end(&mut self, turn: &Turn, outcome: Outcome, message: Option<String>, error: Option<Arc<Value>>) {
        let (turn, root, started, usage) = (turn.id.clone(), turn.root.clone(), turn.started, turn.usage);
        self.notify(Event::TurnEnded { turn, outcome, message, usage, root, error, started, ended: self.ctx.now });
    }

    fn let_go(&mut self) {
        self.give_back();
        self.detach_shells();
        let Volatile { slot, closing, stopped, shells, .. } = std::mem::take(&mut self.volatile);
        self.volatile = Volatile { slot, closing, stopped, shells, ..Volatile::default() };
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

    /// Ends the turn that is meant, or, if its sender was told of one that has yet to begin, that one when it does.
    fn interrupt(&mut self, turn_id: TurnId, by: Interrupter) {
        match &self.agent.turn {
            Some(turn) if turn.id == turn_id => self.break_off(turn, self.cause_of(by), None),
            _ if self.agent.last_turn.as_ref().is_some_and(|last| last.id == turn_id) => {}
            // Interrupts overtake what they interrupt: the input may still be on its way.
            _ => {
                self.volatile.stopped = Some((turn_id, by));
                self.go();
            }
        }
    }

    /// Why a turn ends that somebody ends.
    pub(super) fn cause_of(&self, by: Interrupter) -> Cause {
        match by {
            Interrupter::Agent(thread) if self.agent.identity().parent == Some(thread) => Cause::Requester,
            Interrupter::User => self.cause_of_user(),
            Interrupter::Agent(_) => Cause::Interrupted,
        }
    }

    /// Why a turn ends that a person ends.
    pub(super) fn cause_of_user(&self) -> Cause {
        if self.agent.identity().parent.is_none() { Cause::Requester } else { Cause::Interrupted }
    }

    /// Ends a turn in the middle; a call that was asked for may say why.
    pub(super) fn break_off(&mut self, turn: &Turn, cause: Cause, refused: Option<(&Call, Refusal)>) {
        self.drop_answer(turn);
        self.withdraw(turn);
        self.abandon_calls(turn, refused);
        self.abort_shells(turn);
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
        self.ask_again();
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
        if self.agent.parked() {
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
        self.withdraw(turn);
        self.lose_calls(turn);
        self.batch.turn_aborted(turn, Cause::ProcessDeath);
        self.end(turn, Outcome::Lost, None);
    }
}
