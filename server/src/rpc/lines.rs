//! A stream of bytes, cut into lines of a bounded length.

use std::collections::VecDeque;

use memchr::memchr;

/// Of a line that is too long, what is kept to find whom to answer. Clients write the id among the first keys.
const BEGINNING_BYTES: usize = 4096;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// All of it.
    Whole(Vec<u8>),
    /// It was longer than the limit: how it began.
    TooLong(Vec<u8>),
}

/// Cuts what comes in pieces into lines. Holds at most the limit, and less than a piece beyond it.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    begun: Vec<u8>,
    is_skipping: bool,
    done: VecDeque<Line>,
}

impl Lines {
    /// Lines of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, begun: Vec::new(), is_skipping: false, done: VecDeque::new() }
    }

    /// Takes the next piece of the stream.
    pub fn feed(&mut self, mut piece: &[u8]) {
        while let Some(end) = memchr(b'\n', piece) {
            self.take(&piece[..end]);
            self.end();
            piece = &piece[end + 1..];
        }
        self.take(piece);
    }

    /// The stream is over: what has no newline is a line too.
    pub fn finish(&mut self) {
        self.end();
    }

    /// The next whole line. Empty ones are passed over.
    pub fn pop(&mut self) -> Option<Line> {
        self.done.pop_front()
    }

    fn take(&mut self, part: &[u8]) {
        if self.is_skipping {
            return;
        }
        if self.begun.len() + part.len() <= self.limit {
            self.begun.extend_from_slice(part);
            return;
        }
        self.is_skipping = true;
        let missing = BEGINNING_BYTES.min(self.limit).saturating_sub(self.begun.len());
        self.begun.extend_from_slice(&part[..missing.min(part.len())]);
        self.begun.truncate(BEGINNING_BYTES);
        self.begun.shrink_to_fit();
    }

    fn end(&mut self) {
        let mut line = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.is_skipping) {
            self.done.push_back(Line::TooLong(line));
            return;
        }
        while line.last().is_some_and(u8::is_ascii_whitespace) {
            line.pop();
        }
        if !line.is_empty() {
            self.done.push_back(Line::Whole(line));
        }
    }
}
