//! Files in Codex's layout, and Codex's own.

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use sapwood_protocol::{Line, Millis, ThreadId};
use sapwood_rollout::{AppendError, FileJournal, Filter, Journal, NewThread, OpenError};
use support::*;

fn journal(home: &tempfile::TempDir) -> FileJournal {
    FileJournal::new(home.path().to_owned())
}

/// A name in the layout; the folder is made.
fn place(home: &tempfile::TempDir, day: &str, stamp: &str, id: &str) -> std::path::PathBuf {
    let folder = home.path().join("sessions").join(day);
    fs::create_dir_all(&folder).unwrap();
    folder.join(format!("rollout-{stamp}-{id}"))
}

#[test]
fn a_new_rollout_has_codex_s_name_and_is_private() {
    let home = tempfile::tempdir().unwrap();
    let journal = journal(&home);
    let log = journal.create(&new(1), &[paginated(1), event(Some(1), "x")]).unwrap();
    let files = files_below(home.path());
    let [rollout, coordination, lock] = &files[..] else { panic!("{files:?}") };
    let name = rollout.rsplit('/').next().unwrap();
    // The day and hour are local.
    assert_eq!(rollout.split('/').count(), 5);
    assert!(name.starts_with("rollout-2026-11-2") && name.ends_with(&format!("-{}.jsonl", thread(1))), "{name}");
    assert_eq!(coordination, "thread-writer-locks/.coordination.lock");
    assert_eq!(*lock, format!("thread-writer-locks/{}.lock", thread(1)));
    let mode = |path: &str| fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(rollout), mode(lock)), (0o600, 0o600));
    assert_eq!((mode("sessions"), mode("sessions/2026"), mode("thread-writer-locks")), (0o700, 0o700, 0o700));
    drop((log, journal));
    assert_eq!(files_below(home.path()), [rollout.clone(), coordination.clone()]);
}

#[test]
fn codex_s_rollouts_open_where_they_end() {
    let home = home_of(&[
        "01-simple-turn-paginated",
        "01-simple-turn-legacy",
        "04-multi-agent-v2",
        "07-fork-paginated",
        "09-truncated-tail-paginated",
    ]);
    let journal = journal(&home);
    let entries = journal.list(&Filter::default()).unwrap();
    assert_eq!(entries.len(), 9);
    for entry in entries {
        let before = fs::read(&entry.place).unwrap();
        let last = readable(&before).pop().unwrap();
        let last: serde_json::Value = serde_json::from_str(&last).unwrap();
        let log = journal.open(entry.thread).unwrap();
        assert_eq!(log.next_ordinal(), last["ordinal"].as_u64().map(|n| n + 1), "{}", entry.place);
        log.admit(&[own("x")]).unwrap();
        // Codex numbers from its own last line, and so do we after lines of ours.
        drop(log);
        let log = journal.open(entry.thread).unwrap();
        assert_eq!(log.next_ordinal(), last["ordinal"].as_u64().map(|n| n + 1));
        assert_eq!(log.read().unwrap().bytes(), &[before, own("x").bytes().to_vec()].concat());
    }
}

#[test]
fn a_truncated_tail_is_ended_as_codex_ends_it() {
    for (name, next) in [("09-truncated-tail-paginated", Some(22)), ("09-truncated-tail-legacy", None)] {
        let home = home_of(&[name]);
        let journal = journal(&home);
        let entry = journal.list(&Filter::default()).unwrap().pop().unwrap();
        let before = fs::read(fixtures().join(name).join("snap/before-resume.jsonl")).unwrap();
        let after = fs::read(fixtures().join(name).join("snap/after-resume.jsonl")).unwrap();
        fs::write(&entry.place, &before).unwrap();
        let log = journal.open(entry.thread).unwrap();
        // The ordinal of the broken line is used again.
        assert_eq!(log.next_ordinal(), next);
        let repaired = fs::read(&entry.place).unwrap();
        assert_eq!(repaired, [&before[..], b"\n"].concat());
        assert!(after.starts_with(&repaired));
    }
}

