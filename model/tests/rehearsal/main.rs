//! The rehearsal against real shell commands in real directories: its sums are those of the files, whatever breaks.

mod repo;
mod runtime;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use repo::{Repo, Sum};
use runtime::{Broken, Faults, Runtime};

/// The sums that an answer states.
fn stated(answer: &str) -> Sum {
    let line = answer.lines().find(|line| line.ends_with(" bytes.") && line.contains(" files, ")).expect(answer);
    let numbers: Vec<u64> = line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    (numbers[0], numbers[1], numbers[2])
}

/// The sums that an answer states for one row of its first table, and who counted.
fn row<'t>(answer: &'t str, name: &str) -> Option<(Sum, &'t str)> {
    let cells = answer.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let row = cells.into_iter().find(|cells| cells.len() == 8 && cells[1] == name)?;
    let number = |i: usize| row[i].parse::<u64>().unwrap();
    Some(((number(2), number(3), number(4)), row[6]))
}

fn map(repo: &Repo, faults: Faults) -> (String, Vec<String>) {
    let mut runtime = Runtime::new(repo, faults);
    let answer = runtime.run(Some("Map this repository"));
    (answer, runtime.calls)
}

fn check(repo: &Repo, faults: Faults) -> String {
    let (answer, _) = map(repo, faults);
    let (all, by_folder) = repo.sums();
    assert_eq!(stated(&answer), all, "{answer}");
    assert!(!answer.contains("Missing"), "{answer}");
    assert!(answer.contains("no language model") && answer.contains("model_provider"));
    for (folder, sum) in by_folder {
        let name = folder.map(|folder| format!("`{}/`", folder.display()));
        if let Some((stated, _)) = name.and_then(|name| row(&answer, &name)) {
            assert_eq!(stated, sum);
        }
    }
    answer
}

fn small() -> Repo {
    let repo = Repo::git();
    repo.write("README.md", "a\nb\n");
    repo.write("src/main.rs", "fn main() {}\n");
    repo.write("src/deep/lib.rs", "\n\n\n");
    repo.write("docs/a.md", "x");
    repo.write("docs/b.md", "y\n");
    repo.write("docs/c.md", "z\n");
    repo.write("tests/t.py", "pass\n");
    repo.add();
    repo
}

fn odd(repo: &Repo) {
    repo.write("top", "no newline");
    repo.write("with blanks in it/a  b c.rs", "one\ntwo\n");
    repo.write("with blanks in it/crlf.txt", "a\r\nb\r\n\r\n");
    repo.write("it's \"quoted\" $HOME `x` \\n *?[a]/f's.py", "1\n2\n3");
    repo.write("-n/--help", "dash\n");
    repo.write("binary/b.bin", [0u8, 10, 255, 10, 13, 0]);
    repo.write("binary/image.png", (0..=255u8).cycle().take(70_000).collect::<Vec<_>>());
    repo.write("new\nline/x\ny.rs", "1\n");
    repo.write("src/1 1 .\n 5 5 ./fake.rs", "1\n2\n");
    repo.write("src/tab\tand\\back.c", "1\n\n");
    repo.write("src/total", "1\n2\n3\n");
    repo.write("src/empty.rs", "");
    repo.write("src/no_newline.rs", "x");
    repo.write(".hidden/.gitignore", "*.o\n");
    repo.write("ünïcode/ö.ts", "1\n2\n");
    repo.write(OsStr::from_bytes(b"latin\xe9/\xff.js"), "1\n");
    symlink("main.rs", repo.dir().join("src/link.rs")).unwrap();
    symlink("nowhere", repo.dir().join("src/dangling.rs")).unwrap();
    symlink("../binary", repo.dir().join("src/to_folder")).unwrap();
    repo.write("src/main.rs", "fn main() {\n}\n");
}

#[test]
fn odd_names_in_a_git_repository() {
    let repo = Repo::git();
    odd(&repo);
    repo.write("src/deleted.rs", "gone\n");
    repo.add();
    std::fs::remove_file(repo.dir().join("src/deleted.rs")).unwrap();
    repo.write("src/not added.rs", "not listed\n");
    // A submodule, as the index has it.
    let id = "160000,0123456789012345678901234567890123456789,binary/sub";
    repo.run("git", &["update-index", "--add", "--cacheinfo", id]);
    std::fs::create_dir(repo.dir().join("binary/sub")).unwrap();
    let answer = check(&repo, Faults::default());
    assert!(answer.contains("2 submodules or links to folders, 1 links to nothing, 1 deleted"), "{answer}");
    assert_eq!(row(&answer, "`src/`").unwrap().1, "/root/map_src");
    assert_eq!(row(&answer, "`-n/`").unwrap(), ((1, 1, 5), "/root/map_n"));
    assert!(row(&answer, "all other files").unwrap().0.0 >= 3);
}

