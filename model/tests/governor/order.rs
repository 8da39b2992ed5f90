//! Who goes next: tables, and random lives of a core against its rules.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use sapwood_model::Priority;
use sapwood_model::governor::core::{At, Core, Flight, Next, Why};
use sapwood_model::governor::line::{Line, Ticket, Who};
use sapwood_model::governor::numbers::PASSED_OVER_MAX;

use crate::tree;

fn who(priority: Priority, number: usize, retried: bool) -> Who {
    Who { priority, tree: tree(number), retried }
}

#[test]
fn classes_then_trees_in_turn_then_retried_then_the_oldest() {
    use Priority::{Reviewer, Root, Worker};
    let arrivals = [
        ("w1 old", who(Worker, 1, false)),
        ("w1 new", who(Worker, 1, false)),
        ("w1 retried", who(Worker, 1, true)),
        ("w2", who(Worker, 2, false)),
        ("reviewer", who(Reviewer, 1, false)),
        ("root", who(Root, 2, false)),
    ];
    let mut line = Line::default();
    let names: BTreeMap<Ticket, &str> = arrivals.into_iter().map(|(name, who)| (line.join(who), name)).collect();
    let served: Vec<_> = std::iter::from_fn(|| line.pop()).map(|ticket| names[&ticket]).collect();
    assert_eq!(served, ["root", "reviewer", "w1 retried", "w2", "w1 old", "w1 new"]);
}

#[test]
fn a_lower_class_goes_after_eight_of_a_higher() {
    let mut line = Line::default();
    let worker = line.join(who(Priority::Worker, 1, false));
    let roots: Vec<_> = (0..20).map(|_| line.join(who(Priority::Root, 2, false))).collect();
    let served: Vec<_> = std::iter::from_fn(|| line.pop()).collect();
    assert_eq!(served[..8], roots[..8]);
    assert_eq!(served[8], worker);
    assert_eq!(served[9..], roots[8..]);
}

