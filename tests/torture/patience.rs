//! Bounded waiting for what sends no event.

use std::time::{Duration, Instant};

/// How soon to look again.
const LOOK: Duration = Duration::from_micros(300);

/// Looks until there is something to see, or the time is over.
pub fn until<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        let seen = look();
        if seen.is_some() || Instant::now() >= end {
            return seen;
        }
        std::thread::sleep(LOOK);
    }
}
