//! Three hundred agents in front of one provider, in virtual time. Times are microseconds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use sapwood_model::governor::core::{At, Core, Flight, Next};
use sapwood_model::governor::line::{Ticket, Who};
use sapwood_model::{Headroom, Priority};
use sapwood_protocol::Ids;

use crate::servers::{Rate, SECOND, Server};
use crate::tree;

const AGENTS: usize = 300;
const TREES: usize = 10;
/// Not counted, at the start.
pub const WARM_UP: u64 = 10 * SECOND;
/// The longest way of a request to the provider, and of the answer back.
const ONE_WAY: u64 = SECOND / 1000 * 15;
/// The first pause of an agent whose request was refused. Doubles with each refusal.
const RETRY: u64 = SECOND / 5;

/// What the agents ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// Each agent asks again and again, with a pause of up to two seconds: always more than is allowed.
    Endless,
    /// Each agent has one to three requests, one after the other: the run is over with them.
    Rounds,
}

#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub rate: Rate,
    pub streams: usize,
    pub retry_after: bool,
    pub headers: bool,
    /// The shortest and the longest stream.
    pub durations: (u64, u64),
    pub demand: Demand,
    /// How long it is looked at after the warm-up.
    pub measured: u64,
    /// From this moment on it allows this many streams.
    pub change: Option<(u64, usize)>,
    pub seed: u64,
}

impl Case {
    fn changes(&self, now: u64, server: &mut Server) {
        if let Some((at, streams)) = self.change
            && now >= at
        {
            server.set_streams(streams);
        }
    }

    fn end(&self) -> u64 {
        match self.demand {
            Demand::Endless => WARM_UP + self.measured,
            Demand::Rounds => u64::MAX,
        }
    }

    fn warm_up(&self) -> u64 {
        match self.demand {
            Demand::Endless => WARM_UP,
            Demand::Rounds => 0,
        }
    }
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
    /// When the first nine tenths of all requests were accepted.
    pub nine_tenths: u64,
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
    /// Requests that it still has.
    rounds: u64,
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
    flying: usize,
    waits: [(u64, u64); 2],
    accepted_at: Vec<u64>,
    refused_at: Vec<u64>,
    outcome: Outcome,
}

fn within(chance: &mut Ids, (low, high): (u64, u64)) -> u64 {
    low + chance.bits() % (high - low + 1)
}

fn is_root(agent: usize) -> bool {
    agent < TREES
}

