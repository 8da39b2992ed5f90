//! A usage limit in the middle of a run: the tree pauses, says until when, and goes on when it is asked to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use sapwood_testkit::Answer;
use sapwood_testkit::script::Tree;
use serde_json::json;

use crate::loopback::{Config, Loop, leave_a_line};
use crate::rollouts;

const CHILDREN: usize = 19;
/// The request from which on the account has used up its share: in the middle of the run.
const FROM: usize = 25;

/// The second at which the limit ends, an hour from now, and what a person reads of it.
fn end() -> (u64, String) {
    let at = SystemTime::now() + Duration::from_secs(3600);
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let shown = sapwood_protocol::Millis(seconds * 1000).timestamp();
    (seconds, shown[..16].to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_agents_pause_and_all_of_them_finish() {
    let (resets_at, shown) = end();
    let is_limited = Arc::new(AtomicBool::new(true));
    let (limited, asked) = (Arc::clone(&is_limited), AtomicUsize::new(0));
    let tree = Tree::of(CHILDREN).with_calls(2).running(|name, n| leave_a_line(&format!("{name}-{n}")));
    let world = Loop::start(Config::default(), move |request| {
        let n = asked.fetch_add(1, Ordering::Relaxed);
        if limited.load(Ordering::Relaxed) && n >= FROM {
            let error = json!({"type": "usage_limit_reached", "message": "The usage limit has been reached",
                "plan_type": "pro", "resets_at": resets_at});
            return Answer::json(&json!({ "error": error })).status(429);
        }
        tree.answer(request)
    })
    .await;
    world.make_runs();

    let paused = world.exec(&["go"]).await;
    assert_eq!((paused.code, &*paused.out), (5, ""), "{}", paused.err);
    let session = paused.session();
    assert!(paused.err.contains(&shown), "it says when the limit ends, {shown}: {}", paused.err);
    assert!(paused.err.contains(&format!("to go on: sapwood exec resume {session}")), "{}", paused.err);
    let before: Vec<usize> = (0..CHILDREN).map(|n| world.server.of(&Tree::path(n)).len()).collect();
    let ended = |n: usize| {
        let states = world.world.ps();
        states.iter().any(|(path, state)| *path == Tree::path(n) && state == "completed")
    };
    let finished: Vec<bool> = (0..CHILDREN).map(ended).collect();

    is_limited.store(false, Ordering::Relaxed);
    let resumed = world.exec(&["resume", &session]).await;
    assert_eq!((resumed.code, &*resumed.out), (0, "All 19 reported.\n"), "{}", resumed.err);
    for n in 0..CHILDREN {
        let name = Tree::child(n);
        for call in 0..2 {
            assert_eq!(world.runs(&format!("{name}-{call}")), 1, "{name}: its command {call} ran once");
        }
        let asked = world.server.of(&Tree::path(n));
        if finished[n] {
            assert_eq!(asked.len(), before[n], "{name} had finished, and is not asked again");
        }
        // Two commands and an answer; what was refused is asked once more.
        assert!((3..=4).contains(&asked.len()), "{name}: {} requests", asked.len());
    }
    assert!(world.world.ps().iter().all(|(_, state)| state == "completed"), "{:?}", world.world.ps());
    rollouts::check(&world.world);
}
