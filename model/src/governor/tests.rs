//! Tables for the parts: the curve of a limit, what headers say, the gate of an account, and who is blamed.

use std::time::Duration;

use sapwood_protocol::Millis;

use super::blame::{Blame, Refusal, Said, blame};
use super::core::Why;
use super::gate::{Asked, Gate};
use super::limit::{Bounds, Limit};
use super::numbers::{PERIOD_START, USAGE_PROBE_MS, USAGE_UNKNOWN_MS};
use super::pace::Pace;
use super::quota::{Headroom, Quota};
use crate::port::Priority;

const BOUNDS: Bounds = Bounds { least: 1.0, most: 1000.0, period: 4.0 * PERIOD_START, apart: 1.0 };

fn secs(secs: f64) -> Duration {
    Duration::from_secs_f64(secs)
}

#[test]
fn a_limit_is_back_below_its_place_soon_and_long_near_it() {
    let mut limit = Limit::searching(64.0, BOUNDS);
    limit.press(1000.0);
    limit.search(36.0);
    assert_eq!((limit.value(), limit.ceiling(), limit.place()), (100.0, None, None));
    limit.cut(100.0, 60.0);
    for (part, value) in [(0.0, 60.0), (0.5, 95.0), (1.0, 100.0), (1.5, 105.0), (2.0, 140.0)] {
        let mut later = limit.clone();
        later.press(part * PERIOD_START);
        assert!((later.value() - value).abs() < 1e-9, "{part}: {}", later.value());
        later.search(1000.0);
        assert!((later.value() - value).abs() < 1e-9, "nothing is searched below a ceiling");
    }
}

#[test]
fn refused_again_at_the_same_place_the_next_try_is_later() {
    // The place, and how many first periods it then takes to come back to it.
    for (places, periods) in [
        (&[100.0][..], 1.0),
        (&[100.0, 100.0], 2.0),
        (&[100.0, 91.0], 2.0),
        (&[100.0, 80.0], 1.0),
        (&[100.0, 100.0, 100.0, 100.0, 100.0], 4.0),
        (&[5.0, 6.0], 2.0),
        (&[5.0, 7.0], 1.0),
    ] {
        let mut limit = Limit::searching(100.0, BOUNDS);
        places.iter().for_each(|&place| limit.cut(place, place / 2.0));
        let place = *places.last().expect("some");
        limit.press(periods * PERIOD_START * 0.99);
        assert!(limit.value() < place, "{places:?}");
        limit.press(periods * PERIOD_START * 0.01);
        assert!((limit.value() - place).abs() < 1e-6, "{places:?}: {}", limit.value());
    }
}

#[test]
fn a_limit_keeps_its_bounds() {
    let mut limit = Limit::searching(0.0, BOUNDS);
    assert_eq!(limit.value(), BOUNDS.least);
    limit.search(1e9);
    assert_eq!(limit.value(), BOUNDS.most);
    limit.cut(2.0, 0.0);
    assert_eq!(limit.value(), BOUNDS.least);
    limit.at_least(1e9);
    assert_eq!(limit.value(), BOUNDS.most);
}

#[test]
fn a_rate_lies_between_what_was_accepted_and_what_was_refused() {
    let mut pace = Pace::default();
    (0..20).for_each(|_| pace.accepted(20));
    pace.waited(Why::Cap, secs(2.0));
    pace.refused(true, 20);
    assert_eq!((pace.rate(), pace.place()), (Some(10.0), None), "20 in two seconds");
    // A search: twice as much is fine.
    (0..20).for_each(|_| pace.search());
    assert_eq!(pace.rate(), Some(20.0));
    (0..45).for_each(|_| pace.accepted(20));
    pace.waited(Why::Pace, secs(4.0));
    pace.refused(true, 20);
    let rate = pace.rate().expect("a rate");
    assert!((rate - 15.0).abs() < 1e-9, "between 11.25 and 20: {rate}");
    assert_eq!(pace.place(), Some(20.0));
    // A second from before the cut says nothing, and what was accepted moves a rate that was found no more.
    pace.refused(true, 25);
    pace.accepted(30);
    assert_eq!(pace.rate(), Some(rate));
    // Perhaps it is something else: it is hardly cut.
    pace.refused(false, 15);
    assert!(pace.rate().is_some_and(|less| less > rate * 0.95 && less < rate));
}

#[test]
fn what_headers_say() {
    let headroom = |limit, remaining, resets_in| Headroom { limit, remaining, resets_in: Some(secs(resets_in)) };
    let mut quota = Quota::default();
    quota.heard(secs(0.0), 1, 0, Headroom { limit: Some(10), remaining: Some(0), resets_in: None });
    assert_eq!((quota.rate(), quota.gap(secs(0.0)), quota.used_up(secs(0.0))), (None, None, None), "no reset");

    // Half is left for half a second: it is spread, as far as nobody is sent.
    quota.heard(secs(0.0), 1, 0, headroom(Some(10), Some(5), 0.5));
    assert_eq!(quota.rate(), Some(20.0));
    assert_eq!(quota.gap(secs(0.0)), Some(secs(0.5) / 6));
    quota.heard(secs(0.0), 2, 0, headroom(Some(10), Some(5), 1.0));
    assert_eq!(quota.rate(), Some(10.0), "so many fit into the longest time to a reset");
    quota.heard(secs(0.0), 3, 0, headroom(Some(10), Some(9), 0.1));
    assert_eq!((quota.rate(), quota.gap(secs(0.0))), (Some(10.0), Some(secs(0.05))), "twice the rate, no burst");
    quota.heard(secs(0.0), 4, 0, headroom(Some(40), Some(9), 1.0));
    assert_eq!(quota.rate(), Some(40.0), "another limit is another window");

    // Others are on their way; an older answer says nothing new; what was never sent is left again.
    quota.heard(secs(1.0), 9, 2, headroom(Some(10), Some(3), 0.5));
    quota.heard(secs(1.0), 8, 0, headroom(Some(10), Some(10), 0.5));
    assert_eq!(quota.used_up(secs(1.0)), None);
    quota.sent();
    assert_eq!(quota.used_up(secs(1.0)), Some(secs(1.5)));
    assert_eq!(quota.used_up(secs(1.5)), None);
    quota.unsent();
    assert_eq!(quota.used_up(secs(1.0)), None);
}

