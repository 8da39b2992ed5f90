//! The two outputs, written by one thread of its own: a reader that does not read never holds up the tree, nor a signal.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

/// Pieces that wait to be written, at most. Beyond that the feeds are not read, and join what they lose.
const QUEUE: usize = 256;

/// Something to be written: whole lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Stdout(String),
    Stderr(String),
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

/// The way to the two outputs.
pub struct Output {
    queue: mpsc::Sender<Piece>,
    closed: watch::Receiver<bool>,
    /// Ends when the thread does.
    done: mpsc::Receiver<()>,
    _thread: JoinHandle<()>,
}

impl Output {
    pub fn start() -> Self {
        let (queue, mut pieces) = mpsc::channel(QUEUE);
        let (broken, closed) = watch::channel(false);
        let (alive, done) = mpsc::channel(1);
        let _thread = std::thread::spawn(move || {
            let _alive = alive;
            while let Some(piece) = pieces.blocking_recv() {
                let is_open = !*broken.borrow();
                if write(&piece, is_open).is_err() {
                    broken.send_replace(true);
                }
            }
        });
        Self { queue, closed, done, _thread }
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

    /// Returns when stdout can no longer be written.
    pub async fn closed(&self) {
        let mut closed = self.closed.clone();
        if closed.wait_for(|closed| *closed).await.is_err() {
            std::future::pending().await
        }
    }

    /// Returns when all that is queued is written.
    pub async fn finish(self) {
        let Self { queue, mut done, .. } = self;
        drop(queue);
        // Nothing is ever sent: it returns when the thread is gone.
        let _ = done.recv().await;
    }
}

/// Writes at once, where nothing runs yet that could be held up.
pub fn write_now(pieces: &[Piece]) {
    // A reader that is gone misses nothing that it asked for.
    let _ = pieces.iter().try_for_each(|piece| write(piece, true));
}

fn write(piece: &Piece, is_open: bool) -> io::Result<()> {
    match piece {
        Piece::Stdout(text) if is_open => {
            let mut out = io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush())
        }
        Piece::Stdout(_) => Ok(()),
        Piece::Stderr(text) => {
            // Nobody is left to be told.
            let _ = io::stderr().lock().write_all(text.as_bytes());
            Ok(())
        }
    }
}
