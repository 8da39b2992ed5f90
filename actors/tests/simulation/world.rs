//! The world of the simulation: a queue of deliveries in a seeded order, a clock that jumps from one to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sapwood_actors::agent::input::{Interrupter, ToolResult};
use sapwood_actors::agent::settings::OnUsageLimit;
use sapwood_actors::agent::{Agent, Input, Settings};
use sapwood_actors::fold;
use sapwood_actors::seat::Message;
use sapwood_actors::service::load;
use sapwood_actors::shell::{Begin, Shell};
use sapwood_actors::tree::{Activity, Tree};
use sapwood_mailbox::Lane;
use sapwood_model::Script;
use sapwood_protocol::approval::ApprovalPolicy;
use sapwood_protocol::asked::Asked;
use sapwood_protocol::own::{Accepted, Body, InputLane, Said};
use sapwood_protocol::{Ids, Line, Millis, SessionId, ThreadId, TurnId};
use sapwood_rollout::{Failure, Journal, Lag, MemoryJournal};
use sapwood_supervisor::core::{self, Action, Config, Event, Exit, Incarnation};

use crate::ports::{Common, Delivery, Shared, SimBell, SimClock, SimSlots, SimSupervision, SimWorkers};
use crate::{asks, rules};

/// Steps after which a world that is not at rest is taken to hang.
const MAX_STEPS: u64 = 50_000;

/// What goes wrong, how often at most.
#[derive(Clone, Copy, Debug)]
pub struct Chaos {
    /// Deaths of the process.
    pub kills: u32,
    /// Crashes of incarnations.
    pub crashes: u32,
    /// Appends that fail, with a part written or not.
    pub failures: u32,
    /// Usage limits that strike, each for a while.
    pub limits: u32,
    /// The disk is two writes behind.
    pub lag: bool,
    /// People and clients are asked, and answer at any time, twice, and late.
    pub asks: bool,
    /// What a user does meanwhile: says more, interrupts turns that began and that have yet to, runs commands of his own.
    pub acts: u32,
}

impl Chaos {
    /// Nothing goes wrong.
    pub const NONE: Chaos = Chaos { kills: 0, crashes: 0, failures: 0, limits: 0, lag: false, asks: false, acts: 0 };
}

struct Live {
    inc: Incarnation,
    mailbox: sapwood_mailbox::Incarnation,
    shell: Shell<SimWorkers, SimSlots>,
}

/// A seeded world with one tree.
pub struct World {
    chaos: Chaos,
    session: SessionId,
    settings: Settings,
    disk: MemoryJournal,
    clock: Arc<AtomicU64>,
    common: Common,
    tree: Arc<Tree>,
    live: BTreeMap<ThreadId, Live>,
    /// All that was ever seen to be asked.
    known: Vec<(ThreadId, Arc<Asked>)>,
    /// The newest turn that the user was told of.
    told: Option<TurnId>,
    seed: u64,
}

impl World {
    /// A world in which a user has said the first thing.
    pub fn new(seed: u64, chaos: Chaos) -> Self {
        let mut chance = Ids::seeded(seed);
        let disk = MemoryJournal::new();
        if chaos.lag {
            disk.set_lag(Lag::Writes(2));
        }
        let slots = (chance.bits() % 3 + 1) as u32;
        let on_usage_limit = if seed.is_multiple_of(2) { OnUsageLimit::Pause } else { OnUsageLimit::Wait };
        let approval_policy = match chaos.asks {
            false => ApprovalPolicy::Never,
            true if seed.is_multiple_of(3) => ApprovalPolicy::Untrusted,
            true => ApprovalPolicy::OnRequest,
        };
        let settings = Settings { slots, on_usage_limit, approval_policy, ..Settings::default() };
        let clock = Arc::new(AtomicU64::new(1_795_219_433_000));
        let now = clock.load(Ordering::Relaxed);
        let session = SessionId::from(chance.thread(Millis(now)));
        let script: &[u8] =
            if chaos.asks { include_bytes!("script_of_asks.json") } else { include_bytes!("script.json") };
        let script = Arc::new(Script::from_json(script).unwrap());
        let core = core::Tree::new(Config { slots, seed, ..Config::default() });
        let shared = Shared {
            core,
            queue: BTreeMap::new(),
            chance,
            now,
            script,
            asks: chaos.asks,
            acted: (0, 0),
            limited_until: 0,
            ledger: Vec::new(),
            confined: BTreeSet::new(),
            running: BTreeSet::new(),
            classes: BTreeMap::new(),
        };
        let common = Arc::new(Mutex::new(shared));
        let tree = Self::tree(session, &settings, &disk, &clock, seed);
        tree.supervise(Box::new(SimSupervision(Arc::clone(&common)))).unwrap();
        let body = Some(Body::user("begin"));
        let first =
            Accepted { id: "first".into(), place: 0, lane: InputLane::User, wake: true, from: None, body, turn: None };
        tree.make_root("/workspace", Some(&first)).unwrap();
        Self {
            chaos,
            session,
            settings,
            disk,
            clock,
            common,
            tree,
            live: BTreeMap::new(),
            known: Vec::new(),
            told: None,
            seed,
        }
    }

