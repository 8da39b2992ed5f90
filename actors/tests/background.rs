//! Commands of an agent that go on without their calls: real shells, a scripted model, the feed and the rollout.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use sapwood_actors::agent::event::{Part, Snapshot};
use sapwood_actors::agent::input::Interrupter;
use sapwood_actors::agent::{Event, Settings};
use sapwood_actors::clock::SystemClock;
use sapwood_actors::feed::{Change, News, Subscription};
use sapwood_actors::process::{Processes, SessionId};
use sapwood_actors::seat::Seat;
use sapwood_actors::service::{Running, Service};
use sapwood_model::{BoxFuture, DeltaSink, Model, ModelError, Request, Response};
use sapwood_protocol::approval::SandboxPolicy;
use sapwood_protocol::own::Outcome;
use sapwood_protocol::{Ids, TurnId, Usage};
use sapwood_rollout::{Journal, MemoryJournal};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

/// Answers to `__exec` and `__reap` as `sapwood` does.
const PROGRAM: &str = env!("CARGO_BIN_EXE_sapwood-held");

/// For what only a broken build never does.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the model does when it is asked: answers with calls, or a message, or not at all.
enum Reply {
    Call(&'static str, &'static str, Value),
    /// Types into the newest session.
    Type(&'static str, Value),
    Silence,
}

/// A model that goes through its replies, and then says that it is done.
struct Script {
    replies: Mutex<VecDeque<Reply>>,
    /// The outputs of all calls, as of the newest request.
    outputs: Mutex<Vec<(String, String)>>,
}

struct Shared(Arc<Script>);

impl Model for Shared {
    fn sample(&self, request: Request, _: Arc<dyn DeltaSink>) -> BoxFuture<'static, Result<Response, ModelError>> {
        let body: Value = serde_json::from_slice(&request.body.concat()).expect("a request");
        let text = |item: &Value, key: &str| item[key].as_str().unwrap_or_default().to_owned();
        let items = body["input"].as_array().expect("items").iter();
        let outputs: Vec<_> = items
            .filter(|item| item["type"] == "function_call_output")
            .map(|item| (text(item, "call_id"), text(item, "output")))
            .collect();
        let session = outputs.iter().rev().find_map(|(_, output)| session_in(output));
        *self.0.outputs.lock() = outputs;
        let item = match self.0.replies.lock().pop_front() {
            Some(Reply::Call(id, name, arguments)) => call(id, name, &arguments),
            Some(Reply::Type(id, mut arguments)) => {
                arguments["session_id"] = json!(session.expect("a session").0);
                call(id, "write_stdin", &arguments)
            }
            Some(Reply::Silence) => return Box::pin(std::future::pending()),
            None => json!({"type": "message", "id": "msg", "role": "assistant",
                "content": [{"type": "output_text", "text": "done"}]}),
        };
        let response = Response::new("resp", vec![Bytes::from(item.to_string())], Usage::default());
        Box::pin(std::future::ready(Ok(response)))
    }
}

fn call(id: &str, name: &str, arguments: &Value) -> Value {
    json!({"type": "function_call", "id": format!("fc_{id}"), "name": name, "arguments": arguments.to_string(),
        "call_id": id})
}

fn session_in(output: &str) -> Option<SessionId> {
    output.lines().find_map(|line| line.strip_prefix("Process running with session ID ")).map(|id| id.parse().unwrap())
}

fn exec(id: &'static str, cmd: &str) -> Reply {
    Reply::Call(id, "exec_command", json!({"cmd": cmd, "yield_time_ms": 250}))
}

/// An agent at work, and what is seen of it.
struct Scene {
    script: Arc<Script>,
    journal: Arc<MemoryJournal>,
    running: Running,
    root: Arc<Seat>,
    folder: TempDir,
    subscription: Subscription,
    bell: Arc<Notify>,
    seen: Vec<Event>,
}

impl Scene {
    /// An agent whose model gives these replies.
    async fn with(replies: Vec<Reply>) -> Self {
        Self::prepared(replies, |_, _| {}).await
    }

