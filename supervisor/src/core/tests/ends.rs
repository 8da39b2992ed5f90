//! Crashes, storage, stops, shutdown.

use super::*;

#[test]
fn a_crash_keeps_the_slot_until_it_quarantines() {
    let mut tree = workers(1, 2);
    at(&mut tree, 0, wake(1, Need::NewTurn));
    at(&mut tree, 0, wake(2, Need::NewTurn));
    assert_eq!(at(&mut tree, 0, crash(1, 1)), [start(1, 2, true)]);
    let (ticket, after) = timer(&at(&mut tree, 0, crash(1, 2)));
    assert!((160..=240).contains(&after), "200 ms +-20 %, not {after}");
    assert_eq!(tree.in_use(), 1);
    assert_eq!(at(&mut tree, 0, wake(1, Need::NoSlot)), []);
    assert_eq!(at(&mut tree, after, due(ticket)), [start(1, 3, true)]);
    let reason = "crash 3 (in the restart window): failed: boom".to_owned();
    let given_up = Action::Quarantine { seat: 1, reason: reason.clone() };
    assert_eq!(at(&mut tree, after, crash(1, 3)), [given_up, start(2, 4, true)]);
    assert_eq!(tree.phase(1), Some(&Phase::Quarantined { reason }));
    for ignored in [wake(1, Need::NewTurn), wake(1, Need::NoSlot), crash(1, 3)] {
        assert_eq!(at(&mut tree, after, ignored), []);
    }
    assert_eq!(at(&mut tree, after, Event::Retry { seat: 1 }), [start(1, 5, false)]);
    assert_eq!(at(&mut tree, after, Event::Retry { seat: 1 }), []);
    assert_eq!(tree.row(1).map(|row| row.crashes), Some(0));
}

#[test]
fn each_class_has_its_own_intensity() {
    // (class, gap between crashes in ms, crashes until quarantine)
    for (class, gap, expected) in
        [(Class::Root, 1_000, 4), (Class::Worker, 1_000, 3), (Class::Worker, 60_000, 5), (Class::Reviewer, 1_000, 1)]
    {
        let mut tree = tree(1, &[(1, class, None)]);
        let mut actions = at(&mut tree, 0, wake(1, Need::NewTurn));
        let mut now = 0;
        let mut crashes = 0;
        loop {
            if let [Action::Timer { ticket, after }] = actions[..] {
                now += after.0;
                actions = at(&mut tree, now, Event::Due { ticket });
            }
            let [Action::Start { inc, .. }] = actions[..] else {
                break;
            };
            now += gap;
            crashes += 1;
            actions = at(&mut tree, now, Event::Ended { seat: 1, inc, exit: Exit::Killed });
        }
        assert!(matches!(actions[..], [Action::Quarantine { .. }]), "{class:?}: {actions:?}");
        assert_eq!(crashes, expected, "{class:?} every {gap} ms");
        assert_eq!(tree.in_use(), 0);
    }
}

