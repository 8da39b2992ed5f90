//! Random histories, against a mailbox so simple that it is obviously right.

use std::num::NonZeroU64;

use proptest::prelude::*;
use sapwood_mailbox::sync::Arc;
use sapwood_mailbox::{AGE_AFTER, Admit, Caps, Doorbell, Incarnation, LANES, Lane, Mailbox, Permit, Seq};

const COUNT_CAP: u32 = 4;
const BYTES_CAP: u64 = 12;

#[derive(Clone, Debug)]
enum Op {
    Send(Lane, u64),
    Coalesce(Lane, u64, u64),
    Reserve(Lane, u64),
    Resize(usize, u64),
    Redeem(usize),
    GiveUp(usize),
    Lease(usize),
    LeaseLane(Lane, usize),
    Begin(usize),
    Ack(usize),
    Crash,
    Remove(usize),
    Detach,
    Trim,
}

fn op() -> impl Strategy<Value = Op> {
    let lane = || prop::sample::select(&Lane::ALL[..]);
    let volatile = prop::sample::select(vec![Lane::Control, Lane::Interrupt, Lane::Continuation]);
    let bytes = || 0..6u64;
    prop_oneof![
        6 => (lane(), bytes()).prop_map(|(l, b)| Op::Send(l, b)),
        3 => (volatile, 1..3u64, bytes()).prop_map(|(l, k, b)| Op::Coalesce(l, k, b)),
        2 => (lane(), bytes()).prop_map(|(l, b)| Op::Reserve(l, b)),
        1 => (0..4usize, 0..14u64).prop_map(|(i, b)| Op::Resize(i, b)),
        2 => (0..4usize).prop_map(Op::Redeem),
        1 => (0..4usize).prop_map(Op::GiveUp),
        4 => (1..5usize).prop_map(Op::Lease),
        1 => (lane(), 1..3usize).prop_map(|(l, n)| Op::LeaseLane(l, n)),
        4 => (0..6usize).prop_map(Op::Begin),
        4 => (0..6usize).prop_map(Op::Ack),
        1 => Just(Op::Crash),
        1 => (0..6usize).prop_map(Op::Remove),
        1 => Just(Op::Detach),
        1 => Just(Op::Trim),
    ]
}

struct Bell;
impl Doorbell for Bell {
    fn ring(&self) -> bool {
        true
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    Queued,
    Leased,
}

#[derive(Clone, Debug)]
struct Item {
    seq: Seq,
    lane: Lane,
    key: u64,
    bytes: u64,
    msg: u32,
    place: Place,
}

/// Every message in one list, in the order of admission.
#[derive(Default)]
struct Model {
    items: Vec<Item>,
    promises: Vec<(Lane, u64)>,
    begun: Option<Seq>,
}

impl Model {
    fn used(&self, lane: Lane) -> (u32, u64) {
        let items = self.items.iter().filter(|i| i.lane == lane).map(|i| i.bytes);
        let promises = self.promises.iter().filter(|p| p.0 == lane).map(|p| p.1);
        let all: Vec<_> = items.chain(promises).collect();
        (all.len() as u32, all.iter().sum())
    }

    fn fits(&self, lane: Lane, bytes: u64) -> bool {
        let (count, held) = self.used(lane);
        count < COUNT_CAP && held + bytes <= BYTES_CAP
    }

    fn heads(&self) -> Vec<&Item> {
        Lane::ALL
            .into_iter()
            .filter_map(|l| self.items.iter().find(|i| i.lane == l && i.place == Place::Queued))
            .collect()
    }

    fn held(&self) -> Vec<Seq> {
        self.items.iter().filter(|i| i.place == Place::Leased).map(|i| i.seq).collect()
    }

    fn get(&mut self, seq: Seq) -> &mut Item {
        self.items.iter_mut().find(|i| i.seq == seq).unwrap()
    }
}

struct Pair {
    mailbox: Arc<Mailbox<u32>>,
    permits: Vec<Permit<u32>>,
    me: Incarnation,
    next_msg: u32,
    /// For each lane, messages of others leased in turn since its head could have been.
    passed: [u32; LANES],
    model: Model,
}

impl Pair {
    fn new() -> Self {
        let caps = Caps { count: [COUNT_CAP; LANES], bytes: [BYTES_CAP; LANES] };
        let mailbox = Arc::new(Mailbox::new(caps));
        let me = mailbox.attach(Arc::new(Bell)).incarnation;
        Self { mailbox, permits: Vec::new(), me, next_msg: 0, passed: [0; LANES], model: Model::default() }
    }

