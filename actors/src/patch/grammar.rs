//! The text of a patch, taken apart. Files are not looked at here.

use super::MAX_PATCH_BYTES;
use super::plan::PatchError;

const BEGIN: &str = "*** Begin Patch";
const END: &str = "*** End Patch";
const ENVIRONMENT: &str = "*** Environment ID:";
const ADD: &str = "*** Add File:";
const DELETE: &str = "*** Delete File:";
const UPDATE: &str = "*** Update File:";
const MOVE: &str = "*** Move to:";
const END_OF_FILE: &str = "*** End of File";
/// What a `diff` writes below a last line without a newline. It says nothing about the change.
const NO_NEWLINE: &str = "\\ No newline at end of file";

/// The longest piece of a bad line that an error repeats, in characters.
const SHOWN_CHARS: usize = 120;

/// A patch, in the order it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The environment that it names, if it does.
    pub environment: Option<String>,
    /// One for each file; at least one.
    pub sections: Vec<Section>,
}

/// What a patch does to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The line of its header in the patch, from 1.
    pub line: usize,
    /// The file, as written.
    pub path: String,
    /// What happens to it.
    pub action: Action,
}

/// What happens to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It has this content, every line with a newline.
    Add {
        /// The content.
        content: String,
    },
    /// It is removed.
    Delete,
    /// Its lines change, or its name, or both.
    Update {
        /// Its new path, as written.
        move_to: Option<String>,
        /// The changes, in the order of the file; none only if it moves.
        hunks: Vec<Hunk>,
    },
}

/// One place of a file and what changes there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunk {
    /// Its first line in the patch, from 1.
    pub line: usize,
    /// Lines to look for first, each below the one before: what stood behind `@@`.
    pub contexts: Vec<String>,
    /// What is kept, removed and added there; at least one.
    pub lines: Vec<Line>,
    /// It is meant for the end of the file.
    pub at_end: bool,
}

/// A line of a hunk, without its mark and without a line ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// In the file, and stays.
    Context(String),
    /// In the file, and goes.
    Remove(String),
    /// New.
    Add(String),
}

/// Reads a patch. White space around it, a heredoc around it, and CRLF line endings are forgiven.
///
/// # Errors
///
/// [`PatchError`] says the line, what stands there and what was expected; or that the patch is too long, or empty.
pub fn parse(text: &str) -> Result<Patch, PatchError> {
    if text.len() > MAX_PATCH_BYTES {
        return Err(PatchError::TooLong { bytes: text.len() });
    }
    let lines: Vec<&str> = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let is_said = |line: &&str| !line.trim().is_empty();
    let (Some(mut first), Some(mut last)) = (lines.iter().position(is_said), lines.iter().rposition(is_said)) else {
        return Err(PatchError::NoBegin);
    };
    if first < last && heredoc(lines[first]).is_some_and(|word| lines[last].trim() == word) {
        first += 1;
        last -= 1;
    }
    // A heredoc may have blank lines inside it.
    while first < last && !is_said(&lines[first]) {
        first += 1;
    }
    while first < last && !is_said(&lines[last]) {
        last -= 1;
    }
    if lines[first].trim() != BEGIN {
        return Err(PatchError::NoBegin);
    }
    if lines[last].trim() != END {
        return Err(PatchError::NoEnd);
    }
    Reader { lines: &lines[..last], at: first + 1 }.patch()
}

/// The word that ends the heredoc which this line begins: `<<'EOF'`, or `apply_patch <<EOF`.
fn heredoc(line: &str) -> Option<&str> {
    let line = line.trim();
    let line = line.strip_prefix("apply_patch").map_or(line, str::trim_start);
    let word = line.strip_prefix("<<")?;
    let word = word.strip_prefix('-').unwrap_or(word).trim_start();
    let quoted = ['\'', '"'].iter().find_map(|&quote| word.strip_prefix(quote)?.strip_suffix(quote));
    let word = quoted.unwrap_or(word);
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_word.then_some(word)
}

/// The lines between the first and the last, and how far they are read.
struct Reader<'a> {
    lines: &'a [&'a str],
    at: usize,
}

impl<'a> Reader<'a> {
    fn patch(mut self) -> Result<Patch, PatchError> {
        self.skip_blank();
        let environment = self.peek().and_then(|line| value(line, ENVIRONMENT));
        if environment.is_some() {
            self.at += 1;
        }
        let mut sections = Vec::new();
        loop {
            self.skip_blank();
            let Some(line) = self.peek() else { break };
            sections.push(self.section(line)?);
        }
        if sections.is_empty() {
            return Err(PatchError::Empty);
        }
        Ok(Patch { environment: environment.map(str::to_owned), sections })
    }

    fn section(&mut self, header: &str) -> Result<Section, PatchError> {
        let line = self.number();
        let (path, kind) = [ADD, DELETE, UPDATE]
            .into_iter()
            .find_map(|kind| Some((value(header, kind)?, kind)))
            .ok_or_else(|| self.not_a_header(header))?;
        let path = self.path(path)?;
        self.at += 1;
        let action = match kind {
            ADD => Action::Add { content: self.added() },
            DELETE => Action::Delete,
            _ => self.update(line, &path)?,
        };
        Ok(Section { line, path, action })
    }

    fn added(&mut self) -> String {
        let mut content = String::new();
        while let Some(line) = self.peek().and_then(|line| line.strip_prefix('+')) {
            content.push_str(line);
            content.push('\n');
            self.at += 1;
        }
        content
    }

