//! Three hundred agents in front of providers that limit in different ways, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use sapwood_model::governor::core::{At, Core, Flight, Next};
use sapwood_model::governor::line::{Ticket, Who};
use sapwood_model::{Headroom, Priority};
use sapwood_protocol::Ids;

use crate::tree;
use crate::servers::{RATE, Rate, SECOND, Server};

const AGENTS: usize = 300;
const TREES: usize = 10;
const WARM_UP: u64 = 30 * SECOND;
const END: u64 = WARM_UP + 600 * SECOND;

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub rate: Rate,
    pub streams: usize,
    pub retry_after: bool,
    pub headers: bool,
    /// The shortest and the longest stream.
    pub durations: (u64, u64),
    pub seed: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub accepted: u64,
    pub refused: u64,
    /// What a client that knows the server sends in the same time.
    pub allowed: u64,
    pub most_refusals: u32,
    pub root_wait: f64,
    pub worker_wait: f64,
    pub finished: u64,
}

impl Outcome {
    pub fn throughput(&self) -> f64 {
        self.accepted as f64 / self.allowed as f64
    }

    pub fn refused_part(&self) -> f64 {
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

pub fn run(case: Case) -> Outcome {
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
            assert!(self.core.in_flight() as usize == self.agents.iter().filter(|agent| agent.flight.is_some()).count());
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
                self.outcome.finished += 1;
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
        let mut durations = self.durations.clone();
        let duration = within(&mut durations, self.case.durations);
        let back = self.one_way();
        let answer = self.server.ask(self.now, duration);
        if answer.is_ok() {
            self.durations = durations;
        }
        if self.case.headers && let Some(remaining) = self.server.remaining() {
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
                if std::env::var_os("TRACE").is_some() {
                    println!("{:.3} refused {answer:?} in flight {} cap {} rate {:?} {:?}", self.now as f64 / 1e6, self.core.in_flight(), self.core.cap(), self.core.rate(), self.agents[agent].flight);
                }
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

pub fn cases(durations: (u64, u64), seeds: u64) -> Vec<Case> {
    let mut cases = Vec::new();
    for (rate, streams) in [
        (Rate::Bucket, 4),
        (Rate::Bucket, 64),
        (Rate::Window, 4),
        (Rate::Window, 64),
        (Rate::Log, 4),
        (Rate::Log, 64),
        (Rate::Unlimited, 4),
    ] {
        for (retry_after, headers) in [(false, false), (true, false), (false, true), (true, true)] {
            for seed in 0..seeds {
                if !headers || rate != Rate::Unlimited {
                    cases.push(Case { rate, streams, retry_after, headers, durations, seed });
                }
            }
        }
    }
    cases
}

#[test]
fn three_hundred_agents_get_what_the_provider_allows() {
    for case in cases((SECOND / 10, 3 * SECOND), 3) {
        let outcome = run(case);
        println!("{:?} {} ra={} h={} {}: {:.3} refused {:.4} most {} root {:.2} worker {:.2}", case.rate, case.streams, case.retry_after, case.headers, case.seed, outcome.throughput(), outcome.refused_part(), outcome.most_refusals, outcome.root_wait, outcome.worker_wait);
    }
}

#[test]
#[ignore = "tuning"]
fn tune() {
    for durations in [(SECOND / 10, 3 * SECOND), (2 * SECOND, 2 * SECOND), (SECOND / 10, SECOND / 2)] {
        let mut worst: BTreeMap<String, (f64, f64, f64, u32, u64)> = BTreeMap::new();
        let mut allowed = std::collections::HashMap::new();
        for case in cases(durations, 10) {
            let mut outcome = run(case);
            outcome.allowed = *allowed.entry((case.rate as u8, case.streams, case.seed)).or_insert_with(|| greedy(case));
            let name = format!("{:?} {} ra={} h={}", case.rate, case.streams, case.retry_after, case.headers);
            let w = worst.entry(name).or_insert((9.0, 0.0, 0.0, 0, 0));
            if outcome.throughput() < w.0 { w.4 = case.seed; }
            *w = (w.0.min(outcome.throughput()), w.1 + outcome.throughput() / 10.0, w.2.max(outcome.refused_part()), w.3.max(outcome.most_refusals), w.4);
        }
        println!("{durations:?}");
        for (name, w) in worst { println!("{name}: least {:.3} ({}) mean {:.3} refused {:.4} most {}", w.0, w.4, w.1, w.2, w.3); }
    }
}

#[test]
#[ignore = "tuning"]
fn trace() {
    let text = std::env::var("TRACE").expect("a case");
    let n: Vec<u64> = text.split(',').map(|n| n.parse().expect("a number")).collect();
    let rate = [Rate::Bucket, Rate::Window, Rate::Log, Rate::Unlimited][n[0] as usize];
    let case = Case { rate, streams: n[1] as usize, retry_after: n[2] > 0, headers: n[3] > 0, durations: (n[4] * SECOND / 10, n[5] * SECOND / 10), seed: n[6] };
    println!("{:?}", run(case));
}
