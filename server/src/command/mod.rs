//! `command/exec` and what follows it: commands that a client runs by itself, outside of any thread.
//!
//! A connection has one [`Commands`]. Its commands have names that the client gives and that mean nothing on another connection, and
//! end with it. The router is not known here: parameters come in as [`params`] has them, output goes out through a channel, and the
//! result is what the request is answered with.
//!
//! - A command is started only if its request is one that can be carried out as a whole; nothing in it is ignored.
//! - Everything that was streamed is in the channel before [`Commands::exec`] returns.
//! - A client that does not read its output holds its own command up, and nobody else: [`QUEUED_OUTPUT_BYTES`] are kept for it.
//! - Dropping [`Commands::exec`]'s future ends its command, and so does [`Commands::close`].

mod engine;
mod error;
mod outlet;
pub mod params;

pub use engine::{Commands, DEFAULT_TIMEOUT, MAX_COMMANDS, Place, TIMED_OUT};
pub use error::CommandError;
pub use outlet::{DEFAULT_OUTPUT_CAP, MAX_BUFFERED_BYTES, QUEUED_OUTPUT_BYTES};
