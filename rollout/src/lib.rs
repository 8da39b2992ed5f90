//! Durable history behind a port: create, open, append, admit, read, tail, list.
//!
//! What it is for: one append-only rollout an agent, in Codex's format and under Codex's locks, so that both
//! programs can work on the same home.
//! What it never does: it knows no agent, turn or model; no path, offset or file descriptor leaves it.
//!
//! Invariants:
//! - A rollout is born complete, and one batch is one write; a broken tail is ended with a newline, never cut.
//! - Two producers, one file: the incarnation appends under its epoch, the seat admits without one; an older epoch
//!   is refused from the moment a newer one was fenced.
//! - A [`Log`] that exists holds the writer lock of its thread, over all processes; dropping it gives it back.

mod entry;
mod faults;
mod file;
mod head;
mod log;
mod memory;
mod port;
mod seen;
mod source;
mod writer;

pub use file::{FileJournal, FileStamp, Found, Inspection, Leftover, What};
pub use memory::{Failure, Lag, MemoryJournal};
pub use port::{AppendError, Entry, Filter, Holder, Journal, Log, NewThread, OpenError, Rollout, Ticket};
pub use seen::Seen;
