//! What our requests say of where they come from, beside what the recorded ones of Codex say.

use std::collections::BTreeMap;
use std::path::Path;

use sapwood_testkit::script::Tree;
use serde_json::{Map, Value};

use crate::loopback::{Config, Loop};

/// Headers of Codex that we do not send, each with the reason.
const NO_HEADER: [(&str, &str); 1] = [("x-codex-beta-features", "compaction by the provider is a later issue")];

/// Members of the turn metadata that we do not send, each with the reason.
const NO_MEMBER: [(&str, &str); 8] = [
    ("installation_id", "nothing here tells one installation from another"),
    ("context_window_id", "context windows have a number and no id of their own"),
    ("sandbox", "names a mechanism of Codex"),
    ("auto_review_enabled", "automatic review is a later issue"),
    ("node_repl_auto_review_required", "there is no such tool"),
    ("node_repl_disabled", "there is no such tool"),
    ("analytics_enabled", "nothing is ever reported"),
    ("reasoning_effort", "sent where one is set; the recording has the default of its model"),
];

/// Members whose values are of their run: ids, times and names.
const OF_THE_RUN: [&str; 10] = [
    "session_id",
    "thread_id",
    "turn_id",
    "window_id",
    "parent_thread_id",
    "parent_turn_id",
    "root_turn_id",
    "turn_started_at_unix_ms",
    "agent_name",
    "model",
];

/// The headers that say where a request comes from, by name.
fn identity<'h>(headers: impl Iterator<Item = (&'h str, &'h str)>) -> BTreeMap<String, String> {
    let ours = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    ours.filter(|(name, _)| name.starts_with("x-") || name.ends_with("-id")).collect()
}

/// The first recorded request of each agent: its headers.
fn recorded(name: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/codex-rollouts").join(name);
    let mut agents = BTreeMap::new();
    for line in std::fs::read_to_string(folder.join("model_requests.jsonl")).unwrap().lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let headers = request["headers"].as_object().unwrap();
        let headers = identity(headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())));
        let agent = metadata(&headers)["agent_name"].as_str().unwrap().to_owned();
        agents.entry(agent).or_insert(headers);
    }
    agents
}

fn metadata(headers: &BTreeMap<String, String>) -> Map<String, Value> {
    serde_json::from_str(&headers["x-codex-turn-metadata"]).unwrap()
}

fn compare(theirs: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) {
    let mut names: Vec<&str> = theirs.keys().map(String::as_str).collect();
    names.retain(|name| NO_HEADER.iter().all(|(not, _)| not != name));
    assert_eq!(ours.keys().map(String::as_str).collect::<Vec<_>>(), names, "the headers that are there");
    // Equal where they are words and not ids.
    assert_eq!(ours.get("x-openai-subagent"), theirs.get("x-openai-subagent"));
    let (theirs, ours_said) = (metadata(theirs), metadata(ours));
    let theirs = theirs.into_iter().filter(|(name, _)| NO_MEMBER.iter().all(|(not, _)| not != name));
    let shown = |(name, value): (String, Value)| {
        let value = if OF_THE_RUN.contains(&&*name) { Value::Null } else { value };
        (name, value)
    };
    // In the same order, too. A root of `exec` says what it is for; the recorded client did not.
    let is_extra = |(name, value): &(String, Value)| name == "thread_source" && value == "user";
    let ours_said: Vec<_> = ours_said.into_iter().filter(|member| !is_extra(member)).map(shown).collect();
    assert_eq!(ours_said, theirs.map(shown).collect::<Vec<_>>(), "the members of the turn metadata");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_say_where_they_come_from_as_codexs_do() {
    let theirs = recorded("04-multi-agent-v2");
    let tree = Tree::of(2);
    let world = Loop::start(Config::default(), move |request| tree.answer(request)).await;
    let ran = world.exec(&["go"]).await;
    assert_eq!(ran.code, 0, "{}", ran.err);
    for (their_agent, our_agent) in [("/root", "/root".to_owned()), ("/root/alpha", Tree::path(0))] {
        let request = world.server.of(&our_agent).remove(0);
        let ours = identity(request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        compare(&theirs[their_agent], &ours);
        // Ids are the same ones everywhere, as in the recording.
        for headers in [&ours, &theirs[their_agent]] {
            let said = metadata(headers);
            assert_eq!(
                (&said["session_id"], &said["thread_id"]),
                (&(*headers["session-id"]).into(), &(*headers["thread-id"]).into())
            );
            assert_eq!(headers["x-client-request-id"], headers["thread-id"]);
            assert_eq!(headers["x-codex-window-id"], format!("{}:0", headers["thread-id"]));
            assert_eq!(said["window_id"], *headers["x-codex-window-id"]);
            let parent = headers.get("x-codex-parent-thread-id").map(|parent| Value::from(&**parent));
            assert_eq!(said.get("parent_thread_id"), parent.as_ref());
        }
    }
}
