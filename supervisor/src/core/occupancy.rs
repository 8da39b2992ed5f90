//! How a seat is occupied: woken, in line, awake, idle, asleep.

use std::fmt::Debug;

use super::event::Action;
use super::phase::{Idle, Phase, Stage};
use super::slots::{Place, Slot};
use super::tree::{Owner, Tree};
use super::types::{Incarnation, Millis, Need, Turn};

impl<K: Copy + Ord + Debug> Tree<K> {
    pub(super) fn wake(&mut self, now: Millis, seat: K, need: Need, out: &mut Vec<Action<K>>) {
        if !self.is_running() {
            return;
        }
        let Some(record) = self.seats.get_mut(&seat) else {
            return;
        };
        match (&mut record.phase, need.turn()) {
            (Phase::Asleep, None) => self.start(now, seat, Slot::None, out),
            (phase @ Phase::Asleep, Some(turn)) => {
                let place = self.slots.place(record.class, turn, now);
                self.slots.join(place, seat);
                *phase = Phase::Queued { place };
            }
            (Phase::Queued { place }, None) => {
                // It runs at once and keeps its place, now as an awake one.
                let place = *place;
                self.start(now, seat, Slot::Wanted(place), out);
            }
            (Phase::Queued { place }, Some(Turn::Resuming)) => {
                self.slots.leave(*place);
                *place = place.resuming();
                self.slots.join(*place, seat);
            }
            (Phase::Sleeping { wake, .. }, _) => *wake = (*wake).max(Some(need)),
            // An awake incarnation hears its doorbell and asks for what it needs, and so will one
            // that starts again; a stopping or quarantined seat is not to be woken.
            _ => {}
        }
    }

    pub(super) fn started(&mut self, seat: K, inc: Incarnation) {
        if let Some(Phase::Awake { stage, .. }) = self.occupied(seat, inc) {
            *stage = Stage::Ready;
        }
    }

    pub(super) fn wants(&mut self, now: Millis, seat: K, inc: Incarnation, need: Need, out: &mut Vec<Action<K>>) {
        let (true, Some(turn)) = (self.is_running(), need.turn()) else {
            return;
        };
        let Some(record) = self.seats.get_mut(&seat) else {
            return;
        };
        let class = record.class;
        if let Phase::Sleeping { inc: current, place: place @ None, .. } = &mut record.phase
            && *current == inc
        {
            // A message came between its word that it is idle and its sleep. It asks once, so its wish is kept:
            // asleep or not, it waits in line from when it has answered.
            *place = Some(self.slots.place(class, turn, now));
            return;
        }
        let Phase::Awake { inc: current, slot, idle, .. } = &mut record.phase else {
            return;
        };
        if *current != inc {
            return;
        }
        match slot {
            Slot::None => {
                let place = self.slots.place(class, turn, now);
                self.slots.join(place, seat);
                *slot = Slot::Wanted(place);
            }
            Slot::Wanted(place) if turn == Turn::Resuming => {
                self.slots.leave(*place);
                *place = place.resuming();
                self.slots.join(*place, seat);
            }
            Slot::Wanted(_) | Slot::Held => {}
        }
        if let Some(idle) = idle.take() {
            self.cancel(idle.ticket, out);
        }
    }

    pub(super) fn released(&mut self, seat: K, inc: Incarnation) {
        let slot = match self.occupied(seat, inc) {
            Some(Phase::Awake { slot, .. } | Phase::Stopping { slot, .. }) => std::mem::replace(slot, Slot::None),
            Some(Phase::Sleeping { place, .. }) => {
                *place = None;
                return;
            }
            _ => return,
        };
        match slot {
            Slot::None => {}
            Slot::Wanted(place) => self.slots.leave(place),
            Slot::Held => self.slots.release(),
        }
    }

    pub(super) fn idle(&mut self, now: Millis, seat: K, inc: Incarnation, out: &mut Vec<Action<K>>) {
        // Nobody falls asleep who is stopping, or in a tree that closes; a slot comes back all the same.
        let stopping = matches!(self.occupied(seat, inc), Some(Phase::Stopping { .. }));
        if stopping || !self.is_running() {
            return self.released(seat, inc);
        }
        let wait = self.config.idle;
        let ticket = self.next_ticket();
        let Some(Phase::Awake { since, slot, idle, .. }) = self.occupied(seat, inc) else {
            return;
        };
        let held = *slot == Slot::Held;
        if held {
            *slot = Slot::None;
        }
        if wait == Millis(0) {
            let (place, since) = (
                match slot {
                    Slot::Wanted(place) => Some(*place),
                    _ => None,
                },
                *since,
            );
            self.fall_asleep(seat, inc, since, place, out);
        } else if let Some(idle) = idle {
            idle.since = now;
        } else {
            *idle = Some(Idle { since: now, ticket });
            self.timer(ticket, Owner::Seat(seat), wait, out);
        }
        if held {
            self.slots.release();
        }
    }

