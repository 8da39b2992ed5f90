//! Commands, from outside: real shells, real signals, a real sandbox.

#[path = "process/sandbox.rs"]
mod sandbox;
#[path = "process/terminals.rs"]
mod terminals;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use sapwood_actors::process::{
    Cancel, Canceller, Command, Exit, GroupId, Outcome, Output, Pause, Pauser, ProcessError, Processes, SandboxMode,
};
use tempfile::TempDir;

/// Answers to `__exec` and `__reap` as `sapwood` does.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sapwood-held");

/// The stated grace for everything that is to be gone.
const GRACE: Duration = Duration::from_secs(1);

/// For what only a broken build never does.
const PATIENCE: Duration = Duration::from_secs(30);

fn processes() -> Processes {
    Processes::new(PROGRAM.into())
}

/// Not in `/tmp`, which a sandboxed command may write to.
fn folder() -> TempDir {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).canonicalize().unwrap();
    let parent = if target.starts_with("/tmp") { Path::new("/var/tmp") } else { &target };
    tempfile::tempdir_in(parent).unwrap()
}

fn command(folder: &TempDir, argv: &[&str]) -> Command {
    Command {
        // Nothing from the home of whoever runs the tests.
        env: vec![set("HOME", folder.path()), set("GIT_CONFIG_GLOBAL", "/dev/null")],
        sandbox: SandboxMode::DangerFullAccess,
        max_output: 10_000,
        ..Command::new(argv.iter().map(ToString::to_string).collect(), folder.path().to_owned())
    }
}

fn set(name: &str, value: impl AsRef<Path>) -> (String, String) {
    (name.into(), value.as_ref().to_str().unwrap().into())
}

fn bash(folder: &TempDir, script: &str) -> Command {
    command(folder, &["bash", "-c", script])
}

async fn run(processes: &Processes, command: Command) -> Outcome {
    processes.hold(command).await.unwrap().run(Pause::never(), Cancel::never()).await
}

async fn run_script(script: &str) -> (Exit, String) {
    let folder = folder();
    let outcome = run(&processes(), bash(&folder, script)).await;
    assert_eq!(outcome.output.omitted, 0);
    (outcome.exit, outcome.output.head)
}

/// Looks until it holds, for as long as `limit`.
#[track_caller]
fn until(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// As [`until`], while the runtime goes on.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
}

fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

/// The id that a script wrote with [`SAY_PID`].
fn read_pid(file: &Path) -> Option<i32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A shell function: `say_pid FILE PID` writes the file at once or not at all.
const SAY_PID: &str = "say_pid() { echo $2 > $1.part; mv $1.part $1; };";

// How a command ends, and what it says.

#[tokio::test]
async fn the_exit_code_and_the_output_arrive() {
    assert_eq!(run_script("echo one; exit 3").await, (Exit::Code(3), "one\n".into()));
    assert_eq!(run_script("true").await, (Exit::Code(0), String::new()));
    assert_eq!(run_script("kill -9 $$").await, (Exit::Signal(9), String::new()));
    assert_eq!(run_script("exit 126").await.0, Exit::Code(126));
}

#[tokio::test]
async fn stdout_and_stderr_keep_their_order() {
    let (exit, output) = run_script("for i in 1 2 3; do echo out$i; echo err$i >&2; done").await;
    assert_eq!((exit, output.as_str()), (Exit::Code(0), "out1\nerr1\nout2\nerr2\nout3\nerr3\n"));
}

#[tokio::test]
async fn a_command_finds_itself_in_its_own_session_with_nothing_to_read_and_no_core_dumps() {
    let folder = folder();
    let mut command = bash(&folder, "cat; echo $GREETING; pwd; ulimit -c; ps -o sid= -p $$ | tr -d ' '; echo $$");
    command.env.push(set("GREETING", "hello"));
    let outcome = run(&processes(), command).await;
    let lines: Vec<&str> = outcome.output.head.lines().collect();
    assert_eq!(lines[..3], ["hello", folder.path().to_str().unwrap(), "0"]);
    assert_eq!(lines[3], lines[4]);
}

