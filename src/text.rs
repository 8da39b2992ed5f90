//! Text from models, commands and files on its way to a terminal.

use std::fmt::Write;

use sapwood_protocol::Millis;
use unicode_width::UnicodeWidthChar;

/// Marks upon one character, at most: what people write needs fewer, and more grow into the neighbouring lines.
const MARKS: usize = 4;

/// True for characters that move a cursor, end a line, hide text or turn its direction around. Joiners, which scripts and
/// emoji need, are none.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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

/// The first line that says something, as [`one_line`], and a mark if there are more.
pub fn first_line(text: &str, max: usize) -> String {
    let mut lines = text.trim().lines();
    let first = one_line(lines.next().unwrap_or_default(), max);
    if lines.next().is_some() { format!("{first} …") } else { first }
}

/// Cells that a terminal needs for the text, at most: where terminals differ, the larger number.
pub fn width(text: &str) -> usize {
    cells(text).map(|(_, cells)| cells).sum()
}

/// Each character with the cells that it adds. A sequence of joined emoji counts with all its parts, since some
/// terminals draw them apart; the selector of the emoji form makes the character before it wide.
fn cells(text: &str) -> impl Iterator<Item = (char, usize)> + '_ {
    let mut before = 0;
    text.chars().map(move |c| {
        let own = c.width().unwrap_or(0);
        let added = if c == '\u{fe0f}' && before == 1 { 1 } else { own };
        before = if own == 0 { before + added } else { own };
        (c, added)
    })
}

/// The beginning of the text that fits into so many cells, with a mark if something was cut off. Marks without end upon one
/// character are cut off too.
pub fn fit(text: &str, columns: usize) -> String {
    let is_whole = width(text) <= columns;
    let room = if is_whole { columns } else { columns.saturating_sub(1) };
    let (mut out, mut used, mut marks) = (String::new(), 0, 0);
    for (c, cells) in cells(text) {
        if used + cells > room {
            break;
        }
        marks = if c.width() == Some(0) { marks + 1 } else { 0 };
        if marks <= MARKS {
            out.push(c);
            used += cells;
        }
    }
    if !is_whole && columns > 0 {
        out.push('…');
    }
    out
}

/// The text, with blanks up to so many cells.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// A duration as a clock shows it: `0:07`, `12:34`, `1:02:03`. Parts of a second are left out.
pub fn clock(time: Millis) -> String {
    let seconds = time.secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
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
        assert_eq!(safe("a\u{200b}\u{2028}\u{e0041}b"), "a\\u{200b}\\u{2028}\\u{e0041}b");
        assert_eq!(first_line("\n one \x1b[A\ntwo", 80), "one \\x1b[A …");
    }

    #[test]
    fn cells_are_counted_as_terminals_draw_them() {
        let texts = ["abc", "日本", "e\u{301}", "❤", "❤\u{fe0f}", "한", "👩\u{200d}💻", ""];
        assert_eq!(texts.map(width), [3, 4, 1, 1, 2, 2, 4, 0]);
    }

    #[test]
    fn a_cut_text_fits_and_says_that_it_was_cut() {
        let fit = |text: &str, columns| fit(text, columns);
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("abcd", 3), "ab…");
        assert_eq!(fit("日本語", 5), "日本…");
        assert_eq!(fit("日本語", 4), "日…");
        assert_eq!(fit("e\u{301}e\u{301}e", 2), "e\u{301}…");
        assert_eq!(fit("abc", 1), "…");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(fit(&format!("z{}", "\u{301}".repeat(50)), 9), format!("z{}", "\u{301}".repeat(MARKS)));
        assert_eq!(pad("日", 4), "日  ");
    }

    #[test]
    fn a_duration_reads_like_a_clock() {
        assert_eq!([7_999, 754_000, 3_723_000].map(|ms| clock(Millis(ms))), ["0:07", "12:34", "1:02:03"]);
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