    fn tree(
        session: SessionId,
        settings: &Settings,
        disk: &MemoryJournal,
        clock: &Arc<AtomicU64>,
        seed: u64,
    ) -> Arc<Tree> {
        let (journal, clock) = (Arc::new(disk.clone()), Arc::new(SimClock(Arc::clone(clock))));
        Tree::new(session, Arc::new(settings.clone()), journal, clock, Ids::seeded(seed ^ 0x5eed))
    }

    /// Somebody answers: a question that is open, most of the time, and now and then one that was.
    fn answer(&mut self) {
        let open: Vec<_> = (self.tree.seats().into_iter())
            .flat_map(|seat| seat.view().asks.into_iter().map(move |asked| (Arc::clone(&seat), asked)))
            .collect();
        self.known.extend(open.iter().map(|(seat, asked)| (seat.thread, Arc::clone(asked))));
        let bits = || self.common.lock().chance.bits();
        if let Some((thread, asked)) = self.known.get(bits() as usize % self.known.len().max(1))
            && bits().is_multiple_of(4)
            && let Some(seat) = self.tree.seat(*thread)
        {
            let is_open = seat.view().asks.iter().any(|open| open.id == asked.id);
            let heard = self.tree.answer(&seat, &asked.id, asks::any_answer(&asked.what, bits()));
            assert!(is_open || !heard, "seed {}: {asked:?} was answered late, and heard", self.seed);
        }
        if open.is_empty() {
            return;
        }
        let (seat, asked) = &open[bits() as usize % open.len()];
        self.tree.answer(seat, &asked.id, asks::any_answer(&asked.what, bits()));
        if bits().is_multiple_of(3) {
            let heard = self.tree.answer(seat, &asked.id, asks::any_answer(&asked.what, bits()));
            assert!(!heard, "seed {}: {asked:?} was answered twice, and both were heard", self.seed);
        }
    }

    /// The user does something. What the disk refuses was not accepted.
    fn act_as_user(&mut self) {
        self.chaos.acts -= 1;
        let root = self.tree.root().unwrap();
        let (what, id) = {
            let mut shared = self.common.lock();
            (shared.chance.bits() % 3, format!("user-{:016x}", shared.chance.bits()))
        };
        match what {
            0 => {
                let said = Said::text("more");
                self.told = self.tree.turn(&root, id.as_str().into(), said, None).ok().or(self.told.take());
            }
            1 => {
                let turn = self.told.clone().or_else(|| root.view().next_turn());
                turn.into_iter().for_each(|turn| self.tree.interrupt(&root, turn, Interrupter::User));
            }
            _ => drop(self.tree.user_shell(&root, id.as_str().into(), "run".into(), None, None)),
        }
    }

    fn chance(&self, one_in: u64) -> bool {
        self.common.lock().chance.bits().is_multiple_of(one_in)
    }

