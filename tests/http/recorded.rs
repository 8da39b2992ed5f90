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
mod mutants;
mod replay;
mod same;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sapwood_protocol::{AgentPath, ThreadId};
use sapwood_testkit::Received;
use serde_json::{Value, json};

use crate::loopback::{Config, KEY, Loop};
use crate::support::Ran;

use fixture::{Fixture, lines, received};
use mutants::MUTANTS;
use replay::Replay;
use same::Compared;

/// The zone of the recordings, and the key.
const VARIABLES: [(&str, &str); 2] = [("LOOP_KEY", KEY), ("TZ", "Etc/UTC")];

/// A run of a recording.
struct Rerun {
    fixture: Fixture,
    /// The recorded requests.
    theirs: BTreeMap<ThreadId, Vec<Value>>,
    world: Loop,
    root: ThreadId,
}

impl Rerun {
    async fn of(name: &str) -> Self {
        let fixture = Fixture::read(name);
        let replay = Replay::of(&fixture);
        let root = fixture.thread(&AgentPath::root()).unwrap();
        // Codex's defaults: how much the recorded model reasons, and that children have none of their own.
        let more = "model_reasoning_effort = \"medium\"\nagents.max_depth = 1";
        let config = Config { more, ..Config::default() };
        let world = Loop::start(config, move |request| replay.answer(request)).await;
        Self { fixture, theirs: received(name), world, root }
    }

    /// The first turn, in a process of its own. What is set here is kept by the thread.
    async fn begin(&self) -> Ran {
        let said = self.fixture.said(self.root)[0].clone().expect("a session begins with words");
        let model = self.theirs[&self.root][0]["model"].as_str().unwrap();
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

    /// Compares all requests with the recorded ones. `resumed` is the number of the first that a later process made.
    /// Gives them in the order they came.
    fn compare(&self, asked: &[(&str, usize)], resumed: usize) -> Vec<Received> {
        let all = self.world.server.received();
        self.assert_recorded(&all, asked, resumed);
        crate::rollouts::check(&self.world.world);
        all
    }

    /// The requests are the recorded ones: of each agent as many, and in the same order.
    fn assert_recorded(&self, all: &[Received], asked: &[(&str, usize)], resumed: usize) {
        let mut compared = Compared::new(&self.fixture, &self.world.world, resumed);
        let mut ours: BTreeMap<String, Vec<&Received>> = BTreeMap::new();
        for request in all {
            assert_sent_exactly(request);
            ours.entry(request.agent_name()).or_default().push(request);
        }
        let counts: Vec<_> = ours.iter().map(|(path, requests)| (path.as_str(), requests.len())).collect();
        assert_eq!(counts, asked, "how often each agent asked");
        for (path, ours) in &ours {
            let thread = self.fixture.thread(&path.parse().unwrap()).unwrap();
            let theirs = &self.theirs[&thread];
            assert_eq!(ours.len(), theirs.len(), "{path}");
            for (n, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                compared.request(&format!("{} {path}, request {n}", self.fixture.name), thread, theirs, ours);
            }
        }
        compared.end();
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
fn assert_sent_exactly(request: &Received) {
    let lengths: Vec<_> =
        request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).collect();
    let [(_, length)] = lengths[..] else { panic!("one length: {lengths:?}") };
    assert_eq!(*length, request.body.len().to_string(), "{request:?}: the length");
    assert_eq!(request.header("transfer-encoding"), None);
}

/// The connections of some requests, each once. A connection is free a moment after the last byte of its answer was
/// read: the HTTP client gives it back on a task of its own, and a request that comes in this moment opens another. So
/// there is an exact number where a command or a start is between an answer and the next request, a bound elsewhere.
fn connections(requests: &[Received]) -> BTreeSet<usize> {
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
    let requests = rerun.compare(&[("/root", 2)], 1);
    assert_eq!(requests.iter().map(|request| request.connection).collect::<Vec<_>>(), [0, 1], "one a process");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_side_by_side_and_tools_that_are_not_there() {
    let rerun = Rerun::of("02-shell-tools-paginated").await;
    rerun.begin().await;
    let requests = rerun.compare(&[("/root", 4)], usize::MAX);
    assert_eq!(connections(&requests[..2]).len(), 1, "commands ran before the second request");
    // Nothing ran before the others: there are no such tools.
    assert!(connections(&requests).len() <= 3, "{requests:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_that_spawn_wait_and_report() {
    let rerun = Rerun::of("04-multi-agent-v2").await;
    rerun.begin().await;
    let counts = rerun.world.server.counts();
    let asked = [("/root", 5), ("/root/alpha", 1), ("/root/beta", 1)];
    let requests = rerun.compare(&asked, usize::MAX);
    // While the first child is asked, so are the second and the root: an answer waits for what was recorded before it.
    assert!(counts.peak >= asked.len() && counts.closed_early == 0, "{counts:?}");
    // The root asks twice right after an answer.
    assert!(connections(&requests).len() <= asked.len() + 2, "{requests:?}");

    // And no request could have been another, in anything.
    let last = requests.iter().rposition(|request| request.agent_name() == "/root").unwrap();
    for (what, change) in MUTANTS {
        let mut changed = requests.clone();
        change(&mut changed[last]);
        let compared = catch_unwind(AssertUnwindSafe(|| rerun.assert_recorded(&changed, &asked, usize::MAX)));
        assert!(compared.is_err(), "not seen: {what}");
    }
}