#[test]
fn an_unknown_history_mode_is_listed_and_read_but_never_written() {
    let home = home_of(&["12-history-mode-unknown"]);
    let journal = journal(&home);
    let entry = journal.list(&Filter::default()).unwrap().pop().unwrap();
    assert_eq!(entry.cwd.as_deref(), Some("/workspace/12-history-mode-unknown/work"));
    let note = entry.error.unwrap();
    assert!(note.contains("has the history mode `future_mode`, which this version cannot write"), "{note}");
    let before = fs::read(&entry.place).unwrap();
    assert_eq!(journal.read(entry.thread).unwrap().bytes(), &before);
    assert!(journal.tail(entry.thread, 2000).unwrap().lines().count() > 0);
    for _ in 0..2 {
        let Err(OpenError::HistoryMode { mode, .. }) = journal.open(entry.thread) else { panic!() };
        assert_eq!(mode, "future_mode");
    }
    assert_eq!(fs::read(&entry.place).unwrap(), before);
    drop(journal);
    assert_eq!(files_below(&home.path().join("thread-writer-locks")), [".coordination.lock"]);
}

#[test]
fn a_list_tells_trees_and_shows_what_is_broken() {
    let home = home_of(&["04-multi-agent-v2", "04-multi-agent-v1"]);
    let day = "2026/11/21";
    let stamp = "2026-11-21T09-00-00";
    let broken = |n: u8, content: &[u8]| {
        fs::write(place(&home, day, stamp, &format!("{}.jsonl", thread(n))), content).unwrap();
    };
    broken(1, b"");
    broken(2, b"{\"timestamp\":\n");
    broken(3, event(Some(0), "x").bytes());
    broken(4, paginated(9).bytes());
    broken(5, &vec![b' '; 1024 * 1024 + 1]);
    fs::write(place(&home, day, stamp, &format!("{}.jsonl.zst", thread(6))), b"\x28\xb5\x2f\xfd").unwrap();
    fs::write(place(&home, day, stamp, "notes.txt"), b"not ours").unwrap();
    let journal = journal(&home);
    let all = journal.list(&Filter::default()).unwrap();
    let errors: Vec<_> = all.iter().filter_map(|e| Some((e.thread, e.error.clone()?))).collect();
    let expected = [
        (6, "it is compressed (zstd), which this version does not read; `unzstd --rm` makes it readable".to_owned()),
        (5, "its first line is longer than 1048576 bytes".to_owned()),
        (4, format!("its first line belongs to thread {}", thread(9))),
        (3, "its first line is a `event_msg` and no `session_meta`".to_owned()),
        (2, "its first line is not a rollout line: EOF while parsing a value at line 2 column 0".to_owned()),
        (1, "it is empty".to_owned()),
    ];
    assert_eq!(errors, expected.map(|(n, error)| (thread(n), error)));
    assert_eq!(all.len(), 12);
    assert!(all.is_sorted_by_key(|e| std::cmp::Reverse((e.created, e.thread))));
    assert!(matches!(journal.open(thread(6)), Err(OpenError::Corrupt { .. })));
    assert!(matches!(journal.read(thread(6)), Err(OpenError::Corrupt { .. })));
    assert!(matches!(journal.open(thread(1)), Err(OpenError::Corrupt { .. })));

    let root: ThreadId = "01a1fb6a-a76e-71a2-bd2a-94a0af49bbef".parse().unwrap();
    let tree = journal.list(&Filter { session: Some(root.into()), roots: false }).unwrap();
    let view = |e: &sapwood_rollout::Entry| {
        (e.path.as_ref().map(ToString::to_string), e.nickname.clone(), e.parent.is_some(), e.created)
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        tree.iter().map(view).collect::<Vec<_>>(),
        [
            (text("/root/beta"), text("McClintock"), true, Millis(1_795_219_433_404)),
            (text("/root/alpha"), text("Faraday"), true, Millis(1_795_219_433_390)),
            (None, None, false, Millis(1_795_219_433_329)),
        ]
    );
    assert_eq!(journal.list(&Filter { session: Some(root.into()), roots: true }).unwrap().len(), 1);
}

