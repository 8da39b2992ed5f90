//! The shell: what stands between the machine and the world. Thin, synchronous, the same under ractor and in the
//! simulation.
//!
//! One step: decide, append, apply, settle; then effects. Effects that take away are done at once, the others wait
//! in the outbox until the lines that justify them are durable. A failed append ends the incarnation with its
//! effects unreleased: nobody was told of what is not in the rollout.

use std::collections::VecDeque;
use std::sync::Arc;

use sapwood_mailbox::{Epoch, Lane};
use sapwood_protocol::ids::InputId;
use sapwood_protocol::{CallId, Ids, Line, Millis, TurnId};
use sapwood_rollout::{AppendError, Log, OpenError, Seen, Ticket};
use sapwood_supervisor::core::Need;

use crate::agent::effect::{Decision, Effect, ExecCall, Timer, Typing, Want};
use crate::agent::event::Event;
use crate::agent::input::{Input, Planned};
use crate::agent::volatile::Closing;
use crate::agent::{Ctx, Machine};
use crate::faults::{self, Point};
use crate::fold;
use crate::seat::{Message, Seat, SeatView};
use crate::tree::Tree;
use crate::workers::Confined;

/// Decisions in the outbox, at most: a disk that does not keep up ends the incarnation, and the supervisor tries
/// again later with what is durable then.
const OUTBOX: usize = 4096;

/// Decisions that may follow from one input. A full inbox and a response of many calls need a few hundred.
const DECISIONS: usize = 10_000;

/// Starts and ends what takes time. Answers come back through the mailbox.
pub trait Workers: Send + 'static {
    /// Ask the model.
    fn sample(&mut self, effect: u64, request: sapwood_model::Request);
    /// Stop asking.
    fn cancel_sample(&mut self);
    /// Start a command and hold it.
    fn hold(&mut self, effect: u64, call: CallId, turn: TurnId, exec: ExecCall, place: Confined);
    /// Type into a command that goes on in the background.
    fn type_into(&mut self, call: CallId, turn: TurnId, typing: Typing);
    /// Let a held command run.
    fn release(&mut self, call: &CallId);
    /// End a command.
    fn kill(&mut self, call: &CallId);
    /// Look what a patch would do.
    fn plan(&mut self, effect: u64, call: CallId, patch: Arc<str>, place: Confined);
    /// Do what was found.
    fn apply(&mut self, call: CallId, planned: Arc<Planned>, place: Confined, turn: TurnId);
    /// Send this timer at this time.
    fn timer(&mut self, timer: Timer, at: Millis);
}

/// How a shell speaks to the supervisor.
pub trait Slots: Send + 'static {
    /// Asks for a slot.
    fn want(&self, need: Need);
    /// Gives it back, or takes the wish back.
    fn give_back(&self);
}

/// Why an incarnation ends.
#[derive(Debug, thiserror::Error)]
pub enum ShellError {
    /// The rollout could not be opened or read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A line could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// One input led to more decisions than any can need: a fault of ours, which would go on for ever.
    #[error("{DECISIONS} decisions after one input, and no end")]
    Runaway,
    /// The outbox is full.
    #[error("{OUTBOX} effects wait for the disk")]
    Outbox,
}

/// How an incarnation begins.
#[derive(Clone, Debug)]
pub enum Begin {
    /// To work. Names the accepted input that the one before it crashed over.
    Work(Option<InputId>),
    /// The tree is loaded in a new process: close what is open and run nothing.
    Load,
}

/// One incarnation of an agent.
pub struct Shell<W: Workers, S: Slots> {
    tree: Arc<Tree>,
    seat: Arc<Seat>,
    log: Arc<dyn Log>,
    epoch: Epoch,
    machine: Machine,
    ids: Ids,
    workers: W,
    slots: S,
    outbox: VecDeque<(Ticket, Effect)>,
    /// How much of the rollout the machine has seen, as long as its lines came in the order of the file.
    seen: Seen,
}

impl<W: Workers, S: Slots> Shell<W, S> {
    /// Takes the log, fences older incarnations off, and folds the rollout.
    pub fn load(tree: Arc<Tree>, seat: Arc<Seat>, workers: W, slots: S, granted: bool) -> Result<Self, ShellError> {
        let log = seat.occupy(&*tree.journal)?;
        let epoch = log.fence();
        let (agent, seen) = match tree.rested().wake(seat.thread, |seen| log.news(seen))? {
            Some(known) => known,
            None => {
                let rollout = log.read()?;
                (fold::of_fork(&*tree.journal, seat.thread, &rollout, seat.source())?, Seen::all(&rollout))
            }
        };
        let machine = Machine::sharing(agent, Arc::clone(&tree.settings), Arc::clone(tree.frames()));
        let mut machine = machine.with_history(seat.history);
        if granted {
            machine.granted_at_start();
        }
        let ids = tree.new_ids();
        Ok(Self { tree, seat, log, epoch, machine, ids, workers, slots, outbox: VecDeque::new(), seen })
    }

