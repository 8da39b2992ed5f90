//! Many agents and a provider that allows little.
//!
//! How many requests are refused, and how much of what is allowed is used, depends on how fast the machine is. Both are
//! judged in virtual time (`model/tests/governor`), and by the long runs here, which are measurements.

use std::collections::BTreeMap;
use std::time::Duration;

use sapwood_testkit::limits::{Ledger, Limited};
use sapwood_testkit::script::Tree;

use crate::loopback::{Config, Loop};
use crate::rollouts;

/// What came of a run.
#[derive(Debug)]
#[expect(dead_code, reason = "shown where a test fails")]
struct Measured {
    allowed: usize,
    refused: usize,
    /// Refused after the first tenth of all requests.
    refused_later: usize,
    /// Of what the server allowed between the first and the last child's requests, as a part of 1.
    used: f64,
    /// The most requests of children between two of the root, which asks again after every report.
    between_the_roots: usize,
    /// From the first child's request to the last one's.
    lasted: Duration,
    /// Allowed and refused in each five seconds.
    course: Vec<(usize, usize)>,
}

impl Measured {
    fn of(ledger: &Ledger, limits: Limited) -> Self {
        let verdicts = ledger.verdicts();
        let (allowed, refused) = ledger.counts();
        let warm = verdicts.len() / 10;
        let refused_later = verdicts[warm..].iter().filter(|verdict| !verdict.allowed).count();
        let last = verdicts.iter().rposition(|verdict| verdict.agent != "/root").unwrap();
        // Before the first child is there, only the root asks.
        let first = verdicts.iter().position(|verdict| verdict.agent != "/root").unwrap();
        let lasted = verdicts[last].when - verdicts[first].when;
        // What is saved up at the beginning is a second's worth.
        let possible = f64::from(limits.per_second) * (lasted.as_secs_f64() + 1.0);
        let until_last = verdicts[first..=last].iter().filter(|verdict| verdict.allowed).count();
        let between_the_roots = verdicts.split(|verdict| verdict.agent == "/root").map(<[_]>::len).max().unwrap();
        let mut course = Vec::new();
        for verdict in &verdicts {
            let at = (verdict.when - verdicts[0].when).as_secs() as usize / 5;
            course.resize(course.len().max(at + 1), (0, 0));
            if verdict.allowed { course[at].0 += 1 } else { course[at].1 += 1 }
        }
        let used = until_last as f64 / possible;
        Self { allowed, refused, refused_later, used, between_the_roots, lasted, course }
    }
}

/// Runs a tree of so many children against such a server. Each answer takes `takes`.
async fn run(children: usize, limits: Limited, takes: Duration, patience: Duration) -> Measured {
    let tree = Tree::of(children);
    let (answer, ledger) = limits.wrap(move |request| {
        let events = tree.events(request);
        sapwood_testkit::Answer::events([]).delay(takes).then(events)
    });
    let config = Config { request_retries: 4, slots: children + 1, ..Config::default() };
    let world = Loop::start(config, answer).await.patient(patience);
    let ran = world.exec(&["go"]).await;
    assert_eq!((ran.code, &*ran.out), (0, &*format!("All {children} reported.\n")), "{}", ran.err);
    let mut answered: BTreeMap<String, usize> = BTreeMap::new();
    for verdict in ledger.verdicts().into_iter().filter(|verdict| verdict.allowed) {
        *answered.entry(verdict.agent).or_default() += 1;
    }
    for n in 0..children {
        assert_eq!(answered[&Tree::path(n)], 1, "{}: answered once", Tree::path(n));
    }
    rollouts::check(&world.world);
    Measured::of(&ledger, limits)
}

/// Fewer agents and a server that allows more, so that it takes seconds. The bounds are far from what is measured (8 and
/// 10), so that a slow machine keeps them, and from what is broken: a run without a governor fails, and a line without
/// an order lets 106 children go between two requests of the root.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_agents_wait_instead_of_being_refused_and_their_root_comes_first() {
    let limits = Limited { per_second: 20, streams: 4, retry_after: true, headers: true };
    let measured = run(100, limits, Duration::from_millis(100), Duration::from_secs(60)).await;
    assert!(measured.refused * 3 <= measured.allowed, "few are refused: {measured:?}");
    assert!(measured.between_the_roots <= 50, "the root comes first: {measured:?}");
}

/// The numbers of the requirement: three hundred agents, ten requests a second, four streams.
async fn in_full(headers: bool) {
    let limits = Limited { per_second: 10, streams: 4, retry_after: true, headers };
    let measured = run(300, limits, Duration::from_millis(200), Duration::from_secs(300)).await;
    println!("{measured:?}");
    let all = measured.allowed + measured.refused;
    assert!(measured.refused_later * 50 <= all, "at most 2 % are refused after warm-up: {measured:?}");
    assert!(measured.between_the_roots <= 30, "the root comes first: {measured:?}");
    assert!(measured.used >= 0.9, "at least 90 % of what the server allows: {measured:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes more than half a minute by its nature"]
async fn three_hundred_agents_and_a_server_that_says_its_limits() {
    in_full(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes more than half a minute by its nature"]
async fn three_hundred_agents_and_a_server_that_says_nothing() {
    in_full(false).await;
}
