//! The driver on real ractor, mostly on one thread with a paused clock.

mod host;

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, mpsc};

use host::{Msg, Stage, Trouble};
use sapwood_mailbox::Lane;
use sapwood_supervisor::core::{AddError, Config, Millis, Need, Phase};
use tokio::time::{Duration, Instant};

fn panics(times: u32) -> Trouble {
    Trouble { panics: AtomicU32::new(times), ..Trouble::default() }
}

fn restless() -> Trouble {
    Trouble { restless: true, ..Trouble::default() }
}

#[tokio::test(start_paused = true)]
async fn what_panicked_comes_again_to_the_next_incarnation_and_siblings_do_not_notice() {
    for before in [true, false] {
        let stage = Stage::open(Config::default()).await;
        let (one, two) = (stage.seat_with(1, None, panics(1)), stage.seat_with(2, None, restless()));
        stage.send(&two, Need::NoSlot, Msg::Say("hello"));
        stage.theatre.until(2).await;
        for msg in [Msg::Say("a"), Msg::Panic { before, says: "b" }, Msg::Say("c")] {
            stage.send(&one, Need::NoSlot, msg);
        }
        stage.theatre.until(if before { 7 } else { 8 }).await;
        stage.send(&two, Need::NoSlot, Msg::Say("still here"));
        let mut expected =
            vec!["2.1 wakes", "2.1 hello", "1.1 wakes", "1.1 a", "1.1 b", "1.2 wakes after b", "1.2 b", "1.2 c"];
        if before {
            expected.remove(4);
        }
        expected.extend(["2.1 still here", "1.2 stops", "2.1 stops"]);
        let mut lines = stage.theatre.until(expected.len() - 1).await;
        stage.close().await.into_iter().skip(lines.len()).for_each(|line| lines.push(line));
        lines.sort();
        expected.sort();
        assert_eq!(lines, expected, "before: {before}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_always_panics_is_quarantined_once_and_can_be_retried() {
    let stage = Stage::open(Config { slots: 1, ..Config::default() }).await;
    let seat = stage.seat_with(1, None, panics(3));
    stage.send(&seat, Need::NewTurn, Msg::Panic { before: true, says: "x" });
    let begun = Instant::now();
    let lines = stage.theatre.until(4).await;
    let reason = "crash 3 (in the restart window): failed: panicked: stage fright";
    assert_eq!(
        lines,
        ["1.1 wakes with a slot", "1.2 wakes after x", "1.3 wakes after x", &format!("1 quarantined: {reason}")]
    );
    let waited = begun.elapsed().as_millis();
    assert!((160..=241).contains(&waited), "0 and 200 ms +-20 %, not {waited}");
    assert_eq!(stage.tree.usage(), (0, 1));
    // Ignored, but kept for the retry.
    stage.send(&seat, Need::NewTurn, Msg::Say("y"));
    assert_eq!(stage.tree.view()[0].phase, Phase::Quarantined { reason: reason.into() });
    stage.tree.retry(1);
    let lines = stage.theatre.until(8).await;
    assert_eq!(lines[4..], ["1.4 wakes after x", "1.4 x", "1.4 y", "1.4 stops"]);
    assert_eq!(stage.close().await.len(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_seat_sleeps_and_wakes() {
    let stage = Stage::open(Config::default()).await;
    let seat = stage.seat(1);
    stage.send(&seat, Need::NoSlot, Msg::Say("a"));
    assert_eq!(stage.theatre.until(3).await, ["1.1 wakes", "1.1 a", "1.1 stops"]);
    // Sent without a pause: it is on its way to sleep, or asleep; nothing is lost either way.
    stage.send(&seat, Need::NoSlot, Msg::Say("b"));
    assert_eq!(stage.theatre.until(6).await[3..], ["1.2 wakes", "1.2 b", "1.2 stops"]);
    assert_eq!(stage.close().await.len(), 6);
    assert_eq!(seat.mailbox.snapshot().attached, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_message_is_lost_however_sleep_and_wake_race() {
    const EACH: usize = 500;
    let stage = Arc::new(Stage::open(Config::default()).await);
    let seat = stage.seat(1);
    let mut senders = Vec::new();
    for _ in 0..3 {
        let (stage, seat) = (Arc::clone(&stage), Arc::clone(&seat));
        senders.push(tokio::spawn(async move {
            let mut sent = 0;
            while sent < EACH {
                let admitted = seat.mailbox.try_send(Lane::Mail, 1, Msg::Say("hi")).is_ok();
                if admitted {
                    sent += 1;
                    stage.tree.wake(1, Need::NoSlot);
                }
                if !admitted || sent % 7 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let said = || stage.theatre.lines().iter().filter(|line| line.ends_with("hi")).count();
    let deadline = Instant::now() + Duration::from_secs(20);
    while said() < 3 * EACH {
        assert!(Instant::now() < deadline, "{} of {} were handled", said(), 3 * EACH);
        tokio::task::yield_now().await;
    }
    stage.tree.shutdown().await;
    assert_eq!(said(), 3 * EACH);
}

#[tokio::test(start_paused = true)]
async fn with_one_slot_three_take_turns() {
    let stage = Stage::open(Config { slots: 1, ..Config::default() }).await;
    let seats: Vec<_> = (1..=3).map(|key| stage.seat(key)).collect();
    for seat in &seats {
        stage.send(seat, Need::NewTurn, Msg::Say("on stage"));
    }
    for (turn, seat) in seats.iter().enumerate() {
        let lines = stage.theatre.until(4 * turn + 2).await;
        assert_eq!(lines.len(), 4 * turn + 2, "only one is on stage: {lines:#?}");
        assert_eq!(stage.tree.usage(), (1, 1));
        stage.send(seat, Need::NoSlot, Msg::End);
    }
    let expected: Vec<String> = (1..=3)
        .flat_map(|key| ["wakes with a slot", "on stage", "ends", "stops"].map(|what| format!("{key}.1 {what}")))
        .collect();
    let mut lines = stage.theatre.until(12).await;
    // Who leaves and who comes next do not wait for each other.
    lines.sort();
    let mut sorted = expected;
    sorted.sort();
    assert_eq!(lines, sorted);
    assert_eq!(stage.close().await.len(), 12);
}

#[tokio::test(start_paused = true)]
async fn an_awake_one_is_granted_once_and_not_what_it_gave_up() {
    let stage = Stage::open(Config { slots: 1, ..Config::default() }).await;
    let (one, two) = (stage.seat_with(1, None, restless()), stage.seat_with(2, None, restless()));
    stage.send(&one, Need::NoSlot, Msg::Ask);
    assert_eq!(stage.theatre.until(3).await, ["1.1 wakes", "1.1 asks", "1.1 granted"]);
    for msg in [Msg::Ask, Msg::Ask, Msg::End, Msg::Ask] {
        stage.send(&two, Need::NoSlot, msg);
    }
    stage.theatre.until(8).await;
    stage.send(&one, Need::NoSlot, Msg::End);
    let lines = stage.theatre.until(10).await;
    assert_eq!(lines[3..], ["2.1 wakes", "2.1 asks", "2.1 asks", "2.1 ends", "2.1 asks", "1.1 ends", "2.1 granted"]);
    // The grant is on its way when it is given up: it must not arrive, and must not be kept.
    stage.send(&two, Need::NoSlot, Msg::End);
    stage.theatre.until(11).await;
    one.mailbox.try_send(Lane::Mail, 1, Msg::Ask).unwrap();
    one.mailbox.try_send(Lane::Mail, 1, Msg::End).unwrap();
    let lines = stage.theatre.until(13).await;
    assert_eq!(lines[10..], ["2.1 ends", "1.1 asks", "1.1 ends"]);
    // One thread: all that is on its way arrives.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.theatre.lines().len(), 13);
    assert_eq!(stage.tree.usage(), (0, 1));
    assert_eq!(stage.close().await.len(), 15);
}

#[tokio::test(start_paused = true)]
async fn shutdown_stops_the_deepest_first_and_takes_nobody_new() {
    let stage = Stage::open(Config::default()).await;
    let seats = [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(3))]
        .map(|(key, parent)| stage.seat_with(key, parent, restless()));
    for seat in &seats {
        stage.send(seat, Need::NoSlot, Msg::Say("here"));
    }
    stage.theatre.until(8).await;
    let tree = stage.tree.clone();
    let lines = stage.close().await;
    assert_eq!(lines[8..], ["4.1 stops", "3.1 stops", "2.1 stops", "1.1 stops"]);
    let late = sapwood_supervisor::driver::Seat {
        key: 9,
        class: seats[0].class,
        parent: None,
        mailbox: Arc::clone(&seats[0].mailbox),
        held: (restless(), Arc::clone(&seats[0].held.1)),
    };
    assert_eq!(tree.add(late).map(|seat| seat.key), Err(AddError::ShuttingDown));
}

#[tokio::test(start_paused = true)]
async fn storage_is_tried_again_with_growing_waits_and_is_no_crash() {
    let stage = Stage::open(Config::default()).await;
    let trouble = Trouble { storage: AtomicU32::new(5), ..Trouble::default() };
    let seat = stage.seat_with(1, None, trouble);
    stage.send(&seat, Need::NoSlot, Msg::Say("at last"));
    let begun = Instant::now();
    let lines = stage.theatre.until(8).await;
    assert_eq!(lines[4..], ["1.5 wakes", "1.6 wakes", "1.6 at last", "1.6 stops"]);
    let waited = begun.elapsed().as_millis();
    assert!((7_750..7_760).contains(&waited), "250 + 500 + 1000 + 2000 + 4000 ms, not {waited}");
    assert_eq!(stage.tree.view()[0].crashes, 0);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_computes_on_after_the_kill_is_abandoned_and_fenced() {
    let config = Config { stop_within: Millis(30), kill_within: Millis(30), slots: 1, ..Config::default() };
    let stage = Stage::open(config).await;
    let seat = stage.seat(1);
    let (free, blocked) = mpsc::channel();
    stage.send(&seat, Need::NoSlot, Msg::Block(Mutex::new(blocked)));
    stage.send(&seat, Need::NoSlot, Msg::Say("next"));
    stage.theatre.until(2).await;
    stage.tree.remove(1);
    let gone = async {
        while stage.tree.seat(1).is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    // The same mailbox gets a new seat, while the old incarnation still computes.
    let heir = stage.seat_at(1, None, restless(), Arc::clone(&seat.mailbox));
    assert_eq!(heir.mailbox.snapshot().queued.iter().sum::<u32>(), 2);
    stage.tree.wake(1, Need::NoSlot);
    stage.theatre.until(4).await;
    free.send(()).unwrap();
    free.send(()).unwrap();
    drop(free);
    let blocks =
        ["1.1 wakes", "1.1 blocks", "1.2 wakes", "1.2 blocks", "1.1 is free", "1.2 is free", "1.2 next", "1.2 granted"];
    let mut lines = stage.theatre.until(blocks.len()).await;
    let mut expected = blocks;
    lines.sort();
    expected.sort_unstable();
    // Both are free, but only the new one goes on to the next message, and is granted a slot.
    assert_eq!(lines, expected);
    assert_eq!(stage.close().await.last().map(String::as_str), Some("1.2 stops"));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_ends_the_tree() {
    let Stage { tree, theatre, task } = Stage::open(Config::default()).await;
    let stage = Stage { tree: tree.clone(), theatre, task };
    let seat = stage.seat_with(1, None, restless());
    stage.send(&seat, Need::NoSlot, Msg::Say("a"));
    stage.theatre.until(2).await;
    let Stage { tree: other, task, theatre } = stage;
    drop(tree);
    assert!(!task.is_finished());
    drop(other);
    task.await.unwrap();
    assert_eq!(theatre.lines(), ["1.1 wakes", "1.1 a"]);
}

#[tokio::test(start_paused = true)]
async fn a_melt_down_tells_the_host_and_closes_the_tree() {
    let stage = Stage::open(Config { melt_down_restarts: 3, ..Config::default() }).await;
    for key in 1..=5 {
        let seat = stage.seat_with(key, None, panics(1));
        stage.send(&seat, Need::NoSlot, Msg::Panic { before: true, says: "x" });
    }
    stage.task.await.unwrap();
    let melted: Vec<_> = stage.theatre.lines().into_iter().filter(|line| line.starts_with("melted")).collect();
    assert_eq!(melted.len(), 1);
    assert!(melted[0].starts_with("melted: 4 restarts in a minute"), "{melted:?}");
}
