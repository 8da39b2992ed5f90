//! `command/exec`, with real processes: what a client asks for in JSON, and what it gets.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sapwood_actors::process::{Processes, SandboxMode};
use sapwood_server::command::params::{CommandExecOutputDelta, CommandExecResponse, OutputStream};
use sapwood_server::command::{CommandError, Commands, DEFAULT_OUTPUT_CAP, MAX_COMMANDS, Place};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Answers to `__exec` and `__reap` as `sapwood` does.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sapwood-server-held");

/// For what only a broken build never does.
const PATIENCE: Duration = Duration::from_secs(30);

/// Notifications that a client has not read.
const EVENTS: usize = 4;

fn commands() -> Arc<Commands> {
    Arc::new(Commands::new(Processes::new(PROGRAM.into())))
}

fn place(cwd: &Path) -> Place {
    Place { cwd: cwd.to_owned(), sandbox: SandboxMode::DangerFullAccess }
}

fn read<T: serde::de::DeserializeOwned>(params: Value) -> T {
    serde_json::from_value(params).unwrap()
}

/// A command in a task of its own, and what it streams.
struct Client {
    answer: JoinHandle<Result<CommandExecResponse, CommandError>>,
    events: mpsc::Receiver<CommandExecOutputDelta>,
}

fn start(commands: &Arc<Commands>, params: Value) -> Client {
    let (events_in, events) = mpsc::channel(EVENTS);
    let commands = commands.clone();
    let place = place(&std::env::temp_dir());
    Client { answer: tokio::spawn(async move { commands.exec(read(params), place, events_in).await }), events }
}

impl Client {
    /// Everything that is streamed from here on, by stream, and whether the cap was said to be reached.
    async fn rest(&mut self) -> [(Vec<u8>, bool); 2] {
        let mut all = [(Vec::new(), false), (Vec::new(), false)];
        while let Some(delta) = self.events.recv().await {
            let one = &mut all[usize::from(delta.stream == OutputStream::Stderr)];
            assert!(!one.1, "something came after the cap");
            one.0.extend(BASE64_STANDARD.decode(delta.delta_base64).unwrap());
            one.1 = delta.cap_reached;
        }
        all
    }

    /// Reads what is streamed until it ends with this.
    async fn read_until(&mut self, end: &str) -> String {
        let mut seen = String::new();
        while !seen.ends_with(end) {
            let delta = tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("in time").expect("more");
            seen += &String::from_utf8(BASE64_STANDARD.decode(delta.delta_base64).unwrap()).unwrap();
        }
        seen
    }

    async fn answer(self) -> Result<CommandExecResponse, CommandError> {
        tokio::time::timeout(PATIENCE, self.answer).await.expect("in time").unwrap()
    }
}

async fn exec(params: Value) -> Result<CommandExecResponse, CommandError> {
    start(&commands(), params).answer().await
}

fn bash(script: &str, more: Value) -> Value {
    let mut params = json!({"command": ["bash", "-c", script]});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    params
}

fn response(exit_code: i32, stdout: &str, stderr: &str) -> CommandExecResponse {
    CommandExecResponse { exit_code, stdout: stdout.into(), stderr: stderr.into() }
}

fn write(commands: &Commands, bytes: &str) -> Result<(), CommandError> {
    let delta = BASE64_STANDARD.encode(bytes);
    commands.write(&read(json!({"processId": "p", "deltaBase64": delta}))).map(drop)
}

#[tokio::test]
async fn a_command_answers_with_its_code_and_both_outputs() {
    let answer = exec(bash("cat; echo out; echo err >&2; exit 3", json!({}))).await.unwrap();
    assert_eq!(answer, response(3, "out\n", "err\n"));
    let wire = serde_json::to_value(&answer).unwrap();
    assert_eq!(wire, json!({"exitCode": 3, "stdout": "out\n", "stderr": "err\n"}));
    let slow = exec(bash("echo early; sleep 300", json!({"timeoutMs": 200}))).await.unwrap();
    assert_eq!(slow, response(124, "early\n", ""));
    assert_eq!(exec(bash("kill -9 $$", json!({"disableTimeout": true}))).await.unwrap(), response(137, "", ""));
}

