//! Lines to write, homes to write them to.
#![allow(dead_code)] // each test file uses a part

use std::fs;
use std::path::{Path, PathBuf};

use sapwood_protocol::record::{HistoryMode, SessionMeta};
use sapwood_protocol::{Line, Millis, ThreadId, View};
use sapwood_rollout::{Filter, Journal, NewThread};
use serde_json::json;

pub const NOW: Millis = Millis(1_795_219_433_341);

pub fn thread(n: u8) -> ThreadId {
    format!("01a1fb6a-a76e-71a2-bd2a-94a0af49bb{n:02x}").parse().unwrap()
}

pub fn new(n: u8) -> NewThread {
    NewThread { thread: thread(n), created: NOW }
}

pub fn meta(n: u8, mode: HistoryMode) -> Line {
    let mut meta = SessionMeta::new(thread(n), thread(n).into());
    let ordinal = (mode == HistoryMode::Paginated).then_some(0);
    meta.history_mode = mode;
    meta.timestamp = NOW.timestamp();
    meta.cwd = "/workspace".into();
    Line::encode(NOW, ordinal, "session_meta", &meta, None)
}

pub fn paginated(n: u8) -> Line {
    meta(n, HistoryMode::Paginated)
}

/// A line with a Codex type and some text in it.
pub fn event(ordinal: Option<u64>, text: &str) -> Line {
    Line::encode(NOW, ordinal, "event_msg", &json!({"type": "agent_message", "message": text}), None)
}

/// A line of ours.
pub fn own(text: &str) -> Line {
    Line::encode(NOW, None, "sapwood.begun", &json!({"v": 1, "id": text}), None)
}

pub fn joined(lines: &[Line]) -> Vec<u8> {
    lines.iter().flat_map(|line| line.bytes().to_vec()).collect()
}

/// The lines that can be read, as text without newlines; what is broken is left out, as every reader does.
pub fn readable(bytes: &[u8]) -> Vec<String> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| View::parse(line).is_ok());
    lines.map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
}

pub fn texts(lines: &[Line]) -> Vec<String> {
    readable(&joined(lines))
}

/// The file of a thread.
pub fn file_of(journal: &impl Journal, thread: ThreadId) -> PathBuf {
    let entries = journal.list(&Filter::default()).unwrap();
    entries.into_iter().find(|entry| entry.thread == thread).unwrap().place.into()
}

/// All files below a folder, relative to it.
pub fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/codex-rollouts")
}

/// Puts the recorded homes of `names` into one home.
pub fn home_of(names: &[&str]) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let home = tempfile::tempdir().unwrap();
    for name in names {
        copy(&fixtures().join(name).join("sessions"), &home.path().join("sessions"));
    }
    home
}
