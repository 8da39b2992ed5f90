//! Somebody else's home in the same home, and whether anybody touched it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a folder holds: of each entry its inode, mode, times and content.
#[derive(Debug, PartialEq)]
pub struct Snapshot(BTreeMap<PathBuf, (u64, u32, [i64; 4], Vec<u8>)>);

impl Snapshot {
    /// Everything in a folder, and the folder itself.
    pub fn of(folder: &Path) -> Self {
        let mut found = BTreeMap::new();
        let mut left = vec![folder.to_owned()];
        while let Some(path) = left.pop() {
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = match metadata.file_type() {
                kind if kind.is_dir() => {
                    left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                    Vec::new()
                }
                kind if kind.is_file() => fs::read(&path).unwrap(),
                _ => Vec::new(),
            };
            let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
            found.insert(path, (metadata.ino(), metadata.mode(), times, content));
        }
        Self(found)
    }
}

const ROLLOUT: &str = "sessions/2026/11/20/rollout-2026-11-20T10-00-00-01a1f000-0000-7000-8000-000000000000.jsonl";

/// A `~/.codex` with what Codex keeps there.
pub struct Codex {
    folder: PathBuf,
    before: Snapshot,
}

impl Codex {
    /// Puts one into a home.
    pub fn live_in(home: &Path) -> Self {
        let folder = home.join(".codex");
        for (name, content) in [
            ("config.toml", "model = \"gpt-5-codex\"\n\n[agents]\nmax_threads = 6\n"),
            ("auth.json", "{\"OPENAI_API_KEY\":null}\n"),
            (
                "history.jsonl",
                "{\"session_id\":\"01a1f000-0000-7000-8000-000000000000\",\"ts\":1,\"text\":\"hello\"}\n",
            ),
            ("AGENTS.md", "Be brief.\n"),
            ("state_5.sqlite", "SQLite format 3\0"),
            ("thread-writer-locks/.coordination.lock", ""),
            (
                ROLLOUT,
                "{\"timestamp\":\"2026-11-20T10:00:00.000Z\",\"type\":\"session_meta\",\"payload\":{\"id\":\"torn",
            ),
        ] {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let before = Snapshot::of(&folder);
        Self { folder, before }
    }

    /// Says so if anything in it has changed.
    pub fn is_untouched(&self) {
        assert_eq!(Snapshot::of(&self.folder), self.before, "~/.codex was touched");
    }
}