    /// Runs until nothing is left to be delivered.
    pub fn run(&mut self) {
        for _ in 0..MAX_STEPS {
            if self.chaos.asks && self.chance(12) {
                self.answer();
            }
            if self.chaos.acts > 0 && self.chance(20) {
                self.act_as_user();
            }
            let next = {
                let mut shared = self.common.lock();
                let next = shared.queue.pop_first();
                if let Some(((at, _), _)) = &next {
                    shared.now = shared.now.max(*at);
                    self.clock.store(shared.now, Ordering::Relaxed);
                }
                next
            };
            let Some((_, delivery)) = next else {
                if self.tree.activity().borrow().asking > 0 {
                    self.answer();
                    continue;
                }
                if self.go_on_after_the_limit() {
                    continue;
                }
                return;
            };
            if self.chaos.limits > 0 && self.chance(40) {
                self.chaos.limits -= 1;
                let mut shared = self.common.lock();
                shared.limited_until = shared.now + shared.chance.bits() % 3_000;
            }
            if self.chaos.kills > 0 && self.chance(60) {
                self.chaos.kills -= 1;
                self.kill();
                continue;
            }
            if self.chaos.failures > 0 && self.chance(80) {
                self.chaos.failures -= 1;
                let mut shared = self.common.lock();
                let threads = self.disk.threads();
                let thread = threads[(shared.chance.bits() % threads.len() as u64) as usize];
                let written = (shared.chance.bits() % 2_000) as usize;
                self.disk.fail_next(thread, Failure { written, full: true });
            }
            self.deliver(delivery);
        }
        panic!("seed {}: not at rest after {MAX_STEPS} steps: {}", self.seed, self.describe());
    }

    /// The tree rests with turns that pause: the limit ends, and somebody asks it to go on.
    fn go_on_after_the_limit(&self) -> bool {
        let activity = *self.tree.activity().borrow();
        assert!(
            activity.rests(),
            "seed {}: nothing happens, and the tree does not rest: {}",
            self.seed,
            self.describe()
        );
        if activity.paused == 0 {
            return false;
        }
        let mut shared = self.common.lock();
        shared.now = shared.now.max(shared.limited_until);
        self.clock.store(shared.now, Ordering::Relaxed);
        drop(shared);
        self.tree.go_on().unwrap() > 0
    }

