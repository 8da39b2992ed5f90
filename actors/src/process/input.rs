//! What a running command is told: bytes for its stdin, bounded, and the size of its terminal.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use rustix::termios::Winsize;
use serde::{Deserialize, Serialize};
use tokio::net::unix::pipe;
use tokio::sync::Notify;

/// Input that a command has not read yet: what a person pastes, and far more than a pipe holds.
pub const MAX_INPUT_BYTES: usize = 1 << 20;

/// What a terminal takes for the end of input, at the start of a line: Ctrl-D.
const END_OF_INPUT: &[u8] = &[4];

/// A terminal's size in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Its height.
    pub rows: u16,
    /// Its width.
    pub cols: u16,
}

impl Default for Size {
    /// 24 rows of 80 columns: what programs assume who are told nothing.
    fn default() -> Self {
        Self { rows: 24, cols: 80 }
    }
}

impl From<Size> for Winsize {
    fn from(Size { rows, cols }: Size) -> Self {
        Self { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }
    }
}

/// Why a running command could not be told something.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It was started without a stdin to write to.
    #[error("the command was started without stdin; start it with a terminal or with a pipe to write to it")]
    None,
    /// Its stdin has been closed, by us or by itself.
    #[error("the command's stdin is closed; start it again to write to it")]
    Closed,
    /// It does not read what it was sent.
    #[error(
        "the command has not read {pending} bytes that were written to it, and {limit} is the limit; wait until it has, or end it"
    )]
    Full {
        /// Bytes that wait.
        pending: usize,
        /// The limit.
        limit: usize,
    },
    /// It has no terminal whose size could change.
    #[error("the command has no terminal; start it with one to set its size")]
    NoTerminal,
    /// The terminal does not take the size.
    #[error("the terminal's size cannot be set: {0}; the command has probably ended")]
    Resize(#[source] io::Error),
}

/// The near end of a command's stdin.
pub(super) struct Sink {
    /// Where to write.
    pub pipe: pipe::Sender,
    /// The same as a terminal, if it is one.
    pub terminal: Option<Arc<OwnedFd>>,
}

impl Sink {
    /// One write of what fits. May be dropped at any await: then nothing was written.
    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.pipe.writable().await?;
            match self.pipe.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }
}

/// What waits to be written. Filled by whoever holds the running command, emptied by its task.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Bytes>,
    pending: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn write(&self, bytes: Bytes) -> Result<(), InputError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(InputError::Closed);
        }
        if state.pending + bytes.len() > MAX_INPUT_BYTES {
            return Err(InputError::Full { pending: state.pending, limit: MAX_INPUT_BYTES });
        }
        if !bytes.is_empty() {
            state.pending += bytes.len();
            state.chunks.push_back(bytes);
            self.filled.notify_one();
        }
        Ok(())
    }

    /// What was written before still arrives.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_one();
    }

    fn wrote(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.pending -= bytes;
        let is_done = state.chunks.front_mut().is_some_and(|front| {
            front.advance(bytes);
            front.is_empty()
        });
        if is_done {
            state.chunks.pop_front();
        }
    }

    fn give_up(&self) {
        *self.state.lock() = State { closed: true, ..State::default() };
    }
}

/// Empties the queue into the command's stdin, and closes it when the queue is closed.
pub(super) struct Feeder {
    pub(super) queue: Arc<Queue>,
    pub(super) sink: Option<Sink>,
}

impl Feeder {
    /// One write; for ever when there is nothing to write any more. May be dropped at any await without losing a byte.
    pub(super) async fn step(&mut self) {
        let Some(sink) = &self.sink else {
            return pending().await;
        };
        let (front, closed) = {
            let state = self.queue.state.lock();
            (state.chunks.front().cloned(), state.closed)
        };
        match front {
            Some(front) => match sink.write(&front).await {
                Ok(written) => self.queue.wrote(written),
                Err(_) => {
                    self.queue.give_up();
                    self.sink = None;
                }
            },
            None if closed => {
                if sink.terminal.is_some() {
                    let _ = sink.write(END_OF_INPUT).await;
                }
                self.sink = None;
            }
            None => self.queue.filled.notified().await,
        }
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.queue.give_up();
    }
}
