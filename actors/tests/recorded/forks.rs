//! Forks by reference: what they inherit, how far, and what is said of chains that come to no end.

use std::sync::Arc;

use sapwood_actors::agent::Agent;
use sapwood_actors::clock::SystemClock;
use sapwood_actors::fold::{self, MAX_SOURCES};
use sapwood_actors::service::{ServiceError, load};
use sapwood_actors::tree::{Refusal, Tree};
use sapwood_model::HistoryInitialization;
use sapwood_protocol::item::{Item, Role};
use sapwood_protocol::own::{Accepted, Body, InputLane, Own, Spawn};
use sapwood_protocol::{AgentPath, Ids, Line, Millis, ThreadId};
use sapwood_rollout::{Journal, MemoryJournal, OpenError};
use serde_json::json;

use crate::fixture::Fixture;

const NOW: Millis = Millis(1_795_219_433_000);

fn thread(n: u64) -> ThreadId {
    Ids::seeded(n).thread(NOW)
}

fn meta(me: ThreadId, ordinal: u64, base: Option<(ThreadId, u64)>) -> Line {
    let mut meta = json!({"id": me, "cwd": format!("/{ordinal}"), "history_mode": "paginated"});
    if let Some((source, end)) = base {
        meta["history_base"] = json!({"thread_id": source, "end_ordinal_exclusive": end, "end_byte_offset": 0});
    }
    Line::encode(NOW, Some(ordinal), "session_meta", &meta, None)
}

fn said(ordinal: u64, text: &str) -> Line {
    let item = Item::text(format!("msg_{ordinal}_{text}").into(), Role::User, text);
    Line::encode(NOW, Some(ordinal), "response_item", &item, None)
}

fn event(ordinal: u64, payload: serde_json::Value) -> Line {
    Line::encode(NOW, Some(ordinal), "event_msg", &payload, None)
}

fn put(journal: &MemoryJournal, me: ThreadId, lines: &[Line]) {
    journal.put(me, NOW, lines.iter().flat_map(|line| line.bytes().to_vec()).collect());
}

fn texts(agent: &Agent) -> Vec<String> {
    let text = |json: &bytes::Bytes| sapwood_protocol::item::message_text(json).unwrap();
    agent.history.prompt().iter().map(text).collect()
}

