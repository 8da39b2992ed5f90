//! Many agents and a provider that allows little.

use std::collections::BTreeMap;
use std::time::Duration;

use sapwood_testkit::limits::{Ledger, Limited};
use sapwood_testkit::script::Tree;

use crate::loopback::{Config, Loop};
use crate::rollouts;

/// The root finds at most so many other requests before its own, once it has something to ask: those that were under
/// way. Its own wake-up takes time in which others go on.
const BEFORE_THE_ROOT: usize = 30;

/// What came of a run.
#[derive(Debug)]
struct Measured {
    allowed: usize,
    refused: usize,
    /// Refused after the first tenth of all requests.
    refused_later: usize,
    /// Of what the server allowed between the first request and the last child's, as a part of 1.
    used: f64,
    /// The place of the root's first request after its children were spawned.
    root_at: usize,
    /// From the first request to the last child's.
    lasted: Duration,
}

impl Measured {
    fn of(ledger: &Ledger, limits: Limited) -> Self {
        let verdicts = ledger.verdicts();
        let (allowed, refused) = ledger.counts();
        let warm = verdicts.len() / 10;
        let refused_later = verdicts[warm..].iter().filter(|verdict| !verdict.allowed).count();
        let last = verdicts.iter().rposition(|verdict| verdict.agent != "/root").unwrap();
        let lasted = verdicts[last].when - verdicts[0].when;
        // What is saved up at the beginning is a second's worth.
        let possible = f64::from(limits.per_second) * (lasted.as_secs_f64() + 1.0);
        let until_last = verdicts[..=last].iter().filter(|verdict| verdict.allowed).count();
        let root_at = verdicts.iter().skip(1).position(|verdict| verdict.agent == "/root").unwrap();
        Self { allowed, refused, refused_later, used: until_last as f64 / possible, root_at, lasted }
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

/// What the issue asks for.
fn judge(measured: &Measured) {
    let all = measured.allowed + measured.refused;
    assert!(measured.refused_later * 50 <= all, "at most 2 % are refused after warm-up: {measured:?}");
    assert!(measured.root_at <= BEFORE_THE_ROOT, "the root comes first: {measured:?}");
    assert!(measured.used >= 0.9, "at least 90 % of what the server allows: {measured:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_agents_and_a_server_of_a_hundred_a_second() {
    let limits = Limited { per_second: 100, streams: 8, retry_after: true, headers: true };
    let measured = run(300, limits, Duration::from_millis(40), Duration::from_secs(60)).await;
    // How much of the allowance is used at this rate depends on the machine: the next test is about that.
    let all = measured.allowed + measured.refused;
    assert!(measured.refused_later * 10 <= all, "{measured:?}");
    assert!(measured.root_at <= BEFORE_THE_ROOT * 2, "the root comes first: {measured:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes more than half a minute by its nature"]
async fn three_hundred_agents_and_a_server_of_ten_a_second() {
    for headers in [true, false] {
        let limits = Limited { per_second: 10, streams: 4, retry_after: true, headers };
        let measured = run(300, limits, Duration::from_millis(200), Duration::from_secs(300)).await;
        println!("{measured:?}");
        judge(&measured);
    }
}
