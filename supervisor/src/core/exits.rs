//! How incarnations end: crashes and restarts, storage that fails, stops and their deadlines.

use std::fmt::Debug;

use super::event::Action;
use super::phase::{Phase, Step, Then, Verdict, jittered};
use super::slots::Slot;
use super::tree::{Owner, Tree};
use super::types::{Exit, Incarnation, Millis, Ticket, Turn};

/// The window of [`Config::melt_down_restarts`](super::Config::melt_down_restarts).
const MINUTE: Millis = Millis(60_000);
/// The first wait for a storage that failed; it doubles.
const STORAGE_FIRST: Millis = Millis(250);
/// The longest wait for a storage that failed.
const STORAGE_MOST: Millis = Millis(30_000);
/// An incarnation that was awake this long has shown that its storage works: waits begin anew.
const STORAGE_PROVEN: Millis = Millis(60_000);

impl<K: Copy + Ord + Debug> Tree<K> {
    pub(super) fn ended(&mut self, now: Millis, seat: K, inc: Incarnation, exit: Exit, out: &mut Vec<Action<K>>) {
        let Some(phase) = self.occupied(seat, inc) else {
            return;
        };
        let asleep = matches!(phase, Phase::Sleeping { .. });
        if matches!(phase, Phase::Stopping { .. }) {
            return self.stopped(seat, out);
        }
        match exit {
            Exit::Normal | Exit::Shutdown if asleep => self.slept(now, seat, inc, out),
            _ if !self.is_running() => self.settle_closing(seat, out),
            Exit::Normal | Exit::Shutdown => {
                self.settle(seat, out);
                self.record(seat).storage_failures = 0;
            }
            Exit::StorageFailed(reason) => self.block(now, seat, reason, out),
            Exit::Failed(_) | Exit::Killed | Exit::TaskCancelled => self.crash(now, seat, &exit, out),
        }
    }

    fn crash(&mut self, now: Millis, seat: K, exit: &Exit, out: &mut Vec<Action<K>>) {
        let live = self.live().count();
        let seed = self.config.seed;
        let record = self.seats.get_mut(&seat).expect("`ended` has just found this seat");
        let verdict = record.crashes.note(now, self.config.intensity(record.class));
        let number = record.number;
        match verdict {
            Verdict::Quarantine { crashes, within } => {
                self.settle(seat, out);
                let reason = format!("crash {crashes} ({within}): {exit}");
                self.record(seat).phase = Phase::Quarantined { reason: reason.clone() };
                out.push(Action::Quarantine { seat, reason });
            }
            Verdict::Restart { attempt, back_off } => {
                if let Some(reason) = self.melts(now, live) {
                    self.settle(seat, out);
                    out.push(Action::MeltDown { reason: format!("{reason}; the last crash: {exit}") });
                    return self.close(out);
                }
                let slot = self.vacate(seat, out);
                let wait = jittered(back_off, seed, number, attempt);
                if wait == Millis(0) {
                    return self.relaunch(now, seat, slot, out);
                }
                let ticket = self.next_ticket();
                self.record(seat).phase = Phase::Restarting { attempt, until: now.after(wait), slot, ticket };
                self.timer(ticket, Owner::Seat(seat), wait, out);
            }
        }
    }

    /// Counts one restart of the tree; says why, if it is one too many.
    fn melts(&mut self, now: Millis, live: usize) -> Option<String> {
        while self.restarts.front().is_some_and(|at| now.since(*at) >= MINUTE) {
            self.restarts.pop_front();
        }
        self.restarts.push_back(now);
        let share = live * self.config.melt_down_percent as usize / 100;
        let limit = share.max(self.config.melt_down_restarts as usize);
        let count = self.restarts.len();
        (count > limit).then(|| format!("{count} restarts in a minute, with {live} awake; the limit is {limit}"))
    }

