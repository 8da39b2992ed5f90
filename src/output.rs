//! The two outputs, written by one thread of its own: a reader that does not read never holds up the tree, nor a signal.
//!
//! The live tree goes the same way, so that no line ever gets into the middle of a frame. Lines wait in the queue; of frames
//! only the newest waits, and replaces the one before.

mod log;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use crate::exit::Exit;
use crate::terminal::draw::Line;
use crate::terminal::screen;

pub use log::LogLine;
pub use writer::write_now;

/// Pieces that wait to be written, at most. Beyond that the feeds are not read, and join what they lose.
const QUEUE: usize = 256;

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Whole lines.
    Stdout(String),
    /// Whole lines.
    Stderr(String),
    /// The newest frame of the tree.
    Frame,
    /// The tree in its last form. What follows stands below it.
    Last(Vec<Line>),
}

impl Piece {
    /// A line on stdout.
    pub fn out(mut line: String) -> Self {
        line.push('\n');
        Piece::Stdout(line)
    }

    /// A line on stderr.
    pub fn err(mut line: String) -> Self {
        line.push('\n');
        Piece::Stderr(line)
    }
}

/// What became of stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdout {
    /// It takes what it is given.
    Open,
    /// Its reader is gone, and misses nothing that it asked for.
    Unread,
    /// It cannot be written, and what somebody wants to read is lost.
    Failed,
}

impl Stdout {
    /// After a write that failed.
    fn after(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Stdout::Unread } else { Stdout::Failed }
    }

    /// How a program ends that ends with `exit` but for this: a success that nobody can read is none.
    pub fn exit(self, exit: Exit) -> Exit {
        let is_good = matches!(exit, Exit::Done | Exit::Partial);
        if self == Stdout::Failed && is_good { Exit::Failure } else { exit }
    }
}

/// What is to become of the tree on the screen. Written by whoever draws, taken by the writer.
#[derive(Debug, Default)]
struct Next {
    frame: Option<Vec<Line>>,
    /// Others have written to the terminal since the last frame.
    forget: bool,
}

/// The newest frame.
#[derive(Clone, Debug, Default)]
struct Slot(Arc<Mutex<Next>>);

impl Slot {
    fn with<T>(&self, with: impl FnOnce(&mut Next) -> T) -> T {
        // Two plain values: a panic between them leaves nothing half done.
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The way to the two outputs.
pub struct Output {
    queue: mpsc::Sender<Piece>,
    slot: Slot,
    stdout: watch::Receiver<Stdout>,
    /// Ends when the thread does.
    done: mpsc::Receiver<()>,
    _thread: JoinHandle<()>,
}

impl Output {
    pub fn start() -> Self {
        let (queue, pieces) = mpsc::channel(QUEUE);
        let (state, stdout) = watch::channel(Stdout::Open);
        let (alive, done) = mpsc::channel(1);
        let slot = Slot::default();
        let next = slot.clone();
        log::through(queue.downgrade());
        let _thread = std::thread::spawn(move || {
            let _alive = alive;
            writer::run(pieces, &next, &state);
        });
        Self { queue, slot, stdout, done, _thread }
    }

    /// Waits for room, then takes the first piece.
    pub async fn take(&self, pieces: &mut VecDeque<Piece>) {
        // The thread ends only after this sender.
        if let Ok(room) = self.queue.reserve().await
            && let Some(piece) = pieces.pop_front()
        {
            room.send(piece);
        }
    }

    /// Draws the tree anew, as soon as the terminal takes it. A frame that was not drawn by then is skipped.
    pub fn draw(&self, frame: Vec<Line>) {
        if self.slot.with(|next| next.frame.replace(frame)).is_none() {
            // Without room the writer is busy, and looks by itself when it comes to the end of its lines.
            let _ = self.queue.try_send(Piece::Frame);
        }
    }

    /// Others have written to the terminal: the next frame is drawn where the cursor is.
    pub fn forget(&self) {
        self.slot.with(|next| next.forget = true);
    }

    /// Returns when stdout can no longer be written.
    pub async fn closed(&self) {
        let mut stdout = self.stdout.clone();
        if stdout.wait_for(|stdout| *stdout != Stdout::Open).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns when all that is queued is written, with what became of stdout.
    pub async fn finish(mut self) -> Stdout {
        // In its place one that leads nowhere: the thread ends when the queue is closed and empty.
        self.queue = mpsc::channel(1).0;
        // Nothing is ever sent: it returns when the thread is gone.
        let _ = self.done.recv().await;
        *self.stdout.borrow()
    }
}

impl Drop for Output {
    /// Also when its owner is unwound: a terminal without a cursor is no end.
    fn drop(&mut self) {
        screen::restore();
    }
}
