//! Tables: what happened, and what it leads to.

use super::*;

mod ends;
mod occupancy;

type Happened = Event<u32>;
type Wanted = Action<u32>;

const INC: [Incarnation; 7] =
    [Incarnation(0), Incarnation(1), Incarnation(2), Incarnation(3), Incarnation(4), Incarnation(5), Incarnation(6)];

fn at(tree: &mut Tree<u32>, ms: u64, event: Happened) -> Vec<Wanted> {
    let actions = tree.handle(Millis(ms), event);
    tree.check();
    actions
}

fn tree(slots: u32, seats: &[(u32, Class, Option<u32>)]) -> Tree<u32> {
    let mut tree = Tree::new(Config { slots, ..Config::default() });
    for &(seat, class, parent) in seats {
        assert_eq!(at(&mut tree, 0, Event::Add { seat, class, parent }), []);
    }
    tree
}

fn workers(slots: u32, count: u32) -> Tree<u32> {
    let seats: Vec<_> = (1..=count).map(|seat| (seat, Class::Worker, None)).collect();
    tree(slots, &seats)
}

fn wake(seat: u32, need: Need) -> Happened {
    Event::Wake { seat, need }
}
fn wants(seat: u32, inc: usize, need: Need) -> Happened {
    Event::Wants { seat, inc: INC[inc], need }
}
fn released(seat: u32, inc: usize) -> Happened {
    Event::Released { seat, inc: INC[inc] }
}
fn idle(seat: u32, inc: usize) -> Happened {
    Event::Idle { seat, inc: INC[inc] }
}
fn slept(seat: u32, inc: usize) -> Happened {
    Event::Slept { seat, inc: INC[inc] }
}
fn busy(seat: u32, inc: usize) -> Happened {
    Event::Busy { seat, inc: INC[inc] }
}
fn crash(seat: u32, inc: usize) -> Happened {
    Event::Ended { seat, inc: INC[inc], exit: Exit::Failed("boom".into()) }
}
fn storage(seat: u32, inc: usize) -> Happened {
    Event::Ended { seat, inc: INC[inc], exit: Exit::StorageFailed("disk full".into()) }
}
fn stopped(seat: u32, inc: usize) -> Happened {
    Event::Ended { seat, inc: INC[inc], exit: Exit::Shutdown }
}
fn due(ticket: u64) -> Happened {
    Event::Due { ticket: Ticket(ticket) }
}
fn start(seat: u32, inc: usize, granted: bool) -> Wanted {
    Action::Start { seat, inc: INC[inc], granted }
}
fn grant(seat: u32, inc: usize) -> Wanted {
    Action::Grant { seat, inc: INC[inc] }
}
fn sleep(seat: u32, inc: usize) -> Wanted {
    Action::Sleep { seat, inc: INC[inc] }
}
fn kill(seat: u32, inc: usize) -> Wanted {
    Action::Kill { seat, inc: INC[inc] }
}
fn stop(seat: u32, inc: usize, deadline: u64) -> Wanted {
    Action::Stop { seat, inc: INC[inc], deadline: Millis(deadline) }
}
fn timer(actions: &[Wanted]) -> (u64, u64) {
    match actions {
        [.., Action::Timer { ticket, after }] => (ticket.0, after.0),
        other => panic!("no timer at the end of {other:?}"),
    }
}
const ORDERLY: Happened = Event::Shutdown { mode: Shutdown::Orderly };

/// Runs a table of (event at 0 ms, actions).
fn run(tree: &mut Tree<u32>, table: Vec<(Happened, Vec<Wanted>)>) {
    for (row, (event, expected)) in table.into_iter().enumerate() {
        let said = format!("row {row}: {event:?}");
        assert_eq!(at(tree, 0, event), expected, "{said}");
    }
}