    fn update(&mut self, line: usize, path: &str) -> Result<Action, PatchError> {
        self.skip_blank();
        let mut move_to = None;
        if let Some(to) = self.peek().and_then(|line| value(line, MOVE)) {
            move_to = Some(self.path(to)?);
            self.at += 1;
            self.skip_blank();
        }
        let mut hunks = Vec::new();
        while self.peek().is_some_and(|line| !is_header(line)) {
            hunks.push(self.hunk(hunks.is_empty())?);
            // Below `End of File` only; anywhere else a blank line is a line of the hunk.
            self.skip_blank();
        }
        if hunks.is_empty() && move_to.is_none() {
            let what =
                format!("the update of '{path}' is empty; write at least one hunk of '-' and '+' lines below it");
            return Err(PatchError::Line { line, what });
        }
        Ok(Action::Update { move_to, hunks })
    }

    fn hunk(&mut self, is_first: bool) -> Result<Hunk, PatchError> {
        let line = self.number();
        let mut contexts = Vec::new();
        let mut has_mark = false;
        while let Some(context) = self.peek().and_then(context) {
            has_mark = true;
            contexts.extend((!context.is_empty()).then(|| context.to_owned()));
            self.at += 1;
        }
        if !has_mark && !is_first {
            let what = format!("expected '@@', which begins a hunk, found {}", shown(self.peek().unwrap_or_default()));
            return Err(PatchError::Line { line, what });
        }
        let mut lines = Vec::new();
        let mut at_end = false;
        while let Some(text) = self.peek() {
            if text.trim_end() == END_OF_FILE && !lines.is_empty() {
                at_end = true;
                self.at += 1;
                break;
            }
            if is_header(text) || context(text).is_some() {
                break;
            }
            match text.chars().next() {
                None => lines.push(Line::Context(String::new())),
                Some(' ') => lines.push(Line::Context(text[1..].to_owned())),
                Some('-') => lines.push(Line::Remove(text[1..].to_owned())),
                Some('+') => lines.push(Line::Add(text[1..].to_owned())),
                Some(_) if text == NO_NEWLINE => {}
                Some(_) => return Err(self.not_in_a_hunk(text)),
            }
            self.at += 1;
        }
        if lines.is_empty() {
            let what = "this hunk is empty; write its ' ', '-' and '+' lines below it".to_owned();
            return Err(PatchError::Line { line, what });
        }
        Ok(Hunk { line, contexts, lines, at_end })
    }

    fn path(&self, path: &str) -> Result<String, PatchError> {
        let what = match path {
            "" => "the path is missing",
            path if path.contains('\0') => "the path has a zero byte in it, which no file name can have",
            _ => return Ok(path.to_owned()),
        };
        Err(PatchError::Line { line: self.number(), what: what.to_owned() })
    }

    fn not_a_header(&self, found: &str) -> PatchError {
        let mut what =
            format!("expected '{ADD} <path>', '{DELETE} <path>' or '{UPDATE} <path>', found {}", shown(found));
        if found.starts_with('+') {
            what.push_str("; an empty line of a new file is written as a '+' alone");
        } else if value(found, MOVE).is_some() {
            what.push_str("; a move stands right below the header of its update");
        }
        PatchError::Line { line: self.number(), what }
    }

    fn not_in_a_hunk(&self, found: &str) -> PatchError {
        let marks = "' ' (stays), '-' (goes) or '+' (is new)";
        let what = format!("every line of a hunk begins with {marks}, found {}", shown(found));
        PatchError::Line { line: self.number(), what }
    }

    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    fn skip_blank(&mut self) {
        while self.peek().is_some_and(|line| line.trim().is_empty()) {
            self.at += 1;
        }
    }

    fn number(&self) -> usize {
        self.at + 1
    }
}

/// What stands behind a marker, if the line begins with it.
fn value<'a>(line: &'a str, marker: &str) -> Option<&'a str> {
    line.trim().strip_prefix(marker).map(str::trim)
}

/// Inside a hunk a space is the mark of a context line, so a header there is not indented.
fn is_header(line: &str) -> bool {
    line.starts_with("*** ")
}

/// What stands behind `@@`. The line numbers of a unified diff are dropped: what models write there is seldom right.
fn context(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("@@")?;
    if !rest.is_empty() && !rest.starts_with([' ', '\t']) {
        return None;
    }
    // Blanks at the left are kept: the first try to find it is an exact one.
    let text = rest.get(1..).unwrap_or_default().trim_end();
    match text.split_once("@@") {
        Some((numbers, heading)) if are_line_numbers(numbers.trim()) => Some(heading.trim()),
        _ if text == "@@" => Some(""),
        _ => Some(text),
    }
}

fn are_line_numbers(text: &str) -> bool {
    let is_range = |range: &str| {
        let mut numbers = range.split(',');
        let all = numbers.by_ref().take(2).all(|n| !n.is_empty() && n.bytes().all(|byte| byte.is_ascii_digit()));
        all && numbers.next().is_none()
    };
    let ranges = text.split_once(' ').and_then(|(old, new)| Some((old.strip_prefix('-')?, new.strip_prefix('+')?)));
    ranges.is_some_and(|(old, new)| is_range(old) && is_range(new))
}

fn shown(line: &str) -> String {
    let mut chars = line.chars();
    let start: String = chars.by_ref().take(SHOWN_CHARS).collect();
    match chars.next() {
        Some(_) => format!("'{start}…'"),
        None => format!("'{start}'"),
    }
}
