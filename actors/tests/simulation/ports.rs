//! What the shipped parts of a simulated tree are given: a clock, slots, a doorbell, workers and supervision, which all put
//! deliveries into one queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sapwood_actors::agent::Input;
use sapwood_actors::agent::effect::{ExecCall, Timer, Typing};
use sapwood_actors::agent::input::{Planned, ToolEnd, ToolResult};
use sapwood_actors::clock::Clock;
use sapwood_actors::process::SandboxMode;
use sapwood_actors::seat::Seat;
use sapwood_actors::shell::{Slots, Workers};
use sapwood_actors::tree::Supervision;
use sapwood_actors::workers::Confined;
use sapwood_mailbox::Doorbell;
use sapwood_model::scripted::Outcome as ScriptedOutcome;
use sapwood_model::{ModelError, Request, Script};
use sapwood_protocol::own::ProcessGroup;
use sapwood_protocol::{CallId, Ids, Millis, ThreadId, TurnId};
use sapwood_supervisor::core::{self, Action, Class, Event, Incarnation, Need, Ticket};

use crate::empty;

#[derive(Debug)]
pub enum Delivery {
    Act(Action<ThreadId>),
    Bell(ThreadId, Incarnation),
    Post(ThreadId, Incarnation, Input),
    SupervisorDue(Ticket),
    Sync(ThreadId, Incarnation),
}

pub struct Shared {
    pub core: core::Tree<ThreadId>,
    pub queue: BTreeMap<(u64, u64), Delivery>,
    pub chance: Ids,
    pub now: u64,
    pub script: Arc<Script>,
    pub asks: bool,
    /// When the last action is delivered, and its number.
    pub acted: (u64, u64),
    /// The account is used up until then.
    pub limited_until: u64,
    /// What was let run or change, as a file outside of the program would hold it, and whether in a sandbox.
    pub ledger: Vec<(ThreadId, CallId, bool)>,
    /// Commands that are held in a sandbox.
    pub confined: BTreeSet<(ThreadId, CallId)>,
    /// Commands that run, by the incarnation that owns them.
    pub running: BTreeSet<(ThreadId, Incarnation, CallId)>,
    pub classes: BTreeMap<ThreadId, Option<ThreadId>>,
}

pub type Common = Arc<Mutex<Shared>>;

impl Shared {
    pub fn later(&mut self, after: u64, delivery: Delivery) {
        let jitter = self.chance.bits() % 4;
        let key = (self.now + after + jitter, self.chance.bits());
        self.queue.insert(key, delivery);
    }

    pub fn tell(&mut self, event: Event<ThreadId>) {
        let actions = self.core.handle(core::Millis(self.now), event);
        self.core.check();
        for action in actions {
            match action {
                Action::Timer { ticket, after } => self.later(after.0, Delivery::SupervisorDue(ticket)),
                Action::Cancel { .. } | Action::Removed { .. } => {}
                action => {
                    // Late, but in the order given: that much a driver promises.
                    self.acted = (self.acted.0.max(self.now + self.chance.bits() % 4), self.acted.1 + 1);
                    self.queue.insert(self.acted, Delivery::Act(action));
                }
            }
        }
    }
}

pub struct SimClock(pub Arc<AtomicU64>);

impl Clock for SimClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::Relaxed))
    }
}

pub struct SimSupervision(pub Common);

impl Supervision for SimSupervision {
    fn add(&self, seat: &Arc<Seat>) -> Result<(), String> {
        let class = if seat.parent.is_none() { Class::Root } else { Class::Worker };
        let mut shared = self.0.lock();
        shared.classes.insert(seat.thread, seat.parent);
        shared.tell(Event::Add { seat: seat.thread, class, parent: seat.parent });
        Ok(())
    }

    fn wake(&self, thread: ThreadId, need: Need) {
        self.0.lock().tell(Event::Wake { seat: thread, need });
    }
}

pub struct SimSlots(pub Common, pub ThreadId, pub Incarnation);