    fn deliver(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::SupervisorDue(ticket) => self.common.lock().tell(Event::Due { ticket }),
            Delivery::Post(thread, inc, input) => {
                if let Input::ToolEnded { call, .. } | Input::Patched { call, .. } = &input
                    && !self.common.lock().running.remove(&(thread, inc, call.clone()))
                {
                    return;
                }
                let alive = self.live.get(&thread).is_some_and(|live| live.inc == inc);
                if alive || matches!(input, Input::ToolEnded { .. } | Input::Patched { .. }) {
                    self.post(thread, input);
                }
            }
            Delivery::Bell(thread, inc) => self.bell(thread, inc),
            Delivery::Sync(thread, inc) => {
                self.disk.sync(thread);
                if self.with(thread, inc, Shell::durable) && self.live[&thread].shell.quiet() {
                    self.common.lock().tell(Event::Idle { seat: thread, inc });
                }
            }
            Delivery::Act(action) => self.act(action),
        }
    }

    fn post(&self, thread: ThreadId, input: Input) {
        let seat = self.tree.seat(thread).unwrap();
        assert!(seat.mailbox.try_send(Lane::Continuation, 0, Message::Input(input)).is_ok());
    }

    fn act(&mut self, action: Action<ThreadId>) {
        match action {
            Action::Start { seat, inc, granted } => self.start(seat, inc, granted),
            Action::Grant { seat, inc } => {
                if self.common.lock().core.holds(seat, inc) {
                    self.with(seat, inc, Shell::granted);
                }
            }
            Action::Sleep { seat, inc } => {
                let Some(live) = self.live.get_mut(&seat).filter(|live| live.inc == inc) else { return };
                let asleep = live.shell.quiet() && self.tree.seat(seat).unwrap().mailbox.detach(live.mailbox);
                if asleep {
                    if let Some(live) = self.live.remove(&seat) {
                        live.shell.stop();
                    }
                    self.common.lock().tell(Event::Slept { seat, inc });
                } else {
                    self.common.lock().tell(Event::Busy { seat, inc });
                }
            }
            Action::Quarantine { seat, reason } => {
                let seat = self.tree.seat(seat).unwrap();
                self.tree.quarantined(&seat, &reason);
            }
            other => panic!("seed {}: unexpected {other:?}", self.seed),
        }
    }

    fn start(&mut self, thread: ThreadId, inc: Incarnation, granted: bool) {
        let seat = self.tree.seat(thread).unwrap();
        let bell = Arc::new(SimBell(Arc::clone(&self.common), thread, inc));
        let attached = seat.mailbox.attach(bell);
        let culprit = match attached.culprit.as_deref().map(|envelope| &envelope.msg) {
            Some(Message::Accepted { id, .. }) => Some(id.clone()),
            _ => None,
        };
        let workers = SimWorkers(Arc::clone(&self.common), thread, inc);
        let slots = SimSlots(Arc::clone(&self.common), thread, inc);
        self.common.lock().tell(Event::Started { seat: thread, inc });
        match Shell::load(Arc::clone(&self.tree), seat, workers, slots, granted) {
            Ok(shell) => {
                self.live.insert(thread, Live { inc, mailbox: attached.incarnation, shell });
                self.with(thread, inc, |shell| shell.begin(Begin::Work(culprit)));
            }
            Err(error) => self.ended(thread, inc, Exit::StorageFailed(error.to_string())),
        }
    }

    /// Lets a shell do something, and looks at it afterwards.
    fn with<E: std::fmt::Display>(
        &mut self,
        thread: ThreadId,
        inc: Incarnation,
        act: impl FnOnce(&mut Shell<SimWorkers, SimSlots>) -> Result<(), E>,
    ) -> bool {
        let Some(live) = self.live.get_mut(&thread).filter(|live| live.inc == inc) else { return false };
        if let Err(error) = act(&mut live.shell) {
            self.ended(thread, inc, Exit::StorageFailed(error.to_string()));
            return false;
        }
        if live.shell.waits_for_disk() {
            self.common.lock().later(10, Delivery::Sync(thread, inc));
        }
        self.compare(thread);
        true
    }

    /// The fold of the file is the state that lives, what was accepted and not delivered counted in.
    fn compare(&self, thread: ThreadId) {
        let file = self.disk.read(thread).unwrap();
        let mut alive = self.live[&thread].shell.machine().agent().clone();
        for line in file.lines().filter(is_acceptance) {
            alive.apply(&line);
        }
        // A fork has its source from memory while it lives; read again from the files, it is the same.
        let mut folded = match alive.identity().base {
            Some(_) => fold::read(&self.disk, thread).unwrap(),
            None => Agent::fold(file.lines()),
        };
        // What a failed append left behind was never live.
        (folded.unreadable, alive.unreadable) = (0, 0);
        assert_eq!(folded, alive, "seed {}: {thread}", self.seed);
    }

    fn bell(&mut self, thread: ThreadId, inc: Incarnation) {
        let seat = self.tree.seat(thread).unwrap();
        let Some(mailbox) = self.live.get(&thread).filter(|live| live.inc == inc).map(|live| live.mailbox) else {
            return;
        };
        let mut batch = Vec::new();
        let more = seat.mailbox.lease(mailbox, 4, &mut batch);
        for envelope in batch {
            if !seat.mailbox.begin(mailbox, envelope.seq) {
                return;
            }
            let crash_before = self.chaos.crashes > 0 && self.chance(50);
            if !crash_before && !self.with(thread, inc, |shell| shell.handle(&envelope.msg)) {
                return;
            }
            if crash_before || self.chaos.crashes > 0 && self.chance(50) {
                self.chaos.crashes -= 1;
                return self.ended(thread, inc, Exit::Failed("on purpose".into()));
            }
            seat.mailbox.ack(mailbox, envelope.seq);
        }
        if more {
            self.common.lock().later(0, Delivery::Bell(thread, inc));
        } else if self.live[&thread].shell.quiet() {
            self.common.lock().tell(Event::Idle { seat: thread, inc });
        }
    }

    /// An incarnation ended: its workers go with it, and say so of what they had let run.
    fn ended(&mut self, thread: ThreadId, inc: Incarnation, exit: Exit) {
        self.live.remove(&thread);
        let mut shared = self.common.lock();
        let lost: Vec<_> = shared.running.iter().filter(|(t, i, _)| *t == thread && *i == inc).cloned().collect();
        for (_, _, call) in &lost {
            let input = Input::ToolEnded { call: call.clone(), result: ToolResult::nothing() };
            shared.later(0, Delivery::Post(thread, inc, input));
        }
        shared.tell(Event::Ended { seat: thread, inc, exit });
    }

    /// The process dies inside any byte that was not durable yet, and another one resumes the tree.
    fn kill(&mut self) {
        self.live.clear();
        {
            let mut shared = self.common.lock();
            shared.queue.clear();
            shared.running.clear();
            let slots = self.settings.slots;
            shared.core = core::Tree::new(Config { slots, seed: self.seed, ..Config::default() });
            let chance = &mut shared.chance;
            self.disk.crash(|_, durable, len| durable + chance.bits() % (len - durable + 1));
        }
        let seed = self.common.lock().chance.bits();
        self.tree = Self::tree(self.session, &self.settings, &self.disk, &self.clock, seed);
        let warnings = load(&self.tree).unwrap();
        assert!(warnings.is_empty(), "seed {}: {warnings:?}", self.seed);
        self.tree.supervise(Box::new(SimSupervision(Arc::clone(&self.common)))).unwrap();
        self.tree.go_on().unwrap();
    }

    /// Every rollout, as text.
    pub fn rollouts(&self) -> Vec<String> {
        let threads = self.disk.threads();
        threads.iter().map(|t| String::from_utf8_lossy(self.disk.read(*t).unwrap().bytes()).into_owned()).collect()
    }

    fn describe(&self) -> String {
        let seats = self.tree.seats();
        let rows = seats.iter().map(|seat| format!("{} {:?}", seat.path, seat.view()));
        rows.collect::<Vec<_>>().join("\n")
    }

    /// What must hold of a world at rest, from its files and its ledgers alone.
    pub fn check(&self) {
        let seed = self.seed;
        let shared = self.common.lock();
        assert_eq!(shared.core.in_use(), 0, "seed {seed}: slots are held at rest: {:#?}", shared.core.view());
        drop(shared);
        let activity = *self.tree.activity().borrow();
        assert_eq!(activity, Activity::default(), "seed {seed}: counted as active: {}", self.describe());

        let ledger = self.common.lock().ledger.clone();
        let once: BTreeSet<_> = ledger.iter().collect();
        assert_eq!(once.len(), ledger.len(), "seed {seed}: a command ran twice: {ledger:?}");
        let free: BTreeSet<_> = ledger
            .iter()
            .filter(|(_, call, is_confined)| !is_confined && !call.as_str().starts_with("user-"))
            .map(|(t, c, _)| (*t, c.clone()))
            .collect();

        let files: BTreeMap<ThreadId, Vec<Line>> = (self.disk.threads().into_iter())
            .map(|thread| (thread, self.disk.read(thread).unwrap().lines().collect()))
            .collect();
        let forks = files.values().filter(|lines| rules::forked_from(lines).is_some()).count();
        assert!(forks > 0 || files.len() == 1, "seed {seed}: no fork among {} agents", files.len());
        for (thread, lines) in &files {
            let agent = Agent::fold(lines.iter().cloned());
            assert!(agent.turn.is_none(), "seed {seed}: {thread} has an open turn at rest");
            rules::check_inputs(seed, lines);
            rules::check_turns(seed, lines);
            asks::check(seed, lines, &free.iter().filter(|(t, _)| t == thread).map(|(_, c)| c.clone()).collect());
            if let Some(parent) = agent.identity().parent {
                rules::check_reports(seed, *thread, lines, &files[&parent]);
            }
        }
    }
}

fn is_acceptance(line: &Line) -> bool {
    line.view().is_ok_and(|view| view.kind == "sapwood.accepted")
}
