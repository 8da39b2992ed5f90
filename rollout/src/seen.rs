//! How far somebody has read a rollout, so that only what has come since is read.

use std::io;

use bytes::Bytes;
use sapwood_protocol::Line;

use crate::port::Rollout;
use crate::source::{self, Source};

/// How far a rollout was read: its length, and the line that it ended with. Enough to tell a rollout that has grown from one
/// that was cut, or written by somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// In bytes.
    length: u64,
    /// The last line, with its newline.
    last: Bytes,
}

impl Seen {
    /// All of a rollout.
    pub fn all(rollout: &Rollout) -> Self {
        let mut seen = Self::default();
        seen.more(rollout);
        seen
    }

    /// What stands behind it, too.
    pub fn more(&mut self, news: &Rollout) {
        let bytes = news.bytes();
        if bytes.is_empty() {
            return;
        }
        let whole = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let start = memchr::memrchr(b'\n', whole).map_or(0, |end| end + 1);
        // A copy: it would keep the whole rollout in memory.
        (self.length, self.last) = (self.length + bytes.len() as u64, Bytes::copy_from_slice(&bytes[start..]));
    }

    /// One more line.
    pub fn line(&mut self, line: &Line) {
        self.length += line.bytes().len() as u64;
        self.last = line.bytes().clone();
    }

    /// How many bytes were read.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What stands behind it, if the rollout begins so.
    pub fn behind(&self, rollout: &Rollout) -> Option<Rollout> {
        let bytes = rollout.bytes();
        // Bytes in memory can be read.
        self.news(bytes, bytes.len() as u64).ok().flatten().map(Rollout::new)
    }

    /// The same of a source that ends at `end`, of which only that is read.
    pub(crate) fn news(&self, source: &impl Source, end: u64) -> io::Result<Option<Bytes>> {
        let last = self.last.len() as u64;
        if !self.last.ends_with(b"\n") || end < self.length || self.length < last {
            return Ok(None);
        }
        // With the newline of the line before, where there is one.
        let start = (self.length - last).saturating_sub(1);
        let bytes = source::range(source, start, end)?;
        let before = (self.length - last - start) as usize;
        let (begin, rest) = bytes.split_at(before);
        let is_same = (begin.is_empty() || begin == b"\n") && rest.starts_with(&self.last);
        Ok(is_same.then(|| bytes.slice(before + self.last.len()..)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollout(text: &str) -> Rollout {
        Rollout::new(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn news(seen: &str, now: &str) -> Option<String> {
        let news = Seen::all(&rollout(seen)).behind(&rollout(now))?;
        Some(String::from_utf8(news.bytes().to_vec()).unwrap())
    }

    #[test]
    fn only_a_rollout_that_has_grown_has_news() {
        assert_eq!(news("a\n", "a\n").as_deref(), Some(""));
        assert_eq!(news("a\nb\n", "a\nb\nc\nd").as_deref(), Some("c\nd"));
        for (seen, now) in [
            ("", "a\n"),
            ("a\nb", "a\nb\nc\n"),
            ("a\nb\n", "a\n"),
            ("a\nb\n", "a\nc\nd\n"),
            ("a\nb\n", "abb\nc\n"),
            ("a\nb\n", "b\n"),
        ] {
            assert_eq!(news(seen, now), None, "{seen:?} {now:?}");
        }
    }

    #[test]
    fn what_is_appended_counts_as_what_is_read() {
        let mut seen = Seen::all(&rollout("a\n"));
        seen.line(&Line::from_bytes(Bytes::from_static(b"b\n")));
        assert_eq!(seen, Seen::all(&rollout("a\nb\n")));
        seen.more(&rollout(""));
        assert_eq!(seen, Seen::all(&rollout("a\nb\n")));
        let mut grown = seen.clone();
        grown.more(&rollout("c\nd"));
        assert_eq!(grown, Seen::all(&rollout("a\nb\nc\nd")));
        assert_eq!(seen.length(), 4);
    }
}