#[tokio::test]
async fn the_cap_cuts_each_output_and_can_be_turned_off() {
    let script = "yes | head -c 3M; yes n | head -c 100 >&2";
    let default = exec(bash(script, json!({}))).await.unwrap();
    assert_eq!((default.stdout.len() as u64, default.stderr.len()), (DEFAULT_OUTPUT_CAP, 100));
    assert_eq!(exec(bash(script, json!({"outputBytesCap": 3}))).await.unwrap(), response(0, "y\ny", "n\nn"));
    assert_eq!(exec(bash(script, json!({"outputBytesCap": 0}))).await.unwrap(), response(0, "", ""));
    assert_eq!(exec(bash(script, json!({"disableOutputCap": true}))).await.unwrap().stdout.len(), 3 << 20);
    let endless = exec(bash("yes", json!({"disableOutputCap": true}))).await;
    assert!(matches!(endless, Err(CommandError::TooMuchOutput)), "{endless:?}");
}

#[tokio::test]
async fn streams_arrive_whole_at_the_clients_pace_and_are_not_in_the_answer() {
    let more = json!({"processId": "p", "streamStdoutStderr": true, "disableOutputCap": true});
    let mut client = start(&commands(), bash("yes | head -c 3M; echo err >&2; exit 2", more));
    let [(stdout, _), (stderr, _)] = client.rest().await;
    assert_eq!((stdout.len(), stderr.as_slice()), (3 << 20, &b"err\n"[..]));
    assert_eq!(client.answer().await.unwrap(), response(2, "", ""));
    let more = json!({"processId": "p", "streamStdoutStderr": true, "outputBytesCap": 5});
    let mut client = start(&commands(), bash("echo 0123456789; echo err >&2; echo more", more));
    let streams = client.rest().await;
    assert_eq!(streams, [(b"01234".to_vec(), true), (b"err\n".to_vec(), false)]);
    assert_eq!(client.answer().await.unwrap(), response(0, "", ""));
}

#[tokio::test]
async fn stdin_is_written_and_closed() {
    let commands = commands();
    let more = json!({"processId": "p", "streamStdin": true, "streamStdoutStderr": true, "disableTimeout": true});
    let mut client = start(&commands, bash("echo ready; while read line; do echo got $line; done; echo over", more));
    client.read_until("ready\n").await;
    write(&commands, "one\n").unwrap();
    assert_eq!(client.read_until("got one\n").await, "got one\n");
    let bad = commands.write(&read(json!({"processId": "p", "deltaBase64": "?"})));
    assert!(matches!(bad, Err(CommandError::Base64(_))));
    assert!(matches!(commands.write(&read(json!({"processId": "p"}))), Err(CommandError::NothingToWrite)));
    let size = json!({"processId": "p", "size": {"rows": 1, "cols": 1}});
    assert!(matches!(commands.resize(&read(size)), Err(CommandError::Input(_))));
    let last = json!({"processId": "p", "deltaBase64": BASE64_STANDARD.encode("two"), "closeStdin": true});
    commands.write(&read(last)).unwrap();
    assert_eq!(client.read_until("over\n").await, "over\n");
    assert_eq!(client.answer().await.unwrap(), response(0, "", ""));
    assert!(matches!(write(&commands, "x"), Err(CommandError::Unknown(_))), "its name is free again");
}

#[tokio::test]
async fn a_terminal_is_resized_and_a_command_terminated() {
    let commands = commands();
    let more = json!({"processId": "p", "tty": true, "size": {"rows": 7, "cols": 33}, "disableTimeout": true});
    let script = "stty size; trap 'stty size; echo resized' WINCH; echo ready; while :; do read -t 0.01 x; done";
    let mut client = start(&commands, bash(script, more));
    assert_eq!(client.read_until("ready\r\n").await, "7 33\r\nready\r\n");
    for size in [json!({"rows": 0, "cols": 5}), json!({"rows": 5, "cols": 0})] {
        let refused = commands.resize(&read(json!({"processId": "p", "size": size})));
        assert!(matches!(refused, Err(CommandError::Size { .. })));
    }
    commands.resize(&read(json!({"processId": "p", "size": {"rows": 50, "cols": 132}}))).unwrap();
    assert_eq!(client.read_until("resized\r\n").await, "50 132\r\nresized\r\n");
    let done = commands.terminate(&read(json!({"processId": "p"}))).unwrap();
    assert_eq!(serde_json::to_value(done).unwrap(), json!({}));
    assert_eq!(client.answer().await.unwrap(), response(143, "", ""));
}

#[tokio::test]
async fn variables_are_set_and_taken_away() {
    let env = json!({"GREETING": "hello", "HOME": null, "PATH": "/usr/bin:/bin"});
    let script = "echo ${GREETING-none} ${HOME-none} $PATH";
    let answer = exec(bash(script, json!({"env": env}))).await.unwrap();
    assert_eq!(answer, response(0, "hello none /usr/bin:/bin\n", ""));
}