    fn push(&mut self, seq: Seq, lane: Lane, key: u64, bytes: u64) {
        assert!(self.model.items.iter().all(|i| i.seq < seq), "numbers go up");
        let msg = self.next_msg;
        self.model.items.push(Item { seq, lane, key, bytes, msg, place: Place::Queued });
    }

    fn step(&mut self, op: Op) {
        self.next_msg += 1;
        let msg = self.next_msg;
        match op {
            Op::Send(lane, bytes) => {
                let fits = self.model.fits(lane, bytes);
                let sent = self.mailbox.try_send(lane, bytes, msg);
                assert_eq!(sent.is_ok(), fits);
                if let Ok(admit) = sent {
                    assert_eq!(admit, Admit::Queued(admit.seq()));
                    self.push(admit.seq(), lane, 0, bytes);
                }
            }
            Op::Coalesce(lane, key, bytes) => self.coalesce(lane, key, bytes, msg),
            Op::Reserve(lane, bytes) => {
                let fits = self.model.fits(lane, bytes);
                let reserved = Mailbox::reserve(&self.mailbox, lane, bytes);
                assert_eq!(reserved.is_ok(), fits);
                if let Ok(permit) = reserved {
                    self.permits.push(permit);
                    self.model.promises.push((lane, bytes));
                }
            }
            Op::Resize(at, bytes) if at < self.permits.len() => {
                let (lane, old) = self.model.promises[at];
                let fits = bytes <= old || self.model.used(lane).1 - old + bytes <= BYTES_CAP;
                assert_eq!(self.permits[at].resize(bytes).is_ok(), fits);
                if fits {
                    self.model.promises[at].1 = bytes;
                }
            }
            Op::Redeem(at) if at < self.permits.len() => {
                let seq = self.permits.remove(at).send(msg).unwrap();
                let (lane, bytes) = self.model.promises.remove(at);
                self.push(seq, lane, 0, bytes);
            }
            Op::GiveUp(at) if at < self.permits.len() => {
                drop(self.permits.remove(at));
                self.model.promises.remove(at);
            }
            Op::Lease(max) => self.lease(max),
            Op::LeaseLane(lane, max) => {
                let mut out = Vec::new();
                let taken = self.mailbox.lease_lane(self.me, lane, max, &mut out);
                let expected: Vec<_> = self
                    .model
                    .items
                    .iter()
                    .filter(|i| i.lane == lane && i.place == Place::Queued)
                    .take(max)
                    .map(|i| i.seq)
                    .collect();
                assert_eq!(taken, expected.len());
                assert_eq!(out.iter().map(|e| e.seq).collect::<Vec<_>>(), expected);
                for seq in expected {
                    self.model.get(seq).place = Place::Leased;
                }
                self.passed[lane.index()] = 0;
            }
            Op::Begin(at) => {
                if let Some(&seq) = self.model.held().get(at) {
                    assert!(self.mailbox.begin(self.me, seq));
                    self.model.get(seq).key = 0;
                    self.model.begun = Some(seq);
                }
            }
            Op::Ack(at) => {
                if let Some(&seq) = self.model.held().get(at) {
                    assert!(self.mailbox.ack(self.me, seq));
                    self.model.items.retain(|i| i.seq != seq);
                    self.model.begun = self.model.begun.filter(|&b| b != seq);
                }
            }
            Op::Crash => {
                let attached = self.mailbox.attach(Arc::new(Bell));
                assert_eq!(attached.culprit.map(|e| e.seq), self.model.begun.take());
                self.me = attached.incarnation;
                self.model.items.iter_mut().for_each(|i| i.place = Place::Queued);
            }
            Op::Remove(at) => {
                let item = self.model.items.get(at).cloned();
                let Some(item) = item else { return };
                let removed = self.mailbox.remove(item.seq);
                assert_eq!(removed.is_some(), item.place == Place::Queued);
                self.model.items.retain(|i| i.seq != item.seq || removed.is_none());
            }
            Op::Detach => {
                let idle = self.model.items.is_empty();
                assert_eq!(self.mailbox.detach(self.me), idle);
                if idle {
                    assert!(!self.mailbox.begin(self.me, self.anything()));
                    self.me = self.mailbox.attach(Arc::new(Bell)).incarnation;
                }
            }
            Op::Trim => self.mailbox.trim(),
            Op::Resize(..) | Op::Redeem(_) | Op::GiveUp(_) => {}
        }
    }

