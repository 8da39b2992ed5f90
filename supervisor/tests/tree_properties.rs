//! Random lives of small trees, against the rules and a ledger of slots kept beside the tree.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use sapwood_supervisor::core::{
    Action, Class, Config, Event, Exit, Incarnation, Millis, Need, Phase, Place, Row, Shutdown, Slot, Ticket, Tree,
};

const SEATS: u8 = 6;

/// A step of a random life. What an incarnation does is done by the current one, or by an earlier.
#[derive(Clone, Debug)]
enum Step {
    Add(u8, Class, Option<u8>),
    Wake(u8, Need),
    Act(u8, Act),
    Late(u8, Act),
    Pass(u64),
    Retry(u8),
    Remove(u8),
    Slots(u32),
    Shutdown(Shutdown),
}

#[derive(Clone, Debug)]
enum Act {
    Started,
    Wants(Need),
    Released,
    Idle,
    Answer { asleep: bool },
    Ended(Exit),
}

fn need() -> impl Strategy<Value = Need> {
    prop_oneof![Just(Need::NewTurn), Just(Need::Resume), Just(Need::NoSlot)]
}

fn act() -> impl Strategy<Value = Act> {
    let exit = prop_oneof![
        Just(Exit::Normal),
        Just(Exit::Shutdown),
        Just(Exit::Killed),
        Just(Exit::TaskCancelled),
        Just(Exit::Failed("boom".into())),
        Just(Exit::StorageFailed("disk full".into())),
    ];
    prop_oneof![
        1 => Just(Act::Started),
        3 => need().prop_map(Act::Wants),
        3 => Just(Act::Released),
        3 => Just(Act::Idle),
        3 => any::<bool>().prop_map(|asleep| Act::Answer { asleep }),
        3 => exit.prop_map(Act::Ended),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let seat = || 0..SEATS;
    let class = prop_oneof![Just(Class::Root), Just(Class::Reviewer), Just(Class::Worker)];
    let mode = prop_oneof![Just(Shutdown::Orderly), Just(Shutdown::Now)];
    prop_oneof![
        40 => (seat(), class, prop::option::of(seat())).prop_map(|(seat, class, parent)| Step::Add(seat, class, parent)),
        80 => (seat(), need()).prop_map(|(seat, need)| Step::Wake(seat, need)),
        160 => (seat(), act()).prop_map(|(seat, act)| Step::Act(seat, act)),
        20 => (seat(), act()).prop_map(|(seat, act)| Step::Late(seat, act)),
        30 => prop_oneof![0..300u64, 0..40_000u64].prop_map(Step::Pass),
        10 => seat().prop_map(Step::Retry),
        10 => seat().prop_map(Step::Remove),
        10 => (0..4u32).prop_map(Step::Slots),
        1 => mode.prop_map(Step::Shutdown),
    ]
}

fn steps() -> impl Strategy<Value = (u32, u64, Vec<Step>)> {
    (1..4u32, prop_oneof![Just(0u64), Just(500u64)], prop::collection::vec(step(), 1..160))
}

/// The tree and what its driver would know.
struct World {
    tree: Tree<u8>,
    now: Millis,
    timers: BTreeSet<(Millis, Ticket)>,
    /// Slots, counted from the actions and events alone.
    ledger: BTreeSet<u8>,
    cap: u32,
    quarantined: BTreeSet<u8>,
    down: u32,
    melted: u32,
    log: Vec<Action<u8>>,
}

fn in_line(row: &Row<u8>) -> Option<(Place, u8)> {
    match row.phase {
        Phase::Queued { place } | Phase::Awake { slot: Slot::Wanted(place), .. } => Some((place, row.seat)),
        _ => None,
    }
}

impl World {
    fn new(slots: u32, idle: u64) -> Self {
        let config = Config { slots, idle: Millis(idle), max_seats: 5, ..Config::default() };
        Self {
            tree: Tree::new(config),
            now: Millis(0),
            timers: BTreeSet::new(),
            ledger: BTreeSet::new(),
            cap: slots,
            quarantined: BTreeSet::new(),
            down: 0,
            melted: 0,
            log: Vec::new(),
        }
    }

    fn phase(&self, seat: u8) -> Option<Phase> {
        self.tree.phase(seat).cloned()
    }

    fn happen(&mut self, event: Event<u8>) {
        let line: BTreeMap<Place, u8> = self.tree.view().iter().filter_map(in_line).collect();
        let actions = self.tree.handle(self.now, event.clone());
        self.tree.check();
        self.account(&event, &actions);
        let mut served: Vec<u8> = Vec::new();
        for action in &actions {
            match *action {
                Action::Start { seat, granted: true, .. } | Action::Grant { seat, .. } if self.ledger.insert(seat) => {
                    assert!(self.ledger.len() <= self.cap as usize, "granted above the cap: {event:?}");
                    served.push(seat);
                }
                Action::Timer { ticket, after } => {
                    self.timers.insert((self.now.after(after), ticket));
                }
                Action::Cancel { ticket } => self.timers.retain(|(_, other)| *other != ticket),
                Action::Quarantine { seat, .. } => {
                    assert!(self.quarantined.insert(seat), "{seat} is told once")
                }
                Action::Removed { seat } => {
                    self.quarantined.remove(&seat);
                }
                Action::Down => self.down += 1,
                Action::MeltDown { .. } => self.melted += 1,
                _ => {}
            }
        }
        let holding: BTreeSet<u8> = self.tree.view().iter().filter(|row| row.holds_slot).map(|row| row.seat).collect();
        assert_eq!(holding, self.ledger, "after {event:?}: {actions:?}");
        // Whoever still stands in line came after everybody who was served out of the same line.
        let left: Vec<u8> = self.tree.view().iter().filter_map(in_line).map(|(_, seat)| seat).collect();
        let place = |seat: &u8| line.iter().find(|(_, other)| *other == seat).map(|(place, _)| *place);
        for (late, early) in left.iter().flat_map(|late| served.iter().map(move |early| (late, early))) {
            if let (Some(late), Some(early)) = (place(late), place(early)) {
                assert!(early < late, "served out of turn: {event:?}");
            }
        }
        assert!(self.down <= 1 && self.melted <= 1);
        self.log.extend(actions);
    }

    /// What an event, read without the tree, does to the slots.
    fn account(&mut self, event: &Event<u8>, actions: &[Action<u8>]) {
        match event {
            Event::Released { seat, .. } | Event::Idle { seat, .. } => {
                self.ledger.remove(seat);
            }
            // A turn that still runs keeps its slot.
            Event::Remove { seat } if !self.tree.phase(*seat).is_some_and(Phase::holds) => {
                self.ledger.remove(seat);
            }
            Event::Ended { seat, exit, .. } => {
                let crashed = matches!(exit, Exit::Failed(_) | Exit::Killed | Exit::TaskCancelled);
                let again = matches!(self.tree.phase(*seat), Some(Phase::Restarting { .. }))
                    || actions.iter().any(|action| matches!(action, Action::Start { seat: who, .. } if who == seat));
                if !(crashed && again) {
                    self.ledger.remove(seat);
                }
            }
            Event::Shutdown { .. } => self.ledger.retain(|seat| self.tree.phase(*seat).is_some_and(Phase::holds)),
            Event::Due { .. } => {
                let abandoned = actions.iter().filter_map(|action| match action {
                    Action::Abandon { seat, .. } => Some(*seat),
                    _ => None,
                });
                for seat in abandoned {
                    self.ledger.remove(&seat);
                }
            }
            Event::SetSlots { slots } => self.cap = (*slots).max(1),
            Event::Retry { seat } => {
                self.quarantined.remove(seat);
            }
            _ => {}
        }
        if actions.iter().any(|action| matches!(action, Action::MeltDown { .. })) {
            self.ledger.retain(|seat| self.tree.phase(*seat).is_some_and(Phase::holds));
        }
    }

    /// The event, if the driver could send it now.
    fn act(&self, seat: u8, act: Act, late: bool) -> Option<Event<u8>> {
        let phase = self.phase(seat)?;
        let inc = if late {
            // One that is gone: whatever it says must change nothing.
            Incarnation(phase.incarnation()?.0.checked_sub(1).filter(|earlier| *earlier > 0)?)
        } else {
            phase.incarnation()?
        };
        let sleeping = matches!(phase, Phase::Sleeping { .. });
        Some(match act {
            Act::Started => Event::Started { seat, inc },
            Act::Wants(need) => Event::Wants { seat, inc, need },
            Act::Released => Event::Released { seat, inc },
            Act::Idle => Event::Idle { seat, inc },
            Act::Answer { asleep: true } if sleeping || late => Event::Slept { seat, inc },
            Act::Answer { asleep: false } if sleeping || late => Event::Busy { seat, inc },
            Act::Answer { .. } => return None,
            Act::Ended(exit) => Event::Ended { seat, inc, exit },
        })
    }

    fn pass(&mut self, ms: u64) {
        let until = self.now.after(Millis(ms));
        while let Some(&(at, ticket)) = self.timers.first().filter(|(at, _)| *at <= until) {
            self.timers.remove(&(at, ticket));
            self.now = self.now.max(at);
            self.happen(Event::Due { ticket });
        }
        self.now = until;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Add(seat, class, parent) => self.happen(Event::Add { seat, class, parent }),
            Step::Wake(seat, need) => self.happen(Event::Wake { seat, need }),
            Step::Act(seat, act) => {
                if let Some(event) = self.act(seat, act, false) {
                    self.happen(event);
                }
            }
            Step::Late(seat, act) => {
                if let Some(event) = self.act(seat, act, true) {
                    let before = self.tree.view();
                    assert_eq!(self.tree.handle(self.now, event.clone()), [], "{event:?} is late");
                    assert_eq!(self.tree.view(), before, "{event:?} is late");
                }
            }
            Step::Pass(ms) => self.pass(ms),
            Step::Retry(seat) => self.happen(Event::Retry { seat }),
            Step::Remove(seat) => self.happen(Event::Remove { seat }),
            Step::Slots(slots) => self.happen(Event::SetSlots { slots }),
            Step::Shutdown(mode) => self.happen(Event::Shutdown { mode }),
        }
    }

    /// Everybody ends what they do, until nothing happens any more. Returns who got a slot.
    fn come_to_rest(&mut self) -> BTreeSet<u8> {
        let mut granted = self.ledger.clone();
        for _ in 0..40 {
            for seat in 0..SEATS {
                let Some(phase) = self.phase(seat) else {
                    continue;
                };
                let Some(inc) = phase.incarnation() else {
                    continue;
                };
                let event = match phase {
                    Phase::Sleeping { .. } => Event::Slept { seat, inc },
                    Phase::Stopping { .. } => Event::Ended { seat, inc, exit: Exit::Shutdown },
                    _ => Event::Idle { seat, inc },
                };
                self.happen(event);
                granted.extend(self.ledger.iter());
            }
            self.pass(60_000);
            granted.extend(self.ledger.iter());
        }
        granted
    }
}

