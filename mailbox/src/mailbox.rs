//! The mailbox: [`State`] behind one lock, and the discipline of what happens after unlocking.

use std::fmt;
use std::num::NonZeroU64;

use crate::envelope::{Admit, Attached, Doorbell, Envelope, Incarnation, Seq, Snapshot};
use crate::lane::{Caps, Lane};
use crate::permit::Permit;
use crate::refusal::{Refused, SendError};
use crate::state::{Ring, State};
use crate::sync::{Arc, Mutex, MutexGuard};

/// A bounded queue of five lanes that outlives the actor reading it.
///
/// **Who sends:** anyone with a reference, at any time, without waiting; refused when there is no
/// room. **Who receives:** the incarnation attached last, and nobody else. **Who closes:** its
/// owner, the supervisor; what was admitted and not acked comes back from [`close`](Self::close).
///
/// A message is admitted, leased in a batch, begun, and acked. It stays in the mailbox until the
/// ack: an incarnation that ends without it, by a crash or a stop, loses nothing, since the next
/// [`attach`](Self::attach) queues what was leased again. So a message is delivered at least once;
/// that its effect happens once is the reader's business.
///
/// **How the reader is woken.** `attach` rings. From then on one doorbell is outstanding whenever
/// something is queued. On each doorbell: one [`lease`](Self::lease) of a small batch, handle it,
/// and if the lease said so, ring yourself. Ringing instead of leasing again lets a stop or a
/// supervision event in between.
///
/// A message must not own a [`Permit`] of the mailbox it is sent to: the two would keep each other
/// alive.
pub struct Mailbox<M> {
    state: Mutex<State<M>>,
}

/// Rings a bell taken out of the lock.
pub(crate) fn ring(bell: Ring) {
    if let Some(bell) = bell {
        // Nobody there: the messages stay, and the next incarnation is rung when it attaches.
        let _gone = bell.ring();
    }
}

