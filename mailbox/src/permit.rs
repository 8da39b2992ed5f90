//! A place in a lane, promised before there is a message for it.

use std::fmt;

use crate::envelope::Seq;
use crate::lane::Lane;
use crate::mailbox::{Mailbox, ring};
use crate::refusal::Refused;
use crate::sync::Arc;

/// One place and some bytes of a lane, counted against its caps from [`Mailbox::reserve`] on.
///
/// Sending through it cannot be refused for want of room, so who starts a child or a worker takes
/// its permit first, and its report can always be delivered. It outlives incarnations and
/// [`Mailbox::close_lanes`]; only [`Mailbox::close`] ends it. Dropping it unused gives the place
/// back.
pub struct Permit<M> {
    /// `None` once spent.
    mailbox: Option<Arc<Mailbox<M>>>,
    lane: Lane,
    bytes: u64,
}

impl<M> Permit<M> {
    pub(crate) fn new(mailbox: Arc<Mailbox<M>>, lane: Lane, bytes: u64) -> Self {
        Self { mailbox: Some(mailbox), lane, bytes }
    }

    /// The lane it delivers to.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The bytes it holds, and its message will count for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Changes the bytes it holds, when the size of the message is known. Shrinking is refused only
    /// by a closed mailbox.
    ///
    /// # Errors
    /// [`Refused::FullBytes`] or [`Refused::Closed`]; the permit is what it was.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Refused> {
        let Some(mailbox) = &self.mailbox else {
            return Ok(());
        };
        let mut state = mailbox.state();
        if state.is_closed() {
            return Err(Refused::Closed);
        }
        state.ledger.resize(self.lane, self.bytes, bytes)?;
        self.bytes = bytes;
        Ok(())
    }

    /// Queues the message in the place held. It counts for the bytes held, whatever it weighs.
    ///
    /// # Errors
    /// The message, if the mailbox was closed meanwhile.
    pub fn send(mut self, msg: M) -> Result<Seq, M> {
        let Some(mailbox) = self.mailbox.take() else {
            return Err(msg);
        };
        let (seq, bell) = {
            let mut state = mailbox.state();
            state.ledger.redeem(self.lane);
            if state.is_closed() {
                state.ledger.give_back(self.lane, self.bytes);
                return Err(msg);
            }
            state.push(self.lane, self.bytes, None, msg)
        };
        ring(bell);
        Ok(seq)
    }
}

impl<M> Drop for Permit<M> {
    fn drop(&mut self) {
        let Some(mailbox) = self.mailbox.take() else {
            return;
        };
        let mut state = mailbox.state();
        state.ledger.redeem(self.lane);
        state.ledger.give_back(self.lane, self.bytes);
    }
}

impl<M> fmt::Debug for Permit<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("lane", &self.lane).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
