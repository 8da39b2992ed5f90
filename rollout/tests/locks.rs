//! One writer a thread, over all processes.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sapwood_rollout::{FileJournal, Filter, Journal, OpenError};
use support::*;

const HOME: &str = "SAPWOOD_TEST_HOLDER_HOME";

fn held_by(journal: &FileJournal) -> Option<Option<u32>> {
    match journal.open(thread(1)) {
        Ok(_) => None,
        Err(OpenError::Held { holder, .. }) => Some(holder.map(|holder| holder.pid)),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_second_open_is_refused_and_names_the_holder() {
    let home = tempfile::tempdir().unwrap();
    let journal = FileJournal::new(home.path().to_owned());
    let other = FileJournal::new(home.path().to_owned());
    let log = journal.create(&new(1), &[paginated(1)]).unwrap();
    let pid = Some(std::process::id());
    let me = Some(pid);
    assert_eq!((held_by(&journal), held_by(&other)), (me, me));
    // Looking needs no lock.
    assert_eq!(other.read(thread(1)).unwrap().bytes(), paginated(1).bytes());
    assert_eq!(other.list(&Filter::default()).unwrap()[0].holder, pid);
    drop(log);
    assert_eq!(other.list(&Filter::default()).unwrap()[0].holder, None);
    let log = other.open(thread(1)).unwrap();
    assert_eq!(held_by(&journal), me);
    drop(log);
    assert_eq!((held_by(&journal), held_by(&other)), (None, None));
}

#[test]
fn another_process_holds_until_it_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let journal = FileJournal::new(home.path().to_owned());
    drop(journal.create(&new(1), &[paginated(1)]).unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_that_holds", "--ignored", "--nocapture"])
        .env(HOME, home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("held")));
    assert_eq!(held_by(&journal), Some(Some(child.id())));
    assert_eq!(journal.list(&Filter::default()).unwrap()[0].holder, Some(child.id()));
    child.kill().unwrap();
    child.wait().unwrap();
    // Its lock file is still there, and means nothing.
    let lock = home.path().join("thread-writer-locks").join(format!("{}.lock", thread(1)));
    assert!(lock.exists());
    assert_eq!(journal.list(&Filter::default()).unwrap()[0].holder, None);
    drop(journal.open(thread(1)).unwrap());
    drop(journal);
    assert!(!lock.exists());
}

#[test]
#[ignore = "run by another_process_holds_until_it_is_killed, in a process of its own"]
fn a_process_that_holds() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let _log = FileJournal::new(home.into()).open(thread(1)).unwrap();
    println!("held");
    // Until killed, or until the one who started us is gone.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn of_many_who_come_and_go_one_holds_a_thread_at_a_time() {
    const THREADS: usize = 3;
    let home = tempfile::tempdir().unwrap();
    let ids: [u8; THREADS] = [1, 2, 3];
    for id in ids {
        drop(FileJournal::new(home.path().to_owned()).create(&new(id), &[paginated(id)]).unwrap());
    }
    let (inside, wins) = (ids.map(|_| AtomicBool::new(false)), ids.map(|_| AtomicUsize::new(0)));
    std::thread::scope(|scope| {
        for first in 0..4 {
            let (home, inside, wins) = (&home, &inside, &wins);
            scope.spawn(move || {
                // A journal each: what keeps them apart is the kernel. Each gives its lock files one name after the other.
                let journal = FileJournal::new(home.path().to_owned());
                for round in 0..300 {
                    let at = (first + round) % THREADS;
                    match journal.open(thread(ids[at])) {
                        Ok(log) => {
                            assert!(!inside[at].swap(true, Ordering::SeqCst), "two hold the lock");
                            log.admit(&[own("x")]).unwrap();
                            inside[at].store(false, Ordering::SeqCst);
                            wins[at].fetch_add(1, Ordering::SeqCst);
                        }
                        Err(OpenError::Held { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
    let journal = FileJournal::new(home.path().to_owned());
    for (id, wins) in ids.into_iter().zip(wins.map(AtomicUsize::into_inner)) {
        assert!(wins >= 4);
        assert_eq!(journal.read(thread(id)).unwrap().lines().count(), 1 + wins);
    }
    assert_eq!(files_below(&home.path().join("thread-writer-locks")), [".coordination.lock"]);
}
