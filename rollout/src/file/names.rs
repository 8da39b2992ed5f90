//! Names of threads, in Codex's `session_index.jsonl`: one line for each naming, the last one of a thread counts.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sapwood_protocol::{Millis, ThreadId};
use serde::{Deserialize, Serialize};

use crate::source::{self, Source};

/// The file in a home.
const FILE: &str = "session_index.jsonl";

/// How much of the file is read, from its end. A line has some 150 bytes, so that is some fifty thousand namings; what
/// was named earlier and never since has no name to us.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// The file whose lock is held while one is written.
const LOCK: &str = "session_index.jsonl.lock";

/// How long that lock may be somebody else's. A name is written in some ten microseconds.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Serialize, Deserialize)]
struct Naming {
    id: ThreadId,
    #[serde(default)]
    thread_name: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
}

/// Adds a name, in one write.
pub(super) fn append(home: &Path, thread: ThreadId, name: &str, now: Millis) -> io::Result<()> {
    let _lock = lock(&home.join(LOCK))?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(home.join(FILE))?;
    let naming = Naming { id: thread, thread_name: Some(name.to_owned()), updated_at: Some(now.timestamp()) };
    let mut line = Vec::with_capacity(160);
    if source::is_torn(&file, file.len()?)? {
        // Left by somebody who died here; the next line is not to be a part of it.
        line.push(b'\n');
    }
    serde_json::to_writer(&mut line, &naming)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Closing the file gives the lock back.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let start = Instant::now();
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if start.elapsed() < PATIENCE => {
                // There is no flock with a time limit.
                if start.elapsed() < Duration::from_millis(1) { yield_now() } else { sleep(Duration::from_millis(1)) }
            }
            Err(Errno::WOULDBLOCK) => {
                let why = "the lock of the names is held for seconds; stop the process that holds it";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The names of a home. A line that cannot be read is passed over, as Codex does; a home without the file has none.
pub(super) fn read(home: &Path) -> io::Result<BTreeMap<ThreadId, String>> {
    let file = match File::open(home.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    read_end(&file, MAX_BYTES)
}

fn read_end(file: &impl Source, max: u64) -> io::Result<BTreeMap<ThreadId, String>> {
    let end = file.len()?;
    let start = end.saturating_sub(max);
    let bytes = source::range(file, start, end)?;
    let mut lines = bytes.split(|byte| *byte == b'\n');
    if start > 0 {
        // It began before.
        lines.next();
    }
    let mut names = BTreeMap::new();
    for naming in lines.filter_map(|line| serde_json::from_slice::<Naming>(line).ok()) {
        match naming.thread_name.filter(|name| !name.trim().is_empty()) {
            Some(name) => drop(names.insert(naming.id, name)),
            None => drop(names.remove(&naming.id)),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const A: &str = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef";
    const B: &str = "01a1fb6b-7ee5-7d33-b163-d9a54ba1f4cb";

    fn naming(id: &str, name: &str) -> String {
        format!(r#"{{"id":"{id}","thread_name":"{name}","updated_at":"2026-11-21T05:30:57.431502827Z"}}"#)
    }

    fn names(text: &str, max: u64) -> Vec<(String, String)> {
        let names = read_end(&Bytes::copy_from_slice(text.as_bytes()), max).unwrap();
        names.into_iter().map(|(thread, name)| (thread.to_string(), name)).collect()
    }

    #[test]
    fn the_last_line_of_a_thread_counts_and_broken_ones_do_not() {
        let text = [&*naming(A, "old"), "", "{\"id\":", "[]", &naming(B, "two"), &naming(A, "one")].join("\n");
        assert_eq!(names(&text, 9999), [(A.into(), "one".into()), (B.into(), "two".into())]);
        let removed = [naming(A, "old"), naming(A, " ")].join("\n");
        assert_eq!(names(&removed, 9999), []);
    }

    #[test]
    fn of_a_long_file_the_end_is_read_and_no_part_of_a_line() {
        let text = [naming(A, "one"), naming(B, "two")].join("\n");
        let second = naming(B, "two").len() as u64;
        assert_eq!(names(&text, second + 5), [(B.into(), "two".into())]);
        assert_eq!(names(&text, second - 1), []);
    }
}
