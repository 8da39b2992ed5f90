//! Woken, in line, awake, idle, asleep.

use super::*;

#[test]
fn adding_is_refused_for_a_reason() {
    let mut tree = Tree::new(Config { max_seats: 2, ..Config::default() });
    let add = |seat, parent| Event::Add { seat, class: Class::Worker, parent };
    let refused = |seat, why| vec![Action::Refused { seat, why }];
    run(
        &mut tree,
        vec![
            (add(1, None), vec![]),
            (add(1, None), refused(1, AddError::Duplicate)),
            (add(2, Some(9)), refused(2, AddError::UnknownParent)),
            (add(2, Some(1)), vec![]),
            (add(3, Some(1)), refused(3, AddError::Full { max: 2 })),
            (Event::Remove { seat: 2 }, vec![Action::Removed { seat: 2 }]),
            (add(3, Some(1)), vec![]),
        ],
    );
    at(&mut tree, 0, ORDERLY);
    assert_eq!(at(&mut tree, 0, add(4, None)), refused(4, AddError::ShuttingDown));
}

#[test]
fn a_sleeping_seat_waits_in_line_without_an_incarnation() {
    let mut tree = workers(1, 3);
    run(
        &mut tree,
        vec![
            (wake(1, Need::NewTurn), vec![start(1, 1, true)]),
            (wake(1, Need::NewTurn), vec![]),
            (wake(2, Need::NewTurn), vec![]),
            (wake(3, Need::NewTurn), vec![]),
            (wake(2, Need::NewTurn), vec![]),
            (wake(3, Need::Resume), vec![]),
            (released(1, 1), vec![start(3, 2, true)]),
            (released(3, 2), vec![start(2, 3, true)]),
            (released(2, 3), vec![]),
        ],
    );
    assert_eq!(tree.in_use(), 0);
}

#[test]
fn the_line_goes_by_class_then_resuming_then_arrival() {
    let mut tree = tree(
        1,
        &[
            (1, Class::Worker, None),
            (2, Class::Worker, None),
            (3, Class::Worker, None),
            (4, Class::Reviewer, None),
            (5, Class::Root, None),
            (6, Class::Root, None),
        ],
    );
    at(&mut tree, 0, wake(1, Need::NewTurn));
    for (seat, need) in
        [(2, Need::NewTurn), (3, Need::Resume), (4, Need::NewTurn), (5, Need::NewTurn), (6, Need::Resume)]
    {
        assert_eq!(at(&mut tree, 0, wake(seat, need)), []);
    }
    let mut holder = 1;
    let mut order = Vec::new();
    for inc in 1..=5 {
        if let [Action::Start { seat, granted: true, .. }] = at(&mut tree, 0, released(holder, inc))[..] {
            holder = seat;
            order.push(seat);
        }
    }
    assert_eq!(order, [6, 5, 4, 3, 2]);
}

#[test]
fn an_awake_one_asks_and_may_change_its_mind() {
    let mut tree = workers(1, 2);
    run(
        &mut tree,
        vec![
            (wake(1, Need::NoSlot), vec![start(1, 1, false)]),
            (wake(2, Need::NoSlot), vec![start(2, 2, false)]),
            (wants(1, 1, Need::NoSlot), vec![]),
            (wants(1, 1, Need::NewTurn), vec![grant(1, 1)]),
            (wants(1, 1, Need::NewTurn), vec![]),
            (wants(2, 2, Need::NewTurn), vec![]),
            (wants(2, 2, Need::Resume), vec![]),
            (released(2, 2), vec![]),
            (released(1, 1), vec![]),
            (released(1, 1), vec![]),
            (wants(2, 2, Need::Resume), vec![grant(2, 2)]),
        ],
    );
    assert!(tree.holds(2, INC[2]) && !tree.holds(1, INC[1]));
}

#[test]
fn an_interrupt_starts_a_queued_seat_which_keeps_its_place() {
    let mut tree = workers(1, 3);
    run(
        &mut tree,
        vec![
            (wake(1, Need::NewTurn), vec![start(1, 1, true)]),
            (wake(2, Need::NewTurn), vec![]),
            (wake(3, Need::NewTurn), vec![]),
            (wake(2, Need::NoSlot), vec![start(2, 2, false)]),
            (wants(2, 2, Need::NewTurn), vec![]),
            // With nothing else to do it goes on waiting asleep, before 3.
            (idle(2, 2), vec![sleep(2, 2)]),
            (slept(2, 2), vec![]),
            (released(1, 1), vec![start(2, 3, true)]),
        ],
    );
}

