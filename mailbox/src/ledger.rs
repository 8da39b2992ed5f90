//! What a mailbox's lanes hold, against what they may hold.

use crate::lane::{Caps, LANES, Lane};
use crate::refusal::Refused;

/// Places and bytes taken in each lane. A place is taken once, by a message or by a promise, and
/// given back once; turning a promise into a message, leasing and redelivering move nothing here.
pub(crate) struct Ledger {
    caps: Caps,
    count: [u32; LANES],
    bytes: [u64; LANES],
    /// How many of `count` are promises.
    reserved: [u32; LANES],
}

impl Ledger {
    pub(crate) fn new(caps: Caps) -> Self {
        Self { caps, count: [0; LANES], bytes: [0; LANES], reserved: [0; LANES] }
    }

    pub(crate) fn count(&self) -> [u32; LANES] {
        self.count
    }

    pub(crate) fn bytes(&self) -> [u64; LANES] {
        self.bytes
    }

    pub(crate) fn reserved(&self) -> [u32; LANES] {
        self.reserved
    }

    /// Takes a place for a message, or changes nothing.
    pub(crate) fn take(&mut self, lane: Lane, bytes: u64) -> Result<(), Refused> {
        let (queued, cap) = (self.count[lane.index()], self.caps.count[lane.index()]);
        if queued >= cap {
            return Err(Refused::Full { lane, queued, cap });
        }
        self.resize(lane, 0, bytes)?;
        self.count[lane.index()] += 1;
        Ok(())
    }

    /// Changes the bytes of a place already taken, or nothing.
    pub(crate) fn resize(&mut self, lane: Lane, old: u64, new: u64) -> Result<(), Refused> {
        let cap = self.caps.bytes[lane.index()];
        let others = self.bytes[lane.index()] - old;
        // No sum before the comparison: `new` is a stranger's number.
        if new > old && new > cap - others {
            return Err(Refused::FullBytes { lane, bytes: new, held: others, cap });
        }
        self.bytes[lane.index()] = others + new;
        Ok(())
    }

    /// A message has left.
    pub(crate) fn give_back(&mut self, lane: Lane, bytes: u64) {
        self.count[lane.index()] -= 1;
        self.bytes[lane.index()] -= bytes;
    }

    /// Takes a place for a promise, or changes nothing.
    pub(crate) fn reserve(&mut self, lane: Lane, bytes: u64) -> Result<(), Refused> {
        self.take(lane, bytes)?;
        self.reserved[lane.index()] += 1;
        Ok(())
    }

    /// The promise is kept: its place is a message's now.
    pub(crate) fn redeem(&mut self, lane: Lane) {
        self.reserved[lane.index()] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Lane = Lane::Mail;
    const AT: usize = LANE.index();

    fn ledger(count: u32, bytes: u64) -> Ledger {
        Ledger::new(Caps { count: [count; LANES], bytes: [bytes; LANES] })
    }

    #[test]
    fn the_last_place_and_the_last_byte_can_be_taken() {
        let mut l = ledger(2, 10);
        assert_eq!(l.take(LANE, 4), Ok(()));
        assert_eq!(l.take(LANE, 7), Err(Refused::FullBytes { lane: LANE, bytes: 7, held: 4, cap: 10 }));
        assert_eq!(l.take(LANE, 6), Ok(()));
        assert_eq!(l.take(LANE, 0), Err(Refused::Full { lane: LANE, queued: 2, cap: 2 }));
        assert_eq!((l.count()[AT], l.bytes()[AT]), (2, 10));
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let mut l = ledger(1, 10);
        assert!(l.take(LANE, u64::MAX).is_err());
        assert!(l.reserve(LANE, 11).is_err());
        assert_eq!((l.count(), l.bytes(), l.reserved()), ([0; LANES], [0; LANES], [0; LANES]));
    }

    #[test]
    fn lanes_do_not_share_room() {
        let mut l = ledger(1, 1);
        for lane in Lane::ALL {
            assert_eq!(l.take(lane, 1), Ok(()));
        }
    }

    #[test]
    fn a_promise_counts_like_a_message_and_becomes_one() {
        let mut l = ledger(1, 10);
        assert_eq!(l.reserve(LANE, 3), Ok(()));
        assert!(l.take(LANE, 0).is_err());
        l.redeem(LANE);
        assert_eq!((l.count()[AT], l.bytes()[AT], l.reserved()[AT]), (1, 3, 0));
        l.give_back(LANE, 3);
        assert_eq!((l.count()[AT], l.bytes()[AT]), (0, 0));
    }

    #[test]
    fn resizing_is_refused_above_the_cap_only() {
        let mut l = ledger(2, 10);
        l.take(LANE, 4).unwrap();
        l.take(LANE, 4).unwrap();
        assert_eq!(l.resize(LANE, 4, 7), Err(Refused::FullBytes { lane: LANE, bytes: 7, held: 4, cap: 10 }));
        assert_eq!(l.resize(LANE, 4, 6), Ok(()));
        assert_eq!(l.resize(LANE, 6, 1), Ok(()));
        assert_eq!(l.bytes()[AT], 5);
    }
}