#[test]
fn odd_names_without_git() {
    let repo = Repo::plain();
    odd(&repo);
    let answer = check(&repo, Faults::default());
    assert!(answer.contains("There is no git repository here"), "{answer}");
}

#[test]
fn a_child_of_each_folder_and_the_tools_in_order() {
    let repo = small();
    let (answer, calls) = map(&repo, Faults::default());
    let expected = "exec_command spawn_agent spawn_agent spawn_agent exec_command wait_agent wait_agent wait_agent";
    assert_eq!(calls.join(" "), expected);
    assert!(answer.contains("Agents that worked: 4, the root and /root/map_docs, /root/map_src, /root/map_tests."));
    assert_eq!(row(&answer, "`src/`").unwrap(), ((2, 4, 16), "/root/map_src"));
    assert_eq!(row(&answer, "all other files").unwrap(), ((1, 2, 4), "the root"));
    assert_eq!(row(&answer, "Total").unwrap().0, repo.sums().0);
}

#[test]
fn nothing_to_count() {
    for repo in [Repo::git(), Repo::plain()] {
        let answer = check(&repo, Faults::default());
        assert_eq!(stated(&answer), (0, 0, 0));
        assert!(answer.contains("the root alone"));
    }
}

#[test]
fn a_part_of_a_repository() {
    let mut repo = small();
    repo.write("src/new/x.rs", "1\n");
    repo.add();
    repo.enter("src");
    let answer = check(&repo, Faults::default());
    assert_eq!(stated(&answer), (3, 5, 18));
    assert_eq!(row(&answer, "`deep/`").unwrap(), ((1, 3, 3), "/root/map_deep"));
}

#[test]
fn many_files_in_many_folders() {
    let repo = Repo::git();
    for i in 0..1000 {
        repo.write(format!("folder {}/sub/file {i}.{}", i % 12, ["rs", "py", "weird_end"][i % 3]), "x\n".repeat(i % 7));
    }
    for i in 0..400 {
        repo.write(format!("folder 0/e/f.end{i}"), "1\n2");
    }
    repo.add();
    let answer = check(&repo, Faults::default());
    assert!(answer.contains("Agents that worked: 9, "), "{answer}");
    assert_eq!(row(&answer, "`folder 0/`").unwrap().0.0, 484);
}

