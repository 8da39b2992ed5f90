//! What the mailbox's lock protects: data and transitions, no lock and nothing user-supplied.
//!
//! Whatever a transition takes out and the user could notice being dropped or called (a message, a
//! doorbell) is handed to the caller, who lets go of it after unlocking.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use crate::ageing::Ageing;
use crate::envelope::{Attached, Doorbell, Envelope, Incarnation, Seq, Snapshot};
use crate::lane::{Caps, LANES, Lane};
use crate::ledger::Ledger;
use crate::refusal::{Refused, SendError};
use crate::sync::Arc;

struct Entry<M> {
    /// What a newer message must carry to take this place. Cleared when the message is begun.
    key: Option<NonZeroU64>,
    envelope: Arc<Envelope<M>>,
}

struct Occupant {
    incarnation: Incarnation,
    bell: Arc<dyn Doorbell>,
    /// A doorbell is outstanding: set by who rings, cleared by the lease that leaves nothing
    /// queued.
    rung: bool,
    /// The message begun last; acked since, if it is not leased any more.
    begun: Option<Seq>,
}

/// The bell to ring after unlocking, if any.
pub(crate) type Ring = Option<Arc<dyn Doorbell>>;

pub(crate) struct State<M> {
    /// Each in the order of `seq`: new ones go to the back, redelivered ones to the front.
    lanes: [VecDeque<Entry<M>>; LANES],
    /// In the order they were leased; few, so it is searched from the front, where acks usually
    /// hit.
    leased: Vec<Entry<M>>,
    occupant: Option<Occupant>,
    pub(crate) ledger: Ledger,
    ageing: Ageing,
    closed_lanes: [bool; LANES],
    closed: bool,
    last_seq: u64,
    last_incarnation: u64,
}

