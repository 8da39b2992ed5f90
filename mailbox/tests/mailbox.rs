//! What one thread can see of a mailbox. What several see at once is in `loom-tests/`.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicUsize, Ordering};

use sapwood_mailbox::sync::Arc;
use sapwood_mailbox::{Admit, Caps, Doorbell, Envelope, Incarnation, LANES, Lane, Mailbox, Refused, SendError, Seq};

type Batch<M> = Vec<Arc<Envelope<M>>>;

#[derive(Default)]
struct Bell(AtomicUsize);

impl Doorbell for Bell {
    fn ring(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }
}

impl Bell {
    /// How often it rang since the last look.
    fn rings(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

fn mailbox<M>(count: u32, bytes: u64) -> Arc<Mailbox<M>> {
    Arc::new(Mailbox::new(Caps { count: [count; LANES], bytes: [bytes; LANES] }))
}

fn attach<M>(mailbox: &Mailbox<M>) -> (Incarnation, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let me = mailbox.attach(bell.clone()).incarnation;
    assert_eq!(bell.rings(), 1);
    (me, bell)
}

fn lease<M>(mailbox: &Mailbox<M>, me: Incarnation, max: usize) -> (Batch<M>, bool) {
    let mut out = Vec::new();
    let more = mailbox.lease(me, max, &mut out);
    (out, more)
}

fn messages<M: Copy>(batch: &Batch<M>) -> Vec<M> {
    batch.iter().map(|e| e.msg).collect()
}

fn send<M>(mailbox: &Mailbox<M>, lane: Lane, msg: M) -> Seq {
    mailbox.try_send(lane, 1, msg).unwrap().seq()
}

fn key(n: u64) -> NonZeroU64 {
    NonZeroU64::new(n).unwrap()
}

#[test]
fn lanes_are_served_in_order_and_each_is_first_in_first_out() {
    let mb = mailbox(8, 100);
    for (n, lane) in Lane::ALL.into_iter().rev().enumerate() {
        send(&mb, lane, (lane, n));
        send(&mb, lane, (lane, n + 10));
    }
    let (me, _) = attach(&mb);
    let (batch, more) = lease(&mb, me, 100);
    let expected: Vec<_> = Lane::ALL
        .into_iter()
        .enumerate()
        .flat_map(|(at, lane)| [(lane, LANES - 1 - at), (lane, LANES - 1 - at + 10)])
        .collect();
    assert_eq!(messages(&batch), expected);
    assert!(!more);
    assert!(batch.iter().all(|e| e.lane == e.msg.0 && e.bytes == 1));
}

#[test]
fn a_lane_passed_over_eight_times_gets_one_through_even_over_many_leases() {
    let mb = mailbox(100, 100);
    for n in 0..20 {
        send(&mb, Lane::User, n);
    }
    for n in 100..103 {
        send(&mb, Lane::Mail, n);
    }
    let (me, _) = attach(&mb);
    let mut order = Vec::new();
    while order.len() < 23 {
        order.extend(messages(&lease(&mb, me, 3).0));
    }
    let expected: Vec<_> = (0..8).chain([100]).chain(8..16).chain([101]).chain(16..20).chain([102]).collect();
    assert_eq!(order, expected);
}

#[test]
fn the_bell_rings_once_until_the_lease_that_empties() {
    let mb = mailbox(8, 100);
    let (me, bell) = attach(&mb);
    send(&mb, Lane::User, 1);
    assert_eq!(bell.rings(), 0, "the one of attach is still outstanding");
    assert!(!lease(&mb, me, 8).1);
    send(&mb, Lane::User, 2);
    send(&mb, Lane::User, 3);
    assert_eq!(bell.rings(), 1);
    assert!(lease(&mb, me, 1).1, "one is left: ring yourself");
    send(&mb, Lane::User, 4);
    assert_eq!(bell.rings(), 0);
    assert!(!lease(&mb, me, 8).1);
    drop(Mailbox::reserve(&mb, Lane::Mail, 1).unwrap());
    assert_eq!(bell.rings(), 0, "a promise is no message");
    Mailbox::reserve(&mb, Lane::Mail, 1).unwrap().send(5).unwrap();
    assert_eq!(bell.rings(), 1);
}

#[test]
fn a_message_to_nobody_stays_and_the_next_incarnation_is_rung() {
    let mb = mailbox(8, 100);
    send(&mb, Lane::Mail, 1);
    assert_eq!(mb.snapshot().attached, None);
    let (me, _) = attach(&mb);
    assert_eq!(mb.snapshot().attached, Some(me));
    assert_eq!(messages(&lease(&mb, me, 8).0), [1]);
}

#[test]
fn a_full_lane_gives_the_message_back() {
    let mb = mailbox(2, 10);
    assert!(matches!(mb.try_send(Lane::User, 4, "a"), Ok(Admit::Queued(_))));
    let error = mb.try_send(Lane::User, 7, "b").unwrap_err();
    let refused = Refused::FullBytes { lane: Lane::User, bytes: 7, held: 4, cap: 10 };
    assert_eq!(error, SendError { refused, msg: "b" });
    mb.try_send(Lane::User, 6, "c").unwrap();
    let error = mb.try_send(Lane::User, 0, "d").unwrap_err();
    let refused = Refused::Full { lane: Lane::User, queued: 2, cap: 2 };
    assert_eq!(error, SendError { refused, msg: "d" });
    mb.try_send(Lane::Mail, 10, "e").unwrap();
}

#[test]
fn leased_messages_count_until_they_are_acked_also_over_a_crash() {
    let mb = mailbox(2, 10);
    let (first, _) = attach(&mb);
    let seqs = [1, 2].map(|n| mb.try_send(Lane::User, 5, n).unwrap().seq());
    assert_eq!(lease(&mb, first, 8).0.len(), 2);
    assert!(mb.try_send(Lane::User, 0, 3).is_err());
    let (second, _) = attach(&mb);
    assert!(mb.try_send(Lane::User, 0, 3).is_err());
    assert_eq!(messages(&lease(&mb, second, 8).0), [1, 2]);
    assert!(mb.ack(second, seqs[0]));
    mb.try_send(Lane::User, 5, 3).unwrap();
    assert!(mb.try_send(Lane::User, 0, 4).is_err());
    let snapshot = mb.snapshot();
    let at = Lane::User.index();
    assert_eq!((snapshot.queued[at], snapshot.leased[at], snapshot.bytes[at]), (1, 1, 10));
}

#[test]
fn a_crash_puts_the_leased_back_in_front_and_names_what_was_begun() {
    let mb = mailbox(8, 100);
    let (first, _) = attach(&mb);
    let a = send(&mb, Lane::User, "a");
    let b = send(&mb, Lane::User, "b");
    let c = send(&mb, Lane::Mail, "c");
    assert_eq!(lease(&mb, first, 8).0.len(), 3);
    send(&mb, Lane::User, "d");
    send(&mb, Lane::Control, "e");
    assert!(mb.begin(first, a) && mb.ack(first, a));
    assert!(mb.begin(first, c) && mb.begin(first, b));

    let attached = mb.attach(Arc::new(Bell::default()));
    assert_eq!(attached.culprit.map(|e| (e.seq, e.msg)), Some((b, "b")));
    for stale in [mb.begin(first, b), mb.ack(first, b), mb.detach(first), lease(&mb, first, 8).1] {
        assert!(!stale);
    }
    let mut out = Vec::new();
    assert_eq!(mb.lease_lane(first, Lane::User, 8, &mut out), 0);
    assert_eq!(messages(&lease(&mb, attached.incarnation, 8).0), ["e", "b", "d", "c"]);
}

#[test]
fn only_an_unacked_begun_message_is_blamed() {
    let mb = mailbox(8, 100);
    let culprit = || mb.attach(Arc::new(Bell::default()));
    let one = culprit();
    let seqs = [send(&mb, Lane::User, 1), send(&mb, Lane::User, 2)];
    let me = one.incarnation;
    assert!(one.culprit.is_none());
    assert_eq!(lease(&mb, me, 8).0.len(), 2);
    let two = culprit();
    assert!(two.culprit.is_none(), "leased is not begun");
    let me = two.incarnation;
    assert_eq!(lease(&mb, me, 8).0.len(), 2);
    assert!(seqs.iter().all(|&s| mb.begin(me, s)));
    assert!(mb.ack(me, seqs[1]));
    let three = culprit();
    assert!(three.culprit.is_none(), "the one in hand was acked");
    let me = three.incarnation;
    assert!(!mb.begin(me, seqs[0]), "not leased by this one");
    assert_eq!(lease(&mb, me, 8).0.len(), 1);
    assert!(mb.begin(me, seqs[0]));
    assert_eq!(culprit().culprit.map(|e| e.seq), Some(seqs[0]));
    assert!(culprit().culprit.is_none(), "one crash is told once");
}

#[test]
fn a_redelivered_message_is_the_same_one() {
    let mb = mailbox(8, 100);
    send(&mb, Lane::User, String::from("no copies"));
    let (first, _) = attach(&mb);
    let before = lease(&mb, first, 1).0.remove(0);
    let (second, _) = attach(&mb);
    let after = lease(&mb, second, 1).0.remove(0);
    assert!(Arc::ptr_eq(&before, &after));
}

#[test]
fn an_ack_works_once_and_for_leased_messages_only() {
    let mb = mailbox(8, 100);
    let (me, _) = attach(&mb);
    let seq = send(&mb, Lane::User, 1);
    assert!(!mb.ack(me, seq) && !mb.begin(me, seq), "queued, not leased");
    assert_eq!(lease(&mb, me, 8).0.len(), 1);
    assert!(mb.ack(me, seq));
    assert!(!mb.ack(me, seq) && !mb.begin(me, seq));
}

#[test]
fn coalescing_replaces_the_waiting_one_in_its_place() {
    let mb = mailbox(3, 10);
    let (me, bell) = attach(&mb);
    let first = mb.coalesce(Lane::Interrupt, key(1), 4, "old").unwrap();
    let other = mb.coalesce(Lane::Interrupt, key(2), 4, "other").unwrap();
    assert!(matches!((first, other), (Admit::Queued(_), Admit::Queued(_))));
    assert_eq!(mb.coalesce(Lane::Interrupt, key(1), 6, "new"), Ok(Admit::Coalesced(first.seq())));
    let refused = Refused::FullBytes { lane: Lane::Interrupt, bytes: 7, held: 4, cap: 10 };
    let error = mb.coalesce(Lane::Interrupt, key(1), 7, "too big").unwrap_err();
    assert_eq!(error, SendError { refused, msg: "too big" });
    mb.coalesce(Lane::Control, key(1), 1, "another lane").unwrap();
    assert_eq!(bell.rings(), 0);

    assert_eq!(messages(&lease(&mb, me, 8).0), ["another lane", "new", "other"]);
    let again = mb.coalesce(Lane::Interrupt, key(1), 0, "after the lease").unwrap();
    assert!(matches!(again, Admit::Queued(seq) if seq != first.seq()));
    let refused = Refused::Full { lane: Lane::Interrupt, queued: 3, cap: 3 };
    let error = mb.coalesce(Lane::Interrupt, key(3), 0, "no place").unwrap_err();
    assert_eq!(error, SendError { refused, msg: "no place" });
}

#[test]
fn after_a_crash_only_what_nobody_began_can_be_replaced() {
    let mb = mailbox(8, 100);
    let (first, _) = attach(&mb);
    let begun = mb.coalesce(Lane::Interrupt, key(1), 1, "begun").unwrap().seq();
    let waiting = mb.coalesce(Lane::Interrupt, key(2), 1, "waiting").unwrap().seq();
    assert_eq!(lease(&mb, first, 8).0.len(), 2);
    assert!(mb.begin(first, begun));
    let (second, _) = attach(&mb);
    assert!(matches!(mb.coalesce(Lane::Interrupt, key(1), 1, "behind"), Ok(Admit::Queued(_))));
    assert_eq!(mb.coalesce(Lane::Interrupt, key(2), 1, "replaced"), Ok(Admit::Coalesced(waiting)));
    assert_eq!(messages(&lease(&mb, second, 8).0), ["begun", "replaced", "behind"]);
}

#[test]
fn of_two_with_one_key_the_newer_is_replaced() {
    let mb = mailbox(8, 100);
    let (first, _) = attach(&mb);
    mb.coalesce(Lane::Interrupt, key(1), 1, 1).unwrap();
    assert_eq!(lease(&mb, first, 8).0.len(), 1);
    let newer = mb.coalesce(Lane::Interrupt, key(1), 1, 2).unwrap().seq();
    let (second, _) = attach(&mb);
    let last = mb.coalesce(Lane::Interrupt, key(1), 1, 3);
    assert_eq!(last, Ok(Admit::Coalesced(newer)));
    assert_eq!(messages(&lease(&mb, second, 8).0), [1, 3], "the last word is the last");
}

#[test]
fn durable_lanes_do_not_coalesce() {
    for lane in [Lane::User, Lane::Mail] {
        let tried = std::panic::catch_unwind(|| mailbox(8, 100).coalesce(lane, key(1), 1, ()));
        assert!(tried.is_err(), "{lane}");
    }
}

#[test]
fn a_lease_of_nothing_is_a_mistake() {
    let mb = mailbox::<()>(8, 100);
    let (me, _) = attach(&mb);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lease(&mb, me, 0))).is_err());
}

