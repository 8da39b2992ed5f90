//! A conversation over HTTP: what the requests look like, one after the other.

use std::collections::BTreeSet;

use sapwood_testkit::script::Tree;
use sapwood_testkit::sse::Reply;
use sapwood_testkit::{Answer, Received};
use serde_json::json;

use crate::loopback::{Config, KEY, Loop};
use crate::rollouts;

/// A model that runs one command a turn, then answers.
fn with_a_command(request: &Received) -> Answer {
    let reply = Reply::new(&format!("resp_{}", request.n));
    let input = request.input();
    let said = input.iter().rposition(|item| item["role"] == "user").expect("somebody said something");
    let has_run = input[said..].iter().any(|item| item["type"] == "function_call_output");
    Answer::events(if has_run {
        reply.message(&format!("Gr\u{fc}\u{df}e, {}.", request.n), 3).completed()
    } else {
        let arguments = json!({"cmd": "echo \u{e4}h"});
        reply
            .reasoning(&["A thought."])
            .function_call(&format!("call_{}", request.n), "", "exec_command", &arguments)
            .completed()
    })
}

/// The bytes of the input, from the first item to the last.
fn input(request: &Received) -> &[u8] {
    let body = &request.body[..];
    let find = |text: &[u8], from: usize| from + body[from..].windows(text.len()).position(|w| w == text).unwrap();
    let from = find(b"\"input\":[", 0) + b"\"input\":[".len();
    &body[from..find(b"],\"tools\":[{", from)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_turns_and_a_command_in_each() {
    let world = Loop::start(Config::default(), with_a_command).await;
    let first = world.exec(&["first"]).await;
    assert_eq!((first.code, &*first.out), (0, "Gr\u{fc}\u{df}e, 1.\n"), "{}", first.err);
    let session = first.session();
    let second = world.exec(&["resume", &session, "second"]).await;
    assert_eq!((second.code, &*second.out), (0, "Gr\u{fc}\u{df}e, 3.\n"), "{}", second.err);

    let requests = world.server.received();
    assert_eq!(requests.len(), 4, "{requests:?}");
    let connections: Vec<_> = requests.iter().map(|request| request.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1], "one connection a process");
    for request in &requests {
        assert_eq!((&*request.method, &*request.path, &*request.query), ("POST", "/v1/responses", ""));
        let header = |name: &str| request.header(name).unwrap_or_else(|| panic!("no {name} in {:?}", request.headers));
        assert_eq!((header("session-id"), header("thread-id")), (&*session, &*session));
        assert_eq!(header("authorization"), format!("Bearer {KEY}"));
        assert_eq!((header("accept"), header("content-type")), ("text/event-stream", "application/json"));
        assert_eq!(header("content-length"), request.body.len().to_string());
        assert_eq!(request.header("transfer-encoding"), None);
        let mut names: Vec<_> = request.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "each header once: {names:?}");

        let body = request.json();
        assert_eq!((&body["prompt_cache_key"], &body["model"]), (&json!(session), &json!("loop-1")));
        assert_eq!((&body["stream"], &body["store"]), (&json!(true), &json!(false)));
        assert_eq!(body["client_metadata"]["x-codex-turn-metadata"], header("x-codex-turn-metadata"));
        let metadata = request.metadata();
        assert_eq!((&metadata["agent_name"], &metadata["session_id"]), (&json!("/root"), &json!(session)));
        assert_eq!(metadata["sandbox_mode"], "danger-full-access");
    }
    for (earlier, later) in requests.iter().zip(&requests[1..]) {
        assert!(input(later).starts_with(input(earlier)), "request {} begins like the one before", later.n);
        assert!(input(later).len() > input(earlier).len());
    }
    let of = |name: &str| requests.iter().map(|request| request.metadata()[name].clone()).collect::<Vec<_>>();
    let turns = of("turn_id");
    assert!(turns[0] == turns[1] && turns[1] != turns[2] && turns[2] == turns[3], "{turns:?}");
    assert_eq!(of("history_initialization"), ["new", "new", "cold_resume", "cold_resume"]);
    let outputs: Vec<_> = (0..4).step_by(2).map(|n| requests[3].output_of(&format!("call_{n}")).unwrap()).collect();
    assert!(outputs.iter().all(|output| output.contains("\u{e4}h")), "{outputs:?}");
    rollouts::check(&world.world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_say_whose_they_are() {
    const CHILDREN: usize = 3;
    const COMMANDS: usize = 6;
    let tree = Tree::of(CHILDREN).with_calls(COMMANDS);
    let world = Loop::start(Config::default(), move |request| tree.answer(request)).await;
    let ran = world.exec(&["go"]).await;
    assert_eq!((ran.code, &*ran.out), (0, "All 3 reported.\n"), "{}", ran.err);
    let session = ran.session();
    for n in 0..CHILDREN {
        let requests = world.server.of(&Tree::path(n));
        assert_eq!(requests.len(), COMMANDS + 1, "the commands and an answer");
        for request in &requests {
            assert_eq!(request.session(), session);
            assert_ne!(request.thread(), session);
            assert_eq!(request.header("x-codex-parent-thread-id"), Some(&*session));
            assert_eq!(request.header("x-openai-subagent"), Some("collab_spawn"));
            assert_eq!(request.header("content-length"), Some(&*request.body.len().to_string()));
            assert_eq!(request.json()["prompt_cache_key"], json!(session));
        }
        for (earlier, later) in requests.iter().zip(&requests[1..]) {
            assert!(input(later).starts_with(input(earlier)), "request {} begins like the one before", later.n);
        }
    }
    // A connection is free a moment after the last byte of its answer was read: the HTTP client gives it back on a task
    // of its own. A request that comes in this moment opens another. With time between an answer and the next request
    // there is one for each agent; that each misses one once is allowed, that they are not used again is not.
    let used: BTreeSet<usize> = world.server.received().iter().map(|request| request.connection).collect();
    let agents = 1 + CHILDREN;
    assert!(used.len() <= 2 * agents, "connections are used again: {:?}", world.server.counts());
    assert_eq!(world.server.counts().closed_early, 0, "each answer was read to its end");
}
