//! Nothing user-supplied runs under the lock: what calls back into the mailbox would hang there.
#![cfg(loom)]

use std::num::NonZeroU64;

use loom::sync::Arc;
use loom::thread;
use sapwood_loom_tests::{mailbox, port};
use sapwood_mailbox::{Doorbell, Lane, Mailbox};

const KEY: NonZeroU64 = NonZeroU64::MIN;

/// A message that looks at its mailbox when it is dropped.
struct Nosy(Arc<Mailbox<Nosy>>);

impl Drop for Nosy {
    fn drop(&mut self) {
        self.0.snapshot();
    }
}

/// A bell that looks at its mailbox when it is rung, and when it is dropped.
struct NosyBell(Arc<Mailbox<Nosy>>);

impl Doorbell for NosyBell {
    fn ring(&self) -> bool {
        self.0.snapshot();
        true
    }
}

impl Drop for NosyBell {
    fn drop(&mut self) {
        self.0.snapshot();
    }
}

fn bell(mb: &Arc<Mailbox<Nosy>>) -> Arc<dyn Doorbell> {
    let bell: std::sync::Arc<dyn Doorbell> = std::sync::Arc::new(NosyBell(mb.clone()));
    Arc::from_std(bell)
}

/// Sends, refusals, replacements, leases, acks, removals: each lets go of its message unlocked.
#[test]
fn messages_end_unlocked() {
    loom::model(|| {
        let mb = mailbox(1, 10);
        let me = mb.attach(sapwood_loom_tests::Port::bell(&port())).incarnation;
        let nosy = || Nosy(mb.clone());
        assert!(mb.coalesce(Lane::Control, KEY, 1, nosy()).is_ok());
        assert!(mb.coalesce(Lane::Control, KEY, 1, nosy()).is_ok(), "replaces");
        assert!(mb.coalesce(Lane::Control, KEY, 11, nosy()).is_err(), "too big");
        assert!(mb.try_send(Lane::Control, 1, nosy()).is_err(), "full");
        let mut batch = Vec::new();
        mb.lease(me, 1, &mut batch);
        let seq = batch.remove(0).seq;
        assert!(mb.ack(me, seq), "the last reference");
        let permit = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
        let seq = permit.send(nosy()).ok().unwrap();
        assert!(mb.remove(seq).is_some());
        let late = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
        assert!(mb.try_send(Lane::User, 1, nosy()).is_ok());
        assert_eq!(mb.close().len(), 1);
        assert!(late.send(nosy()).is_err());
    });
}

/// Bells are rung, replaced and dropped unlocked, also while somebody sends.
#[test]
fn bells_ring_and_end_unlocked() {
    loom::model(|| {
        let mb = mailbox(8, 100);
        let first = mb.attach(bell(&mb)).incarnation;
        mb.lease(first, 1, &mut Vec::new());
        let sender = thread::spawn({
            let mb = mb.clone();
            move || {
                let permit = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
                permit.send(Nosy(mb.clone())).is_ok()
            }
        });
        mb.coalesce(Lane::Control, KEY, 1, Nosy(mb.clone())).ok();
        let second = mb.attach(bell(&mb)).incarnation;
        assert!(sender.join().unwrap());
        let mut batch = Vec::new();
        assert!(!mb.lease(second, 8, &mut batch));
        for envelope in batch {
            assert!(mb.ack(second, envelope.seq));
        }
        assert!(mb.detach(second));
        let third = mb.attach(bell(&mb)).incarnation;
        assert!(!mb.lease(third, 8, &mut Vec::new()), "answered, so the next send rings");
        assert!(mb.try_send(Lane::User, 1, Nosy(mb.clone())).is_ok());
        mb.close();
    });
}
