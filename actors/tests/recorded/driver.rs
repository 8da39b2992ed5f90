//! A tree that runs against a recording: the shipped machine, shell and tree over a journal in memory, the smallest
//! driver that can move them, and a model that says what the recorded one said. Nothing goes wrong here; time is what
//! the recording took.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sapwood_actors::agent::effect::{ExecCall, Timer, Typing};
use sapwood_actors::agent::input::{Planned, ToolEnd, ToolResult};
use sapwood_actors::agent::volatile::Slot;
use sapwood_actors::agent::{Agent, Input, Settings};
use sapwood_actors::clock::Clock;
use sapwood_actors::seat::{Message, Seat};
use sapwood_actors::shell::{Begin, Shell, Slots, Workers};
use sapwood_actors::tree::{Supervision, Tree};
use sapwood_actors::workers::Confined;
use sapwood_mailbox::{Doorbell, Lane};
use sapwood_model::{Request, Response};
use sapwood_protocol::approval::SandboxPolicy;
use sapwood_protocol::own::{Accepted, Body, InputLane, ProcessGroup};
use sapwood_protocol::{AgentPath, CallId, Ids, Millis, SessionId, ThreadId, TurnId};
use sapwood_rollout::{Journal, MemoryJournal};
use sapwood_supervisor::core::Need;
use serde_json::Value;

use crate::empty;
use crate::fixture::{Answer, Fixture, lines};

/// Deliveries after which a run is taken to hang.
const MAX_STEPS: usize = 10_000;

/// Decisions of a run, at most; the longest recording takes some hundreds.
const MAX_DECISIONS: u64 = 20_000;

enum Delivery {
    Start { granted: bool },
    Granted,
    Bell,
    Post(Input),
}

#[derive(Default)]
struct State {
    queue: BTreeMap<(u64, u64), (ThreadId, Delivery)>,
    posted: u64,
    now: u64,
    started: BTreeSet<ThreadId>,
    answers: BTreeMap<AgentPath, VecDeque<Answer>>,
    results: BTreeMap<CallId, ToolResult>,
    requests: BTreeMap<AgentPath, Vec<Vec<Value>>>,
}

impl State {
    fn later(&mut self, after: u64, thread: ThreadId, delivery: Delivery) {
        self.posted += 1;
        self.queue.insert((self.now + after, self.posted), (thread, delivery));
    }
}

type Shared = Arc<Mutex<State>>;

/// The time of the run, and how often it was asked for: each decision asks, so one that never comes to an end is seen.
struct Now(Arc<AtomicU64>, AtomicU64);

impl Clock for Now {
    fn now(&self) -> Millis {
        let asked = self.1.fetch_add(1, Ordering::Relaxed);
        assert!(asked < MAX_DECISIONS, "more than {MAX_DECISIONS} decisions");
        Millis(self.0.load(Ordering::Relaxed))
    }
}

/// Every seat that is woken starts, and every slot that is wanted is granted.
struct Everyone(Shared);

impl Supervision for Everyone {
    fn add(&self, _: &Arc<Seat>) -> Result<(), String> {
        Ok(())
    }

    fn wake(&self, thread: ThreadId, need: Need) {
        let mut state = self.0.lock();
        if state.started.insert(thread) {
            state.later(0, thread, Delivery::Start { granted: need == Need::NewTurn });
        }
    }
}

struct Granting(Shared, ThreadId);

impl Slots for Granting {
    fn want(&self, _: Need) {
        self.0.lock().later(0, self.1, Delivery::Granted);
    }

    fn give_back(&self) {}
}

struct Bell(Shared, ThreadId);

impl Doorbell for Bell {
    fn ring(&self) -> bool {
        self.0.lock().later(0, self.1, Delivery::Bell);
        true
    }
}

struct Replay(Shared, ThreadId);

impl Replay {
    fn post(&self, after: u64, input: Input) {
        self.0.lock().later(after, self.1, Delivery::Post(input));
    }
}

