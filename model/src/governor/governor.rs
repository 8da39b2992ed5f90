//! The governor as futures: the core behind one lock, a wake-up for each that waits, and a timer that the oldest
//! waiting future owns. No task of its own: who waits does the work, and a future that is dropped hands it on.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use parking_lot::Mutex;
use sapwood_protocol::Millis;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::account::Account;
use super::core::{At, Core, Flight, Full, Next, Why};
use super::gate::Asked;
use super::line::{Ticket, Who};
use super::numbers::WAITING_MAX;
use super::pass::Pass;
use crate::port::{Delta, DeltaSink, ModelError, Origin};

/// The line in front of one model of one account of one provider.
pub struct Governor {
    provider: Arc<str>,
    model: Arc<str>,
    pub(super) account: Arc<Account>,
    began: Instant,
    state: Mutex<State>,
}

struct State {
    core: Core,
    waiting: BTreeMap<Ticket, Waiting>,
    /// What is in the way of the line, and until when.
    wait: Option<(Reason, Option<At>)>,
    /// The opening of the account's gate that was seen last.
    opening: u64,
}

/// A future in the line.
struct Waiting {
    wake: Arc<Notify>,
    /// What it told last.
    told: Option<Reason>,
    end: Option<End>,
}

/// How the waiting ends.
enum End {
    Granted(Flight),
    UsageLimited(Millis),
}

/// What a person is told. Coarser than [`Why`]: the cap and the pace take turns many times a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Line,
    Pause,
    Quota,
}

/// What a waiting future does next.
enum Step {
    Go(Flight),
    Fail(ModelError),
    Wait { tell: Option<Delta>, until: Option<Instant> },
}

impl Governor {
    pub(super) fn new(provider: &str, model: &str, account: Arc<Account>, seed: u64) -> Arc<Self> {
        let opening = account.ask(crate::Priority::Worker, |_, openings| openings);
        let state = State { core: Core::new(seed), waiting: BTreeMap::new(), wait: None, opening };
        Arc::new(Self {
            provider: provider.into(),
            model: model.into(),
            account,
            began: Instant::now(),
            state: Mutex::new(state),
        })
    }

    /// Waits until a request of `origin` may be sent, and tells `sink` what it waits for ([`Delta::Queued`]): once, and
    /// again when the reason changes. Dropping the future leaves the line.
    ///
    /// # Errors
    ///
    /// [`ModelError::UsageLimited`] at once while the account's usage limit lasts, also for those that wait already;
    /// [`ModelError::Unavailable`] when [`WAITING_MAX`] wait.
    pub fn admit(
        self: &Arc<Self>,
        origin: &Origin,
        sink: &Arc<dyn DeltaSink>,
    ) -> impl Future<Output = Result<Pass, ModelError>> + Send + use<> {
        let who = Who { priority: origin.priority(), tree: origin.session, retried: origin.attempt > 1 };
        let (governor, sink) = (self.clone(), sink.clone());
        async move {
            let place = governor.join(who)?;
            loop {
                match place.step() {
                    Step::Go(flight) => return Ok(Pass::new(governor.clone(), flight, place.probe)),
                    Step::Fail(error) => return Err(error),
                    Step::Wait { tell, until } => {
                        if let Some(delta) = tell {
                            sink.delta(delta);
                        }
                        match until {
                            // Woken or not, the next step looks.
                            Some(until) => drop(timeout_at(until, place.wake.notified()).await),
                            None => place.wake.notified().await,
                        }
                    }
                }
            }
        }
    }

    fn join(self: &Arc<Self>, who: Who) -> Result<Place, ModelError> {
        self.account.ask(who.priority, |asked, openings| {
            if let Asked::Closed { until } = asked {
                return Err(self.usage_limited(until));
            }
            let mut state = self.state.lock();
            if state.opening != openings {
                state.opening = openings;
                let at = self.at();
                state.core.restart(at);
            }
            let ticket = state.core.join(who).map_err(|Full| self.full())?;
            let wake = Arc::new(Notify::new());
            state.waiting.insert(ticket, Waiting { wake: wake.clone(), told: None, end: None });
            Ok(Place { governor: self.clone(), ticket, wake, probe: asked == Asked::Probe })
        })
    }

    /// The account was closed: nobody waits any longer, not even who was granted and has not noticed.
    pub(super) fn fail_waiting(&self, until: Millis) {
        let at = self.at();
        let mut state = self.state.lock();
        let State { core, waiting, .. } = &mut *state;
        for (&ticket, waiting) in waiting {
            match waiting.end.replace(End::UsageLimited(until)) {
                Some(End::Granted(flight)) => core.unused(at, flight),
                Some(End::UsageLimited(_)) => {}
                None => drop(core.leave(ticket)),
            }
            waiting.wake.notify_one();
        }
        state.pump(at);
    }

    /// Something happened to the core; then all are granted that may go.
    pub(super) fn happens<T>(&self, event: impl FnOnce(&mut Core, At) -> T) -> T {
        let at = self.at();
        let mut state = self.state.lock();
        let answer = event(&mut state.core, at);
        state.pump(at);
        answer
    }

