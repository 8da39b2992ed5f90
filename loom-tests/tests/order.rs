//! Order: lanes, first in first out, and what coalescing may do to them.
#![cfg(loom)]

use std::num::NonZeroU64;

use loom::thread;
use sapwood_loom_tests::{Port, lease, mailbox, messages, port};
use sapwood_mailbox::{Admit, Lane};

const TURN: NonZeroU64 = NonZeroU64::new(99).unwrap();

/// P4: a lane is first in, first out for each sender, across a crash and redelivery.
#[test]
fn p4_order_survives_a_crash() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let first = mb.attach(Port::bell(&port())).incarnation;
        let sender = thread::spawn({
            let mb = mb.clone();
            move || {
                for n in 1..=3 {
                    mb.try_send(Lane::User, 1, n).unwrap();
                }
            }
        });
        let held = lease(&mb, first, 2); // and dies here
        let second = mb.attach(Port::bell(&port())).incarnation;
        assert!(held.iter().all(|e| !mb.ack(first, e.seq)), "a stale ack");
        sender.join().unwrap();
        assert_eq!(messages(&lease(&mb, second, 8)), [1, 2, 3]);
    });
}

/// P4 for two lanes at once: each keeps its own order whatever was leased between them.
#[test]
fn p4_lanes_return_to_their_own_fronts() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let first = mb.attach(Port::bell(&port())).incarnation;
        mb.try_send(Lane::Mail, 1, 20).unwrap();
        let sender = thread::spawn({
            let mb = mb.clone();
            move || {
                mb.try_send(Lane::User, 1, 10).unwrap();
                mb.try_send(Lane::Mail, 1, 21).unwrap();
            }
        });
        lease(&mb, first, 1);
        lease(&mb, first, 1);
        let second = mb.attach(Port::bell(&port())).incarnation;
        sender.join().unwrap();
        assert_eq!(messages(&lease(&mb, second, 8)), [10, 20, 21]);
    });
}

/// P5: an interrupt overtakes every input not leased yet; the last word of a key is never lost.
#[test]
fn p5_an_interrupt_overtakes_and_its_last_word_counts() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let me = mb.attach(Port::bell(&port())).incarnation;
        mb.try_send(Lane::User, 1, 10).unwrap();
        mb.try_send(Lane::User, 1, 11).unwrap();
        let sender = thread::spawn({
            let mb = mb.clone();
            move || {
                mb.coalesce(Lane::Interrupt, TURN, 1, 0).unwrap();
                mb.coalesce(Lane::Interrupt, TURN, 1, 1).unwrap()
            }
        });
        let before = lease(&mb, me, 1);
        let last = sender.join().unwrap();
        let after = lease(&mb, me, 8);
        assert!(after.is_sorted_by_key(|e| e.lane));
        let all = before.iter().chain(&after);
        let words: Vec<_> = all.filter(|e| e.lane == Lane::Interrupt).map(|e| e.msg).collect();
        match last {
            Admit::Coalesced(_) => assert_eq!(words, [1]),
            Admit::Queued(_) => assert_eq!(words, [0, 1]),
        }
        assert!(after.iter().all(|e| e.msg != 0), "the first word came after the second was in");
    });
}

/// P5 over a crash: whatever was leased, lost or replaced, the last word of a key is read last.
#[test]
fn p5_the_last_word_is_last_over_a_crash() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let old = mb.attach(Port::bell(&port())).incarnation;
        mb.coalesce(Lane::Interrupt, TURN, 1, 0).unwrap();
        let sender = thread::spawn({
            let mb = mb.clone();
            move || {
                for word in 1..=2 {
                    mb.coalesce(Lane::Interrupt, TURN, 1, word).unwrap();
                }
            }
        });
        let lost = lease(&mb, old, 1).len();
        let new = mb.attach(Port::bell(&port())).incarnation; // the old one had begun nothing
        sender.join().unwrap();
        let words = messages(&lease(&mb, new, 8));
        assert_eq!(lost, 1);
        assert!(words.is_sorted() && words.last() == Some(&2), "{words:?}");
    });
}

/// A message that was begun is never replaced, though a crash has queued it again: its reader may
/// have acted on it.
#[test]
fn coalescing_spares_what_was_begun() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let old = mb.attach(Port::bell(&port())).incarnation;
        let seq = mb.coalesce(Lane::Interrupt, TURN, 1, 0).unwrap().seq();
        let actor = thread::spawn({
            let mb = mb.clone();
            move || !lease(&mb, old, 1).is_empty() && mb.begin(old, seq)
        });
        let new = mb.attach(Port::bell(&port()));
        let begun = actor.join().unwrap();
        assert_eq!(new.culprit.map(|e| e.msg), begun.then_some(0));
        let second = mb.coalesce(Lane::Interrupt, TURN, 1, 1).unwrap();
        assert_eq!(matches!(second, Admit::Queued(_)), begun);
        let expected: &[u32] = if begun { &[0, 1] } else { &[1] };
        assert_eq!(messages(&lease(&mb, new.incarnation, 8)), expected);
    });
}

/// Once a fault: coalescing moved a sender's newer message before its older ones, and an acceptance
/// mark then skipped those. On durable lanes nothing is replaced, so marks of one sender only rise.
#[test]
fn marks_of_a_sender_rise_on_durable_lanes() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let old = mb.attach(Port::bell(&port())).incarnation;
        let sender = thread::spawn({
            let mb = mb.clone();
            move || {
                for n in 1..=3 {
                    assert!(matches!(mb.try_send(Lane::Mail, 1, n), Ok(Admit::Queued(_))));
                }
            }
        });
        let mut mark = 0;
        let mut consumed = Vec::new();
        let mut read = |me, max| {
            for envelope in lease(&mb, me, max) {
                assert!(mb.begin(me, envelope.seq));
                if envelope.msg > mark {
                    mark = envelope.msg;
                    consumed.push(envelope.msg);
                }
                if envelope.msg != 2 {
                    assert!(mb.ack(me, envelope.seq));
                }
            }
        };
        read(old, 2);
        // 2 is consumed and not acked, perhaps.
        let new = mb.attach(Port::bell(&port())).incarnation;
        sender.join().unwrap();
        read(new, 8);
        assert_eq!(consumed, [1, 2, 3]);
    });
}