impl Slots for SimSlots {
    fn want(&self, need: Need) {
        self.0.lock().tell(Event::Wants { seat: self.1, inc: self.2, need });
    }

    fn give_back(&self) {
        self.0.lock().tell(Event::Released { seat: self.1, inc: self.2 });
    }
}

pub struct SimBell(pub Common, pub ThreadId, pub Incarnation);

impl Doorbell for SimBell {
    fn ring(&self) -> bool {
        self.0.lock().later(0, Delivery::Bell(self.1, self.2));
        true
    }
}

pub struct SimWorkers(pub Common, pub ThreadId, pub Incarnation);

impl SimWorkers {
    fn post(&self, after: u64, input: Input) {
        self.0.lock().later(after, Delivery::Post(self.1, self.2, input));
    }
}

impl Workers for SimWorkers {
    fn sample(&mut self, effect: u64, request: Request) {
        let (reply, until) = {
            let shared = self.0.lock();
            (shared.script.reply(&request), Some(shared.limited_until).filter(|until| *until > shared.now))
        };
        let result = match (until.map(Millis), reply.outcome()) {
            (Some(until), _) => Err(ModelError::UsageLimited { message: "used up".into(), until: Some(until) }),
            (None, ScriptedOutcome::Response(response)) => Ok(response),
            (None, ScriptedOutcome::Error(error)) => Err(error),
            (None, ScriptedOutcome::Hang) => return,
        };
        self.post(reply.delay_ms() + 5, Input::Sampled { effect, result });
    }

    fn cancel_sample(&mut self) {}

    fn hold(&mut self, effect: u64, call: CallId, _: TurnId, _: ExecCall, place: Confined) {
        let key = (self.1, call.clone());
        match place.sandbox {
            SandboxMode::DangerFullAccess => self.0.lock().confined.remove(&key),
            _ => self.0.lock().confined.insert(key),
        };
        // An id that no process has: a leftover of it is nobody.
        let group = ProcessGroup { id: i32::MAX, start: 1 };
        self.post(2, Input::Held { effect, call, group });
    }

    fn type_into(&mut self, _: CallId, _: TurnId, _: Typing) {
        unreachable!("no script types");
    }

    fn release(&mut self, call: &CallId) {
        let mut shared = self.0.lock();
        let is_confined = shared.confined.contains(&(self.1, call.clone()));
        shared.ledger.push((self.1, call.clone(), is_confined));
        shared.running.insert((self.1, self.2, call.clone()));
        let is_denied = is_confined && shared.asks && shared.chance.bits().is_multiple_of(4);
        let wall = Duration::from_millis(shared.chance.bits() % 60);
        let output = format!("ran {call}\n");
        let total_bytes = output.len() as u64;
        let result = ToolResult { end: ToolEnd::Exited(0), total_bytes, output, wall, is_denied };
        let input = Input::ToolEnded { call: call.clone(), result };
        shared.later(wall.as_millis() as u64, Delivery::Post(self.1, self.2, input));
    }

    fn plan(&mut self, effect: u64, call: CallId, patch: Arc<str>, place: Confined) {
        let result = empty::look(&patch, &place.cwd);
        self.post(2, Input::Planned { effect, call, result });
    }

    fn apply(&mut self, call: CallId, planned: Arc<Planned>, place: Confined, _: TurnId) {
        let mut shared = self.0.lock();
        shared.ledger.push((self.1, call.clone(), place.sandbox != SandboxMode::DangerFullAccess));
        shared.running.insert((self.1, self.2, call.clone()));
        let input = Input::Patched { call, result: empty::done(planned) };
        shared.later(3, Delivery::Post(self.1, self.2, input));
    }

    fn kill(&mut self, call: &CallId) {
        self.0.lock().running.remove(&(self.1, self.2, call.clone()));
    }

    fn timer(&mut self, timer: Timer, at: Millis) {
        let now = self.0.lock().now;
        self.post(at.0.saturating_sub(now), Input::Due(timer));
    }
}
