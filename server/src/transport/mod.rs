//! How frames come and go: stdio, a unix socket, a websocket.
//!
//! A transport makes connections and drives each with `connection::drive`. It knows bytes and frames, and nothing of what
//! they say.

mod auth;
mod front;
mod listen;
mod local;
mod stdio;
#[cfg(test)]
mod tests;
mod websocket;

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;

pub use auth::{Token, TokenError};
pub use listen::{BadAddress, Listen, ListenError, Listener, control_socket};
pub use local::{Holder, holder};
#[cfg(test)]
pub(crate) use stdio::Stdin;

use crate::connection::CloseReason;

/// What comes from a client.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// One frame.
    Frame(Bytes),
    /// One that is too long: how it began.
    TooLong(Bytes),
}

/// The reading half.
pub(crate) trait Source: Send {
    /// The next frame; `None` at the end. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Incoming>> + Send;
}

/// The writing half.
pub(crate) trait Sink: Send {
    /// Writes all of it, and leaves `batch` empty.
    fn write(&mut self, batch: &mut Vec<Bytes>) -> impl Future<Output = io::Result<()>> + Send;

    /// Asks the other side whether it is there, where the transport has a way to.
    fn ping(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        async { Ok(()) }
    }

    /// How long the other side has said nothing, where that means something.
    fn silence(&self) -> Duration {
        Duration::ZERO
    }

    /// Ends it with a reason.
    fn close(&mut self, reason: CloseReason) -> impl Future<Output = ()> + Send;
}
