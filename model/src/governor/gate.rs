//! The gate of an account: closed while its usage limit lasts. Data and transitions; time is an argument.

use sapwood_protocol::Millis;

use super::numbers::{USAGE_PROBE_MS, USAGE_UNKNOWN_MS};
use crate::port::Priority;

/// Open, or closed until a moment.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    closed: Option<Closed>,
    /// How often it was opened. Whoever sees a new number starts slowly.
    openings: u64,
}

#[derive(Clone, Copy, Debug)]
struct Closed {
    until: Millis,
    /// The provider said until when.
    known: bool,
    /// The last request that was let through, or the refusal that closed it.
    looked: Millis,
}

/// The answer of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Go on.
    Open,
    /// It is closed, and this one may look whether that is still true.
    Probe,
    /// It is closed.
    Closed {
        /// When it opens.
        until: Millis,
    },
}

impl Gate {
    /// May a request of this class go?
    pub fn ask(&mut self, now: Millis, priority: Priority) -> Asked {
        let Some(closed) = &mut self.closed else { return Asked::Open };
        if now >= closed.until {
            self.open();
            return Asked::Open;
        }
        // A clock that was set back must not keep a person from asking.
        let looked_ago = if now < closed.looked { USAGE_PROBE_MS } else { now.0 - closed.looked.0 };
        if priority == Priority::Root && looked_ago >= USAGE_PROBE_MS {
            closed.looked = now;
            return Asked::Probe;
        }
        Asked::Closed { until: closed.until }
    }

    /// The provider says that the account is used up, until then where it says so. When it opens.
    pub fn close(&mut self, now: Millis, until: Option<Millis>) -> Millis {
        // An end that has passed is no end: the clocks differ, or the limit has only just ended.
        let told = until.filter(|&until| until > now);
        let before = self.closed.filter(|closed| closed.until > now);
        let (until, known) = match (told, before) {
            (Some(told), Some(before)) if before.known => (told.max(before.until), true),
            (Some(told), _) => (told, true),
            (None, Some(before)) if before.known => (before.until, true),
            (None, _) => (now.plus(USAGE_UNKNOWN_MS), false),
        };
        self.closed = Some(Closed { until, known, looked: now });
        until
    }

    /// A probe was accepted.
    pub fn open(&mut self) {
        if self.closed.take().is_some() {
            self.openings += 1;
        }
    }

    /// How often it was opened.
    pub fn openings(&self) -> u64 {
        self.openings
    }
}
