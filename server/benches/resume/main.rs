//! What it costs to resume a long thread, part by part: a file is read, an agent is folded, its turns are read, and the answer is
//! written. `thread/resume` does the second and the third beside each other. Target, all in all: under 100 ms.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use sapwood_actors::fold;
use sapwood_protocol::ThreadId;
use sapwood_protocol::app::turn::TurnItemsView;
use sapwood_rollout::{FileJournal, Journal};
use sapwood_server::history;

/// Turns of the thread.
const TURNS: u64 = 5_000;

/// Each part is done so often; the best counts.
const ROUNDS: usize = 10;

const THREAD: &str = "01a1fddb-7141-788e-8bfa-a4d05bf63d9a";

/// One turn as the program writes it: ten lines, nine of them numbered.
const TURN: &str = include_str!("turn.jsonl");

fn rollout() -> String {
    let mut text = format!(
        r#"{{"timestamp":"2026-11-21T00:03:53.341Z","ordinal":0,"type":"session_meta","payload":{{"session_id":"{THREAD}","id":"{THREAD}","timestamp":"2026-11-21T00:03:53.341Z","cwd":"/w","originator":"bench","cli_version":"0.1.0","source":"vscode","model_provider":"fake","history_mode":"paginated"}}}}"#
    );
    text.push('\n');
    let mut ordinal = 1;
    for turn in 0..TURNS {
        for line in TURN.lines() {
            let line = line
                .replace("<turn>", &format!("01a1fddb-7161-72f0-9b2e-{turn:012x}"))
                .replace("<input>", &format!("39336dc2-6c74-4c86-8d58-{turn:012x}"))
                .replace("<said>", &format!("msg_01a1fddb-7161-715c-a0fa-{turn:012x}"))
                .replace("<answer>", &format!("msg_{turn}"))
                .replace("<response>", &format!("resp_{turn}"))
                .replace("<place>", &turn.to_string())
                .replace("<ordinal>", &ordinal.to_string());
            ordinal += u64::from(line.contains("\"ordinal\":"));
            writeln!(text, "{line}").expect("a String takes all");
        }
    }
    text
}

fn measure<T>(what: &str, mut part: impl FnMut() -> T) -> T {
    let mut best = f64::MAX;
    let mut made = None;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let one = black_box(part());
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
        made = Some(one);
    }
    println!("{what:<40} {best:>7.1} ms");
    made.expect("there is a round")
}

fn main() {
    let home = tempfile::tempdir().expect("a folder can be made");
    let day = home.path().join("sessions/2026/11/21");
    std::fs::create_dir_all(&day).expect("a folder can be made");
    let text = rollout();
    let file = day.join(format!("rollout-2026-11-21T00-03-53-{THREAD}.jsonl"));
    std::fs::write(file, &text).expect("a rollout can be written");
    println!("a thread of {TURNS} turns, {:.1} MB; the best of {ROUNDS}", text.len() as f64 / 1e6);
    let journal = FileJournal::new(home.path().to_owned());
    let thread: ThreadId = THREAD.parse().expect("it is an id");
    let read = measure("the file is read", || journal.read(thread).expect("it is there"));
    let agent =
        measure("the agent is folded", || fold::fold(&journal, thread, &read).expect("it is a rollout of an agent"));
    assert_eq!((agent.history.len() as u64, agent.unreadable), (2 * TURNS, 0), "both items of each turn");
    let turns = measure("the turns are read", || history::read_rollout(&journal, thread, &read).expect("it has turns"));
    assert_eq!(turns.len() as u64, TURNS);
    let all = measure("the turns are shown", || turns.all(TurnItemsView::Full, None));
    let answer = measure("the answer is written", || serde_json::to_vec(&all).expect("turns can be written"));
    println!("{:<40} {:>7.1} MB", "the answer", answer.len() as f64 / 1e6);
}
