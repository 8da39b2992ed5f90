//! Every line of every recorded rollout, through the bytes and through the typed view.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sapwood_protocol::record::{EventMsg, Record};
use sapwood_protocol::{Line, View};

/// The recorded rollouts with a line that is broken on purpose, and how many such lines each has.
const BROKEN: [&str; 2] = ["09-truncated-tail-legacy", "09-truncated-tail-paginated"];

fn rollouts() -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "jsonl") && !path.ends_with("model_requests.jsonl") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/codex-rollouts");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    assert_eq!(paths.len(), 51, "the recorded rollouts are in {}", root.display());
    paths.into_iter().map(|path| (path.strip_prefix(&root).unwrap().to_owned(), fs::read(&path).unwrap())).collect()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|b| *b == b'\n')
}

fn is_broken_on_purpose(path: &Path) -> bool {
    BROKEN.iter().any(|name| path.starts_with(name))
}

#[test]
fn a_line_is_its_bytes() {
    for (path, bytes) in rollouts() {
        let mut again = Vec::new();
        for line in lines(&bytes) {
            again.extend_from_slice(Line::from_bytes(line.to_vec().into()).bytes());
        }
        if !bytes.ends_with(b"\n") {
            assert!(is_broken_on_purpose(&path), "{}", path.display());
            assert_eq!(again.pop(), Some(b'\n'));
        }
        assert_eq!(again, bytes, "{}", path.display());
    }
}

#[test]
fn every_kind_is_known_and_only_the_broken_lines_are_no_lines() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for (path, bytes) in rollouts() {
        let mut broken = 0;
        for line in lines(&bytes) {
            let Ok(view) = View::parse(line) else {
                broken += 1;
                continue;
            };
            let record = Record::parse(&view).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(!matches!(record, Record::Unknown { .. }), "{}: {record:?}", path.display());
            *kinds.entry(format!("{} {}", view.kind, view.tag())).or_default() += 1;
        }
        assert_eq!(broken, usize::from(is_broken_on_purpose(&path)), "{}", path.display());
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, count)| (kind.trim_end(), *count)).collect();
    assert_eq!(
        kinds,
        [
            ("compacted", 5),
            ("event_msg agent_message", 39),
            ("event_msg agent_reasoning", 2),
            ("event_msg context_compacted", 1),
            ("event_msg item_completed", 170),
            ("event_msg patch_apply_end", 1),
            ("event_msg task_complete", 95),
            ("event_msg task_started", 119),
            ("event_msg thread_goal_updated", 14),
            ("event_msg thread_settings_applied", 65),
            ("event_msg token_count", 157),
            ("event_msg turn_aborted", 7),
            ("event_msg user_message", 40),
            ("inter_agent_communication_metadata", 4),
            ("response_item agent_message", 4),
            ("response_item custom_tool_call", 4),
            ("response_item custom_tool_call_output", 4),
            ("response_item function_call", 55),
            ("response_item function_call_output", 52),
            ("response_item message", 335),
            ("response_item reasoning", 4),
            ("session_meta", 53),
            ("token_usage_record", 151),
            ("turn_context", 119),
            ("world_state", 55),
        ]
    );
}

#[test]
fn the_typed_view_leaves_nothing_out_and_keeps_the_order_of_fields() {
    for (path, bytes) in rollouts() {
        for line in lines(&bytes) {
            let Ok(view) = View::parse(line) else { continue };
            let record = Record::parse(&view).unwrap();
            // There are no exceptions: what differs between versions is kept as a value. It is text that is compared,
            // because those kinds that we write are to have their fields in Codex's order; and text of a value, because
            // serde_json reads a float such as `create_time` to within its last digit.
            let raw: serde_json::Value = serde_json::from_str(view.payload.get()).unwrap();
            let (typed, raw) = (serde_json::to_string(&record).unwrap(), serde_json::to_string(&raw).unwrap());
            assert_eq!(typed, raw, "{}", path.display());
        }
    }
}

#[test]
fn a_payload_that_is_written_alone_has_its_type() {
    let (_, bytes) = rollouts().swap_remove(0);
    let mut seen = 0;
    for line in lines(&bytes) {
        let view = View::parse(line).unwrap();
        let Record::EventMsg(event) = Record::parse(&view).unwrap() else { continue };
        let alone = match *event {
            EventMsg::TaskStarted(event) => serde_json::to_string(&event),
            EventMsg::TaskComplete(event) => serde_json::to_string(&event),
            EventMsg::TokenCount(event) => serde_json::to_string(&event),
            _ => continue,
        };
        assert_eq!(alone.unwrap(), view.payload.get());
        seen += 1;
    }
    assert!(seen > 2);
}
