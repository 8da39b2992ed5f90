//! Conservation: what was admitted is delivered, removed or returned; once, and to one reader.
#![cfg(loom)]

use loom::thread;
use sapwood_loom_tests::{Port, lease, mailbox, messages, port};
use sapwood_mailbox::{LANES, Lane, Mailbox};

/// P3: admitted = acked + returned by `close`, each once; after it nothing can be begun.
#[test]
fn p3_closing_conserves() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let me = mb.attach(Port::bell(&port())).incarnation;
        let first = mb.try_send(Lane::Mail, 1, 0).unwrap().seq();
        let sender = thread::spawn({
            let mb = mb.clone();
            move || usize::from(mb.try_send(Lane::Mail, 1, 1).is_ok())
        });
        let actor = thread::spawn({
            let mb = mb.clone();
            move || {
                let batch = lease(&mb, me, 1);
                batch.iter().filter(|e| mb.begin(me, e.seq) && mb.ack(me, e.seq)).count()
            }
        });
        let returned = mb.close();
        assert!(returned.is_sorted_by_key(|e| e.seq));
        assert!(!mb.begin(me, first) && !mb.detach(me), "closed: the reader may not go on");
        let admitted = 1 + sender.join().unwrap();
        let acked = actor.join().unwrap();
        assert_eq!(admitted, acked + returned.len());
        assert!(mb.close().is_empty());
        assert_eq!(mb.snapshot().bytes, [0; LANES]);
    });
}

/// P3 for a promised message: delivered to be returned, or given back to its sender.
#[test]
fn p3_a_permit_against_closing() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let permit = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
        let unused = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
        let sender = thread::spawn(move || permit.send(7).is_ok());
        let dropper = thread::spawn(move || drop(unused));
        let returned = mb.close();
        assert_eq!(returned.len(), usize::from(sender.join().unwrap()));
        dropper.join().unwrap();
        assert!(mb.close().is_empty());
        let snapshot = mb.snapshot();
        assert_eq!((snapshot.reserved, snapshot.bytes), ([0; LANES], [0; LANES]));
    });
}

/// Closing lanes is not closing: a permit that was out delivers, a new one is refused.
#[test]
fn closing_a_lane_keeps_its_promises() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let permit = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
        let sender = thread::spawn({
            let mb = mb.clone();
            move || {
                permit.send(1).unwrap();
                usize::from(mb.try_send(Lane::Mail, 1, 2).is_ok())
            }
        });
        mb.close_lanes(&[Lane::Mail]);
        assert!(mb.try_send(Lane::Mail, 1, 3).is_err());
        let more = sender.join().unwrap();
        assert_eq!(messages(&mb.close()), [1, 2][..1 + more]);
    });
}

/// P8: of two incarnations, only the newer can ack what it holds, and a message is acked once.
#[test]
fn p8_a_replaced_incarnation_is_fenced() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let old = mb.attach(Port::bell(&port())).incarnation;
        mb.try_send(Lane::User, 1, 1).unwrap();
        let zombie = thread::spawn({
            let mb = mb.clone();
            move || {
                let mut batch = Vec::new();
                mb.lease_lane(old, Lane::User, 1, &mut batch);
                batch.extend(lease(&mb, old, 8));
                batch.iter().filter(|e| mb.begin(old, e.seq) && mb.ack(old, e.seq)).count()
            }
        });
        let new = mb.attach(Port::bell(&port())).incarnation;
        let batch = lease(&mb, new, 8);
        assert!(batch.iter().all(|e| !mb.begin(old, e.seq)), "begun by two");
        let by_new = batch.iter().filter(|e| mb.begin(new, e.seq) && mb.ack(new, e.seq)).count();
        let by_old = zombie.join().unwrap();
        assert_eq!(by_new, batch.len(), "what the new one holds, it can ack");
        assert_eq!(by_old + by_new, 1, "one effective delivery");
        assert!(!mb.detach(old));
        assert!(mb.detach(new));
    });
}

/// P9: a crash is blamed on the message begun and not acked, on that one only, and told once.
#[test]
fn p9_only_the_begun_message_is_blamed() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let old = mb.attach(Port::bell(&port())).incarnation;
        let seqs = [1, 2, 3].map(|n| mb.try_send(Lane::User, 1, n).unwrap().seq());
        let actor = thread::spawn({
            let mb = mb.clone();
            move || {
                let batch = lease(&mb, old, 8);
                let begun = |at: usize| batch.len() > at && mb.begin(old, seqs[at]);
                let first = begun(0);
                let acked = first && mb.ack(old, seqs[0]);
                (first, acked, begun(1))
            }
        });
        let attached = mb.attach(Port::bell(&port()));
        let culprit = attached.culprit.map(|e| e.seq);
        let expected = match actor.join().unwrap() {
            (_, _, true) => Some(seqs[1]),
            (_, true, false) => None,
            (first, false, false) => first.then_some(seqs[0]),
        };
        assert_eq!(culprit, expected);
        assert!(mb.attach(Port::bell(&port())).culprit.is_none());
    });
}

/// P13: a lease against `remove`: the message is delivered or removed, exactly one of them.
#[test]
fn p13_leased_or_removed() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let me = mb.attach(Port::bell(&port())).incarnation;
        let seqs = [1, 2].map(|n| mb.try_send(Lane::User, 1, n).unwrap().seq());
        let remover = thread::spawn({
            let mb = mb.clone();
            move || mb.remove(seqs[1]).map(|e| e.msg)
        });
        let batch = lease(&mb, me, 8);
        let acked = batch.iter().filter(|e| mb.begin(me, e.seq) && mb.ack(me, e.seq)).count();
        assert_eq!(acked, batch.len(), "what was leased cannot be removed");
        let delivered = messages(&batch);
        match remover.join().unwrap() {
            Some(msg) => assert_eq!((msg, delivered), (2, vec![1])),
            None => assert_eq!(delivered, [1, 2]),
        }
        assert_eq!(mb.snapshot().bytes, [0; LANES]);
        assert!(mb.close().is_empty());
    });
}

/// P13 over a crash: what was redelivered can be removed again, and then nobody can ack it.
#[test]
fn p13_removed_after_a_crash() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let old = mb.attach(Port::bell(&port())).incarnation;
        let seq = mb.try_send(Lane::User, 1, 1).unwrap().seq();
        let zombie = thread::spawn({
            let mb = mb.clone();
            move || lease(&mb, old, 8).iter().filter(|e| mb.ack(old, e.seq)).count()
        });
        let new = mb.attach(Port::bell(&port())).incarnation;
        let removed = usize::from(mb.remove(seq).is_some());
        let delivered = lease(&mb, new, 8).len();
        assert_eq!(zombie.join().unwrap() + removed + delivered, 1);
    });
}
