//! Output within bounds: the first half of the room for the start, the second for the end, a count for what lay between.

use std::collections::VecDeque;

/// What a command wrote to stdout and stderr, in the order it arrived.
///
/// Bytes that are not UTF-8 are shown as U+FFFD. A cut never splits a character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The start; all of it when nothing was omitted.
    pub head: String,
    /// The end; empty when nothing was omitted.
    pub tail: String,
    /// Bytes left out between the two.
    pub omitted: u64,
    /// Bytes written altogether.
    pub total: u64,
}

/// Collects output as it arrives. Holds at most `max` bytes.
#[derive(Debug)]
pub(super) struct Capture {
    head: Vec<u8>,
    head_max: usize,
    tail: VecDeque<u8>,
    tail_max: usize,
    total: u64,
}

impl Capture {
    pub(super) fn new(max: usize) -> Self {
        let tail_max = max / 2;
        Self { head: Vec::new(), head_max: max - tail_max, tail: VecDeque::new(), tail_max, total: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let into_head = bytes.len().min(self.head_max - self.head.len());
        let (first, rest) = bytes.split_at(into_head);
        self.head.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(self.tail_max)..];
        let too_many = (self.tail.len() + rest.len()).saturating_sub(self.tail_max);
        self.tail.drain(..too_many);
        self.tail.extend(rest);
    }

    /// What has arrived since the last time. A character whose rest has not arrived stays for the next, unless this is the `last`.
    pub(super) fn take(&mut self, last: bool) -> Output {
        let mut taken = std::mem::replace(self, Self::new(self.head_max + self.tail_max));
        if !last {
            if (taken.head.len() + taken.tail.len()) as u64 == taken.total {
                // Nothing is missing between the two, so a character may lie on their border.
                taken.head.extend(taken.tail.drain(..));
                let end = taken.head.len() - unfinished(&taken.head);
                self.push(&taken.head.split_off(end));
            } else {
                let cut = unfinished(taken.tail.make_contiguous());
                let end = taken.tail.len() - cut;
                self.push(&taken.tail.split_off(end).into_iter().collect::<Vec<_>>());
            }
            taken.total -= self.total;
        }
        taken.finish()
    }

    pub(super) fn finish(self) -> Output {
        let Self { mut head, mut tail, total, .. } = self;
        let kept = (head.len() + tail.len()) as u64;
        if kept == total {
            head.extend(tail);
            return Output { head: text(head), tail: String::new(), omitted: 0, total };
        }
        head.truncate(head.len() - unfinished(&head));
        let continued = tail.iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
        tail.drain(..continued);
        let omitted = total - (head.len() + tail.len()) as u64;
        Output { head: text(head), tail: text(tail.into()), omitted, total }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// How many bytes at the end are the start of a character whose rest was cut off.
fn unfinished(bytes: &[u8]) -> usize {
    let end = &bytes[bytes.len().saturating_sub(4)..];
    let invalid = end.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let is_start = std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
    if is_start { invalid.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(max: usize, chunks: &[&[u8]]) -> Output {
        let mut capture = Capture::new(max);
        for chunk in chunks {
            capture.push(chunk);
        }
        capture.finish()
    }

    fn output(head: &str, tail: &str, omitted: u64, total: u64) -> Output {
        Output { head: head.into(), tail: tail.into(), omitted, total }
    }

    #[test]
    fn what_fits_is_kept_whole_however_it_was_cut() {
        assert_eq!(captured(8, &[]), output("", "", 0, 0));
        assert_eq!(captured(8, &[b"abcdefgh"]), output("abcdefgh", "", 0, 8));
        assert_eq!(captured(8, &[b"abc", b"", b"def", b"gh"]), output("abcdefgh", "", 0, 8));
        assert_eq!(captured(4, &[b"\xC3", b"\xA4\xC3", b"\xB6"]), output("äö", "", 0, 4));
        assert_eq!(captured(9, &[b"a\xFFb\xC3"]), output("a\u{FFFD}b\u{FFFD}", "", 0, 4));
    }

    #[test]
    fn taking_leaves_only_what_is_not_a_character_yet() {
        let mut capture = Capture::new(8);
        capture.push("aä".as_bytes());
        capture.push(b"\xE2\x82");
        assert_eq!(capture.take(false), output("aä", "", 0, 3));
        capture.push(b"\xAC");
        assert_eq!(capture.take(false), output("€", "", 0, 3));
        assert_eq!(capture.take(false), output("", "", 0, 0));
        capture.push("0123456789".as_bytes());
        capture.push(b"\xC3");
        assert_eq!(capture.take(false), output("0123", "789", 3, 10));
        assert_eq!(capture.take(true), output("\u{FFFD}", "", 0, 1));
    }

    #[test]
    fn what_does_not_fit_keeps_both_ends() {
        assert_eq!(captured(4, &[b"abcdefgh"]), output("ab", "gh", 4, 8));
        assert_eq!(captured(5, &[b"abcdefg", b"h"]), output("abc", "gh", 3, 8));
        assert_eq!(captured(0, &[b"abc"]), output("", "", 3, 3));
        assert_eq!(captured(1, &[b"abc"]), output("a", "", 2, 3));
        let long: Vec<&[u8]> = vec![b"0123456789"; 1000];
        assert_eq!(captured(6, &long), output("012", "789", 9994, 10_000));
    }

    #[test]
    fn a_cut_does_not_split_a_character() {
        // Room for three bytes on either side; "ä" has two.
        assert_eq!(captured(6, &["aää-ääa".as_bytes()]), output("aä", "äa", 5, 11));
        assert_eq!(captured(6, &["ää--ää".as_bytes()]), output("ä", "ä", 6, 10));
        assert_eq!(captured(8, &["€€--€€".as_bytes()]), output("€", "€", 8, 14));
        assert_eq!(captured(4, &[b"\xFF\xC3\xA4--"]), output("\u{FFFD}", "--", 2, 5));
    }
}