#[tokio::test]
async fn much_output_keeps_its_ends_in_bounded_memory() {
    let folder = folder();
    let mut command = bash(&folder, "echo first; yes | head -c 50M; echo last");
    command.max_output = 1000;
    let Outcome { exit, output, .. } = run(&processes(), command).await;
    let total = (50 << 20) + 11;
    assert_eq!(exit, Exit::Code(0));
    assert!(output.head.starts_with("first\ny\ny\n") && output.tail.ends_with("y\ny\nlast\n"));
    assert_eq!((output.head.len(), output.tail.len()), (500, 500));
    assert_eq!((output.omitted, output.total), (total - 1000, total));
}

#[tokio::test]
async fn output_is_shown_as_it_arrives() {
    let folder = folder();
    let held = processes().hold(bash(&folder, "printf one; printf two >&2")).await.unwrap();
    let mut shown = Vec::new();
    let outcome = held.run_with(Pause::never(), Cancel::never(), |_, bytes| shown.extend_from_slice(bytes)).await;
    assert_eq!(shown, b"onetwo");
    assert_eq!(outcome.output, Output { head: "onetwo".into(), tail: String::new(), omitted: 0, total: 6 });
}

#[tokio::test]
async fn bytes_that_are_no_text_are_replaced() {
    assert_eq!(run_script(r"printf 'a\xffb'").await, (Exit::Code(0), "a\u{FFFD}b".into()));
}

#[tokio::test]
async fn a_script_of_ten_megabytes_runs() {
    let folder = folder();
    let processes = processes();
    let script = format!(": '{}'; echo \"$# $1\"; exit 7", "x".repeat(10 << 20));
    for argv in [["bash", "-lc"], ["sh", "-c"]] {
        let outcome = run(&processes, command(&folder, &[argv[0], argv[1], &script])).await;
        assert_eq!((outcome.exit, outcome.output.head.as_str()), (Exit::Code(7), "0 \n"), "{argv:?}");
    }
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let folder = folder();
    let processes = processes();
    let text = folder.path().join("text");
    fs::write(&text, "no program").unwrap();
    let long = "x".repeat(200_000);
    let missing_directory = Command { cwd: folder.path().join("gone"), ..bash(&folder, "touch ran") };
    let cases = [
        (missing_directory, "gone\": No such file or directory (os error 2); create it, or choose another directory"),
        (command(&folder, &["no-such-program", "x"]), "there is no program \"no-such-program\" in PATH="),
        (command(&folder, &["./no-such-program"]), "there is no program \"./no-such-program\""),
        (command(&folder, &["./text"]), "\"./text\" cannot be run: Permission denied"),
        (command(&folder, &["echo", &long]), "too long for the system; write the text to a file"),
    ];
    for (command, expected) in cases {
        let outcome = run(&processes, command).await;
        let Exit::Failed(reason) = &outcome.exit else { panic!("{expected}: {outcome:?}") };
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(outcome.output, Output::default());
    }
    assert!(matches!(processes.hold(command(&folder, &[])).await, Err(ProcessError::Empty)));
    let relative = Command { cwd: "here".into(), ..bash(&folder, "true") };
    assert!(matches!(processes.hold(relative).await, Err(ProcessError::RelativeDirectory(_))));
    let nowhere = Processes::new(folder.path().join("gone"));
    assert!(matches!(nowhere.hold(bash(&folder, "true")).await, Err(ProcessError::Reaper { .. })));
}

#[tokio::test]
async fn many_at_once_do_not_mix() {
    let folder = folder();
    let processes = processes();
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (processes, command) = (processes.clone(), bash(&folder, &format!("echo {number}; exit {number}")));
        runs.spawn(async move { (number, run(&processes, command).await) });
    }
    while let Some(done) = runs.join_next().await {
        let (number, outcome) = done.unwrap();
        assert_eq!((outcome.exit, outcome.output.head), (Exit::Code(number), format!("{number}\n")));
    }
}

// Nothing starts before it may, and nothing stays.

