//! The supervisor's state, and the one way to change it.
//!
//! Whoever has an event applies it here, under one lock: the tree decides at once, and what is to
//! be done is queued for the supervisor actor, whose doorbell is rung when the queue was empty. So
//! the actor's own (unbounded) port holds one message at most, and the queue is bounded by the tree:
//! repeated events cause no action, and the actions about one incarnation are one of each kind.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::host::{Host, Seat};
use crate::core::{Action, AddError, Config, Event, Incarnation, Millis, Row, Ticket, Tree};

/// What the supervisor, its incarnations and its handles share.
pub(super) struct Table<H: Host> {
    pub(super) host: Arc<H>,
    /// The tree's time zero.
    epoch: Instant,
    state: Mutex<State<H>>,
    /// Told when the earliest deadline may have changed.
    deadlines_changed: Notify,
    /// Wakes the supervisor actor; set once, before anybody else has the table.
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

struct State<H: Host> {
    tree: Tree<H::Key>,
    seats: BTreeMap<H::Key, Arc<Seat<H>>>,
    todo: VecDeque<Action<H::Key>>,
    /// The doorbell was rung, and the supervisor has not found the queue empty since.
    rung: bool,
    /// Grants on their way to an incarnation: a second one would say the same.
    granting: BTreeSet<Incarnation>,
    deadlines: BTreeMap<Ticket, Millis>,
    by_time: BTreeSet<(Millis, Ticket)>,
}

impl<H: Host> State<H> {
    fn perform_later(&mut self, now: Millis, action: Action<H::Key>) {
        match action {
            Action::Timer { ticket, after } => {
                let at = now.after(after);
                self.deadlines.insert(ticket, at);
                self.by_time.insert((at, ticket));
            }
            Action::Cancel { ticket } => {
                if let Some(at) = self.deadlines.remove(&ticket) {
                    self.by_time.remove(&(at, ticket));
                }
            }
            Action::Grant { inc, .. } if !self.granting.insert(inc) => {}
            action => self.todo.push_back(action),
        }
    }
}

impl<H: Host> Table<H> {
    pub(super) fn new(host: Arc<H>, config: Config) -> Self {
        let state = State {
            tree: Tree::new(config),
            seats: BTreeMap::new(),
            todo: VecDeque::new(),
            rung: false,
            granting: BTreeSet::new(),
            deadlines: BTreeMap::new(),
            by_time: BTreeSet::new(),
        };
        Self {
            host,
            epoch: Instant::now(),
            state: Mutex::new(state),
            deadlines_changed: Notify::new(),
            bell: OnceLock::new(),
        }
    }

    /// Who performs what is queued. Only the first call counts.
    pub(super) fn set_bell(&self, ring: impl Fn() + Send + Sync + 'static) {
        let _ = self.bell.set(Box::new(ring));
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Lets the tree decide.
    pub(super) fn apply(&self, event: Event<H::Key>) {
        self.with(|state, now| {
            for action in state.tree.handle(now, event) {
                state.perform_later(now, action);
            }
        });
    }

    pub(super) fn add(&self, seat: Arc<Seat<H>>) -> Result<Arc<Seat<H>>, AddError> {
        self.with(|state, now| {
            let (key, class, parent) = (seat.key, seat.class, seat.parent);
            state.tree.admits(key, parent)?;
            let actions = state.tree.handle(now, Event::Add { seat: key, class, parent });
            debug_assert!(actions.is_empty(), "an admitted seat is added, and asleep: {actions:?}");
            state.seats.insert(key, Arc::clone(&seat));
            Ok(seat)
        })
    }

    /// Runs `change` under the lock; rings and notifies after it.
    fn with<T>(&self, change: impl FnOnce(&mut State<H>, Millis) -> T) -> T {
        let mut state = self.state.lock();
        let earliest = state.by_time.first().copied();
        // Read under the lock, so that the tree's time never goes back.
        let now = self.now();
        let value = change(&mut state, now);
        let ring = !state.todo.is_empty() && !state.rung;
        state.rung |= ring;
        let retime = state.by_time.first().copied() != earliest;
        drop(state);
        if retime {
            self.deadlines_changed.notify_one();
        }
        if ring && let Some(ring) = self.bell.get() {
            ring();
        }
        value
    }

    /// The next thing to do. `None`: nothing, and the doorbell will be rung again.
    pub(super) fn next_action(&self) -> Option<Action<H::Key>> {
        let mut state = self.state.lock();
        let action = state.todo.pop_front();
        if action.is_none() {
            state.rung = false;
        }
        action
    }

    /// A grant has reached its incarnation: whether it is still true.
    pub(super) fn grant_arrived(&self, seat: H::Key, inc: Incarnation) -> bool {
        let mut state = self.state.lock();
        state.granting.remove(&inc);
        state.tree.holds(seat, inc)
    }

    /// An incarnation is gone, with all that was on its way to it.
    pub(super) fn forget(&self, inc: Incarnation) {
        self.state.lock().granting.remove(&inc);
    }

    pub(super) fn seat(&self, key: H::Key) -> Option<Arc<Seat<H>>> {
        self.state.lock().seats.get(&key).map(Arc::clone)
    }

    /// The caller drops what it gets: nothing of the host's runs under the lock.
    pub(super) fn remove_seat(&self, key: H::Key) -> Option<Arc<Seat<H>>> {
        self.state.lock().seats.remove(&key)
    }

    pub(super) fn view(&self) -> Vec<Row<H::Key>> {
        self.state.lock().tree.view()
    }

    pub(super) fn usage(&self) -> (u32, u32) {
        let state = self.state.lock();
        (state.tree.in_use(), state.tree.slots())
    }

    /// Fires the timers of the tree, for as long as it is polled: the one task that waits for time.
    pub(super) async fn keep_time(self: Arc<Self>) {
        loop {
            let next = self.state.lock().by_time.first().copied();
            let changed = self.deadlines_changed.notified();
            match next {
                None => changed.await,
                Some((at, _)) => {
                    let at = self.epoch + Duration::from_millis(at.0);
                    if tokio::time::timeout_at(at, changed).await.is_err() {
                        self.fire();
                    }
                }
            }
        }
    }

    fn fire(&self) {
        self.with(|state, now| {
            while let Some((at, ticket)) = state.by_time.first().copied() {
                if at > now {
                    break;
                }
                state.by_time.pop_first();
                state.deadlines.remove(&ticket);
                for action in state.tree.handle(now, Event::Due { ticket }) {
                    state.perform_later(now, action);
                }
            }
        });
    }
}