    fn block(&mut self, now: Millis, seat: K, reason: String, out: &mut Vec<Action<K>>) {
        let record = self.record(seat);
        let since = match record.phase {
            Phase::Awake { since, .. } | Phase::Sleeping { since, .. } => since,
            _ => now,
        };
        if now.since(since) >= STORAGE_PROVEN {
            record.storage_failures = 0;
        }
        record.storage_failures = record.storage_failures.saturating_add(1);
        let (class, failures) = (record.class, record.storage_failures);
        // Seven doublings are past the cap; more would shift out of the word.
        let wait = Millis(STORAGE_FIRST.0 << (failures - 1).min(7)).min(STORAGE_MOST);
        let place = match self.vacate(seat, out) {
            Slot::None => None,
            Slot::Wanted(place) => Some(place),
            Slot::Held => {
                self.slots.release();
                Some(self.slots.place(class, Turn::Resuming, now))
            }
        };
        let ticket = self.next_ticket();
        let until = now.after(wait);
        self.record(seat).phase = Phase::StorageBlocked { failures, until, place, reason, ticket };
        self.timer(ticket, Owner::Seat(seat), wait, out);
    }

    pub(super) fn due(&mut self, now: Millis, ticket: Ticket, out: &mut Vec<Action<K>>) {
        let seat = match self.timers.remove(&ticket) {
            None => return,
            Some(Owner::Shutdown) => return self.force(out),
            Some(Owner::Seat(seat)) => seat,
        };
        match self.record(seat).phase {
            Phase::Awake { .. } => self.idle_due(now, seat, out),
            Phase::Restarting { .. } | Phase::StorageBlocked { .. } => {
                let slot = self.vacate(seat, out);
                self.relaunch(now, seat, slot, out);
            }
            Phase::Stopping { step: Step::Asked, .. } => self.kill(seat, out),
            Phase::Stopping { inc, step: Step::Killed, .. } => {
                out.push(Action::Abandon { seat, inc });
                self.stopped(seat, out);
            }
            ref phase => unreachable!("a timer goes with its phase: {phase:?} has none"),
        }
    }

    /// Asks the occupant to stop. A turn that runs keeps its slot until it has ended.
    pub(super) fn stop(&mut self, now: Millis, seat: K, then: Then, out: &mut Vec<Action<K>>) {
        let Some(inc) = self.record(seat).phase.incarnation() else {
            return;
        };
        let slot = match self.vacate(seat, out) {
            Slot::Held => Slot::Held,
            Slot::None | Slot::Wanted(_) => Slot::None,
        };
        let ticket = self.next_ticket();
        let wait = self.config.stop_within;
        self.record(seat).phase = Phase::Stopping { inc, slot, step: Step::Asked, then, ticket };
        out.push(Action::Stop { seat, inc, deadline: now.after(wait) });
        self.timer(ticket, Owner::Seat(seat), wait, out);
    }

    /// Kills the occupant; nothing if it was killed already.
    pub(super) fn kill(&mut self, seat: K, out: &mut Vec<Action<K>>) {
        let (inc, then) = match self.record(seat).phase {
            Phase::Stopping { step: Step::Killed, .. } => return,
            Phase::Stopping { inc, then, .. } => (inc, then),
            Phase::Awake { inc, .. } | Phase::Sleeping { inc, .. } => (inc, Then::Rest),
            _ => return,
        };
        let slot = match self.vacate(seat, out) {
            Slot::Held => Slot::Held,
            Slot::None | Slot::Wanted(_) => Slot::None,
        };
        let ticket = self.next_ticket();
        let wait = self.config.kill_within;
        self.record(seat).phase = Phase::Stopping { inc, slot, step: Step::Killed, then, ticket };
        out.push(Action::Kill { seat, inc });
        self.timer(ticket, Owner::Seat(seat), wait, out);
    }

    /// The occupant of a stopping seat is gone.
    pub(super) fn stopped(&mut self, seat: K, out: &mut Vec<Action<K>>) {
        let remove = matches!(self.record(seat).phase, Phase::Stopping { then: Then::Remove, .. });
        self.settle_closing(seat, out);
        if remove {
            self.seats.remove(&seat);
            out.push(Action::Removed { seat });
        }
    }
}