#[tokio::test]
async fn a_held_command_that_is_dropped_never_runs() {
    let folder = folder();
    let processes = processes();
    let held = processes.hold(bash(&folder, "touch ran")).await.unwrap();
    let group = held.group();
    assert!(is_alive(group.id));
    drop(held);
    eventually("it is gone", || !is_alive(group.id)).await;
    processes.close().await;
    assert!(!folder.path().join("ran").exists());
    let again = processes.hold(bash(&folder, "touch ran")).await.unwrap();
    assert_eq!(again.run(Pause::never(), Cancel::never()).await.exit, Exit::Code(0));
    assert!(folder.path().join("ran").exists());
}

#[tokio::test]
async fn dropping_the_run_ends_the_command() {
    let folder = folder();
    let processes = processes();
    let started = folder.path().join("started");
    let script = format!("{SAY_PID} sleep 300 & say_pid started $!; wait");
    let held = processes.hold(bash(&folder, &script)).await.unwrap();
    let group = held.group();
    tokio::select! {
        outcome = held.run(Pause::never(), Cancel::never()) => panic!("{outcome:?}"),
        () = eventually("it runs", || started.exists()) => {}
    }
    let child = read_pid(&started).unwrap();
    until(GRACE, "both are gone", || !is_alive(group.id) && !is_alive(child));
}

#[tokio::test]
async fn a_background_child_neither_delays_nor_outlives_its_command() {
    let folder = folder();
    let script = format!("{SAY_PID} sleep 300 & say_pid child $!; echo done");
    let outcome = run(&processes(), bash(&folder, &script)).await;
    assert_eq!((outcome.exit, outcome.output.head.as_str()), (Exit::Code(0), "done\n"));
    assert!(!is_alive(read_pid(&folder.path().join("child")).unwrap()));
}

#[tokio::test]
async fn a_child_that_leaves_its_session_does_not_outlive_its_command() {
    let folder = folder();
    let processes = processes();
    let other = processes.hold(bash(&folder, "true")).await.unwrap();
    let inner = format!("{SAY_PID} sleep 300 > /dev/null & say_pid child $!");
    let outcome = run(&processes, bash(&folder, &format!("setsid bash -c '{inner}'; exit 0"))).await;
    assert_eq!(outcome.exit, Exit::Code(0));
    assert!(!is_alive(read_pid(&folder.path().join("child")).unwrap()));
    assert!(is_alive(other.group().id), "another command's process is not touched");
    // With nothing left to know it by, it goes when no command is left that could own it.
    let inner = format!("{SAY_PID} sleep 300 > /dev/null & say_pid nameless $!");
    run(&processes, bash(&folder, &format!("env -i PATH=$PATH setsid bash -c '{inner}'; exit 0"))).await;
    drop(other);
    until(GRACE, "it is gone", || !is_alive(read_pid(&folder.path().join("nameless")).unwrap()));
}

#[tokio::test]
async fn the_timeout_kills_the_whole_group_and_does_not_run_while_paused() {
    let folder = folder();
    let started = folder.path().join("started");
    let script = format!("{SAY_PID} echo early; sleep 300 & say_pid started $!; wait");
    let command = Command { timeout: Some(Duration::from_millis(1)), ..bash(&folder, &script) };
    let pauser = Pauser::new();
    pauser.pause();
    let held = processes().hold(command).await.unwrap();
    let group = held.group();
    let run = tokio::spawn(held.run(pauser.handle(), Cancel::never()));
    // Starting a shell takes longer than its timeout: only the pause lets it come this far.
    eventually("it runs", || started.exists()).await;
    assert!(!run.is_finished());
    pauser.resume();
    let outcome = run.await.unwrap();
    assert_eq!((outcome.exit, outcome.output.head.as_str()), (Exit::TimedOut, "early\n"));
    assert!(!is_alive(group.id) && !is_alive(read_pid(&started).unwrap()));
}

