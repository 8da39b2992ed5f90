//! The governor's machine: data and transitions. Time is an argument, chance a seed, and nothing waits.
//!
//! Two limits are learned, because providers have two kinds: how many requests may be *in flight* (the cap), and how
//! many may be sent in a second (the *rate*). A refusal does not say which one it was. So each refusal is judged by
//! what was fine a moment ago ([`mod@super::blame`]): a limit at a value that was accepted recently is innocent.

use std::time::Duration;

use sapwood_protocol::Ids;

use super::blame::{Blame, Refusal, Said, blame as judge};
use super::evidence::{LastSecond, Recent};
use super::limit::{Bounds, Limit};
use super::line::{Line, Ticket, Who};
use super::numbers::*;
use super::pace::Pace;
use super::quota::{Headroom, Quota};

/// A moment: the time since the governor began.
pub type At = Duration;

/// A request that was granted, from its grant to its end. Not `Clone`: what is granted is given back once.
#[derive(Debug)]
#[must_use = "a flight that is not given back holds its place for ever"]
pub struct Flight {
    /// Its number among all that were sent.
    number: u64,
    /// How many refusals had been judged before it was sent.
    judged: u64,
    /// Requests in flight when it was sent, without it.
    beside: u32,
    /// What held it back last.
    held_by: Option<Why>,
    /// When the one before it allowed the next.
    paced: At,
    /// The provider accepted it.
    begun: bool,
    /// What its answer says of the provider's limit.
    said: Said,
}

/// What is to be done for the line now.
#[derive(Debug)]
pub enum Next {
    /// This one goes.
    Go(Ticket, Flight),
    /// Nobody goes, not before `until` where that is known: then ask again.
    Wait {
        /// What is in the way.
        why: Why,
        /// Until then at least. None: until something else happens.
        until: Option<At>,
    },
    /// Nobody waits.
    Nobody,
}

/// What is in the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The provider refused; nobody sends before the end of the pause.
    Pause,
    /// The provider said that its request limit is used up.
    Quota,
    /// As many requests are in flight as seem to be allowed.
    Cap,
    /// The last request was sent a moment ago.
    Pace,
}

/// The line is full: `WAITING_MAX` wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// One line in front of one provider, and what was learned of its limits.
#[derive(Debug)]
pub struct Core {
    line: Line,
    /// Granted and not given back.
    in_flight: u32,
    /// Of these, accepted by the provider.
    begun: u32,
    cap: Limit,
    pace: Pace,
    quota: Quota,
    /// The next may be sent then.
    paced: At,
    pause: At,
    /// Refusals with no success in between.
    in_a_row: u32,
    judged: u64,
    sent: u64,
    last_second: LastSecond,
    fine_at_once: Recent,
    fine_in_second: Recent,
    /// What holds the line back since `seen`.
    held_by: Option<Why>,
    seen: At,
    chance: Ids,
}

const CAP_BOUNDS: Bounds = Bounds { least: 1.0, most: CAP_MAX, period: CAP_PERIOD_MAX, apart: 1.0 };

impl Core {
    /// Nothing is known yet. `seed` decides the jitter.
    pub fn new(seed: u64) -> Self {
        Self {
            line: Line::default(),
            in_flight: 0,
            begun: 0,
            cap: Limit::searching(CAP_START, CAP_BOUNDS),
            pace: Pace::default(),
            quota: Quota::default(),
            paced: At::ZERO,
            pause: At::ZERO,
            in_a_row: 0,
            judged: 0,
            sent: 0,
            last_second: LastSecond::default(),
            fine_at_once: Recent::default(),
            fine_in_second: Recent::default(),
            held_by: None,
            seen: At::ZERO,
            chance: Ids::seeded(seed),
        }
    }

    /// Granted and not given back.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// How many may be in flight.
    pub fn cap(&self) -> u32 {
        self.cap.value() as u32
    }

    /// Requests per second, where that is limited.
    pub fn rate(&self) -> Option<f64> {
        self.quota.rate().or(self.pace.rate())
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.line.len()
    }

    /// A request wants to go.
    pub fn join(&mut self, who: Who) -> Result<Ticket, Full> {
        if self.line.len() >= WAITING_MAX { Err(Full) } else { Ok(self.line.join(who)) }
    }

