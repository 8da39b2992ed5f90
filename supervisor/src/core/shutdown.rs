//! Closing a tree: deepest level first, a level in parallel, bounded in total.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use super::event::Action;
use super::phase::{Phase, Then};
use super::slots::Slot;
use super::tree::{Owner, Tree};
use super::types::{Millis, Ticket};

/// Whether a tree lives.
#[derive(Debug)]
pub(super) enum Life<K> {
    Running,
    Closing {
        /// Who was awake at its begin, by depth: nobody starts any more, so it only shrinks.
        levels: BTreeMap<u32, Vec<K>>,
        /// Who of the current level has not ended.
        waiting: BTreeSet<K>,
        /// The timer of the whole.
        total: Ticket,
    },
    Down,
}

impl<K: Copy + Ord + Debug> Tree<K> {
    /// Begins: whoever is not occupied comes to rest, whoever waits for a slot stops waiting.
    pub(super) fn close(&mut self, out: &mut Vec<Action<K>>) {
        let mut levels: BTreeMap<u32, Vec<K>> = BTreeMap::new();
        let seats: Vec<K> = self.seats.keys().copied().collect();
        for seat in seats {
            let record = self.record(seat);
            if record.phase.incarnation().is_some() {
                let depth = record.depth;
                levels.entry(depth).or_default().push(seat);
            }
            match &mut record.phase {
                Phase::Queued { .. } | Phase::Restarting { .. } | Phase::StorageBlocked { .. } => {
                    self.settle(seat, out)
                }
                Phase::Awake { slot: slot @ Slot::Wanted(_), .. } => {
                    if let Slot::Wanted(place) = std::mem::replace(slot, Slot::None) {
                        self.slots.leave(place);
                    }
                }
                Phase::Sleeping { place, wake, .. } => (*place, *wake) = (None, None),
                Phase::Asleep | Phase::Awake { .. } | Phase::Stopping { .. } | Phase::Quarantined { .. } => {}
            }
        }
        let total = self.next_ticket();
        self.timer(total, Owner::Shutdown, self.config.shutdown_within, out);
        self.life = Life::Closing { levels, waiting: BTreeSet::new(), total };
    }

    /// Kills whoever is left, on all levels.
    pub(super) fn force(&mut self, out: &mut Vec<Action<K>>) {
        let live: Vec<K> = self.live().collect();
        let Life::Closing { levels, waiting, .. } = &mut self.life else {
            return;
        };
        levels.clear();
        *waiting = live.iter().copied().collect();
        for seat in live {
            self.kill(seat, out);
        }
    }

    /// Goes on to the next level when one has ended, and down after the last.
    pub(super) fn close_further(&mut self, now: Millis, out: &mut Vec<Action<K>>) {
        loop {
            let Life::Closing { levels, waiting, total } = &mut self.life else {
                return;
            };
            if !waiting.is_empty() {
                return;
            }
            let Some((_, level)) = levels.pop_last() else {
                let total = *total;
                self.cancel(total, out);
                self.life = Life::Down;
                assert_eq!(self.slots.held(), 0, "at rest, every slot is back");
                out.push(Action::Down);
                return;
            };
            for seat in level {
                // One that ended since has nothing to wait for; one that was removed is unknown.
                let Some(record) = self.seats.get(&seat) else {
                    continue;
                };
                if record.phase.incarnation().is_none() {
                    continue;
                }
                if !matches!(record.phase, Phase::Stopping { .. }) {
                    self.stop(now, seat, Then::Rest, out);
                }
                if let Life::Closing { waiting, .. } = &mut self.life {
                    waiting.insert(seat);
                }
            }
        }
    }

    /// [`Tree::settle`], and nobody waits for the seat any more.
    pub(super) fn settle_closing(&mut self, seat: K, out: &mut Vec<Action<K>>) {
        self.settle(seat, out);
        if let Life::Closing { waiting, .. } = &mut self.life {
            waiting.remove(&seat);
        }
    }
}
