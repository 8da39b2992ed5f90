//! What was recently seen: the largest value that was fine, and how many requests were sent in the last second.

use super::core::At;
use super::numbers::MEMORY;

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

const SLICES: usize = 20;
const SLICE_MS: u128 = 1000 / SLICES as u128;

/// Counts the requests of the last second, in slices of a twentieth.
#[derive(Clone, Debug, Default)]
pub struct LastSecond {
    slices: [u32; SLICES],
    slice: u128,
}

impl LastSecond {
    /// One more is sent; how many there were in the last second, with it.
    pub fn sent(&mut self, at: At) -> u32 {
        let slice = at.as_millis() / SLICE_MS;
        let passed = slice.saturating_sub(self.slice).min(SLICES as u128);
        for old in 0..passed {
            self.slices[((slice - old) % SLICES as u128) as usize] = 0;
        }
        self.slice = self.slice.max(slice);
        let count = &mut self.slices[(self.slice % SLICES as u128) as usize];
        *count = count.saturating_add(1);
        self.slices.iter().fold(0, |sum, &slice| sum.saturating_add(slice))
    }
}
