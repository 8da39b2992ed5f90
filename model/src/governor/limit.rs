//! A limit that nobody tells. It is searched by doubling; once something was refused, the value follows a cubic curve
//! around the place of the refusal (the shape that TCP CUBIC, RFC 9438, uses for its window): quickly back to just
//! below it, long near it, and away from it ever faster if nothing is refused there any more.

use super::numbers::{PERIOD_START, SAME_PLACE};

/// The value of a limit, and how it goes on.
///
/// Only time in which the limit is what holds requests back (it is *pressed*) moves the value along the curve: a limit
/// that nobody reaches learns nothing.
#[derive(Clone, Debug)]
pub struct Limit {
    value: f64,
    bounds: Bounds,
    /// Where it was refused, while that is believed.
    ceiling: Option<f64>,
    /// Where it was refused last, believed or not.
    place: Option<f64>,
    /// The value right after the refusal.
    floor: f64,
    /// Seconds of pressing since the refusal.
    pressed: f64,
    /// Seconds of pressing from the floor to the ceiling.
    period: f64,
}

/// Within what a limit moves.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The smallest value.
    pub least: f64,
    /// The largest value.
    pub most: f64,
    /// The longest time from one try to the next, in seconds of pressing.
    pub period: f64,
    /// Two refusals that differ by this, or by a tenth, are at the same place.
    pub apart: f64,
}

impl Limit {
    /// A limit that searches from `start`.
    pub fn searching(start: f64, bounds: Bounds) -> Self {
        Self {
            value: start.clamp(bounds.least, bounds.most),
            bounds,
            ceiling: None,
            place: None,
            floor: 0.0,
            pressed: 0.0,
            period: PERIOD_START,
        }
    }

    /// What is allowed now.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Where it was refused, while that is believed. None while it searches.
    pub fn ceiling(&self) -> Option<f64> {
        self.ceiling
    }

    /// Where it was refused last, also when it was fine there later.
    pub fn place(&self) -> Option<f64> {
        self.place
    }

    /// It was what held requests back for some seconds.
    pub fn press(&mut self, seconds: f64) {
        let Some(ceiling) = self.ceiling else { return };
        self.pressed += seconds;
        let way = (self.pressed - self.period) / self.period;
        self.set(ceiling + (ceiling - self.floor) * way.powi(3));
    }

    /// It may be more by `step`: a search goes well.
    pub fn search(&mut self, step: f64) {
        if self.ceiling.is_none() {
            self.set(self.value + step);
        }
    }

    /// At least `value` is fine.
    pub fn at_least(&mut self, value: f64) {
        self.set(self.value.max(value));
    }

    /// The search goes on from here, not yet knowing a place.
    pub fn back_to(&mut self, value: f64) {
        self.set(value);
    }

    /// The ceiling was passed without a refusal: it is searched again.
    pub fn passed(&mut self) {
        self.ceiling = None;
    }

    /// It was refused at `ceiling` and is fine at `floor`. Refused again at the same place, the next try is later.
    pub fn cut(&mut self, ceiling: f64, floor: f64) {
        let slack = (ceiling * SAME_PLACE).max(self.bounds.apart);
        let again = self.place.is_some_and(|place| (ceiling - place).abs() <= slack);
        self.period = if again { (self.period * 2.0).min(self.bounds.period) } else { PERIOD_START };
        self.fall(ceiling, floor);
    }

    /// It may have been refused at `ceiling`, and something else may have been the reason: the next try is soon.
    pub fn suspect(&mut self, ceiling: f64, floor: f64, period: f64) {
        self.period = period;
        self.fall(ceiling, floor);
    }

    fn fall(&mut self, ceiling: f64, floor: f64) {
        self.place = Some(ceiling);
        self.ceiling = Some(ceiling);
        self.floor = floor.min(ceiling);
        self.pressed = 0.0;
        self.set(self.floor);
    }

    fn set(&mut self, value: f64) {
        self.value = value.clamp(self.bounds.least, self.bounds.most);
    }
}
