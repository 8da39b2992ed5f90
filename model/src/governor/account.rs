//! What all governors of one account share: its gate.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use sapwood_protocol::Millis;

use super::gate::{Asked, Gate};
use super::governor::Governor;
use crate::port::Priority;

/// The clock of the wall, in which usage limits are told.
pub(super) type Now = Arc<dyn Fn() -> Millis + Send + Sync>;

/// One account of one provider. Its lock is taken before a governor's, never after.
pub(super) struct Account {
    pub(super) now: Now,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    gate: Gate,
    /// Forgotten ones are removed when a new one comes.
    governors: Vec<Weak<Governor>>,
}

impl Account {
    pub(super) fn new(now: Now) -> Arc<Self> {
        Arc::new(Self { now, state: Mutex::default() })
    }

    pub(super) fn add(&self, governor: &Arc<Governor>) {
        let mut state = self.state.lock();
        state.governors.retain(|one| one.strong_count() > 0);
        state.governors.push(Arc::downgrade(governor));
    }

    /// Asks the gate, and does `then` before it can change.
    pub(super) fn ask<T>(&self, priority: Priority, then: impl FnOnce(Asked, u64) -> T) -> T {
        let mut state = self.state.lock();
        let asked = state.gate.ask((self.now)(), priority);
        let openings = state.gate.openings();
        then(asked, openings)
    }

    /// Closes the gate and fails all that wait, of every model.
    pub(super) fn close(&self, until: Option<Millis>) {
        let mut state = self.state.lock();
        let until = state.gate.close((self.now)(), until);
        for governor in state.governors.iter().filter_map(Weak::upgrade) {
            governor.fail_waiting(until);
        }
    }

    /// A probe was accepted.
    pub(super) fn open(&self) {
        self.state.lock().gate.open();
    }
}
