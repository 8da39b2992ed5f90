//! The life of one seat.

use super::slots::{Place, Slot};
use super::types::{Class, Incarnation, Intensity, Millis, Need, Ticket};

/// Where a seat is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nobody occupies it and nothing waits.
    Asleep,
    /// Nobody occupies it; it waits in line and is occupied when its slot is granted.
    Queued {
        /// Where in line.
        place: Place,
    },
    /// Occupied.
    Awake {
        /// By whom.
        inc: Incarnation,
        /// Since when.
        since: Millis,
        /// Loading or ready.
        stage: Stage,
        /// Its slot.
        slot: Slot,
        /// Set while it says that it has nothing to do.
        idle: Option<Idle>,
    },
    /// Asked to sleep; it has not answered.
    Sleeping {
        /// Who.
        inc: Incarnation,
        /// Since when it is awake.
        since: Millis,
        /// It will wait in line again when it has answered.
        place: Option<Place>,
        /// Somebody has something for it: it may have looked too early.
        wake: Option<Need>,
    },
    /// It crashed and is started again later.
    Restarting {
        /// Crashes in the window.
        attempt: u32,
        /// When it starts.
        until: Millis,
        /// Kept over the restart.
        slot: Slot,
        /// The timer.
        ticket: Ticket,
    },
    /// Its storage failed; it is tried again later. Holds no slot meanwhile: a disk may be away
    /// for long.
    StorageBlocked {
        /// In a row.
        failures: u32,
        /// When it starts.
        until: Millis,
        /// It will wait in line again when it starts.
        place: Option<Place>,
        /// The last failure, for people.
        reason: String,
        /// The timer.
        ticket: Ticket,
    },
    /// Asked to stop; it has not ended.
    Stopping {
        /// Who.
        inc: Incarnation,
        /// Its turn may still run.
        slot: Slot,
        /// How hard it was asked.
        step: Step,
        /// What becomes of the seat.
        then: Then,
        /// The timer of this step.
        ticket: Ticket,
    },
    /// It crashed too often and rests until it is retried.
    Quarantined {
        /// For people.
        reason: String,
    },
}

/// How far an incarnation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It rebuilds its state.
    Loading,
    /// It has loaded.
    Ready,
}

/// An idle incarnation that is not asked to sleep yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// When it said so the last time.
    pub since: Millis,
    /// The timer; one, however often it says so.
    pub ticket: Ticket,
}

/// How hard an incarnation was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Politely.
    Asked,
    /// Killed; next, it is abandoned.
    Killed,
}

/// What becomes of a seat whose occupant stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It stays, asleep.
    Rest,
    /// It is forgotten.
    Remove,
}

impl Phase {
    /// Who occupies the seat now.
    pub fn incarnation(&self) -> Option<Incarnation> {
        match self {
            Phase::Awake { inc, .. } | Phase::Sleeping { inc, .. } | Phase::Stopping { inc, .. } => Some(*inc),
            _ => None,
        }
    }

    /// Whether the seat holds a slot.
    pub fn holds(&self) -> bool {
        matches!(
            self,
            Phase::Awake { slot: Slot::Held, .. }
                | Phase::Restarting { slot: Slot::Held, .. }
                | Phase::Stopping { slot: Slot::Held, .. }
        )
    }

    /// Its place, if it stands in line (a seat that falls asleep or restarts keeps its place, but
    /// is not served).
    pub(super) fn in_line(&self) -> Option<Place> {
        match self {
            Phase::Queued { place } | Phase::Awake { slot: Slot::Wanted(place), .. } => Some(*place),
            _ => None,
        }
    }

    pub(super) fn ticket(&self) -> Option<Ticket> {
        match self {
            Phase::Awake { idle: Some(idle), .. } => Some(idle.ticket),
            Phase::Restarting { ticket, .. }
            | Phase::StorageBlocked { ticket, .. }
            | Phase::Stopping { ticket, .. } => Some(*ticket),
            _ => None,
        }
    }
}

/// A seat as the tree knows it.
#[derive(Debug)]
pub(super) struct Record<K> {
    pub(super) class: Class,
    pub(super) parent: Option<K>,
    /// Below the top level; a shutdown begins with the largest.
    pub(super) depth: u32,
    /// The how-manyth seat of the tree it is: with the attempt, the source of its jitter.
    pub(super) number: u64,
    pub(super) crashes: Crashes,
    /// Storage failures in a row.
    pub(super) storage_failures: u32,
    pub(super) phase: Phase,
}

/// Crash counters of one seat; only its own decide about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Crashes {
    /// When, within the window; at most one more than the allowed restarts.
    recent: Vec<Millis>,
    /// Since the seat was added or retried.
    pub(super) life: u32,
}

/// What a crash leads to.
pub(super) enum Verdict {
    Restart { attempt: u32, back_off: Millis },
    Quarantine { crashes: u32, within: &'static str },
}

impl Crashes {
    pub(super) fn note(&mut self, now: Millis, allowed: Option<&Intensity>) -> Verdict {
        self.life += 1;
        let Some(allowed) = allowed else {
            return Verdict::Quarantine { crashes: self.life, within: "it is never restarted" };
        };
        self.recent.retain(|at| now.since(*at) < allowed.within);
        self.recent.push(now);
        let attempt = self.recent.len() as u32;
        if attempt > allowed.restarts {
            return Verdict::Quarantine { crashes: attempt, within: "in the restart window" };
        }
        if allowed.per_life.is_some_and(|most| self.life > most) {
            return Verdict::Quarantine { crashes: self.life, within: "in its life" };
        }
        let last = allowed.back_off.len() - 1;
        Verdict::Restart { attempt, back_off: allowed.back_off[(attempt as usize - 1).min(last)] }
    }
}

/// `base` +-20 %, the same for the same numbers (splitmix64's finaliser).
pub(super) fn jittered(base: Millis, seed: u64, seat: u64, attempt: u32) -> Millis {
    let mut x = seed ^ seat.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ u64::from(attempt).rotate_left(32);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 31;
    Millis(base.0.saturating_mul(80 + x % 41) / 100)
}
