//! Hunks are found in a text and change it.
//!
//! A run of lines is looked for below what the hunk before it matched, in four passes over the rest of the file, from exact to
//! lenient; a later pass counts only if every earlier one found nothing anywhere. Lines that stay are those of the file, however
//! lenient the pass was.

use super::grammar::{Hunk, Line};
use super::text::{FileLine, ending_at, lines};

/// The most comparisons of two lines for one file: a few seconds. Only a patch with thousands of hunks that repeat themselves, on a
/// file of hundreds of thousands of lines, comes near.
const MAX_COMPARISONS: u64 = 200_000_000;

/// The most characters of the lines not found that an error repeats.
const SHOWN_CHARS: usize = 4_000;

/// Why a hunk does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// The text behind `@@` is not there.
    Context { text: String, hint: &'static str },
    /// The lines are not there.
    Lines { text: String, hint: &'static str },
    /// Looking for it takes too long.
    TooMuch,
}

const BEFORE: &str =
    "They are in the file above what the hunk before changes: write the hunks in the order of the file.";
const CONTEXT_BEFORE: &str =
    "It is in the file above what the hunk before changes: write the hunks in the order of the file.";
const NOT_AT_END: &str =
    "They are in the file more than once, and none is at its end: leave '*** End of File' out, and add context lines.";
const READ_AGAIN: &str = "Read the file again and write the lines as they are there.";
const WHOLE_LINE: &str = "What stands behind '@@' has to be a whole line of the file.";

/// The text with all hunks applied.
pub(super) fn change(text: &str, hunks: &[Hunk]) -> Result<String, Miss> {
    let lines = lines(text);
    let mut edits: Vec<Edit> = Vec::with_capacity(hunks.len());
    let mut seeker = Seeker { lines: &lines, normal: Vec::new(), left: MAX_COMPARISONS };
    let mut below = 0;
    for hunk in hunks {
        let edit = seeker.place(hunk, below)?;
        // What is added at the end of the file leaves the place of the next hunk as it is.
        if edit.took > 0 || !hunk.contexts.is_empty() {
            below = edit.at + edit.took;
        }
        edits.push(edit);
    }
    // Stable: hunks that add at the same place stay in the patch's order.
    edits.sort_by_key(|edit| edit.at);
    Ok(rebuild(&lines, &edits))
}

/// A hunk and where it belongs.
struct Edit<'h> {
    /// The index of the first line of the file that it is about.
    at: usize,
    /// How many lines of the file it is about.
    took: usize,
    /// What it says of them, without what stood for the end of the file.
    lines: Vec<&'h Line>,
}

fn rebuild(lines: &[FileLine], edits: &[Edit]) -> String {
    let mut out = String::new();
    let mut at = 0;
    // A last line without a newline gets one as soon as something is to stand below it.
    let put = |out: &mut String, text: &str, ending: &str| {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(ending_at(lines, lines.len()));
        }
        out.push_str(text);
        out.push_str(ending);
    };
    for edit in edits {
        for line in &lines[at..edit.at] {
            put(&mut out, line.text, line.ending);
        }
        at = edit.at;
        for line in &edit.lines {
            match line {
                Line::Context(_) => {
                    put(&mut out, lines[at].text, lines[at].ending);
                    at += 1;
                }
                Line::Remove(_) => at += 1,
                Line::Add(text) => put(&mut out, text, ending_at(lines, at)),
            }
        }
    }
    for line in &lines[at..] {
        put(&mut out, line.text, line.ending);
    }
    out
}

/// How two lines are compared.
#[derive(Clone, Copy)]
enum Pass {
    Exact,
    EndTrimmed,
    Trimmed,
    Normal,
}

const PASSES: [Pass; 4] = [Pass::Exact, Pass::EndTrimmed, Pass::Trimmed, Pass::Normal];

struct Seeker<'f> {
    lines: &'f [FileLine<'f>],
    /// The lines as [`Pass::Normal`] sees them, made when they are first needed.
    normal: Vec<String>,
    left: u64,
}

