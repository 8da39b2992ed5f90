//! What holds for every journal: both are driven alike, and must end with the same bytes.

mod support;

use std::fs::OpenOptions;
use std::sync::Arc;

use proptest::prelude::*;
use sapwood_mailbox::Epoch;
use sapwood_protocol::Line;
use sapwood_protocol::record::HistoryMode;
use sapwood_rollout::{AppendError, Failure, FileJournal, Journal, Lag, Log, MemoryJournal, OpenError, Ticket};
use support::*;

/// A journal that can die at any byte.
trait Mortal: Journal {
    /// The process dies, and of the rollout of thread 1 this many bytes are left.
    fn die(&self, len: u64);
}

impl Mortal for MemoryJournal {
    fn die(&self, len: u64) {
        self.crash(|_, _, _| len);
    }
}

impl Mortal for FileJournal {
    fn die(&self, len: u64) {
        OpenOptions::new().write(true).open(file_of(self, thread(1))).unwrap().set_len(len).unwrap();
    }
}

#[derive(Clone, Debug)]
enum Op {
    /// Lines of the incarnation; false is one of ours.
    Append(Vec<bool>),
    /// A batch that does not continue the rollout.
    Gap(u64),
    Admit(usize),
    Fence,
    /// An append with the epoch before.
    Stale,
    /// The process dies, and so many thousandths of what was appended since the last crash are left.
    Crash(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => prop::collection::vec(any::<bool>(), 0..5).prop_map(Op::Append),
        1 => (1u64..3).prop_map(Op::Gap),
        3 => (0usize..4).prop_map(Op::Admit),
        1 => Just(Op::Fence),
        1 => Just(Op::Stale),
        2 => (0u64..=1000).prop_map(Op::Crash),
    ];
    prop::collection::vec(op, 0..40)
}

/// Everything an operation showed: its answer, where the log stands, what is in the rollout.
type Seen = (Result<Ticket, String>, Option<u64>, Vec<u8>);