    fn at(&self) -> At {
        self.began.elapsed()
    }

    /// Nobody waits and nothing is in flight. What was learned is all that is lost with it.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.waiting.is_empty() && state.core.in_flight() == 0
    }

    /// Requests in flight, for a person.
    pub fn in_flight(&self) -> u32 {
        self.state.lock().core.in_flight()
    }

    /// Requests that wait, for a person.
    pub fn waiting(&self) -> usize {
        self.state.lock().core.waiting()
    }

    fn usage_limited(&self, until: Millis) -> ModelError {
        let message =
            format!("the usage limit of the account at {} is reached (asked for {})", self.provider, self.model);
        ModelError::UsageLimited { message, until: Some(until) }
    }

    fn full(&self) -> ModelError {
        let message = format!(
            "{WAITING_MAX} requests wait for {} at {} already: let some finish or stop some agents, then try again",
            self.model, self.provider
        );
        ModelError::Unavailable { status: 0, message, retry_after_ms: None }
    }

    fn queued(&self, reason: Reason, until: Option<At>) -> Delta {
        let (provider, model) = (&self.provider, &self.model);
        let why = match reason {
            Reason::Line => format!("waits for its turn at {provider}: as many requests for {model} run as it allows"),
            Reason::Pause => format!("{provider} refused a request for {model}: all wait before the next try"),
            Reason::Quota => format!("the request limit of {provider} for {model} is used up: waits for its reset"),
        };
        // The line moves by itself: when it is one's turn is not known.
        let until = until.filter(|_| reason != Reason::Line).map(|until| {
            let left = until.saturating_sub(self.at()).as_millis();
            (self.account.now)().plus(u64::try_from(left).unwrap_or(u64::MAX))
        });
        Delta::Queued { why, until }
    }
}

impl State {
    /// Grants while somebody may go. The timer belongs to the oldest that waits: it is woken when that is another one, or
    /// when the wait changes. Everybody is woken when there is something else to tell.
    fn pump(&mut self, at: At) {
        let mut granted = false;
        let wait = loop {
            match self.core.next(at) {
                Next::Go(ticket, flight) => match self.waiting.get_mut(&ticket) {
                    Some(waiting) => {
                        waiting.end = Some(End::Granted(flight));
                        waiting.wake.notify_one();
                        granted = true;
                    }
                    None => self.core.unused(at, flight),
                },
                Next::Wait { why, until } => break Some((Reason::of(why), until)),
                Next::Nobody => break None,
            }
        };
        let before = std::mem::replace(&mut self.wait, wait);
        if before.map(|(reason, _)| reason) != wait.map(|(reason, _)| reason) {
            self.waiting.values().for_each(|waiting| waiting.wake.notify_one());
        } else if granted || before != wait {
            self.wake_oldest();
        }
    }

    fn oldest(&self) -> Option<(&Ticket, &Waiting)> {
        self.waiting.iter().find(|(_, waiting)| waiting.end.is_none())
    }

    fn wake_oldest(&self) {
        if let Some((_, waiting)) = self.oldest() {
            waiting.wake.notify_one();
        }
    }
}

impl Reason {
    fn of(why: Why) -> Self {
        match why {
            Why::Pause => Reason::Pause,
            Why::Quota => Reason::Quota,
            Why::Cap | Why::Pace => Reason::Line,
        }
    }
}

/// A place in the line. Dropped, it is given up, with what was granted to it.
struct Place {
    governor: Arc<Governor>,
    ticket: Ticket,
    wake: Arc<Notify>,
    /// It looks whether a closed account is open.
    probe: bool,
}

impl Place {
    fn step(&self) -> Step {
        let governor = &self.governor;
        let at = governor.at();
        let mut state = governor.state.lock();
        state.pump(at);
        let oldest = state.oldest().is_some_and(|(&oldest, _)| oldest == self.ticket);
        let wait = state.wait;
        let Some(waiting) = state.waiting.get_mut(&self.ticket) else {
            unreachable!("a place is in the line until it is dropped");
        };
        match (waiting.end.take(), wait) {
            (Some(End::Granted(flight)), _) => Step::Go(flight),
            (Some(End::UsageLimited(until)), _) => Step::Fail(governor.usage_limited(until)),
            (None, wait) => {
                let until = wait.and_then(|(_, until)| until);
                let news =
                    wait.map(|(reason, _)| reason).filter(|&reason| waiting.told.replace(reason) != Some(reason));
                Step::Wait {
                    tell: news.map(|reason| governor.queued(reason, until)),
                    until: until.filter(|_| oldest).map(|until| governor.began + until),
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let at = self.governor.at();
        let mut state = self.governor.state.lock();
        match state.waiting.remove(&self.ticket).and_then(|waiting| waiting.end) {
            Some(End::Granted(flight)) => state.core.unused(at, flight),
            Some(End::UsageLimited(_)) => {}
            None => drop(state.core.leave(self.ticket)),
        }
        state.pump(at);
        // Another is the oldest now, perhaps, and owns the timer.
        state.wake_oldest();
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Governor").field("provider", &self.provider).field("model", &self.model).finish_non_exhaustive()
    }
}