    /// It wants no longer. False if it does not wait.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        self.line.leave(ticket)
    }

    /// Grants one, or says what is in the way. To be asked after every event until nobody goes.
    pub fn next(&mut self, at: At) -> Next {
        self.press(at);
        if self.line.is_empty() {
            self.held_by = None;
            return Next::Nobody;
        }
        if let Some((why, until)) = self.obstacle(at) {
            self.held_by = Some(why);
            return Next::Wait { why, until };
        }
        match self.line.pop() {
            Some(ticket) => Next::Go(ticket, self.send(at)),
            None => Next::Nobody,
        }
    }

    fn obstacle(&self, at: At) -> Option<(Why, Option<At>)> {
        if at < self.pause {
            return Some((Why::Pause, Some(self.pause)));
        }
        if self.in_flight >= self.cap() {
            return Some((Why::Cap, None));
        }
        if let Some(reset) = self.quota.used_up(at) {
            return Some((Why::Quota, Some(reset)));
        }
        (at < self.paced).then_some((Why::Pace, Some(self.paced)))
    }

    fn send(&mut self, at: At) -> Flight {
        self.in_flight += 1;
        self.sent += 1;
        self.quota.sent();
        let before = self.paced;
        self.paced = self.paced.max(at.saturating_sub(PACING_SLACK)) + self.gap(at);
        Flight {
            number: self.sent,
            judged: self.judged,
            beside: self.in_flight - 1,
            held_by: self.held_by,
            paced: before,
            begun: false,
            said: Said::Nothing,
        }
    }

    /// From one request to the next: what the headers say, or the rate that was learned; and after a pause wide enough to
    /// spread the free places.
    fn gap(&self, at: At) -> Duration {
        let learned = || self.pace.rate().map(|rate| Duration::from_secs_f64(1.0 / rate));
        let gap = self.quota.gap(at).or_else(learned).unwrap_or_default();
        let resuming = self.pause > At::ZERO && at < self.pause + RESUME_SPREAD;
        if resuming && self.rate().is_none() { gap.max(RESUME_SPREAD / self.cap().max(1)) } else { gap }
    }

    /// Moves the limits by the time for which they held the line back.
    fn press(&mut self, at: At) {
        let passed = at.saturating_sub(self.seen);
        self.seen = self.seen.max(at);
        let Some(why) = self.held_by else { return };
        self.pace.waited(why, passed);
        if why == Why::Cap {
            self.cap.press(passed.as_secs_f64());
        }
    }

    /// The answer's headers. Before [`Core::begun`] or [`Core::refused`].
    pub fn headroom(&mut self, at: At, flight: &mut Flight, headroom: Headroom) {
        // Those behind it are on their way, and perhaps some that were sent before it.
        let unanswered = (self.in_flight - self.begun).saturating_sub(1);
        let behind = (self.sent - flight.number).max(u64::from(unanswered));
        self.quota.heard(at, flight.number, behind, headroom);
        flight.said = match headroom.remaining {
            Some(0) => Said::UsedUp,
            Some(_) if self.quota.is_spread() => Said::Left,
            _ => Said::Nothing,
        };
    }

    /// The provider accepted it. Again: nothing.
    pub fn begun(&mut self, at: At, flight: &mut Flight) {
        if std::mem::replace(&mut flight.begun, true) {
            return;
        }
        self.press(at);
        self.begun += 1;
        self.fine_at_once.saw(at, self.begun);
        self.last_second.add(at);
        let in_second = self.last_second.count(at);
        self.fine_in_second.saw(at, in_second);
        self.pace.accepted(in_second);
        // What was sent before the last refusal says nothing about how it is after it.
        if flight.judged == self.judged {
            self.in_a_row = 0;
            self.search();
        }
        self.accept_cap();
    }

    /// A search goes on by one step for each accepted request, as long as its limit is in the way: the cap doubles
    /// every round trip (slow start).
    fn search(&mut self) {
        if self.line.is_empty() {
            return;
        }
        if self.in_flight >= self.cap() {
            self.cap.search(1.0);
        }
        if self.held_by == Some(Why::Pace) {
            self.pace.search();
        }
    }

    /// What the provider holds in flight is allowed. If that is where it refused before, the limit has moved.
    fn accept_cap(&mut self) {
        let begun = f64::from(self.begun);
        if self.cap.ceiling().is_some_and(|ceiling| begun >= ceiling) {
            self.cap.passed();
        }
        self.cap.at_least(begun);
    }

    /// It ended well.
    pub fn done(&mut self, at: At, mut flight: Flight) {
        self.begun(at, &mut flight);
        self.release(at, flight);
    }

    /// It ended in another way that says nothing about limits: broken, or cancelled.
    pub fn ended(&mut self, at: At, flight: Flight) {
        self.release(at, flight);
    }

    /// It was granted and never sent.
    pub fn unused(&mut self, at: At, flight: Flight) {
        if flight.number == self.sent {
            self.paced = flight.paced;
            self.quota.unsent();
        }
        self.release(at, flight);
    }

    fn release(&mut self, at: At, flight: Flight) {
        self.press(at);
        assert!(self.in_flight > 0, "a flight is given back once");
        self.in_flight -= 1;
        if flight.begun {
            self.begun -= 1;
        }
    }

    /// The provider refused it: too many requests, or it is overloaded.
    pub fn refused(&mut self, at: At, flight: Flight, retry_after: Option<Duration>) {
        self.press(at);
        let refusal = self.refusal(at, &flight);
        // One overshoot sends several requests before its first refusal is heard: they are one event.
        let same_event = flight.judged < self.judged;
        self.release(at, flight);
        if !same_event {
            self.judged += 1;
            self.in_a_row += 1;
            self.cut(refusal);
        }
        self.pause_for(at, retry_after, same_event);
    }

    fn refusal(&mut self, at: At, flight: &Flight) -> Refusal {
        Refusal {
            held_by: flight.held_by,
            beside: flight.beside,
            fine_at_once: self.fine_at_once.largest(at),
            cap_found: self.cap.ceiling().is_some(),
            same_place: self.same_place(flight.beside),
            in_second: self.last_second.count(at),
            fine_in_second: self.fine_in_second.largest(at),
            rate: self.pace.rate(),
            rate_place: self.pace.place(),
            said: flight.said,
        }
    }

    /// The cap was cut for so many in flight before, or almost.
    fn same_place(&self, beside: u32) -> bool {
        self.cap.place().is_some_and(|place| {
            let slack = (place * SAME_PLACE).floor();
            (place - 1.0 - slack..=place + slack).contains(&f64::from(beside))
        })
    }

    fn cut(&mut self, refusal: Refusal) {
        // Nothing was accepted since the last refusal: the pause was too short, and the rate has no new value.
        let again = self.in_a_row > 1;
        let blame = judge(&refusal);
        if matches!(blame, Blame::Cap | Blame::Either) {
            self.cut_cap(&refusal, blame);
        }
        match blame {
            Blame::Rate | Blame::Either if !again => {
                self.fine_in_second.refute(refusal.in_second);
                self.pace.refused(blame == Blame::Rate, refusal.in_second);
            }
            Blame::Rate | Blame::Either | Blame::Told => {}
            Blame::Cap => self.pace.innocent(),
        }
    }

    /// What the provider answers now is fine, and what it did recently, unless fewer were in flight now.
    fn cut_cap(&mut self, refusal: &Refusal, blame: Blame) {
        let fine = refusal.fine_at_once.min(refusal.beside.max(refusal.fine_at_once.div_ceil(2)));
        let fine = fine.max(self.begun).max(1);
        self.fine_at_once.refute(fine);
        let fine = f64::from(fine).min(self.cap.value());
        match blame {
            Blame::Either if !refusal.same_place => self.cap.suspect(fine + 1.0, fine, PERIOD_SUSPECT),
            _ => self.cap.cut(fine + 1.0, fine),
        }
    }

    fn pause_for(&mut self, at: At, retry_after: Option<Duration>, same_event: bool) {
        let pause = match retry_after {
            Some(asked) => asked.min(RETRY_AFTER_MAX),
            None if same_event => return,
            None => BACKOFF_START.saturating_mul(1 << (self.in_a_row - 1).min(16)).min(BACKOFF_MAX),
        };
        let jitter = pause.mul_f64(PAUSE_JITTER).min(PAUSE_JITTER_MAX).mul_f64(self.fraction());
        self.pause = self.pause.max(at + pause + jitter);
    }

    /// The account was closed and is open again: what is known of the rate holds, the cap starts small.
    pub fn restart(&mut self, at: At) {
        self.press(at);
        self.cap = Limit::searching(CAP_RESTART, CAP_BOUNDS);
        self.fine_at_once = Recent::default();
    }

    fn fraction(&mut self) -> f64 {
        (self.chance.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}