fn drive(journal: &impl Mortal, mode: &HistoryMode, ops: &[Op]) -> Vec<Seen> {
    let first = meta(1, mode.clone());
    // What survived one crash survives the next.
    let mut safe = first.bytes().len() as u64;
    let mut log = journal.create(&new(1), &[first]).unwrap();
    let mut epochs: (Option<Epoch>, Epoch) = (None, log.fence());
    let mut n = 0;
    let mut text = || {
        n += 1;
        format!("text {n}")
    };
    let mut seen = Vec::new();
    for op in ops {
        let at = log.next_ordinal();
        let result = match op {
            Op::Append(kinds) => {
                let mut next = at;
                let mut line = |codex: &bool| match codex {
                    false => own(&text()),
                    true => {
                        let line = event(next, &text());
                        next = next.map(|n| n + 1);
                        line
                    }
                };
                let lines: Vec<Line> = kinds.iter().map(&mut line).collect();
                log.append(epochs.1, at, &lines)
            }
            Op::Gap(by) => log.append(epochs.1, at, &[event(Some(at.unwrap_or(0) + by), &text())]),
            Op::Admit(count) => log.admit(&(0..*count).map(|_| own(&text())).collect::<Vec<_>>()),
            Op::Fence => {
                epochs = (Some(epochs.1), log.fence());
                Ok(Ticket::default())
            }
            Op::Stale => match epochs.0 {
                Some(old) => log.append(old, at, &[event(at, &text())]),
                None => Ok(Ticket::default()),
            },
            Op::Crash(keep) => {
                let end = log.read().unwrap().bytes().len() as u64;
                drop(log);
                safe += (end - safe) * keep / 1000;
                journal.die(safe);
                log = journal.open(thread(1)).unwrap();
                epochs = (None, log.fence());
                Ok(Ticket(log.read().unwrap().bytes().len() as u64))
            }
        };
        let bytes = log.read().unwrap().bytes().to_vec();
        assert_eq!(*journal.read(thread(1)).unwrap().bytes(), bytes);
        seen.push((result.map_err(|error| error.to_string()), log.next_ordinal(), bytes));
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_and_memory_agree(ops in ops(), legacy in any::<bool>()) {
        let mode = if legacy { HistoryMode::Legacy } else { HistoryMode::Paginated };
        let home = tempfile::tempdir().unwrap();
        let memory = MemoryJournal::new();
        // Everything after the first line may be lost, as a test that cuts a file does it.
        memory.set_lag(Lag::Writes(usize::MAX));
        let files = drive(&FileJournal::new(home.path().to_owned()), &mode, &ops);
        let memory = drive(&memory, &mode, &ops);
        prop_assert_eq!(files, memory);
    }
}

/// Three lines in one batch: a Codex line, one of ours, a Codex line.
fn batch() -> Vec<Line> {
    vec![event(Some(1), "one é"), own("ours"), event(Some(2), "two")]
}

fn start(journal: &impl Journal) -> (Arc<dyn Log>, Epoch) {
    let log = journal.create(&new(1), &[paginated(1)]).unwrap();
    let epoch = log.fence();
    (log, epoch)
}

/// Checks what a batch became of which `written` bytes are there, and that the next append is safe.
fn check_rest(journal: &impl Journal, log: &dyn Log, epoch: Epoch, written: usize) {
    let mut expected = vec![paginated(1)];
    let mut end = 0;
    for line in batch() {
        end += line.bytes().len();
        // Without its newline a line is whole as soon as the tail was ended.
        if written + 1 >= end {
            expected.push(line);
        }
    }
    let next = 1 + expected.iter().skip(1).filter(|line| line.view().unwrap().ordinal.is_some()).count() as u64;
    assert_eq!(log.next_ordinal(), Some(next), "{written} bytes");
    let after = [event(Some(next), "after"), own("after")];
    log.append(epoch, Some(next), &after).unwrap();
    expected.extend(after);
    let bytes = journal.read(thread(1)).unwrap();
    assert_eq!(readable(bytes.bytes()), texts(&expected), "{written} bytes");
    // Nothing was taken away either: what was written stands where it was written.
    let before = joined(&[vec![paginated(1)], batch()].concat());
    assert!(bytes.bytes().starts_with(&before[..paginated(1).bytes().len() + written]));
}

#[test]
fn a_batch_cut_at_every_byte_keeps_its_whole_lines_and_glues_nothing() {
    fn cut(journal: &impl Mortal, written: usize) {
        let (log, epoch) = start(journal);
        log.append(epoch, Some(1), &batch()).unwrap();
        drop(log);
        journal.die((paginated(1).bytes().len() + written) as u64);
        let log = journal.open(thread(1)).unwrap();
        let epoch = log.fence();
        check_rest(journal, &*log, epoch, written);
    }
    for written in 0..=joined(&batch()).len() {
        let home = tempfile::tempdir().unwrap();
        cut(&FileJournal::new(home.path().to_owned()), written);
        let memory = MemoryJournal::new();
        memory.set_lag(Lag::Writes(1));
        cut(&memory, written);
    }
}

#[test]
fn a_batch_that_failed_at_every_byte_is_continued_by_the_same_log() {
    let whole = joined(&batch()).len();
    for written in 0..whole {
        let memory = MemoryJournal::new();
        let (log, epoch) = start(&memory);
        memory.fail_next(thread(1), Failure { written, full: written % 2 == 0 });
        match log.append(epoch, Some(1), &batch()) {
            // All that lacks is the last newline, which the next append writes.
            Ok(_) => assert_eq!(written, whole - 1),
            Err(AppendError::Storage { full, .. }) => assert_eq!(full, written % 2 == 0),
            Err(other) => panic!("{other}"),
        }
        let live = log.next_ordinal();
        // The next incarnation sees what a process would that opens the rollout.
        let copy = MemoryJournal::new();
        copy.put(thread(1), NOW, memory.read(thread(1)).unwrap().bytes().to_vec());
        assert_eq!(live, copy.open(thread(1)).unwrap().next_ordinal(), "{written} bytes");
        let epoch = log.fence();
        check_rest(&memory, &*log, epoch, written);
    }
}

#[test]
fn an_admission_after_a_torn_batch_stands_on_its_own_line() {
    let memory = MemoryJournal::new();
    let (log, epoch) = start(&memory);
    memory.fail_next(thread(1), Failure { written: 20, full: false });
    log.append(epoch, Some(1), &batch()).unwrap_err();
    // Not even the newline comes through at first.
    memory.fail_next(thread(1), Failure { written: 0, full: true });
    log.admit(&[own("a")]).unwrap_err();
    memory.fail_next(thread(1), Failure { written: 1, full: true });
    log.admit(&[own("b")]).unwrap_err();
    log.admit(&[own("c")]).unwrap();
    assert_eq!(readable(memory.read(thread(1)).unwrap().bytes()), texts(&[paginated(1), own("c")]));
    assert_eq!(log.next_ordinal(), Some(1));
}

#[test]
fn the_watermark_lags_behind_and_a_crash_cuts_after_it() {
    let memory = MemoryJournal::new();
    let (log, epoch) = start(&memory);
    memory.set_lag(Lag::Writes(1));
    let one = log.append(epoch, Some(1), &[event(Some(1), "one")]).unwrap();
    assert!(log.durable() < one);
    let two = log.append(epoch, Some(2), &[event(Some(2), "two")]).unwrap();
    assert_eq!(log.durable(), one);
    let three = log.admit(&[own("three")]).unwrap();
    assert_eq!(log.durable(), two);
    memory.sync(thread(1));
    assert_eq!(log.durable(), three);
    memory.set_lag(Lag::Bytes(1));
    assert_eq!(log.admit(&[own("four")]).unwrap(), log.durable());
    memory.set_lag(Lag::Bytes(1000));
    let before = log.durable();
    let end = log.admit(&[own("five")]).unwrap();
    assert_eq!(log.durable(), before);

    let mut asked = Vec::new();
    memory.crash(|thread, durable, len| {
        asked.push((thread, durable, len));
        0
    });
    assert_eq!(asked, [(thread(1), before.0, end.0)]);
    assert_eq!(memory.read(thread(1)).unwrap().bytes().len() as u64, before.0);
    // The old log is dead, whoever still holds it; dropping it does not give away the new one's lock.
    assert!(matches!(log.admit(&[own("ghost")]), Err(AppendError::Storage { full: false, .. })));
    let again = memory.open(thread(1)).unwrap();
    drop(log);
    assert!(matches!(memory.open(thread(1)), Err(OpenError::Held { .. })));
    drop(again);
    memory.open(thread(1)).unwrap();
}

#[test]
fn a_rollout_that_is_not_durable_may_never_have_existed_but_never_exists_in_part() {
    for keep in [0, 10, u64::MAX] {
        let memory = MemoryJournal::new();
        memory.set_lag(Lag::Writes(1));
        start(&memory);
        memory.crash(|_, _, _| keep);
        let there = if keep == u64::MAX { vec![thread(1)] } else { vec![] };
        assert_eq!(memory.threads(), there);
    }
}

fn refuses_what_is_no_continuation(journal: &impl Journal) {
    let (log, old) = start(journal);
    let epoch = log.fence();
    let line = || [event(Some(1), "x")];
    assert!(matches!(log.append(old, Some(1), &line()), Err(AppendError::Stale)));
    let refused = |next, lines: &[Line]| match log.append(epoch, next, lines) {
        Err(AppendError::Ordinal { expected: Some(1), given, .. }) => given,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(Some(2), &[event(Some(2), "x")]), Some(2));
    assert_eq!(refused(None, &line()), None);
    assert_eq!(refused(Some(1), &[event(Some(2), "x")]), Some(2));
    assert_eq!(refused(Some(1), &[event(Some(1), "x"), event(Some(1), "x")]), Some(1));
    assert_eq!(refused(Some(1), &[own("x"), event(None, "x")]), None);
    assert_eq!(log.read().unwrap().bytes(), paginated(1).bytes());
    log.append(epoch, Some(1), &line()).unwrap();
    assert!(matches!(journal.create(&new(1), &[paginated(1)]), Err(OpenError::Held { .. } | OpenError::Exists { .. })));
    drop(log);
    assert!(matches!(journal.create(&new(1), &[paginated(1)]), Err(OpenError::Exists { .. })));
    assert!(matches!(journal.open(thread(2)), Err(OpenError::NotFound { .. })));
    assert!(matches!(journal.read(thread(2)), Err(OpenError::NotFound { .. })));
    for wrong in [vec![], vec![event(Some(0), "x")], vec![paginated(2)], vec![paginated(3), event(Some(2), "gap")]] {
        assert!(matches!(journal.create(&new(3), &wrong), Err(OpenError::Corrupt { .. })), "{wrong:?}");
    }
    let unknown = meta(3, HistoryMode::Unknown("future".into()));
    assert!(matches!(journal.create(&new(3), &[unknown]), Err(OpenError::HistoryMode { .. })));
    assert!(matches!(journal.open(thread(3)), Err(OpenError::NotFound { .. })));
}

#[test]
fn both_refuse_what_is_no_continuation() {
    refuses_what_is_no_continuation(&MemoryJournal::new());
    let home = tempfile::tempdir().unwrap();
    refuses_what_is_no_continuation(&FileJournal::new(home.path().to_owned()));
}

#[test]
#[should_panic(expected = "the seat writes lines of ours only")]
fn the_seat_cannot_write_history() {
    let (log, _) = start(&MemoryJournal::new());
    let _ = log.admit(&[event(Some(1), "x")]);
}

#[test]
fn a_later_meta_changes_nothing() {
    let memory = MemoryJournal::new();
    let note = Line::encode(NOW, None, "session_meta", &serde_json::json!({"id": thread(1)}), None);
    memory.put(thread(1), NOW, joined(&[meta(1, HistoryMode::Legacy), note.clone()]));
    assert_eq!(memory.open(thread(1)).unwrap().next_ordinal(), None);
    // Paginated stays paginated; that its last line has no ordinal is an error, as it is for Codex.
    memory.put(thread(2), NOW, joined(&[paginated(2), note]));
    let Err(error) = memory.open(thread(2)) else { panic!() };
    assert!(error.to_string().ends_with("it is paginated, and its last valid line has no ordinal"), "{error}");
}

#[test]
fn a_fork_continues_the_ordinals_of_its_source() {
    let memory = MemoryJournal::new();
    let mut fork: serde_json::Value = serde_json::from_slice(paginated(1).bytes()).unwrap();
    fork["ordinal"] = 22.into();
    let fork = Line::from_bytes(fork.to_string().into_bytes().into());
    let log = memory.create(&new(1), &[fork]).unwrap();
    assert_eq!(log.next_ordinal(), Some(23));
    log.admit(&[own("a"), own("b")]).unwrap();
    drop(log);
    assert_eq!(memory.open(thread(1)).unwrap().next_ordinal(), Some(23));
}
