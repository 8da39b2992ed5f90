//! Commands that are written to, that have a terminal, and that go on while nobody waits.

use std::sync::Arc;
use std::time::Duration;

use sapwood_actors::process::{
    About, Cancel, Command, Exit, Full, InputError, Listed, MAX_INPUT_BYTES, MAX_TERMINALS, Outcome, Pause, Pauser,
    Processes, Running, Size, Stdin, Stream, Streams, Terminals,
};
use tempfile::TempDir;

use super::{GRACE, PATIENCE, bash, command, eventually, folder, is_alive, processes, run, set, until};

async fn start(processes: &Processes, command: Command) -> Running {
    processes.hold(command).await.unwrap().start(Pause::never(), |_, _| {})
}

async fn start_with(folder: &TempDir, stdin: Stdin, script: &str) -> Running {
    start(&processes(), Command { stdin, ..bash(folder, script) }).await
}

/// Takes output until it holds what is awaited.
async fn read_until(running: &Running, awaited: &str) -> String {
    let mut seen = String::new();
    let deadline = std::time::Instant::now() + PATIENCE;
    while !seen.contains(awaited) {
        assert!(std::time::Instant::now() < deadline, "{awaited:?} never came: {seen:?}");
        let yielded = running.wait_for(Duration::from_millis(5), Pause::never()).await;
        seen += &yielded.output.head;
        assert!(yielded.ended.is_none() || seen.contains(awaited), "{seen:?} {yielded:?}");
    }
    seen
}

async fn end(running: &Running) -> Arc<Outcome> {
    tokio::time::timeout(PATIENCE, running.ended()).await.expect("it ends")
}

// Stdin.

#[tokio::test]
async fn what_is_written_arrives_and_closing_is_the_end_of_input() {
    let folder = folder();
    let running = start_with(&folder, Stdin::Piped, "while read line; do echo got $line; done; echo over").await;
    running.write("one\n").unwrap();
    assert_eq!(read_until(&running, "one").await, "got one\n");
    running.write("two\nthree\n").unwrap();
    running.close_stdin().unwrap();
    let outcome = end(&running).await;
    assert_eq!(outcome.exit, Exit::Code(0));
    assert_eq!(running.take().head, "got two\ngot three\nover\n");
    assert_eq!(outcome.output.head, "got one\ngot two\ngot three\nover\n");
    assert!(matches!(running.write("x"), Err(InputError::Closed)));
    assert!(matches!(running.resize(Size::default()), Err(InputError::NoTerminal)));
}

#[tokio::test]
async fn a_megabyte_goes_through_and_more_than_that_is_refused() {
    let folder = folder();
    let reading = start_with(&folder, Stdin::Piped, "wc -c").await;
    reading.write(vec![b'x'; MAX_INPUT_BYTES]).unwrap();
    reading.close_stdin().unwrap();
    assert_eq!(end(&reading).await.output.head.trim(), MAX_INPUT_BYTES.to_string());
    let deaf = start_with(&folder, Stdin::Piped, "sleep 300").await;
    deaf.write(vec![b'x'; MAX_INPUT_BYTES]).unwrap();
    let refused = deaf.write(vec![b'x'; MAX_INPUT_BYTES]).unwrap_err();
    assert!(matches!(refused, InputError::Full { limit: MAX_INPUT_BYTES, pending: 1.. }), "{refused}");
}

#[tokio::test]
async fn without_a_stdin_there_is_nothing_to_write_to() {
    let folder = folder();
    let running = start_with(&folder, Stdin::Null, "cat").await;
    assert!(matches!(running.write("x"), Err(InputError::None)));
    assert_eq!(end(&running).await.exit, Exit::Code(0));
    for stdin in [Stdin::Piped, Stdin::Terminal(Size::default())] {
        let outcome = run(&processes(), Command { stdin, ..bash(&folder, "cat; echo end") }).await;
        assert_eq!(outcome.exit, Exit::Code(0), "a run gives nothing to read: {outcome:?}");
        assert!(outcome.output.head.contains("end"));
    }
}

