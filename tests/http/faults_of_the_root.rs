//! The root meets each fault while its children work.

use std::time::Duration;

use sapwood_testkit::script::Tree;
use sapwood_testkit::sse::Reply;
use sapwood_testkit::{Answer, Received};
use serde_json::json;

use crate::faulty::{ALWAYS, Fault, Good, ONCE, Outcome, Tries};
use crate::loopback::{Config, Loop, leave_a_line};
use crate::rollouts;

const CHILDREN: usize = 49;

/// What the root says: spawns all, then runs a command for each fault, then waits for all.
fn of_root(tree: &Tree, request: &Received, commands: usize) -> Reply {
    let called = request.answered_calls();
    let runs = called.iter().filter(|call| call.starts_with("exec_")).count();
    if called.is_empty() || runs == commands {
        return tree.reply(request);
    }
    let arguments = json!({"cmd": leave_a_line(&format!("root{runs}"))});
    Reply::new(&format!("resp_root_{}", request.n)).function_call(
        &format!("exec_{runs}"),
        "",
        "exec_command",
        &arguments,
    )
}

/// A root that meets one fault after the other, each once.
fn one_after_the_other() -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let (tree, tries) = (Tree::of(CHILDREN), Tries::default());
    move |request| {
        let tried = tries.count(request);
        if request.agent_name() != "/root" {
            return tree.answer(request);
        }
        let reply = of_root(&tree, request, ONCE.len());
        let called = request.answered_calls();
        let runs = called.iter().filter(|call| call.starts_with("exec_")).count();
        match ONCE.get(runs).filter(|_| !called.is_empty() && tried == 0) {
            Some(fault) => fault.answer(Good { reply }),
            None => Answer::events(reply.completed()),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_root_gets_over_what_goes_wrong_once() {
    let config = Config { idle_ms: 1_500, ..Config::default() };
    let world = Loop::start(config, one_after_the_other()).await;
    world.make_runs();
    let ran = world.exec(&["go"]).await;
    assert_eq!((ran.code, &*ran.out), (0, "All 49 reported.\n"), "{}", ran.err);
    for (n, fault) in ONCE.iter().enumerate() {
        assert_eq!(world.runs(&format!("root{n}")), 1, "{}: runs of its command", fault.name);
    }
    rollouts::check(&world.world);
}

/// A root that meets a fault whenever it asks, once its children are spawned.
fn always(fault: &'static Fault) -> impl Fn(&Received) -> Answer + Send + Sync + 'static {
    let tree = Tree::of(fault.crowd);
    move |request| {
        let is_met = request.agent_name() == "/root" && !request.answered_calls().is_empty();
        if is_met { fault.answer(Good { reply: of_root(&tree, request, 1) }) } else { tree.answer(request) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_fails_says_why_and_can_be_resumed() {
    for fault in ALWAYS {
        let Outcome::Fails(words) = fault.outcome else { panic!("it is met always") };
        let config = Config { request_retries: 1, stream_retries: 1, idle_ms: 1_000, ..Config::default() };
        let world = Loop::start(config, always(fault)).await;
        world.make_runs();
        let ran = world.exec(&["go"]).await;
        let code = if matches!(words, "401" | "403") { 3 } else { 4 };
        assert_eq!((ran.code, &*ran.out), (code, ""), "{}: {}", fault.name, ran.err);
        let said = ran.err.lines().find(|line| line.starts_with("sapwood: /root: ")).unwrap_or_default();
        for part in [words, "Loopback", "loop-1"] {
            assert!(said.contains(part), "{}: {part:?} is not in {said:?}", fault.name);
        }
        assert!(ran.err.contains("to go on: sapwood exec resume "), "{}", ran.err);
        assert_eq!(world.runs("root0"), 0, "{}: no tool of a failed response runs", fault.name);
        // Everybody else ended well, and the tree can be resumed.
        let states = world.world.ps();
        let well = states.iter().filter(|(path, state)| path != "/root" && state == "completed").count();
        assert_eq!(well, fault.crowd, "{}: {states:?}", fault.name);
        rollouts::check(&world.world);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failure_the_same_tree_goes_on() {
    let answers = Tries::default();
    let world =
        Loop::start(Config { request_retries: 0, ..Config::default() }, move |request| match answers.count(request) {
            0 => Answer::error(500, "server_error", "as the test wants it"),
            _ => Answer::events(Reply::new("resp").message("Back.", 1).completed()),
        })
        .await;
    let failed = world.exec(&["go"]).await;
    assert_eq!(failed.code, 4, "{}", failed.err);
    let resumed = world.exec(&["resume", &failed.session(), "again"]).await;
    assert_eq!((resumed.code, &*resumed.out), (0, "Back.\n"), "{}", resumed.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_not_there() {
    let world = Loop::start(Config::default(), |_| Answer::nothing()).await;
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let nobody = format!("http://127.0.0.1:{port}/v1");
    world.configure(&Config { request_retries: 1, ..Config::default() }, &nobody);
    let ran = world.patient(Duration::from_secs(20)).exec(&["go"]).await;
    assert_eq!(ran.code, 4, "{}", ran.err);
    for part in ["Loopback", "loop-1", "cannot be reached", &nobody] {
        assert!(ran.err.contains(part), "{part:?} is not in {}", ran.err);
    }
}
