//! From rollouts to what clients see of them: turns and items, whole or by pages.
//!
//! What it is for: one projection ([`Turns`]) reads a file of an unloaded thread and follows the lines of a loaded one, and one
//! conversion ([`item()`]) makes an item for both, so that an answer and the live feed always agree.
//! What it never does: it loads no thread, writes nothing, and knows no client.
//!
//! Inputs that were accepted and not yet consumed are no items, and lines of ours (`sapwood.*`) are invisible but for one thing:
//! a command that never started in a turn that its process did not survive is shown as aborted.

mod aborted;
mod cursor;
mod item;
mod legacy;
mod page;
mod peek;
mod source;
mod turns;

pub use cursor::BadCursor;
pub use item::item;
pub(crate) use peek::Peek;
pub use source::{Ahead, ahead, ends, read, read_rollout};
pub use turns::{Spent, Turns};

#[cfg(test)]
mod tests;
