//! The commit core: after a fence the replaced incarnation writes nothing, and writes stay whole.
#![cfg(loom)]

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use sapwood_mailbox::{Commit, Watermark};

/// A log whose write takes two steps, so that another one could get in between.
struct Log {
    lines: Vec<&'static str>,
    writing: AtomicUsize,
}

impl Log {
    fn new() -> Self {
        Self { lines: Vec::new(), writing: AtomicUsize::new(0) }
    }

    fn write(&mut self, line: &'static str) -> usize {
        assert_eq!(self.writing.fetch_add(1, Ordering::AcqRel), 0, "two writes at once");
        self.lines.push(line);
        assert_eq!(self.writing.fetch_sub(1, Ordering::AcqRel), 1, "two writes at once");
        self.lines.len()
    }
}

/// Once a fault: a replaced incarnation could still append. Nothing of it follows the fence.
#[test]
fn a_replaced_incarnation_appends_nothing_after_the_fence() {
    loom::model(|| {
        let commit = Arc::new(Commit::new(Log::new()));
        let old = commit.fence();
        let zombie = thread::spawn({
            let commit = commit.clone();
            move || [(); 2].map(|()| commit.append(old, |log| log.write("old")).is_ok())
        });
        let new = commit.fence();
        let at = commit.append(new, |log| log.write("new")).unwrap();
        let [first, second] = zombie.join().unwrap();
        assert!(first || !second, "fenced, and then not");
        let lines = commit.admit(|log| log.lines.clone());
        assert_eq!(lines.len(), 1 + usize::from(first) + usize::from(second));
        assert_eq!(lines[at - 1], "new");
        assert_eq!(lines.len(), at, "written after the fence");
    });
}

/// The same against a seat that admits: admissions need no epoch, and count.
#[test]
fn admissions_and_appends_do_not_interleave() {
    loom::model(|| {
        let commit = Arc::new(Commit::new(Log::new()));
        let epoch = commit.fence();
        let seat = thread::spawn({
            let commit = commit.clone();
            move || commit.admit(|log| log.write("accepted"))
        });
        let other = thread::spawn({
            let commit = commit.clone();
            move || commit.append(epoch, |log| log.write("two")).is_ok()
        });
        let mine = commit.append(epoch, |log| log.write("one")).unwrap();
        let seats = seat.join().unwrap();
        assert!(other.join().unwrap());
        let watermark = commit.watermark();
        assert_eq!(watermark, Watermark { appended: 2, admitted: 1 });
        let lines = commit.admit(|log| log.lines.clone());
        assert_eq!((lines.len(), lines[mine - 1], lines[seats - 1]), (3, "one", "accepted"));
    });
}

/// Two owners fence at once: they get different epochs, and only the later one may append.
#[test]
fn of_two_fences_one_wins() {
    loom::model(|| {
        let commit = Arc::new(Commit::new(Log::new()));
        let other = thread::spawn({
            let commit = commit.clone();
            move || commit.fence()
        });
        let mine = commit.fence();
        let theirs = other.join().unwrap();
        assert_ne!(mine, theirs);
        let (older, newer) = if mine < theirs { (mine, theirs) } else { (theirs, mine) };
        let stale = commit.append(older, |log| log.write("older")).unwrap_err();
        assert_eq!((stale.epoch, stale.current), (older, newer));
        assert_eq!(commit.append(newer, |log| log.write("newer")), Ok(1));
    });
}
