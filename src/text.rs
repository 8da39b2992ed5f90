//! Text from models, commands and files on its way to a terminal.

use std::fmt::Write;

/// True for characters that move a cursor, hide text or turn its direction around.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text with everything escaped that a terminal could obey; line breaks and tabs stay.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) && c != '\n' && c != '\t' { escape(&mut out, c) } else { out.push(c) }
    }
    out
}

/// The text on one line, safe for a terminal, and at most `max` characters long.
pub fn one_line(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut left = max;
    let mut blank = true;
    for c in text.trim().chars() {
        let is_blank = c.is_whitespace();
        if is_blank && blank {
            continue;
        }
        if left == 0 {
            out.push('…');
            break;
        }
        blank = is_blank;
        left -= 1;
        match c {
            _ if is_blank => out.push(' '),
            c if is_unsafe(c) => escape(&mut out, c),
            c => out.push(c),
        }
    }
    out
}

fn escape(out: &mut String, c: char) {
    // A String cannot refuse a write.
    let _ = match u32::from(c) {
        n @ 0..=0xff => write!(out, "\\x{n:02x}"),
        n => write!(out, "\\u{{{n:x}}}"),
    };
}

/// A number with its thousands apart.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What of `known` the word is most likely meant to be.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.len() / 3).clamp(1, 3);
    let scored = known.into_iter().map(|candidate| (distance(word, candidate), candidate));
    scored.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, best)| best)
}

/// How many letters must be added, removed, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                let swapped: &Vec<usize> = &before;
                best = best.min(swapped[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_a_terminal_that_it_obeys() {
        assert_eq!(safe("a\x1b[2J\n\tb\u{202e}c\u{9b}"), "a\\x1b[2J\n\tb\\u{202e}c\\x9b");
        assert_eq!(one_line("  a\n\n b\x07c  ", 80), "a b\\x07c");
        assert_eq!(one_line("abcdef", 3), "abc…");
    }

    #[test]
    fn the_nearest_word_is_found_and_a_far_one_is_not() {
        let flags = ["json", "model", "home"];
        assert_eq!(nearest("jsno", flags), Some("json"));
        assert_eq!(nearest("modle", flags), Some("model"));
        assert_eq!(nearest("verbose", flags), None);
    }

    #[test]
    fn thousands_are_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