#[test]
fn recovery_takes_one_lane_first_and_the_doorbell_stays_to_be_answered() {
    let mb = mailbox(20, 100);
    for n in 0..3 {
        send(&mb, Lane::Continuation, n);
    }
    send(&mb, Lane::User, 10);
    let (me, bell) = attach(&mb);
    let mut out = Vec::new();
    assert_eq!(mb.lease_lane(me, Lane::Continuation, 2, &mut out), 2);
    assert_eq!(mb.lease_lane(me, Lane::Continuation, 2, &mut out), 1);
    assert_eq!(mb.lease_lane(me, Lane::Continuation, 2, &mut out), 0);
    send(&mb, Lane::Continuation, 3);
    assert_eq!(bell.rings(), 0);
    assert!(!mb.lease(me, 8, &mut out));
    assert_eq!(messages(&out), [0, 1, 2, 10, 3]);
    send(&mb, Lane::Mail, 11);
    assert_eq!(bell.rings(), 1);
}

#[test]
fn permits_hold_a_place_until_sent_or_dropped() {
    let mb = mailbox(1, 10);
    let permit = Mailbox::reserve(&mb, Lane::Mail, 10).unwrap();
    assert_eq!((permit.lane(), permit.bytes()), (Lane::Mail, 10));
    let full = Refused::Full { lane: Lane::Mail, queued: 1, cap: 1 };
    assert_eq!(mb.try_send(Lane::Mail, 0, 1).unwrap_err().refused, full);
    assert_eq!(Mailbox::reserve(&mb, Lane::Mail, 0).unwrap_err(), full);
    drop(permit);
    assert_eq!((mb.snapshot().reserved, mb.snapshot().bytes), ([0; LANES], [0; LANES]));

    let permit = Mailbox::reserve(&mb, Lane::Mail, 3).unwrap();
    let seq = permit.send(7).unwrap();
    let (me, _) = attach(&mb);
    let batch = lease(&mb, me, 1).0;
    assert_eq!((batch[0].seq, batch[0].bytes, batch[0].msg), (seq, 3, 7));
    assert!(mb.try_send(Lane::Mail, 0, 1).is_err());
    assert!(mb.ack(me, seq));
    assert_eq!(mb.snapshot().bytes, [0; LANES]);
    assert!(mb.try_send(Lane::Mail, 0, 1).is_ok());
}

