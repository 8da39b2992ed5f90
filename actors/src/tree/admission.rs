//! Admission: an input is in its receiver's rollout before anybody is told that it was accepted.

use std::num::NonZeroU64;

use sapwood_mailbox::{Lane, Mailbox, Permit, Refused};
use sapwood_protocol::asked::Resolution;
use sapwood_protocol::ids::{AskId, InputId};
use sapwood_protocol::own::{Accepted, Body, InputLane, Own, Said, ThreadSettings};
use sapwood_protocol::{Line, TurnId};
use sapwood_rollout::{AppendError, OpenError};
use sapwood_supervisor::core::Need;

use crate::agent::input::Input;
use crate::seat::{Message, Seat};
use crate::trace::Parent;

use super::Tree;

/// The longest single input: what a lane holds at most, with room for others beside it.
pub const INPUT_BYTES: usize = 10 * 1024 * 1024;

/// Accepted and not consumed, at most: a sender beyond that is refused.
pub const INBOX_COUNT: usize = 256;

/// Why an input was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// No room.
    #[error("the agent has too much unread input: {0}")]
    Full(Refused),
    /// As many inputs are pending as may be.
    #[error("the agent has {INBOX_COUNT} unread inputs; wait until it has read some")]
    Inbox,
    /// It is too long.
    #[error("the input has {bytes} bytes, at most {INPUT_BYTES} are accepted; put it into a file and say where it is")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The rollout could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The line could not be written.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is in the rollout.
    Now,
    /// It already was.
    Before,
}

impl Tree {
    /// Accepts an input: into the receiver's rollout first, then into its mailbox. Its place is given here.
    pub fn admit(
        &self,
        seat: &Seat,
        mut accepted: Accepted,
        permit: Option<Permit<Message>>,
    ) -> Result<Admitted, Refusal> {
        let bytes = accepted.body.as_ref().map_or(0, Body::bytes);
        if bytes > INPUT_BYTES {
            return Err(Refusal::TooLong { bytes });
        }
        let reserved = permit.is_some();
        let permit = match permit {
            Some(permit) => permit,
            None => Mailbox::reserve(&seat.mailbox, lane_of(accepted.lane), bytes as u64).map_err(Refusal::Full)?,
        };
        let mut gate = seat.gate.lock();
        let before = match &accepted.from {
            Some(from) => gate.marks.get(from.thread).is_some_and(|mark| from.n <= mark),
            None => gate.known.contains(&accepted.id),
        };
        if before {
            return Ok(Admitted::Before);
        }
        if gate.pending >= INBOX_COUNT && !reserved {
            return Err(Refusal::Inbox);
        }
        accepted.place = gate.next_place;
        let line = Own::Accepted(accepted.clone()).line(self.clock.now());
        let log = gate.open(&*self.journal, seat.thread)?;
        let admitted = log.admit(std::slice::from_ref(&line));
        // Given back before the gate opens: who comes next finds the writer lock free.
        drop(log);
        gate.close(seat.parent.is_none());
        admitted?;
        gate.next_place += 1;
        gate.pending += 1;
        match &accepted.from {
            Some(from) => gate.marks.insert(from.thread, from.n),
            None => gate.remember(accepted.id.clone()),
        }
        if let Some(Body::Queued(queued)) = &accepted.body {
            gate.queue.push((accepted.id.clone(), queued.clone()));
        }
        let wakes = accepted.wake && self.unseen(seat, &accepted.id, accepted.turn.as_ref());
        // The room is reserved. A closed mailbox is that of a tree that is shutting down: the line is in the
        // rollout, and the next process finds it there.
        let _ = permit.send(Message::Accepted { id: accepted.id, line });
        drop(gate);
        if wakes {
            self.wake(seat.thread, Need::NewTurn);
        }
        Ok(Admitted::Now)
    }

    /// Accepts what a user says to an agent; nothing said means go on.
    pub fn say(&self, seat: &Seat, id: InputId, text: Option<String>) -> Result<Admitted, Refusal> {
        let body = text.map(Body::user);
        let said = Accepted { id, place: 0, lane: InputLane::User, wake: true, from: None, body, turn: None };
        self.admit(seat, said, None)
    }

    /// Accepts what a user says to an agent, and tells which turn it is for: the open one, which it steers, or the one that
    /// it starts. A turn that ends before it has read it leaves it to the next, under the id that is promised here.
    /// The turn that it starts descends from `parent`.
    pub fn turn(&self, seat: &Seat, id: InputId, said: Said, parent: Option<Parent>) -> Result<TurnId, Refusal> {
        let fresh = self.ids.lock().turn(self.clock.now());
        let (open, promised) = seat.look(|view| (view.turn.clone(), view.promised.clone()));
        let turn = promised.unwrap_or(fresh);
        let body = Some(Body::User(said));
        let lane = InputLane::User;
        let accepted = Accepted { id, place: 0, lane, wake: true, from: None, body, turn: Some(turn.clone()) };
        self.admit_from(seat, accepted, parent.filter(|_| open.is_none()))?;
        Ok(open.unwrap_or(turn))
    }

    /// Accepts an input whose turn descends from the parent of a request.
    pub(super) fn admit_from(
        &self,
        seat: &Seat,
        accepted: Accepted,
        parent: Option<Parent>,
    ) -> Result<Admitted, Refusal> {
        // Before it is accepted: from then on the turn may begin.
        let turn = accepted.turn.clone().zip(parent);
        let promised = turn.and_then(|(turn, parent)| seat.traces.promise(&turn, parent).then_some(turn));
        let admitted = self.admit(seat, accepted, None);
        if !matches!(admitted, Ok(Admitted::Now)) {
            promised.iter().for_each(|turn| seat.traces.forget(turn));
        }
        admitted
    }