#[test]
fn the_newest_segment_of_a_thread_is_the_thread() {
    let home = tempfile::tempdir().unwrap();
    let (id, old, new) = (thread(1), thread(7), thread(8));
    let write = |day, stamp, name: String, text: &str| {
        let meta = paginated(1);
        fs::write(place(&home, day, stamp, &name), joined(&[meta, event(Some(1), text)])).unwrap();
    };
    write("2026/11/20", "2026-11-20T23-59-59", format!("{id}.jsonl"), "first");
    write("2026/11/21", "2026-11-21T00-00-01", format!("{id}_{old}.jsonl"), "second");
    write("2026/11/21", "2026-11-21T00-00-01", format!("{id}_{new}.jsonl"), "third");
    let journal = journal(&home);
    let read = |journal: &FileJournal| readable(journal.read(id).unwrap().bytes())[1].clone();
    assert!(read(&journal).contains("third"));
    assert_eq!(journal.list(&Filter::default()).unwrap().len(), 1);
    // One that appears later is seen with the next list.
    write("2026/11/22", "2026-11-22T00-00-01", format!("{id}_{old}.jsonl"), "fourth");
    journal.list(&Filter::default()).unwrap();
    assert!(read(&journal).contains("fourth"));
}

#[test]
fn archived_rollouts_are_found_and_read_only() {
    let home = home_of(&["01-simple-turn-paginated"]);
    let journal = journal(&home);
    let entry = journal.list(&Filter::default()).unwrap().pop().unwrap();
    let archive = home.path().join("archived_sessions");
    fs::create_dir(&archive).unwrap();
    let name = std::path::Path::new(&entry.place).file_name().unwrap();
    fs::rename(&entry.place, archive.join(name)).unwrap();
    // The place that was remembered is gone; the rollout is found again.
    assert!(journal.read(entry.thread).unwrap().lines().count() > 20);
    assert!(journal.list(&Filter::default()).unwrap().is_empty());
    let Err(error) = journal.open(entry.thread) else { panic!() };
    assert!(error.to_string().contains("archived"), "{error}");
    let again = NewThread { thread: entry.thread, created: NOW };
    let mut meta: serde_json::Value = serde_json::from_slice(paginated(1).bytes()).unwrap();
    meta["payload"]["id"] = entry.thread.to_string().into();
    let line = Line::from_bytes(meta.to_string().into_bytes().into());
    assert!(matches!(journal.create(&again, &[line]), Err(OpenError::Exists { .. })));
    fs::rename(archive.join(name), &entry.place).unwrap();
    journal.open(entry.thread).unwrap();
}

#[test]
fn the_same_thread_is_not_made_twice_under_another_name() {
    let home = tempfile::tempdir().unwrap();
    drop(journal(&home).create(&new(1), &[paginated(1)]).unwrap());
    let later = NewThread { thread: thread(1), created: NOW.plus(86_400_000) };
    assert!(matches!(journal(&home).create(&later, &[paginated(1)]), Err(OpenError::Exists { .. })));
    let other = journal(&home);
    assert!(matches!(other.create(&new(1), &[paginated(1)]), Err(OpenError::Exists { .. })));
    drop(other);
    assert_eq!(files_below(home.path()).len(), 2);
}

