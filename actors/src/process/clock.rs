//! The timeout's clock, and the two hands that reach a running command: pausing it and cancelling it.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Stops the timeout's clock of the commands that hold its [`Pause`]. Dropping it lets the clocks run.
#[derive(Debug)]
pub struct Pauser(watch::Sender<bool>);

/// The command's side of a [`Pauser`]: while paused, the timeout does not come nearer. The command itself goes on.
#[derive(Clone, Debug)]
pub struct Pause(Option<watch::Receiver<bool>>);

/// Cancels the commands that hold its [`Cancel`]. Dropping it without [`Canceller::cancel`] cancels nothing.
#[derive(Debug)]
pub struct Canceller(watch::Sender<bool>);

/// The command's side of a [`Canceller`].
#[derive(Clone, Debug)]
pub struct Cancel(Option<watch::Receiver<bool>>);

impl Pauser {
    /// A pauser whose clocks run.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Stops the clocks.
    pub fn pause(&self) {
        self.0.send_replace(true);
    }

    /// Lets them run on from where they stood.
    pub fn resume(&self) {
        self.0.send_replace(false);
    }

    /// A handle for one more command.
    pub fn handle(&self) -> Pause {
        Pause(Some(self.0.subscribe()))
    }
}

impl Default for Pauser {
    fn default() -> Self {
        Self::new()
    }
}

impl Pause {
    /// A clock that nobody stops.
    pub fn never() -> Self {
        Self(None)
    }

    pub(super) fn is_paused(&self) -> bool {
        self.0.as_ref().is_some_and(|paused| *paused.borrow())
    }

    /// Waits for the next change; a dropped pauser counts as the change to "running", once.
    pub(super) async fn changed(&mut self) -> bool {
        let Some(paused) = &mut self.0 else {
            return pending().await;
        };
        if paused.changed().await.is_ok() {
            return *paused.borrow_and_update();
        }
        self.0 = None;
        false
    }
}

impl Canceller {
    /// A canceller that has not cancelled.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Cancels, for good: also what starts later with one of its handles.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// A handle for one more command.
    pub fn handle(&self) -> Cancel {
        Cancel(Some(self.0.subscribe()))
    }
}

impl Default for Canceller {
    fn default() -> Self {
        Self::new()
    }
}

impl Cancel {
    /// A command that nobody cancels.
    pub fn never() -> Self {
        Self(None)
    }

    /// Waits until it is cancelled; for ever, if nobody can cancel it any more.
    pub async fn cancelled(&mut self) {
        if let Some(cancelled) = &mut self.0
            && cancelled.wait_for(|cancelled| *cancelled).await.is_ok()
        {
            return;
        }
        pending().await
    }
}

/// Counts down while it runs. Time is passed in; only [`Clock::expired`] waits.
#[derive(Debug)]
pub(super) struct Clock {
    left: Option<Duration>,
    running_since: Option<Instant>,
}

impl Clock {
    pub(super) fn new(limit: Option<Duration>, paused: bool, now: Instant) -> Self {
        Self { left: limit, running_since: (!paused).then_some(now) }
    }

    pub(super) fn set_paused(&mut self, paused: bool, now: Instant) {
        if !paused {
            self.running_since.get_or_insert(now);
        } else if let Some(since) = self.running_since.take() {
            let ran = now.saturating_duration_since(since);
            self.left = self.left.map(|left| left.saturating_sub(ran));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.running_since?.checked_add(self.left?)
    }

    pub(super) async fn expired(&self) {
        match self.deadline() {
            Some(deadline) => sleep_until(deadline).await,
            None => pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_running_time_counts() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::new(Some(Duration::from_secs(10)), false, start);
        assert_eq!(clock.deadline(), Some(at(10)));
        clock.set_paused(true, at(4));
        assert_eq!(clock.deadline(), None);
        clock.set_paused(true, at(50));
        clock.set_paused(false, at(100));
        assert_eq!(clock.deadline(), Some(at(106)));
        clock.set_paused(false, at(103));
        assert_eq!(clock.deadline(), Some(at(106)));
        clock.set_paused(true, at(300));
        clock.set_paused(false, at(301));
        assert_eq!(clock.deadline(), Some(at(301)));
    }

    #[test]
    fn no_limit_and_an_endless_one_never_expire() {
        let now = Instant::now();
        assert_eq!(Clock::new(None, false, now).deadline(), None);
        assert_eq!(Clock::new(Some(Duration::MAX), false, now).deadline(), None);
        assert_eq!(Clock::new(Some(Duration::ZERO), true, now).deadline(), None);
    }
}