#[tokio::test]
async fn endless_output_does_not_keep_the_timeout_from_being_seen() {
    let folder = folder();
    let command = Command { timeout: Some(Duration::from_millis(50)), max_output: 100, ..bash(&folder, "yes") };
    let outcome = run(&processes(), command).await;
    assert_eq!(outcome.exit, Exit::TimedOut);
    assert!(outcome.output.head.len() + outcome.output.tail.len() <= 100);
}

#[tokio::test]
async fn cancelling_asks_first_and_then_kills() {
    let folder = folder();
    let processes = processes();
    let polite = "trap 'echo caught; exit 0' TERM; sleep 300 & : > started; wait";
    let stubborn = "trap '' TERM; : > started; while :; do sleep 300; done";
    for (script, expected) in [(polite, "caught\n"), (stubborn, "")] {
        let started = folder.path().join("started");
        let canceller = Canceller::new();
        let held = processes.hold(bash(&folder, script)).await.unwrap();
        let group = held.group();
        let run = tokio::spawn(held.run(Pause::never(), canceller.handle()));
        eventually("it runs", || started.exists()).await;
        canceller.cancel();
        let outcome = run.await.unwrap();
        assert_eq!((outcome.exit, outcome.output.head.as_str()), (Exit::Cancelled, expected));
        assert!(!is_alive(group.id));
        fs::remove_file(started).unwrap();
    }
}

#[tokio::test]
async fn a_killed_reaper_is_reported_and_replaced() {
    let folder = folder();
    let processes = processes();
    let started = folder.path().join("started");
    let held = processes.hold(bash(&folder, "touch started; sleep 300")).await.unwrap();
    let group = held.group();
    let reaper = parent_of(group.id);
    let run = tokio::spawn(held.run(Pause::never(), Cancel::never()));
    eventually("it runs", || started.exists()).await;
    kill_hard(reaper);
    let Exit::Failed(reason) = run.await.unwrap().exit else { panic!("its end cannot be known") };
    assert!(reason.contains("reaper"), "{reason}");
    until(GRACE, "the command is gone", || !is_alive(group.id));
    assert_eq!(run_again(&processes, &folder).await, Exit::Code(4));
}

async fn run_again(processes: &Processes, folder: &TempDir) -> Exit {
    run(processes, bash(folder, "exit 4")).await.exit
}

fn kill_hard(pid: i32) {
    assert!(std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn a_leftover_is_killed_only_if_its_start_time_matches() {
    let folder = folder();
    let held = processes().hold(bash(&folder, "true")).await.unwrap();
    let group = held.group();
    assert!(!Processes::kill_leftover(GroupId { start: group.start + 1, ..group }));
    assert!(is_alive(group.id));
    assert!(Processes::kill_leftover(group));
    until(GRACE, "it is gone", || !is_alive(group.id));
    assert_eq!(held.run(Pause::never(), Cancel::never()).await.exit, Exit::Signal(9));
}

#[test]
fn after_kill_9_nothing_of_the_run_is_alive() {
    let folder = folder();
    let scripts = [
        format!("{SAY_PID} trap '' TERM HUP INT; say_pid plain $$; while :; do sleep 300; done"),
        format!("{SAY_PID} setsid sh -c '{SAY_PID} sleep 300 & say_pid forked $!' & wait; say_pid two $$; sleep 300"),
        format!("env -i PATH=$PATH setsid sh -c '{SAY_PID} (setsid sleep 300 & say_pid nameless $!)'; exit 0"),
        "touch ran".to_owned(),
    ];
    let mut parent = std::process::Command::new(PROGRAM)
        .arg("parent")
        .arg(folder.path())
        .args(&scripts)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let held: i32 = line.trim().parse().unwrap();
    let files = ["plain", "forked", "two", "nameless"].map(|name| folder.path().join(name));
    until(PATIENCE, "all have started", || files.iter().all(|file| read_pid(file).is_some()));
    let mut pids: Vec<i32> = files.iter().filter_map(|file| read_pid(file)).collect();
    pids.extend([held, parent_of(held)]);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    parent.kill().unwrap();
    until(GRACE, "all are gone", || !pids.iter().any(|pid| is_alive(*pid)));
    parent.wait().unwrap();
    assert!(!folder.path().join("ran").exists());
}