impl Seeker<'_> {
    fn place<'h>(&mut self, hunk: &'h Hunk, mut below: usize) -> Result<Edit<'h>, Miss> {
        for context in &hunk.contexts {
            let wanted = [context.as_str()];
            match self.seek(&wanted, below)? {
                Some(found) => below = found + 1,
                None => {
                    let is_above = self.seek(&wanted, 0)?.is_some();
                    let hint = if is_above { CONTEXT_BEFORE } else { WHOLE_LINE };
                    return Err(Miss::Context { text: context.clone(), hint });
                }
            }
        }
        let mut kept: Vec<&Line> = hunk.lines.iter().collect();
        loop {
            let wanted: Vec<&str> = kept.iter().filter_map(|line| old(line)).collect();
            if wanted.is_empty() {
                let at_end = hunk.contexts.is_empty() || hunk.at_end;
                let at = if at_end { self.lines.len() } else { below };
                return Ok(Edit { at, took: 0, lines: kept });
            }
            if let Some(at) = self.find(&wanted, below, hunk.at_end)? {
                return Ok(Edit { at, took: wanted.len(), lines: kept });
            }
            // A model may write the newline at the end of a file, or the blank line before its next header, as one more line.
            let is_blank = |line: &&Line| matches!(line, Line::Context(text) | Line::Remove(text) if text.is_empty());
            let last_old = kept.iter().rposition(|line| old(line).is_some());
            match last_old.filter(|&last| wanted.len() > 1 && is_blank(&kept[last])) {
                Some(last) => drop(kept.remove(last)),
                None => return Err(self.lines_missing(hunk, below)?),
            }
        }
    }

    fn lines_missing(&mut self, hunk: &Hunk, below: usize) -> Result<Miss, Miss> {
        let wanted: Vec<&str> = hunk.lines.iter().filter_map(old).collect();
        let hint = if hunk.at_end && self.seek(&wanted, below)?.is_some() {
            NOT_AT_END
        } else if below > 0 && self.seek(&wanted, 0)?.is_some() {
            BEFORE
        } else {
            READ_AGAIN
        };
        let text: String = wanted.join("\n").chars().take(SHOWN_CHARS).collect();
        Ok(Miss::Lines { text, hint })
    }

    /// A hunk for the end of the file belongs there; else where its lines are, if that is one place only.
    fn find(&mut self, wanted: &[&str], below: usize, at_end: bool) -> Result<Option<usize>, Miss> {
        if !at_end {
            return self.seek(wanted, below);
        }
        if let Some(end) = self.lines.len().checked_sub(wanted.len()).filter(|end| *end >= below)
            && let Some(found) = self.seek(wanted, end)?
        {
            return Ok(Some(found));
        }
        let Some(found) = self.seek(wanted, below)? else { return Ok(None) };
        Ok(self.seek(wanted, found + 1)?.is_none().then_some(found))
    }

    /// The first place from this line on, by the strictest pass that finds one.
    fn seek(&mut self, wanted: &[&str], from: usize) -> Result<Option<usize>, Miss> {
        let Some(last) = self.lines.len().checked_sub(wanted.len()) else { return Ok(None) };
        for pass in PASSES {
            let wanted: Vec<String> = wanted.iter().map(|line| seen(line, pass)).collect();
            for at in from..=last {
                if self.is_at(&wanted, at, pass)? {
                    return Ok(Some(at));
                }
            }
        }
        Ok(None)
    }

    fn is_at(&mut self, wanted: &[String], at: usize, pass: Pass) -> Result<bool, Miss> {
        for (index, wanted) in wanted.iter().enumerate() {
            self.left = self.left.checked_sub(1).ok_or(Miss::TooMuch)?;
            if !self.line_is(at + index, wanted, pass) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn line_is(&mut self, at: usize, wanted: &str, pass: Pass) -> bool {
        let text = self.lines[at].text;
        match pass {
            Pass::Exact => text == wanted,
            Pass::EndTrimmed => text.trim_end() == wanted,
            Pass::Trimmed => text.trim() == wanted,
            Pass::Normal => {
                if self.normal.is_empty() {
                    self.normal = self.lines.iter().map(|line| seen(line.text, pass)).collect();
                }
                self.normal[at] == wanted
            }
        }
    }
}

fn old(line: &Line) -> Option<&str> {
    match line {
        Line::Context(text) | Line::Remove(text) => Some(text),
        Line::Add(_) => None,
    }
}

/// A line as this pass compares it.
fn seen(line: &str, pass: Pass) -> String {
    match pass {
        Pass::Exact => line.to_owned(),
        Pass::EndTrimmed => line.trim_end().to_owned(),
        Pass::Trimmed => line.trim().to_owned(),
        Pass::Normal => line.trim().chars().map(ascii).collect(),
    }
}

/// Dashes, quotes and spaces that look like those of ASCII are those of ASCII.
fn ascii(c: char) -> char {
    match c {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2018}'..='\u{201B}' => '\'',
        '\u{201C}'..='\u{201F}' => '"',
        '\u{00A0}' | '\u{2002}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}' => ' ',
        other => other,
    }
}
