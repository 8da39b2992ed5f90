//! The turns of recorded rollouts against what Codex 0.169.0 answered of them.

use std::fs;
use std::path::{Path, PathBuf};

use sapwood_protocol::app::turn::TurnItemsView;
use sapwood_protocol::{ThreadId, TurnId};
use sapwood_rollout::{FileJournal, Journal, Rollout};
use serde_json::{Value, json};

use super::super::{Turns, read, read_rollout};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/codex-rollouts")
}

/// Each request of a recording that reads threads, with its answer.
fn answers(fixture: &str) -> Vec<(Value, Value)> {
    let text = fs::read_to_string(fixtures().join(fixture).join("answers.ndjson")).unwrap();
    let read = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        let answer = row["result"].take();
        (row, answer)
    };
    text.lines().map(read).collect()
}

fn thread_of(params: &Value) -> ThreadId {
    params.as_str().unwrap().parse().unwrap()
}

fn json(turns: &[sapwood_protocol::app::turn::Turn]) -> Value {
    serde_json::to_value(turns).unwrap()
}

/// The rollout of a thread as it was before the line with the ordinal `end`.
fn below(journal: &FileJournal, thread: ThreadId, end: u64) -> Rollout {
    let rollout = journal.read(thread).unwrap();
    let lines = rollout.lines().filter(|line| line.view().is_ok_and(|view| view.ordinal.is_none_or(|n| n < end)));
    Rollout::new(lines.flat_map(|line| line.bytes().to_vec()).collect::<Vec<u8>>().into())
}

/// Every answer with turns of threads whose rollout is there, against the first as many turns of that rollout as it is now:
/// what has ended does not change, unless a command outlives its turn; of `late`, lines from that ordinal on are left out.
/// Returns how many answers were compared.
fn compare(fixture: &str, late: u64) -> usize {
    let journal = FileJournal::new(fixtures().join(fixture));
    let mut compared = 0;
    for (request, answer) in answers(fixture) {
        let thread = &answer["thread"];
        let Some(turns) = thread["turns"].as_array().filter(|turns| !turns.is_empty()) else { continue };
        let id = thread_of(&thread["id"]);
        if thread["status"]["type"] == "active" || journal.read(id).is_err() {
            continue;
        }
        let ours = read_rollout(&journal, id, &below(&journal, id, late)).unwrap().all(TurnItemsView::Full, None);
        let ours = json(&ours[..turns.len().min(ours.len())]);
        assert_eq!(ours.to_string(), Value::from(turns.clone()).to_string(), "{fixture}: {request}");
        compared += 1;
    }
    compared
}

#[test]
fn turns_equal_those_that_codex_read_byte_for_byte() {
    const ALL: u64 = u64::MAX;
    let expected = [
        ("01-simple-turn-legacy", ALL, 1),
        ("01-simple-turn-paginated", ALL, 1),
        ("02-shell-tools-legacy", ALL, 1),
        ("02-shell-tools-paginated", ALL, 1),
        ("03-interrupted-legacy", ALL, 1),
        ("03-interrupted-paginated", 33, 1),
        ("06-manual-compaction-legacy", ALL, 2),
        ("06-manual-compaction-paginated", ALL, 2),
        ("07-fork-legacy", ALL, 2),
        ("07-fork-paginated", ALL, 2),
        ("08-sigkill-legacy", ALL, 4),
        ("08-sigkill-paginated", ALL, 4),
        ("19-fork-mid-turn-paginated", ALL, 1),
    ];
    let found: Vec<_> = expected.iter().map(|(name, late, _)| (*name, *late, compare(name, *late))).collect();
    assert_eq!(found, expected);
}

/// What a rollout held when its thread was resumed in the middle of a turn.
#[test]
fn a_running_turn_is_shown_with_what_has_started_in_it() {
    let fixture = "19-fork-mid-turn-paginated";
    let journal = FileJournal::new(fixtures().join(fixture));
    let mut compared = 0;
    for (_, answer) in answers(fixture) {
        let thread = &answer["thread"];
        if thread["status"]["type"] != "active" || thread["turns"].as_array().is_none_or(Vec::is_empty) {
            continue;
        }
        let id = thread_of(&thread["id"]);
        let mut turns = read_rollout(&journal, id, &below(&journal, id, 22)).unwrap();
        let running: TurnId = thread["turns"][1]["id"].as_str().unwrap().into();
        let started = thread["turns"][1]["items"][2].clone();
        turns.started(&running, serde_json::from_value(started.clone()).unwrap());
        let shown = json(&turns.all(TurnItemsView::Full, Some(&running)));
        assert_eq!(shown.to_string(), thread["turns"].to_string());
        // Nobody runs it any more: neither the turn nor what had started in it.
        let stale = turns.last(TurnItemsView::Full, None).unwrap();
        let stale = serde_json::to_value(stale).unwrap();
        assert_eq!((stale["status"].clone(), stale["items"].as_array().unwrap().len()), (json!("interrupted"), 2));
        compared += 1;
    }
    assert_eq!(compared, 1);
}

#[test]
fn a_page_equals_the_one_that_codex_gave() {
    let fixture = "01-simple-turn-paginated";
    let journal = FileJournal::new(fixtures().join(fixture));
    let mut compared = 0;
    for (request, answer) in answers(fixture) {
        if request["method"] != "thread/turns/list" {
            continue;
        }
        let id = thread_of(&request["params"]["threadId"]);
        let params = serde_json::from_value(request["params"].clone()).unwrap();
        let page = read(&journal, id).unwrap().page(id, &params, None).unwrap();
        assert_eq!(serde_json::to_string(&page).unwrap(), answer.to_string());
        compared += 1;
    }
    assert_eq!(compared, 1);
}

/// Turns grow with the lines of their thread to what a file is read to.
#[test]
fn line_by_line_and_at_once_are_the_same() {
    for fixture in ["02-shell-tools-paginated", "08-sigkill-legacy", "11-steer-and-settings"] {
        let journal = FileJournal::new(fixtures().join(fixture));
        let entries = journal.list(&sapwood_rollout::Filter::default()).unwrap();
        assert!(!entries.is_empty());
        for entry in entries {
            let whole = read(&journal, entry.thread).unwrap();
            let mut grown = Turns::default();
            for line in journal.read(entry.thread).unwrap().lines() {
                grown.apply(&line);
            }
            let all = |turns: &Turns| json(&turns.all(TurnItemsView::Full, None));
            assert_eq!(all(&grown), all(&whole), "{fixture}");
            assert!(!whole.is_empty());
        }
    }
}