    /// Some number, for a call that must be refused before it is looked at.
    fn anything(&self) -> Seq {
        let other = Mailbox::new(Caps::default());
        other.try_send(Lane::User, 0, 0).unwrap().seq()
    }

    fn coalesce(&mut self, lane: Lane, key: u64, bytes: u64, msg: u32) {
        let (_, held) = self.model.used(lane);
        let fits = self.model.fits(lane, bytes);
        let answer = self.mailbox.coalesce(lane, NonZeroU64::new(key).unwrap(), bytes, msg);
        let found = |i: &&mut Item| i.lane == lane && i.key == key && i.place == Place::Queued;
        match self.model.items.iter_mut().rfind(found) {
            Some(item) if bytes <= item.bytes || held - item.bytes + bytes <= BYTES_CAP => {
                assert_eq!(answer, Ok(Admit::Coalesced(item.seq)));
                (item.msg, item.bytes) = (msg, bytes);
            }
            None if fits => {
                let seq = answer.unwrap().seq();
                self.push(seq, lane, key, bytes);
            }
            _ => assert_eq!(answer.unwrap_err().msg, msg),
        }
    }

    fn lease(&mut self, max: usize) {
        let mut out = Vec::new();
        let more = self.mailbox.lease(self.me, max, &mut out);
        for envelope in &out {
            let heads = self.model.heads();
            let taken = heads.iter().find(|i| i.seq == envelope.seq);
            let taken = (*taken.expect("not the head of a lane")).clone();
            assert_eq!((taken.lane, taken.bytes, taken.msg), (envelope.lane, envelope.bytes, envelope.msg));
            let waited = self.passed[taken.lane.index()];
            let first = heads[0].lane == taken.lane;
            assert!(first || waited >= u32::from(AGE_AFTER), "overtook {:?}", heads[0]);
            self.model.get(envelope.seq).place = Place::Leased;
            let waiting: Vec<_> = self.model.heads().iter().map(|i| i.lane).collect();
            for lane in Lane::ALL {
                let passed = &mut self.passed[lane.index()];
                *passed = if lane != taken.lane && waiting.contains(&lane) { *passed + 1 } else { 0 };
                assert!(*passed <= u32::from(AGE_AFTER) + LANES as u32 - 2, "{lane} starves");
            }
        }
        let left = self.model.heads().len();
        assert_eq!(more, left > 0);
        assert!(out.len() == max || left == 0);
    }

    fn compare(&self) {
        let snapshot = self.mailbox.snapshot();
        for lane in Lane::ALL {
            let at = lane.index();
            let count = |place| self.model.items.iter().filter(|i| i.lane == lane && i.place == place).count() as u32;
            assert_eq!(snapshot.queued[at], count(Place::Queued));
            assert_eq!(snapshot.leased[at], count(Place::Leased));
            let promises = self.model.promises.iter().filter(|p| p.0 == lane).count() as u32;
            assert_eq!(snapshot.reserved[at], promises);
            assert_eq!(snapshot.bytes[at], self.model.used(lane).1);
            assert!(snapshot.queued[at] + snapshot.leased[at] + promises <= COUNT_CAP);
            assert!(snapshot.bytes[at] <= BYTES_CAP);
        }
        assert_eq!(snapshot.attached, Some(self.me));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_history_agrees_with_the_model(ops in prop::collection::vec(op(), 1..120)) {
        let mut pair = Pair::new();
        for op in ops {
            pair.step(op);
            pair.compare();
        }
        let mut left: Vec<_> = pair.model.items.iter().map(|i| (i.lane, i.seq, i.msg)).collect();
        left.sort_by_key(|&(lane, seq, _)| (lane, seq));
        let closed: Vec<_> = pair.mailbox.close().iter().map(|e| (e.lane, e.seq, e.msg)).collect();
        prop_assert_eq!(closed, left);
        drop(std::mem::take(&mut pair.permits));
        prop_assert_eq!(pair.mailbox.snapshot().bytes, [0; LANES]);
    }
}
