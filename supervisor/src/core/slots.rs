//! The one place where slots are counted, and the line in front of them.

use std::collections::BTreeMap;

use super::types::{Class, Millis, Turn};

/// A place in the line for slots. Ordered as served: by class, resuming turns before new ones,
/// then first come, first served. Strictly: a worker waits as long as roots want slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    class: Class,
    /// Which line of its class.
    pub turn: Turn,
    number: u64,
    /// Since when it waits.
    pub since: Millis,
}

impl Place {
    /// The same arrival, in the line of the turns that can go on.
    pub(super) fn resuming(self) -> Place {
        Place { turn: Turn::Resuming, ..self }
    }
}

/// What a seat has of the tree's slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Nothing, and it wants nothing.
    None,
    /// It waits for one.
    Wanted(Place),
    /// One.
    Held,
}

/// Counts and hands out. A seat is in line only while it is queued or awake.
#[derive(Debug)]
pub(super) struct Slots<K> {
    cap: u32,
    held: u32,
    line: BTreeMap<Place, K>,
    next: u64,
}

impl<K: Copy> Slots<K> {
    pub(super) fn new(cap: u32) -> Self {
        Self { cap: cap.max(1), held: 0, line: BTreeMap::new(), next: 0 }
    }

    pub(super) fn set_cap(&mut self, cap: u32) {
        self.cap = cap.max(1);
    }

    pub(super) fn cap(&self) -> u32 {
        self.cap
    }

    pub(super) fn held(&self) -> u32 {
        self.held
    }

    pub(super) fn waiting(&self) -> usize {
        self.line.len()
    }

    /// A place at the end of its line; not in it yet.
    pub(super) fn place(&mut self, class: Class, turn: Turn, since: Millis) -> Place {
        self.next += 1;
        Place { class, turn, number: self.next, since }
    }

    pub(super) fn join(&mut self, place: Place, seat: K) {
        let before = self.line.insert(place, seat);
        assert!(before.is_none(), "a place is taken once");
    }

    pub(super) fn leave(&mut self, place: Place) {
        let before = self.line.remove(&place);
        assert!(before.is_some(), "whoever leaves the line was in it");
    }

    /// Takes a free slot for the first in line.
    pub(super) fn next(&mut self) -> Option<K> {
        if self.held >= self.cap {
            return None;
        }
        let (_, seat) = self.line.pop_first()?;
        self.held += 1;
        Some(seat)
    }

    pub(super) fn release(&mut self) {
        assert!(self.held > 0, "a slot is given back once");
        self.held -= 1;
    }
}