    /// The same, of a seat that was prepared before anything happened.
    async fn prepared(replies: Vec<Reply>, prepare: impl FnOnce(&Running, &Seat)) -> Self {
        let script = Arc::new(Script { replies: Mutex::new(replies.into()), outputs: Mutex::default() });
        let journal = Arc::new(MemoryJournal::new());
        let model = Arc::new(Shared(Arc::clone(&script)));
        let processes = Processes::new(PROGRAM.into());
        let service = Service::new(journal.clone(), model, processes, "bash".into(), Arc::new(SystemClock));
        let settings = Settings { sandbox: SandboxPolicy::DangerFullAccess, ..Settings::default() };
        let folder = tempfile::tempdir().unwrap();
        let cwd = folder.path().to_str().unwrap().to_owned();
        let running = service.open(settings, &cwd, Ids::seeded(1)).await.unwrap();
        let root = running.tree.root().unwrap();
        let bell = Arc::new(Notify::new());
        let (_, subscription) = root.feed.subscribe(bell.clone(), || ());
        prepare(&running, &root);
        running.say("begin".into(), "input-1".into()).unwrap();
        Self { script, journal, running, root, folder, subscription, bell, seen: Vec::new() }
    }

    /// Reads the feed until something happens, and gives what was read.
    async fn until(&mut self, what: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some(news) = self.subscription.next(&self.root.feed) {
                let News::Change(Change { event, .. }) = news else { panic!("it lags") };
                self.seen.push(event.clone());
                if what(&event) {
                    return event;
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(tokio::time::timeout(left, self.bell.notified()).await.is_ok(), "never: {:#?}", self.seen);
        }
    }

    async fn turn_ended(&mut self) -> (TurnId, Outcome) {
        match self.until(|event| matches!(event, Event::TurnEnded { .. })).await {
            Event::TurnEnded { turn, outcome, .. } => (turn, outcome),
            _ => unreachable!(),
        }
    }

    /// Reads on until the item of a call is complete: its turn and its JSON.
    async fn completed(&mut self, call: &str) -> (TurnId, Value) {
        let is_it = |event: &Event| matches!(event, Event::ItemCompleted { snapshot: Some(snapshot), .. } if json(snapshot)["id"] == call);
        match self.until(is_it).await {
            Event::ItemCompleted { turn, snapshot: Some(snapshot), .. } => (turn, json(&snapshot)),
            _ => unreachable!(),
        }
    }

    /// What was shown of a command's output while it ran.
    fn shown(&self, call: &str) -> String {
        let deltas = self.seen.iter().filter_map(|event| match event {
            Event::Delta { item, part: Part::Output, text, .. } if item.as_str() == call => Some(text.as_str()),
            _ => None,
        });
        deltas.collect()
    }

    /// The outputs that the model has read, by call.
    fn output(&self, call: &str) -> String {
        let outputs = self.script.outputs.lock();
        outputs.iter().find(|(id, _)| id == call).unwrap_or_else(|| panic!("{call} has no output")).1.clone()
    }

    /// The lines of the rollout that show a completed command: turn and item.
    fn lines(&self) -> Vec<(TurnId, Value)> {
        let rollout = self.journal.read(self.root.thread).unwrap();
        let payloads = rollout.lines().map(|line| {
            let view = line.view().unwrap();
            serde_json::from_str::<Value>(view.payload.get()).unwrap()
        });
        payloads
            .filter(|payload| payload["item"]["type"] == "CommandExecution")
            .map(|payload| (payload["turn_id"].as_str().unwrap().into(), payload["item"].clone()))
            .collect()
    }

    fn touch(&self, name: &str) {
        std::fs::write(self.folder.path().join(name), "").unwrap();
    }

    /// Waits until a command has written its process id to a file.
    async fn pid(&self, name: &str) -> i32 {
        let file = self.folder.path().join(name);
        let mut pid = None;
        eventually(name, || {
            pid = read_pid(&file);
            pid.is_some()
        })
        .await;
        pid.unwrap()
    }
}

fn json(snapshot: &Snapshot) -> Value {
    serde_json::from_str(snapshot.item.get()).unwrap()
}

fn read_pid(file: &Path) -> Option<i32> {
    std::fs::read_to_string(file).ok()?.strip_suffix('\n')?.parse().ok()
}

fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| !rest.starts_with('Z')))
}

/// Looks until it holds, while the runtime goes on.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What stands below `Output:`.
fn said(output: &str) -> &str {
    output.split_once("\nOutput:\n").unwrap_or_else(|| panic!("{output}")).1
}