/// Runs a case, against what the same server gives a greedy client.
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
        flying: 0,
        waits: [(0, 0); 2],
        accepted_at: Vec::new(),
        refused_at: Vec::new(),
        outcome: Outcome::default(),
    };
    for agent in 0..AGENTS {
        simulation.agents[agent].rounds = match case.demand {
            Demand::Endless => u64::MAX,
            Demand::Rounds => within(&mut simulation.chance, (1, 3)),
        };
        simulation.after(0, Event::Wants(agent));
    }
    simulation.run();
    simulation.judged()
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
        within(&mut self.chance, (0, ONE_WAY))
    }

    fn run(&mut self) {
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            if now >= self.case.end() {
                break;
            }
            self.now = now;
            self.happens(event);
            self.pump();
            assert_eq!(self.core.in_flight() as usize, self.flying);
        }
    }

    fn judged(mut self) -> Outcome {
        let mean = |(sum, count): (u64, u64)| sum as f64 / count.max(1) as f64 / SECOND as f64;
        self.outcome.root_wait = mean(self.waits[0]);
        self.outcome.worker_wait = mean(self.waits[1]);
        // When few requests are left, their agents and not the provider are what holds a run up.
        let until = match self.case.demand {
            Demand::Endless => self.case.end(),
            Demand::Rounds => self.accepted_at[self.accepted_at.len() * 9 / 10],
        };
        self.outcome.nine_tenths = until;
        let warm_up = self.case.warm_up();
        self.outcome.accepted = self.accepted_at.iter().filter(|&&at| (warm_up..until).contains(&at)).count() as u64;
        let warm = match self.case.demand {
            Demand::Endless => WARM_UP,
            Demand::Rounds => self.accepted_at[self.accepted_at.len() / 10],
        };
        self.outcome.refused = self.refused_at.iter().filter(|&&at| at >= warm).count() as u64;
        self.outcome.allowed = greedy(self.case, until);
        self.outcome
    }

    fn counted(&self) -> bool {
        self.now >= self.case.warm_up()
    }

    fn happens(&mut self, event: Event) {
        let at = self.at();
        match event {
            Event::Timer => self.timer = None,
            Event::Wants(agent) => {
                if self.agents[agent].attempts == 0 {
                    self.agents[agent].since = self.now;
                }
                self.join(agent);
            }
            Event::Arrives(agent) => self.arrives(agent),
            Event::Begins(agent) => {
                let mut flight = self.flight(agent);
                self.hears(agent, &mut flight);
                self.core.begun(at, &mut flight);
                self.agents[agent].flight = Some(flight);
            }
            Event::Refused(agent) => self.refused(agent),
            Event::Ends(agent) => {
                let flight = self.flight(agent);
                self.core.done(at, flight);
                self.flying -= 1;
                self.agents[agent].attempts = 0;
                self.agents[agent].rounds -= 1;
                if self.agents[agent].rounds > 0 {
                    let think = match self.case.demand {
                        Demand::Endless => 2 * SECOND,
                        Demand::Rounds => SECOND / 10,
                    };
                    let think = within(&mut self.chance, (0, think));
                    self.after(think, Event::Wants(agent));
                }
            }
        }
    }

    fn flight(&mut self, agent: usize) -> Flight {
        self.agents[agent].flight.take().expect("it is in flight")
    }

    fn hears(&mut self, agent: usize, flight: &mut Flight) {
        if let Some(headroom) = self.agents[agent].said.take() {
            self.core.headroom(self.at(), flight, headroom);
        }
    }

    /// The governor is told, and the agent comes again: after what it was asked to wait, or after a pause of its own.
    fn refused(&mut self, agent: usize) {
        let mut flight = self.flight(agent);
        self.hears(agent, &mut flight);
        let retry_after = self.agents[agent].retry_after.take();
        self.core.refused(self.at(), flight, retry_after);
        self.flying -= 1;
        self.agents[agent].attempts += 1;
        self.outcome.most_refusals = self.outcome.most_refusals.max(self.agents[agent].attempts);
        let pause = RETRY << (self.agents[agent].attempts - 1).min(6);
        let pause = pause + within(&mut self.chance, (0, pause / 5));
        let asked = retry_after.map_or(0, |asked| asked.as_micros() as u64);
        self.after(pause.max(asked), Event::Wants(agent));
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
        if self.case.headers
            && let Some(remaining) = self.server.remaining()
        {
            self.agents[agent].said = Some(Headroom {
                limit: self.case.rate.per_second(),
                remaining: Some(remaining),
                resets_in: Some(Duration::from_micros(self.server.resets_in(self.now))),
            });
        }
        match answer {
            Ok(()) => {
                self.durations = durations;
                self.accepted_at.push(self.now);
                self.after(back, Event::Begins(agent));
                let end = self.one_way();
                self.after(back.max(duration + end) + 1, Event::Ends(agent));
            }
            Err(_) => {
                self.refused_at.push(self.now);
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
                    self.flying += 1;
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

/// What the server accepts, after the warm-up and until a moment, from a client that knows its limits and always has
/// something to send. A stream of it is used again after the mean time that the news of its end and the next request take.
fn greedy(case: Case, until: u64) -> u64 {
    let mut server = Server::new(case.rate, case.streams);
    let mut chance = Ids::seeded(case.seed + 2000);
    let mut accepted = 0;
    for now in (0..until).step_by(1000) {
        case.changes(now, &mut server);
        loop {
            let mut next = chance.clone();
            if server.ask(now, within(&mut next, case.durations) + ONE_WAY).is_err() {
                break;
            }
            chance = next;
            accepted += u64::from(now >= case.warm_up());
        }
    }
    accepted
}