impl<M> State<M> {
    pub(crate) fn new(caps: Caps) -> Self {
        Self {
            lanes: std::array::from_fn(|_| VecDeque::new()),
            leased: Vec::new(),
            occupant: None,
            ledger: Ledger::new(caps),
            ageing: Ageing::default(),
            closed_lanes: [false; LANES],
            closed: false,
            last_seq: 0,
            last_incarnation: 0,
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether anything new may enter `lane`.
    pub(crate) fn check_open(&self, lane: Lane) -> Result<(), Refused> {
        if self.closed || self.closed_lanes[lane.index()] { Err(Refused::Closed) } else { Ok(()) }
    }

    /// Queues a message whose place in the ledger is taken.
    pub(crate) fn push(&mut self, lane: Lane, bytes: u64, key: Option<NonZeroU64>, msg: M) -> (Seq, Ring) {
        self.last_seq += 1;
        let seq = Seq(self.last_seq);
        let envelope = Arc::new(Envelope { seq, lane, bytes, msg });
        self.lanes[lane.index()].push_back(Entry { key, envelope });
        (seq, self.ring())
    }

    /// The bell, if nobody has rung it since the lane contents were last looked at.
    fn ring(&mut self) -> Ring {
        let occupant = self.occupant.as_mut().filter(|occupant| !occupant.rung)?;
        occupant.rung = true;
        Some(Arc::clone(&occupant.bell))
    }

    /// Where the newest waiting message with this key is. There may be an older one, if a crash put
    /// it back before one sent meanwhile; replacing that one would turn their order around.
    pub(crate) fn find_key(&self, lane: Lane, key: NonZeroU64) -> Option<usize> {
        self.lanes[lane.index()].iter().rposition(|entry| entry.key == Some(key))
    }

    /// Replaces the queued message at `at`; returns its number and the message it was. Refused,
    /// nothing has changed and `msg` is what it was.
    pub(crate) fn replace(
        &mut self,
        lane: Lane,
        at: usize,
        bytes: u64,
        msg: M,
    ) -> Result<(Seq, Arc<Envelope<M>>), SendError<M>> {
        let entry = &mut self.lanes[lane.index()][at];
        if let Err(refused) = self.ledger.resize(lane, entry.envelope.bytes, bytes) {
            return Err(SendError { refused, msg });
        }
        let seq = entry.envelope.seq;
        let newer = Arc::new(Envelope { seq, lane, bytes, msg });
        Ok((seq, std::mem::replace(&mut entry.envelope, newer)))
    }

    /// Puts a new incarnation in the place of the old one, which is returned.
    pub(crate) fn attach(&mut self, bell: Arc<dyn Doorbell>) -> (Attached<M>, impl Sized + use<M>) {
        self.last_incarnation += 1;
        let incarnation = Incarnation(self.last_incarnation);
        let old = self.occupant.take();
        let begun = old.as_ref().and_then(|occupant| occupant.begun);
        let culprit = begun.and_then(|seq| self.position_leased(seq));
        let culprit = culprit.map(|at| Arc::clone(&self.leased[at].envelope));
        self.leased.sort_unstable_by_key(|entry| entry.envelope.seq);
        while let Some(entry) = self.leased.pop() {
            self.lanes[entry.envelope.lane.index()].push_front(entry);
        }
        if !self.closed {
            self.occupant = Some(Occupant { incarnation, bell, rung: true, begun: None });
        }
        (Attached { incarnation, culprit }, old)
    }

    pub(crate) fn is_current(&self, incarnation: Incarnation) -> bool {
        self.occupant.as_ref().is_some_and(|occupant| occupant.incarnation == incarnation)
    }

    fn waiting(&self) -> [bool; LANES] {
        std::array::from_fn(|lane| !self.lanes[lane].is_empty())
    }

    fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    /// Leases in the order of the lanes; answers the doorbell. True: something is left, ring again.
    pub(crate) fn lease(&mut self, max: usize, out: &mut Vec<Arc<Envelope<M>>>) -> bool {
        for _ in 0..max {
            let Some(lane) = self.ageing.next(self.waiting()) else {
                break;
            };
            self.lease_head(lane, out);
            self.ageing.took(lane, self.waiting());
        }
        let more = !self.is_empty();
        if let Some(occupant) = &mut self.occupant {
            occupant.rung = more;
        }
        more
    }

    /// Leases from one lane; the doorbell stays unanswered.
    pub(crate) fn lease_lane(&mut self, lane: Lane, max: usize, out: &mut Vec<Arc<Envelope<M>>>) -> usize {
        let mut taken = 0;
        while taken < max && self.lease_head(lane.index(), out) {
            taken += 1;
        }
        self.ageing.served(lane.index());
        taken
    }

    fn lease_head(&mut self, lane: usize, out: &mut Vec<Arc<Envelope<M>>>) -> bool {
        let Some(entry) = self.lanes[lane].pop_front() else {
            return false;
        };
        out.push(Arc::clone(&entry.envelope));
        self.leased.push(entry);
        true
    }

    fn position_leased(&self, seq: Seq) -> Option<usize> {
        self.leased.iter().position(|entry| entry.envelope.seq == seq)
    }

    /// Marks a leased message as the one in hand.
    pub(crate) fn begin(&mut self, seq: Seq) -> bool {
        let Some(at) = self.position_leased(seq) else {
            return false;
        };
        // Its effects may be on disk already: after a crash, no newer message may take its place.
        self.leased[at].key = None;
        if let Some(occupant) = &mut self.occupant {
            occupant.begun = Some(seq);
        }
        true
    }

    /// Takes a leased message out, for good.
    pub(crate) fn ack(&mut self, seq: Seq) -> Option<Arc<Envelope<M>>> {
        let at = self.position_leased(seq)?;
        let envelope = self.leased.remove(at).envelope;
        self.ledger.give_back(envelope.lane, envelope.bytes);
        Some(envelope)
    }

    /// Takes the incarnation out if it holds nothing and nothing waits.
    pub(crate) fn detach(&mut self) -> Option<impl Sized + use<M>> {
        if !self.leased.is_empty() || !self.is_empty() {
            return None;
        }
        self.trim();
        self.occupant.take()
    }

    /// Takes a queued message out, for good.
    pub(crate) fn remove(&mut self, seq: Seq) -> Option<Arc<Envelope<M>>> {
        let (lane, at) = self
            .lanes
            .iter()
            .enumerate()
            .find_map(|(lane, queue)| Some((lane, queue.binary_search_by_key(&seq, |e| e.envelope.seq).ok()?)))?;
        let envelope = self.lanes[lane].remove(at)?.envelope;
        self.ledger.give_back(envelope.lane, envelope.bytes);
        Some(envelope)
    }

    pub(crate) fn set_lanes_closed(&mut self, lanes: &[Lane], closed: bool) {
        for lane in lanes {
            self.closed_lanes[lane.index()] = closed;
        }
    }

    /// Ends everything: returns what was queued or leased, lane by lane in the order of admission,
    /// and the occupant.
    pub(crate) fn close(&mut self) -> (Vec<Arc<Envelope<M>>>, impl Sized + use<M>) {
        self.closed = true;
        let queued = std::mem::take(&mut self.lanes).into_iter().flatten();
        let mut rest: Vec<_> = std::mem::take(&mut self.leased).into_iter().chain(queued).map(|e| e.envelope).collect();
        rest.sort_unstable_by_key(|envelope| (envelope.lane, envelope.seq));
        for envelope in &rest {
            self.ledger.give_back(envelope.lane, envelope.bytes);
        }
        (rest, self.occupant.take())
    }

    /// Frees the buffers that hold nothing.
    pub(crate) fn trim(&mut self) {
        for queue in self.lanes.iter_mut().filter(|queue| queue.is_empty()) {
            *queue = VecDeque::new();
        }
        if self.leased.is_empty() {
            self.leased = Vec::new();
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let queued = std::array::from_fn(|lane| self.lanes[lane].len() as u32);
        let mut leased = [0; LANES];
        for entry in &self.leased {
            leased[entry.envelope.lane.index()] += 1;
        }
        let reserved = self.ledger.reserved();
        for lane in 0..LANES {
            let sum = queued[lane] + leased[lane] + reserved[lane];
            assert_eq!(sum, self.ledger.count()[lane], "the ledger of lane {lane} is wrong");
        }
        Snapshot {
            queued,
            leased,
            reserved,
            bytes: self.ledger.bytes(),
            attached: self.occupant.as_ref().map(|occupant| occupant.incarnation),
            closed_lanes: if self.closed { [true; LANES] } else { self.closed_lanes },
            closed: self.closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;
    impl Doorbell for Silent {
        fn ring(&self) -> bool {
            true
        }
    }

    fn heap<M>(state: &State<M>) -> usize {
        state.lanes.iter().map(VecDeque::capacity).sum::<usize>() + state.leased.capacity()
    }

    fn filled() -> (State<String>, Incarnation) {
        let mut state = State::new(Caps::default());
        let me = state.attach(Arc::new(Silent)).0.incarnation;
        for lane in Lane::ALL {
            state.ledger.take(lane, 9).unwrap();
            state.push(lane, 9, None, "x".into());
        }
        (state, me)
    }

    #[test]
    fn an_idle_mailbox_is_small_and_owns_no_buffer() {
        // Thousands of sleeping agents keep one of these each.
        let size = size_of::<State<String>>();
        println!("an idle mailbox: {size} B inline, 0 B of buffers");
        assert!(size <= 512, "{size} B");

        let (mut state, _) = filled();
        let mut out = Vec::new();
        assert!(!state.lease(LANES, &mut out));
        assert!(out.iter().all(|e| state.ack(e.seq).is_some()));
        assert_ne!(heap(&state), 0);
        state.trim();
        assert_eq!(heap(&state), 0);
    }

    #[test]
    fn detaching_and_closing_free_the_buffers_too() {
        let (mut state, _) = filled();
        let mut out = Vec::new();
        state.lease(LANES, &mut out);
        assert!(out.iter().all(|e| state.ack(e.seq).is_some()));
        assert!(state.detach().is_some());
        assert_eq!(heap(&state), 0);

        let (mut state, _) = filled();
        drop(state.close());
        assert_eq!(heap(&state), 0);
    }

    #[test]
    fn trim_leaves_what_is_in_use() {
        let (mut state, me) = filled();
        let mut out = Vec::new();
        state.lease(2, &mut out);
        state.trim();
        assert_eq!(state.snapshot().queued, [0, 0, 1, 1, 1]);
        assert!(state.is_current(me) && out.iter().all(|e| state.ack(e.seq).is_some()));
    }
}