    /// An idle timer ran out.
    pub(super) fn idle_due(&mut self, now: Millis, seat: K, out: &mut Vec<Action<K>>) {
        if !self.is_running() {
            return;
        }
        let wait = self.config.idle;
        let ticket = self.next_ticket();
        let record = self.seats.get_mut(&seat);
        let Some(Phase::Awake { inc, since, slot, idle: idle @ Some(_), .. }) = record.map(|record| &mut record.phase)
        else {
            return;
        };
        let said = idle.as_ref().map_or(now, |idle| idle.since);
        let rest = wait.0.saturating_sub(now.since(said).0);
        if rest > 0 {
            *idle = Some(Idle { since: said, ticket });
            self.timer(ticket, Owner::Seat(seat), Millis(rest), out);
            return;
        }
        *idle = None;
        let (inc, since) = (*inc, *since);
        match *slot {
            // It was granted a slot since it said that it is idle.
            Slot::Held => {}
            Slot::None => self.fall_asleep(seat, inc, since, None, out),
            Slot::Wanted(place) => self.fall_asleep(seat, inc, since, Some(place), out),
        }
    }

    pub(super) fn fall_asleep(
        &mut self,
        seat: K,
        inc: Incarnation,
        since: Millis,
        place: Option<Place>,
        out: &mut Vec<Action<K>>,
    ) {
        if let Some(place) = place {
            self.slots.leave(place);
        }
        self.record(seat).phase = Phase::Sleeping { inc, since, place, wake: None };
        out.push(Action::Sleep { seat, inc });
    }

    pub(super) fn slept(&mut self, now: Millis, seat: K, inc: Incarnation, out: &mut Vec<Action<K>>) {
        let (place, wake) = match self.occupied(seat, inc) {
            Some(Phase::Sleeping { place, wake, .. }) => (*place, *wake),
            Some(Phase::Stopping { .. }) => return self.stopped(seat, out),
            _ => return,
        };
        let record = self.record(seat);
        record.storage_failures = 0;
        record.phase = Phase::Asleep;
        if let Some(place) = place {
            record.phase = Phase::Queued { place };
            self.slots.join(place, seat);
        }
        if let Some(need) = wake {
            self.wake(now, seat, need, out);
        }
    }

    pub(super) fn busy(&mut self, seat: K, inc: Incarnation) {
        let Some(phase @ Phase::Sleeping { .. }) = self.occupied(seat, inc) else {
            return;
        };
        let Phase::Sleeping { since, place, .. } = *phase else {
            return;
        };
        // What it was woken for is in its mailbox: it looks, and asks.
        let slot = place.map_or(Slot::None, Slot::Wanted);
        *phase = Phase::Awake { inc, since, stage: Stage::Ready, slot, idle: None };
        if let Some(place) = place {
            self.slots.join(place, seat);
        }
    }

    /// Gives free slots to the first in line.
    pub(super) fn serve_line(&mut self, now: Millis, out: &mut Vec<Action<K>>) {
        while let Some(seat) = self.slots.next() {
            match &mut self.record(seat).phase {
                Phase::Queued { .. } => self.start(now, seat, Slot::Held, out),
                Phase::Awake { inc, slot, .. } => {
                    *slot = Slot::Held;
                    let inc = *inc;
                    out.push(Action::Grant { seat, inc });
                }
                phase => unreachable!("only queued and awake seats stand in line, not {phase:?}"),
            }
        }
    }

    /// Occupies a seat. Its slot, or its place in line, is counted already.
    pub(super) fn start(&mut self, now: Millis, seat: K, slot: Slot, out: &mut Vec<Action<K>>) {
        self.incarnations += 1;
        let inc = Incarnation(self.incarnations);
        self.record(seat).phase = Phase::Awake { inc, since: now, stage: Stage::Loading, slot, idle: None };
        out.push(Action::Start { seat, inc, granted: slot == Slot::Held });
    }

    /// Occupies a vacated seat again, with what it had; a place in line is taken up again.
    pub(super) fn relaunch(&mut self, now: Millis, seat: K, slot: Slot, out: &mut Vec<Action<K>>) {
        if let Slot::Wanted(place) = slot {
            self.slots.join(place, seat);
        }
        self.start(now, seat, slot, out);
    }
}
