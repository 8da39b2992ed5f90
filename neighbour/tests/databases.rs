//! Databases as Codex 0.169.0 leaves them, read without a trace.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use sapwood_neighbour::{Found, Queued, Warning, is_there, read};
use sapwood_protocol::own::{Goal, GoalStatus};
use sapwood_protocol::{Millis, ThreadId};
use tempfile::TempDir;

/// The tables as the recorded version makes them.
const GOALS: &str = "CREATE TABLE thread_goals (thread_id TEXT PRIMARY KEY NOT NULL, goal_id TEXT NOT NULL, objective TEXT \
    NOT NULL, status TEXT NOT NULL, token_budget INTEGER, tokens_used INTEGER NOT NULL DEFAULT 0, time_used_seconds \
    INTEGER NOT NULL DEFAULT 0, created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL)";
const QUEUE: &str = "CREATE TABLE queued_items (id TEXT PRIMARY KEY NOT NULL, thread_id TEXT NOT NULL, payload_json TEXT \
    NOT NULL, queue_order INTEGER NOT NULL, created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL)";
const EDGES: &str = "CREATE TABLE thread_spawn_edges (parent_thread_id TEXT NOT NULL, child_thread_id TEXT NOT NULL \
    PRIMARY KEY, status TEXT NOT NULL)";

fn thread(n: u8) -> ThreadId {
    format!("01a1fb6a-a76e-71a2-bd2a-94a0af49bb{n:02x}").parse().unwrap()
}

fn database(home: &TempDir, name: &str, table: &str) -> Connection {
    let connection = Connection::open(home.path().join(name)).unwrap();
    connection.pragma_update(None, "journal_mode", "wal").unwrap();
    connection.execute(table, ()).unwrap();
    connection
}

/// A home with all three; the connections hold what is in their logs.
fn home() -> (TempDir, [Connection; 3]) {
    let home = tempfile::tempdir().unwrap();
    let goals = database(&home, "goals_1.sqlite", GOALS);
    let row = "INSERT INTO thread_goals VALUES (?1, 'g', 'Ship it', 'budget_limited', 5000, 12, 7, 1000, 2000)";
    goals.execute(row, [thread(1).to_string()]).unwrap();
    let queue = database(&home, "queue_1.sqlite", QUEUE);
    for (id, of, order, payload) in [
        ("b", 1, 1, r#"{"UserInput":{"content":[{"type":"text","text":"second"}],"client_id":"m2"}}"#),
        ("a", 1, 0, r#"{"UserInput":{"content":[{"type":"text","text":"first"}],"client_id":"m1"}}"#),
        ("c", 3, 0, r#"{"UserInput":{"content":[{"type":"text","text":"not asked for"}],"client_id":"m3"}}"#),
    ] {
        let row = "INSERT INTO queued_items VALUES (?1, ?2, ?3, ?4, 1, 1)";
        queue.execute(row, (id, thread(of).to_string(), payload, order)).unwrap();
    }
    let edges = database(&home, "state_5.sqlite", EDGES);
    for (child, status) in [(4, "closed"), (5, "open")] {
        let row = "INSERT INTO thread_spawn_edges VALUES (?1, ?2, ?3)";
        edges.execute(row, (thread(1).to_string(), thread(child).to_string(), status)).unwrap();
    }
    (home, [goals, queue, edges])
}

/// Name, content, inode, owner, and time of the last change of everything in a home, the home itself included.
fn everything(home: &Path) -> BTreeMap<String, (Vec<u8>, u64, u32, i64, i64)> {
    let seen = |path: &Path| {
        let about = fs::metadata(path).unwrap();
        let content = if about.is_dir() { Vec::new() } else { fs::read(path).unwrap() };
        (content, about.ino(), about.uid(), about.mtime(), about.mtime_nsec())
    };
    let entries = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path());
    let mut all: BTreeMap<_, _> = entries.map(|path| (path.display().to_string(), seen(&path))).collect();
    all.insert(String::new(), seen(home));
    all
}

fn read_unseen(home: &Path) -> Found {
    let before = everything(home);
    let found = read(home, &[thread(1), thread(2)]);
    let after = everything(home);
    let changed: Vec<_> =
        before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)).collect();
    assert!(changed.is_empty(), "reading changed {changed:?}: {:?}", found.warnings);
    found
}

