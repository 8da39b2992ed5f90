//! Providers that limit: what they accept, and what they say of it. Times are microseconds.

use std::collections::VecDeque;

pub const SECOND: u64 = 1_000_000;
/// Requests per second, and the size of the bucket and of the windows.
pub const RATE: u64 = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// `RATE` tokens a second, `RATE` at most.
    Bucket,
    /// `RATE` in each whole second.
    Window,
    /// `RATE` in the second before any moment.
    Log,
    Unlimited,
}

#[derive(Clone, Debug)]
pub struct Server {
    rate: Rate,
    streams: usize,
    /// Ends of the streams that run.
    running: Vec<u64>,
    /// Starts that were accepted in the last second.
    log: VecDeque<u64>,
    window: u64,
    in_window: u64,
    /// Millionths of a token.
    tokens: u64,
    filled: u64,
}

/// Why it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum No {
    Streams,
    Rate,
}

impl Server {
    pub fn new(rate: Rate, streams: usize) -> Self {
        Self {
            rate,
            streams,
            running: Vec::new(),
            log: VecDeque::new(),
            window: 0,
            in_window: 0,
            tokens: RATE * SECOND,
            filled: 0,
        }
    }

    pub fn set_streams(&mut self, streams: usize) {
        self.streams = streams;
    }

    fn pass(&mut self, now: u64) {
        self.running.retain(|&end| end > now);
        while self.log.front().is_some_and(|&at| at + SECOND <= now) {
            self.log.pop_front();
        }
        if now / SECOND != self.window {
            self.window = now / SECOND;
            self.in_window = 0;
        }
        self.tokens = (self.tokens + (now - self.filled) * RATE).min(RATE * SECOND);
        self.filled = now;
    }

    /// One request of this duration.
    pub fn ask(&mut self, now: u64, duration: u64) -> Result<(), No> {
        self.pass(now);
        if self.running.len() >= self.streams {
            return Err(No::Streams);
        }
        if self.remaining() == Some(0) {
            return Err(No::Rate);
        }
        self.running.push(now + duration);
        self.log.push_back(now);
        self.in_window += 1;
        self.tokens = self.tokens.saturating_sub(SECOND);
        Ok(())
    }

    pub fn remaining(&self) -> Option<u64> {
        match self.rate {
            Rate::Bucket => Some(self.tokens / SECOND),
            Rate::Window => Some(RATE - self.in_window),
            Rate::Log => Some(RATE - self.log.len() as u64),
            Rate::Unlimited => None,
        }
    }

    /// Until the bucket is full, the window ends, the oldest entry expires.
    pub fn resets_in(&self, now: u64) -> u64 {
        match self.rate {
            Rate::Bucket => (RATE * SECOND - self.tokens) / RATE,
            Rate::Window => SECOND - now % SECOND,
            Rate::Log => self.log.front().map_or(0, |&at| at + SECOND - now),
            Rate::Unlimited => 0,
        }
    }
}