#[test]
fn a_wake_that_races_with_sleep_is_not_lost() {
    let mut tree = workers(2, 1);
    run(
        &mut tree,
        vec![
            (wake(1, Need::NewTurn), vec![start(1, 1, true)]),
            (idle(1, 1), vec![sleep(1, 1)]),
            (idle(1, 1), vec![]),
            (wake(1, Need::NewTurn), vec![]),
            (slept(1, 1), vec![start(1, 2, true)]),
            (idle(1, 2), vec![sleep(1, 2)]),
            (wake(1, Need::NewTurn), vec![]),
            (wake(1, Need::NoSlot), vec![]),
            (slept(1, 2), vec![start(1, 3, false)]),
            (idle(1, 3), vec![sleep(1, 3)]),
            (wake(1, Need::NewTurn), vec![]),
            // The message was there before it looked: it is awake, and asks by itself.
            (busy(1, 3), vec![]),
            (wants(1, 3, Need::NewTurn), vec![grant(1, 3)]),
        ],
    );
}

/// It said that it is idle, then handled one more message, and only then heard that it may sleep.
#[test]
fn a_wish_between_idle_and_asleep_is_not_lost() {
    let mut tree = workers(1, 2);
    run(
        &mut tree,
        vec![
            (wake(1, Need::NewTurn), vec![start(1, 1, true)]),
            (idle(1, 1), vec![sleep(1, 1)]),
            (wants(1, 1, Need::NewTurn), vec![]),
            (slept(1, 1), vec![start(1, 2, true)]),
            (idle(1, 2), vec![sleep(1, 2)]),
            (wants(1, 2, Need::NewTurn), vec![]),
            (busy(1, 2), vec![grant(1, 2)]),
            (idle(1, 2), vec![sleep(1, 2)]),
            (wants(1, 2, Need::NewTurn), vec![]),
            (released(1, 2), vec![]),
            (slept(1, 2), vec![]),
        ],
    );
    assert_eq!(tree.in_use(), 0);
}

#[test]
fn what_a_replaced_incarnation_says_changes_nothing() {
    let mut tree = workers(2, 1);
    at(&mut tree, 0, wake(1, Need::NewTurn));
    assert_eq!(at(&mut tree, 0, crash(1, 1)), [start(1, 2, true)]);
    let before = tree.view();
    for late in [
        Event::Started { seat: 1, inc: INC[1] },
        wants(1, 1, Need::NewTurn),
        released(1, 1),
        idle(1, 1),
        slept(1, 1),
        busy(1, 1),
        crash(1, 1),
        storage(1, 1),
        due(99),
        wake(77, Need::NewTurn),
        released(77, 1),
    ] {
        assert_eq!(at(&mut tree, 0, late.clone()), [], "{late:?}");
    }
    assert_eq!(tree.view(), before);
}

#[test]
fn an_idle_one_sleeps_after_its_time_by_one_timer() {
    let mut tree = Tree::new(Config { idle: Millis(100), ..Config::default() });
    at(&mut tree, 0, Event::Add { seat: 1, class: Class::Worker, parent: None });
    at(&mut tree, 0, wake(1, Need::NewTurn));
    let (first, after) = timer(&at(&mut tree, 0, idle(1, 1)));
    assert_eq!((after, tree.in_use()), (100, 0));
    assert_eq!(at(&mut tree, 60, idle(1, 1)), []);
    let (second, rest) = timer(&at(&mut tree, 100, due(first)));
    assert_eq!(rest, 60);
    assert_eq!(at(&mut tree, 160, due(second)), [sleep(1, 1)]);
    at(&mut tree, 160, busy(1, 1));
    let (third, _) = timer(&at(&mut tree, 170, idle(1, 1)));
    let cancel = Action::Cancel { ticket: Ticket(third) };
    assert_eq!(at(&mut tree, 180, wants(1, 1, Need::NewTurn)), [cancel, grant(1, 1)]);
}

#[test]
fn fewer_slots_take_none_away_and_more_are_given_at_once() {
    let mut tree = workers(2, 4);
    for seat in 1..=4 {
        at(&mut tree, 0, wake(seat, Need::NewTurn));
    }
    run(
        &mut tree,
        vec![
            (Event::SetSlots { slots: 0 }, vec![]),
            (released(1, 1), vec![]),
            (Event::SetSlots { slots: 3 }, vec![start(3, 3, true), start(4, 4, true)]),
        ],
    );
}

#[test]
fn ten_thousand_wait_and_an_empty_shutdown_is_down_at_once() {
    let mut tree = Tree::new(Config { slots: 4, ..Config::default() });
    for seat in 1..=10_000 {
        assert_eq!(tree.handle(Millis(0), Event::Add { seat, class: Class::Worker, parent: None }), []);
    }
    let starts: usize = (1..=10_000).map(|seat| tree.handle(Millis(0), wake(seat, Need::NewTurn)).len()).sum();
    assert_eq!((starts, tree.waiting()), (4, 9_996));
    tree.check();
    let mut empty: Tree<u32> = Tree::new(Config::default());
    assert_eq!(at(&mut empty, 0, ORDERLY).last(), Some(&Action::Down));
}
