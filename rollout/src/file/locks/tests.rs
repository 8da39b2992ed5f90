use std::io::Read;
use std::process::{Command, Stdio};

use super::*;

/// The process that took the lock is gone, and one that has its file lives on, for a moment or for longer.
#[test]
fn a_lock_that_a_dead_process_left_to_its_child_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let thread: ThreadId = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef".parse().unwrap();
    let locks = Arc::new(Locks::new(folder.path().to_owned()));
    let path = folder.path().join(format!("{thread}.lock"));
    let mut heir = Command::new("bash")
        .args(["-c", "exec 9>>\"$0\" && flock -x 9 && echo && exec cat"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    heir.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    let refused = locks.acquire(thread).err();
    assert!(matches!(refused, Some(OpenError::Held { thread: held, .. }) if held == thread), "{refused:?}");
    let stdin = heir.stdin.take();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(stdin));
        assert!(locks.acquire(thread).is_ok());
    });
    heir.wait().unwrap();
}

fn threads() -> [ThreadId; 2] {
    ["01a1fb6a-a76e-71a2-bd2a-94a0af49bb01", "01a1fb6a-a76e-71a2-bd2a-94a0af49bb02"].map(|id| id.parse().unwrap())
}

fn inode(locks: &Locks, thread: ThreadId) -> Option<Identity> {
    locks.files().get(&thread).map(identity)
}

#[test]
fn the_next_thread_gets_the_file_of_a_lock_that_was_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = threads();
    let locks = Arc::new(Locks::new(folder.path().to_owned()));
    let held = locks.acquire(a).unwrap();
    let file = inode(&locks, a);
    let long_ago = Timespec { tv_sec: 1, tv_nsec: 0 };
    futimens(&held.file, &Timestamps { last_access: long_ago, last_modification: long_ago }).unwrap();
    drop(held);
    let held = locks.acquire(b).unwrap();
    assert_eq!((inode(&locks, a), inode(&locks, b)), (None, file));
    assert!(millis(&locks.files()[&b]) > Millis(1_000_000), "it says since when it is held");
    assert!(matches!(Arc::new(Locks::new(folder.path().to_owned())).acquire(b), Err(OpenError::Held { .. })));
    drop((held, locks));
    assert!(Locks::new(folder.path().to_owned()).files().is_empty());
}

#[test]
fn a_file_that_another_program_took_meanwhile_is_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = threads();
    let [locks, others] = [(); 2].map(|()| Arc::new(Locks::new(folder.path().to_owned())));
    drop(locks.acquire(a).unwrap());
    let held = others.acquire(a).unwrap();
    let file = inode(&locks, a);
    let mine = locks.acquire(b).unwrap();
    assert_eq!(inode(&locks, a), file);
    drop((mine, locks));
    assert_eq!((inode(&others, a), inode(&others, b)), (file, None));
    drop(held);
    // A file of the new name that nobody holds is taken as it is, and the spare one goes.
    File::create(folder.path().join(format!("{b}.lock"))).unwrap();
    let found = inode(&others, b);
    let _held = others.acquire(b).unwrap();
    assert_eq!((inode(&others, a), inode(&others, b)), (None, found));
}

#[test]
fn no_more_than_so_many_files_are_spare() {
    let folder = tempfile::tempdir().unwrap();
    let locks = Arc::new(Locks::new(folder.path().to_owned()));
    let thread = |n: usize| format!("01a1fb6a-a76e-71a2-bd2a-{n:012x}").parse().unwrap();
    let held: Vec<_> = (0..SPARES + 3).map(|n| locks.acquire(thread(n)).unwrap()).collect();
    drop(held);
    assert_eq!(locks.files().len(), SPARES);
}

#[test]
fn a_lock_of_a_file_that_lost_its_name_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.lock");
    let mut rounds = 0;
    let taken = take(&path, || {
        rounds += 1;
        match rounds {
            1 => fs::remove_file(&path).unwrap(),
            2 => {
                fs::remove_file(&path).unwrap();
                File::create(&path).unwrap();
            }
            _ => {}
        }
    });
    let Taken::Ours(file) = taken.unwrap() else { panic!("nobody else is here") };
    assert_eq!((rounds, is_same(&file, &path).unwrap()), (3, true));
    assert!(matches!(take(&path, || ()).unwrap(), Taken::Held(_)));
}

#[test]
fn a_coordination_lock_that_is_never_given_back_stops_nobody_for_long() {
    let folder = tempfile::tempdir().unwrap();
    let locks = Locks::new(folder.path().to_owned());
    let _held = locks.coordinate().unwrap();
    assert_eq!(locks.coordinate().unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[test]
fn lines_of_proc_locks() {
    let held = ((makedev(8, 0x1f), 5678), 1234);
    assert_eq!(parse_lock("1: FLOCK  ADVISORY  WRITE 1234 08:1f:5678 0 EOF"), Some(held));
    assert_eq!(parse_lock("1: -> FLOCK  ADVISORY  WRITE 1235 08:1f:5678 0 EOF"), None);
    assert_eq!(parse_lock("2: POSIX  ADVISORY  WRITE 1234 08:1f:5678 0 EOF"), None);
    // A holder in another process namespace.
    assert_eq!(parse_lock("3: FLOCK  ADVISORY  WRITE 0 08:1f:5678 0 EOF"), None);
    assert_eq!(parse_lock(""), None);
}