#[tokio::test]
async fn stderr_goes_its_own_way_if_it_is_to() {
    let folder = folder();
    let command =
        Command { streams: Streams::Apart, stdin: Stdin::Piped, ..bash(&folder, "cat; echo out; echo err >&2") };
    let held = processes().hold(command).await.unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let outcome = held
        .run_with(Pause::never(), Cancel::never(), |stream, bytes| match stream {
            Stream::Stdout => out.extend_from_slice(bytes),
            Stream::Stderr => err.extend_from_slice(bytes),
        })
        .await;
    assert_eq!((outcome.exit, out.as_slice(), err.as_slice()), (Exit::Code(0), &b"out\n"[..], &b"err\n"[..]));
}

// Terminals.

#[tokio::test]
async fn a_terminal_is_one_and_can_be_resized() {
    let folder = folder();
    let script = "for fd in 0 1 2; do test -t $fd || echo no $fd; done; tty > /dev/null && test -c /dev/tty && echo yes; \
                  stty size < /dev/tty; trap 'stty size; exit 3' WINCH; echo ready; while :; do read -t 0.01 x; done";
    let running = start_with(&folder, Stdin::Terminal(Size { rows: 7, cols: 33 }), script).await;
    assert_eq!(read_until(&running, "ready").await.replace("\r\n", "\n").trim(), "yes\n7 33\nready");
    running.resize(Size { rows: 50, cols: 132 }).unwrap();
    let outcome = end(&running).await;
    assert_eq!((&outcome.exit, running.take().head.trim()), (&Exit::Code(3), "50 132"));
    let plain = run(&processes(), bash(&folder, "test -t 0 || test -t 1 || echo none")).await;
    assert_eq!(plain.output.head, "none\n");
}

#[tokio::test]
async fn a_terminal_works_in_a_sandbox_too() {
    let folder = folder();
    let script = "stty size < /dev/tty && stty -echo < /dev/tty && read answer && echo got $answer";
    let stdin = Stdin::Terminal(Size { rows: 7, cols: 33 });
    let sandbox = sapwood_actors::process::SandboxMode::READ_ONLY;
    let running = start(&processes(), Command { stdin, sandbox, ..bash(&folder, script) }).await;
    assert_eq!(read_until(&running, "33").await.trim(), "7 33");
    running.write("it\n").unwrap();
    let outcome = end(&running).await;
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    assert!(outcome.output.head.contains("got it"), "{outcome:?}");
}

#[tokio::test]
async fn a_terminal_echoes_interrupts_and_ends_its_input() {
    let folder = folder();
    let echoing = start_with(&folder, Stdin::Terminal(Size::default()), "cat; echo over").await;
    echoing.write("hello\n").unwrap();
    assert_eq!(read_until(&echoing, "hello\r\nhello\r\n").await, "hello\r\nhello\r\n");
    echoing.close_stdin().unwrap();
    assert_eq!(end(&echoing).await.exit, Exit::Code(0));
    assert_eq!(echoing.take().head, "over\r\n");
    let interrupted = start_with(
        &folder,
        Stdin::Terminal(Size::default()),
        "trap 'echo caught; exit 9' INT; echo ready; while :; do read -t 0.01 x; done",
    )
    .await;
    read_until(&interrupted, "ready").await;
    interrupted.write("\u{3}").unwrap();
    assert_eq!(end(&interrupted).await.exit, Exit::Code(9));
}

// In the background.

#[tokio::test]
async fn what_is_new_is_taken_once_and_only_the_ends_of_much() {
    let folder = folder();
    let mut command = bash(&folder, "echo first; read x; yes | head -c 1M; read x; echo last; read x");
    (command.stdin, command.max_output) = (Stdin::Piped, 100);
    let running = start(&processes(), command).await;
    assert_eq!(read_until(&running, "first").await, "first\n");
    assert_eq!(running.take().total, 0);
    let arrived = |running: &Running, all: u64, seen: &mut u64| {
        let output = running.take();
        assert!(output.head.len() + output.tail.len() <= 100);
        *seen += output.total;
        *seen == all
    };
    running.write("\n").unwrap();
    let mut seen = 0;
    eventually("a megabyte is counted", || arrived(&running, 1 << 20, &mut seen)).await;
    running.write("\n").unwrap();
    assert_eq!(read_until(&running, "last").await, "last\n");
    running.close_stdin().unwrap();
    let outcome = end(&running).await;
    assert_eq!((outcome.output.total, outcome.output.head.len()), ((1 << 20) + 11, 50));
    assert!(outcome.output.head.starts_with("first\ny\n") && outcome.output.tail.ends_with("y\nlast\n"));
}

