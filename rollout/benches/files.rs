//! What the file journal costs: an append, a new rollout, waking a sleeping one, a list.

use std::time::Instant;

use sapwood_protocol::record::SessionMeta;
use sapwood_protocol::{Ids, Line, Millis, ThreadId};
use sapwood_rollout::{FileJournal, Filter, Journal, NewThread};
use serde_json::json;

const NOW: Millis = Millis(1_795_219_433_341);
const APPENDS: usize = 100_000;
const THREADS: usize = 10_000;

fn line(ordinal: u64) -> Line {
    let payload = json!({"type": "agent_message", "message": "x".repeat(200)});
    Line::encode(NOW, Some(ordinal), "event_msg", &payload, None)
}

fn meta(thread: ThreadId) -> Line {
    Line::encode(NOW, Some(0), "session_meta", &SessionMeta::new(thread, thread.into()), None)
}

/// Does something `count` times in batches, and says what it costs in the middle batch and in the best one.
fn measure(what: &str, count: usize, batch: usize, mut act: impl FnMut(usize)) {
    let mut costs: Vec<f64> = (0..count / batch)
        .map(|round| {
            let start = Instant::now();
            (0..batch).for_each(|n| act(round * batch + n));
            start.elapsed().as_secs_f64() * 1e6 / batch as f64
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    println!("{what}: {:.2} us (best {:.2} us)", costs[costs.len() / 2], costs[0]);
}

fn main() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let journal = FileJournal::new(home.path().to_owned());
    let mut ids = Ids::seeded(1);
    let threads: Vec<_> = (0..=THREADS as u64).map(|n| ids.thread(NOW.plus(n))).collect();
    let metas: Vec<_> = threads.iter().map(|thread| [meta(*thread)]).collect();
    let create = |n: usize| {
        let new = NewThread { thread: threads[n], created: NOW };
        journal.create(&new, &metas[n]).expect("a new rollout")
    };

    let log = create(THREADS);
    let epoch = log.fence();
    let lines: Vec<_> = (1..=APPENDS as u64).map(|n| [line(n)]).collect();
    let bytes = lines[0][0].bytes().len();
    measure(&format!("append one line of {bytes} bytes"), APPENDS, 1000, |n| {
        log.append(epoch, Some(n as u64 + 1), &lines[n]).expect("an append");
    });
    drop(log);
    measure(&format!("open a rollout of {} MB", APPENDS * bytes / 1_000_000), 20, 1, |_| {
        drop(journal.open(threads[THREADS]).expect("an open"));
    });

    let mut open = Vec::new();
    measure("create, kept open", 500, 50, |n| open.push(create(n)));
    drop(open);
    measure(&format!("create and close, {THREADS} in one folder"), THREADS - 500, 100, |n| drop(create(n + 500)));
    measure("open and close", THREADS, 100, |n| drop(journal.open(threads[n]).expect("an open")));
    measure(&format!("list {THREADS} rollouts"), 5, 1, |_| {
        assert_eq!(journal.list(&Filter::default()).expect("a list").len(), THREADS + 1);
    });
}