/// A step of a random life. Numbers choose among those that wait or fly.
#[derive(Clone, Debug)]
enum Step {
    Join(Priority, usize, bool),
    Leave(usize),
    Begun(usize),
    Done(usize),
    Ended(usize),
    Unused(usize),
    Refused(usize, Option<u64>),
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop_oneof![Just(Priority::Root), Just(Priority::Reviewer), Just(Priority::Worker)];
    prop_oneof![
        30 => (class, 0..4usize, any::<bool>()).prop_map(|(class, tree, retried)| Step::Join(class, tree, retried)),
        3 => any::<usize>().prop_map(Step::Leave),
        10 => any::<usize>().prop_map(Step::Begun),
        10 => any::<usize>().prop_map(Step::Done),
        2 => any::<usize>().prop_map(Step::Ended),
        2 => any::<usize>().prop_map(Step::Unused),
        5 => (any::<usize>(), prop::option::of(0..5000u64)).prop_map(|(one, after)| Step::Refused(one, after)),
        10 => prop_oneof![0..50u64, 0..40_000u64].prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// A core, and a ledger of what it should hold.
struct Life {
    core: Core,
    at: At,
    waiting: BTreeMap<Ticket, Who>,
    flying: Vec<Flight>,
    passed_over: [u32; 3],
}

impl Life {
    fn take(&mut self, number: usize) -> Option<Flight> {
        (!self.flying.is_empty()).then(|| self.flying.swap_remove(number % self.flying.len()))
    }

    fn happens(&mut self, step: Step) {
        let at = self.at;
        match step {
            Step::Join(class, tree, retried) => {
                let who = who(class, tree, retried);
                let ticket = self.core.join(who).expect("there is room");
                assert!(self.waiting.insert(ticket, who).is_none());
            }
            Step::Leave(number) if !self.waiting.is_empty() => {
                let ticket = *self.waiting.keys().nth(number % self.waiting.len()).expect("in range");
                assert!(self.core.leave(ticket));
                assert!(!self.core.leave(ticket), "it has left");
                self.left(ticket);
            }
            Step::Begun(number) if !self.flying.is_empty() => {
                let number = number % self.flying.len();
                self.core.begun(at, &mut self.flying[number]);
            }
            Step::Done(number) => self.take(number).into_iter().for_each(|flight| self.core.done(at, flight)),
            Step::Ended(number) => self.take(number).into_iter().for_each(|flight| self.core.ended(at, flight)),
            Step::Unused(number) => self.take(number).into_iter().for_each(|flight| self.core.unused(at, flight)),
            Step::Refused(number, after) => {
                let after = after.map(Duration::from_millis);
                self.take(number).into_iter().for_each(|flight| self.core.refused(at, flight, after));
            }
            Step::Pass(millis) => self.at += Duration::from_millis(millis),
            Step::Restart => self.core.restart(at),
            Step::Leave(_) | Step::Begun(_) => {}
        }
    }

    fn left(&mut self, ticket: Ticket) -> Who {
        let who = self.waiting.remove(&ticket).expect("it waited");
        let class = who.priority as usize;
        if !self.waiting.values().any(|other| other.priority == who.priority) {
            self.passed_over[class] = 0;
        }
        who
    }

    /// Grants what may go, and checks the order.
    fn pump(&mut self) -> Result<(), TestCaseError> {
        loop {
            match self.core.next(self.at) {
                Next::Go(ticket, flight) => {
                    let before = self.passed_over;
                    let who = self.left(ticket);
                    self.flying.push(flight);
                    prop_assert!(self.flying.len() <= self.core.cap() as usize, "a grant is within the cap");
                    self.granted(ticket, who, before)?;
                }
                Next::Wait { why, until } => {
                    prop_assert!(!self.waiting.is_empty());
                    prop_assert!(until.is_none_or(|until| until > self.at), "a wait has its end ahead");
                    prop_assert!(until.is_some() || why == Why::Cap && !self.flying.is_empty(), "somebody ends a wait");
                    return Ok(());
                }
                Next::Nobody => {
                    prop_assert!(self.waiting.is_empty(), "nobody is lost");
                    return Ok(());
                }
            }
        }
    }

    fn granted(&mut self, ticket: Ticket, who: Who, before: [u32; 3]) -> Result<(), TestCaseError> {
        let class = who.priority as usize;
        let starved = before[class] >= PASSED_OVER_MAX;
        for (&other, waits) in &self.waiting {
            prop_assert!(waits.priority >= who.priority || starved, "{waits:?} goes before {who:?}");
            if waits.priority == who.priority && waits.tree == who.tree {
                prop_assert!((!waits.retried, other) > (!who.retried, ticket), "{other:?} goes before {ticket:?}");
            }
        }
        self.passed_over[class] = 0;
        for lower in class + 1..3 {
            let waits = self.waiting.values().any(|other| other.priority as usize == lower);
            self.passed_over[lower] = if waits { self.passed_over[lower] + 1 } else { 0 };
            prop_assert!(self.passed_over[lower] <= PASSED_OVER_MAX + 1, "a class starves");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_core_loses_nobody_and_keeps_the_order(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..300)) {
        let mut life = Life {
            core: Core::new(seed),
            at: At::ZERO,
            waiting: BTreeMap::new(),
            flying: Vec::new(),
            passed_over: [0; 3],
        };
        for step in steps {
            life.happens(step);
            life.pump()?;
            prop_assert_eq!(life.core.in_flight() as usize, life.flying.len());
            prop_assert_eq!(life.core.waiting(), life.waiting.len());
        }
        // Whatever happened: let everything end well, and everybody goes.
        for _ in 0..10_000 {
            if life.waiting.is_empty() {
                break;
            }
            life.happens(Step::Done(0));
            life.happens(Step::Pass(1000));
            life.pump()?;
        }
        prop_assert!(life.waiting.is_empty(), "everybody went");
    }
}
