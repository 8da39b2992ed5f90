//! What a home looks like from outside.

mod support;

use std::fs;

use sapwood_rollout::{FileJournal, Journal, Leftover, What};
use support::*;

#[test]
fn locks_and_leftovers_are_told_and_nothing_is_changed() {
    let home = tempfile::tempdir().unwrap();
    let journal = FileJournal::new(home.path().to_owned());
    let held = journal.create(&new(1), &[paginated(1)]).unwrap();
    let mut paths = Vec::new();
    for n in [2, 3, 4] {
        drop(journal.create(&new(n), &[paginated(n)]).unwrap());
        paths.push(file_of(&journal, thread(n)));
    }
    let [good, empty, torn] = &paths[..] else { panic!("three") };
    fs::write(empty, "").unwrap();
    fs::write(torn, [paginated(4).bytes(), &b"{\"ordi"[..]].concat()).unwrap();
    let folder = good.parent().unwrap();
    let unborn = folder.join(format!(".unborn-{}", thread(5)));
    let temporary = home.path().join("models_cache.json.tmp");
    fs::write(&unborn, "x").unwrap();
    fs::write(&temporary, "x").unwrap();
    let stale = home.path().join("thread-writer-locks").join(format!("{}.lock", thread(6)));
    fs::write(stale, "").unwrap();
    let before = files_below(home.path());

    let found = FileJournal::new(home.path().to_owned()).inspect().unwrap();
    let holders: Vec<_> = found.held.iter().map(|(thread, holder)| (*thread, holder.pid)).collect();
    assert_eq!(holders, [(thread(1), std::process::id())]);
    // The fourth is kept for the next thread.
    assert_eq!(found.stale_locks, [thread(4), thread(6)]);
    assert_eq!(found.rollouts, 4);
    let leftover = |what, path: &std::path::Path| Leftover { what, place: path.to_str().unwrap().to_owned() };
    let expected = [
        leftover(What::Unborn, &unborn),
        leftover(What::Temporary, &temporary),
        leftover(What::Empty, empty),
        leftover(What::BrokenTail, torn),
    ];
    assert_eq!(found.leftovers, expected);
    assert_eq!(files_below(home.path()), before);
    drop(held);
}

#[test]
fn names_are_read_through_the_port() {
    let home = tempfile::tempdir().unwrap();
    let journal = FileJournal::new(home.path().to_owned());
    assert!(journal.names().unwrap().is_empty());
    let line =
        format!("{{\"id\":\"{}\",\"thread_name\":\"mine\",\"updated_at\":\"2026-11-21T05:30:57Z\"}}\n", thread(1));
    fs::write(home.path().join("session_index.jsonl"), line).unwrap();
    assert_eq!(journal.names().unwrap().into_iter().collect::<Vec<_>>(), [(thread(1), "mine".to_owned())]);
}
