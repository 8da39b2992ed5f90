//! Looking at a tree: what `ps` and the tests see.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::phase::Phase;
use super::shutdown::Life;
use super::tree::Tree;
use super::types::{Class, Incarnation};

/// A seat, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<K> {
    /// Its key.
    pub seat: K,
    /// What occupies it.
    pub class: Class,
    /// Who it belongs to; that seat may have been removed since.
    pub parent: Option<K>,
    /// Levels below the top.
    pub depth: u32,
    /// Where it is in its life.
    pub phase: Phase,
    /// Crashes since it was added or retried.
    pub crashes: u32,
    /// Whether it holds a slot.
    pub holds_slot: bool,
}

impl<K: Copy + Ord + Debug> Tree<K> {
    /// All seats, by key.
    pub fn view(&self) -> Vec<Row<K>> {
        self.seats.keys().filter_map(|seat| self.row(*seat)).collect()
    }

    /// One seat.
    pub fn row(&self, seat: K) -> Option<Row<K>> {
        let record = self.seats.get(&seat)?;
        Some(Row {
            seat,
            class: record.class,
            parent: record.parent,
            depth: record.depth,
            phase: record.phase.clone(),
            crashes: record.crashes.life,
            holds_slot: record.phase.holds(),
        })
    }

    /// Where a seat is in its life.
    pub fn phase(&self, seat: K) -> Option<&Phase> {
        self.seats.get(&seat).map(|record| &record.phase)
    }

    /// Whether this incarnation occupies the seat and holds a slot: what a driver asks before it
    /// delivers a grant.
    pub fn holds(&self, seat: K, inc: Incarnation) -> bool {
        self.phase(seat).is_some_and(|phase| phase.incarnation() == Some(inc) && phase.holds())
    }

    /// Slots in use.
    pub fn in_use(&self) -> u32 {
        self.slots.held()
    }

    /// Slots there are.
    pub fn slots(&self) -> u32 {
        self.slots.cap()
    }

    /// Seats in line for a slot.
    pub fn waiting(&self) -> usize {
        self.slots.waiting()
    }

    /// Seats there are.
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// Whether a shutdown has completed.
    pub fn is_down(&self) -> bool {
        matches!(self.life, Life::Down)
    }

    /// The occupied seats.
    pub(super) fn live(&self) -> impl Iterator<Item = K> + '_ {
        self.seats.iter().filter(|(_, record)| record.phase.incarnation().is_some()).map(|(seat, _)| *seat)
    }

    /// Checks every invariant, in time linear to the seats: for tests and simulations.
    ///
    /// # Panics
    ///
    /// If one is broken, which is a mistake in this crate.
    pub fn check(&self) {
        let phases = || self.seats.values().map(|record| &record.phase);
        let holding = phases().filter(|phase| phase.holds()).count();
        assert_eq!(self.slots.held() as usize, holding, "slots in use == seats holding one");
        let in_line: BTreeMap<_, _> =
            self.seats.iter().filter_map(|(seat, record)| Some((record.phase.in_line()?, *seat))).collect();
        assert_eq!(self.slots.waiting(), in_line.len(), "the line == the seats that wait in it");
        let timed = phases().filter(|phase| phase.ticket().is_some()).count();
        let closing = usize::from(matches!(self.life, Life::Closing { .. }));
        assert!(self.timers.len() <= timed + closing, "a timer belongs to a seat or to the shutdown");
        if self.is_running() && self.slots.held() < self.slots.cap() {
            assert!(in_line.is_empty(), "nobody waits while a slot is free");
        }
        if self.is_down() {
            assert_eq!((holding, self.live().count(), self.timers.len()), (0, 0, 0), "down is at rest");
        }
    }
}
