//! Which limit a refusal was for. A provider has two kinds, requests in flight and requests per second, and its refusal
//! does not say which.

use super::core::Why;
use super::numbers::{RATE_NEAR, RATE_SAME};

/// What is known of a request that was refused, and of what was fine before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refusal {
    /// What held it back before it was sent.
    pub held_by: Option<Why>,
    /// Requests in flight beside it: the provider was answering so many at most.
    pub beside: u32,
    /// The most that it answered at a time recently.
    pub fine_at_once: u32,
    /// The cap is known: it is not searched.
    pub cap_found: bool,
    /// So many were in flight when something was refused for it before, or almost.
    pub same_place: bool,
    /// Requests accepted in the second before it was refused.
    pub in_second: u32,
    /// The most that were accepted in a second recently.
    pub fine_in_second: u32,
    /// The rate, where one is known.
    pub rate: Option<f64>,
    /// The rate at which something was refused for it before. None while it is searched for the first time.
    pub rate_place: Option<f64>,
    /// What the headers of the refusal say.
    pub said: Said,
}

/// What the headers of a refusal say of the provider's limit on requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing that helps.
    Nothing,
    /// It is used up.
    UsedUp,
    /// Something is left of a limit that would be used up in a minute.
    Left,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Requests in flight.
    Cap,
    /// Requests per second.
    Rate,
    /// One of the two; nothing says which.
    Either,
    /// The limit that the headers tell, which needs no learning.
    Told,
}

/// Judges by what is new about the refused request. A provider whose streams are all in use answers as many as it ever
/// did, and one whose second is used up has accepted as many in it as it ever does: otherwise that limit is innocent.
/// Where both may be it, the one that is being tried has done it.
pub fn blame(refusal: &Refusal) -> Blame {
    match refusal.said {
        Said::UsedUp => return Blame::Told,
        Said::Left => return Blame::Cap,
        Said::Nothing => {}
    }
    let crowded = refusal.beside >= refusal.fine_at_once || refusal.same_place;
    let in_second = f64::from(refusal.in_second);
    let paced = refusal.held_by == Some(Why::Pace);
    // A rate that is still searched is only a guess.
    let found = refusal.rate.filter(|_| refusal.rate_place.is_some());
    let fast = in_second >= found.unwrap_or(f64::from(refusal.fine_in_second)) * RATE_NEAR;
    match (crowded, fast) {
        (true, false) => Blame::Cap,
        (false, true) => Blame::Rate,
        (true, true) if refusal.held_by == Some(Why::Cap) && refusal.rate.is_some() => Blame::Cap,
        // As many in flight as when it was refused before. If it is as fast as then, it is the rate; and one that was
        // never blamed is tried first.
        (true, true) if refusal.same_place => match refusal.rate_place {
            Some(place) if in_second < place * RATE_SAME => Blame::Either,
            None if !paced => Blame::Either,
            _ => Blame::Rate,
        },
        (true, true) if refusal.cap_found => Blame::Rate,
        (true, true) => Blame::Either,
        // The provider allows less than before.
        (false, false) if paced => Blame::Rate,
        (false, false) => Blame::Cap,
    }
}
