//! The right to one request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sapwood_protocol::Millis;

use super::core::{At, Core, Flight};
use super::governor::Governor;
use super::quota::Headroom;

/// The right to one request, and its place in flight while it is held.
///
/// Its holder says what came of it with one of [`done`](Pass::done), [`refused`](Pass::refused),
/// [`usage_limited`](Pass::usage_limited) and [`failed`](Pass::failed). Dropped without a word it was cancelled:
/// everything is given back and nothing is learned.
#[must_use = "dropping it gives the place in flight back"]
pub struct Pass {
    governor: Arc<Governor>,
    /// None once it is given back.
    flight: Option<Flight>,
    probe: bool,
}

impl Pass {
    pub(super) fn new(governor: Arc<Governor>, flight: Flight, probe: bool) -> Self {
        Self { governor, flight: Some(flight), probe }
    }

    /// The headers of the answer. To be told before [`begun`](Pass::begun) or [`refused`](Pass::refused).
    pub fn headroom(&mut self, headroom: Headroom) {
        if let Some(flight) = &mut self.flight {
            self.governor.happens(|core, at| core.headroom(at, flight, headroom));
        }
    }

    /// The provider accepted the request. Told again, it does nothing.
    pub fn begun(&mut self) {
        if let Some(flight) = &mut self.flight {
            self.governor.happens(|core, at| core.begun(at, flight));
        }
        self.open();
    }

    /// The response came to its end.
    pub fn done(mut self) {
        self.open();
        self.give_back(Core::done);
    }

    /// The provider refused: too many requests, or it is overloaded. All of this governor pause for `retry_after`, or
    /// for a back-off of its own.
    pub fn refused(mut self, retry_after: Option<Duration>) {
        self.give_back(|core, at, flight| core.refused(at, flight, retry_after));
    }

    /// The account has used up what it may use, until then where the provider says so. Everything that waits for any
    /// model of the account fails with [`UsageLimited`](crate::ModelError::UsageLimited).
    pub fn usage_limited(self, until: Option<Millis>) {
        // The gate is closed first: the place that is given back goes to nobody.
        self.governor.account.close(until);
    }

    /// It failed in another way, which says nothing about limits.
    pub fn failed(self) {}

    /// What a probe saw.
    fn open(&mut self) {
        if std::mem::take(&mut self.probe) {
            self.governor.account.open();
        }
    }

    fn give_back(&mut self, how: impl FnOnce(&mut Core, At, Flight)) {
        if let Some(flight) = self.flight.take() {
            self.governor.happens(|core, at| how(core, at, flight));
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.give_back(Core::ended);
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pass").field("governor", &self.governor).field("probe", &self.probe).finish_non_exhaustive()
    }
}
