//! Fifty agents at work, and different children meet different faults in the same run.

use sapwood_testkit::script::Tree;
use sapwood_testkit::{Answer, Gate, Received};

use crate::faulty::{ALWAYS, Fault, Good, ONCE, Outcome, Tries};
use crate::loopback::{Config, Loop, leave_a_line};
use crate::rollouts;

const CHILDREN: usize = 49;

fn tree() -> Tree {
    Tree::of(CHILDREN).with_calls(1).running(|name, _| leave_a_line(name))
}

/// The number of the child that asks.
fn child(request: &Received) -> Option<usize> {
    request.agent_name().strip_prefix("/root/c").map(|n| n.parse().unwrap())
}

/// A server where the first children meet one fault each with their first request: once, or always.
fn answers(faults: &'static [Fault], always: bool) -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let (tree, tries) = (tree(), Tries::default());
    move |request| {
        let tried = tries.count(request);
        let fault = child(request).and_then(|n| faults.get(n));
        match fault.filter(|_| request.answered_calls().is_empty() && (always || tried == 0)) {
            Some(fault) => fault.answer(Good { reply: tree.reply(request) }),
            None => tree.answer(request),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_once_harms_nobody() {
    assert!(ONCE.len() < CHILDREN, "some children have no fault");
    // Retry-After holds everybody back, so nobody's patience with silence may depend on it.
    let config = Config { idle_ms: 3_000, ..Config::default() };
    let world = Loop::start(config, answers(ONCE, false)).await;
    world.make_runs();
    let ran = world.exec(&["go"]).await;
    assert_eq!((ran.code, &*ran.out), (0, "All 49 reported.\n"), "{}", ran.err);
    for n in 0..CHILDREN {
        let (name, fault) = (Tree::child(n), ONCE.get(n));
        let about = fault.map_or("no fault", |fault| fault.name);
        let asked = world.server.of(&Tree::path(n));
        let again = usize::from(fault.is_some_and(|fault| fault.outcome == Outcome::Again));
        assert_eq!((asked.len(), world.runs(&name)), (2 + again, 1), "{about}: requests, runs of its command");
        if again == 1 {
            assert_eq!(asked[0].body, asked[1].body, "{about}: the same is asked again");
        }
    }
    rollouts::check(&world.world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_works_fails_its_agent_alone() {
    let config = Config { idle_ms: 2_000, ..Config::default() };
    let world = Loop::start(config, answers(ALWAYS, true)).await;
    world.make_runs();
    let ran = world.exec(&["go"]).await;
    assert_eq!((ran.code, &*ran.out), (7, "All 49 reported.\n"), "{}", ran.err);
    let reports = world.server.of("/root").last().unwrap().reports();
    for n in 0..CHILDREN {
        let path = Tree::path(n);
        let report = &reports.iter().find(|(author, _)| *author == path).expect("everybody reports").1;
        match ALWAYS.get(n).map(|fault| (fault.name, fault.outcome)) {
            Some((name, Outcome::Fails(words))) => {
                assert!(report.contains("Agent errored: "), "{name}: {report}");
                for part in [words, "Loopback", "loop-1"] {
                    assert!(report.contains(part), "{name}: {part:?} is not in {report}");
                }
                assert_eq!(world.runs(&Tree::child(n)), 0, "{name}: no tool of a failed response runs");
                assert!(world.server.of(&path).len() <= 3, "{name}: at most two retries");
            }
            _ => {
                assert!(report.contains(&format!("Done by {}.", Tree::child(n))), "{path}: {report}");
                assert_eq!((world.runs(&Tree::child(n)), world.server.of(&path).len()), (1, 2), "{path}");
            }
        }
    }
    rollouts::check(&world.world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_refused_are_tried_again() {
    let (tree, gate) = (tree(), Gate::new());
    let held = gate.clone();
    let world = Loop::start(Config::default(), move |request| {
        let answer = tree.answer(request);
        if request.n == 0 { answer.held(&held) } else { answer }
    })
    .await;
    world.make_runs();
    let (ran, ()) = tokio::join!(world.exec(&["go"]), async {
        world.server.until(|requests| requests.len() == 1).await;
        world.server.refuse_next(5);
        gate.open();
    });
    assert_eq!((ran.code, &*ran.out), (0, "All 49 reported.\n"), "{}", ran.err);
    assert!((0..CHILDREN).all(|n| world.runs(&Tree::child(n)) == 1));
    rollouts::check(&world.world);
}
