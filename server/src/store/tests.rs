//! Lists and changes of a home in a folder of its own.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sapwood_protocol::ids::InputId;
use sapwood_protocol::item::MailKind;
use sapwood_protocol::own::{Accepted, Body, InputLane, Own, Sender, TurnOrigin};
use sapwood_protocol::{AgentPath, Line, Millis, ThreadId};
use sapwood_rollout::{FileJournal, Journal, NewThread};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

struct Home {
    folder: TempDir,
    store: Store,
}

fn id(n: u8) -> ThreadId {
    format!("01a1fb6a-8c33-7f12-bb55-0000000000{n:02x}").parse().unwrap()
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(FileJournal::new(folder.path().to_owned()));
        let store = Store::new(journal, &folder.path().join("sapwood"));
        Self { folder, store }
    }

    /// Makes a thread in which `said` was said; `more` are fields of its first line.
    fn thread(&self, n: u8, at: u64, said: &str, more: Value) {
        let thread = id(n);
        let mut meta = json!({"id": thread, "session_id": thread, "timestamp": Millis(at).timestamp(), "cwd": "/work",
            "originator": "test", "cli_version": "1", "source": "vscode", "model_provider": "p",
            "history_mode": "paginated"});
        meta.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let start = meta["history_base"]["end_ordinal_exclusive"].as_u64().unwrap_or(0);
        let mut lines = vec![Line::encode(Millis(at), Some(start), "session_meta", &meta, None)];
        let mut add = |kind: &str, payload: Value| {
            let ordinal = start + lines.len() as u64;
            lines.push(Line::encode(Millis(at + 5), Some(ordinal), kind, &payload, None));
        };
        add("event_msg", json!({"type": "task_started", "turn_id": "t"}));
        add("turn_context", json!({"model": "m", "effort": "low"}));
        let item = json!({"type": "UserMessage", "id": "u", "content": [{"type": "text", "text": said}]});
        if !said.is_empty() {
            add("event_msg", json!({"type": "item_completed", "thread_id": thread, "turn_id": "t", "item": item}));
        }
        self.store.journal().create(&NewThread { thread, created: Millis(at) }, &lines).unwrap();
    }

    fn list(&self, params: Value) -> (Vec<String>, Value) {
        let page = self.store.list(&serde_json::from_value(params).unwrap(), Path::new("/work")).unwrap();
        let page = serde_json::to_value(page).unwrap();
        let ids = page["data"].as_array().unwrap().iter().map(|thread| thread["id"].as_str().unwrap().to_owned());
        (ids.collect(), page)
    }

    fn shows(&self, params: Value, threads: &[u8]) {
        let expected: Vec<String> = threads.iter().map(|n| id(*n).to_string()).collect();
        assert_eq!(self.list(params.clone()).0, expected, "{params}");
    }
}

fn spawned(parent: u8) -> Value {
    let spawn = json!({"parent_thread_id": id(parent), "depth": 1, "agent_path": "/root/a", "agent_nickname": "Kepler",
        "agent_role": null});
    json!({"parent_thread_id": id(parent), "source": {"subagent": {"thread_spawn": spawn}}, "agent_nickname": "Kepler"})
}