    /// Accepts settings for the turns of an agent that begin after what was said to it before. They are applied in their
    /// place, and a `thread_settings_applied` line says what is then in force.
    pub fn configure(&self, seat: &Seat, id: InputId, settings: ThreadSettings) -> Result<Admitted, Refusal> {
        let body = Some(Body::Settings { settings: settings.clone() });
        let accepted = Accepted { id, place: 0, lane: InputLane::User, wake: false, from: None, body, turn: None };
        let admitted = self.admit(seat, accepted, None)?;
        // Whoever looks before it is applied sees what the next turn has.
        if admitted == Admitted::Now {
            seat.view.lock().asking.set(&settings);
        }
        self.wake(seat.thread, Need::NoSlot);
        Ok(admitted)
    }

    /// Writes a line of ours into an agent's rollout that changes nothing about what it does.
    pub fn note(&self, seat: &Seat, line: &Line) -> Result<(), Refusal> {
        let mut gate = seat.gate.lock();
        let log = gate.open(&*self.journal, seat.thread)?;
        let noted = log.admit(std::slice::from_ref(line));
        drop(log);
        gate.close(seat.parent.is_none());
        Ok(noted.map(drop)?)
    }

    /// Asks the whole tree to go on: parked turns wait on or end their pause, agents whose last turn was cut short get
    /// one empty turn, or the turn of their pending input. Returns how many agents have something to do.
    pub fn go_on(&self) -> Result<usize, Refusal> {
        let mut asked = 0;
        for seat in self.seats() {
            asked += usize::from(self.go_on_pending(&seat) || self.go_on_lost(&seat)?);
        }
        Ok(asked)
    }

    /// Has turns go on whose questions were answered in a process that died: whoever answered has asked for it.
    pub fn go_on_answered(&self) {
        for seat in self.seats().into_iter().filter(|seat| seat.look(|view| view.was_answered)) {
            self.go_on_pending(&seat);
        }
    }

    /// Wakes an agent that is parked or has input that wants a turn.
    pub fn go_on_pending(&self, seat: &Seat) -> bool {
        let mut view = seat.view.lock();
        let (parked, wakes) = (view.parked, view.wakes || !view.unseen.is_empty());
        if view.out_of_service || !parked && !wakes {
            return false;
        }
        let paused = view.paused.is_some();
        // The wish to work is on its way: the tree does not rest before the agent has seen it.
        view.quiet = false;
        self.count(&mut view);
        drop(view);
        if paused {
            self.end_pause(seat);
        }
        self.wake(seat.thread, if parked { Need::NoSlot } else { Need::NewTurn });
        true
    }

    /// Answers a question of an agent. True if it was open, and nobody had answered it yet. What came of it is told by the
    /// feed, once it is durable; before that, process death asks again. An answer to a question that is not open changes nothing.
    pub fn answer(&self, seat: &Seat, id: &AskId, how: Resolution) -> bool {
        let mut view = seat.view.lock();
        let is_open = view.asks.iter().any(|asked| asked.id == *id) && !view.answered.contains(id);
        if view.out_of_service || !is_open {
            drop(view);
            tracing::info!(agent = %seat.path, ask = %id, "an answer came to a question that is not open");
            return false;
        }
        let input = Message::Input(Input::AnsweredAsk { id: id.clone(), how });
        if let Err(refused) = seat.mailbox.try_send(Lane::Continuation, 0, input) {
            tracing::warn!(agent = %seat.path, ask = %id, refused = %refused.refused, "there was no room for an answer");
            return false;
        }
        // The wish to work is on its way: the tree does not rest before the agent has seen it.
        view.answered.insert(id.clone());
        view.quiet = false;
        self.count(&mut view);
        drop(view);
        self.wake(seat.thread, Need::NoSlot);
        true
    }

    /// Tells a turn that pauses to ask the model again.
    fn end_pause(&self, seat: &Seat) {
        const KEY: NonZeroU64 = NonZeroU64::MIN;
        if let Err(refused) = seat.mailbox.coalesce(Lane::Control, KEY, 0, Message::Input(Input::GoOn)) {
            tracing::warn!(agent = %seat.path, refused = %refused.refused, "it could not be asked to go on");
        }
    }

    fn go_on_lost(&self, seat: &Seat) -> Result<bool, Refusal> {
        let Some(lost) = seat.view().cut_short else { return Ok(false) };
        if let Err(full) = self.reserve_report(seat) {
            tracing::warn!(agent = %seat.path, full, "no room is kept for its report; it is sent until there is some");
        }
        // Asked twice, it goes on once.
        self.say(seat, InputId::from(format!("go-on:{lost}")), None)?;
        Ok(true)
    }

    /// An input that wants a turn is on its way. False for an agent out of service: nobody will see it.
    pub(super) fn unseen(&self, seat: &Seat, id: &InputId, promised: Option<&TurnId>) -> bool {
        let mut view = seat.view.lock();
        if view.out_of_service {
            return false;
        }
        if view.promised.is_none() {
            view.promised = promised.cloned();
        }
        view.unseen.insert(id.clone());
        self.count(&mut view);
        true
    }
}

pub(super) fn lane_of(lane: InputLane) -> Lane {
    match lane {
        InputLane::User => Lane::User,
        InputLane::Mail => Lane::Mail,
    }
}