#[test]
fn a_limit_of_a_day_is_not_spread() {
    let mut quota = Quota::default();
    let day = Headroom { limit: Some(1000), remaining: Some(0), resets_in: Some(secs(80_000.0)) };
    quota.heard(secs(0.0), 1, 0, day);
    assert!(!quota.is_spread() && quota.gap(secs(0.0)).is_none());
    assert_eq!(quota.used_up(secs(0.0)), Some(secs(600.0)), "after ten minutes one looks again");
}

#[test]
fn the_gate_of_an_account() {
    let (worker, root) = (Priority::Worker, Priority::Root);
    let mut gate = Gate::default();
    assert_eq!(gate.ask(Millis(5), worker), Asked::Open);
    // Told, told less, told nothing, told of the past: the latest end that was told holds.
    assert_eq!(gate.close(Millis(0), Some(Millis(100_000))), Millis(100_000));
    for until in [Some(Millis(90_000)), None, Some(Millis(0))] {
        assert_eq!(gate.close(Millis(10), until), Millis(100_000));
    }
    assert_eq!(gate.ask(Millis(20), root), Asked::Closed { until: Millis(100_000) });
    // After a while a root may look, once; and at any time when the clock was set back.
    let later = Millis(10 + USAGE_PROBE_MS);
    assert_eq!(gate.ask(later, worker), Asked::Closed { until: Millis(100_000) });
    assert_eq!(gate.ask(later, root), Asked::Probe);
    assert_eq!(gate.ask(later, root), Asked::Closed { until: Millis(100_000) });
    assert_eq!(gate.ask(Millis(1), root), Asked::Probe);
    // It opens at its end, or when a probe was accepted, and counts that once.
    assert_eq!((gate.ask(Millis(100_000), worker), gate.openings()), (Asked::Open, 1));
    gate.open();
    assert_eq!(gate.openings(), 1);
    assert_eq!(gate.close(Millis(0), None), Millis(USAGE_UNKNOWN_MS));
    assert_eq!(gate.close(Millis(1), Some(Millis(7_000))), Millis(7_000), "an end that is told is better");
    gate.open();
    assert_eq!((gate.ask(Millis(1), worker), gate.openings()), (Asked::Open, 2));
}

#[test]
fn who_is_blamed() {
    use Blame::{Cap, Either, Rate, Told};
    // Four streams and ten a second are what was fine and what was found.
    let found = Refusal {
        held_by: Some(Why::Pace),
        beside: 2,
        fine_at_once: 4,
        cap_found: true,
        same_place: false,
        in_second: 10,
        fine_in_second: 10,
        rate: Some(10.0),
        rate_place: Some(10.0),
        said: Said::Nothing,
    };
    let searched = Refusal { cap_found: false, rate: None, rate_place: None, beside: 4, ..found };
    let guessed = Refusal { rate: Some(20.0), rate_place: None, ..found };
    let (cap, none) = (Some(Why::Cap), None);
    for (number, (refusal, want)) in [
        (found, Rate),
        (Refusal { beside: 4, in_second: 5, ..found }, Cap),
        (Refusal { beside: 4, held_by: cap, ..found }, Cap),
        (Refusal { beside: 4, ..found }, Rate),
        (Refusal { beside: 4, cap_found: false, ..found }, Either),
        // As many in flight as when it was refused before: as fast as then, or slower.
        (Refusal { same_place: true, ..found }, Rate),
        (Refusal { same_place: true, in_second: 8, ..found }, Either),
        (Refusal { same_place: true, in_second: 7, ..found }, Cap),
        // Less than what was fine in every way.
        (Refusal { in_second: 5, ..found }, Rate),
        (Refusal { in_second: 5, held_by: none, ..found }, Cap),
        // Nothing is known yet.
        (searched, Either),
        (Refusal { held_by: cap, ..searched }, Either),
        (Refusal { beside: 2, ..searched }, Rate),
        (Refusal { in_second: 5, ..searched }, Cap),
        // A rate that is searched is a guess, and acquits nobody.
        (guessed, Rate),
        (Refusal { same_place: true, ..guessed }, Rate),
        (Refusal { same_place: true, held_by: none, ..guessed }, Either),
        // Headers know better.
        (Refusal { said: Said::UsedUp, ..found }, Told),
        (Refusal { said: Said::Left, ..found }, Cap),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(blame(&refusal), want, "{number}: {refusal:?}");
    }
}