#[test]
fn a_rollout_that_cannot_be_made_leaves_nothing_to_be_seen() {
    let home = tempfile::tempdir().unwrap();
    let journal = journal(&home);
    drop(journal.create(&new(1), &[paginated(1)]).unwrap());
    let folder = file_of(&journal, thread(1)).parent().unwrap().to_owned();
    // What a process left that was killed while it made the rollout is no rollout, and in nobody's way.
    fs::write(folder.join(format!(".unborn-{}", thread(2))), b"{\"half").unwrap();
    assert_eq!(journal.list(&Filter::default()).unwrap().len(), 1);
    drop(journal.create(&new(2), &[paginated(2)]).unwrap());
    assert_eq!(journal.read(thread(2)).unwrap().bytes(), paginated(2).bytes());
    assert_eq!(files_below(&folder).len(), 2);

    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, b"a file where the folder of the day should be").unwrap();
    let Err(error) = journal.create(&new(3), &[paginated(3)]) else { panic!() };
    assert!(matches!(error, OpenError::Storage { action: "create", full: false, .. }), "{error}");
    fs::remove_file(&folder).unwrap();
    assert!(matches!(journal.open(thread(3)), Err(OpenError::NotFound { .. })));
    // Nor is the lock of a thread that was not made left behind.
    drop(journal);
    assert_eq!(files_below(&home.path().join("thread-writer-locks")), [".coordination.lock"]);
}

#[test]
fn nobody_ever_sees_a_part_of_a_new_rollout() {
    let home = tempfile::tempdir().unwrap();
    let journal = journal(&home);
    drop(journal.create(&new(255), &[paginated(255)]).unwrap());
    let folder = file_of(&journal, thread(255)).parent().unwrap().to_owned();
    let done = AtomicBool::new(false);
    let text = "x".repeat(100_000);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looks = 0;
            while !done.load(Ordering::Relaxed) || looks == 0 {
                looks += 1;
                for entry in fs::read_dir(&folder).unwrap().flatten() {
                    if !entry.file_name().to_str().unwrap().starts_with("rollout-") {
                        continue;
                    }
                    let len = entry.metadata().unwrap().len();
                    assert!(len > 100_000 || entry.path() == file_of(&journal, thread(255)), "{len} bytes");
                }
            }
        });
        for n in 0..100 {
            drop(journal.create(&new(n), &[paginated(n), event(Some(1), &text)]).unwrap());
        }
        done.store(true, Ordering::Relaxed);
        watcher.join().unwrap();
    });
}

#[test]
fn lines_of_another_program_make_the_incarnation_fold_again() {
    let home = tempfile::tempdir().unwrap();
    let journal = journal(&home);
    let log = journal.create(&new(1), &[paginated(1)]).unwrap();
    let epoch = log.fence();
    let path = file_of(&journal, thread(1));
    let intrude = |line: &Line| {
        OpenOptions::new().append(true).open(&path).unwrap().write_all(line.bytes()).unwrap();
    };
    intrude(&event(Some(1), "theirs"));
    let mine = |n| [event(Some(n), "mine")];
    let expected = |result| match result {
        Err(AppendError::Ordinal { expected, .. }) => expected,
        other => panic!("{other:?}"),
    };
    assert_eq!(expected(log.append(epoch, Some(1), &mine(1))), Some(2));
    assert_eq!(readable(log.read().unwrap().bytes()).len(), 2);
    log.append(epoch, Some(2), &mine(2)).unwrap();
    // An admission commutes with what others wrote; the incarnation is told all the same, even by the same ordinal.
    intrude(&own("theirs"));
    log.admit(&[own("ours")]).unwrap();
    assert_eq!(expected(log.append(epoch, Some(3), &mine(3))), Some(3));
    log.append(epoch, Some(3), &mine(3)).unwrap();
    // A tail that they broke is ended before our next line.
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"half\":").unwrap();
    log.admit(&[own("after")]).unwrap();
    let all = [paginated(1), event(Some(1), "theirs"), event(Some(2), "mine"), own("theirs"), own("ours")];
    let all = [&all[..], &[event(Some(3), "mine"), own("after")]].concat();
    assert_eq!(readable(log.read().unwrap().bytes()), texts(&all));

    fs::remove_file(&path).unwrap();
    let Err(AppendError::Storage { why, .. }) = log.admit(&[own("lost")]) else { panic!() };
    assert_eq!(why, "the file was deleted while it was open");
}

