//! Limits: queued + leased + reserved never exceeds a cap, and every place comes back.
#![cfg(loom)]

use loom::thread;
use sapwood_loom_tests::{Port, lease, mailbox, port};
use sapwood_mailbox::{LANES, Lane, Mailbox, Snapshot};

const AT: usize = Lane::Mail.index();

fn places(snapshot: &Snapshot) -> u32 {
    snapshot.queued[AT] + snapshot.leased[AT] + snapshot.reserved[AT]
}

/// P6: two reserve one place. One is used, or given back; no promise leaks.
#[test]
fn p6_promises_and_messages_share_the_cap() {
    loom::model(|| {
        let mb = mailbox(1, 100);
        let user = thread::spawn({
            let mb = mb.clone();
            move || Mailbox::reserve(&mb, Lane::Mail, 5).map_or(0, |p| u32::from(p.send(1).is_ok()))
        });
        let dropper = thread::spawn({
            let mb = mb.clone();
            move || drop(Mailbox::reserve(&mb, Lane::Mail, 5))
        });
        assert!(places(&mb.snapshot()) <= 1);
        let sent = user.join().unwrap();
        dropper.join().unwrap();
        let snapshot = mb.snapshot();
        assert_eq!((snapshot.reserved[AT], snapshot.queued[AT]), (0, sent));
        assert_eq!(snapshot.bytes[AT], 5 * u64::from(sent));
    });
}

/// P6: who has a permit is never refused, though others take whatever place they find.
#[test]
fn p6_a_promise_is_kept() {
    loom::model(|| {
        let mb = mailbox(2, 10);
        let permit = Mailbox::reserve(&mb, Lane::Mail, 6).unwrap();
        let greedy = thread::spawn({
            let mb = mb.clone();
            move || [5, 4, 4].map(|bytes| mb.try_send(Lane::Mail, bytes, 1).is_ok())
        });
        permit.send(2).unwrap();
        assert_eq!(greedy.join().unwrap(), [false, true, false]);
        let snapshot = mb.snapshot();
        assert_eq!((places(&snapshot), snapshot.bytes[AT]), (2, 10));
    });
}

/// P6 in bytes: a permit that shrinks makes room for exactly what it gave up.
#[test]
fn p6_resizing_moves_bytes_once() {
    loom::model(|| {
        let mb = mailbox(4, 10);
        let mut permit = Mailbox::reserve(&mb, Lane::Mail, 10).unwrap();
        let sender = thread::spawn({
            let mb = mb.clone();
            move || u64::from(mb.try_send(Lane::Mail, 7, 1).is_ok())
        });
        permit.resize(3).unwrap();
        let grown = permit.resize(4).is_ok();
        let sent = sender.join().unwrap();
        assert!(grown || sent == 1);
        assert!(!(grown && sent == 1), "11 of 10 bytes");
        assert_eq!(mb.snapshot().bytes[AT], permit.bytes() + 7 * sent);
    });
}

/// Once a fault: leased messages were not counted, so a crash put them back above the cap.
#[test]
fn the_cap_holds_across_redelivery() {
    loom::model(|| {
        let mb = mailbox(2, 10);
        let old = mb.attach(Port::bell(&port())).incarnation;
        mb.try_send(Lane::Mail, 5, 1).unwrap();
        mb.try_send(Lane::Mail, 5, 2).unwrap();
        let greedy = thread::spawn({
            let mb = mb.clone();
            move || {
                let sent = mb.try_send(Lane::Mail, 0, 3).is_ok();
                sent || Mailbox::reserve(&mb, Lane::Mail, 0).is_ok()
            }
        });
        lease(&mb, old, 2); // and dies here
        let new = mb.attach(Port::bell(&port())).incarnation;
        let snapshot = mb.snapshot();
        assert!(!greedy.join().unwrap(), "a place that a leased message holds was given away");
        assert_eq!((places(&snapshot), snapshot.bytes[AT]), (2, 10));
        for envelope in lease(&mb, new, 8) {
            assert!(mb.ack(new, envelope.seq));
        }
        assert_eq!(mb.snapshot().bytes, [0; LANES]);
        assert_eq!(places(&mb.snapshot()), 0);
    });
}