#[test]
fn a_permit_can_change_its_bytes_within_the_cap() {
    let mb = mailbox(2, 10);
    let mut permit = Mailbox::reserve(&mb, Lane::Mail, 4).unwrap();
    mb.try_send(Lane::Mail, 4, "m").unwrap();
    let refused = Refused::FullBytes { lane: Lane::Mail, bytes: 7, held: 4, cap: 10 };
    assert_eq!(permit.resize(7), Err(refused));
    assert_eq!(permit.bytes(), 4);
    assert_eq!(permit.resize(6), Ok(()));
    assert_eq!(mb.snapshot().bytes[Lane::Mail.index()], 10);
    assert_eq!(permit.resize(1), Ok(()));
    permit.send("p").unwrap();
    assert_eq!(mb.snapshot().bytes[Lane::Mail.index()], 5);
}

#[test]
fn a_closed_lane_refuses_the_new_and_delivers_the_promised() {
    let mb = mailbox(8, 100);
    let permit = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
    send(&mb, Lane::User, "in");
    mb.coalesce(Lane::Control, key(1), 1, "c").unwrap();
    mb.close_lanes(&[Lane::User, Lane::Mail, Lane::Control]);
    assert_eq!(mb.try_send(Lane::User, 1, "no").unwrap_err().refused, Refused::Closed);
    assert_eq!(Mailbox::reserve(&mb, Lane::Mail, 1).unwrap_err(), Refused::Closed);
    assert_eq!(mb.coalesce(Lane::Control, key(1), 1, "no").unwrap_err().refused, Refused::Closed);
    assert_eq!(mb.snapshot().closed_lanes, [true, false, true, true, false]);
    send(&mb, Lane::Continuation, "open");
    permit.send("promised").unwrap();
    let (me, _) = attach(&mb);
    assert_eq!(messages(&lease(&mb, me, 8).0), ["c", "in", "promised", "open"]);
    mb.open_lanes(&[Lane::User]);
    send(&mb, Lane::User, "again");
    assert_eq!(mb.snapshot().closed_lanes, [true, false, false, true, false]);
}

