//! The doorbell: who has something waiting is woken, once.
#![cfg(loom)]

use loom::sync::Arc;
use loom::thread;
use sapwood_loom_tests::{Port, lease, mailbox, messages, port};
use sapwood_mailbox::{Incarnation, Lane, Mailbox};

/// One handling of a doorbell, as the shell does it. False: nobody had rung.
fn handle(mb: &Mailbox<u32>, port: &Port, me: Incarnation, got: &mut Vec<u32>) -> bool {
    if !port.take() {
        return false;
    }
    let mut batch = Vec::new();
    let again = mb.lease(me, 1, &mut batch);
    for envelope in &batch {
        assert!(mb.begin(me, envelope.seq) && mb.ack(me, envelope.seq));
    }
    got.extend(messages(&batch));
    if again {
        port.ring();
    }
    true
}

/// P1: while something is queued, a doorbell is outstanding. P2: never two (`Port::take` checks).
#[test]
fn p1_p2_no_wakeup_is_lost_or_doubled() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let port = port();
        let me = mb.attach(Port::bell(&port)).incarnation;
        mb.try_send(Lane::User, 1, 1).unwrap();
        mb.try_send(Lane::User, 1, 2).unwrap();
        let sender = thread::spawn({
            let mb = mb.clone();
            move || mb.try_send(Lane::User, 1, 3).unwrap()
        });
        let mut got = Vec::new();
        for _ in 0..3 {
            handle(&mb, &port, me, &mut got);
        }
        sender.join().unwrap();
        while handle(&mb, &port, me, &mut got) {}
        assert_eq!(got, [1, 2, 3], "queued, and nobody was woken");
    });
}

/// P1 and P2 for two senders that meet at an empty mailbox, one of them with a permit.
#[test]
fn p1_p2_two_senders_at_an_empty_mailbox_ring_once() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let port = port();
        let me = mb.attach(Port::bell(&port)).incarnation;
        let mut got = Vec::new();
        assert!(handle(&mb, &port, me, &mut got));
        let permit = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
        let promised = thread::spawn(move || permit.send(1).unwrap());
        let sender = thread::spawn({
            let mb = mb.clone();
            move || mb.try_send(Lane::Mail, 1, 2).unwrap()
        });
        handle(&mb, &port, me, &mut got);
        promised.join().unwrap();
        sender.join().unwrap();
        while handle(&mb, &port, me, &mut got) {}
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
    });
}

/// Taking one lane first does not answer the doorbell: P1 and P2 hold over a recovery.
#[test]
fn recovery_keeps_the_doorbell() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let port = port();
        mb.try_send(Lane::Continuation, 1, 1).unwrap();
        let me = mb.attach(Port::bell(&port)).incarnation;
        let sender = thread::spawn({
            let mb = mb.clone();
            move || mb.try_send(Lane::Continuation, 1, 2).unwrap()
        });
        let mut first = Vec::new();
        while mb.lease_lane(me, Lane::Continuation, 8, &mut first) > 0 {}
        let mut got = messages(&first);
        assert!(handle(&mb, &port, me, &mut got));
        sender.join().unwrap();
        while handle(&mb, &port, me, &mut got) {}
        assert_eq!(got, [1, 2]);
    });
}

/// P10: a new incarnation is rung though nobody sends again.
#[test]
fn p10_attaching_rings() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let dead = port();
        let first = mb.attach(Port::bell(&dead)).incarnation;
        let sender = thread::spawn({
            let mb = mb.clone();
            move || mb.try_send(Lane::User, 1, 1).unwrap()
        });
        drop(lease(&mb, first, 8)); // and dies here
        let alive = port();
        let second = mb.attach(Port::bell(&alive)).incarnation;
        sender.join().unwrap();
        let mut got = Vec::new();
        while handle(&mb, &alive, second, &mut got) {}
        assert_eq!(got, [1]);
    });
}

/// Falling asleep against a sender: the incarnation goes on and is woken, or the message stays and
/// the sender can see that nobody is there.
#[test]
fn a_message_to_one_who_falls_asleep_is_not_overlooked() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let old = port();
        let me = mb.attach(Port::bell(&old)).incarnation;
        let mut got = Vec::new();
        assert!(handle(&mb, &old, me, &mut got));
        let sender = thread::spawn({
            let mb = mb.clone();
            move || {
                mb.try_send(Lane::Mail, 1, 1).unwrap();
                mb.snapshot().attached.is_none()
            }
        });
        let asleep = mb.detach(me);
        let must_wake = sender.join().unwrap();
        let rung = handle(&mb, &old, me, &mut got);
        if asleep {
            assert!(must_wake && got.is_empty());
            let new = port();
            let me = mb.attach(Port::bell(&new)).incarnation;
            while handle(&mb, &new, me, &mut got) {}
        } else {
            assert!(rung && !must_wake);
        }
        assert_eq!(got, [1]);
        assert_eq!(Arc::strong_count(&mb), 1);
    });
}
