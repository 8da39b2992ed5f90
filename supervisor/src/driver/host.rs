//! What a user of the driver writes, and what it is given.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sapwood_mailbox::{Envelope, Mailbox};

use super::table::Table;
use crate::core::{Class, Event, Incarnation, Need};

/// Makes the occupants of a tree, and is told what the tree gave up on.
pub trait Host: Send + Sync + Sized + 'static {
    /// Names a seat. The order is the order of everything that has no other.
    type Key: Copy + Ord + Debug + Send + Sync + 'static;
    /// What travels through the mailboxes.
    type Message: Send + Sync + 'static;
    /// What a seat holds over all its incarnations.
    type Held: Send + Sync + 'static;
    /// Who occupies a seat.
    type Resident: Resident<Message = Self::Message>;

    /// Makes an incarnation of `seat`. Cheap: what takes time, or can fail, is
    /// [`Resident::load`]'s. Runs in the incarnation's own task; a panic is a crash of it.
    ///
    /// `granted`: it holds a slot from the start, and [`Resident::granted`] is not called for it.
    /// `culprit`: the message its predecessor had begun when it ended uncleanly; it comes again.
    fn incarnate(
        &self,
        seat: &Arc<Seat<Self>>,
        inc: Incarnation,
        granted: bool,
        culprit: Option<Arc<Envelope<Self::Message>>>,
        port: Port<Self>,
    ) -> Self::Resident;

    /// The seat crashed too often. Told once; it rests until [`Supervisor::retry`](super::Supervisor::retry).
    /// Must not block: the supervisor itself calls.
    fn quarantined(&self, seat: &Arc<Seat<Self>>, reason: &str);

    /// The tree restarts too often and is closing. Told once. Must not block.
    fn melted(&self, reason: &str);
}

/// Occupies a seat: one at a time, and each method to its end before the next. None may wait for
/// anything; microseconds are the measure, but for [`Resident::load`]. A host that cannot help
/// blocking its thread (a disk that hangs) does it in `tokio::task::block_in_place`, which gives
/// the tasks queued on this thread to another one; otherwise those that it has just woken, perhaps
/// the supervisor, wait with it.
///
/// A panic, or a [`Fault`], ends this incarnation and nobody else. The message that was being
/// handled, and all others, stay in the mailbox for the next one. A killed resident is dropped
/// without [`Resident::stop`].
pub trait Resident: Send + 'static {
    /// What it handles.
    type Message;

    /// Rebuilds its state. Called first, in its own task.
    fn load(&mut self) -> Result<(), Fault>;

    /// Handles a message. When it returns, the message is done and leaves the mailbox.
    fn handle(&mut self, msg: &Self::Message) -> Result<(), Fault>;

    /// It holds a slot now: the one it asked for, or the one its seat was in line for. If it needs
    /// none any more it says [`Port::released`].
    fn granted(&mut self) -> Result<(), Fault>;

    /// A batch of messages was handled, perhaps an empty one: called after each doorbell.
    fn batch_done(&mut self) -> Result<Next, Fault>;

    /// It ends, because it was asked to stop or sleeps: the moment for a clean marker. Last call.
    fn stop(&mut self);
}

/// What a resident does after a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It has something going on.
    Stay,
    /// It has nothing going on and may sleep. The same as [`Port::idle`].
    MaySleep,
}

/// Ends an incarnation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its storage failed. Not a crash: it is tried again, with growing waits.
    Storage(String),
    /// It cannot go on. A crash.
    Fatal(String),
}

/// A place in the tree. It belongs to the supervisor; incarnations come and go.
pub struct Seat<H: Host> {
    /// Its name.
    pub key: H::Key,
    /// What occupies it.
    pub class: Class,
    /// Who it belongs to; added before it.
    pub parent: Option<H::Key>,
    /// Whoever sends to it says [`Supervisor::wake`](super::Supervisor::wake) (or [`Port::wake`])
    /// afterwards.
    pub mailbox: Arc<Mailbox<H::Message>>,
    /// What it holds.
    pub held: H::Held,
}

impl<H: Host> Debug for Seat<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat")
            .field("key", &self.key)
            .field("class", &self.class)
            .field("parent", &self.parent)
            .finish_non_exhaustive()
    }
}

/// How one incarnation speaks to the supervisor. Once it was replaced, nothing it says about
/// itself has an effect.
pub struct Port<H: Host> {
    table: Arc<Table<H>>,
    seat: H::Key,
    inc: Incarnation,
    /// Whether the incarnation knows of the slot it holds, so that no grant is told twice.
    told: Arc<AtomicBool>,
    /// Whether anything was said since [`Port::take_spoke`].
    spoke: Arc<AtomicBool>,
}

impl<H: Host> Clone for Port<H> {
    fn clone(&self) -> Self {
        Self {
            table: Arc::clone(&self.table),
            seat: self.seat,
            inc: self.inc,
            told: Arc::clone(&self.told),
            spoke: Arc::clone(&self.spoke),
        }
    }
}

impl<H: Host> Port<H> {
    pub(super) fn new(table: Arc<Table<H>>, seat: H::Key, inc: Incarnation, granted: bool) -> Self {
        Self {
            table,
            seat,
            inc,
            told: Arc::new(AtomicBool::new(granted)),
            // Its runtime will have said that it has started.
            spoke: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Asks for a slot; [`Resident::granted`] answers. Asking again, and asking while holding one,
    /// changes nothing. [`Need::NoSlot`] asks for nothing.
    pub fn wants(&self, need: Need) {
        self.say(Event::Wants { seat: self.seat, inc: self.inc, need });
    }

    /// Gives the slot back, or stops asking for one.
    pub fn released(&self) {
        self.told.store(false, Ordering::Release);
        self.say(Event::Released { seat: self.seat, inc: self.inc });
    }

    /// It may sleep. A slot it still holds comes back.
    pub fn idle(&self) {
        self.told.store(false, Ordering::Release);
        self.say(Event::Idle { seat: self.seat, inc: self.inc });
    }

    /// Wakes another seat, after a message to it was admitted.
    pub fn wake(&self, seat: H::Key, need: Need) {
        self.say(Event::Wake { seat, need });
    }

    fn say(&self, event: Event<H::Key>) {
        self.spoke.store(true, Ordering::Release);
        self.table.apply(event);
    }

    /// Whether it has said anything, so that the supervisor may have been woken on this thread.
    pub(super) fn take_spoke(&self) -> bool {
        self.spoke.swap(false, Ordering::AcqRel)
    }

    /// Whether a grant that has arrived is news, and still true.
    pub(super) fn accept_grant(&self) -> bool {
        self.table.grant_arrived(self.seat, self.inc) && !self.told.swap(true, Ordering::AcqRel)
    }

    pub(super) fn busy(&self) {
        self.say(Event::Busy { seat: self.seat, inc: self.inc });
    }
}
