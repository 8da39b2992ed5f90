//! Time as the machines see it: a number that somebody hands in.

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01 UTC, or a length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Whole seconds, rounded down: the unit of `started_at` and `completed_at` in Codex's events.
    pub fn secs(self) -> u64 {
        self.0 / 1000
    }

    /// The time from `earlier` to here; zero where the clock went backwards.
    pub fn since(self, earlier: Millis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment and `more` milliseconds.
    pub fn plus(self, more: u64) -> Millis {
        Millis(self.0.saturating_add(more))
    }

    /// `YYYY-MM-DDThh:mm:ss.mmmZ`, the timestamp of a rollout line.
    pub fn timestamp(self) -> String {
        // Years beyond 9999 have no place in the format: the clock is wrong, and the line is still a line.
        let at = i64::try_from(self.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        format!("{:.3}", at.unwrap_or(jiff::Timestamp::MAX))
    }

    /// Reads any RFC 3339 timestamp; `None` for what is none, or lies before 1970.
    pub fn parse(text: &str) -> Option<Millis> {
        let at: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(at.as_millisecond()).ok().map(Millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_milliseconds_and_come_back() {
        for ms in [0, 1_795_219_433_000, 1_795_219_433_341, 1_795_219_433_340] {
            let text = Millis(ms).timestamp();
            assert_eq!(text.len(), 24, "{text}");
            assert_eq!(Millis::parse(&text), Some(Millis(ms)));
        }
        assert_eq!(Millis(1_795_219_433_341).timestamp(), "2026-11-21T00:03:53.341Z");
        assert_eq!(&Millis(u64::MAX).timestamp()[..4], "9999");
        assert_eq!(Millis::parse("yesterday"), None);
    }
}