#[track_caller]
fn assert_whole(found: &Found) {
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    let goal = Goal {
        objective: "Ship it".into(),
        status: GoalStatus::BudgetLimited,
        token_budget: Some(5000),
        tokens_used: 12,
        time_used_seconds: 7,
        created_at: Millis(1000),
        updated_at: Millis(2000),
    };
    let queued = |id: &str, text: &str| Queued { thread: thread(1), id: id.into(), text: text.into() };
    assert_eq!(found.goals, [(thread(1), goal)]);
    assert_eq!(found.queued, [queued("a", "first"), queued("b", "second")]);
    assert_eq!(found.closed, [(thread(1), thread(4))]);
}

/// Another process, as Codex is: SQLite shares what it knows of a file between the connections of one process.
fn beside(home: &TempDir, open: [Connection; 3], statement: &str) -> Child {
    drop(open);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_that_writes", "--ignored", "--nocapture"])
        .env(HOME, home.path())
        .env(STATEMENT, statement)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("there")));
    child
}

const HOME: &str = "SAPWOOD_TEST_NEIGHBOUR_HOME";
const STATEMENT: &str = "SAPWOOD_TEST_NEIGHBOUR_STATEMENT";

#[test]
#[ignore = "run by other tests, in a process of its own"]
fn a_process_that_writes() {
    let Some(home) = std::env::var_os(HOME).map(PathBuf::from) else { return };
    let open = ["goals_1", "queue_1", "state_5"].map(|name| {
        let connection = Connection::open(home.join(format!("{name}.sqlite"))).unwrap();
        // Into the log, and nothing else: the database itself is as it was.
        let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap();
        connection.pragma_update(None, "user_version", version + 1).unwrap();
        connection
    });
    open[1].execute_batch(&std::env::var(STATEMENT).unwrap()).unwrap();
    println!("there");
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn with_codex_there_everything_in_its_logs_is_read() {
    let (home, open) = home();
    let later = format!(
        "INSERT INTO queued_items VALUES ('d', '{}', '{{\"UserInput\":{{\"content\":[]}}}}', 9, 1, 1)",
        thread(1)
    );
    let codex = beside(&home, open, &later);
    assert!(home.path().join("goals_1.sqlite-shm").exists());
    let mut found = read_unseen(home.path());
    assert_eq!(found.queued.pop().map(|queued| queued.id), Some("d".into()));
    assert_whole(&found);
    end(codex);
}

#[test]
fn while_codex_writes_what_was_committed_is_read() {
    let (home, open) = home();
    let codex = beside(&home, open, "BEGIN IMMEDIATE; DELETE FROM queued_items");
    assert_whole(&read_unseen(home.path()));
    end(codex);
}

#[test]
fn after_a_clean_end_there_is_no_log() {
    let (home, open) = home();
    drop(open);
    assert!(!home.path().join("goals_1.sqlite-wal").exists());
    assert_whole(&read_unseen(home.path()));
}

/// Copies a home as it is: what a process leaves that is killed.
fn killed(with_index: bool) -> TempDir {
    let (home, open) = home();
    let left = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(home.path()).unwrap() {
        let entry = entry.unwrap();
        if with_index || !entry.path().to_str().unwrap().ends_with("-shm") {
            fs::copy(entry.path(), left.path().join(entry.file_name())).unwrap();
        }
    }
    drop(open);
    left
}

#[test]
fn after_a_kill_the_log_is_read_with_its_index_and_without() {
    for with_index in [true, false] {
        let left = killed(with_index);
        assert!(left.path().join("goals_1.sqlite-wal").metadata().unwrap().len() > 0);
        assert_whole(&read_unseen(left.path()));
    }
}

#[test]
fn a_home_without_databases_has_nothing_to_say() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("logs_2.sqlite"), "").unwrap();
    assert!(!is_there(home.path()));
    let found = read_unseen(home.path());
    assert!(found.goals.is_empty() && found.queued.is_empty() && found.closed.is_empty() && found.warnings.is_empty());
}