    /// The first step of an incarnation.
    pub fn begin(&mut self, begin: Begin) -> Result<(), ShellError> {
        match begin {
            Begin::Load => self.step(Input::Loaded),
            Begin::Work(culprit) => {
                if self.machine.agent().turn.is_some() {
                    // What the incarnation before had yet to tell went with it.
                    self.seat.feed.publish(self.tree.clock.now(), Event::Resync);
                }
                // Behind the answers to the incarnation before, which are taken first.
                let input = Input::Recovered { culprit };
                match self.seat.mailbox.try_send(Lane::Continuation, 0, Message::Input(input.clone())) {
                    Ok(_) => Ok(()),
                    Err(_) => self.step(input),
                }
            }
        }
    }

    /// Handles one message to its end.
    pub fn handle(&mut self, message: &Message) -> Result<(), ShellError> {
        match message {
            Message::Input(input) => {
                if matches!(input, Input::ToolEnded { .. }) {
                    faults::hit(Point::ToolAnswer, &self.seat.path);
                }
                if let Input::AnsweredAsk { id, .. } = input
                    && self.machine.agent().asks.get(id).is_none()
                {
                    tracing::info!(agent = %self.seat.path, ask = %id, "an answer came late, or twice; it changes nothing");
                }
                self.step(input.clone())
            }
            Message::Accepted { id, line } => {
                // It may be in the file that was folded: applying an acceptance twice does nothing.
                if !self.machine.agent().inbox.knows(id) {
                    self.seen.line(line);
                }
                self.machine.apply(line);
                {
                    // At once: an agent with something to do is not taken for idle in between.
                    let mut view = self.seat.view.lock();
                    view.unseen.remove(id);
                    view.wakes |= self.machine.agent().wakes();
                }
                self.step(Input::Go)
            }
        }
    }

    /// The slot that was asked for.
    pub fn granted(&mut self) -> Result<(), ShellError> {
        self.step(Input::Granted)
    }

    /// Decides until nothing follows any more.
    fn step(&mut self, input: Input) -> Result<(), ShellError> {
        let mut inputs = VecDeque::from([input]);
        let mut decisions = 0;
        while let Some(input) = inputs.pop_front() {
            decisions += 1;
            if decisions > DECISIONS {
                return Err(ShellError::Runaway);
            }
            faults::hit(Point::BeforeDecide, &self.seat.path);
            let mut ctx = Ctx { now: self.tree.clock.now(), ids: &mut self.ids };
            let Decision { lines, effects, volatile, again } = self.machine.decide(&mut ctx, input);
            let ticket = self.append(&lines)?;
            faults::hit(Point::AfterAppend, &self.seat.path);
            for line in &lines {
                self.seen.line(line);
                self.machine.apply(line);
            }
            self.machine.settle(volatile);
            if !again {
                self.begin_next_queued();
            }
            self.show();
            faults::hit(Point::AfterApply, &self.seat.path);
            for effect in effects {
                if effect.takes_away() {
                    self.perform(effect, &mut inputs);
                } else {
                    self.outbox.push_back((ticket, effect));
                }
            }
            self.release(&mut inputs);
            if self.outbox.len() > OUTBOX {
                return Err(ShellError::Outbox);
            }
            if again {
                inputs.push_back(Input::Go);
            }
        }
        Ok(())
    }

    /// An agent that has nothing else to do begins with the next message that waits for that. After an interrupt, and after a
    /// crash, it waits until somebody asks. Before it is shown: nobody sees it at rest in between.
    fn begin_next_queued(&self) {
        let (agent, volatile) = (self.machine.agent(), self.machine.volatile());
        let is_held = agent.last_turn.as_ref().is_some_and(|last| last.outcome.stops_queue());
        let is_idle = agent.turn.is_none() && !agent.inbox.wakes() && agent.quarantined.is_none();
        let works = volatile.closing == Closing::No && !volatile.recovering;
        if agent.inbox.has_queue() && is_idle && works && !is_held {
            self.tree.begin_next_queued(&self.seat);
        }
    }

    fn append(&self, lines: &[Line]) -> Result<Ticket, ShellError> {
        if lines.is_empty() {
            return Ok(Ticket::default());
        }
        Ok(self.log.append(self.epoch, self.machine.agent().next_ordinal, lines)?)
    }

