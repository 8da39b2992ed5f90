//! The concurrency kernel: lanes, leases, permits, closing, the commit core.
//!
//! **For.** Everything in Sapwood that two threads may touch at once and that must not go wrong:
//! how a message reaches an actor that may crash, sleep or be replaced while it is under way
//! ([`Mailbox`]), how a reply is promised room before it exists ([`Permit`]), how a replaced
//! incarnation is kept from writing ([`Commit`]), and who is told about a shutdown ([`Children`]).
//! It is small so that every interleaving of it can be tried: `loom-tests/` does.
//!
//! **Never.** It never waits for room, a timer or a task: it answers, or it refuses. It knows no
//! runtime, no protocol and no file. It never runs anything it was given, a `Drop`, a doorbell, a
//! comparison, while it holds a lock; the one exception is [`Commit`], whose closure *is* the
//! write. It never decides about a failed message: it says which one was begun, and the supervisor
//! decides.
//!
//! **Invariants.**
//! - An admitted message is queued, leased, acked, removed or returned by [`Mailbox::close`]:
//!   exactly one of them, and the last three once.
//! - A lane is first in, first out, also over a crash and a redelivery.
//! - `queued + leased + reserved` of a lane never exceeds its caps, in messages and in bytes.
//! - While an incarnation is attached and something is queued, a doorbell is outstanding; never
//!   two.
//! - Only the incarnation attached last can lease, begin, ack or detach.
//! - An epoch older than the last [`Commit::fence`] writes nothing.
//!
//! One mutex a mailbox and no lock-free queue: caps, lanes, leases, coalescing and inspection each
//! need one consistent view, and a critical section is a few pointer moves.
//!
//! ```
//! use sapwood_mailbox::sync::Arc;
//! use sapwood_mailbox::{Caps, Doorbell, Lane, Mailbox};
//!
//! struct Bell; // in the supervisor: a cast to the actor's port
//! impl Doorbell for Bell {
//!     fn ring(&self) -> bool {
//!         true
//!     }
//! }
//!
//! let mailbox = Mailbox::new(Caps::default());
//! mailbox.try_send(Lane::User, 5, "hello")?;
//! mailbox.try_send(Lane::Control, 4, "load")?;
//!
//! // An incarnation attaches, and on each doorbell takes a batch.
//! let me = mailbox.attach(Arc::new(Bell)).incarnation;
//! let mut batch = Vec::new();
//! let ring_again = mailbox.lease(me, 64, &mut batch);
//! assert!(!ring_again);
//! assert_eq!(batch.iter().map(|e| e.msg).collect::<Vec<_>>(), ["load", "hello"]);
//! for envelope in &batch {
//!     assert!(mailbox.begin(me, envelope.seq)); // false: replaced, stop at once
//!     // ... decide, append; when it is durable:
//!     assert!(mailbox.ack(me, envelope.seq));
//! }
//! assert!(mailbox.detach(me)); // nothing left: asleep
//! # Ok::<(), sapwood_mailbox::SendError<&'static str>>(())
//! ```

mod ageing;
mod children;
mod commit;
mod envelope;
mod lane;
mod ledger;
mod mailbox;
mod permit;
mod refusal;
mod state;
pub mod sync;

pub use ageing::AGE_AFTER;
pub use children::{ChildKey, Children, NotAdded};
pub use commit::{Commit, Epoch, Stale, Watermark};
pub use envelope::{Admit, Attached, Doorbell, Envelope, Incarnation, Seq, Snapshot};
pub use lane::{Caps, LANES, Lane};
pub use mailbox::Mailbox;
pub use permit::Permit;
pub use refusal::{Refused, SendError};