#[test]
fn each_database_that_cannot_be_read_is_named_and_the_others_are_read() {
    // A newer version, another schema, and no database at all.
    let (home, open) = home();
    drop(open);
    let at = |name: &str| home.path().join(name);
    fs::write(at("goals_2.sqlite"), "").unwrap();
    fs::write(
        at("queue_1.sqlite"),
        "this is no database, and is longer than the head of one would be: 100 bytes ...........",
    )
    .unwrap();
    Connection::open(at("state_5.sqlite"))
        .unwrap()
        .execute_batch("ALTER TABLE thread_spawn_edges RENAME TO other")
        .unwrap();
    assert!(is_there(home.path()));
    let found = read_unseen(home.path());
    assert!(found.goals.is_empty() && found.queued.is_empty() && found.closed.is_empty());
    let warnings = &found.warnings[..];
    assert!(
        matches!(warnings, [Warning::Newer { .. }, Warning::Unreadable { .. }, Warning::Schema { .. }]),
        "{warnings:?}"
    );
    for (warning, name) in warnings.iter().zip(["goals_2.sqlite", "queue_1.sqlite", "state_5.sqlite"]) {
        assert!(warning.to_string().contains(at(name).to_str().unwrap()), "{warning}");
    }
}

#[test]
fn a_locked_database_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    // As `migrate-nfs-db` leaves it: no log, but a journal while somebody writes.
    let goals = Connection::open(home.path().join("goals_1.sqlite")).unwrap();
    goals.execute(GOALS, ()).unwrap();
    goals
        .execute_batch(
            "PRAGMA cache_size = 0; BEGIN EXCLUSIVE; INSERT INTO thread_goals VALUES ('t','g','o','active',1,1,1,1,1)",
        )
        .unwrap();
    assert!(home.path().join("goals_1.sqlite-journal").exists());
    let found = read_unseen(home.path());
    assert!(matches!(found.warnings[..], [Warning::Locked { .. }]), "{:?}", found.warnings);
}

#[test]
fn a_row_that_says_something_unknown_is_passed_over_alone() {
    let (home, open) = home();
    let [goals, queue, _] = &open;
    goals.execute("UPDATE thread_goals SET status = 'dreaming'", ()).unwrap();
    queue.execute("UPDATE queued_items SET payload_json = '{\"Later\":{}}' WHERE id = 'a'", ()).unwrap();
    drop(open);
    let found = read_unseen(home.path());
    assert!(found.goals.is_empty());
    assert_eq!(found.queued.iter().map(|queued| &*queued.id).collect::<Vec<_>>(), ["b"]);
    let text: Vec<String> = found.warnings.iter().map(ToString::to_string).collect();
    assert!(text[0].contains("the unknown status `dreaming`"), "{text:?}");
    assert!(text[1].contains("its queued message a is not known"), "{text:?}");
}

#[test]
fn of_more_messages_than_are_read_the_rest_is_told() {
    let (home, [_goals, queue, _edges]) = home();
    let many = format!(
        "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n LIMIT 300) INSERT INTO queued_items \
         SELECT 'n' || i, '{}', '{{\"UserInput\":{{\"content\":[{{\"type\":\"text\",\"text\":\"x\"}}]}}}}', i, 1, 1 FROM n",
        thread(1)
    );
    queue.execute(&many, ()).unwrap();
    drop(queue);
    let found = read(home.path(), &[thread(1)]);
    assert_eq!(found.queued.len(), 256);
    assert!(found.warnings[0].to_string().contains("more than 256 queued messages"), "{:?}", found.warnings);
}
