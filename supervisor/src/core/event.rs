//! What happens to a tree, and what it wants done.

use super::types::{Class, Exit, Incarnation, Millis, Need, Shutdown, Ticket};

/// Something that happened. Events that name an incarnation which no longer occupies its seat, a
/// seat that does not exist or a timer that was cancelled change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<K> {
    /// A new seat, asleep. Answered by [`Action::Refused`] or by nothing.
    Add {
        /// Its key.
        seat: K,
        /// What occupies it.
        class: Class,
        /// Who it belongs to; `None`: the top level. Data only: it gives the order of a shutdown.
        parent: Option<K>,
    },
    /// There is something to do for a seat. Sent after every admission to its mailbox; repeating
    /// it is harmless. Ignored in quarantine and once the tree closes.
    Wake {
        /// Whom.
        seat: K,
        /// What for.
        need: Need,
    },
    /// The incarnation has loaded.
    Started {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
    },
    /// An awake incarnation asks for a slot. Repeating it is harmless.
    Wants {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
        /// [`Need::NoSlot`] asks for nothing.
        need: Need,
    },
    /// The incarnation's turn was parked or ended: its slot comes back, or its wish for one ends.
    Released {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
    },
    /// The incarnation has nothing to do and may sleep. A slot it still holds comes back; a wish
    /// for one stays, so that it waits in line asleep.
    Idle {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
    },
    /// The answer to [`Action::Sleep`]: it left its mailbox, which was empty, and has ended.
    Slept {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
    },
    /// The answer to [`Action::Sleep`]: messages came in between, it goes on.
    Busy {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
    },
    /// The incarnation is gone.
    Ended {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
        /// How.
        exit: Exit,
    },
    /// The timer of an [`Action::Timer`] ran out.
    Due {
        /// Which.
        ticket: Ticket,
    },
    /// Leave quarantine, or do not wait for storage any longer: counters are reset and an
    /// incarnation starts, without a slot.
    Retry {
        /// Whom.
        seat: K,
    },
    /// Stop the occupant, then forget the seat. Its children stay.
    Remove {
        /// Whom.
        seat: K,
    },
    /// Close the tree: no seat is added, woken, granted or restarted any more. A second one kills
    /// whoever is left. Ends with [`Action::Down`].
    Shutdown {
        /// How.
        mode: Shutdown,
    },
    /// A new number of slots (0 is taken as 1). Slots in use above it are not taken away.
    SetSlots {
        /// How many.
        slots: u32,
    },
}

/// Something the driver must do, in the order given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<K> {
    /// The seat of an [`Event::Add`] was not added.
    Refused {
        /// Which.
        seat: K,
        /// Why not.
        why: AddError,
    },
    /// Start an incarnation.
    Start {
        /// Where.
        seat: K,
        /// Its number.
        inc: Incarnation,
        /// It holds a slot from the start.
        granted: bool,
    },
    /// Tell the incarnation that it holds a slot now: the one it asked for, or the one its seat
    /// was in line for. One that needs none answers with [`Event::Released`].
    ///
    /// It may have released the wish while this was on its way, so a driver delivers it only if
    /// [`Tree::holds`](super::Tree::holds).
    Grant {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
    },
    /// Ask the incarnation to sleep: it answers with [`Event::Slept`] or [`Event::Busy`].
    Sleep {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
    },
    /// Ask the incarnation to stop: it answers with [`Event::Ended`].
    Stop {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
        /// When it will be killed.
        deadline: Millis,
    },
    /// Kill the incarnation.
    Kill {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
    },
    /// The killed incarnation did not end: drop everything that belongs to it. What it still
    /// computes is fenced.
    Abandon {
        /// Whose.
        seat: K,
        /// Which.
        inc: Incarnation,
    },
    /// Send [`Event::Due`] after this time.
    Timer {
        /// Its name.
        ticket: Ticket,
        /// From now.
        after: Millis,
    },
    /// Forget the timer. Its [`Event::Due`] would change nothing.
    Cancel {
        /// Which.
        ticket: Ticket,
    },
    /// Tell the host, once, that the seat crashed too often and rests until [`Event::Retry`].
    Quarantine {
        /// Which.
        seat: K,
        /// For people.
        reason: String,
    },
    /// The seat is forgotten.
    Removed {
        /// Which.
        seat: K,
    },
    /// Tell the host, once, that the whole tree restarts too often. It is closing.
    MeltDown {
        /// For people.
        reason: String,
    },
    /// The shutdown is complete: no incarnation is left but abandoned ones.
    Down,
}

/// Why a seat was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The limit of the tree.
    #[error("the tree has {max} seats, its limit: remove some, or raise the limit")]
    Full {
        /// The limit.
        max: usize,
    },
    /// It closes, or is closed.
    #[error("the tree is shutting down and takes no new seats")]
    ShuttingDown,
    /// Keys are unique.
    #[error("there is a seat with this key already")]
    Duplicate,
    /// A parent is added before its children.
    #[error("the parent seat does not exist: add it first")]
    UnknownParent,
}
