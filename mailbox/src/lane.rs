//! The lanes of a mailbox, and what each may hold.

use std::fmt;

/// How many lanes a mailbox has.
pub const LANES: usize = 5;

/// One of the queues of a mailbox, in the order they are served.
///
/// The order is strict, but for ageing (see [`AGE_AFTER`](crate::AGE_AFTER)): a lane passed over
/// for too long gets one message through. `User` and `Mail` carry what was accepted durably; the
/// other three are volatile, mean nothing after the process has ended, and are the ones that may
/// coalesce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Load, stop, reconfigure. Sent by the supervisor only.
    Control,
    /// Stop this turn. Overtakes every input that has not been leased yet.
    Interrupt,
    /// What a person or a client says to the agent. Durable.
    User,
    /// What other agents say to it, and the reports of its children. Durable.
    Mail,
    /// Answers of the agent's own workers. Last, so that steering is seen before the next model
    /// call.
    Continuation,
}

impl Lane {
    /// All lanes, first served first.
    pub const ALL: [Self; LANES] = [Self::Control, Self::Interrupt, Self::User, Self::Mail, Self::Continuation];

    /// The lane's place in [`Self::ALL`] and in every `[_; LANES]` of this crate.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether its messages may be lost with the process, and therefore may
    /// [coalesce](crate::Mailbox::coalesce).
    pub const fn is_volatile(self) -> bool {
        matches!(self, Self::Control | Self::Interrupt | Self::Continuation)
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Interrupt => "interrupt",
            Self::User => "user",
            Self::Mail => "mail",
            Self::Continuation => "continuation",
        })
    }
}

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What each lane may hold, indexed by [`Lane::index`].
///
/// A message counts from the moment its place is reserved or taken until it is acked, removed or
/// returned by a close: leasing it, or losing the incarnation that leased it, changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Messages: queued, leased and reserved together.
    pub count: [u32; LANES],
    /// Bytes, as the senders stated them: queued, leased and reserved together.
    pub bytes: [u64; LANES],
}

impl Default for Caps {
    /// Counts 16, 4, 64, 256, 64; bytes 1 MiB, 64 KiB, 16 MiB, 64 MiB, 64 MiB.
    ///
    /// Control and Interrupt have few senders and coalesce. 64 inputs are more than a person
    /// queues; 256 is one report for each child of a wide tree, at the 256 KiB a report may have;
    /// Continuation fits one answer of each worker.
    fn default() -> Self {
        Self { count: [16, 4, 64, 256, 64], bytes: [MIB, 64 * KIB, 16 * MIB, 64 * MIB, 64 * MIB] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_index_order() {
        for (place, lane) in Lane::ALL.into_iter().enumerate() {
            assert_eq!(lane.index(), place);
        }
        assert!(Lane::ALL.is_sorted());
    }

    #[test]
    fn only_durable_lanes_are_not_volatile() {
        let durable: Vec<_> = Lane::ALL.into_iter().filter(|l| !l.is_volatile()).collect();
        assert_eq!(durable, [Lane::User, Lane::Mail]);
    }

    #[test]
    fn default_caps() {
        let caps = Caps::default();
        assert_eq!(caps.count, [16, 4, 64, 256, 64]);
        assert_eq!(caps.bytes, [1 << 20, 1 << 16, 1 << 24, 1 << 26, 1 << 26]);
    }
}