#[test]
fn closing_returns_what_was_not_acked_and_ends_everything() {
    let mb = mailbox(8, 100);
    let (me, bell) = attach(&mb);
    let spent = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
    let mut unspent = Mailbox::reserve(&mb, Lane::Mail, 2).unwrap();
    for n in [1, 2, 3] {
        send(&mb, Lane::Mail, n);
    }
    let batch = lease(&mb, me, 2).0;
    assert!(mb.ack(me, batch[0].seq));
    send(&mb, Lane::User, 4);
    assert_eq!(messages(&mb.close()), [4, 2, 3]);
    assert_eq!(Arc::strong_count(&bell), 1, "the bell is dropped");
    assert!(mb.close().is_empty());

    assert_eq!(mb.try_send(Lane::User, 1, 5).unwrap_err().refused, Refused::Closed);
    assert_eq!(Mailbox::reserve(&mb, Lane::User, 1).unwrap_err(), Refused::Closed);
    assert_eq!(spent.send(6), Err(6));
    assert_eq!(unspent.resize(1), Err(Refused::Closed));
    drop(unspent);
    mb.open_lanes(&Lane::ALL);
    assert_eq!(mb.try_send(Lane::User, 1, 5).unwrap_err().refused, Refused::Closed);
    assert!(!mb.begin(me, batch[1].seq) && !mb.ack(me, batch[1].seq) && !mb.detach(me));
    let (late, _) = attach(&mb);
    assert!(lease(&mb, late, 1).0.is_empty() && !mb.detach(late));
    let snapshot = mb.snapshot();
    assert_eq!((snapshot.reserved, snapshot.bytes), ([0; LANES], [0; LANES]));
    assert!(snapshot.closed && snapshot.attached.is_none());
}

