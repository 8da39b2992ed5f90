//! The half that performs, on ractor. Nothing outside this module knows ractor.
//!
//! One supervisor actor performs the actions of a [`Tree`](crate::core::Tree); every incarnation is
//! an actor linked to it, and nobody is linked below one, because ractor kills the descendants of
//! whoever fails. Messages never travel through ractor's ports, which are unbounded and die with
//! the actor: they stay in the seat's mailbox, and the ports carry signals, at most one of each
//! kind. Events need no port at all: whoever has one applies it under the supervisor's lock. One
//! task waits for all timers.

mod host;
mod incarnation;
mod supervisor;
mod table;

pub use host::{Fault, Host, Next, Port, Resident, Seat};
pub use supervisor::Supervisor;
