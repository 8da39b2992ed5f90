//! What Codex's model was asked and said, once more over HTTP: the program is told what the recorded client said, the
//! server says what the recorded model said, and each request is the recorded one. What differs on purpose is listed in
//! `differences.rs`, and with the items that a run in one process has too, in `actors/tests/recorded/exempt.rs`.

mod differences;
#[path = "../../actors/tests/recorded/exempt.rs"]
#[allow(dead_code, reason = "shared with the run in one process")]
mod exempt;
#[path = "../../actors/tests/recorded/fixture.rs"]
#[allow(dead_code, reason = "shared with the run in one process")]
mod fixture;
mod replay;
mod same;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;

use sapwood_protocol::{AgentPath, ThreadId};
use sapwood_testkit::Received;
use serde_json::{Value, json};

use crate::loopback::{Config, KEY, Loop};
use crate::support::Ran;

use fixture::{Fixture, lines};
use replay::Replay;
use same::Compared;

/// The zone of the recordings, and the key.
const VARIABLES: [(&str, &str); 2] = [("LOOP_KEY", KEY), ("TZ", "Etc/UTC")];

/// A run of a recording.
struct Rerun {
    fixture: Fixture,
    world: Loop,
    root: ThreadId,
}

impl Rerun {
    async fn of(name: &str) -> Self {
        let fixture = Fixture::read(name);
        let replay = Replay::of(&fixture);
        let root = fixture.thread(&AgentPath::root()).unwrap();
        // The recorded model reasons so much if nothing is said.
        let config = Config { more: "model_reasoning_effort = \"medium\"", ..Config::default() };
        let world = Loop::start(config, move |request| replay.answer(request)).await;
        Self { fixture, world, root }
    }

    /// The first turn, in a process of its own. What is set here is kept by the thread.
    async fn begin(&self) -> Ran {
        let said = self.fixture.said(self.root)[0].clone().expect("a session begins with words");
        let model = self.fixture.received[&self.root][0]["model"].as_str().unwrap();
        let ran = self.world.exec_with(&VARIABLES, &["-c", &format!("model={model}"), &said]).await;
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert_eq!(ran.out.trim_end(), self.answered(0), "what the recorded model said in the end");
        ran
    }

    /// The last message of a turn of the recorded root.
    fn answered(&self, turn: usize) -> String {
        let mut ends = lines(&self.fixture.rollouts[&self.root]).filter(|l| l["payload"]["type"] == "task_complete");
        ends.nth(turn).unwrap()["payload"]["last_agent_message"].as_str().unwrap().to_owned()
    }

    /// Compares all requests, agent by agent, and what holds for each. Gives them in the order they came.
    fn compare(self, asked: &[(&str, usize)]) -> Vec<Received> {
        let mut compared = Compared::new(&self.fixture, &self.world.world);
        let mut ours: BTreeMap<String, Vec<Received>> = BTreeMap::new();
        let all = self.world.server.received();
        for request in &all {
            sent_exactly(request);
            ours.entry(request.agent_name()).or_default().push(request.clone());
        }
        let counts: Vec<_> = ours.iter().map(|(path, requests)| (path.as_str(), requests.len())).collect();
        assert_eq!(counts, asked, "how often each agent asked");
        // By turns, as they were recorded: an id that is in the history of one agent may be the id of another.
        for (path, ours) in &ours {
            let thread = self.fixture.thread(&path.parse().unwrap()).unwrap();
            let theirs = &self.fixture.received[&thread];
            assert_eq!(ours.len(), theirs.len(), "{path}");
            for (n, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                compared.request(&format!("{} {path}, request {n}", self.fixture.name), thread, theirs, ours);
            }
        }
        compared.end();
        crate::rollouts::check(&self.world.world);
        all
    }

    /// Writes into the root's rollout what Codex writes where it begins a turn without a word, and is killed.
    fn begin_turn_and_die(&self) {
        let begun: Vec<Value> = lines(&self.fixture.rollouts[&self.root])
            .filter(|line| line["payload"]["type"] == "task_started")
            .collect();
        let mut line = begun[1].clone();
        let [path] = &self.world.world.rollouts()[..] else { panic!("one thread") };
        let text = std::fs::read_to_string(path).unwrap();
        let ordinals = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let last = ordinals.filter_map(|line| line["ordinal"].as_u64()).max().unwrap();
        line["ordinal"] = json!(last + 1);
        writeln!(OpenOptions::new().append(true).open(path).unwrap(), "{line}").unwrap();
    }
}

/// A request is sent with its length, which is that of what came.
fn sent_exactly(request: &Received) {
    let lengths: Vec<_> =
        request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).collect();
    let [(_, length)] = lengths[..] else { panic!("one length: {lengths:?}") };
    assert_eq!(*length, request.body.len().to_string());
    assert_eq!(request.header("transfer-encoding"), None);
}

fn connections(requests: &[Received]) -> Vec<usize> {
    requests.iter().map(|request| request.connection).collect()
}

/// The second turn was begun without a word, which `exec` never does by itself: it goes on with what was cut short. So
/// the recorded client begins it, as a neighbour on the same rollout that dies before it asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_and_one_without_a_word() {
    let rerun = Rerun::of("01-simple-turn-paginated").await;
    let session = rerun.begin().await.session();
    rerun.begin_turn_and_die();
    let second = rerun.world.exec_with(&VARIABLES, &["resume", &session]).await;
    assert_eq!((second.code, second.out.trim_end()), (0, &*rerun.answered(1)), "{}", second.err);
    let requests = rerun.compare(&[("/root", 2)]);
    assert_eq!(connections(&requests), [0, 1], "one connection a process");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_side_by_side_and_tools_that_are_not_there() {
    let rerun = Rerun::of("02-shell-tools-paginated").await;
    rerun.begin().await;
    let requests = rerun.compare(&[("/root", 4)]);
    assert_eq!(connections(&requests), [0; 4], "one connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_spawn_wait_and_report() {
    let rerun = Rerun::of("04-multi-agent-v2").await;
    rerun.begin().await;
    let counts = rerun.world.server.counts();
    // While the first child is asked, the second and the root are too: all wait for each other to be there.
    assert_eq!((counts.peak, counts.connections, counts.closed_early), (3, 3, 0), "{counts:?}");
    rerun.compare(&[("/root", 5), ("/root/alpha", 1), ("/root/beta", 1)]);
}
