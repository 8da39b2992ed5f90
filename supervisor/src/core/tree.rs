//! The tree: seats, slots, timers, and the events that change them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;

use super::event::{Action, AddError, Event};
use super::phase::{Crashes, Phase, Record};
use super::shutdown::Life;
use super::slots::{Slot, Slots};
use super::types::{Class, Config, Incarnation, Millis, Shutdown, Ticket};

/// A tree of seats. See the [module](super) for an example.
///
/// Invariants: a slot is held exactly by the seats whose [`Phase::holds`] says so, and a grant is
/// never given above the cap; an incarnation number is given once; a seat has at most one timer.
#[derive(Debug)]
pub struct Tree<K> {
    pub(super) config: Config,
    pub(super) seats: BTreeMap<K, Record<K>>,
    pub(super) slots: Slots<K>,
    pub(super) timers: BTreeMap<Ticket, Owner<K>>,
    /// Restarts of the last minute; a melt-down ends the tree before it grows.
    pub(super) restarts: VecDeque<Millis>,
    pub(super) life: Life<K>,
    tickets: u64,
    pub(super) incarnations: u64,
    numbers: u64,
}

/// What a timer is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Owner<K> {
    Seat(K),
    Shutdown,
}

impl<K: Copy + Ord + Debug> Tree<K> {
    /// An empty tree.
    pub fn new(config: Config) -> Self {
        Self {
            slots: Slots::new(config.slots),
            config,
            seats: BTreeMap::new(),
            timers: BTreeMap::new(),
            restarts: VecDeque::new(),
            life: Life::Running,
            tickets: 0,
            incarnations: 0,
            numbers: 0,
        }
    }

    /// Takes in what happened at `now` and says what is to be done, in order.
    pub fn handle(&mut self, now: Millis, event: Event<K>) -> Vec<Action<K>> {
        let mut out = Vec::new();
        match event {
            Event::Add { seat, class, parent } => {
                if let Err(why) = self.add(seat, class, parent) {
                    out.push(Action::Refused { seat, why });
                }
            }
            Event::Wake { seat, need } => self.wake(now, seat, need, &mut out),
            Event::Started { seat, inc } => self.started(seat, inc),
            Event::Wants { seat, inc, need } => self.wants(now, seat, inc, need, &mut out),
            Event::Released { seat, inc } => self.released(seat, inc),
            Event::Idle { seat, inc } => self.idle(now, seat, inc, &mut out),
            Event::Slept { seat, inc } => self.slept(now, seat, inc, &mut out),
            Event::Busy { seat, inc } => self.busy(seat, inc),
            Event::Ended { seat, inc, exit } => self.ended(now, seat, inc, exit, &mut out),
            Event::Due { ticket } => self.due(now, ticket, &mut out),
            Event::Retry { seat } => self.retry(now, seat, &mut out),
            Event::Remove { seat } => self.remove(now, seat, &mut out),
            Event::Shutdown { mode } => self.shutdown(mode, &mut out),
            Event::SetSlots { slots } => self.slots.set_cap(slots),
        }
        self.serve_line(now, &mut out);
        self.close_further(now, &mut out);
        out
    }

    /// Whether an [`Event::Add`] would be taken.
    pub fn admits(&self, seat: K, parent: Option<K>) -> Result<(), AddError> {
        if !self.is_running() {
            return Err(AddError::ShuttingDown);
        }
        if self.seats.contains_key(&seat) {
            return Err(AddError::Duplicate);
        }
        if self.seats.len() >= self.config.max_seats {
            return Err(AddError::Full { max: self.config.max_seats });
        }
        if parent.is_some_and(|parent| !self.seats.contains_key(&parent)) {
            return Err(AddError::UnknownParent);
        }
        Ok(())
    }

    fn add(&mut self, seat: K, class: Class, parent: Option<K>) -> Result<(), AddError> {
        self.admits(seat, parent)?;
        let depth = parent.map_or(0, |parent| self.seats[&parent].depth.saturating_add(1));
        self.numbers += 1;
        let record = Record {
            class,
            parent,
            depth,
            number: self.numbers,
            crashes: Crashes::default(),
            storage_failures: 0,
            phase: Phase::Asleep,
        };
        self.seats.insert(seat, record);
        Ok(())
    }

