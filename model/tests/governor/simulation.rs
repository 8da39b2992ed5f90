//! What comes of the agents in front of every kind of provider.

use crate::servers::{Rate, SECOND};
use crate::world::{Case, Demand, Outcome, WARM_UP, run};

const MS: u64 = SECOND / 1000;
/// The shortest and the longest stream.
type Durations = (u64, u64);

const INSTANT: Durations = (MS, 20 * MS);
const SHORT: Durations = (50 * MS, 50 * MS);
const MIXED_SHORT: Durations = (100 * MS, 500 * MS);
const MIXED: Durations = (100 * MS, 3000 * MS);
const LONG: Durations = (2000 * MS, 2000 * MS);

/// Seeds that no number of the governor was chosen with.
const SEED: u64 = 9_000;

/// Every kind of limit, with and without what providers say of it.
fn cases(durations: Durations, demand: Demand) -> Vec<Case> {
    use Rate::{Bucket, Log, Unlimited, Window};
    let mut cases = Vec::new();
    for rate in [Bucket(10), Window(10), Log(10), Bucket(100), Window(100), Log(100), Unlimited] {
        for streams in [4, 8, 64] {
            for (retry_after, headers) in [(false, false), (true, false), (false, true), (true, true)] {
                let seed = SEED + cases.len() as u64;
                // Two long requests a second: it takes longer to see how many are refused.
                let measured = if durations == LONG { 300 * SECOND } else { 120 * SECOND };
                cases.push(Case {
                    rate,
                    streams,
                    retry_after,
                    headers,
                    durations,
                    demand,
                    measured,
                    change: None,
                    seed,
                });
            }
        }
    }
    // A provider without a rate says nothing in headers; and so few agents do not reach its streams where many are
    // allowed or requests are short.
    cases.retain(|case| {
        case.rate != Unlimited || !case.headers && (case.streams == 4 && durations != INSTANT || durations == LONG)
    });
    cases
}

/// At most one in fifty is refused, nobody too often, and roots do not wait.
fn meets(case: Case, outcome: &Outcome, throughput: f64) {
    let figures = (outcome.throughput(), outcome.refused_part(), outcome);
    assert!(outcome.throughput() >= throughput, "too little: {case:?} {figures:?}");
    assert!(outcome.refused_part() <= 0.02, "refused too often: {case:?} {figures:?}");
    assert!(outcome.most_refusals <= 4, "one was refused too often: {case:?} {figures:?}");
    assert!(outcome.root_wait * 4.0 < outcome.worker_wait, "roots wait: {case:?} {figures:?}");
}

/// Each run gets `least` of what the provider allows, and so many in a hundred get nine tenths of it.
fn judge(durations: Durations, least: f64, good_percent: usize) {
    let mut good = 0;
    let cases = cases(durations, Demand::Endless);
    for &case in &cases {
        let outcome = run(case);
        meets(case, &outcome, least);
        good += usize::from(outcome.throughput() >= 0.9);
    }
    assert!(good * 100 >= cases.len() * good_percent, "{good} of {} are good", cases.len());
}

#[test]
fn instant_requests_get_what_the_provider_allows() {
    judge(INSTANT, 0.9, 100);
}

#[test]
fn short_requests_get_what_the_provider_allows() {
    judge(SHORT, 0.9, 100);
}

/// Streams and rate are reached in turn here, and a refusal fits both.
#[test]
fn short_requests_of_every_length_get_most_of_what_the_provider_allows() {
    judge(MIXED_SHORT, 0.6, 80);
}

#[test]
fn mixed_requests_get_what_the_provider_allows() {
    judge(MIXED, 0.7, 97);
}

/// They begin and end in step, so that streams and rate are reached at the same moment.
#[test]
fn long_requests_of_one_length_get_what_the_provider_allows() {
    judge(LONG, 0.85, 95);
}

/// A tree as it is: each agent has a few requests, and nothing was learned before.
#[test]
fn a_run_without_a_warm_up_gets_most_of_what_the_provider_allows() {
    for mut case in cases(INSTANT, Demand::Rounds).into_iter().filter(|case| case.rate.per_second() == Some(10)) {
        for durations in [INSTANT, (200 * MS, 200 * MS)] {
            case.durations = durations;
            let outcome = run(case);
            assert!(outcome.throughput() >= 0.8, "too little: {case:?} {outcome:?}");
            assert!(outcome.refused_part() <= 0.02 && outcome.most_refusals <= 4, "refused: {case:?} {outcome:?}");
            assert!(outcome.nine_tenths > 0 && outcome.accepted > 300);
        }
    }
}

/// A provider may change its mind in the middle: its streams become fewer, or more.
#[test]
fn a_limit_that_moves_is_found_again() {
    for (before, after) in [(16, 4), (4, 16)] {
        for seed in SEED..SEED + 4 {
            let case = Case {
                rate: Rate::Unlimited,
                streams: before,
                retry_after: false,
                headers: false,
                durations: MIXED,
                demand: Demand::Endless,
                measured: 300 * SECOND,
                change: Some((WARM_UP + 60 * SECOND, after)),
                seed,
            };
            meets(case, &run(case), 0.65);
        }
    }
}
