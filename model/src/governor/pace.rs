//! How many requests a second: the limit that is learned from refusals. Data and transitions; time is an argument.

use std::time::Duration;

use super::core::Why;
use super::evidence::Meter;
use super::limit::{Bounds, Limit};
use super::numbers::*;

/// What is known of the rate.
#[derive(Debug, Default)]
pub struct Pace {
    /// None until the first refusal for it: no limit.
    limit: Option<Limit>,
    meter: Meter,
}

impl Pace {
    /// Requests per second, where that is limited.
    pub fn rate(&self) -> Option<f64> {
        self.limit.as_ref().map(Limit::value)
    }

    /// The rate that was refused last.
    pub fn place(&self) -> Option<f64> {
        self.limit.as_ref().and_then(Limit::place)
    }

    /// Somebody waited for this reason, for so long.
    pub fn waited(&mut self, why: Why, passed: Duration) {
        self.meter.busy(passed);
        let Some(limit) = self.limit.as_mut().filter(|_| why == Why::Pace) else { return };
        limit.press(passed.as_secs_f64());
        if limit.ceiling().is_some_and(|ceiling| limit.value() > ceiling * RATE_PASSED) {
            limit.passed();
        }
    }

    /// A request was accepted, and with it so many in the last second. While no place is known, that is fine.
    pub fn accepted(&mut self, in_second: u32) {
        self.meter.accepted();
        if let Some(limit) = self.limit.as_mut().filter(|limit| limit.place().is_none()) {
            limit.at_least(f64::from(in_second));
        }
    }

    /// A request was accepted while the pace is what holds others back: a search goes on.
    pub fn search(&mut self) {
        if let Some(limit) = &mut self.limit {
            let known = limit.place().is_some();
            limit.search(if known { RATE_SEARCH } else { RATE_SEARCH_FIRST });
        }
    }

    /// A request was refused, and not for the rate.
    pub fn innocent(&mut self) {
        self.meter.end();
    }

    /// A request was refused for the rate; or perhaps for it, where something else may have been the reason: then a
    /// search goes on, and a rate that was found is hardly cut. `in_second` were accepted in the second before.
    pub fn refused(&mut self, surely: bool, in_second: u32) {
        let accepted = self.meter.end();
        // More than the rate allows: that second was used up before the rate was cut, and says nothing of it.
        if self.rate().is_some_and(|rate| f64::from(in_second) > rate * RATE_OUTRUN + 1.0) {
            return;
        }
        let Some(limit) = &mut self.limit else {
            self.limit = Some(Limit::searching(accepted, BOUNDS));
            return;
        };
        let refused = limit.value();
        // A bucket allows what it has accepted on average: at a higher rate its savings were used up. A window allows what
        // was refused, almost: it was the pause that made the average low. The truth is between the two.
        let between = (accepted * refused).sqrt().clamp(refused * RATE_CUT_MOST, refused * RATE_CUT);
        match (surely, limit.place()) {
            (true, _) => limit.cut(refused, between),
            (false, Some(_)) => limit.cut(refused, refused * RATE_CUT),
            (false, None) => limit.back_to(between),
        }
    }
}

const BOUNDS: Bounds = Bounds { least: RATE_MIN, most: RATE_MAX, period: RATE_PERIOD_MAX, apart: 0.0 };