    fn retry(&mut self, now: Millis, seat: K, out: &mut Vec<Action<K>>) {
        if !self.is_running() {
            return;
        }
        let Some(record) = self.seats.get_mut(&seat) else {
            return;
        };
        if !matches!(record.phase, Phase::Quarantined { .. } | Phase::StorageBlocked { .. }) {
            return;
        }
        record.crashes = Crashes::default();
        record.storage_failures = 0;
        let slot = self.vacate(seat, out);
        self.relaunch(now, seat, slot, out);
    }

    fn remove(&mut self, now: Millis, seat: K, out: &mut Vec<Action<K>>) {
        let Some(record) = self.seats.get_mut(&seat) else {
            return;
        };
        if let Phase::Stopping { then, .. } = &mut record.phase {
            *then = super::Then::Remove;
        } else if record.phase.incarnation().is_some() {
            self.stop(now, seat, super::Then::Remove, out);
        } else {
            self.settle(seat, out);
            self.seats.remove(&seat);
            out.push(Action::Removed { seat });
        }
    }

    fn shutdown(&mut self, mode: Shutdown, out: &mut Vec<Action<K>>) {
        match (&self.life, mode) {
            (Life::Running, Shutdown::Orderly) => self.close(out),
            (Life::Running, Shutdown::Now) => {
                self.close(out);
                self.force(out);
            }
            (Life::Closing { .. }, _) => self.force(out),
            (Life::Down, _) => {}
        }
    }

    /// Leaves the current phase: out of the line, no timer. A held slot stays counted, and is the
    /// caller's to keep or to release. The seat is asleep until the caller says otherwise.
    pub(super) fn vacate(&mut self, seat: K, out: &mut Vec<Action<K>>) -> Slot {
        let phase = std::mem::replace(&mut self.record(seat).phase, Phase::Asleep);
        if let Some(place) = phase.in_line() {
            self.slots.leave(place);
        }
        if let Some(ticket) = phase.ticket() {
            self.cancel(ticket, out);
        }
        match phase {
            Phase::Awake { slot, .. } | Phase::Restarting { slot, .. } | Phase::Stopping { slot, .. } => slot,
            Phase::Queued { place }
            | Phase::Sleeping { place: Some(place), .. }
            | Phase::StorageBlocked { place: Some(place), .. } => Slot::Wanted(place),
            _ => Slot::None,
        }
    }

    /// Vacates, and gives everything back.
    pub(super) fn settle(&mut self, seat: K, out: &mut Vec<Action<K>>) {
        if self.vacate(seat, out) == Slot::Held {
            self.slots.release();
        }
    }

    /// The phase of a seat, if `inc` occupies it.
    pub(super) fn occupied(&mut self, seat: K, inc: Incarnation) -> Option<&mut Phase> {
        let phase = &mut self.seats.get_mut(&seat)?.phase;
        (phase.incarnation() == Some(inc)).then_some(phase)
    }

    pub(super) fn record(&mut self, seat: K) -> &mut Record<K> {
        self.seats
            .get_mut(&seat)
            .expect("the caller has just found this seat, and only `remove` and `stopped` forget one")
    }

    pub(super) fn next_ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn timer(&mut self, ticket: Ticket, owner: Owner<K>, after: Millis, out: &mut Vec<Action<K>>) {
        self.timers.insert(ticket, owner);
        out.push(Action::Timer { ticket, after });
    }

    /// Nothing if it is the one that just ran out.
    pub(super) fn cancel(&mut self, ticket: Ticket, out: &mut Vec<Action<K>>) {
        if self.timers.remove(&ticket).is_some() {
            out.push(Action::Cancel { ticket });
        }
    }

    /// Whether it takes seats, wakes and grants.
    pub fn is_running(&self) -> bool {
        matches!(self.life, Life::Running)
    }
}