#[test]
fn filters_narrow_a_list() {
    let home = Home::new();
    home.thread(1, 1_000, "first words", json!({}));
    home.thread(2, 2_000, "second", json!({"cwd": "/work/sub", "model_provider": "q"}));
    home.thread(3, 3_000, "", spawned(1));
    home.thread(4, 4_000, "", spawned(3));
    home.thread(5, 5_000, "third", json!({"source": "exec"}));
    home.thread(6, 6_000, "", json!({}));
    home.shows(json!({}), &[2, 1]);
    home.shows(json!({"sortDirection": "asc"}), &[1, 2]);
    home.shows(json!({"sourceKinds": ["exec"]}), &[5]);
    home.shows(json!({"sourceKinds": ["subAgentThreadSpawn"]}), &[4, 3]);
    home.shows(json!({"parentThreadId": id(1)}), &[3]);
    home.shows(json!({"ancestorThreadId": id(1)}), &[4, 3]);
    home.shows(json!({"modelProviders": ["q"]}), &[2]);
    home.shows(json!({"modelProviders": []}), &[2, 1]);
    home.shows(json!({"cwd": "/work/"}), &[1]);
    home.shows(json!({"cwd": ["sub", "/nowhere"]}), &[2]);
    home.shows(json!({"cwd": []}), &[]);
    home.shows(json!({"searchTerm": "words"}), &[1]);
    home.shows(json!({"searchTerm": "Words"}), &[]);
    home.shows(json!({"excludedThreadIds": [id(2)]}), &[1]);
    home.shows(json!({"archived": true}), &[]);
    home.shows(json!({"sectionId": "01984de2-8f74-7c91-a3b2-5c5e937cf318"}), &[]);
    home.shows(json!({"projectId": null}), &[2, 1]);
    home.shows(json!({"projectId": "x"}), &[]);
    let refused = [
        json!({"parentThreadId": id(1), "ancestorThreadId": id(1)}),
        json!({"excludedThreadIds": ["x"]}),
        json!({"originators": ["x"]}),
        json!({"cursor": "yesterday"}),
    ];
    for params in refused {
        let error = home.store.list(&serde_json::from_value(params.clone()).unwrap(), Path::new("/")).unwrap_err();
        assert_eq!(crate::rpc::RpcError::from(error).code, -32600, "{params}");
    }
}

#[test]
fn an_agent_is_known_by_its_first_task_from_its_birth_on() {
    let home = Home::new();
    home.thread(1, 1_000, "first words", json!({}));
    home.thread(2, 2_000, "", spawned(1));
    let told = |place, kind, text: &str| {
        let turn = TurnOrigin { turn: "t".into(), root_turn: "t".into() };
        let body = Body::Mail { kind, text: text.to_owned(), turn, outcome: None };
        let from = Sender { thread: id(1), path: AgentPath::root(), n: place };
        let id = InputId::from(format!("i{place}"));
        let wake = kind.wakes();
        let accepted =
            Accepted { id, place, lane: InputLane::Mail, wake, from: Some(from), body: Some(body), turn: None };
        Own::Accepted(accepted).line(Millis(3_000))
    };
    let mail = [(MailKind::Message, "by the way"), (MailKind::NewTask, "look around"), (MailKind::NewTask, "and then")];
    let lines: Vec<Line> = (0..).zip(mail).map(|(place, (kind, text))| told(place, kind, text)).collect();
    home.store.journal().open(id(2)).unwrap().admit(&lines).unwrap();
    assert_eq!(home.store.thread(id(2)).unwrap().preview, "look around");
    home.shows(json!({"searchTerm": "around", "parentThreadId": id(1)}), &[2]);
}

#[test]
fn what_was_made_in_one_moment_is_on_one_page_and_only_one() {
    let home = Home::new();
    (1..=7).for_each(|n| home.thread(n, 9_000, "same", json!({})));
    let mut seen = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let (ids, page) = home.list(json!({"limit": 2, "cursor": cursor}));
        seen.extend(ids);
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    let expected: Vec<String> = (1..=7).rev().map(|n| id(n).to_string()).collect();
    assert_eq!(seen, expected);
    // Turned round: everything of the moment that the page began with.
    let (_, page) = home.list(json!({"limit": 2}));
    let back = home.list(json!({"cursor": page["backwardsCursor"], "sortDirection": "asc"}));
    assert_eq!(back.0.len(), 7);
}

