//! What the rooms below report, on its way to stderr: past the tree on the screen, where there is one.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;

use super::Piece;
use crate::text::safe;

/// The queue of the outputs, as long as somebody writes to it.
static QUEUE: Mutex<Option<mpsc::WeakSender<Piece>>> = Mutex::new(None);

/// From now on reports go through this queue, as long as it is open.
pub fn through(queue: mpsc::WeakSender<Piece>) {
    *QUEUE.lock().unwrap_or_else(PoisonError::into_inner) = Some(queue);
}

/// Takes the text of one report.
#[derive(Debug, Default)]
pub struct LogLine;

impl Write for LogLine {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let piece = Piece::Stderr(safe(&String::from_utf8_lossy(text)));
        let queue = QUEUE.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(mpsc::WeakSender::upgrade);
        let left = match queue {
            // Nothing is lost where the reader is far behind: it only may stand in the middle of a frame.
            Some(queue) => queue.try_send(piece).err().map(mpsc::error::TrySendError::into_inner),
            None => Some(piece),
        };
        if let Some(Piece::Stderr(left)) = left {
            io::stderr().lock().write_all(left.as_bytes())?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
