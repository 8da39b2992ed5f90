//! How long it takes to read the envelopes of 26 MB of rollout. Target: under 60 ms.

use std::path::Path;
use std::time::Instant;

use sapwood_rollout::Rollout;

const BYTES: usize = 26_000_000;

fn main() {
    let recorded = "../tests/fixtures/codex-rollouts/06-manual-compaction-paginated";
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(recorded).join("sessions")];
    let mut lines = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the fixtures are there") {
            let path = entry.expect("a folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                lines.extend(std::fs::read(path).expect("a recorded rollout can be read"));
            }
        }
    }
    let mut bytes = Vec::with_capacity(BYTES + lines.len());
    while bytes.len() < BYTES {
        bytes.extend_from_slice(&lines);
    }
    let rollout = Rollout::new(bytes.into());
    let mut best = f64::MAX;
    let mut count = 0;
    for _ in 0..10 {
        let start = Instant::now();
        count = rollout.lines().filter(|line| line.view().is_ok_and(|view| view.ordinal.is_some())).count();
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    println!("scan: {best:.1} ms for {count} lines, {} bytes (best of 10)", rollout.bytes().len());
}