#[test]
fn a_fast_list_is_what_the_index_holds_and_a_deleted_index_is_made_again() {
    let home = Home::new();
    home.thread(1, 1_000, "one", json!({}));
    let fast = json!({"useStateDbOnly": true});
    home.shows(fast.clone(), &[]);
    home.shows(json!({}), &[1]);
    home.shows(fast.clone(), &[1]);
    home.thread(2, 2_000, "two", json!({}));
    home.shows(fast.clone(), &[1]);
    home.store.refresh(id(2)).unwrap();
    home.shows(fast.clone(), &[2, 1]);
    let before = home.list(json!({}));
    fs::remove_dir_all(home.folder.path().join("sapwood")).unwrap();
    home.shows(fast.clone(), &[]);
    assert_eq!(home.list(json!({})), before);
    // Another process reads what this one kept.
    let other = Store::new(home.store.journal().clone(), &home.folder.path().join("sapwood"));
    let kept = other.list(&serde_json::from_value(fast).unwrap(), Path::new("/")).unwrap();
    assert_eq!(serde_json::to_value(kept).unwrap(), before.1);
}

#[test]
fn names_and_metadata_stay_without_the_index() {
    let home = Home::new();
    home.thread(1, 1_000, "one", json!({"git": {"commit_hash": "abc", "branch": "main"}}));
    home.store.set_name(id(1), " My thread ", Millis(5_000)).unwrap();
    let patch: Patch = serde_json::from_value(json!({"branch": null, "originUrl": "u", "projectId": "x"})).unwrap();
    home.store.update(id(1), &patch, Millis(6_000)).unwrap();
    let check = |home: &Home| {
        let shown = serde_json::to_value(home.store.thread(id(1)).unwrap()).unwrap();
        assert_eq!(shown["gitInfo"], json!({"sha": "abc", "branch": null, "originUrl": "u"}));
        let rest = json!([shown["name"], shown["projectId"], shown["model"], shown["reasoningEffort"]]);
        assert_eq!(rest, json!(["My thread", "x", "m", "low"]));
        assert_eq!((&shown["createdAt"], &shown["updatedAt"], &shown["recencyAt"]), (&json!(1), &json!(6), &json!(1)));
        assert_eq!((&shown["status"], &shown["preview"]), (&json!({"type": "notLoaded"}), &json!("one")));
    };
    check(&home);
    fs::remove_dir_all(home.folder.path().join("sapwood")).unwrap();
    check(&home);
    home.shows(json!({"searchTerm": "My"}), &[1]);
}

#[test]
fn an_agent_is_archived_with_its_root_and_comes_back_with_it() {
    let home = Home::new();
    home.thread(1, 1_000, "root", json!({}));
    home.thread(2, 2_000, "", spawned(1));
    assert_eq!(home.store.archive(id(1)).unwrap(), [id(1), id(2)]);
    home.shows(json!({}), &[]);
    home.shows(json!({"archived": true}), &[1]);
    let shown = home.store.thread(id(1)).unwrap();
    assert!(shown.path.unwrap().contains("/archived_sessions/rollout-"));
    let gone = home.store.archive(id(1)).unwrap_err().to_string();
    assert_eq!(gone, format!("no rollout found for thread id {}", id(1)));
    assert_eq!(home.store.unarchive(id(1)).unwrap(), [id(1), id(2)]);
    home.shows(json!({}), &[1]);
    assert!(home.store.journal().open(id(2)).is_ok());
}

#[test]
fn the_preview_of_an_agent_is_its_task() {
    let home = Home::new();
    home.thread(1, 1_000, "root", json!({}));
    let header = "Message Type: NEW_TASK\nTask name: /root/a\nSender: /root\nPayload:\n";
    let text = |text: String| json!({"type": "input_text", "text": text});
    let sealed = json!({"type": "encrypted_content", "encrypted_content": "dig a hole"});
    let contents = [json!([text(format!("{header}dig a hole"))]), json!([text(header.to_owned()), sealed])];
    for (n, content) in (2..).zip(contents) {
        home.thread(n, 1_000, "", spawned(1));
        let mail = json!({"type": "agent_message", "id": "m", "author": "/root", "recipient": "/root/a",
            "content": content});
        let line = Line::encode(Millis(2_000), Some(9), "response_item", &mail, None);
        let path = home.store.thread(id(n)).unwrap().path.unwrap();
        let mut text = fs::read(&path).unwrap();
        text.extend_from_slice(line.bytes());
        text.push(b'\n');
        fs::write(path, text).unwrap();
        assert_eq!(home.store.thread(id(n)).unwrap().preview, "dig a hole");
    }
}

