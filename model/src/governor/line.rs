//! Who goes next: the line in front of a provider. Data and order only; it knows no limits and no time.

use std::collections::{BTreeMap, BTreeSet};

use sapwood_protocol::SessionId;

use super::numbers::PASSED_OVER_MAX;
use crate::port::Priority;

const CLASSES: [Priority; 3] = [Priority::Root, Priority::Reviewer, Priority::Worker];

/// What the order of a request depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// Its class.
    pub priority: Priority,
    /// Its tree.
    pub tree: SessionId,
    /// It was tried before.
    pub retried: bool,
}

/// A request in the line. Smaller is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Classes in order; in a class the trees in turn; in a tree retried requests first, then the oldest.
#[derive(Debug, Default)]
pub struct Line {
    classes: [Class; CLASSES.len()],
    whose: BTreeMap<Ticket, Who>,
    next: u64,
}

#[derive(Debug, Default)]
struct Class {
    trees: BTreeMap<SessionId, Tree>,
    /// The trees by their turn: the smallest is served, and takes a new one.
    turns: BTreeMap<u64, SessionId>,
    turn: u64,
    /// Grants in a row to higher classes while this one waits.
    passed_over: u32,
}

#[derive(Debug, Default)]
struct Tree {
    turn: u64,
    /// `false` sorts first: (it is new, its age).
    waiting: BTreeSet<(bool, Ticket)>,
}

impl Line {
    /// Requests that wait.
    pub fn len(&self) -> usize {
        self.whose.len()
    }

    /// True if nobody waits.
    pub fn is_empty(&self) -> bool {
        self.whose.is_empty()
    }

    /// Takes a place at the end.
    pub fn join(&mut self, who: Who) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        self.whose.insert(ticket, who);
        self.classes[who.priority as usize].join(who, ticket);
        ticket
    }

    /// Gives a place up. False if it has none.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let Some(who) = self.whose.remove(&ticket) else { return false };
        self.classes[who.priority as usize].leave(who, ticket);
        true
    }

    /// Takes the next one out.
    pub fn pop(&mut self) -> Option<Ticket> {
        let served = self.due().or_else(|| self.classes.iter().position(Class::waits))?;
        let ticket = self.classes[served].first()?;
        let who = self.whose.remove(&ticket)?;
        self.classes[served].serve(who, ticket);
        for class in &mut self.classes[served + 1..] {
            class.passed_over = if class.waits() { class.passed_over + 1 } else { 0 };
        }
        Some(ticket)
    }

    /// The highest class that was passed over often enough.
    fn due(&self) -> Option<usize> {
        self.classes.iter().position(|class| class.waits() && class.passed_over >= PASSED_OVER_MAX)
    }
}

impl Class {
    fn waits(&self) -> bool {
        !self.turns.is_empty()
    }

    fn join(&mut self, who: Who, ticket: Ticket) {
        if !self.trees.contains_key(&who.tree) {
            let turn = self.new_turn(who.tree);
            self.trees.insert(who.tree, Tree { turn, ..Tree::default() });
        }
        if let Some(tree) = self.trees.get_mut(&who.tree) {
            tree.waiting.insert((!who.retried, ticket));
        }
    }

    fn leave(&mut self, who: Who, ticket: Ticket) {
        let Some(tree) = self.trees.get_mut(&who.tree) else { return };
        tree.waiting.remove(&(!who.retried, ticket));
        if tree.waiting.is_empty() {
            self.turns.remove(&tree.turn);
            self.trees.remove(&who.tree);
        }
        if !self.waits() {
            self.passed_over = 0;
        }
    }

    fn first(&self) -> Option<Ticket> {
        let (_, tree) = self.turns.first_key_value()?;
        self.trees.get(tree)?.waiting.first().map(|&(_, ticket)| ticket)
    }

    /// Takes out one that is first; its tree goes behind the other trees.
    fn serve(&mut self, who: Who, ticket: Ticket) {
        self.passed_over = 0;
        self.turns.pop_first();
        let turn = self.new_turn(who.tree);
        if let Some(tree) = self.trees.get_mut(&who.tree) {
            tree.turn = turn;
        }
        self.leave(who, ticket);
    }

    fn new_turn(&mut self, tree: SessionId) -> u64 {
        self.turn += 1;
        self.turns.insert(self.turn, tree);
        self.turn
    }
}
