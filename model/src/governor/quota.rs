//! What a provider says of its limit on requests, in the headers of its answers.
//!
//! Providers mean different things by the same headers: a window that ends, a bucket that is full again, a log whose
//! oldest entry expires. What is used here holds for all of them: what is left until a reset, and that no more than
//! `limit` fit into the longest time to a reset.

use std::time::Duration;

use super::core::At;
use super::numbers::{MEMORY, QUOTA_WINDOW_MAX, QUOTA_WINDOW_MIN, RETRY_AFTER_MAX};

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
    /// The least of `limit` over the time to its reset, and when it was heard: it approaches the rate from above.
    rate: Option<(f64, At)>,
}

impl Quota {
    /// The answer to request `number` came in, when `sent` had been sent.
    pub fn heard(&mut self, at: At, number: u64, sent: u64, headroom: Headroom) {
        let Some(resets_in) = headroom.resets_in else { return };
        if let Some(remaining) = headroom.remaining
            && number >= self.newest
        {
            self.newest = number;
            // Those behind it are on their way, and not counted yet.
            self.left = Some((remaining.saturating_sub(sent - number), at + resets_in.min(RETRY_AFTER_MAX)));
        }
        if let Some(limit) = headroom.limit
            && (QUOTA_WINDOW_MIN..=QUOTA_WINDOW_MAX).contains(&resets_in)
        {
            let rate = limit.max(1) as f64 / resets_in.as_secs_f64();
            if self.rate.is_none_or(|(least, heard)| rate <= least || at > heard + MEMORY) {
                self.rate = Some((rate, at));
            }
        }
    }

    /// Requests per second that fit into a window, where that is known.
    pub fn rate(&self) -> Option<f64> {
        self.rate.map(|(rate, _)| rate)
    }

    /// True if it is a limit that is spread evenly: over a minute at most.
    pub fn is_spread(&self) -> bool {
        self.rate.is_some()
    }

    /// From one request to the next, where the headers tell enough: what is left lasts until the reset. A bucket settles
    /// half full that way, and a window ends when it is used up.
    pub fn gap(&self, at: At) -> Option<Duration> {
        let (rate, _) = self.rate?;
        match self.left {
            Some((left, reset)) if left > 0 && at < reset => Some((reset - at) / u32::try_from(left).unwrap_or(u32::MAX)),
            _ => Some(Duration::from_secs_f64(1.0 / rate)),
        }
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