impl Workers for Replay {
    fn sample(&mut self, effect: u64, request: Request) {
        let path = request.origin.path;
        let body: Value = serde_json::from_slice(&request.body.concat()).unwrap();
        let answer = {
            let mut state = self.0.lock();
            state.requests.entry(path.clone()).or_default().push(body["input"].as_array().unwrap().clone());
            let answers = state.answers.get_mut(&path).unwrap_or_else(|| panic!("{path} is in no recording"));
            answers.pop_front().unwrap_or_else(|| panic!("{path} asks more often than it did in the recording"))
        };
        let items = answer.items.iter().map(|item| item.to_string().into()).collect();
        let response = Response::new(answer.id, items, answer.usage);
        self.post(answer.at - answer.since, Input::Sampled { effect, result: Ok(response) });
    }

    fn cancel_sample(&mut self) {
        panic!("nobody interrupts");
    }

    fn hold(&mut self, effect: u64, call: CallId, _: TurnId, _: ExecCall, _: Confined) {
        self.post(1, Input::Held { effect, call, group: ProcessGroup { id: i32::MAX, start: 1 } });
    }

    fn type_into(&mut self, _: CallId, _: TurnId, _: Typing) {
        panic!("no recording types");
    }

    fn release(&mut self, call: &CallId) {
        let result = self.0.lock().results.get(call).cloned();
        let result = result.unwrap_or_else(|| panic!("{call} did not run in the recording"));
        self.post(1, Input::ToolEnded { call: call.clone(), result });
    }

    fn kill(&mut self, call: &CallId) {
        panic!("nobody kills {call}");
    }

    fn plan(&mut self, effect: u64, call: CallId, patch: Arc<str>, place: Confined) {
        let result = empty::look(&patch, &place.cwd);
        self.post(1, Input::Planned { effect, call, result });
    }

    fn apply(&mut self, call: CallId, planned: Arc<Planned>, _: Confined, _: TurnId) {
        self.post(1, Input::Patched { call, result: empty::done(planned) });
    }

    fn timer(&mut self, timer: Timer, at: Millis) {
        let now = self.0.lock().now;
        self.post(at.0.saturating_sub(now), Input::Due(timer));
    }
}

/// What a command came to, from the output that was recorded.
fn result(output: &str) -> Option<ToolResult> {
    let (head, output) = output.split_once("\nOutput:\n")?;
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let code = value("Process exited with code ")?.parse().unwrap();
    let wall = value("Wall time: ")?.strip_suffix(" seconds")?.parse().unwrap();
    let total_bytes = output.len() as u64;
    Some(ToolResult {
        end: ToolEnd::Exited(code),
        output: output.into(),
        total_bytes,
        wall: Duration::from_secs_f64(wall),
        is_denied: false,
    })
}

struct Live {
    mailbox: sapwood_mailbox::Incarnation,
    shell: Shell<Replay, Granting>,
}

/// Runs the tree of a recording to its end. Gives the `input` of each request, agent by agent, in order.
pub fn run(fixture: &Fixture) -> BTreeMap<AgentPath, Vec<Vec<Value>>> {
    let root = fixture.thread(&AgentPath::root()).unwrap();
    let meta = lines(&fixture.rollouts[&root]).next().unwrap();
    let start = Millis::parse(meta["timestamp"].as_str().unwrap()).unwrap();
    let clock = Arc::new(AtomicU64::new(start.0));
    let disk = MemoryJournal::new();
    let settings = Settings {
        base_instructions: meta["payload"]["base_instructions"]["text"].as_str().unwrap().into(),
        sandbox: SandboxPolicy::DangerFullAccess,
        ..Settings::default()
    };
    let mut ids = Ids::seeded(1);
    let session = SessionId::from(ids.thread(start));
    let tree = Tree::new(
        session,
        Arc::new(settings),
        Arc::new(disk.clone()),
        Arc::new(Now(Arc::clone(&clock), AtomicU64::new(0))),
        ids.clone(),
    );
    let shared = Shared::new(Mutex::new(State { now: start.0, ..recorded(fixture) }));
    tree.supervise(Box::new(Everyone(Arc::clone(&shared)))).unwrap();

    let mut world = World { tree, shared, clock, live: BTreeMap::new() };
    for (n, text) in fixture.said(root).into_iter().enumerate() {
        let id = format!("input-{n}").into();
        match world.tree.root() {
            Some(root) => drop(world.tree.say(&root, id, text).unwrap()),
            None => {
                let body = text.map(Body::user);
                let first = Accepted { id, place: 0, lane: InputLane::User, wake: true, from: None, body, turn: None };
                let cwd = meta["payload"]["cwd"].as_str().unwrap();
                world.tree.make_root(cwd, Some(&first)).unwrap();
            }
        }
        world.settle();
    }
    for (thread, live) in &world.live {
        assert_eq!(Agent::fold(disk.read(*thread).unwrap().lines()), *live.shell.machine().agent());
    }
    let mut state = world.shared.lock();
    for (path, left) in &state.answers {
        assert!(left.is_empty(), "{path} asked less often than in the recording: {left:?}");
    }
    std::mem::take(&mut state.requests)
}