#[test]
fn what_is_written_referenced_or_unknown_is_left_alone() {
    let home = Home::new();
    home.thread(1, 1_000, "source", json!({}));
    let base = json!({"thread_id": id(1), "end_ordinal_exclusive": 4, "end_byte_offset": 1});
    home.thread(2, 2_000, "later", json!({"forked_from_id": id(1), "history_base": base}));
    home.thread(3, 3_000, "odd", json!({}));
    let error = |result: Result<Vec<ThreadId>, StoreError>| result.unwrap_err().to_string();
    let log = home.store.journal().open(id(1)).unwrap();
    let held = error(home.store.archive(id(1)));
    let pid = std::process::id();
    assert!(held.starts_with(&format!("thread {} already has an active writer (pid {pid}", id(1))), "{held}");
    drop(log);
    let refused = home.store.delete(id(1)).unwrap_err().to_string();
    assert_eq!(refused, format!("cannot delete thread {}: forked history still references it", id(1)));
    assert_eq!(home.store.thread(id(2)).unwrap().preview, "source");
    home.store.delete(id(2)).unwrap();
    home.store.delete(id(1)).unwrap();
    home.shows(json!({}), &[3]);
    let gone = home.store.thread(id(1)).unwrap_err().to_string();
    assert_eq!(gone, format!("thread not loaded: {}", id(1)));
}

#[test]
fn a_mode_that_nobody_knows_is_listed_and_not_changed() {
    let home = Home::new();
    let thread: ThreadId = "01a1fb6b-ad5a-7b12-b17a-a71c5ea98d1e".parse().unwrap();
    let folder = home.folder.path().join("sessions/2026/11/21");
    fs::create_dir_all(&folder).unwrap();
    let name = format!("rollout-2026-11-21T00-05-00-{thread}.jsonl");
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/codex-rollouts/12-history-mode-unknown");
    fs::copy(from.join("sessions/2026/11/21").join(&name), folder.join(&name)).unwrap();
    assert_eq!(home.list(json!({})).0, [thread.to_string()]);
    let why = home.store.archive(thread).unwrap_err();
    assert!(matches!(&why, StoreError::HistoryMode { mode, .. } if mode == "future_mode"), "{why}");
    assert!(home.store.set_name(thread, "x", Millis(1)).is_err());
}

/// Threads of recorded homes against what Codex 0.169.0 read of them. What only Codex's databases hold is left out: names and
/// times of loaded threads, and what is only known of those.
#[test]
fn recorded_threads_have_the_metadata_that_codex_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/codex-rollouts");
    let mut compared = 0;
    for fixture in [
        "01-simple-turn-legacy",
        "01-simple-turn-paginated",
        "07-fork-legacy",
        "07-fork-paginated",
        "08-sigkill-legacy",
    ] {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(Arc::new(FileJournal::new(root.join(fixture))), state.path());
        for line in fs::read_to_string(root.join(fixture).join("answers.ndjson")).unwrap().lines() {
            let answer: Value = serde_json::from_str(line).unwrap();
            let theirs = &answer["result"]["thread"];
            let Some(id) = theirs["id"].as_str().filter(|_| answer["method"] == "thread/read") else { continue };
            let Ok(ours) = store.thread(id.parse().unwrap()) else { continue };
            let ours = serde_json::to_value(ours).unwrap();
            let keys = |thread: &Value| thread.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&ours), keys(theirs), "{fixture}");
            let own =
                ["environments", "updatedAt", "recencyAt", "status", "path", "canAcceptDirectInput", "name", "turns"];
            for key in keys(&ours).iter().filter(|key| !own.contains(&key.as_str())) {
                assert_eq!(ours[key], theirs[key], "{fixture}: {key}");
            }
            compared += 1;
        }
    }
    assert!(compared >= 4, "{compared}");
}