#[test]
fn an_incarnation_sleeps_only_when_nothing_is_left() {
    let mb = mailbox(8, 100);
    let (me, bell) = attach(&mb);
    let permit = Mailbox::reserve(&mb, Lane::Mail, 1).unwrap();
    let seq = send(&mb, Lane::User, 1);
    assert!(!mb.detach(me), "queued");
    assert_eq!(lease(&mb, me, 1).0.len(), 1);
    assert!(!mb.detach(me), "leased");
    assert!(mb.ack(me, seq));
    assert!(mb.detach(me));
    assert!(!mb.detach(me));
    assert_eq!(Arc::strong_count(&bell), 1, "the bell is dropped");
    permit.send(2).unwrap();
    assert_eq!((bell.rings(), lease(&mb, me, 1).0.len()), (0, 0));
    let (next, _) = attach(&mb);
    assert!(next > me);
    assert_eq!(messages(&lease(&mb, next, 1).0), [2]);
}

#[test]
fn removing_takes_queued_messages_only() {
    let mb = mailbox(8, 100);
    let (me, _) = attach(&mb);
    let seqs = [Lane::User, Lane::User, Lane::User, Lane::Mail].map(|lane| send(&mb, lane, ()));
    assert_eq!(lease(&mb, me, 1).0[0].seq, seqs[0]);
    assert!(mb.remove(seqs[0]).is_none(), "leased");
    assert_eq!(mb.remove(seqs[2]).map(|e| e.seq), Some(seqs[2]));
    assert!(mb.remove(seqs[2]).is_none(), "removed");
    assert_eq!(mb.remove(seqs[3]).map(|e| e.lane), Some(Lane::Mail));
    let left: Vec<_> = lease(&mb, me, 8).0.iter().map(|e| e.seq).collect();
    assert_eq!(left, [seqs[1]]);
    assert_eq!(mb.snapshot().bytes, [0, 0, 2, 0, 0]);
}

#[test]
fn messages_need_neither_clone_nor_debug() {
    struct Opaque;
    let mb = mailbox(1, 1);
    let (me, _) = attach(&mb);
    assert!(mb.try_send(Lane::User, 1, Opaque).is_ok());
    let refused = mb.try_send(Lane::User, 1, Opaque).unwrap_err();
    assert!(format!("{refused:?} {mb:?}").contains("Full"));
    let batch = lease(&mb, me, 1).0;
    assert!(mb.ack(me, batch[0].seq));
}