fn live(slots: u32, idle: u64, steps: Vec<Step>) -> World {
    let mut world = World::new(slots, idle);
    for step in steps {
        world.step(step);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The rules hold after every event, and the same events give the same actions.
    #[test]
    fn rules_hold_and_lives_repeat((slots, idle, steps) in steps()) {
        let once = live(slots, idle, steps.clone());
        let twice = live(slots, idle, steps);
        prop_assert_eq!(&once.log, &twice.log);
        prop_assert_eq!(once.tree.view(), twice.tree.view());
    }

    /// Whoever is woken for a turn gets a slot when the others end theirs, and then all are back.
    #[test]
    fn every_wake_is_served_and_all_slots_return((slots, idle, steps) in steps()) {
        let mut world = live(slots, idle, steps);
        if world.tree.is_running() {
            for seat in 0..SEATS {
                world.happen(Event::Retry { seat });
            }
            world.come_to_rest();
            let woken: BTreeSet<u8> = world.tree.view().iter().map(|row| row.seat).collect();
            let mut granted = BTreeSet::new();
            for seat in &woken {
                world.happen(Event::Wake { seat: *seat, need: Need::NewTurn });
                granted.extend(world.ledger.iter());
            }
            granted.extend(world.come_to_rest());
            prop_assert_eq!(granted, woken);
        } else {
            world.come_to_rest();
        }
        prop_assert_eq!(world.tree.in_use(), 0);
        prop_assert_eq!(world.tree.waiting(), 0);
        prop_assert!(world.timers.is_empty());
        let rests = |row: Row<u8>| matches!(row.phase, Phase::Asleep | Phase::Quarantined { .. });
        prop_assert!(world.tree.view().into_iter().all(rests), "somebody does not rest");
    }

    /// However they behave, a shutdown is over within its deadlines, and says so once.
    #[test]
    fn a_shutdown_is_bounded((slots, idle, steps) in steps()) {
        let mut world = live(slots, idle, steps);
        world.happen(Event::Shutdown { mode: Shutdown::Orderly });
        world.pass(31_000);
        prop_assert!(world.tree.is_down());
        prop_assert_eq!((world.down, world.tree.in_use(), world.timers.len()), (1, 0, 0));
    }
}