    /// Does what the durable lines justify, in order. Called after each step, and by a driver whose disk lags.
    fn release(&mut self, inputs: &mut VecDeque<Input>) {
        let durable = self.log.durable();
        while self.outbox.front().is_some_and(|(ticket, _)| *ticket <= durable) {
            let Some((_, effect)) = self.outbox.pop_front() else {
                return;
            };
            self.perform(effect, inputs);
            faults::hit(Point::BetweenEffects, &self.seat.path);
        }
    }

    /// True while effects wait for lines to become durable.
    pub fn waits_for_disk(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Lines have become durable: does what waited for them.
    pub fn durable(&mut self) -> Result<(), ShellError> {
        let mut inputs = VecDeque::new();
        self.release(&mut inputs);
        inputs.into_iter().try_for_each(|input| self.step(input))?;
        self.show();
        Ok(())
    }

    fn perform(&mut self, effect: Effect, inputs: &mut VecDeque<Input>) {
        match effect {
            Effect::Sample { effect, request } => self.workers.sample(effect, request),
            Effect::CancelSample => self.workers.cancel_sample(),
            Effect::Hold { effect, call, turn, exec, place } => {
                self.workers.hold(effect, call, turn, exec, self.tree.narrowed(&self.seat, place));
            }
            Effect::Type { call, turn, typing } => self.workers.type_into(call, turn, typing),
            Effect::Release { call } => self.workers.release(&call),
            Effect::Plan { effect, call, patch, place } => {
                self.workers.plan(effect, call, patch, self.tree.narrowed(&self.seat, place));
            }
            Effect::Apply { call, planned, place, turn } => {
                self.workers.apply(call, planned, self.tree.narrowed(&self.seat, place), turn);
            }
            Effect::Kill { call } => self.workers.kill(&call),
            Effect::KillLeftover(group) => {
                let group = crate::process::GroupId { id: group.id, start: group.start };
                crate::process::Processes::kill_leftover(group);
            }
            Effect::Ask { call, ask } => {
                let answer = self.tree.ask(&self.seat, ask, self.machine.agent());
                inputs.push_back(Input::Answered { call, answer });
            }
            Effect::Report(report) => {
                let n = report.n;
                let accepted = self.tree.report(&self.seat, report);
                inputs.push_back(Input::Reported { n, accepted });
            }
            Effect::Want(Want::NewTurn) => self.slots.want(Need::NewTurn),
            Effect::Want(Want::Resume) => self.slots.want(Need::Resume),
            Effect::GiveBack => self.slots.give_back(),
            Effect::Timer { timer, at } => self.workers.timer(timer, at),
            Effect::Notify(event) => self.tree.tell(&self.seat, event),
        }
    }

    /// Brings what is shown in line with what is.
    fn show(&self) {
        let agent = self.machine.agent();
        let mut view = self.seat.view.lock();
        let mut fresh = SeatView::of(agent);
        if self.machine.rests().is_none() {
            fresh.pause_ended(agent);
        }
        let (unseen, counted) = (std::mem::take(&mut view.unseen), view.counted);
        let queued = view.queued.take().filter(|_| self.machine.volatile().sampling.is_some());
        let (quiet, awaits_mail) = (self.quiet(), self.machine.only_awaits_mail());
        let only_asks = self.machine.only_asks();
        let mut answered = std::mem::take(&mut view.answered);
        answered.retain(|id| agent.asks.get(id).is_some());
        let progress = self.tree.clock.now();
        // What was promised for an input that is on its way stands, but not what has begun before that came.
        let ended = agent.last_turn.as_ref().map(|last| &last.id);
        let is_ahead = |turn: &TurnId| !unseen.is_empty() && fresh.turn.as_ref() != Some(turn) && ended != Some(turn);
        let promised = fresh.promised.take().or(view.promised.take().filter(is_ahead));
        *view =
            SeatView { unseen, counted, queued, quiet, awaits_mail, only_asks, answered, progress, promised, ..fresh };
        self.tree.count(&mut view);
        drop(view);
        let mut gate = self.seat.gate.lock();
        gate.pending = agent.inbox.len();
    }

    /// True if nothing is open and nothing is to be done: the incarnation may sleep.
    pub fn quiet(&self) -> bool {
        self.machine.agent().quarantined.is_some() || self.outbox.is_empty() && self.machine.may_sleep()
    }

    /// The machine, for those who look.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The incarnation ends in order. The log stays open over an open turn that does not only wait.
    pub fn stop(self) {
        let agent = self.machine.into_agent();
        if agent.turn.is_none() || agent.parked() {
            self.tree.rested().keep(self.seat.thread, self.seen, agent);
            self.seat.vacate(Some(self.log));
        }
    }
}