#[tokio::test]
async fn a_command_runs_where_and_as_confined_as_it_is_told() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().canonicalize().unwrap();
    std::fs::create_dir(path.join("sub")).unwrap();
    let commands = commands();
    for (sandbox, expected) in [
        (SandboxMode::READ_ONLY, 1),
        (SandboxMode::workspace(vec![path.clone()]), 0),
        (SandboxMode::DangerFullAccess, 0),
    ] {
        let params = bash("pwd; echo x > new", json!({"cwd": "sub"}));
        let (events, _) = mpsc::channel(1);
        let answer = commands.exec(read(params), Place { cwd: path.clone(), sandbox }, events).await.unwrap();
        assert_eq!((answer.exit_code, answer.stdout), (expected, format!("{}\n", path.join("sub").display())));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_runs() {
    let cases = [
        (json!({"command": []}), "`command` is empty"),
        (json!({"command": ["a\0b"]}), "`command` holds a NUL"),
        (json!({"command": ["true"], "tty": true}), "`tty` needs a `processId`"),
        (json!({"command": ["true"], "streamStdin": true}), "`streamStdin` needs"),
        (json!({"command": ["true"], "streamStdoutStderr": true}), "`streamStdoutStderr` needs"),
        (json!({"command": ["true"], "size": {"rows": 1, "cols": 1}}), "`size` is for a terminal"),
        (json!({"command": ["true"], "tty": true, "processId": "p", "size": {"rows": 0, "cols": 1}}), "has no room"),
        (json!({"command": ["true"], "outputBytesCap": 1, "disableOutputCap": true}), "exclude each other"),
        (json!({"command": ["true"], "timeoutMs": 1, "disableTimeout": true}), "`timeoutMs` and `disableTimeout`"),
        (
            json!({"command": ["true"], "sandboxPolicy": {"type": "readOnly"}, "permissionProfile": ":workspace"}),
            "`sandboxPolicy` and `permissionProfile`",
        ),
        (json!({"command": ["true"], "timeoutMs": -1}), "`timeoutMs` is -1"),
        (json!({"command": ["true"], "env": {"A=B": "c"}}), "`env` names \"A=B\""),
        (json!({"command": ["no-such-program"]}), "there is no program \"no-such-program\""),
    ];
    for (params, expected) in cases {
        let error = exec(params.clone()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{params}: {error}");
        // What the real server answers where parameters do not fit together.
        let about_params =
            ["`size`", "has no room", "exclude each other", "`timeoutMs`"].iter().any(|word| expected.contains(word));
        assert_eq!(error.answer().code, if about_params { -32602 } else { -32600 }, "{params}");
    }
}

#[tokio::test]
async fn names_are_taken_once_and_places_run_out() {
    let commands = commands();
    let held = |id: &str| json!({"command": ["cat"], "processId": id, "streamStdin": true, "disableTimeout": true});
    let clients: Vec<Client> = (0..MAX_COMMANDS).map(|n| start(&commands, held(&n.to_string()))).collect();
    until(|| commands.write(&read(json!({"processId": "63", "deltaBase64": ""}))).is_ok()).await;
    let error = start(&commands, held("one more")).answer().await.unwrap_err();
    assert_eq!(error.answer().code, -32001);
    commands.terminate(&read(json!({"processId": "63"}))).unwrap();
    until(|| clients[63].answer.is_finished()).await;
    assert!(matches!(start(&commands, held("0")).answer().await, Err(CommandError::Taken(_))));
    commands.close();
    for client in clients.into_iter().take(63) {
        assert!(matches!(client.answer().await, Err(CommandError::Closing)));
    }
    assert!(matches!(start(&commands, held("late")).answer().await, Err(CommandError::Closing)));
}

#[tokio::test]
async fn a_client_that_goes_takes_its_command_with_it() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let pid_file = folder.path().join("pid");
    let script = format!("echo $$ > {0}.part; mv {0}.part {0}; trap '' TERM; yes", pid_file.display());
    for how in ["close", "drop", "stop reading"] {
        let commands = commands();
        let more =
            json!({"processId": "p", "streamStdoutStderr": true, "disableOutputCap": true, "disableTimeout": true});
        let client = start(&commands, bash(&script, more));
        until(|| pid_file.exists()).await;
        let pid = std::fs::read_to_string(&pid_file).unwrap();
        let process = Path::new("/proc").join(pid.trim());
        assert!(process.exists());
        match how {
            "close" => commands.close(),
            "drop" => client.answer.abort(),
            _ => drop(client.events),
        }
        until(|| !process.exists()).await;
        std::fs::remove_file(&pid_file).unwrap();
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