#[tokio::test]
async fn a_wait_ends_with_the_command_or_with_its_time_which_can_stand_still() {
    let folder = folder();
    let running = start_with(&folder, Stdin::Piped, "echo here; read x; echo there").await;
    read_until(&running, "here").await;
    let short = running.wait_for(Duration::from_millis(1), Pause::never()).await;
    assert_eq!((short.output.total, short.ended), (0, None));
    let pauser = Pauser::new();
    pauser.pause();
    let long = running.wait_for(Duration::from_millis(1), pauser.handle());
    let write = async {
        tokio::task::yield_now().await;
        running.write("\n").unwrap();
    };
    let (long, ()) = tokio::join!(long, write);
    assert_eq!((long.output.head.as_str(), long.ended.unwrap().exit.clone()), ("there\n", Exit::Code(0)));
}

#[tokio::test]
async fn a_command_outlives_its_call_and_not_its_owner() {
    let folder = folder();
    let terminals = Terminals::new();
    let processes = processes();
    let about = |name: &str| About { call: name.into(), command: "sleep 300".into(), cwd: folder.path().to_owned() };
    let room = terminals.room().unwrap();
    let (id, kept) = terminals.keep(room, start(&processes, bash(&folder, "trap '' HUP; sleep 300")).await, about("a"));
    let group = kept.running.group();
    assert_eq!(terminals.list(), [Listed { id, group, about: about("a") }]);
    assert_eq!(id.to_string().parse(), Ok(id));
    drop(kept);
    assert!(is_alive(group.id));
    assert!(terminals.terminate(id));
    let terminal = terminals.get(id).unwrap();
    assert_eq!(end(&terminal.running).await.exit, Exit::Cancelled);
    assert!(!is_alive(group.id) && !terminals.terminate(id) && terminals.list().is_empty());
    // Its end can be told still, once.
    assert!(terminals.remove(id).is_some() && terminals.get(id).is_none());
    let (_, other) =
        terminals.keep(terminals.room().unwrap(), start(&processes, bash(&folder, "sleep 300")).await, about("b"));
    let group = other.running.group();
    drop((other, terminals));
    eventually("it is gone", || !is_alive(group.id)).await;
}

#[tokio::test]
async fn when_all_places_are_taken_the_answer_says_so() {
    let folder = folder();
    let terminals = Terminals::new();
    let processes = processes();
    let about = About { call: "c".into(), command: "cat".into(), cwd: folder.path().to_owned() };
    for _ in 1..MAX_TERMINALS {
        let command = Command { stdin: Stdin::Piped, ..bash(&folder, "cat") };
        terminals.keep(terminals.room().unwrap(), start(&processes, command).await, about.clone());
    }
    let last = terminals.room().unwrap();
    assert_eq!(terminals.room().unwrap_err(), Full { limit: MAX_TERMINALS });
    drop(last);
    let one = terminals.list().remove(0);
    let last = terminals.room().unwrap();
    // One that has ended by itself, and whose end nobody has read, makes room.
    let terminal = terminals.get(one.id).unwrap();
    terminal.running.close_stdin().unwrap();
    assert_eq!(end(&terminal.running).await.exit, Exit::Code(0));
    drop(terminal);
    drop((terminals.room().unwrap(), last));
    assert_eq!(terminals.clean(), MAX_TERMINALS - 2);
    let groups: Vec<i32> = terminals.list().iter().map(|one| one.group.id).collect();
    eventually("all are gone", || terminals.list().is_empty()).await;
    until(GRACE, "all are dead", || !groups.iter().any(|id| is_alive(*id)));
}

// The environment.

#[tokio::test]
async fn a_variable_can_be_changed_and_taken_away() {
    let folder = folder();
    let mut command = command(&folder, &["/usr/bin/env"]);
    command.unset = vec!["PATH".into(), "SAPWOOD_COMMAND".into(), "GREETING".into()];
    command.env.push(set("GREETING", "hello"));
    let outcome = run(&processes(), command).await;
    let lines: Vec<&str> = outcome.output.head.lines().collect();
    assert!(lines.contains(&"GREETING=hello") && lines.contains(&format!("HOME={}", folder.path().display()).as_str()));
    assert!(!lines.iter().any(|line| line.starts_with("PATH=")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("SAPWOOD_COMMAND=")), "the reaper's mark stays: {lines:?}");
}