impl<M> Mailbox<M> {
    /// An empty, open mailbox without an incarnation.
    pub fn new(caps: Caps) -> Self {
        Self { state: Mutex::new(State::new(caps)) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock()
    }

    /// Queues a message of `bytes` bytes, counting what it owns on the heap.
    ///
    /// With no incarnation attached it just stays; who must wake a sleeper looks at
    /// [`Snapshot::attached`] afterwards.
    ///
    /// # Errors
    /// [`Refused`] and the message: the lane is full, or closed.
    pub fn try_send(&self, lane: Lane, bytes: u64, msg: M) -> Result<Admit, SendError<M>> {
        let (seq, bell) = {
            let mut state = self.state();
            let admitted = state.check_open(lane).and_then(|()| state.ledger.take(lane, bytes));
            if let Err(refused) = admitted {
                return Err(SendError { refused, msg });
            }
            state.push(lane, bytes, None, msg)
        };
        ring(bell);
        Ok(Admit::Queued(seq))
    }

    /// Like [`try_send`](Self::try_send), but takes the place of a waiting message with the same
    /// lane and key.
    ///
    /// The newer one inherits place and number, so a busy sender cannot push itself back for ever.
    /// What was begun is never replaced, nor is what an incarnation has leased and not lost: the
    /// newer one then queues behind it.
    ///
    /// # Panics
    /// On a lane that is not [volatile](Lane::is_volatile): what was accepted durably must not
    /// vanish.
    ///
    /// # Errors
    /// [`Refused`] and the message. The older message stays.
    pub fn coalesce(&self, lane: Lane, key: NonZeroU64, bytes: u64, msg: M) -> Result<Admit, SendError<M>> {
        assert!(lane.is_volatile(), "the {lane} lane is durable: its messages never replace each other");
        let (seq, bell) = {
            let mut state = self.state();
            if let Err(refused) = state.check_open(lane) {
                return Err(SendError { refused, msg });
            }
            if let Some(at) = state.find_key(lane, key) {
                let replaced = state.replace(lane, at, bytes, msg);
                drop(state);
                // The old message ends here, unlocked.
                return replaced.map(|(seq, _old)| Admit::Coalesced(seq));
            }
            if let Err(refused) = state.ledger.take(lane, bytes) {
                return Err(SendError { refused, msg });
            }
            state.push(lane, bytes, Some(key), msg)
        };
        ring(bell);
        Ok(Admit::Queued(seq))
    }

    /// Takes a place in `lane` for a message of up to `bytes` bytes that does not exist yet.
    ///
    /// An associated function, since loom's `Arc` cannot be a `self` type.
    ///
    /// # Errors
    /// As for [`try_send`](Self::try_send).
    pub fn reserve(this: &Arc<Self>, lane: Lane, bytes: u64) -> Result<Permit<M>, Refused> {
        let mut state = this.state();
        state.check_open(lane)?;
        state.ledger.reserve(lane, bytes)?;
        drop(state);
        Ok(Permit::new(Arc::clone(this), lane, bytes))
    }

    /// Makes a new incarnation the reader, and rings its bell, whether or not anything waits.
    ///
    /// The one before is replaced, dead or not: from here on every call of it is refused. What it
    /// had leased and not acked goes back to the front of its lanes in the order of admission. On a
    /// closed mailbox the new incarnation is replaced from the start.
    pub fn attach(&self, bell: Arc<dyn Doorbell>) -> Attached<M> {
        let ours = Arc::clone(&bell);
        let (attached, old) = self.state().attach(ours);
        drop(old);
        ring(Some(bell));
        attached
    }

    /// Appends up to `max` messages to `out`, in the order of the lanes, and answers the doorbell.
    ///
    /// Call it once for each doorbell. **True: ring yourself again**, since something is left and
    /// nobody else will. Nothing appended and `false`: nothing waits, or `incarnation` was
    /// replaced.
    ///
    /// # Panics
    /// If `max` is 0: a reader that takes nothing and rings itself would spin.
    pub fn lease(&self, incarnation: Incarnation, max: usize, out: &mut Vec<Arc<Envelope<M>>>) -> bool {
        assert!(max > 0, "a lease of nothing");
        let mut state = self.state();
        state.is_current(incarnation) && state.lease(max, out)
    }

    /// Appends up to `max` messages of one lane to `out` and returns how many: recovery takes the
    /// answers that are already in before it decides what is lost.
    ///
    /// It does **not** answer the doorbell: the handling of this one must still call
    /// [`lease`](Self::lease).
    pub fn lease_lane(
        &self,
        incarnation: Incarnation,
        lane: Lane,
        max: usize,
        out: &mut Vec<Arc<Envelope<M>>>,
    ) -> usize {
        let mut state = self.state();
        if state.is_current(incarnation) { state.lease_lane(lane, max, out) } else { 0 }
    }

    /// Call it right before handling a leased message: from here until its ack, or the next
    /// `begin`, a crash is blamed on it.
    ///
    /// False: `incarnation` does not hold it. It was replaced, and must return at once; or it has
    /// acked it already.
    pub fn begin(&self, incarnation: Incarnation, seq: Seq) -> bool {
        let mut state = self.state();
        state.is_current(incarnation) && state.begin(seq)
    }

    /// Call it when what the message caused is safe: the message is gone, and its place is free.
    ///
    /// False: `incarnation` does not hold it, as for [`begin`](Self::begin); the message is, or
    /// was, another's.
    pub fn ack(&self, incarnation: Incarnation, seq: Seq) -> bool {
        let mut state = self.state();
        let acked = if state.is_current(incarnation) { state.ack(seq) } else { None };
        drop(state);
        acked.is_some()
    }

    /// The incarnation wants to sleep. True: nothing was queued or leased, the bell is dropped, the
    /// buffers are freed and `incarnation` is replaced by nobody; permits out may still deliver.
    /// False: something waits, or it was replaced; either way it goes on, and finds out by its next
    /// [`lease`](Self::lease).
    pub fn detach(&self, incarnation: Incarnation) -> bool {
        let mut state = self.state();
        let occupant = if state.is_current(incarnation) { state.detach() } else { None };
        drop(state);
        occupant.is_some()
    }

    /// Ends the mailbox: nothing enters any more, not even by a permit, and the incarnation is
    /// replaced by nobody.
    ///
    /// Returns what was admitted and not acked, lane by lane in the order of admission; a second
    /// call returns nothing.
    pub fn close(&self) -> Vec<Arc<Envelope<M>>> {
        let (rest, occupant) = self.state().close();
        drop(occupant);
        rest
    }

    /// Refuses new messages and reservations for these lanes. What is in them, and the permits
    /// already out, may still be delivered: that is the difference to [`close`](Self::close).
    pub fn close_lanes(&self, lanes: &[Lane]) {
        self.state().set_lanes_closed(lanes, true);
    }

    /// Takes new messages for these lanes again. A closed mailbox stays closed.
    pub fn open_lanes(&self, lanes: &[Lane]) {
        self.state().set_lanes_closed(lanes, false);
    }

    /// Takes a message out that is queued. `None`: it is leased, or gone; whoever has it now
    /// decides.
    pub fn remove(&self, seq: Seq) -> Option<Arc<Envelope<M>>> {
        self.state().remove(seq)
    }

    /// A consistent look at the whole of it.
    pub fn snapshot(&self) -> Snapshot {
        self.state().snapshot()
    }

    /// Frees the buffers of the lanes that are empty. For an idle timer, not for every batch;
    /// falling asleep does it too.
    pub fn trim(&self) {
        self.state().trim();
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mailbox").field(&self.snapshot()).finish()
    }
}
