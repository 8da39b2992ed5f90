//! What travels through a mailbox, and the names its two sides use for each other.

use std::fmt;

use crate::lane::{LANES, Lane};
use crate::sync::Arc;

/// The place of a message in the order of admission to its mailbox. Unique for the life of the
/// mailbox, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub(crate) u64);

impl Seq {
    /// The number itself, for logs and views.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One occupant of a mailbox: the first is 1, and each [`attach`](crate::Mailbox::attach) makes the
/// next.
///
/// It is the key to the receiving side. Once another one has attached, or the mailbox was closed,
/// it opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub(crate) u64);

impl Incarnation {
    /// The number itself, for logs and views.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Wakes the incarnation that attached with it.
///
/// The mailbox rings it, from the sender's thread, after its lock is released, and at most once
/// until the next [`lease`](crate::Mailbox::lease). The incarnation owns what it wakes; the mailbox
/// drops its half when it is replaced, detached or closed.
pub trait Doorbell: Send + Sync {
    /// Puts one wake-up into the incarnation's queue. `false`: it is gone. That is no error, since
    /// the messages stay and the next incarnation is always rung. Must not block.
    fn ring(&self) -> bool;
}

/// A message with what the mailbox knows about it. Shared, so that a redelivered one is the same
/// one.
#[derive(Debug, PartialEq, Eq)]
pub struct Envelope<M> {
    /// Its place in the order of admission.
    pub seq: Seq,
    /// The lane it was sent to.
    pub lane: Lane,
    /// The bytes it counts for, as its sender stated them.
    pub bytes: u64,
    /// The message.
    pub msg: M,
}

/// How a message was admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// It has a place of its own.
    Queued(Seq),
    /// It took the place, and the number, of an older one with the same key; the older one is gone.
    Coalesced(Seq),
}

impl Admit {
    /// The number under which the message now waits.
    pub const fn seq(self) -> Seq {
        match self {
            Self::Queued(seq) | Self::Coalesced(seq) => seq,
        }
    }
}

/// What a new incarnation is told when it attaches.
#[derive(Debug)]
pub struct Attached<M> {
    /// Its key to the receiving side.
    pub incarnation: Incarnation,
    /// The message that the previous incarnation had begun last and not acked: what it died of, if
    /// it died of a message. It is queued again, at the front of its lane.
    pub culprit: Option<Arc<Envelope<M>>>,
}

/// A consistent look at a mailbox. Arrays are indexed by [`Lane::index`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Messages that wait to be leased.
    pub queued: [u32; LANES],
    /// Messages leased and not acked.
    pub leased: [u32; LANES],
    /// Permits out.
    pub reserved: [u32; LANES],
    /// Bytes of all three.
    pub bytes: [u64; LANES],
    /// The incarnation attached now; `None` while nobody is, and then a message sent waits
    /// silently.
    pub attached: Option<Incarnation>,
    /// Lanes that refuse new messages.
    pub closed_lanes: [bool; LANES],
    /// Whether the mailbox was closed, for good.
    pub closed: bool,
}
