//! What a provider says of its limit on requests, in the headers of its answers.
//!
//! Providers mean different things by the same headers: a window that ends, a bucket that is full again, a log whose
//! oldest entry expires. What is used here holds for all of them: what is left until a reset, and that no more than
//! `limit` fit into the longest time to a reset.

use std::time::Duration;

use super::core::At;
use super::numbers::{QUOTA_EVEN, QUOTA_HASTE, QUOTA_MUCH, QUOTA_WINDOW_MAX, QUOTA_WINDOW_MIN, RETRY_AFTER_MAX};

/// The headers of one answer (`x-ratelimit-limit-requests`, `x-ratelimit-remaining-requests`,
/// `x-ratelimit-reset-requests`), each where it was there and made sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Headroom {
    /// Requests that one window allows.
    pub limit: Option<u64>,
    /// Requests that are left of it.
    pub remaining: Option<u64>,
    /// The time to its reset.
    pub resets_in: Option<Duration>,
}

/// What is known of the limit.
#[derive(Clone, Debug, Default)]
pub struct Quota {
    /// What is left until a moment.
    left: Option<(u64, At)>,
    /// The request whose answer said so.
    newest: u64,
    /// The limit, and the longest time to its reset: so many fit into a window.
    window: Option<(u64, Duration)>,
}

impl Quota {
    /// The answer to request `number` came in; so many others are on their way, and not counted in it.
    pub fn heard(&mut self, at: At, number: u64, others: u64, headroom: Headroom) {
        let Some(resets_in) = headroom.resets_in else { return };
        if let Some(remaining) = headroom.remaining
            && number >= self.newest
        {
            self.newest = number;
            self.left = Some((remaining.saturating_sub(others), at + resets_in.min(RETRY_AFTER_MAX)));
        }
        if let Some(limit) = headroom.limit
            && (QUOTA_WINDOW_MIN..=QUOTA_WINDOW_MAX).contains(&resets_in)
        {
            let known = self.window.filter(|&(same, _)| same == limit);
            self.window = Some((limit, known.map_or(resets_in, |(_, longest)| longest.max(resets_in))));
        }
    }

    /// Requests per second that fit into a window, where that is known: it approaches the truth from above.
    pub fn rate(&self) -> Option<f64> {
        self.window.map(|(limit, longest)| limit.max(1) as f64 / longest.as_secs_f64())
    }

    /// True if it is a limit that is spread evenly: over a minute at most.
    pub fn is_spread(&self) -> bool {
        self.window.is_some()
    }

    /// From one request to the next, where the headers tell enough: what is left lasts until the reset. A bucket settles
    /// half full that way, and a window ends when it is used up.
    pub fn gap(&self, at: At) -> Option<Duration> {
        let rate = self.rate()?;
        let at_most = |part: f64| Duration::from_secs_f64(1.0 / (rate * part));
        let Some((left, reset)) = self.left.filter(|&(_, reset)| at < reset) else {
            return Some(at_most(QUOTA_EVEN));
        };
        let much = self.window.is_some_and(|(limit, _)| left > limit / QUOTA_MUCH);
        let shared = (reset - at) / u32::try_from(left).unwrap_or(u32::MAX).saturating_add(1);
        Some(shared.max(at_most(if much { QUOTA_HASTE } else { QUOTA_EVEN })))
    }

    /// When there is something left again, if there is nothing now.
    pub fn used_up(&self, at: At) -> Option<At> {
        self.left.and_then(|(left, reset)| (left == 0 && at < reset).then_some(reset))
    }

    /// One is sent.
    pub fn sent(&mut self) {
        if let Some((left, _)) = &mut self.left {
            *left = left.saturating_sub(1);
        }
    }

    /// The last one was not sent after all.
    pub fn unsent(&mut self) {
        if let Some((left, _)) = &mut self.left {
            *left += 1;
        }
    }
}
