//! The thread that writes.

use std::io::{self, Write};

use tokio::sync::{mpsc, watch};

use super::{Piece, Slot, Stdout};
use crate::exit::Exit;
use crate::terminal::screen::{self, Screen};

/// Pieces that are written at once around one frame, at most.
const BATCH: usize = 64;

/// Writes until the queue is closed and empty.
pub fn run(mut pieces: mpsc::Receiver<Piece>, slot: &Slot, stdout: &watch::Sender<Stdout>) {
    let mut writer = Writer { screen: None, above: String::new() };
    while let Some(first) = pieces.blocking_recv() {
        let (mut next, mut taken) = (Some(first), 0);
        while let Some(piece) = next {
            let is_open = *stdout.borrow() == Stdout::Open;
            if let Err(error) = writer.take(piece, slot, is_open) {
                stdout.send_replace(Stdout::after(&error));
                let why = complaint(&error).map(Piece::Stderr);
                // Nothing goes to stdout with it, so it cannot fail.
                let _ = why.map(|why| writer.take(why, slot, false));
            }
            taken += 1;
            next = if taken < BATCH { pieces.try_recv().ok() } else { None };
        }
        writer.draw(slot);
    }
    writer.leave();
}

/// Writes at once, where nothing runs yet that could be held up. Returns `exit`, or what it becomes where stdout cannot
/// be written.
pub fn write_now(pieces: &[Piece], exit: Exit) -> Exit {
    for piece in pieces {
        match piece {
            Piece::Stdout(text) => {
                if let Err(error) = out(text) {
                    complaint(&error).iter().for_each(|why| err(why));
                    return Stdout::after(&error).exit(exit);
                }
            }
            Piece::Stderr(text) => err(text),
            Piece::Frame | Piece::Last(_) => {}
        }
    }
    exit
}

/// What is said of an output that is lost. Of a reader that is gone there is nothing to say.
fn complaint(error: &io::Error) -> Option<String> {
    let is_lost = Stdout::after(error) == Stdout::Failed;
    is_lost.then(|| format!("sapwood: stdout cannot be written: {error}; what was meant for it is lost\n"))
}

struct Writer {
    /// There is one from the first frame to the last.
    screen: Option<Screen>,
    /// Lines that go above the tree with the next frame.
    above: String,
}

impl Writer {
    /// An error means that stdout takes no more.
    fn take(&mut self, piece: Piece, slot: &Slot, is_open: bool) -> io::Result<()> {
        match piece {
            Piece::Stderr(text) if self.screen.is_some() => self.above.push_str(&text),
            Piece::Stderr(text) => err(&text),
            Piece::Stdout(_) if !is_open => {}
            Piece::Stdout(text) => {
                // It may be the same terminal: nothing of the tree stays under it.
                self.clear(slot);
                return out(&text);
            }
            Piece::Frame => {
                self.screen.get_or_insert_default();
                self.draw(slot);
            }
            Piece::Last(frame) => {
                self.screen.get_or_insert_default();
                slot.with(|next| next.frame = Some(frame));
                self.draw(slot);
                self.leave();
            }
        }
        Ok(())
    }

    /// Writes what waits, with the newest frame below it.
    fn draw(&mut self, slot: &Slot) {
        let Some(screen) = &mut self.screen else {
            return;
        };
        let (frame, forget) = slot.with(|next| (next.frame.take(), std::mem::take(&mut next.forget)));
        if forget {
            screen.forget();
        }
        if frame.is_some() || !self.above.is_empty() {
            // Before it is written: who is not sure whether the cursor is hidden brings it back.
            screen::note_cursor(true);
            err(&screen.update(&self.above, frame, screen::size().columns));
            self.above.clear();
        }
    }

    fn clear(&mut self, slot: &Slot) {
        if let Some(screen) = &mut self.screen {
            let (clear, tree) = screen.clear(screen::size().columns);
            err(&clear);
            err(&std::mem::take(&mut self.above));
            slot.with(|next| next.frame.get_or_insert(tree).len());
        }
    }

    fn leave(&mut self) {
        if let Some(mut screen) = self.screen.take() {
            err(&screen.leave());
            err(&std::mem::take(&mut self.above));
            screen::note_cursor(screen.hides_cursor());
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.leave();
    }
}

fn out(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}

fn err(text: &str) {
    // Nobody is left to be told.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