#[test]
fn without_some_tools() {
    let repo = small();
    let without = |tools: &[&'static str]| Faults { without: tools.to_vec(), ..Faults::default() };
    let answer = check(&repo, without(&["*"]));
    assert!(answer.contains("the root alone"), "{answer}");
    let answer = check(&repo, without(&["wait_agent"]));
    assert!(answer.contains("Agents that worked: 4"), "{answer}");
    let broken = Faults { waits: vec!["unsupported call: wait_agent"; 3].into(), ..Faults::default() };
    assert!(check(&repo, broken).contains("Agents that worked: 4"));
}

#[test]
fn any_command_breaks() {
    let repo = small();
    let mut runtime = Runtime::new(&repo, Faults::default());
    runtime.run(Some("Map"));
    let header = "Chunk ID: 1\nWall time: 9 seconds\nProcess exited with code 0\nOriginal token count: 1\nOutput:\n";
    let half: &'static str = Box::leak(format!("{header}how git\nrow 1 .rs 1 1\n").into_boxed_str());
    let breaks = [
        Broken::Text("aborted"),
        Broken::Text("Effect unknown: it was started, but the program ended before its result was recorded."),
        Broken::Text("Wall time: 120 seconds\nProcess timed out after 120000 ms\nOutput:\nhow git\n"),
        Broken::Text(half),
        Broken::Text("exec failed: try again"),
        Broken::Cut(20),
    ];
    for (i, broken) in breaks.into_iter().enumerate() {
        // Every place breaks in half of the ways, and every way in half of the places.
        for at in (i % 2..runtime.commands).step_by(2) {
            let mut exec = vec![None; at];
            exec.extend([Some(broken); 2]);
            check(&repo, Faults { exec: exec.into(), ..Faults::default() });
        }
    }
}

#[test]
fn output_is_narrowed_until_it_fits() {
    let repo = Repo::git();
    for i in 0..60 {
        repo.write(format!("d{i:02}/f.e{i}"), "1\n");
    }
    repo.add();
    check(&repo, Faults { exec: vec![Some(Broken::Cut(200)); 99].into(), ..Faults::default() });
}

#[test]
fn commands_that_never_work() {
    let repo = small();
    let refusal = Broken::Text("the kernel cannot enforce read-only; use -s danger-full-access");
    let (answer, _) = map(&repo, Faults { exec: vec![Some(refusal); 50].into(), ..Faults::default() });
    assert!(answer.contains("could not be listed: the kernel cannot enforce read-only; use -s danger-full-access"));
    assert!(answer.contains("no language model"));
}

#[test]
fn spawns_that_fail() {
    let repo = small();
    let spawn = |outputs: &[(&'static str, bool)]| Faults {
        spawn: BTreeMap::from([("map_src", outputs.to_vec().into())]),
        ..Faults::default()
    };
    let limit = "collab spawn failed: agent thread limit reached";
    let answer = check(&repo, spawn(&[(limit, false)]));
    assert_eq!(row(&answer, "`src/`").unwrap().1, "the root");
    assert!(answer.contains(limit));
    check(&repo, spawn(&[("aborted", false)]));
    check(&repo, spawn(&[("Effect unknown: started", true)]));
    check(&repo, spawn(&[("aborted", false), ("Effect unknown: x", false)]));
    let answer = check(&repo, spawn(&[("aborted", false); 3]));
    assert_eq!(row(&answer, "`src/`").unwrap().1, "the root");
}

#[test]
fn children_that_are_lost() {
    let repo = small();
    let reports = |texts: &[&'static str]| Faults {
        reports: BTreeMap::from([("map_src", texts.to_vec().into())]),
        status: "interrupted",
        ..Faults::default()
    };
    let lost = "Agent lost: the program ended while it worked";
    // Reports after all, by itself, before and after the others; or only when asked again; or nothing that adds up.
    for texts in
        [&[lost, ""][..], &[lost], &["", ""], &["", lost, ""], &["Agent errored: x"], &["what?"], &[lost, lost, ""]]
    {
        check(&repo, reports(texts));
    }
    let quarantined = "Agent quarantined: it panicked too often";
    let (answer, calls) = map(&repo, reports(&[quarantined; 9]));
    assert!(answer.contains("**Missing: `src/`**, with 2 files. /root/map_src: Agent quarantined"), "{answer}");
    assert_eq!(calls.iter().filter(|name| *name == "followup_task").count(), 1);
    assert_eq!(stated(&answer).0, repo.sums().0.0 - 2);
    let gone = Faults { follow_up: "live agent path `/root/map_src` not found", ..reports(&[lost; 9]) };
    let (answer, _) = map(&repo, gone);
    assert!(answer.contains("could not be asked again: live agent path"), "{answer}");
    // Listed as at work: it gets time instead of its task again.
    let (_, calls) = map(&repo, Faults { status: "running", ..reports(&[lost, ""]) });
    assert!(!calls.iter().any(|name| name == "followup_task"));
}

#[test]
fn waits_that_end_early() {
    let repo = small();
    let timed_out = r#"{"message":"Wait timed out.","timed_out":true}"#;
    let interrupted = r#"{"message":"Wait interrupted by new input.","timed_out":false}"#;
    let waits = vec!["aborted", timed_out, interrupted, "Effect unknown: x", "timeout_ms must be at most 9", timed_out];
    check(&repo, Faults { waits: waits.into(), ..Faults::default() });
    let (answer, _) = map(&repo, Faults { waits: vec![timed_out; 70].into(), ..Faults::default() });
    assert_eq!(stated(&answer), repo.sums().0, "reports after the answer make another");
}

#[test]
fn going_on_and_asking_again() {
    let repo = small();
    let mut runtime = Runtime::new(&repo, Faults::default());
    let answer = runtime.run(Some("Map this repository"));
    let commands = runtime.commands;
    assert_eq!(runtime.run(None), answer, "an empty turn after the end");
    assert_eq!(runtime.run(Some("And who are you?")), answer, "something else is asked");
    assert_eq!(runtime.commands, commands);
    repo.write("src/more.rs", "1\n2\n");
    repo.add();
    let again = runtime.run(Some("Please map it again"));
    assert_eq!(stated(&again), repo.sums().0);
    assert!(again.contains("/root/map2_src"), "{again}");
}