fn why(journal: &MemoryJournal, me: ThreadId) -> String {
    match fold::read(journal, me) {
        Err(OpenError::Corrupt { thread, why, .. }) => {
            assert_eq!(thread, me, "the thread that was asked for is named");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_recorded_fork_is_itself_and_continues_its_source() {
    let fixture = Fixture::read("19-fork-mid-turn-paginated");
    let journal = fixture.journal();
    let fork: ThreadId = "01a1fb6c-353b-70c2-9525-6727706cdd33".parse().unwrap();
    let agent = fold::read(&journal, fork).unwrap();
    let identity = agent.identity();
    assert_eq!((identity.thread, identity.session), (fork, fork.into()));
    assert_eq!(identity.base.as_ref().unwrap().end_ordinal_exclusive, 22);
    assert_eq!((agent.next_ordinal, agent.turn.is_none(), agent.unreadable), (Some(35), true, 0));
    assert_eq!(agent.usage.total_tokens, 3_060, "as its last usage record says");
    let source = fold::read(&journal, identity.base.as_ref().unwrap().thread_id).unwrap();
    assert_eq!(source, Agent::fold(fixture.rollouts[&source.identity().thread].lines()), "no fork: its lines alone");
}

#[test]
fn a_fork_of_a_fork_inherits_what_both_left() {
    let journal = MemoryJournal::new();
    let (a, b, c, d) = (thread(1), thread(2), thread(3), thread(4));
    put(&journal, a, &[meta(a, 0, None), said(1, "a1"), said(2, "a2"), said(3, "a3"), said(4, "a4")]);
    put(&journal, b, &[meta(b, 4, Some((a, 4))), said(5, "b5"), said(6, "b6")]);
    put(&journal, c, &[meta(c, 6, Some((b, 6))), said(7, "c7")]);
    // Cut inside of what its source inherited.
    put(&journal, d, &[meta(d, 3, Some((b, 3))), said(4, "d4")]);
    let c = fold::read(&journal, c).unwrap();
    assert_eq!(texts(&c), ["a1", "a2", "a3", "b5", "c7"]);
    assert_eq!((c.identity().cwd.as_str(), c.next_ordinal), ("/6", Some(8)));
    let d = fold::read(&journal, d).unwrap();
    assert_eq!(texts(&d), ["a1", "a2", "d4"]);
    assert_eq!(d.next_ordinal, Some(5));
}

#[test]
fn what_is_the_sources_own_stays_there() {
    let journal = MemoryJournal::new();
    let (a, b) = (thread(1), thread(2));
    let body = Some(Body::user("later"));
    let accepted = Own::Accepted(Accepted {
        id: "u".into(),
        place: 0,
        lane: InputLane::User,
        wake: true,
        from: None,
        body,
        turn: None,
    });
    let path = AgentPath::root().join("x").unwrap();
    let spawn = Own::Spawn(Spawn { child: thread(9), call: "c".into(), path, fork: None });
    put(
        &journal,
        a,
        &[
            meta(a, 0, None),
            event(1, json!({"type": "task_started", "turn_id": "t1"})),
            said(2, "a2"),
            event(3, json!({"type": "task_complete", "turn_id": "t1", "last_agent_message": "done"})),
            accepted.line(NOW),
            event(4, json!({"type": "task_started", "turn_id": "t2"})),
            spawn.line(NOW),
            said(5, "a5"),
        ],
    );
    put(&journal, b, &[meta(b, 6, Some((a, 6)))]);
    let source = fold::read(&journal, a).unwrap();
    assert!(source.turn.is_some() && source.inbox.wakes() && source.spawned.len() == 1 && source.last_turn.is_some());
    let fork = fold::read(&journal, b).unwrap();
    assert_eq!(texts(&fork), ["a2", "a5"]);
    assert!(fork.turn.is_none() && fork.last_turn.is_none() && fork.inbox.is_empty() && fork.spawned.is_empty());
}

#[test]
fn a_source_that_lost_its_end_gives_what_it_has() {
    let journal = MemoryJournal::new();
    let (a, b) = (thread(1), thread(2));
    put(&journal, a, &[meta(a, 0, None), said(1, "a1")]);
    put(&journal, b, &[meta(b, 9, Some((a, 9))), said(10, "b10")]);
    let fork = fold::read(&journal, b).unwrap();
    assert_eq!((texts(&fork), fork.next_ordinal), (vec!["a1".to_owned(), "b10".to_owned()], Some(11)));
}

#[test]
fn a_chain_without_beginning_is_refused() {
    let journal = MemoryJournal::new();
    let (a, b, c) = (thread(1), thread(2), thread(3));
    put(&journal, a, &[meta(a, 0, Some((b, 4)))]);
    put(&journal, b, &[meta(b, 4, Some((a, 4)))]);
    put(&journal, c, &[meta(c, 4, Some((c, 4)))]);
    for (me, to) in [(a, a), (c, c)] {
        assert_eq!(
            why(&journal, me),
            format!("its history_base leads back to thread {to}, so its history has no beginning")
        );
    }
}

#[test]
fn a_chain_is_bounded() {
    let journal = MemoryJournal::new();
    let last = MAX_SOURCES as u64;
    for n in 0..=last + 1 {
        let base = (n > 0).then(|| (thread(n - 1), n));
        put(&journal, thread(n), &[meta(thread(n), n, base)]);
    }
    assert_eq!(fold::read(&journal, thread(last)).unwrap().next_ordinal, Some(last + 1));
    assert_eq!(
        why(&journal, thread(last + 1)),
        format!("its history_base leads through more than {MAX_SOURCES} rollouts")
    );
}

#[test]
fn a_source_that_cannot_be_read_is_named() {
    let journal = MemoryJournal::new();
    let (gone, broken, b, c) = (thread(1), thread(2), thread(3), thread(4));
    put(&journal, broken, &[said(0, "no meta")]);
    put(&journal, b, &[meta(b, 4, Some((gone, 4)))]);
    put(&journal, c, &[meta(c, 4, Some((broken, 4)))]);
    let missing =
        format!("it goes on from thread {gone} before ordinal 4, which cannot be read: no rollout for thread");
    assert!(why(&journal, b).starts_with(&missing), "{}", why(&journal, b));
    assert_eq!(
        why(&journal, c),
        format!("it goes on from thread {broken}, which cannot be used: it has no readable session_meta line")
    );
    assert!(matches!(fold::read(&journal, gone), Err(OpenError::NotFound { .. })), "a missing thread is just that");
    assert!(journal.open(b).is_ok(), "nothing was locked");
}

/// A history mode that nobody here knows is not taken for another one: whatever would write is refused, and nothing is written.
#[test]
fn an_unknown_history_mode_is_closed_to_everything_that_writes() {
    let fixture = Fixture::read("12-history-mode-unknown");
    let journal = fixture.journal();
    let root = *fixture.rollouts.keys().next().unwrap();
    let tree = || {
        let (journal, clock) = (Arc::new(journal.clone()), Arc::new(SystemClock));
        Tree::new(root.into(), Arc::default(), journal, clock, Ids::seeded(1))
    };
    let refused = |error: &OpenError| matches!(error, OpenError::HistoryMode { mode, .. } if mode == "future_mode");
    let error = load(&tree()).unwrap_err();
    assert!(matches!(&error, ServiceError::Open(error) if refused(error)), "{error}");
    assert!(error.to_string().contains("left untouched"), "{error}");

    let tree = tree();
    let seat = tree.seat_of(&fold::read(&journal, root).unwrap(), HistoryInitialization::ColdResume).unwrap();
    let error = tree.say(&seat, "u1".into(), Some("hello".into())).unwrap_err();
    assert!(matches!(&error, Refusal::Open(error) if refused(error)), "{error}");
    assert_eq!(journal.read(root).unwrap().bytes(), fixture.rollouts[&root].bytes());
}