#[tokio::test]
async fn a_command_is_typed_to_and_its_deltas_outputs_and_item_say_the_same() {
    let script = "echo begin; read x; echo got $x; echo ä€ >&2; exit 3";
    let mut scene = Scene::with(vec![
        Reply::Call("c1", "exec_command", json!({"cmd": script, "tty": true, "yield_time_ms": 250})),
        Reply::Type("c2", json!({"chars": "hello\n", "yield_time_ms": 30_000})),
        Reply::Call("c3", "write_stdin", json!({"session_id": 1, "chars": "more"})),
    ])
    .await;
    let (turn, item) = scene.completed("c1").await;
    assert_eq!(scene.turn_ended().await, (turn.clone(), Outcome::Completed));
    let session = session_in(&scene.output("c1")).expect("it runs");
    let whole = "begin\r\nhello\r\ngot hello\r\nä€\r\n";
    assert_eq!(scene.shown("c1"), whole);
    assert_eq!(said(&scene.output("c1")).to_owned() + said(&scene.output("c2")), whole);
    assert!(scene.output("c2").contains("\nProcess exited with code 3\n"), "{}", scene.output("c2"));
    assert_eq!(scene.output("c3"), "write_stdin failed: Unknown process id 1");
    let wall = item["duration"].clone();
    let cwd = format!("file://{}", scene.folder.path().display());
    let expected = json!({
        "type": "CommandExecution", "id": "c1", "process_id": session.to_string(), "command": ["bash", "-c", script],
        "cwd": cwd, "parsed_cmd": [{"type": "unknown", "cmd": script}], "source": "unified_exec_startup",
        "status": "failed", "aggregated_output": whole, "exit_code": 3, "duration": wall,
    });
    assert_eq!(item, expected);
    assert_eq!(scene.lines(), [(turn.clone(), expected)], "typing has no item of its own");
    // It began under its name, it was said that it goes on, and what was typed.
    let told: Vec<String> = scene
        .seen
        .iter()
        .filter_map(|event| match event {
            Event::ItemStarted { snapshot: Some(snapshot), .. } if json(snapshot)["id"] == "c1" => {
                Some(format!("started {}", json(snapshot)["process_id"].as_str().unwrap()))
            }
            Event::Detached { item, .. } => Some(format!("detached {item}")),
            Event::Typed { turn: of, item, session, chars } => {
                assert_eq!(*of, turn);
                Some(format!("typed {chars:?} into {session} of {item}"))
            }
            Event::ItemCompleted { snapshot: Some(snapshot), .. } if json(snapshot)["id"] == "c1" => {
                Some("completed".to_owned())
            }
            _ => None,
        })
        .collect();
    let typed = format!("typed \"hello\\n\" into {session} of c1");
    assert_eq!(told, [&*format!("started {session}"), "detached c1", &*typed, "completed"]);
    scene.running.shutdown().await;
}

#[tokio::test]
async fn a_command_in_the_background_survives_an_interrupt_and_its_end_is_told_as_of_its_turn() {
    let script = "until [ -e go ]; do sleep 0.01; done; echo late";
    let mut scene = Scene::with(vec![exec("c1", script), Reply::Silence]).await;
    scene.until(|event| matches!(event, Event::Detached { .. })).await;
    let turn = scene.root.view().turn.expect("a turn is open");
    let listed = scene.running.tree.terminals(&scene.root);
    assert_eq!(
        listed.iter().map(|one| (one.about.call.as_str(), &*one.about.command)).collect::<Vec<_>>(),
        [("c1", script)]
    );
    assert_eq!((listed[0].about.cwd.as_path(), listed[0].group.id), (scene.folder.path(), listed[0].id.0));
    scene.running.tree.interrupt(&scene.root, turn.clone(), Interrupter::User);
    assert_eq!(scene.turn_ended().await, (turn.clone(), Outcome::Cancelled));
    assert_eq!(scene.lines(), []);
    assert_eq!(scene.running.tree.terminals(&scene.root), listed, "it survives");
    scene.touch("go");
    let (of, item) = scene.completed("c1").await;
    assert_eq!((&of, &item["aggregated_output"], &item["status"]), (&turn, &json!("late\n"), &json!("completed")));
    assert_eq!(scene.shown("c1"), "late\n", "shown after its turn, too");
    assert_eq!(scene.lines(), [(turn, item)]);
    assert_eq!(scene.running.tree.terminals(&scene.root), []);
    scene.running.shutdown().await;
}

#[tokio::test]
async fn a_command_in_the_background_outlives_its_turn_and_wakes_its_agent_to_tell_its_end() {
    let mut scene = Scene::with(vec![exec("c1", "until [ -e go ]; do sleep 0.01; done; exit 4")]).await;
    let (turn, outcome) = scene.turn_ended().await;
    assert_eq!(outcome, Outcome::Completed);
    scene.running.at_rest().await;
    scene.touch("go");
    let (of, item) = scene.completed("c1").await;
    assert_eq!((of, &item["exit_code"]), (turn, &json!(4)));
    scene.running.at_rest().await;
    scene.running.shutdown().await;
}

