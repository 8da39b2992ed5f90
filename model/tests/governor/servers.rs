//! Providers that limit: what they accept, and what they say of it. Times are microseconds.

use std::collections::VecDeque;

pub const SECOND: u64 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    /// So many tokens a second, a second's worth at most.
    Bucket(u64),
    /// So many in each whole second.
    Window(u64),
    /// So many in the second before any moment.
    Log(u64),
    Unlimited,
}

impl Rate {
    pub fn per_second(self) -> Option<u64> {
        match self {
            Rate::Bucket(rate) | Rate::Window(rate) | Rate::Log(rate) => Some(rate),
            Rate::Unlimited => None,
        }
    }
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
            tokens: rate.per_second().unwrap_or(0) * SECOND,
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
        let rate = self.rate.per_second().unwrap_or(0);
        self.tokens = (self.tokens + (now - self.filled) * rate).min(rate * SECOND);
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
            Rate::Bucket(_) => Some(self.tokens / SECOND),
            Rate::Window(rate) => Some(rate - self.in_window),
            Rate::Log(rate) => Some(rate - self.log.len() as u64),
            Rate::Unlimited => None,
        }
    }

    /// Until the bucket is full, the window ends, the oldest entry expires.
    pub fn resets_in(&self, now: u64) -> u64 {
        match self.rate {
            Rate::Bucket(rate) => (rate * SECOND - self.tokens) / rate,
            Rate::Window(_) => SECOND - now % SECOND,
            Rate::Log(_) => self.log.front().map_or(0, |&at| at + SECOND - now),
            Rate::Unlimited => 0,
        }
    }
}
