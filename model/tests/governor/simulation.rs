//! Three hundred agents in front of providers that limit in different ways, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use sapwood_model::governor::core::{At, Core, Flight, Next};
use sapwood_model::governor::line::{Ticket, Who};
use sapwood_model::{Headroom, Priority};
use sapwood_protocol::Ids;

use crate::servers::{RATE, Rate, SECOND, Server};
use crate::tree;

const AGENTS: usize = 300;
const TREES: usize = 10;
/// Not counted, at the start.
const WARM_UP: u64 = 30 * SECOND;
const END: u64 = WARM_UP + 600 * SECOND;

#[derive(Clone, Copy, Debug)]
struct Case {
    rate: Rate,
    streams: usize,
    retry_after: bool,
    headers: bool,
    /// The shortest and the longest stream.
    durations: (u64, u64),
    /// From this moment on it allows this many streams.
    change: Option<(u64, usize)>,
    seed: u64,
}

impl Case {
    fn changes(&self, now: u64, server: &mut Server) {
        if let Some((at, streams)) = self.change
            && now >= at
        {
            server.set_streams(streams);
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Outcome {
    accepted: u64,
    refused: u64,
    /// What a client that knows the server sends in the same time.
    allowed: u64,
    most_refusals: u32,
    root_wait: f64,
    worker_wait: f64,
}

impl Outcome {
    fn throughput(&self) -> f64 {
        self.accepted as f64 / self.allowed as f64
    }

    fn refused_part(&self) -> f64 {
        self.refused as f64 / (self.refused + self.accepted) as f64
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Wants(usize),
    Arrives(usize),
    Begins(usize),
    Refused(usize),
    Ends(usize),
    Timer,
}

#[derive(Default)]
struct Agent {
    flight: Option<Flight>,
    attempts: u32,
    since: u64,
    said: Option<Headroom>,
    retry_after: Option<Duration>,
}

struct Simulation {
    case: Case,
    server: Server,
    core: Core,
    chance: Ids,
    /// The durations of the accepted requests, in order: the same for the greedy client.
    durations: Ids,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    number: u64,
    timer: Option<u64>,
    agents: Vec<Agent>,
    waiting: BTreeMap<Ticket, usize>,
    waits: [(u64, u64); 2],
    outcome: Outcome,
}

fn within(chance: &mut Ids, (low, high): (u64, u64)) -> u64 {
    low + chance.bits() % (high - low + 1)
}

fn is_root(agent: usize) -> bool {
    agent < TREES
}

fn run(case: Case) -> Outcome {
    let mut simulation = Simulation {
        case,
        server: Server::new(case.rate, case.streams),
        core: Core::new(case.seed),
        chance: Ids::seeded(case.seed + 1000),
        durations: Ids::seeded(case.seed + 2000),
        now: 0,
        events: BinaryHeap::new(),
        number: 0,
        timer: None,
        agents: (0..AGENTS).map(|_| Agent::default()).collect(),
        waiting: BTreeMap::new(),
        waits: [(0, 0); 2],
        outcome: Outcome::default(),
    };
    for agent in 0..AGENTS {
        simulation.after(0, Event::Wants(agent));
    }
    simulation.run();
    simulation.outcome
}

impl Simulation {
    fn after(&mut self, delay: u64, event: Event) {
        self.number += 1;
        self.events.push(Reverse((self.now + delay, self.number, event)));
    }

    fn at(&self) -> At {
        Duration::from_micros(self.now)
    }

    fn one_way(&mut self) -> u64 {
        within(&mut self.chance, (5_000, 15_000))
    }

    fn run(&mut self) {
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            if now >= END {
                break;
            }
            self.now = now;
            self.happens(event);
            self.pump();
            assert!(
                self.core.in_flight() as usize == self.agents.iter().filter(|agent| agent.flight.is_some()).count()
            );
        }
        let mean = |(sum, count): (u64, u64)| sum as f64 / count.max(1) as f64 / SECOND as f64;
        self.outcome.root_wait = mean(self.waits[0]);
        self.outcome.worker_wait = mean(self.waits[1]);
    }

    fn counted(&self) -> bool {
        self.now >= WARM_UP
    }

    fn happens(&mut self, event: Event) {
        let at = self.at();
        match event {
            Event::Timer => self.timer = None,
            Event::Wants(agent) => {
                self.agents[agent].since = self.now;
                self.join(agent);
            }
            Event::Arrives(agent) => self.arrives(agent),
            Event::Begins(agent) => {
                let mut flight = self.agents[agent].flight.take().expect("it is in flight");
                if let Some(headroom) = self.agents[agent].said.take() {
                    self.core.headroom(at, &mut flight, headroom);
                }
                self.core.begun(at, &mut flight);
                self.agents[agent].flight = Some(flight);
            }
            Event::Refused(agent) => {
                let mut flight = self.agents[agent].flight.take().expect("it is in flight");
                if let Some(headroom) = self.agents[agent].said.take() {
                    self.core.headroom(at, &mut flight, headroom);
                }
                let retry_after = self.agents[agent].retry_after.take();
                self.core.refused(at, flight, retry_after);
                self.agents[agent].attempts += 1;
                self.outcome.most_refusals = self.outcome.most_refusals.max(self.agents[agent].attempts);
                self.join(agent);
            }
            Event::Ends(agent) => {
                let flight = self.agents[agent].flight.take().expect("it is in flight");
                self.core.done(at, flight);
                self.agents[agent].attempts = 0;
                let think = within(&mut self.chance, (0, 2 * SECOND));
                self.after(think, Event::Wants(agent));
            }
        }
    }

    fn join(&mut self, agent: usize) {
        let tree = tree(agent % TREES);
        let priority = if is_root(agent) { Priority::Root } else { Priority::Worker };
        let who = Who { priority, tree, retried: self.agents[agent].attempts > 0 };
        let ticket = self.core.join(who).expect("there is room");
        self.waiting.insert(ticket, agent);
    }

    fn arrives(&mut self, agent: usize) {
        self.case.changes(self.now, &mut self.server);
        let mut durations = self.durations.clone();
        let duration = within(&mut durations, self.case.durations);
        let back = self.one_way();
        let answer = self.server.ask(self.now, duration);
        if answer.is_ok() {
            self.durations = durations;
        }
        if self.case.headers
            && let Some(remaining) = self.server.remaining()
        {
            self.agents[agent].said = Some(Headroom {
                limit: Some(RATE),
                remaining: Some(remaining),
                resets_in: Some(Duration::from_micros(self.server.resets_in(self.now))),
            });
        }
        let counted = u64::from(self.counted());
        match answer {
            Ok(()) => {
                self.outcome.accepted += counted;
                self.after(back, Event::Begins(agent));
                let end = self.one_way();
                self.after(back.max(duration + end) + 1, Event::Ends(agent));
            }
            Err(_) => {
                self.outcome.refused += counted;
                self.agents[agent].retry_after = self.case.retry_after.then_some(Duration::from_secs(1));
                self.after(back, Event::Refused(agent));
            }
        }
    }

    fn pump(&mut self) {
        loop {
            match self.core.next(self.at()) {
                Next::Go(ticket, flight) => {
                    let agent = self.waiting.remove(&ticket).expect("it waits");
                    self.agents[agent].flight = Some(flight);
                    if self.counted() && self.agents[agent].attempts == 0 {
                        let wait = &mut self.waits[usize::from(!is_root(agent))];
                        *wait = (wait.0 + self.now - self.agents[agent].since, wait.1 + 1);
                    }
                    let there = self.one_way();
                    self.after(there, Event::Arrives(agent));
                }
                Next::Wait { until: Some(until), .. } => {
                    // Timers have milliseconds, and are late rather than early.
                    let due = (until.as_nanos() as u64).div_ceil(1_000_000) * 1000;
                    if self.timer.is_none_or(|timer| due < timer) {
                        self.timer = Some(due);
                        self.after(due.saturating_sub(self.now), Event::Timer);
                    }
                    return;
                }
                Next::Wait { until: None, .. } | Next::Nobody => return,
            }
        }
    }
}

/// What the server accepts, after the warm-up, from a client that sits beside it and always has something to send.
fn greedy(case: Case) -> u64 {
    let mut server = Server::new(case.rate, case.streams);
    let mut chance = Ids::seeded(case.seed + 2000);
    let mut accepted = 0;
    for now in (0..END).step_by(1000) {
        case.changes(now, &mut server);
        loop {
            let mut next = chance.clone();
            if server.ask(now, within(&mut next, case.durations)).is_err() {
                break;
            }
            chance = next;
            accepted += u64::from(now >= WARM_UP);
        }
    }
    accepted
}

/// Every kind of limit, with and without what providers say of it.
fn cases(durations: (u64, u64), seeds: u64) -> Vec<Case> {
    use Rate::{Bucket, Log, Unlimited, Window};
    let limits = [(Bucket, 4), (Bucket, 64), (Window, 4), (Window, 64), (Log, 4), (Log, 64), (Unlimited, 4)];
    let said = [(false, false), (true, false), (false, true), (true, true)];
    let mut cases = Vec::new();
    for (rate, streams) in limits {
        for (retry_after, headers) in said {
            for seed in 0..seeds {
                cases.push(Case { rate, streams, retry_after, headers, durations, change: None, seed });
            }
        }
    }
    // A provider without a rate says nothing in headers.
    cases.retain(|case| !case.headers || case.rate != Unlimited);
    cases
}

/// Runs the cases, each against what the same server gives a greedy client.
fn outcomes(cases: Vec<Case>) -> Vec<(Case, Outcome)> {
    let mut allowed = BTreeMap::new();
    let run = |case: Case| {
        let key = (case.rate as u8, case.streams, case.change, case.durations, case.seed);
        let allowed = *allowed.entry(key).or_insert_with(|| greedy(case));
        (case, Outcome { allowed, ..run(case) })
    };
    cases.into_iter().map(run).collect()
}

fn meets(case: Case, outcome: &Outcome, throughput: f64) {
    let figures = (outcome.throughput(), outcome.refused_part(), outcome);
    assert!(outcome.throughput() >= throughput, "too little: {case:?} {figures:?}");
    assert!(outcome.refused_part() <= 0.02, "refused too often: {case:?} {figures:?}");
    assert!(outcome.most_refusals <= 4, "one was refused too often: {case:?} {figures:?}");
    assert!(outcome.root_wait * 4.0 < outcome.worker_wait, "roots wait: {case:?} {figures:?}");
}

#[test]
fn three_hundred_agents_get_what_the_provider_allows() {
    for (case, outcome) in outcomes(cases((SECOND / 10, 3 * SECOND), 3)) {
        meets(case, &outcome, 0.90);
    }
}

#[test]
fn with_long_requests_the_streams_are_the_limit() {
    let mut cases = cases((2 * SECOND, 2 * SECOND), 2);
    cases.retain(|case| case.streams == 4);
    for (case, outcome) in outcomes(cases) {
        assert!((1195..=1205).contains(&outcome.allowed), "two a second for ten minutes: {outcome:?}");
        meets(case, &outcome, 0.90);
    }
}

/// A provider may change its mind in the middle: its streams become fewer, or more.
#[test]
fn a_limit_that_moves_is_found_again() {
    for (before, after) in [(16, 4), (4, 16)] {
        let case = Case {
            rate: Rate::Unlimited,
            streams: before,
            retry_after: false,
            headers: false,
            durations: (SECOND / 10, 3 * SECOND),
            change: Some((WARM_UP + 60 * SECOND, after)),
            seed: 0,
        };
        for (case, outcome) in outcomes((0..4).map(|seed| Case { seed, ..case }).collect()) {
            meets(case, &outcome, 0.80);
        }
    }
}
