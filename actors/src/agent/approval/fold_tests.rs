//! Questions as lines make and end them.

use sapwood_protocol::asked::{Answered, Asked, Decision, Resolution, What};
use sapwood_protocol::ids::AskId;
use sapwood_protocol::own::Own;
use sapwood_protocol::{CallId, Line, Millis};
use serde_json::{Value, json};

use super::super::state::Agent;
use super::Pending;

const THREAD: &str = "01a1fb76-6bee-7871-a2b7-2c2b022f05ef";

fn codex(n: u64, kind: &str, payload: Value) -> Line {
    Line::encode(Millis(n), Some(n), kind, &payload, None)
}

fn event(n: u64, kind: &str) -> Line {
    codex(n, "event_msg", json!({"type": kind, "turn_id": "t"}))
}

fn asked(id: &str, call: &str) -> Asked {
    let what = What::FileChange { reason: None, grant_root: None, paths: vec!["/a".into()] };
    Asked { id: AskId::from(id), call: CallId::from(call), at: Millis(5), what }
}

fn for_session(id: &str) -> Line {
    let how = Resolution::Decided { decision: Decision::AcceptForSession };
    Own::Answered(Answered { id: AskId::from(id), how }).line(Millis(6))
}

/// An agent whose turn has one open call, `c`.
fn calling() -> Vec<Line> {
    vec![
        codex(0, "session_meta", json!({"id": THREAD, "cwd": "/w", "history_mode": "paginated"})),
        event(1, "task_started"),
        codex(
            2,
            "response_item",
            json!({"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "x"}),
        ),
    ]
}

fn fold(more: impl IntoIterator<Item = Line>) -> Agent {
    Agent::fold(calling().into_iter().chain(more))
}

#[test]
fn a_question_is_open_until_it_is_answered_and_its_grant_stays() {
    let ask = || Own::Asked(asked("q", "c")).line(Millis(5));
    let open = fold([ask()]);
    assert_eq!(open.asks.open(), [asked("q", "c").into()]);
    assert!(!open.grants.has_files(&["/a".into()]));

    let heard = fold([ask(), for_session("q"), for_session("q")]);
    assert!(heard.asks.is_empty() && heard.asks.heard(&CallId::from("c")).is_some());
    assert!(heard.grants.has_files(&["/a".into()]));

    let output =
        codex(3, "response_item", json!({"type": "custom_tool_call_output", "call_id": "c", "output": "done"}));
    let done = fold([ask(), for_session("q"), output]);
    assert_eq!(done.asks, Pending::default());
    assert!(done.grants.has_files(&["/a".into()]), "for the session");
}

#[test]
fn the_end_of_a_turn_ends_its_questions_whoever_writes_it() {
    let ask = || Own::Asked(asked("q", "c")).line(Millis(5));
    for end in [event(3, "turn_aborted"), event(3, "task_complete"), event(3, "task_started")] {
        let agent = fold([ask(), end, for_session("q")]);
        assert_eq!(agent.asks, Pending::default());
        assert!(!agent.grants.has_files(&["/a".into()]), "a late answer grants nothing");
    }
}

#[test]
fn a_question_of_a_call_that_is_not_there_is_none() {
    assert!(fold([Own::Asked(asked("q", "other")).line(Millis(5))]).asks.is_empty());
}
