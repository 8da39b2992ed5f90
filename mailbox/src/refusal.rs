//! Why a message was not admitted, in words the sender can act on.

use std::fmt;

use crate::lane::Lane;

/// Why a mailbox did not take a message or a reservation.
///
/// The text of each goes to people and, as a tool's output, to models; it says what is so and what
/// to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The lane has no place left.
    Full {
        /// The lane asked for.
        lane: Lane,
        /// Places taken: messages queued and leased, and reservations.
        queued: u32,
        /// Places there are.
        cap: u32,
    },
    /// The lane has a place, but not for that many bytes.
    FullBytes {
        /// The lane asked for.
        lane: Lane,
        /// Bytes asked for.
        bytes: u64,
        /// Bytes taken by messages and reservations.
        held: u64,
        /// Bytes there are. Below `bytes`: this message never fits.
        cap: u64,
    },
    /// The mailbox, or this lane of it, takes nothing any more.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full { lane, queued, cap } => write!(
                f,
                "the {lane} lane is full: {queued} of {cap} places are taken by messages not yet handled; \
                 wait until some have been handled, or send fewer"
            ),
            Self::FullBytes { lane, bytes, cap, .. } if bytes > cap => write!(
                f,
                "a message of {bytes} bytes never fits into the {lane} lane, which holds at most {cap} bytes; \
                 shorten it, split it, or write it to a file and send the path"
            ),
            Self::FullBytes { lane, bytes, held, cap } => write!(
                f,
                "the {lane} lane has no room for {bytes} more bytes: {held} of {cap} are taken by messages not yet \
                 handled; wait until some have been handled, or send less"
            ),
            Self::Closed => f.write_str(
                "the receiver takes no more messages of this kind: it has ended, is being shut down, or was set aside \
                 after repeated failures; look at its status before sending again",
            ),
        }
    }
}

impl std::error::Error for Refused {}

/// A message that was refused, given back with the reason.
#[derive(PartialEq, Eq)]
pub struct SendError<M> {
    /// Why.
    pub refused: Refused,
    /// The message, untouched.
    pub msg: M,
}

impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").field("refused", &self.refused).finish_non_exhaustive()
    }
}

impl<M> fmt::Display for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refused.fmt(f)
    }
}

impl<M> std::error::Error for SendError<M> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_says_what_is_so_and_what_to_do() {
        let table = [
            (
                Refused::Full { lane: Lane::User, queued: 64, cap: 64 },
                "the user lane is full: 64 of 64 places are taken by messages not yet handled; \
                 wait until some have been handled, or send fewer",
            ),
            (
                Refused::FullBytes { lane: Lane::Mail, bytes: 10, held: 95, cap: 100 },
                "the mail lane has no room for 10 more bytes: 95 of 100 are taken by messages not yet handled; \
                 wait until some have been handled, or send less",
            ),
            (
                Refused::FullBytes { lane: Lane::Mail, bytes: 101, held: 0, cap: 100 },
                "a message of 101 bytes never fits into the mail lane, which holds at most 100 bytes; \
                 shorten it, split it, or write it to a file and send the path",
            ),
            (
                Refused::Closed,
                "the receiver takes no more messages of this kind: it has ended, is being shut down, or was set \
                 aside after repeated failures; look at its status before sending again",
            ),
        ];
        for (refused, text) in table {
            assert_eq!(refused.to_string(), text);
            assert_eq!(SendError { refused, msg: () }.to_string(), text);
        }
    }
}