#[tokio::test]
async fn a_command_that_is_still_waited_for_ends_with_its_turn() {
    let wait = json!({"cmd": "echo $$ > pid; sleep 300", "yield_time_ms": 30_000});
    let mut scene = Scene::with(vec![Reply::Call("c1", "exec_command", wait)]).await;
    let pid = scene.pid("pid").await;
    let turn = scene.root.view().turn.expect("a turn is open");
    scene.running.tree.interrupt(&scene.root, turn, Interrupter::User);
    assert_eq!(scene.turn_ended().await.1, Outcome::Cancelled);
    eventually("it ends", || !is_alive(pid)).await;
    scene.running.shutdown().await;
}

#[tokio::test]
async fn nothing_outlives_the_tree() {
    let mut scene = Scene::with(vec![exec("c1", "echo $$ > pid; trap '' TERM; sleep 300; sleep 300")]).await;
    scene.turn_ended().await;
    let pid = scene.pid("pid").await;
    assert!(is_alive(pid));
    scene.running.shutdown().await;
    // The seat is still held here: it is the tree's end that counts.
    eventually("it ends", || !is_alive(pid)).await;
    assert_eq!(scene.root.background.list(), []);
}

#[tokio::test]
async fn commands_are_ended_by_name_and_all_at_once() {
    let mut scene = Scene::with(vec![exec("c1", "sleep 300"), exec("c2", "sleep 300"), exec("c3", "sleep 300")]).await;
    scene.turn_ended().await;
    let tree = Arc::clone(&scene.running.tree);
    let ids: Vec<_> = tree.terminals(&scene.root).into_iter().map(|one| (one.about.call.to_string(), one.id)).collect();
    let of = |call: &str| ids.iter().find(|(id, _)| id == call).expect("it runs").1;
    assert!(tree.end_terminal(&scene.root, of("c2")));
    let (_, item) = scene.completed("c2").await;
    assert_eq!((&item["status"], &item["exit_code"]), (&json!("failed"), &json!(143)));
    assert!(!tree.end_terminal(&scene.root, of("c2")));
    assert_eq!(tree.end_terminals(&scene.root), 2);
    let ended = |event: &Event| matches!(event, Event::ItemCompleted { snapshot: Some(snapshot), .. } if json(snapshot)["exit_code"] == 143);
    scene.until(ended).await;
    scene.until(ended).await;
    assert_eq!(tree.terminals(&scene.root), []);
    scene.running.shutdown().await;
}

#[tokio::test]
async fn a_command_without_a_terminal_takes_nothing_but_an_interrupt() {
    let mut scene = Scene::with(vec![
        exec("c1", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.01; done"),
        Reply::Type("c2", json!({"chars": "x"})),
        Reply::Type("c3", json!({"chars": "\u{3}", "yield_time_ms": 30_000})),
    ])
    .await;
    let (_, item) = scene.completed("c1").await;
    scene.turn_ended().await;
    assert_eq!((&item["aggregated_output"], &item["exit_code"]), (&json!("ready\ncaught\n"), &json!(5)));
    assert_eq!(
        scene.output("c2"),
        "write_stdin failed: stdin is closed for this session; run the command with tty=true to type into it"
    );
    scene.running.shutdown().await;
}

#[tokio::test]
async fn a_command_past_its_time_survives_while_its_clock_is_stopped() {
    for (is_paused, how) in [(true, "Process exited with code 0"), (false, "Process timed out and was killed")] {
        let timed = json!({"cmd": "sleep 1; echo over", "timeout_ms": 300});
        let replies = vec![Reply::Call("c1", "exec_command", timed)];
        let prepare = |running: &Running, root: &Seat| running.tree.pause_commands(root, is_paused);
        let mut scene = Scene::prepared(replies, prepare).await;
        scene.turn_ended().await;
        assert!(scene.output("c1").contains(how), "{}", scene.output("c1"));
        scene.running.shutdown().await;
    }
}

#[tokio::test]
async fn a_model_gets_no_more_output_than_it_asks_for() {
    let mut scene = Scene::with(vec![Reply::Call(
        "c1",
        "exec_command",
        json!({"cmd": "printf '%0100d' 0", "max_output_tokens": 5, "yield_time_ms": 30_000}),
    )])
    .await;
    let (_, item) = scene.completed("c1").await;
    scene.turn_ended().await;
    assert_eq!(said(&scene.output("c1")), "0000000000\n[... 80 bytes omitted ...]\n0000000000");
    assert_eq!(item["aggregated_output"], "0".repeat(100));
    assert_eq!(scene.shown("c1"), "0".repeat(100));
    scene.running.shutdown().await;
}