fn recorded(fixture: &Fixture) -> State {
    let mut state = State::default();
    for (thread, rollout) in &fixture.rollouts {
        state.answers.insert(fixture.path(*thread), fixture.answers(*thread).into());
        for line in lines(rollout).filter(|line| line["payload"]["type"] == "function_call_output") {
            let call = line["payload"]["call_id"].as_str().unwrap().into();
            if let Some(result) = result(line["payload"]["output"].as_str().unwrap()) {
                state.results.insert(call, result);
            }
        }
    }
    state
}

struct World {
    tree: Arc<Tree>,
    shared: Shared,
    clock: Arc<AtomicU64>,
    live: BTreeMap<ThreadId, Live>,
}

impl World {
    /// Delivers what is under way until nothing is.
    fn settle(&mut self) {
        for _ in 0..MAX_STEPS {
            let next = self.shared.lock().queue.pop_first();
            let Some(((at, _), (thread, delivery))) = next else {
                let active = {
                    let a = *self.tree.activity().borrow();
                    a.working + a.waiting
                };
                assert_eq!(active, 0, "agents have something to do and nothing moves them");
                return;
            };
            self.shared.lock().now = at;
            self.clock.store(at, Ordering::Relaxed);
            match delivery {
                Delivery::Start { granted } => self.start(thread, granted),
                Delivery::Granted => {
                    let shell = &mut self.live.get_mut(&thread).unwrap().shell;
                    // A wish that was taken back is not granted.
                    if shell.machine().volatile().slot == Slot::Wanted {
                        shell.granted().unwrap();
                    }
                }
                Delivery::Bell => self.bell(thread),
                Delivery::Post(input) => {
                    let seat = self.tree.seat(thread).unwrap();
                    assert!(seat.mailbox.try_send(Lane::Continuation, 0, Message::Input(input)).is_ok());
                }
            }
        }
        panic!("not at rest after {MAX_STEPS} deliveries");
    }

    fn start(&mut self, thread: ThreadId, granted: bool) {
        let seat = self.tree.seat(thread).unwrap();
        let attached = seat.mailbox.attach(Arc::new(Bell(Arc::clone(&self.shared), thread)));
        let (workers, slots) = (Replay(Arc::clone(&self.shared), thread), Granting(Arc::clone(&self.shared), thread));
        let mut shell = Shell::load(Arc::clone(&self.tree), seat, workers, slots, granted).unwrap();
        shell.begin(Begin::Work(None)).unwrap();
        self.live.insert(thread, Live { mailbox: attached.incarnation, shell });
    }

    fn bell(&mut self, thread: ThreadId) {
        let seat = self.tree.seat(thread).unwrap();
        let live = self.live.get_mut(&thread).unwrap();
        let mut batch = Vec::new();
        let more = seat.mailbox.lease(live.mailbox, usize::MAX, &mut batch);
        for envelope in batch {
            assert!(seat.mailbox.begin(live.mailbox, envelope.seq));
            live.shell.handle(&envelope.msg).unwrap();
            seat.mailbox.ack(live.mailbox, envelope.seq);
        }
        if more {
            self.shared.lock().later(0, thread, Delivery::Bell);
        }
    }
}
