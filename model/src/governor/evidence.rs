//! What was recently seen: the largest value that was fine, how many requests were accepted in the last second, and how
//! many between two refusals.

use std::time::Duration;

use super::core::At;
use super::numbers::{MEMORY, METER_MIN};

/// The largest of the values of the last one to two [`MEMORY`] spans.
#[derive(Clone, Debug, Default)]
pub struct Recent {
    this: u32,
    last: u32,
    span: u128,
}

impl Recent {
    /// One more value.
    pub fn saw(&mut self, at: At, value: u32) {
        self.turn(at);
        self.this = self.this.max(value);
    }

    /// The largest.
    pub fn largest(&mut self, at: At) -> u32 {
        self.turn(at);
        self.this.max(self.last)
    }

    /// No more than `value` is fine after all.
    pub fn refute(&mut self, value: u32) {
        self.this = self.this.min(value);
        self.last = self.last.min(value);
    }

    fn turn(&mut self, at: At) {
        let span = at.as_millis() / MEMORY.as_millis();
        match span.saturating_sub(self.span) {
            0 => return,
            1 => self.last = self.this,
            _ => self.last = 0,
        }
        self.this = 0;
        self.span = span;
    }
}

/// One more than a second has, so that a whole second is always in it.
const SLICES: usize = 21;
const SLICE_MS: u128 = 50;

/// Counts the requests of the last second, in slices of a twentieth.
#[derive(Clone, Debug, Default)]
pub struct LastSecond {
    slices: [u32; SLICES],
    slice: u128,
}

impl LastSecond {
    /// One more.
    pub fn add(&mut self, at: At) {
        self.turn(at);
        let count = &mut self.slices[(self.slice % SLICES as u128) as usize];
        *count = count.saturating_add(1);
    }

    /// How many there were in the last second.
    pub fn count(&mut self, at: At) -> u32 {
        self.turn(at);
        self.slices.iter().fold(0, |sum, &slice| sum.saturating_add(slice))
    }

    fn turn(&mut self, at: At) {
        let slice = at.as_millis() / SLICE_MS;
        let passed = slice.saturating_sub(self.slice).min(SLICES as u128);
        for old in 0..passed {
            self.slices[((slice - old) % SLICES as u128) as usize] = 0;
        }
        self.slice = self.slice.max(slice);
    }
}

/// Measures what is accepted from one refusal to the next.
///
/// A provider that has just refused has nothing left, whatever it counts with. So what it accepted between two refusals
/// is what it allows in that time, pauses included: the pause is when it saves up. Only time in which somebody waited
/// counts.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    now: Span,
    before: Span,
}

#[derive(Clone, Copy, Debug, Default)]
struct Span {
    accepted: u32,
    busy: Duration,
}

impl Meter {
    /// One was accepted.
    pub fn accepted(&mut self) {
        self.now.accepted = self.now.accepted.saturating_add(1);
    }

    /// Somebody waited for so long.
    pub fn busy(&mut self, passed: Duration) {
        self.now.busy += passed;
    }

    /// A refusal ends the span: the rate at which requests were accepted in it. A span that is too short says little,
    /// and is taken together with the one before.
    pub fn end(&mut self) -> f64 {
        let (now, before) = (self.now, self.before);
        let span = if now.busy >= METER_MIN { now } else { now.with(before) };
        *self = Self { now: Span::default(), before: span };
        f64::from(span.accepted.max(1)) / span.busy.as_secs_f64().max(1.0)
    }
}

impl Span {
    fn with(self, other: Span) -> Span {
        Span { accepted: self.accepted.saturating_add(other.accepted), busy: self.busy + other.busy }
    }
}