#[test]
fn a_full_disk_is_said_and_survived() {
    let mount = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(mount.path())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        // Past the capture of the test harness: nobody is to believe that it ran.
        writeln!(std::io::stderr(), "SKIPPED a_full_disk_is_said_and_survived: no tmpfs can be mounted here").unwrap();
        return;
    }
    struct Unmount<'a>(&'a std::path::Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(mount.path());
    let journal = journal(&mount);
    let log = journal.create(&new(1), &[paginated(1)]).unwrap();
    let epoch = log.fence();
    let big = "x".repeat(30_000);
    let mut written = vec![paginated(1)];
    let mut next = 1;
    let error = loop {
        let lines = [event(Some(next), &big), event(Some(next + 1), &big)];
        match log.append(epoch, Some(next), &lines) {
            Ok(_) => written.extend(lines),
            Err(error) => break error,
        }
        next += 2;
    };
    assert!(matches!(error, AppendError::Storage { full: true, .. }), "{error}");
    // With no room for a new rollout either, none is seen.
    let Err(error) = journal.create(&new(2), &[paginated(2), event(Some(1), &big)]) else { panic!() };
    assert!(matches!(error, OpenError::Storage { full: true, .. }), "{error}");
    assert_eq!(journal.list(&Filter::default()).unwrap().len(), 1);

    let remount = ["-o", "remount,size=1m"];
    assert!(Command::new("mount").args(remount).arg(mount.path()).status().unwrap().success());
    let epoch = log.fence();
    let next = log.next_ordinal().unwrap();
    log.append(epoch, Some(next), &[event(Some(next), "after")]).unwrap();
    let lines = readable(log.read().unwrap().bytes());
    let ordinals: Vec<u64> = lines
        .iter()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["ordinal"].as_u64().unwrap())
        .collect();
    assert_eq!(ordinals, (0..=next).collect::<Vec<_>>());
    assert!(lines.starts_with(&texts(&written)) && lines.last().unwrap().contains("after"));
}

/// Codex does not read a fork's first line that does not say where in the file of its source its part ends.
#[test]
fn a_fork_says_where_in_the_file_of_its_source_its_part_ends() {
    let home = tempfile::tempdir().unwrap();
    let journal = journal(&home);
    let fork = |n: u8, source: u8, end: u64| {
        let base = serde_json::json!({"thread_id": thread(source), "end_ordinal_exclusive": end});
        let meta = serde_json::json!({"id": thread(n), "cwd": "/", "history_mode": "paginated", "history_base": base});
        Line::encode(NOW, Some(end), "session_meta", &meta, None)
    };
    let source = [paginated(1), event(Some(1), "a"), own("x"), event(Some(2), "b"), own("y"), event(Some(3), "c")];
    drop(journal.create(&new(1), &source).unwrap());
    let log = journal.create(&new(2), &[fork(2, 1, 3), event(Some(4), "own")]).unwrap();
    let said = |log: &std::sync::Arc<dyn sapwood_rollout::Log>| -> serde_json::Value {
        let first = log.read().unwrap().lines().next().unwrap();
        let mut line: serde_json::Value = serde_json::from_slice(first.bytes()).unwrap();
        line["payload"]["history_base"].take()
    };
    let expected = joined(&source[..4]).len();
    let base = serde_json::json!({"thread_id": thread(1), "end_ordinal_exclusive": 3, "end_byte_offset": expected});
    assert_eq!(said(&log), base);
    assert_eq!((log.next_ordinal(), log.read().unwrap().lines().count()), (Some(5), 2));

    // A source that is gone, or that has nothing before the end: nothing is made.
    for (fork, why) in [(fork(3, 9, 3), "cannot be read"), (fork(3, 1, 0), "has no line before ordinal 0")] {
        let Err(OpenError::Corrupt { why: said, .. }) = journal.create(&new(3), &[fork]) else { panic!("{why}") };
        assert!(said.contains(why), "{said}");
        assert!(matches!(journal.read(thread(3)), Err(OpenError::NotFound { .. })));
    }
}
