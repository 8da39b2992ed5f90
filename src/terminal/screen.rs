//! How the tree stays at the bottom of a terminal while lines scroll above it.
//!
//! What is written moves the cursor up over what was drawn before, and draws over it: no other part of the terminal is
//! touched, and what scrolled away stays in its history. The cursor rests behind the last line of the tree.

use std::fmt::Write;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::tcgetwinsize;

use super::draw::{Line, Size};

const HIDE: &str = "\x1b[?25l";
const SHOW: &str = "\x1b[?25h";
const CLEAR_DOWN: &str = "\x1b[J";
const CLEAR_RIGHT: &str = "\x1b[K";

/// Set while the cursor of stderr's terminal is hidden, so that every way out of the program can bring it back.
static HIDDEN: AtomicBool = AtomicBool::new(false);

/// What stands at the bottom of the terminal.
#[derive(Debug, Default)]
pub struct Screen {
    /// The lines of the tree.
    drawn: Vec<Line>,
    /// The cursor is hidden.
    is_hidden: bool,
}

impl Screen {
    /// What is to be written so that `above` scrolls by and `tree` stands below it. `above` is whole lines, or nothing. Each
    /// terminal line holds `columns` cells.
    pub fn update(&mut self, above: &str, tree: Option<Vec<Line>>, columns: u16) -> String {
        let mut out = String::new();
        if !self.is_hidden {
            self.is_hidden = true;
            out.push_str(HIDE);
        }
        self.up(&mut out, columns);
        if !above.is_empty() {
            out.push_str(CLEAR_DOWN);
            out.push_str(above);
        }
        if let Some(tree) = tree {
            self.drawn = tree;
        }
        for (at, line) in self.drawn.iter().enumerate() {
            if at > 0 {
                out.push('\n');
            }
            out.push_str(&line.text);
            out.push_str(CLEAR_RIGHT);
        }
        // What the frame before had more of.
        out.push_str(CLEAR_DOWN);
        out
    }

    /// What takes the tree away, so that something else can be written, and the tree to be drawn again.
    pub fn clear(&mut self, columns: u16) -> (String, Vec<Line>) {
        let mut out = String::new();
        self.up(&mut out, columns);
        out.push_str(CLEAR_DOWN);
        (out, std::mem::take(&mut self.drawn))
    }

    /// What leaves the tree where it is, for good: everything that follows stands below it.
    pub fn leave(&mut self) -> String {
        let mut out = String::new();
        if !self.drawn.is_empty() {
            out.push('\n');
        }
        if std::mem::take(&mut self.is_hidden) {
            out.push_str(SHOW);
        }
        self.drawn.clear();
        out
    }

    /// Others have written to the terminal: where the tree stands is not known any more, and the cursor is there again.
    pub fn forget(&mut self) {
        self.drawn.clear();
        self.is_hidden = false;
    }

    /// True if the cursor is hidden.
    pub fn hides_cursor(&self) -> bool {
        self.is_hidden
    }

    /// To the first cell of the tree. A terminal that became narrower has broken its lines anew.
    fn up(&self, out: &mut String, columns: u16) {
        let columns = usize::from(columns.max(1));
        let rows: usize = self.drawn.iter().map(|line| line.width.div_ceil(columns).max(1)).sum();
        if rows > 0 {
            out.push('\r');
        }
        if rows > 1 {
            // A String cannot refuse a write.
            let _ = write!(out, "\x1b[{}A", rows - 1);
        }
    }
}

/// Remembers whether the cursor of stderr's terminal is hidden.
pub fn note_cursor(is_hidden: bool) {
    HIDDEN.store(is_hidden, Ordering::Relaxed);
}

/// Brings the cursor back, if it is hidden: for the ways out on which the writer of the outputs is not waited for. A terminal
/// that takes nothing now is not waited for either.
pub fn restore() {
    let stderr = io::stderr();
    let mut ready = [PollFd::new(&stderr, PollFlags::OUT)];
    if HIDDEN.load(Ordering::Relaxed)
        && poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
        // Nobody is left to be told that it failed.
        && rustix::io::write(&stderr, SHOW.as_bytes()).is_ok()
    {
        HIDDEN.store(false, Ordering::Relaxed);
    }
}

/// The size of stderr's terminal. One that does not say its size is taken for the smallest usual one.
pub fn size() -> Size {
    let usual = Size { columns: 80, rows: 24 };
    match tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size { columns: size.ws_col, rows: size.ws_row },
        _ => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Option<Vec<Line>> {
        Some(texts.iter().map(|text| Line { text: (*text).to_owned(), width: text.len() }).collect())
    }

    #[test]
    fn a_frame_is_drawn_over_the_one_before() {
        let mut screen = Screen::default();
        assert_eq!(screen.update("", lines(&["a", "b"]), 80), "\x1b[?25la\x1b[K\nb\x1b[K\x1b[J");
        assert_eq!(screen.update("", lines(&["c"]), 80), "\r\x1b[1Ac\x1b[K\x1b[J");
        assert_eq!(screen.update("said\n", None, 80), "\r\x1b[Jsaid\nc\x1b[K\x1b[J");
        assert_eq!(screen.leave(), "\n\x1b[?25h");
        assert_eq!(screen.leave(), "");
    }

    #[test]
    fn lines_that_were_broken_anew_are_all_drawn_over() {
        let mut screen = Screen::default();
        screen.update("", lines(&["12345678", "1234"]), 10);
        assert_eq!(screen.update("", lines(&["x"]), 4), "\r\x1b[2Ax\x1b[K\x1b[J");
    }

    #[test]
    fn what_others_wrote_over_is_not_touched() {
        let mut screen = Screen::default();
        screen.update("", lines(&["a", "b"]), 80);
        screen.forget();
        assert_eq!(screen.update("", lines(&["a"]), 80), "\x1b[?25la\x1b[K\x1b[J");
        assert_eq!(screen.clear(80), ("\r\x1b[J".to_owned(), lines(&["a"]).unwrap()));
        assert_eq!(screen.clear(80), ("\x1b[J".to_owned(), Vec::new()));
    }
}