#[test]
fn storage_failures_are_no_crashes_and_double_their_wait() {
    let mut tree = workers(1, 2);
    at(&mut tree, 0, wake(1, Need::NewTurn));
    at(&mut tree, 0, wake(2, Need::NewTurn));
    // The slot comes back: a disk may be away for long.
    let actions = at(&mut tree, 0, storage(1, 1));
    assert_eq!(actions[1..], [start(2, 2, true)]);
    let mut ticket = timer(&actions[..1]).0;
    let mut now = 250;
    let mut waits = vec![250];
    for _ in 0..8 {
        let [Action::Start { inc, granted: false, .. }] = at(&mut tree, now, due(ticket))[..] else {
            panic!("it starts again, without a slot");
        };
        let exit = Exit::StorageFailed("disk full".into());
        let (next, after) = timer(&at(&mut tree, now, Event::Ended { seat: 1, inc, exit }));
        (ticket, now) = (next, now + after);
        waits.push(after);
    }
    assert_eq!(waits, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert_eq!(tree.row(1).map(|row| row.crashes), Some(0));
    // A person made room: no wait, and its turn goes on before new ones.
    let actions = at(&mut tree, now, Event::Retry { seat: 1 });
    let [Action::Cancel { .. }, Action::Start { inc, .. }] = actions[..] else { panic!("{actions:?}") };
    assert_eq!(at(&mut tree, now, released(2, 2)), [Action::Grant { seat: 1, inc }]);
}

#[test]
fn a_melt_down_closes_the_tree_once() {
    let mut tree = tree(1, &(1..=30).map(|seat| (seat, Class::Root, None)).collect::<Vec<_>>());
    for seat in 1..=30 {
        at(&mut tree, 0, wake(seat, Need::NoSlot));
    }
    for seat in 1..=20 {
        let actions = at(&mut tree, 0, Event::Ended { seat, inc: Incarnation(u64::from(seat)), exit: Exit::Killed });
        assert!(matches!(actions[..], [Action::Start { .. }]), "{actions:?}");
    }
    let actions = at(&mut tree, 0, Event::Ended { seat: 21, inc: Incarnation(21), exit: Exit::Killed });
    let reason = "21 restarts in a minute, with 30 awake; the limit is 20; the last crash: killed";
    assert_eq!(actions[0], Action::MeltDown { reason: reason.into() });
    let stops = actions.iter().filter(|action| matches!(action, Action::Stop { .. })).count();
    assert_eq!(stops, 29);
    assert!(!tree.is_running());
}

#[test]
fn removal_asks_then_kills_then_abandons() {
    let mut tree = workers(1, 2);
    at(&mut tree, 0, wake(1, Need::NewTurn));
    at(&mut tree, 0, wake(2, Need::NewTurn));
    let actions = at(&mut tree, 0, Event::Remove { seat: 1 });
    assert_eq!(actions[0], stop(1, 1, 5_000));
    let (ticket, _) = timer(&actions);
    let actions = at(&mut tree, 5_000, due(ticket));
    assert_eq!(actions[0], kill(1, 1));
    let (ticket, after) = timer(&actions);
    assert_eq!(after, 1_000);
    // The turn may have run until now, so only now its slot is free.
    let abandoned = Action::Abandon { seat: 1, inc: INC[1] };
    let forgotten = Action::Removed { seat: 1 };
    assert_eq!(at(&mut tree, 6_000, due(ticket)), [abandoned, forgotten, start(2, 2, true)]);
    // The same key is another seat, and its incarnations have other numbers.
    at(&mut tree, 6_000, Event::Add { seat: 1, class: Class::Worker, parent: None });
    assert_eq!(at(&mut tree, 6_000, wake(1, Need::NoSlot)), [start(1, 3, false)]);
    assert_eq!(at(&mut tree, 6_000, crash(1, 1)), []);
}

#[test]
fn shutdown_goes_up_level_by_level() {
    let mut tree = tree(
        4,
        &[
            (1, Class::Root, None),
            (2, Class::Worker, Some(1)),
            (3, Class::Worker, Some(2)),
            (4, Class::Worker, Some(2)),
            (5, Class::Worker, Some(4)),
        ],
    );
    for seat in 1..=4 {
        at(&mut tree, 0, wake(seat, Need::NewTurn));
    }
    at(&mut tree, 0, wake(5, Need::NewTurn));
    // 5 is deepest, but nobody occupies it.
    let actions = at(&mut tree, 0, ORDERLY);
    let stops: Vec<_> = actions.iter().filter(|action| matches!(action, Action::Stop { .. })).cloned().collect();
    assert_eq!(stops, [stop(3, 3, 5_000), stop(4, 4, 5_000)]);
    let four = tree.phase(4).and_then(|phase| phase.ticket()).map_or(0, |ticket| ticket.0);
    assert_eq!(at(&mut tree, 10, stopped(3, 3)).len(), 1);
    // A crash above is not restarted, and nobody is woken or granted any more.
    assert_eq!(at(&mut tree, 20, crash(2, 2)), []);
    assert_eq!(at(&mut tree, 20, wake(2, Need::NewTurn)), []);
    assert_eq!(at(&mut tree, 20, wants(1, 1, Need::NewTurn)), []);
    assert_eq!(at(&mut tree, 5_000, due(four))[0], kill(4, 4));
    let killed = Event::Ended { seat: 4, inc: INC[4], exit: Exit::Killed };
    assert_eq!(at(&mut tree, 5_001, killed)[1], stop(1, 1, 10_001));
    assert_eq!(at(&mut tree, 5_002, stopped(1, 1)).last(), Some(&Action::Down));
    assert!(tree.is_down() && tree.in_use() == 0);
    assert_eq!(at(&mut tree, 5_003, ORDERLY), []);
}

#[test]
fn a_second_shutdown_or_the_total_deadline_kills_who_is_left() {
    for forced_by_time in [false, true] {
        let mut tree = tree(2, &[(1, Class::Root, None), (2, Class::Worker, Some(1))]);
        at(&mut tree, 0, wake(1, Need::NewTurn));
        at(&mut tree, 0, wake(2, Need::NewTurn));
        let actions = at(&mut tree, 0, ORDERLY);
        let [Action::Timer { ticket: total, after: Millis(30_000) }, ..] = actions[..] else { panic!("{actions:?}") };
        let force = if forced_by_time { Event::Due { ticket: total } } else { ORDERLY };
        let actions = at(&mut tree, 100, force);
        let kills: Vec<_> = actions.iter().filter(|action| matches!(action, Action::Kill { .. })).cloned().collect();
        assert_eq!(kills, [kill(1, 1), kill(2, 2)]);
        let timers: Vec<_> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Timer { ticket, .. } => Some(*ticket),
                _ => None,
            })
            .collect();
        assert_eq!(at(&mut tree, 1_100, Event::Due { ticket: timers[0] }), [Action::Abandon { seat: 1, inc: INC[1] }]);
        let last = at(&mut tree, 1_100, Event::Due { ticket: timers[1] });
        assert_eq!((last.first(), last.last()), (Some(&Action::Abandon { seat: 2, inc: INC[2] }), Some(&Action::Down)));
    }
}
